#include "protocol/ee/ee_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_MAX_SIZE (1024u * 1024 * 1024)

/* What is sent in a header line must not end it. */
static bool printable(const char *text, size_t max)
{
    size_t length = strlen(text);

    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    }
    return length > 0 && length <= max;
}

static enum ee_status check_arguments(const struct ee_config *config,
                                      const struct ee_download *download, struct ee_url *url,
                                      struct ee_error *error)
{
    enum ee_status status = ee_url_parse(config->ra_url, url, error);

    if (status == EE_OK && config->resolve != NULL)
        status = ee_url_check_resolve(url, config->resolve, error);
    if (status != EE_OK)
        return status;
    if (!ee_url_path_valid(download->path))
        return ee_fail(error, EE_E_ARGUMENT, "the path of the service is not one");
    if (download->output == NULL || download->output[0] == '\0' ||
        download->output[strlen(download->output) - 1] == '/')
        return ee_fail(error, EE_E_ARGUMENT, "there is no name for the file to be written");
    if (download->have != NULL &&
        (!printable(download->have, 255) ||
         (strchr(download->have, '"') != NULL && !ee_etag_valid(download->have))))
        return ee_fail(error, EE_E_ARGUMENT, "the version that is there is no name and no ETag");
    if (download->filename == NULL)
        return EE_OK;
    if (!printable(download->filename, 255) || strchr(download->filename, '/') != NULL)
        return ee_fail(error, EE_E_ARGUMENT, "the file name asked for is not one");
    if (config->crypto == NULL || config->enrollment_key == NULL ||
        config->enrollment_certificate == NULL)
        return ee_fail(error, EE_E_ARGUMENT,
                       "an authenticated download needs the enrollment key and certificate");
    if (config->secured_header && config->ra_certificate == NULL)
        return ee_fail(error, EE_E_ARGUMENT,
                       "a secured request needs the RA's IEEE 1609.2 certificate");
    return EE_OK;
}

/*
 * 416: the part is not a beginning of what the RA has now. Only if the RA names our length and
 * version is the part whole (its total was not known when it came); else it is fetched anew.
 */
static bool whole_after_416(const struct ee_transfer *t)
{
    const struct ee_response *r = &t->response;

    return r->has_unsatisfied && r->range_total == t->part->size && !t->part->has_total &&
           strcmp(r->etag, t->part->etag) == 0;
}

static enum ee_status run(struct ee_transfer *t)
{
    enum ee_status status = ee_transfer_run(t);

    if (status != EE_OK || t->response.status != 416)
        return status;
    if (whole_after_416(t)) {
        t->part->has_total = true;
        t->part->total = t->part->size;
        return EE_OK;
    }
    status = ee_part_begin(t->part, "", false, 0, t->error);
    return status == EE_OK ? ee_transfer_run(t) : status;
}

/* What becomes of the part, and what the caller is told. */
static enum ee_status finish(struct ee_transfer *t, enum ee_status status)
{
    struct ee_download_result *result = t->result;
    struct ee_part *part = t->part;

    snprintf(result->filename, sizeof(result->filename), "%s",
             t->response.filename[0] != '\0' ? t->response.filename : t->response.etag);
    snprintf(result->etag, sizeof(result->etag), "%s", t->response.etag);
    result->date = ee_response_date(&t->response);
    result->resumed_from = part->resumed_from;
    result->size = part->has_total ? part->total : 0;
    if (status == EE_OK)
        return ee_part_commit(part, t->error);
    if (part->fd < 0)
        return status;
    /* After an answer that does not fit, the next try must not ask the same again. */
    if (status == EE_NOT_MODIFIED || (status == EE_E_RESPONSE && t->ranged) || part->size == 0 ||
        part->etag[0] == '\0')
        ee_part_discard(part);
    else if (ee_part_checkpoint(part, NULL) != EE_OK && status == EE_E_ABORTED)
        return ee_fail(t->error, EE_E_FILE, "%s: the part cannot be kept", part->path);
    return status;
}

enum ee_status ee_download(const struct ee_config *config, const struct ee_download *download,
                           struct ee_download_result *result, struct ee_error *error)
{
    struct ee_url url;
    struct ee_roots roots = {NULL, 0, NULL};
    struct ee_part part = {.fd = -1};
    struct ee_transfer transfer = {
        .config = config,
        .download = download,
        .url = &url,
        .roots = &roots,
        .part = &part,
        .result = result,
        .error = error,
        .max_size = download->max_size != 0 ? download->max_size : DEFAULT_MAX_SIZE,
        .limit_rate = download->limit_rate,
    };
    enum ee_status status;
    char resource[800];

    memset(result, 0, sizeof(*result));
    if (error != NULL)
        memset(error, 0, sizeof(*error));
    status = check_arguments(config, download, &url, error);
    if (status == EE_OK)
        status = ee_roots_load(&roots, config->tls_root, error);
    if (status == EE_OK)
        status = ee_curl_start(error);
    if (status != EE_OK)
        goto out;
    snprintf(resource, sizeof(resource), "https://%s:%u%s %s", url.host, url.port, download->path,
             download->filename != NULL ? download->filename : "-");
    status = ee_part_open(&part, download->output, resource, download->restart, error);
    if (status != EE_OK)
        goto out;
    status = ee_transfer_new(&transfer);
    if (status == EE_OK)
        status = run(&transfer);
    status = finish(&transfer, status);
out:
    ee_transfer_clear(&transfer);
    ee_part_close(&part);
    ee_roots_clear(&roots);
    return status;
}
