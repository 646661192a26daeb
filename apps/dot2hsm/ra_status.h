/*
 * ra_status.h: the figures that a running dot2hsm-ra serves to Prometheus, as far as `dot2hsm ra
 * status` shows them.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_RA_STATUS_H
#define DOT2HSM_APPS_DOT2HSM_RA_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
