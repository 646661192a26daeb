/*
 * ra.h: the registration authority: its store, its decision, its server.
 *
 * The decision (ra_authorise_download) is a function of octets, clock, trust and store: no socket,
 * no file. The store holds what outlives a request. The server turns HTTPS into calls of the two
 * and answers with files of one directory.
 */
#ifndef DOT2HSM_PROTOCOL_RA_RA_H
#define DOT2HSM_PROTOCOL_RA_RA_H

#include "protocol/scms/scms.h"

/* ---- store.c ------------------------------------------------------------------------------------
 */

typedef struct ra_store ra_store;

enum ra_store_status {
    RA_STORE_OK = 0,
    RA_STORE_NOT_FOUND,
    RA_STORE_EXISTS,
    RA_STORE_UNAVAILABLE, /* cannot be reached, locked for too long, disk full, no memory */
    RA_STORE_SCHEMA,      /* made by a newer version */
    RA_STORE_ARGUMENT
};
const char *ra_store_status_text(enum ra_store_status status);

/*
 * spec is "sqlite:/path/to/file" or a bare path, or "postgresql:" and a connection string of libpq,
 * or a URI "postgresql://...". Creates the file (mode 0600), or the database's schema "dot2hsm",
 * when missing and create is set; migrates an older schema. Thread-safe. text gets one sentence on
 * failure, which never has a password in it.
 */
enum ra_store_status ra_store_open(const char *spec, bool create, ra_store **store, char *text,
                                   size_t text_size);
void ra_store_close(ra_store *store);
/* One sentence on the last failure of any thread, for a log. */
void ra_store_last_error(ra_store *store, char *text, size_t text_size);
struct ra_store_counts {
    int64_t schema; /* version of the tables */
    int64_t blacklist, files, ecas;
    int64_t pending, ready, failed; /* requests */
    int64_t oldest_pending;         /* when it was received, Unix time; 0: none is pending */
};
/* Goes through whole tables: for an operator, not for a request. */
enum ra_store_status ra_store_count(ra_store *store, struct ra_store_counts *counts);
/* How many calls got no answer from the store (RA_STORE_UNAVAILABLE) since it was opened. */
uint64_t ra_store_errors(const ra_store *store);

/*
 * Blacklist entries. An entry is a certificate's whole hash (SHA-256 or SHA-384 of its canonical
 * form), or the last 10 octets of it (HashedId10), or the last 8 (HashedId8). One entry is enough
 * for both forms of an explicit certificate: both are looked up at check time.
 */
enum ra_blacklist_kind {
    RA_BLACKLIST_HASHEDID8 = 8,
    RA_BLACKLIST_HASHEDID10 = 10,
    RA_BLACKLIST_SHA256 = 32,
    RA_BLACKLIST_SHA384 = 48
};
struct ra_blacklist_entry {
    enum ra_blacklist_kind kind; /* also the number of octets in id */
    uint8_t id[48];
    int64_t added;     /* Unix time */
    char comment[128]; /* UTF-8, may be "" */
};
enum ra_store_status ra_blacklist_add(ra_store *store, const struct ra_blacklist_entry *entry);
enum ra_store_status ra_blacklist_remove(ra_store *store, const struct ra_blacklist_entry *entry);
/* Calls each for every entry, oldest first, until it returns false. */
enum ra_store_status ra_blacklist_each(ra_store *store,
                                       bool (*each)(void *arg, const struct ra_blacklist_entry *),
                                       void *arg);
/*
 * RA_STORE_OK = is on the list, by any of count whole hashes of hash_size octets each;
 * RA_STORE_NOT_FOUND = is not. Anything else: no verdict, and the request must be refused.
 */
enum ra_store_status ra_blacklist_check(ra_store *store, const uint8_t (*hashes)[48],
                                        size_t hash_size, size_t count);

/*
 * Who may download which file. Names are compared without case; requester is the whole hash of an
 * enrollment certificate (canonical form).
 */
