/* fixture.c: see fixture.h. */
#include "tests/dot2/fixture.h"

#include "protocol/dot2/asn1_key.h"

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fixture: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

void fixture_open(struct fixture *fixture)
{
    struct dot2_error error = {0};

    memset(fixture, 0, sizeof(*fixture));
    fixture->libctx = OSSL_LIB_CTX_new();
    need(fixture->libctx != NULL && getenv("DOT2HSM_MODULES") != NULL, "DOT2HSM_MODULES");
    need(OSSL_PROVIDER_set_default_search_path(fixture->libctx, getenv("DOT2HSM_MODULES")) == 1,
         "search path");
    fixture->defaults = OSSL_PROVIDER_load(fixture->libctx, "default");
    fixture->dot2hsm = OSSL_PROVIDER_load(fixture->libctx, "dot2hsm");
    need(fixture->defaults != NULL && fixture->dot2hsm != NULL, "providers");
    need(dot2_crypto_new(fixture->libctx, &fixture->crypto, &error) == DOT2_OK, error.detail);
    fixture->arena = coer_arena_new();
    need(fixture->arena != NULL, "arena");
}

void fixture_close(struct fixture *fixture)
{
    coer_arena_free(fixture->arena);
    dot2_crypto_free(fixture->crypto);
    if (fixture->dot2hsm != NULL)
        OSSL_PROVIDER_unload(fixture->dot2hsm);
    if (fixture->defaults != NULL)
        OSSL_PROVIDER_unload(fixture->defaults);
    OSSL_LIB_CTX_free(fixture->libctx);
}

