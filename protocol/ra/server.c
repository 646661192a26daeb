/* server.c: a server from its configuration to its end, and what its loops share. */
#include "protocol/ra/server_internal.h"
#include "protocol/ra/tls_tickets.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define DESCRIPTORS_KEPT 100

static int ssl_index = -1;
static pthread_once_t ssl_index_once = PTHREAD_ONCE_INIT;

static void ssl_index_make(void)
{
    ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, ra_conn_ssl_free);
}

void ra_server_log(const struct ra_server *server, int priority, const struct ra_line *line)
{
    if (server->config.log != NULL)
        server->config.log(server->config.log_arg, priority, line->text);
}

static void default_to(unsigned *value, unsigned otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static void config_copy(struct ra_server_config *to, const struct ra_server_config *from)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    *to = *from;
    to->address = to->download_dir = to->policy_file = to->chain_file = NULL;
    to->url_base = to->crl_file = NULL;
    memset(to->paths, 0, sizeof to->paths);
    memset(to->psids, 0, sizeof to->psids);
    to->keys = NULL;
    /* While some wait for a token or a disk, others work. */
    default_to(&to->threads, processors < 1 ? 2 : 2 * (unsigned)processors);
    if (to->tolerance == UINT32_MAX)
        to->tolerance = 5;
    if (to->max_header == 0)
        to->max_header = 8192;
    if (to->max_headers == 0)
        to->max_headers = 16384;
    if (to->max_body == 0)
        to->max_body = 65536;
    default_to(&to->header_deadline, 10);
    default_to(&to->body_deadline, 30);
    default_to(&to->idle_timeout, 60);
    default_to(&to->write_deadline, 60);
    default_to(&to->stop_deadline, 30);
    default_to(&to->max_connections, 10000);
    default_to(&to->max_per_address, 100);
}

/*
 * Connections must not take the descriptors that answers need, or one that is idle keeps all others
 * from being served: so many are left to files, the store and the token.
 */
static void leave_descriptors(struct ra_server *server)
{
    struct rlimit limit;
    struct ra_line line = {.size = 0};
    unsigned *max = &server->config.max_connections;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= (rlim_t)*max + DESCRIPTORS_KEPT)
        return;
    *max = limit.rlim_cur < 2 * DESCRIPTORS_KEPT ? (unsigned)limit.rlim_cur / 2
                                                 : (unsigned)limit.rlim_cur - DESCRIPTORS_KEPT;
    ra_line_add(&line, "event", "connections_limited");
    ra_line_add(&line, "detail", "%u, by the limit of %llu open files", *max,
                (unsigned long long)limit.rlim_cur);
    ra_server_log(server, LOG_WARNING, &line);
}

/* A file whose name goes into headers. */
static bool file_name_valid(const char *path)
{
    const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    size_t size = strlen(name);

    return size > 0 && size < 200 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               size;
}

/* What both names become is made before either is in force. */
static bool names_copy(const char *policy_file, const char *chain_file, char *copies[2], char *text,
                       size_t text_size)
{
    const char *const paths[2] = {policy_file, chain_file};

    copies[0] = copies[1] = NULL;
    for (size_t i = 0; i < 2; i++) {
        if (paths[i] == NULL)
            continue;
        if (!file_name_valid(paths[i])) {
            snprintf(text, text_size, "%s: the file's name may have letters, digits, . _ - only",
                     paths[i]);
            goto fail;
        }
        copies[i] = OPENSSL_strdup(paths[i]);
        if (copies[i] == NULL) {
            snprintf(text, text_size, "out of memory");
            goto fail;
        }
    }
    return true;
fail:
    OPENSSL_free(copies[0]);
    OPENSSL_free(copies[1]);
    return false;
}

static void names_set(ra_server *server, char *const copies[2])
{
    pthread_mutex_lock(&server->lock);
    OPENSSL_free(server->policy_file);
    OPENSSL_free(server->chain_file);
    server->policy_file = copies[0];
    server->chain_file = copies[1];
    pthread_mutex_unlock(&server->lock);
}

