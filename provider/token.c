/* token.c: the way down to pkcs11/: its configuration, the PIN prompt, and the end of the process.
 */
#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "provider/provider.h"

p11_ctx *prov_token_get(struct prov_ctx *ctx)
{
    p11_ctx *token = NULL;

    if (ctx->options_error != NULL) {
        PROV_RAISE(PROV_R_OPTION, "%s", ctx->options_error);
        return NULL;
    }
    if (ctx->options.module_path == NULL) {
        PROV_RAISE(PROV_R_NO_MODULE,
                   "set pkcs11-module in the section of " PROV_NAME " in openssl.cnf, or in the "
                   "file that its option config or the environment's DOT2HSM_CONF names");
        return NULL;
    }
    if (!CRYPTO_THREAD_write_lock(ctx->lock))
        return NULL;
    if (ctx->token == NULL)
        (void)p11_ctx_new(&ctx->options, &ctx->token); /* touches no module; raises its error */
    token = ctx->token;
    CRYPTO_THREAD_unlock(ctx->lock);
    return token;
}

/* ---- the end of the process ---- */

static void exit_now(void)
{
    p11_set_exiting();
}

static void watch(void)
{
    /*
     * libcrypto calls a provider's teardown alike for an unload and at the end, but before it tears
     * anything down it calls this. That the process ends, pkcs11/ hears by itself; that a program
     * calls OPENSSL_cleanup() before, under a module that is built on libcrypto, it does not.
     */
    (void)OPENSSL_atexit(exit_now);
}

void prov_exit_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, watch);
}

/* ---- PIN ---- */

bool prov_token_prompt(void *arg, const char *token_label, char *pin, size_t capacity, size_t *size)
{
    const struct prov_prompt *prompt = arg;
    OSSL_PARAM params[] = {OSSL_PARAM_END, OSSL_PARAM_END};

    params[0] =
        OSSL_PARAM_construct_utf8_string(OSSL_PASSPHRASE_PARAM_INFO, (char *)token_label, 0);
    return prompt->callback(pin, capacity, size, params, prompt->arg) != 0 && *size <= capacity;
}

/* ---- check of a pair ---- */

static int pair_is(const struct prov_key *key, int ok)
{
    if (!ok)
        PROV_RAISE(PROV_R_NOT_VALID, "%s: private and public key do not belong together",
                   p11_key_uri(key->token));
    return ok;
}

static int check_by_signature(const struct prov_key *key)
{
    uint8_t digest[PROV_MAX_DIGEST], raw[2 * PROV_MAX_COORDINATE];
    uint8_t der[2 + 2 * (2 + 1 + PROV_MAX_COORDINATE)];
    size_t raw_size = sizeof(raw), der_size = sizeof(der);
    EVP_PKEY_CTX *delegate = NULL;
    int ok = 0;

    if (RAND_bytes_ex(key->provider->libctx, digest, key->curve->size, 0) <= 0)
        return 0;
    if (p11_key_sign(key->token, digest, key->curve->size, raw, &raw_size) != P11_OK)
        return 0;
    if (raw_size != 2 * key->curve->size) {
        PROV_RAISE(PROV_R_SIGNATURE_FORM, "%zu octets of %s", raw_size, p11_key_uri(key->token));
        return 0;
    }
    if (!prov_der_from_p1363(raw, key->curve->size, der, &der_size))
        return 0;
    delegate = prov_delegate_of_key(key);
    if (delegate == NULL)
        return 0;
    ok = EVP_PKEY_verify_init(delegate) > 0 &&
         EVP_PKEY_verify(delegate, der, der_size, digest, key->curve->size) == 1;
    EVP_PKEY_CTX_free(delegate);
    return pair_is(key, ok);
}

static EVP_PKEY *other_key(const struct prov_key *key)
{
    EVP_PKEY_CTX *delegate = prov_delegate_new(key->provider);
    EVP_PKEY *other = NULL;

    if (delegate == NULL)
        return NULL;
    if (EVP_PKEY_keygen_init(delegate) <= 0 ||
        EVP_PKEY_CTX_set_group_name(delegate, key->curve->name) <= 0 ||
        EVP_PKEY_generate(delegate, &other) <= 0)
        PROV_RAISE(PROV_R_DELEGATE, "no key to agree with");
    EVP_PKEY_CTX_free(delegate);
    return other;
}

/* Another key agrees with the private half in the token, and with the public half here. */
static int check_by_agreement(const struct prov_key *key)
{
    uint8_t point[1 + 2 * PROV_MAX_COORDINATE];
    uint8_t theirs[PROV_MAX_COORDINATE], ours[PROV_MAX_COORDINATE];
    size_t coordinate = key->curve->size, their_size = sizeof(theirs), our_size = sizeof(ours);
    EVP_PKEY *other = other_key(key), *public = prov_key_software(key);
    EVP_PKEY_CTX *delegate = NULL;
    int ok = 0;

    if (other != NULL && public != NULL)
        delegate = prov_delegate_of(key->provider, other);
    if (delegate == NULL || !prov_point_octets(other, point, coordinate) ||
        p11_key_derive(key->token, point, 1 + 2 * coordinate, theirs, &their_size) != P11_OK)
        goto out;
    if (EVP_PKEY_derive_init(delegate) <= 0 || EVP_PKEY_derive_set_peer(delegate, public) <= 0 ||
        EVP_PKEY_derive(delegate, ours, &our_size) <= 0) {
        PROV_RAISE(PROV_R_DELEGATE, "ECDH in software");
        goto out;
    }
    ok = pair_is(key, our_size == their_size && CRYPTO_memcmp(ours, theirs, our_size) == 0);
out:
    OPENSSL_cleanse(theirs, sizeof(theirs));
    OPENSSL_cleanse(ours, sizeof(ours));
    EVP_PKEY_CTX_free(delegate);
    EVP_PKEY_free(other);
    return ok;
}

int prov_token_check_pair(struct prov_key *key)
{
    if (p11_key_can_sign(key->token))
        return check_by_signature(key);
    if (p11_key_can_derive(key->token))
        return check_by_agreement(key);
    PROV_RAISE(PROV_R_STAYS_IN_TOKEN,
               "%s: a private key that may neither sign nor derive cannot be checked",
               p11_key_uri(key->token));
    return 0;
}
