#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <openssl/crypto.h>

#include "apps/app.h"
#include "apps/dot2hsm/ra_status.h"

#define ANSWER_MAX ((size_t)1 << 20)
#define SECONDS 3L

const struct ra_figure_name ra_figure_names[RA_FIGURES] = {
    {"dot2hsm_ra_connections ", false, "connections", " open", "connections"},
    {"dot2hsm_ra_requests_total{result=\"served\"", false, "served", " requests", "served"},
    {"dot2hsm_ra_requests_total{result=\"served\"", true, "not served", " requests", "notServed"},
    {"dot2hsm_ra_requests_total{result=\"blacklisted\"", false, "blacklisted", " refusals",
     "blacklisted"},
    {"dot2hsm_ra_accept_queue ", false, "waiting", " connections", "acceptQueue"},
    {"dot2hsm_ra_loops_busy ", false, "busy loops", "", "loopsBusy"},
    {"dot2hsm_ra_store_errors_total ", false, "store errors", "", "storeErrors"},
    {"dot2hsm_hsm_sessions ", false, "sessions", " with the HSM", "hsmSessions"},
    {"dot2hsm_hsm_stuck_operations ", false, "stuck", " operations in the HSM", "hsmStuck"},
    {"dot2hsm_hsm_recoveries_total ", false, "recoveries", " of the HSM", "hsmRecoveries"},
    {"dot2hsm_hsm_failed_recoveries_total ", false, "failed", " recoveries of the HSM",
     "hsmFailedRecoveries"},
    {"process_open_fds ", false, "descriptors", "", "descriptors"},
};

struct answer {
    char *text;
    size_t size;
};

static size_t take(char *octets, size_t one, size_t count, void *arg)
{
    struct answer *answer = arg;
    size_t size = one * count;
    char *grown = answer->size + size > ANSWER_MAX
                      ? NULL
                      : OPENSSL_realloc(answer->text, answer->size + size + 1);

    if (grown == NULL)
        return 0;
    answer->text = grown;
    memcpy(grown + answer->size, octets, size);
    answer->size += size;
    grown[answer->size] = '\0';
    return size;
}

static bool fetch(const char *address, const char *port, struct answer *answer)
{
    CURL *curl = curl_easy_init();
    char url[200];
    CURLcode code = CURLE_FAILED_INIT;
    long status = 0;

    snprintf(url, sizeof(url),
             strchr(address, ':') == NULL ? "http://%s:%s/metrics" : "http://[%s]:%s/metrics",
             address, port);
    if (curl != NULL && curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, SECONDS) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer) == CURLE_OK)
        code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        app_error("%s: %s", url, curl_easy_strerror(code));
    else if (status != 200 || answer->text == NULL)
        app_error("%s: status %ld", url, status);
    curl_easy_cleanup(curl);
    return code == CURLE_OK && status == 200 && answer->text != NULL;
}

/*
 * Whether a sample is of the figure. "family{label=" names one label: where it stands among the
 * others does not matter.
 */
static bool is_of(const struct ra_figure_name *name, const char *line)
{
    size_t family = strcspn(name->sample, "{ ");
    bool has;

    if (strncmp(line, name->sample, family) != 0 || line[family] != name->sample[family])
        return false;
    if (name->sample[family] == ' ')
        return true;
    has = strstr(line, name->sample + family + 1) != NULL;
    return has != name->others;
}

static void add_up(char *text, int64_t now, struct ra_figures *figures)
{
    static const char start[] = "process_start_time_seconds ";
    char *save = NULL;

    memset(figures, 0, sizeof(*figures));
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        const char *number = strrchr(line, ' ');
        double value = line[0] == '#' || number == NULL ? NAN : strtod(number, NULL);

        if (!isfinite(value) || value > 9e15 || value < 0)
            continue;
        if (strncmp(line, start, strlen(start)) == 0)
            figures->up = now - (int64_t)value;
        for (size_t i = 0; i < RA_FIGURES; i++)
            if (is_of(&ra_figure_names[i], line))
                figures->values[i] += value;
    }
}

bool ra_figures_get(const char *address, const char *port, const char *port_file, int64_t now,
                    struct ra_figures *figures)
{
    struct answer answer = {NULL, 0};
    uint8_t *octets = NULL;
    size_t size = 0;
    char number[8];
    bool got = false;

    if (port_file != NULL) {
        if (app_file_read(port_file, sizeof(number) - 1, &octets, &size) != APP_OK)
            return false;
        snprintf(number, sizeof(number), "%.*s", (int)size, (const char *)octets);
        number[strcspn(number, "\n")] = '\0';
        OPENSSL_free(octets);
        port = number;
    }
    got = fetch(address == NULL ? "127.0.0.1" : address, port, &answer);
    if (got)
        add_up(answer.text, now, figures);
    OPENSSL_free(answer.text);
    return got;
}
