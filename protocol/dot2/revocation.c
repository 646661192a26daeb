/*
 * revocation.c: what the lists of a trust revoke, by CRACA and series.
 *
 * It is asked after each verification, whether that came from the cache or not, so that a list
 * counts from the moment on that it is there.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "protocol/dot2/crl.h"
#include "protocol/dot2/internal.h"

struct revoked {
    uint8_t id[10];  /* HashedId10 */
    uint32_t issued; /* issueDate of the list that said it first */
};

struct series {
    struct series *next;
    struct dot2_crl_info info[2]; /* of the newest full list, and of the newest delta */
    bool present[2];
    bool evaluated;          /* hash based; the linkage based lists of a series stand apart */
    struct revoked *entries; /* sorted by id */
    size_t count;
};

struct dot2_revocations {
    pthread_rwlock_t lock;
    struct series *series;
};

dot2_revocations *dot2_revocations_new(void)
{
    dot2_revocations *new = OPENSSL_zalloc(sizeof(*new));

    if (new == NULL || pthread_rwlock_init(&new->lock, NULL) != 0) {
        OPENSSL_free(new);
        return NULL;
    }
    return new;
}

void dot2_revocations_free(dot2_revocations *revocations)
{
    if (revocations == NULL)
        return;
    while (revocations->series != NULL) {
        struct series *series = revocations->series;

        revocations->series = series->next;
        OPENSSL_free(series->entries);
        OPENSSL_free(series);
    }
    pthread_rwlock_destroy(&revocations->lock);
    OPENSSL_free(revocations);
}

static int compare(const void *a, const void *b)
{
    return memcmp(((const struct revoked *)a)->id, ((const struct revoked *)b)->id, 10);
}

static const struct dot2_crl_info *any_info(const struct series *series)
{
    return &series->info[series->present[0] ? 0 : 1];
}

static struct series *series_of(dot2_revocations *revocations, const struct dot2_crl_info *info)
{
    struct series *series = revocations->series;

    for (; series != NULL; series = series->next) {
        const struct dot2_crl_info *known = any_info(series);

        if (series->evaluated == info->evaluated && known->series == info->series &&
            memcmp(known->craca_id, info->craca_id, 8) == 0)
            return series;
    }
    series = OPENSSL_zalloc(sizeof(*series));
    if (series == NULL)
        return NULL;
    series->evaluated = info->evaluated;
    series->next = revocations->series;
    revocations->series = series;
    return series;
}

/* Sorted, each id once; returns how many. Of the same id, the one that was said last outlives. */
static size_t order_entries(struct revoked *entries, size_t count)
{
    size_t kept = 0;

    if (count > 0)
        qsort(entries, count, sizeof(*entries), compare);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare(&entries[kept - 1], &entries[i]) != 0)
            entries[kept++] = entries[i];
        else if (entries[i].issued > entries[kept - 1].issued)
            entries[kept - 1].issued = entries[i].issued;
    }
    return kept;
}

/*
 * A full list replaces all that was said up to its issueDate; a delta adds to what is there,
 * because it has what was revoked since the list before it (clause 7.3.1).
 */
static bool replace_entries(struct series *series, const struct dot2_crl_info *info,
                            const uint8_t *const *ids)
{
    struct revoked *entries =
        OPENSSL_malloc((series->count + info->entries + 1) * sizeof(*entries));
    size_t count = 0;

    if (entries == NULL)
        return false;
    for (size_t i = 0; i < series->count; i++)
        if (info->delta || series->entries[i].issued > info->issue_date)
            entries[count++] = series->entries[i];
    for (size_t i = 0; i < info->entries; i++) {
        memcpy(entries[count].id, ids[i], 10);
        entries[count++].issued = info->issue_date;
    }
    OPENSSL_free(series->entries);
    series->entries = entries;
    series->count = order_entries(entries, count);
    return true;
}

/* A new series without a list is found by nobody, and its place is used again. */
static void forget_empty(dot2_revocations *revocations)
{
    struct series *series = revocations->series;

    if (series->present[0] || series->present[1])
        return;
    revocations->series = series->next;
    OPENSSL_free(series);
}

enum dot2_status dot2_revocations_put(dot2_revocations *revocations, struct dot2_crl_info *info,
                                      const uint8_t *const *ids)
{
    enum dot2_status status = DOT2_E_MEMORY;
    struct series *series = NULL;

    pthread_rwlock_wrlock(&revocations->lock);
    series = series_of(revocations, info);
    if (series == NULL)
        goto out;
    status = DOT2_OK;
    /* Older than what counts, or the same again. A delta that a full list overtook says nothing. */
    info->current =
        (!series->present[0] || series->info[0].issue_date < info->issue_date) &&
        (!info->delta || !series->present[1] || series->info[1].issue_date < info->issue_date);
    if (!info->current)
        goto out;
    if (!replace_entries(series, info, ids)) {
        forget_empty(revocations);
        status = DOT2_E_MEMORY;
        goto out;
    }
    series->info[info->delta] = *info;
    series->present[info->delta] = true;
    if (!info->delta && series->present[1] && series->info[1].issue_date <= info->issue_date)
        series->present[1] = false;
out:
    pthread_rwlock_unlock(&revocations->lock);
    return status;
}

