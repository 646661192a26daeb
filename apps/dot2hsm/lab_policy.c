/*
 * The local policy file of a lab: a few of the policies of the SCMS, countersigned by the lab's
 * policy generator.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/dot2hsm/commands.h"
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

static bool next_validity(const struct lab *lab, const struct lab_policy *values,
                          TemporalSeriesOfRseApplicationCertValidity_t *series)
{
    RseApplicationCertValidityInterval_t *next = coer_arena_alloc(lab->arena, sizeof(*next));

    if (next == NULL ||
        !coer_integer_set(lab->arena, &next->startTime, (uint64_t)values->next_start * 1000000))
        return false;
    hours(&next->rseApplicationCertValidity, (long)values->next_validity);
    return coer_list_add(lab->arena, &series->intervals, next);
}

/* The published validity of application certificates, and what a request may be old. */
static bool global_policy(const struct lab *lab, const struct lab_policy *values,
                          GlobalPolicyData_t *policy)
{
    TemporalSeriesOfScmsVersion_t *version = coer_arena_alloc(lab->arena, sizeof(*version));
    TemporalSeriesOfMaxCertRequestAge_t *age = coer_arena_alloc(lab->arena, sizeof(*age));
    TemporalSeriesOfRseApplicationCertValidity_t *validity =
        coer_arena_alloc(lab->arena, sizeof(*validity));
    TemporalSeriesOfRseApplicationCertOVerlap_t *overlap =
        coer_arena_alloc(lab->arena, sizeof(*overlap));

    if (version == NULL || age == NULL || validity == NULL || overlap == NULL)
        return false;
    hours(&age->initialMaxCertRequestAge, (long)values->max_request_age);
    hours(&validity->initialRseApplicationCertValidity, (long)values->validity);
    hours(&overlap->initialRseApplicationCertOverlap, (long)values->overlap);
    version->initialScmsVersion = coer_long(lab->arena, (long)values->scms_version);
    if (version->initialScmsVersion == NULL ||
        (values->next_validity != 0 && !next_validity(lab, values, validity)))
        return false;
    if (values->interval != 0) {
        TemporalSeriesOfMaxGpfGccfRetrievalInterval_t *interval =
            coer_arena_alloc(lab->arena, sizeof(*interval));

        if (interval == NULL)
            return false;
        hours(&interval->initialMaxGpfGccfRetrievalInterval, (long)values->interval);
        policy->temporalSeriesOfMaxGpfGccfRetrievalInterval = interval;
    }
    if (values->max_supply != 0) {
        TemporalSeriesOfMaxAvailableCertSupply_t *supply =
            coer_arena_alloc(lab->arena, sizeof(*supply));

        if (supply == NULL)
            return false;
        hours(&supply->initialMaxAvailableCertSupply, (long)values->max_supply);
        policy->temporalSeriesOfMaxAvailableCertSupply = supply;
    }
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

static int make(struct lab *lab, const struct lab_policy *values, const char *out)
{
    ScmsFile_t *file = coer_arena_alloc(lab->arena, sizeof(*file));
    TemporalSeriesOfCertsPerIPeriod_t *certs = coer_arena_alloc(lab->arena, sizeof(*certs));
    Hostname_t *host = coer_arena_alloc(lab->arena, sizeof(*host));
    uint64_t time64 = (uint64_t)values->generated * 1000000;
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
    coer_octets_view(host, values->host, strlen(values->host));
    custom->requestingRaHostname = host;
    local->localParamters.tbsData.policy.present = Policy_PR_local;
    local->localParamters.tbsData.policy.choice.local.temporalSeriesOfCertsPerIPeriod = certs;
    if (global_policy(lab, values, &custom->globalPolicy) &&
        base_policy(lab, "lab custom 1", time64, &local->globalParameters) &&
        base_policy(lab, "lab local 1", time64, &local->localParamters) &&
        encode(&asn_DEF_ScmsFile, file, &octets, &size))
        result = out != NULL ? app_file_write(out, octets, size, 0644)
                             : lab_write(lab, LAB_POLICY_FILE, octets, size, 0644);
    else
        app_error("the policy file cannot be made, as a rule for want of memory");
    free(octets);
    return result;
}

static const struct lab_policy published = {
    .validity = 169, .overlap = 1, .max_request_age = 24, .scms_version = 1};

int lab_make_policy(struct lab *lab)
{
    struct lab_policy values = published;

    values.generated = lab->start;
    values.host = lab->host;
    return make(lab, &values, NULL);
}

/* ---- the command ---- */

static const char usage[] =
    "Usage: dot2hsm lab policy [OPTION]... --out FILE DIR\n"
    "Makes a local policy file of the lab in DIR, countersigned by its policy generator. Name it "
    "in\n"
    "policy-file of DIR/ra.conf and send dot2hsm-ra SIGHUP; a device asks by the file's name, so\n"
    "that another policy needs another name.\n"
    "FOR TESTS AND DEMONSTRATIONS ONLY.\n"
    "\n"
    "      --validity H        hours of an application certificate (default 169)\n"
    "      --overlap H         hours before its end at which it is renewed (default 1)\n"
    "      --interval H        hours after which files have to be fetched again\n"
    "      --max-request-age H hours that a request may be old (default 24)\n"
    "      --max-supply H      hours ahead for which certificates are to be had\n"
    "      --scms-version N    (default 1)\n"
    "      --next-validity H   hours of an application certificate from --next-start on\n"
    "      --next-start TIME   Time32, or 2026-11-23T00:00:00Z\n"
    "      --generated TIME    generationTime (default: now)\n"
    "      --host NAME         of the RA (default localhost)\n"
    "  -o, --out FILE          the file\n"
    "      --help              this text\n";

static int take_hours(const char *text, unsigned max, unsigned *value)
{
    char *end = NULL;
    unsigned long parsed = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || parsed > max) {
        app_error("\"%s\" is not a number up to %u", text, max);
        return command_usage();
    }
    *value = (unsigned)parsed;
    return APP_OK;
}

