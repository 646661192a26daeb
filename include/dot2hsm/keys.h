/**
 * @file keys.h
 * Private keys by URI, certificates, and the trust that they are verified under.
 */
#ifndef DOT2HSM_KEYS_H
#define DOT2HSM_KEYS_H

#include <dot2hsm/dot2hsm.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A private key, in a token or in memory. */
typedef struct dot2hsm_key dot2hsm_key;
/** One decoded certificate of IEEE 1609.2; immutable. Of NULL, all is 0, "" or NULL. */
typedef struct dot2hsm_cert dot2hsm_cert;
/** Anchors, the certificates between them and an end entity, CRLs, and a cache. */
typedef struct dot2hsm_trust dot2hsm_trust;

struct evp_pkey_st; /* EVP_PKEY */

/**
 * Opens a private key: "pkcs11:token=rse;object=enrollment", "file:/path/key.pem", or a path. There
 * is no prompt: a token's PIN comes from the provider's options. DOT2HSM_E_KEY: there is no such
 * key, or more than one. DOT2HSM_E_CRYPTO: module, token or PIN failed; the error says how.
 */
DOT2HSM_API dot2hsm_status dot2hsm_key_open(dot2hsm_ctx *ctx, const char *uri, dot2hsm_key **key,
                                            dot2hsm_error *error);
/** A key that the caller has; takes a reference. It must be of the context's OSSL_LIB_CTX. */
DOT2HSM_API dot2hsm_status dot2hsm_key_from_evp(dot2hsm_ctx *ctx, struct evp_pkey_st *evp,
                                                dot2hsm_key **key, dot2hsm_error *error);
/** Octets of the longest compressed point. */
#define DOT2HSM_POINT_MAX 49
/** The public half as a compressed point, 33 or 49 octets; *size gets their number. */
DOT2HSM_API dot2hsm_status dot2hsm_key_public(const dot2hsm_key *key,
                                              uint8_t point[DOT2HSM_POINT_MAX], size_t *size);
/** Its EVP_PKEY, for the program's own use of OpenSSL; valid while key is. */
DOT2HSM_API struct evp_pkey_st *dot2hsm_key_evp(const dot2hsm_key *key);
/** Frees the handle; a key in a token stays there. NULL is nothing to free. */
DOT2HSM_API void dot2hsm_key_free(dot2hsm_key *key);

/** Decodes a certificate and checks its consistency; copies the octets. It is not verified. */
DOT2HSM_API dot2hsm_status dot2hsm_cert_new(dot2hsm_ctx *ctx, const uint8_t *octets, size_t size,
                                            dot2hsm_cert **cert, dot2hsm_error *error);
/** The same from a file. DOT2HSM_E_FILE: it cannot be read, or has more than 65536 octets. */
DOT2HSM_API dot2hsm_status dot2hsm_cert_load(dot2hsm_ctx *ctx, const char *path,
                                             dot2hsm_cert **cert, dot2hsm_error *error);
/** NULL is nothing to free. */
DOT2HSM_API void dot2hsm_cert_free(dot2hsm_cert *cert);
/** The octets as they were received; valid while cert is. */
DOT2HSM_API const uint8_t *dot2hsm_cert_octets(const dot2hsm_cert *cert, size_t *size);
/** The last 8 octets of the hash of the canonical form; valid while cert is. */
DOT2HSM_API const uint8_t *dot2hsm_cert_hashedid8(const dot2hsm_cert *cert);
/** The whole hash, 32 or 48 octets; valid while cert is. */
DOT2HSM_API const uint8_t *dot2hsm_cert_hash(const dot2hsm_cert *cert, size_t *size);
/** id.name, or binaryId in hexadecimal, or ""; printable; valid while cert is. */
DOT2HSM_API const char *dot2hsm_cert_name(const dot2hsm_cert *cert);
/** 1: implicit (ECQV). 0: explicit. */
DOT2HSM_API int dot2hsm_cert_is_implicit(const dot2hsm_cert *cert);
/** First second of validity, Time32. */
DOT2HSM_API uint32_t dot2hsm_cert_start(const dot2hsm_cert *cert);
/** Last second of validity, Time32. */
DOT2HSM_API uint32_t dot2hsm_cert_end(const dot2hsm_cert *cert);

/** An empty trust, under which nothing is good. */
DOT2HSM_API dot2hsm_status dot2hsm_trust_new(dot2hsm_ctx *ctx, dot2hsm_trust **trust,
                                             dot2hsm_error *error);
/** NULL is nothing to free. */
DOT2HSM_API void dot2hsm_trust_free(dot2hsm_trust *trust);
/**
 * Trusts a certificate as it is. Anchors and certificates are added by one thread before the trust
 * is used: afterwards they are refused with DOT2HSM_E_ARGUMENT, and a new trust is made instead.
 * DOT2HSM_E_TYPE: an implicit one, which has no key without its issuer.
 */
DOT2HSM_API dot2hsm_status dot2hsm_trust_add_anchor(dot2hsm_trust *trust, const dot2hsm_cert *cert,
                                                    dot2hsm_error *error);
/** A certificate that may stand in a chain, or that a message names by digest; not trusted. */
DOT2HSM_API dot2hsm_status dot2hsm_trust_add(dot2hsm_trust *trust, const dot2hsm_cert *cert,
                                             dot2hsm_error *error);
/**
 * Verifies the way from a certificate to an anchor at a time (DOT2HSM_NOW): signatures or
 * reconstruction, validity, permissions, region, assurance, revocation (IEEE 1609.2 clause 5.1).
 */
DOT2HSM_API dot2hsm_status dot2hsm_trust_verify(dot2hsm_trust *trust, const dot2hsm_cert *cert,
                                                uint32_t time32, dot2hsm_error *error);
/**
 * Takes a SecuredCrl of hash-based entries (IEEE 1609.2 clause 7), verified at a time
 * (DOT2HSM_NOW); the trust may be in use by other threads. A list older than the one that is there
 * changes nothing. DOT2HSM_E_MESSAGE: not a CRL. DOT2HSM_E_PERMISSION: not the signer's to say.
 */
DOT2HSM_API dot2hsm_status dot2hsm_trust_add_crl(dot2hsm_trust *trust, const uint8_t *octets,
                                                 size_t size, uint32_t time32,
                                                 dot2hsm_error *error);

#ifdef __cplusplus
}
#endif
#endif
