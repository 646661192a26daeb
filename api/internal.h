/*
 * internal.h: what stands behind the handles of include/dot2hsm. Each handle holds a reference to
 * its context, because what it wraps lives in the context's OSSL_LIB_CTX.
 */
#ifndef DOT2HSM_API_INTERNAL_H
#define DOT2HSM_API_INTERNAL_H

#include <stdatomic.h>

#include <dot2hsm/ee.h>
#include <dot2hsm/spdu.h>

#include "api/common.h"

struct dot2hsm_error {
    dot2hsm_status status;
    size_t offset;
    int scms_code;
    char field[160];
    char text[1024];
};

struct dot2hsm_ctx {
    atomic_uint references;
    OSSL_LIB_CTX *libctx;
    bool owns_libctx;
    dot2_crypto *crypto;
};

struct dot2hsm_key {
    dot2hsm_ctx *ctx;
    EVP_PKEY *evp;
};

struct dot2hsm_cert {
    dot2hsm_ctx *ctx;
    dot2_cert *cert;
};

struct dot2hsm_trust {
    dot2hsm_ctx *ctx;
    dot2_trust *trust;
    atomic_bool used; /* nothing is added any more */
};

/* ---- keys.c ---- */

/* Takes the reference to cert, on failure too. */
dot2hsm_status api_cert_wrap(dot2hsm_ctx *ctx, dot2_cert *inner, dot2hsm_cert **cert,
                             dot2hsm_error *error);
/* Marks a trust as used; time32 DOT2HSM_NOW becomes now. DOT2_E_TIME. */
enum dot2_status api_trust_use(dot2hsm_trust *trust, uint32_t *time32);

#endif
