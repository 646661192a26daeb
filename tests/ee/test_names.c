/* URLs, services and file names; the headers of an answer. */
#include "tests/ee/scene.h"

#include <stdio.h>
#include <string.h>

#include "protocol/ee/ee_internal.h"

static void urls_that_are_good(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } tests[] = {
        {"https://ra.test.v2xscms.com", "ra.test.v2xscms.com", 8892},
        {"https://ra.test.v2xscms.com/", "ra.test.v2xscms.com", 8892},
        {"HTTPS://RA:443", "RA", 443},
        {"https://127.0.0.1:65535/", "127.0.0.1", 65535},
        {"https://[::1]:8892", "[::1]", 8892},
        {"https://[2001:db8::1]", "[2001:db8::1]", 8892},
    };
    struct ee_url url;

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        assert_int_equal(ee_url_parse(tests[i].text, &url, NULL), EE_OK);
        assert_string_equal(url.host, tests[i].host);
        assert_int_equal(url.port, tests[i].port);
    }
}

static void urls_that_are_refused(void **state)
{
    static const char *const tests[] = {
        "",
        "http://ra",
        "ra.test",
        "https:/ra",
        "https://",
        "https://:8892",
        "https://user@ra",
        "https://user:secret@ra",
        "https://ra:0",
        "https://ra:65536",
        "https://ra:99999999",
        "https://ra:",
        "https://ra:+80",
        "https://ra:80x",
        "https://ra/download",
        "https://ra//",
        "https://ra?x",
        "https://ra#x",
        "https://ra test",
        "https://ra%2e",
        "https://r\xc3\xa4",
        "https://[::1",
        "https://[]",
        "https://[ra]",
        "https://[127.0.0.1]",
        "https://.ra",
        "https://-ra",
        "https://ra\r\nHost: x",
        "file:///etc/passwd",
    };
    struct ee_error error;
    struct ee_url url;
    char host[400];

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        error.detail[0] = '\0';
        if (ee_url_parse(tests[i], &url, &error) != EE_E_ARGUMENT)
            fail_msg("accepted: %s", tests[i]);
        assert_true(strlen(error.detail) > 10);
    }
    assert_int_equal(ee_url_parse(NULL, &url, NULL), EE_E_ARGUMENT);
    snprintf(host, sizeof(host), "https://%0300d", 1);
    assert_int_equal(ee_url_parse(host, &url, NULL), EE_E_ARGUMENT);
}

static void resolve_is_for_this_url(void **state)
{
    struct ee_url url;

    (void)state;
    assert_int_equal(ee_url_parse("https://ra.test", &url, NULL), EE_OK);
    assert_int_equal(ee_url_check_resolve(&url, "ra.test:8892:127.0.0.1", NULL), EE_OK);
    assert_int_equal(ee_url_check_resolve(&url, "RA.test:8892:[::1]", NULL), EE_OK);
    assert_int_equal(ee_url_check_resolve(&url, "ra.test:8892:::1", NULL), EE_OK);
    assert_int_equal(ee_url_check_resolve(&url, "ra.test:443:127.0.0.1", NULL), EE_E_ARGUMENT);
    assert_int_equal(ee_url_check_resolve(&url, "other:8892:127.0.0.1", NULL), EE_E_ARGUMENT);
    assert_int_equal(ee_url_check_resolve(&url, "ra.test:8892:host", NULL), EE_E_ARGUMENT);
    assert_int_equal(ee_url_check_resolve(&url, "ra.test:8892:", NULL), EE_E_ARGUMENT);
    assert_int_equal(ee_url_check_resolve(&url, "ra.test", NULL), EE_E_ARGUMENT);
}

