/* send_file.c: an open file as an answer: its validator, conditions, range, headers, octets. */
#include "protocol/ra/http_range.h"
#include "protocol/ra/server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl3.h>

#define CHUNK 65536 /* octets of a file on their way at a time, for each connection */

/*
 * Head and octets that are short enough for one TLS record become one: each piece in a buffer of
 * its own would be a record, and a call of write(), of its own.
 */
static void join_head(struct ra_conn *conn)
{
    struct evbuffer *output = bufferevent_get_output(conn->bev);

    if (evbuffer_get_length(output) <= SSL3_RT_MAX_PLAIN_LENGTH)
        (void)evbuffer_pullup(output, -1); /* works without it */
}

/* evcon is NULL the first time, behind the head. */
static void send_more(struct evhttp_connection *evcon, void *arg)
{
    struct ra_conn *conn = arg;
    struct ra_answer *answer = &conn->answer;
    struct evbuffer *buffer = NULL;
    struct evbuffer_iovec space;
    size_t want = answer->left < CHUNK ? (size_t)answer->left : CHUNK;
    ssize_t n;

    if (conn->state == RA_CONN_DEAD)
        return;
    if (answer->left == 0) {
        evhttp_send_reply_end(answer->request);
        return;
    }
    buffer = evbuffer_new();
    if (buffer == NULL || evbuffer_reserve_space(buffer, (ev_ssize_t)want, &space, 1) != 1) {
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        goto out;
    }
    do {
        n = pread(answer->file.fd, space.iov_base, want, (off_t)(answer->first + answer->sent));
    } while (n < 0 && errno == EINTR);
    /* The peer was promised Content-Length octets of one content: fewer, or others, are not sent
     * for them. */
    if (n <= 0 || !ra_file_unchanged(&answer->file)) {
        ra_conn_kill(conn, LOG_WARNING, "file_changed", answer->name);
        goto out;
    }
    space.iov_len = (size_t)n;
    if (evbuffer_commit_space(buffer, &space, 1) != 0) {
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        goto out;
    }
    answer->sent += (uint64_t)n;
    answer->left -= (uint64_t)n;
    evhttp_send_reply_chunk_with_cb(answer->request, buffer, send_more, conn);
    if (evcon == NULL)
        join_head(conn);
out:
    if (buffer != NULL)
        evbuffer_free(buffer);
}

static void send_head_only(struct ra_conn *conn, int status, const char *reason)
{
    conn->answer.status = status;
    if (ra_head_begin(conn))
        evhttp_send_reply(conn->answer.request, status, reason, NULL);
}

void ra_file_send_now(struct ra_conn *conn)
{
    struct ra_answer *answer = &conn->answer;
    struct evhttp_request *request = answer->request;
    struct evkeyvalq *in = evhttp_request_get_input_headers(request);
    const char *none_match = evhttp_find_header(in, "If-None-Match");
    const char *if_range = evhttp_find_header(in, "If-Range");
    const char *range = evhttp_find_header(in, "Range");
    bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
    uint64_t size = (uint64_t)answer->file.st.st_size, first = 0, last = 0;
    enum ra_range part = RA_RANGE_WHOLE;
    char text[400];

    if (conn->loop->stopping)
        ra_header_add(conn, "Connection", "close");
    answer->total = size;
    ra_header_add(conn, "ETag", answer->etag);
    if (none_match != NULL && ra_if_none_match(none_match, answer->etag)) {
        send_head_only(conn, HTTP_NOTMODIFIED, "Not Modified");
        return;
    }
    ra_header_add(conn, "Accept-Ranges", "bytes");
    /* Range has a meaning with GET only (RFC 9110 section 14.2). */
    if (!head && (if_range == NULL || ra_if_range_matches(if_range, answer->etag)))
        part = ra_range_parse(range, size, &first, &last);
    if (part == RA_RANGE_UNSATISFIABLE) {
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
        ra_header_add(conn, "Content-Range", text);
        ra_header_add(conn, "Content-Length", "0");
        send_head_only(conn, 416, "Requested Range Not Satisfiable");
        return;
    }
    if (part == RA_RANGE_PART) {
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)first,
                 (unsigned long long)last, (unsigned long long)size);
        ra_header_add(conn, "Content-Range", text);
        answer->part = true;
        answer->first = first;
        answer->left = last - first + 1;
    } else {
        answer->left = size;
    }
    ra_header_add_number(conn, "Content-Length", answer->left);
    ra_header_add(conn, "Content-Type",
                  strstr(answer->name, ".zip") != NULL ? "application/zip"
                                                       : "application/octet-stream");
    snprintf(text, sizeof text, "attachment; filename=\"%s\"", answer->name);
    ra_header_add(conn, "Content-Disposition", text);
    if (head) {
        answer->left = 0;
        send_head_only(conn, HTTP_OK, "OK");
        return;
    }
    answer->status = part == RA_RANGE_PART ? 206 : HTTP_OK;
    if (!ra_head_begin(conn))
        return;
    evhttp_send_reply_start(request, answer->status,
                            part == RA_RANGE_PART ? "Partial Content" : "OK");
    send_more(NULL, conn);
}

static void on_slice(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval at_once = {0, 0};
    struct ra_conn *conn = arg;
    struct ra_answer *answer = &conn->answer;

    (void)fd;
    (void)what;
    if (conn->state == RA_CONN_DEAD)
        return;
    switch (ra_etag_step(conn->loop->etags, &answer->file, &answer->job, answer->etag)) {
    case RA_ETAG_READY:
        ra_file_send_now(conn);
        break;
    case RA_ETAG_MORE:
        if (answer->slice == NULL)
            answer->slice = evtimer_new(conn->loop->base, on_slice, conn);
        if (answer->slice == NULL || event_add(answer->slice, &at_once) != 0)
            ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        break;
    case RA_ETAG_FAILED:
        ra_conn_kill(conn, LOG_WARNING, "file_changed", answer->name);
        break;
    case RA_ETAG_MEMORY:
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        break;
    }
}

void ra_file_send(struct ra_conn *conn)
{
    on_slice(-1, 0, conn);
}
