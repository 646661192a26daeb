/*
 * Tokens with few sessions, or one; sessions that others have; none left open.
 */
#include "tests/pkcs11/fault.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 8

static void sixteen(struct p11_config *config)
{
    config->max_sessions = 16;
}

static void three(struct p11_config *config)
{
    config->max_sessions = 3;
    config->deadline_ms = 700;
}

static void impatient(struct p11_config *config)
{
    config->deadline_ms = 700;
}

static atomic_uint failures;

static void *sign_some(void *arg)
{
    for (int i = 0; i < 30; i++)
        if (lab_sign(arg) != P11_OK && atomic_fetch_add(&failures, 1) == 0)
            ERR_print_errors_fp(stderr);
    ERR_clear_error();
    return NULL;
}

static void all_sign(p11_key *key)
{
    pthread_t threads[THREADS];

    atomic_store(&failures, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_some, key), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&failures), 0);
}

/* The token has fewer sessions than configured: those who find none wait. */
static void test_fewer_than_configured(void **state)
{
    p11_ctx *ctx = fault_ctx(sixteen);
    p11_key *key = lab_key(ctx, "fewer", P11_CURVE_P256, P11_USAGE_SIGN);

    (void)state;
    assert_int_equal(remote_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN)), CKR_OK);
    for (int limit = 4; limit >= 2; limit--) {
        atomic_store(&fault_state->limit, limit);
        fault_signs(key);
        fault_reset();
        all_sign(key);
        assert_true(atomic_load(&fault_state->sessions_max) <= limit);
        assert_int_equal(remote_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN)), CKR_OK);
    }
    atomic_store(&fault_state->limit, 0);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* Operations that fail close their session; the pool stays within its bound, and comes back. */
static void test_none_leaked(void **state)
{
    p11_ctx *ctx = fault_ctx(three);
    p11_key *key = lab_key(ctx, "leak", P11_CURVE_P256, P11_USAGE_SIGN);
    int64_t before;

    (void)state;
    assert_int_equal(remote_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN)), CKR_OK);
    fault_signs(key);
    fault_reset();
    all_sign(key);
    before = atomic_load(&fault_state->sessions);
    assert_true(before <= 3 + 1); /* one holds the login */
    fault_fail(SHIM_C_Sign, CKR_DEVICE_MEMORY, 150);
    for (int i = 0; i < 150; i++)
        fault_refused(key);
    fault_fail(SHIM_C_SignInit, CKR_SESSION_HANDLE_INVALID, 20);
    for (int i = 0; i < 10; i++)
        fault_refused(key);
    for (int i = 0; i < 20; i++) {
        p11_key *made = NULL;
        struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN};

        assert_int_equal(
            p11_key_generate(ctx, "pkcs11:token=lab;object=leak", &how, NULL, NULL, &made),
            P11_E_EXISTS);
        lab_last_error();
    }
    fault_signs(key);
    all_sign(key);
    assert_true(atomic_load(&fault_state->sessions) <= 3 + 1);
    assert_true(atomic_load(&fault_state->sessions_max) <= 3 + 1);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* ---- one session in all */

static CK_SESSION_HANDLE others;

static void *close_later(void *arg)
{
    (void)arg;
    fault_sleep(300);
    (void)remote_cryptoki()->C_CloseSession(others);
    return NULL;
}

static void test_one_session(void **state)
{
    struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN | P11_USAGE_DERIVE};
    p11_ctx *ctx = fault_ctx(impatient);
    p11_objects *objects = NULL;
    p11_key *key = NULL;
    uint8_t secret[32], octets[16];
    size_t size, point_size, deleted = 0;
    pthread_t thread;

    (void)state;
    atomic_store(&fault_state->limit, 1);
    /* Without a login first, which then wants the session that found the public objects. */
    assert_int_equal(p11_find(ctx, "pkcs11:token=lab", P11_PUBLIC, NULL, NULL, &objects), P11_OK);
    p11_objects_free(objects);
    for (int i = 0; i < 3; i++) {
        char uri[80];

        snprintf(uri, sizeof uri, "pkcs11:token=lab;object=one-%d", i);
        assert_int_equal(p11_key_generate(ctx, uri, &how, NULL, NULL, &key), P11_OK);
        fault_signs(key);
        size = sizeof secret;
        assert_int_equal(p11_key_derive(key, p11_key_point(key, &point_size), 65, secret, &size),
                         P11_OK);
        p11_key_free(key);
        assert_int_equal(p11_key_open_uri(ctx, uri, NULL, NULL, &key), P11_OK);
        all_sign(key);
        assert_int_equal(remote_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN)), CKR_OK);
        fault_signs(key);
        /* A failure closes the session, and the login goes with it. */
        fault_fail(SHIM_C_Sign, CKR_DEVICE_MEMORY, 1);
        assert_int_equal(fault_refused(key), P11_E_TOKEN);
        fault_signs(key);
        p11_key_free(key);
    }
    assert_int_equal(p11_delete(ctx, "pkcs11:token=lab;object=one-0", NULL, NULL, &deleted),
                     P11_OK);
    assert_int_equal(deleted, 2);
    assert_int_equal(p11_key_open_uri(ctx, "pkcs11:token=lab;object=one-1", NULL, NULL, &key),
                     P11_OK);
    /* Warm: two calls, as ever. */
    fault_signs(key);
    fault_signs(key);
    fault_reset();
    for (int i = 0; i < 20; i++)
        fault_signs(key);
    assert_int_equal(fault_all_calls(), 40);
    assert_int_equal(atomic_load(&fault_state->sessions_max), 1);
    /* Somebody else has the session: until it is free, or until the deadline. */
    assert_int_equal(remote_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN)), CKR_OK);
    assert_int_equal(remote_cryptoki()->C_OpenSession(lab_slot(LAB_TOKEN), CKF_SERIAL_SESSION, NULL,
                                                      NULL, &others),
                     CKR_OK);
    fault_reset();
    assert_int_equal(fault_refused(key), P11_E_DEADLINE);
    assert_non_null(strstr(lab_error, "CKR_SESSION_COUNT"));
    assert_true(fault_calls(SHIM_C_OpenSession) < 40); /* no endless retry */
    assert_int_equal(pthread_create(&thread, NULL, close_later, NULL), 0);
    fault_signs(key);
    assert_int_equal(pthread_join(thread, NULL), 0);
    p11_key_free(key);
    assert_int_equal(p11_random(ctx, octets, sizeof octets), P11_OK);
    p11_ctx_free(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fewer_than_configured),
        cmocka_unit_test(test_none_leaked),
    };
    const struct CMUnitTest one[] = {cmocka_unit_test(test_one_session)};

    fault_open(NULL);
    if (argc == 2 && strcmp(argv[1], "one") == 0)
        return cmocka_run_group_tests_name("fault one session", one, NULL, lab_teardown);
    return cmocka_run_group_tests_name("fault sessions", tests, NULL, lab_teardown);
}
