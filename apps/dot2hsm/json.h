/*
 * json.h: a writer of JSON. It keeps the commas, the quotes and the nesting right; the caller
 * gives names and values in order. Output is indented by two spaces.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_JSON_H
#define DOT2HSM_APPS_DOT2HSM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A walk is at most 32 deep and takes two levels each; payloads are opened four deep. */
#define JSON_DEPTH_MAX 512

struct json {
    FILE *out;
    unsigned depth;
    bool used[JSON_DEPTH_MAX]; /* the level has a member already */
};

void json_init(struct json *json, FILE *out);
/* name is NULL for an element of an array and for the whole value. */
void json_object(struct json *json, const char *name);
void json_array(struct json *json, const char *name);
void json_end_object(struct json *json);
void json_end_array(struct json *json);
void json_string(struct json *json, const char *name, const char *value);
/* size octets; whatever is not UTF-8 is written as U+FFFD. */
void json_text(struct json *json, const char *name, const void *value, size_t size);
/* Lower case hexadecimal, as a string. */
void json_hex(struct json *json, const char *name, const uint8_t *octets, size_t size);
void json_int(struct json *json, const char *name, int64_t value);
void json_uint(struct json *json, const char *name, uint64_t value);
void json_bool(struct json *json, const char *name, bool value);
void json_null(struct json *json, const char *name);
/* The line break at the end of the document. */
void json_finish(struct json *json);

#endif
