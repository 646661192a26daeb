/* cmd_ee_status.c: dot2hsm ee status, and ee sign, which uses what sync has installed. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/ee_assemble.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/support.h"
#include "apps/dot2hsm/verify_crl.h"

#define DATA_MAX ((size_t)1 << 20)

static int status_help(void)
{
    printf("Usage: dot2hsm ee status --config FILE [--json]\n"
           "What is installed and until when, what the next sync will do, and the last error.\n"
           "Contacts nobody. Exit status 1 if a kind of certificate that is to be provisioned has "
           "none that\nis valid now.\n\n"
           "      --json               as JSON\n%s",
           COMMAND_PROVIDER_HELP);
    return APP_OK;
}

struct row {
    const char *title, *name;
    dot2_cert *cert;
};

static void next_step(struct device *device, enum device_kind kind, char *text, size_t size)
{
    int64_t ends = device_limit_ends(device);
    char at[32], what[300];
    bool needed = false;

    if (ends != 0) {
        snprintf(text, size, "nothing before %s: %d failures within an hour",
                 device_time_text(ends, at), DEVICE_FAILURES);
        return;
    }
    device_next_step(device, kind, what, sizeof(what), &needed);
    snprintf(text, size, "%s%s", needed ? "" : "none: ", what);
}

static const char *validity(const dot2_cert *cert, uint32_t now)
{
    if (now < dot2_cert_start(cert))
        return "not yet valid";
    return now <= dot2_cert_end(cert) ? "valid" : "expired";
}

static const char *state_of(const struct device *device, dot2_cert *cert, uint32_t now)
{
    return device_revoked(device, cert, NULL, 0) ? "revoked" : validity(cert, now);
}

static void print_crls(const struct device *device, uint32_t now)
{
    size_t ballots = device_crl_ballots(device);

    if (device->trust == NULL)
        return;
    verify_crl_print(device->trust, now);
    if (device->crl_left > 0) {
        printf("  %u CRLs cannot be used, of them ", device->crl_left);
        app_print_safe(stdout, device->crl_why);
        printf("\n");
    }
    if (ballots > 0)
        printf("  %zu ballots on root CAs and electors: not evaluated\n", ballots);
}

static const char *batch_validity(const struct device_batch *batch, uint32_t now)
{
    if (now < batch->start)
        return "not yet valid";
    return now <= batch->end ? "valid" : "expired";
}

/* One line for each batch; its certificates are valid alike. */
static void print_batches(const struct device_state *s, uint32_t now)
{
    char start[21], end[21];

    if (s->batch_count > 0)
        printf("\n%-14s %-8s %-12s %-13s %-20s %s\n", "BATCH", "I", "CERTIFICATES", "STATE", "FROM",
               "UNTIL");
    for (unsigned i = 0; i < s->batch_count; i++) {
        const struct device_batch *batch = &s->batches[i];

        dot2_time32_format(batch->start, start);
        dot2_time32_format(batch->end, end);
        printf("%-14s %-8" PRIX32 " %-12" PRIu32 " %-13s %-20s %s\n",
               device_kind_info(batch->kind)->name, batch->i, batch->count,
               batch_validity(batch, now), start, end);
    }
}

static void json_batches(struct json *json, const struct device_state *s, uint32_t now)
{
    char text[64];

    json_array(json, "batches");
    for (unsigned i = 0; i < s->batch_count; i++) {
        const struct device_batch *batch = &s->batches[i];

        json_object(json, NULL);
        json_string(json, "role", device_kind_info(batch->kind)->name);
        json_uint(json, "i", batch->i);
        json_uint(json, "certificates", batch->count);
        json_string(json, "directory", device_batch_name(batch, text));
        json_string(json, "state", batch_validity(batch, now));
        dot2_time32_format(batch->start, text);
        json_string(json, "start", text);
        dot2_time32_format(batch->end, text);
        json_string(json, "end", text);
        json_end_object(json);
    }
    json_end_array(json);
}

/* "nextStep" is the application certificate's. */
static void json_steps(struct json *json, struct device *device)
{
    static const char *const names[DEVICE_KINDS] = {"nextStep", "nextStepPseudonym",
                                                    "nextStepIdentification"};
    char text[400];

    for (int kind = DEVICE_APPLICATION; kind < DEVICE_KINDS; kind++) {
        if (!device->wants[kind])
            continue;
        next_step(device, (enum device_kind)kind, text, sizeof(text));
        json_string(json, names[kind], text);
    }
}

