/*
 * shimctl.c: makes and changes the state file of the forwarding PKCS#11 module.
 *
 *   shimctl STATE create
 *   shimctl STATE count FUNCTION          calls so far
 *   shimctl STATE calls                   all functions called so far, with their counts
 *   shimctl STATE delay FUNCTION|all US   sleep before each call
 *   shimctl STATE fail FUNCTION CKR N     the next N calls answer CKR (a number)
 *   shimctl STATE limit N                 sessions the token has; 0 = as many as the module
 *   shimctl STATE flags SET CLEAR         of every token, over the module's own
 *   shimctl STATE sessions                open now, and most at once
 *   shimctl STATE reset                   counters to zero
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

static const char *const names[] = {
#define X(name, declaration, call) #name,
    SHIM_FUNCTIONS(X)
#undef X
};

static int function_of(const char *name)
{
    for (int i = 0; i < SHIM_COUNT; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    fprintf(stderr, "shimctl: no function %s\n", name);
    exit(2);
}

static struct shim_state *map(const char *path, int create)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0), 0600);
    if (fd < 0 || (create && ftruncate(fd, sizeof(struct shim_state)) != 0)) {
        perror(path);
        exit(2);
    }
    void *memory = mmap(NULL, sizeof(struct shim_state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    return memory;
}

static void report(struct shim_state *state)
{
    for (int i = 0; i < SHIM_COUNT; i++) {
        uint64_t calls = atomic_load(&state->entry[i].calls);
        if (calls > 0)
            printf("%s %" PRIu64 "\n", names[i], calls);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: shimctl STATE create|count|calls|delay|fail|limit|flags|"
                        "sessions|reset\n");
        return 2;
    }
    const char *verb = argv[2];
    struct shim_state *state = map(argv[1], strcmp(verb, "create") == 0);
    if (strcmp(verb, "create") == 0) {
        state->magic = SHIM_MAGIC;
        state->count = SHIM_COUNT;
    } else if (strcmp(verb, "count") == 0 && argc == 4) {
        printf("%" PRIu64 "\n", atomic_load(&state->entry[function_of(argv[3])].calls));
    } else if (strcmp(verb, "calls") == 0) {
        report(state);
    } else if (strcmp(verb, "delay") == 0 && argc == 5) {
        uint64_t us = strtoull(argv[4], NULL, 0);
        int only = strcmp(argv[3], "all") == 0 ? -1 : function_of(argv[3]);
        for (int i = 0; i < SHIM_COUNT; i++) {
            if (only < 0 || only == i)
                atomic_store(&state->entry[i].delay_us, us);
        }
    } else if (strcmp(verb, "fail") == 0 && argc == 6) {
        struct shim_entry *entry = &state->entry[function_of(argv[3])];
        atomic_store(&entry->fail_value, strtoull(argv[4], NULL, 0));
        atomic_store(&entry->fail_count, strtoll(argv[5], NULL, 0));
    } else if (strcmp(verb, "limit") == 0 && argc == 4) {
        atomic_store(&state->limit, strtoll(argv[3], NULL, 0));
    } else if (strcmp(verb, "flags") == 0 && argc == 5) {
        atomic_store(&state->flags_set, strtoull(argv[3], NULL, 0));
        atomic_store(&state->flags_clear, strtoull(argv[4], NULL, 0));
    } else if (strcmp(verb, "sessions") == 0) {
        printf("%" PRId64 " %" PRId64 "\n", atomic_load(&state->sessions),
               atomic_load(&state->sessions_max));
    } else if (strcmp(verb, "reset") == 0) {
        for (int i = 0; i < SHIM_COUNT; i++)
            atomic_store(&state->entry[i].calls, 0);
        atomic_store(&state->sessions_max, atomic_load(&state->sessions));
    } else {
        fprintf(stderr, "shimctl: %s: unknown or wrong number of arguments\n", verb);
        return 2;
    }
    return 0;
}
