/* crl_world.c: what crl_world.h says. */
#include "tests/dot2/crl_world.h"

static ToBeSignedCertificate_t *revocable(struct world *w, ToBeSignedCertificate_t *body)
{
    size_t size = 0;
    const uint8_t *hash = dot2_cert_hash(w->craca, &size);

    assert_true(coer_octets(w->f->arena, &body->cracaId, hash + size - 3, 3));
    body->crlSeries = SERIES;
    return body;
}

dot2_cert *crl_cert(struct world *w, const char *name, const char *ssp, EVP_PKEY *key,
                    bool also_issue)
{
    ToBeSignedCertificate_t *body = fixture_body(w->f, name, FIXTURE_START, 20000);

    fixture_app(w->f, body, 0x100, ssp, NULL);
    if (also_issue)
        fixture_issue(w->f, body, -1, NULL, 1, -1, APP | ENROL);
    return fixture_explicit(w->f, body, key, w->pki.root, w->pki.root_key);
}

void world_open(const struct fixture *f, struct world *w)
{
    ToBeSignedCertificate_t *body = NULL;

    memset(w, 0, sizeof(*w));
    w->f = f;
    pki_open(f, DOT2_CURVE_P256, &w->pki);
    w->craca_key = fixture_key(f, DOT2_CURVE_P256);
    w->signer_key = fixture_key(f, DOT2_CURVE_P256);
    w->ca_key = fixture_key(f, DOT2_CURVE_P256);
    w->device_key = fixture_key(f, DOT2_CURVE_P256);
    w->craca = crl_cert(w, "craca", "00 01 00 0101 0004", w->craca_key, true);
    body = revocable(w, fixture_body(f, "crl signer", FIXTURE_START, 1000));
    fixture_app(f, body, 0x100, "00 01 01 0102 0004 0009", NULL);
    w->signer = fixture_explicit(f, body, w->signer_key, w->craca, w->craca_key);
    w->ca = fixture_explicit(f, revocable(w, pki_ca_body(f, "ca", 20000)), w->ca_key, w->pki.root,
                             w->pki.root_key);
    w->device = fixture_explicit(f, revocable(w, pki_rse_body(f, "device")), w->device_key, w->ca,
                                 w->ca_key);
    w->other = fixture_explicit(f, revocable(w, pki_rse_body(f, "other")), w->device_key, w->ca,
                                w->ca_key);
    w->implicit = fixture_implicit(f, revocable(w, pki_rse_body(f, "implicit")), w->ca, w->ca_key,
                                   &w->implicit_key);
    assert_int_equal(dot2_trust_add(w->pki.trust, w->ca), DOT2_OK);
    assert_int_equal(dot2_trust_add(w->pki.trust, w->craca), DOT2_OK);
}

void world_close(struct world *w)
{
    EVP_PKEY *keys[] = {w->craca_key, w->signer_key, w->ca_key, w->device_key, w->implicit_key};
    dot2_cert *certs[] = {w->craca, w->signer, w->ca, w->device, w->other, w->implicit};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        EVP_PKEY_free(keys[i]);
    for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++)
        dot2_cert_free(certs[i]);
    pki_close(&w->pki);
}

struct list full(const struct world *w)
{
    return (struct list){.key = w->craca_key,
                         .signer = w->craca,
                         .craca = w->craca,
                         .series = SERIES,
                         .issued = ISSUED,
                         .next = ISSUED + 100000,
                         .kind = TypeSpecificCrlContents_PR_fullHashCrl,
                         .psid = 0x100};
}

uint8_t *make(const struct world *w, const struct list *list, size_t *size)
{
    const struct dot2_header header = {.psid = list->psid};
    CrlContents_t contents = {.version = 1, .crlSeries = list->series};
    ToBeSignedHashIdCrl_t hashes = {.crlSerial = 7};
    ToBeSignedLinkageValueCrl_t linked = {.iRev = 3, .indexWithinI = 1};
    uint8_t *octets = NULL, *message = NULL, *copy = NULL;
    coer_arena *arena = w->f->arena;
    size_t n = 0;

    assert_true(coer_octets(arena, &contents.cracaId, dot2_cert_hashedid8(list->craca), 8));
    contents.issueDate = list->issued;
    contents.nextCrl = list->next;
    for (size_t i = 0; i < 3 && list->revoked[i] != NULL; i++) {
        HashBasedRevocationInfo_t *entry = coer_arena_alloc(arena, sizeof(*entry));
        const uint8_t *hash = dot2_cert_hash(list->revoked[i], &n);

        assert_true(coer_octets(arena, &entry->id, hash + n - 10, 10));
        entry->expiry = dot2_cert_end(list->revoked[i]);
        assert_true(coer_list_add(arena, &hashes.entries, entry));
    }
    contents.typeSpecific.present = list->kind;
    if (list->kind == TypeSpecificCrlContents_PR_fullHashCrl)
        contents.typeSpecific.choice.fullHashCrl = hashes;
    else if (list->kind == TypeSpecificCrlContents_PR_deltaHashCrl)
        contents.typeSpecific.choice.deltaHashCrl = hashes;
    else
        contents.typeSpecific.choice.fullLinkedCrl = linked;
    assert_int_equal(coer_encode_alloc(&asn_DEF_CrlContents, &contents, &octets, &n, NULL),
                     COER_OK);
    assert_int_equal(dot2_signed_data_build(w->f->crypto, list->key, list->signer,
                                            DOT2_SIGNER_CERTIFICATE, &header, octets, n, &message,
                                            size, NULL),
                     DOT2_OK);
    free(octets);
    copy = coer_arena_alloc(arena, *size + 1);
    memcpy(copy, message, *size);
    OPENSSL_free(message);
    return copy;
}

uint8_t *compose(const struct world *w, const struct list *lists, size_t count, size_t *size)
{
    uint8_t *octets = coer_arena_alloc(w->f->arena, 8192);

    octets[0] = 0x00; /* no extension */
    octets[1] = 0x01;
    octets[2] = (uint8_t)count;
    *size = 3;
    for (size_t i = 0; i < count; i++) {
        size_t n = 0;
        const uint8_t *crl = make(w, &lists[i], &n);

        memcpy(octets + *size, crl, n);
        *size += n;
    }
    memcpy(octets + *size, "\x01\x00\x01\x00", 4); /* no ballots */
    *size += 4;
    return octets;
}
