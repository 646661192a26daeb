#include "tests/security/strength.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#include <Ieee1609Dot2Data.h>

#include "tests/asn1/mutate.h"

#define EXCEPTIONS 16

struct run {
    const struct strength_message *message;
    coer_arena *arena;
    bool is_used[EXCEPTIONS];
    size_t changes, unnoticed;
};

OCTET_STRING_t *strength_in_unsecured(void *value)
{
    Ieee1609Dot2Data_t *data = value;

    return data->content->present == Ieee1609Dot2Content_PR_unsecuredData
               ? &data->content->choice.unsecuredData
               : NULL;
}

OCTET_STRING_t *strength_in_request(void *value)
{
    Ieee1609Dot2Data_t *data = value;

    return data->content->present == Ieee1609Dot2Content_PR_signedCertificateRequest
               ? &data->content->choice.signedCertificateRequest
               : NULL;
}

OCTET_STRING_t *strength_in_signed(void *value)
{
    Ieee1609Dot2Data_t *data = value;
    struct SignedDataPayload *payload = data->content->present == Ieee1609Dot2Content_PR_signedData
                                            ? data->content->choice.signedData->tbsData->payload
                                            : NULL;

    return payload != NULL && payload->data != NULL ? strength_in_unsecured(payload->data) : NULL;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t size = strlen(text), end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static bool is_excepted(struct run *run, const char *path, const char *change)
{
    const struct strength_exception *e = run->message->exceptions;

    for (size_t i = 0; e != NULL && e[i].path != NULL; i++) {
        assert_true(i < EXCEPTIONS);
        if (ends_with(path, e[i].path) && strncmp(change, e[i].change, strlen(e[i].change)) == 0) {
            run->is_used[i] = true;
            return true;
        }
    }
    return false;
}

static bool is_accepted(struct run *run, const uint8_t *octets, size_t size)
{
    /* Of the exact size, for the sanitizer. */
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    bool accepted;

    assert_non_null(copy);
    memcpy(copy, octets, size);
    accepted = run->message->accepts(run->message->arg, copy, size);
    free(copy);
    ERR_clear_error();
    run->changes++;
    return accepted;
}

static void try_change(struct run *run, const uint8_t *octets, size_t size, const char *path,
                       const char *change)
{
    if (is_accepted(run, octets, size) && !is_excepted(run, path, change)) {
        print_error("%s: not noticed: %s: %s\n", run->message->name, path, change);
        run->unnoticed++;
    }
}

/* ---- changes of the ASN.1 ---- */

static void *decode(struct run *run, const asn_TYPE_descriptor_t *type, const uint8_t *octets,
                    size_t size)
{
    void *value = NULL;

    assert_int_equal(coer_decode(run->arena, type, octets, size, &value, NULL), COER_OK);
    return value;
}

struct counted {
    size_t leaves, added;
};

static bool count_leaf(void *arg, const struct coer_node *node)
{
    struct counted *counted = arg;

    if (node->kind == COER_UNKNOWN_EXTENSION)
        counted->added++;
    else if (node->kind > COER_CHOICE)
        counted->leaves++;
    return true;
}

/* The changes come by every leaf that the message has. */
static void check_complete(struct run *run, const asn_TYPE_descriptor_t *type,
                           const uint8_t *octets, size_t size)
{
    const struct coer_visitor visitor = {.enter = count_leaf};
    struct counted counted = {0};
    size_t fixed = 0;

    assert_int_equal(coer_walk(type, octets, size, &visitor, &counted, NULL), COER_OK);
    coer_arena_reset(run->arena);
    assert_int_equal(mutate_leaves(type, decode(run, type, octets, size), &fixed), counted.leaves);
    assert_int_equal(counted.added, 0);
    assert_true(fixed < counted.leaves);
}

/* The message with what is packed in it replaced; free'd by the caller. */
static uint8_t *repack(struct run *run, const uint8_t *packed, size_t packed_size, size_t *size)
{
    const struct strength_message *m = run->message;
    void *outer = decode(run, m->type, m->octets, m->size);
    uint8_t *octets = NULL;

    coer_octets_view(m->packed(outer), packed, packed_size);
    assert_int_equal(coer_encode_alloc(m->type, outer, &octets, size, NULL), COER_OK);
    return octets;
}

static void change_structure(struct run *run, const asn_TYPE_descriptor_t *type,
                             const uint8_t *octets, size_t size, bool is_packed)
{
    size_t n = 0, encoded = 0;

    check_complete(run, type, octets, size);
    for (;; n++) {
        struct mutation made;
        uint8_t *changed = NULL, *whole = NULL;
        size_t changed_size = 0, whole_size = 0;
        void *value;

        coer_arena_reset(run->arena);
        value = decode(run, type, octets, size);
        if (!mutate(run->arena, type, value, n, &made))
            break;
        /* A text that is not UTF-8 any more, say, is nothing that could be sent. */
        if (coer_encode_alloc(type, value, &changed, &changed_size, NULL) != COER_OK)
            continue;
        if (changed_size == size && memcmp(changed, octets, size) == 0) {
            free(changed); /* two equal elements exchanged */
            continue;
        }
        encoded++;
        if (is_packed)
            whole = repack(run, changed, changed_size, &whole_size);
        try_change(run, is_packed ? whole : changed, is_packed ? whole_size : changed_size,
                   made.path, made.change);
        free(whole);
        free(changed);
    }
    /* Nearly all of them are something that could be sent. */
    assert_true(n > 0 && encoded > n / 2);
}

/* ---- changes of octets ---- */

struct place {
    size_t at; /* the octet that is looked for */
    size_t base;
    char path[256];
    size_t ends[COER_DEPTH_MAX + 2]; /* of the path at each depth */
};

/* The last node that holds the octet is the deepest. */
static bool find_place(void *arg, const struct coer_node *node)
{
    struct place *place = arg;
    size_t end = node->depth == 0 ? 0 : place->ends[node->depth - 1];

    if (node->is_default || place->at < node->offset || place->at >= node->offset + node->size)
        return true;
    if (node->is_element)
        snprintf(place->path + end, sizeof(place->path) - end, "[%zu]", node->index);
    else
        snprintf(place->path + end, sizeof(place->path) - end, "%s%s", end == 0 ? "" : ".",
                 node->field != NULL ? node->field : node->type_name);
    place->ends[node->depth] = strlen(place->path);
    return true;
}

static void name_place(const struct run *run, size_t at, char path[256])
{
    const struct strength_message *m = run->message;
    const struct coer_visitor visitor = {.enter = find_place};
    struct place place = {.at = at};
    const OCTET_STRING_t *packed;
    coer_arena *arena = coer_arena_new();
    void *value = NULL;

    assert_int_equal(coer_walk(m->type, m->octets, m->size, &visitor, &place, NULL), COER_OK);
    snprintf(path, 256, "%s", place.path);
    assert_int_equal(coer_decode(arena, m->type, m->octets, m->size, &value, NULL), COER_OK);
    packed = m->packed_type == NULL ? NULL : m->packed(value);
    if (packed != NULL && m->octets + at >= packed->buf &&
        m->octets + at < packed->buf + packed->size) {
        place = (struct place){.at = (size_t)(m->octets + at - packed->buf)};
        assert_int_equal(
            coer_walk(m->packed_type, packed->buf, (size_t)packed->size, &visitor, &place, NULL),
            COER_OK);
        snprintf(path, 256, "%s", place.path);
    }
    coer_arena_free(arena);
}

static void change_octets(struct run *run)
{
    const struct strength_message *m = run->message;
    const bool is_long = getenv("DOT2HSM_LONG") != NULL && getenv("DOT2HSM_LONG")[0] != '\0';
    uint8_t *octets = malloc(m->size + 1);
    char path[256];

    assert_non_null(octets);
    memcpy(octets, m->octets, m->size);
    octets[m->size] = 0;
    for (size_t at = 0; at < m->size; at++) {
        name_place(run, at, path);
        for (unsigned bit = 0; bit < 8; bit++) {
            if (!is_long && bit != at % 8)
                continue;
            octets[at] ^= (uint8_t)(1u << bit);
            try_change(run, octets, m->size, path, "a bit of its octets");
            octets[at] ^= (uint8_t)(1u << bit);
        }
        try_change(run, octets, at, path, "truncated");
    }
    try_change(run, octets, m->size + 1, "the whole", "an octet more");
    free(octets);
}

/* In place of each octet, for one of them is where a length or a quantity stands. */
static void claim_sizes(struct run *run)
{
    static const struct {
        const char *name;
        uint8_t size, octets[10];
    } claims[] = {
        {"a length below 2^31", 5, {0x84, 0x7f, 0xff, 0xff, 0xff}},
        {"a length of 2^31", 5, {0x84, 0x80, 0x00, 0x00, 0x00}},
        {"a length of 2^32", 6, {0x85, 0x01, 0x00, 0x00, 0x00, 0x00}},
        {"a length below 2^63", 9, {0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {"a length of 2^63", 9, {0x88, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}},
        {"a length below 2^64", 9, {0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {"a quantity of 2^31", 5, {0x04, 0x80, 0x00, 0x00, 0x00}},
        {"a quantity of 2^32", 6, {0x05, 0x01, 0x00, 0x00, 0x00, 0x00}},
        {"a quantity of 2^63", 9, {0x08, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}},
    };
    const struct strength_message *m = run->message;
    uint8_t *octets = malloc(m->size + sizeof(claims[0].octets));
    char path[256];

    assert_non_null(octets);
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        for (size_t at = 0; at < m->size; at++) {
            name_place(run, at, path);
            memcpy(octets, m->octets, at);
            memcpy(octets + at, claims[i].octets, claims[i].size);
            memcpy(octets + at + claims[i].size, m->octets + at + 1, m->size - at - 1);
            try_change(run, octets, m->size - 1 + claims[i].size, path, claims[i].name);
        }
    }
    free(octets);
}

void strength_check(const struct strength_message *message)
{
    struct run run = {.message = message, .arena = coer_arena_new()};
    const struct strength_exception *e = message->exceptions;

    assert_non_null(run.arena);
    if (!is_accepted(&run, message->octets, message->size))
        fail_msg("%s: not accepted as it is", message->name);
    change_structure(&run, message->type, message->octets, message->size, false);
    if (message->packed_type != NULL) {
        coer_arena *arena = coer_arena_new();
        const OCTET_STRING_t *packed;
        void *outer = NULL;

        assert_int_equal(
            coer_decode(arena, message->type, message->octets, message->size, &outer, NULL),
            COER_OK);
        packed = message->packed(outer);
        assert_non_null(packed);
        change_structure(&run, message->packed_type, packed->buf, (size_t)packed->size, true);
        coer_arena_free(arena);
    }
    change_octets(&run);
    claim_sizes(&run);
    for (size_t i = 0; e != NULL && e[i].path != NULL; i++) {
        if (!run.is_used[i]) {
            print_error("%s: exception not needed: %s: %s\n", message->name, e[i].path,
                        e[i].change);
            run.unnoticed++;
        }
    }
    coer_arena_free(run.arena);
    if (run.unnoticed > 0)
        fail_msg("%s: %zu of %zu changes", message->name, run.unnoticed, run.changes);
    print_message("%s: %zu changes, all noticed but for the exceptions\n", message->name,
                  run.changes);
}
