/*
 * time.c: Time32 and Time64, TAI since 2004-01-01T00:00:00Z (IEEE 1609.2 6.3.11, 6.3.12).
 *
 * Unix time does not count leap seconds, Time32 does. TAI was 32 s ahead of UTC at the epoch; what
 * was inserted since stands in the table.
 */
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>

#include "protocol/dot2/internal.h"

#define EPOCH_UNIX INT64_C(1072915200) /* 2004-01-01T00:00:00Z */
#define EPOCH_TAI_OFFSET 32

/* Unix times of the first second after each inserted one (IERS Bulletin C). */
static const int64_t leaps[] = {
    1136073600, /* 2006-01-01 */
    1230768000, /* 2009-01-01 */
    1341100800, /* 2012-07-01 */
    1435708800, /* 2015-07-01 */
    1483228800, /* 2017-01-01 */
};
#define LEAPS ((int64_t)(sizeof(leaps) / sizeof(leaps[0])))

static int64_t leaps_at_unix(int64_t unix_seconds)
{
    int64_t count = 0;

    while (count < LEAPS && unix_seconds >= leaps[count])
        count++;
    return count;
}

/* The TAI second, from the epoch, that is the inserted one. */
static int64_t inserted_second(int64_t index)
{
    return leaps[index] - EPOCH_UNIX + index;
}

static enum dot2_status to_time32(int64_t seconds, uint32_t *time32)
{
    if (seconds < 0 || seconds > UINT32_MAX)
        return DOT2_E_TIME;
    *time32 = (uint32_t)seconds;
    return DOT2_OK;
}

enum dot2_status dot2_time32_from_unix(int64_t unix_seconds, uint32_t *time32)
{
    /* Compared first: the subtraction of any int64_t could overflow. */
    if (unix_seconds < EPOCH_UNIX || unix_seconds > EPOCH_UNIX + UINT32_MAX)
        return DOT2_E_TIME;
    return to_time32(unix_seconds - EPOCH_UNIX + leaps_at_unix(unix_seconds), time32);
}

int64_t dot2_time32_to_unix(uint32_t time32)
{
    int64_t count = 0;

    while (count < LEAPS && time32 > inserted_second(count))
        count++;
    return (int64_t)time32 + EPOCH_UNIX - count;
}

/*
 * Seconds and microseconds since the epoch in TAI. The kernel knows TAI when ntpd, chrony or ptp
 * told it; then a leap second that this table does not know is counted too. Both numbers come from
 * one system call, so that they belong together at a leap second.
 */
static enum dot2_status now(int64_t *seconds, int64_t *microseconds)
{
    struct timex kernel = {.modes = 0};
    struct timespec clock = {0};

    if (adjtimex(&kernel) >= 0 && kernel.tai >= EPOCH_TAI_OFFSET) {
        *seconds = kernel.time.tv_sec - EPOCH_UNIX + kernel.tai - EPOCH_TAI_OFFSET;
        *microseconds =
            (kernel.status & STA_NANO) != 0 ? kernel.time.tv_usec / 1000 : kernel.time.tv_usec;
        return DOT2_OK;
    }
    if (clock_gettime(CLOCK_REALTIME, &clock) != 0)
        return DOT2_E_TIME;
    *seconds = clock.tv_sec - EPOCH_UNIX + leaps_at_unix(clock.tv_sec);
    *microseconds = clock.tv_nsec / 1000;
    return DOT2_OK;
}

enum dot2_status dot2_time32_now(uint32_t *time32)
{
    int64_t seconds = 0, microseconds = 0;
    enum dot2_status status = now(&seconds, &microseconds);

    return status != DOT2_OK ? status : to_time32(seconds, time32);
}

enum dot2_status dot2_time64_now(uint64_t *time64)
{
    int64_t seconds = 0, microseconds = 0;
    enum dot2_status status = now(&seconds, &microseconds);

    if (status != DOT2_OK)
        return status;
    if (seconds < 0)
        return DOT2_E_TIME;
    *time64 = (uint64_t)seconds * 1000000 + (uint64_t)microseconds;
    return DOT2_OK;
}

/* length decimal digits. */
static bool digits(const char *text, size_t length, int64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *number = *number * 10 + (text[i] - '0');
    }
    return length > 0;
}

static bool is_leap_year(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, year from 1970. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t past = year - 1;
    int64_t count = 365 * (year - 1970) + (past / 4 - past / 100 + past / 400) -
                    (1969 / 4 - 1969 / 100 + 1969 / 400);

    return count + before[month - 1] + (month > 2 && is_leap_year(year)) + day - 1;
}

static enum dot2_status parse_iso8601(const char *text, uint32_t *time32)
{
    static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    int64_t unix_seconds = 0;

    if (strlen(text) != 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
        text[13] != ':' || text[16] != ':' || text[19] != 'Z' || !digits(text, 4, &year) ||
        !digits(text + 5, 2, &month) || !digits(text + 8, 2, &day) ||
        !digits(text + 11, 2, &hour) || !digits(text + 14, 2, &minute) ||
        !digits(text + 17, 2, &second))
        return DOT2_E_TIME;
    if (year < 2004 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 ||
        second > 60 || day > length[month - 1] + (month == 2 && is_leap_year(year)))
        return DOT2_E_TIME;
    unix_seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    if (second < 60)
        return dot2_time32_from_unix(unix_seconds, time32);
    for (int64_t i = 0; i < LEAPS; i++) {
        if (unix_seconds == leaps[i])
            return to_time32(inserted_second(i), time32);
    }
    return DOT2_E_TIME;
}

enum dot2_status dot2_time32_parse(const char *text, uint32_t *time32)
{
    size_t length = strlen(text);
    int64_t number = 0;

    if (length <= 10 && digits(text, length, &number))
        return to_time32(number, time32);
    return parse_iso8601(text, time32);
}

void dot2_time32_format(uint32_t time32, char text[21])
{
    bool inserted = false;
    int64_t unix_seconds = 0;
    time_t seconds = 0;
    struct tm utc = {0};

    for (int64_t i = 0; i < LEAPS; i++)
        inserted = inserted || time32 == inserted_second(i);
    unix_seconds = dot2_time32_to_unix(time32) - inserted;
    seconds = (time_t)unix_seconds;
    gmtime_r(&seconds, &utc);
    snprintf(text, 21, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)(utc.tm_year + 1900) % 10000u,
             (unsigned)(utc.tm_mon + 1) % 100u, (unsigned)utc.tm_mday % 100u,
             (unsigned)utc.tm_hour % 100u, (unsigned)utc.tm_min % 100u,
             (unsigned)(utc.tm_sec + inserted) % 100u);
}
