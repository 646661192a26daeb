#include "tests/ra/posting.h"

#include <openssl/sha.h>

void octets_clear(struct octets *octets)
{
    OPENSSL_free(octets->data);
    memset(octets, 0, sizeof *octets);
}

void posting_make_keys(struct posting *posting)
{
    struct lab *lab = posting->lab;
    struct dot2_error error = {0};
    size_t which;

    posting->old = lab_ra(lab, -7200, 1000, &posting->old_decrypt);
    posting->newest = lab_ra(lab, -60, 1000, &posting->newest_decrypt);
    posting->stranger = lab_ra(lab, -60, 1000, &posting->stranger_decrypt);
    {
        /* The order is not that of their age. */
        const struct ra_key list[] = {
            {posting->old.cert, posting->old.key, posting->old_decrypt},
            {posting->newest.cert, posting->newest.key, posting->newest_decrypt}};

        if (ra_keys_new(lab->crypto, list, 2, &posting->keys, &which, &error) != DOT2_OK)
            fail_msg("%s: %s", error.field, error.detail);
    }
    assert_int_equal(dot2_trust_new(lab->crypto, NULL, &posting->trust), DOT2_OK);
    assert_int_equal(dot2_trust_add_anchor(posting->trust, lab->root.cert), DOT2_OK);
    assert_int_equal(dot2_trust_add(posting->trust, posting->old.cert), DOT2_OK);
    assert_int_equal(dot2_trust_add(posting->trust, posting->newest.cert), DOT2_OK);
}

struct posting *posting_start(const struct ra_server_config *config)
{
    struct ra_server_config whole = {
        .stage = RA_STAGE_QA, .tolerance = UINT32_MAX, .provision = ra_provision_default()};
    struct posting *posting = calloc(1, sizeof *posting);

    assert_non_null(posting);
    posting->lab = lab_new();
    posting_make_keys(posting);
    if (config != NULL)
        whole = *config;
    whole.keys = posting->keys;
    posting->served = served_start(posting->lab, &whole);
    return posting;
}

void posting_stop(struct posting *posting)
{
    struct lab *lab = posting->lab;

    if (posting->served->program != 0)
        posting_program_stop(posting);
    else
        served_stop(posting->served);
    ra_keys_free(posting->keys);
    dot2_trust_free(posting->trust);
    lab_cert_clear(&posting->old);
    lab_cert_clear(&posting->newest);
    lab_cert_clear(&posting->stranger);
    EVP_PKEY_free(posting->old_decrypt);
    EVP_PKEY_free(posting->newest_decrypt);
    EVP_PKEY_free(posting->stranger_decrypt);
    lab_free(lab);
    free(posting);
}

int posting_setup(void **state)
{
    *state = posting_start(NULL);
    return 0;
}

int posting_teardown(void **state)
{
    posting_stop(*state);
    return 0;
}

struct lab_cert posting_device(struct posting *posting)
{
    return lab_issue(posting->lab, &posting->lab->eca, NULL);
}

/* An x, near the one that is there, of which there is no point on P-256. */
void posting_leave_curve(struct posting *posting, uint8_t point[33])
{
    struct lab *lab = posting->lab;
    EVP_PKEY *key = NULL;

    do {
        EVP_PKEY_free(key);
        key = NULL;
        point[32]++;
    } while (dot2_public_key(lab->crypto, DOT2_CURVE_P256, point, 33, &key, NULL) == DOT2_OK);
}

struct octets wish_tbs(struct posting *posting, const struct wish *wish)
{
    static const struct wish good = {.time = 0};
    struct lab *lab = posting->lab;
    struct dot2_error error = {0};
    struct octets tbs = {NULL, 0};
    EVP_PKEY *fresh = NULL, *response;
    uint32_t now;
    enum dot2_status status;
    bool app;

    if (wish == NULL)
        wish = &good;
    app = wish->kind == 0 || wish->kind == SCMS_PROVISION_APP;
    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    fresh = wish->verify == NULL ? lab_key(lab) : NULL;
    response = lab_key(lab);
    if (app) {
        struct scms_app_request request = {
            .verify_key = fresh == NULL ? wish->verify : fresh,
            .cert_encryption_key = wish->cert_encryption,
            .response_encryption_key = wish->response == NULL ? response : wish->response,
            .current_time = (uint32_t)((int64_t)now + wish->time),
            .requested_start_time = (uint32_t)((int64_t)now + wish->start)};

        status = scms_app_request_build(&request, &tbs.data, &tbs.size, &error);
    } else {
        struct scms_butterfly_request request = {
            .kind = wish->kind,
            .verify = {.seed_key = fresh == NULL ? wish->verify : fresh},
            .cert_encryption = {.seed_key = wish->cert_encryption},
            .response_encryption = {.seed_key = wish->response == NULL ? response : wish->response},
            .current_time = (uint32_t)((int64_t)now + wish->time),
            .requested_start_time = (uint32_t)((int64_t)now + wish->start)};

        status = scms_butterfly_request_build(&request, &tbs.data, &tbs.size, &error);
    }
    if (status != DOT2_OK)
        fail_msg("%s %s: %s", dot2_status_name(status), error.field, error.detail);
    if (wish->off_curve) {
        /* 01 83 86 00 01 80 82|83 x; of the others 01 83 82|84 00 01 82|83 x. An identification
         * request has a bit map of one optional field where the others have none. */
        uint8_t point[33], *x = tbs.data + (app ? 7 : 6);

        assert_true(x[-1] == 0x82 || x[-1] == 0x83);
        point[0] = (uint8_t)(x[-1] & 3);
        memcpy(point + 1, x, 32);
        posting_leave_curve(posting, point);
        memcpy(x, point + 1, 32);
    }
    EVP_PKEY_free(fresh);
    EVP_PKEY_free(response);
    return tbs;
}

