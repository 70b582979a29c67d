#include "sockets.h"

#include "../cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, FIRST_INHERITED = 3 };

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_un path;
};

static int fail_as(int error)
{
    return error == EACCES || error == EPERM ? EXIT_NOT_PERMITTED : EXIT_FAILED;
}

static bool is_loopback(const union address *a)
{
    if (a->any.sa_family == AF_INET) {
        return ntohl(a->four.sin_addr.s_addr) >> 24 == 127;
    }
    return a->any.sa_family == AF_UNIX
           || (a->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->six.sin6_addr));
}

/* What it is called, as it is in use: port 0 is another by now. */
static void name_socket(struct socket *s)
{
    union address a = {.any.sa_family = AF_UNSPEC};
    socklen_t bytes = sizeof(a);
    char text[INET6_ADDRSTRLEN] = "?";

    getsockname(s->fd, &a.any, &bytes);
    s->is_unix = a.any.sa_family == AF_UNIX;
    s->is_loopback = is_loopback(&a);
    if (a.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a.four.sin_addr, text, sizeof(text));
        snprintf(s->address, sizeof(s->address), "%s:%u", text, ntohs(a.four.sin_port));
    } else if (a.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a.six.sin6_addr, text, sizeof(text));
        snprintf(
            s->address, sizeof(s->address), "[%s]:%u", text, ntohs(a.six.sin6_port));
    } else if (s->is_unix) {
        snprintf(s->address, sizeof(s->address), "%s", a.path.sun_path);
    }
}

/* ---- addresses ---- */

/* False: that is none. */
static bool cut_address(
    const char *text, char *host, size_t size, const char **ret_port)
{
    const char *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;

    *ret_port = colon != NULL ? colon + 1 : text;
    if ((*ret_port)[0] == '\0' || (*ret_port)[strspn(*ret_port, "0123456789")] != '\0'
        || strlen(*ret_port) > 5 || atoi(*ret_port) > 65535) {
        return false;
    }
    if (colon == NULL) {
        snprintf(host, size, "127.0.0.1");
        return true;
    }
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    } else if (memchr(text, ':', length) != NULL) {
        return false; /* an address of IPv6 stands in brackets */
    }
    if (length >= size) {
        return false;
    }
    memcpy(host, text, length);
    host[length] = '\0';
    return true;
}

static int bind_one(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    int off = 0;

    if (fd < 0) {
        return -errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->ai_family
        == AF_INET6) { /* [::] is both, wherever the system is set otherwise */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int code = -errno;

        close(fd);
        return code;
    }
    return fd;
}

int sockets_listen(const char *text, struct socket *ret)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *port;
    char host[256];
    int code;

    if (!cut_address(text, host, sizeof(host), &port)) {
        return cli_fail("serve", EXIT_USAGE,
            "\"%s\" is no address: give ADDR:PORT, such as 127.0.0.1:9202 or "
            "[::1]:9202",
            text);
    }
    code = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &found);
    if (code != 0) {
        return cli_fail("serve", EXIT_USAGE, "%s: %s: %s", text, host,
            code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    }
    *ret = (struct socket){.fd = bind_one(found)};
    freeaddrinfo(found);
    if (ret->fd < 0) {
        code = -ret->fd;
        return cli_fail("serve", fail_as(code), "cannot listen on %s: %s%s", text,
            strerror(code),
            code == EADDRINUSE ? "; is another server there? Choose another port" : "");
    }
    name_socket(ret);
    return EXIT_FINE;
}

/* ---- a path ---- */

/* One that a server left when it was killed: nobody accepts. */
static bool is_deserted(const union address *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;
    bool deserted;

    deserted = fd >= 0 && lstat(a->path.sun_path, &st) == 0 && S_ISSOCK(st.st_mode)
               && st.st_uid == geteuid() && connect(fd, &a->any, sizeof(a->path)) != 0
               && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return deserted;
}

int sockets_listen_unix(const char *path, struct socket *ret)
{
    union address a = {.path = {.sun_family = AF_UNIX}};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before;
    int code;

    if (strlen(path) >= sizeof(a.path.sun_path) || path[0] == '\0') {
        close(fd);
        return cli_fail("serve", EXIT_USAGE,
            "%s: the path of a socket has at most %zu bytes", path,
            sizeof(a.path.sun_path) - 1);
    }
    strcpy(a.path.sun_path, path);
    if (is_deserted(&a)) {
        unlink(path);
    }
    before = umask(0177);
    code = fd < 0 || bind(fd, &a.any, sizeof(a.path)) != 0 || listen(fd, BACKLOG) != 0
               ? errno
               : 0;
    umask(before);
    if (code != 0) {
        close(fd);
        return cli_fail(
            "serve", fail_as(code), "cannot listen on %s: %s", path, strerror(code));
    }
    *ret = (struct socket){.fd = fd};
    name_socket(ret);
    strcpy(ret->path, path);
    return EXIT_FINE;
}

/* ---- systemd ---- */

int sockets_inherit(struct socket *ret, size_t most, size_t *ret_count)
{
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    long count =
        pid != NULL && fds != NULL && atol(pid) == (long)getpid() ? atol(fds) : 0;

    *ret_count = 0;
    if (count < 0 || (size_t)count > most) {
        return cli_fail("serve", EXIT_FAILED,
            "LISTEN_FDS is %ld: at most %zu sockets are taken", count, most);
    }
    for (int fd = FIRST_INHERITED; fd < FIRST_INHERITED + count; fd++) {
        int type = 0;
        int accepts = 0;
        socklen_t bytes = sizeof(type);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) != 0
            || type != SOCK_STREAM
            || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &bytes) != 0
            || accepts == 0) {
            return cli_fail("serve", EXIT_FAILED,
                "descriptor %d of LISTEN_FDS is no stream socket that listens", fd);
        }
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        ret[*ret_count] = (struct socket){.fd = fd};
        name_socket(&ret[(*ret_count)++]);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return EXIT_FINE;
}

void sockets_close(struct socket *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    if (s->path[0] != '\0') {
        unlink(s->path);
    }
    *s = (struct socket){.fd = -1};
}
