/*
 * ra.h: what stands behind the handles of include/dot2hsm/ra.h. libdot2hsm-ra has protocol/ for
 * itself and uses libdot2hsm as any program does: contexts, keys and certificates are asked for
 * what OpenSSL has of them, and for octets.
 */
#ifndef DOT2HSM_API_RA_RA_H
#define DOT2HSM_API_RA_RA_H

#include <stdatomic.h>

#include <dot2hsm/ra.h>

#include "api/common.h"
#include "protocol/ra/ra.h"

#define API_RA_KEYS 16

struct dot2hsm_ra_store {
    atomic_uint references;
    ra_store *store;
};

struct dot2hsm_ra {
    atomic_uint references;
    dot2hsm_ctx *ctx;
    dot2hsm_ra_store *store;
    dot2_crypto *crypto;
    dot2_trust *trust;
    struct ra_key list[API_RA_KEYS];
    size_t count;
    ra_keys *keys; /* of the list; NULL: none */
    uint32_t tolerance;
    bool require_secured;
    struct ra_provision provision;
    atomic_bool used; /* takes no more certificates and keys */
};

/* A result of the store. text may be NULL. */
dot2hsm_status api_store_result(dot2hsm_error *error, enum ra_store_status status,
                                const char *text);
dot2hsm_ra_store *api_store_up_ref(dot2hsm_ra_store *store);
dot2hsm_ra *api_ra_up_ref(dot2hsm_ra *ra);

#endif
