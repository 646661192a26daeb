/* Canonical encoding, driven by the tables of coer_schema.c. The clauses are those of ITU-T X.696
 * (08/2015). */
#include "asn1/coer_internal.h"

#include <stdlib.h>
#include <string.h>

#include "BOOLEAN.h"

struct encoder {
    uint8_t *out; /* NULL: only count */
    size_t capacity;
    size_t size;
    unsigned depth;
    struct coer_path path;
};

static enum coer_status put(struct encoder *encoder, const void *data, size_t size)
{
    if (encoder->out != NULL && size > 0) {
        if (size > encoder->capacity - encoder->size) {
            return COER_E_SPACE;
        }
        memcpy(encoder->out + encoder->size, data, size);
    }
    encoder->size += size;
    return COER_OK;
}

/* Most of what is encoded is single octets. */
static enum coer_status put_octet(struct encoder *encoder, uint8_t octet)
{
    if (encoder->out != NULL) {
        if (encoder->size >= encoder->capacity) {
            return COER_E_SPACE;
        }
        encoder->out[encoder->size] = octet;
    }
    encoder->size++;
    return COER_OK;
}

static enum coer_status put_big_endian(struct encoder *encoder, uint64_t value, size_t width)
{
    uint8_t octets[sizeof(value)];

    if (width == 1) {
        return put_octet(encoder, (uint8_t)value);
    }
    for (size_t i = 0; i < width; i++) {
        octets[i] = (uint8_t)(value >> 8 * (width - 1 - i));
    }
    return put(encoder, octets, width);
}

/* Octets of an unsigned value without leading zeros, one for 0. */
static size_t unsigned_width(uint64_t value)
{
    size_t width = 1;

    while (width < sizeof(value) && value >> 8 * width != 0) {
        width++;
    }
    return width;
}

/* Octets of the shortest two's complement. */
static size_t signed_width(int64_t value)
{
    uint64_t magnitude = value < 0 ? ~(uint64_t)value : (uint64_t)value;
    size_t width = 1;

    while (width < sizeof(value) && magnitude >> (8 * width - 1) != 0) {
        width++;
    }
    return width;
}

/* Clause 8.6. */
static enum coer_status put_length(struct encoder *encoder, size_t length)
{
    size_t width = unsigned_width(length);
    enum coer_status status;

    if (length < 0x80) {
        return put_octet(encoder, (uint8_t)length);
    }
    status = put_octet(encoder, (uint8_t)(0x80 | width));
    return status == COER_OK ? put_big_endian(encoder, length, width) : status;
}

static enum coer_status put_counted(struct encoder *encoder, const void *data, size_t size)
{
    enum coer_status status = put_length(encoder, size);

    return status == COER_OK ? put(encoder, data, size) : status;
}

static enum coer_status encode_native(struct encoder *encoder, const struct coer_bounds *bounds,
                                      int64_t value)
{
    size_t width = bounds->width;
    enum coer_status status;

    if (value < bounds->low || value > bounds->high) {
        return COER_E_RANGE;
    }
    if (width > 0) {
        return put_big_endian(encoder, (uint64_t)value, width);
    }
    width = bounds->is_signed ? signed_width(value) : unsigned_width((uint64_t)value);
    status = put_length(encoder, width);
    return status == COER_OK ? put_big_endian(encoder, (uint64_t)value, width) : status;
}

static enum coer_status encode_integer(struct encoder *encoder, const INTEGER_t *value)
{
    uint64_t number = 0;

    if (value->buf == NULL || value->size <= 0) {
        return COER_E_MISSING;
    }
    if (!coer_integer_get(value, &number)) {
        return COER_E_RANGE;
    }
    return put_big_endian(encoder, number, sizeof(number));
}

static enum coer_status encode_enumerated(struct encoder *encoder, const struct coer_type *type,
                                          long value)
{
    if (value < 0 || value >= COER_ENUMERATORS || type->enumerators[value] == NULL) {
        return COER_E_ENUM;
    }
    return put_octet(encoder, (uint8_t)value);
}

static enum coer_status encode_octets(struct encoder *encoder, const struct coer_member *member,
                                      const OCTET_STRING_t *value)
{
    const struct coer_bounds *bounds = &member->bounds;
    bool is_text = member->type->codec == CODEC_UTF8;
    size_t size = (size_t)value->size;
    size_t measure = size;

    if (value->size < 0 || (value->buf == NULL && value->size > 0)) {
        return COER_E_MISSING;
    }
    if (is_text && !coer_utf8_length(value->buf, size, &measure)) {
        return COER_E_UTF8;
    }
    if (measure < bounds->least || measure > bounds->most) {
        return COER_E_RANGE;
    }
    if (!is_text && bounds->least == bounds->most) {
        return put(encoder, value->buf, size);
    }
    return put_counted(encoder, value->buf, size);
}

