/*
 * test_lab_services.c: batches from the request to their certificates, over TLS: a device, the
 * program dot2hsm-ra and `dot2hsm lab run`.
 */
#include "protocol/dot2/butterfly.h"
#include "tests/apps/lab_scene.h"

#include <signal.h>
#include <unistd.h>

#include "protocol/ee/ee.h"

/* i = 0: Tuesday, 2015-01-06T09:00:00Z; a week each. */
#define I_EPOCH_UNIX 1420534800
#define WEEK 604800u

static struct scene s;
static dot2_cert *ra;
static EVP_PKEY *verify_key, *response_key;
static char url[64], root[512];

static int set_up(void **state)
{
    size_t size = 0;
    uint8_t *octets;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    scene_open(&s);
    scene_start_ra(&s);
    octets = scene_read(&s, "trust/ra.oer", &size);
    assert_int_equal(dot2_cert_new(s.f.crypto, octets, size, &ra, NULL), DOT2_OK);
    free(octets);
    assert_int_equal(dot2_trust_add(s.trust, ra), DOT2_OK);
    verify_key = fixture_key(&s.f, DOT2_CURVE_P256);
    response_key = fixture_key(&s.f, DOT2_CURVE_P256);
    snprintf(url, sizeof(url), "https://localhost:%u", s.port);
    snprintf(root, sizeof(root), "%s", scene_path(&s, "trust/x509-root.pem"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dot2_cert_free(ra);
    EVP_PKEY_free(verify_key);
    EVP_PKEY_free(response_key);
    scene_close(&s);
    return 0;
}

static struct ee_config device(const dot2_cert *cert, EVP_PKEY *key)
{
    return (struct ee_config){.ra_url = url,
                              .tls_root = root,
                              .crypto = s.f.crypto,
                              .enrollment_key = key,
                              .enrollment_certificate = cert,
                              .ra_certificate = ra,
                              .secured_header = true};
}

struct octets {
    uint8_t *data;
    size_t size;
};

static enum ee_status build(void *arg, uint8_t **body, size_t *size, struct ee_error *error)
{
    const struct octets *tbs = arg;
    uint8_t *request = NULL;
    size_t request_size = 0;

    (void)error;
    assert_int_equal(scms_signed_request_build(s.f.crypto, s.obe_key, s.obe, tbs->data, tbs->size,
                                               &request, &request_size, NULL),
                     DOT2_OK);
    assert_int_equal(scms_secured_build(s.f.crypto, ra, request, request_size, body, size, NULL),
                     DOT2_OK);
    OPENSSL_free(request);
    return EE_OK;
}

/* The request and its acknowledgement; hash gets the digits by which its files are called. */
static void ask(const struct scms_butterfly_request *request, const char *path, char hash[17])
{
    struct ee_config config = device(s.obe, s.obe_key);
    struct octets tbs = {.size = 0};
    struct ee_post post = {.path = path, .build = build, .build_arg = &tbs};
    struct ee_post_result result;
    struct ee_error error;
    struct scms_ack ack;

    assert_int_equal(scms_butterfly_request_build(request, &tbs.data, &tbs.size, NULL), DOT2_OK);
    post.size = scms_secured_size(scms_signed_request_size(s.obe_key, s.obe, tbs.size));
    if (ee_post(&config, &post, &result, &error) != EE_OK)
        fail_msg("%s: %d %s", path, error.scms_code, error.detail);
    assert_int_equal(scms_ack_open(s.trust, ra, s.now + 1, result.body, result.size, &ack, NULL),
                     DOT2_OK);
    assert_int_equal(ack.kind, request->kind);
    assert_memory_equal(ack.request_hash, result.request_hash, 8);
    assert_memory_equal(ack.url, url, strlen(url));
    for (size_t i = 0; i < 8; i++)
        snprintf(hash + 2 * i, 3, "%02X", ack.request_hash[i]);
    ee_post_result_clear(&result);
    OPENSSL_free(tbs.data);
}

static enum ee_status get(const struct ee_config *config, const char *service, const char *file,
                          int *scms_code)
{
    char output[512];
    struct ee_download download = {.path = ee_service_find(service)->path,
                                   .filename = file,
                                   .output = output,
                                   .restart = true};
    struct ee_download_result result;
    struct ee_error error = {.status = EE_OK};
    enum ee_status status;

    snprintf(output, sizeof(output), "%s", scene_path(&s, "got"));
    unlink(output);
    status = ee_download(config, &download, &result, &error);
    *scms_code = error.scms_code;
    return status;
}

/* Downloads a file: refused before it is there and to another device; then it is the CA's file. */
static void fetch(const char *service, const char *file)
{
    struct ee_config own = device(s.obe, s.obe_key), other = device(s.rse, s.rse_key);
    struct octets got, made;
    char path[64];
    int code = 0;

    assert_int_equal(get(&other, service, file, &code), EE_E_REFUSED);
    assert_true(code != 0);
    if (get(&own, service, file, &code) != EE_OK)
        fail_msg("%s: refused with %d", file, code);
    snprintf(path, sizeof(path), "ra/download/%s", file);
    got.data = scene_read(&s, "got", &got.size);
    made.data = scene_read(&s, path, &made.size);
    assert_int_equal(got.size, made.size);
    assert_memory_equal(got.data, made.data, got.size);
    free(got.data);
    free(made.data);
}

static void open_entry(const struct scms_butterfly_request *request, const char *zip,
                       const char *entry, uint32_t i, uint32_t j, uint32_t at)
{
    const struct dot2_check check = {.time = at};
    struct scms_cert_response response;
    struct dot2_chain chain = {0};
    struct dot2_error error = {0};
    EVP_PKEY *decryption = NULL, *seed = NULL, *private = NULL;
    size_t size = 0;
    uint8_t *octets = scene_unzip(&s, zip, entry, &size);

    assert_non_null(octets);
    assert_int_equal(dot2_butterfly_private(s.f.crypto, response_key,
                                            request->response_encryption.expansion,
                                            DOT2_BUTTERFLY_ENCRYPT, i, j, &decryption, NULL),
                     DOT2_OK);
    assert_int_equal(dot2_butterfly_private(s.f.crypto, verify_key, request->verify.expansion,
                                            DOT2_BUTTERFLY_SIGN, i, j, &seed, NULL),
                     DOT2_OK);
    if (scms_cert_response_open(s.f.crypto, s.trust, s.now + 1, decryption, octets, size, &response,
                                &error) != DOT2_OK ||
        dot2_chain_verify(s.trust, response.cert, &check, &chain, &error) != DOT2_OK ||
        dot2_ecqv_private_key(s.f.crypto, response.cert, s.pca, seed, response.reconstruction,
                              &private, &error) != DOT2_OK)
        fail_msg("%s %s: %s %s", zip, entry, error.field, error.detail);
    assert_int_equal(EVP_PKEY_eq(chain.key, private), 1);
    dot2_chain_clear(&chain);
    scms_cert_response_clear(&response);
    EVP_PKEY_free(decryption);
    EVP_PKEY_free(seed);
    EVP_PKEY_free(private);
    free(octets);
}

static void batches_travel_from_the_ca_to_the_device(void **state)
{
    struct ee_config own = device(s.obe, s.obe_key);
    struct scms_butterfly_request pseudonym = {.kind = SCMS_PROVISION_PSEUDONYM,
                                               .verify = {verify_key, "verification 16"},
                                               .response_encryption = {response_key,
                                                                       "responses    16"},
                                               .current_time = s.now,
                                               .requested_start_time = s.now},
                                  id = pseudonym;
    char batches[17], identities[17], zip[48], info[32], entry[32];
    uint32_t epoch = 0, i;
    int code = 0;

    (void)state;
    assert_int_equal(dot2_time32_from_unix(I_EPOCH_UNIX, &epoch), DOT2_OK);
    i = (s.now - epoch) / WEEK;
    id.kind = SCMS_PROVISION_ID;
    id.verify.expansion[0] ^= 1;
    ask(&pseudonym, "/provision-pseudonym-certificate-batch", batches);
    snprintf(zip, sizeof(zip), "%s_%X.zip", batches, i);
    assert_int_equal(get(&own, "batch", zip, &code), EE_E_REFUSED);
    assert_int_equal(code, SCMS_RA_NO_CERT_FILE_AVAILABLE);
    snprintf(info, sizeof(info), "%s.info", batches);
    assert_int_equal(get(&own, "info", info, &code), EE_E_REFUSED);
    assert_int_equal(code, SCMS_RA_NO_INFO_FILE_AVAILABLE);
    assert_int_equal(scene_run(&s, "--once"), 0);
    fetch("info", info);
    for (uint32_t k = i; k < i + 2; k++) {
        snprintf(zip, sizeof(zip), "%s_%X.zip", batches, k);
        fetch("batch", zip);
        for (uint32_t j = 0; j < 20; j++) {
            snprintf(entry, sizeof(entry), "%X_%X", k, j);
            open_entry(&pseudonym, zip, entry, k, j, epoch + k * WEEK + 60);
        }
    }
    EVP_PKEY_free(verify_key);
    verify_key = fixture_key(&s.f, DOT2_CURVE_P256);
    id.verify.seed_key = verify_key;
    ask(&id, "/provision-identity-certificate", identities);
    assert_int_equal(scene_run(&s, "--once"), 0);
    snprintf(info, sizeof(info), "%s.info", identities);
    fetch("info", info);
    snprintf(zip, sizeof(zip), "%s_0.zip", identities);
    fetch("identity", zip);
    snprintf(entry, sizeof(entry), "%s_0", identities);
    open_entry(&id, zip, entry, 0, 0, s.now + 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_travel_from_the_ca_to_the_device),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
