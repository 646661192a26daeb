/*
 * POST: the body is built when the RA has proved itself and not before, once, and is what is sent;
 * answers that are not of the protocol. And the Secured form of the header of a download.
 */
#include "tests/ee/scene.h"

#include <signal.h>

#include <openssl/sha.h>

#define OCTETS "Content-Type: application/octet-stream\r\n"

static struct scene scene;
static unsigned built;
static size_t body_size;
static uint8_t tbs[83];

static int open_scene(void **state)
{
    struct app_provider options = {.module = NULL};

    (void)state;
    scene_open(&scene);
    scene_enroll(&scene, &options, NULL);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_close(&scene);
    return 0;
}

static enum ee_status build(void *arg, uint8_t **body, size_t *size, struct ee_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};

    (void)arg;
    built++;
    cause.status = scms_signed_request_build(scene.crypto, scene.key, scene.certificate, tbs,
                                             sizeof(tbs), body, size, &cause);
    return cause.status == DOT2_OK ? EE_OK : ee_body_failed(&cause, error);
}

static enum ee_status fail_build(void *arg, uint8_t **body, size_t *size, struct ee_error *error)
{
    const struct dot2_error cause = {.status = DOT2_E_KEY_MISMATCH};

    (void)arg;
    (void)body;
    (void)size;
    built++;
    return ee_body_failed(&cause, error);
}

static struct ee_post request(void)
{
    built = 0;
    body_size = scms_signed_request_size(scene.key, scene.certificate, sizeof(tbs));
    return (struct ee_post){.path = "/provision-application-certificate",
                            .size = body_size,
                            .build = build,
                            .max_size = 1000};
}

static void sent_once(void **state)
{
    struct ee_post post = request();
    struct ee_post_result result;
    const struct asked *asked;
    uint8_t hash[32];

    (void)state;
    scene_answer(&scene,
                 (struct answer){.file = (const uint8_t *)"answer", .size = 6, .headers = OCTETS});
    assert_int_equal(ee_post(&scene.config, &post, &result, &scene.error), EE_OK);
    assert_int_equal(result.size, 6);
    assert_memory_equal(result.body, "answer", 6);
    assert_true(result.sent);
    assert_int_equal(built, 1);
    assert_int_equal(https_server_asked(scene.server), 1);
    asked = https_server_request(scene.server, 0);
    assert_string_equal(asked->line, "POST /provision-application-certificate HTTP/1.1");
    assert_string_equal(asked->content_type, "application/octet-stream");
    assert_null(strstr(asked->all, "Expect"));
    assert_null(strstr(asked->all, "Transfer-Encoding"));
    assert_int_equal(asked->body_size, body_size);
    SHA256(asked->body, asked->body_size, hash);
    assert_memory_equal(result.request_hash, hash + 24, 8);
    ee_post_result_clear(&result);
}

