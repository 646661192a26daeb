/* test_chain.c: each rule of a chain, kept and broken; the cache; threads. */
#include "tests/dot2/fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

static const struct dot2_check enrollment = {DOT2_PURPOSE_ENROLLMENT, FIXTURE_NOW, false};
static const struct dot2_check any = {DOT2_PURPOSE_ANY, FIXTURE_NOW, false};
static const struct dot2_check signature_only = {DOT2_PURPOSE_ENROLLMENT, 0, true};

static void expect(dot2_trust *trust, dot2_cert *cert, const struct dot2_check *check,
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

static void a_good_chain(void **state)
{
    static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1,
                                             DOT2_CURVE_BRAINPOOL_P384R1};
    const struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        struct pki pki;
        struct dot2_chain chain = {0};

        pki_open(f, curves[i], &pki);
        for (int again = 0; again < 2; again++) { /* computed, then from the cache */
            assert_int_equal(dot2_chain_verify(pki.trust, pki.rse, &enrollment, &chain, NULL),
                             DOT2_OK);
            assert_int_equal(chain.depth, 4);
            assert_ptr_equal(chain.certs[0], pki.rse);
            assert_ptr_equal(chain.certs[1], pki.eca);
            assert_ptr_equal(chain.certs[2], pki.ica);
            assert_ptr_equal(chain.certs[3], pki.root);
            assert_int_equal(chain.start, FIXTURE_START);
            assert_int_equal(chain.end, FIXTURE_START + 10000 * 3600);
            assert_int_equal(EVP_PKEY_eq(chain.key, pki.rse_key), 1);
            dot2_chain_clear(&chain);
        }
        if (pki.implicit != NULL) {
            assert_int_equal(dot2_chain_verify(pki.trust, pki.implicit, &enrollment, &chain, NULL),
                             DOT2_OK);
            assert_int_equal(EVP_PKEY_eq(chain.key, pki.implicit_key), 1);
            dot2_chain_clear(&chain);
            expect(pki.trust, pki.implicit, &enrollment, DOT2_OK);
        }
        expect(pki.trust, pki.eca, &any, DOT2_OK);
        expect(pki.trust, pki.root, &any, DOT2_OK);
        expect(pki.trust, pki.root, &enrollment, DOT2_E_PERMISSION);
        expect(pki.trust, pki.eca, &enrollment, DOT2_E_PERMISSION);
        assert_int_equal(dot2_chain_verify(pki.trust, pki.rse, &enrollment, NULL, NULL), DOT2_OK);
        pki_close(&pki);
    }
}

static void trust_is_needed(void **state)
{
    const struct fixture *f = *state;
    struct pki pki, other;
    dot2_trust *trust = NULL;
    dot2_cert *found = NULL;

    pki_open(f, DOT2_CURVE_P256, &pki);
    pki_open(f, DOT2_CURVE_P256, &other);
    expect(other.trust, pki.rse, &enrollment, DOT2_E_ISSUER_UNKNOWN);
    expect(other.trust, pki.root, &any, DOT2_E_ISSUER_UNKNOWN);

    assert_int_equal(dot2_trust_new(f->crypto, NULL, &trust), DOT2_OK);
    expect(trust, pki.rse, &enrollment, DOT2_E_ISSUER_UNKNOWN);
    assert_int_equal(dot2_trust_add(trust, pki.eca), DOT2_OK);
    assert_int_equal(dot2_trust_add(trust, pki.ica), DOT2_OK);
    assert_int_equal(dot2_trust_add(trust, pki.root), DOT2_OK); /* known, but no anchor */
    expect(trust, pki.rse, &enrollment, DOT2_E_ISSUER_UNKNOWN);
    assert_int_equal(dot2_trust_add_anchor(trust, pki.root), DOT2_OK);
    expect(trust, pki.rse, &enrollment, DOT2_OK);
    found = dot2_trust_find(trust, dot2_cert_hashedid8(pki.ica));
    assert_ptr_equal(found, pki.ica);
    dot2_cert_free(found);
    assert_null(dot2_trust_find(trust, dot2_cert_hashedid8(pki.rse)));
    dot2_trust_free(trust);

    /* Any certificate may be an anchor, if it has a key of its own. */
    assert_int_equal(dot2_trust_new(f->crypto, NULL, &trust), DOT2_OK);
    assert_int_equal(dot2_trust_add_anchor(trust, pki.implicit), DOT2_E_TYPE);
    assert_int_equal(dot2_trust_add_anchor(trust, pki.eca), DOT2_OK);
    assert_int_equal(dot2_trust_add_anchor(trust, pki.eca), DOT2_OK);
    expect(trust, pki.rse, &enrollment, DOT2_OK);
    expect(trust, pki.implicit, &enrollment, DOT2_OK);
    dot2_trust_free(trust);
    pki_close(&pki);
    pki_close(&other);
}

static void a_signature_of_somebody_else(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;
    dot2_cert *cert = NULL;

    pki_open(f, DOT2_CURVE_P256, &pki);
    /* Names the ECA, signed with the ICA's key. */
    cert = fixture_explicit(f, pki_rse_body(f, "x"), pki.rse_key, pki.eca, pki.ica_key);
    expect(pki.trust, cert, &enrollment, DOT2_E_ISSUER_SIGNATURE);
    expect(pki.trust, cert, &signature_only, DOT2_E_ISSUER_SIGNATURE);
    dot2_cert_free(cert);
    pki_close(&pki);
}

