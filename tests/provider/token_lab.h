/* token_lab.h: a SoftHSM token of the test's own, and the provider's configuration for it. */
#ifndef DOT2HSM_TESTS_PROVIDER_TOKEN_LAB_H
#define DOT2HSM_TESTS_PROVIDER_TOKEN_LAB_H

#include <openssl/evp.h>

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

#endif
