/*
 * store_pg.h: the PostgreSQL back end: its statements and its connections. Private to protocol/ra.
 */
#ifndef DOT2HSM_PROTOCOL_RA_STORE_PG_H
#define DOT2HSM_PROTOCOL_RA_STORE_PG_H

#include "protocol/ra/store_ops.h"

#include <pthread.h>

#include <libpq-fe.h>

enum ra_pg_sql {
    RA_PG_STORE_COUNT,
    RA_PG_BLACKLIST_ADD,
    RA_PG_BLACKLIST_REMOVE,
    RA_PG_BLACKLIST_PAGE,
    RA_PG_FILE_ASSIGN,
    RA_PG_FILE_UNASSIGN,
    RA_PG_FILE_PAGE,
    RA_PG_ASK,
    RA_PG_BEGIN,
    RA_PG_COMMIT,
    RA_PG_ROLLBACK,
    RA_PG_REQUESTER_LOCK,
    RA_PG_REQUEST_FACTS,
    RA_PG_REQUEST_INSERT,
    RA_PG_REQUEST_PRUNE,
    RA_PG_REQUEST_NEXT,
    RA_PG_REQUEST_FINISH,
    RA_PG_REQUEST_FIND,
    RA_PG_TRY_COUNT,
    RA_PG_TRY_SUM,
    RA_PG_TRY_PRUNE,
    RA_PG_ECA_ADD,
    RA_PG_ECA_REMOVE,
    RA_PG_ECA_EACH,
    RA_PG_COUNT
};
extern const char *const ra_pg_sql[RA_PG_COUNT];

#define RA_PG_PARAMS_MAX 12

struct ra_pg_connection {
    PGconn *pg;
    bool prepared[RA_PG_COUNT];
    bool broken;                   /* something happened after which it is not used again */
    struct ra_pg_connection *next; /* in the pool's list of free ones */
};

struct ra_pg {
    char *conninfo; /* holds a password, perhaps: never in a text */
    char name[128]; /* host and database, for texts */
    pthread_mutex_t lock;
    pthread_cond_t returned;
    struct ra_pg_connection *free;
    unsigned opened;  /* connections that exist */
    int64_t next_try; /* CLOCK_MONOTONIC in ms: not before then is a connection opened */
    char error[256];  /* of the last failure */
};

/* The parameters of a statement; numbers live in it, octets and texts with the caller. */
struct ra_pg_params {
    int count;
    const char *values[RA_PG_PARAMS_MAX];
    int lengths[RA_PG_PARAMS_MAX];
    int formats[RA_PG_PARAMS_MAX];
    char numbers[RA_PG_PARAMS_MAX][24];
};
void ra_pg_octets(struct ra_pg_params *params, const uint8_t *octets, size_t size);
void ra_pg_text(struct ra_pg_params *params, const char *text);
void ra_pg_null(struct ra_pg_params *params);
void ra_pg_number(struct ra_pg_params *params, int64_t number);

/* store_pg_schema.c: the version of the schema is brought up to date, in one transaction. */
enum ra_store_status ra_pg_migrate(struct ra_pg *backend, PGconn *pg, bool create, char *text,
                                   size_t size);

/* store_pg_pool.c */
enum ra_store_status ra_pg_open(const char *location, bool create, void **backend, char *text,
                                size_t size);
void ra_pg_close(void *backend);
void ra_pg_last_error(void *backend, char *text, size_t size);
/* A connection for one call; NULL if there is none to be had. */
struct ra_pg_connection *ra_pg_borrow(struct ra_pg *backend);
/* Gives a connection back; a broken one is closed. */
void ra_pg_give_back(struct ra_pg *backend, struct ra_pg_connection *connection);
/*
 * Runs one statement and waits for its end, at most until the deadline. *result is PQclear'd by
 * the caller, and is NULL unless RA_STORE_OK. RA_STORE_EXISTS: a unique key is there already.
 */
enum ra_store_status ra_pg_run(struct ra_pg *backend, struct ra_pg_connection *connection,
                               enum ra_pg_sql which, const struct ra_pg_params *params,
                               PGresult **result);
/*
 * Several statements, which are all sent before the first answer is read: one way to the server and
 * back. After one that fails the rest is not done. Each result is ra_pg_calls_clear'd by the
 * caller, whatever is returned.
 */
#define RA_PG_CALLS_MAX 8
struct ra_pg_call {
    enum ra_pg_sql which;
    const struct ra_pg_params *params; /* NULL: none */
    PGresult *result;
};
enum ra_store_status ra_pg_run_all(struct ra_pg *backend, struct ra_pg_connection *connection,
                                   struct ra_pg_call *calls, size_t count);
void ra_pg_calls_clear(struct ra_pg_call *calls, size_t count);
/* Borrows, runs one statement and gives back. A question is asked again on a new connection. */
enum ra_store_status ra_pg_ask(struct ra_pg *backend, enum ra_pg_sql which,
                               const struct ra_pg_params *params, PGresult **result);
/* A statement that writes: NOT_FOUND if it changed no row. */
enum ra_store_status ra_pg_write(struct ra_pg *backend, enum ra_pg_sql which,
                                 const struct ra_pg_params *params);
/* A column of type int8. */
int64_t ra_pg_int64(const PGresult *result, int row, int column);
/* A column of octets, of min to max of them; RA_STORE_UNAVAILABLE if it is not so. */
enum ra_store_status ra_pg_copy(const PGresult *result, int row, int column, uint8_t *octets,
                                size_t min, size_t max, size_t *size);
/* A column of text, cut to fit. */
void ra_pg_string(const PGresult *result, int row, int column, char *text, size_t size);

/* store_pg_request.c: as the members of struct ra_store_ops. */
enum ra_store_status ra_pg_request_accept(void *backend, const struct ra_request *request,
                                          const struct ra_request_limits *limits,
                                          enum ra_request_verdict *verdict);
enum ra_store_status ra_pg_request_count_try(void *backend, const uint8_t *requester,
                                             size_t requester_size, int64_t now, int64_t window);
enum ra_store_status ra_pg_request_tries(void *backend, const uint8_t *requester,
                                         size_t requester_size, int64_t since, int64_t *count);
enum ra_store_status ra_pg_request_next(void *backend, enum ra_request_state state, int64_t *after,
                                        struct ra_request *request, uint8_t **octets);
enum ra_store_status ra_pg_request_finish(void *backend, const uint8_t hash[32],
                                          enum ra_request_state state, const char *detail);
enum ra_store_status ra_pg_request_find(void *backend, const uint8_t request_hash[8],
                                        enum ra_request_state *state, uint8_t requester[48],
                                        size_t *requester_size);
enum ra_store_status ra_pg_eca_add(void *backend, const uint8_t hashedid8[8], const char *comment);
enum ra_store_status ra_pg_eca_remove(void *backend, const uint8_t hashedid8[8]);
enum ra_store_status ra_pg_eca_each(void *backend, ra_eca_each_fn *each, void *arg);

#endif
