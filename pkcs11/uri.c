#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

/*
 * uri.c: PKCS#11 URIs, RFC 7512.
 *
 * An attribute that is not known or occurs twice is an error, also in the query, where the RFC lets
 * vendors add what they like: one that is misspelt must never widen a search. This is why there is
 * a parser of our own; and a library for it alone takes a program that signs once a twentieth of
 * its time.
 */
#define FIELD(type, name) sizeof(((type *)NULL)->name)

/* The names, and the size of the field that the value is compared with; 0 = any. */
static const struct {
    const char *name;
    size_t most;
} attributes[P11_URI_ATTRIBUTES] = {
    [P11_URI_TOKEN] = {"token", FIELD(CK_TOKEN_INFO, label)},
    [P11_URI_MANUFACTURER] = {"manufacturer", FIELD(CK_TOKEN_INFO, manufacturerID)},
    [P11_URI_SERIAL] = {"serial", FIELD(CK_TOKEN_INFO, serialNumber)},
    [P11_URI_MODEL] = {"model", FIELD(CK_TOKEN_INFO, model)},
    [P11_URI_OBJECT] = {"object", 0},
    [P11_URI_TYPE] = {"type", 0},
    [P11_URI_ID] = {"id", 0},
    [P11_URI_SLOT_ID] = {"slot-id", 0},
    [P11_URI_SLOT_DESCRIPTION] = {"slot-description", FIELD(CK_SLOT_INFO, slotDescription)},
    [P11_URI_SLOT_MANUFACTURER] = {"slot-manufacturer", FIELD(CK_SLOT_INFO, manufacturerID)},
    [P11_URI_LIBRARY_VERSION] = {"library-version", 0},
    [P11_URI_LIBRARY_MANUFACTURER] = {"library-manufacturer", FIELD(CK_INFO, manufacturerID)},
    [P11_URI_LIBRARY_DESCRIPTION] = {"library-description", FIELD(CK_INFO, libraryDescription)},
    [P11_URI_PIN_SOURCE] = {"pin-source", 0},
    [P11_URI_PIN_VALUE] = {"pin-value", 0},
    [P11_URI_MODULE_NAME] = {"module-name", 0},
    [P11_URI_MODULE_PATH] = {"module-path", 0},
};

char *p11_uri_redact(const char *text)
{
    size_t size = strcspn(text, "?");

    /* A malformed URI may hold its PIN anywhere. */
    for (size_t i = 0; i + 3 < size; i++)
        if (strncasecmp(text + i, "pin", 3) == 0 &&
            (text[i + 3] == '-' || text[i + 3] == '=' || text[i + 3] == '%' || text[i + 3] == 'f' ||
             text[i + 3] == '_'))
            size = i;
    return OPENSSL_strndup(text, size);
}

/* One attribute as it stands in the URI. */
struct part {
    const char *name, *value;
    size_t name_size, value_size;
    size_t offset; /* of the name in the URI */
    bool query;
};

/* -1 if there is none of this name. */
static int attribute_of(const struct part *part)
{
    const int first = part->query ? P11_URI_QUERY : 0;
    const int end = part->query ? P11_URI_ATTRIBUTES : P11_URI_QUERY;

    for (int i = first; i < end; i++)
        if (strlen(attributes[i].name) == part->name_size &&
            memcmp(attributes[i].name, part->name, part->name_size) == 0)
            return i;
    return -1;
}

/*
 * The octets of a value, and a NUL. What the RFC wants encoded may stand as it is, as long as it
 * can be seen: a space in a token's label, say.
 */
static enum p11_status decode(const struct p11_op *op, const struct part *part, char *to,
                              struct p11_uri_value *value)
{
    const size_t offset = part->offset + part->name_size + 1;

    value->octets = to;
    for (size_t i = 0; i < part->value_size; i++) {
        unsigned char octet = (unsigned char)part->value[i];

        if (octet < 0x20 || octet == 0x7f)
            return p11_fail(op, P11_E_URI, "control character at offset %zu", offset + i);
        if (octet == '%') {
            int high = i + 2 < part->value_size
                           ? OPENSSL_hexchar2int((unsigned char)part->value[i + 1])
                           : -1;
            int low = i + 2 < part->value_size
                          ? OPENSSL_hexchar2int((unsigned char)part->value[i + 2])
                          : -1;

            if (high < 0 || low < 0)
                return p11_fail(op, P11_E_URI, "%% without two hexadecimal digits at offset %zu",
                                offset + i);
            octet = (unsigned char)(high << 4 | low);
            i += 2;
        }
        *to++ = (char)octet;
    }
    value->size = (size_t)(to - value->octets);
    *to = '\0';
    return P11_OK;
}

