/* lab_put.c: files that are whole or not there, and zip archives. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zip.h>

#include "apps/dot2hsm/lab_run.h"

static int write_all(int fd, const uint8_t *octets, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, octets, size);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        octets += put;
        size -= (size_t)put;
    }
    return 0;
}

int lab_put(const char *directory, const char *name, const void *octets, size_t size, unsigned mode)
{
    int fd = -1, at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = APP_REFUSED;

    if (at >= 0)
        fd = openat(at, LAB_PART, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || write_all(fd, octets, size) != 0 || fchmod(fd, (mode_t)mode) != 0 ||
        fsync(fd) != 0 || renameat(at, LAB_PART, at, name) != 0 || fsync(at) != 0)
        app_error("%s/%s: %s", directory, name, strerror(errno));
    else
        result = APP_OK;
    if (fd >= 0)
        close(fd);
    if (at >= 0)
        close(at);
    return result;
}

static int read_back(zip_source_t *source, uint8_t **octets, size_t *size)
{
    zip_stat_t status;

    zip_stat_init(&status);
    if (zip_source_stat(source, &status) != 0 || !(status.valid & ZIP_STAT_SIZE) ||
        status.size > SIZE_MAX / 2 || zip_source_open(source) != 0)
        return -1;
    *size = (size_t)status.size;
    *octets = malloc(*size + 1);
    if (*octets == NULL || zip_source_read(source, *octets, *size) != (zip_int64_t)*size) {
        free(*octets);
        *octets = NULL;
    }
    zip_source_close(source);
    return *octets == NULL ? -1 : 0;
}

static bool add(zip_t *zip, const struct lab_zip_entry *entry)
{
    zip_source_t *source = zip_source_buffer(zip, entry->octets, entry->size, 0);
    zip_int64_t index =
        source != NULL ? zip_file_add(zip, entry->name, source, ZIP_FL_ENC_UTF_8) : -1;

    if (index < 0)
        zip_source_free(source);
    return index >= 0 && zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) == 0;
}

int lab_zip_make(const struct lab_zip_entry *entries, size_t count, uint8_t **octets, size_t *size)
{
    zip_error_t error;
    zip_source_t *archive;
    zip_t *zip = NULL;
    int result = APP_REFUSED;

    *octets = NULL;
    *size = 0;
    zip_error_init(&error);
    archive = zip_source_buffer_create(NULL, 0, 0, &error);
    if (archive != NULL)
        zip = zip_open_from_source(archive, ZIP_TRUNCATE, &error);
    if (zip == NULL) {
        zip_source_free(archive);
        app_error("zip: %s", zip_error_strerror(&error));
        zip_error_fini(&error);
        return result;
    }
    zip_source_keep(archive); /* zip_close() lets go of it, and what it wrote is read from it */
    for (size_t i = 0; i < count; i++) {
        if (!add(zip, &entries[i])) {
            app_error("zip: %s: %s", entries[i].name, zip_strerror(zip));
            zip_discard(zip);
            goto out;
        }
    }
    if (zip_close(zip) != 0) {
        app_error("zip: %s", zip_strerror(zip));
        zip_discard(zip);
        goto out;
    }
    if (read_back(archive, octets, size) == 0)
        result = APP_OK;
    else
        app_error("zip: the archive cannot be read back, or there is no memory for it");
out:
    zip_source_free(archive);
    zip_error_fini(&error);
    return result;
}

bool lab_zip_has(const char *path, const struct lab_zip_entry *entries, size_t count)
{
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
    bool has = zip != NULL && zip_get_num_entries(zip, 0) == (zip_int64_t)count;

    for (size_t i = 0; has && i < count; i++)
        has = zip_name_locate(zip, entries[i].name, 0) >= 0;
    if (zip != NULL)
        zip_discard(zip);
    return has;
}
