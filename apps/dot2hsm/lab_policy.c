/*
 * The local policy file of a lab: a few of the policies of the SCMS, countersigned by the lab's
 * policy generator.
 */
#include <stdlib.h>
#include <string.h>

#include "apps/dot2hsm/lab.h"
#include "apps/dot2hsm/support.h"

#include "asn1/types.h"

#define PSID_SECURITY_MANAGEMENT 0x23

/* Encodes; says what went wrong. *octets is free'd by the caller. */
static bool encode(const asn_TYPE_descriptor_t *type, const void *value, uint8_t **octets,
                   size_t *size)
{
    struct coer_error error = {0};
    char line[COER_PATH_SIZE + 160];

    if (coer_encode_alloc(type, value, octets, size, &error) == COER_OK)
        return true;
    app_error("policy file: %s", coer_error_format(&error, line, sizeof(line)));
    return false;
}

/* extDataHash of what is countersigned, and the time; nothing else. */
static struct ToBeSignedData *to_be_signed(const struct lab *lab, const uint8_t hash[32],
                                           uint64_t time64)
{
    struct ToBeSignedData *tbs = coer_arena_alloc(lab->arena, sizeof(*tbs));
    struct SignedDataPayload *payload = coer_arena_alloc(lab->arena, sizeof(*payload));
    struct HashedData *hashed = coer_arena_alloc(lab->arena, sizeof(*hashed));
    Time64_t *generation = coer_arena_alloc(lab->arena, sizeof(*generation));

    if (tbs == NULL || payload == NULL || hashed == NULL || generation == NULL ||
        !coer_integer_set(lab->arena, generation, time64))
        return NULL;
    hashed->present = HashedData_PR_sha256HashedData;
    if (!coer_octets(lab->arena, &hashed->choice.sha256HashedData, hash, 32))
        return NULL;
    payload->extDataHash = hashed;
    tbs->payload = payload;
    tbs->headerInfo.psid = PSID_SECURITY_MANAGEMENT;
    tbs->headerInfo.generationTime = generation;
    return tbs;
}

/* The policy generator's signature over a ToBeSignedData, decoded into the arena. */
static const Signature_t *sign(const struct lab *lab, const struct ToBeSignedData *tbs)
{
    struct dot2_error error = {0};
    uint8_t signature[DOT2_SIGNATURE_MAX], *octets = NULL, *copy;
    const uint8_t *signer;
    size_t size = 0, signature_size = 0, signer_size = 0;
    void *decoded = NULL;

    if (!encode(&asn_DEF_ToBeSignedData, tbs, &octets, &size))
        return NULL;
    signer = dot2_cert_canonical(lab->certs[LAB_PG], &signer_size);
    if (dot2_sign(lab->crypto, lab->keys[LAB_PG].key, octets, size, signer, signer_size, signature,
                  &signature_size, &error) != DOT2_OK) {
        command_error("policy file", &error);
        goto out;
    }
    /* The decoded value points into its octets. */
    copy = coer_arena_alloc(lab->arena, signature_size);
    if (copy == NULL)
        goto out;
    memcpy(copy, signature, signature_size);
    if (coer_decode(lab->arena, &asn_DEF_Signature, copy, signature_size, &decoded, NULL) !=
        COER_OK)
        app_error("policy file: the signature cannot be read");
out:
    free(octets);
    return decoded;
}

static bool countersign(const struct lab *lab, uint64_t time64, BasePolicyFile_t *file)
{
    Ieee1609Dot2Data_t *data = coer_arena_alloc(lab->arena, sizeof(*data));
    struct Ieee1609Dot2Content *content = coer_arena_alloc(lab->arena, sizeof(*content));
    struct SignedData *signed_data = coer_arena_alloc(lab->arena, sizeof(*signed_data));
    const Signature_t *signature;
    uint8_t hash[48], *octets = NULL;
    size_t size = 0;
    bool ok;

    if (data == NULL || content == NULL || signed_data == NULL ||
        !encode(&asn_DEF_ToBeSignedPolicyData, &file->tbsData, &octets, &size))
        return false;
    ok = dot2_hash(lab->crypto, DOT2_CURVE_P256, octets, size, hash) == DOT2_OK;
    free(octets);
    signed_data->tbsData = ok ? to_be_signed(lab, hash, time64) : NULL;
    signature = signed_data->tbsData != NULL ? sign(lab, signed_data->tbsData) : NULL;
    if (signature == NULL)
        return false;
    signed_data->hashId = HashAlgorithm_sha256;
    signed_data->signer.present = SignerIdentifier_PR_digest;
    coer_octets_view(&signed_data->signer.choice.digest, dot2_cert_hashedid8(lab->certs[LAB_PG]),
                     8);
    signed_data->signature = *signature;
    content->present = Ieee1609Dot2Content_PR_signedData;
    content->choice.signedData = signed_data;
    data->protocolVersion = 3;
    data->content = content;
    return coer_list_add(lab->arena, &file->signatures, data);
}

