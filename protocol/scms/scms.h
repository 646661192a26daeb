/*
 * scms.h: APDUs of the SCMS CV Pilots EE-RA interface, release 1.2.2.
 *
 * Each message has one function that builds its octets and one that parses them; both stand in one
 * file. Parsing keeps spans into the caller's octets, which must outlive the parsed message.
 */
#ifndef DOT2HSM_PROTOCOL_SCMS_SCMS_H
#define DOT2HSM_PROTOCOL_SCMS_SCMS_H

#include "protocol/dot2/butterfly.h"
#include "protocol/dot2/crl.h"
#include "protocol/dot2/dot2.h"

#include <ScmsPDU.h>

/* ---- error.c: the RA-EE error table ---------------------------------------------------------- */

/* Published codes only; a refusal that has none of its own uses the nearest (see error.c). */
enum scms_error_code {
    SCMS_RA_BLACKLISTED = 5055,
    SCMS_RA_REQUEST_FOR_MULTIPLE_CERTS = 5056,
    SCMS_RA_DUPLICATE_REQUEST_RECEIVED = 5057,
    SCMS_RA_INVALID_SIGNATURE = 5058,
    SCMS_RA_REQUEST_NOT_ENCRYPTED = 5059,
    SCMS_RA_NO_CERT_FILE_AVAILABLE = 5065,
    SCMS_RA_AUTHENTICATION_FAILED = 5067,
    SCMS_RA_NO_PCA_CERTIFICATE_CHAIN_FILE_AVAILABLE = 5068,
    SCMS_RA_NO_INFO_FILE_AVAILABLE = 5069,
    SCMS_RA_WRONG_PARAMETERS = 5070,
    SCMS_RA_MORE_THAN_ALLOWED_TRIES = 5071,
    SCMS_RA_INVALID_URL = 5072
};

struct scms_error {
    enum scms_error_code code;
    const char *key;     /* "SCMS-1065" */
    const char *name;    /* "raBlacklisted" */
    const char *message; /* as published */
};
/* NULL if the code is not published. */
const struct scms_error *scms_error_find(int code);

/* ---- envelope.c: what an SPDU is, told by its first octets ------------------------------------
 */

enum scms_form {
    SCMS_FORM_OTHER = 0,
    SCMS_FORM_UNSECURED,     /* 03 80 */
    SCMS_FORM_SIGNED_DATA,   /* 03 81 */
    SCMS_FORM_ENCRYPTED,     /* 03 82: Secured... */
    SCMS_FORM_SIGNED_REQUEST /* 03 83: Signed...Request */
};
enum scms_form scms_form_of(const uint8_t *octets, size_t size);

/* ---- signed_request.c: SignedCertificateRequest in an Ieee1609Dot2Data ------------------------
 */

/*
 * Signs tbs (the COER of a ScmsPDU) under an enrollment certificate and wraps it. cert NULL =
 * signer self. That the key is the certificate's is the caller's to know for an implicit one, and
 * is checked here for an explicit one (DOT2_E_KEY_MISMATCH).
 * *octets is OPENSSL_free'd by the caller.
 */
enum dot2_status scms_signed_request_build(const dot2_crypto *crypto, EVP_PKEY *key,
                                           const dot2_cert *cert, const uint8_t *tbs,
                                           size_t tbs_size, uint8_t **octets, size_t *size,
                                           struct dot2_error *error);

/* Octets of what that makes, to be known before it is signed; 0: no key of these types. */
size_t scms_signed_request_size(const EVP_PKEY *key, const dot2_cert *cert, size_t tbs_size);

struct scms_signed_request {
    coer_arena *arena;    /* owns the decoded values; octets stay the caller's */
    struct coer_span tbs; /* tbsRequest as received: the data input of the signature */
    const ScmsPDU_t *pdu; /* decoded tbsRequest */
    const Signature_t *signature;
    dot2_cert *cert; /* signer; NULL if self */
    bool is_sha384;  /* hashId, which must be the hash of the signer's key */
};

/*
 * Decodes a Signed...Request. DOT2_E_SIGNER unless the signer is one certificate (or self, if
 * allow_self). Nothing is verified.
 */
