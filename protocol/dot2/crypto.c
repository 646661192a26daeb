/*
 * crypto.c: the library context and what is fetched from it once; curves, hashes, public keys.
 *
 * Point arithmetic of ECQV and checks of points use EC_GROUP and EC_POINT, which OpenSSL 3 keeps;
 * keys are EVP_PKEY. Public keys are made in the provider dot2hsm, where they are used, so that no
 * operation has to export them there first.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/provider.h>

#include "protocol/dot2/internal.h"

static const struct curve {
    const char *name; /* OpenSSL's */
    const char *alias;
    int nid;
    size_t size;
    const char *digest;
} curves[DOT2_CURVES] = {
    {"none", "none", NID_undef, 0, NULL},
    {"prime256v1", "P-256", NID_X9_62_prime256v1, 32, "SHA256"},
    {"brainpoolP256r1", "brainpoolP256r1", NID_brainpoolP256r1, 32, "SHA256"},
    {"brainpoolP384r1", "brainpoolP384r1", NID_brainpoolP384r1, 48, "SHA384"},
    {"secp384r1", "P-384", NID_secp384r1, 48, "SHA384"},
};

struct dot2_crypto {
    int references;
    OSSL_LIB_CTX *libctx;
    EVP_MD *sha256, *sha384;
    EVP_CIPHER *aes_ccm;
    EC_GROUP *groups[DOT2_CURVES];
};

/* The provider is there and knows the parameter that makes it sign what 1609.2 says. */
static bool provider_is_there(OSSL_LIB_CTX *libctx)
{
    EVP_SIGNATURE *ecdsa = NULL;
    const OSSL_PARAM *settable = NULL;
    bool there = false;

    ERR_set_mark();
    ecdsa = EVP_SIGNATURE_fetch(libctx, "ECDSA", DOT2_PROVIDER_PROPERTIES);
    if (ecdsa != NULL)
        settable = EVP_SIGNATURE_settable_ctx_params(ecdsa);
    there = settable != NULL && OSSL_PARAM_locate_const(settable, "dot2-signer") != NULL;
    ERR_pop_to_mark();
    /* Not kept: who unloads the provider must not meet an operation that goes on in it. */
    EVP_SIGNATURE_free(ecdsa);
    return there;
}

enum dot2_status dot2_crypto_new(OSSL_LIB_CTX *libctx, dot2_crypto **crypto,
                                 struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;
    dot2_crypto *new = NULL;

    *crypto = NULL;
    if (!provider_is_there(libctx))
        return dot2_fail(error, DOT2_E_PROVIDER, NULL,
                         "the provider " DOT2_PROVIDER_NAME " is not loaded");
    new = OPENSSL_zalloc(sizeof(*new));
    if (new == NULL)
        return dot2_fail_memory(error);
    new->references = 1;
    new->libctx = libctx;
    new->sha256 = EVP_MD_fetch(libctx, "SHA256", DOT2_SOFTWARE_PROPERTIES);
    new->sha384 = EVP_MD_fetch(libctx, "SHA384", DOT2_SOFTWARE_PROPERTIES);
    new->aes_ccm = EVP_CIPHER_fetch(libctx, "AES-128-CCM", DOT2_SOFTWARE_PROPERTIES);
    if (new->sha256 == NULL || new->sha384 == NULL || new->aes_ccm == NULL) {
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "SHA-256, SHA-384 and AES-128-CCM");
        goto out;
    }
    for (size_t i = 1; i < DOT2_CURVES; i++) {
        new->groups[i] = EC_GROUP_new_by_curve_name_ex(libctx, NULL, curves[i].nid);
        if (new->groups[i] == NULL) {
            status = dot2_fail_openssl(error, DOT2_E_CRYPTO, curves[i].name);
            goto out;
        }
    }
    if (coer_init() != COER_OK) {
        status = dot2_fail_memory(error);
        goto out;
    }
    *crypto = new;
    new = NULL;
