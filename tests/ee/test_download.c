/* Whole downloads: what is sent, what is accepted, how refusals and wrong answers end. */
#include "tests/ee/scene.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 100000u

static struct scene scene;
static uint8_t *file;

static int open_scene(void **state)
{
    (void)state;
    scene_open(&scene);
    file = lab_octets(SIZE, 1);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_close(&scene);
    free(file);
    return 0;
}

static void whole_file(void **state)
{
    const struct asked *asked;

    (void)state;
    scene_answer(&scene, (struct answer){.file = file,
                                         .size = SIZE,
                                         .etag = "\"v1\"",
                                         .headers = "Content-Disposition: attachment; "
                                                    "filename=\"local_policy_01.oer\"\r\n"});
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, SIZE);
    assert_int_equal(scene.result.size, SIZE);
    assert_int_equal(scene.result.received, SIZE);
    assert_int_equal(scene.result.resumed_from, 0);
    assert_int_equal(scene.result.signatures, 0);
    assert_string_equal(scene.result.filename, "local_policy_01.oer");
    assert_string_equal(scene.result.etag, "\"v1\"");
    assert_int_equal(strncmp(scene.result.tls, "TLSv1.3 ", 8), 0);
    assert_string_equal(scene.result.ra_subject, "CN=127.0.0.1");
    assert_string_equal(scene.result.root_subject, "CN=Test X.509 root");

    assert_int_equal(https_server_asked(scene.server), 1);
    asked = https_server_request(scene.server, 0);
    assert_string_equal(asked->line, "GET /download/policy/local HTTP/1.1");
    assert_string_equal(asked->host, scene.url + strlen("https://"));
    assert_string_equal(asked->range, "");
    assert_string_equal(asked->if_range, "");
    assert_string_equal(asked->if_none_match, "");
    assert_null(strstr(asked->all, "Download-Req"));
    assert_null(strstr(asked->all, "Authorization"));
    assert_null(strstr(asked->all, "Cookie"));
}

static void name_from_the_etag(void **state)
{
    (void)state;
    scene_answer(&scene, (struct answer){.file = file, .size = 10, .etag = "\"chain_01_03.oer\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_string_equal(scene.result.filename, "\"chain_01_03.oer\"");
    scene_assert_file(&scene, file, 10);
}

static void empty_file_and_chunked_file(void **state)
{
    (void)state;
    scene_answer(&scene, (struct answer){.file = file, .size = 0, .etag = "\"e\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, 0);
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .chunked = true});
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_int_equal(scene.result.size, SIZE);
    scene_assert_file(&scene, file, SIZE);
}

static void tls12_with_the_minimum_suite(void **state)
{
    static const char *const suites[] = {"ECDHE-ECDSA-AES128-SHA256",
                                         "ECDHE-ECDSA-AES128-GCM-SHA256"};
    struct ee_config kept = scene.config;
    struct https_server *server;
    char url[64], expected[64];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        server = https_server_start(&scene.leaf, suites[i]);
        https_server_plan(server, &(struct answer){.file = file, .size = 10}, 1);
        snprintf(url, sizeof(url), "https://127.0.0.1:%u", https_server_port(server));
        scene.config.ra_url = url;
        assert_int_equal(scene_download(&scene), EE_OK);
        snprintf(expected, sizeof(expected), "TLSv1.2 %s", suites[i]);
        assert_string_equal(scene.result.tls, expected);
        scene_assert_file(&scene, file, 10);
        https_server_stop(server);
    }
    /* A suite that is not offered. */
    server = https_server_start(&scene.leaf, "ECDHE-ECDSA-AES256-SHA384");
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", https_server_port(server));
    assert_int_equal(scene_download(&scene), EE_E_TLS);
    https_server_stop(server);
    scene.config = kept;
}

