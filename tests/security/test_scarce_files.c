/*
 * test_scarce_files.c: as test_scarce.c, for what a device gets as files, which are CRLs, policies
 * and chains; and for the COER codec alone. Both over the seeds of the fuzz targets.
 */
#include "tests/dot2/fixture.h"
#include "tests/security/scarce_try.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/scms/scms.h"

#define LARGE 131072 /* octets; larger than any seed */

static struct fixture f;
static struct pki pki;
static EVP_PKEY *craca_key;
static dot2_cert *craca;

struct octets {
    uint8_t *data;
    size_t size;
};

/* What a trial is about; some need one of them only. */
struct about {
    struct octets octets;
    enum dot2_ballots ballots;
    const asn_TYPE_descriptor_t *type;
    const void *value;
};

/* Nothing in it is verified yet. */
static enum dot2_status trust_new(dot2_trust **trust)
{
    enum dot2_status status = dot2_trust_new(f.crypto, NULL, trust);

    if (status == DOT2_OK)
        status = dot2_trust_add_anchor(*trust, pki.root);
    if (status == DOT2_OK)
        status = dot2_trust_add(*trust, craca);
    return status;
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

static enum dot2_status composite_parsed(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
    struct dot2_composite_crl composite;
    enum dot2_status status = dot2_composite_crl_parse(about->octets.data, about->octets.size,
                                                       about->ballots, &composite, error);

    if (status == DOT2_OK)
        dot2_composite_crl_clear(&composite);
    return status;
}

static enum dot2_status chain_parsed(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
    struct scms_chain_file file;
    enum dot2_status status =
        scms_chain_file_parse(about->octets.data, about->octets.size, about->ballots, &file, error);

    if (status == DOT2_OK)
        scms_chain_file_clear(&file);
    return status;
}

static enum dot2_status policy_read(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
    struct scms_policy policy;

    return scms_policy_read(about->octets.data, about->octets.size, (uint64_t)FIXTURE_NOW * 1000000,
                            &policy, error);
}

static enum dot2_status policy_verified(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
    dot2_trust *trust = NULL;
    enum dot2_status status = trust_new(&trust);

    if (status == DOT2_OK)
        status = scms_policy_verify(f.crypto, trust, craca, FIXTURE_NOW, about->octets.data,
                                    about->octets.size, error);
    dot2_trust_free(trust);
    return status;
}

static enum dot2_status crl_added(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
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

static enum dot2_status crl_peeked(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
    struct dot2_crl_info info;

    return dot2_crl_peek(about->octets.data, about->octets.size, &info, error);
}

/* Of both forms of ballots, if it can be read so: with the older allowed every file is. */
static void try_file(const char *name, struct octets octets, const void *arg)
{
    scarce_trial *const *try = arg;
    struct about about = {.octets = octets, .ballots = DOT2_BALLOTS_122};
    struct dot2_error error;

    if ((*try)(&about, &error) == DOT2_OK)
        scarce_each(name, *try, &about);
    about.ballots = DOT2_BALLOTS_121;
    scarce_tell(name, *try, &about);
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
        scarce_tell(name, crl_added, &about);
        scarce_each(name, crl_peeked, &about);
    } else {
        scarce_tell(name, policy_verified, &about);
        scarce_each(name, policy_read, &about);
    }
    OPENSSL_free(about.octets.data);
}

static void files(void **state)
{
    static scarce_trial *const composite = composite_parsed, *const chain = chain_parsed,
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
static enum dot2_status decoded(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
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

static enum dot2_status encoded(const void *arg, struct dot2_error *error)
{
    const struct about *about = arg;
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
    scarce_each(name, decoded, &about);
    assert_int_equal(coer_decode(arena, about.type, octets.data, octets.size, &value, NULL),
                     COER_OK);
    about.value = value;
    scarce_each(name, encoded, &about);
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
    craca_key = fixture_key(&f, DOT2_CURVE_P256);
    body = fixture_body(&f, "craca", FIXTURE_START, 20000);
    fixture_app(&f, body, 0x100, "00 01 00 0101 0004", NULL); /* a CRACA, of series 4 */
    fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
    craca = fixture_explicit(&f, body, craca_key, pki.root, pki.root_key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(craca_key);
    dot2_cert_free(craca);
    pki_close(&pki);
    fixture_close(&f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files), cmocka_unit_test(codec)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
