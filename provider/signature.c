/*
 * signature.c: SIGNATURE "ECDSA".
 *
 * The rule of IEEE 1609.2 clause 5.3.1 stands in digest_close() and nowhere else: the digest
 * that is signed is H( H(data) || H(signer) ).
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "provider/signature.h"

static OSSL_FUNC_signature_newctx_fn signature_newctx;
static OSSL_FUNC_signature_freectx_fn signature_freectx;
static OSSL_FUNC_signature_dupctx_fn signature_dupctx;
static OSSL_FUNC_signature_sign_init_fn signature_sign_init;
static OSSL_FUNC_signature_sign_fn signature_sign;
static OSSL_FUNC_signature_verify_init_fn signature_verify_init;
static OSSL_FUNC_signature_verify_fn signature_verify;
static OSSL_FUNC_signature_digest_sign_init_fn signature_digest_sign_init;
static OSSL_FUNC_signature_digest_sign_update_fn signature_digest_update;
static OSSL_FUNC_signature_digest_sign_final_fn signature_digest_sign_final;
static OSSL_FUNC_signature_digest_sign_fn signature_digest_sign;
static OSSL_FUNC_signature_digest_verify_init_fn signature_digest_verify_init;
static OSSL_FUNC_signature_digest_verify_final_fn signature_digest_verify_final;
static OSSL_FUNC_signature_digest_verify_fn signature_digest_verify;

/* ---- life ---- */

static void *signature_newctx(void *vprovider, const char *properties)
{
    struct prov_signature *ctx = OPENSSL_zalloc(sizeof(*ctx));

    (void)properties; /* the caller's query names us; digests are fetched from the others */
    if (ctx == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return NULL;
    }
    ctx->provider = vprovider;
    return ctx;
}

static void signature_freectx(void *vctx)
{
    struct prov_signature *ctx = vctx;

    if (ctx == NULL)
        return;
    prov_key_free(ctx->key);
    EVP_MD_CTX_free(ctx->data);
    EVP_PKEY_CTX_free(ctx->delegate);
    OPENSSL_clear_free(ctx, sizeof(*ctx));
}

static void *signature_dupctx(void *vctx)
{
    const struct prov_signature *ctx = vctx;
    struct prov_signature *copy = OPENSSL_memdup(ctx, sizeof(*ctx));

    if (copy == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return NULL;
    }
    copy->data = NULL;
    copy->delegate = NULL; /* made anew when needed */
    if (copy->key != NULL)
        (void)prov_key_up_ref(copy->key);
    if (ctx->data != NULL) {
        copy->data = EVP_MD_CTX_new();
        if (copy->data == NULL || !EVP_MD_CTX_copy_ex(copy->data, ctx->data)) {
            PROV_RAISE(PROV_R_MEMORY, NULL);
            signature_freectx(copy);
            return NULL;
        }
    }
    return copy;
}

/* ---- init ---- */

const struct prov_digest *prov_signature_own_digest(const struct prov_signature *ctx)
{
    return prov_digest_find(ctx->key->curve->digest);
}

int prov_signature_open_digest(struct prov_signature *ctx)
{
    const EVP_MD *digest = prov_digest_get(ctx->provider, ctx->digest);

    if (digest == NULL)
        return 0;
    if (ctx->data == NULL)
        ctx->data = EVP_MD_CTX_new();
    if (ctx->data == NULL || !EVP_DigestInit_ex2(ctx->data, digest, NULL)) {
        PROV_RAISE(PROV_R_DELEGATE, "%s cannot be started", ctx->digest->names[0]);
        return 0;
    }
    return 1;
}

