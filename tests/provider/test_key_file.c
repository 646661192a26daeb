/*
 * test_key_file.c: key files: their form, octet by octet, and what comes of them when a program
 * reads a private key from one.
 */

#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/pem.h>

#include "provider/key_file.h"
#include "tests/provider/token_lab.h"

#define URI "pkcs11:token=lab;object=key;type=private"

/* ---- the form ---- */

/* What pkcs11-provider 1.0 of bookworm-backports wrote, read from its file. */
static void what_pkcs11_provider_writes_is_read(void **state)
{
    static const char expected[] = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;"
                                   "serial=87ef44b91b41f897;token=lab;id=%42;object=t;"
                                   "type=private";
    BIO *file = BIO_new_file(SAMPLE, "r");
    char *label = NULL, *header = NULL, *uri = NULL;
    uint8_t *der = NULL, *again = NULL;
    size_t again_size = 0;
    long size = 0;

    (void)state;
    assert_non_null(file);
    assert_int_equal(PEM_read_bio(file, &label, &header, &der, &size), 1);
    assert_string_equal(label, PROV_KEY_FILE_LABEL);
    assert_int_equal(prov_key_file_parse(der, (size_t)size, &uri), PROV_KEY_FILE_OK);
    assert_string_equal(uri, expected);
    /* and octet for octet what we would have written */
    assert_int_equal(prov_key_file_build(uri, &again, &again_size), 1);
    assert_int_equal(again_size, size);
    assert_memory_equal(again, der, again_size);
    OPENSSL_free(again);
    OPENSSL_free(uri);
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(file);
}

