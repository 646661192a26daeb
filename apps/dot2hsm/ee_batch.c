/*
 * ee_batch.c: a batch of pseudonym certificates, or one identification certificate: from the zip
 * file to a directory with certificates and keys. It is built as batch.new and renamed: all of it
 * is there or nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/ee_assemble.h"
#include "apps/dot2hsm/ee_zip.h"
#include "apps/dot2hsm/support.h"
#include "apps/dot2hsm/token.h"
#include "protocol/dot2/butterfly.h"

/* Entries that have an extension are skipped, and are counted here. */
#define ENTRIES_MAX (2 * DEVICE_BATCH_MAX)
#define NEW_BATCH "batch.new"

const char *device_batch_name(const struct device_batch *batch, char name[64])
{
    snprintf(name, 64, "%s-%s-%" PRIX32, device_kind_info(batch->kind)->name, batch->id, batch->i);
    return name;
}

/* ---- one certificate ---- */

struct work {
    struct device *device;
    const struct device_batch *wanted;
    struct device_batch *batch;
    struct device_seeds seeds;
    bool *over;
    uint32_t now;
    bool has[DEVICE_BATCH_MAX];
};

static int check_cert(struct work *work, const struct scms_cert_response *response,
                      struct dot2_chain *chain)
{
    struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = work->now};
    struct dot2_error error = {.status = DOT2_OK};
    const ToBeSignedCertificate_t *tbs = &dot2_cert_asn1(response->cert)->toBeSigned;

    if (tbs->appPermissions == NULL || tbs->certIssuePermissions != NULL ||
        tbs->certRequestPermissions != NULL) {
        app_error("the certificate is not one for applications");
        return APP_REFUSED;
    }
    /* j stands in no certificate: what is of another j has another key. */
    if (work->wanted->kind == DEVICE_PSEUDONYM &&
        (tbs->id.present != CertificateId_PR_linkageData ||
         tbs->id.choice.linkageData.iCert != (long)(work->wanted->i & 0xffff))) {
        app_error("the pseudonym certificate is not of period %" PRIX32, work->wanted->i);
        return APP_REFUSED;
    }
    /* Where its time is over, it must all the same have been good. */
    if (check.time < dot2_cert_start(response->cert))
        check.time = dot2_cert_start(response->cert);
    if (check.time > dot2_cert_end(response->cert)) {
        *work->over = true;
        check.time = dot2_cert_end(response->cert);
    }
    if (dot2_chain_verify(work->device->trust, response->cert, &check, chain, &error) != DOT2_OK) {
        command_error("the certificate", &error);
        return APP_REFUSED;
    }
    return APP_OK;
}

static int make_key(struct work *work, const struct scms_cert_response *response, uint32_t j,
                    const EVP_PKEY *expected, EVP_PKEY **key)
{
    struct device *device = work->device;
    struct dot2_expansion expansion = {.i = work->wanted->i, .j = j};
    struct dot2_error error = {.status = DOT2_OK};
    dot2_cert *issuer = dot2_trust_find(device->trust, dot2_cert_issuer(response->cert));
    int code = APP_REFUSED;

    memcpy(expansion.key, work->seeds.verify_expansion, sizeof(expansion.key));
    if (issuer == NULL)
        app_error("the issuer of the certificate is not known");
    else if (scms_butterfly_private(device->crypto, response, issuer, work->seeds.verify,
                                    &expansion, key, &error) != DOT2_OK)
        command_error("the certificate's private key", &error);
    else if (EVP_PKEY_eq(*key, expected) != 1)
        app_error("the certificate is for another key than the one that was asked for");
    else
        code = APP_OK;
    OPENSSL_cleanse(&expansion, sizeof(expansion));
    dot2_cert_free(issuer);
    return code;
}

/* A key in a token: what is to be deleted with the batch is on disk before it is there. */
static int put_key_in_token(const struct work *work, const EVP_PKEY *key, uint32_t j)
{
    char path[DEVICE_PATH], name[80], batch[64], uri[512];
    int code;

    snprintf(name, sizeof(name), "%s-%" PRIX32, device_batch_name(work->wanted, batch), j);
    code = device_token_uri(work->device->application_token, name, uri);
    if (code != APP_OK)
        return code;
    snprintf(name, sizeof(name), NEW_BATCH "/%" PRIX32 ".uri", j);
    code = app_file_write(device_path(work->device, name, path), (const uint8_t *)uri, strlen(uri),
                          0600);
    return code == APP_OK ? sealed_key_import(work->device, uri, key, P11_USAGE_SIGN) : code;
}

