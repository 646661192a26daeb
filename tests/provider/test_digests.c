/* test_digests.c: the digest of a signature: which go with a key, named, left open or ready. */
#include "tests/provider/signing.h"

/* Plain ECDSA goes with any of SHA-2, whatever the curve; verified by libcrypto alone. */
static void plain_ecdsa_goes_with_every_sha2(void **state)
{
    static const char *const names[] = {"SHA224", "SHA2-256", "sha384", "SHA-512",
                                        "2.16.840.1.101.3.4.2.2"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < CURVE_COUNT; i++) {
        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
            const struct options options = {NULL, 0, NULL};
            EVP_MD *md = EVP_MD_fetch(NULL, names[j], NULL);
            uint8_t signature[160], digest[64];
            unsigned n = 0;
            size_t size = sign_one_shot(fixture, fixture->keys[i], names[j], &options, signature);

            assert_non_null(md);
            assert_true(EVP_Digest(data, sizeof(data), digest, &n, md, NULL));
            assert_true(verifies_plainly(fixture->keys[i], digest, n, signature, size));
            assert_int_equal(
                verify_one_shot(fixture, fixture->keys[i], names[j], &options, signature, size), 1);
            assert_int_not_equal(verify_one_shot(fixture, fixture->keys[i],
                                                 j == 3 ? "SHA256" : "SHA512", &options, signature,
                                                 size),
                                 1);
            ERR_clear_error();
            EVP_MD_free(md);
        }
    }
}

/* With dot2-signer there is one digest, in whichever order the two are named. */
static void another_digest_is_refused_with_the_signer(void **state)
{
    struct fixture *fixture = *state;
    const struct options options = {signer, sizeof(signer), NULL};
    OSSL_PARAM with_signer[3];

    options_params(&options, with_signer);
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        const char *names[] = {wrong_digest(curve_names[i]), "SHA512", "SHA224"};

        for (size_t j = 0; j < 3; j++) {
            EVP_MD_CTX *ctx = EVP_MD_CTX_new();
            EVP_PKEY_CTX *pkey_ctx = NULL;
            OSSL_PARAM named[] = {
                OSSL_PARAM_construct_utf8_string("digest", (char *)names[j], 0),
                OSSL_PARAM_construct_end(),
            };

            assert_true(EVP_DigestSignInit_ex(ctx, NULL, names[j], fixture->world.libctx, OURS,
                                              fixture->keys[i], with_signer) <= 0);
            assert_true(error_says("digest is not the curve's"));
            EVP_MD_CTX_free(ctx);
            ctx = EVP_MD_CTX_new();
            assert_true(EVP_DigestVerifyInit_ex(ctx, NULL, names[j], fixture->world.libctx, OURS,
                                                fixture->keys[i], with_signer) <= 0);
            assert_true(error_says("digest is not the curve's"));
            EVP_MD_CTX_free(ctx);
            /* the signer after the digest, and the digest after the signer */
            ctx = EVP_MD_CTX_new();
            assert_int_equal(EVP_DigestSignInit_ex(ctx, &pkey_ctx, names[j], fixture->world.libctx,
                                                   OURS, fixture->keys[i], NULL),
                             1);
            assert_true(EVP_PKEY_CTX_set_params(pkey_ctx, with_signer) <= 0);
            assert_true(error_says("digest is not the curve's"));
            EVP_MD_CTX_free(ctx);
            ctx = EVP_MD_CTX_new();
            assert_int_equal(EVP_DigestSignInit_ex(ctx, &pkey_ctx, NULL, fixture->world.libctx,
                                                   OURS, fixture->keys[i], with_signer),
                             1);
            assert_true(EVP_PKEY_CTX_set_params(pkey_ctx, named) <= 0);
            assert_true(error_says("digest is not the curve's"));
            /* which survives the re-init without a key, too */
            assert_true(EVP_DigestSignInit_ex(ctx, NULL, names[j], fixture->world.libctx, OURS,
                                              NULL, NULL) <= 0);
            assert_true(error_says("digest is not the curve's"));
            EVP_MD_CTX_free(ctx);
        }
    }
}

