/* delegate.c: software work is another provider's. */
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "provider/provider.h"

/*
 * With no other provider, libcrypto's own words are "unsupported" or "fetch failed", which send
 * the user looking for the fault in the key. Hence one that names what is missing.
 */
void prov_delegate_missing(struct prov_ctx *ctx)
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

EVP_PKEY_CTX *prov_delegate_new(struct prov_ctx *ctx)
{
    EVP_PKEY_CTX *delegate = NULL;

    ERR_set_mark();
    delegate = EVP_PKEY_CTX_new_from_name(ctx->libctx, "EC", PROV_DELEGATE_PROPERTIES);
    ERR_pop_to_mark();
    if (delegate == NULL)
        prov_delegate_missing(ctx);
    return delegate;
}

EVP_PKEY_CTX *prov_delegate_of(struct prov_ctx *ctx, EVP_PKEY *software)
{
    EVP_PKEY_CTX *delegate = NULL;

    ERR_set_mark();
    delegate = EVP_PKEY_CTX_new_from_pkey(ctx->libctx, software, PROV_DELEGATE_PROPERTIES);
    ERR_pop_to_mark();
    if (delegate == NULL)
        prov_delegate_missing(ctx);
    return delegate;
}

EVP_PKEY_CTX *prov_delegate_of_key(const struct prov_key *key)
{
    EVP_PKEY *software = prov_key_software(key);

    return software != NULL ? prov_delegate_of(key->provider, software) : NULL;
}
