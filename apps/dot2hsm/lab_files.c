#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "apps/dot2hsm/lab.h"
#include "apps/dot2hsm/support.h"
#include "protocol/ra/ra.h"

#include "asn1/types.h"

#define SAMPLE_SIZE ((size_t)256 << 10)
#define SECOND_SIZE ((size_t)4 << 10)
#define FILE_MAX ((size_t)1 << 30)

/* ---- a zip file with one stored entry (APPNOTE 6.3: local header, central directory, end) ---- */

static uint32_t crc32_of(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static uint8_t *put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    return to + 2;
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
    return put16(put16(to, value), value >> 16);
}

/* What the local header and the central directory have in common. */
static uint8_t *put_entry(uint8_t *to, uint32_t crc, size_t size, size_t name_size)
{
    to = put16(to, 10);   /* version needed: 1.0 */
    to = put16(to, 0);    /* flags */
    to = put16(to, 0);    /* method: stored */
    to = put16(to, 0);    /* time: 00:00 */
    to = put16(to, 0x21); /* date: 1980-01-01, the first there is */
    to = put32(to, crc);
    to = put32(to, (uint32_t)size);
    to = put32(to, (uint32_t)size);
    to = put16(to, (uint32_t)name_size);
    return put16(to, 0); /* no extra field */
}

/* *zip is OPENSSL_free'd by the caller; NULL if there is no memory. */
static uint8_t *make_zip(const char *name, const uint8_t *data, size_t size, size_t *zip_size)
{
    size_t name_size = strlen(name);
    uint8_t *zip = OPENSSL_zalloc(size + 2 * name_size + 30 + 46 + 22), *to = zip;
    uint32_t crc = crc32_of(data, size), directory;

    if (zip == NULL)
        return NULL;
    to = put32(to, 0x04034b50);
    to = put_entry(to, crc, size, name_size);
    memcpy(to, name, name_size);
    memcpy(to + name_size, data, size);
    to += name_size + size;
    directory = (uint32_t)(to - zip);
    to = put32(to, 0x02014b50);
    to = put16(to, 10);
    to = put_entry(to, crc, size, name_size);
    to += 14; /* no comment, disk 0, no attributes, header at 0 */
    memcpy(to, name, name_size);
    to += name_size;
    to = put32(to, 0x06054b50);
    to = put32(to, 0); /* disk 0, directory on disk 0 */
    to = put16(to, 1);
    to = put16(to, 1);
    to = put32(to, (uint32_t)(to - zip) - 12 - directory);
    to = put32(to, directory);
    to = put16(to, 0); /* no comment */
    *zip_size = (size_t)(to - zip);
    return zip;
}

/* ---- files to download ---- */

/* 16 upper case hexadecimal digits at random: in the field, the hash of the device's request. */
static bool random_name(char name[17])
{
    uint8_t octets[8];

    if (RAND_bytes(octets, sizeof(octets)) <= 0)
        return false;
    for (size_t i = 0; i < sizeof(octets); i++)
        snprintf(name + 2 * i, 3, "%02X", octets[i]);
    return true;
}

/* Random octets in a zip, or the file that --file named. */
static int make_download(const struct lab *lab, const char *from, size_t sample, const char *inner,
                         const char *name)
{
    char path[LAB_PATH];
    uint8_t *data = NULL, *zip = NULL;
    size_t size = sample, zip_size = 0;
    int result = APP_REFUSED;

    snprintf(path, sizeof(path), "ra/download/%s", name);
    if (from != NULL) {
        result = app_file_read(from, FILE_MAX, &data, &size);
        if (result == APP_OK)
            result = lab_write(lab, path, data, size, 0644);
        goto out;
    }
    data = OPENSSL_malloc(size);
    if (data != NULL && RAND_bytes(data, (int)size) > 0)
        zip = make_zip(inner, data, size, &zip_size);
    if (zip == NULL)
        app_error_openssl("%s cannot be made", path);
    else
        result = lab_write(lab, path, zip, zip_size, 0644);
out:
    OPENSSL_free(data);
    OPENSSL_free(zip);
    return result;
}

