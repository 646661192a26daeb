/*
 * remote.c: every function of SHIM_FUNCTIONS as a request to p11shimd.
 */
#include "tests/shim/remote.h"

#include <string.h>

#include "tests/shim/shim.h"

static struct wire begin(enum shim_function function)
{
    struct wire wire = {0};

    wire_put_number(&wire, (uint64_t)function);
    return wire;
}

/* ---- arguments ---- */

static void put_template(struct wire *wire, const CK_ATTRIBUTE *attributes, unsigned long n)
{
    if (n > WIRE_COUNT || (n > 0 && attributes == NULL)) {
        wire->bad = true;
        return;
    }
    wire_put_number(wire, attributes != NULL);
    wire_put_number(wire, n);
    for (unsigned long i = 0; i < n; i++) {
        /* The value of such an attribute holds pointers. */
        if ((attributes[i].type & CKF_ARRAY_ATTRIBUTE) != 0 ||
            (attributes[i].pValue == NULL && attributes[i].ulValueLen != 0)) {
            wire->bad = true;
            return;
        }
        wire_put_number(wire, attributes[i].type);
        wire_put_octets(wire, attributes[i].pValue, attributes[i].ulValueLen);
    }
}

/* No parameter, or that of ECDH; another's could hold pointers that nobody here knows of. */
static CK_RV put_mechanism(struct wire *wire, const CK_MECHANISM *mechanism)
{
    const CK_ECDH1_DERIVE_PARAMS *ecdh = NULL;

    if (mechanism == NULL)
        return CKR_ARGUMENTS_BAD;
    wire_put_number(wire, mechanism->mechanism);
    if (mechanism->pParameter == NULL && mechanism->ulParameterLen == 0) {
        wire_put_number(wire, 0);
        return CKR_OK;
    }
    if (mechanism->mechanism != CKM_ECDH1_DERIVE &&
        mechanism->mechanism != CKM_ECDH1_COFACTOR_DERIVE)
        return CKR_MECHANISM_PARAM_INVALID;
    ecdh = mechanism->pParameter;
    if (ecdh == NULL || mechanism->ulParameterLen != sizeof *ecdh ||
        (ecdh->pSharedData == NULL && ecdh->ulSharedDataLen != 0) || ecdh->pPublicData == NULL)
        return CKR_MECHANISM_PARAM_INVALID;
    wire_put_number(wire, 1);
    wire_put_number(wire, ecdh->kdf);
    wire_put_octets(wire, ecdh->pSharedData, ecdh->ulSharedDataLen);
    wire_put_octets(wire, ecdh->pPublicData, ecdh->ulPublicDataLen);
    return CKR_OK;
}

static void put_room(struct wire *wire, const void *out, unsigned long size)
{
    wire_put_number(wire, out != NULL);
    wire_put_number(wire, out != NULL ? size : 0);
}

/* ---- results ---- */

/* Nothing but an answer. */
static CK_RV finish(struct wire *request)
{
    struct wire reply;
    CK_RV rv = connection_call(request, &reply);

    wire_clear(&reply);
    return rv;
}

static CK_RV finish_structure(struct wire *request, void *out, size_t size)
{
    struct wire reply;
    CK_RV rv = CKR_ARGUMENTS_BAD;

    if (out == NULL) {
        wire_clear(request);
        return rv;
    }
    rv = connection_call(request, &reply);
    if (rv == CKR_OK)
        wire_copy(&reply, out, size);
    if (reply.bad)
        rv = CKR_DEVICE_ERROR;
    wire_clear(&reply);
    return rv;
}

static CK_RV finish_handles(struct wire *request, unsigned long *first, unsigned long *second)
{
    struct wire reply;
    CK_RV rv = CKR_ARGUMENTS_BAD;

    if (first == NULL) {
        wire_clear(request);
        return rv;
    }
    rv = connection_call(request, &reply);
    if (rv == CKR_OK) {
        *first = wire_number(&reply);
        if (second != NULL)
            *second = wire_number(&reply);
    }
    if (reply.bad)
        rv = CKR_DEVICE_ERROR;
    wire_clear(&reply);
    return rv;
}

