/* ee_chain.c: certificates of a local certificate chain file, as far as an anchor vouches. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>

#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/input.h"

#include "asn1/types.h"

#define CHAIN_CERTS_MAX 1024

struct set {
    dot2_cert *certs[CHAIN_CERTS_MAX];
    size_t count;
};

static bool take(const struct device *device, struct set *set, const void *asn1)
{
    struct coer_span span = {0};

    if (set->count == CHAIN_CERTS_MAX || !coer_span_of(&asn_DEF_CertificateBase, asn1, &span))
        return false;
    return dot2_cert_new(device->crypto, span.data, span.size, &set->certs[set->count], NULL) ==
                   DOT2_OK
               ? ++set->count > 0
               : true; /* a certificate that is none is left out, as one that does not chain is */
}

static bool take_all(const struct device *device, struct set *set,
                     const LocalCertificateChainFile_t *file)
{
    const CertificateStore_t *store = &file->requiredCertStore;
    bool ok = take(device, set, &store->maCertificate);

    for (int i = 0; ok && i < store->certs.list.count; i++)
        ok = take(device, set, store->certs.list.array[i]);
    for (int i = 0; ok && i < file->optionalCertList.list.count; i++)
        ok = take(device, set, file->optionalCertList.list.array[i]);
    return ok;
}

/* A trust takes any certificate and believes none but those that chain to its anchors. */
static int judge(struct set *set, dot2_trust *trust, uint32_t time32, unsigned *added,
                 unsigned *left)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = time32};

    for (size_t i = 0; i < set->count; i++) {
        if (!dot2_cert_is_self_issued(set->certs[i]) &&
            dot2_trust_add(trust, set->certs[i]) != DOT2_OK)
            return APP_REFUSED;
    }
    for (size_t i = 0; i < set->count; i++)
        (*(dot2_chain_verify(trust, set->certs[i], &check, NULL, NULL) == DOT2_OK ? added
                                                                                  : left))++;
    ERR_clear_error();
    return APP_OK;
}

bool device_chain_version(const char *path, unsigned *gccf, unsigned *lccf)
{
    coer_arena *arena = coer_arena_new();
    const CertificateChainFiles_t *files;
    uint8_t *octets = NULL;
    size_t size = 0;
    void *value = NULL;
    bool ok = arena != NULL && app_file_read(path, INPUT_MAX, &octets, &size) == APP_OK &&
              coer_decode(arena, &asn_DEF_ScmsFile, octets, size, &value, NULL) == COER_OK &&
              ((const ScmsFile_t *)value)->content.present == ScmsFileContent_PR_cert_chain;

    if (ok) {
        files = &((const ScmsFile_t *)value)->content.choice.cert_chain;
        ok = files->present == CertificateChainFiles_PR_localCertificateChainFile;
        if (ok) {
            *gccf = (unsigned)files->choice.localCertificateChainFile.version.gccfVersion;
            *lccf = (unsigned)files->choice.localCertificateChainFile.version.lccfVersion;
        }
    }
    coer_arena_free(arena);
    OPENSSL_free(octets);
    return ok;
}

int device_chain_load(const struct device *device, dot2_trust *trust, const char *path,
                      uint32_t time32, unsigned *added, unsigned *left)
{
    const LocalCertificateChainFile_t *local;
    coer_arena *arena = coer_arena_new();
    struct coer_error error = {0};
    char line[COER_PATH_SIZE + 160], host[256];
    struct set *set = OPENSSL_zalloc(sizeof(*set));
    unsigned ignored_added = 0, ignored_left = 0;
    const ScmsFile_t *file;
    uint8_t *octets = NULL;
    size_t size = 0;
    void *value = NULL;
    int code = app_file_read(path, INPUT_MAX, &octets, &size);

    if (code != APP_OK)
        goto out;
    code = APP_REFUSED;
    if (arena == NULL || set == NULL ||
        coer_decode(arena, &asn_DEF_ScmsFile, octets, size, &value, &error) != 0) {
        app_error("%s: %s", path, coer_error_format(&error, line, sizeof(line)));
        goto out;
    }
    file = value;
    if (file->content.present != ScmsFileContent_PR_cert_chain ||
        file->content.choice.cert_chain.present !=
            CertificateChainFiles_PR_localCertificateChainFile) {
        app_error("%s: not a local certificate chain file", path);
        goto out;
    }
    local = &file->content.choice.cert_chain.choice.localCertificateChainFile;
    device_ra_host(device, host);
    if ((size_t)local->version.raHostname.size != strlen(host) ||
        strncasecmp((const char *)local->version.raHostname.buf, host, strlen(host)) != 0) {
        app_error("%s: the chain file of another RA: \"%.*s\"", path,
                  (int)local->version.raHostname.size, (const char *)local->version.raHostname.buf);
        goto out;
    }
    if (!take_all(device, set, local)) {
        app_error("%s: more than %d certificates", path, CHAIN_CERTS_MAX);
        goto out;
    }
    code = judge(set, trust, time32, added != NULL ? added : &ignored_added,
                 left != NULL ? left : &ignored_left);
out:
    for (size_t i = 0; set != NULL && i < set->count; i++)
        dot2_cert_free(set->certs[i]);
    OPENSSL_free(set);
    coer_arena_free(arena);
    OPENSSL_free(octets);
    return code;
}
