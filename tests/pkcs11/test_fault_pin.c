/*
 * PINs that are wrong, locked or not set; a device where the PIN is typed in; keys that want a
 * login for each signature. Each test has a token of its own.
 */
#include <pthread.h>

#include "tests/pkcs11/fault.h"

static atomic_int wrong_logins, refusals;

static void no_source(struct p11_config *config)
{
    config->pin_source = NULL;
}

static enum p11_status find(p11_ctx *ctx, const char *uri, p11_pin_fn *prompt, void *arg)
{
    p11_objects *objects = NULL;
    enum p11_status status = p11_find(ctx, uri, P11_PRIVATE, prompt, arg, &objects);

    p11_objects_free(objects);
    assert_int_equal(lab_last_error(), status);
    return status;
}

/* Nobody may be asked when the configuration names a source. */
static bool asked(void *arg, const char *label, char *pin, size_t capacity, size_t *size)
{
    (void)label;
    (void)pin;
    (void)capacity;
    (void)size;
    *(int *)arg += 1;
    return false;
}

static void test_named_as_such(void **state)
{
    static const struct {
        CK_RV rv;
        const char *token, *name, *words;
    } cases[] = {
        {CKR_PIN_LOCKED, "locked", "CKR_PIN_LOCKED", "the PIN is locked"},
        {CKR_USER_PIN_NOT_INITIALIZED, "unset", "CKR_USER_PIN_NOT_INITIALIZED", "no user PIN yet"},
        {CKR_PIN_EXPIRED, "expired", "CKR_PIN_EXPIRED", "has expired"},
        {CKR_PIN_INCORRECT, "wrong", "CKR_PIN_INCORRECT", "the PIN is wrong"},
    };
    p11_ctx *ctx = fault_ctx(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool again = cases[i].rv == CKR_USER_PIN_NOT_INITIALIZED; /* no PIN was refused */
        char uri[64];

        snprintf(uri, sizeof uri, "pkcs11:token=%s", cases[i].token);
        fault_reset();
        for (int k = 0; k < 3; k++) {
            fault_fail(SHIM_C_Login, cases[i].rv, 1);
            assert_int_equal(find(ctx, uri, NULL, NULL), P11_E_PIN);
            if (k == 0)
                assert_non_null(strstr(lab_error, "C_Login: "));
            else if (!again)
                assert_non_null(strstr(lab_error, "not tried again"));
            assert_non_null(strstr(lab_error, cases[i].name));
            assert_non_null(strstr(lab_error, cases[i].words));
            assert_null(strstr(lab_error, LAB_PIN));
            assert_int_equal(fault_calls(SHIM_C_Login), again ? k + 1 : 1);
        }
        fault_fail(SHIM_C_Login, CKR_OK, 0);
        if (again)
            assert_int_equal(find(ctx, uri, NULL, NULL), P11_OK);
    }
    p11_ctx_free(ctx);
}

/* Two programs' worth of configuration, each with a wrong PIN: each is tried once. */
static void test_each_wrong_pin_once(void **state)
{
    p11_ctx *ctx = fault_ctx(no_source);
    char uri[2][400];

    (void)state;
    lab_file("wrong-a", "111111\n", 0600);
    lab_file("wrong-b", "222222\n", 0600);
    fault_reset();
    for (int i = 0; i < 6; i++) {
        snprintf(uri[0], sizeof uri[0], "pkcs11:token=twice?pin-source=file:%s/wrong-%c", lab_dir,
                 i % 2 == 0 ? 'a' : 'b');
        assert_int_equal(find(ctx, uri[0], NULL, NULL), P11_E_PIN);
        assert_int_equal(fault_calls(SHIM_C_Login), i == 0 ? 1 : 2);
    }
    /* The source changes: one more try, which is right. */
    lab_file("wrong-a", LAB_PIN "\n", 0600);
    snprintf(uri[1], sizeof uri[1], "pkcs11:token=twice?pin-source=file:%s/wrong-a", lab_dir);
    assert_int_equal(find(ctx, uri[1], NULL, NULL), P11_OK);
    assert_int_equal(fault_calls(SHIM_C_Login), 3);
    p11_ctx_free(ctx);
}

