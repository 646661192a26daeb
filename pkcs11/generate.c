/*
 * generate.c: key pairs made in the token.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include "pkcs11/internal.h"

struct generate {
    const struct p11_uri *uri;
    const struct p11_curve_info *curve;
    unsigned usage;
    uint8_t id[P11_MADE_ID_SIZE];
    bool lost;  /* the answer of a try: what is unfinished under the name now is ours */
    bool named; /* id is that of the last pair made */
};

CK_ATTRIBUTE p11_flag(CK_ATTRIBUTE_TYPE type, const CK_BBOOL *value)
{
    return (CK_ATTRIBUTE){type, (void *)(uintptr_t)value, sizeof(*value)};
}

void p11_made_id(const uint8_t *point, size_t size, uint8_t id[P11_MADE_ID_SIZE])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];

    SHA256(point, size, hash);
    memcpy(id, hash, P11_MADE_ID_SIZE);
}

size_t p11_add_names(const struct p11_uri *uri, CK_ATTRIBUTE *template, size_t count)
{
    const struct p11_uri_value *label = &uri->values[P11_URI_OBJECT];
    const struct p11_uri_value *id = &uri->values[P11_URI_ID];

    if (label->octets != NULL)
        template[count++] =
            (CK_ATTRIBUTE){CKA_LABEL, (void *)(uintptr_t)label->octets, (CK_ULONG)label->size};
    if (id->octets != NULL)
        template[count++] =
            (CK_ATTRIBUTE){CKA_ID, (void *)(uintptr_t)id->octets, (CK_ULONG)id->size};
    return count;
}

static CK_RV any_with(struct p11_op *op, CK_ATTRIBUTE_TYPE type, const struct p11_uri_value *value,
                      bool *there)
{
    static const CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
    CK_RV rv = CKR_OK;

    for (size_t i = 0; rv == CKR_OK && i < 2 && !*there; i++) {
        CK_OBJECT_CLASS class_ = classes[i];
        CK_ATTRIBUTE want[2] = {{CKA_CLASS, &class_, sizeof(class_)},
                                {type, (void *)(uintptr_t)value->octets, (CK_ULONG)value->size}};
        CK_OBJECT_HANDLE *handles = NULL;
        size_t found = 0;

        rv = p11_search(op, want, 2, &handles, &found);
        *there = found != 0;
        OPENSSL_free(handles);
    }
    return rv;
}

CK_RV p11_refuse_existing(struct p11_op *op, const struct p11_uri *uri)
{
    bool label = false;
    bool id = false;
    CK_RV rv = CKR_OK;

    if (uri->values[P11_URI_OBJECT].octets != NULL)
        rv = any_with(op, CKA_LABEL, &uri->values[P11_URI_OBJECT], &label);
    if (rv == CKR_OK && uri->values[P11_URI_ID].octets != NULL)
        rv = any_with(op, CKA_ID, &uri->values[P11_URI_ID], &id);
    if (rv == CKR_OK && (label || id)) {
        op->status = P11_E_EXISTS;
        op->detail = label ? "a key of this label is there already"
                           : "a key of this CKA_ID is there already";
        rv = CKR_VENDOR_DEFINED;
    }
    return rv;
}

static CK_RV make_pair(struct p11_op *op, const struct generate *generate,
                       CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_BBOOL sign = (generate->usage & P11_USAGE_SIGN) != 0 ? CK_TRUE : CK_FALSE;
    CK_BBOOL derive = (generate->usage & P11_USAGE_DERIVE) != 0 ? CK_TRUE : CK_FALSE;
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    /* What is not said is the token's choice, and SoftHSM's is to allow everything. */
    CK_ATTRIBUTE public_template[12] = {{CKA_EC_PARAMS, (void *)(uintptr_t)generate->curve->oid,
                                         (CK_ULONG)generate->curve->oid_size},
                                        p11_flag(CKA_TOKEN, &yes),
                                        p11_flag(CKA_PRIVATE, &no),
                                        p11_flag(CKA_VERIFY, &sign),
                                        p11_flag(CKA_VERIFY_RECOVER, &no),
                                        p11_flag(CKA_ENCRYPT, &no),
                                        p11_flag(CKA_WRAP, &no),
                                        p11_flag(CKA_DERIVE, &no)};
    CK_ATTRIBUTE private_template[12] = {
        p11_flag(CKA_TOKEN, &yes),       p11_flag(CKA_PRIVATE, &yes), p11_flag(CKA_SENSITIVE, &yes),
        p11_flag(CKA_EXTRACTABLE, &no),  p11_flag(CKA_SIGN, &sign),   p11_flag(CKA_DERIVE, &derive),
        p11_flag(CKA_SIGN_RECOVER, &no), p11_flag(CKA_DECRYPT, &no),  p11_flag(CKA_UNWRAP, &no)};
    size_t public_count = p11_add_names(generate->uri, public_template, 8);
    size_t private_count = p11_add_names(generate->uri, private_template, 9);

    return P11_CALL(op, C_GenerateKeyPair, op->session.handle, &mechanism, public_template,
                    (CK_ULONG)public_count, private_template, (CK_ULONG)private_count, public_key,
                    private_key);
}

