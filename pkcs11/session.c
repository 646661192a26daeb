/*
 * session.c: the pool of a token's sessions, and the way every operation takes through it.
 */
#include <errno.h>
#include <string.h>

#include <openssl/err.h>

#include "pkcs11/internal.h"

static unsigned working_limit(const struct p11_token *token)
{
    return token->copy_reserved && token->limit > 1 ? token->limit - 1 : token->limit;
}

/* What take() decided on. */
struct taken {
    bool open_one; /* there is a place in the pool, but no session in it yet */
    CK_SESSION_HANDLE close[P11_MOST_SESSIONS + 1]; /* first to be closed */
    unsigned close_count;
};

/*
 * Waits for an idle session, or for leave to open one. Outside the module, so that a thread that
 * waits does not hold up a new C_Initialize or a fork. *stale if the module was started anew, and
 * the token is to be rebuilt first.
 */
static enum p11_status take(struct p11_op *op, bool rw, struct taken *taken, bool *stale)
{
    struct p11_token *token = op->token;
    enum p11_status status = P11_OK;

    taken->open_one = false;
    taken->close_count = 0;
    pthread_mutex_lock(&token->lock);
    while (status == P11_OK) {
        if (atomic_load(&p11_exiting)) {
            status = P11_E_EXITING;
            break;
        }
        *stale = token->module_generation != atomic_load(&op->module->generation);
        if (*stale)
            break;
        if (token->rebuilding) {
            if (pthread_cond_timedwait(&token->cond, &token->lock, &op->deadline) == ETIMEDOUT)
                status = P11_E_DEADLINE;
            continue;
        }
        /* The limit may have been lowered. */
        while (token->open_count > working_limit(token) && token->idle_count > 0 &&
               taken->close_count < P11_MOST_SESSIONS) {
            taken->close[taken->close_count++] = token->idle[--token->idle_count].handle;
            token->open_count--;
        }
        if (!rw && token->idle_count > 0) {
            op->session = token->idle[--token->idle_count];
            break;
        }
        if (token->open_count < working_limit(token) || token->idle_count > 0) {
            taken->open_one = true;
            if (token->open_count < working_limit(token))
                token->open_count++;
            else /* make room for one that can write */
                taken->close[taken->close_count++] = token->idle[--token->idle_count].handle;
            op->session = (struct p11_session){.module_generation = token->module_generation,
                                               .generation = token->generation,
                                               .rw = rw};
            break;
        }
        if (pthread_cond_timedwait(&token->cond, &token->lock, &op->deadline) == ETIMEDOUT)
            status = P11_E_DEADLINE;
    }
    pthread_mutex_unlock(&token->lock);
    if (status == P11_E_DEADLINE)
        p11_stuck_check(op);
    if (status == P11_E_DEADLINE)
        p11_fail(op, status, "no session became free in %u ms (max-sessions is %u)",
                 op->ctx->deadline_ms, op->ctx->max_sessions);
    if (status == P11_E_EXITING)
        p11_fail(op, status, "no call goes into the module any more");
    return status;
}

/* Whether op->session is of this time. Inside the module nothing can move on but by a rebuild. */
static bool current(struct p11_op *op)
{
    struct p11_token *token = op->token;
    bool same;

    pthread_mutex_lock(&token->lock);
    same = !token->rebuilding && op->session.generation == token->generation &&
           op->session.module_generation == token->module_generation &&
           token->module_generation == atomic_load(&op->module->generation);
    pthread_mutex_unlock(&token->lock);
    return same;
}

/* The session goes into the pool, if it is of this time and not one too many. Locked. */
static bool keep_session(struct p11_op *op)
{
    struct p11_token *token = op->token;

    if (token->rebuilding || op->session.generation != token->generation ||
        op->session.module_generation != token->module_generation ||
        token->module_generation != atomic_load(&op->module->generation) ||
        token->open_count > working_limit(token) || token->idle_count == P11_MOST_SESSIONS)
        return false;
    token->idle[token->idle_count++] = op->session;
    return true;
}

