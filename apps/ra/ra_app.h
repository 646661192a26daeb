/*
 * ra_app.h: the parts of dot2hsm-ra among themselves.
 *
 * config.c  the file, section [ra]
 * setup.c   what is made from it: TLS, trust
 * log.c     where lines go
 * main.c    start, signals, end
 */
#ifndef DOT2HSM_APPS_RA_RA_APP_H
#define DOT2HSM_APPS_RA_RA_APP_H

#include "apps/app.h"
#include "protocol/ra/ra.h"

#include <openssl/ssl.h>

struct ra_app_config {
    CONF *conf; /* owns every string below */
    const char *tls_certificate, *tls_key;
    const char *anchors, *certificates; /* lists of files and directories */
    const char *store, *log, *port_file, *pid_file;
    struct ra_server_config server;
};

/* Reads and checks the file; an enum app_exit, with the reason on stderr. */
int ra_app_config_load(const char *path, struct ra_app_config *config);
void ra_app_config_clear(struct ra_app_config *config);

/* Both say on stderr and in the log what is wrong. */
SSL_CTX *ra_app_tls(OSSL_LIB_CTX *libctx, const struct ra_app_config *config, EVP_PKEY *key);
dot2_trust *ra_app_trust(dot2_crypto *crypto, const struct ra_app_config *config);

/* Where lines go: "stderr", "syslog" or a file, which is opened anew by ra_app_log_reopen(). */
int ra_app_log_open(const char *where);
void ra_app_log_reopen(void);
void ra_app_log_close(void);
ra_log_fn ra_app_log;
/* The same for a line of the program itself, in printf form. */
void ra_app_say(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
