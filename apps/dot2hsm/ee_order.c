/*
 * ee_order.c: pseudonym and identification certificates. One request is acknowledged, and from then
 * on the RA has batch after batch, without another request, for an order: the seed keys of the
 * request. What a killed run leaves is treated as in ee_request.c; a batch is installed when the
 * state names it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/dot2hsm/ee_assemble.h"
#include "apps/dot2hsm/support.h"

/* i = 0 of pseudonym certificates: Tuesday, 2015-01-06, 4:00 am Eastern; a week each. */
#define I_EPOCH_UNIX 1420534800
#define PSEUDONYM_PERIOD 604800u
/* Identification certificates are valid for 721 hours, an hour longer than their period. */
#define IDENTIFICATION_PERIOD (720u * 3600)
/* A batch that is not there is looked for again not before and not after so many seconds. */
#define AGAIN_MIN 60u
#define AGAIN_MAX (30u * 86400)

/* ---- whether a request is needed ---- */

/* HashedId8 of the enrollment certificate, which status and a dry run have not opened. */
static bool enrollment_id(const struct device *device, char id[DEVICE_ID])
{
    dot2_cert *cert = NULL;

    if (device->enrollment != NULL) {
        command_hex(dot2_cert_hashedid8(device->enrollment), 8, id);
        return true;
    }
    if (device_read_cert(device, device->certificate_path, &cert) != APP_OK)
        return false;
    command_hex(dot2_cert_hashedid8(cert), 8, id);
    dot2_cert_free(cert);
    return true;
}

bool device_wants_order(struct device *device, enum device_kind kind, char *why, size_t size)
{
    const struct device_order *order = &device->state.orders[kind];
    const uint64_t life = (uint64_t)device->seed_lifetime * 86400,
                   before = (uint64_t)device->renew_before * 3600;
    char id[DEVICE_ID], text[21];
    uint32_t now = 0;

    if (order->id[0] == '\0') {
        snprintf(why, size, "none were asked for");
        return true;
    }
    if (enrollment_id(device, id) && strcmp(order->enrollment, id) != 0) {
        snprintf(why, size, "the enrollment certificate is another one");
        return true;
    }
    dot2_time32_format(order->made, text);
    if (dot2_time32_now(&now) == DOT2_OK && now + before >= order->made + life) {
        snprintf(why, size, "the seed keys are of %s", text);
        return true;
    }
    dot2_time32_format(order->due, text);
    snprintf(why, size, "the next batch is looked for at %s", text);
    return false;
}

/* ---- the request ---- */

static enum dot2_status build_tbs(void *arg, uint8_t **tbs, size_t *size, struct dot2_error *cause)
{
    struct scms_butterfly_request *request = arg;
    enum dot2_status status = dot2_time32_now(&request->current_time);

    request->requested_start_time = request->current_time;
    return status == DOT2_OK ? scms_butterfly_request_build(request, tbs, size, cause) : status;
}

static int send_request(struct device *device, enum device_kind kind)
{
    struct scms_butterfly_request request = {.kind = device_kind_info(kind)->provision};
    struct device_seeds seeds;
    int code = device_seeds_make(device, kind, device->state.requests[kind].id, &seeds);

    if (code == APP_OK) {
        request.verify.seed_key = seeds.verify;
        request.response_encryption.seed_key = seeds.response;
        memcpy(request.verify.expansion, seeds.verify_expansion, sizeof(request.verify.expansion));
        memcpy(request.response_encryption.expansion, seeds.response_expansion,
               sizeof(request.response_encryption.expansion));
        code = device_request_send(device, kind, build_tbs, &request);
    }
    OPENSSL_cleanse(&request, sizeof(request));
    device_seeds_clear(&seeds);
    return code;
}

/* ---- the .info file ---- */

static enum ee_status fetch_info(struct device *device, enum device_kind kind, const char *hash,
                                 char *output, struct ee_error *error)
{
    char name[40];

    (void)kind;
    snprintf(name, sizeof(name), "%s.info", hash);
    return device_fetch(device, "info", name, "state.info", 4, output, error);
}