int ra_server_set_files(ra_server *server, const char *policy_file, const char *chain_file,
                        char *text, size_t text_size)
{
    char *copies[2];

    if (!names_copy(policy_file, chain_file, copies, text, text_size))
        return -1;
    names_set(server, copies);
    return 0;
}

void ra_server_set_policy_limits(ra_server *server, uint32_t max_request_age, uint32_t max_supply)
{
    atomic_store(&server->max_request_age, max_request_age);
    atomic_store(&server->max_supply, max_supply);
}

static bool psids_copy(ra_server *server, const struct ra_server_config *config)
{
    for (size_t i = 0; i <= SCMS_PROVISION_APP; i++) {
        size_t size = config->psid_counts[i] * sizeof *config->psids[i];

        if (size == 0)
            continue;
        server->psids[i] = OPENSSL_memdup(config->psids[i], size);
        if (server->psids[i] == NULL)
            return false;
    }
    return true;
}

/* What makes it an RA, or an MA's file service. */
static bool services_init(ra_server *server, const struct ra_server_config *config, char *text,
                          size_t text_size)
{
    if (!ra_routes_init(server, config, text, text_size))
        return false;
    if (config->crl_file != NULL) {
        if (!file_name_valid(config->crl_file)) {
            snprintf(text, text_size, "%s: the file's name may have letters, digits, . _ - only",
                     config->crl_file);
            return false;
        }
        server->crl_file = OPENSSL_strdup(config->crl_file);
        if (server->crl_file == NULL)
            snprintf(text, text_size, "out of memory");
        return server->crl_file != NULL;
    }
    server->url_base = config->url_base == NULL ? NULL : OPENSSL_strdup(config->url_base);
    if (!psids_copy(server, config) || (config->url_base != NULL && server->url_base == NULL)) {
        snprintf(text, text_size, "out of memory");
        return false;
    }
    server->directory = ra_directory_new(config->download_dir, text, text_size);
    return server->directory != NULL &&
           ra_server_set_files(server, config->policy_file, config->chain_file, text, text_size) ==
               0;
}

ra_server *ra_server_new(const struct ra_server_config *config, dot2_crypto *crypto, SSL_CTX *tls,
                         dot2_trust *trust, ra_store *store, char *text, size_t text_size)
{
    ra_server *server = OPENSSL_zalloc(sizeof *server);

    if (server == NULL) {
        snprintf(text, text_size, "out of memory");
        return NULL;
    }
    pthread_once(&ssl_index_once, ssl_index_make);
    server->ssl_index = ssl_index;
    config_copy(&server->config, config);
    leave_descriptors(server);
    ra_server_set_policy_limits(server, config->provision.max_request_age,
                                config->provision.max_supply);
    pthread_mutex_init(&server->lock, NULL);
    server->store = store;
    server->crypto = dot2_crypto_up_ref(crypto);
    SSL_CTX_up_ref(tls);
    server->tls = tls;
    server->trust = trust == NULL ? NULL : dot2_trust_up_ref(trust);
    server->peers = ra_peers_new();
    server->sha256 = EVP_MD_fetch(dot2_crypto_libctx(crypto), "SHA256", NULL);
    if (ssl_index < 0 || server->peers == NULL || server->sha256 == NULL) {
        snprintf(text, text_size, "SHA-256 or memory is not to be had");
        goto fail;
    }
    if (!services_init(server, config, text, text_size) ||
        !ra_loops_open(server, config->address, config->port, text, text_size))
        goto fail;
    if (config->keys != NULL && ra_server_set_keys(server, config->keys, text, text_size) != 0)
        goto fail;
    return server;
fail:
    ra_server_free(server);
    return NULL;
}

uint16_t ra_server_port(const ra_server *server)
{
    return server->port;
}

int ra_server_run(ra_server *server)
{
    sigset_t all, before;
    int failed = 0;

    /* Signals are for the thread that called us. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < server->config.threads; i++) {
        struct ra_loop *loop = &server->loops[i];

        if (pthread_create(&loop->thread, NULL, ra_loop_run, loop) != 0) {
            failed = -1;
            ra_server_stop(server);
            break;
        }
        loop->started = true;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (unsigned i = 0; i < server->config.threads; i++) {
        if (server->loops[i].started)
            pthread_join(server->loops[i].thread, NULL);
        server->loops[i].started = false;
    }
    return failed;
}

void ra_server_stop(ra_server *server)
{
    static const uint64_t one = 1;

    for (unsigned i = 0; i < server->config.threads; i++)
        if (write(server->loops[i].wake_fd, &one, sizeof one) < 0) {
            /* The counter is full: it was told often enough. */
        }
}

