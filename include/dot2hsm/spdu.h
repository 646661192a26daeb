/**
 * @file spdu.h
 * Secured messages of IEEE 1609.2 (Ieee1609Dot2Data): sign, verify, encrypt, decrypt.
 */
#ifndef DOT2HSM_SPDU_H
#define DOT2HSM_SPDU_H

#include <dot2hsm/keys.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a message is signed. */
struct dot2hsm_sign {
    size_t size;   /**< sizeof(struct dot2hsm_sign) */
    uint64_t psid; /**< the application's provider service identifier */
    /** Time64 (TAI microseconds); 0 = now. */
    uint64_t generation_time;
    int no_generation_time; /**< not 0: the header has none */
    int with_certificate;   /**< not 0: the certificate is in the message, else its digest */
};

/**
 * Signs: a SignedData whose payload is these octets. *octets is freed with dot2hsm_free().
 * DOT2HSM_E_KEY_MISMATCH: key is not the one of cert, if that is explicit.
 */
DOT2HSM_API dot2hsm_status dot2hsm_spdu_sign(const dot2hsm_key *key, const dot2hsm_cert *cert,
                                             const struct dot2hsm_sign *how, const uint8_t *payload,
                                             size_t payload_size, uint8_t **octets, size_t *size,
                                             dot2hsm_error *error);

/** A message that was found good. Of NULL, all is 0 or NULL. */
typedef struct dot2hsm_spdu dot2hsm_spdu;

/**
 * Verifies a SignedData under a trust at a time (DOT2HSM_NOW): signature, chain, that the signer
 * may use the PSID, that it was valid when it signed, and that the message has not expired. Keeps
 * a copy of the octets. DOT2HSM_E_MESSAGE: its payload is not one of plain octets.
 */
DOT2HSM_API dot2hsm_status dot2hsm_spdu_verify(dot2hsm_trust *trust, const uint8_t *octets,
                                               size_t size, uint32_t time32, dot2hsm_spdu **spdu,
                                               dot2hsm_error *error);
/** NULL is nothing to free. */
DOT2HSM_API void dot2hsm_spdu_free(dot2hsm_spdu *spdu);
/** The payload; valid while spdu is. */
DOT2HSM_API const uint8_t *dot2hsm_spdu_payload(const dot2hsm_spdu *spdu, size_t *size);
/** The provider service identifier that its header names. */
DOT2HSM_API uint64_t dot2hsm_spdu_psid(const dot2hsm_spdu *spdu);
/** Time64 (TAI microseconds); 0 if the header has none. */
DOT2HSM_API uint64_t dot2hsm_spdu_generation_time(const dot2hsm_spdu *spdu);
/** The signer's certificate; valid while spdu is. */
DOT2HSM_API const dot2hsm_cert *dot2hsm_spdu_signer(const dot2hsm_spdu *spdu);

/**
 * Encrypts to the encryption key of a certificate (ECIES and AES-128-CCM, clause 5.3.5). The
 * plaintext should be a whole Ieee1609Dot2Data. *octets is freed with dot2hsm_free().
 * DOT2HSM_E_TYPE: the certificate has no encryption key.
 */
DOT2HSM_API dot2hsm_status dot2hsm_spdu_encrypt(const dot2hsm_cert *cert, const uint8_t *plaintext,
                                                size_t plaintext_size, uint8_t **octets,
                                                size_t *size, dot2hsm_error *error);
/**
 * Decrypts with a key, in its token if it is in one. cert: the certificate that it was encrypted
 * to; NULL: the key alone. *plaintext is freed with dot2hsm_clear_free().
 * DOT2HSM_E_NOT_RECIPIENT, DOT2HSM_E_DECRYPT, DOT2HSM_E_KEY_MISMATCH; DOT2HSM_E_CRYPTO: the token
 * failed, and the message may be right.
 */
DOT2HSM_API dot2hsm_status dot2hsm_spdu_decrypt(const dot2hsm_key *key, const dot2hsm_cert *cert,
                                                const uint8_t *octets, size_t size,
                                                uint8_t **plaintext, size_t *plaintext_size,
                                                dot2hsm_error *error);

#ifdef __cplusplus
}
#endif
#endif
