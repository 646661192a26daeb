/*
 * provision_test.c: requests for certificates over TLS: each service, and each thing that can be
 * wrong with what is in the body.
 */
#include "tests/ra/posting.h"

#include <openssl/sha.h>

#define APP_URL "/download/application-certificate"

static bool look(void *arg, const struct ra_request *request)
{
    struct ra_request *copy = arg;

    *copy = *request;
    return true;
}

static void application(void **state)
{
    struct posting *posting = *state;
    struct lab_cert device = posting_device(posting);
    EVP_PKEY *key = lab_key(posting->lab);
    struct octets body = posting_body(posting, &device, &(struct wish){.verify = key});
    struct response response = post(posting, APP_PATH, OCTETS, &body);
    enum ra_request_state request_state;
    struct ra_request kept = {.hash = {0}};
    uint8_t hash[32], requester[48], point[49];
    size_t size = 0;
    ra_store *second = NULL;
    char text[300] = "";

    assert_ack(posting, &response, &body, SCMS_PROVISION_APP, APP_URL);
    assert_logged(posting->served, "event=served peer=");
    assert_logged(posting->served, "service=provision-application-certificate status=200");
    assert_logged(posting->served, "request_hash=");
    /* It is on disk: another process sees it. */
    assert_int_equal(ra_store_open(posting->lab->store_path, false, &second, text, sizeof text),
                     RA_STORE_OK);
    SHA256(body.data, body.size, hash);
    assert_int_equal(ra_request_find(second, hash + 24, &request_state, requester, &size),
                     RA_STORE_OK);
    assert_int_equal(request_state, RA_REQUEST_PENDING);
    assert_int_equal(size, 32);
    ra_store_close(second);
    assert_int_equal(ra_request_each(posting->lab->store, RA_REQUEST_PENDING, look, &kept),
                     RA_STORE_OK);
    assert_memory_equal(kept.hash, hash, 32);
    assert_int_equal(kept.kind, SCMS_PROVISION_APP);
    assert_int_equal(dot2_public_point(key, point, &size), DOT2_OK);
    assert_memory_equal(kept.verify_key, point, 33);
    assert_string_equal(kept.permissions, "80");
    EVP_PKEY_free(key);
    octets_clear(&body);
    lab_cert_clear(&device);
}

static void butterfly(void **state)
{
    struct posting *posting = *state;
    struct lab_cert device = posting_device(posting);
    struct wish id = {.kind = SCMS_PROVISION_ID}, pseudonym = {.kind = SCMS_PROVISION_PSEUDONYM};

    accepts(posting, ID_PATH, posting_body(posting, &device, &id), SCMS_PROVISION_ID,
            "/download/identity-certificate");
    accepts(posting, PSEUDONYM_PATH, posting_body(posting, &device, &pseudonym),
            SCMS_PROVISION_PSEUDONYM, "/download/batch");
    /* An enrollment certificate of either kind. */
    accepts(posting, APP_PATH, posting_body(posting, &posting->lab->implicit, NULL),
            SCMS_PROVISION_APP, APP_URL);
    assert_int_equal(pending(posting), 3);
    lab_cert_clear(&device);
}

static void old_certificate(void **state)
{
    struct posting *posting = *state;
    struct lab_cert device = posting_device(posting);
    struct octets tbs = wish_tbs(posting, NULL), request = signed_by(posting, &device, &tbs);

    /* assert_ack takes the newest as signer, no other. */
    accepts(posting, APP_PATH, secured_to(posting, posting->old.cert, &request), SCMS_PROVISION_APP,
            APP_URL);
    octets_clear(&tbs);
    octets_clear(&request);
    lab_cert_clear(&device);
}

