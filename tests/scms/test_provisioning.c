/* test_provisioning.c: provisioning requests, and their Secured form. */
#include "tests/scms/ra_pair.h"

static ScmsPDU_t *decode(coer_arena *arena, const uint8_t *octets, size_t size)
{
    void *pdu = NULL;

    assert_int_equal(coer_decode(arena, &asn_DEF_ScmsPDU, octets, size, &pdu, NULL), COER_OK);
    return pdu;
}

/* 82|83 || x of a key, as in an EccP256CurvePoint. */
static uint8_t *put_point(uint8_t *p, const EVP_PKEY *key)
{
    uint8_t point[49];
    size_t size = 0;

    assert_int_equal(dot2_public_point(key, point, &size), DOT2_OK);
    assert_int_equal(size, 33);
    memcpy(p, point, 33);
    p[0] |= 0x80;
    return p + 33;
}

static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1};

/* Put together by hand, as the byte layouts have it: 83 octets without cert-encryption-key. */
/* What is told of a request without making keys of it: the same point, and the same refusals. */
static void assert_head(const struct scms_request_head *head, EVP_PKEY *key)
{
    uint8_t point[49];
    size_t size = 0;

    assert_int_equal(dot2_public_point(key, point, &size), DOT2_OK);
    assert_int_equal(head->point_size, size);
    assert_memory_equal(head->verify_point, point, size);
    assert_int_equal(head->requested_start_time, 0x2b0f3a46);
}

static void an_application_request_has_the_layout_of_the_type(void **state)
{
    (void)state;
    for (int with = 0; with < 2; with++) {
        for (size_t c = 0; c < 2; c++) {
            struct scms_app_request request = {fixture_key(&f, curves[c]),
                                               with ? fixture_key(&f, curves[c]) : NULL,
                                               fixture_key(&f, curves[c]), 0x2b0f3a45, 0x2b0f3a46};
            struct scms_app_request back;
            struct scms_request_head head;
            coer_arena *arena = coer_arena_new();
            uint8_t expected[160], *p = expected, *octets = NULL;
            size_t size = 0;

            p = put(p, with ? "01 83 86 40 01" : "01 83 86 00 01");
            p = put(p, c == 0 ? "80" : "81");
            p = put_point(p, request.verify_key);
            if (with) {
                p = put(p, c == 0 ? "00 80" : "00 81");
                p = put_point(p, request.cert_encryption_key);
            }
            p = put(p, c == 0 ? "00 80" : "00 81");
            p = put_point(p, request.response_encryption_key);
            p = put(p, "00 2b0f3a45 2b0f3a46");
            assert_int_equal(p - expected, with ? 83 + 35 : 83);

            assert_int_equal(scms_app_request_build(&request, &octets, &size, NULL), DOT2_OK);
            assert_int_equal(size, p - expected);
            assert_memory_equal(octets, expected, size);
            assert_int_equal(
                scms_app_request_parse(f.crypto, decode(arena, octets, size), &back, NULL),
                DOT2_OK);
            assert_int_equal(EVP_PKEY_eq(back.verify_key, request.verify_key), 1);
            assert_int_equal(
                EVP_PKEY_eq(back.response_encryption_key, request.response_encryption_key), 1);
            assert_int_equal(back.cert_encryption_key != NULL, with);
            assert_int_equal(back.current_time, 0x2b0f3a45);
            assert_int_equal(back.requested_start_time, 0x2b0f3a46);
            assert_int_equal(
                scms_app_request_check(f.crypto, decode(arena, octets, size), &head, NULL),
                DOT2_OK);
            assert_head(&head, request.verify_key);
            scms_app_request_clear(&back);
            scms_app_request_clear(&request);
            OPENSSL_free(octets);
            coer_arena_free(arena);
        }
    }
}

