/*
 * test_strength_answers.c: no change of what a device is answered, of a CRL or of a policy file
 * goes unnoticed. What is changed comes from the ASN.1: see strength.h.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "tests/security/strength_world.h"

#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, NULL                                                                           \
    }

static const struct strength_exception of_signed_data[] = {
    {"signedData.signature.ecdsaNistP256Signature.rSig", "", "x is the same"}, END};

/* ---- answers ---- */

static bool accepts_ack(void *arg, const uint8_t *octets, size_t size)
{
    struct scms_ack ack;

    (void)arg;
    return scms_ack_open(world.pki.trust, world.authority, FIXTURE_NOW, octets, size, &ack, NULL) ==
           DOT2_OK;
}

static void acks(void **state)
{
    (void)state;
    for (int kind = SCMS_PROVISION_PSEUDONYM; kind <= SCMS_PROVISION_APP; kind++) {
        struct scms_ack ack = {(enum scms_provision)kind, "1234567", FIXTURE_NOW + 3600,
                               "https://ra.example:8892/"};
        struct strength_message message = {.name = "ack",
                                           .type = &asn_DEF_Ieee1609Dot2Data,
                                           .accepts = accepts_ack,
                                           .packed_type = &asn_DEF_ScmsPDU,
                                           .packed = strength_in_signed,
                                           .exceptions = of_signed_data};
        struct coer_span octets;
        uint8_t *built = NULL;
        size_t size = 0;

        assert_int_equal(scms_ack_build(world.f.crypto, world.authority_key, world.authority, &ack,
                                        &built, &size, NULL),
                         DOT2_OK);
        octets = world_keep(built, size);
        message.octets = octets.data;
        message.size = octets.size;
        strength_check(&message);
    }
}

static bool accepts_enrollment_response(void *arg, const uint8_t *octets, size_t size)
{
    struct scms_enrollment_response response;
    bool accepted = scms_enrollment_response_open(world.f.crypto, world.pki.trust, FIXTURE_NOW,
                                                  octets, size, true, &response, NULL) == DOT2_OK;

    (void)arg;
    scms_enrollment_response_clear(&response);
    return accepted;
}

static void enrollment_responses(void **state)
{
    static const struct strength_exception exceptions[] = {
        {"signedData.signature.ecdsaNistP256Signature.rSig", "", "x is the same"},
        {"certificate[0].signature.ecdsaNistP256Signature.rSig", "",
         "the certificate's canonical form is the same"},
        END};

    (void)state;
    for (int is_explicit = 0; is_explicit < 2; is_explicit++) {
        struct scms_enrollment_response response = {.request_hash = "1234567",
                                                    .eca = world.authority};
        struct strength_message message = {.name = is_explicit ? "explicit enrollment response"
                                                               : "implicit enrollment response",
                                           .type = &asn_DEF_Ieee1609Dot2Data,
                                           .accepts = accepts_enrollment_response,
                                           .packed_type = &asn_DEF_ScmsPDU,
                                           .packed = strength_in_signed,
                                           .exceptions = exceptions};
        struct coer_span octets;
        uint8_t *built = NULL;
        size_t size = 0;

        assert_int_equal(dot2_cert_issue(world.f.crypto, world.f.arena, pki_rse_body(&world.f, ""),
                                         world.pki.rse_key, world.authority, world.authority_key,
                                         !is_explicit, &response.enrollment, response.s, NULL),
                         DOT2_OK);
        assert_int_equal(scms_enrollment_response_build(world.f.crypto, world.authority_key,
                                                        &response, &built, &size, NULL),
                         DOT2_OK);
        octets = world_keep(built, size);
        message.octets = octets.data;
        message.size = octets.size;
        strength_check(&message);
        dot2_cert_free(response.enrollment);
    }
}

static const struct dot2_expansion expansion = {"0123456789abcde", 5, 7};

