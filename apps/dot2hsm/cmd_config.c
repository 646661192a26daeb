/* cmd_config.c: dot2hsm config, which writes a configuration of the provider that works. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/provider_conf.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/token.h"

#define SETTINGS 16

struct setting {
    const char *name, *value;
};

struct wanted {
    struct app_provider provider;
    struct setting settings[SETTINGS];
    size_t count;
    bool own;
    const char *include, *out;
    char paths[3][4096]; /* of them, those that were relative */
};

static int config_help(void)
{
    printf(
        "Usage: dot2hsm config --module PATH [OPTION]...\n"
        "Writes a configuration with which any program of OpenSSL finds the provider dot2hsm and\n"
        "the token: a whole openssl.cnf for OPENSSL_CONF, or a file of our own for --config and\n"
        "DOT2HSM_CONF. What the options say is checked; no token is touched.\n\n"
        "      --format FORMAT      openssl (default) or own\n"
        "      --include FILE       an openssl.cnf whose other settings are to hold as well\n"
        "      --option NAME=VALUE  another option of dot2hsm-provider(7); may be repeated\n"
        "      --out FILE           instead of standard output\n"
        "      --module PATH        PKCS#11 module\n"
        "      --token URI          default token, pkcs11:token=LABEL\n"
        "      --pin-source SOURCE  file:/PATH, env:NAME or credential:NAME\n"
        "      --help               this text\n");
    return APP_OK;
}

/* "NAME=VALUE"; the text is cut at its equals sign. */
static bool take_setting(struct wanted *wanted, char *text)
{
    char *equals = strchr(text, '=');

    if (equals != NULL)
        *equals = '\0';
    if (equals == NULL || !provider_conf_known(text)) {
        app_error("--option wants NAME=VALUE, and %s is no option of the provider", text);
        return false;
    }
    if (wanted->count == SETTINGS) {
        app_error("too many options");
        return false;
    }
    wanted->settings[wanted->count++] = (struct setting){.name = text, .value = equals + 1};
    return true;
}

/*
 * Programs that read the file run in other directories: a path that is relative to this one is made
 * absolute, in `to`.
 */
static bool make_absolute(const char **value, const char *scheme, char to[4096])
{
    char here[2048];
    size_t skipped = strncmp(*value, scheme, strlen(scheme)) == 0 ? strlen(scheme) : 0;
    const char *path = *value + skipped;
    int size = -1;

    if (path[0] == '/' || path[0] == '\0')
        return true;
    if (getcwd(here, sizeof(here)) != NULL)
        size = snprintf(to, 4096, "%.*s%s/%s", (int)skipped, *value, here, path);
    if (size < 0 || size >= 4096) {
        app_error("%s: the path is too long", path);
        return false;
    }
    *value = to;
    return true;
}

static bool make_paths_absolute(struct wanted *wanted)
{
    struct app_provider *provider = &wanted->provider;
    const char *pin = provider->pin_source;
    const bool pin_file = pin != NULL && (strncmp(pin, "file:", 5) == 0 || pin[0] == '.' ||
                                          strpbrk(pin, ":|") == NULL);

    return (strchr(provider->module, '/') == NULL /* where libraries are looked for */ ||
            make_absolute(&provider->module, "", wanted->paths[0])) &&
           (wanted->include == NULL || make_absolute(&wanted->include, "", wanted->paths[1])) &&
           (!pin_file || make_absolute(&provider->pin_source, "file:", wanted->paths[2]));
}

static bool put_options(BIO *bio, const struct wanted *wanted)
{
    const struct setting fixed[] = {{"pkcs11-module", wanted->provider.module},
                                    {"token", wanted->provider.token},
                                    {"pin-source", wanted->provider.pin_source}};

    for (size_t i = 0; i < 3; i++) {
        if (fixed[i].value != NULL && !app_conf_put(bio, fixed[i].name, fixed[i].value))
            return false;
    }
    for (size_t i = 0; i < wanted->count; i++) {
        if (!app_conf_put(bio, wanted->settings[i].name, wanted->settings[i].value))
            return false;
    }
    return true;
}

/* Are they options that the provider takes? By the function that the commands take them with. */
static int check_options(const struct wanted *wanted)
{
    static const struct app_provider none;
    BIO *bio = BIO_new(BIO_s_mem());
    CONF *conf = NCONF_new(NULL);
    p11_ctx *ctx = NULL;
    long line = 0;
    int code = APP_USAGE;

    if (bio == NULL || conf == NULL || BIO_puts(bio, "[provider]\n") <= 0)
        app_error("out of memory");
    else if (put_options(bio, wanted)) {
        if (NCONF_load_bio(conf, bio, &line) > 0)
            code = token_open(&none, conf, &ctx);
        else
            app_error_openssl("the options cannot be read back");
    }
    p11_ctx_free(ctx);
    NCONF_free(conf);
    BIO_free(bio);
    return code;
}

