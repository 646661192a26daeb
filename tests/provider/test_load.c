/* test_load.c: the provider without a token: what it offers, and what it says is missing. */

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

#include "tests/provider/token_lab.h"

static void loads_without_a_token_and_says_who_it_is(void **state)
{
    struct world world;
    const char *name = NULL, *version = NULL;
    int status = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_NAME, (char **)&name, 0),
        OSSL_PARAM_construct_utf8_ptr(OSSL_PROV_PARAM_VERSION, (char **)&version, 0),
        OSSL_PARAM_construct_int(OSSL_PROV_PARAM_STATUS, &status),
        OSSL_PARAM_construct_end(),
    };

    (void)state;
    for (int round = 0; round < 3; round++) { /* unloading leaves nothing that hinders loading */
        world_open(&world, "default", "dot2hsm");
        assert_int_equal(OSSL_PROVIDER_get_params(world.second, params), 1);
        assert_string_equal(name, "dot2hsm");
        assert_true(strlen(version) >= 5);
        assert_int_equal(status, 1);
        world_close(&world);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static void a_uri_without_a_module_is_an_error_that_says_so(void **state)
{
    struct world world;

    (void)state;
    world_open(&world, "default", "dot2hsm");
    assert_null(lab_load(world.libctx, "pkcs11:token=lab;object=key", OSSL_STORE_INFO_PKEY));
    assert_true(error_says("no pkcs11-module is configured"));
    assert_null(lab_generate(world.libctx, "P-256", "pkcs11:token=lab;object=key", NULL));
    assert_true(error_says("no pkcs11-module is configured"));
    world_close(&world);
}

static void without_another_provider_the_error_names_it(void **state)
{
    struct world all, alone;
    EVP_PKEY *key = NULL, *copy = NULL;
    EVP_PKEY_CTX *ctx = NULL;
    OSSL_PARAM *numbers = NULL;

    (void)state;
    world_open(&all, "default", NULL);
    key = key_generate(all.libctx, NULL, "P-256");
    assert_true(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &numbers));
    world_open(&alone, "dot2hsm", NULL);
    ctx = EVP_PKEY_CTX_new_from_name(alone.libctx, "EC", NULL);
    assert_non_null(ctx);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_true(EVP_PKEY_fromdata(ctx, &copy, EVP_PKEY_KEYPAIR, numbers) <= 0);
    assert_true(error_says("'default'"));
    EVP_PKEY_CTX_free(ctx);

    ctx = EVP_PKEY_CTX_new_from_name(alone.libctx, "EC", NULL);
    assert_true(EVP_PKEY_keygen_init(ctx) <= 0);
    assert_true(error_says("'default'"));
    EVP_PKEY_CTX_free(ctx);

    /* Activated later, it is found. */
    alone.second = OSSL_PROVIDER_load(alone.libctx, "default");
    assert_non_null(alone.second);
    ctx = EVP_PKEY_CTX_new_from_name(alone.libctx, "EC", OURS);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &copy, EVP_PKEY_KEYPAIR, numbers), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(copy);
    world_close(&alone);
    OSSL_PARAM_free(numbers);
    EVP_PKEY_free(key);
    world_close(&all);
}

/* dot2hsm away: the property query fails; nothing else signs in its place. */
static void with_dot2hsm_away_nothing_is_signed(void **state)
{
    struct world world;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *key = NULL;

    (void)state;
    world_open(&world, "default", NULL);
    key = key_generate(world.libctx, NULL, "P-256");
    assert_true(EVP_DigestSignInit_ex(ctx, NULL, NULL, world.libctx, OURS, key, NULL) <= 0);
    assert_int_not_equal(ERR_peek_error(), 0);
    ERR_clear_error();
    EVP_PKEY_free(key);
    EVP_MD_CTX_free(ctx);
    world_close(&world);
}

/* Each line is a file that DOT2HSM_CONF names, and the words of the error at a URI. */
static void options_that_are_wrong_are_said_at_the_uri(void **state)
{
    static const char *const cases[][2] = {
        {"max-sesions = 4", "unknown option max-sesions"},
        {"max-sessions = 0", "max-sessions"},
        {"max-sessions = four", "max-sessions"},
        {"max-sessions = -1", "max-sessions"},
        {"deadline-ms = 99999999999", "deadline-ms"},
        {"require-sensitive = perhaps", "require-sensitive"},
        {"allow-pin-value = 2", "allow-pin-value"},
        {"key-copy = sometimes", "key-copy in"},
        {"block-sigpipe = maybe", "block-sigpipe"},
        {"login = yes", "auto, always or never"},
        {"trace = loud", "trace"},
        {"pkcs11-module =", "pkcs11-module"},
        {"this line is none", "line 2"},
    };

    (void)state;
    strcpy(lab_directory, "/tmp/dot2hsm-options-XXXXXX");
    assert_non_null(mkdtemp(lab_directory));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world;

        lab_configure(cases[i][0]);
        world_open(&world, "default", "dot2hsm");
        assert_int_equal(ERR_peek_error(), 0); /* software work is not touched by it */
        assert_null(lab_load(world.libctx, "pkcs11:token=lab", OSSL_STORE_INFO_PKEY));
        assert_true(error_says(cases[i][1]));
        world_close(&world);
    }
    assert_int_equal(setenv("DOT2HSM_CONF", "/nowhere/dot2hsm.conf", 1), 0);
    struct world world;

    world_open(&world, "default", "dot2hsm");
    assert_null(lab_load(world.libctx, "pkcs11:token=lab", OSSL_STORE_INFO_PKEY));
    assert_true(error_says("/nowhere/dot2hsm.conf cannot be read"));
    world_close(&world);
    unsetenv("DOT2HSM_CONF");
    lab_close();
}

