/*
 * lab.h: SoftHSM tokens in a temporary directory, and what the tests do with them beside the
 * library: libcrypto's side of a signature or an agreement, and direct Cryptoki.
 */
#ifndef DOT2HSM_TESTS_PKCS11_LAB_H
#define DOT2HSM_TESTS_PKCS11_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <p11-kit/pkcs11.h>

#include "pkcs11/p11.h"

#define LAB_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define LAB_SOFTOKN "libsoftokn3.so"
#define LAB_PIN "123456"
#define LAB_TOKEN "lab"

extern char lab_dir[256];

/*
 * A directory with a SoftHSM configuration (in the environment), one token and pin files. With
 * LAB_TOKEN_KIND=softokn in the environment the token is one of NSS.
 */
void lab_open(void);
bool lab_is_softokn(void);
/* How many of the four curves the token knows: NSS has no Brainpool. */
size_t lab_curves(void);
extern const enum p11_curve lab_curve[4]; /* those that NSS knows come first */
/* One more token with the same PIN. */
void lab_token(const char *label);
void lab_close(void);
int lab_teardown(void **state); /* the same, for cmocka */
/* Runs a program and waits; its exit status. Output is dropped. */
int lab_run(const char *const argv[]);
/* A file in lab_dir; the path is in a static buffer. */
const char *lab_file(const char *name, const char *text, unsigned mode);

/* A context whose PIN comes from a file of lab_dir; `change` may alter it before. */
p11_ctx *lab_ctx(void (*change)(struct p11_config *config));

/* Generates object=label in the token "lab"; fails the test if that fails. */
p11_key *lab_key(p11_ctx *ctx, const char *label, enum p11_curve curve, unsigned usage);

/* Opens object=label in the token "lab"; why it is refused is in lab_error. */
enum p11_status lab_open_key(p11_ctx *ctx, const char *label, p11_key **key);

/* Whether r || s is a signature of the digest by the point, as libcrypto sees it. */
bool lab_verify(enum p11_curve curve, const uint8_t *point, const uint8_t *digest,
                size_t digest_size, const uint8_t *signature);
/* Signs with the key and verifies with libcrypto. */
enum p11_status lab_sign(p11_key *key);
/* The same, and fails the test with the reason if that fails or leaves an error. */
void lab_signs(p11_key *key);

/* The module itself: the same copy that the library uses. */
CK_FUNCTION_LIST *lab_cryptoki(void);
/* A session of the test's own; the login is the process's. */
CK_SESSION_HANDLE lab_session(void);

double lab_seconds(void);

/* A key made by libcrypto. */
struct lab_software_key {
    enum p11_curve curve;
    uint8_t value[48], point[97];
    size_t size;
};
void lab_software(enum p11_curve curve, struct lab_software_key *key);
/* C_CreateObject of its private half: sensitive and not extractable, as far as told. */
CK_RV lab_import(const struct lab_software_key *key, const char *label, const char *id,
                 bool sensitive, bool extractable, bool explicit_params);
/* C_CreateObject of its public half, CKA_EC_POINT in an OCTET STRING or raw. */
CK_RV lab_import_public(const struct lab_software_key *key, const char *label, const char *id,
                        bool raw, bool explicit_params);

/*
 * Counts the calls into the module from now on: its function list, which it hands out by pointer,
 * gets functions in between. lab_fail_next makes the next call of one kind fail with that answer.
 */
enum lab_call {
    LAB_LOGIN,
    LAB_OPEN_SESSION,
    LAB_SESSION_INFO,
    LAB_FIND,
    LAB_GET_ATTRIBUTE,
    LAB_SIGN_INIT,
    LAB_SIGN,
    LAB_DERIVE,
    LAB_DESTROY,
    LAB_COPY,
    LAB_FINALIZE,
    LAB_CALLS
};
extern _Atomic unsigned lab_count[LAB_CALLS];
extern _Atomic unsigned lab_most_sessions; /* open at one time */
void lab_count_calls(void);
void lab_count_reset(void);
unsigned lab_count_all(void);
void lab_fail_next(enum lab_call call, CK_RV rv, unsigned times);
/* Makes every C_Sign take this long. */
extern _Atomic unsigned lab_sign_ms;
/* The slot of a token, from the module. */
CK_SLOT_ID lab_slot(const char *label);
/* The reason of the last error on the queue, which is cleared; text goes to lab_error. */
extern char lab_error[512];
enum p11_status lab_last_error(void);

#endif
