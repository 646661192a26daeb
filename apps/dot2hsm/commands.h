/*
 * commands.h: the subcommands of the program dot2hsm, one file each.
 *
 * A command gets its own argv: argv[0] is its whole name ("dot2hsm keys list"), which getopt_long
 * and app_error() put before their messages. It handles --help itself and returns an enum app_exit.
 */
#ifndef DOT2HSM_APPS_COMMANDS_H
#define DOT2HSM_APPS_COMMANDS_H

#include <stddef.h>

#include "apps/app.h"

struct command {
    const char *name;    /* one word */
    const char *summary; /* for the list that --help prints: under 60 characters, no full stop */
    int (*run)(int argc, char **argv);
};

int cmd_ee(int argc, char **argv);
int cmd_keys(int argc, char **argv);

/*
 * Runs the command that argv[1] names, or prints the list (--help), or says what is wrong
 * (APP_USAGE). For the program itself and for a command that has commands of its own, such as
 * `dot2hsm keys`. introduction is printed by --help after the usage line.
 */
int command_run(const struct command *commands, size_t count, const char *introduction, int argc,
                char **argv);

/* "Try 'dot2hsm keys list --help'." to stderr; returns APP_USAGE. */
int command_usage(void);

/*
 * The options that every command with a key has, for its table of getopt_long, their help, and the
 * function that takes one: true if the value was one of them.
 */
enum command_option {
    COMMAND_CONFIG = 0x1000,
    COMMAND_MODULE,
    COMMAND_TOKEN,
    COMMAND_PIN_SOURCE,
    COMMAND_HELP
};
#define COMMAND_PROVIDER_OPTIONS                                                                   \
    {"config", required_argument, NULL, COMMAND_CONFIG},                                           \
        {"module", required_argument, NULL, COMMAND_MODULE},                                       \
        {"token", required_argument, NULL, COMMAND_TOKEN},                                         \
        {"pin-source", required_argument, NULL, COMMAND_PIN_SOURCE},                               \
    {                                                                                              \
        "help", no_argument, NULL, COMMAND_HELP                                                    \
    }
#define COMMAND_PROVIDER_HELP                                                                      \
    "      --config FILE        configuration (else the environment's DOT2HSM_CONF)\n"             \
    "      --module PATH        PKCS#11 module\n"                                                  \
    "      --token URI          default token, pkcs11:token=LABEL\n"                               \
    "      --pin-source SOURCE  file:/PATH, env:NAME or credential:NAME\n"                         \
    "      --help               this text\n"
bool command_provider_option(int option, const char *value, struct app_provider *provider);

/*
 * The configuration of the program: --config, else DOT2HSM_CONF, else none (*conf is NULL then).
 * All of its sections and keys must be known, whichever command reads it.
 */
int command_conf_load(const struct app_provider *provider, CONF **conf);

int cmd_config(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_hash(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_lab(int argc, char **argv);
int cmd_ra(int argc, char **argv);
int cmd_recode(int argc, char **argv);
int cmd_sign(int argc, char **argv);
int cmd_verify(int argc, char **argv);

#endif
