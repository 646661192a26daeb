/* decrypt.c: EncryptedData: who may read it, and what it says. */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/butterfly.h"
#include "protocol/dot2/ecies.h"

#include <Ieee1609Dot2Data.h>

/*
 * Keys that a rekRecipInfo under another recipientId is tried with cost an operation of the HSM
 * each; a message is not to buy more of them than this.
 */
#define LENIENT_TRIES 4

#define RECIPIENTS "Ieee1609Dot2Data.content.encryptedData.recipients"

static const PKRecipientInfo_t *read_recipient(const RecipientInfo_t *asn1,
                                               struct dot2_recipient *recipient)
{
    const PKRecipientInfo_t *info = NULL;
    const OCTET_STRING_t *id = NULL;

    switch (asn1->present) {
    case RecipientInfo_PR_pskRecipInfo:
        recipient->kind = DOT2_RECIPIENT_PSK;
        id = &asn1->choice.pskRecipInfo;
        break;
    case RecipientInfo_PR_symmRecipInfo:
        recipient->kind = DOT2_RECIPIENT_SYMM;
        id = &asn1->choice.symmRecipInfo.recipientId;
        break;
    case RecipientInfo_PR_certRecipInfo:
        recipient->kind = DOT2_RECIPIENT_CERT;
        info = &asn1->choice.certRecipInfo;
        break;
    case RecipientInfo_PR_signedDataRecipInfo:
        recipient->kind = DOT2_RECIPIENT_SIGNED_DATA;
        info = &asn1->choice.signedDataRecipInfo;
        break;
    default:
        recipient->kind = DOT2_RECIPIENT_REK;
        info = &asn1->choice.rekRecipInfo;
        break;
    }
    if (info != NULL)
        id = &info->recipientId;
    memcpy(recipient->id, id->buf, sizeof(recipient->id));
    return info;
}

enum dot2_status dot2_encrypted_parse(const uint8_t *octets, size_t size,
                                      struct dot2_encrypted *encrypted, struct dot2_error *error)
{
    struct coer_error coer = {0};
    const Ieee1609Dot2Data_t *data = NULL;
    const EncryptedData_t *content = NULL;
    enum dot2_status status = DOT2_OK;
    void *value = NULL;

    memset(encrypted, 0, sizeof(*encrypted));
    encrypted->arena = coer_arena_new();
    if (encrypted->arena == NULL)
        return dot2_fail_memory(error);
    if (coer_decode(encrypted->arena, &asn_DEF_Ieee1609Dot2Data, octets, size, &value, &coer) !=
        COER_OK) {
        status = dot2_fail_coer(error, &coer, 0);
        goto out;
    }
    data = value;
    if (data->content->present != Ieee1609Dot2Content_PR_encryptedData) {
        status =
            dot2_fail_at(error, DOT2_E_MESSAGE, 1, "Ieee1609Dot2Data.content", "not encryptedData");
        goto out;
    }
    content = &data->content->choice.encryptedData;
    if (content->recipients.list.count < 1 ||
        content->recipients.list.count > DOT2_RECIPIENTS_MAX) {
        status =
            dot2_fail_at(error, DOT2_E_MESSAGE, 2, RECIPIENTS, "%d recipients; 1 to %d are read",
                         content->recipients.list.count, DOT2_RECIPIENTS_MAX);
        goto out;
    }
    encrypted->asn1 = content;
    encrypted->count = (size_t)content->recipients.list.count;
    for (size_t i = 0; i < encrypted->count; i++)
        (void)read_recipient(content->recipients.list.array[i], &encrypted->recipients[i]);
out:
    if (status != DOT2_OK)
        dot2_encrypted_clear(encrypted);
    return status;
}

void dot2_encrypted_clear(struct dot2_encrypted *encrypted)
{
    coer_arena_free(encrypted->arena);
    memset(encrypted, 0, sizeof(*encrypted));
}

