/*
 * log_test.c: lines of pairs, and the JSON that is made of them, whatever octets are in them.
 */
#include "apps/ra/ra_app.h"
#include "protocol/ra/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *json(const char *line)
{
    static char text[8192];

    assert_true(ra_app_log_json("T", "info", line, text, sizeof text));
    return text;
}

static void plain(void **state)
{
    (void)state;
    assert_string_equal(json("event=served request=0-1-2 status=200"),
                        "{\"time\":\"T\",\"level\":\"info\",\"event\":\"served\","
                        "\"request\":\"0-1-2\",\"status\":\"200\"}");
    assert_string_equal(json(""), "{\"time\":\"T\",\"level\":\"info\"}");
    assert_string_equal(json("event=x empty=\"\" last=\"a b\""),
                        "{\"time\":\"T\",\"level\":\"info\",\"event\":\"x\",\"empty\":\"\","
                        "\"last\":\"a b\"}");
}

/* A line that was cut, or is not of our form, still gives an object. */
static void broken(void **state)
{
    (void)state;
    assert_string_equal(json("a=\"cut \\x0"),
                        "{\"time\":\"T\",\"level\":\"info\",\"a\":\"cut \\\\x0\"}");
    assert_string_equal(json("a=\"x\"y=1 word"),
                        "{\"time\":\"T\",\"level\":\"info\",\"a\":\"x\",\"y\":\"1\","
                        "\"text\":\"word\"}");
}

/* Every octet becomes one character of the same number, and nothing ends the string. */
static void every_octet(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        struct ra_line line = {.size = 0};
        const char octets[3] = {'<', (char)c, '>'};
        char expected[80];

        ra_line_add_octets(&line, "k", octets, 3);
        for (size_t i = 0; i < line.size; i++)
            assert_true(line.text[i] >= 0x20 && line.text[i] < 0x7f);
        if (c == '"' || c == '\\')
            snprintf(expected, sizeof expected, "\"k\":\"<\\%c>\"}", (int)c);
        else if (c >= 0x20 && c < 0x7f)
            snprintf(expected, sizeof expected, "\"k\":\"<%c>\"}", (int)c);
        else
            snprintf(expected, sizeof expected, "\"k\":\"<\\u%04x>\"}", c);
        assert_string_equal(strstr(json(line.text), "\"k\""), expected);
    }
}

/* Values that look like the end of the value, of the line, of the object. */
static void forged(void **state)
{
    static const char *const values[] = {"\" event=served x=\"",
                                         "\n2026 level=info event=served",
                                         "\"},{\"event\":\"served\"",
                                         "\\x22",
                                         "\\\"",
                                         "a=b",
                                         "=",
                                         " ",
                                         "\\"};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct ra_line line = {.size = 0};
        const char *text;
        size_t quotes = 0;

        ra_line_add(&line, "event", "refused");
        ra_line_add(&line, "detail", "%s", values[i]);
        assert_null(strchr(line.text, '\n'));
        text = json(line.text);
        for (const char *p = text; *p != '\0'; p++) {
            if (*p == '\\')
                p++; /* with what it escapes */
            else if (*p == '"')
                quotes++;
        }
        assert_int_equal(quotes, 4 * 4);
        assert_null(strstr(text, ",\"event\":\"served\""));
    }
}

/* The longest line of the worst octets fits, and one that does not is told. */
static void longest(void **state)
{
    struct ra_line line = {.size = 0};
    char octets[1024], small[40];

    (void)state;
    memset(octets, 0x01, sizeof octets);
    ra_line_add(&line, "event", "x");
    ra_line_add_octets(&line, "detail", octets, sizeof octets);
    assert_true(line.size < sizeof line.text);
    assert_int_equal(line.text[line.size - 1], '"');
    assert_int_equal(json(line.text)[strlen(json(line.text)) - 1], '}');
    assert_false(ra_app_log_json("T", "info", line.text, small, sizeof small));
    assert_true(strlen(small) < sizeof small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),  cmocka_unit_test(broken),  cmocka_unit_test(every_octet),
        cmocka_unit_test(forged), cmocka_unit_test(longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
