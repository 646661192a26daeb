/*
 * store_lab.c: see store_lab.h.
 */
#include "tests/ra/store_lab.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>
#include <sqlite3.h>

struct store_lab store_lab;

static void script(char *command, size_t size, const struct store_lab *lab, const char *word)
{
    const char *source = getenv("SOURCE_DIR");

    snprintf(command, size, "'%s/tests/ra/postgres.sh' %s '%s/pg' %d", source ? source : ".", word,
             lab->dir, (int)getpid());
}

int store_lab_server(const struct store_lab *lab, const char *word)
{
    char command[400];
    int status;

    script(command, sizeof command, lab, word);
    status = system(command);
    return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void store_lab_start(struct store_lab *lab, bool postgresql)
{
    char command[400];
    FILE *pipe;

    memset(lab, 0, sizeof *lab);
    lab->postgresql = postgresql;
    snprintf(lab->dir, sizeof lab->dir, "/tmp/ra_store.XXXXXX");
    assert_non_null(mkdtemp(lab->dir));
    if (!postgresql) {
        snprintf(lab->spec, sizeof lab->spec, "sqlite:%s/ra.db", lab->dir);
        return;
    }
    assert_int_equal(chmod(lab->dir, 0711), 0); /* the server runs as somebody else */
    snprintf(lab->spec, sizeof lab->spec, "postgresql:");
    script(command, sizeof command, lab, "start");
    pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(lab->spec + 11, (int)sizeof lab->spec - 11, pipe));
    assert_int_equal(pclose(pipe), 0);
    lab->spec[strcspn(lab->spec, "\n")] = '\0';
}

static void remove_files(const struct store_lab *lab)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char path[128];

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s/ra.db%s", lab->dir, suffixes[i]);
        unlink(path);
    }
}

void store_lab_stop(struct store_lab *lab)
{
    if (lab->postgresql)
        assert_int_equal(store_lab_server(lab, "stop"), 0);
    else
        remove_files(lab);
    assert_int_equal(rmdir(lab->dir), 0);
}

void store_lab_execute(const struct store_lab *lab, const char *sql)
{
    const char *location = strchr(lab->spec, ':') + 1;

    if (lab->postgresql) {
        PGconn *pg = PQconnectdb(location);
        PGresult *result = NULL;

        PQclear(PQexec(pg, "SET client_min_messages = error"));
        result = PQexec(pg, sql);
        assert_true(PQresultStatus(result) == PGRES_COMMAND_OK ||
                    PQresultStatus(result) == PGRES_TUPLES_OK);
        PQclear(result);
        PQfinish(pg);
    } else {
        sqlite3 *db = NULL;

        assert_int_equal(sqlite3_open(location, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
    }
}

void store_lab_fresh(struct store_lab *lab)
{
    if (lab->postgresql)
        store_lab_execute(lab, "DROP SCHEMA IF EXISTS dot2hsm CASCADE");
    else
        remove_files(lab);
    assert_int_equal(ra_store_open(lab->spec, true, &lab->store, lab->text, sizeof lab->text),
                     RA_STORE_OK);
}

void store_lab_done(struct store_lab *lab)
{
    ra_store_close(lab->store);
    lab->store = NULL;
}

ra_store *store_lab_second(const struct store_lab *lab)
{
    ra_store *store = NULL;
    char text[200];

    assert_int_equal(ra_store_open(lab->spec, false, &store, text, sizeof text), RA_STORE_OK);
    return store;
}

void store_lab_fill(uint8_t *octets, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525U + 1013904223U;
        octets[i] = (uint8_t)(seed >> 24);
    }
}

struct ra_request store_lab_request(uint32_t hash, uint32_t requester, uint32_t key,
                                    const char *permissions)
{
    static const uint8_t certificate[150] = {0x80, 0x03, 0x00}, body[400] = {0x03, 0x81};
    struct ra_request request = {.kind = SCMS_PROVISION_APP,
                                 .requester_size = 32,
                                 .certificate = certificate,
                                 .certificate_size = sizeof certificate,
                                 .signed_request = body,
                                 .signed_request_size = sizeof body,
                                 .received = 1700000000,
                                 .download_time = 600000000};

    store_lab_fill(request.hash, sizeof request.hash, hash);
    store_lab_fill(request.requester, request.requester_size, requester);
    store_lab_fill(request.verify_key, sizeof request.verify_key, key);
    snprintf(request.permissions, sizeof request.permissions, "%s", permissions);
    return request;
}

int store_lab_setup(void **state)
{
    (void)state;
    store_lab_fresh(&store_lab);
    return 0;
}

int store_lab_teardown(void **state)
{
    (void)state;
    store_lab_done(&store_lab);
    return 0;
}

int store_lab_setup_sqlite(void **state)
{
    (void)state;
    store_lab_start(&store_lab, false);
    return 0;
}

int store_lab_setup_postgresql(void **state)
{
    (void)state;
    store_lab_start(&store_lab, true);
    return 0;
}

int store_lab_end(void **state)
{
    (void)state;
    store_lab_stop(&store_lab);
    return 0;
}
