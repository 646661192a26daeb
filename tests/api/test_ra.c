/* The RA of the public C API: store, decisions, server; the device is the API's, too. What is not
 * of the API makes the certificates. */
#include "tests/api/api_lab.h"

#include <stdatomic.h>
#include <unistd.h>

#include <dot2hsm/ee.h>
#include <dot2hsm/ra.h>

struct scene {
    struct lab *lab;
    EVP_PKEY *decrypt_evp;
    struct lab_cert ra_lab_cert;
    char store_path[160], output[160];
    dot2hsm_ctx *ctx;
    dot2hsm_error *error;
    dot2hsm_cert *root, *eca, *device, *other, *ra_cert;
    dot2hsm_key *enrollment, *sign, *decrypt, *verify, *response, *tls_key;
    dot2hsm_ra_store *store;
    dot2hsm_ra *ra;
    dot2hsm_trust *trust;
};

static dot2hsm_ra *new_ra(const struct scene *s, const struct dot2hsm_ra_options *options)
{
    dot2hsm_ra *ra = NULL;

    OK(dot2hsm_ra_new(s->ctx, s->store, options, &ra, s->error));
    OK(dot2hsm_ra_add_anchor(ra, s->root, s->error));
    OK(dot2hsm_ra_add(ra, s->eca, s->error));
    OK(dot2hsm_ra_add_key(ra, s->ra_cert, s->sign, s->decrypt, s->error));
    return ra;
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    s->lab = lab_new();
    s->error = dot2hsm_error_new();
    s->ctx = api_ctx(s->lab);
    s->root = public_cert(s->ctx, s->lab->root.cert);
    s->eca = public_cert(s->ctx, s->lab->eca.cert);
    s->device = public_cert(s->ctx, s->lab->device.cert);
    s->other = public_cert(s->ctx, s->lab->implicit.cert);
    s->ra_lab_cert = lab_ra(s->lab, -60, 1000, &s->decrypt_evp);
    s->ra_cert = public_cert(s->ctx, s->ra_lab_cert.cert);
    s->enrollment = public_key(s->ctx, s->lab->device.key);
    s->sign = public_key(s->ctx, s->ra_lab_cert.key);
    s->decrypt = public_key(s->ctx, s->decrypt_evp);
    s->tls_key = public_key(s->ctx, s->lab->tls_key);
    s->verify = new_key(s->ctx, s->lab);
    s->response = new_key(s->ctx, s->lab);
    snprintf(s->store_path, sizeof(s->store_path), "%s/api.sqlite", s->lab->dir);
    snprintf(s->output, sizeof(s->output), "%s/got.zip", s->lab->dir);
    OK(dot2hsm_ra_store_open(s->store_path, 1, &s->store, s->error));
    s->ra = new_ra(s, NULL);
    OK(dot2hsm_trust_new(s->ctx, &s->trust, s->error));
    OK(dot2hsm_trust_add_anchor(s->trust, s->root, s->error));
    OK(dot2hsm_trust_add(s->trust, s->ra_cert, s->error));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    char beside[200];

    /* Context and store first: what was made with them keeps them. */
    dot2hsm_ctx_free(s->ctx);
    dot2hsm_ra_store_free(s->store);
    dot2hsm_ra_free(s->ra);
    dot2hsm_trust_free(s->trust);
    dot2hsm_cert_free(s->root);
    dot2hsm_cert_free(s->eca);
    dot2hsm_cert_free(s->device);
    dot2hsm_cert_free(s->other);
    dot2hsm_cert_free(s->ra_cert);
    dot2hsm_key_free(s->enrollment);
    dot2hsm_key_free(s->sign);
    dot2hsm_key_free(s->decrypt);
    dot2hsm_key_free(s->tls_key);
    dot2hsm_key_free(s->verify);
    dot2hsm_key_free(s->response);
    dot2hsm_error_free(s->error);
    EVP_PKEY_free(s->decrypt_evp);
    lab_cert_clear(&s->ra_lab_cert);
    unlink(s->output);
    unlink(s->store_path);
    snprintf(beside, sizeof(beside), "%s-wal", s->store_path);
    unlink(beside);
    snprintf(beside, sizeof(beside), "%s-shm", s->store_path);
    unlink(beside);
    lab_free(s->lab);
    free(s);
    return 0;
}

