/* Each rule of canonical OER (ITU-T X.696) for types with components that the modules use, with its
 * borders. */
#include "tests/asn1/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "asn1/types.h"

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
