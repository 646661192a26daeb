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

typedef bool ra_blacklist_each_fn(void *arg, const struct ra_blacklist_entry *entry);
typedef bool ra_file_each_fn(void *arg, const char *filename, const uint8_t *requester,
                             size_t requester_size);

struct ra_store_ops {
    const char *scheme; /* what stands before the colon of a spec */
    /* location is the spec without its scheme; *backend is handed to every other function. */
    enum ra_store_status (*open)(const char *location, bool create, void **backend, char *text,
                                 size_t text_size);
    void (*close)(void *backend);
    /* The sentence of the last failure of any thread, for a log. */
    void (*last_error)(void *backend, char *text, size_t text_size);
    enum ra_store_status (*blacklist_add)(void *backend, const struct ra_blacklist_entry *entry);
    enum ra_store_status (*blacklist_remove)(void *backend, const struct ra_blacklist_entry *entry);
    enum ra_store_status (*blacklist_each)(void *backend, ra_blacklist_each_fn *each, void *arg);
    /* hash is one whole hash of size octets: is it, or its tail of 10 or 8, on the list? */
    enum ra_store_status (*blacklist_check)(void *backend, const uint8_t *hash, size_t size);
    enum ra_store_status (*file_assign)(void *backend, const char *filename,
                                        const uint8_t *requester, size_t requester_size);
    enum ra_store_status (*file_unassign)(void *backend, const char *filename);
    enum ra_store_status (*file_each)(void *backend, ra_file_each_fn *each, void *arg);
    /* The requester of a file: 48 octets of room. */
    enum ra_store_status (*file_requester)(void *backend, const char *filename,
                                           size_t filename_size, uint8_t requester[48],
                                           size_t *requester_size);
};

extern const struct ra_store_ops ra_store_sqlite;

#endif
