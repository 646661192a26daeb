/*
 * lab_pca.c: the pseudonym CA of `dot2hsm lab run`, and what an RA does with its answers: each
 * accepted request of the RA's store is answered with files in its download directory.
 *
 * The order makes it safe to be killed at any point: the file, then whose it is, then that the
 * request is ready. What is there is never made again: the next run finds the file and goes on.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "apps/dot2hsm/lab_run.h"
#include "apps/dot2hsm/ra_options.h"
#include "apps/dot2hsm/support.h"
#include "protocol/dot2/butterfly.h"

/* Certificates of a pseudonym batch, j = 0 to 19 (MinCertsPerIPeriod of the policy). */
#define BATCH 20
/* i = 0 begins on Tuesday, 2015-01-06, at 4:00 am Eastern; the unit is a week. */
#define I_EPOCH_UNIX 1420534800

enum outcome {
    OUTCOME_DONE = 0,
    OUTCOME_REFUSED, /* the request's fault; detail says why */
    OUTCOME_BROKEN   /* files or store; it was said, and the request stays pending */
};

struct round {
    struct lab_run *run;
    uint32_t now;
    unsigned *answered;
    int result; /* enum app_exit */
};

/* A request that was decoded and checked. */
struct job {
    const struct ra_request *request;
    struct scms_signed_request message;
    struct dot2_chain chain;
    char hash[17]; /* requestHash, upper case */
    char detail[128];
};

static enum outcome refuse(struct job *job, const struct dot2_error *error)
{
    const char *detail = error->detail[0] != '\0' ? error->detail : dot2_status_text(error->status);

    ERR_clear_error();
    if (lab_run_broken(error->status)) {
        command_error("pseudonym CA", error);
        return OUTCOME_BROKEN;
    }
    snprintf(job->detail, sizeof(job->detail), "%s: %.90s", dot2_status_name(error->status),
             detail);
    return OUTCOME_REFUSED;
}

static enum outcome store_broken(struct lab_run *run, enum ra_store_status status)
{
    ra_options_store_error(run->store, status, "the RA's store");
    return OUTCOME_BROKEN;
}

/* ---- files ---- */

static enum outcome assign(struct round *round, struct job *job, const char *name)
{
    const struct ra_request *request = job->request;
    enum ra_store_status status =
        ra_file_assign(round->run->store, name, request->requester, request->requester_size);

    if (status == RA_STORE_OK)
        return OUTCOME_DONE;
    if (status != RA_STORE_EXISTS)
        return store_broken(round->run, status);
    snprintf(job->detail, sizeof(job->detail), "%s is the file of another device", name);
    return OUTCOME_REFUSED;
}

static bool is_there(const struct round *round, const char *name,
                     const struct lab_zip_entry *entries, size_t count)
{
    char path[LAB_PATH + 64];

    snprintf(path, sizeof(path), "%s/%s", round->run->download_dir, name);
    return lab_zip_has(path, entries, count);
}

static enum outcome put_zip(struct round *round, struct job *job, const char *name,
                            const struct lab_zip_entry *entries, size_t count)
{
    uint8_t *octets = NULL;
    size_t size = 0;
    enum outcome outcome = OUTCOME_BROKEN;

    if (lab_zip_make(entries, count, &octets, &size) == APP_OK &&
        lab_put(round->run->download_dir, name, octets, size, 0644) == APP_OK)
        outcome = assign(round, job, name);
    free(octets);
    return outcome;
}

/* A single Time32: when the batch after those that are there can be expected. */
static enum outcome put_info(struct round *round, struct job *job, uint32_t time32)
{
    const uint8_t wanted[4] = {(uint8_t)(time32 >> 24), (uint8_t)(time32 >> 16),
                               (uint8_t)(time32 >> 8), (uint8_t)time32};
    char name[32], path[LAB_PATH + 64];
    struct stat status;
    uint8_t *octets = NULL;
    size_t size = 0;
    bool same;

