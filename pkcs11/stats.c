/*
 * stats.c: what calls into a module there were, and how things stand, for an operator's figures.
 *
 * Counters are the module's: relaxed additions, a few for each Cryptoki call.
 */
#include <string.h>

#include "pkcs11/internal.h"

const unsigned p11_time_bounds[P11_TIME_BOUNDS] = {1, 3, 10, 30, 100, 300, 1000, 3000, 10000};

static enum p11_work work_of(const char *call)
{
    static const struct {
        const char *call;
        enum p11_work work;
    } known[] = {
        {"C_Sign", P11_WORK_SIGN},
        {"C_DeriveKey", P11_WORK_DERIVE},
        {"C_GenerateKeyPair", P11_WORK_GENERATE},
        {"C_OpenSession", P11_WORK_SESSION},
        {"C_CloseSession", P11_WORK_SESSION},
        {"C_Login", P11_WORK_SESSION},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].call, call) == 0)
            return known[i].work;
    return P11_WORK_OTHER;
}

static void add(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void p11_count_call(struct p11_counters *counters, const char *call, CK_RV rv, long long us)
{
    enum p11_work work = work_of(call);
    size_t i = 0;

    while (i < P11_TIME_BOUNDS && us > (long long)p11_time_bounds[i] * 1000)
        i++;
    if (i < P11_TIME_BOUNDS)
        add(&counters->work[work].slots[i], 1);
    if (rv != CKR_OK)
        add(&counters->work[work].errors, 1);
    add(&counters->work[work].microseconds, us > 0 ? (uint64_t)us : 0);
    add(&counters->work[work].calls, 1);
}

/* Those that are inside, and too long; the module is locked. */
static void count_inside(const struct p11_module *module, struct p11_stats *stats)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    for (const struct p11_op *op = module->first_inside; op != NULL; op = op->next) {
        stats->inside++;
        if (p11_later(&now, &op->overdue))
            stats->stuck++;
    }
}

/* The module is locked. */
static void count_sessions(struct p11_module *module, struct p11_stats *stats)
{
    for (struct p11_token *token = module->tokens; token != NULL; token = token->next) {
        pthread_mutex_lock(&token->lock);
        stats->sessions += token->open_count;
        stats->idle += token->idle_count;
        pthread_mutex_unlock(&token->lock);
    }
}

void p11_ctx_stats(const p11_ctx *ctx, struct p11_stats *stats)
{
    struct p11_module *module;

    memset(stats, 0, sizeof(*stats));
    pthread_mutex_lock(&p11_registry);
    module = p11_modules;
    while (module != NULL && (ctx->module_path == NULL || strcmp(module->path, ctx->module_path)))
        module = module->next;
    pthread_mutex_unlock(&p11_registry);
    if (module == NULL)
        return;
    for (size_t work = 0; work < P11_WORKS; work++) {
        struct p11_work_stats *to = &stats->work[work];
        uint64_t sum = 0;

        for (size_t i = 0; i < P11_TIME_BOUNDS; i++)
            to->within[i] = sum += get(&module->counters.work[work].slots[i]);
        to->errors = get(&module->counters.work[work].errors);
        to->microseconds = get(&module->counters.work[work].microseconds);
        /* Read last, and no less than what was read before: calls go on meanwhile. */
        to->calls = get(&module->counters.work[work].calls);
        if (to->calls < sum)
            to->calls = sum;
    }
    stats->late = atomic_load(&module->slow_calls);
    stats->recoveries = get(&module->counters.recoveries);
    stats->failed_recoveries = get(&module->counters.failed_recoveries);
    pthread_mutex_lock(&module->lock);
    count_inside(module, stats);
    count_sessions(module, stats);
    pthread_mutex_unlock(&module->lock);
}
