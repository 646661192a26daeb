/*
 * post_test.c: POST as HTTP has it and as it can be got wrong; the Secured form of downloads; the
 * MA's file service; other paths.
 */
#include "tests/ra/posting.h"

#include <time.h>

#define APP_URL "/download/application-certificate"

static void say_head(struct client *client, const char *path, const char *headers, size_t size)
{
    char head[400];

    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n", path, size,
             headers);
    client_say(client, head);
}

static void content_type(void **state)
{
    static const char *const good[] = {"Content-Type: application/octet-stream\r\n",
                                       "content-type:Application/OCTET-stream \r\n",
                                       "Content-Type: application/octet-stream; a=b\r\n"};
    static const char *const bad[] = {"",
                                      "Content-Type: \r\n",
                                      "Content-Type: text/plain\r\n",
                                      "Content-Type: application/octet-streams\r\n",
                                      "Content-Type: application/octet\r\n",
                                      "Content-Type: a; application/octet-stream\r\n",
                                      "Content-Type: multipart/form-data; boundary=x\r\n"};
    struct posting *posting = *state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct octets body = posting_body(posting, &posting->lab->device, NULL);
        struct response response = post(posting, APP_PATH, bad[i], &body);

        assert_int_equal(response.status, 415);
        assert_refused_as(posting, &response, SCMS_RA_WRONG_PARAMETERS, "content_type");
        octets_clear(&body);
    }
    assert_int_equal(pending(posting), 0);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct lab_cert device = posting_device(posting);
        struct octets body = posting_body(posting, &device, NULL);
        struct response response = post(posting, APP_PATH, good[i], &body);

        assert_ack(posting, &response, &body, SCMS_PROVISION_APP, APP_URL);
        octets_clear(&body);
        lab_cert_clear(&device);
    }
}

static void empty(void **state)
{
    static const char *const paths[] = {APP_PATH, ID_PATH, PSEUDONYM_PATH,
                                        "/retrieve-ra-certificate"};
    struct posting *posting = *state;

    for (size_t i = 0; i < 4; i++) {
        const struct octets nothing = {NULL, 0};
        struct response response = post(posting, paths[i], OCTETS, &nothing);

        assert_int_equal(response.status, 500);
        assert_refused_as(posting, &response, SCMS_RA_WRONG_PARAMETERS, "body_empty");
        /* Without a Content-Length there is no body either. */
        response = request(posting->served, "POST", paths[i], OCTETS);
        assert_refused_as(posting, &response, SCMS_RA_WRONG_PARAMETERS, "body_empty");
    }
}

static void too_large(void **state)
{
    struct posting *posting = *state;
    struct client *client = client_open(posting->served, NULL);
    struct octets body = {OPENSSL_zalloc(65536), 65536};
    struct response response;

    /* It is refused before anything of it has come. */
    assert_non_null(client);
    say_head(client, APP_PATH, OCTETS, 65537);
    response = client_read(client, false);
    assert_int_equal(response.status, 413);
    assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
    client_close(client);
    assert_refused_as(posting, &response, SCMS_RA_WRONG_PARAMETERS, "body_too_large");
    /* One of the greatest size is read. */
    refuses(posting, APP_PATH, body, SCMS_RA_WRONG_PARAMETERS, "request_malformed");
}

static void cut_short(void **state)
{
    struct posting *posting = *state;
    struct client *client = client_open(posting->served, NULL);
    struct octets body = posting_body(posting, &posting->lab->device, NULL);

    assert_non_null(client);
    say_head(client, APP_PATH, OCTETS, body.size);
    client_send(client, body.data, body.size - 1);
    client_close(client);
    assert_logged(posting->served, "reason=request_incomplete");
    assert_int_equal(pending(posting), 0);
    /* A Content-Length that is too small: the message is cut, and what follows is no request. */
    client = client_open(posting->served, NULL);
    assert_non_null(client);
    say_head(client, APP_PATH, OCTETS, body.size - 1);
    client_send(client, body.data, body.size);
    {
        struct response response = client_read(client, false);

        assert_refused_as(posting, &response, SCMS_RA_WRONG_PARAMETERS, "request_malformed");
    }
    client_close(client);
    assert_int_equal(pending(posting), 0);
    octets_clear(&body);
}