static void every_truncation_and_every_flipped_bit_is_noticed(void **state)
{
    uint8_t *der = NULL;
    size_t size = 0;
    char *uri = NULL;

    (void)state;
    assert_int_equal(prov_key_file_build(URI, &der, &size), 1);
    for (size_t i = 0; i < size; i++) {
        assert_int_not_equal(prov_key_file_parse(der, i, &uri), PROV_KEY_FILE_OK);
        assert_null(uri);
    }
    ERR_clear_error();
    for (size_t bit = 0; bit < 8 * size; bit++) {
        enum prov_key_file result = PROV_KEY_FILE_OTHER;

        der[bit / 8] ^= (uint8_t)(1u << bit % 8);
        result = prov_key_file_parse(der, size, &uri);
        if (result == PROV_KEY_FILE_OK)
            assert_string_not_equal(uri, URI); /* a bit within the URI gives another URI */
        else
            assert_null(uri);
        assert_int_equal(ERR_peek_error() != 0, result == PROV_KEY_FILE_MALFORMED);
        ERR_clear_error();
        OPENSSL_free(uri);
        der[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    OPENSSL_free(der);
}

static void forms_that_are_none_are_refused(void **state)
{
#define CASE(text) (const uint8_t *)(text), sizeof(text) - 1
    static const struct {
        const uint8_t *der;
        size_t size;
        enum prov_key_file result;
        const char *words;
    } cases[] = {
        /* another version, which must not be taken for this one */
        {CASE("\x30\x26\x1a\x19PKCS#11 Provider URI v2.0\x0c\x09pkcs11:a="),
         PROV_KEY_FILE_MALFORMED, "description"},
        /* an octet after the end */
        {CASE("\x30\x26\x1a\x19PKCS#11 Provider URI v1.0\x0c\x09pkcs11:a=\0"),
         PROV_KEY_FILE_MALFORMED, "not DER"},
        /* a length that BER allows */
        {CASE("\x30\x81\x26\x1a\x19PKCS#11 Provider URI v1.0\x0c\x09pkcs11:a="),
         PROV_KEY_FILE_MALFORMED, "not DER"},
        {CASE("\x30\x24\x1a\x19PKCS#11 Provider URI v1.0\x0c\x07"
              "file:/a"),
         PROV_KEY_FILE_MALFORMED, "does not begin with pkcs11:"},
        {CASE("\x30\x26\x1a\x19PKCS#11 Provider URI v1.0\x0c\x09pkcs11:\0a"),
         PROV_KEY_FILE_MALFORMED, "NUL"},
        {CASE("\x30\x1d\x1a\x19PKCS#11 Provider URI v1.0\x0c\x00"), PROV_KEY_FILE_MALFORMED,
         "does not begin with pkcs11:"},
        /* other things, that other decoders have to see */
        {CASE(""), PROV_KEY_FILE_OTHER, NULL},
        {CASE("\x30\x00"), PROV_KEY_FILE_OTHER, NULL},
        {CASE("\x30\x03\x02\x01\x01"), PROV_KEY_FILE_OTHER, NULL},
        {CASE("\x30\x0d\x1a\x00\x0c\x09pkcs11:a="), PROV_KEY_FILE_OTHER, NULL},
        {CASE("\x31\x26\x1a\x19PKCS#11 Provider URI v1.0\x0c\x09pkcs11:a="), PROV_KEY_FILE_OTHER,
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *uri = NULL;

        if (prov_key_file_parse(cases[i].der, cases[i].size, &uri) != cases[i].result)
            fail_msg("case %zu", i);
        assert_null(uri);
        if (cases[i].words != NULL)
            assert_true(error_says(cases[i].words));
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void a_uri_that_is_too_long_makes_no_file(void **state)
{
    char *uri = calloc(1, PROV_KEY_FILE_MAX + 1);
    uint8_t *der = NULL;
    size_t size = 0;

    (void)state;
    assert_non_null(uri);
    memset(uri, 'a', PROV_KEY_FILE_MAX);
    memcpy(uri, "pkcs11:", 7);
    assert_int_equal(prov_key_file_build(uri, &der, &size), 0);
    assert_null(der);
    assert_true(error_says("bad key file"));
    free(uri);
}

/* ---- the key ---- */

/* The PEM file of a URI, as text for the caller to free. */
static char *key_file(const char *uri)
{
    BIO *out = BIO_new(BIO_s_mem());
    uint8_t *der = NULL;
    size_t size = 0;
    char *at = NULL, *text = NULL;
    long length = 0;

    assert_int_equal(prov_key_file_build(uri, &der, &size), 1);
    assert_true(PEM_write_bio(out, PROV_KEY_FILE_LABEL, "", der, (long)size) > 0);
    length = BIO_get_mem_data(out, &at);
    text = calloc(1, (size_t)length + 1);
    assert_non_null(text);
    memcpy(text, at, (size_t)length);
    OPENSSL_free(der);
    BIO_free(out);
    return text;
}

static EVP_PKEY *read_private(OSSL_LIB_CTX *libctx, const char *before, const char *text)
{
    BIO *in = BIO_new(BIO_s_mem());
    EVP_PKEY *key = NULL;

    assert_true(BIO_puts(in, before) >= 0 && BIO_puts(in, text) > 0);
    key = PEM_read_bio_PrivateKey_ex(in, NULL, NULL, NULL, libctx, NULL);
    BIO_free(in);
    return key;
}

static void keys_are_found_wherever_they_stand_in_the_file(void **state)
{
    struct world *world = *state;
    OSSL_LIB_CTX *libctx = world->libctx;
    EVP_PKEY *made = lab_generate(libctx, "P-256", lab_uri("key"), NULL);
    BIO *public = BIO_new(BIO_s_mem());
    char *text = key_file(lab_uri("key")), *at = NULL;
    char other[2048] = "a text before the first block\n";
    long size = 0;
    EVP_PKEY *key = NULL;

    assert_non_null(made);
    key = read_private(libctx, "", text);
    assert_non_null(key);
    assert_int_equal(EVP_PKEY_eq(key, made), 1);
    EVP_PKEY_free(key);

    /* behind another block, and behind a text */
    assert_true(PEM_write_bio_PUBKEY(public, made));
    size = BIO_get_mem_data(public, &at);
    strncat(other, at, (size_t)size);
    key = read_private(libctx, other, text);
    assert_non_null(key);
    assert_int_equal(EVP_PKEY_eq(key, made), 1);
    EVP_PKEY_free(key);
    assert_int_equal(ERR_peek_error(), 0);
    free(text);
    BIO_free(public);
    EVP_PKEY_free(made);
}

/* OSSL_DECODER, on DER, by what is asked for. */
static void the_selection_decides_what_comes(void **state)
{
    static const int selections[] = {0, EVP_PKEY_KEYPAIR, EVP_PKEY_PUBLIC_KEY};
    struct world *world = *state;
    OSSL_LIB_CTX *libctx = world->libctx;
    EVP_PKEY *made = lab_generate(libctx, "P-384", lab_uri("select"), NULL);

    assert_non_null(made);
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *key = NULL;
        OSSL_DECODER_CTX *decoder =
            OSSL_DECODER_CTX_new_for_pkey(&key, "DER", NULL, NULL, selections[i], libctx, NULL);
        const unsigned char *at = NULL;
        uint8_t *der = NULL, digest[48] = {1}, signature[128];
        size_t size = 0, signature_size = sizeof(signature);
        EVP_PKEY_CTX *ctx = NULL;

        assert_int_equal(prov_key_file_build(lab_uri("select"), &der, &size), 1);
        at = der;
        assert_int_equal(OSSL_DECODER_from_data(decoder, &at, &size), 1);
        assert_non_null(key);
        assert_int_equal(EVP_PKEY_eq(key, made), 1);
        ctx = EVP_PKEY_CTX_new_from_pkey(libctx, key, NULL);
        assert_int_equal(EVP_PKEY_sign_init(ctx) == 1 &&
                             EVP_PKEY_sign(ctx, signature, &signature_size, digest, 48) == 1,
                         selections[i] != EVP_PKEY_PUBLIC_KEY);
        ERR_clear_error();
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(key);
        OPENSSL_free(der);
        OSSL_DECODER_CTX_free(decoder);
    }
    EVP_PKEY_free(made);
}

/* The reason is on the queue, not libcrypto's "unsupported" alone. */
static void files_that_give_no_key_say_why(void **state)
{
    static const struct {
        const char *uri, *words;
    } cases[] = {
        {"pkcs11:token=" LAB_TOKEN ";object=nobody", "no key stands behind the URI"},
        {"pkcs11:token=" LAB_TOKEN ";type=private", "more than one private key matches"},
        {"pkcs11:token=nowhere;object=key", "no token matches"},
        {"pkcs11:token=" LAB_TOKEN ";objekt=key", "objekt"},
        {"pkcs11:token=" LAB_TOKEN ";object=key;type=public", "no key stands behind the URI"},
        {"pkcs11:token=" LAB_TOKEN ";object=key?pin-value=" LAB_PIN, "pin-value"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = key_file(cases[i].uri);

        assert_null(read_private(world->libctx, "", text));
        if (!error_says(cases[i].words))
            fail_msg("case %zu", i);
        free(text);
    }
    /* no form at all under the label */
    assert_null(read_private(world->libctx, "",
                             "-----BEGIN " PROV_KEY_FILE_LABEL "-----\nMAMCAQE=\n"
                             "-----END " PROV_KEY_FILE_LABEL "-----\n"));
    assert_true(error_says("bad key file"));
}

static void without_a_module_a_file_is_an_error_that_says_so(void **state)
{
    char *text = key_file(URI), *conf = getenv("DOT2HSM_CONF");
    char saved[512];
    struct world world;

    (void)state;
    snprintf(saved, sizeof(saved), "%s", conf);
    unsetenv("DOT2HSM_CONF");
    world_open(&world, "default", "dot2hsm");
    assert_null(read_private(world.libctx, "", text));
    assert_true(error_says("no pkcs11-module is configured"));
    world_close(&world);
    setenv("DOT2HSM_CONF", saved, 1);
    free(text);
}

/* A software key that is ours is written by the other provider, encrypted where that is asked. */
static void software_keys_are_written_as_ever(void **state)
{
    struct world *world = *state;
    OSSL_LIB_CTX *libctx = world->libctx;
    EVP_PKEY *key = key_generate(libctx, "provider=dot2hsm", "P-256"), *again = NULL;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(libctx, "AES-256-CBC", NULL);
    char *at = NULL;

    for (int encrypted = 0; encrypted < 2; encrypted++) {
        BIO *out = BIO_new(BIO_s_mem());

        assert_true(PEM_write_bio_PrivateKey(out, key, encrypted ? cipher : NULL,
                                             encrypted ? (const unsigned char *)"secret" : NULL,
                                             encrypted ? 6 : 0, NULL, NULL));
        assert_true(BIO_get_mem_data(out, &at) > 40);
        assert_int_equal(strncmp(at, "-----BEGIN ENCRYPTED PRIVATE KEY-----", 37) == 0, encrypted);
        assert_int_equal(strncmp(at, "-----BEGIN PRIVATE KEY-----", 27) == 0, !encrypted);
        again = PEM_read_bio_PrivateKey_ex(out, NULL, NULL, (void *)"secret", libctx, NULL);
        assert_non_null(again);
        assert_int_equal(EVP_PKEY_eq(key, again), 1);
        EVP_PKEY_free(again);
        BIO_free(out);
    }
    EVP_CIPHER_free(cipher);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_pkcs11_provider_writes_is_read),
        cmocka_unit_test(every_truncation_and_every_flipped_bit_is_noticed),
        cmocka_unit_test(forms_that_are_none_are_refused),
        cmocka_unit_test(a_uri_that_is_too_long_makes_no_file),
        cmocka_unit_test(keys_are_found_wherever_they_stand_in_the_file),
        cmocka_unit_test(the_selection_decides_what_comes),
        cmocka_unit_test(files_that_give_no_key_say_why),
        cmocka_unit_test(without_a_module_a_file_is_an_error_that_says_so),
        cmocka_unit_test(software_keys_are_written_as_ever),
    };

    return cmocka_run_group_tests_name("provider/key-file", tests, lab_setup, lab_teardown);
}
