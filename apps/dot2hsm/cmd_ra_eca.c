/* dot2hsm ra eca: the ECAs whose enrollment certificates are served. */
#include <stdio.h>
#include <string.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/ra_options.h"
#include "apps/dot2hsm/support.h"

/* The HashedId8 of what an operand names: the last octets of any of its hashes. */
static int name_eca(const char *operand, const uint8_t **hashedid8, struct ra_named *named)
{
    int result = ra_options_name(operand, named);

    *hashedid8 = result == APP_OK ? named->ids[0] + named->size - 8 : NULL;
    return result;
}

static int eca_add(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra eca add --store SPEC|--config FILE [--comment TEXT] WHAT\n"
        "Puts an enrollment CA on the list of those that are served. With the first one, devices\n"
        "of all others are refused. WHAT is its certificate's file, or the digits of its\n"
        "HashedId8 (a file of such a name is ./NAME).\n"
        "\n"
        "      --comment TEXT    what it is; at most 127 octets\n" RA_OPTIONS_HELP;
    struct ra_options options;
    struct ra_named named;
    const uint8_t *hashedid8;
    ra_store *store = NULL;
    enum ra_store_status status;
    char text[17];
    bool done;
    int result = ra_options_take(argc, argv, usage, RA_TAKES_COMMENT, 1, &options, &done);

    if (done)
        return result;
    if (options.comment != NULL && strlen(options.comment) > 127) {
        app_error("--comment has more than 127 octets");
        return APP_USAGE;
    }
    result = name_eca(argv[options.first], &hashedid8, &named);
    if (result == APP_OK)
        result = ra_options_open(&options, &store);
    if (result != APP_OK)
        return result;
    status = ra_eca_add(store, hashedid8, options.comment != NULL ? options.comment : "");
    command_hex(hashedid8, 8, text);
    if (status == RA_STORE_OK)
        printf("served HashedId8 %s\n", text);
    return ra_options_end(store, status, argv[options.first], "is on the list already");
}

static int eca_remove(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra eca remove --store SPEC|--config FILE WHAT\n"
        "Takes an enrollment CA off the list. With the last one gone, the devices of every CA\n"
        "that chains to an anchor are served.\n"
        "\n" RA_OPTIONS_HELP;
    struct ra_options options;
    struct ra_named named;
    const uint8_t *hashedid8;
    ra_store *store = NULL;
    enum ra_store_status status;
    char text[17];
    bool done;
    int result = ra_options_take(argc, argv, usage, 0, 1, &options, &done);

    if (done)
        return result;
    result = name_eca(argv[options.first], &hashedid8, &named);
    if (result == APP_OK)
        result = ra_options_open(&options, &store);
    if (result != APP_OK)
        return result;
    status = ra_eca_remove(store, hashedid8);
    command_hex(hashedid8, 8, text);
    if (status == RA_STORE_OK)
        printf("removed HashedId8 %s\n", text);
    return ra_options_end(store, status, argv[options.first], "is not on the list");
}

static bool eca_row(void *arg, const uint8_t hashedid8[8], const char *comment)
{
    char text[17];

    (void)arg;
    printf("%s  ", command_hex(hashedid8, 8, text));
    app_print_safe(stdout, comment);
    putchar('\n');
    return true;
}

static bool eca_json(void *arg, const uint8_t hashedid8[8], const char *comment)
{
    struct json *json = arg;

    json_object(json, NULL);
    json_hex(json, "HashedId8", hashedid8, 8);
    json_string(json, "comment", comment);
    json_end_object(json);
    return true;
}

static enum ra_store_status eca_each(ra_store *store, struct json *json)
{
    return ra_eca_each(store, json != NULL ? eca_json : eca_row, json);
}

static int eca_list(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra eca list --store SPEC|--config FILE [--json]\n"
        "Lists the enrollment CAs that are served. An empty list serves every CA that chains to\n"
        "an anchor.\n"
        "\n"
        "      --json            as JSON\n" RA_OPTIONS_HELP;

    return ra_options_list(argc, argv, usage, eca_each);
}

int cmd_ra_eca(int argc, char **argv)
{
    static const struct command commands[] = {
        {"add", "serve the devices of an enrollment CA", eca_add},
        {"remove", "take an enrollment CA off the list", eca_remove},
        {"list", "list the enrollment CAs that are served", eca_list},
    };

    return command_run(commands, sizeof(commands) / sizeof(commands[0]),
                       "The enrollment CAs whose devices are served.\n", argc, argv);
}
