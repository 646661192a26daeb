/*
 * store_request_test.c: accepted requests and their limits, over each back end.
 */
#include "tests/ra/store_lab.h"

#include <pthread.h>

static const struct ra_request_limits limits = {
    .retention = 1000, .max_requests = 5, .window = 3600, .one_application = true};

static enum ra_request_verdict verdict_on(const struct ra_request *request,
                                          const struct ra_request_limits *by)
{
    enum ra_request_verdict verdict = (enum ra_request_verdict)99;

    assert_int_equal(ra_request_accept(store_lab.store, request, by, &verdict), RA_STORE_OK);
    return verdict;
}

static enum ra_store_status find(const struct ra_request *request, enum ra_request_state *state)
{
    uint8_t requester[48];
    size_t size = 0;
    enum ra_store_status status =
        ra_request_find(store_lab.store, request->hash + 24, state, requester, &size);

    if (status == RA_STORE_OK) {
        assert_int_equal(size, request->requester_size);
        assert_memory_equal(requester, request->requester, size);
    }
    return status;
}

static void accepted_once(void **state)
{
    struct ra_request request = store_lab_request(1, 1, 1, "20"), other;
    enum ra_request_state seen = RA_REQUEST_FAILED;

    (void)state;
    assert_int_equal(find(&request, &seen), RA_STORE_NOT_FOUND);
    assert_int_equal(verdict_on(&request, &limits), RA_REQUEST_ACCEPTED);
    assert_int_equal(find(&request, &seen), RA_STORE_OK);
    assert_int_equal(seen, RA_REQUEST_PENDING);
    assert_int_equal(verdict_on(&request, &limits), RA_REQUEST_DUPLICATE);
    /* The same key under another encryption: another hash, still the same request. */
    other = store_lab_request(2, 1, 1, "80");
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_DUPLICATE);
    assert_int_equal(find(&other, &seen), RA_STORE_NOT_FOUND);
    /* The same key of another device is not this one's affair. */
    other = store_lab_request(3, 2, 1, "20");
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_ACCEPTED);
    /* Another requester, the same requestHash: its files could not be told apart. */
    other = store_lab_request(4, 3, 9, "20");
    memcpy(other.hash + 24, request.hash + 24, 8);
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_DUPLICATE);
}

/* A request that is sent again under a new encryption is the same one, whatever became of it. */
static void key_is_asked_for_once(void **state)
{
    struct ra_request request = store_lab_request(1, 1, 1, "20"), other;
    enum ra_request_state seen;

    (void)state;
    assert_int_equal(verdict_on(&request, &limits), RA_REQUEST_ACCEPTED);
    assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_READY, ""),
                     RA_STORE_OK);
    assert_int_equal(find(&request, &seen), RA_STORE_OK);
    assert_int_equal(seen, RA_REQUEST_READY);
    other = store_lab_request(2, 1, 1, "20");
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_DUPLICATE);
    assert_int_equal(verdict_on(&request, &limits), RA_REQUEST_DUPLICATE);
    assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_FAILED, "no"),
                     RA_STORE_OK);
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_DUPLICATE);
    /* Nothing is remembered for longer than its retention. */
    other.received += limits.retention + 1;
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_ACCEPTED);
}

static void one_application_of_each_permission(void **state)
{
    struct ra_request_limits by = limits;
    struct ra_request request = store_lab_request(1, 1, 1, "20:01"), other;

    (void)state;
    by.max_requests = 0;
    assert_int_equal(verdict_on(&request, &by), RA_REQUEST_ACCEPTED);
    other = store_lab_request(2, 1, 2, "20:01");
    assert_int_equal(verdict_on(&other, &by), RA_REQUEST_MULTIPLE);
    assert_int_equal(verdict_on(&other, &by), RA_REQUEST_MULTIPLE); /* not recorded */
    other.kind = SCMS_PROVISION_PSEUDONYM;                          /* not an application request */
    assert_int_equal(verdict_on(&other, &by), RA_REQUEST_ACCEPTED);
    other = store_lab_request(3, 1, 3, "20:02");
    assert_int_equal(verdict_on(&other, &by), RA_REQUEST_ACCEPTED);
    other = store_lab_request(4, 2, 4, "20:01"); /* another device */
    assert_int_equal(verdict_on(&other, &by), RA_REQUEST_ACCEPTED);
    other = store_lab_request(5, 1, 5, "20:01");
    by.one_application = false;
    assert_int_equal(verdict_on(&other, &by), RA_REQUEST_ACCEPTED);
    by.one_application = true;
    other = store_lab_request(6, 1, 6, "20:02");
    request = store_lab_request(3, 1, 3, "");
    assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_FAILED, "no"),
                     RA_STORE_OK);
    assert_int_equal(verdict_on(&other, &by), RA_REQUEST_ACCEPTED);
}