static int take_key(struct prov_signature *ctx, struct prov_key *key, enum prov_operation operation)
{
    if (!prov_key_is_there(key) || key->curve == NULL) {
        PROV_RAISE(PROV_R_CURVE, "ECDSA with a key on none of P-256, P-384, brainpoolP256r1, "
                                 "brainpoolP384r1");
        return 0;
    }
    if (operation == PROV_OP_SIGN && !key->has_private) {
        PROV_RAISE(PROV_R_NO_PRIVATE_KEY, "a public key cannot sign");
        return 0;
    }
    if (operation == PROV_OP_SIGN && key->token != NULL && !p11_key_can_sign(key->token)) {
        PROV_RAISE(PROV_R_NO_PRIVATE_KEY,
                   "%s may not sign (no CKA_SIGN), or its token has no CKM_ECDSA",
                   p11_key_uri(key->token));
        return 0;
    }
    if (operation == PROV_OP_VERIFY && !key->has_public) {
        PROV_RAISE(PROV_R_NO_PUBLIC_KEY, "the key has no public part to verify with");
        return 0;
    }
    (void)prov_key_up_ref(key);
    prov_key_free(ctx->key);
    ctx->key = key;
    EVP_PKEY_CTX_free(ctx->delegate);
    ctx->delegate = NULL;
    /* A context with a new key is a new context. */
    ctx->with_signer = false;
    ctx->p1363 = false;
    ctx->digest = NULL;
    OPENSSL_cleanse(ctx->signer_digest, sizeof(ctx->signer_digest));
    return 1;
}

/* key may be NULL: the key and what was set with it stay. */
static int start(struct prov_signature *ctx, void *key, enum prov_operation operation, bool digests,
                 const char *digest_name, const OSSL_PARAM params[])
{
    if (key == NULL && ctx->key == NULL) {
        PROV_RAISE(PROV_R_NO_KEY, "init without a key");
        return 0;
    }
    if (key != NULL ? !take_key(ctx, key, operation) : ctx->operation != operation) {
        if (key == NULL)
            PROV_RAISE(PROV_R_STATE, "the operation can be changed only together with the key");
        ctx->operation = PROV_OP_NONE;
        return 0;
    }
    ctx->operation = operation;
    ctx->digests = digests;
    ctx->updated = false;
    ctx->finished = false;
    if (digests && ctx->digest == NULL)
        ctx->digest = prov_signature_own_digest(ctx);
    if ((digest_name == NULL || *digest_name == '\0' ||
         prov_signature_set_digest(ctx, digest_name)) &&
        (!digests || prov_signature_open_digest(ctx)) && prov_signature_set_ctx_params(ctx, params))
        return 1;
    ctx->operation = PROV_OP_NONE;
    return 0;
}

static int signature_sign_init(void *vctx, void *key, const OSSL_PARAM params[])
{
    return start(vctx, key, PROV_OP_SIGN, false, NULL, params);
}

static int signature_verify_init(void *vctx, void *key, const OSSL_PARAM params[])
{
    return start(vctx, key, PROV_OP_VERIFY, false, NULL, params);
}

static int signature_digest_sign_init(void *vctx, const char *digest, void *key,
                                      const OSSL_PARAM params[])
{
    return start(vctx, key, PROV_OP_SIGN, true, digest, params);
}

static int signature_digest_verify_init(void *vctx, const char *digest, void *key,
                                        const OSSL_PARAM params[])
{
    return start(vctx, key, PROV_OP_VERIFY, true, digest, params);
}

/* ---- the digest ---- */

static int digest_update(struct prov_signature *ctx, const uint8_t *data, size_t size)
{
    if (EVP_DigestUpdate(ctx->data, data, size))
        return 1;
    PROV_RAISE(PROV_R_DELEGATE, "%s of the data", ctx->digest->names[0]);
    return 0;
}

/* digest receives ctx->digest->size octets. Leaves the context ready for the next data. */
static int digest_close(struct prov_signature *ctx, uint8_t digest[PROV_MAX_DIGEST])
{
    size_t half = ctx->digest->size;
    uint8_t halves[2 * PROV_MAX_DIGEST];

    if (!EVP_DigestFinal_ex(ctx->data, halves, NULL))
        goto err;
    if (!ctx->with_signer) {
        memcpy(digest, halves, half);
        return prov_signature_open_digest(ctx);
    }
    memcpy(halves + half, ctx->signer_digest, half);
    if (!prov_signature_open_digest(ctx) || !EVP_DigestUpdate(ctx->data, halves, 2 * half) ||
        !EVP_DigestFinal_ex(ctx->data, digest, NULL))
        goto err;
    return prov_signature_open_digest(ctx);
err:
    PROV_RAISE(PROV_R_DELEGATE, "%s of data and signer", ctx->digest->names[0]);
    return 0;
}