/* Each single bit of a certificate: refused, or unable to verify, or not this certificate. */
static void every_flipped_bit(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    expect(pki.trust, pki.rse, &enrollment, DOT2_OK);
    for (int implicit = 0; implicit < 2; implicit++) {
        dot2_cert *original = implicit ? pki.implicit : pki.rse;
        size_t size = 0;
        const uint8_t *octets = dot2_cert_octets(original, &size);
        uint8_t changed[512];

        assert_true(size < sizeof(changed));
        for (size_t bit = 0; bit < 8 * size; bit++) {
            struct dot2_chain chain = {0};
            dot2_cert *cert = NULL;

            memcpy(changed, octets, size);
            changed[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
            if (dot2_cert_new(f->crypto, changed, size, &cert, NULL) == DOT2_OK &&
                dot2_chain_verify(pki.trust, cert, &enrollment, &chain, NULL) == DOT2_OK) {
                size_t n = 0;

                /* An implicit certificate is proven by what is signed under it: another key. Of an
                 * explicit one, the form of rSig alone is free, and the hash is the same. */
                if (implicit)
                    assert_int_not_equal(EVP_PKEY_eq(chain.key, pki.implicit_key), 1);
                else
                    assert_memory_equal(dot2_cert_hash(cert, &n), dot2_cert_hash(original, &n), 32);
            }
            dot2_chain_clear(&chain);
            dot2_cert_free(cert);
        }
    }
    ERR_clear_error();
    pki_close(&pki);
}

static void validity_of_all_of_the_chain(void **state)
{
    const struct fixture *f = *state;
    const uint32_t end = FIXTURE_START + 10000 * 3600;
    struct dot2_check check = enrollment;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    for (int round = 0; round < 2; round++) { /* also with everything in the cache */
        static const struct {
            uint32_t time;
            enum dot2_status status;
        } cases[] = {
            {FIXTURE_START, DOT2_OK},
            {FIXTURE_START - 1, DOT2_E_NOT_YET_VALID},
            {end, DOT2_OK},
            {end + 1, DOT2_E_EXPIRED},
            {0, DOT2_E_NOT_YET_VALID},
            {UINT32_MAX, DOT2_E_EXPIRED},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            check.time = cases[i].time;
            expect(pki.trust, pki.rse, &check, cases[i].status);
            expect(pki.trust, pki.implicit, &check, cases[i].status);
        }
    }
    check.time = 0;
    expect(pki.trust, pki.rse, &signature_only, DOT2_OK);
    pki_close(&pki);
}

/* A CA that is not valid any more, above a certificate that is (nesting aside). */
static void an_expired_issuer(void **state)
{
    const struct fixture *f = *state;
    ToBeSignedCertificate_t *body = NULL;
    struct dot2_check check = enrollment;
    struct pki pki;
    dot2_cert *short_ca = NULL, *cert = NULL;

    pki_open(f, DOT2_CURVE_P256, &pki);
    body = fixture_body(f, "short", FIXTURE_START, 100);
    fixture_issue(f, body, -1, NULL, 1, 0, ENROL);
    short_ca = fixture_explicit(f, body, pki.eca_key, pki.ica, pki.ica_key);
    assert_int_equal(dot2_trust_add(pki.trust, short_ca), DOT2_OK);
    cert = fixture_explicit(f, pki_rse_body(f, "x"), pki.rse_key, short_ca, pki.eca_key);
    check.time = FIXTURE_START + 50 * 3600;
    expect(pki.trust, cert, &check, DOT2_E_VALIDITY_NESTING);
    check.time = FIXTURE_START + 101 * 3600;
    expect(pki.trust, cert, &check, DOT2_E_EXPIRED);
    dot2_cert_free(cert);
    /* Starts before its issuer. */
    body = pki_rse_body(f, "early");
    body->validityPeriod.start = FIXTURE_START - 3600;
    body->validityPeriod.duration.choice.hours = 10;
    cert = fixture_explicit(f, body, pki.rse_key, short_ca, pki.eca_key);
    check.time = FIXTURE_START + 3600;
    expect(pki.trust, cert, &check, DOT2_E_VALIDITY_NESTING);
    dot2_cert_free(cert);
    dot2_cert_free(short_ca);
    pki_close(&pki);
}

static void the_purpose_of_enrollment(void **state)
{
    const struct fixture *f = *state;
    ToBeSignedCertificate_t *body = NULL;
    struct pki pki;
    dot2_cert *cert = NULL, *ca = NULL;

    pki_open(f, DOT2_CURVE_P256, &pki);
    body = pki_ca_body(f, "both", 20000);
    ca = fixture_explicit(f, body, pki.eca_key, pki.ica, pki.ica_key);
    assert_int_equal(dot2_trust_add(pki.trust, ca), DOT2_OK);
    body = pki_rse_body(f, "also an application");
    fixture_app(f, body, 0x20, NULL, NULL);
    cert = fixture_explicit(f, body, pki.rse_key, ca, pki.eca_key);
    expect(pki.trust, cert, &enrollment, DOT2_E_PERMISSION);
    expect(pki.trust, cert, &any, DOT2_OK);
    /* What was cached for another purpose does not count. */
    expect(pki.trust, cert, &enrollment, DOT2_E_PERMISSION);
    dot2_cert_free(cert);
    body = fixture_body(f, "an application", FIXTURE_START, 1000);
    fixture_app(f, body, 0x20, NULL, NULL);
    cert = fixture_explicit(f, body, pki.rse_key, ca, pki.eca_key);
    expect(pki.trust, cert, &enrollment, DOT2_E_PERMISSION);
    expect(pki.trust, cert, &any, DOT2_OK);
    dot2_cert_free(cert);
    dot2_cert_free(ca);
    pki_close(&pki);
}

/* ---- permissions: what an issuer has, what a subject claims ---- */

struct permission_case {
    const char *what;
    bool ok;
    void (*issuer)(const struct fixture *, ToBeSignedCertificate_t *);
    void (*subject)(const struct fixture *, ToBeSignedCertificate_t *);
};
#define BODY(name) static void name(const struct fixture *f, ToBeSignedCertificate_t *b)
/* clang-format off */
BODY(i_all_1) { fixture_issue(f, b, -1, NULL, 1, 0, APP | ENROL); }
BODY(i_all_app) { fixture_issue(f, b, -1, NULL, 1, 0, APP); }
BODY(i_all_enrol) { fixture_issue(f, b, -1, NULL, 1, 0, ENROL); }
BODY(i_all_2) { fixture_issue(f, b, -1, NULL, 2, 0, APP | ENROL); }
BODY(i_all_1_2) { fixture_issue(f, b, -1, NULL, 1, 1, APP | ENROL); }
BODY(i_all_any) { fixture_issue(f, b, -1, NULL, 1, -1, APP | ENROL); }
BODY(i_20) { fixture_issue(f, b, 0x20, NULL, 1, 0, APP | ENROL); }
BODY(i_20_all_ssp) { fixture_issue(f, b, 0x20, fixture_all_ssp(f), 1, 0, APP | ENROL); }
BODY(i_20_aa) { fixture_issue(f, b, 0x20, fixture_opaque(f, "AA", "BB01"), 1, 0, APP | ENROL); }
BODY(i_20_empty) { fixture_issue(f, b, 0x20, fixture_opaque(f, "", NULL), 1, 0, APP | ENROL); }
BODY(i_20_bits) { fixture_issue(f, b, 0x20, fixture_bitmap(f, "01F0", "FFF0"), 1, 0, APP | ENROL); }
BODY(i_20_bits_tail) { fixture_issue(f, b, 0x20, fixture_bitmap(f, "0100", "FF00"), 1, 0, APP | ENROL); }
BODY(i_all_but_20) { i_all_1(f, b); fixture_issue(f, b, 0x20, fixture_opaque(f, "AA", NULL), 1, 0, APP | ENROL); }
BODY(i_20_long_21_short) { fixture_issue(f, b, 0x20, NULL, 2, -1, APP | ENROL); fixture_issue(f, b, 0x21, NULL, 1, 0, APP | ENROL); }
BODY(i_two_groups) { fixture_issue(f, b, 0x20, NULL, 1, 0, APP); fixture_issue(f, b, 0x20, NULL, 2, 0, ENROL); }
BODY(i_none) { fixture_app(f, b, 0x23, NULL, NULL); }
BODY(s_app_20) { fixture_app(f, b, 0x20, NULL, NULL); }
BODY(s_app_21) { fixture_app(f, b, 0x21, NULL, NULL); }
BODY(s_app_20_aa) { fixture_app(f, b, 0x20, "AA", NULL); }
BODY(s_app_20_bb) { fixture_app(f, b, 0x20, "BB", NULL); }
BODY(s_app_20_empty) { fixture_app(f, b, 0x20, "", NULL); }
BODY(s_app_20_bits) { fixture_app(f, b, 0x20, NULL, "01FF"); }
BODY(s_app_20_bits_bad) { fixture_app(f, b, 0x20, NULL, "03FF"); }
BODY(s_app_20_bits_short) { fixture_app(f, b, 0x20, NULL, "01"); }
BODY(s_req_20) { fixture_request(f, b, 0x20, NULL, 0, 0, APP); }
BODY(s_req_20_enrol) { fixture_request(f, b, 0x20, NULL, 0, 0, ENROL); }
BODY(s_req_20_min_1) { fixture_request(f, b, 0x20, NULL, 1, 0, APP); }
BODY(s_req_20_range_1) { fixture_request(f, b, 0x20, NULL, 0, 1, APP); }
BODY(s_req_20_any) { fixture_request(f, b, 0x20, NULL, 0, -1, APP); }
BODY(s_req_20_aa) { fixture_request(f, b, 0x20, fixture_opaque(f, "AA", NULL), 0, 0, APP); }
BODY(s_req_20_aa_cc) { fixture_request(f, b, 0x20, fixture_opaque(f, "AA", "CC"), 0, 0, APP); }
BODY(s_req_20_bits) { fixture_request(f, b, 0x20, fixture_bitmap(f, "01F1", "FFFF"), 0, 0, APP); }
BODY(s_req_20_bits_wide) { fixture_request(f, b, 0x20, fixture_bitmap(f, "01F0", "FF00"), 0, 0, APP); }
BODY(s_req_20_bits_value) { fixture_request(f, b, 0x20, fixture_bitmap(f, "0110", "FFF0"), 0, 0, APP); }
BODY(s_req_all) { fixture_request(f, b, -1, NULL, 0, 0, APP); }
BODY(s_req_20_21) { s_req_20(f, b); fixture_request(f, b, 0x21, NULL, 0, 0, APP); }
BODY(s_req_all_and_20) { s_req_all(f, b); s_req_20_aa(f, b); }
BODY(s_ca_20_1) { fixture_issue(f, b, 0x20, NULL, 1, 0, APP); }
BODY(s_ca_20_1_enrol) { fixture_issue(f, b, 0x20, NULL, 1, 0, ENROL); }
BODY(s_ca_20_2) { fixture_issue(f, b, 0x20, NULL, 2, 0, APP); }
BODY(s_ca_20_1_2) { fixture_issue(f, b, 0x20, NULL, 1, 1, APP); }
BODY(s_ca_20_any) { fixture_issue(f, b, 0x20, NULL, 1, -1, APP); }
BODY(s_ca_all) { fixture_issue(f, b, -1, NULL, 1, 0, APP); }
static const struct permission_case permission_cases[] = {
    {"all gives any PSID", true, i_all_1, s_app_20},
    {"explicit gives its PSID", true, i_20, s_app_20},
    {"explicit gives no other PSID", false, i_20, s_app_21},
    {"an issuer without certIssuePermissions", false, i_none, s_app_20},
    {"app needs app", false, i_all_enrol, s_app_20},
    {"app is given by app", true, i_all_app, s_app_20},
    {"requests need enrol", false, i_all_app, s_req_20},
    {"requests are given by enrol", true, i_all_enrol, s_req_20},
    {"the eeType of a request is its own matter", true, i_all_enrol, s_req_20_enrol},
    {"a chain of 1 where 2 is the least", false, i_all_2, s_app_20},
    {"a request of 1 where 2 is the least", false, i_all_2, s_req_20},
    {"minChainLength 0 is 1 below the issuer", true, i_all_1, s_req_20},
    {"minChainLength 1 is 2 below the issuer", false, i_all_1, s_req_20_min_1},
    {"minChainLength 1 below 1 to 2", true, i_all_1_2, s_req_20_min_1},
    {"chainLengthRange 1 below 1 to 2", true, i_all_1_2, s_req_20_range_1},
    {"chainLengthRange 1 below 1", false, i_all_1, s_req_20_range_1},
    {"any length below 1 to 2", false, i_all_1_2, s_req_20_any},
    {"any length below any length", true, i_all_any, s_req_20_any},
    {"a CA below a chain of 1", false, i_all_1, s_ca_20_1},
    {"a CA below a chain of 1 to 2", true, i_all_1_2, s_ca_20_1},
    {"a CA below a chain of 2", true, i_all_2, s_ca_20_1},
    {"a CA of 2 below a chain of 2", false, i_all_2, s_ca_20_2},
    {"a CA of 1 to 2 below 1 to 2", false, i_all_1_2, s_ca_20_1_2},
    {"a CA of any length below 1 to 2", false, i_all_1_2, s_ca_20_any},
    {"a CA of any length below any length", true, i_all_any, s_ca_20_any},
    {"a CA for all below all", true, i_all_any, s_ca_all},
    {"a CA for all below one PSID", false, i_20, s_ca_all},
    {"a CA for enrol below both", true, i_all_any, s_ca_20_1_enrol},
    {"a CA for enrol below app", false, i_all_app, s_ca_20_1_enrol},
    {"no SSP range gives any SSP", true, i_20, s_app_20_aa},
    {"SSP range all gives any SSP", true, i_20_all_ssp, s_app_20_bits},
    {"opaque gives the same SSP", true, i_20_aa, s_app_20_aa},
    {"opaque gives no other SSP", false, i_20_aa, s_app_20_bb},
    {"opaque of octets does not give none", false, i_20_aa, s_app_20},
    {"empty opaque gives none", true, i_20_empty, s_app_20},
    {"empty opaque gives empty", true, i_20_empty, s_app_20_empty},
    {"opaque gives no bitmap", false, i_20_aa, s_app_20_bits},
    {"a bitmap gives what agrees", true, i_20_bits, s_app_20_bits},
    {"a bitmap gives nothing else", false, i_20_bits, s_app_20_bits_bad},
    {"a bitmap that is too short", false, i_20_bits, s_app_20_bits_short},
    {"mask octets of zero ask for nothing", true, i_20_bits_tail, s_app_20_bits_short},
    {"a bitmap gives no opaque", false, i_20_bits, s_app_20_aa},
    {"a bitmap does not give none", false, i_20_bits, s_app_20},
    {"a range within a range", true, i_20_aa, s_req_20_aa},
    {"a range beyond a range", false, i_20_aa, s_req_20_aa_cc},
    {"any SSP beyond a range", false, i_20_aa, s_req_20},
    {"any SSP below all SSPs", true, i_20_all_ssp, s_req_20},
    {"a tighter bitmap", true, i_20_bits, s_req_20_bits},
    {"a wider bitmap", false, i_20_bits, s_req_20_bits_wide},
    {"a bitmap of other values", false, i_20_bits, s_req_20_bits_value},
    {"all does not give a PSID that is named", false, i_all_but_20, s_app_20_bb},
    {"the named PSID by its own range", true, i_all_but_20, s_app_20_aa},
    {"all gives the PSIDs that are not named", true, i_all_but_20, s_app_21},
    {"all claims the named PSID too", false, i_all_but_20, s_req_all},
    {"all with the named PSID narrowed", true, i_all_but_20, s_req_all_and_20},
    {"all below all", true, i_all_1, s_req_all},
    {"each PSID in its own chain length", false, i_20_long_21_short, s_req_20_21},
    {"the group of the PSID that fits", true, i_two_groups, s_app_20},
    {"groups are not added up", false, i_two_groups, s_req_20},
    {"one of two PSIDs is missing", false, i_20, s_req_20_21},
};
/* clang-format on */

static void permissions_within_the_issuers(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    for (size_t i = 0; i < sizeof(permission_cases) / sizeof(permission_cases[0]); i++) {
        const struct permission_case *c = &permission_cases[i];
        ToBeSignedCertificate_t *body = fixture_body(f, "issuer", FIXTURE_START, 1000);
        struct dot2_error error = {0};
        dot2_cert *issuer = NULL, *cert = NULL;
        dot2_trust *trust = NULL;
        enum dot2_status status = DOT2_OK;

        c->issuer(f, body);
        issuer = fixture_explicit(f, body, pki.eca_key, NULL, pki.eca_key);
        body = fixture_body(f, "subject", FIXTURE_START, 1000);
        c->subject(f, body);
        cert = fixture_explicit(f, body, pki.rse_key, issuer, pki.eca_key);
        assert_int_equal(dot2_trust_new(f->crypto, NULL, &trust), DOT2_OK);
        assert_int_equal(dot2_trust_add_anchor(trust, issuer), DOT2_OK);
        status = dot2_chain_verify(trust, cert, &any, NULL, &error);
        if (status != (c->ok ? DOT2_OK : DOT2_E_PERMISSION))
            fail_msg("%s: %s (%s: %s)", c->what, dot2_status_name(status), error.field,
                     error.detail);
        expect(trust, cert, &signature_only, DOT2_OK);
        dot2_trust_free(trust);
        dot2_cert_free(cert);
        dot2_cert_free(issuer);
    }
    pki_close(&pki);
}

/* ---- regions, by their COER ---- */

#define USA "80 0348"
#define CANADA "80 007C"
static const struct {
    const char *what, *inner, *outer;
    bool within;
} region_cases[] = {
    {"a country in itself", "83 0101" USA, "83 0101" USA, true},
    {"a country in two", "83 0101" USA, "83 0102" CANADA USA, true},
    {"two countries in one", "83 0102" CANADA USA, "83 0101" USA, false},
    {"another country", "83 0101" CANADA, "83 0101" USA, false},
    {"a region in its country", "83 0101 81 0348 0101 05", "83 0101" USA, true},
    {"a country in its region", "83 0101" USA, "83 0101 81 0348 0101 05", false},
    {"a region of two", "83 0101 81 0348 0101 05", "83 0101 81 0348 0102 04 05", true},
    {"a region of another country", "83 0101 81 007C 0101 05", "83 0101 81 0348 0102 04 05", false},
    {"two regions of one", "83 0101 81 0348 0102 04 05", "83 0101 81 0348 0101 04", false},
    {"two regions of two entries", "83 0101 81 0348 0102 04 05",
     "83 0102 81 0348 0101 04 81 0348 0101 05", true},
    {"a subregion in its country", "83 0101 82 0348 0101 05 0101 0007", "83 0101" USA, true},
    {"a subregion in its region", "83 0101 82 0348 0101 05 0101 0007", "83 0101 81 0348 0101 05",
     true},
    {"a subregion of another region", "83 0101 82 0348 0101 05 0101 0007",
     "83 0101 81 0348 0101 06", false},
    {"a subregion of two", "83 0101 82 0348 0101 05 0101 0007",
     "83 0101 82 0348 0101 05 0102 0006 0007", true},
    {"another subregion", "83 0101 82 0348 0101 05 0101 0008",
     "83 0101 82 0348 0101 05 0102 0006 0007", false},
    {"a region in its subregions", "83 0101 81 0348 0101 05", "83 0101 82 0348 0101 05 0101 0007",
     false},
    /* rectangles, degrees: (41,-80)-(40,-79) */
    {"a rectangle in itself", "81 0101 18701A80 D050F800 17D78400 D0E98E80",
     "81 0101 18701A80 D050F800 17D78400 D0E98E80", true},
    {"a rectangle in a wider one", "81 0101 18701A80 D050F800 17D78400 D0E98E80",
     "81 0101 18701A81 D050F7FF 17D783FF D0E98E81", true},
    {"a rectangle beyond the north", "81 0101 18701A81 D050F800 17D78400 D0E98E80",
     "81 0101 18701A80 D050F800 17D78400 D0E98E80", false},
    {"a rectangle beyond the east", "81 0101 18701A80 D050F800 17D78400 D0E98E81",
     "81 0101 18701A80 D050F800 17D78400 D0E98E80", false},
    {"two rectangles, one outside",
     "81 0102 18701A80 D050F800 17D78400 D0E98E80 18701A81 D050F800 "
     "17D78400 D0E98E80",
     "81 0101 18701A80 D050F800 17D78400 D0E98E80", false},
    {"a rectangle upside down", "81 0101 17D78400 D0E98E80 18701A80 D050F800",
     "81 0101 18701A80 D050F800 17D78400 D0E98E80", false},
    {"a rectangle in a country", "81 0101 18701A80 D050F800 17D78400 D0E98E80", "83 0101" USA,
     false},
    {"a country in a rectangle", "83 0101" USA, "81 0101 18701A80 D050F800 17D78400 D0E98E80",
     false},
    /* circles around (40.5, -79.5) = 1823CF40 D09D4340 */
    {"a circle in a wider one", "80 1823CF40 D09D4340 03E8", "80 1823CF40 D09D4340 03E9", true},
    {"a circle in a narrower one", "80 1823CF40 D09D4340 03E9", "80 1823CF40 D09D4340 03E8", false},
    /* 100 m north: 9e-4 degrees = 9000 units */
    {"a circle aside in one wide enough", "80 1823F268 D09D4340 0064", "80 1823CF40 D09D4340 00CA",
     true},
    {"a circle aside", "80 1823F268 D09D4340 0064", "80 1823CF40 D09D4340 00C7", false},
    {"a circle in a rectangle", "80 1823CF40 D09D4340 2710",
     "81 0101 18701A80 D050F800 17D78400 D0E98E80", true},
    {"a circle over a rectangle", "80 1823CF40 D09D4340 FFFF",
     "81 0101 18701A80 D050F800 17D78400 D0E98E80", false},
    /* a rectangle of about 200 m around the centre */
    {"a rectangle in a circle", "81 0101 1823F268 D09D2018 1823AC18 D09D6668",
     "80 1823CF40 D09D4340 00C8", true},
    {"a rectangle over a circle", "81 0101 1823F268 D09D2018 1823AC18 D09D6668",
     "80 1823CF40 D09D4340 0064", false},
    {"a polygon in a rectangle", "82 0103 1823CF40 D09D4340 1823F268 D09D4340 1823CF40 D09D6668",
     "81 0101 18701A80 D050F800 17D78400 D0E98E80", true},
    {"a polygon beyond a rectangle",
     "82 0103 1823CF40 D09D4340 18701A81 D09D4340 1823CF40 D09D6668",
     "81 0101 18701A80 D050F800 17D78400 D0E98E80", false},
    {"a polygon in the same polygon",
     "82 0103 1823CF40 D09D4340 1823F268 D09D4340 1823CF40 D09D6668",
     "82 0103 1823CF40 D09D4340 1823F268 D09D4340 1823CF40 D09D6668", true},
    {"a circle in a polygon is not known", "80 1823CF40 D09D4340 0001",
     "82 0103 1823CF40 D09D4340 1823F268 D09D4340 1823CF40 D09D6668", false},
    {"a circle at the pole", "80 35A4E900 00000000 0064",
     "81 0101 35A4E900 94B62E01 35000000 6B49D200", false},
    {"an unknown latitude", "80 35A4E901 D09D4340 0064", "80 35A4E901 D09D4340 00C8", false},
};

static void regions_within_the_issuers(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    for (size_t i = 0; i < sizeof(region_cases) / sizeof(region_cases[0]); i++) {
        /* Through a CA without a region, whose issuer's holds. */
        ToBeSignedCertificate_t *body = pki_ca_body(f, "root", 3000);
        dot2_cert *root = NULL, *ca = NULL, *cert = NULL;
        struct dot2_error error = {0};
        dot2_trust *trust = NULL;
        enum dot2_status status = DOT2_OK;

        fixture_region(f, body, region_cases[i].outer);
        root = fixture_explicit(f, body, pki.root_key, NULL, pki.root_key);
        ca = fixture_explicit(f, pki_ca_body(f, "ca", 2000), pki.eca_key, root, pki.root_key);
        body = fixture_body(f, "subject", FIXTURE_START, 1000);
        fixture_request(f, body, 0x20, NULL, 0, 0, APP);
        fixture_region(f, body, region_cases[i].inner);
        cert = fixture_explicit(f, body, pki.rse_key, ca, pki.eca_key);
        assert_int_equal(dot2_trust_new(f->crypto, NULL, &trust), DOT2_OK);
        assert_int_equal(dot2_trust_add_anchor(trust, root), DOT2_OK);
        assert_int_equal(dot2_trust_add(trust, ca), DOT2_OK);
        status = dot2_chain_verify(trust, cert, &enrollment, NULL, &error);
        if (status != (region_cases[i].within ? DOT2_OK : DOT2_E_REGION))
            fail_msg("%s: %s (%s: %s)", region_cases[i].what, dot2_status_name(status), error.field,
                     error.detail);
        dot2_trust_free(trust);
        dot2_cert_free(cert);
        dot2_cert_free(ca);
        dot2_cert_free(root);
    }
    pki_close(&pki);
}

static void assurance_within_the_issuers(void **state)
{
    static const struct {
        int issuer, subject; /* -1: absent */
        bool ok;
    } cases[] = {
        {-1, -1, true},     {0x40, -1, true},    {0x40, 0x40, true}, {0x40, 0x43, true},
        {0x60, 0x40, true}, {0x40, 0x60, false}, {-1, 0x03, true},   {-1, 0x20, false},
        {0xe0, 0xe3, true}, {0x1f, 0x20, false},
    };
    const struct fixture *f = *state;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ToBeSignedCertificate_t *body = pki_ca_body(f, "root", 3000);
        dot2_cert *root = NULL, *cert = NULL;
        dot2_trust *trust = NULL;

        if (cases[i].issuer >= 0)
            fixture_assurance(f, body, (uint8_t)cases[i].issuer);
        root = fixture_explicit(f, body, pki.root_key, NULL, pki.root_key);
        body = fixture_body(f, "subject", FIXTURE_START, 1000);
        fixture_request(f, body, 0x20, NULL, 0, 0, APP);
        if (cases[i].subject >= 0)
            fixture_assurance(f, body, (uint8_t)cases[i].subject);
        cert = fixture_explicit(f, body, pki.rse_key, root, pki.root_key);
        assert_int_equal(dot2_trust_new(f->crypto, NULL, &trust), DOT2_OK);
        assert_int_equal(dot2_trust_add_anchor(trust, root), DOT2_OK);
        expect(trust, cert, &enrollment, cases[i].ok ? DOT2_OK : DOT2_E_ASSURANCE);
        dot2_trust_free(trust);
        dot2_cert_free(cert);
        dot2_cert_free(root);
    }
    pki_close(&pki);
}

