/* ee_application.c: the RA's certificate, and application certificates from request to response. */
#include "api/ee.h"

#include <string.h>

#include <openssl/crypto.h>

dot2hsm_status dot2hsm_ee_ra_certificate(const dot2hsm_ee *ee, dot2hsm_trust *trust,
                                         dot2hsm_cert **cert, dot2hsm_error *error)
{
    struct ee_error cause = {.status = EE_OK};
    struct api_sigpipe sigpipe;
    dot2_cert *inner = NULL;
    uint32_t now = DOT2HSM_NOW;
    enum ee_status status;

    api_begin(error);
    if (cert != NULL)
        *cert = NULL;
    if (ee == NULL || trust == NULL || cert == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    if (api_trust_use(trust, &now) != DOT2_OK)
        return api_fail(error, DOT2HSM_E_TIME, NULL);
    api_sigpipe_block(&sigpipe);
    status = ee_ra_certificate(&ee->config, trust->trust, &inner, &cause);
    api_sigpipe_restore(&sigpipe);
    return status == EE_OK ? api_cert_wrap(ee->ctx, inner, cert, error)
                           : api_ee_result(error, status, &cause);
}

/* ---- a request ---- */

static enum dot2_status build_tbs(void *arg, uint8_t **tbs, size_t *size, struct dot2_error *cause)
{
    const struct dot2hsm_application *application = arg;
    struct scms_app_request request = {.verify_key = application->verify_key->evp,
                                       .response_encryption_key = application->response_key->evp,
                                       .requested_start_time = application->start_time};
    enum dot2_status status = dot2_time32_now(&request.current_time);

    if (request.requested_start_time == 0)
        request.requested_start_time = request.current_time;
    return status == DOT2_OK ? scms_app_request_build(&request, tbs, size, cause) : status;
}

static enum ee_status before(void *arg, const uint8_t request_hash[8], struct ee_error *error)
{
    const struct dot2hsm_application *application = arg;

    if (application->before == NULL ||
        application->before(application->before_arg, request_hash) != 0)
        return EE_OK;
    error->status = EE_E_ABORTED;
    return EE_E_ABORTED;
}

static dot2hsm_status take_application(const dot2hsm_ee *ee,
                                       const struct dot2hsm_application *application,
                                       struct dot2hsm_application *taken, dot2hsm_error *error)
{
    if (!api_take(taken, sizeof(*taken), application, sizeof(*taken)))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "application: size is wrong");
    if (taken->verify_key == NULL || taken->response_key == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "there is no verify_key, or no response_key");
    if (ee->config.enrollment_key == NULL || ee->config.ra_certificate == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT,
                        "the end entity has no enrollment, or no ra_certificate");
    return DOT2HSM_OK;
}

static void give_ack(struct dot2hsm_ack *ack, const struct scms_ack *inner)
{
    struct dot2hsm_ack told = {.download_time = inner->download_time};

    memcpy(told.request_hash, inner->request_hash, sizeof(told.request_hash));
    memcpy(told.url, inner->url, sizeof(told.url));
    api_give(ack, &told, sizeof(told));
}

dot2hsm_status dot2hsm_ee_request_application(const dot2hsm_ee *ee, dot2hsm_trust *trust,
                                              const struct dot2hsm_application *application,
                                              struct dot2hsm_ack *ack, dot2hsm_error *error)
{
    struct dot2hsm_application taken;
    struct ee_provision provision = {.kind = SCMS_PROVISION_APP,
                                     .build = build_tbs,
                                     .build_arg = &taken,
                                     .before = before,
                                     .before_arg = &taken};
    struct ee_error cause = {.status = EE_OK};
    struct api_sigpipe sigpipe;
    struct scms_ack inner;
    uint32_t now = DOT2HSM_NOW;
    enum ee_status status;
    dot2hsm_status code;

    api_begin(error);
    if (ee == NULL || trust == NULL || !api_room(ack, sizeof(*ack)))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL, or the size of ack wrong");
    code = take_application(ee, application, &taken, error);
    if (code != DOT2HSM_OK)
        return code;
    if (api_trust_use(trust, &now) != DOT2_OK)
        return api_fail(error, DOT2HSM_E_TIME, NULL);
    provision.trust = trust->trust;
    api_sigpipe_block(&sigpipe);
    status = ee_provision(&ee->config, &provision, &inner, &cause);
    api_sigpipe_restore(&sigpipe);
    if (status == EE_OK)
        give_ack(ack, &inner);
    return api_ee_result(error, status, &cause);
}

