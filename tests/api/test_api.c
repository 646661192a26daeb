/* The public C API over real certificates: good ways, refusals, threads. No internal header but the
 * fixture's, which makes the certificates. */
#include "tests/dot2/fixture.h"

#include <pthread.h>

#include <dot2hsm/spdu.h>

#define OK(call) assert_int_equal(call, DOT2HSM_OK)

static const uint8_t text[] = "a message";

struct scene {
    struct fixture fixture;
    dot2hsm_ctx *ctx;
    dot2hsm_error *error;
    dot2hsm_key *key, *other;
    dot2hsm_cert *cert;
    dot2hsm_trust *trust;
};

static EVP_PKEY *new_key(dot2hsm_ctx *ctx, const struct scene *s, dot2hsm_key **key)
{
    EVP_PKEY *evp = fixture_key(&s->fixture, DOT2_CURVE_P256);

    OK(dot2hsm_key_from_evp(ctx, evp, key, s->error));
    return evp;
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    struct dot2hsm_options options = {.size = sizeof(options)};
    ToBeSignedCertificate_t *body;
    EVP_PKEY *evp;
    dot2_cert *made;
    const uint8_t *octets;
    uint32_t now = dot2hsm_time32_now();
    size_t size;

    assert_non_null(s);
    fixture_open(&s->fixture);
    s->error = dot2hsm_error_new();
    options.libctx = s->fixture.libctx;
    OK(dot2hsm_ctx_new(&options, &s->ctx, s->error));
    evp = new_key(s->ctx, s, &s->key);
    body = fixture_body(&s->fixture, "signer", now - 1000, 10);
    fixture_app(&s->fixture, body, 0x20, NULL, NULL);
    made = fixture_explicit(&s->fixture, body, evp, NULL, evp);
    EVP_PKEY_free(evp);
    octets = dot2_cert_octets(made, &size);
    OK(dot2hsm_cert_new(s->ctx, octets, size, &s->cert, s->error));
    dot2_cert_free(made);
    EVP_PKEY_free(new_key(s->ctx, s, &s->other));
    OK(dot2hsm_trust_new(s->ctx, &s->trust, s->error));
    OK(dot2hsm_trust_add_anchor(s->trust, s->cert, s->error));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    /* The context first: what was made in it keeps it. */
    dot2hsm_ctx_free(s->ctx);
    dot2hsm_key_free(s->key);
    dot2hsm_key_free(s->other);
    dot2hsm_cert_free(s->cert);
    dot2hsm_trust_free(s->trust);
    dot2hsm_error_free(s->error);
    fixture_close(&s->fixture);
    free(s);
    return 0;
}

static void round_trip(const struct scene *s, dot2hsm_error *error)
{
    struct dot2hsm_sign how = {.size = sizeof(how), .psid = 0x20};
    dot2hsm_spdu *spdu = NULL;
    uint8_t *octets = NULL;
    const uint8_t *payload;
    size_t size = 0, payload_size = 0;

    OK(dot2hsm_spdu_sign(s->key, s->cert, &how, text, sizeof(text), &octets, &size, error));
    OK(dot2hsm_spdu_verify(s->trust, octets, size, DOT2HSM_NOW, &spdu, error));
    payload = dot2hsm_spdu_payload(spdu, &payload_size);
    assert_int_equal(payload_size, sizeof(text));
    assert_memory_equal(payload, text, sizeof(text));
    assert_int_equal(dot2hsm_spdu_psid(spdu), 0x20);
    assert_true(dot2hsm_spdu_generation_time(spdu) > 0);
    assert_string_equal(dot2hsm_cert_name(dot2hsm_spdu_signer(spdu)), "signer");
    dot2hsm_spdu_free(spdu);
    octets[size - 1] ^= 1;
    assert_int_equal(dot2hsm_spdu_verify(s->trust, octets, size, DOT2HSM_NOW, &spdu, error),
                     DOT2HSM_E_SIGNATURE);
    assert_null(spdu);
    assert_non_null(strstr(dot2hsm_error_text(error), "DOT2HSM_E_SIGNATURE"));
    dot2hsm_free(octets);
}

