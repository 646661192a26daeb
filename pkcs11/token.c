/*
 * token.c: tokens, whichever slot they are in.
 */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "pkcs11/internal.h"

/* Without its padding: blanks, with some modules NULs, which libp11 has turned into blanks. */
static size_t field_size(const CK_UTF8CHAR *field, size_t size)
{
    size = strnlen((const char *)field, size);
    while (size > 0 && field[size - 1] == ' ')
        size--;
    return size;
}

static bool same_field(const CK_UTF8CHAR *a, const CK_UTF8CHAR *b, size_t size)
{
    size_t used = field_size(a, size);

    return used == field_size(b, size) && memcmp(a, b, used) == 0;
}

static bool same_token(const CK_TOKEN_INFO *a, const CK_TOKEN_INFO *b)
{
    return same_field(a->label, b->label, sizeof(a->label)) &&
           same_field(a->serialNumber, b->serialNumber, sizeof(a->serialNumber)) &&
           same_field(a->manufacturerID, b->manufacturerID, sizeof(a->manufacturerID)) &&
           same_field(a->model, b->model, sizeof(a->model));
}

static struct p11_token *token_new(struct p11_module *module, const struct p11_slot *slot)
{
    struct p11_token *token = OPENSSL_zalloc(sizeof(*token));
    const CK_UTF8CHAR *label = slot->token_info.label;

    if (token == NULL)
        return NULL;
    token->module = module;
    token->info = slot->token_info;
    memcpy(token->label, label, field_size(label, sizeof(slot->token_info.label)));
    pthread_mutex_init(&token->lock, NULL);
    p11_cond_init(&token->cond);
    token->generation = 1;
    return token;
}

CK_RV p11_slot_holds(struct p11_op *op, CK_SLOT_ID slot, const struct p11_token *token,
                     CK_FLAGS *flags)
{
    CK_TOKEN_INFO info;
    CK_RV rv = P11_CALL(op, C_GetTokenInfo, slot, &info);

    if (rv == CKR_OK && flags != NULL)
        *flags = info.flags;
    return rv == CKR_OK && !same_token(&info, &token->info) ? CKR_TOKEN_NOT_PRESENT : rv;
}

/* The token in a slot, from the module's list or new in it. */
static struct p11_token *token_get(struct p11_module *module, const struct p11_slot *slot)
{
    struct p11_token *token;

    pthread_mutex_lock(&module->lock);
    for (token = module->tokens; token != NULL; token = token->next)
        if (same_token(&token->info, &slot->token_info))
            break;
    if (token == NULL && (token = token_new(module, slot)) != NULL) {
        token->next = module->tokens;
        module->tokens = token;
    }
    pthread_mutex_unlock(&module->lock);
    return token;
}

/* The configuration of the context that used a token last is the token's. */
static void token_configure(struct p11_op *op, struct p11_token *token)
{
    const p11_ctx *ctx = op->ctx;

    pthread_mutex_lock(&token->lock);
    token->limit = ctx->max_sessions;
    token->copy_reserved =
        ctx->max_sessions > 1 &&
        (ctx->key_copy == P11_YES || (ctx->key_copy == P11_AUTO && op->module->softhsm));
    pthread_cond_broadcast(&token->cond);
    pthread_mutex_unlock(&token->lock);
}

/*
 * The list first: SoftHSM2 gives information even on mechanisms that its configuration has taken
 * off it, and tpm2-pkcs11 writes to stderr when it is asked for one that it does not have.
 */
CK_RV p11_slot_offers(struct p11_op *op, const struct p11_slot *slot, CK_MECHANISM_TYPE type,
                      bool *offers)
{
    CK_MECHANISM_INFO info;
    CK_MECHANISM_TYPE list[1024];
    const CK_ULONG room = sizeof(list) / sizeof(list[0]);
    CK_ULONG count = room;
    bool listed = false;
    CK_RV rv = P11_CALL(op, C_GetMechanismList, slot->id, list, &count);

    *offers = false;
    if (p11_ckr_recoverable(rv))
        return rv;
    if (rv == CKR_OK && count <= room) {
        CK_ULONG i = 0;

        while (i < count && list[i] != type)
            i++;
        if (i == count)
            return CKR_OK;
        listed = true;
    }
    rv = P11_CALL(op, C_GetMechanismInfo, slot->id, type, &info);
    *offers = rv == CKR_OK || (listed && rv == CKR_FUNCTION_NOT_SUPPORTED);
    return p11_ckr_recoverable(rv) ? rv : CKR_OK;
}

