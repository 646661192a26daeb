/*
 * cert_response.c: SignedEncryptedCertificateResponse, what a downloaded file holds (SCMS 1.2.2):
 * signed by the PCA, within it encrypted to the response encryption key, within it the certificate.
 */
#include <string.h>

#include <openssl/crypto.h>

#include <Ieee1609Dot2Data.h>
#include <PlaintextCertificateResponse.h>
#include <ToBeSignedEncryptedCertificateResponse.h>

#include "protocol/dot2/butterfly.h"
#include "protocol/scms/internal.h"

#define ENCRYPTED "ToBeSignedEncryptedCertificateResponse.encrypted-cert"

static enum dot2_status set_plaintext(PlaintextCertificateResponse_t *asn1,
                                      const struct scms_cert_response *response,
                                      struct dot2_error *error)
{
    static const char field[] = "PlaintextCertificateResponse.certificate";
    CertificateBase_t *cert = NULL;
    OCTET_STRING_t *value = NULL;

    switch (response->kind) {
    case SCMS_RESPONSE_IMPLICIT_BUTTERFLY:
        asn1->present = PlaintextCertificateResponse_PR_implicit_butterfly;
        cert = &asn1->choice.implicit_butterfly.certificate;
        value = &asn1->choice.implicit_butterfly.priv_key_reconstruction_s;
        break;
    case SCMS_RESPONSE_IMPLICIT:
        asn1->present = PlaintextCertificateResponse_PR_implicit;
        cert = &asn1->choice.implicit.certificate;
        value = &asn1->choice.implicit.priv_key_reconstruction_s;
        break;
    case SCMS_RESPONSE_EXPLICIT_BUTTERFLY:
        asn1->present = PlaintextCertificateResponse_PR_explicit_butterfly;
        cert = &asn1->choice.explicit_butterfly.certificate;
        value = &asn1->choice.explicit_butterfly.priv_key_reconstruction_c;
        break;
    case SCMS_RESPONSE_EXPLICIT:
        asn1->present = PlaintextCertificateResponse_PR_explicit;
        cert = &asn1->choice.Explicit;
        break;
    default:
        return dot2_fail(error, DOT2_E_ARGUMENT, "PlaintextCertificateResponse", "not a kind");
    }
    if (value != NULL)
        coer_octets_view(value, response->reconstruction, sizeof(response->reconstruction));
    return dot2_asn1_embed(response->cert, cert, field, error);
}

/* The certificate in an unsecuredData, encrypted. */
static enum dot2_status encrypt(const dot2_crypto *crypto, EVP_PKEY *response_key,
                                const struct scms_cert_response *response, uint8_t **octets,
                                size_t *size, struct dot2_error *error)
{
    PlaintextCertificateResponse_t plaintext = {0};
    Ieee1609Dot2Content_t content = {.present = Ieee1609Dot2Content_PR_unsecuredData};
    Ieee1609Dot2Data_t data = {.protocolVersion = 3, .content = &content};
    uint8_t *inner = NULL, *outer = NULL;
    size_t inner_size = 0, outer_size = 0;
    enum dot2_status status = set_plaintext(&plaintext, response, error);

    if (status == DOT2_OK)
        status = dot2_asn1_encode(&asn_DEF_PlaintextCertificateResponse, &plaintext, &inner,
                                  &inner_size, error);
    if (status == DOT2_OK) {
        coer_octets_view(&content.choice.unsecuredData, inner, inner_size);
        status = dot2_asn1_encode(&asn_DEF_Ieee1609Dot2Data, &data, &outer, &outer_size, error);
    }
    if (status == DOT2_OK)
        status = dot2_encrypt_to_key(crypto, response_key, outer, outer_size, octets, size, error);
    OPENSSL_clear_free(inner, inner_size);
    OPENSSL_clear_free(outer, outer_size);
    return status;
}

