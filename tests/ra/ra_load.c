/*
 * ra_load.c: devices that ask an RA for application certificates without a pause, and go on when it
 * is gone: the same body is sent again until there is an answer.
 *
 *   ra_load LAB PORT-FILE LOG THREADS [away]
 *
 * LAB is a directory of dot2hsm lab init; the port is read anew for each try. Ends on SIGTERM, when
 * every body has its answer, after it has sent some of them once more. With "away", the store may
 * be away: a refusal for that is no answer.
 *
 * A line of LOG is a letter and the SHA-256 of a body:
 *   A   acknowledged, by an ack that verifies
 *   D   refused as a duplicate, after a try without an answer: accepted by that try
 *   X   anything else, with a reason
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/sha.h>

#include "protocol/ee/ee.h"

#define AGAIN 8           /* bodies of each thread that are sent once more at the end */
#define WITHOUT_ANSWER 60 /* seconds after which that is an error */

static OSSL_LIB_CTX *libctx;
static dot2_crypto *crypto;
static dot2_cert *device, *ra, *root, *ica;
static EVP_PKEY *device_key;
static char tls_root[512];
static const char *port_file;
static int log_fd = -1;
static bool store_may_be_away;
static atomic_int stop; /* set by a signal, read by all threads */

struct body {
    uint8_t *octets;
    size_t size;
    uint8_t hash[32];
};

static void on_term(int number)
{
    (void)number;
    stop = 1;
}

static void require(bool ok, const char *what, const struct dot2_error *error)
{
    if (ok)
        return;
    fprintf(stderr, "ra_load: %s %s %s\n", what, error == NULL ? "" : error->field,
            error == NULL ? "" : error->detail);
    exit(1);
}

static void path_in(const char *lab, const char *name, char path[512])
{
    require(snprintf(path, 512, "%s/%s", lab, name) < 512, lab, NULL);
}

static dot2_cert *load_cert(const char *lab, const char *name)
{
    struct dot2_error error = {0};
    dot2_cert *cert = NULL;
    uint8_t octets[4096];
    char path[512];
    FILE *file;
    size_t size;

    path_in(lab, name, path);
    file = fopen(path, "rb");
    require(file != NULL, path, NULL);
    size = fread(octets, 1, sizeof octets, file);
    fclose(file);
    require(dot2_cert_new(crypto, octets, size, &cert, &error) == DOT2_OK, path, &error);
    return cert;
}

static EVP_PKEY *load_key(const char *lab, const char *name)
{
    char path[512];
    EVP_PKEY *key;
    FILE *file;

    path_in(lab, name, path);
    file = fopen(path, "r");
    require(file != NULL, path, NULL);
    key = PEM_read_PrivateKey_ex(file, NULL, NULL, NULL, libctx, "?provider=default");
    require(key != NULL, path, NULL);
    fclose(file);
    return key;
}

/* One line, in one write(): threads share the file. */
static void say(char letter, const struct body *body, const char *reason)
{
    char line[400];
    int n = snprintf(line, sizeof line, "%c ", letter);

    for (size_t i = 0; i < sizeof body->hash; i++)
        n += snprintf(line + n, 3, "%02X", (unsigned)body->hash[i]);
    n += snprintf(line + n, sizeof line - (size_t)n, "%s%.300s\n", *reason == '\0' ? "" : " ",
                  reason);
    require(write(log_fd, line, (size_t)n) == n, "log", NULL);
}

static struct body body_new(void)
{
    struct dot2_error error = {0};
    struct scms_app_request request = {
        .verify_key = EVP_PKEY_Q_keygen(libctx, "provider=default", "EC", "P-256"),
        .response_encryption_key = EVP_PKEY_Q_keygen(libctx, "provider=default", "EC", "P-256")};
    struct body body = {NULL, 0, {0}};
    uint8_t *tbs = NULL, *octets = NULL;
    size_t tbs_size = 0, size = 0;

    require(dot2_time32_now(&request.current_time) == DOT2_OK, "time", NULL);
    request.requested_start_time = request.current_time;
    require(scms_app_request_build(&request, &tbs, &tbs_size, &error) == DOT2_OK &&
                scms_signed_request_build(crypto, device_key, device, tbs, tbs_size, &octets, &size,
                                          &error) == DOT2_OK &&
                scms_secured_build(crypto, ra, octets, size, &body.octets, &body.size, &error) ==
                    DOT2_OK,
            "body", &error);
    SHA256(body.octets, body.size, body.hash);
    EVP_PKEY_free(request.verify_key);
    EVP_PKEY_free(request.response_encryption_key);
    OPENSSL_free(tbs);
    OPENSSL_free(octets);
    return body;
}

static enum ee_status build(void *arg, uint8_t **octets, size_t *size, struct ee_error *error)
{
    const struct body *body = arg;

    (void)error;
    *octets = OPENSSL_memdup(body->octets, body->size);
    *size = body->size;
    return *octets == NULL ? EE_E_MEMORY : EE_OK;
}

static enum ee_status try(struct body *body, struct ee_post_result *result, struct ee_error *error)
{
    char url[64];
    struct ee_config config = {
        .ra_url = url, .tls_root = tls_root, .crypto = crypto, .stall_timeout = 20};
    struct ee_post post = {.path = "/provision-application-certificate",
                           .size = body->size,
                           .build = build,
                           .build_arg = body};
    unsigned port = 0;
    FILE *file = fopen(port_file, "r");
    char resolve[64];

