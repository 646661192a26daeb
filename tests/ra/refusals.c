/* refusals.c: what refusals.h says. */
#include "tests/ra/refusals.h"

#include <sys/stat.h>
#include <time.h>

bool refusals_in_qa;

const struct service services[SERVICES] = {
    {APP_PATH, "provision-application-certificate", SCMS_PROVISION_APP,
     "/download/application-certificate"},
    {ID_PATH, "provision-identity-certificate", SCMS_PROVISION_ID,
     "/download/identity-certificate"},
    {PSEUDONYM_PATH, "provision-pseudonym-certificate-batch", SCMS_PROVISION_PSEUDONYM,
     "/download/batch"},
};

long log_size(const struct posting *posting)
{
    struct stat st;

    return stat(posting->served->log_path, &st) == 0 ? (long)st.st_size : 0;
}

bool logged_since(const struct posting *posting, long from, const char *text)
{
    for (int i = 0; i < 1000; i++) {
        struct timespec pause = {.tv_nsec = 10000000};
        char *log = posting_program_log(posting, from);
        bool found = strstr(log, text) != NULL;

        free(log);
        if (found)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

void assert_one_line(const struct posting *posting, long from, const char *what,
                     const char *service, const char *reason)
{
    char *log = posting_program_log(posting, from), want[100], name[100];
    const char *line = strstr(log, "event=refused");

    snprintf(want, sizeof want, "event=refused reason=%s ", reason);
    snprintf(name, sizeof name, "service=%s ", service);
    if (line == NULL || strstr(line + 1, "event=refused") != NULL || strstr(log, want) == NULL ||
        strstr(log, name) == NULL || strstr(log, "event=served") != NULL)
        fail_msg("%s: not one line with %s%s:\n%s", what, want, name, log);
    free(log);
}

void assert_refusal(struct response *response, const char *what, int status, int code)
{
    const char *value = response_header(response, "SCMS-POC-Error");
    bool qa = refusals_in_qa;

    if (response->status != (qa ? status : 500))
        fail_msg("%s: status %d", what, response->status);
    if (qa ? value == NULL || atoi(value) != code : value != NULL)
        fail_msg("%s: SCMS-POC-Error is %s", what, value == NULL ? "absent" : value);
    value = response_header(response, "SCMS-POC-Error-Message");
    if (qa ? value == NULL || strcmp(value, scms_error_find(code)->message) != 0 : value != NULL)
        fail_msg("%s: SCMS-POC-Error-Message is %s", what, value == NULL ? "absent" : value);
    value = response_header(response, "Connection");
    if (value == NULL || strcmp(value, "close") != 0 || response->size != 0)
        fail_msg("%s: a body of %zu octets, or not closed", what, response->size);
    response_clear(response);
}

struct wish of_kind(const struct attempt *attempt)
{
    return (struct wish){.kind = attempt->service->kind};
}

void post_wish(struct attempt *attempt, const struct lab_cert *device, const struct wish *wish)
{
    attempt->body = posting_body(attempt->posting, device, wish);
}

void post_request(struct attempt *attempt, struct octets *request)
{
    attempt->body = secured_to(attempt->posting, attempt->posting->newest.cert, request);
    octets_clear(request);
}

struct octets signed_request(struct attempt *attempt, size_t *tbs_size)
{
    struct wish wish = of_kind(attempt);
    struct octets tbs = wish_tbs(attempt->posting, &wish);
    struct octets request = signed_by(attempt->posting, &attempt->device, &tbs);

    *tbs_size = tbs.size;
    octets_clear(&tbs);
    return request;
}

void accepted(struct attempt *attempt)
{
    long from = log_size(attempt->posting);
    struct response response =
        post(attempt->posting, attempt->service->path, OCTETS, &attempt->body);

    if (response.status != 200)
        fail_msg("%s: %d %s", attempt->service->name, response.status,
                 posting_program_log(attempt->posting, 0));
    /* Signed under the newest certificate, whichever the request was encrypted to. */
    assert_ack(attempt->posting, &response, &attempt->body, attempt->service->kind,
               attempt->service->download);
    /* That line is written when the answer has left, which may be after it has come. */
    assert_true(logged_since(attempt->posting, from, "event=served"));
}