/* An x of which no point of P-256 exists, x-only, fill: each refused with the name of the field. */
static void keys_that_are_no_points_are_refused(void **state)
{
    struct scms_app_request request = {ra_key[0], ra_key[1], ra_decryption_key[0], 1, 2}, back;
    static const char *const fields[] = {"verify-key", "cert-encryption-key",
                                         "response-encryption-key"};
    const size_t at[] = {6, 41, 76};
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(scms_app_request_build(&request, &octets, &size, NULL), DOT2_OK);
    for (size_t i = 0; i < 3; i++) {
        coer_arena *arena = coer_arena_new();
        uint8_t *bad = OPENSSL_memdup(octets, size);
        struct dot2_error error = {0};
        struct scms_request_head head;

        memset(bad + at[i] + 1, 0xff, 32); /* not less than p */
        assert_int_equal(scms_app_request_parse(f.crypto, decode(arena, bad, size), &back, &error),
                         DOT2_E_POINT);
        assert_non_null(strstr(error.field, fields[i]));
        memcpy(bad, octets, size);
        bad[at[i]] = 0x80; /* x-only */
        assert_int_equal(scms_app_request_parse(f.crypto, decode(arena, bad, size), &back, &error),
                         DOT2_E_POINT);
        assert_non_null(strstr(error.field, fields[i]));
        assert_null(back.verify_key);
        memset(&error, 0, sizeof(error));
        assert_int_equal(scms_app_request_check(f.crypto, decode(arena, bad, size), &head, &error),
                         DOT2_E_POINT);
        assert_non_null(strstr(error.field, fields[i]));
        OPENSSL_free(bad);
        coer_arena_free(arena);
    }
    OPENSSL_free(octets);
}

static void keys_without_a_place_in_the_type_are_refused(void **state)
{
    EVP_PKEY *p384 = fixture_key(&f, DOT2_CURVE_P384);
    EVP_PKEY *b384 = fixture_key(&f, DOT2_CURVE_BRAINPOOL_P384R1);
    EVP_PKEY *b256 = fixture_key(&f, DOT2_CURVE_BRAINPOOL_P256R1);
    struct scms_app_request request = {p384, NULL, ra_key[0], 1, 2};
    struct scms_butterfly_request butterfly = {
        .kind = SCMS_PROVISION_ID,
        .verify.seed_key = ra_key[0],
        .response_encryption.seed_key = b256,
    };
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(scms_app_request_build(&request, &octets, &size, &error), DOT2_E_ALGORITHM);
    assert_non_null(strstr(error.field, "verify-key"));
    request.verify_key = b384; /* this one has a place among the verification keys only */
    assert_int_equal(scms_app_request_build(&request, &octets, &size, &error), DOT2_OK);
    OPENSSL_free(octets);
    request.response_encryption_key = b384;
    assert_int_equal(scms_app_request_build(&request, &octets, &size, &error), DOT2_E_ALGORITHM);
    assert_non_null(strstr(error.field, "response-encryption-key"));
    assert_null(octets);
    assert_int_equal(scms_butterfly_request_build(&butterfly, &octets, &size, &error),
                     DOT2_E_ALGORITHM);
    assert_non_null(strstr(error.field, "resp-enc-key-info"));
    butterfly.response_encryption.seed_key = ra_key[0];
    butterfly.cert_encryption.seed_key = ra_key[0];
    butterfly.kind = SCMS_PROVISION_PSEUDONYM;
    assert_int_equal(scms_butterfly_request_build(&butterfly, &octets, &size, &error),
                     DOT2_E_ARGUMENT);
    butterfly.kind = SCMS_PROVISION_APP;
    assert_int_equal(scms_butterfly_request_build(&butterfly, &octets, &size, &error),
                     DOT2_E_ARGUMENT);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(b384);
    EVP_PKEY_free(b256);
}

