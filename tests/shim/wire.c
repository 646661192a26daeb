#include "tests/shim/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Modules read a CK_ULONG where an attribute's value lies: everything begins at a multiple of 8. */
#define PADDING(size) ((8 - (size) % 8) % 8)

static bool reserve(struct wire *wire, size_t more)
{
    size_t capacity = wire->capacity == 0 ? 256 : wire->capacity;
    uint8_t *data = NULL;

    if (wire->bad || more > WIRE_MAX || wire->size + more > WIRE_MAX) {
        wire->bad = true;
        return false;
    }
    while (capacity < wire->size + more)
        capacity *= 2;
    if (wire->data != NULL && capacity == wire->capacity)
        return true;
    data = malloc(capacity);
    if (data == NULL) {
        wire->bad = true;
        return false;
    }
    /* Not realloc: it would leave a PIN behind. */
    if (wire->data != NULL) {
        memcpy(data, wire->data, wire->size);
        explicit_bzero(wire->data, wire->capacity);
        free(wire->data);
    }
    wire->data = data;
    wire->capacity = capacity;
    return true;
}

void wire_put_number(struct wire *wire, uint64_t value)
{
    if (!reserve(wire, sizeof value))
        return;
    memcpy(wire->data + wire->size, &value, sizeof value);
    wire->size += sizeof value;
}

void wire_put_octets(struct wire *wire, const void *data, size_t size)
{
    size_t padding = PADDING(size);

    wire_put_number(wire, size);
    if (size == 0 || size > WIRE_MAX || !reserve(wire, size + padding)) {
        wire->bad = wire->bad || size > WIRE_MAX;
        return;
    }
    memcpy(wire->data + wire->size, data, size);
    memset(wire->data + wire->size + size, 0, padding);
    wire->size += size + padding;
}

uint64_t wire_number(struct wire *wire)
{
    uint64_t value = 0;

    if (wire->bad || wire->size - wire->at < sizeof value) {
        wire->bad = true;
        return 0;
    }
    memcpy(&value, wire->data + wire->at, sizeof value);
    wire->at += sizeof value;
    return value;
}

const uint8_t *wire_octets(struct wire *wire, size_t *size)
{
    uint64_t n = wire_number(wire);
    const uint8_t *data = NULL;

    *size = 0;
    if (wire->bad || n > WIRE_MAX || wire->size - wire->at < n + PADDING(n)) {
        wire->bad = true;
        return NULL;
    }
    data = wire->data + wire->at;
    wire->at += (size_t)(n + PADDING(n));
    *size = (size_t)n;
    return data;
}

void wire_copy(struct wire *wire, void *data, size_t size)
{
    size_t n = 0;
    const uint8_t *from = wire_octets(wire, &n);

    if (from == NULL || n != size)
        wire->bad = true;
    else if (size > 0)
        memcpy(data, from, size);
}

void wire_clear(struct wire *wire)
{
    if (wire->data != NULL)
        explicit_bzero(wire->data, wire->capacity);
    free(wire->data);
    memset(wire, 0, sizeof *wire);
}

static bool send_all(int fd, const void *data, size_t size)
{
    const uint8_t *from = data;

    while (size > 0) {
        /* The caller may be a program that has not ignored SIGPIPE. */
        ssize_t n = send(fd, from, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        from += n;
        size -= (size_t)n;
    }
    return true;
}

static bool receive_all(int fd, void *data, size_t size)
{
    uint8_t *to = data;

    while (size > 0) {
        ssize_t n = recv(fd, to, size, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        size -= (size_t)n;
    }
    return true;
}

bool wire_send(int fd, uint32_t tag, const struct wire *wire)
{
    uint32_t head[2] = {(uint32_t)wire->size, tag};

    return !wire->bad && send_all(fd, head, sizeof head) && send_all(fd, wire->data, wire->size);
}

bool wire_receive(int fd, uint32_t *tag, struct wire *wire)
{
    uint32_t head[2] = {0, 0};

    memset(wire, 0, sizeof *wire);
    if (!receive_all(fd, head, sizeof head) || head[0] == 0 || head[0] > WIRE_MAX ||
        !reserve(wire, head[0]))
        return false;
    *tag = head[1];
    wire->size = head[0];
    if (receive_all(fd, wire->data, wire->size))
        return true;
    wire_clear(wire);
    return false;
}
