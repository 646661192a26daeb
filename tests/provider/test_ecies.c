/*
 * test_ecies.c: ECIES of IEEE 1609.2 by EVP_PKEY_encrypt and EVP_PKEY_decrypt, with software keys
 * and with keys in a SoftHSM token.
 */

#include <openssl/ec.h>
#include <openssl/param_build.h>

#include "tests/provider/put_key.h"
#include "tests/provider/token_lab.h"

static const uint8_t wrapped_key[16] = "sixteen octets!";
static uint8_t some_p1[32] = "thirty-two octets, like SHA-256";

struct fixture {
    struct world world;
    EVP_PKEY *software[PUBLISHED], *token[PUBLISHED]; /* the published private keys */
};

static void from_hex(const char *hex, uint8_t *octets, size_t expect)
{
    size_t size = 0;

    assert_true(OPENSSL_hexstr2buf_ex(octets, expect, &size, hex, '\0'));
    assert_int_equal(size, expect);
}

static EVP_PKEY *software_key(OSSL_LIB_CTX *libctx, const char *group, const uint8_t *point,
                              size_t point_size, const uint8_t *d)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(libctx, "EC", "provider=default");
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    BIGNUM *number = d == NULL ? NULL : BN_bin2bn(d, 32, NULL);

    assert_non_null(ctx);
    assert_true(OSSL_PARAM_BLD_push_utf8_string(builder, "group", group, 0));
    assert_true(OSSL_PARAM_BLD_push_octet_string(builder, "pub", point, point_size));
    assert_true(number == NULL || OSSL_PARAM_BLD_push_BN(builder, "priv", number));
    params = OSSL_PARAM_BLD_to_param(builder);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &key,
                                       number == NULL ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR,
                                       params),
                     1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(ctx);
    BN_free(number);
    return key;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    uint8_t d[32], q[65];
    char label[8];

    lab_open();
    for (size_t i = 0; i < PUBLISHED; i++) {
        from_hex(published[i].d, d, 32);
        from_hex(published[i].q, q, 65);
        snprintf(label, sizeof(label), "known%zu", i);
        lab_put_key(label, d, q);
    }
    from_hex(published[0].q, q, 65);
    lab_put_key("mixed", d, q); /* not the private key's point */
    world_open(&fixture.world, "default", "dot2hsm");
    for (size_t i = 0; i < PUBLISHED; i++) {
        from_hex(published[i].d, d, 32);
        from_hex(published[i].q, q, 65);
        fixture.software[i] = software_key(fixture.world.libctx, "P-256", q, 65, d);
        snprintf(label, sizeof(label), "known%zu", i);
        fixture.token[i] = lab_load(fixture.world.libctx, lab_uri(label), OSSL_STORE_INFO_PKEY);
        assert_non_null(fixture.token[i]);
    }
    *state = &fixture;
    return 0;
}

static void forget_kept(void);

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    forget_kept();
    for (size_t i = 0; i < PUBLISHED; i++) {
        EVP_PKEY_free(fixture->software[i]);
        EVP_PKEY_free(fixture->token[i]);
    }
    world_close(&fixture->world);
    lab_close();
    return 0;
}

static EVP_PKEY_CTX *start(struct fixture *fixture, EVP_PKEY *key, bool decrypt, const void *p1,
                           size_t p1_size)
{
    OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture->world.libctx, key, OURS);
    int ok = 0;

    assert_non_null(ctx);
    if (p1 != NULL)
        params[0] = OSSL_PARAM_construct_octet_string("p1", (void *)(uintptr_t)p1, p1_size);
    ok = decrypt ? EVP_PKEY_decrypt_init_ex(ctx, params) : EVP_PKEY_encrypt_init_ex(ctx, params);
    if (ok > 0) {
        assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_CTX_get0_provider(ctx)), "dot2hsm");
        assert_non_null(OSSL_PARAM_locate_const(EVP_PKEY_CTX_settable_params(ctx), "p1"));
        return ctx;
    }
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

