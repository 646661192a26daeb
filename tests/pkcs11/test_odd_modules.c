/*
 * Modules that do what the standard allows and SoftHSM does not do, or what it forbids and occurs:
 * SoftHSM with some of its functions exchanged for others.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/pkcs11/lab.h"

static CK_FUNCTION_LIST real; /* the functions as they are */

static void quick(struct p11_config *config)
{
    config->deadline_ms = 3000;
}

static void default_token(struct p11_config *config)
{
    config->token_uri = "pkcs11:token=" LAB_TOKEN;
}

static void impatient(struct p11_config *config)
{
    config->deadline_ms = 300;
}

/* For cmocka, after each test. */
static int put_back(void **state)
{
    (void)state;
    *lab_cryptoki() = real;
    return 0;
}

/* What failed is said. */
static void worked(enum p11_status status)
{
    if (status != P11_OK) {
        lab_last_error();
        fail_msg("%s", lab_error);
    }
}

static void refused_with(enum p11_status status, enum p11_status expected, const char *words)
{
    assert_int_equal(status, expected);
    assert_int_equal(lab_last_error(), expected);
    if (strstr(lab_error, words) == NULL)
        fail_msg("%s", lab_error);
}

static size_t found(p11_ctx *ctx, const char *uri)
{
    p11_objects *objects = NULL;
    size_t count;

    worked(p11_find(ctx, uri, P11_ANY, NULL, NULL, &objects));
    count = p11_objects_count(objects);
    p11_objects_free(objects);
    return count;
}

/* ---- C_GetInfo fails after C_Initialize: the module is ours all the same ---- */

static _Atomic int failures;

static CK_RV failing_C_GetInfo(CK_INFO *info)
{
    return failures-- > 0 ? CKR_DEVICE_ERROR : real.C_GetInfo(info);
}

/* Before all others, for this is the first C_Initialize of the process. */
static void test_info_fails(void **state)
{
    p11_ctx *ctx = lab_ctx(quick);
    p11_objects *objects = NULL;
    p11_key *key;

    (void)state;
    lab_cryptoki()->C_GetInfo = failing_C_GetInfo;
    failures = 1;
    refused_with(p11_find(ctx, "pkcs11:token=lab", P11_ANY, NULL, NULL, &objects), P11_E_MODULE,
                 "C_GetInfo: CKR_DEVICE_ERROR");
    key = lab_key(ctx, "info", P11_CURVE_P256, P11_USAGE_SIGN);
    assert_int_equal(real.C_Finalize(NULL), CKR_OK);
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* ---- fields of CK_TOKEN_INFO that end in NULs, where the standard wants blanks ---- */

static void end_in_nuls(CK_UTF8CHAR *field, size_t size)
{
    while (size > 0 && field[size - 1] == ' ')
        field[--size] = '\0';
}

static CK_RV nul_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_RV rv = real.C_GetTokenInfo(slot, info);

    end_in_nuls(info->label, sizeof(info->label));
    end_in_nuls(info->manufacturerID, sizeof(info->manufacturerID));
    end_in_nuls(info->model, sizeof(info->model));
    end_in_nuls(info->serialNumber, sizeof(info->serialNumber));
    return rv;
}

static void child_signs(p11_key *key)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0)
        _exit(lab_sign(key) == P11_OK ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The token is known again, whoever listed it: libp11 at first, Cryptoki afterwards. */
static void test_fields_end_in_nuls(void **state)
{
    p11_ctx *ctx = lab_ctx(quick);
    p11_key *key;

    (void)state;
    lab_cryptoki()->C_GetTokenInfo = nul_C_GetTokenInfo;
    key = lab_key(ctx, "nuls", P11_CURVE_P256, P11_USAGE_SIGN);
    lab_signs(key);
    child_signs(key);
    assert_int_equal(real.C_Finalize(NULL), CKR_OK);
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* ---- fewer objects at a time than there is room for ---- */

static CK_RV single_C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects,
                                  CK_ULONG most, CK_ULONG *count)
{
    return real.C_FindObjects(session, objects, most > 1 ? 1 : most, count);
}

static void test_one_object_at_a_time(void **state)
{
    static const char uri[] = "pkcs11:token=lab;object=many";
    static const char *const ids[] = {"a", "b", "c"};
    p11_ctx *ctx = lab_ctx(quick);
    struct lab_software_key software;
    p11_key *key = NULL;
    size_t deleted = 0;

    (void)state;
    assert_int_equal(found(ctx, uri), 0);
    lab_software(P11_CURVE_P256, &software);
    lab_session();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(lab_import(&software, "many", ids[i], true, false, false), CKR_OK);
        assert_int_equal(lab_import_public(&software, "many", ids[i], false, false), CKR_OK);
    }
    lab_cryptoki()->C_FindObjects = single_C_FindObjects;
    assert_int_equal(found(ctx, uri), 6);
    refused_with(p11_key_open_uri(ctx, uri, NULL, NULL, &key), P11_E_AMBIGUOUS, "3 private keys");
    worked(p11_delete(ctx, uri, NULL, NULL, &deleted));
    assert_int_equal(deleted, 6);
    p11_ctx_free(ctx);
}

