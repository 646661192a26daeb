/*
 * internal.h: what the files of this folder share, and what their tests look into. Not for others.
 */
#ifndef DOT2HSM_PROTOCOL_DOT2_INTERNAL_H
#define DOT2HSM_PROTOCOL_DOT2_INTERNAL_H

#include <openssl/bn.h>
#include <openssl/ec.h>

#include "protocol/dot2/crl.h"
#include "protocol/dot2/fail.h"

#define DOT2_PROVIDER_NAME "dot2hsm"
#define DOT2_PROVIDER_PROPERTIES "provider=dot2hsm"
/* Software work that is nobody's signature: holds against `?provider=dot2hsm` as default too. */
#define DOT2_SOFTWARE_PROPERTIES "provider!=dot2hsm"

#define DOT2_MAX_COORDINATE 48
#define DOT2_MAX_HASH 48
#define DOT2_CURVES 5 /* enum dot2_curve */

/* ---- crypto.c ---- */

const EC_GROUP *dot2_group(const dot2_crypto *crypto, enum dot2_curve curve);
const BIGNUM *dot2_order(const dot2_crypto *crypto, enum dot2_curve curve);
const char *dot2_digest_name(enum dot2_curve curve);
const EVP_CIPHER *dot2_aes_ccm(const dot2_crypto *crypto); /* AES-128-CCM */
/*
 * Is the provider active now? Methods that OpenSSL has cached outlive its deactivation, so this is
 * asked before each signature and each verdict.
 */
enum dot2_status dot2_check_provider(const dot2_crypto *crypto, struct dot2_error *error);
/* SHA-256 whatever the curve. */
enum dot2_status dot2_sha256(const dot2_crypto *crypto, const uint8_t *data, size_t size,
                             uint8_t hash[32]);
/* Would dot2_public_key() make a key of it? For a fourth of the time that this takes. */
enum dot2_status dot2_point_check(const dot2_crypto *crypto, enum dot2_curve curve,
                                  const uint8_t *encoding, size_t size, struct dot2_error *error);
/* A public key from a point that is known to be on the curve. */
enum dot2_status dot2_key_of_point(const dot2_crypto *crypto, enum dot2_curve curve,
                                   const EC_POINT *point, EVP_PKEY **key, struct dot2_error *error);
/* The point of a key of any provider, checked. */
enum dot2_status dot2_point_of_key(const dot2_crypto *crypto, const EVP_PKEY *key, EC_POINT **point,
                                   struct dot2_error *error);
/*
 * A software key pair from its private number, of a provider whose keys can be written to a file.
 */
enum dot2_status dot2_key_pair(const dot2_crypto *crypto, enum dot2_curve curve, const BIGNUM *d,
                               EVP_PKEY **key, struct dot2_error *error);

/* ---- point.c: curve points of the ASN.1 ---- */

/* SEC 1 octets, or, if form is 0 (x-only), x alone behind a zero. */
struct dot2_point {
    uint8_t octets[1 + 2 * DOT2_MAX_COORDINATE];
    size_t coordinate; /* octets of x */
};
static inline uint8_t dot2_point_form(const struct dot2_point *point)
{
    return point->octets[0]; /* 0 = x-only, 2, 3 = compressed, 4 = uncompressed */
}
static inline size_t dot2_point_size(const struct dot2_point *point)
{
    return 1 + (point->octets[0] == 4 ? 2 : 1) * point->coordinate;
}
/* False for `fill` and for coordinates of another size. */
bool dot2_point_p256(const EccP256CurvePoint_t *asn1, struct dot2_point *point);
bool dot2_point_p384(const EccP384CurvePoint_t *asn1, struct dot2_point *point);
/* 04 || x || y to 02|03 || x; no arithmetic. */
void dot2_point_compress(struct dot2_point *point);

/* r and s of a Signature; curve tells the alternative. */
struct dot2_signature {
    enum dot2_curve curve;
    struct dot2_point r;
    const uint8_t *s; /* r.coordinate octets */
};
bool dot2_signature_read(const Signature_t *asn1, struct dot2_signature *signature);
/*
 * r as an integer of r.coordinate octets, left padded. For the forms that give a whole point it is
 * x mod n, and with check the point must be on the curve.
 */