static enum coer_status encode_bits(struct encoder *encoder, const struct coer_member *member,
                                    const BIT_STRING_t *value)
{
    const struct coer_bounds *bounds = &member->bounds;
    size_t size = (size_t)value->size;
    size_t bits;
    uint8_t any = 0;
    enum coer_status status;

    if (value->size < 0 || (value->buf == NULL && value->size > 0)) {
        return COER_E_MISSING;
    }
    if (value->bits_unused < 0 || value->bits_unused > 7 ||
        (size == 0 && value->bits_unused != 0)) {
        return COER_E_RANGE;
    }
    bits = size * 8 - (size_t)value->bits_unused;
    if (bits < bounds->least || bits > bounds->most) {
        return COER_E_RANGE;
    }
    if (size > 0 && (value->buf[size - 1] & ((1 << value->bits_unused) - 1)) != 0) {
        return COER_E_PADDING;
    }
    for (size_t i = 0; i < size; i++) {
        any |= value->buf[i];
    }
    if (member->type->is_nonzero && any == 0) {
        return COER_E_RANGE;
    }
    if (bounds->least == bounds->most) {
        return put(encoder, value->buf, size);
    }
    status = put_length(encoder, size + 1);
    if (status == COER_OK) {
        status = put_big_endian(encoder, (uint64_t)value->bits_unused, 1);
    }
    return status == COER_OK ? put(encoder, value->buf, size) : status;
}

static enum coer_status encode_value(struct encoder *encoder, const struct coer_member *member,
                                     const void *value);

static enum coer_status encode_member(struct encoder *encoder, const struct coer_member *member,
                                      const void *structure)
{
    const void *value = coer_member_value(member, structure);
    enum coer_status status = value == NULL ? COER_E_MISSING : encode_value(encoder, member, value);

    if (status != COER_OK) {
        coer_path_field(&encoder->path, member->name);
    }
    return status;
}

/* Clause 30: the length of an open type is known only after its value was encoded once. */
static enum coer_status encode_open(struct encoder *encoder, const struct coer_member *member,
                                    const void *structure)
{
    struct encoder counter = {.depth = encoder->depth};
    enum coer_status status;

    coer_path_init(&counter.path);
    if (encode_member(&counter, member, structure) == COER_OK) {
        status = put_length(encoder, counter.size);
        if (status != COER_OK) {
            return status;
        }
    }
    /* An error of the value comes again here, and has the whole path then. */
    return encode_member(encoder, member, structure);
}

/* Whether a component is in the encoding: with COER the default value is not. */
static bool is_present(const struct coer_member *member, const void *structure)
{
    const void *value = coer_member_value(member, structure);

    if (!member->is_optional) {
        return true;
    }
    if (value == NULL || !member->has_default) {
        return value != NULL;
    }
    if (member->type->codec == CODEC_NATIVE) {
        return *(const long *)value != member->default_value;
    }
    return ((const BIT_STRING_t *)value)->size != 1 ||
           ((const BIT_STRING_t *)value)->buf[0] != (uint8_t)member->default_value;
}

/* Clause 16.4. */
static enum coer_status encode_additions(struct encoder *encoder, const struct coer_type *type,
                                         const void *structure)
{
    size_t count = type->member_count - type->root_count;
    size_t size = (count + 7) / 8;
    enum coer_status status = put_length(encoder, 1 + size);

    if (status == COER_OK) {
        status = put_big_endian(encoder, size * 8 - count, 1);
    }
    for (size_t i = 0; i < size && status == COER_OK; i++) {
        unsigned octet = 0;

        for (size_t j = 0; j < 8 && 8 * i + j < count; j++) {
            if (is_present(&type->members[type->root_count + 8 * i + j], structure)) {
                octet |= 0x80u >> j;
            }
        }
        status = put_big_endian(encoder, octet, 1);
    }
    for (size_t i = type->root_count; i < type->member_count && status == COER_OK; i++) {
        if (is_present(&type->members[i], structure)) {
            status = encode_open(encoder, &type->members[i], structure);
        }
    }
    return status;
}

/* Clause 16. */
static enum coer_status encode_sequence(struct encoder *encoder, const struct coer_type *type,
                                        const void *structure)
{
    size_t next = 8 * type->preamble_size;
    uint64_t preamble = 0;
    bool has_additions = false;
    enum coer_status status;

    for (size_t i = type->root_count; i < type->member_count; i++) {
        has_additions |= is_present(&type->members[i], structure);
    }
    if (type->is_extensible) {
        preamble |= (uint64_t)has_additions << --next;
    }
    for (size_t i = 0; i < type->root_count; i++) {
        if (type->members[i].is_optional) {
            preamble |= (uint64_t)is_present(&type->members[i], structure) << --next;
        }
    }
    status = put_big_endian(encoder, preamble, type->preamble_size);
    next = 8 * type->preamble_size - type->is_extensible;
    for (size_t i = 0; i < type->root_count && status == COER_OK; i++) {
        if (!type->members[i].is_optional || (preamble >> --next & 1) != 0) {
            status = encode_member(encoder, &type->members[i], structure);
        }
    }
    if (status == COER_OK && has_additions) {
        status = encode_additions(encoder, type, structure);
    }
    return status;
}

