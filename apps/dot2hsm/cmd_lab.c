/* dot2hsm lab init: a complete test PKI in a directory; see lab.h for what is in it. */
#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/lab_run.h"
#include "apps/dot2hsm/support.h"

static const char usage[] =
    "Usage: dot2hsm lab init [OPTION]... DIR\n"
    "Makes a complete test PKI in DIR: an X.509 root and the RA's TLS certificate; 1609.2 root,\n"
    "intermediate, enrollment and pseudonym CA, misbehavior authority, policy generator, RA, a\n"
    "road-side unit with an explicit enrollment certificate, an on-board unit with an implicit "
    "one;\n"
    "the RA's store, chain file, policy file and two files to download; configurations for\n"
    "dot2hsm-ra and dot2hsm ee.\n"
    "FOR TESTS AND DEMONSTRATIONS ONLY: the authorities' keys are plain files.\n"
    "\n"
    "      --ra-token URI             the RA's three keys are made in this token\n"
    "      --rse-token URI            the road-side unit's enrollment key is made in this token\n"
    "      --module PATH              PKCS#11 module of both\n"
    "      --pin-source SOURCE        PIN of both: file:/PATH, env:NAME or credential:NAME; %s in "
    "it\n"
    "                                 is the token's label\n"
    "      --ra-pin-source SOURCE     of the RA's token alone\n"
    "      --rse-pin-source SOURCE    of the road-side unit's token alone\n"
    "      --host NAME                the RA's host name (default localhost)\n"
    "      --port N                   the RA's port (default 8892)\n"
    "      --crl-port N               the RA serves the CRL too, on this port, and the devices\n"
    "                                 fetch it\n"
    "      --file FILE                what the road-side unit downloads (default: a zip file of\n"
    "                                 256 kB of random octets)\n"
    "      --force                    replace a lab that is in DIR, and its keys in the tokens\n"
    "      --reuse-keys               take keys of the lab's labels that are in the tokens "
    "(ra-tls,\n"
    "                                 ra-sign, ra-encryption, enrollment) as they are\n"
    "      --json                     the summary as JSON\n"
    "      --help                     this text\n"
    "Without a token, keys are files in DIR.\n";

static const char *time_of(uint32_t time32, char text[21])
{
    dot2_time32_format(time32, text);
    return text;
}

static void print_text(const struct lab *lab)
{
    char id[17], end[21], path[LAB_PATH];

    printf("A lab for tests and demonstrations, not for the field, in %s\n\n", lab->dir);
    for (int i = 0; i < LAB_CERTS; i++) {
        const dot2_cert *cert = lab->certs[i];

        printf("%-27s HashedId8 %s  %s  until %s\n", lab_cert_title((enum lab_cert)i),
               command_hex(dot2_cert_hashedid8(cert), 8, id),
               dot2_cert_is_implicit(cert) ? "implicit" : "explicit",
               time_of(dot2_cert_end(cert), end));
        printf("    certificate  %s\n", lab_path(lab, lab_cert_file((enum lab_cert)i), path));
        printf("    key          %s\n", lab->keys[i].uri);
        if (i == LAB_RA)
            printf("    encryption   %s\n", lab->ra_encryption.uri);
    }
    printf("X.509 root                  %s\n", lab_path(lab, "trust/x509-root.pem", path));
    printf("RA's TLS certificate        %s, for %s\n", lab_path(lab, "ra/tls.pem", path),
           lab->host);
    printf("    key          %s\n", lab->ra_tls.uri);
    printf("\nFor the road-side unit      %s\n", lab->rse_file);
    printf("For the on-board unit       %s\n", lab->obe_file);
    printf("\n  dot2hsm-ra %s\n", lab_path(lab, "ra.conf", path));
    printf("  dot2hsm ee download --config %s --out FILE %s\n", lab_path(lab, "ee.conf", path),
           lab->rse_file);
}

