/* ra_pair.h: a PKI with an RA that has two certificates, the old one and the new one. */
#ifndef DOT2HSM_TESTS_SCMS_RA_PAIR_H
#define DOT2HSM_TESTS_SCMS_RA_PAIR_H

#include "protocol/scms/scms.h"
#include "tests/dot2/fixture.h"

extern struct fixture f;
extern struct pki pki;
extern EVP_PKEY *ra_key[2], *ra_decryption_key[2];
extern dot2_cert *ra[2];

/* For cmocka's group functions. */
int ra_pair_setup(void **state);
int ra_pair_teardown(void **state);

/* Puts octets in hex; what is behind them. */
uint8_t *put(uint8_t *p, const char *hex);

#endif
