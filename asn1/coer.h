/*
 * Canonical OER (ITU-T X.696) for the types of IEEE 1609.2 and the SCMS.
 *
 * The model. The modules in this folder are compiled by asn1c into C structures and type
 * descriptors (asn_DEF_Certificate and so on); include the header of a type by its name,
 * "Certificate.h", or all of them by "asn1/types.h". One codec, driven by the descriptors, reads
 * and writes them all; asn1c's own BER, PER and XER codecs are never run.
 *
 * Decoding is strict: whatever is not the one canonical encoding of a value is refused, with the
 * offset of the octet and the path of the field. The value is built in an arena and ends with it;
 * OCTET STRING, UTF8String and the octets of INTEGER_t point into the input, which must outlive the
 * value. Free nothing in it, change nothing through its pointers.
 *
 * What differs from what the C type says:
 * - A component with a DEFAULT is always filled in after decoding. Before encoding, NULL (where it
 * is a pointer) and the default value both mean: left out. eeType of PsidGroupPermissions is one of
 * them.
 * - Uint64 and Time64 are INTEGER_t: use coer_integer_get() and coer_integer_set().
 * - An optional component is a pointer, NULL when absent; an optional NULL is a pointer to any int.
 * - Types that contain themselves are pointers at some places: content of Ieee1609Dot2Data,
 * signedData, tbsData of SignedData, payload of ToBeSignedData.
 * - The octets that a structure was decoded from are remembered in the structure (coer_span_of).
 * Hash and verify those; never what a decoded value encodes to.
 *
 * Threads: any number at the same time, each with an arena of its own.
 */
#ifndef DOT2HSM_ASN1_COER_H
#define DOT2HSM_ASN1_COER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "BIT_STRING.h"
#include "INTEGER.h"
#include "OCTET_STRING.h"
#include "asn_SEQUENCE_OF.h"
#include "constr_TYPE.h"

/* Structures deeper than this are refused, in both directions. One level is one SEQUENCE, SEQUENCE
 * OF or CHOICE; a signed message in a signed message with certificates has about 20. */
#define COER_DEPTH_MAX 32

enum coer_status {
    COER_OK = 0,
    COER_E_TRUNCATED, /* the input ends within a value */
    COER_E_LENGTH,    /* a length or quantity that is not minimal, or too large for any message */
    COER_E_RANGE, /* a value or size outside of its constraint, or an integer that is not minimal */
    COER_E_PADDING,   /* unused bits that are not zero */
    COER_E_DEFAULT,   /* a default value that is encoded */
    COER_E_TRAILING,  /* octets after the value */
    COER_E_ENUM,      /* an enumerator that the type does not have */
    COER_E_CHOICE,    /* an alternative that the type does not have */
    COER_E_EXTENSION, /* an extension bitmap that is empty, all zero, or where none may be */
    COER_E_DEPTH,     /* deeper than COER_DEPTH_MAX */
    COER_E_COUNT,     /* more elements than the input can hold */
    COER_E_UTF8,      /* not UTF-8 */
    COER_E_MISSING,   /* encoding: a mandatory component is NULL, or no alternative is chosen */
    COER_E_MEMORY,    /* out of memory */
    COER_E_SPACE,     /* encoding: the output buffer is too small */
    COER_E_TYPE       /* a descriptor that is not of these modules */
};

/* The name of a status, "COER_E_RANGE". Never NULL. */
const char *coer_status_name(enum coer_status status);

/* A sentence without a full stop that says what a status means. Never NULL. */
const char *coer_status_text(enum coer_status status);

#define COER_PATH_SIZE 256

struct coer_error {
    enum coer_status status;
    /* Decoding: of the octet in the input where the value that is wrong begins. Encoding: octets
     * written before it. */
    size_t offset;
    /* Where, in names of the standard:
     * "Ieee1609Dot2Data.content.signedData.signer.certificate[0].type". Shortened at its beginning,
     * then starting with "...", if it does not fit. */
    char path[COER_PATH_SIZE];
};

/*
 * Write an error as one line, "PATH: at octet N: TEXT (NAME)", to out (at most size octets with the
 * NUL). Returns out.
 */
const char *coer_error_format(const struct coer_error *error, char *out, size_t size);

