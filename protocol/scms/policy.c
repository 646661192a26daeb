/* policy.c: the local policy file (protocol.md 2.8): who vouches for it, and what holds when. */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/scms/scms.h"

#include "asn1/types.h"

static enum dot2_status fail(struct dot2_error *error, enum dot2_status status, const char *field,
                             const char *detail)
{
    if (error == NULL)
        return status;
    memset(error, 0, sizeof(*error));
    error->status = status;
    snprintf(error->field, sizeof(error->field), "%s", field);
    snprintf(error->detail, sizeof(error->detail), "%s", detail);
    return status;
}

/* A SignedLocalPolicyFile is an Ieee1609Dot2Data, whose first octet is 3; a ScmsFile's is 1. */
static enum dot2_status unwrap(const uint8_t *octets, size_t size, const uint8_t **file,
                               size_t *file_size, bool *is_signed, struct dot2_error *error)
{
    struct dot2_signed_payload payload;
    enum dot2_status status = DOT2_OK;

    *file = octets;
    *file_size = size;
    *is_signed = size > 0 && octets[0] == 3;
    if (!*is_signed)
        return DOT2_OK;
    status = dot2_signed_data_payload(octets, size, &payload, error);
    if (status != DOT2_OK)
        return status;
    if (payload.header.psid != SCMS_PSID)
        return fail(error, DOT2_E_MESSAGE, "SignedData.tbsData.headerInfo.psid",
                    "is not that of the SCMS, 0x23");
    *file = payload.data;
    *file_size = payload.size;
    return DOT2_OK;
}

static enum dot2_status decode(coer_arena *arena, const uint8_t *octets, size_t size,
                               const LocalPolicyFile_t **local, struct dot2_error *error)
{
    struct coer_error coer = {0};
    const ScmsFile_t *file = NULL;
    void *value = NULL;

    if (arena == NULL)
        return fail(error, DOT2_E_MEMORY, "", "");
    if (coer_decode(arena, &asn_DEF_ScmsFile, octets, size, &value, &coer) != COER_OK) {
        char line[COER_PATH_SIZE + 160];

        return fail(error, coer.status == COER_E_MEMORY ? DOT2_E_MEMORY : DOT2_E_DECODE, "ScmsFile",
                    coer_error_format(&coer, line, sizeof(line)));
    }
    file = value;
    if (file->content.present != ScmsFileContent_PR_policy ||
        file->content.choice.policy.present != PolicyFiles_PR_localPolicyFile)
        return fail(error, DOT2_E_MESSAGE, "ScmsFile.content", "is not a local policy file");
    *local = &file->content.choice.policy.choice.localPolicyFile;
    if ((*local)->globalParameters.tbsData.policy.present != Policy_PR_custom ||
        (*local)->localParamters.tbsData.policy.present != Policy_PR_local)
        return fail(error, DOT2_E_MESSAGE, "LocalPolicyFile",
                    "is not a custom policy and a local one");
    return DOT2_OK;
}

/* ---- values ---- */

static bool has_begun(const Time64_t *start, uint64_t now)
{
    uint64_t time = 0;

    return coer_integer_get(start, &time) && time <= now;
}

/* 0 for less than a second; what 32 bits do not hold is as long as they can say. */
static uint32_t seconds(const Duration_t *duration)
{
    switch (duration->present) {
    case Duration_PR_seconds:
        return (uint32_t)duration->choice.seconds;
    case Duration_PR_minutes:
        return (uint32_t)duration->choice.minutes * 60;
    case Duration_PR_hours:
        return (uint32_t)duration->choice.hours * 3600;
    case Duration_PR_sixtyHours:
        return duration->choice.sixtyHours > UINT32_MAX / 216000
                   ? UINT32_MAX
                   : (uint32_t)duration->choice.sixtyHours * 216000;
    case Duration_PR_years:
        return duration->choice.years > 136 ? UINT32_MAX
                                            : (uint32_t)duration->choice.years * 31556952;
    default:
        return 0;
    }
}

/*
 * The value of a temporal series: that of the interval which began last, else the initial one. The
 * types differ in nothing but their names.
 */
