#include "protocol/ee/ee_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Octets that may have to be fetched again after a power failure. */
#define CHECKPOINT_OCTETS (4u * 1024 * 1024)
#define MAGIC "dot2hsm-part 1"

static enum ee_status io_failed(const struct ee_part *part, const char *what,
                                struct ee_error *error)
{
    return ee_fail(error, EE_E_FILE, "%s: %s: %s", part->path, what, strerror(errno));
}

/*
 * After a kill, what was written is in the page cache and counts in full. After a power failure
 * only what was synced counts: the file's length may be ahead of its octets. The kernel's boot id
 * tells the two apart.
 */
static void boot_id(char id[64])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    id[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(id, 64, file) == NULL)
        id[0] = '\0';
    id[strcspn(id, "\n")] = '\0';
    fclose(file);
}

static int sync_directory(const char *path)
{
    char *copy = strdup(path);
    int fd, code = -1;

    if (copy == NULL)
        return -1;
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        code = fsync(fd);
        close(fd);
    }
    free(copy);
    return code;
}

/* Temporary file, fsync, rename, fsync of the directory. The lock on the part keeps others out. */
static enum ee_status validator_write(const struct ee_part *part, struct ee_error *error)
{
    enum ee_status status = EE_E_FILE;
    char *temporary = NULL;
    char boot[64], total[24] = "-";
    FILE *file = NULL;
    int fd = -1, failed;

    if (asprintf(&temporary, "%s.new", part->validator_path) < 0)
        return ee_fail(error, EE_E_MEMORY, "out of memory");
    boot_id(boot);
    if (part->has_total)
        snprintf(total, sizeof(total), "%" PRIu64, part->total);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || (file = fdopen(fd, "w")) == NULL) {
        status = io_failed(part, "its validator", error);
        if (fd >= 0)
            close(fd);
        goto out;
    }
    failed = fprintf(file, "%s\nresource %s\netag %s\ntotal %s\nsynced %" PRIu64 "\nboot %s\n",
                     MAGIC, part->resource, part->etag, total, part->size, boot) < 0;
    failed |= fflush(file) != 0 || fsync(fd) != 0;
    failed |= fclose(file) != 0;
    if (failed || rename(temporary, part->validator_path) != 0 || sync_directory(part->path) != 0) {
        status = io_failed(part, "its validator", error);
        goto out;
    }
    status = EE_OK;
out:
    free(temporary);
    return status;
}

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *value <= INT64_MAX;
}

/* The rest of the next line, if it begins with this word. */
static bool take_line(FILE *file, const char *word, char *value, size_t size)
{
    char line[2048];
    size_t length = strlen(word);

    if (fgets(line, sizeof(line), file) == NULL || strchr(line, '\n') == NULL)
        return false;
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, word, length) != 0 || strlen(line + length) >= size)
        return false;
    memcpy(value, line + length, strlen(line + length) + 1);
    return true;
}

/* false: there is none, or it is of another resource, or it cannot be read: start anew. */
static bool validator_read(struct ee_part *part, uint64_t *synced, bool *same_boot)
{
    char resource[2048], etag[256], total[32], number[32], boot[64], now[64], rest[2];
    FILE *file = fopen(part->validator_path, "re");
    bool good;

    if (file == NULL)
        return false;
    good = take_line(file, MAGIC, rest, sizeof(rest)) && rest[0] == '\0' &&
           take_line(file, "resource ", resource, sizeof(resource)) &&
           strcmp(resource, part->resource) == 0 && take_line(file, "etag ", etag, sizeof(etag)) &&
           etag[0] == '"' && ee_etag_valid(etag) &&
           take_line(file, "total ", total, sizeof(total)) &&
           take_line(file, "synced ", number, sizeof(number)) && parse_number(number, synced) &&
           take_line(file, "boot ", boot, sizeof(boot));
    fclose(file);
    if (!good)
        return false;
    part->has_total = strcmp(total, "-") != 0;
    if (part->has_total && !parse_number(total, &part->total))
        return false;
    boot_id(now);
    *same_boot = now[0] != '\0' && strcmp(boot, now) == 0;
    memcpy(part->etag, etag, sizeof(part->etag));
    return true;
}

/*
 * Opens and locks the part. Between open and lock another process may have renamed it to its
 * final name, so that the name is looked at again under the lock.
 */
static enum ee_status open_locked(struct ee_part *part, struct stat *about, struct ee_error *error)
{
    struct stat named;

