/*
 * op.c: one operation's way into the module and out of it.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "pkcs11/internal.h"

void p11_op_init(struct p11_op *op, p11_ctx *ctx, const char *uri)
{
    memset(op, 0, sizeof(*op));
    op->ctx = ctx;
    op->uri = uri;
    clock_gettime(CLOCK_MONOTONIC, &op->deadline);
    op->deadline.tv_sec += ctx->deadline_ms / 1000;
    op->deadline.tv_nsec += (long)(ctx->deadline_ms % 1000) * 1000000;
    if (op->deadline.tv_nsec >= 1000000000) {
        op->deadline.tv_sec++;
        op->deadline.tv_nsec -= 1000000000;
    }
}

bool p11_op_expired(const struct p11_op *op)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > op->deadline.tv_sec ||
           (now.tv_sec == op->deadline.tv_sec && now.tv_nsec >= op->deadline.tv_nsec);
}

void p11_op_pause(const struct p11_op *op, unsigned ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};

    if (!p11_op_expired(op) && !atomic_load(&p11_exiting))
        nanosleep(&pause, NULL);
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
                           (op->ctx->block_sigpipe == P11_AUTO && op->module->socket);
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
    pthread_mutex_lock(&module->lock);
    module->inside--;
    if (module->inside == 0 || module->forking || module->busy)
        pthread_cond_broadcast(&module->cond);
    pthread_mutex_unlock(&module->lock);
}

void p11_call_begin(struct p11_op *op, const char *name)
{
    op->call = name;
    clock_gettime(CLOCK_MONOTONIC, &op->started);
}

CK_RV p11_call_end(struct p11_op *op, CK_RV rv)
{
    struct timespec now;
    long long us;

    clock_gettime(CLOCK_MONOTONIC, &now);
    us = (long long)(now.tv_sec - op->started.tv_sec) * 1000000 +
         (now.tv_nsec - op->started.tv_nsec) / 1000;
    if (op->ctx->trace)
        fprintf(stderr, "dot2hsm pkcs11: %s %s %lld us\n", op->call, p11_ckr_name(rv), us);
    if (us > (long long)op->ctx->deadline_ms * 1000) {
        /* PKCS#11 has no cancel: all that can be done is to say so. */
        unsigned long count = atomic_fetch_add(&op->module->slow_calls, 1) + 1;

        fprintf(stderr,
                "dot2hsm pkcs11: %s took %lld ms, longer than the deadline of %u ms (%lu so far)\n",
                op->call, us / 1000, op->ctx->deadline_ms, count);
    }
    return rv;
}
