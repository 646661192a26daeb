/* test_lab_pca.c: the pseudonym CA of `dot2hsm lab run`, as a program, on the RA's store. */
#include "protocol/dot2/butterfly.h"
#include "tests/apps/lab_scene.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/sha.h>

/* i = 0: Tuesday, 2015-01-06T09:00:00Z; a week each. */
#define I_EPOCH_UNIX 1420534800
#define WEEK 604800u

static struct scene s;
static EVP_PKEY *verify_key, *response_key;
static unsigned number;

static int set_up(void **state)
{
    (void)state;
    scene_open(&s);
    verify_key = fixture_key(&s.f, DOT2_CURVE_P256);
    response_key = fixture_key(&s.f, DOT2_CURVE_P256);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(verify_key);
    EVP_PKEY_free(response_key);
    scene_close(&s);
    return 0;
}

static uint8_t *app_tbs(uint32_t start, EVP_PKEY *encryption_key, size_t *size)
{
    const struct scms_app_request request = {.verify_key = verify_key,
                                             .cert_encryption_key = encryption_key,
                                             .response_encryption_key = response_key,
                                             .current_time = s.now,
                                             .requested_start_time = start};
    uint8_t *tbs = NULL;

    assert_int_equal(scms_app_request_build(&request, &tbs, size, NULL), DOT2_OK);
    return tbs;
}

static void ask_app(const dot2_cert *enrollment, EVP_PKEY *key, uint32_t start,
                    EVP_PKEY *encryption_key, char hash[17])
{
    size_t size = 0;
    uint8_t *tbs = app_tbs(start, encryption_key, &size);

    scene_accept(&s, enrollment, key, SCMS_PROVISION_APP, tbs, size, number++ % 16, hash);
    OPENSSL_free(tbs);
}

static struct scms_butterfly_request butterfly(enum scms_provision kind, uint32_t start)
{
    struct scms_butterfly_request request = {.kind = kind,
                                             .verify = {.seed_key = verify_key},
                                             .response_encryption = {.seed_key = response_key},
                                             .current_time = s.now,
                                             .requested_start_time = start};

    memset(request.verify.expansion, 0x11, 16);
    memset(request.response_encryption.expansion, 0x22, 16);
    if (kind == SCMS_PROVISION_ID) {
        request.cert_encryption.seed_key = response_key;
        memset(request.cert_encryption.expansion, 0x33, 16);
    }
    return request;
}

static void ask_batch(const struct scms_butterfly_request *request, char hash[17])
{
    uint8_t *tbs = NULL;
    size_t size = 0;

    assert_int_equal(scms_butterfly_request_build(request, &tbs, &size, NULL), DOT2_OK);
    scene_accept(&s, s.obe, s.obe_key, request->kind, tbs, size, number++ % 16, hash);
    OPENSSL_free(tbs);
}

/* Opens a response and verifies its certificate up to the root, at a time. */
static void open_entry(const char *zip, const char *entry, EVP_PKEY *key, uint32_t at,
                       struct scms_cert_response *response, struct dot2_chain *chain)
{
    const struct dot2_check check = {.time = at};
    struct dot2_error error = {0};
    size_t size = 0;
    uint8_t *octets = scene_unzip(&s, zip, entry, &size);

    if (octets == NULL)
        fail_msg("%s is not in %s", entry, zip);
    if (scms_cert_response_open(s.f.crypto, s.trust, s.now, key, octets, size, response, &error) !=
            DOT2_OK ||
        dot2_chain_verify(s.trust, response->cert, &check, chain, &error) != DOT2_OK)
        fail_msg("%s %s: %s %s", zip, entry, error.field, error.detail);
    assert_int_equal(chain->depth, 4);
    free(octets);
}

static void check_psids(const dot2_cert *cert, const long *psids, int count)
{
    const SequenceOfPsidSsp_t *app = dot2_cert_asn1(cert)->toBeSigned.appPermissions;

    assert_int_equal(app->list.count, count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(app->list.array[i]->psid, psids[i]);
        assert_null(app->list.array[i]->ssp);
    }
}