out:
    dot2_crypto_free(new);
    return status;
}

enum dot2_status dot2_check_provider(const dot2_crypto *crypto, struct dot2_error *error)
{
    if (OSSL_PROVIDER_available(crypto->libctx, DOT2_PROVIDER_NAME))
        return DOT2_OK;
    return dot2_fail(error, DOT2_E_PROVIDER, NULL,
                     "the provider " DOT2_PROVIDER_NAME " is not loaded");
}

dot2_crypto *dot2_crypto_up_ref(dot2_crypto *crypto)
{
    (void)__atomic_add_fetch(&crypto->references, 1, __ATOMIC_RELAXED);
    return crypto;
}

void dot2_crypto_free(dot2_crypto *crypto)
{
    if (crypto == NULL || __atomic_sub_fetch(&crypto->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < DOT2_CURVES; i++)
        EC_GROUP_free(crypto->groups[i]);
    EVP_MD_free(crypto->sha256);
    EVP_MD_free(crypto->sha384);
    EVP_CIPHER_free(crypto->aes_ccm);
    OPENSSL_free(crypto);
}

OSSL_LIB_CTX *dot2_crypto_libctx(const dot2_crypto *crypto)
{
    return crypto->libctx;
}

const EC_GROUP *dot2_group(const dot2_crypto *crypto, enum dot2_curve curve)
{
    return crypto->groups[curve];
}

const BIGNUM *dot2_order(const dot2_crypto *crypto, enum dot2_curve curve)
{
    return EC_GROUP_get0_order(crypto->groups[curve]);
}

size_t dot2_curve_size(enum dot2_curve curve)
{
    return (unsigned)curve < DOT2_CURVES ? curves[curve].size : 0;
}

size_t dot2_curve_hash_size(enum dot2_curve curve)
{
    return dot2_curve_size(curve); /* for these four they are the same */
}

const char *dot2_curve_name(enum dot2_curve curve)
{
    return (unsigned)curve < DOT2_CURVES ? curves[curve].alias : curves[0].alias;
}

const EVP_CIPHER *dot2_aes_ccm(const dot2_crypto *crypto)
{
    return crypto->aes_ccm;
}

const char *dot2_digest_name(enum dot2_curve curve)
{
    return curves[curve].digest;
}

enum dot2_curve dot2_key_curve(const EVP_PKEY *key)
{
    char name[64] = "";

    ERR_set_mark();
    if (key == NULL || !EVP_PKEY_get_group_name(key, name, sizeof(name), NULL))
        name[0] = '\0';
    ERR_pop_to_mark();
    for (int i = 1; i < DOT2_CURVES; i++) {
        if (OPENSSL_strcasecmp(name, curves[i].name) == 0 ||
            OPENSSL_strcasecmp(name, curves[i].alias) == 0)
            return (enum dot2_curve)i;
    }
    /* The SEC 2 name of P-256. */
    return OPENSSL_strcasecmp(name, "secp256r1") == 0 ? DOT2_CURVE_P256 : DOT2_CURVE_NONE;
}

static enum dot2_status digest(const EVP_MD *md, const uint8_t *data, size_t size, uint8_t *hash)
{
    return EVP_Digest(size > 0 ? data : (const uint8_t *)"", size, hash, NULL, md, NULL) == 1
               ? DOT2_OK
               : DOT2_E_CRYPTO;
}

enum dot2_status dot2_hash(const dot2_crypto *crypto, enum dot2_curve curve, const uint8_t *data,
                           size_t size, uint8_t hash[48])
{
    if (dot2_curve_size(curve) == 0)
        return DOT2_E_ALGORITHM;
    return digest(dot2_curve_size(curve) == 32 ? crypto->sha256 : crypto->sha384, data, size, hash);
}

enum dot2_status dot2_sha256(const dot2_crypto *crypto, const uint8_t *data, size_t size,
                             uint8_t hash[32])
{
    return digest(crypto->sha256, data, size, hash);
}

enum dot2_status dot2_key_of_point(const dot2_crypto *crypto, enum dot2_curve curve,
                                   const EC_POINT *point, EVP_PKEY **key, struct dot2_error *error)
{
    enum dot2_status status = DOT2_E_CRYPTO;
    uint8_t octets[1 + 2 * DOT2_MAX_COORDINATE];
    size_t size = EC_POINT_point2oct(crypto->groups[curve], point, POINT_CONVERSION_UNCOMPRESSED,
                                     octets, sizeof(octets), NULL);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curves[curve].name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets, size),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *ctx = NULL;

    *key = NULL;
    if (size != 1 + 2 * curves[curve].size) /* the point at infinity is one octet */
        return dot2_fail(error, DOT2_E_POINT, NULL, "the point at infinity");
    ctx = EVP_PKEY_CTX_new_from_name(crypto->libctx, "EC", DOT2_PROVIDER_PROPERTIES);
    if (ctx == NULL) {
        status = dot2_fail(error, DOT2_E_PROVIDER, NULL,
                           "the provider " DOT2_PROVIDER_NAME " is not loaded");
        goto out;
    }
    if (EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, key, EVP_PKEY_PUBLIC_KEY, params) <= 0) {
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "public key");
        goto out;
    }
    status = DOT2_OK;
