/*
 * conn.c: one connection, from accept to close_notify.
 *
 * evhttp owns the connection and the bufferevent; we stand on three sides of it. Before: its
 * callback for new connections gives it a TLS bufferevent, and the connection is counted and
 * perhaps ended before anything is read from it. In front: what comes out of TLS is taken out of
 * the input buffer before evhttp looks at it, and only a whole head that http_head.c has nothing
 * against is put back. Beside: one deadline, for whatever the connection waits for.
 */
#include "protocol/ra/server_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

/* An answer that is read more slowly than this many octets in write_deadline is ended. */
#define PROGRESS 16384

void ra_conn_line(const struct ra_conn *conn, struct ra_line *line, const char *event,
                  const char *reason)
{
    ra_line_add(line, "event", "%s", event);
    if (reason != NULL)
        ra_line_add(line, "reason", "%s", reason);
    ra_line_add(line, "peer", "%s", conn->peer);
    ra_line_add(line, "request", "%u-%llu-%llu", conn->loop->number,
                (unsigned long long)conn->number, (unsigned long long)conn->requests);
}

static void log_closed(const struct ra_conn *conn, int priority, const char *reason,
                       const char *detail)
{
    struct ra_line line = {.size = 0};

    ra_metrics_ended(&conn->loop->metrics, reason);
    ra_conn_line(conn, &line, "closed", reason);
    if (detail != NULL)
        ra_line_add(&line, "detail", "%s", detail);
    ra_server_log(conn->loop->server, priority, &line);
}

static void send_close_notify(const struct ra_conn *conn)
{
    if (SSL_is_init_finished(conn->ssl))
        SSL_shutdown(conn->ssl);
    ERR_clear_error();
}

void ra_conn_kill(struct ra_conn *conn, int priority, const char *reason, const char *detail)
{
    bufferevent_data_cb read_cb, write_cb;
    bufferevent_event_cb event_cb;
    evutil_socket_t fd = bufferevent_getfd(conn->bev);
    void *arg;

    if (conn->state == RA_CONN_DEAD)
        return;
    conn->state = RA_CONN_DEAD;
    event_del(conn->deadline);
    if (reason != NULL)
        log_closed(conn, priority, reason, detail);
    send_close_notify(conn);
    evbuffer_drain(conn->held, evbuffer_get_length(conn->held));
    /* The end of the stream makes evhttp free its connection; it must not be asked to read
     * meanwhile. */
    bufferevent_getcb(conn->bev, &read_cb, &write_cb, &event_cb, &arg);
    bufferevent_setcb(conn->bev, NULL, NULL, event_cb, arg);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
    bufferevent_enable(conn->bev, EV_READ);
}

static unsigned seconds_of(const struct ra_conn *conn, enum ra_wait wait)
{
    const struct ra_server_config *config = &conn->loop->server->config;

    switch (wait) {
    case RA_WAIT_HEAD:
        return config->header_deadline;
    case RA_WAIT_BODY:
        return config->body_deadline;
    case RA_WAIT_IDLE:
        return config->idle_timeout;
    case RA_WAIT_WRITE:
        return config->write_deadline;
    }
    return 0;
}

static bool set_deadline(struct ra_conn *conn, enum ra_wait wait)
{
    struct timeval tv = {.tv_sec = (time_t)seconds_of(conn, wait)};

    conn->wait = wait;
    conn->written_mark = conn->written;
    return event_add(conn->deadline, &tv) == 0;
}

void ra_conn_wait(struct ra_conn *conn, enum ra_wait wait)
{
    /* Without a deadline it could stay for ever. */
    if (conn->state != RA_CONN_DEAD && !set_deadline(conn, wait))
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct ra_conn *conn = arg;

    (void)fd;
    (void)what;
    switch (conn->wait) {
    case RA_WAIT_HEAD:
        ra_conn_kill(conn, LOG_NOTICE,
                     SSL_is_init_finished(conn->ssl) ? "header_timeout" : "handshake_timeout",
                     NULL);
        break;
    case RA_WAIT_BODY:
        ra_conn_kill(conn, LOG_NOTICE, "body_timeout", NULL);
        break;
    case RA_WAIT_IDLE:
        ra_conn_kill(conn, LOG_DEBUG, "idle_timeout", NULL);
        break;
    case RA_WAIT_WRITE:
        if (conn->written - conn->written_mark >= PROGRESS)
            ra_conn_wait(conn, RA_WAIT_WRITE);
        else
            ra_conn_kill(conn, LOG_NOTICE, "write_timeout", NULL);
        break;
    }
}

void ra_conn_answered(struct ra_conn *conn)
{
    if (conn->state != RA_CONN_BUSY)
        return;
    if (conn->closing) { /* evhttp closes it, and ra_conn_closed says so to the peer */
        conn->state = RA_CONN_DEAD;
        event_del(conn->deadline);
        return;
    }
    if (conn->loop->stopping) {
        ra_conn_kill(conn, LOG_DEBUG, "stopping", NULL);
        return;
    }
    conn->state = RA_CONN_HEAD;
    evbuffer_drain(conn->body, evbuffer_get_length(conn->body));
    ra_conn_wait(conn, evbuffer_get_length(conn->held) > 0 ? RA_WAIT_HEAD : RA_WAIT_IDLE);
    ra_gate_pump(conn);
}

