/*
 * store_sqlite.c: the store's questions to SQLite, and what it asks about certificates and files.
 * store_sqlite_request.c has requests and ECAs, store_sqlite_pool.c the connections.
 */
#include "protocol/ra/store_sqlite.h"

#include <stdio.h>
#include <string.h>

const char *const ra_sqlite_sql[RA_SQL_COUNT] = {
    [RA_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [RA_SQL_COMMIT] = "COMMIT",
    [RA_SQL_STORE_COUNT] =
        "SELECT user_version, (SELECT count(*) FROM blacklist), (SELECT count(*) FROM files),"
        " (SELECT count(*) FROM ecas),"
        " (SELECT count(*) FROM requests WHERE state = 0),"
        " (SELECT count(*) FROM requests WHERE state = 1),"
        " (SELECT count(*) FROM requests WHERE state = 2),"
        " (SELECT coalesce(min(received), 0) FROM requests WHERE state = 0)"
        " FROM pragma_user_version",
    [RA_SQL_BLACKLIST_ADD] = "INSERT INTO blacklist (id, added, comment) VALUES (?1, ?2, ?3)",
    [RA_SQL_BLACKLIST_REMOVE] = "DELETE FROM blacklist WHERE id = ?1",
    [RA_SQL_BLACKLIST_EACH] = "SELECT id, added, comment FROM blacklist ORDER BY seq",
    [RA_SQL_FILE_ASSIGN] = "INSERT INTO files (name, requester) VALUES (?1, ?2)",
    [RA_SQL_FILE_UNASSIGN] = "DELETE FROM files WHERE name = ?1",
    [RA_SQL_FILE_EACH] = "SELECT name, requester FROM files ORDER BY name",
    /* One look into an index each: IN (...) would build a table of its members each time. What is
       not asked is NULL, which is equal to nothing. */
    [RA_SQL_ASK] = "SELECT EXISTS (SELECT 1 FROM blacklist WHERE id = ?1)"
                   " OR EXISTS (SELECT 1 FROM blacklist WHERE id = ?2)"
                   " OR EXISTS (SELECT 1 FROM blacklist WHERE id = ?3)"
                   " OR EXISTS (SELECT 1 FROM blacklist WHERE id = ?4)"
                   " OR EXISTS (SELECT 1 FROM blacklist WHERE id = ?5)"
                   " OR EXISTS (SELECT 1 FROM blacklist WHERE id = ?6),"
                   " EXISTS (SELECT 1 FROM ecas WHERE id = ?7)"
                   " OR NOT EXISTS (SELECT 1 FROM ecas),"
                   " (SELECT requester FROM files WHERE name = ?8)",
    [RA_SQL_REQUEST_FACTS] =
        "SELECT (SELECT coalesce(sum(tries), 0) FROM tries WHERE requester = ?1 AND at > ?2),"
        " EXISTS (SELECT 1 FROM requests WHERE request_hash = ?3"
        "         AND (received >= ?4 OR state = 0)),"
        " EXISTS (SELECT 1 FROM requests INDEXED BY requests_key"
        "         WHERE requester = ?1 AND verify_key = ?5"
        "         AND (received >= ?4 OR state = 0)),"
        " EXISTS (SELECT 1 FROM requests INDEXED BY requests_permissions"
        "         WHERE requester = ?1 AND permissions = ?6"
        "         AND kind = 3 AND state = 0)",
    [RA_SQL_REQUEST_FORGET] = "DELETE FROM requests WHERE request_hash = ?1",
    [RA_SQL_REQUEST_INSERT] =
        "INSERT INTO requests (request_hash, hash, kind, requester, verify_key, permissions,"
        " received, download_time, state, detail, certificate, signed_request)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, '', ?9, ?10)",
    [RA_SQL_REQUEST_PRUNE] = "DELETE FROM requests WHERE seq IN (SELECT seq FROM requests"
                             " WHERE received < ?1 AND state <> 0 ORDER BY received LIMIT ?2)",
    [RA_SQL_REQUEST_NEXT] =
        "SELECT seq, hash, kind, requester, verify_key, permissions, received, download_time,"
        " state, detail, certificate, signed_request"
        " FROM requests WHERE state = ?1 AND seq > ?2 ORDER BY seq LIMIT 1",
    [RA_SQL_REQUEST_FINISH] = "UPDATE requests SET state = ?3, detail = ?4"
                              " WHERE request_hash = ?1 AND hash = ?2 AND state <> 2",
    [RA_SQL_REQUEST_FIND] = "SELECT state, requester, hash FROM requests WHERE request_hash = ?1",
    [RA_SQL_TRY_COUNT] = "INSERT INTO tries (requester, at, tries) VALUES (?1, ?2, 1)"
                         " ON CONFLICT (requester, at) DO UPDATE SET tries = tries + 1",
    [RA_SQL_TRY_SUM] = "SELECT coalesce(sum(tries), 0) FROM tries WHERE requester = ?1 AND at > ?2",
    [RA_SQL_TRY_PRUNE] = "DELETE FROM tries WHERE (requester, at) IN (SELECT requester, at"
                         " FROM tries WHERE at <= ?1 ORDER BY at LIMIT ?2)",
    [RA_SQL_ECA_ADD] = "INSERT INTO ecas (id, comment) VALUES (?1, ?2)",
    [RA_SQL_ECA_REMOVE] = "DELETE FROM ecas WHERE id = ?1",
    [RA_SQL_ECA_EACH] = "SELECT id, comment FROM ecas ORDER BY seq",
};

static enum ra_store_status sqlite_count(void *arg, struct ra_store_counts *counts)
{
    int64_t *const columns[] = {&counts->schema, &counts->blacklist,     &counts->files,
                                &counts->ecas,   &counts->pending,       &counts->ready,
                                &counts->failed, &counts->oldest_pending};
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_STORE_COUNT, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    for (int i = 0; rc == SQLITE_ROW && i < (int)(sizeof columns / sizeof columns[0]); i++)
        *columns[i] = sqlite3_column_int64(statement, i);
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return rc == SQLITE_ROW ? RA_STORE_OK : ra_sqlite_status(rc == SQLITE_DONE ? SQLITE_ERROR : rc);
}

static enum ra_store_status sqlite_blacklist_add(void *arg, const struct ra_blacklist_entry *entry)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow_to_write(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_BLACKLIST_ADD, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, 1, entry->id, (int)entry->kind, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 2, entry->added);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(statement, 3, entry->comment, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return ra_sqlite_status(rc);
}

static enum ra_store_status sqlite_blacklist_remove(void *arg,
                                                    const struct ra_blacklist_entry *entry)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow_to_write(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_BLACKLIST_REMOVE, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, 1, entry->id, (int)entry->kind, SQLITE_STATIC);
    return ra_sqlite_delete(backend, connection, statement, rc);
}

