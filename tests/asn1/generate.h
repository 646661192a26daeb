/* Random values of any type, for round trips and as seeds for fuzzing. */
#ifndef DOT2HSM_TESTS_ASN1_GENERATE_H
#define DOT2HSM_TESTS_ASN1_GENERATE_H

#include "asn1/coer.h"

/*
 * A value of a type, in arena; the same for the same seed. Every constraint is kept, borders are
 * taken often, and it ends: the deeper, the fewer optional parts. NULL if there is no memory.
 */
void *generate(coer_arena *arena, const asn_TYPE_descriptor_t *type, uint64_t seed);

struct coer_member;
/* The same for one member of a structure (the number of an alternative is the caller's to set), as
 * short as its type allows. False if there is no memory. */
bool generate_member_of(coer_arena *arena, const struct coer_member *member, void *structure,
                        uint64_t seed);

/* Gives every OPTIONAL component of a SEQUENCE that is absent a value, in the same way. */
bool generate_absent(coer_arena *arena, const asn_TYPE_descriptor_t *type, void *sequence);

#endif
