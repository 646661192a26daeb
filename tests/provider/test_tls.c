/* test_tls.c: a TLS server whose key is in the token, TLS 1.2 and 1.3, with no property query. */

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/provider/token_lab.h"

/* Signed by the key itself, with no digest named: the curve's. */
static X509 *self_signed(OSSL_LIB_CTX *libctx, EVP_PKEY *key)
{
    X509 *certificate = X509_new_ex(libctx, NULL);
    X509_NAME *name = X509_get_subject_name(certificate);

    assert_true(X509_set_version(certificate, X509_VERSION_3));
    assert_true(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1));
    assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                           (const unsigned char *)"localhost", -1, -1, 0));
    assert_true(X509_set_issuer_name(certificate, name));
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
    assert_true(X509_set_pubkey(certificate, key));
    assert_true(X509_sign(certificate, key, NULL) > 0);
    return certificate;
}

/* Runs both sides over a BIO pair; true when both are done. */
static bool shake_hands(SSL *server, SSL *client)
{
    BIO *one = NULL, *other = NULL;
    int done_server = 0, done_client = 0;

    assert_true(BIO_new_bio_pair(&one, 0, &other, 0));
    SSL_set_bio(server, one, one);
    SSL_set_bio(client, other, other);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    for (int i = 0; i < 20 && (done_server != 1 || done_client != 1); i++) {
        done_client = SSL_do_handshake(client);
        done_server = SSL_do_handshake(server);
    }
    return done_server == 1 && done_client == 1;
}

/*
 * properties: NULL, and the client knows nothing of dot2hsm; else the query of both sides. groups:
 * for the key agreement, NULL = as libssl has it.
 */
static void handshake(struct world *world, const char *curve, int version, const char *properties,
                      const char *groups)
{
    OSSL_LIB_CTX *libctx = world->libctx;
    static unsigned number;
    char label[64];
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    SSL_CTX *server_ctx = SSL_CTX_new_ex(libctx, properties, TLS_server_method());
    SSL_CTX *client_ctx =
        SSL_CTX_new_ex(properties != NULL ? libctx : NULL, properties, TLS_client_method());
    SSL *server = NULL, *client = NULL;

    snprintf(label, sizeof(label), "tls-%u", number++);
    EVP_PKEY_free(lab_generate(libctx, curve, lab_uri(label), NULL));
    key = lab_load(libctx, lab_uri(label), OSSL_STORE_INFO_PKEY);
    assert_non_null(key);
    certificate = self_signed(libctx, key);
    assert_true(X509_verify(certificate, key) == 1);

    assert_true(SSL_CTX_set_min_proto_version(server_ctx, version));
    assert_true(SSL_CTX_set_max_proto_version(server_ctx, version));
    assert_true(SSL_CTX_set_cipher_list(server_ctx, "ECDHE-ECDSA-AES128-GCM-SHA256"));
    assert_int_equal(SSL_CTX_use_certificate(server_ctx, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server_ctx, key), 1);
    assert_int_equal(SSL_CTX_check_private_key(server_ctx), 1);

    if (groups != NULL) {
        assert_true(SSL_CTX_set1_groups_list(server_ctx, groups));
        assert_true(SSL_CTX_set1_groups_list(client_ctx, groups));
    }
    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
    unsigned char *der = NULL;
    int der_size = i2d_X509(certificate, &der);
    const unsigned char *cursor = der;
    X509 *anchor = d2i_X509(NULL, &cursor, der_size);

    assert_non_null(anchor);
    assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(client_ctx), anchor));
    server = SSL_new(server_ctx);
    client = SSL_new(client_ctx);
    if (!shake_hands(server, client)) {
        ERR_print_errors_fp(stderr);
        fail();
    }
    assert_int_equal(SSL_version(client), version);
    assert_int_equal(SSL_get_verify_result(client), X509_V_OK);
    assert_non_null(SSL_get0_peer_certificate(client));
    SSL_free(client);
    SSL_free(server);
    X509_free(anchor);
    OPENSSL_free(der);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void tls_1_2(void **state)
{
    handshake(*state, "P-256", TLS1_2_VERSION, NULL, NULL);
    handshake(*state, "P-384", TLS1_2_VERSION, NULL, NULL);
}

static void tls_1_3(void **state)
{
    handshake(*state, "P-256", TLS1_3_VERSION, NULL, NULL);
    handshake(*state, "P-384", TLS1_3_VERSION, NULL, NULL);
}

/*
 * Both sides prefer us for everything: ephemeral keys, agreement, verification. That a curve is
 * none of the four (P-521) must not hinder it.
 */
static void everything_through_us(void **state)
{
    /* TLS 1.2 wants the curve of the certificate among the groups, too. */
    static const char *const groups[] = {"P-256:P-384", "P-384:P-256", "P-521:P-384:P-256",
                                         "X25519:P-384:P-256"};

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        handshake(*state, "P-256", TLS1_2_VERSION, "?provider=dot2hsm", groups[i]);
        handshake(*state, "P-384", TLS1_3_VERSION, "?provider=dot2hsm", groups[i]);
    }
}

/* The certificate's key is compared with the token's by their points. */
static void a_certificate_of_another_key_is_refused(void **state)
{
    struct world *world = *state;
    EVP_PKEY *one = lab_generate(world->libctx, "P-256", lab_uri("one"), NULL);
    EVP_PKEY *two = lab_generate(world->libctx, "P-256", lab_uri("two"), NULL);
    X509 *certificate = self_signed(world->libctx, one);
    SSL_CTX *ctx = SSL_CTX_new_ex(world->libctx, NULL, TLS_server_method());

    assert_int_equal(X509_check_private_key(certificate, one), 1);
    assert_int_equal(X509_check_private_key(certificate, two), 0);
    assert_int_not_equal(ERR_peek_error(), 0);
    ERR_clear_error();
    assert_int_equal(SSL_CTX_use_certificate(ctx, certificate), 1);
    assert_int_not_equal(SSL_CTX_use_PrivateKey(ctx, two), 1);
    ERR_clear_error();
    SSL_CTX_free(ctx);
    X509_free(certificate);
    EVP_PKEY_free(two);
    EVP_PKEY_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_1_2),
        cmocka_unit_test(tls_1_3),
        cmocka_unit_test(everything_through_us),
        cmocka_unit_test(a_certificate_of_another_key_is_refused),
    };

    return cmocka_run_group_tests_name("provider/tls", tests, lab_setup, lab_teardown);
}
