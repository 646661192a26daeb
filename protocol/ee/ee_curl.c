/* ee_curl.c: what every contact with an RA has in common, whatever is sent. */
#include "protocol/ee/ee_internal.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Seconds; the RA's tolerance is 5 by default, and a Date has whole seconds. */
#define CLOCK_APART 5

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready = CURLE_FAILED_INIT;

static void start_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum ee_status ee_curl_start(struct ee_error *error)
{
    pthread_once(&curl_once, start_curl);
    if (curl_ready != CURLE_OK)
        return ee_fail(error, EE_E_MEMORY, "libcurl does not start: %s",
                       curl_easy_strerror(curl_ready));
    return EE_OK;
}

CURLcode ee_curl_configure(CURL *curl, const struct ee_config *config, const struct ee_url *url,
                           const char *path, const struct ee_roots *roots,
                           struct curl_slist *resolve)
{
    CURLcode code = CURLE_OK;
    char text[512];

    snprintf(text, sizeof(text), "https://%s:%u%s", url->host, url->port, path);
#define SET(option, value)                                                                         \
    if (code == CURLE_OK)                                                                          \
    code = curl_easy_setopt(curl, option, value)
    SET(CURLOPT_URL, text);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    /* Nothing of the user's or the environment's: no proxy, no .netrc, no signal handlers. */
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_USERAGENT, "dot2hsm");
    SET(CURLOPT_CONNECTTIMEOUT,
        (long)(config->connect_timeout != 0 ? config->connect_timeout : 10));
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)(config->stall_timeout != 0 ? config->stall_timeout : 30));
    /* Requirement S7: an RA is moved by repointing its name, while devices run on. */
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    SET(CURLOPT_RESOLVE, resolve);
#undef SET
    return code != CURLE_OK ? code : ee_tls_configure(curl, roots, config->require_ocsp);
}

/* An interrupted handshake and one that failed have the same code, and different texts. */
static bool cut_in_handshake(const char *text)
{
    static const char *const signs[] = {"SSL_ERROR_SYSCALL", "Connection reset", "Send failure",
                                        "Recv failure"};

    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (strstr(text, signs[i]) != NULL)
            return true;
    return false;
}

enum ee_status ee_curl_failed(CURLcode code, const char *curl_error, bool unanswered,
                              struct ee_error *error)
{
    const char *text = curl_error[0] != '\0' ? curl_error : curl_easy_strerror(code);

    if (ee_tls_reason() != NULL)
        return ee_fail(error, EE_E_TLS, "%s", ee_tls_reason());
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return ee_fail(error, EE_E_MEMORY, "out of memory");
    case CURLE_SSL_CONNECT_ERROR:
        return ee_fail(error, cut_in_handshake(curl_error) ? EE_E_UNREACHABLE : EE_E_TLS, "%s",
                       text);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return ee_fail(error, EE_E_TLS, "%s", text);
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        /* A refusal may have no status line (the RA closes); the EE takes both as the same. */
        if (unanswered)
            return ee_fail(error, EE_E_REFUSED, "the RA closed the connection without an answer");
        break;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return ee_fail(error, EE_E_RESPONSE, "%s", text);
    default:
        break;
    }
    return ee_fail(error, EE_E_UNREACHABLE, "%s", text);
}

/* A refusal does not say why in stage PROD; a clock that is wrong is a reason that can be seen. */
static const char *clock_text(const struct ee_response *r, char text[64])
{
    const int64_t date = ee_response_date(r), ahead = date == 0 ? 0 : (int64_t)time(NULL) - date;

    text[0] = '\0';
    if (ahead >= CLOCK_APART || ahead <= -CLOCK_APART)
        snprintf(text, 64, "; this clock is %" PRId64 " s %s the RA's", ahead > 0 ? ahead : -ahead,
                 ahead > 0 ? "ahead of" : "behind");
    return text;
}

enum ee_status ee_response_refused(const struct ee_response *r, struct ee_error *error)
{
    const struct scms_error *known = scms_error_find(r->scms_code);
    char text[64];

    clock_text(r, text);
    if (error != NULL)
        error->scms_code = r->scms_code;
    if (known != NULL)
        return ee_fail(error, EE_E_REFUSED, "status %ld, %s %d %s: %s%s", r->status, known->key,
                       r->scms_code, known->name, known->message, text);
    if (r->scms_code != 0)
        return ee_fail(error, EE_E_REFUSED, "status %ld, error %d: %s%s", r->status, r->scms_code,
                       r->scms_message, text);
    return ee_fail(error, EE_E_REFUSED, "status %ld%s", r->status, text);
}
