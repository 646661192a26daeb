/* app_request.c: EeRaAppCertProvisioningRequest, alternative 6 of EndEntityRaInterfacePDU. */
#include <string.h>

#include "protocol/dot2/asn1_key.h"
#include "protocol/scms/scms.h"

#define REQUEST "EeRaAppCertProvisioningRequest"
#define VERIFY_KEY REQUEST ".verify-key"
#define CERT_ENCRYPTION_KEY REQUEST ".cert-encryption-key"
#define RESPONSE_ENCRYPTION_KEY REQUEST ".response-encryption-key"

enum dot2_status scms_app_request_build(const struct scms_app_request *request, uint8_t **octets,
                                        size_t *size, struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    PublicEncryptionKey_t cert_key = {0};
    ScmsPDU_t pdu = {.version = 1};
    EeRaAppCertProvisioningRequest_t *asn1 =
        &pdu.content.choice.ee_ra.choice.eeRaAppCertProvisioningRequest;
    enum dot2_status status = DOT2_OK;

    *octets = NULL;
    *size = 0;
    if (arena == NULL)
        return dot2_fail_memory(error);
    pdu.content.present = ScmsPDUContent_PR_ee_ra;
    pdu.content.choice.ee_ra.present = EndEntityRaInterfacePDU_PR_eeRaAppCertProvisioningRequest;
    asn1->version = 1;
    asn1->common.current_time = request->current_time;
    asn1->common.requested_start_time = request->requested_start_time;
    status = dot2_asn1_set_verification_key(arena, &asn1->verify_key, request->verify_key,
                                            VERIFY_KEY, error);
    if (status == DOT2_OK && request->cert_encryption_key != NULL) {
        asn1->cert_encryption_key = &cert_key;
        status = dot2_asn1_set_encryption_key(arena, &cert_key, request->cert_encryption_key,
                                              CERT_ENCRYPTION_KEY, error);
    }
    if (status == DOT2_OK)
        status = dot2_asn1_set_encryption_key(arena, &asn1->response_encryption_key,
                                              request->response_encryption_key,
                                              RESPONSE_ENCRYPTION_KEY, error);
    if (status == DOT2_OK)
        status = dot2_asn1_encode(&asn_DEF_ScmsPDU, &pdu, octets, size, error);
    coer_arena_free(arena);
    return status;
}

/* With make, the keys are made; without, they are checked to be some. */
static enum dot2_status read(const dot2_crypto *crypto, const ScmsPDU_t *pdu, bool make,
                             struct scms_app_request *request, struct dot2_error *error)
{
    const EndEntityRaInterfacePDU_t *interface = &pdu->content.choice.ee_ra;
    const EeRaAppCertProvisioningRequest_t *asn1 =
        &interface->choice.eeRaAppCertProvisioningRequest;
    enum dot2_status status = DOT2_OK;

    memset(request, 0, sizeof(*request));
    if (pdu->version != 1 || pdu->content.present != ScmsPDUContent_PR_ee_ra ||
        interface->present != EndEntityRaInterfacePDU_PR_eeRaAppCertProvisioningRequest ||
        asn1->version != 1)
        return dot2_fail(error, DOT2_E_MESSAGE, "ScmsPDU.content",
                         "not an EeRaAppCertProvisioningRequest of version 1");
    request->current_time = (uint32_t)asn1->common.current_time;
    request->requested_start_time = (uint32_t)asn1->common.requested_start_time;
    status = dot2_asn1_get_verification_key(crypto, &asn1->verify_key, VERIFY_KEY,
                                            make ? &request->verify_key : NULL, error);
    if (status == DOT2_OK && asn1->cert_encryption_key != NULL)
        status =
            dot2_asn1_get_encryption_key(crypto, asn1->cert_encryption_key, CERT_ENCRYPTION_KEY,
                                         make ? &request->cert_encryption_key : NULL, error);
    if (status == DOT2_OK)
        status = dot2_asn1_get_encryption_key(
            crypto, &asn1->response_encryption_key, RESPONSE_ENCRYPTION_KEY,
            make ? &request->response_encryption_key : NULL, error);
    if (status != DOT2_OK)
        scms_app_request_clear(request);
    return status;
}

enum dot2_status scms_app_request_parse(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                        struct scms_app_request *request, struct dot2_error *error)
{
    return read(crypto, pdu, true, request, error);
}

enum dot2_status scms_app_request_check(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                        struct scms_request_head *head, struct dot2_error *error)
{
    const EeRaAppCertProvisioningRequest_t *asn1 =
        &pdu->content.choice.ee_ra.choice.eeRaAppCertProvisioningRequest;
    struct scms_app_request request;
    enum dot2_status status = read(crypto, pdu, false, &request, error);

    if (status == DOT2_OK &&
        !dot2_asn1_verification_point(&asn1->verify_key, head->verify_point, &head->point_size))
        status = dot2_fail(error, DOT2_E_POINT, VERIFY_KEY, "not a whole point");
    head->requested_start_time = request.requested_start_time;
    return status;
}

void scms_app_request_clear(struct scms_app_request *request)
{
    EVP_PKEY_free(request->verify_key);
    EVP_PKEY_free(request->cert_encryption_key);
    EVP_PKEY_free(request->response_encryption_key);
    memset(request, 0, sizeof(*request));
}
