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
 *   request-ID.*                  of the request ID that is under way: software keys, the zip file,
 *                                 a sealed key (ee_assemble.h)
 *   application-ID.oer, .pem      the application certificate of the request ID, and its key if
 *                                 that is in no token
 *   pseudonym-ID-I, identification-ID-I   directories, one for each batch: J.oer is the certificate
 *                                 j, J.pem its key, or J.uri where that is in a token. A batch is
 *                                 built as batch.new
 * A request for pseudonym or identification certificates stays as an order: its seed keys and
 * expansions, request-ID.*, make the keys of all batches that come.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_EE_DEVICE_H
#define DOT2HSM_APPS_DOT2HSM_EE_DEVICE_H

#include "apps/app.h"
#include "apps/dot2hsm/json.h"
#include "protocol/dot2/crl.h"
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
#define DEVICE_PSEUDONYMS 8
#define DEVICE_IDENTIFICATIONS 16
#define DEVICE_BOOT_ID 40
#define DEVICE_BATCHES 192 /* that are installed at most: years of pseudonym certificates */

enum device_kind {
    DEVICE_APPLICATION = 0,
    DEVICE_PSEUDONYM,
    DEVICE_IDENTIFICATION,
    DEVICE_KINDS
};

/* A request, until its first file is there. Times are Time32. */
struct device_request {
    char id[DEVICE_ID];  /* "" = none */
    unsigned hash_count; /* bodies that were signed for it; the RA may have any of them */
    char hashes[DEVICE_HASHES][DEVICE_ID];
    bool refused[DEVICE_HASHES]; /* by an answer of the RA's: the least likely to be the one */
    char acked[DEVICE_ID];       /* the one that the RA has acknowledged; "" = none */
    uint32_t download_time;      /* certDLTime */
    uint32_t made;
    char enrollment[DEVICE_ID]; /* HashedId8 of the certificate that it is made under */
};

/* What the RA delivers on a request for butterfly keys, batch after batch. */
struct device_order {
    char id[DEVICE_ID];   /* of its keys; "" = none */
    char hash[DEVICE_ID]; /* by which its files are called */
    char enrollment[DEVICE_ID];
    uint32_t made;
    uint32_t next; /* i of the batch that is expected next */
    uint32_t due;  /* when it is looked for */
};

struct device_batch {
    enum device_kind kind;
    char id[DEVICE_ID];
    uint32_t i, count;
    uint32_t start, end; /* the first and the last second of any certificate */
};

struct device_state {
    char certificate[64]; /* file name in the state directory; "" = none */
    char key[512];        /* URI of its key */
    char obsolete[2200];  /* URIs of keys in a token that are to be deleted, blanks between */
    struct device_request requests[DEVICE_KINDS];
    struct device_order orders[DEVICE_KINDS]; /* none of DEVICE_APPLICATION */
    struct device_batch batches[DEVICE_BATCHES];
    unsigned batch_count;
    char policy_name[256], chain_name[256];
    char request_policy[64]; /* of the policy that the application request was made under */
    unsigned changed;        /* what the hook has not been told yet */
    unsigned failure_count;
    int64_t failures[DEVICE_FAILURES]; /* Unix times of the last ones, oldest first */
    unsigned in_a_row;                 /* failures since the last success */
    int64_t last_error_time, last_sync;
    /* By which the times above are told when the clock has been set since. */
    char boot[DEVICE_BOOT_ID];
    int64_t clock_offset; /* seconds from CLOCK_BOOTTIME to the clock */
    bool moved;           /* they were, and are not on disk yet */
    char last_error[320];
};

struct device {
    struct app_provider provider;
    CONF *conf;
    char *dir;
    const char *anchors, *certificates, *ra_path, *certificate_path, *key_uri;
    const char *application_token, *response_token, *hook, *crl_url, *header;
    const char *policy_signer; /* the policy generator's certificate; NULL: TLS vouches */
    unsigned renew_before;     /* hours */
    bool renew_before_set;     /* else the policy's overlap, if there is one */
    unsigned seed_lifetime;    /* days */
    bool wants[DEVICE_KINDS];
    bool explicit_enrollment;
    bool assemble;             /* assemble-key-on-host */
    enum dot2_ballots ballots; /* elector-ballot */
    struct ee_config config;
    OSSL_LIB_CTX *libctx;
    dot2_crypto *crypto;
    dot2_cert *enrollment, *ra;
    EVP_PKEY *enrollment_key;
    dot2_trust *trust;
    unsigned crl_left; /* installed lists that could not be put into the trust, and why */
    char crl_why[400];
    bool clock_checked;   /* against the RA's, in this round */
    int64_t clock_offset; /* what it was then */
    int lock;
    struct device_state state;
};

/* All of these return an enum app_exit and say why on stderr. */

/* ---- ee_device.c ---- */
/* Can the kinds that are wanted have their keys where application-token says? */
int device_check_kinds(const struct device *device);
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

