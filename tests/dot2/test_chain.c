/* test_chain.c: the rules of a chain, kept and broken. */
#include "tests/dot2/fixture.h"

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
            assert_int_equal(dot2_chain_verify(pki.trust, pki.rse, &pki_enrollment, &chain, NULL),
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
            assert_int_equal(
                dot2_chain_verify(pki.trust, pki.implicit, &pki_enrollment, &chain, NULL), DOT2_OK);
            assert_int_equal(EVP_PKEY_eq(chain.key, pki.implicit_key), 1);
            dot2_chain_clear(&chain);
            pki_expect(pki.trust, pki.implicit, &pki_enrollment, DOT2_OK);
        }
        pki_expect(pki.trust, pki.eca, &pki_any, DOT2_OK);
        pki_expect(pki.trust, pki.root, &pki_any, DOT2_OK);
        pki_expect(pki.trust, pki.root, &pki_enrollment, DOT2_E_PERMISSION);
        pki_expect(pki.trust, pki.eca, &pki_enrollment, DOT2_E_PERMISSION);
        assert_int_equal(dot2_chain_verify(pki.trust, pki.rse, &pki_enrollment, NULL, NULL),
                         DOT2_OK);
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
    pki_expect(other.trust, pki.rse, &pki_enrollment, DOT2_E_ISSUER_UNKNOWN);
    pki_expect(other.trust, pki.root, &pki_any, DOT2_E_ISSUER_UNKNOWN);

    assert_int_equal(dot2_trust_new(f->crypto, NULL, &trust), DOT2_OK);
    pki_expect(trust, pki.rse, &pki_enrollment, DOT2_E_ISSUER_UNKNOWN);
    assert_int_equal(dot2_trust_add(trust, pki.eca), DOT2_OK);
    assert_int_equal(dot2_trust_add(trust, pki.ica), DOT2_OK);
    assert_int_equal(dot2_trust_add(trust, pki.root), DOT2_OK); /* known, but no anchor */
    pki_expect(trust, pki.rse, &pki_enrollment, DOT2_E_ISSUER_UNKNOWN);
    assert_int_equal(dot2_trust_add_anchor(trust, pki.root), DOT2_OK);
    pki_expect(trust, pki.rse, &pki_enrollment, DOT2_OK);
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
    pki_expect(trust, pki.rse, &pki_enrollment, DOT2_OK);
    pki_expect(trust, pki.implicit, &pki_enrollment, DOT2_OK);
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
    pki_expect(pki.trust, cert, &pki_enrollment, DOT2_E_ISSUER_SIGNATURE);
    pki_expect(pki.trust, cert, &pki_signature_only, DOT2_E_ISSUER_SIGNATURE);
    dot2_cert_free(cert);
    pki_close(&pki);
}

/* Each single bit of a certificate: refused, or unable to verify, or not this certificate. */
static void every_flipped_bit(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    pki_expect(pki.trust, pki.rse, &pki_enrollment, DOT2_OK);
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
                dot2_chain_verify(pki.trust, cert, &pki_enrollment, &chain, NULL) == DOT2_OK) {
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
    struct dot2_check check = pki_enrollment;
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
            pki_expect(pki.trust, pki.rse, &check, cases[i].status);
            pki_expect(pki.trust, pki.implicit, &check, cases[i].status);
        }
    }
    check.time = 0;
    pki_expect(pki.trust, pki.rse, &pki_signature_only, DOT2_OK);
    pki_close(&pki);
}

