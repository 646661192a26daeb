#include "tests/asn1/mutate.h"

#include <stdio.h>
#include <string.h>

#include "BOOLEAN.h"
#include "asn1/coer_internal.h"
#include "tests/asn1/generate.h"

struct mutator {
    coer_arena *arena;
    size_t left; /* changes before the one that is wanted */
    bool is_done;
    struct mutation *made;
    char path[256];
    size_t leaves, fixed;
    size_t seen; /* changes so far: a leaf that has none is fixed */
};

/* Is this change the one? Then says so in made, and the caller makes it. */
static bool is_wanted(struct mutator *m, const char *change, const char *name)
{
    m->seen++;
    if (m->is_done || m->left-- > 0) {
        return false;
    }
    m->is_done = true;
    snprintf(m->made->path, sizeof(m->made->path), "%s", m->path);
    snprintf(m->made->change, sizeof(m->made->change), "%s%s", change, name);
    return true;
}

static void *slot_of(const struct coer_member *member, void *structure)
{
    return (uint8_t *)structure + member->offset;
}

/* ---- leaves ---- */

static void change_number(struct mutator *m, const struct coer_bounds *bounds, long *number)
{
    if (*number < bounds->high && is_wanted(m, "one up", "")) {
        *number += 1;
    } else if (*number > bounds->low && is_wanted(m, "one down", "")) {
        *number -= 1;
    } else if (*number < bounds->high - 1 && is_wanted(m, "the highest", "")) {
        *number = bounds->high;
    } else if (*number > bounds->low + 1 && is_wanted(m, "the lowest", "")) {
        *number = bounds->low;
    }
}

static void change_uint64(struct mutator *m, INTEGER_t *integer)
{
    static const uint64_t bits[] = {1, UINT64_C(1) << 31, UINT64_C(1) << 63};
    static const char *const names[] = {"0", "31", "63"};
    uint64_t number = 0;

    for (size_t i = 0; i < 3; i++) {
        if (is_wanted(m, "bit ", names[i]) && coer_integer_get(integer, &number)) {
            m->is_done = coer_integer_set(m->arena, integer, number ^ bits[i]);
        }
    }
}

static void change_enumerated(struct mutator *m, const struct coer_type *type, long *number)
{
    const long before = *number;

    for (long i = 0; i < COER_ENUMERATORS; i++) {
        if (i != before && type->enumerators[i] != NULL && is_wanted(m, "", type->enumerators[i])) {
            *number = i;
        }
    }
}

/* A copy with room for one octet more: what was decoded points into the message. */
static uint8_t *own(struct mutator *m, OCTET_STRING_t *string)
{
    uint8_t *copy = coer_arena_alloc(m->arena, (size_t)string->size + 1);

    m->is_done = copy != NULL;
    if (copy != NULL) {
        memcpy(copy, string->buf, (size_t)string->size);
        string->buf = copy;
    }
    return copy;
}

static void flip(struct mutator *m, OCTET_STRING_t *string, int at)
{
    if (own(m, string) != NULL) {
        string->buf[at] ^= 1;
    }
}

static void change_octets(struct mutator *m, const struct coer_bounds *bounds,
                          OCTET_STRING_t *string)
{
    const int size = string->size;

    if (size > 0 && is_wanted(m, "first octet", "")) {
        flip(m, string, 0);
    } else if (size > 2 && is_wanted(m, "an octet in the middle", "")) {
        flip(m, string, size / 2);
    } else if (size > 1 && is_wanted(m, "last octet", "")) {
        flip(m, string, size - 1);
    } else if ((size_t)size < bounds->most && is_wanted(m, "one octet longer", "")) {
        if (own(m, string) != NULL) {
            string->buf[string->size++] = 'x';
        }
    } else if ((size_t)size > bounds->least && is_wanted(m, "one octet shorter", "")) {
        string->size--;
    } else if (size > 1 && bounds->least == 0 && is_wanted(m, "empty", "")) {
        string->size = 0;
    }
}

static void change_bits(struct mutator *m, BIT_STRING_t *bits)
{
    OCTET_STRING_t octets = {.buf = bits->buf, .size = bits->size};

    for (int i = 0; i < 8 * bits->size - bits->bits_unused; i++) {
        if (is_wanted(m, "a bit", "") && own(m, &octets) != NULL) {
            bits->buf = octets.buf;
            bits->buf[i / 8] ^= (uint8_t)(0x80 >> i % 8);
        }
    }
}

