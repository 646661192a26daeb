/* test_token.c: keys in a SoftHSM token, on the four curves. */

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tests/provider/token_lab.h"

struct fixture {
    struct world world;
    EVP_PKEY *keys[CURVE_COUNT]; /* in the token, to sign */
    EVP_PKEY *derives;           /* in the token, P-256, to derive */
};

static int set_up(void **state)
{
    static struct fixture fixture;

    lab_open();
    world_open(&fixture.world, "default", "dot2hsm");
    lab_keys(fixture.world.libctx, fixture.keys);
    fixture.derives = lab_generate(fixture.world.libctx, "P-256", lab_uri("agreement"), "derive");
    assert_non_null(fixture.derives);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < lab_curves(); i++)
        EVP_PKEY_free(fixture->keys[i]);
    EVP_PKEY_free(fixture->derives);
    world_close(&fixture->world);
    lab_close();
    return 0;
}

/* Made, then found again by URI: both sign, with and without a query, and the default verifies. */
static void token_keys_sign(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < lab_curves(); i++) {
        EVP_PKEY *found =
            lab_load(fixture->world.libctx, lab_uri(curve_names[i]), OSSL_STORE_INFO_PKEY);
        EVP_PKEY *keys[2] = {fixture->keys[i], found};

        assert_non_null(found);
        assert_int_equal(EVP_PKEY_eq(found, fixture->keys[i]), 1);
        for (size_t j = 0; j < 8; j++) {
            bool with_signer = (j & 1) != 0;
            const char *properties = (j & 2) != 0 ? OURS : NULL;
            uint8_t signature[128], digest[64];
            size_t size =
                lab_sign(fixture->world.libctx, properties, keys[j >> 2], with_signer, signature);
            size_t n = digest_by_hand(curve_names[i], lab_data, sizeof(lab_data),
                                      with_signer ? lab_signer : NULL, sizeof(lab_signer), digest);

            assert_true(size > 0);
            assert_true(verifies_plainly(found, digest, n, signature, size));
        }
        EVP_PKEY_free(found);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static void token_keys_give_p1363_and_ready_digests(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < lab_curves(); i++) {
        EVP_PKEY_CTX *ctx =
            EVP_PKEY_CTX_new_from_pkey(fixture->world.libctx, fixture->keys[i], NULL);
        OSSL_PARAM raw[] = {
            OSSL_PARAM_construct_utf8_string("signature-format", (char *)"p1363", 0),
            OSSL_PARAM_END};
        uint8_t signature[128], digest[64];
        size_t size = sizeof(signature);
        size_t n = digest_by_hand(curve_names[i], lab_data, sizeof(lab_data), NULL, 0, digest);

        assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
        assert_int_equal(EVP_PKEY_sign(ctx, NULL, &size, NULL, 0), 1);
        assert_int_equal(size, 8 + 2 * n);
        assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, n), 1);
        assert_true(verifies_plainly(fixture->keys[i], digest, n, signature, size));
        assert_int_equal(EVP_PKEY_CTX_set_params(ctx, raw), 1);
        size = sizeof(signature);
        assert_int_equal(EVP_PKEY_sign(ctx, signature, &size, digest, n), 1);
        assert_int_equal(size, 2 * n);
        assert_int_equal(EVP_PKEY_verify_init_ex(ctx, raw), 1);
        assert_int_equal(EVP_PKEY_verify(ctx, signature, size, digest, n), 1);
        signature[5] ^= 4;
        assert_int_equal(EVP_PKEY_verify(ctx, signature, size, digest, n), 0);
        assert_true(error_says("does not verify"));
        EVP_PKEY_CTX_free(ctx);
    }
}

/* What `openssl dgst` does: duplicates for each final, and a re-init with a NULL key. */
static void signer_survives_duplication_and_null_key(void **state)
{
    struct fixture *fixture = *state;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *copy = EVP_MD_CTX_new();
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string("dot2-signer", (void *)lab_signer, sizeof(lab_signer)),
        OSSL_PARAM_END};
    uint8_t signature[128], digest[64];
    size_t n =
        digest_by_hand("P-256", lab_data, sizeof(lab_data), lab_signer, sizeof(lab_signer), digest);

    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", fixture->world.libctx, OURS,
                                           fixture->keys[0], params),
                     1);
    for (int round = 0; round < 2; round++) {
        size_t size = sizeof(signature);

        assert_int_equal(EVP_DigestSignUpdate(ctx, lab_data, 7), 1);
        assert_int_equal(EVP_MD_CTX_copy_ex(copy, ctx), 1);
        assert_int_equal(EVP_DigestSignUpdate(copy, lab_data + 7, sizeof(lab_data) - 7), 1);
        assert_int_equal(EVP_DigestSignFinal(copy, signature, &size), 1);
        assert_true(verifies_plainly(fixture->keys[0], digest, n, signature, size));
        assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, NULL, NULL), 1);
    }
    EVP_MD_CTX_free(copy);
    EVP_MD_CTX_free(ctx);
}

