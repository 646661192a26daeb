/*
 * What befalls a running program: sessions closed, logged out, the module finalised, the token's
 * keys deleted and replaced by somebody else, a HSM that is away for a while.
 */
#include "tests/pkcs11/lab.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static void quick(struct p11_config *config)
{
    config->deadline_ms = 1500;
}

static void no_copy(struct p11_config *config)
{
    config->deadline_ms = 1500;
    config->key_copy = P11_NO;
}

static void test_sessions_closed(void **state)
{
    p11_ctx *ctx = lab_ctx(quick);
    p11_key *key = lab_key(ctx, "sessions", P11_CURVE_P256, P11_USAGE_SIGN | P11_USAGE_DERIVE);
    uint8_t secret[32];
    size_t size = sizeof(secret);
    size_t point_size;

    (void)state;
    for (int i = 0; i < 3; i++) {
        lab_signs(key);
        assert_int_equal(lab_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN)), CKR_OK);
        lab_count_reset();
        lab_signs(key);
        assert_int_equal(lab_count[LAB_LOGIN], 1);
        assert_int_equal(lab_count[LAB_FINALIZE], 0);
        lab_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN));
        assert_int_equal(p11_key_derive(key, p11_key_point(key, &point_size), 65, secret, &size),
                         P11_OK);
    }
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void test_logged_out(void **state)
{
    p11_ctx *ctxs[2] = {lab_ctx(quick), lab_ctx(no_copy)};

    (void)state;
    for (int i = 0; i < 2; i++) {
        p11_key *key = lab_key(ctxs[i], i == 0 ? "out-0" : "out-1", P11_CURVE_P256, P11_USAGE_SIGN);
        CK_SESSION_HANDLE session;

        lab_signs(key);
        session = lab_session();
        assert_int_equal(lab_cryptoki()->C_Logout(session), CKR_OK);
        lab_signs(key);
        lab_cryptoki()->C_CloseSession(session);
        p11_key_free(key);
        p11_ctx_free(ctxs[i]);
    }
}

