/*
 * ecies_sum.c: ECIES with the private key d + f, where d is in a token and f is known.
 *
 * The shared point is (d + f) V = d V + f V. What ECDH gives of d V is its x, and so d V is one of
 * two points, P or -P. Both sums are tried; the tag of ECIES is by a key that only one of them
 * gives (IEEE 1609.2 clause 5.3.5).
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "protocol/dot2/ecies.h"

#define COORDINATE 32
#define TAG 16
#define KEYS (DOT2_AES_KEY + 32) /* K1, which hides the key, and K2, of the tag */

/* The x of d V. A failure is the token's or the library's: V is a point of the curve. */
static enum dot2_status derive(const dot2_crypto *crypto, EVP_PKEY *key, EVP_PKEY *v,
                               uint8_t x[COORDINATE], struct dot2_error *error)
{
    EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_pkey(dot2_crypto_libctx(crypto), key, DOT2_PROVIDER_PROPERTIES);
    const OSSL_PROVIDER *provider = NULL;
    enum dot2_status status = DOT2_OK;
    size_t size = COORDINATE;

    if (ctx != NULL && EVP_PKEY_derive_init(ctx) > 0)
        provider = EVP_PKEY_CTX_get0_provider(ctx);
    if (provider == NULL || strcmp(OSSL_PROVIDER_get0_name(provider), DOT2_PROVIDER_NAME) != 0)
        status = dot2_fail_openssl(error, DOT2_E_PROVIDER,
                                   "the key cannot be used in the provider " DOT2_PROVIDER_NAME);
    else if (EVP_PKEY_derive_set_peer(ctx, v) <= 0 || EVP_PKEY_derive(ctx, x, &size) <= 0 ||
             size != COORDINATE)
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "ECDH");
    EVP_PKEY_CTX_free(ctx);
    return status;
}

/* KDF2 of IEEE 1363a with SHA-256, which is the KDF of ANSI X9.63. */
static bool kdf2(const dot2_crypto *crypto, const uint8_t z[COORDINATE], const uint8_t p1[32],
                 uint8_t keys[KEYS])
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_PROPERTIES,
                                         (char *)(uintptr_t)DOT2_SOFTWARE_PROPERTIES, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)z, COORDINATE),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)p1, 32),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(dot2_crypto_libctx(crypto), "X963KDF", DOT2_SOFTWARE_PROPERTIES);
    EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, keys, KEYS, params) > 0;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

/* The key, if the tag is by this shared point. *good is left as it is if not. */
static bool open_with(const dot2_crypto *crypto, const uint8_t z[COORDINATE], const uint8_t p1[32],
                      const uint8_t *sealed, uint8_t wrapped[DOT2_AES_KEY], bool *good)
{
    const uint8_t *tag = sealed + DOT2_AES_KEY;
    uint8_t keys[KEYS], mac[EVP_MAX_MD_SIZE];
    size_t size = 0;
    bool ok = kdf2(crypto, z, p1, keys) &&
              EVP_Q_mac(dot2_crypto_libctx(crypto), "HMAC", DOT2_SOFTWARE_PROPERTIES, "SHA256",
                        NULL, keys + DOT2_AES_KEY, KEYS - DOT2_AES_KEY, sealed, DOT2_AES_KEY, mac,
                        sizeof(mac), &size) != NULL &&
              size == 32;

    if (ok && CRYPTO_memcmp(mac, tag, TAG) == 0) {
        for (size_t i = 0; i < DOT2_AES_KEY; i++)
            wrapped[i] = sealed[i] ^ keys[i];
        *good = true;
    }
    OPENSSL_cleanse(keys, sizeof(keys));
    OPENSSL_cleanse(mac, sizeof(mac));
    return ok;
}

