/*
 * test_scarce.c: allocations fail, the first, the second, and so on until all succeed: each message
 * built and taken apart, and each decision of the RA. There is an error that says so, nothing is
 * half done, and the same call succeeds afterwards. That nothing leaks is the sanitizer's part.
 */
#include "tests/ra/posting.h"
#include "tests/security/scarce_try.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#define NAME "AB09281C9867DE53.zip"

struct world {
    struct posting posting; /* without a server */
    struct octets tbs, request, body;
    char *signed_header, *secured_header;
    struct octets ack;
};

static struct ra_authorise authorise(struct world *world, dot2_trust *trust)
{
    struct lab *lab = world->posting.lab;

    return (struct ra_authorise){.crypto = lab->crypto,
                                 .trust = trust,
                                 .store = lab->store,
                                 .now = lab->now,
                                 .tolerance = 3600,
                                 .max_header = 8192,
                                 .keys = world->posting.keys};
}

/* Nothing in it is verified yet. */
static enum dot2_status trust_new(const struct world *world, dot2_trust **trust)
{
    struct lab *lab = world->posting.lab;
    enum dot2_status status = dot2_trust_new(lab->crypto, NULL, trust);

    if (status == DOT2_OK)
        status = dot2_trust_add_anchor(*trust, lab->root.cert);
    if (status == DOT2_OK)
        status = dot2_trust_add(*trust, lab->eca.cert);
    return status;
}

/* ---- each is tried with one failing allocation after the other ---- */

static enum dot2_status trust_made(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    dot2_trust *trust = NULL;
    enum dot2_status status = trust_new(world, &trust);

    (void)error;
    dot2_trust_free(trust);
    return status;
}

static enum dot2_status certificate_of(const struct world *world, const dot2_cert *from,
                                       struct dot2_error *error)
{
    size_t size;
    const uint8_t *octets = dot2_cert_octets(from, &size);
    dot2_cert *cert = NULL;
    enum dot2_status status = dot2_cert_new(world->posting.lab->crypto, octets, size, &cert, error);

    if (status == DOT2_OK)
        assert_memory_equal(dot2_cert_hashedid8(cert), dot2_cert_hashedid8(from), 8);
    else
        assert_null(cert);
    dot2_cert_free(cert);
    return status;
}

static enum dot2_status certificate(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    return certificate_of(world, world->posting.lab->device.cert, error);
}

static enum dot2_status certificate_implicit(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    return certificate_of(world, world->posting.lab->implicit.cert, error);
}

static enum dot2_status built(enum dot2_status status, uint8_t *octets)
{
    assert_int_equal(status == DOT2_OK, octets != NULL);
    OPENSSL_free(octets);
    return status;
}

static enum dot2_status download_built(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    uint8_t *octets = NULL;
    size_t size = 0;
    enum dot2_status status =
        scms_download_request_build(world->posting.lab->now, NAME, &octets, &size, error);

    return built(status, octets);
}

static enum dot2_status app_built(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    struct lab *lab = world->posting.lab;
    struct scms_app_request request = {.verify_key = lab->device.key,
                                       .cert_encryption_key = lab->other.key,
                                       .response_encryption_key = lab->root.key,
                                       .current_time = lab->now,
                                       .requested_start_time = lab->now};
    uint8_t *octets = NULL;
    size_t size = 0;
    enum dot2_status status = scms_app_request_build(&request, &octets, &size, error);

    return built(status, octets);
}

static enum dot2_status signed_built(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    struct lab *lab = world->posting.lab;
    uint8_t *octets = NULL;
    size_t size = 0;
    enum dot2_status status =
        scms_signed_request_build(lab->crypto, lab->device.key, lab->device.cert, world->tbs.data,
                                  world->tbs.size, &octets, &size, error);

    return built(status, octets);
}

static enum dot2_status signed_parsed(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    struct lab *lab = world->posting.lab;
    struct scms_signed_request request = {NULL};
    struct scms_app_request app = {NULL};
    enum dot2_status status = scms_signed_request_parse(
        lab->crypto, world->request.data, world->request.size, false, &request, error);

    if (status == DOT2_OK) {
        status = scms_app_request_parse(lab->crypto, request.pdu, &app, error);
        EVP_PKEY_free(app.verify_key);
        EVP_PKEY_free(app.cert_encryption_key);
        EVP_PKEY_free(app.response_encryption_key);
    }
    scms_signed_request_clear(&request);
    return status;
}

static enum dot2_status secured_built(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    const struct posting *posting = &world->posting;
    uint8_t *octets = NULL;
    size_t size = 0;
    enum dot2_status status =
        scms_secured_build(posting->lab->crypto, posting->newest.cert, world->request.data,
                           world->request.size, &octets, &size, error);

    return built(status, octets);
}

