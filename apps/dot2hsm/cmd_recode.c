/* dot2hsm recode: strict decode, encode again. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/inspect.h"

static const char usage[] =
    "Usage: dot2hsm recode --type TYPE [--input FORM] [--out FILE] FILE\n"
    "Decodes FILE strictly as TYPE and writes the canonical OER of the value.\n"
    "\n"
    "      --type TYPE   name of the standard; 'dot2hsm inspect --list-types' lists them\n"
    "      --input FORM  auto (default), coer, hex or base64\n"
    "      --out FILE    instead of standard output\n"
    "      --help        this text\n"
    "Additions of a later edition are known only as octets that were skipped; they are not "
    "written,\n"
    "and a warning says so.\n";

static int recode(const struct inspect_input *input, const char *path, const char *out)
{
    coer_arena *arena = coer_arena_new();
    struct coer_error error = {0};
    char line[COER_PATH_SIZE + 160];
    uint8_t *octets = NULL;
    size_t size = 0;
    void *value = NULL;
    int result = APP_REFUSED;

    if (arena == NULL) {
        app_error("out of memory");
        return APP_REFUSED;
    }
    if (coer_decode(arena, input->type, input->octets, input->size, &value, &error) != COER_OK ||
        coer_encode_alloc(input->type, value, &octets, &size, &error) != COER_OK) {
        app_error("%s: %s", path, coer_error_format(&error, line, sizeof(line)));
        goto out;
    }
    if (coer_arena_extended(arena))
        app_error("warning: %s: has additions of a later edition, which are left out", path);
    result = app_file_write(out, octets, size, 0644);
out:
    free(octets);
    coer_arena_free(arena);
    return result;
}

int cmd_recode(int argc, char **argv)
{
    static const struct option options[] = {{"type", required_argument, NULL, 't'},
                                            {"input", required_argument, NULL, 'i'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *type = NULL, *form = NULL, *out = "-";
    struct inspect_input input = {0};
    int c, result;

    while ((c = getopt_long(argc, argv, "t:o:h", options, NULL)) != -1) {
        switch (c) {
        case 't':
            type = optarg;
            break;
        case 'i':
            form = optarg;
            break;
        case 'o':
            out = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return APP_OK;
        default:
            return command_usage();
        }
    }
    if (type == NULL || argc - optind != 1) {
        app_error(type == NULL ? "--type is missing" : "one FILE is wanted");
        return command_usage();
    }
    result = inspect_input_read(argv[optind], form, type, &input);
    if (result == APP_OK)
        result = recode(&input, argv[optind], out);
    inspect_input_clear(&input);
    return result;
}
