/*
 * loop.c: the loops and their listeners.
 *
 * Every loop has a thread, a listening socket of its own on the same port (SO_REUSEPORT: the kernel
 * shares the connections out) and an evhttp. A call into the HSM stops one loop, not the server.
 */
#include "protocol/ra/server_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <event2/listener.h>

#define BACKLOG 1024
#define ACCEPT_SAY_US 10000000 /* between two lines of a loop about accepts that fail */

static _Thread_local struct ra_loop *running; /* the loop of this thread */

/* ---- sockets ---- */

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

static bool address_parse(const char *text, uint16_t port, struct address *address)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->storage;
    struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;

    memset(address, 0, sizeof *address);
    if (text == NULL || inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        address->size = sizeof *in6;
        return true;
    }
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        address->size = sizeof *in;
        return true;
    }
    return false;
}

static void address_set_port(struct address *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
}

static uint16_t address_port(const struct address *address)
{
    return ntohs(address->storage.ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)&address->storage)->sin6_port
                     : ((const struct sockaddr_in *)&address->storage)->sin_port);
}

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

static int socket_bind(const struct address *address, bool shared)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return -1;
    /* Accepted sockets inherit TCP_NODELAY: without it a short answer waits for the peer's
     * delayed acknowledgement. */
    if (set(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
        (!shared || set(fd, SOL_SOCKET, SO_REUSEPORT, 1) == 0) &&
        set(fd, IPPROTO_TCP, TCP_NODELAY, 1) == 0 &&
        (address->storage.ss_family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) == 0) &&
        bind(fd, (const struct sockaddr *)&address->storage, address->size) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/*
 * Finds the port. With SO_REUSEPORT a second server started by mistake would silently get half of
 * the connections, so the port is first taken alone.
 */
static int address_claim(struct address *address)
{
    struct address got = {.size = sizeof got.storage};
    int fd = socket_bind(address, false);

    if (fd < 0 || listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&got.storage, &got.size) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    address_set_port(address, address_port(&got));
    close(fd);
    return 0;
}

/* ---- loops ---- */

void ra_loop_ended(struct ra_loop *loop)
{
    event_base_loopexit(loop->base, NULL);
}

static void on_grace(evutil_socket_t fd, short what, void *arg)
{
    struct ra_loop *loop = arg;
    struct ra_conn *conn;

    (void)fd;
    (void)what;
    LIST_FOREACH(conn, &loop->conns, entry)
    ra_conn_kill(conn, LOG_WARNING, "stopping", "the answer took too long");
    event_base_loopexit(loop->base, NULL);
}

/* No more connections; those that wait for a request end, those with one go on. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct ra_loop *loop = arg;
    struct timeval tv = {.tv_sec = (time_t)loop->server->config.stop_deadline};
    struct ra_conn *conn;

    (void)fd;
    (void)what;
    event_del(loop->wake);
    loop->stopping = true;
    atomic_store(&loop->listen_fd, -1);
    if (loop->bound != NULL)
        evhttp_del_accept_socket(loop->http, loop->bound);
    loop->bound = NULL;
    loop->listener = NULL;
    LIST_FOREACH(conn, &loop->conns, entry)
    if (conn->state == RA_CONN_HEAD && evbuffer_get_length(conn->held) == 0)
        ra_conn_kill(conn, LOG_DEBUG, "stopping", NULL);
    if (LIST_EMPTY(&loop->conns))
        event_base_loopexit(loop->base, NULL);
    else if (event_add(loop->grace, &tv) != 0)
        on_grace(-1, 0, loop);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
    struct ra_loop *loop = arg;

    (void)fd;
    (void)what;
    if (loop->listener != NULL)
        evconnlistener_enable(loop->listener);
}

/*
 * Out of descriptors, as a rule: the listener stays readable, and would be tried without end. The
 * argument is that of the listener's other callback, which evhttp has set: an evhttp.
 */
static void on_accept_error(struct evconnlistener *listener, void *evhttp)
{
    struct ra_loop *loop = running;
    struct timeval tv = {.tv_usec = 100000};
    struct ra_line line = {.size = 0};
    int64_t now = ra_metrics_now();
    int error = errno;

    (void)evhttp;
    ra_metrics_add(&loop->metrics.accept_errors, 1);
    if (loop->accept_said == 0 || now - loop->accept_said >= ACCEPT_SAY_US) {
        loop->accept_said = now;
        ra_line_add(&line, "event", "accept_failed");
        ra_line_add(&line, "detail", "%s", strerror(error));
        ra_server_log(loop->server, LOG_ERR, &line);
    }
    if (event_add(loop->accept_again, &tv) == 0) /* or it would never be enabled again */
        evconnlistener_disable(listener);
}

void *ra_loop_run(void *arg)
{
    struct ra_loop *loop = arg;

    running = loop;
    event_base_dispatch(loop->base);
    return NULL;
}

void ra_loop_clear(struct ra_loop *loop)
{
    if (loop->http != NULL)
        evhttp_free(loop->http);
    if (loop->base != NULL) /* libevent frees connections in the next turn of their loop */
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
    if (loop->wake != NULL)
        event_free(loop->wake);
    if (loop->grace != NULL)
        event_free(loop->grace);
    if (loop->accept_again != NULL)
        event_free(loop->accept_again);
    if (loop->base != NULL)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    ra_etags_free(loop->etags);
}

static bool loop_init(struct ra_loop *loop, struct ra_server *server, unsigned number,
                      const struct address *address)
{
    int fd = -1;

    loop->server = server;
    loop->number = number;
    LIST_INIT(&loop->conns);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->etags = ra_etags_new(server->sha256);
    loop->base = event_base_new();
    if (loop->wake_fd < 0 || loop->etags == NULL || loop->base == NULL)
        return false;
    loop->http = evhttp_new(loop->base);
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    loop->grace = evtimer_new(loop->base, on_grace, loop);
    loop->accept_again = evtimer_new(loop->base, on_accept_again, loop);
    if (loop->http == NULL || loop->wake == NULL || loop->grace == NULL ||
        loop->accept_again == NULL || event_add(loop->wake, NULL) != 0)
        return false;
    evhttp_set_bevcb(loop->http, ra_conn_accept, loop);
    evhttp_set_gencb(loop->http, ra_answer_request, loop);
    evhttp_set_allowed_methods(loop->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_default_content_type(loop->http, NULL);
    /* The gate counts already; this is the second line. */
    evhttp_set_max_headers_size(loop->http, (ev_ssize_t)server->config.max_headers + 1024);
    evhttp_set_max_body_size(loop->http, (ev_ssize_t)server->config.max_body);

    fd = socket_bind(address, true);
    if (fd < 0)
        return false;
    loop->listener = evconnlistener_new(loop->base, NULL, NULL,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
    if (loop->listener == NULL) {
        close(fd);
        return false;
    }
    loop->bound = evhttp_bind_listener(loop->http, loop->listener);
    if (loop->bound == NULL) {
        evconnlistener_free(loop->listener);
        return false;
    }
    evconnlistener_set_error_cb(loop->listener, on_accept_error);
    atomic_store(&loop->listen_fd, fd);
    return true;
}

bool ra_loops_open(ra_server *server, const char *text_address, uint16_t port, char *text,
                   size_t text_size)
{
    struct address address;

    if (!address_parse(text_address, port, &address)) {
        snprintf(text, text_size, "%s is not a numeric address", text_address);
        return false;
    }
    if (address_claim(&address) != 0) {
        /* A kernel without IPv6: all of IPv4. */
        bool retry = text_address == NULL && errno == EAFNOSUPPORT &&
                     address_parse("0.0.0.0", port, &address) && address_claim(&address) == 0;

        if (!retry) {
            snprintf(text, text_size, "%s port %u: %s",
                     text_address == NULL ? "all addresses," : text_address, port, strerror(errno));
            return false;
        }
    }
    server->port = address_port(&address);
    server->loops = calloc(server->config.threads, sizeof *server->loops);
    if (server->loops == NULL) {
        snprintf(text, text_size, "out of memory");
        return false;
    }
    for (unsigned i = 0; i < server->config.threads; i++) {
        server->loops[i].wake_fd = -1;
        atomic_store(&server->loops[i].listen_fd, -1);
    }
    for (unsigned i = 0; i < server->config.threads; i++) {
        if (!loop_init(&server->loops[i], server, i, &address)) {
            snprintf(text, text_size, "event loop %u: %s", i, strerror(errno));
            return false;
        }
    }
    return true;
}