static enum dot2_status secured_opened(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    size_t count, size = 0;
    const struct scms_ra_key *keys = ra_keys_decrypt(world->posting.keys, &count);
    uint8_t *octets = NULL;
    enum dot2_status status =
        scms_secured_open(world->posting.lab->crypto, keys, count, world->body.data,
                          world->body.size, &octets, &size, NULL, error);

    return built(status, octets);
}

static enum dot2_status ack_opened(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    const struct posting *posting = &world->posting;
    struct scms_ack ack;

    return scms_ack_open(posting->trust, posting->newest.cert, posting->lab->now, world->ack.data,
                         world->ack.size, &ack, error);
}

static enum dot2_status keys_made(const void *arg, struct dot2_error *error)
{
    const struct world *world = arg;
    const struct posting *posting = &world->posting;
    const struct ra_key list[] = {
        {posting->newest.cert, posting->newest.key, posting->newest_decrypt}};
    ra_keys *keys = NULL;
    size_t which;
    enum dot2_status status = ra_keys_new(posting->lab->crypto, list, 1, &keys, &which, error);

    ra_keys_free(keys);
    return status;
}

static void messages(void **state)
{
    static const struct {
        const char *name;
        scarce_trial *try;
    } trials[] = {
        {"trust", trust_made},
        {"certificate", certificate},
        {"implicit certificate", certificate_implicit},
        {"download request", download_built},
        {"application request", app_built},
        {"signed request", signed_built},
        {"signed request, parsed", signed_parsed},
        {"secured request", secured_built},
        {"secured request, opened", secured_opened},
        {"ack, opened", ack_opened},
        {"keys of an RA", keys_made},
    };

    for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++)
        scarce_tell(trials[i].name, trials[i].try, *state);
}

/* ---- the RA's decisions, with a trust that has verified nothing yet ---- */

static void assert_scarcity(const char *name, unsigned n, const struct ra_decision *decision)
{
    if (decision->reason != RA_INTERNAL && decision->reason != RA_STORE)
        fail_msg("%s, allocation %u: %s, %s: %s", name, n, ra_reason_name(decision->reason),
                 decision->error.field, decision->error.detail);
}

static void downloads(struct world *world, const char *name, const char *header)
{
    unsigned n;

    for (n = 1; n < SCARCE_MOST; n++) {
        dot2_trust *trust = NULL;
        struct ra_decision decision;
        struct ra_authorise in;
        enum ra_reason reason;
        bool failed;

        assert_int_equal(trust_new(world, &trust), DOT2_OK);
        in = authorise(world, trust);
        scarce_set(n);
        reason = ra_authorise_download(&in, RA_APPLICATION_CERTIFICATE, header, strlen(header),
                                       &decision);
        failed = scarce_end();
        if (reason != RA_ALLOWED && failed) {
            assert_scarcity(name, n, &decision);
            assert_string_equal(decision.filename, "");
            /* What was cached before it failed does not stand in the way. */
            reason = ra_authorise_download(&in, RA_APPLICATION_CERTIFICATE, header, strlen(header),
                                           &decision);
        }
        assert_int_equal(reason, RA_ALLOWED);
        dot2_trust_free(trust);
        ERR_clear_error();
        if (!failed)
            break;
    }
    scarce_tell_end(name, n);
}

static void decision_signed(void **state)
{
    struct world *world = *state;

    downloads(world, "download, signed", world->signed_header);
}

static void decision_secured(void **state)
{
    struct world *world = *state;

    downloads(world, "download, secured", world->secured_header);
}

static bool is_stored(struct world *world, const struct octets *body)
{
    enum ra_request_state request_state;
    uint8_t hash[32], requester[48];
    size_t size;

    SHA256(body->data, body->size, hash);
    return ra_request_find(world->posting.lab->store, hash + 24, &request_state, requester,
                           &size) == RA_STORE_OK;
}

