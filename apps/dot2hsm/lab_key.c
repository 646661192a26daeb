#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "apps/dot2hsm/lab.h"

void lab_key_clear(struct lab_key *key)
{
    EVP_PKEY_free(key->key);
    p11_key_free(key->made);
    key->key = NULL;
    key->made = NULL;
}

/* Puts the token's label, as the URI has it, in the place of %s. */
static int pin_source(struct lab_token *token)
{
    const char *place = token->pin_source != NULL ? strstr(token->pin_source, "%s") : NULL;
    const char *label = strstr(token->uri, "token=");
    size_t length;

    if (place == NULL)
        return APP_OK;
    if (label == NULL) {
        app_error("%s has no token attribute, which %%s in the PIN source stands for", token->uri);
        return APP_USAGE;
    }
    label += strlen("token=");
    length = strcspn(label, ";?");
    if (memchr(label, '%', length) != NULL || memchr(label, '/', length) != NULL) {
        app_error("%s: a label of such characters cannot stand for %%s in the PIN source",
                  token->uri);
        return APP_USAGE;
    }
    snprintf(token->pin, sizeof(token->pin), "%.*s%.*s%s", (int)(place - token->pin_source),
             token->pin_source, (int)length, label, place + 2);
    token->pin_source = token->pin;
    return APP_OK;
}

int lab_token_open(struct lab *lab, struct lab_token *token)
{
    struct p11_config config = {0};
    enum p11_status status;

    if (token->uri == NULL)
        return APP_OK;
    if (pin_source(token) != APP_OK)
        return APP_USAGE;
    config.module_path = lab->module;
    config.token_uri = token->uri;
    config.pin_source = token->pin_source;
    status = p11_ctx_new(&config, &token->ctx);
    if (status != P11_OK) {
        app_error_openssl("%s: %s", token->uri, p11_status_text(status));
        return APP_USAGE;
    }
    return APP_OK;
}

/* An EVP_PKEY of the default provider: what is made here is written as PEM and put into X.509. */
static int public_key(struct lab *lab, const uint8_t *point, size_t size, EVP_PKEY **key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(lab->libctx, "EC", "provider!=dot2hsm");
    char group[] = "prime256v1";
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group) - 1),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point, size),
        OSSL_PARAM_END};
    int ok = ctx != NULL && EVP_PKEY_fromdata_init(ctx) > 0 &&
             EVP_PKEY_fromdata(ctx, key, EVP_PKEY_PUBLIC_KEY, params) > 0;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* pkcs11:token=ra;object=LABEL, whatever query the token's URI has. */
static int object_uri(const char *token, const char *label, char uri[LAB_PATH])
{
    size_t path = strcspn(token, "?");
    const char *separator = strcmp(token, "pkcs11:") == 0 ? "" : ";";
    int n = snprintf(uri, LAB_PATH, "%.*s%sobject=%s%s", (int)path, token, separator, label,
                     token + path);

    return n > 0 && n < LAB_PATH;
}

static int token_code(enum p11_status status)
{
    switch (status) {
    case P11_E_MODULE:
    case P11_E_NO_TOKEN:
    case P11_E_DEADLINE:
    case P11_E_TOKEN:
        return APP_UNREACHABLE;
    case P11_E_CONFIG:
    case P11_E_URI:
    case P11_E_PIN_SOURCE:
    case P11_E_PIN:
        return APP_USAGE;
    default:
        return APP_REFUSED;
    }
}

static int make_in_token(struct lab *lab, const struct lab_token *token, const char *label,
                         unsigned usage, struct lab_key *key)
{
    struct p11_generate how = {P11_CURVE_P256, usage};
    enum p11_status status;
    p11_key *made = NULL;
    const uint8_t *point;
    size_t size = 0, deleted = 0;
    bool created = false;
    int result = APP_OK;

    if (!object_uri(token->uri, label, key->uri)) {
        app_error("%s: the URI is too long", token->uri);
        return APP_USAGE;
    }
    status = P11_OK;
    if (lab->reuse_keys)
        status = p11_key_open_uri(token->ctx, key->uri, NULL, NULL, &made);
    else if (lab->force)
        status = p11_delete(token->ctx, key->uri, NULL, NULL, &deleted);
    if (status == P11_E_NO_OBJECT)
        ERR_clear_error();
    if (made == NULL && (status == P11_OK || status == P11_E_NO_OBJECT)) {
        status = p11_key_generate(token->ctx, key->uri, &how, NULL, NULL, &made);
        created = status == P11_OK;
    }
    if (status != P11_OK) {
        app_error_openssl("%s: %s%s", key->uri, p11_status_text(status),
                          status == P11_E_EXISTS ? "; --force replaces it, --reuse-keys takes it"
                                                 : "");
        result = token_code(status);
        goto out;
    }
    point = p11_key_point(made, &size);
    if (!public_key(lab, point, size, &key->key)) {
        app_error_openssl("%s: its public key cannot be used, or there is no memory for it",
                          key->uri);
        result = APP_REFUSED;
    }
out:
    if (created)
        key->made = made;
    else
        p11_key_free(made);
    return result;
}

static void take_back(struct lab_key *key)
{
    if (key->made == NULL)
        return;
    ERR_clear_error();
    if (p11_key_delete(key->made) != P11_OK)
        app_error_openssl("%s stays in the token; --force replaces it", key->uri);
    p11_key_free(key->made);
    key->made = NULL;
}

void lab_keys_take_back(struct lab *lab)
{
    take_back(&lab->ra_tls);
    take_back(&lab->ra_encryption);
    for (int i = 0; i < LAB_CERTS; i++)
        take_back(&lab->keys[i]);
}

int lab_key_write(const struct lab *lab, const char *file, struct lab_key *key)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char path[LAB_PATH], *pem = NULL;
    long size;
    int result = APP_REFUSED;

    if (bio == NULL || PEM_write_bio_PrivateKey_ex(bio, key->key, NULL, NULL, 0, NULL, NULL,
                                                   lab->libctx, NULL) <= 0) {
        app_error_openssl("%s: the key cannot be written%s", file,
                          bio == NULL ? ": out of memory" : "");
        goto out;
    }
    size = BIO_get_mem_data(bio, &pem);
    result = lab_write(lab, file, pem, (size_t)size, 0600);
    if (snprintf(key->uri, sizeof(key->uri), "file:%s", lab_path(lab, file, path)) >=
        (int)sizeof(key->uri)) {
        app_error("%s: the path is too long", path);
        result = APP_USAGE;
    }
out:
    BIO_free(bio);
    return result;
}

int lab_key_make(struct lab *lab, const struct lab_token *token, const char *label, unsigned usage,
                 const char *file, struct lab_key *key)
{
    if (token != NULL && token->uri != NULL)
        return make_in_token(lab, token, label, usage, key);
    key->key = EVP_PKEY_Q_keygen(lab->libctx, "provider!=dot2hsm", "EC", "P-256");
    if (key->key == NULL) {
        app_error_openssl("a key cannot be made");
        return APP_REFUSED;
    }
    return lab_key_write(lab, file, key);
}
