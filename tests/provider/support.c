
#include "tests/provider/support.h"

const char *const curve_names[CURVE_COUNT] = {"prime256v1", "secp384r1", "brainpoolP256r1",
                                              "brainpoolP384r1"};

size_t curve_size(const char *curve)
{
    return strstr(curve, "384") != NULL ? 48 : 32;
}

const char *curve_digest(const char *curve)
{
    return curve_size(curve) == 48 ? "SHA384" : "SHA256";
}

const char *wrong_digest(const char *curve)
{
    return curve_size(curve) == 48 ? "SHA256" : "SHA384";
}

void world_open(struct world *world, const char *first, const char *second)
{
    const char *modules = getenv("DOT2HSM_MODULES");

    memset(world, 0, sizeof(*world));
    assert_non_null(modules);
    world->libctx =
        getenv("WORLD_DEFAULT") != NULL ? OSSL_LIB_CTX_get0_global_default() : OSSL_LIB_CTX_new();
    assert_non_null(world->libctx);
    assert_true(OSSL_PROVIDER_set_default_search_path(world->libctx, modules));
    if (first != NULL) {
        world->first = OSSL_PROVIDER_load(world->libctx, first);
        assert_non_null(world->first);
    }
    if (second != NULL) {
        world->second = OSSL_PROVIDER_load(world->libctx, second);
        assert_non_null(world->second);
    }
}

void world_close(struct world *world)
{
    OSSL_PROVIDER_unload(world->second);
    OSSL_PROVIDER_unload(world->first);
    OSSL_LIB_CTX_free(world->libctx); /* not the default one */
}

EVP_PKEY *key_generate(OSSL_LIB_CTX *libctx, const char *properties, const char *curve)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(libctx, "EC", properties);
    EVP_PKEY *key = NULL;

    assert_non_null(ctx);
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_group_name(ctx, curve), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

size_t digest_by_hand(const char *curve, const void *data, size_t size, const void *signer,
                      size_t signer_size, uint8_t digest[64])
{
    const EVP_MD *md = curve_size(curve) == 48 ? EVP_sha384() : EVP_sha256();
    uint8_t halves[128];
    unsigned n = 0;

    assert_true(EVP_Digest(data, size, halves, &n, md, NULL));
    if (signer == NULL) {
        memcpy(digest, halves, n);
        return n;
    }
    assert_true(EVP_Digest(signer, signer_size, halves + n, NULL, md, NULL));
    assert_true(EVP_Digest(halves, 2 * (size_t)n, digest, &n, md, NULL));
    return n;
}

EVP_PKEY *public_copy(OSSL_LIB_CTX *libctx, EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(libctx, "EC", "provider=default");
    EVP_PKEY *copy = NULL;
    OSSL_PARAM *params = NULL;

    assert_non_null(ctx);
    assert_true(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params));
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &copy, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return copy;
}

bool verifies_plainly(EVP_PKEY *key, const uint8_t *digest, size_t digest_size,
                      const uint8_t *signature, size_t size)
{
    /* In the default library context, where dot2hsm is not loaded. */
    EVP_PKEY *plain = public_copy(NULL, key);
    EVP_PKEY_CTX *ctx = NULL;
    int verdict = 0;

    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, plain, NULL);
    assert_non_null(ctx);
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_CTX_get0_provider(ctx)), "default");
    verdict = EVP_PKEY_verify(ctx, signature, size, digest, digest_size);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(plain);
    return verdict == 1;
}

bool error_says(const char *words)
{
    char text[512];
    const char *data = NULL;
    unsigned long code = 0;
    int flags = 0;
    bool found = false;
    char all[4096] = "";

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        size_t used = strlen(all);

        ERR_error_string_n(code, text, sizeof(text));
        snprintf(all + used, sizeof(all) - used, "  %s:%s\n", text,
                 (flags & ERR_TXT_STRING) != 0 ? data : "");
    }
    found = strcasestr(all, words) != NULL;
    if (!found)
        print_message("no \"%s\" among the errors:\n%s", words, all);
    return found;
}
