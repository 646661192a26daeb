#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/provider/token_lab.h"

char lab_directory[256];

const char *lab_file(const char *name, const char *text)
{
    static char path[512];
    FILE *file = NULL;

    snprintf(path, sizeof(path), "%s/%s", lab_directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
    return path;
}

static int run(char *const argv[])
{
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) != NULL)
            execvp(argv[0], argv);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int is_softokn(void)
{
    const char *kind = getenv("LAB_TOKEN_KIND");

    return kind != NULL && strcmp(kind, "softokn") == 0;
}

size_t lab_curves(void)
{
    return is_softokn() ? 2 : 4;
}

/* A token of NSS, which has its data base's place from its argument of C_Initialize. */
static void softokn_token(void)
{
    char directory[300];
    char pin[512];
    char *const init[] = {"certutil", "-N", "-d", directory, "-f", pin, NULL};

    snprintf(directory, sizeof(directory), "sql:%s/tokens", lab_directory);
    snprintf(pin, sizeof(pin), "%s", lab_file("pin", LAB_PIN));
    assert_int_equal(run(init), 0);
}

void lab_configure(const char *more)
{
    char text[2048];

    snprintf(text, sizeof(text), "pkcs11-module = %s\n%s\n", LAB_MODULE, more);
    if (is_softokn())
        snprintf(text, sizeof(text),
                 "pkcs11-module = libsoftokn3.so\n"
                 "module-init-args = \"configdir='sql:%s/tokens' certPrefix='' keyPrefix='' "
                 "secmod='secmod.db' dbTokenDescription='" LAB_TOKEN "' flags=\"\n%s\n",
                 lab_directory, more);
    assert_int_equal(setenv("DOT2HSM_CONF", lab_file("dot2hsm.conf", text), 1), 0);
}

void lab_open(void)
{
    const char *parent = getenv("TMPDIR");
    char text[512];
    char *const init[] = {"softhsm2-util", "--init-token", "--free",   "--label",  LAB_TOKEN,
                          "--pin",         LAB_PIN,        "--so-pin", "11223344", NULL};

    snprintf(lab_directory, 256, "%s/dot2hsm-provider-XXXXXX",
             parent != NULL && *parent != '\0' ? parent : "/tmp");
    assert_non_null(mkdtemp(lab_directory));
    snprintf(text, sizeof(text), "%s/tokens", lab_directory);
    assert_int_equal(mkdir(text, 0700), 0);
    snprintf(text, sizeof(text),
             "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
             lab_directory);
    assert_int_equal(setenv("SOFTHSM2_CONF", lab_file("softhsm2.conf", text), 1), 0);
    if (is_softokn())
        softokn_token();
    else
        assert_int_equal(run(init), 0);
    snprintf(text, sizeof(text), "pin-source = file:%s", lab_file("pin", LAB_PIN));
    lab_configure(text);
}

void lab_close(void)
{
    char *const clean[] = {"rm", "-r", lab_directory, NULL};

    assert_int_equal(run(clean), 0);
}

int lab_setup(void **state)
{
    static struct world world;

    lab_open();
    world_open(&world, "default", "dot2hsm");
    *state = &world;
    return 0;
}

int lab_teardown(void **state)
{
    world_close(*state);
    lab_close();
    return 0;
}

const char *lab_uri(const char *label)
{
    static char uri[256];

    snprintf(uri, sizeof(uri), "pkcs11:token=" LAB_TOKEN ";object=%s", label);
    return uri;
}

EVP_PKEY *lab_load(OSSL_LIB_CTX *libctx, const char *uri, int expect)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = NULL;
    EVP_PKEY *key = NULL;

    if (store == NULL)
        return NULL;
    if (OSSL_STORE_expect(store, expect) && (info = OSSL_STORE_load(store)) != NULL) {
        assert_int_equal(OSSL_STORE_INFO_get_type(info), expect);
        key = expect == OSSL_STORE_INFO_PKEY ? OSSL_STORE_INFO_get1_PKEY(info)
                                             : OSSL_STORE_INFO_get1_PUBKEY(info);
    }
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return key;
}

EVP_PKEY *lab_generate(OSSL_LIB_CTX *libctx, const char *curve, const char *uri, const char *usage)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(libctx, "EC", "provider=dot2hsm");
    EVP_PKEY *key = NULL;
    OSSL_PARAM params[4];
    size_t n = 0;

    assert_non_null(ctx);
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    params[n++] = OSSL_PARAM_construct_utf8_string("group", (char *)curve, 0);
    params[n++] = OSSL_PARAM_construct_utf8_string("pkcs11_uri", (char *)uri, 0);
    if (usage != NULL)
        params[n++] = OSSL_PARAM_construct_utf8_string("pkcs11_usage", (char *)usage, 0);
    params[n] = OSSL_PARAM_construct_end();
    if (EVP_PKEY_CTX_set_params(ctx, params) > 0)
        (void)EVP_PKEY_generate(ctx, &key);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

void lab_keys(OSSL_LIB_CTX *libctx, EVP_PKEY *keys[CURVE_COUNT])
{
    for (size_t i = 0; i < lab_curves(); i++) {
        keys[i] = lab_generate(libctx, curve_names[i], lab_uri(curve_names[i]), NULL);
        if (keys[i] == NULL)
            ERR_print_errors_fp(stderr);
        assert_non_null(keys[i]);
    }
}

const uint8_t lab_data[32] = "an AuthenticatedDownloadRequest",
              lab_signer[27] = "its enrollment certificate";

size_t lab_sign(OSSL_LIB_CTX *libctx, const char *properties, EVP_PKEY *key, bool with_signer,
                uint8_t signature[128])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey_ctx = NULL;
    OSSL_PARAM params[] = {OSSL_PARAM_END, OSSL_PARAM_END};
    size_t size = 128;

    if (with_signer)
        params[0] = OSSL_PARAM_construct_octet_string("dot2-signer", (void *)lab_signer,
                                                      sizeof(lab_signer));
    if (EVP_DigestSignInit_ex(ctx, &pkey_ctx, NULL, libctx, properties, key, params) != 1 ||
        strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_CTX_get0_provider(pkey_ctx)), "dot2hsm") != 0 ||
        EVP_DigestSign(ctx, signature, &size, lab_data, sizeof(lab_data)) != 1)
        size = 0;
    EVP_MD_CTX_free(ctx);
    return size;
}
