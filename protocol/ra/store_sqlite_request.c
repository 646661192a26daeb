/* store_sqlite_request.c: requests once they are accepted, and the ECA whitelist, in SQLite. */
#include "protocol/ra/store_sqlite.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

enum ra_store_status ra_sqlite_request_tries(void *arg, const uint8_t *requester,
                                             size_t requester_size, int64_t since, int64_t *count)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_TRY_SUM, &statement);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 1, requester, requester_size);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 2, since);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *count = sqlite3_column_int64(statement, 0);
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return ra_sqlite_status(rc);
}

/* A column of a fixed place: what does not fit was not written by us. */
static int column_copy(sqlite3_stmt *statement, int column, uint8_t *octets, size_t min, size_t max,
                       size_t *size)
{
    int bytes = sqlite3_column_bytes(statement, column);

    if (bytes < 0 || (size_t)bytes < min || (size_t)bytes > max)
        return SQLITE_CORRUPT;
    memcpy(octets, sqlite3_column_blob(statement, column), (size_t)bytes);
    if (size != NULL)
        *size = (size_t)bytes;
    return SQLITE_ROW;
}

static int request_read(sqlite3_stmt *statement, struct ra_request *request, uint8_t **octets)
{
    size_t certificate_size = (size_t)sqlite3_column_bytes(statement, 10);
    size_t signed_size = (size_t)sqlite3_column_bytes(statement, 11);
    uint8_t *made = OPENSSL_malloc(certificate_size + signed_size + 1);
    int rc;

    if (made == NULL)
        return SQLITE_NOMEM;
    *octets = made;
    rc = column_copy(statement, 1, request->hash, 32, 32, NULL);
    if (rc == SQLITE_ROW)
        rc = column_copy(statement, 3, request->requester, 32, 48, &request->requester_size);
    if (rc == SQLITE_ROW)
        rc = column_copy(statement, 4, request->verify_key, 33, 33, NULL);
    if (rc == SQLITE_ROW)
        rc = column_copy(statement, 10, made, 1, certificate_size, NULL);
    if (rc == SQLITE_ROW)
        rc = column_copy(statement, 11, made + certificate_size, 1, signed_size, NULL);
    if (rc != SQLITE_ROW)
        return rc;
    request->kind = (enum scms_provision)sqlite3_column_int(statement, 2);
    snprintf(request->permissions, sizeof request->permissions, "%s",
             (const char *)sqlite3_column_text(statement, 5));
    request->received = sqlite3_column_int64(statement, 6);
    request->download_time = (uint32_t)sqlite3_column_int64(statement, 7);
    request->state = (enum ra_request_state)sqlite3_column_int(statement, 8);
    snprintf(request->detail, sizeof request->detail, "%s",
             (const char *)sqlite3_column_text(statement, 9));
    request->certificate = made;
    request->certificate_size = certificate_size;
    request->signed_request = made + certificate_size;
    request->signed_request_size = signed_size;
    return SQLITE_ROW;
}

enum ra_store_status ra_sqlite_request_next(void *arg, enum ra_request_state state, int64_t *after,
                                            struct ra_request *request, uint8_t **octets)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_REQUEST_NEXT, &statement);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int(statement, 1, (int)state);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 2, *after);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        *after = sqlite3_column_int64(statement, 0);
        rc = request_read(statement, request, octets);
    }
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return rc == SQLITE_DONE ? RA_STORE_NOT_FOUND : ra_sqlite_status(rc);
}

/* The state, requester and whole hash of a request. */
static enum ra_store_status request_look(struct ra_sqlite *backend, const uint8_t request_hash[8],
                                         enum ra_request_state *state, uint8_t requester[48],
                                         size_t *requester_size, uint8_t hash[32])
{
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_REQUEST_FIND, &statement);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 1, request_hash, 8);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        *state = (enum ra_request_state)sqlite3_column_int(statement, 0);
        rc = column_copy(statement, 1, requester, 32, 48, requester_size);
    }
    if (rc == SQLITE_ROW)
        rc = column_copy(statement, 2, hash, 32, 32, NULL);
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return rc == SQLITE_DONE ? RA_STORE_NOT_FOUND : ra_sqlite_status(rc);
}

enum ra_store_status ra_sqlite_request_find(void *arg, const uint8_t request_hash[8],
                                            enum ra_request_state *state, uint8_t requester[48],
                                            size_t *requester_size)
{
    uint8_t hash[32];

    return request_look(arg, request_hash, state, requester, requester_size, hash);
}

enum ra_store_status ra_sqlite_request_finish(void *arg, const uint8_t hash[32],
                                              enum ra_request_state state, const char *detail)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow_to_write(backend);
    enum ra_request_state known_state;
    enum ra_store_status status;
    sqlite3_stmt *statement = NULL;
    uint8_t requester[48], known[32];
    size_t requester_size;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_REQUEST_FINISH, &statement);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 1, hash + 24, 8);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 2, hash, 32);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int(statement, 3, (int)state);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_text(statement, 4, detail);
    status = ra_sqlite_delete(backend, connection, statement, rc);
    if (status != RA_STORE_NOT_FOUND)
        return status;
    /* Failed already, or not known. */
    status = request_look(backend, hash + 24, &known_state, requester, &requester_size, known);
    if (status == RA_STORE_OK)
        return memcmp(known, hash, 32) == 0 ? RA_STORE_EXISTS : RA_STORE_NOT_FOUND;
    return status;
}

enum ra_store_status ra_sqlite_eca_add(void *arg, const uint8_t hashedid8[8], const char *comment)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow_to_write(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_ECA_ADD, &statement);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 1, hashedid8, 8);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_text(statement, 2, comment);
    rc = ra_sqlite_run(statement, rc);
    ra_sqlite_give_back(backend, connection, rc);
    return ra_sqlite_status(rc);
}

enum ra_store_status ra_sqlite_eca_remove(void *arg, const uint8_t hashedid8[8])
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow_to_write(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_ECA_REMOVE, &statement);
    if (rc == SQLITE_OK)
        rc = ra_sqlite_blob(statement, 1, hashedid8, 8);
    return ra_sqlite_delete(backend, connection, statement, rc);
}

enum ra_store_status ra_sqlite_eca_each(void *arg, ra_eca_each_fn *each, void *each_arg)
{
    struct ra_sqlite *backend = arg;
    struct ra_sqlite_connection *connection = ra_sqlite_borrow(backend);
    sqlite3_stmt *statement = NULL;
    int rc;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    rc = ra_sqlite_statement(connection, RA_SQL_ECA_EACH, &statement);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        uint8_t id[8];

        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW)
            rc = column_copy(statement, 0, id, 8, 8, NULL);
        if (rc != SQLITE_ROW ||
            !each(each_arg, id, (const char *)sqlite3_column_text(statement, 1)))
            break;
    }
    ra_sqlite_done(statement);
    ra_sqlite_give_back(backend, connection, rc);
    return ra_sqlite_status(rc);
}