/* Takes one attribute into the URI; `at` is how much of uri->decoded is in use. */
static enum p11_status take_part(const struct p11_op *op, const struct part *part,
                                 struct p11_uri *uri, size_t *at)
{
    struct p11_uri_value *value;
    enum p11_status status;
    int i = attribute_of(part);

    if (i < 0)
        return p11_fail(op, P11_E_URI, "unknown %s attribute \"%.*s\"",
                        part->query ? "query" : "path",
                        (int)(part->name_size < 40 ? part->name_size : 40), part->name);
    value = &uri->values[i];
    if (value->octets != NULL)
        return p11_fail(op, P11_E_URI, "attribute \"%s\" occurs twice", attributes[i].name);
    status = decode(op, part, uri->decoded + *at, value);
    if (status != P11_OK)
        return status;
    *at += value->size + 1;
    if (attributes[i].most != 0 && value->size > attributes[i].most)
        return p11_fail(op, P11_E_URI, "attribute \"%s\" has a value of %zu octets, more than %zu",
                        attributes[i].name, value->size, attributes[i].most);
    /* Labels and identifiers are octets, all else is text. */
    if (i != P11_URI_OBJECT && i != P11_URI_ID && strlen(value->octets) != value->size)
        return p11_fail(op, P11_E_URI, "attribute \"%s\" has a value with a NUL in it",
                        attributes[i].name);
    return P11_OK;
}

/* The attributes in text[from..to), separated by ; in the path and & in the query. */
static enum p11_status take_parts(const struct p11_op *op, const char *text, size_t from, size_t to,
                                  bool query, struct p11_uri *uri, size_t *at)
{
    enum p11_status status = P11_OK;

    while (from < to && status == P11_OK) {
        struct part part = {.name = text + from, .offset = from, .query = query};
        const char *end = memchr(part.name, query ? '&' : ';', to - from);
        size_t size = end != NULL ? (size_t)(end - part.name) : to - from;
        const char *equals = memchr(part.name, '=', size);

        if (equals == NULL)
            return p11_fail(op, P11_E_URI, "attribute without a value at offset %zu", from);
        part.name_size = (size_t)(equals - part.name);
        part.value = equals + 1;
        part.value_size = size - part.name_size - 1;
        status = take_part(op, &part, uri, at);
        from += size + 1;
    }
    return status;
}

/* The part of a path after the last slash. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static bool same_file(const char *a, const char *b)
{
    char *real_a = NULL, *real_b = NULL;
    bool same = strcmp(a, b) == 0;

    if (!same) {
        real_a = realpath(a, NULL);
        real_b = realpath(b, NULL);
        same = real_a != NULL && real_b != NULL && strcmp(real_a, real_b) == 0;
    }
    free(real_a);
    free(real_b);
    return same;
}

/* RFC 7512: the module's name without "lib" in front and without its suffix. */
static bool same_name(const char *name, const char *path)
{
    const char *base = base_name(path);
    size_t size = strlen(name);

    if (strcmp(base, name) == 0)
        return true;
    if (strncmp(base, "lib", 3) == 0 && strncmp(name, "lib", 3) != 0)
        base += 3;
    return strncmp(base, name, size) == 0 && (base[size] == '.' || base[size] == '\0');
}

static enum p11_status take_pin(const struct p11_op *op, struct p11_uri *uri)
{
    struct p11_uri_value *value = &uri->values[P11_URI_PIN_VALUE];

    if (value->size == 0 || value->size > P11_PIN_MAX)
        return p11_fail(op, P11_E_URI, "pin-value is empty or longer than %d octets", P11_PIN_MAX);
    uri->pin = p11_pin_new();
    if (uri->pin == NULL)
        return p11_fail(op, P11_E_MEMORY, "no page for the PIN");
    uri->pin->size = value->size;
    memcpy(uri->pin->octets, value->octets, value->size);
    OPENSSL_cleanse(uri->decoded + (value->octets - uri->decoded), value->size);
    return P11_OK;
}

