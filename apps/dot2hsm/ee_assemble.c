/* ee_assemble.c: keys in a token that were assembled on the host (ee_assemble.h). */
#include "apps/dot2hsm/ee_assemble.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "apps/dot2hsm/support.h"
#include "apps/dot2hsm/token.h"

#define SEALED_NAME "DOT2HSM SEALED KEY"
#define SEALED_MAX 8192
/* Within what an unprivileged process could lock before Linux 5.16; a power of two. */
#define HEAP_SIZE 32768
#define HEAP_LEAST 32

int sealed_secrets(void)
{
    static int heap; /* 1: the heap is locked, and not dumped */
    const struct rlimit none = {0, 0};

    if (heap == 0)
        heap = CRYPTO_secure_malloc_init(HEAP_SIZE, HEAP_LEAST);
    if (heap == 1 && setrlimit(RLIMIT_CORE, &none) == 0)
        return APP_OK;
    app_error("memory cannot be locked for a private key (RLIMIT_MEMLOCK): it is not made here");
    return APP_REFUSED;
}

/* ---- the sealing key ---- */

/* Is `attribute` one of these, up to its '='? */
static bool named(const char *attribute, const char *name)
{
    return strncmp(attribute, name, strlen(name)) == 0;
}

int sealed_key_uri(const char *uri, char seal[512])
{
    const char *at = uri + strlen("pkcs11:"), *query = uri + strcspn(uri, "?");
    bool found = false;
    size_t used;

    snprintf(seal, 512, "pkcs11:");
    while (at < query) {
        size_t length = strcspn(at, ";?");

        used = strlen(seal);
        if (!named(at, "id=") && !named(at, "type=")) {
            found = found || named(at, "object=");
            snprintf(seal + used, 512 - used, "%s%.*s%s", seal[used - 1] == ':' ? "" : ";",
                     (int)length, at, named(at, "object=") ? "-seal" : "");
        }
        at += length + (at[length] == ';' ? 1 : 0);
    }
    used = strlen(seal);
    if (found && snprintf(seal + used, 512 - used, "%s", query) < (int)(512 - used))
        return APP_OK;
    app_error(found ? "the name of a key is too long"
                    : "a key that is assembled on the host needs object= in its URI");
    return APP_USAGE;
}

static int open_sealing(struct device *device, const char *uri, EVP_PKEY **sealing)
{
    struct dot2_error error = {.status = DOT2_OK};
    char seal[512];
    int code = sealed_key_uri(uri, seal);

    if (code == APP_OK)
        code = app_key_open(device->libctx, seal, sealing);
    if (code == APP_OK && dot2_decrypt_check(device->crypto, *sealing, NULL, &error) != DOT2_OK) {
        command_error("the sealing key", &error);
        code = APP_REFUSED;
    }
    return code;
}

/* ---- the file ---- */

static int write_sealed(const char *path, const EVP_PKEY *key, const uint8_t *octets, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    long pem_size = 0;
    int code = APP_REFUSED;

    if (bio == NULL || PEM_write_bio_PUBKEY(bio, (EVP_PKEY *)(uintptr_t)key) <= 0 ||
        PEM_write_bio(bio, SEALED_NAME, "", octets, (long)size) <= 0 ||
        (pem_size = BIO_get_mem_data(bio, &pem)) <= 0)
        app_error_openssl("%s: the sealed key cannot be written%s", path,
                          bio == NULL ? ": out of memory" : "");
    else
        code = app_file_write(path, (const uint8_t *)pem, (size_t)pem_size, 0600);
    BIO_free(bio);
    return code;
}

/* Both parts, and nothing else in between. *octets is OPENSSL_free'd. */
static int read_sealed(const struct device *device, const char *path, EVP_PKEY **public_key,
                       uint8_t **octets, size_t *size)
{
    uint8_t *text = NULL;
    char *name = NULL, *header = NULL;
    size_t text_size = 0;
    long sealed_size = 0;
    BIO *bio = NULL;
    int code = app_file_read(path, SEALED_MAX, &text, &text_size);

    *public_key = NULL;
    if (code != APP_OK)
        return code;
    bio = BIO_new_mem_buf(text, (int)text_size);
    if (bio != NULL)
        *public_key =
            PEM_read_bio_PUBKEY_ex(bio, NULL, NULL, NULL, device->libctx, "provider!=dot2hsm");
    if (bio == NULL) {
        app_error("%s: out of memory", path);
        code = APP_REFUSED;
    } else if (*public_key == NULL ||
               PEM_read_bio(bio, &name, &header, octets, &sealed_size) <= 0 ||
               strcmp(name, SEALED_NAME) != 0) {
        ERR_clear_error();
        app_error("%s: not a sealed key", path);
        code = APP_REFUSED;
    }
    *size = (size_t)sealed_size;
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(text);
    BIO_free(bio);
    return code;
}

