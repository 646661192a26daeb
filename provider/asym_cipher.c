/*
 * asym_cipher.c: ASYM_CIPHER "EC": ECIES of IEEE 1609.2 clause 5.3.5 for a key of 16
 * octets.
 *
 *   Z = x(v * R) = x(r * V), K1 || K2 = KDF2-SHA-256(Z, P1), C = k XOR K1, T = MAC1(K2, C)
 *
 * v, V is an ephemeral key pair, always of another provider and never in a token; r may be in a
 * token, which then does one C_DeriveKey.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "provider/ecies.h"
#include "provider/provider.h"

#define COORDINATE 32
#define POINT (1 + 2 * COORDINATE)
#define COMPRESSED (1 + COORDINATE)
#define CIPHERTEXT (COMPRESSED + ECIES_KEY + ECIES_TAG)

static OSSL_FUNC_asym_cipher_newctx_fn asym_cipher_newctx;
static OSSL_FUNC_asym_cipher_freectx_fn asym_cipher_freectx;
static OSSL_FUNC_asym_cipher_dupctx_fn asym_cipher_dupctx;
static OSSL_FUNC_asym_cipher_encrypt_init_fn asym_cipher_encrypt_init;
static OSSL_FUNC_asym_cipher_encrypt_fn asym_cipher_encrypt;
static OSSL_FUNC_asym_cipher_decrypt_init_fn asym_cipher_decrypt_init;
static OSSL_FUNC_asym_cipher_decrypt_fn asym_cipher_decrypt;
static OSSL_FUNC_asym_cipher_get_ctx_params_fn asym_cipher_get_ctx_params;
static OSSL_FUNC_asym_cipher_gettable_ctx_params_fn asym_cipher_gettable_ctx_params;
static OSSL_FUNC_asym_cipher_set_ctx_params_fn asym_cipher_set_ctx_params;
static OSSL_FUNC_asym_cipher_settable_ctx_params_fn asym_cipher_settable_ctx_params;

struct asym_cipher {
    struct prov_ctx *provider;
    struct prov_key *key; /* a reference of our own */
    bool decrypt;
    bool has_p1;
    bool refused;
    uint8_t p1[ECIES_P1];
    /* For decryption, made at first use and kept for the next message to the same key: */
    EVP_PKEY *peer;     /* V of the last message; the next one takes its place in it */
    EVP_PKEY_CTX *ecdh; /* of a software key */
};

static void forget(struct asym_cipher *ctx)
{
    EVP_PKEY_CTX_free(ctx->ecdh);
    EVP_PKEY_free(ctx->peer);
    ctx->ecdh = NULL;
    ctx->peer = NULL;
}

static void *asym_cipher_newctx(void *vprovider)
{
    struct asym_cipher *ctx = OPENSSL_zalloc(sizeof(*ctx));

    if (ctx == NULL)
        PROV_RAISE(PROV_R_MEMORY, NULL);
    else
        ctx->provider = vprovider;
    return ctx;
}

static void asym_cipher_freectx(void *vctx)
{
    struct asym_cipher *ctx = vctx;

    if (ctx == NULL)
        return;
    forget(ctx);
    prov_key_free(ctx->key);
    OPENSSL_free(ctx);
}

static void *asym_cipher_dupctx(void *vctx)
{
    const struct asym_cipher *ctx = vctx;
    struct asym_cipher *copy = OPENSSL_memdup(ctx, sizeof(*ctx));

    if (copy == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return NULL;
    }
    copy->peer = NULL;
    copy->ecdh = NULL;
    if (copy->key != NULL)
        (void)prov_key_up_ref(copy->key);
    return copy;
}

/* ---- init ---- */

static int init(struct asym_cipher *ctx, struct prov_key *key, bool decrypt,
                const OSSL_PARAM params[])
{
    if (key->curve == NULL || key->curve->size != COORDINATE) {
        PROV_RAISE(PROV_R_CURVE, "ECIES of IEEE 1609.2 has P-256 and brainpoolP256r1, not %s",
                   key->curve == NULL ? "this one" : key->curve->name);
        return 0;
    }
    forget(ctx);
    (void)prov_key_up_ref(key);
    prov_key_free(ctx->key);
    ctx->key = key;
    ctx->decrypt = decrypt;
    ctx->has_p1 = false;
    ctx->refused = false;
    return asym_cipher_set_ctx_params(ctx, params);
}

static int asym_cipher_encrypt_init(void *vctx, void *vkey, const OSSL_PARAM params[])
{
    struct prov_key *key = vkey;

    if (key == NULL || !prov_key_is_there(key) || !key->has_public) {
        PROV_RAISE(PROV_R_NO_PUBLIC_KEY, "ECIES encrypts to one");
        return 0;
    }
    return init(vctx, key, false, params);
}

