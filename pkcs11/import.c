/*
 * import.c: key pairs that were made outside the token.
 */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "pkcs11/internal.h"

struct import {
    const struct p11_import *what;
    const struct p11_curve_info *curve;
    struct p11_uri named; /* the URI, with an id */
    uint8_t id[P11_MADE_ID_SIZE];
    bool begun; /* nothing of this name was there, so what is there now is ours */
};

/*
 * Is the number one of the group, and the point its? On the host: a wrong pair gets no further.
 * Raises what is wrong.
 */
static enum p11_status belongs(const struct p11_curve_info *curve, const struct p11_import *what)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(curve->nid);
    EC_POINT *given = group != NULL ? EC_POINT_new(group) : NULL;
    EC_POINT *computed = group != NULL ? EC_POINT_new(group) : NULL;
    BIGNUM *number = BN_secure_new();
    bool memory, ok = false;

    ERR_set_mark();
    memory = given != NULL && computed != NULL && number != NULL &&
             BN_bin2bn(what->number, (int)what->number_size, number) != NULL;
    if (memory) {
        BN_set_flags(number, BN_FLG_CONSTTIME);
        ok = !BN_is_zero(number) && BN_cmp(number, EC_GROUP_get0_order(group)) < 0 &&
             EC_POINT_oct2point(group, given, what->point, what->point_size, NULL) == 1 &&
             EC_POINT_mul(group, computed, number, NULL, NULL, NULL) == 1 &&
             EC_POINT_cmp(group, given, computed, NULL) == 0;
    }
    ERR_pop_to_mark();
    BN_clear_free(number);
    EC_POINT_free(given);
    EC_POINT_free(computed);
    EC_GROUP_free(group);
    if (ok)
        return P11_OK;
    return memory ? p11_fail(NULL, P11_E_ARGUMENT,
                             "the public point is not that of the private number")
                  : p11_fail(NULL, P11_E_MEMORY, "out of memory");
}

static CK_RV create_public(struct p11_op *op, const struct import *import, CK_OBJECT_HANDLE *made)
{
    static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    const struct p11_import *what = import->what;
    CK_BBOOL verify = (what->usage & P11_USAGE_SIGN) != 0 ? CK_TRUE : CK_FALSE;
    CK_OBJECT_CLASS class_ = CKO_PUBLIC_KEY;
    CK_KEY_TYPE type = CKK_EC;
    uint8_t wrapped[2 + P11_POINT_MAX] = {0x04, (uint8_t)what->point_size}; /* OCTET STRING */
    CK_ATTRIBUTE template[13] = {
        {CKA_CLASS, &class_, sizeof(class_)},
        {CKA_KEY_TYPE, &type, sizeof(type)},
        {CKA_EC_PARAMS, (void *)(uintptr_t)import->curve->oid, (CK_ULONG)import->curve->oid_size},
        {CKA_EC_POINT, wrapped, (CK_ULONG)(2 + what->point_size)},
        p11_flag(CKA_TOKEN, &yes),
        p11_flag(CKA_PRIVATE, &no),
        p11_flag(CKA_VERIFY, &verify),
        p11_flag(CKA_VERIFY_RECOVER, &no),
        p11_flag(CKA_ENCRYPT, &no),
        p11_flag(CKA_WRAP, &no),
        p11_flag(CKA_DERIVE, &no)};
    size_t count = p11_add_names(&import->named, template, 11);

    memcpy(wrapped + 2, what->point, what->point_size);
    return P11_CALL(op, C_CreateObject, op->session.handle, template, (CK_ULONG)count, made);
}

