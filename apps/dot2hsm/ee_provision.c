/*
 * ee_provision.c: an application certificate, from the request to its installation (use case 13).
 *
 * A run can be killed between any two steps. The request's ID is on disk before its keys are made,
 * and the hash of a body is on disk before its first octet is sent: whatever the RA has got, the
 * next run knows its name. A body that was sent and not acknowledged may have been accepted or not;
 * the next run asks for its file, and if there is none sends a new body with the same key, which an
 * RA that has accepted the first refuses as a duplicate.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/rand.h>

#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/support.h"

#define SERVICE "application"
/* Seconds after certDLTime after which a file that did not come is no longer waited for. */
#define GIVE_UP 86400

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
    } else if (dot2_cert_end(cert) - now <= (uint64_t)device->renew_before * 3600) {
        snprintf(why, size, "the application certificate ends at %s", text);
    } else {
        snprintf(why, size, "the application certificate is valid until %s", text);
        wants = false;
    }
    dot2_cert_free(cert);
    return wants;
}

static void forget_request(struct device *device)
{
    struct device_state *s = &device->state;
    char uri[512];

    for (int i = DEVICE_KEY_VERIFY; s->id[0] != '\0' && i <= DEVICE_KEY_RESPONSE; i++) {
        if (device_key_uri(device, (enum device_key)i, uri) == APP_OK)
            device_obsolete(device, uri);
    }
    s->id[0] = s->acked[0] = '\0';
    s->hash_count = 0;
    s->download_time = 0;
}

static int new_request(struct device *device)
{
    uint8_t octets[8];

    if (RAND_bytes(octets, sizeof(octets)) <= 0) {
        app_error_openssl("no random octets");
        return APP_REFUSED;
    }
    forget_request(device);
    command_hex(octets, sizeof(octets), device->state.id);
    return device_state_save(device);
}

/* ---- the request ---- */

struct body {
    struct device *device;
    EVP_PKEY *verify, *response;
};

/* The ScmsPDU; its size does not depend on the time. */
static enum dot2_status build_tbs(const struct body *body, uint8_t **tbs, size_t *size,
                                  struct dot2_error *cause)
{
    struct scms_app_request request = {.verify_key = body->verify,
                                       .response_encryption_key = body->response};
    enum dot2_status status = dot2_time32_now(&request.current_time);

    request.requested_start_time = request.current_time;
    return status == DOT2_OK ? scms_app_request_build(&request, tbs, size, cause) : status;
}

/* On disk before it is sent. */
static enum ee_status remember(struct device *device, const uint8_t *octets, size_t size,
                               struct ee_error *error)
{
    struct device_state *s = &device->state;
    uint8_t hash[48];

    if (dot2_hash(device->crypto, DOT2_CURVE_P256, octets, size, hash) != DOT2_OK)
        return EE_E_SIGN;
    if (s->hash_count == DEVICE_HASHES) {
        memmove(s->hashes[0], s->hashes[1], (DEVICE_HASHES - 1) * sizeof(s->hashes[0]));
        s->hash_count--;
    }
    command_hex(hash + 24, 8, s->hashes[s->hash_count++]);
    if (device_state_save(device) == APP_OK)
        return EE_OK;
    snprintf(error->detail, sizeof(error->detail), "the state cannot be written");
    return EE_E_FILE;
}

static enum ee_status build_body(void *arg, uint8_t **octets, size_t *size, struct ee_error *error)
{
    struct body *body = arg;
    const struct device *device = body->device;
    struct dot2_error cause = {.status = DOT2_OK};
    uint8_t *tbs = NULL, *request = NULL;
    size_t tbs_size = 0, request_size = 0;
    enum ee_status status;

