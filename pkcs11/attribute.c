/*
 * attribute.c: objects and their attributes. Everything here is inside the module, on op->session.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

/* More objects than this under one URI is a token that answers nonsense. */
#define MOST_OBJECTS 65536

static CK_RV search_once(struct p11_op *op, const CK_ATTRIBUTE *want, size_t count,
                         CK_OBJECT_HANDLE **handles, size_t *found)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[6] = {{CKA_TOKEN, &yes, sizeof(yes)}};
    CK_OBJECT_HANDLE *list = NULL;
    size_t used = 0;
    size_t room = 0;
    CK_ULONG got = 0;
    CK_RV rv;

    *handles = NULL;
    *found = 0;
    if (count > 5)
        return CKR_ARGUMENTS_BAD;
    /* Token objects only: copies of keys, ours or the application's, have the same names. */
    memcpy(template + 1, want, count * sizeof(*want));
    rv = P11_CALL(op, C_FindObjectsInit, op->session.handle, template, (CK_ULONG)(count + 1));
    if (rv != CKR_OK)
        return rv;
    do {
        if (used + 32 > room) {
            CK_OBJECT_HANDLE *more = NULL;

            room = room != 0 ? room * 2 : 32;
            if (room <= MOST_OBJECTS)
                more = OPENSSL_realloc(list, room * sizeof(*list));
            if (more == NULL) {
                rv = CKR_HOST_MEMORY;
                break;
            }
            list = more;
        }
        rv = P11_CALL(op, C_FindObjects, op->session.handle, list + used, 32, &got);
        if (rv == CKR_OK && got > 32)
            rv = CKR_GENERAL_ERROR;
        if (rv == CKR_OK)
            used += got;
    } while (rv == CKR_OK && got != 0); /* a module may give fewer than there is room for */
    if (rv == CKR_OK)
        rv = P11_CALL(op, C_FindObjectsFinal, op->session.handle);
    if (rv != CKR_OK) {
        OPENSSL_free(list); /* the session is closed with its search */
        return rv;
    }
    *handles = list;
    *found = used;
    return CKR_OK;
}

/* How many copies of keys were begun, and whether one is being made now. */
static bool copying(struct p11_token *token, unsigned long *copies)
{
    bool now;

    pthread_mutex_lock(&token->lock);
    *copies = token->copies;
    now = token->copy_busy;
    pthread_mutex_unlock(&token->lock);
    return now;
}

/*
 * SoftHSM shows an object that C_CopyObject is making before it is one of the session: for a moment
 * there are two token objects of one name. More than one match counts only if no copy was in the
 * making meanwhile.
 */
CK_RV p11_search(struct p11_op *op, const CK_ATTRIBUTE *want, size_t count,
                 CK_OBJECT_HANDLE **handles, size_t *found)
{
    unsigned long before, after;

    for (;;) {
        bool busy = copying(op->token, &before);
        CK_RV rv = search_once(op, want, count, handles, found);

        busy = copying(op->token, &after) || busy || before != after;
        if (rv != CKR_OK || *found < 2 || !busy || p11_op_expired(op))
            return rv;
        OPENSSL_free(*handles);
        *handles = NULL;
        p11_op_pause(op, 1);
    }
}

#define AT_A_TIME 16

static CK_RV remove_some(struct p11_op *op, CK_ATTRIBUTE *want, size_t count, CK_ULONG *removed)
{
    CK_OBJECT_HANDLE handles[AT_A_TIME];
    CK_ULONG found = 0;
    CK_RV rv = P11_CALL(op, C_FindObjectsInit, op->session.handle, want, (CK_ULONG)count);

    *removed = 0;
    if (rv == CKR_OK)
        rv = P11_CALL(op, C_FindObjects, op->session.handle, handles, AT_A_TIME, &found);
    if (rv == CKR_OK && found > AT_A_TIME)
        rv = CKR_GENERAL_ERROR;
    if (rv == CKR_OK)
        rv = P11_CALL(op, C_FindObjectsFinal, op->session.handle);
    for (CK_ULONG i = 0; rv == CKR_OK && i < found; i++)
        rv = P11_CALL(op, C_DestroyObject, op->session.handle, handles[i]);
    if (rv == CKR_OK)
        *removed = found;
    return rv;
}

CK_RV p11_remove_pair(struct p11_op *op, const struct p11_uri *uri)
{
    static const CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
    CK_BBOOL yes = CK_TRUE;
    CK_RV rv = CKR_OK;

    for (size_t i = 0; rv == CKR_OK && i < 2; i++) {
        CK_OBJECT_CLASS class_ = classes[i];
        CK_ATTRIBUTE want[5];
        size_t count = p11_uri_template(uri, &class_, want);
        CK_ULONG removed = 1;

        want[count++] = (CK_ATTRIBUTE){CKA_TOKEN, &yes, sizeof(yes)};
        while (rv == CKR_OK && removed != 0 && !p11_op_expired(op))
            rv = remove_some(op, want, count, &removed);
    }
    return rv;
}

