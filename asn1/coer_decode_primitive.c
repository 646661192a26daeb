/* Strict decoding of types without components. The clauses are those of ITU-T X.696 (08/2015). */
#include "asn1/coer_decoder.h"

/* Two's complement of 1 to 8 octets. */
static int64_t big_endian_signed(const uint8_t *data, size_t size)
{
    uint64_t value = coer_big_endian(data, size);
    unsigned unused = 64 - 8 * (unsigned)size;

    return (int64_t)(value << unused) >> unused;
}

/* The short form below 128, else the shortest long form. */
static enum coer_status read_length(struct coer_decoder *decoder, size_t *length)
{
    const uint8_t *start = decoder->at;
    const uint8_t *data = NULL;
    size_t octets;
    enum coer_status status = coer_read_fixed(decoder, &data, 1);

    if (status != COER_OK) {
        return status;
    }
    if (*data < 0x80) {
        *length = *data;
        return COER_OK;
    }
    octets = *data & 0x7F;
    if (octets == 0 || octets > sizeof(*length)) {
        return coer_decoder_fail(decoder, COER_E_LENGTH, start);
    }
    if (coer_read_fixed(decoder, &data, octets) != COER_OK) {
        return coer_decoder_fail(decoder, COER_E_TRUNCATED, start);
    }
    *length = coer_big_endian(data, octets);
    if (data[0] == 0 || *length < 0x80) {
        return coer_decoder_fail(decoder, COER_E_LENGTH, start);
    }
    return COER_OK;
}

enum coer_status coer_read_counted(struct coer_decoder *decoder, const uint8_t **data, size_t *size)
{
    const uint8_t *start = decoder->at;
    enum coer_status status = read_length(decoder, size);

    if (status != COER_OK) {
        return status;
    }
    if (*size > (size_t)(decoder->end - decoder->at)) {
        return coer_decoder_fail(decoder, COER_E_TRUNCATED, start);
    }
    *data = decoder->at;
    decoder->at += *size;
    return COER_OK;
}

/* Clause 10: an integer that fits into a long. */
enum coer_status coer_decode_native(struct coer_decoder *decoder, const struct coer_bounds *bounds,
                                    long *value)
{
    const uint8_t *start = decoder->at;
    const uint8_t *data = NULL;
    size_t size = bounds->width;
    enum coer_status status =
        size > 0 ? coer_read_fixed(decoder, &data, size) : coer_read_counted(decoder, &data, &size);

    if (status != COER_OK) {
        return status;
    }
    if (bounds->width == 0) {
        if (size == 0) {
            return coer_decoder_fail(decoder, COER_E_LENGTH, start);
        }
        if (size > 1 && ((data[0] == 0 && (!bounds->is_signed || data[1] < 0x80)) ||
                         (data[0] == 0xFF && bounds->is_signed && data[1] >= 0x80))) {
            return coer_decoder_fail(decoder, COER_E_LENGTH, start);
        }
        if (size > sizeof(*value)) {
            return coer_decoder_fail(decoder, COER_E_RANGE, start);
        }
    }
    if (bounds->is_signed) {
        *value = big_endian_signed(data, size);
    } else {
        uint64_t magnitude = coer_big_endian(data, size);

        if (magnitude > INT64_MAX) {
            return coer_decoder_fail(decoder, COER_E_RANGE, start);
        }
        *value = (long)magnitude;
    }
    if (*value < bounds->low || *value > bounds->high) {
        return coer_decoder_fail(decoder, COER_E_RANGE, start);
    }
    return COER_OK;
}

/* Clause 11: one octet below 128. All enumerations of the modules are. */
enum coer_status coer_decode_enumerated(struct coer_decoder *decoder, const struct coer_type *type,
                                        long *value)
{
    const uint8_t *data = NULL;
    enum coer_status status = coer_read_fixed(decoder, &data, 1);

    if (status != COER_OK) {
        return status;
    }
    if (data[0] >= COER_ENUMERATORS || type->enumerators[data[0]] == NULL) {
        return coer_decoder_fail(decoder, COER_E_ENUM, data);
    }
    *value = data[0];
    return COER_OK;
}

