/*
 * encoder.c: ENCODER for what may be seen of a key: its public half as SubjectPublicKeyInfo, and a
 * text. There is none for private keys: those in a token have no form outside of it, and those in
 * software libcrypto exports to the encoders of another provider.
 */
#include <openssl/bio.h>
#include <openssl/core_dispatch.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "provider/provider.h"

static OSSL_FUNC_encoder_newctx_fn encoder_newctx;
static OSSL_FUNC_encoder_freectx_fn encoder_freectx;
static OSSL_FUNC_encoder_does_selection_fn encoder_text_does_selection;
static OSSL_FUNC_encoder_does_selection_fn encoder_public_does_selection;
static OSSL_FUNC_encoder_encode_fn encoder_text;
static OSSL_FUNC_encoder_encode_fn encoder_spki_der;
static OSSL_FUNC_encoder_encode_fn encoder_spki_pem;

static void *encoder_newctx(void *vprovider)
{
    return vprovider; /* an encoder has no state but its provider */
}

static void encoder_freectx(void *vctx)
{
    (void)vctx;
}

static int encoder_text_does_selection(void *vctx, int selection)
{
    (void)vctx;
    return (selection & (OSSL_KEYMGMT_SELECT_KEYPAIR | OSSL_KEYMGMT_SELECT_ALL_PARAMETERS)) != 0;
}

static int encoder_public_does_selection(void *vctx, int selection)
{
    (void)vctx;
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 &&
           (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0;
}

static int write_text(BIO *out, const struct prov_key *key, int selection)
{
    bool private = (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;

    if (private && key->token != NULL) {
        return BIO_printf(out, "Private-Key: in a PKCS#11 token\nURI: %s\n",
                          p11_key_uri(key->token)) > 0 &&
               EVP_PKEY_print_public(out, key->software, 0, NULL) > 0;
    }
    if (private)
        return EVP_PKEY_print_private(out, key->software, 0, NULL) > 0;
    if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0)
        return EVP_PKEY_print_public(out, key->software, 0, NULL) > 0;
    return EVP_PKEY_print_params(out, key->software, 0, NULL) > 0;
}

static int write_der(BIO *out, const struct prov_key *key, int selection)
{
    (void)selection;
    return i2d_PUBKEY_bio(out, key->software) > 0;
}

static int write_pem(BIO *out, const struct prov_key *key, int selection)
{
    (void)selection;
    return PEM_write_bio_PUBKEY(out, key->software) > 0;
}

/* abstract is a key given as parameters, which libcrypto offers only to those who import. */
static int encode(const struct prov_ctx *provider, OSSL_CORE_BIO *core_out, const void *vkey,
                  const OSSL_PARAM abstract[], int selection,
                  int (*write)(BIO *, const struct prov_key *, int))
{
    const struct prov_key *key = vkey;
    BIO *out = NULL;
    int ok = 0;

    if (abstract != NULL || key == NULL || key->software == NULL) {
        PROV_RAISE(PROV_R_NO_KEY, "no key object of this provider to encode");
        return 0;
    }
    out = BIO_new_from_core_bio(provider->libctx, core_out);
    if (out == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return 0;
    }
    ok = write(out, key, selection);
    if (!ok)
        PROV_RAISE(PROV_R_DELEGATE, "the key cannot be encoded");
    BIO_free(out);
    return ok;
}

static int encoder_text(void *vctx, OSSL_CORE_BIO *out, const void *key,
                        const OSSL_PARAM abstract[], int selection,
                        OSSL_PASSPHRASE_CALLBACK *callback, void *arg)
{
    (void)callback;
    (void)arg;
    return encode(vctx, out, key, abstract, selection, write_text);
}

static int encoder_spki_der(void *vctx, OSSL_CORE_BIO *out, const void *key,
                            const OSSL_PARAM abstract[], int selection,
                            OSSL_PASSPHRASE_CALLBACK *callback, void *arg)
{
    (void)callback;
    (void)arg;
    return encode(vctx, out, key, abstract, selection, write_der);
}

static int encoder_spki_pem(void *vctx, OSSL_CORE_BIO *out, const void *key,
                            const OSSL_PARAM abstract[], int selection,
                            OSSL_PASSPHRASE_CALLBACK *callback, void *arg)
{
    (void)callback;
    (void)arg;
    return encode(vctx, out, key, abstract, selection, write_pem);
}

const OSSL_DISPATCH prov_encoder_text_functions[] = {
    {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))encoder_newctx},
    {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))encoder_freectx},
    {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))encoder_text_does_selection},
    {OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))encoder_text},
    {0, NULL},
};

const OSSL_DISPATCH prov_encoder_spki_der_functions[] = {
    {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))encoder_newctx},
    {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))encoder_freectx},
    {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))encoder_public_does_selection},
    {OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))encoder_spki_der},
    {0, NULL},
};

const OSSL_DISPATCH prov_encoder_spki_pem_functions[] = {
    {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))encoder_newctx},
    {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))encoder_freectx},
    {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))encoder_public_does_selection},
    {OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))encoder_spki_pem},
    {0, NULL},
};
