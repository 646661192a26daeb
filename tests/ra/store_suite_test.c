/*
 * store_suite_test.c: the blacklist, who may have which file, and the ECA whitelist, over each back
 * end.
 */
#include "tests/ra/store_lab.h"

#include <pthread.h>

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

static enum ra_store_status check_file(struct store_lab *f, const char *name, uint8_t hashes[][48],
                                       size_t size, size_t count)
{
    return ra_file_check(f->store, name, strlen(name), (const uint8_t(*)[48])hashes, size, count);
}

static void blacklist_kinds(void **state)
{
    static const struct {
        size_t hash_size;
        enum ra_blacklist_kind kind;
    } tests[] = {
        {32, RA_BLACKLIST_HASHEDID8}, {32, RA_BLACKLIST_HASHEDID10}, {32, RA_BLACKLIST_SHA256},
        {48, RA_BLACKLIST_HASHEDID8}, {48, RA_BLACKLIST_HASHEDID10}, {48, RA_BLACKLIST_SHA384},
    };
    struct store_lab *f = &store_lab;

    (void)state;
    for (uint32_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        size_t size = tests[i].hash_size;
        uint8_t hashes[2][48];
        struct ra_blacklist_entry entry;

        store_lab_fill(hashes[0], 48, 2 * i);
        store_lab_fill(hashes[1], 48, 2 * i + 1);
        assert_int_equal(check(f->store, hashes, size, 2), RA_STORE_NOT_FOUND);
        /* The second of two hashes is enough. */
        entry = entry_of(hashes[1], size, tests[i].kind, "stolen");
        assert_int_equal(ra_blacklist_add(f->store, &entry), RA_STORE_OK);
        assert_int_equal(ra_blacklist_add(f->store, &entry), RA_STORE_EXISTS);
        assert_int_equal(check(f->store, hashes, size, 2), RA_STORE_OK);
        assert_int_equal(check(f->store, hashes, size, 1), RA_STORE_NOT_FOUND);
        assert_int_equal(ra_blacklist_remove(f->store, &entry), RA_STORE_OK);
        assert_int_equal(ra_blacklist_remove(f->store, &entry), RA_STORE_NOT_FOUND);
        assert_int_equal(check(f->store, hashes, size, 2), RA_STORE_NOT_FOUND);
    }
}

/* An entry is compared with the end of a hash: its start, or a part of it, is no match. */
static void blacklist_tail_only(void **state)
{
    struct store_lab *f = &store_lab;
    uint8_t hashes[1][48];
    struct ra_blacklist_entry entry;

    (void)state;
    store_lab_fill(hashes[0], 48, 7);
    entry = entry_of(hashes[0], 32, RA_BLACKLIST_HASHEDID10, "");
    assert_int_equal(ra_blacklist_add(f->store, &entry), RA_STORE_OK);
    hashes[0][22] ^= 1; /* the first octet of HashedId10, before HashedId8 */
    assert_int_equal(check(f->store, hashes, 32, 1), RA_STORE_NOT_FOUND);
    hashes[0][22] ^= 1;
    hashes[0][21] ^= 1; /* before HashedId10 */
    assert_int_equal(check(f->store, hashes, 32, 1), RA_STORE_OK);
    /* As a hash of another size its tail is somewhere else. */
    assert_int_equal(check(f->store, hashes, 48, 1), RA_STORE_NOT_FOUND);
}

