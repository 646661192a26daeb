/*
 * dot2.h: IEEE 1609.2 security services over OpenSSL's EVP.
 *
 * The model. A dot2_crypto is an OpenSSL library context in which the provider dot2hsm is loaded;
 * nothing here links the provider or a token: a private key is an EVP_PKEY that somebody opened by
 * its URI. A dot2_cert is one decoded certificate, immutable and reference counted; it keeps the
 * octets that were received and hashes those, or, if they are not in canonical form, the canonical
 * form of them (IEEE 1609.2 clause 6.4.3). A dot2_trust is a set of anchors and of certificates
 * that may stand between an anchor and an end entity, with a bounded cache of what was verified;
 * it is filled once and then shared by threads, and replaced as a whole when trust changes.
 *
 * Results. Functions return an enum dot2_status, DOT2_OK being 0; a struct dot2_error, which may
 * be NULL, gets the field, the octet offset in the input and one sentence. Nothing here writes to
 * a log, and no text holds key material or plaintext.
 *
 * Signatures. The digest of a 1609.2 signature (clause 5.3.1) is made in the provider alone. The
 * two functions dot2_sign() and dot2_verify() demand that the operation runs there, and answer
 * DOT2_E_PROVIDER otherwise: there is no way to a plain ECDSA signature from here.
 *
 * Times are Time32: TAI seconds since 2004-01-01T00:00:00Z.
 *
 * crl.h has certificate revocation lists, butterfly.h the butterfly keys of the SCMS.
 */
#ifndef DOT2HSM_PROTOCOL_DOT2_DOT2_H
#define DOT2HSM_PROTOCOL_DOT2_DOT2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <openssl/evp.h>

#include "asn1/coer.h"
#include <CertificateBase.h>
#include <EncryptedData.h>
#include <Signature.h>

enum dot2_status {
    DOT2_OK = 0,
    DOT2_E_MEMORY,
    DOT2_E_ARGUMENT,         /* a caller's mistake */
    DOT2_E_DECODE,           /* not the COER of the type; offset and field say where */
    DOT2_E_PROVIDER,         /* the provider dot2hsm is not there, or did not take the operation */
    DOT2_E_CRYPTO,           /* OpenSSL or the token failed; its error queue says why */
    DOT2_E_ALGORITHM,        /* a curve, hash or key kind that the type or the release has not */
    DOT2_E_POINT,            /* not a point of the curve */
    DOT2_E_KEY_MISMATCH,     /* the private key is not the certificate's */
    DOT2_E_SIGNATURE,        /* a signature does not verify */
    DOT2_E_SIGNER,           /* the signer is not what the message requires */
    DOT2_E_CERTIFICATE,      /* a certificate is not consistent in itself */
    DOT2_E_ISSUER_UNKNOWN,   /* no path to an anchor */
    DOT2_E_ISSUER_SIGNATURE, /* a certificate is not signed by its issuer */
    DOT2_E_NOT_YET_VALID,
    DOT2_E_EXPIRED,
    DOT2_E_VALIDITY_NESTING, /* validity not within the issuer's */
    DOT2_E_PERMISSION,       /* permissions absent, present where they must not be, or not the
                                issuer's to give */
    DOT2_E_REGION,           /* region not within the issuer's */
    DOT2_E_ASSURANCE,        /* assurance level above the issuer's */
    DOT2_E_TYPE,             /* implicit or explicit where it must not be */
    DOT2_E_DEPTH,            /* chain longer than the limit, or a cycle */
    DOT2_E_TIME,             /* outside Time32, or not a time */
    DOT2_E_MESSAGE,          /* decodes, but is not the message that is expected here */
    DOT2_E_NOT_RECIPIENT,    /* encrypted, but not to this certificate or key */
    DOT2_E_DECRYPT,          /* does not decrypt: altered, or encrypted to another key */
    DOT2_E_REVOKED           /* a certificate of the chain is on a CRL */
};

