/* store.c: the RA's store for programs. */
#include "api/ra/ra.h"

#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

dot2hsm_status api_store_result(dot2hsm_error *error, enum ra_store_status status, const char *text)
{
    dot2hsm_status result = DOT2HSM_E_STORE;

    switch (status) {
    case RA_STORE_OK:
        return DOT2HSM_OK;
    case RA_STORE_NOT_FOUND:
        result = DOT2HSM_E_NOT_FOUND;
        break;
    case RA_STORE_EXISTS:
        result = DOT2HSM_E_EXISTS;
        break;
    case RA_STORE_ARGUMENT:
    case RA_STORE_SCHEMA:
        result = DOT2HSM_E_ARGUMENT;
        break;
    case RA_STORE_UNAVAILABLE:
        break;
    }
    return api_fail(error, result, text);
}

/* The store's own sentence, where it has one about this. */
static dot2hsm_status result_of(dot2hsm_error *error, dot2hsm_ra_store *store,
                                enum ra_store_status status)
{
    char text[400] = "";

    if (status == RA_STORE_UNAVAILABLE)
        ra_store_last_error(store->store, text, sizeof(text));
    return api_store_result(error, status, text);
}

dot2hsm_status dot2hsm_ra_store_open(const char *spec, int create, dot2hsm_ra_store **store,
                                     dot2hsm_error *error)
{
    dot2hsm_ra_store *made;
    enum ra_store_status status;
    char text[400] = "";

    api_begin(error);
    if (store != NULL)
        *store = NULL;
    if (spec == NULL || store == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    made = OPENSSL_zalloc(sizeof(*made));
    if (made == NULL)
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    atomic_init(&made->references, 1);
    status = ra_store_open(spec, create != 0, &made->store, text, sizeof(text));
    if (status == RA_STORE_OK)
        *store = made;
    else
        OPENSSL_free(made);
    return api_store_result(error, status, text);
}

dot2hsm_ra_store *api_store_up_ref(dot2hsm_ra_store *store)
{
    atomic_fetch_add(&store->references, 1);
    return store;
}

void dot2hsm_ra_store_free(dot2hsm_ra_store *store)
{
    if (store == NULL || atomic_fetch_sub(&store->references, 1) > 1)
        return;
    ra_store_close(store->store);
    OPENSSL_free(store);
}

/* ---- the blacklist ---- */

static bool entry_of(const uint8_t *hash, size_t size, struct ra_blacklist_entry *entry)
{
    if (hash == NULL || (size != RA_BLACKLIST_HASHEDID8 && size != RA_BLACKLIST_HASHEDID10 &&
                         size != RA_BLACKLIST_SHA256 && size != RA_BLACKLIST_SHA384))
        return false;
    memset(entry, 0, sizeof(*entry));
    entry->kind = (enum ra_blacklist_kind)size;
    memcpy(entry->id, hash, size);
    return true;
}

dot2hsm_status dot2hsm_ra_blacklist_add(dot2hsm_ra_store *store, const uint8_t *hash, size_t size,
                                        const char *comment, dot2hsm_error *error)
{
    struct ra_blacklist_entry entry;
    enum ra_store_status status;

    api_begin(error);
    if (store == NULL || !entry_of(hash, size, &entry) ||
        (comment != NULL && strlen(comment) >= sizeof(entry.comment)))
        return api_fail(error, DOT2HSM_E_ARGUMENT,
                        "no hash of 8, 10, 32 or 48 octets, or a long "
                        "comment");
    entry.added = (int64_t)time(NULL);
    if (comment != NULL)
        OPENSSL_strlcpy(entry.comment, comment, sizeof(entry.comment));
    status = ra_blacklist_add(store->store, &entry);
    return result_of(error, store, status == RA_STORE_EXISTS ? RA_STORE_OK : status);
}

dot2hsm_status dot2hsm_ra_blacklist_remove(dot2hsm_ra_store *store, const uint8_t *hash,
                                           size_t size, dot2hsm_error *error)
{
    struct ra_blacklist_entry entry;

    api_begin(error);
    if (store == NULL || !entry_of(hash, size, &entry))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "no hash of 8, 10, 32 or 48 octets");
    return result_of(error, store, ra_blacklist_remove(store->store, &entry));
}

