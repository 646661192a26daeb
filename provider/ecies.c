/* ecies.c: KDF2 and MAC1 of IEEE 1363a-2004, as IEEE 1609.2 clause 5.3.5 uses them. */
#include "provider/ecies.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#define DELEGATE "provider!=dot2hsm"

int prov_ecies_kdf2(const EVP_MD *digest, const uint8_t *secret, size_t secret_size,
                    const uint8_t *p1, size_t p1_size, uint8_t *out, size_t out_size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t block[EVP_MAX_MD_SIZE];
    size_t done = 0;
    int ok = ctx != NULL;

    for (uint32_t counter = 1; ok && done < out_size; counter++) {
        const uint8_t octets[4] = {(uint8_t)(counter >> 24), (uint8_t)(counter >> 16),
                                   (uint8_t)(counter >> 8), (uint8_t)counter};
        unsigned size = 0;

        ok = EVP_DigestInit_ex2(ctx, digest, NULL) && EVP_DigestUpdate(ctx, secret, secret_size) &&
             EVP_DigestUpdate(ctx, octets, sizeof(octets)) && EVP_DigestUpdate(ctx, p1, p1_size) &&
             EVP_DigestFinal_ex(ctx, block, &size) && size > 0;
        if (ok) {
            size_t part = size < out_size - done ? size : out_size - done;

            memcpy(out + done, block, part);
            done += part;
        }
    }
    if (!ok)
        OPENSSL_cleanse(out, out_size);
    OPENSSL_cleanse(block, sizeof(block));
    EVP_MD_CTX_free(ctx); /* cleanses the state of the digest */
    return ok;
}

int prov_ecies_mac1(EVP_MAC *hmac, const uint8_t *key, size_t key_size, const uint8_t *data,
                    size_t size, uint8_t tag[ECIES_TAG])
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_PROPERTIES, (char *)(uintptr_t)DELEGATE, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac);
    uint8_t whole[32];
    size_t whole_size = 0;
    int ok = ctx != NULL && EVP_MAC_init(ctx, key, key_size, params) &&
             EVP_MAC_update(ctx, data, size) &&
             EVP_MAC_final(ctx, whole, &whole_size, sizeof(whole)) && whole_size == sizeof(whole);

    if (ok)
        memcpy(tag, whole, ECIES_TAG);
    OPENSSL_cleanse(whole, sizeof(whole));
    EVP_MAC_CTX_free(ctx);
    return ok;
}
