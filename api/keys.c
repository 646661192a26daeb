/* keys.c: private keys by URI, certificates, trust. */
#include "api/internal.h"
#include "protocol/dot2/crl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/store.h>

#define CERTIFICATE_MAX 65536u

/* Takes the reference to evp, on failure too. */
static dot2hsm_status wrap_key(dot2hsm_ctx *ctx, EVP_PKEY *evp, dot2hsm_key **key,
                               dot2hsm_error *error)
{
    dot2hsm_key *made = OPENSSL_zalloc(sizeof(*made));

    if (made == NULL) {
        EVP_PKEY_free(evp);
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    }
    made->ctx = dot2hsm_ctx_up_ref(ctx);
    made->evp = evp;
    *key = made;
    return DOT2HSM_OK;
}

/* Without a UI method a provider that wants a PIN is told that there is none. */
static dot2hsm_status find_key(dot2hsm_ctx *ctx, const char *uri, EVP_PKEY **found,
                               dot2hsm_error *error)
{
    OSSL_STORE_CTX *store =
        OSSL_STORE_open_ex(uri, ctx->libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    dot2hsm_status status = DOT2HSM_OK;
    OSSL_STORE_INFO *info = NULL;

    if (store == NULL)
        return api_fail(error, DOT2HSM_E_CRYPTO, "the key cannot be opened");
    OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
    while (status == DOT2HSM_OK && !OSSL_STORE_eof(store)) {
        info = OSSL_STORE_load(store);
        /* The end of a file raises the flag, too, without an error in the queue. */
        if (info == NULL && OSSL_STORE_error(store) &&
            (ERR_peek_error() != 0 || !OSSL_STORE_eof(store)))
            status = api_fail(error, DOT2HSM_E_CRYPTO, "the key cannot be opened");
        if (info == NULL || OSSL_STORE_INFO_get_type(info) != OSSL_STORE_INFO_PKEY) {
            OSSL_STORE_INFO_free(info);
            continue;
        }
        if (*found != NULL)
            status = api_fail(error, DOT2HSM_E_KEY, NULL);
        else
            *found = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    if (status == DOT2HSM_OK && *found == NULL)
        status = api_fail(error, DOT2HSM_E_KEY, NULL);
    return status;
}

dot2hsm_status dot2hsm_key_open(dot2hsm_ctx *ctx, const char *uri, dot2hsm_key **key,
                                dot2hsm_error *error)
{
    EVP_PKEY *found = NULL;
    dot2hsm_status status;

    api_begin(error);
    if (key != NULL)
        *key = NULL;
    if (ctx == NULL || uri == NULL || key == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    status = find_key(ctx, uri, &found, error);
    if (status == DOT2HSM_OK)
        return wrap_key(ctx, found, key, error);
    EVP_PKEY_free(found);
    return status;
}

dot2hsm_status dot2hsm_key_from_evp(dot2hsm_ctx *ctx, EVP_PKEY *evp, dot2hsm_key **key,
                                    dot2hsm_error *error)
{
    api_begin(error);
    if (key != NULL)
        *key = NULL;
    if (ctx == NULL || evp == NULL || key == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    EVP_PKEY_up_ref(evp);
    return wrap_key(ctx, evp, key, error);
}

dot2hsm_status dot2hsm_key_public(const dot2hsm_key *key, uint8_t point[DOT2HSM_POINT_MAX],
                                  size_t *size)
{
    if (key == NULL || point == NULL || size == NULL)
        return DOT2HSM_E_ARGUMENT;
    return api_result(NULL, dot2_public_point(key->evp, point, size), NULL);
}

EVP_PKEY *dot2hsm_key_evp(const dot2hsm_key *key)
{
    return key == NULL ? NULL : key->evp;
}

void dot2hsm_key_free(dot2hsm_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->evp);
    dot2hsm_ctx_free(key->ctx);
    OPENSSL_free(key);
}

/* ---- certificates ---- */

dot2hsm_status api_cert_wrap(dot2hsm_ctx *ctx, dot2_cert *inner, dot2hsm_cert **cert,
                             dot2hsm_error *error)
{
    dot2hsm_cert *made = OPENSSL_zalloc(sizeof(*made));

    if (made == NULL) {
        dot2_cert_free(inner);
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    }
    made->ctx = dot2hsm_ctx_up_ref(ctx);
    made->cert = inner;
    *cert = made;
    return DOT2HSM_OK;
}

dot2hsm_status dot2hsm_cert_new(dot2hsm_ctx *ctx, const uint8_t *octets, size_t size,
                                dot2hsm_cert **cert, dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    dot2_cert *inner = NULL;
    enum dot2_status status;

    api_begin(error);
    if (cert != NULL)
        *cert = NULL;
    if (ctx == NULL || octets == NULL || cert == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    status = dot2_cert_new(ctx->crypto, octets, size, &inner, &cause);
    return status == DOT2_OK ? api_cert_wrap(ctx, inner, cert, error)
                             : api_result(error, status, &cause);
}

dot2hsm_status dot2hsm_cert_load(dot2hsm_ctx *ctx, const char *path, dot2hsm_cert **cert,
                                 dot2hsm_error *error)
{
    dot2hsm_status status = DOT2HSM_E_FILE;
    uint8_t *octets = NULL;
    FILE *file = NULL;
    size_t size;

    api_begin(error);
    if (cert != NULL)
        *cert = NULL;
    if (ctx == NULL || path == NULL || cert == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    octets = OPENSSL_malloc(CERTIFICATE_MAX + 1);
    file = fopen(path, "rbe");
    if (octets == NULL) {
        status = api_fail(error, DOT2HSM_E_MEMORY, NULL);
        goto out;
    }
    if (file == NULL) {
        api_fail(error, status, strerror(errno));
        goto out;
    }
    size = fread(octets, 1, CERTIFICATE_MAX + 1, file);
    if (ferror(file) || size > CERTIFICATE_MAX)
        api_fail(error, status, "it cannot be read, or is too large");
    else
        status = dot2hsm_cert_new(ctx, octets, size, cert, error);
out:
    if (file != NULL)
        fclose(file);
    OPENSSL_free(octets);
    return status;
}

void dot2hsm_cert_free(dot2hsm_cert *cert)
{
    if (cert == NULL)
        return;
    dot2_cert_free(cert->cert);
    dot2hsm_ctx_free(cert->ctx);
    OPENSSL_free(cert);
}

const uint8_t *dot2hsm_cert_octets(const dot2hsm_cert *cert, size_t *size)
{
    if (cert != NULL)
        return dot2_cert_octets(cert->cert, size);
    *size = 0;
    return NULL;
}

const uint8_t *dot2hsm_cert_hashedid8(const dot2hsm_cert *cert)
{
    return cert == NULL ? NULL : dot2_cert_hashedid8(cert->cert);
}

const uint8_t *dot2hsm_cert_hash(const dot2hsm_cert *cert, size_t *size)
{
    if (cert != NULL)
        return dot2_cert_hash(cert->cert, size);
    *size = 0;
    return NULL;
}

const char *dot2hsm_cert_name(const dot2hsm_cert *cert)
{
    return cert == NULL ? "" : dot2_cert_name(cert->cert);
}

int dot2hsm_cert_is_implicit(const dot2hsm_cert *cert)
{
    return cert != NULL && dot2_cert_is_implicit(cert->cert);
}

uint32_t dot2hsm_cert_start(const dot2hsm_cert *cert)
{
    return cert == NULL ? 0 : dot2_cert_start(cert->cert);
}

uint32_t dot2hsm_cert_end(const dot2hsm_cert *cert)
{
    return cert == NULL ? 0 : dot2_cert_end(cert->cert);
}

/* ---- trust ---- */

dot2hsm_status dot2hsm_trust_new(dot2hsm_ctx *ctx, dot2hsm_trust **trust, dot2hsm_error *error)
{
    dot2hsm_trust *made;

    api_begin(error);
    if (trust != NULL)
        *trust = NULL;
    if (ctx == NULL || trust == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    made = OPENSSL_zalloc(sizeof(*made));
    if (made == NULL || dot2_trust_new(ctx->crypto, NULL, &made->trust) != DOT2_OK) {
        OPENSSL_free(made);
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    }
    made->ctx = dot2hsm_ctx_up_ref(ctx);
    atomic_init(&made->used, false);
    *trust = made;
    return DOT2HSM_OK;
}

void dot2hsm_trust_free(dot2hsm_trust *trust)
{
    if (trust == NULL)
        return;
    dot2_trust_free(trust->trust);
    dot2hsm_ctx_free(trust->ctx);
    OPENSSL_free(trust);
}

static dot2hsm_status trust_add(dot2hsm_trust *trust, const dot2hsm_cert *cert, bool anchor,
                                dot2hsm_error *error)
{
    api_begin(error);
    if (trust == NULL || cert == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    if (atomic_load(&trust->used))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "the trust is in use; make a new one");
    return api_result(error,
                      anchor ? dot2_trust_add_anchor(trust->trust, cert->cert)
                             : dot2_trust_add(trust->trust, cert->cert),
                      NULL);
}

dot2hsm_status dot2hsm_trust_add_anchor(dot2hsm_trust *trust, const dot2hsm_cert *cert,
                                        dot2hsm_error *error)
{
    return trust_add(trust, cert, true, error);
}

dot2hsm_status dot2hsm_trust_add(dot2hsm_trust *trust, const dot2hsm_cert *cert,
                                 dot2hsm_error *error)
{
    return trust_add(trust, cert, false, error);
}

enum dot2_status api_trust_use(dot2hsm_trust *trust, uint32_t *time32)
{
    atomic_store(&trust->used, true);
    return *time32 == DOT2HSM_NOW ? dot2_time32_now(time32) : DOT2_OK;
}

dot2hsm_status dot2hsm_trust_verify(dot2hsm_trust *trust, const dot2hsm_cert *cert, uint32_t time32,
                                    dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = time32};
    enum dot2_status status;

    api_begin(error);
    if (trust == NULL || cert == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    status = api_trust_use(trust, &check.time);
    if (status == DOT2_OK)
        status = dot2_chain_verify(trust->trust, cert->cert, &check, NULL, &cause);
    return api_result(error, status, &cause);
}

dot2hsm_status dot2hsm_trust_add_crl(dot2hsm_trust *trust, const uint8_t *octets, size_t size,
                                     uint32_t time32, dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    enum dot2_status status;

    api_begin(error);
    if (trust == NULL || octets == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    status = api_trust_use(trust, &time32);
    if (status == DOT2_OK)
        status = dot2_trust_add_crl(trust->trust, octets, size, time32, NULL, &cause);
    return api_result(error, status, &cause);
}
