/*
 * ra.c: an RA in a process of its own: TLS and IEEE 1609.2 keys in a token, the store and the files
 * of a directory that `dot2hsm lab init` has made. Prints its port; ends by SIGTERM or SIGINT.
 *
 *   cc ra.c $(pkg-config --cflags --libs dot2hsm-ra) -o ra
 *   ra PROVIDER MODULE PIN-SOURCE TOKEN-URI DIRECTORY
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <dot2hsm/ra.h>

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

static dot2hsm_key *key(const char *token, const char *object)
{
    dot2hsm_key *opened = NULL;
    char uri[512];

    snprintf(uri, sizeof uri, "%s;object=%s;type=private", token, object);
    must(dot2hsm_key_open(ctx, uri, &opened, error), uri);
    return opened;
}

static void log_line(void *arg, int priority, const char *line)
{
    fprintf(arg, "<%d>%s\n", priority, line);
}

int main(int argc, char **argv)
{
    const char *provider[] = {"pkcs11-module", NULL, "pin-source", NULL, NULL};
    struct dot2hsm_options options = {.size = sizeof options, .provider_options = provider};
    struct dot2hsm_ra_options decide = {.size = sizeof decide, .certificate_delay = 3};
    struct dot2hsm_ra_server_options serve = {
        .size = sizeof serve, .address = "127.0.0.1", .stage_qa = 1, .log = log_line};
    dot2hsm_ra_store *store = NULL;
    dot2hsm_ra_server *server = NULL;
    dot2hsm_ra *ra = NULL;
    sigset_t signals;
    int caught = 0;

    if (argc != 6 || chdir(argv[5]) != 0)
        return 2;
    options.provider_path = argv[1];
    provider[1] = argv[2];
    provider[3] = argv[3];
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    dot2hsm_ra_quiet_libevent();
    error = dot2hsm_error_new();
    must(dot2hsm_ctx_new(&options, &ctx, error), "context");
    must(dot2hsm_ra_store_open("ra/store.sqlite", 1, &store, error), "store");
    must(dot2hsm_ra_new(ctx, store, &decide, &ra, error), "RA");
    must(dot2hsm_ra_add_anchor(ra, cert("trust/root.oer"), error), "root");
    must(dot2hsm_ra_add(ra, cert("trust/ica.oer"), error), "intermediate CA");
    must(dot2hsm_ra_add(ra, cert("trust/eca.oer"), error), "enrollment CA");
    must(dot2hsm_ra_add_key(ra, cert("trust/ra.oer"), key(argv[4], "ra-sign"),
                            key(argv[4], "ra-encryption"), error),
         "the RA's keys");
    serve.tls_chain = "ra/tls.pem";
    serve.tls_key = key(argv[4], "ra-tls");
    serve.download_dir = "ra/download";
    serve.chain_file = "ra/local_certificate_chains_01_01.oer";
    serve.policy_file = "ra/local_policy_01.oer";
    serve.log_arg = stderr;
    must(dot2hsm_ra_server_start(ra, &serve, &server, error), "server");
    printf("%u\n", dot2hsm_ra_server_port(server));
    fflush(stdout);
    sigwait(&signals, &caught);
    dot2hsm_ra_server_stop(server);
    return 0;
}