    snprintf(name, sizeof(name), "%s.info", job->hash);
    snprintf(path, sizeof(path), "%s/%s", round->run->download_dir, name);
    same = stat(path, &status) == 0 &&
           app_file_read(path, sizeof(wanted), &octets, &size) == APP_OK &&
           size == sizeof(wanted) && memcmp(octets, wanted, size) == 0;
    OPENSSL_free(octets);
    if (!same && lab_put(round->run->download_dir, name, wanted, sizeof(wanted), 0644) != APP_OK)
        return OUTCOME_BROKEN;
    return assign(round, job, name);
}

static void say_certificate(const struct job *job, const char *file, const char *what,
                            const uint8_t hashedid8[8])
{
    char id[17];

    printf("PCA  %s  %s: HashedId8 %s  %s\n", job->hash, what, command_hex(hashedid8, 8, id), file);
}

/* ---- application certificates ---- */

static enum outcome application(struct round *round, struct job *job)
{
    struct lab_run *run = round->run;
    struct lab_subject subject = {.kind = SCMS_PROVISION_APP, .enrollment = job->message.cert};
    struct scms_app_request request = {0};
    struct lab_zip_entry entry = {.size = 0};
    struct dot2_error error = {0};
    uint8_t hashedid8[8];
    char name[32];
    enum outcome outcome = OUTCOME_DONE;

    snprintf(entry.name, sizeof(entry.name), "%s", job->hash);
    snprintf(name, sizeof(name), "%s.zip", job->hash);
    if (is_there(round, name, &entry, 1))
        return assign(round, job, name);
    if (scms_app_request_parse(run->lab.crypto, job->message.pdu, &request, &error) != DOT2_OK)
        return refuse(job, &error);
    subject.start = request.requested_start_time;
    subject.encryption_key = request.cert_encryption_key;
    if (lab_pca_issue(run, &subject, request.verify_key, request.response_encryption_key,
                      round->now, &entry.octets, &entry.size, hashedid8, &error) != DOT2_OK)
        outcome = refuse(job, &error);
    else
        outcome = put_zip(round, job, name, &entry, 1);
    if (outcome == OUTCOME_DONE)
        say_certificate(job, name, "application certificate", hashedid8);
    OPENSSL_free(entry.octets);
    scms_app_request_clear(&request);
    return outcome;
}

/* ---- batches ---- */

/* Where the batches of a request lie in time. */
struct schedule {
    enum scms_provision kind;
    uint32_t epoch, period; /* i begins at epoch + i * period */
    uint32_t first;         /* i of the first batch */
};

static bool make_schedule(const struct scms_butterfly_request *request, struct schedule *schedule)
{
    uint32_t start = request->requested_start_time;

    schedule->kind = request->kind;
    schedule->period = lab_period(request->kind);
    schedule->epoch = start; /* an identification certificate's iterator begins with the request */
    schedule->first = 0;
    if (request->kind == SCMS_PROVISION_ID)
        return true;
    if (dot2_time32_from_unix(I_EPOCH_UNIX, &schedule->epoch) != DOT2_OK || start < schedule->epoch)
        return false;
    schedule->first = (start - schedule->epoch) / schedule->period;
    return true;
}

static enum dot2_status expanded(struct round *round, const struct scms_butterfly_request *request,
                                 struct lab_subject *subject, uint32_t j, uint8_t **octets,
                                 size_t *size, uint8_t hashedid8[8], struct dot2_error *error)
{
    const dot2_crypto *crypto = round->run->lab.crypto;
    EVP_PKEY *key = NULL, *response_key = NULL, *encryption_key = NULL;
    enum dot2_status status =
        dot2_butterfly_public(crypto, request->verify.seed_key, request->verify.expansion,
                              DOT2_BUTTERFLY_SIGN, subject->i, j, &key, error);

    if (status == DOT2_OK)
        status = dot2_butterfly_public(crypto, request->response_encryption.seed_key,
                                       request->response_encryption.expansion,
                                       DOT2_BUTTERFLY_ENCRYPT, subject->i, j, &response_key, error);
    if (status == DOT2_OK && request->cert_encryption.seed_key != NULL)
        status = dot2_butterfly_public(crypto, request->cert_encryption.seed_key,
                                       request->cert_encryption.expansion, DOT2_BUTTERFLY_ENCRYPT,
                                       subject->i, j, &encryption_key, error);
    subject->encryption_key = encryption_key;
    if (status == DOT2_OK)
        status = lab_pca_issue(round->run, subject, key, response_key, round->now, octets, size,
                               hashedid8, error);
    subject->encryption_key = NULL;
    EVP_PKEY_free(key);
    EVP_PKEY_free(response_key);
    EVP_PKEY_free(encryption_key);
    return status;
}