static void digests_of_no_use_are_refused(void **state)
{
    static const char *const names[] = {"MD5", "SHA3-256", "SHAKE128", "SHA512-256"};
    struct fixture *fixture = *state;

    for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        assert_true(EVP_DigestSignInit_ex(ctx, NULL, names[j], fixture->world.libctx, OURS,
                                          fixture->keys[0], NULL) <= 0);
        assert_true(error_says("digest not supported"));
        EVP_MD_CTX_free(ctx);
        ctx = EVP_MD_CTX_new();
        assert_true(EVP_DigestVerifyInit_ex(ctx, NULL, names[j], fixture->world.libctx, OURS,
                                            fixture->keys[0], NULL) <= 0);
        assert_true(error_says("digest not supported"));
        EVP_MD_CTX_free(ctx);
    }
}

/* SHA-1 is good for verifying what somebody signed long ago, and for nothing else. */
static void sha1_verifies_and_does_not_sign(void **state)
{
    struct fixture *fixture = *state;
    const struct options options = {NULL, 0, NULL};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[160];
    size_t size = sizeof(signature);

    assert_true(EVP_DigestSignInit_ex(ctx, NULL, "SHA1", fixture->world.libctx, OURS,
                                      fixture->keys[0], NULL) <= 0);
    assert_true(error_says("digest not supported"));
    EVP_MD_CTX_free(ctx);
    ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA1", fixture->world.libctx,
                                           "provider=default", fixture->keys[0], NULL),
                     1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &size, data, sizeof(data)), 1);
    assert_int_equal(verify_one_shot(fixture, fixture->keys[0], "SHA1", &options, signature, size),
                     1);
    EVP_MD_CTX_free(ctx);
}

/* The hash beneath can be asked for its parameters, as libcrypto's own can. */
static void hash_parameters_go_through(void **state)
{
    struct fixture *fixture = *state;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA384", fixture->world.libctx, OURS,
                                           fixture->keys[0], NULL),
                     1);
    /* SHA-2 has none; that the question gets no error is what counts */
    assert_null(EVP_MD_CTX_gettable_params(ctx));
    assert_null(EVP_MD_CTX_settable_params(ctx));
    assert_int_equal(ERR_peek_error(), 0);
    EVP_MD_CTX_free(ctx);
}

static EVP_PKEY_CTX *ready(struct fixture *fixture, EVP_PKEY *key, bool sign)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture->world.libctx, key, OURS);

    assert_non_null(ctx);
    assert_int_equal(sign ? EVP_PKEY_sign_init(ctx) : EVP_PKEY_verify_init(ctx), 1);
    assert_guarded(ctx);
    return ctx;
}

