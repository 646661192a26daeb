#include "tests/ee/tls_lab.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char directory[64];

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

const char *lab_begin(void)
{
    snprintf(directory, sizeof(directory), "%s/dot2hsm-ee.XXXXXX", "/tmp");
    MUST(mkdtemp(directory) != NULL);
    return directory;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

void lab_end(void)
{
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *lab_path(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

void lab_write(const char *path, const void *octets, size_t size)
{
    FILE *file = fopen(path, "wb");

    MUST(file != NULL && fwrite(octets, 1, size, file) == size && fclose(file) == 0);
}

uint8_t *lab_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct stat about;
    uint8_t *octets;

    *size = 0;
    if (file == NULL)
        return NULL;
    MUST(fstat(fileno(file), &about) == 0);
    octets = malloc((size_t)about.st_size + 1);
    MUST(octets != NULL);
    *size = fread(octets, 1, (size_t)about.st_size, file);
    fclose(file);
    return octets;
}

bool lab_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

uint8_t *lab_octets(size_t size, uint32_t seed)
{
    uint8_t *octets = malloc(size + 1);
    uint32_t x = seed * 2654435761u + 1;

    MUST(octets != NULL);
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        octets[i] = (uint8_t)(x >> 24);
    }
    return octets;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    MUST(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static struct lab_pair make(const struct lab_pair *issuer, const char *name, const char *san,
                            long from, long to)
{
    static long serial = 1;
    struct lab_pair pair = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *subject;

    MUST(pair.certificate != NULL && pair.key != NULL);
    if (issuer == NULL)
        issuer = &pair;
    X509_set_version(pair.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(pair.certificate), serial++);
    subject = X509_get_subject_name(pair.certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1,
                               0);
    X509_set_issuer_name(pair.certificate, X509_get_subject_name(issuer->certificate));
    X509_gmtime_adj(X509_getm_notBefore(pair.certificate), from);
    X509_gmtime_adj(X509_getm_notAfter(pair.certificate), to);
    X509_set_pubkey(pair.certificate, pair.key);
    if (san == NULL) {
        add_extension(pair.certificate, issuer->certificate, NID_basic_constraints,
                      "critical,CA:TRUE");
        add_extension(pair.certificate, issuer->certificate, NID_key_usage,
                      "critical,keyCertSign,cRLSign");
    } else {
        add_extension(pair.certificate, issuer->certificate, NID_subject_alt_name, san);
        add_extension(pair.certificate, issuer->certificate, NID_ext_key_usage, "serverAuth");
    }
    MUST(X509_sign(pair.certificate, issuer->key, EVP_sha256()) > 0);
    return pair;
}

struct lab_pair lab_root(const char *name)
{
    return make(NULL, name, NULL, -3600, 86400);
}

struct lab_pair lab_leaf(const struct lab_pair *issuer, const char *host, long from, long to)
{
    struct in_addr address;
    char san[300];

    snprintf(san, sizeof(san), "%s:%s", inet_pton(AF_INET, host, &address) == 1 ? "IP" : "DNS",
             host);
    return make(issuer, host, san, from, to);
}

void lab_pair_clear(struct lab_pair *pair)
{
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
    pair->certificate = NULL;
    pair->key = NULL;
}

void lab_write_pem(const char *path, X509 *certificate)
{
    FILE *file = fopen(path, "w");

    MUST(file != NULL && PEM_write_X509(file, certificate) == 1 && fclose(file) == 0);
}
