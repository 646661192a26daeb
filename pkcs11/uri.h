/* uri.h: PKCS#11 URIs (RFC 7512), read by uri.c and written by uri_format.c. */
#ifndef DOT2HSM_PKCS11_URI_H
#define DOT2HSM_PKCS11_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p11-kit/pkcs11.h>

#include "pkcs11/p11.h"

struct p11_pin;
struct p11_slot;

/* RFC 7512, clause 2.3: the path's attributes, then the query's. */
enum p11_uri_attribute {
    P11_URI_TOKEN,
    P11_URI_MANUFACTURER,
    P11_URI_SERIAL,
    P11_URI_MODEL,
    P11_URI_OBJECT,
    P11_URI_TYPE,
    P11_URI_ID,
    P11_URI_SLOT_ID,
    P11_URI_SLOT_DESCRIPTION,
    P11_URI_SLOT_MANUFACTURER,
    P11_URI_LIBRARY_VERSION,
    P11_URI_LIBRARY_MANUFACTURER,
    P11_URI_LIBRARY_DESCRIPTION,
    P11_URI_PIN_SOURCE,
    P11_URI_PIN_VALUE,
    P11_URI_MODULE_NAME,
    P11_URI_MODULE_PATH,
    P11_URI_ATTRIBUTES
};
#define P11_URI_QUERY P11_URI_PIN_SOURCE

struct p11_uri {
    char *decoded; /* what the values point into */
    size_t decoded_size;
    struct p11_uri_value {
        const char *octets; /* with a NUL behind them; NULL = not given */
        size_t size;
    } values[P11_URI_ATTRIBUTES];
    char *shown;      /* the URI without query, for messages */
    unsigned classes; /* P11_ANY, or the one of type= */
    bool has_token;   /* names a token by anything */
    bool has_object;  /* names an object by label or CKA_ID */
    CK_SLOT_ID slot_id;
    CK_VERSION library_version;
    struct p11_pin *pin; /* pin-value, which is cleansed from decoded */
};
enum p11_status p11_uri_parse(const p11_ctx *ctx, const char *text, struct p11_uri **uri);
void p11_uri_free(struct p11_uri *uri);
/* A copy of a URI that is fit for a message: cut before anything that may hold a PIN. */
char *p11_uri_redact(const char *text);
/* Whether all that the URI says of module, slot and token is true of this one. */
bool p11_uri_matches(const struct p11_uri *uri, const CK_INFO *module, const struct p11_slot *slot);
/*
 * The URI of a token, or of an object on it (object != NULL, without an empty label or CKA_ID), to
 * be freed with OPENSSL_free(); NULL if there is no memory. Equal input gives equal text.
 */
struct p11_uri_object {
    const char *type; /* private, public or cert */
    const void *label, *id;
    size_t label_size, id_size;
};
char *p11_uri_format(const CK_TOKEN_INFO *token, const struct p11_uri_object *object);

#endif