static enum p11_status check_query(const struct p11_op *op, const p11_ctx *ctx, struct p11_uri *uri)
{
    const char *path = uri->values[P11_URI_MODULE_PATH].octets;
    const char *name = uri->values[P11_URI_MODULE_NAME].octets;
    const char *source = uri->values[P11_URI_PIN_SOURCE].octets;
    const char *value = uri->values[P11_URI_PIN_VALUE].octets;

    if (value != NULL && !ctx->allow_pin_value)
        return p11_fail(op, P11_E_URI, "pin-value in a URI is not allowed by the configuration");
    if (value != NULL && source != NULL)
        return p11_fail(op, P11_E_URI, "both pin-value and pin-source");
    if (source != NULL && !p11_pin_source_valid(source))
        return p11_fail(op, P11_E_URI,
                        "pin-source is none of file:, env:, credential: or the path of a file");
    if (path != NULL && !same_file(path, ctx->module_path))
        return p11_fail(op, P11_E_URI, "module-path is not the configured module");
    if (name != NULL && !same_name(name, ctx->module_path))
        return p11_fail(op, P11_E_URI, "module-name is not the configured module's");
    return value != NULL ? take_pin(op, uri) : P11_OK;
}

/* A decimal number up to `most` that `stop` ends; the character behind it, or NULL. */
static const char *number(const char *text, char stop, unsigned long most, unsigned long *value)
{
    *value = 0;
    if (*text < '0' || *text > '9')
        return NULL;
    for (; *text >= '0' && *text <= '9'; text++) {
        unsigned digit = (unsigned)(*text - '0');

        if (*value > (most - digit) / 10)
            return NULL;
        *value = *value * 10 + digit;
    }
    return *text == '\0' || *text == stop ? text : NULL;
}

static enum p11_status check_path(const struct p11_op *op, struct p11_uri *uri)
{
    static const struct {
        const char *name;
        unsigned class_;
    } types[] = {{"private", P11_PRIVATE}, {"public", P11_PUBLIC}, {"cert", P11_CERTIFICATE}};
    const struct p11_uri_value *values = uri->values;
    const char *type = values[P11_URI_TYPE].octets;
    unsigned long major = 0, minor = 0;
    const char *end;

    uri->has_token =
        values[P11_URI_TOKEN].octets != NULL || values[P11_URI_MANUFACTURER].octets != NULL ||
        values[P11_URI_SERIAL].octets != NULL || values[P11_URI_MODEL].octets != NULL ||
        values[P11_URI_SLOT_ID].octets != NULL || values[P11_URI_SLOT_DESCRIPTION].octets != NULL ||
        values[P11_URI_SLOT_MANUFACTURER].octets != NULL;
    uri->has_object = values[P11_URI_OBJECT].octets != NULL || values[P11_URI_ID].octets != NULL;
    uri->classes = type == NULL ? P11_ANY : 0;
    for (size_t i = 0; type != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(type, types[i].name) == 0)
            uri->classes = types[i].class_;
    if (uri->classes == 0)
        return p11_fail(op, P11_E_URI, "type is none of private, public and cert");
    if (values[P11_URI_SLOT_ID].octets != NULL &&
        number(values[P11_URI_SLOT_ID].octets, '\0', ULONG_MAX, &uri->slot_id) == NULL)
        return p11_fail(op, P11_E_URI, "slot-id is no number of a slot");
    if (values[P11_URI_LIBRARY_VERSION].octets == NULL)
        return P11_OK;
    /* "M" stands for "M.0". */
    end = number(values[P11_URI_LIBRARY_VERSION].octets, '.', 255, &major);
    if (end == NULL || (*end == '.' && number(end + 1, '\0', 255, &minor) == NULL))
        return p11_fail(op, P11_E_URI, "library-version is none of M and M.N, up to 255 each");
    uri->library_version = (CK_VERSION){(CK_BYTE)major, (CK_BYTE)minor};
    return P11_OK;
}

enum p11_status p11_uri_parse(const p11_ctx *ctx, const char *text, struct p11_uri **result)
{
    struct p11_uri *uri = NULL;
    struct p11_op op = {0};
    enum p11_status status;
    size_t size, path_end, used = 0;

