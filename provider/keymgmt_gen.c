/* keymgmt_gen.c: a new key, in a token if pkcs11_uri is given, else in software. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "provider/keymgmt.h"
#include "provider/provider.h"

struct generation {
    struct prov_ctx *provider;
    int selection;
    EVP_PKEY_CTX *delegate; /* software generation; takes all parameters but ours */
    char group[64];
    char *uri;
    unsigned usage; /* set of enum p11_usage */
};

void *prov_keymgmt_gen_init(void *vctx, int selection, const OSSL_PARAM params[])
{
    struct generation *generation = OPENSSL_zalloc(sizeof(*generation));
    int ok = 0;

    if (generation == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return NULL;
    }
    generation->provider = vctx;
    generation->selection = selection;
    generation->usage = P11_USAGE_SIGN;
    generation->delegate = prov_delegate_new(generation->provider);
    if (generation->delegate == NULL)
        goto err;
    ok = (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0
             ? EVP_PKEY_keygen_init(generation->delegate)
             : EVP_PKEY_paramgen_init(generation->delegate);
    if (ok <= 0 || !prov_keymgmt_gen_set_params(generation, params))
        goto err;
    return generation;
err:
    prov_keymgmt_gen_cleanup(generation);
    return NULL;
}

void prov_keymgmt_gen_cleanup(void *vgeneration)
{
    struct generation *generation = vgeneration;

    if (generation == NULL)
        return;
    EVP_PKEY_CTX_free(generation->delegate);
    OPENSSL_free(generation->uri);
    OPENSSL_free(generation);
}

int prov_keymgmt_gen_set_template(void *vgeneration, void *vtemplate)
{
    struct generation *generation = vgeneration;
    const struct prov_key *template = vtemplate;
    EVP_PKEY *software = prov_key_software(template);
    char group[64] = "";

    if (software == NULL || !EVP_PKEY_get_group_name(software, group, sizeof(group), NULL) ||
        EVP_PKEY_CTX_set_group_name(generation->delegate, group) <= 0) {
        PROV_RAISE(PROV_R_NO_KEY, "the template key has no named group");
        return 0;
    }
    OPENSSL_strlcpy(generation->group, group, sizeof(generation->group));
    return 1;
}

const OSSL_PARAM *prov_keymgmt_gen_settable_params(void *vgeneration, void *vctx)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_USE_COFACTOR_ECDH, NULL),
        OSSL_PARAM_utf8_string(PROV_PARAM_PKCS11_URI, NULL, 0),
        OSSL_PARAM_utf8_string(PROV_PARAM_PKCS11_USAGE, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vgeneration;
    (void)vctx;
    return settable;
}

static int set_usage(struct generation *generation, const OSSL_PARAM *p)
{
    static const struct {
        const char *text;
        unsigned usage;
    } usages[] = {
        {"sign", P11_USAGE_SIGN},
        {"derive", P11_USAGE_DERIVE},
        {"sign,derive", P11_USAGE_SIGN | P11_USAGE_DERIVE},
        {"derive,sign", P11_USAGE_SIGN | P11_USAGE_DERIVE},
    };
    char text[16] = "";
    char *cursor = text;

    if (OSSL_PARAM_get_utf8_string(p, &cursor, sizeof(text))) {
        for (size_t i = 0; i < sizeof(usages) / sizeof(usages[0]); i++) {
            if (strcmp(text, usages[i].text) == 0) {
                generation->usage = usages[i].usage;
                return 1;
            }
        }
    }
    PROV_RAISE(PROV_R_PARAMETER, PROV_PARAM_PKCS11_USAGE " is sign, derive or sign,derive");
    return 0;
}

int prov_keymgmt_gen_set_params(void *vgeneration, const OSSL_PARAM params[])
{
    struct generation *generation = vgeneration;
    const OSSL_PARAM *p = NULL;
    char *group = generation->group;

    if (params == NULL)
        return 1;
    p = OSSL_PARAM_locate_const(params, PROV_PARAM_PKCS11_URI);
    if (p != NULL) {
        OPENSSL_free(generation->uri);
        generation->uri = NULL;
        if (!OSSL_PARAM_get_utf8_string(p, &generation->uri, 0)) {
            PROV_RAISE(PROV_R_PARAMETER, PROV_PARAM_PKCS11_URI " is a string");
            return 0;
        }
    }
    p = OSSL_PARAM_locate_const(params, PROV_PARAM_PKCS11_USAGE);
    if (p != NULL && !set_usage(generation, p))
        return 0;
    p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
    if (p != NULL && !OSSL_PARAM_get_utf8_string(p, &group, sizeof(generation->group))) {
        PROV_RAISE(PROV_R_PARAMETER, OSSL_PKEY_PARAM_GROUP_NAME " is a name");
        return 0;
    }
    /* What is not ours (the group too) goes to the delegate, which checks it. */
    if (EVP_PKEY_CTX_set_params(generation->delegate, params) <= 0) {
        PROV_RAISE(PROV_R_PARAMETER, "refused by the provider that does the software work");
        return 0;
    }
    return 1;
}

static struct prov_key *generate_in_token(struct generation *generation)
{
    struct prov_ctx *provider = generation->provider;
    const struct prov_curve *curve = prov_curve_find(generation->group);
    struct p11_generate how = {P11_CURVE_NONE, generation->usage};
    struct prov_key *key = NULL;
    p11_key *token_key = NULL;
    p11_ctx *token = NULL;
    enum p11_status status = P11_OK;

    if (curve == NULL) {
        PROV_RAISE(PROV_R_CURVE,
                   "a key in a token is on P-256, P-384, brainpoolP256r1 or "
                   "brainpoolP384r1, not on '%s'",
                   generation->group);
        return NULL;
    }
    how.curve = p11_curve_from_name(curve->name);
    token = prov_token_get(provider);
    if (token == NULL)
        return NULL;
    status = p11_key_generate(token, generation->uri, &how, NULL, NULL, &token_key);
    if (status != P11_OK)
        return NULL;
    key = prov_key_new(provider);
    if (key == NULL || !prov_key_set_token(key, token_key)) {
        p11_key_free(token_key);
        prov_key_free(key);
        return NULL;
    }
    return key;
}

static struct prov_key *generate_in_software(struct generation *generation)
{
    struct prov_key *key = prov_key_new(generation->provider);
    bool pair = (generation->selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
    EVP_PKEY *software = NULL;

    if (key == NULL)
        return NULL;
    if (EVP_PKEY_generate(generation->delegate, &software) <= 0 ||
        !prov_key_set_software(key, software, pair, pair)) {
        PROV_RAISE(PROV_R_DELEGATE, "the key cannot be generated");
        EVP_PKEY_free(software);
        prov_key_free(key);
        return NULL;
    }
    return key;
}

void *prov_keymgmt_gen(void *vgeneration, OSSL_CALLBACK *progress, void *progress_arg)
{
    struct generation *generation = vgeneration;

    (void)progress; /* an EC key is a matter of milliseconds */
    (void)progress_arg;
    if (generation->uri == NULL)
        return generate_in_software(generation);
    if ((generation->selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) {
        PROV_RAISE(PROV_R_PARAMETER, "parameters alone are not made in a token");
        return NULL;
    }
    return generate_in_token(generation);
}
