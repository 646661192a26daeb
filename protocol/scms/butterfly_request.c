/*
 * butterfly_request.c: EeRaPseudonymCertProvisioningRequest and EeRaIdCertProvisioningRequest,
 * alternatives 2 and 4 of EndEntityRaInterfacePDU. Their seed keys are on P-256: the type has the
 * point alone.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/asn1_key.h"
#include "protocol/scms/scms.h"

#define VERIFY "verify-key-info.seed-key"
#define CERT_ENCRYPTION "cert-enc-key-info.seed-key"
#define RESPONSE_ENCRYPTION "resp-enc-key-info.seed-key"

static enum dot2_status set(coer_arena *arena, UnsignedButterflyParams_t *asn1,
                            const struct scms_butterfly_params *params, const char *field,
                            struct dot2_error *error)
{
    uint8_t point[49];
    size_t size = 0;

    if (dot2_key_curve(params->seed_key) != DOT2_CURVE_P256)
        return dot2_fail(error, DOT2_E_ALGORITHM, field, "a seed key is on P-256, not on %s",
                         dot2_curve_name(dot2_key_curve(params->seed_key)));
    if (dot2_public_point(params->seed_key, point, &size) != DOT2_OK)
        return dot2_fail(error, DOT2_E_CRYPTO, field, "the key gives no public point");
    coer_octets_view(&asn1->expansion, params->expansion, sizeof(params->expansion));
    return dot2_asn1_set_point(arena, &asn1->seed_key, point) ? DOT2_OK : dot2_fail_memory(error);
}

/* With make, the key is made; without, it is checked to be one. */
static enum dot2_status get(const dot2_crypto *crypto, const UnsignedButterflyParams_t *asn1,
                            bool make, struct scms_butterfly_params *params, const char *field,
                            struct dot2_error *error)
{
    memcpy(params->expansion, asn1->expansion.buf, sizeof(params->expansion));
    return dot2_asn1_get_point(crypto, DOT2_CURVE_P256, &asn1->seed_key, field,
                               make ? &params->seed_key : NULL, error);
}

static enum dot2_status build_id(coer_arena *arena, EndEntityRaInterfacePDU_t *interface,
                                 const struct scms_butterfly_request *request,
                                 struct dot2_error *error)
{
    EeRaIdCertProvisioningRequest_t *asn1 = &interface->choice.eeRaIdCertProvisioningRequest;
    enum dot2_status status = DOT2_OK;

    interface->present = EndEntityRaInterfacePDU_PR_eeRaIdCertProvisioningRequest;
    asn1->version = 1;
    asn1->common.current_time = request->current_time;
    asn1->common.requested_start_time = request->requested_start_time;
    status = set(arena, &asn1->verify_key_info, &request->verify, VERIFY, error);
    if (status == DOT2_OK && request->cert_encryption.seed_key != NULL) {
        asn1->cert_enc_key_info = coer_arena_alloc(arena, sizeof(*asn1->cert_enc_key_info));
        status = asn1->cert_enc_key_info == NULL
                     ? dot2_fail_memory(error)
                     : set(arena, asn1->cert_enc_key_info, &request->cert_encryption,
                           CERT_ENCRYPTION, error);
    }
    if (status == DOT2_OK)
        status = set(arena, &asn1->resp_enc_key_info, &request->response_encryption,
                     RESPONSE_ENCRYPTION, error);
    return status;
}

static enum dot2_status build_pseudonym(coer_arena *arena, EndEntityRaInterfacePDU_t *interface,
                                        const struct scms_butterfly_request *request,
                                        struct dot2_error *error)
{
    EeRaPseudonymCertProvisioningRequest_t *asn1 =
        &interface->choice.eeRaPseudonymCertProvisioningRequest;
    enum dot2_status status = DOT2_OK;

    if (request->cert_encryption.seed_key != NULL)
        return dot2_fail(error, DOT2_E_ARGUMENT, "cert-enc-key-info",
                         "only a request for identification certificates has it");
    interface->present = EndEntityRaInterfacePDU_PR_eeRaPseudonymCertProvisioningRequest;
    asn1->version = 1;
    asn1->common.current_time = request->current_time;
    asn1->common.requested_start_time = request->requested_start_time;
    status = set(arena, &asn1->verify_key_info, &request->verify, VERIFY, error);
    if (status == DOT2_OK)
        status = set(arena, &asn1->resp_enc_key_info, &request->response_encryption,
                     RESPONSE_ENCRYPTION, error);
    return status;
}

enum dot2_status scms_butterfly_request_build(const struct scms_butterfly_request *request,
                                              uint8_t **octets, size_t *size,
                                              struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    ScmsPDU_t pdu = {.version = 1};
    enum dot2_status status = DOT2_OK;

    *octets = NULL;
    *size = 0;
    if (arena == NULL)
        return dot2_fail_memory(error);
    pdu.content.present = ScmsPDUContent_PR_ee_ra;
    if (request->kind == SCMS_PROVISION_ID)
        status = build_id(arena, &pdu.content.choice.ee_ra, request, error);
    else if (request->kind == SCMS_PROVISION_PSEUDONYM)
        status = build_pseudonym(arena, &pdu.content.choice.ee_ra, request, error);
    else
        status = dot2_fail(error, DOT2_E_ARGUMENT, "EndEntityRaInterfacePDU",
                           "not a kind of request with butterfly parameters");
    if (status == DOT2_OK)
        status = dot2_asn1_encode(&asn_DEF_ScmsPDU, &pdu, octets, size, error);
    coer_arena_free(arena);
    return status;
}

