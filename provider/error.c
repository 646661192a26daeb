/* error.c: the reasons that the provider raises, as an error library of its own. */
#include <pthread.h>

#include <openssl/err.h>

#include "provider/provider.h"

static ERR_STRING_DATA reasons[] = {
    {ERR_PACK(0, 0, PROV_R_NO_OTHER_PROVIDER), "no other provider is active"},
    {ERR_PACK(0, 0, PROV_R_CURVE), "curve not supported"},
    {ERR_PACK(0, 0, PROV_R_DIGEST), "digest is not the curve's"},
    {ERR_PACK(0, 0, PROV_R_DIGEST_NAME), "digest not supported"},
    {ERR_PACK(0, 0, PROV_R_DIGEST_SIZE), "digest of a wrong size"},
    {ERR_PACK(0, 0, PROV_R_READY_DIGEST), "a ready digest cannot be combined with dot2-signer"},
    {ERR_PACK(0, 0, PROV_R_PARAMETER), "bad parameter"},
    {ERR_PACK(0, 0, PROV_R_NO_KEY), "no key"},
    {ERR_PACK(0, 0, PROV_R_NO_PRIVATE_KEY), "no private key"},
    {ERR_PACK(0, 0, PROV_R_NO_PUBLIC_KEY), "no public key"},
    {ERR_PACK(0, 0, PROV_R_KEY_NOT_EMPTY), "key is not empty"},
    {ERR_PACK(0, 0, PROV_R_STATE), "call out of order"},
    {ERR_PACK(0, 0, PROV_R_BUFFER), "buffer too small"},
    {ERR_PACK(0, 0, PROV_R_SIGNATURE_FORM), "malformed signature"},
    {ERR_PACK(0, 0, PROV_R_NOT_VALID), "signature does not verify"},
    {ERR_PACK(0, 0, PROV_R_DELEGATE), "software operation failed"},
    {ERR_PACK(0, 0, PROV_R_MEMORY), "out of memory"},
    {ERR_PACK(0, 0, PROV_R_OPTION), "bad option"},
    {ERR_PACK(0, 0, PROV_R_NO_MODULE), "no pkcs11-module is configured"},
    {ERR_PACK(0, 0, PROV_R_STAYS_IN_TOKEN), "the private key stays in the token"},
    {ERR_PACK(0, 0, PROV_R_NOT_FOUND), "no object matches"},
    {ERR_PACK(0, 0, PROV_R_AMBIGUOUS), "more than one private key matches"},
    {ERR_PACK(0, 0, PROV_R_PEER), "bad peer key"},
    {ERR_PACK(0, 0, PROV_R_CIPHERTEXT), "malformed ciphertext"},
    {ERR_PACK(0, 0, PROV_R_TAG), "the tag does not match"},
    {ERR_PACK(0, 0, PROV_R_KEY_FILE), "bad key file"},
    {0, NULL},
};

static ERR_STRING_DATA library_name[] = {
    {0, "dot2hsm provider"},
    {0, NULL},
};

static int library;

static void load_strings(void)
{
    library = ERR_get_next_error_library();
    library_name[0].error = ERR_PACK(library, 0, 0);
    ERR_load_strings(library, reasons);
    ERR_load_strings(0, library_name);
}

int prov_error_library(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, load_strings);
    return library;
}
