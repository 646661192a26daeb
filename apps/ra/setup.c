/*
 * setup.c: TLS, trust and the RA's own keys from what the configuration names.
 */
#include "apps/ra/ra_app.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
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

static bool add_file(struct adding *adding, const char *path)
{
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

/* By its name: the directory may have a README, or an X.509 root. */
static int is_certificate(const struct dirent *entry)
{
    static const char *const extensions[] = {".oer", ".coer", ".cert"};
    const char *dot = strrchr(entry->d_name, '.');

    for (size_t i = 0; dot != NULL && i < sizeof extensions / sizeof extensions[0]; i++)
        if (dot != entry->d_name && strcasecmp(dot, extensions[i]) == 0)
            return 1;
    return 0;
}

/* Every such file has to be a certificate: one that is none is an error, not a surprise. */
static bool add_directory(struct adding *adding, const char *directory)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_certificate, alphasort);
    bool ok = count >= 0;

    if (count < 0)
        app_error("directory %s cannot be read", directory);
    for (int i = 0; i < count; i++) {
        char path[4096];
        struct stat st;
        int n = snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);

        if (ok && n > 0 && (size_t)n < sizeof path && stat(path, &st) == 0 && S_ISREG(st.st_mode))
            ok = add_file(adding, path);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

/* A list of files and directories, separated by commas. */
static bool add_list(struct adding *adding, const char *list)
{
    char *copy = OPENSSL_strdup(list), *save = NULL;
    bool ok = copy != NULL;

    if (copy == NULL)
        return false;
    for (char *item = strtok_r(copy, ",", &save); ok && item != NULL;
         item = strtok_r(NULL, ",", &save)) {
        size_t size;
        struct stat st;

        item += strspn(item, " \t");
        size = strlen(item);
        while (size > 0 && (item[size - 1] == ' ' || item[size - 1] == '\t'))
            item[--size] = '\0';
        if (size == 0)
            continue;
        ok = stat(item, &st) == 0 && S_ISDIR(st.st_mode) ? add_directory(adding, item)
                                                         : add_file(adding, item);
    }
    OPENSSL_free(copy);
    return ok;
}

dot2_trust *ra_app_trust(dot2_crypto *crypto, const struct ra_app_config *config)
{
    struct adding adding = {.crypto = crypto, .anchor = true};

    if (dot2_trust_new(crypto, NULL, &adding.trust) != DOT2_OK) {
        app_error("out of memory");
        return NULL;
    }
    if (!add_list(&adding, config->anchors))
        goto fail;
    if (adding.count == 0) {
        app_error("anchors = %s: there is no certificate", config->anchors);
        goto fail;
    }
    adding.anchor = false;
    if (config->certificates != NULL && !add_list(&adding, config->certificates))
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
