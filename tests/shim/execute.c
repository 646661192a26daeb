/*
 * execute.c: a request's octets to a call of the module, and its results to octets.
 *
 * Whoever can connect is the same user (the socket's mode), yet no number that a request names is
 * taken for a size before it is compared with WIRE_MAX.
 */
#include "tests/shim/serve.h"

#include <stdlib.h>
#include <string.h>

#include "tests/shim/shim.h"

struct call {
    CK_FUNCTION_LIST *module;
    struct wire *in, *out;
    void *memory[8]; /* freed after the call */
    size_t sizes[8];
    size_t count;
};

/* Zeroed memory that lives as long as the call; NULL makes the request bad. */
static void *room(struct call *call, size_t size)
{
    void *memory = NULL;

    if (size <= WIRE_MAX && call->count < sizeof call->memory / sizeof call->memory[0])
        memory = calloc(1, size == 0 ? 1 : size);
    if (memory == NULL) {
        call->in->bad = true;
        return NULL;
    }
    call->sizes[call->count] = size;
    call->memory[call->count++] = memory;
    return memory;
}

static void clear(struct call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        explicit_bzero(call->memory[i], call->sizes[i]);
        free(call->memory[i]);
    }
}

static unsigned long number(struct call *call)
{
    return wire_number(call->in);
}

/* The whole request was read, and nothing is behind it. */
static bool complete(const struct call *call)
{
    return !call->in->bad && call->in->at == call->in->size;
}

static CK_ATTRIBUTE *get_template(struct call *call, unsigned long *n)
{
    CK_ATTRIBUTE *attributes = NULL;
    bool given = number(call) != 0;

    *n = number(call);
    if (*n > WIRE_COUNT || (!given && *n != 0))
        call->in->bad = true;
    if (!call->in->bad)
        attributes = room(call, *n * sizeof *attributes);
    for (unsigned long i = 0; attributes != NULL && i < *n; i++) {
        attributes[i].type = number(call);
        attributes[i].pValue = (void *)(uintptr_t)wire_octets(call->in, &attributes[i].ulValueLen);
        if (attributes[i].ulValueLen == 0)
            attributes[i].pValue = NULL;
    }
    return given ? attributes : NULL;
}

static void get_mechanism(struct call *call, CK_MECHANISM *mechanism, CK_ECDH1_DERIVE_PARAMS *ecdh)
{
    memset(mechanism, 0, sizeof *mechanism);
    memset(ecdh, 0, sizeof *ecdh);
    mechanism->mechanism = number(call);
    if (number(call) == 0)
        return;
    ecdh->kdf = number(call);
    ecdh->pSharedData = (void *)(uintptr_t)wire_octets(call->in, &ecdh->ulSharedDataLen);
    if (ecdh->ulSharedDataLen == 0)
        ecdh->pSharedData = NULL;
    ecdh->pPublicData = (void *)(uintptr_t)wire_octets(call->in, &ecdh->ulPublicDataLen);
    mechanism->pParameter = ecdh;
    mechanism->ulParameterLen = sizeof *ecdh;
}

/* Where results go: NULL where the client has NULL. */
static void *get_room(struct call *call, unsigned long *size, size_t item)
{
    bool given = number(call) != 0;

    *size = number(call);
    /* A client may say that it has more room than a frame has. */
    if (*size > WIRE_MAX / 2 / item)
        *size = WIRE_MAX / 2 / item;
    return given ? room(call, *size * item) : NULL;
}

static bool answer(struct call *call, CK_RV rv)
{
    wire_put_number(call->out, rv);
    return true;
}

static bool answer_array(struct call *call, CK_RV rv, const void *data, unsigned long n,
                         size_t item)
{
    answer(call, rv);
    if (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL)
        wire_put_number(call->out, n);
    if (rv == CKR_OK && data != NULL)
        wire_put_octets(call->out, data, n * item);
    return true;
}

