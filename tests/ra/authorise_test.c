/*
 * authorise_test.c: every reason of a refusal, their order, and what is allowed.
 */
#include "tests/ra/lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#define NAME "AB09281C9867DE53.zip"

static int setup(void **state)
{
    struct lab *lab = lab_new();

    lab_assign(lab, NAME, lab->device.cert);
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    lab_free(*state);
    return 0;
}

static struct ra_decision decide_text(struct lab *lab, enum ra_service service, const char *text,
                                      size_t size)
{
    struct ra_authorise in = {.crypto = lab->crypto,
                              .trust = lab->trust,
                              .store = lab->store,
                              .now = lab->now,
                              .tolerance = 5,
                              .max_header = 8192};
    struct ra_decision decision;
    enum ra_reason reason = ra_authorise_download(&in, service, text, size, &decision);

    assert_int_equal(reason, decision.reason);
    assert_int_equal(decision.code == 0, reason == RA_ALLOWED);
    assert_int_equal(decision.filename[0] == '\0', reason != RA_ALLOWED);
    if (decision.code != 0)
        assert_non_null(scms_error_find(decision.code));
    return decision;
}

/* A request under cert, signed by key, time seconds from now. */
static struct ra_decision decide_as(struct lab *lab, enum ra_service service, const dot2_cert *cert,
                                    EVP_PKEY *key, int time, const char *name)
{
    struct lab_cert device = {.cert = (dot2_cert *)cert, .key = key};
    char *text = lab_request(lab, &device, (uint32_t)((int64_t)lab->now + time), name);
    struct ra_decision decision = decide_text(lab, service, text, strlen(text));

    OPENSSL_free(text);
    return decision;
}

static struct ra_decision decide(struct lab *lab, const struct lab_cert *device)
{
    return decide_as(lab, RA_APPLICATION_CERTIFICATE, device->cert, device->key, 0, NAME);
}

static struct ra_decision decide_octets(struct lab *lab, const uint8_t *octets, size_t size)
{
    char *text = lab_base64(octets, size);
    struct ra_decision decision = decide_text(lab, RA_APPLICATION_CERTIFICATE, text, strlen(text));

    OPENSSL_free(text);
    return decision;
}

static void assert_refused(struct ra_decision decision, enum ra_reason reason, int code)
{
    if (decision.reason != reason)
        fail_msg("%s instead of %s: %s %s", ra_reason_name(decision.reason), ra_reason_name(reason),
                 decision.error.field, decision.error.detail);
    assert_int_equal(decision.code, code);
}

static void allowed(void **state)
{
    struct lab *lab = *state;
    struct ra_decision decision = decide(lab, &lab->device);

    assert_refused(decision, RA_ALLOWED, 0);
    assert_string_equal(decision.filename, NAME);
    assert_true(decision.has_hashedid8);
    assert_memory_equal(decision.hashedid8, dot2_cert_hashedid8(lab->device.cert), 8);
    assert_int_equal(decision.timestamp, lab->now);
    /* And once more, with the certificate in the cache. */
    assert_refused(decide(lab, &lab->device), RA_ALLOWED, 0);
}

static void allowed_implicit(void **state)
{
    struct lab *lab = *state;

    lab_assign(lab, "00000000000000AA.zip", lab->implicit.cert);
    assert_refused(decide_as(lab, RA_APPLICATION_CERTIFICATE, lab->implicit.cert, lab->implicit.key,
                             0, "00000000000000aa.zip"),
                   RA_ALLOWED, 0);
    assert_refused(decide(lab, &lab->implicit), RA_FILE_OF_ANOTHER, SCMS_RA_NO_CERT_FILE_AVAILABLE);
    lab_blacklist(lab, lab->implicit.cert, RA_BLACKLIST_HASHEDID10);
    assert_refused(decide(lab, &lab->implicit), RA_BLACKLISTED, SCMS_RA_BLACKLISTED);
}

