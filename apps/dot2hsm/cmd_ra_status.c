/*
 * cmd_ra_status.c: dot2hsm ra status: how a registration authority stands, for its operator: store,
 * certificates, keys, and the figures of the running server.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/ra_options.h"
#include "apps/dot2hsm/ra_status.h"
#include "apps/dot2hsm/support.h"

static void hear(void *arg, const char *text)
{
    struct ra_status *status = arg;

    snprintf(status->heard, sizeof(status->heard), "%s", text);
}

const char *ra_status_value(const struct ra_status *status, const char *section, const char *name)
{
    const char *text;

    ERR_set_mark();
    text = NCONF_get_string(status->conf, section, name);
    ERR_pop_to_mark();
    return text;
}

void ra_status_each_key(struct ra_status *status,
                        void (*each)(struct ra_status *status, const char *section))
{
    STACK_OF(OPENSSL_CSTRING) *sections = NCONF_get_section_names(status->conf);

    for (int i = 0; sections != NULL && i < sk_OPENSSL_CSTRING_num(sections); i++) {
        const char *section = sk_OPENSSL_CSTRING_value(sections, i);

        if (strncmp(section, "ra-key ", 7) == 0)
            each(status, section);
    }
    sk_OPENSSL_CSTRING_free(sections);
}

/* ---- the store ---- */

static void print_store(const struct ra_store_counts *counts)
{
    char at[32] = "";

    if (counts->oldest_pending != 0)
        command_time(counts->oldest_pending, at);
    printf("STORE\n"
           "  schema       %" PRId64 "\n"
           "  blacklist    %" PRId64 " entries\n"
           "  files        %" PRId64 " that are somebody's\n"
           "  ECAs         %s",
           counts->schema, counts->blacklist, counts->files,
           counts->ecas == 0 ? "all that chain to an anchor\n" : "");
    if (counts->ecas != 0)
        printf("%" PRId64 " whose devices are served\n", counts->ecas);
    printf("  requests     %" PRId64 " pending, %" PRId64 " ready, %" PRId64 " failed\n",
           counts->pending, counts->ready, counts->failed);
    if (counts->oldest_pending != 0)
        printf("               the oldest that is pending is of %s\n", at);
}

static void json_store(struct json *json, const struct ra_store_counts *counts)
{
    char at[32];

    json_int(json, "schema", counts->schema);
    json_int(json, "blacklist", counts->blacklist);
    json_int(json, "files", counts->files);
    json_int(json, "ecas", counts->ecas);
    json_object(json, "requests");
    json_int(json, "pending", counts->pending);
    json_int(json, "ready", counts->ready);
    json_int(json, "failed", counts->failed);
    if (counts->oldest_pending == 0) {
        json_null(json, "oldestPending");
    } else {
        command_time(counts->oldest_pending, at);
        json_string(json, "oldestPending", at);
    }
    json_end_object(json);
}

static void tell_store(struct ra_status *status)
{
    const struct ra_options options = {.config = status->path};
    struct ra_store_counts counts;
    ra_store *store = NULL;
    bool reached;

    status->heard[0] = '\0';
    reached = ra_options_open(&options, &store) == APP_OK;
    if (reached && ra_store_count(store, &counts) != RA_STORE_OK) {
        ra_store_last_error(store, status->heard, sizeof(status->heard));
        reached = false;
    }
    status->seen[reached ? APP_OK : APP_UNREACHABLE] = true;
    if (status->as_json) {
        json_object(&status->json, "store");
        json_bool(&status->json, "reachable", reached);
        if (reached)
            json_store(&status->json, &counts);
        else
            json_string(&status->json, "why", status->heard);
        json_end_object(&status->json);
    } else if (reached) {
        print_store(&counts);
    } else {
        printf("STORE\n  cannot be reached: ");
        app_print_safe(stdout, status->heard);
        putchar('\n');
    }
    ra_store_close(store);
}

/* ---- keys ---- */

/* What stands behind ? in a pkcs11: URI may be a PIN. */
static void without_query(char *text, const char *uri)
{
    const char *query = strchr(uri, '?');
    char *at;

    while (query != NULL && (at = strstr(text, query)) != NULL)
        memmove(at, at + strlen(query), strlen(at + strlen(query)) + 1);
}

