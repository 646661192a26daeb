#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "apps/dot2hsm/lab.h"

#define YEAR (365L * 24 * 3600)

/* 20 octets at most, positive, and of no meaning (RFC 5280 4.1.2.2). */
static int set_serial(X509 *cert)
{
    BIGNUM *number = BN_new();
    uint8_t octets[16];
    int ok = number != NULL && RAND_bytes(octets, sizeof(octets)) > 0;

    if (number == NULL)
        ERR_raise(ERR_LIB_BN, ERR_R_MALLOC_FAILURE);
    octets[0] &= 0x7f;
    if (ok && BN_bin2bn(octets, sizeof(octets), number) == NULL) {
        ERR_raise(ERR_LIB_BN, ERR_R_MALLOC_FAILURE);
        ok = 0;
    }
    ok = ok && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static int set_name(X509_NAME *name, const char *common_name)
{
    static const char organization[] = "dot2hsm lab, for tests only";

    return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)organization,
                                      -1, -1, 0) > 0 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                      -1, -1, 0) > 0;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    int ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = extension != NULL && X509_add_ext(cert, extension, -1) > 0;
    X509_EXTENSION_free(extension);
    return ok;
}

/* Everything that both certificates have. issuer is cert itself for the root. */
static X509 *new_certificate(const struct lab *lab, const char *name, EVP_PKEY *key, long years)
{
    X509 *cert = X509_new_ex(lab->libctx, NULL);

    if (cert != NULL &&
        (X509_set_version(cert, X509_VERSION_3) <= 0 || !set_serial(cert) ||
         X509_gmtime_adj(X509_getm_notBefore(cert), -3600) == NULL ||
         X509_gmtime_adj(X509_getm_notAfter(cert), years * YEAR) == NULL ||
         !set_name(X509_get_subject_name(cert), name) || X509_set_pubkey(cert, key) <= 0)) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

static int write_pem(const struct lab *lab, const char *file, X509 *first, X509 *second)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    long size;
    int result = APP_REFUSED;

    if (bio != NULL && PEM_write_bio_X509(bio, first) > 0 &&
        (second == NULL || PEM_write_bio_X509(bio, second) > 0)) {
        size = BIO_get_mem_data(bio, &pem);
        result = lab_write(lab, file, pem, (size_t)size, 0644);
    } else {
        app_error_openssl("%s cannot be written%s", file, bio == NULL ? ": out of memory" : "");
    }
    BIO_free(bio);
    return result;
}

static X509 *make_root(struct lab *lab)
{
    X509 *cert = new_certificate(lab, "X.509 root", lab->x509_root.key, 10);

    if (cert != NULL &&
        (X509_set_issuer_name(cert, X509_get_subject_name(cert)) <= 0 ||
         !add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
         !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
         !add_extension(cert, cert, NID_subject_key_identifier, "hash") ||
         X509_sign(cert, lab->x509_root.key, EVP_sha256()) <= 0)) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

static X509 *make_tls(struct lab *lab, X509 *root)
{
    X509 *cert = new_certificate(lab, lab->host, lab->ra_tls.key, 3);
    char names[512];

    snprintf(names, sizeof(names), "DNS:localhost,IP:127.0.0.1,IP:::1%s%s",
             strcmp(lab->host, "localhost") == 0 ? "" : ",DNS:",
             strcmp(lab->host, "localhost") == 0 ? "" : lab->host);
    if (cert != NULL && (X509_set_issuer_name(cert, X509_get_subject_name(root)) <= 0 ||
                         !add_extension(cert, root, NID_basic_constraints, "critical,CA:FALSE") ||
                         !add_extension(cert, root, NID_key_usage, "critical,digitalSignature") ||
                         !add_extension(cert, root, NID_ext_key_usage, "serverAuth") ||
                         !add_extension(cert, root, NID_subject_alt_name, names) ||
                         !add_extension(cert, root, NID_subject_key_identifier, "hash") ||
                         !add_extension(cert, root, NID_authority_key_identifier, "keyid:always") ||
                         X509_sign(cert, lab->x509_root.key, EVP_sha256()) <= 0)) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

int lab_make_x509(struct lab *lab)
{
    X509 *root = NULL, *tls = NULL;
    int result;

    result = lab_key_make(lab, NULL, NULL, 0, "ca/x509-root.key", &lab->x509_root);
    if (result == APP_OK)
        result =
            lab_key_make(lab, &lab->ra_token, "ra-tls", P11_USAGE_SIGN, "ra/tls.key", &lab->ra_tls);
    if (result != APP_OK)
        return result;
    root = make_root(lab);
    tls = root != NULL ? make_tls(lab, root) : NULL;
    if (tls == NULL) {
        app_error_openssl("the X.509 certificates cannot be made");
        result = APP_REFUSED;
        goto out;
    }
    result = write_pem(lab, "trust/x509-root.pem", root, NULL);
    if (result == APP_OK)
        result = write_pem(lab, "ra/tls.pem", tls, NULL);
out:
    X509_free(root);
    X509_free(tls);
    return result;
}
