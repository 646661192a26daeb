/*
 * dot2hsm lab crl: a CompositeCrl of a lab. The CRACA is the root, as all certificates of a lab
 * say. Each run makes a CRL generator of its own under the root, whose key nobody sees again.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/lab.h"
#include "apps/dot2hsm/support.h"

#include "asn1/types.h"

#define PSID_CRL 0x100
#define SERIES_COUNT 4 /* crlSeries 1 to 4 are those of a lab's certificates */
#define ENTRIES_MAX 256
#define OCTETS_MAX ((size_t)1 << 20)

static const char usage[] =
    "Usage: dot2hsm lab crl [OPTION]... DIR [CERT]...\n"
    "Makes DIR/ra/crl.oer, a CRL of the lab in DIR that revokes these certificates and no others:\n"
    "one full list of the HashedId10 kind for each of the series 1 to 4. dot2hsm-ra takes notice\n"
    "within two seconds (crl-files), a device with its next `dot2hsm ee sync` (crl-url).\n"
    "FOR TESTS AND DEMONSTRATIONS ONLY.\n"
    "\n"
    "      --issued TIME      issueDate, Time32 or 2026-11-23T00:00:00Z (default: now)\n"
    "      --next TIME        nextCrl (default: a day later)\n"
    "      --series N         one list alone, of series N, whatever the certificates say\n"
    "      --delta            delta lists instead of full ones\n"
    "      --linkage          linkage-based lists, which have no entries here\n"
    "  -o, --out FILE         instead of DIR/ra/crl.oer\n"
    "      --help             this text\n";

struct job {
    struct lab lab;
    const char *out;
    uint32_t issued, next;
    long series; /* 0: all of the lab's */
    bool delta, linkage;
    dot2_cert *revoked[ENTRIES_MAX];
    size_t count;
    EVP_PKEY *key; /* of the CRL generator */
    dot2_cert *generator;
};

/* CrlSsp: version 1, issuerIsCraca, the series 1 to 4. */
static const uint8_t generator_ssp[] = {0x00, 0x01, 0x01, 0x01, 0x04, 0x00, 0x01,
                                        0x00, 0x02, 0x00, 0x03, 0x00, 0x04};

static bool generator_body(struct job *job, ToBeSignedCertificate_t *body)
{
    static const char name[] = "crl.lab.test";
    const struct lab *lab = &job->lab;
    PsidSsp_t *psid = coer_arena_alloc(lab->arena, sizeof(*psid));
    uint32_t start = dot2_cert_start(lab->certs[LAB_ROOT]);

    memset(body, 0, sizeof(*body));
    body->appPermissions = coer_arena_alloc(lab->arena, sizeof(*body->appPermissions));
    if (psid == NULL || body->appPermissions == NULL)
        return false;
    psid->psid = PSID_CRL;
    psid->ssp = coer_arena_alloc(lab->arena, sizeof(*psid->ssp));
    if (psid->ssp == NULL)
        return false;
    psid->ssp->present = ServiceSpecificPermissions_PR_opaque;
    coer_octets_view(&psid->ssp->choice.opaque, generator_ssp, sizeof(generator_ssp));
    body->id.present = CertificateId_PR_name;
    coer_octets_view(&body->id.choice.name, name, strlen(name));
    body->crlSeries = 2;
    body->validityPeriod.start = start;
    body->validityPeriod.duration.present = Duration_PR_years;
    body->validityPeriod.duration.choice.years = 10;
    return coer_octets(lab->arena, &body->cracaId, dot2_cert_hashedid8(lab->certs[LAB_ROOT]) + 5,
                       3) &&
           lab_set_region(lab->arena, body) &&
           coer_list_add(lab->arena, body->appPermissions, psid);
}

static int make_generator(struct job *job)
{
    struct dot2_error error = {.status = DOT2_E_MEMORY};
    const struct lab *lab = &job->lab;
    ToBeSignedCertificate_t body;

    job->key = EVP_PKEY_Q_keygen(lab->libctx, NULL, "EC", "P-256");
    if (job->key == NULL || !generator_body(job, &body) ||
        dot2_cert_issue(lab->crypto, lab->arena, &body, job->key, lab->certs[LAB_ROOT],
                        lab->keys[LAB_ROOT].key, false, &job->generator, NULL, &error) != DOT2_OK) {
        command_error("the CRL generator", &error);
        return APP_REFUSED;
    }
    return APP_OK;
}

/* ---- one list ---- */

