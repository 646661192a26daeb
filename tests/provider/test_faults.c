/*
 * test_faults.c: what users of other PKCS#11 providers and engines report, and must not be found
 * here: failures without an error, objects left behind in the token. (Verification that races is
 * in test_threads.c, the ends of a process in test_exit.c, exports in test_token.c, templates and
 * points of keys in tests/pkcs11/test_keys.c and test_objects.c, URIs in tests/pkcs11/test_uri.c.)
 */
#include <dlfcn.h>

#include <p11-kit/pkcs11.h>

#include "tests/provider/token_lab.h"

static const uint8_t data[] = "what is signed";

struct fixture {
    struct world world;
    EVP_PKEY *sign, *derive; /* in the token */
    EVP_PKEY *software;      /* of the default provider */
};

static int set_up(void **state)
{
    static struct fixture fixture;

    lab_open();
    world_open(&fixture.world, "default", "dot2hsm");
    fixture.sign = lab_generate(fixture.world.libctx, "P-256", lab_uri("sign"), "sign");
    fixture.derive = lab_generate(fixture.world.libctx, "P-256", lab_uri("derive"), "derive");
    fixture.software = key_generate(fixture.world.libctx, "provider=default", "P-256");
    assert_non_null(fixture.sign);
    assert_non_null(fixture.derive);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    EVP_PKEY_free(fixture->sign);
    EVP_PKEY_free(fixture->derive);
    EVP_PKEY_free(fixture->software);
    world_close(&fixture->world);
    lab_close();
    return 0;
}

/* ---- a failure has an error ---- */

static bool signs(const struct fixture *fixture, EVP_PKEY *key, const char *digest, size_t capacity)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[160];
    bool ok =
        EVP_DigestSignInit_ex(ctx, NULL, digest, fixture->world.libctx, OURS, key, NULL) == 1 &&
        EVP_DigestSign(ctx, signature, &capacity, data, sizeof(data)) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool signs_with_derive_key(const struct fixture *fixture)
{
    return signs(fixture, fixture->derive, NULL, 160);
}

static bool signs_with_md5(const struct fixture *fixture)
{
    return signs(fixture, fixture->sign, "MD5", 160);
}

static bool signs_into_ten_octets(const struct fixture *fixture)
{
    return signs(fixture, fixture->sign, NULL, 10);
}

static bool signs_a_short_digest(const struct fixture *fixture)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture->world.libctx, fixture->sign, NULL);
    uint8_t signature[80];
    size_t size = sizeof(signature);
    bool ok = EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, signature, &size, data, 5) == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bool verifies_nonsense(const struct fixture *fixture)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit_ex(ctx, NULL, NULL, fixture->world.libctx, OURS, fixture->sign,
                                      NULL) == 1 &&
              EVP_DigestVerify(ctx, data, sizeof(data), data, sizeof(data)) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

static size_t derive(const struct fixture *fixture, EVP_PKEY *key, EVP_PKEY *peer,
                     const OSSL_PARAM *params, uint8_t *secret, size_t capacity)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(fixture->world.libctx, key, NULL);

    if (EVP_PKEY_derive_init_ex(ctx, params) != 1 ||
        (peer != NULL && EVP_PKEY_derive_set_peer(ctx, peer) != 1) ||
        EVP_PKEY_derive(ctx, secret, &capacity) != 1)
        capacity = 0;
    EVP_PKEY_CTX_free(ctx);
    return capacity;
}

static bool derives_with_sign_key(const struct fixture *fixture)
{
    uint8_t secret[64];

    return derive(fixture, fixture->sign, fixture->software, NULL, secret, 64) != 0;
}

static bool derives_without_peer(const struct fixture *fixture)
{
    uint8_t secret[64];

    return derive(fixture, fixture->derive, NULL, NULL, secret, 64) != 0;
}

static bool derives_into_ten_octets(const struct fixture *fixture)
{
    uint8_t secret[64];

    return derive(fixture, fixture->derive, fixture->software, NULL, secret, 10) != 0;
}

static bool derives_through_an_unknown_kdf(const struct fixture *fixture)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, (char *)"HKDF", 0),
        OSSL_PARAM_construct_end(),
    };
    uint8_t secret[64];

    return derive(fixture, fixture->derive, fixture->software, params, secret, 64) != 0;
}

static bool derives_through_a_kdf_without_size(const struct fixture *fixture)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, (char *)"X963KDF", 0),
        OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    uint8_t secret[64];

    return derive(fixture, fixture->derive, fixture->software, params, secret, 64) != 0;
}

