/*
 * key.c: opening private keys, signing and deriving.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "pkcs11/internal.h"

/* Longest digest that is taken, SHA-512's. */
#define DIGEST_MAX 64

static enum p11_status check_entry(const struct p11_op *op, const struct p11_entry *entry)
{
    const struct p11_object *object = &entry->object;

    if (object->class_ != P11_PRIVATE)
        return p11_fail(op, P11_E_ARGUMENT, "not a private key");
    if (!op->ctx->allow_not_sensitive && (!object->sensitive || object->extractable))
        return p11_fail(op, P11_E_NOT_SENSITIVE, "require-sensitive: the private key is %s%s%s",
                        object->sensitive ? "" : "not CKA_SENSITIVE",
                        !object->sensitive && object->extractable ? " and " : "",
                        object->extractable ? "CKA_EXTRACTABLE" : "");
    if (object->curve == P11_CURVE_NONE)
        return p11_fail(op, P11_E_KEY_TYPE, "not an EC key on a supported curve");
    if (object->point_size == 0)
        return p11_fail(op, P11_E_KEY_TYPE,
                        "no public key: the token has neither CKA_EC_POINT for the private key, "
                        "nor a public key or certificate with its CKA_ID");
    return P11_OK;
}

enum p11_status p11_key_open(p11_ctx *ctx, const p11_objects *objects, size_t index,
                             p11_key **result)
{
    const struct p11_entry *entry;
    const struct p11_object *object;
    struct p11_token *token;
    p11_key *key = NULL;
    enum p11_status status;
    struct p11_op op;

    if (ctx == NULL || result == NULL || objects == NULL || index >= objects->count)
        return p11_fail(NULL, P11_E_ARGUMENT, "no such object");
    *result = NULL;
    entry = &objects->entries[index];
    object = &entry->object;
    token = entry->token;
    p11_op_init(&op, ctx, object->uri);
    status = check_entry(&op, entry);
    if (status != P11_OK)
        return status;
    key = OPENSSL_zalloc(sizeof(*key));
    if (key == NULL)
        return p11_fail(&op, P11_E_MEMORY, "out of memory");
    atomic_init(&key->refs, 1);
    key->ctx = p11_ctx_up_ref(ctx);
    key->token = token;
    key->curve = object->curve;
    memcpy(key->point, entry->point, sizeof(key->point));
    key->label = OPENSSL_strdup(object->label);
    key->label_known = entry->label_known && object->label[0] != '\0';
    key->uri = OPENSSL_strdup(object->uri);
    if (object->id_size != 0) {
        key->id = OPENSSL_memdup(object->id, object->id_size);
        key->id_size = object->id_size;
    }
    if (key->label == NULL || key->uri == NULL || (object->id_size != 0 && key->id == NULL)) {
        p11_key_free(key);
        return p11_fail(&op, P11_E_MEMORY, "out of memory");
    }
    key->can_sign = object->sign && token->has_ecdsa;
    key->can_derive = object->derive && token->has_ecdh;
    key->always_authenticate = object->always_authenticate;
    key->copy_wanted =
        (key->can_sign || key->can_derive) && !key->always_authenticate &&
        (ctx->key_copy == P11_YES || (ctx->key_copy == P11_AUTO && token->module->softhsm));
    key->handle = entry->handle;
    key->generation = entry->generation;
    *result = key;
    return P11_OK;
}