static void blacklist_arguments(void **state)
{
    struct store_lab *f = &store_lab;
    uint8_t hashes[1][48] = {{0}};
    struct ra_blacklist_entry entry = {.kind = (enum ra_blacklist_kind)9};

    (void)state;
    assert_int_equal(ra_blacklist_add(f->store, &entry), RA_STORE_ARGUMENT);
    assert_int_equal(ra_blacklist_remove(f->store, &entry), RA_STORE_ARGUMENT);
    entry.kind = RA_BLACKLIST_HASHEDID8;
    memset(entry.comment, 'x', sizeof entry.comment);
    assert_int_equal(ra_blacklist_add(f->store, &entry), RA_STORE_ARGUMENT);
    assert_int_equal(check(f->store, hashes, 20, 1), RA_STORE_ARGUMENT);
    assert_int_equal(check(f->store, hashes, 32, 0), RA_STORE_ARGUMENT);
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

static void blacklist_each(void **state)
{
    struct store_lab *f = &store_lab;
    struct seen seen = {0};
    uint8_t hash[48];

    (void)state;
    assert_int_equal(ra_blacklist_each(f->store, see_entry, &seen), RA_STORE_OK);
    assert_int_equal(seen.count, 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct ra_blacklist_entry entry;

        store_lab_fill(hash, 48, 90 - i);
        entry = entry_of(hash, 32, i == 1 ? RA_BLACKLIST_SHA256 : RA_BLACKLIST_HASHEDID8,
                         i == 1 ? "gestohlen \xc3\xa4" : "");
        entry.added += i;
        assert_int_equal(ra_blacklist_add(f->store, &entry), RA_STORE_OK);
    }
    assert_int_equal(ra_blacklist_each(f->store, see_entry, &seen), RA_STORE_OK);
    assert_int_equal(seen.count, 3);
    for (uint32_t i = 0; i < 3; i++) { /* oldest first, as they were given */
        size_t size = (size_t)seen.entries[i].kind;

        store_lab_fill(hash, 48, 90 - i);
        assert_int_equal(seen.entries[i].added, 1700000000 + i);
        assert_memory_equal(seen.entries[i].id, hash + 32 - size, size);
    }
    assert_int_equal(seen.entries[1].kind, RA_BLACKLIST_SHA256);
    assert_string_equal(seen.entries[1].comment, "gestohlen \xc3\xa4");
    memset(&seen, 0, sizeof seen);
    seen.stop_after = 2;
    assert_int_equal(ra_blacklist_each(f->store, see_entry, &seen), RA_STORE_OK);
    assert_int_equal(seen.count, 2);
}

static bool see_file(void *arg, const char *filename, const uint8_t *requester, size_t size)
{
    struct seen *seen = arg;

    assert_non_null(requester);
    assert_true(size == 32 || size == 48);
    snprintf(seen->names[seen->count++], sizeof seen->names[0], "%s", filename);
    return seen->count != seen->stop_after;
}

static void files(void **state)
{
    static const char name[] = "AB09281C9867DE53.zip", other_case[] = "ab09281c9867de53.ZIP";
    struct store_lab *f = &store_lab;
    struct seen seen = {0};
    uint8_t a[2][48], b[2][48];

    (void)state;
    store_lab_fill(a[0], 48, 1);
    store_lab_fill(a[1], 48, 2);
    store_lab_fill(b[0], 48, 3);
    store_lab_fill(b[1], 48, 4);
    assert_int_equal(check_file(f, name, a, 32, 2), RA_STORE_NOT_FOUND);
    assert_int_equal(ra_file_assign(f->store, name, a[1], 32), RA_STORE_OK);
    assert_int_equal(check_file(f, name, a, 32, 2), RA_STORE_OK);
    assert_int_equal(check_file(f, name, a, 32, 1), RA_STORE_EXISTS);
    assert_int_equal(check_file(f, name, b, 32, 2), RA_STORE_EXISTS);
    assert_int_equal(check_file(f, name, a, 48, 2), RA_STORE_EXISTS);
    assert_int_equal(check_file(f, other_case, a, 32, 2), RA_STORE_OK);
    assert_int_equal(ra_file_assign(f->store, other_case, b[0], 32), RA_STORE_EXISTS);
    assert_int_equal(ra_file_assign(f->store, other_case, a[1], 32), RA_STORE_OK);
    assert_int_equal(ra_file_assign(f->store, "0000000000000000.info", b[0], 48), RA_STORE_OK);
    assert_int_equal(check_file(f, "0000000000000000.info", b, 48, 2), RA_STORE_OK);
    assert_int_equal(ra_file_each(f->store, see_file, &seen), RA_STORE_OK);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.names[0], "0000000000000000.info");
    assert_string_equal(seen.names[1], name);
    assert_int_equal(ra_file_unassign(f->store, other_case), RA_STORE_OK);
    assert_int_equal(ra_file_unassign(f->store, name), RA_STORE_NOT_FOUND);
    assert_int_equal(check_file(f, name, a, 32, 2), RA_STORE_NOT_FOUND);
}

