/*
 * remote_lab.h: p11shimd beside the tokens of tests/pkcs11/lab.h.
 */
#ifndef DOT2HSM_TESTS_SHIM_REMOTE_LAB_H
#define DOT2HSM_TESTS_SHIM_REMOTE_LAB_H

#include <sys/types.h>

#include "tests/pkcs11/lab.h"

extern char remote_module[512]; /* p11shim.so */
extern char remote_socket[300];

/* The paths, and SHIM_SOCKET; after lab_open(). */
void remote_lab_setup(void);
/* Starts p11shimd with this module and waits until it listens. */
pid_t remote_start(const char *module);
void remote_stop(pid_t pid, int signal);
/* For cmocka: a token lab, and a server with its module. */
extern pid_t remote_server;
int remote_setup(void **state);
int remote_teardown(void **state);
/* Child processes of the server. */
unsigned remote_children(pid_t pid);
/* shimctl on the state file of lab_dir ("server.state"), which it makes; NULL ends the arguments.
 */
void remote_shimctl(const char *verb, const char *a, const char *b, const char *c);

/* Through p11shimd, or straight to the module. */
p11_ctx *remote_ctx(void (*change)(struct p11_config *config));
CK_FUNCTION_LIST *remote_cryptoki(void);

#endif
