/* test_crl.c: revocation by lists of the HashedId10 kind. */
#include "protocol/dot2/crl.h"
#include "tests/dot2/crl_world.h"

#include <openssl/bn.h>

static enum dot2_status add(struct world *w, const struct list *list, struct dot2_crl_info *info)
{
    struct dot2_error error = {0};
    size_t size = 0;
    const uint8_t *octets = make(w, list, &size);
    enum dot2_status status =
        dot2_trust_add_crl(w->pki.trust, octets, size, FIXTURE_NOW, info, &error);

    assert_int_equal(error.status, status);
    return status;
}

static enum dot2_status verify(struct world *w, dot2_cert *cert)
{
    const struct dot2_check check = {DOT2_PURPOSE_ANY, FIXTURE_NOW, false};

    return dot2_chain_verify(w->pki.trust, cert, &check, NULL, NULL);
}

/* Verified before, and so in the cache: the list counts all the same. */
static void revoked(void **state)
{
    const struct dot2_check signature_only = {DOT2_PURPOSE_ANY, FIXTURE_NOW, true};
    struct dot2_crl_info info;
    struct dot2_error error;
    struct list list;
    struct world w;

    world_open(*state, &w);
    assert_int_equal(verify(&w, w.device), DOT2_OK);
    assert_int_equal(verify(&w, w.implicit), DOT2_OK);
    list = full(&w);
    list.revoked[0] = w.implicit;
    list.revoked[1] = w.device;
    assert_int_equal(add(&w, &list, &info), DOT2_OK);
    assert_true(info.current && info.evaluated && !info.delta);
    assert_int_equal(info.entries, 2);
    assert_int_equal(info.series, SERIES);
    assert_int_equal(info.issue_date, ISSUED);
    assert_int_equal(info.next_crl, ISSUED + 100000);
    assert_memory_equal(info.craca_id, dot2_cert_hashedid8(w.craca), 8);
    assert_int_equal(verify(&w, w.device), DOT2_E_REVOKED);
    assert_int_equal(verify(&w, w.implicit), DOT2_E_REVOKED);
    assert_int_equal(verify(&w, w.other), DOT2_OK);
    assert_int_equal(dot2_chain_verify(w.pki.trust, w.device, &signature_only, NULL, &error),
                     DOT2_OK);
    assert_string_equal(dot2_status_name(DOT2_E_REVOKED), "DOT2_E_REVOKED");
    world_close(&w);
}

/* All that stands below a revoked CA, and the CA's anchor not. */
static void revoked_ca(void **state)
{
    struct list list;
    struct world w;

    world_open(*state, &w);
    assert_int_equal(verify(&w, w.other), DOT2_OK);
    list = full(&w);
    list.revoked[0] = w.ca;
    assert_int_equal(add(&w, &list, NULL), DOT2_OK);
    assert_int_equal(verify(&w, w.other), DOT2_E_REVOKED);
    assert_int_equal(verify(&w, w.implicit), DOT2_E_REVOKED);
    assert_int_equal(verify(&w, w.pki.root), DOT2_OK);
    assert_int_equal(verify(&w, w.pki.rse), DOT2_OK);
    world_close(&w);
}

/* (r, n - s) is as good a signature, under another hash. */
static void not_walked_around(void **state)
{
    const struct fixture *f = *state;
    uint8_t octets[1024];
    const uint8_t *original = NULL;
    dot2_cert *flipped = NULL;
    struct list list;
    struct world w;
    size_t size = 0;
    BIGNUM *s = NULL;

    world_open(f, &w);
    original = dot2_cert_octets(w.device, &size);
    memcpy(octets, original, size);
    s = BN_bin2bn(octets + size - 32, 32, NULL);
    assert_int_equal(BN_sub(s, dot2_order(f->crypto, DOT2_CURVE_P256), s), 1);
    assert_int_equal(BN_bn2binpad(s, octets + size - 32, 32), 32);
    assert_int_equal(dot2_cert_new(f->crypto, octets, size, &flipped, NULL), DOT2_OK);
    assert_int_equal(verify(&w, flipped), DOT2_OK);
    list = full(&w);
    list.revoked[0] = w.device;
    assert_int_equal(add(&w, &list, NULL), DOT2_OK);
    assert_int_equal(verify(&w, flipped), DOT2_E_REVOKED);
    BN_free(s);
    dot2_cert_free(flipped);
    world_close(&w);
}

