/*
 * shim.c: a PKCS#11 module that hands every call to another one, and counts, delays, limits or
 * fails calls on the way, as its state file says.
 *
 * Environment: SHIM_MODULE, the module behind, in this process; or SHIM_SOCKET, where p11shimd
 * listens that has it in another. SHIM_STATE, the state file (made by shimctl); may be absent with
 * SHIM_SOCKET.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#include "tests/shim/remote.h"
#include "tests/shim/shim.h"

static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST ours;
static struct shim_state *state;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* True if the call is to answer *rv instead of going through. */
static bool intercept(enum shim_function function, CK_RV *rv)
{
    struct shim_entry *entry = &state->entry[function];
    atomic_fetch_add(&entry->calls, 1);
    uint64_t delay = atomic_load(&entry->delay_us);
    if (delay > 0)
        usleep((useconds_t)delay);
    if (atomic_load(&entry->fail_count) > 0 && atomic_fetch_sub(&entry->fail_count, 1) > 0) {
        *rv = (CK_RV)atomic_load(&entry->fail_value);
        return true;
    }
    if (function == SHIM_C_OpenSession) {
        int64_t limit = atomic_load(&state->limit);
        if (limit > 0 && atomic_load(&state->sessions) >= limit) {
            *rv = CKR_SESSION_COUNT;
            return true;
        }
    }
    return false;
}

static void account(enum shim_function function)
{
    if (function == SHIM_C_OpenSession) {
        int64_t now = atomic_fetch_add(&state->sessions, 1) + 1;
        int64_t most = atomic_load(&state->sessions_max);
        while (now > most && !atomic_compare_exchange_weak(&state->sessions_max, &most, now))
            ;
    } else if (function == SHIM_C_CloseSession) {
        atomic_fetch_sub(&state->sessions, 1);
    } else if (function == SHIM_C_CloseAllSessions || function == SHIM_C_Finalize) {
        atomic_store(&state->sessions, 0);
    }
}

#define X(name, declaration, call)                                                                 \
    static CK_RV shim_##name declaration                                                           \
    {                                                                                              \
        CK_RV rv = CKR_OK;                                                                         \
        if (intercept(SHIM_##name, &rv))                                                           \
            return rv;                                                                             \
        rv = real->name call;                                                                      \
        if (rv == CKR_OK)                                                                          \
            account(SHIM_##name);                                                                  \
        return rv;                                                                                 \
    }
SHIM_FUNCTIONS(X)
#undef X

static CK_RV shim_get_function_list(CK_FUNCTION_LIST **list)
{
    *list = &ours;
    return CKR_OK;
}

static CK_FUNCTION_LIST *load_module(const char *path)
{
    CK_FUNCTION_LIST *list = NULL;
    CK_C_GetFunctionList get = NULL;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (module == NULL) {
        fprintf(stderr, "shim: %s\n", dlerror());
        return NULL;
    }
    *(void **)&get = dlsym(module, "C_GetFunctionList");
    return get != NULL && get(&list) == CKR_OK ? list : NULL;
}

static struct shim_state *map_state(const char *file)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    void *memory = NULL;

    if (fd < 0) {
        perror(file);
        return NULL;
    }
    memory = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED || ((struct shim_state *)memory)->magic != SHIM_MAGIC) {
        fprintf(stderr, "shim: %s is not a state file\n", file);
        return NULL;
    }
    return memory;
}

static void load(void)
{
    static struct shim_state no_state; /* nothing is delayed, and nobody reads the counts */
    const char *path = getenv("SHIM_MODULE");
    const char *socket = getenv("SHIM_SOCKET");
    const char *file = getenv("SHIM_STATE");

    if ((path == NULL || file == NULL) && socket == NULL) {
        fprintf(stderr, "shim: SHIM_MODULE and SHIM_STATE are needed, or SHIM_SOCKET\n");
        return;
    }
    state = file != NULL ? map_state(file) : &no_state;
    if (state == NULL)
        return;
    if (socket != NULL) {
        socket = strdup(socket);
        real = socket != NULL ? remote_functions(socket) : NULL;
    } else {
        real = load_module(path);
    }
    if (real == NULL)
        return;
    ours = *real;
#define X(name, declaration, call) ours.name = shim_##name;
    SHIM_FUNCTIONS(X)
#undef X
    ours.C_GetFunctionList = shim_get_function_list;
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    pthread_once(&once, load);
    if (real == NULL)
        return CKR_GENERAL_ERROR;
    return shim_get_function_list(list);
}
