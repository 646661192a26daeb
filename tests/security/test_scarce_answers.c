/*
 * test_scarce_answers.c: as test_scarce.c, for what a device gets: answers with certificates and
 * the keys that it makes of them, butterfly keys, and the files of CRLs, policies and chains; and
 * the COER codec alone, over the seeds of the fuzz targets.
 */
#include "tests/dot2/fixture.h"
#include "tests/security/scarce.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "protocol/scms/scms.h"

#define MOST 20000   /* more allocations than anything here makes */
#define LARGE 131072 /* octets; larger than any seed */

static struct fixture f;
static struct pki pki;
static EVP_PKEY *pca_key, *verify_key, *response_key, *craca_key;
static dot2_cert *pca, *craca;
static const struct dot2_expansion expansion = {"expansion of 16", 7, 3};

struct octets {
    uint8_t *data;
    size_t size;
};

/* What a trial is about; some need one of them only. */
struct about {
    struct octets octets;
    enum scms_response_kind kind;
    enum dot2_ballots ballots;
    const asn_TYPE_descriptor_t *type;
    const void *value;
};
typedef enum dot2_status trial(const struct about *about, struct dot2_error *error);

/* ---- one failing allocation after the other ---- */

static bool is_scarcity(enum dot2_status status)
{
    return status == DOT2_E_MEMORY || status == DOT2_E_CRYPTO || status == DOT2_E_PROVIDER;
}

/* Returns how many allocations there were. */
static unsigned one_after_the_other(const char *name, trial *try, const struct about *about)
{
    unsigned n, errors = 0;

    for (n = 1; n < MOST; n++) {
        struct dot2_error error = {0};
        enum dot2_status status;
        bool failed;

        scarce_set(n);
        status = try(about, &error);
        failed = scarce_end();
        if (status != DOT2_OK && (!failed || !is_scarcity(status)))
            fail_msg("%s, allocation %u: %s, %s: %s", name, n, dot2_status_name(status),
                     error.field, error.detail);
        errors += status != DOT2_OK;
        ERR_clear_error();
        if (!failed)
            break;
        assert_int_equal(try(about, &error), DOT2_OK);
    }
    assert_true(n > 1 && n < MOST);
    assert_true(errors > 0);
    return n - 1;
}

static void tell(const char *name, trial *try, const struct about *about)
{
    print_message("%s: %u allocations\n", name, one_after_the_other(name, try, about));
}

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

static enum dot2_status expanded_to_sign(const struct about *about, struct dot2_error *error)
{
    EVP_PKEY *key = NULL;

    (void)about;
    return made(dot2_butterfly_public(f.crypto, verify_key, expansion.key, DOT2_BUTTERFLY_SIGN,
                                      expansion.i, expansion.j, &key, error),
                &key);
}

static enum dot2_status expanded_to_encrypt(const struct about *about, struct dot2_error *error)
{
    EVP_PKEY *key = NULL;

    (void)about;
    return made(dot2_butterfly_public(f.crypto, response_key, expansion.key, DOT2_BUTTERFLY_ENCRYPT,
                                      expansion.i, expansion.j, &key, error),
                &key);
}

static enum dot2_status expanded_private(const struct about *about, struct dot2_error *error)
{
    EVP_PKEY *key = NULL;

    (void)about;
    return made(dot2_butterfly_private(f.crypto, verify_key, expansion.key, DOT2_BUTTERFLY_SIGN,
                                       expansion.i, expansion.j, &key, error),
                &key);
}

static enum dot2_status decrypted(const struct about *about, struct dot2_error *error)
{
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
    tell("expansion to sign", expanded_to_sign, &about);
    tell("expansion to encrypt", expanded_to_encrypt, &about);
    tell("expansion of a private key", expanded_private, &about);
    tell("decryption with a seed key", decrypted, &about);
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

static enum dot2_status installed(const struct about *about, struct dot2_error *error)
{
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
        tell(names[kind], installed, &about);
        OPENSSL_free(about.octets.data);
    }
}

static enum dot2_status enrolled(const struct about *about, struct dot2_error *error)
{
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
    tell("enrollment", enrolled, &about);
    OPENSSL_free(about.octets.data);
    dot2_cert_free(response.enrollment);
}

/* ---- files ---- */

