/* test_consistency.c: certificates that decode and make no sense. */
#include "tests/dot2/fixture.h"

static enum dot2_status status_of(const struct fixture *f, const CertificateBase_t *base,
                                  const char *field)
{
    struct dot2_error error = {0};
    enum dot2_status status = DOT2_OK;
    uint8_t octets[1024];
    dot2_cert *cert = NULL;
    size_t size = 0;

    assert_int_equal(
        coer_encode(&asn_DEF_CertificateBase, base, octets, sizeof(octets), &size, NULL), COER_OK);
    status = dot2_cert_new(f->crypto, octets, size, &cert, &error);
    dot2_cert_free(cert);
    if (status != DOT2_OK) {
        if (status == DOT2_E_DECODE)
            print_error("%s at %zu: %s\n", error.field, error.offset, error.detail);
        assert_null(cert);
        assert_int_equal(error.status, status);
        assert_true(error.detail[0] != '\0');
        if (field != NULL && strstr(error.field, field) == NULL)
            fail_msg("%s is not about %s", error.field, field);
    }
    return status;
}

static void type_key_and_signature_belong_together(void **state)
{
    const struct fixture *f = *state;
    const CertificateBase_t *explicit_base = NULL, *implicit_base = NULL;
    CertificateBase_t base;
    EccP256CurvePoint_t *point = NULL;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    explicit_base = dot2_cert_asn1(pki.rse);
    implicit_base = dot2_cert_asn1(pki.implicit);
    base = *explicit_base;
    assert_int_equal(status_of(f, &base, NULL), DOT2_OK);
    base.signature = NULL;
    assert_int_equal(status_of(f, &base, "signature"), DOT2_E_CERTIFICATE);
    base = *explicit_base;
    base.toBeSigned.verifyKeyIndicator = implicit_base->toBeSigned.verifyKeyIndicator;
    assert_int_equal(status_of(f, &base, "verifyKeyIndicator"), DOT2_E_CERTIFICATE);
    base = *explicit_base;
    base.type = CertificateType_implicit;
    assert_int_equal(status_of(f, &base, "signature"), DOT2_E_CERTIFICATE);
    base = *explicit_base;
    base.issuer.present = IssuerIdentifier_PR_self;
    base.issuer.choice.self = HashAlgorithm_sha384;
    assert_int_equal(status_of(f, &base, "issuer"), DOT2_E_CERTIFICATE);
    point = &base.toBeSigned.verifyKeyIndicator.choice.verificationKey.choice.ecdsaNistP256;
    base = *explicit_base;
    point->present = EccP256CurvePoint_PR_x_only;
    assert_int_equal(status_of(f, &base, "verificationKey"), DOT2_E_CERTIFICATE);
    point->present = EccP256CurvePoint_PR_fill;
    assert_int_equal(status_of(f, &base, "verificationKey"), DOT2_E_CERTIFICATE);

    base = *implicit_base;
    assert_int_equal(status_of(f, &base, NULL), DOT2_OK);
    base.signature = explicit_base->signature;
    assert_int_equal(status_of(f, &base, "signature"), DOT2_E_CERTIFICATE);
    base = *implicit_base;
    base.toBeSigned.verifyKeyIndicator = explicit_base->toBeSigned.verifyKeyIndicator;
    assert_int_equal(status_of(f, &base, "verifyKeyIndicator"), DOT2_E_CERTIFICATE);
    base = *implicit_base;
    base.issuer.present = IssuerIdentifier_PR_self;
    base.issuer.choice.self = HashAlgorithm_sha256;
    assert_int_equal(status_of(f, &base, "issuer"), DOT2_E_CERTIFICATE);
    base = *implicit_base;
    base.toBeSigned.verifyKeyIndicator.choice.reconstructionValue.present =
        EccP256CurvePoint_PR_x_only;
    assert_int_equal(status_of(f, &base, "reconstructionValue"), DOT2_E_CERTIFICATE);
    base = *implicit_base;
    base.type = CertificateType_explicit;
    assert_int_equal(status_of(f, &base, "signature"), DOT2_E_CERTIFICATE);
    pki_close(&pki);
}