static int asym_cipher_decrypt_init(void *vctx, void *vkey, const OSSL_PARAM params[])
{
    struct prov_key *key = vkey;

    if (key == NULL || !prov_key_is_there(key) || !key->has_private) {
        PROV_RAISE(PROV_R_NO_PRIVATE_KEY, "ECIES decrypts with one");
        return 0;
    }
    if (key->token != NULL && !p11_key_can_derive(key->token)) {
        PROV_RAISE(PROV_R_NO_PRIVATE_KEY,
                   "may not derive (no CKA_DERIVE), or its token has no CKM_ECDH1_DERIVE: %s",
                   p11_key_uri(key->token));
        return 0;
    }
    return init(vctx, key, true, params);
}

/* ---- ECDH ---- */

/*
 * x(d * peer), both software keys (NULL: it was raised why). The peer's point was checked to be on
 * the curve.
 */
static int derive_in_software(struct prov_ctx *provider, EVP_PKEY_CTX **ecdh, EVP_PKEY *own,
                              EVP_PKEY *peer, uint8_t secret[COORDINATE])
{
    size_t size = COORDINATE;

    if (own == NULL || peer == NULL)
        return 0;
    if (*ecdh == NULL) {
        *ecdh = prov_delegate_of(provider, own);
        if (*ecdh == NULL)
            return 0;
        if (EVP_PKEY_derive_init(*ecdh) <= 0)
            goto err;
    }
    /* 0: the check by default is a multiplication by the order, which the cofactor 1 spares us. */
    if (EVP_PKEY_derive_set_peer_ex(*ecdh, peer, 0) > 0 &&
        EVP_PKEY_derive(*ecdh, secret, &size) > 0 && size == COORDINATE)
        return 1;
err:
    EVP_PKEY_CTX_free(*ecdh);
    *ecdh = NULL;
    PROV_RAISE(PROV_R_DELEGATE, "ECDH in software");
    return 0;
}

/* With the peer's point, as a key and as octets. */
static int derive(struct asym_cipher *ctx, const uint8_t point[POINT], uint8_t secret[COORDINATE])
{
    size_t size = COORDINATE;

    if (ctx->key->token == NULL)
        return derive_in_software(ctx->provider, &ctx->ecdh, prov_key_software(ctx->key), ctx->peer,
                                  secret);
    return p11_key_derive(ctx->key->token, point, POINT, secret, &size) == P11_OK;
}

/* K1 || K2. */
static int derive_keys(const struct asym_cipher *ctx, const uint8_t secret[COORDINATE],
                       uint8_t keys[ECIES_KEY + ECIES_MAC_KEY])
{
    const EVP_MD *sha256 = prov_digest_get(ctx->provider, prov_digest_find("SHA256"));

    if (sha256 == NULL)
        return 0;
    if (prov_ecies_kdf2(sha256, secret, COORDINATE, ctx->p1, ECIES_P1, keys,
                        ECIES_KEY + ECIES_MAC_KEY))
        return 1;
    PROV_RAISE(PROV_R_DELEGATE, "KDF2");
    return 0;
}

static int make_tag(const struct asym_cipher *ctx, const uint8_t mac_key[ECIES_MAC_KEY],
                    const uint8_t c[ECIES_KEY], uint8_t tag[ECIES_TAG])
{
    EVP_MAC *hmac = prov_hmac_get(ctx->provider);

    if (hmac == NULL)
        return 0;
    if (prov_ecies_mac1(hmac, mac_key, ECIES_MAC_KEY, c, ECIES_KEY, tag))
        return 1;
    PROV_RAISE(PROV_R_DELEGATE, "HMAC");
    return 0;
}

static int ready(const struct asym_cipher *ctx, bool decrypt)
{
    if (ctx->key == NULL || ctx->decrypt != decrypt) {
        PROV_RAISE(PROV_R_STATE, "an operation without its init");
        return 0;
    }
    if (!ctx->has_p1) {
        PROV_RAISE(PROV_R_PARAMETER, "no " PROV_PARAM_P1 ": IEEE 1609.2 clause 5.3.5 has one");
        return 0;
    }
    return 1;
}

/* ---- encryption ---- */

static EVP_PKEY *generate_ephemeral(const struct asym_cipher *ctx)
{
    EVP_PKEY_CTX *delegate = prov_delegate_new(ctx->provider);
    EVP_PKEY *key = NULL;

    if (delegate == NULL)
        return NULL;
    if (EVP_PKEY_keygen_init(delegate) <= 0 ||
        EVP_PKEY_CTX_set_group_name(delegate, ctx->key->curve->name) <= 0 ||
        EVP_PKEY_generate(delegate, &key) <= 0)
        PROV_RAISE(PROV_R_DELEGATE, "no ephemeral key");
    EVP_PKEY_CTX_free(delegate);
    return key;
}