/* EXISTS: the file is another requester's. The same assignment again is RA_STORE_OK. */
enum ra_store_status ra_file_assign(ra_store *store, const char *filename, const uint8_t *requester,
                                    size_t requester_size);
enum ra_store_status ra_file_unassign(ra_store *store, const char *filename);
/* Calls each for every file, by name, until it returns false. */
enum ra_store_status ra_file_each(ra_store *store,
                                  bool (*each)(void *arg, const char *filename,
                                               const uint8_t *requester, size_t requester_size),
                                  void *arg);
/*
 * RA_STORE_OK: the file is the requester's (any of the hashes). RA_STORE_EXISTS: it is another
 * device's. RA_STORE_NOT_FOUND: no such file is known.
 */
enum ra_store_status ra_file_check(ra_store *store, const char *filename, size_t filename_size,
                                   const uint8_t (*hashes)[48], size_t hash_size, size_t count);

/*
 * All that a decision asks of the store, at once: what ra_blacklist_check(), ra_eca_check() and
 * ra_file_check() answer, of one state of the store and for the price of one of them.
 */
struct ra_store_question {
    const uint8_t (*hashes)[48]; /* whole hashes of the requester's certificate, one or two */
    size_t hash_size, count;
    const uint8_t *eca;   /* its issuer's HashedId8; NULL: not asked */
    const char *filename; /* filename_size octets; NULL: not asked */
    size_t filename_size;
};
struct ra_store_answer {
    bool blacklisted;
    bool eca_served;           /* if it was asked */
    enum ra_store_status file; /* if it was asked: as ra_file_check() */
};
/* RA_STORE_OK: there is an answer. Anything else: the request must be refused. */
enum ra_store_status ra_store_ask(ra_store *store, const struct ra_store_question *question,
                                  struct ra_store_answer *answer);

/* ---- store_request.c: accepted provisioning requests -------------------------------------------
 */

enum ra_request_state {
    RA_REQUEST_PENDING = 0, /* accepted and acknowledged; no CA has answered yet */
    RA_REQUEST_READY,       /* its file can be downloaded */
    RA_REQUEST_FAILED       /* the CA refused it; the reason is in detail */
};

/* One accepted request. Octets are owned by who hands the structure over. */
struct ra_request {
    uint8_t hash[32]; /* SHA-256 of the body that was posted; its last 8 octets are the
                         requestHash by which the device downloads */
    enum scms_provision kind;
    uint8_t requester[48]; /* whole hash of the enrollment certificate, canonical */
    size_t requester_size;
    uint8_t verify_key[33]; /* compressed point: verify-key, or the seed key of verify-key-info */
    const uint8_t *certificate; /* the enrollment certificate as received */
    size_t certificate_size;
    const uint8_t *signed_request; /* the Signed...Request, decrypted */
    size_t signed_request_size;
    char permissions[256];  /* what outstanding requests of one device may not share: PSIDs
                               with their SSPs in hexadecimal, sorted, as one string */
    int64_t received;       /* Unix time */
    uint32_t download_time; /* certDLTime, Time32 */
    enum ra_request_state state;
    char detail[128];
};

/* What makes a request one too many. */
struct ra_request_limits {
    int64_t retention;     /* seconds for which a requestHash is remembered */
    unsigned max_requests; /* of one requester within window, accepted or not; 0 = no limit */
    int64_t window;        /* seconds */
    bool one_application;  /* one outstanding application request per PSID/SSP (5056) */
};

enum ra_request_verdict {
    RA_REQUEST_ACCEPTED = 0,
    RA_REQUEST_DUPLICATE, /* 5057: this hash, or this verify key of this requester, within
                             retention or still pending */
    RA_REQUEST_MULTIPLE,  /* 5056 */
    RA_REQUEST_TOO_MANY   /* 5071 */
};

/*
 * Decides and records in one transaction, so that two nodes with one database accept a request
 * once. When it returns RA_STORE_OK with RA_REQUEST_ACCEPTED, the request is durable: it survives
 * kill -9 and a loss of power. A refused try counts for max_requests.
 */
