/**
 * @file ra.h
 * The registration authority's half of the SCMS EE-RA interface (CV Pilots, release 1.2.2). This
 * header is of libdot2hsm-ra, which stands on libdot2hsm.
 *
 * A store holds what outlives a request: blacklist, whose file is which, accepted requests. An RA
 * decides by its store, trust and keys; who has a transport gives it octets, and the server of this
 * library is such a transport. Files to be downloaded are in one directory.
 */
#ifndef DOT2HSM_RA_H
#define DOT2HSM_RA_H

#include <dot2hsm/keys.h>

#ifdef __cplusplus
extern "C" {
#endif

/** @name The store
 * Its functions may be called by any thread, and by several processes with one store. All of them
 * can answer DOT2HSM_E_STORE: it cannot be reached, is locked for too long, or its disk is full.
 * @{ */
/** An open store: requests, blacklist, served ECAs, who may have which file. */
typedef struct dot2hsm_ra_store dot2hsm_ra_store;

/**
 * "sqlite:/path" or a path; "postgresql:" and a connection string of libpq, or a URI
 * "postgresql://...". create not 0: file (mode 0600) or schema are made if they are missing.
 * DOT2HSM_E_ARGUMENT: not such a text, or made by a newer version.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_store_open(const char *spec, int create,
                                                 dot2hsm_ra_store **store, dot2hsm_error *error);
/** What was made with it keeps it. */
DOT2HSM_API void dot2hsm_ra_store_free(dot2hsm_ra_store *store);

/**
 * Blacklists an enrollment certificate by its whole hash (32 or 48 octets: dot2hsm_cert_hash), or
 * the last 10 or 8 of them. Both forms of its signature, s and n - s, are covered. It counts for
 * the next request. comment: UTF-8 of at most 127 octets, or NULL. To add an entry again is no
 * error.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_blacklist_add(dot2hsm_ra_store *store, const uint8_t *hash,
                                                    size_t size, const char *comment,
                                                    dot2hsm_error *error);
/** DOT2HSM_E_NOT_FOUND. */
DOT2HSM_API dot2hsm_status dot2hsm_ra_blacklist_remove(dot2hsm_ra_store *store, const uint8_t *hash,
                                                       size_t size, dot2hsm_error *error);
/** Calls each for every entry, oldest first, until it returns 0. added is Unix time. */
DOT2HSM_API dot2hsm_status dot2hsm_ra_blacklist_each(dot2hsm_ra_store *store,
                                                     int (*each)(void *arg, const uint8_t *hash,
                                                                 size_t size, int64_t added,
                                                                 const char *comment),
                                                     void *arg, dot2hsm_error *error);

/**
 * Says whose a file is: requester is the whole hash of an enrollment certificate. The same again is
 * no error. Names are such as "AB09281C9867DE53.zip", and compared without case. DOT2HSM_E_EXISTS:
 * it is another requester's.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_file_assign(dot2hsm_ra_store *store, const char *filename,
                                                  const uint8_t *requester, size_t size,
                                                  dot2hsm_error *error);
/** Nobody's from now on. DOT2HSM_E_NOT_FOUND. */
DOT2HSM_API dot2hsm_status dot2hsm_ra_file_unassign(dot2hsm_ra_store *store, const char *filename,
                                                    dot2hsm_error *error);
/** Calls each for every file, by name, until it returns 0. */
DOT2HSM_API dot2hsm_status dot2hsm_ra_file_each(dot2hsm_ra_store *store,
                                                int (*each)(void *arg, const char *filename,
                                                            const uint8_t *requester, size_t size),
                                                void *arg, dot2hsm_error *error);

/** A request that was accepted and waits for a CA; valid during the call. */
struct dot2hsm_ra_request {
    int kind;                   /**< DOT2HSM_RA_APPLICATION, ... */
    const uint8_t *hash;        /**< 32 octets; the last 8 are the requestHash */
    const uint8_t *request;     /**< the Signed...Request, decrypted */
    size_t request_size;        /**< octets */
    const uint8_t *certificate; /**< the enrollment certificate, as received */
    size_t certificate_size;    /**< octets */
    const uint8_t *requester;   /**< its whole hash */
    size_t requester_size;      /**< 32 or 48 */
    int64_t received;           /**< Unix time */
    uint32_t download_time;     /**< certDLTime, Time32 */
};
/** Calls each for every request that is pending, oldest first, until it returns 0. */
DOT2HSM_API dot2hsm_status dot2hsm_ra_request_each(
    dot2hsm_ra_store *store, int (*each)(void *arg, const struct dot2hsm_ra_request *request),
    void *arg, dot2hsm_error *error);
/**
 * What became of a request: failure NULL, its file is there and assigned; else why the CA refused
 * it, at most 127 octets. May be called by each. DOT2HSM_E_NOT_FOUND. DOT2HSM_E_EXISTS: it has
 * failed before.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_request_finish(dot2hsm_ra_store *store,
                                                     const uint8_t hash[32], const char *failure,
                                                     dot2hsm_error *error);
/** @} */

/** @name The decision
 * @{ */
/** Whom an RA trusts, its keys, and how it decides. */
typedef struct dot2hsm_ra dot2hsm_ra;

/** How an RA decides. */
struct dot2hsm_ra_options {
    size_t size;                /**< sizeof(struct dot2hsm_ra_options) */
    unsigned tolerance;         /**< seconds that a request's time may be off; 0 = 5 */
    int require_secured;        /**< not 0: download requests must be encrypted (5059) */
    unsigned certificate_delay; /**< seconds from a request to certDLTime; 0 = 3600 */
    unsigned max_requests;      /**< of one device in an hour, refused ones included; 0 = 10 */
};
/**
 * An RA that trusts nobody yet. options may be NULL. It is filled by one thread before it is used;
 * afterwards it takes no more certificates and keys (DOT2HSM_E_ARGUMENT), and a new one is made
 * instead: dot2hsm_ra_server_use().
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_new(dot2hsm_ctx *ctx, dot2hsm_ra_store *store,
                                          const struct dot2hsm_ra_options *options, dot2hsm_ra **ra,
                                          dot2hsm_error *error);
/** NULL is nothing to free; a server that uses it keeps it. */
DOT2HSM_API void dot2hsm_ra_free(dot2hsm_ra *ra);
/** As dot2hsm_trust_add_anchor(). */
DOT2HSM_API dot2hsm_status dot2hsm_ra_add_anchor(dot2hsm_ra *ra, const dot2hsm_cert *cert,
                                                 dot2hsm_error *error);
/** As dot2hsm_trust_add(): the CAs between an anchor and a device. */
DOT2HSM_API dot2hsm_status dot2hsm_ra_add(dot2hsm_ra *ra, const dot2hsm_cert *cert,
                                          dot2hsm_error *error);
/**
 * One of the RA's own certificates, explicit and with an encryption key, with its private keys; at
 * most 16. Requests come to any of them; the newest that has a key that signs and is valid signs
 * acknowledgements. Without any, signed downloads are served and nothing else. sign may be NULL.
 * The keys are tried: DOT2HSM_E_KEY_MISMATCH, and DOT2HSM_E_PROVIDER if the token cannot derive
 * with the one for decryption.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_add_key(dot2hsm_ra *ra, const dot2hsm_cert *cert,
                                              const dot2hsm_key *sign, const dot2hsm_key *decrypt,
                                              dot2hsm_error *error);
/** As dot2hsm_trust_add_crl(), at any time: what is on it is refused from now on. */
DOT2HSM_API dot2hsm_status dot2hsm_ra_add_crl(dot2hsm_ra *ra, const uint8_t *octets, size_t size,
                                              dot2hsm_error *error);

/** Authenticated downloads, which differ in the names of their files, and requests. */
enum dot2hsm_ra_service {
    DOT2HSM_RA_DOWNLOAD_APPLICATION = 1, /**< <16 hex>.zip */
    DOT2HSM_RA_DOWNLOAD_IDENTITY = 2,    /**< <16 hex>_<hex>.zip */
    DOT2HSM_RA_DOWNLOAD_BATCH = 3,       /**< <16 hex>_<hex>.zip */
    DOT2HSM_RA_DOWNLOAD_INFO = 4,        /**< <16 hex>.info */
    DOT2HSM_RA_APPLICATION = 5,          /**< a request for an application certificate */
    DOT2HSM_RA_IDENTITY = 6,             /**< for identification certificates */
    DOT2HSM_RA_PSEUDONYM = 7             /**< for a batch of pseudonym certificates */
};

/** What was decided, and by what; for the answer and for the log. */
struct dot2hsm_ra_decision {
    size_t size;           /**< sizeof(struct dot2hsm_ra_decision) */
    const char *reason;    /**< "allowed", or the word of the log of dot2hsm-ra(8); static */
    int scms_code;         /**< of the RA-EE error table; 0 if allowed */
    int has_hashedid8;     /**< not 0: the enrollment certificate could be decoded */
    uint8_t hashedid8[8];  /**< of it */
    uint32_t timestamp;    /**< of the request, Time32; 0 if it could not be decoded */
    char filename[64];     /**< what may be downloaded, hex in upper case; "" if refused */
    char request_hash[17]; /**< of an accepted request, hex in upper case, else "" */
};

/**
 * Is the download that a header Download-Req asks for allowed, at a time (DOT2HSM_NOW)? In the
 * order of the interface: blacklist, certificate, time, signature; then, whose file is it.
 * DOT2HSM_E_REFUSED: decision says why, and error in detail. What a peer is told is the code at
 * most, and that in stage QA only.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_authorise_download(
    dot2hsm_ra *ra, enum dot2hsm_ra_service service, const char *header, size_t header_size,
    uint32_t time32, struct dot2hsm_ra_decision *decision, dot2hsm_error *error);
/**
 * Is the request of a body that was posted accepted? If it is, it is in the store, durably, and
 * *ack, freed with dot2hsm_free(), is the answer, signed with the newest of the RA's keys. url is
 * the certDLURL in it, at most 255 octets. DOT2HSM_E_REFUSED.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_authorise_request(
    dot2hsm_ra *ra, enum dot2hsm_ra_service service, const uint8_t *body, size_t size,
    const char *url, uint32_t time32, struct dot2hsm_ra_decision *decision, uint8_t **ack,
    size_t *ack_size, dot2hsm_error *error);
/** @} */

/** @name The HTTPS server
 * @{ */
/** A server at work. */
typedef struct dot2hsm_ra_server dot2hsm_ra_server;

/** One line for the operator's log: key=value pairs, escaped. priority is one of syslog(3). */
typedef void dot2hsm_ra_log_fn(void *arg, int priority, const char *line);

/** How it serves; strings are copied. 0 or NULL is what stands in brackets. */
struct dot2hsm_ra_server_options {
    size_t size;                /**< sizeof(struct dot2hsm_ra_server_options) */
    const char *tls_chain;      /**< PEM file: the X.509 certificate and its chain; needed */
    const dot2hsm_key *tls_key; /**< its private key; needed */
    const char *ocsp_file; /**< DER response that is stapled, read again when it changes [none] */
    const char *address;   /**< numeric [all] */
    uint16_t port;         /**< [any free one: dot2hsm_ra_server_port() tells] */
    unsigned threads;      /**< event loops [number of processors] */
    const char *download_dir; /**< files of authenticated services, flat; needed */
    const char *policy_file;  /**< served at /download/policy/local [not served] */
    const char *chain_file;   /**< served at /download/local-certificate-chain [not served] */
    const char *url_base;     /**< certDLURL is this and a path [https://NAME:PORT] */
    int stage_qa;             /**< not 0: a refusal says its code */
    int close_on_refusal;     /**< not 0: a refusal is a close without an answer */
    unsigned max_connections; /**< in all [10000] */
    unsigned max_per_address; /**< [100] */
    unsigned stop_deadline;   /**< seconds that open requests have after a stop [30] */
    dot2hsm_ra_log_fn *log;   /**< called by the server's threads [no log] */
    void *log_arg;            /**< first argument of log */
};
/**
 * Starts a server in threads of its own, which have all signals blocked. DOT2HSM_E_SERVER: the
 * certificate, the port or a directory cannot be used. Where there is no memory left even to refuse
 * a connection it calls abort(), because libevent would serve plain text otherwise.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_server_start(dot2hsm_ra *ra,
                                                   const struct dot2hsm_ra_server_options *options,
                                                   dot2hsm_ra_server **server,
                                                   dot2hsm_error *error);
/** The port that it listens on. */
DOT2HSM_API uint16_t dot2hsm_ra_server_port(const dot2hsm_ra_server *server);
/**
 * Trust and keys of another RA, from the next request on; it must be of the same context and store.
 * What its options are does not count. This and dot2hsm_ra_server_set_tls() by one thread at a
 * time.
 */
DOT2HSM_API dot2hsm_status dot2hsm_ra_server_use(dot2hsm_ra_server *server, dot2hsm_ra *ra,
                                                 dot2hsm_error *error);
/** Another TLS certificate and key, from the next connection on; ocsp_file may be NULL. */
DOT2HSM_API dot2hsm_status dot2hsm_ra_server_set_tls(dot2hsm_ra_server *server,
                                                     const char *tls_chain,
                                                     const dot2hsm_key *tls_key,
                                                     const char *ocsp_file, dot2hsm_error *error);
/** Open requests are finished, no others are taken; returns when all of it has ended and freed. */
DOT2HSM_API void dot2hsm_ra_server_stop(dot2hsm_ra_server *server);
/**
 * libevent, by which the server waits, has one place for its own complaints in a whole process,
 * which is stderr unless event_set_log_callback() was called. A program that has no use of its own
 * for libevent calls this once, before a server is started: they are dropped.
 */
DOT2HSM_API void dot2hsm_ra_quiet_libevent(void);
/** @} */

#ifdef __cplusplus
}
#endif
#endif
