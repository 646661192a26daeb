/* test_lab_eca.c: the enrollment CA of `dot2hsm lab run`, as a program. */
#include "tests/apps/lab_scene.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct scene s;

static int set_up(void **state)
{
    (void)state;
    scene_open(&s);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scene_close(&s);
    return 0;
}

/* What a road-side unit asks for, by the profile. */
static ToBeSignedCertificate_t *rse_body(void)
{
    ToBeSignedCertificate_t *body = fixture_body(&s.f, "", s.now, 1);
    PsidGroupPermissions_t *group = fixture_request(&s.f, body, 0x83, NULL, 0, 0, APP);

    fixture_range_add(&s.f, group, 0x20408e, NULL);
    body->crlSeries = 4;
    body->validityPeriod.duration.present = Duration_PR_years;
    body->validityPeriod.duration.choice.years = 3;
    fixture_region(&s.f, body, "83 0101 80 0348");
    return body;
}

/* Signs it with a key and writes it to eca/requests/NAME. */
static void ask(const char *name, const ToBeSignedCertificate_t *body, EVP_PKEY *key,
                EVP_PKEY *signer, const dot2_cert *signer_cert, uint32_t time32)
{
    uint8_t *tbs = NULL, *octets = NULL;
    size_t tbs_size = 0, size = 0;
    char path[128];

    assert_int_equal(scms_enrollment_request_build(time32, body, key, &tbs, &tbs_size, NULL),
                     DOT2_OK);
    assert_int_equal(scms_signed_request_build(s.f.crypto, signer, signer_cert, tbs, tbs_size,
                                               &octets, &size, NULL),
                     DOT2_OK);
    snprintf(path, sizeof(path), "eca/requests/%s", name);
    scene_write(&s, path, octets, size);
    OPENSSL_free(tbs);
    OPENSSL_free(octets);
}

static void open_response(const char *name, bool allow_explicit,
                          struct scms_enrollment_response *response)
{
    char path[128];
    struct dot2_error error = {0};
    size_t size = 0;
    uint8_t *octets;

    snprintf(path, sizeof(path), "eca/responses/%s", name);
    octets = scene_read(&s, path, &size);
    assert_non_null(octets);
    if (scms_enrollment_response_open(s.f.crypto, s.trust, s.now, octets, size, allow_explicit,
                                      response, &error) != DOT2_OK)
        fail_msg("%s: %s", error.field, error.detail);
    free(octets);
}

/* requestHash is the last 8 octets of the hash of the file that was asked with. */
static void check_hash(const char *done, const uint8_t hash[8])
{
    size_t size = 0;
    uint8_t whole[48], *octets = scene_read(&s, done, &size);

    assert_non_null(octets);
    assert_int_equal(dot2_hash(s.f.crypto, DOT2_CURVE_P256, octets, size, whole), DOT2_OK);
    assert_memory_equal(whole + 24, hash, 8);
    free(octets);
}

static void check_profile(const dot2_cert *cert)
{
    const ToBeSignedCertificate_t *tbs = &dot2_cert_asn1(cert)->toBeSigned;
    const PsidGroupPermissions_t *group;

    assert_int_equal(tbs->id.present, CertificateId_PR_name);
    assert_int_equal(tbs->id.choice.name.size, 0);
    assert_int_equal(tbs->crlSeries, 4);
    assert_memory_equal(tbs->cracaId.buf, dot2_cert_hashedid8(s.root) + 5, 3);
    assert_int_equal(tbs->validityPeriod.duration.present, Duration_PR_years);
    assert_int_equal(tbs->validityPeriod.duration.choice.years, 3);
    assert_int_equal(tbs->region->choice.identifiedRegion.list.array[0]->choice.countryOnly, 840);
    assert_null(tbs->assuranceLevel);
    assert_null(tbs->appPermissions);
    assert_null(tbs->certIssuePermissions);
    assert_non_null(tbs->canRequestRollover);
    assert_null(tbs->encryptionKey);
    assert_int_equal(tbs->certRequestPermissions->list.count, 1);
    group = tbs->certRequestPermissions->list.array[0];
    assert_int_equal(*group->minChainLength, 0);
    assert_int_equal(group->chainLengthRange, 0);
    assert_int_equal(group->eeType->buf[0], APP);
    assert_int_equal(group->subjectPermissions.choice.Explicit.list.count, 2);
    assert_int_equal(group->subjectPermissions.choice.Explicit.list.array[1]->psid, 0x20408e);
}