static bool exports_both_halves(const struct fixture *fixture)
{
    OSSL_PARAM *params = NULL;
    bool ok = EVP_PKEY_todata(fixture->sign, EVP_PKEY_KEYPAIR, &params) == 1;

    OSSL_PARAM_free(params);
    return ok;
}

static bool imports_a_point_off_the_curve(const struct fixture *fixture)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(fixture->world.libctx, "EC", OURS);
    uint8_t point[65] = {0x04, 0x01};
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"P-256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *key = NULL;
    bool ok = EVP_PKEY_fromdata_init(ctx) == 1 &&
              EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1;

    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static bool makes(const struct fixture *fixture, const char *curve, const char *uri,
                  const char *usage)
{
    EVP_PKEY *key = lab_generate(fixture->world.libctx, curve, uri, usage);

    EVP_PKEY_free(key);
    return key != NULL;
}

static bool makes_a_key_of_another_curve(const struct fixture *fixture)
{
    return makes(fixture, "secp256k1", lab_uri("k1"), NULL);
}

static bool makes_a_key_that_is_there(const struct fixture *fixture)
{
    return makes(fixture, "P-256", lab_uri("sign"), NULL);
}

static bool makes_a_key_without_a_name(const struct fixture *fixture)
{
    return makes(fixture, "P-256", "pkcs11:token=" LAB_TOKEN, NULL);
}

static bool makes_a_key_in_no_token(const struct fixture *fixture)
{
    return makes(fixture, "P-256", "pkcs11:token=nowhere;object=a", NULL);
}

static bool loads(const struct fixture *fixture, const char *uri, int expect)
{
    EVP_PKEY *key = lab_load(fixture->world.libctx, uri, expect);

    EVP_PKEY_free(key);
    return key != NULL;
}

static bool loads_what_is_not_there(const struct fixture *fixture)
{
    return loads(fixture, lab_uri("nobody"), OSSL_STORE_INFO_PKEY);
}

static bool loads_a_misspelt_uri(const struct fixture *fixture)
{
    return loads(fixture, "pkcs11:tokn=" LAB_TOKEN ";object=sign", OSSL_STORE_INFO_PKEY);
}

static bool loads_one_of_several(const struct fixture *fixture)
{
    return loads(fixture, "pkcs11:token=" LAB_TOKEN, OSSL_STORE_INFO_PKEY);
}

/* Without an expectation, type=private asks for one private key all the same. */
static bool loads_one_of_several_by_type(const struct fixture *fixture)
{
    return loads(fixture, "pkcs11:token=" LAB_TOKEN ";type=private", 0);
}

