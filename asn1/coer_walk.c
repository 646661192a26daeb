/* The record of nodes that the decoder can keep, and the walk over it. */
#include "asn1/coer_decoder.h"

#include <stdlib.h>

#include "OCTET_STRING.h"

static struct coer_trace_entry *trace_add(struct coer_trace *trace)
{
    if (trace->count == trace->capacity) {
        size_t capacity = trace->capacity == 0 ? 256 : trace->capacity * 2;
        struct coer_trace_entry *entries =
            realloc(trace->entries, capacity * sizeof(*trace->entries));

        if (entries == NULL) {
            return NULL;
        }
        trace->entries = entries;
        trace->capacity = capacity;
    }
    return &trace->entries[trace->count++];
}

static struct coer_trace_entry *trace_leaf(struct coer_decoder *decoder,
                                           const struct coer_member *member, const void *value)
{
    struct coer_trace_entry *entry = trace_add(decoder->trace);

    if (entry != NULL) {
        *entry = (struct coer_trace_entry){
            .member = member,
            .value = value,
            .offset = (size_t)(decoder->at - decoder->start),
            .depth = decoder->depth,
            .end = decoder->trace->count,
        };
    }
    return entry;
}

bool coer_trace_open(struct coer_decoder *decoder, const struct coer_member *member,
                     const void *value, size_t *index)
{
    struct coer_trace_entry *entry = trace_leaf(decoder, member, value);

    if (entry == NULL) {
        return false;
    }
    /* asn1c gives the element of a SEQUENCE OF an empty name. */
    entry->is_element = member->name[0] == '\0';
    entry->index = entry->is_element ? decoder->index : 0;
    *index = decoder->trace->count - 1;
    return true;
}

void coer_trace_close(struct coer_decoder *decoder, size_t index)
{
    struct coer_trace_entry *entry = &decoder->trace->entries[index];

    entry->size = (size_t)(decoder->at - decoder->start) - entry->offset;
    entry->end = decoder->trace->count;
}

bool coer_trace_default(struct coer_decoder *decoder, const struct coer_member *member,
                        const void *value)
{
    struct coer_trace_entry *entry = trace_leaf(decoder, member, value);

    if (entry != NULL) {
        entry->is_default = true;
    }
    return entry != NULL;
}

bool coer_trace_unknown(struct coer_decoder *decoder, const uint8_t *data, size_t size)
{
    struct coer_trace_entry *entry = trace_leaf(decoder, NULL, NULL);

    if (entry != NULL) {
        entry->offset = (size_t)(data - decoder->start);
        entry->size = size;
    }
    return entry != NULL;
}

static void node_value(struct coer_node *node, const struct coer_type *type, const void *value)
{
    uint64_t number = 0;

    switch (type->codec) {
    case CODEC_SEQUENCE:
        node->kind = COER_SEQUENCE;
        break;
    case CODEC_SEQUENCE_OF:
        node->kind = COER_SEQUENCE_OF;
        node->count = (size_t)((const A_SEQUENCE_OF(void) *)value)->count;
        break;
    case CODEC_CHOICE:
        node->kind = COER_CHOICE;
        node->identifier =
            type->members[*(const int *)(const void *)((const uint8_t *)value + type->present) - 1]
                .name;
        break;
    case CODEC_NATIVE:
        node->kind = COER_INTEGER;
        node->number = *(const long *)value;
        break;
    case CODEC_INTEGER:
        node->kind = COER_INTEGER;
        node->is_unsigned = true;
        coer_integer_get(value, &number);
        node->number = (int64_t)number;
        break;
    case CODEC_ENUMERATED:
        node->kind = COER_ENUMERATED;
        node->number = *(const long *)value;
        node->identifier = type->enumerators[node->number];
        break;
    case CODEC_BOOLEAN:
        node->kind = COER_BOOLEAN;
        node->number = *(const BOOLEAN_t *)value != 0;
        break;
    case CODEC_NULL:
        node->kind = COER_NULL;
        break;
    case CODEC_OCTETS:
    case CODEC_UTF8:
        node->kind = type->codec == CODEC_UTF8 ? COER_UTF8_STRING : COER_OCTET_STRING;
        node->data = ((const OCTET_STRING_t *)value)->buf;
        node->data_size = (size_t)((const OCTET_STRING_t *)value)->size;
        break;
    case CODEC_BITS:
        node->kind = COER_BIT_STRING;
        node->data = ((const BIT_STRING_t *)value)->buf;
        node->data_size = (size_t)((const BIT_STRING_t *)value)->size;
        break;
    }
}

static void node_fill(struct coer_node *node, const struct coer_trace_entry *entry,
                      const uint8_t *in)
{
    *node = (struct coer_node){
        .kind = COER_UNKNOWN_EXTENSION,
        .depth = entry->depth,
        .index = entry->index,
        .is_element = entry->is_element,
        .is_default = entry->is_default,
        .type_name = "unknown",
        .value = entry->value,
        .offset = entry->offset,
        .size = entry->size,
    };
    if (entry->member == NULL) {
        node->data = in + entry->offset;
        node->data_size = entry->size;
        return;
    }
    node->type = entry->member->type->descriptor;
    node->type_name = node->type->name;
    node->field = entry->depth == 0 || entry->is_element ? NULL : entry->member->name;
    node_value(node, entry->member->type, entry->value);
}

static bool is_constructed(const struct coer_trace_entry *entry)
{
    return entry->member != NULL && entry->member->type->codec <= CODEC_CHOICE;
}

static void trace_visit(const struct coer_trace *trace, const struct coer_visitor *visitor,
                        void *arg, const uint8_t *in)
{
    /* The structures that are open: their places in the trace, by depth. */
    size_t open[COER_DEPTH_MAX + 1];
    size_t depth = 0;
    struct coer_node node;

    for (size_t i = 0; i <= trace->count; i++) {
        while (depth > 0 && trace->entries[open[depth - 1]].end == i) {
            node_fill(&node, &trace->entries[open[--depth]], in);
            if (visitor->leave != NULL && !visitor->leave(arg, &node)) {
                return;
            }
        }
        if (i == trace->count) {
            return;
        }
        node_fill(&node, &trace->entries[i], in);
        if (visitor->enter != NULL && !visitor->enter(arg, &node)) {
            return;
        }
        if (is_constructed(&trace->entries[i])) {
            open[depth++] = i;
        }
    }
}

enum coer_status coer_walk(const asn_TYPE_descriptor_t *type, const uint8_t *in, size_t size,
                           const struct coer_visitor *visitor, void *arg, struct coer_error *error)
{
    struct coer_trace trace = {.entries = NULL};
    coer_arena *arena = coer_arena_new();
    void *value = NULL;
    enum coer_status status;

    if (arena == NULL) {
        if (error != NULL) {
            *error = (struct coer_error){.status = COER_E_MEMORY};
        }
        return COER_E_MEMORY;
    }
    status = coer_decode_traced(arena, type, in, size, &value, &trace, error);
    if (status == COER_OK) {
        trace_visit(&trace, visitor, arg, in);
    }
    free(trace.entries);
    coer_arena_free(arena);
    return status;
}