struct dot2_error {
    enum dot2_status status;
    size_t offset;   /* octets from the start of the input; 0 if it has no place */
    char field[160]; /* path, such as "Certificate.toBeSigned.validityPeriod"; "" if none */
    char detail[200];
};

/* "DOT2_E_EXPIRED", and one sentence; never NULL. */
const char *dot2_status_name(enum dot2_status status);
const char *dot2_status_text(enum dot2_status status);

/* ---- time.c -------------------------------------------------------------------------------- */

/*
 * Unix time (UTC seconds) and Time32, by the table of leap seconds since 2004 (5 since 2017).
 * DOT2_E_TIME: before 2004, or past the 32 bits (2140). A Time32 that falls on an inserted leap
 * second gives the Unix time of the second after it, as POSIX does.
 */
enum dot2_status dot2_time32_from_unix(int64_t unix_seconds, uint32_t *time32);
int64_t dot2_time32_to_unix(uint32_t time32);
/* Now: the kernel's TAI offset when it is set (adjtimex), else the table. */
enum dot2_status dot2_time32_now(uint32_t *time32);
/* Time64 (TAI microseconds), now. */
enum dot2_status dot2_time64_now(uint64_t *time64);
/* "2026-11-23T00:00:00Z", or Time32 in decimal. */
enum dot2_status dot2_time32_parse(const char *text, uint32_t *time32);
/* ISO 8601 UTC; a leap second is written as :60. Room for 20 characters and the NUL. */
void dot2_time32_format(uint32_t time32, char text[21]);

/* ---- crypto.c ------------------------------------------------------------------------------ */

typedef struct dot2_crypto dot2_crypto;

/*
 * libctx may be NULL (the default context). Fetches what the floor needs once.
 * DOT2_E_PROVIDER if dot2hsm is not loaded there, DOT2_E_CRYPTO if no provider gives SHA-256.
 */
enum dot2_status dot2_crypto_new(OSSL_LIB_CTX *libctx, dot2_crypto **crypto,
                                 struct dot2_error *error);
dot2_crypto *dot2_crypto_up_ref(dot2_crypto *crypto);
void dot2_crypto_free(dot2_crypto *crypto);
OSSL_LIB_CTX *dot2_crypto_libctx(const dot2_crypto *crypto);

enum dot2_curve {
    DOT2_CURVE_NONE = 0,
    DOT2_CURVE_P256,
    DOT2_CURVE_BRAINPOOL_P256R1,
    DOT2_CURVE_BRAINPOOL_P384R1,
    DOT2_CURVE_P384 /* known, but without a place in the 1609.2 types of this release */
};
enum dot2_curve dot2_key_curve(const EVP_PKEY *key);
size_t dot2_curve_size(enum dot2_curve curve); /* octets of a coordinate: 32, 48, or 0 */
const char *dot2_curve_name(enum dot2_curve curve);
/* Octets of the curve's hash (SHA-256: 32, SHA-384: 48). */
size_t dot2_curve_hash_size(enum dot2_curve curve);

/* SHA-256 (32 octets) or SHA-384 (48), as the curve has it. */
enum dot2_status dot2_hash(const dot2_crypto *crypto, enum dot2_curve curve, const uint8_t *data,
                           size_t size, uint8_t hash[48]);

/*
 * A public key from SEC 1 octets: 02|03 || x, or 04 || x || y. The point is checked to be on the
 * curve. DOT2_E_POINT otherwise.
 */
enum dot2_status dot2_public_key(const dot2_crypto *crypto, enum dot2_curve curve,
                                 const uint8_t *encoding, size_t size, EVP_PKEY **key,
                                 struct dot2_error *error);
/* The compressed point 02|03 || x of a key (33 or 49 octets). */
enum dot2_status dot2_public_point(const EVP_PKEY *key, uint8_t compressed[49], size_t *size);

/* The largest COER Signature: choice, point choice, two numbers of 48 octets. */
#define DOT2_SIGNATURE_MAX 100