static void signs_and_verifies(void **state)
{
    const struct scene *s = *state;

    round_trip(s, s->error);
    assert_int_equal(dot2hsm_trust_add(s->trust, s->cert, s->error), DOT2HSM_E_ARGUMENT);
    OK(dot2hsm_trust_verify(s->trust, s->cert, DOT2HSM_NOW, s->error));
    assert_string_equal(dot2hsm_error_text(s->error), "");
    assert_int_equal(dot2hsm_trust_verify(s->trust, s->cert, dot2hsm_cert_end(s->cert) + 1, NULL),
                     DOT2HSM_E_EXPIRED);
}

static void refuses(void **state)
{
    const struct scene *s = *state;
    struct {
        struct dot2hsm_sign sign;
        uint64_t later;
    } longer = {.sign = {.size = sizeof(longer), .psid = 0x20}};
    struct dot2hsm_sign how = {.size = sizeof(how), .psid = 0x21};
    struct dot2hsm_options options = {.size = 3};
    static const char *const unknown[] = {"pkcs11-modul", "x", NULL};
    dot2hsm_trust *empty = NULL;
    dot2hsm_spdu *spdu = NULL;
    dot2hsm_cert *cert = NULL;
    dot2hsm_key *key = NULL;
    dot2hsm_ctx *ctx = NULL;
    uint8_t *octets = NULL;
    size_t size = 0;

    assert_int_equal(dot2hsm_ctx_new(&options, &ctx, s->error), DOT2HSM_E_ARGUMENT);
    options.size = sizeof(options);
    options.provider_options = unknown;
    assert_int_equal(dot2hsm_ctx_new(&options, &ctx, s->error), DOT2HSM_E_ARGUMENT);
    options.provider_options = NULL;
    options.provider_path = "/nowhere/dot2hsm.so";
    assert_int_equal(dot2hsm_ctx_new(&options, &ctx, s->error), DOT2HSM_E_PROVIDER);
    assert_null(ctx);
    assert_int_equal(dot2hsm_key_open(s->ctx, "file:/nowhere", &key, s->error), DOT2HSM_E_CRYPTO);
    assert_int_equal(dot2hsm_key_open(s->ctx, NULL, &key, s->error), DOT2HSM_E_ARGUMENT);
    assert_int_equal(dot2hsm_cert_load(s->ctx, "/nowhere", &cert, s->error), DOT2HSM_E_FILE);
    assert_int_equal(dot2hsm_cert_new(s->ctx, text, sizeof(text), &cert, s->error),
                     DOT2HSM_E_DECODE);
    assert_int_equal(
        dot2hsm_spdu_sign(s->other, s->cert, &how, text, sizeof(text), &octets, &size, s->error),
        DOT2HSM_E_KEY_MISMATCH);
    assert_null(octets);
    /* Another PSID than the signer's: it signs, and no receiver takes it. */
    OK(dot2hsm_spdu_sign(s->key, s->cert, &how, text, sizeof(text), &octets, &size, s->error));
    assert_int_equal(dot2hsm_spdu_verify(s->trust, octets, size, DOT2HSM_NOW, &spdu, s->error),
                     DOT2HSM_E_PERMISSION);
    dot2hsm_free(octets);
    /* A later version's structure counts if what is not known here is zero. */
    OK(dot2hsm_spdu_sign(s->key, s->cert, &longer.sign, text, sizeof(text), &octets, &size, NULL));
    OK(dot2hsm_trust_new(s->ctx, &empty, s->error));
    assert_int_not_equal(dot2hsm_spdu_verify(empty, octets, size, DOT2HSM_NOW, &spdu, s->error),
                         DOT2HSM_OK);
    dot2hsm_trust_free(empty);
    dot2hsm_free(octets);
    longer.later = 1;
    assert_int_equal(
        dot2hsm_spdu_sign(s->key, s->cert, &longer.sign, text, sizeof(text), &octets, &size, NULL),
        DOT2HSM_E_ARGUMENT);
    assert_int_equal(dot2hsm_spdu_encrypt(s->cert, text, sizeof(text), &octets, &size, s->error),
                     DOT2HSM_E_TYPE);
}

