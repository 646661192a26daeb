/* signed_data.c: verifying SignedData (IEEE 1609.2 5.2.3, 6.3.9). */
#include <string.h>

#include <Ieee1609Dot2Data.h>
#include <SignedData.h>
#include <ToBeSignedData.h>

#include "protocol/dot2/internal.h"

/* What is signed, by whom, with what. */
struct parts {
    const SignedData_t *data;
    struct coer_span tbs;
};

static enum dot2_status read_parts(coer_arena *arena, const uint8_t *octets, size_t size,
                                   struct parts *parts, struct dot2_error *error)
{
    struct coer_error coer = {0};
    const Ieee1609Dot2Data_t *message = NULL;
    void *value = NULL;

    if (coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, octets, size, &value, &coer) != COER_OK)
        return dot2_fail_coer(error, &coer, 0);
    message = value;
    if (message->content == NULL || message->content->present != Ieee1609Dot2Content_PR_signedData)
        return dot2_fail(error, DOT2_E_MESSAGE, "Ieee1609Dot2Data.content", "is not signedData");
    parts->data = message->content->choice.signedData;
    if (!coer_span_of(&asn_DEF_ToBeSignedData, parts->data->tbsData, &parts->tbs))
        return dot2_fail(error, DOT2_E_DECODE, "SignedData.tbsData", "has no octets");
    return DOT2_OK;
}

/*
 * One certificate, or a digest that the trust has; a chain in the message is not followed, because
 * the SCMS profile of every message that we take has exactly one.
 */
static enum dot2_status find_signer(const dot2_trust *trust, const SignerIdentifier_t *signer,
                                    dot2_cert **cert, struct dot2_error *error)
{
    static const char field[] = "SignedData.signer";
    struct coer_span span = {0};

    if (signer->present == SignerIdentifier_PR_digest) {
        *cert = dot2_trust_find(trust, signer->choice.digest.buf);
        return *cert != NULL ? DOT2_OK
                             : dot2_fail(error, DOT2_E_SIGNER, field,
                                         "the certificate of this digest is not known");
    }
    if (signer->present != SignerIdentifier_PR_certificate ||
        signer->choice.certificate.list.count != 1 ||
        !coer_span_of(&asn_DEF_CertificateBase, signer->choice.certificate.list.array[0], &span))
        return dot2_fail(error, DOT2_E_SIGNER, field, "is neither a digest nor one certificate");
    return dot2_cert_new(dot2_trust_crypto(trust), span.data, span.size, cert, error);
}

static uint32_t seconds_of(const Time64_t *time64)
{
    uint64_t microseconds = 0;

    /* Beyond 64 bits, or beyond Time32, is later than any certificate. */
    if (!coer_integer_get(time64, &microseconds) || microseconds / 1000000 > UINT32_MAX)
        return UINT32_MAX;
    return (uint32_t)(microseconds / 1000000);
}

/* 5.2.3.2.2: the signer may use the PSID and was valid when it signed; the message is not over. */
static enum dot2_status check_relevance(const HeaderInfo_t *header, const dot2_cert *signer,
                                        const struct dot2_chain *chain, uint32_t now,
                                        struct dot2_error *error)
{
    const SequenceOfPsidSsp_t *permissions = signer->base->toBeSigned.appPermissions;
    bool found = false;

    for (int i = 0; permissions != NULL && i < permissions->list.count; i++)
        found = found || permissions->list.array[i]->psid == header->psid;
    if (!found)
        return dot2_fail(error, DOT2_E_PERMISSION, "SignedData.tbsData.headerInfo.psid",
                         "0x%lx is not in the signer's appPermissions",
                         (unsigned long)header->psid);
    if (header->generationTime != NULL) {
        uint32_t time = seconds_of(header->generationTime);

        if (time < chain->start)
            return dot2_fail(error, DOT2_E_NOT_YET_VALID,
                             "SignedData.tbsData.headerInfo.generationTime",
                             "is before the signer was valid");
        if (time > chain->end)
            return dot2_fail(error, DOT2_E_EXPIRED, "SignedData.tbsData.headerInfo.generationTime",
                             "is after the signer was valid");
    }
    if (header->expiryTime != NULL && seconds_of(header->expiryTime) < now)
        return dot2_fail(error, DOT2_E_EXPIRED, "SignedData.tbsData.headerInfo.expiryTime",
                         "has passed");
    return DOT2_OK;
}

enum dot2_status dot2_signed_data_verify(dot2_trust *trust, const uint8_t *octets, size_t size,
                                         const struct dot2_check *check, struct dot2_chain *chain,
                                         struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    enum dot2_status status = DOT2_OK;
    struct dot2_chain found = {0};
    struct parts parts = {0};
    dot2_cert *cert = NULL;

    if (chain != NULL)
        memset(chain, 0, sizeof(*chain));
    if (arena == NULL)
        return dot2_fail_memory(error);
    status = read_parts(arena, octets, size, &parts, error);
    if (status != DOT2_OK)
        goto out;
    status = find_signer(trust, &parts.data->signer, &cert, error);
    if (status != DOT2_OK)
        goto out;
    status = dot2_chain_verify(trust, cert, check, &found, error);
    if (status != DOT2_OK)
        goto out;
    if ((dot2_curve_hash_size(found.curve) == 48) != (parts.data->hashId == HashAlgorithm_sha384)) {
        status = dot2_fail(error, DOT2_E_SIGNATURE, "SignedData.hashId",
                           "is not the hash of the signer's key");
        goto out;
    }
    status = dot2_chain_verify_signature(dot2_trust_crypto(trust), &found, parts.tbs.data,
                                         parts.tbs.size, &parts.data->signature, error);
    if (status == DOT2_OK && !check->signature_only)
        status =
            check_relevance(&parts.data->tbsData->headerInfo, cert, &found, check->time, error);
    if (status == DOT2_OK && chain != NULL) {
        *chain = found;
        memset(&found, 0, sizeof(found));
    }
out:
    dot2_chain_clear(&found);
    dot2_cert_free(cert);
    coer_arena_free(arena);
    return status;
}
