/*
 * test_scarce_server.c: allocations fail, the first, the second, and so on, in a server that serves
 * over TLS, and as it is made: one alone, or with all that follow. The one connection is refused or
 * ends, and the log says why; the next is served as if nothing had been; no connection stays
 * behind; a request that got an ack is in the store, one that was refused is not.
 */
#include "tests/ra/posting.h"
#include "tests/security/scarce.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <openssl/sha.h>

#define NAME "AB09281C9867DE53.zip"
#define LARGE_NAME "AB09281C9867DE54.zip"
#define LARGE 700000 /* more than is hashed in one turn of a loop */
#define APP_URL "/download/application-certificate"
#define CHAIN_URL "/download/local-certificate-chain"

enum outcome {
    RIGHT,   /* served as it should be */
    REFUSED, /* with an error of the server's own */
    ENDED    /* without an answer */
};

/* One connection with all that is asked on it; counts how it ended. */
typedef enum outcome asking(struct posting *posting);

/* Not everything: what came of it is cut off, or an answer that there is no memory. */
static enum outcome judge(struct response *response)
{
    enum outcome outcome = response->status == 0 ? ENDED : REFUSED;

    if (outcome == REFUSED && response->status != 500) {
        /* The content was promised, and the connection ended before all of it was sent. */
        const char *length = response_header(response, "Content-Length");

        if (response->status != 200 && response->status != 206)
            fail_msg("status %d", response->status);
        assert_non_null(length);
        assert_true(response->size < strtoul(length, NULL, 10));
        outcome = ENDED;
    }
    response_clear(response);
    return outcome;
}

static bool is_whole(const struct response *response, int status, size_t from, size_t size)
{
    const char *etag = response_header(response, "ETag");
    const char *length = response_header(response, "Content-Length");

    if (response->status != status || response->size != size)
        return false;
    assert_non_null(etag);
    assert_non_null(length);
    assert_int_equal(strtoul(length, NULL, 10), size);
    assert_non_null(response_header(response, "Content-Type"));
    assert_int_equal(response_header(response, "Content-Range") != NULL, status == 206);
    assert_pattern(response, from, size);
    return true;
}

static enum outcome ask(struct posting *posting, const char *method, const char *path,
                        const char *headers, int status, size_t from, size_t size)
{
    struct client *client = client_open(posting->served, NULL);
    struct response response;

    if (client == NULL)
        return ENDED;
    response = request_on(client, method, path, headers);
    client_close(client);
    if (!is_whole(&response, status, from, size))
        return judge(&response);
    response_clear(&response);
    return RIGHT;
}

static enum outcome ask_device(struct posting *posting, const char *name, const char *more,
                               int status, size_t from, size_t size)
{
    struct served *served = posting->served;
    char *headers = authenticated(served, &posting->lab->device, name, more);
    enum outcome outcome = ask(posting, "GET", APP_URL, headers, status, from, size);

    OPENSSL_free(headers);
    return outcome;
}

static enum outcome download_small(struct posting *posting)
{
    return ask_device(posting, NAME, "", 200, 0, 1000);
}

static enum outcome download_range(struct posting *posting)
{
    return ask_device(posting, NAME, "Range: bytes=100-199\r\n", 206, 100, 100);
}

static enum outcome download_large(struct posting *posting)
{
    return ask_device(posting, LARGE_NAME, "", 200, 0, LARGE);
}

static enum outcome download_public(struct posting *posting)
{
    return ask(posting, "GET", CHAIN_URL, "", 200, 0, 1000);
}

static enum outcome refused(struct posting *posting)
{
    struct client *client = client_open(posting->served, NULL);
    struct response response;

    if (client == NULL)
        return ENDED;
    response = request_on(client, "GET", "/nothing", "");
    client_close(client);
    if (response.status != 404)
        return judge(&response);
    assert_int_equal(response.size, 0);
    assert_string_equal(response_header(&response, "Content-Length"), "0");
    assert_non_null(response_header(&response, "SCMS-POC-Error"));
    response_clear(&response);
    return RIGHT;
}

static enum outcome opened_and_closed(struct posting *posting)
{
    struct client *client = client_open(posting->served, NULL);

    if (client == NULL)
        return ENDED;
    client_close(client);
    return RIGHT;
}

/* One after the other on one connection. */
static enum outcome kept_alive(struct posting *posting)
{
    struct client *client = client_open(posting->served, NULL);
    enum outcome outcome = RIGHT;

    if (client == NULL)
        return ENDED;
    for (int i = 0; i < 2 && outcome == RIGHT; i++) {
        struct response response = request_on(client, "GET", CHAIN_URL, "");

        outcome = is_whole(&response, 200, 0, 1000) ? RIGHT : judge(&response);
        response_clear(&response);
    }
    client_close(client);
    return outcome;
}

