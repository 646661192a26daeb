/* What the files of the codec share: the tables that are made once from asn1c's descriptors. */
#ifndef DOT2HSM_ASN1_COER_INTERNAL_H
#define DOT2HSM_ASN1_COER_INTERNAL_H

#include "asn1/coer.h"

/* How a value is laid out on the wire and in C. */
enum coer_codec {
    CODEC_SEQUENCE,
    CODEC_SEQUENCE_OF,
    CODEC_CHOICE,
    CODEC_NATIVE,  /* INTEGER, in C a long */
    CODEC_INTEGER, /* INTEGER, in C an INTEGER_t; Uint64 only */
    CODEC_ENUMERATED,
    CODEC_BOOLEAN,
    CODEC_NULL,
    CODEC_OCTETS,
    CODEC_UTF8,
    CODEC_BITS
};

/* The constraint of a value, where a member says more than its type: the member's. */
struct coer_bounds {
    /* INTEGER: octets of the fixed form (1, 2, 4, 8), or 0 for the form with a length. */
    uint8_t width;
    bool is_signed;
    int64_t low;
    int64_t high;
    /* Strings: octets, UTF8String: characters, BIT STRING: bits, SEQUENCE OF: elements. */
    size_t least;
    size_t most;
};

struct coer_type;

struct coer_member {
    const struct coer_type *type;
    const char *name;
    size_t offset;    /* in the structure of which it is a member */
    bool is_pointer;  /* there is a pointer to the value at offset */
    bool is_optional; /* OPTIONAL or DEFAULT: it has a bit in the preamble */
    bool has_default;
    int64_t default_value; /* of an integer; of a BIT STRING (SIZE(8)) its octet */
    uint8_t tag;           /* CHOICE: the octet before it */
    size_t least;          /* octets of its shortest encoding, at least */
    struct coer_bounds bounds;
};

#define COER_TAGS 64
#define COER_ENUMERATORS 128

struct coer_type {
    const asn_TYPE_descriptor_t *descriptor;
    enum coer_codec codec;
    bool is_extensible;
    /* BIT STRING: {} is no value. */
    bool is_nonzero;
    /* In C: octets of the structure, and where asn1c's context in it is, in which the span is kept.
     */
    size_t size;
    size_t context;
    /* Octets of the shortest encoding, at least. */
    size_t least;
    struct coer_bounds bounds;

    /* The type as if it were a member of something at offset 0. */
    struct coer_member self;

    /* SEQUENCE: components, CHOICE: alternatives, SEQUENCE OF: one, its element. */
    struct coer_member *members;
    size_t member_count;
    /* SEQUENCE, CHOICE: those before the extension marker. */
    size_t root_count;
    /* SEQUENCE: octets of the preamble and bits of it in use. */
    size_t preamble_size;
    size_t preamble_bits;
    /* CHOICE: where the number of the alternative is, and the alternative of a tag's low six bits,
     * or -1. */
    size_t present;
    int16_t by_tag[COER_TAGS];
    /* ENUMERATED: the identifier of each value, or NULL. */
    const char **enumerators;
};

/* The tables of a type; NULL if the descriptor is none of the modules' or coer_init() failed. */
const struct coer_type *coer_type_find(const asn_TYPE_descriptor_t *descriptor);

/* The address of the value of a member in a structure: through its pointer, NULL if that is NULL.
 */
static inline void *coer_member_value(const struct coer_member *member, const void *structure)
{
    const uint8_t *slot = (const uint8_t *)structure + member->offset;

    if (member->is_pointer) {
        return *(void *const *)(const void *)slot;
    }
    return (void *)(uintptr_t)slot;
}

/* ---- Paths of errors, built from the inside to the outside ---- */

struct coer_path {
    size_t start;
    bool is_shortened;
    char text[COER_PATH_SIZE];
};

void coer_path_init(struct coer_path *path);
void coer_path_field(struct coer_path *path, const char *name);
void coer_path_index(struct coer_path *path, size_t index);
/* Put the name of the whole before it, and everything into error (if that is not NULL). */
void coer_path_finish(struct coer_path *path, const char *root, enum coer_status status,
                      size_t offset, struct coer_error *error);

/* ---- Text ---- */

/* Count the characters. False if the octets are not UTF-8 (RFC 3629). */
bool coer_utf8_length(const uint8_t *data, size_t size, size_t *characters);

/* ---- Memory ---- */

/* Without clearing it: the caller writes every octet. */
void *coer_arena_alloc_raw(coer_arena *arena, size_t size);

void coer_arena_set_extended(coer_arena *arena);

/* ---- Decoding with a record of every node, for coer_walk ---- */

struct coer_trace_entry {
    const struct coer_member *member; /* NULL for an unknown extension */
    const void *value;
    size_t index;
    size_t offset;
    size_t size;
    unsigned depth;
    bool is_element;
    bool is_default;
    size_t end; /* the entry after all that is in it */
};

struct coer_trace {
    struct coer_trace_entry *entries;
    size_t count;
    size_t capacity;
};

enum coer_status coer_decode_traced(coer_arena *arena, const asn_TYPE_descriptor_t *type,
                                    const uint8_t *in, size_t size, void **value,
                                    struct coer_trace *trace, struct coer_error *error);

#endif
