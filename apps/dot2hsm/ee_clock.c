/*
 * ee_clock.c: the clock of a device, and the limits on contacts with the RA, which are times.
 *
 * A clock may be wrong (a dead RTC says 1970, or years ahead) and may be set at any moment. What
 * counts time therefore follows CLOCK_BOOTTIME, which nobody sets: the state knows how far the
 * clock was from it, and moves its own times when the clock has moved. And nothing is given up,
 * asked for or deleted because of its age before the RA's clock, which its answers carry, has
 * borne out this one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/ee_device.h"
#include "apps/dot2hsm/support.h"

/* Seconds that the RA's clock and this one may be apart; it refuses requests long before. */
#define CLOCK_SKEW 300
/* A change of a second is a rounding, or a leap second. */
#define CLOCK_STEP 2

/* ---- the clock ---- */

int64_t device_boot_seconds(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

/*
 * Seconds by which the clock, which says now, is ahead of CLOCK_BOOTTIME: they change when it is
 * set, and only then. It can be set between any two readings: what belongs together is of one.
 */
static int64_t clock_offset(int64_t now)
{
    return now - device_boot_seconds();
}

int device_now(const struct device *device, uint32_t *now)
{
    const enum dot2_status status = dot2_time32_now(now);
    const int64_t after = (int64_t)time(NULL),
                  moved = device->clock_checked ? clock_offset(after) - device->clock_offset : 0;
    char text[32];

    if (status != DOT2_OK) {
        app_error("the clock is wrong: it says %s, which is before 2004 or after 2140",
                  command_time(after, text));
        return APP_REFUSED;
    }
    if (moved > CLOCK_SKEW || moved < -CLOCK_SKEW) {
        app_error("the clock has jumped by %" PRId64
                  " s, to %s, since it was compared with the RA's",
                  moved, command_time(after, text));
        return APP_REFUSED;
    }
    return APP_OK;
}

int device_clock_check(struct device *device, int64_t date)
{
    const int64_t now = (int64_t)time(NULL), ahead = date == 0 ? 0 : now - date;
    char here[32], there[32];

    device->clock_checked = ahead <= CLOCK_SKEW && ahead >= -CLOCK_SKEW;
    device->clock_offset = clock_offset(now);
    if (device->clock_checked)
        return APP_OK;
    app_error("the clock is wrong: it says %s, and the RA's says %s; nothing is asked for until "
              "they agree",
              command_time(now, here), command_time(date, there));
    device_failed(device, "this clock and the RA's do not agree");
    return APP_REFUSED;
}

/* ---- times in the state ---- */

/* A name of this start of the kernel; "" if it cannot be told. */
static void boot_id(char id[DEVICE_BOOT_ID])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    id[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(id, DEVICE_BOOT_ID, file) != NULL)
        id[strcspn(id, " \n")] = '\0';
    fclose(file);
}

static void move_time(int64_t *at, bool same_boot, int64_t by, int64_t now)
{
    if (*at == 0)
        return;
    if (same_boot)
        *at += by;
    if (*at > now)
        *at = now;
    if (*at < 1)
        *at = 1;
}

void device_follow_clock(struct device_state *s)
{
    const int64_t now = (int64_t)time(NULL), offset = clock_offset(now),
                  by = offset - s->clock_offset;
    char id[DEVICE_BOOT_ID];
    bool same_boot;

    boot_id(id);
    same_boot = id[0] != '\0' && strcmp(id, s->boot) == 0;
    if (same_boot && by < CLOCK_STEP && by > -CLOCK_STEP)
        return;
    for (unsigned i = 0; i < s->failure_count; i++)
        move_time(&s->failures[i], same_boot, by, now);
    move_time(&s->last_error_time, same_boot, by, now);
    move_time(&s->last_sync, same_boot, by, now);
    snprintf(s->boot, sizeof(s->boot), "%s", id);
    s->clock_offset = offset;
    s->moved = true;
}

/* ---- limits ---- */

int64_t device_limit_ends(struct device *device)
{
    struct device_state *s = &device->state;
    const int64_t now = (int64_t)time(NULL);

    device_follow_clock(s);
    if (s->failure_count < DEVICE_FAILURES || s->failures[0] + DEVICE_WINDOW <= now)
        return 0;
    return s->failures[0] + DEVICE_WINDOW;
}

int device_may_try(struct device *device)
{
    const struct device_state *s = &device->state;
    const int64_t ends = device_limit_ends(device);
    char text[32];

    if (ends != 0) {
        app_error("stopped: %d failures within %d minutes; the next try is possible at %s",
                  DEVICE_FAILURES, DEVICE_WINDOW / 60, command_time(ends, text));
        return APP_REFUSED;
    }
    if (s->failure_count > 0) {
        /* By the clock that the failure has: another's seconds begin elsewhere within a second. */
        const int64_t now = s->clock_offset + device_boot_seconds(),
                      since = now - s->failures[s->failure_count - 1];

        /* Seconds are whole here: one more makes sure of two. */
        if (since <= DEVICE_PAUSE)
            sleep((unsigned)(DEVICE_PAUSE + 1 - (since > 0 ? since : 0)));
    }
    return APP_OK;
}

int device_failed(struct device *device, const char *what)
{
    struct device_state *s = &device->state;

    device_follow_clock(s);
    if (s->failure_count == DEVICE_FAILURES) {
        memmove(s->failures, s->failures + 1, sizeof(s->failures) - sizeof(s->failures[0]));
        s->failure_count--;
    }
    /* By the clock that the state has followed. */
    s->last_error_time = s->clock_offset + device_boot_seconds();
    s->failures[s->failure_count++] = s->last_error_time;
    s->in_a_row++;
    snprintf(s->last_error, sizeof(s->last_error), "%s", what);
    for (char *p = s->last_error; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    }
    return device_state_save(device);
}

int device_succeeded(struct device *device)
{
    device->state.in_a_row = 0;
    return device_state_save(device);
}
