/* Published and derived messages: octet by octet. */
#include "tests/asn1/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "asn1/types.h"

#define POINT "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define SIGNATURE "80 80" POINT POINT

static coer_arena *arena;
static uint8_t in[4096];

static int setup(void **state)
{
    (void)state;
    arena = coer_arena_new();
    return arena == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    coer_arena_free(arena);
    return 0;
}

/* The figures are those of the text that is published with the certificate. */
static void published_certificate_decodes(void **state)
{
    const Certificate_t *certificate;
    const ToBeSignedCertificate_t *tbs;

    (void)state;
    certificate = round_trip(arena, &asn_DEF_Certificate, published_certificate, in, sizeof(in));
    assert_int_equal(certificate->version, 3);
    assert_int_equal(certificate->type, CertificateType_implicit);
    assert_int_equal(certificate->issuer.present, IssuerIdentifier_PR_sha256AndDigest);
    assert_int_equal(certificate->issuer.choice.sha256AndDigest.size, 8);
    assert_null(certificate->signature);
    tbs = &certificate->toBeSigned;
    assert_int_equal(tbs->id.present, CertificateId_PR_linkageData);
    assert_int_equal(tbs->id.choice.linkageData.iCert, 2);
    assert_int_equal(tbs->crlSeries, 5);
    assert_int_equal(tbs->validityPeriod.start, 0x06060606);
    assert_int_equal(tbs->validityPeriod.duration.present, Duration_PR_hours);
    assert_int_equal(tbs->validityPeriod.duration.choice.hours, 169);
    assert_non_null(tbs->region);
    assert_int_equal(tbs->region->present, GeographicRegion_PR_identifiedRegion);
    assert_int_equal(tbs->region->choice.identifiedRegion.list.count, 3);
    assert_int_equal(tbs->region->choice.identifiedRegion.list.array[1]->choice.countryOnly, 484);
    assert_null(tbs->assuranceLevel);
    assert_int_equal(tbs->appPermissions->list.count, 1);
    assert_int_equal(tbs->appPermissions->list.array[0]->psid, 0x20);
    assert_null(tbs->certRequestPermissions);
    assert_int_equal(tbs->verifyKeyIndicator.present,
                     VerificationKeyIndicator_PR_reconstructionValue);
    assert_int_equal(tbs->verifyKeyIndicator.choice.reconstructionValue.present,
                     EccP256CurvePoint_PR_compressed_y_1);
    assert_false(coer_arena_extended(arena));
}

static void spans_are_the_octets_received(void **state)
{
    const Certificate_t *certificate;
    struct coer_span span;

    (void)state;
    certificate = round_trip(arena, &asn_DEF_Certificate, published_certificate, in, sizeof(in));
    assert_true(coer_span_of(&asn_DEF_Certificate, certificate, &span));
    assert_ptr_equal(span.data, in);
    assert_int_equal(span.size, 89);
    /* The same under the names of the base type and of its other aliases. */
    assert_true(coer_span_of(&asn_DEF_CertificateBase, certificate, &span));
    assert_int_equal(span.size, 89);
    assert_true(coer_span_of(&asn_DEF_ImplicitCertificate, certificate, &span));
    assert_int_equal(span.size, 89);
    /* version, type, issuer: 1 + 1 + 1 + 9 octets before it. */
    assert_true(coer_span_of(&asn_DEF_ToBeSignedCertificate, &certificate->toBeSigned, &span));
    assert_ptr_equal(span.data, in + 12);
    assert_int_equal(span.size, 77);
    assert_true(
        coer_span_of(&asn_DEF_SequenceOfPsidSsp, certificate->toBeSigned.appPermissions, &span));
    assert_int_equal(span.size, 5);
}

