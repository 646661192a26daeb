/*
 * object.c: what a listing says of one object. Inside the module, on op->session.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

/* Everything that is asked of an object, in one call. The attributes that most objects lack last.
 */
#define FLAGS 10
enum {
    AT_CLASS,
    AT_LABEL,
    AT_ID,
    AT_FLAGS,
    AT_CERTIFICATE_TYPE = AT_FLAGS + FLAGS,
    AT_PARAMS,
    AT_POINT,
    AT_COUNT
};
struct values {
    CK_ATTRIBUTE attributes[AT_COUNT];
    CK_RV rv;
    CK_OBJECT_CLASS class_;
    CK_CERTIFICATE_TYPE certificate_type;
    CK_BBOOL flags[FLAGS];
    uint8_t label[256], id[256], params[512], point[160];
};

/* Neither CK_TRUE nor CK_FALSE: a flag that the token left alone. */
#define UNTOUCHED 0x5a

static CK_RV read_values(struct p11_op *op, CK_OBJECT_HANDLE handle, struct values *values)
{
    static const CK_ATTRIBUTE_TYPE flags[FLAGS] = {CKA_SENSITIVE,
                                                   CKA_EXTRACTABLE,
                                                   CKA_ALWAYS_SENSITIVE,
                                                   CKA_NEVER_EXTRACTABLE,
                                                   CKA_LOCAL,
                                                   CKA_SIGN,
                                                   CKA_DERIVE,
                                                   CKA_DECRYPT,
                                                   CKA_UNWRAP,
                                                   CKA_ALWAYS_AUTHENTICATE};
    CK_ATTRIBUTE *at = values->attributes;

    at[AT_CLASS] = (CK_ATTRIBUTE){CKA_CLASS, &values->class_, sizeof(values->class_)};
    at[AT_LABEL] = (CK_ATTRIBUTE){CKA_LABEL, values->label, sizeof(values->label)};
    at[AT_ID] = (CK_ATTRIBUTE){CKA_ID, values->id, sizeof(values->id)};
    for (int i = 0; i < FLAGS; i++) {
        values->flags[i] = UNTOUCHED;
        at[AT_FLAGS + i] = (CK_ATTRIBUTE){flags[i], &values->flags[i], sizeof(CK_BBOOL)};
    }
    values->certificate_type = CKC_VENDOR_DEFINED;
    at[AT_CERTIFICATE_TYPE] = (CK_ATTRIBUTE){CKA_CERTIFICATE_TYPE, &values->certificate_type,
                                             sizeof(values->certificate_type)};
    at[AT_PARAMS] = (CK_ATTRIBUTE){CKA_EC_PARAMS, values->params, sizeof(values->params)};
    at[AT_POINT] = (CK_ATTRIBUTE){CKA_EC_POINT, values->point, sizeof(values->point)};
    values->class_ = CKO_VENDOR_DEFINED;
    values->rv = P11_CALL(op, C_GetAttributeValue, op->session.handle, handle, at, AT_COUNT);
    switch (values->rv) {
    case CKR_OK:
    case CKR_ATTRIBUTE_TYPE_INVALID:
    case CKR_ATTRIBUTE_SENSITIVE:
    case CKR_BUFFER_TOO_SMALL:
        return CKR_OK;
    default:
        return values->rv;
    }
}

static bool flag(const struct values *values, int index, bool missing)
{
    CK_BBOOL value = values->flags[index];

    if (values->attributes[AT_FLAGS + index].ulValueLen != sizeof(CK_BBOOL) || value == UNTOUCHED)
        return missing;
    return value != CK_FALSE;
}

/*
 * A copy of one of the octet strings; empty if the object has none. One that the call left alone or
 * that is longer than its place is read by itself.
 */
