/*
 * ra_cert.c: SecuredRACertRequest and its answer. The request is neither encrypted nor signed, its
 * name notwithstanding. The answer is a bare certificate; the type of release 1.2.2 with the
 * composite CRL, which the page of the service does not have, is read too.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/scms/internal.h"

/* unsecuredData of ScmsPDU.ee-ra.eeRaCertRequest, version 1. */
static const uint8_t request_octets[] = {0x03, 0x80, 0x05, 0x01, 0x83, 0x80, 0x00, 0x01};

const uint8_t *scms_ra_cert_request(size_t *size)
{
    *size = sizeof(request_octets);
    return request_octets;
}

static enum dot2_status read_unsecured(coer_arena *arena, const uint8_t *octets, size_t size,
                                       const ScmsPDU_t **pdu, struct dot2_error *error)
{
    const void *value = NULL;
    enum dot2_status status =
        scms_unsecured_payload(arena, &asn_DEF_ScmsPDU, octets, size, &value, error);

    if (status == DOT2_OK)
        *pdu = value;
    return status;
}

/* An extended request of a later edition has the same meaning, so the octets are not compared. */
enum dot2_status scms_ra_cert_request_parse(const uint8_t *octets, size_t size,
                                            struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    const ScmsPDU_t *pdu = NULL;
    enum dot2_status status =
        arena == NULL ? dot2_fail_memory(error) : read_unsecured(arena, octets, size, &pdu, error);

    if (status == DOT2_OK &&
        (pdu->version != 1 || pdu->content.present != ScmsPDUContent_PR_ee_ra ||
         pdu->content.choice.ee_ra.present != EndEntityRaInterfacePDU_PR_eeRaCertRequest ||
         pdu->content.choice.ee_ra.choice.eeRaCertRequest.version != 1))
        status = dot2_fail(error, DOT2_E_MESSAGE, "ScmsPDU.content",
                           "not an EeRaCertRequestMsg of version 1");
    coer_arena_free(arena);
    return status;
}

static enum dot2_status read_response(const dot2_crypto *crypto, coer_arena *arena,
                                      const uint8_t *octets, size_t size, dot2_cert **cert,
                                      struct dot2_error *error)
{
    const ScmsPDU_t *pdu = NULL;
    const RaEeCertResponseMsg_t *message = NULL;
    enum dot2_status status = read_unsecured(arena, octets, size, &pdu, error);

    if (status != DOT2_OK)
        return status;
    message = &pdu->content.choice.ee_ra.choice.raEeCertResponse;
    if (pdu->version != 1 || pdu->content.present != ScmsPDUContent_PR_ee_ra ||
        pdu->content.choice.ee_ra.present != EndEntityRaInterfacePDU_PR_raEeCertResponse ||
        message->version != 1 || message->reply.present != RaEeCertResponseReply_PR_ack)
        return dot2_fail(error, DOT2_E_MESSAGE, "ScmsPDU.content",
                         "not a RaEeCertResponseMsg of version 1");
    return scms_inner_cert(crypto, &message->reply.choice.ack.raCertificate, octets,
                           "RaEeCertResponseAck.raCertificate", cert, error);
}

enum dot2_status scms_ra_cert_response_parse(const dot2_crypto *crypto, const uint8_t *octets,
                                             size_t size, dot2_cert **cert,
                                             struct dot2_error *error)
{
    coer_arena *arena = NULL;
    enum dot2_status status = DOT2_OK;

    *cert = NULL;
    /* An RA's certificate is explicit: 80 03. An Ieee1609Dot2Data starts with its version, 03. */
    if (scms_form_of(octets, size) != SCMS_FORM_UNSECURED) {
        status = dot2_cert_new(crypto, octets, size, cert, error);
    } else {
        arena = coer_arena_new();
        status = arena == NULL ? dot2_fail_memory(error)
                               : read_response(crypto, arena, octets, size, cert, error);
        coer_arena_free(arena);
    }
    if (status == DOT2_OK &&
        (dot2_cert_is_implicit(*cert) || dot2_cert_asn1(*cert)->toBeSigned.encryptionKey == NULL)) {
        dot2_cert_free(*cert);
        *cert = NULL;
        status = dot2_fail(error, DOT2_E_TYPE, "Certificate",
                           "an RA's is explicit and has an encryption key");
    }
    return status;
}
