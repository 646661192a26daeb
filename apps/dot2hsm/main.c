#include "apps/dot2hsm/commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("dot2hsm %s\n", DOT2HSM_VERSION);
    return APP_OK;
}

/* One line a command; each stands in cmd_NAME.c. */
static const struct command commands[] = {
    {"ee", "what a device does with its RA", cmd_ee},
    {"keys", "list, make and delete keys in tokens", cmd_keys},
    {"config", "write a configuration of the provider that works", cmd_config},
    {"doctor", "tell what is wrong with a set-up, and the mend", cmd_doctor},
    {"sign", "sign a file with a key that a URI names", cmd_sign},
    {"inspect", "show a structure as a tree", cmd_inspect},
    {"recode", "decode strictly and encode again", cmd_recode},
    {"verify", "verify a certificate or a signed message", cmd_verify},
    {"hash", "hash and HashedId8 of a structure", cmd_hash},
    {"lab", "a PKI for tests and demonstrations", cmd_lab},
    {"ra", "the live store of an RA, and how it stands", cmd_ra},
    {"version", "the version of this program", cmd_version},
};

int main(int argc, char **argv)
{
    int code;

    /* A PKCS#11 module on a socket would end the program when its server goes away. */
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
        return cmd_version(argc, argv);
    code = command_run(commands, sizeof(commands) / sizeof(commands[0]),
                       "IEEE 1609.2 signing with keys that stay in the HSM.\n"
                       "Exit status: 0 done, 1 refused, not valid or not found, 2 usage or\n"
                       "configuration, 3 the RA, the HSM or the store cannot be reached.\n",
                       argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        app_error("standard output cannot be written");
        return code == APP_OK ? APP_REFUSED : code;
    }
    return code;
}
