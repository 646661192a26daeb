#include "tests/bench/report.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static FILE *json;
static unsigned rows, missed;

bool report_open(const char *path)
{
    json = path != NULL ? fopen(path, "a") : NULL;
    return path == NULL || json != NULL;
}

void report_close(void)
{
    if (json != NULL)
        fclose(json);
    json = NULL;
    fflush(stdout);
}

unsigned report_missed(void)
{
    return missed;
}

void report_row(const char *name, unsigned threads, double ratio, double target, bool at_most)
{
    bool met = target == 0 || (at_most ? ratio <= target : ratio >= target);

    printf("%-44s %2u  %7.3f", name, threads, ratio);
    if (target != 0)
        printf("  %s %-5g %s", at_most ? "<=" : ">=", target, met ? "met" : "MISSED");
    putchar('\n');
    fflush(stdout);
    if (!met)
        missed++;
    if (json == NULL)
        return;
    fprintf(json, "%s\n {\"name\":\"%s\",\"threads\":%u,\"ratio\":%.4f,\"target\":",
            rows++ > 0 ? "," : "", name, threads, ratio);
    if (target != 0)
        fprintf(json, "%g,\"met\":%s}", target, met ? "true" : "false");
    else
        fprintf(json, "null,\"met\":null}");
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, unsigned count)
{
    qsort(values, count, sizeof(values[0]), compare);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct slice {
    bench_work work;
    void *arg;
    unsigned thread, threads, milliseconds;
    pthread_barrier_t *begin;
    double rate;
};

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *run_slice(void *arg)
{
    struct slice *slice = arg;
    clockid_t clock = slice->threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    bool ok = slice->work(slice->arg, slice->thread);
    unsigned done = 0;
    double end, start;

    pthread_barrier_wait(slice->begin);
    end = seconds(CLOCK_MONOTONIC) + slice->milliseconds / 1e3;
    start = seconds(clock);
    do {
        ok = ok && slice->work(slice->arg, slice->thread);
        done++;
    } while (ok && seconds(CLOCK_MONOTONIC) < end);
    slice->rate = ok ? done / (seconds(clock) - start) : 0;
    return NULL;
}

double bench_rate(bench_work work, void *arg, unsigned threads, unsigned milliseconds)
{
    struct slice slices[BENCH_THREADS_MAX];
    pthread_t ids[BENCH_THREADS_MAX];
    pthread_barrier_t begin;
    bool ok = true;
    double sum = 0;

    pthread_barrier_init(&begin, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        slices[i] = (struct slice){work, arg, i, threads, milliseconds, &begin, 0};
        if (pthread_create(&ids[i], NULL, run_slice, &slices[i]) != 0) {
            perror("bench: pthread_create"); /* those before it wait at the barrier */
            exit(2);
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        ok = ok && slices[i].rate > 0;
        sum += slices[i].rate;
    }
    pthread_barrier_destroy(&begin);
    return ok ? sum : 0;
}