static void header(void **state)
{
    struct lab *lab = *state;
    char *long_one = malloc(8193);
    char *good = lab_request(lab, &lab->device, lab->now, NAME), *bad;
    size_t size = strlen(good);

    assert_refused(decide_text(lab, RA_BATCH, NULL, 0), RA_HEADER_MISSING,
                   SCMS_RA_INVALID_SIGNATURE);
    assert_refused(decide_text(lab, RA_BATCH, "", 0), RA_HEADER_MISSING, SCMS_RA_INVALID_SIGNATURE);
    assert_non_null(long_one);
    memset(long_one, 'A', 8193);
    assert_refused(decide_text(lab, RA_BATCH, long_one, 8193), RA_HEADER_TOO_LONG,
                   SCMS_RA_WRONG_PARAMETERS);
    assert_refused(decide_text(lab, RA_BATCH, long_one, 8192), RA_REQUEST_MALFORMED,
                   SCMS_RA_WRONG_PARAMETERS);
    assert_refused(decide_text(lab, RA_BATCH, "not Base64!", 11), RA_HEADER_BASE64,
                   SCMS_RA_WRONG_PARAMETERS);
    assert_refused(decide_text(lab, RA_BATCH, good, size - 1), RA_HEADER_BASE64,
                   SCMS_RA_WRONG_PARAMETERS);
    bad = OPENSSL_strdup(good);
    bad[10] = ' ';
    assert_refused(decide_text(lab, RA_BATCH, bad, size), RA_HEADER_BASE64,
                   SCMS_RA_WRONG_PARAMETERS);
    OPENSSL_free(bad);
    OPENSSL_free(good);
    free(long_one);
}

static void forms(void **state)
{
    static const uint8_t encrypted[] = {3, 0x82, 1, 0}, unsecured[] = {3, 0x80, 1, 0},
                         signed_data[] = {3, 0x81, 0}, garbage[] = {1, 2, 3, 4, 5, 6},
                         empty_request[] = {3, 0x83, 0};
    struct lab *lab = *state;
    size_t size;
    uint8_t *octets =
        lab_request_octets(lab, lab->device.cert, lab->device.key, lab->now, NAME, &size);

    assert_refused(decide_octets(lab, encrypted, sizeof encrypted), RA_REQUEST_ENCRYPTED,
                   SCMS_RA_AUTHENTICATION_FAILED);
    assert_refused(decide_octets(lab, unsecured, sizeof unsecured), RA_REQUEST_MALFORMED,
                   SCMS_RA_WRONG_PARAMETERS);
    assert_refused(decide_octets(lab, signed_data, sizeof signed_data), RA_REQUEST_MALFORMED,
                   SCMS_RA_WRONG_PARAMETERS);
    assert_refused(decide_octets(lab, garbage, sizeof garbage), RA_REQUEST_MALFORMED,
                   SCMS_RA_WRONG_PARAMETERS);
    assert_refused(decide_octets(lab, empty_request, sizeof empty_request), RA_REQUEST_MALFORMED,
                   SCMS_RA_WRONG_PARAMETERS);
    for (size_t cut = 1; cut < size; cut++) /* truncated anywhere */
        assert_int_not_equal(decide_octets(lab, octets, cut).reason, RA_ALLOWED);
    OPENSSL_free(octets);
}

/*
 * No single bit may be changed and the request still be allowed, but for the two that turn the
 * x-only rSig of the certificate and of the request (80) into a compressed point (82): both say the
 * same r, and the standard has a receiver take either.
 */
