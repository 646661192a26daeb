/*
 * fail.h: how the protocol floor fills a struct dot2_error (error.c). For the folders of this
 * floor.
 */
#ifndef DOT2HSM_PROTOCOL_DOT2_FAIL_H
#define DOT2HSM_PROTOCOL_DOT2_FAIL_H

#include "protocol/dot2/dot2.h"

/* Fills *error, if there is one, and returns status. field may be NULL. */
enum dot2_status dot2_fail(struct dot2_error *error, enum dot2_status status, const char *field,
                           const char *format, ...) __attribute__((format(printf, 4, 5)));
enum dot2_status dot2_fail_at(struct dot2_error *error, enum dot2_status status, size_t offset,
                              const char *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* DOT2_E_CRYPTO (or another) with the last reason of OpenSSL's error queue. */
enum dot2_status dot2_fail_openssl(struct dot2_error *error, enum dot2_status status,
                                   const char *what);
enum dot2_status dot2_fail_memory(struct dot2_error *error);
/* What the codec said; base is added to its offset. */
enum dot2_status dot2_fail_coer(struct dot2_error *error, const struct coer_error *coer,
                                size_t base);

#endif