/* Calls act for each file of a directory of seeds; returns how many there are. */
static unsigned for_each_seed(const char *base, const char *directory,
                              void (*act)(const char *name, struct octets octets, const void *arg),
                              const void *arg)
{
    struct dirent **entries = NULL;
    char path[4096], name[512];
    unsigned count = 0;
    int found;

    snprintf(path, sizeof(path), "%s/tests/fuzz/seeds/%s", getenv(base), directory);
    found = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        struct octets octets = {malloc(LARGE), 0};
        FILE *file;

        assert_non_null(octets.data);
        if (entries[i]->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/tests/fuzz/seeds/%s/%s", getenv(base), directory,
                     entries[i]->d_name);
            snprintf(name, sizeof(name), "%s/%s", directory, entries[i]->d_name);
            file = fopen(path, "rbe");
            assert_non_null(file);
            octets.size = fread(octets.data, 1, LARGE, file);
            fclose(file);
            act(name, octets, arg);
            count++;
        }
        free(octets.data);
        free(entries[i]);
    }
    free(entries);
    return count;
}

static enum dot2_status composite_parsed(const struct about *about, struct dot2_error *error)
{
    struct dot2_composite_crl composite;
    enum dot2_status status = dot2_composite_crl_parse(about->octets.data, about->octets.size,
                                                       about->ballots, &composite, error);

    if (status == DOT2_OK)
        dot2_composite_crl_clear(&composite);
    return status;
}

static enum dot2_status chain_parsed(const struct about *about, struct dot2_error *error)
{
    struct scms_chain_file file;
    enum dot2_status status =
        scms_chain_file_parse(about->octets.data, about->octets.size, about->ballots, &file, error);

    if (status == DOT2_OK)
        scms_chain_file_clear(&file);
    return status;
}

static enum dot2_status policy_read(const struct about *about, struct dot2_error *error)
{
    struct scms_policy policy;

    return scms_policy_read(about->octets.data, about->octets.size, (uint64_t)FIXTURE_NOW * 1000000,
                            &policy, error);
}

static enum dot2_status policy_verified(const struct about *about, struct dot2_error *error)
{
    dot2_trust *trust = NULL;
    enum dot2_status status = trust_new(&trust);

    if (status == DOT2_OK)
        status = dot2_trust_add(trust, craca);
    if (status == DOT2_OK)
        status = scms_policy_verify(f.crypto, trust, craca, FIXTURE_NOW, about->octets.data,
                                    about->octets.size, error);
    dot2_trust_free(trust);
    return status;
}

static enum dot2_status crl_added(const struct about *about, struct dot2_error *error)
{
    struct dot2_crl_info info, told;
    dot2_trust *trust = NULL;
    enum dot2_status status = trust_new(&trust);

    if (status == DOT2_OK)
        status = dot2_trust_add_crl(trust, about->octets.data, about->octets.size, FIXTURE_NOW,
                                    &info, error);
    /* In force, or not there: never a part of it. */
    if (trust != NULL)
        assert_int_equal(dot2_trust_crls(trust, &told, 1), status == DOT2_OK);
    if (status == DOT2_OK)
        assert_int_equal(told.entries, info.entries);
    dot2_trust_free(trust);
    return status;
}

static enum dot2_status crl_peeked(const struct about *about, struct dot2_error *error)
{
    struct dot2_crl_info info;

    return dot2_crl_peek(about->octets.data, about->octets.size, &info, error);
}

/* Of both forms of ballots, if it can be read so: with the older allowed every file is. */
static void try_file(const char *name, struct octets octets, const void *arg)
{
    trial *const *try = arg;
    struct about about = {.octets = octets, .ballots = DOT2_BALLOTS_122};
    struct dot2_error error;

    if ((*try)(&about, &error) == DOT2_OK)
        one_after_the_other(name, *try, &about);
    about.ballots = DOT2_BALLOTS_121;
    tell(name, *try, &about);
}

/* Signed by the CRACA, whose key is another in each run: a seed has "CRACA ID" in its place. */
static void try_signed(const char *name, struct octets octets, const void *arg)
{
    const bool is_crl = strncmp(name, "signed_crl", 10) == 0;
    const struct dot2_header header = {.psid = is_crl ? 0x100 : SCMS_PSID};
    struct about about = {.octets = {NULL, 0}};

    (void)arg;
    if (is_crl)
        memcpy(octets.data + 3, dot2_cert_hashedid8(craca), 8);
    assert_int_equal(dot2_signed_data_build(f.crypto, craca_key, craca, DOT2_SIGNER_CERTIFICATE,
                                            &header, octets.data, octets.size, &about.octets.data,
                                            &about.octets.size, NULL),
                     DOT2_OK);
    if (is_crl) {
        tell(name, crl_added, &about);
        one_after_the_other(name, crl_peeked, &about);
    } else {
        tell(name, policy_verified, &about);
        one_after_the_other(name, policy_read, &about);
    }
    OPENSSL_free(about.octets.data);
}

