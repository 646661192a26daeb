/* ecies.h: the two steps of encryption: ECIES in the provider, AES-CCM. Internal; for tests. */
#ifndef DOT2HSM_PROTOCOL_DOT2_ECIES_H
#define DOT2HSM_PROTOCOL_DOT2_ECIES_H

#include "protocol/dot2/internal.h"

#define DOT2_AES_KEY 16
#define DOT2_CCM_NONCE 12
#define DOT2_CCM_TAG 16
#define DOT2_ECIES_SIZE (33 + 16 + 16) /* V || C || T, V compressed */
#define DOT2_ECIES_MAX (65 + 16 + 16)  /* V uncompressed */

/*
 * ECIES (IEEE 1609.2 5.3.5) in the provider dot2hsm, or DOT2_E_PROVIDER. DOT2_E_ALGORITHM for a
 * curve that it is not defined on.
 */
enum dot2_status dot2_ecies_encrypt(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t p1[32],
                                    const uint8_t wrapped[DOT2_AES_KEY],
                                    uint8_t out[DOT2_ECIES_SIZE], struct dot2_error *error);
/* Can this private key decrypt? Nothing is decrypted. Errors as dot2_ecies_encrypt(). */
enum dot2_status dot2_ecies_check(const dot2_crypto *crypto, EVP_PKEY *key,
                                  struct dot2_error *error);
/* DOT2_E_DECRYPT: what is to be decrypted was refused; DOT2_E_CRYPTO: the token or OpenSSL failed.
 */
enum dot2_status dot2_ecies_decrypt(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t p1[32],
                                    const uint8_t *in, size_t size, uint8_t wrapped[DOT2_AES_KEY],
                                    struct dot2_error *error);
/*
 * The same for who has many messages under one key and P1: contexts are kept in slots, which are
 * empty at first, for as many threads at once.
 */
#define DOT2_ECIES_SLOTS 8
struct dot2_ecies_kept {
    EVP_PKEY_CTX *slots[DOT2_ECIES_SLOTS];
};
enum dot2_status dot2_ecies_decrypt_kept(const dot2_crypto *crypto, EVP_PKEY *key,
                                         const uint8_t p1[32], const uint8_t *in, size_t size,
                                         uint8_t wrapped[DOT2_AES_KEY],
                                         struct dot2_ecies_kept *kept, struct dot2_error *error);
void dot2_ecies_kept_clear(struct dot2_ecies_kept *kept);
/*
 * The same with the private key d + f mod n, on P-256, of which key has d: one ECDH with d, in the
 * provider dot2hsm and so in a token, and arithmetic on points. f is 32 octets, big-endian.
 */
enum dot2_status dot2_ecies_decrypt_sum(const dot2_crypto *crypto, EVP_PKEY *key,
                                        const uint8_t f[32], const uint8_t p1[32],
                                        const uint8_t *in, size_t size,
                                        uint8_t wrapped[DOT2_AES_KEY], struct dot2_error *error);

/*
 * AES-128-CCM (5.3.8): 12 octets of nonce, 16 of tag behind the ciphertext, no associated data.
 * sealed has size + 16 octets. size is 1 to DOT2_PLAINTEXT_MAX.
 */
enum dot2_status dot2_ccm_seal(const dot2_crypto *crypto, const uint8_t key[DOT2_AES_KEY],
                               const uint8_t nonce[DOT2_CCM_NONCE], const uint8_t *plaintext,
                               size_t size, uint8_t *sealed, struct dot2_error *error);
/* Writes sealed_size - 16 octets, or nothing but zeros and DOT2_E_DECRYPT. */
enum dot2_status dot2_ccm_open(const dot2_crypto *crypto, const uint8_t key[DOT2_AES_KEY],
                               const uint8_t nonce[DOT2_CCM_NONCE], const uint8_t *sealed,
                               size_t sealed_size, uint8_t *plaintext, struct dot2_error *error);

/* P1 of a recipient: SHA-256 of its certificate's canonical form, of the empty string without one.
 */
enum dot2_status dot2_ecies_p1(const dot2_crypto *crypto, const dot2_cert *cert, uint8_t p1[32],
                               struct dot2_error *error);

#endif
