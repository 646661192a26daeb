/* signing.c: what signing.h says. */
#include "tests/provider/signing.h"

const uint8_t data[33] = "The time is 2026-11-23T19:20:00Z";
const uint8_t signer[41] = "not a certificate, but octets are octets";

int signing_setup(void **state)
{
    static struct fixture fixture;

    world_open(&fixture.world, "default", "dot2hsm");
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        fixture.keys[i] = key_generate(fixture.world.libctx, "provider=default", curve_names[i]);
        assert_non_null(fixture.keys[i]);
    }
    *state = &fixture;
    return 0;
}

int signing_teardown(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < CURVE_COUNT; i++)
        EVP_PKEY_free(fixture->keys[i]);
    world_close(&fixture->world);
    return 0;
}

void options_params(const struct options *options, OSSL_PARAM params[3])
{
    size_t n = 0;

    if (options->signer != NULL)
        params[n++] = OSSL_PARAM_construct_octet_string("dot2-signer", (void *)options->signer,
                                                        options->signer_size);
    if (options->format != NULL)
        params[n++] =
            OSSL_PARAM_construct_utf8_string("signature-format", (char *)options->format, 0);
    params[n] = OSSL_PARAM_construct_end();
}

void assert_guarded(EVP_PKEY_CTX *ctx)
{
    assert_non_null(ctx);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_CTX_get0_provider(ctx)), "dot2hsm");
    assert_non_null(OSSL_PARAM_locate_const(EVP_PKEY_CTX_settable_params(ctx), "dot2-signer"));
}

size_t sign_one_shot(struct fixture *fixture, EVP_PKEY *key, const char *digest,
                     const struct options *options, uint8_t signature[128])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey_ctx = NULL;
    OSSL_PARAM params[3];
    size_t size = 128;

    options_params(options, params);
    assert_int_equal(
        EVP_DigestSignInit_ex(ctx, &pkey_ctx, digest, fixture->world.libctx, OURS, key, params), 1);
    assert_guarded(pkey_ctx);
    assert_int_equal(EVP_DigestSign(ctx, signature, &size, data, sizeof(data)), 1);
    EVP_MD_CTX_free(ctx);
    return size;
}

int verify_one_shot(struct fixture *fixture, EVP_PKEY *key, const char *digest,
                    const struct options *options, const uint8_t *signature, size_t size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey_ctx = NULL;
    OSSL_PARAM params[3];
    int verdict = 0;

    options_params(options, params);
    assert_int_equal(
        EVP_DigestVerifyInit_ex(ctx, &pkey_ctx, digest, fixture->world.libctx, OURS, key, params),
        1);
    assert_guarded(pkey_ctx);
    verdict = EVP_DigestVerify(ctx, signature, size, data, sizeof(data));
    EVP_MD_CTX_free(ctx);
    return verdict;
}
