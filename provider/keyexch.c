/* keyexch.c: KEYEXCH "ECDH": the x-coordinate of d * peer, by the token or in software. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "provider/provider.h"

static OSSL_FUNC_keyexch_newctx_fn keyexch_newctx;
static OSSL_FUNC_keyexch_freectx_fn keyexch_freectx;
static OSSL_FUNC_keyexch_dupctx_fn keyexch_dupctx;
static OSSL_FUNC_keyexch_init_fn keyexch_init;
static OSSL_FUNC_keyexch_set_peer_fn keyexch_set_peer;
static OSSL_FUNC_keyexch_derive_fn keyexch_derive;
static OSSL_FUNC_keyexch_set_ctx_params_fn keyexch_set_ctx_params;
static OSSL_FUNC_keyexch_settable_ctx_params_fn keyexch_settable_ctx_params;
static OSSL_FUNC_keyexch_get_ctx_params_fn keyexch_get_ctx_params;
static OSSL_FUNC_keyexch_gettable_ctx_params_fn keyexch_gettable_ctx_params;

struct keyexch {
    struct prov_ctx *provider;
    struct prov_key *key; /* a reference of our own */
    bool has_peer;        /* only for a token key: the peer's point, uncompressed */
    uint8_t point[1 + 2 * PROV_MAX_COORDINATE];
    EVP_PKEY_CTX *delegate; /* only for a software key; it knows the peer and the parameters */
};

static void *keyexch_newctx(void *vprovider)
{
    struct keyexch *ctx = OPENSSL_zalloc(sizeof(*ctx));

    if (ctx == NULL)
        PROV_RAISE(PROV_R_MEMORY, NULL);
    else
        ctx->provider = vprovider;
    return ctx;
}

static void keyexch_freectx(void *vctx)
{
    struct keyexch *ctx = vctx;

    if (ctx == NULL)
        return;
    prov_key_free(ctx->key);
    EVP_PKEY_CTX_free(ctx->delegate);
    OPENSSL_free(ctx);
}

static void *keyexch_dupctx(void *vctx)
{
    const struct keyexch *ctx = vctx;
    struct keyexch *copy = OPENSSL_memdup(ctx, sizeof(*ctx));

    if (copy == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return NULL;
    }
    if (copy->key != NULL)
        (void)prov_key_up_ref(copy->key);
    if (ctx->delegate != NULL) {
        copy->delegate = EVP_PKEY_CTX_dup(ctx->delegate);
        if (copy->delegate == NULL) {
            PROV_RAISE(PROV_R_DELEGATE, "the context cannot be duplicated");
            keyexch_freectx(copy);
            return NULL;
        }
    }
    return copy;
}

static int keyexch_init(void *vctx, void *vkey, const OSSL_PARAM params[])
{
    struct keyexch *ctx = vctx;
    struct prov_key *key = vkey;

    if (key == NULL || key->software == NULL || !key->has_private) {
        PROV_RAISE(PROV_R_NO_PRIVATE_KEY, "ECDH needs one");
        return 0;
    }
    if (key->token != NULL && !p11_key_can_derive(key->token)) {
        PROV_RAISE(PROV_R_NO_PRIVATE_KEY,
                   "%s may not derive (no CKA_DERIVE), or its token has no CKM_ECDH1_DERIVE",
                   p11_key_uri(key->token));
        return 0;
    }
    (void)prov_key_up_ref(key);
    prov_key_free(ctx->key);
    EVP_PKEY_CTX_free(ctx->delegate);
    ctx->key = key;
    ctx->has_peer = false;
    ctx->delegate = NULL;
    if (key->token == NULL) {
        ctx->delegate = prov_delegate_new(ctx->provider, key->software);
        if (ctx->delegate == NULL || EVP_PKEY_derive_init(ctx->delegate) <= 0) {
            PROV_RAISE(PROV_R_DELEGATE, "ECDH in software cannot be started");
            return 0;
        }
    }
    return keyexch_set_ctx_params(ctx, params);
}

static int keyexch_set_peer(void *vctx, void *vpeer)
{
    struct keyexch *ctx = vctx;
    struct prov_key *peer = vpeer;

    if (ctx->key == NULL || peer == NULL || peer->software == NULL || !peer->has_public) {
        PROV_RAISE(PROV_R_PEER, "no public key of the peer, or no key of ours");
        return 0;
    }
    if (EVP_PKEY_parameters_eq(ctx->key->software, peer->software) != 1) {
        PROV_RAISE(PROV_R_PEER, "it is on another curve");
        return 0;
    }
    if (ctx->delegate != NULL) {
        if (EVP_PKEY_derive_set_peer(ctx->delegate, peer->software) > 0)
            return 1;
        PROV_RAISE(PROV_R_PEER, "refused by the provider that does the software work");
        return 0;
    }
    ctx->has_peer = prov_point_octets(peer->software, ctx->point, ctx->key->curve->size) == 1;
    return ctx->has_peer;
}

