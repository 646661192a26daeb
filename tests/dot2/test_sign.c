/* test_sign.c: signatures, curve points, ECQV arithmetic, and no way around the provider. */
#include "tests/dot2/fixture.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>

static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1,
                                         DOT2_CURVE_BRAINPOOL_P384R1};
static const uint8_t data[] = "current time";
static const uint8_t signer[] = "certificate of the signer";

/* The COER of a Signature, decoded. */
static const Signature_t *decoded(struct fixture *f, const uint8_t *octets, size_t size)
{
    uint8_t *kept = coer_arena_alloc(f->arena, size);
    void *value = NULL;

    assert_non_null(kept);
    memcpy(kept, octets, size);
    assert_int_equal(coer_decode(f->arena, &asn_DEF_Signature, kept, size, &value, NULL), COER_OK);
    return value;
}

static void the_layout_of_a_signature(void **state)
{
    struct fixture *f = *state;
    static const uint8_t starts[][3] = {{0x80, 0x80}, {0x81, 0x80}, {0x82, 0x61, 0x80}};
    static const size_t sizes[] = {66, 66, 99};

    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *key = fixture_key(f, curves[i]);
        uint8_t signature[DOT2_SIGNATURE_MAX], again[DOT2_SIGNATURE_MAX];
        size_t size = 0, again_size = 0;

        assert_int_equal(dot2_sign(f->crypto, key, data, sizeof(data), signer, sizeof(signer),
                                   signature, &size, NULL),
                         DOT2_OK);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(signature, starts[i], i == 2 ? 3 : 2);
        assert_int_equal(coer_encode(&asn_DEF_Signature, decoded(f, signature, size), again,
                                     sizeof(again), &again_size, NULL),
                         COER_OK);
        assert_int_equal(again_size, size);
        assert_memory_equal(again, signature, size);
        EVP_PKEY_free(key);
    }
}

static void what_is_signed_is_verified_and_nothing_else(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *key = fixture_key(f, curves[i]), *other = fixture_key(f, curves[i]);
        uint8_t octets[DOT2_SIGNATURE_MAX];
        const Signature_t *signature = NULL, *self = NULL;
        size_t size = 0;

        assert_int_equal(dot2_sign(f->crypto, key, data, sizeof(data), signer, sizeof(signer),
                                   octets, &size, NULL),
                         DOT2_OK);
        signature = decoded(f, octets, size);
        assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), signer, sizeof(signer),
                                     signature, NULL),
                         DOT2_OK);
        assert_int_equal(dot2_verify(f->crypto, other, data, sizeof(data), signer, sizeof(signer),
                                     signature, NULL),
                         DOT2_E_SIGNATURE);
        assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data) - 1, signer, sizeof(signer),
                                     signature, NULL),
                         DOT2_E_SIGNATURE);
        assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), signer, sizeof(signer) - 1,
                                     signature, NULL),
                         DOT2_E_SIGNATURE);
        assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0, signature, NULL),
                         DOT2_E_SIGNATURE);
        assert_int_equal(dot2_sign(f->crypto, key, NULL, 0, NULL, 0, octets, &size, NULL), DOT2_OK);
        self = decoded(f, octets, size);
        assert_int_equal(dot2_verify(f->crypto, key, NULL, 0, NULL, 0, self, NULL), DOT2_OK);
        /* A wrong signature leaves nothing in the library's error queue. */
        assert_int_equal(ERR_peek_error(), 0);
        EVP_PKEY_free(key);
        EVP_PKEY_free(other);
    }
}

/*
 * By hand: H( H(data) || H(signer) ) with another provider's plain ECDSA. In particular self is
 * H(H(data) || H("")), not H(H(data)) (trap 6).
 */
