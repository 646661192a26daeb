/*
 * Objects of a token: what is found, opened, refused and deleted, however the object was made.
 */
#include "tests/pkcs11/lab.h"

static void accept_any(struct p11_config *config)
{
    config->allow_not_sensitive = true;
}

static void test_require_sensitive(void **state)
{
    static const struct {
        const char *label;
        bool sensitive, extractable;
        const char *text;
    } cases[] = {{"open-1", false, false, "not CKA_SENSITIVE"},
                 {"open-2", true, true, "CKA_EXTRACTABLE"},
                 {"open-3", false, true, "not CKA_SENSITIVE and CKA_EXTRACTABLE"}};
    p11_ctx *ctx = lab_ctx(NULL);
    p11_ctx *lax = lab_ctx(accept_any);
    struct lab_software_key software;
    p11_key *key = NULL;

    (void)state;
    lab_software(P11_CURVE_P256, &software);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(lab_import(&software, cases[i].label, cases[i].label, cases[i].sensitive,
                                    cases[i].extractable, false),
                         CKR_OK);
        assert_int_equal(lab_import_public(&software, cases[i].label, cases[i].label, false, false),
                         CKR_OK);
        assert_int_equal(lab_open_key(ctx, cases[i].label, &key), P11_E_NOT_SENSITIVE);
        assert_null(key);
        assert_non_null(strstr(lab_error, cases[i].text));
        assert_int_equal(lab_open_key(lax, cases[i].label, &key), P11_OK);
        assert_int_equal(lab_sign(key), P11_OK);
        p11_key_free(key);
    }
    p11_ctx_free(lax);
    p11_ctx_free(ctx);
}

/* Where the public point may be. SoftHSM keeps no CKA_EC_POINT with private keys. */
static void test_public_points(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    struct lab_software_key software;
    p11_key *key = NULL;
    char label[40];

    (void)state;
    for (size_t i = 0; i < lab_curves(); i++)
        for (int form = 0; form < 4; form++) {
            bool raw = (form & 1) != 0;
            bool explicit_params = (form & 2) != 0;

            snprintf(label, sizeof(label), "point-%zu-%d", i, form);
            lab_software(lab_curve[i], &software);
            assert_int_equal(lab_import(&software, label, label, true, false, explicit_params),
                             CKR_OK);
            assert_int_equal(lab_open_key(ctx, label, &key), P11_E_KEY_TYPE);
            assert_int_equal(lab_import_public(&software, label, label, raw, explicit_params),
                             CKR_OK);
            assert_int_equal(lab_open_key(ctx, label, &key), P11_OK);
            assert_int_equal(p11_key_curve(key), lab_curve[i]);
            assert_int_equal(lab_sign(key), P11_OK);
            p11_key_free(key);
        }
    /* A public key of another curve under the same id is not the key's. */
    lab_software(P11_CURVE_P256, &software);
    assert_int_equal(lab_import(&software, "mixed", "mixed", true, false, false), CKR_OK);
    lab_software(P11_CURVE_BRAINPOOL_P256R1, &software);
    assert_int_equal(lab_import_public(&software, "mixed", "mixed", false, false), CKR_OK);
    assert_int_equal(lab_open_key(ctx, "mixed", &key), P11_E_KEY_TYPE);
    p11_ctx_free(ctx);
}

static void test_ambiguous_and_missing(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    struct lab_software_key software;
    p11_key *key = NULL;

    (void)state;
    lab_software(P11_CURVE_P256, &software);
    assert_int_equal(lab_import(&software, "twice", "t1", true, false, false), CKR_OK);
    assert_int_equal(lab_import(&software, "twice", "t2", true, false, false), CKR_OK);
    assert_int_equal(lab_import_public(&software, "twice", "t2", false, false), CKR_OK);
    assert_int_equal(lab_open_key(ctx, "twice", &key), P11_E_AMBIGUOUS);
    assert_int_equal(lab_open_key(ctx, "twice;id=t2", &key), P11_OK);
    assert_int_equal(lab_sign(key), P11_OK);
    p11_key_free(key);
    assert_int_equal(lab_open_key(ctx, "twice;id=t3", &key), P11_E_NO_OBJECT);
    assert_int_equal(lab_open_key(ctx, "twice;type=public", &key), P11_E_NO_OBJECT);
    assert_int_equal(lab_open_key(ctx, "nowhere", &key), P11_E_NO_OBJECT);
    p11_ctx_free(ctx);
}