/* V || C || T of a recipient. */
static enum dot2_status read_ecies(const PKRecipientInfo_t *info, enum dot2_curve *curve,
                                   uint8_t octets[DOT2_ECIES_MAX], size_t *size,
                                   struct dot2_error *error)
{
    const EciesP256EncryptedKey_t *key = NULL;
    struct dot2_point v = {0};

    if (info->encKey.present == EncryptedDataEncryptionKey_PR_eciesBrainpoolP256r1) {
        *curve = DOT2_CURVE_BRAINPOOL_P256R1;
        key = &info->encKey.choice.eciesBrainpoolP256r1;
    } else {
        *curve = DOT2_CURVE_P256;
        key = &info->encKey.choice.eciesNistP256;
    }
    if (!dot2_point_p256(&key->v, &v) || dot2_point_form(&v) == 0)
        return dot2_fail(error, DOT2_E_POINT, RECIPIENTS ".encKey.v",
                         "not a whole point (x-only or fill)");
    *size = dot2_point_size(&v);
    memcpy(octets, v.octets, *size);
    memcpy(octets + *size, key->c.buf, 16);
    memcpy(octets + *size + 16, key->t.buf, 16);
    *size += 32;
    return DOT2_OK;
}

/* Who decrypts: a private key, or the sum of one and of f, whose public key is another one. */
struct reader {
    EVP_PKEY *key;
    const uint8_t *f; /* NULL: the key itself */
    const EVP_PKEY *public;
    dot2_decrypter *decrypter; /* whose key and certificate it is; NULL: for this message only */
};

struct dot2_decrypter {
    dot2_crypto *crypto;
    EVP_PKEY *key;
    enum dot2_curve curve; /* of key */
    dot2_cert *cert;       /* or NULL */
    uint8_t p1[32];        /* of cert */
    struct dot2_ecies_kept kept;
};

static enum dot2_status open_wrapped(const dot2_crypto *crypto, const struct reader *reader,
                                     const dot2_cert *cert, const uint8_t *ecies, size_t size,
                                     uint8_t aes[DOT2_AES_KEY], struct dot2_error *error)
{
    uint8_t p1[32];
    enum dot2_status status = DOT2_OK;

    if (reader->decrypter != NULL)
        return dot2_ecies_decrypt_kept(crypto, reader->key, reader->decrypter->p1, ecies, size, aes,
                                       &reader->decrypter->kept, error);
    status = dot2_ecies_p1(crypto, cert, p1, error);
    if (status != DOT2_OK)
        return status;
    return reader->f == NULL ? dot2_ecies_decrypt(crypto, reader->key, p1, ecies, size, aes, error)
                             : dot2_ecies_decrypt_sum(crypto, reader->key, reader->f, p1, ecies,
                                                      size, aes, error);
}

static enum dot2_status unwrap(const dot2_crypto *crypto, const struct reader *reader,
                               const dot2_cert *cert, const PKRecipientInfo_t *info,
                               uint8_t aes[DOT2_AES_KEY], struct dot2_error *error)
{
    enum dot2_curve curve = DOT2_CURVE_NONE;
    enum dot2_curve own =
        reader->decrypter != NULL ? reader->decrypter->curve : dot2_key_curve(reader->key);
    uint8_t ecies[DOT2_ECIES_MAX];
    size_t size = 0;
    enum dot2_status status = read_ecies(info, &curve, ecies, &size, error);

    if (status == DOT2_OK && curve != own)
        status = dot2_fail(error, DOT2_E_DECRYPT, RECIPIENTS ".encKey",
                           "a key wrapped on %s, a private key on %s", dot2_curve_name(curve),
                           dot2_curve_name(own));
    else if (status == DOT2_OK)
        status = open_wrapped(crypto, reader, cert, ecies, size, aes, error);
    else
        return status;
    if (status == DOT2_E_DECRYPT && error != NULL)
        snprintf(error->field, sizeof(error->field), RECIPIENTS ".encKey");
    return status;
}