/* A size and, unless only that was asked for, so many items of item octets. */
static CK_RV finish_array(struct wire *request, void *out, unsigned long *size, size_t item)
{
    struct wire reply;
    CK_RV rv = connection_call(request, &reply);

    if (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) {
        unsigned long n = wire_number(&reply);

        if (rv == CKR_OK && out != NULL) {
            if (n > *size)
                reply.bad = true;
            else
                wire_copy(&reply, out, n * item);
        }
        if (!reply.bad)
            *size = n;
    }
    if (reply.bad)
        rv = CKR_DEVICE_ERROR;
    wire_clear(&reply);
    return rv;
}

static CK_RV refuse(struct wire *request, CK_RV rv)
{
    wire_clear(request);
    return rv;
}

/* ---- the functions, in the order of SHIM_FUNCTIONS ---- */

static CK_RV remote_C_Initialize(void *args)
{
    const CK_C_INITIALIZE_ARGS *given = args;

    /* Threads of the operating system are what the server uses, whatever is asked for here. */
    if (given != NULL && given->pReserved != NULL)
        return CKR_ARGUMENTS_BAD;
    return connection_open();
}

static CK_RV remote_C_Finalize(void *reserved)
{
    return reserved != NULL ? CKR_ARGUMENTS_BAD : connection_close();
}

static CK_RV remote_C_GetInfo(CK_INFO *info)
{
    struct wire request = begin(SHIM_C_GetInfo);

    return finish_structure(&request, info, sizeof *info);
}

static CK_RV remote_C_GetSlotList(unsigned char present, CK_SLOT_ID *list, unsigned long *count)
{
    struct wire request = begin(SHIM_C_GetSlotList);

    if (count == NULL)
        return refuse(&request, CKR_ARGUMENTS_BAD);
    wire_put_number(&request, present);
    put_room(&request, list, *count);
    return finish_array(&request, list, count, sizeof *list);
}

static CK_RV remote_C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
    struct wire request = begin(SHIM_C_GetSlotInfo);

    wire_put_number(&request, slot);
    return finish_structure(&request, info, sizeof *info);
}

static CK_RV remote_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    struct wire request = begin(SHIM_C_GetTokenInfo);

    wire_put_number(&request, slot);
    return finish_structure(&request, info, sizeof *info);
}

static CK_RV remote_C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list,
                                       unsigned long *count)
{
    struct wire request = begin(SHIM_C_GetMechanismList);

    if (count == NULL)
        return refuse(&request, CKR_ARGUMENTS_BAD);
    wire_put_number(&request, slot);
    put_room(&request, list, *count);
    return finish_array(&request, list, count, sizeof *list);
}

static CK_RV remote_C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type,
                                       CK_MECHANISM_INFO *info)
{
    struct wire request = begin(SHIM_C_GetMechanismInfo);

    wire_put_number(&request, slot);
    wire_put_number(&request, type);
    return finish_structure(&request, info, sizeof *info);
}

/* A callback cannot travel: the token calls none. */
static CK_RV remote_C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify,
                                  CK_SESSION_HANDLE *session)
{
    struct wire request = begin(SHIM_C_OpenSession);

    (void)app;
    (void)notify;
    wire_put_number(&request, slot);
    wire_put_number(&request, flags);
    return finish_handles(&request, session, NULL);
}

static CK_RV remote_C_CloseSession(CK_SESSION_HANDLE session)
{
    struct wire request = begin(SHIM_C_CloseSession);

    wire_put_number(&request, session);
    return finish(&request);
}

static CK_RV remote_C_CloseAllSessions(CK_SLOT_ID slot)
{
    struct wire request = begin(SHIM_C_CloseAllSessions);

    wire_put_number(&request, slot);
    return finish(&request);
}