static void a_built_value_has_no_span(void **state)
{
    Certificate_t *certificate = coer_arena_alloc(arena, sizeof(*certificate));
    struct coer_span span = {.size = 1};

    (void)state;
    assert_false(coer_span_of(&asn_DEF_Certificate, certificate, &span));
    assert_int_equal(span.size, 0);
    assert_null(span.data);
    assert_false(coer_span_of(&asn_DEF_Certificate, NULL, &span));
    assert_false(
        coer_span_of(&asn_DEF_HashedId8, &certificate->issuer.choice.sha256AndDigest, &span));
}

/* SecuredRACertRequest, complete. */
static void ra_certificate_request(void **state)
{
    const Ieee1609Dot2Data_t *data;
    const ScmsPDU_t *pdu;
    uint8_t inner[16];

    (void)state;
    data = round_trip(arena, coer_type("SecuredRACertRequest"), "03 80 05 01 83 80 00 01", in,
                      sizeof(in));
    assert_int_equal(data->content->present, Ieee1609Dot2Content_PR_unsecuredData);
    assert_int_equal(data->content->choice.unsecuredData.size, 5);
    pdu = round_trip(arena, &asn_DEF_ScmsPDU, "01 83 80 00 01", inner, sizeof(inner));
    assert_int_equal(pdu->content.present, ScmsPDUContent_PR_ee_ra);
    assert_int_equal(pdu->content.choice.ee_ra.present, EndEntityRaInterfacePDU_PR_eeRaCertRequest);
}

/* tbsRequest of an application request without cert-encryption-key: 83 octets. */
static void application_request(void **state)
{
    static const char hex[] = "01 83 86 00 01 80 82" POINT "00 80 83" POINT "00 11223344 55667788";
    const ScmsPDU_t *pdu = round_trip(arena, &asn_DEF_ScmsPDU, hex, in, sizeof(in));
    const EeRaAppCertProvisioningRequest_t *request =
        &pdu->content.choice.ee_ra.choice.eeRaAppCertProvisioningRequest;
    struct coer_span span;

    (void)state;
    assert_true(coer_span_of(&asn_DEF_ScmsPDU, pdu, &span));
    assert_int_equal(span.size, 83);
    assert_null(request->cert_encryption_key);
    assert_int_equal(request->common.current_time, 0x11223344);
    assert_int_equal(request->common.requested_start_time, 0x55667788);
    round_trip(arena, &asn_DEF_ScmsPDU,
               "01 83 86 40 01 80 82" POINT "00 80 82" POINT "00 80 83" POINT
               "00 11223344 55667788",
               in, sizeof(in));
}

/* tbsRequest of a download request for AB09281C9867DE53.zip at 0x1A2B3C4D: 29 octets; built, not
 * decoded. */
static void download_request(void **state)
{
    static const char hex[] = "01 83 88 00 1A2B3C4D 14 41423039323831433938363744453533 2E7A6970";
    const char name[] = "AB09281C9867DE53.zip";
    ScmsPDU_t *pdu = coer_arena_alloc(arena, sizeof(*pdu));
    EndEntityRaInterfacePDU_t *ee_ra = &pdu->content.choice.ee_ra;
    AuthenticatedDownloadRequest_t *request = &ee_ra->choice.eeRaAuthenticatedDownloadRequest;
    uint8_t out[64];
    size_t size = 0;

    (void)state;
    pdu->version = 1;
    pdu->content.present = ScmsPDUContent_PR_ee_ra;
    ee_ra->present = EndEntityRaInterfacePDU_PR_eeRaAuthenticatedDownloadRequest;
    request->timestamp = 0x1A2B3C4D;
    assert_true(coer_octets(arena, &request->filename, name, strlen(name)));
    assert_int_equal(coer_encode(&asn_DEF_ScmsPDU, pdu, out, sizeof(out), &size, NULL), COER_OK);
    assert_int_equal(size, 29);
    assert_int_equal(from_hex(hex, in, sizeof(in)), 29);
    assert_memory_equal(out, in, 29);
    round_trip(arena, coer_type("ScopedCertificateRequest"), hex, in, sizeof(in));
}