/* A list has a say in its own series and for its own CRACA only. */
static void another_series(void **state)
{
    struct list list;
    struct world w;

    world_open(*state, &w);
    list = full(&w);
    list.key = w.signer_key;
    list.signer = w.signer; /* of series 4 and 9 */
    list.series = 9;
    list.revoked[0] = w.device;
    assert_int_equal(add(&w, &list, NULL), DOT2_OK);
    assert_int_equal(verify(&w, w.device), DOT2_OK);
    list.series = SERIES;
    list.revoked[0] = w.pki.rse; /* names the CRACA 010203 */
    assert_int_equal(add(&w, &list, NULL), DOT2_OK);
    assert_int_equal(verify(&w, w.pki.rse), DOT2_OK);
    world_close(&w);
}

static void newer_and_older(void **state)
{
    struct dot2_crl_info info;
    struct dot2_crl_info infos[4];
    struct list first, second, delta;
    struct world w;

    world_open(*state, &w);
    first = full(&w);
    first.revoked[0] = w.device;
    second = first;
    second.issued += 100;
    second.revoked[0] = w.other;
    delta = second;
    delta.kind = TypeSpecificCrlContents_PR_deltaHashCrl;
    delta.issued += 100;
    delta.revoked[0] = w.implicit;
    assert_int_equal(add(&w, &first, NULL), DOT2_OK);
    assert_int_equal(add(&w, &second, &info), DOT2_OK);
    assert_true(info.current);
    assert_int_equal(verify(&w, w.device), DOT2_OK);
    assert_int_equal(verify(&w, w.other), DOT2_E_REVOKED);
    /* The older one does not bring its state back, nor does the same once more. */
    assert_int_equal(add(&w, &first, &info), DOT2_OK);
    assert_false(info.current);
    assert_int_equal(add(&w, &second, &info), DOT2_OK);
    assert_false(info.current);
    assert_int_equal(verify(&w, w.device), DOT2_OK);
    assert_int_equal(add(&w, &delta, &info), DOT2_OK);
    assert_true(info.current && info.delta);
    assert_int_equal(verify(&w, w.other), DOT2_E_REVOKED);
    assert_int_equal(verify(&w, w.implicit), DOT2_E_REVOKED);
    assert_int_equal(dot2_trust_crls(w.pki.trust, infos, 4), 2);
    /* A full list from between leaves what the delta said; a newer one replaces both. */
    second.issued += 50;
    second.revoked[0] = NULL;
    assert_int_equal(add(&w, &second, NULL), DOT2_OK);
    assert_int_equal(verify(&w, w.other), DOT2_OK);
    assert_int_equal(verify(&w, w.implicit), DOT2_E_REVOKED);
    second.issued += 200;
    assert_int_equal(add(&w, &second, NULL), DOT2_OK);
    assert_int_equal(verify(&w, w.implicit), DOT2_OK);
    assert_int_equal(dot2_trust_crls(w.pki.trust, infos, 4), 1);
    assert_int_equal(infos[0].issue_date, second.issued);
    assert_int_equal(add(&w, &delta, &info), DOT2_OK);
    assert_false(info.current);
    assert_int_equal(verify(&w, w.implicit), DOT2_OK);
    world_close(&w);
}

