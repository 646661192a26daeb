/*
 * store_request.c: the store's public face for accepted requests and the ECA whitelist: arguments
 * are checked here, and the verdict is given here, once for all back ends.
 */
#include "protocol/ra/store_ops.h"

#include <string.h>

#include <openssl/crypto.h>

#define OCTETS_MAX (1024 * 1024) /* of a certificate, and of a request */
#define ECA_COMMENT_MAX 255

static bool requester_valid(size_t size)
{
    return size == 32 || size == 48;
}

static bool limits_valid(const struct ra_request_limits *limits)
{
    return limits->retention >= 0 && limits->window >= 0;
}

static bool octets_valid(const uint8_t *octets, size_t size)
{
    return octets != NULL && size > 0 && size <= OCTETS_MAX;
}

static bool request_valid(const struct ra_request *request)
{
    return request->kind >= SCMS_PROVISION_PSEUDONYM && request->kind <= SCMS_PROVISION_APP &&
           requester_valid(request->requester_size) &&
           octets_valid(request->certificate, request->certificate_size) &&
           octets_valid(request->signed_request, request->signed_request_size) &&
           memchr(request->permissions, '\0', sizeof request->permissions) != NULL &&
           request->received >= 0;
}

enum ra_request_verdict ra_request_decide(const struct ra_request *request,
                                          const struct ra_request_limits *limits,
                                          const struct ra_request_facts *facts)
{
    if (limits->max_requests != 0 && facts->tries >= (int64_t)limits->max_requests)
        return RA_REQUEST_TOO_MANY;
    if (facts->hash_known || facts->key_known)
        return RA_REQUEST_DUPLICATE;
    if (limits->one_application && request->kind == SCMS_PROVISION_APP && facts->permissions_taken)
        return RA_REQUEST_MULTIPLE;
    return RA_REQUEST_ACCEPTED;
}

enum ra_store_status ra_request_accept(ra_store *store, const struct ra_request *request,
                                       const struct ra_request_limits *limits,
                                       enum ra_request_verdict *verdict)
{
    if (!request_valid(request) || !limits_valid(limits))
        return RA_STORE_ARGUMENT;
    store->window = limits->window;
    return ra_store_counted(store,
                            store->ops->request_accept(store->backend, request, limits, verdict));
}

enum ra_store_status ra_request_count_try(ra_store *store, const uint8_t *requester,
                                          size_t requester_size, int64_t now)
{
    if (!requester_valid(requester_size) || now < 0)
        return RA_STORE_ARGUMENT;
    return ra_store_counted(store,
                            store->ops->request_count_try(store->backend, requester, requester_size,
                                                          now, store->window));
}

enum ra_store_status ra_request_tries(ra_store *store, const uint8_t *requester,
                                      size_t requester_size, int64_t now,
                                      const struct ra_request_limits *limits, bool *too_many)
{
    enum ra_store_status status;
    int64_t count = 0;

    *too_many = false;
    if (!requester_valid(requester_size) || now < 0 || !limits_valid(limits))
        return RA_STORE_ARGUMENT;
    store->window = limits->window;
    if (limits->max_requests == 0)
        return RA_STORE_OK;
    status =
        ra_store_counted(store, store->ops->request_tries(store->backend, requester, requester_size,
                                                          now - limits->window, &count));
    if (status == RA_STORE_OK)
        *too_many = count >= (int64_t)limits->max_requests;
    return status;
}

enum ra_store_status ra_request_each(ra_store *store, enum ra_request_state state,
                                     bool (*each)(void *arg, const struct ra_request *request),
                                     void *arg)
{
    int64_t after = 0;

    if (state < RA_REQUEST_PENDING || state > RA_REQUEST_FAILED)
        return RA_STORE_ARGUMENT;
    for (;;) {
        struct ra_request request = {0};
        uint8_t *octets = NULL;
        enum ra_store_status status = ra_store_counted(
            store, store->ops->request_next(store->backend, state, &after, &request, &octets));
        bool more = status == RA_STORE_OK && each(arg, &request);

        OPENSSL_free(octets);
        if (status == RA_STORE_NOT_FOUND)
            return RA_STORE_OK;
        if (!more)
            return status;
    }
}

enum ra_store_status ra_request_finish(ra_store *store, const uint8_t hash[32],
                                       enum ra_request_state state, const char *detail)
{
    if ((state != RA_REQUEST_READY && state != RA_REQUEST_FAILED) ||
        strlen(detail) >= sizeof((struct ra_request *)NULL)->detail)
        return RA_STORE_ARGUMENT;
    return ra_store_counted(store, store->ops->request_finish(store->backend, hash, state, detail));
}

enum ra_store_status ra_request_find(ra_store *store, const uint8_t request_hash[8],
                                     enum ra_request_state *state, uint8_t requester[48],
                                     size_t *requester_size)
{
    return ra_store_counted(store, store->ops->request_find(store->backend, request_hash, state,
                                                            requester, requester_size));
}

enum ra_store_status ra_eca_add(ra_store *store, const uint8_t hashedid8[8], const char *comment)
{
    if (strlen(comment) > ECA_COMMENT_MAX)
        return RA_STORE_ARGUMENT;
    return ra_store_counted(store, store->ops->eca_add(store->backend, hashedid8, comment));
}

enum ra_store_status ra_eca_remove(ra_store *store, const uint8_t hashedid8[8])
{
    return ra_store_counted(store, store->ops->eca_remove(store->backend, hashedid8));
}

enum ra_store_status
ra_eca_each(ra_store *store,
            bool (*each)(void *arg, const uint8_t hashedid8[8], const char *comment), void *arg)
{
    return ra_store_counted(store, store->ops->eca_each(store->backend, each, arg));
}
