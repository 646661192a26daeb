/*
 * commits.c: the bare loop that a durable POST is measured by: INSERT one row of the size of a
 * request into the store's own table, and commit.
 *
 *   bench_commits STORE MS CERTIFICATE-SIZE REQUEST-SIZE
 *
 * STORE is what the configuration's store is: sqlite:PATH or postgresql:CONNINFO. Prints
 *   RESULT <commits> <seconds> <p50> <p99> <p99.9>          latencies in microseconds
 */
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#define COMMITS_MAX 1000000
#define OCTETS_MAX 4096
#define COLUMNS                                                                                    \
    "INSERT INTO %srequests (request_hash, hash, kind, requester, verify_key, permissions,"        \
    " received, download_time, state, detail, certificate, signed_request) VALUES "

static uint8_t hash[32], requester[32], key[33], octets[OCTETS_MAX];
static size_t certificate_size, request_size;
static double latencies[COMMITS_MAX];

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_commits: %s: %s\n", what, why);
    exit(2);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- SQLite ---- */

static sqlite3 *db;
static sqlite3_stmt *insert;

static void sqlite_open(const char *path)
{
    char sql[400];

    snprintf(sql, sizeof sql, COLUMNS "(?1, ?2, 3, ?3, ?4, 'bench', %lld, 0, 1, '', ?5, ?6)", "",
             (long long)time(NULL));
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, 5000) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", NULL, NULL,
                     NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, sql, -1, &insert, NULL) != SQLITE_OK)
        die(path, sqlite3_errmsg(db));
}

static void sqlite_commit(void)
{
    sqlite3_bind_blob(insert, 1, hash + 24, 8, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 2, hash, 32, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 3, requester, 32, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 4, key, 33, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 5, octets, (int)certificate_size, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 6, octets, (int)request_size, SQLITE_STATIC);
    if (sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK)
        die("INSERT", sqlite3_errmsg(db));
}

/* ---- PostgreSQL ---- */

static PGconn *pg;

static void pg_check(PGresult *result, const char *what)
{
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die(what, PQerrorMessage(pg));
    PQclear(result);
}

static void pg_open(const char *conninfo)
{
    char sql[400];

    snprintf(sql, sizeof sql, COLUMNS "($1, $2, 3, $3, $4, 'bench', %lld, 0, 1, '', $5, $6)",
             "dot2hsm.", (long long)time(NULL));
    pg = PQconnectdb(conninfo);
    if (PQstatus(pg) != CONNECTION_OK)
        die("PostgreSQL", PQerrorMessage(pg));
    pg_check(PQprepare(pg, "insert", sql, 0, NULL), "PREPARE");
}

static void pg_commit(void)
{
    const char *const values[] = {(char *)hash + 24, (char *)hash,   (char *)requester,
                                  (char *)key,       (char *)octets, (char *)octets};
    const int lengths[] = {8, 32, 32, 33, (int)certificate_size, (int)request_size};
    static const int formats[] = {1, 1, 1, 1, 1, 1};

    pg_check(PQexecPrepared(pg, "insert", 6, values, lengths, formats, 0), "INSERT");
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    bool is_sqlite = argc == 5 && strncmp(argv[1], "sqlite:", 7) == 0;
    bool is_pg = argc == 5 && strncmp(argv[1], "postgresql:", 11) == 0;
    size_t count = 0;
    double begin, end, at;

    if (!is_sqlite && !is_pg) {
        fprintf(stderr, "usage: bench_commits STORE MS CERTIFICATE-SIZE REQUEST-SIZE\n");
        return 2;
    }
    certificate_size = strtoul(argv[3], NULL, 10);
    request_size = strtoul(argv[4], NULL, 10);
    if (certificate_size < 1 || certificate_size > OCTETS_MAX || request_size < 1 ||
        request_size > OCTETS_MAX)
        die("sizes", "1 to 4096");
    RAND_bytes(octets, sizeof octets);
    if (is_sqlite)
        sqlite_open(argv[1] + 7);
    else
        pg_open(argv[1] + 11);
    begin = now();
    end = begin + atoi(argv[2]) / 1e3;
    do {
        RAND_bytes(hash, sizeof hash);
        RAND_bytes(requester, sizeof requester);
        RAND_bytes(key, sizeof key);
        at = now();
        if (is_sqlite)
            sqlite_commit();
        else
            pg_commit();
        latencies[count++] = now() - at;
    } while (now() < end && count < COMMITS_MAX);
    end = now();
    qsort(latencies, count, sizeof latencies[0], compare);
    printf("RESULT %zu %.6f %.1f %.1f %.1f\n", count, end - begin, 1e6 * latencies[count / 2],
           1e6 * latencies[count * 99 / 100], 1e6 * latencies[count * 999 / 1000]);
    sqlite3_finalize(insert);
    sqlite3_close(db);
    PQfinish(pg);
    return 0;
}