static void a_failure_leaves_an_error(void **state)
{
    static const struct {
        const char *name;
        bool (*works)(const struct fixture *fixture);
        const char *words;
    } cases[] = {
        {"sign with a derive key", signs_with_derive_key, "may not sign"},
        {"sign with MD5", signs_with_md5, "digest not supported"},
        {"sign into ten octets", signs_into_ten_octets, "buffer too small"},
        {"sign a short digest", signs_a_short_digest, "wrong size"},
        {"verify nonsense", verifies_nonsense, "does not verify"},
        {"derive with a sign key", derives_with_sign_key, "may not derive"},
        {"derive without a peer", derives_without_peer, "bad peer key"},
        {"derive into ten octets", derives_into_ten_octets, "buffer too small"},
        {"derive through HKDF", derives_through_an_unknown_kdf, "HKDF"},
        {"derive without a size", derives_through_a_kdf_without_size, "kdf-outlen"},
        {"export both halves", exports_both_halves, "stays in the token"},
        {"import a point off the curve", imports_a_point_off_the_curve, "make no EC key"},
        {"make secp256k1", makes_a_key_of_another_curve, "curve not supported"},
        {"make what is there", makes_a_key_that_is_there, "is there already"},
        {"make without a name", makes_a_key_without_a_name, "object= or id="},
        {"make in no token", makes_a_key_in_no_token, "no token matches"},
        {"load what is not there", loads_what_is_not_there, "no object matches"},
        {"load a misspelt URI", loads_a_misspelt_uri, "tokn"},
        {"load one of several", loads_one_of_several, "more than one private key"},
        {"load one of several by type", loads_one_of_several_by_type, "object=derive"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(ERR_peek_error(), 0);
        if (cases[i].works(*state))
            fail_msg("%s: it works", cases[i].name);
        if (!error_says(cases[i].words))
            fail_msg("%s: no such error", cases[i].name);
    }
}

/* ---- nothing is left behind ---- */

static size_t objects_in_the_token(void)
{
    void *module = dlopen(LAB_MODULE, RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList list = NULL;
    CK_FUNCTION_LIST *f = NULL;
    CK_SLOT_ID slots[8];
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE handles[16];
    CK_ULONG count = 8, got = 0;
    size_t total = 0;

    assert_non_null(module);
    list = (CK_C_GetFunctionList)(uintptr_t)dlsym(module, "C_GetFunctionList");
    assert_int_equal(list(&f), CKR_OK);
    assert_int_equal(f->C_GetSlotList(1, slots, &count), CKR_OK);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;

        assert_int_equal(f->C_GetTokenInfo(slots[i], &info), CKR_OK);
        if (memcmp(info.label, LAB_TOKEN " ", sizeof(LAB_TOKEN)) == 0)
            assert_int_equal(f->C_OpenSession(slots[i], CKF_SERIAL_SESSION, NULL, NULL, &session),
                             CKR_OK);
    }
    assert_int_equal(f->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    do {
        assert_int_equal(f->C_FindObjects(session, handles, 16, &got), CKR_OK);
        total += got;
    } while (got != 0);
    assert_int_equal(f->C_FindObjectsFinal(session), CKR_OK);
    assert_int_equal(f->C_CloseSession(session), CKR_OK);
    (void)dlclose(module);
    return total;
}

static void derivations_imports_and_opens_leave_no_object(void **state)
{
    struct fixture *fixture = *state;
    uint8_t secret[64];
    size_t before = 0;

    /* the session copy of a key is made at its second use, and is no leak */
    for (int i = 0; i < 2; i++) {
        assert_true(signs(fixture, fixture->sign, NULL, 160));
        assert_int_equal(derive(fixture, fixture->derive, fixture->software, NULL, secret, 64), 32);
    }
    before = objects_in_the_token();
    assert_true(before >= 5);
    for (int i = 0; i < 100; i++) {
        EVP_PKEY *public = public_copy(fixture->world.libctx, fixture->software);
        EVP_PKEY *ours = NULL;

        assert_int_equal(derive(fixture, fixture->derive, public, NULL, secret, 64), 32);
        assert_false(signs(fixture, public, NULL, 160));
        ERR_clear_error();
        ours = lab_load(fixture->world.libctx, lab_uri("sign"), OSSL_STORE_INFO_PKEY);
        assert_non_null(ours);
        if (i % 10 == 0)
            assert_true(signs(fixture, ours, NULL, 160));
        EVP_PKEY_free(ours);
        EVP_PKEY_free(public);
    }
    assert_int_equal(objects_in_the_token(), before);
}

/* ---- the KDF of X9.63 beside a token's ECDH ---- */

static void the_kdf_agrees_with_the_default_providers(void **state)
{
    struct fixture *fixture = *state;
    uint8_t one[100], two[100], copied[100], ukm[] = "user keying material";
    size_t length = sizeof(one);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, (char *)"X963KDF", 0),
        OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, (char *)"SHA384", 0),
        OSSL_PARAM_construct_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, &length),
        OSSL_PARAM_construct_octet_string(OSSL_EXCHANGE_PARAM_KDF_UKM, ukm, sizeof(ukm)),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *public = public_copy(fixture->world.libctx, fixture->derive);
    EVP_PKEY_CTX *ctx = NULL, *copy = NULL;
    char type[16] = "", digest[16] = "";
    size_t told = 0, size = sizeof(copied);
    OSSL_PARAM get[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, type, sizeof(type)),
        OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, digest, sizeof(digest)),
        OSSL_PARAM_construct_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, &told),
        OSSL_PARAM_construct_end(),
    };

    assert_int_equal(derive(fixture, fixture->derive, fixture->software, params, one, 100), 100);
    assert_int_equal(derive(fixture, fixture->software, public, params, two, 100), 100);
    assert_memory_equal(one, two, 100);
    /* what was set can be read, and goes into a duplicate */
    ctx = EVP_PKEY_CTX_new_from_pkey(fixture->world.libctx, fixture->derive, NULL);
    assert_int_equal(EVP_PKEY_derive_init_ex(ctx, params), 1);
    assert_int_equal(EVP_PKEY_CTX_get_params(ctx, get), 1);
    assert_string_equal(type, "X963KDF");
    assert_string_equal(digest, "SHA384");
    assert_int_equal(told, 100);
    assert_int_equal(EVP_PKEY_derive_set_peer(ctx, fixture->software), 1);
    copy = EVP_PKEY_CTX_dup(ctx);
    assert_non_null(copy);
    EVP_PKEY_CTX_free(ctx);
    assert_int_equal(EVP_PKEY_derive(copy, copied, &size), 1);
    assert_int_equal(size, 100);
    assert_memory_equal(copied, one, 100);
    EVP_PKEY_CTX_free(copy);
    EVP_PKEY_free(public);
}