enum dot2_status scms_signed_request_parse(const dot2_crypto *crypto, const uint8_t *octets,
                                           size_t size, bool allow_self,
                                           struct scms_signed_request *request,
                                           struct dot2_error *error);
/* The same for who receives many, of a signer with a certificate: see dot2_trust_cert(). */
enum dot2_status scms_signed_request_receive(const dot2_trust *trust, const uint8_t *octets,
                                             size_t size, struct scms_signed_request *request,
                                             struct dot2_error *error);
/* The signature over tbs: by a public key, with the signer request->cert or self. */
enum dot2_status scms_signed_request_verify(const dot2_crypto *crypto,
                                            const struct scms_signed_request *request,
                                            EVP_PKEY *key, struct dot2_error *error);
/* The same by the chain that dot2_chain_verify() gave for request->cert: see there. */
enum dot2_status scms_signed_request_verify_by(const dot2_crypto *crypto,
                                               const struct scms_signed_request *request,
                                               const struct dot2_chain *chain,
                                               struct dot2_error *error);
void scms_signed_request_clear(struct scms_signed_request *request);

/* ---- download_request.c: AuthenticatedDownloadRequest ------------------------------------------
 */

/*
 * The COER of ScmsPDU.ee-ra.eeRaAuthenticatedDownloadRequest; filename is 0 to 255 octets of UTF-8.
 * *octets is OPENSSL_free'd by the caller.
 */
enum dot2_status scms_download_request_build(uint32_t time32, const char *filename,
                                             uint8_t **octets, size_t *size,
                                             struct dot2_error *error);
/* filename points into the message and is not terminated. DOT2_E_MESSAGE for another PDU. */
enum dot2_status scms_download_request_parse(const ScmsPDU_t *pdu, uint32_t *time32,
                                             const char **filename, size_t *filename_size,
                                             struct dot2_error *error);

/* ---- base64.c: the value of the Download-Req header --------------------------------------------
 */

/* Standard alphabet, padded, one line. *text is OPENSSL_free'd by the caller. */
enum dot2_status scms_base64_encode(const uint8_t *octets, size_t size, char **text);
/*
 * Strict: the standard alphabet with its padding, non-zero trailing bits refused, no white space.
 * DOT2_E_DECODE with the offset. *octets is OPENSSL_free'd by the caller.
 */
enum dot2_status scms_base64_decode(const char *text, size_t length, uint8_t **octets, size_t *size,
                                    struct dot2_error *error);

/* ---- secured.c: Secured...Request, a Signed...Request encrypted to the RA ----------------------
 */

/* *octets is OPENSSL_free'd by the caller. DOT2_E_ARGUMENT: request is not a signed request. */
enum dot2_status scms_secured_build(const dot2_crypto *crypto, const dot2_cert *ra,
                                    const uint8_t *request, size_t request_size, uint8_t **octets,
                                    size_t *size, struct dot2_error *error);

/* Octets of what that makes of a signed request of so many octets. */
size_t scms_secured_size(size_t request_size);

/* One of an RA's certificates, with the private key of its encryptionKey. */
struct scms_ra_key {
    const dot2_cert *cert;
    EVP_PKEY *key;
    dot2_decrypter *decrypter; /* of both, if there will be more messages; or NULL */
};

/*
 * Decrypts with that of the keys whose certificate the recipientId names; *used (may be NULL) gets
 * its index. *request is OPENSSL_clear_free'd by the caller.
 * Errors of dot2_encrypted_decrypt(); DOT2_E_MESSAGE unless there is exactly one recipient, a
 * certRecipInfo, and a signed request within; DOT2_E_NOT_RECIPIENT: to another RA.
 */
enum dot2_status scms_secured_open(const dot2_crypto *crypto, const struct scms_ra_key *keys,
                                   size_t count, const uint8_t *octets, size_t size,
                                   uint8_t **request, size_t *request_size, size_t *used,
                                   struct dot2_error *error);

/* ---- app_request.c: EeRaAppCertProvisioningRequest ---------------------------------------------
 */

struct scms_app_request {
    EVP_PKEY *verify_key;          /* public halves are enough */
    EVP_PKEY *cert_encryption_key; /* NULL = absent */
    EVP_PKEY *response_encryption_key;
    uint32_t current_time, requested_start_time; /* Time32 */
};

