/* Every single change of a value, from the ASN.1: what must be noticed where a value is signed. */
#ifndef DOT2HSM_TESTS_ASN1_MUTATE_H
#define DOT2HSM_TESTS_ASN1_MUTATE_H

#include "asn1/coer.h"

struct mutation {
    char path[256];   /* of what was changed: "SignedData.signer.digest" */
    char change[100]; /* in words */
};

/*
 * Changes a decoded value in place: its change number n, counted from 0 in the order of the value.
 * What is new lies in arena. A value that was changed has other changes: decode it anew for each.
 *
 * The changes are, for each leaf, other values of it (numbers one up or down and at the borders,
 * every other enumerator, bits of strings, strings one octet longer and shorter); for each
 * OPTIONAL, presence and absence; for each CHOICE, every other alternative, with the same content
 * where that has the same type; for each SEQUENCE OF, one element more, one less, and two of them
 * exchanged. What the type does not allow is left out.
 *
 * False: there is no such change (n is their number), or no memory.
 */
bool mutate(coer_arena *arena, const asn_TYPE_descriptor_t *type, void *value, size_t n,
            struct mutation *made);

/* Leaves of a value that mutate() comes by, as coer_walk() counts them, and those among them that
 * have one possible value only. */
size_t mutate_leaves(const asn_TYPE_descriptor_t *type, void *value, size_t *fixed);

#endif
