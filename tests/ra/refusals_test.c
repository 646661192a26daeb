/*
 * refusals_test.c: what a dot2hsm-ra refuses, each service by each way of being wrong, in stages QA
 * and PROD and over each back end of the store: the code and the status, one line in the log, no
 * ack, and nothing accepted.
 */
#include "tests/ra/posting.h"
#include "tests/ra/store_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#define WRONG SCMS_RA_WRONG_PARAMETERS
#define FAILED SCMS_RA_AUTHENTICATION_FAILED
#define BAD_SIGNATURE SCMS_RA_INVALID_SIGNATURE
#define DUPLICATE SCMS_RA_DUPLICATE_REQUEST_RECEIVED
#define RA_CERTIFICATE_PATH "/retrieve-ra-certificate"

static bool qa;

/* ---- one refusal ---- */

static const struct service {
    const char *path, *name;
    enum scms_provision kind;
    const char *download;
} services[] = {
    {APP_PATH, "provision-application-certificate", SCMS_PROVISION_APP,
     "/download/application-certificate"},
    {ID_PATH, "provision-identity-certificate", SCMS_PROVISION_ID,
     "/download/identity-certificate"},
    {PSEUDONYM_PATH, "provision-pseudonym-certificate-batch", SCMS_PROVISION_PSEUDONYM,
     "/download/batch"},
};
#define SERVICES (sizeof services / sizeof services[0])

static long log_size(const struct posting *posting)
{
    struct stat st;

    return stat(posting->served->log_path, &st) == 0 ? (long)st.st_size : 0;
}

/* Since the log had this size: one refusal, of this service, for this reason. */
static void assert_one_line(const struct posting *posting, long from, const char *what,
                            const char *service, const char *reason)
{
    char *log = posting_program_log(posting, from), want[100], name[100];
    const char *line = strstr(log, "event=refused");

    snprintf(want, sizeof want, "event=refused reason=%s ", reason);
    snprintf(name, sizeof name, "service=%s ", service);
    if (line == NULL || strstr(line + 1, "event=refused") != NULL || strstr(log, want) == NULL ||
        strstr(log, name) == NULL || strstr(log, "event=served") != NULL)
        fail_msg("%s: not one line with %s%s:\n%s", what, want, name, log);
    free(log);
}

static void assert_refusal(const struct posting *posting, struct response *response,
                           const char *what, int status, int code)
{
    const char *value = response_header(response, "SCMS-POC-Error");

    if (response->status != (qa ? status : 500))
        fail_msg("%s: status %d", what, response->status);
    if (qa ? value == NULL || atoi(value) != code : value != NULL)
        fail_msg("%s: SCMS-POC-Error is %s", what, value == NULL ? "absent" : value);
    value = response_header(response, "SCMS-POC-Error-Message");
    if (qa ? value == NULL || strcmp(value, scms_error_find(code)->message) != 0 : value != NULL)
        fail_msg("%s: SCMS-POC-Error-Message is %s", what, value == NULL ? "absent" : value);
    value = response_header(response, "Connection");
    if (value == NULL || strcmp(value, "close") != 0 || response->size != 0)
        fail_msg("%s: a body of %zu octets, or not closed", what, response->size);
    response_clear(response);
    (void)posting;
}

/* ---- how a request for certificates can be wrong ---- */

struct attempt {
    struct posting *posting;
    const struct service *service;
    struct lab_cert device; /* a new one for each attempt */
    struct octets body;
};

static struct wish of_kind(const struct attempt *attempt)
{
    return (struct wish){.kind = attempt->service->kind};
}

static void post_wish(struct attempt *attempt, const struct lab_cert *device,
                      const struct wish *wish)
{
    attempt->body = posting_body(attempt->posting, device, wish);
}

static void post_request(struct attempt *attempt, struct octets *request)
{
    attempt->body = secured_to(attempt->posting, attempt->posting->newest.cert, request);
    octets_clear(request);
}

/* The signed request of the attempt's device, with its tbsRequest's size. */
static struct octets signed_request(struct attempt *attempt, size_t *tbs_size)
{
    struct wish wish = of_kind(attempt);
    struct octets tbs = wish_tbs(attempt->posting, &wish);
    struct octets request = signed_by(attempt->posting, &attempt->device, &tbs);

