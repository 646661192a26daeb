/* ballots.h: files whose type depends on the form of the ballots in them. For the folders of this
 * floor.
 */
#ifndef DOT2HSM_PROTOCOL_DOT2_BALLOTS_H
#define DOT2HSM_PROTOCOL_DOT2_BALLOTS_H

#include "asn1/coer.h"
#include "protocol/dot2/crl.h"
#include "protocol/dot2/dot2.h"

/*
 * Decodes size octets as type_122 or, where ballots says so and they are none, as type_121; *is_121
 * tells which it was. DOT2_E_DECODE, of the form that was read further.
 */
enum dot2_status dot2_decode_ballots(coer_arena *arena, enum dot2_ballots ballots,
                                     const asn_TYPE_descriptor_t *type_122,
                                     const asn_TYPE_descriptor_t *type_121, const uint8_t *octets,
                                     size_t size, void **value, bool *is_121,
                                     struct dot2_error *error);

#endif
