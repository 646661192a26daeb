/*
 * Tokens in another process: p11shim.so with SHIM_SOCKET gives what the module itself gives, and
 * a server that is killed, stuck or sent nonsense costs its own calls and no others.
 */
#include "tests/shim/remote_lab.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

static pid_t server;

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

static void signs(p11_key *key)
{
    enum p11_status status = lab_sign(key);

    if (status != P11_OK) {
        lab_last_error();
        fail_msg("%s: %s", p11_status_name(status), lab_error);
    }
}

/* ---- the same as without it ---- */

static void test_same_keys(void **state)
{
    static const enum p11_curve curves[] = {P11_CURVE_P256, P11_CURVE_P384,
                                            P11_CURVE_BRAINPOOL_P256R1, P11_CURVE_BRAINPOOL_P384R1};
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
        made = lab_key(maker, label, curves[i / 2], P11_USAGE_SIGN | P11_USAGE_DERIVE);
        found = open_key(finder, label);
        assert_memory_equal(p11_key_point(made, &n), p11_key_point(found, &n),
                            1 + 2 * p11_curve_size(curves[i / 2]));
        assert_true(p11_key_can_derive(made) && p11_key_can_derive(found));
        signs(made);
        signs(found);
        lab_software(curves[i / 2], &peer);
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

/* ---- Cryptoki itself: sizes asked for, room that is too small, what is refused ---- */

static CK_SLOT_ID slot_of(CK_FUNCTION_LIST *f)
{
    CK_SLOT_ID slots[8];
    CK_ULONG count = 0;

    assert_int_equal(f->C_GetSlotList(CK_TRUE, NULL, &count), CKR_OK);
    assert_in_range(count, 1, 8);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;

        assert_int_equal(f->C_GetTokenInfo(slots[i], &info), CKR_OK);
        if (memcmp(info.label, LAB_TOKEN " ", sizeof LAB_TOKEN) == 0)
            return slots[i];
    }
    fail_msg("no token");
    return 0;
}

/* What one module answers; both get the same questions. */
struct answers {
    CK_RV rv[80];
    size_t count;
};
#define ASK(expression) (a->rv[a->count++] = (expression))

static void ask_session(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, struct answers *a)
{
    CK_BYTE wrong[] = "000000", pin[] = LAB_PIN;
    CK_SESSION_INFO info;

    ASK(f->C_Login(session, CKU_USER, wrong, sizeof wrong - 1));
    ASK(f->C_Login(session, CKU_USER, pin, sizeof pin - 1));
    ASK(f->C_Login(session, CKU_USER, pin, sizeof pin - 1));
    ASK(f->C_GetSessionInfo(session, &info));
    assert_int_equal(info.state, CKS_RW_USER_FUNCTIONS);
    ASK(f->C_GetSessionInfo(session + 1000, &info));
    ASK(f->C_CloseSession(session + 1000));
}

