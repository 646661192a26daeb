/*
 * metrics.c: the figures of the program in Prometheus' text format, over plain HTTP on a port of
 * their own, in a thread of their own: they are to be had when every loop of the server is held up.
 *
 * What is known of the HSM is asked of the provider, which counts it.
 */
#include "apps/ra/ra_app.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#define FIGURES 128       /* parameters of the provider */
#define CERTIFICATE_ID 17 /* "tls", or a HashedId8 */
#define PREFIX "dot2hsm-" /* of the provider's parameters */

struct ra_app_metrics {
    OSSL_PROVIDER *provider; /* the library context's */
    ra_server *servers[2];
    size_t server_count;
    struct event_base *base;
    struct ra_app_port *listening;
    struct event *wake;
    int wake_fd;
    uint16_t port;
    pthread_t thread;
    bool running;
    struct timespec started;

    pthread_mutex_t lock; /* for what follows */
    struct {
        char id[CERTIFICATE_ID];
        int64_t end; /* Unix time */
    } certificates[RA_APP_KEYS + 1];
    size_t certificate_count;
};

/* ---- the HSM, as the provider tells it ---- */

struct figures {
    OSSL_PARAM params[FIGURES + 1];
    uint64_t values[FIGURES];
    size_t count;
};

static int take_if_ours(OSSL_PROVIDER *provider, void *arg)
{
    struct ra_app_metrics *metrics = arg;

    if (strcmp(OSSL_PROVIDER_get0_name(provider), "dot2hsm") == 0)
        metrics->provider = provider;
    return 1;
}

static bool figures_get(const struct ra_app_metrics *metrics, struct figures *figures)
{
    const OSSL_PARAM *offered = OSSL_PROVIDER_gettable_params(metrics->provider);

    figures->count = 0;
    for (; offered != NULL && offered->key != NULL && figures->count < FIGURES; offered++) {
        uint64_t *value = &figures->values[figures->count];

        if (strncmp(offered->key, PREFIX, strlen(PREFIX)) != 0)
            continue;
        *value = 0;
        figures->params[figures->count++] = OSSL_PARAM_construct_uint64(offered->key, value);
    }
    figures->params[figures->count] = OSSL_PARAM_construct_end();
    return OSSL_PROVIDER_get_params(metrics->provider, figures->params) == 1;
}

/* The figure PREFIX + what + rest; *value 0 if there is none. */
static bool figure(const struct figures *figures, const char *what, const char *rest,
                   uint64_t *value)
{
    char name[64];

    snprintf(name, sizeof name, PREFIX "%s%s", what, rest);
    *value = 0;
    for (size_t i = 0; i < figures->count; i++) {
        if (strcmp(figures->params[i].key, name) == 0) {
            *value = figures->values[i];
            return true;
        }
    }
    return false;
}

/* What is added to; a text that has a hole is not sent. */
struct told {
    struct evbuffer *buffer;
    bool failed;
};

static void tell(struct told *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct told *out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!out->failed && evbuffer_add_vprintf(out->buffer, format, args) < 0)
        out->failed = true;
    va_end(args);
}

