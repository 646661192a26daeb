/*
 * store_pg_test.c: what is PostgreSQL's alone: connection strings, the schema and its versions, a
 * server that is away, locks, and text that it refuses.
 */
#include "protocol/ra/store_pg.h"
#include "tests/ra/store_lab.h"

#include <unistd.h>

static const uint8_t hash[48] = {1, 2, 3};

static void refused_specs(void **state)
{
    static const struct {
        const char *spec;
        enum ra_store_status status;
    } tests[] = {
        {"postgresql:", RA_STORE_ARGUMENT},
        {"postgresql:dot2hsm", RA_STORE_ARGUMENT},
        {"postgresql:host=/nowhere password='geheim", RA_STORE_ARGUMENT},
        {"postgresql:hots=/nowhere password=geheim", RA_STORE_ARGUMENT},
        {"postgresql:host=/nowhere/at/all password=geheim dbname=x", RA_STORE_UNAVAILABLE},
        {"postgresql://ra:geheim@%2Fnowhere/x", RA_STORE_UNAVAILABLE},
        {"postgresql://ra:ge/geheim@localhost/x", RA_STORE_ARGUMENT},
        {"postgresql://ra:geheim@localhost/x?ssl", RA_STORE_ARGUMENT},
        {"postgresql:postgresql://ra:geheim@localhost/x?nosuch=1", RA_STORE_ARGUMENT},
        {"postgres://ra:geheim@localhost/x", RA_STORE_ARGUMENT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        ra_store *store = (ra_store *)&store;
        char text[400] = "";

        assert_int_equal(ra_store_open(tests[i].spec, true, &store, text, sizeof text),
                         tests[i].status);
        assert_null(store);
        assert_true(text[0] != '\0');
        assert_null(strstr(text, "geheim"));
    }
}

static void uri(void **state)
{
    ra_store *store = NULL;
    char spec[200], text[200];
    char *at;

    (void)state;
    snprintf(spec, sizeof spec, "postgresql://dot2hsm:geheim@/postgres?host=%s/pg&port=5432",
             store_lab.dir);
    assert_int_equal(ra_store_open(spec, false, &store, text, sizeof text), RA_STORE_OK);
    assert_int_equal(ra_file_assign(store, "\xff.zip", hash, 32), RA_STORE_ARGUMENT);
    ra_store_last_error(store, text, sizeof text);
    assert_non_null(strstr(text, "encoding"));
    assert_null(strstr(text, "geheim"));
    assert_int_equal(ra_file_assign(store, "\xc3\xa4.zip", hash, 32), RA_STORE_OK);
    ra_store_close(store);

    at = strstr(spec, "/postgres?");
    memcpy(at, "/nosuchdb?", 10);
    assert_int_equal(ra_store_open(spec, true, &store, text, sizeof text), RA_STORE_UNAVAILABLE);
    assert_non_null(strstr(text, "nosuchdb"));
    assert_null(strstr(text, "geheim"));
}

static void schema(void **state)
{
    char text[200];
    ra_store *store = NULL;

    (void)state;
    assert_int_equal(ra_file_assign(store_lab.store, "A", hash, 32), RA_STORE_OK);
    store_lab_execute(&store_lab, "UPDATE dot2hsm.version SET version = 1000");
    assert_int_equal(ra_store_open(store_lab.spec, true, &store, text, sizeof text),
                     RA_STORE_SCHEMA);
    assert_non_null(strstr(text, "1000"));
    store_lab_execute(&store_lab, "UPDATE dot2hsm.version SET version = 1");
    store = store_lab_second(&store_lab);
    assert_int_equal(ra_file_check(store, "a", 1, &hash, 32, 1), RA_STORE_OK);
    ra_store_close(store);

    store_lab_execute(&store_lab, "DROP SCHEMA dot2hsm CASCADE");
    assert_int_equal(ra_store_open(store_lab.spec, false, &store, text, sizeof text),
                     RA_STORE_NOT_FOUND);
    assert_non_null(strstr(text, "no store"));
    /* A schema that somebody has made for us is taken. */
    store_lab_execute(&store_lab, "CREATE SCHEMA dot2hsm");
    assert_int_equal(ra_store_open(store_lab.spec, true, &store, text, sizeof text), RA_STORE_OK);
    ra_store_close(store);
    /* One with another's tables is left as it was. */
    store_lab_execute(&store_lab, "DROP SCHEMA dot2hsm CASCADE; CREATE SCHEMA dot2hsm;"
                                  "CREATE TABLE dot2hsm.files (x int)");
    assert_int_equal(ra_store_open(store_lab.spec, true, &store, text, sizeof text),
                     RA_STORE_UNAVAILABLE);
    assert_non_null(strstr(text, "files"));
    store_lab_execute(&store_lab, "SELECT x FROM dot2hsm.files");
    assert_int_equal(ra_store_open(store_lab.spec, false, &store, text, sizeof text),
                     RA_STORE_NOT_FOUND);
}

static void server_away(void **state)
{
    char text[300];

    (void)state;
    assert_int_equal(ra_file_assign(store_lab.store, "A", hash, 32), RA_STORE_OK);
    assert_int_equal(store_lab_server(&store_lab, "halt"), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ra_file_check(store_lab.store, "A", 1, &hash, 32, 1),
                         RA_STORE_UNAVAILABLE);
        assert_int_equal(ra_blacklist_check(store_lab.store, &hash, 32, 1), RA_STORE_UNAVAILABLE);
        assert_int_equal(ra_file_assign(store_lab.store, "B", hash, 32), RA_STORE_UNAVAILABLE);
    }
    ra_store_last_error(store_lab.store, text, sizeof text);
    assert_non_null(strstr(text, "postgresql"));
    assert_int_equal(store_lab_server(&store_lab, "again"), 0);
    usleep(300000); /* longer than between two tries to connect */
    assert_int_equal(ra_file_check(store_lab.store, "A", 1, &hash, 32, 1), RA_STORE_OK);
    /* Stopped and started between two calls: the second does not notice. */
    assert_int_equal(store_lab_server(&store_lab, "halt"), 0);
    assert_int_equal(store_lab_server(&store_lab, "again"), 0);
    assert_int_equal(ra_file_assign(store_lab.store, "B", hash, 32), RA_STORE_OK);
}