static void depth(void **state)
{
    const struct fixture *f = *state;
    struct dot2_trust_limits limits = {.cache_entries = 100};
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P256);
    dot2_cert *certs[18] = {0};
    dot2_trust *trust = NULL;

    for (unsigned i = 0; i < 18; i++)
        certs[i] = fixture_explicit(f, pki_ca_body(f, "ca", 20000 - i), key,
                                    i == 0 ? NULL : certs[i - 1], key);
    for (unsigned max = 0; max <= 16; max++) {
        unsigned allowed = max == 0 ? 8 : max;

        limits.max_depth = max;
        for (int forwards = 0; forwards < 2; forwards++) {
            assert_int_equal(dot2_trust_new(f->crypto, &limits, &trust), DOT2_OK);
            assert_int_equal(dot2_trust_add_anchor(trust, certs[0]), DOT2_OK);
            for (unsigned i = 1; i < 18; i++)
                assert_int_equal(dot2_trust_add(trust, certs[i]), DOT2_OK);
            /* From the anchor, so that what is above is in the cache; and all at once. */
            for (unsigned i = 0; i < 18 && forwards; i++)
                expect(trust, certs[i], &any, i < allowed ? DOT2_OK : DOT2_E_DEPTH);
            expect(trust, certs[allowed], &any, DOT2_E_DEPTH);
            expect(trust, certs[allowed - 1], &any, DOT2_OK);
            dot2_trust_free(trust);
        }
    }
    limits.max_depth = 17;
    assert_int_equal(dot2_trust_new(f->crypto, &limits, &trust), DOT2_E_ARGUMENT);
    for (unsigned i = 0; i < 18; i++)
        dot2_cert_free(certs[i]);
    EVP_PKEY_free(key);
}