static void retention(void **state)
{
    struct ra_request request = store_lab_request(1, 1, 1, "20"), again;
    enum ra_request_state seen;

    (void)state;
    assert_int_equal(verdict_on(&request, &limits), RA_REQUEST_ACCEPTED);
    again = request;
    again.received += limits.retention + 1; /* pending: remembered for as long as it is */
    assert_int_equal(verdict_on(&again, &limits), RA_REQUEST_DUPLICATE);
    assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_READY, ""),
                     RA_STORE_OK);
    again.received = request.received + limits.retention;
    assert_int_equal(verdict_on(&again, &limits), RA_REQUEST_DUPLICATE);
    again.received = request.received + limits.retention + 1;
    assert_int_equal(verdict_on(&again, &limits), RA_REQUEST_ACCEPTED);
    assert_int_equal(find(&again, &seen), RA_STORE_OK);
    assert_int_equal(seen, RA_REQUEST_PENDING);
}

/* What is beyond its retention goes, a few with each request; what is pending stays. */
static void pruning(void **state)
{
    struct ra_request_limits by = {.retention = 100, .window = 100};
    struct ra_request request;
    enum ra_request_state seen;
    size_t left = 0;

    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        request = store_lab_request(i, i, i, "20");
        assert_int_equal(verdict_on(&request, &by), RA_REQUEST_ACCEPTED);
        if (i > 0)
            assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_READY, ""),
                             RA_STORE_OK);
    }
    for (uint32_t i = 100; i < 103; i++) {
        request = store_lab_request(i, i, i, "20");
        request.received += 1000;
        assert_int_equal(verdict_on(&request, &by), RA_REQUEST_ACCEPTED);
    }
    for (uint32_t i = 0; i < 40; i++) {
        request = store_lab_request(i, i, i, "20");
        if (find(&request, &seen) == RA_STORE_OK) {
            assert_int_equal(seen, RA_REQUEST_PENDING);
            left++;
        }
    }
    assert_int_equal(left, 1);
}

static void tries(void **state)
{
    struct ra_request request = store_lab_request(1, 1, 1, "20"), other;
    bool too_many = true;

    (void)state;
    assert_int_equal(ra_request_tries(store_lab.store, request.requester, 32, request.received,
                                      &limits, &too_many),
                     RA_STORE_OK);
    assert_false(too_many);
    assert_int_equal(verdict_on(&request, &limits), RA_REQUEST_ACCEPTED);
    for (int i = 0; i < 2; i++)
        assert_int_equal(verdict_on(&request, &limits), RA_REQUEST_DUPLICATE); /* counts */
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            ra_request_count_try(store_lab.store, request.requester, 32, request.received + i),
            RA_STORE_OK);
    assert_int_equal(ra_request_tries(store_lab.store, request.requester, 32, request.received + 9,
                                      &limits, &too_many),
                     RA_STORE_OK);
    assert_true(too_many);
    other = store_lab_request(2, 1, 2, "80");
    other.received += 10;
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_TOO_MANY); /* counts as well */
    other = store_lab_request(3, 2, 2, "80");                           /* another device */
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_ACCEPTED);
    /* The first four leave the window, then the fifth; one is left. */
    other = store_lab_request(4, 1, 4, "90");
    other.received += limits.window;
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_ACCEPTED);
    assert_int_equal(ra_request_tries(store_lab.store, request.requester, 32, other.received + 1,
                                      &limits, &too_many),
                     RA_STORE_OK);
    assert_false(too_many);
    other.received += limits.window + 11;
    assert_int_equal(verdict_on(&other, &limits), RA_REQUEST_DUPLICATE); /* not 5071 any more */
}

