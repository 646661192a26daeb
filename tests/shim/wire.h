/*
 * wire.h: Cryptoki calls as octets, between the module p11shim.so (remote.c) and p11shimd.c.
 *
 * A frame is 32 bits of length, 32 bits of tag and the octets. A request's octets are the number
 * of the function (enum shim_function) and the arguments; a reply carries the request's tag, the
 * CK_RV and what the function gives out. Numbers have 64 bits in the machine's own order, and
 * CK_INFO and its like go as they lie in memory: both ends are of one build on one machine, which
 * the first request of a connection (SHIM_GREETING) says.
 */
#ifndef DOT2HSM_TESTS_SHIM_WIRE_H
#define DOT2HSM_TESTS_SHIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p11-kit/pkcs11.h>

#define WIRE_MAX (1u << 20) /* octets of a frame; more ends the connection */
#define WIRE_COUNT 256      /* attributes of a template, objects of a search */

/* In the arguments of C_Initialize: "shim", and what both ends must agree on. */
#define SHIM_GREETING (UINT64_C(0x7368696d00010000) + SHIM_COUNT * 64 + sizeof(CK_TOKEN_INFO) % 64)

struct wire {
    uint8_t *data;
    size_t size, capacity;
    size_t at; /* read so far */
    bool bad;  /* written over the limit, out of memory, or read past the end */
};

void wire_put_number(struct wire *wire, uint64_t value);
void wire_put_octets(struct wire *wire, const void *data, size_t size);
uint64_t wire_number(struct wire *wire);
/* In the frame, valid as long as it; *size octets. NULL if bad. */
const uint8_t *wire_octets(struct wire *wire, size_t *size);
/* Exactly size octets, copied out. */
void wire_copy(struct wire *wire, void *data, size_t size);
/* Cleanses and frees: a frame may hold a PIN. */
void wire_clear(struct wire *wire);

/* One frame out or in, whole. False if the other side is gone, or sent what is no frame. */
bool wire_send(int fd, uint32_t tag, const struct wire *wire);
bool wire_receive(int fd, uint32_t *tag, struct wire *wire);

#endif
