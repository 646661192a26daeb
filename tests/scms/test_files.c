/* test_files.c: the local policy file and the local certificate chain file. */
#include "protocol/dot2/crl.h"
#include "tests/dot2/fixture.h"

#include <openssl/crypto.h>

#include "protocol/scms/scms.h"

#define SECOND UINT64_C(1000000) /* of Time64 */
#define NOW64 (FIXTURE_NOW * SECOND)

static struct fixture f;
static struct pki pki;
static EVP_PKEY *pg_key, *other_key;
static dot2_cert *pg, *other; /* both may sign SCMS messages; the policy generator is the first */

static dot2_cert *scms_signer(const char *name, EVP_PKEY *key)
{
    ToBeSignedCertificate_t *body = fixture_body(&f, name, FIXTURE_START, 20000);
    dot2_cert *cert;

    fixture_app(&f, body, SCMS_PSID, "8b0001", NULL);
    fixture_app(&f, body, 0x20, NULL, NULL);
    fixture_region(&f, body, "83 0101 80 0348");
    cert = fixture_explicit(&f, body, key, pki.root, pki.root_key);
    assert_int_equal(dot2_trust_add(pki.trust, cert), DOT2_OK);
    return cert;
}

static int set_up(void **state)
{
    (void)state;
    fixture_open(&f);
    pki_open(&f, DOT2_CURVE_P256, &pki);
    pg_key = fixture_key(&f, DOT2_CURVE_P256);
    other_key = fixture_key(&f, DOT2_CURVE_P256);
    pg = scms_signer("pg.example", pg_key);
    other = scms_signer("other.example", other_key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    EVP_PKEY_free(pg_key);
    EVP_PKEY_free(other_key);
    dot2_cert_free(pg);
    dot2_cert_free(other);
    pki_close(&pki);
    fixture_close(&f);
    return 0;
}

/* ---- the policy ---- */

static void *make(size_t size)
{
    void *made = coer_arena_alloc(f.arena, size);

    assert_non_null(made);
    return made;
}

static Duration_t lasting(Duration_PR unit, long value)
{
    Duration_t duration = {.present = unit};

    duration.choice.hours = value; /* every alternative is a Uint16 */
    return duration;
}

/* The interval of a temporal series that begins so many seconds from FIXTURE_NOW. */
static void age_from(TemporalSeriesOfMaxCertRequestAge_t *series, int64_t from, Duration_t value)
{
    MaxCertRequestAgeInterval_t *interval = make(sizeof(*interval));

    assert_true(coer_integer_set(f.arena, &interval->startTime,
                                 (uint64_t)((int64_t)FIXTURE_NOW + from) * SECOND));
    interval->maxCertRequestAge = value;
    assert_true(coer_list_add(f.arena, &series->intervals, interval));
}

/* Countersignatures are required by the type; this one is of nobody, over nothing. */
static void countersign(BasePolicyFile_t *base)
{
    const struct dot2_header header = {.psid = SCMS_PSID};
    uint8_t *octets = NULL, *copy;
    size_t size = 0;
    void *value = NULL;

    assert_int_equal(dot2_signed_data_build(f.crypto, pg_key, pg, DOT2_SIGNER_DIGEST, &header,
                                            (const uint8_t *)"x", 1, &octets, &size, NULL),
                     DOT2_OK);
    copy = make(size);
    memcpy(copy, octets, size);
    OPENSSL_free(octets);
    assert_int_equal(coer_decode(f.arena, &asn_DEF_Ieee1609Dot2Data, copy, size, &value, NULL),
                     COER_OK);
    assert_true(coer_list_add(f.arena, &base->signatures, value));
}

static void base(BasePolicyFile_t *file, Policy_PR kind, uint64_t generated)
{
    file->version = 1;
    coer_octets_view(&file->tbsData.policyID, "id", 2);
    assert_true(coer_integer_set(f.arena, &file->tbsData.generationTime, generated));
    assert_true(coer_integer_set(f.arena, &file->tbsData.activeTime, generated));
    file->tbsData.policy.present = kind;
    countersign(file);
}

static ScmsFile_t *policy_file(GlobalPolicyData_t **global)
{
    ScmsFile_t *file = make(sizeof(*file));
    LocalPolicyFile_t *local;

    file->version = 1;
    file->content.present = ScmsFileContent_PR_policy;
    file->content.choice.policy.present = PolicyFiles_PR_localPolicyFile;
    local = &file->content.choice.policy.choice.localPolicyFile;
    base(&local->globalParameters, Policy_PR_custom, NOW64 - 7);
    base(&local->localParamters, Policy_PR_local, NOW64 - 5);
    *global = &local->globalParameters.tbsData.policy.choice.custom.globalPolicy;
    return file;
}

static struct coer_span octets_of(const ScmsFile_t *file)
{
    uint8_t *octets = NULL, *copy;
    size_t size = 0;

    assert_int_equal(coer_encode_alloc(&asn_DEF_ScmsFile, file, &octets, &size, NULL), COER_OK);
    copy = make(size);
    memcpy(copy, octets, size);
    free(octets);
    return (struct coer_span){copy, size};
}

static struct coer_span whole(const struct coer_span *file, EVP_PKEY *key, const dot2_cert *signer,
                              uint64_t psid)
{
    const struct dot2_header header = {.psid = psid};
    uint8_t *octets = NULL, *copy;
    size_t size = 0;

    assert_int_equal(dot2_signed_data_build(f.crypto, key, signer, DOT2_SIGNER_DIGEST, &header,
                                            file->data, file->size, &octets, &size, NULL),
                     DOT2_OK);
    copy = make(size);
    memcpy(copy, octets, size);
    OPENSSL_free(octets);
    return (struct coer_span){copy, size};
}

static struct scms_policy read_at(const struct coer_span *file, uint64_t now)
{
    struct scms_policy policy;
    struct dot2_error error = {0};

    if (scms_policy_read(file->data, file->size, now, &policy, &error) != DOT2_OK)
        fail_msg("%s: %s", error.field, error.detail);
    return policy;
}

static void what_a_policy_says(void **state)
{
    GlobalPolicyData_t *global;
    ScmsFile_t *file = policy_file(&global);
    struct coer_span octets = octets_of(file);
    struct scms_policy policy = read_at(&octets, NOW64);
    Hostname_t *host = make(sizeof(*host));
    TemporalSeriesOfMaxCertRequestAge_t *age = make(sizeof(*age));
    TemporalSeriesOfMaxAvailableCertSupply_t *supply = make(sizeof(*supply));
    TemporalSeriesOfRseApplicationCertValidity_t *validity = make(sizeof(*validity));

    (void)state;
    /* An empty one: the version has a default, all else is 0. */
    assert_true(!policy.is_signed && !policy.has_host);
    assert_int_equal(policy.global_generation, NOW64 - 7);
    assert_int_equal(policy.local_generation, NOW64 - 5);
    assert_int_equal(policy.scms_version, 1);
    assert_int_equal(policy.rse_validity, 0);
    assert_int_equal(policy.rse_overlap, 0);
    assert_int_equal(policy.retrieval_interval, 0);
    assert_int_equal(policy.max_request_age, 0);
    assert_int_equal(policy.max_supply, 0);

    coer_octets_view(host, "ra.example", 10);
    file->content.choice.policy.choice.localPolicyFile.globalParameters.tbsData.policy.choice.custom
        .requestingRaHostname = host;
    validity->initialRseApplicationCertValidity = lasting(Duration_PR_hours, 169);
    supply->initialMaxAvailableCertSupply = lasting(Duration_PR_years, 3);
    age->initialMaxCertRequestAge = lasting(Duration_PR_minutes, 90);
    global->temporalSeriesOfRseApplicationCertValidity = validity;
    global->temporalSeriesOfMaxAvailableCertSupply = supply;
    global->temporalSeriesOfMaxCertRequestAge = age;
    octets = octets_of(file);
    policy = read_at(&octets, NOW64);
    assert_true(policy.has_host);
    assert_string_equal(policy.ra_host, "ra.example");
    assert_int_equal(policy.rse_validity, 169 * 3600);
    assert_int_equal(policy.max_supply, 3 * 31556952);
    assert_int_equal(policy.max_request_age, 5400);
}

/* The interval that began last, in whatever order they stand. */
static void a_temporal_series(void **state)
{
    GlobalPolicyData_t *global;
    ScmsFile_t *file = policy_file(&global);
    TemporalSeriesOfMaxCertRequestAge_t *age = make(sizeof(*age));
    struct coer_span octets;

    (void)state;
    age->initialMaxCertRequestAge = lasting(Duration_PR_hours, 1);
    age_from(age, 1000, lasting(Duration_PR_hours, 4));
    age_from(age, -2000, lasting(Duration_PR_hours, 2));
    age_from(age, 0, lasting(Duration_PR_hours, 3));
    global->temporalSeriesOfMaxCertRequestAge = age;
    octets = octets_of(file);
    assert_int_equal(read_at(&octets, NOW64 - 2000 * SECOND - 1).max_request_age, 3600);
    assert_int_equal(read_at(&octets, NOW64 - 2000 * SECOND).max_request_age, 2 * 3600);
    assert_int_equal(read_at(&octets, NOW64 - 1).max_request_age, 2 * 3600);
    assert_int_equal(read_at(&octets, NOW64).max_request_age, 3 * 3600);
    assert_int_equal(read_at(&octets, NOW64 + 1000 * SECOND).max_request_age, 4 * 3600);
}

static void durations(void **state)
{
    static const struct {
        Duration_PR unit;
        long value;
        uint32_t seconds;
    } cases[] = {
        {Duration_PR_microseconds, 65535, 0},        {Duration_PR_milliseconds, 999, 0},
        {Duration_PR_seconds, 65535, 65535},         {Duration_PR_minutes, 65535, 3932100},
        {Duration_PR_hours, 65535, 235926000},       {Duration_PR_sixtyHours, 19884, 4294944000},
        {Duration_PR_sixtyHours, 19885, UINT32_MAX}, {Duration_PR_sixtyHours, 65535, UINT32_MAX},
        {Duration_PR_years, 136, 4291745472},        {Duration_PR_years, 137, UINT32_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        GlobalPolicyData_t *global;
        ScmsFile_t *file = policy_file(&global);
        TemporalSeriesOfMaxCertRequestAge_t *age = make(sizeof(*age));
        struct coer_span octets;

        age->initialMaxCertRequestAge = lasting(cases[i].unit, cases[i].value);
        global->temporalSeriesOfMaxCertRequestAge = age;
        octets = octets_of(file);
        assert_int_equal(read_at(&octets, NOW64).max_request_age, cases[i].seconds);
    }
}

static enum dot2_status verify(const dot2_cert *signer, const struct coer_span *octets,
                               struct dot2_error *error)
{
    return scms_policy_verify(f.crypto, pki.trust, signer, FIXTURE_NOW, octets->data, octets->size,
                              error);
}

static void signed_as_a_whole(void **state)
{
    GlobalPolicyData_t *global;
    struct coer_span file = octets_of(policy_file(&global)), it;
    struct scms_policy policy;
    struct dot2_error error = {0};
    uint8_t *octets, *name;

    (void)state;
    it = whole(&file, pg_key, pg, SCMS_PSID);
    policy = read_at(&it, NOW64);
    assert_true(policy.is_signed);
    assert_int_equal(policy.global_generation, NOW64 - 7);
    assert_int_equal(verify(pg, &it, &error), DOT2_OK);

    /* Who signed it is good, and is not the policy generator. */
    assert_int_equal(verify(other, &it, &error), DOT2_E_SIGNER);
    /* Every octet of it is signed. */
    octets = make(it.size);
    memcpy(octets, it.data, it.size);
    octets[it.size / 2] ^= 1;
    assert_int_not_equal(verify(pg, &(struct coer_span){octets, it.size}, &error), DOT2_OK);
    memcpy(octets, it.data, it.size);
    octets[it.size - 1] ^= 1;
    assert_int_equal(verify(pg, &(struct coer_span){octets, it.size}, &error), DOT2_E_SIGNATURE);
    /* A message of the same signer that is none of the SCMS. */
    it = whole(&file, pg_key, pg, 0x20);
    assert_int_equal(verify(pg, &it, &error), DOT2_E_MESSAGE);
    assert_int_equal(scms_policy_read(it.data, it.size, NOW64, &policy, &error), DOT2_E_MESSAGE);
    /* With another's key under the policy generator's name. */
    it = whole(&file, other_key, other, SCMS_PSID);
    memcpy(octets, it.data, it.size);
    name = memmem(octets, it.size, dot2_cert_hashedid8(other), 8);
    assert_non_null(name);
    memcpy(name, dot2_cert_hashedid8(pg), 8);
    assert_int_equal(verify(pg, &(struct coer_span){octets, it.size}, &error), DOT2_E_SIGNATURE);
    /* After the end of its certificate. */
    it = whole(&file, pg_key, pg, SCMS_PSID);
    assert_int_equal(scms_policy_verify(f.crypto, pki.trust, pg, dot2_cert_end(pg) + 1, it.data,
                                        it.size, &error),
                     DOT2_E_EXPIRED);
    /* Not signed as a whole, and its countersignatures are over something else. */
    assert_int_equal(verify(pg, &file, &error), DOT2_E_SIGNATURE);
    assert_string_equal(error.field, "Countersignature.extDataHash");
}

static void not_a_policy(void **state)
{
    GlobalPolicyData_t *global;
    ScmsFile_t *file = policy_file(&global);
    struct coer_span octets = octets_of(file);
    struct scms_policy policy;
    struct dot2_error error = {0};

    (void)state;
    for (size_t size = 0; size < octets.size; size += 3)
        assert_int_equal(scms_policy_read(octets.data, size, NOW64, &policy, NULL), DOT2_E_DECODE);
    /* Its two parts in each other's places. */
    file->content.choice.policy.choice.localPolicyFile.globalParameters.tbsData.policy.present =
        Policy_PR_local;
    memset(
        &file->content.choice.policy.choice.localPolicyFile.globalParameters.tbsData.policy.choice,
        0,
        sizeof(file->content.choice.policy.choice.localPolicyFile.globalParameters.tbsData.policy
                   .choice));
    octets = octets_of(file);
    assert_int_equal(scms_policy_read(octets.data, octets.size, NOW64, &policy, &error),
                     DOT2_E_MESSAGE);
    assert_string_equal(error.field, "LocalPolicyFile");
}

/* ---- the chain file ---- */

enum form {
    NONE = 0,
    NEW, /* a ballot of 1.2.2: preamble, certificate, endorsements */
    OLD  /* before: preamble, endorsements */
};

static void put(uint8_t *out, size_t *at, const void *octets, size_t size)
{
    memcpy(out + *at, octets, size);
    *at += size;
}

static void put_cert(uint8_t *out, size_t *at, const dot2_cert *cert)
{
    size_t size = 0;
    const uint8_t *octets = dot2_cert_octets(cert, &size);

    put(out, at, octets, size);
}

static void put_ballots(uint8_t *out, size_t *at, enum form form, uint8_t count)
{
    const struct coer_span text = {(const uint8_t *)"endorsed", 8};
    const struct coer_span endorsement = whole(&text, pg_key, pg, SCMS_PSID);

    put(out, at, "\1", 1);
    put(out, at, &count, 1);
    for (int i = 0; i < count; i++) {
        put(out, at, "\0", 1);
        if (form == NEW)
            put_cert(out, at, pki.root);
        put(out, at, "\1\1", 2);
        put(out, at, endorsement.data, endorsement.size);
    }
}

/* Version 3.4 for ra.x: the policy generator as the MA, ICA and ECA required, RSE optional. */
static struct coer_span chain_file(enum form form, uint8_t roots, uint8_t electors)
{
    uint8_t *out = make(16384);
    size_t at = 0;

    put(out, &at, "\1\x80\x81\0\0\3\0\4\4ra.x\0", 14);
    put_ballots(out, &at, form, roots);
    put_ballots(out, &at, form, electors);
    put_cert(out, &at, pg);
    put(out, &at, "\1\2", 2);
    put_cert(out, &at, pki.ica);
    put_cert(out, &at, pki.eca);
    put(out, &at, "\1\1", 2);
    put_cert(out, &at, pki.rse);
    return (struct coer_span){out, at};
}

static void chain_files(void **state)
{
    static const struct {
        enum form form;
        uint8_t roots, electors;
        enum dot2_ballots taken;
        enum dot2_status status;
    } cases[] = {
        {NONE, 0, 0, DOT2_BALLOTS_122, DOT2_OK},      {NONE, 0, 0, DOT2_BALLOTS_121, DOT2_OK},
        {NEW, 1, 2, DOT2_BALLOTS_122, DOT2_OK},       {NEW, 1, 2, DOT2_BALLOTS_121, DOT2_OK},
        {OLD, 1, 2, DOT2_BALLOTS_121, DOT2_OK},       {OLD, 0, 1, DOT2_BALLOTS_121, DOT2_OK},
        {OLD, 1, 0, DOT2_BALLOTS_122, DOT2_E_DECODE}, {OLD, 0, 1, DOT2_BALLOTS_122, DOT2_E_DECODE},
    };
    const dot2_cert *certs[] = {pg, pki.ica, pki.eca, pki.rse};
    struct scms_chain_file it;
    struct dot2_error error = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct coer_span file = chain_file(cases[i].form, cases[i].roots, cases[i].electors);

        assert_int_equal(scms_chain_file_parse(file.data, file.size, cases[i].taken, &it, &error),
                         cases[i].status);
        if (cases[i].status != DOT2_OK) {
            assert_null(it.arena);
            assert_non_null(strstr(error.field, "Endorsements"));
            continue;
        }
        assert_int_equal(it.gccf_version, 3);
        assert_int_equal(it.lccf_version, 4);
        assert_int_equal(it.host_size, 4);
        assert_memory_equal(it.host, "ra.x", 4);
        assert_int_equal(it.root_ballots, cases[i].roots);
        assert_int_equal(it.elector_ballots, cases[i].electors);
        assert_int_equal(it.count, 4);
        for (size_t k = 0; k < 4; k++) {
            size_t size = 0;
            const uint8_t *octets = dot2_cert_octets(certs[k], &size);

            assert_int_equal(it.certs[k].size, size);
            assert_memory_equal(it.certs[k].data, octets, size);
        }
        scms_chain_file_clear(&it);
        for (size_t cut = 0; cut < file.size; cut += 7)
            assert_int_equal(scms_chain_file_parse(file.data, cut, cases[i].taken, &it, NULL),
                             DOT2_E_DECODE);
    }
}

static void not_a_chain_file(void **state)
{
    GlobalPolicyData_t *global;
    struct coer_span file = octets_of(policy_file(&global));
    struct scms_chain_file it;
    struct dot2_error error = {0};
    uint8_t *octets = make(16384);
    size_t at = 0;

    (void)state;
    assert_int_equal(scms_chain_file_parse(file.data, file.size, DOT2_BALLOTS_121, &it, &error),
                     DOT2_E_MESSAGE);
    /* A global one, with a ballot of the older form: understood, and refused as another file. */
    put(octets, &at, "\1\x80\x80\0\0\3\0", 7);
    put_ballots(octets, &at, OLD, 1);
    put_ballots(octets, &at, OLD, 0);
    put_cert(octets, &at, pg);
    put(octets, &at, "\1\0", 2);
    assert_int_equal(scms_chain_file_parse(octets, at, DOT2_BALLOTS_121, &it, &error),
                     DOT2_E_MESSAGE);
    assert_int_equal(scms_chain_file_parse(octets, at, DOT2_BALLOTS_122, &it, &error),
                     DOT2_E_DECODE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_policy_says), cmocka_unit_test(a_temporal_series),
        cmocka_unit_test(durations),          cmocka_unit_test(signed_as_a_whole),
        cmocka_unit_test(not_a_policy),       cmocka_unit_test(chain_files),
        cmocka_unit_test(not_a_chain_file)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
