/*
 * download_test.c: what a device gets over TLS from a running server.
 */
#include "tests/ra/served.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_header(const struct response *response, const char *name, const char *value)
{
    const char *got = response_header(response, name);

    if (value == NULL ? got != NULL : got == NULL || strcmp(got, value) != 0)
        fail_msg("%s: %s instead of %s", name, got == NULL ? "none" : got,
                 value == NULL ? "none" : value);
}

static void etag_of(struct served *served, char etag[64])
{
    struct response response = download(served, APPLICATION, &served->lab->device, NAME, "");

    assert_int_equal(response.status, 200);
    snprintf(etag, 64, "%s", response_header(&response, "ETag"));
    response_clear(&response);
}

static void whole(void **state)
{
    struct served *served = *state;
    struct response response = download(served, APPLICATION, &served->lab->device, NAME, "");
    char etag[64];

    assert_int_equal(response.status, 200);
    assert_pattern(&response, 0, SIZE);
    assert_header(&response, "Content-Length", "10000");
    assert_header(&response, "Content-Type", "application/zip");
    assert_header(&response, "Content-Disposition", "attachment; filename=\"" NAME "\"");
    assert_header(&response, "Accept-Ranges", "bytes");
    assert_header(&response, "Transfer-Encoding", NULL);
    assert_header(&response, "Connection", NULL);
    snprintf(etag, sizeof etag, "%s", response_header(&response, "ETag"));
    assert_int_equal(strlen(etag), 34);
    response_clear(&response);
    assert_logged(served, "event=served");
    assert_logged(served, "service=application-certificate status=200 file=" NAME " bytes=10000");
    assert_logged(served, "hashedid8=");
    /* The same content has the same validator, another content another. */
    lab_file(served->lab, NAME, NULL, SIZE - 1);
    response = download(served, APPLICATION, &served->lab->device, NAME, "");
    assert_int_equal(response.size, SIZE - 1);
    assert_string_not_equal(response_header(&response, "ETag"), etag);
    response_clear(&response);
    lab_file(served->lab, NAME, NULL, SIZE);
    response = download(served, APPLICATION, &served->lab->device, NAME, "");
    assert_header(&response, "ETag", etag);
    response_clear(&response);
}

/* A short file comes with its head: one record, one call. */
static void one_record(void **state)
{
    struct served *served = *state;
    uint32_t now = 0;
    char *header;
    char request[4096], answer[16384 + 1];
    struct client *client = client_open(served, NULL);
    const char *octets;
    int size;

    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    header = lab_request(served->lab, &served->lab->device, now, NAME);
    snprintf(request, sizeof request,
             "GET " APPLICATION " HTTP/1.1\r\nHost: ra\r\nDownload-Req: %s\r\n\r\n", header);
    for (int i = 0; i < 2; i++) { /* and the next one on the same connection, too */
        client_say(client, request);
        size = SSL_read(client->ssl, answer, sizeof answer - 1);
        assert_true(size > SIZE);
        answer[size] = '\0';
        octets = strstr(answer, "\r\n\r\n");
        assert_non_null(octets);
        assert_int_equal(answer + size - (octets + 4), SIZE);
    }
    client_close(client);
    OPENSSL_free(header);
}

static void implicit_certificate(void **state)
{
    struct served *served = *state;
    struct response response;

    lab_file(served->lab, "1111111111111111.zip", &served->lab->implicit, 100);
    response = download(served, APPLICATION, &served->lab->implicit, "1111111111111111.zip", "");
    assert_int_equal(response.status, 200);
    assert_pattern(&response, 0, 100);
    response_clear(&response);
}

static void services(void **state)
{
    static const struct {
        const char *path, *name, *type;
    } tests[] = {
        {"/download/identity-certificate", "AB09281C9867DE53_F.zip", "application/zip"},
        {"/download/batch", "AB09281C9867DE53_0.zip", "application/zip"},
        {"/download/info", "AB09281C9867DE53.info", "application/octet-stream"},
    };
    struct served *served = *state;

    for (size_t i = 0; i < 3; i++) {
        struct response response;

        lab_file(served->lab, tests[i].name, &served->lab->device, 4 + i);
        response = download(served, tests[i].path, &served->lab->device, tests[i].name, "");
        assert_int_equal(response.status, 200);
        assert_pattern(&response, 0, 4 + i);
        assert_header(&response, "Content-Type", tests[i].type);
        response_clear(&response);
        /* The name of one service is none of another. */
        response = download(served, APPLICATION, &served->lab->device, tests[i].name, "");
        assert_int_equal(response.status, 500);
        response_clear(&response);
    }
}

