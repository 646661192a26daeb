/*
 * https_server.h: an HTTPS server in a thread that answers as it is told, rightly or wrongly, and
 * remembers what it was asked.
 */
#ifndef DOT2HSM_TESTS_EE_HTTPS_SERVER_H
#define DOT2HSM_TESTS_EE_HTTPS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/ee/tls_lab.h"

/* How one request is answered. A zeroed answer with a file is what a good RA does. */
struct answer {
    const uint8_t *file;
    size_t size;
    const char *etag;        /* the header's value; NULL = none */
    const char *headers;     /* more header lines, each with its CRLF */
    const char *raw;         /* these octets instead of all of the above */
    bool ignore_range;       /* 200 whatever was asked for */
    bool chunked;            /* without Content-Length */
    bool no_length;          /* without either: the file ends with the connection */
    int64_t range_start_off; /* added to the start that Content-Range names */
    int64_t range_total_off; /* added to the total that it names */
    const char *range_etag;  /* ETag of a 206 instead of etag */
    size_t cut_after;        /* octets of the body, then the connection is reset; 0 = not */
    size_t hang_after;       /* octets of the body, then nothing more; 0 = not */
    bool hang;               /* nothing at all */
    bool close;              /* closed without an octet */
    bool reset;              /* reset without an octet */
    bool close_after;        /* close after the answer; Connection: keep-alive was said */
    unsigned delay_ms;       /* before the answer */
    unsigned chunk_delay_ms; /* between pieces of 16 kB */
};

struct asked {
    unsigned connection; /* counted from 1 */
    char line[256];      /* request line */
    char host[256];
    char range[128];
    char if_range[512];
    char if_none_match[512];
    char download_req[8192];
    char content_type[128];
    char all[12288]; /* everything but the body */
    uint8_t body[4096];
    size_t body_size;
};

struct https_server;

/* With this certificate; the cipher list of TLS 1.2 may be restricted (NULL = any, 1.3 too). */
struct https_server *https_server_start(const struct lab_pair *pair, const char *tls12_ciphers);
/* At an IPv4 address and port (0 = any free one); NULL if they are taken. */
struct https_server *https_server_start_at(const struct lab_pair *pair, const char *address,
                                           unsigned port);
/* To be changed before the first connection. */
struct ssl_ctx_st *https_server_tls(const struct https_server *server);
unsigned https_server_port(const struct https_server *server);
/* The answers to the next requests, in order; the last one stays. Forgets what was asked. */
void https_server_plan(struct https_server *server, const struct answer *answers, size_t count);
size_t https_server_asked(struct https_server *server);
const struct asked *https_server_request(struct https_server *server, size_t index);
/* TCP connections, and those whose handshake was completed, since the plan. */
unsigned https_server_connections(struct https_server *server);
unsigned https_server_handshakes(struct https_server *server);
void https_server_stop(struct https_server *server);

#endif