enum ra_store_status ra_request_accept(ra_store *store, const struct ra_request *request,
                                       const struct ra_request_limits *limits,
                                       enum ra_request_verdict *verdict);
/* Counts a refused try that did not come as far as ra_request_accept() (bad signature, ...). */
enum ra_store_status ra_request_count_try(ra_store *store, const uint8_t *requester,
                                          size_t requester_size, int64_t now);
/* RA_STORE_OK and *too_many. */
enum ra_store_status ra_request_tries(ra_store *store, const uint8_t *requester,
                                      size_t requester_size, int64_t now,
                                      const struct ra_request_limits *limits, bool *too_many);
/*
 * The requests in a state, oldest first, until each returns false. The octets are valid during the
 * call. each may call ra_request_finish() and ra_file_assign().
 */
enum ra_store_status ra_request_each(ra_store *store, enum ra_request_state state,
                                     bool (*each)(void *arg, const struct ra_request *request),
                                     void *arg);
/*
 * From pending (or ready, for a batch that goes on) to ready or failed. RA_STORE_NOT_FOUND: no such
 * request; RA_STORE_EXISTS: it has failed already.
 */
enum ra_store_status ra_request_finish(ra_store *store, const uint8_t hash[32],
                                       enum ra_request_state state, const char *detail);
/* RA_STORE_OK: known, with its state; by the last 8 octets of the hash. */
enum ra_store_status ra_request_find(ra_store *store, const uint8_t request_hash[8],
                                     enum ra_request_state *state, uint8_t requester[48],
                                     size_t *requester_size);

/*
 * ECA whitelist: HashedId8 of the ECAs whose enrollment certificates are served. An empty list
 * serves all that chain to an anchor.
 */
enum ra_store_status ra_eca_add(ra_store *store, const uint8_t hashedid8[8], const char *comment);
enum ra_store_status ra_eca_remove(ra_store *store, const uint8_t hashedid8[8]);
enum ra_store_status
ra_eca_each(ra_store *store,
            bool (*each)(void *arg, const uint8_t hashedid8[8], const char *comment), void *arg);
/* RA_STORE_OK = served (on the list, or the list is empty); RA_STORE_NOT_FOUND = not. */
enum ra_store_status ra_eca_check(ra_store *store, const uint8_t hashedid8[8]);

/* ---- keys.c: the RA's own 1609.2 certificates ---------------------------------------------------
 */

/* One certificate with its private keys; the structure holds no references of its own. */
struct ra_key {
    dot2_cert *cert;   /* explicit, with an encryption key */
    EVP_PKEY *sign;    /* NULL: a certificate under which requests still arrive, but nothing is
                          signed any more */
    EVP_PKEY *decrypt; /* of its encryption key */
};

typedef struct ra_keys ra_keys;

/*
 * Takes references, and checks each key: that it belongs to its certificate (DOT2_E_KEY_MISMATCH)
 * and that the one for decryption can derive (DOT2_E_PROVIDER, with the reason); *which gets the
 * index of the one that has the error. At least one is needed (DOT2_E_ARGUMENT). Thread-safe once
 * made.
 */
enum dot2_status ra_keys_new(const dot2_crypto *crypto, const struct ra_key *list, size_t count,
                             ra_keys **keys, size_t *which, struct dot2_error *error);
ra_keys *ra_keys_up_ref(ra_keys *keys);
void ra_keys_free(ra_keys *keys);
/* For scms_secured_open(): all of them. */
const struct scms_ra_key *ra_keys_decrypt(const ra_keys *keys, size_t *count);
/* Of those with a key that signs and valid now, the one whose validity began last; or NULL. */
const struct ra_key *ra_keys_newest(const ra_keys *keys, uint32_t now);

/* ---- reason.c, authorise.c, provision.c ---------------------------------------------------------
 */

