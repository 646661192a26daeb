/* spdu.c: sign, verify, encrypt, decrypt. */
#include "api/internal.h"

#include <string.h>

#include <openssl/crypto.h>

struct dot2hsm_spdu {
    uint8_t *octets;
    struct dot2_signed_payload payload; /* in octets */
    dot2hsm_cert *signer;
};

dot2hsm_status dot2hsm_spdu_sign(const dot2hsm_key *key, const dot2hsm_cert *cert,
                                 const struct dot2hsm_sign *how, const uint8_t *payload,
                                 size_t payload_size, uint8_t **octets, size_t *size,
                                 dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    struct dot2hsm_sign taken;
    struct dot2_header header = {0};
    enum dot2_status status = DOT2_OK;

    api_begin(error);
    if (octets != NULL)
        *octets = NULL;
    if (key == NULL || cert == NULL || payload == NULL || octets == NULL || size == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    if (!api_take(&taken, sizeof(taken), how, sizeof(taken)))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "how: size is wrong");
    header.psid = taken.psid;
    header.has_generation_time = !taken.no_generation_time;
    header.generation_time = taken.generation_time;
    if (header.has_generation_time && header.generation_time == 0)
        status = dot2_time64_now(&header.generation_time);
    if (status == DOT2_OK)
        status = dot2_signed_data_build(key->ctx->crypto, key->evp, cert->cert,
                                        taken.with_certificate ? DOT2_SIGNER_CERTIFICATE
                                                               : DOT2_SIGNER_DIGEST,
                                        &header, payload, payload_size, octets, size, &cause);
    return api_result(error, status, &cause);
}

dot2hsm_status dot2hsm_spdu_verify(dot2hsm_trust *trust, const uint8_t *octets, size_t size,
                                   uint32_t time32, dot2hsm_spdu **spdu, dot2hsm_error *error)
{
    struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = time32};
    struct dot2_error cause = {.status = DOT2_OK};
    struct dot2_chain chain = {.key = NULL};
    dot2hsm_spdu *made = NULL;
    dot2hsm_status result;
    enum dot2_status status;

    api_begin(error);
    if (spdu != NULL)
        *spdu = NULL;
    if (trust == NULL || octets == NULL || spdu == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    made = OPENSSL_zalloc(sizeof(*made));
    if (made != NULL)
        made->octets = OPENSSL_memdup(octets, size == 0 ? 1 : size);
    if (made == NULL || made->octets == NULL) {
        dot2hsm_spdu_free(made);
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    }
    status = api_trust_use(trust, &check.time);
    if (status == DOT2_OK)
        status = dot2_signed_data_verify(trust->trust, made->octets, size, &check, &chain, &cause);
    if (status == DOT2_OK)
        status = dot2_signed_data_payload(made->octets, size, &made->payload, &cause);
    result = api_result(error, status, &cause);
    if (result == DOT2HSM_OK)
        result = api_cert_wrap(trust->ctx, dot2_cert_up_ref(chain.certs[0]), &made->signer, error);
    dot2_chain_clear(&chain);
    if (result == DOT2HSM_OK)
        *spdu = made;
    else
        dot2hsm_spdu_free(made);
    return result;
}

void dot2hsm_spdu_free(dot2hsm_spdu *spdu)
{
    if (spdu == NULL)
        return;
    dot2hsm_cert_free(spdu->signer);
    OPENSSL_free(spdu->octets);
    OPENSSL_free(spdu);
}

const uint8_t *dot2hsm_spdu_payload(const dot2hsm_spdu *spdu, size_t *size)
{
    *size = spdu == NULL ? 0 : spdu->payload.size;
    return spdu == NULL ? NULL : spdu->payload.data;
}

uint64_t dot2hsm_spdu_psid(const dot2hsm_spdu *spdu)
{
    return spdu == NULL ? 0 : spdu->payload.header.psid;
}

uint64_t dot2hsm_spdu_generation_time(const dot2hsm_spdu *spdu)
{
    return spdu != NULL && spdu->payload.header.has_generation_time
               ? spdu->payload.header.generation_time
               : 0;
}

const dot2hsm_cert *dot2hsm_spdu_signer(const dot2hsm_spdu *spdu)
{
    return spdu == NULL ? NULL : spdu->signer;
}

dot2hsm_status dot2hsm_spdu_encrypt(const dot2hsm_cert *cert, const uint8_t *plaintext,
                                    size_t plaintext_size, uint8_t **octets, size_t *size,
                                    dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    enum dot2_status status;

    api_begin(error);
    if (octets != NULL)
        *octets = NULL;
    if (cert == NULL || plaintext == NULL || octets == NULL || size == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    status = dot2_encrypt_to_cert(cert->ctx->crypto, cert->cert, plaintext, plaintext_size, octets,
                                  size, &cause);
    return api_result(error, status, &cause);
}

dot2hsm_status dot2hsm_spdu_decrypt(const dot2hsm_key *key, const dot2hsm_cert *cert,
                                    const uint8_t *octets, size_t size, uint8_t **plaintext,
                                    size_t *plaintext_size, dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    enum dot2_status status;

    api_begin(error);
    if (plaintext != NULL)
        *plaintext = NULL;
    if (key == NULL || octets == NULL || plaintext == NULL || plaintext_size == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    status = dot2_decrypt(key->ctx->crypto, key->evp, cert == NULL ? NULL : cert->cert, octets,
                          size, plaintext, plaintext_size, &cause);
    return api_result(error, status, &cause);
}