static void permissions_make_sense_alone(void **state)
{
    const struct fixture *f = *state;
    CertificateBase_t base;
    ToBeSignedCertificate_t *tbs = NULL;
    struct pki pki;
    static const uint8_t nothing = 0;

    pki_open(f, DOT2_CURVE_P256, &pki);
#define RESET()                                                                                    \
    do {                                                                                           \
        base = *dot2_cert_asn1(pki.rse);                                                           \
        tbs = &base.toBeSigned;                                                                    \
        tbs->certRequestPermissions = NULL;                                                        \
    } while (0)
    RESET();
    assert_int_equal(status_of(f, &base, "toBeSigned"), DOT2_E_CERTIFICATE);
    tbs->appPermissions = coer_arena_alloc(f->arena, sizeof(*tbs->appPermissions));
    assert_int_equal(status_of(f, &base, "appPermissions"), DOT2_E_CERTIFICATE);
    RESET();
    tbs->certRequestPermissions = coer_arena_alloc(f->arena, sizeof(*tbs->certRequestPermissions));
    assert_int_equal(status_of(f, &base, "certRequestPermissions"), DOT2_E_CERTIFICATE);
    RESET();
    fixture_issue(f, tbs, 0x20, NULL, 1, 0, APP);
    assert_int_equal(status_of(f, &base, NULL), DOT2_OK);
    fixture_issue(f, tbs, 0x20, NULL, 0, 0, APP); /* 6.4.28: invalid */
    assert_int_equal(status_of(f, &base, "certIssuePermissions"), DOT2_E_CERTIFICATE);
    RESET();
    tbs->certIssuePermissions = NULL;
    fixture_request(f, tbs, 0x20, NULL, 0, 0, APP);
    assert_int_equal(status_of(f, &base, NULL), DOT2_OK);
    fixture_request(f, tbs, 0x20, NULL, -1, 0, APP);
    assert_int_equal(status_of(f, &base, "certRequestPermissions"), DOT2_E_CERTIFICATE);
    RESET();
    fixture_request(f, tbs, 0x20, NULL, 1, -2, APP);
    assert_int_equal(status_of(f, &base, "certRequestPermissions"), DOT2_E_CERTIFICATE);
    RESET();
    /* An empty eeType does not even encode. */
    fixture_request(f, tbs, 0x20, NULL, 1, 0, nothing);
    {
        uint8_t octets[1024];
        size_t size = 0;

        assert_int_equal(
            coer_encode(&asn_DEF_CertificateBase, &base, octets, sizeof(octets), &size, NULL),
            COER_E_RANGE);
    }
    RESET();
    fixture_request(f, tbs, 0x20, fixture_bitmap(f, "0102", "01"), 0, 0, APP);
    assert_int_equal(status_of(f, &base, "certRequestPermissions"), DOT2_E_CERTIFICATE);
    RESET();
    fixture_request(f, tbs, 0x20, fixture_opaque(f, NULL, NULL), 0, 0, APP);
    assert_int_equal(status_of(f, &base, "certRequestPermissions"), DOT2_E_CERTIFICATE);
    RESET();
    {
        PsidGroupPermissions_t *group = fixture_request(f, tbs, 0x20, NULL, 0, 0, APP);

        group->subjectPermissions.choice.Explicit.list.count = 0;
        assert_int_equal(status_of(f, &base, "certRequestPermissions"), DOT2_E_CERTIFICATE);
    }
#undef RESET
    pki_close(&pki);
}

static void regions_are_not_empty(void **state)
{
    static const char *const empty[] = {"81 0100", "83 0100", "83 0101 81 0348 0100",
                                        "83 0101 82 0348 0100"};
    const struct fixture *f = *state;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        CertificateBase_t base = *dot2_cert_asn1(pki.rse);

        fixture_region(f, &base.toBeSigned, empty[i]);
        assert_int_equal(status_of(f, &base, "region"), DOT2_E_CERTIFICATE);
    }
    pki_close(&pki);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(type_key_and_signature_belong_together),
        cmocka_unit_test(permissions_make_sense_alone),
        cmocka_unit_test(regions_are_not_empty),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
