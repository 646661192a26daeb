/* answer.c: one request: where it goes, who may have it, or why not. */
#include "protocol/ra/server_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <event2/keyvalq_struct.h>
#include <openssl/crypto.h>

#define UNSUPPORTED_TYPE 415
#define HEAD_ROOM 4096 /* more than the head of an answer takes */

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
    ra_file_send(conn);
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
    ra_file_send_now(conn);
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
    ra_file_send(conn);
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