static int assign(ra_store *store, const char *name, const dot2_cert *cert)
{
    size_t size = 0;
    const uint8_t *hash = dot2_cert_hash(cert, &size);
    enum ra_store_status status = ra_file_assign(store, name, hash, size);

    if (status == RA_STORE_OK)
        return APP_OK;
    app_error("%s: %s", name, ra_store_status_text(status));
    return APP_UNREACHABLE;
}

static int make_store(const struct lab *lab)
{
    char path[LAB_PATH], text[256] = "";
    ra_store *store = NULL;
    int result;

    if (ra_store_open(lab_path(lab, "ra/store.sqlite", path), true, &store, text, sizeof(text)) !=
        RA_STORE_OK) {
        app_error("%s: %s", path, text);
        return APP_UNREACHABLE;
    }
    result = assign(store, lab->rse_file, lab->certs[LAB_RSE]);
    if (result == APP_OK)
        result = assign(store, lab->obe_file, lab->certs[LAB_OBE]);
    ra_store_close(store);
    return result;
}

/* ---- the local certificate chain file ---- */

/* Nothing is endorsed: a lab has no electors, and devices get its root by hand. */
static int make_chain_file(const struct lab *lab)
{
    static const enum lab_cert certs[] = {LAB_ROOT, LAB_ICA, LAB_ECA, LAB_PCA, LAB_PG, LAB_RA};
    LocalCertificateChainFile_t *local;
    ScmsFile_t *file = coer_arena_alloc(lab->arena, sizeof(*file));
    struct coer_error error = {0};
    char line[COER_PATH_SIZE + 160];
    uint8_t *octets = NULL;
    size_t size = 0;
    int result;

    if (file == NULL)
        return APP_REFUSED;
    file->version = 1;
    file->content.present = ScmsFileContent_PR_cert_chain;
    file->content.choice.cert_chain.present = CertificateChainFiles_PR_localCertificateChainFile;
    local = &file->content.choice.cert_chain.choice.localCertificateChainFile;
    local->version.gccfVersion = 1;
    local->version.lccfVersion = 1;
    coer_octets_view(&local->version.raHostname, lab->host, strlen(lab->host));
    local->requiredCertStore.maCertificate = *dot2_cert_asn1(lab->certs[LAB_MA]);
    for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++) {
        CertificateBase_t *copy = coer_arena_alloc(lab->arena, sizeof(*copy));

        if (copy == NULL)
            return APP_REFUSED;
        *copy = *dot2_cert_asn1(lab->certs[certs[i]]);
        if (!coer_list_add(lab->arena, &local->requiredCertStore.certs, copy))
            return APP_REFUSED;
    }
    if (coer_encode_alloc(&asn_DEF_ScmsFile, file, &octets, &size, &error) != COER_OK) {
        app_error("chain file: %s", coer_error_format(&error, line, sizeof(line)));
        return APP_REFUSED;
    }
    result = lab_write(lab, LAB_CHAIN_FILE, octets, size, 0644);
    free(octets);
    return result;
}

int lab_make_files(struct lab *lab)
{
    char rse[17], obe[17], inner[24];
    int result;

    if (!random_name(rse) || !random_name(obe)) {
        app_error_openssl("no random octets");
        return APP_REFUSED;
    }
    /* The road-side unit's application certificate, and the first of a batch of the on-board unit.
     */
    snprintf(lab->rse_file, sizeof(lab->rse_file), "%s.zip", rse);
    snprintf(lab->obe_file, sizeof(lab->obe_file), "%s_0.zip", obe);
    snprintf(inner, sizeof(inner), "%s_0", obe);
    result = make_download(lab, lab->file, SAMPLE_SIZE, rse, lab->rse_file);
    if (result == APP_OK)
        result = make_download(lab, NULL, SECOND_SIZE, inner, lab->obe_file);
    if (result == APP_OK)
        result = make_store(lab);
    if (result == APP_OK)
        result = make_chain_file(lab);
    return result;
}