static bool fill_hashes(struct job *job, long series, ToBeSignedHashIdCrl_t *list)
{
    coer_arena *arena = job->lab.arena;

    list->crlSerial = 1;
    for (size_t i = 0; i < job->count; i++) {
        HashBasedRevocationInfo_t *entry = coer_arena_alloc(arena, sizeof(*entry));
        size_t size = 0;
        const uint8_t *hash = dot2_cert_hash(job->revoked[i], &size);

        if (job->series == 0 && dot2_cert_asn1(job->revoked[i])->toBeSigned.crlSeries != series)
            continue;
        if (entry == NULL || !coer_octets(arena, &entry->id, hash + size - 10, 10))
            return false;
        entry->expiry = dot2_cert_end(job->revoked[i]);
        if (!coer_list_add(arena, &list->entries, entry))
            return false;
    }
    return true;
}

static bool fill_contents(struct job *job, long series, CrlContents_t *contents)
{
    TypeSpecificCrlContents_t *specific = &contents->typeSpecific;

    memset(contents, 0, sizeof(*contents));
    contents->version = 1;
    contents->crlSeries = series;
    contents->issueDate = job->issued;
    contents->nextCrl = job->next;
    if (!coer_octets(job->lab.arena, &contents->cracaId,
                     dot2_cert_hashedid8(job->lab.certs[LAB_ROOT]), 8))
        return false;
    if (job->linkage) {
        specific->present = job->delta ? TypeSpecificCrlContents_PR_deltaLinkedCrl
                                       : TypeSpecificCrlContents_PR_fullLinkedCrl;
        specific->choice.fullLinkedCrl = (ToBeSignedLinkageValueCrl_t){.indexWithinI = 0};
        return true;
    }
    specific->present = job->delta ? TypeSpecificCrlContents_PR_deltaHashCrl
                                   : TypeSpecificCrlContents_PR_fullHashCrl;
    return fill_hashes(job, series,
                       job->delta ? &specific->choice.deltaHashCrl : &specific->choice.fullHashCrl);
}

/* Appends the SecuredCrl of a series. */
static int append(struct job *job, long series, uint8_t *octets, size_t *used)
{
    const struct dot2_header header = {.psid = PSID_CRL};
    struct dot2_error error = {.status = DOT2_E_MEMORY};
    CrlContents_t contents;
    uint8_t *payload = NULL, *message = NULL;
    size_t payload_size = 0, size = 0;
    int code = APP_REFUSED;

    if (!fill_contents(job, series, &contents) ||
        coer_encode_alloc(&asn_DEF_CrlContents, &contents, &payload, &payload_size, NULL) !=
            COER_OK ||
        dot2_signed_data_build(job->lab.crypto, job->key, job->generator, DOT2_SIGNER_CERTIFICATE,
                               &header, payload, payload_size, &message, &size,
                               &error) != DOT2_OK) {
        command_error("the CRL", &error);
    } else if (*used + size > OCTETS_MAX) {
        app_error("the CRL is too large");
    } else {
        memcpy(octets + *used, message, size);
        *used += size;
        code = APP_OK;
    }
    free(payload);
    OPENSSL_free(message);
    return code;
}

/* The lists are signed as they stand, so that the CompositeCrl is put together around them. */
static int make(struct job *job)
{
    static const uint8_t no_ballots[] = {0x01, 0x00, 0x01, 0x00};
    uint8_t *octets = OPENSSL_malloc(OCTETS_MAX + sizeof(no_ballots));
    size_t used = 0;
    int code = APP_REFUSED;

    if (octets == NULL)
        app_error("the CRL: out of memory");
    else
        code = make_generator(job);
    if (code != APP_OK)
        goto out;
    octets[used++] = 0x00; /* no extension */
    octets[used++] = 0x01;
    octets[used++] = job->series != 0 ? 1 : SERIES_COUNT;
    for (long i = 1; code == APP_OK && i <= (job->series != 0 ? 1 : SERIES_COUNT); i++)
        code = append(job, job->series != 0 ? job->series : i, octets, &used);
    if (code != APP_OK)
        goto out;
    memcpy(octets + used, no_ballots, sizeof(no_ballots));
    used += sizeof(no_ballots);
    code = job->out != NULL ? app_file_write(job->out, octets, used, 0644)
                            : lab_write(&job->lab, LAB_CRL_FILE, octets, used, 0644);
out:
    OPENSSL_free(octets);
    return code;
}

/* Everything of the job but the lab, which the caller has. */
static void clear(struct job *job)
{
    for (size_t i = 0; i < job->count; i++)
        dot2_cert_free(job->revoked[i]);
    dot2_cert_free(job->generator);
    EVP_PKEY_free(job->key);
}