static dot2hsm_ee *new_ee(const struct scene *s, unsigned port)
{
    struct dot2hsm_ee_options options = {.size = sizeof(options),
                                         .tls_root = s->lab->tls_path,
                                         .enrollment_key = s->enrollment,
                                         .enrollment_cert = s->device,
                                         .ra_certificate = s->ra_cert};
    char url[64], resolve[64];
    dot2hsm_ee *ee = NULL;

    snprintf(url, sizeof(url), "https://localhost:%u", port);
    snprintf(resolve, sizeof(resolve), "localhost:%u:127.0.0.1", port);
    options.ra_url = url;
    options.resolve = resolve;
    OK(dot2hsm_ee_new(s->ctx, &options, &ee, s->error));
    return ee;
}

static const uint8_t *hash_of(const dot2hsm_cert *cert, size_t *size)
{
    return dot2hsm_cert_hash(cert, size);
}

/* ---- the store ---- */

struct counted {
    unsigned calls, stop_after;
    uint8_t hash[48];
    size_t size;
    char text[160];
};

static int count_entry(void *arg, const uint8_t *hash, size_t size, int64_t added,
                       const char *comment)
{
    struct counted *counted = arg;

    counted->calls++;
    assert_true(added > 1500000000);
    memcpy(counted->hash, hash, size);
    counted->size = size;
    snprintf(counted->text, sizeof(counted->text), "%s", comment);
    return counted->calls != counted->stop_after;
}

static int count_file(void *arg, const char *filename, const uint8_t *requester, size_t size)
{
    struct counted *counted = arg;

    counted->calls++;
    memcpy(counted->hash, requester, size);
    counted->size = size;
    snprintf(counted->text, sizeof(counted->text), "%s", filename);
    return counted->calls != counted->stop_after;
}

static void keeps_a_store(void **state)
{
    const struct scene *s = *state;
    struct counted counted = {.calls = 0};
    size_t size, other_size;
    const uint8_t *hash = hash_of(s->device, &size), *other = hash_of(s->other, &other_size);
    dot2hsm_ra_store *store = NULL;
    char long_comment[200];

    OK(dot2hsm_ra_blacklist_add(s->store, hash, size, "stolen", s->error));
    OK(dot2hsm_ra_blacklist_add(s->store, hash, size, "stolen", s->error));
    OK(dot2hsm_ra_blacklist_add(s->store, other + other_size - 8, 8, NULL, s->error));
    OK(dot2hsm_ra_blacklist_each(s->store, count_entry, &counted, s->error));
    assert_int_equal(counted.calls, 2);
    counted = (struct counted){.stop_after = 1};
    OK(dot2hsm_ra_blacklist_each(s->store, count_entry, &counted, s->error));
    assert_int_equal(counted.calls, 1);
    assert_int_equal(counted.size, size);
    assert_memory_equal(counted.hash, hash, size);
    assert_string_equal(counted.text, "stolen");
    OK(dot2hsm_ra_blacklist_remove(s->store, hash, size, s->error));
    assert_int_equal(dot2hsm_ra_blacklist_remove(s->store, hash, size, s->error),
                     DOT2HSM_E_NOT_FOUND);
    assert_int_equal(dot2hsm_ra_blacklist_add(s->store, hash, 9, NULL, s->error),
                     DOT2HSM_E_ARGUMENT);
    memset(long_comment, 'x', sizeof(long_comment));
    long_comment[128] = '\0';
    assert_int_equal(dot2hsm_ra_blacklist_add(s->store, hash, size, long_comment, s->error),
                     DOT2HSM_E_ARGUMENT);

    OK(dot2hsm_ra_file_assign(s->store, NAME, hash, size, s->error));
    OK(dot2hsm_ra_file_assign(s->store, NAME, hash, size, s->error));
    assert_int_equal(
        dot2hsm_ra_file_assign(s->store, "ab09281c9867de53.zip", other, other_size, s->error),
        DOT2HSM_E_EXISTS);
    counted = (struct counted){.calls = 0};
    OK(dot2hsm_ra_file_each(s->store, count_file, &counted, s->error));
    assert_int_equal(counted.calls, 1);
    assert_memory_equal(counted.hash, hash, size);
    OK(dot2hsm_ra_file_unassign(s->store, NAME, s->error));
    assert_int_equal(dot2hsm_ra_file_unassign(s->store, NAME, s->error), DOT2HSM_E_NOT_FOUND);

    assert_int_equal(dot2hsm_ra_store_open("/nowhere/at/all", 1, &store, s->error),
                     DOT2HSM_E_STORE);
    assert_null(store);
    assert_string_not_equal(dot2hsm_error_text(s->error), "");
}