/* Clause 9: canonical TRUE is FF. */
enum coer_status coer_decode_boolean(struct coer_decoder *decoder, BOOLEAN_t *value)
{
    const uint8_t *data = NULL;
    enum coer_status status = coer_read_fixed(decoder, &data, 1);

    if (status != COER_OK) {
        return status;
    }
    if (data[0] != 0 && data[0] != 0xFF) {
        return coer_decoder_fail(decoder, COER_E_RANGE, data);
    }
    *value = data[0] != 0;
    return COER_OK;
}

/* Clauses 14 and 27: OCTET STRING and UTF8String. */
enum coer_status coer_decode_octets(struct coer_decoder *decoder, const struct coer_type *type,
                                    const struct coer_bounds *bounds, OCTET_STRING_t *value)
{
    const uint8_t *start = decoder->at;
    const uint8_t *data = NULL;
    size_t size = bounds->least;
    size_t measure;
    enum coer_status status;

    if (type->codec == CODEC_OCTETS && bounds->least == bounds->most) {
        status = coer_read_fixed(decoder, &data, size);
        if (status == COER_OK) {
            coer_octets_view(value, data, size);
        }
        return status;
    }
    status = coer_read_counted(decoder, &data, &size);
    if (status != COER_OK) {
        return status;
    }
    measure = size;
    if (type->codec == CODEC_UTF8 && !coer_utf8_length(data, size, &measure)) {
        return coer_decoder_fail(decoder, COER_E_UTF8, start);
    }
    if (measure < bounds->least || measure > bounds->most) {
        return coer_decoder_fail(decoder, COER_E_RANGE, start);
    }
    coer_octets_view(value, data, size);
    return COER_OK;
}

/* Clause 13. */
enum coer_status coer_decode_bits(struct coer_decoder *decoder, const struct coer_type *type,
                                  const struct coer_bounds *bounds, BIT_STRING_t *value)
{
    const uint8_t *start = decoder->at;
    const uint8_t *data = NULL;
    size_t size = (bounds->least + 7) / 8;
    unsigned unused = (unsigned)(size * 8 - bounds->least);
    enum coer_status status;

    if (bounds->least == bounds->most) {
        status = coer_read_fixed(decoder, &data, size);
        if (status != COER_OK) {
            return status;
        }
    } else {
        status = coer_read_counted(decoder, &data, &size);
        if (status != COER_OK) {
            return status;
        }
        if (size == 0 || data[0] > 7 || (size == 1 && data[0] != 0)) {
            return coer_decoder_fail(decoder, COER_E_LENGTH, start);
        }
        unused = *data++;
        size--;
        if (size * 8 - unused < bounds->least || size * 8 - unused > bounds->most) {
            return coer_decoder_fail(decoder, COER_E_RANGE, start);
        }
    }
    if (size > 0 && (data[size - 1] & ((1u << unused) - 1)) != 0) {
        return coer_decoder_fail(decoder, COER_E_PADDING, start);
    }
    if (type->is_nonzero) {
        uint8_t any = 0;

        for (size_t i = 0; i < size; i++) {
            any |= data[i];
        }
        if (any == 0) {
            return coer_decoder_fail(decoder, COER_E_RANGE, start);
        }
    }
    value->buf = (uint8_t *)(uintptr_t)data;
    value->size = (int)size;
    value->bits_unused = (int)unused;
    return COER_OK;
}

enum coer_status coer_decode_integer(struct coer_decoder *decoder, INTEGER_t *value)
{
    const uint8_t *data = NULL;
    enum coer_status status = coer_read_fixed(decoder, &data, sizeof(uint64_t));

    if (status == COER_OK) {
        value->buf = (uint8_t *)(uintptr_t)data;
        value->size = (int)sizeof(uint64_t);
    }
    return status;
}
