/* fuzz.h: what the targets share that are no COER type of their own. */
#ifndef DOT2HSM_TESTS_FUZZ_FUZZ_H
#define DOT2HSM_TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

#include "protocol/dot2/dot2.h"

/* A broken promise of a decoder aborts. */
#define DEMAND(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

typedef void fuzz_decoder_fn(const uint8_t *data, size_t size);

/* A library context with the provider, made once. */
dot2_crypto *fuzz_crypto(void);

#endif
