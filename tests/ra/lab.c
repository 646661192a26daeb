#include "tests/ra/lab.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "asn1/types.h"
#include "protocol/dot2/asn1_key.h"

static void *alloc(struct lab *lab, size_t size)
{
    void *p = coer_arena_alloc(lab->arena, size);

    assert_non_null(p);
    return p;
}

EVP_PKEY *lab_key(const struct lab *lab)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(lab->libctx, "provider=default", "EC", "P-256");

    assert_non_null(key);
    return key;
}

static SequenceOfPsidGroupPermissions_t *permissions(struct lab *lab, unsigned long psid, long min,
                                                     long range, uint8_t ee_type)
{
    SequenceOfPsidGroupPermissions_t *list = alloc(lab, sizeof *list);
    PsidGroupPermissions_t *group = alloc(lab, sizeof *group);

    if (psid == 0) {
        group->subjectPermissions.present = SubjectPermissions_PR_all;
    } else {
        PsidSspRange_t *range_ = alloc(lab, sizeof *range_);

        range_->psid = (long)psid;
        group->subjectPermissions.present = SubjectPermissions_PR_explicit;
        assert_true(coer_list_add(lab->arena, &group->subjectPermissions.choice.Explicit, range_));
    }
    group->minChainLength = coer_long(lab->arena, min);
    group->chainLengthRange = range;
    group->eeType = alloc(lab, sizeof *group->eeType);
    assert_true(coer_bits8(lab->arena, group->eeType, ee_type));
    assert_true(coer_list_add(lab->arena, list, group));
    return list;
}

static SequenceOfPsidSsp_t *application(struct lab *lab)
{
    SequenceOfPsidSsp_t *list = alloc(lab, sizeof *list);
    PsidSsp_t *psid = alloc(lab, sizeof *psid);

    psid->psid = 0x23;
    assert_true(coer_list_add(lab->arena, list, psid));
    return list;
}

static ToBeSignedCertificate_t *body_new(struct lab *lab, int64_t start, uint16_t minutes)
{
    ToBeSignedCertificate_t *body = alloc(lab, sizeof *body);

    body->id.present = CertificateId_PR_name;
    assert_true(coer_octets(lab->arena, &body->id.choice.name, "", 0));
    assert_true(coer_octets(lab->arena, &body->cracaId, "\0\0\0", 3));
    body->validityPeriod.start = (unsigned long)((int64_t)lab->now + start);
    body->validityPeriod.duration.present = Duration_PR_minutes;
    body->validityPeriod.duration.choice.minutes = minutes;
    return body;
}

static struct lab_cert issue(struct lab *lab, ToBeSignedCertificate_t *body,
                             const struct lab_cert *issuer, bool implicit)
{
    struct lab_cert made = {.key = lab_key(lab)};
    struct dot2_error error = {0};
    uint8_t s[32];
    enum dot2_status status = dot2_cert_issue(
        lab->crypto, lab->arena, body, made.key, issuer == NULL ? NULL : issuer->cert,
        issuer == NULL ? made.key : issuer->key, implicit, &made.cert, s, &error);

    if (status != DOT2_OK)
        fail_msg("%s %s: %s", dot2_status_name(status), error.field, error.detail);
    if (implicit) {
        EVP_PKEY *whole = NULL;

        assert_int_equal(dot2_ecqv_private_key(lab->crypto, made.cert, issuer->cert, made.key, s,
                                               &whole, &error),
                         DOT2_OK);
        EVP_PKEY_free(made.key);
        made.key = whole;
    }
    return made;
}

struct lab_cert lab_authority(struct lab *lab, const struct lab_cert *issuer)
{
    ToBeSignedCertificate_t *body = body_new(lab, -86400, issuer == NULL ? 10000 : 9000);

    body->appPermissions = application(lab);
    body->certIssuePermissions =
        issuer == NULL ? permissions(lab, 0, 1, 2, 0xc0) : permissions(lab, 0x80, 1, 0, 0xc0);
    return issue(lab, body, issuer, false);
}

struct lab_cert lab_issue(struct lab *lab, const struct lab_cert *issuer,
                          const struct lab_variant *variant)
{
    static const struct lab_variant good = {.start = -60};
    ToBeSignedCertificate_t *body;

    if (variant == NULL)
        variant = &good;
    body = body_new(lab, variant->start, variant->minutes == 0 ? 60 : variant->minutes);
    if (!variant->no_request)
        body->certRequestPermissions =
            permissions(lab, variant->psid == 0 ? 0x80 : variant->psid, 0, 0,
                        variant->ee_type == 0 ? 0x80 : variant->ee_type);
    if (variant->application)
        body->appPermissions = application(lab);
    return issue(lab, body, issuer, variant->implicit);
}

