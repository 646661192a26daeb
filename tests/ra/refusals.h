/*
 * refusals.h: what the tests of refusals share: the services, one attempt to get a certificate, the
 * ways in which it can be wrong, and what a dot2hsm-ra must answer and log then.
 */
#ifndef DOT2HSM_TESTS_RA_REFUSALS_H
#define DOT2HSM_TESTS_RA_REFUSALS_H

#include "tests/ra/posting.h"

#define WRONG SCMS_RA_WRONG_PARAMETERS
#define FAILED SCMS_RA_AUTHENTICATION_FAILED
#define BAD_SIGNATURE SCMS_RA_INVALID_SIGNATURE
#define DUPLICATE SCMS_RA_DUPLICATE_REQUEST_RECEIVED

struct service {
    const char *path, *name;
    enum scms_provision kind;
    const char *download;
};
#define SERVICES 3
extern const struct service services[SERVICES];

struct attempt {
    struct posting *posting;
    const struct service *service;
    struct lab_cert device; /* a new one for each attempt */
    struct octets body;
};

/* A way of being wrong: make() makes the body, and what must be in the store before it comes. */
struct wrong {
    const char *what;
    void (*make)(struct attempt *attempt);
    int code;
    const char *reason;
    unsigned kinds; /* a set of 1 << enum scms_provision; 0 = all */
    void (*after)(struct posting *posting);
};
extern const struct wrong wrong_requests[], wrong_signers[];
extern const size_t wrong_requests_count, wrong_signers_count;
void late(struct attempt *attempt); /* by six seconds */

/* A good request of the attempt's service. */
struct wish of_kind(const struct attempt *attempt);
void post_wish(struct attempt *attempt, const struct lab_cert *device, const struct wish *wish);
/* Encrypted to the newest certificate; the request is cleared. */
void post_request(struct attempt *attempt, struct octets *request);
/* The signed request of the attempt's device, with its tbsRequest's size. */
struct octets signed_request(struct attempt *attempt, size_t *tbs_size);
/* Posts the body, which is answered with an ack. */
void accepted(struct attempt *attempt);

extern bool refusals_in_qa; /* the stage of the test that runs; else PROD */

long log_size(const struct posting *posting);
/* Whether the text comes into the log after it had this size. */
bool logged_since(const struct posting *posting, long from, const char *text);
/* Since the log had this size: one refusal, of this service, for this reason. */
void assert_one_line(const struct posting *posting, long from, const char *what,
                     const char *service, const char *reason);
/* The status and the code in QA, 500 alone in PROD; the response is cleared. */
void assert_refusal(struct response *response, const char *what, int status, int code);

#endif