/* A software key through our KEYMGMT is the same key, whatever is asked of it. */
static void software_keys_answer_as_the_default_providers_do(void **state)
{
    struct world world;

    (void)state;
    world_open(&world, "default", "dot2hsm");
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        EVP_PKEY *key = key_generate(world.libctx, OURS, curve_names[i]);
        EVP_PKEY *copy = EVP_PKEY_dup(key), *plain = NULL, *other = NULL, *public = NULL;
        EVP_PKEY_CTX *ctx = NULL;
        OSSL_PARAM *numbers = NULL;
        char text[64] = "";
        unsigned char *encoded = NULL;
        size_t size = 0;

        assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "dot2hsm");
        assert_int_equal(EVP_PKEY_get_bits(key), (int)(8 * curve_size(curve_names[i])));
        assert_int_equal(EVP_PKEY_get_security_bits(key), (int)(4 * curve_size(curve_names[i])));
        assert_int_equal(EVP_PKEY_get_size(key), (int)(8 + 2 * curve_size(curve_names[i])));
        assert_true(EVP_PKEY_get_default_digest_name(key, text, sizeof(text)) > 0);
        assert_string_equal(text, curve_digest(curve_names[i]));
        assert_true(EVP_PKEY_get_group_name(key, text, sizeof(text), NULL));
        assert_string_equal(text, curve_names[i]);
        size = EVP_PKEY_get1_encoded_public_key(key, &encoded);
        assert_int_equal(size, 1 + 2 * curve_size(curve_names[i]));

        assert_non_null(copy);
        assert_int_equal(EVP_PKEY_eq(key, copy), 1);
        assert_true(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &numbers));
        ctx = EVP_PKEY_CTX_new_from_name(world.libctx, "EC", "provider=default");
        assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
        assert_int_equal(EVP_PKEY_fromdata(ctx, &plain, EVP_PKEY_KEYPAIR, numbers), 1);
        assert_int_equal(EVP_PKEY_eq(key, plain), 1);
        assert_int_equal(EVP_PKEY_eq(plain, key), 1);
        other = key_generate(world.libctx, "provider=default", curve_names[i]);
        assert_int_not_equal(EVP_PKEY_eq(key, other), 1);
        assert_int_not_equal(EVP_PKEY_eq(other, key), 1);
        assert_int_equal(EVP_PKEY_parameters_eq(key, other), 1);
        EVP_PKEY_CTX_free(ctx);

        ctx = EVP_PKEY_CTX_new_from_pkey(world.libctx, key, OURS);
        assert_int_equal(EVP_PKEY_check(ctx), 1);
        assert_int_equal(EVP_PKEY_public_check(ctx), 1);
        assert_int_equal(EVP_PKEY_param_check(ctx), 1);
        EVP_PKEY_CTX_free(ctx);

        /* parameters, then a point: the way TLS makes the peer's key */
        public = EVP_PKEY_new();
        assert_int_equal(EVP_PKEY_copy_parameters(public, key), 1);
        assert_int_equal(EVP_PKEY_set1_encoded_public_key(public, encoded, size), 1);
        assert_int_equal(EVP_PKEY_eq(public, key), 1);
        encoded[size - 1] ^= 1; /* not on the curve */
        assert_int_not_equal(EVP_PKEY_set1_encoded_public_key(public, encoded, size), 1);
        ERR_clear_error();

        OPENSSL_free(encoded);
        OSSL_PARAM_free(numbers);
        EVP_PKEY_free(public);
        EVP_PKEY_free(other);
        EVP_PKEY_free(plain);
        EVP_PKEY_free(copy);
        EVP_PKEY_free(key);
    }
    world_close(&world);
}

