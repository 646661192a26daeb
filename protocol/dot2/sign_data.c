/* sign_data.c: making SignedData (IEEE 1609.2 6.3.4), and reading its payload. */
#include <string.h>

#include <openssl/crypto.h>

#include <Ieee1609Dot2Data.h>
#include <SignedData.h>
#include <SignedDataPayload.h>
#include <ToBeSignedData.h>

#include "protocol/dot2/asn1_key.h"
#include "protocol/dot2/internal.h"

enum dot2_status dot2_asn1_embed(const dot2_cert *cert, CertificateBase_t *asn1, const char *field,
                                 struct dot2_error *error)
{
    uint8_t *octets = NULL;
    size_t size = 0;
    enum dot2_status status =
        dot2_asn1_encode(&asn_DEF_CertificateBase, cert->base, &octets, &size, error);

    if (status == DOT2_OK && (size != cert->size || memcmp(octets, cert->octets, size) != 0))
        status = dot2_fail(error, DOT2_E_ARGUMENT, field,
                           "a certificate of another edition, which would change");
    if (status == DOT2_OK)
        *asn1 = *cert->base;
    OPENSSL_free(octets);
    return status;
}

static enum dot2_status set_signer(coer_arena *arena, SignerIdentifier_t *signer,
                                   enum dot2_signer_form form, const dot2_cert *cert,
                                   struct dot2_error *error)
{
    CertificateBase_t *asn1 = NULL;
    enum dot2_status status = DOT2_OK;

    if (form == DOT2_SIGNER_DIGEST) {
        signer->present = SignerIdentifier_PR_digest;
        coer_octets_view(&signer->choice.digest, dot2_cert_hashedid8(cert), 8);
        return DOT2_OK;
    }
    signer->present = SignerIdentifier_PR_certificate;
    asn1 = coer_arena_alloc(arena, sizeof(*asn1));
    if (asn1 == NULL || !coer_list_add(arena, &signer->choice.certificate, asn1))
        return dot2_fail_memory(error);
    status = dot2_asn1_embed(cert, asn1, "SignedData.signer", error);
    return status;
}

static enum dot2_status sign(const dot2_crypto *crypto, coer_arena *arena, EVP_PKEY *key,
                             const dot2_cert *cert, SignedData_t *data, struct dot2_error *error)
{
    uint8_t *signature = coer_arena_alloc(arena, DOT2_SIGNATURE_MAX);
    uint8_t *tbs = NULL;
    size_t tbs_size = 0, size = 0;
    struct coer_error coer = {0};
    void *value = NULL;
    enum dot2_status status = DOT2_OK;

    if (signature == NULL)
        return dot2_fail_memory(error);
    status = dot2_asn1_encode(&asn_DEF_ToBeSignedData, data->tbsData, &tbs, &tbs_size, error);
    if (status == DOT2_OK)
        status = dot2_sign(crypto, key, tbs, tbs_size, cert->canonical, cert->canonical_size,
                           signature, &size, error);
    if (status != DOT2_OK)
        goto out;
    if (coer_decode(arena, &asn_DEF_Signature, signature, size, &value, &coer) != COER_OK) {
        status = dot2_fail_coer(error, &coer, 0);
        goto out;
    }
    data->signature = *(const Signature_t *)value;
out:
    OPENSSL_free(tbs);
    return status;
}