static void hours(Duration_t *duration, long value)
{
    duration->present = Duration_PR_hours;
    duration->choice.hours = value;
}

/* The published validity of application certificates, and what a request may be old. */
static bool global_policy(const struct lab *lab, GlobalPolicyData_t *policy)
{
    TemporalSeriesOfScmsVersion_t *version = coer_arena_alloc(lab->arena, sizeof(*version));
    TemporalSeriesOfMaxCertRequestAge_t *age = coer_arena_alloc(lab->arena, sizeof(*age));
    TemporalSeriesOfRseApplicationCertValidity_t *validity =
        coer_arena_alloc(lab->arena, sizeof(*validity));
    TemporalSeriesOfRseApplicationCertOVerlap_t *overlap =
        coer_arena_alloc(lab->arena, sizeof(*overlap));

    if (version == NULL || age == NULL || validity == NULL || overlap == NULL)
        return false;
    hours(&age->initialMaxCertRequestAge, 24);
    hours(&validity->initialRseApplicationCertValidity, 169);
    hours(&overlap->initialRseApplicationCertOverlap, 1);
    policy->temporalSeriesOfScmsVersion = version;
    policy->temporalSeriesOfMaxCertRequestAge = age;
    policy->temporalSeriesOfRseApplicationCertValidity = validity;
    policy->temporalSeriesOfRseApplicationCertOVerlap = overlap;
    return true;
}

/* version, policyID, times; the caller has set the policy. */
static bool base_policy(const struct lab *lab, const char *id, uint64_t time64,
                        BasePolicyFile_t *file)
{
    file->version = 1;
    coer_octets_view(&file->tbsData.policyID, id, strlen(id));
    return coer_integer_set(lab->arena, &file->tbsData.generationTime, time64) &&
           coer_integer_set(lab->arena, &file->tbsData.activeTime, time64) &&
           countersign(lab, time64, file);
}

int lab_make_policy(struct lab *lab)
{
    ScmsFile_t *file = coer_arena_alloc(lab->arena, sizeof(*file));
    TemporalSeriesOfCertsPerIPeriod_t *certs = coer_arena_alloc(lab->arena, sizeof(*certs));
    Hostname_t *host = coer_arena_alloc(lab->arena, sizeof(*host));
    uint64_t time64 = (uint64_t)lab->start * 1000000;
    LocalPolicyFile_t *local;
    CustomPolicyData_t *custom;
    uint8_t *octets = NULL;
    size_t size = 0;
    int result = APP_REFUSED;

    if (file == NULL || certs == NULL || host == NULL) {
        app_error("out of memory");
        return APP_REFUSED;
    }
    file->version = 1;
    file->content.present = ScmsFileContent_PR_policy;
    file->content.choice.policy.present = PolicyFiles_PR_localPolicyFile;
    local = &file->content.choice.policy.choice.localPolicyFile;
    local->globalParameters.tbsData.policy.present = Policy_PR_custom;
    custom = &local->globalParameters.tbsData.policy.choice.custom;
    coer_octets_view(host, lab->host, strlen(lab->host));
    custom->requestingRaHostname = host;
    local->localParamters.tbsData.policy.present = Policy_PR_local;
    local->localParamters.tbsData.policy.choice.local.temporalSeriesOfCertsPerIPeriod = certs;
    if (global_policy(lab, &custom->globalPolicy) &&
        base_policy(lab, "lab custom 1", time64, &local->globalParameters) &&
        base_policy(lab, "lab local 1", time64, &local->localParamters) &&
        encode(&asn_DEF_ScmsFile, file, &octets, &size))
        result = lab_write(lab, LAB_POLICY_FILE, octets, size, 0644);
    free(octets);
    return result;
}
