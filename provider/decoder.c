/*
 * decoder.c: DECODER for key files (key_file.h), so that whatever reads a private key from a PEM
 * file reads one of a token. Two steps, as libcrypto chains them: PEM to DER, DER to the key.
 *
 * A decoder is tried on everything that anybody decodes. What is not a key file it passes by
 * without an error (1, "go on"); what is one and yields no key ends the decoding (0), so that the
 * reason is what the user gets to see.
 */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>

#include "provider/key_file.h"
#include "provider/object.h"
#include "provider/provider.h"

static OSSL_FUNC_decoder_newctx_fn decoder_newctx;
static OSSL_FUNC_decoder_freectx_fn decoder_freectx;
static OSSL_FUNC_decoder_does_selection_fn decoder_does_selection;
static OSSL_FUNC_decoder_decode_fn decoder_pem;
static OSSL_FUNC_decoder_decode_fn decoder_der;

#define GO_ON 1
#define END 0

static void *decoder_newctx(void *vprovider)
{
    return vprovider; /* a decoder has no state but its provider */
}

static void decoder_freectx(void *vctx)
{
    (void)vctx;
}

static int decoder_does_selection(void *vctx, int selection)
{
    (void)vctx;
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
}

/* ---- PEM ---- */

static int hand_der_on(uint8_t *der, size_t size, OSSL_CALLBACK *callback, void *arg)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der, size),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE,
                                         (char *)PROV_KEY_FILE_STRUCTURE, 0),
        OSSL_PARAM_construct_end(),
    };

    return callback(params, arg);
}

static int decoder_pem(void *vctx, OSSL_CORE_BIO *core_in, int selection, OSSL_CALLBACK *callback,
                       void *arg, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    const struct prov_ctx *provider = vctx;
    BIO *in = BIO_new_from_core_bio(provider->bios, core_in);
    char *label = NULL, *header = NULL, *uri = NULL;
    uint8_t *der = NULL;
    long size = 0;
    int result = GO_ON;

    (void)selection;
    (void)passphrase;
    (void)passphrase_arg;
    if (in == NULL)
        return GO_ON;
    ERR_set_mark();
    if (PEM_read_bio(in, &label, &header, &der, &size) <= 0 ||
        strcmp(label, PROV_KEY_FILE_LABEL) != 0) {
        ERR_pop_to_mark();
        goto out;
    }
    ERR_clear_last_mark();
    /* Asked here already, since the next decoder does not know the label. */
    switch (prov_key_file_parse(der, (size_t)size, &uri)) {
    case PROV_KEY_FILE_OK:
        result = hand_der_on(der, (size_t)size, callback, arg);
        break;
    case PROV_KEY_FILE_OTHER:
        PROV_RAISE(PROV_R_KEY_FILE, "no description and URI in it");
        result = END;
        break;
    case PROV_KEY_FILE_MALFORMED:
        result = END;
        break;
    }
out:
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_clear_free(der, size > 0 ? (size_t)size : 0);
    OPENSSL_clear_free(uri, uri != NULL ? strlen(uri) : 0);
    BIO_free(in);
    return result;
}

/* ---- DER ---- */

/* Reads all there is, if it can be a key file. */
static size_t read_octets(const struct prov_ctx *provider, OSSL_CORE_BIO *core_in,
                          uint8_t octets[PROV_KEY_FILE_MAX + 1])
{
    BIO *in = BIO_new_from_core_bio(provider->bios, core_in);
    size_t size = 0, got = 0;

    if (in == NULL)
        return 0;
    while (size <= PROV_KEY_FILE_MAX &&
           BIO_read_ex(in, octets + size, PROV_KEY_FILE_MAX + 1 - size, &got) > 0) {
        size += got;
        if (octets[0] != 0x30) /* no SEQUENCE */
            break;
    }
    BIO_free(in);
    return size;
}

/* The key that the URI names: private if that is asked for or all the same, else public. */
static struct prov_key *load(struct prov_ctx *provider, const char *uri, int selection,
                             struct prov_prompt *prompt)
{
    bool private = selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
    unsigned classes = selection == 0 ? P11_PRIVATE | P11_PUBLIC
                       : private      ? P11_PRIVATE
                                      : P11_PUBLIC;
    p11_objects *objects = NULL;
    struct prov_key *key = NULL;

    if (!prov_objects_find(provider, uri, classes, prompt, &objects))
        return NULL;
    if (!private && p11_objects_count(objects) == 0) {
        p11_objects_free(objects);
        /* Named by type=private, or without a public object: the private key knows its point. */
        if (!prov_objects_find(provider, uri, P11_PRIVATE, prompt, &objects))
            return NULL;
    }
    if (p11_objects_count(objects) == 0)
        PROV_RAISE(PROV_R_NOT_FOUND, "no key stands behind the URI of the key file");
    else if (prov_objects_unambiguous(objects))
        key = prov_object_key(provider, objects, 0, !private);
    p11_objects_free(objects);
    return key;
}

static int decoder_der(void *vctx, OSSL_CORE_BIO *core_in, int selection, OSSL_CALLBACK *callback,
                       void *arg, OSSL_PASSPHRASE_CALLBACK *passphrase, void *passphrase_arg)
{
    struct prov_ctx *provider = vctx;
    struct prov_prompt prompt = {passphrase, passphrase_arg};
    uint8_t octets[PROV_KEY_FILE_MAX + 1];
    size_t size = read_octets(provider, core_in, octets);
    struct prov_key *key = NULL;
    char *uri = NULL;
    int result = GO_ON;

    switch (prov_key_file_parse(octets, size, &uri)) {
    case PROV_KEY_FILE_OK:
        key = load(provider, uri, selection, &prompt);
        result = key != NULL ? prov_object_deliver(key, callback, arg) : END;
        break;
    case PROV_KEY_FILE_OTHER:
        break;
    case PROV_KEY_FILE_MALFORMED:
        result = END;
        break;
    }
    OPENSSL_cleanse(octets, size);
    OPENSSL_clear_free(uri, uri != NULL ? strlen(uri) : 0);
    return result;
}

const OSSL_DISPATCH prov_decoder_pem_functions[] = {
    {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))decoder_newctx},
    {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))decoder_freectx},
    {OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))decoder_does_selection},
    {OSSL_FUNC_DECODER_DECODE, (void (*)(void))decoder_pem},
    {0, NULL},
};

const OSSL_DISPATCH prov_decoder_der_functions[] = {
    {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))decoder_newctx},
    {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))decoder_freectx},
    {OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))decoder_does_selection},
    {OSSL_FUNC_DECODER_DECODE, (void (*)(void))decoder_der},
    {0, NULL},
};
