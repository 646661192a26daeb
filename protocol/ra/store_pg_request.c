/*
 * store_pg_request.c: accepted requests and the ECA whitelist in PostgreSQL.
 *
 * A request is decided and recorded in one transaction that first takes an advisory lock of its
 * requester's: of two nodes that were handed the same request the second waits, and then sees what
 * the first has written. Requests of different devices do not wait for each other. The statements
 * up to the decision go to the server together, and those after it.
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

/* Statements of one transaction that are sent together, with their parameters. */
struct batch {
    struct ra_pg_call calls[RA_PG_CALLS_MAX];
    struct ra_pg_params params[RA_PG_CALLS_MAX];
    size_t count;
};

/* The parameters of one more statement. */
static struct ra_pg_params *add(struct batch *batch, enum ra_pg_sql which)
{
    struct ra_pg_params *params = &batch->params[batch->count];

    batch->calls[batch->count++] = (struct ra_pg_call){.which = which, .params = params};
    return params;
}

static void add_begin(struct batch *batch, const uint8_t *requester)
{
    add(batch, RA_PG_BEGIN);
    ra_pg_number(add(batch, RA_PG_REQUESTER_LOCK), lock_number(requester));
}

static void add_facts(struct batch *batch, const struct ra_request *request,
                      const struct ra_request_limits *limits)
{
    struct ra_pg_params *params = add(batch, RA_PG_REQUEST_FACTS);

    ra_pg_octets(params, request->requester, request->requester_size);
    ra_pg_number(params, request->received - limits->window);
    ra_pg_octets(params, request->hash + 24, 8);
    ra_pg_number(params, request->received - limits->retention);
    ra_pg_octets(params, request->verify_key, sizeof request->verify_key);
    ra_pg_text(params, request->permissions);
}

static void add_try(struct batch *batch, const uint8_t *requester, size_t requester_size,
                    int64_t now)
{
    struct ra_pg_params *params = add(batch, RA_PG_TRY_COUNT);

    ra_pg_octets(params, requester, requester_size);
    ra_pg_number(params, now);
}

/* Takes away a few of the rows that are older than a point in time; which says of what. */
static void add_prune(struct batch *batch, enum ra_pg_sql which, int64_t before)
{
    struct ra_pg_params *params = add(batch, which);

    ra_pg_number(params, before);
    ra_pg_number(params, RA_PRUNE_ROWS);
}

static void add_insert(struct batch *batch, const struct ra_request *request, int64_t forget)
{
    struct ra_pg_params *params = add(batch, RA_PG_REQUEST_INSERT);

    ra_pg_octets(params, request->hash + 24, 8);
    ra_pg_octets(params, request->hash, sizeof request->hash);
    ra_pg_number(params, request->kind);
    ra_pg_octets(params, request->requester, request->requester_size);
    ra_pg_octets(params, request->verify_key, sizeof request->verify_key);
    ra_pg_text(params, request->permissions);
    ra_pg_number(params, request->received);
    ra_pg_number(params, request->download_time);
    ra_pg_octets(params, request->certificate, request->certificate_size);
    ra_pg_octets(params, request->signed_request, request->signed_request_size);
    ra_pg_number(params, forget);
}

static enum ra_store_status run(struct ra_pg *backend, struct ra_pg_connection *connection,
                                struct batch *batch)
{
    return ra_pg_run_all(backend, connection, batch->calls, batch->count);
}

/* After a failure: undoes all. Gives the connection back. */
static void transaction_end(struct ra_pg *backend, struct ra_pg_connection *connection,
                            enum ra_store_status status)
{
    PGresult *result = NULL;

    if (status != RA_STORE_OK && !connection->broken)
        ra_pg_run(backend, connection, RA_PG_ROLLBACK, NULL, &result);
    PQclear(result);
    ra_pg_give_back(backend, connection);
}

/* Begins the transaction, and what is known of the request. */
static enum ra_store_status facts_read(struct ra_pg *backend, struct ra_pg_connection *connection,
                                       const struct ra_request *request,
                                       const struct ra_request_limits *limits,
                                       struct ra_request_facts *facts)
{
    struct batch batch = {.count = 0};
    enum ra_store_status status;
    const PGresult *result;

    add_begin(&batch, request->requester);
    add_facts(&batch, request, limits);
    status = run(backend, connection, &batch);
    if (status == RA_STORE_OK) {
        result = batch.calls[batch.count - 1].result;
        facts->tries = ra_pg_int64(result, 0, 0);
        facts->hash_known = ra_pg_int64(result, 0, 1) != 0;
        facts->key_known = ra_pg_int64(result, 0, 2) != 0;
        facts->permissions_taken = ra_pg_int64(result, 0, 3) != 0;
    }
    ra_pg_calls_clear(batch.calls, batch.count);
    return status;
}

/*
 * Records what was decided, and commits. *verdict becomes a duplicate if another device's request
 * has the same tail of its hash.
 */
static enum ra_store_status record(struct ra_pg *backend, struct ra_pg_connection *connection,
                                   const struct ra_request *request,
                                   const struct ra_request_limits *limits,
                                   enum ra_request_verdict *verdict)
{
    int64_t forget = request->received - limits->retention;
    struct batch batch = {.count = 0};
    size_t insert = 0;
    enum ra_store_status status;

    add_try(&batch, request->requester, request->requester_size, request->received);
    add_prune(&batch, RA_PG_TRY_PRUNE, request->received - limits->window);
    add_prune(&batch, RA_PG_REQUEST_PRUNE, forget);
    if (*verdict == RA_REQUEST_ACCEPTED) {
        insert = batch.count;
        add_insert(&batch, request, forget);
    }
    add(&batch, RA_PG_COMMIT);
    status = run(backend, connection, &batch);
    if (status == RA_STORE_OK && insert != 0 &&
        strcmp(PQcmdTuples(batch.calls[insert].result), "1") != 0)
        *verdict = RA_REQUEST_DUPLICATE;
    ra_pg_calls_clear(batch.calls, batch.count);
    return status;
}

enum ra_store_status ra_pg_request_accept(void *arg, const struct ra_request *request,
                                          const struct ra_request_limits *limits,
                                          enum ra_request_verdict *verdict)
{
    struct ra_pg *backend = arg;
    struct ra_pg_connection *connection = ra_pg_borrow(backend);
    struct ra_request_facts facts = {0};
    enum ra_request_verdict decided;
    enum ra_store_status status;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    status = facts_read(backend, connection, request, limits, &facts);
    decided = ra_request_decide(request, limits, &facts);
    if (status == RA_STORE_OK)
        status = record(backend, connection, request, limits, &decided);
    transaction_end(backend, connection, status);
    if (status == RA_STORE_OK)
        *verdict = decided;
    return status;
}

enum ra_store_status ra_pg_request_count_try(void *arg, const uint8_t *requester,
                                             size_t requester_size, int64_t now, int64_t window)
{
    struct ra_pg *backend = arg;
    struct ra_pg_connection *connection = ra_pg_borrow(backend);
    struct batch batch = {.count = 0};
    enum ra_store_status status;

    if (connection == NULL)
        return RA_STORE_UNAVAILABLE;
    add_begin(&batch, requester);
    add_try(&batch, requester, requester_size, now);
    if (window > 0)
        add_prune(&batch, RA_PG_TRY_PRUNE, now - window);
    add(&batch, RA_PG_COMMIT);
    status = run(backend, connection, &batch);
    ra_pg_calls_clear(batch.calls, batch.count);
    transaction_end(backend, connection, status);
    return status;
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
