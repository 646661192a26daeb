/*
 * What is refused in a URI, and where a PIN may come from.
 */
#include "tests/pkcs11/lab.h"

static enum p11_status find(p11_ctx *ctx, const char *uri, size_t *count)
{
    p11_objects *objects = NULL;
    enum p11_status status;

    assert_int_equal(ERR_peek_error(), 0);
    status = p11_find(ctx, uri, P11_ANY, NULL, NULL, &objects);
    *count = p11_objects_count(objects);
    p11_objects_free(objects);
    /* An error is on the queue if, and only if, one is returned. */
    assert_int_equal(lab_last_error(), status);
    return status;
}

static void test_refused_uris(void **state)
{
    static const struct {
        const char *uri;
        enum p11_status status;
        const char *text;
    } cases[] = {
        {"", P11_E_URI, "pkcs11:"},
        {"file:/etc/passwd", P11_E_URI, "pkcs11:"},
        {"PKCS12:token=lab", P11_E_URI, "pkcs11:"},
        {"pkcs11:token=lab;objekt=a", P11_E_URI, "unknown path attribute \"objekt\""},
        {"pkcs11:token=lab;Object=a", P11_E_URI, "unknown path attribute \"Object\""},
        {"pkcs11:token=lab;x-vendor=a", P11_E_URI, "x-vendor"},
        {"pkcs11:token=lab;object", P11_E_URI, "without a value at offset 17"},
        {"pkcs11:token=lab;;object=a", P11_E_URI, "without a value"},
        {"pkcs11:token=lab;token=lab", P11_E_URI, "\"token\" occurs twice"},
        {"pkcs11:object=a;id=%01;object=b", P11_E_URI, "\"object\" occurs twice"},
        {"pkcs11:token=lab;type=privat", P11_E_URI, "type is none of"},
        {"pkcs11:token=lab;type=", P11_E_URI, "type is none of"},
        {"pkcs11:token=lab;type=private%00", P11_E_URI, "NUL"},
        {"pkcs11:token=lab;type=data", P11_E_URI, "type is none of"},
        {"pkcs11:token=lab;type=secret-key", P11_E_URI, "type is none of"},
        {"pkcs11:token=lab;id=%0", P11_E_URI, "% without two hexadecimal digits at offset 20"},
        {"pkcs11:token=lab;id=%0;object=a", P11_E_URI, "at offset 20"},
        {"pkcs11:token=lab;id=%", P11_E_URI, "at offset 20"},
        {"pkcs11:token=lab;id=%01%", P11_E_URI, "at offset 23"},
        {"pkcs11:token=lab;object=%zz", P11_E_URI, "at offset 24"},
        {"pkcs11:token=lab;object=%0z", P11_E_URI, "at offset 24"},
        {"pkcs11:token=lab\n", P11_E_URI, "control character at offset 16"},
        {"pkcs11:token=la\x7f", P11_E_URI, "control character at offset 15"},
        {"pkcs11:token=la%00", P11_E_URI, "\"token\" has a value with a NUL"},
        {"pkcs11:token=lab?module-name=a%00", P11_E_URI, "NUL"},
        {"pkcs11:token=a-label-that-is-longer-than-the-32-octets-of-one", P11_E_URI,
         "\"token\" has a value of 48 octets, more than 32"},
        {"pkcs11:serial=abcdefghijklmnopq", P11_E_URI, "\"serial\" has a value of 17 octets"},
        {"pkcs11:slot-id=abc", P11_E_URI, "slot-id"},
        {"pkcs11:slot-id=", P11_E_URI, "slot-id"},
        {"pkcs11:slot-id=-1", P11_E_URI, "slot-id"},
        {"pkcs11:slot-id=1x", P11_E_URI, "slot-id"},
        {"pkcs11:slot-id=18446744073709551616", P11_E_URI, "slot-id"},
        {"pkcs11:library-version=x", P11_E_URI, "library-version"},
        {"pkcs11:library-version=256", P11_E_URI, "library-version"},
        {"pkcs11:library-version=2.256", P11_E_URI, "library-version"},
        {"pkcs11:library-version=2.", P11_E_URI, "library-version"},
        {"pkcs11:library-version=.6", P11_E_URI, "library-version"},
        {"pkcs11:library-version=2.6.1", P11_E_URI, "library-version"},
        {"pkcs11:token=lab?pin-sauce=file:/x", P11_E_URI, "unknown query attribute \"pin-sauce\""},
        {"pkcs11:token=lab?x-vendor=1", P11_E_URI, "unknown query attribute \"x-vendor\""},
        {"pkcs11:token=lab?pinfile=/x", P11_E_URI, "unknown query attribute"},
        {"pkcs11:token=lab?pin-value=123456", P11_E_URI, "pin-value in a URI is not allowed"},
        {"pkcs11:token=lab?pin-source=|cat%20/x", P11_E_URI, "pin-source is none of"},
        {"pkcs11:token=lab?pin-source=http://x/y", P11_E_URI, "pin-source is none of"},
        {"pkcs11:token=lab?pin-source=file:", P11_E_URI, "pin-source is none of"},
        {"pkcs11:token=lab?pin-source=credential:../x", P11_E_URI, "pin-source is none of"},
        {"pkcs11:token=lab?pin-source=env:A&pin-source=env:B", P11_E_URI, "occurs twice"},
        {"pkcs11:token=lab?module-path=/usr/lib/other.so", P11_E_URI, "module-path"},
        {"pkcs11:token=lab?module-name=opensc", P11_E_URI, "module-name"},
        {"pkcs11:token=other", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;serial=0000000000000000", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;model=other", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;manufacturer=other", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;slot-id=77777", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;slot-description=other", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;slot-manufacturer=other", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;library-manufacturer=other", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;library-description=other", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;library-version=9.9", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=lab;library-version=2", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=la", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=labs", P11_E_NO_TOKEN, ""},
        {"pkcs11:token=", P11_E_NO_TOKEN, ""},
    };
    p11_ctx *ctx = lab_ctx(NULL);
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum p11_status status = find(ctx, cases[i].uri, &count);

        if (status != cases[i].status || strstr(lab_error, cases[i].text) == NULL)
            fail_msg("%s: %s: %s", cases[i].uri, p11_status_name(status), lab_error);
        if (strstr(lab_error, "123456") != NULL)
            fail_msg("the PIN is in the message: %s", lab_error);
    }
    p11_ctx_free(ctx);
}

