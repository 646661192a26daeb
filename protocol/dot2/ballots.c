/* ballots.c: files whose type depends on the form of the ballots in them. */
#include "protocol/dot2/ballots.h"
#include "protocol/dot2/crl.h"

#include "protocol/dot2/fail.h"

enum dot2_status dot2_decode_ballots(coer_arena *arena, enum dot2_ballots ballots,
                                     const asn_TYPE_descriptor_t *type_122,
                                     const asn_TYPE_descriptor_t *type_121, const uint8_t *octets,
                                     size_t size, void **value, bool *is_121,
                                     struct dot2_error *error)
{
    struct coer_error coer = {0}, older = {0};

    *is_121 = false;
    if (coer_decode(arena, type_122, octets, size, value, &coer) == COER_OK)
        return DOT2_OK;
    /* Without memory nothing is known about the form. */
    if (coer.status != COER_E_MEMORY && ballots == DOT2_BALLOTS_121 &&
        coer_decode(arena, type_121, octets, size, value, &older) == COER_OK) {
        *is_121 = true;
        return DOT2_OK;
    }
    /* The form that goes further is the one that was meant. */
    return dot2_fail_coer(
        error, older.status == COER_E_MEMORY || older.offset > coer.offset ? &older : &coer, 0);
}
