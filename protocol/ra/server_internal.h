/*
 * server_internal.h: the parts of the server among themselves. Private to protocol/ra.
 *
 * server.c     start and stop, what may be exchanged while it runs
 * loop.c       loops and listeners
 * conn.c       one connection: admission, deadlines, its end
 * gate.c       what of a connection's octets evhttp gets to see
 * route.c      which path is which service
 * answer.c     one request: route, decision, refusal
 * send_file.c  an open file as an answer: conditions, range, octets
 * post.c       what is answered to a POST
 * files.c      opening files and their validators
 * peers.c      how many connections an address has
 * metrics.c    what is counted, and how it is told
 *
 * A connection lives in one loop and is touched by its thread only; what loops share is in struct
 * ra_server, behind its lock or atomic.
 */
#ifndef DOT2HSM_PROTOCOL_RA_SERVER_INTERNAL_H
#define DOT2HSM_PROTOCOL_RA_SERVER_INTERNAL_H

#include "protocol/ra/http_head.h"
#include "protocol/ra/log.h"
#include "protocol/ra/ra.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <syslog.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>

/* ---- peers.c ------------------------------------------------------------------------------- */

typedef struct ra_peers ra_peers;
ra_peers *ra_peers_new(void);
void ra_peers_free(ra_peers *peers);
/* One more connection of an address. 0, EUSERS if it has max already, ENOMEM. */
int ra_peers_enter(ra_peers *peers, const struct in6_addr *address, unsigned max);
void ra_peers_leave(ra_peers *peers, const struct in6_addr *address);

/* ---- files.c ------------------------------------------------------------------------------- */

#define RA_ETAG_SIZE 48 /* quotes, 32 hexadecimal digits, NUL */

struct ra_file {
    int fd; /* -1 if not open */
    struct stat st;
};

/* A regular file, never through a symbolic link as its last component. 0 or an errno. */
int ra_file_open(int dir_fd, const char *path, struct ra_file *file);
/* Of these errors: the file may well be there, but we have no descriptors, memory or disk. */
bool ra_file_cannot_look(int error);
/* By a name in canonical case (upper-case hexadecimal, lower-case extension), in whatever case the
 * directory has it. */
typedef struct ra_directory ra_directory;
ra_directory *ra_directory_new(const char *path, char *text, size_t text_size);
void ra_directory_free(ra_directory *directory);
int ra_directory_open(ra_directory *directory, const char *name, struct ra_file *file);
void ra_file_close(struct ra_file *file);
/* Whether the file is still what it was when it was opened. */
bool ra_file_unchanged(const struct ra_file *file);

/* The validator: SHA-256 over the content, in slices so that a large file does not stop a loop. */
typedef struct ra_etags ra_etags;
ra_etags *ra_etags_new(EVP_MD *sha256);
void ra_etags_free(ra_etags *etags);
struct ra_etag_job {
    EVP_MD_CTX *ctx;
    off_t offset;
};
enum ra_etag_state {
    RA_ETAG_READY,
    RA_ETAG_MORE,   /* call again */
    RA_ETAG_FAILED, /* the file could not be read, or changed meanwhile */
    RA_ETAG_MEMORY
};
enum ra_etag_state ra_etag_step(ra_etags *etags, const struct ra_file *file,
                                struct ra_etag_job *job, char etag[RA_ETAG_SIZE]);
void ra_etag_job_clear(struct ra_etag_job *job);

/* ---- metrics.c ----------------------------------------------------------------------------- */

#define RA_TIME_BOUNDS 14
#define RA_RESULTS 64 /* room for what a request can come to, and for how a connection can end */

struct ra_histogram {
    _Atomic uint64_t slots[RA_TIME_BOUNDS + 1]; /* each in the first bound it is within; the last:
                                                   in none */
    _Atomic uint64_t microseconds;
};

/* Of one loop, whose thread alone writes it: no addition waits for another processor. */
struct ra_metrics {
    _Atomic uint64_t requests[RA_ROUTES][RA_RESULTS], ended[RA_RESULTS];
    struct ra_histogram decisions[RA_ROUTES]; /* how long a request held the loop */
    struct ra_histogram answers[RA_ROUTES];   /* from its last octet to the answer's */
    _Atomic uint64_t connections, handshakes, resumptions, accept_errors, octets;
    _Atomic int64_t busy_since; /* monotonic, microseconds; 0: no request is being decided */
};

