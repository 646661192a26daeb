/* ee_state.c: the state of a device on disk, its lock, and what a killed run has left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "apps/dot2hsm/ee_device.h"

#define STATE_MAX 65536
#define BATCH_GRACE 86400 /* seconds */
#define ALPHANUMERIC "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

int device_lock(struct device *device)
{
    char path[DEVICE_PATH];

    if (mkdir(device->dir, 0700) != 0 && errno != EEXIST) {
        app_error("%s: %s", device->dir, strerror(errno));
        return APP_USAGE;
    }
    device->lock = open(device_path(device, "lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (device->lock < 0) {
        app_error("%s: %s", path, strerror(errno));
        return APP_USAGE;
    }
    if (flock(device->lock, LOCK_EX | LOCK_NB) != 0) {
        app_error("%s: another run is at work here", device->dir);
        return APP_REFUSED;
    }
    return APP_OK;
}

/* ---- the file ---- */

struct text_field {
    const char *key;
    char *value;
    size_t size;
};

struct number_field {
    const char *key;
    int64_t *value;
};

#define TEXTS 7
#define NUMBERS 4

struct fields {
    struct text_field texts[TEXTS];
    struct number_field numbers[NUMBERS];
    int64_t changed, in_a_row;
};

#define TEXT(name, member)                                                                         \
    {                                                                                              \
        name, s->member, sizeof(s->member)                                                         \
    }

static void fields_of(struct device_state *s, struct fields *f)
{
    const struct text_field texts[TEXTS] = {
        TEXT("certificate", certificate),
        TEXT("key", key),
        TEXT("obsolete", obsolete),
        TEXT("policy", policy_name),
        TEXT("chain", chain_name),
        TEXT("last-error", last_error),
        TEXT("request-policy", request_policy),
    };
    const struct number_field numbers[NUMBERS] = {
        {"changed", &f->changed},
        {"in-a-row", &f->in_a_row},
        {"last-error-time", &s->last_error_time},
        {"last-sync", &s->last_sync},
    };

    memcpy(f->texts, texts, sizeof(texts));
    memcpy(f->numbers, numbers, sizeof(numbers));
    f->changed = s->changed;
    f->in_a_row = s->in_a_row;
}

static bool take_number(const char *text, int64_t *value)
{
    char *end = NULL;

    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *value >= 0;
}

/* ---- requests, orders and batches ---- */

static bool take_time(const char *text, uint32_t *value)
{
    int64_t number = 0;

    if (!take_number(text, &number) || number > UINT32_MAX)
        return false;
    *value = (uint32_t)number;
    return true;
}

static bool take_id(const char *text, char id[DEVICE_ID])
{
    return strlen(text) == DEVICE_ID - 1 &&
           strspn(text, "0123456789abcdefABCDEF") == DEVICE_ID - 1 &&
           snprintf(id, DEVICE_ID, "%s", text) > 0;
}

/* "request", "acked" ... of a request, in the file behind the name of a kind but for application.
 */
static bool take_request(struct device_request *r, const char *key, const char *value)
{
    if (strcmp(key, "request") == 0)
        return take_id(value, r->id);
    if (strcmp(key, "acked") == 0)
        return take_id(value, r->acked);
    if (strcmp(key, "enrollment") == 0)
        return take_id(value, r->enrollment);
    if (strcmp(key, "download-time") == 0)
        return take_time(value, &r->download_time);
    if (strcmp(key, "made") == 0)
        return take_time(value, &r->made);
    if (r->hash_count == DEVICE_HASHES || (strcmp(key, "hash") != 0 && strcmp(key, "refused") != 0))
        return false;
    r->refused[r->hash_count] = strcmp(key, "refused") == 0;
    return take_id(value, r->hashes[r->hash_count++]);
}

static bool take_order(struct device_order *o, const char *value)
{
    char id[DEVICE_ID], hash[DEVICE_ID], enrollment[DEVICE_ID];
    int used = 0;

    return sscanf(value, "%16s %16s %16s %" SCNu32 " %" SCNu32 " %" SCNu32 "%n", id, hash,
                  enrollment, &o->made, &o->next, &o->due, &used) == 6 &&
           value[used] == '\0' && take_id(id, o->id) && take_id(hash, o->hash) &&
           take_id(enrollment, o->enrollment);
}

static bool take_batch(struct device_state *s, enum device_kind kind, const char *value)
{
    struct device_batch *b = &s->batches[s->batch_count];
    char id[DEVICE_ID];
    int used = 0;

    if (s->batch_count == DEVICE_BATCHES ||
        sscanf(value, "%16s %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32 "%n", id, &b->i,
               &b->count, &b->start, &b->end, &used) != 5 ||
        value[used] != '\0' || !take_id(id, b->id) || b->count > DEVICE_BATCH_MAX)
        return false;
    b->kind = kind;
    s->batch_count++;
    return true;
}

/* "pseudonym-request" and the like. */
static bool take_of_kind(struct device_state *s, const char *key, const char *value)
{
    for (int kind = DEVICE_PSEUDONYM; kind < DEVICE_KINDS; kind++) {
        const char *name = device_kind_info((enum device_kind)kind)->name;
        size_t length = strlen(name);

        if (strncmp(key, name, length) != 0 || key[length] != '-')
            continue;
        key += length + 1;
        if (strcmp(key, "order") == 0)
            return take_order(&s->orders[kind], value);
        if (strcmp(key, "batch") == 0)
            return take_batch(s, (enum device_kind)kind, value);
        return take_request(&s->requests[kind], key, value);
    }
    return take_request(&s->requests[DEVICE_APPLICATION], key, value);
}

static void put_request(FILE *out, const char *prefix, const struct device_request *r)
{
    if (r->id[0] != '\0')
        fprintf(out, "%srequest %s\n", prefix, r->id);
    if (r->acked[0] != '\0')
        fprintf(out, "%sacked %s\n", prefix, r->acked);
    if (r->enrollment[0] != '\0')
        fprintf(out, "%senrollment %s\n", prefix, r->enrollment);
    if (r->download_time != 0)
        fprintf(out, "%sdownload-time %" PRIu32 "\n", prefix, r->download_time);
    if (r->made != 0)
        fprintf(out, "%smade %" PRIu32 "\n", prefix, r->made);
    for (unsigned i = 0; i < r->hash_count; i++)
        fprintf(out, "%s%s %s\n", prefix, r->refused[i] ? "refused" : "hash", r->hashes[i]);
}

static void put_kinds(FILE *out, const struct device_state *s)
{
    put_request(out, "", &s->requests[DEVICE_APPLICATION]);
    for (int kind = DEVICE_PSEUDONYM; kind < DEVICE_KINDS; kind++) {
        const struct device_order *o = &s->orders[kind];
        const char *name = device_kind_info((enum device_kind)kind)->name;
        char prefix[32];

        snprintf(prefix, sizeof(prefix), "%s-", name);
        put_request(out, prefix, &s->requests[kind]);
        if (o->id[0] != '\0')
            fprintf(out, "%s-order %s %s %s %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", name, o->id,
                    o->hash, o->enrollment, o->made, o->next, o->due);
    }
    for (unsigned i = 0; i < s->batch_count; i++) {
        const struct device_batch *b = &s->batches[i];

        fprintf(out, "%s-batch %s %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
                device_kind_info(b->kind)->name, b->id, b->i, b->count, b->start, b->end);
    }
}

static bool take_line(struct device_state *s, const struct fields *f, const char *key,
                      const char *value)
{
    int64_t time = 0;

    for (size_t i = 0; i < TEXTS && f->texts[i].key != NULL; i++) {
        if (strcmp(f->texts[i].key, key) == 0)
            return snprintf(f->texts[i].value, f->texts[i].size, "%s", value) <
                   (int)f->texts[i].size;
    }
    for (size_t i = 0; i < NUMBERS && f->numbers[i].key != NULL; i++) {
        if (strcmp(f->numbers[i].key, key) == 0)
            return take_number(value, f->numbers[i].value);
    }
    /* The clock may be behind CLOCK_BOOTTIME. */
    if (strcmp(key, "clock") == 0)
        return sscanf(value, "%39s %" SCNd64, s->boot, &s->clock_offset) == 2;
    if (strcmp(key, "failure") == 0 && s->failure_count < DEVICE_FAILURES &&
        take_number(value, &time)) {
        s->failures[s->failure_count++] = time;
        return true;
    }
    return take_of_kind(s, key, value);
}

int device_state_load(struct device *device)
{
    struct device_state *s = &device->state;
    char path[DEVICE_PATH], *line, *next, *value;
    uint8_t *octets = NULL;
    char *text;
    size_t size = 0;
    struct fields f = {.changed = 0};
    int code;

    memset(s, 0, sizeof(*s));
    if (!device_has(device, "state"))
        return APP_OK;
    code = app_file_read(device_path(device, "state", path), STATE_MAX, &octets, &size);
    if (code != APP_OK)
        return code;
    fields_of(s, &f);
    text = strndup((const char *)octets, size);
    OPENSSL_free(octets);
    for (line = text; line != NULL && *line != '\0'; line = next) {
        next = line + strcspn(line, "\n");
        if (*next != '\0')
            *next++ = '\0';
        value = line + strcspn(line, " ");
        if (*value != '\0')
            *value++ = '\0';
        if (!take_line(s, &f, line, value)) {
            app_error("%s: \"%s\" cannot be used", path, line);
            code = APP_REFUSED;
            break;
        }
    }
    if (text == NULL) {
        app_error("%s: out of memory", path);
        code = APP_REFUSED;
    }
    free(text);
    s->changed = (unsigned)f.changed;
    s->in_a_row = (unsigned)f.in_a_row;
    device_follow_clock(s);
    return code;
}

int device_state_save(struct device *device)
{
    struct device_state *s = &device->state;
    char path[DEVICE_PATH], *text = NULL;
    struct fields f;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool whole;
    int code = APP_REFUSED;

    if (out == NULL) {
        app_error("the state: out of memory");
        return APP_REFUSED;
    }
    device_follow_clock(s);
    fields_of(s, &f);
    for (size_t i = 0; i < TEXTS && f.texts[i].key != NULL; i++) {
        if (f.texts[i].value[0] != '\0')
            fprintf(out, "%s %s\n", f.texts[i].key, f.texts[i].value);
    }
    for (size_t i = 0; i < NUMBERS && f.numbers[i].key != NULL; i++) {
        if (*f.numbers[i].value != 0)
            fprintf(out, "%s %" PRId64 "\n", f.numbers[i].key, *f.numbers[i].value);
    }
    if (s->boot[0] != '\0')
        fprintf(out, "clock %s %" PRId64 "\n", s->boot, s->clock_offset);
    put_kinds(out, s);
    for (unsigned i = 0; i < s->failure_count; i++)
        fprintf(out, "failure %" PRId64 "\n", s->failures[i]);
    whole = ferror(out) == 0;
    if (fclose(out) != 0 || !whole)
        app_error("the state: out of memory");
    else
        code =
            app_file_write(device_path(device, "state", path), (const uint8_t *)text, size, 0600);
    free(text);
    s->moved = s->moved && code != APP_OK;
    return code;
}

/* ---- what a killed run has left ---- */

static bool starts(const char *name, const char *start)
{
    return strncmp(name, start, strlen(start)) == 0;
}

/* A file of a request or an order that is remembered? */
static bool is_of_request(const struct device_state *s, const char *name)
{
    static const char *const keys[] = {"verify.pem", "verify.sealed", "response.pem", "expansions"};
    char expected[96];
    const char *rest;

    for (int kind = 0; kind < DEVICE_KINDS; kind++) {
        const char *const ids[] = {s->requests[kind].id, s->orders[kind].id};

        for (size_t i = 0; i < 2; i++) {
            snprintf(expected, sizeof(expected), "request-%s.", ids[i]);
            if (ids[i][0] == '\0' || !starts(name, expected))
                continue;
            rest = name + strlen(expected);
            for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
                if (strcmp(rest, keys[k]) == 0)
                    return true;
            }
            return starts(rest, "zip.part");
        }
    }
    return false;
}