/* Why a request was refused, for the log; the peer sees at most the published code. */
enum ra_reason {
    RA_ALLOWED = 0,
    RA_HEADER_MISSING,
    RA_HEADER_TOO_LONG,
    RA_HEADER_BASE64,
    RA_REQUEST_ENCRYPTED, /* the Secured form, where there is no key for it */
    RA_REQUEST_MALFORMED, /* not the COER of a Signed...Request */
    RA_SIGNER,            /* signer is not exactly one certificate */
    RA_BLACKLISTED,
    RA_CERTIFICATE, /* any failure of the chain; error says which */
    RA_TIME,        /* time stamp outside the tolerance */
    RA_SIGNATURE,
    RA_FILENAME, /* not a file name of this service */
    RA_FILE_UNKNOWN,
    RA_FILE_OF_ANOTHER,
    RA_STORE, /* the store gave no verdict */
    RA_INTERNAL,
    RA_NOT_ENCRYPTED, /* the Signed form, where the Secured one is required */
    RA_NOT_RECIPIENT, /* encrypted to another RA, or to a certificate that we have no more */
    RA_DECRYPT,       /* altered, or encrypted for another certificate (P1) */
    RA_ECA,           /* the ECA that issued the certificate is not one of those served */
    RA_PDU,           /* a request, but not the one of this service */
    RA_REQUEST_KEY,   /* a key in it is not on its curve */
    RA_PERMISSION,    /* the certificate may not ask for what this service gives */
    RA_START_TIME,    /* requested-start-time outside the policy */
    RA_DUPLICATE,
    RA_MULTIPLE,
    RA_TOO_MANY
};
const char *ra_reason_name(enum ra_reason reason);

struct ra_authorise { /* everything the decision depends on */
    const dot2_crypto *crypto;
    dot2_trust *trust;
    ra_store *store;
    uint32_t now;       /* Time32 */
    uint32_t tolerance; /* seconds, both directions; default 5 (SCMS-1203, see docs) */
    size_t max_header;  /* octets of Download-Req; default 8192 */
    ra_keys *keys;      /* NULL: Secured forms are not served */
    bool require_secured;
};

enum ra_service {               /* the authenticated downloads; they differ in their file names */
    RA_APPLICATION_CERTIFICATE, /* <16 hex>.zip */
    RA_IDENTITY_CERTIFICATE,    /* <16 hex>_<1 to 8 hex>.zip */
    RA_BATCH,                   /* <16 hex>_<1 to 8 hex>.zip */
    RA_INFO                     /* <16 hex>.info */
};

struct ra_decision {
    enum ra_reason reason;
    int code;                /* enum scms_error_code; 0 if allowed */
    struct dot2_error error; /* field, offset and sentence for the log */
    uint8_t hashedid8[8];    /* of the enrollment certificate, if it could be decoded */
    bool has_hashedid8;
    uint32_t timestamp;    /* of the request, if it could be decoded */
    char filename[64];     /* hex in upper case, extension in lower case, if allowed */
    char request_hash[17]; /* of a provisioning request that was accepted: upper-case hex */
};

/*
 * header is the value of Download-Req. In the seed's order: blacklist, certificate, time,
 * signature; then: is this file the requester's. Returns decision->reason.
 */
enum ra_reason ra_authorise_download(const struct ra_authorise *in, enum ra_service service,
                                     const char *header, size_t header_size,
                                     struct ra_decision *decision);

/* What a provisioning request is measured by, besides struct ra_authorise. Only psids may be NULL.
 */
struct ra_provision {
    uint32_t start_past;   /* seconds that requested-start-time may lie before now */
    uint32_t start_future; /* and after now */
    /* What the policy file sets besides; seconds, 0 = it says nothing. */
    uint32_t max_request_age; /* MaxCertRequestAge: that current-time may lie before now */
    uint32_t max_supply; /* MaxAvailableCertSupply: that requested-start-time may lie after now */
    uint32_t certificate_delay; /* seconds from now to certDLTime */
    const char *url;            /* certDLURL, at most 255 octets */
    const uint64_t *psids;      /* those that this service gives certificates for; */
    size_t psid_count;          /* 0 = all that the enrollment certificate may ask for */
    struct ra_request_limits limits;
};