static void the_digest_is_that_of_clause_5_3_1(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < 4; i++) {
        enum dot2_curve curve = i < 3 ? curves[i] : DOT2_CURVE_P384;
        EVP_PKEY *key = fixture_key(f, curve);
        size_t n = dot2_curve_hash_size(curve);

        for (int self = 0; self < 2; self++) {
            EVP_PKEY_CTX *plain = NULL;
            uint8_t both[96], digest[48], single[48], der[112];
            size_t size = 0;

            assert_int_equal(dot2_sign_format(f->crypto, key, data, sizeof(data), signer,
                                              self ? 0 : sizeof(signer), DOT2_SIGNATURE_DER, der,
                                              &size, NULL),
                             DOT2_OK);
            dot2_hash(f->crypto, curve, data, sizeof(data), both);
            dot2_hash(f->crypto, curve, signer, self ? 0 : sizeof(signer), both + n);
            dot2_hash(f->crypto, curve, both, 2 * n, digest);
            dot2_hash(f->crypto, curve, both, n, single);
            plain = EVP_PKEY_CTX_new_from_pkey(f->libctx, key, "provider!=dot2hsm");
            assert_int_equal(EVP_PKEY_verify_init(plain), 1);
            assert_int_equal(EVP_PKEY_verify(plain, der, size, digest, n), 1);
            assert_int_not_equal(EVP_PKEY_verify(plain, der, size, single, n), 1);
            assert_int_not_equal(EVP_PKEY_verify(plain, der, size, both, n), 1);
            EVP_PKEY_CTX_free(plain);
        }
        EVP_PKEY_free(key);
    }
}

/* The other way round: who signed H(data), or H(H(data)), signed nothing (trap 6). */
static void other_digests_are_refused(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P256);

    for (int twice = 0; twice < 2; twice++) {
        EVP_PKEY_CTX *plain = EVP_PKEY_CTX_new_from_pkey(f->libctx, key, "provider!=dot2hsm");
        uint8_t digest[48], der[80], octets[66] = {0x80, 0x80};
        const uint8_t *p = der;
        size_t size = sizeof(der);
        ECDSA_SIG *numbers = NULL;

        dot2_sha256(f->crypto, data, sizeof(data), digest);
        if (twice)
            dot2_sha256(f->crypto, digest, 32, digest);
        assert_int_equal(EVP_PKEY_sign_init(plain), 1);
        assert_int_equal(EVP_PKEY_sign(plain, der, &size, digest, 32), 1);
        numbers = d2i_ECDSA_SIG(NULL, &p, (long)size);
        assert_non_null(numbers);
        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), octets + 2, 32), 32);
        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(numbers), octets + 34, 32), 32);
        assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                     decoded(f, octets, sizeof(octets)), NULL),
                         DOT2_E_SIGNATURE);
        ECDSA_SIG_free(numbers);
        EVP_PKEY_CTX_free(plain);
    }
    EVP_PKEY_free(key);
}

static void nist_p384_has_no_place_in_a_signature(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P384), *other = fixture_key(f, DOT2_CURVE_P256);
    struct dot2_error error = {0};
    uint8_t octets[DOT2_SIGNATURE_MAX], raw[112];
    size_t size = 0;

    assert_int_equal(dot2_sign(f->crypto, key, data, sizeof(data), NULL, 0, octets, &size, &error),
                     DOT2_E_ALGORITHM);
    assert_non_null(strstr(error.detail, "NIST P-384"));
    assert_int_equal(dot2_sign(f->crypto, other, data, sizeof(data), NULL, 0, octets, &size, NULL),
                     DOT2_OK);
    assert_int_equal(
        dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0, decoded(f, octets, size), NULL),
        DOT2_E_ALGORITHM);
    assert_int_equal(dot2_sign_format(f->crypto, key, data, sizeof(data), NULL, 0,
                                      DOT2_SIGNATURE_RAW, raw, &size, NULL),
                     DOT2_OK);
    assert_int_equal(size, 96);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

