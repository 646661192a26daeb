/*
 * store_crash_test.c: what was acknowledged is there, and once, whatever is killed; over each back
 * end. A child process accepts requests and writes the number of each acknowledged one to a pipe.
 * With DOT2HSM_LONG in the environment it is killed a hundred times, otherwise ten.
 */
#include "tests/ra/store_lab.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define PER_ROUND 100000U /* numbers of requests that belong to one round */

static const struct ra_request_limits limits = {.retention = 1000000, .window = 10};

static struct ra_request numbered(uint32_t number)
{
    struct ra_request request = store_lab_request(number, number % 5, number, "");

    /* The number itself, so that what is found in the store can be told. */
    memcpy(request.hash, &number, sizeof number);
    return request;
}

/* Accepts requests from number on until it is killed, or until the store says no. */
static void child_accepts(uint32_t number, int acknowledged)
{
    ra_store *store = store_lab_second(&store_lab);
    enum ra_store_status status = RA_STORE_OK;

    for (; status == RA_STORE_OK; number++) {
        struct ra_request request = numbered(number);
        enum ra_request_verdict verdict;

        status = ra_request_accept(store, &request, &limits, &verdict);
        if (status == RA_STORE_OK &&
            (verdict != RA_REQUEST_ACCEPTED ||
             write(acknowledged, &number, sizeof number) != (ssize_t)sizeof number))
            _exit(1);
    }
    _exit(2);
}

static pid_t child_start(uint32_t number, int *acknowledged)
{
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child_accepts(number, ends[1]);
    }
    close(ends[1]);
    *acknowledged = ends[0];
    return pid;
}

static bool read_number(int acknowledged, uint32_t *number)
{
    return read(acknowledged, number, sizeof *number) == (ssize_t)sizeof *number;
}

struct tally {
    uint8_t *seen;
    size_t size;
    uint32_t count;
};

static bool tally(void *arg, const struct ra_request *request)
{
    struct tally *t = arg;
    struct ra_request expected;
    uint32_t number;

    memcpy(&number, request->hash, sizeof number);
    expected = numbered(number);
    assert_memory_equal(request->hash, expected.hash, 32);
    assert_memory_equal(request->verify_key, expected.verify_key, 33);
    assert_int_equal(request->signed_request_size, expected.signed_request_size);
    assert_memory_equal(request->signed_request, expected.signed_request,
                        expected.signed_request_size);
    assert_true(number < t->size);
    assert_int_equal(t->seen[number], 0); /* not twice */
    t->seen[number] = 1;
    t->count++;
    return true;
}

/*
 * What the pipe says was acknowledged is in the store; the store has at most one more. The caller
 * has read the numbers from first on already, before of them.
 */
static uint32_t check_round(int acknowledged, uint32_t first, uint32_t before)
{
    struct tally t = {.size = PER_ROUND * 101};
    uint32_t number, count = before;
    ra_store *store = store_lab_second(&store_lab);

    t.seen = calloc(t.size, 1);
    assert_non_null(t.seen);
    assert_int_equal(ra_request_each(store, RA_REQUEST_PENDING, tally, &t), RA_STORE_OK);
    for (uint32_t i = 0; i < before; i++)
        assert_int_equal(t.seen[first + i], 1);
    while (read_number(acknowledged, &number)) {
        struct ra_request again = numbered(number);
        enum ra_request_verdict verdict;

        assert_int_equal(number, first + count);
        assert_int_equal(t.seen[number], 1);
        if (count++ % 8 == 0) {
            assert_int_equal(ra_request_accept(store, &again, &limits, &verdict), RA_STORE_OK);
            assert_int_equal(verdict, RA_REQUEST_DUPLICATE);
        }
    }
    assert_in_range(t.count, count, count + 1);
    free(t.seen);
    ra_store_close(store);
    return count;
}

static unsigned rounds(void)
{
    const char *wanted = getenv("DOT2HSM_LONG");

    return wanted == NULL || *wanted == '\0' ? 10 : 100;
}

