#include "tests/ra/served.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

void served_log_add(struct served *served, const char *line)
{
    size_t size = strlen(line);

    pthread_mutex_lock(&served->lock);
    if (served->log_size + size + 2 > sizeof served->log)
        served->log_size = 0;
    memcpy(served->log + served->log_size, line, size);
    memcpy(served->log + served->log_size + size, "\n", 2);
    served->log_size += size + 1;
    pthread_mutex_unlock(&served->lock);
}

static void on_log(void *arg, int priority, const char *line)
{
    (void)priority;
    served_log_add(arg, line);
}

static void *run(void *arg)
{
    struct served *served = arg;

    ra_server_run(served->server);
    return NULL;
}

void served_client(struct served *served)
{
    served->client = SSL_CTX_new_ex(served->lab->libctx, NULL, TLS_client_method());
    assert_non_null(served->client);
    SSL_CTX_set_session_cache_mode(served->client, SSL_SESS_CACHE_CLIENT);
}

struct served *served_start(struct lab *lab, const struct ra_server_config *config)
{
    struct ra_server_config whole = {.stage = RA_STAGE_QA, .tolerance = UINT32_MAX};
    struct served *served = calloc(1, sizeof *served);
    char text[400] = "";

    assert_non_null(served);
    if (config != NULL)
        whole = *config;
    if (whole.address == NULL)
        whole.address = "127.0.0.1";
    if (whole.download_dir == NULL)
        whole.download_dir = lab->downloads;
    if (whole.threads == 0)
        whole.threads = 2;
    whole.log = on_log;
    whole.log_arg = served;
    served->lab = lab;
    pthread_mutex_init(&served->lock, NULL);
    served->tls = ra_tls_new(lab->libctx, lab->tls_path, lab->tls_key, text, sizeof text);
    if (served->tls == NULL)
        fail_msg("%s", text);
    served->server =
        ra_server_new(&whole, lab->crypto, served->tls, lab->trust, lab->store, text, sizeof text);
    if (served->server == NULL)
        fail_msg("%s", text);
    served->port = ra_server_port(served->server);
    served_client(served);
    assert_int_equal(pthread_create(&served->thread, NULL, run, served), 0);
    served->running = true;
    return served;
}

void served_wait(struct served *served, unsigned seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    assert_int_equal(pthread_timedjoin_np(served->thread, NULL, &until), 0);
    served->running = false;
}

void served_stop(struct served *served)
{
    if (served->running) {
        ra_server_stop(served->server);
        served_wait(served, 40);
    }
    ra_server_free(served->server);
    SSL_CTX_free(served->tls);
    SSL_CTX_free(served->client);
    pthread_mutex_destroy(&served->lock);
    free(served);
}

struct served *served_chained(struct ra_server_config config, size_t size)
{
    struct lab *lab = lab_new();
    char chain[200];

    lab_file(lab, NAME, &lab->device, size);
    lab_file(lab, "chain.oer", NULL, 10);
    snprintf(chain, sizeof chain, "%s/chain.oer", lab->downloads);
    config.chain_file = chain;
    return served_start(lab, &config);
}

void served_end(struct served *served)
{
    struct lab *lab = served->lab;

    served_stop(served);
    lab_free(lab);
}

int served_setup(void **state)
{
    struct lab *lab = lab_new();

    lab_file(lab, NAME, &lab->device, SIZE);
    *state = served_start(lab, NULL);
    return 0;
}

int served_teardown(void **state)
{
    served_end(*state);
    return 0;
}

static bool has_line(struct served *served, const char *text)
{
    bool found;

    pthread_mutex_lock(&served->lock);
    found = served->log_size > 0 && strstr(served->log, text) != NULL;
    pthread_mutex_unlock(&served->lock);
    return found;
}

