#include "apps/dot2hsm/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

/* Every section and key that a configuration of dot2hsm may have. */
static const struct app_conf_key conf_keys[] = {
    {"default", NULL}, /* a file of the provider alone needs no section */
    {"provider", NULL},
    {"ee", "ra-url"},
    {"ee", "tls-root"},
    {"ee", "resolve"},
    {"ee", "enrollment-certificate"},
    {"ee", "enrollment-key"},
    {"ee", "download-header"},
    {"ee", "connect-timeout"},
    {"ee", "stall-timeout"},
    {"ee", "require-ocsp"},
    {"ee", "assemble-key-on-host"},
    {"ee", "max-size"},
    {"ee", "state-dir"},
    {"ee", "anchors"},
    {"ee", "certificates"},
    {"ee", "ra-certificate"},
    {"ee", "enrollment"},
    {"ee", "application-token"},
    {"ee", "response-token"},
    {"ee", "provision"},
    {"ee", "seed-lifetime"},
    {"ee", "renew-before"},
    {"ee", "hook"},
    {"ee", "crl-url"},
    {"ee", "policy-signer"},
    {"ee", "elector-ballot"},
    {"ee", "profile"},
};

int command_usage(void)
{
    fprintf(stderr, "Try '%s --help'.\n", app_name_get());
    return APP_USAGE;
}

static void list_commands(const struct command *commands, size_t count, const char *introduction)
{
    printf("Usage: %s COMMAND [OPTION]...\n%s\nCommands:\n", app_name_get(), introduction);
    for (size_t i = 0; i < count; i++)
        printf("  %-12s %s\n", commands[i].name, commands[i].summary);
    printf("\n'%s COMMAND --help' tells more about one of them.\n", app_name_get());
}

int command_run(const struct command *commands, size_t count, const char *introduction, int argc,
                char **argv)
{
    static char name[128] = "dot2hsm";
    size_t length = strlen(name);

    app_name_set(name);
    if (argc < 2) {
        app_error("which command?");
        return command_usage();
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        list_commands(commands, count, introduction);
        return APP_OK;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(commands[i].name, argv[1]) == 0) {
            snprintf(name + length, sizeof(name) - length, " %s", commands[i].name);
            argv[1] = name;
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    app_error("unknown command \"%s\"", argv[1]);
    return command_usage();
}

bool command_provider_option(int option, const char *value, struct app_provider *provider)
{
    switch (option) {
    case COMMAND_CONFIG:
        provider->config = value;
        return true;
    case COMMAND_MODULE:
        provider->module = value;
        return true;
    case COMMAND_TOKEN:
        provider->token = value;
        return true;
    case COMMAND_PIN_SOURCE:
        provider->pin_source = value;
        return true;
    default:
        return false;
    }
}

/* Here, so that no command speaks to an RA of a release that it does not know. */
static bool profile_known(const char *path, const CONF *conf)
{
    const char *profile;

    ERR_set_mark();
    profile = NCONF_get_string(conf, "ee", "profile");
    ERR_pop_to_mark();
    if (profile == NULL || strcmp(profile, "1.2.2") == 0)
        return true;
    app_error("%s: [ee]: profile is \"%s\"; this version knows 1.2.2 alone", path, profile);
    return false;
}

int command_conf_load(const struct app_provider *provider, CONF **conf)
{
    const char *path = app_conf_path(provider);
    int code;

    *conf = NULL;
    if (path == NULL)
        return APP_OK;
    code = app_conf_load(path, conf_keys, sizeof(conf_keys) / sizeof(conf_keys[0]), conf);
    if (code == APP_OK && !profile_known(path, *conf)) {
        NCONF_free(*conf);
        *conf = NULL;
        code = APP_USAGE;
    }
    return code;
}
