/*
 * crl.c: reading certificate revocation lists (IEEE 1609.2 clauses 5.1.3 and 7). What they revoke
 * is kept by revocation.c.
 */
#include <string.h>

#include <openssl/crypto.h>

#include <CrlContents.h>
#include <CrlSsp.h>

#include "protocol/dot2/crl.h"
#include "protocol/dot2/internal.h"

#define PSID_CRL 0x100

/* A list that was found to be good, not yet in force. */
struct crl {
    struct dot2_crl_info info;
    const ToBeSignedHashIdCrl_t *hashes; /* in the caller's arena; NULL if linkage based */
};

/*
 * 7.2.3 and Annex D: the certificate under which the list is signed says in its CrlSsp whether it
 * or its issuer is the CRACA, and for which series it may speak.
 */
static enum dot2_status check_ssp(coer_arena *arena, const struct dot2_chain *chain,
                                  const struct dot2_crl_info *info, struct dot2_error *error)
{
    static const char field[] = "Certificate.toBeSigned.appPermissions";
    const SequenceOfPsidSsp_t *permissions = chain->certs[0]->base->toBeSigned.appPermissions;
    const ServiceSpecificPermissions_t *ssp = NULL;
    const dot2_cert *craca = NULL;
    const CrlSsp_t *may = NULL;
    void *value = NULL;
    bool found = false;

    for (int i = 0; permissions != NULL && i < permissions->list.count && ssp == NULL; i++)
        if (permissions->list.array[i]->psid == PSID_CRL)
            ssp = permissions->list.array[i]->ssp;
    if (ssp == NULL || ssp->present != ServiceSpecificPermissions_PR_opaque ||
        coer_decode(arena, &asn_DEF_CrlSsp, ssp->choice.opaque.buf, (size_t)ssp->choice.opaque.size,
                    &value, NULL) != COER_OK)
        return dot2_fail(error, DOT2_E_PERMISSION, field, "no CrlSsp for PSID 0x100");
    may = value;
    if (may->associatedCraca == CracaType_isCraca)
        craca = chain->certs[0];
    else if (chain->depth > 1)
        craca = chain->certs[1];
    if (craca == NULL || memcmp(dot2_cert_hashedid8(craca), info->craca_id, 8) != 0)
        return dot2_fail(error, DOT2_E_PERMISSION, "CrlContents.cracaId",
                         "is not the CRACA that the signer speaks for");
    for (int i = 0; i < may->crls.list.count; i++)
        found = found || *may->crls.list.array[i] == info->series;
    if (!found)
        return dot2_fail(error, DOT2_E_PERMISSION, "CrlContents.crlSeries",
                         "series %u is not the signer's", info->series);
    return DOT2_OK;
}

/* What the list says about itself. */
static enum dot2_status parse_contents(coer_arena *arena, const uint8_t *octets, size_t size,
                                       struct crl *crl, struct dot2_error *error)
{
    struct coer_error coer = {0};
    const CrlContents_t *contents = NULL;
    const TypeSpecificCrlContents_t *specific = NULL;
    void *value = NULL;

    if (coer_decode(arena, &asn_DEF_CrlContents, octets, size, &value, &coer) != COER_OK)
        return dot2_fail_coer(error, &coer, 0);
    contents = value;
    specific = &contents->typeSpecific;
    memcpy(crl->info.craca_id, contents->cracaId.buf, 8);
    crl->info.series = (uint16_t)contents->crlSeries;
    crl->info.issue_date = (uint32_t)contents->issueDate;
    crl->info.next_crl = (uint32_t)contents->nextCrl;
    crl->info.delta = specific->present == TypeSpecificCrlContents_PR_deltaHashCrl ||
                      specific->present == TypeSpecificCrlContents_PR_deltaLinkedCrl;
    if (specific->present == TypeSpecificCrlContents_PR_fullHashCrl)
        crl->hashes = &specific->choice.fullHashCrl;
    else if (specific->present == TypeSpecificCrlContents_PR_deltaHashCrl)
        crl->hashes = &specific->choice.deltaHashCrl;
    crl->info.evaluated = crl->hashes != NULL;
    crl->info.entries = crl->hashes != NULL ? (size_t)crl->hashes->entries.list.count : 0;
    return DOT2_OK;
}

static enum dot2_status read_contents(coer_arena *arena, const uint8_t *octets, size_t size,
                                      uint32_t time, struct crl *crl, struct dot2_error *error)
{
    enum dot2_status status = parse_contents(arena, octets, size, crl, error);

    if (status != DOT2_OK)
        return status;
    if (crl->info.next_crl < crl->info.issue_date)
        return dot2_fail(error, DOT2_E_MESSAGE, "CrlContents.nextCrl", "is before issueDate");
    /* A list of the future would keep out all that come before it. */
    if (crl->info.issue_date > time)
        return dot2_fail(error, DOT2_E_NOT_YET_VALID, "CrlContents.issueDate", "has not come yet");
    return DOT2_OK;
}

static enum dot2_status read_payload(const uint8_t *octets, size_t size,
                                     struct dot2_signed_payload *payload, struct dot2_error *error)
{
    enum dot2_status status = dot2_signed_data_payload(octets, size, payload, error);