    *result = NULL;
    if (text == NULL)
        return p11_fail(NULL, P11_E_URI, "no URI");
    size = strlen(text);
    uri = OPENSSL_zalloc(sizeof(*uri));
    /* A value and its NUL take no more than what stands for them, with the name before it. */
    if (uri == NULL || (uri->shown = p11_uri_redact(text)) == NULL ||
        (uri->decoded = OPENSSL_malloc(size + 1)) == NULL) {
        status = p11_fail(NULL, P11_E_MEMORY, "out of memory");
        goto out;
    }
    uri->decoded_size = size + 1;
    op.uri = uri->shown;
    if (strncmp(text, "pkcs11:", 7) != 0) {
        status = p11_fail(&op, P11_E_URI, "does not begin with pkcs11:");
        goto out;
    }
    path_end = 7 + strcspn(text + 7, "?");
    status = take_parts(&op, text, 7, path_end, false, uri, &used);
    if (status == P11_OK && path_end < size)
        status = take_parts(&op, text, path_end + 1, size, true, uri, &used);
    if (status == P11_OK)
        status = check_query(&op, ctx, uri);
    if (status == P11_OK)
        status = check_path(&op, uri);
out:
    if (status == P11_OK)
        *result = uri;
    else
        p11_uri_free(uri);
    return status;
}

void p11_uri_free(struct p11_uri *uri)
{
    if (uri == NULL)
        return;
    OPENSSL_clear_free(uri->decoded, uri->decoded_size);
    p11_pin_free(uri->pin);
    OPENSSL_free(uri->shown);
    OPENSSL_free(uri);
}

/* Fields are padded with blanks (PKCS#11 2.40, 3.2), by some modules with NULs. */
static bool field_matches(const struct p11_uri *uri, enum p11_uri_attribute attribute,
                          const CK_UTF8CHAR *field)
{
    const struct p11_uri_value *value = &uri->values[attribute];

    if (value->octets == NULL)
        return true;
    if (memcmp(field, value->octets, value->size) != 0)
        return false;
    for (size_t i = value->size; i < attributes[attribute].most; i++)
        if (field[i] != ' ' && field[i] != '\0')
            return false;
    return true;
}

bool p11_uri_matches(const struct p11_uri *uri, const CK_INFO *module, const struct p11_slot *slot)
{
    const CK_TOKEN_INFO *token = &slot->token_info;
    const CK_VERSION *version = &uri->library_version;

    return field_matches(uri, P11_URI_TOKEN, token->label) &&
           field_matches(uri, P11_URI_MANUFACTURER, token->manufacturerID) &&
           field_matches(uri, P11_URI_SERIAL, token->serialNumber) &&
           field_matches(uri, P11_URI_MODEL, token->model) &&
           field_matches(uri, P11_URI_SLOT_DESCRIPTION, slot->slot_info.slotDescription) &&
           field_matches(uri, P11_URI_SLOT_MANUFACTURER, slot->slot_info.manufacturerID) &&
           field_matches(uri, P11_URI_LIBRARY_MANUFACTURER, module->manufacturerID) &&
           field_matches(uri, P11_URI_LIBRARY_DESCRIPTION, module->libraryDescription) &&
           (uri->values[P11_URI_SLOT_ID].octets == NULL || uri->slot_id == slot->id) &&
           (uri->values[P11_URI_LIBRARY_VERSION].octets == NULL ||
            (version->major == module->libraryVersion.major &&
             version->minor == module->libraryVersion.minor));
}

size_t p11_uri_template(const struct p11_uri *uri, CK_OBJECT_CLASS *class_, CK_ATTRIBUTE *want)
{
    const struct p11_uri_value *label = &uri->values[P11_URI_OBJECT];
    const struct p11_uri_value *id = &uri->values[P11_URI_ID];
    size_t count = 0;

    want[count++] = (CK_ATTRIBUTE){CKA_CLASS, class_, sizeof(*class_)};
    if (label->octets != NULL)
        want[count++] =
            (CK_ATTRIBUTE){CKA_LABEL, (void *)(uintptr_t)label->octets, (CK_ULONG)label->size};
    if (id->octets != NULL)
        want[count++] = (CK_ATTRIBUTE){CKA_ID, (void *)(uintptr_t)id->octets, (CK_ULONG)id->size};
    return count;
}