static bool accepts_cert_response(void *arg, const uint8_t *octets, size_t size)
{
    const bool is_butterfly = arg != NULL;
    struct scms_cert_response response;
    enum dot2_status status =
        is_butterfly ? scms_butterfly_response_open(world.f.crypto, world.pki.trust, FIXTURE_NOW,
                                                    world.response_key, &expansion, octets, size,
                                                    &response, NULL)
                     : scms_cert_response_open(world.f.crypto, world.pki.trust, FIXTURE_NOW,
                                               world.response_key, octets, size, &response, NULL);

    scms_cert_response_clear(&response);
    return status == DOT2_OK;
}

static struct coer_span cert_response(enum scms_response_kind kind, bool is_butterfly)
{
    const bool is_implicit =
        kind == SCMS_RESPONSE_IMPLICIT || kind == SCMS_RESPONSE_IMPLICIT_BUTTERFLY;
    struct scms_cert_response response = {.kind = kind};
    ToBeSignedCertificate_t *body = fixture_body(&world.f, "rse.app", FIXTURE_START, 1000);
    EVP_PKEY *sealing = NULL;
    uint8_t *octets = NULL;
    size_t size = 0;

    fixture_app(&world.f, body, 0x87, NULL, NULL);
    fixture_region(&world.f, body, "83 0101 80 0348");
    assert_int_equal(dot2_cert_issue(world.f.crypto, world.f.arena, body, world.pki.rse_key,
                                     world.authority, world.authority_key, is_implicit,
                                     &response.cert, response.reconstruction, NULL),
                     DOT2_OK);
    if (kind == SCMS_RESPONSE_EXPLICIT_BUTTERFLY)
        memset(response.reconstruction, 0x5a, 32);
    if (is_butterfly)
        assert_int_equal(dot2_butterfly_public(world.f.crypto, world.response_key, expansion.key,
                                               DOT2_BUTTERFLY_ENCRYPT, expansion.i, expansion.j,
                                               &sealing, NULL),
                         DOT2_OK);
    assert_int_equal(scms_cert_response_build(world.f.crypto, world.authority_key, world.authority,
                                              is_butterfly ? sealing : world.response_key,
                                              &response, &octets, &size, NULL),
                     DOT2_OK);
    EVP_PKEY_free(sealing);
    dot2_cert_free(response.cert);
    return world_keep(octets, size);
}