static void requests_with_butterfly_parameters(void **state)
{
    (void)state;
    for (int form = 0; form < 3; form++) { /* pseudonym, id, id with cert-enc-key-info */
        struct scms_butterfly_request request = {
            .kind = form == 0 ? SCMS_PROVISION_PSEUDONYM : SCMS_PROVISION_ID,
            .verify = {ra_key[0], "verify expansio"},
            .cert_encryption = {form == 2 ? ra_key[1] : NULL, "cert-enc expans"},
            .response_encryption = {ra_decryption_key[0], "response expans"},
            .current_time = 0x2b0f3a45,
            .requested_start_time = 0x2b0f3a46,
        };
        struct scms_butterfly_request back;
        struct scms_app_request app;
        struct scms_request_head head;
        coer_arena *arena = coer_arena_new();
        uint8_t expected[200], *p = expected, *octets = NULL;
        struct dot2_error error = {0};
        size_t size = 0;

        p = put(p, form == 0 ? "01 83 82 00 01" : form == 1 ? "01 83 84 00 01" : "01 83 84 40 01");
        p = put_point(p, request.verify.seed_key);
        memcpy(p, request.verify.expansion, 16);
        p += 16;
        if (form == 2) {
            p = put_point(p, request.cert_encryption.seed_key);
            memcpy(p, request.cert_encryption.expansion, 16);
            p += 16;
        }
        p = put_point(p, request.response_encryption.seed_key);
        memcpy(p, request.response_encryption.expansion, 16);
        p = put(p + 16, "00 2b0f3a45 2b0f3a46");
        assert_int_equal(scms_butterfly_request_build(&request, &octets, &size, NULL), DOT2_OK);
        assert_int_equal(size, p - expected);
        assert_memory_equal(octets, expected, size);
        assert_int_equal(
            scms_butterfly_request_parse(f.crypto, decode(arena, octets, size), &back, NULL),
            DOT2_OK);
        assert_int_equal(back.kind, request.kind);
        assert_int_equal(EVP_PKEY_eq(back.verify.seed_key, request.verify.seed_key), 1);
        assert_memory_equal(back.verify.expansion, request.verify.expansion, 16);
        assert_int_equal(back.cert_encryption.seed_key != NULL, form == 2);
        assert_int_equal(EVP_PKEY_eq(back.response_encryption.seed_key, ra_decryption_key[0]), 1);
        assert_memory_equal(back.response_encryption.expansion, "response expans", 16);
        assert_int_equal(back.current_time, 0x2b0f3a45);
        assert_int_equal(back.requested_start_time, 0x2b0f3a46);
        scms_butterfly_request_clear(&back);
        assert_null(back.verify.seed_key);
        assert_int_equal(
            scms_butterfly_request_check(f.crypto, decode(arena, octets, size), &head, NULL),
            DOT2_OK);
        assert_head(&head, request.verify.seed_key);

        assert_int_equal(
            scms_app_request_parse(f.crypto, decode(arena, octets, size), &app, &error),
            DOT2_E_MESSAGE);
        memset(octets + 6, 0xff, 32);
        assert_int_equal(
            scms_butterfly_request_parse(f.crypto, decode(arena, octets, size), &back, &error),
            DOT2_E_POINT);
        assert_non_null(strstr(error.field, "verify-key-info"));
        memset(&error, 0, sizeof(error));
        assert_int_equal(
            scms_butterfly_request_check(f.crypto, decode(arena, octets, size), &head, &error),
            DOT2_E_POINT);
        assert_non_null(strstr(error.field, "verify-key-info"));
        assert_int_equal(
            scms_app_request_check(f.crypto, decode(arena, octets, size), &head, &error),
            DOT2_E_MESSAGE);
        OPENSSL_free(octets);
        coer_arena_free(arena);
    }
}

/* A signed download request, what is secured in the field most. */
static size_t signed_request(uint8_t **octets)
{
    uint8_t *tbs = NULL;
    size_t tbs_size = 0, size = 0;

    assert_int_equal(
        scms_download_request_build(FIXTURE_NOW, "AB09281C9867DE53.zip", &tbs, &tbs_size, NULL),
        DOT2_OK);
    assert_int_equal(scms_signed_request_build(f.crypto, pki.rse_key, pki.rse, tbs, tbs_size,
                                               octets, &size, NULL),
                     DOT2_OK);
    OPENSSL_free(tbs);
    return size;
}

