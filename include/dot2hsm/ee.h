/**
 * @file ee.h
 * The end entity's half of the SCMS EE-RA interface (CV Pilots, release 1.2.2).
 *
 * Each exchange is over TLS with a configured RA, on a connection of its own. Only the configured
 * X.509 root is trusted, and the RA's certificate is checked before anything is signed: a false RA
 * gets no signature. Nothing of the environment (proxies, .netrc) counts. A call lasts as long as
 * the exchange; threads may share an end entity, and each of their calls is an exchange.
 */
#ifndef DOT2HSM_EE_H
#define DOT2HSM_EE_H

#include <dot2hsm/keys.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An end entity: its RA and its enrollment. */
typedef struct dot2hsm_ee dot2hsm_ee;

/** What an end entity is made of; strings are copied, and the handles may be freed. */
struct dot2hsm_ee_options {
    size_t size;              /**< sizeof(struct dot2hsm_ee_options) */
    const char *ra_url;       /**< https://host[:port]; port 8892 if it has none */
    const char *tls_root;     /**< PEM file of the only X.509 root(s) that are trusted */
    const char *resolve;      /**< host:port:address, without DNS; NULL = DNS */
    unsigned connect_timeout; /**< seconds; 0 = 10 */
    unsigned stall_timeout;   /**< seconds below 1 octet per second; 0 = 30 */
    int require_ocsp;         /**< not 0: the RA must staple a good OCSP response */
    int secured_header;       /**< not 0: download requests are encrypted to ra_certificate */
    const dot2hsm_key *enrollment_key;   /**< NULL: plain downloads only */
    const dot2hsm_cert *enrollment_cert; /**< of that key */
    const dot2hsm_cert *ra_certificate;  /**< needed by secured_header and for requests */
};

/**
 * DOT2HSM_E_KEY_MISMATCH: the key is not the one of an explicit enrollment certificate.
 * DOT2HSM_E_ARGUMENT: no URL or root, a key without a certificate, secured_header without
 * ra_certificate.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ee_new(dot2hsm_ctx *ctx,
                                          const struct dot2hsm_ee_options *options, dot2hsm_ee **ee,
                                          dot2hsm_error *error);
/** NULL is nothing to free. */
DOT2HSM_API void dot2hsm_ee_free(dot2hsm_ee *ee);

/** Returns 0 to stop: DOT2HSM_E_ABORTED. total is 0 while it is not known. */
typedef int dot2hsm_progress_fn(void *arg, uint64_t done, uint64_t total);

/** One download. */
struct dot2hsm_download {
    size_t size; /**< sizeof(struct dot2hsm_download) */
    /**
     * "application", "identity", "batch", "info", "policy", "chain"; NULL = by filename, if only
     * one service has such names.
     */
    const char *service;
    const char *filename; /**< of authenticated services, such as "AB09281C9867DE53.zip" */
    const char *have;     /**< name or validator of what is here, for If-None-Match; NULL = none */
    const char *output;   /**< path; written as output.part and renamed when whole */
    int restart;          /**< not 0: an output.part that is there is not resumed */
    uint64_t max_size;    /**< more octets are refused; 0 = 1 GiB */
    uint64_t limit_rate;  /**< octets a second at most; 0 = no limit */
    dot2hsm_progress_fn *progress; /**< may be NULL */
    void *progress_arg;            /**< its argument */
};
/** What came of it; filled as far as it went, on failure too. */
struct dot2hsm_download_result {
    size_t size;           /**< sizeof(struct dot2hsm_download_result) */
    uint64_t file_size;    /**< octets of the whole file */
    uint64_t resumed_from; /**< octets that were there already */
    uint32_t timestamp;    /**< Time32 that was signed last */
    unsigned signatures;   /**< requests that were signed */
    char filename[256];    /**< as the RA names it, or "" */
};
/**
 * Downloads a file; killed at any point, it can be called again and goes on where it was. result
 * may be NULL. DOT2HSM_NOT_MODIFIED: have is current. DOT2HSM_E_UNREACHABLE, DOT2HSM_E_TLS,
 * DOT2HSM_E_SIGN, DOT2HSM_E_REFUSED, DOT2HSM_E_RESPONSE, DOT2HSM_E_FILE, DOT2HSM_E_ABORTED.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ee_download(const dot2hsm_ee *ee,
                                               const struct dot2hsm_download *download,
                                               struct dot2hsm_download_result *result,
                                               dot2hsm_error *error);
/**
 * For a transport of the caller's: the value of the header Download-Req, the Base64 of the Time32
 * of now and a file name, signed (and encrypted, with secured_header). It is fresh for the RA's
 * tolerance only (5 s), and must not be sent before the RA has proved itself. *text is freed with
 * dot2hsm_free().
 */
