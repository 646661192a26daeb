/*
 * dot2hsm ra: the live store of a registration authority: who is blacklisted, whose file is which,
 * and whose devices are served. The server need not be stopped; it asks the store at each request.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/ra_options.h"
#include "apps/dot2hsm/support.h"

static const char *kind_name(enum ra_blacklist_kind kind)
{
    switch (kind) {
    case RA_BLACKLIST_HASHEDID8:
        return "HashedId8";
    case RA_BLACKLIST_HASHEDID10:
        return "HashedId10";
    case RA_BLACKLIST_SHA256:
        return "SHA-256";
    case RA_BLACKLIST_SHA384:
        return "SHA-384";
    }
    return "?";
}

static int blacklist_add(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra blacklist add --store SPEC|--config FILE [--comment TEXT] WHAT\n"
        "Puts a device on the blacklist. WHAT is an enrollment certificate's file, or the digits\n"
        "of its HashedId8, HashedId10, SHA-256 or SHA-384 (a file of such a name is ./NAME).\n"
        "\n"
        "      --comment TEXT    why; at most 127 octets\n" RA_OPTIONS_HELP;
    struct ra_blacklist_entry entry = {0};
    struct ra_options options;
    struct ra_named named;
    ra_store *store = NULL;
    enum ra_store_status status;
    char text[97];
    bool done;
    int result = ra_options_take(argc, argv, usage, RA_TAKES_COMMENT, 1, &options, &done);

    if (done)
        return result;
    if (options.comment != NULL && strlen(options.comment) >= sizeof(entry.comment)) {
        app_error("--comment has more than %zu octets", sizeof(entry.comment) - 1);
        return APP_USAGE;
    }
    result = ra_options_name(argv[options.first], &named);
    if (result == APP_OK)
        result = ra_options_open(&options, &store);
    if (result != APP_OK)
        return result;
    entry.kind = (enum ra_blacklist_kind)named.size;
    memcpy(entry.id, named.ids[0], named.size);
    entry.added = time(NULL);
    snprintf(entry.comment, sizeof(entry.comment), "%s",
             options.comment != NULL ? options.comment : "");
    status = ra_blacklist_add(store, &entry);
    command_hex(entry.id, named.size, text);
    if (status == RA_STORE_OK)
        printf("blacklisted %s %s\n", kind_name(entry.kind), text);
    return ra_options_end(store, status, argv[options.first], "is on the list already");
}

static int blacklist_remove(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra blacklist remove --store SPEC|--config FILE WHAT\n"
        "Takes an entry off the blacklist. WHAT names the entry as it was added: a certificate's\n"
        "file takes off the entry of its whole hash, not one of its HashedId8.\n"
        "\n" RA_OPTIONS_HELP;
    struct ra_options options;
    struct ra_named named;
    ra_store *store = NULL;
    enum ra_store_status status = RA_STORE_NOT_FOUND, one;
    char text[97];
    bool done;
    int result = ra_options_take(argc, argv, usage, 0, 1, &options, &done);

    if (done)
        return result;
    result = ra_options_name(argv[options.first], &named);
    if (result == APP_OK)
        result = ra_options_open(&options, &store);
    if (result != APP_OK)
        return result;
    for (size_t i = 0; i < named.count; i++) {
        struct ra_blacklist_entry entry = {.kind = (enum ra_blacklist_kind)named.size};

        memcpy(entry.id, named.ids[i], named.size);
        one = ra_blacklist_remove(store, &entry);
        if (one == RA_STORE_OK)
            printf("removed %s %s\n", kind_name(entry.kind),
                   command_hex(entry.id, named.size, text));
        if (one == RA_STORE_OK || (one != RA_STORE_NOT_FOUND && status != RA_STORE_OK))
            status = one;
    }
    return ra_options_end(store, status, argv[options.first], "is not on the list");
}

static bool blacklist_row(void *arg, const struct ra_blacklist_entry *entry)
{
    char added[32], text[97];

    (void)arg;
    command_time(entry->added, added);
    printf("%s  %-10s  %s  ", added, kind_name(entry->kind),
           command_hex(entry->id, (size_t)entry->kind, text));
    app_print_safe(stdout, entry->comment);
    putchar('\n');
    return true;
}

static bool blacklist_json(void *arg, const struct ra_blacklist_entry *entry)
{
    struct json *json = arg;
    char added[32];

    command_time(entry->added, added);
    json_object(json, NULL);
    json_string(json, "kind", kind_name(entry->kind));
    json_hex(json, "id", entry->id, (size_t)entry->kind);
    json_string(json, "added", added);
    json_string(json, "comment", entry->comment);
    json_end_object(json);
    return true;
}

static enum ra_store_status blacklist_each(ra_store *store, struct json *json)
{
    return ra_blacklist_each(store, json != NULL ? blacklist_json : blacklist_row, json);
}

static int blacklist_list(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra blacklist list --store SPEC|--config FILE [--json]\n"
        "Lists the blacklist, oldest entry first: when added, kind, hash, comment.\n"
        "\n"
        "      --json            as JSON\n" RA_OPTIONS_HELP;

    return ra_options_list(argc, argv, usage, blacklist_each);
}

static int ra_blacklist(int argc, char **argv)
{
    static const struct command commands[] = {
        {"add", "put a device on the blacklist", blacklist_add},
        {"remove", "take an entry off the blacklist", blacklist_remove},
        {"list", "list the blacklist", blacklist_list},
    };

    return command_run(commands, sizeof(commands) / sizeof(commands[0]),
                       "The internal blacklist of enrollment certificates.\n", argc, argv);
}

int cmd_ra(int argc, char **argv)
{
    static const struct command commands[] = {
        {"blacklist", "the internal blacklist", ra_blacklist},
        {"files", "which device may download which file", cmd_ra_files},
        {"eca", "the enrollment CAs whose devices are served", cmd_ra_eca},
        {"status", "how it all stands", cmd_ra_status},
    };

    return command_run(commands, sizeof(commands) / sizeof(commands[0]),
                       "A registration authority: its live store, and how it stands.\n", argc,
                       argv);
}
