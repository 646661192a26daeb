/*
 * ra_app.h: the parts of dot2hsm-ra among themselves.
 *
 * config.c  the file, sections [ra] and [ra-key NAME]; config_value.c: one value of it
 * setup.c   what is made from it: TLS, trust, keys
 * crls.c    the CRLs, read anew when their files change
 * policy.c  limits that the policy file sets
 * log.c     where lines go
 * log_json.c  lines as JSON
 * metrics.c figures for an operator's monitoring; metrics_port.c: the connections of those who ask
 * user.c    the user that root becomes
 * notify.c  what systemd is told
 * main.c    start, signals, end
 */
#ifndef DOT2HSM_APPS_RA_RA_APP_H
#define DOT2HSM_APPS_RA_RA_APP_H

#include "apps/app.h"
#include "protocol/dot2/crl.h"
#include "protocol/ra/ra.h"

#include <sys/stat.h>

#include <openssl/ssl.h>

#define RA_APP_KEYS 16

/* A section [ra-key NAME]. */
struct ra_app_key {
    const char *section;
    const char *certificate, *sign, *decrypt; /* sign may be NULL */
};

struct ra_app_config {
    CONF *conf; /* owns every string below */
    const char *tls_certificate, *tls_key;
    const char *ocsp_file;              /* NULL: nothing is stapled */
    const char *anchors, *certificates; /* lists of files and directories */
    const char *crl_files;              /* a list of files; NULL: none */
    enum dot2_ballots ballots;          /* in them */
    const char *store, *log, *port_file, *pid_file;
    bool log_json;
    bool metrics; /* are served */
    const char *metrics_address, *metrics_port_file;
    uint16_t metrics_port;
    const char *user; /* NULL: who started the program stays */
    struct ra_server_config server;
    bool policy_limits;          /* of server.policy_file, which is not NULL then */
    struct ra_server_config crl; /* crl.crl_file NULL: no such service */
    const char *crl_port_file;
    struct ra_app_key keys[RA_APP_KEYS];
    size_t key_count;
    uint64_t *psids[SCMS_PROVISION_APP + 1];
};

/* Reads and checks the file; an enum app_exit, with the reason on stderr. */
int ra_app_config_load(const char *path, struct ra_app_config *config);
void ra_app_config_clear(struct ra_app_config *config);

/* ---- config_value.c: values of the file; each says what is wrong, and sets failed ---- */

struct ra_app_reader {
    const char *path;
    const CONF *conf;
    const char *section;
    bool failed;
};
const char *ra_app_get(struct ra_app_reader *reader, const char *key);
const char *ra_app_require(struct ra_app_reader *reader, const char *key);
/* A decimal number from min to max; otherwise is what holds without the key. */
unsigned long ra_app_number(struct ra_app_reader *reader, const char *key, unsigned long min,
                            unsigned long max, unsigned long otherwise);
/* 0 for the first, which holds without the key, 1 for the second. */
int ra_app_one_of(struct ra_app_reader *reader, const char *key, const char *first,
                  const char *second);
/* A list of numbers, decimal or 0x..., separated by commas; OPENSSL_free'd by the caller. */
uint64_t *ra_app_numbers(struct ra_app_reader *reader, const char *key, size_t *count);

/* ---- setup.c ---- */

/* An enum app_exit; *keys is NULL if none are configured. */
int ra_app_keys(OSSL_LIB_CTX *libctx, dot2_crypto *crypto, const struct ra_app_config *config,
                ra_keys **keys);
/* Both say on stderr and in the log what is wrong. */
SSL_CTX *ra_app_tls(OSSL_LIB_CTX *libctx, const struct ra_app_config *config, EVP_PKEY *key);
dot2_trust *ra_app_trust(dot2_crypto *crypto, const struct ra_app_config *config);

/* ---- crls.c ---- */

#define RA_APP_CRLS 16

struct ra_app_crls {
    char *text; /* holds the paths */
    enum dot2_ballots ballots;
    struct {
        const char *path;
        struct stat seen; /* as it was when it was read last */
        bool again;       /* it could not be read, or there was no memory: not the file's fault */
    } files[RA_APP_CRLS];
    size_t count;
    size_t kept; /* lists of the trust before that the files no longer have */
};
/*
 * Puts the lists of crl_files, if there are any, into the trust. An enum app_exit: each file has
 * to be good, and no list older than one of before (may be NULL), the trust that is to be replaced;
 * lists of before that the files no longer have stay in force.
 */
int ra_app_crls_open(struct ra_app_crls *crls, const struct ra_app_config *config,
                     dot2_trust *trust, const dot2_trust *before);
/*
 * Reads those that have changed since; what cannot be used is logged, and changes nothing. A file
 * that could not be read, or not for want of memory, is read again at the next look.
 */
