/*
 * A token that goes and comes back, in its slot or in another, a HSM that stays away, a module that
 * belongs to the application, forks in the middle of it.
 */
#include "tests/pkcs11/fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static void patient(struct p11_config *config)
{
    config->deadline_ms = 5000;
}

/* The slot of a token in the numbers that the shim gives at present. */
static CK_SLOT_ID slot_of(const char *label)
{
    return lab_slot(label) ^ (CK_SLOT_ID)atomic_load(&fault_state->renumber);
}

static void take_token_out(void)
{
    CK_SLOT_ID slot = slot_of(LAB_TOKEN);
    CK_TOKEN_INFO info;

    atomic_store(&fault_state->away, 1);
    /* Its sessions die with it, which the shim sees to at this call. */
    assert_int_equal(remote_cryptoki()->C_GetTokenInfo(slot, &info), CKR_TOKEN_NOT_PRESENT);
}

static void *put_back_later(void *arg)
{
    (void)arg;
    fault_sleep(300);
    atomic_store(&fault_state->away, 0);
    return NULL;
}

static void removed_and_put_back(void)
{
    p11_ctx *ctxs[2] = {fault_ctx(fault_quick), fault_ctx(patient)};
    p11_key *keys[2] = {NULL, NULL};
    p11_objects *objects = NULL;
    struct p11_stats before, after;
    pthread_t thread;
    double begin;

    for (int i = 0; i < 2; i++)
        assert_int_equal(
            p11_key_open_uri(ctxs[i], "pkcs11:token=lab;object=key", NULL, NULL, &keys[i]), P11_OK);
    fault_signs(keys[0]);
    p11_ctx_stats(ctxs[0], &before);
    take_token_out();
    begin = lab_seconds();
    assert_int_equal(fault_refused(keys[0]), P11_E_DEADLINE);
    assert_true(lab_seconds() - begin < 0.5 + FAULT_SLACK);
    assert_non_null(strstr(lab_error, "CKR_TOKEN_NOT_PRESENT"));
    p11_ctx_stats(ctxs[0], &after);
    assert_int_equal(after.failed_recoveries, before.failed_recoveries + 1);
    assert_int_equal(after.recoveries, before.recoveries);
    assert_true(after.work[P11_WORK_SIGN].errors + after.work[P11_WORK_OTHER].errors >
                before.work[P11_WORK_SIGN].errors + before.work[P11_WORK_OTHER].errors);
    assert_int_equal(p11_find(ctxs[0], "pkcs11:token=lab", P11_ANY, NULL, NULL, &objects),
                     P11_E_NO_TOKEN);
    lab_last_error();
    atomic_store(&fault_state->away, 0);
    fault_signs(keys[0]);
    p11_ctx_stats(ctxs[0], &after);
    assert_int_equal(after.recoveries, before.recoveries + 1);
    /* Back within the deadline: one slow signature. */
    take_token_out();
    assert_int_equal(pthread_create(&thread, NULL, put_back_later, NULL), 0);
    fault_signs(keys[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    take_token_out();
    atomic_store(&fault_state->away, 0);
    assert_int_equal(
        p11_find(ctxs[0], "pkcs11:token=lab;object=key", P11_ANY, NULL, NULL, &objects), P11_OK);
    assert_int_equal(p11_objects_count(objects), 2);
    p11_objects_free(objects);
    for (int i = 0; i < 2; i++) {
        p11_key_free(keys[i]);
        p11_ctx_free(ctxs[i]);
    }
}

static void test_removed(void **state)
{
    (void)state;
    removed_and_put_back();
}

/* What stands behind "object=key" in the slot of this number: whether the URI finds anything. */
static bool found_in_slot(p11_ctx *ctx, CK_SLOT_ID slot)
{
    p11_objects *objects = NULL;
    char uri[100];
    enum p11_status status;

    snprintf(uri, sizeof uri, "pkcs11:token=lab;object=key;slot-id=%lu", slot);
    status = p11_find(ctx, uri, P11_PRIVATE, NULL, NULL, &objects);
    ERR_clear_error();
    if (status == P11_OK)
        assert_int_equal(p11_objects_count(objects), 1);
    else
        assert_int_equal(status, P11_E_NO_TOKEN);
    p11_objects_free(objects);
    return status == P11_OK;
}

/*
 * The token comes back in a slot that was not there before, then in that of another token, which
 * has a key of the same name and is in ours: keys in use and keys opened anew are those of the
 * token, whose label, serial number, manufacturer and model tell it, never those of its slot.
 */
static void test_back_in_another_slot(void **state)
{
    const uint64_t ours = lab_slot(LAB_TOKEN), its = lab_slot("other");
    const uint64_t numbers[] = {0x40000000, ours ^ its, 0};
    p11_ctx *ctxs[2] = {fault_ctx(fault_quick),
                        fault_ctx(patient)}; /* the second with a session copy */
    struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN};
    p11_key *keys[2] = {NULL, NULL}, *other = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(
        p11_key_generate(ctxs[1], "pkcs11:token=other;object=key", &how, NULL, NULL, &other),
        P11_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            p11_key_open_uri(ctxs[i], "pkcs11:token=lab;object=key", NULL, NULL, &keys[i]), P11_OK);
        fault_signs(keys[i]);
    }
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        CK_SLOT_ID before = slot_of(LAB_TOKEN);
        uint64_t signatures = fault_calls(SHIM_C_Sign);
        p11_key *again = NULL;

        take_token_out();
        assert_int_equal(fault_refused(keys[0]), P11_E_DEADLINE);
        atomic_store(&fault_state->renumber, numbers[n]);
        atomic_store(&fault_state->away, 0);
        assert_int_not_equal(slot_of(LAB_TOKEN), before);
        for (int i = 0; i < 2; i++)
            fault_signs(keys[i]);
        assert_int_equal(fault_calls(SHIM_C_Sign), signatures + 2);
        assert_int_equal(
            p11_key_open_uri(ctxs[0], "pkcs11:token=lab;object=key", NULL, NULL, &again), P11_OK);
        assert_memory_equal(p11_key_point(again, &size), p11_key_point(keys[0], &size), 65);
        assert_memory_not_equal(p11_key_point(again, &size), p11_key_point(other, &size), 65);
        fault_signs(again);
        fault_signs(other);
        p11_key_free(again);
        assert_true(found_in_slot(ctxs[0], slot_of(LAB_TOKEN)));
        assert_false(found_in_slot(ctxs[0], before)); /* nobody, or the other token */
    }
    p11_key_free(other);
    for (int i = 0; i < 2; i++) {
        p11_key_free(keys[i]);
        p11_ctx_free(ctxs[i]);
    }
}

