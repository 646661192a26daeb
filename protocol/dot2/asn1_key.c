/* asn1_key.c: public keys to and from the types of IEEE 1609.2. */
#include "protocol/dot2/asn1_key.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/internal.h"

enum dot2_status dot2_asn1_encode(const asn_TYPE_descriptor_t *type, const void *value,
                                  uint8_t **octets, size_t *size, struct dot2_error *error)
{
    struct coer_error coer = {0};
    size_t needed = 0;

    *octets = NULL;
    *size = 0;
    if (coer_encoded_size(type, value, &needed, &coer) != COER_OK)
        goto failed;
    *octets = OPENSSL_malloc(needed > 0 ? needed : 1);
    if (*octets == NULL)
        return dot2_fail_memory(error);
    if (coer_encode(type, value, *octets, needed, size, &coer) == COER_OK)
        return DOT2_OK;
    OPENSSL_free(*octets);
    *octets = NULL;
    *size = 0;
failed:
    /* A value that we made: what it lacks is the caller's. */
    dot2_fail_coer(error, &coer, 0);
    if (error != NULL && error->status == DOT2_E_DECODE)
        error->status = DOT2_E_ARGUMENT;
    return coer.status == COER_E_MEMORY ? DOT2_E_MEMORY : DOT2_E_ARGUMENT;
}

bool dot2_asn1_set_point(coer_arena *arena, EccP256CurvePoint_t *asn1, const uint8_t compressed[33])
{
    bool odd = compressed[0] == 3;

    asn1->present = odd ? EccP256CurvePoint_PR_compressed_y_1 : EccP256CurvePoint_PR_compressed_y_0;
    return coer_octets(arena, odd ? &asn1->choice.compressed_y_1 : &asn1->choice.compressed_y_0,
                       compressed + 1, 32);
}

static enum dot2_status point_of(const EVP_PKEY *key, const char *field, uint8_t compressed[49],
                                 struct dot2_error *error)
{
    size_t size = 0;
    enum dot2_status status = DOT2_OK;

    if (dot2_key_curve(key) == DOT2_CURVE_NONE)
        return dot2_fail(error, DOT2_E_ALGORITHM, field, "a key on a curve that is not known here");
    status = dot2_public_point(key, compressed, &size);
    if (status != DOT2_OK)
        return dot2_fail(error, status, field, "the key gives no public point");
    return DOT2_OK;
}

enum dot2_status dot2_asn1_set_verification_key(coer_arena *arena, PublicVerificationKey_t *asn1,
                                                const EVP_PKEY *key, const char *field,
                                                struct dot2_error *error)
{
    uint8_t point[49];
    enum dot2_status status = point_of(key, field, point, error);
    EccP384CurvePoint_t *p384 = &asn1->choice.ecdsaBrainpoolP384r1;
    bool odd = point[0] == 3, ok = false;

    if (status != DOT2_OK)
        return status;
    switch (dot2_key_curve(key)) {
    case DOT2_CURVE_P256:
        asn1->present = PublicVerificationKey_PR_ecdsaNistP256;
        ok = dot2_asn1_set_point(arena, &asn1->choice.ecdsaNistP256, point);
        break;
    case DOT2_CURVE_BRAINPOOL_P256R1:
        asn1->present = PublicVerificationKey_PR_ecdsaBrainpoolP256r1;
        ok = dot2_asn1_set_point(arena, &asn1->choice.ecdsaBrainpoolP256r1, point);
        break;
    case DOT2_CURVE_BRAINPOOL_P384R1:
        asn1->present = PublicVerificationKey_PR_ecdsaBrainpoolP384r1;
        p384->present =
            odd ? EccP384CurvePoint_PR_compressed_y_1 : EccP384CurvePoint_PR_compressed_y_0;
        ok = coer_octets(arena, odd ? &p384->choice.compressed_y_1 : &p384->choice.compressed_y_0,
                         point + 1, 48);
        break;
    default:
        return dot2_fail(error, DOT2_E_ALGORITHM, field, "the type has no alternative for %s",
                         dot2_curve_name(dot2_key_curve(key)));
    }
    return ok ? DOT2_OK : dot2_fail_memory(error);
}

enum dot2_status dot2_asn1_set_encryption_key(coer_arena *arena, PublicEncryptionKey_t *asn1,
                                              const EVP_PKEY *key, const char *field,
                                              struct dot2_error *error)
{
    uint8_t point[49];
    enum dot2_status status = point_of(key, field, point, error);
    bool ok = false;

    if (status != DOT2_OK)
        return status;
    asn1->supportedSymmAlg = SymmAlgorithm_aes128Ccm;
    switch (dot2_key_curve(key)) {
    case DOT2_CURVE_P256:
        asn1->publicKey.present = BasePublicEncryptionKey_PR_eciesNistP256;
        ok = dot2_asn1_set_point(arena, &asn1->publicKey.choice.eciesNistP256, point);
        break;
    case DOT2_CURVE_BRAINPOOL_P256R1:
        asn1->publicKey.present = BasePublicEncryptionKey_PR_eciesBrainpoolP256r1;
        ok = dot2_asn1_set_point(arena, &asn1->publicKey.choice.eciesBrainpoolP256r1, point);
        break;
    default:
        return dot2_fail(error, DOT2_E_ALGORITHM, field, "the type has no alternative for %s",
                         dot2_curve_name(dot2_key_curve(key)));
    }
    return ok ? DOT2_OK : dot2_fail_memory(error);
}

