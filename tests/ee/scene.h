/*
 * scene.h: an RA's TLS server that a test tells what to answer, and an end entity with a key.
 */
#ifndef DOT2HSM_TESTS_EE_SCENE_H
#define DOT2HSM_TESTS_EE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apps/app.h"
#include "protocol/ee/ee.h"
#include "tests/ee/https_server.h"

#define FILE_NAME "3339AB342CEF1139.zip"
#define FILE_PATH "/download/application-certificate"

struct scene {
    struct lab_pair root, leaf;
    struct https_server *server;
    char url[64];
    OSSL_LIB_CTX *libctx;
    dot2_crypto *crypto;
    EVP_PKEY *key;
    dot2_cert *certificate;
    struct ee_config config;
    struct ee_download download;
    struct ee_download_result result;
    struct ee_error error;
};

/* A directory (lab_begin), the root in root.pem, a server for 127.0.0.1, no enrollment; download
 * writes to "file". */
void scene_open(struct scene *scene);
/* With the provider, a self-issued enrollment certificate and a key: key_uri, or a software key. */
void scene_enroll(struct scene *scene, const struct app_provider *options, const char *key_uri);
void scene_close(struct scene *scene);

/* One answer to all requests from now on. */
void scene_answer(struct scene *scene, struct answer answer);
/* ee_download() into scene->result and scene->error. */
enum ee_status scene_download(struct scene *scene);
/* Is the file of the output these octets, and no part and validator left? */
void scene_assert_file(struct scene *scene, const uint8_t *octets, size_t size);
void scene_assert_no_file(struct scene *scene);
/* Is this the value of a Download-Req for the file, signed by the enrollment key? Its Time32. */
uint32_t scene_assert_signed(struct scene *scene, const char *download_req, const char *filename);

#endif
