/*
 * doctor.h: the parts of `dot2hsm doctor` among themselves. Each check says what it found as one
 * finding: good, a note (works, and should be known), or a fault, with the mend in one sentence.
 *
 * cmd_doctor.c      options, order of the checks, host and provider
 * doctor_report.c   findings as lines or JSON
 * doctor_openssl.c  the sections of openssl.cnf
 * doctor_token.c    module, token, PIN source; doctor_key.c: the keys in it
 * doctor_files.c    what [ee] and [ra] name
 */
#ifndef DOT2HSM_APPS_DOT2HSM_DOCTOR_H
#define DOT2HSM_APPS_DOT2HSM_DOCTOR_H

#include "apps/app.h"
#include "apps/dot2hsm/json.h"
#include "pkcs11/p11.h"
#include "protocol/dot2/dot2.h"

#define DOCTOR_KEYS 64

struct doctor {
    struct app_provider provider; /* the command line's */
    bool login, as_json;
    const char *const *uris; /* the operands */
    size_t uri_count;

    OSSL_LIB_CTX *libctx; /* with the provider and no token; NULL if that failed */
    dot2_crypto *crypto;
    struct json json;
    unsigned notes, faults;
    bool seen[4];     /* exit codes of the faults */
    bool pin_refused; /* then no login is tried any more in this run */
    char heard[2000]; /* what a function said through app_error() */
};

/* ---- doctor_report.c ---- */
void doctor_begin(struct doctor *doctor);
void doctor_good(struct doctor *doctor, const char *id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void doctor_note(struct doctor *doctor, const char *id, const char *mend, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* code: what the program's exit status is to be for it, APP_REFUSED, APP_USAGE, APP_UNREACHABLE. */
void doctor_fault(struct doctor *doctor, int code, const char *id, const char *mend,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Says how many there were; the exit status: 2 before 3 before 1, as what comes first is mended
   first. */
int doctor_end(struct doctor *doctor);
/* What OpenSSL's queue has, as one text in doctor->heard; the queue is empty then. */
const char *doctor_queue(struct doctor *doctor);

/* ---- doctor_openssl.c ---- */
/*
 * Checks an openssl.cnf. *conf gets a section [provider] with the options that hold (NULL if there
 * is no section of the provider), module the path of dot2hsm.so.
 */
void doctor_openssl(struct doctor *doctor, const char *path, CONF **conf, char module[4096]);

/* ---- doctor_token.c, doctor_key.c ---- */
/* A key that a configuration names, and what for. */
struct doctor_key {
    const char *uri, *what; /* "enrollment-key" */
    bool derive;            /* it is to decrypt, not to sign */
};
void doctor_token(struct doctor *doctor, const struct app_provider *provider, const CONF *conf,
                  const struct doctor_key *keys, size_t count);
/* The private keys that the URI matches, after a login. */
void doctor_keys(struct doctor *doctor, p11_ctx *ctx, const struct doctor_key *key);

/* ---- doctor_files.c ---- */
void doctor_ee(struct doctor *doctor, const CONF *conf, struct doctor_key *keys, size_t *count);
void doctor_ra(struct doctor *doctor, const char *path, const CONF *conf, struct doctor_key *keys,
               size_t *count);
/* Certificates and their keys, once the token is known to be well. */
void doctor_ee_keys(struct doctor *doctor, const CONF *conf);
void doctor_ra_keys(struct doctor *doctor, const char *path, const CONF *conf);
/* A value of the section itself, or NULL. */
const char *doctor_value(const CONF *conf, const char *section, const char *name);
/* A directory that programs write into; what: the option that names it. */
void doctor_directory(struct doctor *doctor, const char *id, const char *what, const char *path,
                      bool written);

#endif
