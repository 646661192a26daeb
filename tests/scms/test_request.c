/* test_request.c: the authenticated download request, signed: octets, signature, refusals. */
#include "tests/dot2/fixture.h"

#include "protocol/scms/scms.h"

/* "tbsRequest of a download request" of the byte layouts. */
static const char layout[] = "01 83 88 00 1A2B3C4D 14 414230393238314339383637444535332E7A6970";

static void the_layout_of_a_download_request(void **state)
{
    uint8_t expected[64];
    size_t expected_size = fixture_hex(layout, expected, sizeof(expected)), size = 0, length = 0;
    coer_arena *arena = coer_arena_new();
    uint8_t *octets = NULL;
    const char *filename = NULL;
    uint32_t time32 = 0;
    void *pdu = NULL;

    (void)state;
    assert_int_equal(expected_size, 29);
    assert_int_equal(
        scms_download_request_build(0x1a2b3c4d, "AB09281C9867DE53.zip", &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(size, expected_size);
    assert_memory_equal(octets, expected, size);
    assert_int_equal(coer_decode(arena, &asn_DEF_ScmsPDU, octets, size, &pdu, NULL), COER_OK);
    assert_int_equal(scms_download_request_parse(pdu, &time32, &filename, &length, NULL), DOT2_OK);
    assert_int_equal(time32, 0x1a2b3c4d);
    assert_int_equal(length, 20);
    assert_memory_equal(filename, "AB09281C9867DE53.zip", 20);
    OPENSSL_free(octets);
    coer_arena_free(arena);
}

static void file_names(void **state)
{
    char name[257];
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    memset(name, 'a', sizeof(name));
    name[255] = '\0';
    assert_int_equal(scms_download_request_build(0, name, &octets, &size, NULL), DOT2_OK);
    assert_int_equal(size, 8 + 2 + 255);
    OPENSSL_free(octets);
    name[255] = 'a';
    name[256] = '\0';
    assert_int_equal(scms_download_request_build(0, name, &octets, &size, &error), DOT2_E_ARGUMENT);
    assert_null(octets);
    assert_int_equal(scms_download_request_build(UINT32_MAX, "", &octets, &size, NULL), DOT2_OK);
    assert_int_equal(size, 9);
    OPENSSL_free(octets);
    assert_int_not_equal(scms_download_request_build(0, "\xc3", &octets, &size, &error), DOT2_OK);
    assert_null(octets);
}

static void another_pdu_is_not_a_download_request(void **state)
{
    /* eeRaCertRequest: the content of SecuredRACertRequest */
    static const uint8_t other[] = {0x01, 0x83, 0x80, 0x00, 0x01};
    coer_arena *arena = coer_arena_new();
    const char *filename = NULL;
    uint32_t time32 = 0;
    size_t length = 0;
    void *pdu = NULL;

    (void)state;
    assert_int_equal(coer_decode(arena, &asn_DEF_ScmsPDU, other, sizeof(other), &pdu, NULL),
                     COER_OK);
    assert_int_equal(scms_download_request_parse(pdu, &time32, &filename, &length, NULL),
                     DOT2_E_MESSAGE);
    coer_arena_free(arena);
}

static void request_octets(const char *filename, uint8_t **octets, size_t *size)
{
    assert_int_equal(scms_download_request_build(FIXTURE_NOW, filename, octets, size, NULL),
                     DOT2_OK);
}

/* Parse, chain, signature: what a RA does. */
static enum dot2_status authorise(const struct fixture *f, dot2_trust *trust, const uint8_t *octets,
                                  size_t size, struct dot2_error *error)
{
    struct scms_signed_request request = {0};
    struct dot2_chain chain = {0};
    enum dot2_status status =
        scms_signed_request_parse(f->crypto, octets, size, false, &request, error);

    if (status == DOT2_OK)
        status = dot2_chain_verify(trust, request.cert, &pki_enrollment, &chain, error);
    if (status == DOT2_OK)
        status = scms_signed_request_verify_by(f->crypto, &request, &chain, error);
    dot2_chain_clear(&chain);
    scms_signed_request_clear(&request);
    return status;
}

static void signed_and_accepted(void **state)
{
    static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1,
                                             DOT2_CURVE_BRAINPOOL_P384R1};
    const struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        struct pki pki;

        pki_open(f, curves[i], &pki);
        for (int implicit = 0; implicit < (i < 2 ? 2 : 1); implicit++) {
            dot2_cert *cert = implicit ? pki.implicit : pki.rse;
            EVP_PKEY *key = implicit ? pki.implicit_key : pki.rse_key;
            uint8_t *tbs = NULL, *octets = NULL;
            size_t tbs_size = 0, size = 0, cert_size = 0, at = 0;
            const uint8_t *cert_octets = dot2_cert_octets(cert, &cert_size);

            request_octets("AB09281C9867DE53.zip", &tbs, &tbs_size);
            assert_int_equal(scms_signed_request_build(f->crypto, key, cert, tbs, tbs_size, &octets,
                                                       &size, NULL),
                             DOT2_OK);
            /* 03 83 length 00 tbs 81 01 01 certificate 80 80 r s */
            assert_int_equal(scms_form_of(octets, size), SCMS_FORM_SIGNED_REQUEST);
            at = octets[2] == 0x81 ? 4 : 5;
            assert_int_equal(octets[2] == 0x81 ? octets[3] : octets[3] << 8 | octets[4], size - at);
            assert_int_equal(octets[at], i == 2);
            assert_memory_equal(octets + at + 1, tbs, tbs_size);
            at += 1 + tbs_size;
            assert_memory_equal(octets + at, "\x81\x01\x01", 3);
            assert_memory_equal(octets + at + 3, cert_octets, cert_size);
            at += 3 + cert_size;
            assert_int_equal(size - at, i == 2 ? 99 : 66);
            assert_int_equal(octets[at], 0x80 + i);
            assert_int_equal(authorise(f, pki.trust, octets, size, NULL), DOT2_OK);
            OPENSSL_free(octets);
            OPENSSL_free(tbs);
        }
        pki_close(&pki);
    }
}