/* What a trust that replaces another takes over from it, by what it has itself. */
static void kept_from_another_trust(void **state)
{
    static const struct {
        int full, delta; /* issued so many seconds after the one before; 0: none. Revokes `other` */
        size_t kept;
        bool device, implicit, other; /* revoked then */
    } cases[] = {
        {0, 0, 2, true, true, false},     {100, 0, 1, false, true, true},
        {300, 0, 0, false, false, true},  {-100, 0, 2, true, true, false},
        {0, -50, 2, true, true, false},   {0, 50, 2, true, true, true},
        {100, 300, 0, false, true, true}, {300, 400, 0, false, false, true},
        {-100, 250, 1, true, true, true},
    };
    const struct fixture *f = *state;
    struct list old_full, old_delta;
    dot2_trust *before;
    struct world w;

    world_open(f, &w);
    old_full = full(&w);
    old_full.revoked[0] = w.device;
    old_delta = old_full;
    old_delta.kind = TypeSpecificCrlContents_PR_deltaHashCrl;
    old_delta.issued += 200;
    old_delta.revoked[0] = w.implicit;
    assert_int_equal(add(&w, &old_full, NULL), DOT2_OK);
    assert_int_equal(add(&w, &old_delta, NULL), DOT2_OK);
    before = w.pki.trust;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct list list = old_full;
        size_t kept = 0;

        assert_int_equal(dot2_trust_new(f->crypto, NULL, &w.pki.trust), DOT2_OK);
        assert_int_equal(dot2_trust_add_anchor(w.pki.trust, w.pki.root), DOT2_OK);
        assert_int_equal(dot2_trust_add(w.pki.trust, w.pki.ica), DOT2_OK);
        assert_int_equal(dot2_trust_add(w.pki.trust, w.pki.eca), DOT2_OK);
        assert_int_equal(dot2_trust_add(w.pki.trust, w.ca), DOT2_OK);
        assert_int_equal(dot2_trust_add(w.pki.trust, w.craca), DOT2_OK);
        list.revoked[0] = w.other;
        list.issued = old_full.issued + (uint32_t)cases[i].full;
        if (cases[i].full != 0)
            assert_int_equal(add(&w, &list, NULL), DOT2_OK);
        list.kind = TypeSpecificCrlContents_PR_deltaHashCrl;
        list.issued = old_full.issued + (uint32_t)cases[i].delta;
        if (cases[i].delta != 0)
            assert_int_equal(add(&w, &list, NULL), DOT2_OK);
        assert_int_equal(dot2_trust_keep_crls(w.pki.trust, before, &kept), DOT2_OK);
        if (kept != cases[i].kept || (verify(&w, w.device) != DOT2_OK) != cases[i].device ||
            (verify(&w, w.implicit) != DOT2_OK) != cases[i].implicit ||
            (verify(&w, w.other) != DOT2_OK) != cases[i].other)
            fail_msg("case %zu: %zu kept, %d %d %d", i, kept, verify(&w, w.device),
                     verify(&w, w.implicit), verify(&w, w.other));
        dot2_trust_free(w.pki.trust);
    }
    w.pki.trust = before;
    world_close(&w);
}

/* The CRACA may have another sign for it; who does so can be revoked too. */
static void signed_for_the_craca(void **state)
{
    struct list list;
    struct world w;

    world_open(*state, &w);
    list = full(&w);
    list.key = w.signer_key;
    list.signer = w.signer;
    list.revoked[0] = w.device;
    assert_int_equal(add(&w, &list, NULL), DOT2_OK);
    assert_int_equal(verify(&w, w.device), DOT2_E_REVOKED);
    list = full(&w);
    list.issued++;
    list.revoked[0] = w.signer;
    assert_int_equal(add(&w, &list, NULL), DOT2_OK);
    list.key = w.signer_key;
    list.signer = w.signer;
    list.issued++;
    list.revoked[0] = w.other;
    assert_int_equal(add(&w, &list, NULL), DOT2_E_REVOKED);
    assert_int_equal(verify(&w, w.other), DOT2_OK);
    world_close(&w);
}

