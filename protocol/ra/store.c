/*
 * store.c: the store's public face: arguments are checked here, once for all back ends.
 */
#include "protocol/ra/store_ops.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#define QUESTION_HASHES 2

static const struct ra_store_ops *const backends[] = {&ra_store_sqlite, &ra_store_pg};

const char *ra_store_status_text(enum ra_store_status status)
{
    switch (status) {
    case RA_STORE_OK:
        return "done";
    case RA_STORE_NOT_FOUND:
        return "not found";
    case RA_STORE_EXISTS:
        return "exists already";
    case RA_STORE_UNAVAILABLE:
        return "the store cannot be reached, is locked or full, or has no memory";
    case RA_STORE_SCHEMA:
        return "the store was made by a newer version";
    case RA_STORE_ARGUMENT:
        return "an argument is not valid";
    }
    return "unknown status";
}

/*
 * The back end that a spec names, and where its location starts. A word of letters before the
 * first colon is a scheme; anything else is a path for SQLite.
 */
static const struct ra_store_ops *backend_of(const char *spec, const char **location)
{
    size_t scheme = strspn(spec, "abcdefghijklmnopqrstuvwxyz");

    if (scheme == 0 || spec[scheme] != ':') {
        *location = spec;
        return &ra_store_sqlite;
    }
    *location = spec + scheme + 1;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (strlen(backends[i]->scheme) == scheme && memcmp(backends[i]->scheme, spec, scheme) == 0)
            return backends[i];
    return NULL;
}

enum ra_store_status ra_store_open(const char *spec, bool create, ra_store **store, char *text,
                                   size_t text_size)
{
    const struct ra_store_ops *ops;
    const char *location;
    enum ra_store_status status;
    ra_store *made;

    *store = NULL;
    if (text_size > 0)
        text[0] = '\0';
    ops = spec == NULL ? NULL : backend_of(spec, &location);
    if (ops == NULL || *location == '\0') {
        /* What follows the scheme is not repeated: it can hold a password. */
        snprintf(text, text_size,
                 "store \"%.*s...\" is neither sqlite:PATH nor postgresql:CONNINFO",
                 spec == NULL ? 0 : (int)strcspn(spec, ":") + 1, spec == NULL ? "" : spec);
        return RA_STORE_ARGUMENT;
    }
    made = OPENSSL_zalloc(sizeof *made);
    if (made == NULL) {
        snprintf(text, text_size, "out of memory");
        return RA_STORE_UNAVAILABLE;
    }
    made->ops = ops;
    status = ops->open(location, create, &made->backend, text, text_size);
    if (status != RA_STORE_OK) {
        OPENSSL_free(made);
        return status;
    }
    *store = made;
    return RA_STORE_OK;
}

void ra_store_close(ra_store *store)
{
    if (store == NULL)
        return;
    store->ops->close(store->backend);
    OPENSSL_free(store);
}

void ra_store_last_error(ra_store *store, char *text, size_t text_size)
{
    store->ops->last_error(store->backend, text, text_size);
}

enum ra_store_status ra_store_counted(ra_store *store, enum ra_store_status status)
{
    if (status == RA_STORE_UNAVAILABLE || status == RA_STORE_SCHEMA)
        store->errors++;
    return status;
}

enum ra_store_status ra_store_count(ra_store *store, struct ra_store_counts *counts)
{
    memset(counts, 0, sizeof *counts);
    return ra_store_counted(store, store->ops->count(store->backend, counts));
}

uint64_t ra_store_errors(const ra_store *store)
{
    return store->errors;
}

static bool entry_valid(const struct ra_blacklist_entry *entry)
{
    switch (entry->kind) {
    case RA_BLACKLIST_HASHEDID8:
    case RA_BLACKLIST_HASHEDID10:
    case RA_BLACKLIST_SHA256:
    case RA_BLACKLIST_SHA384:
        return memchr(entry->comment, '\0', sizeof entry->comment) != NULL;
    }
    return false;
}

static bool hash_size_valid(size_t size)
{
    return size == 32 || size == 48;
}

static bool filename_valid(const char *filename, size_t size)
{
    return size > 0 && size <= RA_FILENAME_MAX && memchr(filename, '\0', size) == NULL;
}

enum ra_store_status ra_blacklist_add(ra_store *store, const struct ra_blacklist_entry *entry)
{
    if (!entry_valid(entry))
        return RA_STORE_ARGUMENT;
    return ra_store_counted(store, store->ops->blacklist_add(store->backend, entry));
}

enum ra_store_status ra_blacklist_remove(ra_store *store, const struct ra_blacklist_entry *entry)
{
    if (!entry_valid(entry))
        return RA_STORE_ARGUMENT;
    return ra_store_counted(store, store->ops->blacklist_remove(store->backend, entry));
}

