/*
 * internal.h: what stands behind the handles of include/dot2hsm. Each handle holds a reference to
 * its context, because what it wraps lives in the context's OSSL_LIB_CTX.
 */
#ifndef DOT2HSM_API_INTERNAL_H
#define DOT2HSM_API_INTERNAL_H

#include <stdatomic.h>

#include <dot2hsm/spdu.h>

#include "protocol/dot2/dot2.h"

struct dot2hsm_error {
    dot2hsm_status status;
    size_t offset;
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

/* ---- error.c ---- */

/* Empties error and OpenSSL's queue: what is in it afterwards is of this call. */
void api_begin(dot2hsm_error *error);
/* One sentence, and what stands in OpenSSL's queue, which is emptied. Returns status. */
dot2hsm_status api_fail(dot2hsm_error *error, dot2hsm_status status, const char *detail);
/* The same for a result of protocol/dot2; DOT2_OK gives DOT2HSM_OK. */
dot2hsm_status api_result(dot2hsm_error *error, enum dot2_status status,
                          const struct dot2_error *cause);
/*
 * A caller's structure, the first member of which is its size, into one of this version: shorter
 * ones are filled up with zeros, longer ones must have zeros in what is not known here.
 */
bool api_take(void *ours, size_t our_size, const void *theirs, size_t least);

/* ---- context.c, keys.c ---- */

dot2hsm_ctx *api_ctx_up_ref(dot2hsm_ctx *ctx);
/* Takes the reference to cert, on failure too. */
dot2hsm_status api_cert_wrap(dot2hsm_ctx *ctx, dot2_cert *inner, dot2hsm_cert **cert,
                             dot2hsm_error *error);
/* Marks a trust as used; time32 DOT2HSM_NOW becomes now. DOT2_E_TIME. */
enum dot2_status api_trust_use(dot2hsm_trust *trust, uint32_t *time32);

#endif
