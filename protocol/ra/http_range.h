/*
 * http_range.h: which part of a file a request is for. Private to protocol/ra.
 */
#ifndef DOT2HSM_PROTOCOL_RA_HTTP_RANGE_H
#define DOT2HSM_PROTOCOL_RA_HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum ra_range {
    RA_RANGE_WHOLE = 0,    /* none, or one that is to be ignored */
    RA_RANGE_PART,         /* first and last are set */
    RA_RANGE_UNSATISFIABLE /* 416 */
};

/*
 * The value of a Range header (NULL = none) for a file of size octets. One range of the unit bytes
 * is served, a suffix too; one that is inverted, not numeric, of another unit, or one of several is
 * ignored (RFC 2616 section 14.35.1).
 */
enum ra_range ra_range_parse(const char *value, uint64_t size, uint64_t *first, uint64_t *last);

/* If-Range: the same entity tag, compared strongly; a date never matches, we send none. */
bool ra_if_range_matches(const char *value, const char *etag);

/*
 * If-None-Match: "*", or a list of which one equals the tag, compared weakly. Quotes may be
 * missing: deployed devices send the bare file name. etag has its quotes.
 */
bool ra_if_none_match(const char *value, const char *etag);

#endif
