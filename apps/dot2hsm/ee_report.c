#include "apps/dot2hsm/ee_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#define BAR_WIDTH 30u
#define BAR_INTERVAL_MS 100u

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void draw(struct ee_watch *watch, uint64_t done, uint64_t total)
{
    uint64_t now = now_ms(), elapsed = now - watch->begun_ms;
    unsigned filled;

    if (watch->drawn && now - watch->shown_ms < BAR_INTERVAL_MS && done != total)
        return;
    watch->shown_ms = now;
    watch->drawn = true;
    fprintf(stderr, "\r\033[K");
    if (total > 0) {
        filled = (unsigned)(done * BAR_WIDTH / total);
        fputc('[', stderr);
        for (unsigned i = 0; i < BAR_WIDTH; i++)
            fputc(i < filled ? '#' : '.', stderr);
        fprintf(stderr, "] %3u%%  %" PRIu64 " of %" PRIu64 " octets",
                (unsigned)(done * 100 / total), done, total);
    } else {
        fprintf(stderr, "%" PRIu64 " octets", done);
    }
    if (elapsed > 500 && done > watch->first)
        fprintf(stderr, "  %" PRIu64 " kB/s", (done - watch->first) / elapsed);
    fflush(stderr);
}

bool ee_watch_progress(void *arg, uint64_t done, uint64_t total)
{
    struct ee_watch *watch = arg;

    /* Fewer than before: the RA sends the file from its start. */
    if (!watch->begun || done < watch->first) {
        watch->first = done;
        if (!watch->begun)
            watch->begun_ms = now_ms();
        watch->begun = true;
    }
    if (watch->bar && done > 0)
        draw(watch, done, total);
    if (*watch->stop)
        return false;
    if (watch->stop_after != 0 && done - watch->first >= watch->stop_after &&
        (total == 0 || done < total)) {
        watch->metered = true;
        return false;
    }
    return true;
}

void ee_watch_end(struct ee_watch *watch)
{
    if (watch->drawn)
        fputc('\n', stderr);
}