static void file_arguments(void **state)
{
    struct store_lab *f = &store_lab;
    uint8_t hashes[1][48] = {{0}};
    const uint8_t(*h)[48] = (const uint8_t(*)[48])hashes;
    char name[300];

    (void)state;
    memset(name, 'A', sizeof name);
    name[256] = '\0';
    assert_int_equal(ra_file_assign(f->store, "", hashes[0], 32), RA_STORE_ARGUMENT);
    assert_int_equal(ra_file_assign(f->store, name, hashes[0], 32), RA_STORE_ARGUMENT);
    assert_int_equal(ra_file_assign(f->store, "A", hashes[0], 31), RA_STORE_ARGUMENT);
    assert_int_equal(ra_file_unassign(f->store, ""), RA_STORE_ARGUMENT);
    assert_int_equal(ra_file_check(f->store, "A\0B", 3, h, 32, 1), RA_STORE_ARGUMENT);
    assert_int_equal(ra_file_check(f->store, "A", 0, h, 32, 1), RA_STORE_ARGUMENT);
    assert_int_equal(ra_file_check(f->store, "A", 1, h, 33, 1), RA_STORE_ARGUMENT);
    /* SQL is data here. */
    assert_int_equal(ra_file_assign(f->store, "x'); DROP TABLE files; --", hashes[0], 32),
                     RA_STORE_OK);
    assert_int_equal(check_file(f, "x'); DROP TABLE files; --", hashes, 32, 1), RA_STORE_OK);
}

struct ecas {
    uint8_t ids[4][8];
    char comments[4][32];
    size_t count, stop_after;
};

static bool see_eca(void *arg, const uint8_t hashedid8[8], const char *comment)
{
    struct ecas *ecas = arg;

    memcpy(ecas->ids[ecas->count], hashedid8, 8);
    snprintf(ecas->comments[ecas->count], sizeof ecas->comments[0], "%s", comment);
    return ++ecas->count != ecas->stop_after;
}

static void eca_whitelist(void **state)
{
    static const uint8_t a[8] = {9, 1}, b[8] = {2}, c[8] = {3};
    struct ecas ecas = {0};

    (void)state;
    assert_int_equal(ra_eca_check(store_lab.store, a), RA_STORE_OK); /* empty: all */
    assert_int_equal(ra_eca_add(store_lab.store, a, "first"), RA_STORE_OK);
    assert_int_equal(ra_eca_add(store_lab.store, a, "again"), RA_STORE_EXISTS);
    assert_int_equal(ra_eca_add(store_lab.store, b, ""), RA_STORE_OK);
    assert_int_equal(ra_eca_check(store_lab.store, a), RA_STORE_OK);
    assert_int_equal(ra_eca_check(store_lab.store, b), RA_STORE_OK);
    assert_int_equal(ra_eca_check(store_lab.store, c), RA_STORE_NOT_FOUND);
    assert_int_equal(ra_eca_each(store_lab.store, see_eca, &ecas), RA_STORE_OK);
    assert_int_equal(ecas.count, 2);
    assert_memory_equal(ecas.ids[0], a, 8);
    assert_string_equal(ecas.comments[0], "first");
    ecas.count = 0;
    ecas.stop_after = 1;
    assert_int_equal(ra_eca_each(store_lab.store, see_eca, &ecas), RA_STORE_OK);
    assert_int_equal(ecas.count, 1);
    assert_int_equal(ra_eca_remove(store_lab.store, c), RA_STORE_NOT_FOUND);
    assert_int_equal(ra_eca_remove(store_lab.store, a), RA_STORE_OK);
    assert_int_equal(ra_eca_check(store_lab.store, a), RA_STORE_NOT_FOUND);
    assert_int_equal(ra_eca_remove(store_lab.store, b), RA_STORE_OK);
    assert_int_equal(ra_eca_check(store_lab.store, a), RA_STORE_OK);
}

