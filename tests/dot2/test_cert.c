/* test_cert.c: one certificate: layout, canonical form, hashes. */
#include "tests/dot2/fixture.h"

/* IEEE 1609.2 sample certificate: certificate_coer of primitives.json. */
static const char sample[] =
    "00030180010101010101010150800000020303030303030303030404040005060606068400a983010380007c8001e4"
    "800348010100012081830808080808080808080808080808080808080808080808080808080808080808";

/* The octets of a certificate, to be changed. */
struct octets {
    uint8_t data[1024];
    size_t size;
};

static void octets_of(const dot2_cert *cert, struct octets *out)
{
    const uint8_t *data = dot2_cert_octets(cert, &out->size);

    assert_true(out->size <= sizeof(out->data));
    memcpy(out->data, data, out->size);
}

/* Replaces count octets at offset. */
static void splice(struct octets *o, size_t offset, size_t count, const uint8_t *by, size_t size)
{
    assert_true(offset + count <= o->size && o->size - count + size <= sizeof(o->data));
    memmove(o->data + offset + size, o->data + offset + count, o->size - offset - count);
    memcpy(o->data + offset, by, size);
    o->size += size - count;
}

static size_t find(const struct octets *o, const uint8_t *what, size_t size)
{
    const uint8_t *place = memmem(o->data, o->size, what, size);

    assert_non_null(place);
    return (size_t)(place - o->data);
}

static dot2_cert *parse(const struct fixture *f, const struct octets *o)
{
    struct dot2_error error = {0};
    dot2_cert *cert = NULL;

    if (dot2_cert_new(f->crypto, o->data, o->size, &cert, &error) != DOT2_OK)
        print_error("%s: %s\n", error.field, error.detail);
    assert_non_null(cert);
    return cert;
}

static void assert_canonical_is(const dot2_cert *cert, const dot2_cert *expected)
{
    size_t size = 0, expected_size = 0;
    const uint8_t *octets = dot2_cert_canonical(cert, &size);
    const uint8_t *wanted = dot2_cert_octets(expected, &expected_size);

    assert_int_equal(size, expected_size);
    assert_memory_equal(octets, wanted, size);
    assert_memory_equal(dot2_cert_hash(cert, &size), dot2_cert_hash(expected, &expected_size),
                        expected_size);
    assert_memory_equal(dot2_cert_hashedid8(cert), dot2_cert_hashedid8(expected), 8);
}

/* 04 || x || y of a compressed point. */
static void uncompress(const struct fixture *f, enum dot2_curve curve, const uint8_t *compressed,
                       uint8_t full[97])
{
    const EC_GROUP *group = dot2_group(f->crypto, curve);
    size_t n = dot2_curve_size(curve);
    EC_POINT *point = EC_POINT_new(group);

    assert_int_equal(EC_POINT_oct2point(group, point, compressed, 1 + n, NULL), 1);
    assert_int_equal(
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, full, 97, NULL), 1 + 2 * n);
    EC_POINT_free(point);
}

static void the_sample_of_the_standard(void **state)
{
    const struct fixture *f = *state;
    struct octets o;
    uint8_t hash[32];
    dot2_cert *cert = NULL;
    EVP_PKEY *key = NULL;
    size_t size = 0;

    o.size = fixture_hex(sample, o.data, sizeof(o.data));
    cert = parse(f, &o);
    assert_true(dot2_cert_is_implicit(cert));
    assert_false(dot2_cert_is_self_issued(cert));
    assert_memory_equal(dot2_cert_issuer(cert), "\1\1\1\1\1\1\1\1", 8);
    assert_int_equal(dot2_cert_start(cert), 0x06060606);
    assert_int_equal(dot2_cert_end(cert), 0x06060606 + 169 * 3600);
    assert_string_equal(dot2_cert_name(cert), "");
    assert_ptr_equal(dot2_cert_canonical(cert, &size), dot2_cert_octets(cert, &size));
    assert_int_equal(dot2_sha256(f->crypto, o.data, o.size, hash), DOT2_OK);
    assert_memory_equal(dot2_cert_hash(cert, &size), hash, 32);
    assert_int_equal(size, 32);
    assert_memory_equal(dot2_cert_hashedid8(cert), hash + 24, 8);
    assert_int_equal(dot2_cert_key(cert, &key, NULL), DOT2_E_TYPE);
    assert_int_equal(dot2_cert_encryption_key(cert, &key, NULL), DOT2_E_TYPE);
    assert_int_equal(dot2_cert_asn1(cert)->toBeSigned.appPermissions->list.array[0]->psid, 0x20);
    dot2_cert_free(cert);
}

