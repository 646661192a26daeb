/*
 * tls.c: how the registration authority speaks TLS.
 */
#include "protocol/ra/ra.h"
#include "protocol/ra/tls_tickets.h"

#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/*
 * AES-GCM first; ECDHE-ECDSA-AES128-SHA256 is the least that the service pages ask of a device,
 * and devices of that age know nothing newer.
 */
static const char ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-AES128-SHA256";
static const char ciphersuites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
/* Without X25519 a TLS 1.3 client whose first guess it is needs a second round. */
static const char groups[] = "X25519:P-256:P-384";
static const unsigned char session_context[] = "dot2hsm-ra";

/* The sentence for a failure: what was tried, and OpenSSL's first reason. The queue is emptied. */
static void explain(char *text, size_t size, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    snprintf(text, size, "%s: %s", what, reason == NULL ? "out of memory" : reason);
    ERR_clear_error();
}

SSL_CTX *ra_tls_new(OSSL_LIB_CTX *libctx, const char *chain_file, EVP_PKEY *key, char *text,
                    size_t text_size)
{
    SSL_CTX *ctx = NULL, *made = NULL;

    ERR_clear_error();
    if (text_size > 0)
        text[0] = '\0';
    if (!EVP_PKEY_is_a(key, "EC")) {
        snprintf(text, text_size, "the TLS key is not an EC key");
        return NULL;
    }
    ctx = SSL_CTX_new_ex(libctx, NULL, TLS_server_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, ciphers) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, ciphersuites) != 1 ||
        SSL_CTX_set1_groups_list(ctx, groups) != 1 ||
        SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1) != 1 ||
        !ra_tls_tickets_new(ctx, libctx)) {
        explain(text, text_size, "TLS cannot be set up");
        goto out;
    }
    if (SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512") != 1) {
        explain(text, text_size, "TLS signature algorithms");
        goto out;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* libevent may move what it has not yet written, and is content when a part was. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(ctx, chain_file) != 1) {
        char what[300];

        snprintf(what, sizeof what, "TLS certificate %s", chain_file);
        explain(text, text_size, what);
        goto out;
    }
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        char what[400];

        snprintf(what, sizeof what, "the TLS key is not that of the first certificate in %s",
                 chain_file);
        explain(text, text_size, what);
        goto out;
    }
    made = ctx;
    ctx = NULL;
out:
    SSL_CTX_free(ctx);
    return made;
}
