/*
 * handle.c: from a key to the handle that it has now. Inside the module, on op->session.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

/* A step failed for a reason that has no CKR; the runner raises this one. */
static CK_RV own(struct p11_op *op, enum p11_status status, const char *detail, CK_RV rv)
{
    op->status = status;
    op->detail = detail;
    return rv;
}

/* By class, CKA_ID and label; of several, or of one, the one with the key's public point. */
static CK_RV find_again(struct p11_op *op, p11_key *key, CK_OBJECT_HANDLE *handle)
{
    CK_OBJECT_CLASS class_ = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE want[3] = {{CKA_CLASS, &class_, sizeof(class_)}};
    CK_OBJECT_HANDLE *handles = NULL;
    size_t count = 1;
    size_t found = 0;
    bool same = false;
    CK_RV rv;

    if (key->id_size != 0)
        want[count++] = (CK_ATTRIBUTE){CKA_ID, key->id, (CK_ULONG)key->id_size};
    if (key->label_known)
        want[count++] = (CK_ATTRIBUTE){CKA_LABEL, key->label, (CK_ULONG)strlen(key->label)};
    rv = p11_search(op, want, count, &handles, &found);
    for (size_t i = 0; rv == CKR_OK && i < found && !same; i++) {
        uint8_t point[P11_POINT_MAX];
        enum p11_curve curve;
        bool has_point;

        rv = p11_private_point(op, handles[i], key->id, key->id_size, &curve, &has_point, point);
        same = rv == CKR_OK && has_point && curve == key->curve &&
               memcmp(point, key->point, 1 + 2 * p11_curve_size(curve)) == 0;
        if (same)
            *handle = handles[i];
    }
    OPENSSL_free(handles);
    if (rv != CKR_OK || same)
        return rv;
    /* Not found may mean logged out behind our back, which is looked into once. */
    if (found == 0)
        return own(op, P11_E_NO_OBJECT, "the private key is not on the token any more",
                   CKR_OBJECT_HANDLE_INVALID);
    return own(op, P11_E_KEY_CHANGED,
               "the private key that is found under this name does not have the public key that "
               "it had",
               CKR_VENDOR_DEFINED);
}

/* Opened by the thread that has copy_busy, and closed by a rebuild. */
static CK_RV copy_session(struct p11_op *op, CK_SESSION_HANDLE *session)
{
    struct p11_token *token = op->token;
    CK_SLOT_ID slot;
    bool open;
    CK_RV rv;

    pthread_mutex_lock(&token->lock);
    open = token->copy_open;
    *session = token->copy_session;
    slot = token->slot;
    pthread_mutex_unlock(&token->lock);
    if (open)
        return CKR_OK;
    rv = P11_CALL(op, C_OpenSession, slot, CKF_SERIAL_SESSION, NULL, NULL, session);
    if (rv != CKR_OK)
        return rv;
    pthread_mutex_lock(&token->lock);
    open = op->session.generation == token->generation;
    if (open) {
        token->copy_session = *session;
        token->copy_open = true;
    }
    pthread_mutex_unlock(&token->lock);
    if (open)
        return CKR_OK;
    /* A rebuild has closed the others meanwhile, and would not know of this one. */
    (void)P11_CALL(op, C_CloseSession, *session);
    return CKR_SESSION_HANDLE_INVALID;
}

/*
 * A session object with the key's value. SoftHSM looks at the file of a token object, under a
 * file lock, each time it is used; at a session object it does not. The copy must be as closed
 * as the key itself, or it is not used.
 */
static bool make_copy(struct p11_op *op, CK_OBJECT_HANDLE handle, CK_OBJECT_HANDLE *copy)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_TOKEN};
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE template[1] = {{CKA_TOKEN, &no, sizeof(no)}};
    int before[3], after[3];
    CK_SESSION_HANDLE session;

    if (copy_session(op, &session) != CKR_OK || p11_flags(op, handle, types, 3, before) != CKR_OK ||
        P11_CALL(op, C_CopyObject, session, handle, template, 1, copy) != CKR_OK)
        return false;
    if (p11_flags(op, *copy, types, 3, after) == CKR_OK && after[0] == before[0] &&
        after[1] == before[1] && after[2] == 0)
        return true;
    (void)P11_CALL(op, C_DestroyObject, session, *copy);
    return false;
}