static void print_table(struct device *device, const struct row *rows, size_t count, uint32_t now)
{
    const struct device_state *s = &device->state;
    char id[17], start[21], end[21], text[400], at[32];

    printf("%-12s %-16s %-8s %-13s %-20s %s\n", "CERTIFICATE", "HASHEDID8", "TYPE", "STATE", "FROM",
           "UNTIL");
    for (size_t i = 0; i < count; i++) {
        dot2_cert *cert = rows[i].cert;

        if (cert == NULL) {
            printf("%-12s none\n", rows[i].title);
            continue;
        }
        dot2_time32_format(dot2_cert_start(cert), start);
        dot2_time32_format(dot2_cert_end(cert), end);
        printf("%-12s %-16s %-8s %-13s %-20s %s\n", rows[i].title,
               command_hex(dot2_cert_hashedid8(cert), 8, id),
               dot2_cert_is_implicit(cert) ? "implicit" : "explicit", state_of(device, cert, now),
               start, end);
    }
    print_batches(s, now);
    if (s->certificate[0] != '\0')
        printf("\nKey          %s", assemble_origin(device, s->key));
    printf("\nPolicy file  %s\n", s->policy_name[0] != '\0' ? s->policy_name : "none");
    device_policy_print(device);
    printf("Chain file   %s\n", s->chain_name[0] != '\0' ? s->chain_name : "none");
    print_crls(device, now);
    printf("Last sync    %s\n", s->last_sync != 0 ? device_time_text(s->last_sync, at) : "never");
    for (int kind = DEVICE_APPLICATION; kind < DEVICE_KINDS; kind++) {
        if (!device->wants[kind])
            continue;
        next_step(device, (enum device_kind)kind, text, sizeof(text));
        if (kind == DEVICE_APPLICATION)
            printf("Next step    %s\n", text);
        else
            printf("Next step    %s: %s\n", device_kind_info((enum device_kind)kind)->name, text);
    }
    if (s->last_error[0] != '\0') {
        printf("Last error   %s: ", device_time_text(s->last_error_time, at));
        app_print_safe(stdout, s->last_error);
        printf("\n");
    }
}

static void print_json(struct device *device, const struct row *rows, size_t count, uint32_t now)
{
    const struct device_state *s = &device->state;
    struct json json;
    char text[400];

    json_init(&json, stdout);
    json_object(&json, NULL);
    json_array(&json, "certificates");
    for (size_t i = 0; i < count; i++) {
        if (rows[i].cert == NULL)
            continue;
        json_object(&json, NULL);
        json_string(&json, "role", rows[i].name);
        json_hex(&json, "HashedId8", dot2_cert_hashedid8(rows[i].cert), 8);
        json_bool(&json, "implicit", dot2_cert_is_implicit(rows[i].cert));
        json_string(&json, "state", state_of(device, rows[i].cert, now));
        dot2_time32_format(dot2_cert_start(rows[i].cert), text);
        json_string(&json, "start", text);
        dot2_time32_format(dot2_cert_end(rows[i].cert), text);
        json_string(&json, "end", text);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_batches(&json, s, now);
    if (s->certificate[0] != '\0') {
        json_string(&json, "applicationCertificate", s->certificate);
        json_string(&json, "applicationKey", s->key);
        json_string(&json, "applicationKeyOrigin", assemble_origin(device, s->key));
    }
    json_string(&json, "policyFile", s->policy_name);
    device_policy_json(device, &json);
    json_string(&json, "chainFile", s->chain_name);
    if (device->trust != NULL) {
        verify_crl_json(device->trust, &json, now);
        json_uint(&json, "crlsNotUsed", device->crl_left);
        json_uint(&json, "ballotsNotEvaluated", device_crl_ballots(device));
    }
    if (s->last_sync != 0)
        json_string(&json, "lastSync", device_time_text(s->last_sync, text));
    json_steps(&json, device);
    json_uint(&json, "failures", s->failure_count);
    if (s->last_error[0] != '\0') {
        json_string(&json, "lastError", s->last_error);
        json_string(&json, "lastErrorTime", device_time_text(s->last_error_time, text));
    }
    json_end_object(&json);
    json_finish(&json);
}

static void read_row(struct device *device, const char *path, struct row *row)
{
    device_read_cert(device, path, &row->cert);
}

static int show(struct device *device, bool json)
{
    struct row rows[] = {{"enrollment", "enrollment", NULL},
                         {"RA", "ra", NULL},
                         {"application", "application", NULL}};
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    const struct device_state *s = &device->state;
    char path[DEVICE_PATH];
    uint32_t now = 0;
    int code = APP_OK;

    if (device_now(device, &now) != APP_OK)
        return APP_REFUSED;
    read_row(device, device->certificate_path, &rows[0]);
    if (device_has(device, "ra.oer"))
        read_row(device, device_path(device, "ra.oer", path), &rows[1]);
    else if (device->ra_path != NULL)
        read_row(device, device->ra_path, &rows[1]);
    if (s->certificate[0] != '\0')
        read_row(device, device_path(device, s->certificate, path), &rows[2]);
    if (json)
        print_json(device, rows, count, now);
    else
        print_table(device, rows, count, now);
    if (device->wants[DEVICE_APPLICATION] &&
        (rows[2].cert == NULL || strcmp(state_of(device, rows[2].cert, now), "valid") != 0))
        code = APP_REFUSED;
    for (int kind = DEVICE_PSEUDONYM; kind < DEVICE_KINDS; kind++) {
        if (device->wants[kind] && device_batch_at(s, (enum device_kind)kind, now) == NULL)
            code = APP_REFUSED;
    }
    for (size_t i = 0; i < count; i++)
        dot2_cert_free(rows[i].cert);
    return code;
}

int ee_status_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, COMMAND_PROVIDER_OPTIONS, {NULL, 0, NULL, 0}};
    struct device device;
    bool json = false;
    int option, code;

    memset(&device, 0, sizeof(device));
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return status_help();
        if (option == 'j')
            json = true;
        else if (!command_provider_option(option, optarg, &device.provider))
            return command_usage();
    }
    if (optind < argc) {
        app_error("no operand is wanted");
        return command_usage();
    }
    code = device_configure(&device);
    if (code == APP_OK)
        code = device_state_load(&device);
    if (code == APP_OK)
        code = command_crypto(NULL, &device.libctx, &device.crypto);
    /* Without a trust, which has been complained of, there is a table all the same. */
    if (code == APP_OK && device_load_trust(&device) != APP_OK) {
        dot2_trust_free(device.trust);
        device.trust = NULL;
    }
    if (code == APP_OK)
        code = show(&device, json);
    device_close(&device);
    return code;
}