/* A signature of another curve than the key's, though of the same size. */
static void the_alternative_is_the_curve_of_the_key(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P256);
    uint8_t octets[DOT2_SIGNATURE_MAX];
    size_t size = 0;

    assert_int_equal(dot2_sign(f->crypto, key, data, sizeof(data), NULL, 0, octets, &size, NULL),
                     DOT2_OK);
    octets[0] = 0x81;
    assert_int_equal(
        dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0, decoded(f, octets, size), NULL),
        DOT2_E_SIGNATURE);
    EVP_PKEY_free(key);
}

/* About one in 128 signatures has such an r or s; both are to be seen (trap 8). */
static void r_and_s_with_leading_zeros(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P256);
    bool r_seen = false, s_seen = false;

    for (int i = 0; i < 20000 && !(r_seen && s_seen); i++) {
        uint8_t octets[DOT2_SIGNATURE_MAX];
        size_t size = 0;
        bool r_zero = false, s_zero = false;

        assert_int_equal(dot2_sign(f->crypto, key, (uint8_t *)&i, sizeof(i), signer, sizeof(signer),
                                   octets, &size, NULL),
                         DOT2_OK);
        assert_int_equal(size, 66);
        r_zero = octets[2] == 0;
        s_zero = octets[34] == 0;
        if (!r_zero && !s_zero)
            continue;
        assert_int_equal(dot2_verify(f->crypto, key, (uint8_t *)&i, sizeof(i), signer,
                                     sizeof(signer), decoded(f, octets, size), NULL),
                         DOT2_OK);
        r_seen = r_seen || r_zero;
        s_seen = s_seen || s_zero;
    }
    assert_true(r_seen && s_seen);
    EVP_PKEY_free(key);
}

static void high_s_is_as_good_as_low_s(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *key = fixture_key(f, curves[i]);
        size_t n = dot2_curve_size(curves[i]);
        uint8_t octets[DOT2_SIGNATURE_MAX];
        size_t size = 0;
        BIGNUM *s = NULL;

        assert_int_equal(
            dot2_sign(f->crypto, key, data, sizeof(data), NULL, 0, octets, &size, NULL), DOT2_OK);
        s = BN_bin2bn(octets + size - n, (int)n, NULL);
        assert_int_equal(BN_sub(s, dot2_order(f->crypto, curves[i]), s), 1);
        assert_int_equal(BN_bn2binpad(s, octets + size - n, (int)n), n);
        assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                     decoded(f, octets, size), NULL),
                         DOT2_OK);
        BN_free(s);
        EVP_PKEY_free(key);
    }
}

static void numbers_out_of_range(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *key = fixture_key(f, curves[i]);
        size_t n = dot2_curve_size(curves[i]);
        uint8_t octets[DOT2_SIGNATURE_MAX], order[48], changed[DOT2_SIGNATURE_MAX];
        size_t size = 0;

        assert_int_equal(BN_bn2binpad(dot2_order(f->crypto, curves[i]), order, (int)n), n);
        assert_int_equal(
            dot2_sign(f->crypto, key, data, sizeof(data), NULL, 0, octets, &size, NULL), DOT2_OK);
        for (int which = 0; which < 2; which++) {
            for (int value = 0; value < 3; value++) {
                uint8_t *number = changed + size - (which == 0 ? 2 : 1) * n;

                memcpy(changed, octets, size);
                if (value == 0)
                    memset(number, 0, n);
                else if (value == 1)
                    memcpy(number, order, n);
                else
                    memset(number, 0xff, n);
                assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                             decoded(f, changed, size), NULL),
                                 DOT2_E_SIGNATURE);
            }
        }
        EVP_PKEY_free(key);
    }
}

