/* token_lab.h: a SoftHSM token of the test's own, and the provider's configuration for it. */
#ifndef DOT2HSM_TESTS_PROVIDER_TOKEN_LAB_H
#define DOT2HSM_TESTS_PROVIDER_TOKEN_LAB_H

#include "tests/provider/support.h"

#define LAB_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define LAB_TOKEN "lab"
#define LAB_PIN "482917"

extern char lab_directory[];

/*
 * A temporary directory with a token in it; SOFTHSM2_CONF and DOT2HSM_CONF point to it. With
 * LAB_TOKEN_KIND=softokn in the environment it is one of NSS, which knows fewer curves.
 */
void lab_open(void);
size_t lab_curves(void);
void lab_close(void);
/* For cmocka: the same and a struct world, the state, of the default provider and dot2hsm. */
int lab_setup(void **state);
int lab_teardown(void **state);
/* The file that DOT2HSM_CONF names; the module and more, a printf format. */
void lab_configure(const char *more);
/* A file in the directory that only its owner reads; its path is returned, until the next call. */
const char *lab_file(const char *name, const char *text);

/* pkcs11:token=lab;object=label[;...] in a static buffer. */
const char *lab_uri(const char *label);

/* Opens a URI with OSSL_STORE; expect is OSSL_STORE_INFO_PKEY or _PUBKEY. NULL on failure. */
EVP_PKEY *lab_load(OSSL_LIB_CTX *libctx, const char *uri, int expect);
/* A key pair in the token, made through the provider; usage may be NULL. NULL on failure. */
EVP_PKEY *lab_generate(OSSL_LIB_CTX *libctx, const char *curve, const char *uri, const char *usage);
/* One for each curve that the token knows, named by its curve. */
void lab_keys(OSSL_LIB_CTX *libctx, EVP_PKEY *keys[CURVE_COUNT]);
/* Signs lab_data with dot2hsm, lab_signer as dot2-signer or none; the size, 0 if it does not. */
extern const uint8_t lab_data[32], lab_signer[27];
size_t lab_sign(OSSL_LIB_CTX *libctx, const char *properties, EVP_PKEY *key, bool with_signer,
                uint8_t signature[128]);

#endif