/* ---- Memory ---- */

/* Memory that grows in pieces and ends at once. Not for two threads at the same time. */
typedef struct coer_arena coer_arena;

/* A new arena, or NULL if there is no memory. coer_arena_free(NULL) is allowed. */
coer_arena *coer_arena_new(void);

/* End all that was allocated, and keep the memory for what comes. */
void coer_arena_reset(coer_arena *arena);

void coer_arena_free(coer_arena *arena);

/* size octets, zeroed, aligned for any type; NULL if there is no memory. */
void *coer_arena_alloc(coer_arena *arena, size_t size);

/* ---- Building values ---- */

/* Set an OCTET STRING or UTF8String to a copy of size octets. False if there is no memory. */
bool coer_octets(coer_arena *arena, OCTET_STRING_t *string, const void *data, size_t size);

/* The same without a copy: data must outlive the value and is not written to. size is at most
 * INT_MAX. */
void coer_octets_view(OCTET_STRING_t *string, const void *data, size_t size);

/* Append an element (a pointer to it) to any SEQUENCE OF structure. False if there is no memory. */
bool coer_list_add(coer_arena *arena, void *sequence_of, void *element);

/* Set an INTEGER_t (Uint64, Time64) to an unsigned value. False if there is no memory. */
bool coer_integer_set(coer_arena *arena, INTEGER_t *integer, uint64_t value);

/* The unsigned value of an INTEGER_t of type Uint64. False if it needs more than 64 bits. */
bool coer_integer_get(const INTEGER_t *integer, uint64_t *value);

/* A new long with a value, for optional components and those with a DEFAULT. NULL if there is no
 * memory. */
long *coer_long(coer_arena *arena, long value);

/* Set a BIT STRING (SIZE(8)), EndEntityType: bit 0 of the standard, app, is 0x80, bit 1, enrol, is
 * 0x40. False if there is no memory. */
bool coer_bits8(coer_arena *arena, BIT_STRING_t *bits, uint8_t value);

/* ---- Decoding ---- */

struct coer_span {
    const uint8_t *data;
    size_t size;
};

/*
 * Decode one value that takes the whole input.
 *
 * arena    where the value is built; what was in it stays valid
 * type     &asn_DEF_X
 * in, size the input; must outlive the value
 * value    out: a X_t *; NULL after an error
 * error    out, may be NULL: what is wrong, where. Unchanged after COER_OK.
 *
 * Returns COER_OK or any error of the list above that is not marked as one of encoding.
 * Time and memory are proportional to size at most; nothing is allocated for a quantity that the
 * rest of the input cannot hold.
 */
enum coer_status coer_decode(coer_arena *arena, const asn_TYPE_descriptor_t *type,
                             const uint8_t *in, size_t size, void **value,
                             struct coer_error *error);

/*
 * The octets that a decoded SEQUENCE, CHOICE or SEQUENCE OF came from; they lie in the input of
 * coer_decode. type is the descriptor of the structure or of any alias of it. False (and an empty
 * span) for a value that was not decoded. A structure that was copied or changed keeps its old
 * span.
 */
bool coer_span_of(const asn_TYPE_descriptor_t *type, const void *value, struct coer_span *span);

/*
 * True if the structure itself (not what is in it) was decoded with an extension bitmap of another
 * edition, or with additions that are not known here and were skipped. Encoding such a value gives
 * other octets.
 */
bool coer_extended(const asn_TYPE_descriptor_t *type, const void *value);

/* True if any structure decoded in this arena since the last coer_arena_reset() was so. */
bool coer_arena_extended(const coer_arena *arena);

/* ---- Encoding ---- */

/*
 * Encode a value in its canonical form into a buffer.
 *
 * out, capacity  the buffer; both may be zero to learn the size (then COER_OK, not COER_E_SPACE)
 * size           out: octets written
 * error          out, may be NULL
 *
 * Returns COER_OK, COER_E_SPACE, COER_E_MISSING, COER_E_RANGE, COER_E_ENUM, COER_E_CHOICE,
 * COER_E_UTF8, COER_E_PADDING, COER_E_DEPTH or COER_E_TYPE. After an error the content of the
 * buffer is undefined.
 */
