/*
 * Cryptoki through p11shimd and without it: sizes asked for, room that is too small, what is
 * refused. Each call has the same answer.
 */
#include "tests/shim/remote_lab.h"

static CK_SLOT_ID slot_of(CK_FUNCTION_LIST *f)
{
    CK_SLOT_ID slots[8];
    CK_ULONG count = 0;

    assert_int_equal(f->C_GetSlotList(CK_TRUE, NULL, &count), CKR_OK);
    assert_in_range(count, 1, 8);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;

        assert_int_equal(f->C_GetTokenInfo(slots[i], &info), CKR_OK);
        if (memcmp(info.label, LAB_TOKEN " ", sizeof LAB_TOKEN) == 0)
            return slots[i];
    }
    fail_msg("no token");
    return 0;
}

/* What one module answers; both get the same questions. */
struct answers {
    CK_RV rv[80];
    size_t count;
};
#define ASK(expression) (a->rv[a->count++] = (expression))

static void ask_session(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, struct answers *a)
{
    CK_BYTE wrong[] = "000000", pin[] = LAB_PIN;
    CK_SESSION_INFO info;

    ASK(f->C_Login(session, CKU_USER, wrong, sizeof wrong - 1));
    ASK(f->C_Login(session, CKU_USER, pin, sizeof pin - 1));
    ASK(f->C_Login(session, CKU_USER, pin, sizeof pin - 1));
    ASK(f->C_GetSessionInfo(session, &info));
    assert_int_equal(info.state, CKS_RW_USER_FUNCTIONS);
    ASK(f->C_GetSessionInfo(session + 1000, &info));
    ASK(f->C_CloseSession(session + 1000));
}

