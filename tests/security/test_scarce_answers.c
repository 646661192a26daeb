/*
 * test_scarce_answers.c: as test_scarce.c, for what a device gets: answers with certificates and
 * the keys that it makes of them, and butterfly keys.
 */
#include "tests/dot2/fixture.h"
#include "tests/security/scarce_try.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/scms/scms.h"

static struct fixture f;
static struct pki pki;
static EVP_PKEY *pca_key, *verify_key, *response_key;
static dot2_cert *pca;
static const struct dot2_expansion expansion = {"expansion of 16", 7, 3};

struct octets {
    uint8_t *data;
    size_t size;
};

/* What a trial is about; some need one of them only. */
struct about {
    struct octets octets;
    enum scms_response_kind kind;
};

static enum dot2_status made(enum dot2_status status, EVP_PKEY **key)
{
    assert_int_equal(status == DOT2_OK, *key != NULL);
    EVP_PKEY_free(*key);
    return status;
}

/* Nothing in it is verified yet. */
static enum dot2_status trust_new(dot2_trust **trust)
{
    enum dot2_status status = dot2_trust_new(f.crypto, NULL, trust);

    if (status == DOT2_OK)
        status = dot2_trust_add_anchor(*trust, pki.root);
    if (status == DOT2_OK)
        status = dot2_trust_add(*trust, pki.ica);
    if (status == DOT2_OK)
        status = dot2_trust_add(*trust, pca);
    return status;
}

/* ---- butterfly keys ---- */

static enum dot2_status expanded_to_sign(const void *arg, struct dot2_error *error)
{
    EVP_PKEY *key = NULL;

    (void)arg;
    return made(dot2_butterfly_public(f.crypto, verify_key, expansion.key, DOT2_BUTTERFLY_SIGN,
                                      expansion.i, expansion.j, &key, error),
                &key);
}

static enum dot2_status expanded_to_encrypt(const void *arg, struct dot2_error *error)
{
    EVP_PKEY *key = NULL;

    (void)arg;
    return made(dot2_butterfly_public(f.crypto, response_key, expansion.key, DOT2_BUTTERFLY_ENCRYPT,
                                      expansion.i, expansion.j, &key, error),
                &key);
}

static enum dot2_status expanded_private(const void *arg, struct dot2_error *error)
{
    EVP_PKEY *key = NULL;

    (void)arg;
    return made(dot2_butterfly_private(f.crypto, verify_key, expansion.key, DOT2_BUTTERFLY_SIGN,
                                       expansion.i, expansion.j, &key, error),
                &key);
}

static enum dot2_status decrypted(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
    struct dot2_encrypted encrypted;
    uint8_t *plain = NULL;
    size_t size = 0;
    enum dot2_status status =
        dot2_encrypted_parse(about->octets.data, about->octets.size, &encrypted, error);

    if (status != DOT2_OK)
        return status;
    status = dot2_encrypted_decrypt_expanded(f.crypto, &encrypted, response_key, &expansion, NULL,
                                             &plain, &size, error);
    assert_int_equal(status == DOT2_OK, plain != NULL);
    if (status == DOT2_OK)
        assert_string_equal((const char *)plain, "icy road");
    OPENSSL_clear_free(plain, size);
    dot2_encrypted_clear(&encrypted);
    return status;
}

static void butterfly_keys(void **state)
{
    struct about about = {.octets = {NULL, 0}};
    EVP_PKEY *key = NULL;

    (void)state;
    assert_int_equal(dot2_butterfly_public(f.crypto, response_key, expansion.key,
                                           DOT2_BUTTERFLY_ENCRYPT, expansion.i, expansion.j, &key,
                                           NULL),
                     DOT2_OK);
    assert_int_equal(dot2_encrypt_to_key(f.crypto, key, (const uint8_t *)"icy road", 9,
                                         &about.octets.data, &about.octets.size, NULL),
                     DOT2_OK);
    scarce_tell("expansion to sign", expanded_to_sign, &about);
    scarce_tell("expansion to encrypt", expanded_to_encrypt, &about);
    scarce_tell("expansion of a private key", expanded_private, &about);
    scarce_tell("decryption with a seed key", decrypted, &about);
    OPENSSL_free(about.octets.data);
    EVP_PKEY_free(key);
}