static void retrieve(void **state)
{
    static const uint8_t other[] = {0x03, 0x80, 0x05, 0x01, 0x83, 0x81, 0x00, 0x01};
    struct posting *posting = *state;
    struct octets body = {NULL, 0};
    struct response response;
    dot2_cert *cert = NULL;

    body.data = (uint8_t *)(uintptr_t)scms_ra_cert_request(&body.size);
    response = post(posting, "/retrieve-ra-certificate", OCTETS, &body);
    assert_int_equal(response.status, 200);
    assert_int_equal(scms_ra_cert_response_parse(posting->lab->crypto, response.body, response.size,
                                                 &cert, NULL),
                     DOT2_OK);
    assert_memory_equal(dot2_cert_hashedid8(cert), dot2_cert_hashedid8(posting->newest.cert), 8);
    dot2_cert_free(cert);
    response_clear(&response);
    body = (struct octets){(uint8_t *)(uintptr_t)other, sizeof other};
    response = post(posting, "/retrieve-ra-certificate", OCTETS, &body);
    assert_refused_as(posting, &response, SCMS_RA_WRONG_PARAMETERS, "request_malformed");
}

/* ---- encryption ---- */

static void not_encrypted(void **state)
{
    static const uint8_t unsecured[] = {0x03, 0x80, 0x01, 0x00}, garbage[] = {1, 2, 3, 4, 5};
    struct posting *posting = *state;
    struct octets tbs = wish_tbs(posting, NULL);
    struct octets body;

    refuses(posting, APP_PATH, signed_by(posting, &posting->lab->device, &tbs),
            SCMS_RA_REQUEST_NOT_ENCRYPTED, "not_encrypted");
    body = (struct octets){OPENSSL_memdup(unsecured, sizeof unsecured), sizeof unsecured};
    refuses(posting, APP_PATH, body, SCMS_RA_REQUEST_NOT_ENCRYPTED, "not_encrypted");
    body = (struct octets){OPENSSL_memdup(garbage, sizeof garbage), sizeof garbage};
    refuses(posting, APP_PATH, body, SCMS_RA_WRONG_PARAMETERS, "request_malformed");
    /* What is encrypted is not a request. */
    body = (struct octets){NULL, 0};
    assert_int_equal(dot2_encrypt_to_cert(posting->lab->crypto, posting->newest.cert, garbage,
                                          sizeof garbage, &body.data, &body.size, NULL),
                     DOT2_OK);
    refuses(posting, APP_PATH, body, SCMS_RA_WRONG_PARAMETERS, "request_malformed");
    octets_clear(&tbs);
}

/* 03 82 01 01 82 recipientId(8) 80 82|83 V(32) c(16) t(16) 80 nonce(12) length ccm */
static void not_for_us(void **state)
{
    struct posting *posting = *state;
    struct lab *lab = posting->lab;
    struct octets tbs = wish_tbs(posting, NULL), request = signed_by(posting, &lab->device, &tbs);
    struct octets body = secured_to(posting, posting->stranger.cert, &request);
    struct lab_cert twin = lab_ra(lab, -50, 1000, &posting->newest_decrypt);

    refuses(posting, APP_PATH, body, SCMS_RA_AUTHENTICATION_FAILED, "not_recipient");
    /* The right key and name, P1 of another certificate. */
    body = secured_to(posting, twin.cert, &request);
    memcpy(body.data + 5, dot2_cert_hashedid8(posting->newest.cert), 8);
    refuses(posting, APP_PATH, body, SCMS_RA_AUTHENTICATION_FAILED, "decrypt");
    lab_cert_clear(&twin);
    octets_clear(&request);
    octets_clear(&tbs);
}

static void altered(void **state)
{
    struct posting *posting = *state;
    struct lab *lab = posting->lab;
    /* From the begin: c, t, nonce; from the end: the last octet of the tag, and of what it is of */
    static const size_t front[] = {13 + 2 + 32, 13 + 2 + 32 + 16, 13 + 2 + 32 + 32 + 1},
                        back[] = {1, 16, 17};

    for (size_t i = 0; i < 3; i++) {
        struct octets body = posting_body(posting, &lab->device, NULL);

        body.data[front[i]] ^= 0x40;
        refuses(posting, APP_PATH, body, SCMS_RA_AUTHENTICATION_FAILED, "decrypt");
        body = posting_body(posting, &lab->device, NULL);
        body.data[body.size - back[i]] ^= 1;
        refuses(posting, APP_PATH, body, SCMS_RA_AUTHENTICATION_FAILED, "decrypt");
    }
    assert_int_equal(pending(posting), 0);
}

