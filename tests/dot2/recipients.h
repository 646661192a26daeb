/* recipients.h: who is encrypted to: a software key on each curve, and a key in a token. */
#ifndef DOT2HSM_TESTS_DOT2_RECIPIENTS_H
#define DOT2HSM_TESTS_DOT2_RECIPIENTS_H

#include "tests/dot2/fixture.h"
#include "tests/provider/token_lab.h"

/* An Ieee1609Dot2Data.unsecuredData, the shortest message that is encrypted in the field. */
extern const uint8_t plaintext[8];

struct recipient {
    EVP_PKEY *key;
    dot2_cert *cert;
};

extern struct fixture fixture;
extern struct recipient ra[2], in_token; /* on each curve; P-256 in the token */
extern const struct recipient *const recipients[3];

/* For cmocka: the three, and a token lab that ends with them. */
int recipients_setup(void **state);
int recipients_teardown(void **state);

/* A self-signed certificate with this encryption key; NULL = none. */
dot2_cert *certificate(const char *name, const EVP_PKEY *encryption);
/* Encrypts the plaintext to the certificate or to the key; the size of octets. */
size_t encrypt(const struct recipient *recipient, bool to_cert, uint8_t **octets);
/*
 * Every other time by a decrypter, which has seen what came before: whatever was decrypted or
 * refused then, the answer is that of a key that is used for the first time.
 */
enum dot2_status decrypt(const struct recipient *recipient, bool by_cert, const uint8_t *octets,
                         size_t size, struct dot2_error *error);

#endif
