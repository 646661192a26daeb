/*
 * test_scarce_token.c: the provider with allocations that fail, the first, the second, and so on:
 * loaded, a key opened, a signature made and a message decrypted in the token. Whatever fails,
 * there is an error on the queue and never a wrong result, and the next use of the same token
 * succeeds.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/store.h>

#include "tests/provider/support.h"
#include "tests/provider/token_lab.h"

#define MOST 5000 /* more allocations than one use makes */

static const uint8_t data[] = "what is signed";
static uint8_t p1[32] = "thirty-two octets, like SHA-256", secret[16] = "sixteen octets.";

static void (*scarce_set)(unsigned number);
static bool (*scarce_end)(void);
static EVP_PKEY *public;
static uint8_t wrapped[97];
static size_t wrapped_size = sizeof wrapped;

static bool sign(OSSL_LIB_CTX *libctx, EVP_PKEY *key, uint8_t *signature, size_t *size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok =
        EVP_DigestSignInit_ex(ctx, NULL, "SHA256", libctx, "provider=dot2hsm", key, NULL) == 1 &&
        EVP_DigestSign(ctx, signature, size, data, sizeof data) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool crypt(OSSL_LIB_CTX *libctx, EVP_PKEY *key, bool decrypt, uint8_t *out, size_t *size)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(libctx, key, "provider=dot2hsm");
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string("p1", p1, sizeof p1), OSSL_PARAM_END};
    bool ok =
        ctx != NULL && (decrypt ? EVP_PKEY_decrypt_init_ex(ctx, params) == 1 &&
                                      EVP_PKEY_decrypt(ctx, out, size, wrapped, wrapped_size) == 1
                                : EVP_PKEY_encrypt_init_ex(ctx, params) == 1 &&
                                      EVP_PKEY_encrypt(ctx, out, size, secret, sizeof secret) == 1);

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* From the provider's load to its end; number 0: nothing fails. */
static bool use(unsigned number)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *base = OSSL_PROVIDER_load(libctx, "default"), *ours;
    EVP_PKEY *signs = NULL, *derives = NULL;
    uint8_t signature[80], out[16] = {0}, digest[64];
    size_t size = sizeof signature, out_size = sizeof out;
    bool signed_ok = false, decrypted = false;

    assert_non_null(base);
    assert_true(OSSL_PROVIDER_set_default_search_path(libctx, getenv("DOT2HSM_MODULES")));
    ERR_clear_error();
    scarce_set(number);
    ours = OSSL_PROVIDER_load(libctx, "dot2hsm");
    if (ours != NULL) {
        signs = lab_load(libctx, lab_uri("sign"), OSSL_STORE_INFO_PKEY);
        derives = lab_load(libctx, lab_uri("derive"), OSSL_STORE_INFO_PKEY);
    }
    if (signs != NULL)
        signed_ok = sign(libctx, signs, signature, &size);
    if (derives != NULL)
        decrypted = crypt(libctx, derives, true, out, &out_size);
    if (!signed_ok || !decrypted)
        assert_int_not_equal(ERR_peek_error(), 0);
    EVP_PKEY_free(signs);
    EVP_PKEY_free(derives);
    if (ours != NULL)
        OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(base);
    OSSL_LIB_CTX_free(libctx);
    ERR_clear_error();
    if (signed_ok) {
        size_t digest_size = digest_by_hand("P-256", data, sizeof data, NULL, 0, digest);

        assert_true(verifies_plainly(public, digest, digest_size, signature, size));
    }
    if (decrypted)
        assert_memory_equal(out, secret, sizeof secret);
    return signed_ok && decrypted;
}

static void one_after_the_other(void **state)
{
    unsigned n, errors = 0;

    (void)state;
    assert_true(use(0));
    for (n = 1; n < MOST; n++) {
        bool ok = use(n), failed = scarce_end();

        assert_true(ok || failed);
        if (!failed)
            break;
        errors += !ok;
        if (!use(0))
            fail_msg("after allocation %u has failed, nothing goes any more", n);
    }
    print_message("%u allocations, %u errors\n", n - 1, errors);
    assert_true(n > 20 && n < MOST && errors > 0);
}

static int set_up(void **state)
{
    struct world world;
    EVP_PKEY *sign_key, *derive_key;
    char path[512];
    void *module;

    (void)state;
    lab_open();
    snprintf(path, sizeof path, "%s/dot2hsm.so", getenv("DOT2HSM_MODULES"));
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(module);
    *(void **)&scarce_set = dlsym(module, "scarce_set");
    *(void **)&scarce_end = dlsym(module, "scarce_end");
    assert_true(scarce_set != NULL && scarce_end != NULL);
    world_open(&world, "default", "dot2hsm");
    sign_key = lab_generate(world.libctx, "P-256", lab_uri("sign"), "sign");
    derive_key = lab_generate(world.libctx, "P-256", lab_uri("derive"), "derive");
    assert_true(sign_key != NULL && derive_key != NULL);
    public = public_copy(NULL, sign_key);
    assert_true(crypt(world.libctx, derive_key, false, wrapped, &wrapped_size));
    EVP_PKEY_free(sign_key);
    EVP_PKEY_free(derive_key);
    world_close(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(public);
    lab_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_after_the_other)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
