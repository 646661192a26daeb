/*
 * keyexch.c: KEYEXCH "ECDH": the x-coordinate of d * peer, by the token or in software, as it is or
 * through the KDF of X9.63, which CMS has. The token is asked for the plain coordinate in both
 * cases: few tokens know the KDF, and another provider does it as well.
 */
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
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

/* For a token key; with a software key the delegate has them. */
struct kdf {
    bool x963;
    char digest[64], properties[128];
    size_t size; /* of the output; 0 = not set */
    uint8_t *ukm;
    size_t ukm_size;
};

struct keyexch {
    struct prov_ctx *provider;
    struct prov_key *key; /* a reference of our own */
    bool has_peer;        /* only for a token key: the peer's point, uncompressed */
    uint8_t point[1 + 2 * PROV_MAX_COORDINATE];
    struct kdf kdf;
    EVP_PKEY_CTX *delegate; /* only for a software key; it knows the peer and the parameters */
};

static void kdf_clear(struct kdf *kdf)
{
    OPENSSL_clear_free(kdf->ukm, kdf->ukm_size);
    memset(kdf, 0, sizeof(*kdf));
}

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
    kdf_clear(&ctx->kdf);
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
    copy->delegate = NULL;
    copy->kdf.ukm = NULL;
    if (ctx->kdf.ukm != NULL) {
        copy->kdf.ukm = OPENSSL_memdup(ctx->kdf.ukm, ctx->kdf.ukm_size);
        if (copy->kdf.ukm == NULL) {
            PROV_RAISE(PROV_R_MEMORY, NULL);
            keyexch_freectx(copy);
            return NULL;
        }
    }
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

    if (key == NULL || !prov_key_is_there(key) || !key->has_private) {
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
    kdf_clear(&ctx->kdf);
    if (key->token == NULL) {
        ctx->delegate = prov_delegate_of_key(key);
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
    EVP_PKEY *own = NULL, *theirs = NULL;

    if (ctx->key == NULL || peer == NULL || !prov_key_is_there(peer) || !peer->has_public) {
        PROV_RAISE(PROV_R_PEER, "no public key of the peer, or no key of ours");
        return 0;
    }
    own = prov_key_software(ctx->key);
    theirs = prov_key_software(peer);
    if (own == NULL || theirs == NULL)
        return 0;
    if (EVP_PKEY_parameters_eq(own, theirs) != 1) {
        PROV_RAISE(PROV_R_PEER, "it is on another curve");
        return 0;
    }
    if (ctx->delegate != NULL) {
        if (EVP_PKEY_derive_set_peer(ctx->delegate, theirs) > 0)
            return 1;
        PROV_RAISE(PROV_R_PEER, "refused by the provider that does the software work");
        return 0;
    }
    ctx->has_peer = prov_point_octets(theirs, ctx->point, ctx->key->curve->size) == 1;
    return ctx->has_peer;
}

static int run_kdf(const struct keyexch *ctx, const uint8_t *z, size_t z_size, uint8_t *out)
{
    const struct kdf *kdf = &ctx->kdf;
    EVP_KDF *fetched = NULL;
    EVP_KDF_CTX *run = NULL;
    OSSL_PARAM params[5], *p = params;
    int ok = 0;

    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)z, z_size);
    *p++ =
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)kdf->digest, 0);
    *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_PROPERTIES,
                                            (char *)(uintptr_t)(kdf->properties[0] != '\0'
                                                                    ? kdf->properties
                                                                    : PROV_DELEGATE_PROPERTIES),
                                            0);
    if (kdf->ukm != NULL)
        *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, kdf->ukm, kdf->ukm_size);
    *p = OSSL_PARAM_construct_end();
    fetched = EVP_KDF_fetch(ctx->provider->libctx, OSSL_KDF_NAME_X963KDF, PROV_DELEGATE_PROPERTIES);
    run = EVP_KDF_CTX_new(fetched);
    ok = run != NULL && EVP_KDF_derive(run, out, kdf->size, params) > 0;
    if (!ok)
        PROV_RAISE(PROV_R_DELEGATE, "X9.63 KDF with digest '%s'", kdf->digest);
    EVP_KDF_CTX_free(run);
    EVP_KDF_free(fetched);
    return ok;
}