    cause.status = build_tbs(body, &tbs, &tbs_size, &cause);
    if (cause.status == DOT2_OK)
        cause.status =
            scms_signed_request_build(device->crypto, device->enrollment_key, device->enrollment,
                                      tbs, tbs_size, &request, &request_size, &cause);
    if (cause.status == DOT2_OK)
        cause.status = scms_secured_build(device->crypto, device->ra, request, request_size, octets,
                                          size, &cause);
    OPENSSL_free(tbs);
    OPENSSL_free(request);
    status = cause.status == DOT2_OK ? EE_OK : ee_body_failed(&cause, error);
    return status == EE_OK ? remember(body->device, *octets, *size, error) : status;
}

/* The certDLURL must lead to this RA: what is sent there is signed (protocol part 3, row 17). */
static bool leads_to_ra(const struct device *device, const char *url)
{
    char host[256];
    size_t length;

    device_ra_host(device, host);
    length = strlen(host);
    if (strncasecmp(url, "https://", 8) != 0)
        return false;
    url += url[8] == '[' ? 9 : 8;
    return strncasecmp(url, host, length) == 0 &&
           (url[length] == '\0' || strchr("]:/", url[length]) != NULL);
}

static int take_ack(struct device *device, const struct ee_post_result *result)
{
    struct device_state *s = &device->state;
    struct dot2_error error = {.status = DOT2_OK};
    struct scms_ack ack;
    uint32_t now = 0;

    if (dot2_time32_now(&now) != DOT2_OK ||
        scms_ack_open(device->trust, device->ra, now, result->body, result->size, &ack, &error) !=
            DOT2_OK) {
        command_error("the RA's acknowledgement", &error);
        return APP_REFUSED;
    }
    if (ack.kind != SCMS_PROVISION_APP ||
        memcmp(ack.request_hash, result->request_hash, sizeof(ack.request_hash)) != 0) {
        app_error("the RA's acknowledgement is not of this request");
        return APP_REFUSED;
    }
    if (!leads_to_ra(device, ack.url)) {
        app_error("the RA's acknowledgement leads to another place than the RA");
        return APP_REFUSED;
    }
    command_hex(ack.request_hash, sizeof(ack.request_hash), s->acked);
    s->download_time = ack.download_time;
    return device_succeeded(device);
}

static int send_request(struct device *device)
{
    struct body body = {.device = device};
    struct ee_post post = {
        .path = "/provision-application-certificate", .build = build_body, .build_arg = &body};
    struct dot2_error cause = {.status = DOT2_OK};
    struct ee_post_result result = {.body = NULL};
    struct ee_error error;
    char uri[512];
    uint8_t *tbs = NULL;
    size_t tbs_size = 0;
    enum ee_status status;
    int code = device_key_make(device, DEVICE_KEY_VERIFY, uri);

    if (code == APP_OK)
        code = app_key_open(device->libctx, uri, &body.verify);
    if (code == APP_OK)
        code = device_key_make(device, DEVICE_KEY_RESPONSE, uri);
    if (code == APP_OK)
        code = app_key_open(device->libctx, uri, &body.response);
    if (code == APP_OK && build_tbs(&body, &tbs, &tbs_size, &cause) != DOT2_OK) {
        command_error("the request", &cause);
        code = APP_REFUSED;
    }
    if (code == APP_OK)
        code = device_may_try(device);
    if (code != APP_OK)
        goto out;
    post.size = scms_secured_size(
        scms_signed_request_size(device->enrollment_key, device->enrollment, tbs_size));
    status = ee_post(&device->config, &post, &result, &error);
    if (status != EE_OK) {
        code = device_exchange_failed(device, "the request", status, &error);
    } else {
        code = take_ack(device, &result);
        if (code != APP_OK)
            device_failed(device, "the RA's acknowledgement cannot be used");
    }
out:
    ee_post_result_clear(&result);
    OPENSSL_free(tbs);
    EVP_PKEY_free(body.verify);
    EVP_PKEY_free(body.response);
    return code;
}

/* ---- the download ---- */

static enum ee_status fetch(struct device *device, const char *hash, char *output,
                            struct ee_error *error)
{
    struct ee_download download = {.path = ee_service_find(SERVICE)->path, .max_size = 1u << 20};
    struct ee_download_result result;
    char name[64], given[40], canonical[32];