static void check_common(const dot2_cert *cert, uint32_t start, long hours, long series)
{
    const ToBeSignedCertificate_t *tbs = &dot2_cert_asn1(cert)->toBeSigned;

    assert_int_equal(tbs->validityPeriod.start, start);
    assert_int_equal(tbs->validityPeriod.duration.present, Duration_PR_hours);
    assert_int_equal(tbs->validityPeriod.duration.choice.hours, hours);
    assert_int_equal(tbs->crlSeries, series);
    assert_memory_equal(tbs->cracaId.buf, dot2_cert_hashedid8(s.root) + 5, 3);
    assert_int_equal(tbs->region->choice.identifiedRegion.list.count, 1);
    assert_int_equal(tbs->region->choice.identifiedRegion.list.array[0]->choice.countryOnly, 840);
    assert_null(tbs->assuranceLevel);
    assert_null(tbs->certIssuePermissions);
    assert_null(tbs->certRequestPermissions);
    assert_null(tbs->canRequestRollover);
    assert_memory_equal(dot2_cert_issuer(cert), dot2_cert_hashedid8(s.pca), 8);
}

static void a_road_side_unit_gets_its_certificate(void **state)
{
    static const long psids[] = {0x80, 0x82, 0x83, 0x87};

    (void)state;
    for (int implicit = 0; implicit < 2; implicit++) {
        struct scms_cert_response response;
        struct dot2_chain chain = {0};
        EVP_PKEY *private = NULL, *encryption = NULL;
        char hash[17], zip[32], detail[128] = "";

        ask_app(s.rse, s.rse_key, s.now - 100, implicit ? NULL : response_key, hash);
        assert_int_equal(scene_state(&s, hash, NULL), RA_REQUEST_PENDING);
        assert_int_equal(scene_run(&s, implicit ? "--once --application implicit" : "--once"), 0);
        assert_int_equal(scene_state(&s, hash, detail), RA_REQUEST_READY);
        snprintf(zip, sizeof(zip), "%s.zip", hash);
        assert_int_equal(scene_zip_count(&s, zip), 1);
        assert_true(scene_is_assigned(&s, zip, s.rse));
        open_entry(zip, hash, response_key, s.now + 60, &response, &chain);
        assert_int_equal(response.kind, implicit ? SCMS_RESPONSE_IMPLICIT : SCMS_RESPONSE_EXPLICIT);
        check_common(response.cert, s.now - 100, 169, 3);
        check_psids(response.cert, psids, 4);
        assert_int_equal(dot2_cert_asn1(response.cert)->toBeSigned.id.present,
                         CertificateId_PR_binaryId);
        assert_int_equal(dot2_cert_asn1(response.cert)->toBeSigned.id.choice.binaryId.size, 8);
        if (implicit) {
            assert_int_equal(dot2_ecqv_private_key(s.f.crypto, response.cert, s.pca, verify_key,
                                                   response.reconstruction, &private, NULL),
                             DOT2_OK);
            assert_null(dot2_cert_asn1(response.cert)->toBeSigned.encryptionKey);
        } else {
            assert_int_equal(dot2_cert_encryption_key(response.cert, &encryption, NULL), DOT2_OK);
            assert_int_equal(EVP_PKEY_eq(encryption, response_key), 1);
        }
        assert_int_equal(EVP_PKEY_eq(chain.key, implicit ? private : verify_key), 1);
        dot2_chain_clear(&chain);
        scms_cert_response_clear(&response);
        EVP_PKEY_free(private);
        EVP_PKEY_free(encryption);
    }
}

