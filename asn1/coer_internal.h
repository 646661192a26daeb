/* What the files of the codec share. */
#ifndef DOT2HSM_ASN1_COER_INTERNAL_H
#define DOT2HSM_ASN1_COER_INTERNAL_H

#include "asn1/coer.h"

/* Without clearing it: the caller writes every octet. */
void *coer_arena_alloc_raw(coer_arena *arena, size_t size);

void coer_arena_set_extended(coer_arena *arena);

#endif
