#include "apps/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include "api/provider_conf.h"
#include "pkcs11/p11.h"

#define MODULE_FILE "dot2hsm" DOT2HSM_MODULE_SUFFIX

/* Levenshtein's distance; names longer than any option's are far from all of them. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], columns = strlen(b), corner, above;

    if (columns >= sizeof(row) / sizeof(row[0]))
        return columns;
    for (size_t j = 0; j <= columns; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        corner = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= columns; j++) {
            above = row[j];
            row[j] = corner + (a[i] != b[j - 1]);
            if (above + 1 < row[j])
                row[j] = above + 1;
            if (row[j - 1] + 1 < row[j])
                row[j] = row[j - 1] + 1;
            corner = above;
        }
    }
    return row[columns];
}

const char *app_provider_option_like(const char *name)
{
    const char *best = NULL;
    size_t least = 4; /* more letters than these make another word */

    const char *option;

    for (size_t i = 0; (option = provider_conf_option(i)) != NULL; i++) {
        size_t away = distance(option, name);

        if (away < least) {
            least = away;
            best = option;
        }
    }
    return best;
}

const char *app_conf_path(const struct app_provider *options)
{
    const char *variable = secure_getenv("DOT2HSM_CONF");

    if (options->config != NULL)
        return options->config;
    return variable != NULL && *variable != '\0' ? variable : NULL;
}

bool app_provider_find(char path[4096])
{
    const char *directory = secure_getenv("DOT2HSM_PROVIDER_PATH");
    const char *system = OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
    static const char *const beside[] = {
        "../lib", /* of a build */
        DOT2HSM_PROVIDER_DIR,
    };
    char self[2048];
    char *slash;
    ssize_t length;

    if (directory != NULL) {
        snprintf(path, 4096, "%s/%s", directory, MODULE_FILE);
        return access(path, R_OK) == 0;
    }
    length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length > 0) {
        self[length] = '\0';
        slash = strrchr(self, '/');
        if (slash != NULL)
            *slash = '\0';
        for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
            if (beside[i][0] == '/')
                snprintf(path, 4096, "%s/%s", beside[i], MODULE_FILE);
            else
                snprintf(path, 4096, "%s/%s/%s", self, beside[i], MODULE_FILE);
            if (access(path, R_OK) == 0)
                return true;
        }
    }
    if (system == NULL)
        return false;
    snprintf(path, 4096, "%s/%s", system, MODULE_FILE);
    return access(path, R_OK) == 0;
}

bool app_conf_put(BIO *bio, const char *name, const char *value)
{
    if (provider_conf_put(bio, name, value))
        return true;
    app_error("the option %s has a control character, or there is no memory for it", name);
    return false;
}

static int put_section(BIO *bio, const char *path, const CONF *conf, const char *section,
                       const struct app_provider *options)
{
    STACK_OF(CONF_VALUE) * values;
    const CONF_VALUE *value;

    ERR_set_mark();
    values = NCONF_get_section(conf, section);
    ERR_pop_to_mark();
    for (int i = 0; values != NULL && i < sk_CONF_VALUE_num(values); i++) {
        value = sk_CONF_VALUE_value(values, i);
        if (!provider_conf_known(value->name)) {
            app_error("%s: [%s]: unknown key \"%s\"", path, section, value->name);
            return APP_USAGE;
        }
        if ((options->module != NULL && strcmp(value->name, "pkcs11-module") == 0) ||
            (options->token != NULL && strcmp(value->name, "token") == 0) ||
            (options->pin_source != NULL && strcmp(value->name, "pin-source") == 0))
            continue;
        if (!app_conf_put(bio, value->name, value->value))
            return APP_USAGE;
    }
    return APP_OK;
}

/* The provider's options in the file, less what the command line says. */
static int put_file_options(BIO *bio, const char *path, const struct app_provider *options)
{
    CONF *conf = NULL;
    int code = app_conf_read(path, &conf);

    if (code == APP_OK)
        code = put_section(bio, path, conf, "default", options);
    if (code == APP_OK)
        code = put_section(bio, path, conf, "provider", options);
    NCONF_free(conf);
    return code;
}