static CK_RV remote_C_GetSessionInfo(CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
    struct wire request = begin(SHIM_C_GetSessionInfo);

    wire_put_number(&request, session);
    return finish_structure(&request, info, sizeof *info);
}

static CK_RV remote_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin,
                            unsigned long n)
{
    struct wire request = begin(SHIM_C_Login);

    if (pin == NULL && n != 0)
        return refuse(&request, CKR_ARGUMENTS_BAD);
    wire_put_number(&request, session);
    wire_put_number(&request, user);
    wire_put_number(&request, pin != NULL); /* NULL: a PIN pad */
    wire_put_octets(&request, pin, n);
    return finish(&request);
}

static CK_RV remote_C_Logout(CK_SESSION_HANDLE session)
{
    struct wire request = begin(SHIM_C_Logout);

    wire_put_number(&request, session);
    return finish(&request);
}

static CK_RV remote_C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes,
                                   unsigned long n, CK_OBJECT_HANDLE *object)
{
    struct wire request = begin(SHIM_C_CreateObject);

    wire_put_number(&request, session);
    put_template(&request, attributes, n);
    return finish_handles(&request, object, NULL);
}

static CK_RV remote_C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE from,
                                 CK_ATTRIBUTE *attributes, unsigned long n,
                                 CK_OBJECT_HANDLE *object)
{
    struct wire request = begin(SHIM_C_CopyObject);

    wire_put_number(&request, session);
    wire_put_number(&request, from);
    put_template(&request, attributes, n);
    return finish_handles(&request, object, NULL);
}

static CK_RV remote_C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    struct wire request = begin(SHIM_C_DestroyObject);

    wire_put_number(&request, session);
    wire_put_number(&request, object);
    return finish(&request);
}

static CK_RV remote_C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                        CK_ATTRIBUTE *attributes, unsigned long n)
{
    struct wire request = begin(SHIM_C_GetAttributeValue);
    struct wire reply;
    CK_RV rv;

    if (n > WIRE_COUNT || attributes == NULL)
        return refuse(&request, CKR_ARGUMENTS_BAD);
    wire_put_number(&request, session);
    wire_put_number(&request, object);
    wire_put_number(&request, n);
    for (unsigned long i = 0; i < n; i++) {
        if ((attributes[i].type & CKF_ARRAY_ATTRIBUTE) != 0)
            return refuse(&request, CKR_ATTRIBUTE_TYPE_INVALID);
        wire_put_number(&request, attributes[i].type);
        put_room(&request, attributes[i].pValue, attributes[i].ulValueLen);
    }
    rv = connection_call(&request, &reply);
    /* These four answer for some attributes and not for others (PKCS#11 2.40, 5.7). */
    if (rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
        rv == CKR_BUFFER_TOO_SMALL) {
        for (unsigned long i = 0; i < n && !reply.bad; i++) {
            unsigned long size = wire_number(&reply);
            bool room = attributes[i].pValue != NULL && size != CK_UNAVAILABLE_INFORMATION;

            if (room && size > attributes[i].ulValueLen)
                reply.bad = true;
            else if (room)
                wire_copy(&reply, attributes[i].pValue, size);
            attributes[i].ulValueLen = size;
        }
    }
    if (reply.bad)
        rv = CKR_DEVICE_ERROR;
    wire_clear(&reply);
    return rv;
}

static CK_RV remote_C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                        CK_ATTRIBUTE *attributes, unsigned long n)
{
    struct wire request = begin(SHIM_C_SetAttributeValue);

    wire_put_number(&request, session);
    wire_put_number(&request, object);
    put_template(&request, attributes, n);
    return finish(&request);
}

static CK_RV remote_C_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes,
                                      unsigned long n)
{
    struct wire request = begin(SHIM_C_FindObjectsInit);

    wire_put_number(&request, session);
    put_template(&request, attributes, n);
    return finish(&request);
}

