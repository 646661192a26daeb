/*
 * metrics.c: what the server counts, and Prometheus' text format of it.
 *
 * Counters belong to a loop: its thread alone writes them, so that an addition is a load and a
 * store. Labels are services, results and reasons from the tables here: how many there are does not
 * depend on what peers send.
 */
#include "protocol/ra/server_internal.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <event2/listener.h>
#include <netinet/tcp.h>

/* Upper bounds in microseconds, and as they are written. */
static const struct {
    int64_t microseconds;
    const char *text;
} bounds[RA_TIME_BOUNDS] = {
    {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},    {10000, "0.01"},
    {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"},   {500000, "0.5"},
    {1000000, "1.0"}, {2500000, "2.5"}, {5000000, "5.0"}, {10000000, "10.0"},
};

/* What a request can come to besides the reasons of enum ra_reason, which stand behind these. */
static const char *const results[] = {"served",     "aborted",        "invalid_url",
                                      "method",     "body_empty",     "content_type",
                                      "not_served", "body_too_large", "other"};
#define OWN_RESULTS (sizeof results / sizeof results[0])

/* How a connection can end besides by enum ra_head_fault, which stand behind these. */
static const char *const ends[] = {"tls_handshake",    "handshake_timeout",
                                   "header_timeout",   "body_timeout",
                                   "idle_timeout",     "write_timeout",
                                   "memory",           "too_many_connections",
                                   "headers_too_long", "pipeline_too_long",
                                   "file_changed",     "request_incomplete",
                                   "stopping",         "other"};
#define OWN_ENDS (sizeof ends / sizeof ends[0])

_Static_assert(OWN_RESULTS + RA_TOO_MANY < RA_RESULTS, "a request has more results");
_Static_assert(OWN_ENDS + RA_HEAD_DUPLICATE < RA_RESULTS, "a connection has more ends");

/* NULL beyond the last. */
static const char *result_name(size_t i)
{
    if (i < OWN_RESULTS)
        return results[i];
    i = i - OWN_RESULTS + 1;
    return i <= RA_TOO_MANY ? ra_reason_name((enum ra_reason)i) : NULL;
}

static const char *end_name(size_t i)
{
    if (i < OWN_ENDS)
        return ends[i];
    i = i - OWN_ENDS + 1;
    return i <= RA_HEAD_DUPLICATE ? ra_head_fault_name((enum ra_head_fault)i) : NULL;
}

static size_t index_of(const char *(*name_of)(size_t), const char *name, size_t other)
{
    const char *one;

    for (size_t i = 0; (one = name_of(i)) != NULL; i++)
        if (strcmp(one, name) == 0)
            return i;
    return other;
}

/* ---- counting, by the loop's thread ---- */

int64_t ra_metrics_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void ra_metrics_add(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, get(counter) + more, memory_order_relaxed);
}

void ra_metrics_request(struct ra_metrics *metrics, enum ra_route route, const char *result)
{
    ra_metrics_add(&metrics->requests[route][index_of(result_name, result, OWN_RESULTS - 1)], 1);
}

void ra_metrics_ended(struct ra_metrics *metrics, const char *reason)
{
    ra_metrics_add(&metrics->ended[index_of(end_name, reason, OWN_ENDS - 1)], 1);
}

void ra_metrics_time(struct ra_histogram *histogram, int64_t microseconds)
{
    size_t i = 0;

    while (i < RA_TIME_BOUNDS && microseconds > bounds[i].microseconds)
        i++;
    ra_metrics_add(&histogram->microseconds, microseconds > 0 ? (uint64_t)microseconds : 0);
    ra_metrics_add(&histogram->slots[i], 1);
}

/* ---- telling, by any thread ---- */

struct telling {
    ra_server *const *servers;
    size_t count;
    struct evbuffer *out;
    bool failed;
};

#define TELL(telling, ...)                                                                         \
    ((telling)->failed |= evbuffer_add_printf((telling)->out, __VA_ARGS__) < 0)

static void family(struct telling *telling, const char *name, const char *type, const char *help)
{
    TELL(telling, "# HELP dot2hsm_ra_%s %s\n# TYPE dot2hsm_ra_%s %s\n", name, help, name, type);
}

