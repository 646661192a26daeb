/*
 * cmd_keys.c: dot2hsm keys list|generate|delete.
 */
#include "apps/dot2hsm/commands.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/token.h"

/* ---- list -------------------------------------------------------------------------------------*/

static const char *class_name(const struct p11_object *object)
{
    switch (object->class_) {
    case P11_PRIVATE:
        return "private";
    case P11_PUBLIC:
        return "public";
    default:
        return "cert";
    }
}

static const char *curve_name(const struct p11_object *object)
{
    const char *name = p11_curve_name(object->curve);

    return name != NULL ? name : "-";
}

/* CKA_ID in hexadecimal. */
static void id_text(const struct p11_object *object, char *text, size_t size)
{
    size_t used = 0;

    snprintf(text, size, "-");
    for (size_t i = 0; i < object->id_size && used + 3 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%02x", object->id[i]);
}

static void usage_text(const struct p11_object *object, char *text, size_t size)
{
    static const char *const names[] = {"sign", "derive", "decrypt", "unwrap"};
    const bool has[] = {object->sign, object->derive, object->decrypt, object->unwrap};
    size_t used = 0;

    snprintf(text, size, "-");
    for (size_t i = 0; i < 4 && object->class_ == P11_PRIVATE; i++) {
        if (has[i])
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? "," : "", names[i]);
    }
}

/* Where it does not apply (a public key), neither yes nor no. */
static const char *flag_text(const struct p11_object *object, bool value)
{
    return object->class_ != P11_PRIVATE ? "-" : value ? "yes" : "no";
}

static void print_table(const p11_objects *objects)
{
    static const char *const heads[] = {"CLASS",     "LABEL",       "ID",    "CURVE", "USAGE",
                                        "SENSITIVE", "EXTRACTABLE", "LOCAL", "URI"};
    const struct p11_object *object;
    char id[130], usage[40];
    int label_width = 5, id_width = 2, usage_width = 5;
    size_t count = p11_objects_count(objects);

    for (size_t i = 0; i < count; i++) {
        object = p11_objects_get(objects, i);
        id_text(object, id, sizeof(id));
        usage_text(object, usage, sizeof(usage));
        label_width =
            (int)strlen(object->label) > label_width ? (int)strlen(object->label) : label_width;
        id_width = (int)strlen(id) > id_width ? (int)strlen(id) : id_width;
        usage_width = (int)strlen(usage) > usage_width ? (int)strlen(usage) : usage_width;
    }
    printf("%-7s  %-*s  %-*s  %-15s  %-*s  %-9s  %-11s  %-5s  %s\n", heads[0], label_width,
           heads[1], id_width, heads[2], heads[3], usage_width, heads[4], heads[5], heads[6],
           heads[7], heads[8]);
    for (size_t i = 0; i < count; i++) {
        object = p11_objects_get(objects, i);
        id_text(object, id, sizeof(id));
        usage_text(object, usage, sizeof(usage));
        printf("%-7s  ", class_name(object));
        app_print_safe(stdout, object->label);
        printf("%*s  %-*s  %-15s  %-*s  %-9s  %-11s  %-5s  ",
               label_width - (int)strlen(object->label), "", id_width, id, curve_name(object),
               usage_width, usage, flag_text(object, object->sensitive),
               flag_text(object, object->extractable), flag_text(object, object->local));
        app_print_safe(stdout, object->uri);
        putchar('\n');
    }
}

static void print_json_flag(const char *name, bool value)
{
    printf(",\"%s\":%s", name, value ? "true" : "false");
}

static void print_json(const p11_objects *objects)
{
    const struct p11_object *object;
    char id[520];

    putchar('[');
    for (size_t i = 0; i < p11_objects_count(objects); i++) {
        object = p11_objects_get(objects, i);
        id_text(object, id, sizeof(id));
        printf("%s\n  {\"class\":\"%s\",\"label\":", i > 0 ? "," : "",
               object->class_ == P11_CERTIFICATE ? "certificate" : class_name(object));
        app_json_string(stdout, object->label);
        printf(",\"id\":\"%s\"", object->id_size > 0 ? id : "");
        if (object->class_ != P11_CERTIFICATE)
            printf(",\"curve\":\"%s\"", curve_name(object));
        if (object->class_ == P11_PRIVATE) {
            printf(",\"usage\":[%s", object->sign ? "\"sign\"" : "");
            printf("%s", object->derive ? object->sign ? ",\"derive\"" : "\"derive\"" : "");
            putchar(']');
            print_json_flag("decrypt", object->decrypt);
            print_json_flag("unwrap", object->unwrap);
            print_json_flag("sensitive", object->sensitive);
            print_json_flag("extractable", object->extractable);
            print_json_flag("always_sensitive", object->always_sensitive);
            print_json_flag("never_extractable", object->never_extractable);
            print_json_flag("local", object->local);
        }
        printf(",\"token\":");
        app_json_string(stdout, object->token_label);
        printf(",\"uri\":");
        app_json_string(stdout, object->uri);
        putchar('}');
    }
    printf("\n]\n");
}

