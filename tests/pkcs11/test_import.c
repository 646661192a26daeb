/*
 * Keys made outside put into a SoftHSM token: what they are allowed, and what is refused.
 */
#include "tests/pkcs11/lab.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/objects.h>

static struct p11_import import_of(const struct lab_software_key *key, unsigned usage)
{
    return (struct p11_import){.curve = key->curve,
                               .usage = usage,
                               .number = key->value,
                               .number_size = key->size,
                               .point = key->point,
                               .point_size = 1 + 2 * key->size};
}

/* Everything on the error queue, as one text. */
static void queue_text(char *text, size_t size)
{
    unsigned long error;
    const char *data;
    size_t used = 0;
    int flags;

    text[0] = '\0';
    while ((error = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0 && used < size)
        used +=
            (size_t)snprintf(text + used, size - used, "%s %s\n", ERR_reason_error_string(error),
                             (flags & ERR_TXT_STRING) != 0 ? data : "");
}

/* Refused, and nothing of the number in the texts, in either case of hexadecimal. */
static void refused(p11_ctx *ctx, const char *uri, const struct p11_import *what,
                    enum p11_status expected)
{
    p11_key *key = NULL;
    char text[4096], low[9], high[9];

    ERR_clear_error();
    assert_int_equal(p11_key_import(ctx, uri, what, NULL, NULL, &key), expected);
    assert_null(key);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), expected);
    queue_text(text, sizeof(text));
    assert_true(strlen(text) > 0);
    for (size_t i = 0; what->number != NULL && i + 4 <= what->number_size; i += 4) {
        const uint8_t *o = what->number + i;

        snprintf(low, sizeof(low), "%02x%02x%02x%02x", o[0], o[1], o[2], o[3]);
        snprintf(high, sizeof(high), "%02X%02X%02X%02X", o[0], o[1], o[2], o[3]);
        assert_null(strstr(text, low));
        assert_null(strstr(text, high));
    }
}

static size_t objects_of(p11_ctx *ctx, const char *uri)
{
    p11_objects *objects = NULL;
    size_t count;

    assert_int_equal(p11_find(ctx, uri, P11_PRIVATE | P11_PUBLIC, NULL, NULL, &objects), P11_OK);
    count = p11_objects_count(objects);
    p11_objects_free(objects);
    return count;
}

