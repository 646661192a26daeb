/* ra.c: an RA's trust and keys, and its decisions for transports of the caller's. */
#include "api/ra/ra.h"
#include "protocol/dot2/crl.h"

#include <string.h>

#include <openssl/crypto.h>

dot2hsm_status dot2hsm_ra_new(dot2hsm_ctx *ctx, dot2hsm_ra_store *store,
                              const struct dot2hsm_ra_options *options, dot2hsm_ra **ra,
                              dot2hsm_error *error)
{
    struct dot2hsm_ra_options taken = {0};
    struct dot2_error cause = {.status = DOT2_OK};
    enum dot2_status status;
    dot2hsm_ra *made;

    api_begin(error);
    if (ra != NULL)
        *ra = NULL;
    if (ctx == NULL || store == NULL || ra == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    if (options != NULL && !api_take(&taken, sizeof(taken), options, sizeof(taken)))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "options: size is wrong");
    made = OPENSSL_zalloc(sizeof(*made));
    if (made == NULL)
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    atomic_init(&made->references, 1);
    atomic_init(&made->used, false);
    made->ctx = dot2hsm_ctx_up_ref(ctx);
    made->store = api_store_up_ref(store);
    made->tolerance = taken.tolerance == 0 ? 5 : taken.tolerance;
    made->require_secured = taken.require_secured != 0;
    made->provision = ra_provision_default();
    if (taken.certificate_delay != 0)
        made->provision.certificate_delay = taken.certificate_delay;
    if (taken.max_requests != 0)
        made->provision.limits.max_requests = taken.max_requests;
    status = dot2_crypto_new(dot2hsm_ctx_libctx(ctx), &made->crypto, &cause);
    if (status == DOT2_OK)
        status = dot2_trust_new(made->crypto, NULL, &made->trust);
    if (status == DOT2_OK)
        *ra = made;
    else
        dot2hsm_ra_free(made);
    return api_result(error, status, &cause);
}

dot2hsm_ra *api_ra_up_ref(dot2hsm_ra *ra)
{
    atomic_fetch_add(&ra->references, 1);
    return ra;
}

static void key_clear(struct ra_key *key)
{
    dot2_cert_free(key->cert);
    EVP_PKEY_free(key->sign);
    EVP_PKEY_free(key->decrypt);
    memset(key, 0, sizeof(*key));
}

void dot2hsm_ra_free(dot2hsm_ra *ra)
{
    if (ra == NULL || atomic_fetch_sub(&ra->references, 1) > 1)
        return;
    ra_keys_free(ra->keys);
    for (size_t i = 0; i < ra->count; i++)
        key_clear(&ra->list[i]);
    dot2_trust_free(ra->trust);
    dot2_crypto_free(ra->crypto);
    dot2hsm_ra_store_free(ra->store);
    dot2hsm_ctx_free(ra->ctx);
    OPENSSL_free(ra);
}

/* ---- what it is filled with ---- */

/* A certificate of libdot2hsm as one of ours. */
static enum dot2_status cert_of(const dot2hsm_ra *ra, const dot2hsm_cert *cert, dot2_cert **made,
                                struct dot2_error *cause)
{
    size_t size = 0;
    const uint8_t *octets = dot2hsm_cert_octets(cert, &size);

    return dot2_cert_new(ra->crypto, octets, size, made, cause);
}

static dot2hsm_status may_add(const dot2hsm_ra *ra, const dot2hsm_cert *cert, dot2hsm_error *error)
{
    api_begin(error);
    if (ra == NULL || cert == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    if (atomic_load(&ra->used))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "the RA is in use; make a new one");
    return DOT2HSM_OK;
}

static dot2hsm_status add(dot2hsm_ra *ra, const dot2hsm_cert *cert, bool anchor,
                          dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    dot2hsm_status code = may_add(ra, cert, error);
    dot2_cert *inner = NULL;
    enum dot2_status status;

    if (code != DOT2HSM_OK)
        return code;
    status = cert_of(ra, cert, &inner, &cause);
    if (status == DOT2_OK)
        status =
            anchor ? dot2_trust_add_anchor(ra->trust, inner) : dot2_trust_add(ra->trust, inner);
    dot2_cert_free(inner);
    return api_result(error, status, &cause);
}

dot2hsm_status dot2hsm_ra_add_anchor(dot2hsm_ra *ra, const dot2hsm_cert *cert, dot2hsm_error *error)
{
    return add(ra, cert, true, error);
}

dot2hsm_status dot2hsm_ra_add(dot2hsm_ra *ra, const dot2hsm_cert *cert, dot2hsm_error *error)
{
    return add(ra, cert, false, error);
}

dot2hsm_status dot2hsm_ra_add_key(dot2hsm_ra *ra, const dot2hsm_cert *cert, const dot2hsm_key *sign,
                                  const dot2hsm_key *decrypt, dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    dot2hsm_status code = may_add(ra, cert, error);
    ra_keys *keys = NULL;
    struct ra_key *key;
    enum dot2_status status;
    size_t which = 0;

    if (code != DOT2HSM_OK)
        return code;
    if (decrypt == NULL || ra->count == API_RA_KEYS)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "there is no decrypt, or there are too many");
    key = &ra->list[ra->count];
    status = cert_of(ra, cert, &key->cert, &cause);
    if (status == DOT2_OK) {
        key->decrypt = dot2hsm_key_evp(decrypt);
        key->sign = dot2hsm_key_evp(sign);
        EVP_PKEY_up_ref(key->decrypt);
        if (key->sign != NULL)
            EVP_PKEY_up_ref(key->sign);
        status = ra_keys_new(ra->crypto, ra->list, ra->count + 1, &keys, &which, &cause);
    }
    if (status != DOT2_OK) {
        key_clear(key);
        return api_result(error, status, &cause);
    }
    ra->count++;
    ra_keys_free(ra->keys);
    ra->keys = keys;
    return DOT2HSM_OK;
}