#define SERIES(series, initial, member, convert, now, result)                                      \
    do {                                                                                           \
        uint64_t latest = 0, begins = 0;                                                           \
                                                                                                   \
        (result) = convert((series)->initial);                                                     \
        for (int i = 0; i < (series)->intervals.list.count; i++) {                                 \
            if (!has_begun(&(series)->intervals.list.array[i]->startTime, now) ||                  \
                !coer_integer_get(&(series)->intervals.list.array[i]->startTime, &begins) ||       \
                begins < latest)                                                                   \
                continue;                                                                          \
            latest = begins;                                                                       \
            (result) = convert((series)->intervals.list.array[i]->member);                         \
        }                                                                                          \
    } while (0)
#define DURATION(value) seconds(&(value))

static uint32_t version_of(const TemporalSeriesOfScmsVersion_t *series, uint64_t now)
{
    uint64_t latest = 0, begins = 0;
    uint32_t version =
        series->initialScmsVersion != NULL ? (uint32_t)*series->initialScmsVersion : 1;

    for (int i = 0; i < series->intervals.list.count; i++) {
        if (!coer_integer_get(&series->intervals.list.array[i]->startTime, &begins) ||
            begins > now || begins < latest)
            continue;
        latest = begins;
        version = (uint32_t)series->intervals.list.array[i]->scmsVersion;
    }
    return version;
}

static void take_values(const GlobalPolicyData_t *data, uint64_t now, struct scms_policy *policy)
{
    const TemporalSeriesOfRseApplicationCertValidity_t *validity =
        data->temporalSeriesOfRseApplicationCertValidity;
    const TemporalSeriesOfRseApplicationCertOVerlap_t *overlap =
        data->temporalSeriesOfRseApplicationCertOVerlap;
    const TemporalSeriesOfMaxGpfGccfRetrievalInterval_t *interval =
        data->temporalSeriesOfMaxGpfGccfRetrievalInterval;
    const TemporalSeriesOfMaxCertRequestAge_t *age = data->temporalSeriesOfMaxCertRequestAge;
    const TemporalSeriesOfMaxAvailableCertSupply_t *supply =
        data->temporalSeriesOfMaxAvailableCertSupply;

    policy->scms_version = data->temporalSeriesOfScmsVersion == NULL
                               ? 1
                               : version_of(data->temporalSeriesOfScmsVersion, now);
    if (validity != NULL)
        SERIES(validity, initialRseApplicationCertValidity, rseApplicationCertValidity, DURATION,
               now, policy->rse_validity);
    if (overlap != NULL)
        SERIES(overlap, initialRseApplicationCertOverlap, rseApplicationCertOverlap, DURATION, now,
               policy->rse_overlap);
    if (interval != NULL)
        SERIES(interval, initialMaxGpfGccfRetrievalInterval, maxGpfGccfRetrievalInterval, DURATION,
               now, policy->retrieval_interval);
    if (age != NULL)
        SERIES(age, initialMaxCertRequestAge, maxCertRequestAge, DURATION, now,
               policy->max_request_age);
    if (supply != NULL)
        SERIES(supply, initialMaxAvailableCertSupply, maxAvailableCertSupply, DURATION, now,
               policy->max_supply);
}

enum dot2_status scms_policy_read(const uint8_t *octets, size_t size, uint64_t now,
                                  struct scms_policy *policy, struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    const LocalPolicyFile_t *local = NULL;
    const CustomPolicyData_t *custom = NULL;
    const uint8_t *file = NULL;
    size_t file_size = 0;
    enum dot2_status status;

    memset(policy, 0, sizeof(*policy));
    status = unwrap(octets, size, &file, &file_size, &policy->is_signed, error);
    if (status == DOT2_OK)
        status = decode(arena, file, file_size, &local, error);
    if (status != DOT2_OK)
        goto out;
    custom = &local->globalParameters.tbsData.policy.choice.custom;
    if (!coer_integer_get(&local->globalParameters.tbsData.generationTime,
                          &policy->global_generation) ||
        !coer_integer_get(&local->localParamters.tbsData.generationTime,
                          &policy->local_generation)) {
        status = fail(error, DOT2_E_TIME, "ToBeSignedPolicyData.generationTime", "is no Time64");
        goto out;
    }
    if (custom->requestingRaHostname != NULL) {
        policy->has_host = true;
        snprintf(policy->ra_host, sizeof(policy->ra_host), "%.*s",
                 (int)custom->requestingRaHostname->size,
                 (const char *)custom->requestingRaHostname->buf);
    }
    take_values(&custom->globalPolicy, now, policy);
out:
    coer_arena_free(arena);
    return status;
}

