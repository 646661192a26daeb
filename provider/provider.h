/*
 * provider.h: what the files of the provider share. Internal: nothing outside provider/ includes
 * it.
 *
 * The model. The provider dot2hsm offers EC keys and ECDSA under the property provider=dot2hsm. A
 * key (struct prov_key) is either a software key, or a key in a token. In both cases
 * prov_key_software() is an EVP_PKEY of another provider (the delegate: normally "default", always
 * fetched with provider!=dot2hsm): for a software key the whole key, for a token key its public
 * half, which is made when it is first needed. So all that needs no private key (parameters,
 * comparison, verification, export of the public key) is the same code for both, and is the
 * delegate's.
 *
 * The parameters that this provider adds to OpenSSL's own:
 *
 * SIGNATURE ECDSA
 *   dot2-signer       octet string. The signer's certificate in canonical form (IEEE 1609.2). The
 *                     digest that is signed or verified becomes H( H(data) || H(signer) ), 1609.2
 *                     clause 5.3.1. Present and of no octets: self-signed, the second half is
 *                     H of the empty string. Absent: plain ECDSA. It survives a re-init
 *                     with a NULL key and a duplicated context; a re-init with a key clears it.
 *   signature-format  UTF-8 string. "der" (default): Ecdsa-Sig-Value. "p1363": r || s, each as
 *                     long as a coordinate.
 *   digest            SHA-224, SHA-256, SHA-384 or SHA-512, and to verify also SHA-1. Default,
 *                     and the only one with dot2-signer, is the curve's: SHA-256 for 256-bit
 *                     curves, SHA-384 for 384-bit curves.
 *
 * KEYMGMT EC, of a token key
 *   pkcs11_uri        to get only: UTF-8 string, the URI of the key; never with a PIN.
 *
 * KEYMGMT EC, generation
 *   pkcs11_uri        UTF-8 string. The key pair is made in the token, under this URI's names.
 *   pkcs11_usage      UTF-8 string, "sign" (default), "derive" or "sign,derive". The key can do
 *                     this and nothing else.
 *
 * ASYM_CIPHER EC (EVP_PKEY_encrypt and EVP_PKEY_decrypt): ECIES of IEEE 1609.2 clause 5.3.5, which
 * wraps a key of 16 octets. P-256 and brainpoolP256r1 only.
 *   p1                octet string of 32 octets, to set, and never absent: the clause makes P1 a
 *                     SHA-256 hash in every case (of the recipient's certificate; where there is
 *                     none, of the empty string). An init clears it.
 *   ecies-refused     int, to get: 1 if the last decryption failed because of what was to be
 *                     decrypted (its form, its point, its tag), 0 if for another reason, or not.
 *   Output            V || C || T: the ephemeral point compressed (33 octets), the wrapped key
 * (16), the tag (16). V may be uncompressed (65) in what is decrypted.
 *
 * Results. As OpenSSL has it for providers: 1 or a pointer on success, 0 or NULL on failure, and
 * after a failure there is an entry in the error queue.
 */
#ifndef DOT2HSM_PROVIDER_PROVIDER_H
#define DOT2HSM_PROVIDER_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/evp.h>

#include "pkcs11/p11.h"

#define PROV_NAME "dot2hsm"
#define PROV_PROPERTIES "provider=dot2hsm"
/* What software work is fetched with. It also holds against `?provider=dot2hsm` as default. */
#define PROV_DELEGATE_PROPERTIES "provider!=dot2hsm"

#define PROV_PARAM_DOT2_SIGNER "dot2-signer"
#define PROV_PARAM_SIGNATURE_FORMAT "signature-format"
#define PROV_PARAM_PKCS11_URI "pkcs11_uri"
#define PROV_PARAM_PKCS11_USAGE "pkcs11_usage"

#define PROV_PARAM_P1 "p1"
#define PROV_PARAM_ECIES_REFUSED "ecies-refused"

#define PROV_MAX_COORDINATE 48
#define PROV_MAX_DIGEST 64

/* ---- curves (curve.c) ---- */

struct prov_curve {
    const char *name;   /* OpenSSL's group name */
    size_t size;        /* octets of a coordinate, and of the digest */
    const char *digest; /* its own digest: the default, and the only one with dot2-signer */
};

/* The curve of this name or alias (P-256, secp384r1, ...); NULL if it is none of the four. */
const struct prov_curve *prov_curve_find(const char *name);

#define PROV_CURVES 4
/* Below PROV_CURVES. */
size_t prov_curve_index(const struct prov_curve *curve);

