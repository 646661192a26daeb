/* signing.h: software keys that sign and verify in one call, with and without dot2-signer. */
#ifndef DOT2HSM_TESTS_PROVIDER_SIGNING_H
#define DOT2HSM_TESTS_PROVIDER_SIGNING_H

#include "tests/provider/support.h"

extern const uint8_t data[33], signer[41];

struct fixture {
    struct world world;
    EVP_PKEY *keys[CURVE_COUNT]; /* of the default provider */
};

/* For cmocka; the state is a struct fixture. */
int signing_setup(void **state);
int signing_teardown(void **state);

/* What goes into an init: the signer (NULL = absent) and the format (NULL = none named). */
struct options {
    const void *signer;
    size_t signer_size;
    const char *format;
};
void options_params(const struct options *options, OSSL_PARAM params[3]);
/* The context is dot2hsm's, and knows dot2-signer. */
void assert_guarded(EVP_PKEY_CTX *ctx);
/* Over data; the signature's size, and the verdict. */
size_t sign_one_shot(struct fixture *fixture, EVP_PKEY *key, const char *digest,
                     const struct options *options, uint8_t signature[128]);
int verify_one_shot(struct fixture *fixture, EVP_PKEY *key, const char *digest,
                    const struct options *options, const uint8_t *signature, size_t size);

#endif