static void test_no_prompt_beside_a_source(void **state)
{
    p11_ctx *ctx = fault_ctx(no_source);
    int count = 0;
    char uri[400];

    (void)state;
    assert_int_equal(
        find(ctx, "pkcs11:token=asked?pin-source=file:/nonexistent/pin", asked, &count),
        P11_E_PIN_SOURCE);
    assert_int_equal(find(ctx, "pkcs11:token=asked?pin-source=env:NOT_SET", asked, &count),
                     P11_E_PIN_SOURCE);
    lab_file("wrong", "333333\n", 0600);
    snprintf(uri, sizeof uri, "pkcs11:token=asked?pin-source=file:%s/wrong", lab_dir);
    assert_int_equal(find(ctx, uri, asked, &count), P11_E_PIN);
    assert_int_equal(count, 0);
    assert_int_equal(find(ctx, "pkcs11:token=asked", asked, &count), P11_E_PIN_SOURCE);
    assert_int_equal(count, 1);
    p11_ctx_free(ctx);
}

static void test_not_initialised(void **state)
{
    CK_SLOT_ID slots[32];
    CK_ULONG count = 32;
    p11_ctx *ctx = fault_ctx(NULL);
    bool seen = false;

    (void)state;
    assert_int_equal(find(ctx, "pkcs11:token=asked?pin-source=env:NOT_SET", NULL, NULL),
                     P11_E_PIN_SOURCE);
    assert_int_equal(remote_cryptoki()->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        char uri[64];

        assert_int_equal(remote_cryptoki()->C_GetTokenInfo(slots[i], &info), CKR_OK);
        if ((info.flags & CKF_TOKEN_INITIALIZED) != 0)
            continue;
        seen = true;
        snprintf(uri, sizeof uri, "pkcs11:slot-id=%lu", slots[i]);
        assert_int_equal(find(ctx, uri, NULL, NULL), P11_E_NO_TOKEN);
        assert_non_null(strstr(lab_error, "not initialised"));
    }
    assert_true(seen);
    p11_ctx_free(ctx);
}

/* Public objects and random octets need no login, and get none. */
static void test_login_when_needed(void **state)
{
    p11_ctx *ctx = fault_ctx(NULL);
    p11_objects *objects = NULL;

    (void)state;
    fault_reset();
    assert_int_equal(
        p11_find(ctx, "pkcs11:token=needed", P11_PUBLIC | P11_CERTIFICATE, NULL, NULL, &objects),
        P11_OK);
    p11_objects_free(objects);
    assert_int_equal(fault_calls(SHIM_C_Login), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(find(ctx, "pkcs11:token=needed", NULL, NULL), P11_OK);
    assert_int_equal(fault_calls(SHIM_C_Login), 1);
    p11_ctx_free(ctx);
}

/* A PIN for each signature, given between C_SignInit and C_Sign. */
static void test_always_authenticate(void **state)
{
    p11_ctx *ctx = fault_ctx(NULL);
    p11_key *key = NULL;

    (void)state;
    p11_key_free(lab_key(ctx, "always", P11_CURVE_P256, P11_USAGE_SIGN));
    atomic_store(&fault_state->always, 1);
    assert_int_equal(p11_key_open_uri(ctx, "pkcs11:token=lab;object=always", NULL, NULL, &key),
                     P11_OK);
    for (int i = 1; i <= 5; i++) {
        fault_signs(key);
        assert_int_equal(atomic_load(&fault_state->context_logins), i);
    }
    /* The PIN was changed meanwhile: one try. */
    setenv("SHIM_PIN", "other", 1);
    fault_reset();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fault_refused(key), P11_E_PIN);
        assert_non_null(strstr(lab_error, "C_Login: CKR_PIN_INCORRECT"));
        assert_int_equal(fault_calls(SHIM_C_Login), 1);
    }
    setenv("SHIM_PIN", LAB_PIN, 1);
    p11_key_free(key);
    atomic_store(&fault_state->always, 0);
    p11_ctx_free(ctx);
}

