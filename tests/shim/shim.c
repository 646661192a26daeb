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
        /* Counted before the call, so that two at once do not exceed the limit. */
        int64_t limit = atomic_load(&state->limit);
        int64_t now = atomic_fetch_add(&state->sessions, 1) + 1;
        if (limit > 0 && now > limit) {
            atomic_fetch_sub(&state->sessions, 1);
            *rv = CKR_SESSION_COUNT;
            return true;
        }
    }
    return false;
}

static void account(enum shim_function function, CK_RV rv)
{
    if (rv != CKR_OK) {
        if (function == SHIM_C_OpenSession)
            atomic_fetch_sub(&state->sessions, 1);
    } else if (function == SHIM_C_OpenSession) {
        int64_t now = atomic_load(&state->sessions);
        int64_t most = atomic_load(&state->sessions_max);
        while (now > most && !atomic_compare_exchange_weak(&state->sessions_max, &most, now))
            ;
    } else if (function == SHIM_C_CloseSession) {
        atomic_fetch_sub(&state->sessions, 1);
    } else if (function == SHIM_C_CloseAllSessions || function == SHIM_C_Finalize) {
        atomic_store(&state->sessions, 0);
    }
}

/* ---- what SoftHSM cannot show ---- */

static char path_pin[64]; /* what is typed in on the device; SHIM_PIN */

/*
 * The slots behind their numbers: a token that was out may come back in another slot, also in that
 * of another token.
 */
static CK_SLOT_ID renumbered(CK_SLOT_ID slot)
{
    const CK_SLOT_ID exchanged = (CK_SLOT_ID)atomic_load(&state->exchanged);
    const CK_SLOT_ID one = (CK_SLOT_ID)atomic_load(&state->exchanged_one);

    if (exchanged != 0 && (slot == one || slot == (one ^ exchanged)))
        return slot ^ exchanged;
    return slot ^ (CK_SLOT_ID)atomic_load(&state->renumber);
}

/*
 * The answer of a token that is out of its slot. Its sessions died with it: those behind are closed
 * when it is seen to be away.
 */
static bool token_away(CK_SLOT_ID slot, CK_RV *rv)
{
    if (atomic_load(&state->away) == 0)
        return false;
    (void)real->C_CloseAllSessions(renumbered(slot));
    atomic_store(&state->sessions, 0);
    *rv = CKR_TOKEN_NOT_PRESENT;
    return true;
}

static CK_RV away_C_GetSlotList(unsigned char present, CK_SLOT_ID *list, unsigned long *count)
{
    CK_RV rv = CKR_OK;

    if (present && atomic_load(&state->away) != 0) {
        *count = 0;
        return CKR_OK;
    }
    rv = real->C_GetSlotList(present, list, count);
    for (unsigned long i = 0; rv == CKR_OK && list != NULL && i < *count; i++)
        list[i] ^= (CK_SLOT_ID)atomic_load(&state->renumber);
    return rv;
}

static CK_RV away_C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
    CK_RV rv = real->C_GetSlotInfo(renumbered(slot), info);

    if (rv == CKR_OK && atomic_load(&state->away) != 0)
        info->flags &= ~(CK_FLAGS)CKF_TOKEN_PRESENT;
    return rv;
}

static CK_RV away_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_RV rv = CKR_OK;

    if (token_away(slot, &rv))
        return rv;
    rv = real->C_GetTokenInfo(renumbered(slot), info);
    if (rv == CKR_OK && atomic_load(&state->path) != 0)
        info->flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
    if (rv == CKR_OK) {
        info->flags |= (CK_FLAGS)atomic_load(&state->flags_set);
        info->flags &= ~(CK_FLAGS)atomic_load(&state->flags_clear);
    }
    return rv;
}

static CK_RV away_C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify,
                                CK_SESSION_HANDLE *session)
{
    CK_RV rv = CKR_OK;

    return token_away(slot, &rv)
               ? rv
               : real->C_OpenSession(renumbered(slot), flags, app, notify, session);
}

