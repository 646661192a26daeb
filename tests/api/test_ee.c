/* The end entity of the public C API against a server of an RA, over real TLS. What is not of the
 * API makes the RA and the certificates. */
#include "tests/api/api_lab.h"
#include "tests/ra/posting.h"

#include <signal.h>
#include <unistd.h>

#include <dot2hsm/ee.h>
#include <dot2hsm/spdu.h>

#include "asn1/types.h"

#define FILE_SIZE 70000u

struct scene {
    struct posting *posting;
    char url[64], resolve[64], output[128];
    dot2hsm_ctx *ctx;
    dot2hsm_error *error;
    dot2hsm_key *enrollment, *verify, *response;
    dot2hsm_cert *cert, *ra_cert;
    dot2hsm_trust *trust;
    dot2hsm_ee *ee;
};

static struct dot2hsm_ee_options options_of(const struct scene *s)
{
    return (struct dot2hsm_ee_options){.size = sizeof(struct dot2hsm_ee_options),
                                       .ra_url = s->url,
                                       .tls_root = s->posting->lab->tls_path,
                                       .resolve = s->resolve,
                                       .enrollment_key = s->enrollment,
                                       .enrollment_cert = s->cert,
                                       .ra_certificate = s->ra_cert};
}

/* Root as anchor; the RA's certificates come from it. */
static dot2hsm_trust *new_trust(const struct scene *s)
{
    dot2hsm_cert *root = public_cert(s->ctx, s->posting->lab->root.cert);
    dot2hsm_cert *eca = public_cert(s->ctx, s->posting->lab->eca.cert);
    dot2hsm_trust *trust = NULL;

    OK(dot2hsm_trust_new(s->ctx, &trust, s->error));
    OK(dot2hsm_trust_add_anchor(trust, root, s->error));
    OK(dot2hsm_trust_add(trust, eca, s->error));
    if (s->ra_cert != NULL)
        OK(dot2hsm_trust_add(trust, s->ra_cert, s->error));
    dot2hsm_cert_free(root);
    dot2hsm_cert_free(eca);
    return trust;
}

/* An end entity that has fetched the RA's certificate. */
static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    struct dot2hsm_ee_options options;
    dot2hsm_trust *trust;
    struct lab *lab;

    assert_non_null(s);
    s->posting = posting_start(NULL);
    lab = s->posting->lab;
    lab_file(lab, NAME, &lab->device, FILE_SIZE);
    snprintf(s->url, sizeof(s->url), "https://localhost:%u", s->posting->served->port);
    snprintf(s->resolve, sizeof(s->resolve), "localhost:%u:127.0.0.1", s->posting->served->port);
    snprintf(s->output, sizeof(s->output), "%s/got.zip", lab->dir);
    s->error = dot2hsm_error_new();
    s->ctx = api_ctx(s->posting->lab);
    s->enrollment = public_key(s->ctx, lab->device.key);
    s->cert = public_cert(s->ctx, lab->device.cert);
    s->verify = new_key(s->ctx, s->posting->lab);
    s->response = new_key(s->ctx, s->posting->lab);
    options = options_of(s);
    OK(dot2hsm_ee_new(s->ctx, &options, &s->ee, s->error));
    trust = new_trust(s);
    OK(dot2hsm_ee_ra_certificate(s->ee, trust, &s->ra_cert, s->error));
    dot2hsm_trust_free(trust);
    dot2hsm_ee_free(s->ee);
    options = options_of(s);
    OK(dot2hsm_ee_new(s->ctx, &options, &s->ee, s->error));
    s->trust = new_trust(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;

    /* The context first: what was made in it keeps it. */
    dot2hsm_ctx_free(s->ctx);
    dot2hsm_key_free(s->enrollment);
    dot2hsm_key_free(s->verify);
    dot2hsm_key_free(s->response);
    dot2hsm_cert_free(s->cert);
    dot2hsm_cert_free(s->ra_cert);
    dot2hsm_trust_free(s->trust);
    dot2hsm_ee_free(s->ee);
    dot2hsm_error_free(s->error);
    unlink(s->output);
    posting_stop(s->posting);
    free(s);
    return 0;
}