/* Somebody holds the lock for longer than we wait, then lets go. */
static void locked(void **state)
{
    struct ra_request request = store_lab_request(1, 1, 1, "20");
    struct ra_request_limits limits = {.retention = 10, .window = 10};
    PGconn *other = PQconnectdb(strchr(store_lab.spec, ':') + 1);
    enum ra_request_verdict verdict = RA_REQUEST_TOO_MANY;
    char text[300];

    (void)state;
    PQclear(PQexec(other, "BEGIN; LOCK TABLE dot2hsm.requests"));
    assert_int_equal(PQtransactionStatus(other), PQTRANS_INTRANS);
    assert_int_equal(ra_request_accept(store_lab.store, &request, &limits, &verdict),
                     RA_STORE_UNAVAILABLE);
    ra_store_last_error(store_lab.store, text, sizeof text);
    assert_non_null(strstr(text, "lock timeout"));
    PQclear(PQexec(other, "ROLLBACK"));
    PQfinish(other);
    assert_int_equal(ra_request_accept(store_lab.store, &request, &limits, &verdict), RA_STORE_OK);
    assert_int_equal(verdict, RA_REQUEST_ACCEPTED);
}

/* With many rows PostgreSQL looks things up in an index; a list is gone through by pages. */
static bool count_file(void *arg, const char *filename, const uint8_t *requester, size_t size)
{
    size_t *count = arg;
    char expected[32];

    assert_non_null(requester);
    assert_int_equal(size, 32);
    snprintf(expected, sizeof expected, "F%05zu", (*count)++ + 1);
    assert_string_equal(filename, expected);
    return true;
}

static void many_rows(void **state)
{
    static const char *const questions[] = {
        "SELECT 1 FROM blacklist WHERE id IN ('\\x01', '\\x02', '\\x03') LIMIT 1",
        "SELECT requester FROM files WHERE lower(name) = lower('F00001' COLLATE \"C\")",
        "SELECT 1 FROM requests WHERE request_hash = '\\x01' AND (received >= 5 OR state = 0)",
        "SELECT 1 FROM requests WHERE requester = '\\x01' AND verify_key = '\\x01' AND state = 0",
        "SELECT 1 FROM requests WHERE requester = '\\x01' AND permissions = 'x' AND kind = 3"
        " AND state = 0",
        "SELECT seq FROM requests WHERE received < 5 AND state <> 0 ORDER BY received LIMIT 16",
        "SELECT * FROM requests WHERE state = 0 AND seq > 100 ORDER BY seq LIMIT 1",
        "SELECT sum(n) FROM tries WHERE requester = '\\x01' AND at > 5",
        "SELECT ctid FROM tries WHERE at <= 5 ORDER BY at LIMIT 16",
    };
    PGconn *other = PQconnectdb(strchr(store_lab.spec, ':') + 1);
    size_t count = 0;

    (void)state;
    PQclear(PQexec(
        other, "SET search_path = dot2hsm;"
               "INSERT INTO blacklist (id, added, comment)"
               " SELECT sha256(i::text::bytea), i, '' FROM generate_series(1, 20000) i;"
               "INSERT INTO files SELECT 'F' || lpad(i::text, 5, '0'), sha256(i::text::bytea)"
               " FROM generate_series(1, 20000) i;"
               "INSERT INTO requests (request_hash, hash, kind, requester, verify_key,"
               " permissions, received, download_time, state, detail, certificate,"
               " signed_request) SELECT substr(h, 25), h, 3, h, '\\x02' || h, '20', i, i, i % 3,"
               " '', h, h FROM (SELECT i, sha256(i::text::bytea) h"
               " FROM generate_series(1, 20000) i) x;"
               "INSERT INTO tries SELECT sha256((i % 100)::text::bytea), i, 1"
               " FROM generate_series(1, 20000) i; ANALYZE"));
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        char sql[300];
        PGresult *result;

        snprintf(sql, sizeof sql, "EXPLAIN %s", questions[i]);
        result = PQexec(other, sql);
        assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
        for (int row = 0; row < PQntuples(result); row++) {
            assert_null(strstr(PQgetvalue(result, row, 0), "Seq Scan"));
            assert_null(strstr(PQgetvalue(result, row, 0), "Sort"));
        }
        PQclear(result);
    }
    PQfinish(other);
    assert_int_equal(ra_file_each(store_lab.store, count_file, &count), RA_STORE_OK);
    assert_int_equal(count, 20000);
}