static void print_json(const struct lab *lab)
{
    struct json json;
    char text[21], path[LAB_PATH];

    json_init(&json, stdout);
    json_object(&json, NULL);
    json_string(&json, "directory", lab->dir);
    json_string(&json, "host", lab->host);
    json_array(&json, "certificates");
    for (int i = 0; i < LAB_CERTS; i++) {
        const dot2_cert *cert = lab->certs[i];

        json_object(&json, NULL);
        json_string(&json, "title", lab_cert_title((enum lab_cert)i));
        json_string(&json, "name", dot2_cert_name(cert));
        json_hex(&json, "HashedId8", dot2_cert_hashedid8(cert), 8);
        json_bool(&json, "implicit", dot2_cert_is_implicit(cert));
        json_string(&json, "start", time_of(dot2_cert_start(cert), text));
        json_string(&json, "end", time_of(dot2_cert_end(cert), text));
        json_string(&json, "file", lab_path(lab, lab_cert_file((enum lab_cert)i), path));
        json_string(&json, "key", lab->keys[i].uri);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_string(&json, "x509Root", lab_path(lab, "trust/x509-root.pem", path));
    json_string(&json, "tlsCertificate", lab_path(lab, "ra/tls.pem", path));
    json_string(&json, "tlsKey", lab->ra_tls.uri);
    json_string(&json, "encryptionKey", lab->ra_encryption.uri);
    json_string(&json, "store", lab_path(lab, "ra/store.sqlite", path));
    json_string(&json, "rseFile", lab->rse_file);
    json_string(&json, "obeFile", lab->obe_file);
    json_end_object(&json);
    json_finish(&json);
}

static int make(struct lab *lab)
{
    uint32_t now = 0;
    int result = command_crypto(NULL, &lab->libctx, &lab->crypto);

    if (result != APP_OK)
        return result;
    lab->arena = coer_arena_new();
    if (lab->arena == NULL || dot2_time32_now(&now) != DOT2_OK) {
        app_error("out of memory, or the clock is outside of what Time32 can say");
        return APP_REFUSED;
    }
    lab->start = now - 3600;
    result = lab_dir_make(lab);
    if (result == APP_OK)
        result = lab_token_open(lab, &lab->ra_token);
    if (result == APP_OK)
        result = lab_token_open(lab, &lab->rse_token);
    if (result == APP_OK)
        result = lab_make_x509(lab);
    if (result == APP_OK)
        result = lab_make_dot2(lab);
    if (result == APP_OK)
        result = lab_make_files(lab);
    if (result == APP_OK)
        result = lab_make_policy(lab);
    if (result == APP_OK)
        result = lab_crl_make(lab);
    if (result == APP_OK)
        result = lab_write_configurations(lab);
    return result;
}

static void clear(struct lab *lab)
{
    for (int i = 0; i < LAB_CERTS; i++) {
        lab_key_clear(&lab->keys[i]);
        dot2_cert_free(lab->certs[i]);
    }
    lab_key_clear(&lab->x509_root);
    lab_key_clear(&lab->ra_tls);
    lab_key_clear(&lab->ra_encryption);
    p11_ctx_free(lab->ra_token.ctx);
    p11_ctx_free(lab->rse_token.ctx);
    coer_arena_free(lab->arena);
    dot2_crypto_free(lab->crypto);
    OSSL_LIB_CTX_free(lab->libctx);
}

/* It goes into a certificate, a URL and two configurations. */
static bool is_host(const char *name)
{
    size_t size = strlen(name);

    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("-.", name[i]) == NULL)
            return false;
    }
    return size > 0 && size < 254;
}

static int check_options(struct lab *lab, int operands)
{
    bool tokens = lab->ra_token.uri != NULL || lab->rse_token.uri != NULL;

    if (operands != 1) {
        app_error("one DIR is wanted");
        return command_usage();
    }
    if (!is_host(lab->host)) {
        app_error("--host: \"%s\" is not a host name", lab->host);
        return APP_USAGE;
    }
    if (tokens != (lab->module != NULL)) {
        app_error(tokens ? "--module is missing: which PKCS#11 module has the token?"
                         : "--module is given, but neither --ra-token nor --rse-token");
        return command_usage();
    }
    return APP_OK;
}

static int parse_port(const char *option, const char *text, unsigned *port)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);

    if (!isdigit((unsigned char)text[0]) || *end != '\0' || value == 0 || value > 65535) {
        app_error("--%s: \"%s\" is not a port", option, text);
        return APP_USAGE;
    }
    *port = (unsigned)value;
    return APP_OK;
}

