/*
 * Where a PIN may come from, and that a wrong one is tried once. Each test has a token of its own,
 * since a login lasts as long as the process.
 */
#include "tests/pkcs11/lab.h"

#include <unistd.h>

static unsigned made;
static char token[16];

static int new_token(void **state)
{
    (void)state;
    snprintf(token, sizeof(token), "pin%u", made++);
    return 0;
}

static void no_source(struct p11_config *config)
{
    config->pin_source = NULL;
}

static void allow_value(struct p11_config *config)
{
    config->pin_source = NULL;
    config->allow_pin_value = true;
}

/* Private keys of the token, with a query of the test's. */
static enum p11_status find(p11_ctx *ctx, const char *query, p11_pin_fn *prompt, void *arg)
{
    p11_objects *objects = NULL;
    enum p11_status status;
    char uri[600];

    snprintf(uri, sizeof(uri), "pkcs11:token=%s%s%s", token, query[0] != '\0' ? "?" : "", query);
    status = p11_find(ctx, uri, P11_PRIVATE, prompt, arg, &objects);
    p11_objects_free(objects);
    assert_int_equal(lab_last_error(), status);
    return status;
}

static enum p11_status find_file(p11_ctx *ctx, const char *path)
{
    char query[560];

    snprintf(query, sizeof(query), "pin-source=file:%s", path);
    return find(ctx, query, NULL, NULL);
}