static bool encrypts(struct fixture *fixture, EVP_PKEY *key, const uint8_t *p1, uint8_t out[65])
{
    EVP_PKEY_CTX *ctx = start(fixture, key, false, p1, 32);
    size_t size = 0;
    bool ok = false;

    assert_non_null(ctx);
    assert_int_equal(EVP_PKEY_encrypt(ctx, NULL, &size, wrapped_key, 16), 1);
    assert_int_equal(size, 65);
    ok = EVP_PKEY_encrypt(ctx, out, &size, wrapped_key, 16) == 1;
    assert_true(!ok || size == 65);
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* A context that decrypts for as long as the test asks for the same key and P1. */
static struct {
    EVP_PKEY *key;
    uint8_t p1[32];
    EVP_PKEY_CTX *ctx;
} kept;

static void forget_kept(void)
{
    EVP_PKEY_CTX_free(kept.ctx);
    EVP_PKEY_free(kept.key);
    memset(&kept, 0, sizeof(kept));
}

/* Whatever it has decrypted or refused before, it answers as a fresh one did. */
static void decrypts_kept(struct fixture *fixture, EVP_PKEY *key, const uint8_t *p1,
                          const uint8_t *in, size_t in_size, bool expected,
                          const uint8_t expected_out[16], int expected_refused)
{
    uint8_t out[16];
    size_t size = 16;
    int refused = -1;
    OSSL_PARAM get[] = {OSSL_PARAM_construct_int("ecies-refused", &refused), OSSL_PARAM_END};

    if (kept.ctx == NULL || kept.key != key || memcmp(kept.p1, p1, 32) != 0) {
        forget_kept();
        kept.ctx = start(fixture, key, true, p1, 32);
        assert_non_null(kept.ctx);
        assert_int_equal(EVP_PKEY_up_ref(key), 1);
        kept.key = key;
        memcpy(kept.p1, p1, 32);
    }
    assert_int_equal(EVP_PKEY_decrypt(kept.ctx, out, &size, in, in_size) == 1, expected);
    if (expected)
        assert_memory_equal(out, expected_out, 16);
    assert_int_equal(EVP_PKEY_CTX_get_params(kept.ctx, get), 1);
    assert_int_equal(refused, expected_refused);
}

/* refused gets "ecies-refused" of the context. */
static bool decrypts(struct fixture *fixture, EVP_PKEY *key, const uint8_t *p1, const uint8_t *in,
                     size_t in_size, uint8_t out[16], int *refused)
{
    static const uint8_t untouched[16] = {0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
                                          0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a};
    EVP_PKEY_CTX *ctx = start(fixture, key, true, p1, 32);
    int flag = -1;
    OSSL_PARAM get[] = {OSSL_PARAM_construct_int("ecies-refused", &flag), OSSL_PARAM_END};
    size_t size = 16;
    bool ok = false;

    assert_non_null(ctx);
    memcpy(out, untouched, 16);
    ok = EVP_PKEY_decrypt(ctx, out, &size, in, in_size) == 1;
    if (!ok)
        assert_memory_equal(out, untouched, 16);
    assert_int_equal(EVP_PKEY_CTX_get_params(ctx, get), 1);
    assert_true(flag == 0 || flag == 1);
    assert_false(ok && flag == 1);
    if (refused != NULL)
        *refused = flag;
    EVP_PKEY_CTX_free(ctx);
    decrypts_kept(fixture, key, p1, in, in_size, ok, out, flag);
    return ok;
}

/* 97 octets, and with V compressed 65. */
static void published_ciphertext(size_t i, uint8_t whole[97], uint8_t compressed[65])
{
    from_hex(published[i].v, whole, 65);
    from_hex(published[i].c, whole + 65, 16);
    from_hex(published[i].t, whole + 81, 16);
    compressed[0] = (uint8_t)(2 | (whole[64] & 1));
    memcpy(compressed + 1, whole + 1, 32);
    memcpy(compressed + 33, whole + 65, 32);
}

static void decrypts_the_published_ciphertexts(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < PUBLISHED; i++) {
        EVP_PKEY *keys[] = {fixture->software[i], fixture->token[i]};
        uint8_t whole[97], compressed[65], p1[32], key[16], out[16];

        published_ciphertext(i, whole, compressed);
        from_hex(published[i].p1, p1, 32);
        from_hex(published[i].key, key, 16);
        for (size_t j = 0; j < 2; j++) {
            assert_true(decrypts(fixture, keys[j], p1, whole, 97, out, NULL));
            assert_memory_equal(out, key, 16);
            assert_true(decrypts(fixture, keys[j], p1, compressed, 65, out, NULL));
            assert_memory_equal(out, key, 16);
        }
    }
}