static CK_RV away_C_CloseAllSessions(CK_SLOT_ID slot)
{
    return real->C_CloseAllSessions(renumbered(slot));
}

static CK_RV away_C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, unsigned long *count)
{
    return real->C_GetMechanismList(renumbered(slot), list, count);
}

static CK_RV away_C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type,
                                     CK_MECHANISM_INFO *info)
{
    return real->C_GetMechanismInfo(renumbered(slot), type, info);
}

/* SoftHSM has one PIN: the session tells whether the context login is due. */
static _Atomic CK_SESSION_HANDLE login_due;

static CK_RV path_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin,
                          unsigned long n)
{
    const char *right = getenv("SHIM_PIN");

    if (atomic_load(&state->path) != 0) {
        if (pin != NULL)
            return CKR_ARGUMENTS_BAD;
        snprintf(path_pin, sizeof path_pin, "%s", right != NULL ? right : "");
        pin = (unsigned char *)path_pin;
        n = strlen(path_pin);
    }
    if (user != CKU_CONTEXT_SPECIFIC)
        return real->C_Login(session, user, pin, n);
    if (atomic_load(&login_due) != session)
        return CKR_OPERATION_NOT_INITIALIZED;
    if (right == NULL || pin == NULL || n != strlen(right) || memcmp(pin, right, n) != 0)
        return CKR_PIN_INCORRECT;
    atomic_store(&login_due, 0);
    atomic_fetch_add(&state->context_logins, 1);
    return CKR_OK;
}

static CK_RV always_C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                        CK_ATTRIBUTE *attributes, unsigned long n)
{
    CK_RV rv = real->C_GetAttributeValue(session, object, attributes, n);

    for (unsigned long i = 0; atomic_load(&state->always) != 0 && i < n; i++)
        if (attributes[i].type == CKA_ALWAYS_AUTHENTICATE && attributes[i].ulValueLen == 1)
            *(CK_BBOOL *)attributes[i].pValue = CK_TRUE;
    return rv;
}

static CK_RV always_C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                               CK_OBJECT_HANDLE key)
{
    CK_RV rv = real->C_SignInit(session, mechanism, key);

    if (rv == CKR_OK && atomic_load(&state->always) != 0)
        atomic_store(&login_due, session);
    return rv;
}

static CK_RV always_C_Sign(CK_SESSION_HANDLE session, unsigned char *data, unsigned long n,
                           unsigned char *signature, unsigned long *size)
{
    if (atomic_load(&state->always) != 0 && atomic_load(&login_due) == session)
        return CKR_USER_NOT_LOGGED_IN;
    return real->C_Sign(session, data, n, signature, size);
}

static CK_FUNCTION_LIST behind; /* the module's functions, some of them with the above before */

static void put_between(void)
{
    behind = *real;
    behind.C_GetSlotList = away_C_GetSlotList;
    behind.C_GetSlotInfo = away_C_GetSlotInfo;
    behind.C_GetTokenInfo = away_C_GetTokenInfo;
    behind.C_GetMechanismList = away_C_GetMechanismList;
    behind.C_GetMechanismInfo = away_C_GetMechanismInfo;
    behind.C_OpenSession = away_C_OpenSession;
    behind.C_CloseAllSessions = away_C_CloseAllSessions;
    behind.C_Login = path_C_Login;
    behind.C_GetAttributeValue = always_C_GetAttributeValue;
    behind.C_SignInit = always_C_SignInit;
    behind.C_Sign = always_C_Sign;
}

#define X(name, declaration, call)                                                                 \
    static CK_RV shim_##name declaration                                                           \
    {                                                                                              \
        CK_RV rv = CKR_OK;                                                                         \
        if (intercept(SHIM_##name, &rv))                                                           \
            return rv;                                                                             \
        rv = behind.name call;                                                                     \
        account(SHIM_##name, rv);                                                                  \
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
    put_between();
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