    *tbs_size = tbs.size;
    octets_clear(&tbs);
    return request;
}

static void garbage(struct attempt *attempt)
{
    attempt->body = (struct octets){OPENSSL_zalloc(200), 200};
}

static void plain(struct attempt *attempt)
{
    size_t size;

    attempt->body = signed_request(attempt, &size);
}

static void to_another_ra(struct attempt *attempt)
{
    size_t size;
    struct octets request = signed_request(attempt, &size);

    attempt->body = secured_to(attempt->posting, attempt->posting->stranger.cert, &request);
    octets_clear(&request);
}

/* The right key and name, P1 of another certificate. */
static void other_p1(struct attempt *attempt)
{
    struct posting *posting = attempt->posting;
    struct lab_cert twin = lab_ra(posting->lab, -50, 1000, &posting->newest_decrypt);
    size_t size;
    struct octets request = signed_request(attempt, &size);

    attempt->body = secured_to(posting, twin.cert, &request);
    memcpy(attempt->body.data + 5, dot2_cert_hashedid8(posting->newest.cert), 8);
    octets_clear(&request);
    lab_cert_clear(&twin);
}

static void flipped_tag(struct attempt *attempt)
{
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &attempt->device, &wish);
    attempt->body.data[attempt->body.size - 1] ^= 1;
}

/* c, after 03 82 01 01 82 recipientId(8) 80 82|83 V(32) */
static void flipped_key(struct attempt *attempt)
{
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &attempt->device, &wish);
    attempt->body.data[13 + 2 + 32] ^= 1;
}

static void flipped_signature(struct attempt *attempt)
{
    size_t size;
    struct octets request = signed_request(attempt, &size);

    request.data[request.size - 1] ^= 1;
    post_request(attempt, &request);
}

/* The last octet of requested-start-time: 03 83 length(2 or 3) 00 tbsRequest */
static void flipped_request(struct attempt *attempt)
{
    size_t size;
    struct octets request = signed_request(attempt, &size);
    size_t at = request.data[2] == 0x82 ? 5 : 4;

    request.data[at + size] ^= 1;
    post_request(attempt, &request);
}

/* An implicit certificate does not tell its key to who builds the request. */
static void another_key(struct attempt *attempt)
{
    struct lab *lab = attempt->posting->lab;
    struct lab_cert forged = {.cert = lab->implicit.cert, .key = lab->other.key};
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &forged, &wish);
}

static void of_variant(struct attempt *attempt, const struct lab_cert *issuer,
                       const struct lab_variant *variant)
{
    struct lab_cert made = lab_issue(attempt->posting->lab, issuer, variant);
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &made, &wish);
    lab_cert_clear(&made);
}

static void application_certificate(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca,
               &(struct lab_variant){.start = -60, .application = true, .no_request = true});
}

static void both_permissions(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca,
               &(struct lab_variant){.start = -60, .application = true});
}

static void beyond_issuer(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca,
               &(struct lab_variant){.start = -60, .psid = 0x99});
}

static void expired(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca,
               &(struct lab_variant){.start = -7200, .minutes = 10});
}

static void not_yet_valid(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca, &(struct lab_variant){.start = 600});
}

static void unknown_issuer(struct attempt *attempt)
{
    struct lab_cert false_eca = lab_authority(attempt->posting->lab, NULL);

    of_variant(attempt, &false_eca, NULL);
    lab_cert_clear(&false_eca);
}

static void issuer_signature(struct attempt *attempt)
{
    struct lab_cert flipped = {lab_flip(attempt->posting->lab, attempt->device.cert, 1),
                               attempt->device.key};
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &flipped, &wish);
    dot2_cert_free(flipped.cert);
}

static void signer_self(struct attempt *attempt)
{
    struct lab_cert self = {.cert = NULL, .key = attempt->device.key};
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &self, &wish);
}

static size_t put_length(uint8_t *out, size_t n)
{
    out[0] = 0x82;
    out[1] = (uint8_t)(n >> 8);
    out[2] = (uint8_t)n;
    return 3;
}

