#include "tests/asn1/rules.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "asn1/types.h"

coer_arena *arena;
uint8_t in[200000];

int setup(void **state)
{
    (void)state;
    arena = coer_arena_new();
    return arena == NULL ? -1 : 0;
}

int reset(void **state)
{
    (void)state;
    coer_arena_reset(arena);
    return 0;
}

int teardown(void **state)
{
    (void)state;
    coer_arena_free(arena);
    return 0;
}

void *right(const char *type, const char *hex)
{
    const asn_TYPE_descriptor_t *descriptor = coer_type(type);

    assert_non_null(descriptor);
    return round_trip(arena, descriptor, hex, in, sizeof(in));
}

void wrong(const char *type, const char *hex, enum coer_status status, size_t offset,
           const char *path)
{
    const asn_TYPE_descriptor_t *descriptor = coer_type(type);

    assert_non_null(descriptor);
    refuse(descriptor, hex, status, offset, path);
}
