/*
 * served.h: a server in a thread, and a client that sends what it is told over real TLS.
 */
#ifndef DOT2HSM_TESTS_RA_SERVED_H
#define DOT2HSM_TESTS_RA_SERVED_H

#include "tests/ra/lab.h"

#include <pthread.h>

#define APPLICATION "/download/application-certificate"
#define CHAIN "/download/local-certificate-chain"
#define SIZE 10000 /* octets of NAME, by served_setup() */

struct served {
    struct lab *lab;
    SSL_CTX *tls, *client;
    ra_server *server; /* NULL: a dot2hsm-ra of its own (posting_program) */
    pid_t program;
    char log_path[96]; /* the program's */
    uint16_t port;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    char log[65536]; /* the last lines */
    size_t log_size;
};

/* config may be NULL; what it leaves open is QA, 127.0.0.1, two loops. */
struct served *served_start(struct lab *lab, const struct ra_server_config *config);
/* The client's side of it. */
void served_client(struct served *served);
/* Waits until the server has ended, which must not take longer than seconds. */
void served_wait(struct served *served, unsigned seconds);
void served_stop(struct served *served); /* and frees; the lab stays */
/* With a lab of its own, where NAME is a file of the device's of size octets, the chain of ten. */
struct served *served_chained(struct ra_server_config config, size_t size);
void served_end(struct served *served); /* stops, and frees the lab too */
/* For cmocka: the server of no configuration, with NAME alone. */
int served_setup(void **state);
int served_teardown(void **state);
/* Whether a line with all of text comes within two seconds. */
bool served_logged(struct served *served, const char *text);
void assert_logged(struct served *served, const char *text);
void served_log_clear(struct served *served);
/* One more line, of the test's own. */
void served_log_add(struct served *served, const char *line);

struct client {
    int fd;
    SSL *ssl;
    bool dead; /* reading or writing failed */
};

enum ending {
    ENDING_OPEN = 0, /* nothing came and nothing ended in the time given */
    ENDING_DATA,     /* something came */
    ENDING_NOTIFY,   /* close_notify */
    ENDING_CUT       /* ended without */
};

int client_connect(struct served *served, int receive_buffer); /* TCP alone */
/* With the handshake; NULL if that failed. session may be NULL. */
struct client *client_open(struct served *served, SSL_SESSION *session);
void client_close(struct client *client);
void client_send(struct client *client, const void *octets, size_t size);
void client_say(struct client *client, const char *text);
enum ending client_ending(struct client *client, unsigned milliseconds);

struct response {
    int status; /* 0: none came */
    char head[4096];
    uint8_t *body;
    size_t size;
};

/* Reads one response; without_body for HEAD. Cleared by response_clear. */
struct response client_read(struct client *client, bool without_body);
void response_clear(struct response *response);
/* The value of a header in the response, or NULL; valid until the next call. */
const char *response_header(const struct response *response, const char *name);

/* One request on an open connection: method, path and further lines, each with its CRLF. */
struct response request_on(struct client *client, const char *method, const char *path,
                           const char *headers);
/* The same on a connection of its own. */
struct response request(struct served *served, const char *method, const char *path,
                        const char *headers);
/* A download, authenticated by a device of the lab, now. */
struct response download(struct served *served, const char *path, const struct lab_cert *device,
                         const char *filename, const char *headers);
/* "Download-Req: ...\r\n" and more lines; OPENSSL_free'd by the caller. */
char *authenticated(struct served *served, const struct lab_cert *device, const char *filename,
                    const char *headers);
void assert_pattern(const struct response *response, size_t from, size_t size);

#endif
