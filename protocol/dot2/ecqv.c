/*
 * ecqv.c: implicit certificates (SEC 4, IEEE 1609.2 5.3.2). e is the whole hash: the test vectors
 * of 2016 that shift it by one bit were withdrawn, and every deployed certificate has the whole
 * one.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "protocol/dot2/internal.h"

enum dot2_status dot2_ecqv_e(const dot2_crypto *crypto, const uint8_t *tbs, size_t tbs_size,
                             const uint8_t *issuer, size_t issuer_size, uint8_t e[32],
                             struct dot2_error *error)
{
    uint8_t hashes[64];

    if (dot2_sha256(crypto, tbs, tbs_size, hashes) != DOT2_OK ||
        dot2_sha256(crypto, issuer, issuer_size, hashes + 32) != DOT2_OK ||
        dot2_sha256(crypto, hashes, sizeof(hashes), e) != DOT2_OK)
        return dot2_fail_openssl(error, DOT2_E_CRYPTO, "SHA-256");
    return DOT2_OK;
}

enum dot2_status dot2_ecqv_reconstruct_public(const dot2_crypto *crypto, enum dot2_curve curve,
                                              const uint8_t e[32], const uint8_t *point,
                                              size_t point_size, const EVP_PKEY *issuer_key,
                                              EVP_PKEY **key, struct dot2_error *error)
{
    const EC_GROUP *group = dot2_group(crypto, curve);
    enum dot2_status status = DOT2_E_MEMORY;
    EC_POINT *issuer = NULL, *q = NULL;
    BIGNUM *number = BN_bin2bn(e, 32, NULL);

    *key = NULL;
    if (number == NULL || (q = EC_POINT_new(group)) == NULL) {
        dot2_fail_memory(error);
        goto out;
    }
    status = dot2_point_of_key(crypto, issuer_key, &issuer, error);
    if (status != DOT2_OK)
        goto out;
    ERR_set_mark();
    if (EC_POINT_oct2point(group, q, point, point_size, NULL) != 1) {
        ERR_pop_to_mark();
        status = dot2_fail(error, DOT2_E_POINT, "Certificate.toBeSigned.verifyKeyIndicator",
                           "reconstructionValue is not on %s", dot2_curve_name(curve));
        goto out;
    }
    ERR_pop_to_mark();
    if (EC_POINT_mul(group, q, NULL, q, number, NULL) != 1 ||
        EC_POINT_add(group, q, q, issuer, NULL) != 1) {
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "ECQV");
        goto out;
    }
    status = dot2_key_of_point(crypto, curve, q, key, error);
out:
    BN_free(number);
    EC_POINT_free(issuer);
    EC_POINT_free(q);
    return status;
}

enum dot2_status dot2_ecqv_reconstruct_private(const dot2_crypto *crypto, const uint8_t e[32],
                                               const EVP_PKEY *request_key, const uint8_t s[32],
                                               EVP_PKEY **key, struct dot2_error *error)
{
    enum dot2_curve curve = dot2_key_curve(request_key);
    enum dot2_status status = DOT2_E_CRYPTO;
    const BIGNUM *order = NULL;
    /* Whatever is secret, e k too, is where the application has its secure heap. */
    BIGNUM *k = BN_secure_new(), *d = BN_secure_new(), *number = BN_secure_new();
    BN_CTX *ctx = NULL;

    *key = NULL;
    if (dot2_curve_size(curve) != 32) {
        status = dot2_fail(error, DOT2_E_ALGORITHM, NULL, "ECQV is for the 256-bit curves");
        goto out;
    }
    order = dot2_order(crypto, curve);
    ctx = BN_CTX_secure_new_ex(dot2_crypto_libctx(crypto));
    if (ctx == NULL || k == NULL || d == NULL || number == NULL ||
        BN_bin2bn(e, 32, number) == NULL || BN_bin2bn(s, 32, d) == NULL) {
        status = dot2_fail_memory(error);
        goto out;
    }
    if (!EVP_PKEY_get_bn_param(request_key, OSSL_PKEY_PARAM_PRIV_KEY, &k)) {
        status = dot2_fail(error, DOT2_E_ARGUMENT, NULL,
                           "the private number of the key cannot be had: not a software key");
        goto out;
    }
    BN_set_flags(k, BN_FLG_CONSTTIME);
    BN_set_flags(d, BN_FLG_CONSTTIME);
    if (BN_cmp(d, order) >= 0) {
        status = dot2_fail(error, DOT2_E_ARGUMENT, NULL,
                           "the private key reconstruction value is not below the group's order");
        goto out;
    }
    if (!BN_mod_mul(number, number, k, order, ctx) || !BN_mod_add(d, d, number, order, ctx)) {
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "ECQV");
        goto out;
    }
    if (BN_is_zero(d)) {
        status = dot2_fail(error, DOT2_E_ARGUMENT, NULL, "the private number would be zero");
        goto out;
    }
    BN_set_flags(d, BN_FLG_CONSTTIME);
    status = dot2_key_pair(crypto, curve, d, key, error);
out:
    BN_clear_free(k);
    BN_clear_free(d);
    BN_clear_free(number);
    BN_CTX_free(ctx);
    return status;
}

/* e of a certificate: of canonical forms, as in every certificate hash (6.4.3). */
static enum dot2_status e_of(const dot2_crypto *crypto, const dot2_cert *cert,
                             const dot2_cert *issuer, uint8_t e[32], struct dot2_error *error)
{
    if (!dot2_cert_is_implicit(cert))
        return dot2_fail(error, DOT2_E_TYPE, "Certificate.type", "is not implicit");
    return dot2_ecqv_e(crypto, cert->canonical + cert->tbs_offset, cert->canonical_tbs_size,
                       issuer->canonical, issuer->canonical_size, e, error);
}

enum dot2_status dot2_ecqv_public_key(const dot2_crypto *crypto, const dot2_cert *cert,
                                      const dot2_cert *issuer, const EVP_PKEY *issuer_key,
                                      EVP_PKEY **key, struct dot2_error *error)
{
    enum dot2_curve curve = dot2_key_curve(issuer_key);
    uint8_t e[32];
    enum dot2_status status = e_of(crypto, cert, issuer, e, error);

    *key = NULL;
    if (status != DOT2_OK)
        return status;
    if (curve != DOT2_CURVE_P256 && curve != DOT2_CURVE_BRAINPOOL_P256R1)
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL,
                         "an implicit certificate has no form for an issuer's key on %s",
                         dot2_curve_name(curve));
    return dot2_ecqv_reconstruct_public(crypto, curve, e, cert->key.octets,
                                        dot2_point_size(&cert->key), issuer_key, key, error);
}

enum dot2_status dot2_ecqv_private_key(const dot2_crypto *crypto, const dot2_cert *cert,
                                       const dot2_cert *issuer, const EVP_PKEY *request_key,
                                       const uint8_t s[32], EVP_PKEY **key,
                                       struct dot2_error *error)
{
    uint8_t e[32];
    enum dot2_status status = e_of(crypto, cert, issuer, e, error);

    *key = NULL;
    if (status != DOT2_OK)
        return status;
    return dot2_ecqv_reconstruct_private(crypto, e, request_key, s, key, error);
}
