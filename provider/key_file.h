/*
 * key_file.h: the form in which a key of a token stands in a file: the URI of the key, and nothing
 * secret. It is that of pkcs11-provider 1.0, so that the files of one serve the other:
 *
 *   PEM label "PKCS#11 PROVIDER URI", around
 *   SEQUENCE {
 *       description  VisibleString,  -- "PKCS#11 Provider URI v1.0"
 *       uri          UTF8String }    -- RFC 7512
 */
#ifndef DOT2HSM_PROVIDER_KEY_FILE_H
#define DOT2HSM_PROVIDER_KEY_FILE_H

#include <stddef.h>
#include <stdint.h>

#define PROV_KEY_FILE_LABEL "PKCS#11 PROVIDER URI"
#define PROV_KEY_FILE_STRUCTURE "pkcs11-uri"
/* Octets that a DER form may have: RFC 7512 has no bound, but no token has names for more. */
#define PROV_KEY_FILE_MAX 8192

enum prov_key_file {
    PROV_KEY_FILE_OK,
    PROV_KEY_FILE_OTHER,    /* something else altogether; no error is raised */
    PROV_KEY_FILE_MALFORMED /* meant to be one, and an error says what is wrong with it */
};

/*
 * The URI in der, a string of its own for the caller to clear and free. Strict: DER to the last
 * octet, a URI without NUL and with the scheme pkcs11.
 */
enum prov_key_file prov_key_file_parse(const uint8_t *der, size_t size, char **uri);

/* The DER form of a URI, for the caller to free. 1, or 0 and an error is raised. */
int prov_key_file_build(const char *uri, uint8_t **der, size_t *size);

#endif
