/* deciding.h: a lab whose device has NAME, and the RA's decision about requests for downloads. */
#ifndef DOT2HSM_TESTS_RA_DECIDING_H
#define DOT2HSM_TESTS_RA_DECIDING_H

#include "tests/ra/lab.h"

/* For cmocka; the state is the lab. */
int deciding_setup(void **state);
int deciding_teardown(void **state);

/* About a value of Download-Req. */
struct ra_decision decide_text(struct lab *lab, enum ra_service service, const char *text,
                               size_t size);
/* A request under cert, signed by key, time seconds from now. */
struct ra_decision decide_as(struct lab *lab, enum ra_service service, const dot2_cert *cert,
                             EVP_PKEY *key, int time, const char *name);
/* A good request of the device for NAME. */
struct ra_decision decide(struct lab *lab, const struct lab_cert *device);
struct ra_decision decide_octets(struct lab *lab, const uint8_t *octets, size_t size);
void assert_refused(struct ra_decision decision, enum ra_reason reason, int code);

#endif
