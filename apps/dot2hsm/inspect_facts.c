#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "apps/dot2hsm/inspect.h"
#include "apps/dot2hsm/support.h"

#include "asn1/types.h"

/* The public list of IEEE 1609.12 and of ISO/TC 204 (ITS-AID), as far as the CV Pilots use it. */
static const struct {
    uint64_t psid;
    const char *name;
} psids[] = {
    {0x20, "vehicle to vehicle safety and awareness (BSM)"},
    {0x21, "limited sensor vehicle to vehicle safety and awareness"},
    {0x22, "rail vehicle safety and awareness"},
    {0x23, "security management (SCMS)"},
    {0x26, "misbehavior reporting for common applications"},
    {0x27, "vulnerable road users safety"},
    {0x7f, "testing"},
    {0x80, "differential GPS corrections, uncompressed"},
    {0x81, "differential GPS corrections, compressed"},
    {0x82, "intersection safety and awareness"},
    {0x83, "traveler information and roadside signage"},
    {0x84, "mobile probe exchanges"},
    {0x85, "emergency and erratic vehicles present in roadway"},
    {0x87, "WAVE service advertisement"},
    {0x88, "peer-to-peer distribution of security management information"},
    {0x100, "certificate revocation list"},
    {0x4082, "vehicle initiated distress notification"},
};

const char *inspect_psid_name(uint64_t psid)
{
    for (size_t i = 0; i < sizeof(psids) / sizeof(psids[0]); i++) {
        if (psids[i].psid == psid)
            return psids[i].name;
    }
    return NULL;
}

static void add(struct inspect_facts *facts, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(struct inspect_facts *facts, const char *key, const char *format, ...)
{
    struct inspect_fact *fact;
    va_list args;

    if (facts->count == INSPECT_FACTS_MAX)
        return;
    fact = &facts->fact[facts->count++];
    fact->key = key;
    va_start(args, format);
    vsnprintf(fact->text, sizeof(fact->text), format, args);
    va_end(args);
}

static void add_hex(struct inspect_facts *facts, const char *key, const uint8_t *octets,
                    size_t size)
{
    char text[2 * 48 + 1] = "";

    for (size_t i = 0; i < size && i < 48; i++)
        snprintf(text + 2 * i, 3, "%02x", octets[i]);
    add(facts, key, "%s", text);
}

static void add_time32(struct inspect_facts *facts, const char *key, uint32_t time32)
{
    char text[21];

    dot2_time32_format(time32, text);
    add(facts, key, "%s", text);
}

static void time64_facts(struct inspect_facts *facts, uint64_t time64)
{
    uint64_t seconds = time64 / 1000000;
    char text[21];

    if (seconds > UINT32_MAX) {
        add(facts, "utc", "after 2140");
        return;
    }
    dot2_time32_format((uint32_t)seconds, text);
    /* "…:00Z" with the microseconds before the Z. */
    add(facts, "utc", "%.*s.%06" PRIu64 "Z", (int)(strlen(text) - 1), text, time64 % 1000000);
}

/* Whole seconds, rounded down; a year is 31556952 seconds, as the standard has it. */
static uint64_t duration_seconds(const Duration_t *duration)
{
    switch (duration->present) {
    case Duration_PR_microseconds:
        return (uint64_t)duration->choice.microseconds / 1000000;
    case Duration_PR_milliseconds:
        return (uint64_t)duration->choice.milliseconds / 1000;
    case Duration_PR_seconds:
        return (uint64_t)duration->choice.seconds;
    case Duration_PR_minutes:
        return (uint64_t)duration->choice.minutes * 60;
    case Duration_PR_hours:
        return (uint64_t)duration->choice.hours * 3600;
    case Duration_PR_sixtyHours:
        return (uint64_t)duration->choice.sixtyHours * 216000;
    case Duration_PR_years:
        return (uint64_t)duration->choice.years * 31556952;
    default:
        return 0;
    }
}

static void validity_facts(struct inspect_facts *facts, const ValidityPeriod_t *period)
{
    uint64_t end = (uint64_t)period->start + duration_seconds(&period->duration);

    add_time32(facts, "start", (uint32_t)period->start);
    if (end > UINT32_MAX)
        add(facts, "end", "after 2140");
    else
        add_time32(facts, "end", (uint32_t)end);
}

static void certificate_facts(const dot2_crypto *crypto, struct inspect_facts *facts,
                              const uint8_t *octets, size_t size)
{
    struct dot2_error error = {0};
    dot2_cert *cert = NULL;
    size_t canonical_size = 0;
    const uint8_t *canonical;
    enum dot2_status status;

    if (crypto == NULL)
        return;
    status = dot2_cert_new(crypto, octets, size, &cert, &error);
    facts->no_memory = command_cannot_tell(status);
    if (status != DOT2_OK && !facts->no_memory) {
        add(facts, "inconsistent", "%s%s%s", error.field, error.field[0] != '\0' ? ": " : "",
            error.detail[0] != '\0' ? error.detail : dot2_status_text(error.status));
    }
    if (status != DOT2_OK)
        return;
    add_hex(facts, "HashedId8", dot2_cert_hashedid8(cert), 8);
    canonical = dot2_cert_canonical(cert, &canonical_size);
    if (canonical_size != size || memcmp(canonical, octets, size) != 0)
        add(facts, "form", "not canonical; hashed in canonical form");
    dot2_cert_free(cert);
}

static void degree_facts(struct inspect_facts *facts, int64_t tenth_microdegrees, int64_t unknown)
{
    if (tenth_microdegrees == unknown)
        add(facts, "degrees", "unknown");
    else
        add(facts, "degrees", "%.7f", (double)tenth_microdegrees / 1e7);
}

static void country_facts(struct inspect_facts *facts, int64_t country)
{
    static const struct {
        int code;
        const char *name;
    } countries[] = {{124, "Canada"}, {484, "Mexico"}, {840, "United States of America"}};

    for (size_t i = 0; i < sizeof(countries) / sizeof(countries[0]); i++) {
        if (countries[i].code == country)
            add(facts, "country", "%s", countries[i].name);
    }
}

static void bits_facts(struct inspect_facts *facts, const struct coer_node *node)
{
    uint8_t bits = node->data_size == 1 ? node->data[0] : 0;

    add(facts, "names", "%s%s%s", bits & 0x80 ? "app" : "", (bits & 0xc0) == 0xc0 ? ", " : "",
        bits & 0x40 ? "enrol" : "");
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0)
            return true;
    }
    return false;
}

