#include "apps/dot2hsm/verify_crl.h"
#include "protocol/dot2/crl.h"

#include <stdio.h>

#include <openssl/crypto.h>

#include "apps/app.h"
#include "apps/dot2hsm/commands.h"
#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/support.h"

#define LISTS_MAX 256

int verify_crl_add(dot2_trust *trust, const char *path, uint32_t time)
{
    struct dot2_error error = {0};
    struct dot2_crl_info info = {0};
    uint8_t *octets = NULL;
    size_t size = 0, lists = 0, ballots = 0;
    enum dot2_status status;
    int result = input_read(path, INPUT_AUTO, &octets, &size, NULL);

    if (result != APP_OK)
        return result;
    /* Every Ieee1609Dot2Data begins with its version, 3; a CompositeCrl with a preamble. */
    if (size > 0 && octets[0] == 3)
        status = dot2_trust_add_crl(trust, octets, size, time, &info, &error);
    else
        status = dot2_trust_add_composite_crl(trust, octets, size, DOT2_BALLOTS_121, time, &lists,
                                              &ballots, &error);
    if (status != DOT2_OK) {
        error.status = status;
        command_error(path, &error);
        result = APP_REFUSED;
    }
    if (ballots > 0)
        app_error("%s: %zu ballots on root CAs and electors are not evaluated", path, ballots);
    OPENSSL_free(octets);
    return result;
}

void verify_crl_print(const dot2_trust *trust, uint32_t time)
{
    struct dot2_crl_info infos[LISTS_MAX];
    size_t count = dot2_trust_crls(trust, infos, LISTS_MAX);
    char id[17], issued[21], next[21];

    for (size_t i = 0; i < count && i < LISTS_MAX; i++) {
        const struct dot2_crl_info *info = &infos[i];

        dot2_time32_format(info->issue_date, issued);
        dot2_time32_format(info->next_crl, next);
        printf("  CRL  series %u of %s  %s, issued %s, ", info->series,
               command_hex(info->craca_id, 8, id), info->delta ? "delta" : "full", issued);
        printf(info->next_crl < time ? "OVERDUE since %s, " : "next %s, ", next);
        if (info->evaluated)
            printf("%zu revoked\n", info->entries);
        else
            printf("linkage based: not evaluated\n");
    }
}

void verify_crl_json(const dot2_trust *trust, struct json *json, uint32_t time)
{
    struct dot2_crl_info infos[LISTS_MAX];
    size_t count = dot2_trust_crls(trust, infos, LISTS_MAX);
    char text[21];

    json_array(json, "crls");
    for (size_t i = 0; i < count && i < LISTS_MAX; i++) {
        const struct dot2_crl_info *info = &infos[i];

        json_object(json, NULL);
        json_uint(json, "crlSeries", info->series);
        json_hex(json, "cracaId", info->craca_id, 8);
        json_bool(json, "delta", info->delta);
        dot2_time32_format(info->issue_date, text);
        json_string(json, "issueDate", text);
        dot2_time32_format(info->next_crl, text);
        json_string(json, "nextCrl", text);
        json_bool(json, "overdue", info->next_crl < time);
        json_bool(json, "evaluated", info->evaluated);
        json_uint(json, "entries", info->entries);
        json_end_object(json);
    }
    json_end_array(json);
}
