/*
 * encoder.c: ENCODER for what may be seen of a key: its public half as SubjectPublicKeyInfo, a
 * text, and, where a program wants to write the private key, the key file that names it
 * (key_file.h). A software key that comes here goes on to the encoders of another provider.
 */
#include <openssl/bio.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "provider/key_file.h"
#include "provider/provider.h"

static OSSL_FUNC_encoder_newctx_fn encoder_newctx;
static OSSL_FUNC_encoder_newctx_fn encoder_pkcs8_newctx;
static OSSL_FUNC_encoder_newctx_fn encoder_specific_newctx;
static OSSL_FUNC_encoder_freectx_fn encoder_freectx;
static OSSL_FUNC_encoder_does_selection_fn encoder_text_does_selection;
static OSSL_FUNC_encoder_does_selection_fn encoder_public_does_selection;
static OSSL_FUNC_encoder_does_selection_fn encoder_private_does_selection;
static OSSL_FUNC_encoder_settable_ctx_params_fn encoder_settable_ctx_params;
static OSSL_FUNC_encoder_set_ctx_params_fn encoder_set_ctx_params;
static OSSL_FUNC_encoder_encode_fn encoder_text;
static OSSL_FUNC_encoder_encode_fn encoder_spki_der;
static OSSL_FUNC_encoder_encode_fn encoder_spki_pem;
static OSSL_FUNC_encoder_encode_fn encoder_private_pem;

struct encoder {
    struct prov_ctx *provider;
    const char *structure; /* of a private key */
    char cipher[64];       /* to encrypt a private key with; "" = none */
};

static void *encoder_newctx(void *vprovider)
{
    struct encoder *ctx = OPENSSL_zalloc(sizeof(*ctx));

    if (ctx == NULL)
        PROV_RAISE(PROV_R_MEMORY, NULL);
    else
        ctx->provider = vprovider;
    return ctx;
}

static void *encoder_pkcs8_newctx(void *vprovider)
{
    struct encoder *ctx = encoder_newctx(vprovider);

    if (ctx != NULL)
        ctx->structure = "PrivateKeyInfo";
    return ctx;
}

static void *encoder_specific_newctx(void *vprovider)
{
    struct encoder *ctx = encoder_newctx(vprovider);

    if (ctx != NULL)
        ctx->structure = "type-specific";
    return ctx;
}

static void encoder_freectx(void *vctx)
{
    OPENSSL_free(vctx);
}

static const OSSL_PARAM *encoder_settable_ctx_params(void *vprovider)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_utf8_string(OSSL_ENCODER_PARAM_CIPHER, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vprovider;
    return settable;
}

static int encoder_set_ctx_params(void *vctx, const OSSL_PARAM params[])
{
    struct encoder *ctx = vctx;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_ENCODER_PARAM_CIPHER);
    char *cipher = ctx->cipher;

    if (p == NULL || OSSL_PARAM_get_utf8_string(p, &cipher, sizeof(ctx->cipher)))
        return 1;
    PROV_RAISE(PROV_R_PARAMETER, OSSL_ENCODER_PARAM_CIPHER " is a name");
    return 0;
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

