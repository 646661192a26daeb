#include "protocol/ee/ee_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Octets of an answer's body that are read and thrown away so that the connection can go on. */
#define IGNORED_MAX 65536u

static enum ee_status add_header(struct ee_transfer *t, struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);

    if (longer == NULL)
        return ee_fail(t->error, EE_E_MEMORY, "out of memory");
    *list = longer;
    return EE_OK;
}

static enum ee_status add_range(struct ee_transfer *t, struct curl_slist **list)
{
    char line[300];
    enum ee_status status;

    t->ranged = t->part->size > 0;
    if (!t->ranged)
        return EE_OK;
    snprintf(line, sizeof(line), "Range: bytes=%" PRIu64 "-", t->part->size);
    status = add_header(t, list, line);
    if (status != EE_OK)
        return status;
    snprintf(line, sizeof(line), "If-Range: %s", t->part->etag);
    return add_header(t, list, line);
}

static enum ee_status add_have(struct ee_transfer *t, struct curl_slist **list)
{
    const char *have = t->download->have;
    char line[300];

    if (have == NULL)
        return EE_OK;
    snprintf(line, sizeof(line),
             ee_etag_valid(have) ? "If-None-Match: %s" : "If-None-Match: \"%s\"", have);
    return add_header(t, list, line);
}

static enum ee_status add_signed_request(struct ee_transfer *t, struct curl_slist **list)
{
    enum ee_status status;
    char *line = NULL;

    if (t->download->filename == NULL)
        return EE_OK;
    status =
        ee_request_header(t->config, t->download->filename, &t->result->timestamp, &line, t->error);
    if (status == EE_OK) {
        t->result->signatures++;
        status = add_header(t, list, line);
    }
    OPENSSL_free(line);
    return status;
}

/*
 * Called when the connection stands, TLS and the host name are checked, and before libcurl builds
 * the request: the one place where a signature is fresh and no false RA gets it. libcurl reads
 * CURLOPT_HTTPHEADER after this returns; it is called again for every request, on a connection
 * that is used again and on one that was made anew.
 */
static int on_connected(void *arg, char *primary_ip, char *local_ip, int primary_port,
                        int local_port)
{
    struct ee_transfer *t = arg;
    struct curl_slist *list = NULL;

    (void)primary_ip;
    (void)local_ip;
    (void)primary_port;
    (void)local_port;
    t->status = ee_tls_check(t->curl, t->roots, t->result, t->error);
    if (t->status == EE_OK)
        t->status = add_range(t, &list);
    if (t->status == EE_OK)
        t->status = add_have(t, &list);
    if (t->status == EE_OK)
        t->status = add_signed_request(t, &list);
    if (t->status == EE_OK && curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, list) != CURLE_OK)
        t->status = ee_fail(t->error, EE_E_MEMORY, "out of memory");
    if (t->status != EE_OK) {
        curl_slist_free_all(list);
        return CURL_PREREQFUNC_ABORT;
    }
    curl_slist_free_all(t->headers);
    t->headers = list;
    t->requested = true;
    return CURL_PREREQFUNC_OK;
}

static enum ee_status too_large(struct ee_transfer *t, uint64_t size)
{
    ee_part_discard(t->part);
    return ee_fail(t->error, EE_E_RESPONSE,
                   "the file is larger than the limit (%" PRIu64 " of %" PRIu64 " octets)", size,
                   t->max_size);
}

/* 206: our start, the whole to its end, and the total and version that the part is of. */
static enum ee_status accept_rest(struct ee_transfer *t)
{
    const struct ee_response *r = &t->response;
    struct ee_part *part = t->part;

