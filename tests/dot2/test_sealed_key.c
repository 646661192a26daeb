/* test_sealed_key.c: private numbers sealed to a key, in software and in a token. */
#include "tests/dot2/recipients.h"

static EVP_PKEY *make(enum dot2_curve curve)
{
    EVP_PKEY *key = NULL;

    assert_int_equal(dot2_key_make(fixture.crypto, curve, &key, NULL), DOT2_OK);
    assert_int_equal(dot2_key_curve(key), curve);
    return key;
}

static bool holds(const uint8_t *octets, size_t size, const uint8_t *what, size_t what_size)
{
    for (size_t i = 0; i + what_size <= size; i++) {
        if (memcmp(octets + i, what, what_size) == 0)
            return true;
    }
    return false;
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        EVP_PKEY *to = recipients[i / 2]->key, *opened = NULL;
        EVP_PKEY *key = make(i % 2 == 0 ? DOT2_CURVE_P256 : DOT2_CURVE_BRAINPOOL_P256R1);
        uint8_t number[48], again[48], *octets = NULL, *other = NULL;
        size_t number_size = 0, again_size = 0, size = 0, other_size = 0;

        assert_int_equal(dot2_key_number(key, number, &number_size, NULL), DOT2_OK);
        assert_int_equal(number_size, 32);
        assert_int_equal(dot2_key_seal(fixture.crypto, to, key, &octets, &size, NULL), DOT2_OK);
        assert_int_equal(dot2_key_seal(fixture.crypto, to, key, &other, &other_size, NULL),
                         DOT2_OK);
        assert_memory_not_equal(octets, other, size); /* another nonce, another AES key */
        for (size_t k = 0; k + 4 <= 32; k += 4)
            assert_false(holds(octets, size, number + k, 4));
        assert_int_equal(dot2_key_unseal(fixture.crypto, to, octets, size, &opened, NULL), DOT2_OK);
        assert_int_equal(EVP_PKEY_eq(opened, key), 1);
        assert_int_equal(dot2_key_number(opened, again, &again_size, NULL), DOT2_OK);
        assert_int_equal(again_size, 32);
        assert_memory_equal(again, number, 32);
        OPENSSL_free(octets);
        OPENSSL_free(other);
        EVP_PKEY_free(opened);
        EVP_PKEY_free(key);
    }
}

static void test_every_octet_counts(void **state)
{
    EVP_PKEY *key = make(DOT2_CURVE_P256), *opened = NULL;
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(dot2_key_seal(fixture.crypto, recipients[0]->key, key, &octets, &size, NULL),
                     DOT2_OK);
    for (size_t i = 0; i < size; i++) {
        enum dot2_status status;

        octets[i] ^= 1;
        status = dot2_key_unseal(fixture.crypto, recipients[0]->key, octets, size, &opened, NULL);
        octets[i] ^= 1;
        /*
         * recipientId is no secret, and is matched leniently; V and -V, which the tag of its point
         * tells apart, give the same x. Neither alters the key.
         */
        if (((i >= 5 && i < 13) || i == 14) && status == DOT2_OK) {
            assert_int_equal(EVP_PKEY_eq(opened, key), 1);
            EVP_PKEY_free(opened);
            continue;
        }
        if (status == DOT2_OK)
            fail_msg("octet %zu can be altered", i);
        assert_null(opened);
    }
    for (size_t i = 0; i < size; i++) {
        assert_int_not_equal(
            dot2_key_unseal(fixture.crypto, recipients[0]->key, octets, i, &opened, NULL), DOT2_OK);
        assert_null(opened);
    }
    OPENSSL_free(octets);
    EVP_PKEY_free(key);
}

static void test_another_key(void **state)
{
    EVP_PKEY *key = make(DOT2_CURVE_P256), *other = fixture_key(&fixture, DOT2_CURVE_P256);
    EVP_PKEY *opened = NULL;
    uint8_t *octets = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(dot2_key_seal(fixture.crypto, other, key, &octets, &size, NULL), DOT2_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            dot2_key_unseal(fixture.crypto, recipients[i]->key, octets, size, &opened, NULL),
            DOT2_E_DECRYPT);
        assert_null(opened);
    }
    OPENSSL_free(octets);
    EVP_PKEY_free(other);
    EVP_PKEY_free(key);
}