CK_RV p11_attribute(struct p11_op *op, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                    struct p11_buffer *value)
{
    CK_ATTRIBUTE attribute = {type, NULL, 0};
    CK_ULONG room;
    CK_RV rv = P11_CALL(op, C_GetAttributeValue, op->session.handle, object, &attribute, 1);

    value->octets = NULL;
    value->size = 0;
    if (rv != CKR_OK)
        return rv;
    if (attribute.ulValueLen == (CK_ULONG)-1)
        return CKR_ATTRIBUTE_TYPE_INVALID;
    if (attribute.ulValueLen > 1 << 20)
        return CKR_GENERAL_ERROR;
    if (attribute.ulValueLen == 0)
        return CKR_OK;
    room = attribute.ulValueLen;
    attribute.pValue = OPENSSL_zalloc(room);
    if (attribute.pValue == NULL)
        return CKR_HOST_MEMORY;
    rv = P11_CALL(op, C_GetAttributeValue, op->session.handle, object, &attribute, 1);
    if (rv == CKR_OK && attribute.ulValueLen == (CK_ULONG)-1)
        rv = CKR_ATTRIBUTE_TYPE_INVALID;
    if (rv == CKR_OK && attribute.ulValueLen > room)
        rv = CKR_GENERAL_ERROR; /* more than there is */
    if (rv != CKR_OK) {
        OPENSSL_free(attribute.pValue);
        return rv;
    }
    value->octets = attribute.pValue;
    value->size = attribute.ulValueLen;
    return CKR_OK;
}

/* An attribute that a token may not have or not show: then an empty value. */
static CK_RV optional(struct p11_op *op, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                      struct p11_buffer *value)
{
    CK_RV rv = p11_attribute(op, object, type, value);

    return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE ? CKR_OK : rv;
}

CK_RV p11_flags(struct p11_op *op, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE_TYPE *types,
                size_t count, int *values)
{
    CK_ATTRIBUTE attributes[16];
    CK_BBOOL octets[16];
    CK_RV rv;

    if (count > 16)
        return CKR_ARGUMENTS_BAD;
    for (size_t i = 0; i < count; i++) {
        octets[i] = CK_FALSE;
        attributes[i] = (CK_ATTRIBUTE){types[i], &octets[i], sizeof(CK_BBOOL)};
    }
    rv = P11_CALL(op, C_GetAttributeValue, op->session.handle, object, attributes, (CK_ULONG)count);
    if (rv != CKR_OK && rv != CKR_ATTRIBUTE_TYPE_INVALID && rv != CKR_ATTRIBUTE_SENSITIVE)
        return rv;
    for (size_t i = 0; i < count; i++)
        values[i] = attributes[i].ulValueLen == sizeof(CK_BBOOL) ? octets[i] != CK_FALSE : -1;
    return CKR_OK;
}

static CK_RV read_point(struct p11_op *op, CK_OBJECT_HANDLE object, enum p11_curve curve,
                        bool *has_point, uint8_t point[P11_POINT_MAX])
{
    struct p11_buffer value;
    CK_RV rv = optional(op, object, CKA_EC_POINT, &value);

    if (rv == CKR_OK)
        rv = p11_point_decode(curve, value.octets, value.size, has_point, point);
    OPENSSL_free(value.octets);
    return rv;
}

CK_RV p11_public_point(struct p11_op *op, CK_OBJECT_HANDLE object, enum p11_curve *curve,
                       bool *has_point, uint8_t point[P11_POINT_MAX])
{
    struct p11_buffer value;
    CK_RV rv = optional(op, object, CKA_EC_PARAMS, &value);

    *curve = P11_CURVE_NONE;
    *has_point = false;
    if (rv == CKR_OK) {
        *curve = p11_curve_from_params(value.octets, value.size);
        OPENSSL_free(value.octets);
        if (*curve != P11_CURVE_NONE)
            rv = read_point(op, object, *curve, has_point, point);
    }
    return rv;
}

/* The point of another object with the same CKA_ID: a public key, or else a certificate. */
static CK_RV point_by_id(struct p11_op *op, CK_OBJECT_CLASS class_, const uint8_t *id,
                         size_t id_size, enum p11_curve curve, bool *has_point,
                         uint8_t point[P11_POINT_MAX])
{
    CK_ATTRIBUTE want[2] = {{CKA_CLASS, &class_, sizeof(class_)},
                            {CKA_ID, (void *)(uintptr_t)id, (CK_ULONG)id_size}};
    CK_OBJECT_HANDLE *handles = NULL;
    size_t count = 0;
    CK_RV rv = p11_search(op, want, 2, &handles, &count);

    for (size_t i = 0; rv == CKR_OK && i < count && !*has_point; i++) {
        enum p11_curve other = P11_CURVE_NONE;

        if (class_ == CKO_PUBLIC_KEY) {
            rv = p11_public_point(op, handles[i], &other, has_point, point);
        } else {
            struct p11_buffer der;

            rv = optional(op, handles[i], CKA_VALUE, &der);
            if (rv == CKR_OK)
                other = p11_certificate_point(der.octets, der.size, point);
            *has_point = other != P11_CURVE_NONE;
            OPENSSL_free(der.octets);
        }
        if (other != curve)
            *has_point = false;
    }
    OPENSSL_free(handles);
    return rv;
}

CK_RV p11_private_point(struct p11_op *op, CK_OBJECT_HANDLE object, const uint8_t *id,
                        size_t id_size, enum p11_curve *curve, bool *has_point,
                        uint8_t point[P11_POINT_MAX])
{
    CK_RV rv = p11_public_point(op, object, curve, has_point, point);

    if (rv != CKR_OK || *curve == P11_CURVE_NONE || *has_point || id_size == 0)
        return rv;
    rv = point_by_id(op, CKO_PUBLIC_KEY, id, id_size, *curve, has_point, point);
    if (rv == CKR_OK && !*has_point)
        rv = point_by_id(op, CKO_CERTIFICATE, id, id_size, *curve, has_point, point);
    return rv;
}
