/* crl_composite.c: the lists in a CompositeCrl, each a message of its own with its own signature.
 */
#include <string.h>

#include <CompositeCrl.h>
#include <CompositeCrl121.h>
#include <Ieee1609Dot2Data.h>

#include "protocol/dot2/ballots.h"
#include "protocol/dot2/crl.h"
#include "protocol/dot2/internal.h"

static enum dot2_status read_lists(const SequenceOfSecuredCrl_t *series,
                                   struct dot2_composite_crl *composite, struct dot2_error *error)
{
    composite->count = (size_t)series->list.count;
    composite->crls =
        coer_arena_alloc(composite->arena, (composite->count + 1) * sizeof(*composite->crls));
    if (composite->crls == NULL)
        return dot2_fail_memory(error);
    for (size_t i = 0; i < composite->count; i++)
        if (!coer_span_of(&asn_DEF_Ieee1609Dot2Data, series->list.array[i], &composite->crls[i]))
            return dot2_fail(error, DOT2_E_DECODE, "CompositeCrl.securedCrlSeries", "no octets");
    return DOT2_OK;
}

static enum dot2_status read_122(const CompositeCrl_t *asn1, struct dot2_composite_crl *composite,
                                 struct dot2_error *error)
{
    composite->root_ballots = (size_t)asn1->revokedRootCAs.list.count;
    composite->elector_ballots = (size_t)asn1->revokedElectors.list.count;
    return read_lists(&asn1->securedCrlSeries, composite, error);
}

static enum dot2_status read_121(const CompositeCrl121_t *asn1,
                                 struct dot2_composite_crl *composite, struct dot2_error *error)
{
    composite->root_ballots = (size_t)asn1->revokedRootCAs.list.count;
    composite->elector_ballots = (size_t)asn1->revokedElectors.list.count;
    return read_lists(&asn1->securedCrlSeries, composite, error);
}

enum dot2_status dot2_composite_crl_parse(const uint8_t *octets, size_t size,
                                          enum dot2_ballots ballots,
                                          struct dot2_composite_crl *composite,
                                          struct dot2_error *error)
{
    void *value = NULL;
    bool is_121 = false;
    enum dot2_status status;

    memset(composite, 0, sizeof(*composite));
    composite->arena = coer_arena_new();
    if (composite->arena == NULL)
        return dot2_fail_memory(error);
    status = dot2_decode_ballots(composite->arena, ballots, &asn_DEF_CompositeCrl,
                                 &asn_DEF_CompositeCrl121, octets, size, &value, &is_121, error);
    if (status == DOT2_OK)
        status = is_121 ? read_121(value, composite, error) : read_122(value, composite, error);
    if (status != DOT2_OK)
        dot2_composite_crl_clear(composite);
    return status;
}

void dot2_composite_crl_clear(struct dot2_composite_crl *composite)
{
    coer_arena_free(composite->arena);
    memset(composite, 0, sizeof(*composite));
}
