/*
 * server.c: loops, listeners, and what they share.
 *
 * Every loop has a thread, a listening socket of its own on the same port (SO_REUSEPORT: the kernel
 * shares the connections out) and an evhttp. A call into the HSM stops one loop, not the server.
 */
#include "protocol/ra/server_internal.h"
#include "protocol/ra/tls_tickets.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <event2/listener.h>
#include <openssl/crypto.h>

#define BACKLOG 1024
#define DESCRIPTORS_KEPT 100
#define ACCEPT_SAY_US 10000000 /* between two lines of a loop about accepts that fail */

static _Thread_local struct ra_loop *running; /* the loop of this thread */
static int ssl_index = -1;
static pthread_once_t ssl_index_once = PTHREAD_ONCE_INIT;

static void ssl_index_make(void)
{
    ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, ra_conn_ssl_free);
}

void ra_server_log(const struct ra_server *server, int priority, const struct ra_line *line)
{
    if (server->config.log != NULL)
        server->config.log(server->config.log_arg, priority, line->text);
}

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

static void *loop_run(void *arg)
{
    struct ra_loop *loop = arg;

    running = loop;
    event_base_dispatch(loop->base);
    return NULL;
}

static void loop_clear(struct ra_loop *loop)
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

/* ---- the server ---- */

static void default_to(unsigned *value, unsigned otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void config_copy(struct ra_server_config *to, const struct ra_server_config *from)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    *to = *from;
    to->address = to->download_dir = to->policy_file = to->chain_file = NULL;
    to->url_base = to->crl_file = NULL;
    memset(to->paths, 0, sizeof to->paths);
    memset(to->psids, 0, sizeof to->psids);
    to->keys = NULL;
    default_to(&to->threads, processors < 1 ? 1 : (unsigned)processors);
    if (to->tolerance == UINT32_MAX)
        to->tolerance = 5;
    if (to->max_header == 0)
        to->max_header = 8192;
    if (to->max_headers == 0)
        to->max_headers = 16384;
    if (to->max_body == 0)
        to->max_body = 65536;
    default_to(&to->header_deadline, 10);
    default_to(&to->body_deadline, 30);
    default_to(&to->idle_timeout, 60);
    default_to(&to->write_deadline, 60);
    default_to(&to->stop_deadline, 30);
    default_to(&to->max_connections, 10000);
    default_to(&to->max_per_address, 100);
}

/*
 * Connections must not take the descriptors that answers need, or one that is idle keeps all others
 * from being served: so many are left to files, the store and the token.
 */
static void leave_descriptors(struct ra_server *server)
{
    struct rlimit limit;
    struct ra_line line = {.size = 0};
    unsigned *max = &server->config.max_connections;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= (rlim_t)*max + DESCRIPTORS_KEPT)
        return;
    *max = limit.rlim_cur < 2 * DESCRIPTORS_KEPT ? (unsigned)limit.rlim_cur / 2
                                                 : (unsigned)limit.rlim_cur - DESCRIPTORS_KEPT;
    ra_line_add(&line, "event", "connections_limited");
    ra_line_add(&line, "detail", "%u, by the limit of %llu open files", *max,
                (unsigned long long)limit.rlim_cur);
    ra_server_log(server, LOG_WARNING, &line);
}

/* A file whose name goes into headers. */
static bool file_name_valid(const char *path)
{
    const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    size_t size = strlen(name);

    return size > 0 && size < 200 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               size;
}

int ra_server_set_files(ra_server *server, const char *policy_file, const char *chain_file,
                        char *text, size_t text_size)
{
    const char *const paths[2] = {policy_file, chain_file};
    char *copies[2] = {NULL, NULL};

    for (size_t i = 0; i < 2; i++) {
        if (paths[i] == NULL)
            continue;
        if (!file_name_valid(paths[i])) {
            snprintf(text, text_size, "%s: the file's name may have letters, digits, . _ - only",
                     paths[i]);
            goto fail;
        }
        copies[i] = OPENSSL_strdup(paths[i]);
        if (copies[i] == NULL) {
            snprintf(text, text_size, "out of memory");
            goto fail;
        }
    }
    pthread_mutex_lock(&server->lock);
    OPENSSL_free(server->policy_file);
    OPENSSL_free(server->chain_file);
    server->policy_file = copies[0];
    server->chain_file = copies[1];
    pthread_mutex_unlock(&server->lock);
    return 0;
fail:
    OPENSSL_free(copies[0]);
    OPENSSL_free(copies[1]);
    return -1;
}

