/*
 * The tables of the codec, made once from asn1c's descriptors.
 *
 * asn1c 0.9.28 leaves the descriptor of a type that refers to another one unfinished until one of
 * its functions is called, and then writes to it. So all of them are finished here, in one thread,
 * before anything reads them.
 */
#include "asn1/coer_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "BOOLEAN.h"
#include "EndEntityType.h"
#include "NULL.h"
#include "NativeInteger.h"
#include "constr_CHOICE.h"
#include "constr_SEQUENCE.h"
#include "constr_SEQUENCE_OF.h"

/* Made by asn1c -pdu=all: every type with a name, and NULL. */
extern asn_TYPE_descriptor_t *asn_pdu_collection[];

/* Every text of these modules is a Hostname or a file name, UTF8String (SIZE(0..255)); asn1c drops
 * the constraint because PER does not use it. */
#define UTF8_MOST 255

/* PsidGroupPermissions.eeType DEFAULT {app}, which asn1c does not generate. */
#define EE_TYPE_DEFAULT 0x80

/* The memory of the tables lives as long as the process. */
#define TYPES_MAX 512
#define SLOTS 2048 /* a power of two, four times TYPES_MAX */

static struct coer_type types[TYPES_MAX];
static size_t type_count;
static struct coer_type *slots[SLOTS];
static enum coer_status init_status;
static pthread_once_t init_once = PTHREAD_ONCE_INIT;

_Static_assert(sizeof(long) == sizeof(int64_t), "asn1c's native integer holds 64 bits");

static size_t slot_of(const asn_TYPE_descriptor_t *descriptor)
{
    return (size_t)((uintptr_t)descriptor / sizeof(void *) * 0x9E3779B97F4A7C15u >> 32) &
           (SLOTS - 1);
}

static struct coer_type *type_lookup(const asn_TYPE_descriptor_t *descriptor)
{
    for (size_t i = slot_of(descriptor); slots[i] != NULL; i = (i + 1) & (SLOTS - 1)) {
        if (slots[i]->descriptor == descriptor) {
            return slots[i];
        }
    }
    return NULL;
}

/* Enter a descriptor and all that it refers to. */
static enum coer_status type_collect(asn_TYPE_descriptor_t *descriptor)
{
    struct coer_type *type;
    size_t slot;

    if (type_lookup(descriptor) != NULL) {
        return COER_OK;
    }
    if (type_count == TYPES_MAX) {
        return COER_E_MEMORY;
    }
    /* Without a structure it frees nothing, but takes over what the type refers to. */
    descriptor->free_struct(descriptor, NULL, 1);

    type = &types[type_count++];
    type->descriptor = descriptor;
    for (slot = slot_of(descriptor); slots[slot] != NULL; slot = (slot + 1) & (SLOTS - 1)) {
    }
    slots[slot] = type;
    for (int i = 0; i < descriptor->elements_count; i++) {
        enum coer_status status = type_collect(descriptor->elements[i].type);

        if (status != COER_OK) {
            return status;
        }
    }
    return COER_OK;
}

/* The universal tag of the type itself, after all that was put before it. (all_tags goes on with
 * the tag of the OCTET STRING that a UTF8String is made of.) */
static unsigned universal_tag(const asn_TYPE_descriptor_t *descriptor)
{
    ber_tlv_tag_t tag;

    if (descriptor->tags_count == 0) {
        return 0;
    }
    tag = descriptor->tags[descriptor->tags_count - 1];
    return BER_TAG_CLASS(tag) == ASN_TAG_CLASS_UNIVERSAL ? BER_TAG_VALUE(tag) : 0;
}