static CK_RV slow_wrong_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin,
                                unsigned long n)
{
    (void)session;
    (void)user;
    (void)pin;
    (void)n;
    atomic_fetch_add(&wrong_logins, 1);
    fault_sleep(50);
    return CKR_PIN_INCORRECT;
}

static void *refused_at_once(void *key)
{
    atomic_fetch_add(&refusals, lab_sign(key) == P11_E_PIN);
    return NULL;
}

/* The same for a server of many threads: the first of three tries must not be the last as well. */
static void test_always_authenticate_at_once(void **state)
{
    p11_ctx *ctx = fault_ctx(NULL);
    CK_C_Login login = remote_cryptoki()->C_Login;
    pthread_t threads[8];
    p11_key *key = NULL;

    (void)state;
    p11_key_free(lab_key(ctx, "at-once", P11_CURVE_P256, P11_USAGE_SIGN));
    atomic_store(&fault_state->always, 1);
    assert_int_equal(p11_key_open_uri(ctx, "pkcs11:token=lab;object=at-once", NULL, NULL, &key),
                     P11_OK);
    remote_cryptoki()->C_Login = slow_wrong_C_Login;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, refused_at_once, key), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    remote_cryptoki()->C_Login = login;
    assert_int_equal(atomic_load(&refusals), 8);
    assert_int_equal(atomic_load(&wrong_logins), 1);
    p11_key_free(key);
    atomic_store(&fault_state->always, 0);
    p11_ctx_free(ctx);
}

/* The PIN is typed in on the device: none is read, none is sent, nobody is asked. */
static void test_path(void **state)
{
    p11_ctx *ctx = fault_ctx(no_source);
    p11_key *key = NULL;
    int count = 0;

    (void)state;
    atomic_store(&fault_state->path, 1);
    setenv("SHIM_PIN", "mistyped", 1);
    fault_reset();
    assert_int_equal(find(ctx, "pkcs11:token=lab", asked, &count), P11_E_PIN);
    assert_int_equal(fault_calls(SHIM_C_Login), 1);
    setenv("SHIM_PIN", LAB_PIN, 1);
    assert_int_equal(find(ctx, "pkcs11:token=lab", asked, &count), P11_OK);
    assert_int_equal(fault_calls(SHIM_C_Login), 2);
    assert_int_equal(count, 0);
    key = lab_key(ctx, "path", P11_CURVE_P256, P11_USAGE_SIGN);
    fault_signs(key);
    assert_int_equal(remote_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN)), CKR_OK);
    fault_signs(key);
    assert_int_equal(fault_calls(SHIM_C_Login), 3);
    /* And a key that wants it for each signature. */
    p11_key_free(key);
    atomic_store(&fault_state->always, 1);
    assert_int_equal(p11_key_open_uri(ctx, "pkcs11:token=lab;object=path", NULL, NULL, &key),
                     P11_OK);
    fault_signs(key);
    assert_int_equal(fault_calls(SHIM_C_Login), 4);
    assert_int_equal(atomic_load(&fault_state->context_logins), 1);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

int main(int argc, char **argv)
{
    static const char *const tokens[] = {"locked", "unset", "expired", "wrong",
                                         "twice",  "asked", "needed",  NULL};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_as_such),
        cmocka_unit_test(test_each_wrong_pin_once),
        cmocka_unit_test(test_no_prompt_beside_a_source),
        cmocka_unit_test(test_not_initialised),
        cmocka_unit_test(test_login_when_needed),
        cmocka_unit_test(test_always_authenticate),
    };
    const struct CMUnitTest path[] = {cmocka_unit_test(test_path)};
    const struct CMUnitTest at_once[] = {cmocka_unit_test(test_always_authenticate_at_once)};

    fault_open(tokens);
    if (argc == 2 && strcmp(argv[1], "path") == 0)
        return cmocka_run_group_tests_name("fault path", path, NULL, lab_teardown);
    if (argc == 2 && strcmp(argv[1], "at_once") == 0)
        return cmocka_run_group_tests_name("fault at once", at_once, NULL, lab_teardown);
    return cmocka_run_group_tests_name("fault pin", tests, NULL, lab_teardown);
}
