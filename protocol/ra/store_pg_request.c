/*
 * store_pg_request.c: accepted requests and the ECA whitelist in PostgreSQL.
 *
 * A request is decided and recorded in one transaction that first takes an advisory lock of its
 * requester's: of two nodes that were handed the same request the second waits, and then sees what
 * the first has written. Requests of different devices do not wait for each other.
 */
#include "protocol/ra/store_pg.h"

#include <string.h>

#include <openssl/crypto.h>

/* Any four octets of the hash will do: devices that share them wait for each other, no more. */
static int32_t lock_number(const uint8_t *requester)
{
    int32_t number;

    memcpy(&number, requester, sizeof number);
    return number;
}

/* As ra_pg_run(), if all went well so far. */
static enum ra_store_status step(struct ra_pg *backend, struct ra_pg_connection *connection,
                                 enum ra_store_status status, enum ra_pg_sql which,
                                 const struct ra_pg_params *params, PGresult **answer)
{
    PGresult *result = NULL;

    if (status == RA_STORE_OK)
        status = ra_pg_run(backend, connection, which, params, &result);
    if (answer != NULL)
        *answer = result;
    else
        PQclear(result);
    return status;
}

static enum ra_store_status transaction_begin(struct ra_pg *backend,
                                              struct ra_pg_connection *connection,
                                              const uint8_t *requester)
{
    struct ra_pg_params params = {0};
    enum ra_store_status status = step(backend, connection, RA_STORE_OK, RA_PG_BEGIN, NULL, NULL);

    ra_pg_number(&params, lock_number(requester));
    return step(backend, connection, status, RA_PG_REQUESTER_LOCK, &params, NULL);
}

/* Commits, or undoes all if something went wrong, and gives the connection back. */
static enum ra_store_status transaction_end(struct ra_pg *backend,
                                            struct ra_pg_connection *connection,
                                            enum ra_store_status status)
{
    if (status == RA_STORE_OK)
        status = step(backend, connection, status, RA_PG_COMMIT, NULL, NULL);
    else if (!connection->broken)
        step(backend, connection, RA_STORE_OK, RA_PG_ROLLBACK, NULL, NULL);
    ra_pg_give_back(backend, connection);
    return status;
}

static enum ra_store_status facts_read(struct ra_pg *backend, struct ra_pg_connection *connection,
                                       const struct ra_request *request,
                                       const struct ra_request_limits *limits,
                                       struct ra_request_facts *facts)
{
    struct ra_pg_params params = {0};
    PGresult *result = NULL;
    enum ra_store_status status;

    ra_pg_octets(&params, request->requester, request->requester_size);
    ra_pg_number(&params, request->received - limits->window);
    ra_pg_octets(&params, request->hash + 24, 8);
    ra_pg_number(&params, request->received - limits->retention);
    ra_pg_octets(&params, request->verify_key, sizeof request->verify_key);
    ra_pg_text(&params, request->permissions);
    status = ra_pg_run(backend, connection, RA_PG_REQUEST_FACTS, &params, &result);
    if (status == RA_STORE_OK) {
        facts->tries = ra_pg_int64(result, 0, 0);
        facts->hash_known = ra_pg_int64(result, 0, 1) != 0;
        facts->key_known = ra_pg_int64(result, 0, 2) != 0;
        facts->permissions_taken = ra_pg_int64(result, 0, 3) != 0;
    }
    PQclear(result);
    return status;
}

/* Takes away a few of the rows that are older than a point in time; which says of what. */
static enum ra_store_status prune(struct ra_pg *backend, struct ra_pg_connection *connection,
                                  enum ra_store_status status, enum ra_pg_sql which, int64_t before)
{
    struct ra_pg_params params = {0};

    ra_pg_number(&params, before);
    ra_pg_number(&params, RA_PRUNE_ROWS);
    return step(backend, connection, status, which, &params, NULL);
}

static enum ra_store_status try_count(struct ra_pg *backend, struct ra_pg_connection *connection,
                                      enum ra_store_status status, const uint8_t *requester,
                                      size_t requester_size, int64_t now)
{
    struct ra_pg_params params = {0};

    ra_pg_octets(&params, requester, requester_size);
    ra_pg_number(&params, now);
    return step(backend, connection, status, RA_PG_TRY_COUNT, &params, NULL);
}

/* *verdict becomes a duplicate if another device's request has the same tail of its hash. */
static enum ra_store_status request_insert(struct ra_pg *backend,
                                           struct ra_pg_connection *connection,
                                           const struct ra_request *request, int64_t forget,
                                           enum ra_request_verdict *verdict)
{
    struct ra_pg_params params = {0};
    PGresult *result = NULL;
    enum ra_store_status status;

