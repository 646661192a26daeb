/*
 * http_head.h: the head of a request, read strictly before evhttp sees it. Private to protocol/ra.
 *
 * evhttp takes bare line feeds, folded lines, spaces before the colon, the first of two
 * Content-Lengths, answers some requests by itself, and leaves the body of a HEAD in the stream,
 * where it becomes the next request. Whoever stands between the device and us may read such a head
 * otherwise than we do, which is what request smuggling lives on. So a head that leaves a doubt is
 * not read at all.
 */
#ifndef DOT2HSM_PROTOCOL_RA_HTTP_HEAD_H
#define DOT2HSM_PROTOCOL_RA_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RA_HEAD_LINES_MAX 64 /* header lines in one head */

enum ra_head_fault {
    RA_HEAD_OK = 0,
    RA_HEAD_LINE_ENDING,  /* a CR or LF that is not part of CRLF */
    RA_HEAD_REQUEST_LINE, /* not METHOD SP TARGET SP VERSION */
    RA_HEAD_VERSION,      /* not HTTP/1.0 or HTTP/1.1 */
    RA_HEAD_TOO_MANY,     /* header lines */
    RA_HEAD_FOLDED,       /* a line that goes on in the next */
    RA_HEAD_NAME,         /* white space before the colon, or not a token */
    RA_HEAD_VALUE,        /* a control character */
    RA_HEAD_HOST_MISSING,
    RA_HEAD_HOST_TWICE,
    RA_HEAD_HOST, /* not a host and port */
    RA_HEAD_LENGTH_TWICE,
    RA_HEAD_LENGTH, /* not digits only */
    RA_HEAD_TRANSFER_ENCODING,
    RA_HEAD_DUPLICATE /* a header twice that we act upon */
};
const char *ra_head_fault_name(enum ra_head_fault fault);

enum ra_method {
    RA_METHOD_OTHER = 0,
    RA_METHOD_GET,
    RA_METHOD_HEAD,
    RA_METHOD_POST
};

enum ra_header { /* those that we act upon, by their values */
    RA_HEADER_DOWNLOAD_REQ = 0,
    RA_HEADER_RANGE,
    RA_HEADER_IF_RANGE,
    RA_HEADER_IF_NONE_MATCH,
    RA_HEADERS
};
extern const char *const ra_header_names[RA_HEADERS];

struct ra_value {
    const char *at; /* NULL = the header is not there */
    size_t size;    /* without white space around it */
};

struct ra_head { /* pointers into the octets that were parsed */
    enum ra_method method;
    const char *target; /* printable ASCII without spaces, as sent */
    size_t target_size;
    unsigned minor; /* of HTTP/1.minor */
    struct ra_value values[RA_HEADERS];
    bool close, keep_alive; /* of Connection */
    bool expect_continue;   /* Expect: 100-continue */
    struct ra_value content_type;
    bool has_length;
    uint64_t length; /* Content-Length, 0 if absent */
};

/* octets end with the empty line (CRLF CRLF). */
enum ra_head_fault ra_head_parse(const char *octets, size_t size, struct ra_head *head);

#endif
