/*
 * provider.c: dot2hsm.so beside the other ways from OpenSSL to a PKCS#11 token, as ratios to a bare
 * Cryptoki loop.
 *
 *   bench_provider local|far|cold ROUNDS SLICE_MS [JSON]
 *
 * local: the module in this process. far: the module is tests/shim, each call sleeps 1 ms, and
 * calls are counted. cold: the whole of `openssl dgst -sign`, against that of the engine.
 *
 * Subjects take turns in short slices, so that whatever else the machine does meets all alike; a
 * row is the median over the rounds of (rate of the subject) / (rate of bare in the same round).
 * One thread is measured by its own CPU time where the module is in the process; several threads,
 * and a module that is far, by the wall clock, because waiting is what counts there; a
 * cold start by the CPU time of the process.
 */
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/report.h"
#include "tests/shim/shim.h"

#define THREADS_MAX 16
#define ROUNDS_MAX BENCH_ROUNDS_MAX

extern char **environ;

static const char *const subject_names[SUBJECTS] = {"bare", "dot2hsm", "pkcs11-provider", "engine"};
static const char *const work_names[WORKS] = {"sign-kept", "sign-fresh", "derive", "open"};

static struct bench_thread threads[THREADS_MAX];
static bool present[SUBJECTS] = {true};
static unsigned rounds, slice_ms;
static bool far;
static bool failed_row; /* of dot2hsm */

/* The slice that the threads are in; written between two barriers. */
static struct {
    enum subject subject;
    enum work work;
    unsigned threads;
    bool quit;
    pthread_barrier_t begin, end;
    double rate[THREADS_MAX]; /* 0: it failed */
} slice;

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool do_work(unsigned index, enum subject subject, enum work work)
{
    return subject == BARE ? bare_work(&threads[index], work)
                           : evp_work(&threads[index], subject, work);
}

static double run_slice(unsigned index)
{
    clockid_t clock = slice.threads == 1 && !far ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    double end = seconds(CLOCK_MONOTONIC) + slice_ms / 1e3, start = seconds(clock);
    unsigned done = 0;

    do {
        if (!do_work(index, slice.subject, slice.work))
            return 0;
        done++;
    } while (seconds(CLOCK_MONOTONIC) < end);
    return done / (seconds(clock) - start);
}

static void *worker(void *arg)
{
    unsigned index = (unsigned)(uintptr_t)arg;

    for (;;) {
        pthread_barrier_wait(&slice.begin);
        if (slice.quit)
            return NULL;
        if (index < slice.threads)
            slice.rate[index] = run_slice(index);
        pthread_barrier_wait(&slice.end);
    }
}

/* The rate of all threads together; 0 if any of them failed. */
static double measure(enum subject subject, enum work work, unsigned count)
{
    double sum = 0;

    slice.subject = subject;
    slice.work = work;
    slice.threads = count;
    pthread_barrier_wait(&slice.begin);
    pthread_barrier_wait(&slice.end);
    for (unsigned i = 0; i < count; i++) {
        if (slice.rate[i] == 0)
            return 0;
        sum += slice.rate[i];
    }
    return sum;
}

static double target_of(enum subject subject, enum work work)
{
    static const double local_targets[WORKS] = {0.95, 0.90, 0.92, 0};
    static const double far_targets[WORKS] = {0.95, 0.95, 0.95, 0};

    return subject != DOT2HSM ? 0 : far ? far_targets[work] : local_targets[work];
}

static void rows_of(enum work work, unsigned count)
{
    double ratios[SUBJECTS][ROUNDS_MAX];
    bool failed[SUBJECTS] = {false};
    char name[100];

    for (unsigned round = 0; round < rounds; round++) {
        double base = measure(BARE, work, count);

        for (unsigned i = 1; i < SUBJECTS; i++) {
            /* Each round begins with another one: nobody is always first after bare. */
            enum subject subject = (enum subject)(1 + (i + round) % (SUBJECTS - 1));
            double rate = present[subject] ? measure(subject, work, count) : 0;

            ratios[subject][round] = base > 0 ? rate / base : 0;
            failed[subject] = failed[subject] || rate == 0;
        }
    }
    for (unsigned i = 1; i < SUBJECTS; i++) {
        if (!present[i])
            continue;
        snprintf(name, sizeof(name), "%s%s %s", far ? "1ms-" : "", work_names[work],
                 subject_names[i]);
        if (failed[i])
            fprintf(stderr, "bench: %s (%u threads): not offered, or it failed\n", name, count);
        else
            report_row(name, count, bench_median(ratios[i], rounds),
                       target_of((enum subject)i, work), false);
        if (failed[i] && i == DOT2HSM)
            failed_row = true;
    }
}