static void test_not_an_ec_key(void **state)
{
    static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ULONG bits = 1024;
    static const CK_BYTE exponent[] = {1, 0, 1};
    CK_ATTRIBUTE public_template[] = {
        {CKA_MODULUS_BITS, &bits, sizeof(bits)},
        {CKA_PUBLIC_EXPONENT, (void *)(uintptr_t)exponent, sizeof(exponent)}};
    CK_ATTRIBUTE private_template[] = {{CKA_TOKEN, (void *)(uintptr_t)&yes, 1},
                                       {CKA_SENSITIVE, (void *)(uintptr_t)&yes, 1},
                                       {CKA_EXTRACTABLE, (void *)(uintptr_t)&no, 1},
                                       {CKA_LABEL, (void *)(uintptr_t) "rsa", 3}};
    CK_OBJECT_HANDLE a, b;
    CK_SESSION_HANDLE session;
    p11_ctx *ctx = lab_ctx(NULL);
    p11_objects *objects = NULL;
    p11_key *key = NULL;

    (void)state;
    p11_key_free(lab_key(ctx, "before-rsa", P11_CURVE_P256, P11_USAGE_SIGN)); /* logs in */
    session = lab_session();
    assert_int_equal(lab_cryptoki()->C_GenerateKeyPair(session, &mechanism, public_template, 2,
                                                       private_template, 4, &a, &b),
                     CKR_OK);
    lab_cryptoki()->C_CloseSession(session);
    assert_int_equal(p11_find(ctx, "pkcs11:token=lab;object=rsa", P11_ANY, NULL, NULL, &objects),
                     P11_OK);
    assert_int_equal(p11_objects_count(objects), 1);
    assert_int_equal(p11_objects_get(objects, 0)->curve, P11_CURVE_NONE);
    assert_null(p11_objects_get(objects, 0)->point);
    p11_objects_free(objects);
    assert_int_equal(lab_open_key(ctx, "rsa", &key), P11_E_KEY_TYPE);
    p11_ctx_free(ctx);
}

static void test_delete(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    p11_objects *objects = NULL;
    size_t deleted = 9;

    (void)state;
    p11_key_free(lab_key(ctx, "doomed", P11_CURVE_P256, P11_USAGE_SIGN));
    p11_key_free(lab_key(ctx, "spared", P11_CURVE_P256, P11_USAGE_SIGN));
    assert_int_equal(p11_delete(ctx, "pkcs11:token=lab", NULL, NULL, &deleted), P11_E_URI);
    assert_int_equal(p11_delete(ctx, "pkcs11:token=lab;type=private", NULL, NULL, &deleted),
                     P11_E_URI);
    assert_int_equal(deleted, 0);
    assert_int_equal(
        p11_delete(ctx, "pkcs11:token=lab;object=doomed;type=public", NULL, NULL, &deleted),
        P11_OK);
    assert_int_equal(deleted, 1);
    assert_int_equal(p11_delete(ctx, "pkcs11:token=lab;object=doomed", NULL, NULL, &deleted),
                     P11_OK);
    assert_int_equal(deleted, 1);
    assert_int_equal(p11_delete(ctx, "pkcs11:token=lab;object=doomed", NULL, NULL, &deleted),
                     P11_OK);
    assert_int_equal(deleted, 0);
    lab_last_error();
    assert_int_equal(p11_find(ctx, "pkcs11:token=lab;object=spared", P11_ANY, NULL, NULL, &objects),
                     P11_OK);
    assert_int_equal(p11_objects_count(objects), 2);
    p11_objects_free(objects);
    p11_ctx_free(ctx);
}

static size_t count_of(p11_ctx *ctx, const char *uri)
{
    p11_objects *objects = NULL;
    size_t count;

    assert_int_equal(p11_find(ctx, uri, P11_ANY, NULL, NULL, &objects), P11_OK);
    count = p11_objects_count(objects);
    p11_objects_free(objects);
    return count;
}