static enum dot2_status open(const uint8_t *octets, size_t size, const uint8_t *expected,
                             size_t expected_size, size_t *used)
{
    const struct scms_ra_key keys[] = {{.cert = ra[0], .key = ra_decryption_key[0]},
                                       {.cert = ra[1], .key = ra_decryption_key[1]}};
    uint8_t *request = NULL;
    size_t request_size = 0;
    enum dot2_status status =
        scms_secured_open(f.crypto, keys, 2, octets, size, &request, &request_size, used, NULL);

    if (status == DOT2_OK) {
        assert_int_equal(request_size, expected_size);
        assert_memory_equal(request, expected, expected_size);
        OPENSSL_clear_free(request, request_size);
    } else {
        assert_null(request);
    }
    return status;
}

static void secured_for_either_certificate_of_the_ra(void **state)
{
    uint8_t *request = NULL, *octets = NULL;
    size_t request_size = signed_request(&request), size = 0, used = 9;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            scms_secured_build(f.crypto, ra[i], request, request_size, &octets, &size, NULL),
            DOT2_OK);
        assert_int_equal(scms_form_of(octets, size), SCMS_FORM_ENCRYPTED);
        assert_int_equal(open(octets, size, request, request_size, &used), DOT2_OK);
        assert_int_equal(used, i);
        octets[size - 1] ^= 1;
        assert_int_equal(open(octets, size, request, request_size, &used), DOT2_E_DECRYPT);
        octets[size - 1] ^= 1;
        memcpy(octets + 5, dot2_cert_hashedid8(ra[1 - i]), 8); /* the P1 of another certificate */
        assert_int_equal(open(octets, size, request, request_size, &used), DOT2_E_DECRYPT);
        octets[5] ^= 1; /* to another RA */
        assert_int_equal(open(octets, size, request, request_size, &used), DOT2_E_NOT_RECIPIENT);
        OPENSSL_free(octets);
    }
    OPENSSL_free(request);
}

static void nothing_but_a_signed_request_is_secured(void **state)
{
    size_t unsecured_size = 0, size = 0, request_size = 0, used = 0;
    const uint8_t *unsecured = scms_ra_cert_request(&unsecured_size);
    uint8_t *octets = NULL, *request = NULL, *twice = NULL;
    size_t twice_size = 0;

    (void)state;
    assert_int_equal(
        scms_secured_build(f.crypto, ra[0], unsecured, unsecured_size, &octets, &size, NULL),
        DOT2_E_ARGUMENT);
    assert_null(octets);
    assert_int_equal(
        dot2_encrypt_to_cert(f.crypto, ra[0], unsecured, unsecured_size, &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(open(octets, size, NULL, 0, &used), DOT2_E_MESSAGE);
    /* Encrypted twice. */
    assert_int_equal(dot2_encrypt_to_cert(f.crypto, ra[0], octets, size, &twice, &twice_size, NULL),
                     DOT2_OK);
    assert_int_equal(open(twice, twice_size, NULL, 0, &used), DOT2_E_MESSAGE);
    OPENSSL_free(octets);
    OPENSSL_free(twice);
    /* To the key alone; and what is signed only. */
    request_size = signed_request(&request);
    assert_int_equal(dot2_encrypt_to_key(f.crypto, ra_decryption_key[0], request, request_size,
                                         &octets, &size, NULL),
                     DOT2_OK);
    assert_int_equal(open(octets, size, request, request_size, &used), DOT2_E_MESSAGE);
    assert_int_equal(open(request, request_size, request, request_size, &used), DOT2_E_MESSAGE);
    OPENSSL_free(octets);
    OPENSSL_free(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_application_request_has_the_layout_of_the_type),
        cmocka_unit_test(keys_that_are_no_points_are_refused),
        cmocka_unit_test(keys_without_a_place_in_the_type_are_refused),
        cmocka_unit_test(requests_with_butterfly_parameters),
        cmocka_unit_test(secured_for_either_certificate_of_the_ra),
        cmocka_unit_test(nothing_but_a_signed_request_is_secured),
    };

    return cmocka_run_group_tests(tests, ra_pair_setup, ra_pair_teardown);
}
