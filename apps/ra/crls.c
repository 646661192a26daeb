/*
 * crls.c: the CRLs that the RA evaluates, from files that may be replaced at any time.
 *
 * A list that is added to a trust counts for the next request, whatever was verified before: the
 * trust looks into its lists behind its cache. A file that cannot be used leaves in force what is.
 */
#include "apps/ra/ra_app.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#define CRL_MAX ((size_t)16 << 20)
#define LISTS_MAX 256

static bool split(struct ra_app_crls *crls, const char *list)
{
    char *save = NULL;

    crls->text = OPENSSL_strdup(list);
    if (crls->text == NULL) {
        app_error("crl-files: out of memory");
        return false;
    }
    for (char *item = strtok_r(crls->text, ", \t", &save); item != NULL;
         item = strtok_r(NULL, ", \t", &save)) {
        if (crls->count == RA_APP_CRLS) {
            app_error("crl-files: more than %d files", RA_APP_CRLS);
            return false;
        }
        crls->files[crls->count++].path = item;
    }
    return true;
}

/* In a SecuredCrl there is one list, in a CompositeCrl any number: all are good, or none counts. */
static enum dot2_status add(dot2_trust *trust, const uint8_t *octets, size_t size,
                            enum dot2_ballots ballots, size_t *count, struct dot2_error *error)
{
    size_t lists = 0;
    uint32_t now = 0;
    enum dot2_status status = dot2_time32_now(&now);

    *count = 0;
    if (status != DOT2_OK)
        return status;
    /* An Ieee1609Dot2Data begins with its version, 3; a CompositeCrl with a preamble. */
    if (size > 0 && octets[0] == 3)
        return dot2_trust_add_crl(trust, octets, size, now, NULL, error);
    return dot2_trust_add_composite_crl(trust, octets, size, ballots, now, &lists, count, error);
}

/*
 * What is wrong is said by app_error(); *again: it may be right another time, without a change of
 * the file.
 */
static bool read_file(const char *path, enum dot2_ballots ballots, dot2_trust *trust, bool *again)
{
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = 0, count = 0;
    enum dot2_status status;

    *again = true;
    if (app_file_read(path, CRL_MAX, &octets, &size) != APP_OK)
        return false;
    status = add(trust, octets, size, ballots, &count, &error);
    OPENSSL_free(octets);
    ERR_clear_error();
    if (status != DOT2_OK)
        app_error("crl-files: %s: %s, %s: %s", path, dot2_status_name(status), error.field,
                  error.detail[0] == '\0' ? dot2_status_text(status) : error.detail);
    if (count > 0)
        ra_app_say(LOG_WARNING,
                   "event=crl_ballots file=\"%s\" ballots=%zu detail=\"not evaluated\"", path,
                   count);
    *again = status == DOT2_E_MEMORY || status == DOT2_E_CRYPTO || status == DOT2_E_PROVIDER;
    return status == DOT2_OK;
}

void ra_app_crls_say(const struct ra_app_crls *crls, const dot2_trust *trust)
{
    struct dot2_crl_info infos[LISTS_MAX];
    size_t count = dot2_trust_crls(trust, infos, LISTS_MAX);
    uint32_t now = 0;

    if (crls->count == 0 || dot2_time32_now(&now) != DOT2_OK)
        return;
    for (size_t i = 0; i < count && i < LISTS_MAX; i++) {
        const struct dot2_crl_info *info = &infos[i];
        char issued[21], next[21], id[17];

        for (size_t k = 0; k < 8; k++)
            snprintf(id + 2 * k, 3, "%02x", info->craca_id[k]);
        dot2_time32_format(info->issue_date, issued);
        dot2_time32_format(info->next_crl, next);
        ra_app_say(info->next_crl < now || !info->evaluated ? LOG_WARNING : LOG_NOTICE,
                   "event=crl craca=%s series=%u kind=%s issued=%s next=%s entries=%zu%s%s", id,
                   info->series, info->delta ? "delta" : "full", issued, next, info->entries,
                   info->next_crl < now ? " overdue=yes" : "",
                   info->evaluated ? "" : " evaluated=no detail=\"linkage based\"");
    }
}

/* Of the same CRACA, series and kind, and of before. */
static bool is_older(const struct dot2_crl_info *info, const struct dot2_crl_info *than)
{
    return info->series == than->series && info->evaluated == than->evaluated &&
           info->delta == than->delta && memcmp(info->craca_id, than->craca_id, 8) == 0 &&
           info->issue_date < than->issue_date;
}

static bool rolled_back(const dot2_trust *trust, const dot2_trust *before)
{
    struct dot2_crl_info now[LISTS_MAX], then[LISTS_MAX];
    size_t count = dot2_trust_crls(trust, now, LISTS_MAX);
    size_t count_then = dot2_trust_crls(before, then, LISTS_MAX);

    for (size_t i = 0; i < count && i < LISTS_MAX; i++)
        for (size_t k = 0; k < count_then && k < LISTS_MAX; k++)
            if (is_older(&now[i], &then[k])) {
                app_error("crl-files: the list of series %u is older than the one in force",
                          now[i].series);
                return true;
            }
    return false;
}

/*
 * Nobody signs a CompositeCrl as a whole: one without a list that is in force looks as good as any.
 * What was revoked stays so until a newer list of its series says otherwise.
 */
static int keep(struct ra_app_crls *crls, dot2_trust *trust, const dot2_trust *before)
{
    if (dot2_trust_keep_crls(trust, before, &crls->kept) == DOT2_OK)
        return APP_OK;
    app_error("crl-files: out of memory");
    return APP_REFUSED;
}

int ra_app_crls_open(struct ra_app_crls *crls, const struct ra_app_config *config,
                     dot2_trust *trust, const dot2_trust *before)
{
    bool again;

    memset(crls, 0, sizeof *crls);
    crls->ballots = config->ballots;
    if (config->crl_files == NULL)
        return APP_OK;
    if (!split(crls, config->crl_files))
        return APP_USAGE;
    for (size_t i = 0; i < crls->count; i++) {
        /* Looked at before it is read: a file that is replaced in between is read again. */
        if (stat(crls->files[i].path, &crls->files[i].seen) != 0)
            memset(&crls->files[i].seen, 0, sizeof crls->files[i].seen);
        if (!read_file(crls->files[i].path, crls->ballots, trust, &again))
            return APP_USAGE;
    }
    if (before == NULL)
        return APP_OK;
    return rolled_back(trust, before) ? APP_USAGE : keep(crls, trust, before);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void ra_app_crls_look(struct ra_app_crls *crls, dot2_trust *trust)
{
    bool changed = false;

    for (size_t i = 0; i < crls->count; i++) {
        struct stat now;
        char text[500];
        bool same, good;

        if (stat(crls->files[i].path, &now) != 0)
            continue;
        same = is_same(&now, &crls->files[i].seen);
        if (same && !crls->files[i].again)
            continue;
        crls->files[i].seen = now;
        ra_app_hear(text, sizeof text);
        good = read_file(crls->files[i].path, crls->ballots, trust, &crls->files[i].again);
        ra_app_hear(NULL, 0);
        if (good)
            changed = true;
        else if (!same) /* once for all tries */
            ra_app_say_text(LOG_ERR, "event=crl_not_used", "detail", text);
    }
    if (changed)
        ra_app_crls_say(crls, trust);
}

void ra_app_crls_clear(struct ra_app_crls *crls)
{
    OPENSSL_free(crls->text);
    memset(crls, 0, sizeof *crls);
}
