/*
 * Requirement S7: OCSP stapling. What the RA staples from its file, and what an EE that demands a
 * response takes; whatever it does not take is refused within the handshake, with nothing asked.
 */
#include "tests/ee/scene.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "protocol/ra/ra.h"

static struct scene scene;
static uint8_t *file;
static unsigned char *stapled; /* by raw(); NULL = nothing */
static int stapled_size;

static int open_scene(void **state)
{
    (void)state;
    scene_open(&scene);
    file = lab_octets(1000, 1);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_close(&scene);
    free(file);
    OPENSSL_free(stapled);
    return 0;
}

/* ---- responses ---- */

struct order {
    const struct lab_pair *about, *issuer, *responder;
    const EVP_MD *digest; /* of the certificate's id; NULL = SHA-1 */
    int status;
    long from, to; /* seconds from now; to 0 = no nextUpdate */
};

static struct order good(void)
{
    return (struct order){.about = &scene.leaf,
                          .issuer = &scene.root,
                          .responder = &scene.root,
                          .status = V_OCSP_CERTSTATUS_GOOD,
                          .from = -60,
                          .to = 3600};
}

static void make(const struct order *order)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id =
        OCSP_cert_to_id(order->digest, order->about->certificate, order->issuer->certificate);
    ASN1_TIME *from = X509_gmtime_adj(NULL, order->from);
    ASN1_TIME *to = order->to != 0 ? X509_gmtime_adj(NULL, order->to) : NULL;
    ASN1_TIME *revoked =
        order->status == V_OCSP_CERTSTATUS_REVOKED ? X509_gmtime_adj(NULL, -100) : NULL;
    OCSP_RESPONSE *response = NULL;

    assert_non_null(OCSP_basic_add1_status(basic, id, order->status, 0, revoked, from, to));
    assert_int_equal(OCSP_basic_sign(basic, order->responder->certificate, order->responder->key,
                                     EVP_sha256(), NULL, 0),
                     1);
    response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    OPENSSL_free(stapled);
    stapled = NULL;
    stapled_size = i2d_OCSP_RESPONSE(response, &stapled);
    assert_true(stapled_size > 0);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    ASN1_TIME_free(revoked);
}

/* Staples these octets, whatever they are. */
static int raw(SSL *ssl, void *arg)
{
    (void)arg;
    if (stapled == NULL ||
        SSL_set_tlsext_status_ocsp_resp(ssl, OPENSSL_memdup(stapled, (size_t)stapled_size),
                                        stapled_size) != 1)
        return SSL_TLSEXT_ERR_NOACK;
    return SSL_TLSEXT_ERR_OK;
}

/* A download from a server with the leaf, in TLS 1.3 and in 1.2. */
static void expect_with(int (*staple)(SSL *ssl, void *arg), bool required, const char *fault)
{
    static const char *const ciphers[] = {NULL, "ECDHE-ECDSA-AES128-GCM-SHA256"};
    struct ee_config kept = scene.config;

    for (size_t i = 0; i < 2; i++) {
        struct https_server *server = https_server_start(&scene.leaf, ciphers[i]);
        enum ee_status status;
        char url[64];

        if (staple != NULL)
            SSL_CTX_set_tlsext_status_cb(https_server_tls(server), staple);
        https_server_plan(server, &(struct answer){.file = file, .size = 1000}, 1);
        snprintf(url, sizeof(url), "https://127.0.0.1:%u", https_server_port(server));
        scene.config.ra_url = url;
        scene.config.require_ocsp = required;
        status = scene_download(&scene);
        if (status != (fault == NULL ? EE_OK : EE_E_TLS) ||
            (fault != NULL && strstr(scene.error.detail, fault) == NULL))
            fail_msg("%s: %s", ee_status_name(status), scene.error.detail);
        assert_int_equal(https_server_asked(server), fault == NULL ? 1 : 0);
        if (fault == NULL)
            scene_assert_file(&scene, file, 1000);
        https_server_stop(server);
        scene.config = kept;
    }
}

static void expect(const char *fault)
{
    expect_with(raw, true, fault);
}

