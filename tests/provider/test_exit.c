/*
 * test_exit.c: the ends of a process, and the default library context.
 *
 * Each mode runs in a process of its own, this program started again: SoftHSM's destructors,
 * libcrypto's exit handler and the program's own run in an order that the program does not choose.
 */
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "tests/provider/token_lab.h"

static EVP_PKEY *key; /* never freed by some modes: that is the point */

/* Signs over a fixed text with what is in the default library context. */
static bool use(const char *digest)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[128];
    size_t size = sizeof(signature);
    bool ok = false;

    ok = EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) == 1 &&
         EVP_DigestSign(ctx, signature, &size, (const uint8_t *)"text", 4) == 1 &&
         EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) == 1 &&
         EVP_DigestVerify(ctx, signature, size, (const uint8_t *)"text", 4) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static void free_key_at_exit(void)
{
    EVP_PKEY_free(key);
}

static bool load_providers(void)
{
    return OSSL_PROVIDER_set_default_search_path(NULL, getenv("DOT2HSM_MODULES")) &&
           OSSL_PROVIDER_load(NULL, "default") != NULL &&
           OSSL_PROVIDER_load(NULL, "dot2hsm") != NULL;
}

static bool open_key(void)
{
    key = lab_load(NULL, lab_uri("exit"), OSSL_STORE_INFO_PKEY);
    return key != NULL;
}

/* With ?provider=dot2hsm SoftHSM's own use of libcrypto comes to us while it works for us. */
static bool default_query(void)
{
    uint8_t one[64], two[64];
    size_t size_one = sizeof(one), size_two = sizeof(two);
    EVP_PKEY *ours = NULL, *theirs = NULL, *public = NULL, *made = NULL;
    EVP_PKEY_CTX *ctx = NULL;
    bool ok = false;

    if (!EVP_set_default_properties(NULL, "?provider=dot2hsm") || !load_providers() ||
        !open_key() || !use(NULL) || !use("SHA256"))
        return false;
    made = lab_generate(NULL, "P-384", lab_uri("query-sign"), NULL);
    ours = lab_generate(NULL, "P-256", lab_uri("query-derive"), "derive");
    theirs = key_generate(NULL, NULL, "P-256");
    if (made == NULL || ours == NULL ||
        strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(theirs)), "dot2hsm") != 0)
        goto out;
    public = public_copy(NULL, ours);
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
    if (EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, theirs) != 1 ||
        EVP_PKEY_derive(ctx, one, &size_one) != 1)
        goto out;
    EVP_PKEY_CTX_free(ctx);
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, theirs, NULL);
    if (EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, public) != 1 ||
        EVP_PKEY_derive(ctx, two, &size_two) != 1)
        goto out;
    ok = size_one == 32 && size_two == 32 && memcmp(one, two, 32) == 0;
out:
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(public);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(ours);
    EVP_PKEY_free(made);
    EVP_PKEY_free(key);
    key = NULL;
    return ok;
}

static bool run_mode(const char *mode)
{
    if (strcmp(mode, "query") == 0)
        return default_query();
    if (!load_providers())
        return false;
    /* Registered after libcrypto's exit handler and before the module is loaded. */
    if (strcmp(mode, "atexit") == 0 && atexit(free_key_at_exit) != 0)
        return false;
    if (!open_key() || !use(NULL))
        return false;
    if (strcmp(mode, "atexit-late") == 0)
        return atexit(free_key_at_exit) == 0;
    if (strcmp(mode, "cleanup") == 0)
        OPENSSL_cleanup();
    if (strcmp(mode, "tidy") == 0)
        EVP_PKEY_free(key);
    return true; /* "leak": the key stays */
}

static void process_ends_well(const char *mode)
{
    char *const argv[] = {"/proc/self/exe", (char *)mode, lab_directory, NULL};
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        /* Providers stay loaded, and a key stays open: these processes leak on purpose. */
        (void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        execv(argv[0], argv);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        print_message("mode %s: status %x\n", mode, (unsigned)status);
    assert_int_equal(status, 0);
}

static void freed_key(void **state)
{
    (void)state;
    process_ends_well("tidy");
}

static void key_that_is_never_freed(void **state)
{
    (void)state;
    process_ends_well("leak");
}

static void key_freed_in_exit_handlers(void **state)
{
    (void)state;
    process_ends_well("atexit");
    process_ends_well("atexit-late");
}

static void program_that_cleans_libcrypto_up(void **state)
{
    (void)state;
    process_ends_well("cleanup");
}

static void default_query_that_prefers_us(void **state)
{
    (void)state;
    process_ends_well("query");
}

/* The child makes the key, so that this process never loads the module. */
static int set_up(void **state)
{
    (void)state;
    lab_open();
    process_ends_well("make");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lab_close();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freed_key),
        cmocka_unit_test(key_that_is_never_freed),
        cmocka_unit_test(key_freed_in_exit_handlers),
        cmocka_unit_test(program_that_cleans_libcrypto_up),
        cmocka_unit_test(default_query_that_prefers_us),
    };

    if (argc == 3) {
        bool ok = false;

        if (strcmp(argv[1], "make") == 0) {
            ok = load_providers() &&
                 (key = lab_generate(NULL, "P-256", lab_uri("exit"), NULL)) != NULL;
            EVP_PKEY_free(key);
            key = NULL;
        } else {
            ok = run_mode(argv[1]);
        }
        if (!ok)
            ERR_print_errors_fp(stderr);
        return ok ? 0 : 1;
    }
    return cmocka_run_group_tests_name("provider/exit", tests, set_up, tear_down);
}
