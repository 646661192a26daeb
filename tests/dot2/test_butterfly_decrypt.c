/*
 * test_butterfly_decrypt.c: messages to expanded keys, decrypted with the seed key: a key in a
 * token that gives no more than an ECDH, and a software key by the same way.
 */
#include "protocol/dot2/butterfly.h"
#include "tests/dot2/fixture.h"

#include <openssl/core_names.h>
#include <openssl/store.h>

#include "protocol/dot2/ecies.h"
#include "tests/provider/put_key.h"
#include "tests/provider/token_lab.h"

static struct fixture f;
static EVP_PKEY *seeds[2]; /* in the token, in software */
static const struct dot2_expansion expansion = {"sixteen octets!", 7, 3};
static const uint8_t text[] = {0x03, 0x80, 0x05, 0x01, 0x83, 0x80, 0x00, 0x01};

/* The published key as sums d = (d - f) + f, the first part of each in the token. */
#define PARTS 8
static struct {
    uint8_t f[32], opposite[32]; /* opposite: -(d - f) */
    EVP_PKEY *software;
} parts[PARTS];

static void divide_the_published_key(void)
{
    const BIGNUM *order = dot2_order(f.crypto, DOT2_CURVE_P256);
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *d = NULL, *number = BN_new();
    uint8_t value[32], point[65];
    char label[16];

    fixture_hex(published[0].d, value, 32);
    d = BN_bin2bn(value, 32, NULL);
    for (int n = 0; n < PARTS; n++) {
        size_t size = 0;

        if (n == 0)
            BN_one(number);
        else
            assert_int_equal(BN_rand_range(number, order), 1);
        BN_bn2binpad(number, parts[n].f, 32);
        assert_int_equal(BN_mod_sub(number, d, number, order, ctx), 1);
        BN_bn2binpad(number, value, 32);
        assert_int_equal(dot2_key_pair(f.crypto, DOT2_CURVE_P256, number, &parts[n].software, NULL),
                         DOT2_OK);
        assert_int_equal(EVP_PKEY_get_octet_string_param(parts[n].software, OSSL_PKEY_PARAM_PUB_KEY,
                                                         point, sizeof(point), &size),
                         1);
        assert_int_equal(size, 65);
        snprintf(label, sizeof(label), "part%d", n);
        lab_put_key(label, value, point);
        assert_int_equal(BN_sub(number, order, number), 1);
        BN_bn2binpad(number, parts[n].opposite, 32);
    }
    BN_free(d);
    BN_free(number);
    BN_CTX_free(ctx);
}

