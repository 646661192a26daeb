/*
 * ee_report.h: what a user sees of a download: the bar, the facts at the end, the exit code.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_EE_REPORT_H
#define DOT2HSM_APPS_DOT2HSM_EE_REPORT_H

#include <signal.h>

#include "apps/app.h"
#include "protocol/ee/ee.h"

struct ee_watch {
    volatile sig_atomic_t *stop; /* set by a signal */
    uint64_t stop_after;         /* octets of this run; 0 = all */
    bool bar;
    /* kept by ee_watch_progress */
    uint64_t first; /* octets that were there */
    uint64_t shown_ms, begun_ms;
    bool begun, drawn, metered; /* metered: stop_after ended the transfer */
};
bool ee_watch_progress(void *arg, uint64_t done, uint64_t total);
/* Ends the line of the bar. */
void ee_watch_end(struct ee_watch *watch);

struct ee_report {
    const struct ee_service *service;
    const struct ee_config *config;
    const char *key_uri; /* NULL = not authenticated */
    const char *output;
    enum ee_status status;
    struct ee_download_result result;
    struct ee_error error;
};
/* Prints it and returns the exit code. */
int ee_report_print(const struct ee_report *report, const struct ee_watch *watch, bool quiet,
                    bool json);

#endif
