/*
 * provider.c: the entry point, and the one table of what is offered.
 *
 * Nothing of a token is touched when the provider is loaded: without one it does all that needs
 * none.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "provider/key_file.h"
#include "provider/provider.h"

static OSSL_FUNC_provider_teardown_fn provider_teardown;
static OSSL_FUNC_provider_gettable_params_fn provider_gettable_params;
static OSSL_FUNC_provider_get_params_fn provider_get_params;
static OSSL_FUNC_provider_query_operation_fn provider_query_operation;

#define END_OF_ALGORITHMS                                                                          \
    {                                                                                              \
        NULL, NULL, NULL, NULL                                                                     \
    }

static const OSSL_ALGORITHM keymgmt_algorithms[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", PROV_PROPERTIES, prov_keymgmt_ec_functions,
     "EC keys in PKCS#11 tokens and in software"},
    END_OF_ALGORITHMS,
};

static const OSSL_ALGORITHM signature_algorithms[] = {
    {"ECDSA", PROV_PROPERTIES, prov_signature_functions, "ECDSA, with the digest of IEEE 1609.2"},
    END_OF_ALGORITHMS,
};

static const OSSL_ALGORITHM keyexch_algorithms[] = {
    {"ECDH", PROV_PROPERTIES, prov_keyexch_functions, "ECDH, the x-coordinate without a KDF"},
    END_OF_ALGORITHMS,
};

static const OSSL_ALGORITHM asym_cipher_algorithms[] = {
    /* Under the key type's name, as RSA's is: libcrypto asks the key's provider for the name. */
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", PROV_PROPERTIES, prov_asym_cipher_functions,
     "ECIES of IEEE 1609.2"},
    END_OF_ALGORITHMS,
};

static const OSSL_ALGORITHM store_algorithms[] = {
    {"pkcs11", PROV_PROPERTIES, prov_store_functions, "keys and certificates by RFC 7512 URI"},
    END_OF_ALGORITHMS,
};

/*
 * Of a private key in a token, a text that says so and the key file (key_file.h) that names it. The
 * latter is offered as what programs ask for who write a private key.
 */
static const OSSL_ALGORITHM encoder_algorithms[] = {
    {"EC", PROV_PROPERTIES ",output=text", prov_encoder_text_functions, "EC key as text"},
    {"EC", PROV_PROPERTIES ",output=der,structure=SubjectPublicKeyInfo",
     prov_encoder_spki_der_functions, "EC public key as DER"},
    {"EC", PROV_PROPERTIES ",output=pem,structure=SubjectPublicKeyInfo",
     prov_encoder_spki_pem_functions, "EC public key as PEM"},
    {"EC", PROV_PROPERTIES ",output=pem,structure=PrivateKeyInfo", prov_encoder_pkcs8_pem_functions,
     "EC private key of a token as PEM key file"},
    {"EC", PROV_PROPERTIES ",output=pem,structure=type-specific",
     prov_encoder_specific_pem_functions, "EC private key of a token as PEM key file"},
    END_OF_ALGORITHMS,
};

static const OSSL_ALGORITHM decoder_algorithms[] = {
    {"DER", PROV_PROPERTIES ",input=pem", prov_decoder_pem_functions, "PEM key file to DER"},
    {"EC:id-ecPublicKey:1.2.840.10045.2.1",
     PROV_PROPERTIES ",input=der,structure=" PROV_KEY_FILE_STRUCTURE, prov_decoder_der_functions,
     "key file to a key of a token"},
    END_OF_ALGORITHMS,
};

static const struct {
    int operation;
    const OSSL_ALGORITHM *algorithms;
} operations[] = {
    {OSSL_OP_KEYMGMT, keymgmt_algorithms}, {OSSL_OP_SIGNATURE, signature_algorithms},
    {OSSL_OP_KEYEXCH, keyexch_algorithms}, {OSSL_OP_ASYM_CIPHER, asym_cipher_algorithms},
    {OSSL_OP_STORE, store_algorithms},     {OSSL_OP_ENCODER, encoder_algorithms},
    {OSSL_OP_DECODER, decoder_algorithms},
};

static const OSSL_ALGORITHM *provider_query_operation(void *vctx, int operation, int *no_cache)
{
    (void)vctx;
    *no_cache = 0;
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (operations[i].operation == operation)
            return operations[i].algorithms;
    }
    return NULL;
}

static const OSSL_PARAM *provider_gettable_params(void *vctx)
{
    (void)vctx;
    return prov_statistics_gettable;
}

