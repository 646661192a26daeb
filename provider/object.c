/* object.c: from what a URI names to key objects. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "provider/object.h"

bool prov_objects_find(struct prov_ctx *provider, const char *uri, unsigned classes,
                       struct prov_prompt *prompt, p11_objects **objects)
{
    p11_ctx *token = prov_token_get(provider);

    *objects = NULL;
    return token != NULL &&
           p11_find(token, uri, classes, prompt->callback != NULL ? prov_token_prompt : NULL,
                    prompt, objects) == P11_OK;
}

/* The part of a URI that tells one candidate from another: from the token's label on. */
static const char *short_name(const char *uri)
{
    const char *token = strstr(uri, "token=");

    return token != NULL ? token : uri;
}

/* With several candidates, the first would be a matter of chance: the user has to name one. */
bool prov_objects_unambiguous(const p11_objects *objects)
{
    char list[800] = ""; /* libcrypto drops a text of 1,024 octets altogether */
    size_t count = 0;

    for (size_t i = 0; i < p11_objects_count(objects); i++) {
        const struct p11_object *object = p11_objects_get(objects, i);
        const char *name = short_name(object->uri);

        if (object->class_ != P11_PRIVATE)
            continue;
        if (strlen(list) + strlen(name) < sizeof(list) - 8) {
            OPENSSL_strlcat(list, count > 0 ? ", " : "", sizeof(list));
            OPENSSL_strlcat(list, name, sizeof(list));
        } else if (list[0] == '\0' || list[strlen(list) - 1] != '.') {
            OPENSSL_strlcat(list, ", ...", sizeof(list));
        }
        count++;
    }
    if (count < 2)
        return true;
    PROV_RAISE(PROV_R_AMBIGUOUS, "%zu private keys: %s", count, list);
    return false;
}

struct prov_key *prov_object_key(struct prov_ctx *provider, const p11_objects *objects,
                                 size_t index, bool public_only)
{
    const struct p11_object *object = p11_objects_get(objects, index);
    p11_ctx *token = prov_token_get(provider);
    struct prov_key *key = NULL;
    p11_key *token_key = NULL;

    if (token == NULL)
        return NULL;
    key = prov_key_new(provider);
    if (key == NULL)
        return NULL;
    if (object->class_ != P11_PRIVATE || public_only) {
        if (prov_key_set_point(key, object->curve, object->point, object->point_size))
            return key;
    } else if (p11_key_open(token, objects, index, &token_key) == P11_OK) {
        if (prov_key_set_token(key, token_key))
            return key;
        p11_key_free(token_key);
    }
    prov_key_free(key);
    return NULL;
}

/* By reference; the KEYMGMT that takes the key sets our pointer to NULL. */
int prov_object_deliver(struct prov_key *key, OSSL_CALLBACK *callback, void *arg)
{
    int type = OSSL_OBJECT_PKEY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *)"EC", 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &key, sizeof(key)),
        OSSL_PARAM_construct_end(),
    };
    int ok = callback(params, arg);

    prov_key_free(key);
    return ok;
}
