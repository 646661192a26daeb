/*
 * wrong_signer.c: how who signed a request for certificates can be wrong: its key, its certificate,
 * the form that the certificate comes in, the blacklist, the ECA.
 */
#include "tests/ra/refusals.h"

/* An implicit certificate does not tell its key to who builds the request. */
static void another_key(struct attempt *attempt)
{
    struct lab *lab = attempt->posting->lab;
    struct lab_cert forged = {.cert = lab->implicit.cert, .key = lab->other.key};
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &forged, &wish);
}

static void of_variant(struct attempt *attempt, const struct lab_cert *issuer,
                       const struct lab_variant *variant)
{
    struct lab_cert made = lab_issue(attempt->posting->lab, issuer, variant);
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &made, &wish);
    lab_cert_clear(&made);
}

static void application_certificate(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca,
               &(struct lab_variant){.start = -60, .application = true, .no_request = true});
}

static void both_permissions(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca,
               &(struct lab_variant){.start = -60, .application = true});
}

static void beyond_issuer(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca,
               &(struct lab_variant){.start = -60, .psid = 0x99});
}

static void expired(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca,
               &(struct lab_variant){.start = -7200, .minutes = 10});
}

static void not_yet_valid(struct attempt *attempt)
{
    of_variant(attempt, &attempt->posting->lab->eca, &(struct lab_variant){.start = 600});
}

static void unknown_issuer(struct attempt *attempt)
{
    struct lab_cert false_eca = lab_authority(attempt->posting->lab, NULL);

    of_variant(attempt, &false_eca, NULL);
    lab_cert_clear(&false_eca);
}

static void issuer_signature(struct attempt *attempt)
{
    struct lab_cert flipped = {lab_flip(attempt->posting->lab, attempt->device.cert, 1),
                               attempt->device.key};
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &flipped, &wish);
    dot2_cert_free(flipped.cert);
}

static void signer_self(struct attempt *attempt)
{
    struct lab_cert self = {.cert = NULL, .key = attempt->device.key};
    struct wish wish = of_kind(attempt);

    post_wish(attempt, &self, &wish);
}

static size_t put_length(uint8_t *out, size_t n)
{
    if (n < 256) { /* the short form of a length is the only one that is taken */
        out[0] = 0x81;
        out[1] = (uint8_t)n;
        return 2;
    }
    out[0] = 0x82;
    out[1] = (uint8_t)(n >> 8);
    out[2] = (uint8_t)n;
    return 3;
}

/* 03 83 length 00 tbsRequest signer 80 80 r(32) s(32), with another signer than 81 01 01 cert. */
static void other_signer(struct attempt *attempt, uint8_t count)
{
    size_t tbs_size, cert_size, n = 0, total;
    struct octets request = signed_request(attempt, &tbs_size), made;
    const uint8_t *cert = dot2_cert_octets(attempt->device.cert, &cert_size);
    size_t at = request.data[2] == 0x82 ? 5 : 4;
    uint8_t inner[4000];

    memcpy(inner, request.data + at, 1 + tbs_size);
    n = 1 + tbs_size;
    if (count == 0) {
        inner[n++] = 0x80;
        memcpy(inner + n, dot2_cert_hashedid8(attempt->device.cert), 8);
        n += 8;
    } else {
        memcpy(inner + n, "\x81\x01", 2);
        inner[n + 2] = count;
        n += 3;
    }
    for (uint8_t i = 0; i < count; i++, n += cert_size)
        memcpy(inner + n, cert, cert_size);
    memcpy(inner + n, request.data + request.size - 66, 66);
    n += 66;
    made.data = OPENSSL_malloc(n + 5);
    assert_non_null(made.data);
    memcpy(made.data, "\x03\x83", 2);
    total = 2 + put_length(made.data + 2, n);
    memcpy(made.data + total, inner, n);
    made.size = total + n;
    octets_clear(&request);
    post_request(attempt, &made);
}

static void signer_digest(struct attempt *attempt)
{
    other_signer(attempt, 0);
}

static void signer_two(struct attempt *attempt)
{
    other_signer(attempt, 2);
}

static void blacklisted(struct attempt *attempt)
{
    struct wish wish = of_kind(attempt);

    lab_blacklist(attempt->posting->lab, attempt->device.cert, RA_BLACKLIST_HASHEDID10);
    post_wish(attempt, &attempt->device, &wish);
}

/* The same explicit certificate with n - s has another hash. */
static void blacklisted_mirrored(struct attempt *attempt)
{
    struct lab_cert mirrored = {lab_mirror(attempt->posting->lab, attempt->device.cert),
                                attempt->device.key};
    struct wish wish = of_kind(attempt);

    lab_blacklist(attempt->posting->lab, attempt->device.cert, RA_BLACKLIST_SHA256);
    post_wish(attempt, &mirrored, &wish);
    dot2_cert_free(mirrored.cert);
}

static void eca_on(struct attempt *attempt)
{
    struct wish wish = of_kind(attempt);
    struct lab *lab = attempt->posting->lab;

    assert_int_equal(ra_eca_add(lab->store, dot2_cert_hashedid8(lab->root.cert), "not this one"),
                     RA_STORE_OK);
    post_wish(attempt, &attempt->device, &wish);
}

static void eca_off(struct posting *posting)
{
    assert_int_equal(
        ra_eca_remove(posting->lab->store, dot2_cert_hashedid8(posting->lab->root.cert)),
        RA_STORE_OK);
}

const struct wrong wrong_signers[] = {
    {"signed by another key", another_key, BAD_SIGNATURE, "signature", 0, NULL},
    {"an application certificate", application_certificate, FAILED, "certificate", 0, NULL},
    {"application permissions too", both_permissions, FAILED, "certificate", 0, NULL},
    {"a PSID beyond the issuer's", beyond_issuer, FAILED, "certificate", 0, NULL},
    {"expired", expired, FAILED, "certificate", 0, NULL},
    {"not yet valid", not_yet_valid, FAILED, "certificate", 0, NULL},
    {"unknown issuer", unknown_issuer, FAILED, "certificate", 0, NULL},
    {"issuer's signature wrong", issuer_signature, FAILED, "certificate", 0, NULL},
    {"signer self", signer_self, FAILED, "signer", 0, NULL},
    {"signer a digest", signer_digest, FAILED, "signer", 0, NULL},
    {"signer two certificates", signer_two, FAILED, "signer", 0, NULL},
    {"blacklisted", blacklisted, SCMS_RA_BLACKLISTED, "blacklisted", 0, NULL},
    {"blacklisted, n - s", blacklisted_mirrored, SCMS_RA_BLACKLISTED, "blacklisted", 0, NULL},
    {"another ECA", eca_on, FAILED, "eca", 0, eca_off},
};
const size_t wrong_signers_count = sizeof wrong_signers / sizeof wrong_signers[0];