static void bit_flips(void **state)
{
    struct lab *lab = *state;
    size_t size, other_forms = 0;
    uint8_t *octets =
        lab_request_octets(lab, lab->device.cert, lab->device.key, lab->now, NAME, &size);

    for (size_t bit = 0; bit < 8 * size; bit++) {
        struct ra_decision decision;

        octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
        decision = decide_octets(lab, octets, size);
        if (decision.reason == RA_ALLOWED && octets[bit / 8] == 0x82 && bit % 8 == 1)
            other_forms++;
        else if (decision.reason == RA_ALLOWED || decision.reason == RA_INTERNAL)
            fail_msg("bit %zu: %s", bit, ra_reason_name(decision.reason));
        octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(other_forms <= 2);
    OPENSSL_free(octets);
}

static void other_pdu(void **state)
{
    struct lab *lab = *state;
    /* ScmsPDU, version 1, ee-ra, eeRaCertRequest, version 1 */
    static const uint8_t pdu[] = {1, 0x83, 0x80, 0x00, 0x01};
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size;

    assert_int_equal(scms_signed_request_build(lab->crypto, lab->device.key, lab->device.cert, pdu,
                                               sizeof pdu, &octets, &size, &error),
                     DOT2_OK);
    assert_refused(decide_octets(lab, octets, size), RA_REQUEST_MALFORMED,
                   SCMS_RA_WRONG_PARAMETERS);
    OPENSSL_free(octets);
}

static void signer(void **state)
{
    struct lab *lab = *state;
    size_t size;
    uint8_t *octets = lab_request_octets(lab, NULL, lab->device.key, lab->now, NAME, &size);

    assert_refused(decide_octets(lab, octets, size), RA_SIGNER, SCMS_RA_AUTHENTICATION_FAILED);
    OPENSSL_free(octets);
}

static void blacklist(void **state)
{
    static const enum ra_blacklist_kind kinds[] = {RA_BLACKLIST_HASHEDID8, RA_BLACKLIST_HASHEDID10,
                                                   RA_BLACKLIST_SHA256};
    struct lab *lab = *state;

    for (size_t i = 0; i < 3; i++) {
        struct lab_cert device = lab_issue(lab, &lab->eca, NULL);

        assert_refused(decide(lab, &device), RA_FILE_OF_ANOTHER, SCMS_RA_NO_CERT_FILE_AVAILABLE);
        /* It is in the cache of verified certificates now, and that must not help it. */
        lab_blacklist(lab, device.cert, kinds[i]);
        assert_refused(decide(lab, &device), RA_BLACKLISTED, SCMS_RA_BLACKLISTED);
        lab_cert_clear(&device);
    }
    assert_refused(decide(lab, &lab->device), RA_ALLOWED, 0);
}

/* (r, n - s) verifies wherever (r, s) does: the other form of the certificate is the same device.
 */
static void mirrored_certificate(void **state)
{
    struct lab *lab = *state;
    dot2_cert *mirrored = lab_mirror(lab, lab->device.cert);
    struct lab_cert device = {.cert = mirrored, .key = lab->device.key};

    assert_memory_not_equal(dot2_cert_hashedid8(mirrored), dot2_cert_hashedid8(lab->device.cert),
                            8);
    /* Its files are the device's still, */
    assert_refused(decide(lab, &device), RA_ALLOWED, 0);
    /* and so is its place on the blacklist. */
    lab_blacklist(lab, lab->device.cert, RA_BLACKLIST_HASHEDID8);
    assert_refused(decide(lab, &device), RA_BLACKLISTED, SCMS_RA_BLACKLISTED);
    dot2_cert_free(mirrored);
}

static void mirrored_entry(void **state)
{
    struct lab *lab = *state;
    dot2_cert *mirrored = lab_mirror(lab, lab->device.cert);

    /* The other way round: the entry was made from the mirrored form. */
    lab_blacklist(lab, mirrored, RA_BLACKLIST_SHA256);
    assert_refused(decide(lab, &lab->device), RA_BLACKLISTED, SCMS_RA_BLACKLISTED);
    dot2_cert_free(mirrored);
}

static void refuse_certificate(struct lab *lab, struct lab_cert device, enum dot2_status status)
{
    struct ra_decision decision = decide(lab, &device);

    assert_refused(decision, RA_CERTIFICATE, SCMS_RA_AUTHENTICATION_FAILED);
    if (decision.error.status != status)
        fail_msg("%s instead of %s", dot2_status_name(decision.error.status),
                 dot2_status_name(status));
    lab_cert_clear(&device);
}

static void certificate(void **state)
{
    struct lab *lab = *state;
    struct lab_cert stranger = lab_authority(lab, NULL);
    struct lab_cert flipped = {.cert = lab_flip(lab, lab->device.cert, 1)};

    EVP_PKEY_up_ref(lab->device.key);
    flipped.key = lab->device.key;
    refuse_certificate(lab, lab_issue(lab, &stranger, NULL), DOT2_E_ISSUER_UNKNOWN);
    refuse_certificate(lab, flipped, DOT2_E_ISSUER_SIGNATURE);
    refuse_certificate(
        lab, lab_issue(lab, &lab->eca, &(struct lab_variant){.start = -7200, .minutes = 60}),
        DOT2_E_EXPIRED);
    refuse_certificate(lab, lab_issue(lab, &lab->eca, &(struct lab_variant){.start = 600}),
                       DOT2_E_NOT_YET_VALID);
    refuse_certificate(lab,
                       lab_issue(lab, &lab->eca, &(struct lab_variant){.start = -60, .psid = 0x81}),
                       DOT2_E_PERMISSION);
    refuse_certificate(
        lab, lab_issue(lab, &lab->eca, &(struct lab_variant){.start = -60, .application = true}),
        DOT2_E_PERMISSION);
    refuse_certificate(
        lab,
        lab_issue(lab, &lab->eca,
                  &(struct lab_variant){.start = -60, .application = true, .no_request = true}),
        DOT2_E_PERMISSION);
    lab_cert_clear(&stranger);
}

static void time_stamp(void **state)
{
    struct lab *lab = *state;
    const struct lab_cert *d = &lab->device;

    for (int off = -5; off <= 5; off++)
        assert_refused(decide_as(lab, RA_APPLICATION_CERTIFICATE, d->cert, d->key, off, NAME),
                       RA_ALLOWED, 0);
    assert_refused(decide_as(lab, RA_APPLICATION_CERTIFICATE, d->cert, d->key, 6, NAME), RA_TIME,
                   SCMS_RA_WRONG_PARAMETERS);
    assert_refused(decide_as(lab, RA_APPLICATION_CERTIFICATE, d->cert, d->key, -6, NAME), RA_TIME,
                   SCMS_RA_WRONG_PARAMETERS);
}

/* At the ends of Time32 the difference must not wrap round. */
static void time_stamp_ends(void **state)
{
    struct lab *lab = *state;
    char *text = lab_request(lab, &lab->device, UINT32_MAX, NAME);

    assert_refused(decide_text(lab, RA_APPLICATION_CERTIFICATE, text, strlen(text)), RA_TIME,
                   SCMS_RA_WRONG_PARAMETERS);
    OPENSSL_free(text);
    text = lab_request(lab, &lab->device, 0, NAME);
    assert_refused(decide_text(lab, RA_APPLICATION_CERTIFICATE, text, strlen(text)), RA_TIME,
                   SCMS_RA_WRONG_PARAMETERS);
    OPENSSL_free(text);
}

static void signature(void **state)
{
    struct lab *lab = *state;
    size_t size;
    uint8_t *octets =
        lab_request_octets(lab, lab->device.cert, lab->device.key, lab->now, NAME, &size);

    octets[size - 1] ^= 1; /* of s */
    assert_refused(decide_octets(lab, octets, size), RA_SIGNATURE, SCMS_RA_INVALID_SIGNATURE);
    OPENSSL_free(octets);
    /* Signed with a key that is not the certificate's; the builder itself would not do it. */
    octets = lab_request_octets(lab, lab->implicit.cert, lab->device.key, lab->now, NAME, &size);
    assert_refused(decide_octets(lab, octets, size), RA_SIGNATURE, SCMS_RA_INVALID_SIGNATURE);
    OPENSSL_free(octets);
}

static void file_names(void **state)
{
    static const struct {
        enum ra_service service;
        const char *name;
        bool good;
    } tests[] = {
        {RA_APPLICATION_CERTIFICATE, "ab09281c9867de53.zip", true},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE53.ZIP", true},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE5.zip", false},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE533.zip", false},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE5G.zip", false},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE53_0.zip", false},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE53.info", false},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE53.zipx", false},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE53.zi", false},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE53", false},
        {RA_APPLICATION_CERTIFICATE, "", false},
        {RA_APPLICATION_CERTIFICATE, "../AB09281C9867DE53.zip", false},
        {RA_APPLICATION_CERTIFICATE, "..", false},
        {RA_APPLICATION_CERTIFICATE, "/etc/passwd", false},
        {RA_APPLICATION_CERTIFICATE, "./AB09281C9867DE53.zip", false},
        {RA_APPLICATION_CERTIFICATE, "%41B09281C9867DE53.zip", false},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE53%2ezip", false},
        {RA_APPLICATION_CERTIFICATE, "AB09281C9867DE53.zip ", false},
        {RA_APPLICATION_CERTIFICATE, " AB09281C9867DE53.zip", false},
        {RA_IDENTITY_CERTIFICATE, "AB09281C9867DE53_F.zip", true},
        {RA_IDENTITY_CERTIFICATE, "ab09281c9867de53_f.ZIP", true},
        {RA_IDENTITY_CERTIFICATE, "AB09281C9867DE53_12345678.zip", true},
        {RA_IDENTITY_CERTIFICATE, "AB09281C9867DE53_123456789.zip", false},
        {RA_IDENTITY_CERTIFICATE, "AB09281C9867DE53_.zip", false},
        {RA_IDENTITY_CERTIFICATE, "AB09281C9867DE53-F.zip", false},
        {RA_IDENTITY_CERTIFICATE, "AB09281C9867DE53.zip", false},
        {RA_BATCH, "AB09281C9867DE53_F.zip", true},
        {RA_BATCH, "AB09281C9867DE53_G.zip", false},
        {RA_BATCH, "AB09281C9867DE53_F_F.zip", false},
        {RA_INFO, "AB09281C9867DE53.info", true},
        {RA_INFO, "ab09281c9867de53.INFO", true},
        {RA_INFO, "AB09281C9867DE53.zip", false},
        {RA_INFO, "AB09281C9867DE53_F.info", false},
    };
    struct lab *lab = *state;
    const struct lab_cert *d = &lab->device;

    lab_assign(lab, "AB09281C9867DE53_F.zip", d->cert);
    lab_assign(lab, "AB09281C9867DE53_12345678.zip", d->cert);
    lab_assign(lab, "AB09281C9867DE53.info", d->cert);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        struct ra_decision decision =
            decide_as(lab, tests[i].service, d->cert, d->key, 0, tests[i].name);

        if (decision.reason != (tests[i].good ? RA_ALLOWED : RA_FILENAME))
            fail_msg("\"%s\": %s", tests[i].name, ra_reason_name(decision.reason));
        if (tests[i].good) {
            assert_int_equal(strcasecmp(decision.filename, tests[i].name), 0);
            assert_int_equal(strncmp(decision.filename, "AB09281C9867DE53", 16), 0);
            assert_non_null(
                strstr(decision.filename, tests[i].service == RA_INFO ? ".info" : ".zip"));
        } else {
            assert_int_equal(decision.code, SCMS_RA_WRONG_PARAMETERS);
        }
    }
}

