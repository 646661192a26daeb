/*
 * authorise.c: may this device have this file, now?
 *
 * A function of octets, clock, trust and store: no socket, no file. The order is the General
 * Guidance's: blacklist, certificate, time, signature; then the file. The cache of verified
 * certificates lies behind the blacklist, never before it.
 */
#include "protocol/ra/ra.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

/*
 * Reasons with the code that the peer is told in stage QA. The published table has no code of its
 * own for some: there 5070 (wrong parameters) stands for a request that is not well formed, not for
 * now or not for a file, and 5067 (authentication failed; "any of the 1609.2 data layers cannot be
 * validated") for who sent it, including a request encrypted where that is not served. That a file
 * is another device's is not told apart from that there is none.
 */
static const struct {
    enum ra_reason reason;
    const char *name;
    int code;
} reasons[] = {
    {RA_ALLOWED, "allowed", 0},
    {RA_HEADER_MISSING, "header_missing", SCMS_RA_INVALID_SIGNATURE},
    {RA_HEADER_TOO_LONG, "header_too_long", SCMS_RA_WRONG_PARAMETERS},
    {RA_HEADER_BASE64, "header_base64", SCMS_RA_WRONG_PARAMETERS},
    {RA_REQUEST_ENCRYPTED, "request_encrypted", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_REQUEST_MALFORMED, "request_malformed", SCMS_RA_WRONG_PARAMETERS},
    {RA_SIGNER, "signer", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_BLACKLISTED, "blacklisted", SCMS_RA_BLACKLISTED},
    {RA_CERTIFICATE, "certificate", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_TIME, "time", SCMS_RA_WRONG_PARAMETERS},
    {RA_SIGNATURE, "signature", SCMS_RA_INVALID_SIGNATURE},
    {RA_FILENAME, "filename", SCMS_RA_WRONG_PARAMETERS},
    {RA_FILE_UNKNOWN, "file_unknown", SCMS_RA_NO_CERT_FILE_AVAILABLE},
    {RA_FILE_OF_ANOTHER, "file_of_another", SCMS_RA_NO_CERT_FILE_AVAILABLE},
    {RA_STORE, "store", SCMS_RA_AUTHENTICATION_FAILED},
    {RA_INTERNAL, "internal", SCMS_RA_AUTHENTICATION_FAILED},
};
#define REASONS (sizeof reasons / sizeof reasons[0])

const char *ra_reason_name(enum ra_reason reason)
{
    for (size_t i = 0; i < REASONS; i++)
        if (reasons[i].reason == reason)
            return reasons[i].name;
    return "unknown";
}

static int code_of(enum ra_reason reason, enum ra_service service)
{
    if (service == RA_INFO && (reason == RA_FILE_UNKNOWN || reason == RA_FILE_OF_ANOTHER))
        return SCMS_RA_NO_INFO_FILE_AVAILABLE;
    for (size_t i = 0; i < REASONS; i++)
        if (reasons[i].reason == reason)
            return reasons[i].code;
    return SCMS_RA_AUTHENTICATION_FAILED;
}

/* Not the peer's fault: it must not be told, or logged, as if it were. */
static bool is_internal(enum dot2_status status)
{
    return status == DOT2_E_MEMORY || status == DOT2_E_ARGUMENT || status == DOT2_E_PROVIDER ||
           status == DOT2_E_CRYPTO;
}

/* ---- file names ---- */

static size_t hex_digits(const char *text, size_t size)
{
    size_t n = 0;

    while (n < size && ((text[n] >= '0' && text[n] <= '9') || (text[n] >= 'a' && text[n] <= 'f') ||
                        (text[n] >= 'A' && text[n] <= 'F')))
        n++;
    return n;
}

static bool extension_is(const char *text, size_t size, const char *extension)
{
    if (size != strlen(extension))
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c != extension[i])
            return false;
    }
    return true;
}

/*
 * Exactly the pattern of the service, whatever the case, and nothing else: so no slash, no point
 * point, no NUL and no percent sign can be in a name that goes on. Writes the canonical form.
 */
