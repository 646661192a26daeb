/*
 * answer.c: one request: where it goes, who may have it, which octets of it, or why not.
 */
#include "protocol/ra/http_range.h"
#include "protocol/ra/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/keyvalq_struct.h>
#include <openssl/crypto.h>
#include <openssl/ssl3.h>

#define UNSUPPORTED_TYPE 415
#define HEAD_ROOM 4096 /* more than the head of an answer takes */
#define CHUNK 65536    /* octets of a file on their way at a time, for each connection */

/* ---- the end of an answer ---- */

static void answer_clear(struct ra_answer *answer)
{
    ra_file_close(&answer->file);
    ra_etag_job_clear(&answer->job);
    if (answer->slice != NULL)
        event_free(answer->slice);
    memset(answer, 0, sizeof *answer);
    answer->file.fd = -1;
}

static void add_device(const struct ra_answer *answer, struct ra_line *line)
{
    char hex[17];

    if (!answer->has_hashedid8)
        return;
    for (size_t i = 0; i < 8; i++)
        snprintf(hex + 2 * i, 3, "%02X", (unsigned)answer->hashedid8[i]);
    ra_line_add(line, "hashedid8", "%s", hex);
}

static void log_answer(const struct ra_conn *conn, int priority, const char *event)
{
    const struct ra_answer *answer = &conn->answer;
    struct ra_line line = {.size = 0};

    ra_conn_line(conn, &line, event, NULL);
    ra_line_add(&line, "service", "%s", ra_route_service(conn->route));
    ra_line_add(&line, "status", "%d", answer->status);
    if (answer->name[0] != '\0')
        ra_line_add(&line, "file", "%s", answer->name);
    if (answer->request_hash[0] != '\0')
        ra_line_add(&line, "request_hash", "%s", answer->request_hash);
    ra_line_add(&line, "bytes", "%llu", (unsigned long long)answer->sent);
    if (answer->part)
        ra_line_add(&line, "range", "%llu-%llu/%llu", (unsigned long long)answer->first,
                    (unsigned long long)(answer->first + answer->sent + answer->left - 1),
                    (unsigned long long)answer->total);
    add_device(answer, &line);
    ra_line_add(&line, "resumed", "%s", SSL_session_reused(conn->ssl) ? "yes" : "no");
    ra_server_log(conn->loop->server, priority, &line);
}

static void count_answer(const struct ra_conn *conn, const char *result)
{
    struct ra_metrics *metrics = &conn->loop->metrics;

    ra_metrics_request(metrics, conn->route,
                       conn->answer.refused != NULL ? conn->answer.refused : result);
    ra_metrics_time(&metrics->answers[conn->route], ra_metrics_now() - conn->arrived);
}

/* evhttp has sent the whole answer. */
static void on_complete(struct evhttp_request *request, void *arg)
{
    struct ra_conn *conn = arg;

    (void)request;
    if (conn->answer.refused == NULL)
        log_answer(conn, LOG_INFO, "served");
    count_answer(conn, "served");
    answer_clear(&conn->answer);
    ra_conn_answered(conn);
}

void ra_answer_abort(struct ra_conn *conn)
{
    struct evhttp_request *request = conn->answer.request;

    if (request == NULL)
        return;
    if (conn->answer.refused == NULL)
        log_answer(conn, LOG_NOTICE, "aborted");
    count_answer(conn, "aborted");
    /* A request that was not answered to its end is ours alone once its connection has gone. */
    if (evhttp_request_get_connection(request) == NULL)
        evhttp_request_free(request);
    answer_clear(&conn->answer);
}

/* ---- the head of an answer ---- */

void ra_header_add(struct ra_conn *conn, const char *name, const char *value)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(conn->answer.request);

    if (evhttp_add_header(headers, name, value) != 0)
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
}

void ra_header_add_number(struct ra_conn *conn, const char *name, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    ra_header_add(conn, name, text);
}

/*
 * evhttp does not look whether what it prints into the output has found room: a head with a hole in
 * it would be sent.
 */
bool ra_head_begin(struct ra_conn *conn)
{
    if (evbuffer_expand(bufferevent_get_output(conn->bev), HEAD_ROOM) != 0)
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
    ra_conn_wait(conn, RA_WAIT_WRITE);
    return conn->state != RA_CONN_DEAD;
}

/* ---- refusals ---- */

