#include "protocol/ee/ee_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* An RA's headers are well under 1 kB; a peer that goes on sending them is none. */
#define HEADERS_MAX 16384u

/* A number of digits only that fits; moves *p behind it. */
static bool number(const char **p, uint64_t *value)
{
    const char *start = *p;

    *value = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        if (*value > (INT64_MAX - 9) / 10)
            return false;
        *value = *value * 10 + (uint64_t)(**p - '0');
    }
    return *p != start;
}

bool ee_etag_valid(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    if (strncmp(text, "W/", 2) == 0)
        p += 2;
    if (*p++ != '"')
        return false;
    while (*p == 0x21 || (*p >= 0x23 && *p != 0x7f))
        p++;
    return p[0] == '"' && p[1] == '\0';
}

int64_t ee_response_date(const struct ee_response *response)
{
    return response->aged ? 0 : response->date;
}

bool ee_response_etag_strong(const struct ee_response *response)
{
    return response->etag[0] == '"';
}

static bool take_length(struct ee_response *r, const char *value)
{
    if (r->has_length)
        return false;
    r->has_length = true;
    return number(&value, &r->length) && *value == '\0';
}

/* RFC 7233 clause 4.2: bytes start-end/total, or bytes * /total. */
static bool take_range(struct ee_response *r, const char *value)
{
    if (r->has_range || r->has_unsatisfied || strncasecmp(value, "bytes ", 6) != 0)
        return false;
    value += 6;
    if (*value == '*') {
        value++;
        r->has_unsatisfied = true;
    } else {
        r->has_range = true;
        if (!number(&value, &r->range_start) || *value++ != '-' || !number(&value, &r->range_end))
            return false;
    }
    if (*value++ != '/' || !number(&value, &r->range_total) || *value != '\0')
        return false;
    return r->has_unsatisfied || (r->range_start <= r->range_end && r->range_end < r->range_total);
}

static bool take_etag(struct ee_response *r, const char *value)
{
    if (r->etag[0] != '\0')
        return false;
    /* One that is not of the grammar, or too long, cannot be sent back: as if there were none. */
    if (strlen(value) < sizeof(r->etag) && ee_etag_valid(value))
        snprintf(r->etag, sizeof(r->etag), "%s", value);
    return true;
}

/*
 * The parameter filename of Content-Disposition (RFC 6266), a token or a quoted string. It is told
 * to the user and sent back as a version; it is never used as a path, and one that could be
 * mistaken for a path is left out.
 */
static void take_disposition(struct ee_response *r, const char *value)
{
    char name[sizeof(r->filename)];
    size_t length = 0;
    const char *p = strchr(value, ';');
    bool quoted;

    while (p != NULL) {
        p += 1 + strspn(p + 1, " \t");
        if (strncasecmp(p, "filename=", 9) == 0)
            break;
        /* A quoted string of another parameter may hold a semicolon. */
        for (quoted = false; *p != '\0' && (quoted || *p != ';'); p++) {
            if (*p == '\\' && quoted && p[1] != '\0')
                p++;
            else if (*p == '"')
                quoted = !quoted;
        }
        if (*p == '\0')
            return;
    }
    if (p == NULL)
        return;
    p += 9;
    quoted = *p == '"';
    if (quoted)
        p++;
    for (; *p != '\0' && *p != (quoted ? '"' : ';'); p++) {
        if (quoted && *p == '\\' && *++p == '\0')
            return;
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '/' || *p == '\\' || *p == '"' ||
            length + 1 >= sizeof(name))
            return;
        name[length++] = *p;
    }
    while (!quoted && length > 0 && name[length - 1] == ' ')
        length--;
    name[length] = '\0';
    if ((quoted && *p != '"') || length == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    snprintf(r->filename, sizeof(r->filename), "%s", name);
}

static void take_scms_code(struct ee_response *r, const char *value)
{
    uint64_t code;

    if (number(&value, &code) && *value == '\0' && code > 0 && code < 100000)
        r->scms_code = (int)code;
}

/* Another's words: whatever is not printable ASCII becomes a question mark. */
static void take_scms_message(struct ee_response *r, const char *value)
{
    size_t i;

    for (i = 0; value[i] != '\0' && i + 1 < sizeof(r->scms_message); i++)
        r->scms_message[i] = value[i] >= 0x20 && value[i] < 0x7f ? value[i] : '?';
    r->scms_message[i] = '\0';
}

static void take_date(struct ee_response *r, const char *value)
{
    time_t date = curl_getdate(value, NULL);

    r->date = date > 0 ? (int64_t)date : 0;
}

static void take_header(struct ee_response *r, const char *name, const char *value)
{
    if (strcasecmp(name, "Content-Length") == 0) {
        if (!take_length(r, value))
            r->malformed = "Content-Length";
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        if (strcasecmp(value, "chunked") != 0)
            r->malformed = "Transfer-Encoding";
        r->chunked = true;
    } else if (strcasecmp(name, "Content-Encoding") == 0) {
        r->encoded = strcasecmp(value, "identity") != 0;
    } else if (strcasecmp(name, "Content-Range") == 0) {
        if (!take_range(r, value))
            r->malformed = "Content-Range";
    } else if (strcasecmp(name, "ETag") == 0) {
        if (!take_etag(r, value))
            r->malformed = "ETag";
    } else if (strcasecmp(name, "Content-Disposition") == 0) {
        take_disposition(r, value);
    } else if (strcasecmp(name, "Date") == 0) {
        take_date(r, value);
    } else if (strcasecmp(name, "Age") == 0) {
        r->aged = true;
    } else if (strcasecmp(name, "SCMS-POC-Error") == 0) {
        take_scms_code(r, value);
    } else if (strcasecmp(name, "SCMS-POC-Error-Message") == 0) {
        take_scms_message(r, value);
    }
}

/* "HTTP/1.1 206 Partial Content" */
static void take_status(struct ee_response *r, const char *line)
{
    const char *space = strchr(line, ' ');
    size_t octets = r->header_octets;
    uint64_t status = 0;

    memset(r, 0, sizeof(*r));
    r->header_octets = octets;
    if (space != NULL) {
        space++;
        if (number(&space, &status) && status >= 100 && status < 600)
            r->status = (long)status;
    }
    if (r->status == 0)
        r->malformed = "status line";
}

bool ee_response_line(struct ee_response *response, const char *line, size_t size)
{
    char text[4096];
    char *colon, *value;

    response->header_octets += size;
    if (response->header_octets > HEADERS_MAX || size >= sizeof(text))
        return false;
    if (memchr(line, '\0', size) != NULL) {
        response->malformed = "line with a NUL";
        return true;
    }
    memcpy(text, line, size);
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r' || text[size - 1] == ' ' ||
                        text[size - 1] == '\t'))
        size--;
    text[size] = '\0';
    if (size == 0) {
        response->complete = true;
        return true;
    }
    /* The first line, or the one after a 1xx answer; anywhere else such a line is no status. */
    if (response->status == 0 || (response->complete && response->status < 200)) {
        take_status(response, text);
        return true;
    }
    /* What comes after the empty line is a trailer, which may not change what was decided. */
    colon = strchr(text, ':');
    if (response->complete || colon == NULL)
        return true;
    *colon = '\0';
    value = colon + 1;
    value += strspn(value, " \t");
    take_header(response, text, value);
    return true;
}
