/*
 * tls_tickets.c: the keys of session tickets.
 *
 * OpenSSL makes one key when a context is made and keeps it: whoever takes it from a server that
 * has run for a year can read a year of TLS 1.2 sessions that ended with a ticket. Here a key seals
 * for one lifetime of a ticket and opens for one more, and is then overwritten. All loops share the
 * keys, since they share the context; a context that takes another's place takes them over.
 */
#include "protocol/ra/tls_tickets.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#define LIFETIME 7200 /* seconds: OpenSSL's own for a session */
#define NAME_SIZE 16

struct ticket_key {
    bool used;
    int64_t made; /* seconds of the monotonic clock */
    unsigned char name[NAME_SIZE], cipher[32], mac[32];
};

struct tickets {
    unsigned refs;
    OSSL_LIB_CTX *libctx;
    EVP_CIPHER *aes;
    struct ticket_key newest, before;
};

/* Of all that follows: a context may get another's keys while handshakes of its own are open. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t index_once = PTHREAD_ONCE_INIT;
static int tickets_index = -1;

static int64_t uptime(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* With the lock held, as expire(), key_make() and key_set(). */
static void release(struct tickets *tickets)
{
    if (tickets == NULL || --tickets->refs > 0)
        return;
    EVP_CIPHER_free(tickets->aes);
    OPENSSL_clear_free(tickets, sizeof *tickets);
}

static void ctx_free(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl,
                     void *argp)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    pthread_mutex_lock(&lock);
    release(pointer);
    pthread_mutex_unlock(&lock);
}

static void make_index(void)
{
    tickets_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, ctx_free);
}

/* Forgets what is too old. */
static void expire(struct tickets *tickets, int64_t now)
{
    if (tickets->newest.used && now - tickets->newest.made >= LIFETIME) {
        tickets->before = tickets->newest;
        OPENSSL_cleanse(&tickets->newest, sizeof tickets->newest);
    }
    if (tickets->before.used && now - tickets->before.made >= 2 * LIFETIME)
        OPENSSL_cleanse(&tickets->before, sizeof tickets->before);
}

static bool key_make(struct tickets *tickets, int64_t now)
{
    struct ticket_key *key = &tickets->newest;

    if (RAND_bytes_ex(tickets->libctx, key->name, sizeof key->name, 0) != 1 ||
        RAND_priv_bytes_ex(tickets->libctx, key->cipher, sizeof key->cipher, 0) != 1 ||
        RAND_priv_bytes_ex(tickets->libctx, key->mac, sizeof key->mac, 0) != 1)
        return false;
    key->made = now;
    key->used = true;
    return true;
}

static bool key_set(const struct tickets *tickets, const struct ticket_key *key, unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
    char digest[] = "SHA256";
    unsigned char octets[sizeof key->mac];
    OSSL_PARAM params[] = {OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, octets, sizeof octets),
                           OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof digest - 1),
                           OSSL_PARAM_END};
    bool done;

    memcpy(octets, key->mac, sizeof octets);
    done = EVP_CipherInit_ex2(cipher, tickets->aes, key->cipher, iv, encrypt, NULL) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(octets, sizeof octets);
    return done;
}

/*
 * OpenSSL's: 1 go on, 2 go on and give a new ticket, 0 no ticket or none that is ours, -1 fail.
 * With TLS 1.3 a client uses a ticket once: without a new one it could not come back a second time.
 */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    struct tickets *tickets;
    int64_t now = uptime();
    int again = SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1, result = 0;

    pthread_mutex_lock(&lock);
    tickets = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tickets_index);
    expire(tickets, now);
    if (encrypt) {
        if ((tickets->newest.used || key_make(tickets, now)) &&
            RAND_bytes_ex(tickets->libctx, iv, (size_t)EVP_CIPHER_get_iv_length(tickets->aes), 0) ==
                1 &&
            key_set(tickets, &tickets->newest, iv, cipher, mac, 1)) {
            memcpy(name, tickets->newest.name, NAME_SIZE);
            result = 1;
        }
    } else if (tickets->newest.used && memcmp(name, tickets->newest.name, NAME_SIZE) == 0) {
        result = key_set(tickets, &tickets->newest, iv, cipher, mac, 0) ? again : -1;
    } else if (tickets->before.used && memcmp(name, tickets->before.name, NAME_SIZE) == 0) {
        result = key_set(tickets, &tickets->before, iv, cipher, mac, 0) ? 2 : -1;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

bool ra_tls_tickets_new(SSL_CTX *tls, OSSL_LIB_CTX *libctx)
{
    struct tickets *tickets = OPENSSL_zalloc(sizeof *tickets);

    pthread_once(&index_once, make_index);
    if (tickets == NULL)
        return false;
    tickets->refs = 1;
    tickets->libctx = libctx;
    tickets->aes = EVP_CIPHER_fetch(libctx, "AES-256-CBC", NULL);
    if (tickets->aes == NULL || tickets_index < 0 ||
        SSL_CTX_set_ex_data(tls, tickets_index, tickets) != 1) {
        EVP_CIPHER_free(tickets->aes);
        OPENSSL_free(tickets);
        return false;
    }
    SSL_CTX_set_timeout(tls, LIFETIME);
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(tls, on_ticket) == 1;
}

void ra_tls_tickets_keep(SSL_CTX *before, SSL_CTX *after)
{
    struct tickets *kept, *replaced;

    pthread_mutex_lock(&lock);
    kept = SSL_CTX_get_ex_data(before, tickets_index);
    replaced = SSL_CTX_get_ex_data(after, tickets_index);
    if (kept != NULL && replaced != NULL && kept != replaced &&
        SSL_CTX_set_ex_data(after, tickets_index, kept) == 1) {
        kept->refs++;
        release(replaced);
    }
    pthread_mutex_unlock(&lock);
}

void ra_tls_tickets_age(SSL_CTX *tls, unsigned seconds)
{
    struct tickets *tickets;

    pthread_mutex_lock(&lock);
    tickets = SSL_CTX_get_ex_data(tls, tickets_index);
    tickets->newest.made -= seconds;
    tickets->before.made -= seconds;
    pthread_mutex_unlock(&lock);
}
