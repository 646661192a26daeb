#include "apps/app.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

static const char *app_name = "dot2hsm";

void app_name_set(const char *name)
{
    app_name = name;
}

const char *app_name_get(void)
{
    return app_name;
}

void app_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    flockfile(stderr);
    fprintf(stderr, "%s: ", app_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    funlockfile(stderr);
    va_end(args);
}

/* The oldest entry is the cause, so it comes first. */
static void print_queue(void)
{
    unsigned long code;
    const char *data, *reason;
    char number[32];
    int flags;

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        reason =
            ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
        if (reason == NULL) {
            snprintf(number, sizeof(number), "error %08lX", code);
            reason = number;
        }
        if ((flags & ERR_TXT_STRING) != 0 && data != NULL && *data != '\0')
            fprintf(stderr, "%s:   %s: %s\n", app_name, reason, data);
        else
            fprintf(stderr, "%s:   %s\n", app_name, reason);
    }
}

void app_error_openssl(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    flockfile(stderr);
    fprintf(stderr, "%s: ", app_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    print_queue();
    funlockfile(stderr);
    va_end(args);
}

void app_json_string(FILE *out, const char *text)
{
    const unsigned char *p;

    fputc('"', out);
    for (p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(out, "\\u%04x", *p);
        else
            fputc(*p, out);
    }
    fputc('"', out);
}

void app_print_safe(FILE *out, const char *text)
{
    const unsigned char *p;

    for (p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p < 0x20 || *p == 0x7f)
            fprintf(out, "\\x%02x", *p);
        else
            fputc(*p, out);
    }
}
