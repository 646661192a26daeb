/*
 * butterfly.c: butterfly key expansion, as the SCMS CV Pilots have it: A' = A + f_k(i, j) G.
 *
 * f_k is the 384-bit number of three blocks AES_k(x + t) XOR (x + t), t = 1, 2, 3, modulo the order
 * of the group, where x is 0^32 (signing keys) or 1^32 (encryption keys) || i || j || 0^32.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "protocol/dot2/butterfly.h"
#include "protocol/dot2/internal.h"

#define BLOCKS 3

static void put32(uint8_t *p, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        *p++ = (uint8_t)(value >> shift);
}

/* Three independent blocks: a mode without chaining is what the function is made of. */
static enum dot2_status expand(const dot2_crypto *crypto, const uint8_t expansion[16],
                               const uint8_t in[16 * BLOCKS], uint8_t out[16 * BLOCKS],
                               struct dot2_error *error)
{
    EVP_CIPHER *aes =
        EVP_CIPHER_fetch(dot2_crypto_libctx(crypto), "AES-128-ECB", DOT2_SOFTWARE_PROPERTIES);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    enum dot2_status status = DOT2_OK;
    int n = 0;

    if (aes == NULL || ctx == NULL || EVP_EncryptInit_ex2(ctx, aes, expansion, NULL, NULL) <= 0 ||
        EVP_CIPHER_CTX_set_padding(ctx, 0) <= 0 ||
        EVP_EncryptUpdate(ctx, out, &n, in, 16 * BLOCKS) <= 0 || n != 16 * BLOCKS)
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "AES-128 of the expansion function");
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(aes);
    return status;
}

enum dot2_status dot2_butterfly_f(const dot2_crypto *crypto, const uint8_t expansion[16],
                                  enum dot2_butterfly use, uint32_t i, uint32_t j, uint8_t f[32],
                                  struct dot2_error *error)
{
    uint8_t x[16 * BLOCKS], blocks[16 * BLOCKS];
    BN_CTX *ctx = BN_CTX_secure_new_ex(dot2_crypto_libctx(crypto));
    BIGNUM *number = BN_secure_new();
    enum dot2_status status = DOT2_OK;

    for (uint32_t t = 0; t < BLOCKS; t++) {
        put32(x + 16 * t, use == DOT2_BUTTERFLY_ENCRYPT ? UINT32_MAX : 0);
        put32(x + 16 * t + 4, i);
        put32(x + 16 * t + 8, j);
        put32(x + 16 * t + 12, t + 1); /* of x + t; the last 32 bits of x are zero: no carry */
    }
    status = ctx == NULL || number == NULL ? dot2_fail_memory(error)
                                           : expand(crypto, expansion, x, blocks, error);
    if (status != DOT2_OK)
        goto out;
    for (size_t n = 0; n < sizeof(blocks); n++)
        blocks[n] ^= x[n];
    if (BN_bin2bn(blocks, sizeof(blocks), number) == NULL ||
        !BN_mod(number, number, dot2_order(crypto, DOT2_CURVE_P256), ctx) ||
        BN_bn2binpad(number, f, 32) < 0)
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "expansion function");
out:
    OPENSSL_cleanse(blocks, sizeof(blocks));
    BN_clear_free(number);
    BN_CTX_free(ctx);
    return status;
}

static enum dot2_status check_seed(const EVP_PKEY *seed, struct dot2_error *error)
{
    if (dot2_key_curve(seed) == DOT2_CURVE_P256)
        return DOT2_OK;
    return dot2_fail(error, DOT2_E_ALGORITHM, "UnsignedButterflyParams.seed-key",
                     "a seed key is on P-256, not on %s", dot2_curve_name(dot2_key_curve(seed)));
}

enum dot2_status dot2_butterfly_public(const dot2_crypto *crypto, const EVP_PKEY *seed,
                                       const uint8_t expansion[16], enum dot2_butterfly use,
                                       uint32_t i, uint32_t j, EVP_PKEY **key,
                                       struct dot2_error *error)
{
    const EC_GROUP *group = dot2_group(crypto, DOT2_CURVE_P256);
    EC_POINT *base = NULL, *sum = EC_POINT_new(group);
    BN_CTX *ctx = BN_CTX_secure_new_ex(dot2_crypto_libctx(crypto));
    BIGNUM *number = BN_secure_new();
    enum dot2_status status = check_seed(seed, error);
    uint8_t f[32];