static void a_device_is_enrolled(void **state)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ENROLLMENT, .time = s.now + 60};

    (void)state;
    for (int explicit = 0; explicit < 2; explicit ++) {
        EVP_PKEY *key = fixture_key(&s.f, DOT2_CURVE_P256), *private = NULL;
        struct scms_enrollment_response response;
        struct dot2_chain chain = {0};
        const char *name = explicit ? "explicit.oer" : "implicit.oer";
        char done[64];

        ask(name, rse_body(), key, key, NULL, s.now);
        assert_int_equal(scene_run(&s, explicit ? "--once --enrollment explicit" : "--once"), 0);
        assert_true(scene_said(&s, "for tests and demonstrations"));
        assert_true(scene_said(&s, explicit ? "explicit  until" : "implicit  until"));
        open_response(name, explicit, &response);
        snprintf(done, sizeof(done), "eca/done/%s", name);
        check_hash(done, response.request_hash);
        check_profile(response.enrollment);
        assert_int_equal(dot2_cert_is_implicit(response.enrollment), !explicit);
        assert_int_equal(dot2_chain_verify(s.trust, response.enrollment, &check, &chain, NULL),
                         DOT2_OK);
        if (!explicit)
            assert_int_equal(dot2_ecqv_private_key(s.f.crypto, response.enrollment, response.eca,
                                                   key, response.s, &private, NULL),
                             DOT2_OK);
        assert_int_equal(EVP_PKEY_eq(chain.key, explicit ? key : private), 1);
        dot2_chain_clear(&chain);
        scms_enrollment_response_clear(&response);
        EVP_PKEY_free(private);
        EVP_PKEY_free(key);
    }
    assert_false(scene_has(&s, "eca/requests/implicit.oer"));
}

/* Killed between the answer and the mark that it is given, and then run again. */
static void an_answer_is_given_once(void **state)
{
    EVP_PKEY *key = fixture_key(&s.f, DOT2_CURVE_P256);
    size_t size = 0, again_size = 0;
    uint8_t *first, *again;

    (void)state;
    ask("once.oer", rse_body(), key, key, NULL, s.now);
    assert_int_equal(scene_run(&s, "--once"), 0);
    first = scene_read(&s, "eca/responses/once.oer", &size);
    assert_non_null(first);
    assert_int_equal(
        rename(scene_path(&s, "eca/done/once.oer"), scene_path(&s, "eca/requests/once.oer")), 0);
    scene_write(&s, "eca/responses/.lab-run.part", "half", 4);
    assert_int_equal(scene_run(&s, "--once"), 0);
    again = scene_read(&s, "eca/responses/once.oer", &again_size);
    assert_int_equal(size, again_size);
    assert_memory_equal(first, again, size);
    assert_true(scene_has(&s, "eca/done/once.oer"));
    assert_false(scene_has(&s, "eca/requests/once.oer"));
    assert_false(scene_has(&s, "eca/responses/.lab-run.part"));
    free(again);
    /* Another request under the same name is another request. */
    ask("once.oer", rse_body(), key, key, NULL, s.now + 1);
    assert_int_equal(scene_run(&s, "--once"), 0);
    again = scene_read(&s, "eca/responses/once.oer", &again_size);
    assert_true(again_size != size || memcmp(first, again, size) != 0);
    free(first);
    free(again);
    EVP_PKEY_free(key);
}

static void check_refused(const char *name, const char *reason)
{
    char path[128];
    size_t size = 0;
    char *text;

    snprintf(path, sizeof(path), "eca/responses/%s", name);
    assert_false(scene_has(&s, path));
    snprintf(path, sizeof(path), "eca/requests/%s", name);
    assert_false(scene_has(&s, path));
    snprintf(path, sizeof(path), "eca/refused/%s", name);
    assert_true(scene_has(&s, path));
    snprintf(path, sizeof(path), "eca/refused/%s.txt", name);
    text = (char *)scene_read(&s, path, &size);
    assert_non_null(text);
    if (strstr(text, reason) == NULL)
        fail_msg("%s: not \"%s\" but %s", name, reason, text);
    free(text);
}

