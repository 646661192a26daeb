/*
 * log.h: lines of key=value pairs for the operator. For protocol/ra and its program.
 *
 * A value that is not a plain word stands in double quotes; quotes, backslashes and everything that
 * is not printable ASCII is written as \xNN, so that what a peer sends cannot forge a line.
 */
#ifndef DOT2HSM_PROTOCOL_RA_LOG_H
#define DOT2HSM_PROTOCOL_RA_LOG_H

#include <stddef.h>

struct ra_line {
    char text[1024];
    size_t size;
};

/* Adds key=value; what does not fit any more is left out as a whole. */
void ra_line_add(struct ra_line *line, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for octets that need not be text. */
void ra_line_add_octets(struct ra_line *line, const char *key, const char *octets, size_t size);

#endif