static void log_refused(const struct ra_conn *conn, const char *reason, int code, int status,
                        const char *detail)
{
    struct ra_line line = {.size = 0};

    ra_conn_line(conn, &line, "refused", reason);
    ra_line_add(&line, "service", "%s", ra_route_service(conn->route));
    ra_line_add(&line, "code", "%d", code);
    if (status != 0)
        ra_line_add(&line, "status", "%d", status);
    else
        ra_line_add(&line, "status", "closed");
    add_device(&conn->answer, &line);
    if (detail[0] != '\0')
        ra_line_add(&line, "detail", "%s", detail);
    ra_server_log(conn->loop->server, LOG_NOTICE, &line);
}

/*
 * The one form of a refusal: no body, and the connection is closed.
 */
void ra_refuse(struct ra_conn *conn, const char *reason, int code, int qa_status,
               const char *detail)
{
    const struct scms_error *error = scms_error_find(code);
    bool qa = conn->loop->server->config.stage == RA_STAGE_QA;
    int status = qa ? qa_status : HTTP_INTERNAL;

    log_refused(conn, reason, code, status, detail);
    conn->answer.refused = reason;
    conn->closing = true;
    ra_header_add(conn, "Connection", "close");
    ra_header_add(conn, "Content-Length", "0");
    if (qa && error != NULL) {
        ra_header_add_number(conn, "SCMS-POC-Error", (uint64_t)code);
        ra_header_add(conn, "SCMS-POC-Error-Message", error->message);
    }
    if (status == HTTP_BADMETHOD)
        ra_header_add(conn, "Allow", ra_route_is_post(conn->route) ? "POST" : "GET, HEAD");
    if (!ra_head_begin(conn))
        return;
    evhttp_send_reply(conn->answer.request, status,
                      status == HTTP_NOTFOUND         ? "Not Found"
                      : status == HTTP_BADMETHOD      ? "Method Not Allowed"
                      : status == HTTP_ENTITYTOOLARGE ? "Request Entity Too Large"
                      : status == UNSUPPORTED_TYPE    ? "Unsupported Media Type"
                                                      : "Internal Server Error",
                      NULL);
}

void ra_refuse_decision(struct ra_conn *conn, const struct ra_decision *decision)
{
    const struct dot2_error *error = &decision->error;
    char detail[400];
    bool unknown;

    snprintf(detail, sizeof detail, "%s%s%s%s%s",
             error->status == DOT2_OK ? "" : dot2_status_name(error->status),
             error->status == DOT2_OK ? "" : " ", error->field,
             error->field[0] != '\0' && error->detail[0] != '\0' ? ": " : "", error->detail);
    if (conn->loop->server->config.on_auth_failure == RA_CLOSE) {
        log_refused(conn, ra_reason_name(decision->reason), decision->code, 0, detail);
        conn->answer.refused = ra_reason_name(decision->reason);
        ra_conn_kill(conn, LOG_DEBUG, NULL, NULL);
        return;
    }
    /* What is another device's is not there for this one: nothing tells the two apart. */
    unknown = decision->reason == RA_FILE_UNKNOWN || decision->reason == RA_FILE_OF_ANOTHER;
    ra_refuse(conn, ra_reason_name(decision->reason), decision->code,
              unknown ? HTTP_NOTFOUND : HTTP_INTERNAL, detail);
}

/* ---- octets ---- */

/*
 * Head and octets that are short enough for one TLS record become one: each piece in a buffer of
 * its own would be a record, and a call of write(), of its own.
 */
static void join_head(struct ra_conn *conn)
{
    struct evbuffer *output = bufferevent_get_output(conn->bev);

    if (evbuffer_get_length(output) <= SSL3_RT_MAX_PLAIN_LENGTH)
        (void)evbuffer_pullup(output, -1); /* works without it */
}

/* evcon is NULL the first time, behind the head. */
static void send_more(struct evhttp_connection *evcon, void *arg)
{
    struct ra_conn *conn = arg;
    struct ra_answer *answer = &conn->answer;
    struct evbuffer *buffer = NULL;
    struct evbuffer_iovec space;
    size_t want = answer->left < CHUNK ? (size_t)answer->left : CHUNK;
    ssize_t n;

    if (conn->state == RA_CONN_DEAD)
        return;
    if (answer->left == 0) {
        evhttp_send_reply_end(answer->request);
        return;
    }
    buffer = evbuffer_new();
    if (buffer == NULL || evbuffer_reserve_space(buffer, (ev_ssize_t)want, &space, 1) != 1) {
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        goto out;
    }
    do {
        n = pread(answer->file.fd, space.iov_base, want, (off_t)(answer->first + answer->sent));
    } while (n < 0 && errno == EINTR);
    /* The peer was promised Content-Length octets of one content: fewer, or others, are not sent
     * for them. */
    if (n <= 0 || !ra_file_unchanged(&answer->file)) {
        ra_conn_kill(conn, LOG_WARNING, "file_changed", answer->name);
        goto out;
    }
    space.iov_len = (size_t)n;
    if (evbuffer_commit_space(buffer, &space, 1) != 0) {
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        goto out;
    }
    answer->sent += (uint64_t)n;
    answer->left -= (uint64_t)n;
    evhttp_send_reply_chunk_with_cb(answer->request, buffer, send_more, conn);
    if (evcon == NULL)
        join_head(conn);
out:
    if (buffer != NULL)
        evbuffer_free(buffer);
}