/* ---- what a server can learn of the token ---- */

static uint64_t figure(const struct fixture *fixture, const char *name)
{
    uint64_t value = UINT64_MAX;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_uint64(name, &value), OSSL_PARAM_construct_end()};

    assert_int_equal(OSSL_PROVIDER_get_params(fixture->world.second, params), 1);
    assert_true(OSSL_PARAM_modified(&params[0]));
    return value;
}

/* Every parameter that is offered is answered, alone and with the others. */
static void every_figure_is_answered(void **state)
{
    const struct fixture *fixture = *state;
    const OSSL_PARAM *offered = OSSL_PROVIDER_gettable_params(fixture->world.second);
    OSSL_PARAM params[100];
    uint64_t values[100];
    size_t count = 0;

    for (; offered->key != NULL; offered++) {
        if (strncmp(offered->key, "dot2hsm-", 8) != 0)
            continue;
        assert_true(count < 99);
        values[count] = UINT64_MAX;
        params[count] = OSSL_PARAM_construct_uint64(offered->key, &values[count]);
        assert_true(figure(fixture, offered->key) != UINT64_MAX);
        count++;
    }
    assert_int_equal(count, 5 * 12 + 7);
    params[count] = OSSL_PARAM_construct_end();
    assert_int_equal(OSSL_PROVIDER_get_params(fixture->world.second, params), 1);
    for (size_t i = 0; i < count; i++)
        assert_true(values[i] != UINT64_MAX);
    values[0] = 7;
    params[0] = OSSL_PARAM_construct_uint64("dot2hsm-sign-within-2ms", &values[0]);
    params[1] = OSSL_PARAM_construct_end();
    assert_int_equal(OSSL_PROVIDER_get_params(fixture->world.second, params), 1);
    assert_int_equal(values[0], 7); /* not one of them: left alone */
}

static void figures_count_what_is_done(void **state)
{
    const struct fixture *fixture = *state;
    uint64_t signs_before = figure(fixture, "dot2hsm-sign-calls");
    uint64_t derives = figure(fixture, "dot2hsm-derive-calls");
    uint64_t errors = figure(fixture, "dot2hsm-sign-errors");
    uint64_t time = figure(fixture, "dot2hsm-sign-microseconds");
    uint8_t secret[32];

    for (int i = 0; i < 20; i++)
        assert_true(signs(fixture, fixture->sign, NULL, 160));
    assert_int_equal(figure(fixture, "dot2hsm-sign-calls"), signs_before + 20);
    assert_int_equal(figure(fixture, "dot2hsm-sign-errors"), errors);
    assert_true(figure(fixture, "dot2hsm-sign-microseconds") > time);
    assert_true(figure(fixture, "dot2hsm-sign-within-10000ms") >= signs_before + 20);
    assert_true(figure(fixture, "dot2hsm-sign-within-1ms") <=
                figure(fixture, "dot2hsm-sign-within-3ms"));
    assert_true(derive(fixture, fixture->derive, fixture->software, NULL, secret, 32) > 0);
    assert_int_equal(figure(fixture, "dot2hsm-derive-calls"), derives + 1);
    assert_true(figure(fixture, "dot2hsm-session-calls") > 0);
    assert_true(figure(fixture, "dot2hsm-generate-calls") >= 2);
    assert_true(figure(fixture, "dot2hsm-sessions") >= 1);
    assert_int_equal(figure(fixture, "dot2hsm-sessions"), figure(fixture, "dot2hsm-idle-sessions"));
    assert_int_equal(figure(fixture, "dot2hsm-inside"), 0);
    assert_int_equal(figure(fixture, "dot2hsm-stuck"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_leaves_an_error),
        cmocka_unit_test(derivations_imports_and_opens_leave_no_object),
        cmocka_unit_test(the_kdf_agrees_with_the_default_providers),
        cmocka_unit_test(every_figure_is_answered),
        cmocka_unit_test(figures_count_what_is_done),
    };

    return cmocka_run_group_tests_name("provider/faults", tests, set_up, tear_down);
}