static CK_RV remote_C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects,
                                  unsigned long max, unsigned long *count)
{
    struct wire request = begin(SHIM_C_FindObjects);

    if (objects == NULL || count == NULL || max == 0)
        return refuse(&request, CKR_ARGUMENTS_BAD);
    *count = max > WIRE_COUNT ? WIRE_COUNT : max;
    wire_put_number(&request, session);
    put_room(&request, objects, *count);
    return finish_array(&request, objects, count, sizeof *objects);
}

static CK_RV remote_C_FindObjectsFinal(CK_SESSION_HANDLE session)
{
    struct wire request = begin(SHIM_C_FindObjectsFinal);

    wire_put_number(&request, session);
    return finish(&request);
}

static CK_RV remote_C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                               CK_OBJECT_HANDLE key)
{
    struct wire request = begin(SHIM_C_SignInit);
    CK_RV rv;

    wire_put_number(&request, session);
    rv = put_mechanism(&request, mechanism);
    wire_put_number(&request, key);
    return rv != CKR_OK ? refuse(&request, rv) : finish(&request);
}

static CK_RV remote_C_Sign(CK_SESSION_HANDLE session, unsigned char *data, unsigned long n,
                           unsigned char *signature, unsigned long *size)
{
    struct wire request = begin(SHIM_C_Sign);

    if (size == NULL || (data == NULL && n != 0))
        return refuse(&request, CKR_ARGUMENTS_BAD);
    wire_put_number(&request, session);
    wire_put_octets(&request, data, n);
    put_room(&request, signature, *size);
    return finish_array(&request, signature, size, 1);
}

static CK_RV remote_C_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                                      CK_ATTRIBUTE *public_, unsigned long n_public,
                                      CK_ATTRIBUTE *private_, unsigned long n_private,
                                      CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    struct wire request = begin(SHIM_C_GenerateKeyPair);
    CK_RV rv;

    wire_put_number(&request, session);
    rv = put_mechanism(&request, mechanism);
    put_template(&request, public_, n_public);
    put_template(&request, private_, n_private);
    if (rv == CKR_OK && private_key == NULL)
        rv = CKR_ARGUMENTS_BAD;
    return rv != CKR_OK ? refuse(&request, rv) : finish_handles(&request, public_key, private_key);
}

static CK_RV remote_C_DeriveKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                                CK_OBJECT_HANDLE base, CK_ATTRIBUTE *attributes, unsigned long n,
                                CK_OBJECT_HANDLE *key)
{
    struct wire request = begin(SHIM_C_DeriveKey);
    CK_RV rv;

    wire_put_number(&request, session);
    rv = put_mechanism(&request, mechanism);
    wire_put_number(&request, base);
    put_template(&request, attributes, n);
    return rv != CKR_OK ? refuse(&request, rv) : finish_handles(&request, key, NULL);
}

static CK_RV remote_C_GenerateRandom(CK_SESSION_HANDLE session, unsigned char *out, unsigned long n)
{
    struct wire request = begin(SHIM_C_GenerateRandom);

    if (n > WIRE_MAX / 2)
        return refuse(&request, CKR_ARGUMENTS_BAD);
    wire_put_number(&request, session);
    wire_put_number(&request, n);
    return finish_structure(&request, out, n);
}

static CK_RV not_carried(void)
{
    return CKR_FUNCTION_NOT_SUPPORTED;
}

CK_FUNCTION_LIST *remote_functions(const char *path)
{
    static CK_FUNCTION_LIST list;
    /* Every entry behind the version is a pointer to a function, and all of them give a CK_RV. */
    CK_RV (*stub)(void) = not_carried;
    size_t first = offsetof(CK_FUNCTION_LIST, C_Initialize);

    connection_setup(path);
    list.version.major = 2;
    list.version.minor = 40;
    for (size_t at = first; at + sizeof stub <= sizeof list; at += sizeof stub)
        memcpy((char *)&list + at, &stub, sizeof stub);
#define X(name, declaration, call) list.name = remote_##name;
    SHIM_FUNCTIONS(X)
#undef X
    return &list;
}
