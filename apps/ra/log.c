/*
 * log.c: stderr, syslog or a file. One write per line, so that lines of threads do not mix.
 */
#include "protocol/ra/log.h"
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
static bool to_syslog, as_json;

static int file_open(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
}

int ra_app_log_open(const char *where, bool json)
{
    as_json = json;
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
    char text[8192], when[64]; /* JSON writes one octet as six at most */
    struct timespec now;
    struct tm tm;
    ssize_t written;
    size_t n;

    (void)arg;
    if (priority >= LOG_DEBUG)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof when - n, ".%03ldZ", now.tv_nsec / 1000000);
    if (as_json)
        (void)ra_app_log_json(when, names[priority & 7], line, text, sizeof text - 1);
    else if (to_syslog)
        snprintf(text, sizeof text - 1, "%s", line);
    else
        snprintf(text, sizeof text - 1, "%s level=%s %s", when, names[priority & 7], line);
    if (to_syslog) {
        syslog(priority, "%s", text);
        return;
    }
    n = strlen(text);
    text[n++] = '\n';
    pthread_mutex_lock(&lock);
    written = write(log_fd, text, n);
    pthread_mutex_unlock(&lock);
    (void)written; /* a log that cannot be written has nowhere to be said */
}

void ra_app_say_text(int priority, const char *line, const char *key, const char *value)
{
    struct ra_line all = {.size = 0};

    all.size = (size_t)snprintf(all.text, sizeof all.text, "%.500s", line);
    ra_line_add_octets(&all, key, value, strlen(value));
    ra_app_log(NULL, priority, all.text);
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
