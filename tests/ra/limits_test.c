/*
 * limits_test.c: time, number and order: deadlines, caps, slow readers, the end, many at once.
 */
#include "tests/ra/served.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LARGE (16 * 1024 * 1024) /* more than the buffers of a connection hold */

static struct served *start(struct ra_server_config config, size_t size)
{
    config.tolerance = 60;
    return served_chained(config, size);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void nap(unsigned milliseconds)
{
    struct timespec pause = {.tv_sec = milliseconds / 1000,
                             .tv_nsec = (long)(milliseconds % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

/* A header that comes octet by octet, for ever: the deadline is for the whole of it. */
static void header_dripped(void **state)
{
    struct served *served = start((struct ra_server_config){.header_deadline = 1}, 10);
    struct client *client = client_open(served, NULL);
    double begin = seconds();
    enum ending ending = ENDING_OPEN;

    (void)state;
    client_say(client, "GET " CHAIN " HTTP/1.1\r\nHost: a\r\nX: ");
    while (seconds() - begin < 10 && ending == ENDING_OPEN) {
        client_say(client, "y");
        ending = client_ending(client, 100);
    }
    assert_int_not_equal(ending, ENDING_DATA);
    assert_int_not_equal(ending, ENDING_OPEN);
    assert_true(seconds() - begin < 5);
    assert_logged(served, "event=closed reason=header_timeout");
    client_close(client);
    served_end(served);
}

static void handshake_not_begun(void **state)
{
    struct served *served = start((struct ra_server_config){.header_deadline = 1}, 10);
    int fd = client_connect(served, 0);
    double begin = seconds();
    char octet;

    (void)state;
    assert_true(recv(fd, &octet, 1, 0) <= 0);
    assert_true(seconds() - begin < 5);
    assert_logged(served, "event=closed reason=handshake_timeout");
    close(fd);
    served_end(served);
}

static void body_not_sent(void **state)
{
    struct served *served = start((struct ra_server_config){.body_deadline = 1}, 10);
    struct client *client = client_open(served, NULL);

    (void)state;
    client_say(client, "GET " CHAIN " HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_int_equal(client_ending(client, 5000), ENDING_NOTIFY);
    assert_logged(served, "event=closed reason=body_timeout");
    client_close(client);
    served_end(served);
}

/* Between requests the idle timeout holds, and a request that has begun has the header's again. */
static void idle(void **state)
{
    struct served *served =
        start((struct ra_server_config){.idle_timeout = 1, .header_deadline = 3}, 10);
    struct client *client = client_open(served, NULL);
    struct response response;

    (void)state;
    for (int i = 0; i < 3; i++) {
        response = request_on(client, "GET", CHAIN, "");
        assert_int_equal(response.status, 200);
        response_clear(&response);
        nap(400);
    }
    client_say(client, "GET " CHAIN " HTTP/1.1\r\n");
    nap(1500);
    client_say(client, "Host: a\r\n\r\n");
    response = client_read(client, false);
    assert_int_equal(response.status, 200);
    response_clear(&response);
    assert_int_equal(client_ending(client, 5000), ENDING_NOTIFY);
    client_close(client);
    served_end(served);
}

static struct client *begin_large(struct served *served)
{
    struct client *client = client_open(served, NULL);
    char *headers = authenticated(served, &served->lab->device, NAME, "");

    client_say(client, "GET " APPLICATION " HTTP/1.1\r\nHost: a\r\n");
    client_say(client, headers);
    client_say(client, "\r\n");
    OPENSSL_free(headers);
    return client;
}

static void reader_that_stops(void **state)
{
    struct served *served = start((struct ra_server_config){.write_deadline = 1}, LARGE);
    struct client *client = begin_large(served);

    (void)state;
    assert_logged(served, "event=closed reason=write_timeout");
    assert_logged(served, "event=aborted");
    client_close(client);
    served_end(served);
}

/* It takes a little, again and again: not enough. */
static void reader_that_drips(void **state)
{
    struct served *served = start((struct ra_server_config){.write_deadline = 1}, LARGE);
    struct client *client = begin_large(served);
    double begin = seconds();
    bool ended = false;

    (void)state;
    while (!ended && seconds() - begin < 15) {
        char octets[64];

        if (SSL_read(client->ssl, octets, sizeof octets) <= 0)
            break;
        nap(20);
        pthread_mutex_lock(&served->lock);
        ended = served->log_size > 0 && strstr(served->log, "reason=write_timeout") != NULL;
        pthread_mutex_unlock(&served->lock);
    }
    assert_true(ended);
    client->dead = true;
    client_close(client);
    served_end(served);
}

/* One that is slow but goes on gets all of it, in more time than one deadline. */
static void reader_that_is_slow(void **state)
{
    struct served *served = start((struct ra_server_config){.write_deadline = 1}, LARGE);
    struct client *client = begin_large(served);
    size_t size = 0;
    double begin = seconds();
    static char octets[16384];

    (void)state;
    while (size < LARGE) {
        int n = SSL_read(client->ssl, octets, sizeof octets);

        if (n <= 0)
            fail_msg("ended after %zu octets, %.1f s", size, seconds() - begin);
        size += (size_t)n;
        nap(3);
    }
    assert_true(seconds() - begin > 2);
    client_close(client);
    served_end(served);
}

static void cap_of_an_address(void **state)
{
    struct served *served = start((struct ra_server_config){.max_per_address = 3}, 10);
    struct client *clients[3];
    struct client *more = NULL;

    (void)state;
    for (int i = 0; i < 3; i++) {
        clients[i] = client_open(served, NULL);
        assert_non_null(clients[i]);
    }
    assert_null(client_open(served, NULL));
    assert_logged(served, "event=closed reason=too_many_connections");
    assert_logged(served, "from this address");
    client_close(clients[0]);
    for (int i = 0; i < 100 && more == NULL; i++) {
        nap(20);
        more = client_open(served, NULL);
    }
    assert_non_null(more);
    client_close(more);
    client_close(clients[1]);
    client_close(clients[2]);
    served_end(served);
}

static void cap_in_all(void **state)
{
    struct served *served = start((struct ra_server_config){.max_connections = 2}, 10);
    struct client *first = client_open(served, NULL), *second = client_open(served, NULL);

    (void)state;
    assert_non_null(first);
    assert_non_null(second);
    assert_null(client_open(served, NULL));
    assert_logged(served, "in all");
    client_close(first);
    client_close(second);
    served_end(served);
}

/* An open request is finished; a connection without one ends; nobody new comes in. */
static void stop_finishes(void **state)
{
    struct served *served = start((struct ra_server_config){0}, LARGE);
    struct client *waiting = client_open(served, NULL), *client = begin_large(served);
    struct response response;
    char octets[1];

    (void)state;
    assert_int_equal(SSL_peek(client->ssl, octets, 1), 1);
    ra_server_stop(served->server);
    assert_int_equal(client_ending(waiting, 3000), ENDING_NOTIFY);
    assert_null(client_open(served, NULL));
    response = client_read(client, false);
    assert_int_equal(response.status, 200);
    assert_pattern(&response, 0, LARGE);
    response_clear(&response);
    served_wait(served, 5);
    client_close(waiting);
    client_close(client);
    served_end(served);
}

static void stop_does_not_wait_for_ever(void **state)
{
    struct served *served = start((struct ra_server_config){.stop_deadline = 1}, LARGE);
    struct client *client = begin_large(served);
    char octets[1];

    (void)state;
    assert_int_equal(SSL_peek(client->ssl, octets, 1), 1);
    ra_server_stop(served->server);
    served_wait(served, 5);
    assert_logged(served, "event=closed reason=stopping");
    client_close(client);
    served_end(served);
}

/* Freed while connections are open, and without ever having run. */
static void freed_as_it_is(void **state)
{
    struct lab *lab = lab_new();
    char text[300];
    SSL_CTX *tls = ra_tls_new(lab->libctx, lab->tls_path, lab->tls_key, text, sizeof text);
    struct ra_server_config config = {.address = "127.0.0.1", .download_dir = lab->downloads};
    ra_server *server =
        ra_server_new(&config, lab->crypto, tls, lab->trust, lab->store, text, sizeof text);

    (void)state;
    assert_non_null(server);
    assert_int_not_equal(ra_server_port(server), 0);
    ra_server_free(server);
    ra_server_free(NULL);
    SSL_CTX_free(tls);
    lab_free(lab);
}

/* A file that changes while it is sent must not become a file that never was. */
static void changed(void (*change)(const char *path))
{
    struct served *served = start((struct ra_server_config){0}, LARGE);
    struct client *client = begin_large(served);
    struct response response;
    char path[200];

    assert_int_equal(client_ending(client, 3000), ENDING_DATA); /* takes the H of HTTP */
    snprintf(path, sizeof path, "%s/%s", served->lab->downloads, NAME);
    change(path);
    while (SSL_read(client->ssl, response.head, sizeof response.head) > 0) {
    }
    client->dead = true;
    client_close(client);
    assert_logged(served, "event=closed reason=file_changed");
    assert_logged(served, "event=aborted");
    served_end(served);
}

static void shorten(const char *path)
{
    assert_int_equal(truncate(path, LARGE / 2), 0);
}

static void file_shortened(void **state)
{
    (void)state;
    changed(shorten);
}

static void write_over(const char *path)
{
    FILE *file = fopen(path, "r+b");

    assert_non_null(file);
    assert_int_equal(fseek(file, LARGE - 1, SEEK_SET), 0);
    assert_int_equal(fputc('!', file), '!');
    assert_int_equal(fclose(file), 0);
}

/* As long as it was, so that nothing else would tell. */
static void file_written_over(void **state)
{
    (void)state;
    changed(write_over);
}

struct worker {
    struct served *served;
    struct lab_cert device;
    char name[32];
    atomic_bool *changing;
    unsigned good, refused;
};

static void *work(void *arg)
{
    struct worker *worker = arg;

    for (int i = 0; i < 12; i++) {
        struct response response =
            download(worker->served, APPLICATION, &worker->device, worker->name, "");

        if (response.status == 200 && response.size == 1000)
            worker->good++;
        else if (response.status == 500)
            worker->refused++;
        response_clear(&response);
    }
    return NULL;
}

static void *change(void *arg)
{
    struct worker *worker = arg;
    struct lab *lab = worker->served->lab;

    while (atomic_load(worker->changing)) {
        struct ra_blacklist_entry entry = {.kind = RA_BLACKLIST_HASHEDID8};
        dot2_trust *trust = NULL;

        memcpy(entry.id, dot2_cert_hashedid8(worker->device.cert), 8);
        if (dot2_trust_new(lab->crypto, NULL, &trust) == DOT2_OK &&
            dot2_trust_add_anchor(trust, lab->root.cert) == DOT2_OK &&
            dot2_trust_add(trust, lab->eca.cert) == DOT2_OK)
            ra_server_set_trust(worker->served->server, trust);
        dot2_trust_free(trust);
        ra_server_set_tls(worker->served->server, worker->served->tls);
        ra_blacklist_add(lab->store, &entry);
        ra_blacklist_remove(lab->store, &entry);
        nap(5);
    }
    return NULL;
}

/* Many devices at once, while trust, TLS and the blacklist change under them. */
static void many_at_once(void **state)
{
    struct served *served = start((struct ra_server_config){.threads = 3}, 10);
    struct lab *lab = served->lab;
    atomic_bool changing = true;
    struct worker workers[6];
    pthread_t threads[6], changer;

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        workers[i] = (struct worker){
            .served = served, .device = lab_issue(lab, &lab->eca, NULL), .changing = &changing};
        snprintf(workers[i].name, sizeof workers[i].name, "00000000000000%02X.zip", i);
        lab_file(lab, workers[i].name, &workers[i].device, 1000);
    }
    assert_int_equal(pthread_create(&changer, NULL, change, &workers[0]), 0);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        /* The first is on the blacklist now and then; nobody else is ever refused. */
        assert_int_equal(workers[i].good + workers[i].refused, 12);
        if (i > 0)
            assert_int_equal(workers[i].refused, 0);
    }
    atomic_store(&changing, false);
    assert_int_equal(pthread_join(changer, NULL), 0);
    for (unsigned i = 0; i < 6; i++)
        lab_cert_clear(&workers[i].device);
    served_end(served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_dripped),
        cmocka_unit_test(handshake_not_begun),
        cmocka_unit_test(body_not_sent),
        cmocka_unit_test(idle),
        cmocka_unit_test(reader_that_stops),
        cmocka_unit_test(reader_that_drips),
        cmocka_unit_test(reader_that_is_slow),
        cmocka_unit_test(cap_of_an_address),
        cmocka_unit_test(cap_in_all),
        cmocka_unit_test(stop_finishes),
        cmocka_unit_test(stop_does_not_wait_for_ever),
        cmocka_unit_test(freed_as_it_is),
        cmocka_unit_test(file_shortened),
        cmocka_unit_test(file_written_over),
        cmocka_unit_test(many_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
