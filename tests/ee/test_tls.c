/*
 * Requirement S2: before the EE signs anything, it checks that the configured root issued the RA's
 * certificate and that the certificate is valid. The enrollment key is in a SoftHSM token, and what
 * is counted are the C_Sign calls that reach the module.
 */
#include "tests/ee/scene.h"

#include <signal.h>

#include "tests/pkcs11/lab.h"

#define KEY_URI "pkcs11:token=" LAB_TOKEN ";object=enrollment"

static struct scene scene;
static uint8_t *file;

static int open_scene(void **state)
{
    struct app_provider options = {.module = LAB_MODULE};
    p11_ctx *ctx;
    char source[300];

    (void)state;
    lab_open();
    ctx = lab_ctx(NULL);
    p11_key_free(lab_key(ctx, "enrollment", P11_CURVE_P256, P11_USAGE_SIGN));
    p11_ctx_free(ctx);
    scene_open(&scene);
    snprintf(source, sizeof(source), "file:%s", lab_file("ee.pin", LAB_PIN, 0600));
    options.pin_source = source;
    scene_enroll(&scene, &options, KEY_URI);
    file = lab_octets(1000, 1);
    lab_count_calls();
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_close(&scene);
    free(file);
    lab_close();
    return 0;
}

/* Runs a download against a server with this certificate; the C_Sign calls are the result. */
static unsigned signatures_for(const struct lab_pair *pair, enum ee_status expected,
                               const char *words)
{
    struct ee_config kept = scene.config;
    struct https_server *server = https_server_start(pair, NULL);
    enum ee_status status;
    char url[64];

    https_server_plan(server, &(struct answer){.file = file, .size = 1000}, 1);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", https_server_port(server));
    scene.config.ra_url = url;
    lab_count_reset();
    status = scene_download(&scene);
    if (status != expected || strstr(scene.error.detail, words) == NULL)
        fail_msg("%s: %s", ee_status_name(status), scene.error.detail);
    assert_int_equal(https_server_connections(server), 1);
    assert_int_equal(https_server_asked(server), expected == EE_OK ? 1 : 0);
    if (expected != EE_OK)
        assert_int_equal(scene.result.signatures, 0);
    https_server_stop(server);
    scene.config = kept;
    return lab_count[LAB_SIGN];
}

/* The count is worth something: a good RA gets exactly one signature. */
static void good_certificate(void **state)
{
    (void)state;
    assert_int_equal(signatures_for(&scene.leaf, EE_OK, ""), 1);
    assert_int_equal(scene.result.signatures, 1);
    scene_assert_file(&scene, file, 1000);
}

static void another_root(void **state)
{
    struct lab_pair root = lab_root("Another root");
    struct lab_pair same_name = lab_root("Test X.509 root");
    struct lab_pair leaf = lab_leaf(&root, "127.0.0.1", -60, 3600);
    struct lab_pair forged = lab_leaf(&same_name, "127.0.0.1", -60, 3600);

    (void)state;
    assert_int_equal(signatures_for(&leaf, EE_E_TLS, "unable to get local issuer"), 0);
    assert_int_equal(signatures_for(&forged, EE_E_TLS, "error:0"), 0);
    scene_assert_no_file(&scene);
    lab_pair_clear(&root);
    lab_pair_clear(&same_name);
    lab_pair_clear(&leaf);
    lab_pair_clear(&forged);
}

static void self_signed(void **state)
{
    struct lab_pair pair = lab_leaf(NULL, "127.0.0.1", -60, 3600);

    (void)state;
    assert_int_equal(signatures_for(&pair, EE_E_TLS, "self-signed"), 0);
    lab_pair_clear(&pair);
}

static void expired_and_not_yet_valid(void **state)
{
    struct lab_pair expired = lab_leaf(&scene.root, "127.0.0.1", -7200, -3600);
    struct lab_pair future = lab_leaf(&scene.root, "127.0.0.1", 3600, 7200);

    (void)state;
    assert_int_equal(signatures_for(&expired, EE_E_TLS, "127.0.0.1 ended 20"), 0);
    assert_int_equal(signatures_for(&future, EE_E_TLS, "127.0.0.1 starts 20"), 0);
    lab_pair_clear(&expired);
    lab_pair_clear(&future);
}