int fixture_setup(void **state)
{
    struct fixture *fixture = malloc(sizeof(*fixture));

    need(fixture != NULL, "memory");
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

EVP_PKEY *fixture_key(const struct fixture *fixture, enum dot2_curve curve)
{
    EVP_PKEY *key =
        EVP_PKEY_Q_keygen(fixture->libctx, "provider!=dot2hsm", "EC", dot2_curve_name(curve));

    need(key != NULL, "EC key");
    return key;
}

const Signature_t *fixture_signature(const struct fixture *f, const uint8_t *octets, size_t size)
{
    uint8_t *kept = coer_arena_alloc(f->arena, size);
    void *value = NULL;

    assert_non_null(kept);
    memcpy(kept, octets, size);
    assert_int_equal(coer_decode(f->arena, &asn_DEF_Signature, kept, size, &value, NULL), COER_OK);
    return value;
}

size_t fixture_hex(const char *hex, uint8_t *out, size_t capacity)
{
    size_t size = 0;

    for (; hex[0] != '\0'; hex += hex[0] == ' ' ? 1 : 2) {
        unsigned octet = 0;

        if (hex[0] == ' ')
            continue;
        need(size < capacity && sscanf(hex, "%2x", &octet) == 1, "hex");
        out[size++] = (uint8_t)octet;
    }
    return size;
}

static void *alloc(const struct fixture *fixture, size_t size)
{
    void *memory = coer_arena_alloc(fixture->arena, size);

    need(memory != NULL, "memory");
    return memory;
}

static void octets(const struct fixture *fixture, OCTET_STRING_t *string, const char *hex)
{
    uint8_t buffer[512];
    size_t size = fixture_hex(hex, buffer, sizeof(buffer));

    need(coer_octets(fixture->arena, string, buffer, size), "memory");
}

ToBeSignedCertificate_t *fixture_body(const struct fixture *fixture, const char *name,
                                      uint32_t start, unsigned hours)
{
    ToBeSignedCertificate_t *body = alloc(fixture, sizeof(*body));

    body->id.present = CertificateId_PR_name;
    need(coer_octets(fixture->arena, &body->id.choice.name, name, strlen(name)), "memory");
    octets(fixture, &body->cracaId, "010203");
    body->crlSeries = 4;
    body->validityPeriod.start = start;
    body->validityPeriod.duration.present = Duration_PR_hours;
    body->validityPeriod.duration.choice.hours = hours;
    return body;
}

void fixture_app(const struct fixture *fixture, ToBeSignedCertificate_t *body, long psid,
                 const char *opaque_hex, const char *bitmap_hex)
{
    PsidSsp_t *entry = alloc(fixture, sizeof(*entry));

    entry->psid = psid;
    if (opaque_hex != NULL || bitmap_hex != NULL) {
        entry->ssp = alloc(fixture, sizeof(*entry->ssp));
        if (opaque_hex != NULL) {
            entry->ssp->present = ServiceSpecificPermissions_PR_opaque;
            octets(fixture, &entry->ssp->choice.opaque, opaque_hex);
        } else {
            entry->ssp->present = ServiceSpecificPermissions_PR_bitmapSsp;
            octets(fixture, &entry->ssp->choice.bitmapSsp, bitmap_hex);
        }
    }
    if (body->appPermissions == NULL)
        body->appPermissions = alloc(fixture, sizeof(*body->appPermissions));
    need(coer_list_add(fixture->arena, body->appPermissions, entry), "memory");
}

SspRange_t *fixture_opaque(const struct fixture *fixture, const char *hex, const char *second)
{
    SspRange_t *range = alloc(fixture, sizeof(*range));
    const char *texts[] = {hex, second};

    range->present = SspRange_PR_opaque;
    for (size_t i = 0; i < 2 && texts[i] != NULL; i++) {
        OCTET_STRING_t *entry = alloc(fixture, sizeof(*entry));

        octets(fixture, entry, texts[i]);
        need(coer_list_add(fixture->arena, &range->choice.opaque, entry), "memory");
    }
    return range;
}

SspRange_t *fixture_bitmap(const struct fixture *fixture, const char *value, const char *mask)
{
    SspRange_t *range = alloc(fixture, sizeof(*range));

    range->present = SspRange_PR_bitmapSspRange;
    octets(fixture, &range->choice.bitmapSspRange.sspValue, value);
    octets(fixture, &range->choice.bitmapSspRange.sspBitmask, mask);
    return range;
}

SspRange_t *fixture_all_ssp(const struct fixture *fixture)
{
    SspRange_t *range = alloc(fixture, sizeof(*range));

    range->present = SspRange_PR_all;
    return range;
}

void fixture_range_add(const struct fixture *fixture, PsidGroupPermissions_t *group, long psid,
                       SspRange_t *range)
{
    PsidSspRange_t *entry = alloc(fixture, sizeof(*entry));

    entry->psid = psid;
    entry->sspRange = range;
    group->subjectPermissions.present = SubjectPermissions_PR_explicit;
    need(coer_list_add(fixture->arena, &group->subjectPermissions.choice.Explicit, entry),
         "memory");
}

static PsidGroupPermissions_t *group_add(const struct fixture *fixture,
                                         struct SequenceOfPsidGroupPermissions **groups, long psid,
                                         SspRange_t *range, long shortest, long length,
                                         uint8_t ee_type)
{
    PsidGroupPermissions_t *group = alloc(fixture, sizeof(*group));

    if (psid < 0)
        group->subjectPermissions.present = SubjectPermissions_PR_all;
    else
        fixture_range_add(fixture, group, psid, range);
    group->minChainLength = coer_long(fixture->arena, shortest);
    group->chainLengthRange = length;
    group->eeType = alloc(fixture, sizeof(*group->eeType));
    need(coer_bits8(fixture->arena, group->eeType, ee_type), "memory");
    if (*groups == NULL)
        *groups = alloc(fixture, sizeof(**groups));
    need(coer_list_add(fixture->arena, *groups, group), "memory");
    return group;
}

PsidGroupPermissions_t *fixture_issue(const struct fixture *fixture, ToBeSignedCertificate_t *body,
                                      long psid, SspRange_t *range, long shortest, long length,
                                      uint8_t ee_type)
{
    return group_add(fixture, &body->certIssuePermissions, psid, range, shortest, length, ee_type);
}

PsidGroupPermissions_t *fixture_request(const struct fixture *fixture,
                                        ToBeSignedCertificate_t *body, long psid, SspRange_t *range,
                                        long shortest, long length, uint8_t ee_type)
{
    return group_add(fixture, &body->certRequestPermissions, psid, range, shortest, length,
                     ee_type);
}

void fixture_region(const struct fixture *fixture, ToBeSignedCertificate_t *body, const char *hex)
{
    uint8_t *buffer = alloc(fixture, 512);
    size_t size = fixture_hex(hex, buffer, 512);
    void *value = NULL;

    need(coer_decode(fixture->arena, &asn_DEF_GeographicRegion, buffer, size, &value, NULL) ==
             COER_OK,
         hex);
    body->region = value;
}

void fixture_assurance(const struct fixture *fixture, ToBeSignedCertificate_t *body, uint8_t octet)
{
    body->assuranceLevel = alloc(fixture, sizeof(*body->assuranceLevel));
    need(coer_octets(fixture->arena, body->assuranceLevel, &octet, 1), "memory");
}

void fixture_encryption(const struct fixture *f, ToBeSignedCertificate_t *body, const EVP_PKEY *key)
{
    body->encryptionKey = coer_arena_alloc(f->arena, sizeof(*body->encryptionKey));
    assert_non_null(body->encryptionKey);
    assert_int_equal(dot2_asn1_set_encryption_key(f->arena, body->encryptionKey, key, "", NULL),
                     DOT2_OK);
}

dot2_cert *fixture_explicit(const struct fixture *fixture, ToBeSignedCertificate_t *body,
                            const EVP_PKEY *subject, const dot2_cert *issuer, EVP_PKEY *issuer_key)
{
    struct dot2_error error = {0};
    dot2_cert *cert = NULL;
    enum dot2_status status = dot2_cert_issue(fixture->crypto, fixture->arena, body, subject,
                                              issuer, issuer_key, false, &cert, NULL, &error);

    need(status == DOT2_OK && cert != NULL, error.detail);
    return cert;
}

dot2_cert *fixture_implicit(const struct fixture *fixture, ToBeSignedCertificate_t *body,
                            const dot2_cert *issuer, EVP_PKEY *issuer_key, EVP_PKEY **key)
{
    struct dot2_error error = {0};
    EVP_PKEY *request = fixture_key(fixture, dot2_key_curve(issuer_key));
    dot2_cert *cert = NULL;
    uint8_t s[32];
    enum dot2_status status = dot2_cert_issue(fixture->crypto, fixture->arena, body, request,
                                              issuer, issuer_key, true, &cert, s, &error);

    need(status == DOT2_OK && cert != NULL, error.detail);
    status = dot2_ecqv_private_key(fixture->crypto, cert, issuer, request, s, key, &error);
    need(status == DOT2_OK, error.detail);
    EVP_PKEY_free(request);
    return cert;
}

ToBeSignedCertificate_t *pki_ca_body(const struct fixture *fixture, const char *name,
                                     unsigned hours)
{
    ToBeSignedCertificate_t *body = fixture_body(fixture, name, FIXTURE_START, hours);

    fixture_issue(fixture, body, -1, NULL, 1, -1, APP | ENROL);
    return body;
}

ToBeSignedCertificate_t *pki_rse_body(const struct fixture *fixture, const char *name)
{
    ToBeSignedCertificate_t *body = fixture_body(fixture, name, FIXTURE_START, 10000);

    fixture_request(fixture, body, 0x20, NULL, 0, 0, APP);
    fixture_region(fixture, body, "83 0101 80 0348");
    return body;
}

void pki_open(const struct fixture *fixture, enum dot2_curve curve, struct pki *pki)
{
    ToBeSignedCertificate_t *body = NULL;

    memset(pki, 0, sizeof(*pki));
    pki->root_key = fixture_key(fixture, curve);
    pki->ica_key = fixture_key(fixture, curve);
    pki->eca_key = fixture_key(fixture, curve);
    pki->rse_key = fixture_key(fixture, curve);
    pki->root = fixture_explicit(fixture, pki_ca_body(fixture, "root", 40000), pki->root_key, NULL,
                                 pki->root_key);
    body = pki_ca_body(fixture, "ica", 30000);
    fixture_region(fixture, body, "83 0101 80 0348");
    pki->ica = fixture_explicit(fixture, body, pki->ica_key, pki->root, pki->root_key);
    body = fixture_body(fixture, "eca", FIXTURE_START, 20000);
    fixture_issue(fixture, body, -1, NULL, 1, 0, ENROL);
    pki->eca = fixture_explicit(fixture, body, pki->eca_key, pki->ica, pki->ica_key);
    pki->rse = fixture_explicit(fixture, pki_rse_body(fixture, "rse"), pki->rse_key, pki->eca,
                                pki->eca_key);
    if (dot2_curve_size(curve) == 32)
        pki->implicit = fixture_implicit(fixture, pki_rse_body(fixture, ""), pki->eca, pki->eca_key,
                                         &pki->implicit_key);
    need(dot2_trust_new(fixture->crypto, NULL, &pki->trust) == DOT2_OK, "trust");
    need(dot2_trust_add_anchor(pki->trust, pki->root) == DOT2_OK &&
             dot2_trust_add(pki->trust, pki->ica) == DOT2_OK &&
             dot2_trust_add(pki->trust, pki->eca) == DOT2_OK,
         "trust");
}

void pki_close(struct pki *pki)
{
    dot2_trust_free(pki->trust);
    dot2_cert_free(pki->root);
    dot2_cert_free(pki->ica);
    dot2_cert_free(pki->eca);
    dot2_cert_free(pki->rse);
    dot2_cert_free(pki->implicit);
    EVP_PKEY_free(pki->root_key);
    EVP_PKEY_free(pki->ica_key);
    EVP_PKEY_free(pki->eca_key);
    EVP_PKEY_free(pki->rse_key);
    EVP_PKEY_free(pki->implicit_key);
}

const struct dot2_check pki_enrollment = {DOT2_PURPOSE_ENROLLMENT, FIXTURE_NOW, false};
const struct dot2_check pki_any = {DOT2_PURPOSE_ANY, FIXTURE_NOW, false};
const struct dot2_check pki_signature_only = {DOT2_PURPOSE_ENROLLMENT, 0, true};

void pki_expect(dot2_trust *trust, dot2_cert *cert, const struct dot2_check *check,
                enum dot2_status status)
{
    struct dot2_error error = {0};
    struct dot2_chain chain;
    enum dot2_status got = DOT2_OK;

    memset(&chain, 0xff, sizeof(chain));
    got = dot2_chain_verify(trust, cert, check, &chain, &error);
    if (got != status)
        fail_msg("%s instead of %s: %s: %s", dot2_status_name(got), dot2_status_name(status),
                 error.field, error.detail);
    if (status == DOT2_OK) {
        assert_non_null(chain.key);
        assert_true(chain.depth > 0);
    } else {
        assert_int_equal(error.status, status);
        assert_true(error.detail[0] != '\0');
        assert_null(chain.key);
        assert_int_equal(chain.depth, 0);
    }
    dot2_chain_clear(&chain);
    assert_int_equal(ERR_peek_error(), 0);
}
