/*
 * ee_seeds.c: the seeds of an order for butterfly keys: two seed keys, and the AES keys of their
 * expansion functions.
 *
 * The response encryption seed key does one ECDH for each certificate and may so be in a token. A
 * certificate's private key is e (a + f) + s of the verification seed key a, which no mechanism of
 * PKCS#11 computes: a is a software key, mode 0600, or, where the device's keys are in a token, a
 * file that is sealed to a key in it, opened for each batch (ee_assemble.h).
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "apps/dot2hsm/ee_assemble.h"

#define EXPANSION 16

/* Both in one file, mode 0600: who knows them can tell which certificates are one device's. */
static void expansions_path(const struct device *device, const char *id, char *path)
{
    char name[64];

    snprintf(name, sizeof(name), "request-%s.expansions", id);
    device_path(device, name, path);
}

static int expansions_open(const struct device *device, const char *id, struct device_seeds *seeds)
{
    char path[DEVICE_PATH];
    uint8_t *octets = NULL;
    size_t size = 0;
    int code;

    expansions_path(device, id, path);
    code = app_file_read(path, 2 * EXPANSION, &octets, &size);
    if (code == APP_OK && size != 2 * EXPANSION) {
        app_error("%s: not two keys of %d octets", path, EXPANSION);
        code = APP_REFUSED;
    }
    if (code == APP_OK) {
        memcpy(seeds->verify_expansion, octets, EXPANSION);
        memcpy(seeds->response_expansion, octets + EXPANSION, EXPANSION);
    }
    OPENSSL_clear_free(octets, size);
    return code;
}

static int expansions_make(const struct device *device, const char *id)
{
    char path[DEVICE_PATH];
    uint8_t octets[2 * EXPANSION];
    int code;

    expansions_path(device, id, path);
    if (access(path, F_OK) == 0)
        return APP_OK;
    if (RAND_bytes(octets, sizeof(octets)) <= 0) {
        app_error_openssl("no random octets");
        return APP_REFUSED;
    }
    code = app_file_write(path, octets, sizeof(octets), 0600);
    OPENSSL_cleanse(octets, sizeof(octets));
    return code;
}

/* The response encryption seed key and the expansions, which are alike wherever the other key is.
 */
static int open_others(struct device *device, enum device_kind kind, const char *id,
                       struct device_seeds *seeds)
{
    char uri[512];
    int code = device_key_uri(device, kind, id, DEVICE_KEY_RESPONSE, uri);

    if (code == APP_OK)
        code = app_key_open(device->libctx, uri, &seeds->response);
    return code == APP_OK ? expansions_open(device, id, seeds) : code;
}

int device_seeds_make(struct device *device, enum device_kind kind, const char *id,
                      struct device_seeds *seeds)
{
    char uri[512];
    int code = device_key_uri(device, kind, id, DEVICE_KEY_VERIFY, uri);

    memset(seeds, 0, sizeof(*seeds));
    if (code == APP_OK && device->application_token != NULL)
        code = assemble_key_make(device, id, uri, &seeds->verify);
    else if (code == APP_OK)
        code = device_key_make(device, kind, id, DEVICE_KEY_VERIFY, uri);
    if (code == APP_OK && device->application_token == NULL)
        code = app_key_open(device->libctx, uri, &seeds->verify);
    if (code == APP_OK)
        code = device_key_make(device, kind, id, DEVICE_KEY_RESPONSE, uri);
    if (code == APP_OK)
        code = expansions_make(device, id);
    return code == APP_OK ? open_others(device, kind, id, seeds) : code;
}

int device_seeds_open(struct device *device, enum device_kind kind, const char *id,
                      struct device_seeds *seeds)
{
    char uri[512];
    int code = device_key_uri(device, kind, id, DEVICE_KEY_VERIFY, uri);

    memset(seeds, 0, sizeof(*seeds));
    if (code == APP_OK && assemble_pending(device, id))
        code = assemble_key_open(device, id, uri, &seeds->verify);
    else if (code == APP_OK)
        code = app_key_open(device->libctx, uri, &seeds->verify);
    return code == APP_OK ? open_others(device, kind, id, seeds) : code;
}

void device_seeds_clear(struct device_seeds *seeds)
{
    EVP_PKEY_free(seeds->verify);
    EVP_PKEY_free(seeds->response);
    OPENSSL_cleanse(seeds, sizeof(*seeds));
}
