/* consistency.c: what the ASN.1 does not say about one certificate (IEEE 1609.2 6.4). */
#include <string.h>

#include "protocol/dot2/internal.h"

#define TBS "Certificate.toBeSigned."

static enum dot2_status bad(struct dot2_error *error, const char *field, const char *text)
{
    return dot2_fail(error, DOT2_E_CERTIFICATE, field, "%s", text);
}

/* A key that can be used is a whole point: neither x-only nor fill. */
static bool is_whole_p256(const EccP256CurvePoint_t *asn1)
{
    struct dot2_point point;

    return dot2_point_p256(asn1, &point) && dot2_point_form(&point) != 0;
}

static bool is_whole_key(const PublicVerificationKey_t *key)
{
    struct dot2_point point;

    switch (key->present) {
    case PublicVerificationKey_PR_ecdsaNistP256:
        return is_whole_p256(&key->choice.ecdsaNistP256);
    case PublicVerificationKey_PR_ecdsaBrainpoolP256r1:
        return is_whole_p256(&key->choice.ecdsaBrainpoolP256r1);
    case PublicVerificationKey_PR_ecdsaBrainpoolP384r1:
        return dot2_point_p384(&key->choice.ecdsaBrainpoolP384r1, &point) &&
               dot2_point_form(&point) != 0;
    default:
        return false;
    }
}

/* 6.4.4, 6.4.5, 6.4.7: type, key and signature belong together. */
static enum dot2_status check_kind(const CertificateBase_t *base, struct dot2_error *error)
{
    const VerificationKeyIndicator_t *indicator = &base->toBeSigned.verifyKeyIndicator;
    const PublicVerificationKey_t *key = &indicator->choice.verificationKey;
    bool is_384 = false;

    if (base->version != 3)
        return bad(error, "Certificate.version", "is not 3");
    if (base->type == CertificateType_implicit) {
        if (base->signature != NULL)
            return bad(error, "Certificate.signature", "in an implicit certificate");
        if (indicator->present != VerificationKeyIndicator_PR_reconstructionValue)
            return bad(error, TBS "verifyKeyIndicator",
                       "no reconstructionValue in an implicit "
                       "certificate");
        if (!is_whole_p256(&indicator->choice.reconstructionValue))
            return bad(error, TBS "verifyKeyIndicator.reconstructionValue", "no whole point");
        if (base->issuer.present == IssuerIdentifier_PR_self)
            return bad(error, "Certificate.issuer", "self in an implicit certificate");
        return DOT2_OK;
    }
    if (base->type != CertificateType_explicit)
        return bad(error, "Certificate.type", "neither explicit nor implicit");
    if (base->signature == NULL)
        return bad(error, "Certificate.signature", "missing in an explicit certificate");
    if (indicator->present != VerificationKeyIndicator_PR_verificationKey)
        return bad(error, TBS "verifyKeyIndicator",
                   "no verificationKey in an explicit "
                   "certificate");
    if (!is_whole_key(key))
        return bad(error, TBS "verifyKeyIndicator.verificationKey", "no whole point");
    is_384 = key->present == PublicVerificationKey_PR_ecdsaBrainpoolP384r1;
    if (base->issuer.present == IssuerIdentifier_PR_self &&
        base->issuer.choice.self != (is_384 ? HashAlgorithm_sha384 : HashAlgorithm_sha256))
        return bad(error, "Certificate.issuer.self", "not the hash of the key");
    return DOT2_OK;
}

static bool check_range(const PsidSspRange_t *range)
{
    const SspRange_t *ssp = range->sspRange;

    if (ssp == NULL || ssp->present == SspRange_PR_all)
        return true;
    if (ssp->present == SspRange_PR_opaque)
        return ssp->choice.opaque.list.count > 0;
    /* 6.4.32: sspValue and sspBitmask have the same length. */
    return ssp->present == SspRange_PR_bitmapSspRange &&
           ssp->choice.bitmapSspRange.sspValue.size == ssp->choice.bitmapSspRange.sspBitmask.size;
}

