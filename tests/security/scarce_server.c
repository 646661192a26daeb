/*
 * scarce_server.c: see scarce.h. What the server has from libssl and libevent.
 *
 * libevent 2.1.12 does not survive all that can fail inside of it: only what we ask of it fails,
 * and of its own allocations those that it has an answer to, which it is told to make here.
 */
#include "tests/security/scarce_wrap.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>

WRAP(SSL_CTX *, SSL_CTX_new_ex,
     (OSSL_LIB_CTX * libctx, const char *query, const SSL_METHOD *method), (libctx, query, method))
WRAP(SSL *, SSL_new, (SSL_CTX * ctx), (ctx))
WRAP_TO(0, int, SSL_set_ex_data, (SSL * ssl, int index, void *data), (ssl, index, data))
WRAP_TO(0, int, SSL_CTX_set_ex_data, (SSL_CTX * ctx, int index, void *data), (ctx, index, data))

WRAP(struct event *, event_new,
     (struct event_base * base, evutil_socket_t fd, short what, event_callback_fn call, void *arg),
     (base, fd, what, call, arg))
WRAP_TO(-1, int, event_add, (struct event * event, const struct timeval *after), (event, after))
WRAP(struct event_base *, event_base_new, (void), ())
WRAP(struct evhttp *, evhttp_new, (struct event_base * base), (base))
WRAP(struct bufferevent *, bufferevent_socket_new,
     (struct event_base * base, evutil_socket_t fd, int options), (base, fd, options))
WRAP_TO(-1, int, bufferevent_set_timeouts,
        (struct bufferevent * bev, const struct timeval *reading, const struct timeval *writing),
        (bev, reading, writing))
WRAP_TO(-1, int, evhttp_add_header,
        (struct evkeyvalq * headers, const char *name, const char *value), (headers, name, value))
WRAP(struct evbuffer *, evbuffer_new, (void), ())
WRAP(struct evbuffer_cb_entry *, evbuffer_add_cb,
     (struct evbuffer * buffer, evbuffer_cb_func call, void *arg), (buffer, call, arg))
WRAP_TO(-1, int, evbuffer_add, (struct evbuffer * buffer, const void *octets, size_t size),
        (buffer, octets, size))
WRAP_TO(-1, int, evbuffer_add_buffer, (struct evbuffer * to, struct evbuffer *from), (to, from))
WRAP_TO(-1, int, evbuffer_remove_buffer, (struct evbuffer * from, struct evbuffer *to, size_t size),
        (from, to, size))
WRAP_TO(-1, int, evbuffer_expand, (struct evbuffer * buffer, size_t size), (buffer, size))
WRAP_TO(-1, int, evbuffer_reserve_space,
        (struct evbuffer * buffer, ev_ssize_t size, struct evbuffer_iovec *spaces, int count),
        (buffer, size, spaces, count))
WRAP(unsigned char *, evbuffer_pullup, (struct evbuffer * buffer, ev_ssize_t size), (buffer, size))

WRAP_TO(-1, int, evbuffer_add_vprintf, (struct evbuffer * buffer, const char *format, va_list args),
        (buffer, format, args))
WRAP_PRINTF(evbuffer_add_printf, (struct evbuffer * buffer, const char *format, ...),
            __real_evbuffer_add_vprintf(buffer, format, args))

/* ---- libevent's own allocations ---- */

static _Thread_local bool next_fails; /* the next one */
static _Thread_local bool counts;     /* all for the time being */

void *__real_malloc(size_t size);
void *__real_realloc(void *before, size_t size);

static bool libevent_fails(void)
{
    bool fails = next_fails || (counts && scarce_fails());

    next_fails = false;
    if (fails)
        errno = ENOMEM;
    return fails;
}

static void *libevent_malloc(size_t size)
{
    return libevent_fails() ? NULL : __real_malloc(size);
}

static void *libevent_realloc(void *before, size_t size)
{
    return libevent_fails() ? NULL : __real_realloc(before, size);
}

void scarce_libevent(void)
{
    event_set_mem_functions(libevent_malloc, libevent_realloc, free);
}

#define OPENSSL_SOCKET_NEW(prefix)                                                                 \
    prefix##_bufferevent_openssl_socket_new(struct event_base *base, evutil_socket_t fd, SSL *ssl, \
                                            enum bufferevent_ssl_state state, int options)

/* It has freed the SSL when it fails, if that was to be its own. */
struct bufferevent *OPENSSL_SOCKET_NEW(__real);
struct bufferevent *OPENSSL_SOCKET_NEW(__wrap);
struct bufferevent *OPENSSL_SOCKET_NEW(__wrap)
{
    next_fails = scarce_fails();
    return __real_bufferevent_openssl_socket_new(base, fd, ssl, state, options);
}

/* Our last call for a new connection: evhttp makes its own part of it next. */
void __real_event_active(struct event *event, int what, short count);
void __wrap_event_active(struct event *event, int what, short count);
void __wrap_event_active(struct event *event, int what, short count)
{
    __real_event_active(event, what, count);
    next_fails = scarce_fails();
}

#define WRAP_COUNTING(name, parameters, arguments)                                                 \
    void __real_##name parameters;                                                                 \
    void __wrap_##name parameters;                                                                 \
    void __wrap_##name parameters                                                                  \
    {                                                                                              \
        counts = true;                                                                             \
        __real_##name arguments;                                                                   \
        counts = false;                                                                            \
    }

/* evhttp makes the head of an answer. */
WRAP_COUNTING(evhttp_send_reply,
              (struct evhttp_request * request, int status, const char *reason,
               struct evbuffer *octets),
              (request, status, reason, octets))
WRAP_COUNTING(evhttp_send_reply_start,
              (struct evhttp_request * request, int status, const char *reason),
              (request, status, reason))
WRAP_COUNTING(evhttp_send_reply_chunk_with_cb,
              (struct evhttp_request * request, struct evbuffer *octets,
               void (*call)(struct evhttp_connection *, void *), void *arg),
              (request, octets, call, arg))
