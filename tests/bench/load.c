/*
 * load.c: clients of a TLS server, which ask it for one thing again and again.
 *
 *   bench_load get PORT ROOT CONNECTIONS MS keep|new|resume 1.2|1.3 PATH [HEADER]
 *   bench_load post PORT ROOT CONNECTIONS PATH <BODIES
 *   bench_load idle PORT ROOT COUNT
 *
 * PORT is one of localhost, whose certificate is verified by ROOT. get: each connection asks as
 * often as it can for so many milliseconds; with new and resume each request has a connection of
 * its own. What a row says is made sure of: a connection that was to be resumed and was not, or
 * that was resumed and was not to be, is an error, as is any answer but 200. post: every body once,
 * each with 4 octets of size before it. Both print
 *   RESULT <requests> <seconds> <p50> <p99> <p99.9>         latencies in microseconds
 * idle opens COUNT connections, says "ready", and holds them until its standard input ends.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define CONNECTIONS_MAX 64
#define ANSWER_MAX 65536

enum how {
    KEEP,
    NEW,
    RESUME
};

struct body {
    const uint8_t *octets;
    size_t size;
};

static SSL_CTX *ctx;
static uint16_t port;
static enum how how = KEEP;
static char request[16384];
static struct body *bodies;
static size_t body_count;
static atomic_size_t next_body;
static double until;
static atomic_bool failed;

/* One connection after the other, or one for all. */
struct client {
    pthread_t thread;
    SSL *ssl;
    SSL_SESSION *session; /* the newest that the server gave */
    double *latencies;
    size_t count, room;
};

static void die(const char *what)
{
    if (!atomic_exchange(&failed, true)) {
        fprintf(stderr, "bench_load: %s\n", what);
        ERR_print_errors_fp(stderr);
    }
    exit(2);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- connections ---- */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct client *client = SSL_get_app_data(ssl);

    SSL_SESSION_free(client->session);
    client->session = session;
    return 1;
}

static void tls_setup(const char *root, int version)
{
    ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || SSL_CTX_load_verify_locations(ctx, root, NULL) != 1 ||
        SSL_CTX_set_min_proto_version(ctx, version == 0 ? TLS1_2_VERSION : version) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, version) != 1)
        die("TLS");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
}

static int tcp_open(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("bench_load");
        die("no connection");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void client_open(struct client *client)
{
    bool resume = how == RESUME && client->session != NULL;

    client->ssl = SSL_new(ctx);
    if (client->ssl == NULL || SSL_set_fd(client->ssl, tcp_open()) != 1 ||
        SSL_set1_host(client->ssl, "localhost") != 1 ||
        SSL_set_tlsext_host_name(client->ssl, "localhost") != 1)
        die("connection");
    SSL_set_app_data(client->ssl, client);
    if (resume && SSL_set_session(client->ssl, client->session) != 1)
        die("session");
    if (SSL_connect(client->ssl) != 1)
        die("handshake");
    if ((SSL_session_reused(client->ssl) == 1) != resume)
        die(resume ? "the session was not resumed" : "a session was resumed");
}

static void client_close(struct client *client)
{
    int fd = SSL_get_fd(client->ssl);

    SSL_shutdown(client->ssl);
    SSL_free(client->ssl);
    close(fd);
    client->ssl = NULL;
}

/* ---- requests ---- */

static void send_all(struct client *client, const void *octets, size_t size)
{
    if (SSL_write(client->ssl, octets, (int)size) != (int)size)
        die("SSL_write");
}

/* Reads an answer with Content-Length, which must be 200. */
static void read_answer(struct client *client)
{
    char answer[ANSWER_MAX];
    size_t have = 0, whole = 0;

    while (whole == 0 || have < whole) {
        int n = SSL_read(client->ssl, answer + have, (int)(sizeof answer - 1 - have));
        const char *end, *length;

        if (n <= 0)
            die("SSL_read");
        have += (size_t)n;
        answer[have] = '\0';
        if (whole != 0 || (end = strstr(answer, "\r\n\r\n")) == NULL)
            continue;
        length = strcasestr(answer, "\r\nContent-Length:");
        if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0 || length == NULL || length > end) {
            fprintf(stderr, "%.*s\n", (int)(end - answer), answer);
            die("not the answer that was expected");
        }
        whole = (size_t)(end - answer) + 4 + strtoul(length + 17, NULL, 10);
        if (whole > sizeof answer - 1)
            die("a long answer");
    }
}

/* false: there is nothing more to ask for. */
static bool ask(struct client *client)
{
    size_t which = 0;
    double begin = now();

    if (bodies != NULL && (which = atomic_fetch_add(&next_body, 1)) >= body_count)
        return false;
    if (bodies == NULL && begin >= until && client->count > 0)
        return false;
    if (client->ssl == NULL)
        client_open(client);
    if (bodies != NULL) {
        char whole[ANSWER_MAX];
        int head = snprintf(whole, sizeof whole, "%sContent-Length: %zu\r\n\r\n", request,
                            bodies[which].size);

        if ((size_t)head + bodies[which].size > sizeof whole)
            die("a long body");
        memcpy(whole + head, bodies[which].octets, bodies[which].size);
        send_all(client, whole, (size_t)head + bodies[which].size);
    } else {
        send_all(client, request, strlen(request));
    }
    read_answer(client);
    if (how != KEEP)
        client_close(client);
    if (client->count == client->room) {
        client->room = client->room * 2 + 1024;
        client->latencies = realloc(client->latencies, client->room * sizeof(double));
        if (client->latencies == NULL)
            die("memory");
    }
    client->latencies[client->count++] = now() - begin;
    return true;
}

