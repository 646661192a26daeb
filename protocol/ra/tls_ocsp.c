/*
 * tls_ocsp.c: stapling. The RA asks no responder itself: somebody else puts the response into a
 * file, which is looked at in each handshake that asks for one.
 */
#include "protocol/ra/ra.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>

#define RESPONSE_MAX 65536

struct staple {
    pthread_mutex_t lock;
    char *path;
    ASN1_INTEGER *serial; /* of the RA's certificate */
    struct timespec changed;
    off_t length;
    ino_t file;
    unsigned char *response; /* the last good one; NULL if the file is gone */
    int size;
};

static pthread_once_t index_once = PTHREAD_ONCE_INIT;
static int staple_index = -1;

static void staple_free(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl,
                        void *argp)
{
    struct staple *staple = pointer;

    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (staple == NULL)
        return;
    OPENSSL_free(staple->path);
    OPENSSL_free(staple->response);
    ASN1_INTEGER_free(staple->serial);
    pthread_mutex_destroy(&staple->lock);
    OPENSSL_free(staple);
}

static void make_index(void)
{
    staple_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, staple_free);
}

/* Whether these octets are a response about the RA's certificate; what it says is the EE's to
 * judge.
 */
static const char *fault_of(const struct staple *staple, const unsigned char *octets, size_t size)
{
    const unsigned char *at = octets;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)size);
    OCSP_BASICRESP *basic = NULL;
    const char *fault = "is not a response about the TLS certificate";

    if (response == NULL || at != octets + size) {
        fault = "is not an OCSP response in DER";
        goto out;
    }
    if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL ||
        (basic = OCSP_response_get1_basic(response)) == NULL) {
        fault = "is not a successful OCSP response";
        goto out;
    }
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(OCSP_resp_get0(basic, i));
        ASN1_INTEGER *serial = NULL;

        if (OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)(uintptr_t)id) == 1 &&
            ASN1_INTEGER_cmp(serial, staple->serial) == 0)
            fault = NULL;
    }
out:
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return fault;
}

/*
 * Looks at the file; NULL, or what is wrong with it. A file that is just being written, or is not
 * what it should be, changes nothing: the response before it may be good for hours. With the file
 * gone there is none.
 */
static const char *refresh(struct staple *staple)
{
    unsigned char *octets = NULL;
    const char *fault = "cannot be read";
    FILE *file = NULL;
    struct stat about;
    size_t size = 0;

    if (stat(staple->path, &about) != 0) {
        OPENSSL_free(staple->response);
        staple->response = NULL;
        staple->length = 0;
        return fault;
    }
    if (staple->response != NULL && about.st_size == staple->length &&
        about.st_ino == staple->file && about.st_mtim.tv_sec == staple->changed.tv_sec &&
        about.st_mtim.tv_nsec == staple->changed.tv_nsec)
        return NULL;
    file = fopen(staple->path, "re");
    octets = OPENSSL_malloc(RESPONSE_MAX);
    if (file == NULL || octets == NULL)
        goto out;
    size = fread(octets, 1, RESPONSE_MAX, file);
    if (ferror(file) || size == 0 || size == RESPONSE_MAX) {
        fault = "is empty, or longer than 64 kB";
        goto out;
    }
    fault = fault_of(staple, octets, size);
    if (fault != NULL)
        goto out;
    OPENSSL_free(staple->response);
    staple->response = octets;
    staple->size = (int)size;
    staple->changed = about.st_mtim;
    staple->length = about.st_size;
    staple->file = about.st_ino;
    octets = NULL;
out:
    if (file != NULL)
        fclose(file);
    OPENSSL_free(octets);
    return fault;
}

static int give(SSL *ssl, void *arg)
{
    struct staple *staple = arg;
    unsigned char *copy = NULL;
    int size = 0;

    ERR_set_mark();
    pthread_mutex_lock(&staple->lock);
    (void)refresh(staple);
    if (staple->response != NULL) {
        size = staple->size;
        copy = OPENSSL_memdup(staple->response, (size_t)size);
    }
    pthread_mutex_unlock(&staple->lock);
    ERR_pop_to_mark();
    if (copy == NULL || SSL_set_tlsext_status_ocsp_resp(ssl, copy, size) != 1) {
        OPENSSL_free(copy);
        return SSL_TLSEXT_ERR_NOACK;
    }
    return SSL_TLSEXT_ERR_OK;
}

int ra_tls_set_ocsp(SSL_CTX *tls, const char *file, char *text, size_t text_size)
{
    struct staple *staple = OPENSSL_zalloc(sizeof *staple), *old = NULL;
    const X509 *certificate = SSL_CTX_get0_certificate(tls);
    const char *fault = "out of memory";

    pthread_once(&index_once, make_index);
    if (staple == NULL || certificate == NULL || pthread_mutex_init(&staple->lock, NULL) != 0) {
        OPENSSL_free(staple);
        staple = NULL;
        goto out;
    }
    staple->path = OPENSSL_strdup(file);
    staple->serial = ASN1_INTEGER_dup(X509_get0_serialNumber(certificate));
    if (staple->path == NULL || staple->serial == NULL || staple_index < 0)
        goto out;
    ERR_set_mark();
    fault = refresh(staple);
    ERR_pop_to_mark();
    if (fault != NULL)
        goto out;
    old = SSL_CTX_get_ex_data(tls, staple_index);
    if (SSL_CTX_set_ex_data(tls, staple_index, staple) != 1) {
        fault = "out of memory";
        goto out;
    }
    SSL_CTX_set_tlsext_status_cb(tls, give);
    SSL_CTX_set_tlsext_status_arg(tls, staple);
    staple = old;
out:
    staple_free(NULL, staple, NULL, 0, 0, NULL);
    if (fault == NULL)
        return 0;
    snprintf(text, text_size, "the OCSP response %s %s", file, fault);
    return -1;
}
