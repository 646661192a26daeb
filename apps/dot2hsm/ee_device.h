/*
 * ee_device.h: an end entity as the commands sync, status, sign and enroll see it: its settings,
 * its keys, whom it trusts, and its state directory.
 *
 * The state directory belongs to these commands alone. A file in it is written beside its place,
 * fsynced and renamed; `state` is written last and names the others, so that what it does not name
 * is not there yet, or no more, and is removed by the next sync. One lock, `lock`, is held by who
 * changes anything.
 *   state                         what is installed, what is under way, failures; one "key value"
 *                                 in a line
 *   policy.oer, chain.oer, ra.oer, crl.oer   as the RA (the MA) gave them, verified where they can
 *                                 be
 *   crl-CRACA-SERIES-KIND.oer     the newest list of each CRACA, series and kind, out of those that
 *                                 crl.oer has had; verified
 *   request-ID.*                  of the request ID that is under way: software keys, the zip file
 *   application-ID.oer, .pem      the application certificate of the request ID, and its key if
 *                                 that is in no token
 */
#ifndef DOT2HSM_APPS_DOT2HSM_EE_DEVICE_H
#define DOT2HSM_APPS_DOT2HSM_EE_DEVICE_H

#include "apps/app.h"
#include "protocol/ee/ee.h"

#define DEVICE_PATH 4096
#define DEVICE_ID 17         /* 16 hexadecimal digits */
#define DEVICE_HASHES 4      /* request hashes that are remembered */
#define DEVICE_FAILURES 10   /* protocol 1.5: at most so many ... */
#define DEVICE_WINDOW 3600   /* ... in so many seconds */
#define DEVICE_PAUSE 2       /* and never faster than this, seconds */
#define DEVICE_CERTIFICATE 1 /* bits of what has changed */
#define DEVICE_POLICY 2
#define DEVICE_CHAIN 4

struct device_state {
    char certificate[64]; /* file name in the state directory; "" = none */
    char key[512];        /* URI of its key */
    char obsolete[2200];  /* URIs of keys in a token that are to be deleted, blanks between */
    char id[DEVICE_ID];   /* of the request under way; "" = none */
    unsigned hash_count;  /* bodies that were signed for it; the RA may have the last ones */
    char hashes[DEVICE_HASHES][DEVICE_ID];
    char acked[DEVICE_ID];  /* the one that the RA has acknowledged; "" = none */
    uint32_t download_time; /* certDLTime, Time32 */
    char policy_name[256], chain_name[256];
    unsigned changed; /* what the hook has not been told yet */
    unsigned failure_count;
    int64_t failures[DEVICE_FAILURES]; /* Unix times of the last ones, oldest first */
    unsigned in_a_row;                 /* failures since the last success */
    int64_t last_error_time, last_sync;
    char last_error[320];
};

struct device {
    struct app_provider provider;
    CONF *conf;
    char *dir;
    const char *anchors, *certificates, *ra_path, *certificate_path, *key_uri;
    const char *application_token, *hook, *crl_url, *header;
    unsigned renew_before; /* hours */
    bool explicit_enrollment;
    struct ee_config config;
    OSSL_LIB_CTX *libctx;
    dot2_crypto *crypto;
    dot2_cert *enrollment, *ra;
    EVP_PKEY *enrollment_key;
    dot2_trust *trust;
    unsigned crl_left; /* installed lists that could not be put into the trust, and why */
    char crl_why[400];
    int lock;
    struct device_state state;
};

/* All of these return an enum app_exit and say why on stderr. */

/* ---- ee_device.c ---- */
/* Settings from [ee]. */
int device_configure(struct device *device);
/* The provider and the 1609.2 services. */
int device_open(struct device *device);
/* Enrollment certificate and key. */
int device_open_enrollment(struct device *device);
/* Anchors, `certificates`, the CRLs, the chain file if it is there, and the RA's certificate. */
int device_load_trust(struct device *device);
void device_close(struct device *device);
/* "DIR/NAME"; path has room for DEVICE_PATH. */
const char *device_path(const struct device *device, const char *name, char *path);
bool device_has(const struct device *device, const char *name);
/* A certificate from a file in COER. */
int device_read_cert(const struct device *device, const char *path, dot2_cert **cert);
/* The host of ra-url, without brackets. */
void device_ra_host(const struct device *device, char host[256]);