/* "Certificate prefix" of the byte layouts, and what a canonical encoder leaves out (trap 3). */
static void layouts(void **state)
{
    const struct fixture *f = *state;
    struct pki pki;
    struct octets o;
    static const uint8_t min_0[] = {0x01, 0x00};

    pki_open(f, DOT2_CURVE_P256, &pki);
    octets_of(pki.root, &o);
    assert_memory_equal(o.data, "\x80\x03\x00\x81\x00", 5);
    octets_of(pki.rse, &o);
    assert_memory_equal(o.data, "\x80\x03\x00\x80", 4);
    assert_memory_equal(o.data + 4, dot2_cert_hashedid8(pki.eca), 8);
    octets_of(pki.implicit, &o);
    assert_memory_equal(o.data, "\x00\x03\x01\x80", 4);
    assert_memory_equal(o.data + 4, dot2_cert_hashedid8(pki.eca), 8);
    /* certRequestPermissions { explicit 0x20, minChainLength 0 }: length and eeType are left out.
     */
    {
        static const uint8_t group[] = {0x01, 0x01, 0x80, 0x80, 0x01, 0x01, 0x00, 0x01, 0x20};
        size_t place = find(&o, group, sizeof(group));

        assert_memory_equal(o.data + place + sizeof(group), min_0, 2);
        assert_int_equal(o.data[place + sizeof(group) + 2], 0x81); /* verifyKeyIndicator follows */
    }
    pki_close(&pki);
}

/* The sizes and alternatives of the parts that a variant changes. */
static void variant_of_key(const struct fixture *f, enum dot2_curve curve, const dot2_cert *cert,
                           const EVP_PKEY *key, struct octets *o)
{
    size_t n = dot2_curve_size(curve), size = 0, place = 0;
    uint8_t compressed[49], full[97], coer[2 + 97];

    octets_of(cert, o);
    assert_int_equal(dot2_public_point(key, compressed, &size), DOT2_OK);
    uncompress(f, curve, compressed, full);
    compressed[0] |= 0x80;
    place = find(o, compressed, size);
    coer[0] = 0x84;
    memcpy(coer + 1, full + 1, 2 * n);
    if (n == 48) {
        uint8_t length[] = {1 + 2 * 48};

        assert_int_equal(o->data[place - 1], 49); /* the open type around it */
        splice(o, place - 1, 1, length, 1);
    }
    splice(o, place, size, coer, 1 + 2 * n);
}

/* rSig with a whole point instead of x-only; form 2, 3 or 4. */
static void variant_of_r(const struct fixture *f, enum dot2_curve curve, uint8_t form,
                         struct octets *o)
{
    size_t n = dot2_curve_size(curve);
    size_t place = o->size - 2 * n - 1;
    uint8_t compressed[49] = {2}, full[97], coer[97];

    assert_int_equal(o->data[place], 0x80);
    memcpy(compressed + 1, o->data + place + 1, n);
    uncompress(f, curve, compressed, full);
    coer[0] = (uint8_t)(0x80 | form);
    memcpy(coer + 1, full + 1, 2 * n);
    if (n == 48) {
        static const uint8_t longer[] = {0x81, 1 + 3 * 48};

        assert_int_equal(o->data[place - 1], 97);
        if (form == 4) {
            splice(o, place - 1, 1, longer, 2);
            place++;
        }
    }
    splice(o, place, 1 + n, coer, form == 4 ? 1 + 2 * n : 1 + n);
}

