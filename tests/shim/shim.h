/*
 * shim.h: the state file that the forwarding PKCS#11 module (shim.c) and its control program
 * (shimctl.c) share: one entry a function, changed and read while programs run.
 */
#ifndef DOT2HSM_TESTS_SHIM_H
#define DOT2HSM_TESTS_SHIM_H

#include <stdatomic.h>
#include <stdint.h>

/* Every function that is counted, delayed and made to fail; the others are handed through. */
#define SHIM_FUNCTIONS(X)                                                                          \
    X(C_Initialize, (void *args), (args))                                                          \
    X(C_Finalize, (void *reserved), (reserved))                                                    \
    X(C_GetInfo, (CK_INFO * info), (info))                                                         \
    X(C_GetSlotList, (unsigned char present, CK_SLOT_ID *list, unsigned long *count),              \
      (present, list, count))                                                                      \
    X(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO * info), (slot, info))                         \
    X(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO * info), (slot, info))                       \
    X(C_GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE * list, unsigned long *count),       \
      (slot, list, count))                                                                         \
    X(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO * info),     \
      (slot, type, info))                                                                          \
    X(C_OpenSession,                                                                               \
      (CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify, CK_SESSION_HANDLE *session),  \
      (slot, flags, app, notify, session))                                                         \
    X(C_CloseSession, (CK_SESSION_HANDLE session), (session))                                      \
    X(C_CloseAllSessions, (CK_SLOT_ID slot), (slot))                                               \
    X(C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO * info), (session, info))      \
    X(C_Login,                                                                                     \
      (CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, unsigned long n),         \
      (session, user, pin, n))                                                                     \
    X(C_Logout, (CK_SESSION_HANDLE session), (session))                                            \
    X(C_CreateObject,                                                                              \
      (CK_SESSION_HANDLE session, CK_ATTRIBUTE * attributes, unsigned long n,                      \
       CK_OBJECT_HANDLE *object),                                                                  \
      (session, attributes, n, object))                                                            \
    X(C_CopyObject,                                                                                \
      (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE from, CK_ATTRIBUTE * attributes,                \
       unsigned long n, CK_OBJECT_HANDLE *object),                                                 \
      (session, from, attributes, n, object))                                                      \
    X(C_DestroyObject, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object), (session, object))    \
    X(C_GetAttributeValue,                                                                         \
      (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE * attributes,              \
       unsigned long n),                                                                           \
      (session, object, attributes, n))                                                            \
    X(C_SetAttributeValue,                                                                         \
      (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE * attributes,              \
       unsigned long n),                                                                           \
      (session, object, attributes, n))                                                            \
    X(C_FindObjectsInit, (CK_SESSION_HANDLE session, CK_ATTRIBUTE * attributes, unsigned long n),  \
      (session, attributes, n))                                                                    \
    X(C_FindObjects,                                                                               \
      (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE * objects, unsigned long max,                   \
       unsigned long *count),                                                                      \
      (session, objects, max, count))                                                              \
    X(C_FindObjectsFinal, (CK_SESSION_HANDLE session), (session))                                  \
    X(C_SignInit, (CK_SESSION_HANDLE session, CK_MECHANISM * mechanism, CK_OBJECT_HANDLE key),     \
      (session, mechanism, key))                                                                   \
    X(C_Sign,                                                                                      \
      (CK_SESSION_HANDLE session, unsigned char *data, unsigned long n, unsigned char *signature,  \
       unsigned long *size),                                                                       \
      (session, data, n, signature, size))                                                         \
    X(C_GenerateKeyPair,                                                                           \
      (CK_SESSION_HANDLE session, CK_MECHANISM * mechanism, CK_ATTRIBUTE * public_,                \
       unsigned long n_public, CK_ATTRIBUTE *private_, unsigned long n_private,                    \
       CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key),                               \
      (session, mechanism, public_, n_public, private_, n_private, public_key, private_key))       \
    X(C_DeriveKey,                                                                                 \
      (CK_SESSION_HANDLE session, CK_MECHANISM * mechanism, CK_OBJECT_HANDLE base,                 \
       CK_ATTRIBUTE * attributes, unsigned long n, CK_OBJECT_HANDLE *key),                         \
      (session, mechanism, base, attributes, n, key))                                              \
    X(C_GenerateRandom, (CK_SESSION_HANDLE session, unsigned char *out, unsigned long n),          \
      (session, out, n))

enum shim_function {
#define X(name, declaration, call) SHIM_##name,
    SHIM_FUNCTIONS(X)
#undef X
    SHIM_COUNT
};

struct shim_entry {
    _Atomic uint64_t calls;
    _Atomic uint64_t delay_us;   /* slept before the call */
    _Atomic uint64_t fail_value; /* CK_RV answered instead of the call ... */
    _Atomic int64_t fail_count;  /* ... so many times more */
};

struct shim_state {
    uint32_t magic;
    uint32_t count;
    _Atomic int64_t sessions;     /* open now */
    _Atomic int64_t sessions_max; /* most that were open at once */
    _Atomic int64_t limit;        /* C_OpenSession answers CKR_SESSION_COUNT at this; 0 = none */
    _Atomic int64_t away;         /* the token is out of its slot, and its sessions are closed */
    _Atomic uint64_t renumber;    /* every slot's number is that of the module, XOR this */
    _Atomic uint64_t exchanged;   /* of two slots, whose tokens are exchanged, the numbers' XOR, */
    _Atomic uint64_t exchanged_one; /* and one of the numbers */
    _Atomic int64_t path;           /* the token has a protected authentication path */
    _Atomic int64_t always;         /* every private key is CKA_ALWAYS_AUTHENTICATE */
    _Atomic uint64_t flags_set;     /* in the flags of C_GetTokenInfo ... */
    _Atomic uint64_t flags_clear;   /* ... and not in them, whatever the module says */
    _Atomic int64_t context_logins; /* C_Login with CKU_CONTEXT_SPECIFIC that were right */
    struct shim_entry entry[SHIM_COUNT];
};

#define SHIM_MAGIC 0x6d696873u

#endif