static bool filename_parse(enum ra_service service, const char *text, size_t size,
                           char canonical[64])
{
    const char *extension = service == RA_INFO ? ".info" : ".zip";
    size_t at = hex_digits(text, size);

    if (at != 16)
        return false;
    if (service == RA_IDENTITY_CERTIFICATE || service == RA_BATCH) {
        size_t digits;

        if (at == size || text[at] != '_')
            return false;
        digits = hex_digits(text + at + 1, size - at - 1);
        if (digits < 1 || digits > 8)
            return false;
        at += 1 + digits;
    }
    if (!extension_is(text + at, size - at, extension))
        return false;
    for (size_t i = 0; i < at; i++) {
        char c = text[i];

        canonical[i] = c >= 'a' && c <= 'f' ? (char)(c - 'a' + 'A') : c;
    }
    memcpy(canonical + at, extension, strlen(extension) + 1);
    return true;
}

/* ---- the steps ---- */

static void say(struct ra_decision *decision, const char *field, const char *detail)
{
    snprintf(decision->error.field, sizeof decision->error.field, "%s", field);
    snprintf(decision->error.detail, sizeof decision->error.detail, "%s", detail);
}

static void say_store(struct ra_decision *decision, ra_store *store)
{
    ra_store_last_error(store, decision->error.detail, sizeof decision->error.detail);
}

/* From the header's value to octets of a signed request. */
static enum ra_reason open_header(const struct ra_authorise *in, const char *header,
                                  size_t header_size, uint8_t **octets, size_t *size,
                                  struct ra_decision *decision)
{
    size_t max = in->max_header == 0 ? 8192 : in->max_header;
    enum dot2_status status;

    if (header == NULL || header_size == 0) {
        say(decision, "Download-Req", "the header is missing or empty");
        return RA_HEADER_MISSING;
    }
    if (header_size > max) {
        snprintf(decision->error.detail, sizeof decision->error.detail, "%zu octets, more than %zu",
                 header_size, max);
        return RA_HEADER_TOO_LONG;
    }
    status = scms_base64_decode(header, header_size, octets, size, &decision->error);
    if (status != DOT2_OK)
        return is_internal(status) ? RA_INTERNAL : RA_HEADER_BASE64;
    switch (scms_form_of(*octets, *size)) {
    case SCMS_FORM_SIGNED_REQUEST:
        return RA_ALLOWED;
    case SCMS_FORM_ENCRYPTED:
        say(decision, "Ieee1609Dot2Data.content", "SecuredAuthenticatedDownloadRequest");
        return RA_REQUEST_ENCRYPTED;
    default:
        say(decision, "Ieee1609Dot2Data.content", "neither a signed nor an encrypted request");
        return RA_REQUEST_MALFORMED;
    }
}

static enum ra_reason check_blacklist(const struct ra_authorise *in, uint8_t hashes[2][48],
                                      size_t hash_size, size_t count, struct ra_decision *decision)
{
    switch (ra_blacklist_check(in->store, (const uint8_t(*)[48])hashes, hash_size, count)) {
    case RA_STORE_NOT_FOUND:
        return RA_ALLOWED;
    case RA_STORE_OK:
        return RA_BLACKLISTED;
    default:
        say_store(decision, in->store);
        return RA_STORE;
    }
}

static enum ra_reason check_time(const struct ra_authorise *in, struct ra_decision *decision)
{
    uint32_t apart = decision->timestamp > in->now ? decision->timestamp - in->now
                                                   : in->now - decision->timestamp;

    if (apart <= in->tolerance)
        return RA_ALLOWED;
    say(decision, "AuthenticatedDownloadRequest.timestamp", "");
    snprintf(decision->error.detail, sizeof decision->error.detail,
             "%" PRIu32 " s %s, tolerance %" PRIu32 " s", apart,
             decision->timestamp > in->now ? "ahead" : "behind", in->tolerance);
    return RA_TIME;
}