/* Options, configuration and token of one command; frees what it opened on failure. */
static int open_token(const struct app_provider *provider, CONF **conf, p11_ctx **ctx)
{
    int code = command_conf_load(provider, conf);

    return code == APP_OK ? token_open(provider, *conf, ctx) : code;
}

static int list_help(void)
{
    printf("Usage: dot2hsm keys list [OPTION]... [URI]\n"
           "Lists keys and certificates in tokens; all of them, or those that the URI matches.\n\n"
           "      --json               as JSON\n%s\n"
           "SENSITIVE yes and EXTRACTABLE no: the key cannot leave the token. LOCAL yes: it was\n"
           "made there.\n",
           COMMAND_PROVIDER_HELP);
    return APP_OK;
}

static int keys_list(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, COMMAND_PROVIDER_OPTIONS, {NULL, 0, NULL, 0}};
    struct app_provider provider = {NULL, NULL, NULL, NULL};
    p11_objects *objects = NULL;
    p11_ctx *ctx = NULL;
    CONF *conf = NULL;
    enum p11_status status;
    const char *uri;
    bool json = false;
    int option, code;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return list_help();
        if (option == 'j')
            json = true;
        else if (!command_provider_option(option, optarg, &provider))
            return command_usage();
    }
    if (argc - optind > 1) {
        app_error("more than one URI");
        return command_usage();
    }
    code = open_token(&provider, &conf, &ctx);
    if (code != APP_OK)
        goto out;
    uri = optind < argc ? argv[optind] : provider.token != NULL ? provider.token : "pkcs11:";
    status = p11_find(ctx, uri, P11_ANY, token_prompt, NULL, &objects);
    if (status != P11_OK) {
        code = token_failed(status, uri);
        goto out;
    }
    if (json)
        print_json(objects);
    else if (p11_objects_count(objects) > 0)
        print_table(objects);
    else
        fprintf(stderr, "No object matches.\n");
out:
    p11_objects_free(objects);
    p11_ctx_free(ctx);
    NCONF_free(conf);
    return code;
}

/* ---- generate ---------------------------------------------------------------------------------*/

static int generate_help(void)
{
    printf("Usage: dot2hsm keys generate [OPTION]... URI\n"
           "Makes a key pair in a token and prints its URI. The URI names the token, and the new\n"
           "key by object= or id=. The private key is sensitive and not extractable.\n\n"
           "      --curve CURVE        P-256 (default), P-384, brainpoolP256r1, brainpoolP384r1\n"
           "      --usage USAGE        sign (default), derive, or sign,derive; no other usage\n%s",
           COMMAND_PROVIDER_HELP);
    return APP_OK;
}

static bool parse_usage(const char *text, unsigned *usage)
{
    static const struct {
        const char *text;
        unsigned usage;
    } usages[] = {
        {"sign", P11_USAGE_SIGN},
        {"derive", P11_USAGE_DERIVE},
        {"sign,derive", P11_USAGE_SIGN | P11_USAGE_DERIVE},
        {"derive,sign", P11_USAGE_SIGN | P11_USAGE_DERIVE},
    };

    for (size_t i = 0; i < sizeof(usages) / sizeof(usages[0]); i++) {
        if (strcmp(usages[i].text, text) == 0) {
            *usage = usages[i].usage;
            return true;
        }
    }
    return false;
}