/*
 * body is a Secured...ProvisioningRequest of this kind. Opens it, then in the order of
 * ra_authorise_download: blacklist, certificate, ECA, time, signature; then the tries of the
 * device, the PDU and its keys, permissions, start time; signs the ack; and last, has the store
 * accept the request, which is durable when RA_ALLOWED is returned. The ack comes before the store:
 * a token that fails must not leave a request that was accepted and never acknowledged.
 * *ack, OPENSSL_free'd by the caller, is NULL unless allowed. A refusal after the signature was
 * found good counts as a try.
 */
enum ra_reason ra_authorise_provision(const struct ra_authorise *in,
                                      const struct ra_provision *provision,
                                      enum scms_provision kind, const uint8_t *body, size_t size,
                                      struct ra_decision *decision, uint8_t **ack,
                                      size_t *ack_size);

/* ---- server.c, http.c, tls.c
 * ------------------------------------------------------------------------ */

typedef struct ra_server ra_server;
struct ssl_ctx_st;

enum ra_stage {
    RA_STAGE_PROD = 0,
    RA_STAGE_QA
};
enum ra_on_auth_failure {
    RA_ANSWER = 0,
    RA_CLOSE
};

/* What is served where; the path of each can be configured. */
enum ra_route {
    RA_ROUTE_NONE = 0,
    RA_ROUTE_APPLICATION,         /* /download/application-certificate */
    RA_ROUTE_IDENTITY,            /* /download/identity-certificate */
    RA_ROUTE_BATCH,               /* /download/batch */
    RA_ROUTE_INFO,                /* /download/info */
    RA_ROUTE_POLICY,              /* /download/policy/local */
    RA_ROUTE_CHAIN,               /* /download/local-certificate-chain */
    RA_ROUTE_PROVISION_APP,       /* /provision-application-certificate */
    RA_ROUTE_PROVISION_ID,        /* /provision-identity-certificate */
    RA_ROUTE_PROVISION_PSEUDONYM, /* /provision-pseudonym-certificate-batch */
    RA_ROUTE_RA_CERTIFICATE,      /* /retrieve-ra-certificate */
    RA_ROUTE_CRL,                 /* /download-crl/, with the last slash or without */
    RA_ROUTES
};
/* The default path. */
const char *ra_route_path(enum ra_route route);

/* One event of the server for the operator's log: key=value pairs, already escaped. */
typedef void ra_log_fn(void *arg, int syslog_priority, const char *line);

struct ra_server_config {     /* strings are copied; 0 or NULL = the default in brackets */
    const char *address;      /* numeric [all, IPv6 and IPv4] */
    uint16_t port;            /* 0 = any free one, ra_server_port() tells */
    unsigned threads;         /* event loops on SO_REUSEPORT [two for each processor] */
    const char *download_dir; /* files of authenticated services, flat */
    const char *policy_file;  /* served at /download/policy/local [not served] */
    const char *chain_file;   /* served at /download/local-certificate-chain [not served] */
    enum ra_stage stage;
    enum ra_on_auth_failure on_auth_failure;
    uint32_t tolerance;       /* seconds; UINT32_MAX = [5] */
    size_t max_header;        /* octets of Download-Req [8192] */
    size_t max_headers;       /* octets of all headers [16384] */
    size_t max_body;          /* octets [65536] */
    unsigned header_deadline; /* seconds for the TLS handshake and the headers [10] */
    unsigned body_deadline;   /* seconds [30] */
    unsigned idle_timeout;    /* seconds between requests [60] */
    unsigned write_deadline;  /* seconds in which 16384 octets of an answer, or its end, must have
                                 left for the peer [60] */
    unsigned stop_deadline;   /* seconds that open requests have after ra_server_stop() [30] */
    unsigned max_connections; /* in all [10000] */
    unsigned max_per_address; /* from one address [100] */
    ra_log_fn *log;
    void *log_arg;