static int set_up(void **state)
{
    (void)state;
    lab_open();
    fixture_open(&f);
    divide_the_published_key(); /* before this process is logged in to the token */
    seeds[0] = lab_generate(f.libctx, "P-256", lab_uri("seed"), "derive");
    seeds[1] = fixture_key(&f, DOT2_CURVE_P256);
    assert_non_null(seeds[0]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(seeds[0]);
    EVP_PKEY_free(seeds[1]);
    for (int n = 0; n < PARTS; n++)
        EVP_PKEY_free(parts[n].software);
    fixture_close(&f);
    lab_close();
    return 0;
}

static EVP_PKEY *expanded(const EVP_PKEY *seed, const struct dot2_expansion *e)
{
    EVP_PKEY *key = NULL;

    assert_int_equal(dot2_butterfly_public(f.crypto, seed, e->key, DOT2_BUTTERFLY_ENCRYPT, e->i,
                                           e->j, &key, NULL),
                     DOT2_OK);
    return key;
}

static enum dot2_status decrypt(EVP_PKEY *seed, const struct dot2_expansion *e,
                                const dot2_cert *cert, const uint8_t *octets, size_t size,
                                struct dot2_error *error)
{
    struct dot2_encrypted encrypted;
    uint8_t *plain = NULL;
    size_t plain_size = 0;
    enum dot2_status status = dot2_encrypted_parse(octets, size, &encrypted, error);

    if (status != DOT2_OK)
        return status;
    status = dot2_encrypted_decrypt_expanded(f.crypto, &encrypted, seed, e, cert, &plain,
                                             &plain_size, error);
    if (status == DOT2_OK) {
        assert_int_equal(plain_size, sizeof(text));
        assert_memory_equal(plain, text, sizeof(text));
    } else {
        assert_null(plain);
        assert_int_equal(plain_size, 0);
    }
    OPENSSL_clear_free(plain, plain_size);
    dot2_encrypted_clear(&encrypted);
    return status;
}

static size_t encrypt(EVP_PKEY *key, uint8_t **octets)
{
    size_t size = 0;

    assert_int_equal(dot2_encrypt_to_key(f.crypto, key, text, sizeof(text), octets, &size, NULL),
                     DOT2_OK);
    return size;
}

/* Of 24 messages both signs of y are needed: all of one sign has a chance of 2^-23. */
static void a_seed_key_reads_what_is_for_an_expanded_key(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        for (uint32_t j = 0; j < 24; j++) {
            struct dot2_expansion e = expansion;
            uint8_t *octets = NULL;
            EVP_PKEY *key = NULL;
            size_t size;

            e.j = j;
            key = expanded(seeds[s], &e);
            size = encrypt(key, &octets);
            assert_int_equal(decrypt(seeds[s], &e, NULL, octets, size, NULL), DOT2_OK);
            /* The seed key alone, and that of another i, j or expansion, do not read it. */
            if (j < 3) {
                uint8_t *plain = NULL;
                size_t plain_size = 0;

                assert_int_equal(
                    dot2_decrypt(f.crypto, seeds[s], NULL, octets, size, &plain, &plain_size, NULL),
                    DOT2_E_DECRYPT);
                if (j == 0)
                    e.i++;
                else if (j == 1)
                    e.j++;
                else
                    e.key[15] ^= 1;
                assert_int_equal(decrypt(seeds[s], &e, NULL, octets, size, NULL), DOT2_E_DECRYPT);
            }
            assert_int_equal(ERR_peek_error(), 0);
            OPENSSL_free(octets);
            EVP_PKEY_free(key);
        }
    }
}

/* Both candidates for the shared point are wrong. */
static void what_is_altered_or_for_another_is_refused(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        EVP_PKEY *key = expanded(seeds[s], &expansion);
        struct dot2_error error = {0};
        uint8_t *octets = NULL;
        size_t size = encrypt(key, &octets);

        assert_int_equal(decrypt(seeds[1 - s], &expansion, NULL, octets, size, &error),
                         DOT2_E_DECRYPT);
        assert_non_null(strstr(error.field, "encKey"));
        /* 14: form and x of V, 47: C, 63: T, 93: ciphertext and its tag */
        for (size_t n = 15; n < size; n++) {
            if (n >= 79 && n < 93)
                continue; /* alternatives, nonce, length */
            octets[n] ^= 0x10;
            assert_int_equal(decrypt(seeds[s], &expansion, NULL, octets, size, &error),
                             DOT2_E_DECRYPT);
            octets[n] ^= 0x10;
        }
        octets[14] = 0x80; /* x-only: no whole point */
        assert_int_equal(decrypt(seeds[s], &expansion, NULL, octets, size, &error), DOT2_E_POINT);
        assert_int_equal(ERR_peek_error(), 0);
        OPENSSL_free(octets);
        EVP_PKEY_free(key);
    }
}

