/* cert.c: one certificate, decoded once and immutable. */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/internal.h"

/* IEEE 1609.2 6.3.15: a year is 31556952 seconds. Less than a second is none. */
static uint64_t duration_seconds(const Duration_t *duration)
{
    switch (duration->present) {
    case Duration_PR_seconds:
        return (uint64_t)duration->choice.seconds;
    case Duration_PR_minutes:
        return (uint64_t)duration->choice.minutes * 60;
    case Duration_PR_hours:
        return (uint64_t)duration->choice.hours * 3600;
    case Duration_PR_sixtyHours:
        return (uint64_t)duration->choice.sixtyHours * 60 * 3600;
    case Duration_PR_years:
        return (uint64_t)duration->choice.years * 31556952;
    case Duration_PR_milliseconds:
        return (uint64_t)duration->choice.milliseconds / 1000;
    default: /* microseconds: at most 65 ms */
        return 0;
    }
}

static void set_validity(dot2_cert *cert)
{
    const ValidityPeriod_t *period = &cert->base->toBeSigned.validityPeriod;
    uint64_t end = (uint64_t)period->start + duration_seconds(&period->duration);

    cert->start = (uint32_t)period->start;
    cert->end = end > UINT32_MAX ? UINT32_MAX : (uint32_t)end;
}