static void slow_body(void **state)
{
    struct ra_server_config config = {.stage = RA_STAGE_QA,
                                      .tolerance = UINT32_MAX,
                                      .body_deadline = 1,
                                      .provision = ra_provision_default()};
    struct posting *posting = posting_start(&config);
    struct client *client = client_open(posting->served, NULL);

    (void)state;
    assert_non_null(client);
    say_head(client, APP_PATH, OCTETS, 100);
    client_say(client, "x");
    assert_int_equal(client_ending(client, 4000), ENDING_NOTIFY);
    assert_logged(posting->served, "reason=body_timeout");
    client_close(client);
    posting_stop(posting);
}

static void in_parts(void **state)
{
    static const struct timespec pause = {.tv_nsec = 20000000};
    struct posting *posting = *state;
    struct client *client = client_open(posting->served, NULL);
    struct octets body = posting_body(posting, &posting->lab->device, NULL);
    struct response response;

    assert_non_null(client);
    say_head(client, APP_PATH, OCTETS, body.size);
    for (size_t at = 0; at < body.size; at += 100) {
        client_send(client, body.data + at, body.size - at < 100 ? body.size - at : 100);
        nanosleep(&pause, NULL);
    }
    response = client_read(client, false);
    assert_ack(posting, &response, &body, SCMS_PROVISION_APP, APP_URL);
    octets_clear(&body);
    /* The connection stays, and the next body is not the last one's. */
    body = posting_body(posting, &posting->lab->other, NULL);
    response = post_on(client, APP_PATH, OCTETS, &body);
    assert_ack(posting, &response, &body, SCMS_PROVISION_APP, APP_URL);
    response = request_on(client, "GET", "/download/batch", "");
    assert_refused_as(posting, &response, SCMS_RA_INVALID_SIGNATURE, "header_missing");
    octets_clear(&body);
    client_close(client);
}

static void expect_continue(void **state)
{
    static const char expect[] = OCTETS "Expect: 100-continue\r\n";
    struct posting *posting = *state;
    struct client *client = client_open(posting->served, NULL);
    struct octets body = posting_body(posting, &posting->lab->device, NULL);
    struct response response;

    assert_non_null(client);
    say_head(client, APP_PATH, expect, body.size);
    response = client_read(client, true);
    assert_int_equal(response.status, 100);
    response_clear(&response);
    client_send(client, body.data, body.size);
    response = client_read(client, false);
    assert_ack(posting, &response, &body, SCMS_PROVISION_APP, APP_URL);
    octets_clear(&body);
    /* Who does not wait is not told. */
    body = posting_body(posting, &posting->lab->other, NULL);
    {
        size_t size = strlen(expect) + body.size + 200;
        char *all = malloc(size);
        int n;

        assert_non_null(all);
        n = snprintf(all, size,
                     "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n",
                     APP_PATH, body.size, expect);
        memcpy(all + n, body.data, body.size);
        client_send(client, all, (size_t)n + body.size);
        free(all);
    }
    response = client_read(client, false);
    assert_ack(posting, &response, &body, SCMS_PROVISION_APP, APP_URL);
    octets_clear(&body);
    /* What is refused whatever the body says is refused at once. */
    say_head(client, APP_PATH, "Expect: 100-continue\r\nContent-Type: text/plain\r\n", 1000);
    response = client_read(client, false);
    assert_refused_as(posting, &response, SCMS_RA_WRONG_PARAMETERS, "content_type");
    client_close(client);
}

static void methods(void **state)
{
    static const struct {
        const char *method, *path, *allow;
    } tests[] = {{"GET", APP_PATH, "POST"},       {"HEAD", ID_PATH, "POST"},
                 {"PUT", PSEUDONYM_PATH, "POST"}, {"GET", "/retrieve-ra-certificate", "POST"},
                 {"POST", APP_URL, "GET, HEAD"},  {"POST", "/download/policy/local", "GET, HEAD"}};
    struct posting *posting = *state;

    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        struct response response = request(posting->served, tests[i].method, tests[i].path, OCTETS);

        assert_int_equal(response.status, 405);
        assert_string_equal(response_header(&response, "Allow"), tests[i].allow);
        assert_refused_as(posting, &response, SCMS_RA_WRONG_PARAMETERS, "method");
    }
}

