#include "asn1/coer_internal.h"

#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* A decoded certificate takes about 3 kB, a signed request about 6. */
#define FIRST_CHUNK ((size_t)8192)
#define LARGEST_STEP ((size_t)1 << 20)

struct chunk {
    struct chunk *next;
    size_t size;
    alignas(max_align_t) uint8_t data[];
};

struct coer_arena {
    /* The newest first; a chunk is never smaller than an older one, unless that was made for one
     * allocation larger than LARGEST_STEP. */
    struct chunk *chunks;
    size_t used;
    bool extended;
};

static bool arena_grow(coer_arena *arena, size_t need)
{
    size_t size = FIRST_CHUNK;
    struct chunk *chunk;

    if (arena->chunks != NULL) {
        size = arena->chunks->size < LARGEST_STEP / 2 ? arena->chunks->size * 2 : LARGEST_STEP;
    }
    if (size < need) {
        size = need;
    }
    chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL) {
        return false;
    }
    chunk->next = arena->chunks;
    chunk->size = size;
    arena->chunks = chunk;
    arena->used = 0;
    return true;
}

coer_arena *coer_arena_new(void)
{
    return calloc(1, sizeof(coer_arena));
}

void coer_arena_reset(coer_arena *arena)
{
    struct chunk *chunk = arena->chunks == NULL ? NULL : arena->chunks->next;

    while (chunk != NULL) {
        struct chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
    if (arena->chunks != NULL) {
        arena->chunks->next = NULL;
    }
    arena->used = 0;
    arena->extended = false;
}

void coer_arena_free(coer_arena *arena)
{
    if (arena == NULL) {
        return;
    }
    coer_arena_reset(arena);
    free(arena->chunks);
    free(arena);
}

void *coer_arena_alloc_raw(coer_arena *arena, size_t size)
{
    size_t step;
    void *memory;

    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    step = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if ((arena->chunks == NULL || step > arena->chunks->size - arena->used) &&
        !arena_grow(arena, step)) {
        return NULL;
    }
    memory = arena->chunks->data + arena->used;
    arena->used += step;
    return memory;
}

void *coer_arena_alloc(coer_arena *arena, size_t size)
{
    void *memory = coer_arena_alloc_raw(arena, size);

    return memory == NULL ? NULL : memset(memory, 0, size);
}

bool coer_arena_extended(const coer_arena *arena)
{
    return arena->extended;
}

void coer_arena_set_extended(coer_arena *arena)
{
    arena->extended = true;
}

bool coer_octets(coer_arena *arena, OCTET_STRING_t *string, const void *data, size_t size)
{
    uint8_t *copy;

    if (size > INT_MAX) {
        return false;
    }
    copy = coer_arena_alloc_raw(arena, size == 0 ? 1 : size);
    if (copy == NULL) {
        return false;
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    string->buf = copy;
    string->size = (int)size;
    return true;
}

void coer_octets_view(OCTET_STRING_t *string, const void *data, size_t size)
{
    /* asn1c's structure has no const; the codec only reads. */
    string->buf = (uint8_t *)(uintptr_t)data;
    string->size = (int)size;
}

bool coer_list_add(coer_arena *arena, void *sequence_of, void *element)
{
    A_SEQUENCE_OF(void) *list = sequence_of;

    if (list->count == list->size) {
        int size = list->size < 4 ? 4 : list->size * 2;
        void **array;

        if (list->size > INT_MAX / 2) {
            return false;
        }
        array = coer_arena_alloc_raw(arena, (size_t)size * sizeof(*array));
        if (array == NULL) {
            return false;
        }
        if (list->count > 0) {
            memcpy(array, list->array, (size_t)list->count * sizeof(*array));
        }
        list->array = array;
        list->size = size;
    }
    list->array[list->count++] = element;
    return true;
}

bool coer_integer_set(coer_arena *arena, INTEGER_t *integer, uint64_t value)
{
    uint8_t *octets = coer_arena_alloc_raw(arena, sizeof(value));

    if (octets == NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof(value); i++) {
        octets[i] = (uint8_t)(value >> (8 * (sizeof(value) - 1 - i)));
    }
    integer->buf = octets;
    integer->size = (int)sizeof(value);
    return true;
}

bool coer_integer_get(const INTEGER_t *integer, uint64_t *value)
{
    uint64_t sum = 0;

    for (int i = 0; i < integer->size; i++) {
        if (sum >> 56 != 0) {
            return false;
        }
        sum = sum << 8 | integer->buf[i];
    }
    *value = sum;
    return true;
}

long *coer_long(coer_arena *arena, long value)
{
    long *memory = coer_arena_alloc_raw(arena, sizeof(*memory));

    if (memory != NULL) {
        *memory = value;
    }
    return memory;
}

bool coer_bits8(coer_arena *arena, BIT_STRING_t *bits, uint8_t value)
{
    uint8_t *octet = coer_arena_alloc_raw(arena, 1);

    if (octet == NULL) {
        return false;
    }
    *octet = value;
    bits->buf = octet;
    bits->size = 1;
    bits->bits_unused = 0;
    return true;
}
