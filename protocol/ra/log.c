/*
 * log.c: see log.h.
 */
#include "protocol/ra/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_word(const char *octets, size_t size)
{
    static const char others[] = "-_.:/+[],*%@";

    for (size_t i = 0; i < size; i++) {
        char c = octets[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr(others, c) != NULL)))
            return false;
    }
    return size > 0;
}

void ra_line_add_octets(struct ra_line *line, const char *key, const char *octets, size_t size)
{
    bool quoted = !is_word(octets, size);
    /* Each octet takes up to four; the value is cut so that the closing quote always fits. */
    size_t room = sizeof line->text - line->size - 1;
    size_t start = line->size;
    int n = snprintf(line->text + start, room, "%s%s=%s", start == 0 ? "" : " ", key,
                     quoted ? "\"" : "");

    if (n < 0 || (size_t)n + 8 > room) {
        line->text[start] = '\0';
        return;
    }
    line->size += (size_t)n;
    for (size_t i = 0; i < size && line->size + 6 < sizeof line->text; i++) {
        unsigned char c = (unsigned char)octets[i];

        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            line->size += (size_t)snprintf(line->text + line->size, 5, "\\x%02x", (unsigned)c);
        else
            line->text[line->size++] = (char)c;
    }
    if (quoted)
        line->text[line->size++] = '"';
    line->text[line->size] = '\0';
}

void ra_line_add(struct ra_line *line, const char *key, const char *format, ...)
{
    char value[600];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (n < 0)
        return;
    ra_line_add_octets(line, key, value, (size_t)n < sizeof value ? (size_t)n : sizeof value - 1);
}