static void no_limit(void **state)
{
    struct ra_request_limits by = {.retention = 10};
    bool too_many = true;

    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        struct ra_request request = store_lab_request(i, 1, i, "20");

        assert_int_equal(verdict_on(&request, &by), RA_REQUEST_ACCEPTED);
    }
    assert_int_equal(
        ra_request_tries(store_lab.store, (const uint8_t[32]){0}, 32, 5, &by, &too_many),
        RA_STORE_OK);
    assert_false(too_many);
}

static void arguments(void **state)
{
    static const uint8_t hash[32] = {0};
    const struct ra_request good = store_lab_request(1, 1, 1, "20");
    struct ra_request_limits by = limits;
    enum ra_request_verdict verdict;
    struct ra_request bad;
    char detail[300];
    bool too_many;

    (void)state;
#define REFUSED(member, value)                                                                     \
    do {                                                                                           \
        bad = good;                                                                                \
        bad.member = value;                                                                        \
        assert_int_equal(ra_request_accept(store_lab.store, &bad, &limits, &verdict),              \
                         RA_STORE_ARGUMENT);                                                       \
    } while (0)
    REFUSED(kind, (enum scms_provision)0);
    REFUSED(kind, (enum scms_provision)4);
    REFUSED(requester_size, 31);
    REFUSED(requester_size, 49);
    REFUSED(certificate, NULL);
    REFUSED(certificate_size, 0);
    REFUSED(signed_request_size, 0);
    REFUSED(signed_request_size, (size_t)2 * 1024 * 1024);
    REFUSED(received, -1);
    bad = good;
    memset(bad.permissions, '2', sizeof bad.permissions);
    assert_int_equal(ra_request_accept(store_lab.store, &bad, &limits, &verdict),
                     RA_STORE_ARGUMENT);
    by.retention = -1;
    assert_int_equal(ra_request_accept(store_lab.store, &good, &by, &verdict), RA_STORE_ARGUMENT);
    by = limits;
    by.window = -1;
    assert_int_equal(ra_request_tries(store_lab.store, hash, 32, 0, &by, &too_many),
                     RA_STORE_ARGUMENT);
    assert_int_equal(ra_request_count_try(store_lab.store, hash, 33, 0), RA_STORE_ARGUMENT);
    assert_int_equal(ra_request_each(store_lab.store, (enum ra_request_state)3, NULL, NULL),
                     RA_STORE_ARGUMENT);
    assert_int_equal(ra_request_finish(store_lab.store, hash, RA_REQUEST_PENDING, ""),
                     RA_STORE_ARGUMENT);
    memset(detail, 'x', sizeof detail);
    detail[128] = '\0';
    assert_int_equal(ra_request_finish(store_lab.store, hash, RA_REQUEST_FAILED, detail),
                     RA_STORE_ARGUMENT);
    memset(detail, 'x', sizeof detail);
    detail[256] = '\0';
    assert_int_equal(ra_eca_add(store_lab.store, hash, detail), RA_STORE_ARGUMENT);
    detail[255] = '\0';
    assert_int_equal(ra_eca_add(store_lab.store, hash, detail), RA_STORE_OK);
}

struct seen {
    uint32_t numbers[40];
    size_t count, stop_after;
    enum ra_request_state to;
};