bool served_logged(struct served *served, const char *text)
{
    /* Ten seconds at the most: a loaded machine is late, and a line that is there is found at once.
     */
    for (int i = 0; i < 1000; i++) {
        struct timespec pause = {.tv_nsec = 10000000};

        if (has_line(served, text))
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

void assert_logged(struct served *served, const char *text)
{
    if (!served_logged(served, text))
        fail_msg("\"%s\" is not in the log:\n%s", text, served->log);
}

void served_log_clear(struct served *served)
{
    pthread_mutex_lock(&served->lock);
    served->log_size = 0;
    served->log[0] = '\0';
    pthread_mutex_unlock(&served->lock);
}

/* ---- client ---- */

int client_connect(struct served *served, int receive_buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(served->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval timeout = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    assert_true(fd >= 0);
    if (receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

struct client *client_open(struct served *served, SSL_SESSION *session)
{
    struct client *client = calloc(1, sizeof *client);

    assert_non_null(client);
    client->fd = client_connect(served, 0);
    if (client->fd < 0) {
        free(client);
        return NULL;
    }
    client->ssl = SSL_new(served->client);
    assert_non_null(client->ssl);
    SSL_set_fd(client->ssl, client->fd);
    if (session != NULL)
        SSL_set_session(client->ssl, session);
    if (SSL_connect(client->ssl) != 1) {
        ERR_clear_error();
        client_close(client);
        return NULL;
    }
    return client;
}

void client_close(struct client *client)
{
    if (client == NULL)
        return;
    if (!client->dead && SSL_is_init_finished(client->ssl))
        SSL_shutdown(client->ssl);
    ERR_clear_error();
    SSL_free(client->ssl);
    close(client->fd);
    free(client);
}

void client_send(struct client *client, const void *octets, size_t size)
{
    /* A server that has closed already is what some tests are about. */
    if (size > 0 && SSL_write(client->ssl, octets, (int)size) <= 0) {
        client->dead = true;
        ERR_clear_error();
    }
}

void client_say(struct client *client, const char *text)
{
    client_send(client, text, strlen(text));
}

static bool readable(struct client *client, unsigned milliseconds)
{
    struct pollfd entry = {.fd = client->fd, .events = POLLIN};

    return SSL_pending(client->ssl) > 0 || poll(&entry, 1, (int)milliseconds) > 0;
}

enum ending client_ending(struct client *client, unsigned milliseconds)
{
    struct timespec now, until;
    char octet;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    for (;;) {
        int n, error;
        long left;

        clock_gettime(CLOCK_MONOTONIC, &now);
        left = (until.tv_sec - now.tv_sec) * 1000 + (until.tv_nsec - now.tv_nsec) / 1000000 +
               (long)(milliseconds % 1000);
        if (left < 0 || !readable(client, (unsigned)left))
            return ENDING_OPEN;
        /* Readable may mean a session ticket, which is no data. */
        {
            struct timeval soon = {.tv_usec = 100000};

            setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
        }
        n = SSL_read(client->ssl, &octet, 1);
        error = SSL_get_error(client->ssl, n);
        ERR_clear_error();
        if (n > 0)
            return ENDING_DATA;
        if (error == SSL_ERROR_WANT_READ)
            continue;
        client->dead = error != SSL_ERROR_ZERO_RETURN;
        return error == SSL_ERROR_ZERO_RETURN ? ENDING_NOTIFY : ENDING_CUT;
    }
}

static int read_some(struct client *client, void *octets, size_t size)
{
    int n = SSL_read(client->ssl, octets, (int)size);

    if (n <= 0) {
        client->dead = SSL_get_error(client->ssl, n) != SSL_ERROR_ZERO_RETURN;
        ERR_clear_error();
    }
    return n;
}

struct response client_read(struct client *client, bool without_body)
{
    struct response response = {0};
    const char *length;
    size_t size = 0, want;

    /* Octet by octet: what follows belongs to the next response. */
    while (size + 1 < sizeof response.head) {
        if (read_some(client, response.head + size, 1) != 1)
            return response;
        response.head[++size] = '\0';
        if (size >= 4 && memcmp(response.head + size - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    if (sscanf(response.head, "HTTP/1.%*1[01] %d ", &response.status) != 1)
        fail_msg("not a status line: %s", response.head);
    length = response_header(&response, "Content-Length");
    if (without_body || response.status == 304 || length == NULL)
        return response;
    want = strtoul(length, NULL, 10);
    response.body = malloc(want + 1);
    assert_non_null(response.body);
    while (response.size < want) {
        int n = read_some(client, response.body + response.size, want - response.size);

        if (n <= 0)
            break;
        response.size += (size_t)n;
    }
    return response;
}

void response_clear(struct response *response)
{
    free(response->body);
    memset(response, 0, sizeof *response);
}

const char *response_header(const struct response *response, const char *name)
{
    static _Thread_local char value[1024];
    size_t size = strlen(name);

    for (const char *line = strstr(response->head, "\r\n"); line != NULL;
         line = strstr(line + 2, "\r\n")) {
        const char *at = line + 2;

        if (strncasecmp(at, name, size) == 0 && at[size] == ':') {
            at += size + 1;
            at += strspn(at, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
            return value;
        }
    }
    return NULL;
}

struct response request_on(struct client *client, const char *method, const char *path,
                           const char *headers)
{
    size_t size = strlen(path) + strlen(headers) + 200;
    char *text = malloc(size);
    struct response response;

    assert_non_null(text);
    snprintf(text, size, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method, path, headers);
    client_say(client, text);
    free(text);
    response = client_read(client, strcmp(method, "HEAD") == 0);
    return response;
}

struct response request(struct served *served, const char *method, const char *path,
                        const char *headers)
{
    struct client *client = client_open(served, NULL);
    struct response response;

    assert_non_null(client);
    response = request_on(client, method, path, headers);
    client_close(client);
    return response;
}

char *authenticated(struct served *served, const struct lab_cert *device, const char *filename,
                    const char *headers)
{
    uint32_t now;
    char *value, *text;
    size_t size;

    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    value = lab_request(served->lab, device, now, filename);
    size = strlen(value) + strlen(headers) + 32;
    text = OPENSSL_malloc(size);
    assert_non_null(text);
    snprintf(text, size, "Download-Req: %s\r\n%s", value, headers);
    OPENSSL_free(value);
    return text;
}

struct response download(struct served *served, const char *path, const struct lab_cert *device,
                         const char *filename, const char *headers)
{
    char *text = authenticated(served, device, filename, headers);
    struct response response = request(served, "GET", path, text);

    OPENSSL_free(text);
    return response;
}

void assert_pattern(const struct response *response, size_t from, size_t size)
{
    assert_int_equal(response->size, size);
    for (size_t i = 0; i < size; i++)
        if (response->body[i] != lab_octet(from + i))
            fail_msg("octet %zu is not that of the file", from + i);
}