static void change_leaf(struct mutator *m, const struct coer_member *member, void *value)
{
    const size_t before = m->seen;

    switch (member->type->codec) {
    case CODEC_NATIVE:
        change_number(m, &member->bounds, value);
        break;
    case CODEC_INTEGER:
        change_uint64(m, value);
        break;
    case CODEC_ENUMERATED:
        change_enumerated(m, member->type, value);
        break;
    case CODEC_BOOLEAN:
        if (is_wanted(m, "the other", "")) {
            *(BOOLEAN_t *)value = !*(BOOLEAN_t *)value;
        }
        break;
    case CODEC_OCTETS:
    case CODEC_UTF8:
        change_octets(m, &member->bounds, value);
        break;
    case CODEC_BITS:
        change_bits(m, value);
        break;
    default: /* NULL */
        break;
    }
    m->leaves++;
    m->fixed += m->seen == before;
}

/* ---- structures ---- */

static void change(struct mutator *m, const struct coer_member *member, void *value);

static void change_within(struct mutator *m, const struct coer_member *member, const char *name,
                          void *value)
{
    const size_t size = strlen(m->path);

    snprintf(m->path + size, sizeof(m->path) - size, "%s", name);
    change(m, member, value);
    m->path[size] = '\0';
}

static void change_sequence(struct mutator *m, const struct coer_type *type, void *structure)
{
    char name[100];

    for (size_t i = 0; i < type->member_count && !m->is_done; i++) {
        const struct coer_member *member = &type->members[i];
        void *value = coer_member_value(member, structure);

        if (value == NULL) {
            if (is_wanted(m, "present: ", member->name)) {
                m->is_done = generate_member_of(m->arena, member, structure, i + 1);
            }
            continue;
        }
        /* Absent is the same as the DEFAULT, whose other values are changes of the leaf. */
        if (member->is_optional && member->is_pointer && !member->has_default &&
            is_wanted(m, "absent: ", member->name)) {
            *(void **)slot_of(member, structure) = NULL;
            return;
        }
        snprintf(name, sizeof(name), ".%s", member->name);
        change_within(m, member, name, value);
    }
}

static void change_sequence_of(struct mutator *m, const struct coer_member *member, void *value)
{
    const struct coer_member *element = &member->type->members[0];
    A_SEQUENCE_OF(void) *list = value;
    const int count = list->count;
    char name[24];

    if (count > 0 && (size_t)count < member->bounds.most && is_wanted(m, "last one twice", "")) {
        m->is_done = coer_list_add(m->arena, value, list->array[count - 1]);
        return;
    }
    if ((size_t)count > member->bounds.least && is_wanted(m, "without the last", "")) {
        list->count--;
        return;
    }
    if (count > 1 && is_wanted(m, "first two exchanged", "")) {
        void *first = list->array[0];

        list->array[0] = list->array[1];
        list->array[1] = first;
        return;
    }
    for (int i = 0; i < count && !m->is_done; i++) {
        snprintf(name, sizeof(name), "[%d]", i);
        change_within(m, element, name, list->array[i]);
    }
}

static void change_choice(struct mutator *m, const struct coer_type *type, void *structure)
{
    int *present = (void *)((uint8_t *)structure + type->present);
    const struct coer_member *now = &type->members[*present - 1];
    char name[100];

    for (size_t i = 0; i < type->member_count && !m->is_done; i++) {
        const struct coer_member *other = &type->members[i];

        if (other == now) {
            continue;
        }
        if (other->type == now->type && other->is_pointer == now->is_pointer &&
            other->offset == now->offset && is_wanted(m, "the same as ", other->name)) {
            *present = (int)i + 1;
            return;
        }
        if (is_wanted(m, "another: ", other->name)) {
            *present = (int)i + 1;
            m->is_done = generate_member_of(m->arena, other, structure, i + 1);
            return;
        }
    }
    if (!m->is_done) {
        snprintf(name, sizeof(name), ".%s", now->name);
        change_within(m, now, name, coer_member_value(now, structure));
    }
}

static void change(struct mutator *m, const struct coer_member *member, void *value)
{
    switch (member->type->codec) {
    case CODEC_SEQUENCE:
        change_sequence(m, member->type, value);
        break;
    case CODEC_SEQUENCE_OF:
        change_sequence_of(m, member, value);
        break;
    case CODEC_CHOICE:
        change_choice(m, member->type, value);
        break;
    default:
        change_leaf(m, member, value);
        break;
    }
}

static void run(struct mutator *m, const asn_TYPE_descriptor_t *descriptor, void *value)
{
    const struct coer_type *type = coer_type_find(descriptor);

    if (type != NULL) {
        snprintf(m->path, sizeof(m->path), "%s", descriptor->name);
        change(m, &type->self, value);
    }
}

bool mutate(coer_arena *arena, const asn_TYPE_descriptor_t *type, void *value, size_t n,
            struct mutation *made)
{
    struct mutator m = {.arena = arena, .left = n, .made = made};

    run(&m, type, value);
    return m.is_done;
}

size_t mutate_leaves(const asn_TYPE_descriptor_t *type, void *value, size_t *fixed)
{
    struct mutator m = {.left = SIZE_MAX};

    run(&m, type, value);
    *fixed = m.fixed;
    return m.leaves;
}