DOT2HSM_API dot2hsm_status dot2hsm_ee_download_header(const dot2hsm_ee *ee, const char *filename,
                                                      char **text, dot2hsm_error *error);
/**
 * Posts octets (application/octet-stream) to a service, such as "/retrieve-ra-certificate"; sent
 * once the RA has proved itself. *answer, of at most 64 KiB, is freed with dot2hsm_free().
 */
DOT2HSM_API dot2hsm_status dot2hsm_ee_post(const dot2hsm_ee *ee, const char *path,
                                           const uint8_t *octets, size_t size, uint8_t **answer,
                                           size_t *answer_size, dot2hsm_error *error);

/**
 * Fetches the RA's certificate. It must chain to an anchor of trust and name the host of ra_url:
 * DOT2HSM_E_RESPONSE otherwise. Needs no enrollment.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ee_ra_certificate(const dot2hsm_ee *ee, dot2hsm_trust *trust,
                                                     dot2hsm_cert **cert, dot2hsm_error *error);

/** A request for an application certificate. */
struct dot2hsm_application {
    size_t size;                     /**< sizeof(struct dot2hsm_application) */
    const dot2hsm_key *verify_key;   /**< the certificate will be for it */
    const dot2hsm_key *response_key; /**< the response will be encrypted to it */
    uint32_t start_time;             /**< Time32 from which it is wanted; 0 = now */
    /**
     * Called with the requestHash when the body is signed, before an octet of it is sent: what an
     * RA has accepted can then be fetched, whatever becomes of this process. Returns 0 to stop:
     * DOT2HSM_E_ABORTED. May be NULL.
     */
    int (*before)(void *arg, const uint8_t request_hash[8]);
    void *before_arg; /**< its argument */
};
/** The RA's acknowledgement. */
struct dot2hsm_ack {
    size_t size;             /**< sizeof(struct dot2hsm_ack) */
    uint8_t request_hash[8]; /**< in hexadecimal and with ".zip", the file's name */
    uint32_t download_time;  /**< Time32 from which the file can be fetched */
    char url[256];           /**< whence; on the host of ra_url */
};
/**
 * Signs a request under the enrollment certificate, encrypts it to the RA, sends it, and verifies
 * the acknowledgement: of the RA's certificate, of this request, leading to this RA. trust must
 * know the RA's certificate. DOT2HSM_E_ARGUMENT: no enrollment, or no ra_certificate. As
 * dot2hsm_ee_download() otherwise.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ee_request_application(
    const dot2hsm_ee *ee, dot2hsm_trust *trust, const struct dot2hsm_application *application,
    struct dot2hsm_ack *ack, dot2hsm_error *error);
/**
 * For a transport of the caller's: the body of that request, fresh for the RA's tolerance only, and
 * not to be sent before the RA has proved itself. *octets is freed with dot2hsm_free(). before is
 * not called.
 */
DOT2HSM_API dot2hsm_status
dot2hsm_ee_application_body(const dot2hsm_ee *ee, const struct dot2hsm_application *application,
                            uint8_t **octets, size_t *size, dot2hsm_error *error);
/** And what the RA answered to a body: verified as by dot2hsm_ee_request_application(). */
DOT2HSM_API dot2hsm_status dot2hsm_ee_application_ack(const dot2hsm_ee *ee, dot2hsm_trust *trust,
                                                      const uint8_t *body, size_t body_size,
                                                      const uint8_t *octets, size_t size,
                                                      struct dot2hsm_ack *ack,
                                                      dot2hsm_error *error);
/**
 * Opens the response of a PCA, the one entry of the zip file that was downloaded: the PCA's
 * signature, the decryption with the response key, the chain of the certificate at its start or
 * now, that it is explicit, for applications, and for verify_key. DOT2HSM_E_TYPE: an implicit
 * certificate, whose key no token can make. DOT2HSM_E_KEY_MISMATCH. DOT2HSM_E_PERMISSION: another
 * kind of certificate.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ee_open_response(dot2hsm_trust *trust,
                                                    const dot2hsm_key *response_key,
                                                    const dot2hsm_key *verify_key,
                                                    const uint8_t *octets, size_t size,
                                                    dot2hsm_cert **cert, dot2hsm_error *error);

#ifdef __cplusplus
}
#endif
#endif