static int asym_cipher_encrypt(void *vctx, unsigned char *out, size_t *out_size, size_t capacity,
                               const unsigned char *in, size_t in_size)
{
    struct asym_cipher *ctx = vctx;
    uint8_t point[POINT], secret[COORDINATE], keys[ECIES_KEY + ECIES_MAC_KEY];
    uint8_t *c = NULL;
    EVP_PKEY *ephemeral = NULL;
    EVP_PKEY_CTX *ecdh = NULL;
    int ok = 0;

    if (!ready(ctx, false))
        return 0;
    *out_size = CIPHERTEXT;
    if (out == NULL)
        return 1;
    if (in_size != ECIES_KEY) {
        PROV_RAISE(PROV_R_PARAMETER, "ECIES of IEEE 1609.2 wraps %d octets, not %zu", ECIES_KEY,
                   in_size);
        return 0;
    }
    if (capacity < CIPHERTEXT) {
        PROV_RAISE(PROV_R_BUFFER, "%zu octets for %d", capacity, CIPHERTEXT);
        return 0;
    }
    ephemeral = generate_ephemeral(ctx);
    if (ephemeral == NULL || !prov_point_octets(ephemeral, point, COORDINATE) ||
        !derive_in_software(ctx->provider, &ecdh, ephemeral, prov_key_software(ctx->key), secret) ||
        !derive_keys(ctx, secret, keys))
        goto out;
    c = out + COMPRESSED;
    for (size_t i = 0; i < ECIES_KEY; i++)
        c[i] = in[i] ^ keys[i];
    if (!make_tag(ctx, keys + ECIES_KEY, c, c + ECIES_KEY))
        goto out;
    out[0] = (uint8_t)(2 | (point[POINT - 1] & 1));
    memcpy(out + 1, point + 1, COORDINATE);
    ok = 1;
out:
    if (!ok)
        OPENSSL_cleanse(out, CIPHERTEXT);
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(keys, sizeof(keys));
    EVP_PKEY_CTX_free(ecdh);
    EVP_PKEY_free(ephemeral);
    return ok;
}

/* ---- decryption ---- */

static void not_on_curve(struct asym_cipher *ctx)
{
    ctx->refused = true;
    PROV_RAISE(PROV_R_CIPHERTEXT, "V is not on %s", ctx->key->curve->name);
}