static enum dot2_status parse_id(const dot2_crypto *crypto,
                                 const EeRaIdCertProvisioningRequest_t *asn1, bool make,
                                 struct scms_butterfly_request *request, struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;

    request->kind = SCMS_PROVISION_ID;
    request->current_time = (uint32_t)asn1->common.current_time;
    request->requested_start_time = (uint32_t)asn1->common.requested_start_time;
    status = get(crypto, &asn1->verify_key_info, make, &request->verify, VERIFY, error);
    if (status == DOT2_OK && asn1->cert_enc_key_info != NULL)
        status = get(crypto, asn1->cert_enc_key_info, make, &request->cert_encryption,
                     CERT_ENCRYPTION, error);
    if (status == DOT2_OK)
        status = get(crypto, &asn1->resp_enc_key_info, make, &request->response_encryption,
                     RESPONSE_ENCRYPTION, error);
    return status;
}

static enum dot2_status parse_pseudonym(const dot2_crypto *crypto,
                                        const EeRaPseudonymCertProvisioningRequest_t *asn1,
                                        bool make, struct scms_butterfly_request *request,
                                        struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;

    request->kind = SCMS_PROVISION_PSEUDONYM;
    request->current_time = (uint32_t)asn1->common.current_time;
    request->requested_start_time = (uint32_t)asn1->common.requested_start_time;
    status = get(crypto, &asn1->verify_key_info, make, &request->verify, VERIFY, error);
    if (status == DOT2_OK)
        status = get(crypto, &asn1->resp_enc_key_info, make, &request->response_encryption,
                     RESPONSE_ENCRYPTION, error);
    return status;
}

static enum dot2_status read(const dot2_crypto *crypto, const ScmsPDU_t *pdu, bool make,
                             struct scms_butterfly_request *request, struct dot2_error *error)
{
    const EndEntityRaInterfacePDU_t *interface = &pdu->content.choice.ee_ra;
    EndEntityRaInterfacePDU_PR kind =
        pdu->version == 1 && pdu->content.present == ScmsPDUContent_PR_ee_ra
            ? interface->present
            : EndEntityRaInterfacePDU_PR_NOTHING;
    enum dot2_status status = DOT2_OK;

    memset(request, 0, sizeof(*request));
    if (kind == EndEntityRaInterfacePDU_PR_eeRaIdCertProvisioningRequest)
        status = parse_id(crypto, &interface->choice.eeRaIdCertProvisioningRequest, make, request,
                          error);
    else if (kind == EndEntityRaInterfacePDU_PR_eeRaPseudonymCertProvisioningRequest)
        status = parse_pseudonym(crypto, &interface->choice.eeRaPseudonymCertProvisioningRequest,
                                 make, request, error);
    else
        status = dot2_fail(error, DOT2_E_MESSAGE, "ScmsPDU.content",
                           "not a request for pseudonym or identification certificates");
    if (status != DOT2_OK)
        scms_butterfly_request_clear(request);
    return status;
}

enum dot2_status scms_butterfly_request_parse(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                              struct scms_butterfly_request *request,
                                              struct dot2_error *error)
{
    return read(crypto, pdu, true, request, error);
}

enum dot2_status scms_butterfly_request_check(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                              struct scms_request_head *head,
                                              struct dot2_error *error)
{
    const EndEntityRaInterfacePDU_t *interface = &pdu->content.choice.ee_ra;
    struct scms_butterfly_request request;
    enum dot2_status status = read(crypto, pdu, false, &request, error);
    PublicVerificationKey_t key = {.present = PublicVerificationKey_PR_ecdsaNistP256};

    head->requested_start_time = request.requested_start_time;
    if (status == DOT2_OK) {
        key.choice.ecdsaNistP256 =
            request.kind == SCMS_PROVISION_ID
                ? interface->choice.eeRaIdCertProvisioningRequest.verify_key_info.seed_key
                : interface->choice.eeRaPseudonymCertProvisioningRequest.verify_key_info.seed_key;
        if (!dot2_asn1_verification_point(&key, head->verify_point, &head->point_size))
            status = dot2_fail(error, DOT2_E_POINT, VERIFY, "not a whole point");
    }
    scms_butterfly_request_clear(&request);
    return status;
}

void scms_butterfly_request_clear(struct scms_butterfly_request *request)
{
    EVP_PKEY_free(request->verify.seed_key);
    EVP_PKEY_free(request->cert_encryption.seed_key);
    EVP_PKEY_free(request->response_encryption.seed_key);
    /* Who knows the expansions can tell which certificates are one device's. */
    OPENSSL_cleanse(request, sizeof(*request));
}
