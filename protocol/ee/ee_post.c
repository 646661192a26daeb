/* ee_post.c: one POST of a message to the RA, and its answer in memory. */
#include "protocol/ee/ee_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_MAX_SIZE 65536u
#define CONTENT_TYPE "application/octet-stream"

struct exchange {
    const struct ee_config *config;
    const struct ee_post *post;
    const struct ee_roots *roots;
    struct ee_post_result *result;
    struct ee_error *error;
    CURL *curl;
    struct ee_response response;
    enum ee_status status; /* set by a callback that ended the exchange */
    uint8_t *body;
    size_t sent, capacity, max_size;
    char curl_error[CURL_ERROR_SIZE];
};

/*
 * Called when the connection stands, TLS and the host name are checked, and before libcurl builds
 * the request: the first moment at which something may be signed (requirement S2).
 */
static int on_connected(void *arg, char *primary_ip, char *local_ip, int primary_port,
                        int local_port)
{
    struct exchange *e = arg;
    struct ee_download_result tls;
    uint8_t hash[48];
    size_t size = 0;

    (void)primary_ip;
    (void)local_ip;
    (void)primary_port;
    (void)local_port;
    e->status = ee_tls_check(e->curl, e->roots, &tls, e->error);
    if (e->status == EE_OK && e->body != NULL)
        e->status = ee_fail(e->error, EE_E_UNREACHABLE, "the connection ended before an answer");
    if (e->status == EE_OK)
        e->status = e->post->build(e->post->build_arg, &e->body, &size, e->error);
    if (e->status == EE_OK && size != e->post->size)
        e->status = ee_fail(e->error, EE_E_ARGUMENT,
                            "a body of %zu octets where %zu were announced", size, e->post->size);
    if (e->status == EE_OK &&
        dot2_hash(e->config->crypto, DOT2_CURVE_P256, e->body, size, hash) != DOT2_OK)
        e->status = ee_fail(e->error, EE_E_SIGN, "the request cannot be hashed");
    if (e->status != EE_OK)
        return CURL_PREREQFUNC_ABORT;
    memcpy(e->result->request_hash, hash + 24, sizeof(e->result->request_hash));
    e->result->sent = true;
    return CURL_PREREQFUNC_OK;
}

static size_t on_read(char *buffer, size_t unit, size_t count, void *arg)
{
    struct exchange *e = arg;
    size_t room = unit * count, rest = e->post->size - e->sent;

    if (room > rest)
        room = rest;
    if (e->body == NULL)
        return CURL_READFUNC_ABORT;
    if (room > 0)
        memcpy(buffer, e->body + e->sent, room);
    e->sent += room;
    return room;
}

/* Nothing is sent twice: a request that may have arrived is not repeated behind the caller. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    (void)arg;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

static size_t on_header(char *line, size_t unit, size_t size, void *arg)
{
    struct exchange *e = arg;

    (void)unit;
    if (!ee_response_line(&e->response, line, size)) {
        e->status = ee_fail(e->error, EE_E_RESPONSE, "the answer's headers are too large");
        return CURL_WRITEFUNC_ERROR;
    }
    return size;
}

static enum ee_status take_body(struct exchange *e, const char *octets, size_t size)
{
    struct ee_post_result *result = e->result;
    uint8_t *larger;

    if (e->response.status != 200)
        return EE_OK;
    if (size > e->max_size - result->size)
        return ee_fail(e->error, EE_E_RESPONSE, "an answer of more than %zu octets", e->max_size);
    if (result->size + size > e->capacity) {
        e->capacity = 2 * (result->size + size);
        larger = OPENSSL_realloc(result->body, e->capacity);
        if (larger == NULL)
            return ee_fail(e->error, EE_E_MEMORY, "out of memory");
        result->body = larger;
    }
    memcpy(result->body + result->size, octets, size);
    result->size += size;
    return EE_OK;
}

static size_t on_body(char *octets, size_t unit, size_t size, void *arg)
{
    struct exchange *e = arg;

    (void)unit;
    if (size > 0)
        e->status = take_body(e, octets, size);
    return e->status == EE_OK ? size : CURL_WRITEFUNC_ERROR;
}

static CURLcode configure(struct exchange *e, const struct ee_url *url, struct curl_slist *resolve,
                          struct curl_slist *headers)
{
    CURLcode code = ee_curl_configure(e->curl, e->config, url, e->post->path, e->roots, resolve);

#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(e->curl, option, value)
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)e->post->size);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_ERRORBUFFER, e->curl_error);
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, e);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, e);
    SET(CURLOPT_SEEKFUNCTION, on_seek);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, e);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, e);
#undef SET
    return code;
}

/* The media type alone; parameters after it are none of ours. */
static bool octet_stream(CURL *curl)
{
    const size_t length = sizeof(CONTENT_TYPE) - 1;
    char *type = NULL;

    return curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type != NULL &&
           strncasecmp(type, CONTENT_TYPE, length) == 0 &&
           (type[length] == '\0' || type[length] == ';' || type[length] == ' ');
}