/* Trap 4: all forms are taken, and there is one canonical form and one hash. */
static void every_form_has_one_hash(void **state)
{
    static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1,
                                             DOT2_CURVE_BRAINPOOL_P384R1};
    const struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        struct pki pki;
        size_t n = 0;

        pki_open(f, curves[i], &pki);
        assert_memory_equal(dot2_cert_hash(pki.rse, &n), dot2_cert_hash(pki.rse, &n), 1);
        assert_int_equal(n, dot2_curve_hash_size(curves[i])); /* trap 7 */
        for (uint8_t form = 0; form <= 4; form++) {
            for (int key = 0; key < 2; key++) {
                struct dot2_check check = {DOT2_PURPOSE_ENROLLMENT, FIXTURE_NOW, false};
                struct octets o;
                dot2_cert *cert = NULL;

                if (form == 1)
                    continue;
                if (key == 1)
                    variant_of_key(f, curves[i], pki.rse, pki.rse_key, &o);
                else
                    octets_of(pki.rse, &o);
                if (form != 0)
                    variant_of_r(f, curves[i], form, &o);
                cert = parse(f, &o);
                assert_canonical_is(cert, pki.rse);
                /* Signed in the canonical form, sent in another. */
                assert_int_equal(dot2_chain_verify(pki.trust, cert, &check, NULL, NULL), DOT2_OK);
                dot2_cert_free(cert);
            }
        }
        pki_close(&pki);
    }
}

/* e of an implicit certificate is of canonical forms: of its own, and of its issuer's. */
static void implicit_in_every_form(void **state)
{
    const struct dot2_check check = {DOT2_PURPOSE_ENROLLMENT, FIXTURE_NOW, false};
    const struct fixture *f = *state;
    struct pki pki;

    pki_open(f, DOT2_CURVE_P256, &pki);
    for (int both = 0; both < 4; both++) {
        struct octets own, issuers;
        uint8_t full[97];
        struct dot2_chain chain = {0};
        dot2_cert *cert = NULL, *issuer = NULL;
        dot2_trust *trust = NULL;

        octets_of(pki.implicit, &own);
        octets_of(pki.eca, &issuers);
        if ((both & 1) != 0) {
            size_t place = find(&own, pki.implicit->key.octets + 1, 32) - 1;

            uncompress(f, DOT2_CURVE_P256, pki.implicit->key.octets, full);
            full[0] = 0x84;
            splice(&own, place, 33, full, 65);
        }
        if ((both & 2) != 0)
            variant_of_r(f, DOT2_CURVE_P256, 2, &issuers);
        cert = parse(f, &own);
        issuer = parse(f, &issuers);
        assert_canonical_is(cert, pki.implicit);
        assert_int_equal(dot2_trust_new(f->crypto, NULL, &trust), DOT2_OK);
        assert_int_equal(dot2_trust_add_anchor(trust, pki.root), DOT2_OK);
        assert_int_equal(dot2_trust_add(trust, pki.ica), DOT2_OK);
        assert_int_equal(dot2_trust_add(trust, issuer), DOT2_OK);
        assert_int_equal(dot2_chain_verify(trust, cert, &check, &chain, NULL), DOT2_OK);
        assert_int_equal(EVP_PKEY_eq(chain.key, pki.implicit_key), 1);
        dot2_chain_clear(&chain);
        assert_int_equal(dot2_chain_verify(trust, pki.rse, &check, NULL, NULL), DOT2_OK);
        dot2_trust_free(trust);
        dot2_cert_free(cert);
        dot2_cert_free(issuer);
    }
    pki_close(&pki);
}

