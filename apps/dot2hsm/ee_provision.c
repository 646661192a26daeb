/* ee_provision.c: an application certificate, from the request to its installation (use case 13).
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apps/dot2hsm/ee_assemble.h"
#include "apps/dot2hsm/support.h"

bool device_wants_certificate(struct device *device, char *why, size_t size)
{
    const struct device_state *s = &device->state;
    char path[DEVICE_PATH], text[21];
    dot2_cert *cert = NULL;
    uint32_t now = 0;
    bool wants = true;

    if (s->certificate[0] == '\0') {
        snprintf(why, size, "there is no application certificate");
        return true;
    }
    if (dot2_time32_now(&now) != DOT2_OK ||
        device_read_cert(device, device_path(device, s->certificate, path), &cert) != APP_OK) {
        snprintf(why, size, "the application certificate cannot be read");
        return true;
    }
    dot2_time32_format(dot2_cert_end(cert), text);
    if (dot2_cert_end(cert) <= now) {
        snprintf(why, size, "the application certificate ended at %s", text);
    } else if (device_revoked(device, cert, NULL, 0)) {
        snprintf(why, size, "the application certificate is revoked");
    } else if (dot2_cert_end(cert) - now <= device_renew_before(device)) {
        snprintf(why, size, "the application certificate ends at %s", text);
    } else {
        snprintf(why, size, "the application certificate is valid until %s", text);
        wants = false;
    }
    dot2_cert_free(cert);
    return wants;
}

/* ---- the request ---- */

/* The ScmsPDU; its size does not depend on the time. */
static enum dot2_status build_tbs(void *arg, uint8_t **tbs, size_t *size, struct dot2_error *cause)
{
    struct scms_app_request *request = arg;
    enum dot2_status status = dot2_time32_now(&request->current_time);

    request->requested_start_time = request->current_time;
    return status == DOT2_OK ? scms_app_request_build(request, tbs, size, cause) : status;
}

/* Its public half is enough for the request. */
static int make_verify_key(struct device *device, EVP_PKEY **key)
{
    const struct device_request *r = &device->state.requests[DEVICE_APPLICATION];
    char uri[512];
    int code;

    if (assemble_applies(device, r->id, r->hash_count > 0)) {
        code = device_key_uri(device, DEVICE_APPLICATION, r->id, DEVICE_KEY_VERIFY, uri);
        return code == APP_OK ? assemble_key_make(device, r->id, uri, key) : code;
    }
    code = device_key_make(device, DEVICE_APPLICATION, r->id, DEVICE_KEY_VERIFY, uri);
    return code == APP_OK ? app_key_open(device->libctx, uri, key) : code;
}

static int send_request(struct device *device)
{
    const char *id = device->state.requests[DEVICE_APPLICATION].id;
    struct scms_app_request request = {.verify_key = NULL};
    char uri[512];
    int code = make_verify_key(device, &request.verify_key);

    if (code == APP_OK)
        code = device_key_make(device, DEVICE_APPLICATION, id, DEVICE_KEY_RESPONSE, uri);
    if (code == APP_OK)
        code = app_key_open(device->libctx, uri, &request.response_encryption_key);
    if (code == APP_OK)
        code = device_request_send(device, DEVICE_APPLICATION, build_tbs, &request);
    EVP_PKEY_free(request.verify_key);
    EVP_PKEY_free(request.response_encryption_key);
    return code;
}

/* ---- the download ---- */

static enum ee_status fetch(struct device *device, enum device_kind kind, const char *hash,
                            char *output, struct ee_error *error)
{
    char name[64], file[40];

    snprintf(file, sizeof(file), "%s.zip", hash);
    snprintf(name, sizeof(name), "request-%s.zip", device->state.requests[kind].id);
    return device_fetch(device, device_kind_info(kind)->service, file, name, 1u << 20, output,
                        error);
}

/* The file of an acknowledged request. */
static int collect(struct device *device)
{
    const struct device_request *request = &device->state.requests[DEVICE_APPLICATION];
    struct ee_error error = {.status = EE_OK};
    char output[DEVICE_PATH];
    enum ee_status status;
    int code = device_may_try(device);

    if (code != APP_OK)
        return code;
    status = fetch(device, DEVICE_APPLICATION, request->acked, output, &error);
    if (status != EE_OK)
        return device_exchange_failed(device, "the download", status, &error);
    code = device_install(device, output, request->acked);
    if (code != APP_OK)
        device_failed(device, "what the RA gave is no certificate that can be used");
    return code;
}

