/* For the tests of each rule of canonical OER: an arena, octets, and a line for each case. */
#ifndef DOT2HSM_TESTS_ASN1_RULES_H
#define DOT2HSM_TESTS_ASN1_RULES_H

#include "tests/asn1/vectors.h"

#define POINT "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define DIGEST "0102030405060708"

extern coer_arena *arena;
extern uint8_t in[200000];

/* Of the group, after each test, of the group. */
int setup(void **state);
int reset(void **state);
int teardown(void **state);

/* round_trip() and refuse() of vectors.h, for a type by its name. */
void *right(const char *type, const char *hex);
void wrong(const char *type, const char *hex, enum coer_status status, size_t offset,
           const char *path);

#endif
