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

/* 0 to 63, or -1. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
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
