/* Generated values of every type, and what is left of them when they are cut or one bit is flipped.
 */
#include "tests/asn1/generate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of each type. The whole takes two seconds, which a sanitizer makes ten or thirty times as long:
 * there, a part. */
#define ROUND_TRIPS (is_slow() ? 60 : 300)
#define MUTATED (is_slow() ? 1 : 2)
#define MUTATED_TOP (is_slow() ? 3 : 12)
#define MUTATED_SIZE 600

/* tests/CMakeLists.txt tells which sanitizer is built in. */
static bool is_slow(void)
{
    const char *sanitizer = getenv("SANITIZE");

    return sanitizer != NULL && sanitizer[0] != '\0';
}

static coer_arena *arena;
static coer_arena *other;

static int setup(void **state)
{
    (void)state;
    arena = coer_arena_new();
    other = coer_arena_new();
    return arena == NULL || other == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    coer_arena_free(arena);
    coer_arena_free(other);
    return 0;
}

static uint8_t *encoding_of(const asn_TYPE_descriptor_t *type, uint64_t seed, size_t *size)
{
    struct coer_error error;
    uint8_t *out = NULL;
    void *value;
    char text[400];

    coer_arena_reset(arena);
    value = generate(arena, type, seed);
    assert_non_null(value);
    if (coer_encode_alloc(type, value, &out, size, &error) != COER_OK) {
        fail_msg("seed %llu: %s", (unsigned long long)seed,
                 coer_error_format(&error, text, sizeof(text)));
    }
    return out;
}

/* An octet string in memory that ends where it ends, so that a read past it is seen by a sanitizer.
 */
static uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);

    assert_non_null(copy);
    memcpy(copy, data, size);
    return copy;
}

static void round_trip_of(const asn_TYPE_descriptor_t *type, uint64_t seed)
{
    struct coer_error error;
    uint8_t *first;
    uint8_t *second = NULL;
    size_t first_size = 0;
    size_t second_size = 0;
    size_t counted = 0;
    void *value = NULL;
    char text[400];

    first = encoding_of(type, seed, &first_size);
    coer_arena_reset(other);
    if (coer_decode(other, type, first, first_size, &value, &error) != COER_OK) {
        fail_msg("seed %llu: %s", (unsigned long long)seed,
                 coer_error_format(&error, text, sizeof(text)));
    }
    assert_false(coer_arena_extended(other));
    assert_int_equal(coer_encode_alloc(type, value, &second, &second_size, NULL), COER_OK);
    assert_int_equal(second_size, first_size);
    assert_memory_equal(second, first, first_size);

    assert_int_equal(coer_encoded_size(type, value, &counted, NULL), COER_OK);
    assert_int_equal(counted, first_size);
    if (first_size > 0) {
        uint8_t *small = malloc(first_size);
        size_t size = 0;

        assert_non_null(small);
        assert_int_equal(coer_encode(type, value, small, first_size - 1, &size, &error),
                         COER_E_SPACE);
        assert_int_equal(size, 0);
        free(small);
    }
    free(first);
    free(second);
}

static void every_type_makes_the_round_trip(void **state)
{
    size_t count = 0;
    const asn_TYPE_descriptor_t *const *types = coer_types(&count);

    uint64_t rounds = ROUND_TRIPS;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        for (uint64_t seed = 0; seed < rounds; seed++) {
            round_trip_of(types[i], seed);
        }
    }
}

/* COER is prefix-free: no value is the beginning of another one. */
static void every_truncation_is_refused(const asn_TYPE_descriptor_t *type, const uint8_t *whole,
                                        size_t size)
{
    for (size_t length = 0; length < size; length++) {
        uint8_t *in = exact_copy(whole, length);
        struct coer_error error = {.status = COER_OK};
        void *value = NULL;

        coer_arena_reset(other);
        assert_int_not_equal(coer_decode(other, type, in, length, &value, &error), COER_OK);
        assert_true(error.status == COER_E_TRUNCATED || error.status == COER_E_COUNT);
        assert_true(error.offset <= length);
        assert_null(value);
        free(in);
    }
}

/* A changed message is an error, or a value whose only encoding it is. */
static void every_bit_flip_is_a_value_or_an_error(const asn_TYPE_descriptor_t *type,
                                                  const uint8_t *whole, size_t size)
{
    uint8_t *in = exact_copy(whole, size);
    uint8_t *out = malloc(size);

    assert_non_null(out);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        struct coer_error error = {.status = COER_OK};
        void *value = NULL;
        size_t out_size = 0;

        in[bit / 8] ^= (uint8_t)(1u << bit % 8);
        coer_arena_reset(other);
        if (coer_decode(other, type, in, size, &value, &error) != COER_OK) {
            assert_int_not_equal(error.status, COER_OK);
            assert_true(error.offset <= size);
            assert_int_equal(strncmp(error.path, type->name, strlen(type->name)), 0);
        } else if (!coer_arena_extended(other)) {
            assert_int_equal(coer_encode(type, value, out, size, &out_size, &error), COER_OK);
            assert_int_equal(out_size, size);
            assert_memory_equal(out, in, size);
        }
        in[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(in);
    free(out);
}

static void mutate(const asn_TYPE_descriptor_t *type, unsigned how_many)
{
    unsigned done = 0;

    for (uint64_t seed = 1000; done < how_many && seed < 2000; seed++) {
        size_t size = 0;
        uint8_t *whole = encoding_of(type, seed, &size);

        if (size > 0 && size <= MUTATED_SIZE) {
            every_truncation_is_refused(type, whole, size);
            every_bit_flip_is_a_value_or_an_error(type, whole, size);
            done++;
        }
        free(whole);
    }
    assert_int_equal(done, how_many);
}

static void every_type_survives_mutation(void **state)
{
    size_t count = 0;
    const asn_TYPE_descriptor_t *const *types = coer_types(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        mutate(types[i], MUTATED);
    }
    types = coer_top_types(&count);
    for (size_t i = 0; i < count; i++) {
        mutate(types[i], MUTATED_TOP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_makes_the_round_trip),
        cmocka_unit_test(every_type_survives_mutation),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
