/*
 * statistics.c: what is counted of the token, as parameters of the provider: a server that must not
 * know of pkcs11/ asks for them by OSSL_PROVIDER_get_params().
 *
 * A figure of calls is named by what was done and by what is counted: dot2hsm-sign-calls,
 * dot2hsm-sign-within-30ms. The names are an interface (dot2hsm-provider(7)).
 */
#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "provider/provider.h"

#define FIGURE(name) OSSL_PARAM_DEFN(name, OSSL_PARAM_UNSIGNED_INTEGER, NULL, sizeof(uint64_t))
#define WORK(name)                                                                                 \
    FIGURE("dot2hsm-" name "-calls"), FIGURE("dot2hsm-" name "-errors"),                           \
        FIGURE("dot2hsm-" name "-microseconds"), FIGURE("dot2hsm-" name "-within-1ms"),            \
        FIGURE("dot2hsm-" name "-within-3ms"), FIGURE("dot2hsm-" name "-within-10ms"),             \
        FIGURE("dot2hsm-" name "-within-30ms"), FIGURE("dot2hsm-" name "-within-100ms"),           \
        FIGURE("dot2hsm-" name "-within-300ms"), FIGURE("dot2hsm-" name "-within-1000ms"),         \
        FIGURE("dot2hsm-" name "-within-3000ms"), FIGURE("dot2hsm-" name "-within-10000ms")

const OSSL_PARAM prov_statistics_gettable[] = {
    OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, NULL, 0),
    OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, NULL, 0),
    OSSL_PARAM_DEFN(OSSL_PROV_PARAM_BUILDINFO, OSSL_PARAM_UTF8_PTR, NULL, 0),
    OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, NULL, 0),
    WORK("sign"),
    WORK("derive"),
    WORK("generate"),
    WORK("session"),
    WORK("other"),
    FIGURE("dot2hsm-late-calls"),
    FIGURE("dot2hsm-recoveries"),
    FIGURE("dot2hsm-failed-recoveries"),
    FIGURE("dot2hsm-inside"),
    FIGURE("dot2hsm-stuck"),
    FIGURE("dot2hsm-sessions"),
    FIGURE("dot2hsm-idle-sessions"),
    OSSL_PARAM_END,
};

static const char *const works[P11_WORKS] = {
    [P11_WORK_SIGN] = "sign",       [P11_WORK_DERIVE] = "derive", [P11_WORK_GENERATE] = "generate",
    [P11_WORK_SESSION] = "session", [P11_WORK_OTHER] = "other",
};

/* The figure of calls that `name` is, without its prefix; false if it is none. */
static bool figure_of_work(const struct p11_stats *stats, const char *name, uint64_t *value)
{
    const struct p11_work_stats *work = NULL;
    char within[24];

    for (size_t i = 0; i < P11_WORKS && work == NULL; i++) {
        size_t size = strlen(works[i]);

        if (strncmp(name, works[i], size) == 0 && name[size] == '-') {
            work = &stats->work[i];
            name += size + 1;
        }
    }
    if (work == NULL)
        return false;
    *value = strcmp(name, "calls") == 0    ? work->calls
             : strcmp(name, "errors") == 0 ? work->errors
                                           : work->microseconds;
    if (strcmp(name, "calls") == 0 || strcmp(name, "errors") == 0 ||
        strcmp(name, "microseconds") == 0)
        return true;
    for (size_t i = 0; i < P11_TIME_BOUNDS; i++) {
        snprintf(within, sizeof(within), "within-%ums", p11_time_bounds[i]);
        *value = work->within[i];
        if (strcmp(name, within) == 0)
            return true;
    }
    return false;
}

static bool figure(const struct p11_stats *stats, const char *name, uint64_t *value)
{
    const struct {
        const char *name;
        uint64_t value;
    } others[] = {
        {"late-calls", stats->late},    {"recoveries", stats->recoveries},
        {"inside", stats->inside},      {"failed-recoveries", stats->failed_recoveries},
        {"stuck", stats->stuck},        {"sessions", stats->sessions},
        {"idle-sessions", stats->idle},
    };

    if (strncmp(name, "dot2hsm-", 8) != 0)
        return false;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        *value = others[i].value;
        if (strcmp(name + 8, others[i].name) == 0)
            return true;
    }
    return figure_of_work(stats, name + 8, value);
}

int prov_statistics_get(struct prov_ctx *ctx, OSSL_PARAM params[])
{
    struct p11_stats stats;
    bool known = false;
    uint64_t value = 0;
    p11_ctx *token;

    for (OSSL_PARAM *p = params; p->key != NULL; p++) {
        if (!known && strncmp(p->key, "dot2hsm-", 8) == 0) { /* one look for all of them */
            if (!CRYPTO_THREAD_read_lock(ctx->lock))
                return 0;
            token = ctx->token;
            CRYPTO_THREAD_unlock(ctx->lock);
            memset(&stats, 0, sizeof(stats));
            if (token != NULL)
                p11_ctx_stats(token, &stats);
            known = true;
        }
        if (known && figure(&stats, p->key, &value) && !OSSL_PARAM_set_uint64(p, value))
            return 0;
    }
    return 1;
}