static void not_modified(void **state)
{
    const char *answer = "HTTP/1.1 304 Not Modified\r\nETag: \"chain_01_03.oer\"\r\n\r\n";

    (void)state;
    scene_answer(&scene, (struct answer){.raw = answer});
    scene.download.have = "chain_01_03.oer";
    assert_int_equal(scene_download(&scene), EE_NOT_MODIFIED);
    assert_string_equal(https_server_request(scene.server, 0)->if_none_match,
                        "\"chain_01_03.oer\"");
    scene_assert_no_file(&scene);
    assert_false(lab_exists(lab_path("file.part")));
    scene_answer(&scene, (struct answer){.raw = answer});
    scene.download.have = "W/\"a b\"";
    assert_int_equal(scene_download(&scene), EE_E_ARGUMENT);
    scene.download.have = "\"chain_01_03.oer\"";
    assert_int_equal(scene_download(&scene), EE_NOT_MODIFIED);
    assert_string_equal(https_server_request(scene.server, 0)->if_none_match,
                        "\"chain_01_03.oer\"");
    /* Another version is there: it comes. */
    scene_answer(&scene, (struct answer){.file = file, .size = 7, .etag = "\"v2\""});
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, 7);
    /* Nobody asked. */
    scene.download.have = NULL;
    scene_answer(&scene, (struct answer){.raw = answer});
    assert_int_equal(scene_download(&scene), EE_E_RESPONSE);
    scene.download.have = "a\r\nX: y";
    assert_int_equal(scene_download(&scene), EE_E_ARGUMENT);
    scene.download.have = NULL;
}

/* Each answer, and how the download ends. Nothing is ever written. */
static void refusals_and_wrong_answers(void **state)
{
    static const struct {
        const char *raw;
        enum ee_status status;
        long http_status;
        int scms_code;
        const char *detail;
    } tests[] = {
        {"HTTP/1.1 500 Internal\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", EE_E_REFUSED,
         500, 0, "status 500"},
        {"HTTP/1.1 500 Internal\r\nConnection: close\r\nContent-Length: 0\r\n"
         "SCMS-POC-Error: 5055\r\nSCMS-POC-Error-Message: x\r\n\r\n",
         EE_E_REFUSED, 500, 5055, "Enrollment certificate blacklisted"},
        {"HTTP/1.1 500 Internal\r\nContent-Length: 0\r\nSCMS-POC-Error: 5063\r\n"
         "SCMS-POC-Error-Message: Something\r\n\r\n",
         EE_E_REFUSED, 500, 5063, "error 5063: Something"},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", EE_E_REFUSED, 404, 0, "404"},
        {"HTTP/1.1 416 x\r\nContent-Length: 0\r\n\r\n", EE_E_REFUSED, 416, 0, "416"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", EE_E_REFUSED, 503, 0, "503"},
        {"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
         EE_E_RESPONSE, 302, 0, "redirection"},
        {"HTTP/1.1 204 No Content\r\n\r\n", EE_E_RESPONSE, 204, 0, "204"},
        {"HTTP/1.1 206 x\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\n\r\nabcd",
         EE_E_RESPONSE, 206, 0, "without a range"},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
         EE_E_RESPONSE, 200, 0, "Content-Encoding"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", EE_E_RESPONSE,
         200, 0, "Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         EE_E_RESPONSE, 200, 0, "two lengths"},
        {"HTTP/1.1 200 OK\r\nETag: \"a\"\r\nETag: \"b\"\r\nContent-Length: 1\r\n\r\nx",
         EE_E_RESPONSE, 200, 0, "ETag"},
        {"HTTP/1.1 200 OK\r\n\r\nabcd", EE_E_RESPONSE, 200, 0, "without its length"},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", EE_E_RESPONSE, 0, 0, ""},
        {"HTTP/0.9 what\r\n\r\n", EE_E_RESPONSE, 0, 0, ""},
    };
    enum ee_status status;

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        scene_answer(&scene, (struct answer){.raw = tests[i].raw, .close_after = true});
        status = scene_download(&scene);
        if (status != tests[i].status || scene.error.http_status != tests[i].http_status ||
            scene.error.scms_code != tests[i].scms_code ||
            strstr(scene.error.detail, tests[i].detail) == NULL)
            fail_msg("%s: %s, %ld, %d, %s", tests[i].raw, ee_status_name(status),
                     scene.error.http_status, scene.error.scms_code, scene.error.detail);
        assert_int_equal(scene.error.status, status);
        assert_int_equal(https_server_asked(scene.server), 1);
        scene_assert_no_file(&scene);
        assert_false(lab_exists(lab_path("file.part")));
        assert_false(lab_exists(lab_path("file.part.validator")));
    }
}

