/*
 * verdict.c: chains that were verified, and a bounded cache of them.
 *
 * A verdict is immutable and counted. The cache's key is the hash of the octets that were received,
 * not of their canonical form: a verdict says that these octets decode, that this point is on its
 * curve and that this signature verifies, and other octets with the same canonical form may not.
 * The least recently used entry leaves first, so certificates of CAs, which are looked up with each
 * certificate below them, stay.
 */
#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/internal.h"

struct dot2_verdict *dot2_verdict_new(dot2_cert *cert, EVP_PKEY *key,
                                      const struct dot2_verdict *above)
{
    const ToBeSignedCertificate_t *tbs = &cert->base->toBeSigned;
    struct dot2_verdict *verdict = OPENSSL_zalloc(sizeof(*verdict));

    if (verdict == NULL)
        return NULL;
    verdict->references = 1;
    verdict->key = key;
    verdict->curve = dot2_key_curve(key);
    verdict->start = cert->start;
    verdict->end = cert->end;
    verdict->certs[verdict->depth++] = dot2_cert_up_ref(cert);
    verdict->region = tbs->region;
    verdict->assurance = tbs->assuranceLevel != NULL && tbs->assuranceLevel->size == 1
                             ? tbs->assuranceLevel->buf[0] >> 5
                             : -1;
    if (above == NULL)
        return verdict;
    if (above->start > verdict->start)
        verdict->start = above->start;
    if (above->end < verdict->end)
        verdict->end = above->end;
    for (size_t i = 0; i < above->depth; i++)
        verdict->certs[verdict->depth++] = dot2_cert_up_ref(above->certs[i]);
    if (verdict->region == NULL)
        verdict->region = above->region; /* 6.4.8: the region of the issuer holds */
    if (verdict->assurance < 0)
        verdict->assurance = above->assurance;
    return verdict;
}

struct dot2_verdict *dot2_verdict_up_ref(struct dot2_verdict *verdict)
{
    (void)__atomic_add_fetch(&verdict->references, 1, __ATOMIC_RELAXED);
    return verdict;
}

void dot2_verdict_free(struct dot2_verdict *verdict)
{
    if (verdict == NULL || __atomic_sub_fetch(&verdict->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < verdict->depth; i++)
        dot2_cert_free(verdict->certs[i]);
    dot2_verifier_free(verdict->verifier);
    EVP_PKEY_free(verdict->key);
    OPENSSL_free(verdict);
}

struct entry {
    struct entry *next;          /* of the bucket */
    struct entry *newer, *older; /* by use; a ring through the cache's head */
    uint8_t key[DOT2_CACHE_KEY];
    struct dot2_verdict *verdict;
};

struct dot2_cache {
    pthread_mutex_t lock;
    size_t count, limit;
    uint64_t hits, misses;
    size_t mask;
    struct entry head; /* head.older is the newest, head.newer the oldest */
    struct entry *buckets[];
};

dot2_cache *dot2_cache_new(size_t entries)
{
    dot2_cache *cache = NULL;
    size_t buckets = 16;

    while (buckets < entries && buckets < (size_t)1 << 24)
        buckets *= 2;
    cache = OPENSSL_zalloc(sizeof(*cache) + buckets * sizeof(cache->buckets[0]));
    if (cache == NULL)
        return NULL;
    if (pthread_mutex_init(&cache->lock, NULL) != 0) {
        OPENSSL_free(cache);
        return NULL;
    }
    cache->limit = entries;
    cache->mask = buckets - 1;
    cache->head.newer = cache->head.older = &cache->head;
    return cache;
}

/* The key begins with a SHA-256. */
static struct entry **bucket_of(dot2_cache *cache, const uint8_t *key)
{
    size_t index = 0;

    memcpy(&index, key, sizeof(index));
    return &cache->buckets[index & cache->mask];
}

static struct entry **find(dot2_cache *cache, const uint8_t *key)
{
    struct entry **link = bucket_of(cache, key);

    while (*link != NULL && memcmp((*link)->key, key, DOT2_CACHE_KEY) != 0)
        link = &(*link)->next;
    return link;
}

static void unlink_use(struct entry *entry)
{
    entry->newer->older = entry->older;
    entry->older->newer = entry->newer;
}

static void link_newest(dot2_cache *cache, struct entry *entry)
{
    entry->newer = &cache->head;
    entry->older = cache->head.older;
    cache->head.older->newer = entry;
    cache->head.older = entry;
}

/* Takes the entry out; the caller frees it after it has left the lock. */
static struct entry *take_out(dot2_cache *cache, struct entry **link)
{
    struct entry *entry = *link;

    *link = entry->next;
    unlink_use(entry);
    cache->count--;
    return entry;
}

static void entry_free(struct entry *entry)
{
    if (entry == NULL)
        return;
    dot2_verdict_free(entry->verdict);
    OPENSSL_free(entry);
}

void dot2_cache_free(dot2_cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->head.newer != &cache->head)
        entry_free(take_out(cache, find(cache, cache->head.newer->key)));
    pthread_mutex_destroy(&cache->lock);
    OPENSSL_free(cache);
}

