/*
 * mailbox - asking a running process for something
 *
 * The only place that writes to a region: three words of the mailbox section.
 */
#include "image.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 20, PATIENCE_MS = 2000, CHECK_PATIENCE_MS = 10000 };

/* Who is told, once, what is waited for. */
struct listener {
    void (*tell)(const char *text, void *arg); /* NULL: nobody */
    void *arg;
};

static uint64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Greater than any before it: two tools at the same time must not share a number. */
static uint64_t next_request(const struct mp_region_mailbox *m, unsigned operation)
{
    struct timespec t;
    uint64_t serial;

    clock_gettime(CLOCK_REALTIME, &t);
    serial = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
    if (serial <= m->request >> 8) {
        serial = (m->request >> 8) + 1;
    }
    return serial << 8 | operation;
}

static int write_word(int fd, uint64_t offset, uint64_t value)
{
    return pwrite(fd, &value, sizeof(value), (off_t)offset) == sizeof(value) ? 0
                                                                             : -errno;
}

/* The argument and its check first: the process believes them when it sees the request. */
static int post(const struct mp_image *image, const struct source *s,
    unsigned operation, uint64_t argument, uint64_t *ret_request,
    struct mp_error *error)
{
    uint64_t offset = image->layout.section[MP_SECTION_MAILBOX].offset;
    struct mp_region_mailbox m;
    uint64_t key;
    int code = source_read(s, &m, sizeof(m), offset, error);

    if (code != 0) {
        return code;
    }
    memcpy(&key, image->process.run_id, sizeof(key));
    m.argument = argument;
    m.request = next_request(&m, operation);
    m.check = (m.request * 0x9e3779b97f4a7c15u) ^ m.argument ^ key;
    code = write_word(
        s->fd, offset + offsetof(struct mp_region_mailbox, argument), m.argument);
    code = code != 0 ? code
                     : write_word(s->fd,
                         offset + offsetof(struct mp_region_mailbox, check), m.check);
    code = code != 0
               ? code
               : write_word(s->fd, offset + offsetof(struct mp_region_mailbox, request),
                   m.request);
    *ret_request = m.request;
    return code == 0 ? 0
                     : text_fail(error, code, "%s: cannot be written: %s", s->name,
                         strerror(-code));
}

static void tell(struct listener *who, const char *format, unsigned long long pid)
{
    char text[256];

    if (who->tell != NULL) {
        snprintf(text, sizeof(text), format, pid);
        who->tell(text, who->arg);
        who->tell = NULL;
    }
}

static int wait_for(const struct mp_image *image, const struct source *s,
    uint64_t request, struct listener who, unsigned timeout_ms, uint64_t *ret_result,
    struct mp_error *error)
{
    uint64_t tell_ms = clock_ms() + PATIENCE_MS;
    uint64_t offset = image->layout.section[MP_SECTION_TOTALS].offset;
    uint64_t until = clock_ms() + timeout_ms;
    struct timespec pause = {0, LOOK_MS * 1000000L};
    struct mp_region_totals t;

    for (;;) {
        int code = source_read_stable(s, &t, sizeof(t), offset, error);

        if (code < 0) {
            return code;
        }
        if (code == 0 && t.mailbox_seen == request) {
            *ret_result = t.mailbox_result;
            return 0;
        }
        if (mp_image_life(image) != MP_LIFE_RUNNING) {
            return text_fail(error, -ESRCH, "process %llu: ended meanwhile",
                (unsigned long long)image->process.pid);
        }
        if (clock_ms() >= until) {
            return text_fail(error, -ETIMEDOUT,
                "process %llu: did not enter the allocator's slow path within %u ms; "
                "it will do it when it does",
                (unsigned long long)image->process.pid, timeout_ms);
        }
        if (clock_ms() >= tell_ms) {
            tell(&who,
                "process %llu: waiting until it allocates or frees: it looks at "
                "requests in "
                "the allocator's slow path (an idle one with several threads does with "
                "MPALLOC_HOUSEKEEPER=1)",
                (unsigned long long)image->process.pid);
        }
        nanosleep(&pause, NULL);
    }
}

static int ask(const struct mp_image *image, int fd, const char *path,
    unsigned operation, uint64_t argument, struct listener who, unsigned timeout_ms,
    uint64_t *ret_result, struct mp_error *error)
{
    struct source s;
    uint64_t request = 0;
    int code;

    if (mp_image_life(image) != MP_LIFE_RUNNING) {
        return text_fail(error, -ESRCH, "process %llu: runs no more (%s)",
            (unsigned long long)image->process.pid, mp_life_name(mp_image_life(image)));
    }
    if (image->layout.section[MP_SECTION_MAILBOX].count == 0) {
        return text_fail(error, -ENOTSUP, "%s: has no mailbox", path);
    }
    code = source_init(&s, fd, path, error);
    code = code != 0 ? code : post(image, &s, operation, argument, &request, error);
    return code != 0 ? code
                     : wait_for(image, &s, request, who, timeout_ms, ret_result, error);
}

