/*
 * peers.c: connections by address: a hash table of chains.
 */
#include "protocol/ra/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#define BUCKETS 4096

struct peer {
    struct in6_addr address;
    unsigned count;
    struct peer *next;
};

struct ra_peers {
    pthread_mutex_t lock;
    uint64_t key; /* so that nobody can choose addresses that fall into one chain */
    struct peer *buckets[BUCKETS];
};

ra_peers *ra_peers_new(void)
{
    ra_peers *peers = OPENSSL_zalloc(sizeof *peers);

    if (peers == NULL)
        return NULL;
    if (RAND_bytes((unsigned char *)&peers->key, sizeof peers->key) != 1) {
        OPENSSL_free(peers);
        return NULL;
    }
    pthread_mutex_init(&peers->lock, NULL);
    return peers;
}

void ra_peers_free(ra_peers *peers)
{
    if (peers == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (peers->buckets[i] != NULL) {
            struct peer *peer = peers->buckets[i];

            peers->buckets[i] = peer->next;
            OPENSSL_free(peer);
        }
    }
    pthread_mutex_destroy(&peers->lock);
    OPENSSL_free(peers);
}

static struct peer **bucket_of(ra_peers *peers, const struct in6_addr *address)
{
    uint64_t halves[2], hash;

    memcpy(halves, address, sizeof halves);
    hash = (halves[0] ^ peers->key) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (hash >> 29) ^ halves[1]) * UINT64_C(0xbf58476d1ce4e5b9);
    return &peers->buckets[(hash >> 40) % BUCKETS];
}

static struct peer **find(ra_peers *peers, const struct in6_addr *address)
{
    struct peer **at = bucket_of(peers, address);

    while (*at != NULL && memcmp(&(*at)->address, address, sizeof *address) != 0)
        at = &(*at)->next;
    return at;
}

int ra_peers_enter(ra_peers *peers, const struct in6_addr *address, unsigned max)
{
    struct peer **at;
    int error = 0;

    pthread_mutex_lock(&peers->lock);
    at = find(peers, address);
    if (*at == NULL) {
        *at = OPENSSL_zalloc(sizeof **at);
        if (*at != NULL)
            (*at)->address = *address;
    }
    if (*at == NULL)
        error = ENOMEM;
    else if ((*at)->count >= max)
        error = EUSERS;
    else
        (*at)->count++;
    pthread_mutex_unlock(&peers->lock);
    return error;
}

void ra_peers_leave(ra_peers *peers, const struct in6_addr *address)
{
    struct peer **at, *peer;

    pthread_mutex_lock(&peers->lock);
    at = find(peers, address);
    peer = *at;
    if (peer != NULL && --peer->count == 0) {
        *at = peer->next;
        OPENSSL_free(peer);
    }
    pthread_mutex_unlock(&peers->lock);
}
