/*
 * dot2hsm ra: the live store of a registration authority: who is blacklisted, and whose file is
 * which. The server need not be stopped; it asks the store at each request.
 */
#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/support.h"
#include "protocol/ra/ra.h"

#define STORE_OPTIONS                                                                              \
    {"store", required_argument, NULL, 's'}, {"config", required_argument, NULL, 'c'},             \
        {"json", no_argument, NULL, 'j'}, {"comment", required_argument, NULL, 'm'},               \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
#define STORE_HELP                                                                                 \
    "      --store SPEC      sqlite:/PATH or a path\n"                                             \
    "      --config FILE     the configuration of dot2hsm-ra, whose [ra] store it is\n"            \
    "      --help            this text\n"

struct ra_options {
    const char *store, *config, *comment;
    bool as_json;
    int first; /* argv index of the first operand */
};

/*
 * Reads the options; operands gives how many operands there must be. APP_OK to go on; another code
 * to end with, with *done set (also after --help).
 */
static int take_options(int argc, char **argv, const char *usage, int operands,
                        struct ra_options *got, bool *done)
{
    static const struct option options[] = {STORE_OPTIONS, {NULL, 0, NULL, 0}};
    int c;

    memset(got, 0, sizeof(*got));
    *done = true;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 's':
            got->store = optarg;
            break;
        case 'c':
            got->config = optarg;
            break;
        case 'm':
            got->comment = optarg;
            break;
        case 'j':
            got->as_json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return APP_OK;
        default:
            return command_usage();
        }
    }
    if (argc - optind != operands) {
        app_error("%d operand%s wanted, %d given", operands, operands == 1 ? " is" : "s are",
                  argc - optind);
        return command_usage();
    }
    if ((got->store == NULL) == (got->config == NULL)) {
        app_error("one of --store SPEC and --config FILE is wanted");
        return command_usage();
    }
    got->first = optind;
    *done = false;
    return APP_OK;
}

static int store_code(enum ra_store_status status)
{
    switch (status) {
    case RA_STORE_OK:
        return APP_OK;
    case RA_STORE_NOT_FOUND:
    case RA_STORE_EXISTS:
        return APP_REFUSED;
    case RA_STORE_ARGUMENT:
        return APP_USAGE;
    default:
        return APP_UNREACHABLE;
    }
}

static int open_store(const struct ra_options *options, ra_store **store)
{
    enum ra_store_status status;
    const char *spec = options->store;
    CONF *conf = NULL;
    char text[256] = "";
    long line = 0;
    int result = APP_OK;

    *store = NULL;
    if (options->config != NULL) {
        /* Only the store's name is of interest; the server itself checks all of the file. */
        conf = NCONF_new(NULL);
        if (conf == NULL || NCONF_load(conf, options->config, &line) <= 0) {
            app_error_openssl("%s cannot be read (line %ld)", options->config, line);
            result = APP_USAGE;
            goto out;
        }
        spec = NCONF_get_string(conf, "ra", "store");
        if (spec == NULL) {
            app_error_openssl("%s has no [ra] store", options->config);
            result = APP_USAGE;
            goto out;
        }
    }
    status = ra_store_open(spec, false, store, text, sizeof(text));
    if (status != RA_STORE_OK) {
        app_error("%s: %s", spec, text[0] != '\0' ? text : ra_store_status_text(status));
        result = APP_UNREACHABLE;
    }
out:
    NCONF_free(conf);
    return result;
}

/* Digits of a hash of one of the sizes that a blacklist knows; a file of such a name is ./NAME. */
static bool is_hash(const char *text, uint8_t id[48], size_t *size)
{
    return input_hex(text, id, 48, size) == 0 &&
           (*size == 8 || *size == 10 || *size == 32 || *size == 48);
}

/*
 * The whole hashes of what the operand names: a certificate file gives that of the canonical form
 * first and, for an explicit one, that with s replaced by n - s; digits give themselves.
 */
struct named {
    uint8_t ids[2][48];
    size_t count, size;
};

