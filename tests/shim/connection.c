/*
 * connection.c: one connection for the process, any number of calls on it at once.
 *
 * Each call has a tag. Of the threads that wait for replies one reads, and hands what is not its
 * own to the others; so a call that the server does not answer holds nobody else.
 */
#include "tests/shim/remote.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/shim/shim.h"

struct waiter {
    struct waiter *next;
    uint32_t tag;
    struct wire *reply;
    bool done;
};

struct connection {
    int fd;
    pid_t pid;      /* whose it is: a forked child has a copy and must not use it */
    int references; /* under `global` */
    pthread_mutex_t sending;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t cond;
    struct waiter *waiters;
    uint32_t next_tag;
    bool reading; /* a thread is in wire_receive() */
    bool dead;
};

static const char *socket_path;
static struct connection *current;
static pthread_mutex_t global = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void)
{
    pthread_mutex_lock(&global);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&global);
}

void connection_setup(const char *path)
{
    socket_path = path;
    pthread_atfork(before_fork, after_fork, after_fork);
}

static void release_locked(struct connection *connection)
{
    if (--connection->references > 0)
        return;
    close(connection->fd);
    pthread_mutex_destroy(&connection->sending);
    pthread_mutex_destroy(&connection->lock);
    pthread_cond_destroy(&connection->cond);
    free(connection);
}

static struct connection *acquire(void)
{
    struct connection *connection = NULL;

    pthread_mutex_lock(&global);
    if (current != NULL && current->pid == getpid()) {
        connection = current;
        connection->references++;
    }
    pthread_mutex_unlock(&global);
    return connection;
}

static void release(struct connection *connection)
{
    pthread_mutex_lock(&global);
    release_locked(connection);
    pthread_mutex_unlock(&global);
}

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = -1;

    if (strlen(socket_path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* C_Initialize of the server, on a connection that nobody else has yet. */
static CK_RV greet(int fd)
{
    struct wire request = {0}, reply = {0};
    CK_RV rv = CKR_DEVICE_REMOVED;
    uint32_t tag = 0;

    wire_put_number(&request, SHIM_C_Initialize);
    wire_put_number(&request, SHIM_GREETING);
    if (wire_send(fd, 0, &request) && wire_receive(fd, &tag, &reply)) {
        rv = (CK_RV)wire_number(&reply);
        if (reply.bad)
            rv = CKR_DEVICE_ERROR;
    }
    wire_clear(&request);
    wire_clear(&reply);
    return rv;
}

CK_RV connection_open(void)
{
    struct connection *new = NULL;
    CK_RV rv = CKR_OK;

    pthread_mutex_lock(&global);
    if (current != NULL && current->pid == getpid()) {
        rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
        goto out;
    }
    if (current != NULL) {
        /* The parent's: its locks may be held by threads that are not here. */
        close(current->fd);
        free(current);
        current = NULL;
    }
    new = calloc(1, sizeof *new);
    if (new == NULL) {
        rv = CKR_HOST_MEMORY;
        goto out;
    }
    new->fd = dial();
    rv = new->fd < 0 ? CKR_DEVICE_REMOVED : greet(new->fd);
    if (rv != CKR_OK) {
        if (new->fd >= 0)
            close(new->fd);
        free(new);
        goto out;
    }
    new->pid = getpid();
    new->references = 1;
    pthread_mutex_init(&new->sending, NULL);
    pthread_mutex_init(&new->lock, NULL);
    pthread_cond_init(&new->cond, NULL);
    current = new;
out:
    pthread_mutex_unlock(&global);
    return rv;
}

CK_RV connection_close(void)
{
    struct connection *connection = acquire();

    if (connection == NULL)
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    /* Wakes the reader, and ends the server's process for us, and with it all sessions. */
    shutdown(connection->fd, SHUT_RDWR);
    pthread_mutex_lock(&global);
    if (current == connection) {
        current = NULL;
        connection->references--; /* that of `current` */
    }
    release_locked(connection);
    pthread_mutex_unlock(&global);
    return CKR_OK;
}

/* Reads one frame, without the lock, and gives it to whom it belongs. */
static void read_one(struct connection *connection)
{
    struct waiter **place = NULL;
    struct wire frame = {0};
    uint32_t tag = 0;
    bool ok;

    connection->reading = true;
    pthread_mutex_unlock(&connection->lock);
    ok = wire_receive(connection->fd, &tag, &frame);
    pthread_mutex_lock(&connection->lock);
    connection->reading = false;
    for (place = &connection->waiters; ok && *place != NULL; place = &(*place)->next) {
        if ((*place)->tag != tag)
            continue;
        *(*place)->reply = frame;
        (*place)->done = true;
        *place = (*place)->next;
        memset(&frame, 0, sizeof frame);
        break;
    }
    if (!ok || frame.data != NULL)
        connection->dead = true; /* gone, or an answer that nobody asked for */
    wire_clear(&frame);
    pthread_cond_broadcast(&connection->cond);
}

static bool exchange(struct connection *connection, struct wire *request, struct wire *reply)
{
    struct waiter waiter = {.reply = reply};
    struct waiter **place = NULL;
    bool sent;

    pthread_mutex_lock(&connection->lock);
    waiter.tag = ++connection->next_tag;
    waiter.next = connection->waiters;
    connection->waiters = &waiter;
    sent = !connection->dead;
    pthread_mutex_unlock(&connection->lock);
    if (sent) {
        pthread_mutex_lock(&connection->sending);
        sent = wire_send(connection->fd, waiter.tag, request);
        pthread_mutex_unlock(&connection->sending);
    }
    pthread_mutex_lock(&connection->lock);
    connection->dead = connection->dead || !sent;
    while (!waiter.done && !connection->dead) {
        if (connection->reading)
            pthread_cond_wait(&connection->cond, &connection->lock);
        else
            read_one(connection);
    }
    for (place = &connection->waiters; *place != NULL; place = &(*place)->next) {
        if (*place == &waiter) {
            *place = waiter.next;
            break;
        }
    }
    pthread_cond_broadcast(&connection->cond); /* somebody else must read now */
    pthread_mutex_unlock(&connection->lock);
    return waiter.done;
}

CK_RV connection_call(struct wire *request, struct wire *reply)
{
    struct connection *connection = acquire();
    CK_RV rv = CKR_DEVICE_REMOVED;

    memset(reply, 0, sizeof *reply);
    if (connection == NULL) {
        wire_clear(request);
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    }
    if (request->bad)
        rv = CKR_ARGUMENTS_BAD; /* larger than a frame */
    else if (exchange(connection, request, reply))
        rv = (CK_RV)wire_number(reply);
    wire_clear(request);
    release(connection);
    return reply->bad ? CKR_DEVICE_ERROR : rv;
}
