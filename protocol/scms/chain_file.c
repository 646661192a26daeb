/* chain_file.c: what is in a local certificate chain file. It has no signature of its own. */
#include <string.h>

#include <ScmsFile.h>
#include <ScmsFile121.h>

#include "protocol/dot2/ballots.h"
#include "protocol/dot2/crl.h"
#include "protocol/dot2/fail.h"
#include "protocol/scms/internal.h"

static const char not_local[] = "is not a local certificate chain file";

static bool take(struct scms_chain_file *chain, const CertificateBase_t *cert)
{
    return coer_span_of(&asn_DEF_CertificateBase, cert, &chain->certs[chain->count++]);
}

static enum dot2_status read_certs(struct scms_chain_file *chain, const CompositeVersion_t *version,
                                   const CertificateBase_t *ma,
                                   const SequenceOfCertificate_t *certs,
                                   const SequenceOfCertificate_t *optional,
                                   struct dot2_error *error)
{
    size_t count = 1 + (size_t)certs->list.count + (size_t)optional->list.count;
    bool ok;

    chain->gccf_version = (uint16_t)version->gccfVersion;
    chain->lccf_version = (uint16_t)version->lccfVersion;
    chain->host = (const char *)version->raHostname.buf;
    chain->host_size = (size_t)version->raHostname.size;
    chain->certs = coer_arena_alloc(chain->arena, count * sizeof(*chain->certs));
    if (chain->certs == NULL)
        return dot2_fail_memory(error);
    ok = take(chain, ma);
    for (int i = 0; ok && i < certs->list.count; i++)
        ok = take(chain, certs->list.array[i]);
    for (int i = 0; ok && i < optional->list.count; i++)
        ok = take(chain, optional->list.array[i]);
    return ok ? DOT2_OK : dot2_fail(error, DOT2_E_DECODE, "CertificateStore", "no octets");
}

static enum dot2_status read_122(const ScmsFile_t *file, struct scms_chain_file *chain,
                                 struct dot2_error *error)
{
    const LocalCertificateChainFile_t *local;
    const CertificateStore_t *store;

    if (file->content.present != ScmsFileContent_PR_cert_chain ||
        file->content.choice.cert_chain.present !=
            CertificateChainFiles_PR_localCertificateChainFile)
        return dot2_fail(error, DOT2_E_MESSAGE, "ScmsFile.content", "%s", not_local);
    local = &file->content.choice.cert_chain.choice.localCertificateChainFile;
    store = &local->requiredCertStore;
    chain->root_ballots = (size_t)store->rootCAEndorsements.list.count;
    chain->elector_ballots = (size_t)store->electorEndorsements.list.count;
    return read_certs(chain, &local->version, &store->maCertificate, &store->certs,
                      &local->optionalCertList, error);
}

static enum dot2_status read_121(const ScmsFile121_t *file, struct scms_chain_file *chain,
                                 struct dot2_error *error)
{
    const LocalCertificateChainFile121_t *local;
    const CertificateStore121_t *store;

    if (file->content.present != ScmsFileContent121_PR_cert_chain ||
        file->content.choice.cert_chain.present !=
            CertificateChainFiles121_PR_localCertificateChainFile)
        return dot2_fail(error, DOT2_E_MESSAGE, "ScmsFile.content", "%s", not_local);
    local = &file->content.choice.cert_chain.choice.localCertificateChainFile;
    store = &local->requiredCertStore;
    chain->root_ballots = (size_t)store->rootCAEndorsements.list.count;
    chain->elector_ballots = (size_t)store->electorEndorsements.list.count;
    return read_certs(chain, &local->version, &store->maCertificate, &store->certs,
                      &local->optionalCertList, error);
}

enum dot2_status scms_chain_file_parse(const uint8_t *octets, size_t size,
                                       enum dot2_ballots ballots, struct scms_chain_file *chain,
                                       struct dot2_error *error)
{
    void *value = NULL;
    bool is_121 = false;
    enum dot2_status status;

    memset(chain, 0, sizeof(*chain));
    chain->arena = coer_arena_new();
    if (chain->arena == NULL)
        return dot2_fail_memory(error);
    status = dot2_decode_ballots(chain->arena, ballots, &asn_DEF_ScmsFile, &asn_DEF_ScmsFile121,
                                 octets, size, &value, &is_121, error);
    if (status == DOT2_OK)
        status = is_121 ? read_121(value, chain, error) : read_122(value, chain, error);
    if (status != DOT2_OK)
        scms_chain_file_clear(chain);
    return status;
}

void scms_chain_file_clear(struct scms_chain_file *chain)
{
    coer_arena_free(chain->arena);
    memset(chain, 0, sizeof(*chain));
}
