/*
 * strength_world.h: who signs in the tests of strength: a PKI, and one authority that may do all
 * that an RA, an ECA, a PCA and a policy generator may.
 */
#ifndef DOT2HSM_TESTS_SECURITY_STRENGTH_WORLD_H
#define DOT2HSM_TESTS_SECURITY_STRENGTH_WORLD_H

#include "protocol/scms/scms.h"
#include "tests/dot2/fixture.h"
#include "tests/security/strength.h"

struct strength_world {
    struct fixture f;
    struct pki pki;
    EVP_PKEY *authority_key, *response_key, *implicit_key;
    dot2_cert *authority; /* explicit, under the ICA; its encryption key is response_key */
    dot2_cert *implicit;  /* under the authority, for applications */
};
extern struct strength_world world;

/* For cmocka's group functions. */
int world_set_up(void **state);
int world_tear_down(void **state);

/* A copy in memory of the fixture; octets are OPENSSL_free'd. */
struct coer_span world_keep(uint8_t *octets, size_t size);
struct coer_span world_encode(const asn_TYPE_descriptor_t *type, const void *value);
void *world_decode(const asn_TYPE_descriptor_t *type, struct coer_span octets);

struct signer {
    const char *name;
    EVP_PKEY *key;
    const dot2_cert *cert;
    dot2_trust *trust;
    SignerIdentifier_PR form;
};
/* A signed message over any ToBeSignedData: the builders of the library know no other headers. */
Ieee1609Dot2Data_t *world_sign(const struct signer *signer, struct ToBeSignedData *tbs);

#endif