/* Signed download request: Ieee1609Dot2Data, in it SignedCertificateRequest, in it the certificate.
 */
static void signed_certificate_request(void **state)
{
    char hex[2048];
    const SignedCertificateRequest_t *request;
    struct coer_span span;

    (void)state;
    snprintf(hex, sizeof(hex), "00 0183 8800 1A2B3C4D 03 61627A 81 01 01 %s " SIGNATURE,
             published_certificate);
    request = round_trip(arena, &asn_DEF_SignedCertificateRequest, hex, in, sizeof(in));
    assert_true(coer_span_of(&asn_DEF_ScmsPDU, &request->tbsRequest, &span));
    assert_ptr_equal(span.data, in + 1);
    assert_int_equal(span.size, 12);
    assert_int_equal(request->signer.present, SignerIdentifier_PR_certificate);
    assert_true(coer_span_of(&asn_DEF_Certificate, request->signer.choice.certificate.list.array[0],
                             &span));
    assert_ptr_equal(span.data, in + 16);
    assert_int_equal(span.size, 89);
}

static void prefixes(void **state)
{
    static const char tbs[] = "00 8100 030303 0000 00000001 86 0001 80 80 82" POINT;
    char hex[1024];

    (void)state;
    /* Root: explicit, self. */
    snprintf(hex, sizeof(hex), "80 03 00 81 00 %s " SIGNATURE, tbs);
    round_trip(arena, &asn_DEF_Certificate, hex, in, sizeof(in));
    /* Explicit, issued. */
    snprintf(hex, sizeof(hex), "80 03 00 80 0102030405060708 %s " SIGNATURE, tbs);
    round_trip(arena, &asn_DEF_Certificate, hex, in, sizeof(in));
}

static void secured_and_acknowledged(void **state)
{
    (void)state;
    round_trip(arena, coer_type("SecuredAppCertProvisioningRequest"),
               "03 82 01 01 82 0102030405060708 80 82" POINT
               "000102030405060708090a0b0c0d0e0f 000102030405060708090a0b0c0d0e0f"
               "80 000102030405060708090a0b 10 00112233445566778899aabbccddeeff",
               in, sizeof(in));
    round_trip(arena, coer_type("SignedAppCertProvisioningAck"),
               "03 81 00 40 03 80 16 01 83 87 00 01 0102030405060708 80 00 1A2B3C4D 02 2F78"
               "00 01 23 80 0102030405060708" SIGNATURE,
               in, sizeof(in));
    /* The ScmsPDU in it. */
    round_trip(arena, &asn_DEF_ScmsPDU, "01 83 87 00 01 0102030405060708 80 00 1A2B3C4D 02 2F78",
               in, sizeof(in));
}

/* 2.6: ssp of the RA certificate. */
static void ra_ssp(void **state)
{
    const ScmsSsp_t *ssp = round_trip(arena, &asn_DEF_ScmsSsp, "8B 00 01", in, sizeof(in));

    (void)state;
    assert_int_equal(ssp->present, ScmsSsp_PR_ra);
    assert_int_equal(ssp->choice.ra.version, 1);
}

/* 2.8: a local certificate chain file without endorsements. */
static void local_certificate_chain_file(void **state)
{
    char hex[1024];
    const ScmsFile_t *file;
    const LocalCertificateChainFile_t *chain;

    (void)state;
    snprintf(hex, sizeof(hex),
             "01 80 81 00 0001 0002 0472612E78"
             "00 0100 0100 %s 0102 %s %s"
             "0100",
             published_certificate, published_certificate, published_certificate);
    file = round_trip(arena, &asn_DEF_ScmsFile, hex, in, sizeof(in));
    assert_int_equal(file->content.present, ScmsFileContent_PR_cert_chain);
    chain = &file->content.choice.cert_chain.choice.localCertificateChainFile;
    assert_int_equal(chain->version.gccfVersion, 1);
    assert_int_equal(chain->version.lccfVersion, 2);
    assert_int_equal(chain->requiredCertStore.certs.list.count, 2);
    assert_int_equal(chain->optionalCertList.list.count, 0);
}

