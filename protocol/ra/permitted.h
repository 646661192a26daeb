/*
 * permitted.h: what an enrollment certificate may ask for. Private to protocol/ra.
 */
#ifndef DOT2HSM_PROTOCOL_RA_PERMITTED_H
#define DOT2HSM_PROTOCOL_RA_PERMITTED_H

#include "protocol/dot2/dot2.h"

/*
 * The PSIDs of certRequestPermissions with their SSP ranges, for certificates of eeType app, as far
 * as they are among psids (count 0: all of them): "20,80:8001AA", sorted, "all" for all. Longer
 * than the room for it, it is "sha256:" and a hash instead. DOT2_E_PERMISSION if there are none;
 * DOT2_E_MEMORY if it cannot be said.
 */
enum dot2_status ra_permitted(const dot2_crypto *crypto, const dot2_cert *cert,
                              const uint64_t *psids, size_t count, char text[256]);

#endif
