/* uri_format.c: the URIs that are written, in the order and encoding of p11-kit's tools. */
#include <string.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

static char *put_text(char *to, const char *text)
{
    size_t size = strlen(text);

    memcpy(to, text, size);
    return to + size;
}

/* RFC 3986's unreserved characters but ~ stand as they are; of an identifier, nothing does. */
static char *put_encoded(char *to, const void *octets, size_t size, bool all)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *from = octets;

    for (size_t i = 0; i < size; i++) {
        unsigned char c = from[i];

        if (!all && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-' || c == '.')) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    return to;
}

/* A field of CK_TOKEN_INFO without its padding; none if it was not filled in. */
static char *put_field(char *to, const char *name, const CK_UTF8CHAR *field, size_t size)
{
    size = strnlen((const char *)field, size);
    if (size == 0)
        return to;
    while (size > 0 && field[size - 1] == ' ')
        size--;
    if (to[-1] != ':')
        *to++ = ';';
    return put_encoded(put_text(to, name), field, size, false);
}

char *p11_uri_format(const CK_TOKEN_INFO *token, const struct p11_uri_object *object)
{
    static const char names[] =
        "pkcs11:model=;manufacturer=;serial=;token=;id=;object=;type=private";
    size_t octets = sizeof(token->model) + sizeof(token->manufacturerID) +
                    sizeof(token->serialNumber) + sizeof(token->label) +
                    (object != NULL ? object->label_size + object->id_size : 0);
    char *text = OPENSSL_malloc(sizeof(names) + 3 * octets);
    char *to;

    if (text == NULL)
        return NULL;
    to = put_text(text, "pkcs11:");
    to = put_field(to, "model=", token->model, sizeof(token->model));
    to = put_field(to, "manufacturer=", token->manufacturerID, sizeof(token->manufacturerID));
    to = put_field(to, "serial=", token->serialNumber, sizeof(token->serialNumber));
    to = put_field(to, "token=", token->label, sizeof(token->label));
    if (object != NULL && object->id_size != 0)
        to = put_encoded(put_text(to, ";id="), object->id, object->id_size, true);
    if (object != NULL && object->label_size != 0)
        to = put_encoded(put_text(to, ";object="), object->label, object->label_size, false);
    if (object != NULL)
        to = put_text(put_text(to, ";type="), object->type);
    *to = '\0';
    return text;
}
