/* test_points.c: octets that are points and octets that are none; ECQV arithmetic. */
#include "tests/dot2/fixture.h"

#include <openssl/core_names.h>

static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1,
                                         DOT2_CURVE_BRAINPOOL_P384R1};

static void points_that_are_none(void **state)
{
    struct fixture *f = *state;
    struct dot2_error error = {0};
    uint8_t compressed[49], octets[97] = {0};
    EVP_PKEY *key = NULL;
    size_t size = 0, refused = 0;

    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *real = fixture_key(f, curves[i]);
        size_t n = dot2_curve_size(curves[i]);

        assert_int_equal(dot2_public_point(real, compressed, &size), DOT2_OK);
        assert_int_equal(size, 1 + n);
        assert_int_equal(dot2_public_key(f->crypto, curves[i], compressed, size, &key, &error),
                         DOT2_OK);
        assert_int_equal(dot2_key_curve(key), curves[i]);
        assert_int_equal(EVP_PKEY_eq(key, real), 1);
        EVP_PKEY_free(key);
        EVP_PKEY_free(real);
        /* About half of all x have no y. */
        refused = 0;
        for (unsigned k = 0; k < 64; k++) {
            memset(octets, 0, sizeof(octets));
            octets[0] = 2;
            octets[n] = (uint8_t)k;
            if (dot2_public_key(f->crypto, curves[i], octets, 1 + n, &key, &error) != DOT2_OK) {
                assert_int_equal(error.status, DOT2_E_POINT);
                assert_null(key);
                refused++;
            }
            EVP_PKEY_free(key);
        }
        assert_in_range(refused, 10, 54);
        /* x that is not below the prime */
        memset(octets, 0xff, sizeof(octets));
        octets[0] = 2;
        assert_int_equal(dot2_public_key(f->crypto, curves[i], octets, 1 + n, &key, NULL),
                         DOT2_E_POINT);
        /* off the curve, uncompressed */
        memset(octets, 1, sizeof(octets));
        octets[0] = 4;
        assert_int_equal(dot2_public_key(f->crypto, curves[i], octets, 1 + 2 * n, &key, NULL),
                         DOT2_E_POINT);
    }
    /* infinity, hybrid, x-only, of another size, nothing */
    octets[0] = 0;
    assert_int_equal(dot2_public_key(f->crypto, DOT2_CURVE_P256, octets, 1, &key, NULL),
                     DOT2_E_POINT);
    assert_int_equal(dot2_public_key(f->crypto, DOT2_CURVE_P256, octets, 33, &key, NULL),
                     DOT2_E_POINT);
    octets[0] = 6;
    assert_int_equal(dot2_public_key(f->crypto, DOT2_CURVE_P256, octets, 65, &key, NULL),
                     DOT2_E_POINT);
    octets[0] = 2;
    assert_int_equal(dot2_public_key(f->crypto, DOT2_CURVE_P256, octets, 49, &key, NULL),
                     DOT2_E_POINT);
    assert_int_equal(dot2_public_key(f->crypto, DOT2_CURVE_P256, octets, 0, &key, NULL),
                     DOT2_E_POINT);
    assert_int_equal(dot2_public_key(f->crypto, DOT2_CURVE_NONE, octets, 33, &key, NULL),
                     DOT2_E_ALGORITHM);
    assert_int_equal(ERR_peek_error(), 0);
}

/* KISA ECQV test vectors v1.1, P-256 with SHA-256: ecqv_p256_sha256 of primitives.json. */
static const struct {
    const char *request_private, *octets, *e, *s, *point, *ca, *private, *public;
} ecqv[] = {
    {"1384c31d6982d52bca3bed8a7e60f52fecdab44e5c0ea166815a8159e09ffb42",
     "54686973206973206120746573742100024a1890e30a584208dad3838d0c5cecb1ed6b01d48893c684c59908f5b38"
     "e"
     "3d82",
     "966eccce39e05b541be571055dc63f7df377e79847167e2b8e92f8327fac384d",
     "8a7966677b40674389118e269777451174564a3ad57fec31f4eeff07c641b4c8",
     "024a1890e30a584208dad3838d0c5cecb1ed6b01d48893c684c59908f5b38e3d82",
     "043bb8ffd19b25ee1bb939cd4935fbfa8fbaadba64843338a95595a70ed7479b70eb60ddc790e3cb05e85225f636d"
     "8"
     "a7c20df3a8135c4b2ae5396367b4e86077f8",
     "ef6095f346d8da2b95b88102c7d50b39fbdc1bd75eb56d556020b1ee0b9fa5a7",
     "04e76f7751eec099cccf074927fb0c0e4bc9ef7434b70119b39a91d150a2ca69a9174c7cca46f5d73439f79987cb6"
     "1"
     "3b229abe3f1f8d163e3d677211a690a8ec31"},
    {"1384c31d6982d52bca3bed8a7e60f52fecdab44e5c0ea166815a8159e09ffb42",
     "5468697320697320612074657374210002237b2d6610da5b67e18aaec0f09c99ee08d4f00852c7ed27c12963120f7"
     "6"
     "a147",
     "66f73a02c6e1c4a2cd93ed2d60d8284a9450f5d1c6fd0aeb1e4be7557534e950",
     "06a8d6fcdc18ac05f6d9d88ab2c31b462e72c58c60555a3d9df83db6f2e3142b",
     "02237b2d6610da5b67e18aaec0f09c99ee08d4f00852c7ed27c12963120f76a147",
     "043bb8ffd19b25ee1bb939cd4935fbfa8fbaadba64843338a95595a70ed7479b70eb60ddc790e3cb05e85225f636d"
     "8"
     "a7c20df3a8135c4b2ae5396367b4e86077f8",
     "49fc4f116692225feb26cc6366bb6d60ca6d6082ddfa980bd12ff7415afd8439",
     "046442a1639e68acf735e3f30bdc02ac4a6ab4f8d7b497d03be1b95f0f563424a0c5871a8f84a728dcd52835635cd"
     "5"
     "3f47017b7fc6be3caf4052ae6d11d7f3d37c"},
};

