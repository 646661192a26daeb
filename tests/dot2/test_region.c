/* test_region.c: regions, by their COER, within that of an issuer. */
#include "tests/dot2/fixture.h"

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
        status = dot2_chain_verify(trust, cert, &pki_enrollment, NULL, &error);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_within_the_issuers),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
