#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

/*
 * RFC 7512, clause 2.3. p11-kit remembers that there was an attribute it does not know in the
 * path, but takes every unknown one in the query for a vendor's, and takes one that occurs twice:
 * so the names are gone through here. A misspelt attribute must never widen a search.
 */
static const char *const path_attributes[] = {"token",
                                              "manufacturer",
                                              "serial",
                                              "model",
                                              "object",
                                              "type",
                                              "id",
                                              "slot-id",
                                              "slot-description",
                                              "slot-manufacturer",
                                              "library-version",
                                              "library-manufacturer",
                                              "library-description"};
static const char *const query_attributes[] = {"pin-source", "pin-value", "module-name",
                                               "module-path"};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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

/* Checks the names of attributes in text[0..size) separated by `separator`. */
static enum p11_status check_names(const struct p11_op *op, const char *text, size_t size,
                                   char separator, const char *const *known, size_t count)
{
    unsigned seen = 0;

    for (size_t start = 0; start < size;) {
        const char *name = text + start;
        const char *end = memchr(name, separator, size - start);
        size_t length = end != NULL ? (size_t)(end - name) : size - start;
        const char *equals = memchr(name, '=', length);
        size_t name_size = equals != NULL ? (size_t)(equals - name) : length;
        size_t i;

        if (equals == NULL)
            return p11_fail(op, P11_E_URI, "attribute without a value at offset %zu",
                            (size_t)(name - text));
        for (i = 0; i < count; i++)
            if (strlen(known[i]) == name_size && memcmp(known[i], name, name_size) == 0)
                break;
        if (i == count)
            return p11_fail(op, P11_E_URI, "unknown %s attribute \"%.*s\"",
                            separator == ';' ? "path" : "query",
                            (int)(name_size < 40 ? name_size : 40), name);
        if ((seen & 1u << i) != 0)
            return p11_fail(op, P11_E_URI, "attribute \"%s\" occurs twice", known[i]);
        seen |= 1u << i;
        start += length + 1;
    }
    return P11_OK;
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

/* p11-kit frees its copy of a PIN as it is. */
static void cleanse_kit(P11KitUri *kit)
{
    char *pin = (char *)(uintptr_t)p11_kit_uri_get_pin_value(kit);

    if (pin != NULL)
        OPENSSL_cleanse(pin, strlen(pin));
    p11_kit_uri_set_pin_value(kit, NULL);
}

static enum p11_status check_query(const struct p11_op *op, const p11_ctx *ctx, struct p11_uri *uri)
{
    const char *path = p11_kit_uri_get_module_path(uri->kit);
    const char *name = p11_kit_uri_get_module_name(uri->kit);

    const char *value = p11_kit_uri_get_pin_value(uri->kit);

    uri->pin_source = p11_kit_uri_get_pin_source(uri->kit);
    if (value != NULL && !ctx->allow_pin_value)
        return p11_fail(op, P11_E_URI, "pin-value in a URI is not allowed by the configuration");
    if (value != NULL && uri->pin_source != NULL)
        return p11_fail(op, P11_E_URI, "both pin-value and pin-source");
    if (uri->pin_source != NULL && !p11_pin_source_valid(uri->pin_source))
        return p11_fail(op, P11_E_URI,
                        "pin-source is none of file:, env:, credential: or the path of a file");
    if (path != NULL && !same_file(path, ctx->module_path))
        return p11_fail(op, P11_E_URI, "module-path is not the configured module");
    if (name != NULL && !same_name(name, ctx->module_path))
        return p11_fail(op, P11_E_URI, "module-name is not the configured module's");
    if (value == NULL)
        return P11_OK;
    if (value[0] == '\0' || strlen(value) > P11_PIN_MAX)
        return p11_fail(op, P11_E_URI, "pin-value is empty or longer than 255 octets");
    uri->pin = p11_pin_new();
    if (uri->pin == NULL)
        return p11_fail(op, P11_E_MEMORY, "no page for the PIN");
    uri->pin->size = strlen(value);
    memcpy(uri->pin->octets, value, uri->pin->size);
    cleanse_kit(uri->kit);
    return P11_OK;
}

static enum p11_status take_path(const struct p11_op *op, struct p11_uri *uri)
{
    static const CK_TOKEN_INFO nothing;
    const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(uri->kit);
    const CK_ATTRIBUTE *class_ = p11_kit_uri_get_attribute(uri->kit, CKA_CLASS);
    const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(uri->kit, CKA_LABEL);
    const CK_ATTRIBUTE *id = p11_kit_uri_get_attribute(uri->kit, CKA_ID);
    const CK_SLOT_INFO *slot = p11_kit_uri_get_slot_info(uri->kit);

    uri->has_token = memcmp(token->label, nothing.label, sizeof(token->label)) != 0 ||
                     memcmp(token->manufacturerID, nothing.label, 32) != 0 ||
                     memcmp(token->model, nothing.label, sizeof(token->model)) != 0 ||
                     memcmp(token->serialNumber, nothing.label, sizeof(token->serialNumber)) != 0 ||
                     slot->slotDescription[0] != 0 || slot->manufacturerID[0] != 0 ||
                     p11_kit_uri_get_slot_id(uri->kit) != (CK_SLOT_ID)-1;
    uri->classes = P11_ANY;
    if (class_ != NULL) {
        CK_OBJECT_CLASS value;

        memcpy(&value, class_->pValue, sizeof(value));
        uri->classes = value == CKO_PRIVATE_KEY   ? P11_PRIVATE
                       : value == CKO_PUBLIC_KEY  ? P11_PUBLIC
                       : value == CKO_CERTIFICATE ? P11_CERTIFICATE
                                                  : 0;
        if (uri->classes == 0)
            return p11_fail(op, P11_E_URI, "type is none of private, public and cert");
    }
    if (label != NULL) {
        uri->has_label = true;
        uri->label = label->pValue;
        uri->label_size = label->ulValueLen;
    }
    if (id != NULL) {
        uri->has_id = true;
        uri->id = id->pValue;
        uri->id_size = id->ulValueLen;
    }
    return P11_OK;
}

enum p11_status p11_uri_parse(const p11_ctx *ctx, const char *text, struct p11_uri **result)
{
    struct p11_uri *uri = NULL;
    struct p11_op op = {0};
    enum p11_status status;
    const char *path, *query;
    size_t path_size;
    int kit;

    *result = NULL;
    if (text == NULL)
        return p11_fail(NULL, P11_E_URI, "no URI");
    uri = OPENSSL_zalloc(sizeof(*uri));
    if (uri == NULL || (uri->shown = p11_uri_redact(text)) == NULL ||
        (uri->kit = p11_kit_uri_new()) == NULL) {
        status = p11_fail(NULL, P11_E_MEMORY, "out of memory");
        goto out;
    }
    op.uri = uri->shown;
    if (strncmp(text, "pkcs11:", 7) != 0) {
        status = p11_fail(&op, P11_E_URI, "does not begin with pkcs11:");
        goto out;
    }
    path = text + 7;
    path_size = strcspn(path, "?");
    query = path[path_size] == '?' ? path + path_size + 1 : "";
    status = check_names(&op, path, path_size, ';', path_attributes, COUNT(path_attributes));
    if (status == P11_OK)
        status =
            check_names(&op, query, strlen(query), '&', query_attributes, COUNT(query_attributes));
    if (status != P11_OK)
        goto out;
    kit = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri->kit);
    if (kit != P11_KIT_URI_OK) {
        status = p11_fail(&op, P11_E_URI, "%s", p11_kit_uri_message(kit));
        goto out;
    }
    if (p11_kit_uri_any_unrecognized(uri->kit)) {
        status = p11_fail(&op, P11_E_URI, "an attribute has a value that no token can have");
        goto out;
    }
    status = check_query(&op, ctx, uri);
    if (status == P11_OK)
        status = take_path(&op, uri);
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
    if (uri->kit != NULL) {
        cleanse_kit(uri->kit);
        p11_kit_uri_free(uri->kit);
    }
    p11_pin_free(uri->pin);
    OPENSSL_free(uri->shown);
    OPENSSL_free(uri);
}

size_t p11_uri_template(const struct p11_uri *uri, CK_OBJECT_CLASS *class_, CK_ATTRIBUTE *want)
{
    size_t count = 0;

    want[count++] = (CK_ATTRIBUTE){CKA_CLASS, class_, sizeof(*class_)};
    if (uri->has_label)
        want[count++] =
            (CK_ATTRIBUTE){CKA_LABEL, (void *)(uintptr_t)uri->label, (CK_ULONG)uri->label_size};
    if (uri->has_id)
        want[count++] = (CK_ATTRIBUTE){CKA_ID, (void *)(uintptr_t)uri->id, (CK_ULONG)uri->id_size};
    return count;
}
