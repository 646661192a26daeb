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

static app_error_fn *error_sink;
static void *error_sink_arg;

void app_error_sink(app_error_fn *sink, void *arg)
{
    error_sink = sink;
    error_sink_arg = arg;
}

void app_error(const char *format, ...)
{
    char text[2000];
    va_list args;

    va_start(args, format);
    if (error_sink != NULL) {
        vsnprintf(text, sizeof(text), format, args);
        error_sink(error_sink_arg, text);
    } else {
        flockfile(stderr);
        fprintf(stderr, "%s: ", app_name);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
        funlockfile(stderr);
    }
    va_end(args);
}

/* The oldest entry of the queue, taken off it; false if there is none. */
static bool next_entry(char *text, size_t size)
{
    const char *data = NULL, *reason;
    char number[32];
    int flags = 0;
    unsigned long code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);

    if (code == 0)
        return false;
    reason =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    if (reason == NULL) {
        snprintf(number, sizeof(number), "error %08lX", code);
        reason = number;
    }
    if ((flags & ERR_TXT_STRING) != 0 && data != NULL && *data != '\0')
        snprintf(text, size, "%s: %s", reason, data);
    else
        snprintf(text, size, "%s", reason);
    return true;
}

/* The oldest entry is the cause, so it comes first. */
void app_error_openssl(const char *format, ...)
{
    char text[2000], entry[1200];
    size_t used;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (error_sink != NULL) {
        while (next_entry(entry, sizeof(entry))) {
            used = strlen(text);
            snprintf(text + used, sizeof(text) - used, ": %s", entry);
        }
        error_sink(error_sink_arg, text);
        return;
    }
    flockfile(stderr);
    fprintf(stderr, "%s: %s\n", app_name, text);
    while (next_entry(entry, sizeof(entry)))
        fprintf(stderr, "%s:   %s\n", app_name, entry);
    funlockfile(stderr);
}

/* Octets of one UTF-8 character (RFC 3629), 0 if it is none. */
static size_t utf8_length(const unsigned char *p)
{
    size_t length = *p < 0x80   ? 1
                    : *p < 0xc2 ? 0
                    : *p < 0xe0 ? 2
                    : *p < 0xf0 ? 3
                    : *p < 0xf5 ? 4
                                : 0;

    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] >= 0xa0) ||
        (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] >= 0x90))
        return 0;
    return length;
}

void app_json_string(FILE *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t length;

    fputc('"', out);
    for (; *p != '\0'; p += length) {
        length = utf8_length(p);
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (length == 0 || *p < 0x20 || *p == 0x7f)
            fprintf(out, "\\u%04x", *p);
        else
            fwrite(p, 1, length, out);
        /* An octet that is no UTF-8 stands as the character of that number. */
        if (length == 0)
            length = 1;
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
