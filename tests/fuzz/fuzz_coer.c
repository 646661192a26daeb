#include "tests/fuzz/fuzz_coer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asn1/coer.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct walked {
    size_t size; /* of the input */
    size_t open;
    size_t nodes;
};

static bool enter(void *arg, const struct coer_node *node)
{
    struct walked *walked = arg;

    CHECK(node->offset <= walked->size && node->size <= walked->size - node->offset);
    CHECK(node->type_name != NULL);
    CHECK(node->depth == walked->open);
    walked->open += node->kind <= COER_CHOICE;
    walked->nodes++;
    return true;
}

static bool leave(void *arg, const struct coer_node *node)
{
    struct walked *walked = arg;

    CHECK(walked->open > 0);
    walked->open--;
    CHECK(node->depth == walked->open);
    return true;
}

static void check_error(const struct coer_error *error, enum coer_status status,
                        const char *type_name, size_t size)
{
    char line[COER_PATH_SIZE + 200];

    CHECK(error->status == status);
    CHECK(error->offset <= size);
    CHECK(strncmp(error->path, type_name, strlen(type_name)) == 0 ||
          strncmp(error->path, "...", 3) == 0);
    CHECK(strlen(coer_error_format(error, line, sizeof(line))) > 0);
}

/* Without the additions that were skipped it is a message of this edition. */
static void check_stable(const asn_TYPE_descriptor_t *type, const uint8_t *data, size_t size)
{
    coer_arena *arena = coer_arena_new();
    uint8_t *out = NULL;
    size_t out_size = 0;
    void *value = NULL;

    CHECK(arena != NULL);
    CHECK(coer_decode(arena, type, data, size, &value, NULL) == COER_OK);
    CHECK(!coer_arena_extended(arena));
    CHECK(coer_encode_alloc(type, value, &out, &out_size, NULL) == COER_OK);
    CHECK(out_size == size && memcmp(out, data, size) == 0);
    free(out);
    coer_arena_free(arena);
}

static void check_value(const asn_TYPE_descriptor_t *type, const void *value, bool is_extended,
                        const uint8_t *data, size_t size)
{
    const struct coer_visitor visitor = {.enter = enter, .leave = leave};
    struct walked walked = {.size = size};
    struct coer_span span;
    uint8_t *out = NULL;
    size_t out_size = 0;

    CHECK(coer_encode_alloc(type, value, &out, &out_size, NULL) == COER_OK);
    if (is_extended) {
        check_stable(type, out, out_size);
    } else {
        CHECK(out_size == size && memcmp(out, data, size) == 0);
    }
    free(out);
    CHECK(coer_span_of(type, value, &span));
    CHECK(span.data == data && span.size == size);
    CHECK(coer_walk(type, data, size, &visitor, &walked, NULL) == COER_OK);
    CHECK(walked.open == 0 && walked.nodes > 0);
}

void fuzz_coer(const char *type_name, const uint8_t *data, size_t size)
{
    const asn_TYPE_descriptor_t *type = coer_type(type_name);
    struct coer_error error = {.status = COER_OK};
    coer_arena *arena = coer_arena_new();
    void *value = NULL;
    enum coer_status status;

    CHECK(type != NULL && arena != NULL);
    status = coer_decode(arena, type, data, size, &value, &error);
    CHECK((status == COER_OK) == (value != NULL));
    if (status == COER_OK) {
        check_value(type, value, coer_arena_extended(arena), data, size);
    } else {
        check_error(&error, status, type_name, size);
    }
    coer_arena_free(arena);
}
