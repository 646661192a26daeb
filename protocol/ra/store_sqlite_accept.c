/*
 * store_sqlite_accept.c: is a request accepted? Decided and recorded in SQLite.
 *
 * This is done under BEGIN IMMEDIATE: the one write lock of the file is taken before the first
 * look, so that of two nodes that were handed the same request the second sees what the first has
 * written. COMMIT returns after fsync (synchronous = FULL).
 *
 * Threads whose requests come while one is being committed wait, and are then committed together:
 * the first of them does it for all. The disk is asked once for each such group.
 */
#include "protocol/ra/store_sqlite.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

static int facts_read(struct ra_sqlite_connection *connection, const struct ra_request *request,
                      const struct ra_request_limits *limits, struct ra_request_facts *facts)
{
    sqlite3_stmt *statement = NULL;
    int rc = ra_sqlite_statement(connection, RA_SQL_REQUEST_FACTS, &statement);

    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 1, request->requester, request->requester_size);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 2, request->received - limits->window);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 3, request->hash + 24, 8);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 4, request->received - limits->retention);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 5, request->verify_key, sizeof request->verify_key);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_text(statement, 6, request->permissions);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        facts->tries = sqlite3_column_int64(statement, 0);
        facts->hash_known = sqlite3_column_int(statement, 1) != 0;
        facts->key_known = sqlite3_column_int(statement, 2) != 0;
        facts->permissions_taken = sqlite3_column_int(statement, 3) != 0;
        rc = SQLITE_OK;
    }
    ra_sqlite_done(statement);
    return rc;
}

static int try_count(struct ra_sqlite_connection *connection, const uint8_t *requester,
                     size_t requester_size, int64_t now)
{
    sqlite3_stmt *statement = NULL;
    int rc = ra_sqlite_statement(connection, RA_SQL_TRY_COUNT, &statement);

    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 1, requester, requester_size);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 2, now);
    return ra_sqlite_run(statement, rc);
}

/* Takes away a few of the rows that are older than a point in time; which says of what. */
static int prune(struct ra_sqlite_connection *connection, enum ra_sql which, int64_t before)
{
    sqlite3_stmt *statement = NULL;
    int rc = ra_sqlite_statement(connection, which, &statement);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 1, before);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int(statement, 2, RA_PRUNE_ROWS);
    return ra_sqlite_run(statement, rc);
}

static int request_insert(struct ra_sqlite_connection *connection, const struct ra_request *request)
{
    sqlite3_stmt *statement = NULL;
    int rc = ra_sqlite_statement(connection, RA_SQL_REQUEST_FORGET, &statement);

    /* One beyond its retention that pruning has not reached. */
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 1, request->hash + 24, 8);
    rc = ra_sqlite_run(statement, rc);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_statement(connection, RA_SQL_REQUEST_INSERT, &statement);
    if (rc != SQLITE_OK)
        return rc;
    rc = ra_sqlite_blob(statement, 1, request->hash + 24, 8);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 2, request->hash, sizeof request->hash);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int(statement, 3, (int)request->kind);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 4, request->requester, request->requester_size);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 5, request->verify_key, sizeof request->verify_key);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_text(statement, 6, request->permissions);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 7, request->received);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 8, request->download_time);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 9, request->certificate, request->certificate_size);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 10, request->signed_request, request->signed_request_size);
    return ra_sqlite_run(statement, rc);
}

struct ra_sqlite_wish {
    const struct ra_request *request;
    const struct ra_request_limits *limits;
    enum ra_request_verdict verdict;
    enum ra_store_status status;
    bool done;
    struct ra_sqlite_wish *next;
};

static int step(struct ra_sqlite_connection *connection, enum ra_sql which)
{
    sqlite3_stmt *statement = NULL;
    int rc = ra_sqlite_statement(connection, which, &statement);

    return ra_sqlite_run(statement, rc);
}

