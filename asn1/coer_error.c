#include "asn1/coer.h"

#include <stdio.h>

static const struct {
    const char *name;
    const char *text;
} statuses[] = {
    [COER_OK] = {"COER_OK", "no error"},
    [COER_E_TRUNCATED] = {"COER_E_TRUNCATED", "the input ends within the value"},
    [COER_E_LENGTH] = {"COER_E_LENGTH", "the length or the integer is not minimal, or too long"},
    [COER_E_RANGE] = {"COER_E_RANGE", "the value or its size is out of range"},
    [COER_E_PADDING] = {"COER_E_PADDING", "unused bits are not zero"},
    [COER_E_DEFAULT] = {"COER_E_DEFAULT", "the default value is encoded and should be left out"},
    [COER_E_TRAILING] = {"COER_E_TRAILING", "octets follow the value"},
    [COER_E_ENUM] = {"COER_E_ENUM", "the enumerator is not known"},
    [COER_E_CHOICE] = {"COER_E_CHOICE", "the alternative is not known"},
    [COER_E_EXTENSION] = {"COER_E_EXTENSION", "the extension bitmap is empty or all zero"},
    [COER_E_DEPTH] = {"COER_E_DEPTH", "the structure is nested too deep"},
    [COER_E_COUNT] = {"COER_E_COUNT", "more elements than the input can hold"},
    [COER_E_UTF8] = {"COER_E_UTF8", "the text is not UTF-8"},
    [COER_E_MISSING] = {"COER_E_MISSING", "a mandatory component or the alternative is not set"},
    [COER_E_MEMORY] = {"COER_E_MEMORY", "out of memory"},
    [COER_E_SPACE] = {"COER_E_SPACE", "the output buffer is too small"},
    [COER_E_TYPE] = {"COER_E_TYPE", "the type is not one of the compiled modules"},
};

static size_t status_index(enum coer_status status)
{
    size_t i = (size_t)status;

    return i < sizeof(statuses) / sizeof(statuses[0]) ? i : (size_t)COER_E_TYPE;
}

const char *coer_status_name(enum coer_status status)
{
    return statuses[status_index(status)].name;
}

const char *coer_status_text(enum coer_status status)
{
    return statuses[status_index(status)].text;
}

const char *coer_error_format(const struct coer_error *error, char *out, size_t size)
{
    snprintf(out, size, "%s: at octet %zu: %s (%s)", error->path, error->offset,
             coer_status_text(error->status), coer_status_name(error->status));
    return out;
}

const char *coer_kind_name(enum coer_kind kind)
{
    switch (kind) {
    case COER_SEQUENCE:
        return "SEQUENCE";
    case COER_SEQUENCE_OF:
        return "SEQUENCE OF";
    case COER_CHOICE:
        return "CHOICE";
    case COER_INTEGER:
        return "INTEGER";
    case COER_ENUMERATED:
        return "ENUMERATED";
    case COER_BOOLEAN:
        return "BOOLEAN";
    case COER_NULL:
        return "NULL";
    case COER_OCTET_STRING:
        return "OCTET STRING";
    case COER_UTF8_STRING:
        return "UTF8String";
    case COER_BIT_STRING:
        return "BIT STRING";
    case COER_UNKNOWN_EXTENSION:
        return "unknown extension";
    }
    return "unknown kind";
}
