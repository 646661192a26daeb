#include "protocol/ee/ee_internal.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *name, *text;
} statuses[] = {
    [EE_OK] = {"EE_OK", "done"},
    [EE_NOT_MODIFIED] = {"EE_NOT_MODIFIED", "what is there is current"},
    [EE_E_MEMORY] = {"EE_E_MEMORY", "out of memory"},
    [EE_E_ARGUMENT] = {"EE_E_ARGUMENT", "an argument or a setting cannot be used"},
    [EE_E_UNREACHABLE] = {"EE_E_UNREACHABLE", "the RA cannot be reached"},
    [EE_E_TLS] = {"EE_E_TLS", "the RA did not prove itself; nothing was signed"},
    [EE_E_SIGN] = {"EE_E_SIGN", "the request could not be signed; nothing was sent"},
    [EE_E_REFUSED] = {"EE_E_REFUSED", "the RA refused the request"},
    [EE_E_RESPONSE] = {"EE_E_RESPONSE", "the RA's answer is not of this protocol"},
    [EE_E_FILE] = {"EE_E_FILE", "the file cannot be written"},
    [EE_E_ABORTED] = {"EE_E_ABORTED", "stopped before the end"},
};

const char *ee_status_name(enum ee_status status)
{
    if ((size_t)status >= sizeof(statuses) / sizeof(statuses[0]))
        return "EE_E_UNKNOWN";
    return statuses[status].name;
}

const char *ee_status_text(enum ee_status status)
{
    if ((size_t)status >= sizeof(statuses) / sizeof(statuses[0]))
        return "an unknown status";
    return statuses[status].text;
}

enum ee_status ee_fail(struct ee_error *error, enum ee_status status, const char *format, ...)
{
    va_list args;

    if (error != NULL) {
        error->status = status;
        va_start(args, format);
        vsnprintf(error->detail, sizeof(error->detail), format, args);
        va_end(args);
    }
    return status;
}
