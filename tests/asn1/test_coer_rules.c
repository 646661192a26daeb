/* Each rule of canonical OER (ITU-T X.696) that the types of the modules use, with its borders. */
#include "tests/asn1/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "asn1/types.h"

#define POINT "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define DIGEST "0102030405060708"

static coer_arena *arena;
static uint8_t in[200000];

static int setup(void **state)
{
    (void)state;
    arena = coer_arena_new();
    return arena == NULL ? -1 : 0;
}

static int reset(void **state)
{
    (void)state;
    coer_arena_reset(arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    coer_arena_free(arena);
    return 0;
}

static void *right(const char *type, const char *hex)
{
    const asn_TYPE_descriptor_t *descriptor = coer_type(type);

    assert_non_null(descriptor);
    return round_trip(arena, descriptor, hex, in, sizeof(in));
}

static void wrong(const char *type, const char *hex, enum coer_status status, size_t offset,
                  const char *path)
{
    const asn_TYPE_descriptor_t *descriptor = coer_type(type);

    assert_non_null(descriptor);
    refuse(descriptor, hex, status, offset, path);
}

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
    wrong("Opaque", "84 80000000", COER_E_TRUNCATED, 0, "Opaque");
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

static void sequence_without_marker_and_options_has_no_preamble(void **state)
{
    (void)state;
    right("ValidityPeriod", "00000001 84 00A9");
}

static void preamble_of_options(void **state)
{
    const LinkageData_t *data = right("LinkageData", "00 0002 030303030303030303");

    (void)state;
    assert_null(data->group_linkage_value);
    data = right("LinkageData", "80 0002 030303030303030303 01020304 050505050505050505");
    assert_non_null(data->group_linkage_value);
    assert_int_equal(data->group_linkage_value->value.size, 9);
}

static void preamble_of_the_marker_alone(void **state)
{
    (void)state;
    right("CommonProvisioningRequestFields", "00 00000001 00000002");
    wrong("CommonProvisioningRequestFields", "40 00000001 00000002", COER_E_PADDING, 0,
          "CommonProvisioningRequestFields");
}

static void preamble_padding_is_zero(void **state)
{
    (void)state;
    wrong("LinkageData", "01 0002 030303030303030303", COER_E_PADDING, 0, "LinkageData");
    wrong("LinkageData", "40 0002 030303030303030303", COER_E_PADDING, 0, "LinkageData");
}

/* 13 options and the marker: two octets. */
static void preamble_of_two_octets(void **state)
{
    const GlobalPolicyData_t *policy;

    (void)state;
    policy = right("GlobalPolicyData", "0000");
    assert_null(policy->temporalSeriesOfScmsVersion);
    policy = right("GlobalPolicyData", "4004 00 01 00 82 0001 01 00");
    assert_non_null(policy->temporalSeriesOfScmsVersion);
    assert_int_equal(*policy->temporalSeriesOfScmsVersion->initialScmsVersion, 1);
    assert_non_null(policy->temporalSeriesOfRseApplicationCertOVerlap);
    wrong("GlobalPolicyData", "0001", COER_E_PADDING, 0, "GlobalPolicyData");
    wrong("GlobalPolicyData", "0002", COER_E_PADDING, 0, "GlobalPolicyData");
    wrong("GlobalPolicyData", "00", COER_E_TRUNCATED, 0, "GlobalPolicyData");
}

static void default_is_left_out(void **state)
{
    const PsidGroupPermissions_t *value;
    PsidGroupPermissions_t *built = coer_arena_alloc(arena, sizeof(*built));
    uint8_t out[32];
    size_t size = 0;

    (void)state;
    /* The decoder fills it in. */
    value = right("PsidGroupPermissions", "00 81");
    assert_int_equal(*value->minChainLength, 1);
    assert_int_equal(value->chainLengthRange, 0);
    assert_int_equal(value->eeType->size, 1);
    assert_int_equal(value->eeType->buf[0], 0x80);

    value = right("PsidGroupPermissions", "E0 81 01 00 01 FF C0");
    assert_int_equal(*value->minChainLength, 0);
    assert_int_equal(value->chainLengthRange, -1);
    assert_int_equal(value->eeType->buf[0], 0xC0);

    wrong("PsidGroupPermissions", "80 81 01 01", COER_E_DEFAULT, 2,
          "PsidGroupPermissions.minChainLength");
    wrong("PsidGroupPermissions", "40 81 01 00", COER_E_DEFAULT, 2,
          "PsidGroupPermissions.chainLengthRange");
    wrong("PsidGroupPermissions", "20 81 80", COER_E_DEFAULT, 2, "PsidGroupPermissions.eeType");

    /* The encoder leaves it out, set or NULL. */
    built->subjectPermissions.present = SubjectPermissions_PR_all;
    assert_int_equal(
        coer_encode(&asn_DEF_PsidGroupPermissions, built, out, sizeof(out), &size, NULL), COER_OK);
    assert_int_equal(size, 2);
    assert_memory_equal(out, "\x00\x81", 2);
    built->minChainLength = coer_long(arena, 1);
    built->eeType = coer_arena_alloc(arena, sizeof(*built->eeType));
    assert_true(coer_bits8(arena, built->eeType, 0x80));
    assert_int_equal(
        coer_encode(&asn_DEF_PsidGroupPermissions, built, out, sizeof(out), &size, NULL), COER_OK);
    assert_int_equal(size, 2);
    *built->minChainLength = 0;
    assert_true(coer_bits8(arena, built->eeType, 0x40));
    assert_int_equal(
        coer_encode(&asn_DEF_PsidGroupPermissions, built, out, sizeof(out), &size, NULL), COER_OK);
    assert_int_equal(size, 5);
    assert_memory_equal(out, "\xA0\x81\x01\x00\x40", 5);
}

static void default_of_an_unsigned_type(void **state)
{
    const TemporalSeriesOfShuffleThreshold_t *series;

    (void)state;
    series = right("TemporalSeriesOfShuffleThreshold", "00 01 00");
    assert_int_equal(*series->initialShuffleThreshold, 1000);
    series = right("TemporalSeriesOfShuffleThreshold", "80 000003E9 01 00");
    assert_int_equal(*series->initialShuffleThreshold, 1001);
    wrong("TemporalSeriesOfShuffleThreshold", "80 000003E8 01 00", COER_E_DEFAULT, 1,
          "TemporalSeriesOfShuffleThreshold.initialShuffleThreshold");
    /* The local policy has no default for it. */
    right("LocalTemporalSeriesOfShuffleThreshold", "000003E8 01 00");
}

static void sequence_of_begins_with_a_quantity(void **state)
{
    static const struct {
        size_t count;
        const char *quantity;
    } rows[] = {{0, "0100"},   {1, "0101"},   {127, "017F"},
                {128, "0180"}, {255, "01FF"}, {256, "020100"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t header = from_hex(rows[i].quantity, in, sizeof(in));
        SequenceOfUint8_t built = {.list = {.count = 0}};
        uint8_t out[300];
        size_t size = 0;
        void *value = NULL;

        memset(in + header, 7, rows[i].count);
        assert_int_equal(
            coer_decode(arena, &asn_DEF_SequenceOfUint8, in, header + rows[i].count, &value, NULL),
            COER_OK);
        assert_int_equal(((SequenceOfUint8_t *)value)->list.count, rows[i].count);
        for (size_t j = 0; j < rows[i].count; j++) {
            assert_true(coer_list_add(arena, &built, coer_long(arena, 7)));
        }
        assert_int_equal(
            coer_encode(&asn_DEF_SequenceOfUint8, &built, out, sizeof(out), &size, NULL), COER_OK);
        assert_int_equal(size, header + rows[i].count);
        assert_memory_equal(out, in, size);
    }
    wrong("SequenceOfUint8", "02 0001 07", COER_E_LENGTH, 0, "SequenceOfUint8");
    wrong("SequenceOfUint8", "00", COER_E_LENGTH, 0, "SequenceOfUint8");
    wrong("SequenceOfUint8", "81 01 01 07", COER_E_LENGTH, 0, "SequenceOfUint8");
}

static void sequence_of_with_a_least_count(void **state)
{
    (void)state;
    right("PolygonalRegion", "01 03 00000000 00000000 00000000 00000000 00000000 00000000");
    wrong("PolygonalRegion", "01 02 00000000 00000000 00000000 00000000", COER_E_RANGE, 0,
          "PolygonalRegion");
    wrong("BasePolicyFile", "00 01 00 00 0000000000000000 0000000000000000 80 0000 01 00",
          COER_E_RANGE, 23, "BasePolicyFile.signatures");
}

static void choice_is_a_tag_and_the_alternative(void **state)
{
    (void)state;
    assert_int_equal(((Duration_t *)right("Duration", "86 0001"))->present, Duration_PR_years);
    wrong("Duration", "87 0001", COER_E_CHOICE, 0, "Duration");
    /* Another class, and a number of more than one octet. */
    wrong("Duration", "06 0001", COER_E_CHOICE, 0, "Duration");
    wrong("Duration", "C6 0001", COER_E_CHOICE, 0, "Duration");
    wrong("Duration", "A6 0001", COER_E_CHOICE, 0, "Duration");
    wrong("Duration", "BF 06 0001", COER_E_CHOICE, 0, "Duration");
    wrong("Duration", "", COER_E_TRUNCATED, 0, "Duration");
    /* Extensible, but what it would mean is not known. */
    wrong("SignerIdentifier", "83 01 00", COER_E_CHOICE, 0, "SignerIdentifier");
    /* A number of the published list that is not spoken here. */
    wrong("ScmsPDU", "01 82 80 00", COER_E_CHOICE, 1, "ScmsPDU.content");
}

static void alternative_after_the_marker_is_an_open_type(void **state)
{
    const ServiceSpecificPermissions_t *ssp;
    const IssuerIdentifier_t *issuer;

    (void)state;
    ssp = right("ServiceSpecificPermissions", "80 02 AABB");
    assert_int_equal(ssp->present, ServiceSpecificPermissions_PR_opaque);
    ssp = right("ServiceSpecificPermissions", "81 03 02 AABB");
    assert_int_equal(ssp->present, ServiceSpecificPermissions_PR_bitmapSsp);
    assert_int_equal(ssp->choice.bitmapSsp.size, 2);
    issuer = right("IssuerIdentifier", "82 08 " DIGEST);
    assert_int_equal(issuer->present, IssuerIdentifier_PR_sha384AndDigest);
    wrong("IssuerIdentifier", "82 09 " DIGEST "00", COER_E_TRAILING, 10,
          "IssuerIdentifier.sha384AndDigest");
    wrong("IssuerIdentifier", "82 07 01020304050607", COER_E_TRUNCATED, 2,
          "IssuerIdentifier.sha384AndDigest");
    wrong("IssuerIdentifier", "82 09 " DIGEST, COER_E_TRUNCATED, 1,
          "IssuerIdentifier.sha384AndDigest");
    wrong("IssuerIdentifier", "82 81 08 " DIGEST, COER_E_LENGTH, 1,
          "IssuerIdentifier.sha384AndDigest");
}

/* HeaderInfo has two additions: bitmap of two bits, six unused. */
static void known_additions(void **state)
{
    const HeaderInfo_t *header = right("HeaderInfo", "80 01 20 02 06 80 05 01 01 AABBCC");
    char hex[1024];

    (void)state;
    assert_int_equal(header->inlineP2pcdRequest->list.count, 1);
    assert_null(header->requestedCertificate);
    assert_false(coer_extended(&asn_DEF_HeaderInfo, header));
    snprintf(hex, sizeof(hex), "80 01 20 02 06 C0 05 01 01 AABBCC 59 %s", published_certificate);
    header = right("HeaderInfo", hex);
    assert_int_equal(header->inlineP2pcdRequest->list.count, 1);
    assert_int_equal(header->requestedCertificate->version, 3);
    snprintf(hex, sizeof(hex), "80 01 20 02 06 40 59 %s", published_certificate);
    header = right("HeaderInfo", hex);
    assert_null(header->inlineP2pcdRequest);
    assert_false(coer_arena_extended(arena));
    wrong("HeaderInfo", "80 01 20 02 06 80 06 01 01 AABBCC 00", COER_E_TRAILING, 12,
          "HeaderInfo.inlineP2pcdRequest");
    wrong("HeaderInfo", "80 01 20 02 06 80 04 01 01 AABB", COER_E_COUNT, 7,
          "HeaderInfo.inlineP2pcdRequest");
}

/* Of another edition: skipped, remembered, and the octets known. */
static void unknown_additions_are_skipped(void **state)
{
    static const char hex[] = "80 01 20 02 05 A0 05 01 01 AABBCC 03 DDEEFF";
    size_t size = from_hex(hex, in, sizeof(in));
    HeaderInfo_t *header = NULL;
    struct coer_span span;

    (void)state;
    assert_int_equal(coer_decode(arena, &asn_DEF_HeaderInfo, in, size, (void **)&header, NULL),
                     COER_OK);
    assert_int_equal(header->inlineP2pcdRequest->list.count, 1);
    assert_true(coer_extended(&asn_DEF_HeaderInfo, header));
    assert_true(coer_arena_extended(arena));
    assert_true(coer_span_of(&asn_DEF_HeaderInfo, header, &span));
    assert_int_equal(span.size, size);
    coer_arena_reset(arena);
    assert_false(coer_arena_extended(arena));
    wrong("HeaderInfo", "80 01 20 02 05 20 04 DDEEFF", COER_E_TRUNCATED, 6, "HeaderInfo");
    wrong("HeaderInfo", "80 01 20 02 05 20 81 03 DDEEFF", COER_E_LENGTH, 6, "HeaderInfo");
}

/* A type without additions of its own. */
static void additions_where_none_are_known(void **state)
{
    static const char hex[] = "80 00000001 00000002 03 07 0080 02 ABCD";
    size_t size = from_hex(hex, in, sizeof(in));
    CommonProvisioningRequestFields_t *fields = NULL;

    (void)state;
    /* Nine bits of which the ninth is set, seven unused. */
    assert_int_equal(coer_decode(arena, &asn_DEF_CommonProvisioningRequestFields, in, size,
                                 (void **)&fields, NULL),
                     COER_OK);
    assert_int_equal(fields->requested_start_time, 2);
    assert_true(coer_extended(&asn_DEF_CommonProvisioningRequestFields, fields));
}

/* An older edition knew only the first addition. */
static void shorter_bitmap(void **state)
{
    static const char hex[] = "80 01 20 02 07 80 05 01 01 AABBCC";
    size_t size = from_hex(hex, in, sizeof(in));
    HeaderInfo_t *header = NULL;

    (void)state;
    assert_int_equal(coer_decode(arena, &asn_DEF_HeaderInfo, in, size, (void **)&header, NULL),
                     COER_OK);
    assert_int_equal(header->inlineP2pcdRequest->list.count, 1);
    assert_true(coer_extended(&asn_DEF_HeaderInfo, header));
}

static void extension_bitmap_is_checked(void **state)
{
    (void)state;
    wrong("HeaderInfo", "80 01 20 02 06 00", COER_E_EXTENSION, 3, "HeaderInfo");
    wrong("HeaderInfo", "80 01 20 01 00", COER_E_EXTENSION, 3, "HeaderInfo");
    wrong("HeaderInfo", "80 01 20 00", COER_E_EXTENSION, 3, "HeaderInfo");
    wrong("HeaderInfo", "80 01 20 02 08 80", COER_E_EXTENSION, 3, "HeaderInfo");
    wrong("HeaderInfo", "80 01 20 02 06 A0", COER_E_PADDING, 3, "HeaderInfo");
    wrong("HeaderInfo", "80 01 20", COER_E_TRUNCATED, 3, "HeaderInfo");
    wrong("HeaderInfo", "80 01 20 7F 06 80", COER_E_TRUNCATED, 3, "HeaderInfo");
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
        cmocka_unit_test_teardown(sequence_without_marker_and_options_has_no_preamble, reset),
        cmocka_unit_test_teardown(preamble_of_options, reset),
        cmocka_unit_test_teardown(preamble_of_the_marker_alone, reset),
        cmocka_unit_test_teardown(preamble_padding_is_zero, reset),
        cmocka_unit_test_teardown(preamble_of_two_octets, reset),
        cmocka_unit_test_teardown(default_is_left_out, reset),
        cmocka_unit_test_teardown(default_of_an_unsigned_type, reset),
        cmocka_unit_test_teardown(sequence_of_begins_with_a_quantity, reset),
        cmocka_unit_test_teardown(sequence_of_with_a_least_count, reset),
        cmocka_unit_test_teardown(choice_is_a_tag_and_the_alternative, reset),
        cmocka_unit_test_teardown(alternative_after_the_marker_is_an_open_type, reset),
        cmocka_unit_test_teardown(known_additions, reset),
        cmocka_unit_test_teardown(unknown_additions_are_skipped, reset),
        cmocka_unit_test_teardown(additions_where_none_are_known, reset),
        cmocka_unit_test_teardown(shorter_bitmap, reset),
        cmocka_unit_test_teardown(extension_bitmap_is_checked, reset),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