    ra_keys *keys;        /* a reference is taken; NULL = Secured forms and POST are not served */
    bool require_secured; /* of downloads; provisioning requests always are */
    const char *paths[RA_ROUTES]; /* NULL = the default */
    /* certDLURL is this and the path of the download. At most 255 octets in all. NULL =
     * "https://NAME:PORT" with the name in the newest certificate of keys. */
    const char *url_base;
    /* Of all kinds of requests; url and psids are taken from what follows and url_base. */
    struct ra_provision provision;
    const uint64_t *psids[SCMS_PROVISION_APP + 1]; /* by enum scms_provision */
    size_t psid_counts[SCMS_PROVISION_APP + 1];
    /* Not NULL: this is the MA's file service, which serves this file at RA_ROUTE_CRL and nothing
     * else; it needs no download_dir, trust or store. */
    const char *crl_file;
};

/* The defaults of struct ra_provision: start time from 24 hours ago to 30 days ahead, certificates
 * an hour later, 10 requests in 3600 s, hashes remembered for 30 days, one application request. */
struct ra_provision ra_provision_default(void);

/*
 * tls is set up by the caller (see ra_tls_new). The server keeps references. text gets one sentence
 * on failure; NULL is returned then.
 */
ra_server *ra_server_new(const struct ra_server_config *config, dot2_crypto *crypto,
                         struct ssl_ctx_st *tls, dot2_trust *trust, ra_store *store, char *text,
                         size_t text_size);
uint16_t ra_server_port(const ra_server *server);
/* Runs until ra_server_stop(); open requests are finished first. 0 or -1. */
int ra_server_run(ra_server *server);
/* From any thread, not from a signal handler. */
void ra_server_stop(ra_server *server);
/* policy_file and chain_file as in the configuration. 0, or -1 with one sentence in text. */
int ra_server_set_files(ra_server *server, const char *policy_file, const char *chain_file,
                        char *text, size_t text_size);
/* max_request_age and max_supply of struct ra_provision, for the requests that come from now on. */
void ra_server_set_policy_limits(ra_server *server, uint32_t max_request_age, uint32_t max_supply);
void ra_server_set_trust(ra_server *server, dot2_trust *trust);
void ra_server_set_tls(ra_server *server, struct ssl_ctx_st *tls);
/* keys may be NULL only if they were from the start. 0, or -1 with one sentence in text. */
int ra_server_set_keys(ra_server *server, ra_keys *keys, char *text, size_t text_size);
/* ra_server_set_keys() and ra_server_set_files(), both or neither. */
int ra_server_set_keys_and_files(ra_server *server, ra_keys *keys, const char *policy_file,
                                 const char *chain_file, char *text, size_t text_size);
void ra_server_free(ra_server *server);

/*
 * Appends the figures of these servers, added up, to out, in Prometheus' text format (0.0.4). They
 * have one store, or none. From any thread. No label holds what a peer has sent. 0, or -1 without
 * memory.
 */
struct evbuffer;
int ra_server_metrics(ra_server *const *servers, size_t count, struct evbuffer *out);

/*
 * The SSL_CTX of an RA: TLS 1.2 and 1.3, ECDHE-ECDSA with AES-GCM first and AES128-SHA256 allowed,
 * groups X25519, P-256, P-384, tickets on, the chain of a PEM file, and a private key that must
 * match it. NULL on failure, with one sentence in text.
 */
struct ssl_ctx_st *ra_tls_new(OSSL_LIB_CTX *libctx, const char *chain_file, EVP_PKEY *key,
                              char *text, size_t text_size);

/*
 * Staples the OCSP response of a file (DER, with a response about the certificate of tls) for every
 * client that asks for one. The file is read again when it has changed; one that is not such a
 * response leaves the last one in force, and one that is gone leaves none. Before tls is used.
 * 0, or -1 with one sentence in text if the file is not good now.
 */
int ra_tls_set_ocsp(struct ssl_ctx_st *tls, const char *file, char *text, size_t text_size);

#endif
