/*
 * Strict decoding of the constructed types, driven by the tables of coer_schema.c. The clauses are
 * those of ITU-T X.696 (08/2015).
 *
 * Each function leaves the position behind what it read, or notes where the error is and returns
 * it; those above add their fields to its path. Nothing is read before it is known to lie in the
 * input.
 */
#include "asn1/coer_decoder.h"

#include <limits.h>

/* In the phase of asn1c's context of a structure: it holds a span. asn1c itself counts from 0. */
#define SPAN_MARK 0x5AC0

/* Keep the octets that a structure came from in the context that asn1c provides in it. */
static void span_keep(const struct coer_decoder *decoder, const struct coer_type *type, void *value,
                      const uint8_t *start, bool is_extended)
{
    asn_struct_ctx_t *context = (void *)((uint8_t *)value + type->context);

    context->phase = SPAN_MARK;
    context->context = is_extended;
    context->ptr = (void *)(uintptr_t)start;
    context->left = decoder->at - start;
}

static enum coer_status decode_value(struct coer_decoder *decoder, const struct coer_member *member,
                                     void *value);

/* Decode a member into its place in a structure, with memory of its own if it is a pointer. */
static enum coer_status decode_member(struct coer_decoder *decoder,
                                      const struct coer_member *member, void *structure)
{
    void *value = (uint8_t *)structure + member->offset;
    enum coer_status status;

    if (member->is_pointer) {
        void *memory = coer_arena_alloc(decoder->arena, member->type->size);

        if (memory == NULL) {
            status = coer_decoder_fail(decoder, COER_E_MEMORY, decoder->at);
            coer_path_field(&decoder->path, member->name);
            return status;
        }
        *(void **)value = memory;
        value = memory;
    }
    status = decode_value(decoder, member, value);
    if (status != COER_OK) {
        coer_path_field(&decoder->path, member->name);
    }
    return status;
}

/* Clause 30: an open type, a length and the value that fills it. */
static enum coer_status decode_open(struct coer_decoder *decoder, const struct coer_member *member,
                                    void *structure)
{
    const uint8_t *data = NULL;
    const uint8_t *end = decoder->end;
    size_t size = 0;
    enum coer_status status = coer_read_counted(decoder, &data, &size);

    if (status == COER_OK) {
        decoder->at = data;
        decoder->end = data + size;
        status = decode_member(decoder, member, structure);
        if (status != COER_OK) {
            return status;
        }
        if (decoder->at != decoder->end) {
            status = coer_decoder_fail(decoder, COER_E_TRAILING, decoder->at);
        }
        decoder->end = end;
    }
    if (status != COER_OK) {
        coer_path_field(&decoder->path, member->name);
    }
    return status;
}

/* A component with a DEFAULT that is not in the input. */
static enum coer_status fill_default(struct coer_decoder *decoder, const struct coer_member *member,
                                     void *structure)
{
    void *value = (uint8_t *)structure + member->offset;

    if (member->is_pointer) {
        void *memory = coer_arena_alloc(decoder->arena, member->type->size);

        if (memory == NULL) {
            return coer_decoder_fail(decoder, COER_E_MEMORY, decoder->at);
        }
        *(void **)value = memory;
        value = memory;
    }
    if (member->type->codec == CODEC_NATIVE) {
        *(long *)value = member->default_value;
    } else if (!coer_bits8(decoder->arena, value, (uint8_t)member->default_value)) {
        return coer_decoder_fail(decoder, COER_E_MEMORY, decoder->at);
    }
    if (decoder->trace != NULL && !coer_trace_default(decoder, member, value)) {
        return coer_decoder_fail(decoder, COER_E_MEMORY, decoder->at);
    }
    return COER_OK;
}

