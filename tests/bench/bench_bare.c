/*
 * bench_bare.c: the loops that the others are compared with. A signature is C_SignInit and C_Sign,
 * a derivation C_DeriveKey, C_GetAttributeValue and C_DestroyObject: nobody can do with fewer
 * calls.
 */
#include "tests/bench/bench.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/rand.h>

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static const struct bench_setup *names;
static CK_SESSION_HANDLE main_session;
static CK_OBJECT_HANDLE keys[2], copies[2]; /* to sign, to derive */
static bool copied, use_copy;
static uint8_t peer[65];

static bool good(CK_RV rv, const char *what)
{
    if (rv != CKR_OK)
        fprintf(stderr, "bench: bare %s: 0x%lx\n", what, rv);
    return rv == CKR_OK;
}

static bool find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class_, const char *label,
                 CK_OBJECT_HANDLE *object)
{
    CK_ATTRIBUTE want[] = {{CKA_CLASS, &class_, sizeof(class_)},
                           {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    CK_ULONG count = 0;

    return p11->C_FindObjectsInit(session, want, 2) == CKR_OK &&
           p11->C_FindObjects(session, object, 1, &count) == CKR_OK &&
           p11->C_FindObjectsFinal(session) == CKR_OK && count == 1;
}

static bool find_slot(void)
{
    CK_SLOT_ID ids[64];
    CK_ULONG count = 64;
    CK_TOKEN_INFO info;

    if (!good(p11->C_GetSlotList(CK_TRUE, ids, &count), "C_GetSlotList"))
        return false;
    for (CK_ULONG i = 0; i < count; i++) {
        if (p11->C_GetTokenInfo(ids[i], &info) == CKR_OK &&
            memcmp(info.label, names->token, strlen(names->token)) == 0) {
            slot = ids[i];
            return true;
        }
    }
    fprintf(stderr, "bench: no token %s\n", names->token);
    return false;
}

static bool make_peer(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    size_t size = 0;
    bool ok = key != NULL && EVP_PKEY_get_octet_string_param(key, "encoded-pub-key", peer,
                                                             sizeof(peer), &size) == 1;

    EVP_PKEY_free(key);
    return ok && size == sizeof(peer);
}

static bool copy_keys(void)
{
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE change = {CKA_TOKEN, &no, sizeof(no)};

    for (int i = 0; i < 2; i++) {
        if (p11->C_CopyObject(main_session, keys[i], &change, 1, &copies[i]) != CKR_OK)
            return false;
    }
    return true;
}

bool bare_setup(const struct bench_setup *setup)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    CK_C_GetFunctionList get = NULL;
    void *handle = dlopen(setup->module, RTLD_NOW | RTLD_LOCAL);

    names = setup;
    if (handle != NULL)
        *(void **)&get = dlsym(handle, "C_GetFunctionList");
    if (get == NULL || get(&p11) != CKR_OK) {
        fprintf(stderr, "bench: %s is no module\n", setup->module);
        return false;
    }
    if (!good(p11->C_Initialize(&args), "C_Initialize") || !find_slot() ||
        !good(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &main_session),
              "C_OpenSession") ||
        !good(p11->C_Login(main_session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)setup->pin,
                           strlen(setup->pin)),
              "C_Login"))
        return false;
    if (!find(main_session, CKO_PRIVATE_KEY, setup->sign_label, &keys[0]) ||
        !find(main_session, CKO_PRIVATE_KEY, setup->derive_label, &keys[1])) {
        fprintf(stderr, "bench: the keys are not in the token\n");
        return false;
    }
    copied = copy_keys();
    return make_peer();
}

bool bare_has_copy(void)
{
    return copied;
}

void bare_use_copy(bool use)
{
    use_copy = use && copied;
}

const uint8_t *bare_peer(size_t *size)
{
    *size = sizeof(peer);
    return peer;
}

bool bare_thread(struct bench_thread *thread)
{
    return good(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &thread->session),
                "C_OpenSession");
}

static bool sign(struct bench_thread *thread)
{
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    uint8_t digest[BENCH_DIGEST] = {1, 2, 3}, signature[64];
    CK_ULONG size = sizeof(signature);

    return p11->C_SignInit(thread->session, &mechanism, use_copy ? copies[0] : keys[0]) == CKR_OK &&
           p11->C_Sign(thread->session, digest, sizeof(digest), signature, &size) == CKR_OK;
}

static bool derive(struct bench_thread *thread)
{
    CK_ECDH1_DERIVE_PARAMS ecdh = {CKD_NULL, 0, NULL, sizeof(peer), peer};
    CK_MECHANISM mechanism = {CKM_ECDH1_DERIVE, &ecdh, sizeof(ecdh)};
    CK_OBJECT_CLASS class_ = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BBOOL no = CK_FALSE, yes = CK_TRUE;
    CK_ULONG length = 32;
    uint8_t shared[32];
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class_, sizeof(class_)}, {CKA_KEY_TYPE, &type, sizeof(type)},
        {CKA_TOKEN, &no, sizeof(no)},         {CKA_SENSITIVE, &no, sizeof(no)},
        {CKA_EXTRACTABLE, &yes, sizeof(yes)}, {CKA_VALUE_LEN, &length, sizeof(length)}};
    CK_ATTRIBUTE value = {CKA_VALUE, shared, sizeof(shared)};
    CK_OBJECT_HANDLE secret = 0;

    return p11->C_DeriveKey(thread->session, &mechanism, use_copy ? copies[1] : keys[1], template,
                            6, &secret) == CKR_OK &&
           p11->C_GetAttributeValue(thread->session, secret, &value, 1) == CKR_OK &&
           p11->C_DestroyObject(thread->session, secret) == CKR_OK;
}

/* What an open has to learn: the private key, its curve, and its public key. */
static bool open_key(struct bench_thread *thread)
{
    uint8_t params[64], point[128];
    CK_ATTRIBUTE curve = {CKA_EC_PARAMS, params, sizeof(params)};
    CK_ATTRIBUTE value = {CKA_EC_POINT, point, sizeof(point)};
    CK_OBJECT_HANDLE object = 0;

    return find(thread->session, CKO_PRIVATE_KEY, names->sign_label, &object) &&
           p11->C_GetAttributeValue(thread->session, object, &curve, 1) == CKR_OK &&
           find(thread->session, CKO_PUBLIC_KEY, names->sign_label, &object) &&
           p11->C_GetAttributeValue(thread->session, object, &value, 1) == CKR_OK;
}

bool bare_work(struct bench_thread *thread, enum work work)
{
    switch (work) {
    case DERIVE:
        return derive(thread);
    case OPEN:
        return open_key(thread);
    default:
        return sign(thread);
    }
}
