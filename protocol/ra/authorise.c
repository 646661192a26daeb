/*
 * authorise.c: may this device have this file, now?
 *
 * A function of octets, clock, trust and store: no socket, no file. The order is the General
 * Guidance's: blacklist, certificate, time, signature; then the file. The cache of verified
 * certificates lies behind the blacklist, never before it.
 */
#include "protocol/ra/decide.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

static int code_of(enum ra_reason reason, enum ra_service service)
{
    if (service == RA_INFO && (reason == RA_FILE_UNKNOWN || reason == RA_FILE_OF_ANOTHER))
        return SCMS_RA_NO_INFO_FILE_AVAILABLE;
    return ra_reason_code(reason);
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

/* From the header's value to octets of a signed request. */
static enum ra_reason open_header(const struct ra_authorise *in, const char *header,
                                  size_t header_size, uint8_t **octets, size_t *size,
                                  struct ra_decision *decision)
{
    size_t max = in->max_header == 0 ? 8192 : in->max_header;
    enum dot2_status status;
    uint8_t *secured;
    enum ra_reason reason;

    if (header == NULL || header_size == 0) {
        ra_say(&decision->error, "Download-Req", "the header is missing or empty");
        return RA_HEADER_MISSING;
    }
    if (header_size > max) {
        snprintf(decision->error.detail, sizeof decision->error.detail, "%zu octets, more than %zu",
                 header_size, max);
        return RA_HEADER_TOO_LONG;
    }
    status = scms_base64_decode(header, header_size, octets, size, &decision->error);
    if (status != DOT2_OK)
        return ra_is_internal(status) ? RA_INTERNAL : RA_HEADER_BASE64;
    switch (scms_form_of(*octets, *size)) {
    case SCMS_FORM_SIGNED_REQUEST:
        if (!in->require_secured)
            return RA_ALLOWED;
        ra_say(&decision->error, "Ieee1609Dot2Data.content",
               "SignedAuthenticatedDownloadRequest, and require-secured is set");
        return RA_NOT_ENCRYPTED;
    case SCMS_FORM_ENCRYPTED:
        if (in->keys == NULL) {
            ra_say(&decision->error, "Ieee1609Dot2Data.content",
                   "SecuredAuthenticatedDownloadRequest, and there is no key for it");
            return RA_REQUEST_ENCRYPTED;
        }
        secured = *octets;
        reason = ra_open_secured(in, secured, *size, octets, size, &decision->error);
        OPENSSL_free(secured);
        return reason;
    default:
        ra_say(&decision->error, "Ieee1609Dot2Data.content",
               "neither a signed nor an encrypted request");
        return RA_REQUEST_MALFORMED;
    }
}

/* What the store said of the file that the request names. */
static enum ra_reason check_file(const struct ra_authorise *in, const struct ra_requester *who,
                                 struct ra_decision *decision)
{
    if (who->filename == NULL) {
        ra_say(&decision->error, "AuthenticatedDownloadRequest.filename",
               "not a file name of this service");
        return RA_FILENAME;
    }
    switch (who->answer.file) {
    case RA_STORE_OK:
        snprintf(decision->filename, sizeof decision->filename, "%s", who->filename);
        return RA_ALLOWED;
    case RA_STORE_EXISTS:
        ra_say(&decision->error, "AuthenticatedDownloadRequest.filename", who->filename);
        return RA_FILE_OF_ANOTHER;
    case RA_STORE_NOT_FOUND:
        ra_say(&decision->error, "AuthenticatedDownloadRequest.filename", who->filename);
        return RA_FILE_UNKNOWN;
    default:
        ra_say_store(&decision->error, in->store);
        return RA_STORE;
    }
}

static enum ra_reason decide(const struct ra_authorise *in, enum ra_service service,
                             const uint8_t *octets, size_t size, struct ra_requester *who,
                             struct ra_decision *decision)
{
    size_t filename_size;
    const char *filename;
    char canonical[64];
    enum dot2_status status;
    enum ra_reason reason = ra_requester_parse(in, octets, size, who, decision);

    if (reason != RA_ALLOWED)
        return reason;
    status = scms_download_request_parse(who->request.pdu, &decision->timestamp, &filename,
                                         &filename_size, &decision->error);
    if (status != DOT2_OK)
        return ra_is_internal(status) ? RA_INTERNAL : RA_REQUEST_MALFORMED;
    /* A name that is none is the last thing to be found fault with. */
    if (filename_parse(service, filename, filename_size, canonical))
        who->filename = canonical;
    reason = ra_requester_check(in, "AuthenticatedDownloadRequest.timestamp", who, decision);
    if (reason == RA_ALLOWED)
        reason = check_file(in, who, decision);
    who->filename = NULL;
    return reason;
}

enum ra_reason ra_authorise_download(const struct ra_authorise *in, enum ra_service service,
                                     const char *header, size_t header_size,
                                     struct ra_decision *decision)
{
    struct ra_requester who = {.count = 0};
    uint8_t *octets = NULL;
    size_t size = 0;

    memset(decision, 0, sizeof *decision);
    decision->reason = open_header(in, header, header_size, &octets, &size, decision);
    if (decision->reason == RA_ALLOWED)
        decision->reason = decide(in, service, octets, size, &who, decision);
    decision->code = code_of(decision->reason, service);
    ra_requester_clear(&who);
    OPENSSL_clear_free(octets, size); /* of an encrypted request, the plaintext */
    return decision->reason;
}
