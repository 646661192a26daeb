/*
 * gate_test.c: requests that are refused, or not read at all, as raw octets over TLS.
 */
#include "tests/ra/served.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define APPLICATION "/download/application-certificate"
#define CHAIN "/download/local-certificate-chain"
#define NAME "AB09281C9867DE53.zip"

static struct served *start(const struct ra_server_config *config)
{
    struct lab *lab = lab_new();
    struct ra_server_config whole = {.stage = RA_STAGE_QA, .tolerance = UINT32_MAX};
    char chain[200];

    if (config != NULL)
        whole = *config;
    lab_file(lab, NAME, &lab->device, 1000);
    lab_file(lab, "chain.oer", NULL, 10);
    snprintf(chain, sizeof chain, "%s/chain.oer", lab->downloads);
    whole.chain_file = chain;
    return served_start(lab, &whole);
}

static int setup(void **state)
{
    *state = start(NULL);
    return 0;
}

static int setup_prod(void **state)
{
    *state = start(&(struct ra_server_config){.stage = RA_STAGE_PROD, .tolerance = UINT32_MAX});
    return 0;
}

static int setup_close(void **state)
{
    *state =
        start(&(struct ra_server_config){.on_auth_failure = RA_CLOSE, .tolerance = UINT32_MAX});
    return 0;
}

static int teardown(void **state)
{
    struct served *served = *state;
    struct lab *lab = served->lab;

    served_stop(served);
    lab_free(lab);
    return 0;
}

/* Heads that leave a doubt: the connection ends without an answer, and the log says why. */
static void not_read(void **state)
{
#define HEAD(text) text, sizeof text - 1
    static const struct {
        const char *octets;
        size_t size;
        const char *reason;
    } tests[] = {
        {HEAD("GET " CHAIN " HTTP/1.1\r\n\r\n"), "host_missing"},
        {HEAD("GET " CHAIN " HTTP/1.0\r\n\r\n"), "host_missing"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "host_twice"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n"), "host_twice"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost:\r\n\r\n"), "host"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a/b\r\n\r\n"), "host"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a, b\r\n\r\n"), "host"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n"
              "\r\n"),
         "content_length_twice"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n"
              "\r\n"),
         "content_length_twice"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n"),
         "content_length"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n"), "content_length"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"), "content_length"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n"),
         "content_length"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"), "content_length"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n"),
         "content_length"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
              "Transfer-Encoding: chunked\r\n\r\n"),
         "transfer_encoding"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
         "transfer_encoding"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost : a\r\n\r\n"), "header_name"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nRange : bytes=0-1\r\n\r\n"), "header_name"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nRange\t: bytes=0-1\r\n\r\n"), "header_name"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n"), "header_name"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n"), "header_name"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n"), "header_name"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nX\0Y: 1\r\n\r\n"), "header_name"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n"), "folded_header"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\n Host: a\r\n\r\n"), "folded_header"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nX: 1\0\r\n\r\n"), "header_value"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\r\n\r\n"), "header_value"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"), "header_value"},
        {HEAD("GET " CHAIN " HTTP/1.1\nHost: a\r\n\r\n"), "line_ending"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n"), "line_ending"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n"), "line_ending"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nRange: bytes=0-2\r\n\r\n"),
         "duplicate_header"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nDownload-Req: a\r\nDownload-Req: b\r\n\r\n"),
         "duplicate_header"},
        {HEAD("GET " CHAIN " HTTP/1.1\r\nHost: a\r\nIf-None-Match: a\r\nif-none-match: b\r\n\r\n"),
         "duplicate_header"},
        {HEAD("GET  " CHAIN " HTTP/1.1\r\nHost: a\r\n\r\n"), "request_line"},
        {HEAD("GET " CHAIN "\r\nHost: a\r\n\r\n"), "request_line"},
        {HEAD("GET\r\nHost: a\r\n\r\n"), "request_line"},
        {HEAD(" GET " CHAIN " HTTP/1.1\r\nHost: a\r\n\r\n"), "request_line"},
        {HEAD("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"), "request_line"},
        {HEAD("GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"), "request_line"},
        {HEAD("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), "request_line"},
        {HEAD("\r\n\r\n"), "request_line"},
        {HEAD("GET " CHAIN " HTTP/2.0\r\nHost: a\r\n\r\n"), "http_version"},
        {HEAD("GET " CHAIN " HTTP/1.2\r\nHost: a\r\n\r\n"), "http_version"},
        {HEAD("GET " CHAIN " HTTP/1.1 \r\nHost: a\r\n\r\n"), "http_version"},
        {HEAD("GET " CHAIN " x HTTP/1.1\r\nHost: a\r\n\r\n"), "http_version"},
        {HEAD("GET " CHAIN " http/1.1\r\nHost: a\r\n\r\n"), "http_version"},
        {HEAD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "http_version"},
    };
#undef HEAD
    struct served *served = *state;

    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        struct client *client = client_open(served, NULL);
        char line[80];
        enum ending ending;

        served_log_clear(served);
        client_send(client, tests[i].octets, tests[i].size);
        ending = client_ending(client, 3000);
        if (ending != ENDING_NOTIFY)
            fail_msg("case %zu (%s): ending %d", i, tests[i].reason, (int)ending);
        snprintf(line, sizeof line, "event=closed reason=%s ", tests[i].reason);
        assert_logged(served, line);
        client_close(client);
    }
}