/* A single Time32: when the batch after those that are there is expected. */
static int read_info(const char *path, uint32_t *time32)
{
    uint8_t *octets = NULL;
    size_t size = 0;
    int code = app_file_read(path, 4, &octets, &size);

    if (code == APP_OK && size == 4) {
        *time32 = (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 |
                  octets[3];
    } else if (code == APP_OK) {
        app_error("the .info file is not a Time32");
        code = APP_REFUSED;
    }
    OPENSSL_free(octets);
    unlink(path);
    return code;
}

/* Nothing is there: when is it to be looked for again? A RA that does not say has failed. */
static int reschedule(struct device *device, enum device_kind kind, const char *hash, uint32_t *due)
{
    struct ee_error error = {.status = EE_OK};
    char output[DEVICE_PATH];
    enum ee_status status;
    uint32_t now = 0;
    int code = device_may_try(device);

    if (code != APP_OK)
        return code;
    status = fetch_info(device, kind, hash, output, &error);
    if (status != EE_OK)
        return device_exchange_failed(device, "the .info file", status, &error);
    code = read_info(output, due);
    if (code != APP_OK) {
        device_failed(device, "the .info file cannot be used");
        return code;
    }
    if (device_now(device, &now) != APP_OK)
        return APP_REFUSED;
    if (*due < now || *due - now < AGAIN_MIN)
        *due = now + AGAIN_MIN;
    if (*due - now > AGAIN_MAX)
        *due = now + AGAIN_MAX;
    return APP_OK;
}

/* ---- batches ---- */

const struct device_batch *device_batch_at(const struct device_state *s, enum device_kind kind,
                                           uint32_t time32)
{
    const struct device_batch *found = NULL;

    for (unsigned i = 0; i < s->batch_count; i++) {
        const struct device_batch *batch = &s->batches[i];

        if (batch->kind == kind && batch->start <= time32 && time32 <= batch->end &&
            (found == NULL || batch->start >= found->start))
            found = batch;
    }
    return found;
}

/* The period that a time lies in, as far as the device can know it. */
static uint32_t period_of(enum device_kind kind, uint32_t made, uint32_t time32)
{
    uint32_t from = made;

    if (kind == DEVICE_PSEUDONYM && dot2_time32_from_unix(I_EPOCH_UNIX, &from) != DOT2_OK)
        return 0;
    return time32 < from ? 0
                         : (time32 - from) / (kind == DEVICE_PSEUDONYM ? PSEUDONYM_PERIOD
                                                                       : IDENTIFICATION_PERIOD);
}

/* *got: the batch i was there; if its time is not over it is installed. order is not yet saved. */
static int one_batch(struct device *device, enum device_kind kind, struct device_order *order,
                     uint32_t i, bool *got)
{
    struct device_state *s = &device->state;
    struct device_batch wanted = {.kind = kind, .i = i};
    struct ee_error error = {.status = EE_OK};
    char output[DEVICE_PATH], file[40], name[64];
    enum ee_status status;
    bool over = false;
    int code = device_may_try(device);

    *got = false;
    if (code != APP_OK)
        return code;
    snprintf(wanted.id, sizeof(wanted.id), "%s", order->id);
    snprintf(file, sizeof(file), "%s_%" PRIX32 ".zip", order->hash, i);
    snprintf(name, sizeof(name), "request-%s.zip", order->id);
    status = device_fetch(device, device_kind_info(kind)->service, file, name, DEVICE_ZIP_MAX,
                          output, &error);
    if (status == EE_E_REFUSED)
        return APP_OK;
    if (status != EE_OK)
        return device_exchange_failed(device, "the download", status, &error);
    code = device_batch_install(device, &wanted, order->hash, output, &s->batches[s->batch_count],
                                &over);
    if (code == APP_UNREACHABLE) /* the token, which is no failure of the RA's */
        return code;
    if (code != APP_OK) {
        device_failed(device, "what the RA gave is no batch of certificates that can be used");
        return code;
    }
    *got = true;
    order->next = i + 1;
    if (over)
        return APP_OK;
    s->batch_count++;
    s->changed |= device_kind_info(kind)->changed;
    return APP_OK;
}

/*
 * The next batch. What is over is not asked for; where the numbers are not those that the device
 * thinks, one more is tried: the first after the request may be of the period that comes.
 */
static int next_batch(struct device *device, enum device_kind kind, struct device_order *order,
                      bool first, bool *got)
{
    uint32_t now = 0, expected, other;
    int code;

    if (device_now(device, &now) != APP_OK)
        return APP_REFUSED;
    expected = period_of(kind, order->made, now);
    if (kind == DEVICE_PSEUDONYM && order->next < expected)
        order->next = expected;
    other = order->next + (kind == DEVICE_PSEUDONYM && first ? 1 : 0);
    if (kind == DEVICE_IDENTIFICATION && expected > other)
        other = expected;
    code = one_batch(device, kind, order, order->next, got);
    if (code == APP_OK && !*got && other != order->next)
        code = one_batch(device, kind, order, other, got);
    return code;
}

/* All that are there, each in the state before the next is asked for. */
static int more_batches(struct device *device, enum device_kind kind)
{
    struct device_state *s = &device->state;
    struct device_order *order = &s->orders[kind];
    bool got = true;
    int code = APP_OK;

    while (code == APP_OK && got && s->batch_count < DEVICE_BATCHES) {
        code = next_batch(device, kind, order, false, &got);
        if (code == APP_OK && got)
            code = device_state_save(device);
    }
    if (code == APP_OK && s->batch_count == DEVICE_BATCHES) {
        if (device_now(device, &order->due) != APP_OK)
            return APP_REFUSED;
        order->due += AGAIN_MAX;
    } else if (code == APP_OK) {
        code = reschedule(device, kind, order->hash, &order->due);
    }
    return code == APP_OK ? device_state_save(device) : code;
}

/* ---- the steps ---- */

/* The order that was: its certificates stay until their end, its keys are needed no more. */
static void replace_order(struct device *device, enum device_kind kind,
                          const struct device_order *order)
{
    struct device_order *old = &device->state.orders[kind];
    char uri[512];

    if (old->id[0] != '\0' &&
        device_key_uri(device, kind, old->id, DEVICE_KEY_RESPONSE, uri) == APP_OK)
        device_obsolete(device, uri);
    if (old->id[0] != '\0' &&
        device_key_uri(device, kind, old->id, DEVICE_KEY_VERIFY, uri) == APP_OK)
        assemble_obsolete(device, old->id, uri);
    *old = *order;
    memset(&device->state.requests[kind], 0, sizeof(device->state.requests[kind]));
}

/* The first batch makes an order of the request. *due: when it is to be looked for. */
static int first_batch(struct device *device, enum device_kind kind, int64_t *due)
{
    struct device_request *request = &device->state.requests[kind];
    struct device_order order = {.made = request->made};
    uint32_t now = 0;
    bool got = false;
    int code;

    if (device_now(device, &now) != APP_OK)
        return APP_REFUSED;
    if (now < request->download_time) {
        *due = dot2_time32_to_unix(request->download_time);
        return APP_OK;
    }
    if (device->state.batch_count == DEVICE_BATCHES) {
        app_error("%u batches are installed; there is no room for another", DEVICE_BATCHES);
        return APP_REFUSED;
    }
    snprintf(order.id, sizeof(order.id), "%s", request->id);
    snprintf(order.hash, sizeof(order.hash), "%s", request->acked);
    snprintf(order.enrollment, sizeof(order.enrollment), "%s", request->enrollment);
    code = next_batch(device, kind, &order, true, &got);
    if (code == APP_OK && got) {
        order.due = now;
        replace_order(device, kind, &order);
        code = device_state_save(device);
        return code == APP_OK ? device_clean(device) : code;
    }
    if (code == APP_OK)
        code = reschedule(device, kind, request->acked, &request->download_time);
    if (code == APP_OK) {
        *due = dot2_time32_to_unix(request->download_time);
        code = device_state_save(device);
    }
    return code;
}

static int request_step(struct device *device, enum device_kind kind)
{
    char output[DEVICE_PATH];
    bool found = false;
    int code;

    if (device->ra == NULL) {
        app_error("there is no certificate of the RA");
        return APP_REFUSED;
    }
    code = device_request_find(device, kind, fetch_info, output, &found);
    if (code == APP_OK && found) {
        unlink(output);
        return APP_OK;
    }
    return code == APP_OK ? send_request(device, kind) : code;
}

/* A request that leads to nothing any more. */
static int drop_request(struct device *device, enum device_kind kind, uint32_t now)
{
    const struct device_request *request = &device->state.requests[kind];
    char id[DEVICE_ID];

    if (request->id[0] == '\0')
        return APP_OK;
    if (request->acked[0] != '\0' && now > request->download_time + (uint64_t)DEVICE_GIVE_UP)
        app_error("the RA has not delivered what it acknowledged; it is asked anew");
    else if (enrollment_id(device, id) && strcmp(id, request->enrollment) == 0)
        return APP_OK;
    device_request_forget(device, kind);
    return device_state_save(device);
}

int device_order_step(struct device *device, enum device_kind kind, int64_t *due)
{
    struct device_state *s = &device->state;
    char why[96], id[DEVICE_ID];
    uint32_t now = 0;
    int code;

    *due = 0;
    if (device_now(device, &now) != APP_OK)
        return APP_REFUSED;
    code = drop_request(device, kind, now);
    if (code == APP_OK && s->requests[kind].id[0] == '\0' &&
        device_wants_order(device, kind, why, sizeof(why)))
        code = device_request_new(device, kind);
    if (code == APP_OK && s->requests[kind].id[0] != '\0' && s->requests[kind].acked[0] == '\0')
        code = request_step(device, kind);
    if (code == APP_OK && s->requests[kind].acked[0] != '\0')
        code = first_batch(device, kind, due);
    /*
     * The order that there is delivers, whatever becomes of a request for its successor; but its
     * files are for the enrollment certificate that it was made under.
     */
    if (code != APP_UNREACHABLE && enrollment_id(device, id) &&
        strcmp(s->orders[kind].enrollment, id) == 0 && device_now(device, &now) == APP_OK &&
        now >= s->orders[kind].due) {
        int more = more_batches(device, kind);

        code = code == APP_OK ? more : code;
    }
    return code;
}
