/*
 * The certificate profiles of the SCMS CV Pilots, release 1.2.2, for the certificates of a lab.
 * Those of the RA and of the enrollment certificates are the published ones, but that the road-side
 * unit's enrollment certificate is explicit: its key was made in a token and stays there, and an
 * implicit certificate's key could not. Authorities have what their children need and no more.
 */
#include <string.h>

#include "apps/dot2hsm/lab.h"

#include "asn1/types.h"

/* The published psids of the RA's request permissions; every device's are among them. */
static const long ra_psids[] = {
    0x20,     0x26,     0x27,     0x80,     0x81,     0x82,     0x83,     0x87,     0x4082,
    0x204083, 0x204088, 0x204089, 0x20408a, 0x20408b, 0x20408c, 0x20408d, 0x20408e, 0x20408f,
    0x204090, 0x204091, 0x204092, 0x204093, 0x204094, 0x204095, 0x204096, 0x204097};
/* The pseudonym certificates of this week begin with it, and must not begin before their issuer. */
#define CA_EARLIER 604800

static const long rse_psids[] = {0x80, 0x82, 0x83, 0x87};
static const long obe_psids[] = {0x20, 0x26};
static const long scms_psids[] = {0x23};
static const long ma_psids[] = {0x23, 0x26, 0x100};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ScmsSsp.ra, version 1: what the RA is allowed under psid 0x23. */
static const uint8_t ra_ssp[] = {0x8b, 0x00, 0x01};

struct group { /* one PsidGroupPermissions */
    const long *psids;
    size_t count;    /* 0: all */
    long min, range; /* minChainLength, chainLengthRange */
    uint8_t ee_type; /* 0x80 app, 0x40 enrol, 0xc0 both */
    bool any_ssp;    /* sspRange all */
};

/* What makes a profile: everything that is not the same in all certificates. */
struct profile {
    const char *name; /* id.name; NULL: the host name of the RA */
    long crl_series;
    Duration_PR unit;
    long duration;
    const long *app;
    size_t app_count;
    const uint8_t *ssp; /* of all of app; NULL: none */
    size_t ssp_size;
    struct group issue, request;
    bool has_issue, has_request;
    bool rollover, encryption;
};

/*
 * Lengths: an enrollment certificate is one below the ECA, two below the ICA, three below the root;
 * the RA and the other authorities are one below the ICA. minChainLength counts from 1.
 */
static const struct profile profiles[LAB_CERTS] = {
    [LAB_ROOT] = {.name = "root.lab.test",
                  .crl_series = 1,
                  .unit = Duration_PR_years,
                  .duration = 20,
                  .app = scms_psids,
                  .app_count = COUNT(scms_psids),
                  .has_issue = true,
                  .issue = {.min = 1, .range = 2, .ee_type = 0xc0}},
    [LAB_ICA] = {.name = "ica.lab.test",
                 .crl_series = 1,
                 .unit = Duration_PR_years,
                 .duration = 15,
                 .app = scms_psids,
                 .app_count = COUNT(scms_psids),
                 .has_issue = true,
                 .issue = {.min = 1, .range = 1, .ee_type = 0xc0}},
    [LAB_ECA] = {.name = "eca.lab.test",
                 .crl_series = 2,
                 .unit = Duration_PR_years,
                 .duration = 11,
                 .app = scms_psids,
                 .app_count = COUNT(scms_psids),
                 .has_issue = true,
                 .issue = {.psids = ra_psids,
                           .count = COUNT(ra_psids),
                           .min = 1,
                           .ee_type = 0x40,
                           .any_ssp = true}},
    [LAB_PCA] = {.name = "pca.lab.test",
                 .crl_series = 2,
                 .unit = Duration_PR_years,
                 .duration = 4,
                 .app = scms_psids,
                 .app_count = COUNT(scms_psids),
                 .has_issue = true,
                 .issue = {.psids = ra_psids,
                           .count = COUNT(ra_psids),
                           .min = 1,
                           .ee_type = 0x80,
                           .any_ssp = true}},
    [LAB_MA] = {.name = "ma.lab.test",
                .crl_series = 2,
                .unit = Duration_PR_hours,
                .duration = 26448,
                .app = ma_psids,
                .app_count = COUNT(ma_psids),
                .encryption = true},
    [LAB_PG] = {.name = "pg.lab.test",
                .crl_series = 2,
                .unit = Duration_PR_hours,
                .duration = 26448,
                .app = scms_psids,
                .app_count = COUNT(scms_psids)},
    [LAB_RA] = {.crl_series = 2,
                .unit = Duration_PR_hours,
                .duration = 26448,
                .app = scms_psids,
                .app_count = COUNT(scms_psids),
                .ssp = ra_ssp,
                .ssp_size = sizeof(ra_ssp),
                .has_request = true,
                .request = {.psids = ra_psids, .count = COUNT(ra_psids), .ee_type = 0x80},
                .rollover = true,
                .encryption = true},
    [LAB_RSE] = {.name = "",
                 .crl_series = 4,
                 .unit = Duration_PR_years,
                 .duration = 3,
                 .has_request = true,
                 .request = {.psids = rse_psids, .count = COUNT(rse_psids), .ee_type = 0x80},
                 .rollover = true},
    [LAB_OBE] = {.name = "",
                 .crl_series = 4,
                 .unit = Duration_PR_years,
                 .duration = 3,
                 .has_request = true,
                 .request = {.psids = obe_psids, .count = COUNT(obe_psids), .ee_type = 0x80},
                 .rollover = true},
};