void ra_server_set_policy_limits(ra_server *server, uint32_t max_request_age, uint32_t max_supply)
{
    atomic_store(&server->max_request_age, max_request_age);
    atomic_store(&server->max_supply, max_supply);
}

static bool listen_all(ra_server *server, const char *text_address, uint16_t port, char *text,
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

static bool psids_copy(ra_server *server, const struct ra_server_config *config)
{
    for (size_t i = 0; i <= SCMS_PROVISION_APP; i++) {
        size_t size = config->psid_counts[i] * sizeof *config->psids[i];

        if (size == 0)
            continue;
        server->psids[i] = OPENSSL_memdup(config->psids[i], size);
        if (server->psids[i] == NULL)
            return false;
    }
    return true;
}

/* What makes it an RA, or an MA's file service. */
static bool services_init(ra_server *server, const struct ra_server_config *config, char *text,
                          size_t text_size)
{
    if (!ra_routes_init(server, config, text, text_size))
        return false;
    if (config->crl_file != NULL) {
        if (!file_name_valid(config->crl_file)) {
            snprintf(text, text_size, "%s: the file's name may have letters, digits, . _ - only",
                     config->crl_file);
            return false;
        }
        server->crl_file = OPENSSL_strdup(config->crl_file);
        if (server->crl_file == NULL)
            snprintf(text, text_size, "out of memory");
        return server->crl_file != NULL;
    }
    server->url_base = config->url_base == NULL ? NULL : OPENSSL_strdup(config->url_base);
    if (!psids_copy(server, config) || (config->url_base != NULL && server->url_base == NULL)) {
        snprintf(text, text_size, "out of memory");
        return false;
    }
    server->directory = ra_directory_new(config->download_dir, text, text_size);
    return server->directory != NULL &&
           ra_server_set_files(server, config->policy_file, config->chain_file, text, text_size) ==
               0;
}

ra_server *ra_server_new(const struct ra_server_config *config, dot2_crypto *crypto, SSL_CTX *tls,
                         dot2_trust *trust, ra_store *store, char *text, size_t text_size)
{
    ra_server *server = OPENSSL_zalloc(sizeof *server);

    if (server == NULL) {
        snprintf(text, text_size, "out of memory");
        return NULL;
    }
    pthread_once(&ssl_index_once, ssl_index_make);
    server->ssl_index = ssl_index;
    config_copy(&server->config, config);
    leave_descriptors(server);
    ra_server_set_policy_limits(server, config->provision.max_request_age,
                                config->provision.max_supply);
    pthread_mutex_init(&server->lock, NULL);
    server->store = store;
    server->crypto = dot2_crypto_up_ref(crypto);
    SSL_CTX_up_ref(tls);
    server->tls = tls;
    server->trust = trust == NULL ? NULL : dot2_trust_up_ref(trust);
    server->peers = ra_peers_new();
    server->sha256 = EVP_MD_fetch(dot2_crypto_libctx(crypto), "SHA256", NULL);
    if (ssl_index < 0 || server->peers == NULL || server->sha256 == NULL) {
        snprintf(text, text_size, "SHA-256 or memory is not to be had");
        goto fail;
    }
    if (!services_init(server, config, text, text_size) ||
        !listen_all(server, config->address, config->port, text, text_size))
        goto fail;
    if (config->keys != NULL && ra_server_set_keys(server, config->keys, text, text_size) != 0)
        goto fail;
    return server;
fail:
    ra_server_free(server);
    return NULL;
}

uint16_t ra_server_port(const ra_server *server)
{
    return server->port;
}

int ra_server_run(ra_server *server)
{
    sigset_t all, before;
    int failed = 0;

    /* Signals are for the thread that called us. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < server->config.threads; i++) {
        struct ra_loop *loop = &server->loops[i];

        if (pthread_create(&loop->thread, NULL, loop_run, loop) != 0) {
            failed = -1;
            ra_server_stop(server);
            break;
        }
        loop->started = true;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (unsigned i = 0; i < server->config.threads; i++) {
        if (server->loops[i].started)
            pthread_join(server->loops[i].thread, NULL);
        server->loops[i].started = false;
    }
    return failed;
}

void ra_server_stop(ra_server *server)
{
    static const uint64_t one = 1;

    for (unsigned i = 0; i < server->config.threads; i++)
        if (write(server->loops[i].wake_fd, &one, sizeof one) < 0) {
            /* The counter is full: it was told often enough. */
        }
}

