/*
 * permissions.c: permissions of a certificate against those of its issuer.
 *
 * Our reading of IEEE 1609.2 5.1.2.4 and of "consistency with issuing certificate" in 6.3.33 to
 * 6.4.32:
 *
 * - A PSID in a field of the subject is the issuer's to give if a PsidGroupPermissions in the
 *   issuer's certIssuePermissions allows it: an explicit PsidSspRange with this PSID that covers
 * the SSP, or `all`, if no explicit PsidSspRange of the field names this PSID (6.4.30).
 * - SSP: a range that is absent or `all` covers everything. `opaque` covers an identical octet
 *   string; an SSP that is absent counts as one of no octets (6.3.33). A bitmap covers one whose
 *   bits agree with sspValue wherever sspBitmask has a 1 (6.3.34, 6.4.32). A range in the subject
 * is covered by a range that covers each of its SSPs. Where an octet of the mask has no counterpart
 *   in the subject, it is not covered.
 * - Chain length: the number of certificates below the issuer, the end of the chain included
 *   (5.1.2.1). appPermissions end a chain at length 1. The groups of the subject's own
 *   certIssuePermissions and certRequestPermissions allow minChainLength to minChainLength +
 *   chainLengthRange below the subject (-1: any number), so one more below the issuer, and all of
 *   these must be allowed there. minChainLength 0 in certRequestPermissions, the common form of an
 *   enrollment certificate, hence needs length 1.
 * - eeType (6.4.28): appPermissions need `app`, certRequestPermissions need `enrol` in the issuer's
 *   group; what the subject's own eeType then says is about the certificates that it may ask for.
 *   In certIssuePermissions the subject's eeType must be contained in the issuer's.
 * - `all` in a group of the subject also claims every PSID that the issuer names explicitly and the
 *   subject does not: each must be covered without limit on its SSP.
 * - One group of the issuer must allow all of this for an entry; groups are not added up.
 */
#include <limits.h>
#include <string.h>

#include "protocol/dot2/internal.h"

#define APP 0x80
#define ENROL 0x40

/* What an entry of the subject needs of a group of the issuer. */
struct need {
    long shortest, longest; /* below the issuer; longest LONG_MAX = any */
    uint8_t ee_type;
};

static uint8_t ee_type_of(const PsidGroupPermissions_t *group)
{
    const BIT_STRING_t *bits = group->eeType;

    return bits == NULL || bits->size < 1 ? APP : (uint8_t)(bits->buf[0] & (APP | ENROL));
}

static long shortest_of(const PsidGroupPermissions_t *group)
{
    return group->minChainLength == NULL ? 1 : *group->minChainLength;
}

static long longest_of(const PsidGroupPermissions_t *group)
{
    long shortest = shortest_of(group);

    if (group->chainLengthRange < 0 || group->chainLengthRange > LONG_MAX - 1 - shortest)
        return LONG_MAX;
    return shortest + group->chainLengthRange;
}

static bool group_allows(const PsidGroupPermissions_t *group, const struct need *need)
{
    return shortest_of(group) <= need->shortest && need->longest <= longest_of(group) &&
           (need->ee_type & ee_type_of(group)) == need->ee_type;
}

static bool names_psid(const SequenceOfPsidGroupPermissions_t *groups, Psid_t psid)
{
    for (int i = 0; i < groups->list.count; i++) {
        const SubjectPermissions_t *subject = &groups->list.array[i]->subjectPermissions;

        if (subject->present != SubjectPermissions_PR_explicit)
            continue;
        for (int j = 0; j < subject->choice.Explicit.list.count; j++) {
            if (subject->choice.Explicit.list.array[j]->psid == psid)
                return true;
        }
    }
    return false;
}

static bool is_unlimited(const SspRange_t *range)
{
    return range == NULL || range->present == SspRange_PR_all;
}