static void an_on_board_unit_gets_batches_of_pseudonyms(void **state)
{
    static const long psids[] = {0x20, 0x26};
    struct scms_butterfly_request request = butterfly(SCMS_PROVISION_PSEUDONYM, s.now);
    uint32_t epoch = 0, time32 = 0, i;
    uint8_t links[20][9];
    char hash[17], zip[48], entry[32], info[64];
    size_t size = 0;
    uint8_t *octets;

    (void)state;
    assert_int_equal(dot2_time32_from_unix(I_EPOCH_UNIX, &epoch), DOT2_OK);
    i = (s.now - epoch) / WEEK;
    ask_batch(&request, hash);
    assert_int_equal(scene_run(&s, "--once"), 0);
    assert_int_equal(scene_state(&s, hash, NULL), RA_REQUEST_READY);
    for (uint32_t k = i; k < i + 2; k++) {
        snprintf(zip, sizeof(zip), "%s_%X.zip", hash, k);
        assert_int_equal(scene_zip_count(&s, zip), 20);
        assert_true(scene_is_assigned(&s, zip, s.obe));
        for (uint32_t j = 0; j < 20; j++) {
            const uint32_t start = epoch + k * WEEK;
            struct scms_cert_response response;
            struct dot2_chain chain = {0};
            EVP_PKEY *seed = NULL, *decryption = NULL, *private = NULL;
            const LinkageData_t *linkage;

            assert_int_equal(dot2_butterfly_private(
                                 s.f.crypto, response_key, request.response_encryption.expansion,
                                 DOT2_BUTTERFLY_ENCRYPT, k, j, &decryption, NULL),
                             DOT2_OK);
            snprintf(entry, sizeof(entry), "%X_%X", k, j);
            open_entry(zip, entry, decryption, start + 7000, &response, &chain);
            assert_int_equal(response.kind, SCMS_RESPONSE_IMPLICIT_BUTTERFLY);
            check_common(response.cert, start, 169, 1);
            check_psids(response.cert, psids, 2);
            linkage = &dot2_cert_asn1(response.cert)->toBeSigned.id.choice.linkageData;
            assert_int_equal(dot2_cert_asn1(response.cert)->toBeSigned.id.present,
                             CertificateId_PR_linkageData);
            assert_int_equal(linkage->iCert, k);
            memcpy(links[j], linkage->linkage_value.buf, 9);
            for (uint32_t other = 0; other < j; other++)
                assert_memory_not_equal(links[other], links[j], 9);
            assert_int_equal(dot2_butterfly_private(s.f.crypto, verify_key,
                                                    request.verify.expansion, DOT2_BUTTERFLY_SIGN,
                                                    k, j, &seed, NULL),
                             DOT2_OK);
            assert_int_equal(dot2_ecqv_private_key(s.f.crypto, response.cert, s.pca, seed,
                                                   response.reconstruction, &private, NULL),
                             DOT2_OK);
            assert_int_equal(EVP_PKEY_eq(chain.key, private), 1);
            dot2_chain_clear(&chain);
            scms_cert_response_clear(&response);
            EVP_PKEY_free(seed);
            EVP_PKEY_free(decryption);
            EVP_PKEY_free(private);
        }
    }
    snprintf(zip, sizeof(zip), "%s_%X.zip", hash, i + 2);
    assert_int_equal(scene_zip_count(&s, zip), -1);
    /* The batch after those is made when the period before it begins. */
    snprintf(info, sizeof(info), "%s.info", hash);
    assert_true(scene_is_assigned(&s, info, s.obe));
    snprintf(info, sizeof(info), "ra/download/%s.info", hash);
    octets = scene_read(&s, info, &size);
    assert_int_equal(size, 4);
    for (size_t n = 0; n < 4; n++)
        time32 = time32 << 8 | octets[n];
    assert_int_equal(time32, epoch + (i + 1) * WEEK);
    free(octets);
    /* Later batches are made without another request; here, one that was lost. */
    snprintf(zip, sizeof(zip), "ra/download/%s_%X.zip", hash, i + 1);
    assert_int_equal(unlink(scene_path(&s, zip)), 0);
    assert_int_equal(scene_run(&s, "--once"), 0);
    assert_true(scene_has(&s, zip));
}

static void an_on_board_unit_gets_identification_certificates(void **state)
{
    struct scms_butterfly_request request = butterfly(SCMS_PROVISION_ID, s.now - 3600);
    char hash[17], zip[48], entry[32];

    (void)state;
    ask_batch(&request, hash);
    assert_int_equal(scene_run(&s, "--once"), 0);
    assert_int_equal(scene_state(&s, hash, NULL), RA_REQUEST_READY);
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t start = s.now - 3600 + i * 720 * 3600;
        struct scms_cert_response response;
        struct dot2_chain chain = {0};
        EVP_PKEY *decryption = NULL, *expected = NULL, *got = NULL;

        assert_int_equal(dot2_butterfly_private(s.f.crypto, response_key,
                                                request.response_encryption.expansion,
                                                DOT2_BUTTERFLY_ENCRYPT, i, 0, &decryption, NULL),
                         DOT2_OK);
        snprintf(zip, sizeof(zip), "%s_%X.zip", hash, i);
        snprintf(entry, sizeof(entry), "%s_%X", hash, i);
        assert_int_equal(scene_zip_count(&s, zip), 1);
        assert_true(scene_is_assigned(&s, zip, s.obe));
        open_entry(zip, entry, decryption, start + 7000, &response, &chain);
        check_common(response.cert, start, 721, 3);
        assert_int_equal(dot2_cert_encryption_key(response.cert, &got, NULL), DOT2_OK);
        assert_int_equal(dot2_butterfly_public(s.f.crypto, response_key,
                                               request.cert_encryption.expansion,
                                               DOT2_BUTTERFLY_ENCRYPT, i, 0, &expected, NULL),
                         DOT2_OK);
        assert_int_equal(EVP_PKEY_eq(got, expected), 1);
        dot2_chain_clear(&chain);
        scms_cert_response_clear(&response);
        EVP_PKEY_free(decryption);
        EVP_PKEY_free(expected);
        EVP_PKEY_free(got);
    }
    snprintf(zip, sizeof(zip), "%s.info", hash);
    assert_true(scene_is_assigned(&s, zip, s.obe));
}

