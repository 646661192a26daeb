/*
 * fuzz_pipeline.c: from the octets that a device sends to the RA's decision, with valid keys.
 *
 * The input is what stands before the signature: three octets of control, changes that are made to
 * the message after it was signed, and the ScmsPDU. The target signs it as one of two devices,
 * encrypts it to the RA where the service wants that, and asks for the decision: what is behind the
 * signature is fuzzed as well as what is before it.
 *
 *   octet 0  service: four downloads, three kinds of requests for certificates
 *   octet 1  bits: of the enum below
 *   octet 2  number of changes; each is an octet's place (two octets) and what is XORed to it
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include "protocol/dot2/asn1_key.h"
#include "protocol/ra/ra.h"
#include "tests/dot2/fixture.h"
#include "tests/fuzz/fuzz.h"

fuzz_decoder_fn fuzz_pipeline;

enum {
    IMPLICIT = 1,       /* the device with an implicit certificate signs */
    SECURED = 2,        /* a download is encrypted to the RA */
    OTHER_KEY = 4,      /* the key is not that of the certificate */
    CHANGE_OUTSIDE = 8, /* what is encrypted is changed, not what was signed */
    CHANGES_MAX = 7
};

static struct world {
    struct fixture f;
    struct pki pki;
    EVP_PKEY *ra_key, *decrypt;
    dot2_cert *ra;
    ra_keys *keys;
    ra_store *store;
    char dir[200], path[220];
} w;

static const char *const own_files[2] = {"0123456789ABCDEF", "FEDCBA9876543210"};

static void remove_store(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char path[240];

    ra_store_close(w.store);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s%s", w.path, suffixes[i]);
        unlink(path);
    }
    rmdir(w.dir);
}

static void open_store(void)
{
    static const char *const ends[] = {".zip", "_1A.zip", ".info"};
    const char *place = getenv("TMPDIR");
    char text[300], name[64];

    snprintf(w.dir, sizeof(w.dir), "%s/fuzz_pipeline.XXXXXX", place != NULL ? place : "/tmp");
    DEMAND(mkdtemp(w.dir) != NULL);
    snprintf(w.path, sizeof(w.path), "%s/store", w.dir);
    DEMAND(ra_store_open(w.path, true, &w.store, text, sizeof(text)) == RA_STORE_OK);
    atexit(remove_store);
    for (size_t device = 0; device < 2; device++) {
        size_t size = 0;
        const uint8_t *hash = dot2_cert_hash(device == 0 ? w.pki.rse : w.pki.implicit, &size);

        for (size_t i = 0; i < 3; i++) {
            snprintf(name, sizeof(name), "%s%s", own_files[device], ends[i]);
            DEMAND(ra_file_assign(w.store, name, hash, size) == RA_STORE_OK);
        }
    }
}

static void open_world(void)
{
    ToBeSignedCertificate_t *body;
    struct ra_key key;
    size_t which = 0;

    if (w.store != NULL)
        return;
    fixture_open(&w.f);
    pki_open(&w.f, DOT2_CURVE_P256, &w.pki);
    w.ra_key = fixture_key(&w.f, DOT2_CURVE_P256);
    w.decrypt = fixture_key(&w.f, DOT2_CURVE_P256);
    body = fixture_body(&w.f, "ra.example", FIXTURE_START, 20000);
    fixture_app(&w.f, body, SCMS_PSID, "8b0001", NULL);
    body->encryptionKey = coer_arena_alloc(w.f.arena, sizeof(*body->encryptionKey));
    DEMAND(dot2_asn1_set_encryption_key(w.f.arena, body->encryptionKey, w.decrypt, "", NULL) ==
           DOT2_OK);
    w.ra = fixture_explicit(&w.f, body, w.ra_key, w.pki.root, w.pki.root_key);
    DEMAND(dot2_trust_add(w.pki.trust, w.ra) == DOT2_OK);
    key = (struct ra_key){w.ra, w.ra_key, w.decrypt};
    DEMAND(ra_keys_new(w.f.crypto, &key, 1, &w.keys, &which, NULL) == DOT2_OK);
    open_store();
}

