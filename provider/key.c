/* key.c: the life of a key object. */
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "provider/provider.h"

struct prov_key *prov_key_new(struct prov_ctx *ctx)
{
    struct prov_key *key = OPENSSL_zalloc(sizeof(*key));

    if (key == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return NULL;
    }
    key->provider = ctx;
    key->references = 1;
    return key;
}

struct prov_key *prov_key_up_ref(struct prov_key *key)
{
    (void)__atomic_add_fetch(&key->references, 1, __ATOMIC_RELAXED);
    return key;
}

void prov_key_free(struct prov_key *key)
{
    if (key == NULL || __atomic_sub_fetch(&key->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    EVP_PKEY_free(key->software);
    OPENSSL_free(key);
}

int prov_key_set_software(struct prov_key *key, EVP_PKEY *software, bool has_public,
                          bool has_private)
{
    char name[64] = "";

    ERR_set_mark();
    if (!EVP_PKEY_get_group_name(software, name, sizeof(name), NULL))
        name[0] = '\0'; /* explicit parameters of a curve without a name */
    ERR_pop_to_mark();
    key->curve = prov_curve_find(name);
    key->software = software;
    key->has_public = has_public;
    key->has_private = has_private;
    return 1;
}
