/* test_permissions.c: what an issuer may give, against what a subject claims. */
#include "tests/dot2/fixture.h"

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
        status = dot2_chain_verify(trust, cert, &pki_any, NULL, &error);
        if (status != (c->ok ? DOT2_OK : DOT2_E_PERMISSION))
            fail_msg("%s: %s (%s: %s)", c->what, dot2_status_name(status), error.field,
                     error.detail);
        assert_int_equal(dot2_chain_verify(trust, cert, &pki_signature_only, NULL, NULL), DOT2_OK);
        dot2_trust_free(trust);
        dot2_cert_free(cert);
        dot2_cert_free(issuer);
    }
    pki_close(&pki);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permissions_within_the_issuers),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