static void provisions(struct world *world, const char *name, enum scms_provision kind)
{
    struct posting *posting = &world->posting;
    struct ra_provision provision = ra_provision_default();
    unsigned n;

    provision.url = "https://localhost/download/application-certificate";
    provision.limits.max_requests = 0;
    provision.limits.one_application = false;
    for (n = 1; n < SCARCE_MOST; n++) {
        struct octets body =
            posting_body(posting, &posting->lab->device, &(struct wish){.kind = kind});
        struct ra_decision decision;
        dot2_trust *trust = NULL;
        struct ra_authorise in;
        enum ra_reason reason;
        uint8_t *ack = NULL;
        size_t ack_size = 0;
        bool failed;

        assert_int_equal(trust_new(world, &trust), DOT2_OK);
        in = authorise(world, trust);
        scarce_set(n);
        reason = ra_authorise_provision(&in, &provision, kind, body.data, body.size, &decision,
                                        &ack, &ack_size);
        failed = scarce_end();
        assert_int_equal(ack != NULL, reason == RA_ALLOWED);
        assert_int_equal(is_stored(world, &body), reason == RA_ALLOWED);
        if (reason != RA_ALLOWED && failed) {
            assert_scarcity(name, n, &decision);
            reason = ra_authorise_provision(&in, &provision, kind, body.data, body.size, &decision,
                                            &ack, &ack_size);
        }
        assert_int_equal(reason, RA_ALLOWED);
        assert_true(is_stored(world, &body));
        OPENSSL_free(ack);
        dot2_trust_free(trust);
        octets_clear(&body);
        ERR_clear_error();
        if (!failed)
            break;
    }
    scarce_tell_end(name, n);
}

static void decision_provision(void **state)
{
    provisions(*state, "application request", SCMS_PROVISION_APP);
    provisions(*state, "identity request", SCMS_PROVISION_ID);
    provisions(*state, "pseudonym request", SCMS_PROVISION_PSEUDONYM);
}

/* Opened anew: what it allocates once for a connection and a statement, too. */
static void store(void **state)
{
    struct world *world = *state;
    struct lab *lab = world->posting.lab;
    uint8_t hashes[1][48] = {{0}};
    unsigned n;

    for (n = 1; n < SCARCE_MOST; n++) {
        enum ra_store_status status;
        ra_store *opened = NULL;
        char text[300] = "";
        bool failed;

        scarce_set(n);
        status = ra_store_open(lab->store_path, false, &opened, text, sizeof text);
        if (status == RA_STORE_OK)
            status = ra_file_check(opened, "0000000000000000.zip", 20, (const uint8_t(*)[48])hashes,
                                   32, 1);
        failed = scarce_end();
        ra_store_close(opened);
        if (!failed)
            assert_int_equal(status, RA_STORE_NOT_FOUND);
        else
            assert_true(status == RA_STORE_UNAVAILABLE || status == RA_STORE_NOT_FOUND);
        if (!failed)
            break;
        assert_true(status == RA_STORE_NOT_FOUND || opened != NULL || text[0] != '\0');
    }
    scarce_tell_end("store", n);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct posting *posting = &world->posting;
    struct ra_provision provision = ra_provision_default();
    struct ra_decision decision;
    struct ra_authorise in;
    struct lab *lab;
    char *secured;

    assert_non_null(world);
    lab = posting->lab = lab_new();
    posting_make_keys(posting);
    lab_assign(lab, NAME, lab->device.cert);
    world->tbs = wish_tbs(posting, &(struct wish){.cert_encryption = lab->root.key});
    world->request = signed_by(posting, &lab->device, &world->tbs);
    world->body = secured_to(posting, posting->newest.cert, &world->request);
    world->signed_header = lab_request(lab, &lab->device, lab->now, NAME);
    {
        struct octets octets = {NULL, 0}, whole;

        octets.data = lab_request_octets(lab, lab->device.cert, lab->device.key, lab->now, NAME,
                                         &octets.size);
        whole = secured_to(posting, posting->newest.cert, &octets);
        secured = lab_base64(whole.data, whole.size);
        octets_clear(&octets);
        octets_clear(&whole);
    }
    world->secured_header = secured;
    in = authorise(world, lab->trust);
    provision.url = "https://localhost/download/application-certificate";
    assert_int_equal(ra_authorise_provision(&in, &provision, SCMS_PROVISION_APP, world->body.data,
                                            world->body.size, &decision, &world->ack.data,
                                            &world->ack.size),
                     RA_ALLOWED);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    struct posting *posting = &world->posting;

    octets_clear(&world->tbs);
    octets_clear(&world->request);
    octets_clear(&world->body);
    octets_clear(&world->ack);
    OPENSSL_free(world->signed_header);
    OPENSSL_free(world->secured_header);
    ra_keys_free(posting->keys);
    dot2_trust_free(posting->trust);
    lab_cert_clear(&posting->old);
    lab_cert_clear(&posting->newest);
    lab_cert_clear(&posting->stranger);
    EVP_PKEY_free(posting->old_decrypt);
    EVP_PKEY_free(posting->newest_decrypt);
    EVP_PKEY_free(posting->stranger_decrypt);
    lab_free(posting->lab);
    free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(decision_signed),
        cmocka_unit_test(decision_secured),
        cmocka_unit_test(decision_provision),
        cmocka_unit_test(store),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
