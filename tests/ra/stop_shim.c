/*
 * stop_shim.c: preloaded into a client, it stops the process (SIGSTOP) before its STOP_AT-th call
 * of send() or recv(), of all its connections together; who has started it lets it go on. At the
 * end the number of calls is written to the file that STOP_CALLS names, if it is set.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define EXPORT __attribute__((visibility("default")))

static atomic_long calls;

static void count(void)
{
    const char *at = getenv("STOP_AT");

    if (atomic_fetch_add(&calls, 1) + 1 == (at == NULL ? 0 : atol(at)))
        raise(SIGSTOP);
}

EXPORT ssize_t send(int fd, const void *octets, size_t size, int flags)
{
    static ssize_t (*real)(int, const void *, size_t, int);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "send");
    count();
    return real(fd, octets, size, flags);
}

EXPORT ssize_t recv(int fd, void *octets, size_t size, int flags)
{
    static ssize_t (*real)(int, void *, size_t, int);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "recv");
    count();
    return real(fd, octets, size, flags);
}

__attribute__((destructor)) static void tell_calls(void)
{
    const char *path = getenv("STOP_CALLS");
    FILE *file = path == NULL ? NULL : fopen(path, "we");

    if (file == NULL)
        return;
    fprintf(file, "%ld\n", calls);
    fclose(file);
}