static void ask_objects(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, struct answers *a)
{
    CK_OBJECT_CLASS class_ = CKO_DATA;
    CK_BBOOL no = CK_FALSE;
    CK_BYTE value[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, got[16] = {0}, small[2];
    CK_ATTRIBUTE data[] = {{CKA_CLASS, &class_, sizeof class_},
                           {CKA_TOKEN, &no, sizeof no},
                           {CKA_PRIVATE, &no, sizeof no},
                           {CKA_LABEL, (void *)(uintptr_t) "thing", 5},
                           {CKA_VALUE, value, sizeof value}};
    CK_ATTRIBUTE query[] = {{CKA_VALUE, NULL, 0}, {CKA_LABEL, NULL, 0}};
    CK_ATTRIBUTE read = {CKA_VALUE, got, sizeof got};
    CK_ATTRIBUTE tight[] = {{CKA_VALUE, small, sizeof small}, {CKA_LABEL, got, sizeof got}};
    CK_ATTRIBUTE none = {CKA_EC_POINT, got, sizeof got};
    CK_ATTRIBUTE label = {CKA_LABEL, (void *)(uintptr_t) "other", 5};
    CK_ATTRIBUTE array = {CKA_WRAP_TEMPLATE, data, sizeof data};
    CK_OBJECT_HANDLE object = 0, copy = 0, found[4];
    CK_ULONG count = 0;

    ASK(f->C_CreateObject(session, data, 5, &object));
    ASK(f->C_CreateObject(session, data, 0, &copy));
    ASK(f->C_GetAttributeValue(session, object, query, 2));
    assert_int_equal(query[0].ulValueLen, sizeof value);
    assert_int_equal(query[1].ulValueLen, 5);
    ASK(f->C_GetAttributeValue(session, object, &read, 1));
    assert_int_equal(read.ulValueLen, sizeof value);
    assert_memory_equal(got, value, sizeof value);
    ASK(f->C_GetAttributeValue(session, object, tight, 2));
    assert_int_equal(tight[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(tight[1].ulValueLen, 5);
    ASK(f->C_GetAttributeValue(session, object, &none, 1));
    assert_int_equal(none.ulValueLen, CK_UNAVAILABLE_INFORMATION);
    ASK(f->C_CopyObject(session, object, &label, 1, &copy));
    ASK(f->C_SetAttributeValue(session, object, &label, 1));
    ASK(f->C_FindObjectsInit(session, &label, 1));
    ASK(f->C_FindObjectsInit(session, &label, 1)); /* active */
    ASK(f->C_FindObjects(session, found, 1, &count));
    assert_int_equal(count, 1);
    ASK(f->C_FindObjects(session, found, 4, &count));
    assert_int_equal(count, 1);
    ASK(f->C_FindObjects(session, found, 4, &count));
    assert_int_equal(count, 0);
    ASK(f->C_FindObjectsFinal(session));
    ASK(f->C_DestroyObject(session, object));
    ASK(f->C_DestroyObject(session, object));
    /* Attributes made of attributes are not carried. */
    if (f == remote_cryptoki())
        assert_int_equal(f->C_GetAttributeValue(session, copy, &array, 1),
                         CKR_ATTRIBUTE_TYPE_INVALID);
}

static void ask_keys(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, struct answers *a)
{
    static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE public_[] = {{CKA_EC_PARAMS, p256, sizeof p256}, {CKA_TOKEN, &no, sizeof no}};
    CK_ATTRIBUTE private_[] = {{CKA_TOKEN, &no, sizeof no},
                               {CKA_SENSITIVE, &yes, sizeof yes},
                               {CKA_EXTRACTABLE, &no, sizeof no},
                               {CKA_SIGN, &yes, sizeof yes}};
    CK_MECHANISM make = {CKM_EC_KEY_PAIR_GEN, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
    CK_MECHANISM unknown = {0x7fffffff, NULL, 0}, ecdh = {CKM_ECDH1_DERIVE, NULL, 0};
    CK_OBJECT_HANDLE public_key = 0, private_key = 0, secret = 0;
    CK_BYTE digest[32] = {7}, signature[64], value[32];
    CK_ATTRIBUTE hidden = {CKA_VALUE, value, sizeof value};
    CK_ULONG size = 0;

    ASK(f->C_GenerateKeyPair(session, &unknown, public_, 2, private_, 4, &public_key,
                             &private_key));
    ASK(f->C_GenerateKeyPair(session, &make, public_, 2, private_, 4, &public_key, &private_key));
    ASK(f->C_GetAttributeValue(session, private_key, &hidden, 1));
    assert_int_equal(hidden.ulValueLen, CK_UNAVAILABLE_INFORMATION);
    ASK(f->C_Sign(session, digest, 32, signature, &size)); /* not begun */
    ASK(f->C_SignInit(session, &unknown, private_key));
    ASK(f->C_SignInit(session, &ecdsa, private_key + 1000));
    ASK(f->C_SignInit(session, &ecdsa, private_key));
    ASK(f->C_Sign(session, digest, 32, NULL, &size));
    assert_int_equal(size, 64);
    size = 63;
    ASK(f->C_Sign(session, digest, 32, signature, &size));
    assert_int_equal(size, 64);
    size = sizeof signature;
    ASK(f->C_Sign(session, digest, 32, signature, &size));
    assert_int_equal(size, 64);
    ASK(f->C_DeriveKey(session, &ecdh, private_key, NULL, 0, &secret));
    ASK(f->C_GenerateRandom(session, value, sizeof value));
}

static void test_same_answers(void **state)
{
    CK_FUNCTION_LIST *modules[2] = {remote_cryptoki(), lab_cryptoki()};
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    struct answers answers[2] = {{.count = 0}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        CK_FUNCTION_LIST *f = modules[i];
        struct answers *a = &answers[i];
        CK_MECHANISM_TYPE list[200];
        CK_MECHANISM_INFO mechanism;
        CK_SESSION_HANDLE session = 0;
        CK_ULONG count = 0, one = 1;
        CK_SLOT_INFO slot_info;
        CK_SLOT_ID slot;
        CK_INFO info;

        (void)f->C_Finalize(NULL);
        ASK(f->C_GetInfo(&info));
        ASK(f->C_Initialize(&args));
        ASK(f->C_Initialize(&args));
        ASK(f->C_GetInfo(&info));
        assert_memory_equal(info.manufacturerID, "SoftHSM", 7);
        slot = slot_of(f);
        ASK(f->C_GetSlotInfo(slot, &slot_info));
        ASK(f->C_GetSlotInfo(slot + 99, &slot_info));
        ASK(f->C_GetMechanismList(slot, NULL, &count));
        assert_in_range(count, 2, 200);
        ASK(f->C_GetMechanismList(slot, list, &one));
        assert_int_equal(one, count);
        ASK(f->C_GetMechanismList(slot, list, &count));
        ASK(f->C_GetMechanismInfo(slot, CKM_ECDH1_DERIVE, &mechanism));
        ASK(f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
        ask_session(f, session, a);
        ask_objects(f, session, a);
        ask_keys(f, session, a);
        ASK(f->C_Logout(session));
        ASK(f->C_Logout(session));
        ASK(f->C_CloseAllSessions(slot));
        ASK(f->C_CloseSession(session));
        ASK(f->C_Finalize(NULL));
        ASK(f->C_Finalize(NULL));
    }
    assert_int_equal(answers[0].count, answers[1].count);
    for (size_t i = 0; i < answers[0].count; i++) {
        if (answers[0].rv[i] != answers[1].rv[i])
            fail_msg("answer %zu: 0x%lx, directly 0x%lx", i, answers[0].rv[i], answers[1].rv[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_answers)};

    return cmocka_run_group_tests(tests, remote_setup, remote_teardown);
}
