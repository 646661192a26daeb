/*
 * bench_evp.c: the same work by OpenSSL, over each of the three.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* ENGINE */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/core_names.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/store.h>

static struct {
    const char *name;
    OSSL_LIB_CTX *libctx;
    EVP_PKEY *sign, *derive, *peer;
} subjects[SUBJECTS] = {
    [DOT2HSM] = {.name = "dot2hsm"},
    [PKCS11_PROVIDER] = {.name = "pkcs11-provider"},
    [ENGINE_LIBP11] = {.name = "engine"},
};
static ENGINE *engine;
static char uris[2][200];

static bool complain(enum subject subject, const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", subjects[subject].name, what);
    ERR_print_errors_fp(stderr);
    return false;
}

/* ---- keys by URI ---- */

static EVP_PKEY *open_by_store(OSSL_LIB_CTX *libctx, const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info;
    EVP_PKEY *key = NULL;

    if (store == NULL)
        return NULL;
    OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
    while (key == NULL && !OSSL_STORE_eof(store)) {
        info = OSSL_STORE_load(store);
        if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    return key;
}

static EVP_PKEY *open_key(enum subject subject, const char *uri)
{
    if (subject == ENGINE_LIBP11)
        return ENGINE_load_private_key(engine, uri, NULL, NULL);
    return open_by_store(subjects[subject].libctx, uri);
}

/* ---- loading ---- */

static bool load_provider(const struct bench_setup *setup, enum subject subject)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    CONF *conf = NCONF_new_ex(libctx, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    long line = 0;
    bool ok;

    BIO_puts(bio, "openssl_conf = a\n[a]\nproviders = b\n[b]\ndefault = c\nours = d\n"
                  "[c]\nactivate = 1\n[d]\nactivate = 1\n");
    if (subject == DOT2HSM)
        BIO_printf(bio,
                   "identity = dot2hsm\nmodule = %s\npkcs11-module = %s\npin-source = file:%s\n"
                   "max-sessions = 32\n",
                   setup->dot2hsm, setup->module, setup->pin_file);
    else
        BIO_printf(bio,
                   "identity = pkcs11\nmodule = %s\npkcs11-module-path = %s\n"
                   "pkcs11-module-token-pin = file:%s\n",
                   setup->pkcs11_provider, setup->module, setup->pin_file);
    ok = NCONF_load_bio(conf, bio, &line) > 0 && CONF_modules_load(conf, NULL, 0) > 0;
    NCONF_free(conf);
    BIO_free(bio);
    subjects[subject].libctx = libctx;
    return ok;
}

static bool load_engine(const struct bench_setup *setup)
{
    ENGINE_load_dynamic();
    engine = ENGINE_by_id("dynamic");
    return engine != NULL && ENGINE_ctrl_cmd_string(engine, "SO_PATH", setup->engine, 0) == 1 &&
           ENGINE_ctrl_cmd_string(engine, "ID", "pkcs11", 0) == 1 &&
           ENGINE_ctrl_cmd_string(engine, "LOAD", NULL, 0) == 1 &&
           ENGINE_ctrl_cmd_string(engine, "MODULE_PATH", setup->module, 0) == 1 &&
           ENGINE_ctrl_cmd_string(engine, "PIN", setup->pin, 0) == 1 && ENGINE_init(engine) == 1;
}

static EVP_PKEY *make_peer(OSSL_LIB_CTX *libctx)
{
    size_t size;
    const uint8_t *point = bare_peer(&size);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t) "P-256",
                                         0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point, size),
        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(libctx, "EC", "provider=default");
    EVP_PKEY *key = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

bool evp_setup(const struct bench_setup *setup, enum subject subject)
{
    const char *const paths[SUBJECTS] = {[DOT2HSM] = setup->dot2hsm,
                                         [PKCS11_PROVIDER] = setup->pkcs11_provider,
                                         [ENGINE_LIBP11] = setup->engine};

    if (paths[subject] == NULL || *paths[subject] == '\0') {
        fprintf(stderr, "bench: %s is not to be had here; its rows are left out\n",
                subjects[subject].name);
        return false;
    }
    snprintf(uris[0], sizeof(uris[0]), "pkcs11:token=%s;object=%s;type=private", setup->token,
             setup->sign_label);
    snprintf(uris[1], sizeof(uris[1]), "pkcs11:token=%s;object=%s;type=private", setup->token,
             setup->derive_label);
    if (subject == ENGINE_LIBP11 ? !load_engine(setup) : !load_provider(setup, subject))
        return complain(subject, "cannot be loaded");
    subjects[subject].sign = open_key(subject, uris[0]);
    subjects[subject].derive = open_key(subject, uris[1]);
    subjects[subject].peer = make_peer(subjects[subject].libctx);
    if (subjects[subject].sign == NULL || subjects[subject].derive == NULL ||
        subjects[subject].peer == NULL)
        return complain(subject, "its keys cannot be opened");
    return true;
}

/* ---- work ---- */

static EVP_PKEY_CTX *signing(enum subject subject)
{
    EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_pkey(subjects[subject].libctx, subjects[subject].sign, NULL);

    if (ctx != NULL && EVP_PKEY_sign_init(ctx) != 1) {
        EVP_PKEY_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

bool evp_thread(struct bench_thread *thread, enum subject subject)
{
    EVP_PKEY_CTX *ctx = NULL;

    thread->sign[subject] = signing(subject);
    if (thread->sign[subject] == NULL)
        return complain(subject, "no signing context");
    ctx = EVP_PKEY_CTX_new_from_pkey(subjects[subject].libctx, subjects[subject].derive, NULL);
    if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
        EVP_PKEY_derive_set_peer(ctx, subjects[subject].peer) != 1) {
        /* One that offers no derivation is left out of those rows. */
        EVP_PKEY_CTX_free(ctx);
        ctx = NULL;
        ERR_clear_error();
    }
    thread->derive[subject] = ctx;
    return true;
}

static bool sign(EVP_PKEY_CTX *ctx)
{
    uint8_t digest[BENCH_DIGEST] = {1, 2, 3}, signature[128];
    size_t size = sizeof(signature);

    return ctx != NULL && EVP_PKEY_sign(ctx, signature, &size, digest, sizeof(digest)) == 1;
}

bool evp_work(struct bench_thread *thread, enum subject subject, enum work work)
{
    EVP_PKEY_CTX *ctx = NULL;
    EVP_PKEY *key = NULL;
    /* P-256's secret and no more: pkcs11-provider asks the token for a secret of this size. */
    uint8_t shared[32];
    size_t size = sizeof(shared);
    bool ok = false;

    switch (work) {
    case SIGN_KEPT:
        return sign(thread->sign[subject]);
    case SIGN_FRESH:
        ctx = signing(subject);
        ok = sign(ctx);
        EVP_PKEY_CTX_free(ctx);
        return ok;
    case DERIVE:
        return thread->derive[subject] != NULL &&
               EVP_PKEY_derive(thread->derive[subject], shared, &size) == 1;
    default:
        key = open_key(subject, uris[0]);
        EVP_PKEY_free(key);
        return key != NULL;
    }
}
