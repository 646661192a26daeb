/* test_provisioning.c: provisioning requests, their Secured form, their acks, the RA's certificate.
 */
#include "tests/dot2/fixture.h"

#include "protocol/dot2/asn1_key.h"
#include "protocol/scms/scms.h"

static struct fixture f;
static struct pki pki;
static EVP_PKEY *ra_key[2], *ra_decryption_key[2]; /* the old one, the new one */
static dot2_cert *ra[2];

static int set_up(void **state)
{
    (void)state;
    fixture_open(&f);
    pki_open(&f, DOT2_CURVE_P256, &pki);
    for (int i = 0; i < 2; i++) {
        ToBeSignedCertificate_t *body =
            fixture_body(&f, i == 0 ? "ra.old" : "ra.new", FIXTURE_START, 10000);

        ra_key[i] = fixture_key(&f, DOT2_CURVE_P256);
        ra_decryption_key[i] = fixture_key(&f, DOT2_CURVE_P256);
        fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
        fixture_region(&f, body, "83 0101 80 0348");
        body->encryptionKey = coer_arena_alloc(f.arena, sizeof(*body->encryptionKey));
        assert_int_equal(dot2_asn1_set_encryption_key(f.arena, body->encryptionKey,
                                                      ra_decryption_key[i], "", NULL),
                         DOT2_OK);
        ra[i] = fixture_explicit(&f, body, ra_key[i], pki.ica, pki.ica_key);
        assert_int_equal(dot2_trust_add(pki.trust, ra[i]), DOT2_OK);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        EVP_PKEY_free(ra_key[i]);
        EVP_PKEY_free(ra_decryption_key[i]);
        dot2_cert_free(ra[i]);
    }
    pki_close(&pki);
    fixture_close(&f);
    return 0;
}

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

static uint8_t *put(uint8_t *p, const char *hex)
{
    return p + fixture_hex(hex, p, 64);
}

static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1};

