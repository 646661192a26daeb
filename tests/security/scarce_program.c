/*
 * scarce_program.c: see scarce.h. In a whole program, told by its environment:
 *
 *   DOT2HSM_SCARCE=N        the allocation with this number fails; 0: none does
 *   DOT2HSM_SCARCE=N+       and all that follow
 *   DOT2HSM_SCARCE_COUNT=F  how many there were is written to the file F at the end
 *   DOT2HSM_SCARCE_AFTER=F  in a server, from when main has been told something until it waits
 *                           again: of a signal by F.hup, of a second that is over by F.look, which
 *                           have N or N+ and are removed. F.done gets the count afterwards.
 *
 * And what programs have besides the libraries.
 */
#include "tests/security/scarce_wrap.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/evp.h>

FILE *__real_fopen(const char *path, const char *mode);

static void begin_with(const char *number)
{
    scarce_all_set((unsigned)strtoul(number, NULL, 10), strchr(number, '+') != NULL);
}

static void write_count(const char *path, unsigned counted)
{
    FILE *file = __real_fopen(path, "w");

    if (file == NULL)
        return;
    fprintf(file, "%u\n", counted);
    fclose(file);
}

__attribute__((constructor)) static void begin(void)
{
    const char *number = getenv("DOT2HSM_SCARCE");

    if (number != NULL)
        begin_with(number);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("DOT2HSM_SCARCE_COUNT");
    unsigned counted;

    scarce_all_end(&counted);
    if (path != NULL)
        write_count(path, counted);
}

/* ---- while a server runs ---- */

static bool begin_after(const char *base, const char *what)
{
    char path[4096], text[32] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s.%s", base, what);
    file = __real_fopen(path, "r");
    if (file == NULL)
        return false;
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    fclose(file);
    unlink(path);
    begin_with(text);
    return true;
}

static void end_after(const char *base)
{
    char path[4096], done[4096];
    unsigned counted;

    scarce_all_end(&counted);
    snprintf(path, sizeof path, "%s.part", base);
    snprintf(done, sizeof done, "%s.done", base);
    write_count(path, counted);
    rename(path, done);
}

int __real_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
int __wrap_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    static const struct timespec soon = {.tv_nsec = 20000000};
    static bool begun;
    const char *base = getenv("DOT2HSM_SCARCE_AFTER");
    int number;

    if (base == NULL)
        return __real_sigtimedwait(set, info, timeout);
    if (begun)
        end_after(base);
    number = __real_sigtimedwait(set, info, &soon);
    begun = begin_after(base, number == SIGHUP ? "hup" : "look");
    return number;
}

WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode))
WRAP(FILE *, open_memstream, (char **text, size_t *size), (text, size))
WRAP(DIR *, opendir, (const char *path), (path))
WRAP_TO(-1, int, scandir,
        (const char *path, struct dirent ***list, int (*wanted)(const struct dirent *),
         int (*compare)(const struct dirent **, const struct dirent **)),
        (path, list, wanted, compare))
WRAP(char *, strndup, (const char *text, size_t size), (text, size))
WRAP(OSSL_LIB_CTX *, OSSL_LIB_CTX_new, (void), ())
WRAP(CONF *, NCONF_new, (CONF_METHOD * method), (method))
WRAP(BIO *, BIO_new, (const BIO_METHOD *method), (method))
WRAP(BIO *, BIO_new_file, (const char *path, const char *mode), (path, mode))

WRAP_TO(-1, int, BIO_puts, (BIO * bio, const char *text), (bio, text))
WRAP_TO(-1, int, BIO_write, (BIO * bio, const void *octets, int size), (bio, octets, size))

WRAP_PRINTF(BIO_printf, (BIO * bio, const char *format, ...), BIO_vprintf(bio, format, args))
WRAP_PRINTF(asprintf, (char **text, const char *format, ...), vasprintf(text, format, args))
/* The same with _FORTIFY_SOURCE. */
WRAP_PRINTF(__asprintf_chk, (char **text, int flag, const char *format, ...),
            ((void)flag, vasprintf(text, format, args)))