static bool in_operation(const struct prov_signature *ctx, enum prov_operation operation,
                         bool digests)
{
    if (ctx->operation == operation && ctx->digests == digests)
        return true;
    PROV_RAISE(PROV_R_STATE, "the context was not initialised for this call");
    return false;
}

static bool may_take_data(const struct prov_signature *ctx, bool one_shot)
{
    if (ctx->finished) {
        PROV_RAISE(PROV_R_STATE, "after the end, data needs a new init");
        return false;
    }
    if (one_shot && ctx->updated) {
        PROV_RAISE(PROV_R_STATE, "data in one piece after data in pieces");
        return false;
    }
    return true;
}

static int signature_digest_update(void *vctx, const unsigned char *data, size_t size)
{
    struct prov_signature *ctx = vctx;

    if (!ctx->digests || ctx->operation == PROV_OP_NONE)
        return in_operation(ctx, PROV_OP_SIGN, true);
    if (!may_take_data(ctx, false))
        return 0;
    ctx->updated = true;
    return digest_update(ctx, data, size);
}

/* ---- signing ---- */

/* Answers the question for the size (1), refuses a small buffer (0), or lets go on (-1). */
static int size_question(const struct prov_signature *ctx, const uint8_t *signature, size_t *size,
                         size_t capacity)
{
    size_t needed = prov_signature_max_size(ctx);

    if (signature == NULL) {
        *size = needed;
        return 1;
    }
    if (capacity < needed) {
        PROV_RAISE(PROV_R_BUFFER, "%zu octets for a signature of up to %zu", capacity, needed);
        return 0;
    }
    return -1;
}

/* A digest without a name must have the size of one: what was not hashed is not signed. */
static int check_ready_digest(const struct prov_signature *ctx, size_t size)
{
    const struct prov_digest *digest = ctx->digest;

    if (ctx->with_signer) {
        PROV_RAISE(PROV_R_READY_DIGEST, "the hash of the signer cannot be added any more; use "
                                        "EVP_DigestSign or EVP_DigestVerify");
        return 0;
    }
    if (digest != NULL && size != digest->size) {
        PROV_RAISE(PROV_R_DIGEST_SIZE, "%zu octets; %s has %zu", size, digest->names[0],
                   digest->size);
        return 0;
    }
    digest = prov_digest_of_size(size);
    if (digest == NULL || (ctx->operation == PROV_OP_SIGN && !digest->signs)) {
        PROV_RAISE(PROV_R_DIGEST_SIZE,
                   "%zu octets are no digest of SHA-224, SHA-256, SHA-384 or SHA-512", size);
        return 0;
    }
    return 1;
}

static int signature_sign(void *vctx, unsigned char *signature, size_t *size, size_t capacity,
                          const unsigned char *digest, size_t digest_size)
{
    struct prov_signature *ctx = vctx;
    int answer = 0;

    if (!in_operation(ctx, PROV_OP_SIGN, false))
        return 0;
    answer = size_question(ctx, signature, size, capacity);
    if (answer >= 0)
        return answer; /* a question for the size comes without a digest */
    return check_ready_digest(ctx, digest_size) &&
           prov_signature_sign(ctx, digest, digest_size, signature, size, capacity);
}

static int signature_digest_sign_final(void *vctx, unsigned char *signature, size_t *size,
                                       size_t capacity)
{
    struct prov_signature *ctx = vctx;
    uint8_t digest[PROV_MAX_DIGEST];
    int answer = 0;

    if (!in_operation(ctx, PROV_OP_SIGN, true) || !may_take_data(ctx, false))
        return 0;
    answer = size_question(ctx, signature, size, capacity);
    if (answer >= 0)
        return answer;
    ctx->finished = true;
    return digest_close(ctx, digest) &&
           prov_signature_sign(ctx, digest, ctx->digest->size, signature, size, capacity);
}

