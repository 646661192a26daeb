/*
 * ee_request.c: a request to the RA, of any kind, from its ID to its acknowledgement.
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

#include <openssl/rand.h>

#include "apps/dot2hsm/ee_assemble.h"
#include "apps/dot2hsm/support.h"

const struct device_kind_info *device_kind_info(enum device_kind kind)
{
    static const struct device_kind_info kinds[DEVICE_KINDS] = {
        {"application", "application", SCMS_PROVISION_APP, DEVICE_CERTIFICATE},
        {"pseudonym", "batch", SCMS_PROVISION_PSEUDONYM, DEVICE_PSEUDONYMS},
        {"identification", "identity", SCMS_PROVISION_ID, DEVICE_IDENTIFICATIONS},
    };

    return &kinds[kind];
}

void device_request_forget(struct device *device, enum device_kind kind)
{
    struct device_request *request = &device->state.requests[kind];
    char uri[512];

    for (int i = DEVICE_KEY_VERIFY; request->id[0] != '\0' && i <= DEVICE_KEY_RESPONSE; i++) {
        if (device_key_uri(device, kind, request->id, (enum device_key)i, uri) != APP_OK)
            continue;
        device_obsolete(device, uri);
        if (kind == DEVICE_APPLICATION && i == DEVICE_KEY_VERIFY)
            assemble_obsolete(device, request->id, uri);
    }
    memset(request, 0, sizeof(*request));
}

int device_request_new(struct device *device, enum device_kind kind)
{
    struct device_request *request = &device->state.requests[kind];
    uint8_t octets[8];

    device_request_forget(device, kind);
    if (device_now(device, &request->made) != APP_OK)
        return APP_REFUSED;
    if (RAND_bytes(octets, sizeof(octets)) <= 0) {
        app_error_openssl("no random octets");
        return APP_REFUSED;
    }
    command_hex(octets, sizeof(octets), request->id);
    command_hex(dot2_cert_hashedid8(device->enrollment), 8, request->enrollment);
    return device_state_save(device);
}

/* ---- the exchange ---- */

struct sending {
    struct device *device;
    struct device_request *request;
};

/*
 * Once the RA has accepted a body it refuses all that come after it: so the name of one that it has
 * refused goes, and else that of the last, never that of an earlier one.
 */
static void make_room(struct device_request *r)
{
    unsigned i = 0;

    while (i < DEVICE_HASHES - 1 && !r->refused[i])
        i++;
    for (; i < DEVICE_HASHES - 1; i++) {
        memcpy(r->hashes[i], r->hashes[i + 1], sizeof(r->hashes[i]));
        r->refused[i] = r->refused[i + 1];
    }
    r->hash_count = DEVICE_HASHES - 1;
}

/* On disk before it is sent. */
static enum ee_status remember(void *arg, const uint8_t request_hash[8], struct ee_error *error)
{
    const struct sending *sending = arg;
    struct device_request *r = sending->request;

    if (r->hash_count == DEVICE_HASHES)
        make_room(r);
    r->refused[r->hash_count] = false;
    command_hex(request_hash, 8, r->hashes[r->hash_count++]);
    if (device_state_save(sending->device) == APP_OK)
        return EE_OK;
    snprintf(error->detail, sizeof(error->detail), "the state cannot be written");
    return EE_E_FILE;
}

int device_request_send(struct device *device, enum device_kind kind, ee_tbs_fn *build, void *arg)
{
    struct device_request *request = &device->state.requests[kind];
    struct sending sending = {device, request};
    const struct ee_provision provision = {.kind = device_kind_info(kind)->provision,
                                           .build = build,
                                           .build_arg = arg,
                                           .before = remember,
                                           .before_arg = &sending,
                                           .trust = device->trust};
    struct ee_error error;
    struct scms_ack ack;
    enum ee_status status;
    int code = device_may_try(device);

    if (code != APP_OK)
        return code;
    status = ee_provision(&device->config, &provision, &ack, &error);
    /* A connection that was closed without an answer may have been lost after the body came. */
    if (status == EE_E_REFUSED && error.http_status != 0)
        request->refused[request->hash_count - 1] = true;
    if (status != EE_OK)
        return device_exchange_failed(device, "the request", status, &error);
    command_hex(ack.request_hash, sizeof(ack.request_hash), request->acked);
    request->download_time = ack.download_time;
    return device_succeeded(device);
}

/* ---- downloads ---- */

enum ee_status device_fetch(struct device *device, const char *service, const char *name,
                            const char *as, uint64_t max, char *output, struct ee_error *error)
{
    struct ee_download download = {.path = ee_service_find(service)->path, .max_size = max};
    struct ee_download_result result;
    char canonical[32];

    download.output = device_path(device, as, output);
    if (ee_service_filename(ee_service_find(service), name, canonical) != EE_OK)
        return EE_E_ARGUMENT;
    download.filename = canonical;
    return ee_download(&device->config, &download, &result, error);
}

/* One look for a file of one of the bodies that were sent. */
static int look_once(struct device *device, enum device_kind kind, device_look_fn *look,
                     char *output, bool *found)
{
    struct device_request *request = &device->state.requests[kind];
    struct ee_error error = {.status = EE_OK};
    enum ee_status status;
    int code = device_may_try(device);

    for (unsigned i = request->hash_count; code == APP_OK && i-- > 0;) {
        status = look(device, kind, request->hashes[i], output, &error);
        if (status == EE_E_REFUSED)
            continue;
        if (status != EE_OK)
            return device_exchange_failed(device, "the download", status, &error);
        *found = true;
        memcpy(request->acked, request->hashes[i], sizeof(request->acked));
        if (device_now(device, &request->download_time) != APP_OK)
            return APP_REFUSED;
        return device_state_save(device);
    }
    return code == APP_OK ? device_failed(device, "no file for a request without an ack") : code;
}

/*
 * An RA that has accepted a request and failed to serve it refuses its key for as long as it
 * remembers it: after a day another key is asked with.
 */
static int renew(struct device *device, enum device_kind kind)
{
    uint32_t now = 0;

    if (device_now(device, &now) != APP_OK)
        return APP_REFUSED;
    if (now <= device->state.requests[kind].made + (uint64_t)DEVICE_GIVE_UP)
        return APP_OK;
    app_error("the RA has neither acknowledged the request nor delivered; it is made anew");
    return device_request_new(device, kind);
}

/*
 * Two looks, apart: an RA that has accepted one and answers at once has its file by then, and one
 * that answers later still has it pending and refuses another body. Only between a look and the
 * next body could it be accepted, answered and asked for again.
 */
int device_request_find(struct device *device, enum device_kind kind, device_look_fn *look,
                        char *output, bool *found)
{
    int code = APP_OK;

    *found = false;
    if (device->state.requests[kind].hash_count == 0)
        return APP_OK;
    for (int i = 0; code == APP_OK && !*found && i < 2; i++)
        code = look_once(device, kind, look, output, found);
    return code == APP_OK && !*found ? renew(device, kind) : code;
}