struct octets signed_by(struct posting *posting, const struct lab_cert *device,
                        const struct octets *tbs)
{
    struct dot2_error error = {0};
    struct octets octets = {NULL, 0};
    enum dot2_status status =
        scms_signed_request_build(posting->lab->crypto, device->key, device->cert, tbs->data,
                                  tbs->size, &octets.data, &octets.size, &error);

    if (status != DOT2_OK)
        fail_msg("%s %s: %s", dot2_status_name(status), error.field, error.detail);
    return octets;
}

struct octets secured_to(struct posting *posting, const dot2_cert *ra, const struct octets *request)
{
    struct dot2_error error = {0};
    struct octets octets = {NULL, 0};
    enum dot2_status status = scms_secured_build(posting->lab->crypto, ra, request->data,
                                                 request->size, &octets.data, &octets.size, &error);

    if (status != DOT2_OK)
        fail_msg("%s %s: %s", dot2_status_name(status), error.field, error.detail);
    return octets;
}

struct octets posting_body(struct posting *posting, const struct lab_cert *device,
                           const struct wish *wish)
{
    struct octets tbs = wish_tbs(posting, wish), request = signed_by(posting, device, &tbs);
    struct octets body = secured_to(posting, posting->newest.cert, &request);

    octets_clear(&tbs);
    octets_clear(&request);
    return body;
}

struct response post_on(struct client *client, const char *path, const char *headers,
                        const struct octets *body)
{
    char head[600];
    int n = snprintf(head, sizeof head,
                     "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n", path,
                     body->size, headers);

    assert_true(n > 0 && (size_t)n < sizeof head);
    client_say(client, head);
    client_send(client, body->data, body->size);
    return client_read(client, false);
}

struct response post(struct posting *posting, const char *path, const char *headers,
                     const struct octets *body)
{
    struct client *client = client_open(posting->served, NULL);
    struct response response;

    assert_non_null(client);
    response = post_on(client, path, headers, body);
    client_close(client);
    return response;
}

void assert_ack(struct posting *posting, struct response *response, const struct octets *body,
                enum scms_provision kind, const char *url_end)
{
    struct dot2_error error = {0};
    struct scms_ack ack;
    uint8_t hash[32];
    uint32_t now;
    char url[300];

    if (response->status != 200)
        fail_msg("%d %s\n%s", response->status, response_header(response, "SCMS-POC-Error-Message"),
                 posting->served->log);
    assert_string_equal(response_header(response, "Content-Type"), "application/octet-stream");
    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    if (scms_ack_open(posting->trust, posting->newest.cert, now, response->body, response->size,
                      &ack, &error) != DOT2_OK)
        fail_msg("%s: %s", error.field, error.detail);
    assert_int_equal(ack.kind, kind);
    SHA256(body->data, body->size, hash);
    assert_memory_equal(ack.request_hash, hash + 24, 8);
    assert_in_range(ack.download_time, now + 3600 - 5, now + 3600);
    snprintf(url, sizeof url, "https://localhost:%u%s", posting->served->port, url_end);
    assert_string_equal(ack.url, url);
    response_clear(response);
}

void assert_refused_as(struct posting *posting, struct response *response, int code,
                       const char *reason)
{
    char text[100];
    const char *got = response_header(response, "SCMS-POC-Error");

    snprintf(text, sizeof text, "event=refused reason=%s ", reason);
    assert_logged(posting->served, text);
    assert_true(response->status >= 400);
    assert_int_equal(response->size, 0);
    assert_non_null(got);
    assert_int_equal(atoi(got), code);
    response_clear(response);
    served_log_clear(posting->served);
}

void refuses(struct posting *posting, const char *path, struct octets body, int code,
             const char *reason)
{
    struct response response = post(posting, path, OCTETS, &body);

    assert_refused_as(posting, &response, code, reason);
    octets_clear(&body);
}

void accepts(struct posting *posting, const char *path, struct octets body,
             enum scms_provision kind, const char *url_end)
{
    struct response response = post(posting, path, OCTETS, &body);

    assert_ack(posting, &response, &body, kind, url_end);
    octets_clear(&body);
}

static bool count(void *arg, const struct ra_request *request)
{
    (void)request;
    ++*(size_t *)arg;
    return true;
}

size_t pending(struct posting *posting)
{
    size_t counted = 0;

    assert_int_equal(ra_request_each(posting->lab->store, RA_REQUEST_PENDING, count, &counted),
                     RA_STORE_OK);
    return counted;
}