/* The points of "key" in two tokens, made by another process: this one has not met them. */
static void made_elsewhere(uint8_t points[2][65])
{
    static const char *const uris[] = {"pkcs11:token=other;object=key",
                                       "pkcs11:token=third;object=key"};
    int ends[2], status = 0;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        p11_ctx *ctx = fault_ctx(NULL);
        struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN};
        bool good = true;

        for (int i = 0; i < 2; i++) {
            p11_key *key = NULL;
            size_t size = 0;

            good = good && p11_key_generate(ctx, uris[i], &how, NULL, NULL, &key) == P11_OK &&
                   write(ends[1], p11_key_point(key, &size), 65) == 65;
            p11_key_free(key);
        }
        p11_ctx_free(ctx);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(read(ends[0], points[i], 65), 65);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* The tokens that the PIN went to, by the first letters of their labels. */
static char logins[16];
static CK_C_Login login_behind;

static CK_RV noted_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin,
                           unsigned long n)
{
    CK_SESSION_INFO info;
    CK_TOKEN_INFO token;

    assert_int_equal(lab_cryptoki()->C_GetSessionInfo(session, &info), CKR_OK);
    assert_int_equal(lab_cryptoki()->C_GetTokenInfo(info.slotID, &token), CKR_OK);
    if (strlen(logins) + 1 < sizeof(logins))
        logins[strlen(logins)] = (char)token.label[0];
    return login_behind(session, user, pin, n);
}

/*
 * Two tokens change their slots before they are met for the first time, but after the slots were
 * listed: what is opened is in the token that the URI names, and no PIN goes to the other one. Or
 * after they are met, if that was for public keys only: without a login.
 */