/* What one has written, another that has the file open sees at once; and it is there later. */
static void two_programs_and_reopening(void **state)
{
    struct store_lab *f = &store_lab;
    ra_store *second = NULL;
    uint8_t hashes[1][48];
    struct ra_blacklist_entry entry;

    (void)state;
    store_lab_fill(hashes[0], 48, 11);
    entry = entry_of(hashes[0], 32, RA_BLACKLIST_HASHEDID8, "");
    assert_int_equal(ra_store_open(f->spec, false, &second, f->text, sizeof f->text), RA_STORE_OK);
    assert_int_equal(check(f->store, hashes, 32, 1), RA_STORE_NOT_FOUND);
    assert_int_equal(ra_blacklist_add(second, &entry), RA_STORE_OK);
    assert_int_equal(check(f->store, hashes, 32, 1), RA_STORE_OK);
    ra_store_close(second);
    ra_store_close(f->store);
    assert_int_equal(ra_store_open(f->spec, false, &f->store, f->text, sizeof f->text),
                     RA_STORE_OK);
    assert_int_equal(check(f->store, hashes, 32, 1), RA_STORE_OK);
}

/* What a decision asks, all of it at once: each part answers as if it were asked alone. */
static void one_question(void **state)
{
    struct store_lab *f = &store_lab;
    uint8_t hashes[2][48], eca[8] = {0xec, 0xa0};
    struct ra_store_question question = {.hashes = (const uint8_t(*)[48])hashes,
                                         .hash_size = 32,
                                         .count = 2,
                                         .eca = eca,
                                         .filename = "0123.zip",
                                         .filename_size = 8};
    struct ra_blacklist_entry entry;
    struct ra_store_answer answer;

    (void)state;
    store_lab_fill(hashes[0], 48, 1);
    store_lab_fill(hashes[1], 48, 2);
    for (int i = 0; i < 16; i++) { /* each of the four parts, with all of the others */
        const bool listed = i & 1, other_eca = i & 2, assigned = i & 4, flipped = i & 8;

        entry = entry_of(hashes[flipped], 32, RA_BLACKLIST_HASHEDID8, "");
        if (listed)
            assert_int_equal(ra_blacklist_add(f->store, &entry), RA_STORE_OK);
        if (other_eca)
            assert_int_equal(ra_eca_add(f->store, hashes[0], "another"), RA_STORE_OK);
        if (assigned)
            assert_int_equal(ra_file_assign(f->store, "0123.ZIP", hashes[flipped], 32),
                             RA_STORE_OK);
        assert_int_equal(ra_store_ask(f->store, &question, &answer), RA_STORE_OK);
        assert_int_equal(answer.blacklisted, listed);
        assert_int_equal(answer.eca_served, !other_eca);
        assert_int_equal(answer.file, assigned ? RA_STORE_OK : RA_STORE_NOT_FOUND);
        if (assigned && flipped) { /* asked with the first hash alone it is somebody else's */
            question.count = 1;
            assert_int_equal(ra_store_ask(f->store, &question, &answer), RA_STORE_OK);
            assert_false(answer.blacklisted);
            assert_int_equal(answer.file, RA_STORE_EXISTS);
            question.count = 2;
        }
        if (other_eca) {
            assert_int_equal(ra_eca_add(f->store, eca, ""), RA_STORE_OK);
            assert_int_equal(ra_store_ask(f->store, &question, &answer), RA_STORE_OK);
            assert_true(answer.eca_served);
            assert_int_equal(ra_eca_remove(f->store, eca), RA_STORE_OK);
            assert_int_equal(ra_eca_remove(f->store, hashes[0]), RA_STORE_OK);
        }
        if (listed)
            assert_int_equal(ra_blacklist_remove(f->store, &entry), RA_STORE_OK);
        if (assigned)
            assert_int_equal(ra_file_unassign(f->store, "0123.zip"), RA_STORE_OK);
    }
}

