/*
 * store_sqlite_pool.c: the store's one SQLite file, its schema, and connections to it.
 *
 * WAL, so that a command that edits the blacklist never makes the server wait, and synchronous =
 * FULL, so that what was said to be stored survives a power cut. Each thread that calls borrows a
 * connection of a small pool; a connection has its prepared statements and is used by one thread
 * at a time. Nothing is cached here: what another process has committed holds for the next call.
 */
#include "protocol/ra/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <sqlite3.h>

#define APPLICATION_ID 0x64326873 /* "d2hs", in the file's header */
#define BUSY_TIMEOUT_MS 2000
#define POOL_MAX 8

/* Migration i brings schema i to schema i + 1. Only ever appended to. */
static const char *const migrations[] = {
    "CREATE TABLE blacklist ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id BLOB NOT NULL UNIQUE CHECK (length(id) IN (8, 10, 32, 48)),"
    "  added INTEGER NOT NULL,"
    "  comment TEXT NOT NULL);"
    "CREATE TABLE files ("
    "  name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,"
    "  requester BLOB NOT NULL CHECK (length(requester) IN (32, 48))) WITHOUT ROWID;",
    /*
     * request_hash is the tail of hash by which files are named: two requests that share it could
     * not be told apart, so it is the key. Tries are counted by the second, which bounds what a
     * device that tries without end can fill.
     */
    "CREATE TABLE requests ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  request_hash BLOB NOT NULL UNIQUE CHECK (length(request_hash) = 8),"
    "  hash BLOB NOT NULL CHECK (length(hash) = 32),"
    "  kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),"
    "  requester BLOB NOT NULL CHECK (length(requester) IN (32, 48)),"
    "  verify_key BLOB NOT NULL CHECK (length(verify_key) = 33),"
    "  permissions TEXT NOT NULL,"
    "  received INTEGER NOT NULL,"
    "  download_time INTEGER NOT NULL,"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),"
    "  detail TEXT NOT NULL,"
    "  certificate BLOB NOT NULL,"
    "  signed_request BLOB NOT NULL);"
    "CREATE UNIQUE INDEX requests_key ON requests (requester, verify_key) WHERE state = 0;"
    "CREATE INDEX requests_permissions ON requests (requester, permissions)"
    "  WHERE kind = 3 AND state = 0;"
    "CREATE INDEX requests_state ON requests (state);"
    "CREATE INDEX requests_received ON requests (received) WHERE state <> 0;"
    "CREATE TABLE tries ("
    "  requester BLOB NOT NULL CHECK (length(requester) IN (32, 48)),"
    "  at INTEGER NOT NULL,"
    "  tries INTEGER NOT NULL,"
    "  PRIMARY KEY (requester, at)) WITHOUT ROWID;"
    "CREATE INDEX tries_at ON tries (at);"
    "CREATE TABLE ecas ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id BLOB NOT NULL UNIQUE CHECK (length(id) = 8),"
    "  comment TEXT NOT NULL);",
    /* A key is looked up whatever became of its request. */
    "DROP INDEX requests_key; CREATE INDEX requests_key ON requests (requester, verify_key);",
};
#define SCHEMA_VERSION ((int)(sizeof migrations / sizeof migrations[0]))

enum ra_store_status ra_sqlite_status(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return RA_STORE_OK;
    case SQLITE_CONSTRAINT:
        return RA_STORE_EXISTS;
    case SQLITE_NOTADB:
        return RA_STORE_ARGUMENT;
    default:
        return RA_STORE_UNAVAILABLE;
    }
}

static void connection_close(struct ra_sqlite_connection *connection)
{
    if (connection == NULL)
        return;
    for (size_t i = 0; i < RA_SQL_COUNT; i++)
        sqlite3_finalize(connection->statements[i]);
    sqlite3_close(connection->db);
    OPENSSL_free(connection);
}

/* Runs a query whose answer is one row of one column; text may be NULL. */
static int query_one(sqlite3 *db, const char *sql, int *number, char *text, size_t text_size)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        const unsigned char *column = sqlite3_column_text(statement, 0);

        if (number != NULL)
            *number = sqlite3_column_int(statement, 0);
        if (text != NULL)
            snprintf(text, text_size, "%s", column == NULL ? "" : (const char *)column);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return rc;
}