void ra_server_set_trust(ra_server *server, dot2_trust *trust)
{
    struct dot2_cache_counts counts;
    dot2_trust *before;

    pthread_mutex_lock(&server->lock);
    before = server->trust;
    server->trust = dot2_trust_up_ref(trust);
    if (before != NULL) {
        dot2_trust_cache_counts(before, &counts);
        server->cache_before.hits += counts.hits;
        server->cache_before.misses += counts.misses;
    }
    pthread_mutex_unlock(&server->lock);
    dot2_trust_free(before);
}

int ra_server_set_keys(ra_server *server, ra_keys *keys, char *text, size_t text_size)
{
    ra_keys *before;
    uint32_t now = 0;

    if (keys != NULL && dot2_time32_now(&now) == DOT2_OK && ra_keys_newest(keys, now) == NULL) {
        snprintf(text, text_size, "no certificate of the RA with a key that signs is valid now");
        return -1;
    }
    if (keys != NULL && !ra_urls_valid(server, keys, now, text, text_size))
        return -1;
    pthread_mutex_lock(&server->lock);
    before = server->keys;
    server->keys = ra_keys_up_ref(keys);
    pthread_mutex_unlock(&server->lock);
    ra_keys_free(before);
    return 0;
}

int ra_server_set_keys_and_files(ra_server *server, ra_keys *keys, const char *policy_file,
                                 const char *chain_file, char *text, size_t text_size)
{
    char *copies[2];

    if (!names_copy(policy_file, chain_file, copies, text, text_size))
        return -1;
    if (ra_server_set_keys(server, keys, text, text_size) != 0) {
        OPENSSL_free(copies[0]);
        OPENSSL_free(copies[1]);
        return -1;
    }
    names_set(server, copies);
    return 0;
}

/*
 * The keys of session tickets go over to a context with the same certificate: a device that comes
 * back must not cost the HSM a signature because an operator has reloaded something else.
 */
static void keep_ticket_keys(SSL_CTX *before, SSL_CTX *after)
{
    const X509 *old = SSL_CTX_get0_certificate(before), *new = SSL_CTX_get0_certificate(after);

    if (old != NULL && new != NULL && X509_cmp(old, new) == 0)
        ra_tls_tickets_keep(before, after);
}

void ra_server_set_tls(ra_server *server, SSL_CTX *tls)
{
    SSL_CTX *before;

    SSL_CTX_up_ref(tls);
    pthread_mutex_lock(&server->lock);
    before = server->tls;
    if (before != tls)
        keep_ticket_keys(before, tls);
    server->tls = tls;
    pthread_mutex_unlock(&server->lock);
    SSL_CTX_free(before);
}

void ra_server_free(ra_server *server)
{
    if (server == NULL)
        return;
    for (unsigned i = 0; server->loops != NULL && i < server->config.threads; i++)
        ra_loop_clear(&server->loops[i]);
    free(server->loops);
    OPENSSL_free(server->policy_file);
    OPENSSL_free(server->chain_file);
    OPENSSL_free(server->crl_file);
    OPENSSL_free(server->url_base);
    for (size_t i = 0; i <= SCMS_PROVISION_APP; i++)
        OPENSSL_free(server->psids[i]);
    for (size_t i = 0; i < RA_ROUTES; i++)
        OPENSSL_free(server->paths[i]);
    ra_keys_free(server->keys);
    ra_directory_free(server->directory);
    ra_peers_free(server->peers);
    EVP_MD_free(server->sha256);
    SSL_CTX_free(server->tls);
    dot2_trust_free(server->trust);
    dot2_crypto_free(server->crypto);
    pthread_mutex_destroy(&server->lock);
    OPENSSL_free(server);
}