    if (status == DOT2_OK && payload->header.psid != PSID_CRL)
        status = dot2_fail(error, DOT2_E_MESSAGE, "SignedData.tbsData.headerInfo.psid",
                           "0x%llx is not that of a CRL, 0x100",
                           (unsigned long long)payload->header.psid);
    return status;
}

enum dot2_status dot2_crl_peek(const uint8_t *octets, size_t size, struct dot2_crl_info *info,
                               struct dot2_error *error)
{
    struct dot2_signed_payload payload = {0};
    coer_arena *arena = coer_arena_new();
    struct crl crl = {0};
    enum dot2_status status = DOT2_OK;

    memset(info, 0, sizeof(*info));
    if (arena == NULL)
        return dot2_fail_memory(error);
    status = read_payload(octets, size, &payload, error);
    if (status == DOT2_OK)
        status = parse_contents(arena, payload.data, payload.size, &crl, error);
    if (status == DOT2_OK)
        *info = crl.info;
    coer_arena_free(arena);
    return status;
}

/* One SecuredCrl: signature, signer, contents. */
static enum dot2_status read_crl(dot2_trust *trust, coer_arena *arena, const uint8_t *octets,
                                 size_t size, uint32_t time, struct crl *crl,
                                 struct dot2_error *error)
{
    const struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY, .time = time};
    struct dot2_signed_payload payload = {0};
    struct dot2_chain chain = {0};
    enum dot2_status status = read_payload(octets, size, &payload, error);

    if (status != DOT2_OK)
        return status;
    status = dot2_signed_data_verify(trust, octets, size, &check, &chain, error);
    if (status != DOT2_OK)
        return status;
    status = read_contents(arena, payload.data, payload.size, time, crl, error);
    if (status == DOT2_OK)
        status = check_ssp(arena, &chain, &crl->info, error);
    dot2_chain_clear(&chain);
    return status;
}

static enum dot2_status store(dot2_trust *trust, struct crl *crl, struct dot2_error *error)
{
    size_t count = crl->info.entries;
    const uint8_t **ids = OPENSSL_malloc((count + 1) * sizeof(*ids));
    enum dot2_status status = DOT2_OK;

    if (ids == NULL)
        return dot2_fail_memory(error);
    for (size_t i = 0; i < count; i++)
        ids[i] = crl->hashes->entries.list.array[i]->id.buf;
    status = dot2_revocations_put(dot2_trust_revocations(trust), &crl->info, ids);
    OPENSSL_free(ids);
    return status == DOT2_OK ? DOT2_OK : dot2_fail_memory(error);
}

enum dot2_status dot2_trust_add_crl(dot2_trust *trust, const uint8_t *octets, size_t size,
                                    uint32_t time, struct dot2_crl_info *info,
                                    struct dot2_error *error)
{
    coer_arena *arena = coer_arena_new();
    struct crl crl = {0};
    enum dot2_status status = DOT2_OK;

    if (info != NULL)
        memset(info, 0, sizeof(*info));
    if (arena == NULL)
        return dot2_fail_memory(error);
    status = read_crl(trust, arena, octets, size, time, &crl, error);
    if (status == DOT2_OK)
        status = store(trust, &crl, error);
    if (status == DOT2_OK && info != NULL)
        *info = crl.info;
    coer_arena_free(arena);
    return status;
}

enum dot2_status dot2_trust_add_composite_crl(dot2_trust *trust, const uint8_t *octets, size_t size,
                                              enum dot2_ballots ballots, uint32_t time,
                                              size_t *lists, size_t *count,
                                              struct dot2_error *error)
{
    struct dot2_composite_crl composite;
    struct crl *crls = NULL;
    enum dot2_status status = dot2_composite_crl_parse(octets, size, ballots, &composite, error);

    *lists = *count = 0;
    if (status != DOT2_OK)
        return status;
    crls = coer_arena_alloc(composite.arena, (composite.count + 1) * sizeof(*crls));
    if (crls == NULL)
        status = dot2_fail_memory(error);
    /* All of them are good before one is in force. */
    for (size_t i = 0; status == DOT2_OK && i < composite.count; i++)
        status = read_crl(trust, composite.arena, composite.crls[i].data, composite.crls[i].size,
                          time, &crls[i], error);
    for (size_t i = 0; status == DOT2_OK && i < composite.count; i++)
        status = store(trust, &crls[i], error);
    if (status == DOT2_OK) {
        *lists = composite.count;
        *count = composite.root_ballots + composite.elector_ballots;
    }
    dot2_composite_crl_clear(&composite);
    return status;
}

enum dot2_status dot2_trust_keep_crls(dot2_trust *trust, const dot2_trust *from, size_t *kept)
{
    return dot2_revocations_keep(dot2_trust_revocations(trust), dot2_trust_revocations(from), kept);
}

size_t dot2_trust_crls(const dot2_trust *trust, struct dot2_crl_info *infos, size_t capacity)
{
    return dot2_revocations_list(dot2_trust_revocations(trust), infos, capacity);
}