/* Behind the identifier of a name that is START and 16 digits; NULL if it is none. */
static const char *after_id(const char *name, const char *start)
{
    size_t size = strlen(start);

    return starts(name, start) && strspn(name + size, "0123456789abcdef") == 16 ? name + size + 16
                                                                                : NULL;
}

/* What app_file_write puts behind the name of a file until that is whole. */
static bool is_unfinished(const char *rest)
{
    return rest[0] == '.' && strspn(rest + 1, ALPHANUMERIC) == 6 && rest[7] == '\0';
}

static bool is_batch(const char *name)
{
    return after_id(name, "pseudonym-") != NULL || after_id(name, "identification-") != NULL ||
           strcmp(name, "batch.new") == 0;
}

/*
 * Is this name one of ours that nothing refers to? Parts of downloads are gone on with. What only
 * looks alike is somebody else's: the store of an RA may lie beside it as ra.sqlite.
 */
static bool is_left(const struct device_state *s, const char *name)
{
    static const char *const fetched[] = {"policy", "chain", "ra", "crl"};
    static const char *const written[] = {"state", "enrollment.sealed"};
    char expected[96];
    const char *rest;

    for (size_t i = 0; i < sizeof(fetched) / sizeof(fetched[0]); i++) {
        rest = name + strlen(fetched[i]);
        if (starts(name, fetched[i]) && *rest == '.')
            return strcmp(rest, ".new") == 0 || (starts(rest, ".oer") && is_unfinished(rest + 4));
    }
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
        if (starts(name, written[i]) && is_unfinished(name + strlen(written[i])))
            return true;
    }
    rest = after_id(name, "crl-");
    if (rest != NULL) {
        rest += strcspn(rest, ".");
        return starts(rest, ".oer") && is_unfinished(rest + 4);
    }
    if (after_id(name, "application-") != NULL) {
        snprintf(expected, sizeof(expected), "%.*s.pem", (int)strcspn(s->certificate, "."),
                 s->certificate);
        return strcmp(name, s->certificate) != 0 && strcmp(name, expected) != 0;
    }
    if (!is_batch(name))
        return after_id(name, "request-") != NULL && !is_of_request(s, name);
    for (unsigned i = 0; i < s->batch_count; i++) {
        if (strcmp(device_batch_name(&s->batches[i], expected), name) == 0)
            return false;
    }
    return true;
}

