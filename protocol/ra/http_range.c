/*
 * http_range.c: Range, If-Range, If-None-Match (RFC 2616 sections 14.26, 14.27, 14.35; RFC 9110
 * sections 8.8.3 and 14 where that one is clearer).
 */
#include "protocol/ra/http_range.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Digits up to something else; a number past 64 bits becomes the largest one. */
static bool number(const char **at, uint64_t *value)
{
    const char *p = *at;

    if (*p < '0' || *p > '9')
        return false;
    for (*value = 0; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        *value = *value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *value * 10 + digit;
    }
    *at = p;
    return true;
}

enum ra_range ra_range_parse(const char *value, uint64_t size, uint64_t *first, uint64_t *last)
{
    const char *at;
    uint64_t suffix;

    if (value == NULL || strncasecmp(value, "bytes=", 6) != 0)
        return RA_RANGE_WHOLE;
    at = value + 6;
    if (*at == '-') {
        at++;
        if (!number(&at, &suffix) || *at != '\0')
            return RA_RANGE_WHOLE;
        if (suffix == 0)
            return RA_RANGE_UNSATISFIABLE;
        if (size == 0) /* all of nothing has no Content-Range */
            return RA_RANGE_WHOLE;
        *first = suffix >= size ? 0 : size - suffix;
        *last = size - 1;
        return RA_RANGE_PART;
    }
    if (!number(&at, first) || *at++ != '-')
        return RA_RANGE_WHOLE;
    *last = UINT64_MAX;
    if (*at != '\0' && (!number(&at, last) || *at != '\0'))
        return RA_RANGE_WHOLE;
    if (*last < *first)
        return RA_RANGE_WHOLE;
    if (*first >= size)
        return RA_RANGE_UNSATISFIABLE;
    if (*last >= size)
        *last = size - 1;
    return RA_RANGE_PART;
}

bool ra_if_range_matches(const char *value, const char *etag)
{
    return strcmp(value, etag) == 0;
}

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

bool ra_if_none_match(const char *value, const char *etag)
{
    const char *tag = etag + 1;
    size_t tag_size = strlen(etag) - 2;
    const char *at = skip_space(value);

    if (at[0] == '*' && *skip_space(at + 1) == '\0')
        return true;
    while (*at != '\0') {
        const char *start;
        size_t size;

        if (at[0] == 'W' && at[1] == '/')
            at += 2;
        if (*at == '"') {
            start = ++at;
            size = strcspn(at, "\"");
            at += size;
            if (*at != '"') /* no closing quote: not a tag */
                return false;
            at++;
        } else {
            start = at;
            size = strcspn(at, ", \t");
            at += size;
        }
        if (size == tag_size && memcmp(start, tag, size) == 0)
            return true;
        at = skip_space(at);
        if (*at != '\0' && *at != ',')
            return false;
        at += strspn(at, ", \t");
    }
    return false;
}