static int encoder_private_does_selection(void *vctx, int selection)
{
    (void)vctx;
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

static int write_text(BIO *out, const struct prov_key *key, EVP_PKEY *software, int selection)
{
    bool private = (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;

    if (private && key->token != NULL) {
        return BIO_printf(out, "Private-Key: in a PKCS#11 token\nURI: %s\n",
                          p11_key_uri(key->token)) > 0 &&
               EVP_PKEY_print_public(out, software, 0, NULL) > 0;
    }
    if (private)
        return EVP_PKEY_print_private(out, software, 0, NULL) > 0;
    if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0)
        return EVP_PKEY_print_public(out, software, 0, NULL) > 0;
    return EVP_PKEY_print_params(out, software, 0, NULL) > 0;
}

static int write_der(BIO *out, const struct prov_key *key, EVP_PKEY *software, int selection)
{
    (void)key;
    (void)selection;
    return i2d_PUBKEY_bio(out, software) > 0;
}

static int write_pem(BIO *out, const struct prov_key *key, EVP_PKEY *software, int selection)
{
    (void)key;
    (void)selection;
    return PEM_write_bio_PUBKEY(out, software) > 0;
}

/* abstract is a key given as parameters, which libcrypto offers only to those who import. */
static int encode(const struct encoder *ctx, OSSL_CORE_BIO *core_out, const void *vkey,
                  const OSSL_PARAM abstract[], int selection,
                  int (*write)(BIO *, const struct prov_key *, EVP_PKEY *, int))
{
    const struct prov_key *key = vkey;
    EVP_PKEY *software = NULL;
    BIO *out = NULL;
    int ok = 0;

    if (abstract != NULL || key == NULL) {
        PROV_RAISE(PROV_R_NO_KEY, "no key object of this provider to encode");
        return 0;
    }
    software = prov_key_software(key);
    if (software == NULL)
        return 0;
    out = BIO_new_from_core_bio(ctx->provider->bios, core_out);
    if (out == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return 0;
    }
    ok = write(out, key, software, selection);
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

/* ---- private keys ---- */

static int write_key_file(BIO *out, const struct prov_key *key)
{
    uint8_t *der = NULL;
    size_t size = 0;
    int ok = 0;

    if (!prov_key_file_build(p11_key_uri(key->token), &der, &size))
        return 0;
    ok = PEM_write_bio(out, PROV_KEY_FILE_LABEL, "", der, (long)size) > 0;
    if (!ok)
        PROV_RAISE(PROV_R_KEY_FILE, "it cannot be written");
    OPENSSL_free(der);
    return ok;
}

static int write_software(const struct encoder *ctx, BIO *out, const struct prov_key *key,
                          int selection, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    OSSL_ENCODER_CTX *other = OSSL_ENCODER_CTX_new_for_pkey(
        prov_key_software(key), selection, "PEM", ctx->structure, PROV_DELEGATE_PROPERTIES);
    int ok = other != NULL &&
             (ctx->cipher[0] == '\0' ||
              OSSL_ENCODER_CTX_set_cipher(other, ctx->cipher, PROV_DELEGATE_PROPERTIES)) &&
             (passphrase == NULL ||
              OSSL_ENCODER_CTX_set_passphrase_cb(other, passphrase, passphrase_arg)) &&
             OSSL_ENCODER_to_bio(other, out);

    OSSL_ENCODER_CTX_free(other);
    if (!ok)
        PROV_RAISE(PROV_R_DELEGATE, "the key cannot be encoded");
    return ok;
}

static int encoder_private_pem(void *vctx, OSSL_CORE_BIO *core_out, const void *vkey,
                               const OSSL_PARAM abstract[], int selection,
                               OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    const struct encoder *ctx = vctx;
    const struct prov_key *key = vkey;
    BIO *out = NULL;
    int ok = 0;

    if (abstract != NULL || key == NULL || !key->has_private) {
        PROV_RAISE(PROV_R_NO_PRIVATE_KEY, "no key object of this provider to encode");
        return 0;
    }
    out = BIO_new_from_core_bio(ctx->provider->bios, core_out);
    if (out == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return 0;
    }
    /* A cipher is passed by for a key of a token: a URI is no secret, and readers have no use. */
    ok = key->token != NULL ? write_key_file(out, key)
                            : write_software(ctx, out, key, selection, passphrase, passphrase_arg);
    BIO_free(out);
    return ok;
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

const OSSL_DISPATCH prov_encoder_pkcs8_pem_functions[] = {
    {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))encoder_pkcs8_newctx},
    {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))encoder_freectx},
    {OSSL_FUNC_ENCODER_SET_CTX_PARAMS, (void (*)(void))encoder_set_ctx_params},
    {OSSL_FUNC_ENCODER_SETTABLE_CTX_PARAMS, (void (*)(void))encoder_settable_ctx_params},
    {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))encoder_private_does_selection},
    {OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))encoder_private_pem},
    {0, NULL},
};

const OSSL_DISPATCH prov_encoder_specific_pem_functions[] = {
    {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))encoder_specific_newctx},
    {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))encoder_freectx},
    {OSSL_FUNC_ENCODER_SET_CTX_PARAMS, (void (*)(void))encoder_set_ctx_params},
    {OSSL_FUNC_ENCODER_SETTABLE_CTX_PARAMS, (void (*)(void))encoder_settable_ctx_params},
    {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))encoder_private_does_selection},
    {OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))encoder_private_pem},
    {0, NULL},
};