/* certDLURL: what is signed for the RA must not go elsewhere. */
static void urls_that_lead_to_the_ra(void **state)
{
    static const struct {
        const char *url, *ra;
        bool leads;
    } tests[] = {
        {"https://ra.example/download/batch", "https://ra.example:8892", true},
        {"HTTPS://RA.example:8892/download/batch", "https://ra.example", true},
        {"https://ra.example:8892", "https://ra.example", true},
        {"https://ra.example", "https://ra.example", true},
        {"https://[::1]:8892/x", "https://[::1]", true},
        {"https://[::1]", "https://[::1]:8892", true},
        {"http://ra.example/", "https://ra.example", false},
        {"https://ra.example.net/", "https://ra.example", false},
        {"https://ra.exampl/", "https://ra.example", false},
        {"https://ra.example@elsewhere/", "https://ra.example", false},
        {"https://ra.example:8892@elsewhere/", "https://ra.example", false},
        {"https://ra.example:x@elsewhere/", "https://ra.example", false},
        {"https://ra.example:@elsewhere/", "https://ra.example", false},
        {"https://ra.example\\@elsewhere/", "https://ra.example", false},
        {"https://ra.example?@elsewhere/", "https://ra.example", false},
        {"https://[::1]:x@elsewhere/", "https://[::1]", false},
        {"https://[::1]@elsewhere/", "https://[::1]", false},
        {"https://::1/", "https://[::2]", false},
        {"ra.example", "https://ra.example", false},
        {"", "https://ra.example", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (ee_url_leads_to(tests[i].url, tests[i].ra) != tests[i].leads)
            fail_msg("%s, %s", tests[i].url, tests[i].ra);
    }
}

static void file_names(void **state)
{
    static const struct {
        const char *name, *service, *canonical;
    } tests[] = {
        {"3339ab342cef1139.zip", "application", "3339AB342CEF1139.zip"},
        {"3339AB342CEF1139.ZIP", "application", "3339AB342CEF1139.zip"},
        {"ab09281c9867de53_f.zip", "identity", "AB09281C9867DE53_F.zip"},
        {"AB09281C9867DE53_F.Zip", "batch", "AB09281C9867DE53_F.zip"},
        {"ab09281c9867de53_12345678.zip", "batch", "AB09281C9867DE53_12345678.zip"},
        {"ab09281c9867de53.INFO", "info", "AB09281C9867DE53.info"},
    };
    char canonical[32];

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        assert_int_equal(
            ee_service_filename(ee_service_find(tests[i].service), tests[i].name, canonical),
            EE_OK);
        assert_string_equal(canonical, tests[i].canonical);
    }
    assert_ptr_equal(ee_service_of_file("3339ab342cef1139.zip"), ee_service_find("application"));
    assert_ptr_equal(ee_service_of_file("3339ab342cef1139.info"), ee_service_find("info"));
    /* Identity certificates and batches cannot be told apart by name. */
    assert_null(ee_service_of_file("AB09281C9867DE53_F.zip"));
    assert_null(ee_service_find("Application"));
    assert_false(ee_service_find("policy")->authenticated);
    assert_false(ee_service_find("chain")->authenticated);
    assert_string_equal(ee_service_find("info")->path, "/download/info");
}

static void file_names_that_are_refused(void **state)
{
    static const char *const names[] = {
        "",
        "3339ab342cef113.zip",
        "3339ab342cef11399.zip",
        "3339ab342cef113g.zip",
        "3339ab342cef1139",
        "3339ab342cef1139.zip ",
        "3339ab342cef1139.zipx",
        "3339ab342cef1139..zip",
        "../39ab342cef1139.zip",
        "3339ab342cef1139/.zip",
        "3339ab342cef1139_.zip",
        "3339ab342cef1139_123456789.zip",
        "3339ab342cef1139_1_2.zip",
        "3339ab342cef1139%2ezip",
    };
    char canonical[32];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_null(ee_service_of_file(names[i]));
        assert_int_equal(ee_service_filename(ee_service_find("application"), names[i], canonical),
                         EE_E_ARGUMENT);
        assert_int_equal(ee_service_filename(ee_service_find("batch"), names[i], canonical),
                         EE_E_ARGUMENT);
    }
    assert_int_equal(
        ee_service_filename(ee_service_find("policy"), "3339ab342cef1139.zip", canonical),
        EE_E_ARGUMENT);
}

static struct ee_response headers(const char *text)
{
    struct ee_response response;
    const char *end;

    memset(&response, 0, sizeof(response));
    for (; *text != '\0'; text = end) {
        end = strchr(text, '\n') + 1;
        assert_true(ee_response_line(&response, text, (size_t)(end - text)));
    }
    return response;
}