/* 03 83 length 00 tbsRequest signer 80 80 r(32) s(32), with another signer than 81 01 01 cert. */
static void other_signer(struct attempt *attempt, uint8_t count)
{
    size_t tbs_size, cert_size, n = 0, total;
    struct octets request = signed_request(attempt, &tbs_size), made;
    const uint8_t *cert = dot2_cert_octets(attempt->device.cert, &cert_size);
    size_t at = request.data[2] == 0x82 ? 5 : 4;
    uint8_t inner[4000];

    memcpy(inner, request.data + at, 1 + tbs_size);
    n = 1 + tbs_size;
    if (count == 0) {
        inner[n++] = 0x80;
        memcpy(inner + n, dot2_cert_hashedid8(attempt->device.cert), 8);
        n += 8;
    } else {
        memcpy(inner + n, "\x81\x01", 2);
        inner[n + 2] = count;
        n += 3;
    }
    for (uint8_t i = 0; i < count; i++, n += cert_size)
        memcpy(inner + n, cert, cert_size);
    memcpy(inner + n, request.data + request.size - 66, 66);
    n += 66;
    made.data = OPENSSL_malloc(n + 5);
    assert_non_null(made.data);
    memcpy(made.data, "\x03\x83", 2);
    total = 2 + put_length(made.data + 2, n);
    if (n < 256) { /* the short form of a length is the only one that is taken */
        made.data[2] = 0x81;
        made.data[3] = (uint8_t)n;
        total = 4;
    }
    memcpy(made.data + total, inner, n);
    made.size = total + n;
    octets_clear(&request);
    post_request(attempt, &made);
}

static void signer_digest(struct attempt *attempt)
{
    other_signer(attempt, 0);
}

static void signer_two(struct attempt *attempt)
{
    other_signer(attempt, 2);
}

static void blacklisted(struct attempt *attempt)
{
    struct wish wish = of_kind(attempt);

    lab_blacklist(attempt->posting->lab, attempt->device.cert, RA_BLACKLIST_HASHEDID10);
    post_wish(attempt, &attempt->device, &wish);
}

/* The same explicit certificate with n - s has another hash. */
static void blacklisted_mirrored(struct attempt *attempt)
{
    struct lab_cert mirrored = {lab_mirror(attempt->posting->lab, attempt->device.cert),
                                attempt->device.key};
    struct wish wish = of_kind(attempt);

    lab_blacklist(attempt->posting->lab, attempt->device.cert, RA_BLACKLIST_SHA256);
    post_wish(attempt, &mirrored, &wish);
    dot2_cert_free(mirrored.cert);
}

static void at_time(struct attempt *attempt, int64_t time, int64_t start)
{
    struct wish wish = of_kind(attempt);

    wish.time = time;
    wish.start = start;
    post_wish(attempt, &attempt->device, &wish);
}

static void late(struct attempt *attempt)
{
    at_time(attempt, -6, 0);
}

static void early(struct attempt *attempt)
{
    at_time(attempt, 60, 0); /* what is 6 s early may be 5 s early when it is looked at */
}

static void start_in_the_past(struct attempt *attempt)
{
    at_time(attempt, 0, -86400 - 60);
}

static void start_in_the_future(struct attempt *attempt)
{
    at_time(attempt, 0, 30 * 86400 + 60);
}

static void start_after_the_end(struct attempt *attempt)
{
    at_time(attempt, 0, 7200); /* the enrollment certificate ends in an hour */
}

static void other_pdu(struct attempt *attempt)
{
    struct wish wish = {.kind = attempt->service->kind == SCMS_PROVISION_PSEUDONYM
                                    ? SCMS_PROVISION_APP
                                    : SCMS_PROVISION_PSEUDONYM};

    post_wish(attempt, &attempt->device, &wish);
}

static void download_pdu(struct attempt *attempt)
{
    struct lab *lab = attempt->posting->lab;
    struct octets request = {NULL, 0};
    uint32_t now;

    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    request.data = lab_request_octets(lab, attempt->device.cert, attempt->device.key, now,
                                      "AB09281C9867DE53.zip", &request.size);
    post_request(attempt, &request);
}