static void ranges(void **state)
{
    static const struct {
        const char *range;
        int status;
        size_t first, size;
        const char *content_range;
    } tests[] = {
        {"bytes=500-700", 206, 500, 201, "bytes 500-700/10000"},
        {"bytes=1000-", 206, 1000, 9000, "bytes 1000-9999/10000"},
        {"bytes=0-0", 206, 0, 1, "bytes 0-0/10000"},
        {"bytes=0-", 206, 0, 10000, "bytes 0-9999/10000"},
        {"Bytes=9999-", 206, 9999, 1, "bytes 9999-9999/10000"},
        {"bytes=9990-20000", 206, 9990, 10, "bytes 9990-9999/10000"},
        {"bytes=9990-99999999999999999999999999", 206, 9990, 10, "bytes 9990-9999/10000"},
        {"bytes=-10", 206, 9990, 10, "bytes 9990-9999/10000"},
        {"bytes=-10000", 206, 0, 10000, "bytes 0-9999/10000"},
        {"bytes=-20000", 206, 0, 10000, "bytes 0-9999/10000"},
        {"bytes=10000-", 416, 0, 0, "bytes */10000"},
        {"bytes=20000-30000", 416, 0, 0, "bytes */10000"},
        {"bytes=99999999999999999999999999-", 416, 0, 0, "bytes */10000"},
        {"bytes=-0", 416, 0, 0, "bytes */10000"},
        {"bytes=700-500", 200, 0, 10000, NULL},
        {"bytes=a-b", 200, 0, 10000, NULL},
        {"bytes=5-b", 200, 0, 10000, NULL},
        {"bytes=-", 200, 0, 10000, NULL},
        {"bytes=", 200, 0, 10000, NULL},
        {"bytes=5", 200, 0, 10000, NULL},
        {"bytes=--5", 200, 0, 10000, NULL},
        {"bytes=+5-10", 200, 0, 10000, NULL},
        {"bytes=0x5-10", 200, 0, 10000, NULL},
        {"lines=1-2", 200, 0, 10000, NULL},
        {"1-2", 200, 0, 10000, NULL},
        {"bytes=0-1,5-6", 200, 0, 10000, NULL},
        {"bytes=0-1,", 200, 0, 10000, NULL},
        {"bytes = 0-1", 200, 0, 10000, NULL},
        {"bytes=0 -1", 200, 0, 10000, NULL},
    };
    struct served *served = *state;
    struct client *client = client_open(served, NULL); /* one connection for all */
    char etag[64];

    etag_of(served, etag);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        char line[100], *headers;
        struct response response;

        snprintf(line, sizeof line, "Range: %s\r\n", tests[i].range);
        headers = authenticated(served, &served->lab->device, NAME, line);
        response = request_on(client, "GET", APPLICATION, headers);
        OPENSSL_free(headers);
        if (response.status != tests[i].status)
            fail_msg("%s: %d", tests[i].range, response.status);
        assert_header(&response, "Content-Range", tests[i].content_range);
        assert_header(&response, "ETag", etag);
        assert_pattern(&response, tests[i].first, tests[i].size);
        response_clear(&response);
    }
    client_close(client);
    assert_logged(served, "range=500-700/10000");
    assert_logged(served, "status=416");
}

static void if_range(void **state)
{
    struct served *served = *state;
    char etag[64], line[200];
    static const char *const others[] = {"\"other\"", "W/%s", "Mon, 23 Nov 2026 19:00:00 GMT"};
    struct response response;

    etag_of(served, etag);
    snprintf(line, sizeof line, "Range: bytes=100-\r\nIf-Range: %s\r\n", etag);
    response = download(served, APPLICATION, &served->lab->device, NAME, line);
    assert_int_equal(response.status, 206);
    assert_pattern(&response, 100, SIZE - 100);
    response_clear(&response);
    for (size_t i = 0; i < 3; i++) {
        char value[100];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(value, sizeof value, others[i], etag);
#pragma GCC diagnostic pop
        snprintf(line, sizeof line, "Range: bytes=100-\r\nIf-Range: %s\r\n", value);
        response = download(served, APPLICATION, &served->lab->device, NAME, line);
        assert_int_equal(response.status, 200);
        assert_pattern(&response, 0, SIZE);
        response_clear(&response);
    }
    /* Even a range that cannot be satisfied is ignored with a validator of another content. */
    response = download(served, APPLICATION, &served->lab->device, NAME,
                        "Range: bytes=20000-\r\nIf-Range: \"other\"\r\n");
    assert_int_equal(response.status, 200);
    response_clear(&response);
}