/* The private half leaves by no door, and the public half by all of them. */
/* What is written for a private key is its URI, which reads as the key again, and signs. */
static void key_file_names_the_key(OSSL_LIB_CTX *libctx, EVP_PKEY *key)
{
    BIO *file = BIO_new(BIO_s_mem());
    EVP_PKEY *again = NULL, *public = NULL;
    uint8_t signature[128];
    char *text = NULL;
    long size = 0;

    assert_true(PEM_write_bio_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    size = BIO_get_mem_data(file, &text);
    assert_true(size > 40 && memcmp(text, "-----BEGIN PKCS#11 PROVIDER URI-----", 36) == 0);
    again = PEM_read_bio_PrivateKey_ex(file, NULL, NULL, NULL, libctx, NULL);
    assert_non_null(again);
    assert_int_equal(EVP_PKEY_eq(key, again), 1);
    assert_true(lab_sign(libctx, NULL, again, false, signature) > 0);
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(BIO_eof(file), 1);
    /* asked for the public key, the file gives no private one */
    assert_true(PEM_write_bio_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    public = PEM_read_bio_PUBKEY_ex(file, NULL, NULL, NULL, libctx, NULL);
    if (public != NULL) {
        assert_int_equal(EVP_PKEY_eq(key, public), 1);
        assert_int_equal(lab_sign(libctx, NULL, public, false, signature), 0);
    }
    ERR_clear_error();
    EVP_PKEY_free(public);
    EVP_PKEY_free(again);
    BIO_free(file);
}

static void private_halves_are_not_exported(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < lab_curves(); i++) {
        EVP_PKEY *key = fixture->keys[i];
        OSSL_PARAM *numbers = NULL;
        unsigned char *der = NULL;
        BIGNUM *d = NULL;
        BIO *out = BIO_new(BIO_s_mem());
        uint8_t signature[128];

        assert_false(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &numbers));
        assert_true(error_says("stays in the token"));
        assert_false(EVP_PKEY_todata(key, OSSL_KEYMGMT_SELECT_PRIVATE_KEY, &numbers));
        assert_true(error_says("stays in the token"));
        assert_false(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &d));
        assert_null(d);
        assert_true(error_says("stays in the token"));
        assert_true(i2d_PrivateKey(key, &der) <= 0);
        assert_int_not_equal(ERR_peek_error(), 0);
        ERR_clear_error();
        key_file_names_the_key(fixture->world.libctx, key);
        /* nor does the other provider sign with what it got */
        assert_int_equal(lab_sign(fixture->world.libctx, "provider=default", key, false, signature),
                         0);
        assert_int_not_equal(ERR_peek_error(), 0);
        ERR_clear_error();

        assert_true(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &numbers));
        assert_null(OSSL_PARAM_locate(numbers, OSSL_PKEY_PARAM_PRIV_KEY));
        OSSL_PARAM_free(numbers);
        assert_true(EVP_PKEY_todata(key, EVP_PKEY_KEY_PARAMETERS, &numbers));
        assert_null(OSSL_PARAM_locate(numbers, OSSL_PKEY_PARAM_PUB_KEY));
        OSSL_PARAM_free(numbers);
        assert_true(i2d_PUBKEY(key, &der) > 0);
        assert_true(PEM_write_bio_PUBKEY(out, key));
        OPENSSL_free(der);
        BIO_free(out);
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void token_keys_describe_themselves(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < lab_curves(); i++) {
        EVP_PKEY *key = fixture->keys[i], *copy = EVP_PKEY_dup(key), *parameters = EVP_PKEY_new();
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture->world.libctx, key, NULL);
        BIO *out = BIO_new(BIO_s_mem());
        unsigned char *encoded = NULL;
        char text[256] = "";
        uint8_t signature[128];
        size_t size = 0;

        assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "dot2hsm");
        assert_int_equal(EVP_PKEY_get_bits(key), (int)(8 * curve_size(curve_names[i])));
        assert_int_equal(EVP_PKEY_get_size(key), (int)(8 + 2 * curve_size(curve_names[i])));
        assert_int_equal(EVP_PKEY_get_security_bits(key), (int)(4 * curve_size(curve_names[i])));
        assert_true(EVP_PKEY_get_utf8_string_param(key, "pkcs11_uri", text, sizeof(text), NULL));
        assert_non_null(strstr(text, "token=" LAB_TOKEN));
        assert_null(strstr(text, LAB_PIN));
        assert_true(EVP_PKEY_print_private(out, key, 0, NULL) > 0);
        assert_int_equal(EVP_PKEY_check(ctx), 1); /* signs once in the token */

        assert_non_null(copy);
        assert_int_equal(EVP_PKEY_eq(key, copy), 1);
        assert_true(lab_sign(fixture->world.libctx, NULL, copy, true, signature) > 0);
        assert_int_not_equal(EVP_PKEY_eq(key, fixture->keys[(i + 1) % CURVE_COUNT]), 1);
        assert_int_equal(EVP_PKEY_copy_parameters(parameters, key), 1);
        assert_int_equal(EVP_PKEY_parameters_eq(parameters, key), 1);
        /* its public key cannot be set to another one */
        size = EVP_PKEY_get1_encoded_public_key(key, &encoded);
        assert_int_not_equal(EVP_PKEY_set1_encoded_public_key(copy, encoded, size), 1);
        assert_true(error_says("cannot be replaced"));
        OPENSSL_free(encoded);
        BIO_free(out);
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(parameters);
        EVP_PKEY_free(copy);
    }
}