/* The certificate's encryption key is another one than the private key's: said when it did not do.
 */
static enum dot2_status explain(const dot2_cert *cert, const EVP_PKEY *key, enum dot2_status status,
                                struct dot2_error *error)
{
    EVP_PKEY *public = NULL;

    if (status != DOT2_E_DECRYPT)
        return status;
    if (dot2_cert_encryption_key(cert, &public, NULL) == DOT2_OK && EVP_PKEY_eq(public, key) != 1)
        status = dot2_fail(error, DOT2_E_KEY_MISMATCH, "Certificate.toBeSigned.encryptionKey",
                           "the private key is not that of the recipient's certificate");
    EVP_PKEY_free(public);
    return status;
}

static enum dot2_status not_recipient(const char *what, struct dot2_error *error)
{
    return dot2_fail(error, DOT2_E_NOT_RECIPIENT, RECIPIENTS, "none is %s", what);
}

static enum dot2_status unwrap_for_cert(const dot2_crypto *crypto,
                                        const struct dot2_encrypted *encrypted,
                                        const struct reader *reader, const dot2_cert *cert,
                                        uint8_t aes[DOT2_AES_KEY], struct dot2_error *error)
{
    for (size_t i = 0; i < encrypted->count; i++) {
        struct dot2_recipient recipient;
        const PKRecipientInfo_t *info =
            read_recipient(encrypted->asn1->recipients.list.array[i], &recipient);

        if (recipient.kind == DOT2_RECIPIENT_CERT &&
            memcmp(recipient.id, dot2_cert_hashedid8(cert), 8) == 0)
            return explain(cert, reader->public, unwrap(crypto, reader, cert, info, aes, error),
                           error);
    }
    return not_recipient("a certRecipInfo of this certificate", error);
}

/*
 * A rekRecipInfo should be named by the HashedId8 of the key; responses in the field name the RA's
 * certificate there. So that one first, then whatever is on the key's curve.
 */
static enum dot2_status unwrap_for_key(const dot2_crypto *crypto,
                                       const struct dot2_encrypted *encrypted,
                                       const struct reader *reader, uint8_t aes[DOT2_AES_KEY],
                                       struct dot2_error *error)
{
    const PKRecipientInfo_t *candidates[DOT2_RECIPIENTS_MAX];
    size_t count = 0;
    uint8_t id[8];
    enum dot2_status status = dot2_encryption_key_hashedid8(crypto, reader->public, id, error);

    if (status != DOT2_OK)
        return status;
    for (int lenient = 0; lenient < 2; lenient++) {
        for (size_t i = 0; i < encrypted->count; i++) {
            struct dot2_recipient recipient;
            const PKRecipientInfo_t *info =
                read_recipient(encrypted->asn1->recipients.list.array[i], &recipient);

            if (recipient.kind == DOT2_RECIPIENT_REK &&
                (memcmp(recipient.id, id, 8) == 0) == (lenient == 0))
                candidates[count++] = info;
        }
    }
    if (count == 0)
        return not_recipient("a rekRecipInfo", error);
    for (size_t i = 0; i < count && i < LENIENT_TRIES; i++) {
        status = unwrap(crypto, reader, NULL, candidates[i], aes, error);
        if (status != DOT2_E_DECRYPT && status != DOT2_E_POINT)
            break;
    }
    return status;
}

/* The octets of the plaintext; DOT2_E_DECRYPT if there are none. */
static enum dot2_status plaintext_size(const struct dot2_encrypted *encrypted, size_t *size,
                                       struct dot2_error *error)
{
    size_t sealed_size = (size_t)encrypted->asn1->ciphertext.choice.aes128ccm.ccmCiphertext.size;

    if (sealed_size <= DOT2_CCM_TAG || sealed_size - DOT2_CCM_TAG > DOT2_PLAINTEXT_MAX)
        return dot2_fail(
            error, DOT2_E_DECRYPT,
            "Ieee1609Dot2Data.content.encryptedData.ciphertext.aes128ccm.ccmCiphertext",
            "%zu octets are no ciphertext with its tag", sealed_size);
    *size = sealed_size - DOT2_CCM_TAG;
    return DOT2_OK;
}

