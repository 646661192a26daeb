/*
 * How many Cryptoki calls an operation makes, what a trace shows of them, and that nothing is left
 * behind in the token.
 */
#include "tests/pkcs11/fault.h"

static void copied(struct p11_config *config)
{
    config->key_copy = P11_YES;
}

static void not_copied(struct p11_config *config)
{
    config->key_copy = P11_NO;
}

static void traced(struct p11_config *config)
{
    config->trace = true;
}

static void derives(p11_key *key)
{
    uint8_t secret[32];
    size_t size = sizeof secret;
    size_t point_size;

    assert_int_equal(p11_key_derive(key, p11_key_point(key, &point_size), 65, secret, &size),
                     P11_OK);
}

static void test_two_for_a_signature(void **state)
{
    p11_ctx *ctxs[2] = {fault_ctx(not_copied), fault_ctx(copied)};
    p11_key *keys[2] = {lab_key(ctxs[0], "plain", P11_CURVE_P256, P11_USAGE_SIGN),
                        lab_key(ctxs[1], "copied", P11_CURVE_P256, P11_USAGE_SIGN)};

    (void)state;
    for (int i = 0; i < 2; i++) {
        double begin;
        uint64_t looks;

        fault_signs(keys[i]);
        fault_signs(keys[i]); /* makes the copy */
        fault_reset();
        begin = lab_seconds();
        for (int k = 0; k < 200; k++)
            fault_signs(keys[i]);
        looks = i == 0 ? 0 : (uint64_t)(lab_seconds() - begin) + 1;
        assert_int_equal(fault_calls(SHIM_C_SignInit), 200);
        assert_int_equal(fault_calls(SHIM_C_Sign), 200);
        assert_true(fault_calls(SHIM_C_GetAttributeValue) <= looks);
        assert_true(fault_all_calls() <= 400 + looks);
    }
    /* A copy is looked after: after a second the original is, once. */
    fault_sleep(1050);
    fault_reset();
    fault_signs(keys[1]);
    fault_signs(keys[1]);
    assert_int_equal(fault_calls(SHIM_C_GetAttributeValue), 1);
    assert_int_equal(fault_all_calls(), 5);
    for (int i = 0; i < 2; i++) {
        p11_key_free(keys[i]);
        p11_ctx_free(ctxs[i]);
    }
}

