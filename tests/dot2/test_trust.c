/* test_trust.c: what a trust keeps: verdicts and keys in its cache, for many threads at a time. */
#include "tests/dot2/fixture.h"

#include <pthread.h>

static size_t cached(const dot2_trust *trust)
{
    struct dot2_cache_counts counts;

    dot2_trust_cache_counts(trust, &counts);
    return counts.entries;
}

static void the_cache_is_bounded_and_ends(void **state)
{
    const struct fixture *f = *state;
    struct dot2_trust_limits limits = {.cache_entries = 10};
    struct dot2_check check = pki_enrollment;
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
        pki_expect(trust, cert, &pki_enrollment, DOT2_OK);
        assert_true(cached(trust) <= 10);
        dot2_cert_free(cert);
        EVP_PKEY_free(key);
    }
    assert_int_equal(cached(trust), 10);
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
    pki_expect(trust, pki.rse, &pki_enrollment, DOT2_OK);
    assert_int_equal(cached(trust), 10);
    check.time = dot2_cert_end(pki.rse) + 1;
    pki_expect(trust, pki.rse, &check, DOT2_E_EXPIRED);
    pki_expect(trust, pki.rse, &pki_enrollment, DOT2_OK);
    dot2_trust_free(trust);
    pki_close(&pki);
}

static void a_refusal_is_not_kept(void **state)
{
    const struct fixture *f = *state;
    struct dot2_cache_counts counts;
    struct pki pki;
    dot2_cert *cert = NULL;
    size_t before = 0;

    pki_open(f, DOT2_CURVE_P256, &pki);
    pki_expect(pki.trust, pki.rse, &pki_enrollment, DOT2_OK);
    before = cached(pki.trust);
    dot2_trust_cache_counts(pki.trust, &counts);
    assert_int_equal(counts.hits, 0);
    assert_int_equal(counts.misses, 3); /* the device, ECA and ICA; the anchor is not looked up */
    pki_expect(pki.trust, pki.rse, &pki_enrollment, DOT2_OK);
    dot2_trust_cache_counts(pki.trust, &counts);
    assert_int_equal(counts.hits, 1);
    assert_int_equal(counts.misses, 3);
    cert = fixture_explicit(f, pki_rse_body(f, "x"), pki.rse_key, pki.eca, pki.ica_key);
    pki_expect(pki.trust, cert, &pki_enrollment, DOT2_E_ISSUER_SIGNATURE);
    pki_expect(pki.trust, cert, &pki_enrollment, DOT2_E_ISSUER_SIGNATURE);
    assert_int_equal(cached(pki.trust), before);
    dot2_cert_free(cert);
    /* What was verified without rules does not pass with them. */
    {
        ToBeSignedCertificate_t *body = pki_rse_body(f, "x");

        body->validityPeriod.duration.choice.hours = 60000;
        cert = fixture_explicit(f, body, pki.rse_key, pki.eca, pki.eca_key);
        pki_expect(pki.trust, cert, &pki_signature_only, DOT2_OK);
        pki_expect(pki.trust, cert, &pki_enrollment, DOT2_E_VALIDITY_NESTING);
        dot2_cert_free(cert);
    }
    pki_close(&pki);
}

/* A signature of key over text, as the certificate's. */
static const Signature_t *signature_of(const struct fixture *f, EVP_PKEY *key,
                                       const dot2_cert *cert, const char *text)
{
    uint8_t octets[DOT2_SIGNATURE_MAX];
    size_t size = 0, signer_size = 0;
    const uint8_t *signer = dot2_cert_canonical(cert, &signer_size);

    assert_int_equal(dot2_sign(f->crypto, key, (const uint8_t *)text, strlen(text), signer,
                               signer_size, octets, &size, NULL),
                     DOT2_OK);
    return fixture_signature(f, octets, size);
}

static enum dot2_status by_chain(const struct fixture *f, const struct dot2_chain *chain,
                                 const char *text, const Signature_t *signature)
{
    return dot2_chain_verify_signature(f->crypto, chain, (const uint8_t *)text, strlen(text),
                                       signature, NULL);
}

/* The context is kept with the chain; what was verified before changes no answer. */
static void signatures_by_a_chain(void **state)
{
    const struct fixture *f = *state;

    for (int curve = DOT2_CURVE_P256; curve <= DOT2_CURVE_BRAINPOOL_P384R1; curve++) {
        const Signature_t *one, *two, *other;
        struct dot2_chain chain = {0}, again = {0};
        struct pki pki;

        pki_open(f, (enum dot2_curve)curve, &pki);
        one = signature_of(f, pki.rse_key, pki.rse, "one");
        two = signature_of(f, pki.rse_key, pki.rse, "a second");
        other = signature_of(f, pki.rse_key, pki.eca, "one"); /* of another signer */
        for (int i = 0; i < 3; i++) { /* with what the chain before has left in the cache */
            assert_int_equal(dot2_chain_verify(pki.trust, pki.rse, &pki_enrollment, &chain, NULL),
                             DOT2_OK);
            assert_int_equal(chain.curve, curve);
            assert_int_equal(by_chain(f, &chain, "one", one), DOT2_OK);
            assert_int_equal(by_chain(f, &chain, "a second", two), DOT2_OK);
            assert_int_equal(by_chain(f, &chain, "one", two), DOT2_E_SIGNATURE);
            assert_int_equal(by_chain(f, &chain, "one", other), DOT2_E_SIGNATURE);
            assert_int_equal(by_chain(f, &chain, "one", one), DOT2_OK);
            assert_int_equal(ERR_peek_error(), 0);
            dot2_chain_clear(&again); /* the chain outlives the cache's copy of it */
            again = chain;
            memset(&chain, 0, sizeof(chain));
        }
        dot2_trust_free(pki.trust);
        pki.trust = NULL;
        assert_int_equal(by_chain(f, &again, "a second", two), DOT2_OK);
        dot2_chain_clear(&again);
        pki_close(&pki);
    }
}