/* Requirement S2: nothing is built for a server that is not the RA. */
static void false_ra(void **state)
{
    static const struct {
        const char *host;
        long from, to;
        bool other_root;
    } tests[] = {{"127.0.0.1", -60, 3600, true},
                 {"ra.example", -60, 3600, false},
                 {"127.0.0.1", -7200, -3600, false},
                 {"127.0.0.1", 3600, 7200, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct lab_pair other = lab_root("Another root");
        struct lab_pair leaf = lab_leaf(tests[i].other_root ? &other : &scene.root, tests[i].host,
                                        tests[i].from, tests[i].to);
        struct https_server *server = https_server_start(&leaf, NULL);
        struct ee_config config = scene.config;
        struct ee_post post = request();
        struct ee_post_result result;
        char url[64];

        snprintf(url, sizeof(url), "https://127.0.0.1:%u", https_server_port(server));
        config.ra_url = url;
        https_server_plan(server, &(struct answer){.file = tbs, .size = 1, .headers = OCTETS}, 1);
        assert_int_equal(ee_post(&config, &post, &result, &scene.error), EE_E_TLS);
        assert_int_equal(built, 0);
        assert_false(result.sent);
        assert_int_equal(https_server_connections(server), 1);
        assert_int_equal(https_server_asked(server), 0);
        https_server_stop(server);
        lab_pair_clear(&leaf);
        lab_pair_clear(&other);
    }
}

static void answers(void **state)
{
    static uint8_t large[1001];
    static const struct {
        struct answer answer;
        enum ee_status status;
        const char *words;
    } tests[] = {
        {{.file = large, .size = 1000, .headers = OCTETS}, EE_OK, ""},
        {{.file = large, .size = 1000, .headers = OCTETS, .chunked = true}, EE_OK, ""},
        {{.file = large, .size = 5, .headers = "Content-Type: Application/Octet-Stream; a=b\r\n"},
         EE_OK,
         ""},
        {{.file = large, .size = 1001, .headers = OCTETS}, EE_E_RESPONSE, "more than 1000"},
        {{.file = large, .size = 0, .headers = OCTETS}, EE_E_RESPONSE, "empty"},
        {{.file = large, .size = 5}, EE_E_RESPONSE, "application/octet-stream"},
        {{.file = large, .size = 5, .headers = "Content-Type: application/octet-streams\r\n"},
         EE_E_RESPONSE,
         "application/octet-stream"},
        {{.file = large, .size = 5, .headers = OCTETS "Content-Encoding: br\r\n"},
         EE_E_RESPONSE,
         "Content-Encoding"},
        {{.file = large, .size = 900, .headers = OCTETS, .cut_after = 100}, EE_E_UNREACHABLE, ""},
        {{.close = true}, EE_E_REFUSED, "without an answer"},
        {{.reset = true}, EE_E_REFUSED, "without an answer"},
        {{.raw = "HTTP/1.1 500 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
         EE_E_REFUSED,
         "status 500"},
        {{.raw = "HTTP/1.1 500 x\r\nContent-Length: 0\r\nSCMS-POC-Error: 5057\r\n\r\n"},
         EE_E_REFUSED,
         "raDuplicateRequestReceived"},
        {{.raw = "HTTP/1.1 302 x\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"},
         EE_E_RESPONSE,
         "status 302"},
        {{.raw = "HTTP/1.1 204 x\r\n\r\n"}, EE_E_RESPONSE, "status 204"},
        {{.raw = "nonsense\r\n\r\n", .close_after = true}, EE_E_RESPONSE, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        struct ee_post post = request();
        struct ee_post_result result;
        enum ee_status status;

        scene_answer(&scene, tests[i].answer);
        status = ee_post(&scene.config, &post, &result, &scene.error);
        if (status != tests[i].status ||
            (status != EE_OK && strstr(scene.error.detail, tests[i].words) == NULL))
            fail_msg("answer %zu: %s: %s", i, ee_status_name(status), scene.error.detail);
        /* Whatever came: one request, one signature. */
        assert_int_equal(built, 1);
        assert_int_equal(https_server_asked(scene.server), 1);
        assert_true(result.sent);
        assert_true((result.body != NULL) == (status == EE_OK));
        ee_post_result_clear(&result);
    }
}

static void nothing_built(void **state)
{
    struct ee_post post = request();
    struct ee_post_result result;

    (void)state;
    scene_answer(&scene, (struct answer){.file = tbs, .size = 1, .headers = OCTETS});
    post.build = fail_build;
    assert_int_equal(ee_post(&scene.config, &post, &result, &scene.error), EE_E_SIGN);
    assert_false(result.sent);
    assert_int_equal(built, 1);
    assert_int_equal(https_server_asked(scene.server), 0);
    post.build = build;
    post.size++;
    assert_int_equal(ee_post(&scene.config, &post, &result, &scene.error), EE_E_ARGUMENT);
    assert_int_equal(https_server_asked(scene.server), 0);
    post.path = "no path";
    assert_int_equal(ee_post(&scene.config, &post, &result, &scene.error), EE_E_ARGUMENT);
}

/* The sizes that are announced before anything is signed. */
static void sizes(void **state)
{
    uint8_t *request_octets = NULL, data[70000] = {0};
    size_t size = 0;

    (void)state;
    for (size_t i = 1; i < sizeof(data); i = i < 400 ? i + 1 : i * 3) {
        assert_int_equal(scms_signed_request_build(scene.crypto, scene.key, scene.certificate, data,
                                                   i, &request_octets, &size, NULL),
                         DOT2_OK);
        assert_int_equal(size, scms_signed_request_size(scene.key, scene.certificate, i));
        OPENSSL_free(request_octets);
        assert_int_equal(scms_signed_request_build(scene.crypto, scene.key, NULL, data, i,
                                                   &request_octets, &size, NULL),
                         DOT2_OK);
        assert_int_equal(size, scms_signed_request_size(scene.key, NULL, i));
        OPENSSL_free(request_octets);
    }
}

static void size_of_curve(const char *group)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(scene.libctx, "provider=default", "EC", group);
    uint8_t *octets = NULL;
    size_t size = 0;

    assert_int_equal(
        scms_signed_request_build(scene.crypto, key, NULL, tbs, sizeof(tbs), &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(size, scms_signed_request_size(key, NULL, sizeof(tbs)));
    OPENSSL_free(octets);
    EVP_PKEY_free(key);
}

static void sizes_of_curves(void **state)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(scene.libctx, "provider=default", "EC", "P-384");

    (void)state;
    size_of_curve("brainpoolP256r1");
    size_of_curve("brainpoolP384r1");
    assert_int_equal(scms_signed_request_size(key, NULL, 10), 0);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sent_once), cmocka_unit_test(false_ra),
        cmocka_unit_test(answers),   cmocka_unit_test(nothing_built),
        cmocka_unit_test(sizes),     cmocka_unit_test(sizes_of_curves),
    };

    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
