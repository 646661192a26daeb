/* fixture.h: a library context with the provider, software keys, and certificates to order. */
#ifndef DOT2HSM_TESTS_DOT2_FIXTURE_H
#define DOT2HSM_TESTS_DOT2_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include "asn1/types.h"
#include "protocol/dot2/internal.h"

struct fixture {
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *defaults, *dot2hsm;
    dot2_crypto *crypto;
    coer_arena *arena; /* of the bodies; ends with the fixture */
};

/* Aborts the test program when something is missing. The module is in DOT2HSM_MODULES. */
void fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture);
/* For cmocka's group functions. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

EVP_PKEY *fixture_key(const struct fixture *fixture, enum dot2_curve curve);
/* The COER of a Signature, decoded; in memory of the fixture. */
const Signature_t *fixture_signature(const struct fixture *fixture, const uint8_t *octets,
                                     size_t size);
/* Octets of a hex text; returns their number. */
size_t fixture_hex(const char *hex, uint8_t *out, size_t capacity);

/* Bodies. */
#define FIXTURE_START 700000000u /* 2026-03-07 */
#define FIXTURE_NOW (FIXTURE_START + 1000000u)
#define APP 0x80
#define ENROL 0x40

ToBeSignedCertificate_t *fixture_body(const struct fixture *fixture, const char *name,
                                      uint32_t start, unsigned hours);
void fixture_app(const struct fixture *fixture, ToBeSignedCertificate_t *body, long psid,
                 const char *opaque_hex, const char *bitmap_hex);
SspRange_t *fixture_opaque(const struct fixture *fixture, const char *hex, const char *second);
SspRange_t *fixture_bitmap(const struct fixture *fixture, const char *value, const char *mask);
SspRange_t *fixture_all_ssp(const struct fixture *fixture);
/* A group in certIssuePermissions or certRequestPermissions; psid < 0 = all. */
PsidGroupPermissions_t *fixture_issue(const struct fixture *fixture, ToBeSignedCertificate_t *body,
                                      long psid, SspRange_t *range, long shortest, long length,
                                      uint8_t ee_type);
PsidGroupPermissions_t *fixture_request(const struct fixture *fixture,
                                        ToBeSignedCertificate_t *body, long psid, SspRange_t *range,
                                        long shortest, long length, uint8_t ee_type);
void fixture_range_add(const struct fixture *fixture, PsidGroupPermissions_t *group, long psid,
                       SspRange_t *range);
/* A region given by its COER in hex. */
void fixture_region(const struct fixture *fixture, ToBeSignedCertificate_t *body, const char *hex);
void fixture_assurance(const struct fixture *fixture, ToBeSignedCertificate_t *body, uint8_t octet);

void fixture_encryption(const struct fixture *fixture, ToBeSignedCertificate_t *body,
                        const EVP_PKEY *key);

/* Issues or aborts the test. */
dot2_cert *fixture_explicit(const struct fixture *fixture, ToBeSignedCertificate_t *body,
                            const EVP_PKEY *subject, const dot2_cert *issuer, EVP_PKEY *issuer_key);
/* An implicit one, with the private key that belongs to it. */
dot2_cert *fixture_implicit(const struct fixture *fixture, ToBeSignedCertificate_t *body,
                            const dot2_cert *issuer, EVP_PKEY *issuer_key, EVP_PKEY **key);

/* Root -> ICA -> ECA -> RSE, all as in the SCMS profile. */
struct pki {
    EVP_PKEY *root_key, *ica_key, *eca_key, *rse_key, *implicit_key;
    dot2_cert *root, *ica, *eca;
    dot2_cert *rse;      /* enrollment, explicit */
    dot2_cert *implicit; /* enrollment, implicit */
    dot2_trust *trust;   /* root as anchor, ICA and ECA */
};
void pki_open(const struct fixture *fixture, enum dot2_curve curve, struct pki *pki);
void pki_close(struct pki *pki);
extern const struct dot2_check pki_enrollment, pki_any, pki_signature_only; /* at FIXTURE_NOW */
/* Verifies the chain of cert, which must have this status. */
void pki_expect(dot2_trust *trust, dot2_cert *cert, const struct dot2_check *check,
                enum dot2_status status);
ToBeSignedCertificate_t *pki_ca_body(const struct fixture *fixture, const char *name,
                                     unsigned hours);
ToBeSignedCertificate_t *pki_rse_body(const struct fixture *fixture, const char *name);

#endif
