/*
 * sign.c: the one way to an ECDSA signature of IEEE 1609.2 5.3.1, and the one way to verify one.
 *
 * OpenSSL ignores parameters that a provider does not know. On a key of another provider
 * `dot2-signer` would be dropped silently and the result would be plain ECDSA. Hence the operation
 * is bound to the provider dot2hsm by its properties, and what OpenSSL chose is looked at before
 * anything is signed or verified.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "protocol/dot2/internal.h"

#define RAW_MAX (2 * DOT2_MAX_COORDINATE)

void dot2_verifier_free(EVP_MD_CTX *verifier)
{
    /* The key's context is ours, see operation_new(). */
    EVP_PKEY_CTX *key = verifier == NULL ? NULL : EVP_MD_CTX_get_pkey_ctx(verifier);

    EVP_MD_CTX_free(verifier);
    EVP_PKEY_CTX_free(key);
}

static bool runs_in_dot2hsm(EVP_PKEY_CTX *ctx)
{
    const OSSL_PROVIDER *provider = EVP_PKEY_CTX_get0_provider(ctx);
    const OSSL_PARAM *settable = EVP_PKEY_CTX_settable_params(ctx);

    return provider != NULL && strcmp(OSSL_PROVIDER_get0_name(provider), DOT2_PROVIDER_NAME) == 0 &&
           settable != NULL && OSSL_PARAM_locate_const(settable, "dot2-signer") != NULL;
}

/*
 * The key's context is made first, with the property query: given to EVP_DigestSignInit_ex, it
 * would also be applied to the digest, which dot2hsm has not, and each operation would search all
 * providers in vain.
 */
static enum dot2_status operation_new(const dot2_crypto *crypto, EVP_PKEY *key,
                                      enum dot2_curve curve, bool verify, const uint8_t *signer,
                                      size_t signer_size, const char *format,
                                      EVP_MD_CTX **operation, struct dot2_error *error)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(
            "dot2-signer", signer_size > 0 ? (void *)(uintptr_t)signer : (void *)"", signer_size),
        OSSL_PARAM_construct_utf8_string("signature-format", (char *)(uintptr_t)format, 0),
        OSSL_PARAM_construct_end(),
    };
    OSSL_LIB_CTX *libctx = dot2_crypto_libctx(crypto);
    const char *md = dot2_digest_name(curve);
    enum dot2_status status = DOT2_OK;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(libctx, key, DOT2_PROVIDER_PROPERTIES);
    EVP_MD_CTX *made = EVP_MD_CTX_new();
    int ok = 0;

    *operation = NULL;
    if (made == NULL) {
        EVP_PKEY_CTX_free(ctx);
        return dot2_fail_memory(error);
    }
    if (ctx != NULL) {
        EVP_MD_CTX_set_pkey_ctx(made, ctx);
        ok = verify ? EVP_DigestVerifyInit_ex(made, NULL, md, libctx, NULL, key, NULL)
                    : EVP_DigestSignInit_ex(made, NULL, md, libctx, NULL, key, NULL);
    }
    if (ok <= 0 || !runs_in_dot2hsm(ctx))
        status = dot2_fail_openssl(error, DOT2_E_PROVIDER,
                                   "the key cannot be used in the provider " DOT2_PROVIDER_NAME);
    else if (EVP_PKEY_CTX_set_params(ctx, params) <= 0)
        status = dot2_fail_openssl(error, DOT2_E_PROVIDER,
                                   "the provider " DOT2_PROVIDER_NAME " did not take the signer");
    if (status == DOT2_OK)
        *operation = made;
    else
        dot2_verifier_free(made);
    return status;
}

static enum dot2_status sign(const dot2_crypto *crypto, EVP_PKEY *key, enum dot2_curve curve,
                             const uint8_t *data, size_t size, const uint8_t *signer,
                             size_t signer_size, const char *format, uint8_t *signature,
                             size_t capacity, size_t *signature_size, struct dot2_error *error)
{
    EVP_MD_CTX *operation = NULL;
    enum dot2_status status = dot2_check_provider(crypto, error);

    if (status == DOT2_OK)
        status = operation_new(crypto, key, curve, false, signer, signer_size, format, &operation,
                               error);
    if (status == DOT2_OK) {
        *signature_size = capacity;
        if (EVP_DigestSign(operation, signature, signature_size,
                           size > 0 ? data : (const uint8_t *)"", size) <= 0)
            status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "signing");
        if (status != DOT2_OK)
            *signature_size = 0;
    }
    dot2_verifier_free(operation);
    return status;
}

enum dot2_status dot2_sign_format(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t *data,
                                  size_t size, const uint8_t *signer, size_t signer_size,
                                  enum dot2_signature_format format, uint8_t signature[112],
                                  size_t *signature_size, struct dot2_error *error)
{
    enum dot2_curve curve = dot2_key_curve(key);

    *signature_size = 0;
    if (curve == DOT2_CURVE_NONE)
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL, "a key on a curve that is not known here");
    return sign(crypto, key, curve, data, size, signer, signer_size,
                format == DOT2_SIGNATURE_RAW ? "p1363" : "der", signature, 112, signature_size,
                error);
}

enum dot2_status dot2_sign(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t *data,
                           size_t size, const uint8_t *signer, size_t signer_size,
                           uint8_t signature[DOT2_SIGNATURE_MAX], size_t *signature_size,
                           struct dot2_error *error)
{
    enum dot2_curve curve = dot2_key_curve(key);
    enum dot2_status status = DOT2_OK;
    uint8_t raw[112];
    size_t raw_size = 0;
    uint8_t *p = signature;