static void client_killed(void **state)
{
    uint32_t acknowledged = 0;

    (void)state;
    srandom((unsigned)getpid());
    for (unsigned round = 0; round < rounds(); round++) {
        int pipe_end = -1, status;
        pid_t pid;

        store_lab_done(&store_lab);
        store_lab_fresh(&store_lab);
        pid = child_start(round * PER_ROUND, &pipe_end);
        usleep((useconds_t)(random() % 150000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        acknowledged += check_round(pipe_end, round * PER_ROUND, 0);
        close(pipe_end);
    }
    assert_true(acknowledged > 0);
    print_message("%u requests acknowledged in %u rounds\n", acknowledged, rounds());
}

/* kill -9 of the server while a client accepts: it sees no server, and later one with all. */
static void server_killed(void **state)
{
    enum ra_store_status gone;
    int pipe_end = -1, status;
    uint8_t hash[48] = {0};
    uint32_t number;
    pid_t pid;

    (void)state;
    pid = child_start(0, &pipe_end);
    for (int i = 0; i < 20; i++)
        assert_true(read_number(pipe_end, &number));
    assert_int_equal(store_lab_server(&store_lab, "kill"), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2); /* no acknowledgement, but RA_STORE_UNAVAILABLE */
    gone = ra_eca_check(store_lab.store, hash);
    assert_int_equal(gone, RA_STORE_UNAVAILABLE);
    assert_int_equal(store_lab_server(&store_lab, "again"), 0);
    usleep(300000); /* longer than between two tries to connect */
    assert_int_equal(ra_eca_check(store_lab.store, hash), RA_STORE_OK);
    check_round(pipe_end, 0, 20);
    close(pipe_end);
}

/* Two processes, each with all the same requests, from the same moment on: one wins each. */
static void two_processes(void **state)
{
    enum {
        REQUESTS = 60,
        PROCESSES = 2
    };
    unsigned winners[REQUESTS] = {0};
    int start[2], wins[2];
    pid_t pids[PROCESSES];
    uint32_t number;
    int status;

    (void)state;
    assert_int_equal(pipe(start), 0);
    assert_int_equal(pipe(wins), 0);
    for (int p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        assert_true(pids[p] >= 0);
        if (pids[p] != 0)
            continue;
        ra_store *store = store_lab_second(&store_lab);
        char go;

        close(start[1]);
        if (read(start[0], &go, 1) != 0) /* until the parent closes its end */
            _exit(1);
        for (number = 0; number < REQUESTS; number++) {
            struct ra_request request = numbered(number);
            enum ra_request_verdict verdict;

            if (ra_request_accept(store, &request, &limits, &verdict) != RA_STORE_OK ||
                (verdict != RA_REQUEST_ACCEPTED && verdict != RA_REQUEST_DUPLICATE) ||
                (verdict == RA_REQUEST_ACCEPTED &&
                 write(wins[1], &number, sizeof number) != (ssize_t)sizeof number))
                _exit(2);
        }
        ra_store_close(store);
        _exit(0);
    }
    close(start[0]);
    usleep(200000);
    close(start[1]);
    close(wins[1]);
    while (read_number(wins[0], &number))
        winners[number]++;
    close(wins[0]);
    for (int p = 0; p < PROCESSES; p++) {
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    for (number = 0; number < REQUESTS; number++)
        assert_int_equal(winners[number], 1);
}

int main(void)
{
    /* SQLite has no server: it is in the process that client_killed kills. */
    const struct CMUnitTest sqlite[] = {
        STORE_LAB_TEST(client_killed),
        STORE_LAB_TEST(two_processes),
    };
    const struct CMUnitTest postgresql[] = {
        STORE_LAB_TEST(client_killed),
        STORE_LAB_TEST(server_killed),
        STORE_LAB_TEST(two_processes),
    };

    return cmocka_run_group_tests_name("sqlite", sqlite, store_lab_setup_sqlite, store_lab_end) +
           cmocka_run_group_tests_name("postgresql", postgresql, store_lab_setup_postgresql,
                                       store_lab_end);
}