enum coer_status coer_encode(const asn_TYPE_descriptor_t *type, const void *value, uint8_t *out,
                             size_t capacity, size_t *size, struct coer_error *error);

/* The same into memory from malloc(); the caller calls free(). *out is NULL after an error. */
enum coer_status coer_encode_alloc(const asn_TYPE_descriptor_t *type, const void *value,
                                   uint8_t **out, size_t *size, struct coer_error *error);

/* The size of the encoding in octets. */
enum coer_status coer_encoded_size(const asn_TYPE_descriptor_t *type, const void *value,
                                   size_t *size, struct coer_error *error);

/* ---- Types ---- */

/* Make the tables of all types, once per process. Everything above does it by itself when needed; a
 * server calls it at its start. COER_OK, or COER_E_MEMORY or COER_E_TYPE, the same at each call. */
enum coer_status coer_init(void);

/* The descriptor of a type by its ASN.1 name, "SignedCertificateRequest", or NULL. */
const asn_TYPE_descriptor_t *coer_type(const char *name);

/* All types of the modules, in the order of their names; count of them in *count. */
const asn_TYPE_descriptor_t *const *coer_types(size_t *count);

/* The types that a message, a file or a signed part as a whole has: what `inspect` looks for and
 * what is fuzzed. */
const asn_TYPE_descriptor_t *const *coer_top_types(size_t *count);

/* ---- Walking ---- */

enum coer_kind {
    COER_SEQUENCE,
    COER_SEQUENCE_OF,
    COER_CHOICE,
    COER_INTEGER,
    COER_ENUMERATED,
    COER_BOOLEAN,
    COER_NULL,
    COER_OCTET_STRING,
    COER_UTF8_STRING,
    COER_BIT_STRING,
    COER_UNKNOWN_EXTENSION /* an addition that was skipped: data and data_size are its octets */
};

/* The name of a kind in ASN.1, "SEQUENCE OF". Never NULL. */
const char *coer_kind_name(enum coer_kind kind);

struct coer_node {
    enum coer_kind kind;
    /* 0 for the whole value. */
    unsigned depth;
    /* The identifier of the component or alternative; NULL for the whole value and in SEQUENCE OF.
     */
    const char *field;
    /* Position in the SEQUENCE OF that it is an element of, else 0. */
    size_t index;
    bool is_element;
    /* The component is not in the input: its value is the DEFAULT. size is 0. */
    bool is_default;
    /* As referenced: "ImplicitCertificate"; built-in types have names as "INTEGER". */
    const char *type_name;
    const asn_TYPE_descriptor_t *type; /* NULL for COER_UNKNOWN_EXTENSION */
    /* The value as decoded, X_t *; it ends with the walk. NULL for COER_UNKNOWN_EXTENSION. */
    const void *value;
    /* The octets in the input, with tag, length and preamble as far as they are the value's own. */
    size_t offset;
    size_t size;
    /* COER_SEQUENCE_OF: elements. */
    size_t count;
    /* COER_INTEGER, COER_ENUMERATED, COER_BOOLEAN. An unsigned value over INT64_MAX is given in
     * number as its two's complement, with is_unsigned set. */
    int64_t number;
    bool is_unsigned;
    /* COER_ENUMERATED: its identifier. COER_CHOICE: that of the alternative. Else NULL. */
    const char *identifier;
    /* COER_OCTET_STRING, COER_UTF8_STRING, COER_BIT_STRING: the content. */
    const uint8_t *data;
    size_t data_size;
};

/* Each returns false to end the walk. leave is called for SEQUENCE, SEQUENCE OF and CHOICE only;
 * either may be NULL. */
struct coer_visitor {
    bool (*enter)(void *arg, const struct coer_node *node);
    bool (*leave)(void *arg, const struct coer_node *node);
};

/*
 * Decode the whole input strictly, and if it is right, visit each node in the order of the input.
 * Returns COER_OK also when the visitor ended the walk; errors are those of coer_decode, and
 * nothing is visited then.
 */
enum coer_status coer_walk(const asn_TYPE_descriptor_t *type, const uint8_t *in, size_t size,
                           const struct coer_visitor *visitor, void *arg, struct coer_error *error);

#endif