/* Only ASCII that can be printed: the name comes from a peer and goes to terminals and logs. */
static void set_name(dot2_cert *cert)
{
    const CertificateId_t *id = &cert->base->toBeSigned.id;
    size_t used = 0;

    if (id->present == CertificateId_PR_name) {
        for (int i = 0; i < id->choice.name.size && used + 1 < sizeof(cert->name); i++) {
            uint8_t c = id->choice.name.buf[i];

            cert->name[used++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
        }
    } else if (id->present == CertificateId_PR_binaryId) {
        for (int i = 0; i < id->choice.binaryId.size && used + 2 < sizeof(cert->name);
             i++, used += 2)
            snprintf(cert->name + used, 3, "%02x", id->choice.binaryId.buf[i]);
    }
    cert->name[used] = '\0';
}

/* verificationKey or reconstructionValue as octets; the consistency of both was checked. */
static void set_key(dot2_cert *cert)
{
    const VerificationKeyIndicator_t *indicator = &cert->base->toBeSigned.verifyKeyIndicator;
    const PublicVerificationKey_t *key = &indicator->choice.verificationKey;

    cert->curve = DOT2_CURVE_NONE;
    if (indicator->present == VerificationKeyIndicator_PR_reconstructionValue) {
        (void)dot2_point_p256(&indicator->choice.reconstructionValue, &cert->key);
        return;
    }
    switch (key->present) {
    case PublicVerificationKey_PR_ecdsaBrainpoolP256r1:
        cert->curve = DOT2_CURVE_BRAINPOOL_P256R1;
        (void)dot2_point_p256(&key->choice.ecdsaBrainpoolP256r1, &cert->key);
        break;
    case PublicVerificationKey_PR_ecdsaBrainpoolP384r1:
        cert->curve = DOT2_CURVE_BRAINPOOL_P384R1;
        (void)dot2_point_p384(&key->choice.ecdsaBrainpoolP384r1, &cert->key);
        break;
    default:
        cert->curve = DOT2_CURVE_P256;
        (void)dot2_point_p256(&key->choice.ecdsaNistP256, &cert->key);
        break;
    }
}

/*
 * HashedId8 and the whole hash follow the hash of the certificate's own key (6.3.5, 6.4.3); an
 * implicit certificate's is on a 256-bit curve, whichever its issuer's is.
 */
static enum dot2_status set_hashes(dot2_cert *cert)
{
    enum dot2_curve curve = cert->curve == DOT2_CURVE_NONE ? DOT2_CURVE_P256 : cert->curve;
    enum dot2_status status =
        dot2_sha256(cert->crypto, cert->octets, cert->size, cert->received_hash);

    if (status != DOT2_OK)
        return status;
    cert->hash_size = dot2_curve_hash_size(curve);
    if (cert->canonical == cert->octets && cert->hash_size == 32) {
        memcpy(cert->hash, cert->received_hash, 32);
        return DOT2_OK;
    }
    return dot2_hash(cert->crypto, curve, cert->canonical, cert->canonical_size, cert->hash);
}

enum dot2_status dot2_cert_new(const dot2_crypto *crypto, const uint8_t *octets, size_t size,
                               dot2_cert **cert, struct dot2_error *error)
{
    enum dot2_status status = DOT2_OK;
    struct coer_error coer = {0};
    struct coer_span span = {0};
    dot2_cert *new = NULL;
    void *value = NULL;

    *cert = NULL;
    if (size == 0)
        return dot2_fail(error, DOT2_E_DECODE, "Certificate", "no octets");
    new = OPENSSL_zalloc(sizeof(*new));
    if (new == NULL)
        return dot2_fail_memory(error);
    new->references = 1;
    new->crypto = dot2_crypto_up_ref((dot2_crypto *)(uintptr_t)crypto);
    new->arena = coer_arena_new();
    new->octets = OPENSSL_memdup(octets, size);
    new->size = size;
    if (new->arena == NULL || new->octets == NULL) {
        status = dot2_fail_memory(error);
        goto out;
    }
    if (coer_decode(new->arena, &asn_DEF_CertificateBase, new->octets, size, &value, &coer) !=
        COER_OK) {
        status = dot2_fail_coer(error, &coer, 0);
        goto out;
    }
    new->base = value;
    status = dot2_cert_check_consistency(new->base, error);
    if (status != DOT2_OK)
        goto out;
    if (!coer_span_of(&asn_DEF_ToBeSignedCertificate, &new->base->toBeSigned, &span)) {
        status = dot2_fail(error, DOT2_E_DECODE, "Certificate.toBeSigned", "has no octets");
        goto out;
    }
    new->tbs_offset = (size_t)(span.data - new->octets);
    new->tbs_size = span.size;
    set_validity(new);
    set_name(new);
    set_key(new);
    status = dot2_cert_canonicalise(new, error);
    if (status == DOT2_OK && (status = set_hashes(new)) != DOT2_OK)
        dot2_fail_openssl(error, status, "hash of a certificate");
    if (status != DOT2_OK)
        goto out;
    *cert = new;
    new = NULL;
out:
    dot2_cert_free(new);
    return status;
}

dot2_cert *dot2_cert_up_ref(dot2_cert *cert)
{
    (void)__atomic_add_fetch(&cert->references, 1, __ATOMIC_RELAXED);
    return cert;
}

void dot2_cert_free(dot2_cert *cert)
{
    if (cert == NULL || __atomic_sub_fetch(&cert->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (cert->canonical != cert->octets)
        OPENSSL_free(cert->canonical);
    OPENSSL_free(cert->twins);
    OPENSSL_free(cert->octets);
    coer_arena_free(cert->arena);
    dot2_crypto_free(cert->crypto);
    OPENSSL_free(cert);
}

const CertificateBase_t *dot2_cert_asn1(const dot2_cert *cert)
{
    return cert->base;
}

const uint8_t *dot2_cert_octets(const dot2_cert *cert, size_t *size)
{
    *size = cert->size;
    return cert->octets;
}

const uint8_t *dot2_cert_canonical(const dot2_cert *cert, size_t *size)
{
    *size = cert->canonical_size;
    return cert->canonical;
}

const uint8_t *dot2_cert_hash(const dot2_cert *cert, size_t *size)
{
    *size = cert->hash_size;
    return cert->hash;
}

const uint8_t *dot2_cert_hashedid8(const dot2_cert *cert)
{
    return cert->hash + cert->hash_size - 8;
}

bool dot2_cert_is_implicit(const dot2_cert *cert)
{
    return cert->base->type == CertificateType_implicit;
}

bool dot2_cert_is_self_issued(const dot2_cert *cert)
{
    return cert->base->issuer.present == IssuerIdentifier_PR_self;
}

const uint8_t *dot2_cert_issuer(const dot2_cert *cert)
{
    const IssuerIdentifier_t *issuer = &cert->base->issuer;

    switch (issuer->present) {
    case IssuerIdentifier_PR_sha256AndDigest:
        return issuer->choice.sha256AndDigest.buf;
    case IssuerIdentifier_PR_sha384AndDigest:
        return issuer->choice.sha384AndDigest.buf;
    default:
        return NULL;
    }
}

uint32_t dot2_cert_start(const dot2_cert *cert)
{
    return cert->start;
}

uint32_t dot2_cert_end(const dot2_cert *cert)
{
    return cert->end;
}

const char *dot2_cert_name(const dot2_cert *cert)
{
    return cert->name;
}

enum dot2_status dot2_cert_key(const dot2_cert *cert, EVP_PKEY **key, struct dot2_error *error)
{
    *key = NULL;
    if (dot2_cert_is_implicit(cert))
        return dot2_fail(error, DOT2_E_TYPE, "Certificate.type",
                         "the key of an implicit certificate comes with its issuer's");
    return dot2_public_key(cert->crypto, cert->curve, cert->key.octets, dot2_point_size(&cert->key),
                           key, error);
}

enum dot2_status dot2_cert_check_key(const dot2_cert *cert, const EVP_PKEY *key, const char *field,
                                     struct dot2_error *error)
{
    struct dot2_point point = cert->key;
    uint8_t own[49];
    size_t size = 0;

    if (dot2_cert_is_implicit(cert))
        return DOT2_OK;
    if (dot2_public_point(key, own, &size) != DOT2_OK)
        return dot2_fail(error, DOT2_E_CRYPTO, field, "the key gives no public point");
    dot2_point_compress(&point);
    if (dot2_key_curve(key) != cert->curve || size != dot2_point_size(&point) ||
        memcmp(own, point.octets, size) != 0)
        return dot2_fail(error, DOT2_E_KEY_MISMATCH, field,
                         "the key is not that of the certificate");
    return DOT2_OK;
}

enum dot2_status dot2_cert_encryption_key(const dot2_cert *cert, EVP_PKEY **key,
                                          struct dot2_error *error)
{
    const PublicEncryptionKey_t *encryption = cert->base->toBeSigned.encryptionKey;
    const BasePublicEncryptionKey_t *base = NULL;
    struct dot2_point point = {0};
    enum dot2_curve curve = DOT2_CURVE_P256;
    bool ok = false;

    *key = NULL;
    if (encryption == NULL)
        return dot2_fail(error, DOT2_E_TYPE, "Certificate.toBeSigned.encryptionKey",
                         "the certificate has no encryption key");
    base = &encryption->publicKey;
    if (base->present == BasePublicEncryptionKey_PR_eciesBrainpoolP256r1) {
        curve = DOT2_CURVE_BRAINPOOL_P256R1;
        ok = dot2_point_p256(&base->choice.eciesBrainpoolP256r1, &point);
    } else {
        ok = dot2_point_p256(&base->choice.eciesNistP256, &point);
    }
    if (!ok)
        return dot2_fail(error, DOT2_E_POINT, "Certificate.toBeSigned.encryptionKey",
                         "no whole point");
    return dot2_public_key(cert->crypto, curve, point.octets, dot2_point_size(&point), key, error);
}

struct dot2_twins {
    uint8_t hashes[2][48];
    size_t count;
};

/*
 * (r, n - s) verifies wherever (r, s) does, and the hash of an explicit certificate covers its
 * signature: without the second hash a listed device could flip s in its own certificate.
 */
static enum dot2_status make_twins(const dot2_cert *cert, struct dot2_twins *twins)
{
    enum dot2_status status = DOT2_E_MEMORY;
    struct dot2_signature signature = {0};
    const BIGNUM *order = NULL;
    uint8_t *flipped = NULL;
    BIGNUM *s = NULL;

    memcpy(twins->hashes[0], cert->hash, cert->hash_size);
    twins->count = 1;
    if (dot2_cert_is_implicit(cert))
        return DOT2_OK;
    /* The curve of the signature is the issuer's, that of the hash the certificate's own. */
    if (!dot2_signature_read(cert->base->signature, &signature))
        return DOT2_E_CERTIFICATE;
    order = dot2_order(cert->crypto, signature.curve);
    s = BN_bin2bn(signature.s, (int)signature.r.coordinate, NULL);
    flipped = OPENSSL_memdup(cert->canonical, cert->canonical_size);
    if (s == NULL || flipped == NULL)
        goto out;
    if (BN_is_zero(s) || BN_cmp(s, order) >= 0) {
        status = DOT2_OK; /* never verifies, and has no other form */
        goto out;
    }
    /* sSig stands at the end of a certificate. */
    if (!BN_sub(s, order, s) ||
        BN_bn2binpad(s, flipped + cert->canonical_size - signature.r.coordinate,
                     (int)signature.r.coordinate) < 0)
        goto out;
    status = dot2_hash(cert->crypto, cert->curve, flipped, cert->canonical_size, twins->hashes[1]);
    if (status == DOT2_OK)
        twins->count = 2;
out:
    BN_free(s);
    OPENSSL_free(flipped);
    return status;
}

enum dot2_status dot2_cert_blacklist_hashes(const dot2_cert *cert, uint8_t hashes[2][48],
                                            size_t *hash_size, size_t *count)
{
    /* The certificate stays what it is; this is only remembered, by the first of all threads. */
    struct dot2_twins **slot = (struct dot2_twins **)(uintptr_t)&cert->twins;
    struct dot2_twins *twins = __atomic_load_n(slot, __ATOMIC_ACQUIRE), *first = NULL;
    enum dot2_status status = DOT2_OK;

    if (twins == NULL) {
        twins = OPENSSL_zalloc(sizeof(*twins));
        status = twins == NULL ? DOT2_E_MEMORY : make_twins(cert, twins);
        if (status != DOT2_OK) {
            OPENSSL_free(twins);
            return status;
        }
        if (!__atomic_compare_exchange_n(slot, &first, twins, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_ACQUIRE)) {
            OPENSSL_free(twins);
            twins = first;
        }
    }
    memcpy(hashes, twins->hashes, sizeof(twins->hashes));
    *hash_size = cert->hash_size;
    *count = twins->count;
    return DOT2_OK;
}
