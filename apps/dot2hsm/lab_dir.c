#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/lab.h"

/* All that a lab has at its top; --force removes these and nothing else. */
static const char *const directories[] = {"ca", "eca", "trust", "ra", "rse", "obe"};
static const char *const inner_directories[] = {"ra/download", "eca/requests", "eca/responses"};
static const char *const files[] = {"ra.conf", "rse.conf", "ee.conf", "obe.conf", "README"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char readme[] =
    "A test PKI, made by `dot2hsm lab init`. FOR TESTS AND DEMONSTRATIONS ONLY.\n"
    "\n"
    "The keys of its authorities are plain files in ca/, and nothing about its certificates says\n"
    "that somebody checked who got them. Trust nothing outside this directory because of it.\n"
    "\n"
    "ra.conf is for dot2hsm-ra, ee.conf (the road-side unit, rse.conf) and obe.conf (the second\n"
    "device) are for dot2hsm ee. The files in ra/download are random octets, not certificates,\n"
    "unless --file gave one.\n";

const char *lab_path(const struct lab *lab, const char *name, char path[LAB_PATH])
{
    /* The names are our own and short, lab->dir leaves room for them. */
    snprintf(path, LAB_PATH, "%.*s/%.*s", (int)sizeof(lab->dir), lab->dir, 62, name);
    return path;
}

int lab_write(const struct lab *lab, const char *name, const void *octets, size_t size,
              unsigned mode)
{
    char path[LAB_PATH];

    return app_file_write(lab_path(lab, name, path), octets, size, mode);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* Its README is written first, so that a lab that was not finished is one, too. */
static bool is_lab(const struct lab *lab)
{
    char path[LAB_PATH];
    uint8_t *octets = NULL;
    size_t size = 0;
    bool is = access(lab_path(lab, "README", path), R_OK) == 0 &&
              app_file_read(path, sizeof(readme), &octets, &size) == APP_OK &&
              size == sizeof(readme) - 1 && memcmp(octets, readme, size) == 0;

    OPENSSL_free(octets);
    return is;
}

static int remove_lab(const struct lab *lab)
{
    char path[LAB_PATH];

    if (!is_lab(lab)) {
        app_error("%s is not empty and not a lab; --force replaces a lab, nothing else", lab->dir);
        return APP_REFUSED;
    }
    for (size_t i = 0; i < COUNT(directories); i++) {
        if (nftw(lab_path(lab, directories[i], path), remove_entry, 16, FTW_DEPTH | FTW_PHYS) !=
                0 &&
            errno != ENOENT) {
            app_error("%s: %s", path, strerror(errno));
            return APP_REFUSED;
        }
    }
    for (size_t i = 0; i < COUNT(files); i++) {
        if (unlink(lab_path(lab, files[i], path)) != 0 && errno != ENOENT) {
            app_error("%s: %s", path, strerror(errno));
            return APP_REFUSED;
        }
    }
    return APP_OK;
}

static int look(const char *path, bool *empty)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;

    if (directory == NULL) {
        app_error("%s: %s", path, strerror(errno));
        return APP_REFUSED;
    }
    *empty = true;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            *empty = false;
    }
    closedir(directory);
    return APP_OK;
}

/* What a run that failed or was killed has left: nobody can have used it. */
static bool is_unfinished(const struct lab *lab)
{
    char path[LAB_PATH];

    return access(lab_path(lab, "ra.conf", path), F_OK) != 0 && errno == ENOENT && is_lab(lab);
}

static int make_directory(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        app_error("%s: %s", path, strerror(errno));
        return APP_REFUSED;
    }
    return APP_OK;
}

int lab_dir_make(struct lab *lab)
{
    char path[LAB_PATH], *absolute;
    size_t length;
    bool empty = true;
    int result = make_directory(lab->dir_option);

    if (result != APP_OK)
        return result;
    absolute = realpath(lab->dir_option, NULL);
    length = absolute != NULL ? strlen(absolute) : 0;
    /* Names in configurations are not quoted, and a path that has the longest name must fit. */
    if (absolute == NULL || length >= sizeof(lab->dir) ||
        strpbrk(absolute, "\"'\\$#;\n ") != NULL) {
        app_error("%s: %s", lab->dir_option,
                  absolute == NULL
                      ? strerror(errno)
                      : "the path is too long or has a blank, a quote or one of \\$#;");
        free(absolute);
        return APP_USAGE;
    }
    memcpy(lab->dir, absolute, length + 1);
    free(absolute);
    result = look(lab->dir, &empty);
    if (result != APP_OK)
        return result;
    if (!empty) {
        if (!lab->force && !is_unfinished(lab)) {
            app_error("%s is not empty; --force replaces a lab that is there", lab->dir);
            return APP_REFUSED;
        }
        result = remove_lab(lab);
    }
    if (result == APP_OK)
        result = lab_write(lab, "README", readme, sizeof(readme) - 1, 0644);
    for (size_t i = 0; result == APP_OK && i < COUNT(directories); i++)
        result = make_directory(lab_path(lab, directories[i], path));
    for (size_t i = 0; result == APP_OK && i < COUNT(inner_directories); i++)
        result = make_directory(lab_path(lab, inner_directories[i], path));
    return result;
}