static enum ra_store_status sqlite_blacklist_each(void *arg, ra_blacklist_each_fn *each,
                                                  void *each_arg)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_BLACKLIST_EACH, &statement);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        struct ra_blacklist_entry entry = {0};
        int size;

        rc = sqlite3_step(statement);
        if (rc != SQLITE_ROW)
            break;
        size = sqlite3_column_bytes(statement, 0);
        if (size <= 0 || (size_t)size > sizeof entry.id)
            continue;
        entry.kind = (enum ra_blacklist_kind)size;
        memcpy(entry.id, sqlite3_column_blob(statement, 0), (size_t)size);
        entry.added = sqlite3_column_int64(statement, 1);
        snprintf(entry.comment, sizeof entry.comment, "%s",
                 (const char *)sqlite3_column_text(statement, 2));
        if (!each(each_arg, &entry))
            break;
    }
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return ra_sqlite_status(rc);
}

/* A whole hash and its tails as three parameters from first on; rc is what came before. */
static int bind_hash(sqlite3_stmt *statement, int rc, int first, const uint8_t *hash, size_t size)
{
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, first, hash, (int)size, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, first + 1, hash + size - 10, 10, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, first + 2, hash + size - 8, 8, SQLITE_STATIC);
    return rc;
}

static int bind_question(sqlite3_stmt *statement, const struct ra_store_question *question)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; i < question->count; i++)
        rc = bind_hash(statement, rc, 1 + 3 * (int)i, question->hashes[i], question->hash_size);
    if (rc == SQLITE_OK && question->eca != NULL)
        rc = sqlite3_bind_blob(statement, 7, question->eca, 8, SQLITE_STATIC);
    if (rc == SQLITE_OK && question->filename != NULL)
        rc = sqlite3_bind_text(statement, 8, question->filename, (int)question->filename_size,
                               SQLITE_STATIC);
    return rc;
}