static bool answer_structure(struct call *call, CK_RV rv, const void *data, size_t size)
{
    answer(call, rv);
    if (rv == CKR_OK)
        wire_put_octets(call->out, data, size);
    return true;
}

static bool answer_handle(struct call *call, CK_RV rv, unsigned long handle)
{
    answer(call, rv);
    if (rv == CKR_OK)
        wire_put_number(call->out, handle);
    return true;
}

/* ---- slots and sessions ---- */

static bool get_info(struct call *call)
{
    CK_INFO info = {0};

    return complete(call) &&
           answer_structure(call, call->module->C_GetInfo(&info), &info, sizeof info);
}

static bool get_slot_list(struct call *call)
{
    unsigned char present = (unsigned char)number(call);
    unsigned long count = 0;
    CK_SLOT_ID *list = get_room(call, &count, sizeof *list);
    CK_RV rv;

    if (!complete(call))
        return false;
    rv = call->module->C_GetSlotList(present, list, &count);
    return answer_array(call, rv, list, count, sizeof *list);
}

static bool get_slot_info(struct call *call)
{
    CK_SLOT_INFO info = {0};
    CK_SLOT_ID slot = number(call);

    return complete(call) &&
           answer_structure(call, call->module->C_GetSlotInfo(slot, &info), &info, sizeof info);
}

static bool get_token_info(struct call *call)
{
    CK_TOKEN_INFO info = {0};
    CK_SLOT_ID slot = number(call);

    return complete(call) &&
           answer_structure(call, call->module->C_GetTokenInfo(slot, &info), &info, sizeof info);
}

static bool get_mechanism_list(struct call *call)
{
    CK_SLOT_ID slot = number(call);
    unsigned long count = 0;
    CK_MECHANISM_TYPE *list = get_room(call, &count, sizeof *list);
    CK_RV rv;

    if (!complete(call))
        return false;
    rv = call->module->C_GetMechanismList(slot, list, &count);
    return answer_array(call, rv, list, count, sizeof *list);
}

static bool get_mechanism_info(struct call *call)
{
    CK_MECHANISM_INFO info = {0};
    CK_SLOT_ID slot = number(call);
    CK_MECHANISM_TYPE type = number(call);

    return complete(call) &&
           answer_structure(call, call->module->C_GetMechanismInfo(slot, type, &info), &info,
                            sizeof info);
}

static bool open_session(struct call *call)
{
    CK_SLOT_ID slot = number(call);
    CK_FLAGS flags = number(call);
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    CK_RV rv;

    if (!complete(call))
        return false;
    rv = call->module->C_OpenSession(slot, flags, NULL, NULL, &session);
    return answer_handle(call, rv, session);
}

static bool get_session_info(struct call *call)
{
    CK_SESSION_INFO info = {0};
    CK_SESSION_HANDLE session = number(call);

    return complete(call) && answer_structure(call, call->module->C_GetSessionInfo(session, &info),
                                              &info, sizeof info);
}

static bool log_in(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    CK_USER_TYPE user = number(call);
    bool given = number(call) != 0;
    size_t n = 0;
    const uint8_t *pin = wire_octets(call->in, &n);

    if (!complete(call))
        return false;
    return answer(call, call->module->C_Login(session, user,
                                              given ? (unsigned char *)(uintptr_t)pin : NULL, n));
}

/* ---- objects ---- */

static bool create_object(struct call *call, bool copy)
{
    CK_SESSION_HANDLE session = number(call);
    CK_OBJECT_HANDLE from = copy ? number(call) : CK_INVALID_HANDLE;
    CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
    unsigned long n = 0;
    CK_ATTRIBUTE *attributes = get_template(call, &n);
    CK_RV rv;

    if (!complete(call))
        return false;
    rv = copy ? call->module->C_CopyObject(session, from, attributes, n, &object)
              : call->module->C_CreateObject(session, attributes, n, &object);
    return answer_handle(call, rv, object);
}

static bool destroy_object(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    CK_OBJECT_HANDLE object = number(call);

    return complete(call) && answer(call, call->module->C_DestroyObject(session, object));
}