void ra_server_set_trust(ra_server *server, dot2_trust *trust)
{
    struct dot2_cache_counts counts;
    dot2_trust *before;

    pthread_mutex_lock(&server->lock);
    before = server->trust;
    server->trust = dot2_trust_up_ref(trust);
    if (before != NULL) {
        dot2_trust_cache_counts(before, &counts);
        server->cache_before.hits += counts.hits;
        server->cache_before.misses += counts.misses;
    }
    pthread_mutex_unlock(&server->lock);
    dot2_trust_free(before);
}

int ra_server_set_keys(ra_server *server, ra_keys *keys, char *text, size_t text_size)
{
    ra_keys *before;
    uint32_t now = 0;

    if (keys != NULL && dot2_time32_now(&now) == DOT2_OK && ra_keys_newest(keys, now) == NULL) {
        snprintf(text, text_size, "no certificate of the RA with a key that signs is valid now");
        return -1;
    }
    if (keys != NULL && !ra_urls_valid(server, keys, now, text, text_size))
        return -1;
    pthread_mutex_lock(&server->lock);
    before = server->keys;
    server->keys = ra_keys_up_ref(keys);
    pthread_mutex_unlock(&server->lock);
    ra_keys_free(before);
    return 0;
}

/*
 * The keys of session tickets go over to a context with the same certificate: a device that comes
 * back must not cost the HSM a signature because an operator has reloaded something else.
 */
static void keep_ticket_keys(SSL_CTX *before, SSL_CTX *after)
{
    const X509 *old = SSL_CTX_get0_certificate(before), *new = SSL_CTX_get0_certificate(after);

    if (old != NULL && new != NULL && X509_cmp(old, new) == 0)
        ra_tls_tickets_keep(before, after);
}

void ra_server_set_tls(ra_server *server, SSL_CTX *tls)
{
    SSL_CTX *before;

    SSL_CTX_up_ref(tls);
    pthread_mutex_lock(&server->lock);
    before = server->tls;
    if (before != tls)
        keep_ticket_keys(before, tls);
    server->tls = tls;
    pthread_mutex_unlock(&server->lock);
    SSL_CTX_free(before);
}

void ra_server_free(ra_server *server)
{
    if (server == NULL)
        return;
    for (unsigned i = 0; server->loops != NULL && i < server->config.threads; i++)
        loop_clear(&server->loops[i]);
    free(server->loops);
    OPENSSL_free(server->policy_file);
    OPENSSL_free(server->chain_file);
    OPENSSL_free(server->crl_file);
    OPENSSL_free(server->url_base);
    for (size_t i = 0; i <= SCMS_PROVISION_APP; i++)
        OPENSSL_free(server->psids[i]);
    for (size_t i = 0; i < RA_ROUTES; i++)
        OPENSSL_free(server->paths[i]);
    ra_keys_free(server->keys);
    ra_directory_free(server->directory);
    ra_peers_free(server->peers);
    EVP_MD_free(server->sha256);
    SSL_CTX_free(server->tls);
    dot2_trust_free(server->trust);
    dot2_crypto_free(server->crypto);
    pthread_mutex_destroy(&server->lock);
    OPENSSL_free(server);
}