static CK_RV create_private(struct p11_op *op, const struct import *import, CK_OBJECT_HANDLE *made)
{
    static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    const struct p11_import *what = import->what;
    CK_BBOOL sign = (what->usage & P11_USAGE_SIGN) != 0 ? CK_TRUE : CK_FALSE;
    CK_BBOOL derive = (what->usage & P11_USAGE_DERIVE) != 0 ? CK_TRUE : CK_FALSE;
    CK_OBJECT_CLASS class_ = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = CKK_EC;
    CK_ATTRIBUTE template[15] = {
        {CKA_CLASS, &class_, sizeof(class_)},
        {CKA_KEY_TYPE, &type, sizeof(type)},
        {CKA_EC_PARAMS, (void *)(uintptr_t)import->curve->oid, (CK_ULONG)import->curve->oid_size},
        {CKA_VALUE, (void *)(uintptr_t)what->number, (CK_ULONG)what->number_size},
        p11_flag(CKA_TOKEN, &yes),
        p11_flag(CKA_PRIVATE, &yes),
        p11_flag(CKA_SENSITIVE, &yes),
        p11_flag(CKA_EXTRACTABLE, &no),
        p11_flag(CKA_SIGN, &sign),
        p11_flag(CKA_DERIVE, &derive),
        p11_flag(CKA_SIGN_RECOVER, &no),
        p11_flag(CKA_DECRYPT, &no),
        p11_flag(CKA_UNWRAP, &no)};
    size_t count = p11_add_names(&import->named, template, 13);

    return P11_CALL(op, C_CreateObject, op->session.handle, template, (CK_ULONG)count, made);
}

/*
 * The public object first: a run that is killed in between leaves one without its private key,
 * which can be told from a whole key, and deleted.
 */
static CK_RV import_pair(struct p11_op *op, void *arg)
{
    struct import *import = arg;
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE, private_key = CK_INVALID_HANDLE;
    const char *call;
    CK_RV rv = import->begun ? p11_remove_pair(op, &import->named)
                             : p11_refuse_existing(op, &import->named);

    if (rv != CKR_OK)
        return rv;
    import->begun = true;
    rv = create_public(op, import, &public_key);
    if (rv != CKR_OK)
        return rv;
    rv = create_private(op, import, &private_key);
    if (rv == CKR_OK)
        rv = p11_check_private(op, import->what->usage, private_key);
    if (rv != CKR_OK) {
        /* Half a key is no key. */
        call = op->call;
        if (private_key != CK_INVALID_HANDLE)
            (void)P11_CALL(op, C_DestroyObject, op->session.handle, private_key);
        (void)P11_CALL(op, C_DestroyObject, op->session.handle, public_key);
        op->call = call;
    }
    return rv;
}

/*
 * ECDSA by the group's arithmetic, as this floor must not depend on which provider EVP would take:
 * x of (z/s) G + (r/s) Q is r. The digest is no longer than the order.
 */
static enum p11_status verifies(const struct p11_curve_info *curve, const struct p11_import *what,
                                const uint8_t digest[32], const uint8_t *signature, bool *right)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(curve->nid);
    const BIGNUM *order = group != NULL ? EC_GROUP_get0_order(group) : NULL;
    EC_POINT *point = group != NULL ? EC_POINT_new(group) : NULL;
    BIGNUM *z = BN_bin2bn(digest, 32, NULL), *x = BN_new();
    BIGNUM *r = BN_bin2bn(signature, (int)curve->size, NULL);
    BIGNUM *s = BN_bin2bn(signature + curve->size, (int)curve->size, NULL);
    BN_CTX *ctx = BN_CTX_new();
    const bool memory =
        point != NULL && z != NULL && x != NULL && r != NULL && s != NULL && ctx != NULL;

    ERR_set_mark();
    *right = memory && !BN_is_zero(r) && BN_mod_inverse(s, s, order, ctx) != NULL &&
             BN_mod_mul(z, z, s, order, ctx) == 1 && BN_mod_mul(s, r, s, order, ctx) == 1 &&
             EC_POINT_oct2point(group, point, what->point, what->point_size, ctx) == 1 &&
             EC_POINT_mul(group, point, z, point, s, ctx) == 1 &&
             EC_POINT_get_affine_coordinates(group, point, x, NULL, ctx) == 1 &&
             BN_nnmod(x, x, order, ctx) == 1 && BN_cmp(x, r) == 0;
    ERR_pop_to_mark();
    BN_free(z);
    BN_free(x);
    BN_free(r);
    BN_free(s);
    BN_CTX_free(ctx);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    return memory ? P11_OK : p11_fail(NULL, P11_E_MEMORY, "out of memory");
}