    if (!t->ranged)
        return ee_fail(t->error, EE_E_RESPONSE, "206 without a range having been asked for");
    if (!r->has_range)
        return ee_fail(t->error, EE_E_RESPONSE, "206 without a Content-Range of octets");
    if (r->range_start != part->size || r->range_end != r->range_total - 1 ||
        (part->has_total && r->range_total != part->total))
        return ee_fail(t->error, EE_E_RESPONSE,
                       "206 with octets %" PRIu64 "-%" PRIu64 " of %" PRIu64 " where %" PRIu64
                       "- was asked for",
                       r->range_start, r->range_end, r->range_total, part->size);
    if (r->has_length && r->length != r->range_end - r->range_start + 1)
        return ee_fail(t->error, EE_E_RESPONSE, "206 whose Content-Length is not its range's");
    if (r->etag[0] != '\0' && strcmp(r->etag, part->etag) != 0)
        return ee_fail(t->error, EE_E_RESPONSE, "206 with the ETag of another version");
    if (r->range_total > t->max_size)
        return too_large(t, r->range_total);
    part->has_total = true;
    part->total = r->range_total;
    return EE_OK;
}

/* 200: the whole file, whatever was asked for. */
static enum ee_status accept_whole(struct ee_transfer *t)
{
    const struct ee_response *r = &t->response;

    if (!r->has_length && !r->chunked)
        return ee_fail(t->error, EE_E_RESPONSE, "a file without its length");
    if (r->has_length && r->length > t->max_size)
        return too_large(t, r->length);
    return ee_part_begin(t->part, ee_response_etag_strong(r) ? r->etag : "", r->has_length,
                         r->length, t->error);
}

/* All headers are there: what is this answer? */
static enum ee_status on_headers(struct ee_transfer *t)
{
    const struct ee_response *r = &t->response;

    if (r->malformed != NULL)
        return ee_fail(t->error, EE_E_RESPONSE, "the answer's %s cannot be used", r->malformed);
    if (r->has_length && r->chunked)
        return ee_fail(t->error, EE_E_RESPONSE, "an answer with two lengths");
    if (r->status != 200 && r->status != 206)
        return EE_OK;
    if (r->encoded)
        return ee_fail(t->error, EE_E_RESPONSE, "a Content-Encoding that nobody asked for");
    return r->status == 200 ? accept_whole(t) : accept_rest(t);
}

static size_t on_header(char *line, size_t unit, size_t size, void *arg)
{
    struct ee_transfer *t = arg;
    bool before = t->response.complete;

    (void)unit;
    if (!ee_response_line(&t->response, line, size)) {
        t->status = ee_fail(t->error, EE_E_RESPONSE, "the answer's headers are too large");
        return CURL_WRITEFUNC_ERROR;
    }
    if (t->response.complete && !before && t->response.status >= 200)
        t->status = on_headers(t);
    return t->status == EE_OK ? size : CURL_WRITEFUNC_ERROR;
}

static bool progress(struct ee_transfer *t)
{
    const struct ee_download *d = t->download;

    if (d->progress == NULL)
        return true;
    return d->progress(d->progress_arg, t->part->size, t->part->has_total ? t->part->total : 0);
}

static enum ee_status take_body(struct ee_transfer *t, const char *octets, size_t size)
{
    struct ee_part *part = t->part;
    uint64_t limit = part->has_total ? part->total : t->max_size;
    enum ee_status status;

    if (t->response.status != 200 && t->response.status != 206) {
        t->ignored += size;
        if (t->ignored <= IGNORED_MAX)
            return EE_OK;
        return ee_fail(t->error, EE_E_RESPONSE, "an answer %ld with a long body",
                       t->response.status);
    }
    if (size > limit - part->size)
        return part->has_total
                   ? ee_fail(t->error, EE_E_RESPONSE, "more octets than the answer announced")
                   : too_large(t, part->size + size);
    status = ee_part_write(part, octets, size, t->error);
    if (status != EE_OK)
        return status;
    t->result->received += size;
    if (!progress(t))
        return ee_fail(t->error, EE_E_ABORTED, "stopped after %" PRIu64 " octets", part->size);
    return EE_OK;
}

static size_t on_body(char *octets, size_t unit, size_t size, void *arg)
{
    struct ee_transfer *t = arg;

    (void)unit;
    t->status = take_body(t, octets, size);
    return t->status == EE_OK ? size : CURL_WRITEFUNC_ERROR;
}

