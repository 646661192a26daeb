/*
 * ra_client.c: what a device sends to an RA and makes of its answer, for stories in shell.
 *
 *   ra_client body app|id|pseudonym CERT KEY.pem RA-CERT|- [TIME START]
 *       a Secured request, to stdout; made, and to start, so many seconds from now; with - a Signed
 *       one
 *   ra_client bodies app|id|pseudonym CERT KEY.pem RA-CERT COUNT
 *       so many of them, different ones, each with 4 octets of size before it
 *   ra_client header CERT KEY.pem RA-CERT|- NAME
 *       Base64 for Download-Req; with - a Signed request
 *   ra_client ack ROOT ICA RA-CERT BODY ACK
 *       verifies, prints certDLURL
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/sha.h>

#include "protocol/scms/scms.h"

static OSSL_LIB_CTX *libctx;
static dot2_crypto *crypto;

static void require(bool ok, const char *what, const struct dot2_error *error)
{
    if (ok)
        return;
    fprintf(stderr, "ra_client: %s %s %s\n", what, error == NULL ? "" : error->field,
            error == NULL ? "" : error->detail);
    exit(1);
}

static uint8_t *load(const char *path, size_t *size)
{
    uint8_t *octets = malloc(65536);
    FILE *file = fopen(path, "rb");

    require(octets != NULL && file != NULL, path, NULL);
    *size = fread(octets, 1, 65536, file);
    fclose(file);
    return octets;
}

static dot2_cert *load_cert(const char *path)
{
    struct dot2_error error = {0};
    dot2_cert *cert = NULL;
    size_t size;
    uint8_t *octets = load(path, &size);

    require(dot2_cert_new(crypto, octets, size, &cert, &error) == DOT2_OK, path, &error);
    free(octets);
    return cert;
}

static EVP_PKEY *load_key(const char *path)
{
    FILE *file = fopen(path, "r");
    EVP_PKEY *key =
        file == NULL ? NULL
                     : PEM_read_PrivateKey_ex(file, NULL, NULL, NULL, libctx, "?provider=default");

    require(key != NULL, path, NULL);
    fclose(file);
    return key;
}

/* Signs, and encrypts to the RA unless ra_path is "-". */
static uint8_t *secure(const char *cert_path, const char *key_path, const char *ra_path,
                       uint8_t *tbs, size_t tbs_size, size_t *size)
{
    struct dot2_error error = {0};
    dot2_cert *cert = load_cert(cert_path), *ra;
    EVP_PKEY *key = load_key(key_path);
    uint8_t *request = NULL, *secured = NULL;
    size_t request_size;

    require(scms_signed_request_build(crypto, key, cert, tbs, tbs_size, &request, &request_size,
                                      &error) == DOT2_OK,
            "sign", &error);
    OPENSSL_free(tbs);
    EVP_PKEY_free(key);
    dot2_cert_free(cert);
    if (strcmp(ra_path, "-") == 0) {
        *size = request_size;
        return request;
    }
    ra = load_cert(ra_path);
    require(scms_secured_build(crypto, ra, request, request_size, &secured, size, &error) ==
                DOT2_OK,
            "encrypt", &error);
    OPENSSL_free(request);
    dot2_cert_free(ra);
    return secured;
}

static void body(char **argv, uint32_t now, uint32_t start, bool with_size)
{
    struct dot2_error error = {0};
    EVP_PKEY *verify = EVP_PKEY_Q_keygen(libctx, "provider=default", "EC", "P-256");
    EVP_PKEY *response = EVP_PKEY_Q_keygen(libctx, "provider=default", "EC", "P-256");
    struct scms_app_request app = {verify, NULL, response, now, start};
    struct scms_butterfly_request butterfly = {
        .kind = strcmp(argv[0], "id") == 0 ? SCMS_PROVISION_ID : SCMS_PROVISION_PSEUDONYM,
        .verify = {.seed_key = verify},
        .response_encryption = {.seed_key = response},
        .current_time = now,
        .requested_start_time = start};
    uint8_t *tbs = NULL, *secured;
    size_t size;
    enum dot2_status status = strcmp(argv[0], "app") == 0
                                  ? scms_app_request_build(&app, &tbs, &size, &error)
                                  : scms_butterfly_request_build(&butterfly, &tbs, &size, &error);

    require(status == DOT2_OK, "request", &error);
    secured = secure(argv[1], argv[2], argv[3], tbs, size, &size);
    for (int shift = 24; with_size && shift >= 0; shift -= 8)
        putchar((int)(size >> shift) & 0xff);
    require(fwrite(secured, 1, size, stdout) == size, "write", NULL);
    OPENSSL_free(secured);
    EVP_PKEY_free(verify);
    EVP_PKEY_free(response);
}

