/*
 * lab_eca.c: the enrollment CA of `dot2hsm lab run`. eca/requests/NAME.oer, a
 * SignedEeEnrollmentCertRequest, is answered by eca/responses/NAME.oer and moved to eca/done; one
 * that is refused is moved to eca/refused, with the reason in NAME.oer.txt.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "apps/dot2hsm/lab_run.h"
#include "apps/dot2hsm/support.h"

#define REQUEST_MAX ((size_t)64 << 10)
#define RESPONSE_MAX ((size_t)64 << 10)
/* Longer names leave no room for ".txt". */
#define NAME_LENGTH_MAX 200
#define REASON_SIZE 512

struct path {
    char text[LAB_PATH + 256];
};

static const char *path_of(const struct lab_run *run, const char *folder, const char *name,
                           struct path *path)
{
    snprintf(path->text, sizeof(path->text), "%s/eca/%s%s%s", run->lab.dir, folder,
             name[0] != '\0' ? "/" : "", name);
    return path->text;
}

/* "FIELD: at octet N: DETAIL", as the reason of a refusal. */
static enum dot2_status because(const char *code, const struct dot2_error *error, char *reason)
{
    const char *detail = error->detail[0] != '\0' ? error->detail : dot2_status_text(error->status);

    if (error->field[0] != '\0')
        snprintf(reason, REASON_SIZE, "%s: %s: at octet %zu: %s (%s)", code, error->field,
                 error->offset, detail, dot2_status_name(error->status));
    else
        snprintf(reason, REASON_SIZE, "%s: %s (%s)", code, detail, dot2_status_name(error->status));
    return error->status;
}

/* Which EcaEndEntityError is nearest, when the certificate does not hold under the ECA. */
static const char *code_of(enum dot2_status status)
{
    switch (status) {
    case DOT2_E_PERMISSION:
        return "ecaInvalidPsid";
    case DOT2_E_VALIDITY_NESTING:
    case DOT2_E_EXPIRED:
    case DOT2_E_NOT_YET_VALID:
        return "ecaInvalidValidityPeriod";
    case DOT2_E_REGION:
        return "ecaInvalidRegion";
    case DOT2_E_ALGORITHM:
    case DOT2_E_POINT:
        return "ecaInvalidVerifyKey";
    default:
        return "ecaInternalServerError";
    }
}

static enum dot2_status issue(const struct lab_run *run, coer_arena *arena,
                              ToBeSignedCertificate_t *body,
                              const struct scms_enrollment_request *request, uint32_t now,
                              struct scms_enrollment_response *response, char *reason)
{
    const struct lab *lab = &run->lab;
    struct dot2_check check = {.purpose = DOT2_PURPOSE_ENROLLMENT};
    struct dot2_error error = {0};

    /* A certificate that begins later is looked at when it has begun. */
    check.time =
        now > (uint32_t)body->validityPeriod.start ? now : (uint32_t)body->validityPeriod.start;
    if (dot2_cert_issue(lab->crypto, arena, body, request->verify_key, lab->certs[LAB_ECA],
                        lab->keys[LAB_ECA].key, !run->explicit_enrollment, &response->enrollment,
                        response->s, &error) != DOT2_OK ||
        dot2_chain_verify(run->trust, response->enrollment, &check, NULL, &error) != DOT2_OK)
        return because(code_of(error.status), &error, reason);
    /* An explicit certificate needs no reconstruction value; the variant has zeros there. */
    if (run->explicit_enrollment)
        memset(response->s, 0, sizeof(response->s));
    return DOT2_OK;
}

/* DOT2_OK, or a status with a reason. */
static enum dot2_status answer(const struct lab_run *run, const uint8_t *octets, size_t size,
                               struct scms_enrollment_response *response, uint8_t **out,
                               size_t *out_size, char *reason)
{
    coer_arena *arena = coer_arena_new();
    struct scms_signed_request message = {0};
    struct scms_enrollment_request request = {0};
    ToBeSignedCertificate_t body;
    struct dot2_error error = {0};
    enum dot2_status status = DOT2_OK;
    uint32_t now = 0;

    if (arena == NULL || dot2_time32_now(&now) != DOT2_OK) {
        snprintf(reason, REASON_SIZE, "ecaInternalServerError: out of memory, or no time");
        status = DOT2_E_MEMORY;
        goto out;
    }
    if (scms_signed_request_parse(run->lab.crypto, octets, size, true, &message, &error) !=
            DOT2_OK ||
        scms_enrollment_request_parse(run->lab.crypto, message.pdu, &request, &error) != DOT2_OK) {
        status = because("ecaMalformedRequest", &error, reason);
        goto out;
    }
    if (message.cert != NULL) {
        snprintf(reason, REASON_SIZE, "ecaMalformedRequest: the signer is not self");
        status = DOT2_E_SIGNER;
        goto out;
    }
    /* Proof of possession: whoever asks has the key that the certificate will be for. */
    if (scms_signed_request_verify(run->lab.crypto, &message, request.verify_key, &error) !=
        DOT2_OK) {
        status = because("ecaInvalidVerifyKey", &error, reason);
        goto out;
    }
    status = lab_body_enrollment(run, arena, &request, now, &body, reason, REASON_SIZE);
    if (status == DOT2_OK)
        status = issue(run, arena, &body, &request, now, response, reason);
    if (status == DOT2_OK) {
        response->eca = dot2_cert_up_ref(run->lab.certs[LAB_ECA]);
        if (scms_enrollment_response_build(run->lab.crypto, run->lab.keys[LAB_ECA].key, response,
                                           out, out_size, &error) != DOT2_OK)
            status = because("ecaInternalServerError", &error, reason);
    }
out:
    ERR_clear_error();
    scms_enrollment_request_clear(&request);
    scms_signed_request_clear(&message);
    coer_arena_free(arena);
    return status;
}