struct lab_cert lab_ra(struct lab *lab, int64_t start, uint16_t minutes, EVP_PKEY **decrypt)
{
    ToBeSignedCertificate_t *body = body_new(lab, start, minutes);

    assert_true(coer_octets(lab->arena, &body->id.choice.name, "localhost", 9));
    body->appPermissions = application(lab);
    if (*decrypt == NULL)
        *decrypt = lab_key(lab);
    body->encryptionKey = alloc(lab, sizeof *body->encryptionKey);
    assert_int_equal(
        dot2_asn1_set_encryption_key(lab->arena, body->encryptionKey, *decrypt, "", NULL), DOT2_OK);
    return issue(lab, body, &lab->root, false);
}

void lab_cert_clear(struct lab_cert *cert)
{
    dot2_cert_free(cert->cert);
    EVP_PKEY_free(cert->key);
    memset(cert, 0, sizeof *cert);
}

static dot2_cert *again(struct lab *lab, const uint8_t *octets, size_t size)
{
    dot2_cert *cert = NULL;

    assert_int_equal(dot2_cert_new(lab->crypto, octets, size, &cert, NULL), DOT2_OK);
    return cert;
}

dot2_cert *lab_mirror(struct lab *lab, const dot2_cert *cert)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    uint8_t octets[2048];
    size_t size;
    const uint8_t *from = dot2_cert_octets(cert, &size);
    BIGNUM *s = NULL;
    dot2_cert *mirrored;

    assert_true(size <= sizeof octets);
    memcpy(octets, from, size);
    /* s is the last 32 octets of an explicit certificate. */
    s = BN_bin2bn(octets + size - 32, 32, NULL);
    assert_true(BN_sub(s, EC_GROUP_get0_order(group), s));
    assert_int_equal(BN_bn2binpad(s, octets + size - 32, 32), 32);
    mirrored = again(lab, octets, size);
    BN_free(s);
    EC_GROUP_free(group);
    return mirrored;
}

dot2_cert *lab_flip(struct lab *lab, const dot2_cert *cert, size_t from_end)
{
    uint8_t octets[2048];
    size_t size;
    const uint8_t *from = dot2_cert_octets(cert, &size);

    assert_true(size <= sizeof octets);
    memcpy(octets, from, size);
    octets[size - from_end] ^= 1;
    return again(lab, octets, size);
}

struct ra_authorise lab_authorise(const struct lab *lab)
{
    return (struct ra_authorise){.crypto = lab->crypto,
                                 .trust = lab->trust,
                                 .store = lab->store,
                                 .now = lab->now,
                                 .tolerance = 5,
                                 .max_header = 8192};
}

uint8_t *lab_request_octets(struct lab *lab, const dot2_cert *cert, EVP_PKEY *key, uint32_t time,
                            const char *filename, size_t *size)
{
    struct dot2_error error = {0};
    uint8_t *tbs = NULL, *octets = NULL;
    size_t tbs_size;
    enum dot2_status status;

    assert_int_equal(scms_download_request_build(time, filename, &tbs, &tbs_size, &error), DOT2_OK);
    status =
        scms_signed_request_build(lab->crypto, key, cert, tbs, tbs_size, &octets, size, &error);
    if (status != DOT2_OK)
        fail_msg("%s %s: %s", dot2_status_name(status), error.field, error.detail);
    OPENSSL_free(tbs);
    return octets;
}

char *lab_base64(const uint8_t *octets, size_t size)
{
    char *text = NULL;

    assert_int_equal(scms_base64_encode(octets, size, &text), DOT2_OK);
    return text;
}

char *lab_request(struct lab *lab, const struct lab_cert *device, uint32_t time,
                  const char *filename)
{
    size_t size;
    uint8_t *octets = lab_request_octets(lab, device->cert, device->key, time, filename, &size);
    char *text = lab_base64(octets, size);

    OPENSSL_free(octets);
    return text;
}

uint8_t lab_octet(size_t offset)
{
    return (uint8_t)((offset * 2654435761U) >> 13);
}

void lab_assign(struct lab *lab, const char *name, const dot2_cert *owner)
{
    size_t size;
    const uint8_t *hash = dot2_cert_hash(owner, &size);

    assert_int_equal(ra_file_assign(lab->store, name, hash, size), RA_STORE_OK);
}

