/* test_time.c: Time32 and Time64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protocol/dot2/dot2.h"

/* The first four: time32 of the project's primitives.json; the rest by IERS Bulletin C. */
static const struct {
    const char *utc;
    uint32_t time32;
} figures[] = {
    {"2004-01-01T00:00:00Z", 0},         {"2017-01-01T00:00:00Z", 410313605},
    {"2016-12-31T23:59:59Z", 410313603}, {"2026-11-23T00:00:00Z", 722476805},
    {"2016-12-31T23:59:60Z", 410313604}, {"2005-12-31T23:59:60Z", 63158400},
    {"2006-01-01T00:00:00Z", 63158401},  {"2008-12-31T23:59:60Z", 157852801},
    {"2012-06-30T23:59:60Z", 268185602}, {"2015-06-30T23:59:60Z", 362793603},
    {"2024-02-29T12:00:00Z", 636292805},
};

static void parse_and_format_agree_with_the_figures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        uint32_t time32 = 1;
        char text[21];

        assert_int_equal(dot2_time32_parse(figures[i].utc, &time32), DOT2_OK);
        assert_int_equal(time32, figures[i].time32);
        dot2_time32_format(time32, text);
        assert_string_equal(text, figures[i].utc);
    }
}

static void unix_time_there_and_back(void **state)
{
    uint32_t time32 = 0;

    (void)state;
    for (int64_t t = 1072915200; t < 1072915200 + INT64_C(4294960000); t += 999983) {
        assert_int_equal(dot2_time32_from_unix(t, &time32), DOT2_OK);
        assert_true(dot2_time32_to_unix(time32) == t);
    }
    /* Each second around an inserted one: Unix time repeats, Time32 does not. */
    assert_true(dot2_time32_to_unix(410313603) == 1483228799);
    assert_true(dot2_time32_to_unix(410313604) == 1483228800);
    assert_true(dot2_time32_to_unix(410313605) == 1483228800);
    assert_int_equal(dot2_time32_from_unix(1483228800, &time32), DOT2_OK);
    assert_int_equal(time32, 410313605);
}

static void the_ends_of_time32(void **state)
{
    uint32_t time32 = 0;

    (void)state;
    assert_int_equal(dot2_time32_from_unix(1072915199, &time32), DOT2_E_TIME);
    assert_int_equal(dot2_time32_from_unix(INT64_MIN, &time32), DOT2_E_TIME);
    assert_int_equal(dot2_time32_from_unix(INT64_MAX, &time32), DOT2_E_TIME);
    assert_int_equal(dot2_time32_from_unix(1072915200 + INT64_C(4294967295) - 5, &time32), DOT2_OK);
    assert_true(time32 == UINT32_MAX);
    assert_true(dot2_time32_to_unix(UINT32_MAX) == 1072915200 + INT64_C(4294967295) - 5);
    assert_int_equal(dot2_time32_from_unix(1072915200 + INT64_C(4294967295) - 4, &time32),
                     DOT2_E_TIME);
}

static void decimal_is_time32_itself(void **state)
{
    uint32_t time32 = 0;

    (void)state;
    assert_int_equal(dot2_time32_parse("722476805", &time32), DOT2_OK);
    assert_int_equal(time32, 722476805);
    assert_int_equal(dot2_time32_parse("4294967295", &time32), DOT2_OK);
    assert_true(time32 == UINT32_MAX);
    assert_int_equal(dot2_time32_parse("4294967296", &time32), DOT2_E_TIME);
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "-1",
                                        "1e3",
                                        "12345678901",
                                        "2026-11-23",
                                        "2026-11-23T00:00:00",
                                        "2026-11-23T00:00:00z",
                                        "2026-11-23 00:00:00Z",
                                        "2026-13-01T00:00:00Z",
                                        "2026-00-01T00:00:00Z",
                                        "2026-02-29T00:00:00Z",
                                        "2100-02-29T00:00:00Z",
                                        "2026-11-00T00:00:00Z",
                                        "2026-11-23T24:00:00Z",
                                        "2026-11-23T00:60:00Z",
                                        "2026-11-23T00:00:61Z",
                                        "2026-12-31T23:59:60Z",
                                        "2016-12-31T22:59:60Z",
                                        "2003-12-31T23:59:59Z",
                                        "2141-01-01T00:00:00Z",
                                        "+026-11-23T00:00:00Z",
                                        "2026-11-23T00:00:00Z "};
    uint32_t time32 = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(dot2_time32_parse(texts[i], &time32), DOT2_E_TIME);
}

static void now_is_now(void **state)
{
    uint32_t time32 = 0, table = 0;
    uint64_t time64 = 0;

    (void)state;
    assert_int_equal(dot2_time32_now(&time32), DOT2_OK);
    assert_int_equal(dot2_time64_now(&time64), DOT2_OK);
    assert_int_equal(dot2_time32_from_unix(time(NULL), &table), DOT2_OK);
    assert_true(time64 / 1000000 - time32 <= 1);
    assert_in_range(time32, table - 1, table + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_and_format_agree_with_the_figures),
        cmocka_unit_test(unix_time_there_and_back),
        cmocka_unit_test(the_ends_of_time32),
        cmocka_unit_test(decimal_is_time32_itself),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(now_is_now),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