/* Clause 17. */
static enum coer_status encode_sequence_of(struct encoder *encoder,
                                           const struct coer_member *member, const void *value)
{
    const A_SEQUENCE_OF(void) *list = value;
    const struct coer_member *element = &member->type->members[0];
    size_t count = (size_t)list->count;
    size_t width = unsigned_width(count);
    enum coer_status status;

    if (list->count < 0 || (list->array == NULL && list->count > 0)) {
        return COER_E_MISSING;
    }
    if (count < member->bounds.least || count > member->bounds.most) {
        return COER_E_RANGE;
    }
    status = put_length(encoder, width);
    if (status == COER_OK) {
        status = put_big_endian(encoder, count, width);
    }
    for (size_t i = 0; i < count && status == COER_OK; i++) {
        status = list->array[i] == NULL ? COER_E_MISSING
                                        : encode_value(encoder, element, list->array[i]);
        if (status != COER_OK) {
            coer_path_index(&encoder->path, i);
        }
    }
    return status;
}

/* Clause 20. */
static enum coer_status encode_choice(struct encoder *encoder, const struct coer_type *type,
                                      const void *value)
{
    int number = *(const int *)(const void *)((const uint8_t *)value + type->present);
    const struct coer_member *member;
    enum coer_status status;

    if (number == 0) {
        return COER_E_MISSING;
    }
    if (number < 0 || (size_t)number > type->member_count) {
        return COER_E_CHOICE;
    }
    member = &type->members[number - 1];
    status = put_octet(encoder, member->tag);
    if (status != COER_OK) {
        return status;
    }
    return (size_t)number <= type->root_count ? encode_member(encoder, member, value)
                                              : encode_open(encoder, member, value);
}

static enum coer_status encode_constructed(struct encoder *encoder,
                                           const struct coer_member *member, const void *value)
{
    enum coer_status status;

    if (encoder->depth == COER_DEPTH_MAX) {
        return COER_E_DEPTH;
    }
    encoder->depth++;
    switch (member->type->codec) {
    case CODEC_SEQUENCE:
        status = encode_sequence(encoder, member->type, value);
        break;
    case CODEC_SEQUENCE_OF:
        status = encode_sequence_of(encoder, member, value);
        break;
    default:
        status = encode_choice(encoder, member->type, value);
        break;
    }
    encoder->depth--;
    return status;
}

static enum coer_status encode_value(struct encoder *encoder, const struct coer_member *member,
                                     const void *value)
{
    switch (member->type->codec) {
    case CODEC_SEQUENCE:
    case CODEC_SEQUENCE_OF:
    case CODEC_CHOICE:
        return encode_constructed(encoder, member, value);
    case CODEC_NATIVE:
        return encode_native(encoder, &member->bounds, *(const long *)value);
    case CODEC_INTEGER:
        return encode_integer(encoder, value);
    case CODEC_ENUMERATED:
        return encode_enumerated(encoder, member->type, *(const long *)value);
    case CODEC_BOOLEAN:
        return put_octet(encoder, *(const BOOLEAN_t *)value != 0 ? 0xFF : 0);
    case CODEC_NULL:
        return COER_OK;
    case CODEC_OCTETS:
    case CODEC_UTF8:
        return encode_octets(encoder, member, value);
    case CODEC_BITS:
        return encode_bits(encoder, member, value);
    }
    return COER_E_TYPE;
}

enum coer_status coer_encode(const asn_TYPE_descriptor_t *descriptor, const void *value,
                             uint8_t *out, size_t capacity, size_t *size, struct coer_error *error)
{
    const struct coer_type *type = coer_type_find(descriptor);
    struct encoder encoder = {.out = out, .capacity = capacity};
    enum coer_status status;

    *size = 0;
    coer_path_init(&encoder.path);
    if (type == NULL) {
        status = coer_init() == COER_OK ? COER_E_TYPE : coer_init();
    } else if (value == NULL) {
        status = COER_E_MISSING;
    } else {
        status = encode_value(&encoder, &type->self, value);
    }
    if (status == COER_OK) {
        *size = encoder.size;
    } else {
        coer_path_finish(&encoder.path, descriptor->name, status, encoder.size, error);
    }
    return status;
}

enum coer_status coer_encoded_size(const asn_TYPE_descriptor_t *type, const void *value,
                                   size_t *size, struct coer_error *error)
{
    return coer_encode(type, value, NULL, 0, size, error);
}

enum coer_status coer_encode_alloc(const asn_TYPE_descriptor_t *type, const void *value,
                                   uint8_t **out, size_t *size, struct coer_error *error)
{
    enum coer_status status = coer_encoded_size(type, value, size, error);
    size_t capacity = *size;

    *out = NULL;
    if (status != COER_OK) {
        return status;
    }
    /* A NULL alone encodes to nothing. */
    *out = malloc(capacity == 0 ? 1 : capacity);
    if (*out == NULL) {
        if (error != NULL) {
            *error = (struct coer_error){.status = COER_E_MEMORY};
        }
        return COER_E_MEMORY;
    }
    return coer_encode(type, value, *out, capacity, size, error);
}