enum dot2_status dot2_signature_r(const dot2_crypto *crypto, const struct dot2_signature *signature,
                                  bool check, uint8_t r[DOT2_MAX_COORDINATE],
                                  struct dot2_error *error);

/* ---- sign.c ---- */

/*
 * dot2_verify() with a key and a signer of which more signatures will come: curve is the key's, and
 * *kept, NULL at first, is the context that is ready for the next. Any number of threads may call
 * it with the same *kept, which holds one context; who finds none makes one.
 */
enum dot2_status dot2_verify_kept(const dot2_crypto *crypto, EVP_PKEY *key, enum dot2_curve curve,
                                  const uint8_t *data, size_t size, const uint8_t *signer,
                                  size_t signer_size, const Signature_t *signature,
                                  EVP_MD_CTX **kept, struct dot2_error *error);
void dot2_verifier_free(EVP_MD_CTX *verifier);

/* ---- cert.c, canonical.c, consistency.c ---- */

struct dot2_cert {
    int references;
    dot2_crypto *crypto;
    coer_arena *arena;
    uint8_t *octets;
    size_t size;
    const CertificateBase_t *base;
    uint8_t *canonical; /* octets itself if that is canonical */
    size_t canonical_size;
    size_t tbs_offset; /* the same in both */
    size_t tbs_size, canonical_tbs_size;
    enum dot2_curve curve;     /* of verificationKey; NONE if implicit */
    struct dot2_point key;     /* verificationKey or reconstructionValue */
    uint8_t received_hash[32]; /* SHA-256 of octets: what a cached verdict stands for */
    uint8_t hash[DOT2_MAX_HASH];
    size_t hash_size;
    struct dot2_twins *twins; /* dot2_cert_blacklist_hashes(), once it was asked */
    uint32_t start, end;
    char name[260];
};

/*
 * Where the octets are not canonical (IEEE 1609.2 6.4.3), fills cert->canonical with a form that
 * is; else makes it cert->octets. Everything that is not a curve point stays as received.
 */
enum dot2_status dot2_cert_canonicalise(dot2_cert *cert, struct dot2_error *error);
enum dot2_status dot2_cert_check_consistency(const CertificateBase_t *base,
                                             struct dot2_error *error);

/* ---- ecqv.c ---- */

/* e of SEC 4 as 32 octets: H( H(tbs) || H(issuer) ), tbs and issuer canonical. */
enum dot2_status dot2_ecqv_e(const dot2_crypto *crypto, const uint8_t *tbs, size_t tbs_size,
                             const uint8_t *issuer, size_t issuer_size, uint8_t e[32],
                             struct dot2_error *error);
/* Q = e P + Q_CA, P as SEC 1 octets. */
enum dot2_status dot2_ecqv_reconstruct_public(const dot2_crypto *crypto, enum dot2_curve curve,
                                              const uint8_t e[32], const uint8_t *point,
                                              size_t point_size, const EVP_PKEY *issuer_key,
                                              EVP_PKEY **key, struct dot2_error *error);
/* d = e k + s mod n. */
enum dot2_status dot2_ecqv_reconstruct_private(const dot2_crypto *crypto, const uint8_t e[32],
                                               const EVP_PKEY *request_key, const uint8_t s[32],
                                               EVP_PKEY **key, struct dot2_error *error);

/* ---- decrypt.c ---- */

/*
 * dot2_encrypted_decrypt() for a key alone, into memory of the caller's choice. DOT2_E_MESSAGE if
 * the plaintext is not of exactly this size.
 */
enum dot2_status dot2_encrypted_decrypt_into(const dot2_crypto *crypto,
                                             const struct dot2_encrypted *encrypted, EVP_PKEY *key,
                                             uint8_t *plaintext, size_t size,
                                             struct dot2_error *error);

/* ---- permissions.c, region.c ---- */

enum dot2_status dot2_permissions_check(const ToBeSignedCertificate_t *subject,
                                        const ToBeSignedCertificate_t *issuer,
                                        struct dot2_error *error);
/* True if inner is known to lie within outer. */
bool dot2_region_within(const GeographicRegion_t *inner, const GeographicRegion_t *outer);