/* The signer's input is the canonical certificate, in whatever form that is sent. */
static void signed_under_another_form(void **state)
{
    const struct fixture *f = *state;
    struct scms_signed_request request;
    uint8_t *tbs = NULL, *octets = NULL, form[1000];
    size_t tbs_size = 0, size = 0, cert_size = 0;
    const uint8_t *plain;
    dot2_cert *cert = NULL;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    plain = dot2_cert_octets(pki.rse, &cert_size);
    assert_true(cert_size < sizeof(form));
    memcpy(form, plain, cert_size);
    assert_int_equal(form[cert_size - 65], 0x80);
    form[cert_size - 65] = 0x82; /* rSig: r as the x of a whole point */
    assert_int_equal(dot2_cert_new(f->crypto, form, cert_size, &cert, NULL), DOT2_OK);
    request_octets("x.zip", &tbs, &tbs_size);
    assert_int_equal(scms_signed_request_build(f->crypto, pki.rse_key, cert, tbs, tbs_size, &octets,
                                               &size, NULL),
                     DOT2_OK);
    assert_int_equal(scms_signed_request_parse(f->crypto, octets, size, false, &request, NULL),
                     DOT2_OK);
    assert_memory_equal(dot2_cert_octets(request.cert, &size), form, cert_size);
    /* By who has the certificate in its canonical form, too. */
    assert_int_equal(scms_signed_request_verify(f->crypto, &request, pki.rse_key, NULL), DOT2_OK);
    assert_int_equal(dot2_verify(f->crypto, pki.rse_key, request.tbs.data, request.tbs.size, plain,
                                 cert_size, request.signature, NULL),
                     DOT2_OK);
    scms_signed_request_clear(&request);
    dot2_cert_free(cert);
    OPENSSL_free(octets);
    OPENSSL_free(tbs);
    pki_close(&pki);
}