static void closed_before_the_status(void **state)
{
    (void)state;
    scene_answer(&scene, (struct answer){.close = true});
    assert_int_equal(scene_download(&scene), EE_E_REFUSED);
    assert_int_equal(scene.error.http_status, 0);
    scene_answer(&scene, (struct answer){.reset = true});
    assert_int_equal(scene_download(&scene), EE_E_REFUSED);
    scene_assert_no_file(&scene);
}

/* What a refusal says of the two clocks, and what the caller is told of the RA's. */
static void clock_of_the_ra(void **state)
{
    static const struct {
        const char *headers;
        int64_t date;
        bool told; /* that the clocks are apart */
    } tests[] = {
        {"Date: Tue, 06 Jan 2015 08:00:00 GMT\r\n", 1420531200, true},
        {"date:Tue, 06 Jan 2015 08:00:00 GMT\r\n", 1420531200, true},
        {"Date: Tue, 06 Jan 2015 08:00:00 GMT\r\nAge: 3\r\n", 0, false},
        {"Age: 3\r\nDate: Tue, 06 Jan 2015 08:00:00 GMT\r\n", 0, false},
        {"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 0, false},
        {"Date: yesterday\r\n", 0, false},
        {"Date:\r\n", 0, false},
        {"", 0, false},
    };
    char raw[300];

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        snprintf(raw, sizeof(raw), "HTTP/1.1 500 x\r\n%sContent-Length: 0\r\n\r\n",
                 tests[i].headers);
        scene_answer(&scene, (struct answer){.raw = raw, .close_after = true});
        assert_int_equal(scene_download(&scene), EE_E_REFUSED);
        assert_int_equal(scene.result.date, tests[i].date);
        if (tests[i].told)
            assert_non_null(strstr(scene.error.detail, " s ahead of the RA's"));
        else
            assert_string_equal(scene.error.detail, "status 500");
    }
}

static void endless_headers(void **state)
{
    size_t room = 40000, used;
    char *raw = malloc(room);

    (void)state;
    used = (size_t)snprintf(raw, room, "HTTP/1.1 200 OK\r\n");
    while (used + 100 < room)
        used += (size_t)snprintf(raw + used, room - used, "X-Line: %064d\r\n", 1);
    scene_answer(&scene, (struct answer){.raw = raw, .close_after = true});
    assert_int_equal(scene_download(&scene), EE_E_RESPONSE);
    assert_non_null(strstr(scene.error.detail, "headers are too large"));
    free(raw);
}

static void larger_than_allowed(void **state)
{
    (void)state;
    scene.download.max_size = 1000;
    scene_answer(&scene, (struct answer){.file = file, .size = 1001, .etag = "\"a\""});
    assert_int_equal(scene_download(&scene), EE_E_RESPONSE);
    assert_non_null(strstr(scene.error.detail, "limit"));
    scene_answer(&scene, (struct answer){.file = file, .size = 1001, .chunked = true});
    assert_int_equal(scene_download(&scene), EE_E_RESPONSE);
    assert_non_null(strstr(scene.error.detail, "limit"));
    assert_false(lab_exists(lab_path("file.part")));
    scene_answer(&scene, (struct answer){.file = file, .size = 1000, .chunked = true});
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, 1000);
    scene.download.max_size = 0;
}

/* A proxy, a .netrc and certificates of the environment are there, and are not used. */
static void environment_is_ignored(void **state)
{
    (void)state;
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("HTTPS_PROXY", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "socks5://127.0.0.1:1", 1);
    setenv("no_proxy", "", 1);
    setenv("HOME", lab_path(""), 1);
    lab_write(lab_path(".netrc"), "machine 127.0.0.1 login u password p\n", 37);
    scene_answer(&scene, (struct answer){.file = file, .size = 10});
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, 10);
    assert_null(strstr(https_server_request(scene.server, 0)->all, "Authorization"));
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("no_proxy");
}

