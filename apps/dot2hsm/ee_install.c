/* ee_install.c: from the zip file that was downloaded to the certificate in its place. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/ee_assemble.h"
#include "apps/dot2hsm/ee_zip.h"
#include "apps/dot2hsm/support.h"
#include "pkcs11/p11.h"

/* d = e k + s for an implicit certificate, which no token can make. */
static int reconstruct(struct device *device, const struct scms_cert_response *response,
                       EVP_PKEY *verify, EVP_PKEY *expected, EVP_PKEY **made)
{
    struct dot2_error error = {.status = DOT2_OK};
    dot2_cert *issuer = dot2_trust_find(device->trust, dot2_cert_issuer(response->cert));
    EVP_PKEY *key = NULL;
    int code = APP_REFUSED;

    if (device->application_token != NULL &&
        !assemble_pending(device, device->state.requests[DEVICE_APPLICATION].id))
        app_error("the certificate is implicit: its key cannot be made in a token (and "
                  "assemble-key-on-host was not set when it was asked for)");
    else if (issuer == NULL)
        app_error("the issuer of the certificate is not known");
    else if (dot2_ecqv_private_key(device->crypto, response->cert, issuer, verify,
                                   response->reconstruction, &key, &error) != DOT2_OK)
        command_error("the certificate's private key", &error);
    else if (EVP_PKEY_eq(key, expected) != 1)
        app_error("the private key that was reconstructed is not that of the certificate");
    else
        code = APP_OK;
    if (code == APP_OK)
        *made = key;
    else
        EVP_PKEY_free(key);
    dot2_cert_free(issuer);
    return code;
}

static int check_cert(struct device *device, dot2_cert *cert, struct dot2_chain *chain)
{
    struct dot2_check check = {.purpose = DOT2_PURPOSE_ANY};
    struct dot2_error error = {.status = DOT2_OK};
    const ToBeSignedCertificate_t *tbs = &dot2_cert_asn1(cert)->toBeSigned;

    if (tbs->appPermissions == NULL || tbs->certIssuePermissions != NULL ||
        tbs->certRequestPermissions != NULL) {
        app_error("the certificate is not an application certificate");
        return APP_REFUSED;
    }
    /* It may begin later than now. */
    if (dot2_time32_now(&check.time) == DOT2_OK && check.time < dot2_cert_start(cert))
        check.time = dot2_cert_start(cert);
    if (dot2_chain_verify(device->trust, cert, &check, chain, &error) != DOT2_OK) {
        command_error("the application certificate", &error);
        return APP_REFUSED;
    }
    return APP_OK;
}

/* A key that is not where it stays: into its file, or into the token. */
static int put_key(struct device *device, const char *path, EVP_PKEY *key, const char *verify_uri)
{
    if (device->application_token == NULL)
        return device_key_write(device, path, key);
    return assemble_pending(device, device->state.requests[DEVICE_APPLICATION].id)
               ? sealed_key_import(device, verify_uri, key, P11_USAGE_SIGN)
               : APP_OK;
}

/* The certificate, then the state that names it: from there on it is installed. */
static int put_in_place(struct device *device, const dot2_cert *cert, const char *key_uri)
{
    struct device_state *s = &device->state;
    struct device_request *request = &s->requests[DEVICE_APPLICATION];
    char name[64], path[DEVICE_PATH], response_uri[512];
    const uint8_t *octets;
    size_t size = 0;
    int code;

    snprintf(name, sizeof(name), "application-%s.oer", request->id);
    octets = dot2_cert_octets(cert, &size);
    code = app_file_write(device_path(device, name, path), octets, size, 0644);
    if (code == APP_OK)
        code = device_key_uri(device, DEVICE_APPLICATION, request->id, DEVICE_KEY_RESPONSE,
                              response_uri);
    if (code != APP_OK)
        return code;
    /* Deleted when the state is on disk: until then they are what a run after this one needs. */
    device_obsolete(device, response_uri);
    device_obsolete(device, s->key);
    assemble_obsolete(device, request->id, key_uri);
    snprintf(s->certificate, sizeof(s->certificate), "%s", name);
    snprintf(s->key, sizeof(s->key), "%s", key_uri);
    memset(request, 0, sizeof(*request));
    s->changed |= DEVICE_CERTIFICATE;
    s->in_a_row = 0;
    code = device_state_save(device);
    return code == APP_OK ? device_clean(device) : code;
}

/*
 * Until when does the certificate that is installed stay, because the new one begins later than
 * now? 0: there is none that is good now.
 */
