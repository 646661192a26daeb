/*
 * trust.c: anchors and certificates that may stand below them, found by HashedId8.
 *
 * HashedId8 has 64 bits, so two certificates may share one: all of them are kept, and each that has
 * it is tried. After it is filled, the table is only read.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/internal.h"

#define BUCKETS 1024
#define DEFAULT_CACHE 4096
#define DEFAULT_DEPTH 8
#define LARGEST_DEPTH 16

struct dot2_trust {
    int references;
    dot2_crypto *crypto;
    dot2_cache *cache;
    dot2_revocations *revocations;
    unsigned max_depth;
    struct dot2_trusted *buckets[BUCKETS];
};

enum dot2_status dot2_trust_new(dot2_crypto *crypto, const struct dot2_trust_limits *limits,
                                dot2_trust **trust)
{
    dot2_trust *new = NULL;
    size_t entries =
        limits == NULL || limits->cache_entries == 0 ? DEFAULT_CACHE : limits->cache_entries;
    unsigned depth = limits == NULL || limits->max_depth == 0 ? DEFAULT_DEPTH : limits->max_depth;

    *trust = NULL;
    if (depth > LARGEST_DEPTH)
        return DOT2_E_ARGUMENT;
    new = OPENSSL_zalloc(sizeof(*new));
    if (new == NULL)
        return DOT2_E_MEMORY;
    new->references = 1;
    new->crypto = dot2_crypto_up_ref(crypto);
    new->max_depth = depth;
    new->cache = dot2_cache_new(entries);
    new->revocations = dot2_revocations_new();
    if (new->cache == NULL || new->revocations == NULL) {
        dot2_trust_free(new);
        return DOT2_E_MEMORY;
    }
    *trust = new;
    return DOT2_OK;
}

dot2_trust *dot2_trust_up_ref(dot2_trust *trust)
{
    (void)__atomic_add_fetch(&trust->references, 1, __ATOMIC_RELAXED);
    return trust;
}

void dot2_trust_free(dot2_trust *trust)
{
    if (trust == NULL || __atomic_sub_fetch(&trust->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (trust->buckets[i] != NULL) {
            struct dot2_trusted *entry = trust->buckets[i];

            trust->buckets[i] = entry->next;
            dot2_verdict_free(entry->anchor);
            dot2_cert_free(entry->cert);
            OPENSSL_free(entry);
        }
    }
    dot2_cache_free(trust->cache);
    dot2_revocations_free(trust->revocations);
    dot2_crypto_free(trust->crypto);
    OPENSSL_free(trust);
}

static size_t index_of(const uint8_t hashedid8[8])
{
    return ((size_t)hashedid8[6] << 8 | hashedid8[7]) % BUCKETS;
}

const struct dot2_trusted *dot2_trust_bucket(const dot2_trust *trust, const uint8_t hashedid8[8])
{
    return trust->buckets[index_of(hashedid8)];
}

dot2_crypto *dot2_trust_crypto(const dot2_trust *trust)
{
    return trust->crypto;
}

void dot2_trust_cache_counts(const dot2_trust *trust, struct dot2_cache_counts *counts)
{
    dot2_cache_counts(trust->cache, counts);
}

dot2_cache *dot2_trust_cache(const dot2_trust *trust)
{
    return trust->cache;
}

dot2_revocations *dot2_trust_revocations(const dot2_trust *trust)
{
    return trust->revocations;
}

unsigned dot2_trust_max_depth(const dot2_trust *trust)
{
    return trust->max_depth;
}

/* The entry of the same octets, or a new one. */
static struct dot2_trusted *entry_of(dot2_trust *trust, dot2_cert *cert)
{
    struct dot2_trusted **bucket = &trust->buckets[index_of(dot2_cert_hashedid8(cert))];
    struct dot2_trusted *entry = NULL;

    for (entry = *bucket; entry != NULL; entry = entry->next) {
        if (entry->cert->size == cert->size &&
            memcmp(entry->cert->octets, cert->octets, cert->size) == 0)
            return entry;
    }
    entry = OPENSSL_zalloc(sizeof(*entry));
    if (entry == NULL)
        return NULL;
    entry->cert = dot2_cert_up_ref(cert);
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

enum dot2_status dot2_trust_add_anchor(dot2_trust *trust, dot2_cert *cert)
{
    struct dot2_trusted *entry = NULL;
    EVP_PKEY *key = NULL;
    /* DOT2_E_TYPE for an implicit one: without its issuer it has no key. */
    enum dot2_status status = dot2_cert_key(cert, &key, NULL);

    if (status != DOT2_OK)
        return status;
    entry = entry_of(trust, cert);
    if (entry != NULL && entry->anchor == NULL) {
        entry->anchor = dot2_verdict_new(cert, key, NULL);
        if (entry->anchor != NULL)
            return DOT2_OK;
        entry = NULL;
    }
    EVP_PKEY_free(key);
    return entry == NULL ? DOT2_E_MEMORY : DOT2_OK;
}

enum dot2_status dot2_trust_add(dot2_trust *trust, dot2_cert *cert)
{
    return entry_of(trust, cert) == NULL ? DOT2_E_MEMORY : DOT2_OK;
}

void dot2_cache_key(const uint8_t received_hash[32], enum dot2_purpose purpose, bool signature_only,
                    uint8_t key[DOT2_CACHE_KEY])
{
    memcpy(key, received_hash, 32);
    key[32] = (uint8_t)((unsigned)purpose << 1 | signature_only);
}

enum dot2_status dot2_trust_cert(const dot2_trust *trust, const uint8_t *octets, size_t size,
                                 dot2_cert **cert, struct dot2_error *error)
{
    uint8_t hash[32], key[DOT2_CACHE_KEY];
    struct dot2_verdict *verdict = NULL;

    *cert = NULL;
    if (dot2_sha256(trust->crypto, octets, size, hash) != DOT2_OK)
        return dot2_fail_openssl(error, DOT2_E_CRYPTO, "hash of a certificate");
    dot2_cache_key(hash, DOT2_PURPOSE_ENROLLMENT, false, key);
    verdict = dot2_cache_peek(trust->cache, key);
    if (verdict == NULL)
        return dot2_cert_new(trust->crypto, octets, size, cert, error);
    *cert = dot2_cert_up_ref(verdict->certs[0]);
    dot2_verdict_free(verdict);
    return DOT2_OK;
}

dot2_cert *dot2_trust_find(const dot2_trust *trust, const uint8_t hashedid8[8])
{
    const struct dot2_trusted *entry = dot2_trust_bucket(trust, hashedid8);

    while (entry != NULL && memcmp(dot2_cert_hashedid8(entry->cert), hashedid8, 8) != 0)
        entry = entry->next;
    return entry == NULL ? NULL : dot2_cert_up_ref(entry->cert);
}
