/*
 * asn1_key.h: public keys as the ASN.1 has them, and octets of a value. For the folders of this
 * floor.
 */
#ifndef DOT2HSM_PROTOCOL_DOT2_ASN1_KEY_H
#define DOT2HSM_PROTOCOL_DOT2_ASN1_KEY_H

#include "protocol/dot2/fail.h"

#include <EccP256CurvePoint.h>
#include <PublicEncryptionKey.h>
#include <PublicVerificationKey.h>

/* The canonical encoding of a value; *octets is OPENSSL_free'd by the caller. */
enum dot2_status dot2_asn1_encode(const asn_TYPE_descriptor_t *type, const void *value,
                                  uint8_t **octets, size_t *size, struct dot2_error *error);

/* 02|03 || x of 33 octets. False if there is no memory. */
bool dot2_asn1_set_point(coer_arena *arena, EccP256CurvePoint_t *asn1,
                         const uint8_t compressed[33]);
/* DOT2_E_ALGORITHM with the field for a curve that the type has no alternative for. */
enum dot2_status dot2_asn1_set_verification_key(coer_arena *arena, PublicVerificationKey_t *asn1,
                                                const EVP_PKEY *key, const char *field,
                                                struct dot2_error *error);
enum dot2_status dot2_asn1_set_encryption_key(coer_arena *arena, PublicEncryptionKey_t *asn1,
                                              const EVP_PKEY *key, const char *field,
                                              struct dot2_error *error);

/*
 * The other direction: a public key whose point is checked to be on its curve. DOT2_E_POINT with
 * the field if it is not, or is no whole point (x-only, fill). With key NULL it is checked only.
 */
enum dot2_status dot2_asn1_get_point(const dot2_crypto *crypto, enum dot2_curve curve,
                                     const EccP256CurvePoint_t *asn1, const char *field,
                                     EVP_PKEY **key, struct dot2_error *error);
enum dot2_status dot2_asn1_get_verification_key(const dot2_crypto *crypto,
                                                const PublicVerificationKey_t *asn1,
                                                const char *field, EVP_PKEY **key,
                                                struct dot2_error *error);
enum dot2_status dot2_asn1_get_encryption_key(const dot2_crypto *crypto,
                                              const PublicEncryptionKey_t *asn1, const char *field,
                                              EVP_PKEY **key, struct dot2_error *error);

/*
 * The compressed point 02|03 || x of a key (33 or 49 octets), as it stands: on the curve or not.
 * False: no whole point, or a kind of key that is not known here.
 */
bool dot2_asn1_verification_point(const PublicVerificationKey_t *asn1, uint8_t compressed[49],
                                  size_t *size);

/*
 * A certificate as a part of a message to be encoded; shares what cert has. DOT2_E_ARGUMENT if it
 * would not be encoded to the octets that it was decoded from.
 */
enum dot2_status dot2_asn1_embed(const dot2_cert *cert, CertificateBase_t *asn1, const char *field,
                                 struct dot2_error *error);

#endif
