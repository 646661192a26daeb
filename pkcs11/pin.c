#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "pkcs11/internal.h"

static size_t page_size(void)
{
    long size = sysconf(_SC_PAGESIZE);

    return size > 0 ? (size_t)size : 4096;
}

struct p11_pin *p11_pin_new(void)
{
    size_t size = page_size();
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    p11_pin_lock(page);
    (void)madvise(page, size, MADV_DONTDUMP);
    return page;
}

void p11_pin_lock(struct p11_pin *pin)
{
    /* A process may be allowed to lock no memory at all; the PIN is still kept out of dumps. */
    if (pin != NULL)
        (void)mlock(pin, page_size());
}

void p11_pin_free(struct p11_pin *pin)
{
    while (pin != NULL) {
        struct p11_pin *next = pin->next;

        OPENSSL_cleanse(pin, sizeof(*pin));
        munmap(pin, page_size());
        pin = next;
    }
}

bool p11_pin_equal(const struct p11_pin *a, const struct p11_pin *b)
{
    return a != NULL && b != NULL && a->size == b->size &&
           CRYPTO_memcmp(a->octets, b->octets, a->size) == 0;
}

/* The argument of a source of this scheme, or NULL. */
static const char *scheme(const char *source, const char *name)
{
    size_t size = strlen(name);

    return strncmp(source, name, size) == 0 ? source + size : NULL;
}

bool p11_pin_source_valid(const char *source)
{
    const char *rest;

    if ((rest = scheme(source, "env:")) != NULL)
        return rest[0] != '\0' && strchr(rest, '=') == NULL;
    if ((rest = scheme(source, "credential:")) != NULL)
        return rest[0] != '\0' && strchr(rest, '/') == NULL && strcmp(rest, ".") != 0 &&
               strcmp(rest, "..") != 0;
    if ((rest = scheme(source, "file:")) != NULL)
        return rest[0] != '\0' && (strncmp(rest, "//", 2) != 0 || rest[2] == '/');
    /* RFC 7512 leaves other schemes and "|program" to the implementation: not here. */
    return source[0] != '\0' && source[0] != '|' &&
           (strchr(source, ':') == NULL || source[0] == '/' || source[0] == '.');
}

static enum p11_status read_file(struct p11_op *op, const char *path, mode_t forbidden,
                                 struct p11_pin *pin)
{
    enum p11_status status = P11_OK;
    struct stat info;
    size_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, &info) != 0) {
        status = p11_fail(op, P11_E_PIN_SOURCE, "PIN file %s: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        status = p11_fail(op, P11_E_PIN_SOURCE, "PIN file %s: not a regular file", path);
        goto out;
    }
    if (info.st_uid != geteuid() && info.st_uid != 0) {
        status = p11_fail(op, P11_E_PIN_SOURCE, "PIN file %s: belongs to another user", path);
        goto out;
    }
    if ((info.st_mode & forbidden) != 0) {
        status = p11_fail(op, P11_E_PIN_SOURCE,
                          "PIN file %s: mode %04o lets others in, it must be 0600 or 0400", path,
                          (unsigned)(info.st_mode & 07777));
        goto out;
    }
    while (size < sizeof(pin->octets)) {
        ssize_t n = read(fd, pin->octets + size, sizeof(pin->octets) - size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            status = p11_fail(op, P11_E_PIN_SOURCE, "PIN file %s: %s", path, strerror(errno));
            goto out;
        }
        if (n == 0)
            break;
        size += (size_t)n;
    }
    if (size > 0 && pin->octets[size - 1] == '\n')
        size--;
    if (size > P11_PIN_MAX || size == 0)
        status = p11_fail(op, P11_E_PIN_SOURCE, "PIN file %s: %s", path,
                          size == 0 ? "empty" : "longer than 255 octets");
    pin->size = size;
out:
    if (fd >= 0)
        close(fd);
    return status;
}

static enum p11_status take_string(struct p11_op *op, const char *what, const char *value,
                                   struct p11_pin *pin)
{
    size_t size = strlen(value);

    if (size == 0 || size > P11_PIN_MAX)
        return p11_fail(op, P11_E_PIN_SOURCE, "%s: %s", what,
                        size == 0 ? "empty" : "longer than 255 octets");
    memcpy(pin->octets, value, size);
    pin->size = size;
    return P11_OK;
}

static enum p11_status read_source(struct p11_op *op, const char *source, struct p11_pin *pin)
{
    const char *rest;
    const char *value;
    char path[4096];

    if ((rest = scheme(source, "env:")) != NULL) {
        value = getenv(rest);
        if (value == NULL)
            return p11_fail(op, P11_E_PIN_SOURCE, "environment variable %s is not set", rest);
        return take_string(op, source, value, pin);
    }
    if ((rest = scheme(source, "credential:")) != NULL) {
        value = getenv("CREDENTIALS_DIRECTORY");
        if (value == NULL)
            return p11_fail(op, P11_E_PIN_SOURCE, "CREDENTIALS_DIRECTORY is not set");
        if ((size_t)snprintf(path, sizeof(path), "%s/%s", value, rest) >= sizeof(path))
            return p11_fail(op, P11_E_PIN_SOURCE, "the credential's path is too long");
        /* systemd grants its user by an ACL, and stat then shows the ACL's mask as group bits. */
        return read_file(op, path, 037, pin);
    }
    if ((rest = scheme(source, "file:")) != NULL)
        source = strncmp(rest, "//", 2) == 0 ? rest + 2 : rest;
    return read_file(op, source, 077, pin);
}

enum p11_status p11_pin_obtain(struct p11_op *op, const struct p11_uri *uri, p11_pin_fn *prompt,
                               void *prompt_arg, const char *token_label, struct p11_pin **result)
{
    const struct p11_uri *default_token = op->ctx->token;
    const char *source = NULL;
    const struct p11_pin *value = NULL;
    struct p11_pin *pin = NULL;
    enum p11_status status = P11_OK;
    bool had = true;

    *result = NULL;
    if (uri->pin != NULL)
        value = uri->pin;
    else if (uri->values[P11_URI_PIN_SOURCE].octets != NULL)
        source = uri->values[P11_URI_PIN_SOURCE].octets;
    else if (default_token != NULL && default_token->pin != NULL)
        value = default_token->pin;
    else if (default_token != NULL && default_token->values[P11_URI_PIN_SOURCE].octets != NULL)
        source = default_token->values[P11_URI_PIN_SOURCE].octets;
    else
        source = op->ctx->pin_source;
    if (value == NULL && source == NULL && prompt == NULL)
        return P11_OK;
    pin = p11_pin_new();
    if (pin == NULL)
        return p11_fail(op, P11_E_MEMORY, "no page for the PIN: %s", strerror(errno));
    if (value != NULL)
        *pin = *value;
    else if (source != NULL)
        status = read_source(op, source, pin);
    else
        pin->typed = had = prompt(prompt_arg, token_label, pin->octets, P11_PIN_MAX, &pin->size);
    if (status == P11_OK && (!had || pin->size > P11_PIN_MAX))
        status = p11_fail(op, P11_E_PIN_SOURCE, "the prompt gave no PIN");
    if (status == P11_OK)
        *result = pin;
    else
        p11_pin_free(pin);
    return status;
}
