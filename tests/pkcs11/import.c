/*
 * import.c: objects put into the token beside the library, as a user's other tools would.
 */
#include "tests/pkcs11/lab.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>

CK_SESSION_HANDLE lab_session(void)
{
    CK_SESSION_HANDLE session = 0;

    assert_int_equal(lab_cryptoki()->C_OpenSession(lab_slot(LAB_TOKEN),
                                                   CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                                   &session),
                     CKR_OK);
    return session;
}

void lab_software(enum p11_curve curve, struct lab_software_key *key)
{
    EVP_PKEY *pkey = EVP_EC_gen(p11_curve_name(curve));
    BIGNUM *value = NULL;
    size_t size = 0;

    assert_non_null(pkey);
    memset(key, 0, sizeof(*key));
    key->curve = curve;
    key->size = p11_curve_size(curve);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &value), 1);
    assert_int_equal(BN_bn2binpad(value, key->value, (int)key->size), (int)key->size);
    assert_int_equal(EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, key->point,
                                                     sizeof(key->point), &size),
                     1);
    assert_int_equal(size, 1 + 2 * key->size);
    BN_clear_free(value);
    EVP_PKEY_free(pkey);
}

static int curve_params(enum p11_curve curve, bool explicit_params, uint8_t **der)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_sn2nid(p11_curve_name(curve)));
    int size;

    assert_non_null(group);
    EC_GROUP_set_asn1_flag(group,
                           explicit_params ? OPENSSL_EC_EXPLICIT_CURVE : OPENSSL_EC_NAMED_CURVE);
    size = i2d_ECPKParameters(group, der);
    assert_true(size > 0);
    EC_GROUP_free(group);
    return size;
}

CK_RV lab_import(const struct lab_software_key *key, const char *label, const char *id,
                 bool sensitive, bool extractable, bool explicit_params)
{
    CK_OBJECT_CLASS class_ = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = CKK_EC;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL s = sensitive ? CK_TRUE : CK_FALSE;
    CK_BBOOL e = extractable ? CK_TRUE : CK_FALSE;
    uint8_t *params = NULL;
    int params_size = curve_params(key->curve, explicit_params, &params);
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class_, sizeof(class_)},
                               {CKA_KEY_TYPE, &type, sizeof(type)},
                               {CKA_TOKEN, &yes, 1},
                               {CKA_PRIVATE, &yes, 1},
                               {CKA_SENSITIVE, &s, 1},
                               {CKA_EXTRACTABLE, &e, 1},
                               {CKA_SIGN, &yes, 1},
                               {CKA_DERIVE, &yes, 1},
                               {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
                               {CKA_ID, (void *)(uintptr_t)id, strlen(id)},
                               {CKA_EC_PARAMS, params, (CK_ULONG)params_size},
                               {CKA_VALUE, (void *)(uintptr_t)key->value, key->size}};
    CK_OBJECT_HANDLE object;
    CK_SESSION_HANDLE session = lab_session();
    CK_RV rv = lab_cryptoki()->C_CreateObject(session, template, 12, &object);

    lab_cryptoki()->C_CloseSession(session);
    OPENSSL_free(params);
    return rv;
}

CK_RV lab_import_public(const struct lab_software_key *key, const char *label, const char *id,
                        bool raw, bool explicit_params)
{
    CK_OBJECT_CLASS class_ = CKO_PUBLIC_KEY;
    CK_KEY_TYPE type = CKK_EC;
    CK_BBOOL yes = CK_TRUE;
    size_t point_size = 1 + 2 * key->size;
    uint8_t wrapped[99] = {0x04, (uint8_t)point_size};
    uint8_t *params = NULL;
    int params_size = curve_params(key->curve, explicit_params, &params);
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class_, sizeof(class_)},
        {CKA_KEY_TYPE, &type, sizeof(type)},
        {CKA_TOKEN, &yes, 1},
        {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
        {CKA_ID, (void *)(uintptr_t)id, strlen(id)},
        {CKA_EC_PARAMS, params, (CK_ULONG)params_size},
        {CKA_EC_POINT, raw ? wrapped + 2 : wrapped, raw ? point_size : point_size + 2}};
    CK_OBJECT_HANDLE object;
    CK_SESSION_HANDLE session = lab_session();
    CK_RV rv;

    memcpy(wrapped + 2, key->point, point_size);
    rv = lab_cryptoki()->C_CreateObject(session, template, 7, &object);
    lab_cryptoki()->C_CloseSession(session);
    OPENSSL_free(params);
    return rv;
}
