/* sealed_key.c: the private number of a software key, encrypted to another key (dot2.h). */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "protocol/dot2/internal.h"

/*
 * The plaintext is written and read by hand, so that the number is never in a decoder's memory:
 * Ieee1609Dot2Data { 3, unsecuredData [0] of 34 octets }, then what is in those.
 */
#define NUMBER_SIZE 32
#define HEAD_SIZE 5
#define SEALED_SIZE (HEAD_SIZE + NUMBER_SIZE)

static const uint8_t head[HEAD_SIZE - 1] = {0x03, 0x80, 2 + NUMBER_SIZE, 0x01};

enum dot2_status dot2_key_make(const dot2_crypto *crypto, enum dot2_curve curve, EVP_PKEY **key,
                               struct dot2_error *error)
{
    enum dot2_status status = DOT2_E_CRYPTO;
    BIGNUM *number = NULL;
    BN_CTX *ctx = NULL; /* carries the library context, whose random numbers are asked for */

    *key = NULL;
    if (dot2_curve_size(curve) != NUMBER_SIZE)
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL, "not one of the 256-bit curves");
    number = BN_secure_new();
    ctx = BN_CTX_secure_new_ex(dot2_crypto_libctx(crypto));
    if (number == NULL || ctx == NULL) {
        status = dot2_fail_memory(error);
        goto out;
    }
    do {
        if (BN_priv_rand_range_ex(number, dot2_order(crypto, curve), 0, ctx) != 1) {
            status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "random number");
            goto out;
        }
    } while (BN_is_zero(number));
    BN_set_flags(number, BN_FLG_CONSTTIME);
    status = dot2_key_pair(crypto, curve, number, key, error);
out:
    BN_clear_free(number);
    BN_CTX_free(ctx);
    return status;
}

enum dot2_status dot2_key_number(const EVP_PKEY *key, uint8_t number[48], size_t *size,
                                 struct dot2_error *error)
{
    size_t octets = dot2_curve_size(dot2_key_curve(key));
    BIGNUM *value = NULL;
    enum dot2_status status = DOT2_OK;

    if (octets == 0)
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL, "not a key on a curve of IEEE 1609.2");
    value = BN_secure_new();
    if (value == NULL)
        return dot2_fail_memory(error);
    ERR_set_mark();
    if (!EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &value) ||
        BN_bn2binpad(value, number, (int)octets) != (int)octets)
        status = dot2_fail(error, DOT2_E_ARGUMENT, NULL,
                           "the private number of the key cannot be had: not a software key");
    else
        *size = octets;
    ERR_pop_to_mark();
    BN_clear_free(value);
    return status;
}

enum dot2_status dot2_key_seal(const dot2_crypto *crypto, EVP_PKEY *sealing, const EVP_PKEY *key,
                               uint8_t **octets, size_t *size, struct dot2_error *error)
{
    enum dot2_curve curve = dot2_key_curve(key);
    uint8_t *plain = NULL;
    size_t number_size = 0;
    enum dot2_status status = DOT2_OK;

    *octets = NULL;
    *size = 0;
    if (dot2_curve_size(curve) != NUMBER_SIZE)
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL, "not a key on one of the 256-bit curves");
    plain = OPENSSL_secure_malloc(SEALED_SIZE + 16); /* dot2_key_number() has 48 octets */
    if (plain == NULL)
        return dot2_fail_memory(error);
    memcpy(plain, head, sizeof(head));
    plain[sizeof(head)] = curve == DOT2_CURVE_P256 ? 0 : 1;
    status = dot2_key_number(key, plain + HEAD_SIZE, &number_size, error);
    if (status == DOT2_OK)
        status = dot2_encrypt_to_key(crypto, sealing, plain, SEALED_SIZE, octets, size, error);
    OPENSSL_secure_clear_free(plain, SEALED_SIZE + 16);
    return status;
}

static enum dot2_status open_plain(const dot2_crypto *crypto, const uint8_t *plain, EVP_PKEY **key,
                                   struct dot2_error *error)
{
    enum dot2_curve curve =
        plain[HEAD_SIZE - 1] == 0 ? DOT2_CURVE_P256 : DOT2_CURVE_BRAINPOOL_P256R1;
    BIGNUM *number = NULL;
    enum dot2_status status;

    if (memcmp(plain, head, sizeof(head)) != 0 || plain[HEAD_SIZE - 1] > 1)
        return dot2_fail(error, DOT2_E_MESSAGE, "Ieee1609Dot2Data.content.unsecuredData",
                         "is not a sealed key");
    number = BN_secure_new();
    if (number == NULL || BN_bin2bn(plain + HEAD_SIZE, NUMBER_SIZE, number) == NULL) {
        status = dot2_fail_memory(error);
    } else if (BN_is_zero(number) || BN_cmp(number, dot2_order(crypto, curve)) >= 0) {
        status = dot2_fail(error, DOT2_E_MESSAGE, "Ieee1609Dot2Data.content.unsecuredData",
                           "has no private number of the curve");
    } else {
        BN_set_flags(number, BN_FLG_CONSTTIME);
        status = dot2_key_pair(crypto, curve, number, key, error);
    }
    BN_clear_free(number);
    return status;
}

enum dot2_status dot2_key_unseal(const dot2_crypto *crypto, EVP_PKEY *sealing,
                                 const uint8_t *octets, size_t size, EVP_PKEY **key,
                                 struct dot2_error *error)
{
    struct dot2_encrypted encrypted;
    uint8_t *plain = NULL;
    enum dot2_status status = dot2_encrypted_parse(octets, size, &encrypted, error);

    *key = NULL;
    if (status != DOT2_OK)
        return status;
    plain = OPENSSL_secure_malloc(SEALED_SIZE);
    status = plain == NULL ? dot2_fail_memory(error)
                           : dot2_encrypted_decrypt_into(crypto, &encrypted, sealing, plain,
                                                         SEALED_SIZE, error);
    if (status == DOT2_OK)
        status = open_plain(crypto, plain, key, error);
    OPENSSL_secure_clear_free(plain, SEALED_SIZE);
    dot2_encrypted_clear(&encrypted);
    return status;
}
