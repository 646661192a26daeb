/*
 * store_test.c: the store on a real SQLite file in a directory of its own.
 */
#include "protocol/ra/store_sqlite.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

struct fixture {
    char dir[64];
    char path[96];
    ra_store *store;
    char text[200];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/ra_store.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/ra.db", f->dir);
    assert_int_equal(ra_store_open(f->path, true, &f->store, f->text, sizeof f->text), RA_STORE_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    struct fixture *f = *state;
    char path[128];

    ra_store_close(f->store);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s%s", f->path, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void fill(uint8_t *octets, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525U + 1013904223U;
        octets[i] = (uint8_t)(seed >> 24);
    }
}

/* The entry of a kind for a whole hash: its tail. */
static struct ra_blacklist_entry entry_of(const uint8_t *hash, size_t size,
                                          enum ra_blacklist_kind kind, const char *comment)
{
    struct ra_blacklist_entry entry = {.kind = kind, .added = 1700000000};

    memcpy(entry.id, hash + size - (size_t)kind, (size_t)kind);
    snprintf(entry.comment, sizeof entry.comment, "%s", comment);
    return entry;
}

static enum ra_store_status check(ra_store *store, uint8_t hashes[][48], size_t size, size_t count)
{
    return ra_blacklist_check(store, (const uint8_t(*)[48])hashes, size, count);
}

static enum ra_store_status check_file(struct fixture *f, const char *name, uint8_t hashes[][48],
                                       size_t size, size_t count)
{
    return ra_file_check(f->store, name, strlen(name), (const uint8_t(*)[48])hashes, size, count);
}

struct seen {
    struct ra_blacklist_entry entries[8];
    char names[8][64];
    size_t count, stop_after;
};

static bool see_entry(void *arg, const struct ra_blacklist_entry *entry)
{
    struct seen *seen = arg;

    assert_true(seen->count < 8);
    seen->entries[seen->count++] = *entry;
    return seen->count != seen->stop_after;
}

static void opening(void **state)
{
    struct fixture *f = *state;
    ra_store *store = (ra_store *)&store;
    char spec[160];

    snprintf(spec, sizeof spec, "sqlite:%s", f->path);
    assert_int_equal(ra_store_open(spec, false, &store, f->text, sizeof f->text), RA_STORE_OK);
    ra_store_close(store);
    snprintf(spec, sizeof spec, "%s/none.db", f->dir);
    assert_int_equal(ra_store_open(spec, false, &store, f->text, sizeof f->text),
                     RA_STORE_NOT_FOUND);
    assert_null(store);
    assert_non_null(strstr(f->text, "none.db"));
    assert_int_equal(ra_store_open("mongodb:x", true, &store, f->text, sizeof f->text),
                     RA_STORE_ARGUMENT);
    assert_non_null(strstr(f->text, "mongodb:"));
    assert_int_equal(ra_store_open("sqlite:", true, &store, f->text, sizeof f->text),
                     RA_STORE_ARGUMENT);
    assert_int_equal(ra_store_open("", true, &store, f->text, sizeof f->text), RA_STORE_ARGUMENT);
    assert_int_equal(ra_store_open(NULL, true, &store, f->text, sizeof f->text), RA_STORE_ARGUMENT);
    assert_int_equal(ra_store_open(f->dir, true, &store, f->text, sizeof f->text),
                     RA_STORE_ARGUMENT);
    snprintf(spec, sizeof spec, "%s/no/such/dir/ra.db", f->dir);
    assert_int_equal(ra_store_open(spec, true, &store, f->text, sizeof f->text),
                     RA_STORE_UNAVAILABLE);
    ra_store_close(NULL);
}

