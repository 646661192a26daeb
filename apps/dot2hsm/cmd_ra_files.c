/* dot2hsm ra files: which device may download which file. */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/ra_options.h"
#include "apps/dot2hsm/support.h"

/* <16 hex>.zip, <16 hex>_<1 to 8 hex>.zip, <16 hex>.info: the names that the services know. */
static bool is_service_file(const char *name)
{
    size_t n = 0, extra = 0;

    while (isxdigit((unsigned char)name[n]))
        n++;
    if (n != 16)
        return false;
    if (strcasecmp(name + n, ".info") == 0 || strcasecmp(name + n, ".zip") == 0)
        return true;
    if (name[n++] != '_')
        return false;
    while (isxdigit((unsigned char)name[n + extra]))
        extra++;
    return extra >= 1 && extra <= 8 && strcasecmp(name + n + extra, ".zip") == 0;
}

static int check_service_file(const char *name)
{
    if (is_service_file(name))
        return APP_OK;
    app_error("\"%s\" is not a name that a download has: <16 hex>.zip, <16 hex>_<1 to 8 hex>.zip "
              "or <16 hex>.info",
              name);
    return APP_USAGE;
}

static int files_assign(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra files assign --store SPEC|--config FILE FILENAME REQUESTER\n"
        "Says whose a file of the download directory is. REQUESTER is the enrollment "
        "certificate's\n"
        "file, or the digits of its whole hash (SHA-256 or SHA-384).\n"
        "\n" RA_OPTIONS_HELP;
    struct ra_options options;
    struct ra_named named;
    ra_store *store = NULL;
    enum ra_store_status status;
    char text[97];
    bool done;
    int result = ra_options_take(argc, argv, usage, 0, 2, &options, &done);

    if (done)
        return result;
    result = check_service_file(argv[options.first]);
    if (result == APP_OK)
        result = ra_options_name(argv[options.first + 1], &named);
    if (result == APP_OK && named.size < 32) {
        app_error("a file is assigned to a whole hash; %zu octets are too few", named.size);
        result = APP_USAGE;
    }
    if (result == APP_OK)
        result = ra_options_open(&options, &store);
    if (result != APP_OK)
        return result;
    status = ra_file_assign(store, argv[options.first], named.ids[0], named.size);
    if (status == RA_STORE_OK)
        printf("%s belongs to %s\n", argv[options.first],
               command_hex(named.ids[0], named.size, text));
    return ra_options_end(store, status, argv[options.first],
                          "is assigned already; unassign it first");
}

static int files_unassign(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra files unassign --store SPEC|--config FILE FILENAME\n"
        "Makes a file nobody's. The file itself stays.\n"
        "\n" RA_OPTIONS_HELP;
    struct ra_options options;
    ra_store *store = NULL;
    enum ra_store_status status;
    bool done;
    int result = ra_options_take(argc, argv, usage, 0, 1, &options, &done);

    if (done)
        return result;
    result = ra_options_open(&options, &store);
    if (result != APP_OK)
        return result;
    status = ra_file_unassign(store, argv[options.first]);
    if (status == RA_STORE_OK)
        printf("%s belongs to nobody\n", argv[options.first]);
    return ra_options_end(store, status, argv[options.first], "is not assigned");
}

static bool file_row(void *arg, const char *filename, const uint8_t *requester,
                     size_t requester_size)
{
    char text[97];

    (void)arg;
    app_print_safe(stdout, filename);
    printf("  %s\n", command_hex(requester, requester_size < 48 ? requester_size : 48, text));
    return true;
}

static bool file_json(void *arg, const char *filename, const uint8_t *requester,
                      size_t requester_size)
{
    struct json *json = arg;

    json_object(json, NULL);
    json_string(json, "filename", filename);
    json_hex(json, "requester", requester, requester_size);
    json_hex(json, "HashedId8", requester + requester_size - 8, 8);
    json_end_object(json);
    return true;
}

static enum ra_store_status files_each(ra_store *store, struct json *json)
{
    return ra_file_each(store, json != NULL ? file_json : file_row, json);
}

static int files_list(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra files list --store SPEC|--config FILE [--json]\n"
        "Lists the files that are assigned, by name, with the requester's whole hash.\n"
        "\n"
        "      --json            as JSON\n" RA_OPTIONS_HELP;

    return ra_options_list(argc, argv, usage, files_each);
}

int cmd_ra_files(int argc, char **argv)
{
    static const struct command commands[] = {
        {"assign", "say whose a file is", files_assign},
        {"unassign", "make a file nobody's", files_unassign},
        {"list", "list the files that are assigned", files_list},
    };

    return command_run(commands, sizeof(commands) / sizeof(commands[0]),
                       "Which device may download which file.\n", argc, argv);
}
