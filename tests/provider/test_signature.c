/*
 * test_signature.c: ECDSA with software keys, with and without dot2-signer.
 *
 * The recipe for whoever signs with dot2-signer (protocol/):
 *
 *   params[] = { octet string "dot2-signer", end }
 *   EVP_DigestSignInit_ex(md_ctx, &pkey_ctx, NULL, libctx, "provider=dot2hsm", key, params)
 *   OSSL_PROVIDER_get0_name(EVP_PKEY_CTX_get0_provider(pkey_ctx)) is "dot2hsm"
 *   OSSL_PARAM_locate_const(EVP_PKEY_CTX_settable_params(pkey_ctx), "dot2-signer") is not NULL
 *   EVP_DigestSign(md_ctx, signature, &size, data, data_size)
 *
 * and the same with EVP_DigestVerifyInit_ex and EVP_DigestVerify. The digest's name may be NULL or
 * the curve's ("SHA256", "SHA384"): the property query also goes into a fetch of that digest by
 * libcrypto, which finds none in dot2hsm, but then takes EVP_get_digestbyname()'s and goes on; the
 * digest that is really used is fetched inside the provider. key may be dot2hsm's own or a software
 * key of any provider, which libcrypto then exports to dot2hsm.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_KEY, which others still bring */

#include <openssl/ec.h>

#include "tests/provider/signing.h"

/* Absent, present, present and empty: each against the digest made by hand, on each curve. */
static void signs_what_hand_and_default_provider_verify(void **state)
{
    struct fixture *fixture = *state;
    const struct options cases[] = {
        {NULL, 0, NULL}, {signer, sizeof(signer), NULL}, {"", 0, NULL}, {signer, 1, "der"}};

    for (size_t i = 0; i < CURVE_COUNT; i++) {
        for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
            const char *names[] = {NULL, curve_digest(curve_names[i])};

            for (size_t k = 0; k < 2; k++) {
                uint8_t signature[128], digest[64];
                size_t size =
                    sign_one_shot(fixture, fixture->keys[i], names[k], &cases[j], signature);
                size_t n = digest_by_hand(curve_names[i], data, sizeof(data), cases[j].signer,
                                          cases[j].signer_size, digest);

                assert_true(verifies_plainly(fixture->keys[i], digest, n, signature, size));
                assert_int_equal(verify_one_shot(fixture, fixture->keys[i], names[k], &cases[j],
                                                 signature, size),
                                 1);
            }
        }
    }
    assert_int_equal(ERR_peek_error(), 0);
}

/* The three kinds of digest are three: no signature of one verifies as another. */
static void signer_absent_empty_and_present_differ(void **state)
{
    struct fixture *fixture = *state;
    const struct options cases[] = {
        {NULL, 0, NULL}, {"", 0, NULL}, {signer, sizeof(signer), NULL}, {signer, 5, NULL}};
    const size_t count = sizeof(cases) / sizeof(cases[0]);

    for (size_t i = 0; i < CURVE_COUNT; i++) {
        for (size_t j = 0; j < count; j++) {
            uint8_t signature[128];
            size_t size = sign_one_shot(fixture, fixture->keys[i], NULL, &cases[j], signature);

            for (size_t k = 0; k < count; k++) {
                int verdict =
                    verify_one_shot(fixture, fixture->keys[i], NULL, &cases[k], signature, size);

                assert_int_equal(verdict, j == k);
                if (j != k)
                    assert_true(error_says("does not verify"));
            }
        }
    }
}