/* Which HashedId3 is the CRACA's: that of the root, in all but the root's own certificate, which
 * cannot hold its own hash. */
static bool set_craca(const struct lab *lab, enum lab_cert which, ToBeSignedCertificate_t *body)
{
    static const uint8_t none[3];

    return coer_octets(lab->arena, &body->cracaId,
                       which == LAB_ROOT ? none : dot2_cert_hashedid8(lab->certs[LAB_ROOT]) + 5, 3);
}

static bool set_duration(Duration_t *duration, Duration_PR unit, long value)
{
    duration->present = unit;
    switch (unit) {
    case Duration_PR_hours:
        duration->choice.hours = value;
        return true;
    case Duration_PR_years:
        duration->choice.years = value;
        return true;
    default:
        return false;
    }
}

bool lab_set_region(coer_arena *arena, ToBeSignedCertificate_t *body)
{
    IdentifiedRegion_t *country = coer_arena_alloc(arena, sizeof(*country));

    body->region = coer_arena_alloc(arena, sizeof(*body->region));
    if (country == NULL || body->region == NULL)
        return false;
    country->present = IdentifiedRegion_PR_countryOnly;
    country->choice.countryOnly = LAB_COUNTRY;
    body->region->present = GeographicRegion_PR_identifiedRegion;
    return coer_list_add(arena, &body->region->choice.identifiedRegion, country);
}

static bool set_app(const struct lab *lab, const struct profile *profile,
                    ToBeSignedCertificate_t *body)
{
    if (profile->app_count == 0)
        return true;
    body->appPermissions = coer_arena_alloc(lab->arena, sizeof(*body->appPermissions));
    if (body->appPermissions == NULL)
        return false;
    for (size_t i = 0; i < profile->app_count; i++) {
        PsidSsp_t *psid = coer_arena_alloc(lab->arena, sizeof(*psid));

        if (psid == NULL)
            return false;
        psid->psid = profile->app[i];
        if (profile->ssp != NULL) {
            psid->ssp = coer_arena_alloc(lab->arena, sizeof(*psid->ssp));
            if (psid->ssp == NULL)
                return false;
            psid->ssp->present = ServiceSpecificPermissions_PR_opaque;
            coer_octets_view(&psid->ssp->choice.opaque, profile->ssp, profile->ssp_size);
        }
        if (!coer_list_add(lab->arena, body->appPermissions, psid))
            return false;
    }
    return true;
}

