/*
 * scarce.c: see scarce.h. One wrapper for each function in the list of CMakeLists.txt.
 */
#include "tests/security/scarce.h"

#include <stddef.h>
#include <stdint.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>

static _Thread_local unsigned left;
static _Thread_local bool failed;

void scarce_set(unsigned number)
{
    left = number;
    failed = false;
}

bool scarce_end(void)
{
    left = 0;
    return failed;
}

static bool fails(void)
{
    if (left == 0 || --left > 0)
        return false;
    failed = true;
    return true;
}

#define WRAP(type, name, parameters, arguments)                                                    \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails() ? NULL : __real_##name arguments;                                           \
    }

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, (void *before, size_t size), (before, size))
WRAP(char *, strdup, (const char *text), (text))
WRAP(void *, CRYPTO_malloc, (size_t size, const char *file, int line), (size, file, line))
WRAP(void *, CRYPTO_zalloc, (size_t size, const char *file, int line), (size, file, line))
WRAP(void *, CRYPTO_secure_malloc, (size_t size, const char *file, int line), (size, file, line))
WRAP(char *, CRYPTO_strdup, (const char *text, const char *file, int line), (text, file, line))
WRAP(void *, CRYPTO_memdup, (const void *from, size_t size, const char *file, int line),
     (from, size, file, line))
WRAP(void *, CRYPTO_realloc, (void *before, size_t size, const char *file, int line),
     (before, size, file, line))
WRAP(char *, CRYPTO_strndup, (const char *text, size_t size, const char *file, int line),
     (text, size, file, line))
WRAP(BIGNUM *, BN_new, (void), ())
WRAP(BIGNUM *, BN_bin2bn, (const unsigned char *octets, int size, BIGNUM *to), (octets, size, to))
WRAP(BIGNUM *, BN_secure_new, (void), ())
WRAP(BN_CTX *, BN_CTX_secure_new_ex, (OSSL_LIB_CTX * libctx), (libctx))
WRAP(EC_GROUP *, EC_GROUP_new_by_curve_name_ex, (OSSL_LIB_CTX * libctx, const char *query, int nid),
     (libctx, query, nid))
WRAP(EC_POINT *, EC_POINT_new, (const EC_GROUP *group), (group))
WRAP(EVP_MD_CTX *, EVP_MD_CTX_new, (void), ())
WRAP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), ())
WRAP(EVP_KDF_CTX *, EVP_KDF_CTX_new, (EVP_KDF * kdf), (kdf))
WRAP(EVP_PKEY_CTX *, EVP_PKEY_CTX_new_from_name,
     (OSSL_LIB_CTX * libctx, const char *name, const char *query), (libctx, name, query))
WRAP(EVP_PKEY_CTX *, EVP_PKEY_CTX_new_from_pkey,
     (OSSL_LIB_CTX * libctx, EVP_PKEY *key, const char *query), (libctx, key, query))
WRAP(EVP_MAC_CTX *, EVP_MAC_CTX_new, (EVP_MAC * mac), (mac))
WRAP(EVP_PKEY *, EVP_PKEY_dup, (EVP_PKEY * key), (key))
WRAP(OSSL_PARAM_BLD *, OSSL_PARAM_BLD_new, (void), ())
WRAP(OSSL_PARAM *, OSSL_PARAM_BLD_to_param, (OSSL_PARAM_BLD * builder), (builder))