static void too_many_headers(void **state)
{
    struct served *served = *state;
    struct client *client = client_open(served, NULL);

    client_say(client, "GET " CHAIN " HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 64; i++)
        client_say(client, "X: 1\r\n");
    client_say(client, "\r\n");
    assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
    assert_logged(served, "reason=too_many_headers");
    client_close(client);
}

/* Download-Req over 8,192 octets is refused by us; all headers over 16 kB are not read. */
static void too_long(void **state)
{
    struct served *served = *state;
    char *headers = malloc(20000);
    struct response response;
    struct client *client;

    assert_non_null(headers);
    memset(headers, 'A', 20000);
    memcpy(headers, "Download-Req: ", 14);
    memcpy(headers + 14 + 8193, "\r\n", 3);
    response = request(served, "GET", APPLICATION, headers);
    assert_int_equal(response.status, 500);
    assert_string_equal(response_header(&response, "SCMS-POC-Error"), "5070");
    response_clear(&response);
    assert_logged(served, "event=refused reason=header_too_long");
    assert_logged(served, "8193 octets, more than 8192");
    memcpy(headers + 14 + 8192, "\r\n", 3);
    response = request(served, "GET", APPLICATION, headers);
    assert_int_equal(response.status, 500);
    response_clear(&response);
    assert_logged(served, "event=refused reason=request_malformed");

    /* A whole head of more than 16 kB, and one that never ends. */
    for (int i = 0; i < 2; i++) {
        memset(headers, 'A', 20000);
        memcpy(headers, "X: ", 3);
        memcpy(headers + 16400, i == 0 ? "\r\n\r\n" : "AAAA", 5);
        served_log_clear(served);
        client = client_open(served, NULL);
        client_say(client, "GET " CHAIN " HTTP/1.1\r\nHost: a\r\n");
        client_say(client, headers);
        assert_int_not_equal(client_ending(client, 3000), ENDING_OPEN);
        client_close(client);
        assert_logged(served, "event=closed reason=headers_too_long");
    }
    free(headers);
}

static void plain_http(void **state)
{
    static const char text[] = "GET " CHAIN " HTTP/1.1\r\nHost: a\r\n\r\n";
    struct served *served = *state;
    int fd = client_connect(served, 0);
    char answer[100];
    ssize_t n;

    assert_int_equal(send(fd, text, sizeof text - 1, 0), sizeof text - 1);
    n = recv(fd, answer, sizeof answer, 0);
    assert_true(n <= 7); /* a TLS alert at the most */
    if (n > 0)
        assert_int_equal(answer[0], 21);
    if (n > 0)
        assert_true(recv(fd, answer, sizeof answer, 0) <= 0);
    close(fd);
    assert_logged(served, "event=closed reason=tls_handshake");
    assert_logged(served, "detail=\"http request\"");
}

static void other_paths(void **state)
{
    static const char *const paths[] = {
        "/",
        "/download",
        "/download/",
        "/download/batch/",
        "/download/batch?x=1",
        "/download//batch",
        "/Download/Batch",
        "/download/application-certificate/" NAME,
        "/download/application-certificate/../../../etc/passwd",
        "/../../../../etc/passwd",
        "/download/%2e%2e/%2e%2e/etc/passwd",
        "/download/batch%00",
        "/%64ownload/batch",
        "/download/batch#x",
        "//download/batch",
        "https://localhost/download/batch",
        "http://localhost/download/batch",
        "//localhost:1/download/batch",
        "localhost:443",
        "*",
        "\\..\\..\\etc\\passwd",
        "/download/batch/..;/info",
        "/[",
        "/provision-application-certificate/",
        "/provision-application-certificates",
        "/download-crl/",
    };
    struct served *served = *state;

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct client *client = client_open(served, NULL);
        struct response response;

        served_log_clear(served);
        response = request_on(client, "GET", paths[i], "");
        if (response.status != 404)
            fail_msg("%s: %d", paths[i], response.status);
        assert_string_equal(response_header(&response, "SCMS-POC-Error"), "5072");
        assert_int_equal(response.size, 0);
        assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
        response_clear(&response);
        client_close(client);
        assert_logged(served, "event=refused reason=invalid_url");
    }
}

