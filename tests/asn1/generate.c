#include "tests/asn1/generate.h"

#include <string.h>

#include "BOOLEAN.h"
#include "asn1/coer_internal.h"

/* Below this nothing is generated that could as well be absent. */
#define DEPTH_FULL 12

struct generator {
    coer_arena *arena;
    uint64_t state;
    unsigned depth;
    bool has_failed;
};

/* Vigna's splitmix64 step: every seed gives another sequence. */
static uint64_t random_next(struct generator *generator)
{
    uint64_t z = generator->state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint64_t random_below(struct generator *generator, uint64_t limit)
{
    return random_next(generator) % limit;
}

static void *allocate(struct generator *generator, size_t size)
{
    void *memory = coer_arena_alloc(generator->arena, size == 0 ? 1 : size);

    generator->has_failed |= memory == NULL;
    return memory;
}

/* A number within bounds: a border, one of those at which the encoding grows, or anything. */
static int64_t random_number(struct generator *generator, int64_t low, int64_t high)
{
    static const int64_t borders[] = {0,    1,   -1,  127,   128,   -128,
                                      -129, 255, 256, 32767, 32768, 65535};
    int64_t number;
    unsigned bits;

    switch (random_below(generator, 4)) {
    case 0:
        return random_below(generator, 2) == 0 ? low : high;
    case 1:
        number = borders[random_below(generator, sizeof(borders) / sizeof(borders[0]))];
        break;
    default:
        bits = (unsigned)random_below(generator, 64);
        number = (int64_t)(random_next(generator) >> bits);
        number = random_below(generator, 2) == 0 ? number : -number;
        break;
    }
    return number < low || number > high ? low : number;
}

static size_t random_size(struct generator *generator, const struct coer_bounds *bounds,
                          size_t usual)
{
    size_t most = bounds->most - bounds->least < usual ? bounds->most : bounds->least + usual;
    uint64_t kind = random_below(generator, 16);

    if (kind == 0) {
        return bounds->least;
    }
    if (kind == 1 && bounds->most <= 255) {
        return bounds->most;
    }
    if (kind == 2 && generator->depth < 4 && bounds->most > 300) {
        /* A length of more than one octet. */
        return 120 + (size_t)random_below(generator, 180);
    }
    return bounds->least + (size_t)random_below(generator, most - bounds->least + 1);
}

static void random_octets(struct generator *generator, uint8_t *octets, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        octets[i] = (uint8_t)random_next(generator);
    }
}

static void generate_octets(struct generator *generator, const struct coer_bounds *bounds,
                            OCTET_STRING_t *value)
{
    size_t size = random_size(generator, bounds, 40);
    uint8_t *octets = allocate(generator, size);

    if (octets != NULL) {
        random_octets(generator, octets, size);
        coer_octets_view(value, octets, size);
    }
}