    snprintf(given, sizeof(given), "%s.zip", hash);
    snprintf(name, sizeof(name), "request-%s.zip", device->state.id);
    download.output = device_path(device, name, output);
    if (ee_service_filename(ee_service_find(SERVICE), given, canonical) != EE_OK)
        return EE_E_ARGUMENT;
    download.filename = canonical;
    return ee_download(&device->config, &download, &result, error);
}

/* The file of an acknowledged request. */
static int collect(struct device *device)
{
    struct device_state *s = &device->state;
    struct ee_error error = {.status = EE_OK};
    char output[DEVICE_PATH];
    enum ee_status status;
    int code = device_may_try(device);

    if (code != APP_OK)
        return code;
    status = fetch(device, s->acked, output, &error);
    if (status != EE_OK)
        return device_exchange_failed(device, "the download", status, &error);
    code = device_install(device, output, s->acked);
    if (code != APP_OK)
        device_failed(device, "what the RA gave is no certificate that can be used");
    return code;
}

/* One look for a file of one of the bodies that were sent. */
static int look(struct device *device, bool *found)
{
    struct device_state *s = &device->state;
    struct ee_error error = {.status = EE_OK};
    char output[DEVICE_PATH];
    enum ee_status status;
    int code = device_may_try(device);

    for (unsigned i = s->hash_count; code == APP_OK && i-- > 0;) {
        status = fetch(device, s->hashes[i], output, &error);
        if (status == EE_E_REFUSED)
            continue;
        if (status != EE_OK)
            return device_exchange_failed(device, "the download", status, &error);
        *found = true;
        snprintf(s->acked, sizeof(s->acked), "%s", s->hashes[i]);
        code = device_state_save(device);
        return code == APP_OK ? device_install(device, output, s->acked) : code;
    }
    return code == APP_OK ? device_failed(device, "no file for a request without an ack") : code;
}

/*
 * Bodies were sent, and no ack came. Two looks, apart: an RA that has accepted one and answers at
 * once has its file by then, and one that answers later still has it pending and refuses another
 * body. Only between a look and the next body could it be accepted, answered and asked for again.
 */
static int collect_unacknowledged(struct device *device, bool *found)
{
    int code = APP_OK;

    *found = false;
    for (int i = 0; code == APP_OK && !*found && device->state.hash_count > 0 && i < 2; i++)
        code = look(device, found);
    return code;
}

/* ---- the steps ---- */

static int request_step(struct device *device)
{
    bool found = false;
    int code;

    if (device->ra == NULL) {
        app_error("there is no certificate of the RA");
        return APP_REFUSED;
    }
    code = collect_unacknowledged(device, &found);
    return code != APP_OK || found ? code : send_request(device);
}

int device_provision(struct device *device, int64_t *due)
{
    struct device_state *s = &device->state;
    char why[96];
    uint32_t now = 0;
    int code = APP_OK;

    *due = 0;
    if (dot2_time32_now(&now) != DOT2_OK)
        return APP_REFUSED;
    if (s->id[0] != '\0' && s->acked[0] != '\0' && now > s->download_time + (uint64_t)GIVE_UP) {
        app_error("the RA has not delivered what it acknowledged; it is asked anew");
        forget_request(device);
        code = device_state_save(device);
    }
    if (code == APP_OK && s->id[0] == '\0') {
        if (!device_wants_certificate(device, why, sizeof(why)))
            return APP_OK;
        code = new_request(device);
    }
    if (code == APP_OK && s->acked[0] == '\0')
        code = request_step(device);
    if (code != APP_OK || s->id[0] == '\0')
        return code;
    if (dot2_time32_now(&now) != DOT2_OK || now < s->download_time) {
        *due = dot2_time32_to_unix(s->download_time);
        return APP_OK;
    }
    return collect(device);
}
