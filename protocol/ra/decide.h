/*
 * decide.h: the steps that the decisions on downloads and on provisioning have in common. Private
 * to protocol/ra.
 */
#ifndef DOT2HSM_PROTOCOL_RA_DECIDE_H
#define DOT2HSM_PROTOCOL_RA_DECIDE_H

#include "protocol/ra/ra.h"

/* ---- reason.c ---- */

int ra_reason_code(enum ra_reason reason);

/* ---- requester.c ---- */

/* Not the peer's fault: it must not be told, or logged, as if it were. */
bool ra_is_internal(enum dot2_status status);
void ra_say(struct dot2_error *error, const char *field, const char *detail);
void ra_say_store(struct dot2_error *error, ra_store *store);

/* A Secured form with any of the RA's keys. *request is OPENSSL_free'd by the caller. */
enum ra_reason ra_open_secured(const struct ra_authorise *in, const uint8_t *octets, size_t size,
                               uint8_t **request, size_t *request_size, struct dot2_error *error);

/* Who sent a request, and what. */
struct ra_requester {
    struct scms_signed_request request;
    struct dot2_chain chain;
    const char *filename;  /* that the request names, canonical; NULL: none */
    uint8_t hashes[2][48]; /* under which the certificate may be blacklisted */
    size_t hash_size, count;
    struct ra_store_answer answer; /* of the store, to all at once */
};
enum ra_reason ra_requester_parse(const struct ra_authorise *in, const uint8_t *octets, size_t size,
                                  struct ra_requester *who, struct ra_decision *decision);
/*
 * The seed's order: blacklist, certificate (with the list of ECAs), decision->timestamp, signature.
 * field names the time stamp.
 */
enum ra_reason ra_requester_check(const struct ra_authorise *in, const char *field,
                                  struct ra_requester *who, struct ra_decision *decision);
void ra_requester_clear(struct ra_requester *who);

#endif
