/*
 * tls_test.c: the RA's TLS: sessions that are resumed and the keys of their tickets, versions and
 * ciphers, addresses, and what a server does not start with.
 */
#include "protocol/ra/tls_tickets.h"
#include "tests/ra/served.h"

static SSL_SESSION *resume(struct served *served, SSL_SESSION *session, bool resumed)
{
    struct client *client = client_open(served, session);
    char *headers = authenticated(served, &served->lab->device, NAME, "");
    struct response response;
    SSL_SESSION *next;

    assert_non_null(client);
    assert_int_equal(SSL_session_reused(client->ssl), resumed);
    response = request_on(client, "GET", APPLICATION, headers);
    assert_int_equal(response.status, 200);
    response_clear(&response);
    OPENSSL_free(headers);
    next = SSL_get1_session(client->ssl);
    client_close(client);
    SSL_SESSION_free(session);
    return next;
}

/* A device that comes back costs the HSM no signature, whichever loop it comes to. */
static void resumption(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct served *served = *state;
    struct lab *lab = served->lab;
    char text[200];

    for (size_t i = 0; i < 2; i++) {
        SSL_SESSION *session = NULL;
        SSL_CTX *again;

        SSL_CTX_set_max_proto_version(served->client, versions[i]);
        session = resume(served, NULL, false);
        for (int n = 0; n < 8; n++)
            session = resume(served, session, true);
        assert_logged(served, "resumed=yes");
        /* Reloaded with the same certificate, */
        again = ra_tls_new(lab->libctx, lab->tls_path, lab->tls_key, text, sizeof text);
        assert_non_null(again);
        ra_server_set_tls(served->server, again);
        SSL_CTX_free(again);
        session = resume(served, session, true);
        SSL_SESSION_free(session);
    }
}

/* What a ticket starts with: which key it was sealed with. */
static void key_name(const SSL_SESSION *session, unsigned char name[16])
{
    const unsigned char *ticket = NULL;
    size_t size = 0;

    SSL_SESSION_get0_ticket(session, &ticket, &size);
    assert_true(size > 16);
    memcpy(name, ticket, 16);
}

/* A key seals for two hours and opens for two more; then it is gone, and so is what it sealed. */
static void ticket_keys_expire(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct served *served = *state;
    unsigned char first[16], next[16];

    for (size_t i = 0; i < 2; i++) {
        SSL_SESSION *session, *old;

        SSL_CTX_set_max_proto_version(served->client, versions[i]);
        session = resume(served, NULL, false);
        key_name(session, first);
        ra_tls_tickets_age(served->tls, 7000); /* not yet */
        session = resume(served, session, true);
        key_name(session, next);
        assert_memory_equal(first, next, 16);
        old = SSL_SESSION_dup(session);
        assert_non_null(old);
        ra_tls_tickets_age(served->tls,
                           7000); /* opens, and a ticket of a new key is given for it */
        session = resume(served, session, true);
        key_name(session, next);
        assert_memory_not_equal(first, next, 16);
        ra_tls_tickets_age(served->tls, 7000); /* nearly six hours since the first key was made */
        session = resume(served, session, true);
        SSL_SESSION_free(session);
        SSL_SESSION_free(resume(served, old, false));
        ra_tls_tickets_age(served->tls, 4 * 7200);
    }
}

static void tls_versions_and_ciphers(void **state)
{
    static const struct {
        int version;
        const char *ciphers; /* of TLS 1.2 */
        const char *groups;
        bool good;
    } tests[] = {
        {TLS1_3_VERSION, NULL, "X25519", true},
        {TLS1_3_VERSION, NULL, "P-256", true},
        {TLS1_3_VERSION, NULL, "P-384", true},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", "P-256", true},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=1", "P-256", true},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", "P-256", false},
        {TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", "P-256", false},
        {TLS1_1_VERSION, NULL, NULL, false},
    };
    struct served *served = *state;

    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        struct client *client;

        SSL_CTX_set_min_proto_version(served->client, tests[i].version);
        SSL_CTX_set_max_proto_version(served->client, tests[i].version);
        SSL_CTX_set_cipher_list(served->client,
                                tests[i].ciphers == NULL ? "ALL:@SECLEVEL=0" : tests[i].ciphers);
        if (tests[i].groups != NULL)
            assert_int_equal(SSL_CTX_set1_groups_list(served->client, tests[i].groups), 1);
        client = client_open(served, NULL);
        if ((client != NULL) != tests[i].good)
            fail_msg("case %zu", i);
        client_close(client);
    }
    assert_logged(served, "event=closed reason=tls_handshake");
}

static void bad_tls_and_configuration(void **state)
{
    struct served *served = *state;
    struct lab *lab = served->lab;
    EVP_PKEY *rsa = EVP_PKEY_Q_keygen(lab->libctx, "provider=default", "RSA", (size_t)2048);
    EVP_PKEY *stranger = lab_key(lab);
    struct ra_server_config config = {.address = "127.0.0.1",
                                      .port = ra_server_port(served->server),
                                      .download_dir = lab->downloads};
    char text[400];

    assert_null(ra_tls_new(lab->libctx, lab->tls_path, stranger, text, sizeof text));
    assert_non_null(strstr(text, "is not that of"));
    assert_null(ra_tls_new(lab->libctx, lab->tls_path, rsa, text, sizeof text));
    assert_non_null(strstr(text, "not an EC key"));
    assert_null(ra_tls_new(lab->libctx, "/nowhere/tls.pem", stranger, text, sizeof text));
    assert_non_null(strstr(text, "/nowhere/tls.pem"));
    /* The port is taken, although loops share theirs. */
    assert_null(ra_server_new(&config, lab->crypto, served->tls, lab->trust, lab->store, text,
                              sizeof text));
    assert_non_null(strstr(text, "in use"));
    config.port = 0;
    config.address = "localhost";
    assert_null(ra_server_new(&config, lab->crypto, served->tls, lab->trust, lab->store, text,
                              sizeof text));
    assert_non_null(strstr(text, "numeric"));
    config.address = NULL;
    config.download_dir = "/nowhere";
    assert_null(ra_server_new(&config, lab->crypto, served->tls, lab->trust, lab->store, text,
                              sizeof text));
    assert_non_null(strstr(text, "/nowhere"));
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(stranger);
}

/* Without an address: IPv4 clients are served by the socket of all addresses. */
static void all_addresses(void **state)
{
    struct served *served = *state, *all;
    struct ra_server_config config = {.address = "::", .tolerance = UINT32_MAX};
    struct response response;

    all = served_start(served->lab, &config);
    response = download(all, APPLICATION, &served->lab->device, NAME, "");
    assert_int_equal(response.status, 200);
    response_clear(&response);
    assert_logged(all, "peer=[127.0.0.1]:");
    served_stop(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(resumption, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(ticket_keys_expire, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(tls_versions_and_ciphers, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(bad_tls_and_configuration, served_setup, served_teardown),
        cmocka_unit_test_setup_teardown(all_addresses, served_setup, served_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
