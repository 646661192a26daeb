/* put_key.h: a published P-256 key in the test's token, so that published figures can be checked.
 */
#ifndef DOT2HSM_TESTS_PROVIDER_PUT_KEY_H
#define DOT2HSM_TESTS_PROVIDER_PUT_KEY_H

#include <stdint.h>

/* By C_CreateObject, in another process: may derive, is sensitive and not extractable. */
void lab_put_key(const char *label, const uint8_t d[32], const uint8_t point[65]);

#endif