static void answers(void **state)
{
    struct ee_response r;

    (void)state;
    r = headers("HTTP/1.1 206 Partial Content\r\ncontent-length: 10\r\nCONTENT-RANGE: bytes "
                "5-14/15\r\nETag:\t\"x\"  \r\n\r\n");
    assert_int_equal(r.status, 206);
    assert_true(r.complete && r.has_length && r.has_range);
    assert_null(r.malformed);
    assert_int_equal(r.length, 10);
    assert_int_equal(r.range_start, 5);
    assert_int_equal(r.range_end, 14);
    assert_int_equal(r.range_total, 15);
    assert_string_equal(r.etag, "\"x\"");

    r = headers("HTTP/1.1 416 x\r\nContent-Range: bytes */15\r\n\r\n");
    assert_true(r.has_unsatisfied && !r.has_range);
    assert_int_equal(r.range_total, 15);

    /* An interim answer leaves nothing behind. */
    r = headers("HTTP/1.1 100 Continue\r\nETag: \"a\"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(r.status, 200);
    assert_string_equal(r.etag, "");
    /* What looks like a status line among the headers, or after them, is none. */
    r = headers("HTTP/1.1 200 OK\r\nHTTP/1.1 206 x\r\n\r\nETag: \"trailer\"\r\n");
    assert_int_equal(r.status, 200);
    assert_string_equal(r.etag, "");

    r = headers("HTTP/1.1 500 x\r\nSCMS-POC-Error: 5055\r\nSCMS-POC-Error-Message: a\tb\x1b[1m\r\n"
                "\r\n");
    assert_int_equal(r.scms_code, 5055);
    assert_string_equal(r.scms_message, "a?b?[1m");
    r = headers("HTTP/1.1 500 x\r\nSCMS-POC-Error: 5055x\r\n\r\n");
    assert_int_equal(r.scms_code, 0);
}

static void answers_that_are_malformed(void **state)
{
    static const char *const tests[] = {
        "HTTP/1.1\r\n",
        "HTTP/1.1 x\r\n",
        "HTTP/1.1 20000\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nETag: \"b\"\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: bytes 5-4/10\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: bytes 5-10/10\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: bytes 5-9/*\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: bytes 5-9\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: octets 5-9/10\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: bytes=5-9/10\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: bytes 5-9/10x\r\n",
        "HTTP/1.1 206 x\r\nContent-Range: bytes 5-9/10\r\nContent-Range: bytes 5-9/10\r\n",
    };
    struct ee_response r;
    char line[5000];
    bool more = true;

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        r = headers(tests[i]);
        if (r.malformed == NULL)
            fail_msg("accepted: %s", tests[i]);
    }
    memset(&r, 0, sizeof(r));
    assert_true(ee_response_line(&r, "HTTP/1.1 200 OK\r\n", 17));
    assert_true(ee_response_line(&r, "ETag: \"a\0b\"\r\n", 13));
    assert_non_null(r.malformed);
    memset(line, 'a', sizeof(line));
    assert_false(ee_response_line(&r, line, sizeof(line)));
    memset(&r, 0, sizeof(r));
    for (int i = 0; i < 1000 && more; i++)
        more = ee_response_line(&r, "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 35);
    assert_false(more);
}

static void etags(void **state)
{
    static const struct {
        const char *value, *taken;
        bool strong;
    } tests[] = {
        {"\"local_certificate_chains_01_03.oer\"", "\"local_certificate_chains_01_03.oer\"", true},
        {"\"\"", "\"\"", true},
        {"\"a,b;c=d%20'/\\!#\"", "\"a,b;c=d%20'/\\!#\"", true},
        {"\"\xc3\xa4\"", "\"\xc3\xa4\"", true},
        {"W/\"weak\"", "W/\"weak\"", false},
        {"w/\"x\"", "", false},
        {"unquoted", "", false},
        {"\"with space\"", "", false},
        {"\"two\"quotes\"", "", false},
        {"\"a\", \"b\"", "", false},
        {"\"open", "", false},
        {"\"del\x7f\"", "", false},
        {"\"esc\x1b\"", "", false},
        {"", "", false},
    };
    char text[600];
    struct ee_response r;

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nETag: %s\r\n\r\n", tests[i].value);
        r = headers(text);
        assert_string_equal(r.etag, tests[i].taken);
        assert_int_equal(ee_response_etag_strong(&r), tests[i].strong);
    }
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nETag: \"%0300d\"\r\n\r\n", 1);
    r = headers(text);
    assert_string_equal(r.etag, "");
}

static void names_in_content_disposition(void **state)
{
    static const struct {
        const char *value, *taken;
    } tests[] = {
        {"attachment; filename=\"a_01_03.oer\"", "a_01_03.oer"},
        {"attachment;filename=a.oer", "a.oer"},
        {"attachment; filename=a.oer ; size=3", "a.oer"},
        {"attachment; x=\"; filename=bad\"; FileName=\"good\"", "good"},
        {"attachment; filename=\"a\\\"b\"", ""},
        {"attachment; filename=\"a b.oer\"", "a b.oer"},
        {"attachment; filename*=UTF-8''x", ""},
        {"attachment", ""},
        {"attachment; filename=", ""},
        {"attachment; filename=\"\"", ""},
        {"attachment; filename=\"..\"", ""},
        {"attachment; filename=.", ""},
        {"attachment; filename=\"../../etc/passwd\"", ""},
        {"attachment; filename=/etc/passwd", ""},
        {"attachment; filename=\"a\\\\b\"", ""},
        {"attachment; filename=\"open", ""},
        {"attachment; filename=\"esc\x1b[2J\"", ""},
    };
    char text[600];
    struct ee_response r;

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Disposition: %s\r\n\r\n",
                 tests[i].value);
        r = headers(text);
        assert_string_equal(r.filename, tests[i].taken);
    }
    snprintf(text, sizeof(text),
             "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=%0400d\r\n\r\n", 1);
    assert_string_equal(headers(text).filename, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_that_are_good),
        cmocka_unit_test(urls_that_are_refused),
        cmocka_unit_test(resolve_is_for_this_url),
        cmocka_unit_test(urls_that_lead_to_the_ra),
        cmocka_unit_test(file_names),
        cmocka_unit_test(file_names_that_are_refused),
        cmocka_unit_test(answers),
        cmocka_unit_test(answers_that_are_malformed),
        cmocka_unit_test(etags),
        cmocka_unit_test(names_in_content_disposition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
