/* The state of one decoding, and how octets are read. */
#ifndef DOT2HSM_ASN1_COER_DECODER_H
#define DOT2HSM_ASN1_COER_DECODER_H

#include "BOOLEAN.h"
#include "asn1/coer_internal.h"

struct coer_decoder {
    const uint8_t *start;
    const uint8_t *at;
    /* Of the input, or of the open type that is being read. */
    const uint8_t *end;
    coer_arena *arena;
    struct coer_trace *trace; /* NULL unless coer_walk() decodes */
    unsigned depth;
    size_t index;     /* in the SEQUENCE OF whose element is decoded next; for the trace */
    size_t failed_at; /* after an error: its octet */
    struct coer_path path;
};

/* Note where an error is; returns status. */
static inline enum coer_status coer_decoder_fail(struct coer_decoder *decoder,
                                                 enum coer_status status, const uint8_t *at)
{
    decoder->failed_at = (size_t)(at - decoder->start);
    return status;
}

static inline enum coer_status coer_read_fixed(struct coer_decoder *decoder, const uint8_t **data,
                                               size_t size)
{
    if (size > (size_t)(decoder->end - decoder->at)) {
        return coer_decoder_fail(decoder, COER_E_TRUNCATED, decoder->at);
    }
    *data = decoder->at;
    decoder->at += size;
    return COER_OK;
}

/* Up to 8 octets. */
static inline uint64_t coer_big_endian(const uint8_t *data, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

/* Clause 8.6: a length determinant, and as many octets. */
enum coer_status coer_read_counted(struct coer_decoder *decoder, const uint8_t **data,
                                   size_t *size);

enum coer_status coer_decode_native(struct coer_decoder *decoder, const struct coer_bounds *bounds,
                                    long *value);
enum coer_status coer_decode_integer(struct coer_decoder *decoder, INTEGER_t *value);
enum coer_status coer_decode_enumerated(struct coer_decoder *decoder, const struct coer_type *type,
                                        long *value);
enum coer_status coer_decode_boolean(struct coer_decoder *decoder, BOOLEAN_t *value);
enum coer_status coer_decode_octets(struct coer_decoder *decoder, const struct coer_type *type,
                                    const struct coer_bounds *bounds, OCTET_STRING_t *value);
enum coer_status coer_decode_bits(struct coer_decoder *decoder, const struct coer_type *type,
                                  const struct coer_bounds *bounds, BIT_STRING_t *value);

/* The record of nodes. Each returns false if there is no memory. */
bool coer_trace_open(struct coer_decoder *decoder, const struct coer_member *member,
                     const void *value, size_t *entry);
void coer_trace_close(struct coer_decoder *decoder, size_t entry);
bool coer_trace_default(struct coer_decoder *decoder, const struct coer_member *member,
                        const void *value);
bool coer_trace_unknown(struct coer_decoder *decoder, const uint8_t *data, size_t size);

#endif
