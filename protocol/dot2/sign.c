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

struct operation {
    EVP_PKEY_CTX *key;
    EVP_MD_CTX *digest;
};

static void operation_end(struct operation *operation)
{
    EVP_MD_CTX_free(operation->digest);
    EVP_PKEY_CTX_free(operation->key);
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
static enum dot2_status operation_begin(const dot2_crypto *crypto, EVP_PKEY *key,
                                        enum dot2_curve curve, bool verify, const uint8_t *signer,
                                        size_t signer_size, const char *format,
                                        struct operation *operation, struct dot2_error *error)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(
            "dot2-signer", signer_size > 0 ? (void *)(uintptr_t)signer : (void *)"", signer_size),
        OSSL_PARAM_construct_utf8_string("signature-format", (char *)(uintptr_t)format, 0),
        OSSL_PARAM_construct_end(),
    };
    OSSL_LIB_CTX *libctx = dot2_crypto_libctx(crypto);
    const char *md = dot2_digest_name(curve);
    enum dot2_status status = dot2_check_provider(crypto, error);
    int ok = 0;

    if (status != DOT2_OK)
        return status;
    operation->key = EVP_PKEY_CTX_new_from_pkey(libctx, key, DOT2_PROVIDER_PROPERTIES);
    operation->digest = EVP_MD_CTX_new();
    if (operation->digest == NULL)
        return dot2_fail_memory(error);
    if (operation->key != NULL) {
        EVP_MD_CTX_set_pkey_ctx(operation->digest, operation->key);
        ok = verify ? EVP_DigestVerifyInit_ex(operation->digest, NULL, md, libctx, NULL, key, NULL)
                    : EVP_DigestSignInit_ex(operation->digest, NULL, md, libctx, NULL, key, NULL);
    }
    if (ok <= 0 || !runs_in_dot2hsm(operation->key))
        return dot2_fail_openssl(error, DOT2_E_PROVIDER,
                                 "the key cannot be used in the provider " DOT2_PROVIDER_NAME);
    if (EVP_PKEY_CTX_set_params(operation->key, params) <= 0)
        return dot2_fail_openssl(error, DOT2_E_PROVIDER,
                                 "the provider " DOT2_PROVIDER_NAME " did not take the signer");
    return DOT2_OK;
}

static enum dot2_status sign(const dot2_crypto *crypto, EVP_PKEY *key, enum dot2_curve curve,
                             const uint8_t *data, size_t size, const uint8_t *signer,
                             size_t signer_size, const char *format, uint8_t *signature,
                             size_t capacity, size_t *signature_size, struct dot2_error *error)
{
    struct operation operation = {0};
    enum dot2_status status =
        operation_begin(crypto, key, curve, false, signer, signer_size, format, &operation, error);

    if (status == DOT2_OK) {
        *signature_size = capacity;
        if (EVP_DigestSign(operation.digest, signature, signature_size,
                           size > 0 ? data : (const uint8_t *)"", size) <= 0)
            status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "signing");
        if (status != DOT2_OK)
            *signature_size = 0;
    }
    operation_end(&operation);
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

/* 0 < number < n */
static bool in_range(const uint8_t *number, size_t size, const BIGNUM *order, bool *memory)
{
    BIGNUM *value = BN_bin2bn(number, (int)size, NULL);
    bool ok = value != NULL && !BN_is_zero(value) && BN_cmp(value, order) < 0;

    *memory = *memory || value == NULL;
    BN_free(value);
    return ok;
}

enum dot2_status dot2_verify(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t *data,
                             size_t size, const uint8_t *signer, size_t signer_size,
                             const Signature_t *signature, struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;
    enum dot2_curve curve = dot2_key_curve(key);
    struct operation operation = {0};
    struct dot2_signature parts = {0};
    uint8_t raw[RAW_MAX];
    size_t coordinate = 0;
    bool memory = false;

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
    coordinate = parts.r.coordinate;
    status = dot2_signature_r(crypto, &parts, true, raw, error);
    if (status != DOT2_OK)
        return status;
    memcpy(raw + coordinate, parts.s, coordinate);
    if (!in_range(raw, coordinate, dot2_order(crypto, curve), &memory) ||
        !in_range(raw + coordinate, coordinate, dot2_order(crypto, curve), &memory))
        return memory ? dot2_fail_memory(error)
                      : dot2_fail(error, DOT2_E_SIGNATURE, "Signature", "r or s out of range");

    status =
        operation_begin(crypto, key, curve, true, signer, signer_size, "p1363", &operation, error);
    if (status != DOT2_OK)
        goto out;
    ERR_set_mark(); /* a wrong signature is an answer, not an error of the library */
    if (EVP_DigestVerify(operation.digest, raw, 2 * coordinate,
                         size > 0 ? data : (const uint8_t *)"", size) != 1)
        status = dot2_fail(error, DOT2_E_SIGNATURE, "Signature", "does not verify");
    ERR_pop_to_mark();
out:
    operation_end(&operation);
    return status;
}