/* Two certificates that name each other cannot be made with real hashes; one that names itself by
 * its HashedId8 neither. The kinds of issuer names: sha256 where sha384 belongs. */
static void the_hash_of_the_issuers_name(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;
    uint8_t octets[512];
    const uint8_t *original = NULL;
    size_t size = 0;
    dot2_cert *cert = NULL;

    pki_open(f, DOT2_CURVE_P256, &pki);
    original = dot2_cert_octets(pki.rse, &size);
    /* The issuer's name is outside of what is signed: its kind must not be free, or a blacklisted
     * certificate would have another hash. 80 + 8 octets -> 82 08 + 8 octets. */
    memcpy(octets, original, 3);
    octets[3] = 0x82;
    octets[4] = 8;
    memcpy(octets + 5, original + 4, size - 4);
    assert_int_equal(dot2_cert_new(f->crypto, octets, size + 1, &cert, NULL), DOT2_OK);
    expect(pki.trust, cert, &enrollment, DOT2_E_ISSUER_UNKNOWN);
    dot2_cert_free(cert);
    pki_close(&pki);
}

static void mixed_curves(void **state)
{
    const struct fixture *f = *state;
    EVP_PKEY *p256 = fixture_key(f, DOT2_CURVE_P256);
    EVP_PKEY *bp384 = fixture_key(f, DOT2_CURVE_BRAINPOOL_P384R1);
    EVP_PKEY *key = NULL;
    dot2_cert *root = NULL, *ca = NULL, *cert = NULL;
    dot2_trust *trust = NULL;
    struct dot2_chain chain = {0};

    /* brainpoolP384r1 -> P-256 -> brainpoolP384r1 and an implicit one */
    root = fixture_explicit(f, pki_ca_body(f, "root", 3000), bp384, NULL, bp384);
    ca = fixture_explicit(f, pki_ca_body(f, "ca", 2000), p256, root, bp384);
    assert_int_equal(dot2_cert_asn1(ca)->issuer.present, IssuerIdentifier_PR_sha384AndDigest);
    assert_int_equal(dot2_trust_new(f->crypto, NULL, &trust), DOT2_OK);
    assert_int_equal(dot2_trust_add_anchor(trust, root), DOT2_OK);
    assert_int_equal(dot2_trust_add(trust, ca), DOT2_OK);
    cert = fixture_explicit(f, pki_ca_body(f, "x", 1000), bp384, ca, p256);
    assert_int_equal(dot2_cert_asn1(cert)->issuer.present, IssuerIdentifier_PR_sha256AndDigest);
    expect(trust, cert, &any, DOT2_OK);
    dot2_cert_free(cert);
    cert = fixture_implicit(f, pki_ca_body(f, "implicit CA", 1000), ca, p256, &key);
    assert_int_equal(dot2_chain_verify(trust, cert, &any, &chain, NULL), DOT2_OK);
    assert_int_equal(EVP_PKEY_eq(chain.key, key), 1);
    dot2_chain_clear(&chain);
    /* An implicit CA issues implicit certificates only. */
    assert_int_equal(dot2_trust_add(trust, cert), DOT2_OK);
    {
        EVP_PKEY *end_key = NULL;
        ToBeSignedCertificate_t *body = fixture_body(f, "end", FIXTURE_START, 900);
        dot2_cert *end = NULL;

        fixture_app(f, body, 0x20, NULL, NULL);
        end = fixture_implicit(f, body, cert, key, &end_key);
        assert_int_equal(dot2_chain_verify(trust, end, &any, &chain, NULL), DOT2_OK);
        assert_int_equal(EVP_PKEY_eq(chain.key, end_key), 1);
        dot2_chain_clear(&chain);
        dot2_cert_free(end);
        EVP_PKEY_free(end_key);
        body = fixture_body(f, "end", FIXTURE_START, 900);
        fixture_app(f, body, 0x20, NULL, NULL);
        end = fixture_explicit(f, body, p256, cert, key);
        expect(trust, end, &any, DOT2_E_TYPE);
        dot2_cert_free(end);
    }
    dot2_cert_free(cert);
    dot2_trust_free(trust);
    dot2_cert_free(root);
    dot2_cert_free(ca);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(bp384);
    EVP_PKEY_free(key);
}