/* ---- what the EE takes ---- */

static void good_response(void **state)
{
    struct order order = good();

    (void)state;
    make(&order);
    expect(NULL);
    order.digest = EVP_sha256();
    make(&order);
    expect(NULL);
}

static void nothing_stapled(void **state)
{
    (void)state;
    OPENSSL_free(stapled);
    stapled = NULL;
    expect("gave no OCSP response");
    expect_with(NULL, true, "gave no OCSP response");
    /* Who does not demand one is served, stapled or not. */
    expect_with(NULL, false, NULL);
}

static void revoked_or_unknown(void **state)
{
    struct order order = good();

    (void)state;
    order.status = V_OCSP_CERTSTATUS_REVOKED;
    make(&order);
    expect("is revoked");
    expect_with(raw, false, NULL);
    order.status = V_OCSP_CERTSTATUS_UNKNOWN;
    make(&order);
    expect("not known to the OCSP responder");
}

static void not_now(void **state)
{
    struct order order = good();

    (void)state;
    order.from = -7200;
    order.to = -3600;
    make(&order);
    expect("has expired, or is not valid yet");
    order.from = 3600;
    order.to = 7200;
    make(&order);
    expect("has expired, or is not valid yet");
    order.from = -60;
    order.to = 0;
    make(&order);
    expect("no nextUpdate");
}

static void another_certificate(void **state)
{
    struct lab_pair other = lab_leaf(&scene.root, "127.0.0.1", -60, 3600);
    struct lab_pair root = lab_root("Another root");
    struct order order = good();

    (void)state;
    order.about = &other;
    make(&order);
    expect("about another certificate");
    /* A certificate of another issuer. */
    order = good();
    order.issuer = &root;
    order.about = &root;
    make(&order);
    expect("not signed under the configured root"); /* its signer is not the issuer it names */
    lab_pair_clear(&other);
    lab_pair_clear(&root);
}

/* The leaf with another use of its key, or none. */
static struct lab_pair responder(const char *use)
{
    struct lab_pair pair = lab_leaf(&scene.root, "ocsp.test", -60, 3600);
    int at = X509_get_ext_by_NID(pair.certificate, NID_ext_key_usage, -1);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, use);

    X509_EXTENSION_free(X509_delete_ext(pair.certificate, at));
    assert_int_equal(X509_add_ext(pair.certificate, extension, -1), 1);
    assert_true(X509_sign(pair.certificate, scene.root.key, EVP_sha256()) > 0);
    X509_EXTENSION_free(extension);
    return pair;
}

static void another_signer(void **state)
{
    struct lab_pair root = lab_root("Test X.509 root"); /* the same name */
    struct lab_pair named = responder("OCSPSigning"), server = responder("serverAuth");
    struct order order = good();

    (void)state;
    order.responder = &root;
    make(&order);
    expect("not signed under the configured root");
    order.responder = &server; /* of the same issuer, but nobody made it a responder */
    make(&order);
    expect("not signed under the configured root");
    order.responder = &scene.leaf; /* the RA itself */
    make(&order);
    expect("not signed under the configured root");
    order.responder = &named;
    make(&order);
    expect(NULL);
    lab_pair_clear(&root);
    lab_pair_clear(&named);
    lab_pair_clear(&server);
}

static void broken(void **state)
{
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
    struct order order = good();
    unsigned char *octets = NULL;

    (void)state;
    make(&order);
    /* An octet of the time in what is signed, found by its text. */
    for (int i = 0; i + 15 < stapled_size; i++)
        if (stapled[i] == 0x18 && stapled[i + 1] == 15 && stapled[i + 2] == '2')
            stapled[i + 15] = stapled[i + 15] == '0' ? '1' : '0';
    expect("not signed under the configured root");
    make(&order);
    stapled_size--;
    expect("cannot be read");
    make(&order);
    octets = OPENSSL_zalloc((size_t)stapled_size + 1);
    memcpy(octets, stapled, (size_t)stapled_size);
    OPENSSL_free(stapled);
    stapled = octets;
    stapled_size++;
    expect("cannot be read");
    OPENSSL_free(stapled);
    stapled = NULL;
    stapled_size = i2d_OCSP_RESPONSE(response, &stapled);
    expect("an error of the responder");
    OCSP_RESPONSE_free(response);
}