static void stalls_and_nobody(void **state)
{
    struct ee_config kept = scene.config;

    (void)state;
    scene.config.stall_timeout = 2;
    scene_answer(&scene, (struct answer){.hang = true});
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    scene_answer(&scene, (struct answer){.file = file, .size = SIZE, .hang_after = 5000});
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    scene_assert_no_file(&scene);
    /* Without an ETag there is nothing to go on with. */
    assert_false(lab_exists(lab_path("file.part")));
    scene.config.ra_url = "https://127.0.0.1:1";
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    scene.config = kept;
}

static void arguments(void **state)
{
    struct ee_config config = scene.config;
    struct ee_download download = scene.download;

    (void)state;
#define REFUSED_WITH(change)                                                                       \
    do {                                                                                           \
        change;                                                                                    \
        assert_int_equal(scene_download(&scene), EE_E_ARGUMENT);                                   \
        assert_true(scene.error.detail[0] != '\0');                                                \
        scene.config = config;                                                                     \
        scene.download = download;                                                                 \
    } while (0)
    REFUSED_WITH(scene.config.ra_url = "http://127.0.0.1");
    REFUSED_WITH(scene.config.tls_root = NULL);
    REFUSED_WITH(scene.config.tls_root = "/nonexistent/root.pem");
    REFUSED_WITH(scene.config.tls_root = "/dev/null");
    REFUSED_WITH(scene.config.resolve = "other:8892:127.0.0.1");
    REFUSED_WITH(scene.download.path = "/download/../x");
    REFUSED_WITH(scene.download.path = "download");
    REFUSED_WITH(scene.download.path = "/a\r\nX: y");
    REFUSED_WITH(scene.download.path = "/a?b");
    REFUSED_WITH(scene.download.output = "");
    REFUSED_WITH(scene.download.output = "directory/");
    REFUSED_WITH(scene.download.filename = "a/b");
    REFUSED_WITH(scene.download.filename = "");
    REFUSED_WITH(scene.download.filename = FILE_NAME); /* and no key */
#undef REFUSED_WITH
    scene.download.output = "/nonexistent/directory/file";
    assert_int_equal(scene_download(&scene), EE_E_FILE);
    assert_int_equal(mkdir(lab_path("d.part"), 0700), 0);
    scene.download.output = lab_path("d");
    assert_int_equal(scene_download(&scene), EE_E_FILE);
    assert_int_equal(symlink("/nonexistent", lab_path("l.part")), 0);
    scene.download.output = lab_path("l");
    assert_int_equal(scene_download(&scene), EE_E_FILE);
    assert_int_equal(mkfifo(lab_path("f.part"), 0600), 0);
    scene.download.output = lab_path("f");
    assert_int_equal(scene_download(&scene), EE_E_FILE);
    scene.download = download;
}

static bool stop_at_once(void *arg, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    ++*(unsigned *)arg;
    return false;
}

static void stopped_while_nothing_comes(void **state)
{
    unsigned calls = 0;

    (void)state;
    scene_answer(&scene, (struct answer){.hang = true});
    scene.download.progress = stop_at_once;
    scene.download.progress_arg = &calls;
    assert_int_equal(scene_download(&scene), EE_E_ABORTED);
    assert_true(calls > 0);
    scene.download.progress = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_file),
        cmocka_unit_test(name_from_the_etag),
        cmocka_unit_test(empty_file_and_chunked_file),
        cmocka_unit_test(tls12_with_the_minimum_suite),
        cmocka_unit_test(not_modified),
        cmocka_unit_test(refusals_and_wrong_answers),
        cmocka_unit_test(closed_before_the_status),
        cmocka_unit_test(clock_of_the_ra),
        cmocka_unit_test(endless_headers),
        cmocka_unit_test(larger_than_allowed),
        cmocka_unit_test(environment_is_ignored),
        cmocka_unit_test(stalls_and_nobody),
        cmocka_unit_test(arguments),
        cmocka_unit_test(stopped_while_nothing_comes),
    };

    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