/* Put together by hand, as the byte layouts have it: 83 octets without cert-encryption-key. */
static void an_application_request_has_the_layout_of_the_type(void **state)
{
    (void)state;
    for (int with = 0; with < 2; with++) {
        for (size_t c = 0; c < 2; c++) {
            struct scms_app_request request = {fixture_key(&f, curves[c]),
                                               with ? fixture_key(&f, curves[c]) : NULL,
                                               fixture_key(&f, curves[c]), 0x2b0f3a45, 0x2b0f3a46};
            struct scms_app_request back;
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
            scms_app_request_parse(f.crypto, decode(arena, octets, size), &app, &error),
            DOT2_E_MESSAGE);
        memset(octets + 6, 0xff, 32);
        assert_int_equal(
            scms_butterfly_request_parse(f.crypto, decode(arena, octets, size), &back, &error),
            DOT2_E_POINT);
        assert_non_null(strstr(error.field, "verify-key-info"));
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

static const struct scms_ack an_ack = {SCMS_PROVISION_APP,
                                       {0xab, 0x09, 0x28, 0x1c, 0x98, 0x67, 0xde, 0x53},
                                       FIXTURE_NOW + 3600,
                                       "https://ra.example:8892/"};

static void acks_of_each_kind(void **state)
{
    static const uint8_t tags[] = {0, 0x83, 0x85, 0x87};

    (void)state;
    for (int kind = SCMS_PROVISION_PSEUDONYM; kind <= SCMS_PROVISION_APP; kind++) {
        struct scms_ack ack = an_ack, back;
        uint8_t expected[80], *p = expected, *octets = NULL;
        size_t size = 0;

        ack.kind = (enum scms_provision)kind;
        assert_int_equal(scms_ack_build(f.crypto, ra_key[0], ra[0], &ack, &octets, &size, NULL),
                         DOT2_OK);
        /* 03 81 00 40 03 80 len ScmsPDU 00 01 23, digest */
        p = put(p, "03 81 00 40 03 80 2c 01 83");
        *p++ = tags[kind];
        p = put(p, "00 01 ab09281c9867de53 80 00 2aba13d0 18");
        memcpy(p - 5,
               (uint8_t[]){(uint8_t)(ack.download_time >> 24), (uint8_t)(ack.download_time >> 16),
                           (uint8_t)(ack.download_time >> 8), (uint8_t)ack.download_time},
               4);
        memcpy(p, ack.url, 24);
        p = put(p + 24, "00 01 23 80");
        memcpy(p, dot2_cert_hashedid8(ra[0]), 8);
        p += 8;
        assert_memory_equal(octets, expected, (size_t)(p - expected));
        assert_int_equal(size, (p - expected) + 1 + 1 + 32 + 32);

        assert_int_equal(scms_ack_open(pki.trust, ra[0], FIXTURE_NOW, octets, size, &back, NULL),
                         DOT2_OK);
        assert_int_equal(back.kind, kind);
        assert_memory_equal(back.request_hash, ack.request_hash, 8);
        assert_int_equal(back.download_time, ack.download_time);
        assert_string_equal(back.url, ack.url);
        /* Another RA of the same SCMS. */
        assert_int_equal(scms_ack_open(pki.trust, ra[1], FIXTURE_NOW, octets, size, &back, NULL),
                         DOT2_E_SIGNER);
        assert_int_equal(back.kind, 0);
        assert_int_equal(
            scms_ack_open(pki.trust, ra[0], FIXTURE_START + 99000000, octets, size, &back, NULL),
            DOT2_E_EXPIRED);
        for (size_t n = 0; n < size; n++) {
            uint8_t *cut = OPENSSL_memdup(octets, n > 0 ? n : 1);

            assert_int_equal(scms_ack_open(pki.trust, ra[0], FIXTURE_NOW, cut, n, &back, NULL),
                             DOT2_E_DECODE);
            OPENSSL_free(cut);
        }
        for (size_t bit = 0; bit < 8 * size; bit++) {
            /* x-only to compressed-y-0 is another form of the same signature. */
            bool same = bit == 8 * (size - 65) + 1;
            enum dot2_status status;

            octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
            status = scms_ack_open(pki.trust, ra[0], FIXTURE_NOW, octets, size, &back, NULL);
            assert_int_equal(status == DOT2_OK, same);
            octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        OPENSSL_free(octets);
    }
}

static void acks_that_are_not_as_they_must_be(void **state)
{
    const struct dot2_header headers[] = {
        {.psid = 0x20},
        {.psid = SCMS_PSID, .has_generation_time = true, .generation_time = FIXTURE_NOW * 1000000u},
    };
    size_t pdu_size = 0, size = 0;
    const uint8_t *request = scms_ra_cert_request(&pdu_size) + 3; /* its ScmsPDU */
    struct scms_ack ack = an_ack, back;
    struct dot2_error error = {0};
    uint8_t *octets = NULL;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(dot2_signed_data_build(f.crypto, ra_key[0], ra[0], DOT2_SIGNER_DIGEST,
                                                &headers[i], request, pdu_size - 3, &octets, &size,
                                                NULL),
                         DOT2_OK);
        assert_int_equal(scms_ack_open(pki.trust, ra[0], FIXTURE_NOW, octets, size, &back, &error),
                         DOT2_E_MESSAGE);
        assert_non_null(strstr(error.field, "headerInfo"));
        OPENSSL_free(octets);
    }
    /* Signed rightly, but no ack. */
    assert_int_equal(dot2_signed_data_build(f.crypto, ra_key[0], ra[0], DOT2_SIGNER_CERTIFICATE,
                                            &(struct dot2_header){.psid = SCMS_PSID}, request,
                                            pdu_size - 3, &octets, &size, NULL),
                     DOT2_OK);
    assert_int_equal(scms_ack_open(pki.trust, ra[0], FIXTURE_NOW, octets, size, &back, &error),
                     DOT2_E_MESSAGE);
    OPENSSL_free(octets);
    /* Signed by a key that is not the certificate's. */
    assert_int_equal(scms_ack_build(f.crypto, ra_key[1], ra[0], &ack, &octets, &size, &error),
                     DOT2_E_KEY_MISMATCH);
    assert_null(octets);
    ack.kind = 0;
    assert_int_equal(scms_ack_build(f.crypto, ra_key[0], ra[0], &ack, &octets, &size, &error),
                     DOT2_E_ARGUMENT);
}

/* What others send: the whole certificate as signer, a URL of 255 octets, an empty one. */
static void acks_of_other_forms(void **state)
{
    static const size_t lengths[] = {0, 1, 255};
    struct scms_ack ack = an_ack, back;
    struct dot2_signed_payload payload;
    uint8_t *octets = NULL, *other = NULL;
    size_t size = 0, other_size = 0;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        memset(ack.url, 'u', sizeof(ack.url));
        ack.url[lengths[i]] = '\0';
        assert_int_equal(scms_ack_build(f.crypto, ra_key[0], ra[0], &ack, &octets, &size, NULL),
                         DOT2_OK);
        assert_int_equal(dot2_signed_data_payload(octets, size, &payload, NULL), DOT2_OK);
        assert_int_equal(payload.header.psid, SCMS_PSID);
        assert_false(payload.other_headers);
        assert_int_equal(dot2_signed_data_build(f.crypto, ra_key[0], ra[0], DOT2_SIGNER_CERTIFICATE,
                                                &payload.header, payload.data, payload.size, &other,
                                                &other_size, NULL),
                         DOT2_OK);
        assert_int_equal(
            scms_ack_open(pki.trust, ra[0], FIXTURE_NOW, other, other_size, &back, NULL), DOT2_OK);
        assert_string_equal(back.url, ack.url);
        OPENSSL_free(octets);
        OPENSSL_free(other);
    }
    /* A NUL in the URL. */
    ack = an_ack;
    assert_int_equal(scms_ack_build(f.crypto, ra_key[0], ra[0], &ack, &octets, &size, NULL),
                     DOT2_OK);
    assert_int_equal(dot2_signed_data_payload(octets, size, &payload, NULL), DOT2_OK);
    octets[(size_t)(payload.data - octets) + payload.size - 1] = '\0';
    assert_int_equal(scms_ack_open(pki.trust, ra[0], FIXTURE_NOW, octets, size, &back, NULL),
                     DOT2_E_MESSAGE);
    OPENSSL_free(octets);
}

static void the_certificate_of_the_ra_is_asked_for_and_found(void **state)
{
    size_t size = 0, cert_size = 0;
    const uint8_t *request = scms_ra_cert_request(&size);
    const uint8_t *octets = dot2_cert_octets(ra[0], &cert_size);
    uint8_t changed[8], secured[600];
    uint8_t *p = secured;
    dot2_cert *cert = NULL;

    (void)state;
    assert_int_equal(size, 8);
    assert_memory_equal(request, "\x03\x80\x05\x01\x83\x80\x00\x01", 8);
    assert_int_equal(scms_ra_cert_request_parse(request, size, NULL), DOT2_OK);
    for (size_t n = 0; n < size; n++)
        assert_int_equal(scms_ra_cert_request_parse(request, n, NULL), DOT2_E_DECODE);
    for (size_t bit = 0; bit < 64; bit++) {
        memcpy(changed, request, 8);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(scms_ra_cert_request_parse(changed, 8, NULL), DOT2_OK);
    }

    assert_int_equal(scms_ra_cert_response_parse(f.crypto, octets, cert_size, &cert, NULL),
                     DOT2_OK);
    assert_memory_equal(dot2_cert_hashedid8(cert), dot2_cert_hashedid8(ra[0]), 8);
    dot2_cert_free(cert);
    for (size_t n = 0; n < cert_size; n++) {
        assert_int_not_equal(scms_ra_cert_response_parse(f.crypto, octets, n, &cert, NULL),
                             DOT2_OK);
        assert_null(cert);
    }
    octets = dot2_cert_octets(ra[0], &cert_size);
    assert_in_range(cert_size + 14, 128, 255);
    p = put(p, "03 80 81");
    *p++ = (uint8_t)(cert_size + 14);
    p = put(p, "01 83 81 00 01 80 00");
    memcpy(p, octets, cert_size);
    p = put(p + cert_size, "00 0100 0100 0100"); /* an empty composite CRL */
    assert_int_equal(
        scms_ra_cert_response_parse(f.crypto, secured, (size_t)(p - secured), &cert, NULL),
        DOT2_OK);
    assert_memory_equal(dot2_cert_hashedid8(cert), dot2_cert_hashedid8(ra[0]), 8);
    dot2_cert_free(cert);
    for (size_t n = 0; n < (size_t)(p - secured); n++)
        assert_int_not_equal(scms_ra_cert_response_parse(f.crypto, secured, n, &cert, NULL),
                             DOT2_OK);
    /* No encryption key; implicit; the request itself. */
    octets = dot2_cert_octets(pki.ica, &cert_size);
    assert_int_equal(scms_ra_cert_response_parse(f.crypto, octets, cert_size, &cert, NULL),
                     DOT2_E_TYPE);
    octets = dot2_cert_octets(pki.implicit, &cert_size);
    assert_int_equal(scms_ra_cert_response_parse(f.crypto, octets, cert_size, &cert, NULL),
                     DOT2_E_TYPE);
    assert_int_equal(scms_ra_cert_response_parse(f.crypto, request, size, &cert, NULL),
                     DOT2_E_MESSAGE);
    assert_null(cert);
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
        cmocka_unit_test(acks_of_each_kind),
        cmocka_unit_test(acks_that_are_not_as_they_must_be),
        cmocka_unit_test(acks_of_other_forms),
        cmocka_unit_test(the_certificate_of_the_ra_is_asked_for_and_found),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