struct input {
    uint8_t service, bits, changes;
    const uint8_t *change, *pdu;
    size_t pdu_size;
};

static bool read_input(const uint8_t *data, size_t size, struct input *in)
{
    if (size < 4)
        return false;
    in->service = data[0] % 7;
    in->bits = data[1];
    in->changes = data[2] & CHANGES_MAX;
    if (size <= 3 + 3u * in->changes)
        return false;
    in->change = data + 3;
    in->pdu = in->change + 3u * in->changes;
    in->pdu_size = size - (size_t)(in->pdu - data);
    return true;
}

static void apply(const struct input *in, uint8_t *octets, size_t size)
{
    for (size_t i = 0; i < in->changes; i++) {
        const uint8_t *change = in->change + 3 * i;

        octets[((size_t)change[0] << 8 | change[1]) % size] ^= change[2];
    }
}

struct sent {
    uint8_t *request; /* as it was signed */
    uint8_t *octets;  /* as it arrives */
    size_t request_size, size;
};

static void transmit(const struct input *in, bool secured, struct sent *sent)
{
    const bool implicit = (in->bits & IMPLICIT) != 0;
    EVP_PKEY *key = implicit ? w.pki.implicit_key : w.pki.rse_key;
    uint8_t *changed;
    struct dot2_error error;

    memset(sent, 0, sizeof(*sent));
    /* For an explicit certificate the builder would refuse another key. */
    if (implicit && (in->bits & OTHER_KEY) != 0)
        key = w.pki.rse_key;
    DEMAND(scms_signed_request_build(w.f.crypto, key, implicit ? w.pki.implicit : w.pki.rse,
                                     in->pdu, in->pdu_size, &sent->request, &sent->request_size,
                                     &error) == DOT2_OK);
    changed = OPENSSL_memdup(sent->request, sent->request_size);
    DEMAND(changed != NULL);
    if ((in->bits & CHANGE_OUTSIDE) == 0 || !secured)
        apply(in, changed, sent->request_size);
    sent->octets = changed;
    sent->size = sent->request_size;
    if (!secured)
        return;
    /* Not scms_secured_build(): it refuses what is no signed request. */
    DEMAND(dot2_encrypt_to_cert(w.f.crypto, w.ra, changed, sent->request_size, &sent->octets,
                                &sent->size, &error) == DOT2_OK);
    OPENSSL_free(changed);
    if ((in->bits & CHANGE_OUTSIDE) != 0)
        apply(in, sent->octets, sent->size);
}

/* What was allowed says what the device signed, and was signed by that device. */
static void check_allowed(const struct input *in, bool secured, const struct sent *sent,
                          const struct ra_decision *decision)
{
    const dot2_cert *device = (in->bits & IMPLICIT) != 0 ? w.pki.implicit : w.pki.rse;
    const struct scms_ra_key ra = {.cert = w.ra, .key = w.decrypt};
    struct scms_signed_request request;
    uint8_t *octets = NULL;
    size_t size = 0;

    DEMAND((in->bits & (IMPLICIT | OTHER_KEY)) != (IMPLICIT | OTHER_KEY));
    if (secured)
        DEMAND(scms_secured_open(w.f.crypto, &ra, 1, sent->octets, sent->size, &octets, &size, NULL,
                                 NULL) == DOT2_OK);
    DEMAND(scms_signed_request_parse(w.f.crypto, secured ? octets : sent->octets,
                                     secured ? size : sent->size, false, &request,
                                     NULL) == DOT2_OK);
    DEMAND(request.tbs.size == in->pdu_size &&
           memcmp(request.tbs.data, in->pdu, in->pdu_size) == 0);
    DEMAND(decision->has_hashedid8);
    DEMAND(memcmp(decision->hashedid8, dot2_cert_hashedid8(device), 8) == 0);
    DEMAND(decision->timestamp >= FIXTURE_NOW - 5 && decision->timestamp <= FIXTURE_NOW + 5);
    scms_signed_request_clear(&request);
    OPENSSL_free(octets);
}

