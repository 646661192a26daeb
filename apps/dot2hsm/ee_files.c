/* ee_files.c: policy, chain and RA certificate, as sync keeps them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/support.h"

#include "asn1/types.h"

#define FILE_MAX ((uint64_t)INPUT_MAX)

int device_exchange_failed(struct device *device, const char *what, enum ee_status status,
                           const struct ee_error *error)
{
    char text[320];

    snprintf(text, sizeof(text), "%s: %s: %s", what, ee_status_text(status), error->detail);
    app_error("%s", text);
    switch (status) {
    case EE_E_UNREACHABLE:
    case EE_E_TLS:
    case EE_E_REFUSED:
    case EE_E_RESPONSE:
        if (device_failed(device, text) != APP_OK)
            return APP_REFUSED;
        return status == EE_E_UNREACHABLE ? APP_UNREACHABLE : APP_REFUSED;
    case EE_E_ARGUMENT:
        return APP_USAGE;
    default:
        return APP_REFUSED;
    }
}

static int move(const struct device *device, const char *from, const char *to)
{
    char old[DEVICE_PATH], new[DEVICE_PATH];

    if (rename(device_path(device, from, old), device_path(device, to, new)) != 0) {
        app_error("%s: %s", new, strerror(errno));
        return APP_REFUSED;
    }
    return APP_OK;
}

static bool same_octets(const struct device *device, const char *a, const char *b)
{
    char path[DEVICE_PATH];
    uint8_t *x = NULL, *y = NULL;
    size_t x_size = 0, y_size = 0;
    bool same = device_has(device, b) &&
                app_file_read(device_path(device, a, path), INPUT_MAX, &x, &x_size) == APP_OK &&
                app_file_read(device_path(device, b, path), INPUT_MAX, &y, &y_size) == APP_OK &&
                x_size == y_size && memcmp(x, y, x_size) == 0;

    OPENSSL_free(x);
    OPENSSL_free(y);
    return same;
}

/* Whether the local version goes on counting or begins anew with a new global one is not said. */
static bool is_older(const struct device_chain_info *one, const struct device_chain_info *than)
{
    return one->gccf != than->gccf ? one->gccf < than->gccf : one->lccf < than->lccf;
}

/* What of it does not chain to an anchor is left out; the trust itself is loaded anew after it. */
static int check_chain(struct device *device, const char *path)
{
    unsigned added = 0, left = 0;
    struct device_chain_info fresh, before;
    char installed[DEVICE_PATH];
    uint32_t now = 0;
    int code = APP_REFUSED;
    const bool is_known = device_chain_info(device, path, &fresh);

    if (is_known && !fresh.is_ours) {
        app_error("%s: the chain file of another RA: \"%s\"", path, fresh.host);
        return APP_REFUSED;
    }
    if (is_known && device_has(device, "chain.oer") &&
        device_chain_info(device, device_path(device, "chain.oer", installed), &before) &&
        before.is_ours && is_older(&fresh, &before)) {
        app_error("the chain file: version %u.%u is older than the one installed, %u.%u",
                  fresh.gccf, fresh.lccf, before.gccf, before.lccf);
        return APP_REFUSED;
    }
    if (device_now(device, &now) == APP_OK)
        code = device_chain_load(device, device->trust, path, now, &added, &left);
    if (code == APP_OK && !is_known) {
        app_error("the chain file: out of memory"); /* else the load has said what is wrong */
        code = APP_REFUSED;
    }
    if (code == APP_OK && added == 0) {
        app_error("the chain file: no certificate of it chains to an anchor");
        code = APP_REFUSED;
    }
    if (code == APP_OK && left > 0)
        app_error("the chain file: %u of %u certificates do not chain to an anchor and are not "
                  "used",
                  left, added + left);
    return code;
}

/* Another RA may call another file by the same name. */
static bool chain_is_ours(const struct device *device)
{
    struct device_chain_info info;
    char path[DEVICE_PATH];

    return device_chain_info(device, device_path(device, "chain.oer", path), &info) && info.is_ours;
}

struct file {
    const char *what, *path, *installed, *fresh;
    unsigned bit;
    int (*check)(struct device *device, const char *path);
    bool (*is_ours)(const struct device *device); /* the installed one, by what it says */
};

static int sync_file(struct device *device, const struct file *file, char *name, size_t name_size)
{
    struct ee_download download = {.path = file->path, .max_size = FILE_MAX};
    struct ee_download_result result;
    struct ee_error error;
    char output[DEVICE_PATH];
    enum ee_status status;
    int code = device_may_try(device);

    if (code != APP_OK)
        return code;
    download.output = device_path(device, file->fresh, output);
    download.have = name[0] != '\0' && device_has(device, file->installed) && file->is_ours(device)
                        ? name
                        : NULL;
    status = ee_download(&device->config, &download, &result, &error);
    if (status != EE_OK && status != EE_NOT_MODIFIED)
        return device_exchange_failed(device, file->what, status, &error);
    code = device_clock_check(device, result.date);
    if (status == EE_NOT_MODIFIED)
        return code;
    if (code != APP_OK) {
        unlink(output);
        return code;
    }
    code = file->check(device, output);
    if (code != APP_OK) {
        unlink(output);
        device_failed(device, "a file of the RA's cannot be used");
        return code;
    }
    snprintf(name, name_size, "%s", result.filename);
    if (same_octets(device, file->fresh, file->installed)) {
        unlink(output);
        return device_state_save(device);
    }
    /* The hook is told once too often rather than not at all. */
    device->state.changed |= file->bit;
    name[0] = '\0';
    code = device_state_save(device);
    if (code == APP_OK)
        code = move(device, file->fresh, file->installed);
    snprintf(name, name_size, "%s", result.filename);
    return code == APP_OK ? device_state_save(device) : code;
}

/* ---- the RA's certificate ---- */

static int sync_ra(struct device *device)
{
    struct ee_error error;
    dot2_cert *cert = NULL;
    const uint8_t *octets;
    char path[DEVICE_PATH];
    enum ee_status status;
    size_t size = 0;
    int code = device_may_try(device);

    if (code != APP_OK)
        return code;
    status = ee_ra_certificate(&device->config, device->trust, &cert, &error);
    if (status != EE_OK)
        return device_exchange_failed(device, "the RA's certificate", status, &error);
    if (device->ra == NULL || !device_has(device, "ra.oer") ||
        memcmp(dot2_cert_hashedid8(device->ra), dot2_cert_hashedid8(cert), 8)) {
        octets = dot2_cert_octets(cert, &size);
        code = app_file_write(device_path(device, "ra.oer", path), octets, size, 0644);
    }
    dot2_cert_free(cert);
    return code;
}

int device_sync_files(struct device *device)
{
    static const struct file policy = {
        "the policy file", "/download/policy/local", "policy.oer",         "policy.new",
        DEVICE_POLICY,     device_policy_check,      device_policy_is_ours};
    static const struct file chain = {"the chain file", "/download/local-certificate-chain",
                                      "chain.oer",      "chain.new",
                                      DEVICE_CHAIN,     check_chain,
                                      chain_is_ours};
    struct device_state *s = &device->state;
    int code = sync_file(device, &policy, s->policy_name, sizeof(s->policy_name));

    if (code == APP_OK)
        code = sync_file(device, &chain, s->chain_name, sizeof(s->chain_name));
    if (code == APP_OK)
        code = device_load_trust(device);
    /* Before the RA's certificate, which may be on it. */
    if (code == APP_OK)
        code = device_crl_sync(device);
    if (code == APP_OK)
        code = sync_ra(device);
    return code == APP_OK ? device_load_trust(device) : code;
}
