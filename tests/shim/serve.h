/*
 * serve.h: one connection of p11shimd.
 */
#ifndef DOT2HSM_TESTS_SHIM_SERVE_H
#define DOT2HSM_TESTS_SHIM_SERVE_H

#include "tests/shim/wire.h"

/* Answers requests until the connection ends, and waits for calls that the module is still at. */
void serve(int fd, const char *module);

/* ---- execute.c ---- */

/*
 * Executes one request and writes the reply (rv first). False for what is no request: the
 * connection is then to be ended.
 */
bool execute(CK_FUNCTION_LIST *module, struct wire *request, struct wire *reply);

#endif
