/*
 * authorise_file_test.c: which file a device may have: its name, as each service takes it, and
 * whose it is.
 */
#include "tests/ra/deciding.h"

#include <strings.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(file_names, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(file_name_with_nul, deciding_setup, deciding_teardown),
        cmocka_unit_test_setup_teardown(file_owner, deciding_setup, deciding_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