static void test_files(void **state)
{
    p11_ctx *ctx = lab_ctx(no_source);
    char longest[300];
    const char *path;

    (void)state;
    lab_count_reset();
    path = lab_file("bad", LAB_PIN, 0644);
    assert_int_equal(find_file(ctx, path), P11_E_PIN_SOURCE);
    assert_non_null(strstr(lab_error, "0644"));
    assert_int_equal(find_file(ctx, lab_file("bad", LAB_PIN, 0640)), P11_E_PIN_SOURCE);
    assert_int_equal(find_file(ctx, lab_file("bad", LAB_PIN, 0602)), P11_E_PIN_SOURCE);
    assert_int_equal(find_file(ctx, lab_file("bad", "", 0600)), P11_E_PIN_SOURCE);
    assert_int_equal(find_file(ctx, lab_file("bad", "\n", 0600)), P11_E_PIN_SOURCE);
    memset(longest, '1', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(find_file(ctx, lab_file("bad", longest, 0600)), P11_E_PIN_SOURCE);
    assert_int_equal(find_file(ctx, lab_dir), P11_E_PIN_SOURCE);
    assert_int_equal(find_file(ctx, "/nonexistent/pin"), P11_E_PIN_SOURCE);
    assert_int_equal(find_file(ctx, "/dev/null"), P11_E_PIN_SOURCE);
    if (geteuid() == 0) {
        path = lab_file("bad", LAB_PIN, 0600);
        assert_int_equal(chown(path, 1, 1), 0);
        assert_int_equal(find_file(ctx, path), P11_E_PIN_SOURCE);
    }
    assert_int_equal(lab_count[LAB_LOGIN], 0);
    assert_int_equal(find_file(ctx, lab_file("good", LAB_PIN "\n", 0400)), P11_OK);
    assert_int_equal(lab_count[LAB_LOGIN], 1);
    p11_ctx_free(ctx);
}

static void test_bare_path(void **state)
{
    p11_ctx *ctx = lab_ctx(no_source);
    char query[600];

    (void)state;
    snprintf(query, sizeof(query), "pin-source=%s", lab_file("good", LAB_PIN, 0600));
    assert_int_equal(find(ctx, query, NULL, NULL), P11_OK);
    p11_ctx_free(ctx);
}

static void test_environment(void **state)
{
    p11_ctx *ctx = lab_ctx(no_source);

    (void)state;
    unsetenv("LAB_PIN_VARIABLE");
    assert_int_equal(find(ctx, "pin-source=env:LAB_PIN_VARIABLE", NULL, NULL), P11_E_PIN_SOURCE);
    setenv("LAB_PIN_VARIABLE", "", 1);
    assert_int_equal(find(ctx, "pin-source=env:LAB_PIN_VARIABLE", NULL, NULL), P11_E_PIN_SOURCE);
    setenv("LAB_PIN_VARIABLE", LAB_PIN, 1);
    assert_int_equal(find(ctx, "pin-source=env:LAB_PIN_VARIABLE", NULL, NULL), P11_OK);
    p11_ctx_free(ctx);
}

static void test_credential(void **state)
{
    p11_ctx *ctx = lab_ctx(no_source);

    (void)state;
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(find(ctx, "pin-source=credential:hsm", NULL, NULL), P11_E_PIN_SOURCE);
    setenv("CREDENTIALS_DIRECTORY", lab_dir, 1);
    assert_int_equal(find(ctx, "pin-source=credential:hsm", NULL, NULL), P11_E_PIN_SOURCE);
    lab_file("hsm", LAB_PIN, 0444);
    assert_int_equal(find(ctx, "pin-source=credential:hsm", NULL, NULL), P11_E_PIN_SOURCE);
    lab_file("hsm", LAB_PIN, 0440); /* as systemd makes it */
    assert_int_equal(find(ctx, "pin-source=credential:hsm", NULL, NULL), P11_OK);
    p11_ctx_free(ctx);
}

static void test_pin_value(void **state)
{
    p11_ctx *ctx = lab_ctx(no_source);

    (void)state;
    assert_int_equal(find(ctx, "pin-value=" LAB_PIN, NULL, NULL), P11_E_URI);
    assert_null(strstr(lab_error, LAB_PIN));
    p11_ctx_free(ctx);
    ctx = lab_ctx(allow_value);
    assert_int_equal(find(ctx, "pin-value=", NULL, NULL), P11_E_URI);
    assert_int_equal(find(ctx, "pin-value=" LAB_PIN "&pin-source=env:X", NULL, NULL), P11_E_URI);
    assert_int_equal(find(ctx, "pin-value=%31%32%33456", NULL, NULL), P11_OK);
    p11_ctx_free(ctx);
}

struct answer {
    const char *pin;
    unsigned asked;
    char label[40];
};

static bool answer(void *arg, const char *label, char *pin, size_t capacity, size_t *size)
{
    struct answer *it = arg;

    it->asked++;
    snprintf(it->label, sizeof(it->label), "%s", label);
    if (it->pin == NULL || strlen(it->pin) > capacity)
        return false;
    memcpy(pin, it->pin, strlen(it->pin));
    *size = strlen(it->pin);
    return true;
}

static void test_prompt(void **state)
{
    p11_ctx *ctx = lab_ctx(no_source);
    struct answer it = {0};

    (void)state;
    assert_int_equal(find(ctx, "", NULL, NULL), P11_E_PIN_SOURCE);
    assert_int_equal(find(ctx, "", answer, &it), P11_E_PIN_SOURCE);
    assert_int_equal(it.asked, 1);
    it.pin = LAB_PIN;
    assert_int_equal(find(ctx, "", answer, &it), P11_OK);
    assert_int_equal(it.asked, 2);
    assert_string_equal(it.label, token);
    assert_int_equal(find(ctx, "", answer, &it), P11_OK); /* logged in: not asked again */
    assert_int_equal(it.asked, 2);
    p11_ctx_free(ctx);
}

static void test_wrong_pin_once(void **state)
{
    p11_ctx *ctx = lab_ctx(no_source);
    CK_TOKEN_INFO info;

    (void)state;
    lab_count_reset();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(find_file(ctx, lab_file("changing", "999999\n", 0600)), P11_E_PIN);
        assert_null(strstr(lab_error, "999999"));
        assert_int_equal(lab_count[LAB_LOGIN], 1);
    }
    assert_int_equal(lab_cryptoki()->C_GetTokenInfo(lab_slot(token), &info), CKR_OK);
    assert_int_not_equal(info.flags & CKF_USER_PIN_COUNT_LOW, 0);
    /* Another wrong one is another try; the right one works. */
    assert_int_equal(find_file(ctx, lab_file("changing", "888888\n", 0600)), P11_E_PIN);
    assert_int_equal(lab_count[LAB_LOGIN], 2);
    assert_int_equal(find_file(ctx, lab_file("changing", LAB_PIN "\n", 0600)), P11_OK);
    assert_int_equal(lab_count[LAB_LOGIN], 3);
    assert_int_equal(find_file(ctx, lab_file("changing", LAB_PIN "\n", 0600)), P11_OK);
    assert_int_equal(lab_count[LAB_LOGIN], 3);
    p11_ctx_free(ctx);
}