/* The zip of the period i, unless it is there. */
static enum outcome batch(struct round *round, struct job *job,
                          const struct scms_butterfly_request *request,
                          const struct schedule *schedule, uint32_t i)
{
    struct lab_subject subject = {.kind = schedule->kind,
                                  .enrollment = job->message.cert,
                                  .start = schedule->epoch + i * schedule->period,
                                  .i = i};
    struct lab_zip_entry entries[BATCH];
    size_t count = schedule->kind == SCMS_PROVISION_ID ? 1 : BATCH;
    struct dot2_error error = {0};
    uint8_t hashedid8[8] = {0};
    char name[48];
    enum outcome outcome = OUTCOME_DONE;

    memset(entries, 0, sizeof(entries));
    snprintf(name, sizeof(name), "%s_%X.zip", job->hash, i);
    for (size_t j = 0; j < count; j++) {
        if (schedule->kind == SCMS_PROVISION_ID)
            snprintf(entries[j].name, sizeof(entries[j].name), "%s_%X", job->hash, i);
        else
            snprintf(entries[j].name, sizeof(entries[j].name), "%X_%X", i, (unsigned)j);
    }
    if (is_there(round, name, entries, count))
        return assign(round, job, name);
    for (size_t j = 0; outcome == OUTCOME_DONE && j < count; j++) {
        if (expanded(round, request, &subject, (uint32_t)j, &entries[j].octets, &entries[j].size,
                     hashedid8, &error) != DOT2_OK)
            outcome = refuse(job, &error);
    }
    if (outcome == OUTCOME_DONE)
        outcome = put_zip(round, job, name, entries, count);
    if (outcome == OUTCOME_DONE && count == 1)
        say_certificate(job, name, "identification certificate", hashedid8);
    else if (outcome == OUTCOME_DONE)
        printf("PCA  %s  %zu pseudonym certificates  %s\n", job->hash, count, name);
    for (size_t j = 0; j < count; j++)
        OPENSSL_free(entries[j].octets);
    return outcome;
}

/*
 * The first batch, and all that are valid now or in the next period. Batches whose time is over are
 * left out.
 */
static enum outcome batches(struct round *round, struct job *job)
{
    struct scms_butterfly_request request = {0};
    struct schedule schedule;
    struct dot2_error error = {0};
    enum outcome outcome = OUTCOME_DONE;
    uint32_t i;

    if (scms_butterfly_request_parse(round->run->lab.crypto, job->message.pdu, &request, &error) !=
        DOT2_OK)
        return refuse(job, &error);
    if (!make_schedule(&request, &schedule)) {
        snprintf(job->detail, sizeof(job->detail),
                 "requested-start-time is before the first period (2015-01-06)");
        outcome = OUTCOME_REFUSED;
        goto out;
    }
    i = schedule.first;
    if (round->now > schedule.epoch && (round->now - schedule.epoch) / schedule.period > i)
        i = (round->now - schedule.epoch) / schedule.period;
    /* 64 bits: the last seconds of Time32 must not come round to its first. */
    for (uint32_t next = i; outcome == OUTCOME_DONE; next++) {
        uint64_t start = schedule.epoch + (uint64_t)next * schedule.period;

        if (next != i && start > (uint64_t)round->now + schedule.period) {
            outcome = put_info(round, job, (uint32_t)(start - schedule.period));
            break;
        }
        outcome = batch(round, job, &request, &schedule, next);
    }
out:
    scms_butterfly_request_clear(&request);
    return outcome;
}

/* ---- requests ---- */

