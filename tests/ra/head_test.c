/*
 * head_test.c: the readers of what a peer chooses freely, on octets in a block of just their size,
 * so that a sanitizer sees each step too far.
 */
#include "protocol/ra/http_head.h"
#include "protocol/ra/http_range.h"
#include "protocol/ra/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char good[] = "GET /download/batch HTTP/1.1\r\n"
                           "Host: ra.example:8892\r\n"
                           "Download-Req: \t A4MB \r\n"
                           "Range: bytes=0-1\r\n"
                           "If-Range: \"x\"\r\n"
                           "If-None-Match:\r\n"
                           "Connection: te ,  CLOSE\r\n"
                           "Content-Length: 18\r\n\r\n";
#define GOOD_SIZE (sizeof good - 1)

static enum ra_head_fault parse(const char *octets, size_t size, struct ra_head *head)
{
    char *copy = malloc(size == 0 ? 1 : size);
    enum ra_head_fault fault;

    assert_non_null(copy);
    memcpy(copy, octets, size);
    fault = ra_head_parse(copy, size, head);
    free(copy);
    return fault;
}

static void values(void **state)
{
    struct ra_head head;

    (void)state;
    assert_int_equal(ra_head_parse(good, GOOD_SIZE, &head), RA_HEAD_OK);
    assert_int_equal(head.method, RA_METHOD_GET);
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.target_size, strlen("/download/batch"));
    assert_true(head.has_length);
    assert_int_equal(head.length, 18);
    assert_true(head.close);
    assert_false(head.keep_alive);
    assert_int_equal(head.values[RA_HEADER_DOWNLOAD_REQ].size, 4);
    assert_memory_equal(head.values[RA_HEADER_DOWNLOAD_REQ].at, "A4MB", 4);
    assert_non_null(head.values[RA_HEADER_IF_NONE_MATCH].at);
    assert_int_equal(head.values[RA_HEADER_IF_NONE_MATCH].size, 0);
}

static void truncated(void **state)
{
    struct ra_head head;

    (void)state;
    for (size_t size = 0; size < GOOD_SIZE; size++)
        assert_int_not_equal(parse(good, size, &head), RA_HEAD_OK);
}

/* Each octet replaced by each other: a value or a fault, and never a head with another framing. */
static void replaced(void **state)
{
    char octets[GOOD_SIZE];

    (void)state;
    memcpy(octets, good, GOOD_SIZE);
    for (size_t i = 0; i < GOOD_SIZE; i++) {
        for (int c = 0; c < 256; c++) {
            struct ra_head head;
            enum ra_head_fault fault;

            octets[i] = (char)c;
            fault = parse(octets, GOOD_SIZE, &head);
            assert_string_not_equal(ra_head_fault_name(fault), "unknown");
            if (fault == RA_HEAD_OK && c != good[i])
                assert_true(c >= ' ' || c == '\t');
        }
        octets[i] = good[i];
    }
}

static void trailing(void **state)
{
    char octets[GOOD_SIZE + 1];
    struct ra_head head;

    (void)state;
    memcpy(octets, good, GOOD_SIZE);
    octets[GOOD_SIZE] = 'G';
    assert_int_equal(parse(octets, sizeof octets, &head), RA_HEAD_LINE_ENDING);
}

static void range_numbers(void **state)
{
    uint64_t first, last;

    (void)state;
    assert_int_equal(ra_range_parse("bytes=18446744073709551615-", 10, &first, &last),
                     RA_RANGE_UNSATISFIABLE);
    assert_int_equal(ra_range_parse("bytes=18446744073709551616-1", 10, &first, &last),
                     RA_RANGE_WHOLE);
    assert_int_equal(ra_range_parse("bytes=1-18446744073709551616", 10, &first, &last),
                     RA_RANGE_PART);
    assert_int_equal(first, 1);
    assert_int_equal(last, 9);
    assert_int_equal(ra_range_parse("bytes=-18446744073709551617", 10, &first, &last),
                     RA_RANGE_PART);
    assert_int_equal(first, 0);
    assert_int_equal(ra_range_parse(NULL, 10, &first, &last), RA_RANGE_WHOLE);
    assert_int_equal(ra_range_parse("", 10, &first, &last), RA_RANGE_WHOLE);
}

static void log_lines(void **state)
{
    struct ra_line line = {.size = 0};
    char octets[2000];

    (void)state;
    ra_line_add(&line, "a", "%s", "plain/[::1]:5");
    ra_line_add(&line, "b", "%s", "two words");
    ra_line_add(&line, "c", "%s", "");
    ra_line_add_octets(&line, "d", "\"\\\n\0\xff", 5);
    assert_string_equal(line.text,
                        "a=plain/[::1]:5 b=\"two words\" c=\"\" d=\"\\x22\\x5c\\x0a\\x00\\xff\"");
    assert_int_equal(line.size, strlen(line.text));
    memset(octets, '\n', sizeof octets);
    for (int i = 0; i < 10; i++) {
        ra_line_add_octets(&line, "long", octets, sizeof octets);
        assert_true(line.size < sizeof line.text);
        assert_int_equal(line.size, strlen(line.text));
    }
    assert_int_equal(line.text[line.size - 1], '"');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),   cmocka_unit_test(truncated),     cmocka_unit_test(replaced),
        cmocka_unit_test(trailing), cmocka_unit_test(range_numbers), cmocka_unit_test(log_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
