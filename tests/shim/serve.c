#include "tests/shim/serve.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/shim/shim.h"

#define THREADS_MAX 256
#define DRAIN_SECONDS 30 /* for calls that are under way when the connection ends */

struct job {
    struct job *next;
    uint32_t tag;
    struct wire request;
};

static struct {
    int fd;
    CK_FUNCTION_LIST *module;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct job *first, **last;
    unsigned waiting; /* jobs */
    unsigned idle, threads;
    unsigned running;     /* calls in the module */
    bool ended;           /* no call is begun any more */
    pthread_cond_t quiet; /* running has become 0 */
    pthread_mutex_t sending;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .cond = PTHREAD_COND_INITIALIZER,
            .quiet = PTHREAD_COND_INITIALIZER,
            .sending = PTHREAD_MUTEX_INITIALIZER};

static CK_FUNCTION_LIST *load(const char *path)
{
    CK_FUNCTION_LIST *functions = NULL;
    CK_C_GetFunctionList get = NULL;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (handle != NULL)
        *(void **)&get = dlsym(handle, "C_GetFunctionList");
    if (get == NULL || get(&functions) != CKR_OK) {
        fprintf(stderr, "p11shimd: %s: %s\n", path, handle == NULL ? dlerror() : "no module");
        return NULL;
    }
    return functions;
}

/* The first request: C_Initialize, by a client of the same build. */
static bool greeted(int fd, const char *path)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    struct wire request = {0}, reply = {0};
    CK_RV rv = CKR_DEVICE_ERROR;
    uint32_t tag = 0;
    bool ok = wire_receive(fd, &tag, &request) && wire_number(&request) == SHIM_C_Initialize &&
              wire_number(&request) == SHIM_GREETING && request.at == request.size && !request.bad;

    if (ok) {
        server.module = load(path);
        if (server.module != NULL)
            rv = server.module->C_Initialize(&args);
        wire_put_number(&reply, rv);
        ok = wire_send(fd, tag, &reply) && rv == CKR_OK;
    }
    wire_clear(&request);
    wire_clear(&reply);
    return ok;
}

static void run(struct job *job)
{
    struct wire reply = {0};
    bool ok = execute(server.module, &job->request, &reply);

    if (ok) {
        pthread_mutex_lock(&server.sending);
        ok = wire_send(server.fd, job->tag, &reply);
        pthread_mutex_unlock(&server.sending);
    }
    /* The connection is of no use any more: serve() sees its end, and waits for the other calls. */
    if (!ok)
        shutdown(server.fd, SHUT_RDWR);
    wire_clear(&job->request);
    wire_clear(&reply);
    free(job);
}

static void *work(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&server.lock);
    for (;;) {
        struct job *job = NULL;

        server.idle++;
        while (server.first == NULL || server.ended)
            pthread_cond_wait(&server.cond, &server.lock);
        server.idle--;
        job = server.first;
        server.first = job->next;
        if (server.first == NULL)
            server.last = &server.first;
        server.waiting--;
        server.running++;
        pthread_mutex_unlock(&server.lock);
        run(job);
        pthread_mutex_lock(&server.lock);
        if (--server.running == 0)
            pthread_cond_signal(&server.quiet);
    }
    return NULL;
}

/* A thread for each call that is at work, since a call may take as long as it likes. */
static bool more_hands(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool ok;

    if (server.waiting <= server.idle || server.threads >= THREADS_MAX)
        return server.threads > 0;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    ok = pthread_create(&thread, &attributes, work, NULL) == 0;
    pthread_attr_destroy(&attributes);
    if (ok)
        server.threads++;
    return ok || server.threads > 0;
}

/*
 * A call of a client that is gone goes on to its end, as it does in a HSM: a module that is killed
 * while it writes, as SoftHSM its files, would lose the token. One that hangs is given up.
 */
static void drain(void)
{
    struct timespec until;
    int waited = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DRAIN_SECONDS;
    pthread_mutex_lock(&server.lock);
    server.ended = true;
    while (server.running > 0 && waited == 0)
        waited = pthread_cond_timedwait(&server.quiet, &server.lock, &until);
    /* The lock is kept: nothing begins between this and the end of the process. */
}

static void receive_all(int fd)
{
    for (;;) {
        struct job *job = calloc(1, sizeof *job);
        bool ok;

        if (job == NULL || !wire_receive(fd, &job->tag, &job->request)) {
            free(job);
            return;
        }
        pthread_mutex_lock(&server.lock);
        *server.last = job;
        server.last = &job->next;
        server.waiting++;
        ok = more_hands();
        pthread_cond_signal(&server.cond);
        pthread_mutex_unlock(&server.lock);
        if (!ok)
            return;
    }
}

void serve(int fd, const char *module)
{
    if (!greeted(fd, module))
        return;
    server.fd = fd;
    server.last = &server.first;
    receive_all(fd);
    drain();
}