/* ---- a key pair was made, and the answer was lost ---- */

static CK_RV lost_C_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                                    CK_ATTRIBUTE *public_, CK_ULONG n_public,
                                    CK_ATTRIBUTE *private_, CK_ULONG n_private,
                                    CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    CK_RV rv = real.C_GenerateKeyPair(session, mechanism, public_, n_public, private_, n_private,
                                      public_key, private_key);

    return rv == CKR_OK && failures-- > 0 ? CKR_DEVICE_ERROR : rv;
}

static CK_RV lost_C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                      CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    CK_RV rv = real.C_SetAttributeValue(session, object, attributes, count);

    return rv == CKR_OK && failures-- > 0 ? CKR_DEVICE_ERROR : rv;
}

/* The half that is not finished is in nobody's way, whether the HSM comes back or not. */
static void test_answer_lost(void **state)
{
    static const char *const uris[] = {"pkcs11:token=lab;object=lost",
                                       "pkcs11:token=lab;object=lost-id;id=%07%08"};
    struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN};
    p11_ctx *ctx = lab_ctx(quick);
    p11_key *other = lab_key(ctx, "lost-not", P11_CURVE_P256, P11_USAGE_SIGN);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        p11_key *key = NULL;

        lab_cryptoki()->C_GenerateKeyPair = lost_C_GenerateKeyPair;
        failures = 2;
        refused_with(p11_key_generate(ctx, uris[i], &how, NULL, NULL, &key), P11_E_TOKEN,
                     "C_GenerateKeyPair: CKR_DEVICE_ERROR");
        assert_int_equal(found(ctx, uris[i]), 0);
        failures = 1;
        worked(p11_key_generate(ctx, uris[i], &how, NULL, NULL, &key));
        assert_int_equal(found(ctx, uris[i]), 2);
        lab_signs(key);
        worked(p11_key_delete(key));
        p11_key_free(key);
        put_back(NULL);
    }
    for (int times = 1; times <= 2; times++) {
        p11_key *key = NULL;

        lab_cryptoki()->C_SetAttributeValue = lost_C_SetAttributeValue;
        failures = times;
        if (times == 2)
            refused_with(p11_key_generate(ctx, uris[0], &how, NULL, NULL, &key), P11_E_TOKEN,
                         "C_SetAttributeValue: CKR_DEVICE_ERROR");
        else
            worked(p11_key_generate(ctx, uris[0], &how, NULL, NULL, &key));
        assert_int_equal(found(ctx, uris[0]), times == 2 ? 0 : 2);
        if (key != NULL)
            worked(p11_key_delete(key));
        p11_key_free(key);
    }
    lab_signs(other);
    p11_key_free(other);
    p11_ctx_free(ctx);
}

/* ---- a token that is out of order when it is met ---- */

static CK_RV failing_C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
    return failures-- > 0 ? CKR_DEVICE_ERROR : real.C_GetMechanismList(slot, list, count);
}

/* It is not taken, from then on, for one that can do nothing. */
static void test_out_of_order_when_met(void **state)
{
    static const char uri[] = "pkcs11:token=met;object=met";
    struct p11_generate how = {P11_CURVE_P256, P11_USAGE_SIGN};
    p11_ctx *ctx = lab_ctx(quick);
    p11_key *key = NULL;

    (void)state;
    lab_cryptoki()->C_GetMechanismList = failing_C_GetMechanismList;
    for (int i = 0; i < 2; i++) {
        failures = 1;
        refused_with(p11_key_generate(ctx, uri, &how, NULL, NULL, &key), P11_E_TOKEN,
                     "C_GetMechanismList: CKR_DEVICE_ERROR");
    }
    failures = 0;
    worked(p11_key_generate(ctx, uri, &how, NULL, NULL, &key));
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* ---- a certificate whose value is elsewhere ---- */

static CK_RV no_value_C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                          CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    CK_RV rv = real.C_GetAttributeValue(session, object, attributes, count);

    for (CK_ULONG i = 0; i < count; i++)
        if (attributes[i].type == CKA_VALUE) {
            attributes[i].ulValueLen = (CK_ULONG)-1;
            rv = CKR_ATTRIBUTE_TYPE_INVALID;
        }
    return rv;
}