/* The pair of an open key: both halves of it, and of no other. */
static void test_delete_key(void **state)
{
    const struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN};
    p11_ctx *ctx = lab_ctx(NULL);
    p11_key *other = lab_key(ctx, "stays", P11_CURVE_P256, P11_USAGE_SIGN);
    p11_key *key = NULL;

    (void)state;
    assert_int_equal(p11_key_generate(ctx, "pkcs11:token=lab;object=goes", &how, NULL, NULL, &key),
                     P11_OK);
    assert_int_equal(count_of(ctx, "pkcs11:token=lab;object=goes"), 2);
    assert_int_equal(p11_key_delete(key), P11_OK);
    assert_int_equal(count_of(ctx, "pkcs11:token=lab;object=goes"), 0);
    assert_int_equal(count_of(ctx, "pkcs11:token=lab;object=stays"), 2);
    /* There is nothing left to delete, and the name is free again. */
    assert_int_equal(p11_key_delete(key), P11_OK);
    p11_key_free(key);
    assert_int_equal(p11_key_generate(ctx, "pkcs11:token=lab;object=goes", &how, NULL, NULL, &key),
                     P11_OK);
    p11_key_free(key);
    p11_key_free(other);
    p11_ctx_free(ctx);
}

/* A pair that nobody came to name, beside one of the same label that is whole. */
static void test_delete_unfinished(void **state)
{
    static const char uri[] = "pkcs11:token=lab;object=killed";
    p11_ctx *ctx = lab_ctx(NULL);
    p11_key *whole = lab_key(ctx, "killed", P11_CURVE_P256, P11_USAGE_SIGN), *found = NULL;
    struct lab_software_key other;
    size_t deleted = 9;

    (void)state;
    lab_software(P11_CURVE_P256, &other);
    assert_int_equal(lab_import(&other, "killed", "", true, false, false), CKR_OK);
    assert_int_equal(lab_import_public(&other, "killed", "", false, false), CKR_OK);
    assert_int_equal(lab_import_public(&other, "another", "", false, false), CKR_OK);
    assert_int_equal(lab_open_key(ctx, "killed", &found), P11_E_AMBIGUOUS);
    assert_int_equal(p11_delete_unfinished(ctx, "pkcs11:token=lab", NULL, NULL, &deleted),
                     P11_E_URI);
    assert_int_equal(p11_delete_unfinished(ctx, uri, NULL, NULL, &deleted), P11_OK);
    assert_int_equal(deleted, 2);
    assert_int_equal(p11_key_open_uri(ctx, uri, NULL, NULL, &found), P11_OK);
    assert_string_equal(p11_key_uri(found), p11_key_uri(whole));
    p11_key_free(found);
    assert_int_equal(p11_delete_unfinished(ctx, uri, NULL, NULL, &deleted), P11_OK);
    assert_int_equal(deleted, 0);
    assert_int_equal(lab_sign(whole), P11_OK);
    assert_int_equal(p11_delete(ctx, "pkcs11:token=lab;object=another", NULL, NULL, &deleted),
                     P11_OK);
    assert_int_equal(deleted, 1);
    p11_key_free(whole);
    p11_ctx_free(ctx);
}

/* What is put into the token beside the library needs its login, which is the process's. */
static int log_in(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);

    (void)state;
    p11_key_free(lab_key(ctx, "first", P11_CURVE_P256, P11_USAGE_SIGN));
    p11_ctx_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_require_sensitive),
        cmocka_unit_test(test_public_points),
        cmocka_unit_test(test_ambiguous_and_missing),
        cmocka_unit_test(test_not_an_ec_key),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_delete_key),
        cmocka_unit_test(test_delete_unfinished),
    };
    /* Without the forms in which SoftHSM keeps public keys. */
    const struct CMUnitTest softokn[] = {
        cmocka_unit_test(test_require_sensitive), cmocka_unit_test(test_ambiguous_and_missing),
        cmocka_unit_test(test_not_an_ec_key),     cmocka_unit_test(test_delete),
        cmocka_unit_test(test_delete_key),
    };

    lab_open();
    return lab_is_softokn()
               ? cmocka_run_group_tests_name("p11 objects", softokn, log_in, lab_teardown)
               : cmocka_run_group_tests_name("p11 objects", tests, log_in, lab_teardown);
}
