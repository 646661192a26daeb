/*
 * secured.c: the Secured...Request forms: a Signed...Request encrypted to the RA's certificate
 * (SCMS 1.2.2; certRecipInfo, one recipient).
 */
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/fail.h"
#include "protocol/scms/scms.h"

size_t scms_secured_size(size_t request_size)
{
    const size_t ciphertext = request_size + 16; /* with the tag of AES-CCM */
    size_t length = 1;

    for (size_t rest = ciphertext >= 0x80 ? ciphertext : 0; rest != 0; rest >>= 8)
        length++;
    /* 03 82, one recipient, recipientId, encKey (choice, V, c, t), choice, nonce */
    return 2 + 2 + 1 + 8 + 1 + 33 + 16 + 16 + 1 + 12 + length + ciphertext;
}

enum dot2_status scms_secured_build(const dot2_crypto *crypto, const dot2_cert *ra,
                                    const uint8_t *request, size_t request_size, uint8_t **octets,
                                    size_t *size, struct dot2_error *error)
{
    *octets = NULL;
    *size = 0;
    if (scms_form_of(request, request_size) != SCMS_FORM_SIGNED_REQUEST)
        return dot2_fail(error, DOT2_E_ARGUMENT, "Ieee1609Dot2Data.content",
                         "what is secured is a signed request");
    return dot2_encrypt_to_cert(crypto, ra, request, request_size, octets, size, error);
}

enum dot2_status scms_secured_open(const dot2_crypto *crypto, const struct scms_ra_key *keys,
                                   size_t count, const uint8_t *octets, size_t size,
                                   uint8_t **request, size_t *request_size, size_t *used,
                                   struct dot2_error *error)
{
    static const char recipients[] = "Ieee1609Dot2Data.content.encryptedData.recipients";
    struct dot2_encrypted encrypted;
    const struct scms_ra_key *key = NULL;
    enum dot2_status status = dot2_encrypted_parse(octets, size, &encrypted, error);

    *request = NULL;
    *request_size = 0;
    if (status != DOT2_OK)
        return status;
    if (encrypted.count != 1 || encrypted.recipients[0].kind != DOT2_RECIPIENT_CERT) {
        status = dot2_fail_at(error, DOT2_E_MESSAGE, 2, recipients, "not one certRecipInfo");
        goto out;
    }
    for (size_t i = 0; key == NULL && i < count; i++) {
        if (memcmp(dot2_cert_hashedid8(keys[i].cert), encrypted.recipients[0].id, 8) == 0) {
            key = &keys[i];
            if (used != NULL)
                *used = i;
        }
    }
    if (key == NULL) {
        status = dot2_fail_at(error, DOT2_E_NOT_RECIPIENT, 5, recipients,
                              "none of our %zu certificates", count);
        goto out;
    }
    status = key->decrypter != NULL
                 ? dot2_decrypter_decrypt(key->decrypter, &encrypted, request, request_size, error)
                 : dot2_encrypted_decrypt(crypto, &encrypted, key->key, key->cert, request,
                                          request_size, error);
    if (status == DOT2_OK && scms_form_of(*request, *request_size) != SCMS_FORM_SIGNED_REQUEST) {
        OPENSSL_clear_free(*request, *request_size);
        *request = NULL;
        *request_size = 0;
        status = dot2_fail(error, DOT2_E_MESSAGE, "Ieee1609Dot2Data.content",
                           "what was encrypted is not a signed request");
    }
out:
    dot2_encrypted_clear(&encrypted);
    return status;
}