/* ---- who ---- */

static void other_signature(void **state)
{
    struct posting *posting = *state;
    struct lab *lab = posting->lab;
    /* An implicit certificate does not tell its key to who builds the request. */
    struct lab_cert forged = {.cert = lab->implicit.cert, .key = lab->other.key};
    struct octets tbs = wish_tbs(posting, NULL), request = signed_by(posting, &lab->device, &tbs);

    refuses(posting, APP_PATH, posting_body(posting, &forged, NULL), SCMS_RA_INVALID_SIGNATURE,
            "signature");
    request.data[request.size - 1] ^= 1;
    refuses(posting, APP_PATH, secured_to(posting, posting->newest.cert, &request),
            SCMS_RA_INVALID_SIGNATURE, "signature");
    octets_clear(&request);
    octets_clear(&tbs);
}

static void other_certificates(void **state)
{
    struct posting *posting = *state;
    struct lab *lab = posting->lab;
    struct lab_cert made[] = {
        lab_issue(lab, &lab->eca,
                  &(struct lab_variant){.start = -60, .application = true, .no_request = true}),
        lab_issue(lab, &lab->eca, &(struct lab_variant){.start = -60, .psid = 0x99}),
        lab_issue(lab, &lab->eca, &(struct lab_variant){.start = -7200, .minutes = 10}),
        lab_issue(lab, &lab->eca, &(struct lab_variant){.start = 600}),
    };
    struct octets tbs = wish_tbs(posting, NULL);
    struct octets self =
        signed_by(posting, &(struct lab_cert){.cert = NULL, .key = lab->device.key}, &tbs);

    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        refuses(posting, APP_PATH, posting_body(posting, &made[i], NULL),
                SCMS_RA_AUTHENTICATION_FAILED, "certificate");
        lab_cert_clear(&made[i]);
    }
    refuses(posting, APP_PATH, secured_to(posting, posting->newest.cert, &self),
            SCMS_RA_AUTHENTICATION_FAILED, "signer");
    octets_clear(&self);
    octets_clear(&tbs);
}

static void blacklist(void **state)
{
    struct posting *posting = *state;
    struct lab *lab = posting->lab;
    dot2_cert *mirror = lab_mirror(lab, lab->device.cert);
    struct lab_cert mirrored = {.cert = mirror, .key = lab->device.key};

    lab_blacklist(lab, lab->device.cert, RA_BLACKLIST_HASHEDID8);
    refuses(posting, APP_PATH, posting_body(posting, &lab->device, NULL), SCMS_RA_BLACKLISTED,
            "blacklisted");
    refuses(posting, APP_PATH, posting_body(posting, &mirrored, NULL), SCMS_RA_BLACKLISTED,
            "blacklisted");
    dot2_cert_free(mirror);
}

static void eca(void **state)
{
    struct posting *posting = *state;
    struct lab *lab = posting->lab;
    struct response response;

    assert_int_equal(ra_eca_add(lab->store, dot2_cert_hashedid8(lab->root.cert), "not this"),
                     RA_STORE_OK);
    refuses(posting, APP_PATH, posting_body(posting, &lab->device, NULL),
            SCMS_RA_AUTHENTICATION_FAILED, "eca");
    lab_file(lab, "AB09281C9867DE53.zip", &lab->device, 10);
    response = download(posting->served, APP_URL, &lab->device, "AB09281C9867DE53.zip", "");
    assert_refused_as(posting, &response, SCMS_RA_AUTHENTICATION_FAILED, "eca");
    assert_int_equal(ra_eca_add(lab->store, dot2_cert_hashedid8(lab->eca.cert), ""), RA_STORE_OK);
    accepts(posting, APP_PATH, posting_body(posting, &lab->device, NULL), SCMS_PROVISION_APP,
            APP_URL);
}

