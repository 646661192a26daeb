/*
 * ee_policy.c: the local policy file: whether it may be installed, and what a device takes from it.
 *
 * Without `policy-signer` the file is believed because it came from the RA over TLS; with it, its
 * signatures are looked at.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/support.h"

static int read_policy(const char *path, uint8_t **octets, size_t *size, struct scms_policy *policy)
{
    struct dot2_error error = {.status = DOT2_OK};
    uint64_t now = 0;
    int code = app_file_read(path, INPUT_MAX, octets, size);

    if (code != APP_OK)
        return code;
    if (dot2_time64_now(&now) == DOT2_OK &&
        scms_policy_read(*octets, *size, now, policy, &error) == DOT2_OK)
        return APP_OK;
    command_error("the policy file", &error);
    return APP_REFUSED;
}

static int verify(struct device *device, const uint8_t *octets, size_t size)
{
    struct dot2_error error = {.status = DOT2_OK};
    dot2_cert *signer = NULL;
    uint32_t now = 0;
    int code;

    if (device->policy_signer == NULL)
        return APP_OK;
    code = device_read_cert(device, device->policy_signer, &signer);
    if (code == APP_OK &&
        (dot2_time32_now(&now) != DOT2_OK || dot2_trust_add(device->trust, signer) != DOT2_OK ||
         scms_policy_verify(device->crypto, device->trust, signer, now, octets, size, &error) !=
             DOT2_OK)) {
        command_error("the policy file", &error);
        code = APP_REFUSED;
    }
    dot2_cert_free(signer);
    return code;
}

static bool is_ours(const struct device *device, const struct scms_policy *policy)
{
    char host[256];

    ee_url_host(device->config.ra_url, host);
    return !policy->has_host || strcasecmp(policy->ra_host, host) == 0;
}

bool device_policy_is_ours(const struct device *device)
{
    struct scms_policy policy;

    return device_policy(device, &policy) && is_ours(device, &policy);
}

int device_policy_check(struct device *device, const char *path)
{
    struct scms_policy policy, installed;
    uint8_t *octets = NULL;
    size_t size = 0;
    int code = read_policy(path, &octets, &size, &policy);

    if (code == APP_OK)
        code = verify(device, octets, size);
    OPENSSL_free(octets);
    if (code != APP_OK)
        return code;
    if (!is_ours(device, &policy)) {
        app_error("the policy file is for another RA: \"%s\"", policy.ra_host);
        return APP_REFUSED;
    }
    if (device_policy(device, &installed) && is_ours(device, &installed) &&
        (policy.global_generation < installed.global_generation ||
         policy.local_generation < installed.local_generation)) {
        app_error("the policy file is older than the one installed");
        return APP_REFUSED;
    }
    return APP_OK;
}

bool device_policy(const struct device *device, struct scms_policy *policy)
{
    char path[DEVICE_PATH];
    uint8_t *octets = NULL;
    size_t size = 0;
    uint64_t now = 0;
    bool there = device_has(device, "policy.oer") && dot2_time64_now(&now) == DOT2_OK &&
                 app_file_read(device_path(device, "policy.oer", path), INPUT_MAX, &octets,
                               &size) == APP_OK &&
                 scms_policy_read(octets, size, now, policy, NULL) == DOT2_OK;

    OPENSSL_free(octets);
    if (!there)
        memset(policy, 0, sizeof(*policy));
    return there;
}

uint32_t device_renew_before(const struct device *device)
{
    struct scms_policy policy;

    if (!device->renew_before_set && device_policy(device, &policy) && policy.rse_overlap > 0)
        return policy.rse_overlap;
    return device->renew_before * 3600;
}

/* ---- what a request was made under ---- */

static void parameters(const struct device *device, char text[64])
{
    struct scms_policy policy;

    if (device_policy(device, &policy))
        snprintf(text, 64, "%u/%u/%u", policy.scms_version, policy.rse_validity,
                 policy.rse_overlap);
    else
        snprintf(text, 64, "none");
}

void device_policy_remember(struct device *device)
{
    parameters(device, device->state.request_policy);
}

bool device_policy_changed(const struct device *device)
{
    char text[64];

    parameters(device, text);
    return device->state.request_policy[0] != '\0' &&
           strcmp(text, device->state.request_policy) != 0;
}

int device_policy_version(const struct device *device)
{
    struct scms_policy policy;

    if (!device_policy(device, &policy) || policy.scms_version == 1)
        return APP_OK;
    app_error("the policy asks for version %u of the SCMS; this program speaks version 1",
              policy.scms_version);
    return APP_REFUSED;
}

/* ---- to be seen ---- */

void device_policy_print(const struct device *device)
{
    struct scms_policy policy;
    char at[21];

    if (!device_policy(device, &policy))
        return;
    dot2_time32_format((uint32_t)(policy.global_generation / 1000000), at);
    printf("  generated %s, %s; SCMS version %u\n", at,
           device->policy_signer != NULL ? "signature verified" : "by the RA's TLS alone",
           policy.scms_version);
    printf("  application certificates: validity %u h, overlap %u h; renewed %u h before the end\n",
           policy.rse_validity / 3600, policy.rse_overlap / 3600,
           device_renew_before(device) / 3600);
    if (policy.retrieval_interval > 0)
        printf("  files to be fetched every %u h at least%s\n", policy.retrieval_interval / 3600,
               device_policy_overdue(device) ? ": OVERDUE" : "");
}

bool device_policy_overdue(const struct device *device)
{
    struct scms_policy policy;

    return device_policy(device, &policy) && policy.retrieval_interval > 0 &&
           device->state.last_sync + policy.retrieval_interval < (int64_t)time(NULL);
}

void device_policy_json(const struct device *device, struct json *json)
{
    struct scms_policy policy;
    char at[21];

    if (!device_policy(device, &policy))
        return;
    json_object(json, "policy");
    dot2_time32_format((uint32_t)(policy.global_generation / 1000000), at);
    json_string(json, "generationTime", at);
    json_bool(json, "verified", device->policy_signer != NULL);
    json_uint(json, "scmsVersion", policy.scms_version);
    json_uint(json, "rseApplicationCertValidity", policy.rse_validity);
    json_uint(json, "rseApplicationCertOverlap", policy.rse_overlap);
    json_uint(json, "maxGpfGccfRetrievalInterval", policy.retrieval_interval);
    json_uint(json, "renewBefore", device_renew_before(device));
    json_bool(json, "filesOverdue", device_policy_overdue(device));
    json_end_object(json);
}
