/*
 * bench.h: who is measured, and on what.
 *
 * Every subject does the same work on the same token in the same process: "bare" is a loop of
 * Cryptoki calls, the others are OpenSSL over dot2hsm.so, pkcs11-provider and the engine of libp11.
 */
#ifndef DOT2HSM_TESTS_BENCH_BENCH_H
#define DOT2HSM_TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <p11-kit/pkcs11.h>

enum subject {
    BARE,
    DOT2HSM,
    PKCS11_PROVIDER,
    ENGINE_LIBP11,
    SUBJECTS
};
enum work {
    SIGN_KEPT,  /* a context that stays */
    SIGN_FRESH, /* a context for each signature */
    DERIVE,     /* ECDH with a context that stays */
    OPEN,       /* a key by its URI, and free it */
    WORKS
};

/* From the environment that run.sh makes. */
struct bench_setup {
    const char *module, *token, *pin, *pin_file;
    const char *dot2hsm, *pkcs11_provider, *engine; /* paths; NULL: not to be had */
    const char *sign_label, *derive_label;
};

#define BENCH_DIGEST 32

/* What a thread has of its own. */
struct bench_thread {
    CK_SESSION_HANDLE session;
    EVP_PKEY_CTX *sign[SUBJECTS], *derive[SUBJECTS];
};

/* ---- bench_bare.c ---- */
/* Initialises the module, logs in, finds the keys and copies them into the session. */
bool bare_setup(const struct bench_setup *setup);
bool bare_thread(struct bench_thread *thread);
/* On the session copies of the keys, if bare_use_copy() said so. */
bool bare_work(struct bench_thread *thread, enum work work);
/* Loops on the copies, where there are some. */
void bare_use_copy(bool use);
bool bare_has_copy(void);
/* The uncompressed point of the peer of derivations. */
const uint8_t *bare_peer(size_t *size);

/* ---- bench_evp.c ---- */
/* Loads the subject and opens its keys; false: it is not there (a line on stderr says why). */
bool evp_setup(const struct bench_setup *setup, enum subject subject);
bool evp_thread(struct bench_thread *thread, enum subject subject);
bool evp_work(struct bench_thread *thread, enum subject subject, enum work work);

#endif
