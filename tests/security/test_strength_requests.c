/*
 * test_strength_requests.c: no change of signed data, of a certificate or of a request goes
 * unnoticed. What is changed comes from the ASN.1: see strength.h.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "tests/asn1/generate.h"
#include "tests/security/strength_world.h"

/*
 * Exceptions for rSig: what is signed has the number r; whether the point of which it is x is given
 * compressed is not part of it (IEEE 1609.2 6.3.29), and a certificate is hashed with x-only
 * (6.4.3).
 */
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, NULL                                                                           \
    }

static const struct dot2_check now_check = {DOT2_PURPOSE_ANY, FIXTURE_NOW, false};

/* ---- SignedData ---- */

static bool accepts_signed_data(void *arg, const uint8_t *octets, size_t size)
{
    const struct dot2_check check = {DOT2_PURPOSE_ANY, FIXTURE_NOW, true};
    const struct signer *signer = arg;

    return dot2_signed_data_verify(signer->trust, octets, size, &check, NULL, NULL) == DOT2_OK;
}

static void check_signed_data(const struct signer *signer, const char *rsig, uint64_t seed)
{
    const struct strength_exception exceptions[] = {{rsig, "", "x is the same"}, END};
    const struct strength_exception with_certificate[] = {
        {rsig, "", "x is the same"},
        {"certificate[0].signature.ecdsaNistP256Signature.rSig", "",
         "the certificate's canonical form is the same"},
        END};
    struct ToBeSignedData *tbs = generate(world.f.arena, &asn_DEF_ToBeSignedData, seed);
    bool has_two =
        signer->form == SignerIdentifier_PR_certificate && !dot2_cert_is_implicit(signer->cert);
    struct strength_message message = {.name = signer->name,
                                       .type = &asn_DEF_Ieee1609Dot2Data,
                                       .accepts = accepts_signed_data,
                                       .arg = (void *)(uintptr_t)signer,
                                       .exceptions = has_two ? with_certificate : exceptions};
    struct coer_span octets;

    assert_non_null(tbs);
    assert_true(generate_absent(world.f.arena, &asn_DEF_HeaderInfo, &tbs->headerInfo));
    octets = world_encode(&asn_DEF_Ieee1609Dot2Data, world_sign(signer, tbs));
    message.octets = octets.data;
    message.size = octets.size;
    strength_check(&message);
}

static void signed_data_with_every_header(void **state)
{
    static const char rsig[] = "signedData.signature.ecdsaNistP256Signature.rSig";
    const struct signer signers[] = {
        {"SignedData, digest", world.authority_key, world.authority, world.pki.trust,
         SignerIdentifier_PR_digest},
        {"SignedData, explicit certificate", world.authority_key, world.authority, world.pki.trust,
         SignerIdentifier_PR_certificate},
        {"SignedData, implicit certificate", world.implicit_key, world.implicit, world.pki.trust,
         SignerIdentifier_PR_certificate},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(signers) / sizeof(signers[0]); i++)
        check_signed_data(&signers[i], rsig, 3 * i + 1);
}

static void signed_data_on_the_other_curves(void **state)
{
    static const struct {
        enum dot2_curve curve;
        const char *rsig;
    } curves[] = {
        {DOT2_CURVE_BRAINPOOL_P256R1, "signedData.signature.ecdsaBrainpoolP256r1Signature.rSig"},
        {DOT2_CURVE_BRAINPOOL_P384R1, "signedData.signature.ecdsaBrainpoolP384r1Signature.rSig"},
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct pki other;
        struct signer signer;

        pki_open(&world.f, curves[i].curve, &other);
        signer = (struct signer){dot2_curve_name(curves[i].curve), other.rse_key, other.rse,
                                 other.trust, SignerIdentifier_PR_digest};
        assert_int_equal(dot2_trust_add(other.trust, other.rse), DOT2_OK);
        check_signed_data(&signer, curves[i].rsig, 40 + i);
        pki_close(&other);
    }
}

/* ---- certificates ---- */

static bool accepts_explicit(void *arg, const uint8_t *octets, size_t size)
{
    dot2_cert *cert = NULL;
    bool accepted = dot2_cert_new(world.f.crypto, octets, size, &cert, NULL) == DOT2_OK &&
                    dot2_chain_verify(world.pki.trust, cert, &now_check, NULL, NULL) == DOT2_OK;

    (void)arg;
    dot2_cert_free(cert);
    return accepted;
}