/* ---- the cache ---- */

static void the_cache_is_bounded_and_ends(void **state)
{
    const struct fixture *f = *state;
    struct dot2_trust_limits limits = {.cache_entries = 10};
    struct dot2_check check = enrollment;
    struct pki pki;
    dot2_trust *trust = NULL;
    dot2_cert *cert = NULL;

    pki_open(f, DOT2_CURVE_P256, &pki);
    assert_int_equal(dot2_trust_new(f->crypto, &limits, &trust), DOT2_OK);
    assert_int_equal(dot2_trust_add_anchor(trust, pki.root), DOT2_OK);
    assert_int_equal(dot2_trust_add(trust, pki.ica), DOT2_OK);
    assert_int_equal(dot2_trust_add(trust, pki.eca), DOT2_OK);
    for (int i = 0; i < 40; i++) {
        EVP_PKEY *key = NULL;

        cert = fixture_implicit(f, pki_rse_body(f, ""), pki.eca, pki.eca_key, &key);
        expect(trust, cert, &enrollment, DOT2_OK);
        assert_true(dot2_cache_count(dot2_trust_cache(trust)) <= 10);
        dot2_cert_free(cert);
        EVP_PKEY_free(key);
    }
    assert_int_equal(dot2_cache_count(dot2_trust_cache(trust)), 10);
    /* The CAs above are used each time, so they are still there. */
    {
        uint8_t key[DOT2_CACHE_KEY] = {0};
        struct dot2_verdict *verdict = NULL;

        memcpy(key, pki.eca->received_hash, 32);
        verdict = dot2_cache_find(dot2_trust_cache(trust), key, FIXTURE_NOW);
        assert_non_null(verdict);
        dot2_verdict_free(verdict);
    }
    /* An entry goes with the end of its validity; refusals are not kept. */
    expect(trust, pki.rse, &enrollment, DOT2_OK);
    assert_int_equal(dot2_cache_count(dot2_trust_cache(trust)), 10);
    check.time = dot2_cert_end(pki.rse) + 1;
    expect(trust, pki.rse, &check, DOT2_E_EXPIRED);
    expect(trust, pki.rse, &enrollment, DOT2_OK);
    dot2_trust_free(trust);
    pki_close(&pki);
}