static void p1363_is_r_and_s_of_fixed_length(void **state)
{
    struct fixture *fixture = *state;
    const struct options raw = {signer, sizeof(signer), "p1363"};

    for (size_t i = 0; i < CURVE_COUNT; i++) {
        EVP_PKEY *key = fixture->keys[i];
        uint8_t signature[128], digest[64], *der = NULL;
        size_t n = curve_size(curve_names[i]);
        size_t size = sign_one_shot(fixture, key, NULL, &raw, signature);
        ECDSA_SIG *numbers = ECDSA_SIG_new();
        int der_size = 0;

        assert_int_equal(size, 2 * n);
        assert_int_equal(verify_one_shot(fixture, key, NULL, &raw, signature, size), 1);
        assert_true(ECDSA_SIG_set0(numbers, BN_bin2bn(signature, (int)n, NULL),
                                   BN_bin2bn(signature + n, (int)n, NULL)));
        der_size = i2d_ECDSA_SIG(numbers, &der);
        assert_true(der_size > 0);
        (void)digest_by_hand(curve_names[i], data, sizeof(data), signer, sizeof(signer), digest);
        assert_true(verifies_plainly(key, digest, n, der, (size_t)der_size));

        /* Wrong lengths, the other form, zero numbers, a flipped bit. */
        assert_int_equal(verify_one_shot(fixture, key, NULL, &raw, signature, size - 1), 0);
        assert_true(error_says("malformed signature"));
        assert_int_equal(verify_one_shot(fixture, key, NULL, &raw, signature, size + 1), 0);
        assert_true(error_says("malformed signature"));
        assert_int_equal(verify_one_shot(fixture, key, NULL, &raw, signature, 0), 0);
        assert_true(error_says("malformed signature"));
        assert_int_equal(verify_one_shot(fixture, key, NULL, &raw, der, (size_t)der_size), 0);
        assert_true(error_says("malformed signature"));
        signature[n] ^= 1;
        assert_int_equal(verify_one_shot(fixture, key, NULL, &raw, signature, size), 0);
        assert_true(error_says("does not verify"));
        memset(signature, 0, sizeof(signature));
        assert_int_equal(verify_one_shot(fixture, key, NULL, &raw, signature, size), 0);
        assert_true(error_says("does not verify"));
        OPENSSL_free(der);
        ECDSA_SIG_free(numbers);
    }
}

static void der_that_was_changed_does_not_verify(void **state)
{
    struct fixture *fixture = *state;
    const struct options options = {signer, sizeof(signer), NULL};
    uint8_t signature[128];
    size_t size = sign_one_shot(fixture, fixture->keys[0], NULL, &options, signature);

    for (size_t bit = 0; bit < 8 * size; bit++) {
        signature[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(
            verify_one_shot(fixture, fixture->keys[0], NULL, &options, signature, size), 0);
        assert_true(error_says("does not verify"));
        signature[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (size_t shorter = 0; shorter < size; shorter++) {
        assert_int_equal(
            verify_one_shot(fixture, fixture->keys[0], NULL, &options, signature, shorter), 0);
        assert_true(error_says("does not verify"));
    }
    /* another key of the same curve */
    EVP_PKEY *other = key_generate(fixture->world.libctx, "provider=default", curve_names[0]);

    assert_int_equal(verify_one_shot(fixture, other, NULL, &options, signature, size), 0);
    assert_true(error_says("does not verify"));
    EVP_PKEY_free(other);
}

/* Data in pieces is the same data; a second final needs a new init, which may have a NULL key. */
static void streaming_and_init_with_null_key(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < CURVE_COUNT; i++) {
        const struct options options = {signer, sizeof(signer), NULL};
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pkey_ctx = NULL;
        uint8_t signature[128], digest[64];
        OSSL_PARAM params[3];
        size_t n = 0;

        options_params(&options, params);
        assert_int_equal(EVP_DigestSignInit_ex(ctx, &pkey_ctx, NULL, fixture->world.libctx, OURS,
                                               fixture->keys[i], params),
                         1);
        n = digest_by_hand(curve_names[i], data, sizeof(data), signer, sizeof(signer), digest);
        for (int round = 0; round < 3; round++) {
            size_t size = 0;

            for (size_t at = 0; at < sizeof(data); at++)
                assert_int_equal(EVP_DigestSignUpdate(ctx, data + at, 1), 1);
            assert_int_equal(EVP_DigestSignFinal(ctx, NULL, &size), 1);
            assert_true(size >= 2 * n && size <= sizeof(signature));
            assert_int_equal(EVP_DigestSignFinal(ctx, signature, &size), 1);
            assert_true(verifies_plainly(fixture->keys[i], digest, n, signature, size));
            /* the signer stays */
            assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, NULL, NULL), 1);
        }
        /* A key, even the same one, clears it. */
        size_t size = sizeof(signature);

        assert_int_equal(EVP_DigestSignInit_ex(ctx, &pkey_ctx, NULL, fixture->world.libctx, OURS,
                                               fixture->keys[i], NULL),
                         1);
        assert_int_equal(EVP_DigestSign(ctx, signature, &size, data, sizeof(data)), 1);
        n = digest_by_hand(curve_names[i], data, sizeof(data), NULL, 0, digest);
        assert_true(verifies_plainly(fixture->keys[i], digest, n, signature, size));
        EVP_MD_CTX_free(ctx);
    }
}