/* ---- sign ---- */

static int sign_help(void)
{
    printf(
        "Usage: dot2hsm ee sign --config FILE --psid N [OPTION]... FILE\n"
        "Makes an IEEE 1609.2 SignedData of the octets of FILE (\"-\": standard input) under a\n"
        "certificate that sync has installed.\n\n"
        "      --kind KIND          application, pseudonym (each time any one of those that are\n"
        "                           valid) or identification; default: the first of these that\n"
        "                           `provision` in [ee] names\n"
        "      --psid N             the PSID, which must be among the certificate's (0x82 or\n"
        "                           130)\n"
        "      --digest             name the certificate by its HashedId8 instead of giving it\n"
        "  -o, --out FILE           instead of standard output\n%s",
        COMMAND_PROVIDER_HELP);
    return APP_OK;
}

struct sign {
    struct device device;
    struct dot2_header header;
    enum dot2_signer_form form;
    const char *out, *file, *psid, *kind_name;
    enum device_kind kind;
};

static bool parse_psid(const char *text, uint64_t *psid)
{
    char *end = NULL;

    errno = 0;
    *psid = *text >= '0' && *text <= '9' ? strtoull(text, &end, 0) : 0;
    return end != NULL && *end == '\0' && errno == 0 && *psid <= INT64_MAX;
}

static int check_cert(const struct sign *sign, dot2_cert *cert)
{
    const SequenceOfPsidSsp_t *list = dot2_cert_asn1(cert)->toBeSigned.appPermissions;
    char why[200];
    uint32_t now = 0;

    if (device_now(&sign->device, &now) != APP_OK)
        return APP_REFUSED;
    if (strcmp(validity(cert, now), "valid") != 0) {
        app_error("the %s certificate is %s", device_kind_info(sign->kind)->name,
                  validity(cert, now));
        return APP_REFUSED;
    }
    if (device_revoked(&sign->device, cert, why, sizeof(why))) {
        app_error("the %s certificate is revoked: %s", device_kind_info(sign->kind)->name, why);
        return APP_REFUSED;
    }
    for (int i = 0; list != NULL && i < list->list.count; i++) {
        if ((uint64_t)list->list.array[i]->psid == sign->header.psid)
            return APP_OK;
    }
    app_error("the %s certificate does not permit psid %s", device_kind_info(sign->kind)->name,
              sign->psid);
    return APP_REFUSED;
}

static int choose_kind(struct sign *sign)
{
    for (int kind = DEVICE_APPLICATION; kind < DEVICE_KINDS; kind++) {
        sign->kind = (enum device_kind)kind;
        if (sign->kind_name != NULL
                ? strcmp(sign->kind_name, device_kind_info(sign->kind)->name) == 0
                : sign->device.wants[kind])
            return APP_OK;
    }
    app_error("--kind is application, pseudonym or identification");
    return command_usage();
}