static bool is_stored(struct posting *posting, const struct octets *body)
{
    enum ra_request_state request_state;
    uint8_t hash[32], requester[48];
    size_t size;

    SHA256(body->data, body->size, hash);
    return ra_request_find(posting->lab->store, hash + 24, &request_state, requester, &size) ==
           RA_STORE_OK;
}

static enum outcome post_request(struct posting *posting)
{
    struct octets body = posting_body(posting, &posting->lab->device, NULL);
    struct client *client = client_open(posting->served, NULL);
    enum outcome outcome = ENDED;
    struct response response;

    if (client != NULL) {
        response = post_on(client, APP_PATH, OCTETS, &body);
        client_close(client);
        if (response.status == 200 && response.size > 0) {
            assert_true(is_stored(posting, &body));
            assert_ack(posting, &response, &body, SCMS_PROVISION_APP, APP_URL);
            outcome = RIGHT;
        } else {
            outcome = judge(&response);
        }
    }
    if (outcome == REFUSED)
        assert_false(is_stored(posting, &body));
    octets_clear(&body);
    return outcome;
}

static enum outcome retrieve_certificate(struct posting *posting)
{
    struct client *client = client_open(posting->served, NULL);
    struct octets body = {NULL, 0};
    struct response response;

    if (client == NULL)
        return ENDED;
    body.data = (uint8_t *)(uintptr_t)scms_ra_cert_request(&body.size);
    response = post_on(client, "/retrieve-ra-certificate", OCTETS, &body);
    client_close(client);
    if (response.status != 200 || response.size == 0)
        return judge(&response);
    response_clear(&response);
    return RIGHT;
}

/* ---- one after the other ---- */

static void pause_ms(long milliseconds)
{
    struct timespec pause = {.tv_nsec = milliseconds * 1000000};

    nanosleep(&pause, NULL);
}

static bool is_idle(const struct posting *posting)
{
    ra_server *const servers[] = {posting->served->server};
    struct evbuffer *figures = evbuffer_new();
    bool idle;

    assert_non_null(figures);
    assert_int_equal(ra_server_metrics(servers, 1, figures), 0);
    evbuffer_add(figures, "", 1);
    idle = strstr((char *)evbuffer_pullup(figures, -1), "\ndot2hsm_ra_connections 0\n") != NULL;
    evbuffer_free(figures);
    return idle;
}

static bool has_logged(struct served *served, const char *text)
{
    bool found;

    pthread_mutex_lock(&served->lock);
    found = served->log_size > 0 && strstr(served->log, text) != NULL;
    pthread_mutex_unlock(&served->lock);
    return found;
}

/* Every connection has gone, and not for want of time. */
static void wait_idle(const struct posting *posting, const char *name, unsigned n)
{
    struct served *served = posting->served;

    for (int i = 0; i < 20000 && !is_idle(posting); i++)
        pause_ms(1);
    if (!is_idle(posting) || has_logged(served, "timeout"))
        fail_msg("%s, allocation %u: a connection stays:\n%s", name, n, served->log);
}

static enum outcome try(struct posting *posting, const char *name, asking *asks, unsigned n,
                        bool lasting, unsigned *counted, bool *failed)
{
    struct served *served = posting->served;
    enum outcome outcome;
    time_t begin;

    served_log_clear(served);
    scarce_all_set(n, lasting);
    begin = time(NULL);
    outcome = asks(posting);
    if (time(NULL) - begin > 4)
        fail_msg("%s, allocation %u: the peer was left waiting:\n%s", name, n, served->log);
    wait_idle(posting, name, n);
    *failed = scarce_all_end(counted);
    if (outcome == RIGHT)
        return outcome;
    if (!*failed)
        fail_msg("%s, allocation %u: no allocation has failed:\n%s", name, n, served->log);
    if (!has_logged(served, "reason=memory") && !has_logged(served, "event=libevent") &&
        !has_logged(served, "reason=internal") && !has_logged(served, "reason=store"))
        fail_msg("%s, allocation %u: not in the log:\n%s", name, n, served->log);
    return outcome;
}

static void one_after_the_other(struct posting *posting, const char *name, asking *asks)
{
    unsigned outcomes[3] = {0}, counted;
    bool failed;

    /* What is done once is done; then how many there are. */
    assert_int_equal(try(posting, name, asks, 0, false, &counted, &failed), RIGHT);
    assert_int_equal(try(posting, name, asks, 0, false, &counted, &failed), RIGHT);
    assert_true(counted > 0);
    for (unsigned n = 1; n <= counted; n++) {
        outcomes[try(posting, name, asks, n, false, NULL, &failed)]++;
        outcomes[try(posting, name, asks, n, true, NULL, &failed)]++;
        assert_int_equal(try(posting, name, asks, 0, false, NULL, &failed), RIGHT);
    }
    print_message("%s: %u allocations, served %u times, refused %u, ended %u\n", name, counted,
                  outcomes[RIGHT], outcomes[REFUSED], outcomes[ENDED]);
    assert_true(outcomes[ENDED] > 0);
}

