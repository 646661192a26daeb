/* test_provider_away.c: no provider, and one that goes away: an error, and no way around it. */
#include "tests/dot2/fixture.h"

static const uint8_t data[] = "current time";

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
    by_rse = fixture_signature(&f, octets, size);
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
    signature = fixture_signature(&f, octets, size);
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

/* The provider goes away: an error, and never a message encrypted some other way. */
static void without_the_provider_there_is_an_error(void **state)
{
    struct fixture other;
    EVP_PKEY *key = NULL;
    uint8_t *octets = NULL, *plain = NULL, *right = NULL;
    size_t size = 0, plain_size = 0;
    struct dot2_error error = {0};
    struct dot2_encrypted encrypted;
    dot2_decrypter *decrypter = NULL;

    (void)state;
    fixture_open(&other);
    key = fixture_key(&other, DOT2_CURVE_P256);
    assert_int_equal(
        dot2_encrypt_to_key(other.crypto, key, data, sizeof(data), &right, &size, &error), DOT2_OK);
    assert_int_equal(dot2_decrypter_new(other.crypto, key, NULL, &decrypter, &error), DOT2_OK);
    assert_int_equal(dot2_encrypted_parse(right, size, &encrypted, &error), DOT2_OK);
    assert_int_equal(dot2_decrypter_decrypt(decrypter, &encrypted, &plain, &plain_size, &error),
                     DOT2_OK);
    OPENSSL_clear_free(plain, plain_size);
    EVP_PKEY_free(key);
    key = fixture_key(&other, DOT2_CURVE_P256);
    assert_int_equal(OSSL_PROVIDER_unload(other.dot2hsm), 1);
    other.dot2hsm = NULL;
    /* Not with what is kept from before either. */
    assert_int_equal(dot2_decrypter_decrypt(decrypter, &encrypted, &plain, &plain_size, &error),
                     DOT2_E_PROVIDER);
    assert_null(plain);
    dot2_decrypter_free(decrypter);
    dot2_encrypted_clear(&encrypted);
    assert_int_equal(
        dot2_decrypt(other.crypto, key, NULL, right, size, &plain, &plain_size, &error),
        DOT2_E_PROVIDER);
    assert_null(plain);
    assert_int_equal(
        dot2_encrypt_to_key(other.crypto, key, data, sizeof(data), &octets, &size, &error),
        DOT2_E_PROVIDER);
    assert_null(octets);
    ERR_clear_error();
    OPENSSL_free(right);
    EVP_PKEY_free(key);
    fixture_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_provider_no_crypto),
        cmocka_unit_test(a_provider_that_goes_away),
        cmocka_unit_test(without_the_provider_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
