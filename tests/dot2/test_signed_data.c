/* test_signed_data.c: SignedData with its signer. */
#include "tests/dot2/fixture.h"

struct message {
    uint8_t data[1024];
    size_t size;
    size_t tbs, tbs_size;
};

static void put(struct message *m, const void *octets, size_t size)
{
    assert_true(m->size + size <= sizeof(m->data));
    memcpy(m->data + m->size, octets, size);
    m->size += size;
}

struct order {
    uint8_t psid;
    const char *time64; /* generationTime in hex, or NULL */
    bool is_expiry;     /* or expiryTime */
    enum {
        BY_DIGEST,
        BY_CERTIFICATE,
        BY_SELF,
        BY_TWO
    } signer;
    uint8_t hash_id;
};

/* By hand: `03 81` hashId, tbsData, signer, signature, as the layout of the acknowledgement has it.
 */
static void make(const struct fixture *f, const dot2_cert *cert, EVP_PKEY *key,
                 const struct order *order, struct message *m)
{
    uint8_t signature[DOT2_SIGNATURE_MAX], time64[8];
    size_t size = 0, cert_size = 0;
    const uint8_t *octets = dot2_cert_octets(cert, &cert_size);
    const uint8_t *canonical = dot2_cert_canonical(cert, &size);
    const uint8_t head[] = {0x03, 0x81, order->hash_id};
    /* payload: data present; Ieee1609Dot2Data unsecuredData "hello"; header: psid, maybe time */
    const uint8_t payload[] = {0x40, 0x03, 0x80, 0x05, 'h', 'e', 'l', 'l', 'o'};
    const uint8_t header[] = {(uint8_t)(order->time64 == NULL ? 0x00
                                        : order->is_expiry    ? 0x20
                                                              : 0x40),
                              0x01, order->psid};
    static const uint8_t one[] = {0x81, 0x01, 0x01}, two[] = {0x81, 0x01, 0x02};

    memset(m, 0, sizeof(*m));
    put(m, head, sizeof(head));
    m->tbs = m->size;
    put(m, payload, sizeof(payload));
    put(m, header, sizeof(header));
    if (order->time64 != NULL) {
        assert_int_equal(fixture_hex(order->time64, time64, 8), 8);
        put(m, time64, 8);
    }
    m->tbs_size = m->size - m->tbs;
    if (order->signer == BY_DIGEST) {
        put(m, "\x80", 1);
        put(m, dot2_cert_hashedid8(cert), 8);
    } else if (order->signer == BY_SELF) {
        put(m, "\x82", 1);
    } else {
        put(m, order->signer == BY_TWO ? two : one, 3);
        put(m, octets, cert_size);
        if (order->signer == BY_TWO)
            put(m, octets, cert_size);
    }
    assert_int_equal(dot2_sign(f->crypto, key, m->data + m->tbs, m->tbs_size, canonical, size,
                               signature, &size, NULL),
                     DOT2_OK);
    put(m, signature, size);
}

struct world {
    struct pki pki;
    EVP_PKEY *key, *implicit_key;
    dot2_cert *cert, *implicit; /* application certificates for PSID 0x23 */
};

static void world_open(const struct fixture *f, enum dot2_curve curve, struct world *w)
{
    ToBeSignedCertificate_t *body = fixture_body(f, "ra.test", FIXTURE_START, 1000);

    pki_open(f, curve, &w->pki);
    w->key = fixture_key(f, curve);
    fixture_app(f, body, 0x23, "8B0001", NULL);
    w->cert = fixture_explicit(f, body, w->key, w->pki.ica, w->pki.ica_key);
    w->implicit = NULL;
    w->implicit_key = NULL;
    if (dot2_curve_size(curve) == 32)
        w->implicit = fixture_implicit(f, body, w->pki.ica, w->pki.ica_key, &w->implicit_key);
}

static void world_close(struct world *w)
{
    dot2_cert_free(w->cert);
    dot2_cert_free(w->implicit);
    EVP_PKEY_free(w->key);
    EVP_PKEY_free(w->implicit_key);
    pki_close(&w->pki);
}

static const struct dot2_check check = {DOT2_PURPOSE_ANY, FIXTURE_NOW, false};
/* FIXTURE_NOW, and a second before FIXTURE_START, in microseconds. */
static const char at_now[] = "00027D8E47FCD000", before_start[] = "00027CA573487DC0";