static int connection_open(const char *path, struct ra_sqlite_connection **connection)
{
    struct ra_sqlite_connection *made = OPENSSL_zalloc(sizeof *made);
    char mode[16] = "";
    int rc;

    *connection = NULL;
    if (made == NULL)
        return SQLITE_NOMEM;
    /* NOMUTEX: a connection is used by one thread at a time, the pool sees to it. */
    rc = sqlite3_open_v2(path, &made->db,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(made->db, BUSY_TIMEOUT_MS);
    if (rc == SQLITE_OK)
        rc = query_one(made->db, "PRAGMA journal_mode = WAL", NULL, mode, sizeof mode);
    /* Without WAL (some network file systems) a reader and a writer would block each other. */
    if (rc == SQLITE_OK && strcmp(mode, "wal") != 0)
        rc = SQLITE_CANTOPEN;
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(made->db,
                          "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                          "PRAGMA trusted_schema = OFF",
                          NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        connection_close(made);
        return rc;
    }
    *connection = made;
    return SQLITE_OK;
}

/* The file, with mode 0600 whatever the umask; SQLite gives its -wal and -shm the same mode. */
static enum ra_store_status file_create(const char *path, bool create, char *text, size_t size)
{
    struct stat st;
    int fd = -1;

    if (stat(path, &st) == 0) {
        if (S_ISREG(st.st_mode))
            return RA_STORE_OK;
        snprintf(text, size, "%s: not a regular file", path);
        return RA_STORE_ARGUMENT;
    }
    if (errno != ENOENT) {
        snprintf(text, size, "%s: %s", path, strerror(errno));
        return RA_STORE_UNAVAILABLE;
    }
    if (!create) {
        snprintf(text, size, "%s: there is no such store", path);
        return RA_STORE_NOT_FOUND;
    }
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST) /* another process was faster: its file will do */
        return RA_STORE_OK;
    if (fd < 0 || fchmod(fd, 0600) != 0) {
        snprintf(text, size, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return RA_STORE_UNAVAILABLE;
    }
    close(fd);
    return RA_STORE_OK;
}

/* Brings the schema up to date, in one transaction that other processes wait for. */
static enum ra_store_status migrate(sqlite3 *db, const char *path, char *text, size_t size)
{
    enum ra_store_status status = RA_STORE_OK;
    int version = 0, application = 0, tables = 0;
    char sql[64];
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = query_one(db, "PRAGMA user_version", &version, NULL, 0);
    if (rc == SQLITE_OK)
        rc = query_one(db, "PRAGMA application_id", &application, NULL, 0);
    if (rc == SQLITE_OK)
        rc = query_one(db, "SELECT count(*) FROM sqlite_schema", &tables, NULL, 0);
    if (rc != SQLITE_OK)
        goto out;
    if (application != APPLICATION_ID && tables != 0) {
        snprintf(text, size, "%s: a database, but not a store of dot2hsm", path);
        status = RA_STORE_ARGUMENT;
        goto out;
    }
    if (version > SCHEMA_VERSION) {
        snprintf(text, size, "%s: schema %d is newer than this program's (%d)", path, version,
                 SCHEMA_VERSION);
        status = RA_STORE_SCHEMA;
        goto out;
    }
    if (version == SCHEMA_VERSION)
        goto out;
    for (int i = version < 0 ? 0 : version; i < SCHEMA_VERSION && rc == SQLITE_OK; i++)
        rc = sqlite3_exec(db, migrations[i], NULL, NULL, NULL);
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", SCHEMA_VERSION);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d", APPLICATION_ID);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
out:
    if (rc != SQLITE_OK && status == RA_STORE_OK) {
        status = ra_sqlite_status(rc);
        snprintf(text, size, "%s: %s", path, sqlite3_errmsg(db));
    }
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

void ra_sqlite_close(void *arg)
{
    struct ra_sqlite *backend = arg;

    while (backend->free != NULL) {
        struct ra_sqlite_connection *connection = backend->free;

        backend->free = connection->next;
        connection_close(connection);
    }
    connection_close(backend->writing);
    pthread_cond_destroy(&backend->decided);
    pthread_cond_destroy(&backend->returned);
    pthread_mutex_destroy(&backend->lock);
    pthread_mutex_destroy(&backend->writer);
    OPENSSL_free(backend->path);
    OPENSSL_free(backend);
}

enum ra_store_status ra_sqlite_open(const char *location, bool create, void **out, char *text,
                                    size_t size)
{
    struct ra_sqlite *backend = NULL;
    struct ra_sqlite_connection *connection = NULL;
    enum ra_store_status status = file_create(location, create, text, size);
    int rc;

    if (status != RA_STORE_OK)
        return status;
    rc = connection_open(location, &connection);
    if (rc != SQLITE_OK) {
        snprintf(text, size, "%s: %s", location, sqlite3_errstr(rc));
        return ra_sqlite_status(rc);
    }
    status = migrate(connection->db, location, text, size);
    if (status != RA_STORE_OK) {
        connection_close(connection);
        return status;
    }
    backend = OPENSSL_zalloc(sizeof *backend);
    if (backend == NULL || (backend->path = OPENSSL_strdup(location)) == NULL) {
        OPENSSL_free(backend);
        connection_close(connection);
        snprintf(text, size, "out of memory");
        return RA_STORE_UNAVAILABLE;
    }
    pthread_mutex_init(&backend->writer, NULL);
    pthread_mutex_init(&backend->lock, NULL);
    pthread_cond_init(&backend->returned, NULL);
    pthread_cond_init(&backend->decided, NULL);
    backend->wishes_end = &backend->wishes;
    backend->free = connection;
    backend->opened = 1;
    *out = backend;
    return RA_STORE_OK;
}

static void error_keep(struct ra_sqlite *backend, const char *text)
{
    pthread_mutex_lock(&backend->lock);
    snprintf(backend->error, sizeof backend->error, "%s: %s", backend->path, text);
    pthread_mutex_unlock(&backend->lock);
}

void ra_sqlite_last_error(void *arg, char *text, size_t size)
{
    struct ra_sqlite *backend = arg;

    pthread_mutex_lock(&backend->lock);
    snprintf(text, size, "%s", backend->error);
    pthread_mutex_unlock(&backend->lock);
}

struct ra_sqlite_connection *ra_sqlite_borrow(struct ra_sqlite *backend)
{
    struct ra_sqlite_connection *connection = NULL;
    bool open = false;
    int rc;

    pthread_mutex_lock(&backend->lock);
    while (backend->free == NULL && backend->opened >= POOL_MAX)
        pthread_cond_wait(&backend->returned, &backend->lock);
    connection = backend->free;
    if (connection != NULL) {
        backend->free = connection->next;
    } else {
        backend->opened++;
        open = true;
    }
    pthread_mutex_unlock(&backend->lock);
    if (!open)
        return connection;

    rc = connection_open(backend->path, &connection);
    if (rc != SQLITE_OK) {
        error_keep(backend, sqlite3_errstr(rc));
        pthread_mutex_lock(&backend->lock);
        backend->opened--;
        pthread_cond_signal(&backend->returned);
        pthread_mutex_unlock(&backend->lock);
    }
    return connection;
}

struct ra_sqlite_connection *ra_sqlite_borrow_to_write(struct ra_sqlite *backend)
{
    int rc = SQLITE_OK;

    pthread_mutex_lock(&backend->writer);
    if (backend->writing == NULL)
        rc = connection_open(backend->path, &backend->writing);
    if (rc == SQLITE_OK) {
        backend->writing->writes = true;
        return backend->writing;
    }
    error_keep(backend, sqlite3_errstr(rc));
    pthread_mutex_unlock(&backend->writer);
    return NULL;
}

void ra_sqlite_give_back(struct ra_sqlite *backend, struct ra_sqlite_connection *connection, int rc)
{
    bool broken = ra_sqlite_status(rc) == RA_STORE_UNAVAILABLE;

    if (broken)
        error_keep(backend, sqlite3_errmsg(connection->db));
    if (connection->writes) {
        if (broken) {
            connection_close(connection);
            backend->writing = NULL;
        }
        pthread_mutex_unlock(&backend->writer);
        return;
    }
    if (broken)
        connection_close(connection);
    pthread_mutex_lock(&backend->lock);
    if (broken) {
        backend->opened--;
    } else {
        connection->next = backend->free;
        backend->free = connection;
    }
    pthread_cond_signal(&backend->returned);
    pthread_mutex_unlock(&backend->lock);
}

int ra_sqlite_statement(struct ra_sqlite_connection *connection, enum ra_sql which,
                        sqlite3_stmt **statement)
{
    int rc = SQLITE_OK;

    if (connection->statements[which] == NULL)
        rc = sqlite3_prepare_v3(connection->db, ra_sqlite_sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                &connection->statements[which], NULL);
    *statement = connection->statements[which];
    return rc;
}

void ra_sqlite_done(sqlite3_stmt *statement)
{
    if (statement != NULL) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    }
}

int ra_sqlite_run(sqlite3_stmt *statement, int rc)
{
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    ra_sqlite_done(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

enum ra_store_status ra_sqlite_delete(struct ra_sqlite *backend,
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
