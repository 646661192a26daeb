/*
 * slot.c: the slots and tokens of a module.
 *
 * The first listing, at start-up, is libp11's. It is given a module that is initialised already,
 * and never told to unload: PKCS11_CTX_unload() of 0.4.12 finalises it, whoever initialised it.
 *
 * Every later listing (another URI, a rebuild) is Cryptoki's, because libp11 0.4.12 has no way to
 * list twice: PKCS11_release_all_slots() calls C_CloseAllSessions() on slots where the sessions
 * are ours, and PKCS11_update_slots() takes its list of slots for a list of pointers and crashes
 * when there is more than one. So libp11's list is kept, untouched, until the process ends.
 *
 * Certificates are read by Cryptoki too (find.c): libp11's pool keeps session handles over a
 * C_Finalize and C_Initialize, after which the module hands the same numbers to us and two
 * threads would work on one session, and its list of certificates keeps those that were deleted.
 */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "pkcs11/internal.h"

#define MOST_SLOTS 4096
#define MOST_CACHED 64

/* As Cryptoki has it: libp11 cuts the padding off. */
static void pad(unsigned char *to, size_t size, const char *from)
{
    size_t length = from != NULL ? strnlen(from, size) : 0;

    memset(to, ' ', size);
    if (length != 0)
        memcpy(to, from, length);
}

static void take_slot(struct p11_slot *to, PKCS11_SLOT *from)
{
    const PKCS11_TOKEN *token = from->token;
    CK_TOKEN_INFO *info = &to->token_info;

    to->id = PKCS11_get_slotid_from_slot(from);
    pad(to->slot_info.slotDescription, sizeof(to->slot_info.slotDescription), from->description);
    pad(to->slot_info.manufacturerID, sizeof(to->slot_info.manufacturerID), from->manufacturer);
    pad(info->label, sizeof(info->label), token->label);
    pad(info->manufacturerID, sizeof(info->manufacturerID), token->manufacturer);
    pad(info->model, sizeof(info->model), token->model);
    pad(info->serialNumber, sizeof(info->serialNumber), token->serialnr);
    info->flags = (token->initialized ? CKF_TOKEN_INITIALIZED : 0) |
                  (token->loginRequired ? CKF_LOGIN_REQUIRED : 0) |
                  (token->secureLogin ? CKF_PROTECTED_AUTHENTICATION_PATH : 0);
}

struct listing {
    struct p11_slot *slots;
    size_t count;
    size_t total; /* with those that hold no token */
};

static bool make_room(struct listing *listing, size_t slots)
{
    listing->slots = OPENSSL_zalloc((slots + 1) * sizeof(*listing->slots));
    return listing->slots != NULL;
}

/* False if libp11 cannot: then Cryptoki is asked, and its answer is the one that counts. */
static bool list_by_libp11(struct p11_op *op, struct listing *listing)
{
    struct p11_module *module = op->module;
    PKCS11_SLOT *slots = NULL;
    unsigned count = 0;
    bool ok = false;

    ERR_set_mark();
    module->libp11 = PKCS11_CTX_new(); /* kept, and tried once only */
    if (module->libp11 == NULL)
        goto out;
    PKCS11_CTX_init_args(module->libp11, module->init_args);
    p11_call_begin(op, "PKCS11_enumerate_slots");
    ok = PKCS11_CTX_load(module->libp11, module->path) == 0 &&
         PKCS11_enumerate_slots(module->libp11, &slots, &count) == 0 && make_room(listing, count);
    p11_call_end(op, ok ? CKR_OK : CKR_GENERAL_ERROR);
    module->slots = slots;
    for (unsigned i = 0; ok && i < count; i++)
        if (slots[i].token != NULL)
            take_slot(&listing->slots[listing->count++], &slots[i]);
    listing->total = count;
out:
    ERR_pop_to_mark();
    return ok;
}