/* Canonical OER: a component that has its default value is absent. */
static bool is_default(const struct coer_member *member, const void *structure)
{
    const void *value = coer_member_value(member, structure);

    if (member->type->codec == CODEC_NATIVE) {
        return *(const long *)value == member->default_value;
    }
    return ((const BIT_STRING_t *)value)->size == 1 &&
           ((const BIT_STRING_t *)value)->buf[0] == (uint8_t)member->default_value;
}

/* Clause 16.4: the presence bitmap of extension additions, and each present one as an open type. */
static enum coer_status decode_additions(struct coer_decoder *decoder, const struct coer_type *type,
                                         void *structure, bool *is_extended)
{
    const uint8_t *start = decoder->at;
    const uint8_t *bitmap = NULL;
    size_t size = 0;
    size_t known = type->member_count - type->root_count;
    size_t bits;
    uint8_t any = 0;
    enum coer_status status = coer_read_counted(decoder, &bitmap, &size);

    if (status != COER_OK) {
        return status;
    }
    if (size < 2 || bitmap[0] > 7) {
        return coer_decoder_fail(decoder, COER_E_EXTENSION, start);
    }
    bits = (size - 1) * 8 - bitmap[0];
    if ((bitmap[size - 1] & ((1u << bitmap[0]) - 1)) != 0) {
        return coer_decoder_fail(decoder, COER_E_PADDING, start);
    }
    for (size_t i = 1; i < size; i++) {
        any |= bitmap[i];
    }
    if (any == 0) {
        return coer_decoder_fail(decoder, COER_E_EXTENSION, start);
    }
    *is_extended = bits != known;
    for (size_t i = 0; i < bits; i++) {
        if ((bitmap[1 + i / 8] & (0x80 >> i % 8)) == 0) {
            continue;
        }
        if (i < known) {
            status = decode_open(decoder, &type->members[type->root_count + i], structure);
        } else {
            const uint8_t *data = NULL;

            status = coer_read_counted(decoder, &data, &size);
            if (status == COER_OK && decoder->trace != NULL &&
                !coer_trace_unknown(decoder, data, size)) {
                status = coer_decoder_fail(decoder, COER_E_MEMORY, data);
            }
        }
        if (status != COER_OK) {
            return status;
        }
    }
    return COER_OK;
}

/* Clause 16. */
static enum coer_status decode_sequence(struct coer_decoder *decoder, const struct coer_type *type,
                                        void *structure)
{
    const uint8_t *start = decoder->at;
    const uint8_t *preamble = NULL;
    uint64_t bits;
    unsigned next;
    bool has_additions = false;
    bool is_extended = false;
    enum coer_status status = coer_read_fixed(decoder, &preamble, type->preamble_size);

    if (status != COER_OK) {
        return status;
    }
    next = 8 * (unsigned)type->preamble_size;
    bits = coer_big_endian(preamble, type->preamble_size);
    if ((bits & ((UINT64_C(1) << (next - type->preamble_bits)) - 1)) != 0) {
        return coer_decoder_fail(decoder, COER_E_PADDING, start);
    }
    if (type->is_extensible) {
        has_additions = bits >> --next & 1;
    }
    for (size_t i = 0; i < type->root_count; i++) {
        const struct coer_member *member = &type->members[i];
        const uint8_t *member_start = decoder->at;

        if (member->is_optional && (bits >> --next & 1) == 0) {
            status = member->has_default ? fill_default(decoder, member, structure) : COER_OK;
        } else {
            status = decode_member(decoder, member, structure);
            if (status == COER_OK && member->has_default && is_default(member, structure)) {
                status = coer_decoder_fail(decoder, COER_E_DEFAULT, member_start);
                coer_path_field(&decoder->path, member->name);
            }
        }
        if (status != COER_OK) {
            return status;
        }
    }
    if (has_additions) {
        status = decode_additions(decoder, type, structure, &is_extended);
        if (status != COER_OK) {
            return status;
        }
        if (is_extended) {
            coer_arena_set_extended(decoder->arena);
        }
    }
    span_keep(decoder, type, structure, start, is_extended);
    return COER_OK;
}

