/*
 * ee.h: the end entity's half: downloads from an RA.
 *
 * A transfer is over TLS to a configured RA: only the configured X.509 root is trusted, and chain,
 * host name and validity are checked before anything is signed (requirement S2). The request is
 * signed after the handshake (CURLOPT_PREREQFUNCTION), so that its time is fresh and a false RA
 * gets no signature.
 */
#ifndef DOT2HSM_PROTOCOL_EE_EE_H
#define DOT2HSM_PROTOCOL_EE_EE_H

#include "protocol/scms/scms.h"

enum ee_status {
    EE_OK = 0,
    EE_NOT_MODIFIED, /* 304: what the EE has is current */
    EE_E_MEMORY,
    EE_E_ARGUMENT,    /* a URL that is not https, a file name with a slash, ... */
    EE_E_UNREACHABLE, /* no name, no connection, time-out, connection lost */
    EE_E_TLS,         /* the RA's certificate is not under the root, expired, for another host */
    EE_E_SIGN,        /* the token or the provider did not sign; nothing was sent */
    EE_E_REFUSED,     /* 500, or a close before any status line */
    EE_E_RESPONSE,    /* an answer that is not of this protocol */
    EE_E_FILE,        /* the local file cannot be read or written */
    EE_E_ABORTED      /* the progress function said stop */
};
const char *ee_status_name(enum ee_status status);
const char *ee_status_text(enum ee_status status);

struct ee_error {
    enum ee_status status;
    long http_status; /* 0 if there was none */
    int scms_code;    /* SCMS-POC-Error of a QA stage RA, else 0 */
    char detail[256]; /* one sentence; no secret */
};

struct ee_config {
    const char *ra_url;       /* https://host[:port]; port 8892 if it has none */
    const char *tls_root;     /* PEM file of the only X.509 root(s) trusted */
    const char *resolve;      /* host:port:address, for labs without DNS; NULL = DNS */
    unsigned connect_timeout; /* seconds; 0 = 10 */
    unsigned stall_timeout;   /* seconds below 1 octet per second; 0 = 30 */
    const dot2_crypto *crypto;
    EVP_PKEY *enrollment_key; /* may be NULL for downloads without authentication */
    const dot2_cert *enrollment_certificate;
    const dot2_cert *ra_certificate; /* IEEE 1609.2; may be NULL unless secured_header */
    bool require_ocsp;   /* refuse an RA that staples no good OCSP response about its certificate */
    bool secured_header; /* Download-Req holds the Secured form, encrypted to ra_certificate */
};

/* ---- ee_url.c ----------------------------------------------------------------------------------
 */

/* The host of an RA's URL, without the brackets of an IPv6 address. */
void ee_url_host(const char *ra_url, char host[256]);
/*
 * Does this URL lead to the host of the RA's? What is sent to where an acknowledgement points is
 * signed, so that it must not point elsewhere.
 */
bool ee_url_leads_to(const char *url, const char *ra_url);

/*
 * The download services of an RA. A file is told apart by its name, but for identity certificates
 * and batches, whose names look alike.
 */
struct ee_service {
    const char *name;   /* "application", "identity", "batch", "info", "policy", "chain" */
    const char *path;   /* "/download/application-certificate" */
    bool authenticated; /* sends Download-Req, and has a file name */
};
/* By its name; NULL if there is none. */
const struct ee_service *ee_service_find(const char *name);
/* By a file name; NULL if none, or more than one, has such names. */
const struct ee_service *ee_service_of_file(const char *filename);
/*
 * A file name of an authenticated service as it is sent: hexadecimal in upper case, extension in
 * lower case. EE_E_ARGUMENT if it is not a name of the service, whatever its case.
 */
enum ee_status ee_service_filename(const struct ee_service *service, const char *filename,
                                   char canonical[32]);

/* Return false to stop. total is 0 while it is not known. */
typedef bool ee_progress_fn(void *arg, uint64_t done, uint64_t total);

struct ee_download {
    const char *path;     /* of the service, "/download/application-certificate" */
    const char *filename; /* for Download-Req; NULL = not authenticated */
    const char *have;     /* file name or validator for If-None-Match; NULL = none */
    const char
        *output;       /* written as output.part (its validator beside it) and renamed when whole */
    bool restart;      /* do not resume from an output.part that is there */
    uint64_t max_size; /* refuse more octets than this; 0 = 1 GiB */
    uint64_t limit_rate; /* octets a second on average at most; 0 = no limit */
    ee_progress_fn *progress;
    void *progress_arg;
};

struct ee_download_result {
    uint64_t size;         /* of the whole file */
    uint64_t resumed_from; /* octets that were there already */
    uint64_t received;     /* octets received now */
    unsigned signatures;   /* requests that were signed: one for each connection or answer */
    uint32_t timestamp;    /* Time32 that was signed last */
    char filename[256];    /* from Content-Disposition, else ETag, else "" */
    char etag[256];
    int64_t date;           /* the RA's clock, Unix time; 0: it did not say, or a cache answered */
    char tls[64];           /* "TLSv1.3 TLS_AES_128_GCM_SHA256"; "" before the handshake */
    char ra_subject[256];   /* of the RA's X.509 certificate, RFC 2253 */
    char root_subject[256]; /* of the root that it was verified under */
};