    ra_pg_octets(&params, request->hash + 24, 8);
    ra_pg_octets(&params, request->hash, sizeof request->hash);
    ra_pg_number(&params, request->kind);
    ra_pg_octets(&params, request->requester, request->requester_size);
    ra_pg_octets(&params, request->verify_key, sizeof request->verify_key);
    ra_pg_text(&params, request->permissions);
    ra_pg_number(&params, request->received);
    ra_pg_number(&params, request->download_time);
    ra_pg_octets(&params, request->certificate, request->certificate_size);
    ra_pg_octets(&params, request->signed_request, request->signed_request_size);
    ra_pg_number(&params, forget);
    status = ra_pg_run(backend, connection, RA_PG_REQUEST_INSERT, &params, &result);
    if (status == RA_STORE_OK && strcmp(PQcmdTuples(result), "1") != 0)
        *verdict = RA_REQUEST_DUPLICATE;
    PQclear(result);
    return status;
}

enum ra_store_status ra_pg_request_accept(void *arg, const struct ra_request *request,
                                          const struct ra_request_limits *limits,
                                          enum ra_request_verdict *verdict)
{
    struct ra_pg *backend = arg;
    struct ra_pg_connection *connection = ra_pg_borrow(backend);
    struct ra_request_facts facts = {0};
    enum ra_request_verdict decided = RA_REQUEST_TOO_MANY;
    enum ra_store_status status;
    int64_t forget = request->received - limits->retention;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    status = transaction_begin(backend, connection, request->requester);
    if (status == RA_STORE_OK)
        status = facts_read(backend, connection, request, limits, &facts);
    if (status == RA_STORE_OK)
        decided = ra_request_decide(request, limits, &facts);
    status = try_count(backend, connection, status, request->requester, request->requester_size,
                       request->received);
    status =
        prune(backend, connection, status, RA_PG_TRY_PRUNE, request->received - limits->window);
    status = prune(backend, connection, status, RA_PG_REQUEST_PRUNE, forget);
    if (status == RA_STORE_OK && decided == RA_REQUEST_ACCEPTED)
        status = request_insert(backend, connection, request, forget, &decided);
    status = transaction_end(backend, connection, status);
    if (status == RA_STORE_OK)
        *verdict = decided;
    return status;
}

enum ra_store_status ra_pg_request_count_try(void *arg, const uint8_t *requester,
                                             size_t requester_size, int64_t now, int64_t window)
{
    struct ra_pg *backend = arg;
    struct ra_pg_connection *connection = ra_pg_borrow(backend);
    enum ra_store_status status;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    status = transaction_begin(backend, connection, requester);
    status = try_count(backend, connection, status, requester, requester_size, now);
    if (window > 0)
        status = prune(backend, connection, status, RA_PG_TRY_PRUNE, now - window);
    return transaction_end(backend, connection, status);
}

enum ra_store_status ra_pg_request_tries(void *arg, const uint8_t *requester, size_t requester_size,
                                         int64_t since, int64_t *count)
{
    struct ra_pg_params params = {0};
    PGresult *result = NULL;
    enum ra_store_status status;

    ra_pg_octets(&params, requester, requester_size);
    ra_pg_number(&params, since);
    status = ra_pg_ask(arg, RA_PG_TRY_SUM, &params, &result);
    if (status == RA_STORE_OK)
        *count = ra_pg_int64(result, 0, 0);
    PQclear(result);
    return status;
}

static enum ra_store_status request_read(const PGresult *result, struct ra_request *request,
                                         uint8_t **octets)
{
    size_t certificate_size = (size_t)PQgetlength(result, 0, 10);
    size_t signed_size = (size_t)PQgetlength(result, 0, 11);
    uint8_t *made = OPENSSL_malloc(certificate_size + signed_size + 1);
    enum ra_store_status status;

    if (made == NULL)
        return RA_STORE_UNAVAILABLE;
    *octets = made;
    status = ra_pg_copy(result, 0, 1, request->hash, 32, 32, NULL);
    if (status == RA_STORE_OK)
        status = ra_pg_copy(result, 0, 3, request->requester, 32, 48, &request->requester_size);
    if (status == RA_STORE_OK)
        status = ra_pg_copy(result, 0, 4, request->verify_key, 33, 33, NULL);
    memcpy(made, PQgetvalue(result, 0, 10), certificate_size);
    memcpy(made + certificate_size, PQgetvalue(result, 0, 11), signed_size);
    request->kind = (enum scms_provision)ra_pg_int64(result, 0, 2);
    ra_pg_string(result, 0, 5, request->permissions, sizeof request->permissions);
    request->received = ra_pg_int64(result, 0, 6);
    request->download_time = (uint32_t)ra_pg_int64(result, 0, 7);
    request->state = (enum ra_request_state)ra_pg_int64(result, 0, 8);
    ra_pg_string(result, 0, 9, request->detail, sizeof request->detail);
    request->certificate = made;
    request->certificate_size = certificate_size;
    request->signed_request = made + certificate_size;
    request->signed_request_size = signed_size;
    return status;
}