static void a_duplicate_keeps_signer_and_data(void **state)
{
    struct fixture *fixture = *state;
    const struct options options = {signer, sizeof(signer), NULL};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    uint8_t signature[128], digest[64];
    OSSL_PARAM params[3];
    size_t size = sizeof(signature);
    size_t n = digest_by_hand(curve_names[0], data, sizeof(data), signer, sizeof(signer), digest);

    options_params(&options, params);
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, NULL, fixture->world.libctx, OURS,
                                           fixture->keys[0], params),
                     1);
    assert_int_equal(EVP_DigestSignUpdate(ctx, data, 10), 1);
    assert_int_equal(EVP_MD_CTX_copy_ex(copy, ctx), 1);
    EVP_MD_CTX_free(ctx); /* the copy must not lean on it */
    assert_int_equal(EVP_DigestSignUpdate(copy, data + 10, sizeof(data) - 10), 1);
    assert_int_equal(EVP_DigestSignFinal(copy, signature, &size), 1);
    assert_true(verifies_plainly(fixture->keys[0], digest, n, signature, size));
    EVP_MD_CTX_free(copy);

    ctx = EVP_MD_CTX_new();
    copy = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit_ex(ctx, NULL, NULL, fixture->world.libctx, OURS,
                                             fixture->keys[0], params),
                     1);
    assert_int_equal(EVP_DigestVerifyUpdate(ctx, data, 10), 1);
    assert_int_equal(EVP_MD_CTX_copy_ex(copy, ctx), 1);
    assert_int_equal(EVP_DigestVerifyUpdate(copy, data + 10, sizeof(data) - 10), 1);
    assert_int_equal(EVP_DigestVerifyFinal(copy, signature, size), 1);
    assert_int_equal(EVP_DigestVerifyFinal(ctx, signature, size), 0); /* ten octets only */
    assert_true(error_says("does not verify"));
    EVP_MD_CTX_free(copy);
    EVP_MD_CTX_free(ctx);
}

static void bad_parameters_are_refused(void **state)
{
    struct fixture *fixture = *state;
    int number = 1;
    const OSSL_PARAM bad[] = {
        OSSL_PARAM_construct_int("dot2-signer", &number),
        OSSL_PARAM_construct_utf8_string("dot2-signer", (char *)"text", 0),
        OSSL_PARAM_construct_utf8_string("signature-format", (char *)"xml", 0),
        OSSL_PARAM_construct_int("signature-format", &number),
        OSSL_PARAM_construct_utf8_string("digest", (char *)"MD5", 0),
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        OSSL_PARAM params[] = {bad[i], OSSL_PARAM_construct_end()};

        assert_true(EVP_DigestSignInit_ex(ctx, NULL, NULL, fixture->world.libctx, OURS,
                                          fixture->keys[0], params) <= 0);
        assert_int_not_equal(ERR_peek_error(), 0);
        ERR_clear_error();
        EVP_MD_CTX_free(ctx);
    }
}

static void calls_out_of_order_are_refused(void **state)
{
    struct fixture *fixture = *state;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey_ctx = NULL;
    const struct options options = {signer, sizeof(signer), NULL};
    OSSL_PARAM params[3];
    uint8_t signature[128];
    size_t size = 8;

    options_params(&options, params);
    assert_int_equal(EVP_DigestSignInit_ex(ctx, &pkey_ctx, NULL, fixture->world.libctx, OURS,
                                           fixture->keys[0], NULL),
                     1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &size, data, sizeof(data)), 0);
    assert_true(error_says("buffer too small"));
    EVP_MD_CTX_free(ctx);
    ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit_ex(ctx, &pkey_ctx, NULL, fixture->world.libctx, OURS,
                                           fixture->keys[0], NULL),
                     1);
    assert_int_equal(EVP_DigestSignUpdate(ctx, data, sizeof(data)), 1);
    /* The hash of the signer after data was seen, or one piece after pieces: both are mistakes. */
    assert_true(EVP_PKEY_CTX_set_params(pkey_ctx, params) <= 0);
    assert_true(error_says("before the first data"));
    size = sizeof(signature);
    assert_int_equal(EVP_DigestSign(ctx, signature, &size, data, sizeof(data)), 0);
    assert_true(error_says("call out of order"));
    EVP_MD_CTX_free(ctx);

    /* A public key does not sign. */
    EVP_PKEY *public = NULL;
    OSSL_PARAM *numbers = NULL;
    EVP_PKEY_CTX *from = EVP_PKEY_CTX_new_from_name(fixture->world.libctx, "EC", OURS);

    assert_true(EVP_PKEY_todata(fixture->keys[0], EVP_PKEY_PUBLIC_KEY, &numbers));
    assert_int_equal(EVP_PKEY_fromdata_init(from), 1);
    assert_int_equal(EVP_PKEY_fromdata(from, &public, EVP_PKEY_PUBLIC_KEY, numbers), 1);
    ctx = EVP_MD_CTX_new();
    assert_true(EVP_DigestSignInit_ex(ctx, NULL, NULL, fixture->world.libctx, OURS, public, NULL) <=
                0);
    assert_true(error_says("no private key"));
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(public);
    EVP_PKEY_CTX_free(from);
    OSSL_PARAM_free(numbers);
}