/*
 * Signs data under a signer: octets and size of the signer's canonical certificate, or size 0 for
 * `self`. Writes the COER of a Signature with rSig x-only. Runs in the provider dot2hsm or fails.
 * DOT2_E_ALGORITHM: a key on NIST P-384, which the type has no alternative for.
 */
enum dot2_status dot2_sign(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t *data,
                           size_t size, const uint8_t *signer, size_t signer_size,
                           uint8_t signature[DOT2_SIGNATURE_MAX], size_t *signature_size,
                           struct dot2_error *error);
/*
 * The same digest and key, signature as DER or r || s (left padded), for all four curves.
 */
enum dot2_signature_format {
    DOT2_SIGNATURE_DER = 0,
    DOT2_SIGNATURE_RAW
};
enum dot2_status dot2_sign_format(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t *data,
                                  size_t size, const uint8_t *signer, size_t signer_size,
                                  enum dot2_signature_format format, uint8_t signature[112],
                                  size_t *signature_size, struct dot2_error *error);
/*
 * Verifies a decoded Signature; rSig may be x-only, compressed or uncompressed (its point is then
 * checked to be on the curve). DOT2_E_SIGNATURE if it does not verify, or r or s is out of range.
 */
enum dot2_status dot2_verify(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t *data,
                             size_t size, const uint8_t *signer, size_t signer_size,
                             const Signature_t *signature, struct dot2_error *error);

/* ---- cert.c -------------------------------------------------------------------------------- */

typedef struct dot2_cert dot2_cert;

/* Decodes and checks the consistency of one certificate; copies the octets. */
enum dot2_status dot2_cert_new(const dot2_crypto *crypto, const uint8_t *octets, size_t size,
                               dot2_cert **cert, struct dot2_error *error);
dot2_cert *dot2_cert_up_ref(dot2_cert *cert);
void dot2_cert_free(dot2_cert *cert);

const CertificateBase_t *dot2_cert_asn1(const dot2_cert *cert);
const uint8_t *dot2_cert_octets(const dot2_cert *cert, size_t *size);    /* as received */
const uint8_t *dot2_cert_canonical(const dot2_cert *cert, size_t *size); /* clause 6.4.3 */
/* The whole hash of the canonical form, 32 or 48 octets, and its last 8. */
const uint8_t *dot2_cert_hash(const dot2_cert *cert, size_t *size);
const uint8_t *dot2_cert_hashedid8(const dot2_cert *cert);
bool dot2_cert_is_implicit(const dot2_cert *cert);
bool dot2_cert_is_self_issued(const dot2_cert *cert);
/* HashedId8 of the issuer; NULL if self-issued. */
const uint8_t *dot2_cert_issuer(const dot2_cert *cert);
/* First and last second of validity; saturates at 2^32 - 1. A year is 31556952 seconds. */
uint32_t dot2_cert_start(const dot2_cert *cert);
uint32_t dot2_cert_end(const dot2_cert *cert);
/* A short name for logs and tables: id.name, or binaryId in hex, or "". NUL-terminated, printable.
 */
const char *dot2_cert_name(const dot2_cert *cert);
/* The key of an explicit certificate (a new reference); DOT2_E_TYPE for an implicit one. */
enum dot2_status dot2_cert_key(const dot2_cert *cert, EVP_PKEY **key, struct dot2_error *error);
/*
 * Is it the key of that certificate? DOT2_E_KEY_MISMATCH with the field if not. DOT2_OK for an
 * implicit certificate: nobody can say without its issuer's.
 */
enum dot2_status dot2_cert_check_key(const dot2_cert *cert, const EVP_PKEY *key, const char *field,
                                     struct dot2_error *error);
/* The recipient's encryption key, if any (a new reference); DOT2_E_TYPE if it has none. */
enum dot2_status dot2_cert_encryption_key(const dot2_cert *cert, EVP_PKEY **key,
                                          struct dot2_error *error);

/*
 * Whole hashes under which a certificate is looked up in a blacklist: that of its canonical form,
 * and, for an explicit one, that with s replaced by n - s, because both verify. count is 1 or 2.
 */
