/*
 * ecies.h: the two primitives that ECIES of IEEE 1609.2 clause 5.3.5 is made of besides ECDH. Also
 * for their test.
 */
#ifndef DOT2HSM_PROVIDER_ECIES_H
#define DOT2HSM_PROVIDER_ECIES_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#define ECIES_KEY 16     /* octets of the key that is wrapped */
#define ECIES_P1 32      /* octets of P1, a SHA-256 hash */
#define ECIES_MAC_KEY 32 /* octets of K2 */
#define ECIES_TAG 16     /* octets of T */

/*
 * KDF2 of IEEE 1363a-2004 with the given hash: the first out_size octets of H(secret || 1 || p1) ||
 * H(secret || 2 || p1) || ..., the counter as four octets. 1, or 0 with nothing in out.
 */
int prov_ecies_kdf2(const EVP_MD *digest, const uint8_t *secret, size_t secret_size,
                    const uint8_t *p1, size_t p1_size, uint8_t *out, size_t out_size);

/* MAC1 of IEEE 1363a-2004: HMAC-SHA-256, its first 16 octets. 1, or 0. */
int prov_ecies_mac1(EVP_MAC *hmac, const uint8_t *key, size_t key_size, const uint8_t *data,
                    size_t size, uint8_t tag[ECIES_TAG]);

#endif