/* A NUL in the UTF8String: the name is compared by its length, not to the NUL. */
static void file_name_with_nul(void **state)
{
    struct lab *lab = *state;
    struct dot2_error error = {0};
    uint8_t *tbs = NULL, *octets = NULL;
    size_t tbs_size, size;

    assert_int_equal(scms_download_request_build(lab->now, NAME "#x", &tbs, &tbs_size, &error),
                     DOT2_OK);
    assert_int_equal(tbs[tbs_size - 2], '#');
    tbs[tbs_size - 2] = '\0';
    assert_int_equal(scms_signed_request_build(lab->crypto, lab->device.key, lab->device.cert, tbs,
                                               tbs_size, &octets, &size, &error),
                     DOT2_OK);
    assert_refused(decide_octets(lab, octets, size), RA_FILENAME, SCMS_RA_WRONG_PARAMETERS);
    OPENSSL_free(tbs);
    OPENSSL_free(octets);
}

static void file_owner(void **state)
{
    struct lab *lab = *state;
    const struct lab_cert *d = &lab->device;

    assert_refused(decide(lab, &lab->other), RA_FILE_OF_ANOTHER, SCMS_RA_NO_CERT_FILE_AVAILABLE);
    assert_refused(
        decide_as(lab, RA_APPLICATION_CERTIFICATE, d->cert, d->key, 0, "0000000000000000.zip"),
        RA_FILE_UNKNOWN, SCMS_RA_NO_CERT_FILE_AVAILABLE);
    assert_refused(decide_as(lab, RA_INFO, d->cert, d->key, 0, "0000000000000000.info"),
                   RA_FILE_UNKNOWN, SCMS_RA_NO_INFO_FILE_AVAILABLE);
    assert_int_equal(ra_file_unassign(lab->store, NAME), RA_STORE_OK);
    assert_refused(decide(lab, d), RA_FILE_UNKNOWN, SCMS_RA_NO_CERT_FILE_AVAILABLE);
}

