/* support.h: library contexts and keys for the tests of the provider. */
#ifndef DOT2HSM_TESTS_PROVIDER_SUPPORT_H
#define DOT2HSM_TESTS_PROVIDER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/store.h>

#define OURS "provider=dot2hsm"

#define CURVE_COUNT 4
extern const char *const curve_names[CURVE_COUNT];
/* "SHA256" or "SHA384", and the other one. */
const char *curve_digest(const char *curve);
const char *wrong_digest(const char *curve);
size_t curve_size(const char *curve);

/*
 * A library context of its own, or the default one if the environment has WORLD_DEFAULT, with the
 * providers named (NULL = not loaded).
 */
struct world {
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *first, *second;
};
void world_open(struct world *world, const char *first, const char *second);
void world_close(struct world *world);

/* A software key of the provider that the properties name. */
EVP_PKEY *key_generate(OSSL_LIB_CTX *libctx, const char *properties, const char *curve);

/* The public half of a key as a software key of the default provider. */
EVP_PKEY *public_copy(OSSL_LIB_CTX *libctx, EVP_PKEY *key);

/* H( H(data) || H(signer) ) by hand if signer is not NULL, else H(data); returns its size. */
size_t digest_by_hand(const char *curve, const void *data, size_t size, const void *signer,
                      size_t signer_size, uint8_t digest[64]);

/* The default provider's plain ECDSA verification of a DER signature over a ready digest. */
bool verifies_plainly(EVP_PKEY *key, const uint8_t *digest, size_t digest_size,
                      const uint8_t *signature, size_t size);

/*
 * An error is on the queue and one of them holds the words; empties the queue. It prints what it
 * found instead if not.
 */
bool error_says(const char *words);

#endif
