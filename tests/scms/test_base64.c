/* test_base64.c: Base64 of the Download-Req header, the error table, forms of a SPDU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "protocol/scms/scms.h"

/* RFC 4648 section 10. */
static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void vectors_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        size_t length = strlen(vectors[i][0]), size = 0;
        char *text = NULL;
        uint8_t *octets = NULL;

        assert_int_equal(scms_base64_encode((const uint8_t *)vectors[i][0], length, &text),
                         DOT2_OK);
        assert_string_equal(text, vectors[i][1]);
        assert_int_equal(scms_base64_decode(text, strlen(text), &octets, &size, NULL), DOT2_OK);
        assert_int_equal(size, length);
        assert_memory_equal(octets, vectors[i][0], length);
        OPENSSL_free(text);
        OPENSSL_free(octets);
    }
}

static void every_octet_and_length(void **state)
{
    uint8_t data[300];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t length = 0; length <= sizeof(data); length++) {
        char *text = NULL;
        uint8_t *octets = NULL;
        size_t size = 0;

        assert_int_equal(scms_base64_encode(data, length, &text), DOT2_OK);
        assert_int_equal(strlen(text), (length + 2) / 3 * 4);
        assert_int_equal(scms_base64_decode(text, strlen(text), &octets, &size, NULL), DOT2_OK);
        assert_int_equal(size, length);
        assert_memory_equal(octets, data, length);
        OPENSSL_free(text);
        OPENSSL_free(octets);
    }
}

static void one_text_for_one_value(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
    } bad[] = {
        {"Zg", 2},   {"Zg=", 3},  {"Zg===", 5},    {"Zh==", 1},
        {"Zm9=", 2}, {"Zm 9", 2}, {"Zm9v\n", 5},   {"Zm9v\n\n\n\n", 4},
        {"Z===", 1}, {"====", 0}, {"Zg==Zg==", 2}, {"Zm9v=m9v", 4},
        {"Zm-_", 2}, {"=m9v", 0}, {"Zm9\x80", 3},  {"Zm=v", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct dot2_error error = {0};
        uint8_t *octets = (uint8_t *)&error;
        size_t size = 1;

        assert_int_equal(
            scms_base64_decode(bad[i].text, strlen(bad[i].text), &octets, &size, &error),
            DOT2_E_DECODE);
        assert_int_equal(error.status, DOT2_E_DECODE);
        assert_int_equal(error.offset, bad[i].offset);
        assert_null(octets);
        assert_int_equal(size, 0);
    }
    /* A NUL in the middle is a character like another. */
    {
        uint8_t *octets = NULL;
        size_t size = 0;

        assert_int_equal(scms_base64_decode("Zm\0v", 4, &octets, &size, NULL), DOT2_E_DECODE);
    }
}

static void published_codes_and_no_others(void **state)
{
    size_t count = 0;

    (void)state;
    for (int code = 0; code < 10000; code++) {
        const struct scms_error *error = scms_error_find(code);

        if (error == NULL)
            continue;
        count++;
        assert_int_equal(error->code, code);
        assert_memory_equal(error->key, "SCMS-", 5);
        assert_memory_equal(error->name, "ra", 2);
        assert_true(strlen(error->message) > 10);
    }
    assert_int_equal(count, 12);
    assert_string_equal(scms_error_find(5055)->name, "raBlacklisted");
    assert_string_equal(scms_error_find(5067)->key, "SCMS-978");
    assert_null(scms_error_find(5060));
    assert_null(scms_error_find(5066));
}

static void form_by_two_octets(void **state)
{
    (void)state;
    assert_int_equal(scms_form_of((const uint8_t *)"\x03\x80", 2), SCMS_FORM_UNSECURED);
    assert_int_equal(scms_form_of((const uint8_t *)"\x03\x81", 2), SCMS_FORM_SIGNED_DATA);
    assert_int_equal(scms_form_of((const uint8_t *)"\x03\x82", 2), SCMS_FORM_ENCRYPTED);
    assert_int_equal(scms_form_of((const uint8_t *)"\x03\x83", 2), SCMS_FORM_SIGNED_REQUEST);
    assert_int_equal(scms_form_of((const uint8_t *)"\x03\x84", 2), SCMS_FORM_OTHER);
    assert_int_equal(scms_form_of((const uint8_t *)"\x02\x83", 2), SCMS_FORM_OTHER);
    assert_int_equal(scms_form_of((const uint8_t *)"\x03", 1), SCMS_FORM_OTHER);
    assert_int_equal(scms_form_of(NULL, 0), SCMS_FORM_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_rfc),     cmocka_unit_test(every_octet_and_length),
        cmocka_unit_test(one_text_for_one_value), cmocka_unit_test(published_codes_and_no_others),
        cmocka_unit_test(form_by_two_octets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