static void *client_run(void *arg)
{
    while (ask(arg))
        ;
    return NULL;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(const double *sorted, size_t count, double part)
{
    size_t at = (size_t)((double)count * part);

    return 1e6 * sorted[at < count ? at : count - 1];
}

/* The clients' connections are there when the clock starts, unless each request is to have one. */
static void run(unsigned connections, double seconds)
{
    static struct client clients[CONNECTIONS_MAX];
    double *all, begin, took;
    size_t count = 0;

    for (unsigned i = 0; i < connections; i++) {
        client_open(&clients[i]);
        if (how == RESUME) { /* the session that the next ones resume comes with an answer */
            send_all(&clients[i], request, strlen(request));
            read_answer(&clients[i]);
        }
        if (how != KEEP)
            client_close(&clients[i]);
        if (how == RESUME && clients[i].session == NULL)
            die("the server gave no session");
    }
    begin = now();
    until = begin + seconds;
    for (unsigned i = 0; i < connections; i++)
        if (pthread_create(&clients[i].thread, NULL, client_run, &clients[i]) != 0)
            die("thread");
    for (unsigned i = 0; i < connections; i++) {
        pthread_join(clients[i].thread, NULL);
        count += clients[i].count;
    }
    took = now() - begin;
    all = malloc((count + 1) * sizeof *all);
    if (all == NULL || count == 0)
        die("no request was answered");
    count = 0;
    for (unsigned i = 0; i < connections; i++) {
        memcpy(all + count, clients[i].latencies, clients[i].count * sizeof *all);
        count += clients[i].count;
        if (clients[i].ssl != NULL)
            client_close(&clients[i]);
        SSL_SESSION_free(clients[i].session);
        free(clients[i].latencies);
    }
    qsort(all, count, sizeof *all, compare);
    printf("RESULT %zu %.6f %.1f %.1f %.1f\n", count, took, percentile(all, count, 0.5),
           percentile(all, count, 0.99), percentile(all, count, 0.999));
    free(all);
}

static void bodies_read(void)
{
    static uint8_t octets[16 * 1024 * 1024];
    size_t size = fread(octets, 1, sizeof octets, stdin);

    for (size_t at = 0; at + 4 <= size;) {
        size_t length = (size_t)octets[at] << 24 | (size_t)octets[at + 1] << 16 |
                        (size_t)octets[at + 2] << 8 | octets[at + 3];

        if (length > size - at - 4)
            die("bodies");
        bodies = realloc(bodies, (body_count + 1) * sizeof *bodies);
        if (bodies == NULL)
            die("memory");
        bodies[body_count++] = (struct body){octets + at + 4, length};
        at += 4 + length;
    }
    if (body_count == 0)
        die("no bodies");
}

static void idle(unsigned count)
{
    struct rlimit limit;
    char end;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    for (unsigned i = 0; i < count; i++) {
        struct client client = {.session = NULL};

        client_open(&client); /* and left open: the process ends with it */
        SSL_SESSION_free(client.session);
        SSL_set_app_data(client.ssl, NULL);
    }
    puts("ready");
    fflush(stdout);
    while (read(STDIN_FILENO, &end, 1) > 0)
        ;
}

static bool head_set(const char *method, const char *path, const char *more)
{
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method,
                     path, more);

    return n > 0 && (size_t)n < sizeof request;
}

int main(int argc, char **argv)
{
    const char *what = argc > 3 ? argv[1] : "";
    unsigned count = argc > 4 ? (unsigned)atoi(argv[4]) : 0;

    signal(SIGPIPE, SIG_IGN);
    if (argc > 3)
        port = (uint16_t)atoi(argv[2]);
    if (strcmp(what, "get") == 0 && (argc == 9 || argc == 10) && count > 0 &&
        count <= CONNECTIONS_MAX) {
        char more[12000];

        how = strcmp(argv[6], "keep") == 0 ? KEEP : strcmp(argv[6], "new") == 0 ? NEW : RESUME;
        snprintf(more, sizeof more, "%s%s%s\r\n", how == KEEP ? "" : "Connection: close\r\n",
                 argc == 10 ? argv[9] : "", argc == 10 ? "\r\n" : "");
        tls_setup(argv[3], strcmp(argv[7], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
        if (!head_set("GET", argv[8], more))
            die("a long header");
        run(count, atoi(argv[5]) / 1e3);
    } else if (strcmp(what, "post") == 0 && argc == 6 && count > 0 && count <= CONNECTIONS_MAX) {
        tls_setup(argv[3], 0);
        if (!head_set("POST", argv[5], "Content-Type: application/octet-stream\r\n"))
            die("a long path");
        bodies_read();
        run(count, 0);
        free(bodies);
    } else if (strcmp(what, "idle") == 0 && argc == 5 && count > 0) {
        tls_setup(argv[3], 0);
        idle(count);
    } else {
        fprintf(stderr, "usage: bench_load get|post|idle ... (see the source)\n");
        return 2;
    }
    SSL_CTX_free(ctx);
    return 0;
}