struct blacklist_reader {
    int (*each)(void *arg, const uint8_t *hash, size_t size, int64_t added, const char *comment);
    void *arg;
};

static bool on_entry(void *arg, const struct ra_blacklist_entry *entry)
{
    const struct blacklist_reader *reader = arg;

    return reader->each(reader->arg, entry->id, (size_t)entry->kind, entry->added,
                        entry->comment) != 0;
}

dot2hsm_status dot2hsm_ra_blacklist_each(dot2hsm_ra_store *store,
                                         int (*each)(void *arg, const uint8_t *hash, size_t size,
                                                     int64_t added, const char *comment),
                                         void *arg, dot2hsm_error *error)
{
    struct blacklist_reader reader = {each, arg};

    api_begin(error);
    if (store == NULL || each == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    return result_of(error, store, ra_blacklist_each(store->store, on_entry, &reader));
}

/* ---- files ---- */

dot2hsm_status dot2hsm_ra_file_assign(dot2hsm_ra_store *store, const char *filename,
                                      const uint8_t *requester, size_t size, dot2hsm_error *error)
{
    api_begin(error);
    if (store == NULL || filename == NULL || requester == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    return result_of(error, store, ra_file_assign(store->store, filename, requester, size));
}

dot2hsm_status dot2hsm_ra_file_unassign(dot2hsm_ra_store *store, const char *filename,
                                        dot2hsm_error *error)
{
    api_begin(error);
    if (store == NULL || filename == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    return result_of(error, store, ra_file_unassign(store->store, filename));
}

struct file_reader {
    int (*each)(void *arg, const char *filename, const uint8_t *requester, size_t size);
    void *arg;
};

static bool on_file(void *arg, const char *filename, const uint8_t *requester, size_t size)
{
    const struct file_reader *reader = arg;

    return reader->each(reader->arg, filename, requester, size) != 0;
}

dot2hsm_status dot2hsm_ra_file_each(dot2hsm_ra_store *store,
                                    int (*each)(void *arg, const char *filename,
                                                const uint8_t *requester, size_t size),
                                    void *arg, dot2hsm_error *error)
{
    struct file_reader reader = {each, arg};

    api_begin(error);
    if (store == NULL || each == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    return result_of(error, store, ra_file_each(store->store, on_file, &reader));
}

/* ---- requests ---- */

struct request_reader {
    int (*each)(void *arg, const struct dot2hsm_ra_request *request);
    void *arg;
};

static int service_of(enum scms_provision kind)
{
    switch (kind) {
    case SCMS_PROVISION_APP:
        return DOT2HSM_RA_APPLICATION;
    case SCMS_PROVISION_ID:
        return DOT2HSM_RA_IDENTITY;
    case SCMS_PROVISION_PSEUDONYM:
        break;
    }
    return DOT2HSM_RA_PSEUDONYM;
}

static bool on_request(void *arg, const struct ra_request *request)
{
    const struct request_reader *reader = arg;
    const struct dot2hsm_ra_request told = {
        .kind = service_of(request->kind),
        .hash = request->hash,
        .request = request->signed_request,
        .request_size = request->signed_request_size,
        .certificate = request->certificate,
        .certificate_size = request->certificate_size,
        .requester = request->requester,
        .requester_size = request->requester_size,
        .received = request->received,
        .download_time = request->download_time,
    };

    return reader->each(reader->arg, &told) != 0;
}

dot2hsm_status dot2hsm_ra_request_each(dot2hsm_ra_store *store,
                                       int (*each)(void *arg,
                                                   const struct dot2hsm_ra_request *request),
                                       void *arg, dot2hsm_error *error)
{
    struct request_reader reader = {each, arg};

    api_begin(error);
    if (store == NULL || each == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    return result_of(error, store,
                     ra_request_each(store->store, RA_REQUEST_PENDING, on_request, &reader));
}

dot2hsm_status dot2hsm_ra_request_finish(dot2hsm_ra_store *store, const uint8_t hash[32],
                                         const char *failure, dot2hsm_error *error)
{
    api_begin(error);
    if (store == NULL || hash == NULL || (failure != NULL && strlen(failure) > 127))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL, or failure too long");
    return result_of(error, store,
                     ra_request_finish(store->store, hash,
                                       failure == NULL ? RA_REQUEST_READY : RA_REQUEST_FAILED,
                                       failure == NULL ? "" : failure));
}
