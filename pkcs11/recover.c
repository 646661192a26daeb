/*
 * recover.c: what is done when a HSM was restarted, a module finalised, a session closed by
 * somebody else. One thread rebuilds, the others wait for it.
 */
#include <errno.h>
#include <string.h>

#include <openssl/err.h>

#include "pkcs11/internal.h"

/*
 * Takes the token's busy flag, unless the token was rebuilt since `generation` (*done), or, for a
 * refresh (generation 0), is of the module's generation.
 */
static enum p11_status claim(struct p11_op *op, unsigned long generation, bool *done)
{
    struct p11_token *token = op->token;
    enum p11_status status = P11_OK;

    pthread_mutex_lock(&token->lock);
    for (;;) {
        *done = !token->rebuilding && (generation != 0 ? token->generation != generation
                                                       : token->module_generation ==
                                                             atomic_load(&op->module->generation));
        if (*done)
            break;
        if (!token->busy) {
            token->busy = token->rebuilding = true;
            break;
        }
        if (pthread_cond_timedwait(&token->cond, &token->lock, &op->deadline) == ETIMEDOUT) {
            status = P11_E_DEADLINE;
            break;
        }
    }
    pthread_mutex_unlock(&token->lock);
    if (status != P11_OK)
        p11_fail(op, status, "another thread is rebuilding the token's sessions");
    return status;
}

/* Forgets all sessions of the token, and closes those that can still be ours. Inside. */
static void drop_sessions(struct p11_op *op)
{
    struct p11_token *token = op->token;
    CK_SESSION_HANDLE handles[P11_MOST_SESSIONS + 2];
    size_t count = 0;
    bool ours;

    unsigned long old;
    bool copy_open;
    CK_SESSION_HANDLE copy_session;

    pthread_mutex_lock(&token->lock);
    ours = token->module_generation == atomic_load(&op->module->generation);
    for (unsigned i = 0; i < token->idle_count; i++)
        handles[count++] = token->idle[i].handle;
    copy_open = token->copy_open;
    copy_session = token->copy_session;
    if (token->login_open)
        handles[count++] = token->login_session;
    token->idle_count = 0;
    token->open_count = 0;
    token->copy_open = false;
    token->login_open = false;
    token->single = false;
    old = token->generation++;
    /* Copies die with their session: not while somebody signs with one, if it can be helped. */
    while (ours && copy_open && token->copy_users[old & 1] != 0)
        if (pthread_cond_timedwait(&token->cond, &token->lock, &op->deadline) == ETIMEDOUT)
            copy_open = false;
    if (copy_open)
        handles[count++] = copy_session;
    pthread_mutex_unlock(&token->lock);
    clock_gettime(CLOCK_MONOTONIC, &op->started);
    for (size_t i = 0; ours && i < count; i++)
        (void)P11_CALL(op, C_CloseSession, handles[i]);
}

/*
 * New sessions and the login. *rv is the module's answer if the status is P11_OK; a failure to
 * find the token counts as CKR_TOKEN_NOT_PRESENT.
 */
static enum p11_status renew(struct p11_op *op, CK_RV *rv)
{
    struct p11_token *token = op->token;
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    CK_SLOT_ID slot = token->slot;
    unsigned long module_generation = 0;
    enum p11_status status;

    for (int located = 0; located < 2; located++) {
        module_generation = atomic_load(&op->module->generation);
        if (located == 1 || token->module_generation != module_generation) {
            ERR_set_mark();
            status = p11_token_locate(op, &slot);
            if (status == P11_E_NO_TOKEN || (status != P11_OK && op->recoverable)) {
                ERR_pop_to_mark();
                *rv = CKR_TOKEN_NOT_PRESENT;
                return P11_OK;
            }
            ERR_clear_last_mark();
            if (status != P11_OK)
                return status;
            located = 1;
            /* p11_enter() may have initialised a forked module on the way. */
            module_generation = atomic_load(&op->module->generation);
        }
        ERR_set_mark();
        op->recoverable = false;
        status = p11_enter(op);
        if (status != P11_OK && op->recoverable) {
            ERR_pop_to_mark();
            *rv = CKR_CRYPTOKI_NOT_INITIALIZED;
            return P11_OK;
        }
        ERR_clear_last_mark();
        if (status != P11_OK)
            return status;
        drop_sessions(op);
        *rv = p11_slot_holds(op, slot, token, NULL);
        if (*rv == CKR_OK)
            *rv = p11_login_again(op, slot, &session);
        if (*rv == CKR_OK) {
            pthread_mutex_lock(&token->lock);
            token->slot = slot;
            token->module_generation = module_generation;
            token->login_session = session;
            token->login_open = true;
            pthread_mutex_unlock(&token->lock);
        }
        p11_leave(op);
        if (*rv == CKR_OK || p11_ckr_status(*rv) == P11_E_PIN)
            break;
    }
    return P11_OK;
}