/*
 * The COER of the ScmsPDU; *octets is OPENSSL_free'd by the caller. DOT2_E_ALGORITHM, with the
 * field: a key on a curve that the type has no alternative for.
 */
enum dot2_status scms_app_request_build(const struct scms_app_request *request, uint8_t **octets,
                                        size_t *size, struct dot2_error *error);
/*
 * Every key is checked to be on its curve (DOT2_E_POINT, with the field). DOT2_E_MESSAGE for
 * another PDU. The keys are public keys of the request's own.
 */
enum dot2_status scms_app_request_parse(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                        struct scms_app_request *request, struct dot2_error *error);
void scms_app_request_clear(struct scms_app_request *request);

/* What an RA, which makes no certificate, wants to know of a request. */
struct scms_request_head {
    uint8_t verify_point[49]; /* of the key to be certified, or the seed: 02|03 || x */
    size_t point_size;        /* 33 or 49 */
    uint32_t requested_start_time;
};
/* As scms_app_request_parse(), without making keys of the points that it checks. */
enum dot2_status scms_app_request_check(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                        struct scms_request_head *head, struct dot2_error *error);

/* ---- butterfly_request.c: EeRa{Pseudonym,Id}CertProvisioningRequest ----------------------------
 */

enum scms_provision {
    SCMS_PROVISION_PSEUDONYM = 1,
    SCMS_PROVISION_ID,
    SCMS_PROVISION_APP
};

/* UnsignedButterflyParams: a key on P-256 and the AES key of the expansion function. */
struct scms_butterfly_params {
    EVP_PKEY *seed_key;
    uint8_t expansion[16];
};

struct scms_butterfly_request {
    enum scms_provision kind; /* pseudonym or id */
    struct scms_butterfly_params verify;
    struct scms_butterfly_params cert_encryption; /* of id only; seed_key NULL = absent */
    struct scms_butterfly_params response_encryption;
    uint32_t current_time, requested_start_time; /* Time32 */
};

/* As scms_app_request_build() and _parse(). A seed key that is not on P-256: DOT2_E_ALGORITHM. */
enum dot2_status scms_butterfly_request_build(const struct scms_butterfly_request *request,
                                              uint8_t **octets, size_t *size,
                                              struct dot2_error *error);
enum dot2_status scms_butterfly_request_parse(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                              struct scms_butterfly_request *request,
                                              struct dot2_error *error);
void scms_butterfly_request_clear(struct scms_butterfly_request *request);
/* As scms_butterfly_request_parse(), without making keys of the points that it checks. */
enum dot2_status scms_butterfly_request_check(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                              struct scms_request_head *head,
                                              struct dot2_error *error);

/* ---- ack.c: Signed{Pseudonym,Id,App}CertProvisioningAck ----------------------------------------
 */

#define SCMS_PSID 0x23 /* Security Management */

struct scms_ack {
    enum scms_provision kind;
    uint8_t request_hash[8]; /* last octets of SHA-256 of the body that was posted */
    uint32_t download_time;  /* certDLTime, Time32 */
    char url[256];           /* certDLURL */
};

/* Signs with the RA's key; signer: digest of ra. *octets is OPENSSL_free'd by the caller. */
enum dot2_status scms_ack_build(const dot2_crypto *crypto, EVP_PKEY *key, const dot2_cert *ra,
                                const struct scms_ack *ack, uint8_t **octets, size_t *size,
                                struct dot2_error *error);
/*
 * Reads and verifies an ack at time32. The trust must find ra, which is the only signer that is
 * taken (DOT2_E_SIGNER), named by digest or given as certificate. That request_hash is that of the
 * caller's request, and that the URL leads to the RA, is for the caller to check.
 */
enum dot2_status scms_ack_open(dot2_trust *trust, const dot2_cert *ra, uint32_t time32,
                               const uint8_t *octets, size_t size, struct scms_ack *ack,
                               struct dot2_error *error);

/* ---- ra_cert.c: SecuredRACertRequest and its answer --------------------------------------------
 */

/* The one request of release 1.2.2, octets that are constant. */
const uint8_t *scms_ra_cert_request(size_t *size);
enum dot2_status scms_ra_cert_request_parse(const uint8_t *octets, size_t size,
                                            struct dot2_error *error);
