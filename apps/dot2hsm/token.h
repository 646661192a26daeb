/*
 * token.h: tokens for the commands that manage keys, straight on pkcs11/: the provider offers keys
 * for use, not their attributes.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_TOKEN_H
#define DOT2HSM_APPS_DOT2HSM_TOKEN_H

#include "apps/app.h"
#include "pkcs11/p11.h"

/* A context by the options of the command line and the section [provider] of the configuration. */
int token_open(const struct app_provider *options, const CONF *conf, p11_ctx **ctx);

/* Asks for the PIN if there is a terminal. */
bool token_prompt(void *arg, const char *token_label, char *pin, size_t capacity, size_t *size);

/* Says why, with what OpenSSL's error queue has, and returns the enum app_exit for it. */
int token_failed(enum p11_status status, const char *what);

#endif