#define TEST(what)                                                                                 \
    static void test_##what(void **state)                                                          \
    {                                                                                              \
        one_after_the_other(*state, #what, what);                                                  \
    }

TEST(opened_and_closed)
TEST(refused)
TEST(download_public)
TEST(kept_alive)
TEST(download_small)
TEST(download_range)
TEST(download_large)
TEST(post_request)
TEST(retrieve_certificate)

static struct served *libevent_log; /* libevent's callback has no argument */

/* What libevent could not allocate before we were asked; the program puts it into its log, too. */
static void on_libevent(int severity, const char *message)
{
    char line[300];

    (void)severity;
    snprintf(line, sizeof line, "event=libevent detail=\"%s\"", message);
    if (libevent_log != NULL)
        served_log_add(libevent_log, line);
}

/* ---- as it is made ---- */

static ra_server *make(struct posting *posting, const struct ra_server_config *config, char *text,
                       size_t size)
{
    struct lab *lab = posting->lab;
    SSL_CTX *tls = ra_tls_new(lab->libctx, lab->tls_path, lab->tls_key, text, size);
    ra_server *server = NULL;

    if (tls != NULL)
        server = ra_server_new(config, lab->crypto, tls, lab->trust, lab->store, text, size);
    SSL_CTX_free(tls);
    return server;
}

static void test_made(void **state)
{
    static const uint64_t psids[] = {0x80};
    struct posting *posting = *state;
    char path[200];
    struct ra_server_config configs[] = {
        {.address = "127.0.0.1",
         .download_dir = posting->lab->downloads,
         .policy_file = path,
         .chain_file = path,
         .url_base = "https://localhost",
         .psids = {[SCMS_PROVISION_APP] = psids},
         .psid_counts = {[SCMS_PROVISION_APP] = 1},
         .keys = posting->keys,
         .threads = 2,
         .provision = ra_provision_default()},
        {.address = "127.0.0.1", .crl_file = path, .threads = 1},
    };

    snprintf(path, sizeof path, "%s/chain.bin", posting->lab->downloads);
    for (size_t i = 0; i < 2; i++) {
        bool failed = true;
        unsigned n;

        for (n = 1; failed; n++) {
            char text[400] = "";
            ra_server *server;

            scarce_set(n);
            server = make(posting, &configs[i], text, sizeof text);
            failed = scarce_end();
            if (server == NULL && (!failed || text[0] == '\0'))
                fail_msg("server %zu, allocation %u: \"%s\"", i, n, text);
            ra_server_free(server);
        }
        assert_true(n > 10);
    }
}

static int setup(void **state)
{
    struct ra_server_config config = {.stage = RA_STAGE_QA,
                                      .tolerance = UINT32_MAX,
                                      .threads = 1,
                                      .header_deadline = 8,
                                      .body_deadline = 8,
                                      .idle_timeout = 8,
                                      .write_deadline = 8,
                                      .provision = ra_provision_default()};
    struct posting *posting;
    struct lab *lab;
    char chain[200];

    config.provision.limits.max_requests = 0;
    config.provision.limits.one_application = false;
    posting = posting_start(&config);
    libevent_log = posting->served;
    lab = posting->lab;
    lab_file(lab, NAME, &lab->device, 1000);
    lab_file(lab, LARGE_NAME, &lab->device, LARGE);
    lab_file(lab, "chain.bin", NULL, 1000);
    snprintf(chain, sizeof chain, "%s/chain.bin", lab->downloads);
    assert_int_equal(ra_server_set_files(posting->served->server, NULL, chain, NULL, 0), 0);
    *state = posting;
    return 0;
}

static int teardown(void **state)
{
    libevent_log = NULL;
    posting_stop(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opened_and_closed),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_download_public),      cmocka_unit_test(test_kept_alive),
        cmocka_unit_test(test_download_small),       cmocka_unit_test(test_download_range),
        cmocka_unit_test(test_download_large),       cmocka_unit_test(test_post_request),
        cmocka_unit_test(test_retrieve_certificate), cmocka_unit_test(test_made),
    };

    scarce_libevent();
    event_set_log_callback(on_libevent);
    signal(SIGPIPE, SIG_IGN); /* a server that ends the connection is what this is about */
    scarce_spare();
    return cmocka_run_group_tests(tests, setup, teardown);
}