/* With few rows, too: what our sessions ask is planned without reading a whole table. */
static void few_rows(void **state)
{
    static const struct {
        enum ra_pg_sql which;
        const char *parameters;
    } questions[] = {
        {RA_PG_ASK, "'1', '2', '3', '4', '5', '6', '7', '8'"},
        {RA_PG_REQUEST_FACTS, "'1', 2, '3', 4, '5', '6'"},
        {RA_PG_REQUEST_FIND, "'1'"},
    };
    struct ra_pg *backend = NULL;
    struct ra_pg_connection *connection;
    char text[200], sql[2000];

    (void)state;
    store_lab_execute(&store_lab, "INSERT INTO dot2hsm.blacklist (id, added, comment)"
                                  " SELECT substr(sha256(i::text::bytea), 1, 8), i, ''"
                                  " FROM generate_series(1, 1000) i; ANALYZE dot2hsm.blacklist");
    assert_int_equal(
        ra_pg_open(strchr(store_lab.spec, ':') + 1, false, (void **)&backend, text, sizeof text),
        RA_STORE_OK);
    connection = ra_pg_borrow(backend);
    assert_non_null(connection);
    PQclear(PQexec(connection->pg, "SET plan_cache_mode = force_generic_plan"));
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        PGresult *result;

        snprintf(sql, sizeof sql, "PREPARE few AS %s", ra_pg_sql[questions[i].which]);
        PQclear(PQexec(connection->pg, sql));
        snprintf(sql, sizeof sql, "EXPLAIN EXECUTE few(%s)", questions[i].parameters);
        result = PQexec(connection->pg, sql);
        assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
        for (int row = 0; row < PQntuples(result); row++)
            assert_null(strstr(PQgetvalue(result, row, 0), "Seq Scan"));
        PQclear(result);
        PQclear(PQexec(connection->pg, "DEALLOCATE few"));
    }
    ra_pg_give_back(backend, connection);
    ra_pg_close(backend);
}

/* A server that acknowledges before it has written is overruled. */
static void synchronous_commit(void **state)
{
    struct ra_pg *backend = NULL;
    struct ra_pg_connection *connection;
    char text[200];
    PGresult *result;

    (void)state;
    store_lab_execute(&store_lab, "ALTER ROLE dot2hsm SET synchronous_commit = off");
    assert_int_equal(
        ra_pg_open(strchr(store_lab.spec, ':') + 1, false, (void **)&backend, text, sizeof text),
        RA_STORE_OK);
    connection = ra_pg_borrow(backend);
    assert_non_null(connection);
    result = PQexec(connection->pg, "SHOW synchronous_commit");
    assert_string_equal(PQgetvalue(result, 0, 0), "on");
    PQclear(result);
    ra_pg_give_back(backend, connection);
    ra_pg_close(backend);
    store_lab_execute(&store_lab, "ALTER ROLE dot2hsm RESET synchronous_commit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_LAB_TEST(refused_specs), STORE_LAB_TEST(uri),
        STORE_LAB_TEST(schema),        STORE_LAB_TEST(server_away),
        STORE_LAB_TEST(locked),        STORE_LAB_TEST(many_rows),
        STORE_LAB_TEST(few_rows),      STORE_LAB_TEST(synchronous_commit),
    };

    return cmocka_run_group_tests(tests, store_lab_setup_postgresql, store_lab_end);
}