void lab_file(struct lab *lab, const char *name, const struct lab_cert *owner, size_t size)
{
    char path[256];
    FILE *file;

    if (owner != NULL)
        lab_assign(lab, name, owner->cert);
    snprintf(path, sizeof path, "%s/%s", lab->downloads, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        putc_unlocked(lab_octet(i), file);
    assert_int_equal(fclose(file), 0);
}

void lab_blacklist(struct lab *lab, const dot2_cert *cert, enum ra_blacklist_kind kind)
{
    struct ra_blacklist_entry entry = {.kind = kind, .added = 1};
    size_t size;
    const uint8_t *hash = dot2_cert_hash(cert, &size);

    memcpy(entry.id, hash + size - (size_t)kind, (size_t)kind);
    assert_int_equal(ra_blacklist_add(lab->store, &entry), RA_STORE_OK);
}

static void make_x509(struct lab *lab)
{
    FILE *file;
    X509_NAME *name;

    lab->tls_key = lab_key(lab);
    lab->x509 = X509_new_ex(lab->libctx, NULL);
    assert_non_null(lab->x509);
    X509_set_version(lab->x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(lab->x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(lab->x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(lab->x509), 3600);
    name = X509_get_subject_name(lab->x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(lab->x509, name);
    X509_set_pubkey(lab->x509, lab->tls_key);
    assert_true(X509_sign(lab->x509, lab->tls_key, EVP_sha256()) > 0);
    file = fopen(lab->tls_path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, lab->x509), 1);
    assert_int_equal(fclose(file), 0);
}

struct lab *lab_new(void)
{
    struct lab *lab = calloc(1, sizeof *lab);
    const char *modules = getenv("DOT2HSM_MODULES");
    char text[300] = "";
    struct dot2_error error = {0};

    assert_non_null(lab);
    assert_non_null(modules);
    signal(SIGPIPE, SIG_IGN); /* for the client: the loops of a server block it */
    snprintf(lab->dir, sizeof lab->dir, "/tmp/ra_lab.XXXXXX");
    assert_non_null(mkdtemp(lab->dir));
    snprintf(lab->downloads, sizeof lab->downloads, "%s/download", lab->dir);
    snprintf(lab->store_path, sizeof lab->store_path, "%s/store.sqlite", lab->dir);
    snprintf(lab->tls_path, sizeof lab->tls_path, "%s/tls.pem", lab->dir);
    assert_int_equal(mkdir(lab->downloads, 0700), 0);
    lab->libctx = OSSL_LIB_CTX_new();
    assert_true(OSSL_PROVIDER_set_default_search_path(lab->libctx, modules));
    lab->base = OSSL_PROVIDER_load(lab->libctx, "default");
    lab->dot2hsm = OSSL_PROVIDER_load(lab->libctx, "dot2hsm");
    assert_non_null(lab->base);
    assert_non_null(lab->dot2hsm);
    if (dot2_crypto_new(lab->libctx, &lab->crypto, &error) != DOT2_OK)
        fail_msg("%s", error.detail);
    lab->arena = coer_arena_new();
    assert_int_equal(dot2_time32_now(&lab->now), DOT2_OK);
    lab->root = lab_authority(lab, NULL);
    lab->eca = lab_authority(lab, &lab->root);
    lab->device = lab_issue(lab, &lab->eca, NULL);
    lab->implicit =
        lab_issue(lab, &lab->eca, &(struct lab_variant){.start = -60, .implicit = true});
    lab->other = lab_issue(lab, &lab->eca, NULL);
    assert_int_equal(dot2_trust_new(lab->crypto, NULL, &lab->trust), DOT2_OK);
    assert_int_equal(dot2_trust_add_anchor(lab->trust, lab->root.cert), DOT2_OK);
    assert_int_equal(dot2_trust_add(lab->trust, lab->eca.cert), DOT2_OK);
    if (ra_store_open(lab->store_path, true, &lab->store, text, sizeof text) != RA_STORE_OK)
        fail_msg("%s", text);
    make_x509(lab);
    return lab;
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char child[600];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            remove_tree(child);
        else
            unlink(child);
    }
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
}

void lab_free(struct lab *lab)
{
    ra_store_close(lab->store);
    dot2_trust_free(lab->trust);
    lab_cert_clear(&lab->root);
    lab_cert_clear(&lab->eca);
    lab_cert_clear(&lab->device);
    lab_cert_clear(&lab->implicit);
    lab_cert_clear(&lab->other);
    X509_free(lab->x509);
    EVP_PKEY_free(lab->tls_key);
    coer_arena_free(lab->arena);
    dot2_crypto_free(lab->crypto);
    OSSL_PROVIDER_unload(lab->dot2hsm);
    OSSL_PROVIDER_unload(lab->base);
    OSSL_LIB_CTX_free(lab->libctx);
    remove_tree(lab->dir);
    free(lab);
}
