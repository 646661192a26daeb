/*
 * route.c: which path is which service, and where a device is told to download.
 */
#include "protocol/ra/server_internal.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

static const struct {
    const char *path;
    const char *service; /* for the log */
    bool post;
} routes[RA_ROUTES] = {
    [RA_ROUTE_APPLICATION] = {"/download/application-certificate", "application-certificate",
                              false},
    [RA_ROUTE_IDENTITY] = {"/download/identity-certificate", "identity-certificate", false},
    [RA_ROUTE_BATCH] = {"/download/batch", "batch", false},
    [RA_ROUTE_INFO] = {"/download/info", "info", false},
    [RA_ROUTE_POLICY] = {"/download/policy/local", "local-policy", false},
    [RA_ROUTE_CHAIN] = {"/download/local-certificate-chain", "local-certificate-chain", false},
    [RA_ROUTE_PROVISION_APP] = {"/provision-application-certificate",
                                "provision-application-certificate", true},
    [RA_ROUTE_PROVISION_ID] = {"/provision-identity-certificate", "provision-identity-certificate",
                               true},
    [RA_ROUTE_PROVISION_PSEUDONYM] = {"/provision-pseudonym-certificate-batch",
                                      "provision-pseudonym-certificate-batch", true},
    [RA_ROUTE_RA_CERTIFICATE] = {"/retrieve-ra-certificate", "retrieve-ra-certificate", true},
    [RA_ROUTE_CRL] = {"/download-crl/", "crl", false},
};

const char *ra_route_path(enum ra_route route)
{
    return routes[route].path;
}

bool ra_route_is_post(enum ra_route route)
{
    return routes[route].post;
}

const char *ra_route_service(enum ra_route route)
{
    return routes[route].service == NULL ? "none" : routes[route].service;
}

/* A path as it stands in a request: from the root, without query, space or escape. */
static bool path_valid(const char *path)
{
    return path[0] == '/' && strlen(path) < 200 &&
           strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-~") ==
               strlen(path);
}

bool ra_routes_init(struct ra_server *server, const struct ra_server_config *config, char *text,
                    size_t text_size)
{
    for (size_t i = 1; i < RA_ROUTES; i++) {
        const char *path = config->paths[i] != NULL ? config->paths[i] : routes[i].path;

        if ((i == RA_ROUTE_CRL) != (config->crl_file != NULL))
            continue;
        if (!path_valid(path)) {
            snprintf(text, text_size, "%s is not a path of letters, digits and / . _ - ~", path);
            return false;
        }
        for (size_t j = 1; j < i; j++) {
            if (server->paths[j] != NULL && strcmp(server->paths[j], path) == 0) {
                snprintf(text, text_size, "%s is the path of two services", path);
                return false;
            }
        }
        server->paths[i] = OPENSSL_strdup(path);
        if (server->paths[i] == NULL) {
            snprintf(text, text_size, "out of memory");
            return false;
        }
    }
    return true;
}

enum ra_route ra_route_find(const struct ra_server *server, const char *target, size_t size)
{
    for (size_t i = 1; i < RA_ROUTES; i++) {
        const char *path = server->paths[i];
        size_t length = path == NULL ? 0 : strlen(path);

        if (path == NULL)
            continue;
        /* The page of the MA has a slash at the end; deployed devices leave it out. */
        if (i == RA_ROUTE_CRL && size + 1 == length && path[size] == '/')
            length--;
        if (length == size && memcmp(path, target, size) == 0)
            return (enum ra_route)i;
    }
    return RA_ROUTE_NONE;
}

bool ra_url(const struct ra_server *server, const ra_keys *keys, uint32_t now,
            enum scms_provision kind, char url[256])
{
    static const enum ra_route downloads[] = {[SCMS_PROVISION_PSEUDONYM] = RA_ROUTE_BATCH,
                                              [SCMS_PROVISION_ID] = RA_ROUTE_IDENTITY,
                                              [SCMS_PROVISION_APP] = RA_ROUTE_APPLICATION};
    const struct ra_key *newest = ra_keys_newest(keys, now);
    const char *path = server->paths[downloads[kind]];
    int size = -1;

    if (server->url_base != NULL)
        size = snprintf(url, 256, "%s%s", server->url_base, path);
    else if (newest != NULL && dot2_cert_name(newest->cert)[0] != '\0')
        size =
            snprintf(url, 256, "https://%s:%u%s", dot2_cert_name(newest->cert), server->port, path);
    return size > 0 && size < 256;
}

bool ra_urls_valid(const struct ra_server *server, const ra_keys *keys, uint32_t now, char *text,
                   size_t text_size)
{
    char url[256];

    for (int kind = SCMS_PROVISION_PSEUDONYM; kind <= SCMS_PROVISION_APP; kind++) {
        if (ra_url(server, keys, now, (enum scms_provision)kind, url))
            continue;
        snprintf(text, text_size,
                 "no URL of at most 255 octets for downloads: url-base is not set and the "
                 "certificate of the RA has no name, or they are too long");
        return false;
    }
    return true;
}