/*
 * One download. Killed at any point, it can be called again and goes on where it was (Range and
 * If-Range, if the RA gave a strong ETag); what is there of another resource or another RA is not
 * used. Two at once for the same output: the second is EE_E_FILE.
 *
 * result is filled as far as it went, on failure too. error may be NULL. Thread-safe.
 */
enum ee_status ee_download(const struct ee_config *config, const struct ee_download *download,
                           struct ee_download_result *result, struct ee_error *error);

/*
 * The value of Download-Req for now, for a transport of the caller's; *text is OPENSSL_free'd.
 * EE_E_SIGN with the reason otherwise.
 */
enum ee_status ee_download_request(const struct ee_config *config, const char *filename,
                                   uint32_t *timestamp, char **text, struct ee_error *error);

/* ---- ee_post.c: the services that are POSTed --------------------------------------------------
 */

/*
 * Builds the body, when the RA has proved itself and not before: what is signed here is fresh, and
 * no false RA gets it. Called at most once. *body is OPENSSL_free'd by ee_post(), and has exactly
 * the size that was announced. Anything but EE_OK ends the exchange before an octet is sent.
 */
typedef enum ee_status ee_body_fn(void *arg, uint8_t **body, size_t *size, struct ee_error *error);

struct ee_post {
    const char *path;  /* of the service, "/provision-application-certificate" */
    size_t size;       /* octets of the body; libcurl wants to know it before there is a body */
    ee_body_fn *build; /* Content-Type is application/octet-stream */
    void *build_arg;
    size_t max_size; /* refuse a larger answer; 0 = 64 KiB */
};

struct ee_post_result {
    uint8_t *body; /* of an answer 200; ee_post_result_clear */
    size_t size;
    uint8_t request_hash[8]; /* last octets of SHA-256 of the body that was sent */
    bool sent;               /* the body was built; the RA may have it, whatever the status says */
};

/*
 * One POST, on a connection of its own. EE_E_RESPONSE: another Content-Type, an empty or too large
 * answer, a status that is neither 200 nor an error. result is filled as far as it went.
 * error may be NULL. Thread-safe.
 */
enum ee_status ee_post(const struct ee_config *config, const struct ee_post *post,
                       struct ee_post_result *result, struct ee_error *error);
void ee_post_result_clear(struct ee_post_result *result);
/* For an ee_body_fn: the cause of EE_E_SIGN, with what stands in OpenSSL's queue. */
enum ee_status ee_body_failed(const struct dot2_error *cause, struct ee_error *error);

/* ---- ee_provision.c: the services that this project's EE posts to ------------------------------
 */

/* Makes the ScmsPDU to be signed, for now; its size does not depend on when. OPENSSL_clear_free'd.
 */
typedef enum dot2_status ee_tbs_fn(void *arg, uint8_t **tbs, size_t *size,
                                   struct dot2_error *cause);
/*
 * Told the requestHash when the body is made and before an octet of it is sent: what is on disk
 * then names whatever the RA has got. Anything but EE_OK ends the exchange.
 */
typedef enum ee_status ee_before_fn(void *arg, const uint8_t request_hash[8],
                                    struct ee_error *error);

struct ee_provision {
    enum scms_provision kind;
    ee_tbs_fn *build; /* called twice: for its size, and when the RA has proved itself */
    void *build_arg;
    ee_before_fn *before; /* may be NULL */
    void *before_arg;
    dot2_trust *trust; /* knows the RA's certificate */
};

/* Signed under the enrollment certificate, encrypted to the RA's; *body is OPENSSL_free'd. */
enum dot2_status ee_provision_body(const struct ee_config *config, ee_tbs_fn *build, void *arg,
                                   uint8_t **body, size_t *size, struct dot2_error *cause);
/*
 * Verifies the acknowledgement of the body with this hash: signed by the RA's certificate, of this
 * kind and request, leading to this RA. EE_E_RESPONSE.
 */
enum ee_status ee_provision_ack(const struct ee_config *config,
                                const struct ee_provision *provision, const uint8_t request_hash[8],
                                const uint8_t *octets, size_t size, struct scms_ack *ack,
                                struct ee_error *error);
/*
 * One request: body, POST, acknowledgement. As ee_post(); EE_E_ARGUMENT without enrollment or RA
 * certificate.
 */
enum ee_status ee_provision(const struct ee_config *config, const struct ee_provision *provision,
                            struct scms_ack *ack, struct ee_error *error);

/*
 * Fetches the RA's certificate, which must chain to an anchor now and name the host of the RA.
 * EE_E_RESPONSE. No enrollment is needed.
 */
enum ee_status ee_ra_certificate(const struct ee_config *config, dot2_trust *trust,
                                 dot2_cert **cert, struct ee_error *error);

#endif