/* Trap 13: the issuer signed uncompressed points as they stand. */
static void signed_as_sent(void **state)
{
    const struct fixture *f = *state;
    struct dot2_check check = {DOT2_PURPOSE_ENROLLMENT, FIXTURE_NOW, false};
    struct pki pki;
    struct octets o;
    uint8_t signature[DOT2_SIGNATURE_MAX];
    const uint8_t *issuer = NULL;
    size_t size = 0, issuer_size = 0;
    dot2_cert *cert = NULL, *canonical = NULL;
    uint8_t hash[32];

    pki_open(f, DOT2_CURVE_P256, &pki);
    variant_of_key(f, DOT2_CURVE_P256, pki.rse, pki.rse_key, &o);
    issuer = dot2_cert_canonical(pki.eca, &issuer_size);
    /* toBeSigned stands between issuer (12 octets) and the signature (66). */
    assert_int_equal(dot2_sign(f->crypto, pki.eca_key, o.data + 12, o.size - 12 - 66, issuer,
                               issuer_size, signature, &size, NULL),
                     DOT2_OK);
    memcpy(o.data + o.size - 66, signature, 66);
    cert = parse(f, &o);
    assert_int_equal(dot2_chain_verify(pki.trust, cert, &check, NULL, NULL), DOT2_OK);
    assert_int_equal(dot2_sha256(f->crypto, dot2_cert_canonical(cert, &size), o.size - 32, hash),
                     DOT2_OK);
    assert_int_equal(size, o.size - 32);
    assert_memory_equal(dot2_cert_hash(cert, &size), hash, 32);
    /* The canonical octets themselves were signed by nobody, and a cached verdict about the others
     * does not count for them. */
    issuer = dot2_cert_canonical(cert, &size);
    assert_int_equal(dot2_cert_new(f->crypto, issuer, size, &canonical, NULL), DOT2_OK);
    assert_int_equal(dot2_chain_verify(pki.trust, canonical, &check, NULL, NULL),
                     DOT2_E_ISSUER_SIGNATURE);
    dot2_cert_free(canonical);
    dot2_cert_free(cert);

    /* The same canonical form with a y that is not on the curve: refused, although it hashes the
     * same and was verified before. */
    variant_of_key(f, DOT2_CURVE_P256, pki.rse, pki.rse_key, &o);
    cert = parse(f, &o);
    assert_int_equal(dot2_chain_verify(pki.trust, cert, &check, NULL, NULL), DOT2_OK);
    dot2_cert_free(cert);
    o.data[o.size - 66 - 2] ^= 0x10;
    cert = parse(f, &o);
    assert_canonical_is(cert, pki.rse);
    assert_int_equal(dot2_chain_verify(pki.trust, cert, &check, NULL, NULL), DOT2_E_POINT);
    dot2_cert_free(cert);
    pki_close(&pki);
}

/* Trap 12: what this edition does not know is hashed and signed all the same. */
static void additions_of_another_edition(void **state)
{
    static const uint8_t addition[] = {0x02, 0x07, 0x80, 0x02, 0xab, 0xcd};
    const struct fixture *f = *state;
    struct dot2_check check = {DOT2_PURPOSE_ENROLLMENT, FIXTURE_NOW, false};
    struct pki pki;
    struct octets o, u;
    uint8_t signature[DOT2_SIGNATURE_MAX], hash[32], compressed[49];
    const uint8_t *issuer = NULL;
    size_t size = 0, issuer_size = 0;
    dot2_cert *cert = NULL, *other = NULL;

    pki_open(f, DOT2_CURVE_P256, &pki);
    octets_of(pki.rse, &o);
    o.data[12] |= 0x80;
    splice(&o, o.size - 66, 0, addition, sizeof(addition));
    issuer = dot2_cert_canonical(pki.eca, &issuer_size);
    assert_int_equal(dot2_sign(f->crypto, pki.eca_key, o.data + 12, o.size - 12 - 66, issuer,
                               issuer_size, signature, &size, NULL),
                     DOT2_OK);
    memcpy(o.data + o.size - 66, signature, 66);
    cert = parse(f, &o);
    assert_int_equal(dot2_sha256(f->crypto, o.data, o.size, hash), DOT2_OK);
    assert_memory_equal(dot2_cert_hash(cert, &size), hash, 32);
    assert_int_equal(dot2_chain_verify(pki.trust, cert, &check, NULL, NULL), DOT2_OK);
    /* And canonicalised around it. */
    u = o;
    assert_int_equal(dot2_public_point(pki.rse_key, compressed, &size), DOT2_OK);
    {
        uint8_t full[97];
        size_t place = 0;

        uncompress(f, DOT2_CURVE_P256, compressed, full);
        compressed[0] |= 0x80;
        place = find(&u, compressed, 33);
        full[0] = 0x84;
        splice(&u, place, 33, full, 65);
    }
    other = parse(f, &u);
    assert_canonical_is(other, cert);
    dot2_cert_free(other);
    dot2_cert_free(cert);
    pki_close(&pki);
}

