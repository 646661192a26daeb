/*
 * store_pg_pool.c: connections to PostgreSQL.
 *
 * Each thread that calls borrows a connection of a small pool. A connection that died while it was
 * idle (the server was restarted) is noticed when it is borrowed, and replaced; while there is no
 * server, a call fails at once, and one try in a while is made. No wait is without an end: not for
 * the server to answer, nor there for a lock. A connection string can hold a password: no text of
 * libpq that quotes one is passed on.
 */
#include "protocol/ra/store_pg.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#define POOL_MAX 8
#define CONNECT_TIMEOUT "3" /* s */
#define ANSWER_MS 8000 /* above statement_timeout: then it is the network, or a stopped server */
#define RETRY_MS 250   /* between two tries to connect */

/*
 * A server that is set to acknowledge before it has written is overruled for us; one that waits
 * for replicas as well keeps doing so. All that we ask has an index; a plan that reads a whole
 * table because it is small today costs more than the index, and still is in force when it has
 * grown.
 */
static const char session[] =
    "SET search_path = dot2hsm, pg_temp; SET lock_timeout = '2s'; SET statement_timeout = '5s';"
    "SET idle_in_transaction_session_timeout = '10s';"
    "SET default_transaction_isolation = 'read committed'; SET client_min_messages = 'warning';"
    "SET enable_seqscan = off; SET jit = off;"
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'";

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void error_keep(struct ra_pg *backend, const char *text)
{
    pthread_mutex_lock(&backend->lock);
    snprintf(backend->error, sizeof backend->error, "%s: %.*s", backend->name,
             (int)strcspn(text, "\n"), text);
    pthread_mutex_unlock(&backend->lock);
}

static void connection_close(struct ra_pg_connection *connection)
{
    if (connection == NULL)
        return;
    PQfinish(connection->pg);
    OPENSSL_free(connection);
}

/* Warnings of the server are not for our standard error. */
static void notice_ignore(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static struct ra_pg_connection *connection_open(struct ra_pg *backend)
{
    /* What comes after dbname cannot be changed by it. */
    static const char *const keys[] = {"connect_timeout", "application_name", "tcp_user_timeout",
                                       "dbname",          "client_encoding",  NULL};
    const char *values[] = {CONNECT_TIMEOUT, "dot2hsm", "5000", backend->conninfo, "UTF8", NULL};
    struct ra_pg_connection *made = OPENSSL_zalloc(sizeof *made);
    PGresult *result = NULL;

    if (made == NULL)
        return NULL;
    made->pg = PQconnectdbParams(keys, values, 1);
    if (PQstatus(made->pg) == CONNECTION_OK) {
        PQsetNoticeReceiver(made->pg, notice_ignore, NULL);
        result = PQexec(made->pg, session);
        if (PQresultStatus(result) == PGRES_TUPLES_OK) {
            PQclear(result);
            return made;
        }
    }
    error_keep(backend, made->pg == NULL ? "out of memory" : PQerrorMessage(made->pg));
    PQclear(result);
    connection_close(made);
    return NULL;
}

/* Host and database of a connection string, for texts; false if it is none. */
static bool conninfo_name(const char *conninfo, char *name, size_t size)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    const char *host = "", *database = "";
    bool valid;

    if (options == NULL)
        return false;
    for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val == NULL)
            continue;
        if (strcmp(option->keyword, "host") == 0)
            host = option->val;
        else if (strcmp(option->keyword, "dbname") == 0)
            database = option->val;
    }
    /* An @ there is the one of a URI whose password has a / that is not percent-encoded. */
    valid = strchr(host, '@') == NULL && strchr(database, '@') == NULL;
    if (valid)
        snprintf(name, size, "postgresql %s%s%s", host, *host == '\0' ? "" : " ", database);
    PQconninfoFree(options);
    return valid;
}

void ra_pg_close(void *arg)
{
    struct ra_pg *backend = arg;

    while (backend->free != NULL) {
        struct ra_pg_connection *connection = backend->free;

        backend->free = connection->next;
        connection_close(connection);
    }
    pthread_cond_destroy(&backend->returned);
    pthread_mutex_destroy(&backend->lock);
    if (backend->conninfo != NULL)
        OPENSSL_clear_free(backend->conninfo, strlen(backend->conninfo));
    OPENSSL_free(backend);
}