static void chunked(void **state)
{
    struct posting *posting = *state;
    struct client *client = client_open(posting->served, NULL);

    assert_non_null(client);
    client_say(client, "POST " APP_PATH " HTTP/1.1\r\nHost: localhost\r\n" OCTETS
                       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_int_equal(client_ending(client, 3000), ENDING_NOTIFY);
    assert_logged(posting->served, "reason=transfer_encoding");
    client_close(client);
}

static void prod(void **state)
{
    struct ra_server_config config = {.tolerance = UINT32_MAX, .provision = ra_provision_default()};
    struct posting *posting = posting_start(&config);
    struct octets body = posting_body(posting, &posting->lab->device, NULL);
    struct response response = post(posting, APP_PATH, OCTETS, &body);

    (void)state;
    assert_ack(posting, &response, &body, SCMS_PROVISION_APP, APP_URL);
    for (int i = 0; i < 2; i++) {
        response = post(posting, APP_PATH, i == 0 ? OCTETS : "", &body);
        assert_int_equal(response.status, 500);
        assert_null(response_header(&response, "SCMS-POC-Error"));
        assert_null(response_header(&response, "SCMS-POC-Error-Message"));
        assert_int_equal(response.size, 0);
        response_clear(&response);
    }
    assert_logged(posting->served, "reason=duplicate");
    octets_clear(&body);
    posting_stop(posting);
}

static void closing(void **state)
{
    struct ra_server_config config = {
        .tolerance = UINT32_MAX, .on_auth_failure = RA_CLOSE, .provision = ra_provision_default()};
    struct posting *posting = posting_start(&config);
    struct octets body = posting_body(posting, &posting->lab->device, NULL);
    struct response response;

    (void)state;
    body.data[body.size - 1] ^= 1;
    response = post(posting, APP_PATH, OCTETS, &body);
    assert_int_equal(response.status, 0);
    response_clear(&response);
    assert_logged(posting->served, "reason=decrypt");
    octets_clear(&body);
    posting_stop(posting);
}

/* ---- downloads ---- */

static struct response secured_download(struct posting *posting, const dot2_cert *ra, bool flip)
{
    struct lab *lab = posting->lab;
    struct octets plain = {NULL, 0}, secured;
    struct response response;
    char *value, *header;
    uint32_t now;

    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    plain.data = lab_request_octets(lab, lab->device.cert, lab->device.key, now, NAME, &plain.size);
    secured = secured_to(posting, ra, &plain);
    if (flip)
        secured.data[secured.size - 1] ^= 1;
    value = lab_base64(secured.data, secured.size);
    header = malloc(strlen(value) + 40);
    assert_non_null(header);
    sprintf(header, "Download-Req: %s\r\n", value);
    response = request(posting->served, "GET", APP_URL, header);
    free(header);
    OPENSSL_free(value);
    octets_clear(&secured);
    octets_clear(&plain);
    return response;
}

static void secured_header(void **state)
{
    for (int required = 0; required < 2; required++) {
        struct ra_server_config config = {.stage = RA_STAGE_QA,
                                          .tolerance = UINT32_MAX,
                                          .require_secured = required == 1,
                                          .provision = ra_provision_default()};
        struct posting *posting = posting_start(&config);
        struct response response;

        lab_file(posting->lab, NAME, &posting->lab->device, 100);
        response = secured_download(posting, posting->newest.cert, false);
        assert_int_equal(response.status, 200);
        assert_pattern(&response, 0, 100);
        response_clear(&response);
        response = secured_download(posting, posting->old.cert, false);
        assert_int_equal(response.status, 200);
        response_clear(&response);
        response = secured_download(posting, posting->stranger.cert, false);
        assert_refused_as(posting, &response, SCMS_RA_AUTHENTICATION_FAILED, "not_recipient");
        response = secured_download(posting, posting->newest.cert, true);
        assert_refused_as(posting, &response, SCMS_RA_AUTHENTICATION_FAILED, "decrypt");
        response = download(posting->served, APP_URL, &posting->lab->device, NAME, "");
        if (required == 1) {
            assert_refused_as(posting, &response, SCMS_RA_REQUEST_NOT_ENCRYPTED, "not_encrypted");
        } else {
            assert_int_equal(response.status, 200);
            response_clear(&response);
        }
        posting_stop(posting);
    }
    (void)state;
}

/* An RA without keys of its own serves as it did before it could have any. */
static void without_keys(void **state)
{
    struct lab *lab = lab_new();
    struct served *served = served_start(lab, NULL);
    struct response response =
        request(served, "POST", APP_PATH, OCTETS "Content-Length: 1\r\n\r\nx");

    (void)state;
    assert_int_equal(response.status, 404);
    assert_string_equal(response_header(&response, "SCMS-POC-Error"), "5072");
    response_clear(&response);
    served_end(served);
}

/* ---- the MA, and paths ---- */

static void crl(void **state)
{
    struct lab *lab = lab_new();
    char path[200], etag[100];
    struct ra_server_config config = {.stage = RA_STAGE_QA, .crl_file = path};
    struct response response;
    struct served *served;

    (void)state;
    snprintf(path, sizeof path, "%s/composite.crl", lab->downloads);
    served = served_start(lab, &config);
    response = request(served, "GET", "/download-crl/", "");
    assert_int_equal(response.status, 404);
    assert_null(response_header(&response, "SCMS-POC-Error"));
    response_clear(&response);
    lab_file(lab, "composite.crl", NULL, 70000);
    for (int i = 0; i < 2; i++) {
        response = request(served, "GET", i == 0 ? "/download-crl/" : "/download-crl", "");
        assert_int_equal(response.status, 200);
        assert_pattern(&response, 0, 70000);
        snprintf(etag, sizeof etag, "If-None-Match: %s\r\n", response_header(&response, "ETag"));
        response_clear(&response);
    }
    response = request(served, "GET", "/download-crl/", etag);
    assert_int_equal(response.status, 304);
    response_clear(&response);
    lab_file(lab, "composite.crl", NULL, 100);
    response = request(served, "GET", "/download-crl/", etag);
    assert_int_equal(response.status, 200);
    assert_pattern(&response, 0, 100);
    response_clear(&response);
    /* Nothing of the RA is there. */
    response = request(served, "GET", "/download/batch", "");
    assert_int_equal(response.status, 404);
    response_clear(&response);
    response = request(served, "GET", "/download-crl/composite.crl", "");
    assert_int_equal(response.status, 404);
    response_clear(&response);
    response = request(served, "POST", "/download-crl/", OCTETS);
    assert_int_equal(response.status, 405);
    response_clear(&response);
    served_end(served);
}

static void other_paths(void **state)
{
    struct ra_server_config config = {
        .stage = RA_STAGE_QA,
        .tolerance = UINT32_MAX,
        .provision = ra_provision_default(),
        .url_base = "https://localhost:1/scms",
        .paths = {[RA_ROUTE_PROVISION_APP] = "/v1/app", [RA_ROUTE_APPLICATION] = "/v1/get"}};
    struct posting *posting = posting_start(&config);
    struct lab *lab = posting->lab;
    struct octets body = posting_body(posting, &lab->device, NULL);
    struct response response = post(posting, "/v1/app", OCTETS, &body);
    struct scms_ack ack;
    uint32_t now;
    char text[400] = "";

    (void)state;
    assert_int_equal(response.status, 200);
    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    assert_int_equal(scms_ack_open(posting->trust, posting->newest.cert, now, response.body,
                                   response.size, &ack, NULL),
                     DOT2_OK);
    assert_string_equal(ack.url, "https://localhost:1/scms/v1/get");
    response_clear(&response);
    lab_file(lab, NAME, &lab->device, 10);
    response = download(posting->served, "/v1/get", &lab->device, NAME, "");
    assert_int_equal(response.status, 200);
    response_clear(&response);
    response = post(posting, APP_PATH, OCTETS, &body);
    assert_int_equal(response.status, 404);
    response_clear(&response);
    octets_clear(&body);
    /* Two services at one path, and what is no path. */
    config.download_dir = lab->downloads;
    config.address = "127.0.0.1";
    config.threads = 1;
    config.paths[RA_ROUTE_BATCH] = "/v1/get";
    assert_null(ra_server_new(&config, lab->crypto, posting->served->tls, lab->trust, lab->store,
                              text, sizeof text));
    assert_non_null(strstr(text, "two services"));
    config.paths[RA_ROUTE_BATCH] = "/v1/ge t";
    assert_null(ra_server_new(&config, lab->crypto, posting->served->tls, lab->trust, lab->store,
                              text, sizeof text));
    assert_non_null(strstr(text, "not a path"));
    posting_stop(posting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(content_type, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(empty, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(too_large, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(cut_short, posting_setup, posting_teardown),
        cmocka_unit_test(slow_body),
        cmocka_unit_test_setup_teardown(in_parts, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(expect_continue, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(methods, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(chunked, posting_setup, posting_teardown),
        cmocka_unit_test(prod),
        cmocka_unit_test(closing),
        cmocka_unit_test(secured_header),
        cmocka_unit_test(without_keys),
        cmocka_unit_test(crl),
        cmocka_unit_test(other_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
