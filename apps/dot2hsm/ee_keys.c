/* ee_keys.c: keys that a device makes for itself: in its token, or as files in its directory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/token.h"

static const char *const names[] = {"verify", "response"};

static bool in_token(const char *uri)
{
    return strncmp(uri, "pkcs11:", strlen("pkcs11:")) == 0;
}

static const char *token_of(const struct device *device, enum device_key which)
{
    return which == DEVICE_KEY_RESPONSE ? device->response_token : device->application_token;
}

/* pkcs11:token=rse;object=NAME, whatever query the token's URI has. */
int device_token_uri(const char *token, const char *name, char *uri)
{
    const size_t path = strcspn(token, "?");
    int n = snprintf(uri, 512, "%.*s%sobject=%s%s", (int)path, token,
                     strcmp(token, "pkcs11:") == 0 ? "" : ";", name, token + path);

    if (n > 0 && n < 512)
        return APP_OK;
    app_error("the name of a key is too long");
    return APP_USAGE;
}

int device_key_uri(const struct device *device, enum device_kind kind, const char *id,
                   enum device_key which, char *uri)
{
    const char *token = token_of(device, which);
    char name[64];
    int n;

    if (token != NULL) {
        snprintf(name, sizeof(name), "%s-%s-%s",
                 kind == DEVICE_APPLICATION ? "app" : device_kind_info(kind)->name, id,
                 names[which]);
        return device_token_uri(token, name, uri);
    }
    n = snprintf(uri, 512, "file:%s/request-%s.%s.pem", device->dir, id, names[which]);
    if (n > 0 && n < 512)
        return APP_OK;
    app_error("the name of a key is too long");
    return APP_USAGE;
}

int device_key_write(const struct device *device, const char *path, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *pem = NULL;
    long size;
    int code = APP_REFUSED;

    if (bio == NULL || PEM_write_bio_PrivateKey_ex(bio, key, NULL, NULL, 0, NULL, NULL,
                                                   device->libctx, NULL) <= 0) {
        app_error_openssl("%s: the key cannot be written%s", path,
                          bio == NULL ? ": out of memory" : "");
    } else {
        size = BIO_get_mem_data(bio, &pem);
        code = app_file_write(path, (const uint8_t *)pem, (size_t)size, 0600);
    }
    BIO_free(bio);
    return code;
}

int device_token_key_make(struct device *device, const char *uri, unsigned usage)
{
    const struct p11_generate how = {P11_CURVE_P256, usage};
    p11_ctx *ctx = NULL;
    p11_key *key = NULL;
    enum p11_status status;
    size_t deleted = 0;
    int code = token_open(&device->provider, device->conf, &ctx);

    if (code != APP_OK)
        return code;
    status = p11_key_open_uri(ctx, uri, token_prompt, NULL, &key);
    if (status == P11_E_NO_OBJECT) {
        ERR_clear_error();
        /* A public key without its private one, left by a run that was killed in between. */
        status = p11_delete(ctx, uri, token_prompt, NULL, &deleted);
        if (status == P11_OK || status == P11_E_NO_OBJECT) {
            ERR_clear_error();
            status = p11_key_generate(ctx, uri, &how, token_prompt, NULL, &key);
        }
    }
    if (status != P11_OK)
        code = token_failed(status, uri);
    p11_key_free(key);
    p11_ctx_free(ctx);
    return code;
}

int device_key_delete(struct device *device, const char *uri)
{
    p11_ctx *ctx = NULL;
    enum p11_status status;
    size_t deleted = 0;
    int code;

    if (!in_token(uri))
        return APP_OK;
    code = token_open(&device->provider, device->conf, &ctx);
    if (code != APP_OK)
        return code;
    status = p11_delete(ctx, uri, token_prompt, NULL, &deleted);
    if (status == P11_E_NO_OBJECT)
        ERR_clear_error();
    else if (status != P11_OK)
        code = token_failed(status, uri);
    p11_ctx_free(ctx);
    return code;
}

bool device_key_gone(struct device *device, const char *uri)
{
    p11_ctx *ctx = NULL;
    p11_key *key = NULL;
    enum p11_status status;

    if (!in_token(uri))
        return access(uri + strlen("file:"), F_OK) != 0 && errno == ENOENT;
    if (token_open(&device->provider, device->conf, &ctx) != APP_OK)
        return false;
    status = p11_key_open_uri(ctx, uri, token_prompt, NULL, &key);
    p11_key_free(key);
    p11_ctx_free(ctx);
    ERR_clear_error();
    return status == P11_E_NO_OBJECT;
}

/*
 * What a run that was killed while it made a pair has left: a pair without CKA_ID, which the token
 * may even have finished after the next run had made one; or a private key without its public one.
 * Nothing was ever asked for with either, for no request could be built. Only for keys whose names
 * are made here: what else cannot be used is somebody's.
 */
int device_leftovers_delete(struct device *device, const char *uri)
{
    p11_ctx *ctx = NULL;
    p11_key *key = NULL;
    enum p11_status status;
    size_t deleted = 0;
    int code = token_open(&device->provider, device->conf, &ctx);

    if (code != APP_OK)
        return code;
    status = p11_delete_unfinished(ctx, uri, token_prompt, NULL, &deleted);
    if (status == P11_OK)
        status = p11_key_open_uri(ctx, uri, token_prompt, NULL, &key);
    p11_key_free(key);
    if (status == P11_E_KEY_TYPE)
        status = p11_delete(ctx, uri, token_prompt, NULL, &deleted);
    ERR_clear_error(); /* what else is wrong is said when the key is made or opened */
    p11_ctx_free(ctx);
    return APP_OK;
}

int device_key_make(struct device *device, enum device_kind kind, const char *id,
                    enum device_key which, char *uri)
{
    EVP_PKEY *key = NULL;
    int code = device_key_uri(device, kind, id, which, uri);

    if (code != APP_OK)
        return code;
    if (in_token(uri)) {
        code = device_leftovers_delete(device, uri);
        return code != APP_OK ? code
                              : device_token_key_make(
                                    device, uri,
                                    which == DEVICE_KEY_VERIFY ? P11_USAGE_SIGN : P11_USAGE_DERIVE);
    }
    if (access(uri + strlen("file:"), F_OK) == 0)
        return APP_OK;
    key = EVP_PKEY_Q_keygen(device->libctx, "provider!=dot2hsm", "EC", "P-256");
    if (key == NULL) {
        app_error_openssl("a key cannot be made");
        return APP_REFUSED;
    }
    code = device_key_write(device, uri + strlen("file:"), key);
    EVP_PKEY_free(key);
    return code;
}