enum dot2_status scms_cert_response_build(const dot2_crypto *crypto, EVP_PKEY *key,
                                          const dot2_cert *pca, EVP_PKEY *response_key,
                                          const struct scms_cert_response *response,
                                          uint8_t **octets, size_t *size, struct dot2_error *error)
{
    const ToBeSignedCertificate_t *subject = &dot2_cert_asn1(response->cert)->toBeSigned;
    ToBeSignedEncryptedCertificateResponse_t tbs = {0};
    coer_arena *arena = coer_arena_new();
    struct coer_error coer = {0};
    uint8_t *encrypted = NULL;
    size_t encrypted_size = 0;
    void *value = NULL;
    enum dot2_status status = DOT2_OK;

    *octets = NULL;
    *size = 0;
    status = arena == NULL
                 ? dot2_fail_memory(error)
                 : encrypt(crypto, response_key, response, &encrypted, &encrypted_size, error);
    if (status != DOT2_OK)
        goto out;
    if (coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, encrypted, encrypted_size, &value, &coer) !=
        COER_OK) {
        status = dot2_fail_coer(error, &coer, 0);
        goto out;
    }
    if (subject->appPermissions != NULL)
        tbs.psidSsp = *subject->appPermissions;
    tbs.expiration = dot2_cert_end(response->cert);
    tbs.lifetime = subject->validityPeriod.duration;
    tbs.encrypted_cert = *(const Ieee1609Dot2Data_t *)value;
    status = scms_signed_build(crypto, key, pca, DOT2_SIGNER_DIGEST,
                               &asn_DEF_ToBeSignedEncryptedCertificateResponse, &tbs, octets, size,
                               error);
out:
    OPENSSL_free(encrypted);
    coer_arena_free(arena);
    return status;
}

/* ---- the other direction ---- */

static enum dot2_status read_plaintext(const dot2_crypto *crypto, const uint8_t *octets,
                                       size_t size, struct scms_cert_response *response,
                                       struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    const PlaintextCertificateResponse_t *asn1 = NULL;
    const CertificateBase_t *cert = NULL;
    const OCTET_STRING_t *reconstruction = NULL;
    const void *value = NULL;
    enum dot2_status status =
        arena == NULL ? dot2_fail_memory(error)
                      : scms_unsecured_payload(arena, &asn_DEF_PlaintextCertificateResponse, octets,
                                               size, &value, error);

    if (status != DOT2_OK)
        goto out;
    asn1 = value;
    switch (asn1->present) {
    case PlaintextCertificateResponse_PR_implicit_butterfly:
        response->kind = SCMS_RESPONSE_IMPLICIT_BUTTERFLY;
        cert = &asn1->choice.implicit_butterfly.certificate;
        reconstruction = &asn1->choice.implicit_butterfly.priv_key_reconstruction_s;
        break;
    case PlaintextCertificateResponse_PR_implicit:
        response->kind = SCMS_RESPONSE_IMPLICIT;
        cert = &asn1->choice.implicit.certificate;
        reconstruction = &asn1->choice.implicit.priv_key_reconstruction_s;
        break;
    case PlaintextCertificateResponse_PR_explicit_butterfly:
        response->kind = SCMS_RESPONSE_EXPLICIT_BUTTERFLY;
        cert = &asn1->choice.explicit_butterfly.certificate;
        reconstruction = &asn1->choice.explicit_butterfly.priv_key_reconstruction_c;
        break;
    default:
        response->kind = SCMS_RESPONSE_EXPLICIT;
        cert = &asn1->choice.Explicit;
        break;
    }
    if (reconstruction != NULL)
        memcpy(response->reconstruction, reconstruction->buf, sizeof(response->reconstruction));
    status = scms_inner_cert(crypto, cert, octets, "PlaintextCertificateResponse.certificate",
                             &response->cert, error);
    if (status == DOT2_OK && dot2_cert_is_implicit(response->cert) !=
                                 (response->kind == SCMS_RESPONSE_IMPLICIT ||
                                  response->kind == SCMS_RESPONSE_IMPLICIT_BUTTERFLY))
        status = dot2_fail(error, DOT2_E_TYPE, "PlaintextCertificateResponse",
                           "the certificate is not of the kind that the alternative names");
out:
    coer_arena_free(arena);
    return status;
}

/* expansion NULL: with the key itself */
static enum dot2_status decrypt(const dot2_crypto *crypto, EVP_PKEY *key,
                                const struct dot2_expansion *expansion, const uint8_t *octets,
                                size_t size, struct scms_cert_response *response,
                                struct dot2_error *error)
{
    struct dot2_encrypted encrypted;
    uint8_t *plaintext = NULL;
    size_t plaintext_size = 0;
    enum dot2_status status = dot2_encrypted_parse(octets, size, &encrypted, error);

    if (status != DOT2_OK)
        return status;
    if (encrypted.count != 1 || encrypted.recipients[0].kind != DOT2_RECIPIENT_REK)
        status = dot2_fail(error, DOT2_E_MESSAGE, ENCRYPTED, "not one rekRecipInfo");
    if (status == DOT2_OK)
        status = expansion == NULL
                     ? dot2_encrypted_decrypt(crypto, &encrypted, key, NULL, &plaintext,
                                              &plaintext_size, error)
                     : dot2_encrypted_decrypt_expanded(crypto, &encrypted, key, expansion, NULL,
                                                       &plaintext, &plaintext_size, error);
    if (status == DOT2_OK)
        status = read_plaintext(crypto, plaintext, plaintext_size, response, error);
    OPENSSL_clear_free(plaintext, plaintext_size);
    dot2_encrypted_clear(&encrypted);
    return status;
}