static void not_the_signers_to_say(void **state)
{
    static const struct {
        const char *ssp;
        enum dot2_status status;
    } table[] = {
        {NULL, DOT2_E_PERMISSION},                   /* no SSP */
        {"00 01 00 0101 0005", DOT2_E_PERMISSION},   /* another series */
        {"00 01 00 0100", DOT2_E_PERMISSION},        /* none */
        {"00 01 00 0101 0004", DOT2_E_PERMISSION},   /* a CRACA, but not the one named */
        {"00 01 01 0101 0004", DOT2_E_PERMISSION},   /* its issuer is another too */
        {"00 01 00 0101 0004 00", DOT2_E_PERMISSION} /* no CrlSsp */
    };
    ToBeSignedCertificate_t *body = NULL;
    struct list list;
    struct world w;

    world_open(*state, &w);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        dot2_cert *cert = crl_cert(&w, "false", table[i].ssp, w.device_key, false);

        list = full(&w);
        list.key = w.device_key;
        list.signer = cert;
        list.revoked[0] = w.device;
        if (i < 3)
            list.craca = cert;
        assert_int_equal(add(&w, &list, NULL), table[i].status);
        dot2_cert_free(cert);
    }
    /* Without PSID 0x100; and under no anchor. */
    body = fixture_body(w.f, "ra", FIXTURE_START, 1000);
    fixture_app(w.f, body, 0x23, NULL, NULL);
    list.signer = fixture_explicit(w.f, body, w.device_key, w.pki.root, w.pki.root_key);
    assert_int_equal(add(&w, &list, NULL), DOT2_E_PERMISSION);
    dot2_cert_free((dot2_cert *)(uintptr_t)list.signer);
    body = fixture_body(w.f, "stranger", FIXTURE_START, 1000);
    fixture_app(w.f, body, 0x100, "00 01 00 0101 0004", NULL);
    list.signer = fixture_explicit(w.f, body, w.device_key, NULL, w.device_key);
    assert_int_equal(add(&w, &list, NULL), DOT2_E_ISSUER_UNKNOWN);
    dot2_cert_free((dot2_cert *)(uintptr_t)list.signer);
    assert_int_equal(dot2_trust_crls(w.pki.trust, NULL, 0), 0);
    assert_int_equal(verify(&w, w.device), DOT2_OK);
    world_close(&w);
}

static void not_a_list(void **state)
{
    const struct dot2_header header = {.psid = 0x100};
    struct dot2_crl_info info;
    struct dot2_error error;
    uint8_t *octets = NULL, *message = NULL;
    struct list list;
    struct world w;
    size_t size = 0;

    world_open(*state, &w);
    list = full(&w);
    list.revoked[0] = w.device;
    list.psid = 0x23;
    assert_int_equal(add(&w, &list, NULL), DOT2_E_MESSAGE);
    list = full(&w);
    list.issued = FIXTURE_NOW + 1;
    list.next = FIXTURE_NOW + 2;
    assert_int_equal(add(&w, &list, NULL), DOT2_E_NOT_YET_VALID);
    list.issued = ISSUED;
    list.next = ISSUED - 1;
    assert_int_equal(add(&w, &list, NULL), DOT2_E_MESSAGE);
    list = full(&w);
    list.revoked[0] = w.device;
    octets = make(&w, &list, &size);
    octets[size - 1] ^= 1;
    assert_int_equal(dot2_trust_add_crl(w.pki.trust, octets, size, FIXTURE_NOW, &info, &error),
                     DOT2_E_SIGNATURE);
    octets[size - 1] ^= 1;
    for (size_t n = 0; n < size; n += 7)
        assert_int_equal(dot2_trust_add_crl(w.pki.trust, octets, n, FIXTURE_NOW, NULL, &error),
                         DOT2_E_DECODE);
    assert_int_equal(dot2_trust_add_crl(w.pki.trust, octets, size + 1, FIXTURE_NOW, NULL, &error),
                     DOT2_E_DECODE);
    /* Signed by the CRACA, but no CrlContents. */
    assert_int_equal(dot2_signed_data_build(w.f->crypto, w.craca_key, w.craca,
                                            DOT2_SIGNER_CERTIFICATE, &header,
                                            (const uint8_t *)"list", 4, &message, &size, NULL),
                     DOT2_OK);
    assert_int_equal(dot2_trust_add_crl(w.pki.trust, message, size, FIXTURE_NOW, NULL, &error),
                     DOT2_E_DECODE);
    OPENSSL_free(message);
    assert_int_equal(verify(&w, w.device), DOT2_OK);
    assert_int_equal(dot2_trust_crls(w.pki.trust, NULL, 0), 0);
    world_close(&w);
}