/* rSig as a whole point: the verifier takes it, if it is one (traps 4 and 5). */
static void r_as_a_point(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P256);
    const EC_GROUP *group = dot2_group(f->crypto, DOT2_CURVE_P256);
    EC_POINT *point = EC_POINT_new(group);
    uint8_t octets[DOT2_SIGNATURE_MAX], x[33], full[65], message[1 + 1 + 64 + 32];
    size_t size = 0;

    assert_int_equal(dot2_sign(f->crypto, key, data, sizeof(data), NULL, 0, octets, &size, NULL),
                     DOT2_OK);
    for (int y = 0; y < 2; y++) {
        octets[1] = (uint8_t)(0x82 + y);
        assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                     decoded(f, octets, size), NULL),
                         DOT2_OK);
    }
    x[0] = 2;
    memcpy(x + 1, octets + 2, 32);
    assert_int_equal(EC_POINT_oct2point(group, point, x, 33, NULL), 1);
    assert_int_equal(
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, full, 65, NULL), 65);
    message[0] = 0x80;
    message[1] = 0x84;
    memcpy(message + 2, full + 1, 64);
    memcpy(message + 66, octets + 34, 32);
    assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                 decoded(f, message, sizeof(message)), NULL),
                     DOT2_OK);
    message[65] ^= 1; /* y is used for nothing, and must be right all the same */
    assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                 decoded(f, message, sizeof(message)), NULL),
                     DOT2_E_SIGNATURE);
    message[1] = 0x81; /* fill has no octets: the rest would be too long */
    {
        uint8_t fill[2 + 32] = {0x80, 0x81};

        assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                     decoded(f, fill, sizeof(fill)), NULL),
                         DOT2_E_SIGNATURE);
    }
    EC_POINT_free(point);
    EVP_PKEY_free(key);
}

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

/* ---- the provider taken away ---- */

static void no_provider_no_crypto(void **state)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *defaults = OSSL_PROVIDER_load(libctx, "default");
    struct dot2_error error = {0};
    dot2_crypto *crypto = NULL;

    (void)state;
    assert_non_null(defaults);
    assert_int_equal(dot2_crypto_new(libctx, &crypto, &error), DOT2_E_PROVIDER);
    assert_null(crypto);
    assert_non_null(strstr(error.detail, "dot2hsm"));
    OSSL_PROVIDER_unload(defaults);
    OSSL_LIB_CTX_free(libctx);
}

