/*
 * provider_conf.h: the provider's configuration in memory, for the library and for the programs.
 * OpenSSL 3.0 gives a provider its options by a configuration only, and the provider does not see
 * what it does not ask for: an unknown option is found here or nowhere.
 */
#ifndef DOT2HSM_API_PROVIDER_CONF_H
#define DOT2HSM_API_PROVIDER_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/bio.h>
#include <openssl/types.h>

/* The options of dot2hsm-provider(7), by number; NULL after the last. */
const char *provider_conf_option(size_t number);
bool provider_conf_known(const char *name);

/* One line "name = value", quoted so that the value stays what it is. False: a control character.
 */
bool provider_conf_put(BIO *bio, const char *name, const char *value);
/*
 * The beginning: providers default and dot2hsm, the latter from the file module (NULL: by its
 * name). Lines of provider_conf_put() follow. False: a control character.
 */
bool provider_conf_begin(BIO *bio, const char *module);
/*
 * The end, and all of it into libctx. False, with the reason in OpenSSL's queue, unless both
 * providers are active then.
 */
bool provider_conf_load(BIO *bio, OSSL_LIB_CTX *libctx);

#endif