/* Encrypted to a certificate, decrypted with its key. */
static void encrypts_and_decrypts(void **state)
{
    const struct scene *s = *state;
    EVP_PKEY *verify = fixture_key(&s->fixture, DOT2_CURVE_P256);
    ToBeSignedCertificate_t *body =
        fixture_body(&s->fixture, "recipient", dot2hsm_time32_now() - 1000, 10);
    dot2hsm_cert *cert = NULL;
    dot2_cert *made;
    uint8_t *octets = NULL, *plaintext = NULL;
    const uint8_t *cert_octets;
    size_t size = 0, plaintext_size = 0;

    fixture_app(&s->fixture, body, 0x20, NULL, NULL);
    fixture_encryption(&s->fixture, body, dot2hsm_key_evp(s->key));
    made = fixture_explicit(&s->fixture, body, verify, NULL, verify);
    EVP_PKEY_free(verify);
    cert_octets = dot2_cert_octets(made, &size);
    OK(dot2hsm_cert_new(s->ctx, cert_octets, size, &cert, s->error));
    dot2_cert_free(made);

    OK(dot2hsm_spdu_encrypt(cert, text, sizeof(text), &octets, &size, s->error));
    OK(dot2hsm_spdu_decrypt(s->key, cert, octets, size, &plaintext, &plaintext_size, s->error));
    assert_int_equal(plaintext_size, sizeof(text));
    assert_memory_equal(plaintext, text, sizeof(text));
    dot2hsm_clear_free(plaintext, plaintext_size);
    assert_int_equal(
        dot2hsm_spdu_decrypt(s->other, cert, octets, size, &plaintext, &plaintext_size, s->error),
        DOT2HSM_E_KEY_MISMATCH);
    assert_int_equal(
        dot2hsm_spdu_decrypt(s->key, s->cert, octets, size, &plaintext, &plaintext_size, s->error),
        DOT2HSM_E_NOT_RECIPIENT);
    octets[size - 1] ^= 1;
    assert_int_equal(
        dot2hsm_spdu_decrypt(s->key, cert, octets, size, &plaintext, &plaintext_size, s->error),
        DOT2HSM_E_DECRYPT);
    assert_null(plaintext);
    dot2hsm_free(octets);
    dot2hsm_cert_free(cert);
}

/* A caller's OSSL_LIB_CTX: the provider has to be there, and what the caller has stays its own. */
static void takes_a_context_of_the_callers(void **state)
{
    const struct scene *s = *state;
    static const char *const none[] = {NULL};
    OSSL_LIB_CTX *bare = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *defaults = OSSL_PROVIDER_load(bare, "default");
    struct dot2hsm_options options = {.size = sizeof(options), .libctx = bare};
    dot2hsm_ctx *ctx = NULL;

    assert_non_null(defaults);
    assert_int_equal(dot2hsm_ctx_new(&options, &ctx, s->error), DOT2HSM_E_PROVIDER);
    assert_null(ctx);
    options.libctx = s->fixture.libctx;
    options.provider_options = none;
    assert_int_equal(dot2hsm_ctx_new(&options, &ctx, s->error), DOT2HSM_E_ARGUMENT);
    options.provider_options = NULL;
    OK(dot2hsm_ctx_new(&options, &ctx, s->error));
    assert_ptr_equal(dot2hsm_ctx_libctx(ctx), s->fixture.libctx);
    assert_ptr_equal(dot2hsm_ctx_up_ref(ctx), ctx);
    dot2hsm_ctx_free(ctx);
    assert_ptr_equal(dot2hsm_ctx_libctx(ctx), s->fixture.libctx);
    dot2hsm_ctx_free(ctx);
    assert_true(OSSL_PROVIDER_available(s->fixture.libctx, "dot2hsm"));
    OSSL_PROVIDER_unload(defaults);
    OSSL_LIB_CTX_free(bare);
}