static int signature_digest_sign(void *vctx, unsigned char *signature, size_t *size,
                                 size_t capacity, const unsigned char *data, size_t data_size)
{
    struct prov_signature *ctx = vctx;
    uint8_t digest[PROV_MAX_DIGEST];
    int answer = 0;

    if (!in_operation(ctx, PROV_OP_SIGN, true) || !may_take_data(ctx, true))
        return 0;
    answer = size_question(ctx, signature, size, capacity);
    if (answer >= 0)
        return answer;
    return digest_update(ctx, data, data_size) && digest_close(ctx, digest) &&
           prov_signature_sign(ctx, digest, ctx->digest->size, signature, size, capacity);
}

/* ---- verification ---- */

static int signature_verify(void *vctx, const unsigned char *signature, size_t size,
                            const unsigned char *digest, size_t digest_size)
{
    struct prov_signature *ctx = vctx;

    return in_operation(ctx, PROV_OP_VERIFY, false) && check_ready_digest(ctx, digest_size) &&
           prov_signature_verify(ctx, digest, digest_size, signature, size);
}

static int signature_digest_verify_final(void *vctx, const unsigned char *signature, size_t size)
{
    struct prov_signature *ctx = vctx;
    uint8_t digest[PROV_MAX_DIGEST];

    if (!in_operation(ctx, PROV_OP_VERIFY, true) || !may_take_data(ctx, false))
        return 0;
    ctx->finished = true;
    return digest_close(ctx, digest) &&
           prov_signature_verify(ctx, digest, ctx->digest->size, signature, size);
}

static int signature_digest_verify(void *vctx, const unsigned char *signature, size_t size,
                                   const unsigned char *data, size_t data_size)
{
    struct prov_signature *ctx = vctx;
    uint8_t digest[PROV_MAX_DIGEST];

    return in_operation(ctx, PROV_OP_VERIFY, true) && may_take_data(ctx, true) &&
           digest_update(ctx, data, data_size) && digest_close(ctx, digest) &&
           prov_signature_verify(ctx, digest, ctx->digest->size, signature, size);
}

const OSSL_DISPATCH prov_signature_functions[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))signature_newctx},
    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))signature_freectx},
    {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))signature_dupctx},
    {OSSL_FUNC_SIGNATURE_SIGN_INIT, (void (*)(void))signature_sign_init},
    {OSSL_FUNC_SIGNATURE_SIGN, (void (*)(void))signature_sign},
    {OSSL_FUNC_SIGNATURE_VERIFY_INIT, (void (*)(void))signature_verify_init},
    {OSSL_FUNC_SIGNATURE_VERIFY, (void (*)(void))signature_verify},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))signature_digest_sign_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (void (*)(void))signature_digest_update},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (void (*)(void))signature_digest_sign_final},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))signature_digest_sign},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (void (*)(void))signature_digest_verify_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, (void (*)(void))signature_digest_update},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, (void (*)(void))signature_digest_verify_final},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, (void (*)(void))signature_digest_verify},
    {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))prov_signature_get_ctx_params},
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))prov_signature_gettable_ctx_params},
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))prov_signature_set_ctx_params},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))prov_signature_settable_ctx_params},
    {OSSL_FUNC_SIGNATURE_GET_CTX_MD_PARAMS, (void (*)(void))prov_signature_get_ctx_md_params},
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_MD_PARAMS,
     (void (*)(void))prov_signature_gettable_ctx_md_params},
    {OSSL_FUNC_SIGNATURE_SET_CTX_MD_PARAMS, (void (*)(void))prov_signature_set_ctx_md_params},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_MD_PARAMS,
     (void (*)(void))prov_signature_settable_ctx_md_params},
    {0, NULL},
};
