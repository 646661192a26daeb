/*
 * provision.c: is this request for certificates accepted, and what is said to the device?
 *
 * A function of octets, clock, trust, store and keys: no socket, no file. What the peer sent is
 * looked at in the seed's order, and whatever does not need to be known before the signature is not
 * looked at before it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/ra/decide.h"
#include "protocol/ra/permitted.h"

static const struct {
    enum scms_provision kind;
    EndEntityRaInterfacePDU_PR alternative;
    const char *name;
} kinds[] = {
    {SCMS_PROVISION_APP, EndEntityRaInterfacePDU_PR_eeRaAppCertProvisioningRequest,
     "EeRaAppCertProvisioningRequest"},
    {SCMS_PROVISION_ID, EndEntityRaInterfacePDU_PR_eeRaIdCertProvisioningRequest,
     "EeRaIdCertProvisioningRequest"},
    {SCMS_PROVISION_PSEUDONYM, EndEntityRaInterfacePDU_PR_eeRaPseudonymCertProvisioningRequest,
     "EeRaPseudonymCertProvisioningRequest"},
};

static const CommonProvisioningRequestFields_t *common_of(const EndEntityRaInterfacePDU_t *pdu,
                                                          enum scms_provision kind)
{
    switch (kind) {
    case SCMS_PROVISION_APP:
        return &pdu->choice.eeRaAppCertProvisioningRequest.common;
    case SCMS_PROVISION_ID:
        return &pdu->choice.eeRaIdCertProvisioningRequest.common;
    case SCMS_PROVISION_PSEUDONYM:
        return &pdu->choice.eeRaPseudonymCertProvisioningRequest.common;
    }
    return NULL;
}

/* Is it this service's request? If so, when was it made? */
static enum ra_reason read_pdu(const ScmsPDU_t *pdu, enum scms_provision kind,
                               struct ra_decision *decision)
{
    const EndEntityRaInterfacePDU_t *interface = &pdu->content.choice.ee_ra;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind != kind)
            continue;
        if (pdu->content.present == ScmsPDUContent_PR_ee_ra &&
            interface->present == kinds[i].alternative) {
            decision->timestamp = (uint32_t)common_of(interface, kind)->current_time;
            return RA_ALLOWED;
        }
        ra_say(&decision->error, "ScmsPDU.content", "");
        snprintf(decision->error.detail, sizeof decision->error.detail, "not an %s", kinds[i].name);
    }
    return RA_PDU;
}

/* The point by which a request is known again. A longer one is known by a hash. */
static enum dot2_status key_name(const dot2_crypto *crypto, const struct scms_request_head *head,
                                 uint8_t name[33])
{
    enum dot2_status status;
    uint8_t hash[48];

    if (head->point_size == 33) {
        memcpy(name, head->verify_point, 33);
        return DOT2_OK;
    }
    status = dot2_hash(crypto, DOT2_CURVE_P256, head->verify_point, head->point_size, hash);
    name[0] = 0xff;
    memcpy(name + 1, hash, 32);
    return status;
}

/* All keys of the request, each checked to be on its curve. */
static enum ra_reason read_keys(const struct ra_authorise *in, enum scms_provision kind,
                                const ScmsPDU_t *pdu, uint8_t name[33], uint32_t *start,
                                struct dot2_error *error)
{
    struct scms_request_head head = {.point_size = 0};
    enum dot2_status status = kind == SCMS_PROVISION_APP
                                  ? scms_app_request_check(in->crypto, pdu, &head, error)
                                  : scms_butterfly_request_check(in->crypto, pdu, &head, error);

    *start = head.requested_start_time;
    if (status == DOT2_OK)
        status = key_name(in->crypto, &head, name);
    if (status == DOT2_OK)
        return RA_ALLOWED;
    if (ra_is_internal(status))
        return RA_INTERNAL;
    return status == DOT2_E_POINT || status == DOT2_E_ALGORITHM ? RA_REQUEST_KEY : RA_PDU;
}

/* Where the tolerance is wider than what the policy lets a request be old. */
static enum ra_reason check_age(const struct ra_authorise *in, const struct ra_provision *provision,
                                uint32_t made, struct dot2_error *error)
{
    if (provision->max_request_age == 0 || made > in->now ||
        in->now - made <= provision->max_request_age)
        return RA_ALLOWED;
    ra_say(error, "CommonProvisioningRequestFields.current-time", "");
    snprintf(error->detail, sizeof error->detail,
             "%" PRIu32 " s behind, MaxCertRequestAge of the policy is %" PRIu32 " s",
             in->now - made, provision->max_request_age);
    return RA_TIME;
}

static enum ra_reason check_start(const struct ra_authorise *in,
                                  const struct ra_provision *provision,
                                  const struct ra_requester *who, uint32_t start,
                                  struct dot2_error *error)
{
    int64_t ahead = (int64_t)start - (int64_t)in->now;

