#include "asn1/coer_internal.h"

/* The octets of the character at data, 0 if it is none (RFC 3629: no surrogates, nothing over
 * U+10FFFF, no longer form than needed). */
static size_t utf8_character(const uint8_t *data, size_t size)
{
    uint8_t first = data[0];
    uint8_t low = 0x80;
    uint8_t high = 0xBF;
    size_t length;

    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
        low = first == 0xE0 ? 0xA0 : 0x80;
        high = first == 0xED ? 0x9F : 0xBF;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
        low = first == 0xF0 ? 0x90 : 0x80;
        high = first == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (size < length || data[1] < low || data[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((data[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

bool coer_utf8_length(const uint8_t *data, size_t size, size_t *characters)
{
    size_t count = 0;

    for (size_t i = 0; i < size; count++) {
        size_t length = utf8_character(data + i, size - i);

        if (length == 0) {
            return false;
        }
        i += length;
    }
    *characters = count;
    return true;
}
