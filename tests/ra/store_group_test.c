/*
 * store_group_test.c: requests that wait for SQLite are committed together, and what one of them
 * is refused for is its own.
 */
#include "tests/ra/store_lab.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <sqlite3.h>

#define THREADS 8

static const struct ra_request_limits limits = {.retention = 1000, .window = 3600};

struct asking {
    pthread_t thread;
    struct ra_request request;
    enum ra_request_verdict verdict;
    enum ra_store_status status;
};

static struct asking asking[THREADS];
static atomic_uint begun;
static sqlite3 *other; /* as another process would */

static const char *path(void)
{
    return store_lab.spec + strlen("sqlite:");
}

static void execute(const char *sql)
{
    char *text = NULL;

    if (sqlite3_exec(other, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

static int set_up(void **state)
{
    store_lab_setup(state);
    assert_int_equal(sqlite3_open(path(), &other), SQLITE_OK);
    begun = 0;
    for (uint32_t i = 0; i < THREADS; i++)
        asking[i] = (struct asking){.request = store_lab_request(i + 1, 1, i + 1, "20"),
                                    .verdict = RA_REQUEST_TOO_MANY};
    return 0;
}

static int tear_down(void **state)
{
    sqlite3_close(other);
    return store_lab_teardown(state);
}

static uint32_t number_at(const uint8_t *octets)
{
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 |
           octets[3];
}

/* Commits in the write-ahead log: a frame says how large the file is if it ends a transaction
   (SQLite's file format, 4.1). */
static unsigned commits(void)
{
    static uint8_t page[65536];
    uint8_t header[32], frame[24];
    unsigned count = 0;
    char name[512];
    FILE *wal;

    snprintf(name, sizeof name, "%s-wal", path());
    wal = fopen(name, "rb");
    assert_non_null(wal);
    assert_int_equal(fread(header, 1, sizeof header, wal), sizeof header);
    while (fread(frame, 1, sizeof frame, wal) == sizeof frame &&
           memcmp(frame + 8, header + 16, 8) == 0) {
        count += number_at(frame + 4) != 0;
        assert_int_equal(fread(page, 1, number_at(header + 8), wal), number_at(header + 8));
    }
    fclose(wal);
    return count;
}

static void *ask(void *arg)
{
    struct asking *one = arg;

    begun++;
    one->status = ra_request_accept(store_lab.store, &one->request, &limits, &one->verdict);
    return NULL;
}

/* All of them while another process holds the file's lock; how many commits they took. */
static unsigned ask_all(void)
{
    const struct timespec moment = {.tv_nsec = 100000000};
    unsigned before;

    execute("BEGIN IMMEDIATE");
    before = commits();
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&asking[i].thread, NULL, ask, &asking[i]), 0);
    while (begun < THREADS)
        nanosleep(&moment, NULL);
    nanosleep(&moment, NULL);
    execute("ROLLBACK");
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(asking[i].thread, NULL);
    return commits() - before;
}

static bool is_stored(const struct ra_request *request)
{
    enum ra_request_state state;
    uint8_t requester[48];
    size_t size;

    return ra_request_find(store_lab.store, request->hash + 24, &state, requester, &size) ==
           RA_STORE_OK;
}

static void together(void **state)
{
    unsigned took = ask_all();

    (void)state;
    /* One that came first, and those that waited for it. */
    assert_in_range(took, 1, THREADS / 2);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(asking[i].status, RA_STORE_OK);
        assert_int_equal(asking[i].verdict, RA_REQUEST_ACCEPTED);
        assert_true(is_stored(&asking[i].request));
    }
}

/* Of twins in one transaction one is accepted. */
static void twins(void **state)
{
    unsigned accepted = 0;

    (void)state;
    for (size_t i = 1; i < THREADS; i++)
        asking[i].request = asking[0].request;
    assert_in_range(ask_all(), 1, THREADS / 2);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(asking[i].status, RA_STORE_OK);
        accepted += asking[i].verdict == RA_REQUEST_ACCEPTED;
        assert_true(asking[i].verdict == RA_REQUEST_ACCEPTED ||
                    asking[i].verdict == RA_REQUEST_DUPLICATE);
    }
    assert_int_equal(accepted, 1);
}

/* A row that the store does not take fails by itself. */
static void one_is_refused(void **state)
{
    (void)state;
    execute("CREATE TRIGGER refused BEFORE INSERT ON requests WHEN new.permissions = 'bad'"
            " BEGIN SELECT RAISE(ABORT, 'no'); END");
    strcpy(asking[5].request.permissions, "bad");
    ask_all();
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(asking[i].status, i == 5 ? RA_STORE_EXISTS : RA_STORE_OK);
        assert_true(is_stored(&asking[i].request) == (i != 5));
        assert_int_equal(asking[i].verdict, i == 5 ? RA_REQUEST_TOO_MANY : RA_REQUEST_ACCEPTED);
    }
}

/* Where the file cannot be written, nobody is told that a request is accepted. */
static void nobody_if_the_store_fails(void **state)
{
    char text[300];

    (void)state;
    execute("ALTER TABLE tries RENAME TO away");
    ask_all();
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(asking[i].status, RA_STORE_UNAVAILABLE);
        assert_int_equal(asking[i].verdict, RA_REQUEST_TOO_MANY);
        assert_false(is_stored(&asking[i].request));
    }
    ra_store_last_error(store_lab.store, text, sizeof text);
    assert_non_null(strstr(text, "tries"));
    execute("ALTER TABLE away RENAME TO tries");
    begun = 0;
    ask_all();
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(asking[i].status, RA_STORE_OK);
        assert_true(is_stored(&asking[i].request));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(twins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_if_the_store_fails, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("sqlite", tests, store_lab_setup_sqlite, store_lab_end);
}
