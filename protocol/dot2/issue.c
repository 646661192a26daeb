/* issue.c: issuing certificates, explicit and implicit. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include "protocol/dot2/asn1_key.h"
#include "protocol/dot2/internal.h"

static bool set_issuer(coer_arena *arena, IssuerIdentifier_t *asn1, const dot2_cert *issuer,
                       enum dot2_curve own)
{
    if (issuer == NULL) {
        asn1->present = IssuerIdentifier_PR_self;
        asn1->choice.self =
            dot2_curve_hash_size(own) == 48 ? HashAlgorithm_sha384 : HashAlgorithm_sha256;
        return true;
    }
    if (issuer->hash_size == 48) {
        asn1->present = IssuerIdentifier_PR_sha384AndDigest;
        return coer_octets(arena, &asn1->choice.sha384AndDigest, dot2_cert_hashedid8(issuer), 8);
    }
    asn1->present = IssuerIdentifier_PR_sha256AndDigest;
    return coer_octets(arena, &asn1->choice.sha256AndDigest, dot2_cert_hashedid8(issuer), 8);
}

/* The certificate without its signature, then with it: the codec needs both only as octets. */
static enum dot2_status sign_certificate(const dot2_crypto *crypto, coer_arena *arena,
                                         CertificateBase_t *base, const dot2_cert *issuer,
                                         EVP_PKEY *issuer_key, struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;
    struct coer_error coer = {0};
    uint8_t signature[DOT2_SIGNATURE_MAX];
    uint8_t *tbs = NULL, *kept = NULL;
    size_t tbs_size = 0, size = 0;
    void *value = NULL;

    if (coer_encode_alloc(&asn_DEF_ToBeSignedCertificate, &base->toBeSigned, &tbs, &tbs_size,
                          &coer) != COER_OK)
        return dot2_fail_coer(error, &coer, 0);
    status = dot2_sign(crypto, issuer_key, tbs, tbs_size, issuer == NULL ? NULL : issuer->canonical,
                       issuer == NULL ? 0 : issuer->canonical_size, signature, &size, error);
    if (status != DOT2_OK)
        goto out;
    /* Decoded, the value points into its octets: they live in the arena. */
    kept = coer_arena_alloc(arena, size);
    if (kept == NULL) {
        status = dot2_fail_memory(error);
        goto out;
    }
    memcpy(kept, signature, size);
    if (coer_decode(arena, &asn_DEF_Signature, kept, size, &value, &coer) != COER_OK)
        status = dot2_fail_coer(error, &coer, 0);
    else
        base->signature = value;
out:
    free(tbs);
    return status;
}

/* P_U = R_U + k G; k and P_U are new for each certificate. */
static enum dot2_status blind(const dot2_crypto *crypto, enum dot2_curve curve,
                              const EVP_PKEY *subject_key, BIGNUM *k, uint8_t compressed[33],
                              struct dot2_error *error)
{
    const EC_GROUP *group = dot2_group(crypto, curve);
    EC_POINT *subject = NULL, *point = EC_POINT_new(group);
    BN_CTX *ctx = BN_CTX_secure_new_ex(dot2_crypto_libctx(crypto));
    enum dot2_status status = dot2_point_of_key(crypto, subject_key, &subject, error);

    if (status != DOT2_OK)
        goto out;
    status = DOT2_E_CRYPTO;
    if (point == NULL || ctx == NULL)
        goto out;
    do {
        if (!BN_priv_rand_range_ex(k, dot2_order(crypto, curve), 0, ctx))
            goto out;
    } while (BN_is_zero(k));
    BN_set_flags(k, BN_FLG_CONSTTIME);
    if (EC_POINT_mul(group, point, k, NULL, NULL, ctx) != 1 ||
        EC_POINT_add(group, point, point, subject, ctx) != 1 ||
        EC_POINT_point2oct(group, point, POINT_CONVERSION_COMPRESSED, compressed, 33, ctx) != 33)
        goto out;
    status = DOT2_OK;
out:
    if (status == DOT2_E_CRYPTO)
        dot2_fail_openssl(error, status, "ECQV");
    BN_CTX_free(ctx);
    EC_POINT_free(subject);
    EC_POINT_free(point);
    return status;
}

/* s = e k + d_CA mod n. */
static enum dot2_status reconstruction_value(const dot2_crypto *crypto, const dot2_cert *cert,
                                             const dot2_cert *issuer, const EVP_PKEY *issuer_key,
                                             const BIGNUM *k, uint8_t s[32],
                                             struct dot2_error *error)
{
    const BIGNUM *order = dot2_order(crypto, dot2_key_curve(issuer_key));
    enum dot2_status status = DOT2_E_CRYPTO;
    BN_CTX *ctx = BN_CTX_secure_new_ex(dot2_crypto_libctx(crypto));
    BIGNUM *d = NULL, *number = NULL, *sum = BN_secure_new();
    uint8_t e[32];

