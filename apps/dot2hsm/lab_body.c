/* lab_body.c: what the authorities of `dot2hsm lab run` put into certificates. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "apps/dot2hsm/lab_run.h"

#include "asn1/types.h"

/* crlSeries of the profiles. */
#define CRL_PSEUDONYM 1
#define CRL_APPLICATION 3 /* and identification */
#define CRL_ENROLLMENT 4

/* How far a request's times may be from the ECA's: it comes as a file, by hand. */
#define REQUEST_AGE (7u * 86400)
#define CLOCK_ERROR 300u
#define START_BEFORE 86400u
#define START_AFTER (30u * 86400)

static enum dot2_status refuse(char *reason, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum dot2_status refuse(char *reason, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(reason, size, format, args);
    va_end(args);
    return DOT2_E_MESSAGE;
}

static enum dot2_status fail(struct dot2_error *error, enum dot2_status status, const char *field,
                             const char *detail)
{
    *error = (struct dot2_error){.status = status};
    snprintf(error->field, sizeof(error->field), "%s", field);
    snprintf(error->detail, sizeof(error->detail), "%s", detail);
    return status;
}

static bool set_craca(const struct lab_run *run, coer_arena *arena, ToBeSignedCertificate_t *body)
{
    return coer_octets(arena, &body->cracaId, dot2_cert_hashedid8(run->lab.certs[LAB_ROOT]) + 5, 3);
}

/* ---- enrollment ---- */

static bool is_the_country(const GeographicRegion_t *region)
{
    const SequenceOfIdentifiedRegion_t *list = &region->choice.identifiedRegion;

    return region->present == GeographicRegion_PR_identifiedRegion && list->list.count == 1 &&
           list->list.array[0]->present == IdentifiedRegion_PR_countryOnly &&
           list->list.array[0]->choice.countryOnly == LAB_COUNTRY;
}

/* PSIDs as requested; chain length and eeType by the profile, which is that of end entities. */
static enum dot2_status set_request_permissions(coer_arena *arena,
                                                const SequenceOfPsidGroupPermissions_t *wanted,
                                                ToBeSignedCertificate_t *body, char *reason,
                                                size_t reason_size)
{
    body->certRequestPermissions = coer_arena_alloc(arena, sizeof(*body->certRequestPermissions));
    if (body->certRequestPermissions == NULL)
        return DOT2_E_MEMORY;
    for (int i = 0; i < wanted->list.count; i++) {
        const PsidGroupPermissions_t *from = wanted->list.array[i];
        PsidGroupPermissions_t *to = coer_arena_alloc(arena, sizeof(*to));

        if (to == NULL)
            return DOT2_E_MEMORY;
        if (from->subjectPermissions.present != SubjectPermissions_PR_explicit ||
            from->subjectPermissions.choice.Explicit.list.count == 0)
            return refuse(reason, reason_size,
                          "ecaInvalidPsid: certRequestPermissions does not name its PSIDs");
        if (from->eeType != NULL && from->eeType->size > 0 && from->eeType->buf[0] != 0x80)
            return refuse(reason, reason_size,
                          "ecaInvalidPsid: certRequestPermissions is not for applications");
        to->subjectPermissions = from->subjectPermissions;
        to->minChainLength = coer_long(arena, 0);
        if (to->minChainLength == NULL || !coer_list_add(arena, body->certRequestPermissions, to))
            return DOT2_E_MEMORY;
    }
    return DOT2_OK;
}

enum dot2_status lab_body_enrollment(const struct lab_run *run, coer_arena *arena,
                                     const struct scms_enrollment_request *request, uint32_t now,
                                     ToBeSignedCertificate_t *body, char *reason,
                                     size_t reason_size)
{
    const ToBeSignedCertificate_t *wanted = request->body;
    const ValidityPeriod_t *validity = &wanted->validityPeriod;
    uint32_t start = (uint32_t)validity->start, at = request->current_time;
    enum dot2_status status = DOT2_OK;

    if ((at > now && at - now > CLOCK_ERROR) || (at < now && now - at > REQUEST_AGE))
        return refuse(reason, reason_size,
                      "ecaInvalidCurrentTime: currentTime %u, and it is %u now", at, now);
    if ((start < now && now - start > START_BEFORE) || (start > now && start - now > START_AFTER))
        return refuse(reason, reason_size,
                      "ecaInvalidRequestedStartTime: start %u, and it is %u now", start, now);
    if (validity->duration.present != Duration_PR_years || validity->duration.choice.years < 1 ||
        validity->duration.choice.years > 7)
        return refuse(reason, reason_size,
                      "ecaInvalidValidityPeriod: an enrollment certificate has 1 to 7 years");
    if (!is_the_country(wanted->region))
        return refuse(reason, reason_size, "ecaInvalidRegion: the region is country %d alone",
                      LAB_COUNTRY);
    if (wanted->assuranceLevel != NULL)
        return refuse(reason, reason_size, "ecaInvalidAssuranceLevel: the profile has none");
    if (dot2_key_curve(request->verify_key) != DOT2_CURVE_P256)
        return refuse(reason, reason_size, "ecaInvalidVerifyKey: the key is on %s, not on P-256",
                      dot2_curve_name(dot2_key_curve(request->verify_key)));
    memset(body, 0, sizeof(*body));
    body->id.present = CertificateId_PR_name;
    coer_octets_view(&body->id.choice.name, "", 0);
    body->crlSeries = CRL_ENROLLMENT;
    body->validityPeriod = *validity;
    body->canRequestRollover = coer_arena_alloc(arena, sizeof(NULL_t));
    if (body->canRequestRollover == NULL || !set_craca(run, arena, body) ||
        !lab_set_region(arena, body))
        return DOT2_E_MEMORY;
    status =
        set_request_permissions(arena, wanted->certRequestPermissions, body, reason, reason_size);
    return status;
}

/* ---- application, identification, pseudonym ---- */

uint32_t lab_period(enum scms_provision kind)
{
    return (kind == SCMS_PROVISION_ID ? 720u : 168u) * 3600;
}

/* Of what a range allows, the first SSP; none where it allows every one. */
static bool set_ssp(coer_arena *arena, const SspRange_t *range, PsidSsp_t *to)
{
    const OCTET_STRING_t *first = NULL;

    if (range == NULL || range->present == SspRange_PR_all)
        return true;
    if (range->present == SspRange_PR_opaque) {
        if (range->choice.opaque.list.count == 0 || range->choice.opaque.list.array[0]->size == 0)
            return true;
        first = range->choice.opaque.list.array[0];
    } else {
        first = &range->choice.bitmapSspRange.sspValue;
    }
    to->ssp = coer_arena_alloc(arena, sizeof(*to->ssp));
    if (to->ssp == NULL)
        return false;
    if (range->present == SspRange_PR_opaque) {
        to->ssp->present = ServiceSpecificPermissions_PR_opaque;
        return coer_octets(arena, &to->ssp->choice.opaque, first->buf, (size_t)first->size);
    }
    to->ssp->present = ServiceSpecificPermissions_PR_bitmapSsp;
    return coer_octets(arena, &to->ssp->choice.bitmapSsp, first->buf, (size_t)first->size);
}

static bool has_psid(const SequenceOfPsidSsp_t *list, Psid_t psid)
{
    for (int i = 0; i < list->list.count; i++) {
        if (list->list.array[i]->psid == psid)
            return true;
    }
    return false;
}

static bool is_for_applications(const PsidGroupPermissions_t *group)
{
    return group->subjectPermissions.present == SubjectPermissions_PR_explicit &&
           (group->eeType == NULL || group->eeType->size < 1 || (group->eeType->buf[0] & 0x80));
}

/* The PSIDs of the enrollment certificate's certRequestPermissions; the request names none. */
static enum dot2_status set_app(coer_arena *arena, const dot2_cert *enrollment,
                                ToBeSignedCertificate_t *body, struct dot2_error *error)
{
    const SequenceOfPsidGroupPermissions_t *groups =
        dot2_cert_asn1(enrollment)->toBeSigned.certRequestPermissions;

    body->appPermissions = coer_arena_alloc(arena, sizeof(*body->appPermissions));
    if (body->appPermissions == NULL)
        return DOT2_E_MEMORY;
    for (int i = 0; groups != NULL && i < groups->list.count; i++) {
        const SubjectPermissions_t *subject = &groups->list.array[i]->subjectPermissions;

        if (!is_for_applications(groups->list.array[i]))
            continue;
        for (int j = 0; j < subject->choice.Explicit.list.count; j++) {
            const PsidSspRange_t *range = subject->choice.Explicit.list.array[j];
            PsidSsp_t *to;

            if (has_psid(body->appPermissions, range->psid))
                continue;
            to = coer_arena_alloc(arena, sizeof(*to));
            if (to == NULL || !set_ssp(arena, range->sspRange, to) ||
                !coer_list_add(arena, body->appPermissions, to))
                return DOT2_E_MEMORY;
            to->psid = range->psid;
        }
    }
    if (body->appPermissions->list.count == 0)
        return fail(error, DOT2_E_PERMISSION, "Certificate.toBeSigned.certRequestPermissions",
                    "the enrollment certificate names no PSID that could be given");
    return DOT2_OK;
}

/*
 * An application certificate's id is a number of 8 octets. That of the others is linkage data; the
 * lab has no linkage authorities, so its linkage values are random, and no CRL can name them.
 */
static bool set_id(coer_arena *arena, const struct lab_subject *subject,
                   ToBeSignedCertificate_t *body)
{
    uint8_t random[9];

    if (RAND_bytes(random, sizeof(random)) <= 0)
        return false;
    if (subject->kind != SCMS_PROVISION_PSEUDONYM) {
        body->id.present = CertificateId_PR_binaryId;
        return coer_octets(arena, &body->id.choice.binaryId, random, 8);
    }
    body->id.present = CertificateId_PR_linkageData;
    body->id.choice.linkageData.iCert = (long)(subject->i & 0xffff);
    return coer_octets(arena, &body->id.choice.linkageData.linkage_value, random, sizeof(random));
}

enum dot2_status lab_body_application(const struct lab_run *run, coer_arena *arena,
                                      const struct lab_subject *subject,
                                      ToBeSignedCertificate_t *body, struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;

    memset(body, 0, sizeof(*body));
    body->crlSeries = subject->kind == SCMS_PROVISION_PSEUDONYM ? CRL_PSEUDONYM : CRL_APPLICATION;
    body->validityPeriod.start = subject->start;
    body->validityPeriod.duration.present = Duration_PR_hours;
    body->validityPeriod.duration.choice.hours =
        (long)((lab_period(subject->kind) + LAB_OVERLAP) / 3600);
    if (!set_id(arena, subject, body) || !set_craca(run, arena, body) ||
        !lab_set_region(arena, body))
        return fail(error, DOT2_E_MEMORY, "", "out of memory or of random octets");
    if (subject->encryption_key != NULL &&
        !lab_set_encryption(arena, subject->encryption_key, body))
        return fail(error, DOT2_E_ALGORITHM, "cert-encryption-key",
                    "the profile's encryption key is on P-256");
    status = set_app(arena, subject->enrollment, body, error);
    return status == DOT2_E_MEMORY ? fail(error, status, "", "out of memory") : status;
}