static void send_head_only(struct ra_conn *conn, int status, const char *reason)
{
    conn->answer.status = status;
    if (ra_head_begin(conn))
        evhttp_send_reply(conn->answer.request, status, reason, NULL);
}

/* The validator is known: conditions, range, headers, octets. */
static void answer_file(struct ra_conn *conn)
{
    struct ra_answer *answer = &conn->answer;
    struct evhttp_request *request = answer->request;
    struct evkeyvalq *in = evhttp_request_get_input_headers(request);
    const char *none_match = evhttp_find_header(in, "If-None-Match");
    const char *if_range = evhttp_find_header(in, "If-Range");
    const char *range = evhttp_find_header(in, "Range");
    bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
    uint64_t size = (uint64_t)answer->file.st.st_size, first = 0, last = 0;
    enum ra_range part = RA_RANGE_WHOLE;
    char text[400];

    if (conn->loop->stopping)
        ra_header_add(conn, "Connection", "close");
    answer->total = size;
    ra_header_add(conn, "ETag", answer->etag);
    if (none_match != NULL && ra_if_none_match(none_match, answer->etag)) {
        send_head_only(conn, HTTP_NOTMODIFIED, "Not Modified");
        return;
    }
    ra_header_add(conn, "Accept-Ranges", "bytes");
    /* Range has a meaning with GET only (RFC 9110 section 14.2). */
    if (!head && (if_range == NULL || ra_if_range_matches(if_range, answer->etag)))
        part = ra_range_parse(range, size, &first, &last);
    if (part == RA_RANGE_UNSATISFIABLE) {
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
        ra_header_add(conn, "Content-Range", text);
        ra_header_add(conn, "Content-Length", "0");
        send_head_only(conn, 416, "Requested Range Not Satisfiable");
        return;
    }
    if (part == RA_RANGE_PART) {
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)first,
                 (unsigned long long)last, (unsigned long long)size);
        ra_header_add(conn, "Content-Range", text);
        answer->part = true;
        answer->first = first;
        answer->left = last - first + 1;
    } else {
        answer->left = size;
    }
    ra_header_add_number(conn, "Content-Length", answer->left);
    ra_header_add(conn, "Content-Type",
                  strstr(answer->name, ".zip") != NULL ? "application/zip"
                                                       : "application/octet-stream");
    snprintf(text, sizeof text, "attachment; filename=\"%s\"", answer->name);
    ra_header_add(conn, "Content-Disposition", text);
    if (head) {
        answer->left = 0;
        send_head_only(conn, HTTP_OK, "OK");
        return;
    }
    answer->status = part == RA_RANGE_PART ? 206 : HTTP_OK;
    if (!ra_head_begin(conn))
        return;
    evhttp_send_reply_start(request, answer->status,
                            part == RA_RANGE_PART ? "Partial Content" : "OK");
    send_more(NULL, conn);
}

static void on_slice(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval at_once = {0, 0};
    struct ra_conn *conn = arg;
    struct ra_answer *answer = &conn->answer;

    (void)fd;
    (void)what;
    if (conn->state == RA_CONN_DEAD)
        return;
    switch (ra_etag_step(conn->loop->etags, &answer->file, &answer->job, answer->etag)) {
    case RA_ETAG_READY:
        answer_file(conn);
        break;
    case RA_ETAG_MORE:
        if (answer->slice == NULL)
            answer->slice = evtimer_new(conn->loop->base, on_slice, conn);
        if (answer->slice == NULL || event_add(answer->slice, &at_once) != 0)
            ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        break;
    case RA_ETAG_FAILED:
        ra_conn_kill(conn, LOG_WARNING, "file_changed", answer->name);
        break;
    case RA_ETAG_MEMORY:
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        break;
    }
}