static void check_failed(const char hash[17], const char *reason)
{
    char detail[128] = "", zip[64];

    assert_int_equal(scene_state(&s, hash, detail), RA_REQUEST_FAILED);
    if (strstr(detail, reason) == NULL)
        fail_msg("not \"%s\" but \"%s\"", reason, detail);
    snprintf(zip, sizeof(zip), "ra/download/%s.zip", hash);
    assert_false(scene_has(&s, zip));
    snprintf(zip, sizeof(zip), "%s.zip", hash);
    assert_false(scene_is_assigned(&s, zip, s.rse));
}

static void what_cannot_be_answered_has_failed(void **state)
{
    struct scms_butterfly_request early = butterfly(SCMS_PROVISION_PSEUDONYM, 1000);
    EVP_PKEY *other = fixture_key(&s.f, DOT2_CURVE_P256), *made = NULL;
    struct ra_blacklist_entry entry = {.kind = RA_BLACKLIST_HASHEDID8};
    dot2_cert *stranger;
    char old[17], late[17], key[17], foreign[17], kind[17], first[17], black[17], good[17];
    size_t size = 0;
    uint8_t *tbs = app_tbs(s.now, NULL, &size);

    (void)state;
    ask_app(s.rse, s.rse_key, s.now - 170 * 3600, NULL, old);
    ask_app(s.rse, s.rse_key, dot2_cert_end(s.pca) - 3600, NULL, late);
    /* An implicit certificate: another key is not noticed when it is signed with. */
    ask_app(s.obe, other, s.now, NULL, key);
    /* The same names and lengths, but under a CA that nobody knows. */
    stranger = fixture_explicit(&s.f, pki_rse_body(&s.f, ""), other, NULL, other);
    ask_app(stranger, other, s.now, NULL, foreign);
    scene_accept(&s, s.obe, s.obe_key, SCMS_PROVISION_PSEUDONYM, tbs, size, 1, kind);
    ask_batch(&early, first);
    ask_app(s.rse, s.rse_key, s.now, NULL, good);
    assert_int_equal(scene_run(&s, "--once"), 0);
    check_failed(old, "DOT2_E_");
    check_failed(late, "DOT2_E_VALIDITY_NESTING");
    check_failed(key, "DOT2_E_SIGNATURE");
    check_failed(foreign, "DOT2_E_");
    check_failed(kind, "DOT2_E_MESSAGE");
    check_failed(first, "before the first period");
    assert_int_equal(scene_state(&s, good, NULL), RA_REQUEST_READY);

    memcpy(entry.id, dot2_cert_hashedid8(s.rse), 8);
    ask_app(s.rse, s.rse_key, s.now, NULL, black);
    assert_int_equal(ra_blacklist_add(s.store, &entry), RA_STORE_OK);
    assert_int_equal(scene_run(&s, "--once"), 0);
    check_failed(black, "blacklisted");
    assert_int_equal(ra_blacklist_remove(s.store, &entry), RA_STORE_OK);
    OPENSSL_free(tbs);
    dot2_cert_free(stranger);
    EVP_PKEY_free(other);
    EVP_PKEY_free(made);
}

/* ---- killed ---- */

#define REQUESTS 8

/* The hash of a file; zeros if there is none. */
static void fingerprint(const char *name, uint8_t hash[32])
{
    size_t size = 0;
    uint8_t *octets = scene_read(&s, name, &size);

    memset(hash, 0, 32);
    if (octets != NULL)
        SHA256(octets, size, hash);
    free(octets);
}

