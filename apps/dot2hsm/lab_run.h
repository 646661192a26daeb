/*
 * lab_run.h: the enrollment CA and the pseudonym CA of `dot2hsm lab run`. For tests and
 * demonstrations only: one process has the keys of both as plain files, and nobody approves
 * anything.
 *
 * The ECA works on files of the lab: a request in eca/requests is answered in eca/responses. The
 * PCA works on the RA's store: it answers the accepted requests with files in the RA's download
 * directory. Every step can be done again: what is there already is kept, and what was done last is
 * what tells the others that it is done, so that a run that is killed at any point and started
 * again ends with the same files.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_LAB_RUN_H
#define DOT2HSM_APPS_DOT2HSM_LAB_RUN_H

#include "apps/dot2hsm/lab.h"
#include "protocol/ra/ra.h"

struct lab_run {
    /* options */
    const char *dir_option;
    bool once, explicit_enrollment, implicit_application;
    unsigned interval; /* milliseconds between two looks */
    /* what is there */
    struct lab lab; /* dir, libctx, crypto, arena; certs and keys of ROOT, ICA, ECA, PCA */
    dot2_trust *trust;
    ra_store *store;
    char download_dir[LAB_PATH];
    int lock;
};

/* ---- lab_run.c ---- */
int lab_run(int argc, char **argv);

/* ---- lab_put.c ---- */
/* Left by a writer that was killed; see lab_put(). */
#define LAB_PART ".lab-run.part"
/*
 * A whole file or none: written under a name of its own beside it, fsynced and renamed, and the
 * directory fsynced. One writer at a time, which the lock of lab_run() makes sure of. An enum
 * app_exit, with the reason on stderr.
 */
int lab_put(const char *directory, const char *name, const void *octets, size_t size,
            unsigned mode);

struct lab_zip_entry {
    char name[32];
    uint8_t *octets; /* of a zip that is made; not looked at by lab_zip_has() */
    size_t size;
};
/* A zip of these entries, uncompressed: they are ciphertext. *octets is free'd by the caller. */
int lab_zip_make(const struct lab_zip_entry *entries, size_t count, uint8_t **octets, size_t *size);
/* Is there a whole zip file with these entries, by name, and no other? */
bool lab_zip_has(const char *path, const struct lab_zip_entry *entries, size_t count);

/* ---- lab_body.c: toBeSigned, less verifyKeyIndicator, by the profiles of release 1.2.2 ---- */
/*
 * What an ECA issues for a request: the published profile, in which the request chooses the start,
 * 1 to 7 years, and the PSIDs. reason gets the name of an EcaEndEntityError and a sentence if the
 * request wants something else (DOT2_E_MESSAGE).
 */
enum dot2_status lab_body_enrollment(const struct lab_run *run, coer_arena *arena,
                                     const struct scms_enrollment_request *request, uint32_t now,
                                     ToBeSignedCertificate_t *body, char *reason,
                                     size_t reason_size);

/* The certificate number j of the period i; i and j are 0 for an application certificate. */
struct lab_subject {
    enum scms_provision kind;
    const dot2_cert *enrollment; /* its certRequestPermissions and region are given on */
    uint32_t start;              /* Time32 */
    uint32_t i;
    EVP_PKEY *encryption_key; /* NULL = none */
};
enum dot2_status lab_body_application(const struct lab_run *run, coer_arena *arena,
                                      const struct lab_subject *subject,
                                      ToBeSignedCertificate_t *body, struct dot2_error *error);
/* Hours that a certificate of a kind is valid: a period and one hour. */
#define LAB_OVERLAP 3600u
uint32_t lab_period(enum scms_provision kind);

/* ---- lab_run.c ---- */
/* Not a fault of the request: it is not refused, but tried again by the next run. */
bool lab_run_broken(enum dot2_status status);

/* ---- lab_eca.c, lab_pca.c: all there is to do now ---- */
/* APP_OK also when requests were refused; anything else is trouble with files or the store. */
int lab_eca_round(struct lab_run *run, unsigned *answered);
int lab_pca_round(struct lab_run *run, unsigned *answered);

/* ---- lab_pca_issue.c ---- */
/*
 * The SignedEncryptedCertificateResponse for one certificate, checked up to the root before it is
 * sealed. key is the subject's public key, response_key that of the response's encryption.
 */
enum dot2_status lab_pca_issue(const struct lab_run *run, const struct lab_subject *subject,
                               EVP_PKEY *key, EVP_PKEY *response_key, uint32_t now,
                               uint8_t **octets, size_t *size, uint8_t hashedid8[8],
                               struct dot2_error *error);

#endif