static void number_facts(struct inspect_facts *facts, const struct coer_node *node)
{
    const char *type = node->type_name;

    if (strcmp(type, "Time32") == 0) {
        add_time32(facts, "utc", (uint32_t)node->number);
    } else if (strcmp(type, "Time64") == 0) {
        time64_facts(facts, (uint64_t)node->number);
    } else if (strcmp(type, "Psid") == 0) {
        const char *name = inspect_psid_name((uint64_t)node->number);

        add(facts, "hex", "0x%" PRIx64, (uint64_t)node->number);
        if (name != NULL)
            add(facts, "service", "%s", name);
    } else if (strcmp(type, "Latitude") == 0) {
        degree_facts(facts, node->number, 900000001);
    } else if (strcmp(type, "Longitude") == 0) {
        degree_facts(facts, node->number, 1800000001);
    } else if (strcmp(type, "CountryOnly") == 0) {
        country_facts(facts, node->number);
    }
}

void inspect_facts_of(const dot2_crypto *crypto, const struct coer_node *node,
                      const uint8_t *octets, struct inspect_facts *facts)
{
    static const char *const certificates[] = {"Certificate", "CertificateBase",
                                               "ImplicitCertificate", "ExplicitCertificate", NULL};

    facts->count = 0;
    switch (node->kind) {
    case COER_INTEGER:
        number_facts(facts, node);
        break;
    case COER_SEQUENCE:
        if (strcmp(node->type_name, "ValidityPeriod") == 0)
            validity_facts(facts, node->value);
        else if (is_one_of(node->type_name, certificates))
            certificate_facts(crypto, facts, octets, node->size);
        break;
    case COER_BIT_STRING:
        if (strcmp(node->type_name, "EndEntityType") == 0)
            bits_facts(facts, node);
        break;
    case COER_OCTET_STRING:
        /* Three bits of level, three reserved, two of confidence. */
        if (strcmp(node->type_name, "SubjectAssurance") == 0 && node->data_size == 1)
            add(facts, "means", "level %u, confidence %u", node->data[0] >> 5, node->data[0] & 3u);
        break;
    default:
        break;
    }
}
