/*
 * setup.c: TLS, trust and the RA's own keys from what the configuration names.
 */
#include "apps/ra/ra_app.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <openssl/crypto.h>

#define CERTIFICATE_MAX 65536

SSL_CTX *ra_app_tls(OSSL_LIB_CTX *libctx, const struct ra_app_config *config, EVP_PKEY *key)
{
    char text[400];
    SSL_CTX *tls = ra_tls_new(libctx, config->tls_certificate, key, text, sizeof text);

    if (tls != NULL && config->ocsp_file != NULL &&
        ra_tls_set_ocsp(tls, config->ocsp_file, text, sizeof text) != 0) {
        SSL_CTX_free(tls);
        tls = NULL;
    }
    if (tls == NULL)
        app_error("%s", text);
    return tls;
}

struct adding {
    dot2_crypto *crypto;
    dot2_trust *trust;
    bool anchor;
    size_t count;
};

/* Every such file has to be a certificate: one that is none is an error, not a surprise. */
static bool add_file(void *arg, const char *path)
{
    struct adding *adding = arg;
    struct dot2_error error = {0};
    dot2_cert *cert = NULL;
    uint8_t *octets = NULL;
    size_t size;
    enum dot2_status status;

    if (app_file_read(path, CERTIFICATE_MAX, &octets, &size) != APP_OK)
        return false;
    status = dot2_cert_new(adding->crypto, octets, size, &cert, &error);
    if (status == DOT2_OK)
        status = adding->anchor ? dot2_trust_add_anchor(adding->trust, cert)
                                : dot2_trust_add(adding->trust, cert);
    if (status != DOT2_OK)
        app_error("%s: %s, %s, octet %zu: %s", path, dot2_status_name(status),
                  error.field[0] == '\0' ? "Certificate" : error.field, error.offset,
                  error.detail[0] == '\0' ? dot2_status_text(status) : error.detail);
    else
        adding->count++;
    dot2_cert_free(cert);
    OPENSSL_free(octets);
    return status == DOT2_OK;
}

dot2_trust *ra_app_trust(dot2_crypto *crypto, const struct ra_app_config *config)
{
    struct adding adding = {.crypto = crypto, .anchor = true};

    if (dot2_trust_new(crypto, NULL, &adding.trust) != DOT2_OK) {
        app_error("out of memory");
        return NULL;
    }
    if (!app_certificates_each(config->anchors, add_file, &adding))
        goto fail;
    if (adding.count == 0) {
        app_error("anchors = %s: there is no certificate", config->anchors);
        goto fail;
    }
    adding.anchor = false;
    if (config->certificates != NULL &&
        !app_certificates_each(config->certificates, add_file, &adding))
        goto fail;
    return adding.trust;
fail:
    dot2_trust_free(adding.trust);
    return NULL;
}

static int open_key(OSSL_LIB_CTX *libctx, dot2_crypto *crypto, const struct ra_app_key *names,
                    struct ra_key *key)
{
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size;
    enum dot2_status status;
    int code = app_file_read(names->certificate, CERTIFICATE_MAX, &octets, &size);

    if (code != APP_OK)
        return APP_USAGE;
    status = dot2_cert_new(crypto, octets, size, &key->cert, &error);
    OPENSSL_free(octets);
    if (status != DOT2_OK) {
        app_error("%s: %s, %s, octet %zu: %s", names->certificate, dot2_status_name(status),
                  error.field[0] == '\0' ? "Certificate" : error.field, error.offset,
                  error.detail[0] == '\0' ? dot2_status_text(status) : error.detail);
        return APP_USAGE;
    }
    if (names->sign != NULL)
        code = app_key_open(libctx, names->sign, &key->sign);
    if (code == APP_OK)
        code = app_key_open(libctx, names->decrypt, &key->decrypt);
    return code;
}

int ra_app_keys(OSSL_LIB_CTX *libctx, dot2_crypto *crypto, const struct ra_app_config *config,
                ra_keys **keys)
{
    struct ra_key list[RA_APP_KEYS] = {{0}};
    struct dot2_error error = {0};
    size_t which = 0;
    int code = APP_OK;

    *keys = NULL;
    for (size_t i = 0; code == APP_OK && i < config->key_count; i++)
        code = open_key(libctx, crypto, &config->keys[i], &list[i]);
    if (code == APP_OK && config->key_count > 0 &&
        ra_keys_new(crypto, list, config->key_count, keys, &which, &error) != DOT2_OK) {
        const struct ra_app_key *names = &config->keys[which];

        app_error_openssl("[%s] (certificate %s, sign-key %s, decrypt-key %s): %s, %s: %s",
                          names->section, names->certificate,
                          names->sign == NULL ? "none" : names->sign, names->decrypt,
                          dot2_status_name(error.status), error.field,
                          error.detail[0] == '\0' ? dot2_status_text(error.status) : error.detail);
        code = error.status == DOT2_E_PROVIDER || error.status == DOT2_E_CRYPTO ? APP_UNREACHABLE
                                                                                : APP_USAGE;
    }
    for (size_t i = 0; i < RA_APP_KEYS; i++) {
        dot2_cert_free(list[i].cert);
        EVP_PKEY_free(list[i].sign);
        EVP_PKEY_free(list[i].decrypt);
    }
    return code;
}
