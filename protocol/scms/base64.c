/* base64.c: the value of the Download-Req header (RFC 4648 section 4), strictly. */
#include <openssl/crypto.h>

#include "protocol/dot2/fail.h"
#include "protocol/scms/scms.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum dot2_status scms_base64_encode(const uint8_t *octets, size_t size, char **text)
{
    char *out = NULL, *p = NULL;

    *text = NULL;
    if (size > SIZE_MAX / 4 * 3 - 8)
        return DOT2_E_ARGUMENT;
    out = p = OPENSSL_malloc((size + 2) / 3 * 4 + 1);
    if (out == NULL)
        return DOT2_E_MEMORY;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)octets[i] << 16;

        group |= left > 1 ? (uint32_t)octets[i + 1] << 8 : 0;
        group |= left > 2 ? octets[i + 2] : 0;
        *p++ = alphabet[group >> 18];
        *p++ = alphabet[group >> 12 & 63];
        *p++ = '=';
        *p++ = '=';
        if (left > 1)
            p[-2] = alphabet[group >> 6 & 63];
        if (left > 2)
            p[-1] = alphabet[group & 63];
    }
    *p = '\0';
    *text = out;
    return DOT2_OK;
}

/* Value and one, so that 0 is no character of the alphabet. What is random takes no branch. */
static const uint8_t values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* 0 to 63, or -1. */
static int value_of(char c)
{
    return values[(uint8_t)c] - 1;
}

enum dot2_status scms_base64_decode(const char *text, size_t length, uint8_t **octets, size_t *size,
                                    struct dot2_error *error)
{
    enum dot2_status status = DOT2_E_DECODE;
    uint8_t *out = NULL, *p = NULL;
    size_t padding = 0;

    *octets = NULL;
    *size = 0;
    if (length % 4 != 0)
        return dot2_fail_at(error, DOT2_E_DECODE, length, "Base64",
                            "%zu characters, not a "
                            "multiple of 4",
                            length);
    if (length > 0)
        padding = text[length - 1] != '=' ? 0 : text[length - 2] != '=' ? 1 : 2;
    out = p = OPENSSL_malloc(length / 4 * 3 + 1);
    if (out == NULL)
        return dot2_fail_memory(error);
    for (size_t i = 0; i < length; i += 4) {
        size_t present = i + 4 == length ? 4 - padding : 4;
        uint32_t group = 0;

        for (size_t j = 0; j < 4; j++) {
            int value = j < present ? value_of(text[i + j]) : 0;

            if (value < 0) {
                dot2_fail_at(error, status, i + j, "Base64", "a character outside of the alphabet");
                goto out;
            }
            group = group << 6 | (uint32_t)value;
        }
        if ((present == 2 && (group & 0xffff) != 0) || (present == 3 && (group & 0xff) != 0)) {
            dot2_fail_at(error, status, i + present - 1, "Base64", "unused bits that are not zero");
            goto out;
        }
        for (size_t j = 0; j + 1 < present; j++)
            *p++ = (uint8_t)(group >> (16 - 8 * j));
    }
    *size = (size_t)(p - out);
    *octets = out;
    out = NULL;
    status = DOT2_OK;
out:
    OPENSSL_free(out);
    return status;
}