static enum ra_store_status sqlite_ask(void *arg, const struct ra_store_question *question,
                                       struct ra_facts *facts)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc, size;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_ASK, &statement);
    if (rc == SQLITE_OK)
        rc = bind_question(statement, question);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        facts->blacklisted = sqlite3_column_int(statement, 0) != 0;
        facts->eca_served = sqlite3_column_int(statement, 1) != 0;
        size = sqlite3_column_bytes(statement, 2);
        if (size > 0 && size <= (int)sizeof facts->requester) {
            memcpy(facts->requester, sqlite3_column_blob(statement, 2), (size_t)size);
            facts->requester_size = (size_t)size;
        }
    }
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return rc == SQLITE_ROW ? RA_STORE_OK : ra_sqlite_status(rc == SQLITE_DONE ? SQLITE_ERROR : rc);
}

static enum ra_store_status sqlite_file_assign(void *arg, const char *filename,
                                               const uint8_t *requester, size_t requester_size)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow_to_write(backend);
    sqlite3_stmt *statement = NULL;
    const struct ra_store_question question = {.filename = filename,
                                               .filename_size = strlen(filename)};
    struct ra_facts known = {.requester_size = 0};
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_FILE_ASSIGN, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(statement, 1, filename, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, 2, requester, (int)requester_size, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    /* The same assignment again is no error. */
    if (ra_sqlite_status(rc) == RA_STORE_EXISTS &&
        sqlite_ask(backend, &question, &known) == RA_STORE_OK &&
        known.requester_size == requester_size &&
        memcmp(known.requester, requester, requester_size) == 0)
        return RA_STORE_OK;
    return ra_sqlite_status(rc);
}

static enum ra_store_status sqlite_file_unassign(void *arg, const char *filename)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow_to_write(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_FILE_UNASSIGN, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(statement, 1, filename, -1, SQLITE_STATIC);
    return ra_sqlite_delete(backend, connection, statement, rc);
}

static enum ra_store_status sqlite_file_each(void *arg, ra_file_each_fn *each, void *each_arg)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_FILE_EACH, &statement);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(statement);
        if (rc != SQLITE_ROW)
            break;
        if (!each(each_arg, (const char *)sqlite3_column_text(statement, 0),
                  sqlite3_column_blob(statement, 1), (size_t)sqlite3_column_bytes(statement, 1)))
            break;
    }
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return ra_sqlite_status(rc);
}

const struct ra_store_ops ra_store_sqlite = {
    .scheme = "sqlite",
    .open = ra_sqlite_open,
    .close = ra_sqlite_close,
    .last_error = ra_sqlite_last_error,
    .count = sqlite_count,
    .blacklist_add = sqlite_blacklist_add,
    .blacklist_remove = sqlite_blacklist_remove,
    .blacklist_each = sqlite_blacklist_each,
    .file_assign = sqlite_file_assign,
    .file_unassign = sqlite_file_unassign,
    .file_each = sqlite_file_each,
    .ask = sqlite_ask,
    .request_accept = ra_sqlite_request_accept,
    .request_count_try = ra_sqlite_request_count_try,
    .request_tries = ra_sqlite_request_tries,
    .request_next = ra_sqlite_request_next,
    .request_finish = ra_sqlite_request_finish,
    .request_find = ra_sqlite_request_find,
    .eca_add = ra_sqlite_eca_add,
    .eca_remove = ra_sqlite_eca_remove,
    .eca_each = ra_sqlite_eca_each,
};