static int put_files(const struct work *work, const dot2_cert *cert, EVP_PKEY *key, uint32_t j)
{
    char path[DEVICE_PATH], name[64];
    const uint8_t *octets;
    size_t size = 0;
    int code;

    snprintf(name, sizeof(name), NEW_BATCH "/%" PRIX32 ".pem", j);
    if (work->device->application_token != NULL)
        code = put_key_in_token(work, key, j);
    else
        code = device_key_write(work->device, device_path(work->device, name, path), key);
    if (code != APP_OK)
        return code;
    snprintf(name, sizeof(name), NEW_BATCH "/%" PRIX32 ".oer", j);
    octets = dot2_cert_octets(cert, &size);
    return app_file_write(device_path(work->device, name, path), octets, size, 0644);
}

static int one_cert(struct work *work, uint32_t j, const uint8_t *octets, size_t size)
{
    struct device *device = work->device;
    struct dot2_expansion expansion = {.i = work->wanted->i, .j = j};
    struct dot2_error error = {.status = DOT2_OK};
    struct scms_cert_response response = {.cert = NULL};
    struct dot2_chain chain = {.key = NULL};
    EVP_PKEY *key = NULL;
    enum dot2_status status;
    int code = APP_REFUSED;

    memcpy(expansion.key, work->seeds.response_expansion, sizeof(expansion.key));
    status =
        scms_butterfly_response_open(device->crypto, device->trust, work->now, work->seeds.response,
                                     &expansion, octets, size, &response, &error);
    OPENSSL_cleanse(&expansion, sizeof(expansion));
    if (status != DOT2_OK) {
        command_error("the certificate response", &error);
        return status == DOT2_E_CRYPTO || status == DOT2_E_PROVIDER ? APP_UNREACHABLE : APP_REFUSED;
    }
    code = check_cert(work, &response, &chain);
    if (code == APP_OK)
        code = make_key(work, &response, j, chain.key, &key);
    if (code == APP_OK)
        code = put_files(work, response.cert, key, j);
    if (code == APP_OK) {
        uint32_t start = dot2_cert_start(response.cert), end = dot2_cert_end(response.cert);

        if (work->batch->count == 0 || start < work->batch->start)
            work->batch->start = start;
        if (end > work->batch->end)
            work->batch->end = end;
        work->batch->count++;
    }
    EVP_PKEY_free(key);
    dot2_chain_clear(&chain);
    scms_cert_response_clear(&response);
    return code;
}

/* ---- all of them ---- */

static int one_entry(struct work *work, zip_t *zip, zip_uint64_t index, const char *hash)
{
    const char *name = zip_get_name(zip, index, 0);
    uint8_t *octets = NULL;
    size_t size = 0;
    uint32_t j = 0;
    int code;

    if (name == NULL) {
        app_error("an entry of the zip file cannot be read");
        return APP_REFUSED;
    }
    if (strchr(name, '.') != NULL)
        return APP_OK;
    if (!device_zip_name(work->wanted, hash, name, &j) || work->has[j]) {
        app_error("the zip file has an entry that does not belong into it");
        return APP_REFUSED;
    }
    work->has[j] = true;
    code = device_zip_read(zip, index, &octets, &size);
    if (code == APP_OK)
        code = one_cert(work, j, octets, size);
    OPENSSL_free(octets);
    return code;
}

static int all_entries(struct work *work, const char *path, const char *hash)
{
    zip_t *zip = NULL;
    zip_uint64_t count;
    int code = device_zip_open(path, ENTRIES_MAX, &zip);

    if (code != APP_OK)
        return code;
    count = (zip_uint64_t)zip_get_num_entries(zip, 0);
    for (zip_uint64_t i = 0; code == APP_OK && i < count; i++)
        code = one_entry(work, zip, i, hash);
    zip_discard(zip);
    if (code == APP_OK && work->batch->count == 0) {
        app_error("the zip file has no certificates");
        code = APP_REFUSED;
    }
    return code;
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = fd >= 0 && fsync(fd) == 0 ? APP_OK : APP_REFUSED;

    if (fd >= 0)
        close(fd);
    return code;
}

static int put_in_place(const struct device *device, const struct device_batch *batch)
{
    char from[DEVICE_PATH], to[DEVICE_PATH], name[64];

    device_path(device, NEW_BATCH, from);
    device_path(device, device_batch_name(batch, name), to);
    if (sync_directory(from) == APP_OK && rename(from, to) == 0 &&
        sync_directory(device->dir) == APP_OK)
        return APP_OK;
    app_error("%s: %s", to, strerror(errno));
    return APP_REFUSED;
}