int lab_crl_make(struct lab *lab)
{
    struct job job = {.lab = *lab};
    int code = APP_REFUSED;

    if (dot2_time32_now(&job.issued) == DOT2_OK) {
        job.next = job.issued + 86400;
        code = make(&job);
    } else {
        app_error("the clock is outside of what Time32 can say");
    }
    clear(&job);
    return code;
}

/* ---- the command ---- */

int lab_open(struct lab *lab, const char *dir, enum lab_cert which)
{
    char path[LAB_PATH], *absolute = realpath(dir, NULL);
    int code;

    if (absolute == NULL || strlen(absolute) >= sizeof(lab->dir)) {
        app_error("%s is not a lab; `dot2hsm lab init` makes one", dir);
        free(absolute);
        return APP_USAGE;
    }
    snprintf(lab->dir, sizeof(lab->dir), "%s", absolute);
    free(absolute);
    code = command_crypto(NULL, &lab->libctx, &lab->crypto);
    lab->arena = coer_arena_new();
    if (code == APP_OK && lab->arena == NULL) {
        app_error("out of memory");
        code = APP_REFUSED;
    }
    if (code == APP_OK)
        code = command_certificate(lab->crypto, lab_path(lab, lab_cert_file(which), path),
                                   &lab->certs[which]);
    if (code == APP_OK)
        code = app_key_open(lab->libctx, lab_path(lab, lab_cert_key_file(which), path),
                            &lab->keys[which].key);
    return code;
}

void lab_close(struct lab *lab)
{
    for (int i = 0; i < LAB_CERTS; i++) {
        dot2_cert_free(lab->certs[i]);
        lab_key_clear(&lab->keys[i]);
    }
    coer_arena_free(lab->arena);
    dot2_crypto_free(lab->crypto);
    OSSL_LIB_CTX_free(lab->libctx);
}

static int read_revoked(struct job *job, char **paths, int count)
{
    int code = APP_OK;

    if (count > ENTRIES_MAX) {
        app_error("more than %d certificates", ENTRIES_MAX);
        return APP_USAGE;
    }
    for (int i = 0; code == APP_OK && i < count; i++) {
        long series = 0;

        code = command_certificate(job->lab.crypto, paths[i], &job->revoked[i]);
        if (code != APP_OK)
            break;
        job->count++;
        series = dot2_cert_asn1(job->revoked[i])->toBeSigned.crlSeries;
        if (job->series == 0 && (series < 1 || series > SERIES_COUNT)) {
            app_error("%s: is of series %ld, which no list of a lab is", paths[i], series);
            code = APP_USAGE;
        }
    }
    return code;
}

static int take_time(const char *option, const char *text, uint32_t *time)
{
    if (dot2_time32_parse(text, time) == DOT2_OK)
        return APP_OK;
    app_error("--%s: \"%s\" is not a time", option, text);
    return command_usage();
}

static int take_option(struct job *job, int option, const char *value)
{
    char *end = NULL;

    switch (option) {
    case 'i':
        return take_time("issued", value, &job->issued);
    case 'n':
        return take_time("next", value, &job->next);
    case 's':
        job->series = strtol(value, &end, 10);
        if (*end == '\0' && job->series > 0 && job->series <= 65535)
            return APP_OK;
        app_error("--series: \"%s\" is not from 1 to 65535", value);
        return command_usage();
    case 'd':
        job->delta = true;
        return APP_OK;
    case 'l':
        job->linkage = true;
        return APP_OK;
    case 'o':
        job->out = value;
        return APP_OK;
    default:
        return command_usage();
    }
}

int lab_crl(int argc, char **argv)
{
    static const struct option options[] = {
        {"issued", required_argument, NULL, 'i'}, {"next", required_argument, NULL, 'n'},
        {"series", required_argument, NULL, 's'}, {"delta", no_argument, NULL, 'd'},
        {"linkage", no_argument, NULL, 'l'},      {"out", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    struct job job = {.count = 0};
    int c, code = APP_OK;

    if (dot2_time32_now(&job.issued) != DOT2_OK) {
        app_error("the clock is outside of what Time32 can say");
        return APP_REFUSED;
    }
    while ((c = getopt_long(argc, argv, "ho:", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return APP_OK;
        }
        code = take_option(&job, c, optarg);
        if (code != APP_OK)
            return code;
    }
    if (optind == argc) {
        app_error("which DIR?");
        return command_usage();
    }
    if (job.next == 0)
        job.next = job.issued + 86400;
    code = lab_open(&job.lab, argv[optind], LAB_ROOT);
    if (code == APP_OK)
        code = read_revoked(&job, argv + optind + 1, argc - optind - 1);
    if (code == APP_OK)
        code = make(&job);
    clear(&job);
    lab_close(&job.lab);
    return code;
}