static int request_of(const char *path, unsigned operation, uint64_t argument,
    unsigned timeout_ms, uint64_t *ret_result, struct mp_error *error)
{
    mp_image_t *image = NULL;
    int fd = -1;
    int code = source_open(path, true, &fd, error);

    *ret_result = 0;
    if (code != 0) {
        return code;
    }
    code = mp_image_read(fd, path, &image, error);
    if (code == 0) {
        code = ask(image, fd, path, operation, argument, (struct listener){NULL, NULL},
            timeout_ms, ret_result, error);
    }
    mp_image_free(image);
    close(fd);
    return code;
}

int mp_trim_request(
    const char *path, unsigned timeout_ms, uint64_t *ret_bytes, struct mp_error *error)
{
    return request_of(path, MP_OPERATION_TRIM, 0, timeout_ms, ret_bytes, error);
}

int mp_sample_request(const char *path, uint64_t interval, unsigned timeout_ms,
    uint64_t *ret_interval, struct mp_error *error)
{
    return request_of(path, MP_OPERATION_SAMPLE,
        interval == MP_SAMPLING_EXACT ? 1 : interval, timeout_ms, ret_interval, error);
}

/* What went wrong in the process, for people. */
static const char *explain(int code)
{
    switch (code) {
    case -EBUSY:
        return "another check runs, or all real-time signals are in use";
    case -EAGAIN:
        return "no process could be made: the limit on their number (ulimit -u) is "
               "reached";
    case -ENOMEM:
        return "no memory for a copy of the process";
    case -EPERM:
        return "the process filters its system calls";
    case -ENOENT:
        return "/proc is not there";
    case -ETIMEDOUT:
        return "it took longer than MPALLOC_LEAK_TIMEOUT";
    case -ENOSYS:
        return "its library is built without profiling";
    default:
        return strerror(-code);
    }
}

/* Until the check with that number ended. */
static int wait_for_check(const struct mp_image *image, const struct source *s,
    uint64_t number, struct listener who, uint64_t until_ms, struct mp_error *error)
{
    uint64_t offset = image->layout.section[MP_SECTION_LEAKS].offset;
    uint64_t tell_ms = clock_ms() + CHECK_PATIENCE_MS;
    struct timespec pause = {0, LOOK_MS * 1000000L};
    unsigned long long pid = image->process.pid;
    struct mp_region_leaks l;

    for (;;) {
        int code = source_read_stable(s, &l, sizeof(l), offset, error);

        if (code < 0) {
            return code;
        }
        if (code == 0 && l.number >= number) {
            code = l.error < 4096 ? -(int)l.error : -EIO;
            return code == 0 ? 0
                             : text_fail(error, code, "process %llu: leak check: %s",
                                 pid, explain(code));
        }
        if (mp_image_life(image) != MP_LIFE_RUNNING) {
            return text_fail(error, -ESRCH, "process %llu: ended meanwhile", pid);
        }
        if (clock_ms() >= until_ms) {
            return text_fail(error, -ETIMEDOUT,
                "process %llu: its leak check is not done yet; it goes on when the "
                "process "
                "allocates",
                pid);
        }
        if (clock_ms() >= tell_ms) {
            tell(&who,
                "process %llu: its leak check began; waiting for it, which goes on "
                "when the "
                "process allocates or frees",
                pid);
        }
        nanosleep(&pause, NULL);
    }
}

int mp_leak_request_and_tell(const char *path, uint64_t wait_ms, unsigned timeout_ms,
    void (*tell_it)(const char *text, void *arg), void *arg, uint64_t *ret_number,
    struct mp_error *error)
{
    struct listener who = {tell_it, arg};
    uint64_t until_ms = clock_ms() + timeout_ms;
    mp_image_t *image = NULL;
    struct source s;
    int fd = -1;
    int code = source_open(path, true, &fd, error);

    *ret_number = 0;
    if (code != 0) {
        return code;
    }
    code = mp_image_read(fd, path, &image, error);
    if (code == 0 && image->layout.section[MP_SECTION_LEAKS].count == 0) {
        code = text_fail(error, -ENOTSUP, "%s: its library knows no leak checks", path);
    }
    code = code != 0 ? code
                     : ask(image, fd, path, MP_OPERATION_LEAK_SCAN, wait_ms, who,
                         timeout_ms, ret_number, error);
    if (code == 0 && (int64_t)*ret_number < 0) {
        code = (int64_t)*ret_number > -4096 ? (int)(int64_t)*ret_number : -EIO;
        text_fail(error, code, "process %llu: leak check: %s",
            (unsigned long long)image->process.pid, explain(code));
    }
    code = code != 0 ? code : source_init(&s, fd, path, error);
    code =
        code != 0 ? code : wait_for_check(image, &s, *ret_number, who, until_ms, error);
    mp_image_free(image);
    close(fd);
    return code;
}

int mp_leak_request(const char *path, uint64_t wait_ms, unsigned timeout_ms,
    uint64_t *ret_number, struct mp_error *error)
{
    return mp_leak_request_and_tell(
        path, wait_ms, timeout_ms, NULL, NULL, ret_number, error);
}
