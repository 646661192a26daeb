/* fuzz_text.c: texts that others write: PKCS#11 URIs, an RA's response headers, configurations. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "apps/ra/ra_app.h"
#include "pkcs11/internal.h"
#include "protocol/ee/ee_internal.h"
#include "tests/fuzz/fuzz.h"

/* A target is compiled with one of them; the others are there for the other targets. */
fuzz_decoder_fn fuzz_uri, fuzz_response, fuzz_config;

/* ---- PKCS#11 URIs ---- */

/* Names of attributes that stand in a text more than once, or never: what a URI must not hide. */
static void check_uri(const struct p11_uri *uri)
{
    const char *source = uri->values[P11_URI_PIN_SOURCE].octets;

    DEMAND(uri->decoded != NULL && uri->shown != NULL);
    DEMAND(strncmp(uri->shown, "pkcs11:", 7) == 0);
    /* What goes into messages and logs has no PIN and no query. */
    DEMAND(strchr(uri->shown, '?') == NULL && strstr(uri->shown, "pin-") == NULL);
    DEMAND(uri->pin == NULL || (uri->pin->size >= 1 && uri->pin->size <= P11_PIN_MAX));
    DEMAND(uri->pin == NULL || source == NULL);
    DEMAND(source == NULL || p11_pin_source_valid(source));
    for (size_t i = 0; i < P11_URI_ATTRIBUTES; i++) {
        const struct p11_uri_value *value = &uri->values[i];

        DEMAND(value->octets == NULL ||
               (value->octets >= uri->decoded &&
                value->octets + value->size < uri->decoded + uri->decoded_size &&
                value->octets[value->size] == '\0'));
    }
    DEMAND(uri->classes != 0);
}

/* With a PIN in the URI allowed and not, as the first octet says. */
void fuzz_uri(const uint8_t *data, size_t size)
{
    p11_ctx ctx = {.refs = 1, .module_path = (char *)(uintptr_t) "/usr/lib/libmodule.so"};
    CK_ATTRIBUTE want[3];
    CK_OBJECT_CLASS class_ = CKO_PRIVATE_KEY;
    struct p11_uri *uri = NULL;
    enum p11_status status;
    char *text, *shown;

    if (size < 1)
        return;
    ctx.allow_pin_value = (data[0] & 1) != 0;
    text = OPENSSL_strndup((const char *)data + 1, size - 1);
    DEMAND(text != NULL);
    shown = p11_uri_redact(text);
    DEMAND(shown != NULL && strchr(shown, '?') == NULL);
    DEMAND(strncmp(text, shown, strlen(shown)) == 0);
    status = p11_uri_parse(&ctx, text, &uri);
    DEMAND((status == P11_OK) == (uri != NULL));
    DEMAND((status == P11_OK) == (ERR_peek_error() == 0));
    if (uri != NULL) {
        check_uri(uri);
        DEMAND(ctx.allow_pin_value || uri->pin == NULL);
        DEMAND(p11_uri_template(uri, &class_, want) <= 3);
    }
    p11_uri_free(uri);
    ERR_clear_error();
    OPENSSL_free(shown);
    OPENSSL_free(text);
}

/* ---- response headers ---- */

static bool is_ended(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

/* Line by line as libcurl hands them on: with their ends, which may be missing. */
void fuzz_response(const uint8_t *data, size_t size)
{
    struct ee_response r = {.status = 0};
    size_t lines = 0;

    for (size_t at = 0; at < size; lines++) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - data) + 1 - at;
        /* Of its exact size: no line ends with a NUL. */
        char *line = OPENSSL_memdup(data + at, length);
        bool goes_on;

        DEMAND(line != NULL);
        goes_on = ee_response_line(&r, line, length);
        OPENSSL_free(line);
        if (!goes_on)
            break;
        at += length;
    }
    DEMAND(r.status == 0 || (r.status >= 100 && r.status < 600));
    DEMAND(is_ended(r.etag, sizeof(r.etag)) && is_ended(r.filename, sizeof(r.filename)) &&
           is_ended(r.scms_message, sizeof(r.scms_message)));
    DEMAND(r.etag[0] == '\0' || ee_etag_valid(r.etag));
    DEMAND(!ee_response_etag_strong(&r) || r.etag[0] == '"');
    /* No name that could be a path. */
    DEMAND(strchr(r.filename, '/') == NULL && strchr(r.filename, '\\') == NULL &&
           strcmp(r.filename, ".") != 0 && strcmp(r.filename, "..") != 0);
    for (const char *c = r.scms_message; *c != '\0'; c++)
        DEMAND(*c >= 0x20 && *c < 0x7f);
    DEMAND(r.scms_code >= 0 && r.scms_code < 100000);
    if (r.has_range && r.malformed == NULL)
        DEMAND(r.range_start <= r.range_end && r.range_end < r.range_total);
    DEMAND(r.length <= INT64_MAX && r.range_total <= INT64_MAX);
}

/* ---- configurations ---- */

static void hear(void *arg, const char *text)
{
    size_t *said = arg;

    DEMAND(text != NULL && text[0] != '\0');
    (*said)++;
}

static void within(unsigned long value, unsigned long min, unsigned long max)
{
    DEMAND(value >= min && value <= max);
}

static void check_config(const struct ra_app_config *config)
{
    const struct ra_server_config *server = &config->server;

    DEMAND(config->tls_certificate != NULL && config->tls_key != NULL && config->anchors != NULL &&
           config->store != NULL && server->download_dir != NULL);
    within(server->threads, 0, 256);
    DEMAND(server->tolerance == UINT32_MAX || server->tolerance <= 86400);
    within(server->provision.certificate_delay, 0, 31556952);
    DEMAND(config->key_count <= RA_APP_KEYS);
    for (size_t i = 0; i < config->key_count; i++)
        DEMAND(config->keys[i].certificate != NULL && config->keys[i].decrypt != NULL);
    for (size_t i = 0; i <= SCMS_PROVISION_APP; i++)
        DEMAND((config->psids[i] == NULL) == (server->psid_counts[i] == 0));
}

/*
 * dot2hsm-ra.conf through OpenSSL's reader and ours. The file is the operator's own; but one that
 * is wrong must be refused with a text, never half taken.
 */
void fuzz_config(const uint8_t *data, size_t size)
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    struct ra_app_config config;
    size_t said = 0;
    char path[64];
    int code;

    /* .include and .pragma would let the fuzzer read whatever there is on the machine. */
    if (fd < 0 || memchr(data, '.', size) != NULL) {
        close(fd);
        return;
    }
    DEMAND(write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    app_error_sink(hear, &said);
    code = ra_app_config_load(path, &config);
    DEMAND(code == APP_OK || code == APP_USAGE);
    DEMAND((code == APP_OK) == (said == 0));
    if (code == APP_OK) {
        check_config(&config);
        ra_app_config_clear(&config);
    }
    app_error_sink(NULL, NULL);
    ERR_clear_error();
    close(fd);
}