/* Nothing that is asked of NULL, and nothing that is freed, ends the program. */
static void takes_null(void **state)
{
    const struct scene *s = *state;
    size_t size = 1;

    assert_null(dot2hsm_cert_octets(NULL, &size));
    assert_int_equal(size, 0);
    size = 1;
    assert_null(dot2hsm_cert_hash(NULL, &size));
    assert_int_equal(size, 0);
    assert_null(dot2hsm_cert_hashedid8(NULL));
    assert_string_equal(dot2hsm_cert_name(NULL), "");
    assert_int_equal(dot2hsm_cert_is_implicit(NULL), 0);
    assert_int_equal(dot2hsm_cert_start(NULL), 0);
    assert_int_equal(dot2hsm_cert_end(NULL), 0);
    size = 1;
    assert_null(dot2hsm_spdu_payload(NULL, &size));
    assert_int_equal(size, 0);
    assert_int_equal(dot2hsm_spdu_psid(NULL), 0);
    assert_int_equal(dot2hsm_spdu_generation_time(NULL), 0);
    assert_null(dot2hsm_spdu_signer(NULL));
    assert_null(dot2hsm_key_evp(NULL));
    assert_null(dot2hsm_ctx_libctx(NULL));
    assert_null(dot2hsm_ctx_up_ref(NULL));
    assert_int_equal(dot2hsm_error_status(NULL), DOT2HSM_OK);
    assert_int_equal(dot2hsm_error_scms_code(NULL), 0);
    assert_string_equal(dot2hsm_error_text(NULL), "");
    dot2hsm_ctx_free(NULL);
    dot2hsm_key_free(NULL);
    dot2hsm_cert_free(NULL);
    dot2hsm_trust_free(NULL);
    dot2hsm_spdu_free(NULL);
    dot2hsm_error_free(NULL);
    assert_int_equal(dot2hsm_trust_add_crl(s->trust, NULL, 0, DOT2HSM_NOW, s->error),
                     DOT2HSM_E_ARGUMENT);
    assert_int_equal(dot2hsm_trust_add_crl(s->trust, text, sizeof(text), DOT2HSM_NOW, s->error),
                     DOT2HSM_E_DECODE);
    /* Every status has a name and a sentence, and no other has. */
    for (int i = DOT2HSM_OK; i <= DOT2HSM_E_SERVER; i++) {
        assert_string_not_equal(dot2hsm_status_name((dot2hsm_status)i), "DOT2HSM_E_UNKNOWN");
        assert_string_not_equal(dot2hsm_status_text((dot2hsm_status)i), "an unknown status");
    }
    assert_string_equal(dot2hsm_status_name((dot2hsm_status)999), "DOT2HSM_E_UNKNOWN");
    assert_string_equal(dot2hsm_status_text((dot2hsm_status)999), "an unknown status");
}

static void *worker(void *arg)
{
    dot2hsm_error *error = dot2hsm_error_new();

    for (int i = 0; i < 20; i++)
        round_trip(arg, error);
    dot2hsm_error_free(error);
    return NULL;
}

static void serves_threads(void **state)
{
    pthread_t threads[8];

    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, *state), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signs_and_verifies, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(encrypts_and_decrypts, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_a_context_of_the_callers, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_null, setup, teardown),
        cmocka_unit_test_setup_teardown(serves_threads, setup, teardown),
    };

    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