/* ---- decisions ---- */

static void decides_downloads(void **state)
{
    const struct scene *s = *state;
    struct dot2hsm_ra_decision decision = {.size = sizeof(decision)};
    dot2hsm_ee *ee = new_ee(s, 8892);
    char *header = NULL;
    size_t size;
    const uint8_t *hash = hash_of(s->device, &size);

    OK(dot2hsm_ra_file_assign(s->store, NAME, hash, size, s->error));
    OK(dot2hsm_ee_download_header(ee, NAME, &header, s->error));
    OK(dot2hsm_ra_authorise_download(s->ra, DOT2HSM_RA_DOWNLOAD_APPLICATION, header, strlen(header),
                                     DOT2HSM_NOW, &decision, s->error));
    assert_string_equal(decision.reason, "allowed");
    assert_string_equal(decision.filename, NAME);
    assert_int_equal(decision.scms_code, 0);
    assert_true(decision.has_hashedid8);
    assert_memory_equal(decision.hashedid8, dot2hsm_cert_hashedid8(s->device), 8);
    assert_true(decision.timestamp > 0);
    /* Another service, another time, another octet. */
    assert_int_equal(dot2hsm_ra_authorise_download(s->ra, DOT2HSM_RA_DOWNLOAD_INFO, header,
                                                   strlen(header), DOT2HSM_NOW, &decision,
                                                   s->error),
                     DOT2HSM_E_REFUSED);
    assert_string_equal(decision.reason, "filename");
    assert_string_equal(decision.filename, "");
    assert_int_equal(dot2hsm_ra_authorise_download(s->ra, DOT2HSM_RA_DOWNLOAD_APPLICATION, header,
                                                   strlen(header), decision.timestamp + 6,
                                                   &decision, s->error),
                     DOT2HSM_E_REFUSED);
    assert_string_equal(decision.reason, "time");
    assert_int_equal(dot2hsm_ra_authorise_download(s->ra, DOT2HSM_RA_DOWNLOAD_APPLICATION, header,
                                                   strlen(header) - 4, DOT2HSM_NOW, &decision,
                                                   s->error),
                     DOT2HSM_E_REFUSED);
    assert_int_equal(decision.scms_code, 5070);
    assert_int_equal(dot2hsm_ra_authorise_download(s->ra, DOT2HSM_RA_DOWNLOAD_APPLICATION, NULL, 0,
                                                   DOT2HSM_NOW, &decision, s->error),
                     DOT2HSM_E_REFUSED);
    OK(dot2hsm_ra_blacklist_add(s->store, hash + size - 10, 10, NULL, s->error));
    assert_int_equal(dot2hsm_ra_authorise_download(s->ra, DOT2HSM_RA_DOWNLOAD_APPLICATION, header,
                                                   strlen(header), DOT2HSM_NOW, &decision,
                                                   s->error),
                     DOT2HSM_E_REFUSED);
    assert_int_equal(decision.scms_code, 5055);
    assert_string_equal(decision.reason, "blacklisted");
    assert_non_null(strstr(dot2hsm_error_text(s->error), "DOT2HSM_E_REFUSED"));
    /* What is not a download, and a decision without room. */
    assert_int_equal(dot2hsm_ra_authorise_download(s->ra, DOT2HSM_RA_APPLICATION, header,
                                                   strlen(header), DOT2HSM_NOW, &decision,
                                                   s->error),
                     DOT2HSM_E_ARGUMENT);
    decision.size = sizeof(size_t);
    assert_int_equal(dot2hsm_ra_authorise_download(s->ra, DOT2HSM_RA_DOWNLOAD_APPLICATION, header,
                                                   strlen(header), DOT2HSM_NOW, &decision,
                                                   s->error),
                     DOT2HSM_E_ARGUMENT);
    dot2hsm_free(header);
    dot2hsm_ee_free(ee);
}