enum ra_store_status ra_pg_request_next(void *arg, enum ra_request_state state, int64_t *after,
                                        struct ra_request *request, uint8_t **octets)
{
    struct ra_pg_params params = {0};
    PGresult *result = NULL;
    enum ra_store_status status;

    ra_pg_number(&params, state);
    ra_pg_number(&params, *after);
    status = ra_pg_ask(arg, RA_PG_REQUEST_NEXT, &params, &result);
    if (status == RA_STORE_OK && PQntuples(result) == 0)
        status = RA_STORE_NOT_FOUND;
    if (status == RA_STORE_OK) {
        *after = ra_pg_int64(result, 0, 0);
        status = request_read(result, request, octets);
    }
    PQclear(result);
    return status;
}

/* The state, requester and whole hash of a request. */
static enum ra_store_status request_look(struct ra_pg *backend, const uint8_t request_hash[8],
                                         enum ra_request_state *state, uint8_t requester[48],
                                         size_t *requester_size, uint8_t hash[32])
{
    struct ra_pg_params params = {0};
    PGresult *result = NULL;
    enum ra_store_status status;

    ra_pg_octets(&params, request_hash, 8);
    status = ra_pg_ask(backend, RA_PG_REQUEST_FIND, &params, &result);
    if (status == RA_STORE_OK && PQntuples(result) == 0)
        status = RA_STORE_NOT_FOUND;
    if (status == RA_STORE_OK)
        status = ra_pg_copy(result, 0, 1, requester, 32, 48, requester_size);
    if (status == RA_STORE_OK)
        status = ra_pg_copy(result, 0, 2, hash, 32, 32, NULL);
    if (status == RA_STORE_OK)
        *state = (enum ra_request_state)ra_pg_int64(result, 0, 0);
    PQclear(result);
    return status;
}

enum ra_store_status ra_pg_request_find(void *arg, const uint8_t request_hash[8],
                                        enum ra_request_state *state, uint8_t requester[48],
                                        size_t *requester_size)
{
    uint8_t hash[32];

    return request_look(arg, request_hash, state, requester, requester_size, hash);
}

enum ra_store_status ra_pg_request_finish(void *arg, const uint8_t hash[32],
                                          enum ra_request_state state, const char *detail)
{
    struct ra_pg_params params = {0};
    enum ra_request_state known_state;
    enum ra_store_status status;
    uint8_t requester[48], known[32];
    size_t requester_size;

    ra_pg_octets(&params, hash + 24, 8);
    ra_pg_octets(&params, hash, 32);
    ra_pg_number(&params, state);
    ra_pg_text(&params, detail);
    status = ra_pg_write(arg, RA_PG_REQUEST_FINISH, &params);
    if (status != RA_STORE_NOT_FOUND)
        return status;
    /* Failed already, or not known. */
    status = request_look(arg, hash + 24, &known_state, requester, &requester_size, known);
    if (status == RA_STORE_OK)
        return memcmp(known, hash, 32) == 0 ? RA_STORE_EXISTS : RA_STORE_NOT_FOUND;
    return status;
}

enum ra_store_status ra_pg_eca_add(void *arg, const uint8_t hashedid8[8], const char *comment)
{
    struct ra_pg_params params = {0};

    ra_pg_octets(&params, hashedid8, 8);
    ra_pg_text(&params, comment);
    return ra_pg_write(arg, RA_PG_ECA_ADD, &params);
}

enum ra_store_status ra_pg_eca_remove(void *arg, const uint8_t hashedid8[8])
{
    struct ra_pg_params params = {0};

    ra_pg_octets(&params, hashedid8, 8);
    return ra_pg_write(arg, RA_PG_ECA_REMOVE, &params);
}

/* The list is short: all of it at once. */
enum ra_store_status ra_pg_eca_each(void *arg, ra_eca_each_fn *each, void *each_arg)
{
    PGresult *result = NULL;
    enum ra_store_status status = ra_pg_ask(arg, RA_PG_ECA_EACH, NULL, &result);

    for (int row = 0; status == RA_STORE_OK && row < PQntuples(result); row++) {
        uint8_t id[8];

        status = ra_pg_copy(result, row, 0, id, 8, 8, NULL);
        if (status == RA_STORE_OK && !each(each_arg, id, PQgetvalue(result, row, 1)))
            break;
    }
    PQclear(result);
    return status;
}