/* Every implicit certificate has a key; a changed one has another, which nobody has. */
static bool accepts_implicit(void *arg, const uint8_t *octets, size_t size)
{
    struct dot2_chain chain = {.key = NULL};
    dot2_cert *cert = NULL;
    bool accepted = dot2_cert_new(world.f.crypto, octets, size, &cert, NULL) == DOT2_OK &&
                    dot2_chain_verify(world.pki.trust, cert, &now_check, &chain, NULL) == DOT2_OK &&
                    EVP_PKEY_eq(chain.key, arg) == 1;

    dot2_chain_clear(&chain);
    dot2_cert_free(cert);
    return accepted;
}

static void certificates(void **state)
{
    static const struct strength_exception exceptions[] = {
        {"CertificateBase.signature.ecdsaNistP256Signature.rSig", "",
         "the canonical form is the same"},
        END};
    const struct {
        const char *name;
        const dot2_cert *cert;
        EVP_PKEY *key;
    } certs[] = {
        {"explicit, of an authority", world.authority, NULL},
        {"explicit, of an intermediate CA", world.pki.ica, NULL},
        {"explicit, for enrollment", world.pki.rse, NULL},
        {"implicit, for applications", world.implicit, world.implicit_key},
        {"implicit, for enrollment", world.pki.implicit, world.pki.implicit_key},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++) {
        struct strength_message message = {.name = certs[i].name,
                                           .type = &asn_DEF_CertificateBase,
                                           .accepts = certs[i].key == NULL ? accepts_explicit
                                                                           : accepts_implicit,
                                           .arg = certs[i].key,
                                           .exceptions = certs[i].key == NULL ? exceptions : NULL};

        message.octets = dot2_cert_octets(certs[i].cert, &message.size);
        strength_check(&message);
    }
}

/* ---- requests ---- */

static bool is_by_its_signer(const uint8_t *octets, size_t size)
{
    const struct dot2_check check = {DOT2_PURPOSE_ENROLLMENT, FIXTURE_NOW, false};
    struct scms_signed_request request;
    struct dot2_chain chain = {.key = NULL};
    bool accepted =
        scms_signed_request_parse(world.f.crypto, octets, size, false, &request, NULL) == DOT2_OK &&
        dot2_chain_verify(world.pki.trust, request.cert, &check, &chain, NULL) == DOT2_OK &&
        scms_signed_request_verify_by(world.f.crypto, &request, &chain, NULL) == DOT2_OK;

    dot2_chain_clear(&chain);
    scms_signed_request_clear(&request);
    return accepted;
}

static bool accepts_request(void *arg, const uint8_t *octets, size_t size)
{
    (void)arg;
    return is_by_its_signer(octets, size);
}

/* Nobody vouches for it but the key that it asks a certificate for. */
static bool accepts_enrollment(void *arg, const uint8_t *octets, size_t size)
{
    struct scms_enrollment_request enrollment = {.verify_key = NULL};
    struct scms_signed_request request;
    bool accepted =
        scms_signed_request_parse(world.f.crypto, octets, size, true, &request, NULL) == DOT2_OK &&
        request.cert == NULL &&
        scms_enrollment_request_parse(world.f.crypto, request.pdu, &enrollment, NULL) == DOT2_OK &&
        scms_signed_request_verify(world.f.crypto, &request, enrollment.verify_key, NULL) ==
            DOT2_OK;

    (void)arg;
    scms_enrollment_request_clear(&enrollment);
    scms_signed_request_clear(&request);
    return accepted;
}

static bool accepts_secured(void *arg, const uint8_t *octets, size_t size)
{
    const struct scms_ra_key ra = {.cert = world.authority, .key = world.response_key};
    uint8_t *request = NULL;
    size_t request_size = 0;
    bool accepted = scms_secured_open(world.f.crypto, &ra, 1, octets, size, &request, &request_size,
                                      NULL, NULL) == DOT2_OK &&
                    is_by_its_signer(request, request_size);

    (void)arg;
    OPENSSL_clear_free(request, request_size);
    return accepted;
}

static struct coer_span signed_request(EVP_PKEY *key, const dot2_cert *cert, struct coer_span tbs)
{
    uint8_t *octets = NULL;
    size_t size = 0;

    assert_int_equal(scms_signed_request_build(world.f.crypto, key, cert, tbs.data, tbs.size,
                                               &octets, &size, NULL),
                     DOT2_OK);
    return world_keep(octets, size);
}

