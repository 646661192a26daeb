/*
 * enrollment.c: EeEcaCertRequest and EcaEeCertResponse (SCMS 1.2.2).
 *
 * The type of enrollmentCert is an implicit certificate, and a CV Pilots ECA issues no other. An
 * explicit one, with 32 zero octets as reconstruction value, is this project's own variant for keys
 * that cannot leave an HSM; it is read only where the caller allows it.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/scms/internal.h"

#define TBS "EeEcaCertRequest.tbsData"

static enum dot2_status check_profile(const ToBeSignedCertificate_t *tbs, struct dot2_error *error)
{
    if (tbs->id.present == CertificateId_PR_linkageData)
        return dot2_fail(error, DOT2_E_MESSAGE, TBS ".id", "must not be linkageData");
    if (tbs->region == NULL)
        return dot2_fail(error, DOT2_E_MESSAGE, TBS ".region", "must be present");
    if (tbs->appPermissions != NULL)
        return dot2_fail(error, DOT2_E_MESSAGE, TBS ".appPermissions", "must be absent");
    if (tbs->certIssuePermissions != NULL)
        return dot2_fail(error, DOT2_E_MESSAGE, TBS ".certIssuePermissions", "must be absent");
    if (tbs->certRequestPermissions == NULL)
        return dot2_fail(error, DOT2_E_MESSAGE, TBS ".certRequestPermissions", "must be present");
    if (tbs->encryptionKey != NULL)
        return dot2_fail(error, DOT2_E_MESSAGE, TBS ".encryptionKey", "must be absent");
    return DOT2_OK;
}

enum dot2_status scms_enrollment_request_build(uint32_t time32, const ToBeSignedCertificate_t *body,
                                               const EVP_PKEY *key, uint8_t **octets, size_t *size,
                                               struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    ScmsPDU_t pdu = {.version = 1};
    EeEcaCertRequest_t *asn1 = &pdu.content.choice.eca_ee.choice.eeEcaCertRequest;
    VerificationKeyIndicator_t *indicator = &asn1->tbsData.verifyKeyIndicator;
    enum dot2_status status = DOT2_OK;

    *octets = NULL;
    *size = 0;
    if (arena == NULL)
        return dot2_fail_memory(error);
    pdu.content.present = ScmsPDUContent_PR_eca_ee;
    pdu.content.choice.eca_ee.present = EcaEndEntityInterfacePDU_PR_eeEcaCertRequest;
    asn1->version = 1;
    asn1->currentTime = time32;
    asn1->tbsData = *body;
    memset(indicator, 0, sizeof(*indicator));
    indicator->present = VerificationKeyIndicator_PR_verificationKey;
    status = check_profile(body, error);
    if (status == DOT2_OK)
        status = dot2_asn1_set_verification_key(arena, &indicator->choice.verificationKey, key,
                                                TBS ".verifyKeyIndicator", error);
    if (status == DOT2_OK)
        status = dot2_asn1_encode(&asn_DEF_ScmsPDU, &pdu, octets, size, error);
    coer_arena_free(arena);
    return status;
}

enum dot2_status scms_enrollment_request_parse(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                               struct scms_enrollment_request *request,
                                               struct dot2_error *error)
{
    const EcaEndEntityInterfacePDU_t *interface = &pdu->content.choice.eca_ee;
    const EeEcaCertRequest_t *asn1 = &interface->choice.eeEcaCertRequest;
    enum dot2_status status = DOT2_OK;

    memset(request, 0, sizeof(*request));
    if (pdu->version != 1 || pdu->content.present != ScmsPDUContent_PR_eca_ee ||
        interface->present != EcaEndEntityInterfacePDU_PR_eeEcaCertRequest || asn1->version != 1)
        return dot2_fail(error, DOT2_E_MESSAGE, "ScmsPDU.content",
                         "not an EeEcaCertRequest of version 1");
    status = check_profile(&asn1->tbsData, error);
    if (status != DOT2_OK)
        return status;
    if (asn1->tbsData.verifyKeyIndicator.present != VerificationKeyIndicator_PR_verificationKey)
        return dot2_fail(error, DOT2_E_MESSAGE, TBS ".verifyKeyIndicator",
                         "must be a verificationKey");
    request->current_time = (uint32_t)asn1->currentTime;
    request->body = &asn1->tbsData;
    return dot2_asn1_get_verification_key(crypto,
                                          &asn1->tbsData.verifyKeyIndicator.choice.verificationKey,
                                          TBS ".verifyKeyIndicator", &request->verify_key, error);
}

void scms_enrollment_request_clear(struct scms_enrollment_request *request)
{
    EVP_PKEY_free(request->verify_key);
    memset(request, 0, sizeof(*request));
}

enum dot2_status scms_enrollment_response_build(const dot2_crypto *crypto, EVP_PKEY *key,
                                                const struct scms_enrollment_response *response,
                                                uint8_t **octets, size_t *size,
                                                struct dot2_error *error)
{
    ScmsPDU_t pdu = {.version = 1};
    EcaEeCertResponse_t *asn1 = &pdu.content.choice.eca_ee.choice.ecaEeCertResponse;
    enum dot2_status status = DOT2_OK;

    *octets = NULL;
    *size = 0;
    pdu.content.present = ScmsPDUContent_PR_eca_ee;
    pdu.content.choice.eca_ee.present = EcaEndEntityInterfacePDU_PR_ecaEeCertResponse;
    asn1->version = 1;
    coer_octets_view(&asn1->requestHash, response->request_hash, sizeof(response->request_hash));
    coer_octets_view(&asn1->privKeyReconstruction, response->s, sizeof(response->s));
    status = dot2_asn1_embed(response->eca, &asn1->ecaCert, "EcaEeCertResponse.ecaCert", error);
    if (status == DOT2_OK)
        status = dot2_asn1_embed(response->enrollment, &asn1->enrollmentCert,
                                 "EcaEeCertResponse.enrollmentCert", error);
    if (status != DOT2_OK)
        return status;
    return scms_signed_build(crypto, key, response->eca, DOT2_SIGNER_CERTIFICATE, &asn_DEF_ScmsPDU,
                             &pdu, octets, size, error);
}

static enum dot2_status check_certs(const struct scms_enrollment_response *response,
                                    bool allow_explicit, struct dot2_error *error)
{
    static const char field[] = "EcaEeCertResponse.enrollmentCert";
    static const uint8_t zeros[32];
    const uint8_t *issuer = dot2_cert_issuer(response->enrollment);

    if (issuer == NULL || memcmp(issuer, dot2_cert_hashedid8(response->eca), 8) != 0)
        return dot2_fail(error, DOT2_E_MESSAGE, field, "is not issued by ecaCert");
    if (dot2_cert_is_implicit(response->enrollment))
        return DOT2_OK;
    if (!allow_explicit)
        return dot2_fail(error, DOT2_E_TYPE, field, "is explicit; the type has an implicit one");
    if (memcmp(response->s, zeros, sizeof(zeros)) != 0)
        return dot2_fail(error, DOT2_E_MESSAGE, "EcaEeCertResponse.privKeyReconstruction",
                         "is not zero, with an explicit certificate");
    return DOT2_OK;
}

static enum dot2_status read_response(const dot2_crypto *crypto, coer_arena *arena,
                                      const uint8_t *octets, size_t size, bool allow_explicit,
                                      struct scms_enrollment_response *response,
                                      struct dot2_error *error)
{
    const EcaEeCertResponse_t *asn1 = NULL;
    const ScmsPDU_t *pdu = NULL;
    const void *value = NULL;
    enum dot2_status status =
        scms_signed_payload(arena, &asn_DEF_ScmsPDU, octets, size, &value, error);

    if (status != DOT2_OK)
        return status;
    pdu = value;
    asn1 = &pdu->content.choice.eca_ee.choice.ecaEeCertResponse;
    if (pdu->version != 1 || pdu->content.present != ScmsPDUContent_PR_eca_ee ||
        pdu->content.choice.eca_ee.present != EcaEndEntityInterfacePDU_PR_ecaEeCertResponse ||
        asn1->version != 1)
        return dot2_fail(error, DOT2_E_MESSAGE, "ScmsPDU.content",
                         "not an EcaEeCertResponse of version 1");
    memcpy(response->request_hash, asn1->requestHash.buf, sizeof(response->request_hash));
    memcpy(response->s, asn1->privKeyReconstruction.buf, sizeof(response->s));
    status = scms_inner_cert(crypto, &asn1->ecaCert, octets, "EcaEeCertResponse.ecaCert",
                             &response->eca, error);
    if (status == DOT2_OK)
        status = scms_inner_cert(crypto, &asn1->enrollmentCert, octets,
                                 "EcaEeCertResponse.enrollmentCert", &response->enrollment, error);
    return status == DOT2_OK ? check_certs(response, allow_explicit, error) : status;
}

enum dot2_status scms_enrollment_response_open(const dot2_crypto *crypto, dot2_trust *trust,
                                               uint32_t time32, const uint8_t *octets, size_t size,
                                               bool allow_explicit,
                                               struct scms_enrollment_response *response,
                                               struct dot2_error *error)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = time32};
    coer_arena *arena = coer_arena_new();
    struct dot2_chain chain = {0};
    enum dot2_status status = DOT2_OK;

    memset(response, 0, sizeof(*response));
    status = arena == NULL
                 ? dot2_fail_memory(error)
                 : read_response(crypto, arena, octets, size, allow_explicit, response, error);
    if (status == DOT2_OK)
        status = dot2_signed_data_verify(trust, octets, size, &check, &chain, error);
    if (status == DOT2_OK &&
        memcmp(dot2_cert_hashedid8(chain.certs[0]), dot2_cert_hashedid8(response->eca), 8) != 0)
        status = dot2_fail(error, DOT2_E_SIGNER, "SignedData.signer", "is not ecaCert");
    dot2_chain_clear(&chain);
    coer_arena_free(arena);
    if (status != DOT2_OK)
        scms_enrollment_response_clear(response);
    return status;
}

void scms_enrollment_response_clear(struct scms_enrollment_response *response)
{
    dot2_cert_free(response->eca);
    dot2_cert_free(response->enrollment);
    OPENSSL_cleanse(response, sizeof(*response));
}