static void head(void **state)
{
    struct served *served = *state;
    struct client *client = client_open(served, NULL);
    char *headers = authenticated(served, &served->lab->device, NAME, "Range: bytes=0-1\r\n");
    struct response response = request_on(client, "HEAD", APPLICATION, headers);
    char etag[64];

    etag_of(served, etag);
    assert_int_equal(response.status, 200); /* Range is for GET */
    assert_header(&response, "Content-Length", "10000");
    assert_header(&response, "ETag", etag);
    response_clear(&response);
    /* The connection goes on: nothing followed the head. */
    response = request_on(client, "GET", APPLICATION, headers);
    assert_int_equal(response.status, 206);
    assert_pattern(&response, 0, 2);
    response_clear(&response);
    OPENSSL_free(headers);
    client_close(client);
}

static void not_modified(void **state)
{
    static const struct {
        const char *format;
        int status;
    } tests[] = {
        {"If-None-Match: %s\r\n", 304},
        {"If-None-Match: W/%s\r\n", 304},
        {"If-None-Match: \"a\", %s\r\n", 304},
        {"If-None-Match: *\r\n%.0s", 304},
        {"If-None-Match: \"other\"\r\n%.0s", 200},
        {"If-None-Match: x%s\r\n", 200},
        {"If-None-Match: \"\r\n%.0s", 200},
        {"If-None-Match: %s\r\nRange: bytes=0-1\r\n", 304},
    };
    struct served *served = *state;
    char etag[64];

    etag_of(served, etag);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        char line[200];
        struct response response;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(line, sizeof line, tests[i].format, etag);
#pragma GCC diagnostic pop
        response = download(served, APPLICATION, &served->lab->device, NAME, line);
        if (response.status != tests[i].status)
            fail_msg("%s: %d", line, response.status);
        assert_header(&response, "ETag", etag);
        response_clear(&response);
    }
}

/* Larger than a slice of the validator and than the buffers: octet for octet, in two parts too. */
static void large(void **state)
{
    struct served *served = *state;
    size_t size = 3 * 1024 * 1024 + 17;
    struct response response;
    struct client *client;
    char *headers;

    lab_file(served->lab, NAME, NULL, size);
    response = download(served, APPLICATION, &served->lab->device, NAME, "");
    assert_int_equal(response.status, 200);
    assert_pattern(&response, 0, size);
    response_clear(&response);
    response =
        download(served, APPLICATION, &served->lab->device, NAME, "Range: bytes=1234567-\r\n");
    assert_int_equal(response.status, 206);
    assert_pattern(&response, 1234567, size - 1234567);
    response_clear(&response);
    /* A device that goes away in the middle. */
    client = client_open(served, NULL);
    headers = authenticated(served, &served->lab->device, NAME, "");
    client_say(client, "GET " APPLICATION " HTTP/1.1\r\nHost: a\r\n");
    client_say(client, headers);
    client_say(client, "\r\n");
    OPENSSL_free(headers);
    assert_int_equal(client_ending(client, 2000), ENDING_DATA);
    client_close(client);
    assert_logged(served, "event=aborted");
}

static void empty(void **state)
{
    struct served *served = *state;
    struct client *client = client_open(served, NULL);
    static const char *const extra[] = {"", "Range: bytes=-5\r\n", "Range: bytes=0-\r\n"};

    lab_file(served->lab, NAME, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        char *headers = authenticated(served, &served->lab->device, NAME, extra[i]);
        struct response response = request_on(client, "GET", APPLICATION, headers);

        assert_int_equal(response.status, i == 2 ? 416 : 200);
        assert_header(&response, "Content-Length", "0");
        response_clear(&response);
        OPENSSL_free(headers);
    }
    client_close(client);
}

/* Names are compared without case, on the wire and on the disk. */
static void names(void **state)
{
    static const char *const on_disk[] = {"00000000000000AB.zip", "00000000000000ac.zip",
                                          "00000000000000AD.ZIP", "00000000000000Ae.zIp",
                                          "00000000000000af.ZIP"};
    static const char *const asked[] = {"00000000000000ab.ZIP", "00000000000000AC.zip",
                                        "00000000000000ad.zip", "00000000000000aE.zip",
                                        "00000000000000AF.zip"};
    struct served *served = *state;

    for (size_t i = 0; i < 5; i++) {
        lab_file(served->lab, on_disk[i], &served->lab->device, 10 + i);
    }
    for (size_t i = 0; i < 5; i++) {
        struct response response =
            download(served, APPLICATION, &served->lab->device, asked[i], "");

        if (response.status != 200)
            fail_msg("%s: %d", asked[i], response.status);
        assert_pattern(&response, 0, 10 + i);
        response_clear(&response);
    }
}