    ra_say(error, "CommonProvisioningRequestFields.requested-start-time", "");
    if (ahead > (int64_t)provision->start_future || -ahead > (int64_t)provision->start_past) {
        snprintf(error->detail, sizeof error->detail,
                 "%" PRId64 " s from now, allowed are -%" PRIu32 " to %" PRIu32, ahead,
                 provision->start_past, provision->start_future);
        return RA_START_TIME;
    }
    if (provision->max_supply != 0 && ahead > (int64_t)provision->max_supply) {
        snprintf(error->detail, sizeof error->detail,
                 "%" PRId64 " s from now, MaxAvailableCertSupply of the policy is %" PRIu32 " s",
                 ahead, provision->max_supply);
        return RA_START_TIME;
    }
    if (start > who->chain.end) {
        snprintf(error->detail, sizeof error->detail,
                 "after the end of the enrollment certificate");
        return RA_START_TIME;
    }
    error->field[0] = '\0';
    return RA_ALLOWED;
}

/*
 * What is sent decides nothing here: a device whose explicit certificate is sent with n - s for s
 * has another hash and is the same device.
 */
static void set_requester(struct ra_request *request, const struct ra_requester *who)
{
    const uint8_t *hash = who->hashes[0];

    if (who->count == 2 && memcmp(who->hashes[1], hash, who->hash_size) < 0)
        hash = who->hashes[1];
    memcpy(request->requester, hash, who->hash_size);
    request->requester_size = who->hash_size;
}

static enum ra_reason check_tries(const struct ra_authorise *in,
                                  const struct ra_provision *provision,
                                  const struct ra_request *request, struct dot2_error *error)
{
    bool too_many = false;

    if (ra_request_tries(in->store, request->requester, request->requester_size, request->received,
                         &provision->limits, &too_many) != RA_STORE_OK) {
        ra_say_store(error, in->store);
        return RA_STORE;
    }
    return too_many ? RA_TOO_MANY : RA_ALLOWED;
}

/* What the request asks for, after who asks is known. Fills in what the store keeps of it. */
static enum ra_reason check_wish(const struct ra_authorise *in,
                                 const struct ra_provision *provision,
                                 const struct ra_requester *who, struct ra_request *request,
                                 uint32_t made, struct dot2_error *error)
{
    uint32_t start = 0;
    enum dot2_status status;
    enum ra_reason reason = check_tries(in, provision, request, error);

    if (reason == RA_ALLOWED)
        reason = check_age(in, provision, made, error);
    if (reason == RA_ALLOWED)
        reason = read_keys(in, request->kind, who->request.pdu, request->verify_key, &start, error);
    if (reason != RA_ALLOWED)
        return reason;
    status = ra_permitted(in->crypto, who->request.cert, provision->psids, provision->psid_count,
                          request->permissions);
    if (status != DOT2_OK) {
        ra_say(error, "Certificate.toBeSigned.certRequestPermissions",
               status == DOT2_E_MEMORY ? "out of memory"
                                       : "no PSID that this service gives certificates for");
        return status == DOT2_E_MEMORY ? RA_INTERNAL : RA_PERMISSION;
    }
    return check_start(in, provision, who, start, error);
}

static enum ra_reason make_ack(const struct ra_authorise *in, const struct ra_provision *provision,
                               const struct ra_request *request, uint8_t **ack, size_t *ack_size,
                               struct dot2_error *error)
{
    const struct ra_key *key = ra_keys_newest(in->keys, in->now);
    struct scms_ack reply = {.kind = request->kind, .download_time = request->download_time};

    if (key == NULL) {
        ra_say(error, "ra-key", "no certificate of the RA that signs is valid now");
        return RA_INTERNAL;
    }
    memcpy(reply.request_hash, request->hash + 24, sizeof reply.request_hash);
    snprintf(reply.url, sizeof reply.url, "%s", provision->url);
    return scms_ack_build(in->crypto, key->sign, key->cert, &reply, ack, ack_size, error) == DOT2_OK
               ? RA_ALLOWED
               : RA_INTERNAL;
}

static enum ra_reason accept_request(const struct ra_authorise *in,
                                     const struct ra_provision *provision,
                                     const struct ra_request *request, struct dot2_error *error)
{
    enum ra_request_verdict verdict = RA_REQUEST_TOO_MANY;

    if (ra_request_accept(in->store, request, &provision->limits, &verdict) != RA_STORE_OK) {
        ra_say_store(error, in->store);
        return RA_STORE;
    }
    switch (verdict) {
    case RA_REQUEST_ACCEPTED:
        return RA_ALLOWED;
    case RA_REQUEST_DUPLICATE:
        return RA_DUPLICATE;
    case RA_REQUEST_MULTIPLE:
        return RA_MULTIPLE;
    case RA_REQUEST_TOO_MANY:
        break;
    }
    return RA_TOO_MANY;
}

