/* keymgmt_params.c: the parameters of an EC key, which are those of the key beneath. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "provider/keymgmt.h"
#include "provider/provider.h"

/* Everything that describes the group, whether by name or by its numbers. */
#define GROUP_PARAMS                                                                               \
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),                                   \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0),                              \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),               \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_FIELD_TYPE, NULL, 0),                            \
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_P, NULL, 0),                                              \
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_A, NULL, 0),                                              \
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_B, NULL, 0),                                              \
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_EC_GENERATOR, NULL, 0),                            \
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_ORDER, NULL, 0),                                          \
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_COFACTOR, NULL, 0),                                       \
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_EC_SEED, NULL, 0)

#define OTHER_PARAMS                                                                               \
    OSSL_PARAM_int(OSSL_PKEY_PARAM_USE_COFACTOR_ECDH, NULL),                                       \
        OSSL_PARAM_int(OSSL_PKEY_PARAM_EC_INCLUDE_PUBLIC, NULL)

#define PUBLIC_PARAMS OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0)
#define PRIVATE_PARAMS OSSL_PARAM_BN(OSSL_PKEY_PARAM_PRIV_KEY, NULL, 0)

const OSSL_PARAM *prov_keymgmt_gettable_params(void *vctx)
{
    static const OSSL_PARAM gettable[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_X, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_EC_PUB_Y, NULL, 0),
        GROUP_PARAMS,
        OTHER_PARAMS,
        PUBLIC_PARAMS,
        PRIVATE_PARAMS,
        OSSL_PARAM_utf8_string(PROV_PARAM_PKCS11_URI, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vctx;
    return gettable;
}

/*
 * What libcrypto asks for of every key that it is given, and answers itself afterwards: for a key
 * of a token it is in the curve's table. False: something else is asked for, too.
 */
static bool get_sizes(const struct prov_key *key, OSSL_PARAM params[], int *ok)
{
    *ok = 1;
    for (OSSL_PARAM *p = params; p->key != NULL; p++) {
        int octets = (int)key->curve->size;

        if (strcmp(p->key, OSSL_PKEY_PARAM_BITS) == 0)
            *ok = *ok && OSSL_PARAM_set_int(p, 8 * octets);
        else if (strcmp(p->key, OSSL_PKEY_PARAM_SECURITY_BITS) == 0)
            *ok = *ok && OSSL_PARAM_set_int(p, 4 * octets);
        else if (strcmp(p->key, OSSL_PKEY_PARAM_MAX_SIZE) == 0)
            *ok = *ok && OSSL_PARAM_set_int(p, (int)prov_der_max_size(key->curve));
        else
            return false;
    }
    return true;
}

int prov_keymgmt_get_params(void *vkey, OSSL_PARAM params[])
{
    const struct prov_key *key = vkey;
    EVP_PKEY *software = NULL;
    OSSL_PARAM *digest = NULL;
    OSSL_PARAM *uri = NULL;
    int ok = 0;

    if (key->token != NULL && get_sizes(key, params, &ok))
        return ok;
    if (key->token != NULL && OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_PRIV_KEY) != NULL) {
        PROV_RAISE(PROV_R_STAYS_IN_TOKEN, "%s cannot be read", p11_key_uri(key->token));
        return 0;
    }
    software = prov_key_software(key);
    if (software == NULL || !EVP_PKEY_get_params(software, params))
        return 0;
    /* The delegate proposes SHA-256 for every curve; here each curve has its own. */
    digest = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST);
    if (digest != NULL && key->curve != NULL &&
        !OSSL_PARAM_set_utf8_string(digest, key->curve->digest))
        return 0;
    uri = OSSL_PARAM_locate(params, PROV_PARAM_PKCS11_URI);
    return uri == NULL || key->token == NULL ||
           OSSL_PARAM_set_utf8_string(uri, p11_key_uri(key->token));
}

const OSSL_PARAM *prov_keymgmt_settable_params(void *vctx)
{
    static const OSSL_PARAM settable[] = {
        OTHER_PARAMS,
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_EC_SEED, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_GROUP_CHECK_TYPE, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vctx;
    return settable;
}

int prov_keymgmt_set_params(void *vkey, const OSSL_PARAM params[])
{
    struct prov_key *key = vkey;
    EVP_PKEY *software = NULL;
    const OSSL_PARAM *point = NULL;

    point = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY);
    if (point != NULL && key->token != NULL) {
        PROV_RAISE(PROV_R_STAYS_IN_TOKEN, "%s: its public key cannot be replaced",
                   p11_key_uri(key->token));
        return 0;
    }
    software = prov_key_software(key);
    if (software == NULL || !EVP_PKEY_set_params(software, (OSSL_PARAM *)params))
        return 0;
    if (point != NULL)
        key->has_public = true;
    return 1;
}

const OSSL_PARAM *prov_keymgmt_transfer_types(int selection)
{
    static const OSSL_PARAM nothing[] = {OSSL_PARAM_END};
    static const OSSL_PARAM public_only[] = {PUBLIC_PARAMS, OSSL_PARAM_END};
    static const OSSL_PARAM private_only[] = {PRIVATE_PARAMS, OSSL_PARAM_END};
    static const OSSL_PARAM pair[] = {PUBLIC_PARAMS, PRIVATE_PARAMS, OSSL_PARAM_END};
    static const OSSL_PARAM group[] = {GROUP_PARAMS, OTHER_PARAMS, OSSL_PARAM_END};
    static const OSSL_PARAM group_public[] = {GROUP_PARAMS, OTHER_PARAMS, PUBLIC_PARAMS,
                                              OSSL_PARAM_END};
    static const OSSL_PARAM group_private[] = {GROUP_PARAMS, OTHER_PARAMS, PRIVATE_PARAMS,
                                               OSSL_PARAM_END};
    static const OSSL_PARAM all[] = {GROUP_PARAMS, OTHER_PARAMS, PUBLIC_PARAMS, PRIVATE_PARAMS,
                                     OSSL_PARAM_END};
    static const OSSL_PARAM *const types[] = {nothing, public_only,  private_only,  pair,
                                              group,   group_public, group_private, all};
    size_t index = 0;

    if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0)
        index |= 1;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
        index |= 2;
    if ((selection & OSSL_KEYMGMT_SELECT_ALL_PARAMETERS) != 0)
        index |= 4;
    return types[index];
}