/* Of a batch any one: who hears two messages is not to know them by their certificate. */
static int open_of_batch(struct sign *sign, dot2_cert **cert, char *uri)
{
    struct device *device = &sign->device;
    const struct device_batch *batch = NULL;
    uint32_t list[DEVICE_BATCH_MAX], now = 0, random = 0;
    size_t count = 0;
    int code;

    if (device_now(device, &now) == APP_OK)
        batch = device_batch_at(&device->state, sign->kind, now);
    if (batch == NULL) {
        app_error("there is no %s certificate that is valid now; dot2hsm ee sync gets some",
                  device_kind_info(sign->kind)->name);
        return APP_REFUSED;
    }
    code = device_batch_list(device, batch, list, &count);
    if (code != APP_OK)
        return code;
    if (RAND_bytes((unsigned char *)&random, sizeof(random)) <= 0) {
        app_error_openssl("no random octets");
        return APP_REFUSED;
    }
    return device_batch_open(device, batch, list[random % count], cert, uri);
}

/* The certificate, and the URI of its key. */
static int open_cert(struct sign *sign, dot2_cert **cert, char *uri)
{
    struct device *device = &sign->device;
    char path[DEVICE_PATH];

    if (sign->kind != DEVICE_APPLICATION)
        return open_of_batch(sign, cert, uri);
    if (device->state.certificate[0] == '\0') {
        app_error("there is no application certificate; dot2hsm ee sync gets one");
        return APP_REFUSED;
    }
    snprintf(uri, 512, "%s", device->state.key);
    return device_read_cert(device, device_path(device, device->state.certificate, path), cert);
}

static int make(struct sign *sign)
{
    struct device *device = &sign->device;
    struct dot2_error error = {.status = DOT2_OK};
    char uri[512];
    uint8_t *data = NULL, *octets = NULL;
    size_t data_size = 0, size = 0;
    dot2_cert *cert = NULL;
    EVP_PKEY *key = NULL;
    int code;

    code = open_cert(sign, &cert, uri);
    if (code == APP_OK)
        code = check_cert(sign, cert);
    if (code == APP_OK)
        code = app_key_open(device->libctx, uri, &key);
    if (code == APP_OK)
        code = app_file_read(sign->file, DATA_MAX, &data, &data_size);
    if (code != APP_OK)
        goto out;
    sign->header.has_generation_time = true;
    if (dot2_time64_now(&sign->header.generation_time) != DOT2_OK ||
        dot2_signed_data_build(device->crypto, key, cert, sign->form, &sign->header, data,
                               data_size, &octets, &size, &error) != DOT2_OK) {
        command_error(sign->file, &error);
        code = APP_REFUSED;
        goto out;
    }
    code = app_file_write(sign->out != NULL ? sign->out : "-", octets, size, 0644);
out:
    dot2_cert_free(cert);
    EVP_PKEY_free(key);
    OPENSSL_free(data);
    OPENSSL_free(octets);
    return code;
}

int ee_sign_command(int argc, char **argv)
{
    static const struct option options[] = {{"psid", required_argument, NULL, 'p'},
                                            {"kind", required_argument, NULL, 'k'},
                                            {"digest", no_argument, NULL, 'd'},
                                            {"out", required_argument, NULL, 'o'},
                                            COMMAND_PROVIDER_OPTIONS,
                                            {NULL, 0, NULL, 0}};
    struct sign sign;
    int option, code;

    memset(&sign, 0, sizeof(sign));
    sign.form = DOT2_SIGNER_CERTIFICATE;
    while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
        if (option == COMMAND_HELP)
            return sign_help();
        if (option == 'p')
            sign.psid = optarg;
        else if (option == 'k')
            sign.kind_name = optarg;
        else if (option == 'd')
            sign.form = DOT2_SIGNER_DIGEST;
        else if (option == 'o')
            sign.out = optarg;
        else if (!command_provider_option(option, optarg, &sign.device.provider))
            return command_usage();
    }
    if (argc - optind != 1 || sign.psid == NULL || !parse_psid(sign.psid, &sign.header.psid)) {
        app_error(argc - optind != 1 ? "one FILE is wanted" : "--psid is wanted, a number");
        return command_usage();
    }
    sign.file = argv[optind];
    code = device_configure(&sign.device);
    if (code == APP_OK)
        code = choose_kind(&sign);
    if (code == APP_OK)
        code = device_state_load(&sign.device);
    if (code == APP_OK)
        code = device_open(&sign.device);
    if (code == APP_OK)
        code = device_load_trust(&sign.device);
    if (code == APP_OK)
        code = make(&sign);
    device_close(&sign.device);
    return code;
}