enum dot2_status dot2_cert_blacklist_hashes(const dot2_cert *cert, uint8_t hashes[2][48],
                                            size_t *hash_size, size_t *count);

/* ---- ecqv.c, issue.c: implicit certificates (SEC 4; whole hash, no shift), and issuing --------
 */

/* Q = e P + Q_CA. issuer_key is the issuer's public key. */
enum dot2_status dot2_ecqv_public_key(const dot2_crypto *crypto, const dot2_cert *cert,
                                      const dot2_cert *issuer, const EVP_PKEY *issuer_key,
                                      EVP_PKEY **key, struct dot2_error *error);
/* d = e k + s mod n, for software keys: k of the request, s of 32 octets big-endian. */
enum dot2_status dot2_ecqv_private_key(const dot2_crypto *crypto, const dot2_cert *cert,
                                       const dot2_cert *issuer, const EVP_PKEY *request_key,
                                       const uint8_t s[32], EVP_PKEY **key,
                                       struct dot2_error *error);

/*
 * Issues a certificate with a CA key. body has everything of toBeSigned but verifyKeyIndicator,
 * which is filled in here from subject_key (a public key is enough); version, type, issuer and
 * signature are made. issuer NULL = self-signed (issuer_key is then the subject's). Memory that
 * body needs comes from arena.
 * implicit: an ECQV certificate, for a CA with a software key; s gets the 32 octets of the private
 * key reconstruction value (may be NULL for an explicit certificate).
 */
enum dot2_status dot2_cert_issue(const dot2_crypto *crypto, coer_arena *arena,
                                 ToBeSignedCertificate_t *body, const EVP_PKEY *subject_key,
                                 const dot2_cert *issuer, EVP_PKEY *issuer_key, bool implicit,
                                 dot2_cert **cert, uint8_t s[32], struct dot2_error *error);

/* ---- trust.c, chain.c ----------------------------------------------------------------------- */

typedef struct dot2_trust dot2_trust;

struct dot2_trust_limits {
    size_t cache_entries; /* verified certificates kept; 0 = 4096 */
    unsigned max_depth;   /* certificates from the end entity to the anchor; 0 = 8, at most 16 */
};

enum dot2_status dot2_trust_new(dot2_crypto *crypto, const struct dot2_trust_limits *limits,
                                dot2_trust **trust);
dot2_trust *dot2_trust_up_ref(dot2_trust *trust);
void dot2_trust_free(dot2_trust *trust);
/*
 * Whichever certificate is added here is trusted as it is; its own signature is not asked for.
 * DOT2_E_TYPE for an implicit one, which has no key without its issuer. Adding is for the time
 * before the trust is shared.
 */
enum dot2_status dot2_trust_add_anchor(dot2_trust *trust, dot2_cert *cert);
/* An intermediate, or a signer named by digest; trusted only if it chains to an anchor. */
enum dot2_status dot2_trust_add(dot2_trust *trust, dot2_cert *cert);
/* Look-ups in the cache of verified certificates so far, and how many it holds. */
struct dot2_cache_counts {
    uint64_t hits, misses;
    size_t entries;
};
void dot2_trust_cache_counts(const dot2_trust *trust, struct dot2_cache_counts *counts);
/*
 * As dot2_cert_new(), for a certificate that comes again and again: if these octets were verified
 * as an enrollment certificate and are still in the cache, it is a new reference to that one.
 * Nothing is verified by it: what dot2_chain_verify() looks at is looked at there, each time.
 */
enum dot2_status dot2_trust_cert(const dot2_trust *trust, const uint8_t *octets, size_t size,
                                 dot2_cert **cert, struct dot2_error *error);
/* By HashedId8, a new reference; NULL if unknown. */
dot2_cert *dot2_trust_find(const dot2_trust *trust, const uint8_t hashedid8[8]);

enum dot2_purpose {
    DOT2_PURPOSE_ANY = 0,   /* no rule for the end of the chain but consistency with its issuer */
    DOT2_PURPOSE_ENROLLMENT /* certRequestPermissions present and not empty, appPermissions absent,
                               within the issuer's certIssuePermissions */
};