/* The token's fastest key: that of the object, or its copy in the session. */
static void choose_key(void)
{
    double object = 0, copy = 0;

    if (!bare_has_copy())
        return;
    for (int i = 0; i < 3; i++) {
        bare_use_copy(false);
        object += measure(BARE, SIGN_KEPT, 1);
        bare_use_copy(true);
        copy += measure(BARE, SIGN_KEPT, 1);
    }
    bare_use_copy(copy > object);
    printf("bare works on the %s\n", copy > object ? "session copy of the key" : "token's key");
}

/* ---- calls ---- */

static struct shim_state *map_state(void)
{
    const char *path = getenv("SHIM_STATE");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *memory = MAP_FAILED;

    if (fd >= 0) {
        memory = mmap(NULL, sizeof(struct shim_state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    return memory == MAP_FAILED ? NULL : memory;
}

static uint64_t calls(struct shim_state *state)
{
    uint64_t sum = 0;

    for (int i = 0; i < SHIM_COUNT; i++)
        sum += atomic_load(&state->entry[i].calls);
    return sum;
}

static void set_delay(struct shim_state *state, uint64_t us)
{
    for (int i = 0; i < SHIM_COUNT; i++)
        atomic_store(&state->entry[i].delay_us, us);
}

static void count_calls(struct shim_state *state)
{
    static const double targets[WORKS] = {2, 2, 3, 8};
    char name[100];

    for (int subject = 0; subject < SUBJECTS; subject++) {
        for (int work = 0; work < WORKS && present[subject]; work++) {
            uint64_t least = UINT64_MAX;

            /* The least of some: dot2hsm looks at a copied key's original once a second. */
            for (int i = 0; i < 20; i++) {
                uint64_t before = calls(state);

                if (!do_work(0, (enum subject)subject, (enum work)work))
                    before = 0;
                if (before != 0 && calls(state) - before < least)
                    least = calls(state) - before;
            }
            snprintf(name, sizeof(name), "calls-per-%s %s", work_names[work],
                     subject_names[subject]);
            if (least != UINT64_MAX)
                report_row(name, 1, (double)least, subject == DOT2HSM ? targets[work] : 0, true);
        }
    }
}

/* ---- cold start ---- */

/*
 * Runs the shell command in the environment's VARIABLE; the seconds of CPU that it took (a process
 * that only computes and reads files waits for nothing else), 0 if it failed.
 */
static double run_command(const char *variable)
{
    const char *command = getenv(variable);
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)command,
                    NULL};
    struct rusage usage;
    int status = 0;
    pid_t pid;

    if (command == NULL || *command == '\0' ||
        posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) != 0 ||
        wait4(pid, &status, 0, &usage) != pid || status != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Ratios to the engine: its time by ours, so that more is faster. */
static bool cold(void)
{
    static const char *const variables[] = {"COLD_DOT2HSM", "COLD_PKCS11_PROVIDER"};
    static const char *const names[] = {"cold-dgst dot2hsm", "cold-dgst pkcs11-provider"};
    double ratios[2][ROUNDS_MAX], own;
    bool ok[2] = {true, true};

    own = run_command(variables[0]); /* files come into the cache */
    if (own == 0) {
        fprintf(stderr, "bench: COLD_DOT2HSM fails\n");
        return false;
    }
    if (run_command("COLD_ENGINE") == 0) {
        fprintf(stderr, "bench: no engine: the rows of the cold start are left out\n");
        return true;
    }
    for (unsigned round = 0; round < rounds; round++) {
        double engine = run_command("COLD_ENGINE");

        for (int i = 0; i < 2; i++) {
            double time = run_command(variables[i]);

            ok[i] = ok[i] && time > 0;
            ratios[i][round] = time > 0 ? engine / time : 0;
        }
    }
    for (int i = 0; i < 2; i++) {
        if (ok[i])
            report_row(names[i], 1, bench_median(ratios[i], rounds), i == 0 ? 1.0 : 0, false);
    }
    return true;
}

/* ---- */

static bool start(const struct bench_setup *setup)
{
    if (!bare_setup(setup))
        return false;
    for (int i = 1; i < SUBJECTS; i++)
        present[i] = evp_setup(setup, (enum subject)i);
    if (!present[DOT2HSM])
        return false;
    for (unsigned t = 0; t < THREADS_MAX; t++) {
        if (!bare_thread(&threads[t]))
            return false;
        for (int i = 1; i < SUBJECTS; i++)
            present[i] = present[i] && evp_thread(&threads[t], (enum subject)i);
    }
    return true;
}

static void run_all(struct shim_state *state)
{
    static const unsigned counts[] = {1, 2, 4, 16};
    /* Derivations last: pkcs11-provider leaves their objects, which slow SoftHSM's searches. */
    static const enum work order[WORKS] = {SIGN_KEPT, SIGN_FRESH, OPEN, DERIVE};
    pthread_t ids[THREADS_MAX];

    pthread_barrier_init(&slice.begin, NULL, THREADS_MAX + 1);
    pthread_barrier_init(&slice.end, NULL, THREADS_MAX + 1);
    for (unsigned t = 0; t < THREADS_MAX; t++)
        pthread_create(&ids[t], NULL, worker, (void *)(uintptr_t)t);
    choose_key();
    if (state != NULL) {
        count_calls(state);
        set_delay(state, 1000);
    }
    for (unsigned i = 0; i < WORKS; i++) {
        for (unsigned k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
            if (far && (order[i] == OPEN || (counts[k] != 1 && counts[k] != 4)))
                continue;
            rows_of(order[i], counts[k]);
        }
    }
    if (state != NULL)
        set_delay(state, 0);
    slice.quit = true;
    pthread_barrier_wait(&slice.begin);
    for (unsigned t = 0; t < THREADS_MAX; t++)
        pthread_join(ids[t], NULL);
}

int main(int argc, char **argv)
{
    const struct bench_setup setup = {.module = getenv("BENCH_MODULE"),
                                      .token = getenv("BENCH_TOKEN"),
                                      .pin = getenv("BENCH_PIN"),
                                      .pin_file = getenv("BENCH_PIN_FILE"),
                                      .dot2hsm = getenv("BENCH_DOT2HSM"),
                                      .pkcs11_provider = getenv("BENCH_PKCS11_PROVIDER"),
                                      .engine = getenv("BENCH_ENGINE"),
                                      .sign_label = "sign",
                                      .derive_label = "derive"};
    struct shim_state *state = NULL;
    bool ok = true;

    if (argc < 4 || (rounds = (unsigned)atoi(argv[2])) < 1 || rounds > ROUNDS_MAX ||
        (slice_ms = (unsigned)atoi(argv[3])) < 1) {
        fprintf(stderr, "usage: bench_provider local|far|cold ROUNDS SLICE_MS [JSON]\n");
        return 2;
    }
    far = strcmp(argv[1], "far") == 0;
    if (!report_open(argc > 4 ? argv[4] : NULL)) {
        perror(argv[4]);
        return 2;
    }
    if (far && (state = map_state()) == NULL) {
        fprintf(stderr, "bench: SHIM_STATE is no state file\n");
        return 2;
    }
    if (strcmp(argv[1], "cold") == 0)
        ok = cold();
    else if ((ok = start(&setup)))
        run_all(state);
    report_close();
    /* Without exit handlers: those of the others' modules are not what is measured here. */
    _exit(!ok ? 2 : failed_row || report_missed() > 0 ? 1 : 0);
}
