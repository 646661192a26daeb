/*
 * ecies.c: the one way to ECIES, which is in the provider dot2hsm, and AES-CCM, which is not.
 *
 * As in sign.c: the operation is bound to the provider by its properties, and what OpenSSL chose is
 * looked at before it is used.
 */
#include "protocol/dot2/ecies.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

static bool runs_in_dot2hsm(EVP_PKEY_CTX *ctx)
{
    const OSSL_PROVIDER *provider = EVP_PKEY_CTX_get0_provider(ctx);
    const OSSL_PARAM *settable = EVP_PKEY_CTX_settable_params(ctx);

    return provider != NULL && strcmp(OSSL_PROVIDER_get0_name(provider), DOT2_PROVIDER_NAME) == 0 &&
           settable != NULL && OSSL_PARAM_locate_const(settable, "p1") != NULL;
}

static enum dot2_status begin(const dot2_crypto *crypto, EVP_PKEY *key, bool decrypt,
                              const uint8_t p1[32], EVP_PKEY_CTX **ctx, struct dot2_error *error)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string("p1", (void *)(uintptr_t)p1, 32),
        OSSL_PARAM_construct_end(),
    };
    enum dot2_curve curve = dot2_key_curve(key);
    int ok = 0;

    *ctx = NULL;
    if (curve != DOT2_CURVE_P256 && curve != DOT2_CURVE_BRAINPOOL_P256R1)
        return dot2_fail(error, DOT2_E_ALGORITHM, NULL, "ECIES of IEEE 1609.2 has no keys on %s",
                         dot2_curve_name(curve));
    *ctx = EVP_PKEY_CTX_new_from_pkey(dot2_crypto_libctx(crypto), key, DOT2_PROVIDER_PROPERTIES);
    if (*ctx != NULL)
        ok = decrypt ? EVP_PKEY_decrypt_init(*ctx) : EVP_PKEY_encrypt_init(*ctx);
    if (ok <= 0 || !runs_in_dot2hsm(*ctx))
        return dot2_fail_openssl(error, DOT2_E_PROVIDER,
                                 "the key cannot be used in the provider " DOT2_PROVIDER_NAME);
    if (EVP_PKEY_CTX_set_params(*ctx, params) <= 0)
        return dot2_fail_openssl(error, DOT2_E_PROVIDER,
                                 "the provider " DOT2_PROVIDER_NAME " did not take P1");
    return DOT2_OK;
}

enum dot2_status dot2_ecies_encrypt(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t p1[32],
                                    const uint8_t wrapped[DOT2_AES_KEY],
                                    uint8_t out[DOT2_ECIES_SIZE], struct dot2_error *error)
{
    EVP_PKEY_CTX *ctx = NULL;
    size_t size = DOT2_ECIES_SIZE;
    enum dot2_status status = begin(crypto, key, false, p1, &ctx, error);

    if (status == DOT2_OK &&
        (EVP_PKEY_encrypt(ctx, out, &size, wrapped, DOT2_AES_KEY) <= 0 || size != DOT2_ECIES_SIZE))
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "ECIES");
    EVP_PKEY_CTX_free(ctx);
    return status;
}

enum dot2_status dot2_ecies_check(const dot2_crypto *crypto, EVP_PKEY *key,
                                  struct dot2_error *error)
{
    static const uint8_t p1[32];
    EVP_PKEY_CTX *ctx = NULL;
    enum dot2_status status = begin(crypto, key, true, p1, &ctx, error);

    EVP_PKEY_CTX_free(ctx);
    return status;
}

static enum dot2_status decrypt(EVP_PKEY_CTX *ctx, const uint8_t *in, size_t size,
                                uint8_t wrapped[DOT2_AES_KEY], struct dot2_error *error)
{
    size_t wrapped_size = DOT2_AES_KEY;
    int refused = 0;
    OSSL_PARAM get[] = {
        OSSL_PARAM_construct_int("ecies-refused", &refused),
        OSSL_PARAM_construct_end(),
    };
    enum dot2_status status = DOT2_OK;

    ERR_set_mark();
    if (EVP_PKEY_decrypt(ctx, wrapped, &wrapped_size, in, size) > 0 &&
        wrapped_size == DOT2_AES_KEY) {
        ERR_clear_last_mark();
        return DOT2_OK;
    }
    OPENSSL_cleanse(wrapped, DOT2_AES_KEY);
    /* A wrong ciphertext is an answer, not an error of the library; a token that is away is one. */
    if (EVP_PKEY_CTX_get_params(ctx, get) > 0 && refused == 1) {
        status = dot2_fail_openssl(error, DOT2_E_DECRYPT, "ECIES");
        ERR_pop_to_mark();
    } else {
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "ECIES");
        ERR_clear_last_mark();
    }
    return status;
}

enum dot2_status dot2_ecies_decrypt(const dot2_crypto *crypto, EVP_PKEY *key, const uint8_t p1[32],
                                    const uint8_t *in, size_t size, uint8_t wrapped[DOT2_AES_KEY],
                                    struct dot2_error *error)
{
    EVP_PKEY_CTX *ctx = NULL;
    enum dot2_status status = begin(crypto, key, true, p1, &ctx, error);

    if (status == DOT2_OK)
        status = decrypt(ctx, in, size, wrapped, error);
    EVP_PKEY_CTX_free(ctx);
    return status;
}