void device_obsolete(struct device *device, const char *uri)
{
    char *list = device->state.obsolete;
    size_t used = strlen(list), size = sizeof(device->state.obsolete);

    if (strncmp(uri, "pkcs11:", strlen("pkcs11:")) != 0)
        return;
    if (used + strlen(uri) + 2 < size)
        snprintf(list + used, size - used, "%s%s", used > 0 ? " " : "", uri);
    else
        app_error("%s is needed no more, and too many wait to be deleted before it: delete it by "
                  "hand (dot2hsm keys delete)",
                  uri);
}

static int delete_obsolete(struct device *device)
{
    char *list = device->state.obsolete, uri[512];
    int code;

    while (*list != '\0') {
        size_t size = strcspn(list, " ");
        const char *rest = list + size + strspn(list + size, " ");

        snprintf(uri, sizeof(uri), "%.*s", (int)size, list);
        code = device_key_delete(device, uri);
        if (code != APP_OK) /* the list stays as it is, for the next run */
            return code;
        memmove(list, rest, strlen(rest) + 1);
        code = device_state_save(device);
        if (code != APP_OK)
            return code;
    }
    return APP_OK;
}

/* Batches whose time has been over for a day, if the clock is right, are forgotten, so removed. */
static int expire_batches(struct device *device)
{
    struct device_state *s = &device->state;
    unsigned kept = 0;
    uint32_t now = 0;

    if (!device->clock_checked || device_now(device, &now) != APP_OK)
        return APP_OK;
    for (unsigned i = 0; i < s->batch_count; i++) {
        if (s->batches[i].end + (uint64_t)BATCH_GRACE > now)
            s->batches[kept++] = s->batches[i];
    }
    if (kept == s->batch_count)
        return APP_OK;
    s->batch_count = kept;
    return device_state_save(device);
}

int device_clean(struct device *device)
{
    DIR *directory = opendir(device->dir);
    const struct dirent *entry;
    int code = expire_batches(device);

    if (directory == NULL)
        app_error("%s: %s", device->dir, strerror(errno));
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (!is_left(&device->state, entry->d_name))
            continue;
        if (is_batch(entry->d_name) ? device_batch_delete(device, entry->d_name) != APP_OK
                                    : unlinkat(dirfd(directory), entry->d_name, 0) != 0)
            code = APP_REFUSED;
    }
    if (directory == NULL || closedir(directory) != 0)
        code = APP_REFUSED;
    if (code != APP_OK)
        app_error("%s: what an earlier run left cannot be removed", device->dir);
    return code == APP_OK ? delete_obsolete(device) : code;
}
