/* Each rule of canonical OER (ITU-T X.696) for types without components that the modules use, with
 * its borders. */
#include "tests/asn1/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "asn1/types.h"

static void integer_with_upper_bound_has_fixed_width(void **state)
{
    uint64_t number = 0;

    (void)state;
    assert_int_equal(*(long *)right("Uint3", "07"), 7);
    wrong("Uint3", "08", COER_E_RANGE, 0, "Uint3");
    assert_int_equal(*(long *)right("Uint8", "00"), 0);
    assert_int_equal(*(long *)right("Uint8", "FF"), 255);
    assert_int_equal(*(long *)right("Uint16", "FFFE"), 65534);
    wrong("Uint16", "FF", COER_E_TRUNCATED, 0, "Uint16");
    assert_int_equal(*(unsigned long *)right("Uint32", "FFFFFFFF"), 4294967295u);
    assert_int_equal(*(unsigned long *)right("Time32", "00000000"), 0);
    assert_true(coer_integer_get(right("Uint64", "7FFFFFFFFFFFFFFF"), &number));
    assert_true(number == INT64_MAX);
    /* The module says 2^63-1 because the compiler cannot say 2^64-1. */
    assert_true(coer_integer_get(right("Time64", "FFFFFFFFFFFFFFFF"), &number));
    assert_true(number == UINT64_MAX);
}

/* Uint8 (3) has the width of Uint8. */
static void integer_with_one_value(void **state)
{
    (void)state;
    right("Ieee1609Dot2Data", "03 80 00");
    wrong("Ieee1609Dot2Data", "02 80 00", COER_E_RANGE, 0, "Ieee1609Dot2Data.protocolVersion");
    wrong("Ieee1609Dot2Data", "04 80 00", COER_E_RANGE, 0, "Ieee1609Dot2Data.protocolVersion");
}

static void integer_without_upper_bound_has_a_length(void **state)
{
    static const struct {
        const char *hex;
        long value;
    } rows[] = {
        {"01 00", 0},
        {"01 20", 0x20},
        {"01 7F", 127},
        {"01 80", 128},
        {"01 FF", 255},
        {"02 0100", 256},
        {"02 4082", 0x4082},
        {"03 204097", 0x204097},
        {"04 FFFFFFFF", 0xFFFFFFFF},
        {"08 7FFFFFFFFFFFFFFF", INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(*(long *)right("Psid", rows[i].hex), rows[i].value);
    }
    wrong("Psid", "02 0020", COER_E_LENGTH, 0, "Psid");
    wrong("Psid", "02 0000", COER_E_LENGTH, 0, "Psid");
    wrong("Psid", "00", COER_E_LENGTH, 0, "Psid");
    wrong("Psid", "81 01 20", COER_E_LENGTH, 0, "Psid");
    wrong("Psid", "02 20", COER_E_TRUNCATED, 0, "Psid");
    wrong("Psid", "", COER_E_TRUNCATED, 0, "Psid");
    wrong("Psid", "08 8000000000000000", COER_E_RANGE, 0, "Psid");
    wrong("Psid", "09 010000000000000000", COER_E_RANGE, 0, "Psid");
}

/* minChainLength, unconstrained: two's complement of the shortest form. */
static void integer_without_bounds_is_signed(void **state)
{
    static const struct {
        const char *hex;
        long value;
    } rows[] = {
        {"01 00", 0},
        {"01 7F", 127},
        {"02 0080", 128},
        {"02 00FF", 255},
        {"02 0100", 256},
        {"01 FF", -1},
        {"01 80", -128},
        {"02 FF7F", -129},
        {"02 8000", -32768},
        {"03 FF7FFF", -32769},
        {"08 7FFFFFFFFFFFFFFF", INT64_MAX},
        {"08 8000000000000000", INT64_MIN},
    };
    char hex[64];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const PsidGroupPermissions_t *value;

        snprintf(hex, sizeof(hex), "80 81 %s", rows[i].hex);
        value = right("PsidGroupPermissions", hex);
        assert_int_equal(*value->minChainLength, rows[i].value);
    }
    wrong("PsidGroupPermissions", "80 81 02 0000", COER_E_LENGTH, 2,
          "PsidGroupPermissions.minChainLength");
    wrong("PsidGroupPermissions", "80 81 02 007F", COER_E_LENGTH, 2,
          "PsidGroupPermissions.minChainLength");
    wrong("PsidGroupPermissions", "80 81 02 FF80", COER_E_LENGTH, 2,
          "PsidGroupPermissions.minChainLength");
    wrong("PsidGroupPermissions", "80 81 09 008000000000000000", COER_E_RANGE, 2,
          "PsidGroupPermissions.minChainLength");
    wrong("PsidGroupPermissions", "80 81 00", COER_E_LENGTH, 2,
          "PsidGroupPermissions.minChainLength");
}