/* Compares a request with what was accepted, and finishes it from inside the walk. */
static bool see(void *arg, const struct ra_request *request)
{
    struct seen *seen = arg;
    struct ra_request expected;

    for (uint32_t i = 0; i < 40; i++) {
        expected = store_lab_request(i, i, i, "20:0102;80:");
        if (memcmp(expected.hash, request->hash, 32) == 0)
            seen->numbers[seen->count] = i;
    }
    expected = store_lab_request(seen->numbers[seen->count], seen->numbers[seen->count],
                                 seen->numbers[seen->count], "20:0102;80:");
    assert_memory_equal(request->hash, expected.hash, 32);
    assert_int_equal(request->kind, expected.kind);
    assert_int_equal(request->requester_size, expected.requester_size);
    assert_memory_equal(request->requester, expected.requester, expected.requester_size);
    assert_memory_equal(request->verify_key, expected.verify_key, 33);
    assert_string_equal(request->permissions, expected.permissions);
    assert_int_equal(request->received, expected.received);
    assert_int_equal(request->download_time, expected.download_time);
    assert_int_equal(request->certificate_size, expected.certificate_size);
    assert_memory_equal(request->certificate, expected.certificate, expected.certificate_size);
    assert_int_equal(request->signed_request_size, expected.signed_request_size);
    assert_memory_equal(request->signed_request, expected.signed_request,
                        expected.signed_request_size);
    if (seen->to != RA_REQUEST_PENDING) {
        assert_int_equal(ra_request_finish(store_lab.store, request->hash, seen->to, "why"),
                         RA_STORE_OK);
        assert_int_equal(ra_file_assign(store_lab.store, "A.zip", request->requester, 32),
                         seen->count == 0 ? RA_STORE_OK : RA_STORE_EXISTS);
    } else if (request->state == RA_REQUEST_FAILED) {
        assert_string_equal(request->detail, "why");
    }
    return ++seen->count != seen->stop_after;
}

static void each(void **state)
{
    struct seen seen = {0};

    (void)state;
    assert_int_equal(ra_request_each(store_lab.store, RA_REQUEST_PENDING, see, &seen), RA_STORE_OK);
    assert_int_equal(seen.count, 0);
    for (uint32_t i = 0; i < 12; i++) {
        struct ra_request request = store_lab_request(11 - i, 11 - i, 11 - i, "20:0102;80:");

        assert_int_equal(verdict_on(&request, &limits), RA_REQUEST_ACCEPTED);
    }
    seen.to = RA_REQUEST_FAILED;
    assert_int_equal(ra_request_each(store_lab.store, RA_REQUEST_PENDING, see, &seen), RA_STORE_OK);
    assert_int_equal(seen.count, 12);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(seen.numbers[i], 11 - i); /* oldest first */
    seen = (struct seen){0};
    assert_int_equal(ra_request_each(store_lab.store, RA_REQUEST_PENDING, see, &seen), RA_STORE_OK);
    assert_int_equal(seen.count, 0);
    seen.stop_after = 5;
    assert_int_equal(ra_request_each(store_lab.store, RA_REQUEST_FAILED, see, &seen), RA_STORE_OK);
    assert_int_equal(seen.count, 5);
}

static void finishing(void **state)
{
    struct ra_request request = store_lab_request(1, 1, 1, "20"), other = request;

    (void)state;
    assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_READY, ""),
                     RA_STORE_NOT_FOUND);
    assert_int_equal(verdict_on(&request, &limits), RA_REQUEST_ACCEPTED);
    other.hash[0] ^= 1; /* the same tail is not the same request */
    assert_int_equal(ra_request_finish(store_lab.store, other.hash, RA_REQUEST_READY, ""),
                     RA_STORE_NOT_FOUND);
    for (int i = 0; i < 2; i++) /* a batch goes on */
        assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_READY, ""),
                         RA_STORE_OK);
    assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_FAILED, "why"),
                     RA_STORE_OK);
    assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_READY, ""),
                     RA_STORE_EXISTS);
    assert_int_equal(ra_request_finish(store_lab.store, other.hash, RA_REQUEST_READY, ""),
                     RA_STORE_NOT_FOUND);
}

struct worker {
    ra_store *store;
    unsigned accepted, failed;
};