static void only_regular_files(void **state)
{
    struct served *served = *state;
    struct lab *lab = served->lab;
    char path[200];
    static const char *const bad[] = {"0000000000000001.zip", "0000000000000002.zip",
                                      "0000000000000003.zip", "0000000000000004.zip"};

    snprintf(path, sizeof path, "%s/%s", lab->downloads, bad[0]);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    snprintf(path, sizeof path, "%s/%s", lab->downloads, bad[1]);
    assert_int_equal(symlink(NAME, path), 0); /* one that stays in the directory, too */
    snprintf(path, sizeof path, "%s/%s", lab->downloads, bad[2]);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/%s", lab->downloads, bad[3]);
    assert_int_equal(mkfifo(path, 0600), 0);
    for (size_t i = 0; i < 4; i++) {
        struct response response;

        lab_assign(lab, bad[i], lab->device.cert);
        served_log_clear(served);
        response = download(served, APPLICATION, &lab->device, bad[i], "");
        assert_int_equal(response.status, 404); /* QA */
        assert_int_equal(response.size, 0);
        assert_header(&response, "SCMS-POC-Error", "5065");
        response_clear(&response);
        assert_logged(served, "reason=file_unknown");
        assert_logged(served, "not a regular file");
    }
}

static void public_files(void **state)
{
    static const char *const same[] = {
        "If-None-Match: \"local_certificate_chains_01_03.oer\"\r\n",
        "If-None-Match: local_certificate_chains_01_03.oer\r\n",
        "If-None-Match: W/\"local_certificate_chains_01_03.oer\"\r\n"};
    struct served *served = *state;
    struct lab *lab = served->lab;
    char policy[200], chain[200], text[200];
    struct response response;

    /* Not configured: not served. */
    response = request(served, "GET", "/download/policy/local", "");
    assert_int_equal(response.status, 404);
    assert_header(&response, "SCMS-POC-Error", "5072");
    response_clear(&response);

    lab_file(lab, "local_policy_02.oer", NULL, 300);
    lab_file(lab, "local_certificate_chains_01_03.oer", NULL, 400);
    snprintf(policy, sizeof policy, "%s/local_policy_02.oer", lab->downloads);
    snprintf(chain, sizeof chain, "%s/local_certificate_chains_01_03.oer", lab->downloads);
    assert_int_equal(ra_server_set_files(served->server, policy, chain, text, sizeof text), 0);
    response = request(served, "GET", "/download/policy/local", "");
    assert_int_equal(response.status, 200);
    assert_pattern(&response, 0, 300);
    assert_header(&response, "ETag", "\"local_policy_02.oer\"");
    response_clear(&response);
    response = request(served, "GET", "/download/local-certificate-chain",
                       "If-None-Match: \"local_certificate_chains_01_02.oer\"\r\n");
    assert_int_equal(response.status, 200);
    assert_pattern(&response, 0, 400);
    assert_header(&response, "ETag", "\"local_certificate_chains_01_03.oer\"");
    assert_header(&response, "Content-Disposition",
                  "attachment; filename=\"local_certificate_chains_01_03.oer\"");
    assert_header(&response, "Content-Type", "application/octet-stream");
    response_clear(&response);
    for (size_t i = 0; i < 3; i++) {
        response = request(served, "GET", "/download/local-certificate-chain", same[i]);
        assert_int_equal(response.status, 304);
        assert_header(&response, "ETag", "\"local_certificate_chains_01_03.oer\"");
        response_clear(&response);
    }
    response = request(served, "GET", "/download/local-certificate-chain",
                       "Range: bytes=100-\r\n"
                       "If-Range: \"local_certificate_chains_01_03.oer\"\r\n");
    assert_int_equal(response.status, 206);
    assert_pattern(&response, 100, 300);
    response_clear(&response);
    response = request(served, "HEAD", "/download/local-certificate-chain", "");
    assert_int_equal(response.status, 200);
    assert_header(&response, "Content-Length", "400");
    response_clear(&response);

    assert_int_equal(unlink(chain), 0);
    response = request(served, "GET", "/download/local-certificate-chain", "");
    assert_int_equal(response.status, 404);
    assert_header(&response, "SCMS-POC-Error", "5068");
    response_clear(&response);
    assert_int_equal(ra_server_set_files(served->server, "/tmp/a\"b", NULL, text, sizeof text), -1);
    assert_int_equal(ra_server_set_files(served->server, "/tmp/", NULL, text, sizeof text), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(one_record, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(implicit_certificate, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(services, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(ranges, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(if_range, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(head, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(not_modified, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(large, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(empty, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(names, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(only_regular_files, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(public_files, served_setup, served_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
