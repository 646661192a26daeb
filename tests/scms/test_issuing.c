/* test_issuing.c: enrollment, and the responses that hold certificates. */
#include "protocol/dot2/butterfly.h"
#include "tests/dot2/fixture.h"

#include "protocol/scms/scms.h"

static struct fixture f;
static struct pki pki;
static EVP_PKEY *eca_key, *response_key;
/* Under the ICA, with PSID 0x23, so that it may sign SCMS messages: ECA and PCA in one. */
static dot2_cert *eca;

static int set_up(void **state)
{
    ToBeSignedCertificate_t *body = NULL;

    (void)state;
    fixture_open(&f);
    pki_open(&f, DOT2_CURVE_P256, &pki);
    eca_key = fixture_key(&f, DOT2_CURVE_P256);
    response_key = fixture_key(&f, DOT2_CURVE_P256);
    body = fixture_body(&f, "eca.example", FIXTURE_START, 20000);
    fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
    fixture_region(&f, body, "83 0101 80 0348");
    fixture_issue(&f, body, -1, NULL, 1, 0, APP | ENROL);
    eca = fixture_explicit(&f, body, eca_key, pki.ica, pki.ica_key);
    assert_int_equal(dot2_trust_add(pki.trust, eca), DOT2_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(eca_key);
    EVP_PKEY_free(response_key);
    dot2_cert_free(eca);
    pki_close(&pki);
    fixture_close(&f);
    return 0;
}

static void an_enrollment_request_is_built_signed_and_read(void **state)
{
    EVP_PKEY *key = fixture_key(&f, DOT2_CURVE_P256);
    struct scms_enrollment_request request;
    struct scms_signed_request message;
    struct dot2_error error = {0};
    uint8_t *tbs = NULL, *octets = NULL;
    size_t tbs_size = 0, size = 0;

    (void)state;
    assert_int_equal(scms_enrollment_request_build(FIXTURE_NOW, pki_rse_body(&f, "rse"), key, &tbs,
                                                   &tbs_size, &error),
                     DOT2_OK);
    assert_memory_equal(tbs, "\x01\x81\x80\x00\x01", 5);
    assert_int_equal(
        scms_signed_request_build(f.crypto, key, NULL, tbs, tbs_size, &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(scms_signed_request_parse(f.crypto, octets, size, true, &message, NULL),
                     DOT2_OK);
    assert_int_equal(scms_enrollment_request_parse(f.crypto, message.pdu, &request, NULL), DOT2_OK);
    assert_int_equal(request.current_time, FIXTURE_NOW);
    assert_int_equal(EVP_PKEY_eq(request.verify_key, key), 1);
    assert_non_null(request.body->certRequestPermissions);
    assert_int_equal(scms_signed_request_verify(f.crypto, &message, request.verify_key, NULL),
                     DOT2_OK);
    scms_enrollment_request_clear(&request);
    scms_signed_request_clear(&message);
    OPENSSL_free(octets);
    OPENSSL_free(tbs);
    EVP_PKEY_free(key);
}

static void bodies_that_the_profile_has_not_are_refused(void **state)
{
    static const char *const fields[] = {".region", ".appPermissions", ".certIssuePermissions",
                                         ".certRequestPermissions"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        ToBeSignedCertificate_t *body = pki_rse_body(&f, "rse");
        struct dot2_error error = {0};
        uint8_t *tbs = NULL;
        size_t size = 0;

        if (i == 0)
            body->region = NULL;
        else if (i == 1)
            fixture_app(&f, body, 0x20, NULL, NULL);
        else if (i == 2)
            fixture_issue(&f, body, -1, NULL, 1, 0, APP);
        else
            body->certRequestPermissions = NULL;
        assert_int_equal(
            scms_enrollment_request_build(FIXTURE_NOW, body, eca_key, &tbs, &size, &error),
            DOT2_E_MESSAGE);
        assert_non_null(strstr(error.field, fields[i]));
        assert_null(tbs);
    }
}

/* The whole way: an implicit certificate, and the private key that its device reconstructs. */
static void an_implicit_enrollment_response(void **state)
{
    EVP_PKEY *request_key = fixture_key(&f, DOT2_CURVE_P256), *private = NULL, *public = NULL;
    struct scms_enrollment_response response = {.request_hash = "1234567", .eca = eca}, back;
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(dot2_cert_issue(f.crypto, f.arena, pki_rse_body(&f, ""), request_key, eca,
                                     eca_key, true, &response.enrollment, response.s, NULL),
                     DOT2_OK);
    assert_int_equal(
        scms_enrollment_response_build(f.crypto, eca_key, &response, &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(scms_enrollment_response_open(f.crypto, pki.trust, FIXTURE_NOW, octets, size,
                                                   false, &back, NULL),
                     DOT2_OK);
    assert_memory_equal(back.request_hash, "1234567", 8);
    assert_memory_equal(dot2_cert_hashedid8(back.eca), dot2_cert_hashedid8(eca), 8);
    assert_memory_equal(dot2_cert_hashedid8(back.enrollment),
                        dot2_cert_hashedid8(response.enrollment), 8);
    assert_int_equal(dot2_ecqv_private_key(f.crypto, back.enrollment, back.eca, request_key, back.s,
                                           &private, NULL),
                     DOT2_OK);
    assert_int_equal(
        dot2_ecqv_public_key(f.crypto, back.enrollment, back.eca, eca_key, &public, NULL), DOT2_OK);
    assert_int_equal(EVP_PKEY_eq(public, private), 1);
    scms_enrollment_response_clear(&back);
    for (size_t n = 0; n < size; n += 3) {
        assert_int_not_equal(scms_enrollment_response_open(f.crypto, pki.trust, FIXTURE_NOW, octets,
                                                           n, false, &back, NULL),
                             DOT2_OK);
        assert_null(back.enrollment);
    }
    for (size_t bit = 8; bit < 8 * size; bit += 17) {
        enum dot2_status status;

        octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
        status = scms_enrollment_response_open(f.crypto, pki.trust, FIXTURE_NOW, octets, size,
                                               false, &back, NULL);
        if (bit / 8 != size - 65) /* the form of rSig */
            assert_int_not_equal(status, DOT2_OK);
        scms_enrollment_response_clear(&back);
        octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    OPENSSL_free(octets);
    dot2_cert_free(response.enrollment);
    EVP_PKEY_free(request_key);
    EVP_PKEY_free(private);
    EVP_PKEY_free(public);
}

static void an_explicit_enrollment_response_only_where_allowed(void **state)
{
    EVP_PKEY *key = fixture_key(&f, DOT2_CURVE_P256);
    struct scms_enrollment_response response = {.eca = eca}, back;
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    response.enrollment = fixture_explicit(&f, pki_rse_body(&f, "rse"), key, eca, eca_key);
    for (int zero = 0; zero < 2; zero++) {
        response.s[31] = zero ? 0 : 1;
        assert_int_equal(
            scms_enrollment_response_build(f.crypto, eca_key, &response, &octets, &size, NULL),
            DOT2_OK);
        assert_int_equal(scms_enrollment_response_open(f.crypto, pki.trust, FIXTURE_NOW, octets,
                                                       size, false, &back, &error),
                         DOT2_E_TYPE);
        assert_int_equal(scms_enrollment_response_open(f.crypto, pki.trust, FIXTURE_NOW, octets,
                                                       size, true, &back, &error),
                         zero ? DOT2_OK : DOT2_E_MESSAGE);
        scms_enrollment_response_clear(&back);
        OPENSSL_free(octets);
    }
    /* Of another ECA. */
    dot2_cert_free(response.enrollment);
    response.enrollment = dot2_cert_up_ref(pki.rse);
    assert_int_equal(
        scms_enrollment_response_build(f.crypto, eca_key, &response, &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(scms_enrollment_response_open(f.crypto, pki.trust, FIXTURE_NOW, octets, size,
                                                   true, &back, &error),
                     DOT2_E_MESSAGE);
    assert_non_null(strstr(error.detail, "not issued by"));
    OPENSSL_free(octets);
    dot2_cert_free(response.enrollment);
    EVP_PKEY_free(key);
}

/* Whoever may sign for the SCMS is not thereby the ECA whose certificate is in the response. */
static void an_enrollment_response_of_another_signer(void **state)
{
    const struct dot2_header header = {.psid = SCMS_PSID};
    struct scms_enrollment_response response = {.eca = eca}, back;
    struct dot2_signed_payload payload = {0};
    struct dot2_error error = {0};
    EVP_PKEY *key = fixture_key(&f, DOT2_CURVE_P256);
    ToBeSignedCertificate_t *body = fixture_body(&f, "ra.example", FIXTURE_START, 1000);
    uint8_t *octets = NULL, *other = NULL;
    size_t size = 0, other_size = 0;
    dot2_cert *signer = NULL;

    (void)state;
    fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
    signer = fixture_explicit(&f, body, key, pki.ica, pki.ica_key);
    response.enrollment = fixture_explicit(&f, pki_rse_body(&f, "rse"), key, eca, eca_key);
    assert_int_equal(
        scms_enrollment_response_build(f.crypto, eca_key, &response, &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(dot2_signed_data_payload(octets, size, &payload, NULL), DOT2_OK);
    assert_int_equal(dot2_signed_data_build(f.crypto, key, signer, DOT2_SIGNER_CERTIFICATE, &header,
                                            payload.data, payload.size, &other, &other_size, NULL),
                     DOT2_OK);
    assert_int_equal(scms_enrollment_response_open(f.crypto, pki.trust, FIXTURE_NOW, other,
                                                   other_size, true, &back, &error),
                     DOT2_E_SIGNER);
    assert_non_null(strstr(error.detail, "is not ecaCert"));
    OPENSSL_free(octets);
    OPENSSL_free(other);
    dot2_cert_free(response.enrollment);
    dot2_cert_free(signer);
    EVP_PKEY_free(key);
}

static ToBeSignedCertificate_t *application_body(void)
{
    ToBeSignedCertificate_t *body = fixture_body(&f, "rse.app", FIXTURE_START, 1000);

    fixture_app(&f, body, 0x87, NULL, NULL);
    fixture_region(&f, body, "83 0101 80 0348");
    return body;
}

static void a_certificate_response_is_read_by_its_device_alone(void **state)
{
    EVP_PKEY *key = fixture_key(&f, DOT2_CURVE_P256), *other = fixture_key(&f, DOT2_CURVE_P256);
    struct scms_cert_response response = {.kind = SCMS_RESPONSE_EXPLICIT}, back;
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    for (int implicit = 0; implicit < 2; implicit++) {
        if (implicit) {
            response.kind = SCMS_RESPONSE_IMPLICIT;
            assert_int_equal(dot2_cert_issue(f.crypto, f.arena, application_body(), key, eca,
                                             eca_key, true, &response.cert, response.reconstruction,
                                             NULL),
                             DOT2_OK);
        } else {
            response.cert = fixture_explicit(&f, application_body(), key, eca, eca_key);
        }
        assert_int_equal(scms_cert_response_build(f.crypto, eca_key, eca, response_key, &response,
                                                  &octets, &size, NULL),
                         DOT2_OK);
        assert_int_equal(scms_cert_response_open(f.crypto, pki.trust, FIXTURE_NOW, response_key,
                                                 octets, size, &back, &error),
                         DOT2_OK);
        assert_int_equal(back.kind, response.kind);
        assert_memory_equal(dot2_cert_hashedid8(back.cert), dot2_cert_hashedid8(response.cert), 8);
        assert_memory_equal(back.reconstruction, response.reconstruction, 32);
        scms_cert_response_clear(&back);
        assert_int_equal(scms_cert_response_open(f.crypto, pki.trust, FIXTURE_NOW, other, octets,
                                                 size, &back, &error),
                         DOT2_E_DECRYPT);
        assert_null(back.cert);
        assert_int_equal(scms_cert_response_open(f.crypto, pki.trust, FIXTURE_START - 1,
                                                 response_key, octets, size, &back, &error),
                         DOT2_E_NOT_YET_VALID);
        for (size_t n = 0; n < size; n += 3)
            assert_int_equal(scms_cert_response_open(f.crypto, pki.trust, FIXTURE_NOW, response_key,
                                                     octets, n, &back, &error),
                             DOT2_E_DECODE);
        for (size_t bit = 8; bit < 8 * size; bit += 13) {
            enum dot2_status status;

            octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
            status = scms_cert_response_open(f.crypto, pki.trust, FIXTURE_NOW, response_key, octets,
                                             size, &back, &error);
            if (bit / 8 != size - 65) /* the form of rSig */
                assert_int_not_equal(status, DOT2_OK);
            scms_cert_response_clear(&back);
            octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        OPENSSL_free(octets);
        dot2_cert_free(response.cert);
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

/* One with an expanded key, for the device of two seeds. Returns its response. */
static size_t butterfly_response(const EVP_PKEY *verify, const EVP_PKEY *response_seed,
                                 const struct dot2_expansion *e, bool implicit, uint8_t **octets)
{
    struct scms_cert_response response = {.kind = implicit ? SCMS_RESPONSE_IMPLICIT_BUTTERFLY
                                                           : SCMS_RESPONSE_EXPLICIT_BUTTERFLY};
    EVP_PKEY *key = NULL, *sealing = NULL, *sum = NULL;
    size_t size = 0;

    assert_int_equal(dot2_butterfly_private(f.crypto, verify, e->key, DOT2_BUTTERFLY_SIGN, e->i,
                                            e->j, &key, NULL),
                     DOT2_OK);
    assert_int_equal(dot2_butterfly_public(f.crypto, response_seed, e->key, DOT2_BUTTERFLY_ENCRYPT,
                                           e->i, e->j, &sealing, NULL),
                     DOT2_OK);
    if (implicit) {
        assert_int_equal(dot2_cert_issue(f.crypto, f.arena, application_body(), key, eca, eca_key,
                                         true, &response.cert, response.reconstruction, NULL),
                         DOT2_OK);
    } else {
        memset(response.reconstruction, 0x5a, sizeof(response.reconstruction));
        assert_int_equal(dot2_butterfly_add(f.crypto, key, response.reconstruction, &sum, NULL),
                         DOT2_OK);
        response.cert = fixture_explicit(&f, application_body(), sum, eca, eca_key);
    }
    assert_int_equal(
        scms_cert_response_build(f.crypto, eca_key, eca, sealing, &response, octets, &size, NULL),
        DOT2_OK);
    dot2_cert_free(response.cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(sealing);
    EVP_PKEY_free(sum);
    return size;
}

/* What the device makes of it: the private key of the certificate, or not. */
static void a_butterfly_response_gives_a_certificate_and_its_key(void **state)
{
    EVP_PKEY *verify = fixture_key(&f, DOT2_CURVE_P256), *other = fixture_key(&f, DOT2_CURVE_P256);
    const struct dot2_check check = {.time = FIXTURE_NOW};
    const struct dot2_expansion e = {"expansion of 16", 7, 3};

    (void)state;
    for (int implicit = 0; implicit < 2; implicit++) {
        struct dot2_expansion wrong = e;
        struct scms_cert_response back;
        struct dot2_error error = {0};
        struct dot2_chain chain = {0};
        EVP_PKEY *key = NULL;
        uint8_t *octets = NULL;
        size_t size = butterfly_response(verify, response_key, &e, implicit, &octets);

        assert_int_equal(scms_butterfly_response_open(f.crypto, pki.trust, FIXTURE_NOW,
                                                      response_key, &e, octets, size, &back,
                                                      &error),
                         DOT2_OK);
        assert_int_equal(dot2_chain_verify(pki.trust, back.cert, &check, &chain, &error), DOT2_OK);
        assert_int_equal(scms_butterfly_private(f.crypto, &back, eca, verify, &e, &key, &error),
                         DOT2_OK);
        assert_int_equal(EVP_PKEY_eq(key, chain.key), 1);
        EVP_PKEY_free(key);
        assert_int_equal(scms_butterfly_private(f.crypto, &back, eca, other, &e, &key, &error),
                         DOT2_OK);
        assert_int_not_equal(EVP_PKEY_eq(key, chain.key), 1);
        EVP_PKEY_free(key);
        wrong.j++;
        assert_int_equal(scms_butterfly_private(f.crypto, &back, eca, verify, &wrong, &key, &error),
                         DOT2_OK);
        assert_int_not_equal(EVP_PKEY_eq(key, chain.key), 1);
        EVP_PKEY_free(key);
        scms_cert_response_clear(&back);
        assert_int_equal(scms_butterfly_response_open(f.crypto, pki.trust, FIXTURE_NOW,
                                                      response_key, &wrong, octets, size, &back,
                                                      &error),
                         DOT2_E_DECRYPT);
        assert_int_equal(scms_butterfly_response_open(f.crypto, pki.trust, FIXTURE_NOW, other, &e,
                                                      octets, size, &back, &error),
                         DOT2_E_DECRYPT);
        assert_null(back.cert);
        dot2_chain_clear(&chain);
        OPENSSL_free(octets);
    }
    EVP_PKEY_free(verify);
    EVP_PKEY_free(other);
}

static void a_response_for_a_whole_key_is_none_for_a_seed(void **state)
{
    const struct dot2_expansion e = {"expansion of 16", 7, 3};
    EVP_PKEY *key = fixture_key(&f, DOT2_CURVE_P256), *sealing = NULL, *sum = NULL;
    struct scms_cert_response response = {.kind = SCMS_RESPONSE_EXPLICIT}, back;
    struct dot2_error error = {0};
    uint8_t above[32], *octets = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(dot2_butterfly_public(f.crypto, response_key, e.key, DOT2_BUTTERFLY_ENCRYPT,
                                           e.i, e.j, &sealing, NULL),
                     DOT2_OK);
    response.cert = fixture_explicit(&f, application_body(), key, eca, eca_key);
    assert_int_equal(
        scms_cert_response_build(f.crypto, eca_key, eca, sealing, &response, &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(scms_butterfly_response_open(f.crypto, pki.trust, FIXTURE_NOW, response_key,
                                                  &e, octets, size, &back, &error),
                     DOT2_E_TYPE);
    assert_null(back.cert);
    /* c of an explicit one is a number below the order. */
    memset(above, 0xff, sizeof(above));
    assert_int_equal(dot2_butterfly_add(f.crypto, key, above, &sum, &error), DOT2_E_ARGUMENT);
    assert_null(sum);
    OPENSSL_free(octets);
    dot2_cert_free(response.cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(sealing);
}

static void certificates_of_another_issuer_or_kind_are_refused(void **state)
{
    struct scms_cert_response response = {.kind = SCMS_RESPONSE_EXPLICIT, .cert = pki.rse}, back;
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(scms_cert_response_build(f.crypto, eca_key, eca, response_key, &response,
                                              &octets, &size, NULL),
                     DOT2_OK);
    assert_int_equal(scms_cert_response_open(f.crypto, pki.trust, FIXTURE_NOW, response_key, octets,
                                             size, &back, &error),
                     DOT2_E_SIGNER);
    assert_null(back.cert);
    OPENSSL_free(octets);
    response.kind = SCMS_RESPONSE_IMPLICIT;
    assert_int_equal(scms_cert_response_build(f.crypto, eca_key, eca, response_key, &response,
                                              &octets, &size, NULL),
                     DOT2_OK);
    assert_int_equal(scms_cert_response_open(f.crypto, pki.trust, FIXTURE_NOW, response_key, octets,
                                             size, &back, &error),
                     DOT2_E_TYPE);
    assert_null(back.cert);
    OPENSSL_free(octets);
    response.kind = 0;
    assert_int_equal(scms_cert_response_build(f.crypto, eca_key, eca, response_key, &response,
                                              &octets, &size, NULL),
                     DOT2_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_enrollment_request_is_built_signed_and_read),
        cmocka_unit_test(bodies_that_the_profile_has_not_are_refused),
        cmocka_unit_test(an_implicit_enrollment_response),
        cmocka_unit_test(an_explicit_enrollment_response_only_where_allowed),
        cmocka_unit_test(an_enrollment_response_of_another_signer),
        cmocka_unit_test(a_certificate_response_is_read_by_its_device_alone),
        cmocka_unit_test(a_butterfly_response_gives_a_certificate_and_its_key),
        cmocka_unit_test(a_response_for_a_whole_key_is_none_for_a_seed),
        cmocka_unit_test(certificates_of_another_issuer_or_kind_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
