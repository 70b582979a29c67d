/*
 * sockets - where the server listens: addresses, a path, and what systemd passed on
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

struct socket {
    int fd;
    bool is_unix;
    bool is_loopback;  /* nobody else can reach it */
    char name[160];    /* "http://127.0.0.1:9202", or the path: fit to print */
    char address[128]; /* "127.0.0.1:9202" */
    char path[128];    /* to be removed at the end, "": none */
};

/*
 * "ADDR:PORT", "[::1]:9202", ":9202" (all addresses), "9202" (loopback); port 0: any that is free.
 * EXIT_FINE, or an exit code after a line.
 */
int sockets_listen(const char *text, struct socket *ret);

/* Of mode 0600. A socket without a server is replaced; a file that is none, is not. */
int sockets_listen_unix(const char *path, struct socket *ret);

/* LISTEN_FDS of systemd: at most `most`; *ret_count 0 without. The variables are removed. */
int sockets_inherit(struct socket *ret, size_t most, size_t *ret_count);

void sockets_close(struct socket *s);

#endif
