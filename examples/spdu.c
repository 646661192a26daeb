/*
 * spdu.c: signs a message with a key, which a token may hold, and verifies it up to a root.
 *
 *   cc spdu.c $(pkg-config --cflags --libs dot2hsm) -o spdu
 *   spdu PROVIDER MODULE PIN-SOURCE KEY-URI CERTIFICATE ROOT PSID TEXT [CA-CERTIFICATE]...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dot2hsm/spdu.h>

static dot2hsm_error *error;

static void must(dot2hsm_status status, const char *what)
{
    if (status == DOT2HSM_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, dot2hsm_error_text(error));
    exit(1);
}

int main(int argc, char **argv)
{
    const char *provider[] = {"pkcs11-module", NULL, "pin-source", NULL, NULL};
    struct dot2hsm_options options = {.size = sizeof options, .provider_options = provider};
    struct dot2hsm_sign how = {.size = sizeof how, .with_certificate = 1};
    dot2hsm_ctx *ctx = NULL;
    dot2hsm_key *key = NULL;
    dot2hsm_cert *cert = NULL, *root = NULL, *ca = NULL;
    dot2hsm_trust *trust = NULL;
    dot2hsm_spdu *spdu = NULL;
    uint8_t *octets = NULL;
    const uint8_t *payload;
    size_t size = 0;

    if (argc < 9)
        return 2;
    options.provider_path = argv[1];
    provider[1] = argv[2];
    provider[3] = argv[3];
    how.psid = strtoull(argv[7], NULL, 0);
    error = dot2hsm_error_new();
    must(dot2hsm_ctx_new(&options, &ctx, error), "context");
    must(dot2hsm_key_open(ctx, argv[4], &key, error), argv[4]);
    must(dot2hsm_cert_load(ctx, argv[5], &cert, error), argv[5]);
    must(dot2hsm_cert_load(ctx, argv[6], &root, error), argv[6]);
    must(dot2hsm_trust_new(ctx, &trust, error), "trust");
    must(dot2hsm_trust_add_anchor(trust, root, error), argv[6]);
    for (int i = 9; i < argc; i++) {
        must(dot2hsm_cert_load(ctx, argv[i], &ca, error), argv[i]);
        must(dot2hsm_trust_add(trust, ca, error), argv[i]);
        dot2hsm_cert_free(ca);
    }
    must(dot2hsm_spdu_sign(key, cert, &how, (const uint8_t *)argv[8], strlen(argv[8]), &octets,
                           &size, error),
         "sign");
    must(dot2hsm_spdu_verify(trust, octets, size, DOT2HSM_NOW, &spdu, error), "verify");
    payload = dot2hsm_spdu_payload(spdu, &size);
    printf("%.*s, signed by %s\n", (int)size, (const char *)payload,
           dot2hsm_cert_name(dot2hsm_spdu_signer(spdu)));
    dot2hsm_spdu_free(spdu);
    dot2hsm_free(octets);
    dot2hsm_trust_free(trust);
    dot2hsm_cert_free(root);
    dot2hsm_cert_free(cert);
    dot2hsm_key_free(key);
    dot2hsm_ctx_free(ctx);
    dot2hsm_error_free(error);
    return 0;
}