/* 6.4.28; shortest is the least minChainLength: 0 makes a certIssuePermissions invalid. */
static enum dot2_status check_groups(const SequenceOfPsidGroupPermissions_t *groups, long shortest,
                                     const char *field, struct dot2_error *error)
{
    if (groups == NULL)
        return DOT2_OK;
    if (groups->list.count == 0)
        return bad(error, field, "is empty");
    for (int i = 0; i < groups->list.count; i++) {
        const PsidGroupPermissions_t *group = groups->list.array[i];
        const SubjectPermissions_t *subject = &group->subjectPermissions;

        if (group->minChainLength != NULL && *group->minChainLength < shortest)
            return bad(error, field, "minChainLength is too small");
        if (group->chainLengthRange < -1)
            return bad(error, field, "chainLengthRange is less than -1");
        if (group->eeType != NULL && (group->eeType->size != 1 || group->eeType->buf[0] == 0))
            return bad(error, field, "eeType is empty");
        if (subject->present == SubjectPermissions_PR_all)
            continue;
        if (subject->choice.Explicit.list.count == 0)
            return bad(error, field, "subjectPermissions is empty");
        for (int j = 0; j < subject->choice.Explicit.list.count; j++) {
            if (!check_range(subject->choice.Explicit.list.array[j]))
                return bad(error, field, "an sspRange is empty, or value and mask differ in size");
        }
    }
    return DOT2_OK;
}

static enum dot2_status check_permissions(const ToBeSignedCertificate_t *tbs,
                                          struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;

    if (tbs->appPermissions == NULL && tbs->certIssuePermissions == NULL &&
        tbs->certRequestPermissions == NULL)
        return bad(error, "Certificate.toBeSigned", "has no permissions field (6.4.8)");
    if (tbs->appPermissions != NULL && tbs->appPermissions->list.count == 0)
        return bad(error, TBS "appPermissions", "is empty");
    status = check_groups(tbs->certIssuePermissions, 1, TBS "certIssuePermissions", error);
    if (status == DOT2_OK)
        status = check_groups(tbs->certRequestPermissions, 0, TBS "certRequestPermissions", error);
    return status;
}

static bool check_identified(const IdentifiedRegion_t *region)
{
    if (region->present == IdentifiedRegion_PR_countryAndRegions)
        return region->choice.countryAndRegions.regions.list.count > 0;
    if (region->present == IdentifiedRegion_PR_countryAndSubregions)
        return region->choice.countryAndSubregions.regionAndSubregions.list.count > 0;
    return true;
}

static enum dot2_status check_region(const GeographicRegion_t *region, struct dot2_error *error)
{
    if (region == NULL)
        return DOT2_OK;
    if ((region->present == GeographicRegion_PR_rectangularRegion &&
         region->choice.rectangularRegion.list.count == 0) ||
        (region->present == GeographicRegion_PR_identifiedRegion &&
         region->choice.identifiedRegion.list.count == 0))
        return bad(error, TBS "region", "is empty");
    if (region->present == GeographicRegion_PR_identifiedRegion) {
        for (int i = 0; i < region->choice.identifiedRegion.list.count; i++) {
            if (!check_identified(region->choice.identifiedRegion.list.array[i]))
                return bad(error, TBS "region", "an identified region is empty");
        }
    }
    return DOT2_OK;
}

enum dot2_status dot2_cert_check_consistency(const CertificateBase_t *base,
                                             struct dot2_error *error)
{
    const ToBeSignedCertificate_t *tbs = &base->toBeSigned;
    const PublicEncryptionKey_t *encryption = tbs->encryptionKey;
    enum dot2_status status = check_kind(base, error);

    if (status == DOT2_OK)
        status = check_permissions(tbs, error);
    if (status == DOT2_OK)
        status = check_region(tbs->region, error);
    if (status == DOT2_OK && encryption != NULL) {
        const BasePublicEncryptionKey_t *key = &encryption->publicKey;

        if (!is_whole_p256(key->present == BasePublicEncryptionKey_PR_eciesNistP256
                               ? &key->choice.eciesNistP256
                               : &key->choice.eciesBrainpoolP256r1))
            status = bad(error, TBS "encryptionKey", "no whole point");
    }
    return status;
}
