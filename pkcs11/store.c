/*
 * store.c: deleting, storing certificates, random octets.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "pkcs11/internal.h"

enum p11_status p11_begin(struct p11_op *op, p11_ctx *ctx, const char *text, p11_pin_fn *prompt,
                          void *prompt_arg, struct p11_uri **uri)
{
    bool without = false;
    enum p11_status status = p11_uri_parse(ctx, text, uri);

    if (status != P11_OK)
        return status;
    p11_op_init(op, ctx, (*uri)->shown);
    if (!(*uri)->has_object)
        return p11_fail(op, P11_E_URI, "the URI must have object= or id=");
    status = p11_token_match_one(op, *uri);
    if (status == P11_OK)
        status = p11_token_login(op, *uri, true, prompt, prompt_arg, &without);
    if (status == P11_OK && without)
        status = p11_fail(op, P11_E_PIN_SOURCE,
                          "the token wants a PIN, and there is neither pin-source nor prompt");
    return status;
}

struct delete
{
    const struct p11_uri *uri;
    bool unfinished; /* those without CKA_ID only */
    size_t deleted;
};

#define CLASSES 3

/* Allocates nothing: what is deleted in part is deleted for want of an answer, not of memory. */
static CK_RV delete_object(struct p11_op *op, struct delete *delete, CK_OBJECT_HANDLE object)
{
    CK_ATTRIBUTE id = {CKA_ID, NULL, 0};
    CK_RV rv = CKR_OK;

    if (delete->unfinished) {
        rv = P11_CALL(op, C_GetAttributeValue, op->session.handle, object, &id, 1);
        if (rv == CKR_ATTRIBUTE_TYPE_INVALID || id.ulValueLen == (CK_ULONG)-1) {
            rv = CKR_OK; /* none at all */
            id.ulValueLen = 0;
        }
    }
    if (rv == CKR_OK && id.ulValueLen == 0) {
        rv = P11_CALL(op, C_DestroyObject, op->session.handle, object);
        if (rv == CKR_OK)
            delete->deleted++;
    }
    return rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv; /* somebody else was faster */
}

static CK_RV delete_objects(struct p11_op *op, void *arg)
{
    static const struct {
        unsigned bit;
        CK_OBJECT_CLASS class_;
    } classes[CLASSES] = {{P11_PRIVATE, CKO_PRIVATE_KEY},
                          {P11_PUBLIC, CKO_PUBLIC_KEY},
                          {P11_CERTIFICATE, CKO_CERTIFICATE}};
    struct delete *delete = arg;
    CK_OBJECT_HANDLE *handles[CLASSES] = {NULL};
    size_t found[CLASSES] = {0};
    CK_RV rv = CKR_OK;

    for (size_t i = 0; rv == CKR_OK && i < CLASSES; i++) {
        CK_OBJECT_CLASS class_ = classes[i].class_;
        CK_ATTRIBUTE want[4];
        size_t count = p11_uri_template(delete->uri, &class_, want);

        if ((delete->uri->classes & classes[i].bit) != 0)
            rv = p11_search(op, want, count, &handles[i], &found[i]);
    }
    for (size_t i = 0; i < CLASSES; i++) {
        for (size_t k = 0; rv == CKR_OK && k < found[i]; k++)
            rv = delete_object(op, delete, handles[i][k]);
        OPENSSL_free(handles[i]);
    }
    return rv;
}