void ra_conn_closed(struct evhttp_connection *evcon, void *arg)
{
    struct ra_conn *conn = arg;

    (void)evcon;
    ra_answer_abort(conn);
    if (conn->state != RA_CONN_DEAD || conn->closing)
        send_close_notify(conn);
    conn->state = RA_CONN_DEAD;
    event_del(conn->deadline);
}

/* ---- begin and end ---- */

static void conn_free(struct ra_conn *conn)
{
    struct ra_server *server = conn->loop->server;
    struct ra_loop *loop = conn->loop;

    if (conn->state != RA_CONN_DEAD && !SSL_is_init_finished(conn->ssl))
        log_closed(conn, LOG_INFO, "tls_handshake",
                   conn->tls_error[0] != '\0' ? conn->tls_error : "ended by the peer");
    else if (conn->state == RA_CONN_BODY ||
             (conn->state == RA_CONN_HEAD && evbuffer_get_length(conn->held) > 0))
        log_closed(conn, LOG_INFO, "request_incomplete", "ended by the peer");
    ra_answer_abort(conn);
    if (conn->counted)
        ra_peers_leave(server->peers, &conn->address);
    atomic_fetch_sub(&server->connections, 1);
    LIST_REMOVE(conn, entry);
    event_free(conn->deadline);
    event_free(conn->admit);
    evbuffer_free(conn->held);
    evbuffer_free(conn->cleared);
    evbuffer_free(conn->body);
    OPENSSL_free(conn);
    if (loop->stopping && LIST_EMPTY(&loop->conns))
        ra_loop_ended(loop);
}

void ra_conn_ssl_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    (void)parent;
    (void)ad;
    (void)index;
    (void)argl;
    (void)argp;
    if (ptr != NULL)
        conn_free(ptr);
}

/*
 * Counts handshakes, and keeps the reason of a failed one; libevent takes it from the queue and
 * shows nobody.
 */
static void on_tls_info(const SSL *ssl, int where, int result)
{
    const char *reason;
    struct ra_conn *conn = SSL_get_app_data(ssl);

    if ((where & SSL_CB_HANDSHAKE_DONE) != 0 && conn != NULL && !conn->shaken) {
        conn->shaken = true; /* a key update, or a ticket, is no other */
        ra_metrics_add(&conn->loop->metrics.handshakes, 1);
        if (SSL_session_reused(ssl))
            ra_metrics_add(&conn->loop->metrics.resumptions, 1);
    }
    if (where != SSL_CB_ACCEPT_EXIT || result > 0 || ERR_peek_error() == 0)
        return;
    reason = ERR_reason_error_string(ERR_peek_error());
    if (conn != NULL && reason != NULL)
        snprintf(conn->tls_error, sizeof conn->tls_error, "%s", reason);
}

static void peer_of(struct ra_conn *conn, evutil_socket_t fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t size = sizeof storage;
    char text[INET6_ADDRSTRLEN] = "?";

    snprintf(conn->peer, sizeof conn->peer, "?");
    if (getpeername(fd, (struct sockaddr *)&storage, &size) != 0)
        return;
    if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&storage;

        conn->address = in6->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
            inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], text, sizeof text);
        else
            inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        snprintf(conn->peer, sizeof conn->peer, "[%s]:%u", text, ntohs(in6->sin6_port));
    } else if (storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&storage;

        memset(&conn->address, 0, 10);
        memset(&conn->address.s6_addr[10], 0xff, 2);
        memcpy(&conn->address.s6_addr[12], &in->sin_addr, 4);
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        snprintf(conn->peer, sizeof conn->peer, "[%s]:%u", text, ntohs(in->sin_port));
    }
}

/*
 * evhttp tells its callback for new connections neither the socket nor the peer. This event was
 * made active there, so that it runs as soon as evhttp has put the socket in, and before the loop
 * looks for anything to read.
 */
static void on_admit(evutil_socket_t fd, short what, void *arg)
{
    struct ra_conn *conn = arg;
    struct ra_server *server = conn->loop->server;
    int error;

    (void)fd;
    (void)what;
    if (conn->state == RA_CONN_DEAD)
        return;
    if (bufferevent_getfd(conn->bev) < 0) {
        /* evhttp had no memory for its part; it has closed the socket and forgotten the rest. */
        conn->state = RA_CONN_DEAD;
        log_closed(conn, LOG_ERR, "memory", NULL);
        bufferevent_free(conn->bev);
        return;
    }
    peer_of(conn, bufferevent_getfd(conn->bev));
    if (conn->loop->stopping) {
        ra_conn_kill(conn, LOG_DEBUG, "stopping", NULL);
        return;
    }
    if (atomic_load(&server->connections) > server->config.max_connections) {
        ra_conn_kill(conn, LOG_WARNING, "too_many_connections", "in all");
        return;
    }
    error = ra_peers_enter(server->peers, &conn->address, server->config.max_per_address);
    conn->counted = error == 0;
    if (error == ENOMEM)
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
    else if (error != 0)
        ra_conn_kill(conn, LOG_WARNING, "too_many_connections", "from this address");
}

