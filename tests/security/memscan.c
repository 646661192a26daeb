/*
 * memscan.c: looks for octets in the whole readable memory of a running process.
 *
 *   memscan PID HEX
 *
 * The octets are looked for as they are and in reverse order (a number in little-endian words).
 * Prints the number of places; exit 0 if there is one, 1 if there is none, 2 if the memory could
 * not be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

enum {
    CHUNK = 1 << 20
};

static size_t count(const uint8_t *buffer, size_t size, const uint8_t *what, size_t n)
{
    size_t found = 0;
    const uint8_t *p = buffer;
    while ((p = memmem(p, size - (size_t)(p - buffer), what, n)) != NULL) {
        found++;
        p++;
    }
    return found;
}

/* Reads a region in chunks that overlap by n - 1 octets, so that nothing is missed at a border. */
static size_t scan_region(int memory, uint64_t from, uint64_t to, const uint8_t *what,
                          const uint8_t *reverse, size_t n, uint64_t *total)
{
    static uint8_t buffer[CHUNK + 256];
    size_t found = 0, kept = 0;
    while (from < to) {
        size_t want = to - from < CHUNK ? (size_t)(to - from) : CHUNK;
        ssize_t got = pread(memory, buffer + kept, want, (off_t)from);
        if (got <= 0)
            break;
        size_t size = kept + (size_t)got;
        found += count(buffer, size, what, n);
        found += count(buffer, size, reverse, n);
        kept = size < n - 1 ? size : n - 1;
        memmove(buffer, buffer + size - kept, kept);
        from += (uint64_t)got;
        *total += (uint64_t)got;
    }
    return found;
}

int main(int argc, char **argv)
{
    long n = 0;
    uint8_t *what = argc == 3 ? OPENSSL_hexstr2buf(argv[2], &n) : NULL;
    if (what == NULL || n < 8 || n > 128) {
        fprintf(stderr, "usage: memscan PID HEX (8 to 128 octets)\n");
        return 2;
    }
    uint8_t reverse[128];
    for (long i = 0; i < n; i++)
        reverse[i] = what[n - 1 - i];
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/maps", argv[1]);
    FILE *maps = fopen(path, "re");
    snprintf(path, sizeof path, "/proc/%s/mem", argv[1]);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    if (maps == NULL || memory < 0) {
        fprintf(stderr, "memscan: %s: %s\n", path, strerror(errno));
        return 2;
    }
    char line[512];
    size_t found = 0;
    uint64_t total = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        uint64_t from, to;
        char mode[5];
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, mode) != 3 || mode[0] != 'r')
            continue;
        if (strstr(line, "[vvar") != NULL || strstr(line, "[vsyscall]") != NULL)
            continue;
        found += scan_region(memory, from, to, what, reverse, (size_t)n, &total);
    }
    fclose(maps);
    close(memory);
    if (total == 0) {
        fprintf(stderr, "memscan: no memory of %s could be read\n", argv[1]);
        return 2;
    }
    printf("%zu places in %" PRIu64 " octets\n", found, total);
    OPENSSL_free(what);
    return found > 0 ? 0 : 1;
}