static void exchanged(bool met)
{
    static const char *const uris[] = {"pkcs11:token=other;object=key",
                                       "pkcs11:token=third;object=key"};
    uint8_t points[2][65];
    p11_ctx *ctx = NULL;
    uint64_t other;

    made_elsewhere(points);
    ctx = fault_ctx(patient);
    p11_key_free(lab_key(ctx, "key", P11_CURVE_P256, P11_USAGE_SIGN)); /* lists the slots */
    for (int i = 0; i < 2 && met; i++) {
        p11_objects *objects = NULL;

        assert_int_equal(p11_find(ctx, uris[i], P11_PUBLIC, NULL, NULL, &objects), P11_OK);
        assert_int_equal(p11_objects_count(objects), 1);
        p11_objects_free(objects);
    }
    other = lab_slot("other");
    atomic_store(&fault_state->exchanged_one, other);
    atomic_store(&fault_state->exchanged, other ^ lab_slot("third"));
    if (met) { /* pulled out, they have lost their sessions */
        remote_cryptoki()->C_CloseAllSessions(other);
        remote_cryptoki()->C_CloseAllSessions(lab_slot("third"));
    }
    login_behind = remote_cryptoki()->C_Login;
    remote_cryptoki()->C_Login = noted_C_Login;
    for (int i = 0; i < 2; i++) {
        p11_key *key = NULL;
        size_t size = 0;

        assert_int_equal(p11_key_open_uri(ctx, uris[i], NULL, NULL, &key), P11_OK);
        assert_memory_equal(p11_key_point(key, &size), points[i], 65);
        fault_signs(key);
        p11_key_free(key);
        assert_string_equal(logins, i == 0 ? "o" : "ot");
    }
    remote_cryptoki()->C_Login = login_behind;
    p11_ctx_free(ctx);
}

static void test_exchanged_before_met(void **state)
{
    (void)state;
    exchanged(false);
}

static void test_exchanged_after_met(void **state)
{
    (void)state;
    exchanged(true);
}

#define STORMERS 16

static p11_ctx *storm_ctx;
static atomic_bool over;
static atomic_uint succeeded;

static void *storm(void *arg)
{
    p11_key *key = arg;

    while (!atomic_load(&over)) {
        p11_key *opened = NULL;

        if (lab_sign(key) == P11_OK)
            atomic_fetch_add(&succeeded, 1);
        if (p11_key_open_uri(storm_ctx, "pkcs11:token=lab;object=key", NULL, NULL, &opened) ==
            P11_OK)
            atomic_fetch_add(&succeeded, 1);
        p11_key_free(opened);
        ERR_clear_error();
    }
    return NULL;
}

/* Away for two seconds under 16 threads that sign and open keys: few calls ask for it. */
static void test_no_storm(void **state)
{
    p11_ctx *ctx = fault_ctx(fault_quick);
    p11_key *key = NULL;
    pthread_t threads[STORMERS];
    unsigned before;

    (void)state;
    assert_int_equal(lab_open_key(ctx, "key", &key), P11_OK);
    storm_ctx = fault_ctx(NULL);
    atomic_store(&over, false);
    for (int i = 0; i < STORMERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, storm, key), 0);
    fault_sleep(100);
    fault_fail(SHIM_C_GetSlotList, CKR_DEVICE_REMOVED, INT32_MAX);
    fault_fail(SHIM_C_OpenSession, CKR_DEVICE_REMOVED, INT32_MAX);
    fault_fail(SHIM_C_SignInit, CKR_DEVICE_REMOVED, INT32_MAX);
    fault_sleep(100);
    fault_reset();
    fault_sleep(2000);
    assert_true(fault_calls(SHIM_C_Initialize) >= 2);
    if (fault_calls(SHIM_C_Initialize) > 12)
        fail_msg("%llu C_Initialize", (unsigned long long)fault_calls(SHIM_C_Initialize));
    if (fault_calls(SHIM_C_OpenSession) > 200 || fault_calls(SHIM_C_GetSlotList) > 600)
        fail_msg("%llu C_OpenSession, %llu C_GetSlotList",
                 (unsigned long long)fault_calls(SHIM_C_OpenSession),
                 (unsigned long long)fault_calls(SHIM_C_GetSlotList));
    fault_fail(SHIM_C_GetSlotList, CKR_OK, 0);
    fault_fail(SHIM_C_OpenSession, CKR_OK, 0);
    fault_fail(SHIM_C_SignInit, CKR_OK, 0);
    before = atomic_load(&succeeded);
    for (int i = 0; i < 500 && atomic_load(&succeeded) < before + 100; i++)
        fault_sleep(10);
    assert_true(atomic_load(&succeeded) >= before + 100);
    atomic_store(&over, true);
    for (int i = 0; i < STORMERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    fault_signs(key);
    p11_key_free(key);
    p11_ctx_free(storm_ctx);
    p11_ctx_free(ctx);
}

