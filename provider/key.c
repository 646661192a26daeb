/* key.c: the life of a key object. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>

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
    p11_key_free(key->token);
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

/* A public key of the delegate; NULL if there is no delegate, or it does not like the point. */
static EVP_PKEY *public_key(struct prov_ctx *provider, enum p11_curve curve, const uint8_t *point,
                            size_t size)
{
    const char *name = p11_curve_name(curve);
    EVP_PKEY_CTX *delegate = prov_delegate_new(provider);
    EVP_PKEY *software = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, size),
        OSSL_PARAM_construct_end(),
    };

    if (delegate == NULL)
        return NULL;
    if (EVP_PKEY_fromdata_init(delegate) <= 0 ||
        EVP_PKEY_fromdata(delegate, &software, EVP_PKEY_PUBLIC_KEY, params) <= 0) {
        PROV_RAISE(PROV_R_DELEGATE, "the token's point is not on %s", name);
        software = NULL;
    }
    EVP_PKEY_CTX_free(delegate);
    return software;
}

static bool check_point(enum p11_curve curve, const uint8_t *point)
{
    if (p11_curve_name(curve) != NULL && point != NULL)
        return true;
    PROV_RAISE(PROV_R_CURVE, "not an EC key on a supported curve, or without a public key");
    return false;
}

int prov_key_set_point(struct prov_key *key, enum p11_curve curve, const uint8_t *point,
                       size_t size)
{
    EVP_PKEY *software = NULL;

    if (!check_point(curve, point))
        return 0;
    software = public_key(key->provider, curve, point, size);
    return software != NULL && prov_key_set_software(key, software, true, false);
}

int prov_key_set_token(struct prov_key *key, p11_key *token)
{
    size_t size = 0;
    enum p11_curve curve = p11_key_curve(token);

    if (!check_point(curve, p11_key_point(token, &size)))
        return 0;
    key->curve = prov_curve_find(p11_curve_name(curve));
    key->token = token;
    key->has_public = true;
    key->has_private = true;
    return 1;
}

bool prov_key_is_there(const struct prov_key *key)
{
    return key->token != NULL || key->software != NULL;
}

/*
 * Signing alone, as the program does that signs once and ends, needs no public half. Two threads
 * may make it at once: one of them wins.
 */
EVP_PKEY *prov_key_software(const struct prov_key *key)
{
    EVP_PKEY **place = (EVP_PKEY **)&key->software;
    EVP_PKEY *software = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    EVP_PKEY *before = NULL;
    const uint8_t *point = NULL;
    size_t size = 0;

    if (software != NULL)
        return software;
    if (key->token == NULL) {
        PROV_RAISE(PROV_R_NO_KEY, "the key object is empty");
        return NULL;
    }
    point = p11_key_point(key->token, &size);
    software = public_key(key->provider, p11_key_curve(key->token), point, size);
    if (software == NULL || __atomic_compare_exchange_n(place, &before, software, false,
                                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return software;
    EVP_PKEY_free(software);
    return before;
}

int prov_point_octets(const EVP_PKEY *software, uint8_t *point, size_t coordinate)
{
    BIGNUM *x = NULL, *y = NULL;
    int ok = 0;

    point[0] = 0x04;
    if (EVP_PKEY_get_bn_param(software, OSSL_PKEY_PARAM_EC_PUB_X, &x) &&
        EVP_PKEY_get_bn_param(software, OSSL_PKEY_PARAM_EC_PUB_Y, &y) &&
        BN_bn2binpad(x, point + 1, (int)coordinate) > 0 &&
        BN_bn2binpad(y, point + 1 + coordinate, (int)coordinate) > 0)
        ok = 1;
    else
        PROV_RAISE(PROV_R_PEER, "its point cannot be read");
    BN_free(x);
    BN_free(y);
    return ok;
}
