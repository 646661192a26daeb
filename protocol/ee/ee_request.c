#include "protocol/ee/ee_internal.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#define HEADER_NAME "Download-Req: "

/* The cause stands in OpenSSL's queue, which libcurl empties before the caller can look at it. */
enum ee_status ee_body_failed(const struct dot2_error *cause, struct ee_error *error)
{
    const char *data = NULL, *reason = NULL;
    unsigned long code;
    int flags = 0;

    code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
    if (code != 0) {
        reason = ERR_reason_error_string(code);
        if ((flags & ERR_TXT_STRING) == 0 || data == NULL)
            data = "";
    }
    ERR_clear_error();
    return ee_fail(error, EE_E_SIGN, "%s%s%s%s%s%s%s", dot2_status_text(cause->status),
                   cause->detail[0] != '\0' ? ": " : "", cause->detail, code != 0 ? ": " : "",
                   reason != NULL ? reason : "", code != 0 && *data != '\0' ? ": " : "",
                   code != 0 ? data : "");
}

/* Signed...Request, or Secured...Request where the RA is configured so (protocol part 3, row 1). */
static enum dot2_status build(const struct ee_config *config, const char *filename,
                              uint32_t *timestamp, uint8_t **octets, size_t *size,
                              struct dot2_error *cause)
{
    uint8_t *tbs = NULL, *request = NULL;
    size_t tbs_size = 0, request_size = 0;
    enum dot2_status status = dot2_time32_now(timestamp);

    *octets = NULL;
    if (status == DOT2_OK)
        status = scms_download_request_build(*timestamp, filename, &tbs, &tbs_size, cause);
    if (status == DOT2_OK)
        status = scms_signed_request_build(config->crypto, config->enrollment_key,
                                           config->enrollment_certificate, tbs, tbs_size, &request,
                                           &request_size, cause);
    if (status == DOT2_OK && config->secured_header) {
        status = scms_secured_build(config->crypto, config->ra_certificate, request, request_size,
                                    octets, size, cause);
    } else if (status == DOT2_OK) {
        *octets = request;
        *size = request_size;
        request = NULL;
    }
    OPENSSL_free(tbs);
    OPENSSL_free(request);
    return status;
}

enum ee_status ee_download_request(const struct ee_config *config, const char *filename,
                                   uint32_t *timestamp, char **text, struct ee_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    uint8_t *request = NULL;
    size_t request_size = 0;

    *text = NULL;
    ERR_clear_error();
    cause.status = build(config, filename, timestamp, &request, &request_size, &cause);
    if (cause.status == DOT2_OK)
        cause.status = scms_base64_encode(request, request_size, text);
    OPENSSL_free(request);
    return cause.status == DOT2_OK ? EE_OK : ee_body_failed(&cause, error);
}

enum ee_status ee_request_header(const struct ee_config *config, const char *filename,
                                 uint32_t *timestamp, char **line, struct ee_error *error)
{
    size_t length;
    char *text = NULL;
    enum ee_status status = ee_download_request(config, filename, timestamp, &text, error);

    *line = NULL;
    if (status != EE_OK)
        return status;
    length = strlen(text) + sizeof(HEADER_NAME);
    *line = OPENSSL_malloc(length);
    if (*line != NULL)
        snprintf(*line, length, "%s%s", HEADER_NAME, text);
    else
        status = ee_fail(error, EE_E_MEMORY, "out of memory");
    OPENSSL_free(text);
    return status;
}