enum ra_store_status ra_pg_open(const char *location, bool create, void **out, char *text,
                                size_t size)
{
    struct ra_pg *backend = OPENSSL_zalloc(sizeof *backend);
    /* A URI's own scheme is the one of the spec. */
    const char *prefix = strncmp(location, "//", 2) == 0 ? "postgresql:" : "";
    size_t room = strlen(prefix) + strlen(location) + 1;
    enum ra_store_status status = RA_STORE_UNAVAILABLE;

    if (backend == NULL || (backend->conninfo = OPENSSL_malloc(room)) == NULL) {
        OPENSSL_free(backend);
        snprintf(text, size, "out of memory");
        return RA_STORE_UNAVAILABLE;
    }
    pthread_mutex_init(&backend->lock, NULL);
    pthread_cond_init(&backend->returned, NULL);
    snprintf(backend->conninfo, room, "%s%s", prefix, location);
    if (!conninfo_name(backend->conninfo, backend->name, sizeof backend->name)) {
        snprintf(text, size, "what follows \"postgresql:\" is no connection string of PostgreSQL");
        status = RA_STORE_ARGUMENT;
        goto out;
    }
    backend->free = connection_open(backend);
    if (backend->free == NULL) {
        snprintf(text, size, "%s", backend->error);
        goto out;
    }
    backend->opened = 1;
    status = ra_pg_migrate(backend, backend->free->pg, create, text, size);
out:
    if (status == RA_STORE_OK)
        *out = backend;
    else
        ra_pg_close(backend);
    return status;
}

void ra_pg_last_error(void *arg, char *text, size_t size)
{
    struct ra_pg *backend = arg;

    pthread_mutex_lock(&backend->lock);
    snprintf(text, size, "%s", backend->error);
    pthread_mutex_unlock(&backend->lock);
}

/* An idle connection has nothing to say: what is to be read is its end, or a warning of it. */
static bool alive(struct ra_pg_connection *connection)
{
    struct pollfd readable = {.fd = PQsocket(connection->pg), .events = POLLIN};

    if (readable.fd < 0 || PQstatus(connection->pg) != CONNECTION_OK)
        return false;
    return poll(&readable, 1, 0) <= 0;
}

struct ra_pg_connection *ra_pg_borrow(struct ra_pg *backend)
{
    struct ra_pg_connection *connection = NULL;
    bool may_open;

    pthread_mutex_lock(&backend->lock);
    while (backend->free == NULL && backend->opened >= POOL_MAX)
        pthread_cond_wait(&backend->returned, &backend->lock);
    connection = backend->free;
    if (connection != NULL)
        backend->free = connection->next;
    else
        backend->opened++;
    pthread_mutex_unlock(&backend->lock);
    if (connection != NULL && alive(connection))
        return connection;
    connection_close(connection);

    connection = NULL;
    pthread_mutex_lock(&backend->lock);
    may_open = now_ms() >= backend->next_try;
    pthread_mutex_unlock(&backend->lock);
    if (may_open)
        connection = connection_open(backend);
    if (connection == NULL) {
        pthread_mutex_lock(&backend->lock);
        if (may_open)
            backend->next_try = now_ms() + RETRY_MS;
        backend->opened--;
        pthread_cond_signal(&backend->returned);
        pthread_mutex_unlock(&backend->lock);
    }
    return connection;
}

void ra_pg_give_back(struct ra_pg *backend, struct ra_pg_connection *connection)
{
    /* A connection inside a transaction would bring it to the next caller. */
    bool broken = connection->broken || PQtransactionStatus(connection->pg) != PQTRANS_IDLE;

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

/* The last result of what was sent; NULL if the connection is lost or the deadline has passed. */
static PGresult *answer(struct ra_pg_connection *connection)
{
    int64_t deadline = now_ms() + ANSWER_MS;
    PGresult *last = NULL, *result;

    for (;;) {
        while (PQisBusy(connection->pg) != 0) {
            struct pollfd readable = {.fd = PQsocket(connection->pg), .events = POLLIN};
            int64_t left = deadline - now_ms();
            int ready = left <= 0 ? 0 : poll(&readable, 1, (int)left);

            if (ready < 0 && errno == EINTR)
                continue;
            if (ready <= 0 || PQconsumeInput(connection->pg) == 0) {
                connection->broken = true;
                PQclear(last);
                return NULL;
            }
        }
        result = PQgetResult(connection->pg);
        if (result == NULL)
            return last;
        PQclear(last);
        last = result;
    }
}

/* What a result is to the caller of the store; the first sentence of an error is kept. */
static enum ra_store_status status_of(struct ra_pg *backend, struct ra_pg_connection *connection,
                                      const PGresult *result)
{
    const char *state, *primary;

    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        return RA_STORE_OK;
    default:
        break;
    }
    state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (state != NULL && strcmp(state, "23505") == 0) /* unique_violation */
        return RA_STORE_EXISTS;
    error_keep(backend, primary != NULL ? primary : "the server does not answer");
    if (state != NULL && strncmp(state, "22", 2) == 0) /* data exception: not UTF-8, ... */
        return RA_STORE_ARGUMENT;
    /* A deadlock or a lock timeout leaves the connection sound; else a new one is safer. */
    if (state == NULL || (strncmp(state, "40", 2) != 0 && strcmp(state, "55P03") != 0))
        connection->broken = true;
    return RA_STORE_UNAVAILABLE;
}