static bool type_codec(struct coer_type *type)
{
    const asn_TYPE_descriptor_t *descriptor = type->descriptor;
    der_type_encoder_f *encoder = descriptor->der_encoder;
    unsigned tag = universal_tag(descriptor);

    if (encoder == SEQUENCE_encode_der) {
        type->codec = CODEC_SEQUENCE;
    } else if (encoder == SEQUENCE_OF_encode_der) {
        type->codec = CODEC_SEQUENCE_OF;
    } else if (encoder == CHOICE_encode_der) {
        type->codec = CODEC_CHOICE;
    } else if (encoder == NativeInteger_encode_der && tag == 2) {
        type->codec = CODEC_NATIVE;
        type->size = sizeof(long);
    } else if (encoder == NativeInteger_encode_der && tag == 10) {
        type->codec = CODEC_ENUMERATED;
        type->size = sizeof(long);
    } else if (encoder == INTEGER_encode_der && tag == 2) {
        type->codec = CODEC_INTEGER;
        type->size = sizeof(INTEGER_t);
    } else if (encoder == BOOLEAN_encode_der) {
        type->codec = CODEC_BOOLEAN;
        type->size = sizeof(BOOLEAN_t);
    } else if (encoder == NULL_encode_der) {
        type->codec = CODEC_NULL;
        type->size = sizeof(NULL_t);
    } else if (encoder == OCTET_STRING_encode_der && tag == 4) {
        type->codec = CODEC_OCTETS;
        type->size = sizeof(OCTET_STRING_t);
    } else if (encoder == OCTET_STRING_encode_der && tag == 12) {
        type->codec = CODEC_UTF8;
        type->size = sizeof(OCTET_STRING_t);
    } else if (encoder == OCTET_STRING_encode_der && tag == 3) {
        type->codec = CODEC_BITS;
        type->size = sizeof(BIT_STRING_t);
    } else {
        return false;
    }
    return true;
}

/* X.696 clause 10: the form of an integer follows from its bounds. */
static void integer_bounds(struct coer_bounds *bounds, const asn_per_constraint_t *value)
{
    bool has_low = value->flags & (APC_SEMI_CONSTRAINED | APC_CONSTRAINED);
    bool has_high = value->flags & APC_CONSTRAINED;

    if (value->flags & APC_EXTENSIBLE) {
        has_low = has_high = false;
    }
    bounds->width = 0;
    bounds->low = has_low ? value->lower_bound : INT64_MIN;
    bounds->high = has_high ? value->upper_bound : INT64_MAX;
    bounds->is_signed = bounds->low < 0;
    if (!has_high) {
        return;
    }
    if (!bounds->is_signed) {
        bounds->width = bounds->high <= UINT8_MAX    ? 1
                        : bounds->high <= UINT16_MAX ? 2
                        : bounds->high <= UINT32_MAX ? 4
                                                     : 8;
    } else if (bounds->low >= INT8_MIN && bounds->high <= INT8_MAX) {
        bounds->width = 1;
    } else if (bounds->low >= INT16_MIN && bounds->high <= INT16_MAX) {
        bounds->width = 2;
    } else if (bounds->low >= INT32_MIN && bounds->high <= INT32_MAX) {
        bounds->width = 4;
    } else {
        bounds->width = 8;
    }
}

static void size_bounds(struct coer_bounds *bounds, const asn_per_constraint_t *size)
{
    bool has_least = size->flags & (APC_SEMI_CONSTRAINED | APC_CONSTRAINED);
    bool has_most = size->flags & APC_CONSTRAINED;

    if (size->flags & APC_EXTENSIBLE) {
        has_least = has_most = false;
    }
    bounds->least = has_least ? (size_t)size->lower_bound : 0;
    bounds->most = has_most ? (size_t)size->upper_bound : SIZE_MAX;
}

static void bounds_fill(struct coer_bounds *bounds, enum coer_codec codec,
                        const asn_per_constraints_t *constraints)
{
    static const asn_per_constraints_t none = {
        .value = {.flags = APC_UNCONSTRAINED},
        .size = {.flags = APC_UNCONSTRAINED},
    };

    if (constraints == NULL) {
        constraints = &none;
    }
    integer_bounds(bounds, &constraints->value);
    size_bounds(bounds, &constraints->size);
    if (codec == CODEC_UTF8) {
        bounds->most = UTF8_MOST;
    }
}

static bool member_fill(struct coer_member *member, const asn_TYPE_member_t *element)
{
    member->type = type_lookup(element->type);
    if (member->type == NULL) {
        return false;
    }
    member->name = element->name;
    member->offset = (size_t)element->memb_offset;
    member->is_pointer = element->flags & ATF_POINTER;
    member->is_optional = element->optional != 0;
    member->bounds = member->type->bounds;
    if (element->per_constraints != NULL) {
        bounds_fill(&member->bounds, member->type->codec, element->per_constraints);
    }
    if (element->default_value != NULL) {
        long value = 0;
        void *memory = &value;

        /* Only integers have a DEFAULT in these modules, eeType aside. */
        if (member->type->codec != CODEC_NATIVE || element->default_value(1, &memory) != 0) {
            return false;
        }
        member->has_default = true;
        member->default_value = value;
    }
    if (element->type == &asn_DEF_EndEntityType) {
        member->has_default = true;
        member->default_value = EE_TYPE_DEFAULT;
    }
    return true;
}

