#include "protocol/ee/ee_internal.h"

#include <string.h>
#include <strings.h>

/* Names of files: 16 digits of a request hash, perhaps _ and an i-value, and an extension. */
static const struct {
    struct ee_service service;
    bool iterated;         /* has _i */
    const char *extension; /* NULL = has no file name */
} services[] = {
    {{"application", "/download/application-certificate", true}, false, ".zip"},
    {{"identity", "/download/identity-certificate", true}, true, ".zip"},
    {{"batch", "/download/batch", true}, true, ".zip"},
    {{"info", "/download/info", true}, false, ".info"},
    {{"policy", "/download/policy/local", false}, false, NULL},
    {{"chain", "/download/local-certificate-chain", false}, false, NULL},
};
#define SERVICES (sizeof(services) / sizeof(services[0]))

static size_t hex_length(const char *text)
{
    return strspn(text, "0123456789abcdefABCDEF");
}

static bool name_matches(size_t index, const char *filename)
{
    size_t length = hex_length(filename);

    if (services[index].extension == NULL || length != 16)
        return false;
    filename += length;
    if (services[index].iterated) {
        if (*filename++ != '_')
            return false;
        length = hex_length(filename);
        if (length < 1 || length > 8)
            return false;
        filename += length;
    }
    return strcasecmp(filename, services[index].extension) == 0;
}

const struct ee_service *ee_service_find(const char *name)
{
    for (size_t i = 0; i < SERVICES; i++) {
        if (strcmp(services[i].service.name, name) == 0)
            return &services[i].service;
    }
    return NULL;
}

const struct ee_service *ee_service_of_file(const char *filename)
{
    const struct ee_service *found = NULL;

    for (size_t i = 0; i < SERVICES; i++) {
        if (!name_matches(i, filename))
            continue;
        if (found != NULL)
            return NULL;
        found = &services[i].service;
    }
    return found;
}

enum ee_status ee_service_filename(const struct ee_service *service, const char *filename,
                                   char canonical[32])
{
    const char *dot;
    size_t i;

    for (i = 0; i < SERVICES; i++) {
        if (&services[i].service == service)
            break;
    }
    if (i == SERVICES || !name_matches(i, filename))
        return EE_E_ARGUMENT;
    dot = strchr(filename, '.');
    for (i = 0; filename[i] != '\0'; i++) {
        canonical[i] = filename[i];
        if (filename + i < dot && canonical[i] >= 'a' && canonical[i] <= 'f')
            canonical[i] = (char)(canonical[i] - 'a' + 'A');
        if (filename + i > dot && canonical[i] >= 'A' && canonical[i] <= 'Z')
            canonical[i] = (char)(canonical[i] - 'A' + 'a');
    }
    canonical[i] = '\0';
    return EE_OK;
}
