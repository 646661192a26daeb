/* error.c: the names of statuses, the error object. */
#include "api/internal.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

const char *dot2hsm_status_name(dot2hsm_status status)
{
    static const char *const names[] = {
#define NAME(name) [DOT2HSM_##name] = "DOT2HSM_" #name
        NAME(OK),
        NAME(E_MEMORY),
        NAME(E_ARGUMENT),
        NAME(E_DECODE),
        NAME(E_PROVIDER),
        NAME(E_CRYPTO),
        NAME(E_ALGORITHM),
        NAME(E_POINT),
        NAME(E_KEY_MISMATCH),
        NAME(E_SIGNATURE),
        NAME(E_SIGNER),
        NAME(E_CERTIFICATE),
        NAME(E_ISSUER_UNKNOWN),
        NAME(E_ISSUER_SIGNATURE),
        NAME(E_NOT_YET_VALID),
        NAME(E_EXPIRED),
        NAME(E_VALIDITY_NESTING),
        NAME(E_PERMISSION),
        NAME(E_REGION),
        NAME(E_ASSURANCE),
        NAME(E_TYPE),
        NAME(E_DEPTH),
        NAME(E_TIME),
        NAME(E_MESSAGE),
        NAME(E_NOT_RECIPIENT),
        NAME(E_DECRYPT),
        NAME(E_REVOKED),
        NAME(E_KEY),
        NAME(E_FILE),
        NAME(NOT_MODIFIED),
        NAME(E_UNREACHABLE),
        NAME(E_TLS),
        NAME(E_SIGN),
        NAME(E_REFUSED),
        NAME(E_RESPONSE),
        NAME(E_ABORTED),
        NAME(E_STORE),
        NAME(E_NOT_FOUND),
        NAME(E_EXISTS),
        NAME(E_SERVER),
    };

    if ((size_t)status >= sizeof(names) / sizeof(names[0]))
        return "DOT2HSM_E_UNKNOWN";
    return names[status];
}

const char *dot2hsm_status_text(dot2hsm_status status)
{
    /* Those that protocol/dot2 has not. */
    static const char *const texts[] = {
        [DOT2HSM_E_KEY] = "the URI does not name exactly one private key",
        [DOT2HSM_E_FILE] = "the file cannot be read or written",
        [DOT2HSM_NOT_MODIFIED] = "what is there is current",
        [DOT2HSM_E_UNREACHABLE] = "the RA cannot be reached",
        [DOT2HSM_E_TLS] = "the RA did not prove itself; nothing was signed",
        [DOT2HSM_E_SIGN] = "the request could not be signed; nothing was sent",
        [DOT2HSM_E_REFUSED] = "the RA refused the request",
        [DOT2HSM_E_RESPONSE] = "the RA's answer is not of this protocol",
        [DOT2HSM_E_ABORTED] = "stopped before the end",
        [DOT2HSM_E_STORE] = "the store cannot be reached",
        [DOT2HSM_E_NOT_FOUND] = "there is no such entry",
        [DOT2HSM_E_EXISTS] = "the file is another requester's",
        [DOT2HSM_E_SERVER] = "the server cannot be started",
    };
    enum dot2_status inner = api_status_to_dot2(status);

    if (status == DOT2HSM_OK || inner != DOT2_OK)
        return dot2_status_text(inner);
    if ((size_t)status >= sizeof(texts) / sizeof(texts[0]) || texts[status] == NULL)
        return "an unknown status";
    return texts[status];
}

dot2hsm_error *dot2hsm_error_new(void)
{
    return OPENSSL_zalloc(sizeof(dot2hsm_error));
}

void dot2hsm_error_free(dot2hsm_error *error)
{
    OPENSSL_free(error);
}

dot2hsm_status dot2hsm_error_status(const dot2hsm_error *error)
{
    return error == NULL ? DOT2HSM_OK : error->status;
}

const char *dot2hsm_error_text(const dot2hsm_error *error)
{
    return error == NULL ? "" : error->text;
}

const char *dot2hsm_error_field(const dot2hsm_error *error)
{
    return error == NULL ? "" : error->field;
}

int dot2hsm_error_scms_code(const dot2hsm_error *error)
{
    return error == NULL ? 0 : error->scms_code;
}

size_t dot2hsm_error_offset(const dot2hsm_error *error)
{
    return error == NULL ? 0 : error->offset;
}

static void add(dot2hsm_error *error, const char *text)
{
    size_t used = strlen(error->text);

    if (text != NULL && *text != '\0')
        snprintf(error->text + used, sizeof(error->text) - used, "%s%s", used > 0 ? ": " : "",
                 text);
}

dot2hsm_status dot2hsm_error_set(dot2hsm_error *error, dot2hsm_status status, const char *field,
                                 size_t offset, const char *detail)
{
    const char *data = NULL;
    unsigned long code;
    int flags = 0;

    if (error != NULL)
        memset(error, 0, sizeof(*error));
    if (error != NULL && status != DOT2HSM_OK) {
        error->status = status;
        error->offset = offset;
        if (field != NULL)
            OPENSSL_strlcpy(error->field, field, sizeof(error->field));
        add(error, dot2hsm_status_name(status));
        add(error, error->field);
        add(error, detail != NULL && *detail != '\0' ? detail : dot2hsm_status_text(status));
        /* The oldest entry is the cause, so it comes first. */
        while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
            add(error, ERR_reason_error_string(code));
            if ((flags & ERR_TXT_STRING) != 0)
                add(error, data);
        }
    }
    ERR_clear_error();
    return status;
}
