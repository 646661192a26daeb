/* keymgmt_ec.c: KEYMGMT "EC". What needs no token is the software key's beneath. */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "provider/keymgmt.h"
#include "provider/provider.h"

static OSSL_FUNC_keymgmt_new_fn keymgmt_new;
static OSSL_FUNC_keymgmt_load_fn keymgmt_load;
static OSSL_FUNC_keymgmt_free_fn keymgmt_free;
static OSSL_FUNC_keymgmt_has_fn keymgmt_has;
static OSSL_FUNC_keymgmt_match_fn keymgmt_match;
static OSSL_FUNC_keymgmt_validate_fn keymgmt_validate;
static OSSL_FUNC_keymgmt_import_fn keymgmt_import;
static OSSL_FUNC_keymgmt_export_fn keymgmt_export;
static OSSL_FUNC_keymgmt_dup_fn keymgmt_dup;
static OSSL_FUNC_keymgmt_query_operation_name_fn keymgmt_query_operation_name;

static void *keymgmt_new(void *vctx)
{
    return prov_key_new(vctx);
}

/* reference is what the STORE loader hands over: a pointer to its key, which changes owner. */
static void *keymgmt_load(const void *reference, size_t size)
{
    struct prov_key **handed = (struct prov_key **)reference;
    struct prov_key *key = NULL;

    if (reference == NULL || size != sizeof(*handed) || *handed == NULL) {
        PROV_RAISE(PROV_R_NO_KEY, "the reference is not one of this provider's");
        return NULL;
    }
    key = *handed;
    *handed = NULL;
    return key;
}

static void keymgmt_free(void *vkey)
{
    prov_key_free(vkey);
}

static int keymgmt_has(const void *vkey, int selection)
{
    const struct prov_key *key = vkey;

    if (key == NULL || !prov_key_is_there(key))
        return 0;
    if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 && !key->has_public)
        return 0;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && !key->has_private)
        return 0;
    return 1;
}

/* Private numbers, in a time that does not tell where they differ. */
static int same_number(const BIGNUM *one, const BIGNUM *other)
{
    uint8_t a[PROV_MAX_COORDINATE], b[PROV_MAX_COORDINATE];
    int same = BN_bn2binpad(one, a, sizeof(a)) > 0 && BN_bn2binpad(other, b, sizeof(b)) > 0 &&
               CRYPTO_memcmp(a, b, sizeof(a)) == 0;

    OPENSSL_cleanse(a, sizeof(a));
    OPENSSL_cleanse(b, sizeof(b));
    return same;
}

/*
 * A private key in a token cannot be read, so keys are the same when their public keys are; only
 * two software keys without any public key are compared by their private numbers.
 */
static int keymgmt_match(const void *vone, const void *vother, int selection)
{
    const struct prov_key *one = vone;
    const struct prov_key *other = vother;
    EVP_PKEY *software_one = NULL, *software_other = NULL;
    BIGNUM *d_one = NULL, *d_other = NULL;
    int same = 0;

    if (!prov_key_is_there(one) || !prov_key_is_there(other))
        return 0;
    software_one = prov_key_software(one);
    software_other = prov_key_software(other);
    if (software_one == NULL || software_other == NULL)
        return 0;
    ERR_set_mark(); /* that two keys differ is an answer, not an error */
    if (EVP_PKEY_parameters_eq(software_one, software_other) != 1)
        goto out;
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) {
        same = 1;
    } else if (one->has_public && other->has_public) {
        same = EVP_PKEY_eq(software_one, software_other) == 1;
    } else if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0) {
        same = EVP_PKEY_get_bn_param(software_one, OSSL_PKEY_PARAM_PRIV_KEY, &d_one) &&
               EVP_PKEY_get_bn_param(software_other, OSSL_PKEY_PARAM_PRIV_KEY, &d_other) &&
               same_number(d_one, d_other);
    }
