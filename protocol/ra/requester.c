/*
 * requester.c: who sends this request, and may they? Blacklist, certificate, time, signature, in
 * the order of the General Guidance.
 */
#include "protocol/ra/decide.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

bool ra_is_internal(enum dot2_status status)
{
    return status == DOT2_E_MEMORY || status == DOT2_E_ARGUMENT || status == DOT2_E_PROVIDER ||
           status == DOT2_E_CRYPTO;
}

void ra_say(struct dot2_error *error, const char *field, const char *detail)
{
    snprintf(error->field, sizeof error->field, "%s", field);
    snprintf(error->detail, sizeof error->detail, "%s", detail);
}

void ra_say_store(struct dot2_error *error, ra_store *store)
{
    ra_store_last_error(store, error->detail, sizeof error->detail);
}

enum ra_reason ra_open_secured(const struct ra_authorise *in, const uint8_t *octets, size_t size,
                               uint8_t **request, size_t *request_size, struct dot2_error *error)
{
    size_t count = 0;
    const struct scms_ra_key *keys = ra_keys_decrypt(in->keys, &count);
    enum dot2_status status = scms_secured_open(in->crypto, keys, count, octets, size, request,
                                                request_size, NULL, error);

    if (status == DOT2_OK)
        return RA_ALLOWED;
    if (ra_is_internal(status))
        return RA_INTERNAL;
    if (status == DOT2_E_NOT_RECIPIENT)
        return RA_NOT_RECIPIENT;
    /* A point that is none is what an altered message looks like. */
    if (status == DOT2_E_DECRYPT || status == DOT2_E_POINT || status == DOT2_E_KEY_MISMATCH)
        return RA_DECRYPT;
    return RA_REQUEST_MALFORMED;
}

static enum ra_reason parse_reason(enum dot2_status status)
{
    if (ra_is_internal(status))
        return RA_INTERNAL;
    if (status == DOT2_E_SIGNER)
        return RA_SIGNER;
    if (status == DOT2_E_CERTIFICATE || status == DOT2_E_TYPE || status == DOT2_E_POINT ||
        status == DOT2_E_ALGORITHM)
        return RA_CERTIFICATE;
    return RA_REQUEST_MALFORMED;
}

enum ra_reason ra_requester_parse(const struct ra_authorise *in, const uint8_t *octets, size_t size,
                                  struct ra_requester *who, struct ra_decision *decision)
{
    enum dot2_status status =
        scms_signed_request_receive(in->trust, octets, size, &who->request, &decision->error);

    if (status != DOT2_OK)
        return parse_reason(status);
    memcpy(decision->hashedid8, dot2_cert_hashedid8(who->request.cert), 8);
    decision->has_hashedid8 = true;
    return RA_ALLOWED;
}

/* All that the store knows about the request is asked at once, here, as the blacklist comes first.
 */
static enum ra_reason check_blacklist(const struct ra_authorise *in, struct ra_requester *who,
                                      struct ra_decision *decision)
{
    const uint8_t *eca = dot2_cert_issuer(who->request.cert);
    struct ra_store_question question = {
        .hashes = (const uint8_t(*)[48])who->hashes,
        .eca = eca != NULL ? eca : dot2_cert_hashedid8(who->request.cert),
        .filename = who->filename,
        .filename_size = who->filename == NULL ? 0 : strlen(who->filename),
    };

    if (dot2_cert_blacklist_hashes(who->request.cert, who->hashes, &who->hash_size, &who->count) !=
        DOT2_OK) {
        ra_say(&decision->error, "", "the certificate cannot be hashed");
        return RA_INTERNAL;
    }
    question.hash_size = who->hash_size;
    question.count = who->count;
    if (ra_store_ask(in->store, &question, &who->answer) != RA_STORE_OK) {
        ra_say_store(&decision->error, in->store);
        return RA_STORE;
    }
    return who->answer.blacklisted ? RA_BLACKLISTED : RA_ALLOWED;
}

static enum ra_reason check_certificate(const struct ra_authorise *in, struct ra_requester *who,
                                        struct ra_decision *decision)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ENROLLMENT, .time = in->now};
    enum dot2_status status =
        dot2_chain_verify(in->trust, who->request.cert, &check, &who->chain, &decision->error);

    /* What a CRL revokes, the device itself or a CA above it, is as if it were on the blacklist. */
    if (status == DOT2_E_REVOKED)
        return RA_BLACKLISTED;
    if (status != DOT2_OK)
        return ra_is_internal(status) ? RA_INTERNAL : RA_CERTIFICATE;
    if (who->answer.eca_served)
        return RA_ALLOWED;
    ra_say(&decision->error, "Certificate.issuer", "not one of the ECAs that are served");
    return RA_ECA;
}

static enum ra_reason check_time(const struct ra_authorise *in, const char *field,
                                 struct ra_decision *decision)
{
    uint32_t apart = decision->timestamp > in->now ? decision->timestamp - in->now
                                                   : in->now - decision->timestamp;

    if (apart <= in->tolerance)
        return RA_ALLOWED;
    ra_say(&decision->error, field, "");
    snprintf(decision->error.detail, sizeof decision->error.detail,
             "%" PRIu32 " s %s, tolerance %" PRIu32 " s", apart,
             decision->timestamp > in->now ? "ahead" : "behind", in->tolerance);
    return RA_TIME;
}

enum ra_reason ra_requester_check(const struct ra_authorise *in, const char *field,
                                  struct ra_requester *who, struct ra_decision *decision)
{
    enum ra_reason reason = check_blacklist(in, who, decision);
    enum dot2_status status;

    if (reason == RA_ALLOWED)
        reason = check_certificate(in, who, decision);
    if (reason == RA_ALLOWED)
        reason = check_time(in, field, decision);
    if (reason != RA_ALLOWED)
        return reason;
    status =
        scms_signed_request_verify_by(in->crypto, &who->request, &who->chain, &decision->error);
    if (status == DOT2_OK)
        return RA_ALLOWED;
    return ra_is_internal(status) ? RA_INTERNAL : RA_SIGNATURE;
}

void ra_requester_clear(struct ra_requester *who)
{
    dot2_chain_clear(&who->chain);
    scms_signed_request_clear(&who->request);
}
