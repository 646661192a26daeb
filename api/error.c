/* error.c: statuses, the error object, structures with a size. */
#include "api/internal.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#define DOT2(name) [DOT2_##name] = DOT2HSM_##name
static const dot2hsm_status of_dot2[] = {
    [DOT2_OK] = DOT2HSM_OK,
    DOT2(E_MEMORY),
    DOT2(E_ARGUMENT),
    DOT2(E_DECODE),
    DOT2(E_PROVIDER),
    DOT2(E_CRYPTO),
    DOT2(E_ALGORITHM),
    DOT2(E_POINT),
    DOT2(E_KEY_MISMATCH),
    DOT2(E_SIGNATURE),
    DOT2(E_SIGNER),
    DOT2(E_CERTIFICATE),
    DOT2(E_ISSUER_UNKNOWN),
    DOT2(E_ISSUER_SIGNATURE),
    DOT2(E_NOT_YET_VALID),
    DOT2(E_EXPIRED),
    DOT2(E_VALIDITY_NESTING),
    DOT2(E_PERMISSION),
    DOT2(E_REGION),
    DOT2(E_ASSURANCE),
    DOT2(E_TYPE),
    DOT2(E_DEPTH),
    DOT2(E_TIME),
    DOT2(E_MESSAGE),
    DOT2(E_NOT_RECIPIENT),
    DOT2(E_DECRYPT),
    DOT2(E_REVOKED),
};
#define OF_DOT2 (sizeof(of_dot2) / sizeof(of_dot2[0]))

static enum dot2_status inner_of(dot2hsm_status status)
{
    for (size_t i = 0; i < OF_DOT2; i++) {
        if (of_dot2[i] == status)
            return (enum dot2_status)i;
    }
    return DOT2_OK;
}

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
    };

    if ((size_t)status >= sizeof(names) / sizeof(names[0]))
        return "DOT2HSM_E_UNKNOWN";
    return names[status];
}

const char *dot2hsm_status_text(dot2hsm_status status)
{
    if (status == DOT2HSM_E_KEY)
        return "the URI does not name exactly one private key";
    if (status == DOT2HSM_E_FILE)
        return "the file cannot be read";
    if (status != DOT2HSM_OK && inner_of(status) == DOT2_OK)
        return "an unknown status";
    return dot2_status_text(inner_of(status));
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

size_t dot2hsm_error_offset(const dot2hsm_error *error)
{
    return error == NULL ? 0 : error->offset;
}

void api_begin(dot2hsm_error *error)
{
    ERR_clear_error();
    if (error != NULL)
        memset(error, 0, sizeof(*error));
}

static void add(dot2hsm_error *error, const char *text)
{
    size_t used = strlen(error->text);

    if (text != NULL && *text != '\0')
        snprintf(error->text + used, sizeof(error->text) - used, "%s%s", used > 0 ? ": " : "",
                 text);
}

dot2hsm_status api_fail(dot2hsm_error *error, dot2hsm_status status, const char *detail)
{
    const char *data = NULL;
    unsigned long code;
    int flags = 0;

    if (error != NULL) {
        error->status = status;
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

dot2hsm_status api_result(dot2hsm_error *error, enum dot2_status status,
                          const struct dot2_error *cause)
{
    if (status == DOT2_OK)
        return DOT2HSM_OK;
    if (error != NULL && cause->status == status) {
        error->offset = cause->offset;
        OPENSSL_strlcpy(error->field, cause->field, sizeof(error->field));
    }
    return api_fail(error, (size_t)status < OF_DOT2 ? of_dot2[status] : DOT2HSM_E_CRYPTO,
                    cause->status == status ? cause->detail : NULL);
}

bool api_take(void *ours, size_t our_size, const void *theirs, size_t least)
{
    size_t size = 0;

    memset(ours, 0, our_size);
    if (theirs == NULL)
        return false;
    memcpy(&size, theirs, sizeof(size));
    if (size < least || size > 4096)
        return false;
    for (size_t i = our_size; i < size; i++) {
        if (((const unsigned char *)theirs)[i] != 0)
            return false;
    }
    memcpy(ours, theirs, size < our_size ? size : our_size);
    return true;
}