static int keys_generate(int argc, char **argv)
{
    static const struct option options[] = {{"curve", required_argument, NULL, 'c'},
                                            {"usage", required_argument, NULL, 'u'},
                                            COMMAND_PROVIDER_OPTIONS,
                                            {NULL, 0, NULL, 0}};
    struct app_provider provider = {NULL, NULL, NULL, NULL};
    struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN};
    p11_ctx *ctx = NULL;
    p11_key *key = NULL;
    CONF *conf = NULL;
    enum p11_status status;
    int option, code;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return generate_help();
        if (option == 'c')
            how.curve = p11_curve_from_name(optarg);
        else if (option == 'u' && !parse_usage(optarg, &how.usage))
            how.usage = 0;
        else if (option != 'u' && !command_provider_option(option, optarg, &provider))
            return command_usage();
    }
    if (how.curve == P11_CURVE_NONE || how.usage == 0 || argc - optind != 1) {
        app_error(how.curve == P11_CURVE_NONE ? "unknown curve"
                  : how.usage == 0            ? "unknown usage"
                                              : "one URI is needed");
        return command_usage();
    }
    code = open_token(&provider, &conf, &ctx);
    if (code != APP_OK)
        goto out;
    status = p11_key_generate(ctx, argv[optind], &how, token_prompt, NULL, &key);
    if (status != P11_OK)
        code = token_failed(status, argv[optind]);
    else
        printf("%s\n", p11_key_uri(key));
out:
    p11_key_free(key);
    p11_ctx_free(ctx);
    NCONF_free(conf);
    return code;
}

/* ---- delete -----------------------------------------------------------------------------------*/

static int delete_help(void)
{
    printf("Usage: dot2hsm keys delete [OPTION]... URI\n"
           "Deletes every object that the URI matches, after a question. The URI names them by\n"
           "object= or id=; a type= narrows it. A deleted key cannot be had back.\n\n"
           "      --yes                do not ask\n%s",
           COMMAND_PROVIDER_HELP);
    return APP_OK;
}

static bool confirmed(size_t count)
{
    char answer[16];

    printf("Delete %zu object%s for ever? [y/N] ", count, count == 1 ? "" : "s");
    fflush(stdout);
    if (fgets(answer, sizeof(answer), stdin) == NULL)
        return false;
    answer[strcspn(answer, "\n")] = '\0';
    return strcmp(answer, "y") == 0 || strcmp(answer, "yes") == 0;
}

static int delete_objects(p11_ctx *ctx, const char *uri, bool yes)
{
    p11_objects *objects = NULL;
    enum p11_status status;
    size_t deleted = 0, count;
    int code = APP_REFUSED;

    status = p11_find(ctx, uri, P11_ANY, token_prompt, NULL, &objects);
    if (status != P11_OK) {
        code = token_failed(status, uri);
        goto out;
    }
    count = p11_objects_count(objects);
    if (count == 0) {
        app_error("no object matches %s", uri);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        app_print_safe(stdout, p11_objects_get(objects, i)->uri);
        putchar('\n');
    }
    if (!yes && !confirmed(count)) {
        printf("Nothing is deleted.\n");
        goto out;
    }
    status = p11_delete(ctx, uri, token_prompt, NULL, &deleted);
    if (status != P11_OK) {
        code = token_failed(status, uri);
        goto out;
    }
    printf("%zu object%s deleted.\n", deleted, deleted == 1 ? "" : "s");
    code = APP_OK;
out:
    p11_objects_free(objects);
    return code;
}

static int keys_delete(int argc, char **argv)
{
    static const struct option options[] = {
        {"yes", no_argument, NULL, 'y'}, COMMAND_PROVIDER_OPTIONS, {NULL, 0, NULL, 0}};
    struct app_provider provider = {NULL, NULL, NULL, NULL};
    p11_ctx *ctx = NULL;
    CONF *conf = NULL;
    bool yes = false;
    int option, code;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return delete_help();
        if (option == 'y')
            yes = true;
        else if (!command_provider_option(option, optarg, &provider))
            return command_usage();
    }
    if (argc - optind != 1) {
        app_error("one URI is needed");
        return command_usage();
    }
    code = open_token(&provider, &conf, &ctx);
    if (code == APP_OK)
        code = delete_objects(ctx, argv[optind], yes);
    p11_ctx_free(ctx);
    NCONF_free(conf);
    return code;
}

int cmd_keys(int argc, char **argv)
{
    static const struct command commands[] = {
        {"list", "keys and certificates, and whether they can leave the token", keys_list},
        {"generate", "make a key pair in a token", keys_generate},
        {"delete", "delete objects from a token", keys_delete},
    };

    return command_run(commands, sizeof(commands) / sizeof(commands[0]), "Keys in tokens.\n", argc,
                       argv);
}
