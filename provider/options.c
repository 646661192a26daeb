/*
 * options.c: the one table of options, from openssl.cnf or from a file of our own.
 *
 * What is wrong with them is kept, and said at each pkcs11: URI. A provider that refused to load
 * would say it to nobody: programs that read openssl.cnf at start-up ignore errors in it, and all
 * that their users saw would be "unregistered scheme".
 *
 * libcrypto hands out an option of the provider's section only when it is asked for by name, so a
 * misspelt one there cannot be seen from here. In a file of our own it can, and is an error.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "provider/provider.h"

enum option_type {
    OPTION_TEXT,
    OPTION_BOOL,     /* yes, no */
    OPTION_BOOL_NOT, /* yes, no; the target says the opposite */
    OPTION_AUTO,     /* auto, yes, no */
    OPTION_LOGIN,    /* auto, always, never */
    OPTION_NUMBER
};

static const struct option {
    const char *name;
    enum option_type type;
    size_t target; /* in struct p11_config */
} table[] = {
    {"pkcs11-module", OPTION_TEXT, offsetof(struct p11_config, module_path)},
    {"module-init-args", OPTION_TEXT, offsetof(struct p11_config, module_init_args)},
    {"token", OPTION_TEXT, offsetof(struct p11_config, token_uri)},
    {"pin-source", OPTION_TEXT, offsetof(struct p11_config, pin_source)},
    {"allow-pin-value", OPTION_BOOL, offsetof(struct p11_config, allow_pin_value)},
    {"require-sensitive", OPTION_BOOL_NOT, offsetof(struct p11_config, allow_not_sensitive)},
    {"key-copy", OPTION_AUTO, offsetof(struct p11_config, key_copy)},
    {"block-sigpipe", OPTION_AUTO, offsetof(struct p11_config, block_sigpipe)},
    {"login", OPTION_LOGIN, offsetof(struct p11_config, login)},
    {"max-sessions", OPTION_NUMBER, offsetof(struct p11_config, max_sessions)},
    {"deadline-ms", OPTION_NUMBER, offsetof(struct p11_config, deadline_ms)},
    {"trace", OPTION_BOOL, offsetof(struct p11_config, trace)},
};
#define TABLE_SIZE (sizeof(table) / sizeof(table[0]))

static const struct option *option_find(const char *name)
{
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        if (strcmp(name, table[i].name) == 0)
            return &table[i];
    }
    return NULL;
}

static bool parse_bool(const char *value, bool *result)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *result = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool parse_auto(const char *value, const char *yes, const char *no, enum p11_auto *result)
{
    if (strcasecmp(value, "auto") == 0)
        *result = P11_AUTO;
    else if (strcasecmp(value, yes) == 0)
        *result = P11_YES;
    else if (strcasecmp(value, no) == 0)
        *result = P11_NO;
    else
        return false;
    return true;
}

static bool parse_number(const char *value, unsigned *result)
{
    unsigned long number = 0;

    if (*value == '\0' || strspn(value, "0123456789") != strlen(value) || strlen(value) > 9)
        return false;
    number = strtoul(value, NULL, 10);
    if (number == 0)
        return false;
    *result = (unsigned)number;
    return true;
}

static bool set_text(const char **target, const char *value)
{
    char *copy = OPENSSL_strdup(value);

    if (copy == NULL)
        return false;
    OPENSSL_free((char *)*target);
    *target = copy;
    return true;
}

