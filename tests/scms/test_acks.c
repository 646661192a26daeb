/* test_acks.c: what an RA says of itself: acks of requests, and its certificate. */
#include "tests/scms/ra_pair.h"

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
        cmocka_unit_test(acks_of_each_kind),
        cmocka_unit_test(acks_that_are_not_as_they_must_be),
        cmocka_unit_test(acks_of_other_forms),
        cmocka_unit_test(the_certificate_of_the_ra_is_asked_for_and_found),
    };

    return cmocka_run_group_tests(tests, ra_pair_setup, ra_pair_teardown);
}
