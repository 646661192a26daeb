/*
 * remote.h: the module's half of the forwarding to p11shimd.
 */
#ifndef DOT2HSM_TESTS_SHIM_REMOTE_H
#define DOT2HSM_TESTS_SHIM_REMOTE_H

#include "tests/shim/wire.h"

/*
 * Functions that carry each call of SHIM_FUNCTIONS to the server at a Unix socket; every other one
 * answers CKR_FUNCTION_NOT_SUPPORTED. The path must stay.
 *
 * C_Initialize connects, and is the only one that does: when the connection is lost every session
 * died with it, and calls answer CKR_DEVICE_REMOVED until C_Finalize and C_Initialize. After a
 * fork the child is not initialised; its C_Initialize makes a connection of its own.
 */
CK_FUNCTION_LIST *remote_functions(const char *path);

/* ---- connection.c ---- */

void connection_setup(const char *path);
/* CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_DEVICE_REMOVED if there is no server. */
CK_RV connection_open(void);
CK_RV connection_close(void);
/*
 * Sends a request, waits for its reply and takes the CK_RV off it. Other threads' calls go on
 * meanwhile. request is cleared; reply is the caller's to clear, whatever the answer is.
 */
CK_RV connection_call(struct wire *request, struct wire *reply);

#endif