dot2hsm_status dot2hsm_ee_application_body(const dot2hsm_ee *ee,
                                           const struct dot2hsm_application *application,
                                           uint8_t **octets, size_t *size, dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    struct dot2hsm_application taken;
    dot2hsm_status code;

    api_begin(error);
    if (octets != NULL)
        *octets = NULL;
    if (ee == NULL || octets == NULL || size == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    code = take_application(ee, application, &taken, error);
    if (code != DOT2HSM_OK)
        return code;
    return api_result(
        error, ee_provision_body(&ee->config, build_tbs, &taken, octets, size, &cause), &cause);
}

dot2hsm_status dot2hsm_ee_application_ack(const dot2hsm_ee *ee, dot2hsm_trust *trust,
                                          const uint8_t *body, size_t body_size,
                                          const uint8_t *octets, size_t size,
                                          struct dot2hsm_ack *ack, dot2hsm_error *error)
{
    struct ee_provision provision = {.kind = SCMS_PROVISION_APP};
    struct ee_error cause = {.status = EE_OK};
    struct scms_ack inner;
    uint32_t now = DOT2HSM_NOW;
    enum ee_status status;
    uint8_t hash[48];

    api_begin(error);
    if (ee == NULL || trust == NULL || body == NULL || octets == NULL ||
        !api_room(ack, sizeof(*ack)) || ee->config.ra_certificate == NULL)
        return api_fail(
            error, DOT2HSM_E_ARGUMENT,
            "an argument is NULL, the size of ack wrong, or there is no ra_certificate");
    if (api_trust_use(trust, &now) != DOT2_OK ||
        dot2_hash(ee->ctx->crypto, DOT2_CURVE_P256, body, body_size, hash) != DOT2_OK)
        return api_fail(error, DOT2HSM_E_CRYPTO, NULL);
    provision.trust = trust->trust;
    status = ee_provision_ack(&ee->config, &provision, hash + 24, octets, size, &inner, &cause);
    if (status == EE_OK)
        give_ack(ack, &inner);
    return api_ee_result(error, status, &cause);
}

/* ---- the response ---- */

static enum dot2_status check_response(dot2hsm_trust *trust, const dot2hsm_key *verify_key,
                                       const struct scms_cert_response *response, uint32_t now,
                                       struct dot2_error *cause)
{
    const ToBeSignedCertificate_t *tbs = &dot2_cert_asn1(response->cert)->toBeSigned;
    struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = now};
    struct dot2_chain chain = {.key = NULL};
    enum dot2_status status;

    if (response->kind != SCMS_RESPONSE_EXPLICIT)
        return DOT2_E_TYPE;
    if (tbs->appPermissions == NULL || tbs->certIssuePermissions != NULL ||
        tbs->certRequestPermissions != NULL)
        return DOT2_E_PERMISSION;
    /* It may begin later than now. */
    if (check.time < dot2_cert_start(response->cert))
        check.time = dot2_cert_start(response->cert);
    status = dot2_chain_verify(trust->trust, response->cert, &check, &chain, cause);
    if (status == DOT2_OK && EVP_PKEY_eq(chain.key, verify_key->evp) != 1)
        status = DOT2_E_KEY_MISMATCH;
    dot2_chain_clear(&chain);
    return status;
}

dot2hsm_status dot2hsm_ee_open_response(dot2hsm_trust *trust, const dot2hsm_key *response_key,
                                        const dot2hsm_key *verify_key, const uint8_t *octets,
                                        size_t size, dot2hsm_cert **cert, dot2hsm_error *error)
{
    struct scms_cert_response response = {.cert = NULL};
    struct dot2_error cause = {.status = DOT2_OK};
    uint32_t now = DOT2HSM_NOW;
    enum dot2_status status;
    dot2hsm_status code;

    api_begin(error);
    if (cert != NULL)
        *cert = NULL;
    if (trust == NULL || response_key == NULL || verify_key == NULL || octets == NULL ||
        cert == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    status = api_trust_use(trust, &now);
    if (status == DOT2_OK)
        status = scms_cert_response_open(trust->ctx->crypto, trust->trust, now, response_key->evp,
                                         octets, size, &response, &cause);
    if (status == DOT2_OK)
        status = check_response(trust, verify_key, &response, now, &cause);
    code = api_result(error, status, &cause);
    if (code == DOT2HSM_OK)
        code = api_cert_wrap(trust->ctx, dot2_cert_up_ref(response.cert), cert, error);
    scms_cert_response_clear(&response);
    return code;
}
