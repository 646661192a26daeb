/*
 * http_head.c: RFC 9112 sections 3 and 5, without what they tolerate.
 */
#include "protocol/ra/http_head.h"

#include <string.h>
#include <strings.h>

const char *ra_head_fault_name(enum ra_head_fault fault)
{
    switch (fault) {
    case RA_HEAD_OK:
        return "ok";
    case RA_HEAD_LINE_ENDING:
        return "line_ending";
    case RA_HEAD_REQUEST_LINE:
        return "request_line";
    case RA_HEAD_VERSION:
        return "http_version";
    case RA_HEAD_TOO_MANY:
        return "too_many_headers";
    case RA_HEAD_FOLDED:
        return "folded_header";
    case RA_HEAD_NAME:
        return "header_name";
    case RA_HEAD_VALUE:
        return "header_value";
    case RA_HEAD_HOST_MISSING:
        return "host_missing";
    case RA_HEAD_HOST_TWICE:
        return "host_twice";
    case RA_HEAD_HOST:
        return "host";
    case RA_HEAD_LENGTH_TWICE:
        return "content_length_twice";
    case RA_HEAD_LENGTH:
        return "content_length";
    case RA_HEAD_TRANSFER_ENCODING:
        return "transfer_encoding";
    case RA_HEAD_DUPLICATE:
        return "duplicate_header";
    }
    return "unknown";
}

struct slice {
    const char *at;
    size_t size;
};

static bool slice_is(struct slice slice, const char *text)
{
    return slice.size == strlen(text) && strncasecmp(slice.at, text, slice.size) == 0;
}

static struct slice trim(struct slice slice)
{
    while (slice.size > 0 && (slice.at[0] == ' ' || slice.at[0] == '\t')) {
        slice.at++;
        slice.size--;
    }
    while (slice.size > 0 && (slice.at[slice.size - 1] == ' ' || slice.at[slice.size - 1] == '\t'))
        slice.size--;
    return slice;
}

/* tchar of RFC 9110 section 5.6.2. */
static bool is_token(struct slice slice)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < slice.size; i++) {
        char c = slice.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr(marks, c) != NULL)))
            return false;
    }
    return slice.size > 0;
}

static bool is_digits(struct slice slice)
{
    for (size_t i = 0; i < slice.size; i++)
        if (slice.at[i] < '0' || slice.at[i] > '9')
            return false;
    return slice.size > 0;
}

/* The next line without its CRLF; false if a CR or LF stands alone. */
static bool next_line(const char **at, const char *end, struct slice *line)
{
    const char *p = *at;

    while (p < end && *p != '\r' && *p != '\n')
        p++;
    if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
        return false;
    *line = (struct slice){*at, (size_t)(p - *at)};
    *at = p + 2;
    return true;
}

static enum ra_head_fault parse_request_line(struct slice line, struct ra_head *head)
{
    const char *end = line.at + line.size;
    const char *first = memchr(line.at, ' ', line.size);
    const char *second;
    struct slice method, version;

    if (first == NULL)
        return RA_HEAD_REQUEST_LINE;
    second = memchr(first + 1, ' ', (size_t)(end - first - 1));
    if (second == NULL)
        return RA_HEAD_REQUEST_LINE;
    method = (struct slice){line.at, (size_t)(first - line.at)};
    head->target = first + 1;
    head->target_size = (size_t)(second - first - 1);
    version = (struct slice){second + 1, (size_t)(end - second - 1)};
    if (!is_token(method) || head->target_size == 0)
        return RA_HEAD_REQUEST_LINE;
    for (size_t i = 0; i < head->target_size; i++)
        if (head->target[i] <= ' ' || head->target[i] > '~')
            return RA_HEAD_REQUEST_LINE;
    if (version.size != 8 || memcmp(version.at, "HTTP/1.", 7) != 0 ||
        (version.at[7] != '0' && version.at[7] != '1'))
        return RA_HEAD_VERSION;
    head->minor = (unsigned)(version.at[7] - '0');
    /* Methods are compared with case. */
    if (method.size == 3 && memcmp(method.at, "GET", 3) == 0)
        head->method = RA_METHOD_GET;
    else if (method.size == 4 && memcmp(method.at, "HEAD", 4) == 0)
        head->method = RA_METHOD_HEAD;
    else if (method.size == 4 && memcmp(method.at, "POST", 4) == 0)
        head->method = RA_METHOD_POST;
    return RA_HEAD_OK;
}

static enum ra_head_fault parse_host(struct slice value)
{
    static const char others[] = ".-_:[]";