/* Parent and children at once, and a child's first signature comes at once. */
static void test_fork_all_at_once(void **state)
{
    p11_ctx *ctx = fault_ctx(patient);
    p11_key *key = NULL;
    double *first;
    double best = 1e9;
    int pipes[2];
    pid_t pids[8];

    (void)state;
    assert_int_equal(lab_open_key(ctx, "key", &key), P11_OK);
    fault_signs(key);
    assert_int_equal(pipe(pipes), 0);
    first = calloc(8, sizeof *first);
    for (int i = 0; i < 8; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            double begin = lab_seconds();
            double took;
            int failed = lab_sign(key) != P11_OK;

            took = lab_seconds() - begin;
            for (int k = 0; k < 50; k++)
                failed += lab_sign(key) != P11_OK;
            if (write(pipes[1], &took, sizeof took) != sizeof took)
                failed++;
            _exit(failed != 0);
        }
    }
    for (int k = 0; k < 50; k++)
        fault_signs(key);
    for (int i = 0; i < 8; i++) {
        int status = -1;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
        assert_int_equal(read(pipes[0], &first[i], sizeof first[i]), sizeof first[i]);
        best = first[i] < best ? first[i] : best;
    }
    /* Others take a second, always; here the machine's other work may hold up a few of them. */
    assert_true(best < 0.25);
    close(pipes[0]);
    close(pipes[1]);
    free(first);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* ---- a module that the application initialised */

static void test_owned(void **state)
{
    p11_ctx *ctx = NULL;
    p11_key *key = NULL;
    CK_INFO info;

    (void)state;
    assert_int_equal(remote_cryptoki()->C_Initialize(NULL), CKR_OK);
    ctx = fault_ctx(fault_quick);
    key = lab_key(ctx, "key", P11_CURVE_P256, P11_USAGE_SIGN);
    fault_signs(key);
    fault_reset();
    removed_and_put_back();
    assert_int_equal(fault_calls(SHIM_C_Finalize), 0);
    assert_int_equal(fault_calls(SHIM_C_Initialize), 0);
    /* The application ends it, and we leave it alone; it begins anew, and so do we. */
    assert_int_equal(remote_cryptoki()->C_Finalize(NULL), CKR_OK);
    fault_reset();
    assert_int_equal(fault_refused(key), P11_E_MODULE);
    assert_non_null(strstr(lab_error, "the application initialised it"));
    assert_int_equal(fault_calls(SHIM_C_Initialize), 0);
    assert_int_equal(remote_cryptoki()->C_Initialize(NULL), CKR_OK);
    fault_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
    assert_int_equal(fault_calls(SHIM_C_Finalize), 0);
    assert_int_equal(remote_cryptoki()->C_GetInfo(&info), CKR_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_removed),
        cmocka_unit_test(test_back_in_another_slot),
        cmocka_unit_test(test_no_storm),
        cmocka_unit_test(test_fork_all_at_once),
    };
    const struct CMUnitTest owned[] = {cmocka_unit_test(test_owned)};
    const struct CMUnitTest before[] = {cmocka_unit_test(test_exchanged_before_met)};
    const struct CMUnitTest after[] = {cmocka_unit_test(test_exchanged_after_met)};
    const char *const tokens[] = {"other", "third", NULL};

    fault_open(tokens);
    if (argc == 2 && strcmp(argv[1], "owned") == 0)
        return cmocka_run_group_tests_name("fault owned", owned, NULL, lab_teardown);
    if (argc == 2 && strcmp(argv[1], "exchanged") == 0)
        return cmocka_run_group_tests_name("fault exchanged", before, NULL, lab_teardown);
    if (argc == 2 && strcmp(argv[1], "met") == 0)
        return cmocka_run_group_tests_name("fault exchanged, met", after, NULL, lab_teardown);
    return cmocka_run_group_tests_name("fault recovery", tests, fault_key_setup, lab_teardown);
}