    memset(error, 0, sizeof *error);
    if (file == NULL || fscanf(file, "%u", &port) != 1)
        port = 0;
    if (file != NULL)
        fclose(file);
    if (port == 0) /* being started */
        return EE_E_UNREACHABLE;
    snprintf(url, sizeof url, "https://localhost:%u", port);
    snprintf(resolve, sizeof resolve, "localhost:%u:127.0.0.1", port);
    config.resolve = resolve;
    return ee_post(&config, &post, result, error);
}

static bool ack_is_good(dot2_trust *trust, const struct body *body,
                        const struct ee_post_result *result)
{
    struct scms_ack ack;
    uint32_t now = 0;

    return dot2_time32_now(&now) == DOT2_OK &&
           scms_ack_open(trust, ra, now, result->body, result->size, &ack, NULL) == DOT2_OK &&
           ack.kind == SCMS_PROVISION_APP && memcmp(ack.request_hash, body->hash + 24, 8) == 0;
}

/* Until there is an answer. known: it must be a duplicate, and is not logged if it is one. */
static void deliver(dot2_trust *trust, struct body *body, bool known)
{
    static const struct timespec pause = {.tv_nsec = 20000000};
    bool unanswered = false;
    time_t begin = time(NULL);

    while (time(NULL) - begin < WITHOUT_ANSWER) {
        struct ee_post_result result = {.body = NULL};
        struct ee_error error;
        enum ee_status status = try(body, &result, &error);

        if (status == EE_OK) {
            bool good = ack_is_good(trust, body, &result);

            ee_post_result_clear(&result);
            say(good && !known ? 'A' : 'X', body,
                !good   ? "an ack that is none"
                : known ? "accepted twice"
                        : "");
            return;
        }
        ee_post_result_clear(&result);
        if (error.scms_code == SCMS_RA_DUPLICATE_REQUEST_RECEIVED) {
            if (!known)
                say(unanswered ? 'D' : 'X', body, unanswered ? "" : "a duplicate at once");
            return;
        }
        /* An answer of which the end is missing is none. */
        if (error.http_status != 0 && status != EE_E_UNREACHABLE &&
            !(store_may_be_away && error.scms_code == SCMS_RA_AUTHENTICATION_FAILED)) {
            char reason[300];

            snprintf(reason, sizeof reason, "status %ld, code %d: %s", error.http_status,
                     error.scms_code, error.detail);
            say('X', body, reason);
            return;
        }
        unanswered = true;
        nanosleep(&pause, NULL);
    }
    say('X', body, "no answer");
}

static void *run(void *arg)
{
    struct body kept[AGAIN] = {{NULL, 0, {0}}};
    dot2_trust *trust = NULL;
    size_t count = 0;

    (void)arg;
    require(dot2_trust_new(crypto, NULL, &trust) == DOT2_OK &&
                dot2_trust_add_anchor(trust, root) == DOT2_OK &&
                dot2_trust_add(trust, ica) == DOT2_OK && dot2_trust_add(trust, ra) == DOT2_OK,
            "trust", NULL);
    while (!stop) {
        struct body *body = &kept[count++ % AGAIN];

        OPENSSL_free(body->octets);
        *body = body_new();
        deliver(trust, body, false);
    }
    for (size_t i = 0; i < AGAIN; i++) {
        if (kept[i].octets != NULL)
            deliver(trust, &kept[i], true);
        OPENSSL_free(kept[i].octets);
    }
    dot2_trust_free(trust);
    return NULL;
}

static void load_all(const char *lab)
{
    path_in(lab, "trust/x509-root.pem", tls_root);
    root = load_cert(lab, "trust/root.oer");
    ica = load_cert(lab, "trust/ica.oer");
    ra = load_cert(lab, "trust/ra.oer");
    device = load_cert(lab, "rse/enrollment.oer");
    device_key = load_key(lab, "rse/enrollment.key");
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_term};
    struct dot2_error error = {0};
    OSSL_PROVIDER *ours, *base;
    pthread_t threads[16];
    int count = argc == 5 || argc == 6 ? atoi(argv[4]) : 0;

    if (count < 1 || count > 16) {
        fprintf(stderr, "usage: ra_load LAB PORT-FILE LOG THREADS [away]\n");
        return 2;
    }
    store_may_be_away = argc == 6 && strcmp(argv[5], "away") == 0;
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    libctx = OSSL_LIB_CTX_new();
    require(libctx != NULL &&
                OSSL_PROVIDER_set_default_search_path(libctx, getenv("DOT2HSM_MODULES")) == 1,
            "library context", NULL);
    base = OSSL_PROVIDER_load(libctx, "default");
    ours = OSSL_PROVIDER_load(libctx, "dot2hsm");
    require(ours != NULL && base != NULL, "providers", NULL);
    require(dot2_crypto_new(libctx, &crypto, &error) == DOT2_OK, "crypto", &error);
    load_all(argv[1]);
    port_file = argv[2];
    log_fd = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    require(log_fd >= 0, argv[3], NULL);
    for (int i = 0; i < count; i++)
        require(pthread_create(&threads[i], NULL, run, NULL) == 0, "thread", NULL);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    close(log_fd);
    dot2_cert_free(device);
    dot2_cert_free(ra);
    dot2_cert_free(root);
    dot2_cert_free(ica);
    EVP_PKEY_free(device_key);
    dot2_crypto_free(crypto);
    OSSL_PROVIDER_unload(ours);
    OSSL_PROVIDER_unload(base);
    OSSL_LIB_CTX_free(libctx);
    return 0;
}