static void a_refusal_is_not_kept(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;
    dot2_cert *cert = NULL;
    size_t before = 0;

    pki_open(f, DOT2_CURVE_P256, &pki);
    expect(pki.trust, pki.rse, &enrollment, DOT2_OK);
    before = dot2_cache_count(dot2_trust_cache(pki.trust));
    cert = fixture_explicit(f, pki_rse_body(f, "x"), pki.rse_key, pki.eca, pki.ica_key);
    expect(pki.trust, cert, &enrollment, DOT2_E_ISSUER_SIGNATURE);
    expect(pki.trust, cert, &enrollment, DOT2_E_ISSUER_SIGNATURE);
    assert_int_equal(dot2_cache_count(dot2_trust_cache(pki.trust)), before);
    dot2_cert_free(cert);
    /* What was verified without rules does not pass with them. */
    {
        ToBeSignedCertificate_t *body = pki_rse_body(f, "x");

        body->validityPeriod.duration.choice.hours = 60000;
        cert = fixture_explicit(f, body, pki.rse_key, pki.eca, pki.eca_key);
        expect(pki.trust, cert, &signature_only, DOT2_OK);
        expect(pki.trust, cert, &enrollment, DOT2_E_VALIDITY_NESTING);
        dot2_cert_free(cert);
    }
    pki_close(&pki);
}

