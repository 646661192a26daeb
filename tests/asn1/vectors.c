#include "tests/asn1/vectors.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char published_certificate[] =
    "00030180010101010101010150800000020303030303030303030404040005060606068400a983010380007c8001e4"
    "80034801010001208183080808080808080808080808080808080808080808080808080808080808080"
    "8";

static unsigned nibble(char digit)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, tolower((unsigned char)digit));

    assert_non_null(at);
    return (unsigned)(at - digits);
}

size_t from_hex(const char *hex, uint8_t *out, size_t capacity)
{
    size_t size = 0;

    for (const char *at = hex; *at != '\0';) {
        if (isspace((unsigned char)*at)) {
            at++;
            continue;
        }
        assert_true(at[1] != '\0' && size < capacity);
        out[size++] = (uint8_t)(nibble(at[0]) << 4 | nibble(at[1]));
        at += 2;
    }
    return size;
}

void *round_trip(coer_arena *arena, const asn_TYPE_descriptor_t *type, const char *hex, uint8_t *in,
                 size_t capacity)
{
    struct coer_error error = {.status = COER_OK};
    size_t size = from_hex(hex, in, capacity);
    uint8_t *out = NULL;
    size_t out_size = 0;
    void *value = NULL;
    char text[400];

    if (coer_decode(arena, type, in, size, &value, &error) != COER_OK) {
        fail_msg("%s", coer_error_format(&error, text, sizeof(text)));
    }
    if (coer_encode_alloc(type, value, &out, &out_size, &error) != COER_OK) {
        fail_msg("%s", coer_error_format(&error, text, sizeof(text)));
    }
    assert_int_equal(out_size, size);
    assert_memory_equal(out, in, size);
    free(out);
    return value;
}

void refuse(const asn_TYPE_descriptor_t *type, const char *hex, enum coer_status status,
            size_t offset, const char *path)
{
    struct coer_error error = {.status = COER_OK};
    coer_arena *arena = coer_arena_new();
    uint8_t buffer[4096];
    size_t size = from_hex(hex, buffer, sizeof(buffer));
    /* Of the exact size, so that a sanitizer sees a read past the end. */
    uint8_t *in = malloc(size == 0 ? 1 : size);
    void *value = &error;

    assert_non_null(arena);
    assert_non_null(in);
    memcpy(in, buffer, size);
    assert_string_equal(coer_status_name(coer_decode(arena, type, in, size, &value, &error)),
                        coer_status_name(status));
    assert_null(value);
    assert_int_equal(error.status, status);
    assert_string_equal(error.path, path);
    assert_int_equal(error.offset, offset);
    free(in);
    coer_arena_free(arena);
}