/*
 * The first sight of a token: its slot, and what it can do. A kept listing may be wrong about the
 * slot, and the token in it now must not get the other's PIN: then *moved is set, and nothing is
 * known. Nor is it when the HSM is just then out of order: what is known is known for good.
 */
static enum p11_status token_meet(struct p11_op *op, struct p11_token *token,
                                  const struct p11_slot *slot, bool *moved)
{
    bool ecdsa = false, ecdh = false, generate = false, there;
    unsigned long module_generation;
    enum p11_status status;
    CK_RV rv = CKR_OK;

    token_configure(op, token);
    pthread_mutex_lock(&token->lock);
    module_generation = token->module_generation;
    pthread_mutex_unlock(&token->lock);
    if (module_generation != 0)
        return P11_OK; /* p11_refresh() brings it up to date if the module was restarted */
    status = p11_enter(op);
    if (status != P11_OK)
        return status;
    module_generation = atomic_load(&op->module->generation);
    there = !op->listing_kept || p11_slot_holds(op, slot->id, token, NULL) == CKR_OK;
    if (there)
        rv = p11_slot_offers(op, slot, CKM_ECDSA, &ecdsa);
    if (there && rv == CKR_OK)
        rv = p11_slot_offers(op, slot, CKM_ECDH1_DERIVE, &ecdh);
    if (there && rv == CKR_OK)
        rv = p11_slot_offers(op, slot, CKM_EC_KEY_PAIR_GEN, &generate);
    p11_leave(op);
    if (rv != CKR_OK)
        return p11_fail_ckr(op, rv);
    *moved = *moved || !there;
    pthread_mutex_lock(&token->lock);
    if (there && token->module_generation == 0) {
        token->slot = slot->id;
        token->module_generation = module_generation;
        token->has_ecdsa = ecdsa;
        token->has_ecdh = ecdh;
        token->has_generate = generate;
    }
    pthread_mutex_unlock(&token->lock);
    return P11_OK;
}

/*
 * The slots; while there is none to be had, again after a new C_Initialize, until the deadline. A
 * module on a socket shows no slots, without an error, while its server is away.
 */
static enum p11_status list_slots(struct p11_op *op, bool fresh, struct p11_slot **slots,
                                  size_t *count)
{
    for (;;) {
        unsigned long generation = atomic_load(&op->module->generation);
        enum p11_status status;
        bool away;

        ERR_set_mark();
        status = p11_slots_list(op, fresh, slots, count);
        away = status == P11_OK ? op->slot_total == 0 && op->module->socket : op->recoverable;
        if (!away || p11_op_expired(op)) {
            ERR_clear_last_mark();
            if (!away)
                p11_module_answers(op->module);
            return status;
        }
        ERR_pop_to_mark();
        OPENSSL_free(*slots);
        *slots = NULL;
        *count = 0;
        status = p11_module_reinit(op, generation);
        if (status != P11_OK)
            return status;
    }
}

/* The slots among them that match, in their order; the number of those not initialised. */
static size_t pick(struct p11_op *op, const struct p11_uri *uri, struct p11_slot *slots,
                   size_t *count)
{
    const struct p11_uri *names = uri;
    size_t blank = 0;
    size_t kept = 0;

    if ((uri == NULL || !uri->has_token) && op->ctx->token != NULL)
        names = op->ctx->token;
    for (size_t i = 0; i < *count; i++) {
        if ((names != NULL && !p11_uri_matches(names, &op->module->info, &slots[i])) ||
            (uri != NULL && uri != names && !p11_uri_matches(uri, &op->module->info, &slots[i])))
            continue;
        if ((slots[i].token_info.flags & CKF_TOKEN_INITIALIZED) == 0)
            blank++;
        else
            slots[kept++] = slots[i];
    }
    *count = kept;
    return blank;
}

