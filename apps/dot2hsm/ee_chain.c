/* ee_chain.c: certificates of a local certificate chain file, as far as an anchor vouches. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/err.h>

#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/support.h"

#define CHAIN_CERTS_MAX 1024

struct set {
    dot2_cert *certs[CHAIN_CERTS_MAX];
    size_t count;
};

static int cannot_tell(const char *path, enum dot2_status status)
{
    app_error("%s: %s (%s)", path, dot2_status_text(status), dot2_status_name(status));
    return APP_REFUSED;
}

/* A certificate that is none is left out, as one that does not chain is. */
static int take_all(const struct device *device, struct set *set, const char *path,
                    const struct scms_chain_file *file)
{
    if (file->count > CHAIN_CERTS_MAX) {
        app_error("%s: more than %d certificates", path, CHAIN_CERTS_MAX);
        return APP_REFUSED;
    }
    for (size_t i = 0; i < file->count; i++) {
        enum dot2_status status = dot2_cert_new(device->crypto, file->certs[i].data,
                                                file->certs[i].size, &set->certs[set->count], NULL);

        if (command_cannot_tell(status))
            return cannot_tell(path, status);
        if (status == DOT2_OK)
            set->count++;
    }
    return APP_OK;
}

/* A trust takes any certificate and believes none but those that chain to its anchors. */
static int judge(struct set *set, dot2_trust *trust, const char *path, uint32_t time32,
                 unsigned *added, unsigned *left)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = time32};

    for (size_t i = 0; i < set->count; i++) {
        enum dot2_status status = dot2_cert_is_self_issued(set->certs[i])
                                      ? DOT2_OK
                                      : dot2_trust_add(trust, set->certs[i]);

        if (status != DOT2_OK)
            return cannot_tell(path, status);
    }
    for (size_t i = 0; i < set->count; i++) {
        enum dot2_status status = dot2_chain_verify(trust, set->certs[i], &check, NULL, NULL);

        if (command_cannot_tell(status))
            return cannot_tell(path, status);
        (*(status == DOT2_OK ? added : left))++;
    }
    ERR_clear_error();
    return APP_OK;
}

bool device_chain_info(const struct device *device, const char *path,
                       struct device_chain_info *info)
{
    struct scms_chain_file file;
    char host[256];
    uint8_t *octets = NULL;
    size_t size = 0;
    bool ok = app_file_read(path, INPUT_MAX, &octets, &size) == APP_OK &&
              scms_chain_file_parse(octets, size, device->ballots, &file, NULL) == DOT2_OK;

    memset(info, 0, sizeof(*info));
    if (ok) {
        ee_url_host(device->config.ra_url, host);
        info->gccf = file.gccf_version;
        info->lccf = file.lccf_version;
        info->is_ours =
            file.host_size == strlen(host) && strncasecmp(file.host, host, file.host_size) == 0;
        snprintf(info->host, sizeof(info->host), "%.*s", (int)file.host_size, file.host);
        scms_chain_file_clear(&file);
    }
    OPENSSL_free(octets);
    return ok;
}

int device_chain_mend(const struct device *device)
{
    struct scms_chain_file file = {.arena = NULL};
    struct dot2_error error = {.status = DOT2_OK};
    char path[DEVICE_PATH];
    uint8_t *octets = NULL;
    size_t size = 0;
    enum dot2_status status;
    int code;

    if (!device_has(device, "chain.oer"))
        return APP_OK;
    code = app_file_read(device_path(device, "chain.oer", path), INPUT_MAX, &octets, &size);
    if (code != APP_OK)
        return code;
    status = scms_chain_file_parse(octets, size, device->ballots, &file, &error);
    scms_chain_file_clear(&file);
    OPENSSL_free(octets);
    if (status == DOT2_OK || command_cannot_tell(status))
        return APP_OK; /* what is wrong then is said when it is used */
    command_error(path, &error);
    app_error("%s: it is fetched anew", path);
    if (unlink(path) == 0)
        return APP_OK;
    app_error("%s: %s", path, strerror(errno));
    return APP_REFUSED;
}

int device_chain_load(const struct device *device, dot2_trust *trust, const char *path,
                      uint32_t time32, unsigned *added, unsigned *left)
{
    struct scms_chain_file file = {.arena = NULL};
    struct dot2_error error = {.status = DOT2_OK};
    struct set *set = OPENSSL_zalloc(sizeof(*set));
    unsigned ignored_added = 0, ignored_left = 0;
    uint8_t *octets = NULL;
    size_t size = 0;
    int code = app_file_read(path, INPUT_MAX, &octets, &size);

    if (code != APP_OK)
        goto out;
    code = APP_REFUSED;
    if (set == NULL) {
        app_error("out of memory");
        goto out;
    }
    if (scms_chain_file_parse(octets, size, device->ballots, &file, &error) != DOT2_OK) {
        command_error(path, &error);
        goto out;
    }
    code = take_all(device, set, path, &file);
    if (code != APP_OK)
        goto out;
    code = judge(set, trust, path, time32, added != NULL ? added : &ignored_added,
                 left != NULL ? left : &ignored_left);
out:
    for (size_t i = 0; set != NULL && i < set->count; i++)
        dot2_cert_free(set->certs[i]);
    OPENSSL_free(set);
    scms_chain_file_clear(&file);
    OPENSSL_free(octets);
    return code;
}