/* Ends the loan of a connection in a transaction, which is rolled back unless rc is SQLITE_OK. */
static enum ra_store_status transaction_end(struct ra_sqlite *backend,
                                            struct ra_sqlite_connection *connection, int rc)
{
    if (rc == SQLITE_OK)
        rc = step(connection, RA_SQL_COMMIT);
    /* Else the connection is closed, which does it too and leaves what there is to say. */
    if (ra_sqlite_status(rc) != RA_STORE_UNAVAILABLE && !sqlite3_get_autocommit(connection->db))
        sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    ra_sqlite_give_back(backend, connection, rc);
    return ra_sqlite_status(rc);
}

static int decide(struct ra_sqlite_connection *connection, struct ra_sqlite_wish *wish)
{
    const struct ra_request *request = wish->request;
    struct ra_request_facts facts = {0};
    int rc = facts_read(connection, request, wish->limits, &facts);

    if (rc != SQLITE_OK)
        return rc;
    wish->verdict = ra_request_decide(request, wish->limits, &facts);
    rc = try_count(connection, request->requester, request->requester_size, request->received);
    if (rc == SQLITE_OK)
        rc = prune(connection, RA_SQL_TRY_PRUNE, request->received - wish->limits->window);
    if (rc == SQLITE_OK)
        rc = prune(connection, RA_SQL_REQUEST_PRUNE, request->received - wish->limits->retention);
    if (rc == SQLITE_OK && wish->verdict == RA_REQUEST_ACCEPTED)
        rc = request_insert(connection, request);
    return rc;
}

/* In one transaction, all or none. */
static enum ra_store_status decide_group(struct ra_sqlite *backend, struct ra_sqlite_wish *group)
{
    struct ra_sqlite_connection *connection = ra_sqlite_borrow_to_write(backend);
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = step(connection, RA_SQL_BEGIN);
    for (struct ra_sqlite_wish *wish = group; wish != NULL && rc == SQLITE_OK; wish = wish->next)
        rc = decide(connection, wish);
    return transaction_end(backend, connection, rc);
}

static void decide_all(struct ra_sqlite *backend, struct ra_sqlite_wish *group)
{
    enum ra_store_status status = decide_group(backend, group);

    for (struct ra_sqlite_wish *wish = group; wish != NULL; wish = wish->next)
        wish->status = status;
    if (status == RA_STORE_OK || status == RA_STORE_UNAVAILABLE || group->next == NULL)
        return;
    /* The store is there, and one of them cannot be stored: the others are not to suffer for it. */
    while (group != NULL) {
        struct ra_sqlite_wish *next = group->next;

        group->next = NULL;
        group->status = decide_group(backend, group);
        group->next = next;
        group = next;
    }
}

enum ra_store_status ra_sqlite_request_accept(void *arg, const struct ra_request *request,
                                              const struct ra_request_limits *limits,
                                              enum ra_request_verdict *verdict)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_wish wish = {.request = request, .limits = limits};

    pthread_mutex_lock(&backend->lock);
    *backend->wishes_end = &wish;
    backend->wishes_end = &wish.next;
    while (!wish.done && backend->deciding)
        pthread_cond_wait(&backend->decided, &backend->lock);
    if (!wish.done) {
        struct ra_sqlite_wish *group = backend->wishes;

        backend->wishes = NULL;
        backend->wishes_end = &backend->wishes;
        backend->deciding = true;
        pthread_mutex_unlock(&backend->lock);
        decide_all(backend, group);
        pthread_mutex_lock(&backend->lock);
        for (; group != NULL; group = group->next)
            group->done = true;
        backend->deciding = false;
        pthread_cond_broadcast(&backend->decided);
    }
    pthread_mutex_unlock(&backend->lock);
    if (wish.status == RA_STORE_OK)
        *verdict = wish.verdict;
    return wish.status;
}

enum ra_store_status ra_sqlite_request_count_try(void *arg, const uint8_t *requester,
                                                 size_t requester_size, int64_t now, int64_t window)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow_to_write(backend);
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = step(connection, RA_SQL_BEGIN);
    if (rc == SQLITE_OK)
        rc = try_count(connection, requester, requester_size, now);
    if (rc == SQLITE_OK && window > 0)
        rc = prune(connection, RA_SQL_TRY_PRUNE, now - window);
    return transaction_end(backend, connection, rc);
}