/* A listing that is kept serves if a token in it matches; that none does is said of a fresh one. */
static enum p11_status matching_slots(struct p11_op *op, const struct p11_uri *uri, bool fresh,
                                      struct p11_slot **slots, size_t *count)
{
    size_t all = 0;
    size_t blank = 0;

    for (int kept = fresh ? 0 : 1; kept >= 0; kept--) {
        enum p11_status status;

        OPENSSL_free(*slots);
        *slots = NULL;
        status = list_slots(op, kept == 0, slots, count);
        if (status != P11_OK)
            return status;
        all = *count;
        blank = pick(op, uri, *slots, count);
        if (*count != 0)
            return P11_OK;
    }
    return p11_fail(op, P11_E_NO_TOKEN, "%s",
                    blank != 0 ? "the token that matches is not initialised"
                    : all == 0 ? "the module shows no token at all"
                               : "no token matches");
}

/* p11_tokens_match() with one listing; *moved if a token was not in the slot that a kept one says.
 */
static enum p11_status tokens_of(struct p11_op *op, const struct p11_uri *uri, bool fresh,
                                 bool *moved, struct p11_token ***result, size_t *result_count)
{
    struct p11_slot *slots = NULL;
    struct p11_token **tokens = NULL;
    size_t count = 0;
    enum p11_status status = matching_slots(op, uri, fresh, &slots, &count);

    *moved = false;
    if (status != P11_OK)
        goto out;
    tokens = OPENSSL_zalloc(count * sizeof(struct p11_token *));
    if (tokens == NULL)
        status = p11_fail(op, P11_E_MEMORY, "out of memory");
    for (size_t i = 0; i < count && status == P11_OK; i++) {
        tokens[i] = token_get(op->module, &slots[i]);
        status = tokens[i] != NULL ? token_meet(op, tokens[i], &slots[i], moved)
                                   : p11_fail(op, P11_E_MEMORY, "out of memory");
    }
out:
    OPENSSL_free(slots);
    if (status == P11_OK && !*moved) {
        *result = tokens;
        *result_count = count;
    } else {
        OPENSSL_free(tokens);
    }
    return status;
}

enum p11_status p11_tokens_match(struct p11_op *op, const struct p11_uri *uri,
                                 struct p11_token ***result, size_t *result_count)
{
    enum p11_status status;
    bool moved = false;

    *result = NULL;
    *result_count = 0;
    status = p11_module_get(op);
    if (status == P11_OK)
        status = tokens_of(op, uri, false, &moved, result, result_count);
    if (status == P11_OK && moved)
        status = tokens_of(op, uri, true, &moved, result, result_count);
    return status;
}

enum p11_status p11_token_match_one(struct p11_op *op, const struct p11_uri *uri)
{
    struct p11_token **tokens = NULL;
    size_t count = 0;
    enum p11_status status = p11_tokens_match(op, uri, &tokens, &count);

    if (status == P11_OK && count > 1)
        status = p11_fail(op, P11_E_AMBIGUOUS, "%zu tokens match; name one with token=", count);
    if (status == P11_OK)
        op->token = tokens[0];
    OPENSSL_free(tokens);
    return status;
}

enum p11_status p11_token_locate(struct p11_op *op, CK_SLOT_ID *slot)
{
    struct p11_slot *slots = NULL;
    size_t count = 0;
    enum p11_status status = p11_slots_list(op, true, &slots, &count);

    if (status != P11_OK)
        return status;
    status = P11_E_NO_TOKEN;
    for (size_t i = 0; i < count; i++)
        if ((slots[i].token_info.flags & CKF_TOKEN_INITIALIZED) != 0 &&
            same_token(&slots[i].token_info, &op->token->info)) {
            *slot = slots[i].id;
            status = P11_OK;
            break;
        }
    OPENSSL_free(slots);
    if (status != P11_OK)
        p11_fail(op, status, "the token is not there any more");
    return status;
}

bool p11_token_logged_in(struct p11_token *token)
{
    bool logged_in;

    pthread_mutex_lock(&token->lock);
    logged_in = token->logged_in;
    pthread_mutex_unlock(&token->lock);
    return logged_in;
}