static enum dot2_status open_response(const dot2_crypto *crypto, dot2_trust *trust, uint32_t time32,
                                      EVP_PKEY *key, const struct dot2_expansion *expansion,
                                      const uint8_t *octets, size_t size,
                                      struct scms_cert_response *response, struct dot2_error *error)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = time32};
    coer_arena *arena = coer_arena_new();
    struct dot2_chain chain = {0};
    const ToBeSignedEncryptedCertificateResponse_t *tbs = NULL;
    const uint8_t *issuer = NULL;
    struct coer_span span = {0};
    const void *value = NULL;
    enum dot2_status status = DOT2_OK;

    memset(response, 0, sizeof(*response));
    /* Verified before anything is decrypted: the HSM works for a PCA only. */
    status = arena == NULL ? dot2_fail_memory(error)
                           : dot2_signed_data_verify(trust, octets, size, &check, &chain, error);
    if (status == DOT2_OK)
        status = scms_signed_payload(arena, &asn_DEF_ToBeSignedEncryptedCertificateResponse, octets,
                                     size, &value, error);
    if (status != DOT2_OK)
        goto out;
    tbs = value;
    if (!coer_span_of(&asn_DEF_Ieee1609Dot2Data, &tbs->encrypted_cert, &span)) {
        status = dot2_fail(error, DOT2_E_DECODE, ENCRYPTED, "has no octets");
        goto out;
    }
    status = decrypt(crypto, key, expansion, span.data, span.size, response, error);
    if (status != DOT2_OK)
        goto out;
    issuer = dot2_cert_issuer(response->cert);
    if (issuer == NULL || memcmp(issuer, dot2_cert_hashedid8(chain.certs[0]), 8) != 0)
        status = dot2_fail(error, DOT2_E_SIGNER, "SignedData.signer",
                           "did not issue the certificate in it");
out:
    dot2_chain_clear(&chain);
    coer_arena_free(arena);
    if (status != DOT2_OK)
        scms_cert_response_clear(response);
    return status;
}

enum dot2_status scms_cert_response_open(const dot2_crypto *crypto, dot2_trust *trust,
                                         uint32_t time32, EVP_PKEY *key, const uint8_t *octets,
                                         size_t size, struct scms_cert_response *response,
                                         struct dot2_error *error)
{
    return open_response(crypto, trust, time32, key, NULL, octets, size, response, error);
}

enum dot2_status scms_butterfly_response_open(const dot2_crypto *crypto, dot2_trust *trust,
                                              uint32_t time32, EVP_PKEY *seed,
                                              const struct dot2_expansion *expansion,
                                              const uint8_t *octets, size_t size,
                                              struct scms_cert_response *response,
                                              struct dot2_error *error)
{
    enum dot2_status status =
        open_response(crypto, trust, time32, seed, expansion, octets, size, response, error);

    if (status == DOT2_OK && response->kind != SCMS_RESPONSE_IMPLICIT_BUTTERFLY &&
        response->kind != SCMS_RESPONSE_EXPLICIT_BUTTERFLY) {
        scms_cert_response_clear(response);
        return dot2_fail(error, DOT2_E_TYPE, "PlaintextCertificateResponse",
                         "not one for butterfly keys");
    }
    return status;
}

enum dot2_status scms_butterfly_private(const dot2_crypto *crypto,
                                        const struct scms_cert_response *response,
                                        const dot2_cert *issuer, const EVP_PKEY *seed,
                                        const struct dot2_expansion *expansion, EVP_PKEY **key,
                                        struct dot2_error *error)
{
    EVP_PKEY *expanded = NULL;
    enum dot2_status status =
        dot2_butterfly_private(crypto, seed, expansion->key, DOT2_BUTTERFLY_SIGN, expansion->i,
                               expansion->j, &expanded, error);

    *key = NULL;
    if (status == DOT2_OK && response->kind == SCMS_RESPONSE_IMPLICIT_BUTTERFLY)
        status = dot2_ecqv_private_key(crypto, response->cert, issuer, expanded,
                                       response->reconstruction, key, error);
    else if (status == DOT2_OK)
        status = dot2_butterfly_add(crypto, expanded, response->reconstruction, key, error);
    EVP_PKEY_free(expanded);
    return status;
}

void scms_cert_response_clear(struct scms_cert_response *response)
{
    dot2_cert_free(response->cert);
    OPENSSL_cleanse(response, sizeof(*response));
}