/* SoftHSM's copies break under those who use them when their session is closed: they are counted.
 */
static void use_copy(struct p11_op *op)
{
    if (!op->copy_user)
        op->token->copy_users[op->session.generation & 1]++;
    op->copy_user = true;
}

/*
 * Decides under the lock whether this thread makes the copy. The first use of a key makes none: a
 * program that signs once and ends would pay for it and have nothing from it.
 */
static bool claim_copy(struct p11_op *op, p11_key *key)
{
    struct p11_token *token = op->token;
    bool mine;

    pthread_mutex_lock(&token->lock);
    mine = key->used && key->copy_wanted && token->copy_reserved && !key->has_copy &&
           !key->copying && !token->copy_busy && op->session.generation == token->generation;
    key->used = true;
    if (mine) {
        use_copy(op);
        key->copying = true;
        token->copy_busy = true;
        token->copies++;
    }
    pthread_mutex_unlock(&token->lock);
    return mine;
}

static void copy_key(struct p11_op *op, p11_key *key, CK_OBJECT_HANDLE *handle)
{
    struct p11_token *token = op->token;
    CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
    bool made;

    if (!claim_copy(op, key))
        return;
    made = make_copy(op, *handle, &copy);
    pthread_mutex_lock(&token->lock);
    if (made && op->session.generation == token->generation &&
        key->generation == token->generation) {
        key->has_copy = true;
        key->copy = copy;
        key->copy_generation = token->generation;
        clock_gettime(CLOCK_MONOTONIC, &key->checked);
        *handle = copy;
    } else if (!made && op->session.generation == token->generation) {
        key->copy_wanted = false; /* this token does not do it */
    }
    key->copying = false;
    token->copy_busy = false;
    pthread_mutex_unlock(&token->lock);
}

/* A copy goes on working when its original is deleted: once a second the original is looked at. */
static CK_RV look_at_original(struct p11_op *op, p11_key *key, CK_OBJECT_HANDLE handle)
{
    CK_KEY_TYPE type;
    CK_ATTRIBUTE attribute = {CKA_KEY_TYPE, &type, sizeof(type)};
    CK_RV rv = P11_CALL(op, C_GetAttributeValue, op->session.handle, handle, &attribute, 1);

    if (rv != CKR_OK)
        p11_key_forget(key, op->session.generation);
    return rv;
}

CK_RV p11_key_handle(struct p11_op *op, p11_key *key, CK_OBJECT_HANDLE *handle)
{
    struct p11_token *token = op->token;
    CK_OBJECT_HANDLE original = CK_INVALID_HANDLE;
    const struct timespec now = op->started; /* the operation came into the module just now */
    struct timespec due;
    bool known, copy, look = false;
    CK_RV rv;

    pthread_mutex_lock(&token->lock);
    known =
        key->generation == op->session.generation && op->session.generation == token->generation;
    copy = known && key->has_copy;
    if (known)
        original = key->handle;
    if (copy) {
        use_copy(op);
        *handle = key->copy;
        due = p11_time_after(key->checked, 1000);
        look = !p11_later(&due, &now);
        if (look)
            key->checked = now;
    }
    pthread_mutex_unlock(&token->lock);
    if (copy)
        return look ? look_at_original(op, key, original) : CKR_OK;
    if (!known) {
        rv = find_again(op, key, &original);
        if (rv != CKR_OK)
            return rv;
        pthread_mutex_lock(&token->lock);
        if (op->session.generation == token->generation) {
            key->generation = op->session.generation;
            key->handle = original;
            key->has_copy = false;
        }
        pthread_mutex_unlock(&token->lock);
    }
    *handle = original;
    copy_key(op, key, handle);
    return CKR_OK;
}

void p11_key_forget(p11_key *key, unsigned long generation)
{
    pthread_mutex_lock(&key->token->lock);
    if (key->generation == generation)
        key->generation = 0;
    pthread_mutex_unlock(&key->token->lock);
}