/* 2.8: hash entries are HashedId10 and expiry, each with a preamble of its own. */
static void hash_based_crl(void **state)
{
    const CrlContents_t *crl;
    const ToBeSignedHashIdCrl_t *body;

    (void)state;
    crl = round_trip(arena, &asn_DEF_CrlContents,
                     "01 0004 0102030405060708 1A2B3C4D 1A2B3C4E 40 07 80 00 00000009 0102"
                     "00 0102030405060708090A 1B000000 00 1112131415161718191A 1B000001",
                     in, sizeof(in));
    assert_int_equal(crl->crlSeries, 4);
    assert_int_equal(*crl->priorityInfo.priority, 7);
    assert_int_equal(crl->typeSpecific.present, TypeSpecificCrlContents_PR_fullHashCrl);
    body = &crl->typeSpecific.choice.fullHashCrl;
    assert_int_equal(body->entries.list.count, 2);
    assert_int_equal(body->entries.list.array[1]->id.size, 10);
    assert_int_equal(body->entries.list.array[1]->expiry, 0x1B000001);
}

/* 2.7: what is in a downloaded file, from the outside to the inside. */
static void certificate_response(void **state)
{
    char hex[1024];
    const PlaintextCertificateResponse_t *response;
    const ToBeSignedEncryptedCertificateResponse_t *tbs;

    (void)state;
    tbs = round_trip(arena, &asn_DEF_ToBeSignedEncryptedCertificateResponse,
                     "0101 00 0120 1A2B3C4D 84 00A9"
                     "03 82 01 01 84 0102030405060708 80 82" POINT
                     "000102030405060708090a0b0c0d0e0f 000102030405060708090a0b0c0d0e0f"
                     "80 000102030405060708090a0b 10 00112233445566778899aabbccddeeff",
                     in, sizeof(in));
    assert_int_equal(tbs->psidSsp.list.count, 1);
    assert_int_equal(tbs->lifetime.choice.hours, 169);
    assert_int_equal(
        tbs->encrypted_cert.content->choice.encryptedData.recipients.list.array[0]->present,
        RecipientInfo_PR_rekRecipInfo);
    snprintf(hex, sizeof(hex), "81 %s " POINT, published_certificate);
    response = round_trip(arena, &asn_DEF_PlaintextCertificateResponse, hex, in, sizeof(in));
    assert_int_equal(response->present, PlaintextCertificateResponse_PR_implicit);
    assert_int_equal(response->choice.implicit.priv_key_reconstruction_s.size, 32);
}

static void every_type_has_tables(void **state)
{
    size_t count = 0;
    const asn_TYPE_descriptor_t *const *types = coer_types(&count);

    (void)state;
    assert_int_equal(coer_init(), COER_OK);
    assert_true(count > 200);
    for (size_t i = 0; i < count; i++) {
        struct coer_error error;
        void *value;

        assert_ptr_equal(coer_type(types[i]->name), types[i]);
        /* No type is unknown, whatever it says of no input. */
        assert_int_not_equal(coer_decode(arena, types[i], in, 0, &value, &error), COER_E_TYPE);
    }
    assert_null(coer_type("ScmsPdu"));
    assert_null(coer_type(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_certificate_decodes),
        cmocka_unit_test(spans_are_the_octets_received),
        cmocka_unit_test(a_built_value_has_no_span),
        cmocka_unit_test(ra_certificate_request),
        cmocka_unit_test(application_request),
        cmocka_unit_test(download_request),
        cmocka_unit_test(signed_certificate_request),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(secured_and_acknowledged),
        cmocka_unit_test(ra_ssp),
        cmocka_unit_test(local_certificate_chain_file),
        cmocka_unit_test(hash_based_crl),
        cmocka_unit_test(certificate_response),
        cmocka_unit_test(every_type_has_tables),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