/* All workers ask for the same requests: each is to be accepted by one of them. */
static void *work(void *arg)
{
    struct worker *worker = arg;
    struct ra_request_limits by = {.retention = 1000, .window = 10};

    for (uint32_t i = 0; i < 15; i++) {
        struct ra_request request = store_lab_request(i, i % 3, i, "");
        enum ra_request_verdict verdict;

        if (ra_request_accept(worker->store, &request, &by, &verdict) != RA_STORE_OK)
            worker->failed++;
        else if (verdict == RA_REQUEST_ACCEPTED)
            worker->accepted++;
        else
            assert_int_equal(verdict, RA_REQUEST_DUPLICATE);
    }
    return NULL;
}

static void counting(void **state)
{
    const struct ra_request_limits few = {.retention = 1000};
    struct ra_store_counts counts;
    struct ra_blacklist_entry entry = {.kind = RA_BLACKLIST_HASHEDID8, .id = {1}};
    enum ra_request_verdict verdict;

    (void)state;
    assert_int_equal(ra_store_count(store_lab.store, &counts), RA_STORE_OK);
    assert_true(counts.schema >= 2);
    assert_int_equal(counts.blacklist + counts.files + counts.ecas + counts.pending + counts.ready +
                         counts.failed + counts.oldest_pending,
                     0);
    assert_int_equal(ra_blacklist_add(store_lab.store, &entry), RA_STORE_OK);
    assert_int_equal(ra_eca_add(store_lab.store, (const uint8_t *)"12345678", ""), RA_STORE_OK);
    assert_int_equal(ra_eca_add(store_lab.store, (const uint8_t *)"12345679", ""), RA_STORE_OK);
    for (uint32_t i = 0; i < 3; i++) {
        char name[8];

        snprintf(name, sizeof name, "%u", i);
        assert_int_equal(ra_file_assign(store_lab.store, name, entry.id, 32), RA_STORE_OK);
    }
    for (uint32_t i = 0; i < 8; i++) {
        struct ra_request request = store_lab_request(i, i, i, "");

        request.received = 1000 - i;
        assert_int_equal(ra_request_accept(store_lab.store, &request, &few, &verdict), RA_STORE_OK);
        if (i >= 6)
            assert_int_equal(
                ra_request_finish(store_lab.store, request.hash, RA_REQUEST_FAILED, "x"),
                RA_STORE_OK);
        else if (i == 5)
            assert_int_equal(ra_request_finish(store_lab.store, request.hash, RA_REQUEST_READY, ""),
                             RA_STORE_OK);
    }
    assert_int_equal(ra_store_count(store_lab.store, &counts), RA_STORE_OK);
    assert_int_equal(counts.blacklist, 1);
    assert_int_equal(counts.ecas, 2);
    assert_int_equal(counts.files, 3);
    assert_int_equal(counts.pending, 5);
    assert_int_equal(counts.ready, 1);
    assert_int_equal(counts.failed, 2);
    assert_int_equal(counts.oldest_pending, 996);
    assert_int_equal(ra_store_errors(store_lab.store), 0);
}

/* Twelve threads over two open stores, which is more than there are connections. */
static void threads(void **state)
{
    ra_store *second = store_lab_second(&store_lab);
    struct worker workers[12];
    pthread_t ids[12];
    unsigned accepted = 0;

    (void)state;
    for (size_t i = 0; i < 12; i++) {
        workers[i] = (struct worker){i % 2 == 0 ? store_lab.store : second, 0, 0};
        assert_int_equal(pthread_create(&ids[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
        assert_int_equal(workers[i].failed, 0);
        accepted += workers[i].accepted;
    }
    ra_store_close(second);
    assert_int_equal(accepted, 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_LAB_TEST(accepted_once),
        STORE_LAB_TEST(key_is_asked_for_once),
        STORE_LAB_TEST(one_application_of_each_permission),
        STORE_LAB_TEST(retention),
        STORE_LAB_TEST(pruning),
        STORE_LAB_TEST(tries),
        STORE_LAB_TEST(no_limit),
        STORE_LAB_TEST(arguments),
        STORE_LAB_TEST(each),
        STORE_LAB_TEST(finishing),
        STORE_LAB_TEST(counting),
        STORE_LAB_TEST(threads),
    };

    return STORE_LAB_RUN(tests);
}