/* A CA that is not valid any more, above a certificate that is (nesting aside). */
static void an_expired_issuer(void **state)
{
    const struct fixture *f = *state;
    ToBeSignedCertificate_t *body = NULL;
    struct dot2_check check = pki_enrollment;
    struct pki pki;
    dot2_cert *short_ca = NULL, *cert = NULL;

    pki_open(f, DOT2_CURVE_P256, &pki);
    body = fixture_body(f, "short", FIXTURE_START, 100);
    fixture_issue(f, body, -1, NULL, 1, 0, ENROL);
    short_ca = fixture_explicit(f, body, pki.eca_key, pki.ica, pki.ica_key);
    assert_int_equal(dot2_trust_add(pki.trust, short_ca), DOT2_OK);
    cert = fixture_explicit(f, pki_rse_body(f, "x"), pki.rse_key, short_ca, pki.eca_key);
    check.time = FIXTURE_START + 50 * 3600;
    pki_expect(pki.trust, cert, &check, DOT2_E_VALIDITY_NESTING);
    check.time = FIXTURE_START + 101 * 3600;
    pki_expect(pki.trust, cert, &check, DOT2_E_EXPIRED);
    dot2_cert_free(cert);
    /* Starts before its issuer. */
    body = pki_rse_body(f, "early");
    body->validityPeriod.start = FIXTURE_START - 3600;
    body->validityPeriod.duration.choice.hours = 10;
    cert = fixture_explicit(f, body, pki.rse_key, short_ca, pki.eca_key);
    check.time = FIXTURE_START + 3600;
    pki_expect(pki.trust, cert, &check, DOT2_E_VALIDITY_NESTING);
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
    pki_expect(pki.trust, cert, &pki_enrollment, DOT2_E_PERMISSION);
    pki_expect(pki.trust, cert, &pki_any, DOT2_OK);
    /* What was cached for another purpose does not count. */
    pki_expect(pki.trust, cert, &pki_enrollment, DOT2_E_PERMISSION);
    dot2_cert_free(cert);
    body = fixture_body(f, "an application", FIXTURE_START, 1000);
    fixture_app(f, body, 0x20, NULL, NULL);
    cert = fixture_explicit(f, body, pki.rse_key, ca, pki.eca_key);
    pki_expect(pki.trust, cert, &pki_enrollment, DOT2_E_PERMISSION);
    pki_expect(pki.trust, cert, &pki_any, DOT2_OK);
    dot2_cert_free(cert);
    dot2_cert_free(ca);
    /* One that is an anchor is nobody's subject. */
    assert_int_equal(dot2_trust_add_anchor(pki.trust, pki.rse), DOT2_OK);
    pki_expect(pki.trust, pki.rse, &pki_enrollment, DOT2_E_PERMISSION);
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
        pki_expect(trust, cert, &pki_enrollment, cases[i].ok ? DOT2_OK : DOT2_E_ASSURANCE);
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
                pki_expect(trust, certs[i], &pki_any, i < allowed ? DOT2_OK : DOT2_E_DEPTH);
            pki_expect(trust, certs[allowed], &pki_any, DOT2_E_DEPTH);
            pki_expect(trust, certs[allowed - 1], &pki_any, DOT2_OK);
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
    pki_expect(pki.trust, cert, &pki_enrollment, DOT2_E_ISSUER_UNKNOWN);
    dot2_cert_free(cert);
    pki_close(&pki);
}

/*
 * Two CAs with one HashedId8: both are tried. Nobody can make such a pair, so the hash of one is
 * overwritten in memory.
 */
static void two_issuers_of_one_hashedid8(void **state)
{
    const struct fixture *f = *state;

    for (int order = 0; order < 2; order++) {
        struct pki pki;
        dot2_cert *twin = NULL;
        dot2_trust *trust = NULL;

        pki_open(f, DOT2_CURVE_P256, &pki);
        twin =
            fixture_explicit(f, pki_ca_body(f, "twin", 15000), pki.rse_key, pki.ica, pki.ica_key);
        memcpy(twin->hash + 24, pki.eca->hash + 24, 8);
        assert_int_equal(dot2_trust_new(f->crypto, NULL, &trust), DOT2_OK);
        assert_int_equal(dot2_trust_add_anchor(trust, pki.root), DOT2_OK);
        assert_int_equal(dot2_trust_add(trust, pki.ica), DOT2_OK);
        assert_int_equal(dot2_trust_add(trust, order == 0 ? twin : pki.eca), DOT2_OK);
        assert_int_equal(dot2_trust_add(trust, order == 0 ? pki.eca : twin), DOT2_OK);
        pki_expect(trust, pki.rse, &pki_enrollment, DOT2_OK);
        dot2_trust_free(trust);
        dot2_cert_free(twin);
        pki_close(&pki);
    }
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
    pki_expect(trust, cert, &pki_any, DOT2_OK);
    dot2_cert_free(cert);
    cert = fixture_implicit(f, pki_ca_body(f, "implicit CA", 1000), ca, p256, &key);
    assert_int_equal(dot2_chain_verify(trust, cert, &pki_any, &chain, NULL), DOT2_OK);
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
        assert_int_equal(dot2_chain_verify(trust, end, &pki_any, &chain, NULL), DOT2_OK);
        assert_int_equal(EVP_PKEY_eq(chain.key, end_key), 1);
        dot2_chain_clear(&chain);
        dot2_cert_free(end);
        EVP_PKEY_free(end_key);
        body = fixture_body(f, "end", FIXTURE_START, 900);
        fixture_app(f, body, 0x20, NULL, NULL);
        end = fixture_explicit(f, body, p256, cert, key);
        pki_expect(trust, end, &pki_any, DOT2_E_TYPE);
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
        cmocka_unit_test(assurance_within_the_issuers),
        cmocka_unit_test(depth),
        cmocka_unit_test(the_hash_of_the_issuers_name),
        cmocka_unit_test(two_issuers_of_one_hashedid8),
        cmocka_unit_test(mixed_curves),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