static void files(void **state)
{
    static trial *const composite = composite_parsed, *const chain = chain_parsed,
                        *const policy = policy_read;

    (void)state;
    assert_true(for_each_seed("SOURCE_DIR", "composite_crl", try_file, &composite) > 0);
    assert_true(for_each_seed("SOURCE_DIR", "chain_file", try_file, &chain) > 0);
    assert_true(for_each_seed("SOURCE_DIR", "policy", try_file, &policy) > 0);
    assert_true(for_each_seed("SOURCE_DIR", "signed_policy", try_signed, NULL) > 0);
    assert_true(for_each_seed("SOURCE_DIR", "signed_crl", try_signed, NULL) > 0);
}

/* ---- the codec ---- */

/* Of a decoding: nothing, or the value. An arena grows by what was asked of it: all ends with it.
 */
static enum dot2_status decoded(const struct about *about, struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    struct coer_error cause = {.status = COER_OK};
    enum coer_status status;
    void *value = NULL;

    if (arena == NULL)
        return DOT2_E_MEMORY;
    status =
        coer_decode(arena, about->type, about->octets.data, about->octets.size, &value, &cause);
    assert_int_equal(status == COER_OK, value != NULL);
    if (status != COER_OK)
        snprintf(error->detail, sizeof(error->detail), "%.150s", coer_status_text(status));
    coer_arena_free(arena);
    return status == COER_OK ? DOT2_OK : status == COER_E_MEMORY ? DOT2_E_MEMORY : DOT2_E_DECODE;
}

static enum dot2_status encoded(const struct about *about, struct dot2_error *error)
{
    uint8_t *octets = NULL;
    size_t size = 0;
    enum coer_status status = coer_encode_alloc(about->type, about->value, &octets, &size, NULL);

    assert_int_equal(status == COER_OK, octets != NULL);
    if (status == COER_OK) {
        assert_int_equal(size, about->octets.size);
        assert_memory_equal(octets, about->octets.data, size);
    } else {
        snprintf(error->detail, sizeof(error->detail), "%.150s", coer_status_text(status));
    }
    free(octets);
    return status == COER_OK ? DOT2_OK : status == COER_E_MEMORY ? DOT2_E_MEMORY : DOT2_E_DECODE;
}

static void try_codec(const char *name, struct octets octets, const void *arg)
{
    struct about about = {.octets = octets, .type = arg};
    coer_arena *arena = coer_arena_new();
    void *value = NULL;

    assert_non_null(arena);
    one_after_the_other(name, decoded, &about);
    assert_int_equal(coer_decode(arena, about.type, octets.data, octets.size, &value, NULL),
                     COER_OK);
    about.value = value;
    one_after_the_other(name, encoded, &about);
    coer_arena_free(arena);
}

static void codec(void **state)
{
    static const char *const types[] = {SCARCE_TYPES};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const asn_TYPE_descriptor_t *type = coer_type(types[i]);

        assert_non_null(type);
        assert_true(for_each_seed("BUILD_DIR", types[i], try_codec, type) > 10);
    }
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
    craca_key = fixture_key(&f, DOT2_CURVE_P256);
    /* Under the ICA, with PSID 0x23, so that it may sign SCMS messages: ECA and PCA in one. */
    body = fixture_body(&f, "pca.example", FIXTURE_START, 20000);
    fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
    fixture_region(&f, body, "83 0101 80 0348");
    fixture_issue(&f, body, -1, NULL, 1, 0, APP | ENROL);
    pca = fixture_explicit(&f, body, pca_key, pki.ica, pki.ica_key);
    body = fixture_body(&f, "craca", FIXTURE_START, 20000);
    fixture_app(&f, body, 0x100, "00 01 00 0101 0004", NULL); /* a CRACA, of series 4 */
    fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
    craca = fixture_explicit(&f, body, craca_key, pki.root, pki.root_key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(pca_key);
    EVP_PKEY_free(verify_key);
    EVP_PKEY_free(response_key);
    EVP_PKEY_free(craca_key);
    dot2_cert_free(pca);
    dot2_cert_free(craca);
    pki_close(&pki);
    fixture_close(&f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(butterfly_keys), cmocka_unit_test(answers), cmocka_unit_test(enrollment),
        cmocka_unit_test(files),          cmocka_unit_test(codec),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