    for (;;) {
        part->fd = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
        if (part->fd < 0)
            return io_failed(part, "open", error);
        if (fstat(part->fd, about) != 0)
            return io_failed(part, "stat", error);
        if (!S_ISREG(about->st_mode))
            return ee_fail(error, EE_E_FILE, "%s is not a regular file", part->path);
        if (flock(part->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            return ee_fail(error, EE_E_FILE, "%s is being written by another download", part->path);
        if (flock(part->fd, LOCK_EX | LOCK_NB) != 0)
            return io_failed(part, "lock", error);
        if (stat(part->path, &named) == 0 && named.st_ino == about->st_ino &&
            named.st_dev == about->st_dev)
            break;
        close(part->fd);
        part->fd = -1;
    }
    return fstat(part->fd, about) == 0 ? EE_OK : io_failed(part, "stat", error);
}

enum ee_status ee_part_open(struct ee_part *part, const char *output, const char *resource,
                            bool restart, struct ee_error *error)
{
    enum ee_status status;
    struct stat about;
    uint64_t synced = 0, usable = 0;
    bool same_boot = false;

    memset(part, 0, sizeof(*part));
    part->fd = -1;
    part->output = strdup(output);
    part->resource = strdup(resource);
    if (asprintf(&part->path, "%s.part", output) < 0)
        part->path = NULL;
    if (asprintf(&part->validator_path, "%s.part.validator", output) < 0)
        part->validator_path = NULL;
    if (part->output == NULL || part->resource == NULL || part->path == NULL ||
        part->validator_path == NULL)
        return ee_fail(error, EE_E_MEMORY, "out of memory");
    status = open_locked(part, &about, error);
    if (status != EE_OK)
        return status;

    if (!restart && about.st_size > 0 && validator_read(part, &synced, &same_boot)) {
        usable = (uint64_t)about.st_size;
        if (!same_boot && synced < usable)
            usable = synced;
        /* Killed before the rename: the last octet is asked for again, and with it the RA's word
         * that this is still the file. A range behind the end has no agreed answer. */
        if (part->has_total && usable >= part->total)
            usable = part->total > 0 ? part->total - 1 : 0;
    }
    if (usable == 0) {
        part->has_total = false;
        part->etag[0] = '\0';
    }
    if (ftruncate(part->fd, (off_t)usable) != 0 ||
        lseek(part->fd, (off_t)usable, SEEK_SET) != (off_t)usable)
        return io_failed(part, "truncate", error);
    part->size = usable;
    part->resumed_from = usable;
    return EE_OK;
}

enum ee_status ee_part_begin(struct ee_part *part, const char *etag, bool has_total, uint64_t total,
                             struct ee_error *error)
{
    if ((unlink(part->validator_path) != 0 && errno != ENOENT) || sync_directory(part->path) != 0)
        return io_failed(part, "its validator", error);
    if (ftruncate(part->fd, 0) != 0 || lseek(part->fd, 0, SEEK_SET) != 0 || fsync(part->fd) != 0)
        return io_failed(part, "truncate", error);
    part->size = 0;
    part->resumed_from = 0;
    part->unsynced = 0;
    part->has_total = has_total;
    part->total = total;
    snprintf(part->etag, sizeof(part->etag), "%s", etag);
    return part->etag[0] != '\0' ? validator_write(part, error) : EE_OK;
}

enum ee_status ee_part_write(struct ee_part *part, const void *octets, size_t size,
                             struct ee_error *error)
{
    const uint8_t *next = octets;
    ssize_t put;

    while (size > 0) {
        put = write(part->fd, next, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return io_failed(part, "write", error);
        next += put;
        size -= (size_t)put;
        part->size += (uint64_t)put;
        part->unsynced += (uint64_t)put;
    }
    return part->unsynced >= CHECKPOINT_OCTETS ? ee_part_checkpoint(part, error) : EE_OK;
}

enum ee_status ee_part_checkpoint(struct ee_part *part, struct ee_error *error)
{
    if (part->etag[0] == '\0' || part->unsynced == 0)
        return EE_OK;
    if (fdatasync(part->fd) != 0)
        return io_failed(part, "sync", error);
    part->unsynced = 0;
    return validator_write(part, error);
}

enum ee_status ee_part_commit(struct ee_part *part, struct ee_error *error)
{
    if (fsync(part->fd) != 0)
        return io_failed(part, "sync", error);
    if (rename(part->path, part->output) != 0)
        return io_failed(part, "rename", error);
    if (sync_directory(part->output) != 0)
        return io_failed(part, "sync of its directory", error);
    /* Without its part a validator says nothing: losing this unlink in a crash does no harm. */
    unlink(part->validator_path);
    close(part->fd);
    part->fd = -1;
    return EE_OK;
}

void ee_part_discard(struct ee_part *part)
{
    if (part->fd < 0)
        return;
    unlink(part->validator_path);
    unlink(part->path);
    close(part->fd);
    part->fd = -1;
}

void ee_part_close(struct ee_part *part)
{
    if (part->fd >= 0)
        close(part->fd);
    part->fd = -1;
    free(part->output);
    free(part->path);
    free(part->validator_path);
    free(part->resource);
    part->output = part->path = part->validator_path = part->resource = NULL;
}