/*
 * The certificate of an answer: the bare certificate that the service's page gives, or the
 * SecuredRACertResponse of the type. It is not verified. DOT2_E_TYPE unless it is explicit and has
 * an encryption key.
 */
enum dot2_status scms_ra_cert_response_parse(const dot2_crypto *crypto, const uint8_t *octets,
                                             size_t size, dot2_cert **cert,
                                             struct dot2_error *error);

/* ---- enrollment.c: EeEcaCertRequest, SignedEeEnrollmentCertResponse ----------------------------
 */

/*
 * The COER of the ScmsPDU, to be signed by scms_signed_request_build() with cert NULL. body has
 * everything but verifyKeyIndicator, which is made from key. DOT2_E_MESSAGE with the field: body is
 * not as the profile has it. *octets is OPENSSL_free'd by the caller.
 */
enum dot2_status scms_enrollment_request_build(uint32_t time32, const ToBeSignedCertificate_t *body,
                                               const EVP_PKEY *key, uint8_t **octets, size_t *size,
                                               struct dot2_error *error);

struct scms_enrollment_request {
    uint32_t current_time;               /* Time32 */
    const ToBeSignedCertificate_t *body; /* in the caller's ScmsPDU */
    EVP_PKEY *verify_key; /* the signature of the request must be by it: proof of possession */
};
enum dot2_status scms_enrollment_request_parse(const dot2_crypto *crypto, const ScmsPDU_t *pdu,
                                               struct scms_enrollment_request *request,
                                               struct dot2_error *error);
void scms_enrollment_request_clear(struct scms_enrollment_request *request);

struct scms_enrollment_response {
    uint8_t request_hash[8];
    dot2_cert *eca;
    dot2_cert *enrollment;
    uint8_t s[32]; /* privKeyReconstruction; zeros with an explicit certificate */
};

/* Signs with the ECA's key; signer: the certificate eca. *octets is OPENSSL_free'd by the caller.
 */
enum dot2_status scms_enrollment_response_build(const dot2_crypto *crypto, EVP_PKEY *key,
                                                const struct scms_enrollment_response *response,
                                                uint8_t **octets, size_t *size,
                                                struct dot2_error *error);
/*
 * Reads and verifies a response: the signer is ecaCert, chains to an anchor, and issued the
 * enrollment certificate, whose own chain is the caller's to verify. DOT2_E_TYPE: an explicit
 * certificate where that is not allowed.
 */
enum dot2_status scms_enrollment_response_open(const dot2_crypto *crypto, dot2_trust *trust,
                                               uint32_t time32, const uint8_t *octets, size_t size,
                                               bool allow_explicit,
                                               struct scms_enrollment_response *response,
                                               struct dot2_error *error);
void scms_enrollment_response_clear(struct scms_enrollment_response *response);

/* ---- cert_response.c: SignedEncryptedCertificateResponse ---------------------------------------
 */

struct scms_cert_response {
    enum scms_response_kind {
        SCMS_RESPONSE_IMPLICIT_BUTTERFLY = 1,
        SCMS_RESPONSE_IMPLICIT,
        SCMS_RESPONSE_EXPLICIT_BUTTERFLY,
        SCMS_RESPONSE_EXPLICIT
    } kind;
    dot2_cert *cert;
    uint8_t reconstruction[32]; /* s, or c of explicit-butterfly; nothing of explicit */
};

/*
 * A PCA's: encrypts to the response encryption key, signs; signer: digest of pca. psidSsp,
 * expiration and lifetime are those of the certificate. *octets is OPENSSL_free'd by the caller.
 */
enum dot2_status scms_cert_response_build(const dot2_crypto *crypto, EVP_PKEY *key,
                                          const dot2_cert *pca, EVP_PKEY *response_key,
                                          const struct scms_cert_response *response,
                                          uint8_t **octets, size_t *size, struct dot2_error *error);
/*
 * Verifies the PCA's signature through the trust, then decrypts with the private key of the
 * response encryption key. DOT2_E_SIGNER: the signer is not the issuer of the certificate. The
 * certificate's own chain is the caller's to verify.
 */