/* ---- who vouches ---- */

static enum dot2_status verify_by(dot2_trust *trust, const dot2_cert *signer, uint32_t now,
                                  const uint8_t *octets, size_t size, struct dot2_error *error)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = now};
    struct dot2_chain chain = {.key = NULL};
    size_t a = 0, b = 0;
    const uint8_t *x, *y;
    enum dot2_status status = dot2_signed_data_verify(trust, octets, size, &check, &chain, error);

    if (status != DOT2_OK)
        return status;
    x = dot2_cert_canonical(chain.certs[0], &a);
    y = dot2_cert_canonical(signer, &b);
    if (a != b || memcmp(x, y, a) != 0)
        status = fail(error, DOT2_E_SIGNER, "SignedData.signer", "is not the policy's signer");
    dot2_chain_clear(&chain);
    return status;
}

static enum dot2_status verify_base(const dot2_crypto *crypto, dot2_trust *trust,
                                    const dot2_cert *signer, uint32_t now,
                                    const BasePolicyFile_t *base, struct dot2_error *error)
{
    struct coer_span tbs = {0}, span = {0};
    uint8_t hash[48];
    enum dot2_status status = DOT2_E_SIGNATURE;

    if (!coer_span_of(&asn_DEF_ToBeSignedPolicyData, &base->tbsData, &tbs) ||
        dot2_hash(crypto, DOT2_CURVE_P256, tbs.data, tbs.size, hash) != DOT2_OK)
        return fail(error, DOT2_E_CRYPTO, "BasePolicyFile.tbsData", "cannot be hashed");
    for (int i = 0; i < base->signatures.list.count; i++) {
        const Ieee1609Dot2Data_t *data = base->signatures.list.array[i];
        const struct SignedDataPayload *payload = NULL;

        if (data->content == NULL || data->content->present != Ieee1609Dot2Content_PR_signedData ||
            !coer_span_of(&asn_DEF_Ieee1609Dot2Data, data, &span))
            continue;
        payload = data->content->choice.signedData->tbsData->payload;
        if (data->content->choice.signedData->tbsData->headerInfo.psid != SCMS_PSID ||
            payload->data != NULL || payload->extDataHash == NULL ||
            payload->extDataHash->present != HashedData_PR_sha256HashedData ||
            payload->extDataHash->choice.sha256HashedData.size != 32 ||
            memcmp(payload->extDataHash->choice.sha256HashedData.buf, hash, 32) != 0) {
            status = fail(error, DOT2_E_SIGNATURE, "Countersignature.extDataHash",
                          "is not that of the policy");
            continue;
        }
        status = verify_by(trust, signer, now, span.data, span.size, error);
        if (status == DOT2_OK)
            return DOT2_OK;
    }
    return status;
}

enum dot2_status scms_policy_verify(const dot2_crypto *crypto, dot2_trust *trust,
                                    const dot2_cert *signer, uint32_t now, const uint8_t *octets,
                                    size_t size, struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    const LocalPolicyFile_t *local = NULL;
    const uint8_t *file = NULL;
    size_t file_size = 0;
    bool is_signed = false;
    enum dot2_status status = unwrap(octets, size, &file, &file_size, &is_signed, error);

    if (status == DOT2_OK && is_signed)
        status = verify_by(trust, signer, now, octets, size, error);
    else if (status == DOT2_OK)
        status = decode(arena, file, file_size, &local, error);
    if (status == DOT2_OK && !is_signed)
        status = verify_base(crypto, trust, signer, now, &local->globalParameters, error);
    if (status == DOT2_OK && !is_signed)
        status = verify_base(crypto, trust, signer, now, &local->localParamters, error);
    coer_arena_free(arena);
    return status;
}