static bool sha256_of(const char *path, char text[65])
{
    uint8_t buffer[16384], digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    FILE *file = fopen(path, "re");
    unsigned size = 0;
    size_t got = 0;
    bool good = file != NULL && ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

    while (good && (got = fread(buffer, 1, sizeof(buffer), file)) > 0)
        good = EVP_DigestUpdate(ctx, buffer, got) == 1;
    good = good && !ferror(file) && EVP_DigestFinal_ex(ctx, digest, &size) == 1;
    for (unsigned i = 0; good && i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    if (file != NULL)
        fclose(file);
    EVP_MD_CTX_free(ctx);
    return good;
}

static void hex(const uint8_t *octets, size_t size, char *text)
{
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02X", octets[i]);
}

static void line(const char *name, const char *text)
{
    printf("%-15s ", name);
    app_print_safe(stdout, text);
    putchar('\n');
}

/* What was checked and done, in the order in which it was. */
static void print_facts(const struct ee_report *report, const char *sha256)
{
    const struct ee_download_result *r = &report->result;
    char text[700], id[17], iso[21];

    line("RA", report->config->ra_url);
    if (r->tls[0] != '\0') {
        line("TLS", r->tls);
        snprintf(text, sizeof(text), "%s, verified under %s", r->ra_subject, r->root_subject);
        line("RA certificate", text);
    }
    if (r->signatures > 0) {
        hex(dot2_cert_hashedid8(report->config->enrollment_certificate), 8, id);
        snprintf(text, sizeof(text), "HashedId8 %s, %s, key %s", id,
                 dot2_cert_is_implicit(report->config->enrollment_certificate) ? "implicit"
                                                                               : "explicit",
                 report->key_uri);
        line("Enrollment", text);
        dot2_time32_format(r->timestamp, iso);
        snprintf(text, sizeof(text), "%" PRIu32 " (%s)", r->timestamp, iso);
        line("Time32 signed", text);
    }
    if (r->resumed_from > 0) {
        snprintf(text, sizeof(text), "at octet %" PRIu64, r->resumed_from);
        line("Resumed", text);
    }
    snprintf(text, sizeof(text), "%" PRIu64 " octets", r->received);
    line("Received", text);
    if (report->status != EE_OK)
        return;
    if (r->filename[0] != '\0')
        line("RA's name", r->filename);
    snprintf(text, sizeof(text), "%s, %" PRIu64 " octets", report->output, r->size);
    line("File", text);
    line("SHA-256", sha256);
}

static void json_text(const char *name, const char *value)
{
    printf(",\n  \"%s\": ", name);
    app_json_string(stdout, value);
}

static void print_json(const struct ee_report *report, const char *sha256)
{
    const struct ee_download_result *r = &report->result;
    char id[17], iso[21];

    printf("{\n  \"status\": \"%s\"", ee_status_name(report->status));
    if (report->error.detail[0] != '\0')
        json_text("detail", report->error.detail);
    if (report->error.http_status != 0)
        printf(",\n  \"http_status\": %ld", report->error.http_status);
    if (report->error.scms_code != 0)
        printf(",\n  \"scms_code\": %d", report->error.scms_code);
    json_text("service", report->service->name);
    json_text("ra_url", report->config->ra_url);
    json_text("tls", r->tls);
    json_text("ra_subject", r->ra_subject);
    json_text("root_subject", r->root_subject);
    printf(",\n  \"signatures\": %u", r->signatures);
    if (r->signatures > 0) {
        hex(dot2_cert_hashedid8(report->config->enrollment_certificate), 8, id);
        json_text("enrollment_hashedid8", id);
        dot2_time32_format(r->timestamp, iso);
        printf(",\n  \"time32\": %" PRIu32, r->timestamp);
        json_text("time", iso);
    }
    printf(",\n  \"resumed_from\": %" PRIu64 ",\n  \"received\": %" PRIu64
           ",\n  \"size\": %" PRIu64,
           r->resumed_from, r->received, r->size);
    json_text("filename", r->filename);
    json_text("etag", r->etag);
    if (report->status == EE_OK) {
        json_text("output", report->output);
        json_text("sha256", sha256);
    }
    printf("\n}\n");
}

static int exit_code(enum ee_status status)
{
    switch (status) {
    case EE_OK:
    case EE_NOT_MODIFIED:
        return APP_OK;
    case EE_E_ARGUMENT:
        return APP_USAGE;
    case EE_E_UNREACHABLE:
    case EE_E_SIGN:
        return APP_UNREACHABLE;
    default:
        return APP_REFUSED;
    }
}

static void print_failure(const struct ee_report *report, const struct ee_watch *watch)
{
    if (report->status == EE_E_ABORTED)
        app_error("%s: %s; run it again to go on",
                  watch->metered ? "incomplete, stopped by --stop-after" : "interrupted",
                  report->error.detail);
    else
        app_error("%s: %s", ee_status_text(report->status), report->error.detail);
}

int ee_report_print(const struct ee_report *report, const struct ee_watch *watch, bool quiet,
                    bool json)
{
    char sha256[65] = "";

    if (report->status == EE_OK && !quiet && !sha256_of(report->output, sha256)) {
        app_error("%s cannot be read back: %s", report->output, strerror(errno));
        return APP_REFUSED;
    }
    if (json)
        print_json(report, sha256);
    else if (!quiet && (report->status == EE_OK || report->status == EE_E_ABORTED))
        print_facts(report, sha256);
    else if (!quiet && report->status == EE_NOT_MODIFIED)
        printf("Not modified: what is there is current.\n");
    fflush(stdout);
    if (exit_code(report->status) != APP_OK)
        print_failure(report, watch);
    return exit_code(report->status);
}