static int take_request(void *arg, const struct dot2hsm_ra_request *request)
{
    struct counted *counted = arg;

    counted->calls++;
    assert_int_equal(request->kind, DOT2HSM_RA_APPLICATION);
    assert_true(request->request_size > 0 && request->certificate_size > 0);
    memcpy(counted->hash, request->hash, 32);
    counted->size = request->requester_size;
    return 1;
}

/* Body, decision, acknowledgement, and what a CA makes of it; nothing goes over a wire. */
static void decides_requests(void **state)
{
    const struct scene *s = *state;
    static const char url[] = "https://localhost/download/application-certificate";
    struct dot2hsm_application application = {
        .size = sizeof(application), .verify_key = s->verify, .response_key = s->response};
    struct dot2hsm_ra_decision decision = {.size = sizeof(decision)};
    struct dot2hsm_ack told = {.size = sizeof(told)};
    struct counted counted = {.calls = 0};
    dot2hsm_ee *ee = new_ee(s, 8892);
    uint8_t *body = NULL, *ack = NULL;
    size_t size = 0, ack_size = 0;

    OK(dot2hsm_ee_application_body(ee, &application, &body, &size, s->error));
    OK(dot2hsm_ra_authorise_request(s->ra, DOT2HSM_RA_APPLICATION, body, size, url, DOT2HSM_NOW,
                                    &decision, &ack, &ack_size, s->error));
    assert_int_equal(strlen(decision.request_hash), 16);
    OK(dot2hsm_ee_application_ack(ee, s->trust, body, size, ack, ack_size, &told, s->error));
    assert_string_equal(told.url, url);
    assert_true(told.download_time > dot2hsm_time32_now() + 3000);
    dot2hsm_free(ack);
    /* Again; as another kind; altered. */
    assert_int_equal(dot2hsm_ra_authorise_request(s->ra, DOT2HSM_RA_APPLICATION, body, size, url,
                                                  DOT2HSM_NOW, &decision, &ack, &ack_size,
                                                  s->error),
                     DOT2HSM_E_REFUSED);
    assert_int_equal(decision.scms_code, 5057);
    assert_null(ack);
    assert_string_equal(decision.request_hash, "");
    assert_int_equal(dot2hsm_ra_authorise_request(s->ra, DOT2HSM_RA_PSEUDONYM, body, size, url,
                                                  DOT2HSM_NOW, &decision, &ack, &ack_size,
                                                  s->error),
                     DOT2HSM_E_REFUSED);
    assert_string_equal(decision.reason, "pdu");
    body[size - 1] ^= 1;
    assert_int_equal(dot2hsm_ra_authorise_request(s->ra, DOT2HSM_RA_APPLICATION, body, size, url,
                                                  DOT2HSM_NOW, &decision, &ack, &ack_size,
                                                  s->error),
                     DOT2HSM_E_REFUSED);
    assert_string_equal(decision.reason, "decrypt");
    assert_int_equal(dot2hsm_ra_authorise_request(s->ra, DOT2HSM_RA_DOWNLOAD_INFO, body, size, url,
                                                  DOT2HSM_NOW, &decision, &ack, &ack_size,
                                                  s->error),
                     DOT2HSM_E_ARGUMENT);

    OK(dot2hsm_ra_request_each(s->store, take_request, &counted, s->error));
    assert_int_equal(counted.calls, 1);
    assert_memory_equal(counted.hash + 24, told.request_hash, 8);
    OK(dot2hsm_ra_request_finish(s->store, counted.hash, "no such PSID", s->error));
    assert_int_equal(dot2hsm_ra_request_finish(s->store, counted.hash, NULL, s->error),
                     DOT2HSM_E_EXISTS);
    counted.calls = 0;
    OK(dot2hsm_ra_request_each(s->store, take_request, &counted, s->error));
    assert_int_equal(counted.calls, 0);
    counted.hash[0] ^= 1;
    assert_int_equal(dot2hsm_ra_request_finish(s->store, counted.hash, NULL, s->error),
                     DOT2HSM_E_NOT_FOUND);
    dot2hsm_free(body);
    dot2hsm_ee_free(ee);
}