static enum coer_status members_fill(struct coer_type *type)
{
    const asn_TYPE_descriptor_t *descriptor = type->descriptor;

    type->member_count = (size_t)descriptor->elements_count;
    if (type->member_count == 0) {
        return COER_E_TYPE;
    }
    type->members = calloc(type->member_count, sizeof(*type->members));
    if (type->members == NULL) {
        return COER_E_MEMORY;
    }
    for (size_t i = 0; i < type->member_count; i++) {
        if (!member_fill(&type->members[i], &descriptor->elements[i])) {
            return COER_E_TYPE;
        }
    }
    return COER_OK;
}

static enum coer_status sequence_fill(struct coer_type *type)
{
    const asn_SEQUENCE_specifics_t *specifics = type->descriptor->specifics;
    enum coer_status status = members_fill(type);

    if (status != COER_OK) {
        return status;
    }
    type->size = (size_t)specifics->struct_size;
    type->context = (size_t)specifics->ctx_offset;
    type->is_extensible = specifics->ext_after >= 0;
    type->root_count = type->is_extensible ? (size_t)specifics->ext_after + 1 : type->member_count;
    type->preamble_bits = type->is_extensible ? 1 : 0;
    for (size_t i = 0; i < type->root_count; i++) {
        type->preamble_bits += type->members[i].is_optional ? 1 : 0;
    }
    type->preamble_size = (type->preamble_bits + 7) / 8;
    /* An addition without OPTIONAL would need a rule of its own. */
    for (size_t i = type->root_count; i < type->member_count; i++) {
        if (!type->members[i].is_optional || !type->members[i].is_pointer) {
            return COER_E_TYPE;
        }
    }
    return type->preamble_bits <= 64 ? COER_OK : COER_E_TYPE;
}

static enum coer_status choice_fill(struct coer_type *type)
{
    const asn_CHOICE_specifics_t *specifics = type->descriptor->specifics;
    enum coer_status status = members_fill(type);

    if (status != COER_OK) {
        return status;
    }
    if (specifics->pres_size != sizeof(int)) {
        return COER_E_TYPE;
    }
    type->size = (size_t)specifics->struct_size;
    type->context = (size_t)specifics->ctx_offset;
    type->present = (size_t)specifics->pres_offset;
    type->is_extensible = specifics->ext_start >= 0;
    type->root_count = type->is_extensible ? (size_t)specifics->ext_start : type->member_count;
    for (size_t i = 0; i < COER_TAGS; i++) {
        type->by_tag[i] = -1;
    }
    for (size_t i = 0; i < type->member_count; i++) {
        ber_tlv_tag_t tag = type->descriptor->elements[i].tag;

        /* A number of 63 and more would take more than one octet. */
        if (BER_TAG_CLASS(tag) != ASN_TAG_CLASS_CONTEXT || BER_TAG_VALUE(tag) >= COER_TAGS - 1) {
            return COER_E_TYPE;
        }
        type->members[i].tag = (uint8_t)(0x80 | BER_TAG_VALUE(tag));
        type->by_tag[BER_TAG_VALUE(tag)] = (int16_t)i;
    }
    return COER_OK;
}

static enum coer_status sequence_of_fill(struct coer_type *type)
{
    const asn_SET_OF_specifics_t *specifics = type->descriptor->specifics;

    type->size = (size_t)specifics->struct_size;
    type->context = (size_t)specifics->ctx_offset;
    return members_fill(type);
}

static enum coer_status enumerated_fill(struct coer_type *type)
{
    const asn_INTEGER_specifics_t *specifics = type->descriptor->specifics;

    type->enumerators = calloc(COER_ENUMERATORS, sizeof(*type->enumerators));
    if (type->enumerators == NULL) {
        return COER_E_MEMORY;
    }
    for (int i = 0; i < specifics->map_count; i++) {
        long value = specifics->value2enum[i].nat_value;

        if (value < 0 || value >= COER_ENUMERATORS) {
            return COER_E_TYPE;
        }
        type->enumerators[value] = specifics->value2enum[i].enum_name;
    }
    return COER_OK;
}

