/* test_crl_command.c: dot2hsm verify with lists of revocation. */
#include "tests/dot2/crl_world.h"

#include <sys/wait.h>

static char dir[] = "/tmp/dot2hsm-crl-XXXXXX";

static void put(const char *name, const uint8_t *octets, size_t size)
{
    char path[100];
    FILE *file = NULL;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(octets, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void put_cert(const char *name, const dot2_cert *cert)
{
    size_t size = 0;
    const uint8_t *octets = dot2_cert_octets(cert, &size);

    put(name, octets, size);
}

/* dot2hsm verify ...; the exit status, and whether its output has a word. */
static int command(const char *arguments, const char *word)
{
    char line[700], text[4096] = "";
    FILE *output = NULL;
    size_t size = 0;
    int status;

    snprintf(line, sizeof(line),
             "cd %s && %s/bin/dot2hsm verify --root root --cert ca --cert craca --at %u %s 2>&1",
             dir, getenv("BUILD_DIR"), FIXTURE_NOW, arguments);
    output = popen(line, "r");
    assert_non_null(output);
    size = fread(text, 1, sizeof(text) - 1, output);
    text[size] = '\0';
    status = pclose(output);
    if (strstr(text, word) == NULL)
        fail_msg("no \"%s\" in: %s", word, text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void command_line(void **state)
{
    const uint8_t *octets = NULL;
    struct list list, linked;
    struct world w;
    size_t size = 0;
    char rm[100];

    assert_non_null(mkdtemp(dir));
    world_open(*state, &w);
    put_cert("root", w.pki.root);
    put_cert("ca", w.ca);
    put_cert("craca", w.craca);
    put_cert("device", w.device);
    put_cert("other", w.other);
    list = linked = full(&w);
    list.revoked[0] = w.device;
    octets = make(&w, &list, &size);
    put("crl", octets, size);
    octets = compose(&w, &list, 1, &size);
    put("composite", octets, size);
    linked.kind = TypeSpecificCrlContents_PR_fullLinkedCrl;
    linked.next = ISSUED + 1;
    octets = make(&w, &linked, &size);
    put("linked", octets, size);
    octets = compose(&w, NULL, 0, &size);
    put("cut", octets, size - 1);
    assert_int_equal(command("device", "valid"), 0);
    assert_int_equal(command("--crl crl device", "DOT2_E_REVOKED"), 1);
    assert_int_equal(command("--crl crl other", "full, issued"), 0);
    assert_int_equal(command("--crl composite device", "DOT2_E_REVOKED"), 1);
    assert_int_equal(command("--crl linked device", "not evaluated"), 0);
    assert_int_equal(command("--crl linked device", "OVERDUE"), 0);
    assert_int_equal(command("--crl crl --json other", "\"crlSeries\": 4"), 0);
    assert_int_equal(command("--crl cut other", "DOT2_E_DECODE"), 1);
    assert_int_equal(command("--crl root other", "not"), 1);
    assert_int_equal(command("--crl nothing other", "nothing"), 1);
    world_close(&w);
    snprintf(rm, sizeof(rm), "rm -r %s", dir);
    assert_int_equal(system(rm), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(command_line)};

    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
