#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <openssl/err.h>

#include "apps/dot2hsm/input.h"
#include "apps/dot2hsm/support.h"

int command_crypto(const struct app_provider *provider, OSSL_LIB_CTX **libctx, dot2_crypto **crypto)
{
    struct dot2_error error = {0};
    int result = app_provider_load(provider, libctx);

    *crypto = NULL;
    if (result != APP_OK)
        return result;
    if (dot2_crypto_new(*libctx, crypto, &error) != DOT2_OK) {
        command_error("the provider dot2hsm", &error);
        return APP_USAGE;
    }
    return APP_OK;
}

void command_error(const char *context, const struct dot2_error *error)
{
    const char *detail = error->detail[0] != '\0' ? error->detail : dot2_status_text(error->status);
    char place[220] = "";

    if (error->field[0] != '\0')
        snprintf(place, sizeof(place), "%s: at octet %zu: ", error->field, error->offset);
    if (ERR_peek_error() != 0)
        app_error_openssl("%s: %s%s (%s)", context, place, detail, dot2_status_name(error->status));
    else
        app_error("%s: %s%s (%s)", context, place, detail, dot2_status_name(error->status));
}

int command_certificate(const dot2_crypto *crypto, const char *path, dot2_cert **cert)
{
    struct dot2_error error = {0};
    uint8_t *octets = NULL;
    size_t size = 0;
    int result = input_read(path, INPUT_AUTO, &octets, &size, NULL);

    *cert = NULL;
    if (result == APP_OK && dot2_cert_new(crypto, octets, size, cert, &error) != DOT2_OK) {
        command_error(path, &error);
        result = APP_REFUSED;
    }
    OPENSSL_free(octets);
    return result;
}

char *command_hex(const uint8_t *octets, size_t size, char *text)
{
    text[0] = '\0';
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", octets[i]);
    return text;
}

const char *command_time(int64_t at, char text[32])
{
    time_t seconds = (time_t)at;
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(text, 32, "%" PRId64, at);
    return text;
}

const char *command_validity(int64_t start, int64_t end, int64_t now)
{
    if (now < start)
        return "not yet valid";
    return now <= end ? "valid" : "expired";
}

bool command_cannot_tell(enum dot2_status status)
{
    return status == DOT2_E_MEMORY || status == DOT2_E_CRYPTO || status == DOT2_E_PROVIDER;
}
