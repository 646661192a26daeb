/*
 * forge.c: makes what an attacker or a broken device would send to an RA, with software keys.
 *
 *   forge issue TEMPLATE ECA.cert ECA.pem KIND OUT.cert OUT.pem
 *       an enrollment certificate like TEMPLATE for a new key, KIND being one of
 *       good, expired, future, permission, application, signature, unknown
 *   forge mirror CERT OUT.cert
 *       the same explicit certificate with s replaced by n - s
 *   forge request CERT KEY.pem NAME [time=SECONDS] [signer=self|digest|two] [flip=s|tbs|cert]
 *       [name=HEX]
 *       the value of Download-Req for the file NAME, to stdout; flip is one bit
 *
 * The provider is taken from the directory DOT2HSM_MODULES.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>

#include "protocol/scms/scms.h"

#include <EcdsaP256Signature.h>
#include <PsidGroupPermissions.h>
#include <PsidSsp.h>
#include <PsidSspRange.h>
#include <SequenceOfPsidGroupPermissions.h>
#include <SequenceOfPsidSsp.h>
#include <SequenceOfPsidSspRange.h>

static dot2_crypto *crypto;
static OSSL_LIB_CTX *libctx;
static coer_arena *arena;

static void fail(const char *what, const struct dot2_error *error)
{
    fprintf(stderr, "forge: %s: %s %s\n", what, error != NULL ? error->field : "",
            error != NULL ? error->detail : "");
    ERR_print_errors_fp(stderr);
    exit(2);
}

static void *must(void *p, const char *what)
{
    if (p == NULL)
        fail(what, NULL);
    return p;
}

static uint8_t *slurp(const char *path, size_t *size)
{
    FILE *file = must(fopen(path, "rb"), path);
    uint8_t *octets = must(OPENSSL_malloc(65536), "memory");
    *size = fread(octets, 1, 65536, file);
    fclose(file);
    return octets;
}

static void spill(const char *path, const uint8_t *octets, size_t size)
{
    FILE *file = must(fopen(path, "wb"), path);
    if (fwrite(octets, 1, size, file) != size || fclose(file) != 0)
        fail(path, NULL);
}

static dot2_cert *load_cert(const char *path)
{
    struct dot2_error error = {0};
    dot2_cert *cert = NULL;
    size_t size = 0;
    uint8_t *octets = slurp(path, &size);
    if (dot2_cert_new(crypto, octets, size, &cert, &error) != DOT2_OK)
        fail(path, &error);
    OPENSSL_free(octets);
    return cert;
}

static EVP_PKEY *load_key(const char *path)
{
    FILE *file = must(fopen(path, "rb"), path);
    EVP_PKEY *key = PEM_read_PrivateKey_ex(file, NULL, NULL, NULL, libctx, "provider=default");
    fclose(file);
    return must(key, path);
}

static EVP_PKEY *new_key(void)
{
    return must(EVP_PKEY_Q_keygen(libctx, "provider=default", "EC", "P-256"), "new key");
}

/* One PSID that no lab ECA may give out. */
static SequenceOfPsidGroupPermissions_t *foreign_permission(void)
{
    SequenceOfPsidGroupPermissions_t *list = coer_arena_alloc(arena, sizeof *list);
    PsidGroupPermissions_t *group = coer_arena_alloc(arena, sizeof *group);
    SequenceOfPsidSspRange_t *ranges = &group->subjectPermissions.choice.Explicit;
    PsidSspRange_t *range = coer_arena_alloc(arena, sizeof *range);
    group->subjectPermissions.present = SubjectPermissions_PR_explicit;
    group->minChainLength = coer_long(arena, 0);
    range->psid = 0xabcdef;
    coer_list_add(arena, ranges, range);
    coer_list_add(arena, list, group);
    return list;
}

static SequenceOfPsidSsp_t *application_permission(void)
{
    SequenceOfPsidSsp_t *list = coer_arena_alloc(arena, sizeof *list);
    PsidSsp_t *psid = coer_arena_alloc(arena, sizeof *psid);
    psid->psid = 0x20;
    coer_list_add(arena, list, psid);
    return list;
}

static ToBeSignedCertificate_t *body_of(const dot2_cert *cert)
{
    void *value = NULL;
    size_t size = 0;
    const uint8_t *octets = dot2_cert_octets(cert, &size);
    if (coer_decode(arena, &asn_DEF_CertificateBase, octets, size, &value, NULL) != COER_OK)
        fail("template", NULL);
    return &((CertificateBase_t *)value)->toBeSigned;
}

static void validity(ToBeSignedCertificate_t *body, int64_t from_now, uint16_t minutes)
{
    uint32_t now = 0;
    if (dot2_time32_now(&now) != DOT2_OK)
        fail("time", NULL);
    body->validityPeriod.start = (unsigned long)((int64_t)now + from_now);
    body->validityPeriod.duration.present = Duration_PR_minutes;
    body->validityPeriod.duration.choice.minutes = minutes;
}