/* Without a public key there is the private number to compare. */
static EVP_PKEY *number_alone(OSSL_LIB_CTX *libctx, const char *curve, EVP_PKEY *from)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(libctx, "EC", OURS);
    BIGNUM *number = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params;
    EVP_PKEY *key = NULL;

    assert_true(EVP_PKEY_get_bn_param(from, OSSL_PKEY_PARAM_PRIV_KEY, &number));
    assert_true(OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) &&
                OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, number));
    params = OSSL_PARAM_BLD_to_param(builder);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params), 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_free(number);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void private_numbers_are_compared(void **state)
{
    struct world world;

    (void)state;
    world_open(&world, "default", "dot2hsm");
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        EVP_PKEY *one = key_generate(world.libctx, OURS, curve_names[i]);
        EVP_PKEY *two = key_generate(world.libctx, OURS, curve_names[i]);
        EVP_PKEY *alone = number_alone(world.libctx, curve_names[i], one);
        EVP_PKEY *same = number_alone(world.libctx, curve_names[i], one);
        EVP_PKEY *other = number_alone(world.libctx, curve_names[i], two);

        assert_int_equal(EVP_PKEY_eq(alone, same), 1);
        assert_int_not_equal(EVP_PKEY_eq(alone, other), 1);
        assert_int_equal(ERR_peek_error(), 0);
        EVP_PKEY_free(one);
        EVP_PKEY_free(two);
        EVP_PKEY_free(alone);
        EVP_PKEY_free(same);
        EVP_PKEY_free(other);
    }
    world_close(&world);
}

static size_t derive(OSSL_LIB_CTX *libctx, const char *properties, EVP_PKEY *key, EVP_PKEY *peer,
                     uint8_t *secret)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(libctx, key, properties);
    size_t size = 0, needed = 0;

    assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
    if (EVP_PKEY_derive_set_peer(ctx, peer) > 0) {
        assert_int_equal(EVP_PKEY_derive(ctx, NULL, &needed), 1);
        size = needed;
        assert_int_equal(EVP_PKEY_derive(ctx, secret, &size), 1);
        assert_int_equal(size, needed);
    }
    EVP_PKEY_CTX_free(ctx);
    return size;
}

static void ecdh_in_software_agrees(void **state)
{
    struct world world;
    EVP_PKEY *strange = NULL;
    uint8_t one[64], two[64];

    (void)state;
    world_open(&world, "default", "dot2hsm");
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        EVP_PKEY *ours = key_generate(world.libctx, OURS, curve_names[i]);
        EVP_PKEY *theirs = key_generate(world.libctx, "provider=default", curve_names[i]);
        size_t n = derive(world.libctx, OURS, ours, theirs, one);

        assert_int_equal(n, curve_size(curve_names[i]));
        assert_int_equal(derive(world.libctx, "provider=default", theirs, ours, two), n);
        assert_memory_equal(one, two, n);
        strange = key_generate(world.libctx, OURS, curve_names[(i + 1) % CURVE_COUNT]);
        assert_int_equal(derive(world.libctx, OURS, ours, strange, one), 0);
        assert_int_not_equal(ERR_peek_error(), 0);
        ERR_clear_error();
        EVP_PKEY_free(strange);
        EVP_PKEY_free(theirs);
        EVP_PKEY_free(ours);
    }
    world_close(&world);
}

static void generates(OSSL_LIB_CTX *libctx)
{
    EVP_PKEY *key = key_generate(libctx, OURS, "P-256");

    EVP_PKEY_free(key);
}

static void does_not_generate(OSSL_LIB_CTX *libctx, const char *words)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(libctx, "EC", OURS);

    assert_true(ctx == NULL || EVP_PKEY_keygen_init(ctx) <= 0);
    assert_true(error_says(words));
    EVP_PKEY_CTX_free(ctx);
}

/*
 * In the program's default context there is no child between: the same providers are there, and it
 * comes and goes as elsewhere. The last test, since what is done there stays.
 */
static void in_the_default_context_it_is_at_home(void **state)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_get0_global_default();
    OSSL_PROVIDER *other = OSSL_PROVIDER_load(NULL, "default"), *ours = NULL;

    (void)state;
    assert_true(OSSL_PROVIDER_set_default_search_path(NULL, getenv("DOT2HSM_MODULES")));
    /* The context is named in both ways that there are. */
    for (int round = 0; round < 4; round++) {
        ours = OSSL_PROVIDER_load(round % 2 == 0 ? NULL : libctx, "dot2hsm");
        assert_non_null(ours);
        generates(libctx);
        OSSL_PROVIDER_unload(other);
        does_not_generate(libctx, "'default'");
        other = OSSL_PROVIDER_load(NULL, "default");
        generates(libctx);
        OSSL_PROVIDER_unload(ours);
        does_not_generate(libctx, "unsupported");
        assert_int_equal(OSSL_PROVIDER_available(NULL, "dot2hsm"), 0);
    }
    OSSL_PROVIDER_unload(other);
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_without_a_token_and_says_who_it_is),
        cmocka_unit_test(a_uri_without_a_module_is_an_error_that_says_so),
        cmocka_unit_test(without_another_provider_the_error_names_it),
        cmocka_unit_test(with_dot2hsm_away_nothing_is_signed),
        cmocka_unit_test(options_that_are_wrong_are_said_at_the_uri),
        cmocka_unit_test(software_keys_answer_as_the_default_providers_do),
        cmocka_unit_test(private_numbers_are_compared),
        cmocka_unit_test(ecdh_in_software_agrees),
        cmocka_unit_test(in_the_default_context_it_is_at_home),
    };

    unsetenv("DOT2HSM_CONF");
    return cmocka_run_group_tests_name("provider/load", tests, NULL, NULL);
}
