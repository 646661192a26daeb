/*
 * store_pg.c: the store's questions to PostgreSQL, their parameters and answers, and what it asks
 * about certificates and files. store_pg_request.c has requests and ECAs.
 */
#include "protocol/ra/store_pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_ROWS 500 /* of a list that is gone through: what is in memory at a time */

const char *const ra_pg_sql[RA_PG_COUNT] = {
    [RA_PG_STORE_COUNT] =
        "SELECT version::int8, (SELECT count(*) FROM blacklist), (SELECT count(*) FROM files),"
        " (SELECT count(*) FROM ecas),"
        " (SELECT count(*) FROM requests WHERE state = 0),"
        " (SELECT count(*) FROM requests WHERE state = 1),"
        " (SELECT count(*) FROM requests WHERE state = 2),"
        " (SELECT coalesce(min(received), 0) FROM requests WHERE state = 0)"
        " FROM version",
    [RA_PG_BLACKLIST_ADD] = "INSERT INTO blacklist (id, added, comment) VALUES ($1, $2, $3)",
    [RA_PG_BLACKLIST_REMOVE] = "DELETE FROM blacklist WHERE id = $1",
    [RA_PG_BLACKLIST_PAGE] = "SELECT seq, id, added, comment FROM blacklist WHERE seq > $1"
                             " ORDER BY seq LIMIT $2",
    [RA_PG_FILE_ASSIGN] = "INSERT INTO files (name, requester) VALUES ($1, $2)",
    [RA_PG_FILE_UNASSIGN] = "DELETE FROM files WHERE lower(name) = lower($1 COLLATE \"C\")",
    [RA_PG_FILE_PAGE] = "SELECT name, requester FROM files"
                        " WHERE lower(name) > lower($1 COLLATE \"C\")"
                        " ORDER BY lower(name) LIMIT $2",
    /* What is not asked is NULL, which is equal to nothing. */
    [RA_PG_ASK] = "SELECT (EXISTS (SELECT 1 FROM blacklist"
                  "         WHERE id IN ($1, $2, $3, $4, $5, $6)))::int::int8,"
                  " (EXISTS (SELECT 1 FROM ecas WHERE id = $7)"
                  "  OR NOT EXISTS (SELECT 1 FROM ecas))::int::int8,"
                  " (SELECT requester FROM files WHERE lower(name) = lower($8 COLLATE \"C\"))",
    [RA_PG_BEGIN] = "BEGIN",
    [RA_PG_COMMIT] = "COMMIT",
    [RA_PG_ROLLBACK] = "ROLLBACK",
    [RA_PG_REQUESTER_LOCK] = "SELECT pg_advisory_xact_lock(1681025139, $1::int4)",
    [RA_PG_REQUEST_FACTS] =
        "SELECT (SELECT coalesce(sum(n), 0)::int8 FROM tries WHERE requester = $1 AND at > $2),"
        " (EXISTS (SELECT 1 FROM requests WHERE request_hash = $3"
        "          AND (received >= $4 OR state = 0)))::int::int8,"
        " (EXISTS (SELECT 1 FROM requests WHERE requester = $1 AND verify_key = $5"
        "          AND (received >= $4 OR state = 0)))::int::int8,"
        " (EXISTS (SELECT 1 FROM requests WHERE requester = $1 AND permissions = $6"
        "          AND kind = 3 AND state = 0))::int::int8",
    /* Takes the place of one that is beyond its retention, of no other. */
    [RA_PG_REQUEST_INSERT] =
        "INSERT INTO requests (request_hash, hash, kind, requester, verify_key, permissions,"
        " received, download_time, state, detail, certificate, signed_request)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '', $9, $10)"
        " ON CONFLICT (request_hash) DO UPDATE SET seq = excluded.seq, hash = excluded.hash,"
        " kind = excluded.kind, requester = excluded.requester, verify_key = excluded.verify_key,"
        " permissions = excluded.permissions, received = excluded.received,"
        " download_time = excluded.download_time, state = 0, detail = '',"
        " certificate = excluded.certificate, signed_request = excluded.signed_request"
        " WHERE requests.received < $11 AND requests.state <> 0",
    /* Rows that another node is about to prune are left to it: no deadlock. */
    [RA_PG_REQUEST_PRUNE] =
        "DELETE FROM requests WHERE seq = ANY (ARRAY(SELECT seq FROM requests"
        " WHERE received < $1 AND state <> 0 ORDER BY received LIMIT $2 FOR UPDATE SKIP LOCKED))",
    [RA_PG_REQUEST_NEXT] =
        "SELECT seq, hash, kind::int8, requester, verify_key, permissions, received, download_time,"
        " state::int8, detail, certificate, signed_request"
        " FROM requests WHERE state = $1 AND seq > $2 ORDER BY seq LIMIT 1",
    [RA_PG_REQUEST_FINISH] = "UPDATE requests SET state = $3, detail = $4"
                             " WHERE request_hash = $1 AND hash = $2 AND state <> 2",
    [RA_PG_REQUEST_FIND] =
        "SELECT state::int8, requester, hash FROM requests WHERE request_hash = $1",
    [RA_PG_TRY_COUNT] = "INSERT INTO tries (requester, at, n) VALUES ($1, $2, 1)"
                        " ON CONFLICT (requester, at) DO UPDATE SET n = tries.n + 1",
    [RA_PG_TRY_SUM] =
        "SELECT coalesce(sum(n), 0)::int8 FROM tries WHERE requester = $1 AND at > $2",
    [RA_PG_TRY_PRUNE] = "DELETE FROM tries WHERE ctid = ANY (ARRAY(SELECT ctid FROM tries"
                        " WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    [RA_PG_ECA_ADD] = "INSERT INTO ecas (id, comment) VALUES ($1, $2)",
    [RA_PG_ECA_REMOVE] = "DELETE FROM ecas WHERE id = $1",
    [RA_PG_ECA_EACH] = "SELECT id, comment FROM ecas ORDER BY seq",
};