static void is_filled_before_it_is_used(void **state)
{
    const struct scene *s = *state;
    struct dot2hsm_ra_options short_one = {.size = 4};
    struct dot2hsm_ra_decision decision = {.size = sizeof(decision)};
    uint8_t octet = 0, *ack = NULL;
    dot2hsm_ra *ra = NULL;
    size_t size;

    assert_int_equal(dot2hsm_ra_new(s->ctx, s->store, &short_one, &ra, s->error),
                     DOT2HSM_E_ARGUMENT);
    assert_null(ra);
    OK(dot2hsm_ra_new(s->ctx, s->store, NULL, &ra, s->error));
    assert_int_equal(dot2hsm_ra_add_anchor(ra, s->other, s->error), DOT2HSM_E_TYPE);
    assert_int_equal(dot2hsm_ra_add_key(ra, s->ra_cert, s->verify, s->decrypt, s->error),
                     DOT2HSM_E_KEY_MISMATCH);
    assert_int_equal(dot2hsm_ra_add_key(ra, s->ra_cert, s->sign, s->sign, s->error),
                     DOT2HSM_E_KEY_MISMATCH);
    assert_int_equal(dot2hsm_ra_add_key(ra, s->device, s->enrollment, s->decrypt, s->error),
                     DOT2HSM_E_TYPE);
    assert_int_equal(dot2hsm_ra_add_key(ra, s->ra_cert, s->sign, NULL, s->error),
                     DOT2HSM_E_ARGUMENT);
    /* Without keys there are no requests. */
    assert_int_equal(dot2hsm_ra_authorise_request(ra, DOT2HSM_RA_APPLICATION, &octet, 1,
                                                  "https://localhost", DOT2HSM_NOW, &decision, &ack,
                                                  &size, s->error),
                     DOT2HSM_E_ARGUMENT);
    OK(dot2hsm_ra_add_key(ra, s->ra_cert, NULL, s->decrypt, s->error));
    assert_int_equal(dot2hsm_ra_add_crl(ra, &octet, 1, s->error), DOT2HSM_E_DECODE);
    assert_int_equal(dot2hsm_ra_add_anchor(ra, s->root, s->error), DOT2HSM_E_ARGUMENT);
    assert_int_equal(dot2hsm_ra_add_key(ra, s->ra_cert, NULL, s->decrypt, s->error),
                     DOT2HSM_E_ARGUMENT);
    dot2hsm_ra_free(ra);
}

/* ---- the server ---- */

struct lines {
    atomic_uint calls;
};

static void on_line(void *arg, int priority, const char *line)
{
    struct lines *lines = arg;

    (void)priority;
    assert_non_null(strchr(line, '='));
    atomic_fetch_add(&lines->calls, 1);
}