/* ---- ee_chain.c: the local certificate chain file ---- */
/*
 * Adds what chains to an anchor, at time32, to the trust; the others, among them roots that are no
 * anchors, are counted in *left (may be NULL). APP_REFUSED: not a chain file. Whichever RA it is
 * for: the anchors vouch.
 */
int device_chain_load(const struct device *device, dot2_trust *trust, const char *path,
                      uint32_t time32, unsigned *added, unsigned *left);

/*
 * An installed chain file that cannot be read as one, by these settings, is removed: that is no
 * reason to stop, but to fetch it anew.
 */
int device_chain_mend(const struct device *device);

struct device_chain_info {
    unsigned gccf, lccf; /* versions */
    char host[256];      /* raHostname, */
    bool is_ours;        /* and it is that of ra-url */
};
/* What a local certificate chain file says of itself; false if it is none. */
bool device_chain_info(const struct device *device, const char *path,
                       struct device_chain_info *info);

/* ---- ee_state.c ---- */
/* The lock, without waiting: APP_REFUSED if another process has it. */
int device_lock(struct device *device);
/* A directory without a state gives an empty one. */
int device_state_load(struct device *device);
int device_state_save(struct device *device);
/* Removes what a killed run has left. Under the lock. */
int device_clean(struct device *device);
/* Notes a key for deletion; the caller saves the state. A key in a file is no concern of this. */
void device_obsolete(struct device *device, const char *uri);

/* ---- ee_clock.c: the clock, and the limits ---- */
/*
 * Now, as Time32. APP_REFUSED if the clock is impossible, or has jumped since device_clock_check().
 * What deletes, gives up or asks anew by the time takes it from here.
 */
int device_now(const struct device *device, uint32_t *now);
/*
 * Compares the clock with the Date of an answer of the RA's (Unix time). APP_REFUSED, counted as a
 * failure, if they are too far apart. 0, an RA that does not say, is no objection.
 */
int device_clock_check(struct device *device, int64_t date);
/* Seconds of a clock that nobody sets. */
int64_t device_boot_seconds(void);
/* Moves what the state has of the past by as much as the clock has been set since. */
void device_follow_clock(struct device_state *s);
/* May the RA be contacted now? APP_REFUSED after the limit. Sleeps up to DEVICE_PAUSE. */
int device_may_try(struct device *device);
int device_failed(struct device *device, const char *what);
int device_succeeded(struct device *device);
/* Unix time at which the limit lets the next try through; 0 = now. */
int64_t device_limit_ends(struct device *device);

/* ---- ee_keys.c ---- */
enum device_key {
    DEVICE_KEY_VERIFY = 0,
    DEVICE_KEY_RESPONSE
};
/* A key of the request id, made if it is not there. uri has room for 512. */
int device_key_make(struct device *device, enum device_kind kind, const char *id,
                    enum device_key which, char *uri);
/* Its URI. */
int device_key_uri(const struct device *device, enum device_kind kind, const char *id,
                   enum device_key which, char *uri);
/* The URI of a key of this name in a token that is given by its URI. */
int device_token_uri(const char *token, const char *name, char *uri);
/* Deletes a key of ours that is in a token; one that is gone is no error. */
int device_key_delete(struct device *device, const char *uri);
/* Whether there is no such key, for certain: a token that cannot be asked does not say so. */
bool device_key_gone(struct device *device, const char *uri);
/* A software key as PKCS #8 PEM, mode 0600. */
int device_key_write(const struct device *device, const char *path, EVP_PKEY *key);
/* Deletes what a killed run has left unfinished in a token under a name that is ours alone. */
int device_leftovers_delete(struct device *device, const char *uri);
/* A key in a token by its URI, if there is none; usage is a set of enum p11_usage. */
int device_token_key_make(struct device *device, const char *uri, unsigned usage);

/* ---- ee_install.c ---- */
/*
 * The zip file of the request under way: opened, verified, installed. Where the certificate begins
 * later than now and the installed one is still good, that one stays, and the request with it: its
 * download_time is when to look again.
 */
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

/* ---- ee_request.c: requests of every kind ---- */
struct device_kind_info {
    const char *name;    /* "pseudonym" */
    const char *service; /* of the downloads, ee_service_find() */
    enum scms_provision provision;
    unsigned changed; /* the bit that the hook is told by */
};
const struct device_kind_info *device_kind_info(enum device_kind kind);
/* A new one takes the place of the one that is there; the state is saved. */
int device_request_new(struct device *device, enum device_kind kind);
/* Its keys in a token are noted for deletion; the caller saves the state. */
void device_request_forget(struct device *device, enum device_kind kind);
/* One body, signed and encrypted, and its acknowledgement, which the state then has. */
int device_request_send(struct device *device, enum device_kind kind, ee_tbs_fn *build, void *arg);
/* The file NAME of the service, by an authenticated download; output has room for DEVICE_PATH. */
enum ee_status device_fetch(struct device *device, const char *service, const char *name,
                            const char *as, uint64_t max, char *output, struct ee_error *error);
