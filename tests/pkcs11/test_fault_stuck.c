/*
 * A call that the token does not return from: it holds its own session, others go on, and those who
 * must wait for it wait until their deadline.
 */
#include "tests/pkcs11/fault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

struct stuck {
    p11_key *key;
    enum p11_status status;
    atomic_bool done;
};

static void *sign_stuck(void *arg)
{
    struct stuck *stuck = arg;

    stuck->status = lab_sign(stuck->key);
    ERR_clear_error();
    atomic_store(&stuck->done, true);
    return NULL;
}

/* C_Sign of one thread takes three seconds; everything else goes on, and it is said. */
static void begin_stuck(struct stuck *stuck, pthread_t *thread)
{
    uint64_t before = fault_calls(SHIM_C_Sign);

    fault_delay(SHIM_C_Sign, 3000);
    assert_int_equal(pthread_create(thread, NULL, sign_stuck, stuck), 0);
    while (fault_calls(SHIM_C_Sign) == before)
        fault_sleep(1);
    fault_sleep(20); /* it has read its delay */
    fault_delay(SHIM_C_Sign, 0);
}

static void test_stuck_call(void **state)
{
    p11_ctx *ctx = fault_ctx(fault_quick);
    struct p11_stats before, while_stuck, after;
    struct stuck stuck = {0};
    pthread_t thread;
    char *text;
    double begin;
    int status = -1;
    pid_t pid;

    (void)state;
    assert_int_equal(lab_open_key(ctx, "key", &stuck.key), P11_OK);
    fault_signs(stuck.key);
    p11_ctx_stats(ctx, &before);
    fault_capture();
    begin_stuck(&stuck, &thread);
    begin = lab_seconds();
    fault_signs(stuck.key);
    fault_signs(stuck.key);
    assert_true(lab_seconds() - begin < 0.5);
    assert_null(strstr(fault_captured(), "has not returned"));
    fault_sleep(700);
    fault_signs(stuck.key);
    fault_signs(stuck.key); /* said once */
    text = strdup(fault_captured());
    p11_ctx_stats(ctx, &while_stuck);
    assert_false(atomic_load(&stuck.done));
    /* A fork waits for it until the deadline, and no longer. */
    begin = lab_seconds();
    pid = fork();
    if (pid == 0)
        _exit(lab_sign(stuck.key) == P11_OK ? 0 : 1);
    assert_true(lab_seconds() - begin < 0.5 + FAULT_SLACK);
    fault_signs(stuck.key);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fault_release();
    assert_int_equal(status, 0);
    assert_int_equal(stuck.status, P11_OK);
    p11_ctx_stats(ctx, &after);
    assert_int_equal(before.stuck, 0);
    assert_int_equal(while_stuck.stuck, 1);
    assert_int_equal(while_stuck.inside, 1);
    assert_int_equal(while_stuck.late, before.late + 1);
    assert_int_equal(while_stuck.sessions, while_stuck.idle + 1);
    assert_int_equal(after.stuck, 0);
    assert_int_equal(after.late, while_stuck.late);
    /* The stuck one is the only one that took a second. */
    assert_int_equal(after.work[P11_WORK_SIGN].calls - after.work[P11_WORK_SIGN].within[6],
                     before.work[P11_WORK_SIGN].calls - before.work[P11_WORK_SIGN].within[6] + 1);
    assert_non_null(
        strstr(text, "C_Sign has not returned within the deadline of 500 ms (1 so far)"));
    assert_null(strstr(strstr(text, "has not returned") + 1, "has not returned"));
    assert_non_null(strstr(fault_captured(), "C_Sign returned after 3"));
    free(text);
    p11_key_free(stuck.key);
    p11_ctx_free(ctx);
}

/* Those who wait for a rebuild that is stuck wait until their deadline. */
static void test_stuck_rebuild(void **state)
{
    p11_ctx *ctx = fault_ctx(fault_quick);
    struct stuck stuck[3] = {0};
    pthread_t thread;
    double begin;

    (void)state;
    assert_int_equal(lab_open_key(ctx, "key", &stuck[0].key), P11_OK);
    fault_signs(stuck[0].key);
    fault_reset();
    fault_delay(SHIM_C_OpenSession, 2500);
    assert_int_equal(remote_cryptoki()->C_CloseAllSessions(lab_slot(LAB_TOKEN)), CKR_OK);
    assert_int_equal(pthread_create(&thread, NULL, sign_stuck, &stuck[0]), 0);
    while (fault_calls(SHIM_C_OpenSession) == 0)
        fault_sleep(1);
    begin = lab_seconds();
    assert_int_equal(fault_refused(stuck[0].key), P11_E_DEADLINE);
    assert_true(lab_seconds() - begin < 0.5 + FAULT_SLACK);
    fault_delay(SHIM_C_OpenSession, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fault_signs(stuck[0].key);
    p11_key_free(stuck[0].key);
    p11_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stuck_call),
                                       cmocka_unit_test(test_stuck_rebuild)};

    fault_open(NULL);
    return cmocka_run_group_tests_name("fault stuck", tests, fault_key_setup, lab_teardown);
}
