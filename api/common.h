/*
 * common.h: what libdot2hsm and libdot2hsm-ra have each for themselves.
 */
#ifndef DOT2HSM_API_COMMON_H
#define DOT2HSM_API_COMMON_H

#include <dot2hsm/dot2hsm.h>

#include "protocol/dot2/dot2.h"

/* Empties error and OpenSSL's queue: what is in it afterwards is of this call. */
void api_begin(dot2hsm_error *error);
/* One sentence, and what stands in OpenSSL's queue, which is emptied. Returns status. */
dot2hsm_status api_fail(dot2hsm_error *error, dot2hsm_status status, const char *detail);
/* The same for a result of protocol/dot2; DOT2_OK gives DOT2HSM_OK. cause may be NULL. */
dot2hsm_status api_result(dot2hsm_error *error, enum dot2_status status,
                          const struct dot2_error *cause);
/* DOT2_OK for DOT2HSM_OK, and for what protocol/dot2 has not. */
enum dot2_status api_status_to_dot2(dot2hsm_status status);

/*
 * A caller's structure, the first member of which is its size, into one of this version: shorter
 * ones are filled up with zeros, longer ones must have zeros in what is not known here.
 */
bool api_take(void *ours, size_t our_size, const void *theirs, size_t least);
/* Is this a caller's structure for an answer, with room for what the first version had? */
bool api_room(const void *theirs, size_t least);
/* An answer into it: as much as it has room for, and zeros in what is not known here. */
void api_give(void *theirs, const void *ours, size_t our_size);

#endif