static int issue(char **argv)
{
    struct dot2_error error = {0};
    dot2_cert *template_ = load_cert(argv[2]), *eca = load_cert(argv[3]), *cert = NULL;
    EVP_PKEY *eca_key = load_key(argv[4]), *key = new_key();
    const char *kind = argv[5];
    ToBeSignedCertificate_t *body = body_of(template_);
    if (strcmp(kind, "expired") == 0) {
        validity(body, -1800, 10);
    } else if (strcmp(kind, "future") == 0) {
        validity(body, 3600, 60);
    } else if (strcmp(kind, "permission") == 0) {
        body->certRequestPermissions = foreign_permission();
    } else if (strcmp(kind, "application") == 0) {
        body->appPermissions = application_permission();
    } else if (strcmp(kind, "unknown") == 0) {
        EVP_PKEY *other = new_key();
        dot2_cert *false_eca = NULL;
        if (dot2_cert_issue(crypto, arena, body_of(eca), other, NULL, other, false, &false_eca,
                            NULL, &error) != DOT2_OK)
            fail("a false ECA", &error);
        dot2_cert_free(eca);
        EVP_PKEY_free(eca_key);
        eca = false_eca;
        eca_key = other;
    } else if (strcmp(kind, "good") != 0 && strcmp(kind, "signature") != 0) {
        fail("no such kind", NULL);
    }
    if (dot2_cert_issue(crypto, arena, body, key, eca, eca_key, false, &cert, NULL, &error) !=
        DOT2_OK)
        fail("issue", &error);
    size_t size = 0;
    uint8_t octets[2048];
    const uint8_t *issued = dot2_cert_octets(cert, &size);
    memcpy(octets, issued, size);
    if (strcmp(kind, "signature") == 0)
        octets[size - 1] ^= 1;
    spill(argv[6], octets, size);
    FILE *file = must(fopen(argv[7], "wb"), argv[7]);
    if (PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(file) != 0)
        fail(argv[7], NULL);
    dot2_cert_free(template_);
    dot2_cert_free(eca);
    dot2_cert_free(cert);
    EVP_PKEY_free(eca_key);
    EVP_PKEY_free(key);
    return 0;
}

/* s is the last 32 octets of an explicit certificate. */
static int mirror(char **argv)
{
    size_t size = 0;
    uint8_t *octets = slurp(argv[2], &size);
    EC_GROUP *group = must(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1), "group");
    BIGNUM *s = must(BN_bin2bn(octets + size - 32, 32, NULL), "s");
    if (BN_sub(s, EC_GROUP_get0_order(group), s) != 1 ||
        BN_bn2binpad(s, octets + size - 32, 32) < 0)
        fail("n - s", NULL);
    spill(argv[3], octets, size);
    BN_free(s);
    EC_GROUP_free(group);
    OPENSSL_free(octets);
    return 0;
}

static size_t put_length(uint8_t *out, size_t n)
{
    if (n < 128) {
        out[0] = (uint8_t)n;
        return 1;
    }
    if (n < 256) {
        out[0] = 0x81;
        out[1] = (uint8_t)n;
        return 2;
    }
    out[0] = 0x82;
    out[1] = (uint8_t)(n >> 8);
    out[2] = (uint8_t)n;
    return 3;
}

struct request {
    const char *signer; /* "certificate", "self", "digest", "two" */
    const char *flip;   /* "", "s", "tbs", "cert" */
    uint8_t tbs[512];
    size_t tbs_size;
};

static size_t put_signer(uint8_t *out, const struct request *request, const dot2_cert *cert)
{
    size_t size = 0, n = 0;
    const uint8_t *octets = dot2_cert_octets(cert, &size);
    if (strcmp(request->signer, "self") == 0) {
        out[n++] = 0x82;
    } else if (strcmp(request->signer, "digest") == 0) {
        out[n++] = 0x80;
        memcpy(out + n, dot2_cert_hashedid8(cert), 8);
        n += 8;
    } else {
        uint8_t count = strcmp(request->signer, "two") == 0 ? 2 : 1;
        out[n++] = 0x81;
        out[n++] = 1;
        out[n++] = count;
        for (uint8_t i = 0; i < count; i++) {
            memcpy(out + n, octets, size);
            if (i == 0 && strcmp(request->flip, "cert") == 0)
                out[n + size - 1] ^= 1;
            n += size;
        }
    }
    return n;
}