/* Encrypted to the right key, but not a key. */
static void test_not_a_key(void **state)
{
    uint8_t plain[37] = {0x03, 0x80, 34, 1, 0}, *octets = NULL;
    static const struct {
        size_t at, size;
        uint8_t octet, fill;
        enum dot2_status expected;
    } cases[] = {
        {4, 37, 0, 1, DOT2_OK},           {4, 37, 1, 1, DOT2_OK},
        {4, 37, 2, 1, DOT2_E_MESSAGE},    {3, 37, 2, 1, DOT2_E_MESSAGE},
        {0, 37, 2, 1, DOT2_E_MESSAGE},    {4, 37, 0, 0, DOT2_E_MESSAGE},
        {4, 37, 0, 0xff, DOT2_E_MESSAGE}, {4, 37, 1, 0xff, DOT2_E_MESSAGE},
        {4, 36, 0, 1, DOT2_E_MESSAGE},    {2, 3, 1, 1, DOT2_E_MESSAGE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        EVP_PKEY *opened = NULL;
        uint8_t kept = plain[cases[i].at];
        size_t size = 0;

        memset(plain + 5, cases[i].fill, 32);
        plain[cases[i].at] = cases[i].octet;
        assert_int_equal(dot2_encrypt_to_key(fixture.crypto, recipients[0]->key, plain,
                                             cases[i].size, &octets, &size, NULL),
                         DOT2_OK);
        plain[cases[i].at] = kept;
        assert_int_equal(
            dot2_key_unseal(fixture.crypto, recipients[0]->key, octets, size, &opened, NULL),
            cases[i].expected);
        assert_int_equal(opened == NULL, cases[i].expected != DOT2_OK);
        EVP_PKEY_free(opened);
        OPENSSL_free(octets);
    }
}

static void test_refusals(void **state)
{
    EVP_PKEY *key = make(DOT2_CURVE_P256), *long_key = fixture_key(&fixture, DOT2_CURVE_P384);
    EVP_PKEY *public = NULL, *none = NULL;
    uint8_t *octets = NULL, point[49], number[48];
    size_t size = 0;

    (void)state;
    assert_int_equal(dot2_key_make(fixture.crypto, DOT2_CURVE_BRAINPOOL_P384R1, &none, NULL),
                     DOT2_E_ALGORITHM);
    assert_int_equal(dot2_key_make(fixture.crypto, DOT2_CURVE_NONE, &none, NULL), DOT2_E_ALGORITHM);
    assert_null(none);
    assert_int_equal(
        dot2_key_seal(fixture.crypto, recipients[0]->key, long_key, &octets, &size, NULL),
        DOT2_E_ALGORITHM);
    assert_int_equal(dot2_key_seal(fixture.crypto, long_key, key, &octets, &size, NULL),
                     DOT2_E_ALGORITHM);
    /* A key in a token has no number to give, nor has a public key. */
    assert_int_equal(dot2_key_number(recipients[2]->key, number, &size, NULL), DOT2_E_ARGUMENT);
    assert_int_equal(
        dot2_key_seal(fixture.crypto, recipients[0]->key, recipients[2]->key, &octets, &size, NULL),
        DOT2_E_ARGUMENT);
    assert_int_equal(dot2_public_point(key, point, &size), DOT2_OK);
    assert_int_equal(dot2_public_key(fixture.crypto, DOT2_CURVE_P256, point, size, &public, NULL),
                     DOT2_OK);
    assert_int_equal(dot2_key_number(public, number, &size, NULL), DOT2_E_ARGUMENT);
    assert_null(octets);
    EVP_PKEY_free(public);
    EVP_PKEY_free(long_key);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_every_octet_counts),
        cmocka_unit_test(test_another_key),    cmocka_unit_test(test_not_a_key),
        cmocka_unit_test(test_refusals),
    };

    /* As in the programs: what is secure memory for OpenSSL is so here too. */
    if (CRYPTO_secure_malloc_init(32768, 32) == 0)
        return 1;
    return cmocka_run_group_tests_name("dot2 sealed keys", tests, recipients_setup,
                                       recipients_teardown);
}
