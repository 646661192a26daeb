/* internal.h: what the files of this folder share. */
#ifndef DOT2HSM_PROTOCOL_SCMS_INTERNAL_H
#define DOT2HSM_PROTOCOL_SCMS_INTERNAL_H

#include "protocol/dot2/asn1_key.h"
#include "protocol/scms/scms.h"

/*
 * The value of a type in the payload of a signedData under PSID 0x23 with nothing else in its
 * header. It points into octets. Verifies nothing. DOT2_E_MESSAGE, DOT2_E_DECODE.
 */
enum dot2_status scms_signed_payload(coer_arena *arena, const asn_TYPE_descriptor_t *type,
                                     const uint8_t *octets, size_t size, const void **value,
                                     struct dot2_error *error);

/* The value in an unsecuredData. */
enum dot2_status scms_unsecured_payload(coer_arena *arena, const asn_TYPE_descriptor_t *type,
                                        const uint8_t *octets, size_t size, const void **value,
                                        struct dot2_error *error);

/* A certificate within decoded octets; message is where error offsets count from. */
enum dot2_status scms_inner_cert(const dot2_crypto *crypto, const CertificateBase_t *asn1,
                                 const uint8_t *message, const char *field, dot2_cert **cert,
                                 struct dot2_error *error);

/* value as the payload of a signedData under PSID 0x23. */
enum dot2_status scms_signed_build(const dot2_crypto *crypto, EVP_PKEY *key, const dot2_cert *cert,
                                   enum dot2_signer_form form, const asn_TYPE_descriptor_t *type,
                                   const void *value, uint8_t **octets, size_t *size,
                                   struct dot2_error *error);

#endif
