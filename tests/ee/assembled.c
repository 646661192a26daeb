/*
 * assembled.c: what a test of assemble-key-on-host cannot do with the programs.
 *   assembled wrong CONFIG RESPONSE OUT KEY ROOT CERT...
 *       the response of an enrollment CA with another s, signed again with the CA's key
 *   assembled numbers CONFIG RESPONSE SEALED URI ROOT CERT...
 *       k of a sealed file, opened with the key in the token, and d = e k + s: two lines of
 *       hexadecimal digits on standard output
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "apps/app.h"
#include "protocol/scms/scms.h"

#define MAX 65536

struct bench {
    OSSL_LIB_CTX *libctx;
    dot2_crypto *crypto;
    dot2_trust *trust;
    struct scms_enrollment_response response;
};

static _Noreturn void stop(const char *what, const struct dot2_error *error)
{
    fprintf(stderr, "assembled: %s %s\n", what, error != NULL ? error->detail : "");
    exit(2);
}

static void load(struct bench *bench, const char *config, const char *response, char **certs)
{
    const struct app_provider provider = {.config = config};
    struct dot2_error error = {.status = DOT2_OK};
    uint8_t *octets = NULL;
    size_t size = 0;
    uint32_t now = 0;

    if (app_provider_load(&provider, &bench->libctx) != APP_OK ||
        dot2_crypto_new(bench->libctx, &bench->crypto, &error) != DOT2_OK ||
        dot2_trust_new(bench->crypto, NULL, &bench->trust) != DOT2_OK)
        stop("the provider", &error);
    for (int i = 0; certs[i] != NULL; i++) {
        dot2_cert *cert = NULL;

        if (app_file_read(certs[i], MAX, &octets, &size) != APP_OK ||
            dot2_cert_new(bench->crypto, octets, size, &cert, &error) != DOT2_OK)
            stop(certs[i], &error);
        if ((i == 0 ? dot2_trust_add_anchor : dot2_trust_add)(bench->trust, cert) != DOT2_OK)
            stop(certs[i], NULL);
        dot2_cert_free(cert);
        OPENSSL_free(octets);
    }
    if (app_file_read(response, MAX, &octets, &size) != APP_OK ||
        dot2_time32_now(&now) != DOT2_OK ||
        scms_enrollment_response_open(bench->crypto, bench->trust, now, octets, size, false,
                                      &bench->response, &error) != DOT2_OK)
        stop(response, &error);
    OPENSSL_free(octets);
}

static void wrong(struct bench *bench, const char *out, const char *key_path)
{
    struct dot2_error error = {.status = DOT2_OK};
    EVP_PKEY *key = NULL;
    uint8_t *octets = NULL;
    size_t size = 0;

    bench->response.s[31] ^= 1;
    if (app_key_open(bench->libctx, key_path, &key) != APP_OK ||
        scms_enrollment_response_build(bench->crypto, key, &bench->response, &octets, &size,
                                       &error) != DOT2_OK ||
        app_file_write(out, octets, size, 0644) != APP_OK)
        stop(out, &error);
    OPENSSL_free(octets);
    EVP_PKEY_free(key);
}

static void print_number(const EVP_PKEY *key)
{
    uint8_t number[48];
    size_t size = 0;

    if (dot2_key_number(key, number, &size, NULL) != DOT2_OK)
        stop("a number", NULL);
    for (size_t i = 0; i < size; i++)
        printf("%02x", number[i]);
    printf("\n");
}

static void numbers(struct bench *bench, const char *path, const char *uri)
{
    struct dot2_error error = {.status = DOT2_OK};
    EVP_PKEY *sealing = NULL, *k = NULL, *d = NULL;
    char *name = NULL, *header = NULL;
    uint8_t *octets = NULL;
    long size = 0;
    BIO *bio = BIO_new_file(path, "r");

    do {
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(octets);
        if (bio == NULL || PEM_read_bio(bio, &name, &header, &octets, &size) <= 0)
            stop(path, NULL);
    } while (strcmp(name, "DOT2HSM SEALED KEY") != 0);
    if (app_key_open(bench->libctx, uri, &sealing) != APP_OK ||
        dot2_key_unseal(bench->crypto, sealing, octets, (size_t)size, &k, &error) != DOT2_OK ||
        dot2_ecqv_private_key(bench->crypto, bench->response.enrollment, bench->response.eca, k,
                              bench->response.s, &d, &error) != DOT2_OK)
        stop("the key", &error);
    print_number(k);
    print_number(d);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(octets);
    BIO_free(bio);
    EVP_PKEY_free(sealing);
    EVP_PKEY_free(k);
    EVP_PKEY_free(d);
}

int main(int argc, char **argv)
{
    struct bench bench = {.libctx = NULL};

    app_name_set("assembled");
    if (argc < 8)
        stop("arguments", NULL);
    load(&bench, argv[2], argv[3], argv + 6);
    if (strcmp(argv[1], "wrong") == 0)
        wrong(&bench, argv[4], argv[5]);
    else
        numbers(&bench, argv[4], argv[5]);
    scms_enrollment_response_clear(&bench.response);
    dot2_trust_free(bench.trust);
    dot2_crypto_free(bench.crypto);
    OSSL_LIB_CTX_free(bench.libctx);
    return 0;
}