static void mode(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[48] = {0};
    char path[128];
    mode_t before;
    ra_store *store = NULL;
    struct stat st;

    assert_int_equal(ra_file_assign(f->store, "A", hash, 32), RA_STORE_OK);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(path, sizeof path, "%s-wal", f->path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    /* Neither a wide nor a narrow umask changes it. */
    snprintf(path, sizeof path, "%s/other.db", f->dir);
    for (int i = 0; i < 2; i++) {
        before = umask(i == 0 ? 0 : 0277);
        assert_int_equal(ra_store_open(path, true, &store, f->text, sizeof f->text), RA_STORE_OK);
        umask(before);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        ra_store_close(store);
        assert_int_equal(unlink(path), 0);
    }
}

static void execute(const char *path, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void newer_schema_and_foreign_files(void **state)
{
    struct fixture *f = *state;
    ra_store *store = NULL;
    char path[128];
    FILE *file;

    ra_store_close(f->store);
    execute(f->path, "PRAGMA user_version = 1000");
    assert_int_equal(ra_store_open(f->path, true, &f->store, f->text, sizeof f->text),
                     RA_STORE_SCHEMA);
    assert_null(f->store);
    assert_non_null(strstr(f->text, "1000"));
    execute(f->path, "PRAGMA user_version = 2");
    assert_int_equal(ra_store_open(f->path, true, &f->store, f->text, sizeof f->text), RA_STORE_OK);

    snprintf(path, sizeof path, "%s/foreign.db", f->dir);
    execute(path, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    assert_int_equal(ra_store_open(path, true, &store, f->text, sizeof f->text), RA_STORE_ARGUMENT);
    assert_non_null(strstr(f->text, "not a store of dot2hsm"));
    assert_int_equal(unlink(path), 0);

    file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", file);
    fclose(file);
    assert_int_equal(ra_store_open(path, true, &store, f->text, sizeof f->text), RA_STORE_ARGUMENT);
    assert_int_equal(unlink(path), 0);
}

/* A file as version 1 made it keeps what is in it, and takes requests from then on. */
static void migration_from_1(void **state)
{
    static const char made_by_1[] =
        "PRAGMA journal_mode = WAL; BEGIN;"
        "CREATE TABLE blacklist ("
        "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
        "  id BLOB NOT NULL UNIQUE CHECK (length(id) IN (8, 10, 32, 48)),"
        "  added INTEGER NOT NULL,"
        "  comment TEXT NOT NULL);"
        "CREATE TABLE files ("
        "  name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,"
        "  requester BLOB NOT NULL CHECK (length(requester) IN (32, 48))) WITHOUT ROWID;"
        "INSERT INTO blacklist (id, added, comment) VALUES (x'0102030405060708', 5, 'old');"
        "INSERT INTO files VALUES ('A.zip', zeroblob(32));"
        "PRAGMA user_version = 1; PRAGMA application_id = 1681025139; COMMIT";
    struct fixture *f = *state;
    struct ra_request request = {.kind = SCMS_PROVISION_APP,
                                 .requester_size = 32,
                                 .certificate = (const uint8_t *)"c",
                                 .certificate_size = 1,
                                 .signed_request = (const uint8_t *)"r",
                                 .signed_request_size = 1};
    struct ra_request_limits limits = {.retention = 10, .window = 10};
    enum ra_request_verdict verdict = RA_REQUEST_TOO_MANY;
    uint8_t hashes[1][48] = {{0}};
    struct seen seen = {0};
    char path[128];

    ra_store_close(f->store);
    f->store = NULL;
    snprintf(path, sizeof path, "%s/one.db", f->dir);
    execute(path, made_by_1);
    for (int i = 0; i < 2; i++) { /* migrated once, then opened as it is */
        assert_int_equal(ra_store_open(path, false, &f->store, f->text, sizeof f->text),
                         RA_STORE_OK);
        assert_int_equal(check_file(f, "a.ZIP", hashes, 32, 1), RA_STORE_OK);
        memset(&seen, 0, sizeof seen);
        assert_int_equal(ra_blacklist_each(f->store, see_entry, &seen), RA_STORE_OK);
        assert_int_equal(seen.count, 1);
        assert_string_equal(seen.entries[0].comment, "old");
        assert_int_equal(ra_eca_check(f->store, hashes[0]), RA_STORE_OK);
        assert_int_equal(ra_request_accept(f->store, &request, &limits, &verdict), RA_STORE_OK);
        assert_int_equal(verdict, i == 0 ? RA_REQUEST_ACCEPTED : RA_REQUEST_DUPLICATE);
        ra_store_close(f->store);
        f->store = NULL;
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ra_store_open(f->path, true, &f->store, f->text, sizeof f->text), RA_STORE_OK);
}

/* Another process holds the write lock for longer than we wait: reading goes on, writing fails. */
static void locked(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[1][48] = {{1}};
    char text[300] = "";
    sqlite3 *db = NULL;

    assert_int_equal(ra_file_assign(f->store, "A", hash[0], 32), RA_STORE_OK);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE; DELETE FROM files", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(check_file(f, "A", hash, 32, 1), RA_STORE_OK);
    assert_int_equal(ra_file_assign(f->store, "B", hash[0], 32), RA_STORE_UNAVAILABLE);
    ra_store_last_error(f->store, text, sizeof text);
    assert_non_null(strstr(text, "locked"));
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(ra_file_assign(f->store, "B", hash[0], 32), RA_STORE_OK);
}

/* A disk without room, as a limit on the size of files: an error, and all is well afterwards. */
static void disk_full(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[1][48];
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit limit = {262144, 262144};
        enum ra_store_status seen = RA_STORE_OK;
        ra_store *store = NULL;
        char name[64];

        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
            ra_store_open(f->path, false, &store, f->text, sizeof f->text) != RA_STORE_OK)
            _exit(2);
        for (uint32_t i = 0; i < 2000 && seen == RA_STORE_OK; i++) {
            fill(hash[0], 48, i);
            snprintf(name, sizeof name, "%u", i);
            seen = ra_file_assign(store, name, hash[0], 48);
        }
        _exit(seen == RA_STORE_UNAVAILABLE ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fill(hash[0], 48, 0);
    assert_int_equal(check_file(f, "0", hash, 48, 1), RA_STORE_OK);
    assert_int_equal(ra_file_assign(f->store, "after", hash[0], 48), RA_STORE_OK);
}

/* A damaged file gives no verdict: neither on the list nor off it. */
static void damaged(void **state)
{
    struct fixture *f = *state;
    uint8_t hashes[1][48];
    enum ra_store_status status;
    FILE *file;

    for (uint32_t i = 0; i < 200; i++) {
        struct ra_blacklist_entry entry;

        fill(hashes[0], 48, i);
        entry = entry_of(hashes[0], 32, RA_BLACKLIST_SHA256, "x");
        assert_int_equal(ra_blacklist_add(f->store, &entry), RA_STORE_OK);
    }
    ra_store_close(f->store);
    f->store = NULL;
    file = fopen(f->path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 4096, SEEK_SET), 0);
    for (int i = 0; i < 4096 * 20; i++)
        fputc(0xa5, file);
    fclose(file);
    status = ra_store_open(f->path, false, &f->store, f->text, sizeof f->text);
    if (status == RA_STORE_OK) {
        fill(hashes[0], 48, 0);
        status = check(f->store, hashes, 32, 1);
    }
    assert_int_equal(status, RA_STORE_UNAVAILABLE);
    if (f->store == NULL) /* so that teardown has one */
        unlink(f->path);
}

/* SQLite searches an index for every look-up on the way of a request; it never scans. */
static void lookups_use_an_index(void **state)
{
    static const enum ra_sql hot[] = {
        RA_SQL_ASK,          RA_SQL_REQUEST_FACTS, RA_SQL_REQUEST_FORGET, RA_SQL_REQUEST_PRUNE,
        RA_SQL_REQUEST_NEXT, RA_SQL_REQUEST_FIND,  RA_SQL_REQUEST_FINISH, RA_SQL_TRY_SUM,
        RA_SQL_TRY_PRUNE,
    };
    struct fixture *f = *state;
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof hot / sizeof hot[0]; i++) {
        sqlite3_stmt *statement = NULL;
        char sql[768];
        size_t searches = 0;

        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", ra_sqlite_sql[hot[i]]);
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            const char *detail = (const char *)sqlite3_column_text(statement, 3);

            /* Whether there is an ECA at all is known at the first. */
            assert_true(strstr(detail, "SCAN") == NULL || strstr(detail, "CONSTANT ROW") != NULL ||
                        strncmp(detail, "SCAN ecas", 9) == 0);
            assert_null(strstr(detail, "TEMP B-TREE"));
            assert_null(strstr(detail, "(state=?)")); /* all that are pending: too many */
            if (strncmp(detail, "SEARCH", 6) == 0) {
                assert_non_null(strchr(detail, '?'));
                searches++;
            }
        }
        assert_true(searches > 0);
        sqlite3_finalize(statement);
    }
    sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opening, setup, teardown),
        cmocka_unit_test_setup_teardown(mode, setup, teardown),
        cmocka_unit_test_setup_teardown(newer_schema_and_foreign_files, setup, teardown),
        cmocka_unit_test_setup_teardown(migration_from_1, setup, teardown),
        cmocka_unit_test_setup_teardown(locked, setup, teardown),
        cmocka_unit_test_setup_teardown(disk_full, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(lookups_use_an_index, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
