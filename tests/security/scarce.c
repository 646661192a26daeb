/*
 * scarce.c: see scarce.h. One wrapper for each function in the list of CMakeLists.txt.
 */
#include "tests/security/scarce_wrap.h"

#include <errno.h>
#include <stdatomic.h>
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

static atomic_uint all_number, all_counted;
static atomic_bool all_on, all_lasting, all_failed;
static _Thread_local bool spared;

void scarce_all_set(unsigned number, bool lasting)
{
    atomic_store(&all_number, number);
    atomic_store(&all_counted, 0);
    atomic_store(&all_lasting, lasting);
    atomic_store(&all_failed, false);
    atomic_store(&all_on, true);
}

bool scarce_all_end(unsigned *counted)
{
    atomic_store(&all_on, false);
    if (counted != NULL)
        *counted = atomic_load(&all_counted);
    return atomic_load(&all_failed);
}

void scarce_spare(void)
{
    spared = true;
}

static bool fails_for_all(void)
{
    unsigned number, counted;

    if (spared || !atomic_load(&all_on))
        return false;
    number = atomic_load(&all_number);
    counted = atomic_fetch_add(&all_counted, 1) + 1;
    if (number == 0 || counted < number || (counted > number && !atomic_load(&all_lasting)))
        return false;
    atomic_store(&all_failed, true);
    return true;
}

bool scarce_fails(void)
{
    if (left > 0 && --left == 0)
        failed = true;
    else if (!fails_for_all())
        return false;
    errno = ENOMEM;
    return true;
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