static void param(struct ra_pg_params *params, const char *value, size_t size, int format)
{
    params->values[params->count] = value;
    params->lengths[params->count] = (int)size;
    params->formats[params->count] = format;
    params->count++;
}

void ra_pg_octets(struct ra_pg_params *params, const uint8_t *octets, size_t size)
{
    param(params, (const char *)octets, size, 1);
}

void ra_pg_text(struct ra_pg_params *params, const char *text)
{
    param(params, text, 0, 0);
}

void ra_pg_null(struct ra_pg_params *params)
{
    param(params, NULL, 0, 1);
}

void ra_pg_number(struct ra_pg_params *params, int64_t number)
{
    char *text = params->numbers[params->count];

    snprintf(text, sizeof params->numbers[0], "%" PRId64, number);
    param(params, text, 0, 0);
}

int64_t ra_pg_int64(const PGresult *result, int row, int column)
{
    const uint8_t *octets = (const uint8_t *)PQgetvalue(result, row, column);
    uint64_t number = 0;

    if (PQgetlength(result, row, column) != 8)
        return 0;
    for (size_t i = 0; i < 8; i++)
        number = number << 8 | octets[i];
    return (int64_t)number;
}

enum ra_store_status ra_pg_copy(const PGresult *result, int row, int column, uint8_t *octets,
                                size_t min, size_t max, size_t *size)
{
    size_t length = (size_t)PQgetlength(result, row, column);

    if (length < min || length > max)
        return RA_STORE_UNAVAILABLE;
    memcpy(octets, PQgetvalue(result, row, column), length);
    if (size != NULL)
        *size = length;
    return RA_STORE_OK;
}

void ra_pg_string(const PGresult *result, int row, int column, char *text, size_t size)
{
    snprintf(text, size, "%.*s", PQgetlength(result, row, column), PQgetvalue(result, row, column));
}

static enum ra_store_status pg_count(void *arg, struct ra_store_counts *counts)
{
    int64_t *const columns[] = {&counts->schema, &counts->blacklist,     &counts->files,
                                &counts->ecas,   &counts->pending,       &counts->ready,
                                &counts->failed, &counts->oldest_pending};
    PGresult *result = NULL;
    enum ra_store_status status = ra_pg_ask(arg, RA_PG_STORE_COUNT, NULL, &result);

    if (status == RA_STORE_OK && PQntuples(result) != 1)
        status = RA_STORE_UNAVAILABLE;
    for (int i = 0; status == RA_STORE_OK && i < (int)(sizeof columns / sizeof columns[0]); i++)
        *columns[i] = ra_pg_int64(result, 0, i);
    PQclear(result);
    return status;
}

static enum ra_store_status pg_blacklist_add(void *arg, const struct ra_blacklist_entry *entry)
{
    struct ra_pg_params params = {0};

    ra_pg_octets(&params, entry->id, (size_t)entry->kind);
    ra_pg_number(&params, entry->added);
    ra_pg_text(&params, entry->comment);
    return ra_pg_write(arg, RA_PG_BLACKLIST_ADD, &params);
}

static enum ra_store_status pg_blacklist_remove(void *arg, const struct ra_blacklist_entry *entry)
{
    struct ra_pg_params params = {0};

    ra_pg_octets(&params, entry->id, (size_t)entry->kind);
    return ra_pg_write(arg, RA_PG_BLACKLIST_REMOVE, &params);
}

static enum ra_store_status pg_blacklist_each(void *arg, ra_blacklist_each_fn *each, void *each_arg)
{
    int64_t after = 0;
    bool more = true;

    while (more) {
        struct ra_pg_params params = {0};
        PGresult *page = NULL;
        enum ra_store_status status;

        ra_pg_number(&params, after);
        ra_pg_number(&params, PAGE_ROWS);
        status = ra_pg_ask(arg, RA_PG_BLACKLIST_PAGE, &params, &page);
        if (status != RA_STORE_OK)
            return status;
        more = PQntuples(page) == PAGE_ROWS;
        for (int row = 0; row < PQntuples(page); row++) {
            struct ra_blacklist_entry entry = {0};
            size_t size = 0;

            after = ra_pg_int64(page, row, 0);
            if (ra_pg_copy(page, row, 1, entry.id, 8, sizeof entry.id, &size) != RA_STORE_OK)
                continue;
            entry.kind = (enum ra_blacklist_kind)size;
            entry.added = ra_pg_int64(page, row, 2);
            ra_pg_string(page, row, 3, entry.comment, sizeof entry.comment);
            if (!each(each_arg, &entry)) {
                more = false;
                break;
            }
        }
        PQclear(page);
    }
    return RA_STORE_OK;
}