static CK_RV take_octets(struct p11_op *op, CK_OBJECT_HANDLE handle, const struct values *values,
                         int index, size_t room, struct p11_buffer *to)
{
    const CK_ATTRIBUTE *attribute = &values->attributes[index];
    CK_RV rv;

    *to = (struct p11_buffer){0};
    /* A point always fits; of the others the answer may not tell "too long" from "not there". */
    if (attribute->ulValueLen == 0 || (attribute->ulValueLen == (CK_ULONG)-1 && index == AT_POINT))
        return CKR_OK;
    if (attribute->ulValueLen >= room) {
        rv = p11_attribute(op, handle, attribute->type, to);
        return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE ? CKR_OK : rv;
    }
    to->octets = OPENSSL_memdup(attribute->pValue, attribute->ulValueLen);
    to->size = attribute->ulValueLen;
    return to->octets != NULL ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV take_names(struct p11_op *op, CK_OBJECT_HANDLE handle, const struct values *values,
                        struct p11_entry *entry)
{
    struct p11_object *object = &entry->object;
    struct p11_buffer value;
    CK_RV rv = take_octets(op, handle, values, AT_LABEL, sizeof(values->label), &value);

    if (rv != CKR_OK)
        return rv;
    object->label = OPENSSL_strndup(value.octets != NULL ? (char *)value.octets : "", value.size);
    /* A label with a NUL inside cannot be searched for by the string that is shown. */
    entry->label_known = object->label != NULL && strlen(object->label) == value.size;
    OPENSSL_free(value.octets);
    if (object->label == NULL)
        return CKR_HOST_MEMORY;
    rv = take_octets(op, handle, values, AT_ID, sizeof(values->id), &value);
    object->id = value.octets;
    object->id_size = value.size;
    return rv;
}

static void take_usage(const struct values *values, struct p11_object *object)
{
    object->sensitive = flag(values, 0, false);
    object->extractable = flag(values, 1, true); /* one that is not shown counts as bad */
    object->always_sensitive = flag(values, 2, false);
    object->never_extractable = flag(values, 3, false);
    object->local = flag(values, 4, false);
    object->sign = flag(values, 5, false);
    object->derive = flag(values, 6, false);
    object->decrypt = flag(values, 7, false);
    object->unwrap = flag(values, 8, false);
    object->always_authenticate = flag(values, 9, false);
}

/* Curve and point, of which a private key often has the first only. */
static CK_RV take_key(struct p11_op *op, CK_OBJECT_HANDLE handle, const struct values *values,
                      struct p11_entry *entry)
{
    struct p11_object *object = &entry->object;
    struct p11_buffer value;
    bool valid = false;
    CK_RV rv = take_octets(op, handle, values, AT_PARAMS, sizeof(values->params), &value);

    if (rv != CKR_OK)
        return rv;
    object->curve = p11_curve_from_params(value.octets, value.size);
    OPENSSL_free(value.octets);
    if (object->curve == P11_CURVE_NONE)
        return CKR_OK;
    rv = take_octets(op, handle, values, AT_POINT, sizeof(values->point), &value);
    if (rv == CKR_OK)
        rv = p11_point_decode(object->curve, value.octets, value.size, &valid, entry->point);
    if (rv == CKR_OK && valid)
        object->point_size = 1 + 2 * p11_curve_size(object->curve);
    OPENSSL_free(value.octets);
    return rv;
}

/* The class as a bit; 0 for what is none of ours. */
static unsigned class_bit(const struct values *values)
{
    switch (values->class_) {
    case CKO_PRIVATE_KEY:
        return P11_PRIVATE;
    case CKO_PUBLIC_KEY:
        return P11_PUBLIC;
    case CKO_CERTIFICATE:
        return values->certificate_type == CKC_X_509 ? P11_CERTIFICATE : 0;
    default:
        return 0;
    }
}

/* One that is elsewhere (CKA_URL) has no value, and must not hide the key beside it. */
static CK_RV take_certificate(struct p11_op *op, CK_OBJECT_HANDLE handle, struct p11_object *object)
{
    struct p11_buffer der;
    CK_RV rv = p11_attribute(op, handle, CKA_VALUE, &der);

    object->certificate = der.octets;
    object->certificate_size = der.size;
    return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE ? CKR_OK : rv;
}

CK_RV p11_entry_read(struct p11_op *op, CK_OBJECT_HANDLE handle, unsigned classes,
                     struct p11_entry *entry, bool *taken)
{
    struct p11_object *object = &entry->object;
    struct values values;
    unsigned bit;
    CK_RV rv = read_values(op, handle, &values);

    *taken = false;
    bit = rv == CKR_OK ? class_bit(&values) & classes : 0;
    if (bit == 0)
        return rv;
    entry->token = op->token;
    entry->handle = handle;
    entry->generation = op->session.generation;
    object->class_ = (enum p11_class)bit;
    object->token_label = op->token->label;
    if (bit == P11_PRIVATE)
        take_usage(&values, object);
    rv = take_names(op, handle, &values, entry);
    if (rv == CKR_OK)
        rv = bit == P11_CERTIFICATE ? take_certificate(op, handle, object)
                                    : take_key(op, handle, &values, entry);
    *taken = rv == CKR_OK;
    return rv;
}