static int derive_in_token(struct keyexch *ctx, uint8_t *secret, size_t *size, size_t capacity)
{
    size_t coordinate = ctx->key->curve->size;
    enum p11_status status = P11_OK;

    if (!ctx->has_peer) {
        PROV_RAISE(PROV_R_PEER, "none was set");
        return 0;
    }
    *size = coordinate;
    if (secret == NULL)
        return 1;
    if (capacity < coordinate) {
        PROV_RAISE(PROV_R_BUFFER, "%zu octets for a secret of %zu", capacity, coordinate);
        return 0;
    }
    /* The point was checked to be on the curve when the key was made. */
    status = p11_key_derive(ctx->key->token, ctx->point, 1 + 2 * coordinate, secret, size);
    return status == P11_OK;
}

static int keyexch_derive(void *vctx, unsigned char *secret, size_t *size, size_t capacity)
{
    struct keyexch *ctx = vctx;

    if (ctx->key == NULL) {
        PROV_RAISE(PROV_R_NO_KEY, "derive without an init");
        return 0;
    }
    if (ctx->delegate == NULL)
        return derive_in_token(ctx, secret, size, capacity);
    *size = capacity;
    if (EVP_PKEY_derive(ctx->delegate, secret, size) > 0)
        return 1;
    PROV_RAISE(PROV_R_DELEGATE, "ECDH in software");
    return 0;
}

/* ---- parameters: those of the delegate; a token key knows the plain form only ---- */

static const OSSL_PARAM *keyexch_settable_ctx_params(void *vctx, void *vprovider)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_int(OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, NULL),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST_PROPS, NULL, 0),
        OSSL_PARAM_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, NULL),
        OSSL_PARAM_octet_string(OSSL_EXCHANGE_PARAM_KDF_UKM, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vctx;
    (void)vprovider;
    return settable;
}

static int keyexch_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
    struct keyexch *ctx = vctx;
    const OSSL_PARAM *p = NULL;

    if (params == NULL)
        return 1;
    if (ctx->delegate != NULL) {
        if (EVP_PKEY_CTX_set_params(ctx->delegate, params) > 0)
            return 1;
        PROV_RAISE(PROV_R_PARAMETER, "refused by the provider that does the software work");
        return 0;
    }
    p = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_TYPE);
    if (p != NULL && (p->data_type != OSSL_PARAM_UTF8_STRING ||
                      (p->data_size > 0 && *(const char *)p->data != '\0'))) {
        PROV_RAISE(PROV_R_PARAMETER, "ECDH in a token is without a KDF");
        return 0;
    }
    return 1;
}

static const OSSL_PARAM *keyexch_gettable_ctx_params(void *vctx, void *vprovider)
{
    return keyexch_settable_ctx_params(vctx, vprovider);
}

static int keyexch_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
    struct keyexch *ctx = vctx;
    OSSL_PARAM *p = NULL;

    if (ctx->delegate != NULL) {
        if (EVP_PKEY_CTX_get_params(ctx->delegate, params) > 0)
            return 1;
        PROV_RAISE(PROV_R_PARAMETER, "refused by the provider that does the software work");
        return 0;
    }
    p = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE);
    if (p != NULL && !OSSL_PARAM_set_int(p, 0)) /* the cofactor of all four curves is 1 */
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_TYPE);
    return p == NULL || OSSL_PARAM_set_utf8_string(p, "");
}

const OSSL_DISPATCH prov_keyexch_functions[] = {
    {OSSL_FUNC_KEYEXCH_NEWCTX, (void (*)(void))keyexch_newctx},
    {OSSL_FUNC_KEYEXCH_FREECTX, (void (*)(void))keyexch_freectx},
    {OSSL_FUNC_KEYEXCH_DUPCTX, (void (*)(void))keyexch_dupctx},
    {OSSL_FUNC_KEYEXCH_INIT, (void (*)(void))keyexch_init},
    {OSSL_FUNC_KEYEXCH_SET_PEER, (void (*)(void))keyexch_set_peer},
    {OSSL_FUNC_KEYEXCH_DERIVE, (void (*)(void))keyexch_derive},
    {OSSL_FUNC_KEYEXCH_SET_CTX_PARAMS, (void (*)(void))keyexch_set_ctx_params},
    {OSSL_FUNC_KEYEXCH_SETTABLE_CTX_PARAMS, (void (*)(void))keyexch_settable_ctx_params},
    {OSSL_FUNC_KEYEXCH_GET_CTX_PARAMS, (void (*)(void))keyexch_get_ctx_params},
    {OSSL_FUNC_KEYEXCH_GETTABLE_CTX_PARAMS, (void (*)(void))keyexch_gettable_ctx_params},
    {0, NULL},
};