/* ---- verdict.c: what was verified, and the bounded cache of it ---- */

struct dot2_verdict {
    int references;
    EVP_PKEY *key;
    enum dot2_curve curve; /* of key */
    EVP_MD_CTX *verifier;  /* for signatures by key, see dot2_verify_kept() */
    uint32_t start, end;   /* intersection */
    size_t depth;
    dot2_cert *certs[16];
    const GeographicRegion_t *region; /* in force: the nearest upwards; NULL = worldwide */
    int assurance;                    /* in force: level 0 to 7; -1 = none in the chain */
};
/* A chain that begins with cert and goes on with above (NULL: cert is the anchor). Takes key. */
struct dot2_verdict *dot2_verdict_new(dot2_cert *cert, EVP_PKEY *key,
                                      const struct dot2_verdict *above);
struct dot2_verdict *dot2_verdict_up_ref(struct dot2_verdict *verdict);
void dot2_verdict_free(struct dot2_verdict *verdict);

typedef struct dot2_cache dot2_cache;
#define DOT2_CACHE_KEY 33 /* SHA-256 of the received octets, and one octet of what was asked */
dot2_cache *dot2_cache_new(size_t entries);
void dot2_cache_free(dot2_cache *cache);
/*
 * A reference to what was found, or NULL. An entry whose validity ends before time is given out for
 * the last time: it is dropped.
 */
struct dot2_verdict *dot2_cache_find(dot2_cache *cache, const uint8_t key[DOT2_CACHE_KEY],
                                     uint32_t time);
/*
 * The same for whoever only wants to know the certificate again: the entry grows neither older nor
 * younger by it, and nothing is counted.
 */
struct dot2_verdict *dot2_cache_peek(dot2_cache *cache, const uint8_t key[DOT2_CACHE_KEY]);
void dot2_cache_put(dot2_cache *cache, const uint8_t key[DOT2_CACHE_KEY],
                    struct dot2_verdict *verdict);
void dot2_cache_counts(dot2_cache *cache, struct dot2_cache_counts *counts);

/* ---- revocation.c: what the CRLs of a trust say ---- */

typedef struct dot2_revocations dot2_revocations;
dot2_revocations *dot2_revocations_new(void);
void dot2_revocations_free(dot2_revocations *revocations);
/*
 * Takes a list whose signature was verified: info->entries HashedId10 of 10 octets. Sets
 * info->current. DOT2_E_MEMORY.
 */
enum dot2_status dot2_revocations_put(dot2_revocations *revocations, struct dot2_crl_info *info,
                                      const uint8_t *const *ids);
/* What is in force in from and not replaced here; *kept: so many lists. DOT2_E_MEMORY. */
enum dot2_status dot2_revocations_keep(dot2_revocations *revocations, dot2_revocations *from,
                                       size_t *kept);
/* DOT2_E_REVOKED if a list has the certificate. */
enum dot2_status dot2_revocations_check(dot2_revocations *revocations, const dot2_cert *cert,
                                        struct dot2_error *error);
size_t dot2_revocations_list(dot2_revocations *revocations, struct dot2_crl_info *infos,
                             size_t capacity);

/* ---- trust.c ---- */

/* What a verdict on a certificate is kept under: octets as received, and what was asked. */
void dot2_cache_key(const uint8_t received_hash[32], enum dot2_purpose purpose, bool signature_only,
                    uint8_t key[DOT2_CACHE_KEY]);

struct dot2_trusted {
    struct dot2_trusted *next;
    dot2_cert *cert;
    struct dot2_verdict *anchor; /* of an anchor: a chain of itself; else NULL */
};
dot2_crypto *dot2_trust_crypto(const dot2_trust *trust);
dot2_cache *dot2_trust_cache(const dot2_trust *trust);
dot2_revocations *dot2_trust_revocations(const dot2_trust *trust);
unsigned dot2_trust_max_depth(const dot2_trust *trust);
/* The first entry that may be of this HashedId8 (compare it), then by next. */
const struct dot2_trusted *dot2_trust_bucket(const dot2_trust *trust, const uint8_t hashedid8[8]);

#endif