static void family(struct told *out, const char *name, const char *type, const char *help)
{
    tell(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static const char *const works[] = {"sign", "derive", "generate", "session", "other"};
#define WORKS (sizeof works / sizeof works[0])

static void tell_calls(const struct figures *figures, struct told *out)
{
    static const struct {
        const char *rest, *seconds;
    } bounds[] = {
        {"-within-1ms", "0.001"},  {"-within-3ms", "0.003"},  {"-within-10ms", "0.01"},
        {"-within-30ms", "0.03"},  {"-within-100ms", "0.1"},  {"-within-300ms", "0.3"},
        {"-within-1000ms", "1.0"}, {"-within-3000ms", "3.0"}, {"-within-10000ms", "10.0"},
        {"-calls", "+Inf"},
    };
    uint64_t value;

    family(out, "dot2hsm_hsm_call_seconds", "histogram",
           "Cryptoki calls and their times, by what was done.");
    for (size_t i = 0; i < WORKS; i++) {
        for (size_t k = 0; k < sizeof bounds / sizeof bounds[0]; k++) {
            figure(figures, works[i], bounds[k].rest, &value);
            tell(out, "dot2hsm_hsm_call_seconds_bucket{work=\"%s\",le=\"%s\"} %llu\n", works[i],
                 bounds[k].seconds, (unsigned long long)value);
        }
        tell(out, "dot2hsm_hsm_call_seconds_count{work=\"%s\"} %llu\n", works[i],
             (unsigned long long)value);
        figure(figures, works[i], "-microseconds", &value);
        tell(out, "dot2hsm_hsm_call_seconds_sum{work=\"%s\"} %.6f\n", works[i],
             (double)value / 1e6);
    }
    family(out, "dot2hsm_hsm_call_errors_total", "counter",
           "Cryptoki calls whose answer was not CKR_OK.");
    for (size_t i = 0; i < WORKS; i++) {
        figure(figures, works[i], "-errors", &value);
        tell(out, "dot2hsm_hsm_call_errors_total{work=\"%s\"} %llu\n", works[i],
             (unsigned long long)value);
    }
}

static void tell_hsm(const struct ra_app_metrics *metrics, struct told *out)
{
    static const struct {
        const char *figure, *name, *type, *help;
    } others[] = {
        {"inside", "dot2hsm_hsm_operations", "gauge", "Operations that are in the module now."},
        {"stuck", "dot2hsm_hsm_stuck_operations", "gauge",
         "Of them, those that are longer there than deadline-ms."},
        {"late-calls", "dot2hsm_hsm_late_calls_total", "counter",
         "Cryptoki calls that took longer than deadline-ms, ended or not."},
        {"sessions", "dot2hsm_hsm_sessions", "gauge", "Sessions that are open."},
        {"idle-sessions", "dot2hsm_hsm_idle_sessions", "gauge", "Of them, those not in use."},
        {"recoveries", "dot2hsm_hsm_recoveries_total", "counter",
         "Times that sessions and login of a token were built anew."},
        {"failed-recoveries", "dot2hsm_hsm_failed_recoveries_total", "counter",
         "Times that this came to nothing within deadline-ms."},
    };
    struct figures figures;
    uint64_t value;

    if (metrics->provider == NULL)
        return;
    if (!figures_get(metrics, &figures)) {
        out->failed = true;
        return;
    }
    tell_calls(&figures, out);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (!figure(&figures, others[i].figure, "", &value))
            continue;
        family(out, others[i].name, others[i].type, others[i].help);
        tell(out, "%s %llu\n", others[i].name, (unsigned long long)value);
    }
}

/* ---- the process ---- */

/* Each of these is false, with errno, where the kernel does not tell. */
static bool descriptors(unsigned *count)
{
    DIR *directory = opendir("/proc/self/fd");

    *count = 0;
    if (directory == NULL)
        return false;
    while (readdir(directory) != NULL)
        (*count)++;
    closedir(directory);
    *count = *count < 3 ? 0 : *count - 3; /* ".", "..", and the directory's own */
    return true;
}

static bool resident_pages(long *pages)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char text[128] = "";
    char *at = text;
    bool read;

    if (file == NULL)
        return false;
    read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    strtol(at, &at, 10); /* the whole size */
    *pages = strtol(at, NULL, 10);
    return read;
}

/* Under the names that every program of Prometheus' world has for them. */
static void tell_process(const struct ra_app_metrics *metrics, struct told *out)
{
    struct timespec cpu = {0};
    unsigned count = 0;
    long pages = 0;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    family(out, "process_start_time_seconds", "gauge", "Start, in Unix time.");
    tell(out, "process_start_time_seconds %lld.%03ld\n", (long long)metrics->started.tv_sec,
         metrics->started.tv_nsec / 1000000);
    family(out, "process_cpu_seconds_total", "counter", "Processor time.");
    tell(out, "process_cpu_seconds_total %lld.%03ld\n", (long long)cpu.tv_sec,
         cpu.tv_nsec / 1000000);
    /* What is not to be had is left out: with no descriptor left, the others are wanted. */
    if (resident_pages(&pages)) {
        family(out, "process_resident_memory_bytes", "gauge", "Memory.");
        tell(out, "process_resident_memory_bytes %lld\n", (long long)pages * sysconf(_SC_PAGESIZE));
    } else if (errno == ENOMEM) {
        out->failed = true;
    }
    if (descriptors(&count)) {
        family(out, "process_open_fds", "gauge", "Open descriptors.");
        tell(out, "process_open_fds %u\n", count);
    } else if (errno == ENOMEM) {
        out->failed = true;
    }
}

static void tell_certificates(struct ra_app_metrics *metrics, struct told *out)
{
    pthread_mutex_lock(&metrics->lock);
    family(out, "dot2hsm_ra_certificate_end_seconds", "gauge",
           "Unix time at which the RA's certificates end: that of TLS, and its IEEE 1609.2 ones by "
           "HashedId8.");
    for (size_t i = 0; i < metrics->certificate_count; i++)
        tell(out, "dot2hsm_ra_certificate_end_seconds{certificate=\"%s\"} %lld\n",
             metrics->certificates[i].id, (long long)metrics->certificates[i].end);
    pthread_mutex_unlock(&metrics->lock);
}

/* ---- all of it, and who serves it ---- */

static int figures_all(void *arg, struct evbuffer *buffer)
{
    struct ra_app_metrics *metrics = arg;
    struct told out = {.buffer = buffer};

    if (ra_server_metrics(metrics->servers, metrics->server_count, buffer) != 0)
        return -1;
    tell_certificates(metrics, &out);
    tell_hsm(metrics, &out);
    tell_process(metrics, &out);
    return out.failed ? -1 : 0;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct ra_app_metrics *metrics = arg;

    (void)fd;
    (void)what;
    event_base_loopbreak(metrics->base);
}