/* Session objects and token objects, as a session of the test's sees them. */
static CK_ULONG objects_in_token(void)
{
    CK_FUNCTION_LIST *f = remote_cryptoki();
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE handles[256];
    CK_ULONG count = 0;

    assert_int_equal(
        f->C_OpenSession(lab_slot(LAB_TOKEN), CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    assert_int_equal(f->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    assert_int_equal(f->C_FindObjects(session, handles, 256, &count), CKR_OK);
    assert_int_equal(f->C_FindObjectsFinal(session), CKR_OK);
    assert_int_equal(f->C_CloseSession(session), CKR_OK);
    return count;
}

static void three_for_a_derivation(p11_ctx *ctx, const char *label, bool looks_allowed)
{
    p11_key *key = lab_key(ctx, label, P11_CURVE_P256, P11_USAGE_DERIVE);
    CK_ULONG before;
    uint64_t looks;
    double begin;

    derives(key);
    derives(key); /* makes the copy */
    before = objects_in_token();
    fault_reset();
    begin = lab_seconds();
    for (int i = 0; i < 100; i++)
        derives(key);
    looks = looks_allowed ? (uint64_t)(lab_seconds() - begin) + 1 : 0;
    assert_int_equal(fault_calls(SHIM_C_DeriveKey), 100);
    assert_int_equal(fault_calls(SHIM_C_DestroyObject), 100);
    assert_true(fault_calls(SHIM_C_GetAttributeValue) >= 100);
    assert_true(fault_all_calls() <= 300 + looks);
    assert_int_equal(objects_in_token(), before);
    /* A secret that cannot be read is not left there either. */
    fault_fail(SHIM_C_GetAttributeValue, CKR_DEVICE_MEMORY, 1);
    {
        uint8_t secret[32];
        size_t size = sizeof secret;
        size_t point_size;

        assert_int_equal(p11_key_derive(key, p11_key_point(key, &point_size), 65, secret, &size),
                         P11_E_TOKEN);
        lab_last_error();
    }
    assert_int_equal(objects_in_token(), before);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void test_three_for_a_derivation(void **state)
{
    (void)state;
    three_for_a_derivation(fault_ctx(not_copied), "derive-plain", false);
    three_for_a_derivation(fault_ctx(copied), "derive-copied", true);
}

static void test_eight_for_an_open(void **state)
{
    static const char *const uris[] = {"pkcs11:token=lab;object=opened",
                                       "pkcs11:token=lab;object=opened;type=private"};
    p11_ctx *ctx = fault_ctx(not_copied);
    p11_key *key = lab_key(ctx, "opened", P11_CURVE_P256, P11_USAGE_SIGN);

    (void)state;
    fault_signs(key);
    p11_key_free(key);
    for (int i = 0; i < 2; i++) {
        key = NULL;
        fault_reset();
        assert_int_equal(p11_key_open_uri(ctx, uris[i], NULL, NULL, &key), P11_OK);
        if (fault_all_calls() > 8)
            fail_msg("%llu calls", (unsigned long long)fault_all_calls());
        fault_reset();
        fault_signs(key); /* with the handle that was found: no search */
        assert_int_equal(fault_all_calls(), 2);
        p11_key_free(key);
    }
    p11_ctx_free(ctx);
}

static bool holds(const char *text, const uint8_t *octets, size_t size)
{
    char hex[200];

    for (size_t i = 0; i < size; i++)
        snprintf(hex + 2 * i, 3, "%02x", octets[i]);
    return strcasestr(text, hex) != NULL || memmem(text, strlen(text), octets, size) != NULL;
}

static void test_trace(void **state)
{
    static const uint8_t digest[32] = "a digest of thirty-two octets..";
    p11_ctx *ctxs[2] = {fault_ctx(NULL), fault_ctx(traced)};

    (void)state;
    for (int i = 0; i < 2; i++) {
        p11_objects *objects = NULL;
        uint8_t signature[64];
        size_t size = sizeof signature;
        p11_key *key = NULL;
        const char *text;

        fault_capture();
        /* The second token is not logged in to yet. */
        assert_int_equal(p11_find(ctxs[i], i == 0 ? "pkcs11:token=first" : "pkcs11:token=second",
                                  P11_PRIVATE, NULL, NULL, &objects),
                         P11_OK);
        p11_objects_free(objects);
        assert_int_equal(
            p11_key_open_uri(ctxs[i], "pkcs11:token=lab;object=opened", NULL, NULL, &key), P11_OK);
        assert_int_equal(p11_key_sign(key, digest, sizeof digest, signature, &size), P11_OK);
        fault_release();
        text = fault_captured();
        if (i == 0) {
            assert_string_equal(text, ""); /* off by default */
        } else {
            assert_non_null(strstr(text, "C_Login CKR_OK "));
            assert_non_null(strstr(text, "C_SignInit CKR_OK "));
            assert_non_null(strstr(text, "C_Sign CKR_OK "));
            assert_non_null(strstr(text, " us\n"));
            assert_null(strstr(text, LAB_PIN));
            assert_false(holds(text, (const uint8_t *)LAB_PIN, strlen(LAB_PIN)));
            for (size_t at = 0; at + 8 <= 32; at++)
                assert_false(holds(text, digest + at, 8));
            for (size_t at = 0; at + 8 <= size; at++)
                assert_false(holds(text, signature + at, 8));
        }
        p11_key_free(key);
        p11_ctx_free(ctxs[i]);
    }
}

int main(void)
{
    static const char *const tokens[] = {"first", "second", NULL};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_for_a_signature),
        cmocka_unit_test(test_three_for_a_derivation),
        cmocka_unit_test(test_eight_for_an_open),
        cmocka_unit_test(test_trace),
    };
    int failed;

    fault_open(tokens);
    failed = cmocka_run_group_tests_name("fault calls", tests, NULL, NULL);
    lab_close();
    return failed;
}
