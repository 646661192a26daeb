/*
 * refusals_test.c: what a dot2hsm-ra refuses, each service by each way of being wrong, in stages QA
 * and PROD and over each back end of the store: the code and the status, one line in the log, no
 * ack, and nothing accepted.
 */
#include "tests/ra/refusals.h"
#include "tests/ra/store_lab.h"

#define RA_CERTIFICATE_PATH "/retrieve-ra-certificate"

/* ---- requests for certificates ---- */

static void refuse(struct posting *posting, const struct service *service,
                   const struct wrong *wrong)
{
    struct attempt attempt = {
        .posting = posting, .service = service, .device = posting_device(posting)};
    struct response response;
    char what[160];
    size_t before;
    long from;

    snprintf(what, sizeof what, "%s: %s", service->name, wrong->what);
    wrong->make(&attempt);
    before = pending(posting);
    from = log_size(posting);
    response = post(posting, service->path, OCTETS, &attempt.body);
    assert_refusal(&response, what, 500, wrong->code);
    assert_one_line(posting, from, what, service->name, wrong->reason);
    if (pending(posting) != before)
        fail_msg("%s: accepted", what);
    if (wrong->after != NULL)
        wrong->after(posting);
    octets_clear(&attempt.body);
    lab_cert_clear(&attempt.device);
}

/* All of them that are of this service's kind; returns their number. */
static size_t refuse_each(struct posting *posting, const struct service *service,
                          const struct wrong *wrongs, size_t count)
{
    size_t cells = 0;

    for (size_t i = 0; i < count; i++)
        if (wrongs[i].kinds == 0 || (wrongs[i].kinds & 1U << service->kind) != 0) {
            refuse(posting, service, &wrongs[i]);
            cells++;
        }
    return cells;
}

static struct posting *start(const char *settings)
{
    char all[300];

    snprintf(all, sizeof all, "stage = %s\n%s", refusals_in_qa ? "QA" : "PROD", settings);
    return posting_program(store_lab.spec, all);
}

static void provisioning(void **state)
{
    struct posting *posting = start("");
    size_t cells = 0;

    (void)state;
    for (size_t i = 0; i < SERVICES; i++) {
        struct attempt good = {.posting = posting, .service = &services[i]};
        struct octets tbs, request;

        cells += refuse_each(posting, &services[i], wrong_requests, wrong_requests_count);
        cells += refuse_each(posting, &services[i], wrong_signers, wrong_signers_count);
        /* And one that is right, encrypted to the old certificate, is accepted. */
        good.device = posting_device(posting);
        tbs = wish_tbs(posting, &(struct wish){.kind = services[i].kind});
        request = signed_by(posting, &good.device, &tbs);
        good.body = secured_to(posting, posting->old.cert, &request);
        accepted(&good);
        octets_clear(&good.body);
        octets_clear(&request);
        octets_clear(&tbs);
        lab_cert_clear(&good.device);
    }
    print_message("%zu refusals\n", cells);
    posting_stop(posting);
}

/* PSIDs that the service gives certificates for, and the device may not ask for. */
static void permission(void **state)
{
    static const struct wrong not_permitted = {"PSID not permitted", late, WRONG,
                                               "permission",         0,    NULL};
    struct posting *posting = start("tolerance = 60\napplication-psids = 0x81\n"
                                    "identity-psids = 0x81\npseudonym-psids = 0x81, 0x20\n");

    (void)state;
    for (size_t i = 0; i < SERVICES; i++)
        refuse(posting, &services[i], &not_permitted);
    posting_stop(posting);
}

/* ---- downloads: whose file, whose name, who asks ---- */