static void put_certificate(const char *label)
{
    CK_OBJECT_CLASS class_ = CKO_CERTIFICATE;
    CK_CERTIFICATE_TYPE type = CKC_X_509;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class_, sizeof(class_)},
                               {CKA_CERTIFICATE_TYPE, &type, sizeof(type)},
                               {CKA_TOKEN, &yes, sizeof(yes)},
                               {CKA_PRIVATE, &no, sizeof(no)},
                               {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)},
                               {CKA_SUBJECT, (void *)(uintptr_t) "\x30\x00", 2},
                               {CKA_VALUE, (void *)(uintptr_t) "\x30\x00", 2}};
    CK_OBJECT_HANDLE made;

    assert_int_equal(real.C_CreateObject(lab_session(), template, 7, &made), CKR_OK);
}

static void test_certificate_elsewhere(void **state)
{
    static const char uri[] = "pkcs11:token=lab;object=elsewhere";
    p11_ctx *ctx = lab_ctx(quick);
    p11_key *key = lab_key(ctx, "elsewhere", P11_CURVE_P256, P11_USAGE_SIGN), *again = NULL;
    p11_objects *objects = NULL;

    (void)state;
    put_certificate("elsewhere");
    lab_cryptoki()->C_GetAttributeValue = no_value_C_GetAttributeValue;
    worked(p11_find(ctx, uri, P11_ANY, NULL, NULL, &objects));
    assert_int_equal(p11_objects_count(objects), 3);
    assert_int_equal(p11_objects_get(objects, 2)->class_, P11_CERTIFICATE);
    assert_null(p11_objects_get(objects, 2)->certificate);
    worked(p11_key_open(ctx, objects, 0, &again));
    lab_signs(again);
    p11_objects_free(objects);
    p11_key_free(again);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* ---- functions that are not there ---- */

static void test_functions_missing(void **state)
{
    p11_ctx *ctx = lab_ctx(default_token);
    p11_key *key = lab_key(ctx, "missing", P11_CURVE_P256, P11_USAGE_SIGN);
    uint8_t octets[8];

    (void)state;
    lab_cryptoki()->C_CopyObject = NULL;
    lab_cryptoki()->C_GenerateRandom = NULL;
    for (int i = 0; i < 4; i++)
        lab_signs(key); /* without a copy */
    refused_with(p11_random(ctx, octets, sizeof(octets)), P11_E_MECHANISM,
                 "C_GenerateRandom: CKR_FUNCTION_NOT_SUPPORTED");
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* ---- sizes and counts that are not true ---- */

static CK_RV more_C_GetSlotList(CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *count)
{
    CK_RV rv = real.C_GetSlotList(present, list, count);

    if (list != NULL)
        *count += 100000;
    return rv;
}

static CK_RV small_C_GetSlotList(CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *count)
{
    return list != NULL ? CKR_BUFFER_TOO_SMALL : real.C_GetSlotList(present, list, count);
}

static CK_RV longer_C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                        CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    CK_RV rv = real.C_GetAttributeValue(session, object, attributes, count);

    if (count == 1 && attributes[0].pValue != NULL && attributes[0].type == CKA_VALUE)
        attributes[0].ulValueLen += 100000;
    return rv;
}

static CK_RV more_C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG most,
                                CK_ULONG *count)
{
    CK_RV rv = real.C_FindObjects(session, objects, most, count);

    *count += 100000;
    return rv;
}

static CK_RV more_C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
    CK_RV rv = real.C_GetMechanismList(slot, list, count);

    *count += 100000;
    return rv;
}

static void test_untrue_sizes(void **state)
{
    p11_ctx *ctx = lab_ctx(quick), *hasty = lab_ctx(impatient);
    p11_objects *objects = NULL;

    (void)state;
    assert_int_equal(found(ctx, "pkcs11:token=lab;object=sizes"), 0);
    put_certificate("sizes");
    lab_cryptoki()->C_GetSlotList = more_C_GetSlotList;
    refused_with(p11_find(ctx, "pkcs11:token=lab", P11_ANY, NULL, NULL, &objects), P11_E_TOKEN,
                 "C_GetSlotList");
    lab_cryptoki()->C_GetSlotList = small_C_GetSlotList;
    refused_with(p11_find(hasty, "pkcs11:token=lab", P11_ANY, NULL, NULL, &objects), P11_E_TOKEN,
                 "C_GetSlotList: CKR_BUFFER_TOO_SMALL"); /* not for ever */
    put_back(NULL);
    lab_cryptoki()->C_GetAttributeValue = longer_C_GetAttributeValue;
    refused_with(
        p11_find(ctx, "pkcs11:token=lab;object=sizes", P11_CERTIFICATE, NULL, NULL, &objects),
        P11_E_TOKEN, "C_GetAttributeValue");
    put_back(NULL);
    lab_cryptoki()->C_FindObjects = more_C_FindObjects;
    refused_with(p11_find(ctx, "pkcs11:token=lab", P11_ANY, NULL, NULL, &objects), P11_E_TOKEN,
                 "C_FindObjects");
    put_back(NULL);
    lab_cryptoki()->C_GetMechanismList = more_C_GetMechanismList;
    assert_int_equal(found(ctx, "pkcs11:token=sizes"), 0); /* C_GetMechanismInfo is asked */
    p11_ctx_free(hasty);
    p11_ctx_free(ctx);
}