/*
 * Bodies were sent and no ack came: whose first file is there? *found: acked is set and saved.
 * look asks for the file of one hash. Where none has come for DEVICE_GIVE_UP, a new request is in
 * the place of the old one.
 */
typedef enum ee_status device_look_fn(struct device *device, enum device_kind kind,
                                      const char *hash, char *output, struct ee_error *error);
int device_request_find(struct device *device, enum device_kind kind, device_look_fn *look,
                        char *output, bool *found);
/*
 * Seconds after certDLTime after which a file that did not come is no longer waited for, and after
 * which a request without an ack is made anew.
 */
#define DEVICE_GIVE_UP 86400

/* ---- ee_policy.c ---- */
/* May this policy file be installed? Signature, RA, and not older than the one installed. */
int device_policy_check(struct device *device, const char *path);
/* Is the installed one of the RA of ra-url? One that names no RA may be. */
bool device_policy_is_ours(const struct device *device);
/* What the installed one says now; all zero and false if there is none. */
bool device_policy(const struct device *device, struct scms_policy *policy);
/* APP_REFUSED if it asks for an SCMS version that is not spoken here. */
int device_policy_version(const struct device *device);
/* Seconds before its end at which a certificate is renewed. */
uint32_t device_renew_before(const struct device *device);
/* Whether what a request is made of has changed since it was remembered (use case 13.3). */
void device_policy_remember(struct device *device);
bool device_policy_changed(const struct device *device);
/* Is it longer ago than the policy allows that the files were fetched? */
bool device_policy_overdue(const struct device *device);
void device_policy_print(const struct device *device);
void device_policy_json(const struct device *device, struct json *json);

/* ---- ee_provision.c ---- */
/*
 * The requests of all kinds that are wanted and their downloads, as far as they go now. *due: Unix
 * time of the next step that a run waits for, 0 = none: what is wanted is there.
 */
int device_provision(struct device *device, int64_t *due);
/* Is a new application certificate needed? */
bool device_wants_certificate(struct device *device, char *why, size_t size);

/* What the next run does about a kind: a sentence without its full stop; needed: anything. */
void device_next_step(struct device *device, enum device_kind kind, char *text, size_t size,
                      bool *needed);

/* ---- ee_order.c: pseudonym and identification certificates ---- */
int device_order_step(struct device *device, enum device_kind kind, int64_t *due);
/* Is a new request needed? */
bool device_wants_order(struct device *device, enum device_kind kind, char *why, size_t size);
/* The batch that is valid at time32, the newest of several; NULL = none. */
const struct device_batch *device_batch_at(const struct device_state *s, enum device_kind kind,
                                           uint32_t time32);
/* "pseudonym-ID-I"; name has room for 64. */
const char *device_batch_name(const struct device_batch *batch, char name[64]);

/* ---- ee_seeds.c: the seeds of an order ---- */
struct device_seeds {
    EVP_PKEY *verify, *response; /* response may be in a token */
    uint8_t verify_expansion[16], response_expansion[16];
};
/* Made if they are not there; seeds is cleared by device_seeds_clear() in any case. */
int device_seeds_make(struct device *device, enum device_kind kind, const char *id,
                      struct device_seeds *seeds);
int device_seeds_open(struct device *device, enum device_kind kind, const char *id,
                      struct device_seeds *seeds);
void device_seeds_clear(struct device_seeds *seeds);

/* ---- ee_batch.c ---- */
/* Certificates of one batch at most; a zip file with more is refused. */
#define DEVICE_BATCH_MAX 256
#define DEVICE_ZIP_MAX (16u << 20)
/*
 * The zip file of the batch i of an order: every certificate opened, verified and put in place with
 * its key, or none. *batch is what the state is to say; *over: its time is over, nothing is there.
 */
int device_batch_install(struct device *device, const struct device_batch *wanted, const char *hash,
                         const char *zip, struct device_batch *batch, bool *over);
/* A batch that is to be gone; one that is not there is no error. */
int device_batch_delete(struct device *device, const char *name);
/* The numbers j of its certificates, at most DEVICE_BATCH_MAX; *count of them. */
int device_batch_list(const struct device *device, const struct device_batch *batch,
                      uint32_t list[DEVICE_BATCH_MAX], size_t *count);
/* The certificate j and the URI of its key; uri has room for 512. */
int device_batch_open(struct device *device, const struct device_batch *batch, uint32_t j,
                      dot2_cert **cert, char *uri);

/* ---- cmd_ee_*.c ---- */
int ee_sync_command(int argc, char **argv);
int ee_status_command(int argc, char **argv);
int ee_sign_command(int argc, char **argv);
int ee_enroll_command(int argc, char **argv);

#endif
