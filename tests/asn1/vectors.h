/* Messages that several tests use, and small helpers. */
#ifndef DOT2HSM_TESTS_ASN1_VECTORS_H
#define DOT2HSM_TESTS_ASN1_VECTORS_H

#include "asn1/coer.h"

/* The sample certificate published with the ASN.1 modules of IEEE 1609.2 (2017-07): implicit,
 * linkage data, crlSeries 5, 169 hours, countries 124, 484, 840, PSID 0x20, reconstruction value
 * compressed-y-1. */
extern const char published_certificate[];

/* Hex digits to octets; white space between them is skipped. Returns how many. Fails the test on
 * anything else, or over capacity. */
size_t from_hex(const char *hex, uint8_t *out, size_t capacity);

/* Decode hex that must be right, encode it and compare. Returns the value, which lives in arena and
 * points into in (a buffer of capacity octets of the caller's). */
void *round_trip(coer_arena *arena, const asn_TYPE_descriptor_t *type, const char *hex, uint8_t *in,
                 size_t capacity);

/* Decode hex that must be refused with this status, offset and path. */
void refuse(const asn_TYPE_descriptor_t *type, const char *hex, enum coer_status status,
            size_t offset, const char *path);

#endif
