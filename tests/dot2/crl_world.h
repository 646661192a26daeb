/* crl_world.h: a CRACA, its signer, and who can be revoked; lists to order. */
#ifndef DOT2HSM_TESTS_DOT2_CRL_WORLD_H
#define DOT2HSM_TESTS_DOT2_CRL_WORLD_H

#include "tests/dot2/fixture.h"

#define SERIES 4
#define ISSUED (FIXTURE_NOW - 1000)

/* Root -> CRACA (CrlSsp isCraca, series 4) -> CRL signer (issuerIsCraca); root -> CA -> devices. */
struct world {
    const struct fixture *f;
    struct pki pki;
    EVP_PKEY *craca_key, *signer_key, *ca_key, *device_key, *implicit_key;
    dot2_cert *craca, *signer, *ca, *device, *other, *implicit;
};

struct list {
    EVP_PKEY *key;
    const dot2_cert *signer;
    const dot2_cert *craca;
    long series;
    uint32_t issued, next;
    enum TypeSpecificCrlContents_PR kind;
    const dot2_cert *revoked[3];
    uint64_t psid;
};

void world_open(const struct fixture *f, struct world *w);
void world_close(struct world *w);
/* Issued by the root, for the PSID of lists with this SSP in hex. */
dot2_cert *crl_cert(struct world *w, const char *name, const char *ssp, EVP_PKEY *key,
                    bool also_issue);
/* A good list, which revokes nobody. */
struct list full(const struct world *w);
/* The SecuredCrl of a list; in memory of the fixture. */
uint8_t *make(const struct world *w, const struct list *list, size_t *size);
/* Lists in a CompositeCrl, whose octets are put together by hand. */
uint8_t *compose(const struct world *w, const struct list *lists, size_t count, size_t *size);

#endif