dot2hsm_status dot2hsm_ra_add_crl(dot2hsm_ra *ra, const uint8_t *octets, size_t size,
                                  dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    enum dot2_status status;
    uint32_t now = 0;

    api_begin(error);
    if (ra == NULL || octets == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    atomic_store(&ra->used, true);
    status = dot2_time32_now(&now);
    if (status == DOT2_OK)
        status = dot2_trust_add_crl(ra->trust, octets, size, now, NULL, &cause);
    return api_result(error, status, &cause);
}

/* ---- decisions ---- */

static dot2hsm_status begin(dot2hsm_ra *ra, uint32_t time32, struct ra_authorise *in,
                            dot2hsm_error *error)
{
    atomic_store(&ra->used, true);
    *in = (struct ra_authorise){
        .crypto = ra->crypto,
        .trust = ra->trust,
        .store = ra->store->store,
        .now = time32,
        .tolerance = ra->tolerance,
        .max_header = 8192,
        .keys = ra->keys,
        .require_secured = ra->require_secured,
    };
    if (time32 == DOT2HSM_NOW)
        return api_result(error, dot2_time32_now(&in->now), NULL);
    return DOT2HSM_OK;
}

static dot2hsm_status decided(enum ra_reason reason, const struct ra_decision *inner,
                              struct dot2hsm_ra_decision *decision, dot2hsm_error *error)
{
    struct dot2hsm_ra_decision told = {
        .reason = ra_reason_name(reason),
        .scms_code = inner->code,
        .has_hashedid8 = inner->has_hashedid8,
        .timestamp = inner->timestamp,
    };

    memcpy(told.hashedid8, inner->hashedid8, sizeof(told.hashedid8));
    if (reason == RA_ALLOWED) {
        memcpy(told.filename, inner->filename, sizeof(told.filename));
        memcpy(told.request_hash, inner->request_hash, sizeof(told.request_hash));
    }
    api_give(decision, &told, sizeof(told));
    if (reason == RA_ALLOWED)
        return dot2hsm_error_set(error, DOT2HSM_OK, NULL, 0, NULL);
    return dot2hsm_error_set(error, DOT2HSM_E_REFUSED, inner->error.field, inner->error.offset,
                             inner->error.detail[0] != '\0' ? inner->error.detail : told.reason);
}

dot2hsm_status dot2hsm_ra_authorise_download(dot2hsm_ra *ra, enum dot2hsm_ra_service service,
                                             const char *header, size_t header_size,
                                             uint32_t time32, struct dot2hsm_ra_decision *decision,
                                             dot2hsm_error *error)
{
    static const enum ra_service services[] = {
        [DOT2HSM_RA_DOWNLOAD_APPLICATION] = RA_APPLICATION_CERTIFICATE,
        [DOT2HSM_RA_DOWNLOAD_IDENTITY] = RA_IDENTITY_CERTIFICATE,
        [DOT2HSM_RA_DOWNLOAD_BATCH] = RA_BATCH,
        [DOT2HSM_RA_DOWNLOAD_INFO] = RA_INFO,
    };
    struct ra_authorise in;
    struct ra_decision inner;
    dot2hsm_status code;

    api_begin(error);
    if (ra == NULL || !api_room(decision, sizeof(*decision)) ||
        (header == NULL && header_size > 0) || service < DOT2HSM_RA_DOWNLOAD_APPLICATION ||
        service > DOT2HSM_RA_DOWNLOAD_INFO)
        return api_fail(error, DOT2HSM_E_ARGUMENT,
                        "an argument is NULL, the size of decision wrong, or not a download");
    code = begin(ra, time32, &in, error);
    if (code != DOT2HSM_OK)
        return code;
    return decided(ra_authorise_download(&in, services[service], header, header_size, &inner),
                   &inner, decision, error);
}

dot2hsm_status dot2hsm_ra_authorise_request(dot2hsm_ra *ra, enum dot2hsm_ra_service service,
                                            const uint8_t *body, size_t size, const char *url,
                                            uint32_t time32, struct dot2hsm_ra_decision *decision,
                                            uint8_t **ack, size_t *ack_size, dot2hsm_error *error)
{
    static const enum scms_provision kinds[] = {
        [DOT2HSM_RA_APPLICATION] = SCMS_PROVISION_APP,
        [DOT2HSM_RA_IDENTITY] = SCMS_PROVISION_ID,
        [DOT2HSM_RA_PSEUDONYM] = SCMS_PROVISION_PSEUDONYM,
    };
    struct ra_provision provision;
    struct ra_authorise in;
    struct ra_decision inner;
    dot2hsm_status code;

    api_begin(error);
    if (ack != NULL)
        *ack = NULL;
    if (ra == NULL || body == NULL || url == NULL || ack == NULL || ack_size == NULL ||
        !api_room(decision, sizeof(*decision)) || service < DOT2HSM_RA_APPLICATION ||
        service > DOT2HSM_RA_PSEUDONYM)
        return api_fail(error, DOT2HSM_E_ARGUMENT,
                        "an argument is NULL, the size of decision wrong, or not a request");
    if (strlen(url) > 255)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "url has more than 255 octets");
    if (ra->keys == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "the RA has no keys");
    code = begin(ra, time32, &in, error);
    if (code != DOT2HSM_OK)
        return code;
    provision = ra->provision;
    provision.url = url;
    return decided(
        ra_authorise_provision(&in, &provision, kinds[service], body, size, &inner, ack, ack_size),
        &inner, decision, error);
}
