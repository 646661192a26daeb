/*
 * Forks, exits, and a module whose other half is another process.
 */
#include "tests/pkcs11/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENT "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so"

static p11_key *shared;
static atomic_bool stop;
static atomic_uint started;

/* The exit status of a child; a child that hangs is killed after 20 s. */
static int wait_for(pid_t pid)
{
    const struct timespec pause = {0, 10000000};
    int status = -1;

    for (int i = 0; i < 2000; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        nanosleep(&pause, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

static int signs(p11_key *key, int count)
{
    for (int i = 0; i < count; i++) {
        enum p11_status status = lab_sign(key);

        if (status == P11_OK)
            continue;
        ERR_print_errors_fp(stderr);
        return 1;
    }
    return 0;
}

/*
 * Without libcrypto: its locks are not looked after in a fork, and it is cleaned up at exit under
 * threads that outlive main(). And without memory of its own once `started` has moved on, for GCC
 * 12's AddressSanitizer does not hold its allocator's locks over a fork: a child whose parent had a
 * thread in malloc() outside the module then waits for ever (in __sanitizer::Mutex::Lock).
 */
static void *keep_signing(void *arg)
{
    static const uint8_t digest[32] = {1};
    uint8_t signature[64];
    size_t size = sizeof(signature);
    enum p11_status status = p11_key_sign(arg, digest, sizeof(digest), signature, &size);

    atomic_fetch_add(&started,
                     1); /* libcrypto has made what a thread needs: no lock is taken now */
    while (status == P11_OK && !atomic_load(&stop))
        status = p11_key_sign(arg, digest, sizeof(digest), signature, &size);
    return status == P11_OK || status == P11_E_EXITING ? NULL : arg;
}

static void fork_and_sign(p11_key *key)
{
    pid_t pid = fork();

    if (pid == 0) {
        pid_t grandchild;
        int result = signs(key, 5);

        grandchild = fork();
        if (grandchild == 0)
            _exit(signs(key, 2));
        _exit(result != 0 || wait_for(grandchild) != 0);
    }
    assert_true(pid > 0);
    assert_int_equal(signs(key, 5), 0);
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(signs(key, 5), 0);
}

static void test_fork(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);

    (void)state;
    shared = lab_key(ctx, "fork", P11_CURVE_P256, P11_USAGE_SIGN);
    assert_int_equal(signs(shared, 3), 0);
    fork_and_sign(shared);
    p11_ctx_free(ctx);
}

/* A fork in the middle of the calls of other threads. */
static void test_fork_under_load(void **state)
{
    const struct timespec pause = {0, 1000000};
    pthread_t threads[4];
    void *result;

    (void)state;
    atomic_store(&stop, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_signing, shared), 0);
    while (atomic_load(&started) < 4)
        nanosleep(&pause, NULL);
    for (int i = 0; i < 5; i++)
        fork_and_sign(shared);
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    p11_key_free(shared);
}

/* A thread that ends calls libcrypto, which is ending too and does not wait: this one stays. */
static void *sign_to_the_end(void *arg)
{
    (void)keep_signing(arg);
    for (;;)
        pause();
    return NULL;
}

/*
 * A process that ends while keys are open and threads sign: by exit(), with the objects freed
 * after the end was announced, as OpenSSL does it with providers.
 */
static void ending_child(bool threads, bool announce)
{
    p11_ctx *ctx = lab_ctx(NULL);
    p11_key *key = NULL;
    pthread_t thread;

    if (p11_key_open_uri(ctx, "pkcs11:token=lab;object=ending", NULL, NULL, &key) != P11_OK ||
        signs(key, 2) != 0)
        _exit(3);
    if (threads)
        for (int i = 0; i < 4; i++)
            if (pthread_create(&thread, NULL, sign_to_the_end, key) != 0)
                _exit(4);
    if (announce) {
        p11_set_exiting();
        if (lab_sign(key) != P11_E_EXITING || lab_last_error() != P11_E_EXITING)
            _exit(5);
        p11_key_free(key);
        p11_ctx_free(ctx);
    }
    exit(0);
}

static void test_exit(void **state)
{
    char number[] = "0";
    const char *const argv[] = {"/proc/self/exe", "ending", number, NULL};

    (void)state;
    for (int i = 0; i < 3; i++) {
        number[0] = (char)('0' + i);
        for (int k = 0; k < 5; k++) {
            int status;
            pid_t pid = fork();

            if (pid == 0) {
                if (i == 1) { /* its threads have no time to tidy up */
                    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
                    /* The suppressions stay: the last of two equal options counts. */
                    char options[1024];
                    const char *before = getenv("TSAN_OPTIONS");
                    snprintf(options, sizeof(options), "%s:report_thread_leaks=0",
                             before != NULL ? before : "");
                    setenv("TSAN_OPTIONS", options, 1);
                }
                execv(argv[0], (char *const *)(uintptr_t)argv);
                _exit(9);
            }
            status = wait_for(pid);
            if (status != 0)
                fail_msg("form %d ended with status 0x%x", i, status);
        }
    }
}

/* p11-kit's server, in a process group of its own. */
static pid_t server = -1;
static char socket_path[300];

static void server_start(void)
{
    const struct timespec pause = {0, 10000000};
    struct stat info;

    (void)unlink(socket_path);
    server = fork();
    if (server == 0) {
        int null = open("/dev/null", O_WRONLY);

        setpgid(0, 0);
        dup2(null, 1);
        dup2(null, 2);
        execlp("p11-kit", "p11-kit", "server", "--foreground", "--provider", LAB_MODULE, "--name",
               socket_path, "pkcs11:", (char *)NULL);
        _exit(9);
    }
    assert_true(server > 0);
    (void)setpgid(server, server);
    for (int i = 0; i < 1000 && stat(socket_path, &info) != 0; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(stat(socket_path, &info), 0);
}

/* It forks for each client, and those live on when it is killed: the whole group goes. */
static void server_stop(void)
{
    if (server <= 0)
        return;
    kill(-server, SIGKILL);
    while (waitpid(-server, NULL, 0) > 0 || errno == EINTR)
        continue;
    server = -1;
}

static void *start_later(void *arg)
{
    const struct timespec pause = {1, 0};

    (void)arg;
    nanosleep(&pause, NULL);
    server_start();
    return NULL;
}

static void behind_client(struct p11_config *config)
{
    config->module_path = CLIENT;
    config->deadline_ms = 5000;
}

static void behind_client_impatient(struct p11_config *config)
{
    config->module_path = CLIENT;
    config->deadline_ms = 300;
}

static void test_p11_kit_server(void **state)
{
    char address[320];
    p11_ctx *ctx, *impatient_ctx;
    p11_key *impatient = NULL;
    p11_key *key = NULL;
    p11_objects *objects = NULL;
    pthread_t thread;
    uint8_t octets[16];

    (void)state;
    snprintf(socket_path, sizeof(socket_path), "%s/p11-kit", lab_dir);
    snprintf(address, sizeof(address), "unix:path=%s", socket_path);
    setenv("P11_KIT_SERVER_ADDRESS", address, 1);
    server_start();
    ctx = lab_ctx(behind_client);
    key = lab_key(ctx, "remote", P11_CURVE_P256, P11_USAGE_SIGN);
    assert_true(p11_key_can_sign(key));
    assert_int_equal(signs(key, 5), 0);
    assert_int_equal(p11_find(ctx, "pkcs11:token=lab;object=remote", P11_ANY, NULL, NULL, &objects),
                     P11_OK);
    assert_int_equal(p11_objects_count(objects), 2);
    p11_objects_free(objects);
    /* Killed and there again. SIGPIPE is not ignored here: the library has to mind it. */
    impatient_ctx = lab_ctx(behind_client_impatient);
    assert_int_equal(
        p11_key_open_uri(impatient_ctx, "pkcs11:token=lab;object=remote", NULL, NULL, &impatient),
        P11_OK);
    for (int i = 0; i < 2; i++) {
        server_stop();
        assert_int_not_equal(lab_sign(impatient), P11_OK);
        assert_int_not_equal(lab_last_error(), P11_OK);
        server_start();
        assert_int_equal(signs(key, 3), 0);
        assert_int_equal(signs(impatient, 3), 0);
    }
    p11_key_free(impatient);
    p11_ctx_free(impatient_ctx);
    server_stop();
    server_start();
    assert_int_equal(p11_find(ctx, "pkcs11:token=lab;object=remote", P11_ANY, NULL, NULL, &objects),
                     P11_OK);
    assert_int_equal(p11_objects_count(objects), 2);
    p11_objects_free(objects);
    /* Away for a second: one slow signature. */
    server_stop();
    assert_int_equal(pthread_create(&thread, NULL, start_later, NULL), 0);
    assert_int_equal(signs(key, 1), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fork_and_sign(key);
    /* Away for good: an error at the deadline. */
    server_stop();
    assert_int_not_equal(lab_sign(key), P11_OK);
    assert_int_not_equal(lab_last_error(), P11_OK);
    assert_int_not_equal(p11_random(ctx, octets, sizeof(octets)), P11_OK);
    lab_last_error();
    p11_key_free(key);
    p11_ctx_free(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_fork_under_load),
        cmocka_unit_test(test_exit),
        cmocka_unit_test(test_p11_kit_server),
    };
    const struct CMUnitTest softokn[] = {
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_fork_under_load),
        cmocka_unit_test(test_exit),
    };
    int failed;

    if (argc == 3 && strcmp(argv[1], "ending") == 0) {
        snprintf(lab_dir, sizeof(lab_dir), "%s", getenv("LAB_DIR"));
        ending_child(argv[2][0] == '1', argv[2][0] == '2');
    }
    lab_open();
    setenv("LAB_DIR", lab_dir, 1);
    {
        p11_ctx *ctx = lab_ctx(NULL);

        p11_key_free(lab_key(ctx, "ending", P11_CURVE_P256, P11_USAGE_SIGN));
        p11_ctx_free(ctx);
    }
    failed = lab_is_softokn() ? cmocka_run_group_tests_name("p11 process", softokn, NULL, NULL)
                              : cmocka_run_group_tests_name("p11 process", tests, NULL, NULL);
    server_stop();
    lab_close();
    return failed;
}
