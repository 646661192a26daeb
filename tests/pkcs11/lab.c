#include "tests/pkcs11/lab.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

extern char **environ;

char lab_dir[256];
char lab_error[512];

int lab_run(const char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ) == 0)
        while (waitpid(pid, &status, 0) < 0)
            continue;
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

const char *lab_file(const char *name, const char *text, unsigned mode)
{
    static char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", lab_dir, name);
    (void)unlink(path);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

void lab_token(const char *label)
{
    const char *const argv[] = {"softhsm2-util", "--init-token", "--free",   "--label",  label,
                                "--pin",         LAB_PIN,        "--so-pin", "12345678", NULL};

    assert_int_equal(lab_run(argv), 0);
}

bool lab_is_softokn(void)
{
    const char *kind = getenv("LAB_TOKEN_KIND");

    return kind != NULL && strcmp(kind, "softokn") == 0;
}

const enum p11_curve lab_curve[4] = {P11_CURVE_P256, P11_CURVE_P384, P11_CURVE_BRAINPOOL_P256R1,
                                     P11_CURVE_BRAINPOOL_P384R1};

size_t lab_curves(void)
{
    return lab_is_softokn() ? 2 : 4;
}

/* NSS has its data base's place, and the token's name, from its argument of C_Initialize. */
static const char *softokn_args(void)
{
    static _Thread_local char args[700]; /* contexts are made by threads, too */

    snprintf(args, sizeof(args),
             "configdir='sql:%s/tokens' certPrefix='' keyPrefix='' secmod='secmod.db' "
             "dbTokenDescription='" LAB_TOKEN "' flags=",
             lab_dir);
    return args;
}

static void softokn_token(void)
{
    char directory[300];
    const char *const argv[] = {
        "certutil", "-N", "-d", directory, "-f", lab_file("pin", LAB_PIN "\n", 0600), NULL};

    snprintf(directory, sizeof(directory), "sql:%s/tokens", lab_dir);
    assert_int_equal(lab_run(argv), 0);
}

void lab_open(void)
{
    const char *tmp = getenv("TMPDIR");
    char text[1024];

    snprintf(lab_dir, sizeof(lab_dir), "%s/dot2hsm-p11-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(lab_dir));
    snprintf(text, sizeof(text), "%s/tokens", lab_dir);
    assert_int_equal(mkdir(text, 0700), 0);
    snprintf(text, sizeof(text),
             "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
             lab_dir);
    assert_int_equal(setenv("SOFTHSM2_CONF", lab_file("softhsm2.conf", text, 0600), 1), 0);
    lab_file("pin", LAB_PIN "\n", 0600);
    if (lab_is_softokn())
        softokn_token();
    else
        lab_token(LAB_TOKEN);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

void lab_close(void)
{
    (void)nftw(lab_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int lab_teardown(void **state)
{
    (void)state;
    lab_close();
    return 0;
}

p11_ctx *lab_ctx(void (*change)(struct p11_config *config))
{
    char source[300];
    struct p11_config config = {.module_path = LAB_MODULE, .pin_source = source};
    p11_ctx *ctx = NULL;

    if (lab_is_softokn()) {
        config.module_path = LAB_SOFTOKN;
        config.module_init_args = softokn_args();
    }
    snprintf(source, sizeof(source), "file:%s/pin", lab_dir);
    if (change != NULL)
        change(&config);
    assert_int_equal(p11_ctx_new(&config, &ctx), P11_OK);
    return ctx;
}

p11_key *lab_key(p11_ctx *ctx, const char *label, enum p11_curve curve, unsigned usage)
{
    struct p11_generate how = {curve, usage};
    p11_key *key = NULL;
    char uri[200];

    snprintf(uri, sizeof(uri), "pkcs11:token=" LAB_TOKEN ";object=%s", label);
    if (p11_key_generate(ctx, uri, &how, NULL, NULL, &key) != P11_OK) {
        lab_last_error();
        fail_msg("%s", lab_error);
    }
    return key;
}

enum p11_status lab_open_key(p11_ctx *ctx, const char *label, p11_key **key)
{
    char uri[100];
    enum p11_status status;

    snprintf(uri, sizeof(uri), "pkcs11:token=lab;object=%s", label);
    status = p11_key_open_uri(ctx, uri, NULL, NULL, key);
    assert_int_equal(lab_last_error(), status);
    return status;
}

static EVP_PKEY *public_key(enum p11_curve curve, const uint8_t *point)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                         (char *)(uintptr_t)p11_curve_name(curve), 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point,
                                          1 + 2 * p11_curve_size(curve)),
        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;

    if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

bool lab_verify(enum p11_curve curve, const uint8_t *point, const uint8_t *digest,
                size_t digest_size, const uint8_t *signature)
{
    int half = (int)p11_curve_size(curve);
    ECDSA_SIG *pair = ECDSA_SIG_new();
    EVP_PKEY *key = public_key(curve, point);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    uint8_t *der = NULL;
    int size;
    bool ok;

    ECDSA_SIG_set0(pair, BN_bin2bn(signature, half, NULL), BN_bin2bn(signature + half, half, NULL));
    size = i2d_ECDSA_SIG(pair, &der);
    ok = ctx != NULL && size > 0 && EVP_PKEY_verify_init(ctx) == 1 &&
         EVP_PKEY_verify(ctx, der, (size_t)size, digest, digest_size) == 1;
    OPENSSL_free(der);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    ECDSA_SIG_free(pair);
    return ok;
}

enum p11_status lab_sign(p11_key *key)
{
    static _Atomic unsigned counter;
    uint8_t digest[32] = {0};
    uint8_t signature[96];
    size_t size = sizeof(signature);
    size_t point_size;
    enum p11_status status;

    digest[0] = (uint8_t)++counter;
    status = p11_key_sign(key, digest, sizeof(digest), signature, &size);
    if (status != P11_OK)
        return status;
    return size == 2 * p11_curve_size(p11_key_curve(key)) &&
                   lab_verify(p11_key_curve(key), p11_key_point(key, &point_size), digest,
                              sizeof(digest), signature)
               ? P11_OK
               : P11_E_TOKEN;
}

CK_FUNCTION_LIST *lab_cryptoki(void)
{
    static CK_FUNCTION_LIST *functions;
    CK_C_GetFunctionList get;
    void *handle;

    if (functions == NULL) {
        /* As the library: never closed. */
        handle = dlopen(lab_is_softokn() ? LAB_SOFTOKN : LAB_MODULE, RTLD_NOW | RTLD_LOCAL);
        assert_non_null(handle);
        *(void **)&get = dlsym(handle, "C_GetFunctionList");
        assert_non_null(get);
        assert_int_equal(get(&functions), CKR_OK);
    }
    return functions;
}

CK_SLOT_ID lab_slot(const char *label)
{
    CK_SLOT_ID slots[32];
    CK_ULONG count = 32;

    assert_int_equal(lab_cryptoki()->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;

        assert_int_equal(lab_cryptoki()->C_GetTokenInfo(slots[i], &info), CKR_OK);
        if (memcmp(info.label, label, strlen(label)) == 0 && info.label[strlen(label)] == ' ')
            return slots[i];
    }
    fail_msg("no token %s", label);
    return 0;
}

enum p11_status lab_last_error(void)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long error = ERR_peek_last_error_all(NULL, NULL, NULL, &data, &flags);

    snprintf(lab_error, sizeof(lab_error), "%s",
             (flags & ERR_TXT_STRING) != 0 && data != NULL ? data : "");
    ERR_clear_error();
    if (ERR_GET_LIB(error) != p11_error_library())
        return P11_OK;
    return (enum p11_status)ERR_GET_REASON(error);
}

void lab_signs(p11_key *key)
{
    enum p11_status status = lab_sign(key);

    if (status != P11_OK) {
        lab_last_error();
        fail_msg("%s: %s", p11_status_name(status), lab_error);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

double lab_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
