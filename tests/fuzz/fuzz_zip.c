/* fuzz_zip.c: the zip files that an RA gives. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "apps/app.h"
#include "apps/dot2hsm/ee_zip.h"
#include "tests/fuzz/fuzz.h"

fuzz_decoder_fn fuzz_zip;

static void hear(void *arg, const char *text)
{
    size_t *said = arg;

    DEMAND(text != NULL && text[0] != '\0');
    (*said)++;
}

static void check_entry(int code, const uint8_t *octets, size_t size)
{
    if (code != APP_OK) {
        DEMAND(octets == NULL);
        return;
    }
    DEMAND(octets != NULL && size >= 1 && size <= 65536);
}

static void read_batch(const char *path)
{
    const struct device_batch pseudonym = {.kind = DEVICE_PSEUDONYM, .i = 0x1b};
    const struct device_batch id = {.kind = DEVICE_IDENTIFICATION, .i = 0x1b};
    zip_t *zip = NULL;

    if (device_zip_open(path, 2 * DEVICE_BATCH_MAX, &zip) != APP_OK) {
        DEMAND(zip == NULL);
        return;
    }
    for (zip_int64_t i = 0; i < zip_get_num_entries(zip, 0); i++) {
        const char *name = zip_get_name(zip, (zip_uint64_t)i, 0);
        uint8_t *octets = NULL;
        size_t size = 0;
        uint32_t j = 0;
        int code;

        if (name == NULL)
            continue;
        if (device_zip_name(&pseudonym, "", name, &j))
            DEMAND(j < DEVICE_BATCH_MAX && strlen(name) <= 17);
        if (device_zip_name(&id, "0123456789ABCDEF", name, &j))
            DEMAND(j == 0 && strlen(name) <= 25);
        code = device_zip_read(zip, (zip_uint64_t)i, &octets, &size);
        check_entry(code, octets, size);
        OPENSSL_free(octets);
    }
    zip_discard(zip);
}

void fuzz_zip(const uint8_t *data, size_t size)
{
    int fd = memfd_create("zip", MFD_CLOEXEC);
    uint8_t *octets = NULL;
    size_t octets_size = 0, said = 0;
    char path[64];
    int code;

    DEMAND(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    app_error_sink(hear, &said);
    code = device_zip_read_only(path, "0123456789ABCDEF", &octets, &octets_size);
    DEMAND((code == APP_OK) == (said == 0));
    check_entry(code, octets, octets_size);
    OPENSSL_free(octets);
    read_batch(path);
    app_error_sink(NULL, NULL);
    close(fd);
}
