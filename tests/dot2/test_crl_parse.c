/*
 * test_crl_parse.c: what a CRL and a CompositeCrl say about themselves, before anybody has verified
 * them: dot2_crl_peek() and dot2_composite_crl_parse(), with ballots of either form.
 */
#include "protocol/dot2/crl.h"
#include "tests/dot2/fixture.h"

#define PSID_CRL 0x100

static struct fixture f;
static struct pki pki;

static int set_up(void **state)
{
    (void)state;
    fixture_open(&f);
    pki_open(&f, DOT2_CURVE_P256, &pki);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pki_close(&pki);
    fixture_close(&f);
    return 0;
}

/* In memory of the fixture. */
static struct coer_span sign(uint64_t psid, const uint8_t *payload, size_t size)
{
    const struct dot2_header header = {.psid = psid};
    uint8_t *message = NULL, *copy;
    size_t n = 0;

    assert_int_equal(dot2_signed_data_build(f.crypto, pki.root_key, pki.root, DOT2_SIGNER_DIGEST,
                                            &header, payload, size, &message, &n, NULL),
                     DOT2_OK);
    copy = coer_arena_alloc(f.arena, n);
    assert_non_null(copy);
    memcpy(copy, message, n);
    OPENSSL_free(message);
    return (struct coer_span){copy, n};
}

/* CrlContents by hand: series 4, then the alternative and its content. */
static struct coer_span list(uint64_t psid, const char *specific)
{
    char hex[400];
    uint8_t octets[200];

    snprintf(hex, sizeof(hex), "01 0004 0102030405060708 1A2B3C4D 1A2B3C4E 00 %s", specific);
    return sign(psid, octets, fixture_hex(hex, octets, sizeof(octets)));
}

static const char full_hash[] = "80 00 00000009 0102 00 0102030405060708090A 1B000000 "
                                "00 1112131415161718191A 1B000001";
static const char delta_hash[] = "81 00 00000009 0101 00 0102030405060708090A 1B000000";

