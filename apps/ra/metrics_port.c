/*
 * metrics_port.c: the connections of those who ask for the figures: few at a time, one request
 * each, and none for long. More of them wait in the kernel's queue.
 *
 * evhttp, which the server proper is built on, tells nobody that a connection of it has ended, so
 * that plain ones cannot be counted; one request line is soon read without it.
 */
#include "apps/ra/ra_app.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <openssl/crypto.h>

#define CONNECTIONS 16   /* at a time */
#define SECONDS 3        /* from accept to the last octet */
#define REQUEST_MAX 8192 /* octets */
#define AGAIN_MS 100     /* after an accept that failed */
#define SAY_SECONDS 10   /* between two lines about that */

struct ra_app_port {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *again;
    ra_app_figures_fn *figures;
    void *arg;
    struct asker *askers; /* a list */
    unsigned connections;
    time_t said; /* monotonic; 0: never */
};

struct asker {
    struct ra_app_port *port;
    struct bufferevent *bev;
    struct event *end;
    bool answered;
    struct asker *next;
};

static void asker_free(struct asker *asker)
{
    struct ra_app_port *port = asker->port;
    struct asker **at = &port->askers;

    while (*at != asker)
        at = &(*at)->next;
    *at = asker->next;
    port->connections--;
    evconnlistener_enable(port->listener);
    if (asker->end != NULL)
        event_free(asker->end);
    bufferevent_free(asker->bev);
    OPENSSL_free(asker);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    asker_free(arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    (void)what;
    asker_free(arg);
}

/* The answer has left. What the peer still sends is read, or its end would be a reset to it. */
static void on_written(struct bufferevent *bev, void *arg)
{
    const struct asker *asker = arg;

    if (asker->answered)
        shutdown(bufferevent_getfd(bev), SHUT_WR);
}

/* It costs this one connection. */
static void say_memory(void)
{
    ra_app_say(LOG_ERR, "event=not_answered service=metrics reason=memory");
}

static void answer(struct asker *asker, bool body, const char *status, struct evbuffer *figures)
{
    struct evbuffer *output = bufferevent_get_output(asker->bev);
    size_t size = figures == NULL ? 0 : evbuffer_get_length(figures);

    asker->answered = true;
    if (evbuffer_add_printf(
            output, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
            size,
            size == 0 ? "" : "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n") < 0 ||
        (body && figures != NULL && evbuffer_add_buffer(output, figures) != 0)) {
        say_memory();
        asker_free(asker);
    }
}

/* A whole head: only its first line says anything that matters here. */
static void answer_line(struct asker *asker, const char *line, size_t size)
{
    static const char path[] = "/metrics";
    bool get = size > 4 && memcmp(line, "GET ", 4) == 0;
    bool head = size > 5 && memcmp(line, "HEAD ", 5) == 0;
    const char *target = line + (head ? 5 : 4), *end;
    struct evbuffer *figures;

    if (!get && !head) {
        answer(asker, true, "405 Method Not Allowed\r\nAllow: GET, HEAD", NULL);
        return;
    }
    end = memchr(target, ' ', size - (size_t)(target - line));
    if (end == NULL || (size_t)(end - target) < sizeof path - 1 ||
        memcmp(target, path, sizeof path - 1) != 0 ||
        (target[sizeof path - 1] != ' ' && target[sizeof path - 1] != '?')) {
        answer(asker, true, "404 Not Found", NULL);
        return;
    }
    figures = evbuffer_new();
    if (figures != NULL && asker->port->figures(asker->port->arg, figures) == 0) {
        answer(asker, get, "200 OK", figures);
    } else {
        say_memory();
        answer(asker, true, "500 Internal Server Error", NULL);
    }
    if (figures != NULL)
        evbuffer_free(figures);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct asker *asker = arg;
    struct evbuffer *input = bufferevent_get_input(bev);
    struct evbuffer_ptr line, head;
    const char *octets;
    size_t size = 0;

    if (asker->answered) {
        evbuffer_drain(input, evbuffer_get_length(input));
        return;
    }
    line = evbuffer_search_eol(input, NULL, &size, EVBUFFER_EOL_CRLF);
    head = evbuffer_search(input, "\r\n\r\n", 4, NULL);
    if (head.pos < 0)
        head = evbuffer_search(input, "\n\n", 2, NULL);
    if (head.pos < 0) {
        if (evbuffer_get_length(input) >= REQUEST_MAX)
            asker_free(asker);
        return;
    }
    octets = (const char *)evbuffer_pullup(input, line.pos);
    if (octets == NULL && line.pos > 0) {
        say_memory();
        asker_free(asker);
    } else {
        answer_line(asker, octets, (size_t)line.pos);
    }
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int size, void *arg)
{
    static const struct timeval life = {.tv_sec = SECONDS};
    struct ra_app_port *port = arg;
    struct asker *asker = OPENSSL_zalloc(sizeof *asker);

    (void)address;
    (void)size;
    if (asker == NULL ||
        (asker->bev = bufferevent_socket_new(port->base, fd, BEV_OPT_CLOSE_ON_FREE)) == NULL) {
        say_memory();
        OPENSSL_free(asker);
        evutil_closesocket(fd);
        return;
    }
    asker->port = port;
    asker->next = port->askers;
    port->askers = asker;
    if (++port->connections == CONNECTIONS)
        evconnlistener_disable(listener);
    asker->end = evtimer_new(port->base, on_end, asker);
    if (asker->end == NULL || event_add(asker->end, &life) != 0) {
        say_memory();
        asker_free(asker);
        return;
    }
    bufferevent_setcb(asker->bev, on_read, on_written, on_event, asker);
    bufferevent_setwatermark(asker->bev, EV_READ, 0, REQUEST_MAX);
    bufferevent_enable(asker->bev, EV_READ | EV_WRITE);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    struct ra_app_port *port = arg;

    (void)fd;
    (void)what;
    if (port->connections < CONNECTIONS)
        evconnlistener_enable(port->listener);
}

/* Out of descriptors, as a rule: the listener stays readable, and would be tried without end. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    static const struct timeval pause = {.tv_usec = AGAIN_MS * 1000};
    struct ra_app_port *port = arg;
    int error = errno;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (port->said == 0 || now.tv_sec - port->said >= SAY_SECONDS) {
        port->said = now.tv_sec;
        ra_app_say_text(LOG_ERR, "event=accept_failed service=metrics", "detail", strerror(error));
    }
    if (event_add(port->again, &pause) == 0) /* or it would never be enabled again */
        evconnlistener_disable(listener);
}

