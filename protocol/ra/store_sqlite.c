/*
 * store_sqlite.c: the store's questions to SQLite. store_sqlite_pool.c has the connections.
 */
#include "protocol/ra/store_sqlite.h"

#include <stdio.h>
#include <string.h>

const char *const ra_sqlite_sql[RA_SQL_COUNT] = {
    [RA_SQL_BLACKLIST_ADD] = "INSERT INTO blacklist (id, added, comment) VALUES (?1, ?2, ?3)",
    [RA_SQL_BLACKLIST_REMOVE] = "DELETE FROM blacklist WHERE id = ?1",
    [RA_SQL_BLACKLIST_EACH] = "SELECT id, added, comment FROM blacklist ORDER BY seq",
    [RA_SQL_BLACKLIST_CHECK] = "SELECT 1 FROM blacklist WHERE id IN (?1, ?2, ?3) LIMIT 1",
    [RA_SQL_FILE_ASSIGN] = "INSERT INTO files (name, requester) VALUES (?1, ?2)",
    [RA_SQL_FILE_UNASSIGN] = "DELETE FROM files WHERE name = ?1",
    [RA_SQL_FILE_EACH] = "SELECT name, requester FROM files ORDER BY name",
    [RA_SQL_FILE_REQUESTER] = "SELECT requester FROM files WHERE name = ?1",
};

static enum ra_store_status sqlite_blacklist_add(void *arg, const struct ra_blacklist_entry *entry)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
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

/* A DELETE with one parameter, bound already: NOT_FOUND if it took nothing away. */
static enum ra_store_status step_delete(struct ra_sqlite *backend,
                                        struct ra_sqlite_connection *connection,
                                        sqlite3_stmt *statement, int rc)
{
    int changes = 0;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_DONE)
        changes = sqlite3_changes(connection->db);
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    if (rc == SQLITE_DONE && changes == 0)
        return RA_STORE_NOT_FOUND;
    return ra_sqlite_status(rc);
}

static enum ra_store_status sqlite_blacklist_remove(void *arg,
                                                    const struct ra_blacklist_entry *entry)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_BLACKLIST_REMOVE, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, 1, entry->id, (int)entry->kind, SQLITE_STATIC);
    return step_delete(backend, connection, statement, rc);
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

/* What a SELECT found: OK for a row, NOT_FOUND for none. */
static enum ra_store_status status_of_select(int rc)
{
    return rc == SQLITE_DONE ? RA_STORE_NOT_FOUND : ra_sqlite_status(rc);
}

static enum ra_store_status sqlite_blacklist_check(void *arg, const uint8_t *hash, size_t size)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_BLACKLIST_CHECK, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, 1, hash, (int)size, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, 2, hash + size - 10, 10, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(statement, 3, hash + size - 8, 8, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return status_of_select(rc);
}

static enum ra_store_status sqlite_file_requester(void *arg, const char *filename,
                                                  size_t filename_size, uint8_t requester[48],
                                                  size_t *requester_size)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc, size;

    *requester_size = 0;
    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_FILE_REQUESTER, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(statement, 1, filename, (int)filename_size, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        size = sqlite3_column_bytes(statement, 0);
        if (size > 0 && size <= 48) {
            memcpy(requester, sqlite3_column_blob(statement, 0), (size_t)size);
            *requester_size = (size_t)size;
        }
    }
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return status_of_select(rc);
}

static enum ra_store_status sqlite_file_assign(void *arg, const char *filename,
                                               const uint8_t *requester, size_t requester_size)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    uint8_t known[48];
    size_t known_size;
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
        sqlite_file_requester(backend, filename, strlen(filename), known, &known_size) ==
            RA_STORE_OK &&
        known_size == requester_size && memcmp(known, requester, known_size) == 0)
        return RA_STORE_OK;
    return ra_sqlite_status(rc);
}

static enum ra_store_status sqlite_file_unassign(void *arg, const char *filename)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_FILE_UNASSIGN, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(statement, 1, filename, -1, SQLITE_STATIC);
    return step_delete(backend, connection, statement, rc);
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
    .blacklist_add = sqlite_blacklist_add,
    .blacklist_remove = sqlite_blacklist_remove,
    .blacklist_each = sqlite_blacklist_each,
    .blacklist_check = sqlite_blacklist_check,
    .file_assign = sqlite_file_assign,
    .file_unassign = sqlite_file_unassign,
    .file_each = sqlite_file_each,
    .file_requester = sqlite_file_requester,
};
