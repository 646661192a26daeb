/*
 * posting_program.c: a process of dot2hsm-ra with the certificates and keys of a lab.
 */
#include "tests/ra/posting.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>

static FILE *create(const struct lab *lab, const char *name)
{
    char path[160];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", lab->dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), 0600), 0);
    return file;
}

static void write_cert(const struct lab *lab, const char *name, const dot2_cert *cert)
{
    FILE *file = create(lab, name);
    size_t size;
    const uint8_t *octets = dot2_cert_octets(cert, &size);

    assert_int_equal(fwrite(octets, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_key(const struct lab *lab, const char *name, const EVP_PKEY *key)
{
    FILE *file = create(lab, name);

    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
}

static void write_ra_key(const struct lab *lab, FILE *conf, const char *name,
                         const struct lab_cert *cert, const EVP_PKEY *decrypt)
{
    char file[60];

    snprintf(file, sizeof file, "%s.cert", name);
    write_cert(lab, file, cert->cert);
    snprintf(file, sizeof file, "%s.sign", name);
    write_key(lab, file, cert->key);
    snprintf(file, sizeof file, "%s.decrypt", name);
    write_key(lab, file, decrypt);
    fprintf(conf,
            "[ra-key %s]\ncertificate = %s/%s.cert\nsign-key = %s/%s.sign\n"
            "decrypt-key = %s/%s.decrypt\n",
            name, lab->dir, name, lab->dir, name, lab->dir, name);
}

static void write_all(const struct posting *posting, const char *spec, const char *settings)
{
    const struct lab *lab = posting->lab;
    FILE *conf = create(lab, "ra.conf");

    write_key(lab, "tls.key", lab->tls_key);
    write_cert(lab, "root.cert", lab->root.cert);
    write_cert(lab, "eca.cert", lab->eca.cert);
    fprintf(conf,
            "[ra]\naddress = 127.0.0.1\nport = 0\nport-file = %s/ra.port\nlog = %s\n"
            "tls-certificate = %s\ntls-key = %s/tls.key\nanchors = %s/root.cert\n"
            "certificates = %s/eca.cert\nstore = \"%s\"\ndownload-dir = %s\nthreads = 2\n%s",
            lab->dir, posting->served->log_path, lab->tls_path, lab->dir, lab->dir, lab->dir, spec,
            lab->downloads, settings);
    write_ra_key(lab, conf, "old", &posting->old, posting->old_decrypt);
    write_ra_key(lab, conf, "newest", &posting->newest, posting->newest_decrypt);
    assert_int_equal(fclose(conf), 0);
}

static void launch(struct served *served)
{
    static const struct timespec pause = {.tv_nsec = 20000000};
    char program[400], conf[100], port_path[100];
    unsigned port = 0;

    snprintf(program, sizeof program, "%s/bin/dot2hsm-ra", getenv("BUILD_DIR"));
    snprintf(conf, sizeof conf, "%s/ra.conf", served->lab->dir);
    snprintf(port_path, sizeof port_path, "%s/ra.port", served->lab->dir);
    served->program = fork();
    assert_true(served->program >= 0);
    if (served->program == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no server behind */
        execl(program, program, conf, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1500 && port == 0; i++) {
        FILE *file = fopen(port_path, "r");

        if (file != NULL) {
            if (fscanf(file, "%u", &port) != 1)
                port = 0;
            fclose(file);
        }
        if (waitpid(served->program, NULL, WNOHANG) != 0)
            fail_msg("dot2hsm-ra ended at its start");
        nanosleep(&pause, NULL);
    }
    assert_int_not_equal(port, 0);
    served->port = (uint16_t)port;
}

struct posting *posting_program(const char *spec, const char *settings)
{
    struct posting *posting = calloc(1, sizeof *posting);
    struct served *served = calloc(1, sizeof *served);
    char text[200];

    assert_non_null(posting);
    assert_non_null(served);
    posting->lab = lab_new();
    posting->served = served;
    served->lab = posting->lab;
    snprintf(served->log_path, sizeof served->log_path, "%s/ra.log", posting->lab->dir);
    posting_make_keys(posting);
    write_all(posting, spec, settings);
    served_client(served);
    launch(served);
    ra_store_close(posting->lab->store);
    if (ra_store_open(spec, false, &posting->lab->store, text, sizeof text) != RA_STORE_OK)
        fail_msg("%s", text);
    return posting;
}

void posting_program_stop(struct posting *posting)
{
    struct served *served = posting->served;
    int status;

    assert_int_equal(kill(served->program, SIGTERM), 0);
    assert_int_equal(waitpid(served->program, &status, 0), served->program);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    SSL_CTX_free(served->client);
    free(served);
}

char *posting_program_log(const struct posting *posting, long from)
{
    FILE *file = fopen(posting->served->log_path, "r");
    char *text = calloc(1, 65536);

    assert_non_null(file);
    assert_non_null(text);
    assert_int_equal(fseek(file, from, SEEK_SET), 0);
    (void)!fread(text, 1, 65535, file);
    fclose(file);
    return text;
}