static enum ra_store_status prepare(struct ra_pg *backend, struct ra_pg_connection *connection,
                                    enum ra_pg_sql which, char name[16])
{
    enum ra_store_status status = RA_STORE_OK;
    PGresult *got = NULL;

    snprintf(name, 16, "s%d", (int)which);
    if (connection->prepared[which])
        return RA_STORE_OK;
    if (PQsendPrepare(connection->pg, name, ra_pg_sql[which], 0, NULL) == 1)
        got = answer(connection);
    status = status_of(backend, connection, got);
    PQclear(got);
    connection->prepared[which] = status == RA_STORE_OK;
    return status;
}

static bool send_call(struct ra_pg_connection *connection, const char *name,
                      const struct ra_pg_params *params)
{
    static const struct ra_pg_params none;

    if (params == NULL)
        params = &none;
    return PQsendQueryPrepared(connection->pg, name, params->count, params->values, params->lengths,
                               params->formats, 1) == 1;
}

enum ra_store_status ra_pg_run(struct ra_pg *backend, struct ra_pg_connection *connection,
                               enum ra_pg_sql which, const struct ra_pg_params *params,
                               PGresult **result)
{
    PGresult *got = NULL;
    char name[16];
    enum ra_store_status status = prepare(backend, connection, which, name);

    *result = NULL;
    if (status != RA_STORE_OK)
        return status;
    if (send_call(connection, name, params))
        got = answer(connection);
    status = status_of(backend, connection, got);
    if (status == RA_STORE_OK)
        *result = got;
    else
        PQclear(got);
    return status;
}

enum ra_store_status ra_pg_run_all(struct ra_pg *backend, struct ra_pg_connection *connection,
                                   struct ra_pg_call *calls, size_t count)
{
    enum ra_store_status status = RA_STORE_OK;
    char name[RA_PG_CALLS_MAX][16];
    bool sent = true;

    for (size_t i = 0; i < count; i++)
        calls[i].result = NULL;
    for (size_t i = 0; i < count && status == RA_STORE_OK; i++)
        status = prepare(backend, connection, calls[i].which, name[i]);
    if (status != RA_STORE_OK)
        return status;
    sent = PQenterPipelineMode(connection->pg) == 1;
    for (size_t i = 0; i < count && sent; i++)
        sent = send_call(connection, name[i], calls[i].params);
    sent = sent && PQpipelineSync(connection->pg) == 1;
    for (size_t i = 0; i < count && status == RA_STORE_OK; i++) {
        calls[i].result = sent ? answer(connection) : NULL;
        status = status_of(backend, connection, calls[i].result);
    }
    /* What follows one that failed is not done; the server says so of each, and of the end. */
    for (bool end = false; sent && !end && !connection->broken;) {
        PGresult *rest = answer(connection);

        end = rest == NULL || PQresultStatus(rest) == PGRES_PIPELINE_SYNC;
        PQclear(rest);
    }
    if (!connection->broken && PQexitPipelineMode(connection->pg) != 1)
        connection->broken = true;
    return status;
}

void ra_pg_calls_clear(struct ra_pg_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        PQclear(calls[i].result);
}

enum ra_store_status ra_pg_ask(struct ra_pg *backend, enum ra_pg_sql which,
                               const struct ra_pg_params *params, PGresult **result)
{
    enum ra_store_status status = RA_STORE_UNAVAILABLE;
    bool again = true;

    *result = NULL;
    for (int i = 0; i < 2 && again; i++) {
        struct ra_pg_connection *connection = ra_pg_borrow(backend);

        if (connection == NULL)
            return RA_STORE_UNAVAILABLE;
        status = ra_pg_run(backend, connection, which, params, result);
        again = status == RA_STORE_UNAVAILABLE && PQstatus(connection->pg) == CONNECTION_BAD;
        ra_pg_give_back(backend, connection);
    }
    return status;
}

enum ra_store_status ra_pg_write(struct ra_pg *backend, enum ra_pg_sql which,
                                 const struct ra_pg_params *params)
{
    struct ra_pg_connection *connection = ra_pg_borrow(backend);
    enum ra_store_status status;
    PGresult *result = NULL;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    status = ra_pg_run(backend, connection, which, params, &result);
    ra_pg_give_back(backend, connection);
    if (status == RA_STORE_OK && strcmp(PQcmdTuples(result), "0") == 0)
        status = RA_STORE_NOT_FOUND;
    PQclear(result);
    return status;
}