static void other_methods(void **state)
{
    static const char *const methods[] = {"POST",  "PUT",     "DELETE", "OPTIONS", "TRACE",
                                          "PATCH", "CONNECT", "get",    "BREW",    "GETX"};
    struct served *served = *state;

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct client *client = client_open(served, NULL);
        struct response response = request_on(client, methods[i], CHAIN, "");

        if (response.status != 405)
            fail_msg("%s: %d", methods[i], response.status);
        assert_string_equal(response_header(&response, "Allow"), "GET, HEAD");
        assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
        response_clear(&response);
        client_close(client);
    }
    assert_logged(served, "event=refused reason=method");
}

/*
 * A GET may have a body, which says nothing: it must be taken off the stream, or a request inside
 * of it would be answered.
 */
static void body_is_no_request(void **state)
{
    static const char inner[] = "GET " CHAIN " HTTP/1.1\r\nHost: inner\r\n\r\n";
    struct served *served = *state;
    struct client *client = client_open(served, NULL);
    struct response response;
    char text[400];

    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text,
                 "%s " CHAIN " HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n%s",
                 i < 2 ? "GET" : "HEAD",
                 i % 2 == 0 ? "" : "Expect: 100-continue\r\nConnection: x, keep-alive\r\n",
                 sizeof inner - 1, inner);
        client_say(client, text);
        response = client_read(client, i >= 2);
        assert_int_equal(response.status, 200);
        assert_pattern(&response, 0, i < 2 ? 10 : 0);
        response_clear(&response);
        assert_int_equal(client_ending(client, 300), ENDING_OPEN);
    }
    response = request_on(client, "HEAD", CHAIN, "");
    assert_int_equal(response.status, 200);
    response_clear(&response);
    client_close(client);
    /* Too large a one is not read at all. */
    client = client_open(served, NULL);
    response = request_on(client, "GET", CHAIN, "Content-Length: 65537\r\n");
    assert_int_equal(response.status, 413);
    assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
    response_clear(&response);
    client_close(client);
    assert_logged(served, "event=refused reason=body_too_large");
}