out:
    EVP_PKEY_CTX_free(ctx);
    return status;
}

static enum dot2_status decode_point(const dot2_crypto *crypto, enum dot2_curve curve,
                                     const uint8_t *encoding, size_t size, EC_POINT **decoded,
                                     struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;
    size_t coordinate = dot2_curve_size(curve);
    EC_POINT *point = NULL;

    *decoded = NULL;
    if (coordinate == 0)
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL, "no curve");
    /* OpenSSL would also take the hybrid form and the point at infinity. */
    if (size == 0 || !((size == 1 + coordinate && (encoding[0] == 2 || encoding[0] == 3)) ||
                       (size == 1 + 2 * coordinate && encoding[0] == 4)))
        return dot2_fail(error, DOT2_E_POINT, NULL, "%zu octets are no point of %s", size,
                         curves[curve].alias);
    point = EC_POINT_new(crypto->groups[curve]);
    if (point == NULL)
        return dot2_fail_memory(error);
    ERR_set_mark();
    /* Also checks that the point is on the curve. The cofactor of all four is 1. */
    if (EC_POINT_oct2point(crypto->groups[curve], point, encoding, size, NULL) != 1)
        status = dot2_fail(error, DOT2_E_POINT, NULL, "not on %s", curves[curve].alias);
    ERR_pop_to_mark();
    if (status == DOT2_OK)
        *decoded = point;
    else
        EC_POINT_free(point);
    return status;
}

enum dot2_status dot2_public_key(const dot2_crypto *crypto, enum dot2_curve curve,
                                 const uint8_t *encoding, size_t size, EVP_PKEY **key,
                                 struct dot2_error *error)
{
    EC_POINT *point = NULL;
    enum dot2_status status = decode_point(crypto, curve, encoding, size, &point, error);

    *key = NULL;
    if (status == DOT2_OK)
        status = dot2_key_of_point(crypto, curve, point, key, error);
    EC_POINT_free(point);
    return status;
}

enum dot2_status dot2_point_check(const dot2_crypto *crypto, enum dot2_curve curve,
                                  const uint8_t *encoding, size_t size, struct dot2_error *error)
{
    EC_POINT *point = NULL;
    enum dot2_status status = decode_point(crypto, curve, encoding, size, &point, error);

    EC_POINT_free(point);
    return status;
}

