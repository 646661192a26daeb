/* signature_params.c: parameters of an ECDSA operation, dot2-signer among them. */
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "provider/signature.h"

const OSSL_PARAM *prov_signature_gettable_ctx_params(void *vctx, void *vprovider)
{
    static const OSSL_PARAM gettable[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_size_t(OSSL_SIGNATURE_PARAM_DIGEST_SIZE, NULL),
        OSSL_PARAM_utf8_string(PROV_PARAM_SIGNATURE_FORMAT, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vctx;
    (void)vprovider;
    return gettable;
}

int prov_signature_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
    const struct prov_signature *ctx = vctx;
    const struct prov_digest *digest = NULL;
    OSSL_PARAM *p = NULL;

    if (ctx->key == NULL) {
        PROV_RAISE(PROV_R_NO_KEY, "parameters are there after an init with a key");
        return 0;
    }
    digest = ctx->digest != NULL ? ctx->digest : prov_signature_own_digest(ctx);
    p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
    if (p != NULL) {
        if (ctx->with_signer) {
            /* There is no identifier for it; X.509 under plain ECDSA's would not verify. */
            PROV_RAISE(PROV_R_PARAMETER, "no AlgorithmIdentifier with " PROV_PARAM_DOT2_SIGNER);
            return 0;
        }
        if (!OSSL_PARAM_set_octet_string(p, digest->algorithm_id, digest->algorithm_id_size))
            return 0;
    }
    p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST);
    if (p != NULL && !OSSL_PARAM_set_utf8_string(p, digest->names[0]))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST_SIZE);
    if (p != NULL && !OSSL_PARAM_set_size_t(p, digest->size))
        return 0;
    p = OSSL_PARAM_locate(params, PROV_PARAM_SIGNATURE_FORMAT);
    return p == NULL || OSSL_PARAM_set_utf8_string(p, ctx->p1363 ? "p1363" : "der");
}

const OSSL_PARAM *prov_signature_settable_ctx_params(void *vctx, void *vprovider)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_size_t(OSSL_SIGNATURE_PARAM_DIGEST_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, NULL, 0),
        OSSL_PARAM_octet_string(PROV_PARAM_DOT2_SIGNER, NULL, 0),
        OSSL_PARAM_utf8_string(PROV_PARAM_SIGNATURE_FORMAT, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vctx;
    (void)vprovider;
    return settable;
}

static void raise_not_own(const struct prov_signature *ctx, const struct prov_digest *digest)
{
    PROV_RAISE(PROV_R_DIGEST,
               "%s with a key on %s; with " PROV_PARAM_DOT2_SIGNER " it is %s and no other",
               digest->names[0], ctx->key->curve->name, ctx->key->curve->digest);
}

int prov_signature_set_digest(struct prov_signature *ctx, const char *name)
{
    const struct prov_digest *digest = prov_digest_find(name);

    if (digest == NULL || (ctx->operation == PROV_OP_SIGN && !digest->signs)) {
        PROV_RAISE(PROV_R_DIGEST_NAME, "%s; ECDSA goes with SHA-224, SHA-256, SHA-384 and SHA-512",
                   name);
        return 0;
    }
    if (ctx->with_signer && digest != prov_signature_own_digest(ctx)) {
        raise_not_own(ctx, digest);
        return 0;
    }
    ctx->digest = digest;
    return 1;
}

static int set_signer(struct prov_signature *ctx, const OSSL_PARAM *p)
{
    const struct prov_digest *own = prov_signature_own_digest(ctx);
    const EVP_MD *digest = NULL;

    if (p->data_type != OSSL_PARAM_OCTET_STRING || (p->data == NULL && p->data_size > 0)) {
        PROV_RAISE(PROV_R_PARAMETER, PROV_PARAM_DOT2_SIGNER " is an octet string");
        return 0;
    }
    if (ctx->updated || ctx->finished) {
        PROV_RAISE(PROV_R_STATE, PROV_PARAM_DOT2_SIGNER " is set before the first data");
        return 0;
    }
    if (ctx->digest != NULL && ctx->digest != own) {
        raise_not_own(ctx, ctx->digest);
        return 0;
    }
    digest = prov_digest_get(ctx->provider, own);
    if (digest == NULL)
        return 0;
    if (!EVP_Digest(p->data_size > 0 ? p->data : "", p->data_size, ctx->signer_digest, NULL, digest,
                    NULL)) {
        PROV_RAISE(PROV_R_DELEGATE, "hash of " PROV_PARAM_DOT2_SIGNER);
        return 0;
    }
    ctx->with_signer = true;
    return 1;
}