enum p11_status p11_key_open_uri(p11_ctx *ctx, const char *uri, p11_pin_fn *prompt,
                                 void *prompt_arg, p11_key **key)
{
    p11_objects *objects = NULL;
    enum p11_status status;
    struct p11_op op;
    char *shown = NULL;

    if (ctx == NULL || key == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no context or no place for the key");
    *key = NULL;
    status = p11_find(ctx, uri, P11_PRIVATE, prompt, prompt_arg, &objects);
    if (status != P11_OK)
        return status;
    shown = p11_uri_redact(uri);
    p11_op_init(&op, ctx, shown);
    if (objects->count == 0)
        status = p11_fail(&op, P11_E_NO_OBJECT, "no private key matches");
    else if (objects->count > 1)
        status = p11_fail(&op, P11_E_AMBIGUOUS, "%zu private keys match", objects->count);
    else
        status = p11_key_open(ctx, objects, 0, key);
    OPENSSL_free(shown);
    p11_objects_free(objects);
    return status;
}

p11_key *p11_key_up_ref(p11_key *key)
{
    atomic_fetch_add(&key->refs, 1);
    return key;
}

void p11_key_free(p11_key *key)
{
    if (key == NULL || atomic_fetch_sub(&key->refs, 1) != 1)
        return;
    p11_key_drop_copy(key);
    OPENSSL_free(key->id);
    OPENSSL_free(key->label);
    OPENSSL_free(key->uri);
    p11_ctx_free(key->ctx);
    OPENSSL_free(key);
}

enum p11_curve p11_key_curve(const p11_key *key)
{
    return key->curve;
}

const uint8_t *p11_key_point(const p11_key *key, size_t *size)
{
    *size = 1 + 2 * p11_curve_size(key->curve);
    return key->point;
}

const char *p11_key_uri(const p11_key *key)
{
    return key->uri;
}

bool p11_key_can_sign(const p11_key *key)
{
    return key->can_sign;
}

bool p11_key_can_derive(const p11_key *key)
{
    return key->can_derive;
}

static void key_op_init(struct p11_op *op, p11_key *key)
{
    p11_op_init(op, key->ctx, key->uri);
    op->token = key->token;
    op->module = key->token->module;
}

/* The handle did not do, or the copy may not: the next try looks for the key. */
static CK_RV forget_if_invalid(struct p11_op *op, p11_key *key, CK_RV rv)
{
    if (rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_KEY_HANDLE_INVALID ||
        (rv != CKR_OK && op->copy_user))
        p11_key_forget(key, op->session.generation);
    return rv;
}

static CK_RV destroy_copy(struct p11_op *op, void *arg)
{
    p11_key *key = arg;

    return op->session.generation == key->copy_generation
               ? P11_CALL(op, C_DestroyObject, op->session.handle, key->copy)
               : CKR_OK;
}

/* Session objects live until their session is closed, which in a server may be never. */
void p11_key_drop_copy(p11_key *key)
{
    struct p11_token *token = key->token;
    struct p11_op op;
    bool there;

    if (atomic_load(&p11_exiting) || p11_inside_here != 0)
        return;
    pthread_mutex_lock(&token->lock);
    there = key->has_copy && key->copy_generation == token->generation &&
            token->module_generation == atomic_load(&token->module->generation);
    pthread_mutex_unlock(&token->lock);
    if (!there)
        return;
    key_op_init(&op, key);
    ERR_set_mark();
    (void)p11_run_once(&op, destroy_copy, key);
    ERR_pop_to_mark();
}

struct sign {
    p11_key *key;
    const uint8_t *digest;
    size_t digest_size;
    uint8_t *signature;
    size_t size;
};

static CK_RV sign_digest(struct p11_op *op, void *arg)
{
    struct sign *sign = arg;
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    CK_ULONG size = (CK_ULONG)sign->size;
    CK_RV rv = p11_key_handle(op, sign->key, &handle);

    if (rv == CKR_OK)
        rv = P11_CALL(op, C_SignInit, op->session.handle, &mechanism, handle);
    if (rv == CKR_OK && sign->key->always_authenticate)
        rv = p11_login_for_key(op);
    if (rv == CKR_OK)
        rv = P11_CALL(op, C_Sign, op->session.handle, (CK_BYTE_PTR)(uintptr_t)sign->digest,
                      (CK_ULONG)sign->digest_size, sign->signature, &size);
    if (rv == CKR_OK && size != sign->size) {
        op->status = P11_E_TOKEN;
        op->detail = "C_Sign: the signature does not have the size of the curve";
        rv = CKR_VENDOR_DEFINED;
    }
    return forget_if_invalid(op, sign->key, rv);
}

enum p11_status p11_key_sign(p11_key *key, const uint8_t *digest, size_t digest_size,
                             uint8_t *signature, size_t *size)
{
    struct p11_op op;
    struct sign sign;
    size_t half;
    enum p11_status status;

    if (key == NULL || digest == NULL || signature == NULL || size == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no key, digest or place for the signature");
    key_op_init(&op, key);
    half = p11_curve_size(key->curve);
    if (digest_size == 0 || digest_size > DIGEST_MAX)
        return p11_fail(&op, P11_E_ARGUMENT, "a digest of %zu octets", digest_size);
    if (*size < 2 * half)
        return p11_fail(&op, P11_E_ARGUMENT, "%zu octets are too few for a signature of %zu", *size,
                        2 * half);
    if (!key->can_sign)
        return p11_fail(&op, P11_E_MECHANISM, "%s",
                        key->token->has_ecdsa ? "the private key may not sign (CKA_SIGN)"
                                              : "the token does not offer CKM_ECDSA");
    /* ECDSA takes the leftmost bits of a digest longer than the order; tokens differ in it. */
    sign = (struct sign){key, digest, digest_size < half ? digest_size : half, signature, 2 * half};
    status = p11_run(&op, P11_SESSION_RO, sign_digest, &sign);
    if (status == P11_OK)
        *size = 2 * half;
    return status;
}

struct derive {
    p11_key *key;
    const uint8_t *peer;
    size_t peer_size;
    uint8_t *shared;
    size_t size;
};

static CK_RV derive_secret(struct p11_op *op, void *arg)
{
    struct derive *derive = arg;
    CK_ECDH1_DERIVE_PARAMS params = {.kdf = CKD_NULL,
                                     .ulPublicDataLen = (CK_ULONG)derive->peer_size,
                                     .pPublicData = (CK_BYTE_PTR)(uintptr_t)derive->peer};
    CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &params, sizeof(params)};
    CK_OBJECT_CLASS class_ = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_ULONG length = (CK_ULONG)derive->size;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class_, sizeof(class_)}, {CKA_KEY_TYPE, &type, sizeof(type)},
        {CKA_TOKEN, &no, sizeof(no)},         {CKA_SENSITIVE, &no, sizeof(no)},
        {CKA_EXTRACTABLE, &yes, sizeof(yes)}, {CKA_VALUE_LEN, &length, sizeof(length)}};
    CK_ATTRIBUTE value = {CKA_VALUE, derive->shared, (CK_ULONG)derive->size};
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    CK_OBJECT_HANDLE secret = CK_INVALID_HANDLE;
    CK_RV destroyed;
    CK_RV rv = p11_key_handle(op, derive->key, &handle);

    if (rv == CKR_OK)
        rv =
            P11_CALL(op, C_DeriveKey, op->session.handle, &mechanism, handle, template, 6, &secret);
    if (rv != CKR_OK)
        return forget_if_invalid(op, derive->key, rv);
    rv = P11_CALL(op, C_GetAttributeValue, op->session.handle, secret, &value, 1);
    if (rv == CKR_OK && value.ulValueLen != derive->size) {
        op->status = P11_E_TOKEN;
        op->detail = "C_DeriveKey: the secret does not have the size of the curve";
        rv = CKR_VENDOR_DEFINED;
    }
    /* The secret must not stay; should this fail, closing the session destroys it too. */
    destroyed = P11_CALL(op, C_DestroyObject, op->session.handle, secret);
    return rv != CKR_OK ? rv : destroyed;
}