static int option_set(struct p11_config *options, const struct option *option, const char *value,
                      const char *where)
{
    void *target = (char *)options + option->target;
    const char *expected = "";
    bool boolean = false;
    bool ok = false;

    switch (option->type) {
    case OPTION_TEXT:
        ok = *value != '\0' && set_text(target, value);
        expected = "not empty";
        break;
    case OPTION_BOOL:
    case OPTION_BOOL_NOT:
        ok = parse_bool(value, &boolean);
        if (ok)
            *(bool *)target = boolean != (option->type == OPTION_BOOL_NOT);
        expected = "yes or no";
        break;
    case OPTION_AUTO:
        ok = parse_auto(value, "yes", "no", target);
        expected = "auto, yes or no";
        break;
    case OPTION_LOGIN:
        ok = parse_auto(value, "always", "never", target);
        expected = "auto, always or never";
        break;
    case OPTION_NUMBER:
        ok = parse_number(value, target);
        expected = "a number from 1 to 999999999";
        break;
    }
    /* The value is not repeated: someone may have written a PIN there. */
    if (!ok)
        PROV_RAISE(PROV_R_OPTION, "%s in %s must be %s", option->name, where, expected);
    return ok;
}

static int read_section(struct p11_config *options, const CONF *conf, const char *section,
                        const char *path)
{
    STACK_OF(CONF_VALUE) *values = NULL;

    ERR_set_mark();
    values = NCONF_get_section(conf, section);
    ERR_pop_to_mark();
    for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
        const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);
        const struct option *option = option_find(value->name);

        if (option == NULL) {
            PROV_RAISE(PROV_R_OPTION, "unknown option %s in %s", value->name, path);
            return 0;
        }
        if (!option_set(options, option, value->value, path))
            return 0;
    }
    return 1;
}

/*
 * A file of our own in NCONF's form: options without a section, or in the section [provider] of a
 * file that the programs read too; their other sections are not looked at here.
 */
static int read_file(struct p11_config *options, const char *path)
{
    CONF *conf = NCONF_new(NULL);
    long line = 0;
    int ok = 0;

    if (conf == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        return 0;
    }
    if (NCONF_load(conf, path, &line) <= 0) {
        if (line > 0)
            PROV_RAISE(PROV_R_OPTION, "%s, line %ld: not a configuration file", path, line);
        else
            PROV_RAISE(PROV_R_OPTION, "%s cannot be read", path);
        goto out;
    }
    if (read_section(options, conf, "default", path) &&
        read_section(options, conf, "provider", path))
        ok = 1;
out:
    NCONF_free(conf);
    return ok;
}

static int read_all(struct p11_config *options, const OSSL_CORE_HANDLE *handle,
                    OSSL_FUNC_core_get_params_fn *core_get_params)
{
    const char *values[TABLE_SIZE + 1] = {NULL};
    OSSL_PARAM params[TABLE_SIZE + 2];
    const char *file = NULL;

    for (size_t i = 0; i <= TABLE_SIZE; i++) {
        const char *name = i < TABLE_SIZE ? table[i].name : "config";

        params[i] = OSSL_PARAM_construct_utf8_ptr(name, (char **)&values[i], 0);
    }
    params[TABLE_SIZE + 1] = OSSL_PARAM_construct_end();
    if (core_get_params != NULL && !core_get_params(handle, params)) {
        PROV_RAISE(PROV_R_OPTION, "libcrypto does not give the options of the section");
        return 0;
    }
    file = values[TABLE_SIZE] != NULL ? values[TABLE_SIZE] : secure_getenv("DOT2HSM_CONF");
    if (file != NULL && *file != '\0' && !read_file(options, file))
        return 0;
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        if (values[i] != NULL &&
            !option_set(options, &table[i], values[i], "the provider's section"))
            return 0;
    }
    return 1;
}

char *prov_options_read(struct p11_config *options, const OSSL_CORE_HANDLE *handle,
                        OSSL_FUNC_core_get_params_fn *core_get_params)
{
    const char *text = NULL;
    char *copy = NULL;
    int flags = 0;

    ERR_set_mark();
    if (!read_all(options, handle, core_get_params)) {
        (void)ERR_peek_last_error_data(&text, &flags);
        copy = OPENSSL_strdup((flags & ERR_TXT_STRING) != 0 ? text : "out of memory");
    }
    ERR_pop_to_mark();
    return copy;
}

void prov_options_free(struct p11_config *options)
{
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        if (table[i].type == OPTION_TEXT)
            OPENSSL_free(*(char **)((char *)options + table[i].target));
    }
    memset(options, 0, sizeof(*options));
}
