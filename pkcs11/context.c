#include <string.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

static bool copy_string(char **to, const char *from)
{
    *to = from != NULL ? OPENSSL_strdup(from) : NULL;
    return from == NULL || *to != NULL;
}

enum p11_status p11_ctx_new(const struct p11_config *config, p11_ctx **result)
{
    p11_ctx *ctx = NULL;
    enum p11_status status = P11_OK;

    if (result == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no place for the context");
    *result = NULL;
    if (config == NULL || config->module_path == NULL || config->module_path[0] == '\0')
        return p11_fail(NULL, P11_E_CONFIG, "pkcs11-module is not set");
    if (config->max_sessions > P11_MOST_SESSIONS)
        return p11_fail(NULL, P11_E_CONFIG, "max-sessions is %u, more than %u",
                        config->max_sessions, P11_MOST_SESSIONS);
    if ((unsigned)config->key_copy > P11_NO || (unsigned)config->block_sigpipe > P11_NO ||
        (unsigned)config->login > P11_NO)
        return p11_fail(NULL, P11_E_CONFIG, "key-copy, block-sigpipe or login has no such value");
    if (config->pin_source != NULL && !p11_pin_source_valid(config->pin_source))
        return p11_fail(NULL, P11_E_CONFIG,
                        "pin-source is none of file:, env:, credential: or the path of a file");
    ctx = OPENSSL_zalloc(sizeof(*ctx));
    if (ctx == NULL)
        return p11_fail(NULL, P11_E_MEMORY, "out of memory");
    atomic_init(&ctx->refs, 1);
    ctx->allow_pin_value = config->allow_pin_value;
    ctx->allow_not_sensitive = config->allow_not_sensitive;
    ctx->key_copy = config->key_copy;
    ctx->block_sigpipe = config->block_sigpipe;
    ctx->login = config->login;
    ctx->trace = config->trace;
    ctx->max_sessions = config->max_sessions != 0 ? config->max_sessions : P11_DEFAULT_SESSIONS;
    ctx->deadline_ms = config->deadline_ms != 0 ? config->deadline_ms : P11_DEFAULT_DEADLINE_MS;
    if (!copy_string(&ctx->module_path, config->module_path) ||
        !copy_string(&ctx->module_init_args, config->module_init_args) ||
        !copy_string(&ctx->pin_source, config->pin_source)) {
        status = p11_fail(NULL, P11_E_MEMORY, "out of memory");
        goto out;
    }
    if (config->token_uri != NULL) {
        status = p11_uri_parse(ctx, config->token_uri, &ctx->token);
        if (status != P11_OK) {
            status = p11_fail(NULL, P11_E_CONFIG, "token is not a usable URI");
            goto out;
        }
        if (ctx->token->has_object || ctx->token->classes != P11_ANY) {
            status =
                p11_fail(NULL, P11_E_CONFIG, "token names an object; it must name a token only: %s",
                         ctx->token->shown);
            goto out;
        }
    }
out:
    if (status == P11_OK)
        *result = ctx;
    else
        p11_ctx_free(ctx);
    return status;
}

p11_ctx *p11_ctx_up_ref(p11_ctx *ctx)
{
    atomic_fetch_add(&ctx->refs, 1);
    return ctx;
}

void p11_ctx_free(p11_ctx *ctx)
{
    if (ctx == NULL || atomic_fetch_sub(&ctx->refs, 1) != 1)
        return;
    p11_uri_free(ctx->token);
    OPENSSL_free(ctx->module_path);
    OPENSSL_free(ctx->module_init_args);
    OPENSSL_free(ctx->pin_source);
    OPENSSL_free(ctx);
}
