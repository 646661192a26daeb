/*
 * putkey.c: puts an EC P-256 key pair whose private value is known into a token, sensitive and not
 * extractable, so that a test can look for the value where it must not be.
 *
 *   putkey MODULE TOKEN-LABEL PIN LABEL ID-HEX PRIVATE-HEX
 *
 * The object is made by C_CreateObject: CKA_LOCAL, ALWAYS_SENSITIVE and NEVER_EXTRACTABLE stay
 * false. Everything else is as a key that was made in the token.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <p11-kit/pkcs11.h>

static void fail(const char *what, unsigned long rv)
{
    fprintf(stderr, "putkey: %s: 0x%lx\n", what, rv);
    exit(1);
}

static CK_SLOT_ID find_slot(CK_FUNCTION_LIST *f, const char *label)
{
    CK_SLOT_ID slots[32];
    unsigned long count = 32;
    CK_RV rv = f->C_GetSlotList(1, slots, &count);
    if (rv != CKR_OK)
        fail("C_GetSlotList", rv);
    for (unsigned long i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK)
            continue;
        size_t n = strlen(label);
        if (n <= sizeof info.label && memcmp(info.label, label, n) == 0 &&
            (n == sizeof info.label || info.label[n] == ' '))
            return slots[i];
    }
    fail("no token of that label", 0);
    return 0;
}

/* 04 41 04 x y: the DER OCTET STRING of the uncompressed point d * G. */
static void public_point(const uint8_t d[32], uint8_t point[67])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *q = EC_POINT_new(group);
    BIGNUM *n = BN_bin2bn(d, 32, NULL);
    point[0] = 0x04;
    point[1] = 65;
    if (n == NULL || EC_POINT_mul(group, q, n, NULL, NULL, NULL) != 1 ||
        EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, point + 2, 65, NULL) != 65)
        fail("d * G", 0);
    BN_clear_free(n);
    EC_POINT_free(q);
    EC_GROUP_free(group);
}

static void create(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, const char *label,
                   const uint8_t *id, size_t id_size, uint8_t d[32])
{
    static uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    uint8_t point[67];
    public_point(d, point);
    CK_OBJECT_CLASS private_ = CKO_PRIVATE_KEY, public_ = CKO_PUBLIC_KEY;
    CK_KEY_TYPE ec = CKK_EC;
    unsigned char yes = 1, no = 0;
    CK_ATTRIBUTE private_key[] = {
        {CKA_CLASS, &private_, sizeof private_},
        {CKA_KEY_TYPE, &ec, sizeof ec},
        {CKA_TOKEN, &yes, 1},
        {CKA_PRIVATE, &yes, 1},
        {CKA_SENSITIVE, &yes, 1},
        {CKA_EXTRACTABLE, &no, 1},
        {CKA_SIGN, &yes, 1},
        {CKA_DERIVE, &no, 1},
        {CKA_DECRYPT, &no, 1},
        {CKA_UNWRAP, &no, 1},
        {CKA_SIGN_RECOVER, &no, 1},
        {CKA_EC_PARAMS, p256, sizeof p256},
        {CKA_VALUE, d, 32},
        {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
        {CKA_ID, (void *)(uintptr_t)id, id_size},
    };
    CK_ATTRIBUTE public_key[] = {
        {CKA_CLASS, &public_, sizeof public_},
        {CKA_KEY_TYPE, &ec, sizeof ec},
        {CKA_TOKEN, &yes, 1},
        {CKA_PRIVATE, &no, 1},
        {CKA_VERIFY, &yes, 1},
        {CKA_EC_PARAMS, p256, sizeof p256},
        {CKA_EC_POINT, point, sizeof point},
        {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
        {CKA_ID, (void *)(uintptr_t)id, id_size},
    };
    CK_OBJECT_HANDLE handle;
    CK_RV rv =
        f->C_CreateObject(session, private_key, sizeof private_key / sizeof *private_key, &handle);
    if (rv != CKR_OK)
        fail("C_CreateObject of the private key", rv);
    rv = f->C_CreateObject(session, public_key, sizeof public_key / sizeof *public_key, &handle);
    if (rv != CKR_OK)
        fail("C_CreateObject of the public key", rv);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: putkey MODULE TOKEN-LABEL PIN LABEL ID-HEX PRIVATE-HEX\n");
        return 2;
    }
    long id_size = 0, d_size = 0;
    uint8_t *id = OPENSSL_hexstr2buf(argv[5], &id_size);
    uint8_t *d = OPENSSL_hexstr2buf(argv[6], &d_size);
    if (id == NULL || d == NULL || d_size != 32) {
        fprintf(stderr, "putkey: ID-HEX or PRIVATE-HEX (32 octets) is not that\n");
        return 2;
    }
    void *module = dlopen(argv[1], RTLD_NOW);
    CK_C_GetFunctionList get = NULL;
    CK_FUNCTION_LIST *f = NULL;
    if (module == NULL) {
        fprintf(stderr, "putkey: %s\n", dlerror());
        return 1;
    }
    *(void **)&get = dlsym(module, "C_GetFunctionList");
    if (get == NULL || get(&f) != CKR_OK)
        fail("C_GetFunctionList", 0);
    CK_RV rv = f->C_Initialize(NULL);
    if (rv != CKR_OK)
        fail("C_Initialize", rv);
    CK_SESSION_HANDLE session;
    rv = f->C_OpenSession(find_slot(f, argv[2]), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                          &session);
    if (rv != CKR_OK)
        fail("C_OpenSession", rv);
    rv = f->C_Login(session, CKU_USER, (unsigned char *)argv[3], strlen(argv[3]));
    if (rv != CKR_OK)
        fail("C_Login", rv);
    create(f, session, argv[4], id, (size_t)id_size, d);
    f->C_Finalize(NULL);
    OPENSSL_clear_free(d, 32);
    OPENSSL_free(id);
    return 0;
}