/* The token's own answers: every flag of both objects, and no way to the number. */
static void check_objects(const struct lab_software_key *made, const char *label, unsigned usage)
{
    static const CK_ATTRIBUTE_TYPE types[] = {
        CKA_TOKEN,  CKA_PRIVATE,     CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_ALWAYS_SENSITIVE,
        CKA_LOCAL,  CKA_SIGN,        CKA_DERIVE,    CKA_DECRYPT,     CKA_NEVER_EXTRACTABLE,
        CKA_UNWRAP, CKA_SIGN_RECOVER};
    const bool sign = (usage & P11_USAGE_SIGN) != 0;
    const CK_BBOOL wanted[] = {1, 1, 1, 0, 0, 0, sign, (usage & P11_USAGE_DERIVE) != 0, 0, 0, 0, 0};
    static const CK_ATTRIBUTE_TYPE public_types[] = {
        CKA_TOKEN, CKA_VERIFY, CKA_PRIVATE, CKA_ENCRYPT, CKA_WRAP, CKA_VERIFY_RECOVER, CKA_DERIVE};
    const CK_BBOOL public_wanted[] = {1, sign, 0, 0, 0, 0, 0};
    CK_OBJECT_CLASS classes[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
    CK_SESSION_HANDLE session = lab_session();
    CK_OBJECT_HANDLE object[2][2];
    CK_BBOOL yes = CK_TRUE;
    uint8_t value[64];
    CK_ATTRIBUTE secret = {CKA_VALUE, value, sizeof(value)};
    CK_ATTRIBUTE loosen = {CKA_EXTRACTABLE, &yes, sizeof(yes)};

    for (size_t c = 0; c < 2; c++) {
        CK_ATTRIBUTE want[] = {{CKA_CLASS, &classes[c], sizeof(classes[c])},
                               {CKA_TOKEN, &yes, sizeof(yes)},
                               {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
        CK_ULONG found = 0;

        assert_int_equal(lab_cryptoki()->C_FindObjectsInit(session, want, 3), CKR_OK);
        assert_int_equal(lab_cryptoki()->C_FindObjects(session, object[c], 2, &found), CKR_OK);
        assert_int_equal(lab_cryptoki()->C_FindObjectsFinal(session), CKR_OK);
        assert_int_equal(found, 1);
        for (size_t i = 0; i < (c == 0 ? 12 : 7); i++) {
            CK_BBOOL flag = 7;
            CK_ATTRIBUTE attribute = {c == 0 ? types[i] : public_types[i], &flag, sizeof(flag)};

            assert_int_equal(
                lab_cryptoki()->C_GetAttributeValue(session, object[c][0], &attribute, 1), CKR_OK);
            if (flag != (c == 0 ? wanted[i] : public_wanted[i]))
                fail_msg("attribute 0x%lx is %d", attribute.type, flag);
        }
    }
    memset(value, 0, sizeof(value));
    assert_int_equal(lab_cryptoki()->C_GetAttributeValue(session, object[0][0], &secret, 1),
                     CKR_ATTRIBUTE_SENSITIVE);
    assert_memory_not_equal(value, made->value, made->size);
    assert_int_not_equal(lab_cryptoki()->C_SetAttributeValue(session, object[0][0], &loosen, 1),
                         CKR_OK);
    lab_cryptoki()->C_CloseSession(session);
}

static void test_import_and_use(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);

    (void)state;
    for (size_t i = 0; i < 12; i++) {
        const unsigned usages[] = {P11_USAGE_SIGN, P11_USAGE_DERIVE,
                                   P11_USAGE_SIGN | P11_USAGE_DERIVE};
        struct lab_software_key software;
        struct p11_import what;
        p11_key *key = NULL, *again = NULL;
        const unsigned usage = usages[i / 4];
        char label[40], uri[100];
        size_t size = 0;

        lab_software(lab_curve[i % 4], &software);
        what = import_of(&software, usage);
        snprintf(label, sizeof(label), "import-%zu", i);
        snprintf(uri, sizeof(uri), "pkcs11:token=lab;object=%s", label);
        if (p11_key_import(ctx, uri, &what, NULL, NULL, &key) != P11_OK) {
            lab_last_error();
            fail_msg("%s", lab_error);
        }
        assert_int_equal(p11_key_curve(key), software.curve);
        assert_memory_equal(p11_key_point(key, &size), software.point, 1 + 2 * software.size);
        assert_int_equal(p11_key_can_sign(key), (usage & P11_USAGE_SIGN) != 0);
        assert_int_equal(p11_key_can_derive(key), (usage & P11_USAGE_DERIVE) != 0);
        if (p11_key_can_sign(key))
            assert_int_equal(lab_sign(key), P11_OK);
        check_objects(&software, label, usage);
        /* Found as any other key, and as one that was made elsewhere. */
        assert_int_equal(p11_key_open_uri(ctx, p11_key_uri(key), NULL, NULL, &again), P11_OK);
        p11_key_free(again);
        p11_key_free(key);
    }
    p11_ctx_free(ctx);
}

static void test_listing_tells(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    p11_objects *objects = NULL;
    const struct p11_object *object;
    struct lab_software_key software;
    struct p11_import what;
    p11_key *key = NULL;

    (void)state;
    lab_software(P11_CURVE_P256, &software);
    what = import_of(&software, P11_USAGE_SIGN);
    assert_int_equal(
        p11_key_import(ctx, "pkcs11:token=lab;object=listed;id=%41%42", &what, NULL, NULL, &key),
        P11_OK);
    assert_int_equal(
        p11_find(ctx, "pkcs11:token=lab;object=listed", P11_PRIVATE, NULL, NULL, &objects), P11_OK);
    assert_int_equal(p11_objects_count(objects), 1);
    object = p11_objects_get(objects, 0);
    assert_int_equal(object->id_size, 2);
    assert_memory_equal(object->id, "AB", 2);
    assert_true(object->sensitive && !object->extractable);
    assert_false(object->local || object->always_sensitive || object->never_extractable);
    assert_true(object->sign && !object->derive && !object->decrypt && !object->unwrap);
    p11_objects_free(objects);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void test_wrong_pairs(void **state)
{
    static const char uri[] = "pkcs11:token=lab;object=wrong";
    p11_ctx *ctx = lab_ctx(NULL);
    struct lab_software_key software, other;
    struct p11_import what;
    uint8_t order[48], point[98];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_sn2nid(p11_curve_name(lab_curve[i])));

        lab_software(lab_curve[i], &software);
        lab_software(lab_curve[i], &other);
        what = import_of(&software, P11_USAGE_SIGN);
        what.point = other.point; /* another key's */
        refused(ctx, uri, &what, P11_E_ARGUMENT);
        memcpy(point, software.point, what.point_size);
        what.point = point;
        point[what.point_size - 1] ^= 1; /* not on the curve */
        refused(ctx, uri, &what, P11_E_ARGUMENT);
        what = import_of(&software, P11_USAGE_SIGN);
        what.point_size--;
        refused(ctx, uri, &what, P11_E_ARGUMENT);
        what = import_of(&software, P11_USAGE_SIGN);
        what.number_size--;
        refused(ctx, uri, &what, P11_E_ARGUMENT);
        what = import_of(&software, 0);
        refused(ctx, uri, &what, P11_E_ARGUMENT);
        what.usage = 4;
        refused(ctx, uri, &what, P11_E_ARGUMENT);
        what.usage = P11_USAGE_SIGN;
        what.curve = P11_CURVE_NONE;
        refused(ctx, uri, &what, P11_E_ARGUMENT);
        what = import_of(&software, P11_USAGE_SIGN);
        BN_bn2binpad(EC_GROUP_get0_order(group), order, (int)software.size);
        what.number = order; /* and d + n is no other name for d */
        refused(ctx, uri, &what, P11_E_ARGUMENT);
        memset(order, 0, sizeof(order));
        refused(ctx, uri, &what, P11_E_ARGUMENT);
        EC_GROUP_free(group);
    }
    assert_int_equal(objects_of(ctx, uri), 0);
    p11_ctx_free(ctx);
}

static void test_names_and_existing(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    struct lab_software_key software, other;
    struct p11_import what;
    p11_key *key = NULL;

    (void)state;
    lab_software(P11_CURVE_P256, &software);
    lab_software(P11_CURVE_P256, &other);
    what = import_of(&software, P11_USAGE_SIGN);
    refused(ctx, "pkcs11:token=lab", &what, P11_E_URI);
    refused(ctx, "pkcs11:token=lab;object=there;type=public", &what, P11_E_URI);
    refused(ctx, "pkcs11:token=none;object=there", &what, P11_E_NO_TOKEN);
    assert_int_equal(p11_key_import(ctx, "pkcs11:token=lab;object=there", &what, NULL, NULL, &key),
                     P11_OK);
    p11_key_free(key);
    /* The same key, another of the same label, and the same key under another label: by its id. */
    refused(ctx, "pkcs11:token=lab;object=there", &what, P11_E_EXISTS);
    refused(ctx, "pkcs11:token=lab;object=elsewhere", &what, P11_E_EXISTS);
    what = import_of(&other, P11_USAGE_SIGN);
    refused(ctx, "pkcs11:token=lab;object=there", &what, P11_E_EXISTS);
    assert_int_equal(objects_of(ctx, "pkcs11:token=lab;object=there"), 2);
    /* A public object alone is in the way too: whose it is cannot be known here. */
    assert_int_equal(lab_import_public(&other, "half", "half-id", false, false), CKR_OK);
    refused(ctx, "pkcs11:token=lab;object=half", &what, P11_E_EXISTS);
    p11_ctx_free(ctx);
}

/* The use of the key in the token fails: it is taken back, and there is room for it again. */
static void test_taken_back(void **state)
{
    static const char uri[] = "pkcs11:token=lab;object=back";
    p11_ctx *ctx = lab_ctx(NULL);
    struct lab_software_key software;
    struct p11_import what;
    p11_key *key = NULL;

    (void)state;
    lab_software(P11_CURVE_P256, &software);
    what = import_of(&software, P11_USAGE_SIGN);
    lab_fail_next(LAB_SIGN, CKR_FUNCTION_FAILED, 1);
    refused(ctx, uri, &what, P11_E_TOKEN);
    assert_int_equal(objects_of(ctx, uri), 0);
    assert_int_equal(p11_key_import(ctx, uri, &what, NULL, NULL, &key), P11_OK);
    assert_int_equal(lab_sign(key), P11_OK);
    assert_int_equal(objects_of(ctx, uri), 2);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* The session breaks after the objects are made: made again, not twice. */
static void test_session_lost(void **state)
{
    static const char uri[] = "pkcs11:token=lab;object=lost";
    p11_ctx *ctx = lab_ctx(NULL);
    struct lab_software_key software;
    struct p11_import what;
    p11_key *key = NULL;

    (void)state;
    lab_software(P11_CURVE_P256, &software);
    what = import_of(&software, P11_USAGE_SIGN);
    lab_fail_next(LAB_GET_ATTRIBUTE, CKR_SESSION_HANDLE_INVALID, 1);
    assert_int_equal(p11_key_import(ctx, uri, &what, NULL, NULL, &key), P11_OK);
    assert_int_equal(lab_sign(key), P11_OK);
    assert_int_equal(objects_of(ctx, uri), 2);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_and_use), cmocka_unit_test(test_listing_tells),
        cmocka_unit_test(test_wrong_pairs),    cmocka_unit_test(test_names_and_existing),
        cmocka_unit_test(test_taken_back),     cmocka_unit_test(test_session_lost),
    };
    int failed;

    lab_open();
    lab_count_calls();
    failed = cmocka_run_group_tests_name("p11 import", tests, NULL, NULL);
    lab_close();
    return failed;
}