/* ---- digests (digest.c) ---- */

#define PROV_DIGESTS 5

struct prov_digest {
    const char *names[4];        /* OpenSSL's first, then the other ways to write it */
    size_t size;                 /* octets, at most PROV_MAX_DIGEST */
    bool signs;                  /* else it is for verification only */
    const uint8_t *algorithm_id; /* DER AlgorithmIdentifier of ECDSA with it */
    size_t algorithm_id_size;
};

struct prov_ctx;

/* The digest of this name or size; NULL if it is none of those that ECDSA is offered with. */
const struct prov_digest *prov_digest_find(const char *name);
const struct prov_digest *prov_digest_of_size(size_t size);

/* The digest, of another provider; belongs to ctx. NULL: an error says what is missing. */
const EVP_MD *prov_digest_get(struct prov_ctx *ctx, const struct prov_digest *digest);
/* HMAC, likewise. */
EVP_MAC *prov_hmac_get(struct prov_ctx *ctx);

/* ---- the provider's context (provider.c, delegate.c) ---- */

struct prov_ctx {
    const OSSL_CORE_HANDLE *handle;
    OSSL_LIB_CTX *libctx; /* sees the other providers of the context that loaded us */
    OSSL_LIB_CTX *bios;   /* turns the core's BIOs into ours; ours to free, may be the same */
    CRYPTO_RWLOCK *lock;  /* guards the members below */
    EVP_MD *digests[PROV_DIGESTS];
    EVP_MAC *hmac;
    struct prov_field *fields[PROV_CURVES]; /* point.c; made at first use */
    p11_ctx *token;                         /* made at the first URI */
    struct p11_config options;              /* read once, at load; its strings are ours */
    char *options_error;                    /* what is wrong with them, or NULL; said at each URI */
};

/*
 * The options: those of the provider's section of openssl.cnf, which stand before those of the
 * file that `config` or the environment's DOT2HSM_CONF names: what stands before any section there
 * and in the section [provider] (options.c). NULL if they are good; else what is wrong, for the
 * caller to free.
 */
char *prov_options_read(struct p11_config *options, const OSSL_CORE_HANDLE *handle,
                        OSSL_FUNC_core_get_params_fn *core_get_params);
void prov_options_free(struct p11_config *options);

struct prov_key;

/* A delegate's context for a new EC key. NULL: an error tells, by name, if none is active. */
EVP_PKEY_CTX *prov_delegate_new(struct prov_ctx *ctx);
/* The same for an EVP_PKEY of the delegate, and for that of a key of ours. */
EVP_PKEY_CTX *prov_delegate_of(struct prov_ctx *ctx, EVP_PKEY *software);
EVP_PKEY_CTX *prov_delegate_of_key(const struct prov_key *key);
/* Raises why there is no delegate: no other provider is active, or what else. */
void prov_delegate_missing(struct prov_ctx *ctx);

/* ---- keys (key.c) ---- */

struct prov_key {
    struct prov_ctx *provider;
    int references;                 /* by atomic builtins only */
    EVP_PKEY *software;             /* the same; prov_key_software() asks for it */
    const struct prov_curve *curve; /* NULL: none yet, or none of the four */
    bool has_public, has_private;
    p11_key *token; /* the private half, if it is in a token */
};

struct prov_key *prov_key_new(struct prov_ctx *ctx);
struct prov_key *prov_key_up_ref(struct prov_key *key);
void prov_key_free(struct prov_key *key);

/* Whether it is a key yet, of whatever kind. */
bool prov_key_is_there(const struct prov_key *key);
/* The delegate's key, which stays the key's. NULL, with an error: there is none to be had. */
EVP_PKEY *prov_key_software(const struct prov_key *key);

/* Makes the empty key one over software (whose reference it takes on success). */
int prov_key_set_software(struct prov_key *key, EVP_PKEY *software, bool has_public,
                          bool has_private);

/* Makes the empty key one of a token (whose reference it takes on success). */
int prov_key_set_token(struct prov_key *key, p11_key *token);
/* Makes the empty key a public key: an uncompressed point. */
int prov_key_set_point(struct prov_key *key, enum p11_curve curve, const uint8_t *point,
                       size_t size);

/* The public point of a software key as 04 || x || y, 1 + 2 * coordinate octets. */
int prov_point_octets(const EVP_PKEY *software, uint8_t *point, size_t coordinate);

/* ---- points (point.c) ---- */

