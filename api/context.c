/* context.c: the library context with its providers; version, time, memory. */
#include "api/internal.h"
#include "api/provider_conf.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>

const char *dot2hsm_version(void)
{
    return DOT2HSM_VERSION;
}

void dot2hsm_free(void *data)
{
    OPENSSL_free(data);
}

void dot2hsm_clear_free(void *data, size_t size)
{
    OPENSSL_clear_free(data, size);
}

uint32_t dot2hsm_time32_now(void)
{
    uint32_t now = 0;

    return dot2_time32_now(&now) == DOT2_OK ? now : 0;
}

int64_t dot2hsm_time32_to_unix(uint32_t time32)
{
    return dot2_time32_to_unix(time32);
}

dot2hsm_status dot2hsm_time32_from_unix(int64_t seconds, uint32_t *time32)
{
    if (time32 == NULL)
        return DOT2HSM_E_ARGUMENT;
    return api_result(NULL, dot2_time32_from_unix(seconds, time32), NULL);
}

static dot2hsm_status write_conf(BIO *bio, const struct dot2hsm_options *options,
                                 dot2hsm_error *error)
{
    if (!provider_conf_begin(bio, options->provider_path))
        return api_fail(error, DOT2HSM_E_ARGUMENT,
                        "provider_path has a control character, or there is no memory for it");
    for (const char *const *p = options->provider_options; p != NULL && *p != NULL; p += 2) {
        if (!provider_conf_known(p[0]))
            return api_fail(error, DOT2HSM_E_ARGUMENT, "the provider has no such option");
        if (p[1] == NULL || !provider_conf_put(bio, p[0], p[1]))
            return api_fail(error, DOT2HSM_E_ARGUMENT,
                            "an option of the provider has no value, "
                            "one with a control character, or there is no memory for it");
    }
    return DOT2HSM_OK;
}

static dot2hsm_status load(dot2hsm_ctx *ctx, const struct dot2hsm_options *options,
                           dot2hsm_error *error)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    dot2hsm_status status;

    ctx->libctx = OSSL_LIB_CTX_new();
    ctx->owns_libctx = true;
    if (bio == NULL || ctx->libctx == NULL)
        status = api_fail(error, DOT2HSM_E_MEMORY, NULL);
    else
        status = write_conf(bio, options, error);
    if (status == DOT2HSM_OK && !provider_conf_load(bio, ctx->libctx))
        status = api_fail(error, DOT2HSM_E_PROVIDER, "the provider dot2hsm cannot be loaded");
    BIO_free(bio);
    return status;
}

dot2hsm_status dot2hsm_ctx_new(const struct dot2hsm_options *options, dot2hsm_ctx **ctx,
                               dot2hsm_error *error)
{
    struct dot2hsm_options taken = {0};
    struct dot2_error cause = {.status = DOT2_OK};
    dot2hsm_status status = DOT2HSM_OK;
    dot2hsm_ctx *made = NULL;

    api_begin(error);
    if (ctx == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "ctx is NULL");
    *ctx = NULL;
    if (options != NULL && !api_take(&taken, sizeof(taken), options, sizeof(taken)))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "options: size is wrong");
    if (taken.libctx != NULL && (taken.provider_options != NULL || taken.provider_path != NULL))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "nothing is loaded into a caller's libctx");
    made = OPENSSL_zalloc(sizeof(*made));
    if (made == NULL)
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    atomic_init(&made->references, 1);
    made->libctx = taken.libctx;
    if (taken.libctx == NULL)
        status = load(made, &taken, error);
    if (status == DOT2HSM_OK)
        status = api_result(error, dot2_crypto_new(made->libctx, &made->crypto, &cause), &cause);
    if (status == DOT2HSM_OK)
        *ctx = made;
    else
        dot2hsm_ctx_free(made);
    return status;
}

OSSL_LIB_CTX *dot2hsm_ctx_libctx(const dot2hsm_ctx *ctx)
{
    return ctx == NULL ? NULL : ctx->libctx;
}

dot2hsm_ctx *dot2hsm_ctx_up_ref(dot2hsm_ctx *ctx)
{
    if (ctx == NULL)
        return NULL;
    atomic_fetch_add(&ctx->references, 1);
    return ctx;
}

void dot2hsm_ctx_free(dot2hsm_ctx *ctx)
{
    if (ctx == NULL || atomic_fetch_sub(&ctx->references, 1) > 1)
        return;
    dot2_crypto_free(ctx->crypto);
    if (ctx->owns_libctx)
        OSSL_LIB_CTX_free(ctx->libctx);
    OPENSSL_free(ctx);
}
