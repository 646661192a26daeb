/*
 * ee_internal.h: what the files of this folder share.
 *
 * ee_download() checks the arguments, opens the part and runs one or two transfers. A transfer
 * (ee_transfer.c) is one request and its answer. The part (ee_part.c) is the file on its way.
 */
#ifndef DOT2HSM_PROTOCOL_EE_INTERNAL_H
#define DOT2HSM_PROTOCOL_EE_INTERNAL_H

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "protocol/ee/ee.h"

/* ---- ee_status.c ---------------------------------------------------------------------------- */

/* Fills error (may be NULL) and returns status. */
enum ee_status ee_fail(struct ee_error *error, enum ee_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- ee_url.c ------------------------------------------------------------------------------- */

#define EE_DEFAULT_PORT 8892u

struct ee_url {
    char host[256]; /* as in a URL: an IPv6 address has its brackets */
    unsigned port;
};
/* https://host[:port][/] and nothing else. */
enum ee_status ee_url_parse(const char *text, struct ee_url *url, struct ee_error *error);
/* host:port:address for this very URL, with a numeric address. */
enum ee_status ee_url_check_resolve(const struct ee_url *url, const char *resolve,
                                    struct ee_error *error);
/* A path of a service: /, letters, digits, - and _. */
bool ee_url_path_valid(const char *path);

/* ---- ee_response.c -------------------------------------------------------------------------- */

struct ee_response {
    long status; /* of the last status line; 0 before it */
    size_t header_octets;
    const char *malformed; /* the name of a header that cannot be used; NULL = none */
    bool complete;         /* the empty line after the headers was seen */
    bool has_length, chunked, encoded;
    uint64_t length;
    bool has_range;       /* Content-Range: bytes start-end/total */
    bool has_unsatisfied; /* Content-Range: bytes * /total */
    uint64_t range_start, range_end, range_total;
    char etag[256]; /* with its quotes, W/ included; "" = none, or not of the grammar */
    char filename[256];
    int64_t date; /* Unix time; 0 = none that can be used */
    bool aged;    /* Age: a cache answered, and the date is not of now */
    int scms_code;
    char scms_message[160];
};
/*
 * Takes one header line as received. A status line starts a new answer (after 100 Continue).
 * false: more headers than an RA sends.
 */
bool ee_response_line(struct ee_response *response, const char *line, size_t size);
/* When it was made by the RA's clock, Unix time; 0 = not said. */
int64_t ee_response_date(const struct ee_response *response);
bool ee_response_etag_strong(const struct ee_response *response);
/* The value of an entity tag (with quotes, maybe W/). */
bool ee_etag_valid(const char *text);

/* ---- ee_part.c ------------------------------------------------------------------------------ */

/*
 * output.part, and beside it output.part.validator, which says of which resource and version the
 * octets are. Order on disk: the validator of an old version goes before its octets go, and the
 * one of a new version comes before its octets come, so that a crash in between leaves a part
 * without a validator (which is not resumed), never octets with a wrong one.
 */
struct ee_part {
    char *output, *path, *validator_path;
    char *resource;
    int fd;
    uint64_t size; /* octets in the part that count */
    uint64_t resumed_from;
    uint64_t total; /* of the whole file */
    bool has_total;
    uint64_t unsynced; /* octets since the last checkpoint */
    char etag[256];    /* strong validator of what is there; "" = cannot be resumed */
};
enum ee_status ee_part_open(struct ee_part *part, const char *output, const char *resource,
                            bool restart, struct ee_error *error);
/* From zero, a version that etag names ("" = none). */
enum ee_status ee_part_begin(struct ee_part *part, const char *etag, bool has_total, uint64_t total,
                             struct ee_error *error);
enum ee_status ee_part_write(struct ee_part *part, const void *octets, size_t size,
                             struct ee_error *error);
/* What is there survives a power failure from here on. */
enum ee_status ee_part_checkpoint(struct ee_part *part, struct ee_error *error);
/* The part is whole: fsync, rename, fsync of the directory. */
enum ee_status ee_part_commit(struct ee_part *part, struct ee_error *error);
void ee_part_discard(struct ee_part *part);
void ee_part_close(struct ee_part *part);

/* ---- ee_curl.c ------------------------------------------------------------------------------ */

struct ee_roots;
/* libcurl, once per process. */
enum ee_status ee_curl_start(struct ee_error *error);
/* URL, TLS under the roots alone, time-outs, and nothing of the user's environment. */
CURLcode ee_curl_configure(CURL *curl, const struct ee_config *config, const struct ee_url *url,
                           const char *path, const struct ee_roots *roots,
                           struct curl_slist *resolve);
/* What a failure of libcurl means; unanswered: a request was sent and no status line came. */
enum ee_status ee_curl_failed(CURLcode code, const char *curl_error, bool unanswered,
                              struct ee_error *error);
/* An answer of 400 or more. */
enum ee_status ee_response_refused(const struct ee_response *response, struct ee_error *error);

/* ---- ee_request.c --------------------------------------------------------------------------- */

/*
 * The line "Download-Req: ..." for now, signed; *line is OPENSSL_free'd. EE_E_SIGN with the reason
 * otherwise.
 */
enum ee_status ee_request_header(const struct ee_config *config, const char *filename,
                                 uint32_t *timestamp, char **line, struct ee_error *error);

/* ---- ee_tls.c ------------------------------------------------------------------------------- */

struct ee_roots {
    uint8_t *pem; /* the file, as libcurl gets it */
    size_t pem_size;
    STACK_OF(X509) * certificates;
};
enum ee_status ee_roots_load(struct ee_roots *roots, const char *path, struct ee_error *error);
void ee_roots_clear(struct ee_roots *roots);
/*
 * Server authentication under these roots alone; ocsp: with a stapled response. roots must outlive
 * the transfer.
 */
CURLcode ee_tls_configure(CURL *curl, const struct ee_roots *roots, bool ocsp);
/* Why the last handshake of this thread was ended by us; NULL: not for a reason that we know. */
const char *ee_tls_reason(void);
/*
 * After the handshake, before anything is signed: was the certificate verified, and does its chain
 * end at one of the roots. Fills the TLS fields of result.
 */
enum ee_status ee_tls_check(CURL *curl, const struct ee_roots *roots,
                            struct ee_download_result *result, struct ee_error *error);

/* ---- ee_tls_ocsp.c -------------------------------------------------------------------------- */

/* For the verified chain of a handshake: demands a stapled response. roots must outlive ctx. */
bool ee_ocsp_demand(SSL_CTX *ctx, const struct ee_roots *roots);
/* Why the last handshake of this thread was ended; NULL: not for that. */
const char *ee_ocsp_reason(void);
void ee_ocsp_forget(void);

/* ---- ee_transfer.c -------------------------------------------------------------------------- */

struct ee_transfer {
    const struct ee_config *config;
    const struct ee_download *download;
    const struct ee_url *url;
    const struct ee_roots *roots;
    struct ee_part *part;
    struct ee_download_result *result;
    struct ee_error *error;
    uint64_t max_size;
    uint64_t limit_rate;
    /* of the running request */
    CURL *curl;
    struct curl_slist *headers;
    struct curl_slist *resolve;
    struct ee_response response;
    enum ee_status status; /* set by a callback that ended the transfer */
    bool requested;        /* the request went out, or began to */
    bool ranged;           /* it asked for a range */
    uint64_t ignored;      /* octets of a body that nobody wants */
    char curl_error[CURL_ERROR_SIZE];
};
enum ee_status ee_transfer_new(struct ee_transfer *transfer);
/*
 * One request and its answer. EE_OK: the part is whole, but not yet committed; or the answer is
 * 416, in transfer->response.
 */
enum ee_status ee_transfer_run(struct ee_transfer *transfer);
void ee_transfer_clear(struct ee_transfer *transfer);

#endif
