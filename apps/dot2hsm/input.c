#include <ctype.h>
#include <string.h>

#include <openssl/crypto.h>

#include "apps/app.h"
#include "apps/dot2hsm/input.h"
#include "protocol/scms/scms.h"

const char *input_form_name(enum input_form form)
{
    static const char *const names[] = {"any", "COER", "hexadecimal", "Base64"};

    return names[form];
}

int input_form_parse(const char *word, enum input_form *form)
{
    static const char *const words[] = {"auto", "coer", "hex", "base64"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i]) == 0) {
            *form = (enum input_form)i;
            return 0;
        }
    }
    return -1;
}

static int hex_value(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_base64(int c)
{
    return (c < 128 && isalnum(c)) || c == '+' || c == '/' || c == '=';
}

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

/* What a text is made of: for each form, the offset of the first octet that it cannot hold. */
struct survey {
    bool text;     /* nothing but printable ASCII and white space, and not white space alone */
    size_t hex;    /* size = all of it may be hexadecimal */
    size_t base64; /* size = all of it may be Base64 */
};

static void survey_make(const uint8_t *data, size_t size, struct survey *survey)
{
    size_t digits = 0;

    survey->text = true;
    survey->hex = survey->base64 = size;
    for (size_t i = 0; i < size; i++) {
        int c = data[i];

        if (is_space(c))
            continue;
        digits++;
        if (c < 0x21 || c > 0x7e)
            survey->text = false;
        if (hex_value(c) < 0 && survey->hex == size)
            survey->hex = i;
        if (!is_base64(c) && survey->base64 == size)
            survey->base64 = i;
    }
    if (digits == 0)
        survey->text = false;
}

/* In place. Returns -1 for an odd number of digits; that each is one has been seen. */
static int from_hex(uint8_t *data, size_t size, size_t *out_size)
{
    size_t n = 0;
    int high = -1;

    for (size_t i = 0; i < size; i++) {
        int value = hex_value(data[i]);

        if (value < 0)
            continue;
        if (high < 0) {
            high = value;
        } else {
            data[n++] = (uint8_t)(high << 4 | value);
            high = -1;
        }
    }
    *out_size = n;
    return high < 0 ? 0 : -1;
}

/* The offset in data of the n-th octet that is no white space. */
static size_t nth_octet(const uint8_t *data, size_t size, size_t n)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if (!is_space(data[i]) && n-- == 0)
            break;
    }
    return i;
}

static int from_base64(const char *path, const uint8_t *data, size_t size, uint8_t **octets,
                       size_t *out_size)
{
    struct dot2_error error = {0};
    char *text = OPENSSL_malloc(size + 1);
    size_t n = 0;
    int result = APP_OK;

    if (text == NULL) {
        app_error("out of memory");
        return APP_REFUSED;
    }
    for (size_t i = 0; i < size; i++) {
        if (!is_space(data[i]))
            text[n++] = (char)data[i];
    }
    text[n] = '\0';
    if (scms_base64_decode(text, n, octets, out_size, &error) != DOT2_OK) {
        app_error("%s: Base64: at octet %zu: %s", path, nth_octet(data, size, error.offset),
                  error.detail[0] != '\0' ? error.detail : dot2_status_text(error.status));
        result = APP_REFUSED;
    }
    OPENSSL_free(text);
    return result;
}

/* What is wrong with a text that was to be hexadecimal or Base64. */
static int refuse_text(const char *path, enum input_form want, const struct survey *survey)
{
    if (want == INPUT_HEX)
        app_error("%s: at octet %zu: not a hexadecimal digit", path, survey->hex);
    else if (want == INPUT_BASE64)
        app_error("%s: at octet %zu: not of the Base64 alphabet", path, survey->base64);
    else
        app_error("%s: text that is neither hexadecimal (see octet %zu) nor Base64 (see octet "
                  "%zu); --input coer takes it as it is",
                  path, survey->hex, survey->base64);
    return APP_REFUSED;
}

int input_read(const char *path, enum input_form want, uint8_t **octets, size_t *size,
               enum input_form *form)
{
    uint8_t *data = NULL;
    size_t data_size = 0;
    int result;

    *octets = NULL;
    *size = 0;
    result = app_file_read(path, INPUT_MAX, &data, &data_size);
    if (result != APP_OK)
        return result;
    return input_interpret(path, want, data, data_size, octets, size, form);
}

int input_interpret(const char *path, enum input_form want, uint8_t *data, size_t data_size,
                    uint8_t **octets, size_t *size, enum input_form *form)
{
    struct survey survey;
    int result = APP_OK;

    *octets = NULL;
    *size = 0;
    if (data_size == 0) {
        app_error("%s: is empty", path);
        result = APP_REFUSED;
        goto out;
    }
    survey_make(data, data_size, &survey);
    if (want == INPUT_AUTO) {
        if (!survey.text)
            want = INPUT_COER;
        else if (survey.hex == data_size)
            want = INPUT_HEX;
        else if (survey.base64 == data_size)
            want = INPUT_BASE64;
    }
    if (form != NULL)
        *form = want;
    switch (want) {
    case INPUT_COER:
        *octets = data;
        *size = data_size;
        data = NULL;
        break;
    case INPUT_HEX:
        if (survey.hex != data_size) {
            result = refuse_text(path, want, &survey);
        } else if (from_hex(data, data_size, size) != 0) {
            app_error("%s: at octet %zu: hexadecimal with an odd number of digits", path,
                      data_size);
            result = APP_REFUSED;
        } else {
            *octets = data;
            data = NULL;
        }
        break;
    case INPUT_BASE64:
        if (survey.base64 != data_size)
            result = refuse_text(path, want, &survey);
        else
            result = from_base64(path, data, data_size, octets, size);
        break;
    default:
        result = refuse_text(path, want, &survey);
        break;
    }
    if (result == APP_OK && *size == 0) {
        app_error("%s: holds no octets", path);
        OPENSSL_free(*octets);
        *octets = NULL;
        result = APP_REFUSED;
    }
out:
    OPENSSL_free(data);
    return result;
}

int input_hex(const char *text, uint8_t *octets, size_t max, size_t *size)
{
    size_t n = 0;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        text += 2;
    while (*text != '\0') {
        int high = hex_value((unsigned char)text[0]);
        int low = high < 0 ? -1 : hex_value((unsigned char)text[1]);

        if (low < 0 || n == max)
            return -1;
        octets[n++] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    *size = n;
    return n == 0 ? -1 : 0;
}