/* ---- answers with a certificate, as the device installs them ---- */

static ToBeSignedCertificate_t *application_body(void)
{
    ToBeSignedCertificate_t *body = fixture_body(&f, "rse.app", FIXTURE_START, 1000);

    fixture_app(&f, body, 0x87, NULL, NULL);
    fixture_region(&f, body, "83 0101 80 0348");
    return body;
}

static bool is_implicit(enum scms_response_kind kind)
{
    return kind == SCMS_RESPONSE_IMPLICIT || kind == SCMS_RESPONSE_IMPLICIT_BUTTERFLY;
}

static bool is_butterfly(enum scms_response_kind kind)
{
    return kind == SCMS_RESPONSE_IMPLICIT_BUTTERFLY || kind == SCMS_RESPONSE_EXPLICIT_BUTTERFLY;
}

static void answer(enum scms_response_kind kind, struct octets *octets)
{
    struct scms_cert_response response = {.kind = kind};
    EVP_PKEY *subject = verify_key, *sealing = response_key, *sum = NULL;

    if (is_butterfly(kind)) {
        assert_int_equal(dot2_butterfly_private(f.crypto, verify_key, expansion.key,
                                                DOT2_BUTTERFLY_SIGN, expansion.i, expansion.j,
                                                &subject, NULL),
                         DOT2_OK);
        assert_int_equal(dot2_butterfly_public(f.crypto, response_key, expansion.key,
                                               DOT2_BUTTERFLY_ENCRYPT, expansion.i, expansion.j,
                                               &sealing, NULL),
                         DOT2_OK);
    }
    if (is_implicit(kind)) {
        assert_int_equal(dot2_cert_issue(f.crypto, f.arena, application_body(), subject, pca,
                                         pca_key, true, &response.cert, response.reconstruction,
                                         NULL),
                         DOT2_OK);
    } else if (is_butterfly(kind)) {
        memset(response.reconstruction, 0x5a, sizeof(response.reconstruction));
        assert_int_equal(dot2_butterfly_add(f.crypto, subject, response.reconstruction, &sum, NULL),
                         DOT2_OK);
        response.cert = fixture_explicit(&f, application_body(), sum, pca, pca_key);
    } else {
        response.cert = fixture_explicit(&f, application_body(), subject, pca, pca_key);
    }
    assert_int_equal(scms_cert_response_build(f.crypto, pca_key, pca, sealing, &response,
                                              &octets->data, &octets->size, NULL),
                     DOT2_OK);
    dot2_cert_free(response.cert);
    EVP_PKEY_free(sum);
    if (is_butterfly(kind)) {
        EVP_PKEY_free(subject);
        EVP_PKEY_free(sealing);
    }
}

/* The private key, which must be that of the certificate. */
static enum dot2_status key_of(const struct scms_cert_response *response, dot2_trust *trust,
                               struct dot2_error *error)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = FIXTURE_NOW};
    struct dot2_chain chain = {.key = NULL};
    EVP_PKEY *key = NULL;
    enum dot2_status status = dot2_chain_verify(trust, response->cert, &check, &chain, error);

    if (status == DOT2_OK && is_butterfly(response->kind))
        status =
            scms_butterfly_private(f.crypto, response, pca, verify_key, &expansion, &key, error);
    else if (status == DOT2_OK && is_implicit(response->kind))
        status = dot2_ecqv_private_key(f.crypto, response->cert, pca, verify_key,
                                       response->reconstruction, &key, error);
    else if (status == DOT2_OK && EVP_PKEY_up_ref(verify_key) == 1)
        key = verify_key;
    assert_int_equal(status == DOT2_OK, key != NULL);
    if (status == DOT2_OK)
        assert_int_equal(EVP_PKEY_eq(key, chain.key), 1);
    EVP_PKEY_free(key);
    dot2_chain_clear(&chain);
    return status;
}