/* One of the keys of the request is no point: verify 0, response 1, certificate encryption 2. */
static void no_point(struct attempt *attempt, int which)
{
    struct posting *posting = attempt->posting;
    EVP_PKEY *keys[3] = {lab_key(posting->lab), lab_key(posting->lab), lab_key(posting->lab)};
    struct wish wish = of_kind(attempt);
    struct octets tbs, request;
    uint8_t point[49], *x;
    size_t size;

    wish.verify = keys[0];
    wish.response = keys[1];
    wish.cert_encryption = wish.kind == SCMS_PROVISION_PSEUDONYM ? NULL : keys[2];
    tbs = wish_tbs(posting, &wish);
    assert_int_equal(dot2_public_point(keys[which], point, &size), DOT2_OK);
    assert_int_equal(size, 33);
    x = memmem(tbs.data, tbs.size, point + 1, 32);
    assert_non_null(x);
    posting_leave_curve(posting, point);
    memcpy(x, point + 1, 32);
    request = signed_by(posting, &attempt->device, &tbs);
    post_request(attempt, &request);
    octets_clear(&tbs);
    for (int i = 0; i < 3; i++)
        EVP_PKEY_free(keys[i]);
}

static void verify_no_point(struct attempt *attempt)
{
    no_point(attempt, 0);
}

static void response_no_point(struct attempt *attempt)
{
    no_point(attempt, 1);
}

static void encryption_no_point(struct attempt *attempt)
{
    no_point(attempt, 2);
}

/* ---- replays: the first of two is accepted ---- */