static enum dot2_status get(const dot2_crypto *crypto, enum dot2_curve curve, bool whole,
                            const struct dot2_point *point, const char *field, EVP_PKEY **key,
                            struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;

    if (key != NULL)
        *key = NULL;
    if (!whole || dot2_point_form(point) == 0)
        return dot2_fail(error, DOT2_E_POINT, field, "not a whole point (x-only or fill)");
    if (key != NULL)
        status = dot2_public_key(crypto, curve, point->octets, dot2_point_size(point), key, error);
    else
        status = dot2_point_check(crypto, curve, point->octets, dot2_point_size(point), error);
    if (status != DOT2_OK && error != NULL)
        snprintf(error->field, sizeof(error->field), "%s", field);
    return status;
}

enum dot2_status dot2_asn1_get_point(const dot2_crypto *crypto, enum dot2_curve curve,
                                     const EccP256CurvePoint_t *asn1, const char *field,
                                     EVP_PKEY **key, struct dot2_error *error)
{
    struct dot2_point point = {0};
    bool whole = dot2_point_p256(asn1, &point);

    return get(crypto, curve, whole, &point, field, key, error);
}

enum dot2_status dot2_asn1_get_verification_key(const dot2_crypto *crypto,
                                                const PublicVerificationKey_t *asn1,
                                                const char *field, EVP_PKEY **key,
                                                struct dot2_error *error)
{
    struct dot2_point point = {0};
    bool whole = false;

    if (key != NULL)
        *key = NULL;
    switch (asn1->present) {
    case PublicVerificationKey_PR_ecdsaNistP256:
        return dot2_asn1_get_point(crypto, DOT2_CURVE_P256, &asn1->choice.ecdsaNistP256, field, key,
                                   error);
    case PublicVerificationKey_PR_ecdsaBrainpoolP256r1:
        return dot2_asn1_get_point(crypto, DOT2_CURVE_BRAINPOOL_P256R1,
                                   &asn1->choice.ecdsaBrainpoolP256r1, field, key, error);
    case PublicVerificationKey_PR_ecdsaBrainpoolP384r1:
        whole = dot2_point_p384(&asn1->choice.ecdsaBrainpoolP384r1, &point);
        return get(crypto, DOT2_CURVE_BRAINPOOL_P384R1, whole, &point, field, key, error);
    default:
        return dot2_fail(error, DOT2_E_ALGORITHM, field, "a kind of key that is not known here");
    }
}

enum dot2_status dot2_asn1_get_encryption_key(const dot2_crypto *crypto,
                                              const PublicEncryptionKey_t *asn1, const char *field,
                                              EVP_PKEY **key, struct dot2_error *error)
{
    if (key != NULL)
        *key = NULL;
    if (asn1->supportedSymmAlg != SymmAlgorithm_aes128Ccm)
        return dot2_fail(error, DOT2_E_ALGORITHM, field, "a symmetric algorithm that is not known");
    switch (asn1->publicKey.present) {
    case BasePublicEncryptionKey_PR_eciesNistP256:
        return dot2_asn1_get_point(crypto, DOT2_CURVE_P256, &asn1->publicKey.choice.eciesNistP256,
                                   field, key, error);
    case BasePublicEncryptionKey_PR_eciesBrainpoolP256r1:
        return dot2_asn1_get_point(crypto, DOT2_CURVE_BRAINPOOL_P256R1,
                                   &asn1->publicKey.choice.eciesBrainpoolP256r1, field, key, error);
    default:
        return dot2_fail(error, DOT2_E_ALGORITHM, field, "a kind of key that is not known here");
    }
}

bool dot2_asn1_verification_point(const PublicVerificationKey_t *asn1, uint8_t compressed[49],
                                  size_t *size)
{
    struct dot2_point point = {0};
    bool whole = false;

    if (asn1->present == PublicVerificationKey_PR_ecdsaNistP256)
        whole = dot2_point_p256(&asn1->choice.ecdsaNistP256, &point);
    else if (asn1->present == PublicVerificationKey_PR_ecdsaBrainpoolP256r1)
        whole = dot2_point_p256(&asn1->choice.ecdsaBrainpoolP256r1, &point);
    else if (asn1->present == PublicVerificationKey_PR_ecdsaBrainpoolP384r1)
        whole = dot2_point_p384(&asn1->choice.ecdsaBrainpoolP384r1, &point);
    if (!whole || dot2_point_form(&point) == 0)
        return false;
    dot2_point_compress(&point);
    *size = dot2_point_size(&point);
    memcpy(compressed, point.octets, *size);
    return true;
}
