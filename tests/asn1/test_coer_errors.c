/* Limits, and errors of the encoder and of the helpers. Those of the decoder's rules are with the
 * rules. */
#include "tests/asn1/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "asn1/types.h"

static coer_arena *arena;

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

/* Messages that say of themselves to be large: refused before memory is asked for. */
static void counts_larger_than_the_input(void **state)
{
    (void)state;
    refuse(&asn_DEF_SequenceOfUint8, "04 7FFFFFFF 00", COER_E_COUNT, 0, "SequenceOfUint8");
    refuse(&asn_DEF_SequenceOfUint8, "04 80000000 00", COER_E_COUNT, 0, "SequenceOfUint8");
    refuse(&asn_DEF_SequenceOfUint8, "04 FFFFFFFF 00", COER_E_COUNT, 0, "SequenceOfUint8");
    refuse(&asn_DEF_SequenceOfUint8, "05 0100000000 00", COER_E_COUNT, 0, "SequenceOfUint8");
    refuse(&asn_DEF_SequenceOfUint8, "08 8000000000000000 00", COER_E_COUNT, 0, "SequenceOfUint8");
    refuse(&asn_DEF_SequenceOfUint8, "08 FFFFFFFFFFFFFFFF 00", COER_E_COUNT, 0, "SequenceOfUint8");
    refuse(&asn_DEF_SequenceOfUint8, "09 01FFFFFFFFFFFFFFFF 00", COER_E_COUNT, 0,
           "SequenceOfUint8");
    /* A certificate has 26 octets at least. */
    refuse(&asn_DEF_SequenceOfCertificate, "01 02 0000000000000000000000000000000000000000",
           COER_E_COUNT, 0, "SequenceOfCertificate");
    refuse(&asn_DEF_SignerIdentifier, "81 03 FFFFFF 80", COER_E_COUNT, 1,
           "SignerIdentifier.certificate");
}

static void input_larger_than_any_message(void **state)
{
    static const uint8_t in[1];
    struct coer_error error;
    void *value = NULL;

    (void)state;
    /* Never looked at: refused for its size alone. */
    assert_int_equal(coer_decode(arena, &asn_DEF_Opaque, in, (size_t)INT32_MAX + 1, &value, &error),
                     COER_E_LENGTH);
    assert_string_equal(error.path, "Opaque");
}

static void no_input(void **state)
{
    struct coer_error error;
    void *value = NULL;

    (void)state;
    assert_int_equal(coer_decode(arena, &asn_DEF_Certificate, NULL, 0, &value, &error),
                     COER_E_TRUNCATED);
    assert_int_equal(error.offset, 0);
    /* Nobody has to want to know. */
    assert_int_equal(coer_decode(arena, &asn_DEF_Certificate, NULL, 0, &value, NULL),
                     COER_E_TRUNCATED);
}

/* payload.data in payload.data ...: five levels each. */
static size_t nested(uint8_t *out, unsigned times)
{
    size_t size = 0;

    for (unsigned i = 0; i < times; i++) {
        memcpy(out + size, "\x03\x81\x00\x40", 4);
        size += 4;
    }
    memcpy(out + size, "\x03\x80\x00", 3);
    size += 3;
    for (unsigned i = 0; i < times; i++) {
        memcpy(out + size, "\x00\x01\x20\x82\x80\x80", 6);
        memset(out + size + 6, 1, 64);
        size += 6 + 64;
    }
    return size;
}

static void depth_is_limited(void **state)
{
    static uint8_t in[200 * 80];
    struct coer_error error;
    void *value = NULL;
    uint8_t *out = NULL;
    size_t out_size = 0;
    size_t size = nested(in, 6);

    (void)state;
    /* 6 times 5 levels, and 2 of the innermost. */
    assert_int_equal(coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, in, size, &value, &error),
                     COER_OK);
    assert_int_equal(coer_encode_alloc(&asn_DEF_Ieee1609Dot2Data, value, &out, &out_size, NULL),
                     COER_OK);
    assert_int_equal(out_size, size);
    assert_memory_equal(out, in, size);
    free(out);
    size = nested(in, 7);
    assert_int_equal(coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, in, size, &value, &error),
                     COER_E_DEPTH);
    assert_null(value);
    /* 1,000 levels: the decoder goes no deeper than the first 32 of them. */
    size = nested(in, 200);
    assert_int_equal(coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, in, size, &value, &error),
                     COER_E_DEPTH);
    assert_int_equal(error.offset, 6 * 4 + 2);
    assert_string_equal(error.path + strlen(error.path) - 24, ".data.content.signedData");
}

/* A structure that contains itself cannot be encoded, and does not end the program. */
static void depth_is_limited_for_encoding(void **state)
{
    Ieee1609Dot2Data_t *data = coer_arena_alloc(arena, sizeof(*data));
    struct coer_error error;
    size_t size = 1;

    (void)state;
    data->protocolVersion = 3;
    data->content = coer_arena_alloc(arena, sizeof(*data->content));
    data->content->present = Ieee1609Dot2Content_PR_signedData;
    data->content->choice.signedData = coer_arena_alloc(arena, sizeof(SignedData_t));
    data->content->choice.signedData->tbsData = coer_arena_alloc(arena, sizeof(ToBeSignedData_t));
    data->content->choice.signedData->tbsData->payload =
        coer_arena_alloc(arena, sizeof(SignedDataPayload_t));
    data->content->choice.signedData->tbsData->payload->data = data;
    assert_int_equal(coer_encoded_size(&asn_DEF_Ieee1609Dot2Data, data, &size, &error),
                     COER_E_DEPTH);
    assert_int_equal(size, 0);
}