static CK_RV list_by_cryptoki(struct p11_op *op, struct listing *listing)
{
    CK_SLOT_ID *ids = NULL;
    CK_ULONG count = 0, room;
    CK_RV rv;

    do {
        OPENSSL_free(ids);
        ids = NULL;
        rv = P11_CALL(op, C_GetSlotList, CK_FALSE, NULL, &count);
        if (rv != CKR_OK)
            return rv;
        if (count > MOST_SLOTS)
            return CKR_GENERAL_ERROR;
        room = count;
        ids = OPENSSL_zalloc((count + 1) * sizeof(*ids));
        if (ids == NULL)
            return CKR_HOST_MEMORY;
        rv = P11_CALL(op, C_GetSlotList, CK_FALSE, ids, &count);
    } while (rv == CKR_BUFFER_TOO_SMALL && !p11_op_expired(op)); /* one was plugged in meanwhile */
    if (rv == CKR_OK && count > room)
        rv = CKR_GENERAL_ERROR; /* more than there are */
    if (rv == CKR_OK && !make_room(listing, count))
        rv = CKR_HOST_MEMORY;
    listing->total = count;
    for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) {
        struct p11_slot *slot = &listing->slots[listing->count];

        /* A slot that is out of order must not hide the others. */
        slot->id = ids[i];
        if (P11_CALL(op, C_GetSlotInfo, ids[i], &slot->slot_info) == CKR_OK &&
            (slot->slot_info.flags & CKF_TOKEN_PRESENT) != 0 &&
            P11_CALL(op, C_GetTokenInfo, ids[i], &slot->token_info) == CKR_OK)
            listing->count++;
    }
    OPENSSL_free(ids);
    return rv;
}

/* libp11's context is for one thread at a time, and so is the listing that is kept. */
static enum p11_status slots_lock(struct p11_op *op)
{
    struct p11_module *module = op->module;
    enum p11_status status = P11_OK;

    pthread_mutex_lock(&module->lock);
    while (module->slots_busy && status == P11_OK)
        if (pthread_cond_timedwait(&module->cond, &module->lock, &op->deadline) == ETIMEDOUT)
            status = P11_E_DEADLINE;
    if (status == P11_OK)
        module->slots_busy = true;
    pthread_mutex_unlock(&module->lock);
    if (status != P11_OK)
        p11_fail(op, status, "another thread is listing the slots");
    return status;
}

static void slots_unlock(struct p11_module *module)
{
    pthread_mutex_lock(&module->lock);
    module->slots_busy = false;
    pthread_cond_broadcast(&module->cond);
    pthread_mutex_unlock(&module->lock);
}

/*
 * The last full listing once more, if the module shows the same slots with a token: one call. A
 * token that was exchanged for another in its slot meanwhile has lost its sessions, and an
 * operation on it ends in a rebuild, which lists anew; one that is met for the first time is looked
 * at in its slot (token.c).
 */
static bool list_again(struct p11_op *op, struct listing *listing)
{
    struct p11_module *module = op->module;
    CK_SLOT_ID ids[MOST_CACHED];
    CK_ULONG count = MOST_CACHED;
    bool same;

    if (module->listing_generation != atomic_load(&module->generation) ||
        P11_CALL(op, C_GetSlotList, CK_TRUE, ids, &count) != CKR_OK ||
        count != module->listing_count || count == 0 || count > MOST_CACHED ||
        !make_room(listing, count))
        return false;
    same = true;
    for (CK_ULONG i = 0; i < count && same; i++)
        same = module->listing[i].id == ids[i];
    if (!same)
        return false;
    memcpy(listing->slots, module->listing, count * sizeof(*listing->slots));
    listing->count = listing->total = count;
    return true;
}

static void keep_listing(struct p11_op *op, const struct listing *listing)
{
    struct p11_module *module = op->module;

    OPENSSL_free(module->listing);
    module->listing =
        OPENSSL_memdup(listing->slots, (listing->count + 1) * sizeof(*listing->slots));
    module->listing_count = listing->count;
    module->listing_generation = module->listing != NULL ? atomic_load(&module->generation) : 0;
}

enum p11_status p11_slots_list(struct p11_op *op, bool fresh, struct p11_slot **slots,
                               size_t *count)
{
    struct listing listing = {0};
    CK_RV rv = CKR_OK;
    enum p11_status status;

    *slots = NULL;
    *count = 0;
    op->recoverable = false;
    status = slots_lock(op);
    if (status != P11_OK)
        return status;
    status = p11_enter(op);
    if (status == P11_OK) {
        op->listing_kept = !fresh && list_again(op, &listing);
        if (!op->listing_kept) {
            OPENSSL_free(listing.slots);
            listing = (struct listing){0};
            if (op->module->libp11 != NULL || !list_by_libp11(op, &listing)) {
                OPENSSL_free(listing.slots);
                listing = (struct listing){0};
                rv = list_by_cryptoki(op, &listing);
            }
            if (rv == CKR_OK)
                keep_listing(op, &listing);
        }
        p11_leave(op);
    }
    slots_unlock(op->module);
    if (status == P11_OK && rv != CKR_OK) {
        op->recoverable = p11_ckr_recoverable(rv);
        status = p11_fail_ckr(op, rv);
    }
    if (status != P11_OK) {
        OPENSSL_free(listing.slots);
        return status;
    }
    *slots = listing.slots;
    *count = listing.count;
    op->slot_total = listing.total;
    return P11_OK;
}