static int header(char **argv, uint32_t now)
{
    struct dot2_error error = {0};
    uint8_t *tbs = NULL, *secured;
    char *text = NULL;
    size_t size;

    require(scms_download_request_build(now, argv[3], &tbs, &size, &error) == DOT2_OK, "request",
            &error);
    secured = secure(argv[0], argv[1], argv[2], tbs, size, &size);
    require(scms_base64_encode(secured, size, &text) == DOT2_OK, "Base64", NULL);
    puts(text);
    OPENSSL_free(text);
    OPENSSL_free(secured);
    return 0;
}

static int ack(char **argv, uint32_t now)
{
    struct dot2_error error = {0};
    dot2_cert *root = load_cert(argv[0]), *ica = load_cert(argv[1]), *ra = load_cert(argv[2]);
    dot2_trust *trust = NULL;
    struct scms_ack reply;
    size_t body_size, size;
    uint8_t *posted = load(argv[3], &body_size), *octets = load(argv[4], &size), hash[32];

    require(dot2_trust_new(crypto, NULL, &trust) == DOT2_OK, "trust", NULL);
    require(dot2_trust_add_anchor(trust, root) == DOT2_OK &&
                dot2_trust_add(trust, ica) == DOT2_OK && dot2_trust_add(trust, ra) == DOT2_OK,
            "trust", NULL);
    require(scms_ack_open(trust, ra, now, octets, size, &reply, &error) == DOT2_OK, "ack", &error);
    SHA256(posted, body_size, hash);
    require(memcmp(reply.request_hash, hash + 24, 8) == 0, "requestHash", NULL);
    puts(reply.url);
    dot2_trust_free(trust);
    dot2_cert_free(root);
    dot2_cert_free(ica);
    dot2_cert_free(ra);
    free(posted);
    free(octets);
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: ra_client body|bodies|header|ack ... (see the source)\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct dot2_error error = {0};
    OSSL_PROVIDER *ours, *base;
    uint32_t now = 0;
    int status = 0;

    libctx = OSSL_LIB_CTX_new();
    require(libctx != NULL &&
                OSSL_PROVIDER_set_default_search_path(libctx, getenv("DOT2HSM_MODULES")) == 1,
            "library context", NULL);
    base = OSSL_PROVIDER_load(libctx, "default");
    ours = OSSL_PROVIDER_load(libctx, "dot2hsm");
    require(ours != NULL && base != NULL, "providers", NULL);
    require(dot2_crypto_new(libctx, &crypto, &error) == DOT2_OK, "crypto", &error);
    require(dot2_time32_now(&now) == DOT2_OK, "time", NULL);
    if (argc == 6 && strcmp(argv[1], "body") == 0)
        body(argv + 2, now, now, false);
    else if (argc == 8 && strcmp(argv[1], "body") == 0)
        body(argv + 2, now + (uint32_t)atoi(argv[6]), now + (uint32_t)atoi(argv[7]), false);
    else if (argc == 7 && strcmp(argv[1], "bodies") == 0)
        for (int i = atoi(argv[6]); i > 0; i--)
            body(argv + 2, now, now, true);
    else if (argc == 6 && strcmp(argv[1], "header") == 0)
        status = header(argv + 2, now);
    else if (argc == 7 && strcmp(argv[1], "ack") == 0)
        status = ack(argv + 2, now);
    else
        status = usage();
    dot2_crypto_free(crypto);
    OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(base);
    OSSL_LIB_CTX_free(libctx);
    return status;
}
