/*
 * authorise_test.c: every reason of a refusal, their order, and what is allowed. (The names of
 * files are in authorise_file_test.c.)
 */
#include "tests/ra/deciding.h"

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
        cmocka_unit_test_setup_teardown(allowed, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(allowed_implicit, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(header, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(forms, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(bit_flips, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(other_pdu, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(signer, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(blacklist, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(mirrored_certificate, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(mirrored_entry, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(certificate, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(time_stamp, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(time_stamp_ends, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(signature, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(order, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(store_damaged, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(provider_away, deciding_setup, deciding_teardown),
        cmocka_unit_test(reason_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