/* SEC 1 octets of a key, in the form that its provider gives. */
static size_t encoded_point(const EVP_PKEY *key, uint8_t octets[1 + 2 * DOT2_MAX_COORDINATE])
{
    size_t coordinate = dot2_curve_size(dot2_key_curve(key));
    size_t size = 0;

    if (coordinate == 0)
        return 0;
    ERR_set_mark();
    if (!EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, octets,
                                         1 + 2 * DOT2_MAX_COORDINATE, &size))
        size = 0;
    ERR_pop_to_mark();
    if ((size == 1 + coordinate && (octets[0] == 2 || octets[0] == 3)) ||
        (size == 1 + 2 * coordinate && octets[0] == 4))
        return size;
    return 0;
}

enum dot2_status dot2_public_point(const EVP_PKEY *key, uint8_t compressed[49], size_t *size)
{
    uint8_t octets[1 + 2 * DOT2_MAX_COORDINATE];
    size_t coordinate = dot2_curve_size(dot2_key_curve(key));

    if (coordinate == 0)
        return DOT2_E_ALGORITHM;
    *size = encoded_point(key, octets);
    if (*size == 0)
        return DOT2_E_CRYPTO;
    compressed[0] = octets[0] == 4 ? (uint8_t)(2 | (octets[2 * coordinate] & 1)) : octets[0];
    memcpy(compressed + 1, octets + 1, coordinate);
    *size = 1 + coordinate;
    return DOT2_OK;
}

enum dot2_status dot2_point_of_key(const dot2_crypto *crypto, const EVP_PKEY *key, EC_POINT **point,
                                   struct dot2_error *error)
{
    enum dot2_curve curve = dot2_key_curve(key);
    uint8_t octets[1 + 2 * DOT2_MAX_COORDINATE];
    size_t size = 0;

    *point = NULL;
    if (curve == DOT2_CURVE_NONE)
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL, "a key on a curve that is not known here");
    size = encoded_point(key, octets);
    if (size == 0)
        return dot2_fail(error, DOT2_E_CRYPTO, NULL, "the key gives no public point");
    *point = EC_POINT_new(crypto->groups[curve]);
    if (*point == NULL)
        return dot2_fail_memory(error);
    if (EC_POINT_oct2point(crypto->groups[curve], *point, octets, size, NULL) != 1) {
        EC_POINT_free(*point);
        *point = NULL;
        return dot2_fail(error, DOT2_E_POINT, NULL, "not on %s", curves[curve].alias);
    }
    return DOT2_OK;
}

enum dot2_status dot2_key_pair(const dot2_crypto *crypto, enum dot2_curve curve, const BIGNUM *d,
                               EVP_PKEY **key, struct dot2_error *error)
{
    enum dot2_status status = DOT2_E_CRYPTO;
    const EC_GROUP *group = crypto->groups[curve];
    EC_POINT *point = EC_POINT_new(group);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = NULL;
    OSSL_PARAM *params = NULL;
    uint8_t octets[1 + 2 * DOT2_MAX_COORDINATE];
    size_t size = 0;

    *key = NULL;
    /* d carries BN_FLG_CONSTTIME: a ladder whose steps do not depend on it. */
    if (point == NULL || builder == NULL || EC_POINT_mul(group, point, d, NULL, NULL, NULL) != 1)
        goto out;
    size = EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof(octets),
                              NULL);
    if (size == 0 ||
        !OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curves[curve].name,
                                         0) ||
        !OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, octets, size) ||
        !OSSL_PARAM_BLD_push_BN_pad(builder, OSSL_PKEY_PARAM_PRIV_KEY, d, curves[curve].size))
        goto out;
    params = OSSL_PARAM_BLD_to_param(builder);
    ctx = EVP_PKEY_CTX_new_from_name(crypto->libctx, "EC", DOT2_SOFTWARE_PROPERTIES);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, key, EVP_PKEY_KEYPAIR, params) <= 0)
        goto out;
    status = DOT2_OK;
out:
    if (status != DOT2_OK)
        dot2_fail_openssl(error, status, "private key");
    if (params != NULL) {
        OSSL_PARAM *private = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_PRIV_KEY);

        if (private != NULL)
            OPENSSL_cleanse(private->data, private->data_size);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(ctx);
    EC_POINT_free(point);
    return status;
}