static bool opaque_covers(const SspRange_t *range, const uint8_t *octets, int size)
{
    const SequenceOfOctetString_t *list = &range->choice.opaque;

    if (range->present != SspRange_PR_opaque)
        return false;
    for (int i = 0; i < list->list.count; i++) {
        const OCTET_STRING_t *entry = list->list.array[i];

        if (entry->size == size && (size == 0 || memcmp(entry->buf, octets, (size_t)size) == 0))
            return true;
    }
    return false;
}

/* Does the range allow this SSP? NULL = no SSP. */
static bool covers_ssp(const SspRange_t *range, const ServiceSpecificPermissions_t *ssp)
{
    const BitmapSspRange_t *bitmap = NULL;

    if (is_unlimited(range))
        return true;
    if (ssp == NULL)
        return opaque_covers(range, NULL, 0);
    if (ssp->present == ServiceSpecificPermissions_PR_opaque)
        return opaque_covers(range, ssp->choice.opaque.buf, ssp->choice.opaque.size);
    if (ssp->present != ServiceSpecificPermissions_PR_bitmapSsp ||
        range->present != SspRange_PR_bitmapSspRange)
        return false;
    bitmap = &range->choice.bitmapSspRange;
    for (int i = 0; i < bitmap->sspBitmask.size; i++) {
        uint8_t mask = bitmap->sspBitmask.buf[i];

        if (mask == 0)
            continue;
        if (i >= ssp->choice.bitmapSsp.size || i >= bitmap->sspValue.size ||
            ((ssp->choice.bitmapSsp.buf[i] ^ bitmap->sspValue.buf[i]) & mask) != 0)
            return false;
    }
    return true;
}

/* Does the range allow each SSP that inner allows? */
static bool covers_range(const SspRange_t *range, const SspRange_t *inner)
{
    const BitmapSspRange_t *a = NULL, *b = NULL;

    if (is_unlimited(range))
        return true;
    if (is_unlimited(inner) || inner->present != range->present)
        return false;
    if (inner->present == SspRange_PR_opaque) {
        for (int i = 0; i < inner->choice.opaque.list.count; i++) {
            const OCTET_STRING_t *entry = inner->choice.opaque.list.array[i];

            if (!opaque_covers(range, entry->buf, entry->size))
                return false;
        }
        return true;
    }
    a = &range->choice.bitmapSspRange;
    b = &inner->choice.bitmapSspRange;
    for (int i = 0; i < a->sspBitmask.size; i++) {
        uint8_t mask = a->sspBitmask.buf[i];

        if (mask == 0)
            continue;
        if (i >= b->sspBitmask.size || i >= b->sspValue.size || i >= a->sspValue.size ||
            (b->sspBitmask.buf[i] & mask) != mask ||
            ((a->sspValue.buf[i] ^ b->sspValue.buf[i]) & mask) != 0)
            return false;
    }
    return true;
}

/* An SSP (for appPermissions) or a range of them. */
struct claim {
    Psid_t psid;
    bool is_range;
    const ServiceSpecificPermissions_t *ssp;
    const SspRange_t *range;
};

static bool is_given(const SequenceOfPsidGroupPermissions_t *issuer, const struct claim *claim,
                     const struct need *need)
{
    bool named = names_psid(issuer, claim->psid);

    for (int i = 0; i < issuer->list.count; i++) {
        const PsidGroupPermissions_t *group = issuer->list.array[i];
        const SubjectPermissions_t *subject = &group->subjectPermissions;

        if (!group_allows(group, need))
            continue;
        if (subject->present == SubjectPermissions_PR_all) {
            if (!named)
                return true;
            continue;
        }
        for (int j = 0; j < subject->choice.Explicit.list.count; j++) {
            const PsidSspRange_t *range = subject->choice.Explicit.list.array[j];

            if (range->psid == claim->psid &&
                (claim->is_range ? covers_range(range->sspRange, claim->range)
                                 : covers_ssp(range->sspRange, claim->ssp)))
                return true;
        }
    }
    return false;
}

static enum dot2_status not_given(struct dot2_error *error, const char *field, Psid_t psid)
{
    return dot2_fail(error, DOT2_E_PERMISSION, field,
                     "PSID 0x%lx is not the issuer's to give in this place and chain length",
                     (unsigned long)psid);
}