static void path_names_the_element(void **state)
{
    char hex[600];

    (void)state;
    /* Two certificates, the second with version 4; its first octet is at 3 + 89. */
    snprintf(hex, sizeof(hex), "81 01 02 %s 0004%s", published_certificate,
             published_certificate + 4);
    refuse(&asn_DEF_SignerIdentifier, hex, COER_E_RANGE, 93,
           "SignerIdentifier.certificate[1].version");
}

/* A path that is longer than it may be keeps its end. */
static void long_path_is_shortened(void **state)
{
    static uint8_t in[200 * 80];
    struct coer_error error;
    void *value = NULL;
    size_t size = nested(in, 6);

    (void)state;
    in[6 * 4] = 4;
    assert_int_equal(coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, in, size, &value, &error),
                     COER_E_RANGE);
    assert_int_equal(strncmp(error.path, "...", 3), 0);
    assert_true(strlen(error.path) < COER_PATH_SIZE);
    assert_string_equal(error.path + strlen(error.path) - 29, ".payload.data.protocolVersion");
}

static void error_is_one_line(void **state)
{
    struct coer_error error = {.status = COER_E_RANGE, .offset = 12, .path = "Certificate.version"};
    char line[200];
    char small[8];

    (void)state;
    assert_string_equal(coer_error_format(&error, line, sizeof(line)),
                        "Certificate.version: at octet 12: the value or its size is out of range "
                        "(COER_E_RANGE)");
    assert_string_equal(coer_error_format(&error, small, sizeof(small)), "Certifi");
    for (int status = COER_OK; status <= COER_E_TYPE; status++) {
        assert_non_null(coer_status_name((enum coer_status)status));
        assert_true(strlen(coer_status_text((enum coer_status)status)) > 0);
    }
    assert_string_equal(coer_status_name((enum coer_status)1000), "COER_E_TYPE");
}

static void foreign_descriptor(void **state)
{
    asn_TYPE_descriptor_t foreign = asn_DEF_Certificate;
    struct coer_error error;
    void *value = NULL;
    size_t size = 0;
    int nothing = 0;

    (void)state;
    foreign.name = "Foreign";
    assert_int_equal(coer_decode(arena, &foreign, (const uint8_t *)"", 0, &value, &error),
                     COER_E_TYPE);
    assert_string_equal(error.path, "Foreign");
    assert_int_equal(coer_encoded_size(&foreign, &nothing, &size, &error), COER_E_TYPE);
}

static void encode_fails(const asn_TYPE_descriptor_t *type, const void *value,
                         enum coer_status status, const char *path)
{
    struct coer_error error = {.status = COER_OK};
    uint8_t out[300];
    uint8_t *allocated = out;
    size_t size = 1;

    assert_int_equal(coer_encode(type, value, out, sizeof(out), &size, &error), status);
    assert_int_equal(size, 0);
    assert_int_equal(error.status, status);
    assert_string_equal(error.path, path);
    assert_int_equal(coer_encode_alloc(type, value, &allocated, &size, NULL), status);
    assert_null(allocated);
}

