/*
 * fault.h: SoftHSM behind the shim in this process, for tests that count calls and make the token
 * misbehave. A login and a module's state last as long as a process: each group of tests is a
 * program of its own.
 */
#ifndef DOT2HSM_TESTS_PKCS11_FAULT_H
#define DOT2HSM_TESTS_PKCS11_FAULT_H

#include "tests/shim/remote_lab.h"
#include "tests/shim/shim.h"

extern struct shim_state *fault_state;

/* Tokens "lab" and those named, the shim's state, and the environment for it; NULL ends them. */
void fault_open(const char *const *tokens);
/* A context over the shim, and a key of the token "lab" in it. */
p11_ctx *fault_ctx(void (*change)(struct p11_config *config));
/* A change: calls have half a second, which takes FAULT_SLACK more under the machine's other work.
 */
void fault_quick(struct p11_config *config);
#define FAULT_SLACK 1.5
/* For cmocka, before a group: the key of label "key". */
int fault_key_setup(void **state);

uint64_t fault_calls(enum shim_function function);
uint64_t fault_all_calls(void);
void fault_reset(void);
void fault_fail(enum shim_function function, CK_RV rv, int64_t times);
void fault_delay(enum shim_function function, unsigned ms);

/* Signs and fails the test with the reason if that fails. */
void fault_signs(p11_key *key);
/* Signs and expects an error; its text is in lab_error. */
enum p11_status fault_refused(p11_key *key);

void fault_sleep(unsigned ms);

/* What is written to stderr from now on goes to a file; its text so far, in a static buffer. */
void fault_capture(void);
const char *fault_captured(void);
void fault_release(void);

#endif