/* An identification certificate with an encryption key that was expanded. */
static void messages_to_a_certificate_are_read_as_well(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        ToBeSignedCertificate_t *body = fixture_body(&f, "obe.example", FIXTURE_START, 1000);
        EVP_PKEY *sign = fixture_key(&f, DOT2_CURVE_P256), *key = expanded(seeds[s], &expansion);
        struct dot2_error error = {0};
        struct dot2_expansion e = expansion;
        dot2_cert *cert = NULL;
        uint8_t *octets = NULL;
        size_t size = 0;

        fixture_app(&f, body, 0x23, "8b0001", NULL);
        fixture_encryption(&f, body, key);
        cert = fixture_explicit(&f, body, sign, NULL, sign);
        assert_int_equal(
            dot2_encrypt_to_cert(f.crypto, cert, text, sizeof(text), &octets, &size, NULL),
            DOT2_OK);
        assert_int_equal(decrypt(seeds[s], &e, cert, octets, size, &error), DOT2_OK);
        assert_int_equal(decrypt(seeds[s], &e, NULL, octets, size, &error), DOT2_E_NOT_RECIPIENT);
        e.j++;
        assert_int_equal(decrypt(seeds[s], &e, cert, octets, size, &error), DOT2_E_KEY_MISMATCH);
        OPENSSL_free(octets);
        dot2_cert_free(cert);
        EVP_PKEY_free(sign);
        EVP_PKEY_free(key);
    }
}

static void seed_keys_that_cannot_are_refused(void **state)
{
    EVP_PKEY *signing = lab_generate(f.libctx, "P-256", lab_uri("signing"), "sign");
    EVP_PKEY *brainpool = fixture_key(&f, DOT2_CURVE_BRAINPOOL_P256R1);
    struct dot2_error error = {0};
    EVP_PKEY *key = NULL;
    uint8_t *octets = NULL;
    size_t size;

    (void)state;
    assert_non_null(signing);
    key = expanded(signing, &expansion);
    size = encrypt(key, &octets);
    assert_int_equal(decrypt(signing, &expansion, NULL, octets, size, &error), DOT2_E_PROVIDER);
    ERR_clear_error();
    assert_int_equal(decrypt(brainpool, &expansion, NULL, octets, size, &error), DOT2_E_ALGORITHM);
    OPENSSL_free(octets);
    EVP_PKEY_free(key);
    EVP_PKEY_free(brainpool);
    EVP_PKEY_free(signing);
}

static void published_figures_come_out_of_a_divided_key(void **state)
{
    uint8_t p1[32], expected[16], wrapped[16], sealed[97];
    char label[16];

    (void)state;
    fixture_hex(published[0].key, expected, 16);
    fixture_hex(published[0].p1, p1, 32);
    fixture_hex(published[0].v, sealed, 65);
    fixture_hex(published[0].c, sealed + 65, 16);
    fixture_hex(published[0].t, sealed + 81, 16);
    for (int n = 0; n < PARTS; n++) {
        EVP_PKEY *keys[2] = {NULL, parts[n].software};

        snprintf(label, sizeof(label), "part%d", n);
        keys[0] = lab_load(f.libctx, lab_uri(label), OSSL_STORE_INFO_PKEY);
        assert_non_null(keys[0]);
        for (int soft = 0; soft < 2; soft++) {
            memset(wrapped, 0, sizeof(wrapped));
            assert_int_equal(dot2_ecies_decrypt_sum(f.crypto, keys[soft], parts[n].f, p1, sealed,
                                                    sizeof(sealed), wrapped, NULL),
                             DOT2_OK);
            assert_memory_equal(wrapped, expected, 16);
            p1[0] ^= 1;
            assert_int_equal(dot2_ecies_decrypt_sum(f.crypto, keys[soft], parts[n].f, p1, sealed,
                                                    sizeof(sealed), wrapped, NULL),
                             DOT2_E_DECRYPT);
            p1[0] ^= 1;
            /* One of the sums is the point at infinity, the other is not the shared point. */
            assert_int_equal(dot2_ecies_decrypt_sum(f.crypto, keys[soft], parts[n].opposite, p1,
                                                    sealed, sizeof(sealed), wrapped, NULL),
                             DOT2_E_DECRYPT);
        }
        EVP_PKEY_free(keys[0]);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_key_reads_what_is_for_an_expanded_key),
        cmocka_unit_test(what_is_altered_or_for_another_is_refused),
        cmocka_unit_test(messages_to_a_certificate_are_read_as_well),
        cmocka_unit_test(seed_keys_that_cannot_are_refused),
        cmocka_unit_test(published_figures_come_out_of_a_divided_key),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
