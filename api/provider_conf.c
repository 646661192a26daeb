/* provider_conf.c: see provider_conf.h. */
#include "api/provider_conf.h"

#include <string.h>

#include <openssl/conf.h>
#include <openssl/provider.h>

const char *provider_conf_option(size_t number)
{
    static const char *const options[] = {
        "pkcs11-module",     "token",    "pin-source",       "allow-pin-value",
        "require-sensitive", "key-copy", "max-sessions",     "deadline-ms",
        "block-sigpipe",     "login",    "module-init-args", "trace",
    };

    return number < sizeof(options) / sizeof(options[0]) ? options[number] : NULL;
}

bool provider_conf_known(const char *name)
{
    const char *option;

    for (size_t i = 0; (option = provider_conf_option(i)) != NULL; i++) {
        if (strcmp(option, name) == 0)
            return true;
    }
    return false;
}

/* Within quotes CONF expands no variable and knows the backslash only. */
bool provider_conf_put(BIO *bio, const char *name, const char *value)
{
    if (BIO_printf(bio, "%s = \"", name) <= 0)
        return false;
    for (; *value != '\0'; value++) {
        if ((unsigned char)*value < 0x20 ||
            ((*value == '"' || *value == '\\') && BIO_write(bio, "\\", 1) != 1) ||
            BIO_write(bio, value, 1) != 1)
            return false;
    }
    return BIO_puts(bio, "\"\n") > 0;
}

bool provider_conf_begin(BIO *bio, const char *module)
{
    if (BIO_puts(bio, "openssl_conf = program\n[program]\nproviders = providers\n"
                      "[providers]\ndefault = default_provider\ndot2hsm = dot2hsm_provider\n"
                      "[default_provider]\nactivate = 1\n[dot2hsm_provider]\n") <= 0)
        return false;
    return module == NULL || provider_conf_put(bio, "module", module);
}

bool provider_conf_load(BIO *bio, OSSL_LIB_CTX *libctx)
{
    CONF *conf = NCONF_new_ex(libctx, NULL);
    bool loaded = conf != NULL && BIO_puts(bio, "activate = 1\n") > 0 &&
                  NCONF_load_bio(conf, bio, NULL) > 0 && CONF_modules_load(conf, NULL, 0) > 0 &&
                  OSSL_PROVIDER_available(libctx, "dot2hsm") &&
                  OSSL_PROVIDER_available(libctx, "default");

    NCONF_free(conf);
    return loaded;
}
