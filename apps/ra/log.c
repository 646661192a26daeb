/*
 * log.c: stderr, syslog or a file. One write per line, so that lines of threads do not mix.
 */
#include "apps/ra/ra_app.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = STDERR_FILENO;
static const char *log_path; /* NULL = not a file */
static bool to_syslog;

static int file_open(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
}

int ra_app_log_open(const char *where)
{
    if (where == NULL || strcmp(where, "stderr") == 0)
        return APP_OK;
    if (strcmp(where, "syslog") == 0) {
        openlog("dot2hsm-ra", LOG_PID, LOG_DAEMON);
        to_syslog = true;
        return APP_OK;
    }
    log_fd = file_open(where);
    if (log_fd < 0) {
        log_fd = STDERR_FILENO;
        app_error("log %s: %s", where, strerror(errno));
        return APP_USAGE;
    }
    log_path = where;
    return APP_OK;
}

/* After a rotation; the old file is kept if there is no new one to be had. */
void ra_app_log_reopen(void)
{
    int fd;

    if (log_path == NULL)
        return;
    fd = file_open(log_path);
    if (fd < 0) {
        ra_app_say(LOG_ERR, "event=log_not_reopened");
        return;
    }
    pthread_mutex_lock(&lock);
    close(log_fd);
    log_fd = fd;
    pthread_mutex_unlock(&lock);
}

void ra_app_log_close(void)
{
    if (to_syslog)
        closelog();
    if (log_path != NULL)
        close(log_fd);
    log_fd = STDERR_FILENO;
    log_path = NULL;
    to_syslog = false;
}

void ra_app_log(void *arg, int priority, const char *line)
{
    static const char *const names[] = {"emerg",   "alert",  "crit", "error",
                                        "warning", "notice", "info", "debug"};
    char text[1400], when[32];
    struct timespec now;
    struct tm tm;
    ssize_t written;
    int n;

    (void)arg;
    if (priority >= LOG_DEBUG)
        return;
    if (to_syslog) {
        syslog(priority, "%s", line);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    n = snprintf(text, sizeof text, "%s.%03ldZ level=%s %s\n", when, now.tv_nsec / 1000000,
                 names[priority & 7], line);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof text) {
        n = (int)sizeof text - 1;
        text[n - 1] = '\n';
    }
    pthread_mutex_lock(&lock);
    written = write(log_fd, text, (size_t)n);
    pthread_mutex_unlock(&lock);
    (void)written; /* a log that cannot be written has nowhere to be said */
}

void ra_app_say(int priority, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ra_app_log(NULL, priority, line);
}