/*
 * The order: a request with every fault is refused for the first, then for the next when that one
 * is taken away.
 */
static void order(void **state)
{
    struct lab *lab = *state;
    struct lab_cert expired =
        lab_issue(lab, &lab->eca, &(struct lab_variant){.start = -7200, .minutes = 60});
    struct lab_cert device = lab_issue(lab, &lab->eca, NULL);
    size_t size;
    uint8_t *octets =
        lab_request_octets(lab, expired.cert, expired.key, lab->now - 60, "../x", &size);

    octets[size - 1] ^= 1;
    lab_blacklist(lab, expired.cert, RA_BLACKLIST_HASHEDID8);
    assert_refused(decide_octets(lab, octets, size), RA_BLACKLISTED, SCMS_RA_BLACKLISTED);
    {
        struct ra_blacklist_entry entry = {.kind = RA_BLACKLIST_HASHEDID8};

        memcpy(entry.id, dot2_cert_hashedid8(expired.cert), 8);
        assert_int_equal(ra_blacklist_remove(lab->store, &entry), RA_STORE_OK);
    }
    assert_refused(decide_octets(lab, octets, size), RA_CERTIFICATE, SCMS_RA_AUTHENTICATION_FAILED);
    OPENSSL_free(octets);
    octets = lab_request_octets(lab, device.cert, device.key, lab->now - 60, "../x", &size);
    octets[size - 1] ^= 1;
    assert_refused(decide_octets(lab, octets, size), RA_TIME, SCMS_RA_WRONG_PARAMETERS);
    OPENSSL_free(octets);
    octets = lab_request_octets(lab, device.cert, device.key, lab->now, "../x", &size);
    octets[size - 1] ^= 1;
    assert_refused(decide_octets(lab, octets, size), RA_SIGNATURE, SCMS_RA_INVALID_SIGNATURE);
    octets[size - 1] ^= 1;
    assert_refused(decide_octets(lab, octets, size), RA_FILENAME, SCMS_RA_WRONG_PARAMETERS);
    OPENSSL_free(octets);
    assert_refused(decide(lab, &device), RA_FILE_OF_ANOTHER, SCMS_RA_NO_CERT_FILE_AVAILABLE);
    lab_cert_clear(&expired);
    lab_cert_clear(&device);
}