/* Octets that were verified give the same certificate again; others, and none before that. */
static void a_certificate_that_comes_again(void **state)
{
    const struct fixture *f = *state;
    uint8_t hashes[2][48], again[2][48], *copy = NULL;
    size_t size = 0, hash_size = 0, count = 0, count_again = 0;
    const uint8_t *octets;
    dot2_cert *first = NULL, *second = NULL, *other = NULL;
    struct dot2_cache_counts before, after;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    octets = dot2_cert_octets(pki.rse, &size);
    copy = OPENSSL_memdup(octets, size);
    assert_non_null(copy);
    for (int verified = 0; verified < 3; verified++) { /* not at all, for another purpose, so */
        assert_int_equal(dot2_trust_cert(pki.trust, copy, size, &first, NULL), DOT2_OK);
        dot2_trust_cache_counts(pki.trust, &before);
        assert_int_equal(dot2_trust_cert(pki.trust, octets, size, &second, NULL), DOT2_OK);
        dot2_trust_cache_counts(pki.trust, &after);
        assert_memory_equal(&before, &after, sizeof(before));
        assert_true((first == second) == (verified == 2));
        assert_int_equal(dot2_cert_blacklist_hashes(first, hashes, &hash_size, &count), DOT2_OK);
        assert_int_equal(dot2_cert_blacklist_hashes(second, again, &hash_size, &count_again),
                         DOT2_OK);
        assert_int_equal(count, count_again);
        assert_memory_equal(hashes, again, sizeof(hashes));
        assert_int_equal(dot2_chain_verify(pki.trust, first,
                                           verified == 0 ? &pki_any : &pki_enrollment, NULL, NULL),
                         DOT2_OK);
        dot2_cert_free(first);
        dot2_cert_free(second);
    }
    copy[size - 1] ^= 1; /* s: another certificate, which is not verified */
    assert_int_equal(dot2_trust_cert(pki.trust, octets, size, &first, NULL), DOT2_OK);
    assert_int_equal(dot2_trust_cert(pki.trust, copy, size, &other, NULL), DOT2_OK);
    assert_ptr_not_equal(first, other);
    assert_int_equal(dot2_chain_verify(pki.trust, other, &pki_enrollment, NULL, NULL),
                     DOT2_E_ISSUER_SIGNATURE);
    dot2_cert_free(first);
    dot2_cert_free(other);
    assert_int_equal(dot2_trust_cert(pki.trust, octets, size - 1, &other, NULL), DOT2_E_DECODE);
    assert_null(other);
    OPENSSL_free(copy);
    pki_close(&pki);
    ERR_clear_error();
}

struct worker {
    const struct fixture *f;
    const Signature_t **signatures; /* of "work" by each of the certificates */
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

    for (int i = 0; i < 150; i++) {
        struct dot2_chain chain = {0};
        size_t at = (size_t)rand_r(&w->seed) % w->count, size = 0;
        const uint8_t *octets = dot2_cert_octets(w->certs[at], &size);
        uint8_t hashes[2][48];
        size_t count = 0;
        dot2_cert *cert = NULL;

        if (dot2_trust_cert(w->pki->trust, octets, size, &cert, NULL) != DOT2_OK ||
            dot2_cert_blacklist_hashes(cert, hashes, &size, &count) != DOT2_OK ||
            dot2_chain_verify(w->pki->trust, cert, &pki_enrollment, &chain, NULL) != DOT2_OK ||
            chain.depth != 4)
            w->failures++;
        else if (by_chain(w->f, &chain, "work", w->signatures[at]) != DOT2_OK ||
                 by_chain(w->f, &chain, "play", w->signatures[at]) != DOT2_E_SIGNATURE)
            w->failures++;
        dot2_chain_clear(&chain);
        dot2_cert_free(cert);
        if (i % 16 == 0 && dot2_chain_verify(w->pki->trust, w->bad, &pki_enrollment, NULL, NULL) !=
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
    const Signature_t *signatures[20];
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
        signatures[i] = signature_of(f, key != NULL ? key : pki.rse_key, certs[i], "work");
        EVP_PKEY_free(key);
    }
    bad = fixture_explicit(f, pki_rse_body(f, "x"), pki.rse_key, pki.eca, pki.ica_key);
    for (unsigned i = 0; i < 6; i++) {
        workers[i] = (struct worker){.f = f,
                                     .signatures = signatures,
                                     .pki = &pki,
                                     .certs = certs,
                                     .count = 20,
                                     .bad = bad,
                                     .seed = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_true(cached(pki.trust) <= 8);
    for (size_t i = 0; i < 20; i++)
        dot2_cert_free(certs[i]);
    dot2_cert_free(bad);
    pki_close(&pki);
    ERR_clear_error();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cache_is_bounded_and_ends),
        cmocka_unit_test(a_refusal_is_not_kept),
        cmocka_unit_test(signatures_by_a_chain),
        cmocka_unit_test(a_certificate_that_comes_again),
        cmocka_unit_test(threads_share_the_trust),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