/* About once a second, so that a user can stop a transfer in which nothing moves. */
static int on_tick(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                   curl_off_t up)
{
    struct ee_transfer *t = arg;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    if (t->status != EE_OK || progress(t))
        return 0;
    t->status = ee_fail(t->error, EE_E_ABORTED, "stopped after %" PRIu64 " octets", t->part->size);
    return 1;
}

static CURLcode configure(struct ee_transfer *t, const char *path)
{
    CURLcode code = ee_curl_configure(t->curl, t->config, t->url, path, t->roots, t->resolve);

#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(t->curl, option, value)
    SET(CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)t->limit_rate);
    SET(CURLOPT_ERRORBUFFER, t->curl_error);
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, t);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_tick);
    SET(CURLOPT_XFERINFODATA, t);
#undef SET
    return code;
}

enum ee_status ee_transfer_new(struct ee_transfer *t)
{
    CURLcode code;

    t->curl = curl_easy_init();
    if (t->curl == NULL)
        return ee_fail(t->error, EE_E_MEMORY, "out of memory");
    if (t->config->resolve != NULL) {
        t->resolve = curl_slist_append(NULL, t->config->resolve);
        if (t->resolve == NULL)
            return ee_fail(t->error, EE_E_MEMORY, "out of memory");
    }
    code = configure(t, t->download->path);
    if (code != CURLE_OK)
        return ee_fail(t->error, EE_E_ARGUMENT, "libcurl does not take a setting: %s",
                       curl_easy_strerror(code));
    return EE_OK;
}

static enum ee_status connection_failed(struct ee_transfer *t, CURLcode code)
{
    bool unanswered = t->requested && t->response.status == 0;
    enum ee_status status = ee_curl_failed(code, t->curl_error, unanswered, t->error);

    if (status == EE_E_UNREACHABLE && t->part->size > 0 && t->part->etag[0] != '\0')
        return ee_fail(t->error, EE_E_UNREACHABLE,
                       "%s; %" PRIu64 " octets are kept, and the next try goes on there",
                       t->curl_error[0] != '\0' ? t->curl_error : curl_easy_strerror(code),
                       t->part->size);
    return status;
}

static enum ee_status judge(struct ee_transfer *t)
{
    const struct ee_response *r = &t->response;

    switch (r->status) {
    case 200:
    case 206:
        if (!t->part->has_total) {
            t->part->has_total = true;
            t->part->total = t->part->size;
        }
        if (t->part->size != t->part->total)
            return ee_fail(t->error, EE_E_UNREACHABLE,
                           "the answer ended after %" PRIu64 " of %" PRIu64 " octets",
                           t->part->size, t->part->total);
        return EE_OK;
    case 304:
        if (t->download->have == NULL)
            return ee_fail(t->error, EE_E_RESPONSE, "304 without a version having been named");
        return EE_NOT_MODIFIED;
    case 416:
        if (!t->ranged)
            return ee_response_refused(r, t->error);
        return EE_OK;
    default:
        if (r->status >= 400)
            return ee_response_refused(r, t->error);
        if (r->status >= 300)
            return ee_fail(t->error, EE_E_RESPONSE,
                           "a redirection (status %ld), which is not followed", r->status);
        return ee_fail(t->error, EE_E_RESPONSE, "status %ld", r->status);
    }
}

enum ee_status ee_transfer_run(struct ee_transfer *t)
{
    CURLcode code;

    memset(&t->response, 0, sizeof(t->response));
    t->status = EE_OK;
    t->requested = false;
    t->ranged = false;
    t->ignored = 0;
    t->curl_error[0] = '\0';
    code = curl_easy_perform(t->curl);
    if (t->error != NULL)
        t->error->http_status = t->response.status;
    if (t->status != EE_OK)
        return t->status;
    if (code != CURLE_OK)
        return connection_failed(t, code);
    return judge(t);
}

void ee_transfer_clear(struct ee_transfer *t)
{
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->resolve);
    t->curl = NULL;
    t->headers = t->resolve = NULL;
}