static int take_time(const char *text, uint32_t *time)
{
    if (dot2_time32_parse(text, time) == DOT2_OK)
        return APP_OK;
    app_error("\"%s\" is not a time", text);
    return command_usage();
}

static int take_option(struct lab_policy *values, const char **out, int option, const char *value)
{
    switch (option) {
    case 'v':
        return take_hours(value, 65535, &values->validity);
    case 'l':
        return take_hours(value, 65535, &values->overlap);
    case 'i':
        return take_hours(value, 65535, &values->interval);
    case 'a':
        return take_hours(value, 65535, &values->max_request_age);
    case 'u':
        return take_hours(value, 65535, &values->max_supply);
    case 's':
        return take_hours(value, 255, &values->scms_version);
    case 'n':
        return take_hours(value, 65535, &values->next_validity);
    case 't':
        return take_time(value, &values->next_start);
    case 'g':
        return take_time(value, &values->generated);
    case 'H':
        values->host = value;
        return APP_OK;
    case 'o':
        *out = value;
        return APP_OK;
    default:
        return command_usage();
    }
}

int lab_policy(int argc, char **argv)
{
    static const struct option options[] = {{"validity", required_argument, NULL, 'v'},
                                            {"overlap", required_argument, NULL, 'l'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {"scms-version", required_argument, NULL, 's'},
                                            {"max-request-age", required_argument, NULL, 'a'},
                                            {"max-supply", required_argument, NULL, 'u'},
                                            {"next-validity", required_argument, NULL, 'n'},
                                            {"next-start", required_argument, NULL, 't'},
                                            {"generated", required_argument, NULL, 'g'},
                                            {"host", required_argument, NULL, 'H'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct lab_policy values = published;
    struct lab lab = {.dir_option = NULL};
    const char *out = NULL;
    int c, code;

    values.host = "localhost";
    if (dot2_time32_now(&values.generated) != DOT2_OK) {
        app_error("the clock is outside of what Time32 can say");
        return APP_REFUSED;
    }
    while ((c = getopt_long(argc, argv, "ho:", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return APP_OK;
        }
        code = take_option(&values, &out, c, optarg);
        if (code != APP_OK)
            return code;
    }
    if (argc - optind != 1 || out == NULL) {
        app_error(out == NULL ? "--out is wanted" : "one DIR is wanted");
        return command_usage();
    }
    code = lab_open(&lab, argv[optind], LAB_PG);
    if (code == APP_OK)
        code = make(&lab, &values, out);
    lab_close(&lab);
    return code;
}