/* `all` in a group of the subject. */
static enum dot2_status check_all(const SequenceOfPsidGroupPermissions_t *own,
                                  const SequenceOfPsidGroupPermissions_t *issuer,
                                  const struct need *need, const char *field,
                                  struct dot2_error *error)
{
    bool has_all = false;

    for (int i = 0; i < issuer->list.count; i++) {
        const PsidGroupPermissions_t *group = issuer->list.array[i];
        const SubjectPermissions_t *subject = &group->subjectPermissions;

        if (subject->present == SubjectPermissions_PR_all) {
            has_all = has_all || group_allows(group, need);
            continue;
        }
        for (int j = 0; j < subject->choice.Explicit.list.count; j++) {
            struct claim claim = {.psid = subject->choice.Explicit.list.array[j]->psid,
                                  .is_range = true};

            if (!names_psid(own, claim.psid) && !is_given(issuer, &claim, need))
                return not_given(error, field, claim.psid);
        }
    }
    return has_all ? DOT2_OK
                   : dot2_fail(error, DOT2_E_PERMISSION, field,
                               "all PSIDs are not the issuer's to give in this chain length");
}

static enum dot2_status check_groups(const SequenceOfPsidGroupPermissions_t *own,
                                     const SequenceOfPsidGroupPermissions_t *issuer,
                                     bool is_request, const char *field, struct dot2_error *error)
{
    for (int i = 0; i < own->list.count; i++) {
        const PsidGroupPermissions_t *group = own->list.array[i];
        const SubjectPermissions_t *subject = &group->subjectPermissions;
        long longest = longest_of(group);
        long shortest = shortest_of(group);
        struct need need = {
            .shortest = shortest == LONG_MAX ? LONG_MAX : shortest + 1,
            .longest = longest == LONG_MAX ? LONG_MAX : longest + 1,
            .ee_type = is_request ? ENROL : ee_type_of(group),
        };

        if (subject->present == SubjectPermissions_PR_all) {
            enum dot2_status status = check_all(own, issuer, &need, field, error);

            if (status != DOT2_OK)
                return status;
            continue;
        }
        for (int j = 0; j < subject->choice.Explicit.list.count; j++) {
            const PsidSspRange_t *range = subject->choice.Explicit.list.array[j];
            struct claim claim = {.psid = range->psid, .is_range = true, .range = range->sspRange};

            if (!is_given(issuer, &claim, &need))
                return not_given(error, field, claim.psid);
        }
    }
    return DOT2_OK;
}

enum dot2_status dot2_permissions_check(const ToBeSignedCertificate_t *subject,
                                        const ToBeSignedCertificate_t *issuer,
                                        struct dot2_error *error)
{
    const SequenceOfPsidGroupPermissions_t *groups = issuer->certIssuePermissions;
    const struct need application = {.shortest = 1, .longest = 1, .ee_type = APP};
    enum dot2_status status = DOT2_OK;

    if (groups == NULL)
        return dot2_fail(error, DOT2_E_PERMISSION, "Certificate.toBeSigned.certIssuePermissions",
                         "the issuer has none");
    for (int i = 0; subject->appPermissions != NULL && i < subject->appPermissions->list.count;
         i++) {
        const PsidSsp_t *entry = subject->appPermissions->list.array[i];
        struct claim claim = {.psid = entry->psid, .ssp = entry->ssp};

        if (!is_given(groups, &claim, &application))
            return not_given(error, "Certificate.toBeSigned.appPermissions", claim.psid);
    }
    if (subject->certIssuePermissions != NULL)
        status = check_groups(subject->certIssuePermissions, groups, false,
                              "Certificate.toBeSigned.certIssuePermissions", error);
    if (status == DOT2_OK && subject->certRequestPermissions != NULL)
        status = check_groups(subject->certRequestPermissions, groups, true,
                              "Certificate.toBeSigned.certRequestPermissions", error);
    return status;
}
