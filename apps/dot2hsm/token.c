#include "apps/dot2hsm/token.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ui.h>

static const char *option(const CONF *conf, const char *name)
{
    const char *value;

    if (conf == NULL)
        return NULL;
    ERR_set_mark();
    value = NCONF_get_string(conf, "provider", name);
    ERR_pop_to_mark();
    return value;
}

/* The words of dot2hsm-provider(7), in pairs: what they say when the number is even, and odd. */
static bool take_bool(const char *name, const char *value, bool *result)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};

    if (value == NULL)
        return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *result = i % 2 == 1;
            return true;
        }
    }
    app_error("[provider]: %s is yes or no", name);
    return false;
}

static bool take_auto(const char *name, const char *value, const char *yes, const char *no,
                      enum p11_auto *result)
{
    if (value == NULL || strcasecmp(value, "auto") == 0)
        return true;
    if (strcasecmp(value, yes) != 0 && strcasecmp(value, no) != 0) {
        app_error("[provider]: %s is auto, %s or %s", name, yes, no);
        return false;
    }
    *result = strcasecmp(value, yes) == 0 ? P11_YES : P11_NO;
    return true;
}

static bool take_number(const char *name, const char *value, unsigned *result)
{
    if (value == NULL)
        return true;
    if (*value == '\0' || strspn(value, "0123456789") != strlen(value) || strlen(value) > 9 ||
        (*result = (unsigned)strtoul(value, NULL, 10)) == 0) {
        app_error("[provider]: %s is a number from 1 to 999999999", name);
        return false;
    }
    return true;
}

int token_open(const struct app_provider *options, const CONF *conf, p11_ctx **ctx)
{
    bool require_sensitive = true;
    struct p11_config config = {
        .module_path = options->module != NULL ? options->module : option(conf, "pkcs11-module"),
        .module_init_args = option(conf, "module-init-args"),
        .token_uri = options->token != NULL ? options->token : option(conf, "token"),
        .pin_source =
            options->pin_source != NULL ? options->pin_source : option(conf, "pin-source"),
    };
    enum p11_status status;

    *ctx = NULL;
    if (config.module_path == NULL) {
        app_error("no PKCS#11 module: give --module, or pkcs11-module in [provider]");
        return APP_USAGE;
    }
    if (!take_bool("allow-pin-value", option(conf, "allow-pin-value"), &config.allow_pin_value) ||
        !take_bool("require-sensitive", option(conf, "require-sensitive"), &require_sensitive) ||
        !take_bool("trace", option(conf, "trace"), &config.trace) ||
        !take_auto("key-copy", option(conf, "key-copy"), "yes", "no", &config.key_copy) ||
        !take_auto("block-sigpipe", option(conf, "block-sigpipe"), "yes", "no",
                   &config.block_sigpipe) ||
        !take_auto("login", option(conf, "login"), "always", "never", &config.login) ||
        !take_number("max-sessions", option(conf, "max-sessions"), &config.max_sessions) ||
        !take_number("deadline-ms", option(conf, "deadline-ms"), &config.deadline_ms))
        return APP_USAGE;
    config.allow_not_sensitive = !require_sensitive;
    status = p11_ctx_new(&config, ctx);
    return status == P11_OK ? APP_OK : token_failed(status, "the token cannot be used");
}

bool token_prompt(void *arg, const char *token_label, char *pin, size_t capacity, size_t *size)
{
    char typed[256], question[160];
    bool done = false;

    (void)arg;
    if (!isatty(STDIN_FILENO))
        return false;
    snprintf(question, sizeof(question), "PIN of the token \"%s\": ", token_label);
    if (UI_UTIL_read_pw_string(typed, (int)sizeof(typed) - 1, question, 0) == 0 &&
        strlen(typed) <= capacity) {
        *size = strlen(typed);
        memcpy(pin, typed, *size);
        done = true;
    }
    OPENSSL_cleanse(typed, sizeof(typed));
    return done;
}

int token_failed(enum p11_status status, const char *what)
{
    if (ERR_peek_error() != 0)
        app_error_openssl("%s", what);
    else
        app_error("%s: %s", what, p11_status_text(status));
    switch (status) {
    case P11_E_CONFIG:
    case P11_E_URI:
    case P11_E_PIN_SOURCE:
    case P11_E_ARGUMENT:
        return APP_USAGE;
    case P11_E_MODULE:
    case P11_E_NO_TOKEN:
    case P11_E_DEADLINE:
    case P11_E_TOKEN:
        return APP_UNREACHABLE;
    default:
        return APP_REFUSED;
    }
}
