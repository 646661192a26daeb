/*
 * app.h: what the programs share: exit codes, configuration files, the provider, keys by URI.
 */
#ifndef DOT2HSM_APPS_APP_H
#define DOT2HSM_APPS_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/evp.h>

/* The one table of exit codes. */
enum app_exit {
    APP_OK = 0,
    APP_REFUSED = 1,    /* refused, not valid, not found */
    APP_USAGE = 2,      /* usage or configuration */
    APP_UNREACHABLE = 3 /* RA, HSM or store cannot be reached */
};

/* What stands before every message, "dot2hsm keys list"; not copied. */
void app_name_set(const char *name);
const char *app_name_get(void);

/* "PROGRAM: text" to stderr. */
void app_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, followed by what stands in OpenSSL's error queue, which is emptied. */
void app_error_openssl(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Where both go instead of stderr: one text for each, without the program's name, with what stands
 * in the queue on the same line. NULL: to stderr again. For a program of one thread.
 */
typedef void app_error_fn(void *arg, const char *text);
void app_error_sink(app_error_fn *sink, void *arg);

/* A UTF-8 text as a JSON string, with its quotes; and as text with control characters as \xNN. */
void app_json_string(FILE *out, const char *text);
void app_print_safe(FILE *out, const char *text);

/*
 * Options of the provider, as on every command line: --config FILE, --module PATH, --token URI,
 * --pin-source SOURCE. The file (default: DOT2HSM_CONF, else none) has a section [provider] with
 * the options of dot2hsm-provider(7); the command line wins.
 */
struct app_provider {
    const char *config;
    const char *module;
    const char *token;
    const char *pin_source;
};

/*
 * A library context with the providers default and dot2hsm, loaded by a configuration in memory.
 * dot2hsm.so is taken from DOT2HSM_PROVIDER_PATH (a directory), else ../lib beside the program,
 * else OpenSSL's own directory of modules. Returns an enum app_exit; says why on stderr.
 */
int app_provider_load(const struct app_provider *options, OSSL_LIB_CTX **libctx);

/* The path of dot2hsm.so by these rules; false: it is not there. path has room for 4096 octets. */
bool app_provider_find(char path[4096]);

/*
 * One line "name = value" of CONF, quoted so that the value stays what it is. False, and said, if
 * it has a control character.
 */
bool app_conf_put(BIO *bio, const char *name, const char *value);

/* --config, else DOT2HSM_CONF, else NULL. */
const char *app_conf_path(const struct app_provider *options);

/* The option of the provider that a misspelt name most likely means, or NULL. */
const char *app_provider_option_like(const char *name);

/* A private key by URI (pkcs11:..., file:...) or path of a PEM file. Says why on failure. */
int app_key_open(OSSL_LIB_CTX *libctx, const char *uri, EVP_PKEY **key);

/* A whole file of at most max octets; "-" is standard input. *octets is OPENSSL_free'd. */
int app_file_read(const char *path, size_t max, uint8_t **octets, size_t *size);
/* Writes to a temporary file beside it, fsyncs and renames; "-" is standard output. */
int app_file_write(const char *path, const uint8_t *octets, size_t size, unsigned mode);

/*
 * Calls each for every file of a list of files and directories, separated by commas, until it
 * returns false. Of a directory, every regular file named *.oer, *.coer or *.cert, by name. False
 * if each was, or a directory cannot be read, which is said.
 */
typedef bool app_certificate_fn(void *arg, const char *path);
bool app_certificates_each(const char *list, app_certificate_fn *each, void *arg);

/* A configuration file in OpenSSL's CONF format. APP_USAGE, and said, if it cannot be read. */
int app_conf_read(const char *path, CONF **conf);

/*
 * The same, whose sections and keys must all be known.
 * APP_USAGE with file, section and key otherwise.
 */
struct app_conf_key {
    const char *section; /* "name *": every section "name ANYTHING" */
    const char *key;     /* NULL: the options of the provider, dot2hsm-provider(7) */
};
int app_conf_load(const char *path, const struct app_conf_key *known, size_t count, CONF **conf);

#endif
