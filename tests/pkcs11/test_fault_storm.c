/*
 * 64 threads sign while the HSM's process is killed and restarted: they fail while it is away at
 * most, none hangs, and each goes on afterwards. Ten seconds; a minute with DOT2HSM_LONG. And a
 * token whose keys are others when its HSM comes back. And memory, after many operations.
 */
#include "tests/pkcs11/fault.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 64
#define DEADLINE_MS 3000
#define MOST_KILLS 32

static p11_key *key;
static atomic_bool over;

/* When the HSM was away, in seconds. An operation may fail that was under way then. */
static struct {
    double from, to;
} away[MOST_KILLS];
static atomic_uint kills;

struct signer {
    unsigned signatures, errors;
    double longest;
    struct {
        double begin, end;
        char text[200];
    } failed[200];
};

/* As test.sh says it: empty is not in full. */
static bool in_full(void)
{
    const char *wanted = getenv("DOT2HSM_LONG");

    return wanted != NULL && wanted[0] != '\0';
}

static void behind_server(struct p11_config *config)
{
    config->deadline_ms = DEADLINE_MS;
    config->max_sessions = 16;
    config->block_sigpipe = P11_YES;
}

static void quick(struct p11_config *config)
{
    config->deadline_ms = 700;
}

static void *keep_signing(void *arg)
{
    static const uint8_t digest[32] = {7};
    struct signer *signer = arg;

    while (!atomic_load(&over)) {
        uint8_t signature[64];
        size_t size = sizeof signature;
        double begin = lab_seconds();
        enum p11_status status = p11_key_sign(key, digest, sizeof digest, signature, &size);
        double end = lab_seconds();

        if (end - begin > signer->longest)
            signer->longest = end - begin;
        if (status == P11_OK) {
            signer->signatures++;
        } else {
            const char *data = NULL;

            ERR_peek_last_error_data(&data, NULL);
            if (signer->errors < 200) {
                signer->failed[signer->errors].begin = begin;
                signer->failed[signer->errors].end = end;
                snprintf(signer->failed[signer->errors].text, 200, "%s: %s",
                         p11_status_name(status), data != NULL ? data : "no text");
            }
            signer->errors++;
        }
        ERR_clear_error();
    }
    return NULL;
}

static bool was_away(double begin, double end)
{
    for (unsigned i = 0; i < atomic_load(&kills); i++)
        if (begin <= away[i].to && end >= away[i].from)
            return true;
    return false;
}

static void kill_and_restart(unsigned away_ms)
{
    unsigned i = atomic_load(&kills);

    assert_true(i < MOST_KILLS);
    away[i].from = lab_seconds();
    remote_stop(remote_server, SIGKILL);
    fault_sleep(away_ms);
    remote_server = remote_start(LAB_MODULE);
    away[i].to = lab_seconds();
    atomic_store(&kills, i + 1);
}

static void test_storm(void **state)
{
    double length = in_full() ? 60 : 10;
    unsigned period_ms = in_full() ? 5000 : 2500;
    static struct signer signers[THREADS];
    pthread_t threads[THREADS];
    const char *sanitizer = getenv("SANITIZE");
    /* As many as there are sessions, where slow calls would keep others waiting past the deadline.
     */
    int count = sanitizer == NULL || sanitizer[0] == '\0' ? THREADS : 16;
    p11_ctx *ctx = remote_ctx(behind_server);
    double end = lab_seconds() + length;
    unsigned errors = 0;
    unsigned long signatures = 0;

    (void)state;
    (void)signal(SIGPIPE, SIG_DFL);
    key = lab_key(ctx, "storm", P11_CURVE_P256, P11_USAGE_SIGN);
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_signing, &signers[i]), 0);
    while (lab_seconds() + period_ms / 1000.0 < end) {
        fault_sleep(period_ms / 2);
        /* Now shorter than the deadline, now longer. */
        kill_and_restart(atomic_load(&kills) % 2 == 0 ? 300 : DEADLINE_MS + 200);
        fault_sleep(period_ms / 2);
    }
    atomic_store(&over, true);
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(atomic_load(&kills) >= 2);
    for (int i = 0; i < count; i++) {
        const struct signer *signer = &signers[i];

        signatures += signer->signatures;
        errors += signer->errors;
        assert_true(signer->signatures > 0);
        assert_true(signer->errors <= 200);
        /* A rebuild on a slow machine may end after its deadline: each call it makes is a wait. */
        assert_true(signer->longest < DEADLINE_MS / 1000.0 + 5);
        for (unsigned k = 0; k < signer->errors; k++)
            if (!was_away(signer->failed[k].begin, signer->failed[k].end))
                fail_msg("while the HSM was there: %s", signer->failed[k].text);
    }
    assert_true(errors > 0); /* it was away for longer than the deadline */
    printf("%lu signatures, %u errors, killed %u times\n", signatures, errors, atomic_load(&kills));
    fault_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* While the HSM is away somebody puts another key in the place of ours, or takes it out. */