struct dot2_check {
    enum dot2_purpose purpose;
    uint32_t time;       /* Time32 at which all of the chain must be valid */
    bool signature_only; /* leave out validity, permissions, region */
};

struct dot2_chain {
    EVP_PKEY *key;                /* of the end of the chain, checked; dot2_chain_clear frees it */
    enum dot2_curve curve;        /* of key */
    uint32_t start, end;          /* intersection of all validities */
    size_t depth;                 /* certificates, the anchor included */
    dot2_cert *certs[16];         /* from the end entity to the anchor, references */
    struct dot2_verdict *verdict; /* the chain's entry in the cache, see below */
};

/*
 * Finds and verifies the way from a certificate to an anchor: issuer by HashedId8, its signature
 * (over the octets received or the canonical form) or its ECQV reconstruction, validity, nesting of
 * validity, permissions with minChainLength, chainLengthRange and eeType, region, assurance level,
 * type, depth. An anchor's issuer is not looked for. DOT2_E_PROVIDER without the provider, whatever
 * is in the cache. A verified certificate is kept in the cache until the shortest validity of its
 * chain ends. chain may be NULL.
 */
enum dot2_status dot2_chain_verify(dot2_trust *trust, dot2_cert *cert,
                                   const struct dot2_check *check, struct dot2_chain *chain,
                                   struct dot2_error *error);
/*
 * dot2_verify() with the key and the certificate at the end of a verified chain. What it takes is
 * kept with the chain in the trust's cache, so that the next signature costs little more than its
 * verification.
 */
enum dot2_status dot2_chain_verify_signature(const dot2_crypto *crypto,
                                             const struct dot2_chain *chain, const uint8_t *data,
                                             size_t size, const Signature_t *signature,
                                             struct dot2_error *error);
void dot2_chain_clear(struct dot2_chain *chain);

/* ---- signed_data.c: SignedData in an Ieee1609Dot2Data ------------------------------------------
 */

/*
 * Verifies a signedData: signer by exactly one certificate, or by digest through the trust's
 * certificates; anything else is DOT2_E_SIGNER. The PSID must be in the signer's appPermissions,
 * generationTime within the validity of its chain, expiryTime not passed (all three are left out by
 * signature_only). chain may be NULL.
 */
enum dot2_status dot2_signed_data_verify(dot2_trust *trust, const uint8_t *octets, size_t size,
                                         const struct dot2_check *check, struct dot2_chain *chain,
                                         struct dot2_error *error);

/* ---- encrypt.c, decrypt.c: EncryptedData in an Ieee1609Dot2Data --------------------------------
 */

/* Octets of the longest plaintext: AES-CCM with a nonce of 12 octets counts in 3. */
#define DOT2_PLAINTEXT_MAX 0xffffff
/* Recipients of one message that are read; more are DOT2_E_MESSAGE. */
#define DOT2_RECIPIENTS_MAX 16

/*
 * Encrypts to a certificate's encryption key (certRecipInfo, recipientId its HashedId8, P1 the
 * SHA-256 of its canonical form), or to a public key alone (rekRecipInfo, recipientId the HashedId8
 * of the COER PublicEncryptionKey, P1 the SHA-256 of the empty string). The AES key, the nonce and
 * the ephemeral key are new each time. The plaintext should be a whole Ieee1609Dot2Data.
 * *octets, a COER Ieee1609Dot2Data, is OPENSSL_free'd by the caller.
 * DOT2_E_TYPE: the certificate has no encryption key. DOT2_E_ALGORITHM: a key that is not on P-256
 * or brainpoolP256r1. DOT2_E_ARGUMENT: no plaintext, or more than DOT2_PLAINTEXT_MAX octets.
 */
enum dot2_status dot2_encrypt_to_cert(const dot2_crypto *crypto, const dot2_cert *cert,
                                      const uint8_t *plaintext, size_t size, uint8_t **octets,
                                      size_t *octets_size, struct dot2_error *error);
