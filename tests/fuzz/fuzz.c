#include "tests/fuzz/fuzz.h"

#include <openssl/provider.h>

dot2_crypto *fuzz_crypto(void)
{
    static dot2_crypto *made;

    if (made == NULL) {
        OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

        OSSL_PROVIDER_set_default_search_path(libctx, getenv("DOT2HSM_MODULES"));
        DEMAND(OSSL_PROVIDER_load(libctx, "default") != NULL);
        DEMAND(OSSL_PROVIDER_load(libctx, "dot2hsm") != NULL);
        DEMAND(dot2_crypto_new(libctx, &made, NULL) == DOT2_OK);
    }
    return made;
}

#ifdef FUZZ_DECODER
extern fuzz_decoder_fn FUZZ_DECODER;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FUZZ_DECODER(data, size);
    return 0;
}
#endif