static enum coer_status type_fill(struct coer_type *type)
{
    type->is_nonzero = type->descriptor == &asn_DEF_EndEntityType;
    type->self.type = type;
    type->self.name = type->descriptor->name;
    type->self.bounds = type->bounds;
    switch (type->codec) {
    case CODEC_SEQUENCE:
        return sequence_fill(type);
    case CODEC_SEQUENCE_OF:
        return sequence_of_fill(type);
    case CODEC_CHOICE:
        return choice_fill(type);
    case CODEC_ENUMERATED:
        return enumerated_fill(type);
    case CODEC_INTEGER:
        /* Only Uint64, which stands for 0..2^64-1. */
        return type->bounds.width == 8 && type->bounds.low == 0 ? COER_OK : COER_E_TYPE;
    default:
        return COER_OK;
    }
}

static size_t member_least(const struct coer_member *member)
{
    const struct coer_bounds *bounds = &member->bounds;

    switch (member->type->codec) {
    case CODEC_NATIVE:
    case CODEC_INTEGER:
        return bounds->width == 0 ? 2 : bounds->width;
    case CODEC_OCTETS:
        return bounds->least == bounds->most ? bounds->least : 1 + bounds->least;
    case CODEC_BITS:
        return bounds->least == bounds->most ? (bounds->least + 7) / 8 : 2;
    case CODEC_UTF8:
        return 1 + bounds->least;
    case CODEC_NULL:
        return 0;
    case CODEC_ENUMERATED:
    case CODEC_BOOLEAN:
        return 1;
    default:
        return member->type->least;
    }
}

/* One step towards the least sizes: from below, so that types that contain themselves are no
 * exception. True if something grew. */
static bool type_least_step(struct coer_type *type)
{
    size_t least = 0;

    if (type->codec == CODEC_SEQUENCE) {
        least = type->preamble_size;
        for (size_t i = 0; i < type->root_count; i++) {
            least += type->members[i].is_optional ? 0 : member_least(&type->members[i]);
        }
    } else if (type->codec == CODEC_SEQUENCE_OF) {
        least = 2 + type->bounds.least * member_least(&type->members[0]);
    } else if (type->codec == CODEC_CHOICE) {
        least = SIZE_MAX;
        for (size_t i = 0; i < type->member_count; i++) {
            size_t size = 1 + member_least(&type->members[i]);

            least = size < least ? size : least;
        }
    }
    if (least <= type->least) {
        return false;
    }
    type->least = least;
    return true;
}

/* As many rounds as there are levels suffice for any type that has a value. */
static void least_fill(void)
{
    bool has_grown = true;

    for (unsigned round = 0; has_grown && round < COER_DEPTH_MAX; round++) {
        has_grown = false;
        for (size_t i = 0; i < type_count; i++) {
            has_grown |= type_least_step(&types[i]);
        }
    }
    for (size_t i = 0; i < type_count; i++) {
        for (size_t j = 0; j < types[i].member_count; j++) {
            types[i].members[j].least = member_least(&types[i].members[j]);
        }
        /* What the count of elements is checked against must not be 0. */
        if (types[i].codec == CODEC_SEQUENCE_OF && types[i].members[0].least == 0) {
            types[i].members[0].least = 1;
        }
    }
}

static enum coer_status tables_make(void)
{
    enum coer_status status = COER_OK;

    for (size_t i = 0; asn_pdu_collection[i] != NULL && status == COER_OK; i++) {
        status = type_collect(asn_pdu_collection[i]);
    }
    for (size_t i = 0; i < type_count && status == COER_OK; i++) {
        if (!type_codec(&types[i])) {
            status = COER_E_TYPE;
        }
        bounds_fill(&types[i].bounds, types[i].codec, types[i].descriptor->per_constraints);
    }
    for (size_t i = 0; i < type_count && status == COER_OK; i++) {
        status = type_fill(&types[i]);
    }
    if (status == COER_OK) {
        least_fill();
    }
    return status;
}

static void init_run(void)
{
    init_status = tables_make();
}

enum coer_status coer_init(void)
{
    pthread_once(&init_once, init_run);
    return init_status;
}

const struct coer_type *coer_type_find(const asn_TYPE_descriptor_t *descriptor)
{
    return coer_init() == COER_OK ? type_lookup(descriptor) : NULL;
}