/* Keys that were used before, keys that were not, keys of the default provider: no signature. */
static void a_provider_that_goes_away(void **state)
{
    struct fixture f;
    EVP_PKEY *used = NULL, *fresh = NULL, *public = NULL;
    const Signature_t *signature = NULL, *by_rse = NULL;
    uint8_t octets[DOT2_SIGNATURE_MAX], raw[112], point[49];
    const uint8_t *canonical = NULL;
    size_t canonical_size = 0;
    struct dot2_chain chain = {0};
    const struct dot2_check check = {DOT2_PURPOSE_ENROLLMENT, FIXTURE_NOW, false};
    struct dot2_error error = {0};
    struct pki pki;
    size_t size = 0;

    (void)state;
    fixture_open(&f);
    pki_open(&f, DOT2_CURVE_P256, &pki);
    assert_int_equal(dot2_chain_verify(pki.trust, pki.rse, &check, &chain, NULL), DOT2_OK);
    canonical = dot2_cert_canonical(pki.rse, &canonical_size);
    assert_int_equal(dot2_sign(f.crypto, pki.rse_key, data, sizeof(data), canonical, canonical_size,
                               octets, &size, NULL),
                     DOT2_OK);
    by_rse = decoded(&f, octets, size);
    /* Now a context is kept with the chain. */
    assert_int_equal(
        dot2_chain_verify_signature(f.crypto, &chain, data, sizeof(data), by_rse, NULL), DOT2_OK);
    used = fixture_key(&f, DOT2_CURVE_P256);
    fresh = fixture_key(&f, DOT2_CURVE_P256);
    assert_int_equal(dot2_public_point(used, point, &size), DOT2_OK);
    assert_int_equal(dot2_public_key(f.crypto, DOT2_CURVE_P256, point, size, &public, NULL),
                     DOT2_OK);
    assert_int_equal(dot2_sign(f.crypto, used, data, sizeof(data), NULL, 0, octets, &size, NULL),
                     DOT2_OK);
    signature = decoded(&f, octets, size);
    assert_int_equal(dot2_verify(f.crypto, public, data, sizeof(data), NULL, 0, signature, NULL),
                     DOT2_OK);
    OSSL_PROVIDER_unload(f.dot2hsm);
    f.dot2hsm = NULL;
    assert_false(OSSL_PROVIDER_available(f.libctx, "dot2hsm"));

    memset(octets, 0xaa, sizeof(octets));
    assert_int_equal(dot2_sign(f.crypto, used, data, sizeof(data), NULL, 0, octets, &size, &error),
                     DOT2_E_PROVIDER);
    assert_int_equal(size, 0);
    assert_int_equal(octets[0], 0xaa);
    assert_int_equal(dot2_sign(f.crypto, fresh, data, sizeof(data), NULL, 0, octets, &size, NULL),
                     DOT2_E_PROVIDER);
    assert_int_equal(dot2_sign_format(f.crypto, fresh, data, sizeof(data), NULL, 0,
                                      DOT2_SIGNATURE_DER, raw, &size, NULL),
                     DOT2_E_PROVIDER);
    assert_int_equal(dot2_verify(f.crypto, used, data, sizeof(data), NULL, 0, signature, NULL),
                     DOT2_E_PROVIDER);
    assert_int_equal(dot2_verify(f.crypto, fresh, data, sizeof(data), NULL, 0, signature, NULL),
                     DOT2_E_PROVIDER);
    assert_int_equal(dot2_verify(f.crypto, public, data, sizeof(data), NULL, 0, signature, NULL),
                     DOT2_E_PROVIDER);
    assert_int_equal(
        dot2_chain_verify_signature(f.crypto, &chain, data, sizeof(data), by_rse, NULL),
        DOT2_E_PROVIDER);
    dot2_chain_clear(&chain);
    /* No verdict either: not of an anchor, of what is cached, or of an implicit certificate, for
     * which nothing is verified. */
    assert_int_equal(dot2_chain_verify(pki.trust, pki.rse, &check, NULL, NULL), DOT2_E_PROVIDER);
    assert_int_equal(dot2_chain_verify(pki.trust, pki.implicit, &check, NULL, NULL),
                     DOT2_E_PROVIDER);
    assert_int_equal(dot2_chain_verify(pki.trust, pki.root, &check, NULL, NULL), DOT2_E_PROVIDER);
    EVP_PKEY_free(used);
    EVP_PKEY_free(fresh);
    EVP_PKEY_free(public);
    pki_close(&pki);
    fixture_close(&f);
    ERR_clear_error();
}

static void every_status_has_a_name_and_a_sentence(void **state)
{
    (void)state;
    for (int i = DOT2_OK; i <= DOT2_E_DECRYPT; i++) {
        assert_memory_equal(dot2_status_name((enum dot2_status)i), "DOT2_", 5);
        assert_string_not_equal(dot2_status_name((enum dot2_status)i), "DOT2_E_UNKNOWN");
        assert_string_not_equal(dot2_status_text((enum dot2_status)i), "unknown status");
    }
    assert_string_equal(dot2_status_name((enum dot2_status)999), "DOT2_E_UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_of_a_signature),
        cmocka_unit_test(what_is_signed_is_verified_and_nothing_else),
        cmocka_unit_test(the_digest_is_that_of_clause_5_3_1),
        cmocka_unit_test(other_digests_are_refused),
        cmocka_unit_test(nist_p384_has_no_place_in_a_signature),
        cmocka_unit_test(the_alternative_is_the_curve_of_the_key),
        cmocka_unit_test(r_and_s_with_leading_zeros),
        cmocka_unit_test(high_s_is_as_good_as_low_s),
        cmocka_unit_test(numbers_out_of_range),
        cmocka_unit_test(r_as_a_point),
        cmocka_unit_test(points_that_are_none),
        cmocka_unit_test(figures_of_ecqv),
        cmocka_unit_test(no_provider_no_crypto),
        cmocka_unit_test(a_provider_that_goes_away),
        cmocka_unit_test(every_status_has_a_name_and_a_sentence),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