static void ask_objects(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, struct answers *a)
{
    CK_OBJECT_CLASS class_ = CKO_DATA;
    CK_BBOOL no = CK_FALSE;
    CK_BYTE value[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, got[16] = {0}, small[2];
    CK_ATTRIBUTE data[] = {{CKA_CLASS, &class_, sizeof class_},
                           {CKA_TOKEN, &no, sizeof no},
                           {CKA_PRIVATE, &no, sizeof no},
                           {CKA_LABEL, (void *)(uintptr_t) "thing", 5},
                           {CKA_VALUE, value, sizeof value}};
    CK_ATTRIBUTE query[] = {{CKA_VALUE, NULL, 0}, {CKA_LABEL, NULL, 0}};
    CK_ATTRIBUTE read = {CKA_VALUE, got, sizeof got};
    CK_ATTRIBUTE tight[] = {{CKA_VALUE, small, sizeof small}, {CKA_LABEL, got, sizeof got}};
    CK_ATTRIBUTE none = {CKA_EC_POINT, got, sizeof got};
    CK_ATTRIBUTE label = {CKA_LABEL, (void *)(uintptr_t) "other", 5};
    CK_ATTRIBUTE array = {CKA_WRAP_TEMPLATE, data, sizeof data};
    CK_OBJECT_HANDLE object = 0, copy = 0, found[4];
    CK_ULONG count = 0;

    ASK(f->C_CreateObject(session, data, 5, &object));
    ASK(f->C_CreateObject(session, data, 0, &copy));
    ASK(f->C_GetAttributeValue(session, object, query, 2));
    assert_int_equal(query[0].ulValueLen, sizeof value);
    assert_int_equal(query[1].ulValueLen, 5);
    ASK(f->C_GetAttributeValue(session, object, &read, 1));
    assert_int_equal(read.ulValueLen, sizeof value);
    assert_memory_equal(got, value, sizeof value);
    ASK(f->C_GetAttributeValue(session, object, tight, 2));
    assert_int_equal(tight[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(tight[1].ulValueLen, 5);
    ASK(f->C_GetAttributeValue(session, object, &none, 1));
    assert_int_equal(none.ulValueLen, CK_UNAVAILABLE_INFORMATION);
    ASK(f->C_CopyObject(session, object, &label, 1, &copy));
    ASK(f->C_SetAttributeValue(session, object, &label, 1));
    ASK(f->C_FindObjectsInit(session, &label, 1));
    ASK(f->C_FindObjectsInit(session, &label, 1)); /* active */
    ASK(f->C_FindObjects(session, found, 1, &count));
    assert_int_equal(count, 1);
    ASK(f->C_FindObjects(session, found, 4, &count));
    assert_int_equal(count, 1);
    ASK(f->C_FindObjects(session, found, 4, &count));
    assert_int_equal(count, 0);
    ASK(f->C_FindObjectsFinal(session));
    ASK(f->C_DestroyObject(session, object));
    ASK(f->C_DestroyObject(session, object));
    /* Attributes made of attributes are not carried. */
    if (f == remote_cryptoki())
        assert_int_equal(f->C_GetAttributeValue(session, copy, &array, 1),
                         CKR_ATTRIBUTE_TYPE_INVALID);
}

static void ask_keys(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, struct answers *a)
{
    static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE public_[] = {{CKA_EC_PARAMS, p256, sizeof p256}, {CKA_TOKEN, &no, sizeof no}};
    CK_ATTRIBUTE private_[] = {{CKA_TOKEN, &no, sizeof no},
                               {CKA_SENSITIVE, &yes, sizeof yes},
                               {CKA_EXTRACTABLE, &no, sizeof no},
                               {CKA_SIGN, &yes, sizeof yes}};
    CK_MECHANISM make = {CKM_EC_KEY_PAIR_GEN, NULL, 0}, ecdsa = {CKM_ECDSA, NULL, 0};
    CK_MECHANISM unknown = {0x7fffffff, NULL, 0}, ecdh = {CKM_ECDH1_DERIVE, NULL, 0};
    CK_OBJECT_HANDLE public_key = 0, private_key = 0, secret = 0;
    CK_BYTE digest[32] = {7}, signature[64], value[32];
    CK_ATTRIBUTE hidden = {CKA_VALUE, value, sizeof value};
    CK_ULONG size = 0;

    ASK(f->C_GenerateKeyPair(session, &unknown, public_, 2, private_, 4, &public_key,
                             &private_key));
    ASK(f->C_GenerateKeyPair(session, &make, public_, 2, private_, 4, &public_key, &private_key));
    ASK(f->C_GetAttributeValue(session, private_key, &hidden, 1));
    assert_int_equal(hidden.ulValueLen, CK_UNAVAILABLE_INFORMATION);
    ASK(f->C_Sign(session, digest, 32, signature, &size)); /* not begun */
    ASK(f->C_SignInit(session, &unknown, private_key));
    ASK(f->C_SignInit(session, &ecdsa, private_key + 1000));
    ASK(f->C_SignInit(session, &ecdsa, private_key));
    ASK(f->C_Sign(session, digest, 32, NULL, &size));
    assert_int_equal(size, 64);
    size = 63;
    ASK(f->C_Sign(session, digest, 32, signature, &size));
    assert_int_equal(size, 64);
    size = sizeof signature;
    ASK(f->C_Sign(session, digest, 32, signature, &size));
    assert_int_equal(size, 64);
    ASK(f->C_DeriveKey(session, &ecdh, private_key, NULL, 0, &secret));
    ASK(f->C_GenerateRandom(session, value, sizeof value));
}

static void test_same_answers(void **state)
{
    CK_FUNCTION_LIST *modules[2] = {remote_cryptoki(), lab_cryptoki()};
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    struct answers answers[2] = {{.count = 0}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        CK_FUNCTION_LIST *f = modules[i];
        struct answers *a = &answers[i];
        CK_MECHANISM_TYPE list[200];
        CK_MECHANISM_INFO mechanism;
        CK_SESSION_HANDLE session = 0;
        CK_ULONG count = 0, one = 1;
        CK_SLOT_INFO slot_info;
        CK_SLOT_ID slot;
        CK_INFO info;

        (void)f->C_Finalize(NULL);
        ASK(f->C_GetInfo(&info));
        ASK(f->C_Initialize(&args));
        ASK(f->C_Initialize(&args));
        ASK(f->C_GetInfo(&info));
        assert_memory_equal(info.manufacturerID, "SoftHSM", 7);
        slot = slot_of(f);
        ASK(f->C_GetSlotInfo(slot, &slot_info));
        ASK(f->C_GetSlotInfo(slot + 99, &slot_info));
        ASK(f->C_GetMechanismList(slot, NULL, &count));
        assert_in_range(count, 2, 200);
        ASK(f->C_GetMechanismList(slot, list, &one));
        assert_int_equal(one, count);
        ASK(f->C_GetMechanismList(slot, list, &count));
        ASK(f->C_GetMechanismInfo(slot, CKM_ECDH1_DERIVE, &mechanism));
        ASK(f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
        ask_session(f, session, a);
        ask_objects(f, session, a);
        ask_keys(f, session, a);
        ASK(f->C_Logout(session));
        ASK(f->C_Logout(session));
        ASK(f->C_CloseAllSessions(slot));
        ASK(f->C_CloseSession(session));
        ASK(f->C_Finalize(NULL));
        ASK(f->C_Finalize(NULL));
    }
    assert_int_equal(answers[0].count, answers[1].count);
    for (size_t i = 0; i < answers[0].count; i++) {
        if (answers[0].rv[i] != answers[1].rv[i])
            fail_msg("answer %zu: 0x%lx, directly 0x%lx", i, answers[0].rv[i], answers[1].rv[i]);
    }
}

/* ---- clients and the server ---- */

static void wait_for_children(unsigned count)
{
    const struct timespec pause = {0, 10000000};

    for (int i = 0; i < 300 && remote_children(server) != count; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(remote_children(server), count);
}

static void test_forked(void **state)
{
    p11_ctx *ctx = remote_ctx(quick);
    p11_key *key = lab_key(ctx, "forked", P11_CURVE_P256, P11_USAGE_SIGN);
    int status = -1;
    pid_t pid;

    (void)state;
    signs(key);
    wait_for_children(1);
    pid = fork();
    if (pid == 0) {
        CK_INFO info;

        if (remote_cryptoki()->C_GetInfo(&info) != CKR_CRYPTOKI_NOT_INITIALIZED)
            _exit(1);
        for (int i = 0; i < 5; i++)
            if (lab_sign(key) != P11_OK)
                _exit(2);
        _exit(remote_children(server) == 2 ? 0 : 3); /* a connection of its own */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    signs(key);
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

        signs(key);
        remote_stop(server, SIGKILL);
        assert_int_equal(remote_cryptoki()->C_GetSlotList(CK_TRUE, NULL, &count),
                         CKR_DEVICE_REMOVED);
        if (i == 1) {
            assert_int_not_equal(lab_sign(key), P11_OK); /* no server: an error, no hanging */
            ERR_clear_error();
        }
        server = remote_start(LAB_MODULE);
        assert_int_equal(p11_key_derive(key, point, n, x, &size), P11_OK);
        signs(key);
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
    server = remote_start(LAB_MODULE);
    return NULL;
}

/* The server comes back within the deadline: one slow operation, no error. */
static void test_away_for_a_while(void **state)
{
    p11_ctx *ctx = remote_ctx(patient);
    p11_key *key = lab_key(ctx, "away", P11_CURVE_P256, P11_USAGE_SIGN);
    pthread_t thread;

    (void)state;
    signs(key);
    remote_stop(server, SIGKILL);
    assert_int_equal(pthread_create(&thread, NULL, restart_later, NULL), 0);
    signs(key);
    pthread_join(thread, NULL);
    signs(key);
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

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
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
    remote_stop(server, SIGTERM);
    remote_shimctl("create", NULL, NULL, NULL);
    snprintf(file, sizeof file, "%s/server.state", lab_dir);
    setenv("SHIM_STATE", file, 1);
    setenv("SHIM_MODULE", LAB_MODULE, 1);
    unsetenv("SHIM_SOCKET"); /* the server's own shim is one in the process */
    server = remote_start(remote_module);
    setenv("SHIM_SOCKET", remote_socket, 1);
    unsetenv("SHIM_STATE");
    unsetenv("SHIM_MODULE");
    ctx = remote_ctx(patient);
    key = lab_key(ctx, "stuck", P11_CURVE_P256, P11_USAGE_SIGN);
    signs(key);
    remote_shimctl("delay", "C_Sign", "1500000", NULL);
    begin = seconds();
    assert_int_equal(pthread_create(&thread, NULL, sign_once, key), 0);
    nanosleep(&pause, NULL);
    remote_shimctl("delay", "C_Sign", "0", NULL);
    signs(key);
    signs(key);
    assert_true(seconds() - begin < 1.4);
    pthread_join(thread, &result);
    assert_null(result);
    assert_true(seconds() - begin >= 1.5);
    p11_key_free(key);
    p11_ctx_free(ctx);
    remote_stop(server, SIGTERM);
    server = remote_start(LAB_MODULE);
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
        signs(key);
    }
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static int setup(void **state)
{
    (void)state;
    lab_open();
    remote_lab_setup();
    server = remote_start(LAB_MODULE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    lab_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_answers), cmocka_unit_test(test_same_keys),
        cmocka_unit_test(test_same_objects), cmocka_unit_test(test_forked),
        cmocka_unit_test(test_killed),       cmocka_unit_test(test_away_for_a_while),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_stuck_call),
        cmocka_unit_test(test_nonsense)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
