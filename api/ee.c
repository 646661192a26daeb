/* ee.c: the end entity: its handle, downloads, posts. */
#include "api/ee.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

void api_sigpipe_block(struct api_sigpipe *sigpipe)
{
    sigset_t set;

    sigemptyset(&set);
    sigpending(&set);
    sigpipe->pending = sigismember(&set, SIGPIPE) == 1;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, &sigpipe->before);
}

void api_sigpipe_restore(const struct api_sigpipe *sigpipe)
{
    static const struct timespec none;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    if (!sigpipe->pending)
        while (sigtimedwait(&set, NULL, &none) == SIGPIPE)
            ;
    pthread_sigmask(SIG_SETMASK, &sigpipe->before, NULL);
}

dot2hsm_status api_ee_result(dot2hsm_error *error, enum ee_status status,
                             const struct ee_error *cause)
{
    static const dot2hsm_status of_ee[] = {
        [EE_OK] = DOT2HSM_OK,
        [EE_NOT_MODIFIED] = DOT2HSM_NOT_MODIFIED,
        [EE_E_MEMORY] = DOT2HSM_E_MEMORY,
        [EE_E_ARGUMENT] = DOT2HSM_E_ARGUMENT,
        [EE_E_UNREACHABLE] = DOT2HSM_E_UNREACHABLE,
        [EE_E_TLS] = DOT2HSM_E_TLS,
        [EE_E_SIGN] = DOT2HSM_E_SIGN,
        [EE_E_REFUSED] = DOT2HSM_E_REFUSED,
        [EE_E_RESPONSE] = DOT2HSM_E_RESPONSE,
        [EE_E_FILE] = DOT2HSM_E_FILE,
        [EE_E_ABORTED] = DOT2HSM_E_ABORTED,
    };
    dot2hsm_status result =
        (size_t)status < sizeof(of_ee) / sizeof(of_ee[0]) ? of_ee[status] : DOT2HSM_E_RESPONSE;

    /* What libcurl left in OpenSSL's queue tells no more than its own text does. */
    ERR_clear_error();
    if (result != DOT2HSM_OK)
        api_fail(error, result, cause->status == status ? cause->detail : NULL);
    if (error != NULL)
        error->scms_code = cause->scms_code;
    return result;
}

/* ---- the handle ---- */

static bool copy(const char *from, const char **to)
{
    *to = from == NULL ? NULL : OPENSSL_strdup(from);
    return from == NULL || *to != NULL;
}

static dot2_cert *cert_ref(const dot2hsm_cert *cert)
{
    return cert == NULL ? NULL : dot2_cert_up_ref(cert->cert);
}

/* The certificate's key, unless that needs its issuer: an implicit one's. */
static dot2hsm_status check_enrollment(const struct dot2hsm_ee_options *options,
                                       dot2hsm_error *error)
{
    struct dot2_error cause = {.status = DOT2_OK};
    EVP_PKEY *key = NULL;
    dot2hsm_status status = DOT2HSM_OK;

    if (options->enrollment_key == NULL && options->enrollment_cert == NULL)
        return DOT2HSM_OK;
    if (options->enrollment_key == NULL || options->enrollment_cert == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT,
                        "enrollment_key and enrollment_cert belong together");
    if (dot2_cert_is_implicit(options->enrollment_cert->cert))
        return DOT2HSM_OK;
    status = api_result(error, dot2_cert_key(options->enrollment_cert->cert, &key, &cause), &cause);
    if (status == DOT2HSM_OK && EVP_PKEY_eq(key, options->enrollment_key->evp) != 1)
        status = api_fail(error, DOT2HSM_E_KEY_MISMATCH, NULL);
    EVP_PKEY_free(key);
    return status;
}

static bool take_options(const struct dot2hsm_ee_options *options, struct ee_config *config)
{
    config->connect_timeout = options->connect_timeout;
    config->stall_timeout = options->stall_timeout;
    config->require_ocsp = options->require_ocsp != 0;
    config->secured_header = options->secured_header != 0;
    if (options->enrollment_key != NULL && EVP_PKEY_up_ref(options->enrollment_key->evp) == 1)
        config->enrollment_key = options->enrollment_key->evp;
    config->enrollment_certificate = cert_ref(options->enrollment_cert);
    config->ra_certificate = cert_ref(options->ra_certificate);
    return copy(options->ra_url, &config->ra_url) && copy(options->tls_root, &config->tls_root) &&
           copy(options->resolve, &config->resolve);
}

dot2hsm_status dot2hsm_ee_new(dot2hsm_ctx *ctx, const struct dot2hsm_ee_options *options,
                              dot2hsm_ee **ee, dot2hsm_error *error)
{
    struct dot2hsm_ee_options taken;
    dot2hsm_status status;
    dot2hsm_ee *made;

    api_begin(error);
    if (ee != NULL)
        *ee = NULL;
    if (ctx == NULL || ee == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    if (!api_take(&taken, sizeof(taken), options, sizeof(taken)))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "options: size is wrong");
    if (taken.ra_url == NULL || taken.tls_root == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "there is no ra_url, or no tls_root");
    if (taken.secured_header && taken.ra_certificate == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "secured_header needs ra_certificate");
    status = check_enrollment(&taken, error);
    if (status != DOT2HSM_OK)
        return status;
    made = OPENSSL_zalloc(sizeof(*made));
    if (made == NULL)
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    made->ctx = dot2hsm_ctx_up_ref(ctx);
    made->config.crypto = ctx->crypto;
    if (!take_options(&taken, &made->config)) {
        dot2hsm_ee_free(made);
        return api_fail(error, DOT2HSM_E_MEMORY, NULL);
    }
    *ee = made;
    return DOT2HSM_OK;
}

