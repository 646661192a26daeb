#include "tests/ee/https_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define ASKED_MAX 64

struct https_server {
    pthread_t thread;
    pthread_mutex_t lock;
    int listener, stop[2];
    unsigned port;
    SSL_CTX *tls;
    struct answer answers[16];
    size_t answer_count, answer_next;
    struct asked asked[ASKED_MAX];
    size_t asked_count;
    unsigned connections, handshakes;
};

/* false: the server is told to stop, or the peer is gone. */
static bool wait_readable(struct https_server *s, int fd)
{
    struct pollfd fds[2] = {{fd, POLLIN, 0}, {s->stop[0], POLLIN, 0}};

    while (poll(fds, 2, -1) < 0) {
        if (errno != EINTR)
            return false;
    }
    return fds[1].revents == 0;
}

static void sleep_ms(unsigned ms)
{
    struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    nanosleep(&time, NULL);
}

static void hang(struct https_server *s, SSL *ssl)
{
    char octet;

    while (wait_readable(s, SSL_get_fd(ssl)) && SSL_read(ssl, &octet, 1) > 0)
        continue;
}

static void reset(SSL *ssl)
{
    struct linger linger = {1, 0};

    setsockopt(SSL_get_fd(ssl), SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void copy_header(const char *all, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    const char *line, *end;

    value[0] = '\0';
    for (line = strstr(all, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        line += length + 1 + strspn(line + length + 1, " ");
        end = strstr(line, "\r\n");
        if (end != NULL)
            snprintf(value, size, "%.*s", (int)(end - line), line);
        return;
    }
}

/* The body of a request, if its head announces one that fits. */
static bool read_body(SSL *ssl, struct asked *asked)
{
    char length[32];
    size_t wanted;
    int got;

    copy_header(asked->all, "Content-Length", length, sizeof(length));
    copy_header(asked->all, "Content-Type", asked->content_type, sizeof(asked->content_type));
    wanted = (size_t)strtoul(length, NULL, 10);
    while (asked->body_size < wanted && asked->body_size < sizeof(asked->body)) {
        got = SSL_read(ssl, asked->body + asked->body_size,
                       (int)(sizeof(asked->body) - asked->body_size));
        if (got <= 0)
            return false;
        asked->body_size += (size_t)got;
    }
    return asked->body_size == wanted;
}

/* The head of a request; false at the end of the connection. */
static bool read_head(struct https_server *s, SSL *ssl, struct asked *asked)
{
    size_t used = 0;
    int got;

    memset(asked, 0, sizeof(*asked));
    while (used + 1 < sizeof(asked->all)) {
        if (SSL_pending(ssl) == 0 && !wait_readable(s, SSL_get_fd(ssl)))
            return false;
        got = SSL_read(ssl, asked->all + used, 1);
        if (got <= 0)
            return false;
        used++;
        if (used >= 4 && memcmp(asked->all + used - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    snprintf(asked->line, sizeof(asked->line), "%.*s", (int)strcspn(asked->all, "\r"), asked->all);
    copy_header(asked->all, "Host", asked->host, sizeof(asked->host));
    copy_header(asked->all, "Range", asked->range, sizeof(asked->range));
    copy_header(asked->all, "If-Range", asked->if_range, sizeof(asked->if_range));
    copy_header(asked->all, "If-None-Match", asked->if_none_match, sizeof(asked->if_none_match));
    copy_header(asked->all, "Download-Req", asked->download_req, sizeof(asked->download_req));
    return read_body(ssl, asked);
}

static bool put(SSL *ssl, const void *octets, size_t size)
{
    return size == 0 || SSL_write(ssl, octets, (int)size) == (int)size;
}

/* The body, in pieces; false: the connection is to be closed. */
static bool put_body(struct https_server *s, SSL *ssl, const struct answer *a, size_t start)
{
    size_t sent = 0, piece, left = a->size - start;
    char line[32];

    while (left > 0) {
        piece = left < 16384 ? left : 16384;
        if (a->cut_after != 0 && piece > a->cut_after - sent)
            piece = a->cut_after - sent;
        if (a->hang_after != 0 && piece > a->hang_after - sent)
            piece = a->hang_after - sent;
        if (a->chunked) {
            snprintf(line, sizeof(line), "%zx\r\n", piece);
            if (!put(ssl, line, strlen(line)))
                return false;
        }
        if (!put(ssl, a->file + start, piece) || (a->chunked && !put(ssl, "\r\n", 2)))
            return false;
        start += piece;
        sent += piece;
        left -= piece;
        if (a->cut_after != 0 && sent == a->cut_after) {
            /* Reset only when the peer has what was sent: a reset may overtake octets. */
            sleep_ms(150);
            reset(ssl);
            return false;
        }
        if (a->hang_after != 0 && sent == a->hang_after) {
            hang(s, ssl);
            return false;
        }
        if (a->chunk_delay_ms != 0)
            sleep_ms(a->chunk_delay_ms);
    }
    return !a->chunked || put(ssl, "0\r\n\r\n", 5);
}

static bool put_file(struct https_server *s, SSL *ssl, const struct answer *a,
                     const struct asked *asked)
{
    char head[2048], length[96] = "";
    unsigned long long start = 0;
    bool range =
        !a->ignore_range && sscanf(asked->range, "bytes=%llu-", &start) == 1 &&
        (asked->if_range[0] == '\0' || (a->etag != NULL && strcmp(asked->if_range, a->etag) == 0));
    const char *etag = range && a->range_etag != NULL ? a->range_etag : a->etag;
    int used;

    if (range && start >= a->size) {
        used = snprintf(head, sizeof(head),
                        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */%zu\r\n"
                        "%s%s%sContent-Length: 0\r\n\r\n",
                        a->size, etag != NULL ? "ETag: " : "", etag != NULL ? etag : "",
                        etag != NULL ? "\r\n" : "");
        return put(ssl, head, (size_t)used);
    }
    if (!range)
        start = 0;
    if (a->chunked)
        snprintf(length, sizeof(length), "Transfer-Encoding: chunked\r\n");
    else if (!a->no_length)
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", a->size - (size_t)start);
    used = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%s%s%s%s%s", range ? "206 Part" : "200 OK",
                    length, etag != NULL ? "ETag: " : "", etag != NULL ? etag : "",
                    etag != NULL ? "\r\n" : "", a->headers != NULL ? a->headers : "");
    if (range)
        used += snprintf(head + used, sizeof(head) - (size_t)used,
                         "Content-Range: bytes %lld-%lld/%lld\r\n",
                         (long long)start + (long long)a->range_start_off,
                         (long long)a->size + (long long)a->range_total_off - 1,
                         (long long)a->size + (long long)a->range_total_off);
    used += snprintf(head + used, sizeof(head) - (size_t)used, "\r\n");
    return put(ssl, head, (size_t)used) && put_body(s, ssl, a, (size_t)start);
}

/* false: close. */
static bool answer_request(struct https_server *s, SSL *ssl, const struct answer *a,
                           const struct asked *asked)
{
    if (a->delay_ms != 0)
        sleep_ms(a->delay_ms);
    if (a->hang)
        hang(s, ssl);
    if (a->reset)
        reset(ssl);
    if (a->hang || a->close || a->reset)
        return false;
    if (a->raw != NULL)
        return put(ssl, a->raw, strlen(a->raw)) && !a->close_after;
    return put_file(s, ssl, a, asked) && !a->close_after && !a->no_length;
}

static void serve(struct https_server *s, int fd)
{
    SSL *ssl = SSL_new(s->tls);
    struct asked asked;
    struct answer answer;
    unsigned connection;
    bool go_on = ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1;

    pthread_mutex_lock(&s->lock);
    connection = s->connections;
    if (go_on)
        s->handshakes++;
    pthread_mutex_unlock(&s->lock);
    while (go_on && read_head(s, ssl, &asked)) {
        asked.connection = connection;
        pthread_mutex_lock(&s->lock);
        if (s->asked_count < ASKED_MAX)
            s->asked[s->asked_count++] = asked;
        answer = s->answers[s->answer_next];
        if (s->answer_next + 1 < s->answer_count)
            s->answer_next++;
        pthread_mutex_unlock(&s->lock);
        go_on = answer_request(s, ssl, &answer, &asked);
    }
    if (ssl != NULL && !SSL_in_init(ssl))
        SSL_shutdown(ssl);
    SSL_free(ssl);
    ERR_clear_error();
    close(fd);
}

static void *run(void *arg)
{
    struct https_server *s = arg;
    int fd;

    while (wait_readable(s, s->listener)) {
        fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            continue;
        pthread_mutex_lock(&s->lock);
        s->connections++;
        pthread_mutex_unlock(&s->lock);
        serve(s, fd);
    }
    return NULL;
}

static void clear(struct https_server *s)
{
    close(s->listener);
    close(s->stop[0]);
    close(s->stop[1]);
    SSL_CTX_free(s->tls);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct https_server *start(const struct lab_pair *pair, const char *tls12_ciphers,
                                  struct sockaddr_in address)
{
    struct https_server *s = calloc(1, sizeof(*s));
    socklen_t size = sizeof(address);
    int on = 1;

    if (s == NULL || pthread_mutex_init(&s->lock, NULL) != 0 || pipe(s->stop) != 0)
        abort();
    s->tls = SSL_CTX_new(TLS_server_method());
    if (s->tls == NULL || SSL_CTX_use_certificate(s->tls, pair->certificate) != 1 ||
        SSL_CTX_use_PrivateKey(s->tls, pair->key) != 1)
        abort();
    if (tls12_ciphers != NULL && (SSL_CTX_set_max_proto_version(s->tls, TLS1_2_VERSION) != 1 ||
                                  SSL_CTX_set_cipher_list(s->tls, tls12_ciphers) != 1))
        abort();
    s->answer_count = 1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        abort();
    if (bind(s->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(s->listener, 16) != 0) {
        clear(s);
        return NULL;
    }
    if (getsockname(s->listener, (struct sockaddr *)&address, &size) != 0)
        abort();
    s->port = ntohs(address.sin_port);
    if (pthread_create(&s->thread, NULL, run, s) != 0)
        abort();
    return s;
}

struct https_server *https_server_start(const struct lab_pair *pair, const char *tls12_ciphers)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct https_server *s = NULL;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s = start(pair, tls12_ciphers, address);
    if (s == NULL)
        abort();
    return s;
}

struct https_server *https_server_start_at(const struct lab_pair *pair, const char *address,
                                           unsigned port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        abort();
    return start(pair, NULL, at);
}

SSL_CTX *https_server_tls(const struct https_server *s)
{
    return s->tls;
}

unsigned https_server_port(const struct https_server *s)
{
    return s->port;
}

void https_server_plan(struct https_server *s, const struct answer *answers, size_t count)
{
    if (count == 0 || count > sizeof(s->answers) / sizeof(s->answers[0]))
        abort();
    pthread_mutex_lock(&s->lock);
    memcpy(s->answers, answers, count * sizeof(*answers));
    s->answer_count = count;
    s->answer_next = 0;
    s->asked_count = 0;
    s->connections = s->handshakes = 0;
    pthread_mutex_unlock(&s->lock);
}

size_t https_server_asked(struct https_server *s)
{
    size_t count;

    pthread_mutex_lock(&s->lock);
    count = s->asked_count;
    pthread_mutex_unlock(&s->lock);
    return count;
}

const struct asked *https_server_request(struct https_server *s, size_t index)
{
    return &s->asked[index];
}

unsigned https_server_connections(struct https_server *s)
{
    unsigned count;

    pthread_mutex_lock(&s->lock);
    count = s->connections;
    pthread_mutex_unlock(&s->lock);
    return count;
}

unsigned https_server_handshakes(struct https_server *s)
{
    unsigned count;

    pthread_mutex_lock(&s->lock);
    count = s->handshakes;
    pthread_mutex_unlock(&s->lock);
    return count;
}

void https_server_stop(struct https_server *s)
{
    if (write(s->stop[1], "x", 1) != 1)
        abort();
    pthread_join(s->thread, NULL);
    clear(s);
}
