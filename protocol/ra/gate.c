/*
 * gate.c: in front of evhttp, which hides duplicate headers and leaves a HEAD's body in the stream.
 * It reads heads itself and lets through one of its own making; bodies stay with the connection.
 */
#include "protocol/ra/server_internal.h"

#include <string.h>
#include <strings.h>

#include <openssl/err.h>

/* The media type; parameters, which it has none of, are not looked at. */
static bool is_octet_stream(const struct ra_value *value)
{
    static const char type[] = "application/octet-stream";
    size_t size = sizeof type - 1;

    if (value->at == NULL || value->size < size || strncasecmp(value->at, type, size) != 0)
        return false;
    while (size < value->size && (value->at[size] == ' ' || value->at[size] == '\t'))
        size++;
    return size == value->size || value->at[size] == ';';
}

static enum ra_early early_of(const struct ra_server *server, const struct ra_head *head,
                              enum ra_route route)
{
    bool post = ra_route_is_post(route);

    if (route == RA_ROUTE_NONE)
        return RA_EARLY_URL;
    if (head->method == RA_METHOD_OTHER || (head->method == RA_METHOD_POST) != post)
        return RA_EARLY_METHOD;
    if (head->length > server->config.max_body)
        return RA_EARLY_TOO_LARGE;
    if (post && !is_octet_stream(&head->content_type))
        return RA_EARLY_TYPE;
    if (post && head->length == 0)
        return RA_EARLY_EMPTY;
    return RA_EARLY_NONE;
}

/*
 * What evhttp gets to see: a head of our own making, with a method and path that are ours and the
 * few headers that we act upon. A POST is a GET to it: its body is with us. No Content-Length, and
 * no Expect, which evhttp would answer. A request that will be refused whatever else it says has no
 * headers at all.
 */
static int clear_head(struct ra_conn *conn, const struct ra_head *head)
{
    const char *method = head->method == RA_METHOD_HEAD ? "HEAD" : "GET";

    if (conn->early != RA_EARLY_NONE)
        return evbuffer_add_printf(conn->cleared, "%s / HTTP/1.1\r\n\r\n", method);
    if (evbuffer_add_printf(conn->cleared, "%s %.*s HTTP/1.%u\r\n", method, (int)head->target_size,
                            head->target, head->minor) < 0)
        return -1;
    for (size_t i = 0; i < RA_HEADERS; i++) {
        const struct ra_value *value = &head->values[i];

        if (value->at != NULL &&
            evbuffer_add_printf(conn->cleared, "%s: %.*s\r\n", ra_header_names[i], (int)value->size,
                                value->at) < 0)
            return -1;
    }
    return evbuffer_add_printf(conn->cleared, "%s\r\n",
                               head->close        ? "Connection: close\r\n"
                               : head->keep_alive ? "Connection: keep-alive\r\n"
                                                  : "");
}

static void log_bad_head(struct ra_conn *conn, enum ra_head_fault fault)
{
    ra_conn_kill(conn, LOG_NOTICE, ra_head_fault_name(fault), "not a request that is read");
}

/* Looks for a whole head in what is held. Returns whether there is one and it was taken. */
static bool take_head(struct ra_conn *conn)
{
    const struct ra_server *server = conn->loop->server;
    struct evbuffer_ptr from, at;
    size_t length = evbuffer_get_length(conn->held), size;
    enum ra_head_fault fault;
    struct ra_head head;
    const char *octets;

    if (length == 0)
        return false;
    /* The four octets may have come in two parts. */
    evbuffer_ptr_set(conn->held, &from, conn->searched > 3 ? conn->searched - 3 : 0,
                     EVBUFFER_PTR_SET);
    at = evbuffer_search(conn->held, "\r\n\r\n", 4, &from);
    conn->searched = length;
    if (at.pos < 0 ? length > server->config.max_headers
                   : (size_t)at.pos + 4 > server->config.max_headers) {
        ra_conn_kill(conn, LOG_NOTICE, "headers_too_long", NULL);
        return false;
    }
    if (at.pos < 0)
        return false;
    conn->searched = 0;
    size = (size_t)at.pos + 4;
    octets = (const char *)evbuffer_pullup(conn->held, (ev_ssize_t)size);
    conn->requests++;
    if (octets == NULL) {
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        return false;
    }
    fault = ra_head_parse(octets, size, &head);
    if (fault != RA_HEAD_OK) {
        log_bad_head(conn, fault);
        return false;
    }
    conn->route = ra_route_find(server, head.target, head.target_size);
    conn->early = early_of(server, &head, conn->route);
    conn->body_left = conn->early == RA_EARLY_NONE ? head.length : 0;
    conn->keep_body = ra_route_is_post(conn->route);
    conn->expects = head.expect_continue && head.minor > 0;
    if (clear_head(conn, &head) < 0) {
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        return false;
    }
    evbuffer_drain(conn->held, size);
    conn->state = RA_CONN_BODY;
    if (conn->body_left > 0)
        ra_conn_wait(conn, RA_WAIT_BODY);
    return conn->state == RA_CONN_BODY;
}

