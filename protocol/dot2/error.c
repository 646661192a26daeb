/* error.c: names and sentences of the results. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "protocol/dot2/fail.h"

static const struct {
    enum dot2_status status;
    const char *name;
    const char *text;
} table[] = {
    {DOT2_OK, "DOT2_OK", "no error"},
    {DOT2_E_MEMORY, "DOT2_E_MEMORY", "out of memory"},
    {DOT2_E_ARGUMENT, "DOT2_E_ARGUMENT", "an argument is not as this function needs it"},
    {DOT2_E_DECODE, "DOT2_E_DECODE", "not the canonical encoding of the expected type"},
    {DOT2_E_PROVIDER, "DOT2_E_PROVIDER",
     "the provider dot2hsm is not loaded, or the key cannot be used in it"},
    {DOT2_E_CRYPTO, "DOT2_E_CRYPTO", "a cryptographic operation failed"},
    {DOT2_E_ALGORITHM, "DOT2_E_ALGORITHM", "a curve or hash that has no place here"},
    {DOT2_E_POINT, "DOT2_E_POINT", "not a point of the curve"},
    {DOT2_E_KEY_MISMATCH, "DOT2_E_KEY_MISMATCH", "the private key is not the certificate's"},
    {DOT2_E_SIGNATURE, "DOT2_E_SIGNATURE", "the signature does not verify"},
    {DOT2_E_SIGNER, "DOT2_E_SIGNER", "the signer is not named as the message requires"},
    {DOT2_E_CERTIFICATE, "DOT2_E_CERTIFICATE", "the certificate is not consistent in itself"},
    {DOT2_E_ISSUER_UNKNOWN, "DOT2_E_ISSUER_UNKNOWN",
     "there is no way from the certificate to a trust anchor"},
    {DOT2_E_ISSUER_SIGNATURE, "DOT2_E_ISSUER_SIGNATURE",
     "the certificate is not signed by its issuer"},
    {DOT2_E_NOT_YET_VALID, "DOT2_E_NOT_YET_VALID", "a certificate is not valid yet"},
    {DOT2_E_EXPIRED, "DOT2_E_EXPIRED", "a certificate has expired"},
    {DOT2_E_VALIDITY_NESTING, "DOT2_E_VALIDITY_NESTING",
     "the validity period is not within the issuer's"},
    {DOT2_E_PERMISSION, "DOT2_E_PERMISSION",
     "permissions are missing, out of place, or not the issuer's to give"},
    {DOT2_E_REGION, "DOT2_E_REGION", "the region is not within the issuer's"},
    {DOT2_E_ASSURANCE, "DOT2_E_ASSURANCE", "the assurance level is above the issuer's"},
    {DOT2_E_TYPE, "DOT2_E_TYPE", "the certificate is of the wrong kind"},
    {DOT2_E_DEPTH, "DOT2_E_DEPTH", "the chain is too long or has a cycle"},
    {DOT2_E_TIME, "DOT2_E_TIME", "not a time that Time32 can hold"},
    {DOT2_E_MESSAGE, "DOT2_E_MESSAGE", "not the message that is expected here"},
    {DOT2_E_NOT_RECIPIENT, "DOT2_E_NOT_RECIPIENT",
     "the message is not encrypted to this recipient"},
    {DOT2_E_DECRYPT, "DOT2_E_DECRYPT",
     "the message does not decrypt: it was altered, or encrypted to another key"},
    {DOT2_E_REVOKED, "DOT2_E_REVOKED", "a certificate of the chain is revoked by a CRL"},
};

const char *dot2_status_name(enum dot2_status status)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status)
            return table[i].name;
    }
    return "DOT2_E_UNKNOWN";
}

const char *dot2_status_text(enum dot2_status status)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status)
            return table[i].text;
    }
    return "unknown status";
}

/* A path that is too long loses its beginning: the field itself stands at the end. */
static void set_field(struct dot2_error *error, const char *field)
{
    size_t length = field == NULL ? 0 : strlen(field);

    if (length < sizeof(error->field))
        snprintf(error->field, sizeof(error->field), "%s", length == 0 ? "" : field);
    else
        snprintf(error->field, sizeof(error->field), "...%s",
                 field + length - (sizeof(error->field) - 4));
}

static void set_detail(struct dot2_error *error, enum dot2_status status, size_t offset,
                       const char *field, const char *format, va_list arguments)
{
    error->status = status;
    error->offset = offset;
    set_field(error, field);
    vsnprintf(error->detail, sizeof(error->detail), format, arguments);
}

enum dot2_status dot2_fail(struct dot2_error *error, enum dot2_status status, const char *field,
                           const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return status;
    va_start(arguments, format);
    set_detail(error, status, 0, field, format, arguments);
    va_end(arguments);
    return status;
}

enum dot2_status dot2_fail_at(struct dot2_error *error, enum dot2_status status, size_t offset,
                              const char *field, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return status;
    va_start(arguments, format);
    set_detail(error, status, offset, field, format, arguments);
    va_end(arguments);
    return status;
}

enum dot2_status dot2_fail_openssl(struct dot2_error *error, enum dot2_status status,
                                   const char *what)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long code = ERR_peek_last_error_all(NULL, NULL, NULL, &data, &flags);
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    bool has_data = data != NULL && (flags & ERR_TXT_STRING) != 0 && data[0] != '\0';

    return dot2_fail(error, status, NULL, "%s%s%s%s%s", what, reason == NULL ? "" : ": ",
                     reason == NULL ? "" : reason, has_data ? ": " : "", has_data ? data : "");
}

enum dot2_status dot2_fail_memory(struct dot2_error *error)
{
    return dot2_fail(error, DOT2_E_MEMORY, NULL, "out of memory");
}

enum dot2_status dot2_fail_coer(struct dot2_error *error, const struct coer_error *coer,
                                size_t base)
{
    enum dot2_status status = coer->status == COER_E_MEMORY ? DOT2_E_MEMORY : DOT2_E_DECODE;

    return dot2_fail_at(error, status, base + coer->offset, coer->path, "%s (%s)",
                        coer_status_text(coer->status), coer_status_name(coer->status));
}
