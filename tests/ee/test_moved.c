/*
 * Requirement S7: a long-running EE asks the DNS anew for each contact, so that an RA can be moved
 * by repointing its name. Two RAs on 127.0.0.1 and 127.0.0.2 have one port and one certificate; the
 * name is resolved here, in place of the C library's resolver, and the old RA is still there when
 * the name has moved.
 */
#include "tests/ee/scene.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>

#define NAME "ra.moving.test"

static _Atomic unsigned looked_up;
static const char *_Atomic address; /* NULL: there is no such name */

/* The dynamic linker finds this one before the C library's, for libcurl too. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (name != NULL && strcmp(name, NAME) == 0) {
        atomic_fetch_add(&looked_up, 1);
        name = atomic_load(&address);
        if (name == NULL)
            return EAI_NONAME;
    }
    return real(name, service, hints, result);
}

static struct scene scene;
static struct lab_pair leaf;
static struct https_server *servers[2];
static unsigned port;
static uint8_t *file;

static const char *const places[2] = {"127.0.0.1", "127.0.0.2"};

static void start(int place)
{
    servers[place] = https_server_start_at(&leaf, places[place], port);
    assert_non_null(servers[place]);
    https_server_plan(servers[place],
                      &(struct answer){.file = file, .size = 100000, .etag = "\"one\""}, 1);
}

static int open_scene(void **state)
{
    const struct app_provider options = {.module = NULL};
    static char url[64];

    (void)state;
    scene_open(&scene);
    scene_enroll(&scene, &options, NULL);
    file = lab_octets(100000, 1);
    leaf = lab_leaf(&scene.root, NAME, -60, 3600);
    /* A port that is free at both addresses. */
    for (int i = 0; i < 20 && servers[1] == NULL; i++) {
        if (servers[0] != NULL)
            https_server_stop(servers[0]);
        servers[0] = https_server_start_at(&leaf, places[0], 0);
        assert_non_null(servers[0]);
        port = https_server_port(servers[0]);
        servers[1] = https_server_start_at(&leaf, places[1], port);
    }
    assert_non_null(servers[1]);
    snprintf(url, sizeof(url), "https://%s:%u", NAME, port);
    scene.config.ra_url = url;
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        https_server_stop(servers[i]);
    scene_close(&scene);
    lab_pair_clear(&leaf);
    free(file);
    return 0;
}

/* Forgets what was asked; the name is at this place from now on. */
static void move_to(int place)
{
    for (int i = 0; i < 2; i++)
        https_server_plan(servers[i],
                          &(struct answer){.file = file, .size = 100000, .etag = "\"one\""}, 1);
    atomic_store(&address, place < 0 ? NULL : places[place]);
    atomic_store(&looked_up, 0);
}

static void downloads_from(int place)
{
    enum ee_status status = scene_download(&scene);

    if (status != EE_OK)
        fail_msg("%s: %s", ee_status_name(status), scene.error.detail);
    scene_assert_file(&scene, file, 100000);
    assert_int_equal(https_server_asked(servers[place]), 1);
    assert_int_equal(https_server_connections(servers[1 - place]), 0);
    assert_int_equal(atomic_load(&looked_up), 1);
}

static enum ee_status body(void *arg, uint8_t **octets, size_t *size, struct ee_error *error)
{
    (void)arg;
    (void)error;
    *octets = OPENSSL_zalloc(10);
    *size = 10;
    return *octets != NULL ? EE_OK : EE_E_MEMORY;
}

static void posts_to(int place)
{
    struct ee_post post = {.path = "/provision-application-certificate", .size = 10, .build = body};
    struct ee_post_result result;

    https_server_plan(servers[place],
                      &(struct answer){.file = file,
                                       .size = 10,
                                       .headers = "Content-Type: application/octet-stream\r\n"},
                      1);
    if (ee_post(&scene.config, &post, &result, &scene.error) != EE_OK)
        fail_msg("%s", scene.error.detail);
    ee_post_result_clear(&result);
    assert_int_equal(https_server_asked(servers[place]), 1);
    assert_int_equal(https_server_connections(servers[1 - place]), 0);
}

/* The old RA would still answer: only the name says where to go. */
static void moved_and_back(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        move_to(i % 2);
        downloads_from(i % 2);
        move_to(i % 2);
        posts_to(i % 2);
        assert_int_equal(atomic_load(&looked_up), 1);
    }
}

/* The old RA is gone before the name has moved: that contact fails, the next one does not. */
static void moved_late(void **state)
{
    (void)state;
    move_to(0);
    downloads_from(0);
    https_server_stop(servers[0]);
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    atomic_store(&address, places[1]);
    https_server_plan(servers[1], &(struct answer){.file = file, .size = 100000}, 1);
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, 100000);
    assert_int_equal(atomic_load(&looked_up), 3);
    start(0);
    move_to(0);
    downloads_from(0);
}

/* A name that is not there for a while is asked for again, too. */
static void no_name(void **state)
{
    (void)state;
    move_to(-1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    assert_true(atomic_load(&looked_up) >= 2);
    move_to(1);
    downloads_from(1);
}

/* A transfer that broke off at the old RA goes on at the new one, where it was. */
static void resumed_elsewhere(void **state)
{
    const struct asked *asked = NULL;

    (void)state;
    move_to(0);
    https_server_plan(
        servers[0],
        &(struct answer){.file = file, .size = 100000, .etag = "\"one\"", .cut_after = 40000}, 1);
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    move_to(1);
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_true(scene.result.resumed_from > 0);
    asked = https_server_request(servers[1], 0);
    assert_int_equal(strncmp(asked->range, "bytes=", 6), 0);
    assert_int_equal(https_server_connections(servers[0]), 0);
    scene_assert_file(&scene, file, 100000);
}

/* The configured address of a lab is taken instead of the DNS, however often. */
static void fixed_address(void **state)
{
    char resolve[100];

    (void)state;
    snprintf(resolve, sizeof(resolve), "%s:%u:%s", NAME, port, places[1]);
    scene.config.resolve = resolve;
    move_to(0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(scene_download(&scene), EE_OK);
    assert_int_equal(https_server_asked(servers[1]), 2);
    assert_int_equal(atomic_load(&looked_up), 0);
    scene.config.resolve = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moved_and_back), cmocka_unit_test(moved_late), cmocka_unit_test(no_name),
        cmocka_unit_test(resumed_elsewhere), cmocka_unit_test(fixed_address)};

    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