/* d * G has the x of the point. */
static enum p11_status derives(const struct p11_curve_info *curve, const struct p11_import *what,
                               p11_key *key, bool *right)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(curve->nid);
    uint8_t generator[P11_POINT_MAX], x[48];
    size_t size = sizeof(x), point_size = 0;
    enum p11_status status;

    if (group != NULL)
        point_size =
            EC_POINT_point2oct(group, EC_GROUP_get0_generator(group), POINT_CONVERSION_UNCOMPRESSED,
                               generator, sizeof(generator), NULL);
    EC_GROUP_free(group);
    if (point_size == 0)
        return p11_fail(NULL, P11_E_MEMORY, "out of memory");
    status = p11_key_derive(key, generator, point_size, x, &size);
    *right = status == P11_OK && CRYPTO_memcmp(x, what->point + 1, curve->size) == 0;
    OPENSSL_cleanse(x, sizeof(x));
    return status;
}

/* One use of the key in the token, by which it is known to be the one of the point. */
static enum p11_status prove(const struct p11_op *op, const struct import *import, p11_key *key)
{
    static const uint8_t digest[32] = "any digest: only the key matters";
    uint8_t signature[96];
    size_t size = sizeof(signature);
    bool right = false;
    enum p11_status status;

    if (p11_key_can_sign(key)) {
        status = p11_key_sign(key, digest, sizeof(digest), signature, &size);
        if (status == P11_OK)
            status = verifies(import->curve, import->what, digest, signature, &right);
    } else if (p11_key_can_derive(key)) {
        status = derives(import->curve, import->what, key, &right);
    } else {
        return p11_fail(op, P11_E_MECHANISM, "the token does not offer what the key is for");
    }
    if (status == P11_OK && !right)
        status = p11_fail(op, P11_E_TOKEN, "the token made another key than the one it was given");
    return status;
}

static enum p11_status check(const struct p11_import *what, const struct p11_curve_info *curve)
{
    if (curve == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no such curve");
    if (what->usage == 0 || (what->usage & ~(unsigned)(P11_USAGE_SIGN | P11_USAGE_DERIVE)) != 0)
        return p11_fail(NULL, P11_E_ARGUMENT, "the usage is neither sign nor derive");
    if (what->number == NULL || what->number_size != curve->size || what->point == NULL ||
        what->point_size != 1 + 2 * curve->size || what->point[0] != 0x04)
        return p11_fail(NULL, P11_E_ARGUMENT, "number and point do not have the curve's sizes");
    return belongs(curve, what);
}

enum p11_status p11_key_import(p11_ctx *ctx, const char *text, const struct p11_import *what,
                               p11_pin_fn *prompt, void *prompt_arg, p11_key **key)
{
    struct import import = {.what = what};
    struct p11_uri *uri = NULL;
    enum p11_status status;
    struct p11_op op;

    if (ctx == NULL || what == NULL || key == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no context, or nowhere to put the key");
    *key = NULL;
    import.curve = p11_curve_info(what->curve);
    status = check(what, import.curve);
    if (status != P11_OK)
        return status;
    status = p11_begin(&op, ctx, text, prompt, prompt_arg, &uri);
    if (status != P11_OK)
        goto out;
    if (uri->classes != P11_ANY && uri->classes != P11_PRIVATE) {
        status = p11_fail(&op, P11_E_URI, "a key pair is not made under type=%s",
                          uri->classes == P11_PUBLIC ? "public" : "cert");
        goto out;
    }
    import.named = *uri;
    if (uri->values[P11_URI_ID].octets == NULL) {
        p11_made_id(what->point, what->point_size, import.id);
        import.named.values[P11_URI_ID] =
            (struct p11_uri_value){(const char *)import.id, sizeof(import.id)};
    }
    status = p11_run(&op, P11_SESSION_RW, import_pair, &import);
    if (status != P11_OK) {
        if (import.begun) /* a half may be there whose answer was lost with the HSM */
            p11_take_back(&op, &import.named);
        goto out;
    }
    status = p11_open_made(&op, &import.named, key);
    if (status == P11_OK)
        status = prove(&op, &import, *key);
    if (status != P11_OK) {
        p11_key_free(*key);
        *key = NULL;
        p11_take_back(&op, &import.named);
    }
out:
    p11_uri_free(uri);
    return status;
}