/* x of P + f V and of -P + f V; a sum that is the point at infinity has none, and *has says so. */
static bool candidates(const dot2_crypto *crypto, const EC_POINT *v, const uint8_t f[32],
                       const uint8_t x[COORDINATE], uint8_t z[2][COORDINATE], bool has[2])
{
    const EC_GROUP *group = dot2_group(crypto, DOT2_CURVE_P256);
    BN_CTX *ctx = BN_CTX_secure_new_ex(dot2_crypto_libctx(crypto));
    BIGNUM *number = BN_secure_new();
    EC_POINT *p = EC_POINT_new(group), *fv = EC_POINT_new(group), *sum = EC_POINT_new(group);
    bool ok = ctx != NULL && number != NULL && p != NULL && fv != NULL && sum != NULL &&
              BN_bin2bn(x, COORDINATE, number) != NULL &&
              EC_POINT_set_compressed_coordinates(group, p, number, 0, ctx) == 1 &&
              BN_bin2bn(f, 32, number) != NULL;

    if (ok) {
        BN_set_flags(number, BN_FLG_CONSTTIME);
        ok = EC_POINT_mul(group, fv, NULL, v, number, ctx) == 1;
    }
    for (int i = 0; ok && i < 2; i++) {
        ok = EC_POINT_add(group, sum, p, fv, ctx) == 1;
        has[i] = ok && EC_POINT_is_at_infinity(group, sum) != 1;
        if (has[i])
            ok = EC_POINT_get_affine_coordinates(group, sum, number, NULL, ctx) == 1 &&
                 BN_bn2binpad(number, z[i], COORDINATE) == COORDINATE;
        ok = ok && EC_POINT_invert(group, p, ctx) == 1;
    }
    EC_POINT_clear_free(p);
    EC_POINT_clear_free(fv);
    EC_POINT_clear_free(sum);
    BN_clear_free(number);
    BN_CTX_free(ctx);
    return ok;
}

enum dot2_status dot2_ecies_decrypt_sum(const dot2_crypto *crypto, EVP_PKEY *key,
                                        const uint8_t f[32], const uint8_t p1[32],
                                        const uint8_t *in, size_t size,
                                        uint8_t wrapped[DOT2_AES_KEY], struct dot2_error *error)
{
    uint8_t x[COORDINATE] = {0}, z[2][COORDINATE] = {{0}};
    bool has[2] = {false, false}, good = false, ok = true;
    EVP_PKEY *v = NULL;
    EC_POINT *point = NULL;
    enum dot2_status status = DOT2_OK;

    if (dot2_key_curve(key) != DOT2_CURVE_P256)
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL, "keys on %s are not added to",
                         dot2_curve_name(dot2_key_curve(key)));
    if (size <= DOT2_AES_KEY + TAG)
        return dot2_fail(error, DOT2_E_DECRYPT, NULL, "ECIES: %zu octets are too few", size);
    status = dot2_public_key(crypto, DOT2_CURVE_P256, in, size - DOT2_AES_KEY - TAG, &v, error);
    if (status == DOT2_E_POINT) /* altered, as ECIES with a whole key has it */
        status = dot2_fail(error, DOT2_E_DECRYPT, NULL, "ECIES: V is not a point of the curve");
    if (status == DOT2_OK)
        status = dot2_point_of_key(crypto, v, &point, error);
    if (status == DOT2_OK)
        status = derive(crypto, key, v, x, error);
    if (status != DOT2_OK)
        goto out;
    ok = candidates(crypto, point, f, x, z, has);
    /* Always both: how long it takes is not to tell which. */
    for (int i = 0; i < 2; i++) {
        if (ok && has[i])
            ok = open_with(crypto, z[i], p1, in + size - DOT2_AES_KEY - TAG, wrapped, &good);
    }
    if (!ok)
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "ECIES");
    else if (!good)
        status = dot2_fail(error, DOT2_E_DECRYPT, NULL, "ECIES: the tag does not match");
    if (status != DOT2_OK)
        OPENSSL_cleanse(wrapped, DOT2_AES_KEY);
out:
    OPENSSL_cleanse(x, sizeof(x));
    OPENSSL_cleanse(z, sizeof(z));
    EC_POINT_free(point);
    EVP_PKEY_free(v);
    return status;
}