/* The RA has checked all of this; a CA does not take its word for it. */
static enum outcome open_request(struct round *round, struct job *job)
{
    const struct ra_request *request = job->request;
    struct lab_run *run = round->run;
    struct dot2_check check = {.purpose = DOT2_PURPOSE_ENROLLMENT, .time = round->now};
    struct dot2_error error = {0};
    uint8_t hashes[2][48];
    size_t size = 0, count = 0;
    enum ra_store_status status;
    bool known = false;

    if (scms_signed_request_parse(run->lab.crypto, request->signed_request,
                                  request->signed_request_size, false, &job->message,
                                  &error) != DOT2_OK ||
        dot2_chain_verify(run->trust, job->message.cert, &check, &job->chain, &error) != DOT2_OK ||
        scms_signed_request_verify_by(run->lab.crypto, &job->message, &job->chain, &error) !=
            DOT2_OK ||
        (error.status = dot2_cert_blacklist_hashes(job->message.cert, hashes, &size, &count)) !=
            DOT2_OK)
        return refuse(job, &error);
    /* The RA names a requester by one of the hashes, s or n - s, whichever was presented. */
    for (size_t i = 0; i < count && size == request->requester_size; i++)
        known = known || memcmp(hashes[i], request->requester, size) == 0;
    if (!known) {
        snprintf(job->detail, sizeof(job->detail), "it is not signed by its requester");
        return OUTCOME_REFUSED;
    }
    status = ra_blacklist_check(run->store, (const uint8_t(*)[48])hashes, size, count);
    if (status == RA_STORE_NOT_FOUND)
        return OUTCOME_DONE;
    if (status != RA_STORE_OK)
        return store_broken(run, status);
    snprintf(job->detail, sizeof(job->detail), "the enrollment certificate is blacklisted");
    return OUTCOME_REFUSED;
}

static enum outcome finish(struct round *round, struct job *job, enum ra_request_state state)
{
    enum ra_store_status status =
        ra_request_finish(round->run->store, job->request->hash, state, job->detail);

    return status == RA_STORE_OK ? OUTCOME_DONE : store_broken(round->run, status);
}

static bool one_request(void *arg, const struct ra_request *request)
{
    struct round *round = arg;
    struct job job = {.request = request};
    enum outcome outcome;

    /* A certificate is made once; batches go on. */
    if (request->state == RA_REQUEST_READY && request->kind == SCMS_PROVISION_APP)
        return true;
    for (size_t i = 0; i < 8; i++)
        snprintf(job.hash + 2 * i, 3, "%02X", request->hash[24 + i]);
    outcome = open_request(round, &job);
    if (outcome == OUTCOME_DONE)
        outcome =
            request->kind == SCMS_PROVISION_APP ? application(round, &job) : batches(round, &job);
    if (outcome == OUTCOME_DONE && request->state == RA_REQUEST_PENDING) {
        outcome = finish(round, &job, RA_REQUEST_READY);
        (*round->answered)++;
    } else if (outcome == OUTCOME_REFUSED) {
        printf("PCA  %s  refused: ", job.hash);
        app_print_safe(stdout, job.detail);
        putchar('\n');
        outcome = finish(round, &job, RA_REQUEST_FAILED);
        (*round->answered)++;
    }
    dot2_chain_clear(&job.chain);
    scms_signed_request_clear(&job.message);
    if (outcome == OUTCOME_BROKEN)
        round->result = APP_UNREACHABLE;
    return round->result == APP_OK;
}

int lab_pca_round(struct lab_run *run, unsigned *answered)
{
    static const enum ra_request_state states[] = {RA_REQUEST_PENDING, RA_REQUEST_READY};
    struct round round = {.run = run, .answered = answered, .result = APP_OK};
    enum ra_store_status status = RA_STORE_OK;

    if (dot2_time32_now(&round.now) != DOT2_OK) {
        app_error("the clock is outside of what Time32 can say");
        return APP_REFUSED;
    }
    for (size_t i = 0; round.result == APP_OK && i < sizeof(states) / sizeof(states[0]); i++) {
        status = ra_request_each(run->store, states[i], one_request, &round);
        if (status != RA_STORE_OK) {
            store_broken(run, status);
            return APP_UNREACHABLE;
        }
    }
    return round.result;
}