static void print_request(const struct request *request, const dot2_cert *cert, EVP_PKEY *key)
{
    struct dot2_error error = {0};
    uint8_t inner[4096], outer[4200], signature[DOT2_SIGNATURE_MAX];
    size_t n = 0, size = 0, signature_size = 0;
    const uint8_t *canonical = dot2_cert_canonical(cert, &size);
    if (strcmp(request->signer, "self") == 0)
        size = 0;
    if (dot2_sign(crypto, key, request->tbs, request->tbs_size, canonical, size, signature,
                  &signature_size, &error) != DOT2_OK)
        fail("sign", &error);
    inner[n++] = 0x00; /* sha256 */
    memcpy(inner + n, request->tbs, request->tbs_size);
    if (strcmp(request->flip, "tbs") == 0)
        inner[n + request->tbs_size - 1] ^= 1;
    n += request->tbs_size;
    n += put_signer(inner + n, request, cert);
    if (strcmp(request->flip, "s") == 0)
        signature[signature_size - 1] ^= 1;
    memcpy(inner + n, signature, signature_size);
    n += signature_size;
    outer[0] = 0x03;
    outer[1] = 0x83;
    size_t m = 2 + put_length(outer + 2, n);
    memcpy(outer + m, inner, n);
    char *text = NULL;
    if (scms_base64_encode(outer, m + n, &text) != DOT2_OK)
        fail("Base64", NULL);
    puts(text);
    OPENSSL_free(text);
}

static int request(int argc, char **argv)
{
    struct dot2_error error = {0};
    struct request r = {.signer = "certificate", .flip = ""};
    dot2_cert *cert = load_cert(argv[2]);
    EVP_PKEY *key = load_key(argv[3]);
    const char *name = argv[4];
    uint8_t *raw_name = NULL;
    long raw_size = 0;
    uint32_t now = 0;
    if (dot2_time32_now(&now) != DOT2_OK)
        fail("time", NULL);
    for (int i = 5; i < argc; i++) {
        if (strncmp(argv[i], "time=", 5) == 0)
            now = (uint32_t)((int64_t)now + strtoll(argv[i] + 5, NULL, 10));
        else if (strncmp(argv[i], "signer=", 7) == 0)
            r.signer = argv[i] + 7;
        else if (strncmp(argv[i], "flip=", 5) == 0)
            r.flip = argv[i] + 5;
        else if (strncmp(argv[i], "name=", 5) == 0)
            raw_name = argv[i][5] == '\0'
                           ? must(OPENSSL_zalloc(1), "memory")
                           : must(OPENSSL_hexstr2buf(argv[i] + 5, &raw_size), "name");
        else
            fail(argv[i], NULL);
    }
    if (raw_name != NULL) { /* any octets, a NUL among them: what no honest encoder is asked for */
        static const uint8_t head[] = {0x01, 0x83, 0x88, 0x00};
        memcpy(r.tbs, head, 4);
        for (int i = 0; i < 4; i++)
            r.tbs[4 + i] = (uint8_t)(now >> (24 - 8 * i));
        r.tbs[8] = (uint8_t)raw_size;
        memcpy(r.tbs + 9, raw_name, (size_t)raw_size);
        r.tbs_size = 9 + (size_t)raw_size;
        OPENSSL_free(raw_name);
    } else {
        uint8_t *tbs = NULL;
        if (scms_download_request_build(now, name, &tbs, &r.tbs_size, &error) != DOT2_OK)
            fail("request", &error);
        memcpy(r.tbs, tbs, r.tbs_size);
        OPENSSL_free(tbs);
    }
    print_request(&r, cert, key);
    dot2_cert_free(cert);
    EVP_PKEY_free(key);
    return 0;
}

int main(int argc, char **argv)
{
    struct dot2_error error = {0};
    libctx = must(OSSL_LIB_CTX_new(), "library context");
    OSSL_PROVIDER_set_default_search_path(libctx, getenv("DOT2HSM_MODULES"));
    OSSL_PROVIDER *dot2hsm = must(OSSL_PROVIDER_load(libctx, "dot2hsm"), "provider dot2hsm");
    OSSL_PROVIDER *deflt = must(OSSL_PROVIDER_load(libctx, "default"), "provider default");
    if (dot2_crypto_new(libctx, &crypto, &error) != DOT2_OK)
        fail("crypto", &error);
    arena = must(coer_arena_new(), "arena");
    int status = 2;
    if (argc == 8 && strcmp(argv[1], "issue") == 0)
        status = issue(argv);
    else if (argc == 4 && strcmp(argv[1], "mirror") == 0)
        status = mirror(argv);
    else if (argc >= 5 && strcmp(argv[1], "request") == 0)
        status = request(argc, argv);
    else
        fprintf(stderr, "usage: forge issue|mirror|request ... (see the source)\n");
    coer_arena_free(arena);
    dot2_crypto_free(crypto);
    OSSL_PROVIDER_unload(dot2hsm);
    OSSL_PROVIDER_unload(deflt);
    OSSL_LIB_CTX_free(libctx);
    return status;
}