static enum dot2_status decrypt_into(const dot2_crypto *crypto,
                                     const struct dot2_encrypted *encrypted,
                                     const struct reader *reader, const dot2_cert *cert,
                                     uint8_t *plain, struct dot2_error *error)
{
    const AesCcmCiphertext_t *ccm = &encrypted->asn1->ciphertext.choice.aes128ccm;
    uint8_t aes[DOT2_AES_KEY];
    enum dot2_status status = cert != NULL
                                  ? unwrap_for_cert(crypto, encrypted, reader, cert, aes, error)
                                  : unwrap_for_key(crypto, encrypted, reader, aes, error);

    if (status != DOT2_OK)
        return status;
    status = dot2_ccm_open(crypto, aes, ccm->nonce.buf, ccm->ccmCiphertext.buf,
                           (size_t)ccm->ccmCiphertext.size, plain, error);
    OPENSSL_cleanse(aes, sizeof(aes));
    return status;
}

static enum dot2_status decrypt(const dot2_crypto *crypto, const struct dot2_encrypted *encrypted,
                                const struct reader *reader, const dot2_cert *cert,
                                uint8_t **plaintext, size_t *size, struct dot2_error *error)
{
    uint8_t *plain = NULL;
    size_t plain_size = 0;
    enum dot2_status status = plaintext_size(encrypted, &plain_size, error);

    if (status != DOT2_OK)
        return status;
    plain = OPENSSL_malloc(plain_size);
    status = plain == NULL ? dot2_fail_memory(error)
                           : decrypt_into(crypto, encrypted, reader, cert, plain, error);
    if (status != DOT2_OK) {
        OPENSSL_free(plain); /* nothing was left in it */
        return status;
    }
    *plaintext = plain;
    *size = plain_size;
    return DOT2_OK;
}

enum dot2_status dot2_encrypted_decrypt_into(const dot2_crypto *crypto,
                                             const struct dot2_encrypted *encrypted, EVP_PKEY *key,
                                             uint8_t *plaintext, size_t size,
                                             struct dot2_error *error)
{
    const struct reader reader = {.key = key, .public = key};
    size_t plain_size = 0;
    enum dot2_status status = plaintext_size(encrypted, &plain_size, error);

    if (status == DOT2_OK && plain_size != size)
        status = dot2_fail(error, DOT2_E_MESSAGE, "Ieee1609Dot2Data.content.encryptedData",
                           "a plaintext of %zu octets where %zu are due", plain_size, size);
    return status == DOT2_OK ? decrypt_into(crypto, encrypted, &reader, NULL, plaintext, error)
                             : status;
}

enum dot2_status dot2_encrypted_decrypt(const dot2_crypto *crypto,
                                        const struct dot2_encrypted *encrypted, EVP_PKEY *key,
                                        const dot2_cert *cert, uint8_t **plaintext, size_t *size,
                                        struct dot2_error *error)
{
    const struct reader reader = {.key = key, .public = key};

    *plaintext = NULL;
    *size = 0;
    return decrypt(crypto, encrypted, &reader, cert, plaintext, size, error);
}

enum dot2_status dot2_decrypter_new(const dot2_crypto *crypto, EVP_PKEY *key, dot2_cert *cert,
                                    dot2_decrypter **decrypter, struct dot2_error *error)
{
    enum dot2_status status = dot2_decrypt_check(crypto, key, cert, error);
    dot2_decrypter *made = NULL;

    *decrypter = NULL;
    if (status != DOT2_OK)
        return status;
    made = OPENSSL_zalloc(sizeof(*made));
    if (made == NULL)
        return dot2_fail_memory(error);
    made->crypto = dot2_crypto_up_ref((dot2_crypto *)(uintptr_t)crypto);
    EVP_PKEY_up_ref(key);
    made->key = key;
    made->curve = dot2_key_curve(key);
    made->cert = cert == NULL ? NULL : dot2_cert_up_ref(cert);
    status = dot2_ecies_p1(crypto, cert, made->p1, error);
    if (status == DOT2_OK)
        *decrypter = made;
    else
        dot2_decrypter_free(made);
    return status;
}

