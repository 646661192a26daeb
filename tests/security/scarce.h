/*
 * scarce.h: allocations that fail when a test wants it: those of our own objects, which the linker
 * (--wrap, see CMakeLists.txt) sends here. What a library allocates inside is left alone, but where
 * it makes an object for us, that fails too.
 */
#ifndef DOT2HSM_TESTS_SECURITY_SCARCE_H
#define DOT2HSM_TESTS_SECURITY_SCARCE_H

#include <stdbool.h>

/* The allocation with this number, from 1 on, of this thread fails; 0: none does. */
void scarce_set(unsigned number);
/* Ends that; whether one has failed. */
bool scarce_end(void);

#endif