/* ---- what ---- */

static void time_stamp(void **state)
{
    struct posting *posting = *state;

    refuses(posting, APP_PATH,
            posting_body(posting, &posting->lab->device, &(struct wish){.time = -60}),
            SCMS_RA_WRONG_PARAMETERS, "time");
    refuses(posting, APP_PATH,
            posting_body(posting, &posting->lab->device, &(struct wish){.time = 60}),
            SCMS_RA_WRONG_PARAMETERS, "time");
}

static void other_pdu(void **state)
{
    static const char *const paths[] = {APP_PATH, ID_PATH, PSEUDONYM_PATH};
    static const enum scms_provision kinds[] = {SCMS_PROVISION_APP, SCMS_PROVISION_ID,
                                                SCMS_PROVISION_PSEUDONYM};
    struct posting *posting = *state;
    struct lab *lab = posting->lab;
    struct octets request = {NULL, 0};

    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++)
            if (i != j)
                refuses(posting, paths[i],
                        posting_body(posting, &lab->device, &(struct wish){.kind = kinds[j]}),
                        SCMS_RA_WRONG_PARAMETERS, "pdu");
    request.data = lab_request_octets(lab, lab->device.cert, lab->device.key, lab->now,
                                      "AB09281C9867DE53.zip", &request.size);
    refuses(posting, APP_PATH, secured_to(posting, posting->newest.cert, &request),
            SCMS_RA_WRONG_PARAMETERS, "pdu");
    octets_clear(&request);
}

static void off_curve(void **state)
{
    static const char *const paths[] = {APP_PATH, ID_PATH, PSEUDONYM_PATH};
    static const enum scms_provision kinds[] = {SCMS_PROVISION_APP, SCMS_PROVISION_ID,
                                                SCMS_PROVISION_PSEUDONYM};
    struct posting *posting = *state;

    for (size_t i = 0; i < 3; i++)
        refuses(posting, paths[i],
                posting_body(posting, &posting->lab->device,
                             &(struct wish){.kind = kinds[i], .off_curve = true}),
                SCMS_RA_WRONG_PARAMETERS, "request_key");
    assert_int_equal(pending(posting), 0);
}

static void start_time(void **state)
{
    static const int64_t starts[] = {-2 * 86400, 31 * 86400, 7200}; /* it ends in an hour */
    struct posting *posting = *state;

    for (size_t i = 0; i < 3; i++)
        refuses(posting, APP_PATH,
                posting_body(posting, &posting->lab->device, &(struct wish){.start = starts[i]}),
                SCMS_RA_WRONG_PARAMETERS, "start_time");
    accepts(posting, APP_PATH,
            posting_body(posting, &posting->lab->device, &(struct wish){.start = 1800}),
            SCMS_PROVISION_APP, APP_URL);
}

static void permission(void **state)
{
    static const uint64_t psids[] = {0x81, 0x20};
    struct ra_server_config config = {.stage = RA_STAGE_QA,
                                      .tolerance = UINT32_MAX,
                                      .provision = ra_provision_default(),
                                      .psids = {[SCMS_PROVISION_APP] = psids},
                                      .psid_counts = {[SCMS_PROVISION_APP] = 2}};
    struct posting *posting = posting_start(&config);

    (void)state;
    refuses(posting, APP_PATH, posting_body(posting, &posting->lab->device, NULL),
            SCMS_RA_WRONG_PARAMETERS, "permission");
    accepts(posting, ID_PATH,
            posting_body(posting, &posting->lab->device, &(struct wish){.kind = SCMS_PROVISION_ID}),
            SCMS_PROVISION_ID, "/download/identity-certificate");
    posting_stop(posting);
}