static enum ra_reason check_file(const struct ra_authorise *in, enum ra_service service,
                                 const char *filename, size_t filename_size, uint8_t hashes[2][48],
                                 size_t hash_size, size_t count, struct ra_decision *decision)
{
    char canonical[64];

    if (!filename_parse(service, filename, filename_size, canonical)) {
        say(decision, "AuthenticatedDownloadRequest.filename", "not a file name of this service");
        return RA_FILENAME;
    }
    switch (ra_file_check(in->store, canonical, strlen(canonical), (const uint8_t(*)[48])hashes,
                          hash_size, count)) {
    case RA_STORE_OK:
        memcpy(decision->filename, canonical, sizeof canonical);
        return RA_ALLOWED;
    case RA_STORE_EXISTS:
        say(decision, "AuthenticatedDownloadRequest.filename", canonical);
        return RA_FILE_OF_ANOTHER;
    case RA_STORE_NOT_FOUND:
        say(decision, "AuthenticatedDownloadRequest.filename", canonical);
        return RA_FILE_UNKNOWN;
    default:
        say_store(decision, in->store);
        return RA_STORE;
    }
}

static enum ra_reason parse_reason(enum dot2_status status)
{
    if (is_internal(status))
        return RA_INTERNAL;
    if (status == DOT2_E_SIGNER)
        return RA_SIGNER;
    if (status == DOT2_E_CERTIFICATE || status == DOT2_E_TYPE || status == DOT2_E_POINT ||
        status == DOT2_E_ALGORITHM)
        return RA_CERTIFICATE;
    return RA_REQUEST_MALFORMED;
}

static enum ra_reason decide(const struct ra_authorise *in, enum ra_service service,
                             const uint8_t *octets, size_t size,
                             struct scms_signed_request *request, struct dot2_chain *chain,
                             struct ra_decision *decision)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ENROLLMENT, .time = in->now};
    struct dot2_error *error = &decision->error;
    uint8_t hashes[2][48];
    size_t hash_size, count, filename_size;
    const char *filename;
    enum dot2_status status;
    enum ra_reason reason;

    status = scms_signed_request_parse(in->crypto, octets, size, false, request, error);
    if (status != DOT2_OK)
        return parse_reason(status);
    memcpy(decision->hashedid8, dot2_cert_hashedid8(request->cert), 8);
    decision->has_hashedid8 = true;
    status = scms_download_request_parse(request->pdu, &decision->timestamp, &filename,
                                         &filename_size, error);
    if (status != DOT2_OK)
        return is_internal(status) ? RA_INTERNAL : RA_REQUEST_MALFORMED;

    if (dot2_cert_blacklist_hashes(request->cert, hashes, &hash_size, &count) != DOT2_OK) {
        say(decision, "", "the certificate cannot be hashed");
        return RA_INTERNAL;
    }
    reason = check_blacklist(in, hashes, hash_size, count, decision);
    if (reason != RA_ALLOWED)
        return reason;
    status = dot2_chain_verify(in->trust, request->cert, &check, chain, error);
    if (status != DOT2_OK)
        return is_internal(status) ? RA_INTERNAL : RA_CERTIFICATE;
    reason = check_time(in, decision);
    if (reason != RA_ALLOWED)
        return reason;
    status = scms_signed_request_verify(in->crypto, request, chain->key, error);
    if (status != DOT2_OK)
        return is_internal(status) ? RA_INTERNAL : RA_SIGNATURE;
    return check_file(in, service, filename, filename_size, hashes, hash_size, count, decision);
}

enum ra_reason ra_authorise_download(const struct ra_authorise *in, enum ra_service service,
                                     const char *header, size_t header_size,
                                     struct ra_decision *decision)
{
    struct scms_signed_request request = {0};
    struct dot2_chain chain = {0};
    uint8_t *octets = NULL;
    size_t size = 0;

    memset(decision, 0, sizeof *decision);
    decision->reason = open_header(in, header, header_size, &octets, &size, decision);
    if (decision->reason == RA_ALLOWED)
        decision->reason = decide(in, service, octets, size, &request, &chain, decision);
    decision->code = code_of(decision->reason, service);
    dot2_chain_clear(&chain);
    scms_signed_request_clear(&request);
    OPENSSL_free(octets);
    return decision->reason;
}
