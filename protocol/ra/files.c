/*
 * files.c: the files that are served.
 *
 * A file is opened relative to the directory, without following a symbolic link, and only read. It
 * is read with pread into the answer piece by piece and not mapped: a mapped file that an operator
 * shortens kills the whole server with SIGBUS, and TLS leaves sendfile nothing to save.
 */
#include "protocol/ra/server_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define NAME_SIZE 64       /* of a file of an authenticated service, with its NUL */
#define SLICE (512 * 1024) /* octets hashed in one turn of a loop: a few milliseconds */
#define ETAG_SLOTS 1024

int ra_file_open(int dir_fd, const char *path, struct ra_file *file)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int error;

    if (fd < 0)
        return errno;
    if (fstat(fd, &file->st) != 0) {
        error = errno;
        close(fd);
        return error;
    }
    if (!S_ISREG(file->st.st_mode)) {
        close(fd);
        return ELOOP;
    }
    file->fd = fd;
    return 0;
}

bool ra_file_cannot_look(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO;
}

void ra_file_close(struct ra_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool ra_file_unchanged(const struct ra_file *file)
{
    struct stat now;

    return fstat(file->fd, &now) == 0 && now.st_size == file->st.st_size &&
           same_time(now.st_mtim, file->st.st_mtim) && same_time(now.st_ctim, file->st.st_ctim);
}

/* ---- names without case ---- */

/*
 * A name is tried in the three forms that are in use (upper-case hexadecimal with a lower-case
 * extension, all lower, all upper). What has another form is rare: such names are kept in a list,
 * which is made anew when the directory has changed, at most once a second.
 */
struct ra_directory {
    int fd;
    pthread_mutex_t lock;
    struct timespec changed; /* of the directory when the list was made */
    time_t made;
    char (*odd)[NAME_SIZE];
    size_t odd_count, odd_room;
};

ra_directory *ra_directory_new(const char *path, char *text, size_t text_size)
{
    ra_directory *directory = OPENSSL_zalloc(sizeof *directory);

    if (directory == NULL) {
        snprintf(text, text_size, "out of memory");
        return NULL;
    }
    directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->fd < 0) {
        snprintf(text, text_size, "directory %s: %s", path, strerror(errno));
        OPENSSL_free(directory);
        return NULL;
    }
    pthread_mutex_init(&directory->lock, NULL);
    return directory;
}

void ra_directory_free(ra_directory *directory)
{
    if (directory == NULL)
        return;
    close(directory->fd);
    pthread_mutex_destroy(&directory->lock);
    free(directory->odd);
    OPENSSL_free(directory);
}

static void change_case(char form[NAME_SIZE], const char *name, int (*change)(int))
{
    size_t i;

    for (i = 0; i + 1 < NAME_SIZE && name[i] != '\0'; i++)
        form[i] = (char)change((unsigned char)name[i]);
    form[i] = '\0';
}

static bool is_odd(const char *name)
{
    size_t stem = strcspn(name, ".");
    bool upper = false, lower = false, extension_upper = false, extension_lower = false;

    if (strlen(name) >= NAME_SIZE || name[stem] == '\0')
        return false;
    for (size_t i = 0; name[i] != '\0'; i++) {
        *(i < stem ? &upper : &extension_upper) |= name[i] >= 'A' && name[i] <= 'Z';
        *(i < stem ? &lower : &extension_lower) |= name[i] >= 'a' && name[i] <= 'z';
    }
    if (!extension_upper)            /* lower-case extension: either stem, */
        return upper && lower;       /* but not a mixed one */
    return extension_lower || lower; /* upper-case extension: an upper-case stem only */
}

/* 0, or an errno with a list that is to be made again. */
static int list_odd_names(ra_directory *directory)
{
    struct dirent *entry;
    int fd = openat(directory->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int error = dir == NULL ? errno : 0;

    directory->odd_count = 0;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return error;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (!is_odd(entry->d_name))
            continue;
        if (directory->odd_count == directory->odd_room) {
            size_t room = directory->odd_room == 0 ? 16 : 2 * directory->odd_room;
            char(*grown)[NAME_SIZE] = realloc(directory->odd, room * NAME_SIZE);

            if (grown == NULL) {
                error = ENOMEM;
                break;
            }
            directory->odd = grown;
            directory->odd_room = room;
        }
        memcpy(directory->odd[directory->odd_count++], entry->d_name, strlen(entry->d_name) + 1);
    }
    closedir(dir);
    return error;
}

