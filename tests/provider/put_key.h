/* put_key.h: a published P-256 key in the test's token, so that published figures can be checked.
 */
#ifndef DOT2HSM_TESTS_PROVIDER_PUT_KEY_H
#define DOT2HSM_TESTS_PROVIDER_PUT_KEY_H

#include <stdint.h>

/*
 * In hex, IEEE 1609.2a-2017 Annex D.6, with P1 as it was used there (its listing prints the key in
 * its place). V is uncompressed.
 */
struct published {
    const char *d, *q, *key, *p1, *v, *c, *t;
};
#define PUBLISHED 2
extern const struct published published[PUBLISHED];

/* By C_CreateObject, in another process: may derive, is sensitive and not extractable. */
void lab_put_key(const char *label, const uint8_t d[32], const uint8_t point[65]);

#endif
