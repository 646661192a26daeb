/*
 * lab.h: the test PKI that `dot2hsm lab init` makes. For tests and demonstrations only: the keys of
 * its authorities are plain files, and nobody checks who asks for a certificate.
 *
 * What is in the directory:
 *   README            what this is, and the mark by which --force knows a lab
 *   ra.conf, rse.conf, obe.conf   configurations of dot2hsm-ra and of two devices; ee.conf is
 * rse.conf ca/               keys of the X.509 root and of the 1609.2 authorities (mode 0600)
 *   trust/            their certificates, and the RA's
 *   ra/               TLS certificate, store, chain and policy file, download/, and keys if there
 * is no token rse/              enrollment certificate (explicit), and its key if there is no token
 *   obe/              enrollment certificate (implicit), reconstruction value s, software key
 */
#ifndef DOT2HSM_APPS_DOT2HSM_LAB_H
#define DOT2HSM_APPS_DOT2HSM_LAB_H

#include "apps/app.h"
#include "asn1/coer.h"
#include "pkcs11/p11.h"
#include "protocol/dot2/dot2.h"

#define LAB_PATH 1024

struct lab_key {
    EVP_PKEY *key;      /* private for a file; public half only for a token key */
    char uri[LAB_PATH]; /* pkcs11:... or file:... */
    p11_key *made;      /* in a token, by this run; else NULL */
};

struct lab_token {
    const char *uri;        /* pkcs11:token=..., NULL: software keys */
    const char *pin_source; /* file:, env:, credential:; %s in it is the token's label */
    char pin[LAB_PATH];     /* the same with the label put in */
    p11_ctx *ctx;
};

enum lab_cert {
    LAB_ROOT = 0,
    LAB_ICA,
    LAB_ECA,
    LAB_PCA,
    LAB_MA,
    LAB_PG,
    LAB_RA,
    LAB_RSE,
    LAB_OBE,
    LAB_CERTS
};

struct lab {
    /* options */
    const char *dir_option, *host, *module, *file;
    unsigned port;     /* 0: the service's own */
    unsigned crl_port; /* 0: the CRL is not served */
    bool force, reuse_keys, as_json;
    /* what is made */
    char dir[LAB_PATH - 64]; /* absolute; the longest name in it fits into LAB_PATH */
    OSSL_LIB_CTX *libctx;
    dot2_crypto *crypto;
    coer_arena *arena;
    struct lab_token ra_token, rse_token;
    uint32_t start; /* Time32 at which everything begins to be valid: an hour ago */
    struct lab_key x509_root, ra_tls, ra_encryption, keys[LAB_CERTS];
    dot2_cert *certs[LAB_CERTS];
    char rse_file[64], obe_file[64]; /* names in the download directory */
};

/* All of these return an enum app_exit and say why on stderr. */

/* ---- lab_dir.c ---- */
/* The directory, its README and those in it. Refuses one that is not empty, unless it is a lab that
 * was not finished, which is replaced; with --force, one that is no lab.
 */
int lab_dir_make(struct lab *lab);
/* A file of the lab by its path in it, mode 0644 or 0600. */
int lab_write(const struct lab *lab, const char *name, const void *octets, size_t size,
              unsigned mode);
/* "DIR/NAME"; path has room for LAB_PATH. */
const char *lab_path(const struct lab *lab, const char *name, char path[LAB_PATH]);
/* The configurations. */
int lab_write_configurations(const struct lab *lab);

/* ---- lab_key.c ---- */
int lab_token_open(struct lab *lab, struct lab_token *token);
/* A P-256 key: in the token under a label, or, without one, in a file of the lab. */
int lab_key_make(struct lab *lab, const struct lab_token *token, const char *label, unsigned usage,
                 const char *file, struct lab_key *key);
/* Writes a private key as PKCS #8 PEM, mode 0600, and sets key->uri. */
int lab_key_write(const struct lab *lab, const char *file, struct lab_key *key);
void lab_key_clear(struct lab_key *key);
/* Deletes those that this run has made in tokens: after a failure they are of no use. */
void lab_keys_take_back(struct lab *lab);

/* ---- lab_x509.c ---- */
/* X.509 root (self-signed) and the RA's TLS certificate under it. */
int lab_make_x509(struct lab *lab);

/* ---- lab_dot2.c, lab_profile.c ---- */
/* All 1609.2 certificates, and the second device's key. */
int lab_make_dot2(struct lab *lab);
/* toBeSigned of one of them by the published profile, less verifyKeyIndicator. False: no memory. */
bool lab_profile(const struct lab *lab, enum lab_cert which, ToBeSignedCertificate_t *body);
/* Its parts that other certificates have too: all of the USA; a P-256 key, compressed. */
#define LAB_COUNTRY 840
bool lab_set_region(coer_arena *arena, ToBeSignedCertificate_t *body);
bool lab_set_encryption(coer_arena *arena, const EVP_PKEY *key, ToBeSignedCertificate_t *body);
/* The file in the lab and what a person calls it. */
const char *lab_cert_file(enum lab_cert which);
const char *lab_cert_title(enum lab_cert which);
const char *lab_cert_key_file(enum lab_cert which);

/* ---- lab_files.c ---- */
#define LAB_CHAIN_FILE "ra/local_certificate_chains_01_01.oer"
#define LAB_POLICY_FILE "ra/local_policy_01.oer"
/* The RA's store, the chain file and the files to download. */
int lab_make_files(struct lab *lab);

/* ---- lab_crl.c ---- */
#define LAB_CRL_FILE "ra/crl.oer"
/* A CompositeCrl that revokes nobody. */
int lab_crl_make(struct lab *lab);
/* `dot2hsm lab crl` */
int lab_crl(int argc, char **argv);

/* A lab that is there: libctx, crypto, arena, and certificate and key of one authority. */
int lab_open(struct lab *lab, const char *dir, enum lab_cert which);
void lab_close(struct lab *lab);

/* ---- lab_policy.c ---- */
struct lab_policy {
    unsigned validity, overlap, interval; /* hours; interval 0: not in the file */
    unsigned max_request_age, max_supply; /* hours; max_supply 0: not in the file */
    unsigned scms_version;
    unsigned next_validity; /* hours, from next_start (Time32) on; 0: it stays */
    uint32_t next_start, generated;
    const char *host;
};
int lab_make_policy(struct lab *lab);
/* `dot2hsm lab policy` */
int lab_policy(int argc, char **argv);

#endif
