/*
 * config_value.c: one value of the configuration.
 */
#include "apps/ra/ra_app.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

const char *ra_app_get(struct ra_app_reader *reader, const char *key)
{
    const char *value;

    ERR_set_mark();
    value = NCONF_get_string(reader->conf, reader->section, key);
    ERR_pop_to_mark();
    if (value != NULL && value[0] == '\0') {
        app_error("%s: [%s]: %s is empty", reader->path, reader->section, key);
        reader->failed = true;
    }
    return value;
}

const char *ra_app_require(struct ra_app_reader *reader, const char *key)
{
    const char *value = ra_app_get(reader, key);

    if (value == NULL) {
        app_error("%s: [%s]: %s is missing", reader->path, reader->section, key);
        reader->failed = true;
    }
    return value;
}

unsigned long ra_app_number(struct ra_app_reader *reader, const char *key, unsigned long min,
                            unsigned long max, unsigned long otherwise)
{
    const char *text = ra_app_get(reader, key);
    unsigned long value;
    char *end;

    if (text == NULL)
        return otherwise;
    errno = 0;
    value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < min ||
        value > max) {
        app_error("%s: [%s]: %s is \"%s\", not a number from %lu to %lu", reader->path,
                  reader->section, key, text, min, max);
        reader->failed = true;
        return otherwise;
    }
    return value;
}

int ra_app_one_of(struct ra_app_reader *reader, const char *key, const char *first,
                  const char *second)
{
    const char *text = ra_app_get(reader, key);

    if (text == NULL || strcmp(text, first) == 0)
        return 0;
    if (strcmp(text, second) == 0)
        return 1;
    app_error("%s: [%s]: %s is \"%s\", neither %s nor %s", reader->path, reader->section, key, text,
              first, second);
    reader->failed = true;
    return 0;
}

uint64_t *ra_app_numbers(struct ra_app_reader *reader, const char *key, size_t *count)
{
    const char *text = ra_app_get(reader, key), *at = text;
    uint64_t *numbers = NULL, *grown;

    *count = 0;
    while (at != NULL && *at != '\0') {
        unsigned long long value;
        char *end;

        at += strspn(at, " \t");
        errno = 0;
        value = strtoull(at, &end, 0);
        grown = OPENSSL_realloc(numbers, (*count + 1) * sizeof *numbers);
        if (grown != NULL)
            numbers = grown;
        end += strspn(end, " \t");
        if (grown == NULL || *at < '0' || *at > '9' || errno != 0 ||
            (*end != ',' && *end != '\0') || (*end == ',' && end[1] == '\0')) {
            if (grown == NULL)
                app_error("%s: [%s]: %s: out of memory", reader->path, reader->section, key);
            else
                app_error("%s: [%s]: %s is \"%s\", not a list of numbers", reader->path,
                          reader->section, key, text);
            reader->failed = true;
            OPENSSL_free(numbers);
            *count = 0;
            return NULL;
        }
        numbers[(*count)++] = value;
        at = *end == ',' ? end + 1 : end;
    }
    return numbers;
}
