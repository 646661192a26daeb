/*
 * ra.c: the codec, and the RA's decision from octets on, beside the operations with keys that they
 * cannot do without.
 *
 *   bench_ra codec|pipeline ROUNDS SLICE_MS [JSON]
 *   bench_ra verify|verify-derive 1 SLICE_MS     prints the rate of the bare operations
 *
 * A row is the median over the rounds of (rate of the subject) / (rate of the bare operations in
 * the same round). The bare operations are libcrypto's own, with keys, contexts and signatures that
 * are ready: EVP_PKEY_verify of a digest, EVP_PKEY_derive with a peer that is set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "asn1/types.h"
#include "tests/bench/report.h"
#include "tests/ra/lab.h"

#define THREADS 2
#define NAME "AB09281C9867DE53.zip"
#define COLD 64 /* devices of each thread that take turns */
#define COLD_CACHE 8

static unsigned rounds, slice_ms;
static struct lab *lab;

static void require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench: %s\n", what);
    exit(2);
}

/* ---- what cannot be avoided ---- */

static struct bare {
    EVP_PKEY_CTX *verify, *derive;
} bare[THREADS];
static uint8_t digest[32] = {1, 2, 3}, signature[80];
static size_t signature_size = sizeof signature;

/* What one decision needs at least. */
struct need {
    unsigned verifications, derivations;
};

static bool bare_work(void *arg, unsigned thread)
{
    const struct need *need = arg;
    uint8_t secret[32];
    size_t size = sizeof secret;

    for (unsigned i = 0; i < need->verifications; i++) {
        if (EVP_PKEY_verify(bare[thread].verify, signature, signature_size, digest,
                            sizeof digest) != 1)
            return false;
    }
    for (unsigned i = 0; i < need->derivations; i++) {
        if (EVP_PKEY_derive(bare[thread].derive, secret, &size) != 1)
            return false;
    }
    return true;
}

static EVP_PKEY_CTX *context(EVP_PKEY *key)
{
    EVP_PKEY_CTX *made = EVP_PKEY_CTX_new_from_pkey(lab->libctx, key, "provider=default");

    require(made != NULL, "no context");
    return made;
}