/* The one whose full list was issued last; NULL: neither has one. */
static const struct series *newest_full(const struct series *one, const struct series *other)
{
    if (!one->present[0] || !other->present[0])
        return one->present[0] ? one : other->present[0] ? other : NULL;
    return one->info[0].issue_date >= other->info[0].issue_date ? one : other;
}

/* Entries of a series that a full list has not overtaken. */
static size_t take_entries(struct revoked *entries, const struct series *from,
                           const struct series *full)
{
    size_t count = 0;

    for (size_t i = 0; i < from->count; i++)
        if (full == NULL || from == full || from->entries[i].issued > full->info[0].issue_date)
            entries[count++] = from->entries[i];
    return count;
}

/* As if the lists of `from` had been put into `series`, too. *kept counts those that came so. */
static bool keep_series(struct series *series, const struct series *from, size_t *kept)
{
    const struct series *full = newest_full(series, from), *delta = series;
    struct revoked *entries = OPENSSL_malloc((series->count + from->count + 1) * sizeof(*entries));
    size_t count;

    if (entries == NULL)
        return false;
    count = take_entries(entries, series, full);
    count += take_entries(entries + count, from, full);
    OPENSSL_free(series->entries);
    series->entries = entries;
    series->count = order_entries(entries, count);
    if (from->present[1] &&
        (!series->present[1] || series->info[1].issue_date < from->info[1].issue_date))
        delta = from;
    if (delta == from) {
        series->info[1] = from->info[1];
        series->present[1] = true;
    }
    if (full == from) {
        series->info[0] = from->info[0];
        series->present[0] = true;
        ++*kept;
    }
    if (series->present[0] && series->present[1] &&
        series->info[1].issue_date <= series->info[0].issue_date)
        series->present[1] = false;
    *kept += delta == from && series->present[1];
    return true;
}

enum dot2_status dot2_revocations_keep(dot2_revocations *revocations, dot2_revocations *from,
                                       size_t *kept)
{
    enum dot2_status status = DOT2_OK;

    *kept = 0;
    pthread_rwlock_rdlock(&from->lock);
    pthread_rwlock_wrlock(&revocations->lock);
    for (const struct series *s = from->series; s != NULL && status == DOT2_OK; s = s->next) {
        struct series *series = series_of(revocations, any_info(s));

        if (series == NULL) {
            status = DOT2_E_MEMORY;
        } else if (!keep_series(series, s, kept)) {
            forget_empty(revocations);
            status = DOT2_E_MEMORY;
        }
    }
    pthread_rwlock_unlock(&revocations->lock);
    pthread_rwlock_unlock(&from->lock);
    return status;
}

static bool has(const struct series *series, const uint8_t id[10])
{
    struct revoked key = {.issued = 0};

    memcpy(key.id, id, 10);
    return series->count > 0 &&
           bsearch(&key, series->entries, series->count, sizeof(key), compare) != NULL;
}

/* 6.4.3: the list of the series and the CRACA that the certificate itself names. */
static bool may_be_on(const struct series *series, const dot2_cert *cert)
{
    const ToBeSignedCertificate_t *tbs = &cert->base->toBeSigned;
    const struct dot2_crl_info *info = &series->info[series->present[0] ? 0 : 1];

    return series->evaluated && tbs->crlSeries == info->series && tbs->cracaId.size == 3 &&
           memcmp(tbs->cracaId.buf, info->craca_id + 5, 3) == 0;
}

enum dot2_status dot2_revocations_check(dot2_revocations *revocations, const dot2_cert *cert,
                                        struct dot2_error *error)
{
    uint8_t hashes[2][48];
    size_t size = 0, count = 0;
    enum dot2_status status = DOT2_OK;

    pthread_rwlock_rdlock(&revocations->lock);
    for (const struct series *s = revocations->series; s != NULL && status == DOT2_OK;
         s = s->next) {
        if (!may_be_on(s, cert))
            continue;
        /* (r, n - s) verifies too, and makes another hash. */
        if (count == 0)
            status = dot2_cert_blacklist_hashes(cert, hashes, &size, &count);
        for (size_t i = 0; i < count && status == DOT2_OK; i++) {
            if (has(s, hashes[i] + size - 10))
                status = dot2_fail(error, DOT2_E_REVOKED, "Certificate",
                                   "\"%.60s\" is on the CRL of series %u", cert->name,
                                   s->info[s->present[0] ? 0 : 1].series);
        }
    }
    pthread_rwlock_unlock(&revocations->lock);
    return status;
}

size_t dot2_revocations_list(dot2_revocations *revocations, struct dot2_crl_info *infos,
                             size_t capacity)
{
    size_t count = 0;

    pthread_rwlock_rdlock(&revocations->lock);
    for (const struct series *s = revocations->series; s != NULL; s = s->next) {
        for (size_t i = 0; i < 2; i++) {
            if (!s->present[i])
                continue;
            if (count < capacity)
                infos[count] = s->info[i];
            count++;
        }
    }
    pthread_rwlock_unlock(&revocations->lock);
    return count;
}