struct prov_field;
void prov_field_free(struct prov_field *field);
/*
 * 02 or 03 || x to 04 || x || y, of a coordinate's size each. That they are octets of a point has
 * to be checked by who makes a key of them: they are not if there is none with this x, or x is no
 * element of the field. 0: out of memory.
 */
int prov_point_decompress(struct prov_ctx *ctx, const struct prov_curve *curve,
                          const uint8_t *compressed, uint8_t *point);

/* ---- tokens (token.c) ---- */

/*
 * The p11_ctx of this provider, made at the first call; belongs to ctx. NULL: an error says that
 * no pkcs11-module is configured, or why there can be none.
 */
p11_ctx *prov_token_get(struct prov_ctx *ctx);

/* A passphrase callback of libcrypto as prompt for a PIN. */
struct prov_prompt {
    OSSL_PASSPHRASE_CALLBACK *callback;
    void *arg;
};
p11_pin_fn prov_token_prompt;

/* Does the private half in the token belong to the public half? Uses it once to find out. */
int prov_token_check_pair(struct prov_key *key);

/* Watches for the end of libcrypto, after which no call may go into a module. */
void prov_exit_watch(void);

/* ---- figures for an operator (statistics.c) ---- */

/* All parameters of OSSL_PROVIDER_gettable_params(); those that are ours are unsigned, 64 bits. */
extern const OSSL_PARAM prov_statistics_gettable[];
/* Answers those of params that are figures; touches no token. */
int prov_statistics_get(struct prov_ctx *ctx, OSSL_PARAM params[]);

/* ---- forms of a signature (format.c) ---- */

/* Ecdsa-Sig-Value from r || s of 2 * size octets. *der_size is the capacity, then the size. */
int prov_der_from_p1363(const uint8_t *raw, size_t size, uint8_t *der, size_t *der_size);
/* The most octets that it has with a key on the curve. */
size_t prov_der_max_size(const struct prov_curve *curve);
/* The opposite; writes 2 * size octets. */
int prov_p1363_from_der(const uint8_t *der, size_t der_size, uint8_t *raw, size_t size);

/* ---- errors (error.c) ---- */

enum prov_reason {
    PROV_R_NO_OTHER_PROVIDER = 100,
    PROV_R_CURVE,
    PROV_R_DIGEST,
    PROV_R_DIGEST_NAME,
    PROV_R_DIGEST_SIZE,
    PROV_R_READY_DIGEST,
    PROV_R_PARAMETER,
    PROV_R_NO_KEY,
    PROV_R_NO_PRIVATE_KEY,
    PROV_R_NO_PUBLIC_KEY,
    PROV_R_KEY_NOT_EMPTY,
    PROV_R_STATE,
    PROV_R_BUFFER,
    PROV_R_SIGNATURE_FORM,
    PROV_R_NOT_VALID,
    PROV_R_DELEGATE,
    PROV_R_MEMORY,
    PROV_R_OPTION,
    PROV_R_NO_MODULE,
    PROV_R_STAYS_IN_TOKEN,
    PROV_R_NOT_FOUND,
    PROV_R_AMBIGUOUS,
    PROV_R_PEER,
    PROV_R_CIPHERTEXT,
    PROV_R_TAG,
    PROV_R_KEY_FILE,
};

/* OpenSSL's number of our error library; loads its strings on first use. */
int prov_error_library(void);

#define PROV_RAISE(reason, ...) ERR_raise_data(prov_error_library(), (reason), __VA_ARGS__)

/* ---- the algorithms' functions, and what they can do in TLS (tls_group.c) ---- */

OSSL_FUNC_provider_get_capabilities_fn prov_get_capabilities;

extern const OSSL_DISPATCH prov_keymgmt_ec_functions[];
extern const OSSL_DISPATCH prov_signature_functions[];
extern const OSSL_DISPATCH prov_keyexch_functions[];
extern const OSSL_DISPATCH prov_asym_cipher_functions[];
extern const OSSL_DISPATCH prov_store_functions[];
extern const OSSL_DISPATCH prov_encoder_text_functions[];
extern const OSSL_DISPATCH prov_encoder_spki_der_functions[];
extern const OSSL_DISPATCH prov_encoder_spki_pem_functions[];
extern const OSSL_DISPATCH prov_encoder_pkcs8_pem_functions[];
extern const OSSL_DISPATCH prov_encoder_specific_pem_functions[];
extern const OSSL_DISPATCH prov_decoder_pem_functions[];
extern const OSSL_DISPATCH prov_decoder_der_functions[];

#endif