static void assert_says(const struct scene *s, const char *text)
{
    if (strstr(dot2hsm_error_text(s->error), text) == NULL)
        fail_msg("%s", dot2hsm_error_text(s->error));
}

static int stop(void *arg, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    ++*(int *)arg;
    return 0;
}

static void downloads(void **state)
{
    const struct scene *s = *state;
    struct dot2hsm_download_result result = {.size = sizeof(result)};
    struct dot2hsm_download download = {
        .size = sizeof(download), .filename = "ab09281c9867de53.ZIP", .output = s->output};
    sigset_t before, after;
    int calls = 0;
    FILE *file;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    download.progress = stop;
    download.progress_arg = &calls;
    assert_int_equal(dot2hsm_ee_download(s->ee, &download, NULL, s->error), DOT2HSM_E_ABORTED);
    assert_true(calls > 0);
    assert_int_not_equal(access(s->output, F_OK), 0);
    download.progress = NULL;
    OK(dot2hsm_ee_download(s->ee, &download, &result, s->error));
    assert_string_equal(dot2hsm_error_text(s->error), "");
    assert_int_equal(result.file_size, FILE_SIZE);
    assert_int_equal(result.signatures, 1);
    assert_true(result.timestamp > 0);
    file = fopen(s->output, "rb");
    assert_non_null(file);
    for (size_t i = 0; i < FILE_SIZE; i++)
        assert_int_equal(getc(file), lab_octet(i));
    assert_int_equal(getc(file), EOF);
    fclose(file);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int i = 1; i < NSIG; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

static void refuses_downloads(void **state)
{
    struct scene *s = *state;
    struct dot2hsm_download_result result = {.size = sizeof(result)};
    struct dot2hsm_download download = {
        .size = sizeof(download), .filename = "1111111111111111.zip", .output = s->output};
    struct dot2hsm_ee_options options = options_of(s);
    char stranger[160];
    dot2hsm_ee *ee = NULL;
    char *text = NULL;

    /* The RA of stage QA says its code. */
    assert_int_equal(dot2hsm_ee_download(s->ee, &download, &result, s->error), DOT2HSM_E_REFUSED);
    assert_int_equal(dot2hsm_error_scms_code(s->error), 5065);
    assert_int_equal(result.signatures, 1);
    download.filename = "nothing of this kind";
    assert_int_equal(dot2hsm_ee_download(s->ee, &download, NULL, s->error), DOT2HSM_E_ARGUMENT);
    assert_int_equal(dot2hsm_error_scms_code(s->error), 0);
    download.filename = NULL;
    download.service = "application";
    assert_int_equal(dot2hsm_ee_download(s->ee, &download, NULL, s->error), DOT2HSM_E_ARGUMENT);
    download.filename = NAME;
    download.service = NULL;
    result.size = 3;
    assert_int_equal(dot2hsm_ee_download(s->ee, &download, &result, s->error), DOT2HSM_E_ARGUMENT);
    result.size = sizeof(result);
    /* Another root: nothing is signed. */
    snprintf(stranger, sizeof(stranger), "%s/stranger.pem", s->posting->lab->dir);
    {
        X509 *x509 = X509_dup(s->posting->lab->x509);
        EVP_PKEY *key = lab_key(s->posting->lab);
        FILE *file = fopen(stranger, "w");

        assert_non_null(file);
        X509_set_pubkey(x509, key);
        assert_true(X509_sign(x509, key, EVP_sha256()) > 0);
        assert_int_equal(PEM_write_X509(file, x509), 1);
        fclose(file);
        X509_free(x509);
        EVP_PKEY_free(key);
    }
    options.tls_root = stranger;
    OK(dot2hsm_ee_new(s->ctx, &options, &ee, s->error));
    assert_int_equal(dot2hsm_ee_download(ee, &download, &result, s->error), DOT2HSM_E_TLS);
    assert_int_equal(result.signatures, 0);
    dot2hsm_ee_free(ee);
    unlink(stranger);
    options = options_of(s);
    options.resolve = NULL;
    options.ra_url = "https://127.0.0.1:1";
    OK(dot2hsm_ee_new(s->ctx, &options, &ee, s->error));
    assert_int_equal(dot2hsm_ee_download(ee, &download, NULL, s->error), DOT2HSM_E_UNREACHABLE);
    dot2hsm_ee_free(ee);
    /* Without an enrollment, and with half of one. */
    options = options_of(s);
    options.enrollment_key = NULL;
    assert_int_equal(dot2hsm_ee_new(s->ctx, &options, &ee, s->error), DOT2HSM_E_ARGUMENT);
    options.enrollment_key = s->verify;
    assert_int_equal(dot2hsm_ee_new(s->ctx, &options, &ee, s->error), DOT2HSM_E_KEY_MISMATCH);
    options.enrollment_key = NULL;
    options.enrollment_cert = NULL;
    OK(dot2hsm_ee_new(s->ctx, &options, &ee, s->error));
    assert_int_equal(dot2hsm_ee_download(ee, &download, NULL, s->error), DOT2HSM_E_ARGUMENT);
    assert_int_equal(dot2hsm_ee_download_header(ee, NAME, &text, s->error), DOT2HSM_E_ARGUMENT);
    dot2hsm_ee_free(ee);
    assert_int_not_equal(access(s->output, F_OK), 0);
}

/* Signed here, judged by the RA's decision, Signed and Secured. */
static void makes_headers_for_other_transports(void **state)
{
    const struct scene *s = *state;
    struct dot2hsm_ee_options options = options_of(s);
    struct ra_authorise in = lab_authorise(s->posting->lab);
    struct ra_decision decision;
    dot2hsm_ee *ee = NULL;
    char *text = NULL;

    in.keys = s->posting->keys;
    for (int secured = 0; secured < 2; secured++) {
        options.secured_header = secured;
        OK(dot2hsm_ee_new(s->ctx, &options, &ee, s->error));
        OK(dot2hsm_ee_download_header(ee, NAME, &text, s->error));
        in.require_secured = secured != 0;
        assert_int_equal(dot2_time32_now(&in.now), DOT2_OK);
        assert_int_equal(
            ra_authorise_download(&in, RA_APPLICATION_CERTIFICATE, text, strlen(text), &decision),
            RA_ALLOWED);
        assert_string_equal(decision.filename, NAME);
        dot2hsm_free(text);
        dot2hsm_ee_free(ee);
    }
    assert_int_equal(dot2hsm_ee_download_header(s->ee, "../x", &text, s->error),
                     DOT2HSM_E_ARGUMENT);
    assert_null(text);
    options.ra_certificate = NULL;
    assert_int_equal(dot2hsm_ee_new(s->ctx, &options, &ee, s->error), DOT2HSM_E_ARGUMENT);
}

struct seen {
    int calls, answer;
    uint8_t hash[8];
};

/* A SIGPIPE that comes during an exchange does not end the program. */
static int before(void *arg, const uint8_t request_hash[8])
{
    struct seen *seen = arg;

    seen->calls++;
    memcpy(seen->hash, request_hash, 8);
    raise(SIGPIPE);
    return seen->answer;
}

static void requests_certificates(void **state)
{
    const struct scene *s = *state;
    struct seen seen = {.answer = 0};
    struct dot2hsm_application application = {.size = sizeof(application),
                                              .verify_key = s->verify,
                                              .response_key = s->response,
                                              .before = before,
                                              .before_arg = &seen};
    struct dot2hsm_ack ack = {.size = sizeof(ack)};
    struct dot2hsm_ee_options options = options_of(s);
    dot2hsm_ee *ee = NULL;
    sigset_t waiting;

    signal(SIGPIPE, SIG_DFL); /* the lab ignores it */
    assert_int_equal(dot2hsm_ee_request_application(s->ee, s->trust, &application, &ack, s->error),
                     DOT2HSM_E_ABORTED);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(pending(s->posting), 0);
    seen.answer = 1;
    OK(dot2hsm_ee_request_application(s->ee, s->trust, &application, &ack, s->error));
    assert_int_equal(seen.calls, 2);
    assert_memory_equal(ack.request_hash, seen.hash, 8);
    assert_true(ack.download_time > dot2hsm_time32_now());
    assert_true(strncmp(ack.url, "https://localhost:", 18) == 0);
    assert_int_equal(pending(s->posting), 1);
    sigemptyset(&waiting);
    assert_int_equal(sigpending(&waiting), 0);
    assert_false(sigismember(&waiting, SIGPIPE));
    signal(SIGPIPE, SIG_IGN);
    /* The same key again. */
    assert_int_equal(dot2hsm_ee_request_application(s->ee, s->trust, &application, &ack, s->error),
                     DOT2HSM_E_REFUSED);
    assert_int_equal(dot2hsm_error_scms_code(s->error), 5057);
    assert_int_equal(pending(s->posting), 1);
    application.verify_key = NULL;
    assert_int_equal(dot2hsm_ee_request_application(s->ee, s->trust, &application, &ack, s->error),
                     DOT2HSM_E_ARGUMENT);
    application.verify_key = s->verify;
    ack.size = sizeof(size_t);
    assert_int_equal(dot2hsm_ee_request_application(s->ee, s->trust, &application, &ack, s->error),
                     DOT2HSM_E_ARGUMENT);
    ack.size = sizeof(ack);
    options.ra_certificate = NULL;
    OK(dot2hsm_ee_new(s->ctx, &options, &ee, s->error));
    assert_int_equal(dot2hsm_ee_request_application(ee, s->trust, &application, &ack, s->error),
                     DOT2HSM_E_ARGUMENT);
    dot2hsm_ee_free(ee);
}

/* The RA's own acknowledgement of this body, but as one of a request of another kind. */
static void refuses_another_kind(const struct scene *s, const uint8_t *body, size_t body_size,
                                 const struct dot2hsm_ack *good)
{
    const struct posting *posting = s->posting;
    struct scms_ack forged = {.kind = SCMS_PROVISION_ID, .download_time = good->download_time};
    struct dot2hsm_ack ack = {.size = sizeof(ack)};
    uint8_t *answer = NULL;
    size_t size = 0;

    memcpy(forged.request_hash, good->request_hash, sizeof(forged.request_hash));
    snprintf(forged.url, sizeof(forged.url), "%s", good->url);
    assert_int_equal(scms_ack_build(posting->lab->crypto, posting->newest.key, posting->newest.cert,
                                    &forged, &answer, &size, NULL),
                     DOT2_OK);
    assert_int_equal(
        dot2hsm_ee_application_ack(s->ee, s->trust, body, body_size, answer, size, &ack, s->error),
        DOT2HSM_E_RESPONSE);
    assert_says(s, "not of this request");
    OPENSSL_free(answer);
}

/* Body and acknowledgement by hand; and what is not the acknowledgement of that body. */
static void requests_by_other_transports(void **state)
{
    const struct scene *s = *state;
    struct dot2hsm_application application = {
        .size = sizeof(application), .verify_key = s->verify, .response_key = s->response};
    struct dot2hsm_ack ack = {.size = sizeof(ack)};
    struct dot2hsm_ee_options options = options_of(s);
    dot2hsm_ee *elsewhere = NULL;
    uint8_t *body = NULL, *other = NULL, *answer = NULL;
    size_t body_size = 0, other_size = 0, size = 0;

    OK(dot2hsm_ee_application_body(s->ee, &application, &body, &body_size, s->error));
    OK(dot2hsm_ee_application_body(s->ee, &application, &other, &other_size, s->error));
    OK(dot2hsm_ee_post(s->ee, "/provision-application-certificate", body, body_size, &answer, &size,
                       s->error));
    OK(dot2hsm_ee_application_ack(s->ee, s->trust, body, body_size, answer, size, &ack, s->error));
    refuses_another_kind(s, body, body_size, &ack);
    assert_int_equal(dot2hsm_ee_application_ack(s->ee, s->trust, other, other_size, answer, size,
                                                &ack, s->error),
                     DOT2HSM_E_RESPONSE);
    assert_says(s, "not of this request");
    options.ra_url = "https://example.org";
    options.resolve = NULL;
    OK(dot2hsm_ee_new(s->ctx, &options, &elsewhere, s->error));
    assert_int_equal(dot2hsm_ee_application_ack(elsewhere, s->trust, body, body_size, answer, size,
                                                &ack, s->error),
                     DOT2HSM_E_RESPONSE);
    assert_says(s, "another place");
    dot2hsm_ee_free(elsewhere);
    answer[size - 1] ^= 1;
    assert_int_equal(
        dot2hsm_ee_application_ack(s->ee, s->trust, body, body_size, answer, size, &ack, s->error),
        DOT2HSM_E_RESPONSE);
    assert_says(s, "DOT2_E_SIGNATURE");
    dot2hsm_free(answer);
    assert_int_equal(dot2hsm_ee_post(s->ee, "/nothing", body, body_size, &answer, &size, s->error),
                     DOT2HSM_E_REFUSED);
    assert_null(answer);
    dot2hsm_free(body);
    dot2hsm_free(other);
}

/* What a PCA, here the lab's ECA, makes of it. */
static uint8_t *respond(const struct scene *s, EVP_PKEY *verify, EVP_PKEY *response_key,
                        bool enrollment, bool implicit, size_t *size)
{
    struct lab *lab = s->posting->lab;
    const struct lab_variant variant = {.start = 600};
    struct scms_cert_response response = {.kind = implicit ? SCMS_RESPONSE_IMPLICIT
                                                           : SCMS_RESPONSE_EXPLICIT};
    struct dot2_error error = {0};
    struct lab_cert model = lab_issue(lab, &lab->eca, &variant);
    ToBeSignedCertificate_t body = dot2_cert_asn1(model.cert)->toBeSigned;
    SequenceOfPsidSsp_t list = {0};
    PsidSsp_t psid = {.psid = 0x80};
    uint8_t *octets = NULL;

    if (!enrollment) {
        assert_true(coer_list_add(lab->arena, &list, &psid));
        body.appPermissions = &list;
        body.certRequestPermissions = NULL;
    }
    if (dot2_cert_issue(lab->crypto, lab->arena, &body, verify, lab->eca.cert, lab->eca.key,
                        implicit, &response.cert, response.reconstruction, &error) != DOT2_OK ||
        scms_cert_response_build(lab->crypto, lab->eca.key, lab->eca.cert, response_key, &response,
                                 &octets, size, &error) != DOT2_OK)
        fail_msg("%s: %s", error.field, error.detail);
    dot2_cert_free(response.cert);
    lab_cert_clear(&model);
    return octets;
}

static void opens_responses(void **state)
{
    const struct scene *s = *state;
    EVP_PKEY *verify = dot2hsm_key_evp(s->verify), *response = dot2hsm_key_evp(s->response);
    dot2hsm_cert *cert = NULL;
    size_t size = 0;
    uint8_t *octets = respond(s, verify, response, false, false, &size);

    OK(dot2hsm_ee_open_response(s->trust, s->response, s->verify, octets, size, &cert, s->error));
    /* From a time to come. */
    assert_true(dot2hsm_cert_start(cert) > dot2hsm_time32_now());
    assert_false(dot2hsm_cert_is_implicit(cert));
    dot2hsm_cert_free(cert);
    assert_int_equal(dot2hsm_ee_open_response(s->trust, s->response, s->enrollment, octets, size,
                                              &cert, s->error),
                     DOT2HSM_E_KEY_MISMATCH);
    assert_null(cert);
    assert_int_equal(
        dot2hsm_ee_open_response(s->trust, s->verify, s->verify, octets, size, &cert, s->error),
        DOT2HSM_E_DECRYPT);
    octets[size - 1] ^= 1;
    assert_int_equal(
        dot2hsm_ee_open_response(s->trust, s->response, s->verify, octets, size, &cert, s->error),
        DOT2HSM_E_SIGNATURE);
    dot2hsm_free(octets);
    octets = respond(s, verify, response, true, false, &size);
    assert_int_equal(
        dot2hsm_ee_open_response(s->trust, s->response, s->verify, octets, size, &cert, s->error),
        DOT2HSM_E_PERMISSION);
    dot2hsm_free(octets);
    octets = respond(s, verify, response, false, true, &size);
    assert_int_equal(
        dot2hsm_ee_open_response(s->trust, s->response, s->verify, octets, size, &cert, s->error),
        DOT2HSM_E_TYPE);
    dot2hsm_free(octets);
}

static void refuses_ra_certificates(void **state)
{
    const struct scene *s = *state;
    struct dot2hsm_ee_options options = options_of(s);
    char resolve[64];
    char url[64];
    dot2hsm_trust *empty = NULL;
    dot2hsm_cert *cert = NULL;
    dot2hsm_ee *ee = NULL;

    OK(dot2hsm_trust_new(s->ctx, &empty, s->error));
    assert_int_equal(dot2hsm_ee_ra_certificate(s->ee, empty, &cert, s->error), DOT2HSM_E_RESPONSE);
    assert_says(s, "DOT2_E_ISSUER_UNKNOWN");
    assert_null(cert);
    dot2hsm_trust_free(empty);
    /* Another name than that of the X.509 certificate: not even asked. */
    snprintf(url, sizeof(url), "https://other.test:%u", s->posting->served->port);
    snprintf(resolve, sizeof(resolve), "other.test:%u:127.0.0.1", s->posting->served->port);
    options.ra_url = url;
    options.resolve = resolve;
    OK(dot2hsm_ee_new(s->ctx, &options, &ee, s->error));
    assert_int_equal(dot2hsm_ee_ra_certificate(ee, s->trust, &cert, s->error), DOT2HSM_E_TLS);
    dot2hsm_ee_free(ee);
}

static void *worker(void *arg)
{
    const struct scene *s = arg;
    dot2hsm_error *error = dot2hsm_error_new();
    struct dot2hsm_download download = {.size = sizeof(download), .filename = NAME};
    char output[160];

    snprintf(output, sizeof(output), "%s.%lx", s->output, (unsigned long)pthread_self());
    download.output = output;
    for (int i = 0; i < 3; i++) {
        if (dot2hsm_ee_download(s->ee, &download, NULL, error) != DOT2HSM_OK)
            fail_msg("%s", dot2hsm_error_text(error));
        unlink(output);
    }
    dot2hsm_error_free(error);
    return NULL;
}

static void serves_threads(void **state)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, *state), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(downloads, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_downloads, setup, teardown),
        cmocka_unit_test_setup_teardown(makes_headers_for_other_transports, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_certificates, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_by_other_transports, setup, teardown),
        cmocka_unit_test_setup_teardown(opens_responses, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_ra_certificates, setup, teardown),
        cmocka_unit_test_setup_teardown(serves_threads, setup, teardown),
    };

    return cmocka_run_group_tests_name("api ee", tests, NULL, NULL);
}