enum {
    OPTION_RA_TOKEN = 1,
    OPTION_RSE_TOKEN,
    OPTION_MODULE,
    OPTION_PIN,
    OPTION_RA_PIN,
    OPTION_RSE_PIN,
    OPTION_HOST,
    OPTION_PORT,
    OPTION_FILE,
    OPTION_CRL_PORT,
    OPTION_FORCE,
    OPTION_REUSE_KEYS,
    OPTION_JSON
};

static int take_option(struct lab *lab, int option, const char *value, const char **pin_source)
{
    switch (option) {
    case OPTION_RA_TOKEN:
        lab->ra_token.uri = value;
        return APP_OK;
    case OPTION_RSE_TOKEN:
        lab->rse_token.uri = value;
        return APP_OK;
    case OPTION_MODULE:
        lab->module = value;
        return APP_OK;
    case OPTION_PIN:
        *pin_source = value;
        return APP_OK;
    case OPTION_RA_PIN:
        lab->ra_token.pin_source = value;
        return APP_OK;
    case OPTION_RSE_PIN:
        lab->rse_token.pin_source = value;
        return APP_OK;
    case OPTION_HOST:
        lab->host = value;
        return APP_OK;
    case OPTION_PORT:
        return parse_port("port", value, &lab->port);
    case OPTION_CRL_PORT:
        return parse_port("crl-port", value, &lab->crl_port);
    case OPTION_FILE:
        lab->file = value;
        return APP_OK;
    case OPTION_FORCE:
        lab->force = true;
        return APP_OK;
    case OPTION_REUSE_KEYS:
        lab->reuse_keys = true;
        return APP_OK;
    case OPTION_JSON:
        lab->as_json = true;
        return APP_OK;
    default:
        return command_usage();
    }
}

static int lab_init(int argc, char **argv)
{
    static const struct option options[] = {
        {"ra-token", required_argument, NULL, OPTION_RA_TOKEN},
        {"rse-token", required_argument, NULL, OPTION_RSE_TOKEN},
        {"module", required_argument, NULL, OPTION_MODULE},
        {"pin-source", required_argument, NULL, OPTION_PIN},
        {"ra-pin-source", required_argument, NULL, OPTION_RA_PIN},
        {"rse-pin-source", required_argument, NULL, OPTION_RSE_PIN},
        {"host", required_argument, NULL, OPTION_HOST},
        {"port", required_argument, NULL, OPTION_PORT},
        {"crl-port", required_argument, NULL, OPTION_CRL_PORT},
        {"file", required_argument, NULL, OPTION_FILE},
        {"force", no_argument, NULL, OPTION_FORCE},
        {"reuse-keys", no_argument, NULL, OPTION_REUSE_KEYS},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct lab lab = {.host = "localhost"};
    const char *pin_source = NULL;
    int c, result;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return APP_OK;
        }
        result = take_option(&lab, c, optarg, &pin_source);
        if (result != APP_OK)
            return result;
    }
    result = check_options(&lab, argc - optind);
    if (result != APP_OK)
        return result;
    lab.dir_option = argv[optind];
    if (lab.ra_token.pin_source == NULL)
        lab.ra_token.pin_source = pin_source;
    if (lab.rse_token.pin_source == NULL)
        lab.rse_token.pin_source = pin_source;
    result = make(&lab);
    if (result != APP_OK)
        lab_keys_take_back(&lab);
    else if (lab.as_json)
        print_json(&lab);
    else
        print_text(&lab);
    clear(&lab);
    return result;
}

int cmd_lab(int argc, char **argv)
{
    static const struct command commands[] = {
        {"init", "make a complete test PKI in a directory", lab_init},
        {"run", "the CAs behind its RA: answer requests", lab_run},
        {"policy", "a local policy file with given values", lab_policy},
        {"crl", "a CRL that revokes certificates", lab_crl},
    };

    return command_run(commands, sizeof(commands) / sizeof(commands[0]),
                       "A PKI for tests and demonstrations.\n", argc, argv);
}