/* ---- a module of which little is known, on a socket whose other end has died ---- */

static CK_RV no_C_GetInfo(CK_INFO *info)
{
    (void)info;
    return CKR_FUNCTION_NOT_SUPPORTED;
}

static CK_RV no_C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    (void)slot;
    (void)type;
    (void)info;
    return CKR_FUNCTION_NOT_SUPPORTED;
}

static CK_RV broken_C_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG size,
                           CK_BYTE *signature, CK_ULONG *signature_size)
{
    (void)session;
    (void)data;
    (void)size;
    (void)signature;
    (void)signature_size;
    raise(SIGPIPE);
    return CKR_FUNCTION_FAILED;
}

static void test_socket(void **state)
{
    p11_ctx *ctx = NULL;
    p11_key *key = NULL;
    sigset_t waiting;

    (void)state;
    signal(SIGPIPE, SIG_DFL);
    lab_cryptoki()->C_GetInfo = no_C_GetInfo;
    lab_cryptoki()->C_GetMechanismInfo = no_C_GetMechanismInfo;
    ctx = lab_ctx(quick);
    key = lab_key(ctx, "socket", P11_CURVE_P256, P11_USAGE_SIGN);
    lab_cryptoki()->C_Sign = broken_C_Sign;
    refused_with(lab_sign(key), P11_E_TOKEN, "C_Sign: CKR_FUNCTION_FAILED");
    sigpending(&waiting);
    assert_false(sigismember(&waiting, SIGPIPE));
    put_back(NULL);
    lab_signs(key);
    p11_key_free(key);
    p11_ctx_free(ctx);
}

/* ---- one try is left before the token locks its PIN: it is a person's ---- */

static atomic_int logins;

static CK_RV last_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_RV rv = real.C_GetTokenInfo(slot, info);

    info->flags |= CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY;
    return rv;
}

static CK_RV counting_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin,
                              CK_ULONG size)
{
    logins++;
    return real.C_Login(session, user, pin, size);
}

static void without_source(struct p11_config *config)
{
    config->pin_source = NULL;
}

static bool type_pin(void *arg, const char *token_label, char *pin, size_t capacity, size_t *size)
{
    (void)arg;
    assert_string_equal(token_label, "last");
    *size = strlen(LAB_PIN);
    assert_true(*size <= capacity);
    memcpy(pin, LAB_PIN, *size);
    return true;
}

static void test_last_try(void **state)
{
    p11_ctx *by_file = lab_ctx(quick), *by_hand = lab_ctx(without_source);
    p11_objects *objects = NULL;

    (void)state;
    lab_cryptoki()->C_GetTokenInfo = last_C_GetTokenInfo;
    lab_cryptoki()->C_Login = counting_C_Login;
    for (int i = 0; i < 2; i++)
        refused_with(
            p11_find(by_file, "pkcs11:token=last;type=private", P11_PRIVATE, NULL, NULL, &objects),
            P11_E_PIN, "one more wrong PIN locks the token");
    assert_int_equal(logins, 0);
    worked(
        p11_find(by_hand, "pkcs11:token=last;type=private", P11_PRIVATE, type_pin, NULL, &objects));
    p11_objects_free(objects);
    assert_int_equal(logins, 1);
    p11_ctx_free(by_file);
    p11_ctx_free(by_hand);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_info_fails, put_back),
        cmocka_unit_test_teardown(test_fields_end_in_nuls, put_back),
        cmocka_unit_test_teardown(test_one_object_at_a_time, put_back),
        cmocka_unit_test_teardown(test_answer_lost, put_back),
        cmocka_unit_test_teardown(test_out_of_order_when_met, put_back),
        cmocka_unit_test_teardown(test_certificate_elsewhere, put_back),
        cmocka_unit_test_teardown(test_functions_missing, put_back),
        cmocka_unit_test_teardown(test_untrue_sizes, put_back),
        cmocka_unit_test_teardown(test_last_try, put_back),
    };
    const struct CMUnitTest socket[] = {cmocka_unit_test_teardown(test_socket, put_back)};
    int result;

    lab_open();
    lab_token("last");
    lab_token("met");
    lab_token("sizes");
    real = *lab_cryptoki();
    if (argc == 2 && strcmp(argv[1], "socket") == 0)
        result = cmocka_run_group_tests_name("p11 odd modules, socket", socket, NULL, NULL);
    else
        result = cmocka_run_group_tests_name("p11 odd modules", tests, NULL, NULL);
    lab_close();
    return result;
}
