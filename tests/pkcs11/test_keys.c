/*
 * Keys made and used in a token; names.
 */
#include "tests/pkcs11/lab.h"

#include <openssl/ec.h>
#include <openssl/objects.h>
#include <openssl/sha.h>

/* What the token itself says of a key, asked beside the library. */
static void check_attributes(const char *label, CK_OBJECT_CLASS class_,
                             const CK_ATTRIBUTE_TYPE *types, const CK_BBOOL *wanted, size_t count)
{
    CK_ATTRIBUTE want[2] = {{CKA_CLASS, &class_, sizeof(class_)},
                            {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    CK_SESSION_HANDLE session = lab_session();
    CK_OBJECT_HANDLE object[2];
    CK_ULONG found = 0;

    assert_int_equal(lab_cryptoki()->C_FindObjectsInit(session, want, 2), CKR_OK);
    assert_int_equal(lab_cryptoki()->C_FindObjects(session, object, 2, &found), CKR_OK);
    assert_int_equal(lab_cryptoki()->C_FindObjectsFinal(session), CKR_OK);
    assert_int_equal(found, 1);
    for (size_t i = 0; i < count; i++) {
        CK_BBOOL value = 7;
        CK_ATTRIBUTE attribute = {types[i], &value, sizeof(value)};

        assert_int_equal(lab_cryptoki()->C_GetAttributeValue(session, object[0], &attribute, 1),
                         CKR_OK);
        if (value != wanted[i])
            fail_msg("%s: attribute 0x%lx is %d", label, types[i], value);
    }
    lab_cryptoki()->C_CloseSession(session);
}

static void check_pair(const char *label, bool sign, bool derive)
{
    static const CK_ATTRIBUTE_TYPE private_types[] = {
        CKA_TOKEN,  CKA_PRIVATE,     CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE,
        CKA_LOCAL,  CKA_SIGN,        CKA_DERIVE,    CKA_EXTRACTABLE,      CKA_DECRYPT,
        CKA_UNWRAP, CKA_SIGN_RECOVER};
    static const CK_ATTRIBUTE_TYPE public_types[] = {
        CKA_TOKEN, CKA_VERIFY, CKA_PRIVATE, CKA_ENCRYPT, CKA_WRAP, CKA_VERIFY_RECOVER, CKA_DERIVE};
    /* NSS does not say CKA_LOCAL of the keys that it makes. */
    const CK_BBOOL local = !lab_is_softokn();
    const CK_BBOOL private_values[] = {1, 1, 1, 1, 1, local, sign, derive, 0, 0, 0, 0};
    const CK_BBOOL public_values[] = {1, sign, 0, 0, 0, 0, 0};

    check_attributes(label, CKO_PRIVATE_KEY, private_types, private_values, 12);
    check_attributes(label, CKO_PUBLIC_KEY, public_types, public_values, 7);
}

static void test_generate_and_sign(void **state)
{
    (void)state;
    for (size_t i = 0; i < lab_curves(); i++) {
        p11_ctx *ctx = lab_ctx(NULL);
        p11_key *key = lab_key(ctx, p11_curve_name(lab_curve[i]), lab_curve[i], P11_USAGE_SIGN);
        uint8_t secret[48];
        size_t size = sizeof(secret);
        size_t point_size;

        assert_int_equal(p11_key_curve(key), lab_curve[i]);
        assert_true(p11_key_can_sign(key));
        assert_false(p11_key_can_derive(key));
        check_pair(p11_curve_name(lab_curve[i]), true, false);
        for (int k = 0; k < 5; k++)
            assert_int_equal(lab_sign(key), P11_OK);
        assert_int_equal(p11_key_derive(key, p11_key_point(key, &point_size),
                                        1 + 2 * p11_curve_size(lab_curve[i]), secret, &size),
                         P11_E_MECHANISM);
        assert_int_equal(lab_last_error(), P11_E_MECHANISM);
        p11_ctx_free(ctx);
        assert_int_equal(lab_sign(key), P11_OK); /* the key outlives its context */
        p11_key_free(key);
    }
}

/* d * peer as libcrypto sees it: with the software key's d and the token key's point. */
static void agree(const struct lab_software_key *mine, const uint8_t *peer, uint8_t *secret)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(OBJ_sn2nid(p11_curve_name(mine->curve)));
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *d = BN_bin2bn(mine->value, (int)mine->size, NULL);
    uint8_t octets[97];

    assert_int_equal(EC_POINT_oct2point(group, point, peer, 1 + 2 * mine->size, NULL), 1);
    assert_int_equal(EC_POINT_mul(group, point, NULL, point, d, NULL), 1);
    assert_int_equal(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets,
                                        sizeof(octets), NULL),
                     1 + 2 * mine->size);
    memcpy(secret, octets + 1, mine->size);
    BN_clear_free(d);
    EC_POINT_free(point);
    EC_GROUP_free(group);
}

