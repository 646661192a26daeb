/* cmd_ee_status.c: dot2hsm ee status: what is installed, what is next, what went wrong. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/ee_assemble.h"
#include "apps/dot2hsm/json.h"
#include "apps/dot2hsm/support.h"
#include "apps/dot2hsm/verify_crl.h"

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
                 command_time(ends, at), DEVICE_FAILURES);
        return;
    }
    device_next_step(device, kind, what, sizeof(what), &needed);
    snprintf(text, size, "%s%s", needed ? "" : "none: ", what);
}

static const char *state_of(const struct device *device, dot2_cert *cert, uint32_t now)
{
    return device_revoked(device, cert, NULL, 0)
               ? "revoked"
               : command_validity(dot2_cert_start(cert), dot2_cert_end(cert), now);
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
               command_validity(batch->start, batch->end, now), start, end);
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
        json_string(json, "state", command_validity(batch->start, batch->end, now));
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
    printf("Last sync    %s\n", s->last_sync != 0 ? command_time(s->last_sync, at) : "never");
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
        printf("Last error   %s: ", command_time(s->last_error_time, at));
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
        json_string(&json, "lastSync", command_time(s->last_sync, text));
    json_steps(&json, device);
    json_uint(&json, "failures", s->failure_count);
    if (s->last_error[0] != '\0') {
        json_string(&json, "lastError", s->last_error);
        json_string(&json, "lastErrorTime", command_time(s->last_error_time, text));
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