/* Whether another token of the module has a session that lives: then the module does too. */
static bool module_alive(struct p11_op *op)
{
    struct p11_token *others[16];
    size_t count = 0;
    bool alive = false;

    pthread_mutex_lock(&op->module->lock);
    for (struct p11_token *t = op->module->tokens; t != NULL && count < 16; t = t->next)
        if (t != op->token)
            others[count++] = t;
    pthread_mutex_unlock(&op->module->lock);
    if (count == 0)
        return false;
    ERR_set_mark();
    if (p11_enter(op) == P11_OK) {
        for (size_t i = 0; i < count && !alive; i++)
            alive = p11_login_alive(op, others[i]);
        p11_leave(op);
    }
    ERR_pop_to_mark();
    return alive;
}

/* The token's busy flag is ours. */
static enum p11_status rebuild(struct p11_op *op)
{
    CK_RV rv = CKR_OK;

    for (unsigned wait_ms = 20;; wait_ms = wait_ms < 640 ? wait_ms * 2 : wait_ms) {
        unsigned long generation = atomic_load(&op->module->generation);
        enum p11_status status = renew(op, &rv);
        bool slots;

        if (status == P11_OK && rv == CKR_OK)
            p11_module_answers(op->module);
        if (status != P11_OK || rv == CKR_OK)
            return status;
        if (!p11_ckr_recoverable(rv) && rv != CKR_SESSION_COUNT)
            return p11_fail_ckr(op, rv);
        if (p11_op_expired(op))
            return p11_fail(op, P11_E_DEADLINE, "the token did not come back in %u ms: %s: %s",
                            op->ctx->deadline_ms, op->call, p11_ckr_name(rv));
        slots = op->slot_total != 0;
        if (rv == CKR_SESSION_COUNT || module_alive(op)) {
            p11_op_pause(op, wait_ms);
            continue;
        }
        ERR_set_mark();
        status = p11_module_reinit(op, generation);
        /* A module that lists its slots lives, though it is not ours: its token will come back. */
        if (status == P11_E_MODULE && rv != CKR_CRYPTOKI_NOT_INITIALIZED && slots) {
            ERR_pop_to_mark();
            p11_op_pause(op, wait_ms);
            continue;
        }
        ERR_clear_last_mark();
        if (status != P11_OK)
            return status;
    }
}

static enum p11_status claimed_rebuild(struct p11_op *op, unsigned long generation)
{
    struct p11_token *token = op->token;
    bool done = false;
    enum p11_status status = claim(op, generation, &done);

    if (status != P11_OK || done)
        return status;
    status = rebuild(op);
    atomic_fetch_add_explicit(status == P11_OK ? &op->module->counters.recoveries
                                               : &op->module->counters.failed_recoveries,
                              1, memory_order_relaxed);
    pthread_mutex_lock(&token->lock);
    token->busy = token->rebuilding = false;
    pthread_cond_broadcast(&token->cond);
    pthread_mutex_unlock(&token->lock);
    return status;
}

enum p11_status p11_recover(struct p11_op *op, CK_RV rv, unsigned long generation)
{
    /*
     * A handle that is no more, while sessions and login are well: the object is gone. To close
     * everybody's sessions for that would let one deleted key slow all others down.
     */
    if (rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_KEY_HANDLE_INVALID) {
        enum p11_status status = p11_enter(op);
        bool alive;

        if (status != P11_OK)
            return status;
        alive = p11_login_alive(op, op->token);
        p11_leave(op);
        if (alive)
            return P11_OK;
    }
    return claimed_rebuild(op, generation);
}

enum p11_status p11_refresh(struct p11_op *op)
{
    struct p11_token *token = op->token;
    bool current;

    pthread_mutex_lock(&token->lock);
    current =
        !token->rebuilding && token->module_generation == atomic_load(&op->module->generation);
    pthread_mutex_unlock(&token->lock);
    return current ? P11_OK : claimed_rebuild(op, 0);
}
