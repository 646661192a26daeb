/* encrypt.c: EncryptedData (IEEE 1609.2 6.3.30) to one recipient. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "protocol/dot2/asn1_key.h"
#include "protocol/dot2/ecies.h"

#include <Ieee1609Dot2Data.h>

enum dot2_status dot2_encryption_key_hashedid8(const dot2_crypto *crypto, const EVP_PKEY *key,
                                               uint8_t id[8], struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    PublicEncryptionKey_t asn1 = {0};
    uint8_t *octets = NULL;
    uint8_t hash[32];
    size_t size = 0;
    enum dot2_status status =
        arena == NULL
            ? dot2_fail_memory(error)
            : dot2_asn1_set_encryption_key(arena, &asn1, key, "PublicEncryptionKey", error);

    if (status == DOT2_OK)
        status = dot2_asn1_encode(&asn_DEF_PublicEncryptionKey, &asn1, &octets, &size, error);
    if (status == DOT2_OK && (status = dot2_sha256(crypto, octets, size, hash)) != DOT2_OK)
        dot2_fail_openssl(error, status, "hash of a key");
    if (status == DOT2_OK)
        memcpy(id, hash + 24, 8);
    OPENSSL_free(octets);
    coer_arena_free(arena);
    return status;
}

/* The recipient with the wrapped key; ecies holds what its octets point to. */
static void set_recipient(RecipientInfo_t *recipient, bool is_cert, enum dot2_curve curve,
                          const uint8_t id[8], const uint8_t ecies[DOT2_ECIES_SIZE])
{
    PKRecipientInfo_t *info = NULL;
    EciesP256EncryptedKey_t *key = NULL;

    if (is_cert) {
        recipient->present = RecipientInfo_PR_certRecipInfo;
        info = &recipient->choice.certRecipInfo;
    } else {
        recipient->present = RecipientInfo_PR_rekRecipInfo;
        info = &recipient->choice.rekRecipInfo;
    }
    coer_octets_view(&info->recipientId, id, 8);
    if (curve == DOT2_CURVE_P256) {
        info->encKey.present = EncryptedDataEncryptionKey_PR_eciesNistP256;
        key = &info->encKey.choice.eciesNistP256;
    } else {
        info->encKey.present = EncryptedDataEncryptionKey_PR_eciesBrainpoolP256r1;
        key = &info->encKey.choice.eciesBrainpoolP256r1;
    }
    if (ecies[0] == 2) {
        key->v.present = EccP256CurvePoint_PR_compressed_y_0;
        coer_octets_view(&key->v.choice.compressed_y_0, ecies + 1, 32);
    } else {
        key->v.present = EccP256CurvePoint_PR_compressed_y_1;
        coer_octets_view(&key->v.choice.compressed_y_1, ecies + 1, 32);
    }
    coer_octets_view(&key->c, ecies + 33, 16);
    coer_octets_view(&key->t, ecies + 49, 16);
}

static enum dot2_status encode(const RecipientInfo_t *recipient,
                               const uint8_t nonce[DOT2_CCM_NONCE], const uint8_t *sealed,
                               size_t sealed_size, uint8_t **octets, size_t *size,
                               struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    Ieee1609Dot2Content_t content = {0};
    Ieee1609Dot2Data_t data = {.protocolVersion = 3, .content = &content};
    EncryptedData_t *encrypted = &content.choice.encryptedData;
    AesCcmCiphertext_t *ccm = &encrypted->ciphertext.choice.aes128ccm;
    enum dot2_status status = DOT2_OK;

    content.present = Ieee1609Dot2Content_PR_encryptedData;
    encrypted->ciphertext.present = SymmetricCiphertext_PR_aes128ccm;
    coer_octets_view(&ccm->nonce, nonce, DOT2_CCM_NONCE);
    coer_octets_view(&ccm->ccmCiphertext, sealed, sealed_size);
    if (arena == NULL ||
        !coer_list_add(arena, &encrypted->recipients, (void *)(uintptr_t)recipient))
        status = dot2_fail_memory(error);
    else
        status = dot2_asn1_encode(&asn_DEF_Ieee1609Dot2Data, &data, octets, size, error);
    coer_arena_free(arena);
    return status;
}

/* cert NULL: to the key alone (rekRecipInfo). */
static enum dot2_status encrypt(const dot2_crypto *crypto, EVP_PKEY *key, const dot2_cert *cert,
                                const uint8_t id[8], const uint8_t *plaintext, size_t size,
                                uint8_t **octets, size_t *octets_size, struct dot2_error *error)
{
    OSSL_LIB_CTX *libctx = dot2_crypto_libctx(crypto);
    uint8_t aes[DOT2_AES_KEY], nonce[DOT2_CCM_NONCE], p1[32], ecies[DOT2_ECIES_SIZE];
    RecipientInfo_t recipient = {0};
    uint8_t *sealed = NULL;
    enum dot2_status status = DOT2_OK;

    if (size == 0 || size > DOT2_PLAINTEXT_MAX)
        return dot2_fail(error, DOT2_E_ARGUMENT, NULL, "a plaintext of %zu octets", size);
    sealed = OPENSSL_malloc(size + DOT2_CCM_TAG);
    if (sealed == NULL)
        return dot2_fail_memory(error);
    if (RAND_priv_bytes_ex(libctx, aes, sizeof(aes), 0) <= 0 ||
        RAND_bytes_ex(libctx, nonce, sizeof(nonce), 0) <= 0) {
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "random octets");
        goto out;
    }
    status = dot2_ecies_p1(crypto, cert, p1, error);
    if (status == DOT2_OK)
        status = dot2_ecies_encrypt(crypto, key, p1, aes, ecies, error);
    if (status == DOT2_OK)
        status = dot2_ccm_seal(crypto, aes, nonce, plaintext, size, sealed, error);
    if (status != DOT2_OK)
        goto out;
    set_recipient(&recipient, cert != NULL, dot2_key_curve(key), id, ecies);
    status = encode(&recipient, nonce, sealed, size + DOT2_CCM_TAG, octets, octets_size, error);
out:
    OPENSSL_cleanse(aes, sizeof(aes));
    OPENSSL_free(sealed);
    return status;
}

enum dot2_status dot2_encrypt_to_cert(const dot2_crypto *crypto, const dot2_cert *cert,
                                      const uint8_t *plaintext, size_t size, uint8_t **octets,
                                      size_t *octets_size, struct dot2_error *error)
{
    EVP_PKEY *key = NULL;
    enum dot2_status status = DOT2_OK;

    *octets = NULL;
    *octets_size = 0;
    status = dot2_cert_encryption_key(cert, &key, error);
    if (status == DOT2_OK)
        status = encrypt(crypto, key, cert, dot2_cert_hashedid8(cert), plaintext, size, octets,
                         octets_size, error);
    EVP_PKEY_free(key);
    return status;
}

enum dot2_status dot2_encrypt_to_key(const dot2_crypto *crypto, EVP_PKEY *key,
                                     const uint8_t *plaintext, size_t size, uint8_t **octets,
                                     size_t *octets_size, struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;
    uint8_t id[8];

    *octets = NULL;
    *octets_size = 0;
    status = dot2_encryption_key_hashedid8(crypto, key, id, error);
    if (status == DOT2_OK)
        status = encrypt(crypto, key, NULL, id, plaintext, size, octets, octets_size, error);
    return status;
}