static void end_copy_use(struct p11_op *op)
{
    if (op->copy_user)
        op->token->copy_users[op->session.generation & 1]--;
    op->copy_user = false;
}

/* Gives the session back to the pool; false if it is to be closed first, and its place then. */
static bool give_back_session(struct p11_op *op)
{
    struct p11_token *token = op->token;
    bool kept;

    pthread_mutex_lock(&token->lock);
    kept = keep_session(op);
    if (kept) {
        end_copy_use(op);
        pthread_cond_broadcast(&token->cond); /* those who wait do not all wait for this */
    }
    pthread_mutex_unlock(&token->lock);
    return kept;
}

/* Gives a place in the pool back, without its session. */
static void give_back(struct p11_op *op)
{
    struct p11_token *token = op->token;

    pthread_mutex_lock(&token->lock);
    end_copy_use(op);
    if (op->session.generation == token->generation)
        token->open_count--;
    pthread_cond_broadcast(&token->cond);
    pthread_mutex_unlock(&token->lock);
}

void p11_sessions_shed(struct p11_op *op)
{
    struct p11_token *token = op->token;
    CK_SESSION_HANDLE handles[P11_MOST_SESSIONS];
    unsigned count = 0;

    pthread_mutex_lock(&token->lock);
    if (token->module_generation == atomic_load(&op->module->generation)) {
        while (token->idle_count > 0) {
            handles[count++] = token->idle[--token->idle_count].handle;
            token->open_count--;
        }
    }
    pthread_mutex_unlock(&token->lock);
    for (unsigned i = 0; i < count; i++)
        (void)P11_CALL(op, C_CloseSession, handles[i]);
}

static CK_RV open_session(struct p11_op *op)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | (op->session.rw ? CKF_RW_SESSION : 0);
    struct p11_token *token = op->token;
    bool single, only;
    CK_SLOT_ID slot;
    CK_RV rv;

    pthread_mutex_lock(&token->lock);
    single = token->single;
    slot = token->slot;
    pthread_mutex_unlock(&token->lock);
    if (single)
        return p11_login_single(op);
    rv = P11_CALL(op, C_OpenSession, slot, flags, NULL, NULL, &op->session.handle);
    if (rv != CKR_SESSION_COUNT)
        return rv;
    /* The one that holds the login is all that there is: it has to do the work, too. */
    pthread_mutex_lock(&token->lock);
    only =
        token->open_count == 1 && token->login_open && op->session.generation == token->generation;
    token->single = token->single || only;
    pthread_mutex_unlock(&token->lock);
    return only ? p11_login_single(op) : rv;
}

static void close_taken(struct p11_op *op, const struct taken *taken)
{
    for (unsigned i = 0; i < taken->close_count; i++)
        (void)P11_CALL(op, C_CloseSession, taken->close[i]);
}

/* The token itself allows fewer sessions than configured: from now on that is the bound. */
static bool lower_limit(struct p11_token *token)
{
    bool lowered = false;

    pthread_mutex_lock(&token->lock);
    if (token->open_count > 1) {
        token->limit = token->open_count - 1 + (token->copy_reserved ? 1 : 0);
        lowered = true;
    }
    pthread_mutex_unlock(&token->lock);
    return lowered;
}

/* Inside the module: work on the session taken, which ends up in the pool or closed. */
static CK_RV work_on_session(struct p11_op *op, const struct taken *taken, p11_work_fn *work,
                             void *arg)
{
    const char *call;
    CK_RV rv = CKR_OK;

    close_taken(op, taken);
    if (taken->open_one)
        rv = open_session(op);
    if (rv != CKR_OK) {
        op->session_missing = rv == CKR_SESSION_COUNT && lower_limit(op->token);
        give_back(op);
        return rv;
    }
    rv = work(op, arg);
    if (rv == CKR_OK && !op->session.rw && give_back_session(op))
        return rv;
    call = op->call;
    if (op->session.module_generation == atomic_load(&op->module->generation))
        (void)P11_CALL(op, C_CloseSession, op->session.handle);
    op->call = call;
    give_back(op);
    return rv;
}

