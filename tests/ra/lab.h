/*
 * lab.h: what tests of the registration authority need: a 1609.2 PKI and an X.509 one with software
 * keys, a store, a directory of files, requests.
 */
#ifndef DOT2HSM_TESTS_RA_LAB_H
#define DOT2HSM_TESTS_RA_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "protocol/ra/ra.h"

#define NAME "AB09281C9867DE53.zip" /* a file of a device */

struct lab_cert {
    dot2_cert *cert;
    EVP_PKEY *key;
};

struct lab {
    char dir[64], downloads[96], store_path[96], tls_path[96];
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *base, *dot2hsm;
    dot2_crypto *crypto;
    coer_arena *arena;
    struct lab_cert root, eca, device, implicit, other;
    dot2_trust *trust;
    ra_store *store;
    X509 *x509;
    EVP_PKEY *tls_key;
    uint32_t now;
};

/* What a certificate of the lab differs in from a good enrollment certificate. */
struct lab_variant {
    int64_t start;    /* seconds from now */
    uint16_t minutes; /* of validity; 0 = 60 */
    bool implicit;
    bool application;   /* has appPermissions */
    bool no_request;    /* has no certRequestPermissions (with application) */
    unsigned long psid; /* that it may ask for; 0 = 0x80, which the ECA may give */
    uint8_t ee_type;    /* of what it may ask for: 0x80 app, 0x40 enrol; 0 = app */
};

struct lab *lab_new(void);
void lab_free(struct lab *lab);
EVP_PKEY *lab_key(const struct lab *lab);
/* An enrollment certificate of issuer. */
struct lab_cert lab_issue(struct lab *lab, const struct lab_cert *issuer,
                          const struct lab_variant *variant);
/* A self-signed authority. */
struct lab_cert lab_authority(struct lab *lab, const struct lab_cert *issuer);
/* A certificate of an RA named localhost; *decrypt is the private key of its encryption key, made
 * if it is NULL. */
struct lab_cert lab_ra(struct lab *lab, int64_t start, uint16_t minutes, EVP_PKEY **decrypt);
void lab_cert_clear(struct lab_cert *cert);
/* The same explicit certificate with s replaced by n - s. */
dot2_cert *lab_mirror(struct lab *lab, const dot2_cert *cert);
/* The octets of a certificate with one bit changed, as a certificate. */
dot2_cert *lab_flip(struct lab *lab, const dot2_cert *cert, size_t from_end);

/* What a decision depends on: the lab's, its time, and five seconds of tolerance. */
struct ra_authorise lab_authorise(const struct lab *lab);

/* Octets of a SignedAuthenticatedDownloadRequest, OPENSSL_free'd by the caller. */
uint8_t *lab_request_octets(struct lab *lab, const dot2_cert *cert, EVP_PKEY *key, uint32_t time,
                            const char *filename, size_t *size);
/* The value of Download-Req, OPENSSL_free'd by the caller. */
char *lab_request(struct lab *lab, const struct lab_cert *device, uint32_t time,
                  const char *filename);
char *lab_base64(const uint8_t *octets, size_t size);

/* The file is the device's; it is made with size octets of a pattern. */
void lab_file(struct lab *lab, const char *name, const struct lab_cert *owner, size_t size);
void lab_assign(struct lab *lab, const char *name, const dot2_cert *owner);
uint8_t lab_octet(size_t offset); /* of the pattern */
void lab_blacklist(struct lab *lab, const dot2_cert *cert, enum ra_blacklist_kind kind);

#endif
