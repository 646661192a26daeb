/*
 * canonical.c: the canonical form of a certificate (IEEE 1609.2 6.4.3): points in toBeSigned
 * compressed, rSig x-only.
 *
 * What was received is not decoded and encoded again: a peer of another edition may have sent
 * additions that this one does not know. The octets of the points alone are replaced.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/internal.h"

struct replacement {
    size_t offset, size; /* in the received octets */
    uint8_t octets[4 + 2 * DOT2_MAX_COORDINATE];
    size_t new_size;
};

static size_t put_compressed(const struct dot2_point *point, uint8_t *out)
{
    struct dot2_point compressed = *point;

    dot2_point_compress(&compressed);
    out[0] = (uint8_t)(0x80 | compressed.octets[0]); /* compressed-y-0 is [2], -y-1 is [3] */
    memcpy(out + 1, compressed.octets + 1, compressed.coordinate);
    return 1 + compressed.coordinate;
}

static bool set_place(const dot2_cert *cert, const asn_TYPE_descriptor_t *type, const void *value,
                      struct replacement *replacement)
{
    struct coer_span span = {0};

    if (!coer_span_of(type, value, &span))
        return false;
    replacement->offset = (size_t)(span.data - cert->octets);
    replacement->size = span.size;
    return true;
}

static bool replace_point(const dot2_cert *cert, const EccP256CurvePoint_t *asn1,
                          const struct dot2_point *point, struct replacement *replacement)
{
    replacement->new_size = put_compressed(point, replacement->octets);
    return set_place(cert, &asn_DEF_EccP256CurvePoint, asn1, replacement);
}

/* The key; on brainpoolP384r1 it stands in an open type, whose length changes too. */
static bool replace_key(const dot2_cert *cert, struct replacement *replacement)
{
    const VerificationKeyIndicator_t *indicator = &cert->base->toBeSigned.verifyKeyIndicator;
    const PublicVerificationKey_t *key = &indicator->choice.verificationKey;

    if (indicator->present == VerificationKeyIndicator_PR_reconstructionValue)
        return replace_point(cert, &indicator->choice.reconstructionValue, &cert->key, replacement);
    if (cert->curve == DOT2_CURVE_P256)
        return replace_point(cert, &key->choice.ecdsaNistP256, &cert->key, replacement);
    if (cert->curve == DOT2_CURVE_BRAINPOOL_P256R1)
        return replace_point(cert, &key->choice.ecdsaBrainpoolP256r1, &cert->key, replacement);
    replacement->octets[0] = 0x82;
    replacement->new_size = 2 + put_compressed(&cert->key, replacement->octets + 2);
    replacement->octets[1] = (uint8_t)(replacement->new_size - 2);
    return set_place(cert, &asn_DEF_PublicVerificationKey, key, replacement);
}

/* The whole Signature, for the same reason. */
static enum dot2_status replace_signature(const dot2_cert *cert,
                                          const struct dot2_signature *signature,
                                          struct replacement *replacement, struct dot2_error *error)
{
    size_t coordinate = signature->r.coordinate;
    uint8_t r[DOT2_MAX_COORDINATE];
    uint8_t *p = replacement->octets;
    /* Whether R is on the curve does not change its r; it is checked when the signature is. */
    enum dot2_status status = dot2_signature_r(cert->crypto, signature, false, r, error);

    if (status != DOT2_OK)
        return status;
    if (signature->curve == DOT2_CURVE_BRAINPOOL_P384R1) {
        *p++ = 0x82;
        *p++ = (uint8_t)(1 + 2 * coordinate);
    } else {
        *p++ = signature->curve == DOT2_CURVE_P256 ? 0x80 : 0x81;
    }
    *p++ = 0x80;
    memcpy(p, r, coordinate);
    memcpy(p + coordinate, signature->s, coordinate);
    replacement->new_size = (size_t)(p - replacement->octets) + 2 * coordinate;
    return set_place(cert, &asn_DEF_Signature, cert->base->signature, replacement)
               ? DOT2_OK
               : dot2_fail(error, DOT2_E_DECODE, "Certificate.signature", "has no octets");
}

static enum dot2_status splice(dot2_cert *cert, const struct replacement *replacements,
                               size_t count, struct dot2_error *error)
{
    size_t from = 0, to = 0;

    /* Each replacement is shorter than what it replaces. */
    cert->canonical = OPENSSL_malloc(cert->size);
    if (cert->canonical == NULL)
        return dot2_fail_memory(error);
    for (size_t i = 0; i < count; i++) {
        const struct replacement *r = &replacements[i];

        memcpy(cert->canonical + to, cert->octets + from, r->offset - from);
        to += r->offset - from;
        memcpy(cert->canonical + to, r->octets, r->new_size);
        to += r->new_size;
        from = r->offset + r->size;
        if (r->offset < cert->tbs_offset + cert->tbs_size)
            cert->canonical_tbs_size -= r->size - r->new_size;
    }
    memcpy(cert->canonical + to, cert->octets + from, cert->size - from);
    cert->canonical_size = to + cert->size - from;
    return DOT2_OK;
}

enum dot2_status dot2_cert_canonicalise(dot2_cert *cert, struct dot2_error *error)
{
    const PublicEncryptionKey_t *encryption = cert->base->toBeSigned.encryptionKey;
    const EccP256CurvePoint_t *encryption_point = NULL;
    enum dot2_status status = DOT2_OK;
    struct replacement replacements[3] = {0};
    struct dot2_signature signature = {0};
    struct dot2_point point = {0};
    size_t count = 0;
    bool ok = true;

    cert->canonical = cert->octets;
    cert->canonical_size = cert->size;
    cert->canonical_tbs_size = cert->tbs_size;
    if (encryption != NULL) {
        const BasePublicEncryptionKey_t *base = &encryption->publicKey;

        encryption_point = base->present == BasePublicEncryptionKey_PR_eciesNistP256
                               ? &base->choice.eciesNistP256
                               : &base->choice.eciesBrainpoolP256r1;
        ok = dot2_point_p256(encryption_point, &point);
        if (ok && dot2_point_form(&point) == 4)
            ok = replace_point(cert, encryption_point, &point, &replacements[count++]);
    }
    if (ok && dot2_point_form(&cert->key) == 4)
        ok = replace_key(cert, &replacements[count++]);
    if (!ok)
        return dot2_fail(error, DOT2_E_DECODE, "Certificate.toBeSigned", "a point has no octets");
    if (cert->base->signature != NULL) {
        if (!dot2_signature_read(cert->base->signature, &signature))
            return dot2_fail(error, DOT2_E_CERTIFICATE, "Certificate.signature", "without a point");
        if (dot2_point_form(&signature.r) != 0) {
            status = replace_signature(cert, &signature, &replacements[count++], error);
            if (status != DOT2_OK)
                return status;
        }
    }
    return count == 0 ? DOT2_OK : splice(cert, replacements, count, error);
}
