#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/ra_options.h"
#include "apps/dot2hsm/support.h"

int ra_options_take(int argc, char **argv, const char *usage, unsigned takes, int operands,
                    struct ra_options *got, bool *done)
{
    static const struct option options[] = {
        {"store", required_argument, NULL, 's'}, {"config", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},        {"comment", required_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    int c;

    memset(got, 0, sizeof(*got));
    *done = true;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if ((c == 'j' && !(takes & RA_TAKES_JSON)) || (c == 'm' && !(takes & RA_TAKES_COMMENT))) {
            app_error("--%s has no meaning here", c == 'j' ? "json" : "comment");
            return command_usage();
        }
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

int ra_options_exit(enum ra_store_status status)
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

int ra_options_open(const struct ra_options *options, ra_store **store)
{
    enum ra_store_status status;
    const char *spec = options->store;
    CONF *conf = NULL;
    char text[256] = "";
    int result = APP_OK;

    *store = NULL;
    if (options->config != NULL) {
        /* Only the store's name is of interest; the server itself checks all of the file. */
        result = app_conf_read(options->config, &conf);
        if (result != APP_OK)
            goto out;
        spec = NCONF_get_string(conf, "ra", "store");
        if (spec == NULL) {
            app_error_openssl("%s has no [ra] store", options->config);
            result = APP_USAGE;
            goto out;
        }
    }
    status = ra_store_open(spec, false, store, text, sizeof(text));
    if (status != RA_STORE_OK) {
        /* Not the spec: a connection string can hold a password. text names the store. */
        app_error("%s", text[0] != '\0' ? text : ra_store_status_text(status));
        result = APP_UNREACHABLE;
    }
out:
    NCONF_free(conf);
    return result;
}

int ra_options_list(int argc, char **argv, const char *usage,
                    enum ra_store_status (*each)(ra_store *store, struct json *json))
{
    struct ra_options options;
    struct json json;
    ra_store *store = NULL;
    enum ra_store_status status;
    bool done;
    int result = ra_options_take(argc, argv, usage, RA_TAKES_JSON, 0, &options, &done);

    if (done)
        return result;
    result = ra_options_open(&options, &store);
    if (result != APP_OK)
        return result;
    json_init(&json, stdout);
    if (options.as_json)
        json_array(&json, NULL);
    status = each(store, options.as_json ? &json : NULL);
    if (options.as_json) {
        json_end_array(&json);
        json_finish(&json);
    }
    return ra_options_end(store, status, NULL, NULL);
}

void ra_options_store_error(ra_store *store, enum ra_store_status status, const char *what)
{
    char text[256] = "";

    ra_store_last_error(store, text, sizeof(text));
    app_error("%s: %s%s%s", what, ra_store_status_text(status), text[0] != '\0' ? ": " : "", text);
}

int ra_options_end(ra_store *store, enum ra_store_status status, const char *subject,
                   const char *found)
{
    if ((status == RA_STORE_NOT_FOUND || status == RA_STORE_EXISTS) && subject != NULL)
        app_error("%s %s", subject, found);
    else if (status != RA_STORE_OK)
        ra_options_store_error(store, status, subject != NULL ? subject : "the store");
    ra_store_close(store);
    return ra_options_exit(status);
}

/* Digits of a hash of one of the sizes that a blacklist knows; a file of such a name is ./NAME. */
static bool is_hash(const char *text, uint8_t id[48], size_t *size)
{
    return input_hex(text, id, 48, size) == 0 &&
           (*size == 8 || *size == 10 || *size == 32 || *size == 48);
}

int ra_options_name(const char *operand, struct ra_named *named)
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
        app_error_openssl("%s: its hash cannot be made, or there is no memory for it", operand);
        result = APP_REFUSED;
    }
    memcpy(named->ids, hashes, sizeof(named->ids));
    dot2_cert_free(cert);
    dot2_crypto_free(crypto);
    OSSL_LIB_CTX_free(libctx);
    return result;
}
