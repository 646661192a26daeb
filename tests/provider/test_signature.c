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
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "tests/provider/support.h"

#define OURS "provider=dot2hsm"

static const uint8_t data[] = "The time is 2026-11-23T19:20:00Z";
static const uint8_t signer[] = "not a certificate, but octets are octets";

struct fixture {
    struct world world;
    EVP_PKEY *keys[CURVE_COUNT]; /* of the default provider */
};

static int set_up(void **state)
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

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < CURVE_COUNT; i++)
        EVP_PKEY_free(fixture->keys[i]);
    world_close(&fixture->world);
    return 0;
}

/* What goes into an init: the signer (NULL = absent) and the format (NULL = none named). */
struct options {
    const void *signer;
    size_t signer_size;
    const char *format;
};

static void options_params(const struct options *options, OSSL_PARAM params[3])
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

static void assert_guarded(EVP_PKEY_CTX *ctx)
{
    assert_non_null(ctx);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_CTX_get0_provider(ctx)), "dot2hsm");
    assert_non_null(OSSL_PARAM_locate_const(EVP_PKEY_CTX_settable_params(ctx), "dot2-signer"));
}

static size_t sign_one_shot(struct fixture *fixture, EVP_PKEY *key, const char *digest,
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

static int verify_one_shot(struct fixture *fixture, EVP_PKEY *key, const char *digest,
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

/* Plain ECDSA goes with any of SHA-2, whatever the curve; verified by libcrypto alone. */
static void plain_ecdsa_goes_with_every_sha2(void **state)
{
    static const char *const names[] = {"SHA224", "SHA2-256", "sha384", "SHA-512"};
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
        cmocka_unit_test(signs_what_hand_and_default_provider_verify),
        cmocka_unit_test(signer_absent_empty_and_present_differ),
        cmocka_unit_test(p1363_is_r_and_s_of_fixed_length),
        cmocka_unit_test(der_that_was_changed_does_not_verify),
        cmocka_unit_test(streaming_and_init_with_null_key),
        cmocka_unit_test(a_duplicate_keeps_signer_and_data),
        cmocka_unit_test(plain_ecdsa_goes_with_every_sha2),
        cmocka_unit_test(another_digest_is_refused_with_the_signer),
        cmocka_unit_test(digests_of_no_use_are_refused),
        cmocka_unit_test(sha1_verifies_and_does_not_sign),
        cmocka_unit_test(hash_parameters_go_through),
        cmocka_unit_test(ready_digests),
        cmocka_unit_test(bad_parameters_are_refused),
        cmocka_unit_test(calls_out_of_order_are_refused),
        cmocka_unit_test(keys_of_other_origins_sign),
        cmocka_unit_test(other_curves_are_refused),
        cmocka_unit_test(algorithm_identifier_is_the_digests),
    };

    return cmocka_run_group_tests_name("provider/signature", tests, set_up, tear_down);
}