static void certificate_responses(void **state)
{
    static const struct {
        const char *name;
        enum scms_response_kind kind;
        bool is_butterfly;
    } kinds[] = {
        {"implicit response", SCMS_RESPONSE_IMPLICIT, false},
        {"explicit response", SCMS_RESPONSE_EXPLICIT, false},
        {"implicit butterfly response", SCMS_RESPONSE_IMPLICIT_BUTTERFLY, true},
        {"explicit butterfly response", SCMS_RESPONSE_EXPLICIT_BUTTERFLY, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct coer_span octets = cert_response(kinds[i].kind, kinds[i].is_butterfly);
        const struct strength_message message = {
            .name = kinds[i].name,
            .type = &asn_DEF_Ieee1609Dot2Data,
            .octets = octets.data,
            .size = octets.size,
            .accepts = accepts_cert_response,
            .arg = kinds[i].is_butterfly ? (void *)(uintptr_t)&expansion : NULL,
            .exceptions = of_signed_data};

        strength_check(&message);
    }
}

/* ---- files ---- */

static bool accepts_crl(void *arg, const uint8_t *octets, size_t size)
{
    dot2_trust *trust = NULL;
    bool accepted;

    (void)arg;
    assert_int_equal(dot2_trust_new(world.f.crypto, NULL, &trust), DOT2_OK);
    assert_int_equal(dot2_trust_add_anchor(trust, world.pki.root), DOT2_OK);
    accepted = dot2_trust_add_crl(trust, octets, size, FIXTURE_NOW, NULL, NULL) == DOT2_OK;
    dot2_trust_free(trust);
    return accepted;
}

static void crls(void **state)
{
    static const struct strength_exception exceptions[] = {
        {"signedData.signature.ecdsaNistP256Signature.rSig", "", "x is the same"},
        {"certificate[0].signature.ecdsaNistP256Signature.rSig", "",
         "the certificate's canonical form is the same"},
        END};
    const struct dot2_header header = {.psid = 0x100};
    ToBeSignedCertificate_t *body = fixture_body(&world.f, "craca", FIXTURE_START, 20000);
    EVP_PKEY *key = fixture_key(&world.f, DOT2_CURVE_P256);
    dot2_cert *craca;

    (void)state;
    fixture_app(&world.f, body, 0x100, "00 01 00 0101 0004", NULL);
    craca = fixture_explicit(&world.f, body, key, world.pki.root, world.pki.root_key);
    for (int is_delta = 0; is_delta < 2; is_delta++) {
        CrlContents_t contents = {.version = 1,
                                  .crlSeries = 4,
                                  .issueDate = FIXTURE_NOW - 1000,
                                  .nextCrl = FIXTURE_NOW + 1000};
        ToBeSignedHashIdCrl_t hashes = {.crlSerial = 7};
        HashBasedRevocationInfo_t entries[2] = {{.expiry = FIXTURE_NOW}, {.expiry = FIXTURE_NOW}};
        struct strength_message message = {.name = is_delta ? "delta CRL" : "CRL",
                                           .type = &asn_DEF_Ieee1609Dot2Data,
                                           .accepts = accepts_crl,
                                           .packed_type = &asn_DEF_CrlContents,
                                           .packed = strength_in_signed,
                                           .exceptions = exceptions};
        struct coer_span octets;
        uint8_t *built = NULL;
        size_t size = 0;

        coer_octets_view(&contents.cracaId, dot2_cert_hashedid8(craca), 8);
        for (int i = 0; i < 2; i++) {
            coer_octets_view(&entries[i].id, i == 0 ? "0123456789" : "9876543210", 10);
            assert_true(coer_list_add(world.f.arena, &hashes.entries, &entries[i]));
        }
        contents.typeSpecific.present = is_delta ? TypeSpecificCrlContents_PR_deltaHashCrl
                                                 : TypeSpecificCrlContents_PR_fullHashCrl;
        contents.typeSpecific.choice.fullHashCrl = hashes; /* both have the same type */
        octets = world_encode(&asn_DEF_CrlContents, &contents);
        assert_int_equal(dot2_signed_data_build(world.f.crypto, key, craca, DOT2_SIGNER_CERTIFICATE,
                                                &header, octets.data, octets.size, &built, &size,
                                                NULL),
                         DOT2_OK);
        octets = world_keep(built, size);
        message.octets = octets.data;
        message.size = octets.size;
        strength_check(&message);
    }
    dot2_cert_free(craca);
    EVP_PKEY_free(key);
}

static bool accepts_policy(void *arg, const uint8_t *octets, size_t size)
{
    struct scms_policy policy;

    (void)arg;
    return scms_policy_verify(world.f.crypto, world.pki.trust, world.authority, FIXTURE_NOW, octets,
                              size, NULL) == DOT2_OK &&
           scms_policy_read(octets, size, (uint64_t)FIXTURE_NOW * 1000000, &policy, NULL) ==
               DOT2_OK;
}

static void *make(size_t size)
{
    void *made = coer_arena_alloc(world.f.arena, size);

    assert_non_null(made);
    return made;
}

/* One of the two parts of the file, with the policy generator's signature over its hash. */
static void base_policy(BasePolicyFile_t *base)
{
    const struct signer signer = {"", world.authority_key, world.authority, NULL,
                                  SignerIdentifier_PR_digest};
    struct ToBeSignedData *tbs = make(sizeof(*tbs));
    struct coer_span octets;
    uint8_t *hash = make(48);

    base->version = 1;
    coer_octets_view(&base->tbsData.policyID, "policy 1", 8);
    assert_true(coer_integer_set(world.f.arena, &base->tbsData.generationTime,
                                 (uint64_t)FIXTURE_NOW * 1000000));
    assert_true(coer_integer_set(world.f.arena, &base->tbsData.activeTime,
                                 (uint64_t)FIXTURE_NOW * 1000000));
    octets = world_encode(&asn_DEF_ToBeSignedPolicyData, &base->tbsData);
    assert_int_equal(dot2_hash(world.f.crypto, DOT2_CURVE_P256, octets.data, octets.size, hash),
                     DOT2_OK);
    tbs->headerInfo.psid = SCMS_PSID;
    tbs->payload = make(sizeof(*tbs->payload));
    tbs->payload->extDataHash = make(sizeof(*tbs->payload->extDataHash));
    tbs->payload->extDataHash->present = HashedData_PR_sha256HashedData;
    coer_octets_view(&tbs->payload->extDataHash->choice.sha256HashedData, hash, 32);
    assert_true(coer_list_add(world.f.arena, &base->signatures, world_sign(&signer, tbs)));
}

static struct coer_span policy_file(void)
{
    ScmsFile_t *file = make(sizeof(*file));
    TemporalSeriesOfMaxCertRequestAge_t *age = make(sizeof(*age));
    TemporalSeriesOfCertsPerIPeriod_t *certs = make(sizeof(*certs));
    LocalPolicyFile_t *local;
    CustomPolicyData_t *custom;

    file->version = 1;
    file->content.present = ScmsFileContent_PR_policy;
    file->content.choice.policy.present = PolicyFiles_PR_localPolicyFile;
    local = &file->content.choice.policy.choice.localPolicyFile;
    local->globalParameters.tbsData.policy.present = Policy_PR_custom;
    custom = &local->globalParameters.tbsData.policy.choice.custom;
    custom->requestingRaHostname = make(sizeof(*custom->requestingRaHostname));
    coer_octets_view(custom->requestingRaHostname, "ra.example", 10);
    age->initialMaxCertRequestAge.present = Duration_PR_hours;
    age->initialMaxCertRequestAge.choice.hours = 24;
    custom->globalPolicy.temporalSeriesOfMaxCertRequestAge = age;
    local->localParamters.tbsData.policy.present = Policy_PR_local;
    local->localParamters.tbsData.policy.choice.local.temporalSeriesOfCertsPerIPeriod = certs;
    base_policy(&local->globalParameters);
    base_policy(&local->localParamters);
    return world_encode(&asn_DEF_ScmsFile, file);
}

static void a_countersigned_policy(void **state)
{
    static const struct strength_exception exceptions[] = {
        {"signedData.signature.ecdsaNistP256Signature.rSig", "", "x is the same"},
        {".signatures", "last one twice", "nobody signs the list: a good one is looked for in it"},
        END};
    struct coer_span octets = policy_file();
    const struct strength_message message = {.name = "countersigned policy",
                                             .type = &asn_DEF_ScmsFile,
                                             .octets = octets.data,
                                             .size = octets.size,
                                             .accepts = accepts_policy,
                                             .exceptions = exceptions};

    (void)state;
    strength_check(&message);
}

static void a_policy_that_is_signed_as_a_whole(void **state)
{
    const struct dot2_header header = {.psid = SCMS_PSID};
    struct coer_span octets = policy_file();
    struct strength_message message = {.name = "signed policy",
                                       .type = &asn_DEF_Ieee1609Dot2Data,
                                       .accepts = accepts_policy,
                                       .packed_type = &asn_DEF_ScmsFile,
                                       .packed = strength_in_signed,
                                       .exceptions = of_signed_data};
    uint8_t *built = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(dot2_signed_data_build(world.f.crypto, world.authority_key, world.authority,
                                            DOT2_SIGNER_DIGEST, &header, octets.data, octets.size,
                                            &built, &size, NULL),
                     DOT2_OK);
    octets = world_keep(built, size);
    message.octets = octets.data;
    message.size = octets.size;
    strength_check(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acks),
        cmocka_unit_test(enrollment_responses),
        cmocka_unit_test(certificate_responses),
        cmocka_unit_test(crls),
        cmocka_unit_test(a_countersigned_policy),
        cmocka_unit_test(a_policy_that_is_signed_as_a_whole),
    };

    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