static int provider_get_params(void *vctx, OSSL_PARAM params[])
{
    OSSL_PARAM *p = NULL;

    p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME);
    if (p != NULL && !OSSL_PARAM_set_utf8_ptr(p, PROV_NAME))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION);
    if (p != NULL && !OSSL_PARAM_set_utf8_ptr(p, PROV_VERSION))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_BUILDINFO);
    if (p != NULL && !OSSL_PARAM_set_utf8_ptr(p, PROV_VERSION))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
    if (p != NULL && !OSSL_PARAM_set_int(p, 1))
        return 0;
    return prov_statistics_get(vctx, params);
}

static void provider_teardown(void *vctx)
{
    struct prov_ctx *ctx = vctx;

    if (ctx == NULL)
        return;
    p11_ctx_free(ctx->token); /* makes no call into a module when the process is ending */
    prov_options_free(&ctx->options);
    OPENSSL_free(ctx->options_error);
    for (size_t i = 0; i < PROV_DIGESTS; i++)
        EVP_MD_free(ctx->digests[i]);
    EVP_MAC_free(ctx->hmac);
    for (size_t i = 0; i < PROV_CURVES; i++)
        prov_field_free(ctx->fields[i]);
    CRYPTO_THREAD_lock_free(ctx->lock);
    OSSL_LIB_CTX_free(ctx->bios);
    OPENSSL_free(ctx);
}

static const OSSL_DISPATCH provider_functions[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))provider_teardown},
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))provider_gettable_params},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))provider_get_params},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))provider_query_operation},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))prov_get_capabilities},
    {0, NULL},
};

/*
 * Whether the program's default library context is the one that loads us, and of our libcrypto.
 * The first is so by openssl.cnf; the second shows by a function that the program's hands us.
 */
static bool in_default_context(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in)
{
    OSSL_FUNC_core_get_libctx_fn *get_libctx = NULL;
    OSSL_FUNC_CRYPTO_free_fn *core_free = NULL;
    const void *loading = NULL;

    for (const OSSL_DISPATCH *entry = in; entry->function_id != 0; entry++) {
        if (entry->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
            get_libctx = OSSL_FUNC_core_get_libctx(entry);
        if (entry->function_id == OSSL_FUNC_CRYPTO_FREE)
            core_free = OSSL_FUNC_CRYPTO_free(entry);
    }
    if (get_libctx == NULL || core_free != CRYPTO_free)
        return false;
    loading = get_libctx(handle);
    return loading == NULL /* its own name for it */ ||
           loading == OSSL_LIB_CTX_get0_global_default();
}

/*
 * The contexts for what others do for us. A child of the one that loads us works with any program,
 * as it may be linked to another libcrypto. It is a second table of names and a second set of
 * digests, though: a tenth of a cold `openssl dgst -sign`. So it is done without where it can be
 * seen that there is no need of it.
 */
static bool make_contexts(struct prov_ctx *ctx, const OSSL_DISPATCH *in)
{
    if (in_default_context(ctx->handle, in)) {
        ctx->bios = OSSL_LIB_CTX_new_from_dispatch(ctx->handle, in);
        ctx->libctx = OSSL_LIB_CTX_get0_global_default();
    } else {
        ctx->bios = OSSL_LIB_CTX_new_child(ctx->handle, in);
        ctx->libctx = ctx->bios;
    }
    return ctx->bios != NULL;
}

__attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **vctx)
{
    OSSL_FUNC_core_get_params_fn *core_get_params = NULL;
    struct prov_ctx *ctx = OPENSSL_zalloc(sizeof(*ctx));

    if (ctx == NULL)
        goto err;
    for (const OSSL_DISPATCH *entry = in; entry->function_id != 0; entry++) {
        if (entry->function_id == OSSL_FUNC_CORE_GET_PARAMS)
            core_get_params = OSSL_FUNC_core_get_params(entry);
    }
    ctx->handle = handle;
    ctx->lock = CRYPTO_THREAD_lock_new();
    if (ctx->lock == NULL || !make_contexts(ctx, in))
        goto err;
    ctx->options_error = prov_options_read(&ctx->options, handle, core_get_params);
    prov_exit_watch();
    *out = provider_functions;
    *vctx = ctx;
    return 1;
err:
    PROV_RAISE(PROV_R_MEMORY, "while the provider " PROV_NAME " was loaded");
    provider_teardown(ctx);
    return 0;
}