out:
    ERR_pop_to_mark();
    BN_clear_free(d_one);
    BN_clear_free(d_other);
    return same;
}

static int keymgmt_validate(const void *vkey, int selection, int check_type)
{
    const struct prov_key *key = vkey;
    bool pair = (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == OSSL_KEYMGMT_SELECT_KEYPAIR;
    EVP_PKEY_CTX *delegate = NULL;
    int ok = 1;

    if (!keymgmt_has(key, selection)) {
        PROV_RAISE(PROV_R_NO_KEY, "the key has not all parts that are to be checked");
        return 0;
    }
    delegate = prov_delegate_of_key(key);
    if (delegate == NULL)
        return 0;
    if ((selection & OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS) != 0) {
        ok = check_type == OSSL_KEYMGMT_VALIDATE_QUICK_CHECK ? EVP_PKEY_param_check_quick(delegate)
                                                             : EVP_PKEY_param_check(delegate);
    }
    if (ok == 1 && (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0) {
        ok = check_type == OSSL_KEYMGMT_VALIDATE_QUICK_CHECK ? EVP_PKEY_public_check_quick(delegate)
                                                             : EVP_PKEY_public_check(delegate);
    }
    if (ok == 1 && (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0) {
        /* The number in the token cannot be looked at; whether it fits the point can be seen. */
        if (key->token != NULL)
            ok = prov_token_check_pair((struct prov_key *)key);
        else
            ok = EVP_PKEY_private_check(delegate);
    }
    if (ok == 1 && pair && key->token == NULL)
        ok = EVP_PKEY_pairwise_check(delegate);
    EVP_PKEY_CTX_free(delegate);
    return ok == 1;
}

static bool has_param(const OSSL_PARAM params[], const char *name)
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);

    return p != NULL && p->data != NULL;
}

static int keymgmt_import(void *vkey, int selection, const OSSL_PARAM params[])
{
    struct prov_key *key = vkey;
    bool pair = (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
    bool private = (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
    EVP_PKEY_CTX *delegate = NULL;
    EVP_PKEY *software = NULL;
    int ok = 0;

    if (prov_key_is_there(key)) {
        PROV_RAISE(PROV_R_KEY_NOT_EMPTY, "import into a key that is there already");
        return 0;
    }
    delegate = prov_delegate_new(key->provider);
    if (delegate == NULL)
        return 0;
    if (EVP_PKEY_fromdata_init(delegate) <= 0 ||
        EVP_PKEY_fromdata(delegate, &software, selection, (OSSL_PARAM *)params) <= 0) {
        PROV_RAISE(PROV_R_DELEGATE, "the parameters make no EC key");
        goto out;
    }
    if (!prov_key_set_software(key, software, pair && has_param(params, OSSL_PKEY_PARAM_PUB_KEY),
                               private && has_param(params, OSSL_PKEY_PARAM_PRIV_KEY)))
        goto out;
    software = NULL;
    if (key->curve == NULL) {
        /* Refused here, libcrypto falls back to the provider that the key comes from. */
        PROV_RAISE(PROV_R_CURVE, "not P-256, P-384, brainpoolP256r1 or brainpoolP384r1");
        goto out;
    }
    ok = 1;
out:
    EVP_PKEY_free(software);
    EVP_PKEY_CTX_free(delegate);
    return ok;
}

static int keymgmt_export(void *vkey, int selection, OSSL_CALLBACK *callback, void *arg)
{
    const struct prov_key *key = vkey;
    EVP_PKEY *software = NULL;

    if (key->token != NULL && (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0) {
        /*
         * As a whole: given the public half only, libcrypto would believe that the other provider
         * has the key, and sign there, with nothing. libcrypto tries this, and drops the error,
         * each time an operation is begun while another provider has it too: so the error is the
         * reason alone. With the URI formatted into it, it would take a third of the time of
         * beginning.
         */
        PROV_RAISE(PROV_R_STAYS_IN_TOKEN, NULL);
        return 0;
    }
    software = prov_key_software(key);
    return software != NULL && EVP_PKEY_export(software, selection, callback, arg);
}

/* The selected parts of a software key as a new one of the delegate. */
static EVP_PKEY *copy_software(const struct prov_key *key, int selection)
{
    EVP_PKEY *software = prov_key_software(key);
    EVP_PKEY_CTX *delegate = NULL;
    EVP_PKEY *copy = NULL;
    OSSL_PARAM *params = NULL;

    if (software == NULL)
        return NULL;
    if (key->token != NULL)
        selection &= ~OSSL_KEYMGMT_SELECT_PRIVATE_KEY;
    else if ((selection & OSSL_KEYMGMT_SELECT_ALL) == OSSL_KEYMGMT_SELECT_ALL)
        return EVP_PKEY_dup(software);
    if (!EVP_PKEY_todata(software, selection, &params))
        goto out;
    delegate = prov_delegate_new(key->provider);
    if (delegate == NULL || EVP_PKEY_fromdata_init(delegate) <= 0 ||
        EVP_PKEY_fromdata(delegate, &copy, selection, params) <= 0)
        goto out;
out:
    EVP_PKEY_CTX_free(delegate);
    OSSL_PARAM_free(params);
    return copy;
}

static void *keymgmt_dup(const void *vkey, int selection)
{
    const struct prov_key *key = vkey;
    struct prov_key *copy = prov_key_new(key->provider);
    EVP_PKEY *software = NULL;

    if (copy == NULL || !prov_key_is_there(key))
        return copy;
    software = copy_software(key, selection);
    if (software == NULL ||
        !prov_key_set_software(
            copy, software, key->has_public && (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0,
            key->has_private && (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)) {
        PROV_RAISE(PROV_R_DELEGATE, "the key cannot be duplicated");
        EVP_PKEY_free(software);
        prov_key_free(copy);
        return NULL;
    }
    if (key->token != NULL && copy->has_private)
        copy->token = p11_key_up_ref(key->token);
    return copy;
}

static const char *keymgmt_query_operation_name(int operation)
{
    switch (operation) {
    case OSSL_OP_SIGNATURE:
        return "ECDSA";
    case OSSL_OP_KEYEXCH:
        return "ECDH";
    default:
        return NULL;
    }
}

const OSSL_DISPATCH prov_keymgmt_ec_functions[] = {
    {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))keymgmt_new},
    {OSSL_FUNC_KEYMGMT_LOAD, (void (*)(void))keymgmt_load},
    {OSSL_FUNC_KEYMGMT_GEN_INIT, (void (*)(void))prov_keymgmt_gen_init},
    {OSSL_FUNC_KEYMGMT_GEN_SET_TEMPLATE, (void (*)(void))prov_keymgmt_gen_set_template},
    {OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, (void (*)(void))prov_keymgmt_gen_set_params},
    {OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, (void (*)(void))prov_keymgmt_gen_settable_params},
    {OSSL_FUNC_KEYMGMT_GEN, (void (*)(void))prov_keymgmt_gen},
    {OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (void (*)(void))prov_keymgmt_gen_cleanup},
    {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))keymgmt_free},
    {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))keymgmt_has},
    {OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))keymgmt_match},
    {OSSL_FUNC_KEYMGMT_VALIDATE, (void (*)(void))keymgmt_validate},
    {OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))keymgmt_import},
    {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))prov_keymgmt_transfer_types},
    {OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void))keymgmt_export},
    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))prov_keymgmt_transfer_types},
    {OSSL_FUNC_KEYMGMT_DUP, (void (*)(void))keymgmt_dup},
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))prov_keymgmt_get_params},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))prov_keymgmt_gettable_params},
    {OSSL_FUNC_KEYMGMT_SET_PARAMS, (void (*)(void))prov_keymgmt_set_params},
    {OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, (void (*)(void))prov_keymgmt_settable_params},
    {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))keymgmt_query_operation_name},
    {0, NULL},
};