/* What is no question has no answer that lets somebody in. */
static void no_question(void **state)
{
    static const uint8_t hashes[3][48];
    const struct ra_store_question questions[] = {
        {.hashes = hashes, .hash_size = 32, .count = 3},
        {.hashes = hashes, .hash_size = 20, .count = 1},
        {.filename = "A", .filename_size = 1},
        {.hashes = hashes, .hash_size = 32, .count = 1, .filename = "A"},
        {.hashes = hashes, .hash_size = 32, .count = 1, .filename = "A\0B", .filename_size = 3},
    };
    struct ra_store_answer answer;

    (void)state;
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        answer = (struct ra_store_answer){.eca_served = true};
        assert_int_equal(ra_store_ask(store_lab.store, &questions[i], &answer), RA_STORE_ARGUMENT);
        assert_true(answer.blacklisted);
        assert_false(answer.eca_served);
        assert_int_not_equal(answer.file, RA_STORE_OK);
    }
}

struct worker {
    ra_store *store;
    uint32_t number;
    enum ra_store_status status;
};

static void *work(void *arg)
{
    struct worker *worker = arg;

    for (uint32_t i = 0; i < 20; i++) {
        uint8_t hashes[1][48];
        struct ra_blacklist_entry entry;
        char name[64];

        store_lab_fill(hashes[0], 48, worker->number * 1000 + i);
        entry = entry_of(hashes[0], 32, RA_BLACKLIST_HASHEDID10, "");
        snprintf(name, sizeof name, "%u-%u", worker->number, i);
        if (check(worker->store, hashes, 32, 1) != RA_STORE_NOT_FOUND ||
            ra_blacklist_add(worker->store, &entry) != RA_STORE_OK ||
            check(worker->store, hashes, 32, 1) != RA_STORE_OK ||
            ra_file_assign(worker->store, name, hashes[0], 32) != RA_STORE_OK ||
            ra_file_check(worker->store, name, strlen(name), (const uint8_t(*)[48])hashes, 32, 1) !=
                RA_STORE_OK) {
            worker->status = RA_STORE_UNAVAILABLE;
            break;
        }
    }
    return NULL;
}

/* More threads than the pool has connections. */
static void threads(void **state)
{
    struct store_lab *f = &store_lab;
    struct worker workers[12];
    pthread_t ids[12];

    (void)state;
    for (uint32_t i = 0; i < 12; i++) {
        workers[i] = (struct worker){f->store, i, RA_STORE_OK};
        assert_int_equal(pthread_create(&ids[i], NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
        assert_int_equal(workers[i].status, RA_STORE_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_LAB_TEST(blacklist_kinds),
        STORE_LAB_TEST(blacklist_tail_only),
        STORE_LAB_TEST(blacklist_arguments),
        STORE_LAB_TEST(blacklist_each),
        STORE_LAB_TEST(files),
        STORE_LAB_TEST(file_arguments),
        STORE_LAB_TEST(one_question),
        STORE_LAB_TEST(no_question),
        STORE_LAB_TEST(eca_whitelist),
        STORE_LAB_TEST(two_programs_and_reopening),
        STORE_LAB_TEST(threads),
    };

    return STORE_LAB_RUN(tests);
}