static void test_other_key_afterwards(void **state)
{
    static const enum p11_status expected[] = {P11_E_KEY_CHANGED, P11_E_NO_OBJECT};
    p11_ctx *ctx = remote_ctx(quick);

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN};
        const char *uri = i == 0 ? "pkcs11:token=lab;object=swapped;id=%31"
                                 : "pkcs11:token=lab;object=taken;id=%32";
        p11_key *mine = NULL;
        pid_t pid;
        int status = -1;

        assert_int_equal(p11_key_generate(ctx, uri, &how, NULL, NULL, &mine), P11_OK);
        fault_signs(mine);
        remote_stop(remote_server, SIGKILL);
        fault_refused(mine);
        pid = fork();
        if (pid == 0) { /* straight to the token, in a process of its own */
            p11_ctx *direct = lab_ctx(NULL);
            p11_key *other = NULL;
            size_t deleted = 0;

            if (p11_delete(direct, uri, NULL, NULL, &deleted) != P11_OK || deleted != 2)
                _exit(1);
            if (i == 0 && p11_key_generate(direct, uri, &how, NULL, NULL, &other) != P11_OK)
                _exit(2);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        remote_server = remote_start(LAB_MODULE);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(fault_refused(mine), expected[i]);
            assert_non_null(strstr(lab_error, i == 0 ? "object=swapped" : "object=taken"));
        }
        p11_key_free(mine);
    }
    p11_ctx_free(ctx);
}

static long resident_kb(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long size = 0, resident = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void derives(p11_key *from)
{
    uint8_t secret[32];
    size_t size = sizeof secret;
    size_t point_size;

    assert_int_equal(p11_key_derive(from, p11_key_point(from, &point_size), 65, secret, &size),
                     P11_OK);
}

/*
 * The token is in another process, because SoftHSM 2.6.1 keeps some 190 octets of each derived
 * object after C_DestroyObject, until C_Finalize.
 *
 * DOT2HSM_LONG: 200,000 signatures and 50,000 derivations; otherwise a twentieth of them, or less.
 */
static void test_memory_stays(void **state)
{
    const char *sanitizer = getenv("SANITIZE");
    bool plain = sanitizer == NULL || sanitizer[0] == '\0';
    unsigned part = in_full() ? 1 : plain ? 20 : 200;
    p11_ctx *ctx = remote_ctx(NULL);
    p11_key *sign = lab_key(ctx, "memory-sign", P11_CURVE_P256, P11_USAGE_SIGN);
    p11_key *derive = lab_key(ctx, "memory-derive", P11_CURVE_P256, P11_USAGE_DERIVE);
    static const uint8_t digest[32] = {1};
    uint8_t signature[64];
    long before, after;

    (void)state;
    for (unsigned i = 0; i < (plain ? 2500 : 250); i++) {
        size_t size = sizeof signature;

        assert_int_equal(p11_key_sign(sign, digest, sizeof digest, signature, &size), P11_OK);
        derives(derive);
    }
    malloc_trim(0);
    before = resident_kb();
    for (unsigned i = 0; i < 200000 / part; i++) {
        size_t size = sizeof signature;

        assert_int_equal(p11_key_sign(sign, digest, sizeof digest, signature, &size), P11_OK);
    }
    for (unsigned i = 0; i < 50000 / part; i++)
        derives(derive);
    malloc_trim(0);
    after = resident_kb();
    /* A sanitizer keeps what is freed for a while. */
    if (plain && after > before + 1024)
        fail_msg("%ld kB before, %ld kB after", before, after);
    p11_key_free(sign);
    p11_key_free(derive);
    p11_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_other_key_afterwards),
                                       cmocka_unit_test(test_memory_stays),
                                       cmocka_unit_test(test_storm)};

    return cmocka_run_group_tests_name("fault storm", tests, remote_setup, remote_teardown);
}