struct ra_app_port *ra_app_port_open(struct event_base *base, const char *address, uint16_t number,
                                     ra_app_figures_fn *figures, void *arg)
{
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = EVUTIL_AI_PASSIVE | EVUTIL_AI_NUMERICHOST};
    struct evutil_addrinfo *found = NULL;
    struct ra_app_port *port = OPENSSL_zalloc(sizeof *port);
    char service[8];

    errno = ENOMEM;
    if (port == NULL)
        return NULL;
    port->base = base;
    port->figures = figures;
    port->arg = arg;
    port->again = evtimer_new(base, on_again, port);
    if (port->again == NULL)
        goto fail;
    snprintf(service, sizeof service, "%u", number);
    errno = 0;
    if (evutil_getaddrinfo(address, service, &hints, &found) != 0) {
        errno = 0;
        goto fail;
    }
    port->listener = evconnlistener_new_bind(
        base, on_accept, port, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
        -1, found->ai_addr, (int)found->ai_addrlen);
    if (port->listener == NULL)
        goto fail;
    evconnlistener_set_error_cb(port->listener, on_accept_error);
    evutil_freeaddrinfo(found);
    return port;
fail:
    if (found != NULL)
        evutil_freeaddrinfo(found);
    ra_app_port_close(port);
    return NULL;
}

int ra_app_port_fd(const struct ra_app_port *port)
{
    return evconnlistener_get_fd(port->listener);
}

void ra_app_port_close(struct ra_app_port *port)
{
    int error = errno;

    if (port == NULL)
        return;
    while (port->askers != NULL)
        asker_free(port->askers);
    if (port->listener != NULL)
        evconnlistener_free(port->listener);
    if (port->again != NULL)
        event_free(port->again);
    OPENSSL_free(port);
    errno = error;
}