/* Was this very request answered before, by a run that was killed before it could say so? */
static bool is_answered(const struct lab_run *run, const char *name, const uint8_t hash[8])
{
    struct scms_enrollment_response response;
    struct path path;
    struct stat status;
    uint8_t *octets = NULL;
    size_t size = 0;
    uint32_t now = 0;
    bool is = false;

    if (stat(path_of(run, "responses", name, &path), &status) != 0 ||
        app_file_read(path.text, RESPONSE_MAX, &octets, &size) != APP_OK ||
        dot2_time32_now(&now) != DOT2_OK)
        goto out;
    if (scms_enrollment_response_open(run->lab.crypto, run->trust, now, octets, size, true,
                                      &response, NULL) == DOT2_OK)
        is = memcmp(response.request_hash, hash, 8) == 0;
    scms_enrollment_response_clear(&response);
    ERR_clear_error();
out:
    OPENSSL_free(octets);
    return is;
}

static int move(const struct lab_run *run, const char *name, const char *to)
{
    struct path from_path, to_path;

    if (rename(path_of(run, "requests", name, &from_path), path_of(run, to, name, &to_path)) == 0)
        return APP_OK;
    app_error("%s: %s", to_path.text, strerror(errno));
    return APP_REFUSED;
}

static int refuse(const struct lab_run *run, const char *name, const char *reason)
{
    struct path folder;
    char file[NAME_LENGTH_MAX + 8], line[REASON_SIZE + 2];
    int n = snprintf(line, sizeof(line), "%s\n", reason), result;

    snprintf(file, sizeof(file), "%.*s.txt", NAME_LENGTH_MAX, name);
    result = lab_put(path_of(run, "refused", "", &folder), file, line, (size_t)n, 0644);
    if (result == APP_OK)
        result = move(run, name, "refused");
    if (result == APP_OK) {
        printf("ECA  ");
        app_print_safe(stdout, name);
        printf("  refused: ");
        app_print_safe(stdout, reason);
        putchar('\n');
    }
    return result;
}

static int accept_request(const struct lab_run *run, const char *name,
                          const struct scms_enrollment_response *response, const uint8_t *octets,
                          size_t size)
{
    struct path folder;
    char id[17], end[21];
    int result = lab_put(path_of(run, "responses", "", &folder), name, octets, size, 0644);

    if (result == APP_OK)
        result = move(run, name, "done");
    if (result != APP_OK)
        return result;
    dot2_time32_format(dot2_cert_end(response->enrollment), end);
    printf("ECA  ");
    app_print_safe(stdout, name);
    printf("  enrolled: HashedId8 %s  %s  until %s\n",
           command_hex(dot2_cert_hashedid8(response->enrollment), 8, id),
           run->explicit_enrollment ? "explicit" : "implicit", end);
    return result;
}

static int one_request(struct lab_run *run, const char *name)
{
    struct scms_enrollment_response response = {0};
    struct path path;
    struct stat file;
    char reason[REASON_SIZE] = "";
    uint8_t hash[48], *octets = NULL, *out = NULL;
    size_t size = 0, out_size = 0;
    enum dot2_status status = DOT2_OK;
    int result;

    if (lstat(path_of(run, "requests", name, &path), &file) != 0 || !S_ISREG(file.st_mode))
        return refuse(run, name, "ecaMalformedRequest: not a file");
    if (file.st_size > (off_t)REQUEST_MAX)
        return refuse(run, name, "ecaMalformedRequest: more than 65536 octets");
    result = app_file_read(path.text, REQUEST_MAX, &octets, &size);
    if (result != APP_OK)
        return result;
    if (dot2_hash(run->lab.crypto, DOT2_CURVE_P256, octets, size, hash) != DOT2_OK) {
        app_error_openssl("%s: its hash cannot be made", path.text);
        result = APP_REFUSED;
        goto out;
    }
    if (is_answered(run, name, hash + 24)) {
        result = move(run, name, "done");
        goto out;
    }
    memcpy(response.request_hash, hash + 24, sizeof(response.request_hash));
    status = answer(run, octets, size, &response, &out, &out_size, reason);
    if (status == DOT2_OK)
        result = accept_request(run, name, &response, out, out_size);
    else if (lab_run_broken(status)) {
        app_error("%s: %s", path.text, reason[0] != '\0' ? reason : dot2_status_text(status));
        result = APP_REFUSED;
    } else {
        result = refuse(run, name, reason);
    }
out:
    scms_enrollment_response_clear(&response);
    OPENSSL_free(out);
    OPENSSL_free(octets);
    return result;
}

static int is_request(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return entry->d_name[0] != '.' && length > 4 && length <= NAME_LENGTH_MAX &&
           strcmp(entry->d_name + length - 4, ".oer") == 0;
}

int lab_eca_round(struct lab_run *run, unsigned *answered)
{
    struct path path;
    struct dirent **entries = NULL;
    int count = scandir(path_of(run, "requests", "", &path), &entries, is_request, alphasort);
    int result = APP_OK;

    if (count < 0) {
        app_error("%s: %s", path.text, strerror(errno));
        return APP_REFUSED;
    }
    for (int i = 0; i < count; i++) {
        if (result == APP_OK)
            result = one_request(run, entries[i]->d_name);
        if (result == APP_OK)
            (*answered)++;
        free(entries[i]);
    }
    free(entries);
    return result;
}