/* A store that gives no verdict: nobody gets anything. */
static void store_damaged(void **state)
{
    struct lab *lab = *state;
    FILE *file;

    ra_store_close(lab->store);
    file = fopen(lab->store_path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 4096, SEEK_SET), 0);
    for (int i = 0; i < 4096 * 10; i++)
        fputc(0xa5, file);
    fclose(file);
    {
        char text[300];

        assert_int_equal(ra_store_open(lab->store_path, false, &lab->store, text, sizeof text),
                         RA_STORE_OK);
    }
    assert_refused(decide(lab, &lab->device), RA_STORE, SCMS_RA_AUTHENTICATION_FAILED);
}

/* Without the provider there is no verdict, and it is not the device's fault. */
static void provider_away(void **state)
{
    struct lab *lab = *state;
    char *text = lab_request(lab, &lab->device, lab->now, NAME);
    struct ra_decision decision;

    assert_int_equal(OSSL_PROVIDER_unload(lab->dot2hsm), 1);
    lab->dot2hsm = NULL;
    decision = decide_text(lab, RA_APPLICATION_CERTIFICATE, text, strlen(text));
    assert_int_not_equal(decision.reason, RA_ALLOWED);
    assert_int_not_equal(decision.reason, RA_SIGNATURE);
    OPENSSL_free(text);
}

static void reason_names(void **state)
{
    (void)state;
    for (int a = RA_ALLOWED; a <= RA_INTERNAL; a++) {
        assert_string_not_equal(ra_reason_name((enum ra_reason)a), "unknown");
        for (int b = RA_ALLOWED; b < a; b++)
            assert_string_not_equal(ra_reason_name((enum ra_reason)a),
                                    ra_reason_name((enum ra_reason)b));
    }
    assert_string_equal(ra_reason_name((enum ra_reason)1000), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(allowed_implicit, setup, teardown),
        cmocka_unit_test_setup_teardown(header, setup, teardown),
        cmocka_unit_test_setup_teardown(forms, setup, teardown),
        cmocka_unit_test_setup_teardown(bit_flips, setup, teardown),
        cmocka_unit_test_setup_teardown(other_pdu, setup, teardown),
        cmocka_unit_test_setup_teardown(signer, setup, teardown),
        cmocka_unit_test_setup_teardown(blacklist, setup, teardown),
        cmocka_unit_test_setup_teardown(mirrored_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(mirrored_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(time_stamp, setup, teardown),
        cmocka_unit_test_setup_teardown(time_stamp_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(signature, setup, teardown),
        cmocka_unit_test_setup_teardown(file_names, setup, teardown),
        cmocka_unit_test_setup_teardown(file_name_with_nul, setup, teardown),
        cmocka_unit_test_setup_teardown(file_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(order, setup, teardown),
        cmocka_unit_test_setup_teardown(store_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(provider_away, setup, teardown),
        cmocka_unit_test(reason_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
