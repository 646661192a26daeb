/*
 * ra_status.h: what the files of `dot2hsm ra status` share: the telling itself, and the figures
 * that a running dot2hsm-ra serves to Prometheus, as far as they are shown.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_RA_STATUS_H
#define DOT2HSM_APPS_DOT2HSM_RA_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/app.h"
#include "apps/dot2hsm/json.h"
#include "protocol/dot2/dot2.h"

struct ra_status {
    const char *path;
    CONF *conf;
    bool as_json, no_keys;
    struct json json;
    OSSL_LIB_CTX *libctx;
    dot2_crypto *crypto;
    int64_t now;      /* Unix time */
    bool seen[4];     /* exit codes of what is not well */
    char heard[1000]; /* what a function said through app_error() */
};

/* As in the file's section, or NULL. */
const char *ra_status_value(const struct ra_status *status, const char *section, const char *name);
/* Calls each for every section [ra-key NAME]. */
void ra_status_each_key(struct ra_status *status,
                        void (*each)(struct ra_status *status, const char *section));
/* Tells the certificates (ra_certificates.c). */
void ra_status_certificates(struct ra_status *status);

#define RA_FIGURES 12

struct ra_figure_name {
    const char *sample; /* all samples that begin so are added up */
    bool others;        /* all of the family but those */
    const char *title, *unit, *json;
};
extern const struct ra_figure_name ra_figure_names[RA_FIGURES];

struct ra_figures {
    int64_t up; /* seconds */
    double values[RA_FIGURES];
};

/*
 * address NULL: 127.0.0.1; the port is taken from port_file, unless that is NULL. now is Unix time.
 * False if nobody answers, with the reason through app_error().
 */
bool ra_figures_get(const char *address, const char *port, const char *port_file, int64_t now,
                    struct ra_figures *figures);

#endif