static enum p11_status delete_all(p11_ctx *ctx, const char *text, bool unfinished,
                                  p11_pin_fn *prompt, void *prompt_arg, size_t *deleted)
{
    struct delete delete = {.unfinished = unfinished};
    struct p11_uri *uri = NULL;
    enum p11_status status;
    struct p11_op op;

    if (ctx == NULL || deleted == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no context or no place for the count");
    *deleted = 0;
    status = p11_begin(&op, ctx, text, prompt, prompt_arg, &uri);
    if (status == P11_OK) {
        delete.uri = uri;
        status = p11_run(&op, P11_SESSION_RW, delete_objects, &delete);
        *deleted = delete.deleted;
    }
    p11_uri_free(uri);
    return status;
}

enum p11_status p11_delete(p11_ctx *ctx, const char *text, p11_pin_fn *prompt, void *prompt_arg,
                           size_t *deleted)
{
    return delete_all(ctx, text, false, prompt, prompt_arg, deleted);
}

enum p11_status p11_delete_unfinished(p11_ctx *ctx, const char *text, p11_pin_fn *prompt,
                                      void *prompt_arg, size_t *deleted)
{
    return delete_all(ctx, text, true, prompt, prompt_arg, deleted);
}

struct store {
    const struct p11_uri *uri;
    const uint8_t *der;
    size_t der_size;
    uint8_t *subject, *issuer, *serial;
    int subject_size, issuer_size, serial_size;
};

static CK_RV store_certificate(struct p11_op *op, void *arg)
{
    struct store *store = arg;
    CK_OBJECT_CLASS class_ = CKO_CERTIFICATE;
    CK_CERTIFICATE_TYPE type = CKC_X_509;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE template[10];
    CK_OBJECT_HANDLE *handles = NULL;
    CK_OBJECT_HANDLE made;
    size_t count = p11_uri_template(store->uri, &class_, template);
    size_t found = 0;
    CK_RV rv = p11_search(op, template, count, &handles, &found);

    OPENSSL_free(handles);
    if (rv == CKR_OK && found != 0) {
        op->status = P11_E_EXISTS;
        op->detail = "a certificate of this name is there already";
        return CKR_VENDOR_DEFINED;
    }
    if (rv != CKR_OK)
        return rv;
    template[count++] = (CK_ATTRIBUTE){CKA_CERTIFICATE_TYPE, &type, sizeof(type)};
    template[count++] = (CK_ATTRIBUTE){CKA_TOKEN, &yes, sizeof(yes)};
    template[count++] = (CK_ATTRIBUTE){CKA_PRIVATE, &no, sizeof(no)};
    template[count++] =
        (CK_ATTRIBUTE){CKA_VALUE, (void *)(uintptr_t)store->der, (CK_ULONG)store->der_size};
    template[count++] = (CK_ATTRIBUTE){CKA_SUBJECT, store->subject, (CK_ULONG)store->subject_size};
    template[count++] = (CK_ATTRIBUTE){CKA_ISSUER, store->issuer, (CK_ULONG)store->issuer_size};
    template[count++] =
        (CK_ATTRIBUTE){CKA_SERIAL_NUMBER, store->serial, (CK_ULONG)store->serial_size};
    return P11_CALL(op, C_CreateObject, op->session.handle, template, (CK_ULONG)count, &made);
}

/* Subject, issuer and serial number, which PKCS#11 wants beside the certificate. */
static bool take_names(struct store *store)
{
    const uint8_t *at = store->der;
    X509 *x509 = NULL;
    bool ok = false;

    ERR_set_mark();
    if (store->der_size <= 1 << 20)
        x509 = d2i_X509(NULL, &at, (long)store->der_size);
    if (x509 != NULL && at == store->der + store->der_size) {
        store->subject_size = i2d_X509_NAME(X509_get_subject_name(x509), &store->subject);
        store->issuer_size = i2d_X509_NAME(X509_get_issuer_name(x509), &store->issuer);
        store->serial_size = i2d_ASN1_INTEGER(X509_get0_serialNumber(x509), &store->serial);
        ok = store->subject_size > 0 && store->issuer_size > 0 && store->serial_size > 0;
    }
    X509_free(x509);
    ERR_pop_to_mark();
    return ok;
}

enum p11_status p11_certificate_store(p11_ctx *ctx, const char *text, const uint8_t *der,
                                      size_t der_size, p11_pin_fn *prompt, void *prompt_arg)
{
    struct store store = {.der = der, .der_size = der_size};
    struct p11_uri *uri = NULL;
    enum p11_status status;
    struct p11_op op;

    if (ctx == NULL || der == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no context or no certificate");
    if (!take_names(&store)) {
        status = p11_fail(NULL, P11_E_ARGUMENT, "not one X.509 certificate in DER");
        goto out;
    }
    status = p11_begin(&op, ctx, text, prompt, prompt_arg, &uri);
    if (status == P11_OK && (uri->classes & P11_CERTIFICATE) == 0)
        status = p11_fail(&op, P11_E_URI, "a certificate is stored under type=cert only");
    if (status == P11_OK) {
        store.uri = uri;
        status = p11_run(&op, P11_SESSION_RW, store_certificate, &store);
    }
out:
    OPENSSL_free(store.subject);
    OPENSSL_free(store.issuer);
    OPENSSL_free(store.serial);
    p11_uri_free(uri);
    return status;
}

struct octets {
    uint8_t *out;
    size_t size;
};

static CK_RV generate_random(struct p11_op *op, void *arg)
{
    struct octets *octets = arg;

    return P11_CALL(op, C_GenerateRandom, op->session.handle, octets->out, (CK_ULONG)octets->size);
}

enum p11_status p11_random(p11_ctx *ctx, uint8_t *out, size_t size)
{
    static const struct p11_uri nothing;
    struct octets octets = {out, size};
    bool without;
    enum p11_status status;
    struct p11_op op;

    if (ctx == NULL || out == NULL)
        return p11_fail(NULL, P11_E_ARGUMENT, "no context or no place for the octets");
    p11_op_init(&op, ctx, ctx->token != NULL ? ctx->token->shown : NULL);
    status = p11_token_match_one(&op, NULL);
    if (status == P11_OK) /* with login = always only */
        status = p11_token_login(&op, &nothing, false, NULL, NULL, &without);
    if (status == P11_OK && size != 0)
        status = p11_run(&op, P11_SESSION_RO, generate_random, &octets);
    return status;
}
