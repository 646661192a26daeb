/*
 * app_list.c: the certificates that a configuration names by files and directories.
 */
#include "apps/app.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <openssl/crypto.h>

/* By its name: the directory may have a README, or an X.509 root. */
static int is_certificate(const struct dirent *entry)
{
    static const char *const extensions[] = {".oer", ".coer", ".cert"};
    const char *dot = strrchr(entry->d_name, '.');

    for (size_t i = 0; dot != NULL && i < sizeof extensions / sizeof extensions[0]; i++)
        if (dot != entry->d_name && strcasecmp(dot, extensions[i]) == 0)
            return 1;
    return 0;
}

static bool directory_each(const char *directory, app_certificate_fn *each, void *arg)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_certificate, alphasort);
    bool ok = count >= 0;

    if (count < 0)
        app_error("directory %s cannot be read: %s", directory, strerror(errno));
    for (int i = 0; i < count; i++) {
        char path[4096];
        struct stat st;
        int n = snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);

        if (ok && n > 0 && (size_t)n < sizeof path && stat(path, &st) == 0 && S_ISREG(st.st_mode))
            ok = each(arg, path);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

bool app_certificates_each(const char *list, app_certificate_fn *each, void *arg)
{
    char *copy = OPENSSL_strdup(list), *save = NULL;
    bool ok = copy != NULL;

    if (copy == NULL) {
        app_error("out of memory");
        return false;
    }
    for (char *item = strtok_r(copy, ",", &save); ok && item != NULL;
         item = strtok_r(NULL, ",", &save)) {
        size_t size;
        struct stat st;

        item += strspn(item, " \t");
        size = strlen(item);
        while (size > 0 && (item[size - 1] == ' ' || item[size - 1] == '\t'))
            item[--size] = '\0';
        if (size == 0)
            continue;
        ok = stat(item, &st) == 0 && S_ISDIR(st.st_mode) ? directory_each(item, each, arg)
                                                         : each(arg, item);
    }
    OPENSSL_free(copy);
    return ok;
}
