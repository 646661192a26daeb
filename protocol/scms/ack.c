/*
 * ack.c: Signed{Pseudonym,Id,App}CertProvisioningAck: signedData under PSID 0x23 with nothing else
 * in its header, around a ScmsPDU (SCMS 1.2.2).
 */
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/scms/internal.h"

static const struct {
    enum scms_provision kind;
    EndEntityRaInterfacePDU_PR alternative;
} kinds[] = {
    {SCMS_PROVISION_PSEUDONYM, EndEntityRaInterfacePDU_PR_raEePseudonymCertProvisioningAck},
    {SCMS_PROVISION_ID, EndEntityRaInterfacePDU_PR_raEeIdCertProvisioningAck},
    {SCMS_PROVISION_APP, EndEntityRaInterfacePDU_PR_raEeAppCertProvisioningAck},
};

enum dot2_status scms_ack_build(const dot2_crypto *crypto, EVP_PKEY *key, const dot2_cert *ra,
                                const struct scms_ack *ack, uint8_t **octets, size_t *size,
                                struct dot2_error *error)
{
    ScmsPDU_t pdu = {.version = 1};
    EndEntityRaInterfacePDU_t *interface = &pdu.content.choice.ee_ra;
    /* The three alternatives are of one type. */
    RaEePseudonymCertProvisioningAck_t *asn1 = &interface->choice.raEePseudonymCertProvisioningAck;

    *octets = NULL;
    *size = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].kind == ack->kind)
            interface->present = kinds[i].alternative;
    }
    if (interface->present == EndEntityRaInterfacePDU_PR_NOTHING)
        return dot2_fail(error, DOT2_E_ARGUMENT, "EndEntityRaInterfacePDU", "not a kind of ack");
    pdu.content.present = ScmsPDUContent_PR_ee_ra;
    asn1->version = 1;
    coer_octets_view(&asn1->requestHash, ack->request_hash, sizeof(ack->request_hash));
    asn1->reply.present = PseudonymCertProvisioningReply_PR_ack;
    asn1->reply.choice.ack.certDLTime = ack->download_time;
    coer_octets_view(&asn1->reply.choice.ack.certDLURL, ack->url, strlen(ack->url));
    return scms_signed_build(crypto, key, ra, DOT2_SIGNER_DIGEST, &asn_DEF_ScmsPDU, &pdu, octets,
                             size, error);
}

static enum dot2_status read_ack(const ScmsPDU_t *pdu, struct scms_ack *ack,
                                 struct dot2_error *error)
{
    const EndEntityRaInterfacePDU_t *interface = &pdu->content.choice.ee_ra;
    const RaEePseudonymCertProvisioningAck_t *asn1 =
        &interface->choice.raEePseudonymCertProvisioningAck;
    const PseudonymCertProvisioningAck_t *reply = &asn1->reply.choice.ack;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (pdu->content.present == ScmsPDUContent_PR_ee_ra &&
            interface->present == kinds[i].alternative)
            ack->kind = kinds[i].kind;
    }
    if (ack->kind == 0 || pdu->version != 1 || asn1->version != 1)
        return dot2_fail(error, DOT2_E_MESSAGE, "ScmsPDU.content",
                         "not a provisioning ack of version 1");
    memcpy(ack->request_hash, asn1->requestHash.buf, sizeof(ack->request_hash));
    ack->download_time = (uint32_t)reply->certDLTime;
    /* Hostname is 0 to 255 octets; a NUL within would make another URL of it. */
    if (reply->certDLURL.size < 0 || (size_t)reply->certDLURL.size >= sizeof(ack->url) ||
        memchr(reply->certDLURL.buf, 0, (size_t)reply->certDLURL.size) != NULL)
        return dot2_fail(error, DOT2_E_MESSAGE, "PseudonymCertProvisioningAck.certDLURL",
                         "not a URL");
    memcpy(ack->url, reply->certDLURL.buf, (size_t)reply->certDLURL.size);
    ack->url[reply->certDLURL.size] = '\0';
    return DOT2_OK;
}

static enum dot2_status parse(const uint8_t *octets, size_t size, struct scms_ack *ack,
                              struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    const void *pdu = NULL;
    enum dot2_status status =
        arena == NULL ? dot2_fail_memory(error)
                      : scms_signed_payload(arena, &asn_DEF_ScmsPDU, octets, size, &pdu, error);

    if (status == DOT2_OK)
        status = read_ack(pdu, ack, error);
    coer_arena_free(arena);
    return status;
}

enum dot2_status scms_ack_open(dot2_trust *trust, const dot2_cert *ra, uint32_t time32,
                               const uint8_t *octets, size_t size, struct scms_ack *ack,
                               struct dot2_error *error)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = time32};
    struct dot2_chain chain = {0};
    enum dot2_status status = DOT2_OK;

    memset(ack, 0, sizeof(*ack));
    status = parse(octets, size, ack, error);
    if (status == DOT2_OK)
        status = dot2_signed_data_verify(trust, octets, size, &check, &chain, error);
    /* Any SCMS component may sign under this PSID; the ack is the RA's alone. */
    if (status == DOT2_OK &&
        memcmp(dot2_cert_hashedid8(chain.certs[0]), dot2_cert_hashedid8(ra), 8) != 0)
        status = dot2_fail(error, DOT2_E_SIGNER, "SignedData.signer", "not this RA");
    dot2_chain_clear(&chain);
    if (status != DOT2_OK)
        memset(ack, 0, sizeof(*ack));
    return status;
}
