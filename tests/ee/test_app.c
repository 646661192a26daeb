/* What the programs share: JSON strings, files, configurations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "apps/app.h"
#include "tests/ee/tls_lab.h"

static int begin(void **state)
{
    (void)state;
    lab_begin();
    return 0;
}

static int end(void **state)
{
    (void)state;
    lab_end();
    return 0;
}

static void json_strings(void **state)
{
    static const struct {
        const char *text, *json;
    } tests[] = {
        {"", "\"\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\x01\n\x7f", "\"\\u0001\\u000a\\u007f\""},
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x9a\xa6", "\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x9a\xa6\""},
        {"\xff\xe4x", "\"\\u00ff\\u00e4x\""},
        {"\xc3", "\"\\u00c3\""},
        {"\xe2\x82", "\"\\u00e2\\u0082\""},
        {"\xc0\xaf", "\"\\u00c0\\u00af\""},
        {"\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\""},
        {"\xf4\x90\x80\x80", "\"\\u00f4\\u0090\\u0080\\u0080\""},
    };
    char *made = NULL;
    size_t size = 0;
    FILE *out;

    (void)state;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        out = open_memstream(&made, &size);
        app_json_string(out, tests[i].text);
        fclose(out);
        assert_string_equal(made, tests[i].json);
        free(made);
    }
}

static void files(void **state)
{
    const char *path = lab_path("written");
    struct stat about;
    uint8_t *octets = NULL, *big = lab_octets(100000, 3);
    size_t size = 0;

    (void)state;
    assert_int_equal(app_file_write(path, big, 100000, 0600), APP_OK);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
    assert_int_equal(app_file_read(path, 100000, &octets, &size), APP_OK);
    assert_int_equal(size, 100000);
    assert_memory_equal(octets, big, size);
    OPENSSL_free(octets);
    assert_int_equal(app_file_read(path, 99999, &octets, &size), APP_REFUSED);
    assert_null(octets);
    /* A write that cannot be made leaves what is there, and nothing beside it. */
    assert_int_equal(app_file_write("/nonexistent/directory/x", big, 1, 0600), APP_REFUSED);
    assert_int_equal(mkdir(lab_path("d"), 0700), 0);
    assert_int_equal(app_file_write(lab_path("d"), big, 1, 0600), APP_REFUSED);
    assert_int_equal(rmdir(lab_path("d")), 0);
    assert_int_equal(app_file_read(lab_path("none"), 10, &octets, &size), APP_REFUSED);
    /* The old octets go at once with the new ones' coming. */
    assert_int_equal(app_file_write(path, (const uint8_t *)"new", 3, 0644), APP_OK);
    assert_int_equal(app_file_read(path, 3, &octets, &size), APP_OK);
    assert_int_equal(size, 3);
    OPENSSL_free(octets);
    free(big);
}

static int load(const char *text)
{
    static const struct app_conf_key known[] = {{"one", "a"}, {"one", "b"}, {"provider", NULL}};
    CONF *conf = NULL;
    int code;

    lab_write(lab_path("conf"), text, strlen(text));
    code = app_conf_load(lab_path("conf"), known, 3, &conf);
    assert_int_equal(conf != NULL, code == APP_OK);
    NCONF_free(conf);
    return code;
}

static void configurations(void **state)
{
    (void)state;
    assert_int_equal(load(""), APP_OK);
    assert_int_equal(load("[one]\na = 1\nb = 2\n[provider]\npkcs11-module = x\n"), APP_OK);
    assert_int_equal(load("[one]\nc = 1\n"), APP_USAGE);
    assert_int_equal(load("[two]\na = 1\n"), APP_USAGE);
    assert_int_equal(load("a = 1\n"), APP_USAGE);
    assert_int_equal(load("[provider]\na = 1\n"), APP_USAGE);
    assert_int_equal(load("[one\n"), APP_USAGE);
    assert_int_equal(load("[one]\nno equals sign\n"), APP_USAGE);
}

/* Values that CONF would expand or cut reach the provider as they are: its error names them. */
static void values_of_the_provider(void **state)
{
    const struct app_provider odd = {.module = "/none/$x #y\\z\"q.so", .pin_source = "env:NONE"};
    const struct app_provider control = {.module = "a\nb"};
    OSSL_LIB_CTX *libctx = NULL;
    EVP_PKEY *key = NULL;
    char said[4096] = "";
    int kept = dup(STDERR_FILENO);
    FILE *file;

    (void)state;
    assert_int_equal(app_provider_load(&control, &libctx), APP_USAGE);
    assert_null(libctx);
    assert_int_equal(app_provider_load(&odd, &libctx), APP_OK);
    file = freopen(lab_path("said"), "w", stderr);
    assert_non_null(file);
    assert_int_equal(app_key_open(libctx, "pkcs11:token=x;object=y", &key), APP_UNREACHABLE);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    file = fopen(lab_path("said"), "r");
    assert_true(fread(said, 1, sizeof(said) - 1, file) > 0);
    fclose(file);
    if (strstr(said, odd.module) == NULL)
        fail_msg("%s", said);
    assert_null(key);
    OSSL_LIB_CTX_free(libctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_strings),
        cmocka_unit_test(files),
        cmocka_unit_test(configurations),
        cmocka_unit_test(values_of_the_provider),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