static void test_finalised(void **state)
{
    p11_ctx *ctx = lab_ctx(quick);
    p11_key *key = lab_key(ctx, "finalised", P11_CURVE_P256, P11_USAGE_SIGN);
    p11_objects *objects = NULL;

    (void)state;
    lab_signs(key);
    assert_int_equal(lab_cryptoki()->C_Finalize(NULL), CKR_OK);
    lab_signs(key);
    assert_int_equal(lab_cryptoki()->C_Finalize(NULL), CKR_OK);
    assert_int_equal(
        p11_find(ctx, "pkcs11:token=lab;object=finalised", P11_ANY, NULL, NULL, &objects), P11_OK);
    assert_int_equal(p11_objects_count(objects), 2);
    p11_objects_free(objects);
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* Each answer that is worth a second try gets one, and only one. */
static void test_answers(void **state)
{
    static const CK_RV again[] = {CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED,
                                  CKR_OBJECT_HANDLE_INVALID,  CKR_KEY_HANDLE_INVALID,
                                  CKR_USER_NOT_LOGGED_IN,     CKR_DEVICE_ERROR,
                                  CKR_DEVICE_REMOVED,         CKR_TOKEN_NOT_PRESENT,
                                  CKR_SLOT_ID_INVALID,        CKR_CRYPTOKI_NOT_INITIALIZED};
    static const CK_RV not_again[] = {
        CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_OPERATION_ACTIVE, CKR_PIN_INCORRECT,
        CKR_PIN_LOCKED,    CKR_HOST_MEMORY,     CKR_MECHANISM_INVALID};
    p11_ctx *ctx = lab_ctx(no_copy);
    p11_key *key = lab_key(ctx, "answers", P11_CURVE_P256, P11_USAGE_SIGN);

    (void)state;
    lab_signs(key);
    for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
        lab_fail_next(i % 2 == 0 ? LAB_SIGN : LAB_SIGN_INIT, again[i], 1);
        lab_signs(key);
        lab_fail_next(LAB_SIGN, again[i], 2);
        lab_count_reset();
        assert_int_not_equal(lab_sign(key), P11_OK);
        assert_int_not_equal(lab_last_error(), P11_OK);
        assert_non_null(strstr(lab_error, "C_Sign: CKR_"));
        assert_non_null(strstr(lab_error, "object=answers"));
        assert_int_equal(lab_count[LAB_SIGN], 2);
        lab_signs(key);
    }
    for (size_t i = 0; i < sizeof(not_again) / sizeof(not_again[0]); i++) {
        lab_fail_next(LAB_SIGN, not_again[i], 1);
        lab_count_reset();
        assert_int_not_equal(lab_sign(key), P11_OK);
        lab_last_error();
        assert_int_equal(lab_count[LAB_SIGN], 1);
        assert_int_equal(lab_count[LAB_LOGIN], 0);
        /* The session is not handed to the next one. */
        lab_count_reset();
        lab_signs(key);
        assert_int_equal(lab_count[LAB_OPEN_SESSION], 1);
    }
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* Away for half a second: one slow signature. Away for longer than the deadline: an error. */
static void test_away_for_a_while(void **state)
{
    p11_ctx *ctx = lab_ctx(no_copy);
    p11_key *key = lab_key(ctx, "away", P11_CURVE_P256, P11_USAGE_SIGN);

    (void)state;
    lab_signs(key);
    lab_fail_next(LAB_SIGN, CKR_DEVICE_REMOVED, 1);
    lab_fail_next(LAB_OPEN_SESSION, CKR_DEVICE_REMOVED, 6);
    lab_count_reset();
    lab_signs(key);
    assert_true(lab_count[LAB_FINALIZE] >= 2);
    lab_fail_next(LAB_SIGN, CKR_DEVICE_REMOVED, 1);
    lab_fail_next(LAB_OPEN_SESSION, CKR_DEVICE_REMOVED, 100000);
    assert_int_equal(lab_sign(key), P11_E_DEADLINE);
    assert_int_equal(lab_last_error(), P11_E_DEADLINE);
    assert_non_null(strstr(lab_error, "CKR_DEVICE_REMOVED"));
    lab_fail_next(LAB_OPEN_SESSION, CKR_OK, 0);
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* The library's look at the original is a second old at most. */
static enum p11_status until_it_stops(p11_key *key)
{
    struct timespec start, now;
    enum p11_status status;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        status = lab_sign(key);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (status == P11_OK && now.tv_sec - start.tv_sec < 5);
    if (status == P11_OK)
        fail_msg("the key still signs after five seconds");
    assert_true((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
                1500);
    assert_int_equal(lab_last_error(), status);
    return status;
}

/* Another process deletes the key, as an administrator would. */
static void delete_elsewhere(const char *label)
{
    static const char *const types[] = {"privkey", "pubkey"};

    for (int i = 0; i < 2; i++) {
        const char *const argv[] = {
            "pkcs11-tool", "--module", LAB_MODULE,        "--token-label", LAB_TOKEN, "--login",
            "--pin",       LAB_PIN,    "--delete-object", "--type",        types[i],  "--label",
            label,         NULL};

        assert_int_equal(lab_run(argv), 0);
    }
}

static void test_deleted(void **state)
{
    p11_ctx *ctxs[2] = {lab_ctx(quick), lab_ctx(no_copy)};

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *label = i == 0 ? "deleted-0" : "deleted-1";
        p11_key *key = lab_key(ctxs[i], label, P11_CURVE_P256, P11_USAGE_SIGN);
        p11_key *other =
            lab_key(ctxs[i], i == 0 ? "kept-0" : "kept-1", P11_CURVE_P256, P11_USAGE_SIGN);

        lab_signs(key);
        lab_signs(other);
        delete_elsewhere(label);
        assert_int_equal(until_it_stops(key), P11_E_NO_OBJECT);
        assert_non_null(strstr(lab_error, label));
        assert_int_equal(lab_sign(key), P11_E_NO_OBJECT);
        lab_last_error();
        /* A key that is gone costs the others nothing: no login, no new module. */
        lab_count_reset();
        assert_int_equal(lab_sign(key), P11_E_NO_OBJECT);
        lab_last_error();
        lab_signs(other);
        assert_int_equal(lab_count[LAB_LOGIN], 0);
        assert_int_equal(lab_count[LAB_FINALIZE], 0);
        p11_key_free(key);
        p11_key_free(other);
        p11_ctx_free(ctxs[i]);
    }
}

static void test_deleted_by_ourselves(void **state)
{
    p11_ctx *ctx = lab_ctx(quick);
    p11_key *key = lab_key(ctx, "ours", P11_CURVE_P256, P11_USAGE_SIGN);
    size_t deleted = 0;

    (void)state;
    lab_signs(key);
    assert_int_equal(p11_delete(ctx, "pkcs11:token=lab;object=ours", NULL, NULL, &deleted), P11_OK);
    assert_int_equal(deleted, 2);
    assert_int_equal(until_it_stops(key), P11_E_NO_OBJECT);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void test_replaced(void **state)
{
    p11_ctx *ctx = lab_ctx(quick);
    struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN};
    struct lab_software_key software;
    p11_key *key = NULL;
    p11_key *replacement = NULL;
    size_t deleted = 0;

    (void)state;
    assert_int_equal(
        p11_key_generate(ctx, "pkcs11:token=lab;object=name;id=%21", &how, NULL, NULL, &key),
        P11_OK);
    lab_signs(key);
    assert_int_equal(p11_delete(ctx, "pkcs11:token=lab;object=name", NULL, NULL, &deleted), P11_OK);
    assert_int_equal(p11_key_generate(ctx, "pkcs11:token=lab;object=name;id=%21", &how, NULL, NULL,
                                      &replacement),
                     P11_OK);
    assert_int_equal(until_it_stops(key), P11_E_KEY_CHANGED);
    assert_int_equal(lab_sign(key), P11_E_KEY_CHANGED);
    lab_last_error();
    lab_signs(replacement);
    p11_key_free(key);
    p11_key_free(replacement);
    /* The same key put back under its name is the key. */
    lab_software(P11_CURVE_P256, &software);
    assert_int_equal(lab_import(&software, "back", "back", true, false, false), CKR_OK);
    assert_int_equal(lab_import_public(&software, "back", "back", false, false), CKR_OK);
    assert_int_equal(p11_key_open_uri(ctx, "pkcs11:token=lab;object=back", NULL, NULL, &key),
                     P11_OK);
    lab_signs(key);
    assert_int_equal(p11_delete(ctx, "pkcs11:token=lab;object=back", NULL, NULL, &deleted), P11_OK);
    assert_int_equal(until_it_stops(key), P11_E_NO_OBJECT);
    assert_int_equal(lab_import(&software, "back", "back", true, false, false), CKR_OK);
    assert_int_equal(lab_import_public(&software, "back", "back", false, false), CKR_OK);
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

#define SIGNERS 8

static atomic_bool stop;
static atomic_uint failed, done[SIGNERS];
static p11_key *load_key;

static void *keep_signing(void *arg)
{
    atomic_uint *counter = arg;

    while (!atomic_load(&stop)) {
        if (lab_sign(load_key) == P11_OK) {
            atomic_fetch_add(counter, 1);
        } else {
            atomic_fetch_add(&failed, 1);
            ERR_print_errors_fp(stderr);
        }
        ERR_clear_error();
    }
    return NULL;
}

/* Every thread has finished what it was at: so that no operation is hit twice, for one retry. */
static void wait_for_all(void)
{
    const struct timespec pause = {0, 1000000};

    for (int i = 0; i < SIGNERS; i++) {
        unsigned target = atomic_load(&done[i]) + 2;

        while (atomic_load(&done[i]) < target && atomic_load(&failed) == 0)
            nanosleep(&pause, NULL);
    }
}

/* Sessions that fail, and a HSM that is away for a moment, under eight threads that sign. */
static void test_under_load(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    p11_key *key = lab_key(ctx, "load", P11_CURVE_P256, P11_USAGE_SIGN);
    pthread_t threads[SIGNERS];
    const struct timespec pause = {0, 1000000};

    (void)state;
    load_key = key;
    lab_signs(key);
    lab_count_reset();
    for (int i = 0; i < SIGNERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_signing, &done[i]), 0);
    for (int i = 0; i < 20; i++) {
        unsigned before = lab_count[LAB_FINALIZE];

        switch (i % 3) {
        case 0:
            lab_fail_next(LAB_SIGN, CKR_SESSION_HANDLE_INVALID, 1);
            break;
        case 1:
            lab_fail_next(LAB_SIGN, CKR_DEVICE_ERROR, 1);
            break;
        default:
            /* No new sessions either, until the module is started anew. */
            lab_fail_next(LAB_OPEN_SESSION, CKR_DEVICE_REMOVED, 1000000);
            lab_fail_next(LAB_SIGN, CKR_DEVICE_REMOVED, 1);
            while (lab_count[LAB_FINALIZE] == before)
                nanosleep(&pause, NULL);
            lab_fail_next(LAB_OPEN_SESSION, CKR_OK, 0);
        }
        wait_for_all();
    }
    atomic_store(&stop, true);
    for (int i = 0; i < SIGNERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(lab_count[LAB_FINALIZE] > 0);
    assert_int_equal(failed, 0);
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* The PIN is changed while the program runs: one try with the old one, then none. */
static void test_pin_changed(void **state)
{
    p11_ctx *ctx = lab_ctx(quick);
    p11_key *key = lab_key(ctx, "pin", P11_CURVE_P256, P11_USAGE_SIGN);
    CK_SESSION_HANDLE session = lab_session();
    p11_objects *objects = NULL;

    (void)state;
    lab_signs(key);
    assert_int_equal(
        lab_cryptoki()->C_SetPIN(session, (CK_BYTE *)LAB_PIN, 6, (CK_BYTE *)"654321", 6), CKR_OK);
    lab_signs(key);
    lab_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN));
    lab_count_reset();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lab_sign(key), P11_E_PIN);
        assert_int_equal(lab_last_error(), P11_E_PIN);
        assert_null(strstr(lab_error, LAB_PIN));
        assert_int_equal(lab_count[LAB_LOGIN], 1);
    }
    assert_int_equal(p11_find(ctx, "pkcs11:token=lab", P11_PRIVATE, NULL, NULL, &objects),
                     P11_E_PIN);
    assert_int_equal(lab_count[LAB_LOGIN], 1);
    assert_int_equal(lab_sign(key), P11_E_PIN);
    assert_int_equal(lab_count[LAB_LOGIN], 1);
    lab_last_error();
    lab_file("pin", "654321\n", 0600);
    assert_int_equal(p11_find(ctx, "pkcs11:token=lab", P11_PRIVATE, NULL, NULL, &objects), P11_OK);
    p11_objects_free(objects);
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_closed),
        cmocka_unit_test(test_logged_out),
        cmocka_unit_test(test_finalised),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_away_for_a_while),
        cmocka_unit_test(test_deleted),
        cmocka_unit_test(test_deleted_by_ourselves),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_under_load),
        cmocka_unit_test(test_pin_changed),
    };
    int result;

    lab_open();
    lab_count_calls();
    result = cmocka_run_group_tests_name("p11 recovery", tests, NULL, NULL);
    lab_close();
    return result;
}
