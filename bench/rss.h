/*
 * rss - resident memory of this process, read without malloc
 */
#ifndef RSS_H
#define RSS_H

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line of /proc/self/smaps_rollup in bytes; exact, where statm is batched per CPU. */
static inline size_t rss_line(const char *name)
{
    char text[2048];
    int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    const char *line;

    if (fd >= 0) {
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    line = strstr(text, name);
    return line != NULL ? (size_t)strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

static inline size_t rss_bytes(void)
{
    return rss_line("\nRss:");
}

/* The part of it in huge pages. */
static inline size_t rss_huge_bytes(void)
{
    return rss_line("\nAnonHugePages:");
}

#endif
