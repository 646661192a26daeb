/*
 * store_sqlite.h: the SQLite back end: its statements, which a test asks SQLite about too, and its
 * connections. Private to protocol/ra.
 */
#ifndef DOT2HSM_PROTOCOL_RA_STORE_SQLITE_H
#define DOT2HSM_PROTOCOL_RA_STORE_SQLITE_H

#include "protocol/ra/store_ops.h"

#include <pthread.h>

#include <sqlite3.h>

enum ra_sql {
    RA_SQL_BLACKLIST_ADD,
    RA_SQL_BLACKLIST_REMOVE,
    RA_SQL_BLACKLIST_EACH,
    RA_SQL_BLACKLIST_CHECK,
    RA_SQL_FILE_ASSIGN,
    RA_SQL_FILE_UNASSIGN,
    RA_SQL_FILE_EACH,
    RA_SQL_FILE_REQUESTER,
    RA_SQL_COUNT
};
extern const char *const ra_sqlite_sql[RA_SQL_COUNT];

struct ra_sqlite_connection {
    sqlite3 *db;
    sqlite3_stmt *statements[RA_SQL_COUNT]; /* prepared on first use */
    struct ra_sqlite_connection *next;      /* in the pool's list of free ones */
};

struct ra_sqlite {
    char *path;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    struct ra_sqlite_connection *free;
    unsigned opened; /* connections that exist */
    char error[256]; /* of the last failure */
};

enum ra_store_status ra_sqlite_open(const char *location, bool create, void **backend, char *text,
                                    size_t size);
void ra_sqlite_close(void *backend);
void ra_sqlite_last_error(void *backend, char *text, size_t size);

/* What a result code of SQLite is to the caller of the store. */
enum ra_store_status ra_sqlite_status(int rc);
/* A connection for one call; NULL if there is none to be had. */
struct ra_sqlite_connection *ra_sqlite_borrow(struct ra_sqlite *backend);
/*
 * Gives a connection back. One on which something failed that is not an answer is closed: the next
 * caller gets a new one.
 */
void ra_sqlite_give_back(struct ra_sqlite *backend, struct ra_sqlite_connection *connection,
                         int rc);
/* A prepared statement of the connection; a result code of SQLite. */
int ra_sqlite_statement(struct ra_sqlite_connection *connection, enum ra_sql which,
                        sqlite3_stmt **statement);
/* Ends the read transaction at once: an open one would hold back WAL checkpoints. */
void ra_sqlite_done(sqlite3_stmt *statement);

#endif