enum dot2_status dot2_encrypt_to_key(const dot2_crypto *crypto, EVP_PKEY *key,
                                     const uint8_t *plaintext, size_t size, uint8_t **octets,
                                     size_t *octets_size, struct dot2_error *error);

/* The HashedId8 of a key's COER PublicEncryptionKey. */
enum dot2_status dot2_encryption_key_hashedid8(const dot2_crypto *crypto, const EVP_PKEY *key,
                                               uint8_t id[8], struct dot2_error *error);

struct dot2_recipient {
    enum dot2_recipient_kind {
        DOT2_RECIPIENT_PSK = 1,
        DOT2_RECIPIENT_SYMM,
        DOT2_RECIPIENT_CERT,
        DOT2_RECIPIENT_SIGNED_DATA,
        DOT2_RECIPIENT_REK
    } kind;
    uint8_t id[8]; /* recipientId */
};

/* A decoded message; by its recipients, who has several keys chooses one. */
struct dot2_encrypted {
    coer_arena *arena; /* owns the decoded values; octets stay the caller's */
    const EncryptedData_t *asn1;
    struct dot2_recipient recipients[DOT2_RECIPIENTS_MAX];
    size_t count;
};

/* DOT2_E_DECODE; DOT2_E_MESSAGE for another content, no recipient or too many. */
enum dot2_status dot2_encrypted_parse(const uint8_t *octets, size_t size,
                                      struct dot2_encrypted *encrypted, struct dot2_error *error);
void dot2_encrypted_clear(struct dot2_encrypted *encrypted);

/*
 * Decrypts with a private key, in its token if it is in one: for cert, if that is not NULL
 * (certRecipInfo under its HashedId8), else for the key alone (rekRecipInfo; under another
 * recipientId the key is tried all the same, as responses in the field have the RA's there).
 * *plaintext is OPENSSL_clear_free'd by the caller; after an error it is NULL, and nothing of the
 * plaintext is left.
 * DOT2_E_NOT_RECIPIENT: there is no such recipient. DOT2_E_DECRYPT: a tag does not match, or a
 * point is not on the curve: altered, or not encrypted to this key and certificate. DOT2_E_POINT:
 * a point that is none. DOT2_E_KEY_MISMATCH: the key is not that of cert. DOT2_E_CRYPTO: OpenSSL or
 * the token failed; the message may be right.
 */
enum dot2_status dot2_encrypted_decrypt(const dot2_crypto *crypto,
                                        const struct dot2_encrypted *encrypted, EVP_PKEY *key,
                                        const dot2_cert *cert, uint8_t **plaintext, size_t *size,
                                        struct dot2_error *error);
/*
 * The same for who decrypts many messages with one key: what it takes is kept, so that a message
 * costs little more than its ECDH. Any number of threads may decrypt with it at once. References
 * of key and cert are taken; cert may be NULL. Errors of dot2_decrypt_check() at the making.
 */
typedef struct dot2_decrypter dot2_decrypter;
enum dot2_status dot2_decrypter_new(const dot2_crypto *crypto, EVP_PKEY *key, dot2_cert *cert,
                                    dot2_decrypter **decrypter, struct dot2_error *error);
void dot2_decrypter_free(dot2_decrypter *decrypter);
enum dot2_status dot2_decrypter_decrypt(dot2_decrypter *decrypter,
                                        const struct dot2_encrypted *encrypted, uint8_t **plaintext,
                                        size_t *size, struct dot2_error *error);
/*
 * To be asked at start-up: can the private key decrypt at all, and is it the one of cert (unless
 * NULL)? Nothing is decrypted. DOT2_E_PROVIDER with the reason: a key that may not derive, or a
 * token without CKM_ECDH1_DERIVE. DOT2_E_ALGORITHM, DOT2_E_TYPE, DOT2_E_KEY_MISMATCH.
 */
enum dot2_status dot2_decrypt_check(const dot2_crypto *crypto, EVP_PKEY *key, const dot2_cert *cert,
                                    struct dot2_error *error);