static void one(struct telling *telling, const char *name, const char *type, const char *help,
                uint64_t value)
{
    family(telling, name, type, help);
    TELL(telling, "dot2hsm_ra_%s %llu\n", name, (unsigned long long)value);
}

/* The sum of a counter, at this offset in struct ra_metrics, over all loops. */
static uint64_t sum(const struct telling *telling, size_t offset)
{
    uint64_t value = 0;

    for (size_t i = 0; i < telling->count; i++)
        for (unsigned j = 0; j < telling->servers[i]->config.threads; j++) {
            const char *metrics = (const char *)&telling->servers[i]->loops[j].metrics;

            value += get((const _Atomic uint64_t *)(const void *)(metrics + offset));
        }
    return value;
}
#define SUM(telling, member) sum((telling), offsetof(struct ra_metrics, member))

static bool has_route(const struct telling *telling, size_t route)
{
    for (size_t i = 0; i < telling->count; i++)
        if (route == RA_ROUTE_NONE || telling->servers[i]->paths[route] != NULL)
            return true;
    return false;
}

static void tell_requests(struct telling *telling)
{
    family(telling, "requests_total", "counter",
           "Requests, by service and by what they came to: served, aborted, or why they were "
           "refused.");
    for (size_t route = 0; route < RA_ROUTES; route++) {
        for (size_t i = 0; has_route(telling, route) && result_name(i) != NULL; i++) {
            uint64_t value = SUM(telling, requests[route][i]);

            /* One that there is from the start shows a service that has nothing to do. */
            if (value > 0 || (i == 0 && route != RA_ROUTE_NONE))
                TELL(telling, "dot2hsm_ra_requests_total{service=\"%s\",result=\"%s\"} %llu\n",
                     ra_route_service((enum ra_route)route), result_name(i),
                     (unsigned long long)value);
        }
    }
}

static void tell_histogram(struct telling *telling, const char *name, const char *help,
                           size_t offset)
{
    family(telling, name, "histogram", help);
    for (size_t route = 0; route < RA_ROUTES; route++) {
        const char *service = ra_route_service((enum ra_route)route);
        size_t at = offset + route * sizeof(struct ra_histogram);
        unsigned long long count = 0;
        uint64_t total = sum(telling, at + offsetof(struct ra_histogram, microseconds));

        if (!has_route(telling, route))
            continue;
        for (size_t i = 0; i <= RA_TIME_BOUNDS; i++) {
            count += sum(telling, at + offsetof(struct ra_histogram, slots[i]));
            TELL(telling, "dot2hsm_ra_%s_bucket{service=\"%s\",le=\"%s\"} %llu\n", name, service,
                 i < RA_TIME_BOUNDS ? bounds[i].text : "+Inf", count);
        }
        TELL(telling, "dot2hsm_ra_%s_sum{service=\"%s\"} %.6f\n", name, service,
             (double)total / 1e6);
        TELL(telling, "dot2hsm_ra_%s_count{service=\"%s\"} %llu\n", name, service, count);
    }
}

/* Connections that the kernel has made and no loop has taken yet. */
static unsigned waiting(const struct telling *telling)
{
    unsigned count = 0;

    for (size_t i = 0; i < telling->count; i++)
        for (unsigned j = 0; j < telling->servers[i]->config.threads; j++) {
            struct tcp_info info = {0};
            socklen_t size = sizeof info;

            /* tcp_diag(7): of a listening socket, tcpi_unacked is the length of its queue. */
            if (getsockopt(telling->servers[i]->loops[j].listen_fd, IPPROTO_TCP, TCP_INFO, &info,
                           &size) == 0 &&
                info.tcpi_state == TCP_LISTEN)
                count += info.tcpi_unacked;
        }
    return count;
}