static void figures_of_ecqv(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < 2; i++) {
        uint8_t octets[128], e[32], expected[128], s[32], number[32], got[65];
        EVP_PKEY *ca = NULL, *request = NULL, *key = NULL;
        BIGNUM *k = NULL, *d = NULL;
        size_t size = fixture_hex(ecqv[i].octets, octets, sizeof(octets));

        /* e of these figures is the hash of the octets as they stand. */
        assert_int_equal(dot2_sha256(f->crypto, octets, size, e), DOT2_OK);
        fixture_hex(ecqv[i].e, expected, sizeof(expected));
        assert_memory_equal(e, expected, 32);

        size = fixture_hex(ecqv[i].ca, octets, sizeof(octets));
        assert_int_equal(dot2_public_key(f->crypto, DOT2_CURVE_P256, octets, size, &ca, NULL),
                         DOT2_OK);
        size = fixture_hex(ecqv[i].point, octets, sizeof(octets));
        assert_int_equal(dot2_ecqv_reconstruct_public(f->crypto, DOT2_CURVE_P256, e, octets, size,
                                                      ca, &key, NULL),
                         DOT2_OK);
        fixture_hex(ecqv[i].public, expected, sizeof(expected));
        assert_int_equal(dot2_public_point(key, got, &size), DOT2_OK);
        assert_memory_equal(got + 1, expected + 1, 32);
        assert_int_equal(got[0], 2 | (expected[64] & 1));
        EVP_PKEY_free(key);

        fixture_hex(ecqv[i].request_private, number, sizeof(number));
        fixture_hex(ecqv[i].s, s, sizeof(s));
        k = BN_bin2bn(number, 32, NULL);
        assert_int_equal(dot2_key_pair(f->crypto, DOT2_CURVE_P256, k, &request, NULL), DOT2_OK);
        assert_int_equal(dot2_ecqv_reconstruct_private(f->crypto, e, request, s, &key, NULL),
                         DOT2_OK);
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &d), 1);
        fixture_hex(ecqv[i].private, expected, sizeof(expected));
        assert_int_equal(BN_bn2binpad(d, number, 32), 32);
        assert_memory_equal(number, expected, 32);
        fixture_hex(ecqv[i].public, expected, sizeof(expected));
        assert_int_equal(dot2_public_point(key, got, &size), DOT2_OK);
        assert_memory_equal(got + 1, expected + 1, 32);
        EVP_PKEY_free(key);

        /* s that is not below n is nobody's. */
        memset(s, 0xff, sizeof(s));
        assert_int_equal(dot2_ecqv_reconstruct_private(f->crypto, e, request, s, &key, NULL),
                         DOT2_E_ARGUMENT);
        /* A reconstruction point off the curve. */
        size = fixture_hex(ecqv[i].point, octets, sizeof(octets));
        do {
            octets[32]++;
        } while (dot2_ecqv_reconstruct_public(f->crypto, DOT2_CURVE_P256, e, octets, size, ca, &key,
                                              NULL) == DOT2_OK &&
                 (EVP_PKEY_free(key), true));
        assert_int_equal(dot2_ecqv_reconstruct_public(f->crypto, DOT2_CURVE_P256, e, octets, size,
                                                      ca, &key, NULL),
                         DOT2_E_POINT);
        BN_free(k);
        BN_free(d);
        EVP_PKEY_free(ca);
        EVP_PKEY_free(request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_that_are_none),
        cmocka_unit_test(figures_of_ecqv),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