/* Keys come in many clothes: old objects, explicit parameters, compressed points, no public key. */
static void keys_of_other_origins_sign(void **state)
{
    struct fixture *fixture = *state;
    const struct options options = {signer, sizeof(signer), NULL};

    for (size_t i = 0; i < CURVE_COUNT; i++) {
        EVP_PKEY *keys[4] = {NULL};
        OSSL_PARAM *numbers = NULL, *private = NULL;
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(fixture->world.libctx, "EC", NULL);
        uint8_t signature[128], digest[64];
        size_t n =
            digest_by_hand(curve_names[i], data, sizeof(data), signer, sizeof(signer), digest);

        /* an EC_KEY put into an EVP_PKEY, as programs from before OpenSSL 3 do */
        keys[0] = EVP_PKEY_new();
        assert_int_equal(EVP_PKEY_assign_EC_KEY(keys[0], EVP_PKEY_get1_EC_KEY(fixture->keys[i])),
                         1);
        keys[1] = EVP_PKEY_dup(fixture->keys[i]);
        assert_true(EVP_PKEY_set_utf8_string_param(keys[1], OSSL_PKEY_PARAM_EC_ENCODING,
                                                   OSSL_PKEY_EC_ENCODING_EXPLICIT));
        keys[2] = EVP_PKEY_dup(fixture->keys[i]);
        assert_true(EVP_PKEY_set_utf8_string_param(
            keys[2], OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"));
        assert_true(EVP_PKEY_todata(fixture->keys[i], EVP_PKEY_KEYPAIR, &numbers));
        private = OSSL_PARAM_locate(numbers, OSSL_PKEY_PARAM_PUB_KEY);
        assert_non_null(private);
        private->key = "left-out";
        assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
        assert_int_equal(EVP_PKEY_fromdata(ctx, &keys[3], EVP_PKEY_KEYPAIR, numbers), 1);
        for (size_t j = 0; j < 4; j++) {
            size_t size = sign_one_shot(fixture, keys[j], NULL, &options, signature);

            assert_true(verifies_plainly(fixture->keys[i], digest, n, signature, size));
            if (j < 3)
                assert_int_equal(verify_one_shot(fixture, keys[j], NULL, &options, signature, size),
                                 1);
            EVP_PKEY_free(keys[j]);
        }
        OSSL_PARAM_free(numbers);
        EVP_PKEY_CTX_free(ctx);
    }
}

/*
 * A curve that is none of the four. libcrypto asks us first, then the key's own provider, and keeps
 * the errors of neither; a key put into dot2hsm directly is refused by name.
 */
static void other_curves_are_refused(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *key = key_generate(fixture->world.libctx, "provider=default", "secp521r1");
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *from = EVP_PKEY_CTX_new_from_name(fixture->world.libctx, "EC", OURS);
    EVP_PKEY *copy = NULL;
    OSSL_PARAM *numbers = NULL;

    assert_true(EVP_DigestSignInit_ex(ctx, NULL, NULL, fixture->world.libctx, OURS, key, NULL) <=
                0);
    assert_int_not_equal(ERR_peek_error(), 0);
    ERR_clear_error();
    assert_true(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &numbers));
    assert_int_equal(EVP_PKEY_fromdata_init(from), 1);
    assert_true(EVP_PKEY_fromdata(from, &copy, EVP_PKEY_KEYPAIR, numbers) <= 0);
    assert_true(error_says("curve not supported"));
    OSSL_PARAM_free(numbers);
    EVP_PKEY_CTX_free(from);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_what_hand_and_default_provider_verify),
        cmocka_unit_test(signer_absent_empty_and_present_differ),
        cmocka_unit_test(p1363_is_r_and_s_of_fixed_length),
        cmocka_unit_test(der_that_was_changed_does_not_verify),
        cmocka_unit_test(streaming_and_init_with_null_key),
        cmocka_unit_test(a_duplicate_keeps_signer_and_data),
        cmocka_unit_test(bad_parameters_are_refused),
        cmocka_unit_test(calls_out_of_order_are_refused),
        cmocka_unit_test(keys_of_other_origins_sign),
        cmocka_unit_test(other_curves_are_refused),
    };

    return cmocka_run_group_tests_name("provider/signature", tests, signing_setup,
                                       signing_teardown);
}
