/* store.c: STORE "pkcs11": what a URI names, as keys and certificates. */
#include <limits.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <openssl/x509.h>

#include "provider/object.h"
#include "provider/provider.h"

static OSSL_FUNC_store_open_fn store_open;
static OSSL_FUNC_store_settable_ctx_params_fn store_settable_ctx_params;
static OSSL_FUNC_store_set_ctx_params_fn store_set_ctx_params;
static OSSL_FUNC_store_load_fn store_load;
static OSSL_FUNC_store_eof_fn store_eof;
static OSSL_FUNC_store_close_fn store_close;

struct store {
    struct prov_ctx *provider;
    char *uri;
    int expect;           /* OSSL_STORE_INFO_...; 0 = whatever there is */
    bool searched;        /* objects is what was found */
    bool as_public;       /* a public key is wanted and there are private keys only */
    p11_objects *objects; /* NULL before the search, and after one that failed */
    size_t next;
    /* OSSL_STORE_find(): only certificates of this subject, or issuer and serial number */
    X509_NAME *subject, *issuer;
    BIGNUM *serial;
};

static void *store_open(void *vctx, const char *uri)
{
    struct store *store = NULL;

    /* Asked first, so that a missing module is said at once and by name. */
    if (prov_token_get(vctx) == NULL)
        return NULL;
    store = OPENSSL_zalloc(sizeof(*store));
    if (store != NULL)
        store->uri = OPENSSL_strdup(uri);
    if (store == NULL || store->uri == NULL) {
        PROV_RAISE(PROV_R_MEMORY, NULL);
        OPENSSL_free(store);
        return NULL;
    }
    store->provider = vctx;
    return store;
}

static int store_close(void *vstore)
{
    struct store *store = vstore;

    if (store == NULL)
        return 1;
    p11_objects_free(store->objects);
    X509_NAME_free(store->subject);
    X509_NAME_free(store->issuer);
    BN_free(store->serial);
    OPENSSL_clear_free(store->uri, strlen(store->uri)); /* it may hold a PIN */
    OPENSSL_free(store);
    return 1;
}

static const OSSL_PARAM *store_settable_ctx_params(void *vctx)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL),
        OSSL_PARAM_octet_string(OSSL_STORE_PARAM_SUBJECT, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_STORE_PARAM_ISSUER, NULL, 0),
        OSSL_PARAM_BN(OSSL_STORE_PARAM_SERIAL, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vctx;
    return settable;
}

static int set_name(const OSSL_PARAM params[], const char *name, X509_NAME **to)
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);
    const unsigned char *at = p != NULL ? p->data : NULL;
    X509_NAME *read = NULL;

    if (p == NULL)
        return 1;
    if (p->data_type == OSSL_PARAM_OCTET_STRING && p->data_size <= LONG_MAX)
        read = d2i_X509_NAME(NULL, &at, (long)p->data_size);
    if (read == NULL) {
        PROV_RAISE(PROV_R_PARAMETER, "%s is a name in DER", name);
        return 0;
    }
    X509_NAME_free(*to);
    *to = read;
    return 1;
}

/* libcrypto does not ask whether a search is offered: one that is passed by would find too much. */
static int set_criterion(struct store *store, const OSSL_PARAM params[])
{
    static const char *const others[] = {OSSL_STORE_PARAM_ALIAS, OSSL_STORE_PARAM_FINGERPRINT};
    const OSSL_PARAM *p = NULL;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (OSSL_PARAM_locate_const(params, others[i]) != NULL) {
            PROV_RAISE(PROV_R_PARAMETER, "no search by %s; object= and id= of the URI name one",
                       others[i]);
            return 0;
        }
    }
    if (!set_name(params, OSSL_STORE_PARAM_SUBJECT, &store->subject) ||
        !set_name(params, OSSL_STORE_PARAM_ISSUER, &store->issuer))
        return 0;
    p = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_SERIAL);
    if (p == NULL || OSSL_PARAM_get_BN(p, &store->serial))
        return 1;
    PROV_RAISE(PROV_R_PARAMETER, OSSL_STORE_PARAM_SERIAL " is a number");
    return 0;
}

static int store_set_ctx_params(void *vstore, const OSSL_PARAM params[])
{
    struct store *store = vstore;
    const OSSL_PARAM *p = NULL;

    if (params == NULL)
        return 1;
    p = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);
    if (p != NULL && !OSSL_PARAM_get_int(p, &store->expect)) {
        PROV_RAISE(PROV_R_PARAMETER, OSSL_STORE_PARAM_EXPECT " is an integer");
        return 0;
    }
    return set_criterion(store, params);
}

/* ---- search ---- */

static bool has_criterion(const struct store *store)
{
    return store->subject != NULL || store->issuer != NULL || store->serial != NULL;
}

static bool has_serial(const X509 *x509, const BIGNUM *serial)
{
    BIGNUM *own = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL);
    bool same = own != NULL && BN_cmp(own, serial) == 0;

    BN_free(own);
    return same;
}

