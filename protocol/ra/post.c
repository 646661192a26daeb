/*
 * post.c: what is answered to a POST.
 *
 * The decision, with the token's part and the store's, is made in the thread of the loop: a slow
 * token or disk holds up the connections of one loop. Several loops (threads) are the answer to
 * that.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/ra/decide.h"
#include "protocol/ra/server_internal.h"

static void send_octets(struct ra_conn *conn, const uint8_t *octets, size_t size)
{
    struct evhttp_request *request = conn->answer.request;
    struct evbuffer *buffer = evbuffer_new();

    if (buffer == NULL || evbuffer_add(buffer, octets, size) != 0) {
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
        goto out;
    }
    ra_header_add_number(conn, "Content-Length", size);
    ra_header_add(conn, "Content-Type", "application/octet-stream");
    if (conn->loop->stopping)
        ra_header_add(conn, "Connection", "close");
    conn->answer.status = HTTP_OK;
    if (!ra_head_begin(conn))
        goto out;
    conn->answer.sent = conn->answer.total = size;
    evhttp_send_reply(request, HTTP_OK, "OK", buffer);
out:
    if (buffer != NULL)
        evbuffer_free(buffer);
}

static void answer_provision(struct ra_conn *conn, enum scms_provision kind, const uint8_t *body,
                             size_t size)
{
    struct ra_server *server = conn->loop->server;
    struct ra_provision provision = server->config.provision;
    struct ra_decision decision = {0};
    struct ra_answer *answer = &conn->answer;
    struct ra_authorise in;
    uint8_t *ack = NULL;
    size_t ack_size = 0;
    char url[256];

    provision.url = url;
    provision.max_request_age = atomic_load(&server->max_request_age);
    provision.max_supply = atomic_load(&server->max_supply);
    provision.psids = server->psids[kind];
    provision.psid_count = server->config.psid_counts[kind];
    if (ra_authorise_fill(conn, &in, &decision)) {
        if (in.keys != NULL && ra_url(server, in.keys, in.now, kind, url)) {
            ra_authorise_provision(&in, &provision, kind, body, size, &decision, &ack, &ack_size);
        } else {
            decision.reason = RA_INTERNAL;
            decision.code = SCMS_RA_AUTHENTICATION_FAILED;
            snprintf(decision.error.detail, sizeof decision.error.detail,
                     "no certificate of the RA that signs is valid now");
        }
    }
    ra_authorise_clear(&in);
    answer->has_hashedid8 = decision.has_hashedid8;
    memcpy(answer->hashedid8, decision.hashedid8, sizeof answer->hashedid8);
    memcpy(answer->request_hash, decision.request_hash, sizeof answer->request_hash);
    if (decision.reason == RA_ALLOWED)
        send_octets(conn, ack, ack_size);
    else
        ra_refuse_decision(conn, &decision);
    OPENSSL_free(ack);
}

/* The newest of our certificates, to anybody who sends the one request of this service. */
static void answer_ra_certificate(struct ra_conn *conn, const ra_keys *keys, const uint8_t *body,
                                  size_t size)
{
    struct dot2_error error = {0};
    const struct ra_key *key = NULL;
    const uint8_t *octets;
    enum dot2_status status;
    uint32_t now;
    size_t octets_size = 0;

    status = scms_ra_cert_request_parse(body, size, &error);
    if (status != DOT2_OK) {
        ra_refuse(conn, ra_reason_name(ra_is_internal(status) ? RA_INTERNAL : RA_REQUEST_MALFORMED),
                  SCMS_RA_WRONG_PARAMETERS, HTTP_INTERNAL, error.detail);
        return;
    }
    if (dot2_time32_now(&now) == DOT2_OK)
        key = ra_keys_newest(keys, now);
    if (key == NULL) {
        ra_refuse(conn, ra_reason_name(RA_INTERNAL), SCMS_RA_NO_CERT_FILE_AVAILABLE, HTTP_INTERNAL,
                  "no certificate of the RA that signs is valid now");
        return;
    }
    octets = dot2_cert_octets(key->cert, &octets_size);
    send_octets(conn, octets, octets_size);
}

void ra_answer_post(struct ra_conn *conn)
{
    struct ra_server *server = conn->loop->server;
    size_t size = evbuffer_get_length(conn->body);
    const uint8_t *body = evbuffer_pullup(conn->body, -1);
    ra_keys *keys;

    pthread_mutex_lock(&server->lock);
    keys = ra_keys_up_ref(server->keys);
    pthread_mutex_unlock(&server->lock);
    if (keys == NULL)
        ra_refuse(conn, "not_served", SCMS_RA_INVALID_URL, HTTP_NOTFOUND, "there is no ra-key");
    else if (body == NULL)
        ra_conn_kill(conn, LOG_ERR, "memory", NULL);
    else if (conn->route == RA_ROUTE_PROVISION_APP)
        answer_provision(conn, SCMS_PROVISION_APP, body, size);
    else if (conn->route == RA_ROUTE_PROVISION_ID)
        answer_provision(conn, SCMS_PROVISION_ID, body, size);
    else if (conn->route == RA_ROUTE_PROVISION_PSEUDONYM)
        answer_provision(conn, SCMS_PROVISION_PSEUDONYM, body, size);
    else
        answer_ra_certificate(conn, keys, body, size);
    ra_keys_free(keys);
}