static int name_of(const char *operand, struct named *named)
{
    OSSL_LIB_CTX *libctx = NULL;
    dot2_crypto *crypto = NULL;
    dot2_cert *cert = NULL;
    uint8_t hashes[2][48] = {{0}};
    int result;

    memset(named, 0, sizeof(*named));
    if (is_hash(operand, named->ids[0], &named->size)) {
        named->count = 1;
        return APP_OK;
    }
    result = command_crypto(NULL, &libctx, &crypto);
    if (result == APP_OK)
        result = command_certificate(crypto, operand, &cert);
    if (result == APP_OK &&
        dot2_cert_blacklist_hashes(cert, hashes, &named->size, &named->count) != DOT2_OK) {
        app_error_openssl("%s: its hash cannot be made", operand);
        result = APP_REFUSED;
    }
    memcpy(named->ids, hashes, sizeof(named->ids));
    dot2_cert_free(cert);
    dot2_crypto_free(crypto);
    OSSL_LIB_CTX_free(libctx);
    return result;
}

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

static void time_text(int64_t seconds, char text[32])
{
    time_t t = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(text, 32, "?");
}

/* ---- ra blacklist ---- */

static int blacklist_add(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra blacklist add --store SPEC|--config FILE [--comment TEXT] WHAT\n"
        "Puts a device on the blacklist. WHAT is an enrollment certificate's file, or the digits\n"
        "of its HashedId8, HashedId10, SHA-256 or SHA-384 (a file of such a name is ./NAME).\n"
        "\n"
        "      --comment TEXT    why; at most 127 octets\n" STORE_HELP;
    struct ra_blacklist_entry entry = {0};
    struct ra_options options;
    struct named named;
    ra_store *store = NULL;
    enum ra_store_status status;
    char text[97];
    bool done;
    int result = take_options(argc, argv, usage, 1, &options, &done);

    if (done)
        return result;
    if (options.comment != NULL && strlen(options.comment) >= sizeof(entry.comment)) {
        app_error("--comment has more than %zu octets", sizeof(entry.comment) - 1);
        return APP_USAGE;
    }
    result = name_of(argv[options.first], &named);
    if (result == APP_OK)
        result = open_store(&options, &store);
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
    else if (status == RA_STORE_EXISTS)
        app_error("%s %s is on the list already", kind_name(entry.kind), text);
    else
        app_error("%s", ra_store_status_text(status));
    ra_store_close(store);
    return store_code(status);
}

static int blacklist_remove(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra blacklist remove --store SPEC|--config FILE WHAT\n"
        "Takes an entry off the blacklist. WHAT names the entry as it was added: a certificate's\n"
        "file takes off the entry of its whole hash, not one of its HashedId8.\n"
        "\n" STORE_HELP;
    struct ra_options options;
    struct named named;
    ra_store *store = NULL;
    enum ra_store_status status = RA_STORE_NOT_FOUND, one;
    char text[97];
    bool done;
    int result = take_options(argc, argv, usage, 1, &options, &done);

    if (done)
        return result;
    result = name_of(argv[options.first], &named);
    if (result == APP_OK)
        result = open_store(&options, &store);
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
    if (status == RA_STORE_NOT_FOUND)
        app_error("%s is not on the list", argv[options.first]);
    else if (status != RA_STORE_OK)
        app_error("%s", ra_store_status_text(status));
    ra_store_close(store);
    return store_code(status);
}

static bool blacklist_row(void *arg, const struct ra_blacklist_entry *entry)
{
    char added[32], text[97];

    (void)arg;
    time_text(entry->added, added);
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

    time_text(entry->added, added);
    json_object(json, NULL);
    json_string(json, "kind", kind_name(entry->kind));
    json_hex(json, "id", entry->id, (size_t)entry->kind);
    json_string(json, "added", added);
    json_string(json, "comment", entry->comment);
    json_end_object(json);
    return true;
}

static int blacklist_list(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra blacklist list --store SPEC|--config FILE [--json]\n"
        "Lists the blacklist, oldest entry first: when added, kind, hash, comment.\n"
        "\n"
        "      --json            as JSON\n" STORE_HELP;
    struct ra_options options;
    struct json json;
    ra_store *store = NULL;
    enum ra_store_status status;
    bool done;
    int result = take_options(argc, argv, usage, 0, &options, &done);

    if (done)
        return result;
    result = open_store(&options, &store);
    if (result != APP_OK)
        return result;
    json_init(&json, stdout);
    if (options.as_json)
        json_array(&json, NULL);
    status = ra_blacklist_each(store, options.as_json ? blacklist_json : blacklist_row, &json);
    if (options.as_json) {
        json_end_array(&json);
        json_finish(&json);
    }
    if (status != RA_STORE_OK)
        app_error("%s", ra_store_status_text(status));
    ra_store_close(store);
    return store_code(status);
}

