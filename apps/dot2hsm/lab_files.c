#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "apps/dot2hsm/lab_run.h"
#include "apps/dot2hsm/ra_options.h"
#include "apps/dot2hsm/support.h"

#include "asn1/types.h"

#define SAMPLE_SIZE ((size_t)256 << 10)
#define SECOND_SIZE ((size_t)4 << 10)
#define FILE_MAX ((size_t)1 << 30)

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
    struct lab_zip_entry entry = {.size = sample};
    uint8_t *data = NULL, *zip = NULL;
    size_t size = 0, zip_size = 0;
    int result = APP_REFUSED;

    snprintf(path, sizeof(path), "ra/download/%s", name);
    if (from != NULL) {
        result = app_file_read(from, FILE_MAX, &data, &size);
        if (result == APP_OK)
            result = lab_write(lab, path, data, size, 0644);
        goto out;
    }
    snprintf(entry.name, sizeof(entry.name), "%s", inner);
    entry.octets = data = OPENSSL_malloc(sample);
    if (data == NULL || RAND_bytes(data, (int)sample) <= 0)
        app_error_openssl("%s cannot be made%s", path, data == NULL ? ": out of memory" : "");
    else
        result = lab_zip_make(&entry, 1, &zip, &zip_size);
    if (result == APP_OK)
        result = lab_write(lab, path, zip, zip_size, 0644);
out:
    OPENSSL_free(data);
    free(zip);
    return result;
}

static int assign(ra_store *store, const char *name, const dot2_cert *cert)
{
    size_t size = 0;
    const uint8_t *hash = dot2_cert_hash(cert, &size);
    enum ra_store_status status = ra_file_assign(store, name, hash, size);

    if (status == RA_STORE_OK)
        return APP_OK;
    ra_options_store_error(store, status, name);
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

    if (file == NULL) {
        app_error("chain file: out of memory");
        return APP_REFUSED;
    }
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

        if (copy != NULL)
            *copy = *dot2_cert_asn1(lab->certs[certs[i]]);
        if (copy == NULL || !coer_list_add(lab->arena, &local->requiredCertStore.certs, copy)) {
            app_error("chain file: out of memory");
            return APP_REFUSED;
        }
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