static const struct download_service {
    const char *path, *name, *file, *others, *missing, *foreign;
    int missing_code;
} downloads[] = {
    {"/download/application-certificate", "application-certificate", "AB09281C9867DE53.zip",
     "AB09281C9867DE54.zip", "AB09281C9867DE55.zip", "AB09281C9867DE53_1.zip",
     SCMS_RA_NO_CERT_FILE_AVAILABLE},
    {"/download/identity-certificate", "identity-certificate", "AB09281C9867DE53_F.zip",
     "AB09281C9867DE54_F.zip", "AB09281C9867DE55_F.zip", "AB09281C9867DE53.zip",
     SCMS_RA_NO_CERT_FILE_AVAILABLE},
    {"/download/batch", "batch", "AB09281C9867DE53_1F.zip", "AB09281C9867DE54_1F.zip",
     "AB09281C9867DE55_1F.zip", "AB09281C9867DE53_123456789.zip", SCMS_RA_NO_CERT_FILE_AVAILABLE},
    {"/download/info", "info", "AB09281C9867DE53.info", "AB09281C9867DE54.info",
     "AB09281C9867DE55.info", "AB09281C9867DE53.zip", SCMS_RA_NO_INFO_FILE_AVAILABLE},
};

struct asking {
    struct posting *posting;
    const struct download_service *service;
    bool secured;
};

/* By this device, for this file, so many seconds from now; flip: from the end of the signature. */
static struct response ask(const struct asking *asking, const dot2_cert *cert, EVP_PKEY *key,
                           const char *file, int64_t time, bool flip)
{
    struct posting *posting = asking->posting;
    struct octets octets = {NULL, 0};
    struct response response;
    char *value, header[9000];
    uint32_t now;

    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    octets.data = lab_request_octets(posting->lab, cert, key, (uint32_t)((int64_t)now + time), file,
                                     &octets.size);
    if (flip)
        octets.data[octets.size - 1] ^= 1;
    if (asking->secured) {
        struct octets plain = octets;

        octets = secured_to(posting, posting->newest.cert, &plain);
        octets_clear(&plain);
    }
    value = lab_base64(octets.data, octets.size);
    snprintf(header, sizeof header, "Download-Req: %s\r\n", value);
    response = request(posting->served, "GET", asking->service->path, header);
    OPENSSL_free(value);
    octets_clear(&octets);
    return response;
}

static void download_service(const struct asking *asking)
{
    struct posting *posting = asking->posting;
    struct lab *lab = posting->lab;
    const struct download_service *service = asking->service;
    struct lab_cert black = posting_device(posting), owner = posting_device(posting),
                    app = lab_issue(lab, &lab->eca,
                                    &(struct lab_variant){
                                        .start = -60, .application = true, .no_request = true});
    const struct {
        const struct lab_cert *who;
        const char *file;
        int64_t time;
        bool flip;
        int status, code;
        const char *reason;
    } cells[] = {
        {&owner, service->others, 0, false, 404, service->missing_code, "file_of_another"},
        {&owner, service->missing, 0, false, 404, service->missing_code, "file_unknown"},
        {&owner, service->foreign, 0, false, 500, WRONG, "filename"},
        {&owner, "../ra.conf", 0, false, 500, WRONG, "filename"},
        {&owner, service->file, -6, false, 500, WRONG, "time"},
        {&owner, service->file, 60, false, 500, WRONG, "time"},
        {&owner, service->file, 0, true, 500, BAD_SIGNATURE, "signature"},
        {&app, service->file, 0, false, 500, FAILED, "certificate"},
        {&black, service->file, 0, false, 500, SCMS_RA_BLACKLISTED, "blacklisted"},
    };
    struct response response;

    ra_file_unassign(lab->store, service->file);
    ra_file_unassign(lab->store, service->others);
    lab_file(lab, service->file, &owner, 10);
    lab_file(lab, service->others, &lab->other, 10);
    lab_blacklist(lab, black.cert, RA_BLACKLIST_HASHEDID8);
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        long from = log_size(posting);
        char what[200];

        snprintf(what, sizeof what, "%s %s of %s", service->name, cells[i].reason, cells[i].file);
        response = ask(asking, cells[i].who->cert, cells[i].who->key, cells[i].file, cells[i].time,
                       cells[i].flip);
        assert_refusal(&response, what, cells[i].status, cells[i].code);
        assert_one_line(posting, from, what, service->name, cells[i].reason);
    }
    {
        long from = log_size(posting);

        response = ask(asking, owner.cert, owner.key, service->file, 0, false);
        assert_int_equal(response.status, 200);
        assert_pattern(&response, 0, 10);
        response_clear(&response);
        assert_true(logged_since(posting, from, "event=served"));
    }
    lab_cert_clear(&black);
    lab_cert_clear(&owner);
    lab_cert_clear(&app);
}