static int put_configuration(BIO *bio, const struct app_provider *options)
{
    const char *file = app_conf_path(options);
    char module[4096];

    if (!app_provider_find(module)) {
        app_error("the provider %s is not beside this program, nor in OpenSSL's modules (%s); "
                  "DOT2HSM_PROVIDER_PATH can name its directory",
                  MODULE_FILE, OPENSSL_info(OPENSSL_INFO_MODULES_DIR));
        return APP_USAGE;
    }
    if (!provider_conf_begin(bio, module)) {
        app_error("the path of the provider has a control character, or there is no memory for it");
        return APP_USAGE;
    }
    if ((options->module != NULL && !app_conf_put(bio, "pkcs11-module", options->module)) ||
        (options->token != NULL && !app_conf_put(bio, "token", options->token)) ||
        (options->pin_source != NULL && !app_conf_put(bio, "pin-source", options->pin_source)))
        return APP_USAGE;
    if (file != NULL && put_file_options(bio, file, options) != APP_OK)
        return APP_USAGE;
    return APP_OK;
}

int app_provider_load(const struct app_provider *options, OSSL_LIB_CTX **libctx)
{
    static const struct app_provider none;
    OSSL_LIB_CTX *made = NULL;
    BIO *bio = NULL;
    int code = APP_USAGE;

    *libctx = NULL;
    ERR_clear_error();
    made = OSSL_LIB_CTX_new();
    bio = BIO_new(BIO_s_secmem());
    if (made == NULL || bio == NULL) {
        app_error_openssl("out of memory");
        goto out;
    }
    if (put_configuration(bio, options != NULL ? options : &none) != APP_OK)
        goto out;
    if (!provider_conf_load(bio, made)) {
        app_error_openssl("the provider dot2hsm cannot be loaded%s",
                          ERR_peek_error() == 0 ? ": out of memory" : "");
        goto out;
    }
    *libctx = made;
    made = NULL;
    code = APP_OK;
out:
    BIO_free(bio);
    OSSL_LIB_CTX_free(made);
    return code;
}

/* The provider is another copy of pkcs11/, whose error library is known by its name. */
static int key_failed(const char *uri)
{
    unsigned long causes[] = {ERR_peek_error(), ERR_peek_last_error()};
    int code = APP_REFUSED;

    for (size_t i = 0; i < 2; i++) {
        const char *library = ERR_lib_error_string(causes[i]);
        int reason = ERR_GET_REASON(causes[i]);

        if (library == NULL || strcmp(library, "dot2hsm pkcs11") != 0)
            continue;
        if (reason == P11_E_MODULE || reason == P11_E_NO_TOKEN || reason == P11_E_DEADLINE ||
            reason == P11_E_TOKEN)
            code = APP_UNREACHABLE;
        else if (reason == P11_E_URI || reason == P11_E_CONFIG || reason == P11_E_PIN_SOURCE)
            code = APP_USAGE;
    }
    app_error_openssl("the key %s cannot be opened", uri);
    return code;
}

int app_key_open(OSSL_LIB_CTX *libctx, const char *uri, EVP_PKEY **key)
{
    /* Without a method, a provider that wants a PIN is told that there is none. */
    UI_METHOD *prompt = isatty(STDIN_FILENO) ? UI_OpenSSL() : NULL;
    OSSL_STORE_CTX *store = NULL;
    OSSL_STORE_INFO *info = NULL;
    EVP_PKEY *found = NULL;
    int code = APP_REFUSED;

    *key = NULL;
    ERR_clear_error();
    store = OSSL_STORE_open_ex(uri, libctx, NULL, prompt, NULL, NULL, NULL, NULL);
    if (store == NULL) {
        code = key_failed(uri);
        goto out;
    }
    OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
    while (!OSSL_STORE_eof(store)) {
        info = OSSL_STORE_load(store);
        if (info == NULL) {
            /* The end of a file raises the flag, too, without an error in the queue. */
            if (OSSL_STORE_error(store) && (ERR_peek_error() != 0 || !OSSL_STORE_eof(store))) {
                code = key_failed(uri);
                goto out;
            }
            continue;
        }
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY) {
            if (found != NULL) {
                app_error("%s names more than one private key", uri);
                goto out;
            }
            found = OSSL_STORE_INFO_get1_PKEY(info);
        }
        OSSL_STORE_INFO_free(info);
        info = NULL;
    }
    if (found == NULL) {
        app_error_openssl("there is no private key %s", uri);
        goto out;
    }
    *key = found;
    found = NULL;
    code = APP_OK;
out:
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    EVP_PKEY_free(found);
    return code;
}
