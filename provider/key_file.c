/* key_file.c: reading and writing the DER form of a key file, which stand side by side. */
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/asn1t.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "provider/key_file.h"
#include "provider/provider.h"

#define DESCRIPTION "PKCS#11 Provider URI v1.0"
/* What all versions of the form would begin with. */
#define DESCRIPTION_STEM "PKCS#11 Provider URI"
#define SCHEME "pkcs11:"

typedef struct key_file {
    ASN1_VISIBLESTRING *description;
    ASN1_UTF8STRING *uri;
} KEY_FILE;

/* The template macros of libcrypto make functions for the types of their members. */
ASN1_SEQUENCE(KEY_FILE) =
    {
        ASN1_SIMPLE(KEY_FILE, description, ASN1_VISIBLESTRING),
        ASN1_SIMPLE(KEY_FILE, uri, ASN1_UTF8STRING),
} static_ASN1_SEQUENCE_END(KEY_FILE)

        static bool has_stem(const ASN1_STRING *text)
{
    return (size_t)ASN1_STRING_length(text) >= strlen(DESCRIPTION_STEM) &&
           memcmp(ASN1_STRING_get0_data(text), DESCRIPTION_STEM, strlen(DESCRIPTION_STEM)) == 0;
}

static bool is_text(const ASN1_STRING *string, const char *text)
{
    return (size_t)ASN1_STRING_length(string) == strlen(text) &&
           memcmp(ASN1_STRING_get0_data(string), text, strlen(text)) == 0;
}

/* One value has one DER form: what was read must be it. */
static bool is_der(const KEY_FILE *file, const uint8_t *der, size_t size)
{
    uint8_t *again = NULL;
    int length = ASN1_item_i2d((const ASN1_VALUE *)file, &again, ASN1_ITEM_rptr(KEY_FILE));
    bool same = length > 0 && (size_t)length == size && memcmp(again, der, size) == 0;

    OPENSSL_clear_free(again, length > 0 ? (size_t)length : 0);
    return same;
}

static const char *fault(const KEY_FILE *file, const uint8_t *der, size_t size)
{
    const uint8_t *uri = ASN1_STRING_get0_data(file->uri);
    size_t uri_size = (size_t)ASN1_STRING_length(file->uri);

    if (!is_text(file->description, DESCRIPTION))
        return "its description is not \"" DESCRIPTION "\"";
    if (!is_der(file, der, size))
        return "it is not DER, or has more after its end";
    if (uri_size < strlen(SCHEME) || memcmp(uri, SCHEME, strlen(SCHEME)) != 0)
        return "its URI does not begin with " SCHEME;
    if (memchr(uri, '\0', uri_size) != NULL)
        return "its URI has a NUL octet";
    return NULL;
}

enum prov_key_file prov_key_file_parse(const uint8_t *der, size_t size, char **uri)
{
    enum prov_key_file result = PROV_KEY_FILE_OTHER;
    const uint8_t *at = der;
    KEY_FILE *file = NULL;
    const char *wrong = NULL;

    *uri = NULL;
    if (size > PROV_KEY_FILE_MAX)
        return PROV_KEY_FILE_OTHER;
    ERR_set_mark(); /* most of what comes along here is something else */
    file = (KEY_FILE *)ASN1_item_d2i(NULL, &at, (long)size, ASN1_ITEM_rptr(KEY_FILE));
    ERR_pop_to_mark();
    if (file == NULL || !has_stem(file->description))
        goto out;
    result = PROV_KEY_FILE_MALFORMED;
    wrong = fault(file, der, size);
    if (wrong != NULL) {
        PROV_RAISE(PROV_R_KEY_FILE, "%s", wrong);
        goto out;
    }
    *uri = OPENSSL_strndup((const char *)ASN1_STRING_get0_data(file->uri),
                           (size_t)ASN1_STRING_length(file->uri));
    if (*uri == NULL)
        PROV_RAISE(PROV_R_MEMORY, NULL);
    else
        result = PROV_KEY_FILE_OK;
out:
    if (file != NULL && file->uri != NULL) /* it may hold a PIN */
        OPENSSL_cleanse((void *)(uintptr_t)ASN1_STRING_get0_data(file->uri),
                        (size_t)ASN1_STRING_length(file->uri));
    ASN1_item_free((ASN1_VALUE *)file, ASN1_ITEM_rptr(KEY_FILE));
    return result;
}

int prov_key_file_build(const char *uri, uint8_t **der, size_t *size)
{
    KEY_FILE *file = (KEY_FILE *)ASN1_item_new(ASN1_ITEM_rptr(KEY_FILE));
    int length = 0;
    int ok = 0;

    *der = NULL;
    if (file != NULL && ASN1_STRING_set(file->description, DESCRIPTION, -1) &&
        ASN1_STRING_set(file->uri, uri, -1))
        length = ASN1_item_i2d((ASN1_VALUE *)file, der, ASN1_ITEM_rptr(KEY_FILE));
    if (length > 0 && length <= PROV_KEY_FILE_MAX) {
        *size = (size_t)length;
        ok = 1;
    } else {
        PROV_RAISE(PROV_R_KEY_FILE, "it cannot be made of %s", uri);
        OPENSSL_free(*der);
        *der = NULL;
    }
    ASN1_item_free((ASN1_VALUE *)file, ASN1_ITEM_rptr(KEY_FILE));
    return ok;
}
