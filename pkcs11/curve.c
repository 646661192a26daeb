#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include "pkcs11/internal.h"

static const uint8_t oid_p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
/* RFC 5639, Appendix A.1: 1.3.36.3.3.2.8.1.1.7 and .11 */
static const uint8_t oid_bp256[] = {0x06, 0x09, 0x2b, 0x24, 0x03, 0x03,
                                    0x02, 0x08, 0x01, 0x01, 0x07};
static const uint8_t oid_bp384[] = {0x06, 0x09, 0x2b, 0x24, 0x03, 0x03,
                                    0x02, 0x08, 0x01, 0x01, 0x0b};

static const struct p11_curve_info curves[] = {
    {P11_CURVE_P256, NID_X9_62_prime256v1, "prime256v1", "P-256", 32, oid_p256, sizeof(oid_p256)},
    {P11_CURVE_P384, NID_secp384r1, "secp384r1", "P-384", 48, oid_p384, sizeof(oid_p384)},
    {P11_CURVE_BRAINPOOL_P256R1, NID_brainpoolP256r1, "brainpoolP256r1", NULL, 32, oid_bp256,
     sizeof(oid_bp256)},
    {P11_CURVE_BRAINPOOL_P384R1, NID_brainpoolP384r1, "brainpoolP384r1", NULL, 48, oid_bp384,
     sizeof(oid_bp384)},
};
#define CURVES (sizeof(curves) / sizeof(curves[0]))

const struct p11_curve_info *p11_curve_info(enum p11_curve curve)
{
    for (size_t i = 0; i < CURVES; i++)
        if (curves[i].curve == curve)
            return &curves[i];
    return NULL;
}

const char *p11_curve_name(enum p11_curve curve)
{
    const struct p11_curve_info *info = p11_curve_info(curve);

    return info != NULL ? info->name : NULL;
}

size_t p11_curve_size(enum p11_curve curve)
{
    const struct p11_curve_info *info = p11_curve_info(curve);

    return info != NULL ? info->size : 0;
}

enum p11_curve p11_curve_from_name(const char *name)
{
    if (name == NULL)
        return P11_CURVE_NONE;
    for (size_t i = 0; i < CURVES; i++)
        if (strcmp(curves[i].name, name) == 0 ||
            (curves[i].alias != NULL && strcmp(curves[i].alias, name) == 0))
            return curves[i].curve;
    return strcmp(name, "secp256r1") == 0 ? P11_CURVE_P256 : P11_CURVE_NONE;
}

static enum p11_curve curve_from_nid(int nid)
{
    for (size_t i = 0; i < CURVES; i++)
        if (curves[i].nid == nid)
            return curves[i].curve;
    return P11_CURVE_NONE;
}

enum p11_curve p11_curve_from_params(const uint8_t *params, size_t size)
{
    const uint8_t *at = params;
    EC_GROUP *group = NULL;
    int nid;

    if (params == NULL)
        return P11_CURVE_NONE;
    for (size_t i = 0; i < CURVES; i++)
        if (size == curves[i].oid_size && memcmp(params, curves[i].oid, size) == 0)
            return curves[i].curve;
    if (size > 4096)
        return P11_CURVE_NONE;
    ERR_set_mark();
    group = d2i_ECPKParameters(NULL, &at, (long)size);
    nid = NID_undef;
    if (group != NULL && at == params + size) {
        nid = EC_GROUP_get_curve_name(group);
        if (nid == NID_undef)
            nid = EC_GROUP_check_named_curve(group, 0, NULL);
    }
    EC_GROUP_free(group);
    ERR_pop_to_mark();
    return curve_from_nid(nid);
}

static CK_RV point_on_curve(const struct p11_curve_info *info, const uint8_t *octets, size_t size,
                            bool *valid, uint8_t point[P11_POINT_MAX])
{
    size_t full = 1 + 2 * info->size;
    EC_GROUP *group = NULL;
    EC_POINT *p = NULL;
    CK_RV rv = CKR_HOST_MEMORY;

    ERR_set_mark();
    if ((group = EC_GROUP_new_by_curve_name(info->nid)) == NULL ||
        (p = EC_POINT_new(group)) == NULL)
        goto out;
    rv = CKR_OK;
    *valid = EC_POINT_oct2point(group, p, octets, size, NULL) == 1 &&
             EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, point, full, NULL) == full;
out:
    EC_POINT_free(p);
    EC_GROUP_free(group);
    ERR_pop_to_mark();
    return rv;
}

CK_RV p11_point_decode(enum p11_curve curve, const uint8_t *value, size_t size, bool *valid,
                       uint8_t point[P11_POINT_MAX])
{
    const struct p11_curve_info *info = p11_curve_info(curve);

    *valid = false;
    if (info == NULL || value == NULL)
        return CKR_OK;
    /*
     * PKCS#11 2.40 wants an OCTET STRING, many tokens give the bare point. Both may begin with
     * 04, so the size decides: only these four occur.
     */
    if (size == 1 + 2 * info->size || size == 1 + info->size)
        return point_on_curve(info, value, size, valid, point);
    if ((size == 3 + 2 * info->size || size == 3 + info->size) && value[0] == 0x04 &&
        value[1] == size - 2)
        return point_on_curve(info, value + 2, size - 2, valid, point);
    return CKR_OK;
}

enum p11_curve p11_certificate_point(const uint8_t *der, size_t size, uint8_t point[P11_POINT_MAX])
{
    const uint8_t *at = der;
    const uint8_t *key = NULL;
    int key_size = 0;
    X509 *x509 = NULL;
    X509_ALGOR *algorithm = NULL;
    const ASN1_OBJECT *oid = NULL;
    const void *value = NULL;
    int type = V_ASN1_UNDEF;
    uint8_t *params = NULL;
    int params_size = 0;
    bool valid = false;
    enum p11_curve curve = P11_CURVE_NONE;

    if (der == NULL || size > 1 << 20)
        return P11_CURVE_NONE;
    ERR_set_mark();
    /* The key is taken from the octets: decoding it would ask providers, us perhaps. */
    if ((x509 = d2i_X509(NULL, &at, (long)size)) == NULL ||
        X509_PUBKEY_get0_param(NULL, &key, &key_size, &algorithm, X509_get_X509_PUBKEY(x509)) != 1)
        goto out;
    X509_ALGOR_get0(&oid, &type, &value, algorithm);
    if (OBJ_obj2nid(oid) != NID_X9_62_id_ecPublicKey)
        goto out;
    if (type == V_ASN1_OBJECT) {
        params_size = i2d_ASN1_OBJECT(value, &params);
    } else if (type == V_ASN1_SEQUENCE) {
        const ASN1_STRING *sequence = value;
        curve = p11_curve_from_params(ASN1_STRING_get0_data(sequence),
                                      (size_t)ASN1_STRING_length(sequence));
    }
    if (params_size > 0)
        curve = p11_curve_from_params(params, (size_t)params_size);
    if (curve != P11_CURVE_NONE &&
        (p11_point_decode(curve, key, (size_t)key_size, &valid, point) != CKR_OK || !valid))
        curve = P11_CURVE_NONE;
out:
    OPENSSL_free(params);
    X509_free(x509);
    ERR_pop_to_mark();
    return curve;
}