static void *run(void *arg)
{
    struct ra_app_metrics *metrics = arg;

    event_base_dispatch(metrics->base);
    return NULL;
}

static bool bind_port(struct ra_app_metrics *metrics, const char *address, uint16_t port)
{
    struct sockaddr_storage got = {0};
    socklen_t size = sizeof got;

    metrics->listening = ra_app_port_open(metrics->base, address, port, figures_all, metrics);
    if (metrics->listening == NULL ||
        getsockname(ra_app_port_fd(metrics->listening), (struct sockaddr *)&got, &size) != 0)
        return false;
    metrics->port = ntohs(got.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&got)->sin6_port
                                                    : ((struct sockaddr_in *)&got)->sin_port);
    return true;
}

int ra_app_metrics_start(const struct ra_app_config *config, OSSL_LIB_CTX *libctx,
                         ra_server *const *servers, size_t count, struct ra_app_metrics **out)
{
    struct ra_app_metrics *metrics;

    *out = NULL;
    if (!config->metrics)
        return APP_OK;
    metrics = OPENSSL_zalloc(sizeof *metrics);
    if (metrics == NULL)
        goto memory;
    metrics->wake_fd = -1;
    pthread_mutex_init(&metrics->lock, NULL);
    clock_gettime(CLOCK_REALTIME, &metrics->started);
    for (size_t i = 0; i < count && i < 2; i++)
        if (servers[i] != NULL)
            metrics->servers[metrics->server_count++] = servers[i];
    OSSL_PROVIDER_do_all(libctx, take_if_ours, metrics);
    metrics->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    metrics->base = event_base_new();
    metrics->wake = metrics->base == NULL
                        ? NULL
                        : event_new(metrics->base, metrics->wake_fd, EV_READ, on_wake, metrics);
    if (metrics->wake == NULL || metrics->wake_fd < 0 || event_add(metrics->wake, NULL) != 0)
        goto memory;
    if (!bind_port(metrics, config->metrics_address, config->metrics_port)) {
        app_error("metrics-address %s, metrics-port %u: %s", config->metrics_address,
                  config->metrics_port, errno == 0 ? "not a numeric address" : strerror(errno));
        ra_app_metrics_stop(metrics);
        return APP_UNREACHABLE;
    }
    if (pthread_create(&metrics->thread, NULL, run, metrics) != 0)
        goto memory;
    metrics->running = true;
    *out = metrics;
    return APP_OK;
memory:
    app_error("out of memory, threads or descriptors");
    ra_app_metrics_stop(metrics);
    return APP_UNREACHABLE;
}

uint16_t ra_app_metrics_port(const struct ra_app_metrics *metrics)
{
    return metrics->port;
}

static int64_t unix_time(const ASN1_TIME *time)
{
    struct tm tm;

    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

void ra_app_metrics_certificates(struct ra_app_metrics *metrics, SSL_CTX *tls, const ra_keys *keys)
{
    const struct scms_ra_key *list = NULL;
    const X509 *x509 = SSL_CTX_get0_certificate(tls);
    size_t count = 0;

    if (metrics == NULL)
        return;
    if (keys != NULL)
        list = ra_keys_decrypt(keys, &count);
    pthread_mutex_lock(&metrics->lock);
    metrics->certificate_count = 0;
    if (x509 != NULL) {
        snprintf(metrics->certificates[0].id, CERTIFICATE_ID, "tls");
        metrics->certificates[0].end = unix_time(X509_get0_notAfter(x509));
        metrics->certificate_count = 1;
    }
    for (size_t i = 0; i < count && i < RA_APP_KEYS; i++) {
        const uint8_t *id = dot2_cert_hashedid8(list[i].cert);
        size_t n = metrics->certificate_count++;

        for (size_t k = 0; k < 8; k++)
            snprintf(metrics->certificates[n].id + 2 * k, 3, "%02X", (unsigned)id[k]);
        metrics->certificates[n].end = dot2_time32_to_unix(dot2_cert_end(list[i].cert));
    }
    pthread_mutex_unlock(&metrics->lock);
}

void ra_app_metrics_stop(struct ra_app_metrics *metrics)
{
    static const uint64_t now = 1;

    if (metrics == NULL)
        return;
    if (metrics->running && write(metrics->wake_fd, &now, sizeof now) == (ssize_t)sizeof now)
        pthread_join(metrics->thread, NULL);
    ra_app_port_close(metrics->listening);
    if (metrics->wake != NULL)
        event_free(metrics->wake);
    if (metrics->base != NULL)
        event_base_free(metrics->base);
    if (metrics->wake_fd >= 0)
        close(metrics->wake_fd);
    pthread_mutex_destroy(&metrics->lock);
    OPENSSL_free(metrics);
}