static bool logged_since(const struct posting *posting, long from, const char *text)
{
    for (int i = 0; i < 1000; i++) {
        struct timespec pause = {.tv_nsec = 10000000};
        char *log = posting_program_log(posting, from);
        bool found = strstr(log, text) != NULL;

        free(log);
        if (found)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static void accepted(struct attempt *attempt)
{
    long from = log_size(attempt->posting);
    struct response response =
        post(attempt->posting, attempt->service->path, OCTETS, &attempt->body);

    if (response.status != 200)
        fail_msg("%s: %d %s", attempt->service->name, response.status,
                 posting_program_log(attempt->posting, 0));
    /* Signed under the newest certificate, whichever the request was encrypted to. */
    assert_ack(attempt->posting, &response, &attempt->body, attempt->service->kind,
               attempt->service->download);
    /* That line is written when the answer has left, which may be after it has come. */
    assert_true(logged_since(attempt->posting, from, "event=served"));
}

static void same_octets(struct attempt *attempt)
{
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &attempt->device, &wish);
    accepted(attempt);
}

static void encrypted_anew(struct attempt *attempt)
{
    size_t size;
    struct octets request = signed_request(attempt, &size), once;

    attempt->body = secured_to(attempt->posting, attempt->posting->newest.cert, &request);
    accepted(attempt);
    once = attempt->body;
    post_request(attempt, &request);
    assert_true(once.size != attempt->body.size ||
                memcmp(once.data, attempt->body.data, once.size) != 0);
    octets_clear(&once);
}

static bool finish(void *arg, const struct ra_request *request)
{
    assert_int_equal(ra_request_finish(arg, request->hash, RA_REQUEST_READY, ""), RA_STORE_OK);
    return true;
}

static void encrypted_anew_when_ready(struct attempt *attempt)
{
    ra_store *store = attempt->posting->lab->store;

    encrypted_anew(attempt);
    assert_int_equal(ra_request_each(store, RA_REQUEST_PENDING, finish, store), RA_STORE_OK);
}

/* Another request for the same key, under the other form of the device's certificate. */
static void same_key(struct attempt *attempt)
{
    struct lab *lab = attempt->posting->lab;
    struct lab_cert mirrored = {lab_mirror(lab, attempt->device.cert), attempt->device.key};
    struct wish wish = of_kind(attempt);

    wish.verify = lab_key(lab);
    post_wish(attempt, &attempt->device, &wish);
    accepted(attempt);
    octets_clear(&attempt->body);
    post_wish(attempt, &mirrored, &wish);
    EVP_PKEY_free(wish.verify);
    dot2_cert_free(mirrored.cert);
}

static void second_application(struct attempt *attempt)
{
    same_octets(attempt);
    octets_clear(&attempt->body);
    post_wish(attempt, &attempt->device, &(struct wish){.kind = SCMS_PROVISION_APP});
}

/* The eleventh try within the hour, the ten refused ones counted. */
static void too_many(struct attempt *attempt)
{
    struct wish wish = of_kind(attempt);

    for (int i = 0; i < 10; i++) {
        struct response response;

        start_in_the_past(attempt);
        response = post(attempt->posting, attempt->service->path, OCTETS, &attempt->body);
        assert_int_equal(response.status, 500);
        response_clear(&response);
        octets_clear(&attempt->body);
    }
    post_wish(attempt, &attempt->device, &wish);
}

static void eca_on(struct attempt *attempt)
{
    struct wish wish = of_kind(attempt);
    struct lab *lab = attempt->posting->lab;

    assert_int_equal(ra_eca_add(lab->store, dot2_cert_hashedid8(lab->root.cert), "not this one"),
                     RA_STORE_OK);
    post_wish(attempt, &attempt->device, &wish);
}

static void eca_off(struct posting *posting)
{
    assert_int_equal(
        ra_eca_remove(posting->lab->store, dot2_cert_hashedid8(posting->lab->root.cert)),
        RA_STORE_OK);
}

static const struct wrong {
    const char *what;
    void (*make)(struct attempt *attempt);
    int code;
    const char *reason;
    unsigned kinds; /* a set of 1 << enum scms_provision; 0 = all */
    void (*after)(struct posting *posting);
} wrongs[] = {
    {"garbage", garbage, WRONG, "request_malformed", 0, NULL},
    {"not encrypted", plain, SCMS_RA_REQUEST_NOT_ENCRYPTED, "not_encrypted", 0, NULL},
    {"encrypted to another RA", to_another_ra, FAILED, "not_recipient", 0, NULL},
    {"P1 of another certificate", other_p1, FAILED, "decrypt", 0, NULL},
    {"tag flipped", flipped_tag, FAILED, "decrypt", 0, NULL},
    {"wrapped key flipped", flipped_key, FAILED, "decrypt", 0, NULL},
    {"signature flipped", flipped_signature, BAD_SIGNATURE, "signature", 0, NULL},
    {"request flipped", flipped_request, BAD_SIGNATURE, "signature", 0, NULL},
    {"signed by another key", another_key, BAD_SIGNATURE, "signature", 0, NULL},
    {"an application certificate", application_certificate, FAILED, "certificate", 0, NULL},
    {"application permissions too", both_permissions, FAILED, "certificate", 0, NULL},
    {"a PSID beyond the issuer's", beyond_issuer, FAILED, "certificate", 0, NULL},
    {"expired", expired, FAILED, "certificate", 0, NULL},
    {"not yet valid", not_yet_valid, FAILED, "certificate", 0, NULL},
    {"unknown issuer", unknown_issuer, FAILED, "certificate", 0, NULL},
    {"issuer's signature wrong", issuer_signature, FAILED, "certificate", 0, NULL},
    {"signer self", signer_self, FAILED, "signer", 0, NULL},
    {"signer a digest", signer_digest, FAILED, "signer", 0, NULL},
    {"signer two certificates", signer_two, FAILED, "signer", 0, NULL},
    {"blacklisted", blacklisted, SCMS_RA_BLACKLISTED, "blacklisted", 0, NULL},
    {"blacklisted, n - s", blacklisted_mirrored, SCMS_RA_BLACKLISTED, "blacklisted", 0, NULL},
    {"another ECA", eca_on, FAILED, "eca", 0, eca_off},
    {"late", late, WRONG, "time", 0, NULL},
    {"early", early, WRONG, "time", 0, NULL},
    {"start in the past", start_in_the_past, WRONG, "start_time", 0, NULL},
    {"start in the future", start_in_the_future, WRONG, "start_time", 0, NULL},
    {"start after the end", start_after_the_end, WRONG, "start_time", 0, NULL},
    {"another service's PDU", other_pdu, WRONG, "pdu", 0, NULL},
    {"a download's PDU", download_pdu, WRONG, "pdu", 0, NULL},
    {"verify key no point", verify_no_point, WRONG, "request_key", 0, NULL},
    {"response key no point", response_no_point, WRONG, "request_key", 0, NULL},
    {"encryption key no point", encryption_no_point, WRONG, "request_key",
     1U << SCMS_PROVISION_APP | 1U << SCMS_PROVISION_ID, NULL},
    {"the same octets again", same_octets, DUPLICATE, "duplicate", 0, NULL},
    {"encrypted anew", encrypted_anew, DUPLICATE, "duplicate", 0, NULL},
    {"encrypted anew, answered", encrypted_anew_when_ready, DUPLICATE, "duplicate", 0, NULL},
    {"the same key, certificate n - s", same_key, DUPLICATE, "duplicate", 0, NULL},
    {"a second application request", second_application, SCMS_RA_REQUEST_FOR_MULTIPLE_CERTS,
     "multiple", 1U << SCMS_PROVISION_APP, NULL},
    {"too many tries", too_many, SCMS_RA_MORE_THAN_ALLOWED_TRIES, "too_many", 0, NULL},
};

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
    assert_refusal(posting, &response, what, 500, wrong->code);
    assert_one_line(posting, from, what, service->name, wrong->reason);
    if (pending(posting) != before)
        fail_msg("%s: accepted", what);
    if (wrong->after != NULL)
        wrong->after(posting);
    octets_clear(&attempt.body);
    lab_cert_clear(&attempt.device);
}