static int make_file(struct device *device, const char *path, EVP_PKEY *sealing)
{
    struct dot2_error error = {.status = DOT2_OK};
    EVP_PKEY *key = NULL;
    uint8_t *octets = NULL;
    size_t size = 0;
    int code = APP_REFUSED;

    if (dot2_key_make(device->crypto, DOT2_CURVE_P256, &key, &error) != DOT2_OK ||
        dot2_key_seal(device->crypto, sealing, key, &octets, &size, &error) != DOT2_OK)
        command_error("a sealed key", &error);
    else
        code = write_sealed(path, key, octets, size);
    OPENSSL_free(octets);
    EVP_PKEY_free(key);
    return code;
}

int sealed_key_make(struct device *device, const char *path, const char *uri, EVP_PKEY **public_key)
{
    EVP_PKEY *sealing = NULL;
    uint8_t *octets = NULL;
    char seal[512];
    size_t size = 0;
    int code = APP_OK;

    *public_key = NULL;
    if (access(path, F_OK) != 0) {
        code = sealed_secrets();
        if (code == APP_OK)
            code = sealed_key_uri(uri, seal);
        if (code == APP_OK)
            code = device_leftovers_delete(device, seal);
        if (code == APP_OK)
            code = device_token_key_make(device, seal, P11_USAGE_DERIVE);
        if (code == APP_OK)
            code = open_sealing(device, uri, &sealing);
        if (code == APP_OK)
            code = make_file(device, path, sealing);
        EVP_PKEY_free(sealing);
    }
    if (code == APP_OK)
        code = read_sealed(device, path, public_key, &octets, &size);
    OPENSSL_free(octets);
    return code;
}

int sealed_key_open(struct device *device, const char *path, const char *uri, EVP_PKEY **key)
{
    struct dot2_error error = {.status = DOT2_OK};
    EVP_PKEY *sealing = NULL, *public_key = NULL;
    uint8_t *octets = NULL;
    size_t size = 0;
    int code = sealed_secrets();

    *key = NULL;
    if (code == APP_OK)
        code = read_sealed(device, path, &public_key, &octets, &size);
    if (code == APP_OK)
        code = open_sealing(device, uri, &sealing);
    if (code != APP_OK)
        goto out;
    if (dot2_key_unseal(device->crypto, sealing, octets, size, key, &error) != DOT2_OK) {
        command_error(path, &error);
        code = APP_REFUSED;
    } else if (EVP_PKEY_eq(*key, public_key) != 1) {
        app_error("%s: what is sealed is another key than the one that the file shows", path);
        EVP_PKEY_free(*key);
        *key = NULL;
        code = APP_REFUSED;
    }
out:
    OPENSSL_free(octets);
    EVP_PKEY_free(sealing);
    EVP_PKEY_free(public_key);
    return code;
}

int sealed_key_drop(struct device *device, const char *path, const char *uri)
{
    char seal[512];
    int code;

    if (unlink(path) != 0 && errno != ENOENT) {
        app_error("%s: %s", path, strerror(errno));
        return APP_REFUSED;
    }
    code = sealed_key_uri(uri, seal);
    return code == APP_OK ? device_key_delete(device, seal) : code;
}

/* ---- into the token ---- */

/* The point of a key, 04 || x || y. */
static bool point_of(const EVP_PKEY *key, uint8_t point[97], size_t *size)
{
    uint8_t *encoded = NULL;

    *size = EVP_PKEY_get1_encoded_public_key((EVP_PKEY *)(uintptr_t)key, &encoded);
    if (*size > 0 && *size <= 97)
        memcpy(point, encoded, *size);
    OPENSSL_free(encoded);
    return (*size == 65 || *size == 97) && point[0] == 4;
}

/* What stands at the URI: the key itself (APP_OK), nothing (P11_E_NO_OBJECT), another key. */
static enum p11_status look(p11_ctx *ctx, const char *uri, const struct p11_import *what)
{
    const uint8_t *point;
    p11_key *there = NULL;
    size_t size = 0;
    enum p11_status status = p11_key_open_uri(ctx, uri, token_prompt, NULL, &there);

    if (status == P11_OK) {
        point = p11_key_point(there, &size);
        if (size != what->point_size || memcmp(point, what->point, size) != 0)
            status = P11_E_EXISTS;
    }
    p11_key_free(there);
    return status;
}

static enum p11_status put(p11_ctx *ctx, const char *uri, const struct p11_import *what)
{
    p11_key *key = NULL;
    size_t deleted = 0;
    enum p11_status status = look(ctx, uri, what);