static void peek(void **state)
{
    struct dot2_error error = {0};
    struct dot2_crl_info info;
    struct coer_span crl = list(PSID_CRL, full_hash);
    uint8_t *broken;

    (void)state;
    assert_int_equal(dot2_crl_peek(crl.data, crl.size, &info, NULL), DOT2_OK);
    assert_memory_equal(info.craca_id, "\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(info.series, 4);
    assert_int_equal(info.issue_date, 0x1a2b3c4d);
    assert_int_equal(info.next_crl, 0x1a2b3c4e);
    assert_int_equal(info.entries, 2);
    assert_true(info.evaluated && !info.delta && !info.current);

    /* The signature is not looked at. */
    broken = coer_arena_alloc(f.arena, crl.size);
    memcpy(broken, crl.data, crl.size);
    broken[crl.size - 1] ^= 1;
    assert_int_equal(dot2_crl_peek(broken, crl.size, &info, NULL), DOT2_OK);

    crl = list(PSID_CRL, delta_hash);
    assert_int_equal(dot2_crl_peek(crl.data, crl.size, &info, NULL), DOT2_OK);
    assert_int_equal(info.entries, 1);
    assert_true(info.evaluated && info.delta);

    /* Linkage based, without an entry: iRev, indexWithinI, and neither individual nor groups. */
    crl = list(PSID_CRL, "82 00 0003 01");
    assert_int_equal(dot2_crl_peek(crl.data, crl.size, &info, NULL), DOT2_OK);
    assert_true(!info.evaluated && !info.delta && info.entries == 0);

    /* Refused, and then nothing is said. */
    crl = list(0x23, full_hash);
    assert_int_equal(dot2_crl_peek(crl.data, crl.size, &info, &error), DOT2_E_MESSAGE);
    assert_string_equal(error.field, "SignedData.tbsData.headerInfo.psid");
    assert_int_equal(info.series, 0);
    crl = list(PSID_CRL, "80 00 00000009 0102 00 0102030405060708090A 1B000000");
    assert_int_equal(dot2_crl_peek(crl.data, crl.size, &info, &error), DOT2_E_DECODE);
    assert_int_equal(info.series, 0);
    crl = list(PSID_CRL, full_hash);
    for (size_t size = 0; size < crl.size; size++)
        assert_int_not_equal(dot2_crl_peek(crl.data, size, &info, NULL), DOT2_OK);
}

/* ---- CompositeCrl ---- */

enum form {
    NONE = 0, /* no ballots */
    NEW,      /* of 1.2.2: preamble, certificate, endorsements */
    OLD       /* before: preamble, endorsements */
};

static void put(uint8_t *out, size_t *at, const void *octets, size_t size)
{
    memcpy(out + *at, octets, size);
    *at += size;
}

/* A ballot on the ICA with two endorsements; what these are is not looked into. */
static void put_ballot(uint8_t *out, size_t *at, enum form form)
{
    const struct coer_span endorsement = sign(0x23, (const uint8_t *)"endorsed", 8);
    size_t size = 0;
    const uint8_t *cert = dot2_cert_octets(pki.ica, &size);

    put(out, at, "\0", 1);
    if (form == NEW)
        put(out, at, cert, size);
    put(out, at, "\1\2", 2);
    put(out, at, endorsement.data, endorsement.size);
    put(out, at, endorsement.data, endorsement.size);
}

/* Two lists; so many ballots on root CAs and on electors. */
static uint8_t *compose(const struct coer_span lists[2], enum form form, uint8_t roots,
                        uint8_t electors, size_t *size)
{
    uint8_t *out = coer_arena_alloc(f.arena, 16384);
    size_t at = 0;

    assert_non_null(out);
    put(out, &at, "\0\1\2", 3);
    for (int i = 0; i < 2; i++)
        put(out, &at, lists[i].data, lists[i].size);
    put(out, &at, "\1", 1);
    put(out, &at, &roots, 1);
    for (int i = 0; i < roots; i++)
        put_ballot(out, &at, form);
    put(out, &at, "\1", 1);
    put(out, &at, &electors, 1);
    for (int i = 0; i < electors; i++)
        put_ballot(out, &at, form);
    *size = at;
    return out;
}

static void composite(void **state)
{
    static const struct {
        enum form form;
        uint8_t roots, electors;
        enum dot2_ballots taken;
        enum dot2_status status;
    } cases[] = {
        {NONE, 0, 0, DOT2_BALLOTS_122, DOT2_OK},      {NONE, 0, 0, DOT2_BALLOTS_121, DOT2_OK},
        {NEW, 1, 0, DOT2_BALLOTS_122, DOT2_OK},       {NEW, 2, 3, DOT2_BALLOTS_121, DOT2_OK},
        {OLD, 1, 0, DOT2_BALLOTS_121, DOT2_OK},       {OLD, 0, 1, DOT2_BALLOTS_121, DOT2_OK},
        {OLD, 2, 3, DOT2_BALLOTS_121, DOT2_OK},       {OLD, 1, 0, DOT2_BALLOTS_122, DOT2_E_DECODE},
        {OLD, 0, 1, DOT2_BALLOTS_122, DOT2_E_DECODE},
    };
    const struct coer_span lists[2] = {list(PSID_CRL, full_hash), list(PSID_CRL, delta_hash)};
    struct dot2_composite_crl it;
    struct dot2_error error = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = 0;
        const uint8_t *octets =
            compose(lists, cases[i].form, cases[i].roots, cases[i].electors, &size);

        assert_int_equal(dot2_composite_crl_parse(octets, size, cases[i].taken, &it, &error),
                         cases[i].status);
        if (cases[i].status != DOT2_OK) {
            assert_null(it.arena);
            assert_non_null(strstr(error.field, "revoked"));
            continue;
        }
        assert_int_equal(it.count, 2);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(it.crls[k].size, lists[k].size);
            assert_memory_equal(it.crls[k].data, lists[k].data, lists[k].size);
            assert_in_range((uintptr_t)it.crls[k].data, (uintptr_t)octets,
                            (uintptr_t)octets + size);
        }
        assert_int_equal(it.root_ballots, cases[i].roots);
        assert_int_equal(it.elector_ballots, cases[i].electors);
        dot2_composite_crl_clear(&it);
        /* Cut anywhere, and with an octet too many. */
        for (size_t cut = 0; cut < size; cut += 7)
            assert_int_equal(dot2_composite_crl_parse(octets, cut, cases[i].taken, &it, NULL),
                             DOT2_E_DECODE);
        assert_int_equal(dot2_composite_crl_parse(octets, size + 1, cases[i].taken, &it, NULL),
                         DOT2_E_DECODE);
    }
}

/* One form or the other, not both in one file. */
static void mixed(void **state)
{
    const struct coer_span lists[2] = {list(PSID_CRL, full_hash), list(PSID_CRL, delta_hash)};
    struct dot2_composite_crl it;
    size_t size = 0, at = 0;
    uint8_t *octets = compose(lists, NONE, 0, 0, &size);

    (void)state;
    at = size - 4;
    put(octets, &at, "\1\2", 2);
    put_ballot(octets, &at, NEW);
    put_ballot(octets, &at, OLD);
    put(octets, &at, "\1\0", 2);
    assert_int_equal(dot2_composite_crl_parse(octets, at, DOT2_BALLOTS_121, &it, NULL),
                     DOT2_E_DECODE);
    /* A ballot without an endorsement is none in either form. */
    at = size - 4;
    put(octets, &at, "\1\1\0\1\0\1\0", 7);
    assert_int_equal(dot2_composite_crl_parse(octets, at, DOT2_BALLOTS_121, &it, NULL),
                     DOT2_E_DECODE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(peek), cmocka_unit_test(composite),
                                       cmocka_unit_test(mixed)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
