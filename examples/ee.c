/*
 * ee.c: a road-side unit with its keys in a token: downloads a file from its RA, signs a message
 * with its application key, and verifies it as a receiver would.
 *
 *   cc ee.c $(pkg-config --cflags --libs dot2hsm) -o ee
 *   ee PROVIDER MODULE PIN-SOURCE RA-URL DIRECTORY ENROLLMENT-KEY FILE OUTPUT \
 *      APPLICATION-KEY APPLICATION-CERTIFICATE PSID TEXT
 *
 * DIRECTORY is one that `dot2hsm lab init` has made, from which the other paths go out; the keys
 * are URIs. The handles end with the process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dot2hsm/ee.h>
#include <dot2hsm/spdu.h>

static dot2hsm_error *error;
static dot2hsm_ctx *ctx;

static void must(dot2hsm_status status, const char *what)
{
    if (status == DOT2HSM_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, dot2hsm_error_text(error));
    exit(1);
}

static dot2hsm_cert *cert(const char *name)
{
    dot2hsm_cert *loaded = NULL;

    must(dot2hsm_cert_load(ctx, name, &loaded, error), name);
    return loaded;
}

static dot2hsm_key *key(const char *uri)
{
    dot2hsm_key *opened = NULL;

    must(dot2hsm_key_open(ctx, uri, &opened, error), uri);
    return opened;
}

int main(int argc, char **argv)
{
    const char *provider[] = {"pkcs11-module", NULL, "pin-source", NULL, NULL};
    struct dot2hsm_options options = {.size = sizeof options, .provider_options = provider};
    struct dot2hsm_ee_options device = {.size = sizeof device};
    struct dot2hsm_download download = {.size = sizeof download};
    struct dot2hsm_download_result result = {.size = sizeof result};
    struct dot2hsm_sign how = {.size = sizeof how};
    dot2hsm_trust *trust = NULL;
    dot2hsm_spdu *spdu = NULL;
    dot2hsm_ee *ee = NULL;
    uint8_t *octets = NULL;
    const uint8_t *payload;
    size_t size = 0;

    if (argc != 13 || chdir(argv[5]) != 0)
        return 2;
    options.provider_path = argv[1];
    provider[1] = argv[2];
    provider[3] = argv[3];
    error = dot2hsm_error_new();
    must(dot2hsm_ctx_new(&options, &ctx, error), "context");
    device.ra_url = argv[4];
    device.tls_root = "trust/x509-root.pem";
    device.enrollment_key = key(argv[6]);
    device.enrollment_cert = cert("rse/enrollment.oer");
    must(dot2hsm_ee_new(ctx, &device, &ee, error), "end entity");
    download.filename = argv[7];
    download.output = argv[8];
    must(dot2hsm_ee_download(ee, &download, &result, error), "download");
    printf("%s: %llu octets\n", argv[7], (unsigned long long)result.file_size);

    how.psid = strtoull(argv[11], NULL, 0);
    must(dot2hsm_spdu_sign(key(argv[9]), cert(argv[10]), &how, (const uint8_t *)argv[12],
                           strlen(argv[12]), &octets, &size, error),
         "sign");
    must(dot2hsm_trust_new(ctx, &trust, error), "trust");
    must(dot2hsm_trust_add_anchor(trust, cert("trust/root.oer"), error), "root");
    must(dot2hsm_trust_add(trust, cert("trust/ica.oer"), error), "intermediate CA");
    must(dot2hsm_trust_add(trust, cert("trust/pca.oer"), error), "pseudonym CA");
    must(dot2hsm_trust_add(trust, cert(argv[10]), error), "signer");
    must(dot2hsm_spdu_verify(trust, octets, size, DOT2HSM_NOW, &spdu, error), "verify");
    payload = dot2hsm_spdu_payload(spdu, &size);
    printf("%.*s: good, PSID %llu\n", (int)size, (const char *)payload,
           (unsigned long long)dot2hsm_spdu_psid(spdu));
    return 0;
}