static void tell_connections(struct telling *telling)
{
    unsigned open = 0;

    for (size_t i = 0; i < telling->count; i++)
        open += atomic_load(&telling->servers[i]->connections);
    one(telling, "connections", "gauge", "Connections that are open.", open);
    one(telling, "connections_total", "counter", "Connections that were accepted.",
        SUM(telling, connections));
    one(telling, "accept_queue", "gauge",
        "Connections made by the kernel that no event loop has taken yet.", waiting(telling));
    one(telling, "accept_errors_total", "counter",
        "Times that a connection could not be accepted, as for want of descriptors.",
        SUM(telling, accept_errors));
    one(telling, "handshakes_total", "counter", "TLS handshakes that were completed.",
        SUM(telling, handshakes));
    one(telling, "resumptions_total", "counter",
        "Of them, those that resumed a session and needed no signature.",
        SUM(telling, resumptions));
    one(telling, "sent_octets_total", "counter", "Octets of answers that were sent, before TLS.",
        SUM(telling, octets));
    family(telling, "connections_ended_total", "counter",
           "Connections that were ended without an answer, by the reason.");
    for (size_t i = 0; end_name(i) != NULL; i++) {
        uint64_t value = SUM(telling, ended[i]);

        if (value > 0)
            TELL(telling, "dot2hsm_ra_connections_ended_total{reason=\"%s\"} %llu\n", end_name(i),
                 (unsigned long long)value);
    }
}

static void tell_loops(struct telling *telling)
{
    int64_t now = ra_metrics_now(), longest = 0;
    unsigned loops = 0, busy = 0;

    for (size_t i = 0; i < telling->count; i++) {
        for (unsigned j = 0; j < telling->servers[i]->config.threads; j++) {
            int64_t since = atomic_load_explicit(&telling->servers[i]->loops[j].metrics.busy_since,
                                                 memory_order_relaxed);

            loops++;
            if (since == 0)
                continue;
            busy++;
            if (now - since > longest)
                longest = now - since;
        }
    }
    one(telling, "loops", "gauge", "Event loops.", loops);
    one(telling, "loops_busy", "gauge",
        "Of them, those in which a request is being decided; what else they have waits.", busy);
    family(telling, "loop_busy_seconds", "gauge",
           "How long the request that is being decided for the longest time has taken so far.");
    TELL(telling, "dot2hsm_ra_loop_busy_seconds %.6f\n", (double)longest / 1e6);
}

static void tell_store_and_cache(struct telling *telling)
{
    struct dot2_cache_counts cache = {0};
    const ra_store *store = NULL;
    bool trusts = false;

    for (size_t i = 0; i < telling->count; i++) {
        struct ra_server *server = telling->servers[i];
        struct dot2_cache_counts now = {0};

        if (server->crl_file != NULL)
            continue; /* it has neither */
        store = server->store;
        pthread_mutex_lock(&server->lock);
        if (server->trust != NULL)
            dot2_trust_cache_counts(server->trust, &now);
        trusts |= server->trust != NULL;
        cache.hits += now.hits + server->cache_before.hits;
        cache.misses += now.misses + server->cache_before.misses;
        cache.entries += now.entries;
        pthread_mutex_unlock(&server->lock);
    }
    if (store != NULL)
        one(telling, "store_errors_total", "counter", "Questions that the store did not answer.",
            ra_store_errors(store));
    if (!trusts)
        return;
    one(telling, "certificate_cache_entries", "gauge", "Verified certificates that are kept.",
        cache.entries);
    one(telling, "certificate_cache_hits_total", "counter",
        "Certificates that were found among them.", cache.hits);
    one(telling, "certificate_cache_misses_total", "counter",
        "Certificates that were not, and had to be verified.", cache.misses);
}

int ra_server_metrics(ra_server *const *servers, size_t count, struct evbuffer *out)
{
    struct telling telling = {.servers = servers, .count = count, .out = out};

    tell_requests(&telling);
    tell_histogram(&telling, "request_seconds",
                   "Time from the last octet of a request to the last of its answer.",
                   offsetof(struct ra_metrics, answers));
    tell_histogram(&telling, "decision_seconds",
                   "Time for which a request held its event loop: signatures, HSM and store.",
                   offsetof(struct ra_metrics, decisions));
    tell_connections(&telling);
    tell_loops(&telling);
    tell_store_and_cache(&telling);
    return telling.failed ? -1 : 0;
}