/* 1609.2 6.4.28: without app the permissions may end in no certificate of an application. */
static void permission_of_another_kind(void **state)
{
    struct posting *posting = *state;

    for (uint8_t both = 0; both < 2; both++) {
        const struct lab_variant variant = {.ee_type = both ? 0xC0 : 0x40};
        struct lab_cert device = lab_issue(posting->lab, &posting->lab->eca, &variant);
        struct octets body = posting_body(posting, &device, NULL);

        if (both)
            accepts(posting, APP_PATH, body, SCMS_PROVISION_APP, APP_URL);
        else
            refuses(posting, APP_PATH, body, SCMS_RA_WRONG_PARAMETERS, "permission");
        lab_cert_clear(&device);
    }
}

/* ---- once ---- */

static void replay(void **state)
{
    struct posting *posting = *state;
    struct lab *lab = posting->lab;
    dot2_cert *mirror = lab_mirror(lab, lab->device.cert);
    struct lab_cert mirrored = {.cert = mirror, .key = lab->device.key};
    EVP_PKEY *key = lab_key(lab);
    struct octets tbs = wish_tbs(posting, &(struct wish){.verify = key});
    struct octets request = signed_by(posting, &lab->device, &tbs);
    struct octets body = secured_to(posting, posting->newest.cert, &request);
    struct response response = post(posting, APP_PATH, OCTETS, &body);

    assert_ack(posting, &response, &body, SCMS_PROVISION_APP, APP_URL);
    served_log_clear(posting->served);
    response = post(posting, APP_PATH, OCTETS, &body);
    assert_refused_as(posting, &response, SCMS_RA_DUPLICATE_REQUEST_RECEIVED, "duplicate");
    /* The same request under a new encryption, and a new request for the same key. */
    refuses(posting, APP_PATH, secured_to(posting, posting->newest.cert, &request),
            SCMS_RA_DUPLICATE_REQUEST_RECEIVED, "duplicate");
    refuses(posting, APP_PATH, posting_body(posting, &lab->device, &(struct wish){.verify = key}),
            SCMS_RA_DUPLICATE_REQUEST_RECEIVED, "duplicate");
    /* The other form of the device's certificate does not make another device of it. */
    refuses(posting, APP_PATH, posting_body(posting, &mirrored, &(struct wish){.verify = key}),
            SCMS_RA_DUPLICATE_REQUEST_RECEIVED, "duplicate");
    refuses(posting, APP_PATH, posting_body(posting, &mirrored, NULL),
            SCMS_RA_REQUEST_FOR_MULTIPLE_CERTS, "multiple");
    refuses(posting, APP_PATH, posting_body(posting, &lab->device, NULL),
            SCMS_RA_REQUEST_FOR_MULTIPLE_CERTS, "multiple");
    assert_int_equal(pending(posting), 1);
    accepts(posting, APP_PATH, posting_body(posting, &lab->other, NULL), SCMS_PROVISION_APP,
            APP_URL);
    octets_clear(&body);
    octets_clear(&request);
    octets_clear(&tbs);
    EVP_PKEY_free(key);
    dot2_cert_free(mirror);
}

static void too_many(void **state)
{
    struct posting *posting = *state;
    struct wish bad = {.start = 31 * 86400};

    for (int i = 0; i < 10; i++)
        refuses(posting, APP_PATH, posting_body(posting, &posting->lab->device, &bad),
                SCMS_RA_WRONG_PARAMETERS, "start_time");
    refuses(posting, APP_PATH, posting_body(posting, &posting->lab->device, NULL),
            SCMS_RA_MORE_THAN_ALLOWED_TRIES, "too_many");
    /* Whoever does not sign well uses up nobody's tries. */
    for (int i = 0; i < 11; i++) {
        struct lab_cert forged = {.cert = posting->lab->implicit.cert,
                                  .key = posting->lab->other.key};

        refuses(posting, APP_PATH, posting_body(posting, &forged, NULL), SCMS_RA_INVALID_SIGNATURE,
                "signature");
    }
    accepts(posting, APP_PATH, posting_body(posting, &posting->lab->implicit, NULL),
            SCMS_PROVISION_APP, APP_URL);
}

