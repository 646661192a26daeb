/*
 * Many threads, few sessions.
 */
#include "tests/pkcs11/lab.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define THREADS 8

static unsigned sessions;
static unsigned deadline_ms;
static enum p11_auto key_copy;

static void configure(struct p11_config *config)
{
    config->max_sessions = sessions;
    config->deadline_ms = deadline_ms;
    config->key_copy = key_copy;
}

struct job {
    p11_key *sign, *derive;
    unsigned rounds;
    atomic_uint failed;
    char error[512];
};

static void *work(void *arg)
{
    struct job *job = arg;
    uint8_t secret[32];
    size_t size, point_size;

    for (unsigned i = 0; i < job->rounds; i++) {
        enum p11_status status = lab_sign(job->sign);

        size = sizeof(secret);
        if (status == P11_OK && job->derive != NULL)
            status = p11_key_derive(job->derive, p11_key_point(job->derive, &point_size), 65,
                                    secret, &size);
        if (status != P11_OK && atomic_fetch_add(&job->failed, 1) == 0) {
            const char *data = NULL;

            ERR_peek_last_error_data(&data, NULL);
            snprintf(job->error, sizeof(job->error), "%s: %s", p11_status_name(status),
                     data != NULL ? data : "");
        }
        ERR_clear_error();
    }
    return NULL;
}

static void run(struct job *job)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, job), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void with_sessions(unsigned count, enum p11_auto copy)
{
    struct job job = {.rounds = lab_is_softokn() ? 6 : 40}; /* NSS takes long for each */
    char label[40];
    p11_ctx *ctx;

    sessions = count;
    deadline_ms = 0;
    key_copy = copy;
    ctx = lab_ctx(configure);
    snprintf(label, sizeof(label), "sign-%u-%d", count, (int)copy);
    job.sign = lab_key(ctx, label, P11_CURVE_P256, P11_USAGE_SIGN);
    snprintf(label, sizeof(label), "derive-%u-%d", count, (int)copy);
    job.derive = lab_key(ctx, label, P11_CURVE_P256, P11_USAGE_DERIVE);
    lab_count_reset();
    run(&job);
    if (job.failed != 0)
        fail_msg("%u failed: %s", job.failed, job.error);
    /* Besides the session that holds the login there are never more than configured. */
    assert_true(lab_most_sessions <= count + 1);
    p11_key_free(job.sign);
    p11_key_free(job.derive);
    p11_ctx_free(ctx);
}

static void test_sessions(void **state)
{
    (void)state;
    /* In this order, since sessions that are open stay open. */
    with_sessions(1, P11_NO);
    with_sessions(1, P11_AUTO);
    with_sessions(2, P11_NO);
    with_sessions(2, P11_AUTO);
    with_sessions(16, P11_NO);
    with_sessions(16, P11_AUTO);
}

/* One session for eight threads, each holding it for 100 ms, and a deadline of 250 ms. */
static void test_deadline(void **state)
{
    struct job job = {.rounds = 1};
    struct timespec before, after;
    p11_ctx *ctx;

    (void)state;
    sessions = 1;
    deadline_ms = 250;
    key_copy = P11_NO;
    ctx = lab_ctx(configure);
    job.sign = lab_key(ctx, "slow", P11_CURVE_P256, P11_USAGE_SIGN);
    lab_sign_ms = 100;
    clock_gettime(CLOCK_MONOTONIC, &before);
    run(&job);
    clock_gettime(CLOCK_MONOTONIC, &after);
    lab_sign_ms = 0;
    assert_true(job.failed >= 1 && job.failed <= 6);
    assert_memory_equal(job.error, "P11_E_DEADLINE", 14);
    assert_non_null(strstr(job.error, "no session became free in 250 ms (max-sessions is 1)"));
    assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 <
                2000);
    assert_int_equal(lab_sign(job.sign), P11_OK);
    p11_key_free(job.sign);
    p11_ctx_free(ctx);
}

/* A token that has fewer sessions than configured: the others wait for those that there are. */
static void test_token_bound(void **state)
{
    struct job job = {.rounds = 20};
    p11_ctx *ctx;

    (void)state;
    sessions = 8;
    deadline_ms = 0;
    key_copy = P11_NO;
    ctx = lab_ctx(configure);
    job.sign = lab_key(ctx, "bounded", P11_CURVE_P256, P11_USAGE_SIGN);
    assert_int_equal(lab_sign(job.sign), P11_OK); /* one session is there */
    lab_sign_ms = 5;
    lab_fail_next(LAB_OPEN_SESSION, CKR_SESSION_COUNT, 3);
    run(&job);
    lab_sign_ms = 0;
    lab_fail_next(LAB_OPEN_SESSION, CKR_OK, 0);
    if (job.failed != 0)
        fail_msg("%u failed: %s", job.failed, job.error);
    p11_key_free(job.sign);
    p11_ctx_free(ctx);
}

/* Opening and closing keys, while others use theirs. */
static void *open_and_close(void *arg)
{
    struct job *job = arg;
    p11_ctx *ctx = lab_ctx(configure);

    for (unsigned i = 0; i < job->rounds; i++) {
        p11_key *key = NULL;
        enum p11_status status =
            p11_key_open_uri(ctx, "pkcs11:token=lab;object=shared", NULL, NULL, &key);

        if (status == P11_OK)
            status = lab_sign(key);
        if (status != P11_OK) {
            atomic_fetch_add(&job->failed, 1);
            ERR_print_errors_fp(stderr);
        }
        p11_key_free(key);
        ERR_clear_error();
    }
    p11_ctx_free(ctx);
    return NULL;
}

static void test_open_and_close(void **state)
{
    struct job job = {.rounds = 10};
    pthread_t threads[4];
    p11_ctx *ctx;

    (void)state;
    sessions = 4;
    key_copy = P11_AUTO;
    ctx = lab_ctx(configure);
    job.sign = lab_key(ctx, "shared", P11_CURVE_P256, P11_USAGE_SIGN);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &job), 0);
    run(&job);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(job.failed, 0);
    p11_key_free(job.sign);
    p11_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_token_bound),
        cmocka_unit_test(test_open_and_close),
    };
    int failed;

    lab_open();
    lab_count_calls();
    failed = cmocka_run_group_tests_name("p11 threads", tests, NULL, NULL);
    lab_close();
    return failed;
}
