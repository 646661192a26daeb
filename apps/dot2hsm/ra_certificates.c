/* ra_certificates.c: the certificates of an RA's configuration, as `dot2hsm ra status` tells them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "apps/dot2hsm/ra_status.h"
#include "apps/dot2hsm/support.h"

#define CERTIFICATE_MAX 65536
#define DAY 86400

struct row {
    const char *role, *path;
    char id[17];        /* HashedId8, or "" */
    int64_t start, end; /* Unix time */
    const char *state;
};

/* Whole days that are left; below 0 once it has ended. */
static int64_t days_until(int64_t end, int64_t now)
{
    int64_t left = end - now;

    return left < 0 ? -1 - (-left - 1) / DAY : left / DAY;
}

static void tell_certificate(struct ra_status *status, struct row *row)
{
    char start[32] = "-", end[32] = "-";
    int64_t days = days_until(row->end, status->now);

    if (row->state == NULL)
        row->state = command_validity(row->start, row->end, status->now);
    if (strcmp(row->state, "valid") != 0)
        status->seen[APP_REFUSED] = true;
    if (row->end != 0) {
        command_time(row->start, start);
        command_time(row->end, end);
    }
    if (!status->as_json) {
        printf("  %-16s %-13s %6" PRId64 "  %-20s %-16s ", row->role, row->state,
               row->end == 0 ? 0 : days, end, row->id[0] == '\0' ? "-" : row->id);
        app_print_safe(stdout, row->path);
        putchar('\n');
        return;
    }
    json_object(&status->json, NULL);
    json_string(&status->json, "role", row->role);
    json_string(&status->json, "path", row->path);
    json_string(&status->json, "state", row->state);
    if (row->id[0] != '\0')
        json_string(&status->json, "hashedId8", row->id);
    if (row->end != 0) {
        json_string(&status->json, "start", start);
        json_string(&status->json, "end", end);
        json_int(&status->json, "daysLeft", days);
    }
    json_end_object(&status->json);
}

static int64_t unix_time(const ASN1_TIME *time)
{
    struct tm tm;

    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void tell_x509(struct ra_status *status, const char *role, const char *path)
{
    struct row row = {.role = role, .path = path, .state = "unreadable"};
    BIO *file = BIO_new_file(path, "r");
    X509 *cert = file == NULL ? NULL : PEM_read_bio_X509(file, NULL, NULL, NULL);

    if (cert != NULL) {
        row.start = unix_time(X509_get0_notBefore(cert));
        row.end = unix_time(X509_get0_notAfter(cert));
        row.state = NULL;
    }
    tell_certificate(status, &row);
    X509_free(cert);
    BIO_free(file);
    ERR_clear_error();
}

struct telling {
    struct ra_status *status;
    const char *role;
};

static bool tell_dot2(void *arg, const char *path)
{
    struct telling *telling = arg;
    struct row row = {.role = telling->role, .path = path, .state = "unreadable"};
    uint8_t *octets = NULL;
    dot2_cert *cert = NULL;
    size_t size = 0;

    if (app_file_read(path, CERTIFICATE_MAX, &octets, &size) == APP_OK &&
        dot2_cert_new(telling->status->crypto, octets, size, &cert, NULL) == DOT2_OK) {
        command_hex(dot2_cert_hashedid8(cert), 8, row.id);
        row.start = dot2_time32_to_unix(dot2_cert_start(cert));
        row.end = dot2_time32_to_unix(dot2_cert_end(cert));
        row.state = NULL;
    }
    tell_certificate(telling->status, &row);
    dot2_cert_free(cert);
    OPENSSL_free(octets);
    ERR_clear_error();
    return true;
}

static void tell_ra_certificate(struct ra_status *status, const char *section)
{
    struct telling telling = {.status = status, .role = section};
    const char *path = ra_status_value(status, section, "certificate");

    if (path != NULL)
        tell_dot2(&telling, path);
}

void ra_status_certificates(struct ra_status *status)
{
    static const struct {
        const char *option, *role;
    } lists[] = {{"anchors", "anchor"}, {"certificates", "CA"}};
    const char *tls = ra_status_value(status, "ra", "tls-certificate");

    if (status->as_json)
        json_array(&status->json, "certificates");
    else
        printf("\nCERTIFICATES\n  %-16s %-13s %6s  %-20s %-16s %s\n", "for", "state", "days",
               "until", "HashedId8", "file");
    if (tls != NULL)
        tell_x509(status, "tls", tls);
    ra_status_each_key(status, tell_ra_certificate);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct telling telling = {status, lists[i].role};
        const char *list = ra_status_value(status, "ra", lists[i].option);

        if (list != NULL && !app_certificates_each(list, tell_dot2, &telling)) {
            struct row row = {.role = lists[i].role, .path = list, .state = "unreadable"};

            tell_certificate(status, &row);
        }
    }
    if (status->as_json)
        json_end_array(&status->json);
}