/* ---- keys ---- */

static void keys(void **state)
{
    struct posting *posting = *state;
    struct lab *lab = posting->lab;
    struct ra_key list[2] = {{posting->newest.cert, posting->newest.key, posting->newest_decrypt},
                             {posting->old.cert, posting->newest.key, posting->old_decrypt}};
    EVP_PKEY *decrypt = NULL, *early_decrypt = NULL;
    struct lab_cert late = lab_ra(lab, -7200, 60, &decrypt);
    struct lab_cert early = lab_ra(lab, 600, 60, &early_decrypt);
    struct dot2_error error = {0};
    char text[300] = "";
    ra_keys *made = NULL;
    size_t which = 0;

    assert_int_equal(ra_keys_new(lab->crypto, list, 2, &made, &which, &error), DOT2_E_KEY_MISMATCH);
    assert_int_equal(which, 1);
    assert_null(made);
    list[1] = (struct ra_key){posting->old.cert, posting->old.key, posting->newest_decrypt};
    assert_int_equal(ra_keys_new(lab->crypto, list, 2, &made, &which, &error), DOT2_E_KEY_MISMATCH);
    list[1] = (struct ra_key){lab->device.cert, NULL, posting->old_decrypt};
    assert_int_equal(ra_keys_new(lab->crypto, list, 2, &made, &which, &error), DOT2_E_TYPE);
    assert_int_equal(ra_keys_new(lab->crypto, list, 0, &made, &which, &error), DOT2_E_ARGUMENT);
    /* One that has run out opens, but does not sign. */
    list[0] = (struct ra_key){late.cert, late.key, decrypt};
    assert_int_equal(ra_keys_new(lab->crypto, list, 1, &made, &which, &error), DOT2_OK);
    assert_null(ra_keys_newest(made, lab->now));
    assert_int_equal(ra_server_set_keys(posting->served->server, made, text, sizeof text), -1);
    assert_string_not_equal(text, "");
    ra_keys_free(made);
    /* One that does not sign any more, beside the old that does. */
    list[0] = (struct ra_key){posting->newest.cert, NULL, posting->newest_decrypt};
    list[1] = (struct ra_key){posting->old.cert, posting->old.key, posting->old_decrypt};
    assert_int_equal(ra_keys_new(lab->crypto, list, 2, &made, &which, &error), DOT2_OK);
    assert_ptr_equal(ra_keys_newest(made, lab->now)->cert, posting->old.cert);
    ra_keys_free(made);
    /* One that begins later, until then. */
    list[0] = (struct ra_key){early.cert, early.key, early_decrypt};
    assert_int_equal(ra_keys_new(lab->crypto, list, 2, &made, &which, &error), DOT2_OK);
    assert_ptr_equal(ra_keys_newest(made, lab->now)->cert, posting->old.cert);
    assert_ptr_equal(ra_keys_newest(made, dot2_cert_start(early.cert) - 1)->cert,
                     posting->old.cert);
    assert_ptr_equal(ra_keys_newest(made, dot2_cert_start(early.cert))->cert, early.cert);
    ra_keys_free(made);
    EVP_PKEY_free(early_decrypt);
    lab_cert_clear(&early);
    EVP_PKEY_free(decrypt);
    lab_cert_clear(&late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(application, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(butterfly, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(old_certificate, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(retrieve, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(not_encrypted, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(not_for_us, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(altered, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(other_signature, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(other_certificates, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(blacklist, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(eca, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(time_stamp, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(other_pdu, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(off_curve, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(start_time, posting_setup, posting_teardown),
        cmocka_unit_test(permission),
        cmocka_unit_test_setup_teardown(permission_of_another_kind, posting_setup,
                                        posting_teardown),
        cmocka_unit_test_setup_teardown(replay, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(too_many, posting_setup, posting_teardown),
        cmocka_unit_test_setup_teardown(keys, posting_setup, posting_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