static int derive_in_token(struct keyexch *ctx, uint8_t *secret, size_t *size, size_t capacity)
{
    uint8_t z[PROV_MAX_COORDINATE];
    size_t coordinate = ctx->key->curve->size;
    size_t z_size = sizeof(z);
    int ok = 0;

    if (!ctx->has_peer) {
        PROV_RAISE(PROV_R_PEER, "none was set");
        return 0;
    }
    *size = ctx->kdf.x963 ? ctx->kdf.size : coordinate;
    if (*size == 0) {
        PROV_RAISE(PROV_R_PARAMETER, OSSL_EXCHANGE_PARAM_KDF_OUTLEN " is needed with a KDF");
        return 0;
    }
    if (secret == NULL)
        return 1;
    if (capacity < *size) {
        PROV_RAISE(PROV_R_BUFFER, "%zu octets for a secret of %zu", capacity, *size);
        return 0;
    }
    /* The point was checked to be on the curve when the key was made. */
    if (p11_key_derive(ctx->key->token, ctx->point, 1 + 2 * coordinate, z, &z_size) != P11_OK)
        return 0;
    if (ctx->kdf.x963) {
        ok = run_kdf(ctx, z, z_size, secret);
    } else {
        memcpy(secret, z, z_size);
        ok = 1;
    }
    OPENSSL_cleanse(z, sizeof(z));
    return ok;
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

/* ---- parameters: those of the delegate, or for a token key the same here ---- */

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

static int set_text(const OSSL_PARAM params[], const char *name, char *text, size_t size)
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);

    if (p == NULL || OSSL_PARAM_get_utf8_string(p, &text, size))
        return 1;
    PROV_RAISE(PROV_R_PARAMETER, "%s is a string of less than %zu octets", name, size);
    return 0;
}

static int set_kdf(struct kdf *kdf, const OSSL_PARAM params[])
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_TYPE);
    char type[64] = "";
    void *ukm = NULL;
    size_t ukm_size = 0;

    if (!set_text(params, OSSL_EXCHANGE_PARAM_KDF_TYPE, type, sizeof(type)) ||
        !set_text(params, OSSL_EXCHANGE_PARAM_KDF_DIGEST, kdf->digest, sizeof(kdf->digest)) ||
        !set_text(params, OSSL_EXCHANGE_PARAM_KDF_DIGEST_PROPS, kdf->properties,
                  sizeof(kdf->properties)))
        return 0;
    if (type[0] != '\0' && strcasecmp(type, OSSL_KDF_NAME_X963KDF) != 0) {
        PROV_RAISE(PROV_R_PARAMETER, "%s: ECDH goes with " OSSL_KDF_NAME_X963KDF " or with no KDF",
                   type);
        return 0;
    }
    if (p != NULL)
        kdf->x963 = type[0] != '\0';
    p = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_OUTLEN);
    if (p != NULL && !OSSL_PARAM_get_size_t(p, &kdf->size)) {
        PROV_RAISE(PROV_R_PARAMETER, OSSL_EXCHANGE_PARAM_KDF_OUTLEN " is a size");
        return 0;
    }
    p = OSSL_PARAM_locate_const(params, OSSL_EXCHANGE_PARAM_KDF_UKM);
    if (p == NULL)
        return 1;
    if (p->data_size > 0 && !OSSL_PARAM_get_octet_string(p, &ukm, 0, &ukm_size)) {
        PROV_RAISE(PROV_R_PARAMETER, OSSL_EXCHANGE_PARAM_KDF_UKM " is an octet string");
        return 0;
    }
    OPENSSL_clear_free(kdf->ukm, kdf->ukm_size);
    kdf->ukm = ukm;
    kdf->ukm_size = ukm_size;
    return 1;
}

static int keyexch_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
    struct keyexch *ctx = vctx;

    if (params == NULL)
        return 1;
    if (ctx->delegate != NULL) {
        if (EVP_PKEY_CTX_set_params(ctx->delegate, params) > 0)
            return 1;
        PROV_RAISE(PROV_R_PARAMETER, "refused by the provider that does the software work");
        return 0;
    }
    return set_kdf(&ctx->kdf, params);
}

static const OSSL_PARAM *keyexch_gettable_ctx_params(void *vctx, void *vprovider)
{
    static const OSSL_PARAM gettable[] = {
        OSSL_PARAM_int(OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, NULL),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, NULL, 0),
        OSSL_PARAM_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, NULL),
        OSSL_PARAM_DEFN(OSSL_EXCHANGE_PARAM_KDF_UKM, OSSL_PARAM_OCTET_PTR, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vctx;
    (void)vprovider;
    return gettable;
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
    if (p != NULL && !OSSL_PARAM_set_utf8_string(p, ctx->kdf.x963 ? OSSL_KDF_NAME_X963KDF : ""))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_DIGEST);
    if (p != NULL && !OSSL_PARAM_set_utf8_string(p, ctx->kdf.digest))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_OUTLEN);
    if (p != NULL && !OSSL_PARAM_set_size_t(p, ctx->kdf.size))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_EXCHANGE_PARAM_KDF_UKM);
    return p == NULL || OSSL_PARAM_set_octet_ptr(p, ctx->kdf.ukm, ctx->kdf.ukm_size);
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