static void another_host(void **state)
{
    static const char *const hosts[] = {"ra.test.v2xscms.com", "127.0.0.2", "*"};

    (void)state;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct lab_pair pair = lab_leaf(&scene.root, hosts[i], -60, 3600);
        assert_int_equal(signatures_for(&pair, EE_E_TLS, "127.0.0.1"), 0);
        lab_pair_clear(&pair);
    }
}

/* The name is looked up elsewhere, and is the one that counts. */
static void host_name_with_resolve(void **state)
{
    struct lab_pair pair = lab_leaf(&scene.root, "ra.test.v2xscms.com", -60, 3600);
    struct https_server *server = https_server_start(&pair, NULL);
    struct ee_config kept = scene.config;
    char url[64], resolve[96];

    (void)state;
    https_server_plan(server, &(struct answer){.file = file, .size = 1000}, 1);
    snprintf(url, sizeof(url), "https://ra.test.v2xscms.com:%u", https_server_port(server));
    snprintf(resolve, sizeof(resolve), "ra.test.v2xscms.com:%u:127.0.0.1",
             https_server_port(server));
    scene.config.ra_url = url;
    scene.config.resolve = resolve;
    lab_count_reset();
    assert_int_equal(scene_download(&scene), EE_OK);
    assert_int_equal(lab_count[LAB_SIGN], 1);
    assert_string_equal(https_server_request(server, 0)->host, url + strlen("https://"));
    scene_assert_signed(&scene, https_server_request(server, 0)->download_req, FILE_NAME);
    scene_assert_file(&scene, file, 1000);
    https_server_stop(server);
    scene.config = kept;
    lab_pair_clear(&pair);
}

/* Nobody speaks TLS there. */
static void connection_that_ends_in_the_handshake(void **state)
{
    struct ee_config kept = scene.config;

    (void)state;
    scene.config.ra_url = "https://127.0.0.1:1";
    lab_count_reset();
    assert_int_equal(scene_download(&scene), EE_E_UNREACHABLE);
    assert_int_equal(lab_count[LAB_SIGN], 0);
    scene.config = kept;
}

/* The token fails: nothing is sent, and the reason is told. */
static void token_that_fails(void **state)
{
    (void)state;
    scene_answer(&scene, (struct answer){.file = file, .size = 1000});
    lab_fail_next(LAB_SIGN, CKR_FUNCTION_FAILED, 10);
    lab_count_reset();
    assert_int_equal(scene_download(&scene), EE_E_SIGN);
    lab_fail_next(LAB_SIGN, CKR_OK, 0);
    if (strstr(scene.error.detail, "CKR_FUNCTION_FAILED") == NULL)
        fail_msg("%s", scene.error.detail);
    assert_int_equal(https_server_asked(scene.server), 0);
    assert_int_equal(scene.result.signatures, 0);
    scene_assert_no_file(&scene);
    assert_int_equal(scene_download(&scene), EE_OK);
    scene_assert_file(&scene, file, 1000);
}

/* A key that is not the certificate's signs nothing that is sent. */
static void key_of_another_certificate(void **state)
{
    EVP_PKEY *kept = scene.key;

    (void)state;
    scene.config.enrollment_key =
        EVP_PKEY_Q_keygen(scene.libctx, "provider=default", "EC", "P-256");
    scene_answer(&scene, (struct answer){.file = file, .size = 1000});
    assert_int_equal(scene_download(&scene), EE_E_SIGN);
    assert_int_equal(https_server_asked(scene.server), 0);
    EVP_PKEY_free(scene.config.enrollment_key);
    scene.config.enrollment_key = kept;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_certificate),
        cmocka_unit_test(another_root),
        cmocka_unit_test(self_signed),
        cmocka_unit_test(expired_and_not_yet_valid),
        cmocka_unit_test(another_host),
        cmocka_unit_test(host_name_with_resolve),
        cmocka_unit_test(connection_that_ends_in_the_handshake),
        cmocka_unit_test(token_that_fails),
        cmocka_unit_test(key_of_another_certificate),
    };

    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
