/*
 * ra_options.h: what the commands of `dot2hsm ra` share: their options, the store, and how a device
 * is named.
 */
#ifndef DOT2HSM_APPS_DOT2HSM_RA_OPTIONS_H
#define DOT2HSM_APPS_DOT2HSM_RA_OPTIONS_H

#include <stdbool.h>

#include "apps/dot2hsm/json.h"
#include "protocol/ra/ra.h"

#define RA_OPTIONS_HELP                                                                            \
    "      --store SPEC      sqlite:/PATH or postgresql:CONNECTION\n"                              \
    "      --config FILE     the configuration of dot2hsm-ra, whose [ra] store it is\n"            \
    "      --help            this text\n"

struct ra_options {
    const char *store, *config, *comment;
    bool as_json;
    int first; /* argv index of the first operand */
};

/* Options that not every command has. */
#define RA_TAKES_COMMENT 1u
#define RA_TAKES_JSON 2u

/*
 * Reads the options; takes says which of the above there are, operands how many operands there
 * must be. With *done set the command ends with what is returned (also after --help).
 */
int ra_options_take(int argc, char **argv, const char *usage, unsigned takes, int operands,
                    struct ra_options *got, bool *done);

/* Returns an enum app_exit and says why. The store must be there already. */
int ra_options_open(const struct ra_options *options, ra_store **store);

/* The exit status for an answer of the store. */
int ra_options_exit(enum ra_store_status status);

/*
 * A whole command "list": takes the options, and has EACH walk the store and print its rows, into
 * the array of a JSON text or, if json is NULL, as lines.
 */
int ra_options_list(int argc, char **argv, const char *usage,
                    enum ra_store_status (*each)(ra_store *store, struct json *json));

/* Says that WHAT could not be done, and what the store said to that. */
void ra_options_store_error(ra_store *store, enum ra_store_status status, const char *what);
/*
 * The end of a command that changed the list: says what went wrong, if anything (SUBJECT is what
 * was named, FOUND what is said of one that was not there, or was already), closes the store, and
 * returns the exit status.
 */
int ra_options_end(ra_store *store, enum ra_store_status status, const char *subject,
                   const char *found);

/*
 * The hashes of what an operand names: a certificate's file gives the whole hash of its canonical
 * form first and, for an explicit one, that with s replaced by n - s; digits give themselves.
 */
struct ra_named {
    uint8_t ids[2][48];
    size_t count, size;
};
int ra_options_name(const char *operand, struct ra_named *named);

/* `dot2hsm ra files` */
int cmd_ra_files(int argc, char **argv);
int cmd_ra_eca(int argc, char **argv);
int cmd_ra_status(int argc, char **argv);

#endif