int64_t ra_metrics_now(void); /* monotonic, microseconds */
/* What a request came to: "served", "aborted", or the reason of a refusal as it is logged. */
void ra_metrics_request(struct ra_metrics *metrics, enum ra_route route, const char *result);
/* A connection that ended without an answer, by the reason that is logged. */
void ra_metrics_ended(struct ra_metrics *metrics, const char *reason);
void ra_metrics_time(struct ra_histogram *histogram, int64_t microseconds);
void ra_metrics_add(_Atomic uint64_t *counter, uint64_t more);

/* ---- server.c ------------------------------------------------------------------------------ */

struct ra_conn;
LIST_HEAD(ra_conns, ra_conn);

struct ra_loop {
    struct ra_server *server;
    unsigned number;
    pthread_t thread;
    bool started;
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct evconnlistener *listener;
    struct event *wake, *grace, *accept_again;
    int wake_fd;
    atomic_int listen_fd; /* -1 once it accepts no more */
    int64_t accept_said;  /* when the log last told of an accept that failed; 0: never */
    bool stopping;
    uint64_t serial; /* of connections */
    ra_etags *etags;
    struct ra_conns conns;
    struct ra_metrics metrics;
};

struct ra_server {
    struct ra_server_config config; /* strings are NULL here; see below */
    dot2_crypto *crypto;
    ra_store *store;
    EVP_MD *sha256;
    ra_directory *directory;
    ra_peers *peers;
    atomic_uint connections;
    _Atomic uint32_t max_request_age, max_supply; /* of the policy file; 0 = none */
    int ssl_index;                                /* of the connection in an SSL */

    pthread_mutex_t lock;                  /* for what follows, up to url_base */
    struct dot2_cache_counts cache_before; /* of the trusts that were replaced */
    SSL_CTX *tls;
    dot2_trust *trust;
    char *policy_file, *chain_file; /* NULL = not served */
    ra_keys *keys;                  /* NULL = no POST, no Secured form */
    char *url_base;                 /* NULL = from the newest certificate */

    char *paths[RA_ROUTES]; /* NULL = no such service */
    char *crl_file;
    uint64_t *psids[SCMS_PROVISION_APP + 1];

    struct ra_loop *loops;
    uint16_t port;
};

void ra_server_log(const struct ra_server *server, int priority, const struct ra_line *line);

/* ---- loop.c -------------------------------------------------------------------------------- */

/* Finds the port and opens every loop on it; false, and why in text, if that fails. */
bool ra_loops_open(ra_server *server, const char *address, uint16_t port, char *text,
                   size_t text_size);
/* The body of a loop's thread. */
void *ra_loop_run(void *loop);
/* Frees what a loop has, whether it was opened or not. */
void ra_loop_clear(struct ra_loop *loop);
/* The last connection of a loop that is to stop has gone. */
void ra_loop_ended(struct ra_loop *loop);

/* ---- conn.c -------------------------------------------------------------------------------- */

/* What is wrong with a request before anybody looks at who sent it. */
enum ra_early {
    RA_EARLY_NONE = 0,
    RA_EARLY_URL,
    RA_EARLY_METHOD,
    RA_EARLY_TOO_LARGE,
    RA_EARLY_EMPTY,
    RA_EARLY_TYPE
};

enum ra_conn_state {
    RA_CONN_HEAD = 0, /* the head of a request is awaited or incomplete */
    RA_CONN_BODY,     /* its body is; that of a POST is kept, any other dropped */
    RA_CONN_BUSY,     /* evhttp has the request */
    RA_CONN_DEAD      /* nothing more is read */
};

enum ra_wait { /* what the deadline of a connection is for */
    RA_WAIT_HEAD = 0,
    RA_WAIT_BODY,
    RA_WAIT_IDLE,
    RA_WAIT_WRITE
};

struct ra_answer {                  /* one request, from evhttp's call to the last octet */
    struct evhttp_request *request; /* NULL = none */
    struct ra_file file;
    struct ra_etag_job job;
    struct event *slice; /* goes on with the validator */
    char etag[300];
    bool by_name; /* the validator is the file's name */
    char name[256];
    int status;
    uint64_t first, left, total; /* octets of the file */
    uint64_t sent;
    bool part;
    const char *refused; /* the reason, if it is a refusal */
    uint8_t hashedid8[8];
    bool has_hashedid8;
    char request_hash[17]; /* of an accepted provisioning request */
};

