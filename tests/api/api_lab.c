/* api_lab.c: what api_lab.h says. */
#include "tests/api/api_lab.h"

dot2hsm_ctx *api_ctx(const struct lab *lab)
{
    const struct dot2hsm_options how = {.size = sizeof(how), .libctx = lab->libctx};
    dot2hsm_ctx *ctx = NULL;

    OK(dot2hsm_ctx_new(&how, &ctx, NULL));
    return ctx;
}

dot2hsm_cert *public_cert(dot2hsm_ctx *ctx, const dot2_cert *cert)
{
    dot2hsm_cert *made = NULL;
    size_t size;
    const uint8_t *octets = dot2_cert_octets(cert, &size);

    OK(dot2hsm_cert_new(ctx, octets, size, &made, NULL));
    return made;
}

dot2hsm_key *public_key(dot2hsm_ctx *ctx, EVP_PKEY *key)
{
    dot2hsm_key *made = NULL;

    OK(dot2hsm_key_from_evp(ctx, key, &made, NULL));
    return made;
}

dot2hsm_key *new_key(dot2hsm_ctx *ctx, const struct lab *lab)
{
    EVP_PKEY *evp = lab_key(lab);
    dot2hsm_key *made = public_key(ctx, evp);

    EVP_PKEY_free(evp);
    return made;
}