/* One of each kind. */
static struct coer_span request_pdu(size_t i, const char **name)
{
    static const char *const names[] = {"download request", "application request",
                                        "pseudonym request", "identification request"};
    const struct scms_app_request app = {.verify_key = world.pki.rse_key,
                                         .cert_encryption_key = world.response_key,
                                         .response_encryption_key = world.response_key,
                                         .current_time = FIXTURE_NOW,
                                         .requested_start_time = FIXTURE_NOW};
    struct scms_butterfly_request butterfly = {
        .verify = {world.pki.rse_key, "0123456789abcde"},
        .response_encryption = {world.response_key, "123456789abcdef"},
        .current_time = FIXTURE_NOW,
        .requested_start_time = FIXTURE_NOW};
    enum dot2_status status;
    uint8_t *octets = NULL;
    size_t size = 0;

    *name = names[i];
    if (i == 0) {
        status =
            scms_download_request_build(FIXTURE_NOW, "0123456789ABCDEF.zip", &octets, &size, NULL);
    } else if (i == 1) {
        status = scms_app_request_build(&app, &octets, &size, NULL);
    } else {
        butterfly.kind = i == 2 ? SCMS_PROVISION_PSEUDONYM : SCMS_PROVISION_ID;
        if (i == 3)
            butterfly.cert_encryption =
                (struct scms_butterfly_params){world.response_key, "23456789abcdef0"};
        status = scms_butterfly_request_build(&butterfly, &octets, &size, NULL);
    }
    assert_int_equal(status, DOT2_OK);
    return world_keep(octets, size);
}

static void requests(void **state)
{
    static const struct strength_exception by_implicit[] = {
        {"SignedCertificateRequest.signature.ecdsaNistP256Signature.rSig", "", "x is the same"},
        END};
    static const struct strength_exception by_explicit[] = {
        {"SignedCertificateRequest.signature.ecdsaNistP256Signature.rSig", "", "x is the same"},
        {"certificate[0].signature.ecdsaNistP256Signature.rSig", "",
         "the certificate's canonical form is the same"},
        END};

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        struct strength_message message = {.type = &asn_DEF_Ieee1609Dot2Data,
                                           .accepts = accepts_request,
                                           .packed_type = &asn_DEF_SignedCertificateRequest,
                                           .packed = strength_in_request,
                                           .exceptions = i < 4 ? by_explicit : by_implicit};
        struct coer_span pdu = request_pdu(i % 4, &message.name);
        struct coer_span octets =
            i < 4 ? signed_request(world.pki.rse_key, world.pki.rse, pdu)
                  : signed_request(world.pki.implicit_key, world.pki.implicit, pdu);

        message.octets = octets.data;
        message.size = octets.size;
        strength_check(&message);
    }
}

static void a_request_for_enrollment(void **state)
{
    static const struct strength_exception exceptions[] = {
        {"SignedCertificateRequest.signature.ecdsaNistP256Signature.rSig", "", "x is the same"},
        END};
    struct strength_message message = {.name = "enrollment request",
                                       .type = &asn_DEF_Ieee1609Dot2Data,
                                       .accepts = accepts_enrollment,
                                       .packed_type = &asn_DEF_SignedCertificateRequest,
                                       .packed = strength_in_request,
                                       .exceptions = exceptions};
    struct coer_span octets;
    uint8_t *tbs = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(scms_enrollment_request_build(FIXTURE_NOW, pki_rse_body(&world.f, "rse"),
                                                   world.pki.rse_key, &tbs, &size, NULL),
                     DOT2_OK);
    octets = signed_request(world.pki.rse_key, NULL, world_keep(tbs, size));
    message.octets = octets.data;
    message.size = octets.size;
    strength_check(&message);
}

/* ECIES takes x of the shared point alone: V and -V give the same key (IEEE 1609.2 5.3.5). */
static void a_secured_request(void **state)
{
    static const struct strength_exception exceptions[] = {
        {"eciesNistP256.v", "", "-V has the same x"}, END};
    struct strength_message message = {.name = "secured request",
                                       .type = &asn_DEF_Ieee1609Dot2Data,
                                       .accepts = accepts_secured,
                                       .exceptions = exceptions};
    const char *name;
    struct coer_span request = signed_request(world.pki.implicit_key, world.pki.implicit,
                                              request_pdu(1, &name)),
                     secured;
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(scms_secured_build(world.f.crypto, world.authority, request.data, request.size,
                                        &octets, &size, NULL),
                     DOT2_OK);
    secured = world_keep(octets, size);
    message.octets = secured.data;
    message.size = secured.size;
    strength_check(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_data_with_every_header),
        cmocka_unit_test(signed_data_on_the_other_curves),
        cmocka_unit_test(certificates),
        cmocka_unit_test(requests),
        cmocka_unit_test(a_request_for_enrollment),
        cmocka_unit_test(a_secured_request),
    };

    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