    *signature_size = 0;
    if (curve == DOT2_CURVE_NONE || curve == DOT2_CURVE_P384)
        return dot2_fail(error, DOT2_E_ALGORITHM, "Signature",
                         "the type has no alternative for a key on %s",
                         curve == DOT2_CURVE_P384 ? "NIST P-384" : "this curve");
    status = sign(crypto, key, curve, data, size, signer, signer_size, "p1363", raw, sizeof(raw),
                  &raw_size, error);
    if (status != DOT2_OK)
        return status;
    if (raw_size != 2 * dot2_curve_size(curve))
        return dot2_fail(error, DOT2_E_CRYPTO, "Signature", "a signature of %zu octets", raw_size);
    switch (curve) {
    case DOT2_CURVE_P256:
        *p++ = 0x80;
        break;
    case DOT2_CURVE_BRAINPOOL_P256R1:
        *p++ = 0x81;
        break;
    default:
        *p++ = 0x82; /* behind the extension marker: an open type, 97 octets */
        *p++ = (uint8_t)(1 + raw_size);
        break;
    }
    *p++ = 0x80; /* x-only */
    memcpy(p, raw, raw_size);
    *signature_size = (size_t)(p - signature) + raw_size;
    return DOT2_OK;
}

/* 0 < number < n, all of them of size octets. */
static bool in_range(const uint8_t *number, const uint8_t *order, size_t size)
{
    static const uint8_t zero[DOT2_MAX_COORDINATE];

    return memcmp(number, zero, size) != 0 && memcmp(number, order, size) < 0;
}

/* The signature as r || s, as far as that can be told without the key. */
static enum dot2_status read_signature(const dot2_crypto *crypto, enum dot2_curve curve,
                                       const Signature_t *signature, uint8_t raw[RAW_MAX],
                                       size_t *coordinate, struct dot2_error *error)
{
    struct dot2_signature parts = {0};
    uint8_t order[DOT2_MAX_COORDINATE];
    enum dot2_status status = DOT2_OK;

    if (curve == DOT2_CURVE_NONE || curve == DOT2_CURVE_P384)
        return dot2_fail(error, DOT2_E_ALGORITHM, "Signature",
                         "the type has no alternative for a key on %s",
                         curve == DOT2_CURVE_P384 ? "NIST P-384" : "this curve");
    if (!dot2_signature_read(signature, &parts))
        return dot2_fail(error, DOT2_E_SIGNATURE, "Signature.rSig",
                         "no point that a signature has");
    if (parts.curve != curve)
        return dot2_fail(error, DOT2_E_SIGNATURE, "Signature", "a signature on %s, a key on %s",
                         dot2_curve_name(parts.curve), dot2_curve_name(curve));
    *coordinate = parts.r.coordinate;
    status = dot2_signature_r(crypto, &parts, true, raw, error);
    if (status != DOT2_OK)
        return status;
    memcpy(raw + *coordinate, parts.s, *coordinate);
    if (BN_bn2binpad(dot2_order(crypto, curve), order, (int)*coordinate) < 0)
        return dot2_fail(error, DOT2_E_CRYPTO, NULL, "the order of %s", dot2_curve_name(curve));
    if (!in_range(raw, order, *coordinate) || !in_range(raw + *coordinate, order, *coordinate))
        return dot2_fail(error, DOT2_E_SIGNATURE, "Signature", "r or s out of range");
    return DOT2_OK;
}

/*
 * The provider's context is ready for the next data as it stands. libcrypto 3.0 knows no end of one
 * either; newer ones want it begun again, which in 3.0 would cost a search for digests.
 */
static bool start_again(EVP_MD_CTX *verifier)
{
    return (OPENSSL_version_major() == 3 && OPENSSL_version_minor() == 0) ||
           EVP_DigestVerifyInit_ex(verifier, NULL, NULL, NULL, NULL, NULL, NULL) > 0;
}

enum dot2_status dot2_verify_kept(const dot2_crypto *crypto, EVP_PKEY *key, enum dot2_curve curve,
                                  const uint8_t *data, size_t size, const uint8_t *signer,
                                  size_t signer_size, const Signature_t *signature,
                                  EVP_MD_CTX **kept, struct dot2_error *error)
{
    EVP_MD_CTX *verifier = NULL;
    uint8_t raw[RAW_MAX];
    size_t coordinate = 0;
    enum dot2_status status = read_signature(crypto, curve, signature, raw, &coordinate, error);

    if (status == DOT2_OK)
        status = dot2_check_provider(crypto, error);
    if (status != DOT2_OK)
        return status;
    if (kept != NULL)
        verifier = __atomic_exchange_n(kept, NULL, __ATOMIC_ACQ_REL);
    if (verifier == NULL)
        status =
            operation_new(crypto, key, curve, true, signer, signer_size, "p1363", &verifier, error);
    if (status != DOT2_OK)
        return status;
    ERR_set_mark(); /* a wrong signature is an answer, not an error of the library */
    if (EVP_DigestVerify(verifier, raw, 2 * coordinate, size > 0 ? data : (const uint8_t *)"",
                         size) != 1)
        status = dot2_fail(error, DOT2_E_SIGNATURE, "Signature", "does not verify");
    ERR_pop_to_mark();
    /* Ready for the next message; what another thread has put there meanwhile makes room. */
    if (kept != NULL && status == DOT2_OK && start_again(verifier))
        verifier = __atomic_exchange_n(kept, verifier, __ATOMIC_ACQ_REL);
    dot2_verifier_free(verifier);
    return status;
}

enum dot2_status dot2_verify(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t *data,
                             size_t size, const uint8_t *signer, size_t signer_size,
                             const Signature_t *signature, struct dot2_error *error)
{
    return dot2_verify_kept(crypto, key, dot2_key_curve(key), data, size, signer, signer_size,
                            signature, NULL, error);
}