enum dot2_status dot2_signed_data_build(const dot2_crypto *crypto, EVP_PKEY *key,
                                        const dot2_cert *cert, enum dot2_signer_form form,
                                        const struct dot2_header *header, const uint8_t *payload,
                                        size_t payload_size, uint8_t **octets, size_t *size,
                                        struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    Ieee1609Dot2Content_t content = {0}, inner_content = {0};
    Ieee1609Dot2Data_t message = {.protocolVersion = 3, .content = &content};
    Ieee1609Dot2Data_t inner = {.protocolVersion = 3, .content = &inner_content};
    SignedDataPayload_t asn1_payload = {.data = &inner};
    ToBeSignedData_t tbs = {.payload = &asn1_payload};
    SignedData_t data = {.tbsData = &tbs};
    INTEGER_t time = {0};
    enum dot2_status status = DOT2_OK;

    *octets = NULL;
    *size = 0;
    if (arena == NULL || !coer_integer_set(arena, &time, header->generation_time)) {
        status = dot2_fail_memory(error);
        goto out;
    }
    status = dot2_cert_check_key(cert, key, "SignedData.signer", error);
    if (status != DOT2_OK)
        goto out;
    content.present = Ieee1609Dot2Content_PR_signedData;
    content.choice.signedData = &data;
    inner_content.present = Ieee1609Dot2Content_PR_unsecuredData;
    coer_octets_view(&inner_content.choice.unsecuredData, payload, payload_size);
    tbs.headerInfo.psid = (Psid_t)header->psid;
    if (header->has_generation_time)
        tbs.headerInfo.generationTime = &time;
    data.hashId = dot2_curve_hash_size(dot2_key_curve(key)) == 48 ? HashAlgorithm_sha384
                                                                  : HashAlgorithm_sha256;
    status = set_signer(arena, &data.signer, form, cert, error);
    if (status == DOT2_OK)
        status = sign(crypto, arena, key, cert, &data, error);
    if (status == DOT2_OK)
        status = dot2_asn1_encode(&asn_DEF_Ieee1609Dot2Data, &message, octets, size, error);
out:
    coer_arena_free(arena);
    return status;
}

static enum dot2_status read_payload(coer_arena *arena, const uint8_t *octets, size_t size,
                                     struct dot2_signed_payload *payload, struct dot2_error *error)
{
    static const char data_field[] = "Ieee1609Dot2Data.content.signedData.tbsData.payload";
    struct coer_error coer = {0};
    const Ieee1609Dot2Data_t *message = NULL;
    const SignedDataPayload_t *signed_payload = NULL;
    const SignedData_t *data = NULL;
    const HeaderInfo_t *header = NULL;
    const Opaque_t *inner = NULL;
    void *value = NULL;

    if (coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, octets, size, &value, &coer) != COER_OK)
        return dot2_fail_coer(error, &coer, 0);
    message = value;
    if (message->content->present != Ieee1609Dot2Content_PR_signedData)
        return dot2_fail_at(error, DOT2_E_MESSAGE, 1, "Ieee1609Dot2Data.content", "not signedData");
    data = message->content->choice.signedData;
    signed_payload = data->tbsData->payload;
    if (signed_payload->data == NULL || signed_payload->extDataHash != NULL ||
        signed_payload->data->content->present != Ieee1609Dot2Content_PR_unsecuredData)
        return dot2_fail(error, DOT2_E_MESSAGE, data_field, "not unsecuredData alone");
    inner = &signed_payload->data->content->choice.unsecuredData;
    payload->data = inner->buf;
    payload->size = (size_t)inner->size;
    header = &data->tbsData->headerInfo;
    payload->header.psid = (uint64_t)header->psid;
    payload->header.has_generation_time = header->generationTime != NULL;
    if (header->generationTime != NULL &&
        !coer_integer_get(header->generationTime, &payload->header.generation_time))
        return dot2_fail(error, DOT2_E_MESSAGE, "HeaderInfo.generationTime", "over 64 bits");
    payload->other_headers =
        header->expiryTime != NULL || header->generationLocation != NULL ||
        header->p2pcdLearningRequest != NULL || header->missingCrlIdentifier != NULL ||
        header->encryptionKey != NULL || header->inlineP2pcdRequest != NULL ||
        header->requestedCertificate != NULL || coer_extended(&asn_DEF_HeaderInfo, header);
    return DOT2_OK;
}

enum dot2_status dot2_signed_data_payload(const uint8_t *octets, size_t size,
                                          struct dot2_signed_payload *payload,
                                          struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    enum dot2_status status = DOT2_OK;

    memset(payload, 0, sizeof(*payload));
    status =
        arena == NULL ? dot2_fail_memory(error) : read_payload(arena, octets, size, payload, error);
    if (status != DOT2_OK)
        memset(payload, 0, sizeof(*payload));
    coer_arena_free(arena);
    return status;
}