/* The string of a parameter, which need not be terminated, in a buffer of size octets. */
static int get_string(const OSSL_PARAM *p, char *text, size_t size)
{
    if (OSSL_PARAM_get_utf8_string(p, &text, size))
        return 1;
    PROV_RAISE(PROV_R_PARAMETER, "%s is a string of less than %zu octets", p->key, size);
    return 0;
}

/* The digest by name, after the init. Data that was hashed with another one cannot be taken back.
 */
static int change_digest(struct prov_signature *ctx, const char *name)
{
    const struct prov_digest *before = ctx->digest;

    if (*name == '\0')
        return 1;
    if (!prov_signature_set_digest(ctx, name))
        return 0;
    if (!ctx->digests || ctx->digest == before)
        return 1;
    if (ctx->updated || ctx->finished) {
        ctx->digest = before;
        PROV_RAISE(PROV_R_STATE, "the digest is set before the first data");
        return 0;
    }
    return prov_signature_open_digest(ctx);
}

static int check_digest_size(const struct prov_signature *ctx, const OSSL_PARAM *p)
{
    const struct prov_digest *digest = ctx->digest;
    size_t size = 0;

    if (OSSL_PARAM_get_size_t(p, &size) &&
        (digest != NULL ? digest->size == size : prov_digest_of_size(size) != NULL))
        return 1;
    PROV_RAISE(PROV_R_DIGEST_SIZE, "%zu octets; %s", size,
               digest != NULL ? digest->names[0] : "no digest has them");
    return 0;
}

int prov_signature_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
    struct prov_signature *ctx = vctx;
    const OSSL_PARAM *p = NULL;
    char text[64] = "";

    if (params == NULL)
        return 1;
    if (ctx->key == NULL) {
        PROV_RAISE(PROV_R_NO_KEY, "parameters are set after an init with a key");
        return 0;
    }
    p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST);
    if (p != NULL && (!get_string(p, text, sizeof(text)) || !change_digest(ctx, text)))
        return 0;
    p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST_SIZE);
    if (p != NULL && !check_digest_size(ctx, p))
        return 0;
    p = OSSL_PARAM_locate_const(params, PROV_PARAM_SIGNATURE_FORMAT);
    if (p != NULL) {
        if (!get_string(p, text, sizeof(text)))
            return 0;
        if (strcasecmp(text, "der") != 0 && strcasecmp(text, "p1363") != 0) {
            PROV_RAISE(PROV_R_PARAMETER, PROV_PARAM_SIGNATURE_FORMAT " is der or p1363, not %s",
                       text);
            return 0;
        }
        ctx->p1363 = strcasecmp(text, "p1363") == 0;
    }
    p = OSSL_PARAM_locate_const(params, PROV_PARAM_DOT2_SIGNER);
    return p == NULL || set_signer(ctx, p);
}

/* ---- the parameters of the hash beneath, whichever it has ---- */

static bool has_hash(const struct prov_signature *ctx)
{
    if (ctx->data != NULL)
        return true;
    PROV_RAISE(PROV_R_STATE, "no digest was begun");
    return false;
}

int prov_signature_get_ctx_md_params(void *vctx, OSSL_PARAM params[])
{
    struct prov_signature *ctx = vctx;

    return has_hash(ctx) && EVP_MD_CTX_get_params(ctx->data, params);
}

const OSSL_PARAM *prov_signature_gettable_ctx_md_params(void *vctx)
{
    const struct prov_signature *ctx = vctx;

    return has_hash(ctx) ? EVP_MD_CTX_gettable_params(ctx->data) : NULL;
}

int prov_signature_set_ctx_md_params(void *vctx, const OSSL_PARAM params[])
{
    struct prov_signature *ctx = vctx;

    return has_hash(ctx) && EVP_MD_CTX_set_params(ctx->data, params);
}

const OSSL_PARAM *prov_signature_settable_ctx_md_params(void *vctx)
{
    const struct prov_signature *ctx = vctx;

    return has_hash(ctx) ? EVP_MD_CTX_settable_params(ctx->data) : NULL;
}
