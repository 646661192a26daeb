/*
 * strength.h: is every change of a message noticed? The changes are taken from the ASN.1 of the
 * message and of what is packed in it (tests/asn1/mutate.h), and from its octets.
 */
#ifndef DOT2HSM_TESTS_SECURITY_STRENGTH_H
#define DOT2HSM_TESTS_SECURITY_STRENGTH_H

#include "asn1/coer.h"

/*
 * A change that does not have to be noticed, and why not. path is where the change's own path ends;
 * an octet belongs to the deepest part of the message that holds it. An exception that is not
 * needed fails the test as well.
 */
struct strength_exception {
    const char *path;
    const char *change; /* how its words begin; "" = any */
    const char *why;
};

/* Finds an OCTET STRING that holds a type of its own; NULL: there is none. */
typedef OCTET_STRING_t *strength_packed(void *value);

struct strength_message {
    const char *name;
    const asn_TYPE_descriptor_t *type;
    const uint8_t *octets;
    size_t size;
    /* Is it taken for what it was before it was changed? */
    bool (*accepts)(void *arg, const uint8_t *octets, size_t size);
    void *arg;
    const asn_TYPE_descriptor_t *packed_type; /* NULL: nothing is packed */
    strength_packed *packed;
    const struct strength_exception *exceptions; /* up to one without a path */
};

/*
 * Fails the running cmocka test, with all that was not noticed, unless the message is accepted and
 * nothing else is: no change of the ASN.1, no flipped bit (one of each octet; all of them under
 * DOT2HSM_LONG), no shorter and no longer message, no length or quantity near 2^31, 2^32, 2^63 or
 * 2^64 at any place.
 */
void strength_check(const struct strength_message *message);

/* What is packed in unsecuredData, in signedCertificateRequest, and in the payload of signedData.
 */
strength_packed strength_in_unsecured, strength_in_request, strength_in_signed;

#endif