/* ---- what the RA staples ---- */

static void put_response(const struct order *order)
{
    const char *path = lab_path("ra.ocsp"), *new = lab_path("ra.ocsp.new");

    make(order);
    lab_write(new, stapled, (size_t)stapled_size);
    assert_int_equal(rename(new, path), 0);
}

static void expect_from(struct https_server *server, const char *fault)
{
    enum ee_status status;

    https_server_plan(server, &(struct answer){.file = file, .size = 1000}, 1);
    status = scene_download(&scene);
    if (status != (fault == NULL ? EE_OK : EE_E_TLS) ||
        (fault != NULL && strstr(scene.error.detail, fault) == NULL))
        fail_msg("%s: %s", ee_status_name(status), scene.error.detail);
    remove(scene.download.output);
}

static void from_the_ras_file(void **state)
{
    struct https_server *server = https_server_start(&scene.leaf, NULL);
    SSL_CTX *tls = https_server_tls(server);
    struct ee_config kept = scene.config;
    struct order order = good();
    char text[300], url[64];

    (void)state;
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", https_server_port(server));
    scene.config.ra_url = url;
    scene.config.require_ocsp = true;
    put_response(&order);
    assert_int_equal(ra_tls_set_ocsp(tls, lab_path("ra.ocsp"), text, sizeof(text)), 0);
    expect_from(server, NULL);
    /* Read again when it changes, and stapled as it is. */
    order.status = V_OCSP_CERTSTATUS_REVOKED;
    put_response(&order);
    expect_from(server, "is revoked");
    order.status = V_OCSP_CERTSTATUS_GOOD;
    put_response(&order);
    expect_from(server, NULL);
    /* What is no response about this certificate leaves the one before. */
    lab_write(lab_path("ra.ocsp"), "half", 4);
    expect_from(server, NULL);
    order.about = &scene.root;
    put_response(&order);
    expect_from(server, NULL);
    assert_int_equal(remove(lab_path("ra.ocsp")), 0);
    expect_from(server, "gave no OCSP response");
    order = good();
    put_response(&order);
    expect_from(server, NULL);
    https_server_stop(server);
    scene.config = kept;
}

static void not_a_file_for_the_ra(void **state)
{
    struct https_server *server = https_server_start(&scene.leaf, NULL);
    SSL_CTX *tls = https_server_tls(server);
    struct order order = good();
    char text[300];

    (void)state;
    assert_int_equal(ra_tls_set_ocsp(tls, lab_path("no.ocsp"), text, sizeof(text)), -1);
    assert_non_null(strstr(text, "cannot be read"));
    lab_write(lab_path("ra.ocsp"), "", 0);
    assert_int_equal(ra_tls_set_ocsp(tls, lab_path("ra.ocsp"), text, sizeof(text)), -1);
    lab_write(lab_path("ra.ocsp"), "-----BEGIN", 10);
    assert_int_equal(ra_tls_set_ocsp(tls, lab_path("ra.ocsp"), text, sizeof(text)), -1);
    assert_non_null(strstr(text, "not an OCSP response in DER"));
    order.about = &scene.root;
    put_response(&order);
    assert_int_equal(ra_tls_set_ocsp(tls, lab_path("ra.ocsp"), text, sizeof(text)), -1);
    assert_non_null(strstr(text, "not a response about the TLS certificate"));
    https_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_response),
                                       cmocka_unit_test(nothing_stapled),
                                       cmocka_unit_test(revoked_or_unknown),
                                       cmocka_unit_test(not_now),
                                       cmocka_unit_test(another_certificate),
                                       cmocka_unit_test(another_signer),
                                       cmocka_unit_test(broken),
                                       cmocka_unit_test(from_the_ras_file),
                                       cmocka_unit_test(not_a_file_for_the_ra)};

    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
