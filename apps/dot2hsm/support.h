/*
 * support.h: what several commands need: the 1609.2 services, certificates from files, errors.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_SUPPORT_H
#define DOT2HSM_APPS_DOT2HSM_SUPPORT_H

#include "apps/app.h"
#include "protocol/dot2/dot2.h"

/*
 * The provider and the 1609.2 services over it. provider may be NULL: no token is needed then.
 * Returns an enum app_exit and says why. The caller frees crypto, then libctx.
 */
int command_crypto(const struct app_provider *provider, OSSL_LIB_CTX **libctx,
                   dot2_crypto **crypto);

/* "CONTEXT: FIELD: at octet N: DETAIL (DOT2_E_...)" to stderr, with OpenSSL's queue if it has one.
 */
void command_error(const char *context, const struct dot2_error *error);

/* A certificate from a file in any of the forms of input.h. Returns an enum app_exit. */
int command_certificate(const dot2_crypto *crypto, const char *path, dot2_cert **cert);

/* Lower case hexadecimal; text has room for 2 * size + 1. Returns text. */
char *command_hex(const uint8_t *octets, size_t size, char *text);

/* Unix time in UTC as 2026-03-07T12:00:00Z, or the number if it is no such time. Returns text. */
const char *command_time(int64_t at, char text[32]);
/* "not yet valid", "valid" or "expired"; times of one kind. */
const char *command_validity(int64_t start, int64_t end, int64_t now);

/* A failure that says nothing about what was looked at: there was no memory for it, or a library
 * could not make what it takes, for which that is the reason as a rule. */
bool command_cannot_tell(enum dot2_status status);

#endif