static void signed_by_self(void **state)
{
    const struct fixture *f = *state;
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P256), *other = fixture_key(f, DOT2_CURVE_P256);
    struct scms_signed_request request;
    struct dot2_error error = {0};
    uint8_t *tbs = NULL, *octets = NULL;
    size_t tbs_size = 0, size = 0;

    request_octets("x", &tbs, &tbs_size);
    assert_int_equal(
        scms_signed_request_build(f->crypto, key, NULL, tbs, tbs_size, &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(scms_signed_request_parse(f->crypto, octets, size, false, &request, &error),
                     DOT2_E_SIGNER);
    assert_null(request.arena);
    assert_int_equal(scms_signed_request_parse(f->crypto, octets, size, true, &request, &error),
                     DOT2_OK);
    assert_null(request.cert);
    assert_int_equal(request.tbs.size, tbs_size);
    assert_int_equal(scms_signed_request_verify(f->crypto, &request, key, NULL), DOT2_OK);
    assert_int_equal(scms_signed_request_verify(f->crypto, &request, other, NULL),
                     DOT2_E_SIGNATURE);
    scms_signed_request_clear(&request);
    OPENSSL_free(octets);
    OPENSSL_free(tbs);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void the_key_of_the_certificate(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;
    struct dot2_error error = {0};
    uint8_t *tbs = NULL, *octets = NULL;
    size_t tbs_size = 0, size = 0;
    EVP_PKEY *p384 = fixture_key(f, DOT2_CURVE_P384);

    pki_open(f, DOT2_CURVE_P256, &pki);
    request_octets("x", &tbs, &tbs_size);
    assert_int_equal(scms_signed_request_build(f->crypto, pki.eca_key, pki.rse, tbs, tbs_size,
                                               &octets, &size, &error),
                     DOT2_E_KEY_MISMATCH);
    assert_null(octets);
    assert_int_equal(
        scms_signed_request_build(f->crypto, p384, pki.rse, tbs, tbs_size, &octets, &size, &error),
        DOT2_E_KEY_MISMATCH);
    assert_int_equal(
        scms_signed_request_build(f->crypto, p384, NULL, tbs, tbs_size, &octets, &size, &error),
        DOT2_E_ALGORITHM);
    assert_int_equal(
        scms_signed_request_build(f->crypto, pki.rse_key, pki.rse, tbs, 0, &octets, &size, &error),
        DOT2_E_ARGUMENT);
    /* With an implicit certificate it is the signature that tells. */
    assert_int_equal(scms_signed_request_build(f->crypto, pki.eca_key, pki.implicit, tbs, tbs_size,
                                               &octets, &size, NULL),
                     DOT2_OK);
    assert_int_equal(authorise(f, pki.trust, octets, size, NULL), DOT2_E_SIGNATURE);
    OPENSSL_free(octets);
    OPENSSL_free(tbs);
    EVP_PKEY_free(p384);
    pki_close(&pki);
}

/* A signer of another form, around a correct signature. */
static void signers_that_are_not_one_certificate(void **state)
{
    const struct fixture *f = *state;
    struct scms_signed_request request;
    struct dot2_error error = {0};
    struct pki pki;
    uint8_t *tbs = NULL, *octets = NULL, changed[1024];
    size_t tbs_size = 0, size = 0, cert_size = 0, inner = 0;

    pki_open(f, DOT2_CURVE_P256, &pki);
    dot2_cert_octets(pki.implicit, &cert_size);
    request_octets("x", &tbs, &tbs_size);
    assert_int_equal(scms_signed_request_build(f->crypto, pki.implicit_key, pki.implicit, tbs,
                                               tbs_size, &octets, &size, NULL),
                     DOT2_OK);
    assert_int_equal(octets[2], 0x81);
    for (int form = 0; form < 3; form++) {
        size_t head = 4 + 1 + tbs_size, at = head;

        memcpy(changed, octets, head);
        if (form == 0) { /* digest */
            changed[at++] = 0x80;
            memcpy(changed + at, dot2_cert_hashedid8(pki.implicit), 8);
            at += 8;
        } else { /* no certificate, two certificates */
            memcpy(changed + at, form == 1 ? "\x81\x01\x00" : "\x81\x01\x02", 3);
            at += 3;
            for (int i = 0; form == 2 && i < 2; i++, at += cert_size)
                memcpy(changed + at, octets + head + 3, cert_size);
        }
        memcpy(changed + at, octets + size - 66, 66);
        at += 66;
        inner = at - 4;
        if (inner < 128) {
            memmove(changed + 3, changed + 4, inner);
            changed[2] = (uint8_t)inner;
            at--;
        } else if (inner < 256) {
            changed[3] = (uint8_t)inner;
        } else {
            memmove(changed + 5, changed + 4, inner);
            changed[2] = 0x82;
            changed[3] = (uint8_t)(inner >> 8);
            changed[4] = (uint8_t)inner;
            at++;
        }
        assert_int_equal(scms_signed_request_parse(f->crypto, changed, at, true, &request, &error),
                         DOT2_E_SIGNER);
        assert_true(error.detail[0] != '\0');
    }
    OPENSSL_free(octets);
    OPENSSL_free(tbs);
    pki_close(&pki);
}

static void not_a_signed_request(void **state)
{
    const struct fixture *f = *state;
    struct scms_signed_request request;
    struct dot2_error error = {0};
    static const uint8_t other[] = {0x03, 0x80, 0x05, 0x01, 0x83, 0x80, 0x00, 0x01};
    static const uint8_t garbage[] = {0x03, 0x83, 0x02, 0xff, 0xff};

    assert_int_equal(
        scms_signed_request_parse(f->crypto, other, sizeof(other), true, &request, &error),
        DOT2_E_MESSAGE);
    assert_int_equal(
        scms_signed_request_parse(f->crypto, garbage, sizeof(garbage), true, &request, &error),
        DOT2_E_DECODE);
    assert_int_equal(error.offset, 3);
    assert_int_equal(scms_signed_request_parse(f->crypto, garbage, 0, true, &request, &error),
                     DOT2_E_DECODE);
}

/* The error's place is given in the whole message, also for what is inside of the certificate. */
static void offsets_are_those_of_the_message(void **state)
{
    const struct fixture *f = *state;
    struct dot2_error error = {0};
    struct pki pki;
    uint8_t *tbs = NULL, *octets = NULL;
    size_t tbs_size = 0, size = 0, at = 0;

    pki_open(f, DOT2_CURVE_P256, &pki);
    request_octets("x", &tbs, &tbs_size);
    assert_int_equal(scms_signed_request_build(f->crypto, pki.implicit_key, pki.implicit, tbs,
                                               tbs_size, &octets, &size, NULL),
                     DOT2_OK);
    at = 4 + 1 + tbs_size + 3;
    octets[at + 1] = 2; /* version of the certificate */
    assert_int_equal(authorise(f, pki.trust, octets, size, &error), DOT2_E_DECODE);
    assert_int_equal(error.offset, at + 1);
    assert_non_null(strstr(error.field, "version"));
    OPENSSL_free(octets);
    OPENSSL_free(tbs);
    pki_close(&pki);
}

static void every_truncation_and_every_flipped_bit(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    for (int implicit = 0; implicit < 2; implicit++) {
        uint8_t *tbs = NULL, *octets = NULL, *exact = NULL;
        size_t tbs_size = 0, size = 0, cert_size = 0, passed = 0;
        dot2_cert *cert = implicit ? pki.implicit : pki.rse;
        size_t cert_at = 0;

        dot2_cert_octets(cert, &cert_size);
        request_octets("AB09281C9867DE53.zip", &tbs, &tbs_size);
        assert_int_equal(scms_signed_request_build(f->crypto,
                                                   implicit ? pki.implicit_key : pki.rse_key, cert,
                                                   tbs, tbs_size, &octets, &size, NULL),
                         DOT2_OK);
        cert_at = size - 66 - cert_size;
        for (size_t length = 0; length < size; length++) {
            /* Of exactly this size, so that a read past the end is seen. */
            exact = OPENSSL_memdup(octets, length == 0 ? 1 : length);
            assert_int_equal(authorise(f, pki.trust, exact, length, NULL), DOT2_E_DECODE);
            OPENSSL_free(exact);
        }
        for (size_t bit = 0; bit < 8 * size; bit++) {
            size_t at = bit / 8;

            octets[at] ^= (uint8_t)(0x80 >> bit % 8);
            if (authorise(f, pki.trust, octets, size, NULL) == DOT2_OK) {
                /* x-only against compressed: the same signature; in the request and, if it has
                 * one, in the certificate. */
                if (at != size - 65 && (implicit || at != cert_at + cert_size - 65))
                    fail_msg("bit %zu of octet %zu of %zu", bit % 8, at, size);
                passed++;
            }
            octets[at] ^= (uint8_t)(0x80 >> bit % 8);
        }
        assert_int_equal(passed, implicit ? 1 : 2);
        assert_int_equal(authorise(f, pki.trust, octets, size, NULL), DOT2_OK);
        OPENSSL_free(octets);
        OPENSSL_free(tbs);
    }
    ERR_clear_error();
    pki_close(&pki);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_of_a_download_request),
        cmocka_unit_test(file_names),
        cmocka_unit_test(another_pdu_is_not_a_download_request),
        cmocka_unit_test(signed_and_accepted),
        cmocka_unit_test(signed_by_self),
        cmocka_unit_test(signed_under_another_form),
        cmocka_unit_test(the_key_of_the_certificate),
        cmocka_unit_test(signers_that_are_not_one_certificate),
        cmocka_unit_test(not_a_signed_request),
        cmocka_unit_test(offsets_are_those_of_the_message),
        cmocka_unit_test(every_truncation_and_every_flipped_bit),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
