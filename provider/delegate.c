/* delegate.c: software work is another provider's. */
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "provider/provider.h"

/*
 * With no other provider, libcrypto's own words are "unsupported" or "fetch failed", which send
 * the user looking for the fault in the key. Hence one that names what is missing.
 */
static void raise_missing(struct prov_ctx *ctx)
{
    EVP_KEYMGMT *keymgmt = NULL;

    ERR_set_mark();
    keymgmt = EVP_KEYMGMT_fetch(ctx->libctx, "EC", PROV_DELEGATE_PROPERTIES);
    ERR_pop_to_mark();
    if (keymgmt == NULL) {
        PROV_RAISE(PROV_R_NO_OTHER_PROVIDER,
                   "besides " PROV_NAME ", a provider with EC, ECDSA and SHA-2 must be active in "
                   "this library context: activate 'default' (or 'fips')");
    } else {
        PROV_RAISE(PROV_R_DELEGATE, "no context for software work");
    }
    EVP_KEYMGMT_free(keymgmt);
}

EVP_PKEY_CTX *prov_delegate_new(struct prov_ctx *ctx, EVP_PKEY *key)
{
    EVP_PKEY_CTX *delegate = NULL;

    ERR_set_mark();
    if (key != NULL)
        delegate = EVP_PKEY_CTX_new_from_pkey(ctx->libctx, key, PROV_DELEGATE_PROPERTIES);
    else
        delegate = EVP_PKEY_CTX_new_from_name(ctx->libctx, "EC", PROV_DELEGATE_PROPERTIES);
    ERR_pop_to_mark();
    if (delegate == NULL)
        raise_missing(ctx);
    return delegate;
}

const EVP_MD *prov_digest(struct prov_ctx *ctx, const struct prov_curve *curve)
{
    EVP_MD **slot = curve->size == 32 ? &ctx->sha256 : &ctx->sha384;
    EVP_MD *digest = NULL;

    if (!CRYPTO_THREAD_read_lock(ctx->lock))
        return NULL;
    digest = *slot;
    CRYPTO_THREAD_unlock(ctx->lock);
    if (digest != NULL)
        return digest;

    /* Fetched at first use, not at load: the other provider may be activated after us. */
    ERR_set_mark();
    digest = EVP_MD_fetch(ctx->libctx, curve->digest, PROV_DELEGATE_PROPERTIES);
    ERR_pop_to_mark();
    if (digest == NULL) {
        raise_missing(ctx);
        return NULL;
    }
    if (!CRYPTO_THREAD_write_lock(ctx->lock)) {
        EVP_MD_free(digest);
        return NULL;
    }
    if (*slot == NULL)
        *slot = digest;
    else
        EVP_MD_free(digest); /* another thread was first */
    digest = *slot;
    CRYPTO_THREAD_unlock(ctx->lock);
    return digest;
}