/* The token may have made of the template what it liked: what it has is read back. */
CK_RV p11_check_private(struct p11_op *op, unsigned usage, CK_OBJECT_HANDLE private_key)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_TOKEN,       CKA_PRIVATE, CKA_SENSITIVE,
                                              CKA_EXTRACTABLE, CKA_SIGN,    CKA_DERIVE,
                                              CKA_DECRYPT,     CKA_UNWRAP,  CKA_SIGN_RECOVER};
    const int wanted[] = {
        1, 1, 1, 0, (usage & P11_USAGE_SIGN) != 0, (usage & P11_USAGE_DERIVE) != 0, 0, 0, 0};
    int values[9];
    CK_RV rv = p11_flags(op, private_key, types, 9, values);

    for (size_t i = 0; rv == CKR_OK && i < 9; i++) {
        /* A usage that the token does not know of (-1) is one that the key does not have. */
        if (values[i] == wanted[i] || (values[i] == -1 && wanted[i] == 0 && i > 3))
            continue;
        op->status = P11_E_TOKEN;
        op->detail = "the token made a key that does not have the attributes asked for";
        rv = CKR_VENDOR_DEFINED;
    }
    return rv;
}

static CK_RV name_by_point(struct p11_op *op, struct generate *generate,
                           CK_OBJECT_HANDLE public_key, CK_OBJECT_HANDLE private_key)
{
    uint8_t point[P11_POINT_MAX];
    CK_ATTRIBUTE id = {CKA_ID, generate->id, sizeof(generate->id)};
    enum p11_curve curve;
    bool has_point;
    CK_RV rv = p11_public_point(op, public_key, &curve, &has_point, point);

    if (rv != CKR_OK)
        return rv;
    if (!has_point || curve != generate->curve->curve) {
        op->status = P11_E_TOKEN;
        op->detail = "C_GenerateKeyPair: the public key has no point on the curve asked for";
        return CKR_VENDOR_DEFINED;
    }
    if (generate->uri->values[P11_URI_ID].octets == NULL) {
        p11_made_id(point, 1 + 2 * generate->curve->size, generate->id);
        generate->named = true;
        /* The private one last: while it has none, the pair can be told to be unfinished. */
        rv = P11_CALL(op, C_SetAttributeValue, op->session.handle, public_key, &id, 1);
        if (rv == CKR_OK)
            rv = P11_CALL(op, C_SetAttributeValue, op->session.handle, private_key, &id, 1);
    }
    return rv;
}

/* One of ours, whose pair was not finished: somebody else's of that label has another id by now. */
static CK_RV remove_if_unfinished(struct p11_op *op, const struct generate *generate,
                                  CK_OBJECT_HANDLE object)
{
    struct p11_buffer id;
    CK_RV rv = p11_attribute(op, object, CKA_ID, &id);
    bool ours = rv == CKR_ATTRIBUTE_TYPE_INVALID || id.size == 0 ||
                (generate->named && id.size == sizeof(generate->id) &&
                 memcmp(id.octets, generate->id, id.size) == 0);

    OPENSSL_free(id.octets);
    if (rv == CKR_OK || rv == CKR_ATTRIBUTE_TYPE_INVALID)
        rv = ours ? P11_CALL(op, C_DestroyObject, op->session.handle, object) : CKR_OK;
    return rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
}

/*
 * The pair may have been made, and the answer been lost with the HSM: then it is in the way of the
 * next try, and nobody knows of it.
 */
static CK_RV remove_lost(struct p11_op *op, void *arg)
{
    static const CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
    const struct generate *generate = arg;
    CK_RV rv = CKR_OK;

    if (generate->uri->values[P11_URI_ID].octets != NULL)
        return p11_remove_pair(op, generate->uri);
    for (size_t i = 0; rv == CKR_OK && i < 2; i++) {
        CK_OBJECT_CLASS class_ = classes[i];
        CK_ATTRIBUTE want[3];
        CK_OBJECT_HANDLE *handles = NULL;
        size_t found = 0;

        rv = p11_search(op, want, p11_uri_template(generate->uri, &class_, want), &handles, &found);
        for (size_t k = 0; rv == CKR_OK && k < found; k++)
            rv = remove_if_unfinished(op, generate, handles[k]);
        OPENSSL_free(handles);
    }
    return rv;
}

