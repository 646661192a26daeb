/* ee_provision.c: requests for certificates, and the RA's own certificate. */
#include "protocol/ee/ee_internal.h"

#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

/* By enum scms_provision. */
static const char *const paths[] = {
    [SCMS_PROVISION_PSEUDONYM] = "/provision-pseudonym-certificate-batch",
    [SCMS_PROVISION_ID] = "/provision-identity-certificate",
    [SCMS_PROVISION_APP] = "/provision-application-certificate",
};

static enum ee_status unusable(const char *what, const struct dot2_error *cause,
                               struct ee_error *error)
{
    return ee_fail(error, EE_E_RESPONSE, "%s: %s%s%s%s%s", what, dot2_status_name(cause->status),
                   cause->field[0] != '\0' ? ", " : "", cause->field, ": ",
                   cause->detail[0] != '\0' ? cause->detail : dot2_status_text(cause->status));
}

/* ---- a request ---- */

enum dot2_status ee_provision_body(const struct ee_config *config, ee_tbs_fn *build, void *arg,
                                   uint8_t **body, size_t *size, struct dot2_error *cause)
{
    uint8_t *tbs = NULL, *request = NULL;
    size_t tbs_size = 0, request_size = 0;
    enum dot2_status status = build(arg, &tbs, &tbs_size, cause);

    *body = NULL;
    if (status == DOT2_OK)
        status = scms_signed_request_build(config->crypto, config->enrollment_key,
                                           config->enrollment_certificate, tbs, tbs_size, &request,
                                           &request_size, cause);
    if (status == DOT2_OK)
        status = scms_secured_build(config->crypto, config->ra_certificate, request, request_size,
                                    body, size, cause);
    /* Expansions may be in it, by which a device's certificates could be told. */
    OPENSSL_clear_free(tbs, tbs_size);
    OPENSSL_clear_free(request, request_size);
    return status;
}

struct making {
    const struct ee_config *config;
    const struct ee_provision *provision;
};

static enum ee_status make_body(void *arg, uint8_t **body, size_t *size, struct ee_error *error)
{
    const struct making *making = arg;
    const struct ee_provision *provision = making->provision;
    struct dot2_error cause = {.status = DOT2_OK};
    uint8_t hash[48];

    cause.status = ee_provision_body(making->config, provision->build, provision->build_arg, body,
                                     size, &cause);
    if (cause.status == DOT2_OK)
        cause.status = dot2_hash(making->config->crypto, DOT2_CURVE_P256, *body, *size, hash);
    if (cause.status != DOT2_OK)
        return ee_body_failed(&cause, error);
    return provision->before == NULL ? EE_OK
                                     : provision->before(provision->before_arg, hash + 24, error);
}

enum ee_status ee_provision_ack(const struct ee_config *config,
                                const struct ee_provision *provision, const uint8_t request_hash[8],
                                const uint8_t *octets, size_t size, struct scms_ack *ack,
                                struct ee_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    uint32_t now = 0;

    cause.status = dot2_time32_now(&now);
    if (cause.status == DOT2_OK)
        cause.status =
            scms_ack_open(provision->trust, config->ra_certificate, now, octets, size, ack, &cause);
    if (cause.status != DOT2_OK)
        return unusable("the RA's acknowledgement", &cause, error);
    if (ack->kind != provision->kind ||
        CRYPTO_memcmp(ack->request_hash, request_hash, sizeof(ack->request_hash)) != 0)
        return ee_fail(error, EE_E_RESPONSE, "the RA's acknowledgement is not of this request");
    if (!ee_url_leads_to(ack->url, config->ra_url))
        return ee_fail(error, EE_E_RESPONSE,
                       "the RA's acknowledgement leads to another place than the RA");
    return EE_OK;
}

enum ee_status ee_provision(const struct ee_config *config, const struct ee_provision *provision,
                            struct scms_ack *ack, struct ee_error *error)
{
    struct making making = {config, provision};
    struct ee_post post = {
        .path = paths[provision->kind], .build = make_body, .build_arg = &making};
    struct dot2_error cause = {.status = DOT2_OK};
    struct ee_post_result result = {.body = NULL};
    uint8_t *tbs = NULL;
    size_t tbs_size = 0;
    enum ee_status status;

    if (error != NULL)
        memset(error, 0, sizeof(*error));
    if (config->crypto == NULL || config->enrollment_key == NULL ||
        config->enrollment_certificate == NULL || config->ra_certificate == NULL)
        return ee_fail(error, EE_E_ARGUMENT,
                       "a request needs the enrollment and the RA's IEEE 1609.2 certificate");
    cause.status = provision->build(provision->build_arg, &tbs, &tbs_size, &cause);
    if (cause.status != DOT2_OK)
        return ee_body_failed(&cause, error);
    OPENSSL_clear_free(tbs, tbs_size);
    post.size = scms_secured_size(
        scms_signed_request_size(config->enrollment_key, config->enrollment_certificate, tbs_size));
    status = ee_post(config, &post, &result, error);
    if (status == EE_OK)
        status = ee_provision_ack(config, provision, result.request_hash, result.body, result.size,
                                  ack, error);
    ee_post_result_clear(&result);
    return status;
}

/* ---- the RA's certificate ---- */

static enum ee_status certificate_request(void *arg, uint8_t **body, size_t *size,
                                          struct ee_error *error)
{
    const uint8_t *request = scms_ra_cert_request(size);

    (void)arg;
    *body = OPENSSL_memdup(request, *size);
    return *body != NULL ? EE_OK : ee_fail(error, EE_E_MEMORY, "out of memory");
}

/* It must chain to an anchor, and be that of the host that is spoken to. */
static enum ee_status check_ra(const struct ee_config *config, dot2_trust *trust, dot2_cert *cert,
                               struct ee_error *error)
{
    struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY};
    struct dot2_error cause = {.status = DOT2_OK};
    char host[256];

    ee_url_host(config->ra_url, host);
    if (strcasecmp(dot2_cert_name(cert), host) != 0)
        return ee_fail(error, EE_E_RESPONSE, "the RA's certificate is for \"%s\"",
                       dot2_cert_name(cert));
    cause.status = dot2_time32_now(&check.time);
    if (cause.status == DOT2_OK)
        cause.status = dot2_chain_verify(trust, cert, &check, NULL, &cause);
    return cause.status == DOT2_OK ? EE_OK : unusable("the RA's certificate", &cause, error);
}

enum ee_status ee_ra_certificate(const struct ee_config *config, dot2_trust *trust,
                                 dot2_cert **cert, struct ee_error *error)
{
    struct ee_post post = {.path = "/retrieve-ra-certificate", .build = certificate_request};
    struct dot2_error cause = {.status = DOT2_OK};
    struct ee_post_result result;
    enum ee_status status;

    *cert = NULL;
    scms_ra_cert_request(&post.size);
    status = ee_post(config, &post, &result, error);
    if (status != EE_OK)
        return status;
    cause.status =
        scms_ra_cert_response_parse(config->crypto, result.body, result.size, cert, &cause);
    status = cause.status == DOT2_OK ? check_ra(config, trust, *cert, error)
                                     : unusable("the RA's certificate", &cause, error);
    ee_post_result_clear(&result);
    if (status != EE_OK) {
        dot2_cert_free(*cert);
        *cert = NULL;
    }
    return status;
}