/* EVP_PKEY_sign and EVP_PKEY_verify: plain only, and of the size of a digest. */
static void ready_digests(void **state)
{
    struct fixture *fixture = *state;
    const struct options options = {signer, sizeof(signer), NULL};
    OSSL_PARAM with_signer[3];

    options_params(&options, with_signer);
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        EVP_PKEY *key = fixture->keys[i];
        EVP_PKEY_CTX *ctx = ready(fixture, key, true);
        uint8_t signature[128], digest[64];
        size_t size = sizeof(signature);
        size_t n = digest_by_hand(curve_names[i], data, sizeof(data), NULL, 0, digest);

        assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, n), 1);
        assert_true(verifies_plainly(key, digest, n, signature, size));
        size = sizeof(signature);
        assert_true(EVP_PKEY_sign(ctx, signature, &size, digest, n - 1) <= 0);
        assert_true(error_says("digest of a wrong size"));
        size = sizeof(signature);
        memset(digest, 0xa5, sizeof(digest));
        assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, 64), 1);
        assert_true(verifies_plainly(key, digest, 64, signature, size));
        /* named, it is this one and no other */
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha384()), 1);
        size = sizeof(signature);
        assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, 48), 1);
        size = sizeof(signature);
        assert_true(EVP_PKEY_sign(ctx, signature, &size, digest, 32) <= 0);
        assert_true(error_says("digest of a wrong size"));
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, n == 48 ? EVP_sha384() : EVP_sha256()),
                         1);
        (void)digest_by_hand(curve_names[i], data, sizeof(data), NULL, 0, digest);
        assert_int_equal(EVP_PKEY_CTX_set_params(ctx, with_signer), 1);
        size = sizeof(signature);
        assert_true(EVP_PKEY_sign(ctx, signature, &size, digest, n) <= 0);
        assert_true(error_says("ready digest"));
        EVP_PKEY_CTX_free(ctx);

        ctx = ready(fixture, key, true);
        size = sizeof(signature);
        assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, n), 1);
        EVP_PKEY_CTX_free(ctx);
        ctx = ready(fixture, key, false);
        assert_int_equal(EVP_PKEY_verify(ctx, signature, size, digest, n), 1);
        assert_int_equal(EVP_PKEY_CTX_set_params(ctx, with_signer), 1);
        assert_true(EVP_PKEY_verify(ctx, signature, size, digest, n) <= 0);
        assert_true(error_says("ready digest"));
        EVP_PKEY_CTX_free(ctx);
    }
}

static void algorithm_identifier_is_the_digests(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < CURVE_COUNT; i++) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pkey_ctx = NULL;
        uint8_t id[32];
        char digest[16] = "", format[8] = "";
        OSSL_PARAM get[] = {
            OSSL_PARAM_construct_octet_string("algorithm-id", id, sizeof(id)),
            OSSL_PARAM_construct_utf8_string("digest", digest, sizeof(digest)),
            OSSL_PARAM_construct_utf8_string("signature-format", format, sizeof(format)),
            OSSL_PARAM_construct_end(),
        };
        OSSL_PARAM self[] = {OSSL_PARAM_construct_octet_string("dot2-signer", "", 0),
                             OSSL_PARAM_construct_end()};

        assert_int_equal(EVP_DigestSignInit_ex(ctx, &pkey_ctx, NULL, fixture->world.libctx, OURS,
                                               fixture->keys[i], NULL),
                         1);
        assert_int_equal(EVP_PKEY_CTX_get_params(pkey_ctx, get), 1);
        assert_int_equal(get[0].return_size, 12);
        assert_int_equal(id[11], curve_size(curve_names[i]) == 48 ? 3 : 2);
        assert_string_equal(digest, curve_digest(curve_names[i]));
        assert_string_equal(format, "der");
        /* X.509 must not be signed with a 1609.2 digest under plain ECDSA's identifier. */
        assert_int_equal(EVP_PKEY_CTX_set_params(pkey_ctx, self), 1);
        assert_true(EVP_PKEY_CTX_get_params(pkey_ctx, get) <= 0);
        assert_true(error_says("AlgorithmIdentifier"));
        EVP_MD_CTX_free(ctx);
        ctx = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit_ex(ctx, &pkey_ctx, "SHA512", fixture->world.libctx,
                                               OURS, fixture->keys[i], NULL),
                         1);
        assert_int_equal(EVP_PKEY_CTX_get_params(pkey_ctx, get), 1);
        assert_int_equal(id[11], 4);
        assert_string_equal(digest, "SHA512");
        EVP_MD_CTX_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_ecdsa_goes_with_every_sha2),
        cmocka_unit_test(another_digest_is_refused_with_the_signer),
        cmocka_unit_test(digests_of_no_use_are_refused),
        cmocka_unit_test(sha1_verifies_and_does_not_sign),
        cmocka_unit_test(hash_parameters_go_through),
        cmocka_unit_test(ready_digests),
        cmocka_unit_test(algorithm_identifier_is_the_digests),
    };

    return cmocka_run_group_tests_name("provider/digests", tests, signing_setup, signing_teardown);
}