/* The section that the included file has for OpenSSL's start, so that the rest of it still holds.
 */
static bool start_section(const char *path, char name[128])
{
    CONF *conf = NULL;
    const char *found = NULL;
    bool ok = app_conf_read(path, &conf) == APP_OK;

    if (ok)
        found = NCONF_get_string(conf, NULL, "openssl_conf");
    snprintf(name, 128, "%s", found != NULL ? found : "openssl_init");
    NCONF_free(conf);
    return ok;
}

static int no_memory(void)
{
    app_error("out of memory");
    return APP_REFUSED;
}

static int write_openssl(BIO *bio, const struct wanted *wanted)
{
    char module[4096], start[128] = "openssl_init";

    if (!app_provider_find(module)) {
        app_error("the provider is not beside this program, nor among OpenSSL's modules; "
                  "DOT2HSM_PROVIDER_PATH can name its directory");
        return APP_USAGE;
    }
    if (wanted->include != NULL) {
        if (!start_section(wanted->include, start))
            return APP_USAGE;
        if (BIO_printf(bio, ".include = %s\n[default]\n", wanted->include) <= 0)
            return no_memory();
    }
    if (BIO_printf(bio,
                   "openssl_conf = %s\n\n[%s]\nproviders = dot2hsm_providers\n\n"
                   "[dot2hsm_providers]\ndefault = dot2hsm_default\ndot2hsm = dot2hsm_provider\n\n"
                   "[dot2hsm_default]\nactivate = 1\n\n[dot2hsm_provider]\n",
                   start, start) <= 0)
        return no_memory();
    if (!app_conf_put(bio, "module", module) || !put_options(bio, wanted))
        return APP_USAGE;
    return BIO_puts(bio, "activate = 1\n") > 0 ? APP_OK : no_memory();
}

static int write_own(BIO *bio, const struct wanted *wanted)
{
    if (BIO_puts(bio, "[provider]\n") <= 0)
        return no_memory();
    return put_options(bio, wanted) ? APP_OK : APP_USAGE;
}

static int write_config(const struct wanted *wanted)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const char *module = wanted->provider.module;
    uint8_t *octets = NULL;
    long size;
    int code = bio != NULL ? check_options(wanted) : no_memory();

    if (code == APP_OK && strchr(module, '/') != NULL && access(module, R_OK) != 0) {
        app_error("there is no module %s", module);
        code = APP_USAGE;
    }
    if (code == APP_OK &&
        BIO_printf(bio, "# %s. Written by dot2hsm config; `dot2hsm doctor` checks it.\n",
                   wanted->own ? "For --config or DOT2HSM_CONF, dot2hsm.conf(5)"
                               : "For OPENSSL_CONF, dot2hsm-provider(7)") <= 0)
        code = no_memory();
    if (code == APP_OK)
        code = wanted->own ? write_own(bio, wanted) : write_openssl(bio, wanted);
    if (code == APP_OK) {
        size = BIO_get_mem_data(bio, &octets);
        code = app_file_write(wanted->out != NULL ? wanted->out : "-", octets, (size_t)size, 0644);
    }
    BIO_free(bio);
    return code;
}

int cmd_config(int argc, char **argv)
{
    static const struct option options[] = {{"format", required_argument, NULL, 'f'},
                                            {"include", required_argument, NULL, 'i'},
                                            {"option", required_argument, NULL, 'o'},
                                            {"out", required_argument, NULL, 'w'},
                                            COMMAND_PROVIDER_OPTIONS,
                                            {NULL, 0, NULL, 0}};
    struct wanted wanted;
    int option;

    memset(&wanted, 0, sizeof(wanted));
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return config_help();
        if (option == 'f' && (strcmp(optarg, "own") == 0 || strcmp(optarg, "openssl") == 0))
            wanted.own = strcmp(optarg, "own") == 0;
        else if (option == 'i')
            wanted.include = optarg;
        else if (option == 'w')
            wanted.out = optarg;
        else if (option == 'o' ? !take_setting(&wanted, optarg)
                               : option == COMMAND_CONFIG ||
                                     !command_provider_option(option, optarg, &wanted.provider))
            return command_usage();
    }
    if (optind < argc || wanted.provider.module == NULL || (wanted.own && wanted.include != NULL)) {
        app_error(optind < argc                    ? "no operand is wanted"
                  : wanted.provider.module == NULL ? "--module is wanted"
                                                   : "--include is for the format openssl");
        return command_usage();
    }
    return make_paths_absolute(&wanted) ? write_config(&wanted) : APP_USAGE;
}