struct dot2_verdict *dot2_cache_find(dot2_cache *cache, const uint8_t key[DOT2_CACHE_KEY],
                                     uint32_t time)
{
    struct dot2_verdict *verdict = NULL;
    struct entry *ended = NULL;
    struct entry **link = NULL;

    pthread_mutex_lock(&cache->lock);
    link = find(cache, key);
    if (*link != NULL) {
        struct entry *entry = *link;

        verdict = dot2_verdict_up_ref(entry->verdict);
        if (verdict->end < time) {
            ended = take_out(cache, link);
        } else {
            unlink_use(entry);
            link_newest(cache, entry);
        }
    }
    if (verdict != NULL)
        cache->hits++;
    else
        cache->misses++;
    pthread_mutex_unlock(&cache->lock);
    entry_free(ended);
    return verdict;
}

struct dot2_verdict *dot2_cache_peek(dot2_cache *cache, const uint8_t key[DOT2_CACHE_KEY])
{
    struct dot2_verdict *verdict = NULL;
    struct entry *entry = NULL;

    pthread_mutex_lock(&cache->lock);
    entry = *find(cache, key);
    if (entry != NULL)
        verdict = dot2_verdict_up_ref(entry->verdict);
    pthread_mutex_unlock(&cache->lock);
    return verdict;
}

void dot2_cache_put(dot2_cache *cache, const uint8_t key[DOT2_CACHE_KEY],
                    struct dot2_verdict *verdict)
{
    struct entry *entry = NULL, *oldest = NULL;

    if (cache->limit == 0)
        return;
    entry = OPENSSL_zalloc(sizeof(*entry));
    if (entry == NULL)
        return; /* works without it */
    memcpy(entry->key, key, DOT2_CACHE_KEY);
    entry->verdict = dot2_verdict_up_ref(verdict);
    pthread_mutex_lock(&cache->lock);
    if (*find(cache, key) == NULL) {
        struct entry **bucket = NULL;

        if (cache->count >= cache->limit)
            oldest = take_out(cache, find(cache, cache->head.newer->key));
        bucket = bucket_of(cache, key);
        entry->next = *bucket;
        *bucket = entry;
        link_newest(cache, entry);
        cache->count++;
        entry = NULL;
    }
    pthread_mutex_unlock(&cache->lock);
    entry_free(entry); /* another thread was first */
    entry_free(oldest);
}

void dot2_cache_counts(dot2_cache *cache, struct dot2_cache_counts *counts)
{
    pthread_mutex_lock(&cache->lock);
    *counts = (struct dot2_cache_counts){
        .hits = cache->hits, .misses = cache->misses, .entries = cache->count};
    pthread_mutex_unlock(&cache->lock);
}
