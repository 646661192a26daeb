/*
 * report.h: how every benchmark measures and says what it measured.
 *
 * Subjects take turns in short slices, so that whatever else the machine does meets all alike. One
 * thread is measured by its own CPU time, several by the wall clock, because what they wait for
 * counts.
 */
#ifndef DOT2HSM_TESTS_BENCH_REPORT_H
#define DOT2HSM_TESTS_BENCH_REPORT_H

#include <stdbool.h>

#define BENCH_ROUNDS_MAX 99
#define BENCH_THREADS_MAX 16

/* Appends the JSON rows of all that follows to a file, without brackets around them; NULL: none. */
bool report_open(const char *json);
void report_close(void);
/* Rows so far that missed their target. */
unsigned report_missed(void);

/* target 0: none is set for this row. at_most: the ratio is to be no larger, else no smaller. */
void report_row(const char *name, unsigned threads, double ratio, double target, bool at_most);

/* Sorts the values. count is at least 1. */
double bench_median(double *values, unsigned count);

/* One piece of work of thread number thread; false: it failed. */
typedef bool (*bench_work)(void *arg, unsigned thread);

/*
 * The rate (per second) at which so many threads together did pieces of work for milliseconds; 0 if
 * one failed. Each thread does one before the clock starts.
 */
double bench_rate(bench_work work, void *arg, unsigned threads, unsigned milliseconds);

#endif
