/*
 * tls_lab.h: what the tests of the end entity stand on: a temporary directory, X.509 certificates
 * made for the test, and files in it.
 */
#ifndef DOT2HSM_TESTS_EE_TLS_LAB_H
#define DOT2HSM_TESTS_EE_TLS_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

/* A directory of its own; the path stays valid until lab_end(), which removes it. */
const char *lab_begin(void);
void lab_end(void);
/* directory/name; valid until the eighth call after. */
const char *lab_path(const char *name);

void lab_write(const char *path, const void *octets, size_t size);
/* The octets of a file (free()); NULL if it is not there. */
uint8_t *lab_read(const char *path, size_t *size);
bool lab_exists(const char *path);
/* Octets that do not repeat within a file: a splice at a wrong place shows. */
uint8_t *lab_octets(size_t size, uint32_t seed);

struct lab_pair {
    X509 *certificate;
    EVP_PKEY *key;
};
/* A root of its own, valid for a day. */
struct lab_pair lab_root(const char *name);
/*
 * A server certificate under issuer for a host name or numeric address, valid from and to so many
 * seconds from now.
 */
struct lab_pair lab_leaf(const struct lab_pair *issuer, const char *host, long from, long to);
void lab_pair_clear(struct lab_pair *pair);
/* The certificate in PEM. */
void lab_write_pem(const char *path, X509 *certificate);

#endif