/* Nobody of ours has a session that could become free: the token is asked again, for a while. */
static bool wait_for_token(struct p11_op *op, unsigned *wait_ms)
{
    if (p11_op_expired(op))
        return false;
    p11_op_pause(op, *wait_ms);
    *wait_ms = *wait_ms < 160 ? *wait_ms * 2 : *wait_ms;
    return true;
}

/* The way into the module failed: what was taken goes back as it was. */
static void give_up(struct p11_op *op, const struct taken *taken)
{
    if (taken->open_one || !give_back_session(op))
        give_back(op);
}

/* One try. *rv is the module's answer if the status is P11_OK. */
static enum p11_status attempt(struct p11_op *op, int mode, p11_work_fn *work, void *arg,
                               unsigned long *generation, CK_RV *rv)
{
    struct taken taken;
    unsigned wait_ms = 5;
    bool stale = false;
    enum p11_status status;

    for (;;) {
        status = take(op, mode == P11_SESSION_RW, &taken, &stale);
        if (status == P11_OK && stale) {
            status = p11_refresh(op);
            if (status == P11_OK)
                continue;
        }
        if (status != P11_OK)
            return status;
        *generation = op->session.generation;
        status = p11_enter(op);
        if (status != P11_OK) {
            give_up(op, &taken);
            return status;
        }
        if (!current(op)) {
            /* The module was started anew, or the token rebuilt, on the way here. */
            if (op->session.module_generation == atomic_load(&op->module->generation)) {
                close_taken(op, &taken);
                if (!taken.open_one)
                    (void)P11_CALL(op, C_CloseSession, op->session.handle);
            }
            p11_leave(op);
            give_back(op);
            continue;
        }
        op->status = P11_OK;
        op->session_missing = false;
        *rv = work_on_session(op, &taken, work, arg);
        p11_leave(op);
        if (*rv != CKR_SESSION_COUNT || (!op->session_missing && !wait_for_token(op, &wait_ms)))
            return P11_OK;
    }
}

/* Whether somebody rebuilt the token under this operation: then its handles died in its hands. */
static bool overtaken(struct p11_op *op, unsigned long generation)
{
    struct p11_token *token = op->token;
    bool moved_on;

    pthread_mutex_lock(&token->lock);
    moved_on = token->generation != generation;
    pthread_mutex_unlock(&token->lock);
    return moved_on;
}

enum p11_status p11_run(struct p11_op *op, int mode, p11_work_fn *work, void *arg)
{
    bool retried = false;
    unsigned overtakes = 0;

    for (;;) {
        unsigned long generation = 0;
        CK_RV rv = CKR_OK;
        enum p11_status status = attempt(op, mode, work, arg, &generation, &rv);

        if (status != P11_OK || rv == CKR_OK)
            return status;
        if (!retried && overtakes++ < 3 && overtaken(op, generation))
            continue;
        if (retried || !p11_ckr_recoverable(rv)) {
            if (op->status != P11_OK)
                return p11_fail(op, op->status, "%s",
                                op->detail != NULL ? op->detail : p11_status_text(op->status));
            return p11_fail_ckr(op, rv);
        }
        retried = true;
        status = p11_recover(op, rv, generation);
        if (status != P11_OK)
            return status;
    }
}

enum p11_status p11_run_once(struct p11_op *op, p11_work_fn *work, void *arg)
{
    unsigned long generation = 0;
    CK_RV rv = CKR_OK;
    enum p11_status status = attempt(op, P11_SESSION_RO, work, arg, &generation, &rv);

    return status == P11_OK && rv != CKR_OK ? p11_fail_ckr(op, rv) : status;
}