/* Several requests in one record, and one request in many. */
static void pipeline_and_pieces(void **state)
{
    static const char one[] = "GET " CHAIN " HTTP/1.1\r\nHost: a\r\n\r\n";
    struct served *served = *state;
    struct client *client = client_open(served, NULL);
    struct response response;
    char text[1000] = "";

    for (int i = 0; i < 5; i++)
        strcat(text, one);
    client_say(client, text);
    for (int i = 0; i < 5; i++) {
        response = client_read(client, false);
        assert_int_equal(response.status, 200);
        assert_pattern(&response, 0, 10);
        response_clear(&response);
    }
    for (size_t i = 0; i < sizeof one - 1; i++)
        client_send(client, one + i, 1);
    response = client_read(client, false);
    assert_int_equal(response.status, 200);
    response_clear(&response);
    client_close(client);

    /* What follows a refusal is not read, */
    client = client_open(served, NULL);
    snprintf(text, sizeof text, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n%s", one);
    client_say(client, text);
    response = client_read(client, false);
    assert_int_equal(response.status, 404);
    response_clear(&response);
    assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
    client_close(client);
    /* nor what follows a request that wants the connection closed. */
    client = client_open(served, NULL);
    snprintf(text, sizeof text,
             "GET " CHAIN " HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close\r\n\r\n%s", one);
    client_say(client, text);
    response = client_read(client, false);
    assert_int_equal(response.status, 200);
    assert_string_equal(response_header(&response, "Connection"), "close");
    response_clear(&response);
    assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
    client_close(client);
}

static void http_1_0(void **state)
{
    struct served *served = *state;
    struct client *client = client_open(served, NULL);
    struct response response;

    client_say(client, "GET " CHAIN " HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    response = client_read(client, false);
    assert_int_equal(response.status, 200);
    assert_pattern(&response, 0, 10);
    response_clear(&response);
    client_say(client, "GET " CHAIN " HTTP/1.0\r\nHost: a\r\n\r\n");
    response = client_read(client, false);
    assert_int_equal(response.status, 200);
    assert_pattern(&response, 0, 10);
    response_clear(&response);
    assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
    client_close(client);
}

/* Exactly what design.md says of a refusal: status, two headers and evhttp's date, nothing else. */
static void refusal_in_prod(void **state)
{
    static const char *const paths[] = {"/x", APPLICATION, "/download/policy/local"};
    struct served *served = *state;

    for (size_t i = 0; i < 4; i++) {
        struct client *client = client_open(served, NULL);
        struct response response = request_on(client, i == 3 ? "POST" : "GET", paths[i % 3], "");
        char *date;

        date = strstr(response.head, "Date: ");
        assert_non_null(date);
        memmove(date, strstr(date, "\r\n") + 2, strlen(strstr(date, "\r\n") + 2) + 1);
        assert_string_equal(response.head, "HTTP/1.1 500 Internal Server Error\r\n"
                                           "Connection: close\r\n"
                                           "Content-Length: 0\r\n\r\n");
        assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
        response_clear(&response);
        client_close(client);
    }
}

static void refuse(struct served *served, const struct lab_cert *device, const char *name,
                   const char *reason, const char *code)
{
    struct response response = download(served, APPLICATION, device, name, "");
    char line[200];
    const uint8_t *id = dot2_cert_hashedid8(device->cert);

    if (response.status != (strncmp(reason, "file_", 5) == 0 ? 404 : 500))
        fail_msg("%s: %d", reason, response.status);
    assert_string_equal(response_header(&response, "SCMS-POC-Error"), code);
    assert_string_equal(response_header(&response, "SCMS-POC-Error-Message"),
                        scms_error_find(atoi(code))->message);
    assert_string_equal(response_header(&response, "Connection"), "close");
    assert_string_equal(response_header(&response, "Content-Length"), "0");
    response_clear(&response);
    snprintf(line, sizeof line, "event=refused reason=%s ", reason);
    assert_logged(served, line);
    snprintf(line, sizeof line, "code=%s ", code);
    assert_logged(served, line);
    snprintf(line, sizeof line, "hashedid8=%02X%02X%02X%02X%02X%02X%02X%02X", id[0], id[1], id[2],
             id[3], id[4], id[5], id[6], id[7]);
    assert_logged(served, line);
    served_log_clear(served);
}

static void who(void **state)
{
    struct served *served = *state;
    struct lab *lab = served->lab;
    struct lab_cert stranger = lab_authority(lab, NULL);
    struct lab_cert unknown = lab_issue(lab, &stranger, NULL);
    struct lab_cert expired =
        lab_issue(lab, &lab->eca, &(struct lab_variant){.start = -7200, .minutes = 60});
    struct lab_cert mirrored = {.cert = lab_mirror(lab, lab->device.cert), .key = lab->device.key};

    refuse(served, &unknown, NAME, "certificate", "5067");
    refuse(served, &expired, NAME, "certificate", "5067");
    refuse(served, &lab->other, NAME, "file_of_another", "5065");
    refuse(served, &lab->device, "0000000000000000.zip", "file_unknown", "5065");
    refuse(served, &lab->device, "../" NAME, "filename", "5070");
    refuse(served, &lab->device, "%2e%2e/" NAME, "filename", "5070");
    lab_blacklist(lab, lab->device.cert, RA_BLACKLIST_HASHEDID8);
    refuse(served, &lab->device, NAME, "blacklisted", "5055");
    refuse(served, &mirrored, NAME, "blacklisted", "5055");
    dot2_cert_free(mirrored.cert);
    lab_cert_clear(&stranger);
    lab_cert_clear(&unknown);
    lab_cert_clear(&expired);
}

static void when(void **state)
{
    struct served *served = *state;
    struct lab *lab = served->lab;

    for (int i = 0; i < 2; i++) {
        uint32_t now;
        char *value, line[8300];
        struct response response;

        assert_int_equal(dot2_time32_now(&now), DOT2_OK);
        /* A second more than the tolerance would do; the clock goes on meanwhile. */
        value = lab_request(lab, &lab->device, i == 0 ? now - 6 : now + 8, NAME);
        snprintf(line, sizeof line, "Download-Req: %s\r\n", value);
        OPENSSL_free(value);
        response = request(served, "GET", APPLICATION, line);
        assert_int_equal(response.status, 500);
        assert_string_equal(response_header(&response, "SCMS-POC-Error"), "5070");
        response_clear(&response);
        assert_logged(served, "event=refused reason=time ");
        served_log_clear(served);
    }
}

/* on-auth-failure = close: nothing is said to who fails to authenticate. */
static void close_without_answer(void **state)
{
    struct served *served = *state;
    struct client *client = client_open(served, NULL);
    char *headers = authenticated(served, &served->lab->other, NAME, "");
    struct response response;

    client_say(client, "GET " APPLICATION " HTTP/1.1\r\nHost: a\r\n");
    client_say(client, headers);
    client_say(client, "\r\n");
    assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
    OPENSSL_free(headers);
    client_close(client);
    assert_logged(served, "event=refused reason=file_of_another");
    assert_logged(served, "status=closed");
    response = download(served, APPLICATION, &served->lab->device, NAME, "");
    assert_int_equal(response.status, 200);
    response_clear(&response);
}

/* Nothing that a peer sends can make a second line of the log, or a control character in it. */
static void log_is_not_forged(void **state)
{
    struct served *served = *state;
    struct response response = download(served, APPLICATION, &served->lab->device,
                                        "\r\nevent=served reason=\"\x1b[2J\x7f", "");

    assert_int_equal(response.status, 500);
    response_clear(&response);
    assert_logged(served, "reason=filename");
    pthread_mutex_lock(&served->lock);
    for (size_t i = 0; i < served->log_size; i++)
        assert_true(served->log[i] == '\n' || (served->log[i] >= ' ' && served->log[i] <= '~'));
    assert_null(strstr(served->log, "\nevent=served reason="));
    pthread_mutex_unlock(&served->lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_http, setup, teardown),
        cmocka_unit_test_setup_teardown(other_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(other_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(body_is_no_request, setup, teardown),
        cmocka_unit_test_setup_teardown(pipeline_and_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(http_1_0, setup, teardown),
        cmocka_unit_test_setup_teardown(refusal_in_prod, setup_prod, teardown),
        cmocka_unit_test_setup_teardown(who, setup, teardown),
        cmocka_unit_test_setup_teardown(when, setup, teardown),
        cmocka_unit_test_setup_teardown(close_without_answer, setup_close, teardown),
        cmocka_unit_test_setup_teardown(log_is_not_forged, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