static void test_generate_and_derive(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);

    (void)state;
    for (size_t i = 0; i < lab_curves(); i++) {
        struct lab_software_key peer;
        uint8_t ours[48], theirs[48];
        uint8_t signature[96];
        char label[40];
        size_t size = sizeof(ours);
        size_t point_size, signature_size = sizeof(signature);
        p11_key *key;

        snprintf(label, sizeof(label), "derive-%zu", i);
        key = lab_key(ctx, label, lab_curve[i], P11_USAGE_DERIVE);
        assert_false(p11_key_can_sign(key));
        assert_true(p11_key_can_derive(key));
        check_pair(label, false, true);
        for (int k = 0; k < 3; k++) {
            lab_software(lab_curve[i], &peer);
            size = sizeof(ours);
            assert_int_equal(p11_key_derive(key, peer.point, 1 + 2 * peer.size, ours, &size),
                             P11_OK);
            assert_int_equal(size, p11_curve_size(lab_curve[i]));
            agree(&peer, p11_key_point(key, &point_size), theirs);
            assert_memory_equal(ours, theirs, size);
        }
        assert_int_equal(p11_key_sign(key, ours, 32, signature, &signature_size), P11_E_MECHANISM);
        size = 10;
        assert_int_equal(p11_key_derive(key, peer.point, 1 + 2 * peer.size, ours, &size),
                         P11_E_ARGUMENT);
        size = sizeof(ours);
        assert_int_equal(p11_key_derive(key, peer.point, 2 * peer.size, ours, &size),
                         P11_E_ARGUMENT);
        /* A point that is not on the curve is refused by the token at the latest. */
        peer.point[peer.size] ^= 1;
        assert_int_not_equal(p11_key_derive(key, peer.point, 1 + 2 * peer.size, ours, &size),
                             P11_OK);
        lab_last_error();
        p11_key_free(key);
    }
    p11_ctx_free(ctx);
}