void ra_app_crls_look(struct ra_app_crls *crls, dot2_trust *trust);
/* To the log: each list that is in force. */
void ra_app_crls_say(const struct ra_app_crls *crls, const dot2_trust *trust);
void ra_app_crls_clear(struct ra_app_crls *crls);

/* ---- policy.c ---- */

struct ra_app_policy {
    char *path;  /* NULL: no limits are taken from a policy */
    bool failed; /* the last look could not use the file, and has said so */
    uint32_t max_request_age, max_supply; /* in force, seconds; 0: none */
};
/* Reads the file, if the configuration wants that. An enum app_exit: it has to be good. */
int ra_app_policy_open(struct ra_app_policy *policy, const struct ra_app_config *config);
/* Reads it again; true if the limits have changed. What cannot be used is logged once. */
bool ra_app_policy_look(struct ra_app_policy *policy);
/* To the log: the limits that are in force. */
void ra_app_policy_say(const struct ra_app_policy *policy);
void ra_app_policy_clear(struct ra_app_policy *policy);

/* ---- user.c: each says on stderr what is wrong ---- */

struct ra_app_user {
    const char *name; /* NULL: nobody was named */
    uid_t uid;
    gid_t gid;
    bool change; /* we are root and have to become this user */
};
/*
 * Looks up the user; name may be NULL. APP_USAGE: unknown, root, or we are neither root nor that
 * user. The name is not copied.
 */
int ra_app_user_find(const char *name, struct ra_app_user *user);
/*
 * Files that the server makes and opens again later are to be the user's: between these two they
 * are. Not with threads of our own.
 */
int ra_app_user_enter(const struct ra_app_user *user);
void ra_app_user_leave(const struct ra_app_user *user);
/* For good, in all threads: groups, group, user. No way back is made sure of. */
int ra_app_user_become(const struct ra_app_user *user);
/* Signs something: a module may need files that root alone may read. APP_UNREACHABLE if not. */
int ra_app_user_key(const struct ra_app_user *user, EVP_PKEY *key);

/* ---- notify.c ---- */

/* "READY=1", "STOPPING=1": to systemd, if it started us with Type=notify. A failure is logged. */
void ra_app_notify(const char *state);

/* ---- metrics.c ---- */

struct ra_app_metrics;
/*
 * Serves the figures of these servers (NULL among them: none) and of the provider, if that is
 * configured; *metrics is NULL otherwise. An enum app_exit, said on stderr.
 */
int ra_app_metrics_start(const struct ra_app_config *config, OSSL_LIB_CTX *libctx,
                         ra_server *const *servers, size_t count, struct ra_app_metrics **metrics);
uint16_t ra_app_metrics_port(const struct ra_app_metrics *metrics);
/* The certificates whose ends are told; metrics and keys may be NULL. */
void ra_app_metrics_certificates(struct ra_app_metrics *metrics, SSL_CTX *tls, const ra_keys *keys);
/* Before the servers are freed. */
void ra_app_metrics_stop(struct ra_app_metrics *metrics);

/* ---- metrics_port.c ---- */

struct event_base;
struct evbuffer;
struct ra_app_port;
/* Adds the figures to a buffer; 0, or -1 without memory. */
typedef int ra_app_figures_fn(void *arg, struct evbuffer *out);
/*
 * Serves /metrics at a numeric address and port (0: any), in the loop that is the base's, with
 * limits of the number of connections and of their time. NULL if that failed, with errno, which is
 * 0 if the address is not numeric.
 */
struct ra_app_port *ra_app_port_open(struct event_base *base, const char *address, uint16_t number,
                                     ra_app_figures_fn *figures, void *arg);
int ra_app_port_fd(const struct ra_app_port *port);
/* When nobody runs the loop any more, and before the base is freed; port may be NULL. */
void ra_app_port_close(struct ra_app_port *port);

/* ---- log.c, log_json.c ---- */

/* Where lines go: "stderr", "syslog" or a file, which is opened anew by ra_app_log_reopen(). */
int ra_app_log_open(const char *where, bool json);
void ra_app_log_reopen(void);
void ra_app_log_close(void);
ra_log_fn ra_app_log;
/* The same for a line of the program itself, in printf form. */
void ra_app_say(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with one more pair, whose value may have any octets. */
void ra_app_say_text(int priority, const char *line, const char *key, const char *value);
/*
 * From here on what app_error() is given goes to text, one after the other, not to stderr; NULL
 * ends that. For the thread of main alone, and not nested.
 */
void ra_app_hear(char *text, size_t size);
/* A line of pairs as a JSON object with a time and a level; false if text has no room. */
bool ra_app_log_json(const char *when, const char *level, const char *line, char *text,
                     size_t room);

#endif