    *key = NULL;
    if (status == DOT2_OK)
        status = dot2_butterfly_f(crypto, expansion, use, i, j, f, error);
    if (status == DOT2_OK)
        status = dot2_point_of_key(crypto, seed, &base, error);
    if (status != DOT2_OK)
        goto out;
    if (sum == NULL || ctx == NULL || number == NULL || BN_bin2bn(f, sizeof(f), number) == NULL) {
        status = dot2_fail_memory(error);
        goto out;
    }
    BN_set_flags(number, BN_FLG_CONSTTIME);
    if (EC_POINT_mul(group, sum, number, NULL, NULL, ctx) != 1 ||
        EC_POINT_add(group, sum, sum, base, ctx) != 1) {
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "butterfly expansion");
        goto out;
    }
    status = dot2_key_of_point(crypto, DOT2_CURVE_P256, sum, key, error);
out:
    OPENSSL_cleanse(f, sizeof(f));
    BN_clear_free(number);
    BN_CTX_free(ctx);
    EC_POINT_free(base);
    EC_POINT_free(sum);
    return status;
}

/* d + number modulo the order. */
static enum dot2_status add(const dot2_crypto *crypto, const EVP_PKEY *key,
                            const uint8_t number[32], EVP_PKEY **sum, struct dot2_error *error)
{
    BN_CTX *ctx = BN_CTX_secure_new_ex(dot2_crypto_libctx(crypto));
    BIGNUM *value = BN_secure_new(), *d = NULL;
    enum dot2_status status = DOT2_OK;

    ERR_set_mark();
    if (!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &d))
        status = dot2_fail(error, DOT2_E_ARGUMENT, "UnsignedButterflyParams.seed-key",
                           "the private number of a key in a token cannot be had");
    ERR_pop_to_mark();
    if (status != DOT2_OK)
        goto out;
    BN_set_flags(d, BN_FLG_CONSTTIME);
    if (ctx == NULL || value == NULL || BN_bin2bn(number, 32, value) == NULL ||
        !BN_mod_add(value, value, d, dot2_order(crypto, DOT2_CURVE_P256), ctx) ||
        BN_is_zero(value)) {
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "butterfly expansion");
        goto out;
    }
    BN_set_flags(value, BN_FLG_CONSTTIME);
    status = dot2_key_pair(crypto, DOT2_CURVE_P256, value, sum, error);
out:
    BN_clear_free(d);
    BN_clear_free(value);
    BN_CTX_free(ctx);
    return status;
}

enum dot2_status dot2_butterfly_private(const dot2_crypto *crypto, const EVP_PKEY *seed,
                                        const uint8_t expansion[16], enum dot2_butterfly use,
                                        uint32_t i, uint32_t j, EVP_PKEY **key,
                                        struct dot2_error *error)
{
    enum dot2_status status = check_seed(seed, error);
    uint8_t f[32];

    *key = NULL;
    if (status == DOT2_OK)
        status = dot2_butterfly_f(crypto, expansion, use, i, j, f, error);
    if (status == DOT2_OK)
        status = add(crypto, seed, f, key, error);
    OPENSSL_cleanse(f, sizeof(f));
    return status;
}

enum dot2_status dot2_butterfly_add(const dot2_crypto *crypto, const EVP_PKEY *key,
                                    const uint8_t c[32], EVP_PKEY **sum, struct dot2_error *error)
{
    enum dot2_status status = check_seed(key, error);
    BIGNUM *number = BN_bin2bn(c, 32, NULL);

    *sum = NULL;
    if (status == DOT2_OK && number == NULL)
        status = dot2_fail_memory(error);
    else if (status == DOT2_OK && BN_cmp(number, dot2_order(crypto, DOT2_CURVE_P256)) >= 0)
        status =
            dot2_fail(error, DOT2_E_ARGUMENT, "ButterflyExplicitCertResponse", "c is out of range");
    if (status == DOT2_OK)
        status = add(crypto, key, c, sum, error);
    BN_clear_free(number);
    return status;
}