int device_batch_install(struct device *device, const struct device_batch *wanted, const char *hash,
                         const char *zip, struct device_batch *batch, bool *over)
{
    struct work work = {.device = device, .wanted = wanted, .batch = batch, .over = over};
    char path[DEVICE_PATH], name[64];
    int code = device_batch_delete(device, NEW_BATCH);

    *batch = *wanted;
    batch->count = batch->start = batch->end = 0;
    *over = false;
    /* Left by a run that was killed before its state said so. */
    if (code == APP_OK)
        code = device_batch_delete(device, device_batch_name(wanted, name));
    if (code == APP_OK && mkdir(device_path(device, NEW_BATCH, path), 0700) != 0) {
        app_error("%s: %s", path, strerror(errno));
        code = APP_REFUSED;
    }
    if (code == APP_OK && device_now(device, &work.now) != APP_OK)
        code = APP_REFUSED;
    if (code == APP_OK)
        code = device_seeds_open(device, wanted->kind, wanted->id, &work.seeds);
    if (code == APP_OK)
        code = all_entries(&work, zip, hash);
    device_seeds_clear(&work.seeds);
    unlink(zip);
    if (code == APP_OK && !*over)
        return put_in_place(device, batch);
    if (device_batch_delete(device, NEW_BATCH) != APP_OK && code == APP_OK)
        code = APP_REFUSED;
    return code;
}

/* The URI that a file J.uri holds. */
static int read_uri(const char *path, char *uri)
{
    uint8_t *octets = NULL;
    size_t size = 0;
    int code = app_file_read(path, 511, &octets, &size);

    if (code == APP_OK)
        snprintf(uri, 512, "%.*s", (int)size, (const char *)octets);
    OPENSSL_free(octets);
    return code;
}

/* A file of a batch; for J.uri, its key in the token before it. */
static int delete_file(struct device *device, DIR *directory, const char *path, const char *name)
{
    const char *end = strrchr(name, '.');
    char file[DEVICE_PATH + 300], uri[512];
    int code = APP_OK;

    if (end != NULL && strcmp(end, ".uri") == 0) {
        snprintf(file, sizeof(file), "%s/%s", path, name);
        code = read_uri(file, uri);
        if (code == APP_OK)
            code = device_key_delete(device, uri);
    }
    if (code == APP_OK && unlinkat(dirfd(directory), name, 0) != 0)
        code = APP_REFUSED;
    return code;
}

int device_batch_delete(struct device *device, const char *name)
{
    char path[DEVICE_PATH];
    DIR *directory = opendir(device_path(device, name, path));
    const struct dirent *entry;
    int code = APP_OK;

    if (directory == NULL && errno == ENOENT)
        return APP_OK;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            delete_file(device, directory, path, entry->d_name) != APP_OK)
            code = APP_REFUSED;
    }
    if (directory != NULL)
        closedir(directory);
    if (code != APP_OK || rmdir(path) != 0) {
        app_error("%s: cannot be removed", path);
        return APP_REFUSED;
    }
    return APP_OK;
}

int device_batch_list(const struct device *device, const struct device_batch *batch,
                      uint32_t list[DEVICE_BATCH_MAX], size_t *count)
{
    char path[DEVICE_PATH], name[64];
    DIR *directory = opendir(device_path(device, device_batch_name(batch, name), path));
    const struct dirent *entry;

    *count = 0;
    while (directory != NULL && *count < DEVICE_BATCH_MAX && (entry = readdir(directory)) != NULL) {
        const char *end = strchr(entry->d_name, '.');

        if (end != NULL && strcmp(end, ".oer") == 0 &&
            device_zip_hex(entry->d_name, '.', &list[*count]))
            ++*count;
    }
    if (directory != NULL)
        closedir(directory);
    else
        app_error("%s: %s", path, strerror(errno));
    if (*count > 0)
        return APP_OK;
    app_error("%s: its certificates cannot be read", path);
    return APP_REFUSED;
}

int device_batch_open(struct device *device, const struct device_batch *batch, uint32_t j,
                      dot2_cert **cert, char *uri)
{
    char path[DEVICE_PATH], name[64], file[96];

    device_batch_name(batch, name);
    snprintf(file, sizeof(file), "%s/%" PRIX32 ".uri", name, j);
    if (device_has(device, file)) {
        int code = read_uri(device_path(device, file, path), uri);

        if (code != APP_OK)
            return code;
    } else if (snprintf(uri, 512, "file:%s/%s/%" PRIX32 ".pem", device->dir, name, j) >= 512) {
        app_error("%s: the path is too long", device->dir);
        return APP_USAGE;
    }
    snprintf(file, sizeof(file), "%s/%" PRIX32 ".oer", name, j);
    return device_read_cert(device, device_path(device, file, path), cert);
}
