/*
 * signature.h: the state of an ECDSA operation; signature.c runs it, signature_params.c sets it,
 * signature_key.c uses its key.
 */
#ifndef DOT2HSM_PROVIDER_SIGNATURE_H
#define DOT2HSM_PROVIDER_SIGNATURE_H

#include "provider/provider.h"

enum prov_operation {
    PROV_OP_NONE = 0,
    PROV_OP_SIGN,
    PROV_OP_VERIFY
};

struct prov_signature {
    struct prov_ctx *provider;
    struct prov_key *key; /* a reference of our own */
    enum prov_operation operation;
    bool digests;     /* digest_sign, digest_verify: we hash; else the digest comes ready */
    bool p1363;       /* r || s instead of DER */
    bool with_signer; /* dot2-signer is present, perhaps empty */
    uint8_t signer_digest[PROV_MAX_DIGEST]; /* H(signer) */
    const struct prov_digest *digest;       /* NULL: the digest comes ready and has no name */
    EVP_MD_CTX *data;                       /* H(data) in the making */
    bool updated;                           /* data has octets that came in pieces */
    bool finished;                          /* data has been closed: a new init is needed */
    EVP_PKEY_CTX *delegate;                 /* for the operation, made at first use */
};

OSSL_FUNC_signature_get_ctx_params_fn prov_signature_get_ctx_params;
OSSL_FUNC_signature_gettable_ctx_params_fn prov_signature_gettable_ctx_params;
OSSL_FUNC_signature_set_ctx_params_fn prov_signature_set_ctx_params;
OSSL_FUNC_signature_settable_ctx_params_fn prov_signature_settable_ctx_params;

OSSL_FUNC_signature_get_ctx_md_params_fn prov_signature_get_ctx_md_params;
OSSL_FUNC_signature_gettable_ctx_md_params_fn prov_signature_gettable_ctx_md_params;
OSSL_FUNC_signature_set_ctx_md_params_fn prov_signature_set_ctx_md_params;
OSSL_FUNC_signature_settable_ctx_md_params_fn prov_signature_settable_ctx_md_params;

/* Takes the digest of this name, if it goes with the operation and with dot2-signer. */
int prov_signature_set_digest(struct prov_signature *ctx, const char *name);
/* Starts the hash of the data anew. */
int prov_signature_open_digest(struct prov_signature *ctx);
/* The digest of the key's curve. */
const struct prov_digest *prov_signature_own_digest(const struct prov_signature *ctx);

/* The most octets of a signature by the key. */
size_t prov_signature_max_size(const struct prov_signature *ctx);
/* Signs a digest into capacity octets, which are no fewer than that; *size is the signature's. */
int prov_signature_sign(struct prov_signature *ctx, const uint8_t *digest, size_t digest_size,
                        uint8_t *signature, size_t *size, size_t capacity);
/* Whether it is a signature of the digest; always in software. */
int prov_signature_verify(struct prov_signature *ctx, const uint8_t *digest, size_t digest_size,
                          const uint8_t *signature, size_t size);

#endif
