/* The entry point of libFuzzer; compiled once for each type, FUZZ_TYPE is its name. */
#include "tests/fuzz/fuzz_coer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_coer(FUZZ_TYPE, data, size);
    return 0;
}