static void test_both_usages_and_id(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN | P11_USAGE_DERIVE};
    uint8_t hash[SHA256_DIGEST_LENGTH];
    const struct p11_object *object;
    p11_objects *objects = NULL;
    p11_key *key = NULL;
    size_t size;

    (void)state;
    assert_int_equal(
        p11_key_generate(ctx, "pkcs11:token=lab;object=both;id=%01%02", &how, NULL, NULL, &key),
        P11_OK);
    check_pair("both", true, true);
    assert_non_null(strstr(p11_key_uri(key), "id=%01%02"));
    assert_null(strstr(p11_key_uri(key), "pin"));
    p11_key_free(key);
    key = lab_key(ctx, "made-id", P11_CURVE_P256, P11_USAGE_SIGN);
    SHA256(p11_key_point(key, &size), 65, hash);
    assert_int_equal(size, 65);
    assert_int_equal(p11_find(ctx, p11_key_uri(key), P11_ANY, NULL, NULL, &objects), P11_OK);
    assert_int_equal(p11_objects_count(objects), 1); /* the URI has type=private */
    object = p11_objects_get(objects, 0);
    assert_int_equal(object->id_size, 20);
    assert_memory_equal(object->id, hash, 20);
    assert_true(object->sensitive && object->always_sensitive && object->never_extractable &&
                object->sign);
    assert_true(object->local == !lab_is_softokn());
    assert_false(object->extractable || object->derive || object->decrypt || object->unwrap ||
                 object->always_authenticate);
    assert_null(p11_objects_get(objects, 1));
    p11_objects_free(objects);
    assert_int_equal(
        p11_find(ctx, "pkcs11:token=lab;object=made-id", P11_ANY, NULL, NULL, &objects), P11_OK);
    assert_int_equal(p11_objects_count(objects), 2);
    assert_int_equal(p11_objects_get(objects, 0)->class_, P11_PRIVATE);
    assert_int_equal(p11_objects_get(objects, 1)->class_, P11_PUBLIC);
    assert_memory_equal(p11_objects_get(objects, 0)->point, p11_objects_get(objects, 1)->point, 65);
    p11_objects_free(objects);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void test_generate_refusals(void **state)
{
    static const struct {
        const char *uri;
        enum p11_curve curve;
        unsigned usage;
        enum p11_status status;
    } cases[] = {
        {"pkcs11:token=lab;object=taken", P11_CURVE_P256, P11_USAGE_SIGN, P11_E_EXISTS},
        {"pkcs11:token=lab;object=taken;id=%55", P11_CURVE_P256, P11_USAGE_SIGN, P11_E_EXISTS},
        {"pkcs11:token=lab;object=free;id=%77", P11_CURVE_P256, P11_USAGE_SIGN, P11_E_EXISTS},
        {"pkcs11:token=lab", P11_CURVE_P256, P11_USAGE_SIGN, P11_E_URI},
        {"pkcs11:token=lab;object=x;type=cert", P11_CURVE_P256, P11_USAGE_SIGN, P11_E_URI},
        {"pkcs11:token=lab;object=x;type=public", P11_CURVE_P256, P11_USAGE_SIGN, P11_E_URI},
        {"pkcs11:token=nolab;object=x", P11_CURVE_P256, P11_USAGE_SIGN, P11_E_NO_TOKEN},
        {"pkcs11:object=x", P11_CURVE_P256, P11_USAGE_SIGN, P11_E_AMBIGUOUS},
        {"pkcs11:token=lab;object=x", P11_CURVE_NONE, P11_USAGE_SIGN, P11_E_ARGUMENT},
        {"pkcs11:token=lab;object=x", P11_CURVE_P256, 0, P11_E_ARGUMENT},
        {"pkcs11:token=lab;object=x", P11_CURVE_P256, 4, P11_E_ARGUMENT},
    };
    struct p11_generate first = {P11_CURVE_P256, P11_USAGE_SIGN};
    p11_ctx *ctx = lab_ctx(NULL);
    p11_objects *objects = NULL;
    p11_key *key = NULL;

    (void)state;
    assert_int_equal(
        p11_key_generate(ctx, "pkcs11:token=lab;object=taken;id=%77", &first, NULL, NULL, &key),
        P11_OK);
    p11_key_free(key);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct p11_generate how = {cases[i].curve, cases[i].usage};

        assert_int_equal(p11_key_generate(ctx, cases[i].uri, &how, NULL, NULL, &key),
                         cases[i].status);
        assert_int_equal(lab_last_error(), cases[i].status);
        assert_null(key);
    }
    assert_int_equal(p11_find(ctx, "pkcs11:token=lab;object=x", P11_ANY, NULL, NULL, &objects),
                     P11_OK);
    assert_int_equal(p11_objects_count(objects), 0);
    p11_objects_free(objects);
    p11_ctx_free(ctx);
}