/* ---- ra files ---- */

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
        "\n" STORE_HELP;
    struct ra_options options;
    struct named named;
    ra_store *store = NULL;
    enum ra_store_status status;
    char text[97];
    bool done;
    int result = take_options(argc, argv, usage, 2, &options, &done);

    if (done)
        return result;
    result = check_service_file(argv[options.first]);
    if (result == APP_OK)
        result = name_of(argv[options.first + 1], &named);
    if (result == APP_OK && named.size < 32) {
        app_error("a file is assigned to a whole hash; %zu octets are too few", named.size);
        result = APP_USAGE;
    }
    if (result == APP_OK)
        result = open_store(&options, &store);
    if (result != APP_OK)
        return result;
    status = ra_file_assign(store, argv[options.first], named.ids[0], named.size);
    if (status == RA_STORE_OK)
        printf("%s belongs to %s\n", argv[options.first],
               command_hex(named.ids[0], named.size, text));
    else if (status == RA_STORE_EXISTS)
        app_error("%s is assigned already; unassign it first", argv[options.first]);
    else
        app_error("%s", ra_store_status_text(status));
    ra_store_close(store);
    return store_code(status);
}

static int files_unassign(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra files unassign --store SPEC|--config FILE FILENAME\n"
        "Makes a file nobody's. The file itself stays.\n"
        "\n" STORE_HELP;
    struct ra_options options;
    ra_store *store = NULL;
    enum ra_store_status status;
    bool done;
    int result = take_options(argc, argv, usage, 1, &options, &done);

    if (done)
        return result;
    result = open_store(&options, &store);
    if (result != APP_OK)
        return result;
    status = ra_file_unassign(store, argv[options.first]);
    if (status == RA_STORE_OK)
        printf("%s belongs to nobody\n", argv[options.first]);
    else if (status == RA_STORE_NOT_FOUND)
        app_error("%s is not assigned", argv[options.first]);
    else
        app_error("%s", ra_store_status_text(status));
    ra_store_close(store);
    return store_code(status);
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

static int files_list(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra files list --store SPEC|--config FILE [--json]\n"
        "Lists the files that are assigned, by name, with the requester's whole hash.\n"
        "\n"
        "      --json            as JSON\n" STORE_HELP;
    struct ra_options options;
    struct json json;
    ra_store *store = NULL;
    enum ra_store_status status;
    bool done;
    int result = take_options(argc, argv, usage, 0, &options, &done);

    if (done)
        return result;
    result = open_store(&options, &store);
    if (result != APP_OK)
        return result;
    json_init(&json, stdout);
    if (options.as_json)
        json_array(&json, NULL);
    status = ra_file_each(store, options.as_json ? file_json : file_row, &json);
    if (options.as_json) {
        json_end_array(&json);
        json_finish(&json);
    }
    if (status != RA_STORE_OK)
        app_error("%s", ra_store_status_text(status));
    ra_store_close(store);
    return store_code(status);
}

/* ---- the commands ---- */

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

static int ra_files(int argc, char **argv)
{
    static const struct command commands[] = {
        {"assign", "say whose a file is", files_assign},
        {"unassign", "make a file nobody's", files_unassign},
        {"list", "list the files that are assigned", files_list},
    };

    return command_run(commands, sizeof(commands) / sizeof(commands[0]),
                       "Which device may download which file.\n", argc, argv);
}

int cmd_ra(int argc, char **argv)
{
    static const struct command commands[] = {
        {"blacklist", "the internal blacklist", ra_blacklist},
        {"files", "which device may download which file", ra_files},
    };

    return command_run(commands, sizeof(commands) / sizeof(commands[0]),
                       "The live store of a registration authority.\n", argc, argv);
}
