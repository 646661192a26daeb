/* What the fuzz target of each type does with one input, and what is checked. */
#ifndef DOT2HSM_TESTS_FUZZ_FUZZ_COER_H
#define DOT2HSM_TESTS_FUZZ_FUZZ_COER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decode an input as a type. A value must encode to the input again (unless additions of another
 * edition were skipped), have the input as its span and survive a walk; an error must have a place
 * in the input and a path. Ends the program with a message if not.
 */
void fuzz_coer(const char *type_name, const uint8_t *data, size_t size);

#endif
