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
    RA_SQL_BEGIN,
    RA_SQL_COMMIT,
    RA_SQL_STORE_COUNT,
    RA_SQL_BLACKLIST_ADD,
    RA_SQL_BLACKLIST_REMOVE,
    RA_SQL_BLACKLIST_EACH,
    RA_SQL_FILE_ASSIGN,
    RA_SQL_FILE_UNASSIGN,
    RA_SQL_FILE_EACH,
    RA_SQL_ASK,
    RA_SQL_REQUEST_FACTS,
    RA_SQL_REQUEST_FORGET,
    RA_SQL_REQUEST_INSERT,
    RA_SQL_REQUEST_PRUNE,
    RA_SQL_REQUEST_NEXT,
    RA_SQL_REQUEST_FINISH,
    RA_SQL_REQUEST_FIND,
    RA_SQL_TRY_COUNT,
    RA_SQL_TRY_SUM,
    RA_SQL_TRY_PRUNE,
    RA_SQL_ECA_ADD,
    RA_SQL_ECA_REMOVE,
    RA_SQL_ECA_EACH,
    RA_SQL_COUNT
};
extern const char *const ra_sqlite_sql[RA_SQL_COUNT];

struct ra_sqlite_connection {
    sqlite3 *db;
    sqlite3_stmt *statements[RA_SQL_COUNT]; /* prepared on first use */
    struct ra_sqlite_connection *next;      /* in the pool's list of free ones */
    bool writes;                            /* it is the one for writing */
};

struct ra_sqlite {
    char *path;
    /* SQLite lets who wants to write try again and again, in no order: of many threads one may try
       until its time is up. Here they queue; only other processes are tried against. And they write
       through one connection, whose pages in memory stay good as long as it is the only one. */
    pthread_mutex_t writer;
    struct ra_sqlite_connection *writing; /* under writer; NULL until it is wanted */
    pthread_mutex_t lock;
    pthread_cond_t returned;
    struct ra_sqlite_connection *free;
    unsigned opened; /* connections that exist, but for writing */
    /* store_sqlite_accept.c: requests to be decided, by the order in which they came. */
    pthread_cond_t decided;
    struct ra_sqlite_wish *wishes, **wishes_end;
    bool deciding;   /* a thread decides those that it has taken from here */
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
/* The same for a call that writes: one at a time in this process. */
struct ra_sqlite_connection *ra_sqlite_borrow_to_write(struct ra_sqlite *backend);
/*
 * Gives a connection back. One on which something failed that is not an answer is closed: the next
 * caller gets a new one.
 */
void ra_sqlite_give_back(struct ra_sqlite *backend, struct ra_sqlite_connection *connection,
                         int rc);
/* A prepared statement of the connection; a result code of SQLite. */
int ra_sqlite_statement(struct ra_sqlite_connection *connection, enum ra_sql which,
                        sqlite3_stmt **statement);
/* A DELETE, bound already if rc is OK, and the end of the loan: NOT_FOUND if it took none away. */
enum ra_store_status ra_sqlite_delete(struct ra_sqlite *backend,
                                      struct ra_sqlite_connection *connection,
                                      sqlite3_stmt *statement, int rc);
/* Ends the read transaction at once: an open one would hold back WAL checkpoints. */
void ra_sqlite_done(sqlite3_stmt *statement);

/* Steps a statement that writes, or goes on with the failure there was: SQLITE_OK if done. */
int ra_sqlite_run(sqlite3_stmt *statement, int rc);
/* Parameters that outlive the statement's next step. */
static inline int ra_sqlite_blob(sqlite3_stmt *statement, int index, const uint8_t *octets,
                                 size_t size)
{
    return sqlite3_bind_blob64(statement, index, octets, size, SQLITE_STATIC);
}
static inline int ra_sqlite_text(sqlite3_stmt *statement, int index, const char *text)
{
    return sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

/* store_sqlite_accept.c, store_sqlite_request.c: as the members of struct ra_store_ops. */
enum ra_store_status ra_sqlite_request_accept(void *backend, const struct ra_request *request,
                                              const struct ra_request_limits *limits,
                                              enum ra_request_verdict *verdict);
enum ra_store_status ra_sqlite_request_count_try(void *backend, const uint8_t *requester,
                                                 size_t requester_size, int64_t now,
                                                 int64_t window);
enum ra_store_status ra_sqlite_request_tries(void *backend, const uint8_t *requester,
                                             size_t requester_size, int64_t since, int64_t *count);
enum ra_store_status ra_sqlite_request_next(void *backend, enum ra_request_state state,
                                            int64_t *after, struct ra_request *request,
                                            uint8_t **octets);
enum ra_store_status ra_sqlite_request_finish(void *backend, const uint8_t hash[32],
                                              enum ra_request_state state, const char *detail);
enum ra_store_status ra_sqlite_request_find(void *backend, const uint8_t request_hash[8],
                                            enum ra_request_state *state, uint8_t requester[48],
                                            size_t *requester_size);
enum ra_store_status ra_sqlite_eca_add(void *backend, const uint8_t hashedid8[8],
                                       const char *comment);
enum ra_store_status ra_sqlite_eca_remove(void *backend, const uint8_t hashedid8[8]);
enum ra_store_status ra_sqlite_eca_each(void *backend, ra_eca_each_fn *each, void *arg);

#endif
