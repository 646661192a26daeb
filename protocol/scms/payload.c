/* payload.c: what SCMS messages stand in: a signedData under PSID 0x23, or an unsecuredData. */
#include <openssl/crypto.h>

#include <Ieee1609Dot2Data.h>

#include "protocol/scms/internal.h"

static enum dot2_status decode(coer_arena *arena, const asn_TYPE_descriptor_t *type,
                               const uint8_t *message, const uint8_t *octets, size_t size,
                               const void **value, struct dot2_error *error)
{
    struct coer_error coer = {0};
    void *decoded = NULL;

    if (coer_decode(arena, type, octets, size, &decoded, &coer) != COER_OK)
        return dot2_fail_coer(error, &coer, (size_t)(octets - message));
    *value = decoded;
    return DOT2_OK;
}

enum dot2_status scms_signed_payload(coer_arena *arena, const asn_TYPE_descriptor_t *type,
                                     const uint8_t *octets, size_t size, const void **value,
                                     struct dot2_error *error)
{
    struct dot2_signed_payload payload = {0};
    enum dot2_status status = dot2_signed_data_payload(octets, size, &payload, error);

    if (status != DOT2_OK)
        return status;
    if (payload.header.psid != SCMS_PSID || payload.header.has_generation_time ||
        payload.other_headers)
        return dot2_fail(error, DOT2_E_MESSAGE, "SignedData.tbsData.headerInfo",
                         "an SCMS message has psid 0x23 and nothing else");
    return decode(arena, type, octets, payload.data, payload.size, value, error);
}

enum dot2_status scms_unsecured_payload(coer_arena *arena, const asn_TYPE_descriptor_t *type,
                                        const uint8_t *octets, size_t size, const void **value,
                                        struct dot2_error *error)
{
    const Ieee1609Dot2Data_t *message = NULL;
    const Opaque_t *inner = NULL;
    enum dot2_status status =
        decode(arena, &asn_DEF_Ieee1609Dot2Data, octets, octets, size, value, error);

    if (status != DOT2_OK)
        return status;
    message = *value;
    if (message->content->present != Ieee1609Dot2Content_PR_unsecuredData)
        return dot2_fail_at(error, DOT2_E_MESSAGE, 1, "Ieee1609Dot2Data.content",
                            "not unsecuredData");
    inner = &message->content->choice.unsecuredData;
    return decode(arena, type, octets, inner->buf, (size_t)inner->size, value, error);
}

enum dot2_status scms_inner_cert(const dot2_crypto *crypto, const CertificateBase_t *asn1,
                                 const uint8_t *message, const char *field, dot2_cert **cert,
                                 struct dot2_error *error)
{
    struct coer_span span = {0};
    enum dot2_status status = DOT2_OK;

    *cert = NULL;
    if (!coer_span_of(&asn_DEF_CertificateBase, asn1, &span))
        return dot2_fail(error, DOT2_E_DECODE, field, "has no octets");
    status = dot2_cert_new(crypto, span.data, span.size, cert, error);
    if (status != DOT2_OK && error != NULL)
        error->offset += (size_t)(span.data - message);
    return status;
}

enum dot2_status scms_signed_build(const dot2_crypto *crypto, EVP_PKEY *key, const dot2_cert *cert,
                                   enum dot2_signer_form form, const asn_TYPE_descriptor_t *type,
                                   const void *value, uint8_t **octets, size_t *size,
                                   struct dot2_error *error)
{
    static const struct dot2_header header = {.psid = SCMS_PSID};
    uint8_t *payload = NULL;
    size_t payload_size = 0;
    enum dot2_status status = dot2_asn1_encode(type, value, &payload, &payload_size, error);

    *octets = NULL;
    *size = 0;
    if (status == DOT2_OK)
        status = dot2_signed_data_build(crypto, key, cert, form, &header, payload, payload_size,
                                        octets, size, error);
    OPENSSL_free(payload);
    return status;
}
