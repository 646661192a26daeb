/*
 * doctor_key.c: the private keys in a token, after a login.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "apps/dot2hsm/doctor.h"

#define MAKE_NEW                                                                                   \
    "Make a new key in the token with `dot2hsm keys generate`, have it certified, and delete "     \
    "this."

static EVP_PKEY *public_key(enum p11_curve curve, const uint8_t *point, size_t size)
{
    OSSL_PARAM params[3] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                         (char *)(uintptr_t)p11_curve_name(curve), 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point, size),
        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static bool verifies(EVP_PKEY *key, const uint8_t *digest, size_t digest_size, const uint8_t *raw,
                     size_t size)
{
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, (int)(size / 2), NULL);
    BIGNUM *s = BN_bin2bn(raw + size / 2, (int)(size / 2), NULL);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    unsigned char *der = NULL;
    int length = 0;
    bool ok = false;

    if (signature != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(signature, r, s) == 1) {
        r = s = NULL;
        length = i2d_ECDSA_SIG(signature, &der);
        ok = length > 0 && ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
             EVP_PKEY_verify(ctx, der, (size_t)length, digest, digest_size) == 1;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(signature);
    EVP_PKEY_CTX_free(ctx);
    OPENSSL_free(der);
    return ok;
}

/* A signature over random octets: does the private key belong to the public one beside it? */
static void try_key(struct doctor *doctor, p11_ctx *ctx, const p11_objects *objects, size_t index)
{
    const struct p11_object *object = p11_objects_get(objects, index);
    uint8_t digest[48], signature[96];
    size_t size = sizeof(signature), digest_size = p11_curve_size(object->curve);
    EVP_PKEY *public = NULL;
    p11_key *key = NULL;

    if (p11_key_open(ctx, objects, index, &key) != P11_OK || RAND_bytes(digest, 48) != 1 ||
        p11_key_sign(key, digest, digest_size, signature, &size) != P11_OK) {
        doctor_fault(doctor, APP_REFUSED, "key-sign",
                     "See the HSM's log and its policy for this key.", "%s cannot sign: %s",
                     object->uri, doctor_queue(doctor));
    } else if ((public = public_key(object->curve, object->point, object->point_size)) == NULL ||
               !verifies(public, digest, digest_size, signature, size)) {
        doctor_fault(doctor, APP_REFUSED, "key-public",
                     "Put the right public key under the CKA_ID of the private key.",
                     "what %s signs does not verify with the public key beside it", object->uri);
    } else {
        doctor_good(doctor, "key-sign", "%s signs", object->uri);
    }
    EVP_PKEY_free(public);
    p11_key_free(key);
}

static void history(struct doctor *doctor, const struct p11_object *object)
{
    if (!object->sensitive || object->extractable)
        doctor_fault(doctor, APP_REFUSED, "key-extractable", MAKE_NEW,
                     "%s can be read out of its token (CKA_SENSITIVE %s, CKA_EXTRACTABLE %s)",
                     object->uri, object->sensitive ? "true" : "false",
                     object->extractable ? "true" : "false");
    else if (!object->local || !object->never_extractable || !object->always_sensitive)
        doctor_note(doctor, "key-imported", MAKE_NEW,
                    "%s has been outside of its token, or could have been (CKA_LOCAL %s, "
                    "CKA_ALWAYS_SENSITIVE %s, CKA_NEVER_EXTRACTABLE %s)",
                    object->uri, object->local ? "true" : "false",
                    object->always_sensitive ? "true" : "false",
                    object->never_extractable ? "true" : "false");
    else
        doctor_good(doctor, "key", "%s was made in its token and cannot leave it", object->uri);
}

static void one(struct doctor *doctor, p11_ctx *ctx, const p11_objects *objects, size_t index,
                const struct doctor_key *key)
{
    const struct p11_object *object = p11_objects_get(objects, index);

    if (object->curve == P11_CURVE_NONE) {
        doctor_note(doctor, "key-type", "Use a key on P-256, P-384 or their Brainpool kin.",
                    "%s is not on a curve that dot2hsm knows", object->uri);
        return;
    }
    history(doctor, object);
    if (object->point == NULL) {
        doctor_fault(doctor, APP_REFUSED, "key-public",
                     "Store the public key under the same CKA_ID.",
                     "there is no public key for %s in the token", object->uri);
        return;
    }
    if (!object->sign && !object->derive)
        doctor_fault(doctor, APP_REFUSED, "key-usage",
                     "Make a key with --usage sign or derive, as it is needed.",
                     "%s has neither CKA_SIGN nor CKA_DERIVE", object->uri);
    else if (key->derive && !object->derive)
        doctor_fault(doctor, APP_REFUSED, "key-usage", "Make a key with --usage derive.",
                     "%s: %s has no CKA_DERIVE", key->what, object->uri);
    /* What require-sensitive refuses would be refused again here. */
    if (object->sign && object->sensitive && !object->extractable)
        try_key(doctor, ctx, objects, index);
}

void doctor_keys(struct doctor *doctor, p11_ctx *ctx, const struct doctor_key *key)
{
    p11_objects *objects = NULL;
    enum p11_status status = p11_find(ctx, key->uri, P11_PRIVATE, NULL, NULL, &objects);

    if (status == P11_E_PIN) {
        doctor->pin_refused = true;
        doctor_fault(doctor, APP_REFUSED, "pin",
                     "Put the right PIN into the PIN source; it was tried once, and a token locks "
                     "itself after a few wrong ones.",
                     "%s", doctor_queue(doctor));
    } else if (status != P11_OK) {
        doctor_fault(doctor, APP_UNREACHABLE, "login", "See the HSM's log.", "%s",
                     doctor_queue(doctor));
    } else if (p11_objects_count(objects) == 0) {
        doctor_fault(doctor, APP_REFUSED, "key",
                     "`dot2hsm keys list` shows what there is, `dot2hsm keys generate` makes one.",
                     "no private key matches %s", key->uri);
    }
    for (size_t i = 0; status == P11_OK && i < p11_objects_count(objects); i++)
        one(doctor, ctx, objects, i, key);
    p11_objects_free(objects);
}
