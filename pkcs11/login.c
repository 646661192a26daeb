/*
 * login.c: the login of a token, which one session keeps that is used for nothing else.
 */
#include <errno.h>
#include <string.h>

#include "pkcs11/internal.h"

static bool pin_refused(CK_RV rv)
{
    return p11_ckr_status(rv) == P11_E_PIN && rv != CKR_USER_PIN_NOT_INITIALIZED;
}

/* The PIN is typed in on the device. */
static bool has_path(const struct p11_token *token)
{
    return (token->info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
}

static CK_RV open_and_login(struct p11_op *op, CK_SLOT_ID slot, CK_FLAGS flags,
                            const struct p11_pin *pin, CK_SESSION_HANDLE *session)
{
    bool path = has_path(op->token);
    CK_RV rv = P11_CALL(op, C_OpenSession, slot, CKF_SERIAL_SESSION | flags, NULL, NULL, session);

    if (rv != CKR_OK || pin == NULL)
        return rv;
    rv = P11_CALL(op, C_Login, *session, CKU_USER,
                  path && pin->size == 0 ? NULL : (CK_UTF8CHAR_PTR)(uintptr_t)pin->octets,
                  (CK_ULONG)pin->size);
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
        return CKR_OK;
    op->module->functions->C_CloseSession(*session); /* not by P11_CALL: the error is C_Login's */
    return rv;
}

/* Remembers the token's PIN, which was right, as one that is refused: it is not tried again. */
static void lose_login(struct p11_token *token, CK_RV rv)
{
    pthread_mutex_lock(&token->lock);
    if (token->pin != NULL) {
        token->pin->refused_with = rv;
        token->pin->next = token->refused;
        token->refused = token->pin;
        token->pin = NULL;
    }
    token->logged_in = false;
    token->login_lost = true;
    pthread_mutex_unlock(&token->lock);
}

CK_RV p11_login_again(struct p11_op *op, CK_SLOT_ID slot, CK_SESSION_HANDLE *session)
{
    struct p11_token *token = op->token;
    struct p11_pin *pin;
    bool lost;
    CK_RV rv;

    pthread_mutex_lock(&token->lock);
    lost = token->login_lost;
    pin = token->logged_in ? token->pin : NULL; /* stays, for the token's busy flag is ours */
    pthread_mutex_unlock(&token->lock);
    if (lost) {
        op->call = "C_Login";
        return CKR_PIN_INCORRECT;
    }
    p11_pin_lock(pin);
    rv = open_and_login(op, slot, 0, pin, session);
    /* A PIN that was right and is not any more: it is not tried a second time either. */
    if (pin_refused(rv))
        lose_login(token, rv);
    return rv;
}

/* A copy of the PIN that the token accepted; the original may be replaced meanwhile. */
static struct p11_pin *copy_pin(struct p11_token *token)
{
    struct p11_pin *pin = p11_pin_new();

    if (pin == NULL)
        return NULL;
    pthread_mutex_lock(&token->lock);
    if (token->pin != NULL)
        *pin = *token->pin;
    pin->next = NULL;
    pthread_mutex_unlock(&token->lock);
    return pin;
}

CK_RV p11_login_single(struct p11_op *op)
{
    struct p11_token *token = op->token;
    CK_FLAGS flags = op->session.rw ? CKF_RW_SESSION : 0;
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    struct p11_pin *pin = NULL;
    bool open, logged_in;
    CK_SLOT_ID slot;
    CK_RV rv;

    pthread_mutex_lock(&token->lock);
    slot = token->slot;
    open = token->login_open;
    session = token->login_session;
    logged_in = token->logged_in;
    token->login_open = false;
    pthread_mutex_unlock(&token->lock);
    if (open && !op->session.rw) {
        op->session.handle = session;
        return CKR_OK;
    }
    if (open)
        (void)P11_CALL(op, C_CloseSession, session);
    if (logged_in && (pin = copy_pin(token)) == NULL)
        return CKR_HOST_MEMORY;
    rv = pin != NULL ? p11_slot_holds(op, slot, token, NULL) : CKR_OK;
    if (rv == CKR_OK)
        rv = open_and_login(op, slot, flags, pin, &op->session.handle);
    if (pin_refused(rv))
        lose_login(token, rv);
    p11_pin_free(pin);
    return rv;
}

/*
 * One at a time: should the PIN be wrong by now, each thread that signs would try it, and the token
 * lock itself. CKR_OK if it is this thread's turn, else why it is not.
 */
static CK_RV claim_login_for_key(struct p11_op *op)
{
    struct p11_token *token = op->token;
    bool late = false;
    CK_RV rv = CKR_OK;

    pthread_mutex_lock(&token->lock);
    while (token->key_login_busy && !token->login_lost && !late)
        late = pthread_cond_timedwait(&token->cond, &token->lock, &op->deadline) == ETIMEDOUT;
    if (token->login_lost) {
        op->call = "C_Login";
        rv = CKR_PIN_INCORRECT;
    } else if (token->key_login_busy) {
        op->status = P11_E_DEADLINE;
        op->detail = "another thread is logging in for a signature";
        rv = CKR_VENDOR_DEFINED;
    } else {
        token->key_login_busy = true;
    }
    pthread_mutex_unlock(&token->lock);
    return rv;
}

CK_RV p11_login_for_key(struct p11_op *op)
{
    struct p11_token *token = op->token;
    struct p11_pin *pin = NULL;
    CK_RV rv = claim_login_for_key(op);

    if (rv != CKR_OK)
        return rv;
    pin = copy_pin(token);
    rv = pin == NULL ? CKR_HOST_MEMORY
                     : P11_CALL(op, C_Login, op->session.handle, CKU_CONTEXT_SPECIFIC,
                                (CK_UTF8CHAR_PTR)(pin->size != 0 ? pin->octets : NULL),
                                (CK_ULONG)pin->size);
    p11_pin_free(pin);
    if (pin_refused(rv) && !has_path(token))
        lose_login(token, rv);
    pthread_mutex_lock(&token->lock);
    token->key_login_busy = false;
    pthread_cond_broadcast(&token->cond);
    pthread_mutex_unlock(&token->lock);
    return rv;
}

bool p11_login_alive(struct p11_op *op, struct p11_token *token)
{
    CK_SESSION_HANDLE session;
    CK_SESSION_INFO info;
    bool open, logged_in;

    pthread_mutex_lock(&token->lock);
    open = token->login_open && token->module_generation == atomic_load(&op->module->generation);
    logged_in = token->logged_in;
    session = token->login_session;
    pthread_mutex_unlock(&token->lock);
    if (!open)
        return false;
    if (P11_CALL(op, C_GetSessionInfo, session, &info) != CKR_OK)
        return false;
    return !logged_in || info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS;
}

/* Takes the token's busy flag; P11_OK with *done if somebody logged in meanwhile. */
static enum p11_status claim(struct p11_op *op, bool *done)
{
    struct p11_token *token = op->token;
    enum p11_status status = P11_OK;

    pthread_mutex_lock(&token->lock);
    while (token->busy && status == P11_OK)
        if (pthread_cond_timedwait(&token->cond, &token->lock, &op->deadline) == ETIMEDOUT)
            status = P11_E_DEADLINE;
    if (status == P11_OK) {
        *done = token->logged_in;
        token->busy = !*done;
    }
    pthread_mutex_unlock(&token->lock);
    if (status != P11_OK)
        p11_fail(op, status, "another thread is logging in");
    return status;
}

/*
 * A PIN that the token refused before, or NULL. Where it is typed in on the device nothing is
 * remembered: each try is a person's.
 */
static const struct p11_pin *refused_before(struct p11_token *token, const struct p11_pin *pin)
{
    const struct p11_pin *refused;

    pthread_mutex_lock(&token->lock);
    refused = has_path(token) ? NULL : token->refused; /* grows at its head only, until a login */
    pthread_mutex_unlock(&token->lock);
    while (refused != NULL && !p11_pin_equal(refused, pin))
        refused = refused->next;
    return refused;
}

static enum p11_status fail_refused(struct p11_op *op, const struct p11_pin *refused)
{
    const char *hint = p11_ckr_hint(refused->refused_with);

    return p11_fail(op, P11_E_PIN,
                    "the token \"%s\" refused this PIN before (%s%s%s); it is not tried again",
                    op->token->label, p11_ckr_name(refused->refused_with), hint != NULL ? ": " : "",
                    hint != NULL ? hint : "");
}

/* One that a rebuild opened without a login. */
static void close_login_session(struct p11_op *op)
{
    struct p11_token *token = op->token;
    CK_SESSION_HANDLE session;
    bool open;

    pthread_mutex_lock(&token->lock);
    open = token->login_open;
    session = token->login_session;
    token->login_open = false;
    pthread_mutex_unlock(&token->lock);
    if (open)
        (void)P11_CALL(op, C_CloseSession, session);
}

/* C_OpenSession and C_Login; while the token has no session left, again until the deadline. */
static enum p11_status open_for_login(struct p11_op *op, const struct p11_pin *pin,
                                      CK_SESSION_HANDLE *session, CK_RV *rv)
{
    for (unsigned wait_ms = 5;; wait_ms = wait_ms < 160 ? wait_ms * 2 : wait_ms) {
        enum p11_status status = p11_enter(op);

        if (status != P11_OK)
            return status;
        *rv = open_and_login(op, op->token->slot, 0, pin, session);
        if (*rv == CKR_OK)
            close_login_session(op);
        if (*rv == CKR_SESSION_COUNT)
            p11_sessions_shed(op);
        p11_leave(op);
        if (*rv != CKR_SESSION_COUNT || p11_op_expired(op))
            return *rv == CKR_OK ? P11_OK : p11_fail_ckr(op, *rv);
        p11_op_pause(op, wait_ms);
    }
}

static enum p11_status login_with(struct p11_op *op, struct p11_pin *pin)
{
    struct p11_token *token = op->token;
    const struct p11_pin *before;
    CK_SESSION_HANDLE session = 0;
    bool done = false;
    bool refused = false;
    enum p11_status status = claim(op, &done);
    CK_RV rv = CKR_OK;

    if (status != P11_OK || done) {
        p11_pin_free(pin);
        return status;
    }
    before = refused_before(token, pin);
    if (before != NULL) {
        status = fail_refused(op, before);
    } else {
        status = open_for_login(op, pin, &session, &rv);
        refused = pin_refused(rv) && !has_path(token);
    }
    pthread_mutex_lock(&token->lock);
    if (status == P11_OK) {
        token->login_session = session;
        token->login_open = true;
        token->logged_in = true;
        token->login_lost = false;
        p11_pin_free(token->pin);
        token->pin = pin;
        pin = NULL;
        p11_pin_free(token->refused);
        token->refused = NULL;
    } else if (refused) {
        pin->refused_with = rv;
        pin->next = token->refused;
        token->refused = pin;
        pin = NULL;
    }
    token->busy = false;
    pthread_cond_broadcast(&token->cond);
    pthread_mutex_unlock(&token->lock);
    p11_pin_free(pin);
    return status;
}

/*
 * Before a PIN goes to the token's slot: in it now may be another, which would count it as wrong.
 * And the last try before a token locks its PIN is a person's: a service that begins anew by itself
 * would come to it with a wrong one.
 */
static enum p11_status look_before_login(struct p11_op *op, const struct p11_pin *pin)
{
    struct p11_token *token = op->token;
    unsigned long generation;
    enum p11_status status;
    CK_FLAGS flags = 0;
    CK_SLOT_ID slot;
    CK_RV rv;

    pthread_mutex_lock(&token->lock);
    generation = token->generation;
    slot = token->slot;
    pthread_mutex_unlock(&token->lock);
    status = p11_enter(op);
    if (status != P11_OK)
        return status;
    rv = p11_slot_holds(op, slot, token, &flags);
    p11_leave(op);
    if (rv == CKR_OK && (flags & CKF_USER_PIN_FINAL_TRY) != 0 && !pin->typed && !has_path(token))
        return p11_fail(op, P11_E_PIN,
                        "one more wrong PIN locks the token; type it once, without a PIN source");
    if (rv == CKR_OK)
        return P11_OK;
    return p11_ckr_recoverable(rv) ? p11_recover(op, rv, generation) : p11_fail_ckr(op, rv);
}

static void set_lost(struct p11_token *token, bool lost)
{
    pthread_mutex_lock(&token->lock);
    token->login_lost = token->login_lost || (lost && !token->logged_in);
    pthread_mutex_unlock(&token->lock);
}

static bool forgive(struct p11_token *token)
{
    bool lost;

    pthread_mutex_lock(&token->lock);
    lost = token->login_lost;
    token->login_lost = false;
    pthread_mutex_unlock(&token->lock);
    return lost;
}

enum p11_status p11_token_login(struct p11_op *op, const struct p11_uri *uri, bool private_wanted,
                                p11_pin_fn *prompt, void *prompt_arg, bool *without)
{
    struct p11_token *token = op->token;
    CK_FLAGS flags = token->info.flags;
    struct p11_pin *pin = NULL;
    bool lost;
    enum p11_status status;

    *without = false;
    if (op->ctx->login == P11_NO)
        return P11_OK;
    if (op->ctx->login == P11_AUTO && (!private_wanted || (flags & CKF_LOGIN_REQUIRED) == 0))
        return P11_OK;
    /* A new PIN may be there for one that was refused: then sessions are wanted without a login. */
    lost = forgive(token);
    status = p11_refresh(op);
    if (status != P11_OK || p11_token_logged_in(token))
        return status;
    if (has_path(token)) {
        pin = p11_pin_new(); /* empty */
        if (pin == NULL)
            return p11_fail(op, P11_E_MEMORY, "no page for the PIN");
    } else {
        status = p11_pin_obtain(op, uri, prompt, prompt_arg, token->label, &pin);
        if (status != P11_OK) {
            set_lost(token, lost);
            return status;
        }
    }
    if (pin == NULL) {
        set_lost(token, lost);
        *without = true;
        return P11_OK;
    }
    if (prompt != NULL) {
        /* A person may have taken longer than the deadline. */
        struct p11_op again;

        p11_op_init(&again, op->ctx, op->uri);
        op->deadline = again.deadline;
    }
    status = look_before_login(op, pin);
    if (status == P11_OK)
        status = login_with(op, pin);
    else
        p11_pin_free(pin);
    if (status != P11_OK)
        set_lost(token, lost);
    return status;
}
