#include "apps/app.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

/* Reads until the end or one octet more than max. 0 or -1 with errno. */
static int read_all(int fd, size_t max, uint8_t **octets, size_t *size)
{
    size_t capacity = 4096, used = 0;
    uint8_t *buffer = OPENSSL_malloc(capacity), *grown;
    ssize_t got;

    while (buffer != NULL) {
        got = read(fd, buffer + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            goto fail;
        if (got == 0) {
            *octets = buffer;
            *size = used;
            return 0;
        }
        used += (size_t)got;
        if (used > max) {
            errno = EFBIG;
            goto fail;
        }
        if (used == capacity) {
            grown = OPENSSL_clear_realloc(buffer, capacity, capacity * 2);
            if (grown == NULL)
                break;
            buffer = grown;
            capacity *= 2;
        }
    }
    errno = ENOMEM;
fail:
    OPENSSL_clear_free(buffer, capacity);
    return -1;
}

int app_file_read(const char *path, size_t max, uint8_t **octets, size_t *size)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int code = APP_OK;

    *octets = NULL;
    *size = 0;
    if (fd < 0) {
        app_error("%s: %s", path, strerror(errno));
        return APP_REFUSED;
    }
    if (read_all(fd, max, octets, size) != 0) {
        if (errno == EFBIG)
            app_error("%s: more than %zu octets", standard ? "standard input" : path, max);
        else
            app_error("%s: %s", standard ? "standard input" : path, strerror(errno));
        code = APP_REFUSED;
    }
    if (!standard)
        close(fd);
    return code;
}

static int write_all(int fd, const uint8_t *octets, size_t size)
{
    ssize_t put;

    while (size > 0) {
        put = write(fd, octets, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        octets += put;
        size -= (size_t)put;
    }
    return 0;
}

static int open_directory_of(const char *path)
{
    char *copy = strdup(path);
    int fd = -1;

    if (copy != NULL)
        fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    return fd;
}

int app_file_write(const char *path, const uint8_t *octets, size_t size, unsigned mode)
{
    char *temporary = NULL;
    int fd = -1, directory = -1, code = APP_REFUSED;

    if (strcmp(path, "-") == 0) {
        if (fflush(stdout) == 0 && write_all(STDOUT_FILENO, octets, size) == 0)
            return APP_OK;
        app_error("standard output: %s", strerror(errno));
        return APP_REFUSED;
    }
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        temporary = NULL;
        app_error("out of memory");
        goto out;
    }
    /* Opened before the file is there: whoever waits for it may use it at once. */
    directory = open_directory_of(path);
    if (directory >= 0)
        fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        app_error("%s: %s", path, strerror(errno));
        free(temporary);
        temporary = NULL;
        goto out;
    }
    if (write_all(fd, octets, size) != 0 || fchmod(fd, (mode_t)mode) != 0 || fsync(fd) != 0 ||
        rename(temporary, path) != 0) {
        app_error("%s: %s", path, strerror(errno));
        goto out;
    }
    free(temporary);
    temporary = NULL;
    /* A rename is on disk only when its directory is. */
    if (fsync(directory) != 0) {
        app_error("%s: its directory: %s", path, strerror(errno));
        goto out;
    }
    code = APP_OK;
out:
    if (fd >= 0)
        close(fd);
    if (directory >= 0)
        close(directory);
    if (temporary != NULL)
        unlink(temporary);
    free(temporary);
    return code;
}