static CK_RV generate_pair(struct p11_op *op, void *arg)
{
    struct generate *generate = arg;
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
    CK_OBJECT_HANDLE private_key = CK_INVALID_HANDLE;
    const char *call;
    CK_RV rv = generate->lost ? remove_lost(op, generate) : CKR_OK;

    if (rv == CKR_OK)
        rv = p11_refuse_existing(op, generate->uri);
    if (rv != CKR_OK)
        return rv;
    rv = make_pair(op, generate, &public_key, &private_key);
    generate->lost = generate->lost || p11_ckr_recoverable(rv);
    if (rv != CKR_OK)
        return rv;
    rv = p11_check_private(op, generate->usage, private_key);
    if (rv == CKR_OK)
        rv = name_by_point(op, generate, public_key, private_key);
    generate->lost = generate->lost || p11_ckr_recoverable(rv);
    if (rv != CKR_OK) {
        /* Half a key is no key. */
        call = op->call;
        (void)P11_CALL(op, C_DestroyObject, op->session.handle, private_key);
        (void)P11_CALL(op, C_DestroyObject, op->session.handle, public_key);
        op->call = call;
    }
    return rv;
}

static CK_RV take_back(struct p11_op *op, void *arg)
{
    return p11_remove_pair(op, arg);
}

static void tidy_up(struct p11_op *op, p11_work_fn *work, void *arg)
{
    ERR_set_mark();
    (void)p11_run(op, P11_SESSION_RW, work, arg);
    ERR_pop_to_mark();
}

void p11_take_back(struct p11_op *op, const struct p11_uri *named)
{
    tidy_up(op, take_back, (void *)(uintptr_t)named);
}

enum p11_status p11_open_made(struct p11_op *op, const struct p11_uri *named, p11_key **key)
{
    p11_objects *list = NULL;
    struct p11_uri uri = *named;
    enum p11_status status;

    uri.classes = P11_PRIVATE;
    list = OPENSSL_zalloc(sizeof(*list));
    if (list == NULL)
        return p11_fail(op, P11_E_MEMORY, "out of memory");
    list->ctx = p11_ctx_up_ref(op->ctx);
    status = p11_find_in_token(op, &uri, P11_PRIVATE, list);
    p11_objects_finish(list);
    if (status == P11_OK && list->count != 1)
        status = p11_fail(op, list->count == 0 ? P11_E_NO_OBJECT : P11_E_AMBIGUOUS,
                          "the key that was made is found %zu times", list->count);
    if (status == P11_OK)
        status = p11_key_open(op->ctx, list, 0, key);
    p11_objects_free(list);
    return status;
}

enum p11_status p11_key_generate(p11_ctx *ctx, const char *text, const struct p11_generate *how,
                                 p11_pin_fn *prompt, void *prompt_arg, p11_key **key)
{
    struct generate generate = {0};
    struct p11_uri *uri = NULL, named;
    enum p11_status status;
    struct p11_op op;

    if (ctx == NULL || how == NULL || key == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no context, or nowhere to put the key");
    *key = NULL;
    generate.curve = p11_curve_info(how->curve);
    if (generate.curve == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no such curve");
    if (how->usage == 0 || (how->usage & ~(unsigned)(P11_USAGE_SIGN | P11_USAGE_DERIVE)) != 0)
        return p11_fail(NULL, P11_E_ARGUMENT, "the usage is neither sign nor derive");
    status = p11_begin(&op, ctx, text, prompt, prompt_arg, &uri);
    if (status != P11_OK)
        goto out;
    if (uri->classes != P11_ANY && uri->classes != P11_PRIVATE) {
        status = p11_fail(&op, P11_E_URI, "a key pair is not made under type=%s",
                          uri->classes == P11_PUBLIC ? "public" : "cert");
        goto out;
    }
    if (!op.token->has_generate) {
        status = p11_fail(&op, P11_E_MECHANISM, "the token does not offer CKM_EC_KEY_PAIR_GEN");
        goto out;
    }
    generate.uri = uri;
    generate.usage = how->usage;
    status = p11_run(&op, P11_SESSION_RW, generate_pair, &generate);
    if (status != P11_OK) {
        if (generate.lost)
            tidy_up(&op, remove_lost, &generate);
        goto out;
    }
    named = *uri;
    if (uri->values[P11_URI_ID].octets == NULL)
        named.values[P11_URI_ID] =
            (struct p11_uri_value){(const char *)generate.id, sizeof(generate.id)};
    status = p11_open_made(&op, &named, key);
    /* A key that nobody is told of would be in the way of the next try. */
    if (status != P11_OK && status != P11_E_AMBIGUOUS)
        p11_take_back(&op, &named);
out:
    p11_uri_free(uri);
    return status;
}

enum p11_status p11_key_delete(p11_key *key)
{
    struct p11_uri named = {.classes = P11_ANY};
    struct p11_op op;

    p11_op_init(&op, key->ctx, key->uri);
    op.token = key->token;
    op.module = key->token->module;
    if (key->label_known)
        named.values[P11_URI_OBJECT] = (struct p11_uri_value){key->label, strlen(key->label)};
    if (key->id_size > 0)
        named.values[P11_URI_ID] = (struct p11_uri_value){(const char *)key->id, key->id_size};
    if (!key->label_known && key->id_size == 0)
        return p11_fail(&op, P11_E_ARGUMENT, "the key has no name");
    return p11_run(&op, P11_SESSION_RW, take_back, &named);
}