/* From the octets of the signed request on. */
static enum ra_reason decide(const struct ra_authorise *in, const struct ra_provision *provision,
                             struct ra_request *request, struct ra_requester *who,
                             struct ra_decision *decision, uint8_t **ack, size_t *ack_size)
{
    struct dot2_error *error = &decision->error;
    enum ra_reason reason = ra_requester_parse(in, request->signed_request,
                                               request->signed_request_size, who, decision);

    if (reason == RA_ALLOWED)
        reason = read_pdu(who->request.pdu, request->kind, decision);
    if (reason == RA_ALLOWED)
        reason =
            ra_requester_check(in, "CommonProvisioningRequestFields.current-time", who, decision);
    if (reason != RA_ALLOWED)
        return reason;
    set_requester(request, who);
    request->certificate = dot2_cert_octets(who->request.cert, &request->certificate_size);
    reason = check_wish(in, provision, who, request, decision->timestamp, error);
    if (reason == RA_ALLOWED)
        reason = make_ack(in, provision, request, ack, ack_size, error);
    if (reason == RA_ALLOWED)
        return accept_request(in, provision, request, error);
    /* Only now is it known whose try it was: before the signature anybody could use them up. */
    if (reason != RA_INTERNAL && reason != RA_STORE && reason != RA_TOO_MANY &&
        ra_request_count_try(in->store, request->requester, request->requester_size,
                             request->received) != RA_STORE_OK) {
        ra_say_store(error, in->store);
        return RA_STORE;
    }
    return reason;
}

static enum ra_reason open_body(const struct ra_authorise *in, const uint8_t *body, size_t size,
                                uint8_t **octets, size_t *octets_size, struct dot2_error *error)
{
    switch (scms_form_of(body, size)) {
    case SCMS_FORM_ENCRYPTED:
        if (in->keys != NULL)
            return ra_open_secured(in, body, size, octets, octets_size, error);
        ra_say(error, "ra-key", "there is none");
        return RA_INTERNAL;
    case SCMS_FORM_OTHER:
        ra_say(error, "Ieee1609Dot2Data", "not an Ieee1609Dot2Data");
        return RA_REQUEST_MALFORMED;
    default:
        ra_say(error, "Ieee1609Dot2Data.content", "not encrypted");
        return RA_NOT_ENCRYPTED;
    }
}

static enum dot2_status hash_body(const struct ra_authorise *in, const uint8_t *body, size_t size,
                                  struct ra_request *request)
{
    uint8_t hash[48];
    enum dot2_status status = dot2_hash(in->crypto, DOT2_CURVE_P256, body, size, hash);

    if (status == DOT2_OK)
        memcpy(request->hash, hash, sizeof request->hash);
    return status;
}

struct ra_provision ra_provision_default(void)
{
    return (struct ra_provision){
        .start_past = 86400,
        .start_future = 30 * 86400,
        .certificate_delay = 3600,
        /* "more than 10 retries in 60 minutes": the only published figures. */
        .limits = {.retention = (int64_t)30 * 86400,
                   .max_requests = 10,
                   .window = 3600,
                   .one_application = true},
    };
}

enum ra_reason ra_authorise_provision(const struct ra_authorise *in,
                                      const struct ra_provision *provision,
                                      enum scms_provision kind, const uint8_t *body, size_t size,
                                      struct ra_decision *decision, uint8_t **ack, size_t *ack_size)
{
    struct ra_request request = {.kind = kind, .state = RA_REQUEST_PENDING};
    struct ra_requester who = {.count = 0};
    uint8_t *octets = NULL;

    *ack = NULL;
    *ack_size = 0;
    memset(decision, 0, sizeof *decision);
    request.received = dot2_time32_to_unix(in->now);
    request.download_time = provision->certificate_delay > UINT32_MAX - in->now
                                ? UINT32_MAX
                                : in->now + provision->certificate_delay;
    decision->reason =
        open_body(in, body, size, &octets, &request.signed_request_size, &decision->error);
    request.signed_request = octets;
    if (decision->reason == RA_ALLOWED && hash_body(in, body, size, &request) != DOT2_OK)
        decision->reason = RA_INTERNAL;
    if (decision->reason == RA_ALLOWED)
        decision->reason = decide(in, provision, &request, &who, decision, ack, ack_size);
    if (decision->reason == RA_ALLOWED) {
        for (size_t i = 0; i < 8; i++)
            snprintf(decision->request_hash + 2 * i, 3, "%02X", (unsigned)request.hash[24 + i]);
    } else {
        OPENSSL_free(*ack);
        *ack = NULL;
        *ack_size = 0;
    }
    decision->code = ra_reason_code(decision->reason);
    ra_requester_clear(&who);
    OPENSSL_clear_free(octets, request.signed_request_size);
    return decision->reason;
}
