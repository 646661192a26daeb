/*
 * posting.h: a server with the RA's own keys, and requests for certificates that are sent to it.
 */
#ifndef DOT2HSM_TESTS_RA_POSTING_H
#define DOT2HSM_TESTS_RA_POSTING_H

#include "tests/ra/served.h"

#define APP_PATH "/provision-application-certificate"
#define ID_PATH "/provision-identity-certificate"
#define PSEUDONYM_PATH "/provision-pseudonym-certificate-batch"
#define OCTETS "Content-Type: application/octet-stream\r\n"

struct octets {
    uint8_t *data; /* OPENSSL_free'd by octets_clear */
    size_t size;
};
void octets_clear(struct octets *octets);

struct posting {
    struct lab *lab;
    struct served *served;
    ra_keys *keys;
    struct lab_cert old, newest, stranger; /* certificates of RAs; the last is of another RA */
    EVP_PKEY *old_decrypt, *newest_decrypt, *stranger_decrypt;
    dot2_trust *trust; /* of a device */
};

/* config may be NULL; keys are added to it. */
struct posting *posting_start(const struct ra_server_config *config);
/*
 * The same with a process of dot2hsm-ra, whose store is spec; settings are lines of its section
 * [ra]. lab->store is that store. posting_stop() asserts that it ends with 0.
 */
struct posting *posting_program(const char *spec, const char *settings);
void posting_program_stop(struct posting *posting); /* by posting_stop() */
/* What the program has logged from this octet on; free'd by the caller. */
char *posting_program_log(const struct posting *posting, long from);
void posting_make_keys(struct posting *posting);
/* Another x of which there is no point on P-256. */
void posting_leave_curve(struct posting *posting, uint8_t point[33]);
void posting_stop(struct posting *posting);
/* For cmocka: the server of no configuration. */
int posting_setup(void **state);
int posting_teardown(void **state);
struct lab_cert posting_device(struct posting *posting); /* a new enrollment certificate */

/* What a request differs in from a good one. */
struct wish {
    enum scms_provision kind;  /* 0: SCMS_PROVISION_APP */
    EVP_PKEY *verify;          /* NULL: a new one */
    EVP_PKEY *response;        /* likewise */
    EVP_PKEY *cert_encryption; /* NULL: absent; not of pseudonyms */
    int64_t time, start;       /* seconds from now */
    bool off_curve;            /* the verify key is none */
};
struct octets wish_tbs(struct posting *posting, const struct wish *wish);
struct octets signed_by(struct posting *posting, const struct lab_cert *device,
                        const struct octets *tbs);
struct octets secured_to(struct posting *posting, const dot2_cert *ra,
                         const struct octets *request);
/* All three, to the newest certificate. */
struct octets posting_body(struct posting *posting, const struct lab_cert *device,
                           const struct wish *wish);

/* A POST on an open connection, and on one of its own. headers: further lines. */
struct response post_on(struct client *client, const char *path, const char *headers,
                        const struct octets *body);
struct response post(struct posting *posting, const char *path, const char *headers,
                     const struct octets *body);

/* It is answered with an ack for this body, whose URL ends with this; the response is cleared. */
void assert_ack(struct posting *posting, struct response *response, const struct octets *body,
                enum scms_provision kind, const char *url_end);
/* Refused in stage QA with this code, and the reason is in the log; both are cleared. */
void assert_refused_as(struct posting *posting, struct response *response, int code,
                       const char *reason);
/* Posts and compares; the body is cleared. */
void refuses(struct posting *posting, const char *path, struct octets body, int code,
             const char *reason);
void accepts(struct posting *posting, const char *path, struct octets body,
             enum scms_provision kind, const char *url_end);
/* Requests in the store that wait for a CA. */
size_t pending(struct posting *posting);

#endif
