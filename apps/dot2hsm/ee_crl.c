/*
 * ee_crl.c: the CRLs of a device: fetched from the MA, verified one by one, kept one by one.
 *
 * Nobody signs a CompositeCrl as a whole, so one in which a list is missing, or is an old one,
 * looks as good as any other. Each list therefore has a file of its own, which only a newer list of
 * the same CRACA, series and kind replaces: what was revoked once cannot be hidden again.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/support.h"
#include "protocol/dot2/crl.h"

#define LISTS_MAX 256

/* ---- files ---- */

static void list_name(const struct dot2_crl_info *info, bool delta, char name[64])
{
    char id[17];

    snprintf(name, 64, "crl-%s-%u-%s%s.oer", command_hex(info->craca_id, 8, id), info->series,
             delta ? "delta" : "full", info->evaluated ? "" : "-linkage");
}

static int is_list(const struct dirent *entry)
{
    return strncmp(entry->d_name, "crl-", 4) == 0 &&
           strcmp(entry->d_name + strcspn(entry->d_name, "."), ".oer") == 0;
}

/* One whose signer is over, or that a clock set back makes one of the future, was good once. */
static enum dot2_status add_installed(dot2_trust *trust, const uint8_t *octets, size_t size,
                                      uint32_t now, struct dot2_error *error)
{
    struct dot2_crl_info info;
    enum dot2_status status = dot2_trust_add_crl(trust, octets, size, now, NULL, error);

    if ((status == DOT2_E_EXPIRED || status == DOT2_E_NOT_YET_VALID) &&
        dot2_crl_peek(octets, size, &info, NULL) == DOT2_OK)
        status = dot2_trust_add_crl(trust, octets, size, info.issue_date, NULL, error);
    return status;
}

int device_crl_load(struct device *device, dot2_trust *trust, uint32_t now)
{
    struct dirent **entries = NULL;
    int count = scandir(device->dir, &entries, is_list, alphasort);

    device->crl_left = 0;
    for (int i = 0; i < count; i++) {
        struct dot2_error error = {.status = DOT2_OK};
        char path[DEVICE_PATH];
        uint8_t *octets = NULL;
        size_t size = 0;

        if (app_file_read(device_path(device, entries[i]->d_name, path), INPUT_MAX, &octets,
                          &size) != APP_OK ||
            add_installed(trust, octets, size, now, &error) != DOT2_OK) {
            device->crl_left++;
            snprintf(device->crl_why, sizeof(device->crl_why), "%.40s: %.100s %s",
                     entries[i]->d_name, error.field, error.detail);
        }
        OPENSSL_free(octets);
        free(entries[i]);
    }
    free(entries);
    ERR_clear_error();
    return APP_OK;
}

size_t device_crl_ballots(const struct device *device)
{
    struct dot2_composite_crl composite;
    char path[DEVICE_PATH];
    uint8_t *octets = NULL;
    size_t size = 0, ballots = 0;

    if (device_has(device, "crl.oer") &&
        app_file_read(device_path(device, "crl.oer", path), INPUT_MAX, &octets, &size) == APP_OK &&
        dot2_composite_crl_parse(octets, size, device->ballots, &composite, NULL) == DOT2_OK) {
        ballots = composite.root_ballots + composite.elector_ballots;
        dot2_composite_crl_clear(&composite);
    }
    OPENSSL_free(octets);
    return ballots;
}

/* ---- what came ---- */

/* The list in force of the same CRACA, series and kind. */
static bool in_force(const dot2_trust *trust, const struct dot2_crl_info *like, bool delta,
                     struct dot2_crl_info *found)
{
    struct dot2_crl_info infos[LISTS_MAX];
    size_t count = dot2_trust_crls(trust, infos, LISTS_MAX);

    for (size_t i = 0; i < count && i < LISTS_MAX; i++) {
        if (infos[i].series != like->series || infos[i].delta != delta ||
            infos[i].evaluated != like->evaluated ||
            memcmp(infos[i].craca_id, like->craca_id, 8) != 0)
            continue;
        *found = infos[i];
        return true;
    }
    return false;
}

static int install(struct device *device, const struct dot2_crl_info *info,
                   const struct coer_span *span)
{
    struct dot2_crl_info delta;
    char name[64], path[DEVICE_PATH];
    int code;

    list_name(info, info->delta, name);
    code = app_file_write(device_path(device, name, path), span->data, span->size, 0644);
    if (code != APP_OK || info->delta)
        return code;
    /* A delta that the full list has overtaken. */
    if (!in_force(device->trust, info, true, &delta)) {
        list_name(info, true, name);
        unlink(device_path(device, name, path));
    }
    return APP_OK;
}