static void linkage_based(void **state)
{
    struct dot2_crl_info info, infos[2];
    struct list list;
    struct world w;

    world_open(*state, &w);
    list = full(&w);
    list.revoked[0] = w.device;
    assert_int_equal(add(&w, &list, NULL), DOT2_OK);
    list = full(&w);
    list.kind = TypeSpecificCrlContents_PR_fullLinkedCrl;
    list.issued++;
    assert_int_equal(add(&w, &list, &info), DOT2_OK);
    assert_true(info.current && !info.evaluated);
    /* It stands beside the other, which stays in force. */
    assert_int_equal(verify(&w, w.device), DOT2_E_REVOKED);
    assert_int_equal(dot2_trust_crls(w.pki.trust, infos, 2), 2);
    assert_true(infos[0].evaluated != infos[1].evaluated);
    world_close(&w);
}

static void composite(void **state)
{
    size_t size = 0, count = 99, ballots = 99;
    struct dot2_error error;
    struct list lists[2];
    const uint8_t *octets = NULL;
    struct world w;

    world_open(*state, &w);
    lists[0] = lists[1] = full(&w);
    lists[0].revoked[0] = w.device;
    lists[1].key = w.signer_key;
    lists[1].signer = w.signer;
    lists[1].series = 8; /* not the signer's */
    octets = compose(&w, lists, 2, &size);
    assert_int_equal(dot2_trust_add_composite_crl(w.pki.trust, octets, size, DOT2_BALLOTS_122,
                                                  FIXTURE_NOW, &count, &ballots, &error),
                     DOT2_E_PERMISSION);
    assert_int_equal(count, 0);
    assert_int_equal(verify(&w, w.device), DOT2_OK); /* all of it or none */
    lists[1].series = 9;
    octets = compose(&w, lists, 2, &size);
    assert_int_equal(dot2_trust_add_composite_crl(w.pki.trust, octets, size, DOT2_BALLOTS_122,
                                                  FIXTURE_NOW, &count, &ballots, &error),
                     DOT2_OK);
    assert_int_equal(count, 2);
    assert_int_equal(ballots, 0);
    assert_int_equal(verify(&w, w.device), DOT2_E_REVOKED);
    assert_int_equal(verify(&w, w.other), DOT2_OK);
    assert_int_equal(dot2_trust_add_composite_crl(w.pki.trust, octets, size - 1, DOT2_BALLOTS_122,
                                                  FIXTURE_NOW, &count, &ballots, &error),
                     DOT2_E_DECODE);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(revoked),
        cmocka_unit_test(revoked_ca),
        cmocka_unit_test(not_walked_around),
        cmocka_unit_test(another_series),
        cmocka_unit_test(newer_and_older),
        cmocka_unit_test(kept_from_another_trust),
        cmocka_unit_test(signed_for_the_craca),
        cmocka_unit_test(not_the_signers_to_say),
        cmocka_unit_test(not_a_list),
        cmocka_unit_test(linkage_based),
        cmocka_unit_test(composite),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
