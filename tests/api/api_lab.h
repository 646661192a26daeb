/* api_lab.h: what the lab's certificates and keys are in the public API. */
#ifndef DOT2HSM_TESTS_API_API_LAB_H
#define DOT2HSM_TESTS_API_API_LAB_H

#include <dot2hsm/keys.h>

#include "tests/ra/lab.h"

#define OK(call) assert_int_equal(call, DOT2HSM_OK)

/* A context over the lab's. */
dot2hsm_ctx *api_ctx(const struct lab *lab);
dot2hsm_cert *public_cert(dot2hsm_ctx *ctx, const dot2_cert *cert);
dot2hsm_key *public_key(dot2hsm_ctx *ctx, EVP_PKEY *key);
dot2hsm_key *new_key(dot2hsm_ctx *ctx, const struct lab *lab);

#endif
