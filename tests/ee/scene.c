#include "tests/ee/scene.h"

#include <signal.h>

#include <PsidGroupPermissions.h>
#include <SequenceOfPsidGroupPermissions.h>

void scene_open(struct scene *s)
{
    signal(SIGPIPE, SIG_IGN);
    lab_begin();
    memset(s, 0, sizeof(*s));
    s->root = lab_root("Test X.509 root");
    s->leaf = lab_leaf(&s->root, "127.0.0.1", -60, 3600);
    lab_write_pem(lab_path("root.pem"), s->root.certificate);
    s->server = https_server_start(&s->leaf, NULL);
    snprintf(s->url, sizeof(s->url), "https://127.0.0.1:%u", https_server_port(s->server));
    s->config.ra_url = s->url;
    s->config.tls_root = strdup(lab_path("root.pem"));
    s->config.connect_timeout = 10;
    s->config.stall_timeout = 20;
    s->download.path = "/download/policy/local";
    s->download.output = strdup(lab_path("file"));
}

static dot2_cert *self_issued(struct scene *s)
{
    coer_arena *arena = coer_arena_new();
    ToBeSignedCertificate_t *body = coer_arena_alloc(arena, sizeof(*body));
    SequenceOfPsidGroupPermissions_t *list = coer_arena_alloc(arena, sizeof(*list));
    PsidGroupPermissions_t *group = coer_arena_alloc(arena, sizeof(*group));
    struct dot2_error error = {.status = DOT2_OK};
    dot2_cert *certificate = NULL;
    uint32_t now = 0;

    assert_int_equal(dot2_time32_now(&now), DOT2_OK);
    body->id.present = CertificateId_PR_none;
    body->cracaId.buf = coer_arena_alloc(arena, 3);
    body->cracaId.size = 3;
    body->validityPeriod.start = now - 60;
    body->validityPeriod.duration.present = Duration_PR_hours;
    body->validityPeriod.duration.choice.hours = 2;
    group->subjectPermissions.present = SubjectPermissions_PR_all;
    group->minChainLength = coer_long(arena, 0);
    coer_list_add(arena, list, group);
    body->certRequestPermissions = list;
    if (dot2_cert_issue(s->crypto, arena, body, s->key, NULL, s->key, false, &certificate, NULL,
                        &error) != DOT2_OK)
        fail_msg("no enrollment certificate: %s", error.detail);
    coer_arena_free(arena);
    return certificate;
}

void scene_enroll(struct scene *s, const struct app_provider *options, const char *key_uri)
{
    assert_int_equal(app_provider_load(options, &s->libctx), APP_OK);
    assert_int_equal(dot2_crypto_new(s->libctx, &s->crypto, NULL), DOT2_OK);
    if (key_uri != NULL)
        assert_int_equal(app_key_open(s->libctx, key_uri, &s->key), APP_OK);
    else
        s->key = EVP_PKEY_Q_keygen(s->libctx, "provider=default", "EC", "P-256");
    assert_non_null(s->key);
    s->certificate = self_issued(s);
    s->config.crypto = s->crypto;
    s->config.enrollment_key = s->key;
    s->config.enrollment_certificate = s->certificate;
    s->download.path = FILE_PATH;
    s->download.filename = FILE_NAME;
}

void scene_close(struct scene *s)
{
    if (s->server != NULL)
        https_server_stop(s->server);
    lab_pair_clear(&s->root);
    lab_pair_clear(&s->leaf);
    dot2_cert_free(s->certificate);
    EVP_PKEY_free(s->key);
    dot2_crypto_free(s->crypto);
    OSSL_LIB_CTX_free(s->libctx);
    free((char *)s->config.tls_root);
    free((char *)s->download.output);
    lab_end();
}

void scene_answer(struct scene *s, struct answer answer)
{
    https_server_plan(s->server, &answer, 1);
}

enum ee_status scene_download(struct scene *s)
{
    return ee_download(&s->config, &s->download, &s->result, &s->error);
}

void scene_assert_file(struct scene *s, const uint8_t *octets, size_t size)
{
    size_t found_size = 0;
    uint8_t *found = lab_read(s->download.output, &found_size);

    assert_non_null(found);
    assert_int_equal(found_size, size);
    assert_memory_equal(found, octets, size);
    assert_false(lab_exists(lab_path("file.part")));
    assert_false(lab_exists(lab_path("file.part.validator")));
    assert_false(lab_exists(lab_path("file.part.validator.new")));
    free(found);
    remove(s->download.output);
}

void scene_assert_no_file(struct scene *s)
{
    assert_false(lab_exists(s->download.output));
}

uint32_t scene_assert_signed(struct scene *s, const char *download_req, const char *filename)
{
    struct scms_signed_request request;
    uint8_t *octets = NULL;
    EVP_PKEY *key = NULL;
    const char *name = NULL;
    size_t size = 0, name_size = 0;
    uint32_t timestamp = 0;

    memset(&request, 0, sizeof(request));
    assert_int_equal(scms_base64_decode(download_req, strlen(download_req), &octets, &size, NULL),
                     DOT2_OK);
    assert_int_equal(scms_signed_request_parse(s->crypto, octets, size, false, &request, NULL),
                     DOT2_OK);
    assert_memory_equal(dot2_cert_hashedid8(request.cert), dot2_cert_hashedid8(s->certificate), 8);
    assert_int_equal(dot2_cert_key(request.cert, &key, NULL), DOT2_OK);
    assert_int_equal(scms_signed_request_verify(s->crypto, &request, key, NULL), DOT2_OK);
    assert_int_equal(scms_download_request_parse(request.pdu, &timestamp, &name, &name_size, NULL),
                     DOT2_OK);
    assert_int_equal(name_size, strlen(filename));
    assert_memory_equal(name, filename, name_size);
    EVP_PKEY_free(key);
    scms_signed_request_clear(&request);
    OPENSSL_free(octets);
    return timestamp;
}