static void by_certificate_and_by_digest(void **state)
{
    static const enum dot2_curve curves[] = {DOT2_CURVE_P256, DOT2_CURVE_BRAINPOOL_P256R1,
                                             DOT2_CURVE_BRAINPOOL_P384R1};
    const struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        struct order order = {.psid = 0x23, .hash_id = i == 2, .signer = BY_CERTIFICATE};
        struct dot2_chain chain = {0};
        struct message m;
        struct world w;

        world_open(f, curves[i], &w);
        make(f, w.cert, w.key, &order, &m);
        assert_int_equal(dot2_signed_data_verify(w.pki.trust, m.data, m.size, &check, &chain, NULL),
                         DOT2_OK);
        assert_int_equal(chain.depth, 3);
        dot2_chain_clear(&chain);
        order.signer = BY_DIGEST;
        make(f, w.cert, w.key, &order, &m);
        assert_int_equal(dot2_signed_data_verify(w.pki.trust, m.data, m.size, &check, NULL, NULL),
                         DOT2_E_SIGNER);
        assert_int_equal(dot2_trust_add(w.pki.trust, w.cert), DOT2_OK);
        assert_int_equal(dot2_signed_data_verify(w.pki.trust, m.data, m.size, &check, NULL, NULL),
                         DOT2_OK);
        /* hashId must be the hash of the key. */
        order.hash_id = i != 2;
        make(f, w.cert, w.key, &order, &m);
        assert_int_equal(dot2_signed_data_verify(w.pki.trust, m.data, m.size, &check, NULL, NULL),
                         DOT2_E_SIGNATURE);
        if (w.implicit != NULL) {
            order.hash_id = 0;
            order.signer = BY_CERTIFICATE;
            make(f, w.implicit, w.implicit_key, &order, &m);
            assert_int_equal(
                dot2_signed_data_verify(w.pki.trust, m.data, m.size, &check, NULL, NULL), DOT2_OK);
            /* The certificate is right, the key is not. */
            make(f, w.implicit, w.key, &order, &m);
            assert_int_equal(
                dot2_signed_data_verify(w.pki.trust, m.data, m.size, &check, NULL, NULL),
                DOT2_E_SIGNATURE);
        }
        world_close(&w);
    }
}

static void what_is_refused(void **state)
{
    const struct fixture *f = *state;
    struct dot2_check only = {DOT2_PURPOSE_ANY, 0, true}, late = check;
    struct order order = {.psid = 0x23, .signer = BY_SELF};
    struct dot2_error error = {0};
    struct message m;
    struct world w;

    world_open(f, DOT2_CURVE_P256, &w);
#define VERIFY(c) dot2_signed_data_verify(w.pki.trust, m.data, m.size, c, NULL, &error)
    make(f, w.cert, w.key, &order, &m);
    assert_int_equal(VERIFY(&check), DOT2_E_SIGNER);
    order.signer = BY_TWO;
    make(f, w.cert, w.key, &order, &m);
    assert_int_equal(VERIFY(&check), DOT2_E_SIGNER);
    order.signer = BY_CERTIFICATE;
    order.psid = 0x24;
    make(f, w.cert, w.key, &order, &m);
    assert_int_equal(VERIFY(&check), DOT2_E_PERMISSION);
    assert_int_equal(VERIFY(&only), DOT2_OK);
    order.psid = 0x23;
    order.time64 = at_now;
    make(f, w.cert, w.key, &order, &m);
    assert_int_equal(VERIFY(&check), DOT2_OK);
    order.time64 = before_start;
    make(f, w.cert, w.key, &order, &m);
    assert_int_equal(VERIFY(&check), DOT2_E_NOT_YET_VALID);
    order.time64 = "0FFFFFFFFFFFFFFF";
    make(f, w.cert, w.key, &order, &m);
    assert_int_equal(VERIFY(&check), DOT2_E_EXPIRED);
    order.is_expiry = true;
    make(f, w.cert, w.key, &order, &m);
    assert_int_equal(VERIFY(&check), DOT2_OK);
    order.time64 = before_start;
    make(f, w.cert, w.key, &order, &m);
    assert_int_equal(VERIFY(&check), DOT2_E_EXPIRED);
    order.time64 = NULL;
    make(f, w.cert, w.key, &order, &m);
    late.time = dot2_cert_end(w.cert) + 1;
    assert_int_equal(VERIFY(&late), DOT2_E_EXPIRED);
    /* Another content alternative. */
    memcpy(m.data, "\x03\x80\x01\x00", 4);
    m.size = 4;
    assert_int_equal(VERIFY(&check), DOT2_E_MESSAGE);
    m.size = 3;
    assert_int_equal(VERIFY(&check), DOT2_E_DECODE);
#undef VERIFY
    world_close(&w);
}

/* No truncation and no flipped bit of a signed message verifies. */
static void every_change_is_seen(void **state)
{
    const struct fixture *f = *state;
    struct order order = {.psid = 0x23, .signer = BY_CERTIFICATE};
    struct message m;
    struct world w;

    world_open(f, DOT2_CURVE_P256, &w);
    make(f, w.implicit, w.implicit_key, &order, &m);
    assert_int_equal(dot2_signed_data_verify(w.pki.trust, m.data, m.size, &check, NULL, NULL),
                     DOT2_OK);
    for (size_t size = 0; size < m.size; size++)
        assert_int_equal(dot2_signed_data_verify(w.pki.trust, m.data, size, &check, NULL, NULL),
                         DOT2_E_DECODE);
    for (size_t bit = 0; bit < 8 * m.size; bit++) {
        enum dot2_status status = DOT2_OK;

        m.data[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        status = dot2_signed_data_verify(w.pki.trust, m.data, m.size, &check, NULL, NULL);
        /* The form of rSig says the same in compressed form; nothing else may pass. */
        if (status == DOT2_OK)
            assert_int_equal(bit / 8, m.size - 65);
        m.data[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
    }
    ERR_clear_error();
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_certificate_and_by_digest),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(every_change_is_seen),
    };

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
