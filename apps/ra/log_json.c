/*
 * log_json.c: a line of key=value pairs as one JSON object.
 *
 * All values are strings: one that is a number in one line may be a word in another. A value's \xNN
 * is the character of that number, so that each octet that a peer sent can be told from the result.
 */
#include "apps/ra/ra_app.h"

#include <stdio.h>
#include <string.h>

struct json_text {
    char *text;
    size_t size, room;
    bool cut;
};

static void put(struct json_text *json, const char *octets, size_t size)
{
    if (json->cut || json->size + size >= json->room) {
        json->cut = true;
        return;
    }
    memcpy(json->text + json->size, octets, size);
    json->size += size;
    json->text[json->size] = '\0';
}

static void put_character(struct json_text *json, unsigned char c)
{
    char escaped[8];

    if (c == '"' || c == '\\')
        put(json, (char[]){'\\', (char)c}, 2);
    else if (c >= 0x20 && c < 0x7f)
        put(json, (char *)&c, 1);
    else
        put(json, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)c));
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A value that stands in quotes; *at is behind the first of them, and then behind the last. */
static void put_quoted(struct json_text *json, const char **at)
{
    const char *p = *at;

    while (*p != '\0' && *p != '"') {
        int high = p[0] == '\\' && p[1] == 'x' ? digit(p[2]) : -1;
        int low = high < 0 ? -1 : digit(p[3]);

        put_character(json, (unsigned char)(low < 0 ? *p : high << 4 | low));
        p += low < 0 ? 1 : 4;
    }
    *at = *p == '"' ? p + 1 : p;
}

static void put_string(struct json_text *json, const char *octets, size_t size)
{
    put(json, "\"", 1);
    for (size_t i = 0; i < size; i++)
        put_character(json, (unsigned char)octets[i]);
    put(json, "\"", 1);
}

static void put_pair(struct json_text *json, const char **at)
{
    size_t size = strcspn(*at, "= ");

    put(json, ",", 1);
    if ((*at)[size] != '=') { /* a word without a value; there is none in our lines */
        put_string(json, "text", 4);
        put(json, ":", 1);
        put_string(json, *at, size);
        *at += size;
        return;
    }
    put_string(json, *at, size);
    *at += size + 1;
    put(json, ":", 1);
    if (**at == '"') {
        (*at)++;
        put(json, "\"", 1);
        put_quoted(json, at);
        put(json, "\"", 1);
    } else {
        size = strcspn(*at, " ");
        put_string(json, *at, size);
        *at += size;
    }
}

bool ra_app_log_json(const char *when, const char *level, const char *line, char *text, size_t room)
{
    struct json_text json = {.text = text, .room = room};

    put(&json, "{\"time\":", 8);
    put_string(&json, when, strlen(when));
    put(&json, ",\"level\":", 9);
    put_string(&json, level, strlen(level));
    for (line += strspn(line, " "); *line != '\0'; line += strspn(line, " "))
        put_pair(&json, &line);
    put(&json, "}", 1);
    return !json.cut;
}