static void downloading(void **state)
{
    struct posting *posting = start("");

    (void)state;
    for (size_t i = 0; i < 2 * sizeof downloads / sizeof downloads[0]; i++)
        download_service(&(struct asking){posting, &downloads[i / 2], i % 2 == 1});
    posting_stop(posting);
}

/* ---- HTTP ---- */

static void http_service(struct posting *posting, const struct service *service)
{
    static const char *const types[] = {"", "Content-Type: text/plain\r\n"};
    struct octets body = {OPENSSL_zalloc(100), 100}, nothing = {NULL, 0};
    struct response response;
    struct client *client;
    char head[300];
    long from;

    for (size_t i = 0; i < 2; i++) {
        from = log_size(posting);
        response = post(posting, service->path, types[i], &body);
        assert_refusal(&response, service->name, 415, WRONG);
        assert_one_line(posting, from, "type", service->name, "content_type");
    }
    from = log_size(posting);
    response = post(posting, service->path, OCTETS, &nothing);
    assert_refusal(&response, service->name, 500, WRONG);
    assert_one_line(posting, from, "empty", service->name, "body_empty");
    from = log_size(posting);
    client = client_open(posting->served, NULL);
    assert_non_null(client);
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n" OCTETS "\r\n",
             service->path);
    client_say(client, head);
    response = client_read(client, false);
    client_close(client);
    assert_refusal(&response, service->name, 413, WRONG);
    assert_one_line(posting, from, "too large", service->name, "body_too_large");
    /* Cut short: there is nobody to answer. */
    from = log_size(posting);
    client = client_open(posting->served, NULL);
    assert_non_null(client);
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 101\r\n" OCTETS "\r\n",
             service->path);
    client_say(client, head);
    client_send(client, body.data, body.size);
    client_close(client);
    assert_true(logged_since(posting, from, "reason=request_incomplete"));
    octets_clear(&body);
}

static void http(void **state)
{
    static const struct service ra_certificate = {RA_CERTIFICATE_PATH, "retrieve-ra-certificate", 0,
                                                  NULL};
    static const uint8_t malformed[] = {0x03, 0x80, 0x05, 0x01, 0x83, 0x81, 0x00, 0x01};
    struct octets body = {(uint8_t *)(uintptr_t)malformed, sizeof malformed};
    struct posting *posting = start("");
    struct response response;
    long from;

    (void)state;
    for (size_t i = 0; i < SERVICES; i++)
        http_service(posting, &services[i]);
    http_service(posting, &ra_certificate);
    from = log_size(posting);
    response = post(posting, RA_CERTIFICATE_PATH, OCTETS, &body);
    assert_refusal(&response, "another request", 500, WRONG);
    assert_one_line(posting, from, "another request", ra_certificate.name, "request_malformed");
    assert_int_equal(pending(posting), 0);
    posting_stop(posting);
}

static int setup_qa(void **state)
{
    refusals_in_qa = true;
    return store_lab_setup(state);
}

static int setup_prod(void **state)
{
    refusals_in_qa = false;
    return store_lab_setup(state);
}

#define IN_QA(name)                                                                                \
    {                                                                                              \
#name " (QA)", name, setup_qa, store_lab_teardown, NULL                                    \
    }
#define IN_PROD(name)                                                                              \
    {                                                                                              \
#name " (PROD)", name, setup_prod, store_lab_teardown, NULL                                \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_QA(provisioning),   IN_QA(permission),   IN_QA(http),   IN_QA(downloading),
        IN_PROD(provisioning), IN_PROD(permission), IN_PROD(http), IN_PROD(downloading)};

    return STORE_LAB_RUN(tests);
}