static void what_the_encoder_refuses(void **state)
{
    uint8_t octets[64] = {0};
    Duration_t duration = {.present = Duration_PR_NOTHING};
    HashedId8_t digest = {.buf = octets, .size = 7};
    long number = 256;
    Hostname_t name = {.buf = (uint8_t *)(uintptr_t) "\xFF", .size = 1};
    EndEntityType_t bits = {.buf = octets, .size = 1};
    PsidGroupPermissions_t group = {.subjectPermissions = {.present = SubjectPermissions_PR_all}};
    PolygonalRegion_t polygon = {.list = {.count = 0}};
    INTEGER_t time = {.buf = octets, .size = 9};
    Ieee1609Dot2Data_t data = {.protocolVersion = 3};
    HeaderInfo_t header = {.psid = 0x20};
    SequenceOfHashedId3_t request = {.list = {.count = 0}};

    (void)state;
    encode_fails(&asn_DEF_Duration, NULL, COER_E_MISSING, "Duration");
    encode_fails(&asn_DEF_Duration, &duration, COER_E_MISSING, "Duration");
    duration.present = (Duration_PR)8;
    encode_fails(&asn_DEF_Duration, &duration, COER_E_CHOICE, "Duration");
    duration.present = Duration_PR_hours;
    duration.choice.hours = 65536;
    encode_fails(&asn_DEF_Duration, &duration, COER_E_RANGE, "Duration.hours");
    encode_fails(&asn_DEF_HashedId8, &digest, COER_E_RANGE, "HashedId8");
    digest = (HashedId8_t){.buf = NULL, .size = 8};
    encode_fails(&asn_DEF_HashedId8, &digest, COER_E_MISSING, "HashedId8");
    encode_fails(&asn_DEF_Uint8, &number, COER_E_RANGE, "Uint8");
    number = -1;
    encode_fails(&asn_DEF_Uint8, &number, COER_E_RANGE, "Uint8");
    encode_fails(&asn_DEF_Psid, &number, COER_E_RANGE, "Psid");
    encode_fails(&asn_DEF_HashAlgorithm, &number, COER_E_ENUM, "HashAlgorithm");
    number = 2;
    encode_fails(&asn_DEF_HashAlgorithm, &number, COER_E_ENUM, "HashAlgorithm");
    encode_fails(&asn_DEF_Hostname, &name, COER_E_UTF8, "Hostname");
    encode_fails(&asn_DEF_EndEntityType, &bits, COER_E_RANGE, "EndEntityType");
    group.eeType = &bits;
    encode_fails(&asn_DEF_PsidGroupPermissions, &group, COER_E_RANGE,
                 "PsidGroupPermissions.eeType");
    octets[0] = 0x41;
    bits.bits_unused = 1;
    encode_fails(&asn_DEF_EndEntityType, &bits, COER_E_RANGE, "EndEntityType");
    encode_fails(&asn_DEF_PolygonalRegion, &polygon, COER_E_RANGE, "PolygonalRegion");
    encode_fails(&asn_DEF_Time64, &time, COER_E_RANGE, "Time64");
    time = (INTEGER_t){.buf = NULL};
    encode_fails(&asn_DEF_Time64, &time, COER_E_MISSING, "Time64");
    encode_fails(&asn_DEF_Ieee1609Dot2Data, &data, COER_E_MISSING, "Ieee1609Dot2Data.content");
    /* In an open type, which is encoded twice. */
    digest = (HashedId8_t){.buf = octets, .size = 4};
    assert_true(coer_list_add(arena, &request, &digest));
    header.inlineP2pcdRequest = &request;
    encode_fails(&asn_DEF_HeaderInfo, &header, COER_E_RANGE, "HeaderInfo.inlineP2pcdRequest[0]");
    request.list.array[0] = NULL;
    encode_fails(&asn_DEF_HeaderInfo, &header, COER_E_MISSING, "HeaderInfo.inlineP2pcdRequest[0]");
}

static void integers_of_64_bits(void **state)
{
    static const uint64_t values[] = {0,         1, 255, 256, INT64_MAX, (uint64_t)INT64_MAX + 1,
                                      UINT64_MAX};
    uint8_t nine[9] = {1};
    INTEGER_t integer = {.buf = nine, .size = 9};
    uint64_t value = 7;

    (void)state;
    assert_false(coer_integer_get(&integer, &value));
    assert_int_equal(value, 7);
    nine[0] = 0;
    assert_true(coer_integer_get(&integer, &value));
    assert_int_equal(value, 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        uint8_t out[8];
        size_t size = 0;

        assert_true(coer_integer_set(arena, &integer, values[i]));
        assert_true(coer_integer_get(&integer, &value));
        assert_true(value == values[i]);
        assert_int_equal(coer_encode(&asn_DEF_Time64, &integer, out, sizeof(out), &size, NULL),
                         COER_OK);
        assert_int_equal(size, 8);
        assert_int_equal(out[7], values[i] & 0xFF);
    }
}

/* Allocations are zeroed, aligned and do not overlap, in small pieces and in large ones. */
static void arena_allocates(void **state)
{
    static const size_t sizes[] = {1, 7, 8, 100, 5000, 9000, 100000, 3000000, 1};

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        uint8_t *blocks[9];

        for (size_t i = 0; i < 9; i++) {
            blocks[i] = coer_arena_alloc(arena, sizes[i]);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % sizeof(void *), 0);
            for (size_t j = 0; j < sizes[i]; j++) {
                assert_int_equal(blocks[i][j], 0);
            }
            memset(blocks[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < 9; i++) {
            assert_int_equal(blocks[i][0], i + 1);
            assert_int_equal(blocks[i][sizes[i] - 1], i + 1);
        }
        coer_arena_reset(arena);
    }
    assert_null(coer_arena_alloc(arena, SIZE_MAX));
    coer_arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(counts_larger_than_the_input, reset),
        cmocka_unit_test_teardown(input_larger_than_any_message, reset),
        cmocka_unit_test_teardown(no_input, reset),
        cmocka_unit_test_teardown(depth_is_limited, reset),
        cmocka_unit_test_teardown(depth_is_limited_for_encoding, reset),
        cmocka_unit_test_teardown(path_names_the_element, reset),
        cmocka_unit_test_teardown(long_path_is_shortened, reset),
        cmocka_unit_test_teardown(error_is_one_line, reset),
        cmocka_unit_test_teardown(foreign_descriptor, reset),
        cmocka_unit_test_teardown(what_the_encoder_refuses, reset),
        cmocka_unit_test_teardown(integers_of_64_bits, reset),
        cmocka_unit_test_teardown(arena_allocates, reset),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