/* ---- the steps ---- */

static int request_step(struct device *device)
{
    char output[DEVICE_PATH];
    bool found = false;
    int code;

    if (device->ra == NULL) {
        app_error("there is no certificate of the RA");
        return APP_REFUSED;
    }
    code = device_request_find(device, DEVICE_APPLICATION, fetch, output, &found);
    if (code == APP_OK && found)
        return device_install(device, output, device->state.requests[DEVICE_APPLICATION].acked);
    return code == APP_OK ? send_request(device) : code;
}

static int application_step(struct device *device, int64_t *due)
{
    struct device_request *request = &device->state.requests[DEVICE_APPLICATION];
    char why[96];
    uint32_t now = 0;
    int code = APP_OK;

    *due = 0;
    if (device_now(device, &now) != APP_OK)
        return APP_REFUSED;
    if (request->id[0] != '\0' && request->acked[0] != '\0' &&
        now > request->download_time + (uint64_t)DEVICE_GIVE_UP) {
        app_error("the RA has not delivered what it acknowledged; it is asked anew");
        device_request_forget(device, DEVICE_APPLICATION);
        code = device_state_save(device);
    }
    if (code == APP_OK && request->id[0] != '\0' && device_policy_changed(device)) {
        code = device_now(device, &now); /* what a policy says depends on it */
        if (code != APP_OK)
            return code;
        app_error("the policy has changed since the request was made; it is made anew");
        device_request_forget(device, DEVICE_APPLICATION);
        code = device_state_save(device);
    }
    if (code == APP_OK && request->id[0] == '\0') {
        if (!device_wants_certificate(device, why, sizeof(why))) {
            if (!device_key_gone(device, device->state.key))
                return APP_OK;
            app_error("the key of the application certificate is not there any more: another "
                      "certificate is asked for");
        }
        device_policy_remember(device);
        code = device_request_new(device, DEVICE_APPLICATION);
    }
    if (code == APP_OK && request->acked[0] == '\0')
        code = request_step(device);
    if (code != APP_OK || request->id[0] == '\0')
        return code;
    if (device_now(device, &now) != APP_OK)
        return APP_REFUSED;
    if (now >= request->download_time)
        code = collect(device);
    if (code == APP_OK && request->id[0] != '\0')
        *due = dot2_time32_to_unix(request->download_time);
    return code;
}

/*
 * A kind that fails does not keep another from its turn, but for an RA that cannot be reached, and
 * the limits hold for all of them together. The first failure is the answer.
 */
int device_provision(struct device *device, int64_t *due)
{
    int result = APP_OK;

    *due = 0;
    for (int kind = DEVICE_APPLICATION; kind < DEVICE_KINDS; kind++) {
        int64_t next = 0;
        int code;

        if (!device->wants[kind])
            continue;
        code = kind == DEVICE_APPLICATION
                   ? application_step(device, &next)
                   : device_order_step(device, (enum device_kind)kind, &next);
        if (next != 0 && (*due == 0 || next < *due))
            *due = next;
        if (result == APP_OK)
            result = code;
        if (code == APP_UNREACHABLE || device_limit_ends(device) != 0)
            break;
    }
    return result;
}

void device_next_step(struct device *device, enum device_kind kind, char *text, size_t size,
                      bool *needed)
{
    const struct device_request *request = &device->state.requests[kind];
    char why[96], at[32];

    *needed = true;
    if (request->acked[0] != '\0') {
        snprintf(text, size, "download %s%s from %s on", request->acked,
                 kind == DEVICE_APPLICATION ? ".zip" : "_*.zip",
                 command_time(dot2_time32_to_unix(request->download_time), at));
        return;
    }
    if (request->hash_count > 0) {
        snprintf(text, size,
                 "look for the file of request %s, and else ask again: no acknowledgement came",
                 request->hashes[request->hash_count - 1]);
        return;
    }
    *needed = kind == DEVICE_APPLICATION ? device_wants_certificate(device, why, sizeof(why))
                                         : device_wants_order(device, kind, why, sizeof(why));
    if (*needed)
        snprintf(text, size, "ask for %s %s certificate%s: %s",
                 kind == DEVICE_APPLICATION ? "an"
                 : kind == DEVICE_PSEUDONYM ? "a batch of"
                                            : "the first of",
                 device_kind_info(kind)->name, kind == DEVICE_APPLICATION ? "" : "s", why);
    else
        snprintf(text, size, "%s", why);
}