enum p11_status p11_key_derive(p11_key *key, const uint8_t *peer, size_t peer_size, uint8_t *shared,
                               size_t *size)
{
    struct p11_op op;
    struct derive derive;
    size_t half;
    enum p11_status status;

    if (key == NULL || peer == NULL || shared == NULL || size == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no key, peer or place for the secret");
    key_op_init(&op, key);
    half = p11_curve_size(key->curve);
    if (peer_size != 1 + 2 * half || peer[0] != 0x04)
        return p11_fail(&op, P11_E_ARGUMENT,
                        "the peer's point has %zu octets; %zu of an uncompressed one are due",
                        peer_size, 1 + 2 * half);
    if (*size < half)
        return p11_fail(&op, P11_E_ARGUMENT, "%zu octets are too few for a secret of %zu", *size,
                        half);
    if (!key->can_derive)
        return p11_fail(&op, P11_E_MECHANISM, "%s",
                        key->token->has_ecdh ? "the private key may not derive (CKA_DERIVE)"
                                             : "the token does not offer CKM_ECDH1_DERIVE");
    derive = (struct derive){key, peer, peer_size, shared, half};
    status = p11_run(&op, P11_SESSION_RO, derive_secret, &derive);
    if (status == P11_OK)
        *size = half;
    else
        OPENSSL_cleanse(shared, half);
    return status;
}
