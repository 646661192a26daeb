/* test_butterfly.c: butterfly key expansion against figures of OpenSCMS. */
#include "protocol/dot2/butterfly.h"
#include "tests/dot2/fixture.h"

static struct fixture f;

static int set_up(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

/* OpenSCMS test data. */
static const struct {
    enum dot2_butterfly use;
    const char *expansion;
    uint32_t i, j;
    const char *f48, *f_times_g, *base, *sum;
} figures[] = {
    {DOT2_BUTTERFLY_ENCRYPT, "5e7ba5dd187f729d2a09b76a74e321cc", 7590, 0,
     "e30a331dee3a609c31d0866b2012b2544b6421f7a32f2ffc4002e2759a5eee46411840a2c5cddfa8ec7794387bd8"
     "de68",
     "0331131301dd498695af1a01741676e89d47db65e4cb06d8cc87ae6c55261aa8fb",
     "04d1953c807766b3fb3a8c702123758e683ee81ad2f1e7f2f179e02405de11e6aa3db81ae8489d04045f66a72609"
     "8270d633bbdc247ed83cba77d9c373379bfca9",
     "031cb03fd5fb8faf7a23cd339da6923c4e44b6a7f6b135acf657808b8ff68c7920"},
    {DOT2_BUTTERFLY_SIGN, "49bbe37ed79b1d5ff72f9db0bb2d1548", 7596, 0, NULL,
     "03d3cbcbf48ed450757b355bfb91177d9339fa41a5c46f1571f59fe42976028b63",
     "04af96f57d9be7fe5b45c3ab32072b8c136aec83b118be0e00d4a579a23a80aa7cf13bd635c7baf1f6ba8f11c877"
     "c18677d17f9e45e7ea2ded03243ce062bb1a99",
     "02f6f6061761eb6c00303572bd654315cedaf9ebf275e522135c3ca9c55b34e955"},
};
#define FIGURES (sizeof(figures) / sizeof(figures[0]))

static void f_is_the_published_one(void **state)
{
    (void)state;
    for (size_t n = 0; n < FIGURES; n++) {
        const EC_GROUP *group = dot2_group(f.crypto, DOT2_CURVE_P256);
        EC_POINT *point = EC_POINT_new(group);
        BIGNUM *number = NULL;
        uint8_t expansion[16], value[32], octets[48], expected[48];

        fixture_hex(figures[n].expansion, expansion, 16);
        assert_int_equal(dot2_butterfly_f(f.crypto, expansion, figures[n].use, figures[n].i,
                                          figures[n].j, value, NULL),
                         DOT2_OK);
        number = BN_bin2bn(value, 32, NULL);
        assert_int_equal(EC_POINT_mul(group, point, number, NULL, NULL, NULL), 1);
        assert_int_equal(
            EC_POINT_point2oct(group, point, POINT_CONVERSION_COMPRESSED, octets, 33, NULL), 33);
        fixture_hex(figures[n].f_times_g, expected, 33);
        assert_memory_equal(octets, expected, 33);
        if (figures[n].f48 != NULL) {
            BIGNUM *whole = NULL;
            BN_CTX *ctx = BN_CTX_new();

            assert_int_equal(fixture_hex(figures[n].f48, expected, 48), 48);
            whole = BN_bin2bn(expected, 48, NULL);
            assert_true(BN_mod(whole, whole, dot2_order(f.crypto, DOT2_CURVE_P256), ctx));
            assert_int_equal(BN_cmp(whole, number), 0);
            BN_free(whole);
            BN_CTX_free(ctx);
        }
        BN_free(number);
        EC_POINT_free(point);
    }
}

static void expanded_keys_are_the_published_ones(void **state)
{
    (void)state;
    for (size_t n = 0; n < FIGURES; n++) {
        EVP_PKEY *seed = NULL, *key = NULL;
        uint8_t expansion[16], point[65], expected[33], octets[49];
        enum dot2_butterfly other =
            figures[n].use == DOT2_BUTTERFLY_SIGN ? DOT2_BUTTERFLY_ENCRYPT : DOT2_BUTTERFLY_SIGN;
        size_t size = 0;

        fixture_hex(figures[n].expansion, expansion, 16);
        fixture_hex(figures[n].base, point, 65);
        fixture_hex(figures[n].sum, expected, 33);
        assert_int_equal(dot2_public_key(f.crypto, DOT2_CURVE_P256, point, 65, &seed, NULL),
                         DOT2_OK);
        assert_int_equal(dot2_butterfly_public(f.crypto, seed, expansion, figures[n].use,
                                               figures[n].i, figures[n].j, &key, NULL),
                         DOT2_OK);
        assert_int_equal(dot2_public_point(key, octets, &size), DOT2_OK);
        assert_memory_equal(octets, expected, 33);
        EVP_PKEY_free(key);
        /* Another use, i, j or expansion key is another key. */
        for (int change = 0; change < 4; change++) {
            expansion[15] ^= change == 3;
            assert_int_equal(dot2_butterfly_public(f.crypto, seed, expansion,
                                                   change == 0 ? other : figures[n].use,
                                                   figures[n].i + (change == 1),
                                                   figures[n].j + (change == 2), &key, NULL),
                             DOT2_OK);
            assert_int_equal(dot2_public_point(key, octets, &size), DOT2_OK);
            assert_memory_not_equal(octets, expected, 33);
            EVP_PKEY_free(key);
        }
        EVP_PKEY_free(seed);
    }
}

/* What the RA expands and what the device expands are a pair: a message goes through. */
static void private_and_public_expansion_belong_together(void **state)
{
    static const uint8_t text[] = "caterpillar";
    EVP_PKEY *seed = fixture_key(&f, DOT2_CURVE_P256);
    uint8_t expansion[16] = "sixteen octets!";

    (void)state;
    for (uint32_t j = 0; j < 20; j++) {
        EVP_PKEY *public = NULL, *private = NULL;
        uint8_t *octets = NULL, *plain = NULL;
        size_t size = 0, plain_size = 0;

        assert_int_equal(dot2_butterfly_public(f.crypto, seed, expansion, DOT2_BUTTERFLY_ENCRYPT, 7,
                                               j, &public, NULL),
                         DOT2_OK);
        assert_int_equal(dot2_butterfly_private(f.crypto, seed, expansion, DOT2_BUTTERFLY_ENCRYPT,
                                                7, j, &private, NULL),
                         DOT2_OK);
        assert_int_equal(
            dot2_encrypt_to_key(f.crypto, public, text, sizeof(text), &octets, &size, NULL),
            DOT2_OK);
        assert_int_equal(
            dot2_decrypt(f.crypto, private, NULL, octets, size, &plain, &plain_size, NULL),
            DOT2_OK);
        assert_int_equal(plain_size, sizeof(text));
        assert_memory_equal(plain, text, sizeof(text));
        OPENSSL_clear_free(plain, plain_size);
        assert_int_equal(
            dot2_decrypt(f.crypto, seed, NULL, octets, size, &plain, &plain_size, NULL),
            DOT2_E_DECRYPT);
        OPENSSL_free(octets);
        EVP_PKEY_free(public);
        EVP_PKEY_free(private);
    }
    EVP_PKEY_free(seed);
}

static void seeds_that_cannot_be_are_refused(void **state)
{
    static const enum dot2_curve others[] = {DOT2_CURVE_BRAINPOOL_P256R1, DOT2_CURVE_P384};
    uint8_t expansion[16] = {0};
    struct dot2_error error = {0};
    EVP_PKEY *key = NULL, *seed = NULL, *public = NULL;
    uint8_t point[49];
    size_t size = 0;

    (void)state;
    for (size_t n = 0; n < 2; n++) {
        seed = fixture_key(&f, others[n]);
        assert_int_equal(dot2_butterfly_public(f.crypto, seed, expansion, DOT2_BUTTERFLY_SIGN, 0, 0,
                                               &key, &error),
                         DOT2_E_ALGORITHM);
        assert_null(key);
        assert_int_equal(dot2_butterfly_private(f.crypto, seed, expansion, DOT2_BUTTERFLY_SIGN, 0,
                                                0, &key, &error),
                         DOT2_E_ALGORITHM);
        assert_null(key);
        EVP_PKEY_free(seed);
    }
    /* A public key has no private number. */
    seed = fixture_key(&f, DOT2_CURVE_P256);
    assert_int_equal(dot2_public_point(seed, point, &size), DOT2_OK);
    assert_int_equal(dot2_public_key(f.crypto, DOT2_CURVE_P256, point, size, &public, NULL),
                     DOT2_OK);
    assert_int_equal(dot2_butterfly_private(f.crypto, public, expansion, DOT2_BUTTERFLY_SIGN, 0, 0,
                                            &key, &error),
                     DOT2_E_ARGUMENT);
    assert_null(key);
    assert_int_equal(ERR_peek_error(), 0);
    EVP_PKEY_free(public);
    EVP_PKEY_free(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f_is_the_published_one),
        cmocka_unit_test(expanded_keys_are_the_published_ones),
        cmocka_unit_test(private_and_public_expansion_belong_together),
        cmocka_unit_test(seeds_that_cannot_be_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
