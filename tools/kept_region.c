#include "kept_region.h"

#include "must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { ATTEMPTS = 5 };
/* The largest that the library makes is 104 MiB; who writes the file may make it longer. */
#define REGION_MAX (192ull << 20)

/* ---- bytes ---- */

static void add_bytes(struct kept_bytes *b, const void *data, size_t count)
{
    if (b->count + count > b->room) {
        b->room = 2 * (b->count + count);
        b->data = must(realloc(b->data, b->room));
    }
    memcpy(b->data + b->count, data, count);
    b->count += count;
}

/* How long it was, and zlib's stream. */
struct kept_bytes kept_pack(const struct kept_bytes *plain)
{
    uLongf length = compressBound(plain->count);
    uint64_t count = plain->count;
    struct kept_bytes packed = {.data = must(malloc(sizeof(count) + length))};

    memcpy(packed.data, &count, sizeof(count));
    if (compress2(packed.data + sizeof(count), &length, plain->data, plain->count, 6)
        != Z_OK) {
        must(NULL);
    }
    packed.count = sizeof(count) + length;
    return packed;
}

bool kept_unpack(const void *packed, size_t bytes, struct kept_bytes *ret)
{
    uint64_t count = 0;
    uLongf length;

    if (packed != NULL && bytes > sizeof(count)) {
        memcpy(&count, packed, sizeof(count));
    }
    if (count == 0 || count > REGION_MAX) {
        return false;
    }
    *ret = (struct kept_bytes){.data = must(malloc(count + 1)), .count = count};
    length = count;
    if (uncompress(ret->data, &length, (const unsigned char *)packed + sizeof(count),
            bytes - sizeof(count))
            != Z_OK
        || length != count) {
        free(ret->data);
        *ret = (struct kept_bytes){0};
        return false;
    }
    ret->data[count] = '\0';
    return true;
}

/* ---- regions ---- */

/* A piece of the file: offset and length, then the bytes. */
static int read_pieces(int fd, struct kept_bytes *ret)
{
    off_t end = lseek(fd, 0, SEEK_END);
    off_t at = 0;
    char buffer[65536];

    ret->count = 0;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
        off_t hole = lseek(fd, at, SEEK_HOLE);
        uint64_t head[2] = {(uint64_t)at, (uint64_t)(hole - at)};

        if (hole <= at || ret->count + head[1] > REGION_MAX) {
            return -EFBIG;
        }
        add_bytes(ret, head, sizeof(head));
        while (at < hole) {
            ssize_t n = pread(fd, buffer,
                hole - at < (off_t)sizeof(buffer) ? (size_t)(hole - at)
                                                  : sizeof(buffer),
                at);

            if (n <= 0) {
                return n < 0 ? -errno : -EBADMSG;
            }
            add_bytes(ret, buffer, (size_t)n);
            at += n;
        }
    }
    /* Nothing at its end: so long the file is, which may end in a hole. */
    add_bytes(ret, (uint64_t[2]){(uint64_t)end, 0}, 2 * sizeof(uint64_t));
    return 0;
}

/* To a file in memory; -EBADMSG if it is none. */
static int write_pieces(const struct kept_bytes *b, int *ret_fd)
{
    int fd = memfd_create("mpalloc-baseline", MFD_CLOEXEC);
    int code = fd >= 0 ? 0 : -errno;
    uint64_t head[2];

    for (size_t at = 0; code == 0 && at < b->count; at += head[1]) {
        if (b->count - at < sizeof(head)) {
            code = -EBADMSG;
            break;
        }
        memcpy(head, b->data + at, sizeof(head));
        at += sizeof(head);
        if (head[1] > b->count - at || head[0] > REGION_MAX) {
            code = -EBADMSG;
        } else if (head[1] == 0 ? ftruncate(fd, (off_t)head[0]) != 0
                                : pwrite(fd, b->data + at, head[1], (off_t)head[0])
                                      != (ssize_t)head[1]) {
            code = errno != 0 ? -errno : -EIO;
        }
    }
    *ret_fd = fd;
    return code;
}

int kept_image(const struct kept_bytes *b, const char *name, mp_image_t **ret,
    struct mp_error *error)
{
    int fd = -1;
    int code = write_pieces(b, &fd);

    if (code == 0) {
        code = mp_image_read(fd, name, ret, error);
    }
    if (fd >= 0) {
        close(fd);
    }
    return code;
}

/*
 * It is another's file, and its path may lead to something else by now: nothing that blocks, and no
 * link but those of /proc.
 */
static int open_region(const char *path)
{
    int follow = strncmp(path, "/proc/", 6) == 0 ? 0 : O_NOFOLLOW;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | follow);
    struct stat st;

    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EBADMSG;
    }
    return fd;
}

int kept_capture(const char *path, struct kept_bytes *ret, mp_image_t **ret_image,
    struct mp_error *error)
{
    const unsigned torn = MP_IMAGE_TORN_TOTALS | MP_IMAGE_MIXED | MP_IMAGE_TORN_SAMPLES;
    int code = 0;

    *ret_image = NULL;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        int fd = open_region(path);

        mp_image_free(*ret_image);
        *ret_image = NULL;
        if (fd < 0) {
            return fd;
        }
        code = read_pieces(fd, ret);
        close(fd);
        if (code != 0) {
            break;
        }
        code = kept_image(ret, path, ret_image, error);
        if (code == 0 && (mp_image_flags(*ret_image) & torn) == 0) {
            break;
        }
    }
    return code;
}