    if (status != P11_E_NO_OBJECT)
        return status;
    ERR_clear_error();
    /* A public key without its private one, left by a run that was killed in between. */
    status = p11_delete(ctx, uri, token_prompt, NULL, &deleted);
    if (status == P11_OK || status == P11_E_NO_OBJECT) {
        ERR_clear_error();
        status = p11_key_import(ctx, uri, what, token_prompt, NULL, &key);
    }
    p11_key_free(key);
    return status;
}

int sealed_key_import(struct device *device, const char *uri, const EVP_PKEY *key, unsigned usage)
{
    struct dot2_error error = {.status = DOT2_OK};
    uint8_t point[97], *number = NULL;
    struct p11_import what = {.curve = P11_CURVE_P256, .usage = usage, .point = point};
    p11_ctx *ctx = NULL;
    enum p11_status status;
    int code = sealed_secrets();

    if (code == APP_OK)
        code = token_open(&device->provider, device->conf, &ctx);
    if (code != APP_OK)
        return code;
    number = OPENSSL_secure_malloc(48);
    if (number == NULL) {
        app_error("the key cannot be put into the token: out of memory");
        code = APP_REFUSED;
    } else if (dot2_key_curve(key) != DOT2_CURVE_P256 || !point_of(key, point, &what.point_size)) {
        app_error("the key cannot be put into the token: not a software key on P-256");
        code = APP_REFUSED;
    } else if (dot2_key_number(key, number, &what.number_size, &error) != DOT2_OK) {
        command_error("the key cannot be put into the token", &error);
        code = APP_REFUSED;
    } else {
        what.number = number;
        status = put(ctx, uri, &what);
        code = status == P11_OK ? APP_OK : token_failed(status, uri);
    }
    OPENSSL_secure_clear_free(number, 48);
    p11_ctx_free(ctx);
    return code;
}

/* ---- application certificates ---- */

int assemble_allowed(const struct device *device)
{
    if (device->assemble)
        return APP_OK;
    app_error("the request that is under way has its key on the host until the response, and "
              "assemble-key-on-host is not set");
    return APP_USAGE;
}

static const char *path_of(const struct device *device, const char *id, char path[DEVICE_PATH])
{
    char name[64];

    snprintf(name, sizeof(name), "request-%s.verify.sealed", id);
    return device_path(device, name, path);
}

bool assemble_pending(const struct device *device, const char *id)
{
    char path[DEVICE_PATH];

    return access(path_of(device, id, path), F_OK) == 0;
}

bool assemble_applies(const struct device *device, const char *id, bool begun)
{
    return device->application_token != NULL &&
           (assemble_pending(device, id) || (device->assemble && !begun));
}

int assemble_key_make(struct device *device, const char *id, const char *uri, EVP_PKEY **key)
{
    char path[DEVICE_PATH];
    int code = assemble_allowed(device);

    return code == APP_OK ? sealed_key_make(device, path_of(device, id, path), uri, key) : code;
}

int assemble_key_open(struct device *device, const char *id, const char *uri, EVP_PKEY **key)
{
    char path[DEVICE_PATH];
    int code = assemble_allowed(device);

    return code == APP_OK ? sealed_key_open(device, path_of(device, id, path), uri, key) : code;
}

void assemble_obsolete(struct device *device, const char *id, const char *uri)
{
    char seal[512];

    if (device->application_token != NULL && (device->assemble || assemble_pending(device, id)) &&
        sealed_key_uri(uri, seal) == APP_OK)
        device_obsolete(device, seal);
}

const char *assemble_origin(struct device *device, const char *uri)
{
    static const char missing[] = "missing: the next sync asks for another certificate";
    const char *text = "unknown: the token does not show it";
    enum p11_status status = P11_E_NO_TOKEN;
    p11_objects *objects = NULL;
    p11_ctx *ctx = NULL;

    if (strncmp(uri, "pkcs11:", strlen("pkcs11:")) != 0)
        return device_key_gone(device, uri) ? missing : "a file";
    /* One login and no more: a second try of a wrong PIN could lock the token. */
    if (token_open(&device->provider, device->conf, &ctx) == APP_OK)
        status = p11_find(ctx, uri, P11_PRIVATE, NULL, NULL, &objects);
    if (status == P11_OK && p11_objects_count(objects) == 1)
        text = p11_objects_get(objects, 0)->local ? "made in the token"
                                                  : "put into the token, not made there";
    else if (status == P11_E_NO_OBJECT || (status == P11_OK && p11_objects_count(objects) == 0))
        text = missing;
    ERR_clear_error();
    p11_objects_free(objects);
    p11_ctx_free(ctx);
    return text;
}
