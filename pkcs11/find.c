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
    free((void *)(uintptr_t)entry->object.uri); /* p11-kit's */
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

/* The full URI of one object, formatted by p11-kit. */
static char *object_uri(const struct p11_token *token, CK_OBJECT_CLASS class_,
                        const struct p11_object *object, bool label_known)
{
    P11KitUri *kit = p11_kit_uri_new();
    CK_ATTRIBUTE attribute = {CKA_CLASS, &class_, sizeof(class_)};
    char *text = NULL;

    if (kit == NULL)
        return NULL;
    memcpy(p11_kit_uri_get_token_info(kit), &token->info, sizeof(token->info));
    p11_kit_uri_set_attribute(kit, &attribute);
    if (label_known && object->label[0] != '\0') {
        attribute = (CK_ATTRIBUTE){CKA_LABEL, (void *)(uintptr_t)object->label,
                                   (CK_ULONG)strlen(object->label)};
        p11_kit_uri_set_attribute(kit, &attribute);
    }
    if (object->id_size != 0) {
        attribute =
            (CK_ATTRIBUTE){CKA_ID, (void *)(uintptr_t)object->id, (CK_ULONG)object->id_size};
        p11_kit_uri_set_attribute(kit, &attribute);
    }
    if (p11_kit_uri_format(kit, P11_KIT_URI_FOR_OBJECT_ON_TOKEN, &text) != P11_KIT_URI_OK)
        text = NULL;
    p11_kit_uri_free(kit);
    return text;
}

static CK_RV read_names(struct p11_op *op, CK_OBJECT_HANDLE handle, struct p11_entry *entry)
{
    struct p11_object *object = &entry->object;
    struct p11_buffer value;
    CK_RV rv = p11_attribute(op, handle, CKA_LABEL, &value);

    if (rv == CKR_ATTRIBUTE_TYPE_INVALID)
        rv = CKR_OK;
    if (rv == CKR_OK) {
        object->label =
            OPENSSL_strndup(value.octets != NULL ? (char *)value.octets : "", value.size);
        /* A label with a NUL inside cannot be searched for by the string that is shown. */
        entry->label_known = object->label != NULL && strlen(object->label) == value.size;
        OPENSSL_free(value.octets);
        if (object->label == NULL)
            return CKR_HOST_MEMORY;
        rv = p11_attribute(op, handle, CKA_ID, &value);
        if (rv == CKR_ATTRIBUTE_TYPE_INVALID)
            rv = CKR_OK;
    }
    if (rv == CKR_OK) {
        object->id = value.octets;
        object->id_size = value.size;
    }
    return rv;
}

static CK_RV read_usage(struct p11_op *op, CK_OBJECT_HANDLE handle, struct p11_object *object)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_SENSITIVE,
                                              CKA_EXTRACTABLE,
                                              CKA_ALWAYS_SENSITIVE,
                                              CKA_NEVER_EXTRACTABLE,
                                              CKA_LOCAL,
                                              CKA_SIGN,
                                              CKA_DERIVE,
                                              CKA_DECRYPT,
                                              CKA_UNWRAP,
                                              CKA_ALWAYS_AUTHENTICATE};
    int values[10];
    CK_RV rv = p11_flags(op, handle, types, 10, values);

    if (rv != CKR_OK)
        return rv;
    object->sensitive = values[0] == 1;
    object->extractable = values[1] != 0; /* one that is not shown counts as bad */
    object->always_sensitive = values[2] == 1;
    object->never_extractable = values[3] == 1;
    object->local = values[4] == 1;
    object->sign = values[5] == 1;
    object->derive = values[6] == 1;
    object->decrypt = values[7] == 1;
    object->unwrap = values[8] == 1;
    object->always_authenticate = values[9] == 1;
    return CKR_OK;
}

static CK_RV read_object(struct p11_op *op, CK_OBJECT_CLASS class_, CK_OBJECT_HANDLE handle,
                         struct p11_entry *entry)
{
    struct p11_object *object = &entry->object;
    struct p11_buffer der = {0};
    bool has_point = false;
    CK_RV rv;

    entry->token = op->token;
    entry->handle = handle;
    entry->generation = op->session.generation;
    object->token_label = op->token->label;
    rv = read_names(op, handle, entry);
    if (rv != CKR_OK)
        return rv;
    if (class_ == CKO_PRIVATE_KEY) {
        object->class_ = P11_PRIVATE;
        rv = read_usage(op, handle, object);
        if (rv == CKR_OK)
            rv = p11_private_point(op, handle, object->id, object->id_size, &object->curve,
                                   &has_point, entry->point);
    } else if (class_ == CKO_PUBLIC_KEY) {
        object->class_ = P11_PUBLIC;
        rv = p11_public_point(op, handle, &object->curve, &has_point, entry->point);
    } else {
        object->class_ = P11_CERTIFICATE;
        rv = p11_attribute(op, handle, CKA_VALUE, &der);
        object->certificate = der.octets;
        object->certificate_size = der.size;
    }
    if (rv == CKR_OK && has_point)
        object->point_size = 1 + 2 * p11_curve_size(object->curve);
    if (rv == CKR_OK)
        object->uri = object_uri(op->token, class_, object, entry->label_known);
    return rv == CKR_OK && object->uri == NULL ? CKR_HOST_MEMORY : rv;
}

/* Private keys first, then public keys, then certificates. */
static CK_RV search_token(struct p11_op *op, void *arg)
{
    static const struct {
        unsigned bit;
        CK_OBJECT_CLASS class_;
    } classes[] = {{P11_PRIVATE, CKO_PRIVATE_KEY},
                   {P11_PUBLIC, CKO_PUBLIC_KEY},
                   {P11_CERTIFICATE, CKO_CERTIFICATE}};
    struct search *search = arg;
    CK_RV rv = CKR_OK;

    /* A retry begins anew. */
    while (search->objects->count > search->start)
        entry_clear(&search->objects->entries[--search->objects->count]);
    for (size_t i = 0; rv == CKR_OK && i < 3; i++) {
        CK_OBJECT_CLASS class_ = classes[i].class_;
        CK_CERTIFICATE_TYPE x509 = CKC_X_509;
        CK_ATTRIBUTE want[4];
        CK_OBJECT_HANDLE *handles = NULL;
        size_t count = p11_uri_template(search->uri, &class_, want);
        size_t found = 0;

        if ((search->classes & classes[i].bit) == 0)
            continue;
        if (class_ == CKO_CERTIFICATE)
            want[count++] = (CK_ATTRIBUTE){CKA_CERTIFICATE_TYPE, &x509, sizeof(x509)};
        rv = p11_search(op, want, count, &handles, &found);
        for (size_t k = 0; rv == CKR_OK && k < found; k++) {
            struct p11_entry *entry = entry_add(search->objects);

            rv = entry != NULL ? read_object(op, class_, handles[k], entry) : CKR_HOST_MEMORY;
            /* Deleted by somebody between the search and the reading: it does not match. */
            if (rv == CKR_OBJECT_HANDLE_INVALID) {
                entry_clear(entry);
                search->objects->count--;
                rv = CKR_OK;
            }
        }
        OPENSSL_free(handles);
    }
    return rv;
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
