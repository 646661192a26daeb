#include "tests/security/strength_world.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/asn1_key.h"

struct strength_world world;

static ToBeSignedCertificate_t *authority_body(const char *name)
{
    ToBeSignedCertificate_t *body = fixture_body(&world.f, name, FIXTURE_START, 20000);

    fixture_app(&world.f, body, SCMS_PSID, "8b0001", NULL);
    fixture_region(&world.f, body, "83 0101 80 0348");
    fixture_issue(&world.f, body, -1, NULL, 1, 0, APP | ENROL);
    body->encryptionKey = coer_arena_alloc(world.f.arena, sizeof(*body->encryptionKey));
    assert_int_equal(dot2_asn1_set_encryption_key(world.f.arena, body->encryptionKey,
                                                  world.response_key, "", NULL),
                     DOT2_OK);
    return body;
}

int world_set_up(void **state)
{
    ToBeSignedCertificate_t *body;

    (void)state;
    fixture_open(&world.f);
    pki_open(&world.f, DOT2_CURVE_P256, &world.pki);
    world.authority_key = fixture_key(&world.f, DOT2_CURVE_P256);
    world.response_key = fixture_key(&world.f, DOT2_CURVE_P256);
    world.authority = fixture_explicit(&world.f, authority_body("authority.example"),
                                       world.authority_key, world.pki.ica, world.pki.ica_key);
    assert_int_equal(dot2_trust_add(world.pki.trust, world.authority), DOT2_OK);
    body = fixture_body(&world.f, "implicit.example", FIXTURE_START, 10000);
    fixture_app(&world.f, body, SCMS_PSID, "8b0001", NULL);
    fixture_region(&world.f, body, "83 0101 80 0348");
    world.implicit =
        fixture_implicit(&world.f, body, world.authority, world.authority_key, &world.implicit_key);
    return 0;
}

int world_tear_down(void **state)
{
    (void)state;
    dot2_cert_free(world.authority);
    dot2_cert_free(world.implicit);
    EVP_PKEY_free(world.authority_key);
    EVP_PKEY_free(world.response_key);
    EVP_PKEY_free(world.implicit_key);
    pki_close(&world.pki);
    fixture_close(&world.f);
    return 0;
}

struct coer_span world_keep(uint8_t *octets, size_t size)
{
    uint8_t *copy = coer_arena_alloc(world.f.arena, size);

    assert_non_null(copy);
    memcpy(copy, octets, size);
    OPENSSL_free(octets);
    return (struct coer_span){copy, size};
}

struct coer_span world_encode(const asn_TYPE_descriptor_t *type, const void *value)
{
    uint8_t *octets = NULL, *copy;
    size_t size = 0;

    assert_int_equal(coer_encode_alloc(type, value, &octets, &size, NULL), COER_OK);
    copy = coer_arena_alloc(world.f.arena, size);
    assert_non_null(copy);
    memcpy(copy, octets, size);
    free(octets);
    return (struct coer_span){copy, size};
}

void *world_decode(const asn_TYPE_descriptor_t *type, struct coer_span octets)
{
    void *value = NULL;

    assert_int_equal(coer_decode(world.f.arena, type, octets.data, octets.size, &value, NULL),
                     COER_OK);
    return value;
}

Ieee1609Dot2Data_t *world_sign(const struct signer *signer, struct ToBeSignedData *tbs)
{
    struct coer_span tbs_octets = world_encode(&asn_DEF_ToBeSignedData, tbs), cert = {0};
    Ieee1609Dot2Data_t *data = coer_arena_alloc(world.f.arena, sizeof(*data));
    uint8_t signature[DOT2_SIGNATURE_MAX];
    struct SignedData *signed_data;
    size_t size = 0, signature_size = 0;
    const uint8_t *canonical = dot2_cert_canonical(signer->cert, &size);

    assert_int_equal(dot2_sign(world.f.crypto, signer->key, tbs_octets.data, tbs_octets.size,
                               canonical, size, signature, &signature_size, NULL),
                     DOT2_OK);
    data->protocolVersion = 3;
    data->content = coer_arena_alloc(world.f.arena, sizeof(*data->content));
    data->content->present = Ieee1609Dot2Content_PR_signedData;
    signed_data = coer_arena_alloc(world.f.arena, sizeof(*signed_data));
    data->content->choice.signedData = signed_data;
    signed_data->hashId = dot2_curve_hash_size(dot2_key_curve(signer->key)) == 48
                              ? HashAlgorithm_sha384
                              : HashAlgorithm_sha256;
    signed_data->tbsData = tbs;
    signed_data->signer.present = signer->form;
    if (signer->form == SignerIdentifier_PR_digest) {
        coer_octets_view(&signed_data->signer.choice.digest, dot2_cert_hashedid8(signer->cert), 8);
    } else {
        cert.data = dot2_cert_octets(signer->cert, &cert.size);
        assert_true(coer_list_add(world.f.arena, &signed_data->signer.choice.certificate,
                                  world_decode(&asn_DEF_CertificateBase, cert)));
    }
    signed_data->signature = *(Signature_t *)world_decode(
        &asn_DEF_Signature, world_keep(OPENSSL_memdup(signature, signature_size), signature_size));
    return data;
}