void dot2hsm_ee_free(dot2hsm_ee *ee)
{
    if (ee == NULL)
        return;
    EVP_PKEY_free(ee->config.enrollment_key);
    dot2_cert_free((dot2_cert *)ee->config.enrollment_certificate);
    dot2_cert_free((dot2_cert *)ee->config.ra_certificate);
    OPENSSL_free((char *)ee->config.ra_url);
    OPENSSL_free((char *)ee->config.tls_root);
    OPENSSL_free((char *)ee->config.resolve);
    dot2hsm_ctx_free(ee->ctx);
    OPENSSL_free(ee);
}

/* ---- downloads ---- */

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
    const struct dot2hsm_download *download = arg;

    return download->progress(download->progress_arg, done, total) != 0;
}

static dot2hsm_status take_download(struct dot2hsm_download *taken, struct ee_download *inner,
                                    char filename[32], dot2hsm_error *error)
{
    const struct ee_service *service = NULL;

    if (taken->service != NULL)
        service = ee_service_find(taken->service);
    else if (taken->filename != NULL)
        service = ee_service_of_file(taken->filename);
    if (service == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "no service, or more than one, has such files");
    if (service->authenticated != (taken->filename != NULL) ||
        (service->authenticated &&
         ee_service_filename(service, taken->filename, filename) != EE_OK))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "filename is not one of this service");
    *inner = (struct ee_download){
        .path = service->path,
        .filename = service->authenticated ? filename : NULL,
        .have = taken->have,
        .output = taken->output,
        .restart = taken->restart != 0,
        .max_size = taken->max_size,
        .limit_rate = taken->limit_rate,
        .progress = taken->progress == NULL ? NULL : on_progress,
        .progress_arg = taken,
    };
    return DOT2HSM_OK;
}

dot2hsm_status dot2hsm_ee_download(const dot2hsm_ee *ee, const struct dot2hsm_download *download,
                                   struct dot2hsm_download_result *result, dot2hsm_error *error)
{
    struct dot2hsm_download_result told = {0};
    struct dot2hsm_download taken;
    struct ee_download_result came;
    struct ee_error cause = {.status = EE_OK};
    struct api_sigpipe sigpipe;
    struct ee_download inner;
    enum ee_status status;
    dot2hsm_status code;
    char filename[32];

    api_begin(error);
    if (ee == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "ee is NULL");
    if (!api_take(&taken, sizeof(taken), download, sizeof(taken)) ||
        (result != NULL && !api_room(result, sizeof(told))))
        return api_fail(error, DOT2HSM_E_ARGUMENT, "download or result: size is wrong");
    code = take_download(&taken, &inner, filename, error);
    if (code != DOT2HSM_OK)
        return code;
    api_sigpipe_block(&sigpipe);
    status = ee_download(&ee->config, &inner, &came, &cause);
    api_sigpipe_restore(&sigpipe);
    told.file_size = came.size;
    told.resumed_from = came.resumed_from;
    told.timestamp = came.timestamp;
    told.signatures = came.signatures;
    memcpy(told.filename, came.filename, sizeof(told.filename));
    if (result != NULL)
        api_give(result, &told, sizeof(told));
    return api_ee_result(error, status, &cause);
}

dot2hsm_status dot2hsm_ee_download_header(const dot2hsm_ee *ee, const char *filename, char **text,
                                          dot2hsm_error *error)
{
    const struct ee_service *service;
    struct ee_error cause = {.status = EE_OK};
    enum ee_status status;
    char canonical[32];
    uint32_t timestamp;

    api_begin(error);
    if (text != NULL)
        *text = NULL;
    if (ee == NULL || filename == NULL || text == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    if (ee->config.enrollment_key == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "the end entity has no enrollment");
    service = ee_service_of_file(filename);
    /* The names of identity certificates and of batches are alike. */
    if (service == NULL)
        service = ee_service_find("batch");
    if (ee_service_filename(service, filename, canonical) != EE_OK)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "filename is not one of any service");
    status = ee_download_request(&ee->config, canonical, &timestamp, text, &cause);
    return api_ee_result(error, status, &cause);
}

/* ---- posts ---- */

struct posted {
    const uint8_t *octets;
    size_t size;
};

static enum ee_status give_body(void *arg, uint8_t **body, size_t *size, struct ee_error *error)
{
    const struct posted *posted = arg;

    *size = posted->size;
    *body = OPENSSL_memdup(posted->octets, posted->size);
    if (*body != NULL)
        return EE_OK;
    error->status = EE_E_MEMORY;
    return EE_E_MEMORY;
}

dot2hsm_status dot2hsm_ee_post(const dot2hsm_ee *ee, const char *path, const uint8_t *octets,
                               size_t size, uint8_t **answer, size_t *answer_size,
                               dot2hsm_error *error)
{
    struct posted posted = {octets, size};
    struct ee_post post = {.path = path, .size = size, .build = give_body, .build_arg = &posted};
    struct ee_post_result result = {.body = NULL};
    struct ee_error cause = {.status = EE_OK};
    struct api_sigpipe sigpipe;
    enum ee_status status;

    api_begin(error);
    if (answer != NULL)
        *answer = NULL;
    if (ee == NULL || path == NULL || octets == NULL || answer == NULL || answer_size == NULL)
        return api_fail(error, DOT2HSM_E_ARGUMENT, "an argument is NULL");
    api_sigpipe_block(&sigpipe);
    status = ee_post(&ee->config, &post, &result, &cause);
    api_sigpipe_restore(&sigpipe);
    if (status == EE_OK) {
        *answer = result.body;
        *answer_size = result.size;
    }
    return api_ee_result(error, status, &cause);
}
