#include "protocol/ee/ee_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#define ROOTS_MAX (1024 * 1024)

/*
 * The interface's minimum is ECDHE-ECDSA-AES128-SHA256; AES-GCM is asked for first. TLS 1.3 has
 * its own list, OpenSSL's default.
 */
#define TLS12_CIPHERS                                                                              \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256"
#define TLS_GROUPS "X25519:P-256:P-384"

static enum ee_status read_file(struct ee_roots *roots, const char *path, struct ee_error *error)
{
    FILE *file = fopen(path, "re");
    enum ee_status status = EE_E_ARGUMENT;

    if (file == NULL)
        return ee_fail(error, EE_E_ARGUMENT, "the TLS root %s cannot be read: %s", path,
                       strerror(errno));
    roots->pem = OPENSSL_malloc(ROOTS_MAX);
    if (roots->pem == NULL) {
        status = ee_fail(error, EE_E_MEMORY, "out of memory");
        goto out;
    }
    roots->pem_size = fread(roots->pem, 1, ROOTS_MAX, file);
    if (ferror(file) || roots->pem_size == ROOTS_MAX) {
        ee_fail(error, status, "the TLS root %s cannot be read, or is larger than 1 MiB", path);
        goto out;
    }
    status = EE_OK;
out:
    fclose(file);
    return status;
}

enum ee_status ee_roots_load(struct ee_roots *roots, const char *path, struct ee_error *error)
{
    X509 *certificate = NULL;
    BIO *bio = NULL;
    enum ee_status status;

    memset(roots, 0, sizeof(*roots));
    if (path == NULL)
        return ee_fail(error, EE_E_ARGUMENT, "there is no TLS root to trust");
    status = read_file(roots, path, error);
    if (status != EE_OK)
        return status;
    status = EE_E_MEMORY;
    roots->certificates = sk_X509_new_null();
    bio = BIO_new_mem_buf(roots->pem, (int)roots->pem_size);
    if (roots->certificates == NULL || bio == NULL) {
        ee_fail(error, status, "out of memory");
        goto out;
    }
    ERR_set_mark();
    while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_push(roots->certificates, certificate) == 0) {
            X509_free(certificate);
            ERR_pop_to_mark();
            ee_fail(error, status, "out of memory");
            goto out;
        }
    }
    ERR_pop_to_mark();
    status = EE_OK;
    if (sk_X509_num(roots->certificates) == 0)
        status = ee_fail(error, EE_E_ARGUMENT, "the TLS root %s has no certificate in PEM", path);
out:
    BIO_free(bio);
    return status;
}

void ee_roots_clear(struct ee_roots *roots)
{
    sk_X509_pop_free(roots->certificates, X509_free);
    OPENSSL_free(roots->pem);
    memset(roots, 0, sizeof(*roots));
}

static void subject_of(X509 *certificate, char text[256])
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *memory = NULL;
    long size = 0;

    text[0] = '\0';
    if (bio == NULL)
        return;
    if (X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) > 0)
        size = BIO_get_mem_data(bio, &memory);
    snprintf(text, 256, "%.*s", (int)(size > 255 ? 255 : size), memory != NULL ? memory : "");
    BIO_free(bio);
}

/* ---- the handshake ---- */

/* The callback and who asks for the reason are in one thread: that of curl_easy_perform(). */
static _Thread_local char reason[256];

const char *ee_tls_reason(void)
{
    return reason[0] != '\0' ? reason : ee_ocsp_reason();
}

static void time_text(const ASN1_TIME *time, char text[32])
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(text, 32, "a time that is none");
}

/* Decides nothing. That a certificate is not valid now may be the clock's fault: both are told. */
static int on_verified(int ok, X509_STORE_CTX *store)
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    const bool early = X509_STORE_CTX_get_error(store) == X509_V_ERR_CERT_NOT_YET_VALID;
    char subject[256], limit[32], now[32] = "";
    time_t clock = time(NULL);
    struct tm tm;

    if (ok == 1 || certificate == NULL ||
        (!early && X509_STORE_CTX_get_error(store) != X509_V_ERR_CERT_HAS_EXPIRED))
        return ok;
    subject_of(certificate, subject);
    time_text(early ? X509_get0_notBefore(certificate) : X509_get0_notAfter(certificate), limit);
    if (gmtime_r(&clock, &tm) != NULL)
        strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(reason, sizeof(reason), "the certificate %.100s %s %s, and this clock says %s",
             subject, early ? "starts" : "ended", limit, now);
    return ok;
}

static CURLcode prepare(CURL *curl, void *ctx, void *arg)
{
    (void)curl;
    (void)arg;
    SSL_CTX_set_verify(ctx, SSL_CTX_get_verify_mode(ctx), on_verified);
    return CURLE_OK;
}

static CURLcode prepare_ocsp(CURL *curl, void *ctx, void *arg)
{
    return ee_ocsp_demand(ctx, arg) ? prepare(curl, ctx, arg) : CURLE_SSL_CONNECT_ERROR;
}

CURLcode ee_tls_configure(CURL *curl, const struct ee_roots *roots, bool ocsp)
{
    struct curl_blob blob = {roots->pem, roots->pem_size, CURL_BLOB_NOCOPY};
    CURLcode code = CURLE_OK;

    reason[0] = '\0';
    ee_ocsp_forget();
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(curl, option, value)
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    /* The octets that were looked at, not a file that may have changed since. */
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAINFO_BLOB, &blob);
    /* Debian's libcurl would add all of /etc/ssl/certs. */
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_CIPHER_LIST, TLS12_CIPHERS);
    SET(CURLOPT_SSL_EC_CURVES, TLS_GROUPS);
    /* A resumed session has no chain to look at. */
    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
    SET(CURLOPT_SSL_CTX_FUNCTION, ocsp ? prepare_ocsp : prepare);
    SET(CURLOPT_SSL_CTX_DATA, (void *)(uintptr_t)roots);
#undef SET
    return code;
}

static bool is_root(const struct ee_roots *roots, const X509 *certificate)
{
    for (int i = 0; i < sk_X509_num(roots->certificates); i++) {
        if (X509_cmp(sk_X509_value(roots->certificates, i), certificate) == 0)
            return true;
    }
    return false;
}

/*
 * libcurl has verified chain and host name before it calls us; this looks again at what the
 * signature is about to depend on, so that no setting and no other version of it can change that.
 */
enum ee_status ee_tls_check(CURL *curl, const struct ee_roots *roots,
                            struct ee_download_result *result, struct ee_error *error)
{
    struct curl_tlssessioninfo *info = NULL;
    STACK_OF(X509) * chain;
    SSL *ssl;
    X509 *top;

    if (curl_easy_getinfo(curl, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == NULL ||
        info->backend != CURLSSLBACKEND_OPENSSL || info->internals == NULL)
        return ee_fail(error, EE_E_TLS, "libcurl is not built on OpenSSL");
    ssl = info->internals;
    chain = SSL_get0_verified_chain(ssl);
    if (SSL_get_verify_result(ssl) != X509_V_OK || sk_X509_num(chain) < 1)
        return ee_fail(error, EE_E_TLS, "the RA's certificate was not verified");
    top = sk_X509_value(chain, sk_X509_num(chain) - 1);
    if (!is_root(roots, top))
        return ee_fail(error, EE_E_TLS, "the RA's certificate does not end at the configured root");
    subject_of(sk_X509_value(chain, 0), result->ra_subject);
    subject_of(top, result->root_subject);
    snprintf(result->tls, sizeof(result->tls), "%s %s", SSL_get_version(ssl),
             SSL_get_cipher_name(ssl));
    return EE_OK;
}