    if (!EVP_PKEY_get_bn_param(issuer_key, OSSL_PKEY_PARAM_PRIV_KEY, &d)) {
        status = dot2_fail(error, DOT2_E_ARGUMENT, NULL,
                           "implicit certificates are issued with a software key; the private "
                           "number of this one cannot be had");
        goto out;
    }
    status = dot2_ecqv_e(crypto, cert->canonical + cert->tbs_offset, cert->canonical_tbs_size,
                         issuer->canonical, issuer->canonical_size, e, error);
    if (status != DOT2_OK)
        goto out;
    BN_set_flags(d, BN_FLG_CONSTTIME);
    number = BN_bin2bn(e, sizeof(e), NULL);
    if (ctx == NULL || number == NULL || sum == NULL ||
        !BN_mod_mul(number, number, k, order, ctx) || !BN_mod_add(sum, number, d, order, ctx) ||
        BN_bn2binpad(sum, s, 32) < 0)
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "ECQV");
out:
    BN_clear_free(d);
    BN_clear_free(number);
    BN_clear_free(sum);
    BN_CTX_free(ctx);
    return status;
}

static enum dot2_status finish(const dot2_crypto *crypto, const CertificateBase_t *base,
                               dot2_cert **cert, struct dot2_error *error)
{
    struct coer_error coer = {0};
    enum dot2_status status = DOT2_OK;
    uint8_t *octets = NULL;
    size_t size = 0;

    if (coer_encode_alloc(&asn_DEF_CertificateBase, base, &octets, &size, &coer) != COER_OK)
        return dot2_fail_coer(error, &coer, 0);
    status = dot2_cert_new(crypto, octets, size, cert, error);
    free(octets);
    if (status == DOT2_OK && (*cert)->canonical != (*cert)->octets) {
        dot2_cert_free(*cert);
        *cert = NULL;
        status = dot2_fail(error, DOT2_E_ARGUMENT, "Certificate.toBeSigned.encryptionKey",
                           "is not compressed; what we issue is in canonical form");
    }
    return status;
}

static enum dot2_status issue_implicit(const dot2_crypto *crypto, coer_arena *arena,
                                       CertificateBase_t *base, const EVP_PKEY *subject_key,
                                       const dot2_cert *issuer, const EVP_PKEY *issuer_key,
                                       dot2_cert **cert, uint8_t s[32], struct dot2_error *error)
{
    VerificationKeyIndicator_t *indicator = &base->toBeSigned.verifyKeyIndicator;
    enum dot2_curve curve = dot2_key_curve(issuer_key);
    enum dot2_status status = DOT2_OK;
    uint8_t point[33];
    BIGNUM *k = NULL;

    if (issuer == NULL || s == NULL)
        return dot2_fail(error, DOT2_E_ARGUMENT, NULL,
                         "an implicit certificate has an issuer and a reconstruction value");
    if (dot2_curve_size(curve) != 32 || curve != dot2_key_curve(subject_key))
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL,
                         "ECQV needs both keys on one 256-bit curve");
    k = BN_secure_new();
    if (k == NULL)
        return dot2_fail_memory(error);
    status = blind(crypto, curve, subject_key, k, point, error);
    if (status != DOT2_OK)
        goto out;
    base->type = CertificateType_implicit;
    indicator->present = VerificationKeyIndicator_PR_reconstructionValue;
    if (!dot2_asn1_set_point(arena, &indicator->choice.reconstructionValue, point)) {
        status = dot2_fail_memory(error);
        goto out;
    }
    status = finish(crypto, base, cert, error);
    if (status != DOT2_OK)
        goto out;
    status = reconstruction_value(crypto, *cert, issuer, issuer_key, k, s, error);
    if (status != DOT2_OK) {
        dot2_cert_free(*cert);
        *cert = NULL;
    }
out:
    BN_clear_free(k);
    return status;
}

enum dot2_status dot2_cert_issue(const dot2_crypto *crypto, coer_arena *arena,
                                 ToBeSignedCertificate_t *body, const EVP_PKEY *subject_key,
                                 const dot2_cert *issuer, EVP_PKEY *issuer_key, bool implicit,
                                 dot2_cert **cert, uint8_t s[32], struct dot2_error *error)
{
    VerificationKeyIndicator_t *indicator = &body->verifyKeyIndicator;
    enum dot2_status status = DOT2_OK;
    CertificateBase_t base = {0};

    *cert = NULL;
    base.version = 3;
    base.toBeSigned = *body; /* shares what body points to, which lives as long as the arena */
    if (!set_issuer(arena, &base.issuer, issuer, dot2_key_curve(subject_key)))
        return dot2_fail_memory(error);
    if (implicit) {
        status =
            issue_implicit(crypto, arena, &base, subject_key, issuer, issuer_key, cert, s, error);
    } else {
        base.type = CertificateType_explicit;
        base.toBeSigned.verifyKeyIndicator.present = VerificationKeyIndicator_PR_verificationKey;
        status = dot2_asn1_set_verification_key(
            arena, &base.toBeSigned.verifyKeyIndicator.choice.verificationKey, subject_key,
            "Certificate.toBeSigned.verifyKeyIndicator", error);
        if (status == DOT2_OK)
            status = sign_certificate(crypto, arena, &base, issuer, issuer_key, error);
        if (status == DOT2_OK)
            status = finish(crypto, &base, cert, error);
    }
    *indicator = base.toBeSigned.verifyKeyIndicator;
    return status;
}