static bool set_group(const struct lab *lab, const struct group *group,
                      struct SequenceOfPsidGroupPermissions **permissions)
{
    PsidGroupPermissions_t *made = coer_arena_alloc(lab->arena, sizeof(*made));

    *permissions = coer_arena_alloc(lab->arena, sizeof(**permissions));
    if (made == NULL || *permissions == NULL)
        return false;
    made->minChainLength = coer_long(lab->arena, group->min);
    made->chainLengthRange = group->range;
    made->eeType = coer_arena_alloc(lab->arena, sizeof(*made->eeType));
    if (made->minChainLength == NULL || made->eeType == NULL ||
        !coer_bits8(lab->arena, made->eeType, group->ee_type))
        return false;
    made->subjectPermissions.present =
        group->count == 0 ? SubjectPermissions_PR_all : SubjectPermissions_PR_explicit;
    for (size_t i = 0; i < group->count; i++) {
        PsidSspRange_t *range = coer_arena_alloc(lab->arena, sizeof(*range));

        if (range == NULL)
            return false;
        range->psid = group->psids[i];
        if (group->any_ssp) {
            range->sspRange = coer_arena_alloc(lab->arena, sizeof(*range->sspRange));
            if (range->sspRange == NULL)
                return false;
            range->sspRange->present = SspRange_PR_all;
        }
        if (!coer_list_add(lab->arena, &made->subjectPermissions.choice.Explicit, range))
            return false;
    }
    return coer_list_add(lab->arena, *permissions, made);
}

bool lab_set_encryption(coer_arena *arena, const EVP_PKEY *key, ToBeSignedCertificate_t *body)
{
    uint8_t point[49];
    size_t size = 0;
    EccP256CurvePoint_t *to;

    body->encryptionKey = coer_arena_alloc(arena, sizeof(*body->encryptionKey));
    if (body->encryptionKey == NULL || dot2_public_point(key, point, &size) != DOT2_OK ||
        size != 33)
        return false;
    body->encryptionKey->supportedSymmAlg = SymmAlgorithm_aes128Ccm;
    body->encryptionKey->publicKey.present = BasePublicEncryptionKey_PR_eciesNistP256;
    to = &body->encryptionKey->publicKey.choice.eciesNistP256;
    to->present =
        point[0] == 2 ? EccP256CurvePoint_PR_compressed_y_0 : EccP256CurvePoint_PR_compressed_y_1;
    return coer_octets(arena,
                       point[0] == 2 ? &to->choice.compressed_y_0 : &to->choice.compressed_y_1,
                       point + 1, 32);
}

bool lab_profile(const struct lab *lab, enum lab_cert which, ToBeSignedCertificate_t *body)
{
    const struct profile *profile = &profiles[which];
    const char *name = profile->name != NULL ? profile->name : lab->host;

    memset(body, 0, sizeof(*body));
    body->id.present = CertificateId_PR_name;
    coer_octets_view(&body->id.choice.name, name, strlen(name));
    body->crlSeries = profile->crl_series;
    body->validityPeriod.start = lab->start;
    if (which <= LAB_PCA)
        body->validityPeriod.start -= CA_EARLIER;
    if (!set_craca(lab, which, body) ||
        !set_duration(&body->validityPeriod.duration, profile->unit, profile->duration) ||
        !lab_set_region(lab->arena, body) || !set_app(lab, profile, body))
        return false;
    if (profile->has_issue && !set_group(lab, &profile->issue, &body->certIssuePermissions))
        return false;
    if (profile->has_request && !set_group(lab, &profile->request, &body->certRequestPermissions))
        return false;
    if (profile->rollover) {
        body->canRequestRollover = coer_arena_alloc(lab->arena, sizeof(NULL_t));
        if (body->canRequestRollover == NULL)
            return false;
    }
    if (profile->encryption &&
        !lab_set_encryption(lab->arena,
                            which == LAB_RA ? lab->ra_encryption.key : lab->keys[which].key, body))
        return false;
    return true;
}
