/* crl_composite.c: the lists in a CompositeCrl, each a message of its own with its own signature.
 */
#include <string.h>

#include <CompositeCrl.h>
#include <Ieee1609Dot2Data.h>

#include "protocol/dot2/internal.h"

static enum dot2_status read_lists(const CompositeCrl_t *asn1, struct dot2_composite_crl *composite,
                                   struct dot2_error *error)
{
    composite->count = (size_t)asn1->securedCrlSeries.list.count;
    composite->root_ballots = (size_t)asn1->revokedRootCAs.list.count;
    composite->elector_ballots = (size_t)asn1->revokedElectors.list.count;
    composite->crls =
        coer_arena_alloc(composite->arena, (composite->count + 1) * sizeof(*composite->crls));
    if (composite->crls == NULL)
        return dot2_fail_memory(error);
    for (size_t i = 0; i < composite->count; i++)
        if (!coer_span_of(&asn_DEF_Ieee1609Dot2Data, asn1->securedCrlSeries.list.array[i],
                          &composite->crls[i]))
            return dot2_fail(error, DOT2_E_DECODE, "CompositeCrl.securedCrlSeries", "no octets");
    return DOT2_OK;
}

enum dot2_status dot2_composite_crl_parse(const uint8_t *octets, size_t size,
                                          struct dot2_composite_crl *composite,
                                          struct dot2_error *error)
{
    struct coer_error coer = {0};
    void *value = NULL;
    enum dot2_status status = DOT2_OK;

    memset(composite, 0, sizeof(*composite));
    composite->arena = coer_arena_new();
    if (composite->arena == NULL)
        return dot2_fail_memory(error);
    if (coer_decode(composite->arena, &asn_DEF_CompositeCrl, octets, size, &value, &coer) !=
        COER_OK)
        status = dot2_fail_coer(error, &coer, 0);
    else
        status = read_lists(value, composite, error);
    if (status != DOT2_OK)
        dot2_composite_crl_clear(composite);
    return status;
}

void dot2_composite_crl_clear(struct dot2_composite_crl *composite)
{
    coer_arena_free(composite->arena);
    memset(composite, 0, sizeof(*composite));
}