static void test_sign_arguments(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    p11_key *key = lab_key(ctx, "arguments", P11_CURVE_P256, P11_USAGE_SIGN);
    uint8_t digest[65] = {1, 2, 3};
    uint8_t signature[64];
    size_t size = 63;
    size_t point_size;

    (void)state;
    assert_int_equal(p11_key_sign(key, digest, 32, signature, &size), P11_E_ARGUMENT);
    size = 64;
    assert_int_equal(p11_key_sign(key, digest, 0, signature, &size), P11_E_ARGUMENT);
    assert_int_equal(p11_key_sign(key, digest, 65, signature, &size), P11_E_ARGUMENT);
    assert_int_equal(p11_key_sign(NULL, digest, 32, signature, &size), P11_E_ARGUMENT);
    assert_int_equal(p11_key_sign(key, NULL, 32, signature, &size), P11_E_ARGUMENT);
    lab_last_error();
    /* Longer than the order: its leftmost bits; shorter: as it is. */
    assert_int_equal(p11_key_sign(key, digest, 48, signature, &size), P11_OK);
    assert_true(lab_verify(P11_CURVE_P256, p11_key_point(key, &point_size), digest, 48, signature));
    assert_true(lab_verify(P11_CURVE_P256, p11_key_point(key, &point_size), digest, 32, signature));
    assert_int_equal(p11_key_sign(key, digest, 20, signature, &size), P11_OK);
    assert_true(lab_verify(P11_CURVE_P256, p11_key_point(key, &point_size), digest, 20, signature));
    p11_key_free(key);
    p11_ctx_free(ctx);
}

static void no_copy(struct p11_config *config)
{
    config->key_copy = P11_NO;
}

/* The figures of design: two calls for a signature, three for an agreement, on a warm key. */
static void test_calls_on_a_warm_key(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    p11_ctx *plain = lab_ctx(no_copy);
    p11_key *key = lab_key(ctx, "warm", P11_CURVE_P256, P11_USAGE_SIGN | P11_USAGE_DERIVE);
    p11_key *second = NULL;
    uint8_t secret[32];
    size_t size = sizeof(secret);
    size_t point_size;

    (void)state;
    lab_count_reset();
    /* A copy is made for those who use the key again. */
    assert_int_equal(lab_sign(key), P11_OK);
    assert_int_equal(lab_count[LAB_COPY], 0);
    assert_int_equal(lab_sign(key), P11_OK);
    assert_int_equal(lab_count[LAB_COPY], 1);
    lab_count_reset();
    for (int i = 0; i < 10; i++)
        assert_int_equal(lab_sign(key), P11_OK);
    assert_int_equal(lab_count[LAB_SIGN_INIT], 10);
    assert_int_equal(lab_count[LAB_SIGN], 10);
    assert_true(lab_count_all() <= 21); /* one look at the original, if a second has passed */
    lab_count_reset();
    for (int i = 0; i < 10; i++)
        assert_int_equal(p11_key_derive(key, p11_key_point(key, &point_size), 65, secret, &size),
                         P11_OK);
    assert_int_equal(lab_count[LAB_DERIVE], 10);
    assert_int_equal(lab_count[LAB_GET_ATTRIBUTE], 10);
    assert_int_equal(lab_count[LAB_DESTROY], 10);
    assert_int_equal(lab_count_all(), 30);
    assert_int_equal(lab_open_key(plain, "warm", &second), P11_OK);
    lab_count_reset();
    for (int i = 0; i < 10; i++)
        assert_int_equal(lab_sign(second), P11_OK);
    assert_int_equal(lab_count_all(), 20);
    /* A copy goes with its key. */
    lab_count_reset();
    p11_key_free(second);
    assert_int_equal(lab_count[LAB_DESTROY], 0);
    p11_key_free(key);
    assert_int_equal(lab_count[LAB_DESTROY], 1);
    p11_ctx_free(plain);
    p11_ctx_free(ctx);
}

static void default_token(struct p11_config *config)
{
    config->token_uri = "pkcs11:token=lab";
}