static void what_is_not_of_the_profile_is_refused(void **state)
{
    EVP_PKEY *key = fixture_key(&s.f, DOT2_CURVE_P256), *other = fixture_key(&s.f, DOT2_CURVE_P256),
             *brainpool = fixture_key(&s.f, DOT2_CURVE_BRAINPOOL_P256R1);
    ToBeSignedCertificate_t *body;

    (void)state;
    ask("signature.oer", rse_body(), key, other, NULL, s.now);
    ask("signer.oer", rse_body(), s.rse_key, s.rse_key, s.rse, s.now);
    ask("old.oer", rse_body(), key, key, NULL, s.now - 8 * 86400);
    ask("early.oer", rse_body(), key, key, NULL, s.now + 3600);
    ask("brainpool.oer", rse_body(), brainpool, brainpool, NULL, s.now);
    body = rse_body();
    body->validityPeriod.start = s.now - 2 * 86400;
    ask("start.oer", body, key, key, NULL, s.now);
    body->validityPeriod.start = s.now + 31 * 86400;
    ask("start2.oer", body, key, key, NULL, s.now);
    body = rse_body();
    body->validityPeriod.duration.choice.years = 8;
    ask("years.oer", body, key, key, NULL, s.now);
    body->validityPeriod.duration.present = Duration_PR_hours;
    ask("hours.oer", body, key, key, NULL, s.now);
    body = rse_body();
    fixture_region(&s.f, body, "83 0101 80 007c");
    ask("canada.oer", body, key, key, NULL, s.now);
    fixture_region(&s.f, body, "83 0102 80 0348 80 007c");
    ask("both.oer", body, key, key, NULL, s.now);
    body = rse_body();
    fixture_assurance(&s.f, body, 0x20);
    ask("assurance.oer", body, key, key, NULL, s.now);
    body = rse_body();
    fixture_request(&s.f, body, 0x555, NULL, 0, 0, APP);
    ask("psid.oer", body, key, key, NULL, s.now);
    body = rse_body();
    fixture_request(&s.f, body, 0x82, NULL, 0, 0, ENROL);
    ask("enrol.oer", body, key, key, NULL, s.now);
    body = rse_body();
    fixture_request(&s.f, body, -1, NULL, 0, 0, APP);
    ask("all.oer", body, key, key, NULL, s.now);
    scene_write(&s, "eca/requests/empty.oer", "", 0);
    scene_write(&s, "eca/requests/noise.oer", "\x03\x83\x05hello", 8);
    assert_int_equal(mkdir(scene_path(&s, "eca/requests/folder.oer"), 0700), 0);
    assert_int_equal(symlink(scene_path(&s, "ca/eca.key"), scene_path(&s, "eca/requests/link.oer")),
                     0);
    ask("good.oer", rse_body(), key, key, NULL, s.now);
    assert_int_equal(scene_run(&s, "--once"), 0);
    check_refused("signature.oer", "ecaInvalidVerifyKey");
    check_refused("signature.oer", "DOT2_E_SIGNATURE");
    check_refused("signer.oer", "ecaMalformedRequest: the signer is not self");
    check_refused("old.oer", "ecaInvalidCurrentTime");
    check_refused("early.oer", "ecaInvalidCurrentTime");
    check_refused("brainpool.oer", "ecaInvalidVerifyKey");
    check_refused("start.oer", "ecaInvalidRequestedStartTime");
    check_refused("start2.oer", "ecaInvalidRequestedStartTime");
    check_refused("years.oer", "ecaInvalidValidityPeriod");
    check_refused("hours.oer", "ecaInvalidValidityPeriod");
    check_refused("canada.oer", "ecaInvalidRegion");
    check_refused("both.oer", "ecaInvalidRegion");
    check_refused("assurance.oer", "ecaInvalidAssuranceLevel");
    check_refused("psid.oer", "ecaInvalidPsid");
    check_refused("psid.oer", "DOT2_E_PERMISSION");
    check_refused("enrol.oer", "ecaInvalidPsid");
    check_refused("all.oer", "ecaInvalidPsid");
    check_refused("empty.oer", "ecaMalformedRequest");
    check_refused("noise.oer", "ecaMalformedRequest");
    check_refused("folder.oer", "not a file");
    check_refused("link.oer", "not a file");
    assert_true(scene_has(&s, "eca/responses/good.oer"));
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    EVP_PKEY_free(brainpool);
}

static void only_one_runs_and_it_ends_when_told(void **state)
{
    EVP_PKEY *key = fixture_key(&s.f, DOT2_CURVE_P256);
    pid_t pid = scene_start(&s, "--interval 20");
    int status = 0;

    (void)state;
    ask("later.oer", rse_body(), key, key, NULL, s.now);
    for (int i = 0; i < 600 && !scene_has(&s, "eca/done/later.oer"); i++)
        usleep(20000);
    assert_true(scene_has(&s, "eca/responses/later.oer"));
    assert_int_equal(scene_run(&s, "--once"), 1);
    assert_true(scene_said(&s, "another `dot2hsm lab run` is at work"));
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EVP_PKEY_free(key);
}

static void a_wrong_command_line_is_refused(void **state)
{
    static const char *const lines[] = {"--enrollment both", "--application x", "--interval 0",
                                        "--interval 5s",     "--forever",       "one"};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(scene_run(&s, lines[i]), 2);
    assert_int_equal(scene_run(&s, "--help"), 0);
    assert_true(scene_said(&s, "FOR TESTS AND DEMONSTRATIONS ONLY"));
    assert_int_equal(rename(scene_path(&s, "ra.conf"), scene_path(&s, "ra.bak")), 0);
    assert_int_equal(scene_run(&s, "--once"), 2);
    assert_true(scene_said(&s, "lab init"));
    assert_int_equal(rename(scene_path(&s, "ra.bak"), scene_path(&s, "ra.conf")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_is_enrolled),
        cmocka_unit_test(an_answer_is_given_once),
        cmocka_unit_test(what_is_not_of_the_profile_is_refused),
        cmocka_unit_test(only_one_runs_and_it_ends_when_told),
        cmocka_unit_test(a_wrong_command_line_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
