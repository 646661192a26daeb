/*
 * gate_test.c: what is read of a request and what is not, as raw octets over TLS.
 */
#include "tests/ra/served.h"

#include <sys/socket.h>
#include <unistd.h>

static int setup(void **state)
{
    *state = served_chained(
        (struct ra_server_config){.stage = RA_STAGE_QA, .tolerance = UINT32_MAX}, 1000);
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

/*
 * More than is read of TLS at a time, in one record: what comes while the first request waits for
 * its turn.
 */
static void more_than_one_read(void **state)
{
    static const char one[] = "GET " CHAIN " HTTP/1.1\r\nHost: a\r\n\r\n";
    static const struct {
        const char *head;
        int status;
    } refused[] = {
        {"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 15000\r\n\r\n", 404},
        {"POST " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: 15000\r\n\r\n", 405},
        {"GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: 80000\r\n\r\n", 413},
    };
    const size_t count = 200;
    struct served *served = *state;
    struct client *client = client_open(served, NULL);
    char text[16000] = "";
    struct response response;

    assert_true(count * sizeof one < sizeof text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * (sizeof one - 1), one, sizeof one);
    client_say(client, text);
    for (size_t i = 0; i < count; i++) {
        response = client_read(client, false);
        assert_int_equal(response.status, 200);
        assert_pattern(&response, 0, 10);
        response_clear(&response);
    }
    client_close(client);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        client = client_open(served, NULL);
        memset(text, 'x', sizeof text);
        memcpy(text, refused[i].head, strlen(refused[i].head));
        client_send(client, text, strlen(refused[i].head) + 15000);
        response = client_read(client, false);
        assert_int_equal(response.status, refused[i].status);
        response_clear(&response);
        assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
        client_close(client);
    }
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
        cmocka_unit_test_setup_teardown(not_read, setup, served_teardown),
        cmocka_unit_test_setup_teardown(too_many_headers, setup, served_teardown),
        cmocka_unit_test_setup_teardown(too_long, setup, served_teardown),
        cmocka_unit_test_setup_teardown(plain_http, setup, served_teardown),
        cmocka_unit_test_setup_teardown(body_is_no_request, setup, served_teardown),
        cmocka_unit_test_setup_teardown(pipeline_and_pieces, setup, served_teardown),
        cmocka_unit_test_setup_teardown(more_than_one_read, setup, served_teardown),
        cmocka_unit_test_setup_teardown(http_1_0, setup, served_teardown),
        cmocka_unit_test_setup_teardown(log_is_not_forged, setup, served_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
