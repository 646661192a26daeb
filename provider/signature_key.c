/*
 * signature_key.c: ECDSA over a digest, as the key has it: signing in a token or in software,
 * verification always in software.
 */
#include <string.h>

#include <openssl/err.h>

#include "provider/signature.h"

size_t prov_signature_max_size(const struct prov_signature *ctx)
{
    const struct prov_curve *curve = ctx->key->curve;

    return ctx->p1363 ? 2 * curve->size : prov_der_max_size(curve);
}

/* The delegate's context, initialised for the operation. */
static EVP_PKEY_CTX *delegate_get(struct prov_signature *ctx)
{
    if (ctx->delegate != NULL)
        return ctx->delegate;
    ctx->delegate = prov_delegate_of_key(ctx->key);
    if (ctx->delegate == NULL)
        return NULL;
    if ((ctx->operation == PROV_OP_SIGN ? EVP_PKEY_sign_init(ctx->delegate)
                                        : EVP_PKEY_verify_init(ctx->delegate)) <= 0) {
        PROV_RAISE(PROV_R_DELEGATE, "ECDSA in software cannot be started");
        EVP_PKEY_CTX_free(ctx->delegate);
        ctx->delegate = NULL;
    }
    return ctx->delegate;
}

static int sign_in_software(struct prov_signature *ctx, const uint8_t *digest, size_t digest_size,
                            uint8_t *signature, size_t *size)
{
    uint8_t der[2 + 2 * (2 + 1 + PROV_MAX_COORDINATE)];
    size_t der_size = sizeof(der);
    EVP_PKEY_CTX *delegate = delegate_get(ctx);

    if (delegate == NULL)
        return 0;
    if (EVP_PKEY_sign(delegate, der, &der_size, digest, digest_size) <= 0) {
        PROV_RAISE(PROV_R_DELEGATE, "ECDSA in software");
        return 0;
    }
    if (ctx->p1363) {
        *size = 2 * ctx->key->curve->size;
        return prov_p1363_from_der(der, der_size, signature, ctx->key->curve->size);
    }
    memcpy(signature, der, der_size);
    *size = der_size;
    return 1;
}

static int sign_in_token(struct prov_signature *ctx, const uint8_t *digest, size_t digest_size,
                         uint8_t *signature, size_t *size, size_t capacity)
{
    uint8_t raw[2 * PROV_MAX_COORDINATE];
    size_t raw_size = sizeof(raw);
    size_t coordinate = ctx->key->curve->size;
    enum p11_status status = P11_OK;

    status = p11_key_sign(ctx->key->token, digest, digest_size, raw, &raw_size);
    if (status != P11_OK)
        return 0;
    if (raw_size != 2 * coordinate) {
        PROV_RAISE(PROV_R_SIGNATURE_FORM, "%zu octets of %s instead of %zu", raw_size,
                   p11_key_uri(ctx->key->token), 2 * coordinate);
        return 0;
    }
    if (ctx->p1363) {
        memcpy(signature, raw, raw_size);
        *size = raw_size;
        return 1;
    }
    *size = capacity;
    return prov_der_from_p1363(raw, coordinate, signature, size);
}

int prov_signature_sign(struct prov_signature *ctx, const uint8_t *digest, size_t digest_size,
                        uint8_t *signature, size_t *size, size_t capacity)
{
    if (ctx->key->token != NULL)
        return sign_in_token(ctx, digest, digest_size, signature, size, capacity);
    return sign_in_software(ctx, digest, digest_size, signature, size);
}

int prov_signature_verify(struct prov_signature *ctx, const uint8_t *digest, size_t digest_size,
                          const uint8_t *signature, size_t size)
{
    uint8_t der[2 + 2 * (2 + 1 + PROV_MAX_COORDINATE)];
    size_t der_size = sizeof(der);
    size_t coordinate = ctx->key->curve->size;
    EVP_PKEY_CTX *delegate = delegate_get(ctx);

    if (delegate == NULL)
        return 0;
    if (ctx->p1363) {
        if (size != 2 * coordinate) {
            PROV_RAISE(PROV_R_SIGNATURE_FORM, "%zu octets instead of %zu", size, 2 * coordinate);
            return 0;
        }
        if (!prov_der_from_p1363(signature, coordinate, der, &der_size))
            return 0;
        signature = der;
        size = der_size;
    }
    if (EVP_PKEY_verify(delegate, signature, size, digest, digest_size) == 1)
        return 1;
    PROV_RAISE(PROV_R_NOT_VALID, "ECDSA on %s%s", ctx->key->curve->name,
               ctx->with_signer ? ", with " PROV_PARAM_DOT2_SIGNER : "");
    return 0;
}