static enum dot2_status installed(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
    const struct octets *octets = &about->octets;
    struct scms_cert_response response = {.cert = NULL};
    dot2_trust *trust = NULL;
    enum dot2_status status = trust_new(&trust);

    if (status == DOT2_OK) {
        status = is_butterfly(about->kind)
                     ? scms_butterfly_response_open(f.crypto, trust, FIXTURE_NOW, response_key,
                                                    &expansion, octets->data, octets->size,
                                                    &response, error)
                     : scms_cert_response_open(f.crypto, trust, FIXTURE_NOW, response_key,
                                               octets->data, octets->size, &response, error);
        assert_int_equal(status == DOT2_OK, response.cert != NULL);
    }
    if (status == DOT2_OK)
        status = key_of(&response, trust, error);
    scms_cert_response_clear(&response);
    dot2_trust_free(trust);
    return status;
}

static void answers(void **state)
{
    static const char *const names[] = {[SCMS_RESPONSE_IMPLICIT_BUTTERFLY] = "implicit, butterfly",
                                        [SCMS_RESPONSE_IMPLICIT] = "implicit",
                                        [SCMS_RESPONSE_EXPLICIT_BUTTERFLY] = "explicit, butterfly",
                                        [SCMS_RESPONSE_EXPLICIT] = "explicit"};

    (void)state;
    for (int kind = SCMS_RESPONSE_IMPLICIT_BUTTERFLY; kind <= SCMS_RESPONSE_EXPLICIT; kind++) {
        struct about about = {.kind = (enum scms_response_kind)kind};

        answer(about.kind, &about.octets);
        scarce_tell(names[kind], installed, &about);
        OPENSSL_free(about.octets.data);
    }
}

static enum dot2_status enrolled(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
    struct scms_enrollment_response response = {.enrollment = NULL};
    dot2_trust *trust = NULL;
    EVP_PKEY *key = NULL;
    enum dot2_status status = trust_new(&trust);

    if (status == DOT2_OK)
        status = scms_enrollment_response_open(f.crypto, trust, FIXTURE_NOW, about->octets.data,
                                               about->octets.size, false, &response, error);
    if (status == DOT2_OK)
        status = made(dot2_ecqv_private_key(f.crypto, response.enrollment, response.eca, verify_key,
                                            response.s, &key, error),
                      &key);
    scms_enrollment_response_clear(&response);
    dot2_trust_free(trust);
    return status;
}

static void enrollment(void **state)
{
    struct scms_enrollment_response response = {.request_hash = "1234567", .eca = pca};
    struct about about = {.octets = {NULL, 0}};

    (void)state;
    assert_int_equal(dot2_cert_issue(f.crypto, f.arena, pki_rse_body(&f, ""), verify_key, pca,
                                     pca_key, true, &response.enrollment, response.s, NULL),
                     DOT2_OK);
    assert_int_equal(scms_enrollment_response_build(f.crypto, pca_key, &response,
                                                    &about.octets.data, &about.octets.size, NULL),
                     DOT2_OK);
    scarce_tell("enrollment", enrolled, &about);
    OPENSSL_free(about.octets.data);
    dot2_cert_free(response.enrollment);
}

static int set_up(void **state)
{
    ToBeSignedCertificate_t *body;

    (void)state;
    fixture_open(&f);
    pki_open(&f, DOT2_CURVE_P256, &pki);
    pca_key = fixture_key(&f, DOT2_CURVE_P256);
    verify_key = fixture_key(&f, DOT2_CURVE_P256);
    response_key = fixture_key(&f, DOT2_CURVE_P256);
    /* Under the ICA, with PSID 0x23, so that it may sign SCMS messages: ECA and PCA in one. */
    body = fixture_body(&f, "pca.example", FIXTURE_START, 20000);
    fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
    fixture_region(&f, body, "83 0101 80 0348");
    fixture_issue(&f, body, -1, NULL, 1, 0, APP | ENROL);
    pca = fixture_explicit(&f, body, pca_key, pki.ica, pki.ica_key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(pca_key);
    EVP_PKEY_free(verify_key);
    EVP_PKEY_free(response_key);
    dot2_cert_free(pca);
    pki_close(&pki);
    fixture_close(&f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(butterfly_keys),
        cmocka_unit_test(answers),
        cmocka_unit_test(enrollment),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