void dot2_decrypter_free(dot2_decrypter *decrypter)
{
    if (decrypter == NULL)
        return;
    dot2_ecies_kept_clear(&decrypter->kept);
    EVP_PKEY_free(decrypter->key);
    dot2_cert_free(decrypter->cert);
    dot2_crypto_free(decrypter->crypto);
    OPENSSL_free(decrypter);
}

enum dot2_status dot2_decrypter_decrypt(dot2_decrypter *decrypter,
                                        const struct dot2_encrypted *encrypted, uint8_t **plaintext,
                                        size_t *size, struct dot2_error *error)
{
    const struct reader reader = {
        .key = decrypter->key, .public = decrypter->key, .decrypter = decrypter};

    *plaintext = NULL;
    *size = 0;
    return decrypt(decrypter->crypto, encrypted, &reader, decrypter->cert, plaintext, size, error);
}

enum dot2_status dot2_encrypted_decrypt_expanded(const dot2_crypto *crypto,
                                                 const struct dot2_encrypted *encrypted,
                                                 EVP_PKEY *seed,
                                                 const struct dot2_expansion *expansion,
                                                 const dot2_cert *cert, uint8_t **plaintext,
                                                 size_t *size, struct dot2_error *error)
{
    EVP_PKEY *public = NULL;
    uint8_t f[32];
    struct reader reader = {.key = seed, .f = f};
    enum dot2_status status;

    *plaintext = NULL;
    *size = 0;
    status = dot2_butterfly_public(crypto, seed, expansion->key, DOT2_BUTTERFLY_ENCRYPT,
                                   expansion->i, expansion->j, &public, error);
    if (status == DOT2_OK)
        status = dot2_butterfly_f(crypto, expansion->key, DOT2_BUTTERFLY_ENCRYPT, expansion->i,
                                  expansion->j, f, error);
    reader.public = public;
    if (status == DOT2_OK)
        status = decrypt(crypto, encrypted, &reader, cert, plaintext, size, error);
    OPENSSL_cleanse(f, sizeof(f));
    EVP_PKEY_free(public);
    return status;
}

enum dot2_status dot2_decrypt_check(const dot2_crypto *crypto, EVP_PKEY *key, const dot2_cert *cert,
                                    struct dot2_error *error)
{
    enum dot2_status status = dot2_ecies_check(crypto, key, error);
    EVP_PKEY *public = NULL;

    if (status != DOT2_OK || cert == NULL)
        return status;
    status = dot2_cert_encryption_key(cert, &public, error);
    if (status == DOT2_OK && EVP_PKEY_eq(public, key) != 1)
        status = dot2_fail(error, DOT2_E_KEY_MISMATCH, "Certificate.toBeSigned.encryptionKey",
                           "the private key is not that of the certificate");
    EVP_PKEY_free(public);
    return status;
}

enum dot2_status dot2_decrypt(const dot2_crypto *crypto, EVP_PKEY *key, const dot2_cert *cert,
                              const uint8_t *octets, size_t size, uint8_t **plaintext,
                              size_t *plaintext_size, struct dot2_error *error)
{
    struct dot2_encrypted encrypted;
    enum dot2_status status = dot2_encrypted_parse(octets, size, &encrypted, error);

    *plaintext = NULL;
    *plaintext_size = 0;
    if (status != DOT2_OK)
        return status;
    status =
        dot2_encrypted_decrypt(crypto, &encrypted, key, cert, plaintext, plaintext_size, error);
    dot2_encrypted_clear(&encrypted);
    return status;
}
