/* digest.c: the digests that ECDSA goes with. They are computed by another provider. */
#include <string.h>
#include <strings.h>

#include <openssl/err.h>

#include "provider/provider.h"

/* RFC 3279 section 2.2.3, RFC 5758 section 3.2: ecdsa-with-SHAx, parameters absent. */
static const uint8_t ecdsa_sha1[] = {0x30, 0x09, 0x06, 0x07, 0x2a, 0x86,
                                     0x48, 0xce, 0x3d, 0x04, 0x01};
#define ECDSA_SHA2(last)                                                                           \
    {                                                                                              \
        0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, (last)                   \
    }
static const uint8_t ecdsa_sha224[] = ECDSA_SHA2(0x01);
static const uint8_t ecdsa_sha256[] = ECDSA_SHA2(0x02);
static const uint8_t ecdsa_sha384[] = ECDSA_SHA2(0x03);
static const uint8_t ecdsa_sha512[] = ECDSA_SHA2(0x04);

#define SHA2(bits, arc)                                                                            \
    {                                                                                              \
        {"SHA" #bits, "SHA2-" #bits, "SHA-" #bits, "2.16.840.1.101.3.4.2." #arc}, bits / 8, true,  \
            ecdsa_sha##bits, sizeof(ecdsa_sha##bits)                                               \
    }

/* SHA-1 is for old certificates, which somebody may have to verify with us. */
static const struct prov_digest digests[PROV_DIGESTS] = {
    {{"SHA1", "SHA-1", "SHA1", "1.3.14.3.2.26"}, 20, false, ecdsa_sha1, sizeof(ecdsa_sha1)},
    SHA2(224, 4),
    SHA2(256, 1),
    SHA2(384, 2),
    SHA2(512, 3),
};

const struct prov_digest *prov_digest_find(const char *name)
{
    for (size_t i = 0; i < PROV_DIGESTS; i++) {
        for (size_t k = 0; k < sizeof(digests[i].names) / sizeof(digests[i].names[0]); k++) {
            if (strcasecmp(name, digests[i].names[k]) == 0)
                return &digests[i];
        }
    }
    return NULL;
}

const struct prov_digest *prov_digest_of_size(size_t size)
{
    for (size_t i = 0; i < PROV_DIGESTS; i++) {
        if (digests[i].size == size)
            return &digests[i];
    }
    return NULL;
}

const EVP_MD *prov_digest_get(struct prov_ctx *ctx, const struct prov_digest *digest)
{
    EVP_MD **slot = &ctx->digests[digest - digests];
    EVP_MD *md = NULL;

    if (!CRYPTO_THREAD_read_lock(ctx->lock))
        return NULL;
    md = *slot;
    CRYPTO_THREAD_unlock(ctx->lock);
    if (md != NULL)
        return md;

    /* Fetched at first use, not at load: the other provider may be activated after us. */
    ERR_set_mark();
    md = EVP_MD_fetch(ctx->libctx, digest->names[0], PROV_DELEGATE_PROPERTIES);
    ERR_pop_to_mark();
    if (md == NULL) {
        prov_delegate_missing(ctx);
        return NULL;
    }
    if (!CRYPTO_THREAD_write_lock(ctx->lock)) {
        EVP_MD_free(md);
        return NULL;
    }
    if (*slot == NULL)
        *slot = md;
    else
        EVP_MD_free(md); /* another thread was first */
    md = *slot;
    CRYPTO_THREAD_unlock(ctx->lock);
    return md;
}

EVP_MAC *prov_hmac_get(struct prov_ctx *ctx)
{
    EVP_MAC *mac = NULL;

    if (!CRYPTO_THREAD_read_lock(ctx->lock))
        return NULL;
    mac = ctx->hmac;
    CRYPTO_THREAD_unlock(ctx->lock);
    if (mac != NULL)
        return mac;
    ERR_set_mark();
    mac = EVP_MAC_fetch(ctx->libctx, "HMAC", PROV_DELEGATE_PROPERTIES);
    ERR_pop_to_mark();
    if (mac == NULL) {
        prov_delegate_missing(ctx);
        return NULL;
    }
    if (!CRYPTO_THREAD_write_lock(ctx->lock)) {
        EVP_MAC_free(mac);
        return NULL;
    }
    if (ctx->hmac == NULL)
        ctx->hmac = mac;
    else
        EVP_MAC_free(mac); /* another thread was first */
    mac = ctx->hmac;
    CRYPTO_THREAD_unlock(ctx->lock);
    return mac;
}