/* A whole hash and its tails; NULL: none. */
static void hash_params(struct ra_pg_params *params, const uint8_t *hash, size_t size)
{
    const size_t parts[] = {size, 10, 8};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (hash == NULL)
            ra_pg_null(params);
        else
            ra_pg_octets(params, hash + size - parts[i], parts[i]);
    }
}

static enum ra_store_status pg_ask(void *arg, const struct ra_store_question *question,
                                   struct ra_facts *facts)
{
    struct ra_pg_params params = {0};
    PGresult *result = NULL;
    enum ra_store_status status;

    for (size_t i = 0; i < 2; i++)
        hash_params(&params, i < question->count ? question->hashes[i] : NULL, question->hash_size);
    if (question->eca == NULL)
        ra_pg_null(&params);
    else
        ra_pg_octets(&params, question->eca, 8);
    if (question->filename == NULL)
        ra_pg_null(&params);
    else /* text, with its size */
        ra_pg_octets(&params, (const uint8_t *)question->filename, question->filename_size);
    status = ra_pg_ask(arg, RA_PG_ASK, &params, &result);
    if (status == RA_STORE_OK && PQntuples(result) != 1)
        status = RA_STORE_UNAVAILABLE;
    if (status == RA_STORE_OK) {
        facts->blacklisted = ra_pg_int64(result, 0, 0) != 0;
        facts->eca_served = ra_pg_int64(result, 0, 1) != 0;
        if (PQgetisnull(result, 0, 2) == 0)
            status = ra_pg_copy(result, 0, 2, facts->requester, 1, 48, &facts->requester_size);
    }
    PQclear(result);
    return status;
}

static enum ra_store_status pg_file_assign(void *arg, const char *filename,
                                           const uint8_t *requester, size_t requester_size)
{
    struct ra_pg_params params = {0};
    enum ra_store_status status;
    const struct ra_store_question question = {.filename = filename,
                                               .filename_size = strlen(filename)};
    struct ra_facts known = {.requester_size = 0};

    ra_pg_text(&params, filename);
    ra_pg_octets(&params, requester, requester_size);
    status = ra_pg_write(arg, RA_PG_FILE_ASSIGN, &params);
    /* The same assignment again is no error. */
    if (status == RA_STORE_EXISTS && pg_ask(arg, &question, &known) == RA_STORE_OK &&
        known.requester_size == requester_size &&
        memcmp(known.requester, requester, requester_size) == 0)
        return RA_STORE_OK;
    return status;
}

static enum ra_store_status pg_file_unassign(void *arg, const char *filename)
{
    struct ra_pg_params params = {0};

    ra_pg_text(&params, filename);
    return ra_pg_write(arg, RA_PG_FILE_UNASSIGN, &params);
}

static enum ra_store_status pg_file_each(void *arg, ra_file_each_fn *each, void *each_arg)
{
    char name[RA_FILENAME_MAX + 1] = "";
    bool more = true;

    while (more) {
        struct ra_pg_params params = {0};
        PGresult *page = NULL;
        enum ra_store_status status;

        ra_pg_text(&params, name);
        ra_pg_number(&params, PAGE_ROWS);
        status = ra_pg_ask(arg, RA_PG_FILE_PAGE, &params, &page);
        if (status != RA_STORE_OK)
            return status;
        more = PQntuples(page) == PAGE_ROWS;
        for (int row = 0; row < PQntuples(page); row++) {
            ra_pg_string(page, row, 0, name, sizeof name);
            if (!each(each_arg, name, (const uint8_t *)PQgetvalue(page, row, 1),
                      (size_t)PQgetlength(page, row, 1))) {
                more = false;
                break;
            }
        }
        PQclear(page);
    }
    return RA_STORE_OK;
}

const struct ra_store_ops ra_store_pg = {
    .scheme = "postgresql",
    .open = ra_pg_open,
    .close = ra_pg_close,
    .last_error = ra_pg_last_error,
    .count = pg_count,
    .blacklist_add = pg_blacklist_add,
    .blacklist_remove = pg_blacklist_remove,
    .blacklist_each = pg_blacklist_each,
    .file_assign = pg_file_assign,
    .file_unassign = pg_file_unassign,
    .file_each = pg_file_each,
    .ask = pg_ask,
    .request_accept = ra_pg_request_accept,
    .request_count_try = ra_pg_request_count_try,
    .request_tries = ra_pg_request_tries,
    .request_next = ra_pg_request_next,
    .request_finish = ra_pg_request_finish,
    .request_find = ra_pg_request_find,
    .eca_add = ra_pg_eca_add,
    .eca_remove = ra_pg_eca_remove,
    .eca_each = ra_pg_eca_each,
};