static bool get_attributes(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    CK_OBJECT_HANDLE object = number(call);
    unsigned long n = number(call);
    CK_ATTRIBUTE *attributes = NULL;
    uint8_t *values = NULL;
    size_t total = 0;
    CK_RV rv;

    if (n > WIRE_COUNT || (attributes = room(call, n * sizeof *attributes)) == NULL)
        return false;
    for (unsigned long i = 0; i < n; i++) {
        bool given;

        attributes[i].type = number(call);
        given = number(call) != 0;
        attributes[i].ulValueLen = number(call);
        if (attributes[i].ulValueLen > WIRE_MAX / 2)
            attributes[i].ulValueLen = WIRE_MAX / 2;
        total += (attributes[i].ulValueLen + 7) / 8 * 8;
        attributes[i].pValue = given ? attributes : NULL; /* for now: not NULL */
    }
    if (!complete(call) || (values = room(call, total)) == NULL)
        return false;
    for (unsigned long i = 0; i < n; i++) {
        if (attributes[i].pValue == NULL)
            continue;
        attributes[i].pValue = values;
        values += (attributes[i].ulValueLen + 7) / 8 * 8;
    }
    rv = call->module->C_GetAttributeValue(session, object, attributes, n);
    answer(call, rv);
    if (rv != CKR_OK && rv != CKR_ATTRIBUTE_SENSITIVE && rv != CKR_ATTRIBUTE_TYPE_INVALID &&
        rv != CKR_BUFFER_TOO_SMALL)
        return true;
    for (unsigned long i = 0; i < n; i++) {
        wire_put_number(call->out, attributes[i].ulValueLen);
        if (attributes[i].pValue != NULL && attributes[i].ulValueLen != CK_UNAVAILABLE_INFORMATION)
            wire_put_octets(call->out, attributes[i].pValue, attributes[i].ulValueLen);
    }
    return true;
}

static bool set_attributes(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    CK_OBJECT_HANDLE object = number(call);
    unsigned long n = 0;
    CK_ATTRIBUTE *attributes = get_template(call, &n);

    return complete(call) &&
           answer(call, call->module->C_SetAttributeValue(session, object, attributes, n));
}

static bool find_init(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    unsigned long n = 0;
    CK_ATTRIBUTE *attributes = get_template(call, &n);

    return complete(call) && answer(call, call->module->C_FindObjectsInit(session, attributes, n));
}

static bool find(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    unsigned long max = 0, count = 0;
    CK_OBJECT_HANDLE *objects = get_room(call, &max, sizeof *objects);
    CK_RV rv;

    if (!complete(call) || objects == NULL)
        return false;
    rv = call->module->C_FindObjects(session, objects, max, &count);
    return answer_array(call, rv, objects, count, sizeof *objects);
}

/* ---- keys ---- */

static bool sign_init(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    CK_ECDH1_DERIVE_PARAMS ecdh;
    CK_MECHANISM mechanism;
    CK_OBJECT_HANDLE key;

    get_mechanism(call, &mechanism, &ecdh);
    key = number(call);
    return complete(call) && answer(call, call->module->C_SignInit(session, &mechanism, key));
}

static bool sign(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    size_t n = 0;
    const uint8_t *data = wire_octets(call->in, &n);
    unsigned long size = 0;
    unsigned char *signature = get_room(call, &size, 1);
    CK_RV rv;

    if (!complete(call))
        return false;
    rv = call->module->C_Sign(session, (unsigned char *)(uintptr_t)data, n, signature, &size);
    return answer_array(call, rv, signature, size, 1);
}

