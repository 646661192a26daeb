/*
 * ee.h: the end entity behind its handle, shared by ee.c and ee_application.c.
 */
#ifndef DOT2HSM_API_EE_H
#define DOT2HSM_API_EE_H

#include <signal.h>

#include "api/internal.h"
#include "protocol/ee/ee.h"

struct dot2hsm_ee {
    dot2hsm_ctx *ctx;
    struct ee_config config; /* owns its strings and references */
};

/*
 * Around an exchange: libcurl leaves SIGPIPE to its caller, and the disposition of a signal is the
 * program's. It is blocked in this thread, and one that came meanwhile is taken.
 */
struct api_sigpipe {
    sigset_t before;
    bool pending; /* already, and not ours to take */
};
void api_sigpipe_block(struct api_sigpipe *sigpipe);
void api_sigpipe_restore(const struct api_sigpipe *sigpipe);

/* A result of protocol/ee. */
dot2hsm_status api_ee_result(dot2hsm_error *error, enum ee_status status,
                             const struct ee_error *cause);

#endif