/* Clause 17: the quantity, an INTEGER (0..MAX), and the elements. */
static enum coer_status decode_sequence_of(struct coer_decoder *decoder,
                                           const struct coer_member *member, void *value)
{
    const struct coer_type *type = member->type;
    const struct coer_member *element = &type->members[0];
    size_t step = (element->type->size + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
    const uint8_t *start = decoder->at;
    A_SEQUENCE_OF(void) *list = value;
    const uint8_t *data = NULL;
    size_t size = 0;
    uint64_t count;
    uint8_t *elements;
    enum coer_status status = coer_read_counted(decoder, &data, &size);

    if (status != COER_OK) {
        return status;
    }
    if (size == 0 || (size > 1 && data[0] == 0)) {
        return coer_decoder_fail(decoder, COER_E_LENGTH, start);
    }
    if (size > sizeof(count)) {
        return coer_decoder_fail(decoder, COER_E_COUNT, start);
    }
    count = coer_big_endian(data, size);
    if (count < member->bounds.least || count > member->bounds.most) {
        return coer_decoder_fail(decoder, COER_E_RANGE, start);
    }
    if (count > (size_t)(decoder->end - decoder->at) / element->least) {
        return coer_decoder_fail(decoder, COER_E_COUNT, start);
    }
    if (count > 0) {
        list->array = coer_arena_alloc_raw(decoder->arena, count * sizeof(*list->array));
        elements = coer_arena_alloc(decoder->arena, count * step);
        if (list->array == NULL || elements == NULL) {
            return coer_decoder_fail(decoder, COER_E_MEMORY, start);
        }
        list->count = (int)count;
        list->size = (int)count;
        for (size_t i = 0; i < count; i++) {
            list->array[i] = elements + i * step;
            decoder->index = i;
            status = decode_value(decoder, element, list->array[i]);
            if (status != COER_OK) {
                coer_path_index(&decoder->path, i);
                return status;
            }
        }
    }
    span_keep(decoder, type, value, start, false);
    return COER_OK;
}

/* Clause 20: a tag octet and the alternative, which is an open type after the extension marker. */
static enum coer_status decode_choice(struct coer_decoder *decoder, const struct coer_type *type,
                                      void *value)
{
    const uint8_t *start = decoder->at;
    const uint8_t *tag = NULL;
    int index;
    enum coer_status status = coer_read_fixed(decoder, &tag, 1);

    if (status != COER_OK) {
        return status;
    }
    index = (*tag & 0xC0) == 0x80 ? type->by_tag[*tag & 0x3F] : -1;
    if (index < 0) {
        return coer_decoder_fail(decoder, COER_E_CHOICE, start);
    }
    /* asn1c numbers the alternatives from 1, 0 is none. */
    *(int *)(void *)((uint8_t *)value + type->present) = index + 1;
    if ((size_t)index < type->root_count) {
        status = decode_member(decoder, &type->members[index], value);
    } else {
        status = decode_open(decoder, &type->members[index], value);
    }
    if (status == COER_OK) {
        span_keep(decoder, type, value, start, false);
    }
    return status;
}

static enum coer_status decode_constructed(struct coer_decoder *decoder,
                                           const struct coer_member *member, void *value)
{
    enum coer_status status;

    if (decoder->depth == COER_DEPTH_MAX) {
        return coer_decoder_fail(decoder, COER_E_DEPTH, decoder->at);
    }
    decoder->depth++;
    switch (member->type->codec) {
    case CODEC_SEQUENCE:
        status = decode_sequence(decoder, member->type, value);
        break;
    case CODEC_SEQUENCE_OF:
        status = decode_sequence_of(decoder, member, value);
        break;
    default:
        status = decode_choice(decoder, member->type, value);
        break;
    }
    decoder->depth--;
    return status;
}

static enum coer_status decode_value(struct coer_decoder *decoder, const struct coer_member *member,
                                     void *value)
{
    enum coer_status status = COER_OK;
    size_t entry = 0;

    if (decoder->trace != NULL && !coer_trace_open(decoder, member, value, &entry)) {
        return coer_decoder_fail(decoder, COER_E_MEMORY, decoder->at);
    }
    switch (member->type->codec) {
    case CODEC_SEQUENCE:
    case CODEC_SEQUENCE_OF:
    case CODEC_CHOICE:
        status = decode_constructed(decoder, member, value);
        break;
    case CODEC_NATIVE:
        status = coer_decode_native(decoder, &member->bounds, value);
        break;
    case CODEC_INTEGER:
        status = coer_decode_integer(decoder, value);
        break;
    case CODEC_ENUMERATED:
        status = coer_decode_enumerated(decoder, member->type, value);
        break;
    case CODEC_BOOLEAN:
        status = coer_decode_boolean(decoder, value);
        break;
    case CODEC_NULL:
        break;
    case CODEC_OCTETS:
    case CODEC_UTF8:
        status = coer_decode_octets(decoder, member->type, &member->bounds, value);
        break;
    case CODEC_BITS:
        status = coer_decode_bits(decoder, member->type, &member->bounds, value);
        break;
    }
    if (status == COER_OK && decoder->trace != NULL) {
        coer_trace_close(decoder, entry);
    }
    return status;
}

enum coer_status coer_decode_traced(coer_arena *arena, const asn_TYPE_descriptor_t *descriptor,
                                    const uint8_t *in, size_t size, void **value,
                                    struct coer_trace *trace, struct coer_error *error)
{
    static const uint8_t nothing[1];
    const struct coer_type *type = coer_type_find(descriptor);
    struct coer_decoder decoder = {.arena = arena, .trace = trace};
    enum coer_status status = COER_OK;
    void *memory = NULL;

    *value = NULL;
    coer_path_init(&decoder.path);
    decoder.start = decoder.at = in == NULL ? nothing : in;
    decoder.end = decoder.start + size;
    if (type == NULL) {
        status = coer_init() == COER_OK ? COER_E_TYPE : coer_init();
    } else if (size > INT_MAX) {
        status = COER_E_LENGTH;
    } else {
        memory = coer_arena_alloc(arena, type->size);
        status = memory == NULL ? COER_E_MEMORY : decode_value(&decoder, &type->self, memory);
    }
    if (status == COER_OK && decoder.at != decoder.end) {
        status = coer_decoder_fail(&decoder, COER_E_TRAILING, decoder.at);
    }
    if (status == COER_OK) {
        *value = memory;
    } else {
        coer_path_finish(&decoder.path, descriptor->name, status, decoder.failed_at, error);
    }
    return status;
}

enum coer_status coer_decode(coer_arena *arena, const asn_TYPE_descriptor_t *type,
                             const uint8_t *in, size_t size, void **value, struct coer_error *error)
{
    return coer_decode_traced(arena, type, in, size, value, NULL, error);
}

static const asn_struct_ctx_t *span_context(const asn_TYPE_descriptor_t *descriptor,
                                            const void *value)
{
    const struct coer_type *type = coer_type_find(descriptor);
    const asn_struct_ctx_t *context;

    if (type == NULL || value == NULL || type->codec > CODEC_CHOICE) {
        return NULL;
    }
    context = (const void *)((const uint8_t *)value + type->context);
    return context->phase == SPAN_MARK ? context : NULL;
}

bool coer_span_of(const asn_TYPE_descriptor_t *type, const void *value, struct coer_span *span)
{
    const asn_struct_ctx_t *context = span_context(type, value);

    span->data = context == NULL ? NULL : context->ptr;
    span->size = context == NULL ? 0 : (size_t)context->left;
    return context != NULL;
}

bool coer_extended(const asn_TYPE_descriptor_t *type, const void *value)
{
    const asn_struct_ctx_t *context = span_context(type, value);

    return context != NULL && context->context != 0;
}
