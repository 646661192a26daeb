/*
 * policy.c: what of the served policy file a request is measured by (policy-limits = yes).
 *
 * The file is read anew each second: it may be replaced, and a temporal series may go on to its
 * next value. A file that cannot be used leaves in force what is.
 */
#include "apps/ra/ra_app.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#define POLICY_MAX ((size_t)1 << 20)

static bool read_file(const char *path, struct scms_policy *values)
{
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = 0;
    uint64_t now = 0;
    enum dot2_status status;

    if (app_file_read(path, POLICY_MAX, &octets, &size) != APP_OK)
        return false;
    status = dot2_time64_now(&now);
    if (status == DOT2_OK)
        status = scms_policy_read(octets, size, now, values, &error);
    OPENSSL_free(octets);
    ERR_clear_error();
    if (status != DOT2_OK)
        app_error("policy-file: %s: %s, %s: %s", path, dot2_status_name(status), error.field,
                  error.detail[0] == '\0' ? dot2_status_text(status) : error.detail);
    return status == DOT2_OK;
}

void ra_app_policy_say(const struct ra_app_policy *policy)
{
    if (policy->path == NULL)
        return;
    ra_app_say(LOG_NOTICE, "event=policy max_request_age=%" PRIu32 " max_supply=%" PRIu32,
               policy->max_request_age, policy->max_supply);
}

int ra_app_policy_open(struct ra_app_policy *policy, const struct ra_app_config *config)
{
    struct scms_policy values;

    memset(policy, 0, sizeof *policy);
    if (!config->policy_limits)
        return APP_OK;
    policy->path = OPENSSL_strdup(config->server.policy_file);
    if (policy->path == NULL) {
        app_error("out of memory");
        return APP_REFUSED;
    }
    if (!read_file(policy->path, &values)) {
        ra_app_policy_clear(policy);
        return APP_USAGE;
    }
    policy->max_request_age = values.max_request_age;
    policy->max_supply = values.max_supply;
    return APP_OK;
}

bool ra_app_policy_look(struct ra_app_policy *policy)
{
    struct scms_policy values;
    char text[500];
    bool good;

    if (policy->path == NULL)
        return false;
    /* Once for all that goes wrong, and then each second: it is heard here, not on stderr. */
    ra_app_hear(text, sizeof text);
    good = read_file(policy->path, &values);
    ra_app_hear(NULL, 0);
    if (!good) {
        if (!policy->failed)
            ra_app_say_text(LOG_ERR, "event=policy_not_used", "detail", text);
        policy->failed = true;
        return false;
    }
    policy->failed = false;
    if (values.max_request_age == policy->max_request_age &&
        values.max_supply == policy->max_supply)
        return false;
    policy->max_request_age = values.max_request_age;
    policy->max_supply = values.max_supply;
    ra_app_policy_say(policy);
    return true;
}

void ra_app_policy_clear(struct ra_app_policy *policy)
{
    OPENSSL_free(policy->path);
    memset(policy, 0, sizeof *policy);
}