/* ---- ee_chain.c: the local certificate chain file ---- */
/*
 * Adds what chains to an anchor, at time32, to the trust; the others, among them roots that are no
 * anchors, are counted in *left (may be NULL). APP_REFUSED: not a chain file, or for another RA.
 */
int device_chain_load(const struct device *device, dot2_trust *trust, const char *path,
                      uint32_t time32, unsigned *added, unsigned *left);

/* ---- ee_state.c ---- */
/* The lock, without waiting: APP_REFUSED if another process has it. */
int device_lock(struct device *device);
/* A directory without a state gives an empty one. */
int device_state_load(struct device *device);
int device_state_save(struct device *device);
/* Removes what a killed run has left. Under the lock. */
int device_clean(struct device *device);
/* May the RA be contacted now? APP_REFUSED after the limit. Sleeps up to DEVICE_PAUSE. */
int device_may_try(struct device *device);
/* Notes a key for deletion; the caller saves the state. A key in a file is no concern of this. */
void device_obsolete(struct device *device, const char *uri);
int device_failed(struct device *device, const char *what);
int device_succeeded(struct device *device);
/* Unix time at which the limit lets the next try through; 0 = now. */
int64_t device_limit_ends(const struct device *device, int64_t now);

/* ---- ee_keys.c ---- */
enum device_key {
    DEVICE_KEY_VERIFY = 0,
    DEVICE_KEY_RESPONSE
};
/* A key of the request under way, made if it is not there. uri has room for 512. */
int device_key_make(struct device *device, enum device_key which, char *uri);
/* Its URI. */
int device_key_uri(const struct device *device, enum device_key which, char *uri);
/* Deletes a key of ours that is in a token; one that is gone is no error. */
int device_key_delete(struct device *device, const char *uri);
/* A software key as PKCS #8 PEM, mode 0600. */
int device_key_write(const struct device *device, const char *path, EVP_PKEY *key);
/* A key in a token by its URI, if there is none; usage is a set of enum p11_usage. */
int device_token_key_make(struct device *device, const char *uri, unsigned usage);

/* ---- ee_install.c ---- */
/* The zip file of the request under way: opened, verified, installed. */
int device_install(struct device *device, const char *zip, const char *hash);

/* ---- ee_files.c ---- */
/* Policy, chain, RA certificate and, if configured, CRL: whatever is new. */
int device_sync_files(struct device *device);
/* Counts a failed exchange and says why. */
int device_exchange_failed(struct device *device, const char *what, enum ee_status status,
                           const struct ee_error *error);

/* ---- ee_crl.c ---- */
/*
 * The installed lists, into the trust. Each was verified when it came, so that one whose signer has
 * ended since still counts. Those that cannot be used are counted in crl_left.
 */
int device_crl_load(struct device *device, dot2_trust *trust, uint32_t now);
/* Fetches the CompositeCrl, if crl-url is set, and installs what is new and good of it. */
int device_crl_sync(struct device *device);
/* Ballots in the last CompositeCrl; they are not evaluated. */
size_t device_crl_ballots(const struct device *device);
/* Is the certificate, or one above it, on a list of the trust? why may be NULL. */
bool device_revoked(const struct device *device, dot2_cert *cert, char *why, size_t size);
/* APP_REFUSED if the enrollment certificate is revoked: the RA is not asked for anything then. */
int device_check_enrollment(struct device *device);

/* ---- ee_provision.c ---- */
/* The request and its download, as far as they go now. *due: Unix time of the next step, 0 = done.
 */
int device_provision(struct device *device, int64_t *due);
/* Is a new certificate needed? */
bool device_wants_certificate(struct device *device, char *why, size_t size);

/* ---- cmd_ee_*.c ---- */
int ee_sync_command(int argc, char **argv);
int ee_status_command(int argc, char **argv);
int ee_sign_command(int argc, char **argv);
int ee_enroll_command(int argc, char **argv);

#endif