/* What is encrypted to one form of a certificate is read by who has another. */
static void decrypts(const struct fixture *f, EVP_PKEY *key, const dot2_cert *to,
                     const dot2_cert *own)
{
    uint8_t *octets = NULL, *plain = NULL;
    size_t size = 0, plain_size = 0;

    assert_int_equal(
        dot2_encrypt_to_cert(f->crypto, to, (const uint8_t *)"icy", 3, &octets, &size, NULL),
        DOT2_OK);
    assert_int_equal(dot2_decrypt(f->crypto, key, own, octets, size, &plain, &plain_size, NULL),
                     DOT2_OK);
    assert_int_equal(plain_size, 3);
    assert_memory_equal(plain, "icy", 3);
    OPENSSL_free(octets);
    OPENSSL_free(plain);
}

static void encryption_keys(void **state)
{
    const struct fixture *f = *state;
    EVP_PKEY *key = fixture_key(f, DOT2_CURVE_P256), *encryption = NULL, *found = NULL;

    for (int brainpool = 0; brainpool < 2; brainpool++) {
        enum dot2_curve curve = brainpool ? DOT2_CURVE_BRAINPOOL_P256R1 : DOT2_CURVE_P256;
        ToBeSignedCertificate_t *body = fixture_body(f, "ra.test", FIXTURE_START, 26448);
        EccP256CurvePoint_t *point = NULL;
        struct octets o;
        uint8_t compressed[49], full[97];
        size_t size = 0, place = 0;
        dot2_cert *cert = NULL, *variant = NULL;

        encryption = fixture_key(f, curve);
        assert_int_equal(dot2_public_point(encryption, compressed, &size), DOT2_OK);
        fixture_app(f, body, 0x23, "8B0001", NULL);
        body->encryptionKey = coer_arena_alloc(f->arena, sizeof(*body->encryptionKey));
        body->encryptionKey->publicKey.present =
            brainpool ? BasePublicEncryptionKey_PR_eciesBrainpoolP256r1
                      : BasePublicEncryptionKey_PR_eciesNistP256;
        point = brainpool ? &body->encryptionKey->publicKey.choice.eciesBrainpoolP256r1
                          : &body->encryptionKey->publicKey.choice.eciesNistP256;
        point->present = compressed[0] == 2 ? EccP256CurvePoint_PR_compressed_y_0
                                            : EccP256CurvePoint_PR_compressed_y_1;
        coer_octets(f->arena, &point->choice.compressed_y_0, compressed + 1, 32);
        cert = fixture_explicit(f, body, key, NULL, key);
        assert_string_equal(dot2_cert_name(cert), "ra.test");
        assert_int_equal(dot2_cert_encryption_key(cert, &found, NULL), DOT2_OK);
        assert_int_equal(dot2_key_curve(found), curve);
        assert_int_equal(EVP_PKEY_eq(found, encryption), 1);
        EVP_PKEY_free(found);

        octets_of(cert, &o);
        uncompress(f, curve, compressed, full);
        compressed[0] |= 0x80;
        place = find(&o, compressed, 33);
        full[0] = 0x84;
        splice(&o, place, 33, full, 65);
        variant = parse(f, &o);
        assert_canonical_is(variant, cert);
        assert_int_equal(dot2_cert_encryption_key(variant, &found, NULL), DOT2_OK);
        EVP_PKEY_free(found);
        decrypts(f, encryption, cert, variant); /* P1 is of the canonical form */
        decrypts(f, encryption, variant, cert);
        dot2_cert_free(variant);
        o.data[place + 64] ^= 2;
        variant = parse(f, &o);
        assert_int_equal(dot2_cert_encryption_key(variant, &found, NULL), DOT2_E_POINT);
        dot2_cert_free(variant);
        dot2_cert_free(cert);
        EVP_PKEY_free(encryption);
    }
    EVP_PKEY_free(key);
}