/* Whether it is a certificate, and one of those that are searched for. */
static bool meets_criterion(const struct store *store, const struct p11_object *object)
{
    const unsigned char *at = object->certificate;
    X509 *x509 = NULL;
    bool meets = false;

    if (object->certificate == NULL)
        return false;
    ERR_set_mark(); /* what cannot be read is not what is searched for */
    x509 = X509_new_ex(store->provider->libctx, PROV_DELEGATE_PROPERTIES);
    if (x509 != NULL && d2i_X509(&x509, &at, (long)object->certificate_size) != NULL)
        meets = (store->subject == NULL ||
                 X509_NAME_cmp(X509_get_subject_name(x509), store->subject) == 0) &&
                (store->issuer == NULL ||
                 X509_NAME_cmp(X509_get_issuer_name(x509), store->issuer) == 0) &&
                (store->serial == NULL || has_serial(x509, store->serial));
    X509_free(x509);
    ERR_pop_to_mark();
    return meets;
}

/* To the next object that is searched for. */
static void move_on(struct store *store)
{
    while (has_criterion(store) && store->next < p11_objects_count(store->objects) &&
           !meets_criterion(store, p11_objects_get(store->objects, store->next)))
        store->next++;
}

static unsigned expected_classes(const struct store *store)
{
    if (has_criterion(store)) /* libcrypto's store of trusted certificates stops at a key */
        return store->expect == 0 || store->expect == OSSL_STORE_INFO_CERT ? P11_CERTIFICATE : 0;
    switch (store->expect) {
    case 0:
        return P11_ANY;
    case OSSL_STORE_INFO_PKEY:
        return P11_PRIVATE;
    case OSSL_STORE_INFO_PUBKEY:
        return P11_PUBLIC;
    case OSSL_STORE_INFO_CERT:
        return P11_CERTIFICATE;
    default:
        return 0; /* parameters, CRLs: a token has none */
    }
}

static bool find(struct store *store, unsigned classes, struct prov_prompt *prompt)
{
    p11_objects_free(store->objects);
    store->objects = NULL;
    return prov_objects_find(store->provider, store->uri, classes, prompt, &store->objects);
}

/*
 * Where a private key is asked for, by what is expected or by type=private, there must be one.
 * Else all that matches is gone through.
 */
static bool wants_one(const struct store *store)
{
    return !store->as_public && p11_objects_classes(store->objects) == P11_PRIVATE;
}

static bool search(struct store *store, struct prov_prompt *prompt)
{
    unsigned classes = expected_classes(store);

    store->searched = true;
    if (classes != 0 && !find(store, classes, prompt))
        return false;
    if (classes == P11_PUBLIC && p11_objects_count(store->objects) == 0) {
        /* Many tokens keep no public object beside a private key, which knows its point. */
        if (!find(store, P11_PRIVATE, prompt))
            return false;
        store->as_public = true;
    }
    if (has_criterion(store)) { /* that there is none is an answer, not an error */
        move_on(store);
        return true;
    }
    if (store->objects == NULL || p11_objects_count(store->objects) == 0) {
        PROV_RAISE(PROV_R_NOT_FOUND, "nothing of the kind that is asked for stands behind the URI");
        return false;
    }
    if (!wants_one(store) || prov_objects_unambiguous(store->objects))
        return true;
    p11_objects_free(store->objects);
    store->objects = NULL;
    return false;
}

/* ---- delivery ---- */

static int deliver_certificate(const struct p11_object *object, OSSL_CALLBACK *callback, void *arg)
{
    int type = OSSL_OBJECT_CERT;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, (void *)object->certificate,
                                          object->certificate_size),
        OSSL_PARAM_construct_end(),
    };

    if (object->certificate == NULL) {
        PROV_RAISE(PROV_R_NOT_FOUND, "the token does not have the certificate itself: %s",
                   object->uri);
        return 0;
    }
    return callback(params, arg);
}

static int store_load(void *vstore, OSSL_CALLBACK *object_callback, void *object_arg,
                      OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    struct store *store = vstore;
    struct prov_prompt prompt = {passphrase, passphrase_arg};
    const struct p11_object *object = NULL;
    struct prov_key *key = NULL;
    size_t index = 0;

    if (!store->searched && !search(store, &prompt))
        return 0;
    if (store_eof(store))
        return has_criterion(store); /* nothing is there, and that is no error */
    index = store->next++; /* an object that cannot be delivered does not hide the next one */
    move_on(store);
    object = p11_objects_get(store->objects, index);
    if (object->class_ == P11_CERTIFICATE)
        return deliver_certificate(object, object_callback, object_arg);
    key = prov_object_key(store->provider, store->objects, index, store->as_public);
    return key != NULL && prov_object_deliver(key, object_callback, object_arg);
}

static int store_eof(void *vstore)
{
    const struct store *store = vstore;

    return store->searched &&
           (store->objects == NULL || store->next >= p11_objects_count(store->objects));
}

const OSSL_DISPATCH prov_store_functions[] = {
    {OSSL_FUNC_STORE_OPEN, (void (*)(void))store_open},
    {OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, (void (*)(void))store_settable_ctx_params},
    {OSSL_FUNC_STORE_SET_CTX_PARAMS, (void (*)(void))store_set_ctx_params},
    {OSSL_FUNC_STORE_LOAD, (void (*)(void))store_load},
    {OSSL_FUNC_STORE_EOF, (void (*)(void))store_eof},
    {OSSL_FUNC_STORE_CLOSE, (void (*)(void))store_close},
    {0, NULL},
};
