/*
 * find.c: searching and listing.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

struct search {
    const struct p11_uri *uri;
    unsigned classes;
    p11_objects *objects;
    size_t start; /* entries before it are of other tokens */
};

static void entry_clear(struct p11_entry *entry)
{
    OPENSSL_free((void *)(uintptr_t)entry->object.certificate);
    OPENSSL_free((void *)(uintptr_t)entry->object.label);
    OPENSSL_free((void *)(uintptr_t)entry->object.id);
    OPENSSL_free((void *)(uintptr_t)entry->object.uri);
    memset(entry, 0, sizeof(*entry));
}

static struct p11_entry *entry_add(p11_objects *objects)
{
    if (objects->count == objects->room) {
        size_t room = objects->room != 0 ? objects->room * 2 : 8;
        struct p11_entry *more = OPENSSL_realloc(objects->entries, room * sizeof(*more));

        if (more == NULL)
            return NULL;
        objects->entries = more;
        objects->room = room;
    }
    memset(&objects->entries[objects->count], 0, sizeof(struct p11_entry));
    return &objects->entries[objects->count++];
}

/* The full URI of one object. */
static char *object_uri(const struct p11_token *token, const struct p11_object *object,
                        bool label_known)
{
    const struct p11_uri_object what = {
        .type = object->class_ == P11_PRIVATE  ? "private"
                : object->class_ == P11_PUBLIC ? "public"
                                               : "cert",
        .label = object->label,
        .label_size = label_known ? strlen(object->label) : 0,
        .id = object->id,
        .id_size = object->id_size,
    };

    return p11_uri_format(&token->info, &what);
}

/* A private key without a point gets it from the public key of its CKA_ID that was found with it.
 */
static void lend_point(const struct search *search, struct p11_entry *to)
{
    for (size_t i = search->start; i < search->objects->count; i++) {
        const struct p11_entry *from = &search->objects->entries[i];

        if (from->object.class_ != P11_PUBLIC || from->object.curve != to->object.curve ||
            from->object.point_size == 0 || from->object.id_size == 0 ||
            from->object.id_size != to->object.id_size ||
            memcmp(from->object.id, to->object.id, to->object.id_size) != 0)
            continue;
        memcpy(to->point, from->point, sizeof(to->point));
        to->object.point_size = from->object.point_size;
        return;
    }
}

/* Points and URIs; what was read for the point of another only is dropped. */
static CK_RV complete(struct p11_op *op, struct search *search)
{
    p11_objects *objects = search->objects;
    size_t kept = search->start;

    for (size_t i = search->start; i < objects->count; i++) {
        struct p11_entry *entry = &objects->entries[i];
        struct p11_object *object = &entry->object;
        bool has_point = false;
        CK_RV rv = CKR_OK;

        if (object->class_ == P11_PRIVATE && object->point_size == 0)
            lend_point(search, entry);
        if (object->class_ == P11_PRIVATE && object->point_size == 0 &&
            object->curve != P11_CURVE_NONE) {
            rv = p11_private_point(op, entry->handle, object->id, object->id_size, &object->curve,
                                   &has_point, entry->point);
            if (has_point)
                object->point_size = 1 + 2 * p11_curve_size(object->curve);
        }
        if (rv != CKR_OK && rv != CKR_OBJECT_HANDLE_INVALID)
            return rv;
        object->uri = object_uri(op->token, object, entry->label_known);
        if (object->uri == NULL)
            return CKR_HOST_MEMORY;
    }
    for (size_t i = search->start; i < objects->count; i++) {
        if ((search->classes & objects->entries[i].object.class_) == 0)
            entry_clear(&objects->entries[i]);
        else
            objects->entries[kept++] = objects->entries[i];
    }
    objects->count = kept;
    return CKR_OK;
}

/*
 * One search for all classes, and one call for each object: what a key on a HSM far away costs to
 * open. A single class is asked for by itself, unless a private key's point may be found with it.
 */
static CK_RV search_token(struct p11_op *op, void *arg)
{
    struct search *search = arg;
    p11_objects *objects = search->objects;
    const struct p11_uri *uri = search->uri;
    bool named = uri->has_object;
    CK_OBJECT_CLASS class_ = search->classes == P11_PRIVATE  ? CKO_PRIVATE_KEY
                             : search->classes == P11_PUBLIC ? CKO_PUBLIC_KEY
                                                             : CKO_CERTIFICATE;
    bool by_class = search->classes == P11_PUBLIC || search->classes == P11_CERTIFICATE ||
                    (search->classes == P11_PRIVATE && !named);
    CK_OBJECT_HANDLE *handles = NULL;
    CK_ATTRIBUTE want[4];
    size_t count = p11_uri_template(uri, &class_, want);
    size_t found = 0;
    CK_RV rv;

    /* A retry begins anew. */
    while (objects->count > search->start)
        entry_clear(&objects->entries[--objects->count]);
    rv = by_class ? p11_search(op, want, count, &handles, &found)
                  : p11_search(op, want + 1, count - 1, &handles, &found);
    for (size_t k = 0; rv == CKR_OK && k < found; k++) {
        struct p11_entry *entry = entry_add(objects);
        bool taken = false;

        rv = entry != NULL
                 ? p11_entry_read(op, handles[k], search->classes | P11_PRIVATE | P11_PUBLIC, entry,
                                  &taken)
                 : CKR_HOST_MEMORY;
        if (entry != NULL && !taken) {
            entry_clear(entry);
            objects->count--;
        }
        /* Deleted by somebody between the search and the reading: it does not match. */
        if (rv == CKR_OBJECT_HANDLE_INVALID)
            rv = CKR_OK;
    }
    OPENSSL_free(handles);
    return rv == CKR_OK ? complete(op, search) : rv;
}