static void integer_with_both_bounds_and_sign(void **state)
{
    const TwoDLocation_t *place;

    (void)state;
    /* -900000000 = CA5B1700, 1800000001 = 6B49D201. */
    place = right("TwoDLocation", "CA5B1700 6B49D201");
    assert_int_equal(place->latitude, -900000000);
    assert_int_equal(place->longitude, 1800000001);
    place = right("TwoDLocation", "FFFFFFFF 00000000");
    assert_int_equal(place->latitude, -1);
    wrong("TwoDLocation", "CA5B16FF 00000000", COER_E_RANGE, 0, "TwoDLocation.latitude");
    wrong("TwoDLocation", "35A4E902 00000000", COER_E_RANGE, 0, "TwoDLocation.latitude");
    right("TwoDLocation", "35A4E901 00000000");
    /* -1799999999 = 94B62E01 */
    right("TwoDLocation", "00000000 94B62E01");
    wrong("TwoDLocation", "00000000 94B62E00", COER_E_RANGE, 4, "TwoDLocation.longitude");
}

static void enumerated_is_one_octet(void **state)
{
    (void)state;
    assert_int_equal(*(long *)right("HashAlgorithm", "00"), HashAlgorithm_sha256);
    /* After the extension marker: the same octet. */
    assert_int_equal(*(long *)right("HashAlgorithm", "01"), HashAlgorithm_sha384);
    assert_int_equal(*(long *)right("CertValidityModel", "02"), CertValidityModel_non_concurrent);
    wrong("HashAlgorithm", "02", COER_E_ENUM, 0, "HashAlgorithm");
    wrong("CertValidityModel", "00", COER_E_ENUM, 0, "CertValidityModel");
    wrong("HashAlgorithm", "81 00", COER_E_ENUM, 0, "HashAlgorithm");
    wrong("EcaEndEntityError", "0B", COER_E_ENUM, 0, "EcaEndEntityError");
    right("EcaEndEntityError", "0A");
}

static void null_is_nothing(void **state)
{
    const SignerIdentifier_t *signer = right("SignerIdentifier", "82");

    (void)state;
    assert_int_equal(signer->present, SignerIdentifier_PR_self);
    wrong("SignerIdentifier", "82 00", COER_E_TRAILING, 1, "SignerIdentifier");
}

static void fixed_octet_string_has_no_length(void **state)
{
    const OCTET_STRING_t *value = right("HashedId8", DIGEST);

    (void)state;
    assert_int_equal(value->size, 8);
    /* Not a copy. */
    assert_ptr_equal(value->buf, in);
    wrong("HashedId8", "01020304050607", COER_E_TRUNCATED, 0, "HashedId8");
    wrong("HashedId8", "010203040506070809", COER_E_TRAILING, 8, "HashedId8");
}

/* The borders of the length determinant, both ways. */
static void variable_octet_string_has_the_shortest_length(void **state)
{
    static const struct {
        size_t size;
        const char *length;
    } rows[] = {
        {0, "00"},     {1, "01"},       {127, "7F"},       {128, "8180"},
        {255, "81FF"}, {256, "820100"}, {65535, "82FFFF"}, {65536, "83010000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t *out = NULL;
        size_t size = 0;
        size_t header = from_hex(rows[i].length, in, sizeof(in));
        void *value = NULL;

        memset(in + header, 0xA5, rows[i].size);
        assert_int_equal(
            coer_decode(arena, &asn_DEF_Opaque, in, header + rows[i].size, &value, NULL), COER_OK);
        assert_int_equal(((OCTET_STRING_t *)value)->size, rows[i].size);
        assert_int_equal(coer_encode_alloc(&asn_DEF_Opaque, value, &out, &size, NULL), COER_OK);
        assert_int_equal(size, header + rows[i].size);
        assert_memory_equal(out, in, size);
        free(out);
    }
    wrong("Opaque", "81 01 00", COER_E_LENGTH, 0, "Opaque");
    wrong("Opaque", "82 0080 00", COER_E_LENGTH, 0, "Opaque");
    wrong("Opaque", "80", COER_E_LENGTH, 0, "Opaque");
    wrong("Opaque", "89 010000000000000000", COER_E_LENGTH, 0, "Opaque");
    wrong("Opaque", "84 7FFFFFFF 00", COER_E_TRUNCATED, 0, "Opaque");
    wrong("Opaque", "84 80000000", COER_E_TRUNCATED, 0, "Opaque");
    wrong("Opaque", "88 7FFFFFFFFFFFFFFF 00", COER_E_TRUNCATED, 0, "Opaque");
    wrong("Opaque", "88 8000000000000000 00", COER_E_TRUNCATED, 0, "Opaque");
    wrong("Opaque", "88 FFFFFFFFFFFFFFFF", COER_E_TRUNCATED, 0, "Opaque");
    wrong("Opaque", "84 8000", COER_E_TRUNCATED, 0, "Opaque");
}

static void bounded_octet_string(void **state)
{
    char hex[200];

    (void)state;
    right("CertificateId", "82 01 AA");
    wrong("CertificateId", "82 00", COER_E_RANGE, 1, "CertificateId.binaryId");
    snprintf(hex, sizeof(hex), "82 40 %s %s", POINT, POINT);
    right("CertificateId", hex);
    snprintf(hex, sizeof(hex), "82 41 %s %s 00", POINT, POINT);
    wrong("CertificateId", hex, COER_E_RANGE, 1, "CertificateId.binaryId");
}

static void text_always_has_a_length(void **state)
{
    static const char *const bad[] = {
        "01 80",                           /* continuation without a start */
        "02 C080",                         /* longer than needed */
        "02 C1BF",                         /* longer than needed */
        "03 E08080",                       /* longer than needed */
        "03 EDA080",                       /* surrogate */
        "04 F0808080",                     /* longer than needed */
        "04 F4908080",                     /* over U+10FFFF */
        "01 F5",       "01 FF", "02 E282", /* ends within a character */
        "02 C341",                         /* a start without continuation */
    };

    (void)state;
    right("Hostname", "00");
    right("Hostname", "05 6C6F63616C");
    right("Hostname", "0A C3A4 E282AC F09F9880 7A");
    right("Hostname", "03 EFBFBF");
    right("Hostname", "04 F48FBFBF");
    right("Hostname", "03 ED9FBF");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char hex[64];

        wrong("Hostname", bad[i], COER_E_UTF8, 0, "Hostname");
        /* A component that has no named type. */
        snprintf(hex, sizeof(hex), "00 00000000 %s", bad[i]);
        wrong("AuthenticatedDownloadRequest", hex, COER_E_UTF8, 5,
              "AuthenticatedDownloadRequest.filename");
    }
}

