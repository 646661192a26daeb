/*
 * count.c: functions between the library and SoftHSM that count, fail on demand and dawdle.
 */
#include "tests/pkcs11/lab.h"

#include <stdatomic.h>
#include <time.h>

_Atomic unsigned lab_count[LAB_CALLS];
_Atomic unsigned lab_most_sessions;
_Atomic unsigned lab_sign_ms;

static CK_FUNCTION_LIST real;
static _Atomic unsigned fail_times[LAB_CALLS];
static _Atomic CK_RV fail_with[LAB_CALLS];
static _Atomic int sessions;

/* The answer to give instead of the module's, or CKR_OK. */
static CK_RV passing(enum lab_call call)
{
    unsigned left = fail_times[call];

    lab_count[call]++;
    while (left != 0)
        if (atomic_compare_exchange_weak(&fail_times[call], &left, left - 1))
            return fail_with[call];
    return CKR_OK;
}

#define BETWEEN(name, call, parameters, arguments)                                                 \
    static CK_RV between_##name parameters                                                         \
    {                                                                                              \
        CK_RV rv = passing(call);                                                                  \
        return rv != CKR_OK ? rv : real.name arguments;                                            \
    }

BETWEEN(C_Login, LAB_LOGIN, (CK_SESSION_HANDLE s, CK_USER_TYPE u, CK_UTF8CHAR *p, CK_ULONG n),
        (s, u, p, n))
BETWEEN(C_GetSessionInfo, LAB_SESSION_INFO, (CK_SESSION_HANDLE s, CK_SESSION_INFO *i), (s, i))
BETWEEN(C_FindObjectsInit, LAB_FIND, (CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n), (s, t, n))
BETWEEN(C_GetAttributeValue, LAB_GET_ATTRIBUTE,
        (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n), (s, o, t, n))
BETWEEN(C_SignInit, LAB_SIGN_INIT, (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k),
        (s, m, k))
BETWEEN(C_DeriveKey, LAB_DERIVE,
        (CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k, CK_ATTRIBUTE *t, CK_ULONG n,
         CK_OBJECT_HANDLE *o),
        (s, m, k, t, n, o))
BETWEEN(C_DestroyObject, LAB_DESTROY, (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o), (s, o))
BETWEEN(C_CopyObject, LAB_COPY,
        (CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *c),
        (s, o, t, n, c))
BETWEEN(C_Finalize, LAB_FINALIZE, (void *p), (p))

static CK_RV between_C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *arg, CK_NOTIFY notify,
                                   CK_SESSION_HANDLE *session)
{
    CK_RV rv = passing(LAB_OPEN_SESSION);

    if (rv == CKR_OK)
        rv = real.C_OpenSession(slot, flags, arg, notify, session);
    if (rv == CKR_OK) {
        int open = ++sessions;
        unsigned most = lab_most_sessions;

        while (open > (int)most &&
               !atomic_compare_exchange_weak(&lab_most_sessions, &most, (unsigned)open))
            continue;
    }
    return rv;
}

static CK_RV between_C_CloseSession(CK_SESSION_HANDLE session)
{
    CK_RV rv = real.C_CloseSession(session);

    if (rv == CKR_OK)
        sessions--;
    return rv;
}

static CK_RV between_C_Sign(CK_SESSION_HANDLE s, CK_BYTE *d, CK_ULONG n, CK_BYTE *o, CK_ULONG *l)
{
    CK_RV rv = passing(LAB_SIGN);
    const struct timespec pause = {lab_sign_ms / 1000, (long)(lab_sign_ms % 1000) * 1000000};

    if (pause.tv_sec != 0 || pause.tv_nsec != 0)
        nanosleep(&pause, NULL);
    return rv != CKR_OK ? rv : real.C_Sign(s, d, n, o, l);
}

void lab_count_calls(void)
{
    CK_FUNCTION_LIST *list = lab_cryptoki();

    if (list->C_Sign == between_C_Sign)
        return;
    real = *list;
    list->C_Login = between_C_Login;
    list->C_GetSessionInfo = between_C_GetSessionInfo;
    list->C_FindObjectsInit = between_C_FindObjectsInit;
    list->C_GetAttributeValue = between_C_GetAttributeValue;
    list->C_SignInit = between_C_SignInit;
    list->C_DeriveKey = between_C_DeriveKey;
    list->C_DestroyObject = between_C_DestroyObject;
    list->C_CopyObject = between_C_CopyObject;
    list->C_Finalize = between_C_Finalize;
    list->C_OpenSession = between_C_OpenSession;
    list->C_CloseSession = between_C_CloseSession;
    list->C_Sign = between_C_Sign;
}

void lab_count_reset(void)
{
    for (int i = 0; i < LAB_CALLS; i++)
        lab_count[i] = 0;
    lab_most_sessions = sessions > 0 ? (unsigned)sessions : 0;
}

unsigned lab_count_all(void)
{
    unsigned all = 0;

    for (int i = 0; i < LAB_CALLS; i++)
        all += lab_count[i];
    return all;
}

void lab_fail_next(enum lab_call call, CK_RV rv, unsigned times)
{
    fail_with[call] = rv;
    fail_times[call] = times;
}