enum p11_status p11_find_in_token(struct p11_op *op, const struct p11_uri *uri, unsigned classes,
                                  p11_objects *objects)
{
    struct search search = {uri, classes & uri->classes, objects, objects->count};

    return p11_run(op, P11_SESSION_RO, search_token, &search);
}

/* With several tokens a PIN is tried on none: it is the PIN of one of them at most. */
static enum p11_status login_for_find(struct p11_op *op, const struct p11_uri *uri,
                                      unsigned classes, size_t tokens, p11_pin_fn *prompt,
                                      void *prompt_arg, bool *without)
{
    *without = false;
    if (tokens == 1)
        return p11_token_login(op, uri, (classes & P11_PRIVATE) != 0, prompt, prompt_arg, without);
    *without = op->ctx->login != P11_NO && (classes & P11_PRIVATE) != 0 &&
               (op->token->info.flags & CKF_LOGIN_REQUIRED) != 0 && !p11_token_logged_in(op->token);
    return P11_OK;
}

static int by_class(const void *a, const void *b)
{
    const struct p11_entry *x = a;
    const struct p11_entry *y = b;

    return (int)x->object.class_ - (int)y->object.class_;
}

/* A stable order of few entries; qsort() would not keep the token's. */
static void sort(p11_objects *objects)
{
    for (size_t i = 1; i < objects->count; i++) {
        struct p11_entry entry = objects->entries[i];
        size_t k = i;

        while (k > 0 && by_class(&objects->entries[k - 1], &entry) > 0) {
            objects->entries[k] = objects->entries[k - 1];
            k--;
        }
        objects->entries[k] = entry;
    }
}

void p11_objects_finish(p11_objects *objects)
{
    sort(objects);
    for (size_t i = 0; i < objects->count; i++)
        if (objects->entries[i].object.point_size != 0)
            objects->entries[i].object.point = objects->entries[i].point;
}

enum p11_status p11_find(p11_ctx *ctx, const char *text, unsigned classes, p11_pin_fn *prompt,
                         void *prompt_arg, p11_objects **result)
{
    struct p11_uri *uri = NULL;
    struct p11_token **tokens = NULL;
    p11_objects *objects = NULL;
    size_t count = 0;
    bool without = false;
    enum p11_status status;
    struct p11_op op;

    if (ctx == NULL || result == NULL || (classes & ~(unsigned)P11_ANY) != 0 || classes == 0)
        return p11_fail(NULL, P11_E_ARGUMENT, "no context, no result or no class");
    *result = NULL;
    status = p11_uri_parse(ctx, text, &uri);
    if (status != P11_OK)
        return status;
    p11_op_init(&op, ctx, uri->shown);
    classes &= uri->classes;
    objects = OPENSSL_zalloc(sizeof(*objects));
    if (objects == NULL) {
        status = p11_fail(&op, P11_E_MEMORY, "out of memory");
        goto out;
    }
    objects->ctx = p11_ctx_up_ref(ctx);
    objects->classes = classes;
    if (classes == 0)
        goto out; /* type= says otherwise: nothing matches */
    status = p11_tokens_match(&op, uri, &tokens, &count);
    for (size_t i = 0; status == P11_OK && i < count; i++) {
        bool no_pin;

        op.token = tokens[i];
        status = login_for_find(&op, uri, classes, count, prompt, prompt_arg, &no_pin);
        if (status == P11_OK)
            status = p11_find_in_token(&op, uri, classes, objects);
        without = without || no_pin;
    }
    if (status == P11_OK && without && classes == P11_PRIVATE && objects->count == 0)
        status = count == 1
                     ? p11_fail(&op, P11_E_PIN_SOURCE,
                                "private keys are asked for, the token wants a PIN, and there is "
                                "neither pin-source nor prompt")
                     : p11_fail(&op, P11_E_AMBIGUOUS,
                                "%zu tokens match, and a PIN is tried on one only; name it with "
                                "token=",
                                count);
out:
    OPENSSL_free(tokens);
    p11_uri_free(uri);
    if (status != P11_OK) {
        p11_objects_free(objects);
        return status;
    }
    p11_objects_finish(objects);
    *result = objects;
    return P11_OK;
}

size_t p11_objects_count(const p11_objects *objects)
{
    return objects != NULL ? objects->count : 0;
}

unsigned p11_objects_classes(const p11_objects *objects)
{
    return objects != NULL ? objects->classes : 0;
}

const struct p11_object *p11_objects_get(const p11_objects *objects, size_t index)
{
    return objects != NULL && index < objects->count ? &objects->entries[index].object : NULL;
}

void p11_objects_free(p11_objects *objects)
{
    if (objects == NULL)
        return;
    for (size_t i = 0; i < objects->count; i++)
        entry_clear(&objects->entries[i]);
    OPENSSL_free(objects->entries);
    p11_ctx_free(objects->ctx);
    OPENSSL_free(objects);
}