/* SIZE (0..255) counts characters, the length counts octets. */
static void text_has_at_most_255_characters(void **state)
{
    struct coer_error error;
    void *value = NULL;

    (void)state;
    from_hex("82 02FD", in, sizeof(in));
    for (size_t i = 0; i < 256; i++) {
        from_hex("E282AC", in + 3 + 3 * i, 3);
    }
    assert_int_equal(coer_decode(arena, &asn_DEF_Hostname, in, 3 + 255 * 3, &value, &error),
                     COER_OK);
    from_hex("82 0300", in, sizeof(in));
    assert_int_equal(coer_decode(arena, &asn_DEF_Hostname, in, 3 + 256 * 3, &value, &error),
                     COER_E_RANGE);
    assert_int_equal(coer_decode(arena, coer_type("RaHostnameId"), in, 3 + 256 * 3, &value, &error),
                     COER_E_RANGE);
    memmove(in + 5, in, 3 + 256 * 3);
    memset(in, 0, 5);
    assert_int_equal(coer_decode(arena, coer_type("AuthenticatedDownloadRequest"), in, 8 + 256 * 3,
                                 &value, &error),
                     COER_E_RANGE);
    assert_string_equal(error.path, "AuthenticatedDownloadRequest.filename");
}

static void bit_string_of_eight_is_one_octet(void **state)
{
    const BIT_STRING_t *bits = right("EndEntityType", "80");

    (void)state;
    assert_int_equal(bits->size, 1);
    assert_int_equal(bits->bits_unused, 0);
    assert_int_equal(bits->buf[0], 0x80);
    right("EndEntityType", "40");
    right("EndEntityType", "C0");
    /* ALL EXCEPT {} */
    wrong("EndEntityType", "00", COER_E_RANGE, 0, "EndEntityType");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(integer_with_upper_bound_has_fixed_width, reset),
        cmocka_unit_test_teardown(integer_with_one_value, reset),
        cmocka_unit_test_teardown(integer_without_upper_bound_has_a_length, reset),
        cmocka_unit_test_teardown(integer_without_bounds_is_signed, reset),
        cmocka_unit_test_teardown(integer_with_both_bounds_and_sign, reset),
        cmocka_unit_test_teardown(enumerated_is_one_octet, reset),
        cmocka_unit_test_teardown(null_is_nothing, reset),
        cmocka_unit_test_teardown(fixed_octet_string_has_no_length, reset),
        cmocka_unit_test_teardown(variable_octet_string_has_the_shortest_length, reset),
        cmocka_unit_test_teardown(bounded_octet_string, reset),
        cmocka_unit_test_teardown(text_always_has_a_length, reset),
        cmocka_unit_test_teardown(text_has_at_most_255_characters, reset),
        cmocka_unit_test_teardown(bit_string_of_eight_is_one_octet, reset),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