static void test_accepted_uris(void **state)
{
    static const char *const uris[] = {
        "pkcs11:token=lab",
        "pkcs11:token=lab;type=private",
        "pkcs11:token=%6c%61%62;object=enrol",
        "pkcs11:token=lab;manufacturer=SoftHSM%20project;model=SoftHSM%20v2",
        "pkcs11:token=lab;library-manufacturer=SoftHSM;slot-manufacturer=SoftHSM%20project",
        ("pkcs11:token=lab?module-path=" LAB_MODULE),
        "pkcs11:token=lab?module-name=softhsm2",
        "pkcs11:token=lab?module-name=libsofthsm2",
        "pkcs11:token=lab?module-name=libsofthsm2.so",
        "pkcs11:token=lab;library-version=2.6",
        "pkcs11:token=lab;manufacturer=SoftHSM project",
        "pkcs11:token=lab;",
        "pkcs11:object=enrol",
        "pkcs11:",
    };
    p11_ctx *ctx = lab_ctx(NULL);
    char uri[100];
    size_t count;

    (void)state;
    p11_key_free(lab_key(ctx, "enrol", P11_CURVE_P256, P11_USAGE_SIGN));
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++)
        if (find(ctx, uris[i], &count) != P11_OK || count == 0)
            fail_msg("%s: %s", uris[i], lab_error);
    assert_int_equal(find(ctx, "pkcs11:object=none", &count), P11_OK);
    assert_int_equal(count, 0);
    snprintf(uri, sizeof(uri), "pkcs11:slot-id=%lu", lab_slot("lab"));
    assert_int_equal(find(ctx, uri, &count), P11_OK);
    assert_int_not_equal(count, 0);
    p11_ctx_free(ctx);
}

static void test_impossible_configurations(void **state)
{
    p11_ctx *ctx = NULL;
    struct p11_config config = {0};

    (void)state;
    assert_int_equal(p11_ctx_new(&config, &ctx), P11_E_CONFIG);
    config.module_path = LAB_MODULE;
    config.max_sessions = 100000;
    assert_int_equal(p11_ctx_new(&config, &ctx), P11_E_CONFIG);
    config.max_sessions = 0;
    config.pin_source = "ftp://x";
    assert_int_equal(p11_ctx_new(&config, &ctx), P11_E_CONFIG);
    config.pin_source = NULL;
    config.token_uri = "pkcs11:tokn=lab";
    assert_int_equal(p11_ctx_new(&config, &ctx), P11_E_CONFIG);
    config.token_uri = "pkcs11:token=lab;object=a";
    assert_int_equal(p11_ctx_new(&config, &ctx), P11_E_CONFIG);
    assert_null(ctx);
    ERR_clear_error();
}

static void test_unusable_modules(void **state)
{
    static const char *const modules[] = {"/nonexistent/module.so", "libm.so.6", "/etc/passwd"};
    size_t count;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct p11_config config = {.module_path = modules[i]};
        p11_ctx *ctx = NULL;

        assert_int_equal(p11_ctx_new(&config, &ctx), P11_OK);
        assert_int_equal(find(ctx, "pkcs11:", &count), P11_E_MODULE);
        assert_int_equal(find(ctx, "pkcs11:", &count), P11_E_MODULE);
        p11_ctx_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_uris),
        cmocka_unit_test(test_accepted_uris),
        cmocka_unit_test(test_impossible_configurations),
        cmocka_unit_test(test_unusable_modules),
    };
    int failed;

    lab_open();
    failed = cmocka_run_group_tests_name("p11 uri", tests, NULL, NULL);
    lab_close();
    return failed;
}