static void check_refused(const struct ra_decision *decision)
{
    DEMAND(decision->reason != RA_INTERNAL && decision->reason != RA_STORE);
    DEMAND(decision->filename[0] == '\0' && decision->request_hash[0] == '\0');
    DEMAND(strcmp(ra_reason_name(decision->reason), ra_reason_name(RA_ALLOWED)) != 0);
}

static void download(const struct ra_authorise *ra, const struct input *in)
{
    const bool secured = (in->bits & SECURED) != 0;
    const char *own = own_files[(in->bits & IMPLICIT) != 0];
    struct ra_decision decision;
    struct sent sent;
    char *header = NULL;

    transmit(in, secured, &sent);
    DEMAND(scms_base64_encode(sent.octets, sent.size, &header) == DOT2_OK);
    if (ra_authorise_download(ra, (enum ra_service)in->service, header, strlen(header),
                              &decision) == RA_ALLOWED) {
        check_allowed(in, secured, &sent, &decision);
        DEMAND(strncmp(decision.filename, own, 16) == 0);
        DEMAND(decision.code == 0);
    } else {
        check_refused(&decision);
    }
    OPENSSL_free(header);
    OPENSSL_free(sent.octets);
    OPENSSL_free(sent.request);
}

static void check_ack(const struct sent *sent, enum scms_provision kind, const uint8_t *octets,
                      size_t size, const struct ra_decision *decision)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    enum ra_request_state state;
    struct scms_ack ack;
    uint8_t requester[48];
    size_t requester_size = 0;

    DEMAND(scms_ack_open(w.pki.trust, w.ra, FIXTURE_NOW, octets, size, &ack, NULL) == DOT2_OK);
    SHA256(sent->octets, sent->size, hash);
    DEMAND(ack.kind == kind && memcmp(ack.request_hash, hash + 24, 8) == 0);
    DEMAND(strlen(decision->request_hash) == 16);
    DEMAND(ra_request_find(w.store, hash + 24, &state, requester, &requester_size) == RA_STORE_OK);
    DEMAND(state == RA_REQUEST_PENDING);
}

static void provision(const struct ra_authorise *ra, const struct input *in)
{
    static const enum scms_provision kinds[] = {SCMS_PROVISION_PSEUDONYM, SCMS_PROVISION_ID,
                                                SCMS_PROVISION_APP};
    struct ra_provision limits = ra_provision_default();
    const enum scms_provision kind = kinds[in->service - 4];
    struct ra_decision decision;
    uint8_t *ack = NULL;
    size_t ack_size = 0;
    struct sent sent;

    limits.url = "https://ra.example:8892/download";
    limits.limits.max_requests = 0;
    limits.limits.one_application = false;
    limits.limits.retention = 1; /* the same keys again, another second */
    transmit(in, true, &sent);
    if (ra_authorise_provision(ra, &limits, kind, sent.octets, sent.size, &decision, &ack,
                               &ack_size) == RA_ALLOWED) {
        check_allowed(in, true, &sent, &decision);
        check_ack(&sent, kind, ack, ack_size, &decision);
    } else {
        check_refused(&decision);
        DEMAND(ack == NULL && ack_size == 0);
    }
    OPENSSL_free(ack);
    OPENSSL_free(sent.octets);
    OPENSSL_free(sent.request);
}

void fuzz_pipeline(const uint8_t *data, size_t size)
{
    struct input in;
    struct ra_authorise ra;

    if (!read_input(data, size, &in))
        return;
    open_world();
    ra = (struct ra_authorise){.crypto = w.f.crypto,
                               .trust = w.pki.trust,
                               .store = w.store,
                               .now = FIXTURE_NOW,
                               .tolerance = 5,
                               .max_header = 65536,
                               .keys = w.keys};
    if (in.service < 4)
        download(&ra, &in);
    else
        provision(&ra, &in);
    ERR_clear_error();
}
