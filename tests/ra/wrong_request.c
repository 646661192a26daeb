/*
 * wrong_request.c: how a request for certificates can be wrong in itself: its encryption, its
 * signature, its times, its PDU, its keys; and one that comes again, the first of two accepted.
 */
#include "tests/ra/refusals.h"

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

static void at_time(struct attempt *attempt, int64_t time, int64_t start)
{
    struct wish wish = of_kind(attempt);

    wish.time = time;
    wish.start = start;
    post_wish(attempt, &attempt->device, &wish);
}

void late(struct attempt *attempt)
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

const struct wrong wrong_requests[] = {
    {"garbage", garbage, WRONG, "request_malformed", 0, NULL},
    {"not encrypted", plain, SCMS_RA_REQUEST_NOT_ENCRYPTED, "not_encrypted", 0, NULL},
    {"encrypted to another RA", to_another_ra, FAILED, "not_recipient", 0, NULL},
    {"P1 of another certificate", other_p1, FAILED, "decrypt", 0, NULL},
    {"tag flipped", flipped_tag, FAILED, "decrypt", 0, NULL},
    {"wrapped key flipped", flipped_key, FAILED, "decrypt", 0, NULL},
    {"signature flipped", flipped_signature, BAD_SIGNATURE, "signature", 0, NULL},
    {"request flipped", flipped_request, BAD_SIGNATURE, "signature", 0, NULL},
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
const size_t wrong_requests_count = sizeof wrong_requests / sizeof wrong_requests[0];