static uint32_t stays_until(struct device *device, const dot2_cert *fresh)
{
    const char *installed = device->state.certificate;
    char path[DEVICE_PATH];
    dot2_cert *cert = NULL;
    uint32_t now = 0, until = 0;

    if (installed[0] == '\0' || device_now(device, &now) != APP_OK ||
        dot2_cert_start(fresh) <= now ||
        device_read_cert(device, device_path(device, installed, path), &cert) != APP_OK)
        return 0;
    if (dot2_cert_start(cert) <= now && now < dot2_cert_end(cert) &&
        !device_revoked(device, cert, NULL, 0))
        until = dot2_cert_end(cert) < dot2_cert_start(fresh) ? dot2_cert_end(cert)
                                                             : dot2_cert_start(fresh);
    dot2_cert_free(cert);
    return until;
}

static int install(struct device *device, struct scms_cert_response *response, EVP_PKEY *verify,
                   char *key_uri)
{
    struct dot2_chain chain = {.key = NULL};
    char path[DEVICE_PATH], name[64];
    EVP_PKEY *made = NULL;
    uint32_t until;
    int code = check_cert(device, response->cert, &chain);

    if (code != APP_OK)
        return code;
    until = stays_until(device, response->cert);
    if (until != 0) { /* the file is fetched again then */
        dot2_chain_clear(&chain);
        device->state.requests[DEVICE_APPLICATION].download_time = until;
        return device_state_save(device);
    }
    snprintf(name, sizeof(name), "application-%s.pem",
             device->state.requests[DEVICE_APPLICATION].id);
    device_path(device, name, path);
    if (response->kind == SCMS_RESPONSE_IMPLICIT) {
        code = reconstruct(device, response, verify, chain.key, &made);
    } else if (EVP_PKEY_eq(chain.key, verify) != 1) {
        app_error("the certificate is for another key than the one that was requested");
        code = APP_REFUSED;
    }
    if (code == APP_OK)
        code = put_key(device, path, made != NULL ? made : verify, key_uri);
    EVP_PKEY_free(made);
    if (code == APP_OK && device->application_token == NULL &&
        snprintf(key_uri, 512, "file:%s", path) >= 512) {
        app_error("%s: the path is too long", path);
        code = APP_USAGE;
    }
    dot2_chain_clear(&chain);
    return code == APP_OK ? put_in_place(device, response->cert, key_uri) : code;
}

int device_install(struct device *device, const char *zip, const char *hash)
{
    struct dot2_error error = {.status = DOT2_OK};
    struct scms_cert_response response = {.cert = NULL};
    EVP_PKEY *key = NULL, *verify = NULL;
    const char *id = device->state.requests[DEVICE_APPLICATION].id;
    char uri[512] = "", verify_uri[512];
    uint8_t *octets = NULL;
    uint32_t now = 0;
    size_t size = 0;
    /* Exactly one entry, named by the hash of the request, without an extension (protocol 1.3). */
    int code = device_zip_read_only(zip, hash, &octets, &size);

    unlink(zip);
    if (code == APP_OK)
        code = device_key_uri(device, DEVICE_APPLICATION, id, DEVICE_KEY_RESPONSE, uri);
    if (code == APP_OK)
        code = app_key_open(device->libctx, uri, &key);
    if (code == APP_OK)
        code = device_key_uri(device, DEVICE_APPLICATION, id, DEVICE_KEY_VERIFY, verify_uri);
    if (code == APP_OK)
        code = assemble_pending(device, device->state.requests[DEVICE_APPLICATION].id)
                   ? assemble_key_open(device, id, verify_uri, &verify)
                   : app_key_open(device->libctx, verify_uri, &verify);
    if (code != APP_OK)
        goto out;
    if (dot2_time32_now(&now) != DOT2_OK ||
        scms_cert_response_open(device->crypto, device->trust, now, key, octets, size, &response,
                                &error) != DOT2_OK) {
        command_error("the certificate response", &error);
        code = APP_REFUSED;
    } else if (response.kind != SCMS_RESPONSE_EXPLICIT && response.kind != SCMS_RESPONSE_IMPLICIT) {
        app_error("the certificate response is one for butterfly keys");
        code = APP_REFUSED;
    } else {
        code = install(device, &response, verify, verify_uri);
    }
out:
    scms_cert_response_clear(&response);
    EVP_PKEY_free(key);
    EVP_PKEY_free(verify);
    OPENSSL_free(octets);
    return code;
}