/* ---- the two kinds of services ---- */

bool ra_authorise_fill(struct ra_conn *conn, struct ra_authorise *in, struct ra_decision *decision)
{
    struct ra_server *server = conn->loop->server;

    *in = (struct ra_authorise){.crypto = server->crypto,
                                .store = server->store,
                                .tolerance = server->config.tolerance,
                                .max_header = server->config.max_header,
                                .require_secured = server->config.require_secured};
    pthread_mutex_lock(&server->lock);
    in->trust = dot2_trust_up_ref(server->trust);
    in->keys = ra_keys_up_ref(server->keys);
    pthread_mutex_unlock(&server->lock);
    if (dot2_time32_now(&in->now) == DOT2_OK)
        return true;
    decision->reason = RA_INTERNAL;
    decision->code = SCMS_RA_AUTHENTICATION_FAILED;
    snprintf(decision->error.detail, sizeof decision->error.detail, "the clock is outside Time32");
    return false;
}

void ra_authorise_clear(struct ra_authorise *in)
{
    dot2_trust_free(in->trust);
    ra_keys_free(in->keys);
}

static void answer_authenticated(struct ra_conn *conn, enum ra_service service)
{
    struct ra_server *server = conn->loop->server;
    struct ra_answer *answer = &conn->answer;
    const char *header =
        evhttp_find_header(evhttp_request_get_input_headers(answer->request), "Download-Req");
    struct ra_authorise in;
    struct ra_decision decision = {0};
    int error;

    if (ra_authorise_fill(conn, &in, &decision))
        ra_authorise_download(&in, service, header, header == NULL ? 0 : strlen(header), &decision);
    ra_authorise_clear(&in);
    answer->has_hashedid8 = decision.has_hashedid8;
    memcpy(answer->hashedid8, decision.hashedid8, sizeof answer->hashedid8);
    if (decision.reason != RA_ALLOWED) {
        ra_refuse_decision(conn, &decision);
        return;
    }
    memcpy(answer->name, decision.filename, sizeof decision.filename);
    error = ra_directory_open(server->directory, decision.filename, &answer->file);
    if (error != 0) {
        decision.reason = ra_file_cannot_look(error) ? RA_INTERNAL : RA_FILE_UNKNOWN;
        decision.code =
            service == RA_INFO ? SCMS_RA_NO_INFO_FILE_AVAILABLE : SCMS_RA_NO_CERT_FILE_AVAILABLE;
        snprintf(decision.error.detail, sizeof decision.error.detail, "%s: %s", decision.filename,
                 error == ELOOP ? "not a regular file" : strerror(error));
        ra_refuse_decision(conn, &decision);
        return;
    }
    on_slice(-1, 0, conn);
}

/* A file that anybody may have, and that could not be opened. */
static void refuse_file(struct ra_conn *conn, const char *path, int error, int code)
{
    bool away = ra_file_cannot_look(error);
    char detail[400];

    snprintf(detail, sizeof detail, "%s: %s", path,
             error == ELOOP ? "not a regular file" : strerror(error));
    ra_refuse(conn, ra_reason_name(away ? RA_INTERNAL : RA_FILE_UNKNOWN), code,
              away ? HTTP_INTERNAL : HTTP_NOTFOUND, detail);
}

static void answer_public(struct ra_conn *conn, char *const *configured, int code)
{
    struct ra_server *server = conn->loop->server;
    struct ra_answer *answer = &conn->answer;
    const char *name;
    char *path = NULL;
    bool served;
    int error;

    pthread_mutex_lock(&server->lock);
    served = *configured != NULL;
    if (served)
        path = OPENSSL_strdup(*configured);
    pthread_mutex_unlock(&server->lock);
    if (!served) {
        ra_refuse(conn, "not_served", SCMS_RA_INVALID_URL, HTTP_NOTFOUND, "");
        return;
    }
    if (path == NULL) {
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        return;
    }
    error = ra_file_open(AT_FDCWD, path, &answer->file);
    if (error != 0) {
        refuse_file(conn, path, error, code);
        goto out;
    }
    name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    snprintf(answer->name, sizeof answer->name, "%s", name);
    snprintf(answer->etag, sizeof answer->etag, "\"%s\"", name);
    answer_file(conn);
out:
    OPENSSL_free(path);
}

