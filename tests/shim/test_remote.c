/*
 * Tokens in another process: p11shim.so with SHIM_SOCKET gives what the module itself gives, and
 * a server that is killed, stuck or sent nonsense costs its own calls and no others.
 */
#include "tests/shim/remote_lab.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void quick(struct p11_config *config)
{
    config->deadline_ms = 1500;
}

static void patient(struct p11_config *config)
{
    config->deadline_ms = 10000;
}

static p11_key *open_key(p11_ctx *ctx, const char *label)
{
    char uri[200];
    p11_key *key = NULL;

    snprintf(uri, sizeof uri, "pkcs11:token=" LAB_TOKEN ";object=%s", label);
    if (p11_key_open_uri(ctx, uri, NULL, NULL, &key) != P11_OK) {
        lab_last_error();
        fail_msg("%s", lab_error);
    }
    return key;
}

/* ---- the same as without it ---- */

static void test_same_keys(void **state)
{
    p11_ctx *ctxs[2] = {remote_ctx(quick), lab_ctx(quick)};

    (void)state;
    /* Made by one, found by the other, both ways. */
    for (unsigned i = 0; i < 8; i++) {
        p11_ctx *maker = ctxs[i % 2], *finder = ctxs[1 - i % 2];
        p11_key *made = NULL, *found = NULL;
        struct lab_software_key peer;
        uint8_t x[2][48];
        size_t size[2] = {48, 48};
        size_t n = 0;
        char label[20];

        snprintf(label, sizeof label, "same-%u", i);
        made = lab_key(maker, label, lab_curve[i / 2], P11_USAGE_SIGN | P11_USAGE_DERIVE);
        found = open_key(finder, label);
        assert_memory_equal(p11_key_point(made, &n), p11_key_point(found, &n),
                            1 + 2 * p11_curve_size(lab_curve[i / 2]));
        assert_true(p11_key_can_derive(made) && p11_key_can_derive(found));
        lab_signs(made);
        lab_signs(found);
        lab_software(lab_curve[i / 2], &peer);
        n = 1 + 2 * p11_curve_size(peer.curve);
        assert_int_equal(p11_key_derive(made, peer.point, n, x[0], &size[0]), P11_OK);
        assert_int_equal(p11_key_derive(found, peer.point, n, x[1], &size[1]), P11_OK);
        assert_int_equal(size[0], p11_curve_size(peer.curve));
        assert_int_equal(size[0], size[1]);
        assert_memory_equal(x[0], x[1], size[0]);
        p11_key_free(made);
        p11_key_free(found);
    }
    p11_ctx_free(ctxs[0]);
    p11_ctx_free(ctxs[1]);
}

static void test_same_objects(void **state)
{
    p11_ctx *ctxs[2] = {remote_ctx(quick), lab_ctx(quick)};
    p11_objects *objects[2] = {NULL, NULL};
    uint8_t random[2][64] = {{0}};
    p11_key *key = lab_key(ctxs[0], "objects", P11_CURVE_P256, P11_USAGE_SIGN);
    size_t deleted = 0;

    (void)state;
    p11_key_free(key);
    for (int i = 0; i < 2; i++)
        assert_int_equal(p11_find(ctxs[i], "pkcs11:token=" LAB_TOKEN ";object=objects", P11_ANY,
                                  NULL, NULL, &objects[i]),
                         P11_OK);
    assert_int_equal(p11_objects_count(objects[0]), 2);
    assert_int_equal(p11_objects_count(objects[1]), 2);
    for (size_t i = 0; i < 2; i++) {
        const struct p11_object *a = p11_objects_get(objects[0], i);
        const struct p11_object *b = p11_objects_get(objects[1], i);

        assert_string_equal(a->uri, b->uri);
        assert_int_equal(a->sensitive, b->sensitive);
        assert_int_equal(a->extractable, b->extractable);
        assert_int_equal(a->sign, b->sign);
        assert_int_equal(a->derive, b->derive);
    }
    p11_objects_free(objects[0]);
    p11_objects_free(objects[1]);
    assert_int_equal(p11_random(ctxs[0], random[0], 64), P11_OK);
    assert_memory_not_equal(random[0], random[1], 64);
    assert_int_equal(
        p11_delete(ctxs[0], "pkcs11:token=" LAB_TOKEN ";object=objects", NULL, NULL, &deleted),
        P11_OK);
    assert_int_equal(deleted, 2);
    assert_int_equal(p11_find(ctxs[1], "pkcs11:token=" LAB_TOKEN ";object=objects", P11_ANY, NULL,
                              NULL, &objects[1]),
                     P11_OK);
    assert_int_equal(p11_objects_count(objects[1]), 0);
    p11_objects_free(objects[1]);
    p11_ctx_free(ctxs[0]);
    p11_ctx_free(ctxs[1]);
}

/* ---- clients and the server ---- */

