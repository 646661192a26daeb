/*
 * op.c: one operation's way into the module and out of it.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "pkcs11/internal.h"

bool p11_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

struct timespec p11_time_after(struct timespec time, unsigned ms)
{
    time.tv_sec += ms / 1000;
    time.tv_nsec += (long)(ms % 1000) * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

void p11_op_init(struct p11_op *op, p11_ctx *ctx, const char *uri)
{
    memset(op, 0, sizeof(*op));
    op->ctx = ctx;
    op->uri = uri;
    clock_gettime(CLOCK_MONOTONIC, &op->started);
    op->deadline = p11_time_after(op->started, ctx->deadline_ms);
}

bool p11_op_expired(const struct p11_op *op)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return !p11_later(&op->deadline, &now);
}

void p11_op_pause(const struct p11_op *op, unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until = p11_time_after(until, ms);
    if (p11_later(&until, &op->deadline))
        until = op->deadline;
    if (!atomic_load(&p11_exiting))
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/*
 * A module that talks over a socket raises SIGPIPE when the other side is gone. It is blocked in
 * this thread for the time of the operation, and one that has come meanwhile is taken off.
 */
void p11_shield_begin(struct p11_op *op)
{
    sigset_t pipe_set, pending;

    /* SoftHSM, and every module on libcrypto, leaves errors of its own on our thread's queue. */
    ERR_set_mark();
    op->sigpipe_shielded = op->ctx->block_sigpipe == P11_YES ||
                           (op->ctx->block_sigpipe == P11_AUTO && !op->module->here);
    if (!op->sigpipe_shielded)
        return;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigpending(&pending);
    op->sigpipe_pending = sigismember(&pending, SIGPIPE) == 1;
    if (pthread_sigmask(SIG_BLOCK, &pipe_set, &op->old_mask) != 0)
        op->sigpipe_shielded = false;
}

void p11_shield_end(struct p11_op *op)
{
    const struct timespec no_wait = {0};
    sigset_t pipe_set;

    ERR_pop_to_mark();
    if (!op->sigpipe_shielded)
        return;
    op->sigpipe_shielded = false;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    if (!op->sigpipe_pending)
        (void)sigtimedwait(&pipe_set, NULL, &no_wait);
    (void)pthread_sigmask(SIG_SETMASK, &op->old_mask, NULL);
}

void p11_leave(struct p11_op *op)
{
    struct p11_module *module = op->module;

    p11_shield_end(op);
    p11_inside_here--;
    p11_op_here = NULL;
    pthread_mutex_lock(&module->lock);
    if (op->previous != NULL)
        op->previous->next = op->next;
    else
        module->first_inside = op->next;
    if (op->next != NULL)
        op->next->previous = op->previous;
    else
        module->last_inside = op->previous;
    module->inside--;
    if (module->inside == 0 || module->forking || module->busy)
        pthread_cond_broadcast(&module->cond);
    pthread_mutex_unlock(&module->lock);
}

struct p11_stuck p11_stuck_find(struct p11_module *module, const struct timespec *now)
{
    struct p11_stuck stuck = {0};
    struct p11_op *op = module->first_inside;

    while (op != NULL && p11_later(now, &op->overdue) && op->reported)
        op = op->next;
    if (op == NULL || !p11_later(now, &op->overdue))
        return stuck;
    op->reported = true;
    stuck.call = atomic_load_explicit(&op->calling, memory_order_relaxed);
    stuck.count = atomic_fetch_add(&module->slow_calls, 1) + 1;
    stuck.deadline_ms = op->ctx->deadline_ms;
    return stuck;
}

void p11_stuck_log(const struct p11_stuck *stuck)
{
    if (stuck->call != NULL)
        fprintf(stderr,
                "dot2hsm pkcs11: %s has not returned within the deadline of %u ms (%lu so far)\n",
                stuck->call, stuck->deadline_ms, stuck->count);
}

void p11_stuck_check(struct p11_op *op)
{
    struct p11_stuck stuck;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&op->module->lock);
    stuck = p11_stuck_find(op->module, &now);
    pthread_mutex_unlock(&op->module->lock);
    p11_stuck_log(&stuck);
}

void p11_call_begin(struct p11_op *op, const char *name)
{
    op->call = name;
    atomic_store_explicit(&op->calling, name, memory_order_relaxed);
    /* Without a trace one look at the clock for each call does; what is between two is ours. */
    if (op->ctx->trace)
        clock_gettime(CLOCK_MONOTONIC, &op->started);
}

/* PKCS#11 has no cancel: all that can be done is to say so, once. */
static void log_slow(struct p11_op *op, long long us)
{
    unsigned long count = 0;
    bool reported;

    pthread_mutex_lock(&op->module->lock);
    reported = op->reported;
    op->reported = false;
    pthread_mutex_unlock(&op->module->lock);
    if (reported) {
        fprintf(stderr, "dot2hsm pkcs11: %s returned after %lld ms\n", op->call, us / 1000);
        return;
    }
    count = atomic_fetch_add(&op->module->slow_calls, 1) + 1;
    fprintf(stderr,
            "dot2hsm pkcs11: %s took %lld ms, longer than the deadline of %u ms (%lu so far)\n",
            op->call, us / 1000, op->ctx->deadline_ms, count);
}

CK_RV p11_call_end(struct p11_op *op, CK_RV rv)
{
    struct timespec now;
    long long us;

    clock_gettime(CLOCK_MONOTONIC, &now);
    us = (long long)(now.tv_sec - op->started.tv_sec) * 1000000 +
         (now.tv_nsec - op->started.tv_nsec) / 1000;
    op->started = now;
    p11_count_call(&op->module->counters, op->call, rv, us);
    if (op->ctx->trace)
        fprintf(stderr, "dot2hsm pkcs11: %s %s %lld us\n", op->call, p11_ckr_name(rv), us);
    if (us > (long long)op->ctx->deadline_ms * 1000)
        log_slow(op, us);
    return rv;
}
