/*
 * p11shimd.c: tokens in a process of their own, for p11shim.so with SHIM_SOCKET.
 *
 *   p11shimd SOCKET MODULE
 *
 * Each connection, which is a client process, gets a child of the server with the module loaded in
 * it: its login and its sessions are its own, and end with the connection, after the calls that are
 * under way then. Within a child a call takes one of its threads until the module returns, so that
 * calls wait for nobody but the module.
 * Ends on SIGTERM, its children with it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/shim/serve.h"

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = -1;

    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "p11shimd: %s is too long for a socket\n", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    (void)umask(077);
    (void)unlink(path); /* of a server that was killed */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 64) != 0) {
        perror(path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

int main(int argc, char **argv)
{
    pid_t self = getpid();
    int listener = -1;

    if (argc != 3) {
        fprintf(stderr, "usage: p11shimd SOCKET MODULE\n");
        return 2;
    }
    (void)signal(SIGCHLD, SIG_IGN);
    listener = listen_at(argv[1]);
    if (listener < 0)
        return 2;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pid_t pid = -1;

        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            perror("p11shimd: accept");
            return 2;
        }
        pid = fork();
        if (pid == 0) {
            close(listener);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == self)
                serve(fd, argv[2]);
            _exit(0);
        }
        if (pid < 0)
            perror("p11shimd: fork");
        close(fd);
    }
}