static size_t derive(OSSL_LIB_CTX *libctx, EVP_PKEY *key, EVP_PKEY *peer, uint8_t *secret)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(libctx, key, NULL), *copy = NULL;
    size_t size = 64;

    if (EVP_PKEY_derive_init(ctx) <= 0 || EVP_PKEY_derive_set_peer(ctx, peer) <= 0)
        size = 0;
    else if ((copy = EVP_PKEY_CTX_dup(ctx)) == NULL || EVP_PKEY_derive(copy, secret, &size) <= 0)
        size = 0;
    EVP_PKEY_CTX_free(copy);
    EVP_PKEY_CTX_free(ctx);
    return size;
}

static void token_keys_agree(void **state)
{
    struct fixture *fixture = *state;
    OSSL_LIB_CTX *libctx = fixture->world.libctx;

    for (size_t i = 0; i < lab_curves(); i++) {
        char uri[128];
        EVP_PKEY *key = NULL, *public = NULL;
        EVP_PKEY *peer = key_generate(libctx, "provider=default", curve_names[i]);
        EVP_PKEY *strange = key_generate(libctx, NULL, curve_names[(i + 1) % CURVE_COUNT]);
        uint8_t one[64], two[64], signature[128];

        snprintf(uri, sizeof(uri), "%s-derive", lab_uri(curve_names[i]));
        key = lab_generate(libctx, curve_names[i], uri, "derive");
        assert_non_null(key);
        assert_int_equal(derive(libctx, key, peer, one), curve_size(curve_names[i]));
        /* Another provider takes the public half only: it imports the whole key or nothing. */
        assert_int_equal(derive(libctx, peer, key, two), 0);
        ERR_clear_error();
        public = public_copy(libctx, key);
        assert_int_equal(derive(libctx, peer, public, two), curve_size(curve_names[i]));
        assert_memory_equal(one, two, curve_size(curve_names[i]));

        /* what a key may not do, it does not; nor with a point of another curve */
        assert_int_equal(lab_sign(libctx, NULL, key, false, signature), 0);
        assert_true(error_says("may not sign"));
        assert_int_equal(derive(libctx, fixture->keys[i], peer, one), 0);
        assert_true(error_says("may not derive"));
        assert_int_equal(derive(libctx, key, strange, one), 0);
        assert_int_not_equal(ERR_peek_error(), 0);
        ERR_clear_error();
        EVP_PKEY_free(public);
        EVP_PKEY_free(strange);
        EVP_PKEY_free(peer);
        EVP_PKEY_free(key);
    }
}