static void a_flipped_s_is_on_the_blacklist_too(void **state)
{
    static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1,
                                             DOT2_CURVE_BRAINPOOL_P384R1};
    const struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        struct dot2_check check = {DOT2_PURPOSE_ENROLLMENT, FIXTURE_NOW, false};
        size_t n = dot2_curve_size(curves[i]), size = 0, count = 0;
        uint8_t hashes[2][48], flipped[2][48];
        struct pki pki;
        struct octets o;
        dot2_cert *cert = NULL;
        BIGNUM *s = NULL;

        pki_open(f, curves[i], &pki);
        octets_of(pki.rse, &o);
        s = BN_bin2bn(o.data + o.size - n, (int)n, NULL);
        BN_sub(s, dot2_order(f->crypto, curves[i]), s);
        BN_bn2binpad(s, o.data + o.size - n, (int)n);
        cert = parse(f, &o);
        /* It is as valid as the original, and has another hash ... */
        assert_int_equal(dot2_chain_verify(pki.trust, cert, &check, NULL, NULL), DOT2_OK);
        assert_int_equal(dot2_cert_blacklist_hashes(pki.rse, hashes, &size, &count), DOT2_OK);
        assert_int_equal(count, 2);
        assert_int_equal(size, dot2_curve_hash_size(curves[i]));
        assert_memory_equal(hashes[0], dot2_cert_hash(pki.rse, &size), size);
        assert_int_equal(dot2_cert_blacklist_hashes(cert, flipped, &size, &count), DOT2_OK);
        assert_memory_not_equal(hashes[0], flipped[0], size);
        /* ... but not another pair of them. */
        assert_memory_equal(hashes[0], flipped[1], size);
        assert_memory_equal(hashes[1], flipped[0], size);
        if (pki.implicit != NULL) {
            assert_int_equal(dot2_cert_blacklist_hashes(pki.implicit, hashes, &size, &count),
                             DOT2_OK);
            assert_int_equal(count, 1);
        }
        /* s = 0 and s = n have no second form, and verify nowhere. */
        memset(o.data + o.size - n, 0, n);
        dot2_cert_free(cert);
        cert = parse(f, &o);
        assert_int_equal(dot2_cert_blacklist_hashes(cert, hashes, &size, &count), DOT2_OK);
        assert_int_equal(count, 1);
        assert_int_equal(dot2_chain_verify(pki.trust, cert, &check, NULL, NULL),
                         DOT2_E_ISSUER_SIGNATURE);
        dot2_cert_free(cert);
        BN_free(s);
        pki_close(&pki);
    }
}

/* What cannot be decoded has an offset and a field. */
static void octets_that_are_no_certificate(void **state)
{
    const struct fixture *f = *state;
    struct dot2_error error = {0};
    dot2_cert *cert = NULL;
    struct octets o;

    assert_int_equal(dot2_cert_new(f->crypto, NULL, 0, &cert, &error), DOT2_E_DECODE);
    o.size = fixture_hex(sample, o.data, sizeof(o.data));
    for (size_t size = 0; size < o.size; size++) {
        assert_int_equal(dot2_cert_new(f->crypto, o.data, size, &cert, &error), DOT2_E_DECODE);
        assert_null(cert);
        assert_true(error.offset <= size);
        assert_true(error.field[0] != '\0');
    }
    o.data[o.size] = 0;
    assert_int_equal(dot2_cert_new(f->crypto, o.data, o.size + 1, &cert, &error), DOT2_E_DECODE);
    /* Counts and lengths that no message of this size has (trap 11). */
    {
        static const uint8_t count[] = {0x04, 0xff, 0xff, 0xff, 0xff};
        size_t place = find(&o, (const uint8_t *)"\x01\x03\x80\x00\x7c", 5);

        splice(&o, place, 2, count, sizeof(count));
        assert_int_equal(dot2_cert_new(f->crypto, o.data, o.size, &cert, &error), DOT2_E_DECODE);
    }
    /* version 2 */
    o.size = fixture_hex(sample, o.data, sizeof(o.data));
    o.data[1] = 2;
    assert_int_not_equal(dot2_cert_new(f->crypto, o.data, o.size, &cert, &error), DOT2_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_of_the_standard),
        cmocka_unit_test(layouts),
        cmocka_unit_test(every_form_has_one_hash),
        cmocka_unit_test(implicit_in_every_form),
        cmocka_unit_test(signed_as_sent),
        cmocka_unit_test(additions_of_another_edition),
        cmocka_unit_test(encryption_keys),
        cmocka_unit_test(a_flipped_s_is_on_the_blacklist_too),
        cmocka_unit_test(octets_that_are_no_certificate),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