static void answer_crl(struct ra_conn *conn)
{
    struct ra_answer *answer = &conn->answer;
    const char *path = conn->loop->server->crl_file, *name = strrchr(path, '/');
    int error = ra_file_open(AT_FDCWD, path, &answer->file);

    if (error != 0) {
        refuse_file(conn, path, error, 0); /* the MA has no codes */
        return;
    }
    snprintf(answer->name, sizeof answer->name, "%s", name == NULL ? path : name + 1);
    on_slice(-1, 0, conn);
}

static void dispatch(struct ra_conn *conn)
{
    struct ra_server *server = conn->loop->server;

    switch (conn->early) {
    case RA_EARLY_NONE:
        break;
    case RA_EARLY_URL:
        ra_refuse(conn, "invalid_url", SCMS_RA_INVALID_URL, HTTP_NOTFOUND, "");
        return;
    case RA_EARLY_METHOD:
        ra_refuse(conn, "method", SCMS_RA_WRONG_PARAMETERS, HTTP_BADMETHOD, "");
        return;
    case RA_EARLY_TOO_LARGE:
        ra_refuse(conn, "body_too_large", SCMS_RA_WRONG_PARAMETERS, HTTP_ENTITYTOOLARGE, "");
        return;
    case RA_EARLY_EMPTY:
        ra_refuse(conn, "body_empty", SCMS_RA_WRONG_PARAMETERS, HTTP_INTERNAL, "");
        return;
    case RA_EARLY_TYPE:
        ra_refuse(conn, "content_type", SCMS_RA_WRONG_PARAMETERS, UNSUPPORTED_TYPE,
                  "not application/octet-stream");
        return;
    }
    switch (conn->route) {
    case RA_ROUTE_APPLICATION:
        answer_authenticated(conn, RA_APPLICATION_CERTIFICATE);
        break;
    case RA_ROUTE_IDENTITY:
        answer_authenticated(conn, RA_IDENTITY_CERTIFICATE);
        break;
    case RA_ROUTE_BATCH:
        answer_authenticated(conn, RA_BATCH);
        break;
    case RA_ROUTE_INFO:
        answer_authenticated(conn, RA_INFO);
        break;
    case RA_ROUTE_POLICY:
        answer_public(conn, &server->policy_file, SCMS_RA_NO_CERT_FILE_AVAILABLE);
        break;
    case RA_ROUTE_CHAIN:
        answer_public(conn, &server->chain_file, SCMS_RA_NO_PCA_CERTIFICATE_CHAIN_FILE_AVAILABLE);
        break;
    case RA_ROUTE_PROVISION_APP:
    case RA_ROUTE_PROVISION_ID:
    case RA_ROUTE_PROVISION_PSEUDONYM:
    case RA_ROUTE_RA_CERTIFICATE:
        ra_answer_post(conn);
        break;
    case RA_ROUTE_CRL:
        answer_crl(conn);
        break;
    case RA_ROUTE_NONE:
    case RA_ROUTES:
        ra_refuse(conn, "invalid_url", SCMS_RA_INVALID_URL, HTTP_NOTFOUND, "");
        break;
    }
}

void ra_answer_request(struct evhttp_request *request, void *arg)
{
    struct ra_loop *loop = arg;
    struct ra_conn *conn = ra_conn_of(loop->server, request);
    bufferevent_data_cb read_cb, write_cb;
    bufferevent_event_cb event_cb;
    struct evhttp_connection *evcon;
    int64_t begin = ra_metrics_now();
    enum ra_route route;
    void *cb_arg;

    if (conn == NULL || conn->state != RA_CONN_BUSY) {
        /* Not a request that came through the gate: nothing is said to it. */
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
        return;
    }
    evcon = evhttp_request_get_connection(request);
    /* evhttp ends the program if it is asked to read while a request is being answered, and
     * renewing a TLS key can make libevent ask. */
    bufferevent_getcb(conn->bev, &read_cb, &write_cb, &event_cb, &cb_arg);
    bufferevent_setcb(conn->bev, NULL, write_cb, event_cb, cb_arg);
    evhttp_connection_set_closecb(evcon, ra_conn_closed, conn);
    evhttp_request_set_on_complete_cb(request, on_complete, conn);
    answer_clear(&conn->answer);
    conn->answer.request = request;
    route = conn->route;
    atomic_store_explicit(&loop->metrics.busy_since, begin, memory_order_relaxed);
    dispatch(conn);
    atomic_store_explicit(&loop->metrics.busy_since, 0, memory_order_relaxed);
    ra_metrics_time(&loop->metrics.decisions[route], ra_metrics_now() - begin);
}