static void tell_key(struct ra_status *status, const char *section, const char *option)
{
    const char *uri = ra_status_value(status, section, option);
    char shown[400];
    EVP_PKEY *key = NULL;
    const char *state;
    int code;

    if (uri == NULL)
        return;
    status->heard[0] = '\0';
    code = app_key_open(status->libctx, uri, &key);
    status->seen[code] = true;
    /* Without the PIN or the HSM nobody knows. */
    state = code == APP_OK ? "present" : code == APP_REFUSED ? "missing" : "unknown";
    snprintf(shown, sizeof(shown), "%s", uri);
    without_query(shown, uri);
    without_query(status->heard, uri);
    if (status->as_json) {
        json_object(&status->json, NULL);
        json_string(&status->json, "section", section);
        json_string(&status->json, "option", option);
        json_string(&status->json, "uri", shown);
        json_bool(&status->json, "present", code == APP_OK);
        if (code != APP_OK)
            json_string(&status->json, "why", status->heard);
        json_end_object(&status->json);
    } else {
        printf("  %-16s %-13s %-8s ", section, option, state);
        app_print_safe(stdout, shown);
        if (code != APP_OK) {
            printf("\n      ");
            app_print_safe(stdout, status->heard);
        }
        putchar('\n');
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
}

static void tell_ra_keys(struct ra_status *status, const char *section)
{
    tell_key(status, section, "sign-key");
    tell_key(status, section, "decrypt-key");
}

static void tell_keys(struct ra_status *status)
{
    if (status->no_keys)
        return;
    if (status->as_json)
        json_array(&status->json, "keys");
    else
        printf("\nKEYS\n");
    tell_key(status, "ra", "tls-key");
    ra_status_each_key(status, tell_ra_keys);
    if (status->as_json)
        json_end_array(&status->json);
}

/* ---- the server ---- */

static void print_figures(const struct ra_figures *figures)
{
    printf("  up for       %" PRId64 " s\n", figures->up);
    for (size_t i = 0; i < RA_FIGURES; i++)
        printf("  %-12s %.*f%s\n", ra_figure_names[i].title, figures->values[i] < 1e15 ? 0 : 1,
               figures->values[i], ra_figure_names[i].unit);
}

static void json_figures(struct json *json, const struct ra_figures *figures)
{
    json_int(json, "upSeconds", figures->up);
    for (size_t i = 0; i < RA_FIGURES; i++)
        json_int(json, ra_figure_names[i].json, (int64_t)figures->values[i]);
}

static void tell_server(struct ra_status *status)
{
    struct ra_figures figures;
    bool configured = ra_status_value(status, "ra", "metrics-port") != NULL, answers = false;

    status->heard[0] = '\0';
    if (configured)
        answers = ra_figures_get(ra_status_value(status, "ra", "metrics-address"),
                                 ra_status_value(status, "ra", "metrics-port"),
                                 ra_status_value(status, "ra", "metrics-port-file"), status->now,
                                 &figures);
    if (configured && !answers)
        status->seen[APP_UNREACHABLE] = true;
    if (status->as_json) {
        json_object(&status->json, "server");
        json_bool(&status->json, "asked", configured);
        if (configured)
            json_bool(&status->json, "answers", answers);
        if (answers)
            json_figures(&status->json, &figures);
        else if (configured)
            json_string(&status->json, "why", status->heard);
        json_end_object(&status->json);
        return;
    }
    printf("\nSERVER\n");
    if (answers) {
        print_figures(&figures);
    } else if (configured) {
        printf("  does not answer: ");
        app_print_safe(stdout, status->heard);
        putchar('\n');
    } else {
        printf("  is not asked: there is no metrics-port\n");
    }
}

static int exit_code(const struct ra_status *status)
{
    static const int order[] = {APP_USAGE, APP_UNREACHABLE, APP_REFUSED};

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (status->seen[order[i]])
            return order[i];
    return APP_OK;
}

static int tell_all(struct ra_status *status)
{
    json_init(&status->json, stdout);
    app_error_sink(hear, status);
    if (status->as_json)
        json_object(&status->json, NULL);
    tell_store(status);
    ra_status_certificates(status);
    tell_keys(status);
    tell_server(status);
    if (status->as_json) {
        json_end_object(&status->json);
        json_finish(&status->json);
    }
    app_error_sink(NULL, NULL);
    return exit_code(status);
}

int cmd_ra_status(int argc, char **argv)
{
    static const char usage[] =
        "Usage: dot2hsm ra status --config FILE [--json] [--no-keys]\n"
        "How a registration authority stands: what its store holds, its certificates and the days\n"
        "left to them, whether its keys are there, and the figures of the running server.\n"
        "\n"
        "      --config FILE     the configuration of dot2hsm-ra\n"
        "      --json            as JSON\n"
        "      --no-keys         open no key: no PIN is needed\n"
        "      --help            this text\n"
        "\n"
        "Exit status: 0 all is well, 1 a certificate is not valid or a key is not there, 3 the\n"
        "store, the HSM, or a server that has a metrics-port cannot be reached.\n";
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"no-keys", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct ra_status status = {.now = (int64_t)time(NULL)};
    struct app_provider provider = {0};
    int c, code = APP_USAGE;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            status.path = optarg;
            break;
        case 'j':
            status.as_json = true;
            break;
        case 'n':
            status.no_keys = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return APP_OK;
        default:
            return command_usage();
        }
    }
    if (status.path == NULL || optind != argc) {
        app_error(status.path == NULL ? "--config FILE is wanted" : "there is an operand too many");
        return command_usage();
    }
    code = app_conf_read(status.path, &status.conf);
    if (code != APP_OK)
        goto out;
    provider.config = status.path;
    code = command_crypto(&provider, &status.libctx, &status.crypto);
    if (code == APP_OK)
        code = tell_all(&status);
out:
    dot2_crypto_free(status.crypto);
    OSSL_LIB_CTX_free(status.libctx);
    NCONF_free(status.conf);
    return code;
}
