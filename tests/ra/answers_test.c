/*
 * answers_test.c: what the answer to a request that is refused says, of a path, a method, a device
 * or a time, in stages QA and PROD and if the connection is to be closed instead.
 */
#include "tests/ra/served.h"

static int setup(void **state)
{
    *state = served_chained(
        (struct ra_server_config){.stage = RA_STAGE_QA, .tolerance = UINT32_MAX}, 1000);
    return 0;
}

static int setup_prod(void **state)
{
    *state = served_chained(
        (struct ra_server_config){.stage = RA_STAGE_PROD, .tolerance = UINT32_MAX}, 1000);
    return 0;
}

static int setup_close(void **state)
{
    *state = served_chained(
        (struct ra_server_config){.on_auth_failure = RA_CLOSE, .tolerance = UINT32_MAX}, 1000);
    return 0;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(other_paths, setup, served_teardown),
        cmocka_unit_test_setup_teardown(other_methods, setup, served_teardown),
        cmocka_unit_test_setup_teardown(refusal_in_prod, setup_prod, served_teardown),
        cmocka_unit_test_setup_teardown(who, setup, served_teardown),
        cmocka_unit_test_setup_teardown(when, setup, served_teardown),
        cmocka_unit_test_setup_teardown(close_without_answer, setup_close, served_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