enum dot2_status dot2_ecies_decrypt_kept(const dot2_crypto *crypto, EVP_PKEY *key,
                                         const uint8_t p1[32], const uint8_t *in, size_t size,
                                         uint8_t wrapped[DOT2_AES_KEY],
                                         struct dot2_ecies_kept *kept, struct dot2_error *error)
{
    EVP_PKEY_CTX *ctx = NULL;
    enum dot2_status status = dot2_check_provider(crypto, error);

    if (status != DOT2_OK)
        return status;
    for (size_t i = 0; i < DOT2_ECIES_SLOTS && ctx == NULL; i++)
        ctx = __atomic_exchange_n(&kept->slots[i], NULL, __ATOMIC_ACQ_REL);
    if (ctx == NULL)
        status = begin(crypto, key, true, p1, &ctx, error);
    if (status == DOT2_OK)
        status = decrypt(ctx, in, size, wrapped, error);
    /* A token that failed may be another one when it is back: its context is made anew. */
    for (size_t i = 0;
         i < DOT2_ECIES_SLOTS && ctx != NULL && (status == DOT2_OK || status == DOT2_E_DECRYPT);
         i++) {
        EVP_PKEY_CTX *empty = NULL;

        if (__atomic_compare_exchange_n(&kept->slots[i], &empty, ctx, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            ctx = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return status;
}

void dot2_ecies_kept_clear(struct dot2_ecies_kept *kept)
{
    for (size_t i = 0; i < DOT2_ECIES_SLOTS; i++) {
        EVP_PKEY_CTX_free(kept->slots[i]);
        kept->slots[i] = NULL;
    }
}

enum dot2_status dot2_ecies_p1(const dot2_crypto *crypto, const dot2_cert *cert, uint8_t p1[32],
                               struct dot2_error *error)
{
    enum dot2_status status = cert == NULL
                                  ? dot2_sha256(crypto, NULL, 0, p1)
                                  : dot2_sha256(crypto, cert->canonical, cert->canonical_size, p1);

    return status == DOT2_OK ? DOT2_OK : dot2_fail_openssl(error, status, "P1 of ECIES");
}

/* ---- AES-CCM ---- */

static EVP_CIPHER_CTX *ccm_start(const dot2_crypto *crypto, const uint8_t key[DOT2_AES_KEY],
                                 const uint8_t nonce[DOT2_CCM_NONCE], const uint8_t *tag)
{
    const EVP_CIPHER *aes = dot2_aes_ccm(crypto);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int encrypt = tag == NULL ? 1 : 0;
    /* OpenSSL wants the sizes of nonce and tag before the key. */
    bool ok =
        ctx != NULL && EVP_CipherInit_ex2(ctx, aes, NULL, NULL, encrypt, NULL) > 0 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, DOT2_CCM_NONCE, NULL) > 0 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, DOT2_CCM_TAG, (void *)(uintptr_t)tag) > 0 &&
        EVP_CipherInit_ex2(ctx, NULL, key, nonce, encrypt, NULL) > 0;

    if (ok)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

enum dot2_status dot2_ccm_seal(const dot2_crypto *crypto, const uint8_t key[DOT2_AES_KEY],
                               const uint8_t nonce[DOT2_CCM_NONCE], const uint8_t *plaintext,
                               size_t size, uint8_t *sealed, struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;
    EVP_CIPHER_CTX *ctx = NULL;
    int n = 0;

    if (size == 0 || size > DOT2_PLAINTEXT_MAX)
        return dot2_fail(error, DOT2_E_ARGUMENT, NULL, "a plaintext of %zu octets", size);
    ctx = ccm_start(crypto, key, nonce, NULL);
    if (ctx == NULL || EVP_EncryptUpdate(ctx, NULL, &n, NULL, (int)size) <= 0 ||
        EVP_EncryptUpdate(ctx, sealed, &n, plaintext, (int)size) <= 0 || (size_t)n != size ||
        EVP_EncryptFinal_ex(ctx, sealed + size, &n) <= 0 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, DOT2_CCM_TAG, sealed + size) <= 0)
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "AES-128-CCM");
    EVP_CIPHER_CTX_free(ctx);
    return status;
}

enum dot2_status dot2_ccm_open(const dot2_crypto *crypto, const uint8_t key[DOT2_AES_KEY],
                               const uint8_t nonce[DOT2_CCM_NONCE], const uint8_t *sealed,
                               size_t sealed_size, uint8_t *plaintext, struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;
    EVP_CIPHER_CTX *ctx = NULL;
    size_t size = sealed_size - DOT2_CCM_TAG;
    int n = 0;

    if (sealed_size <= DOT2_CCM_TAG || size > DOT2_PLAINTEXT_MAX)
        return dot2_fail(error, DOT2_E_DECRYPT, "AesCcmCiphertext.ccmCiphertext",
                         "%zu octets are no ciphertext with its tag", sealed_size);
    ctx = ccm_start(crypto, key, nonce, sealed + size);
    if (ctx == NULL || EVP_DecryptUpdate(ctx, NULL, &n, NULL, (int)size) <= 0) {
        status = dot2_fail_openssl(error, DOT2_E_CRYPTO, "AES-128-CCM");
        goto out;
    }
    ERR_set_mark(); /* a wrong tag is an answer */
    if (EVP_DecryptUpdate(ctx, plaintext, &n, sealed, (int)size) <= 0 || (size_t)n != size) {
        OPENSSL_cleanse(plaintext, size);
        status = dot2_fail(error, DOT2_E_DECRYPT, "AesCcmCiphertext.ccmCiphertext",
                           "the tag does not match");
    }
    ERR_pop_to_mark();
out:
    EVP_CIPHER_CTX_free(ctx);
    return status;
}