static void uris_that_name_no_key_or_several_are_errors(void **state)
{
    struct fixture *fixture = *state;
    OSSL_LIB_CTX *libctx = fixture->world.libctx;
    static const struct {
        const char *uri, *words;
    } cases[] = {
        {"pkcs11:token=" LAB_TOKEN ";object=nobody", "no object matches"},
        {"pkcs11:token=nowhere;object=prime256v1", "token"},
        {"pkcs11:token=" LAB_TOKEN ";objekt=prime256v1", "objekt"},
        {"pkcs11:token=" LAB_TOKEN, "more than one private key matches"},
        {"pkcs11:token=" LAB_TOKEN ";object=prime256v1?pin-value=" LAB_PIN, "pin-value"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(lab_load(libctx, cases[i].uri, OSSL_STORE_INFO_PKEY));
        assert_true(error_says(cases[i].words));
    }
    /* The candidates are listed. */
    assert_null(lab_load(libctx, "pkcs11:token=" LAB_TOKEN, OSSL_STORE_INFO_PKEY));
    assert_true(error_says("object=secp384r1"));
    /* What is there is not made again; what is no curve of ours is not made at all. */
    assert_null(lab_generate(libctx, "P-256", lab_uri(curve_names[0]), NULL));
    assert_true(error_says("is there already"));
    assert_null(lab_generate(libctx, "P-521", lab_uri("p521"), NULL));
    assert_true(error_says("curve not supported"));
    assert_null(lab_generate(libctx, "P-256", lab_uri("use"), "encrypt"));
    assert_true(error_says("pkcs11_usage"));
    assert_null(lab_generate(libctx, "P-256", "pkcs11:token=" LAB_TOKEN, NULL));
    assert_int_not_equal(ERR_peek_error(), 0);
    ERR_clear_error();
}

static void public_keys_and_listings(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *public =
        lab_load(fixture->world.libctx, lab_uri(curve_names[1]), OSSL_STORE_INFO_PUBKEY);
    OSSL_STORE_CTX *store = NULL;
    int last = OSSL_STORE_INFO_PKEY, keys[2] = {0, 0};
    uint8_t signature[128];

    assert_non_null(public);
    assert_int_equal(EVP_PKEY_eq(public, fixture->keys[1]), 1);
    assert_int_equal(lab_sign(fixture->world.libctx, OURS, public, false, signature), 0);
    assert_true(error_says("a public key cannot sign"));
    EVP_PKEY_free(public);

    store = OSSL_STORE_open_ex("pkcs11:token=" LAB_TOKEN, fixture->world.libctx, NULL, NULL, NULL,
                               NULL, NULL, NULL);
    assert_non_null(store);
    while (!OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        int type = 0;

        assert_non_null(info);
        type = OSSL_STORE_INFO_get_type(info);
        if (type == OSSL_STORE_INFO_PKEY)
            assert_int_equal(last, OSSL_STORE_INFO_PKEY); /* private keys stand first */
        keys[type == OSSL_STORE_INFO_PKEY]++;
        last = type;
        OSSL_STORE_INFO_free(info);
    }
    assert_true(keys[1] >= 5);
    assert_int_equal(keys[0], keys[1]);
    OSSL_STORE_close(store);
}

/* libcrypto does not ask whether a search is offered: one passed by would find what it should not.
 */
static void searches_are_made_or_refused(void **state)
{
    struct fixture *fixture = *state;
    static const unsigned char fingerprint[32] = {1};
    X509_NAME *name = X509_NAME_new();
    OSSL_STORE_SEARCH *searches[] = {
        OSSL_STORE_SEARCH_by_alias(curve_names[0]),
        OSSL_STORE_SEARCH_by_key_fingerprint(EVP_sha256(), fingerprint, sizeof(fingerprint)),
        OSSL_STORE_SEARCH_by_name(name)};

    for (size_t i = 0; i < 3; i++) {
        OSSL_STORE_CTX *store = OSSL_STORE_open_ex("pkcs11:token=" LAB_TOKEN, fixture->world.libctx,
                                                   NULL, NULL, NULL, NULL, NULL, NULL);

        assert_non_null(store);
        assert_int_equal(OSSL_STORE_find(store, searches[i]), i == 2);
        assert_true(i == 2 || error_says("no search by"));
        if (i == 2) { /* no certificate has it, and a key has no subject */
            assert_null(OSSL_STORE_load(store));
            assert_int_equal(OSSL_STORE_eof(store), 1);
            assert_int_equal(OSSL_STORE_error(store), 0);
            assert_int_equal(ERR_peek_error(), 0);
        }
        OSSL_STORE_close(store);
        OSSL_STORE_SEARCH_free(searches[i]);
    }
    X509_NAME_free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_keys_sign),
        cmocka_unit_test(token_keys_give_p1363_and_ready_digests),
        cmocka_unit_test(signer_survives_duplication_and_null_key),
        cmocka_unit_test(private_halves_are_not_exported),
        cmocka_unit_test(token_keys_describe_themselves),
        cmocka_unit_test(token_keys_agree),
        cmocka_unit_test(uris_that_name_no_key_or_several_are_errors),
        cmocka_unit_test(public_keys_and_listings),
        cmocka_unit_test(searches_are_made_or_refused),
    };

    return cmocka_run_group_tests_name("provider/token", tests, set_up, tear_down);
}
