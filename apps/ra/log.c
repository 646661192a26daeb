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
static unsigned long lost; /* lines that could not be written since one that could; under lock */
static bool torn;          /* the last line of the file has no end; under lock */

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

#define LINE_MAX_SIZE 8192 /* JSON writes one octet as six at most */

static size_t line_make(int priority, const char *line, char text[LINE_MAX_SIZE])
{
    static const char *const names[] = {"emerg",   "alert",  "crit", "error",
                                        "warning", "notice", "info", "debug"};
    struct timespec now;
    struct tm tm;
    char when[64];
    size_t n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof when - n, ".%03ldZ", now.tv_nsec / 1000000);
    if (as_json)
        (void)ra_app_log_json(when, names[priority & 7], line, text, LINE_MAX_SIZE - 1);
    else
        snprintf(text, LINE_MAX_SIZE - 1, "%s level=%s %s", when, names[priority & 7], line);
    n = strlen(text);
    text[n++] = '\n';
    return n;
}

/* Whether all of it was written; the disk may be full. The rest of a line is not tried again. */
static bool put(const char *text, size_t n)
{
    ssize_t written = write(log_fd, text, n);

    if (written == (ssize_t)n)
        return true;
    torn = torn || written > 0;
    lost++;
    return false;
}

/* Before the first line that can be written again: how many could not. */
static void put_lost(void)
{
    char text[LINE_MAX_SIZE], line[64];
    unsigned long before = lost;

    if (torn && write(log_fd, "\n", 1) != 1)
        return;
    torn = false;
    snprintf(line, sizeof line, "event=log_lost lines=%lu", before);
    if (put(text, line_make(LOG_ERR, line, text)))
        lost = 0;
    else
        lost = before;
}

void ra_app_log(void *arg, int priority, const char *line)
{
    char text[LINE_MAX_SIZE];
    size_t n;

    (void)arg;
    if (priority >= LOG_DEBUG)
        return;
    if (to_syslog) {
        if (as_json) {
            n = line_make(priority, line, text);
            line = text;
            text[n - 1] = '\0';
        }
        syslog(priority, "%s", line);
        return;
    }
    n = line_make(priority, line, text);
    pthread_mutex_lock(&lock);
    if (lost > 0)
        put_lost();
    put(text, n);
    pthread_mutex_unlock(&lock);
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

static struct {
    char *text;
    size_t size;
} heard;

static void hear(void *arg, const char *text)
{
    size_t used = strlen(heard.text);

    (void)arg;
    snprintf(heard.text + used, heard.size - used, "%s%s", used > 0 ? "; " : "", text);
}

void ra_app_hear(char *text, size_t size)
{
    heard.text = text;
    heard.size = size;
    if (text != NULL)
        text[0] = '\0';
    app_error_sink(text == NULL ? NULL : hear, NULL);
}