/*
 * Says that the body may come. evhttp has no request at this moment, so nothing else is being
 * written, and its output buffer, whose events it would take for its own, is not touched.
 */
static bool send_continue(struct ra_conn *conn)
{
    static const char answer[] = "HTTP/1.1 100 Continue\r\n\r\n";
    bool sent = SSL_write(conn->ssl, answer, sizeof answer - 1) == (int)(sizeof answer - 1);

    ERR_clear_error();
    if (!sent)
        ra_conn_kill(conn, LOG_NOTICE, "request_incomplete", "100 Continue cannot be sent");
    return sent;
}

void ra_gate_pump(struct ra_conn *conn)
{
    if (conn->state == RA_CONN_HEAD && !take_head(conn))
        return;
    if (conn->state == RA_CONN_BODY) {
        size_t length = evbuffer_get_length(conn->held);

        if (length > conn->body_left)
            length = (size_t)conn->body_left;
        if (length == 0 && conn->body_left > 0 && conn->expects && !send_continue(conn))
            return;
        conn->expects = false;
        if (!conn->keep_body)
            evbuffer_drain(conn->held, length);
        else if (evbuffer_remove_buffer(conn->held, conn->body, length) != (int)length)
            ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        conn->body_left -= length;
        if (conn->body_left > 0 || conn->state == RA_CONN_DEAD)
            return;
        conn->state = RA_CONN_BUSY;
        conn->arrived = ra_metrics_now();
        ra_conn_wait(conn, RA_WAIT_WRITE);
        if (conn->state == RA_CONN_DEAD)
            return;
        conn->passing = true;
        if (evbuffer_add_buffer(bufferevent_get_input(conn->bev), conn->cleared) != 0)
            ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        conn->passing = false;
    }
}

/*
 * Takes what has come, which stands at the end of the input: before it there may be the head that
 * evhttp has not looked at yet, as when a whole request and more come in one read.
 */
static bool take_new(struct ra_conn *conn, struct evbuffer *input, size_t added)
{
    size_t before = evbuffer_get_length(input) - added;
    bool ok;

    if (before == 0)
        return evbuffer_add_buffer(conn->held, input) == 0;
    conn->passing = true;
    ok = evbuffer_remove_buffer(input, conn->cleared, before) == (int)before &&
         evbuffer_add_buffer(conn->held, input) == 0 &&
         evbuffer_add_buffer(input, conn->cleared) == 0;
    conn->passing = false;
    return ok;
}

void ra_gate_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct ra_conn *conn = arg;

    if (info->n_added == 0 || conn->passing)
        return;
    if (conn->state == RA_CONN_DEAD || conn->closing) {
        evbuffer_drain(input, evbuffer_get_length(input));
        return;
    }
    if (conn->state == RA_CONN_HEAD && conn->wait == RA_WAIT_IDLE)
        ra_conn_wait(conn, RA_WAIT_HEAD);
    if (!take_new(conn, input, info->n_added)) {
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        return;
    }
    if (conn->state == RA_CONN_BUSY && conn->early != RA_EARLY_NONE) {
        /* The body of a request that is being refused, behind which nothing is read. */
        evbuffer_drain(conn->held, evbuffer_get_length(conn->held));
        return;
    }
    if (conn->state == RA_CONN_BUSY) {
        /* The next request may be sent before this one is answered, but not without end. */
        if (evbuffer_get_length(conn->held) > conn->loop->server->config.max_headers)
            ra_conn_kill(conn, LOG_NOTICE, "pipeline_too_long", NULL);
        return;
    }
    ra_gate_pump(conn);
}

void ra_gate_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
    struct ra_conn *conn = arg;

    (void)output;
    conn->written += info->n_deleted;
    ra_metrics_add(&conn->loop->metrics.octets, info->n_deleted);
}
