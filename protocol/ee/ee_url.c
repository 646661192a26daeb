#include "protocol/ee/ee_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool numeric_address(const char *text, size_t length)
{
    struct in6_addr address;
    char copy[64];
    bool brackets = length >= 2 && text[0] == '[' && text[length - 1] == ']';

    if (brackets) {
        text++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return inet_pton(AF_INET6, copy, &address) == 1 ||
           (!brackets && inet_pton(AF_INET, copy, &address) == 1);
}

/* Letters, digits, hyphens and dots, or an IPv6 address in brackets. Returns its length or 0. */
static size_t host_length(const char *text)
{
    size_t length = 0;
    const char *end;

    if (*text == '[') {
        end = strchr(text, ']');
        if (end == NULL || !numeric_address(text, (size_t)(end + 1 - text)))
            return 0;
        return (size_t)(end + 1 - text);
    }
    while (is_alnum(text[length]) || text[length] == '-' || text[length] == '.')
        length++;
    if (length == 0 || text[0] == '-' || text[0] == '.')
        return 0;
    return length;
}

enum ee_status ee_url_parse(const char *text, struct ee_url *url, struct ee_error *error)
{
    const char *p = text;
    unsigned port = EE_DEFAULT_PORT;
    size_t length;
    int digits = 0;

    if (text == NULL)
        return ee_fail(error, EE_E_ARGUMENT, "there is no URL of the RA");
    if (strncasecmp(p, "https://", 8) != 0)
        return ee_fail(error, EE_E_ARGUMENT, "the RA's URL does not begin with https://");
    p += 8;
    if (strchr(p, '@') != NULL)
        return ee_fail(error, EE_E_ARGUMENT, "the RA's URL has a user name");
    length = host_length(p);
    if (length == 0 || length > 253)
        return ee_fail(error, EE_E_ARGUMENT, "the RA's URL has no valid host name");
    memcpy(url->host, p, length);
    url->host[length] = '\0';
    p += length;
    if (*p == ':') {
        port = 0;
        for (p++; *p >= '0' && *p <= '9' && digits < 6; p++, digits++)
            port = port * 10 + (unsigned)(*p - '0');
        if (digits == 0 || port == 0 || port > 65535)
            return ee_fail(error, EE_E_ARGUMENT, "the RA's URL has no valid port");
    }
    if (*p == '/')
        p++;
    if (*p != '\0')
        return ee_fail(error, EE_E_ARGUMENT,
                       "the RA's URL goes on after host and port; a path is the service's");
    url->port = port;
    return EE_OK;
}

enum ee_status ee_url_check_resolve(const struct ee_url *url, const char *resolve,
                                    struct ee_error *error)
{
    char want[300];
    size_t length;

    snprintf(want, sizeof(want), "%s:%u:", url->host, url->port);
    length = strlen(want);
    if (strncasecmp(resolve, want, length) != 0 ||
        !numeric_address(resolve + length, strlen(resolve + length)))
        return ee_fail(error, EE_E_ARGUMENT,
                       "resolve is not %sADDRESS with a numeric address: it would not be used",
                       want);
    return EE_OK;
}

bool ee_url_path_valid(const char *path)
{
    if (path == NULL || path[0] != '/' || strlen(path) > 128)
        return false;
    for (; *path != '\0'; path++) {
        if (!is_alnum(*path) && *path != '/' && *path != '-' && *path != '_')
            return false;
    }
    return true;
}

void ee_url_host(const char *ra_url, char host[256])
{
    const char *from = ra_url;
    size_t length;

    if (strncasecmp(from, "https://", 8) == 0)
        from += 8;
    if (*from == '[') {
        from++;
        length = strcspn(from, "]");
    } else {
        length = strcspn(from, ":/");
    }
    snprintf(host, 256, "%.*s", (int)(length > 255 ? 255 : length), from);
}

/*
 * What may follow the host: a port, and a path. With anything else behind the colon the host would
 * be a user name, and the host another one ("https://ra:x@elsewhere/").
 */
static bool is_end_of_host(const char *text)
{
    if (*text == ':') {
        text++;
        text += strspn(text, "0123456789");
    }
    return *text == '\0' || *text == '/';
}

bool ee_url_leads_to(const char *url, const char *ra_url)
{
    char host[256];
    size_t length;

    ee_url_host(ra_url, host);
    length = strlen(host);
    if (length == 0 || strncasecmp(url, "https://", 8) != 0)
        return false;
    url += 8;
    if (*url == '[') {
        url++;
        return strncasecmp(url, host, length) == 0 && url[length] == ']' &&
               is_end_of_host(url + length + 1);
    }
    return strncasecmp(url, host, length) == 0 && is_end_of_host(url + length);
}
