/* test_sign.c: signatures: what is signed, with which digest, and the forms of r and s. */
#include "tests/dot2/fixture.h"

#include <openssl/ecdsa.h>

static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1,
                                         DOT2_CURVE_BRAINPOOL_P384R1};
static const uint8_t data[] = "current time";
static const uint8_t signer[] = "certificate of the signer";

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
        assert_int_equal(coer_encode(&asn_DEF_Signature, fixture_signature(f, signature, size),
                                     again, sizeof(again), &again_size, NULL),
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
        signature = fixture_signature(f, octets, size);
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
        self = fixture_signature(f, octets, size);
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
                                     fixture_signature(f, octets, sizeof(octets)), NULL),
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
    assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                 fixture_signature(f, octets, size), NULL),
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
    assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                 fixture_signature(f, octets, size), NULL),
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
                                     sizeof(signer), fixture_signature(f, octets, size), NULL),
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
                                     fixture_signature(f, octets, size), NULL),
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
                                             fixture_signature(f, changed, size), NULL),
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
                                     fixture_signature(f, octets, size), NULL),
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
                                 fixture_signature(f, message, sizeof(message)), NULL),
                     DOT2_OK);
    message[65] ^= 1; /* y is used for nothing, and must be right all the same */
    assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                 fixture_signature(f, message, sizeof(message)), NULL),
                     DOT2_E_SIGNATURE);
    message[1] = 0x81; /* fill has no octets: the rest would be too long */
    {
        uint8_t fill[2 + 32] = {0x80, 0x81};

        assert_int_equal(dot2_verify(f->crypto, key, data, sizeof(data), NULL, 0,
                                     fixture_signature(f, fill, sizeof(fill)), NULL),
                         DOT2_E_SIGNATURE);
    }
    EC_POINT_free(point);
    EVP_PKEY_free(key);
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
        cmocka_unit_test(every_status_has_a_name_and_a_sentence),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