/* A PIN is not tried on tokens that it may not belong to. */
static void test_several_tokens(void **state)
{
    p11_ctx *ctx = lab_ctx(NULL);
    p11_objects *objects = NULL;

    (void)state;
    lab_count_reset();
    assert_int_equal(p11_find(ctx, "pkcs11:manufacturer=SoftHSM%20project;object=none", P11_PRIVATE,
                              NULL, NULL, &objects),
                     P11_E_AMBIGUOUS);
    assert_int_equal(lab_last_error(), P11_E_AMBIGUOUS);
    assert_int_equal(p11_find(ctx, "pkcs11:", P11_ANY, NULL, NULL, &objects), P11_OK);
    p11_objects_free(objects);
    assert_int_equal(lab_count[LAB_LOGIN], 0);
    p11_ctx_free(ctx);
}

static void never(struct p11_config *config)
{
    config->login = P11_NO;
}

static void always(struct p11_config *config)
{
    config->login = P11_YES;
}

static void test_login_option(void **state)
{
    p11_ctx *ctx = lab_ctx(never);
    p11_objects *objects = NULL;
    uint8_t octets[8];
    char uri[64];

    (void)state;
    lab_count_reset();
    assert_int_equal(find(ctx, "", NULL, NULL), P11_OK);
    p11_ctx_free(ctx);
    snprintf(uri, sizeof(uri), "pkcs11:token=%s", token);
    ctx = lab_ctx(NULL);
    assert_int_equal(p11_find(ctx, uri, P11_PUBLIC, NULL, NULL, &objects), P11_OK);
    p11_objects_free(objects);
    assert_int_equal(p11_random(ctx, octets, sizeof(octets)), P11_E_AMBIGUOUS);
    assert_int_equal(lab_last_error(), P11_E_AMBIGUOUS);
    p11_ctx_free(ctx);
    assert_int_equal(lab_count[LAB_LOGIN], 0);
    ctx = lab_ctx(always);
    assert_int_equal(p11_find(ctx, uri, P11_PUBLIC, NULL, NULL, &objects), P11_OK);
    p11_objects_free(objects);
    assert_int_equal(lab_count[LAB_LOGIN], 1);
    p11_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_files, new_token),
        cmocka_unit_test_setup(test_bare_path, new_token),
        cmocka_unit_test_setup(test_environment, new_token),
        cmocka_unit_test_setup(test_credential, new_token),
        cmocka_unit_test_setup(test_pin_value, new_token),
        cmocka_unit_test_setup(test_prompt, new_token),
        cmocka_unit_test_setup(test_wrong_pin_once, new_token),
        cmocka_unit_test_setup(test_several_tokens, new_token),
        cmocka_unit_test_setup(test_login_option, new_token),
    };
    int failed;

    lab_open();
    /* All tokens before C_Initialize: SoftHSM does not see those that others make later. */
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        snprintf(token, sizeof(token), "pin%u", i);
        lab_token(token);
    }
    lab_count_calls();
    failed = cmocka_run_group_tests_name("p11 pin", tests, NULL, NULL);
    lab_close();
    return failed;
}