/* 0, ENOENT, or why it cannot be said. */
static int find_odd_name(ra_directory *directory, const char *name, char form[NAME_SIZE])
{
    struct stat st;
    time_t now = time(NULL);
    int error = ENOENT;

    pthread_mutex_lock(&directory->lock);
    if (now != directory->made && fstat(directory->fd, &st) == 0) {
        /* A second change within one tick of the clock would go unseen: a list made at the very
         * time of a change is made again. */
        if (!same_time(st.st_mtim, directory->changed) || st.st_mtim.tv_sec >= directory->made) {
            int failed = list_odd_names(directory);

            if (failed != 0) {
                error = failed;
                directory->changed = (struct timespec){0};
                goto out;
            }
            directory->changed = st.st_mtim;
        }
        directory->made = now;
    }
    for (size_t i = 0; i < directory->odd_count && error != 0; i++) {
        if (strcasecmp(directory->odd[i], name) == 0) {
            memcpy(form, directory->odd[i], NAME_SIZE);
            error = 0;
        }
    }
out:
    pthread_mutex_unlock(&directory->lock);
    return error;
}

int ra_directory_open(ra_directory *directory, const char *name, struct ra_file *file)
{
    char form[NAME_SIZE];
    int error = ra_file_open(directory->fd, name, file);

    if (error == ENOENT) {
        change_case(form, name, tolower);
        error = ra_file_open(directory->fd, form, file);
    }
    if (error == ENOENT) {
        change_case(form, name, toupper);
        error = ra_file_open(directory->fd, form, file);
    }
    if (error == ENOENT) {
        error = find_odd_name(directory, name, form);
        if (error == 0)
            error = ra_file_open(directory->fd, form, file);
    }
    return error;
}

/* ---- validators ---- */

struct slot {
    bool used;
    struct stat st; /* device, inode, size, times are compared */
    char etag[RA_ETAG_SIZE];
};

struct ra_etags {
    EVP_MD *sha256;
    struct slot slots[ETAG_SLOTS];
};

ra_etags *ra_etags_new(EVP_MD *sha256)
{
    ra_etags *etags = OPENSSL_zalloc(sizeof *etags);

    if (etags != NULL)
        etags->sha256 = sha256;
    return etags;
}

void ra_etags_free(ra_etags *etags)
{
    OPENSSL_free(etags);
}

void ra_etag_job_clear(struct ra_etag_job *job)
{
    EVP_MD_CTX_free(job->ctx);
    job->ctx = NULL;
    job->offset = 0;
}

static struct slot *slot_of(ra_etags *etags, const struct stat *st)
{
    return &etags->slots[((uint64_t)st->st_ino * UINT64_C(0x9e3779b97f4a7c15) >> 32) % ETAG_SLOTS];
}

static enum ra_etag_state finish(ra_etags *etags, const struct ra_file *file,
                                 struct ra_etag_job *job, char etag[RA_ETAG_SIZE])
{
    struct slot *slot = slot_of(etags, &file->st);
    unsigned char hash[EVP_MAX_MD_SIZE];

    if (EVP_DigestFinal_ex(job->ctx, hash, NULL) != 1 || !ra_file_unchanged(file))
        return RA_ETAG_FAILED;
    etag[0] = '"';
    for (size_t i = 0; i < 16; i++)
        snprintf(etag + 1 + 2 * i, 3, "%02x", (unsigned)hash[i]);
    memcpy(etag + 33, "\"", 2);
    ra_etag_job_clear(job);
    /* A file that changes twice within one tick of its clock would look the same: what was changed
     * just now is hashed again the next time. */
    if (file->st.st_ctim.tv_sec + 1 < time(NULL)) {
        slot->used = true;
        slot->st = file->st;
        memcpy(slot->etag, etag, RA_ETAG_SIZE);
    }
    return RA_ETAG_READY;
}

enum ra_etag_state ra_etag_step(ra_etags *etags, const struct ra_file *file,
                                struct ra_etag_job *job, char etag[RA_ETAG_SIZE])
{
    unsigned char buffer[16384];
    size_t done = 0;

    if (job->ctx == NULL) {
        const struct slot *slot = slot_of(etags, &file->st);

        if (slot->used && slot->st.st_dev == file->st.st_dev &&
            slot->st.st_ino == file->st.st_ino && slot->st.st_size == file->st.st_size &&
            same_time(slot->st.st_mtim, file->st.st_mtim) &&
            same_time(slot->st.st_ctim, file->st.st_ctim)) {
            memcpy(etag, slot->etag, RA_ETAG_SIZE);
            return RA_ETAG_READY;
        }
        job->ctx = EVP_MD_CTX_new();
        if (job->ctx == NULL || EVP_DigestInit_ex(job->ctx, etags->sha256, NULL) != 1)
            return RA_ETAG_MEMORY;
    }
    while (done < SLICE) {
        ssize_t n = pread(file->fd, buffer, sizeof buffer, job->offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return RA_ETAG_FAILED;
        if (n == 0)
            return finish(etags, file, job, etag);
        if (EVP_DigestUpdate(job->ctx, buffer, (size_t)n) != 1)
            return RA_ETAG_FAILED;
        job->offset += n;
        done += (size_t)n;
    }
    return RA_ETAG_MORE;
}