static struct ra_conn *conn_new(struct ra_loop *loop, SSL *ssl)
{
    struct ra_conn *conn = OPENSSL_zalloc(sizeof *conn);

    if (conn == NULL)
        return NULL;
    conn->loop = loop;
    conn->ssl = ssl;
    conn->state = RA_CONN_DEAD; /* until it can be served */
    conn->answer.file.fd = -1;
    conn->number = ++loop->serial;
    conn->admit = event_new(loop->base, -1, 0, on_admit, conn);
    conn->deadline = evtimer_new(loop->base, on_deadline, conn);
    conn->held = evbuffer_new();
    conn->cleared = evbuffer_new();
    conn->body = evbuffer_new();
    if (conn->admit == NULL || conn->deadline == NULL || conn->held == NULL ||
        conn->cleared == NULL || conn->body == NULL) {
        if (conn->admit != NULL)
            event_free(conn->admit);
        if (conn->deadline != NULL)
            event_free(conn->deadline);
        if (conn->held != NULL)
            evbuffer_free(conn->held);
        if (conn->cleared != NULL)
            evbuffer_free(conn->cleared);
        if (conn->body != NULL)
            evbuffer_free(conn->body);
        OPENSSL_free(conn);
        return NULL;
    }
    LIST_INSERT_HEAD(&loop->conns, conn, entry);
    atomic_fetch_add(&loop->server->connections, 1);
    ra_metrics_add(&loop->metrics.connections, 1);
    return conn;
}

static void drop_all(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    (void)arg;
    if (info->n_added > 0)
        evbuffer_drain(input, evbuffer_get_length(input));
}

/*
 * Memory ran out. If evhttp's callback returns nothing, evhttp makes a bufferevent of its own and
 * serves plain text: so it gets one on which nothing ever arrives and which times out at once.
 */
static struct bufferevent *deaf_bufferevent(struct event_base *base)
{
    struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    struct timeval tv = {.tv_usec = 1000};

    if (bev != NULL && evbuffer_add_cb(bufferevent_get_input(bev), drop_all, NULL) != NULL &&
        bufferevent_set_timeouts(bev, &tv, &tv) == 0)
        return bev;
    if (bev != NULL)
        bufferevent_free(bev);
    return NULL;
}

/*
 * Without memory for that either, what evhttp makes, if it can, has a second; a request on it is
 * not one of ours, and is told of an error.
 */
static struct bufferevent *accept_nobody(struct ra_loop *loop)
{
    struct bufferevent *bev = deaf_bufferevent(loop->base);
    struct ra_line line = {.size = 0};

    ra_metrics_ended(&loop->metrics, "memory");
    ra_line_add(&line, "event", "closed");
    ra_line_add(&line, "reason", "memory");
    ra_line_add(&line, "detail", "a connection cannot be accepted");
    ra_server_log(loop->server, LOG_ERR, &line);
    ERR_clear_error();
    if (bev == NULL)
        evhttp_set_timeout(loop->http, 1);
    return bev;
}

struct bufferevent *ra_conn_accept(struct event_base *base, void *arg)
{
    struct ra_loop *loop = arg;
    struct ra_server *server = loop->server;
    struct ra_conn *conn = NULL;
    struct bufferevent *bev;
    SSL *ssl;

    evhttp_set_timeout(loop->http, -1);
    pthread_mutex_lock(&server->lock);
    ssl = SSL_new(server->tls);
    pthread_mutex_unlock(&server->lock);
    if (ssl != NULL)
        conn = conn_new(loop, ssl);
    if (conn == NULL || SSL_set_ex_data(ssl, server->ssl_index, conn) != 1) {
        if (conn != NULL)
            conn_free(conn);
        SSL_free(ssl);
        return accept_nobody(loop);
    }
    SSL_set_app_data(ssl, conn);
    SSL_set_info_callback(ssl, on_tls_info);
    /* Frees the SSL, and with it the connection, also when it fails. */
    bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                         BEV_OPT_CLOSE_ON_FREE);
    if (bev == NULL)
        return accept_nobody(loop);
    conn->bev = bev;
    if (evbuffer_add_cb(bufferevent_get_input(bev), ra_gate_input, conn) == NULL ||
        evbuffer_add_cb(bufferevent_get_output(bev), ra_gate_output, conn) == NULL ||
        !set_deadline(conn, RA_WAIT_HEAD)) {
        bufferevent_free(bev);
        return accept_nobody(loop);
    }
    conn->state = RA_CONN_HEAD;
    event_active(conn->admit, EV_TIMEOUT, 0);
    return bev;
}

struct ra_conn *ra_conn_of(const struct ra_server *server, struct evhttp_request *request)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(request);
    SSL *ssl = evcon == NULL
                   ? NULL
                   : bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(evcon));

    return ssl == NULL ? NULL : SSL_get_ex_data(ssl, server->ssl_index);
}