static bool generate_key_pair(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE, private_key = CK_INVALID_HANDLE;
    CK_ATTRIBUTE *public_ = NULL, *private_ = NULL;
    unsigned long n_public = 0, n_private = 0;
    CK_ECDH1_DERIVE_PARAMS ecdh;
    CK_MECHANISM mechanism;
    CK_RV rv;

    get_mechanism(call, &mechanism, &ecdh);
    public_ = get_template(call, &n_public);
    private_ = get_template(call, &n_private);
    if (!complete(call))
        return false;
    rv = call->module->C_GenerateKeyPair(session, &mechanism, public_, n_public, private_,
                                         n_private, &public_key, &private_key);
    answer_handle(call, rv, public_key);
    if (rv == CKR_OK)
        wire_put_number(call->out, private_key);
    return true;
}

static bool derive_key(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    CK_OBJECT_HANDLE base, key = CK_INVALID_HANDLE;
    CK_ATTRIBUTE *attributes = NULL;
    CK_ECDH1_DERIVE_PARAMS ecdh;
    CK_MECHANISM mechanism;
    unsigned long n = 0;
    CK_RV rv;

    get_mechanism(call, &mechanism, &ecdh);
    base = number(call);
    attributes = get_template(call, &n);
    if (!complete(call))
        return false;
    rv = call->module->C_DeriveKey(session, &mechanism, base, attributes, n, &key);
    return answer_handle(call, rv, key);
}

static bool generate_random(struct call *call)
{
    CK_SESSION_HANDLE session = number(call);
    unsigned long n = number(call);
    unsigned char *out = NULL;

    if (!complete(call) || n > WIRE_MAX / 2 || (out = room(call, n)) == NULL)
        return false;
    return answer_structure(call, call->module->C_GenerateRandom(session, out, n), out, n);
}

/* Of the functions that have one handle and nothing else. */
static bool with_handle(struct call *call, CK_RV (*function)(unsigned long handle))
{
    unsigned long handle = number(call);

    return complete(call) && answer(call, function(handle));
}

static bool dispatch(struct call *call, uint64_t function)
{
    switch (function) {
    case SHIM_C_GetInfo:
        return get_info(call);
    case SHIM_C_GetSlotList:
        return get_slot_list(call);
    case SHIM_C_GetSlotInfo:
        return get_slot_info(call);
    case SHIM_C_GetTokenInfo:
        return get_token_info(call);
    case SHIM_C_GetMechanismList:
        return get_mechanism_list(call);
    case SHIM_C_GetMechanismInfo:
        return get_mechanism_info(call);
    case SHIM_C_OpenSession:
        return open_session(call);
    case SHIM_C_CloseSession:
        return with_handle(call, call->module->C_CloseSession);
    case SHIM_C_CloseAllSessions:
        return with_handle(call, call->module->C_CloseAllSessions);
    case SHIM_C_GetSessionInfo:
        return get_session_info(call);
    case SHIM_C_Login:
        return log_in(call);
    case SHIM_C_Logout:
        return with_handle(call, call->module->C_Logout);
    case SHIM_C_CreateObject:
    case SHIM_C_CopyObject:
        return create_object(call, function == SHIM_C_CopyObject);
    case SHIM_C_DestroyObject:
        return destroy_object(call);
    case SHIM_C_GetAttributeValue:
        return get_attributes(call);
    case SHIM_C_SetAttributeValue:
        return set_attributes(call);
    case SHIM_C_FindObjectsInit:
        return find_init(call);
    case SHIM_C_FindObjects:
        return find(call);
    case SHIM_C_FindObjectsFinal:
        return with_handle(call, call->module->C_FindObjectsFinal);
    case SHIM_C_SignInit:
        return sign_init(call);
    case SHIM_C_Sign:
        return sign(call);
    case SHIM_C_GenerateKeyPair:
        return generate_key_pair(call);
    case SHIM_C_DeriveKey:
        return derive_key(call);
    case SHIM_C_GenerateRandom:
        return generate_random(call);
    default: /* C_Initialize comes once, C_Finalize is the end of the connection */
        return false;
    }
}

bool execute(CK_FUNCTION_LIST *module, struct wire *request, struct wire *reply)
{
    struct call call = {.module = module, .in = request, .out = reply};
    bool ok = dispatch(&call, wire_number(request)) && !reply->bad;

    clear(&call);
    return ok;
}