struct ra_conn {
    LIST_ENTRY(ra_conn) entry;
    struct ra_loop *loop;
    struct bufferevent *bev;
    SSL *ssl;
    struct event *admit, *deadline;
    enum ra_wait wait;
    enum ra_conn_state state;
    uint64_t number, requests;
    int64_t arrived; /* when the request that is being answered had come to its end */
    bool shaken;     /* the handshake is over */
    char peer[72];   /* [address]:port */
    struct in6_addr address;
    bool counted; /* in peers */
    bool passing; /* octets are on their way to evhttp */
    bool closing; /* the answer on its way is the last */
    char tls_error[96];

    struct evbuffer *held;    /* received, not yet let through */
    struct evbuffer *cleared; /* a head that was let through, until its body is read */
    struct evbuffer *body;    /* of a POST */
    bool keep_body, expects;  /* expects: 100 Continue before it sends the body */
    size_t searched;
    uint64_t body_left;
    enum ra_route route;
    enum ra_early early;
    uint64_t written, written_mark; /* octets that left for the peer */

    struct ra_answer answer;
};

/* For evhttp: makes the bufferevent of a connection that was just accepted. */
struct bufferevent *ra_conn_accept(struct event_base *base, void *loop);
/* For SSL_get_ex_new_index: frees the connection with its SSL. */
void ra_conn_ssl_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                      void *argp);
struct ra_conn *ra_conn_of(const struct ra_server *server, struct evhttp_request *request);
/* Ends a connection at once, without an answer; reason and detail go to the log. */
void ra_conn_kill(struct ra_conn *conn, int priority, const char *reason, const char *detail);
void ra_conn_wait(struct ra_conn *conn, enum ra_wait wait);
/* ---- gate.c */
/* Callbacks of the connection's buffers: what was received, what has left. */
void ra_gate_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *conn);
void ra_gate_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *conn);
/* Lets the next request through as far as it has come. */
void ra_gate_pump(struct ra_conn *conn);

/* The answer has left: the next request may come, unless this was the last. */
void ra_conn_answered(struct ra_conn *conn);
/* evhttp is about to free its connection. */
void ra_conn_closed(struct evhttp_connection *evcon, void *conn);
/* The first pairs of a line about a connection: event, reason, peer, request. */
void ra_conn_line(const struct ra_conn *conn, struct ra_line *line, const char *event,
                  const char *reason);

/* ---- route.c ------------------------------------------------------------------------------- */

bool ra_routes_init(struct ra_server *server, const struct ra_server_config *config, char *text,
                    size_t text_size);
enum ra_route ra_route_find(const struct ra_server *server, const char *target, size_t size);
bool ra_route_is_post(enum ra_route route);
const char *ra_route_service(enum ra_route route); /* for the log */
/* certDLURL for a kind of request; false if it has no room, or the certificate no name. */
bool ra_url(const struct ra_server *server, const ra_keys *keys, uint32_t now,
            enum scms_provision kind, char url[256]);
bool ra_urls_valid(const struct ra_server *server, const ra_keys *keys, uint32_t now, char *text,
                   size_t text_size);

/* ---- answer.c ------------------------------------------------------------------------------ */

/* Headers of the answer; without memory, the connection ends. */
void ra_header_add(struct ra_conn *conn, const char *name, const char *value);
void ra_header_add_number(struct ra_conn *conn, const char *name, uint64_t value);
/* When all of them are there: whether the answer can be sent. */
bool ra_head_begin(struct ra_conn *conn);

/* A refusal: 500, or qa_status in stage QA, with the published code; the connection ends. */
void ra_refuse(struct ra_conn *conn, const char *reason, int code, int qa_status,
               const char *detail);
void ra_refuse_decision(struct ra_conn *conn, const struct ra_decision *decision);
/* Everything that a decision depends on; in->trust is freed and in->keys released by _clear. */
bool ra_authorise_fill(struct ra_conn *conn, struct ra_authorise *in, struct ra_decision *decision);
void ra_authorise_clear(struct ra_authorise *in);
/* evhttp's callback for every request. */
void ra_answer_request(struct evhttp_request *request, void *loop);
/* Frees what an answer holds; request has been or will be freed by evhttp unless it is orphaned. */
void ra_answer_abort(struct ra_conn *conn);

/* ---- send_file.c --------------------------------------------------------------------------- */

/* Answers with conn->answer.file, which is open, once its validator is made. */
void ra_file_send(struct ra_conn *conn);
/* The same where conn->answer.etag is known already. */
void ra_file_send_now(struct ra_conn *conn);

/* ---- post.c -------------------------------------------------------------------------------- */

void ra_answer_post(struct ra_conn *conn);

#endif