static void serves(void **state)
{
    const struct scene *s = *state;
    struct lines lines;
    struct dot2hsm_ra_server_options options = {.size = sizeof(options),
                                                .tls_chain = s->lab->tls_path,
                                                .tls_key = s->tls_key,
                                                .address = "127.0.0.1",
                                                .threads = 2,
                                                .download_dir = s->lab->downloads,
                                                .stage_qa = 1,
                                                .log = on_line,
                                                .log_arg = &lines};
    struct dot2hsm_download download = {
        .size = sizeof(download), .filename = NAME, .output = s->output};
    struct dot2hsm_application application = {
        .size = sizeof(application), .verify_key = s->verify, .response_key = s->response};
    struct dot2hsm_ack ack = {.size = sizeof(ack)};
    dot2hsm_ra_server *server = NULL;
    dot2hsm_ra *nobody = NULL, *again;
    size_t size;
    const uint8_t *hash = hash_of(s->device, &size);
    dot2hsm_ee *ee;

    atomic_init(&lines.calls, 0);
    dot2hsm_ra_quiet_libevent();
    lab_file(s->lab, NAME, NULL, 3000);
    OK(dot2hsm_ra_file_assign(s->store, NAME, hash, size, s->error));
    OK(dot2hsm_ra_server_start(s->ra, &options, &server, s->error));
    assert_true(dot2hsm_ra_server_port(server) > 0);
    ee = new_ee(s, dot2hsm_ra_server_port(server));
    OK(dot2hsm_ee_download(ee, &download, NULL, s->error));
    OK(dot2hsm_ee_request_application(ee, s->trust, &application, &ack, s->error));
    /* An RA that trusts nobody takes its place, and the first comes back. */
    OK(dot2hsm_ra_new(s->ctx, s->store, NULL, &nobody, s->error));
    assert_int_equal(dot2hsm_ra_server_use(server, nobody, s->error), DOT2HSM_E_ARGUMENT);
    OK(dot2hsm_ra_add_key(nobody, s->ra_cert, s->sign, s->decrypt, s->error));
    OK(dot2hsm_ra_server_use(server, nobody, s->error));
    dot2hsm_ra_free(nobody);
    assert_int_equal(dot2hsm_ee_download(ee, &download, NULL, s->error), DOT2HSM_E_REFUSED);
    assert_int_equal(dot2hsm_error_scms_code(s->error), 5067);
    again = new_ra(s, NULL);
    OK(dot2hsm_ra_server_use(server, again, s->error));
    dot2hsm_ra_free(again);
    OK(dot2hsm_ee_download(ee, &download, NULL, s->error));
    assert_int_equal(dot2hsm_ra_server_set_tls(server, s->lab->tls_path, s->verify, NULL, s->error),
                     DOT2HSM_E_SERVER);
    OK(dot2hsm_ra_server_set_tls(server, s->lab->tls_path, s->tls_key, NULL, s->error));
    OK(dot2hsm_ee_download(ee, &download, NULL, s->error));
    dot2hsm_ra_server_stop(server);
    assert_true(atomic_load(&lines.calls) >= 5);
    assert_int_equal(dot2hsm_ee_download(ee, &download, NULL, s->error), DOT2HSM_E_UNREACHABLE);
    dot2hsm_ee_free(ee);
}

static void refuses_to_serve(void **state)
{
    const struct scene *s = *state;
    struct dot2hsm_ra_server_options options = {.size = sizeof(options),
                                                .tls_chain = s->lab->tls_path,
                                                .tls_key = s->tls_key,
                                                .address = "127.0.0.1",
                                                .download_dir = s->lab->downloads};
    dot2hsm_ra_server *server = NULL, *second = NULL;

    options.tls_key = s->verify;
    assert_int_equal(dot2hsm_ra_server_start(s->ra, &options, &server, s->error), DOT2HSM_E_SERVER);
    options.tls_key = NULL;
    assert_int_equal(dot2hsm_ra_server_start(s->ra, &options, &server, s->error),
                     DOT2HSM_E_ARGUMENT);
    options.tls_key = s->tls_key;
    options.download_dir = "/nowhere/at/all";
    assert_int_equal(dot2hsm_ra_server_start(s->ra, &options, &server, s->error), DOT2HSM_E_SERVER);
    assert_null(server);
    options.download_dir = s->lab->downloads;
    options.address = "not an address";
    assert_int_equal(dot2hsm_ra_server_start(s->ra, &options, &server, s->error), DOT2HSM_E_SERVER);
    options.address = "127.0.0.1";
    OK(dot2hsm_ra_server_start(s->ra, &options, &server, s->error));
    /* Two RAs of one process. */
    OK(dot2hsm_ra_server_start(s->ra, &options, &second, s->error));
    assert_int_not_equal(dot2hsm_ra_server_port(server), dot2hsm_ra_server_port(second));
    dot2hsm_ra_server_stop(second);
    dot2hsm_ra_server_stop(server);
    dot2hsm_ra_server_stop(NULL);
    assert_int_equal(dot2hsm_ra_server_port(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_a_store, setup, teardown),
        cmocka_unit_test_setup_teardown(decides_downloads, setup, teardown),
        cmocka_unit_test_setup_teardown(decides_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(is_filled_before_it_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(serves, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_to_serve, setup, teardown),
    };

    return cmocka_run_group_tests_name("api ra", tests, NULL, NULL);
}