static void wait_for_children(unsigned count)
{
    const struct timespec pause = {0, 10000000};

    for (int i = 0; i < 300 && remote_children(remote_server) != count; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(remote_children(remote_server), count);
}

static void test_forked(void **state)
{
    p11_ctx *ctx = remote_ctx(quick);
    p11_key *key = lab_key(ctx, "forked", P11_CURVE_P256, P11_USAGE_SIGN);
    int status = -1;
    pid_t pid;

    (void)state;
    lab_signs(key);
    wait_for_children(1);
    pid = fork();
    if (pid == 0) {
        CK_INFO info;

        if (remote_cryptoki()->C_GetInfo(&info) != CKR_CRYPTOKI_NOT_INITIALIZED)
            _exit(1);
        for (int i = 0; i < 5; i++)
            if (lab_sign(key) != P11_OK)
                _exit(2);
        _exit(remote_children(remote_server) == 2 ? 0 : 3); /* a connection of its own */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    lab_signs(key);
    wait_for_children(1); /* its sessions went with it */
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void test_killed(void **state)
{
    p11_ctx *ctx = remote_ctx(quick);
    p11_key *key = lab_key(ctx, "killed", P11_CURVE_P256, P11_USAGE_SIGN | P11_USAGE_DERIVE);
    size_t n = 0;
    const uint8_t *point = p11_key_point(key, &n);

    (void)state;
    for (int i = 0; i < 2; i++) {
        uint8_t x[32];
        size_t size = sizeof x;
        CK_ULONG count = 0;

        lab_signs(key);
        remote_stop(remote_server, SIGKILL);
        assert_int_equal(remote_cryptoki()->C_GetSlotList(CK_TRUE, NULL, &count),
                         CKR_DEVICE_REMOVED);
        if (i == 1) {
            assert_int_not_equal(lab_sign(key), P11_OK); /* no server: an error, no hanging */
            ERR_clear_error();
        }
        remote_server = remote_start(LAB_MODULE);
        assert_int_equal(p11_key_derive(key, point, n, x, &size), P11_OK);
        lab_signs(key);
        assert_int_equal(ERR_peek_error(), 0);
    }
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void *restart_later(void *arg)
{
    const struct timespec pause = {0, 300000000};

    (void)arg;
    nanosleep(&pause, NULL);
    remote_server = remote_start(LAB_MODULE);
    return NULL;
}

/* The server comes back within the deadline: one slow operation, no error. */
static void test_away_for_a_while(void **state)
{
    p11_ctx *ctx = remote_ctx(patient);
    p11_key *key = lab_key(ctx, "away", P11_CURVE_P256, P11_USAGE_SIGN);
    pthread_t thread;

    (void)state;
    lab_signs(key);
    remote_stop(remote_server, SIGKILL);
    assert_int_equal(pthread_create(&thread, NULL, restart_later, NULL), 0);
    lab_signs(key);
    pthread_join(thread, NULL);
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void *sign_many(void *arg)
{
    for (int i = 0; i < 25; i++)
        if (lab_sign(arg) != P11_OK)
            return arg;
    return NULL;
}

static void test_threads(void **state)
{
    p11_ctx *ctx = remote_ctx(patient);
    p11_key *key = lab_key(ctx, "threads", P11_CURVE_P256, P11_USAGE_SIGN);
    pthread_t threads[8];
    void *result = NULL;

    (void)state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_many, key), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void *sign_once(void *arg)
{
    return lab_sign(arg) == P11_OK ? NULL : arg;
}

/* A call that the HSM does not return from holds its own session, and nothing else. */
static void test_stuck_call(void **state)
{
    const struct timespec pause = {0, 300000000};
    p11_ctx *ctx = NULL;
    p11_key *key = NULL;
    char file[300];
    void *result = NULL;
    pthread_t thread;
    double begin;

    (void)state;
    remote_stop(remote_server, SIGTERM);
    remote_shimctl("create", NULL, NULL, NULL);
    snprintf(file, sizeof file, "%s/server.state", lab_dir);
    setenv("SHIM_STATE", file, 1);
    setenv("SHIM_MODULE", LAB_MODULE, 1);
    unsetenv("SHIM_SOCKET"); /* the server's own shim is one in the process */
    remote_server = remote_start(remote_module);
    setenv("SHIM_SOCKET", remote_socket, 1);
    unsetenv("SHIM_STATE");
    unsetenv("SHIM_MODULE");
    ctx = remote_ctx(patient);
    key = lab_key(ctx, "stuck", P11_CURVE_P256, P11_USAGE_SIGN);
    lab_signs(key);
    remote_shimctl("delay", "C_Sign", "1500000", NULL);
    begin = lab_seconds();
    assert_int_equal(pthread_create(&thread, NULL, sign_once, key), 0);
    nanosleep(&pause, NULL);
    remote_shimctl("delay", "C_Sign", "0", NULL);
    lab_signs(key);
    lab_signs(key);
    assert_true(lab_seconds() - begin < 1.4);
    pthread_join(thread, &result);
    assert_null(result);
    assert_true(lab_seconds() - begin >= 1.5);
    p11_key_free(key);
    p11_ctx_free(ctx);
    remote_stop(remote_server, SIGTERM);
    remote_server = remote_start(LAB_MODULE);
}

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", remote_socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* What is no request ends its own connection. */
static void test_nonsense(void **state)
{
    static const uint32_t frames[][6] = {
        {0xffffffff, 1, 0, 0, 0, 0}, /* longer than any frame */
        {0, 1, 0, 0, 0, 0},          /* empty */
        {16, 1, 0, 0, 0, 0},         /* C_Initialize of another build */
        {16, 1, 23, 0, 0, 0},        /* C_SignInit before C_Initialize */
        {16, 1, 0xffff, 0, 0, 0},    /* no function */
    };
    p11_ctx *ctx = remote_ctx(quick);
    p11_key *key = lab_key(ctx, "nonsense", P11_CURVE_P256, P11_USAGE_SIGN);

    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        int fd = dial();
        char octet;

        assert_int_equal(write(fd, frames[i], sizeof frames[i]), sizeof frames[i]);
        /* Closed; with octets of ours unread it is a reset. */
        assert_true(read(fd, &octet, 1) <= 0);
        close(fd);
        lab_signs(key);
    }
    p11_key_free(key);
    p11_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_keys),        cmocka_unit_test(test_same_objects),
        cmocka_unit_test(test_forked),           cmocka_unit_test(test_killed),
        cmocka_unit_test(test_away_for_a_while), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_stuck_call),       cmocka_unit_test(test_nonsense),
    };

    return cmocka_run_group_tests(tests, remote_setup, remote_teardown);
}