static struct posting *start(const char *settings)
{
    char all[300];

    snprintf(all, sizeof all, "stage = %s\n%s", qa ? "QA" : "PROD", settings);
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

        for (size_t j = 0; j < sizeof wrongs / sizeof wrongs[0]; j++)
            if (wrongs[j].kinds == 0 || (wrongs[j].kinds & 1U << services[i].kind) != 0) {
                refuse(posting, &services[i], &wrongs[j]);
                cells++;
            }
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

/* A name of its own: "request" is what a variable is called here. */
static struct response download_with(struct served *served, const char *path, const char *headers)
{
    return request(served, "GET", path, headers);
}

/* By this device, for this file, so many seconds from now; flip: from the end of the signature. */
static struct response ask(const struct asking *asking, const dot2_cert *cert, EVP_PKEY *key,
                           const char *file, int64_t time, bool flip)
{
    struct posting *posting = asking->posting;
    struct octets request = {NULL, 0};
    struct response response;
    char *value, header[9000];
    uint32_t now;

    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    request.data = lab_request_octets(posting->lab, cert, key, (uint32_t)((int64_t)now + time),
                                      file, &request.size);
    if (flip)
        request.data[request.size - 1] ^= 1;
    if (asking->secured) {
        struct octets plain_request = request;

        request = secured_to(posting, posting->newest.cert, &plain_request);
        octets_clear(&plain_request);
    }
    value = lab_base64(request.data, request.size);
    snprintf(header, sizeof header, "Download-Req: %s\r\n", value);
    response = download_with(posting->served, asking->service->path, header);
    OPENSSL_free(value);
    octets_clear(&request);
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
        assert_refusal(posting, &response, what, cells[i].status, cells[i].code);
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
        assert_refusal(posting, &response, service->name, 415, WRONG);
        assert_one_line(posting, from, "type", service->name, "content_type");
    }
    from = log_size(posting);
    response = post(posting, service->path, OCTETS, &nothing);
    assert_refusal(posting, &response, service->name, 500, WRONG);
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
    assert_refusal(posting, &response, service->name, 413, WRONG);
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
    assert_refusal(posting, &response, "another request", 500, WRONG);
    assert_one_line(posting, from, "another request", ra_certificate.name, "request_malformed");
    assert_int_equal(pending(posting), 0);
    posting_stop(posting);
}

static int setup_qa(void **state)
{
    qa = true;
    return store_lab_setup(state);
}

static int setup_prod(void **state)
{
    qa = false;
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