    for (size_t i = 0; i < value.size; i++) {
        char c = value.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr(others, c) != NULL)))
            return RA_HEAD_HOST;
    }
    return value.size > 0 ? RA_HEAD_OK : RA_HEAD_HOST;
}

static enum ra_head_fault parse_length(struct slice value, struct ra_head *head)
{
    if (head->has_length)
        return RA_HEAD_LENGTH_TWICE;
    if (!is_digits(value) || value.size > 18)
        return RA_HEAD_LENGTH;
    head->has_length = true;
    for (size_t i = 0; i < value.size; i++)
        head->length = head->length * 10 + (uint64_t)(value.at[i] - '0');
    return RA_HEAD_OK;
}

const char *const ra_header_names[RA_HEADERS] = {
    [RA_HEADER_DOWNLOAD_REQ] = "Download-Req",
    [RA_HEADER_RANGE] = "Range",
    [RA_HEADER_IF_RANGE] = "If-Range",
    [RA_HEADER_IF_NONE_MATCH] = "If-None-Match",
};

/* Connection is a list, and may come more than once. */
static void parse_connection(struct slice value, struct ra_head *head)
{
    const char *at = value.at, *end = value.at + value.size;

    while (at < end) {
        struct slice option = {at, 0};

        while (at < end && *at != ',')
            at++;
        option.size = (size_t)(at - option.at);
        option = trim(option);
        head->close |= slice_is(option, "close");
        head->keep_alive |= slice_is(option, "keep-alive");
        at++;
    }
}

static enum ra_head_fault parse_header(struct slice line, bool *host, struct ra_head *head)
{
    const char *colon = memchr(line.at, ':', line.size);
    struct slice name, value;

    if (line.at[0] == ' ' || line.at[0] == '\t')
        return RA_HEAD_FOLDED;
    if (colon == NULL)
        return RA_HEAD_NAME;
    name = (struct slice){line.at, (size_t)(colon - line.at)};
    value = (struct slice){colon + 1, (size_t)(line.at + line.size - colon - 1)};
    if (!is_token(name))
        return RA_HEAD_NAME;
    value = trim(value);
    for (size_t i = 0; i < value.size; i++)
        if (((unsigned char)value.at[i] < 0x20 && value.at[i] != '\t') || value.at[i] == 0x7f)
            return RA_HEAD_VALUE;

    if (slice_is(name, "Host")) {
        if (*host)
            return RA_HEAD_HOST_TWICE;
        *host = true;
        return parse_host(value);
    }
    if (slice_is(name, "Content-Length"))
        return parse_length(value, head);
    /* No request of the interface has a reason for chunks; with Content-Length they would be an
     * attack. */
    if (slice_is(name, "Transfer-Encoding"))
        return RA_HEAD_TRANSFER_ENCODING;
    if (slice_is(name, "Connection"))
        parse_connection(value, head);
    if (slice_is(name, "Expect"))
        head->expect_continue = slice_is(value, "100-continue");
    if (slice_is(name, "Content-Type")) {
        if (head->content_type.at != NULL)
            return RA_HEAD_DUPLICATE;
        head->content_type = (struct ra_value){value.at, value.size};
    }
    for (size_t i = 0; i < RA_HEADERS; i++) {
        if (!slice_is(name, ra_header_names[i]))
            continue;
        if (head->values[i].at != NULL)
            return RA_HEAD_DUPLICATE;
        head->values[i] = (struct ra_value){value.at, value.size};
    }
    return RA_HEAD_OK;
}

enum ra_head_fault ra_head_parse(const char *octets, size_t size, struct ra_head *head)
{
    const char *at = octets, *end = octets + size;
    enum ra_head_fault fault;
    bool host = false;
    struct slice line;
    size_t lines = 0;

    memset(head, 0, sizeof *head);
    if (!next_line(&at, end, &line))
        return RA_HEAD_LINE_ENDING;
    fault = parse_request_line(line, head);
    if (fault != RA_HEAD_OK)
        return fault;
    for (;;) {
        if (!next_line(&at, end, &line))
            return RA_HEAD_LINE_ENDING;
        if (line.size == 0)
            break;
        if (++lines > RA_HEAD_LINES_MAX)
            return RA_HEAD_TOO_MANY;
        fault = parse_header(line, &host, head);
        if (fault != RA_HEAD_OK)
            return fault;
    }
    if (at != end) /* the caller has cut elsewhere than at the first empty line */
        return RA_HEAD_LINE_ENDING;
    return host ? RA_HEAD_OK : RA_HEAD_HOST_MISSING;
}