enum dot2_status scms_cert_response_open(const dot2_crypto *crypto, dot2_trust *trust,
                                         uint32_t time32, EVP_PKEY *key, const uint8_t *octets,
                                         size_t size, struct scms_cert_response *response,
                                         struct dot2_error *error);
/*
 * The same with a response encryption seed key, expanded; it may be in a token. DOT2_E_TYPE: the
 * response is not one for butterfly keys.
 */
enum dot2_status scms_butterfly_response_open(const dot2_crypto *crypto, dot2_trust *trust,
                                              uint32_t time32, EVP_PKEY *seed,
                                              const struct dot2_expansion *expansion,
                                              const uint8_t *octets, size_t size,
                                              struct scms_cert_response *response,
                                              struct dot2_error *error);
/*
 * The private key of such a response's certificate, from the verification seed key, which must be a
 * software key (DOT2_E_ARGUMENT): e (a + f) + s for an implicit certificate, a + f + c for an
 * explicit one. That it is the certificate's key is the caller's to check.
 */
enum dot2_status scms_butterfly_private(const dot2_crypto *crypto,
                                        const struct scms_cert_response *response,
                                        const dot2_cert *issuer, const EVP_PKEY *seed,
                                        const struct dot2_expansion *expansion, EVP_PKEY **key,
                                        struct dot2_error *error);
void scms_cert_response_clear(struct scms_cert_response *response);

/* ---- chain_file.c: the local certificate chain file --------------------------------------------
 */

/* Host and certificates are in the caller's octets. */
struct scms_chain_file {
    coer_arena *arena;
    uint16_t gccf_version, lccf_version;
    const char *host; /* raHostname, host_size octets without a NUL */
    size_t host_size;
    struct coer_span *certs; /* the MA's, the required ones, the optional ones: count of them */
    size_t count;
    size_t root_ballots, elector_ballots; /* rootCAEndorsements and electorEndorsements */
};
/*
 * Reads a ScmsFile with a local certificate chain file in it. Nobody signs it: a certificate in it
 * counts as far as an anchor vouches for it. Verifies nothing, and looks into no certificate.
 * DOT2_E_DECODE; DOT2_E_MESSAGE: another file. Then there is nothing to clear.
 */
enum dot2_status scms_chain_file_parse(const uint8_t *octets, size_t size,
                                       enum dot2_ballots ballots, struct scms_chain_file *chain,
                                       struct dot2_error *error);
void scms_chain_file_clear(struct scms_chain_file *chain);

/* ---- policy.c: the local policy file ----------------------------------------------------------
 */

/* What of it a device or an RA goes by. Durations are seconds, 0 where the file says nothing. */
struct scms_policy {
    bool is_signed; /* a SignedLocalPolicyFile; else countersigned parts in a ScmsFile */
    uint64_t global_generation; /* generationTime of the two parts, Time64 */
    uint64_t local_generation;
    bool has_host;
    char ra_host[256]; /* requestingRaHostname */
    uint32_t scms_version;
    uint32_t rse_validity, rse_overlap; /* of application certificates */
    uint32_t retrieval_interval;        /* MaxGpfGccfRetrievalInterval */
    uint32_t max_request_age;           /* MaxCertRequestAge */
    uint32_t max_supply;                /* MaxAvailableCertSupply */
};
/*
 * Reads a ScopedLocalPolicyFile or a SignedLocalPolicyFile; of each temporal series the value that
 * holds at now (Time64). Verifies nothing. DOT2_E_DECODE, DOT2_E_MESSAGE, DOT2_E_TIME.
 */
enum dot2_status scms_policy_read(const uint8_t *octets, size_t size, uint64_t now,
                                  struct scms_policy *policy, struct dot2_error *error);
/*
 * Is it signed by this certificate, which the trust has and leads to an anchor? As a whole, or each
 * of its two parts by a countersignature with the hash of that part. DOT2_E_SIGNATURE,
 * DOT2_E_SIGNER, and what dot2_signed_data_verify() answers.
 */
enum dot2_status scms_policy_verify(const dot2_crypto *crypto, dot2_trust *trust,
                                    const dot2_cert *signer, uint32_t now, const uint8_t *octets,
                                    size_t size, struct dot2_error *error);

#endif