static void test_random_and_default_token(void **state)
{
    p11_ctx *ctx = lab_ctx(default_token);
    p11_objects *objects = NULL;
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};

    (void)state;
    assert_int_equal(p11_random(ctx, a, sizeof(a)), P11_OK);
    assert_int_equal(p11_random(ctx, b, sizeof(b)), P11_OK);
    assert_memory_not_equal(a, b, sizeof(a));
    p11_key_free(lab_key(ctx, "default", P11_CURVE_P256, P11_USAGE_SIGN));
    assert_int_equal(p11_find(ctx, "pkcs11:object=default", P11_PRIVATE, NULL, NULL, &objects),
                     P11_OK);
    assert_int_equal(p11_objects_count(objects), 1);
    p11_objects_free(objects);
    if (!lab_is_softokn()) { /* which has no second one */
        assert_int_equal(
            p11_find(ctx, "pkcs11:token=other;object=default", P11_PRIVATE, NULL, NULL, &objects),
            P11_OK);
        assert_int_equal(p11_objects_count(objects), 0);
        p11_objects_free(objects);
    }
    p11_ctx_free(ctx);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i <= P11_E_TOKEN; i++) {
        assert_memory_equal(p11_status_name((enum p11_status)i), i == 0 ? "P11_OK" : "P11_E_", 6);
        assert_true(strlen(p11_status_text((enum p11_status)i)) > 5);
    }
    assert_non_null(p11_status_name((enum p11_status)999));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(p11_curve_from_name(p11_curve_name(lab_curve[i])), lab_curve[i]);
    assert_int_equal(p11_curve_from_name("P-256"), P11_CURVE_P256);
    assert_int_equal(p11_curve_from_name("secp256k1"), P11_CURVE_NONE);
    assert_int_equal(p11_curve_from_name(NULL), P11_CURVE_NONE);
    assert_null(p11_curve_name(P11_CURVE_NONE));
    assert_int_equal(p11_curve_size(P11_CURVE_BRAINPOOL_P384R1), 48);
}

/* A curve that the token does not know is said to be that. */
static void test_no_such_curve(void **state)
{
    struct p11_generate how = {P11_CURVE_BRAINPOOL_P256R1, P11_USAGE_SIGN};
    p11_ctx *ctx = lab_ctx(NULL);
    p11_key *key = NULL;

    (void)state;
    assert_int_equal(
        p11_key_generate(ctx, "pkcs11:token=lab;object=brainpool", &how, NULL, NULL, &key),
        P11_E_MECHANISM);
    assert_int_equal(lab_last_error(), P11_E_MECHANISM);
    assert_non_null(strstr(lab_error, "does not know the curve"));
    p11_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generate_and_sign),        cmocka_unit_test(test_generate_and_derive),
        cmocka_unit_test(test_both_usages_and_id),       cmocka_unit_test(test_generate_refusals),
        cmocka_unit_test(test_sign_arguments),           cmocka_unit_test(test_calls_on_a_warm_key),
        cmocka_unit_test(test_random_and_default_token), cmocka_unit_test(test_names),
    };
    /* Without SoftHSM's copies of private keys. */
    const struct CMUnitTest softokn[] = {
        cmocka_unit_test(test_generate_and_sign),  cmocka_unit_test(test_generate_and_derive),
        cmocka_unit_test(test_both_usages_and_id), cmocka_unit_test(test_generate_refusals),
        cmocka_unit_test(test_sign_arguments),     cmocka_unit_test(test_random_and_default_token),
        cmocka_unit_test(test_no_such_curve),
    };
    int failed;

    lab_open();
    if (!lab_is_softokn())
        lab_token("other");
    lab_count_calls();
    failed = lab_is_softokn() ? cmocka_run_group_tests_name("p11 keys", softokn, NULL, NULL)
                              : cmocka_run_group_tests_name("p11 keys", tests, NULL, NULL);
    lab_close();
    return failed;
}