static void bare_setup(void)
{
    EVP_PKEY *key = lab_key(lab), *peer = lab_key(lab);
    EVP_PKEY_CTX *sign = context(key);

    require(EVP_PKEY_sign_init(sign) == 1 &&
                EVP_PKEY_sign(sign, signature, &signature_size, digest, sizeof digest) == 1,
            "no signature");
    EVP_PKEY_CTX_free(sign);
    for (unsigned i = 0; i < THREADS; i++) {
        bare[i].verify = context(key);
        bare[i].derive = context(key);
        require(EVP_PKEY_verify_init(bare[i].verify) == 1 &&
                    EVP_PKEY_derive_init(bare[i].derive) == 1 &&
                    EVP_PKEY_derive_set_peer(bare[i].derive, peer) == 1,
                "bare contexts");
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(peer);
}

static void bare_clear(void)
{
    for (unsigned i = 0; i < THREADS; i++) {
        EVP_PKEY_CTX_free(bare[i].verify);
        EVP_PKEY_CTX_free(bare[i].derive);
    }
}

/* ---- codec ---- */

#define MANY 100 /* values between two looks at the clock */

struct message {
    const char *name;
    const asn_TYPE_descriptor_t *type;
    const uint8_t *octets;
    size_t size;
    void *value;
    coer_arena *arena;
};

static bool decode_work(void *arg, unsigned thread)
{
    struct message *message = arg;
    void *value;

    (void)thread;
    for (int i = 0; i < MANY; i++) {
        coer_arena_reset(message->arena);
        if (coer_decode(message->arena, message->type, message->octets, message->size, &value,
                        NULL) != COER_OK)
            return false;
    }
    return true;
}

static bool encode_work(void *arg, unsigned thread)
{
    const struct message *message = arg;
    uint8_t out[4096];
    size_t size;

    (void)thread;
    for (int i = 0; i < MANY; i++) {
        if (coer_encode(message->type, message->value, out, sizeof out, &size, NULL) != COER_OK ||
            size != message->size)
            return false;
    }
    return true;
}

static void codec_rows(struct message *message, double target)
{
    struct need one = {1, 0};
    double decodes[BENCH_ROUNDS_MAX], encodes[BENCH_ROUNDS_MAX];
    coer_arena *kept = coer_arena_new();
    char name[80];

    message->arena = coer_arena_new();
    require(kept != NULL && message->arena != NULL &&
                coer_decode(kept, message->type, message->octets, message->size, &message->value,
                            NULL) == COER_OK,
            message->name);
    for (unsigned round = 0; round < rounds; round++) {
        double verify = bench_rate(bare_work, &one, 1, slice_ms);
        double decode = MANY * bench_rate(decode_work, message, 1, slice_ms);
        double encode = MANY * bench_rate(encode_work, message, 1, slice_ms);

        require(verify > 0 && decode > 0 && encode > 0, message->name);
        decodes[round] = decode / verify;
        encodes[round] = encode / decode;
    }
    snprintf(name, sizeof name, "decodes-per-verification %s", message->name);
    report_row(name, 1, bench_median(decodes, rounds), target, false);
    snprintf(name, sizeof name, "encodes-per-decode %s", message->name);
    report_row(name, 1, bench_median(encodes, rounds), 1, false);
    coer_arena_free(message->arena);
    coer_arena_free(kept);
}

static void codec(const struct lab_cert *ra)
{
    struct message certificate = {.name = "certificate", .type = &asn_DEF_Certificate};
    /* Its outer Ieee1609Dot2Data holds the SignedCertificateRequest as octets. */
    struct message request = {.name = "signed-request", .type = &asn_DEF_SignedCertificateRequest};
    struct message encrypted = {.name = "encrypted-request", .type = &asn_DEF_Ieee1609Dot2Data};
    size_t size;
    uint8_t *octets =
        lab_request_octets(lab, lab->device.cert, lab->device.key, lab->now, NAME, &size);
    uint8_t *secured = NULL;
    coer_arena *arena = coer_arena_new();
    const Ieee1609Dot2Data_t *outer;
    void *value;

    certificate.octets = dot2_cert_octets(lab->device.cert, &certificate.size);
    require(arena != NULL && coer_decode(arena, &asn_DEF_Ieee1609Dot2Data, octets, size, &value,
                                         NULL) == COER_OK,
            "signed request");
    outer = value;
    request.octets = outer->content->choice.signedCertificateRequest.buf;
    request.size = (size_t)outer->content->choice.signedCertificateRequest.size;
    require(scms_secured_build(lab->crypto, ra->cert, octets, size, &secured, &encrypted.size,
                               NULL) == DOT2_OK,
            "encrypted request");
    encrypted.octets = secured;
    codec_rows(&certificate, 130);
    codec_rows(&request, 0);
    codec_rows(&encrypted, 0);
    coer_arena_free(arena);
    OPENSSL_free(octets);
    OPENSSL_free(secured);
}

/* ---- pipeline ---- */

struct pipeline {
    ra_keys *keys;
    dot2_trust *trust;
    bool secured;
    char *warm[THREADS];       /* of devices whose certificates are in the cache */
    char *cold[THREADS][COLD]; /* of devices whose certificates are not */
    unsigned next[THREADS];
};

static bool decide(const struct pipeline *pipeline, const char *header)
{
    struct ra_authorise in = {.crypto = lab->crypto,
                              .trust = pipeline->trust,
                              .store = lab->store,
                              .now = lab->now,
                              .tolerance = 5,
                              .keys = pipeline->keys,
                              .require_secured = pipeline->secured};
    struct ra_decision decision;

    return ra_authorise_download(&in, RA_APPLICATION_CERTIFICATE, header, strlen(header),
                                 &decision) == RA_ALLOWED;
}

static bool warm_work(void *arg, unsigned thread)
{
    const struct pipeline *pipeline = arg;

    return decide(pipeline, pipeline->warm[thread]);
}

/* By turns, so many that each was thrown out of the cache again. */
static bool cold_work(void *arg, unsigned thread)
{
    struct pipeline *pipeline = arg;

    return decide(pipeline, pipeline->cold[thread][pipeline->next[thread]++ % COLD]);
}

static void new_trust(struct pipeline *pipeline, size_t entries)
{
    const struct dot2_trust_limits limits = {.cache_entries = entries};

    dot2_trust_free(pipeline->trust);
    require(dot2_trust_new(lab->crypto, &limits, &pipeline->trust) == DOT2_OK &&
                dot2_trust_add_anchor(pipeline->trust, lab->root.cert) == DOT2_OK &&
                dot2_trust_add(pipeline->trust, lab->eca.cert) == DOT2_OK,
            "trust");
    for (unsigned i = 0; i < THREADS; i++)
        require(decide(pipeline, pipeline->warm[i]), "the request is refused");
}

static char *header_of(const struct lab_cert *device, const char *name, const struct lab_cert *ra)
{
    size_t size, whole_size;
    uint8_t *octets = lab_request_octets(lab, device->cert, device->key, lab->now, name, &size);
    uint8_t *whole = NULL;
    char *text;

    if (ra != NULL)
        require(scms_secured_build(lab->crypto, ra->cert, octets, size, &whole, &whole_size,
                                   NULL) == DOT2_OK,
                "secured request");
    text = ra != NULL ? lab_base64(whole, whole_size) : lab_base64(octets, size);
    OPENSSL_free(octets);
    OPENSSL_free(whole);
    return text;
}

/* The header of a device of its own, for a file of its own. */
static char *new_device(unsigned i, const struct lab_cert *ra)
{
    struct lab_cert device = lab_issue(lab, &lab->eca, NULL);
    char name[32], *header;

    snprintf(name, sizeof name, "%015X%c.zip", i, ra != NULL ? 'E' : 'A');
    lab_assign(lab, name, device.cert);
    header = header_of(&device, name, ra);
    lab_cert_clear(&device);
    return header;
}

static void pipeline_row(struct pipeline *pipeline, const char *name, bench_work work,
                         struct need *need, unsigned threads, double target)
{
    double ratios[BENCH_ROUNDS_MAX];

    for (unsigned round = 0; round < rounds; round++) {
        double least = bench_rate(bare_work, need, threads, slice_ms);
        double rate = bench_rate(work, pipeline, threads, slice_ms);

        require(least > 0 && rate > 0, name);
        ratios[round] = rate / least;
    }
    report_row(name, threads, bench_median(ratios, rounds), target, false);
}

static void pipeline_rows(const struct lab_cert *ra, ra_keys *keys)
{
    struct pipeline pipeline = {.keys = keys, .secured = ra != NULL};
    struct need warm = {1, ra != NULL ? 1 : 0}, cold = {2, ra != NULL ? 1 : 0};

    for (unsigned i = 0; i < THREADS * COLD; i++)
        pipeline.cold[i / COLD][i % COLD] = new_device(i, ra);
    for (unsigned i = 0; i < THREADS; i++)
        pipeline.warm[i] = new_device(THREADS * COLD + i, ra);
    new_trust(&pipeline, 0);
    for (unsigned threads = 1; threads <= THREADS; threads++)
        pipeline_row(&pipeline, ra != NULL ? "secured warm" : "signed warm", warm_work, &warm,
                     threads, ra != NULL ? 0.85 : 0.9);
    new_trust(&pipeline, COLD_CACHE);
    for (unsigned threads = 1; threads <= THREADS; threads++)
        pipeline_row(&pipeline, ra != NULL ? "secured cold" : "signed cold", cold_work, &cold,
                     threads, 0);
    for (unsigned i = 0; i < THREADS * COLD; i++)
        OPENSSL_free(pipeline.cold[i / COLD][i % COLD]);
    for (unsigned i = 0; i < THREADS; i++)
        OPENSSL_free(pipeline.warm[i]);
    dot2_trust_free(pipeline.trust);
}

int main(int argc, char **argv)
{
    EVP_PKEY *decrypt = NULL;
    struct lab_cert ra;
    ra_keys *keys;
    size_t which;
    const char *what = argc > 1 ? argv[1] : "";
    struct need one = {1, strcmp(what, "verify-derive") == 0};
    bool is_codec = strcmp(what, "codec") == 0, is_bare = strncmp(what, "verify", 6) == 0;

    if (argc < 4 || (!is_codec && !is_bare && strcmp(what, "pipeline") != 0) ||
        (rounds = (unsigned)atoi(argv[2])) < 1 || rounds > BENCH_ROUNDS_MAX ||
        (slice_ms = (unsigned)atoi(argv[3])) < 1) {
        fprintf(stderr,
                "usage: bench_ra codec|pipeline|verify|verify-derive ROUNDS SLICE_MS [JSON]\n");
        return 2;
    }
    require(report_open(argc > 4 ? argv[4] : NULL), "the JSON file");
    lab = lab_new();
    ra = lab_ra(lab, -60, 1000, &decrypt);
    bare_setup();
    if (is_bare) {
        printf("%.1f\n", bench_rate(bare_work, &one, 1, slice_ms));
    } else if (is_codec) {
        codec(&ra);
    } else {
        const struct ra_key key = {ra.cert, ra.key, decrypt};

        require(ra_keys_new(lab->crypto, &key, 1, &keys, &which, NULL) == DOT2_OK, "keys");
        pipeline_rows(NULL, NULL);
        pipeline_rows(&ra, keys);
        ra_keys_free(keys);
    }
    bare_clear();
    EVP_PKEY_free(decrypt);
    lab_cert_clear(&ra);
    lab_free(lab);
    report_close();
    return report_missed() > 0 ? 1 : 0;
}