struct worker {
    struct pki *pki;
    dot2_cert **certs;
    size_t count;
    dot2_cert *bad;
    unsigned seed;
    int failures;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < 300; i++) {
        struct dot2_chain chain = {0};
        dot2_cert *cert = w->certs[(size_t)rand_r(&w->seed) % w->count];

        if (dot2_chain_verify(w->pki->trust, cert, &enrollment, &chain, NULL) != DOT2_OK ||
            chain.depth != 4)
            w->failures++;
        dot2_chain_clear(&chain);
        if (i % 16 == 0 && dot2_chain_verify(w->pki->trust, w->bad, &enrollment, NULL, NULL) !=
                               DOT2_E_ISSUER_SIGNATURE)
            w->failures++;
    }
    return NULL;
}

/* More certificates than entries, so that they push each other out. */
static void threads_share_the_trust(void **state)
{
    const struct fixture *f = *state;
    struct dot2_trust_limits limits = {.cache_entries = 8};
    struct worker workers[6];
    pthread_t threads[6];
    dot2_cert *certs[20];
    dot2_cert *bad = NULL;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    dot2_trust_free(pki.trust);
    assert_int_equal(dot2_trust_new(f->crypto, &limits, &pki.trust), DOT2_OK);
    assert_int_equal(dot2_trust_add_anchor(pki.trust, pki.root), DOT2_OK);
    assert_int_equal(dot2_trust_add(pki.trust, pki.ica), DOT2_OK);
    assert_int_equal(dot2_trust_add(pki.trust, pki.eca), DOT2_OK);
    for (size_t i = 0; i < 20; i++) {
        EVP_PKEY *key = NULL;

        certs[i] = i % 2 == 0 ? fixture_implicit(f, pki_rse_body(f, ""), pki.eca, pki.eca_key, &key)
                              : fixture_explicit(f, pki_rse_body(f, "x"), pki.rse_key, pki.eca,
                                                 pki.eca_key);
        EVP_PKEY_free(key);
    }
    bad = fixture_explicit(f, pki_rse_body(f, "x"), pki.rse_key, pki.eca, pki.ica_key);
    for (unsigned i = 0; i < 6; i++) {
        workers[i] =
            (struct worker){.pki = &pki, .certs = certs, .count = 20, .bad = bad, .seed = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_true(dot2_cache_count(dot2_trust_cache(pki.trust)) <= 8);
    for (size_t i = 0; i < 20; i++)
        dot2_cert_free(certs[i]);
    dot2_cert_free(bad);
    pki_close(&pki);
    ERR_clear_error();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_chain),
        cmocka_unit_test(trust_is_needed),
        cmocka_unit_test(a_signature_of_somebody_else),
        cmocka_unit_test(every_flipped_bit),
        cmocka_unit_test(validity_of_all_of_the_chain),
        cmocka_unit_test(an_expired_issuer),
        cmocka_unit_test(the_purpose_of_enrollment),
        cmocka_unit_test(permissions_within_the_issuers),
        cmocka_unit_test(regions_within_the_issuers),
        cmocka_unit_test(assurance_within_the_issuers),
        cmocka_unit_test(depth),
        cmocka_unit_test(the_hash_of_the_issuers_name),
        cmocka_unit_test(mixed_curves),
        cmocka_unit_test(the_cache_is_bounded_and_ends),
        cmocka_unit_test(a_refusal_is_not_kept),
        cmocka_unit_test(threads_share_the_trust),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
