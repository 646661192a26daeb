#include <inttypes.h>
#include <string.h>

#include "apps/dot2hsm/json.h"

void json_init(struct json *json, FILE *out)
{
    memset(json, 0, sizeof(*json));
    json->out = out;
}

/* Octets of the UTF-8 character at text, 0 if it is none (overlong forms and surrogates too). */
static size_t utf8_size(const uint8_t *text, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 : 0;
    uint32_t code;

    if (text[0] >> 3 == 30)
        n = 4;
    if (n <= 1 || n > size)
        return n > size ? 0 : n;
    code = text[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return n;
}

static void write_text(struct json *json, const uint8_t *text, size_t size)
{
    putc('"', json->out);
    for (size_t i = 0; i < size;) {
        size_t n = utf8_size(text + i, size - i);

        if (n == 0) {
            fputs("\\ufffd", json->out);
            n = 1;
        } else if (text[i] == '"' || text[i] == '\\') {
            fprintf(json->out, "\\%c", text[i]);
        } else if (text[i] < 0x20 || text[i] == 0x7f) {
            fprintf(json->out, "\\u%04x", text[i]);
        } else {
            fwrite(text + i, 1, n, json->out);
        }
        i += n;
    }
    putc('"', json->out);
}

static void new_line(struct json *json)
{
    putc('\n', json->out);
    for (unsigned i = 0; i < json->depth; i++)
        fputs("  ", json->out);
}

static void member(struct json *json, const char *name)
{
    if (json->depth > 0) {
        if (json->used[json->depth])
            putc(',', json->out);
        json->used[json->depth] = true;
        new_line(json);
    }
    if (name != NULL) {
        write_text(json, (const uint8_t *)name, strlen(name));
        fputs(": ", json->out);
    }
}

static void open_level(struct json *json, const char *name, char bracket)
{
    member(json, name);
    putc(bracket, json->out);
    if (json->depth + 1 < JSON_DEPTH_MAX)
        json->depth++;
    json->used[json->depth] = false;
}

static void close_level(struct json *json, char bracket)
{
    bool used = json->used[json->depth];

    json->depth--;
    if (used)
        new_line(json);
    putc(bracket, json->out);
}

void json_object(struct json *json, const char *name)
{
    open_level(json, name, '{');
}

void json_array(struct json *json, const char *name)
{
    open_level(json, name, '[');
}

void json_end_object(struct json *json)
{
    close_level(json, '}');
}

void json_end_array(struct json *json)
{
    close_level(json, ']');
}

void json_text(struct json *json, const char *name, const void *value, size_t size)
{
    member(json, name);
    write_text(json, value, size);
}

void json_string(struct json *json, const char *name, const char *value)
{
    json_text(json, name, value, strlen(value));
}

void json_hex(struct json *json, const char *name, const uint8_t *octets, size_t size)
{
    member(json, name);
    putc('"', json->out);
    for (size_t i = 0; i < size; i++)
        fprintf(json->out, "%02x", octets[i]);
    putc('"', json->out);
}

void json_int(struct json *json, const char *name, int64_t value)
{
    member(json, name);
    fprintf(json->out, "%" PRId64, value);
}

void json_uint(struct json *json, const char *name, uint64_t value)
{
    member(json, name);
    fprintf(json->out, "%" PRIu64, value);
}

void json_bool(struct json *json, const char *name, bool value)
{
    member(json, name);
    fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json, const char *name)
{
    member(json, name);
    fputs("null", json->out);
}

void json_finish(struct json *json)
{
    putc('\n', json->out);
}
