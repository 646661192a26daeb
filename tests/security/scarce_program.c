/*
 * scarce_program.c: see scarce.h. In a whole program, told by its environment:
 *
 *   DOT2HSM_SCARCE=N        the allocation with this number fails; 0: none does
 *   DOT2HSM_SCARCE=N+       and all that follow
 *   DOT2HSM_SCARCE_COUNT=F  how many there were is written to the file F at the end
 *
 * And what programs have besides the libraries.
 */
#include "tests/security/scarce_wrap.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/evp.h>

__attribute__((constructor)) static void begin(void)
{
    const char *number = getenv("DOT2HSM_SCARCE");

    if (number != NULL)
        scarce_all_set((unsigned)strtoul(number, NULL, 10), strchr(number, '+') != NULL);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("DOT2HSM_SCARCE_COUNT");
    FILE *file;
    unsigned counted;

    scarce_all_end(&counted);
    file = path == NULL ? NULL : fopen(path, "w");
    if (file == NULL)
        return;
    fprintf(file, "%u\n", counted);
    fclose(file);
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

int __wrap_BIO_printf(BIO *bio, const char *format, ...);
int __wrap_BIO_printf(BIO *bio, const char *format, ...)
{
    va_list args;
    int n;

    if (scarce_fails())
        return -1;
    va_start(args, format);
    n = BIO_vprintf(bio, format, args);
    va_end(args);
    return n;
}

int __wrap_asprintf(char **text, const char *format, ...);
int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list args;
    int n;

    if (scarce_fails())
        return -1;
    va_start(args, format);
    n = vasprintf(text, format, args);
    va_end(args);
    return n;
}

/* By the same name with _FORTIFY_SOURCE. */
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...);
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
{
    va_list args;
    int n;

    (void)flag;
    if (scarce_fails())
        return -1;
    va_start(args, format);
    n = vasprintf(text, format, args);
    va_end(args);
    return n;
}