static enum ee_status judge(struct exchange *e)
{
    const struct ee_response *r = &e->response;

    if (r->status >= 400)
        return ee_response_refused(r, e->error);
    if (r->status != 200)
        return ee_fail(e->error, EE_E_RESPONSE, "status %ld", r->status);
    if (r->encoded)
        return ee_fail(e->error, EE_E_RESPONSE, "a Content-Encoding that nobody asked for");
    if (!octet_stream(e->curl))
        return ee_fail(e->error, EE_E_RESPONSE, "an answer that is not " CONTENT_TYPE);
    if (e->result->size == 0)
        return ee_fail(e->error, EE_E_RESPONSE, "an empty answer");
    return EE_OK;
}

static enum ee_status run(struct exchange *e, const struct ee_url *url)
{
    static const char *const lines[] = {"Content-Type: " CONTENT_TYPE, "Accept: " CONTENT_TYPE,
                                        "Expect:"};
    struct curl_slist *headers = NULL, *resolve = NULL, *longer;
    enum ee_status status = EE_OK;
    CURLcode code;

    e->curl = curl_easy_init();
    if (e->config->resolve != NULL)
        resolve = curl_slist_append(NULL, e->config->resolve);
    if (e->curl == NULL || (e->config->resolve != NULL && resolve == NULL))
        status = ee_fail(e->error, EE_E_MEMORY, "out of memory");
    for (size_t i = 0; status == EE_OK && i < sizeof(lines) / sizeof(lines[0]); i++) {
        longer = curl_slist_append(headers, lines[i]);
        if (longer == NULL)
            status = ee_fail(e->error, EE_E_MEMORY, "out of memory");
        else
            headers = longer;
    }
    if (status != EE_OK)
        goto out;
    code = configure(e, url, resolve, headers);
    if (code != CURLE_OK) {
        status = ee_fail(e->error, EE_E_ARGUMENT, "libcurl does not take a setting: %s",
                         curl_easy_strerror(code));
        goto out;
    }
    code = curl_easy_perform(e->curl);
    if (e->error != NULL)
        e->error->http_status = e->response.status;
    if (e->status != EE_OK)
        status = e->status;
    else if (code != CURLE_OK && e->response.status < 400)
        status = ee_curl_failed(code, e->curl_error, e->result->sent && e->response.status == 0,
                                e->error);
    else
        status = judge(e);
out:
    curl_easy_cleanup(e->curl);
    curl_slist_free_all(headers);
    curl_slist_free_all(resolve);
    return status;
}

enum ee_status ee_post(const struct ee_config *config, const struct ee_post *post,
                       struct ee_post_result *result, struct ee_error *error)
{
    struct ee_roots roots = {NULL, 0, NULL};
    struct exchange e = {.config = config,
                         .post = post,
                         .roots = &roots,
                         .result = result,
                         .error = error,
                         .max_size = post->max_size != 0 ? post->max_size : DEFAULT_MAX_SIZE};
    enum ee_status status;
    struct ee_url url;

    memset(result, 0, sizeof(*result));
    if (error != NULL)
        memset(error, 0, sizeof(*error));
    status = ee_url_parse(config->ra_url, &url, error);
    if (status == EE_OK && config->resolve != NULL)
        status = ee_url_check_resolve(&url, config->resolve, error);
    if (status == EE_OK && (!ee_url_path_valid(post->path) || post->build == NULL ||
                            post->size == 0 || config->crypto == NULL))
        status = ee_fail(error, EE_E_ARGUMENT, "nothing to post, or nowhere to post it");
    if (status == EE_OK)
        status = ee_roots_load(&roots, config->tls_root, error);
    if (status == EE_OK)
        status = ee_curl_start(error);
    if (status == EE_OK)
        status = run(&e, &url);
    if (status != EE_OK)
        ee_post_result_clear(result);
    OPENSSL_free(e.body);
    ee_roots_clear(&roots);
    return status;
}

void ee_post_result_clear(struct ee_post_result *result)
{
    OPENSSL_free(result->body);
    result->body = NULL;
    result->size = 0;
}
