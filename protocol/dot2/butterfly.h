/*
 * butterfly.h: butterfly key expansion of the SCMS: one seed key stands for many keys.
 */
#ifndef DOT2HSM_PROTOCOL_DOT2_BUTTERFLY_H
#define DOT2HSM_PROTOCOL_DOT2_BUTTERFLY_H

#include "protocol/dot2/dot2.h"

enum dot2_butterfly {
    DOT2_BUTTERFLY_SIGN = 0,
    DOT2_BUTTERFLY_ENCRYPT
};

/* f_k(i, j) modulo the order of P-256, big-endian. */
enum dot2_status dot2_butterfly_f(const dot2_crypto *crypto, const uint8_t expansion[16],
                                  enum dot2_butterfly use, uint32_t i, uint32_t j, uint8_t f[32],
                                  struct dot2_error *error);
/*
 * The expanded public key A + f G of a seed key, and, for a software key, the private key a + f.
 * DOT2_E_ALGORITHM: a seed key that is not on P-256. DOT2_E_ARGUMENT: a private key in a token.
 */
enum dot2_status dot2_butterfly_public(const dot2_crypto *crypto, const EVP_PKEY *seed,
                                       const uint8_t expansion[16], enum dot2_butterfly use,
                                       uint32_t i, uint32_t j, EVP_PKEY **key,
                                       struct dot2_error *error);
enum dot2_status dot2_butterfly_private(const dot2_crypto *crypto, const EVP_PKEY *seed,
                                        const uint8_t expansion[16], enum dot2_butterfly use,
                                        uint32_t i, uint32_t j, EVP_PKEY **key,
                                        struct dot2_error *error);

/* Which of the keys that a seed key stands for: its AES key, and the numbers i and j. */
struct dot2_expansion {
    uint8_t key[16];
    uint32_t i, j;
};
/*
 * As dot2_encrypted_decrypt(), with the private key d + f of an encryption seed key d. The seed key
 * may be in a token, for which no mechanism adds f: its ECDH gives the x of d V, which leaves two
 * candidates for the shared point d V + f V, and the tag of ECIES tells which it is.
 * DOT2_E_ALGORITHM: a seed key that is not on P-256.
 */
enum dot2_status dot2_encrypted_decrypt_expanded(const dot2_crypto *crypto,
                                                 const struct dot2_encrypted *encrypted,
                                                 EVP_PKEY *seed,
                                                 const struct dot2_expansion *expansion,
                                                 const dot2_cert *cert, uint8_t **plaintext,
                                                 size_t *size, struct dot2_error *error);
/*
 * The key of a certificate of the kind explicit-butterfly: key + c, for a software key that was
 * expanded. DOT2_E_ARGUMENT: a private key in a token, or c is no number below the order.
 */
enum dot2_status dot2_butterfly_add(const dot2_crypto *crypto, const EVP_PKEY *key,
                                    const uint8_t c[32], EVP_PKEY **sum, struct dot2_error *error);

#endif
