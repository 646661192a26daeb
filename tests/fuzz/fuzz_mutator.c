/*
 * fuzz_mutator.c: half of the changes that libFuzzer makes to an input that is the COER of
 * FUZZ_MUTATE, after FUZZ_MUTATE_AT octets of something else, are changes of its value: octets that
 * are changed at random are no COER of anything after a few of them.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/asn1/mutate.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

/* 0: it is no value of the type, or has become too large. */
static size_t change_value(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    const asn_TYPE_descriptor_t *type = coer_type(FUZZ_MUTATE);
    coer_arena *arena = coer_arena_new();
    struct mutation made;
    void *value = NULL;
    uint8_t *changed = NULL;
    size_t changed_size = 0;
    bool is_made = false;

    if (arena != NULL && coer_decode(arena, type, data, size, &value, NULL) == COER_OK) {
        /* Their number is not known: a number that is too large is halved. */
        for (size_t n = seed % 4096; !is_made; n /= 2) {
            is_made = mutate(arena, type, value, n, &made);
            if (n == 0)
                break;
        }
    }
    if (!is_made || coer_encode_alloc(type, value, &changed, &changed_size, NULL) != COER_OK ||
        changed_size > max)
        changed_size = 0;
    if (changed_size > 0)
        memcpy(data, changed, changed_size);
    free(changed);
    coer_arena_free(arena);
    return changed_size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    if (size > FUZZ_MUTATE_AT && seed % 2 == 0) {
        size_t changed = change_value(data + FUZZ_MUTATE_AT, size - FUZZ_MUTATE_AT,
                                      max - FUZZ_MUTATE_AT, seed / 2);

        if (changed > 0)
            return FUZZ_MUTATE_AT + changed;
    }
    return LLVMFuzzerMutate(data, size, max);
}