enum ra_store_status ra_blacklist_each(ra_store *store,
                                       bool (*each)(void *arg, const struct ra_blacklist_entry *),
                                       void *arg)
{
    return ra_store_counted(store, store->ops->blacklist_each(store->backend, each, arg));
}

enum ra_store_status ra_blacklist_check(ra_store *store, const uint8_t (*hashes)[48],
                                        size_t hash_size, size_t count)
{
    enum ra_store_status status = count == 0 ? RA_STORE_ARGUMENT : RA_STORE_OK;

    for (size_t i = 0; i < count && status == RA_STORE_OK; i += QUESTION_HASHES) {
        const struct ra_store_question question = {
            .hashes = hashes + i,
            .hash_size = hash_size,
            .count = count - i < QUESTION_HASHES ? count - i : QUESTION_HASHES,
        };
        struct ra_store_answer answer;

        status = ra_store_ask(store, &question, &answer);
        if (status == RA_STORE_OK && answer.blacklisted)
            return RA_STORE_OK;
    }
    return status == RA_STORE_OK ? RA_STORE_NOT_FOUND : status;
}

enum ra_store_status ra_file_assign(ra_store *store, const char *filename, const uint8_t *requester,
                                    size_t requester_size)
{
    if (!filename_valid(filename, strlen(filename)) || !hash_size_valid(requester_size))
        return RA_STORE_ARGUMENT;
    return ra_store_counted(
        store, store->ops->file_assign(store->backend, filename, requester, requester_size));
}

enum ra_store_status ra_file_unassign(ra_store *store, const char *filename)
{
    if (!filename_valid(filename, strlen(filename)))
        return RA_STORE_ARGUMENT;
    return ra_store_counted(store, store->ops->file_unassign(store->backend, filename));
}

enum ra_store_status ra_file_each(ra_store *store,
                                  bool (*each)(void *arg, const char *filename,
                                               const uint8_t *requester, size_t requester_size),
                                  void *arg)
{
    return ra_store_counted(store, store->ops->file_each(store->backend, each, arg));
}

enum ra_store_status ra_file_check(ra_store *store, const char *filename, size_t filename_size,
                                   const uint8_t (*hashes)[48], size_t hash_size, size_t count)
{
    const struct ra_store_question question = {
        .hashes = hashes,
        .hash_size = hash_size,
        .count = count,
        .filename = filename,
        .filename_size = filename_size,
    };
    struct ra_store_answer answer;
    enum ra_store_status status = ra_store_ask(store, &question, &answer);

    return status == RA_STORE_OK ? answer.file : status;
}

enum ra_store_status ra_eca_check(ra_store *store, const uint8_t hashedid8[8])
{
    const struct ra_store_question question = {.eca = hashedid8};
    struct ra_store_answer answer;
    enum ra_store_status status = ra_store_ask(store, &question, &answer);

    return status == RA_STORE_OK && !answer.eca_served ? RA_STORE_NOT_FOUND : status;
}

static bool question_valid(const struct ra_store_question *question)
{
    if (question->count > QUESTION_HASHES ||
        (question->count > 0 && !hash_size_valid(question->hash_size)))
        return false;
    return question->filename == NULL ||
           (question->count > 0 && filename_valid(question->filename, question->filename_size));
}

static enum ra_store_status file_status(const struct ra_store_question *question,
                                        const struct ra_facts *facts)
{
    if (facts->requester_size == 0)
        return RA_STORE_NOT_FOUND;
    for (size_t i = 0; i < question->count; i++)
        if (facts->requester_size == question->hash_size &&
            memcmp(facts->requester, question->hashes[i], question->hash_size) == 0)
            return RA_STORE_OK;
    return RA_STORE_EXISTS;
}

enum ra_store_status ra_store_ask(ra_store *store, const struct ra_store_question *question,
                                  struct ra_store_answer *answer)
{
    struct ra_facts facts = {.requester_size = 0};
    enum ra_store_status status;

    /* What a caller takes for an answer without looking at the status lets nobody in. */
    *answer = (struct ra_store_answer){.blacklisted = true, .file = RA_STORE_UNAVAILABLE};
    if (!question_valid(question))
        return RA_STORE_ARGUMENT;
    status = ra_store_counted(store, store->ops->ask(store->backend, question, &facts));
    if (status == RA_STORE_OK)
        *answer = (struct ra_store_answer){.blacklisted = facts.blacklisted,
                                           .eca_served = facts.eca_served,
                                           .file = file_status(question, &facts)};
    return status;
}