/* Each bit of V, C, T and P1, each truncation, one octet more; in software and in the token. */
static void refuses_every_flipped_bit_and_length(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *keys[] = {fixture->software[0], fixture->token[0]};
    uint8_t whole[98] = {0}, compressed[66] = {0}, p1[32], out[16];
    int refused = 0;

    published_ciphertext(0, whole, compressed);
    from_hex(published[0].p1, p1, 32);
    for (size_t j = 0; j < 2; j++) {
        for (size_t bit = 0; bit < 97 * 8; bit++) {
            whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(decrypts(fixture, keys[j], p1, whole, 97, out, &refused));
            assert_int_equal(refused, 1);
            whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t bit = 0; bit < 65 * 8; bit++) {
            compressed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            /* -V has the same x, which is all that ECDH gives: the clause does not bind y. */
            if (bit == 0)
                assert_true(decrypts(fixture, keys[j], p1, compressed, 65, out, &refused));
            else
                assert_false(decrypts(fixture, keys[j], p1, compressed, 65, out, &refused));
            assert_int_equal(refused, bit != 0);
            compressed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t bit = 0; bit < 256; bit++) {
            p1[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(decrypts(fixture, keys[j], p1, whole, 97, out, &refused));
            assert_int_equal(refused, 1);
            p1[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t size = 0; size <= 98; size++) {
            if (size == 97)
                continue;
            assert_false(decrypts(fixture, keys[j], p1, whole, size, out, &refused));
            assert_int_equal(refused, 1);
        }
        assert_false(decrypts(fixture, keys[j], p1, compressed, 66, out, &refused));
        assert_int_equal(refused, 1);
        ERR_clear_error();
        /* Not the recipient. */
        assert_false(decrypts(fixture, fixture->software[1], p1, whole, 97, out, &refused));
        assert_int_equal(refused, 1);
        assert_true(error_says("tag does not match"));
    }
}

static void refuses_points_that_are_none(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *keys[] = {fixture->software[0], fixture->token[0]};
    uint8_t whole[97], compressed[65], p1[32], out[16];
    int refused = 0;

    from_hex(published[0].p1, p1, 32);
    for (size_t j = 0; j < 2; j++) {
        published_ciphertext(0, whole, compressed);
        whole[64] ^= 1;
        assert_false(decrypts(fixture, keys[j], p1, whole, 97, out, &refused));
        assert_true(error_says("V is not on"));
        whole[64] ^= 1;
        whole[0] = (uint8_t)(6 | (whole[64] & 1)); /* hybrid */
        assert_false(decrypts(fixture, keys[j], p1, whole, 97, out, &refused));
        assert_true(error_says("not a compressed or uncompressed point"));
        memset(compressed + 1, 0xff, 32); /* x >= p */
        assert_false(decrypts(fixture, keys[j], p1, compressed, 65, out, &refused));
        assert_int_equal(refused, 1);
        assert_true(error_says("V is not on"));
        memset(whole, 0, 65); /* infinity, padded */
        assert_false(decrypts(fixture, keys[j], p1, whole, 97, out, &refused));
        assert_int_equal(refused, 1);
        ERR_clear_error();
    }
}

/* Software recipient, recipient made in the token, keys of both providers, both curves. */
static void what_is_encrypted_can_be_decrypted(void **state)
{
    struct fixture *fixture = *state;
    static const char *const curves[] = {"prime256v1", "brainpoolP256r1"};

    for (size_t i = 0; i < 2; i++) {
        EVP_PKEY *keys[4] = {
            key_generate(fixture->world.libctx, "provider=default", curves[i]),
            key_generate(fixture->world.libctx, OURS, curves[i]),
            lab_generate(fixture->world.libctx, curves[i], lab_uri(i == 0 ? "ra-p" : "ra-b"),
                         "derive"),
            lab_generate(fixture->world.libctx, curves[i], lab_uri(i == 0 ? "both-p" : "both-b"),
                         "sign,derive"),
        };
        uint8_t one[65], other[65], out[16];

        for (size_t j = 0; j < 4; j++) {
            assert_non_null(keys[j]);
            assert_true(encrypts(fixture, keys[j], some_p1, one));
            assert_true(encrypts(fixture, keys[j], some_p1, other));
            assert_memory_not_equal(one, other, 33); /* a new ephemeral key each time */
            assert_memory_not_equal(one + 33, other + 33, 16);
            assert_true(one[0] == 2 || one[0] == 3);
            assert_true(decrypts(fixture, keys[j], some_p1, one, 65, out, NULL));
            assert_memory_equal(out, wrapped_key, 16);
            assert_false(decrypts(fixture, keys[(j + 1) % 4], some_p1, one, 65, out, NULL));
            ERR_clear_error();
        }
        for (size_t j = 0; j < 4; j++)
            EVP_PKEY_free(keys[j]);
    }
}

static void p1_is_mandatory_and_of_32_octets(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *key = fixture->software[0];
    uint8_t in[65], out[65];
    size_t size = sizeof(out);
    OSSL_PARAM text[] = {OSSL_PARAM_construct_utf8_string("p1", (char *)some_p1, 32),
                         OSSL_PARAM_END};
    OSSL_PARAM right[] = {OSSL_PARAM_construct_octet_string("p1", some_p1, 32), OSSL_PARAM_END};
    EVP_PKEY_CTX *ctx = start(fixture, key, false, NULL, 0);

    assert_non_null(ctx);
    assert_true(EVP_PKEY_encrypt(ctx, out, &size, wrapped_key, 16) <= 0);
    assert_true(error_says("no p1"));
    assert_true(EVP_PKEY_CTX_set_params(ctx, text) <= 0);
    assert_true(error_says("octet string of 32"));
    assert_int_equal(EVP_PKEY_CTX_set_params(ctx, right), 1);
    size = sizeof(out);
    assert_int_equal(EVP_PKEY_encrypt(ctx, out, &size, wrapped_key, 16), 1);
    memcpy(in, out, 65);
    /* An init clears it. */
    assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
    size = sizeof(out);
    assert_true(EVP_PKEY_decrypt(ctx, out, &size, in, 65) <= 0);
    assert_true(error_says("no p1"));
    EVP_PKEY_CTX_free(ctx);

    assert_null(start(fixture, key, false, "", 0)); /* the empty string, where its hash is meant */
    assert_true(error_says("octet string of 32"));
    assert_null(start(fixture, key, true, some_p1, 31));
    assert_true(error_says("octet string of 32"));
    assert_null(start(fixture, key, true, some_p1, 1));
    assert_true(error_says("octet string of 32"));
}

static void wraps_keys_of_16_octets_into_buffers_that_hold_them(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY_CTX *ctx = start(fixture, fixture->software[0], false, some_p1, 32);
    uint8_t data[64] = {0}, out[65], back[16];
    size_t size = 0;

    assert_non_null(ctx);
    for (size_t n = 0; n <= 64; n++) {
        size = sizeof(out);
        assert_int_equal(EVP_PKEY_encrypt(ctx, out, &size, data, n) > 0, n == 16);
        if (n != 16)
            assert_true(error_says("wraps 16 octets"));
    }
    size = 64;
    assert_true(EVP_PKEY_encrypt(ctx, out, &size, data, 16) <= 0);
    assert_true(error_says("buffer too small"));
    EVP_PKEY_CTX_free(ctx);

    ctx = start(fixture, fixture->software[0], true, some_p1, 32);
    assert_non_null(ctx);
    size = 15;
    assert_true(EVP_PKEY_decrypt(ctx, back, &size, out, 65) <= 0);
    assert_true(error_says("buffer too small"));
    size = 0;
    assert_int_equal(EVP_PKEY_decrypt(ctx, NULL, &size, out, 65), 1);
    assert_int_equal(size, 16);
    EVP_PKEY_CTX_free(ctx);
}

static void other_curves_and_keys_without_the_right_half_are_refused(void **state)
{
    struct fixture *fixture = *state;
    OSSL_LIB_CTX *libctx = fixture->world.libctx;
    EVP_PKEY *p384 = key_generate(libctx, "provider=default", "secp384r1");
    EVP_PKEY *brainpool = key_generate(libctx, "provider=default", "brainpoolP384r1");
    EVP_PKEY *signer = lab_generate(libctx, "P-256", lab_uri("signer"), "sign");
    EVP_PKEY *public = lab_load(libctx, lab_uri("known0"), OSSL_STORE_INFO_PUBKEY);
    uint8_t out[65];

    assert_null(start(fixture, p384, false, some_p1, 32));
    assert_true(error_says("secp384r1"));
    assert_null(start(fixture, p384, true, some_p1, 32));
    assert_true(error_says("secp384r1"));
    assert_null(start(fixture, brainpool, false, some_p1, 32));
    assert_true(error_says("brainpoolP384r1"));
    assert_non_null(public);
    assert_true(encrypts(fixture, public, some_p1, out));
    assert_null(start(fixture, public, true, some_p1, 32));
    assert_true(error_says("no private key"));
    assert_non_null(signer);
    assert_null(start(fixture, signer, true, some_p1, 32));
    assert_true(error_says("may not derive"));
    EVP_PKEY_free(p384);
    EVP_PKEY_free(brainpool);
    EVP_PKEY_free(signer);
    EVP_PKEY_free(public);
}

/* EVP_PKEY_CTX_dup, then both contexts are used. */
static void a_duplicate_has_key_and_p1(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY_CTX *ctx = start(fixture, fixture->token[0], true, some_p1, 32), *copy = NULL;
    uint8_t in[65], out[16];
    size_t size = 16;

    assert_true(encrypts(fixture, fixture->token[0], some_p1, in));
    assert_non_null(ctx);
    copy = EVP_PKEY_CTX_dup(ctx);
    assert_non_null(copy);
    assert_int_equal(EVP_PKEY_decrypt(ctx, out, &size, in, 65), 1);
    EVP_PKEY_CTX_free(ctx);
    memset(out, 0, sizeof(out));
    assert_int_equal(EVP_PKEY_decrypt(copy, out, &size, in, 65), 1);
    assert_memory_equal(out, wrapped_key, 16);
    EVP_PKEY_CTX_free(copy);
}

/* No other provider offers it: there is nothing that could be taken by mistake. */
static void without_the_provider_there_is_none(void **state)
{
    struct world plain;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = NULL;

    (void)state;
    world_open(&plain, "default", NULL);
    key = key_generate(plain.libctx, NULL, "P-256");
    ctx = EVP_PKEY_CTX_new_from_pkey(plain.libctx, key, NULL);
    assert_non_null(ctx);
    assert_true(EVP_PKEY_encrypt_init(ctx) <= 0);
    EVP_PKEY_CTX_free(ctx);
    ctx = EVP_PKEY_CTX_new_from_pkey(plain.libctx, key, OURS);
    assert_true(ctx == NULL || EVP_PKEY_encrypt_init(ctx) <= 0);
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    EVP_PKEY_free(key);
    world_close(&plain);
}

/* A key that may derive only is checked by an agreement; what is checked is that it is a pair. */
static void pairs_that_may_derive_only_are_checked(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *mixed = lab_load(fixture->world.libctx, lab_uri("mixed"), OSSL_STORE_INFO_PKEY);

    assert_non_null(mixed);
    for (size_t i = 0; i <= PUBLISHED; i++) {
        EVP_PKEY *key = i < PUBLISHED ? fixture->token[i] : mixed;
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture->world.libctx, key, NULL);

        assert_non_null(ctx);
        assert_int_equal(EVP_PKEY_check(ctx), i < PUBLISHED);
        assert_int_equal(EVP_PKEY_pairwise_check(ctx), i < PUBLISHED);
        assert_true(i < PUBLISHED || error_says("do not belong together"));
        EVP_PKEY_CTX_free(ctx);
    }
    assert_int_equal(ERR_peek_error(), 0);
    EVP_PKEY_free(mixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decrypts_the_published_ciphertexts),
        cmocka_unit_test(refuses_every_flipped_bit_and_length),
        cmocka_unit_test(refuses_points_that_are_none),
        cmocka_unit_test(what_is_encrypted_can_be_decrypted),
        cmocka_unit_test(p1_is_mandatory_and_of_32_octets),
        cmocka_unit_test(wraps_keys_of_16_octets_into_buffers_that_hold_them),
        cmocka_unit_test(other_curves_and_keys_without_the_right_half_are_refused),
        cmocka_unit_test(a_duplicate_has_key_and_p1),
        cmocka_unit_test(pairs_that_may_derive_only_are_checked),
        cmocka_unit_test(without_the_provider_there_is_none),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