static void files_of(const char hash[17], enum scms_provision kind, uint32_t i, char names[3][64])
{
    snprintf(names[0], 64, "ra/download/%s.%s", hash, kind == SCMS_PROVISION_APP ? "zip" : "info");
    snprintf(names[1], 64, "ra/download/%s_%X.zip", hash, i);
    snprintf(names[2], 64, "ra/download/%s_%X.zip", hash, i + 1);
}

static void nothing_else_is_there(void)
{
    DIR *directory = opendir(scene_path(&s, "ra/download"));
    const struct dirent *entry;

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            (dot == NULL || (strcmp(dot, ".zip") != 0 && strcmp(dot, ".info") != 0)))
            fail_msg("%s was left", entry->d_name);
    }
    closedir(directory);
}

static void killed_at_any_moment_it_ends_with_the_same_files(void **state)
{
    struct scms_butterfly_request id = butterfly(SCMS_PROVISION_ID, s.now),
                                  pseudonym = butterfly(SCMS_PROVISION_PSEUDONYM, s.now);
    enum scms_provision kinds[REQUESTS];
    uint8_t seen[REQUESTS][3][32], now[32];
    const uint8_t none[32] = {0};
    char hashes[REQUESTS][17], names[3][64];
    const char *wanted = getenv("DOT2HSM_LONG");
    int kills = wanted != NULL && wanted[0] != '\0' ? 200 : 20, status = 0;
    uint32_t epoch = 0, i;

    (void)state;
    srand((unsigned)getpid());
    assert_int_equal(dot2_time32_from_unix(I_EPOCH_UNIX, &epoch), DOT2_OK);
    memset(seen, 0, sizeof(seen));
    for (int n = 0; n < REQUESTS; n++) {
        kinds[n] = n < 4   ? SCMS_PROVISION_APP
                   : n < 6 ? SCMS_PROVISION_ID
                           : SCMS_PROVISION_PSEUDONYM;
        if (n < 4)
            ask_app(s.rse, s.rse_key, s.now, NULL, hashes[n]);
        else
            ask_batch(n < 6 ? &id : &pseudonym, hashes[n]);
    }
    for (int kill_number = 0; kill_number <= kills; kill_number++) {
        if (kill_number < kills) {
            pid_t pid = scene_start(&s, "--once");

            usleep((useconds_t)(rand() % 250000));
            kill(pid, SIGKILL);
            assert_int_equal(waitpid(pid, &status, 0), pid);
        } else {
            assert_int_equal(scene_run(&s, "--once"), 0);
        }
        for (int n = 0; n < REQUESTS; n++) {
            i = kinds[n] == SCMS_PROVISION_ID ? 0 : (s.now - epoch) / WEEK;
            files_of(hashes[n], kinds[n], i, names);
            for (int k = 0; k < (kinds[n] == SCMS_PROVISION_APP ? 1 : 3); k++) {
                fingerprint(names[k], now);
                if (memcmp(seen[n][k], none, 32) != 0)
                    assert_memory_equal(seen[n][k], now, 32);
                memcpy(seen[n][k], now, 32);
                if (kill_number == kills)
                    assert_memory_not_equal(now, none, 32);
            }
        }
    }
    for (int n = 0; n < REQUESTS; n++) {
        i = kinds[n] == SCMS_PROVISION_ID ? 0 : (s.now - epoch) / WEEK;
        files_of(hashes[n], kinds[n], i, names);
        assert_int_equal(scene_state(&s, hashes[n], NULL), RA_REQUEST_READY);
        for (int k = 0; k < (kinds[n] == SCMS_PROVISION_APP ? 1 : 3); k++)
            assert_true(
                scene_is_assigned(&s, names[k] + strlen("ra/download/"), n < 4 ? s.rse : s.obe));
        if (kinds[n] == SCMS_PROVISION_PSEUDONYM)
            assert_int_equal(scene_zip_count(&s, names[1] + strlen("ra/download/")), 20);
    }
    nothing_else_is_there();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_road_side_unit_gets_its_certificate),
        cmocka_unit_test(an_on_board_unit_gets_batches_of_pseudonyms),
        cmocka_unit_test(an_on_board_unit_gets_identification_certificates),
        cmocka_unit_test(what_cannot_be_answered_has_failed),
        cmocka_unit_test(killed_at_any_moment_it_ends_with_the_same_files),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