static void generate_text(struct generator *generator, const struct coer_bounds *bounds,
                          OCTET_STRING_t *value)
{
    static const char *const characters[] = {
        "a", "Z", "0", ".", "/", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    size_t count = random_size(generator, bounds, 40);
    char *text = allocate(generator, 4 * count + 1);
    size_t size = 0;

    for (size_t i = 0; i < count && text != NULL; i++) {
        const char *character =
            characters[random_below(generator, sizeof(characters) / sizeof(characters[0]))];

        memcpy(text + size, character, strlen(character));
        size += strlen(character);
    }
    if (text != NULL) {
        coer_octets_view(value, text, size);
    }
}

static void generate_bits(struct generator *generator, const struct coer_member *member,
                          BIT_STRING_t *value)
{
    size_t bits = random_size(generator, &member->bounds, 20);
    size_t size = (bits + 7) / 8;
    uint8_t *octets = allocate(generator, size);

    if (octets == NULL) {
        return;
    }
    random_octets(generator, octets, size);
    value->buf = octets;
    value->size = (int)size;
    value->bits_unused = (int)(size * 8 - bits);
    if (size > 0) {
        octets[size - 1] &= (uint8_t)(0xFF << value->bits_unused);
        octets[0] |= member->type->is_nonzero ? 0x80 : 0;
    }
}

static void generate_value(struct generator *generator, const struct coer_member *member,
                           void *value);

static void generate_member(struct generator *generator, const struct coer_member *member,
                            void *structure)
{
    void *value = (uint8_t *)structure + member->offset;

    if (member->is_pointer) {
        void *memory = allocate(generator, member->type->size);

        *(void **)value = memory;
        value = memory;
    }
    if (value != NULL) {
        generate_value(generator, member, value);
    }
}

static void generate_sequence(struct generator *generator, const struct coer_type *type,
                              void *value)
{
    for (size_t i = 0; i < type->member_count; i++) {
        const struct coer_member *member = &type->members[i];
        bool may_be_absent = member->is_optional && member->is_pointer;

        if (may_be_absent && (generator->depth >= DEPTH_FULL || random_below(generator, 2) == 0)) {
            continue;
        }
        if (member->has_default && random_below(generator, 2) == 0 &&
            member->type->codec == CODEC_NATIVE) {
            long *number = member->is_pointer ? allocate(generator, sizeof(long))
                                              : (void *)((uint8_t *)value + member->offset);

            if (number != NULL) {
                *number = member->default_value;
            }
            if (member->is_pointer) {
                *(void **)(void *)((uint8_t *)value + member->offset) = number;
            }
            continue;
        }
        generate_member(generator, member, value);
    }
}

static void generate_sequence_of(struct generator *generator, const struct coer_member *member,
                                 void *value)
{
    const struct coer_member *element = &member->type->members[0];
    size_t usual = generator->depth >= DEPTH_FULL ? 0 : 3;
    size_t count = member->bounds.least;

    if (usual > 0) {
        count += (size_t)random_below(generator, usual + 1);
    }
    if (usual > 0 && element->type->codec > CODEC_CHOICE && random_below(generator, 16) == 0) {
        count += 256;
    }
    for (size_t i = 0; i < count; i++) {
        void *memory = allocate(generator, element->type->size);

        if (memory == NULL || !coer_list_add(generator->arena, value, memory)) {
            generator->has_failed = true;
            return;
        }
        generate_value(generator, element, memory);
    }
}

static void generate_choice(struct generator *generator, const struct coer_type *type, void *value)
{
    size_t index = (size_t)random_below(generator, type->member_count);

    if (generator->depth >= DEPTH_FULL) {
        for (size_t i = 0; i < type->member_count; i++) {
            index = type->members[i].least < type->members[index].least ? i : index;
        }
    }
    *(int *)(void *)((uint8_t *)value + type->present) = (int)index + 1;
    generate_member(generator, &type->members[index], value);
}

static void generate_constructed(struct generator *generator, const struct coer_member *member,
                                 void *value)
{
    generator->depth++;
    if (member->type->codec == CODEC_SEQUENCE) {
        generate_sequence(generator, member->type, value);
    } else if (member->type->codec == CODEC_SEQUENCE_OF) {
        generate_sequence_of(generator, member, value);
    } else {
        generate_choice(generator, member->type, value);
    }
    generator->depth--;
}

static void generate_value(struct generator *generator, const struct coer_member *member,
                           void *value)
{
    const struct coer_type *type = member->type;
    long number;

    switch (type->codec) {
    case CODEC_SEQUENCE:
    case CODEC_SEQUENCE_OF:
    case CODEC_CHOICE:
        generate_constructed(generator, member, value);
        break;
    case CODEC_NATIVE:
        *(long *)value = random_number(generator, member->bounds.low, member->bounds.high);
        break;
    case CODEC_INTEGER:
        generator->has_failed |= !coer_integer_set(
            generator->arena, value, random_next(generator) >> random_below(generator, 64));
        break;
    case CODEC_ENUMERATED:
        do {
            number = (long)random_below(generator, COER_ENUMERATORS);
        } while (type->enumerators[number] == NULL);
        *(long *)value = number;
        break;
    case CODEC_BOOLEAN:
        *(BOOLEAN_t *)value = random_below(generator, 2) != 0;
        break;
    case CODEC_NULL:
        break;
    case CODEC_OCTETS:
        generate_octets(generator, &member->bounds, value);
        break;
    case CODEC_UTF8:
        generate_text(generator, &member->bounds, value);
        break;
    case CODEC_BITS:
        generate_bits(generator, member, value);
        break;
    }
}

void *generate(coer_arena *arena, const asn_TYPE_descriptor_t *descriptor, uint64_t seed)
{
    const struct coer_type *type = coer_type_find(descriptor);
    struct generator generator = {.arena = arena, .state = seed};
    void *value;

    if (type == NULL) {
        return NULL;
    }
    value = allocate(&generator, type->size);
    if (value != NULL) {
        generate_value(&generator, &type->self, value);
    }
    return generator.has_failed ? NULL : value;
}

bool generate_member_of(coer_arena *arena, const struct coer_member *member, void *structure,
                        uint64_t seed)
{
    struct generator generator = {.arena = arena, .state = seed, .depth = DEPTH_FULL};

    if (!member->is_pointer) {
        memset((uint8_t *)structure + member->offset, 0, member->type->size);
    }
    generate_member(&generator, member, structure);
    return !generator.has_failed;
}

bool generate_absent(coer_arena *arena, const asn_TYPE_descriptor_t *descriptor, void *sequence)
{
    const struct coer_type *type = coer_type_find(descriptor);

    for (size_t i = 0; i < type->member_count; i++) {
        const struct coer_member *member = &type->members[i];

        if (member->is_optional && member->is_pointer &&
            coer_member_value(member, sequence) == NULL &&
            !generate_member_of(arena, member, sequence, i + 1)) {
            return false;
        }
    }
    return true;
}