/* A public key on the curve of ours; its point is the first V. */
static EVP_PKEY *make_peer(struct asym_cipher *ctx, uint8_t point[POINT])
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                         (char *)(uintptr_t)ctx->key->curve->name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, POINT),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *delegate = prov_delegate_new(ctx->provider);
    EVP_PKEY *peer = NULL;

    if (delegate == NULL)
        return NULL;
    if (EVP_PKEY_fromdata_init(delegate) <= 0)
        PROV_RAISE(PROV_R_DELEGATE, "no public key can be made");
    else if (EVP_PKEY_fromdata(delegate, &peer, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        not_on_curve(ctx);
    EVP_PKEY_CTX_free(delegate);
    return peer;
}

/*
 * V as octets of both coordinates and as ctx->peer. The import is also the check that V is on the
 * curve: a point of another curve would lay open the private key, and a token need not look
 * (invalid curve attack).
 */
static int read_point(struct asym_cipher *ctx, const uint8_t *v, size_t size, uint8_t point[POINT])
{
    /* libcrypto would take the hybrid forms 06 and 07 too. */
    if (size == COMPRESSED ? v[0] != 2 && v[0] != 3 : v[0] != 4) {
        ctx->refused = true;
        PROV_RAISE(PROV_R_CIPHERTEXT, "V is not a compressed or uncompressed point");
        return 0;
    }
    if (size == POINT)
        memcpy(point, v, POINT);
    else if (!prov_point_decompress(ctx->provider, ctx->key->curve, v, point))
        return 0;
    if (ctx->peer == NULL) {
        ctx->peer = make_peer(ctx, point);
        return ctx->peer != NULL;
    }
    if (EVP_PKEY_set1_encoded_public_key(ctx->peer, point, POINT) > 0)
        return 1;
    EVP_PKEY_free(ctx->peer); /* whatever is in it now */
    ctx->peer = NULL;
    not_on_curve(ctx);
    return 0;
}

static int asym_cipher_decrypt(void *vctx, unsigned char *out, size_t *out_size, size_t capacity,
                               const unsigned char *in, size_t in_size)
{
    struct asym_cipher *ctx = vctx;
    uint8_t secret[COORDINATE], keys[ECIES_KEY + ECIES_MAC_KEY], tag[ECIES_TAG], point[POINT];
    const uint8_t *c = NULL;
    int ok = 0;

    if (!ready(ctx, true))
        return 0;
    ctx->refused = false;
    *out_size = ECIES_KEY;
    if (out == NULL)
        return 1;
    if (in_size != CIPHERTEXT && in_size != POINT + ECIES_KEY + ECIES_TAG) {
        ctx->refused = true;
        PROV_RAISE(PROV_R_CIPHERTEXT, "%zu octets are not V || C || T", in_size);
        return 0;
    }
    if (capacity < ECIES_KEY) {
        PROV_RAISE(PROV_R_BUFFER, "%zu octets for a key of %d", capacity, ECIES_KEY);
        return 0;
    }
    c = in + in_size - ECIES_TAG - ECIES_KEY;
    if (!read_point(ctx, in, (size_t)(c - in), point) || !derive(ctx, point, secret) ||
        !derive_keys(ctx, secret, keys) || !make_tag(ctx, keys + ECIES_KEY, c, tag))
        goto out;
    if (CRYPTO_memcmp(tag, c + ECIES_KEY, ECIES_TAG) != 0) {
        ctx->refused = true;
        PROV_RAISE(PROV_R_TAG, "ECIES: not encrypted to this key, or under another P1, or altered");
        goto out;
    }
    for (size_t i = 0; i < ECIES_KEY; i++)
        out[i] = c[i] ^ keys[i];
    ok = 1;
out:
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(keys, sizeof(keys));
    OPENSSL_cleanse(tag, sizeof(tag));
    return ok;
}

/* ---- parameters ---- */

static const OSSL_PARAM *asym_cipher_settable_ctx_params(void *vctx, void *vprovider)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_octet_string(PROV_PARAM_P1, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vctx;
    (void)vprovider;
    return settable;
}

static int asym_cipher_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
    struct asym_cipher *ctx = vctx;
    const OSSL_PARAM *p = params == NULL ? NULL : OSSL_PARAM_locate_const(params, PROV_PARAM_P1);

    if (p == NULL)
        return 1;
    /* Another size is a mistake, such as the empty string where its hash is meant. */
    if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data == NULL || p->data_size != ECIES_P1) {
        ctx->has_p1 = false;
        PROV_RAISE(PROV_R_PARAMETER, PROV_PARAM_P1 " is an octet string of %d octets, a SHA-256",
                   ECIES_P1);
        return 0;
    }
    memcpy(ctx->p1, p->data, ECIES_P1);
    ctx->has_p1 = true;
    return 1;
}

static const OSSL_PARAM *asym_cipher_gettable_ctx_params(void *vctx, void *vprovider)
{
    static const OSSL_PARAM gettable[] = {
        OSSL_PARAM_int(PROV_PARAM_ECIES_REFUSED, NULL),
        OSSL_PARAM_END,
    };

    (void)vctx;
    (void)vprovider;
    return gettable;
}

static int asym_cipher_get_ctx_params(void *vctx, OSSL_PARAM params[])
{
    const struct asym_cipher *ctx = vctx;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, PROV_PARAM_ECIES_REFUSED);

    return p == NULL || OSSL_PARAM_set_int(p, ctx->refused ? 1 : 0);
}

const OSSL_DISPATCH prov_asym_cipher_functions[] = {
    {OSSL_FUNC_ASYM_CIPHER_NEWCTX, (void (*)(void))asym_cipher_newctx},
    {OSSL_FUNC_ASYM_CIPHER_FREECTX, (void (*)(void))asym_cipher_freectx},
    {OSSL_FUNC_ASYM_CIPHER_DUPCTX, (void (*)(void))asym_cipher_dupctx},
    {OSSL_FUNC_ASYM_CIPHER_ENCRYPT_INIT, (void (*)(void))asym_cipher_encrypt_init},
    {OSSL_FUNC_ASYM_CIPHER_ENCRYPT, (void (*)(void))asym_cipher_encrypt},
    {OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, (void (*)(void))asym_cipher_decrypt_init},
    {OSSL_FUNC_ASYM_CIPHER_DECRYPT, (void (*)(void))asym_cipher_decrypt},
    {OSSL_FUNC_ASYM_CIPHER_GET_CTX_PARAMS, (void (*)(void))asym_cipher_get_ctx_params},
    {OSSL_FUNC_ASYM_CIPHER_GETTABLE_CTX_PARAMS, (void (*)(void))asym_cipher_gettable_ctx_params},
    {OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, (void (*)(void))asym_cipher_set_ctx_params},
    {OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, (void (*)(void))asym_cipher_settable_ctx_params},
    {0, NULL},
};
