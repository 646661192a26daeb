/*
 * ee_assemble.h: keys in a token that were assembled on the host (assemble-key-on-host).
 *
 * The private key of an implicit certificate is d = e k + s mod n, which no token computes. Where
 * the device is configured to accept that, k is made on the host, in memory that is locked and not
 * dumped, and waits for the response as a file that is sealed to a key in the token made for it,
 * URI-seal. When the response is there, k is opened, d is computed and put into the token as the
 * key URI, and file and sealing key are removed. A run that is killed in between leaves the file
 * and the sealing key until the certificate is in its place, so that it can be run again.
 *
 * The file is PEM: PUBLIC KEY, k G, and DOT2HSM SEALED KEY, what dot2_key_seal() gives.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_EE_ASSEMBLE_H
#define DOT2HSM_APPS_DOT2HSM_EE_ASSEMBLE_H

#include "apps/dot2hsm/ee_device.h"

/* All of these return an enum app_exit and say why on stderr, where nothing else is said. */

/*
 * OpenSSL's secure heap, locked and not dumped, and no core dumps. Asked for by the functions
 * below. APP_REFUSED where memory cannot be locked (RLIMIT_MEMLOCK).
 */
int sealed_secrets(void);
/*
 * The sealed key in the file `path` of the key uri of a token: it and its sealing key are made if
 * the file is not there. *public_key gets the public half; the private one is not opened.
 */
int sealed_key_make(struct device *device, const char *path, const char *uri,
                    EVP_PKEY **public_key);
/* The private key, in software. The file is compared with the public key that it shows. */
int sealed_key_open(struct device *device, const char *path, const char *uri, EVP_PKEY **key);
/*
 * Puts a software key into the token as uri; usage is a set of enum p11_usage. A key of this URI
 * with the same public key is as good; half a key that a killed run left is replaced.
 */
int sealed_key_import(struct device *device, const char *uri, const EVP_PKEY *key, unsigned usage);
/* URI-seal, without id= and type=. APP_USAGE: uri has no object=, or is too long. */
int sealed_key_uri(const char *uri, char seal[512]);
/* Removes file and sealing key, in this order. */
int sealed_key_drop(struct device *device, const char *path, const char *uri);

/* May keys be assembled? APP_USAGE with the reason if not. */
int assemble_allowed(const struct device *device);
/* Is there a sealed key of the application request id? */
bool assemble_pending(const struct device *device, const char *id);
/* Is the verification key of this request to be assembled? begun: a body was signed for it. */
bool assemble_applies(const struct device *device, const char *id, bool begun);
/* sealed_key_make() and sealed_key_open() for the request id, whose key will be uri. */
int assemble_key_make(struct device *device, const char *id, const char *uri, EVP_PKEY **key);
int assemble_key_open(struct device *device, const char *id, const char *uri, EVP_PKEY **key);
/* Notes the sealing key of a request for deletion, if there is one; the file goes by itself. */
void assemble_obsolete(struct device *device, const char *id, const char *uri);

/* Where the key of a URI was made, as the token says it: a text for a table. */
const char *assemble_origin(struct device *device, const char *uri);

#endif
