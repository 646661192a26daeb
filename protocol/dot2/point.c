/* point.c: curve points and signatures of the ASN.1, as octets of SEC 1. */
#include <string.h>

#include <openssl/err.h>

#include "protocol/dot2/internal.h"

static bool take(struct dot2_point *point, uint8_t form, size_t coordinate, const OCTET_STRING_t *x,
                 const OCTET_STRING_t *y)
{
    if (x->size < 0 || (size_t)x->size != coordinate ||
        (y != NULL && (y->size < 0 || (size_t)y->size != coordinate)))
        return false;
    point->coordinate = coordinate;
    point->octets[0] = form;
    memcpy(point->octets + 1, x->buf, coordinate);
    if (y != NULL)
        memcpy(point->octets + 1 + coordinate, y->buf, coordinate);
    return true;
}

bool dot2_point_p256(const EccP256CurvePoint_t *asn1, struct dot2_point *point)
{
    switch (asn1->present) {
    case EccP256CurvePoint_PR_x_only:
        return take(point, 0, 32, &asn1->choice.x_only, NULL);
    case EccP256CurvePoint_PR_compressed_y_0:
        return take(point, 2, 32, &asn1->choice.compressed_y_0, NULL);
    case EccP256CurvePoint_PR_compressed_y_1:
        return take(point, 3, 32, &asn1->choice.compressed_y_1, NULL);
    case EccP256CurvePoint_PR_uncompressedP256:
        return take(point, 4, 32, &asn1->choice.uncompressedP256.x,
                    &asn1->choice.uncompressedP256.y);
    default:
        return false;
    }
}

bool dot2_point_p384(const EccP384CurvePoint_t *asn1, struct dot2_point *point)
{
    switch (asn1->present) {
    case EccP384CurvePoint_PR_x_only:
        return take(point, 0, 48, &asn1->choice.x_only, NULL);
    case EccP384CurvePoint_PR_compressed_y_0:
        return take(point, 2, 48, &asn1->choice.compressed_y_0, NULL);
    case EccP384CurvePoint_PR_compressed_y_1:
        return take(point, 3, 48, &asn1->choice.compressed_y_1, NULL);
    case EccP384CurvePoint_PR_uncompressedP384:
        return take(point, 4, 48, &asn1->choice.uncompressedP384.x,
                    &asn1->choice.uncompressedP384.y);
    default:
        return false;
    }
}

void dot2_point_compress(struct dot2_point *point)
{
    if (point->octets[0] == 4)
        point->octets[0] = (uint8_t)(2 | (point->octets[2 * point->coordinate] & 1));
}

bool dot2_signature_read(const Signature_t *asn1, struct dot2_signature *signature)
{
    const EcdsaP256Signature_t *p256 = NULL;
    const EcdsaP384Signature_t *p384 = NULL;
    const OCTET_STRING_t *s = NULL;
    bool ok = false;

    switch (asn1->present) {
    case Signature_PR_ecdsaNistP256Signature:
        signature->curve = DOT2_CURVE_P256;
        p256 = &asn1->choice.ecdsaNistP256Signature;
        break;
    case Signature_PR_ecdsaBrainpoolP256r1Signature:
        signature->curve = DOT2_CURVE_BRAINPOOL_P256R1;
        p256 = &asn1->choice.ecdsaBrainpoolP256r1Signature;
        break;
    case Signature_PR_ecdsaBrainpoolP384r1Signature:
        signature->curve = DOT2_CURVE_BRAINPOOL_P384R1;
        p384 = &asn1->choice.ecdsaBrainpoolP384r1Signature;
        break;
    default:
        return false;
    }
    if (p256 != NULL) {
        ok = dot2_point_p256(&p256->rSig, &signature->r);
        s = &p256->sSig;
    } else {
        ok = dot2_point_p384(&p384->rSig, &signature->r);
        s = &p384->sSig;
    }
    signature->s = s->buf;
    return ok && s->size >= 0 && (size_t)s->size == signature->r.coordinate;
}

/* A curve point whose x is r: it must be one, although the verification only uses x. */
static bool is_on_curve(const EC_GROUP *group, const struct dot2_point *point)
{
    EC_POINT *decoded = EC_POINT_new(group);
    bool ok = false;

    ERR_set_mark();
    ok = decoded != NULL &&
         EC_POINT_oct2point(group, decoded, point->octets, dot2_point_size(point), NULL) == 1;
    ERR_pop_to_mark();
    EC_POINT_free(decoded);
    return ok;
}

enum dot2_status dot2_signature_r(const dot2_crypto *crypto, const struct dot2_signature *signature,
                                  bool check, uint8_t r[DOT2_MAX_COORDINATE],
                                  struct dot2_error *error)
{
    const struct dot2_point *point = &signature->r;
    const BIGNUM *order = dot2_order(crypto, signature->curve);
    BIGNUM *x = NULL;
    enum dot2_status status = DOT2_OK;

    memcpy(r, point->octets + 1, point->coordinate);
    if (dot2_point_form(point) == 0)
        return DOT2_OK;
    if (check && !is_on_curve(dot2_group(crypto, signature->curve), point))
        return dot2_fail(error, DOT2_E_SIGNATURE, "Signature.rSig", "not a point of %s",
                         dot2_curve_name(signature->curve));
    /* x-only holds r, which is x mod n; a whole point has x itself (1609.2 6.3.29, note). */
    x = BN_bin2bn(r, (int)point->coordinate, NULL);
    if (x == NULL)
        return dot2_fail_memory(error);
    if (BN_cmp(x, order) >= 0 &&
        (!BN_sub(x, x, order) || BN_bn2binpad(x, r, (int)point->coordinate) < 0))
        status = dot2_fail_memory(error);
    BN_free(x);
    return status;
}
