/*
 * notify.c: what systemd is told (sd_notify(3)): one datagram to the socket that it names.
 */
#include "apps/ra/ra_app.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

void ra_app_notify(const char *state)
{
    const char *path = secure_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path == NULL ? 0 : strlen(path);
    int fd;

    if (length == 0)
        return;
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path) {
        ra_app_say(LOG_WARNING, "event=not_notified detail=\"NOTIFY_SOCKET is no socket's name\"");
        return;
    }
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') /* in the abstract name space */
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        ra_app_say(LOG_WARNING, "event=not_notified detail=\"NOTIFY_SOCKET takes nothing\"");
    if (fd >= 0)
        close(fd);
}
