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

#include <cmocka.h>
#include <p11-kit/pkcs11.h>

#include "pkcs11/p11.h"

#define LAB_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define LAB_PIN "123456"
#define LAB_TOKEN "lab"

extern char lab_dir[256];

/* A directory with a SoftHSM configuration (in the environment), one token and pin files. */
void lab_open(void);
/* One more token with the same PIN. */
void lab_token(const char *label);
void lab_close(void);
/* Runs a program and waits; its exit status. Output is dropped. */
int lab_run(const char *const argv[]);
/* A file in lab_dir; the path is in a static buffer. */
const char *lab_file(const char *name, const char *text, unsigned mode);

/* A context whose PIN comes from a file of lab_dir; `change` may alter it before. */
p11_ctx *lab_ctx(void (*change)(struct p11_config *config));

/* Generates object=label in the token "lab"; fails the test if that fails. */
p11_key *lab_key(p11_ctx *ctx, const char *label, enum p11_curve curve, unsigned usage);

/* Whether r || s is a signature of the digest by the point, as libcrypto sees it. */
bool lab_verify(enum p11_curve curve, const uint8_t *point, const uint8_t *digest,
                size_t digest_size, const uint8_t *signature);
/* Signs with the key and verifies with libcrypto. */
enum p11_status lab_sign(p11_key *key);

/* The module itself: the same copy that the library uses. */
CK_FUNCTION_LIST *lab_cryptoki(void);
/* The slot of a token, from the module. */
CK_SLOT_ID lab_slot(const char *label);
/* The reason of the last error on the queue, which is cleared; text goes to lab_error. */
extern char lab_error[512];
enum p11_status lab_last_error(void);

#endif
