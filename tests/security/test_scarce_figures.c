/*
 * test_scarce_figures.c: allocations fail, the first, the second, and so on, one alone or with all
 * that follow, while the figures of the program are asked for. That one connection is told of an
 * error, or ends without an answer, and the log says why; no figure is missing from what is called
 * good; and the next who asks gets them all. Many in a row: none holds a place of the few there
 * are.
 */
#include "apps/ra/ra_app.h"
#include "tests/ra/posting.h"
#include "tests/security/scarce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/event.h>

#define ANSWER_MAX 131072
#define DIGITS "0123456789.eE+-"

struct world {
    struct posting *posting;
    struct ra_app_metrics *metrics;
    char log[300];         /* the path of the file */
    char good[ANSWER_MAX]; /* what is told, without the numbers */
};

/* All that one connection gets, until its end. */
static size_t ask(const struct world *world, const char *request, char answer[ANSWER_MAX])
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(ra_app_metrics_port(world->metrics))};
    const struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t used = 0;
    ssize_t got = 1;

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    (void)!send(fd, request, strlen(request), MSG_NOSIGNAL); /* it may have been ended already */
    while (got > 0 && used < ANSWER_MAX - 1) {
        got = recv(fd, answer + used, ANSWER_MAX - 1 - used, 0);
        used += got > 0 ? (size_t)got : 0;
    }
    /* An end or a reset, not a peer that is left waiting. */
    assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
    answer[used] = '\0';
    close(fd);
    return used;
}

/* The body, if the head promises just what there is; NULL: none was promised, or nothing came. */
static char *body_of(char *answer, size_t size)
{
    char *head_end = strstr(answer, "\r\n\r\n");
    const char *length = strstr(answer, "\r\nContent-Length: ");

    if (size == 0)
        return NULL;
    assert_non_null(head_end);
    assert_non_null(length);
    assert_int_equal(strtoul(length + 18, NULL, 10), strlen(head_end + 4));
    return head_end + 4;
}

/* The same for each answer that has all lines. */
static void without_numbers(const char *text, char *names)
{
    while (*text != '\0') {
        const size_t line = strcspn(text, "\n");
        size_t name = line;

        while (text[0] != '#' && name > 0 && strchr(DIGITS, text[name - 1]) != NULL)
            name--;
        memcpy(names, text, name);
        names[name] = '\n';
        names += name + 1;
        text += line + (text[line] == '\n');
    }
    *names = '\0';
}

/* Whether the log says that there was no memory; it is empty afterwards. */
static bool was_logged(const struct world *world)
{
    FILE *file = fopen(world->log, "r+e");
    char text[4096];
    size_t size;

    assert_non_null(file);
    size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    fclose(file);
    assert_int_equal(truncate(world->log, 0), 0);
    return strstr(text, "event=not_answered service=metrics reason=memory") != NULL;
}

/* Whether all was told; n = 0: nothing fails. */
static bool try(struct world *world, const char *request, unsigned n, bool lasting,
                unsigned *counted)
{
    static char answer[ANSWER_MAX], names[ANSWER_MAX];
    bool failed, right;
    size_t size;
    char *body;

    scarce_all_set(n, lasting);
    size = ask(world, request, answer);
    failed = scarce_all_end(counted);
    body = body_of(answer, size);
    right = size > 0 && strncmp(answer, "HTTP/1.1 200 ", 13) == 0;
    if (right) {
        without_numbers(body, names);
        assert_string_equal(names, world->good);
    } else {
        assert_true(failed);
        if (size > 0) {
            assert_int_equal(strncmp(answer, "HTTP/1.1 500 ", 13), 0);
            assert_string_equal(body, "");
        }
    }
    if (was_logged(world) == right)
        fail_msg("allocation %u: not in the log, or without a reason", n);
    return right;
}

static void figures(void **state)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct world *world = *state;
    unsigned counted = 0, failures = 0;

    assert_true(try(world, request, 0, false, &counted));
    assert_true(counted > 20);
    for (unsigned n = 1; n <= counted; n++) {
        failures += !try(world, request, n, false, NULL);
        failures += !try(world, request, n, true, NULL);
        assert_true(try(world, request, 0, false, NULL));
    }
    print_message("%u allocations, %u times no figures\n", counted, failures);
    assert_true(failures >= counted);
}

static void set_good(struct world *world)
{
    static char answer[ANSWER_MAX];
    size_t size = ask(world, "GET /metrics HTTP/1.1\r\n\r\n", answer);
    char *body = body_of(answer, size);

    assert_non_null(body);
    without_numbers(body, world->good);
    /* Of each part that tells something. */
    assert_non_null(strstr(world->good, "\ndot2hsm_ra_connections \n"));
    assert_non_null(strstr(world->good, "\ndot2hsm_hsm_sessions \n"));
    assert_non_null(
        strstr(world->good, "\ndot2hsm_ra_certificate_end_seconds{certificate=\"tls\"} "));
    assert_non_null(strstr(world->good, "\nprocess_open_fds \n"));
}

static int setup(void **state)
{
    struct ra_server_config config = {.stage = RA_STAGE_QA,
                                      .tolerance = UINT32_MAX,
                                      .threads = 1,
                                      .provision = ra_provision_default()};
    const struct ra_app_config metrics = {.metrics = true, .metrics_address = "127.0.0.1"};
    struct world *world = calloc(1, sizeof *world);
    struct lab *lab;
    char text[400];
    SSL_CTX *tls;

    assert_non_null(world);
    world->posting = posting_start(&config);
    lab = world->posting->lab;
    snprintf(world->log, sizeof world->log, "%s/figures.log", lab->downloads);
    assert_int_equal(ra_app_log_open(world->log, false), APP_OK);
    assert_int_equal(
        ra_app_metrics_start(&metrics, lab->libctx,
                             (ra_server *const[]){world->posting->served->server, NULL}, 2,
                             &world->metrics),
        APP_OK);
    tls = ra_tls_new(lab->libctx, lab->tls_path, lab->tls_key, text, sizeof text);
    assert_non_null(tls);
    ra_app_metrics_certificates(world->metrics, tls, world->posting->keys);
    SSL_CTX_free(tls);
    set_good(world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    ra_app_metrics_stop(world->metrics);
    ra_app_log_close();
    posting_stop(world->posting);
    free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(figures)};

    scarce_libevent();
    scarce_spare();
    return cmocka_run_group_tests(tests, setup, teardown);
}
