#include "apps/dot2hsm/ee_zip.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "apps/app.h"

#define ENTRY_MAX 65536u

int device_zip_open(const char *path, zip_int64_t most, zip_t **zip)
{
    int error = 0;
    zip_int64_t count;

    *zip = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &error);
    if (*zip == NULL) {
        app_error("what the RA gave is no zip file");
        return APP_REFUSED;
    }
    count = zip_get_num_entries(*zip, 0);
    if (count >= 1 && count <= most)
        return APP_OK;
    app_error("the zip file has no entries, or too many");
    zip_discard(*zip);
    *zip = NULL;
    return APP_REFUSED;
}

/*
 * libzip compares the CRC, and the size that the file gives, when the end of the entry is read: one
 * octet more is asked for than there may be.
 */
static bool read_all(zip_file_t *file, uint8_t *octets, zip_uint64_t size)
{
    uint8_t more;

    return zip_fread(file, octets, size) == (zip_int64_t)size && zip_fread(file, &more, 1) == 0;
}

int device_zip_read(zip_t *zip, zip_uint64_t index, uint8_t **octets, size_t *size)
{
    zip_file_t *file = NULL;
    zip_stat_t about;
    bool is_right = false;

    *octets = NULL;
    if (zip_stat_index(zip, index, 0, &about) != 0 || (about.valid & ZIP_STAT_SIZE) == 0 ||
        about.size == 0 || about.size > ENTRY_MAX) {
        app_error("an entry of the zip file is empty or too large");
        return APP_REFUSED;
    }
    *octets = OPENSSL_malloc((size_t)about.size);
    file = zip_fopen_index(zip, index, 0);
    if (*octets != NULL && file != NULL)
        is_right = read_all(file, *octets, about.size);
    if (file != NULL && zip_fclose(file) != 0)
        is_right = false;
    if (is_right) {
        *size = (size_t)about.size;
        return APP_OK;
    }
    app_error("an entry of the zip file cannot be read, or is damaged");
    OPENSSL_free(*octets);
    *octets = NULL;
    return APP_REFUSED;
}

int device_zip_read_only(const char *path, const char *name, uint8_t **octets, size_t *size)
{
    zip_t *zip = NULL;
    const char *found;
    int code = device_zip_open(path, 1, &zip);

    *octets = NULL;
    if (code != APP_OK)
        return code;
    found = zip_get_name(zip, 0, 0);
    if (found == NULL || strcasecmp(found, name) != 0) {
        app_error("the zip file has not the one entry %s", name);
        code = APP_REFUSED;
    } else {
        code = device_zip_read(zip, 0, octets, size);
    }
    zip_discard(zip);
    return code;
}

bool device_zip_hex(const char *text, char end, uint32_t *value)
{
    size_t length = strspn(text, "0123456789abcdefABCDEF");

    if (length < 1 || length > 8 || text[length] != end)
        return false;
    *value = (uint32_t)strtoul(text, NULL, 16);
    return true;
}

bool device_zip_name(const struct device_batch *batch, const char *hash, const char *name,
                     uint32_t *j)
{
    const char *line = strchr(name, '_');
    uint32_t i = 0;

    if (line == NULL)
        return false;
    *j = 0;
    if (batch->kind == DEVICE_PSEUDONYM)
        return device_zip_hex(name, '_', &i) && i == batch->i &&
               device_zip_hex(line + 1, '\0', j) && *j < DEVICE_BATCH_MAX;
    return (size_t)(line - name) == strlen(hash) && strncasecmp(name, hash, strlen(hash)) == 0 &&
           device_zip_hex(line + 1, '\0', &i) && i == batch->i;
}