/* dot2_encrypted_parse() and dot2_encrypted_decrypt() in one. */
enum dot2_status dot2_decrypt(const dot2_crypto *crypto, EVP_PKEY *key, const dot2_cert *cert,
                              const uint8_t *octets, size_t size, uint8_t **plaintext,
                              size_t *plaintext_size, struct dot2_error *error);

/* ---- sign_data.c: making SignedData, and reading its payload -----------------------------------
 */

enum dot2_signer_form {
    DOT2_SIGNER_DIGEST = 0, /* HashedId8: the receiver has the certificate */
    DOT2_SIGNER_CERTIFICATE
};
struct dot2_header {
    uint64_t psid;
    bool has_generation_time;
    uint64_t generation_time; /* Time64: TAI microseconds */
};

/*
 * An Ieee1609Dot2Data.signedData whose payload is an unsecuredData of these octets. For an explicit
 * certificate the key is compared with it (DOT2_E_KEY_MISMATCH).
 * *octets is OPENSSL_free'd by the caller.
 */
enum dot2_status dot2_signed_data_build(const dot2_crypto *crypto, EVP_PKEY *key,
                                        const dot2_cert *cert, enum dot2_signer_form form,
                                        const struct dot2_header *header, const uint8_t *payload,
                                        size_t payload_size, uint8_t **octets, size_t *size,
                                        struct dot2_error *error);

struct dot2_signed_payload {
    struct dot2_header header;
    bool other_headers;  /* anything else is present, or of a later edition */
    const uint8_t *data; /* in the caller's octets */
    size_t size;
};
/*
 * The payload of a signedData, if it is an unsecuredData and nothing else: DOT2_E_MESSAGE. Verifies
 * nothing: that is dot2_signed_data_verify().
 */
enum dot2_status dot2_signed_data_payload(const uint8_t *octets, size_t size,
                                          struct dot2_signed_payload *payload,
                                          struct dot2_error *error);

/* ---- sealed_key.c: software keys at rest --------------------------------------------------------
 */

/*
 * Where OpenSSL has a secure heap (CRYPTO_secure_malloc_init() is the application's to call), the
 * private numbers of these functions are in it and nowhere else for longer than a call.
 */

/* A software key pair. DOT2_E_ALGORITHM: not one of the 256-bit curves. */
enum dot2_status dot2_key_make(const dot2_crypto *crypto, enum dot2_curve curve, EVP_PKEY **key,
                               struct dot2_error *error);
/*
 * The private number of a software key, big-endian, dot2_curve_size() octets, for the caller to
 * cleanse. DOT2_E_ARGUMENT: a key in a token, or a public one.
 */
enum dot2_status dot2_key_number(const EVP_PKEY *key, uint8_t number[48], size_t *size,
                                 struct dot2_error *error);
/*
 * Seals the private number of a software key on a 256-bit curve to an encryption key: an
 * Ieee1609Dot2Data.encryptedData to a rekRecipInfo (ECIES and AES-128-CCM) of an unsecuredData of
 * 34 octets: 01, the alternative of BasePublicEncryptionKey for the curve (00 NIST P-256, 01
 * brainpoolP256r1), the number. *octets is OPENSSL_free'd by the caller.
 * Errors as dot2_encrypt_to_key() and dot2_key_number().
 */
enum dot2_status dot2_key_seal(const dot2_crypto *crypto, EVP_PKEY *sealing, const EVP_PKEY *key,
                               uint8_t **octets, size_t *size, struct dot2_error *error);
/*
 * Opens it with the private key, in its token if it is in one. The seal says who can read the
 * number, not who has sealed it: compare the public key. Errors as dot2_decrypt(); DOT2_E_MESSAGE:
 * decrypts, but is no sealed key.
 */
enum dot2_status dot2_key_unseal(const dot2_crypto *crypto, EVP_PKEY *sealing,
                                 const uint8_t *octets, size_t size, EVP_PKEY **key,
                                 struct dot2_error *error);

#endif
