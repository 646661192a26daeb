/* test_cert_fields.c: names and durations of a certificate, and what is not issued. */
#include "tests/dot2/fixture.h"

/* Trap 9. */
static void names_are_kept_as_they_are(void **state)
{
    const struct fixture *f = *state;
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P256);
    ToBeSignedCertificate_t *body = fixture_body(f, "", FIXTURE_START, 1);
    uint8_t id[64] = {0x12, 0x34};
    dot2_cert *cert = NULL;
    size_t size = 0;

    fixture_app(f, body, 0x23, NULL, NULL);
    cert = fixture_explicit(f, body, key, NULL, key);
    assert_string_equal(dot2_cert_name(cert), "");
    assert_memory_equal(dot2_cert_octets(cert, &size) + 6, "\x81\x00", 2); /* name, of no octets */
    dot2_cert_free(cert);

    body->id.present = CertificateId_PR_binaryId;
    memset(&body->id.choice, 0, sizeof(body->id.choice));
    coer_octets(f->arena, &body->id.choice.binaryId, id, sizeof(id));
    cert = fixture_explicit(f, body, key, NULL, key);
    assert_int_equal(strlen(dot2_cert_name(cert)), 128);
    assert_memory_equal(dot2_cert_name(cert), "1234000000", 10);
    dot2_cert_free(cert);

    body->id.present = CertificateId_PR_name;
    memset(&body->id.choice, 0, sizeof(body->id.choice));
    coer_octets(f->arena, &body->id.choice.name, "a\x1b[31m\n\xc3\xa9", 9);
    cert = fixture_explicit(f, body, key, NULL, key);
    assert_string_equal(dot2_cert_name(cert), "a?[31m???");
    dot2_cert_free(cert);
    EVP_PKEY_free(key);
}

static void durations(void **state)
{
    static const struct {
        Duration_PR unit;
        unsigned value;
        uint32_t seconds;
    } figures[] = {
        {Duration_PR_microseconds, 65535, 0}, {Duration_PR_milliseconds, 2999, 2},
        {Duration_PR_seconds, 10, 10},        {Duration_PR_minutes, 2, 120},
        {Duration_PR_hours, 169, 608400},     {Duration_PR_sixtyHours, 3, 648000},
        {Duration_PR_years, 30, 946708560},   {Duration_PR_years, 65535, UINT32_MAX - 1000},
    };
    const struct fixture *f = *state;
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P256);

    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        ToBeSignedCertificate_t *body = fixture_body(f, "x", 1000, 0);
        dot2_cert *cert = NULL;

        fixture_app(f, body, 0x23, NULL, NULL);
        body->validityPeriod.duration.present = figures[i].unit;
        body->validityPeriod.duration.choice.hours = figures[i].value;
        cert = fixture_explicit(f, body, key, NULL, key);
        assert_int_equal(dot2_cert_start(cert), 1000);
        assert_true(dot2_cert_end(cert) == 1000 + figures[i].seconds);
        dot2_cert_free(cert);
    }
    EVP_PKEY_free(key);
}

static void issuing_refuses_what_it_cannot_make(void **state)
{
    const struct fixture *f = *state;
    EVP_PKEY *p384 = fixture_key(f, DOT2_CURVE_P384), *p256 = fixture_key(f, DOT2_CURVE_P256);
    EVP_PKEY *bp384 = fixture_key(f, DOT2_CURVE_BRAINPOOL_P384R1);
    struct pki pki;
    dot2_cert *cert = NULL;
    uint8_t s[32];

    pki_open(f, DOT2_CURVE_P256, &pki);
#define ISSUE(subject, issuer, key, implicit)                                                      \
    dot2_cert_issue(f->crypto, f->arena, pki_rse_body(f, "x"), subject, issuer, key, implicit,     \
                    &cert, s, NULL)
    assert_int_equal(ISSUE(p384, pki.eca, pki.eca_key, false), DOT2_E_ALGORITHM);
    assert_int_equal(ISSUE(p256, pki.eca, p384, false), DOT2_E_ALGORITHM);
    assert_int_equal(ISSUE(bp384, pki.eca, pki.eca_key, true), DOT2_E_ALGORITHM);
    assert_int_equal(ISSUE(p256, NULL, p256, true), DOT2_E_ARGUMENT);
    /* A public key signs nothing, and has no private number to give. */
    {
        EVP_PKEY *public = NULL;

        assert_int_equal(dot2_cert_key(pki.eca, &public, NULL), DOT2_OK);
        assert_int_not_equal(ISSUE(p256, pki.eca, public, false), DOT2_OK);
        assert_int_equal(ISSUE(p256, pki.eca, public, true), DOT2_E_ARGUMENT);
        assert_null(cert);
        EVP_PKEY_free(public);
        ERR_clear_error();
    }
#undef ISSUE
    pki_close(&pki);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(bp384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_kept_as_they_are),
        cmocka_unit_test(durations),
        cmocka_unit_test(issuing_refuses_what_it_cannot_make),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
