/* The first use of the codec comes from many threads at once, and each goes on with it. */
#include "tests/asn1/generate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/asn1/vectors.h"

#define THREADS 8
#define ROUNDS 20

static pthread_barrier_t barrier;

/* NULL, or the name of the type that went wrong. Assertions of cmocka belong to the main thread. */
static void *thread_run(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    coer_arena *arena = coer_arena_new();
    const char *failed = arena == NULL ? "no memory" : NULL;

    pthread_barrier_wait(&barrier);
    for (unsigned round = 0; round < ROUNDS && failed == NULL; round++) {
        size_t count = 0;
        const asn_TYPE_descriptor_t *const *types = coer_types(&count);

        for (size_t i = 0; i < count && failed == NULL; i++) {
            uint8_t *first = NULL;
            uint8_t *second = NULL;
            size_t first_size = 0;
            size_t second_size = 0;
            void *value = NULL;

            coer_arena_reset(arena);
            value = generate(arena, types[i], seed + round);
            if (value == NULL ||
                coer_encode_alloc(types[i], value, &first, &first_size, NULL) != COER_OK ||
                coer_decode(arena, types[i], first, first_size, &value, NULL) != COER_OK ||
                coer_encode_alloc(types[i], value, &second, &second_size, NULL) != COER_OK ||
                first_size != second_size || memcmp(first, second, first_size) != 0) {
                failed = types[i]->name;
            }
            free(first);
            free(second);
        }
    }
    coer_arena_free(arena);
    return (void *)(uintptr_t)failed;
}

static void threads_start_at_once(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (size_t i = 0; i < THREADS; i++) {
        /* Pairs of threads do the same. */
        assert_int_equal(
            pthread_create(&threads[i], NULL, thread_run, (void *)(uintptr_t)(i / 2 * 100)), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        if (failed != NULL) {
            fail_msg("%s", (const char *)failed);
        }
    }
    pthread_barrier_destroy(&barrier);
}

/* Values decoded from one input in several threads do not write to it. */
static uint8_t shared[128];
static size_t shared_size;

static void *shared_run(void *arg)
{
    coer_arena *arena = coer_arena_new();
    bool is_right = arena != NULL;

    (void)arg;
    for (unsigned round = 0; round < 200 && is_right; round++) {
        uint8_t out[128];
        size_t size = 0;
        void *value = NULL;

        coer_arena_reset(arena);
        is_right = coer_decode(arena, coer_type("Certificate"), shared, shared_size, &value,
                               NULL) == COER_OK &&
                   coer_encode(coer_type("Certificate"), value, out, sizeof(out), &size, NULL) ==
                       COER_OK &&
                   size == shared_size;
    }
    coer_arena_free(arena);
    return (void *)(uintptr_t)is_right;
}

static void threads_share_an_input(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    shared_size = from_hex(published_certificate, shared, sizeof(shared));
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, shared_run, NULL), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *is_right = NULL;

        assert_int_equal(pthread_join(threads[i], &is_right), 0);
        assert_non_null(is_right);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_start_at_once),
        cmocka_unit_test(threads_share_an_input),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