static void warn(const struct dot2_crl_info *info, const struct dot2_crl_info *newer, uint32_t now)
{
    char id[17], at[21], other[21];

    command_hex(info->craca_id, 8, id);
    dot2_time32_format(info->issue_date, at);
    if (newer != NULL) {
        dot2_time32_format(newer->issue_date, other);
        app_error("the CRL of series %u of %s: issued %s, older than the one installed, of %s; "
                  "that one stays in force",
                  info->series, id, at, other);
        return;
    }
    if (info->next_crl < now) {
        dot2_time32_format(info->next_crl, other);
        app_error("the CRL of series %u of %s: a newer one was due at %s; this one is used",
                  info->series, id, other);
    }
    if (!info->evaluated)
        app_error("the CRL of series %u of %s: linkage based, kept and not evaluated", info->series,
                  id);
}

/* One list: into force and onto the disk, or left out and said why. */
static int take(struct device *device, const struct coer_span *span, uint32_t now, bool *good)
{
    struct dot2_error error = {.status = DOT2_OK};
    struct dot2_crl_info info, named, newer;
    char context[96] = "a CRL that is not used", id[17];
    enum dot2_status status =
        dot2_trust_add_crl(device->trust, span->data, span->size, now, &info, &error);

    *good = status == DOT2_OK;
    if (!*good) {
        if (dot2_crl_peek(span->data, span->size, &named, NULL) == DOT2_OK)
            snprintf(context, sizeof(context), "the CRL of series %u of %s is not used",
                     named.series, command_hex(named.craca_id, 8, id));
        command_error(context, &error);
        return APP_OK;
    }
    if (!info.current) {
        if (in_force(device->trust, &info, info.delta, &newer) &&
            newer.issue_date > info.issue_date)
            warn(&info, &newer, now);
        return APP_OK;
    }
    warn(&info, NULL, now);
    return install(device, &info, span);
}

static int take_all(struct device *device, const char *path)
{
    struct dot2_composite_crl composite;
    struct dot2_error error = {.status = DOT2_OK};
    uint8_t *octets = NULL;
    size_t size = 0, used = 0;
    uint32_t now = 0;
    int code = app_file_read(path, INPUT_MAX, &octets, &size);

    if (code != APP_OK)
        return code;
    if (dot2_time32_now(&now) != DOT2_OK ||
        dot2_composite_crl_parse(octets, size, device->ballots, &composite, &error) != DOT2_OK) {
        command_error("the CRL", &error);
        OPENSSL_free(octets);
        return APP_REFUSED;
    }
    for (size_t i = 0; code == APP_OK && i < composite.count; i++) {
        bool good = false;

        code = take(device, &composite.crls[i], now, &good);
        used += good;
    }
    if (composite.root_ballots + composite.elector_ballots > 0)
        app_error("the CRL: %zu ballots on root CAs and %zu on electors are not evaluated",
                  composite.root_ballots, composite.elector_ballots);
    if (code == APP_OK && composite.count > 0 && used == 0) {
        app_error("the CRL: none of its lists can be used");
        code = APP_REFUSED;
    }
    dot2_composite_crl_clear(&composite);
    OPENSSL_free(octets);
    ERR_clear_error();
    return code;
}

int device_crl_sync(struct device *device)
{
    struct ee_config config = device->config;
    struct ee_download download = {.path = "/download-crl/", .max_size = INPUT_MAX};
    struct ee_download_result result;
    struct ee_error error;
    char output[DEVICE_PATH], path[DEVICE_PATH];
    enum ee_status status;
    int code;

    if (device->crl_left > 0)
        app_error("%u installed CRLs cannot be used, of them %s", device->crl_left,
                  device->crl_why);
    if (device->crl_url == NULL)
        return APP_OK;
    code = device_may_try(device);
    if (code != APP_OK)
        return code;
    /* The MA's own address. */
    config.ra_url = device->crl_url;
    config.resolve = NULL;
    download.output = device_path(device, "crl.new", output);
    status = ee_download(&config, &download, &result, &error);
    if (status != EE_OK)
        return device_exchange_failed(device, "the CRL", status, &error);
    code = take_all(device, output);
    if (code != APP_OK) {
        unlink(output);
        device_failed(device, "the CRL cannot be used");
        return code;
    }
    if (rename(output, device_path(device, "crl.oer", path)) != 0) {
        app_error("%s: %s", path, strerror(errno));
        return APP_REFUSED;
    }
    return APP_OK;
}

/* ---- who is on them ---- */

bool device_revoked(const struct device *device, dot2_cert *cert, char *why, size_t size)
{
    struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY};
    struct dot2_error error = {.status = DOT2_OK};

    if (device->trust == NULL || dot2_time32_now(&check.time) != DOT2_OK ||
        dot2_chain_verify(device->trust, cert, &check, NULL, &error) != DOT2_E_REVOKED)
        return false;
    if (why != NULL)
        snprintf(why, size, "%s", error.detail);
    return true;
}

int device_check_enrollment(struct device *device)
{
    char why[200];

    if (!device_revoked(device, device->enrollment, why, sizeof(why)))
        return APP_OK;
    app_error("the enrollment certificate is revoked: %s; the RA is not asked", why);
    device_failed(device, "the enrollment certificate is revoked");
    return APP_REFUSED;
}