/* ---- configurations ---- */

struct text {
    char data[8192];
    size_t used;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...)
{
    size_t room = sizeof(text->data) - text->used;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text->data + text->used, room, format, args);
    va_end(args);
    text->used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static void put_provider(struct text *text, const struct lab *lab, const struct lab_token *token)
{
    put(text, "[provider]\n");
    if (token == NULL || token->uri == NULL) {
        put(text, "# The key is a file: no token is needed.\n\n");
        return;
    }
    put(text, "pkcs11-module = %s\n", lab->module);
    put(text, "token = \"%s\"\n", token->uri);
    if (token->pin_source != NULL)
        put(text, "pin-source = \"%s\"\n", token->pin_source);
    put(text, "\n");
}

static int write_ra(const struct lab *lab)
{
    struct text text = {.used = 0};

    put(&text, "# dot2hsm-ra, of a lab: see README.\n");
    put_provider(&text, lab, &lab->ra_token);
    put(&text, "[ra-key lab]\n");
    put(&text, "certificate = %s/%s\n", lab->dir, lab_cert_file(LAB_RA));
    put(&text, "sign-key = \"%s\"\n", lab->keys[LAB_RA].uri);
    put(&text, "decrypt-key = \"%s\"\n\n", lab->ra_encryption.uri);
    put(&text, "[ra]\n");
    put(&text, "address = 127.0.0.1\n");
    put(&text, "port = %u\n", lab->port != 0 ? lab->port : 8892);
    put(&text, "tls-certificate = %s/ra/tls.pem\n", lab->dir);
    put(&text, "tls-key = \"%s\"\n", lab->ra_tls.uri);
    put(&text, "anchors = %s/trust/root.oer\n", lab->dir);
    put(&text, "certificates = %s/trust\n", lab->dir);
    put(&text, "store = sqlite:%s/ra/store.sqlite\n", lab->dir);
    put(&text, "download-dir = %s/ra/download\n", lab->dir);
    put(&text, "chain-file = %s/%s\n", lab->dir, LAB_CHAIN_FILE);
    put(&text, "policy-file = %s/%s\n", lab->dir, LAB_POLICY_FILE);
    put(&text, "crl-files = %s/%s\n", lab->dir, LAB_CRL_FILE);
    if (lab->crl_port != 0)
        put(&text, "crl-file = %s/%s\ncrl-port = %u\n", lab->dir, LAB_CRL_FILE, lab->crl_port);
    put(&text, "stage = QA\n");
    put(&text, "# `dot2hsm lab run` is faster than a CA that has to be waited for an hour.\n");
    put(&text, "certificate-delay = 2\n");
    put(&text, "url-base = https://%s:%u\n", lab->host, lab->port != 0 ? lab->port : 8892);
    return lab_write(lab, "ra.conf", text.data, text.used, 0644);
}

static int write_ee(const struct lab *lab, const char *name, const struct lab_token *token,
                    const char *certificate, const char *key_uri)
{
    struct text text = {.used = 0};
    size_t folder = strcspn(certificate, "/");

    put(&text, "# dot2hsm ee, of a lab: see README.\n");
    put_provider(&text, lab, token);
    put(&text, "[ee]\n");
    put(&text, "ra-url = https://%s:%u\n", lab->host, lab->port != 0 ? lab->port : 8892);
    if (lab->crl_port != 0)
        put(&text, "crl-url = https://%s:%u\n", lab->host, lab->crl_port);
    put(&text, "tls-root = %s/trust/x509-root.pem\n", lab->dir);
    put(&text, "enrollment-certificate = %s/%s\n", lab->dir, certificate);
    put(&text, "enrollment-key = \"%s\"\n", key_uri);
    put(&text, "enrollment = %s\n", token != NULL ? "explicit" : "implicit");
    put(&text, "anchors = %s/trust/root.oer\n", lab->dir);
    put(&text, "certificates = %s/trust\n", lab->dir);
    put(&text, "ra-certificate = %s/%s\n", lab->dir, lab_cert_file(LAB_RA));
    put(&text, "state-dir = %s/%.*s/state\n", lab->dir, (int)folder, certificate);
    if (token != NULL && token->uri != NULL)
        put(&text, "application-token = \"%s\"\n", token->uri);
    return lab_write(lab, name, text.data, text.used, 0644);
}

int lab_write_configurations(const struct lab *lab)
{
    const char *rse = lab_cert_file(LAB_RSE), *obe = lab_cert_file(LAB_OBE);
    const struct lab_token *token = &lab->rse_token;
    int result = write_ee(lab, "rse.conf", token, rse, lab->keys[LAB_RSE].uri);

    if (result == APP_OK)
        result = write_ee(lab, "ee.conf", token, rse, lab->keys[LAB_RSE].uri);
    if (result == APP_OK)
        result = write_ee(lab, "obe.conf", NULL, obe, lab->keys[LAB_OBE].uri);
    /* The last of all: a lab without it was not finished. */
    return result == APP_OK ? write_ra(lab) : result;
}
