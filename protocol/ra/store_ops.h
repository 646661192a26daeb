/*
 * store_ops.h: what a back end of the store has to offer. Private to protocol/ra.
 *
 * store.c checks the arguments of every call once, for all back ends, and hands them on; a back
 * end sees only sizes that fit. A back end is thread-safe.
 */
#ifndef DOT2HSM_PROTOCOL_RA_STORE_OPS_H
#define DOT2HSM_PROTOCOL_RA_STORE_OPS_H

#include "protocol/ra/ra.h"

#define RA_FILENAME_MAX 255
/* Rows beyond their time that one accepted request takes away: more than it brings. */
#define RA_PRUNE_ROWS 16

typedef bool ra_blacklist_each_fn(void *arg, const struct ra_blacklist_entry *entry);
typedef bool ra_file_each_fn(void *arg, const char *filename, const uint8_t *requester,
                             size_t requester_size);
typedef bool ra_eca_each_fn(void *arg, const uint8_t hashedid8[8], const char *comment);

/* What the verdict on a request depends on; a back end asks for all of it in one question. */
struct ra_request_facts {
    int64_t tries;          /* of this requester within the window, without this one */
    bool hash_known;        /* this requestHash, within retention or still pending */
    bool key_known;         /* this verify key of this requester, likewise */
    bool permissions_taken; /* an application request of this requester, still pending */
};
enum ra_request_verdict ra_request_decide(const struct ra_request *request,
                                          const struct ra_request_limits *limits,
                                          const struct ra_request_facts *facts);

/* What a back end answers to a question. */
struct ra_facts {
    bool blacklisted, eca_served;
    uint8_t requester[48]; /* of the file */
    size_t requester_size; /* 0: there is no such file */
};

struct ra_store_ops {
    const char *scheme; /* what stands before the colon of a spec */
    /* location is the spec without its scheme; *backend is handed to every other function. */
    enum ra_store_status (*open)(const char *location, bool create, void **backend, char *text,
                                 size_t text_size);
    void (*close)(void *backend);
    /* The sentence of the last failure of any thread, for a log. */
    void (*last_error)(void *backend, char *text, size_t text_size);
    enum ra_store_status (*count)(void *backend, struct ra_store_counts *counts);
    enum ra_store_status (*blacklist_add)(void *backend, const struct ra_blacklist_entry *entry);
    enum ra_store_status (*blacklist_remove)(void *backend, const struct ra_blacklist_entry *entry);
    enum ra_store_status (*blacklist_each)(void *backend, ra_blacklist_each_fn *each, void *arg);
    enum ra_store_status (*file_assign)(void *backend, const char *filename,
                                        const uint8_t *requester, size_t requester_size);
    enum ra_store_status (*file_unassign)(void *backend, const char *filename);
    enum ra_store_status (*file_each)(void *backend, ra_file_each_fn *each, void *arg);
    /* In one read: is a hash, or its tail of 10 or 8, on the blacklist, and so on. */
    enum ra_store_status (*ask)(void *backend, const struct ra_store_question *question,
                                struct ra_facts *facts);
    /* In one transaction: the facts, ra_request_decide(), the try and, if accepted, the request. */
    enum ra_store_status (*request_accept)(void *backend, const struct ra_request *request,
                                           const struct ra_request_limits *limits,
                                           enum ra_request_verdict *verdict);
    /* Tries older than window seconds need not be kept; 0 = not known, keep all. */
    enum ra_store_status (*request_count_try)(void *backend, const uint8_t *requester,
                                              size_t requester_size, int64_t now, int64_t window);
    /* The tries after a point in time. */
    enum ra_store_status (*request_tries)(void *backend, const uint8_t *requester,
                                          size_t requester_size, int64_t since, int64_t *count);
    /*
     * The next request in a state after row *after (0 = the first), which is moved on. *octets
     * holds the certificate and the request, and is OPENSSL_free'd by the caller. No connection
     * stays on loan, so that the caller can ask other things between two.
     */
    enum ra_store_status (*request_next)(void *backend, enum ra_request_state state, int64_t *after,
                                         struct ra_request *request, uint8_t **octets);
    enum ra_store_status (*request_finish)(void *backend, const uint8_t hash[32],
                                           enum ra_request_state state, const char *detail);
    enum ra_store_status (*request_find)(void *backend, const uint8_t request_hash[8],
                                         enum ra_request_state *state, uint8_t requester[48],
                                         size_t *requester_size);
    enum ra_store_status (*eca_add)(void *backend, const uint8_t hashedid8[8], const char *comment);
    enum ra_store_status (*eca_remove)(void *backend, const uint8_t hashedid8[8]);
    enum ra_store_status (*eca_each)(void *backend, ra_eca_each_fn *each, void *arg);
};

struct ra_store {
    const struct ra_store_ops *ops;
    void *backend;
    _Atomic int64_t window; /* of the limits seen last: how long tries are of use */
    _Atomic uint64_t errors;
};

/* Returns the status of a back end, and counts it if it is a failure and no answer. */
enum ra_store_status ra_store_counted(ra_store *store, enum ra_store_status status);

extern const struct ra_store_ops ra_store_sqlite, ra_store_pg;

#endif
