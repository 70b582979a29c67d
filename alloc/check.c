#include "check.h"

#include "arch.h"
#include "atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_MAX = 512 };

struct sink {
    char *at;
    char *end; /* room for the terminator is kept behind it */
};

static void sink_put(struct sink *s, char c)
{
    if (s->at < s->end) {
        *s->at++ = c;
    }
}

static void sink_text(struct sink *s, const char *text)
{
    for (; *text != '\0'; text++) {
        sink_put(s, *text);
    }
}

static void sink_number(struct sink *s, uint64_t value, unsigned radix)
{
    char digits[24];
    unsigned n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % radix];
        value /= radix;
    } while (value != 0);
    while (n > 0) {
        sink_put(s, digits[--n]);
    }
}

static void sink_signed(struct sink *s, int value)
{
    if (value < 0) {
        sink_put(s, '-');
        sink_number(s, (uint64_t) - (int64_t)value, 10);
    } else {
        sink_number(s, (uint64_t)value, 10);
    }
}

static size_t format_va(char *buffer, size_t size, const char *format, va_list ap)
{
    struct sink s = {buffer, buffer + size - 1};

    for (; *format != '\0'; format++) {
        bool is_long = false;

        if (*format != '%') {
            sink_put(&s, *format);
            continue;
        }
        format++;
        while (*format == 'l' || *format == 'z') {
            is_long = true;
            format++;
        }
        switch (*format) {
        case 's':
            sink_text(&s, va_arg(ap, const char *));
            break;
        case 'c':
            sink_put(&s, (char)va_arg(ap, int));
            break;
        case 'd':
            sink_signed(&s, va_arg(ap, int));
            break;
        case 'u':
            sink_number(&s, is_long ? va_arg(ap, uint64_t) : va_arg(ap, unsigned), 10);
            break;
        case 'x':
            sink_number(&s, is_long ? va_arg(ap, uint64_t) : va_arg(ap, unsigned), 16);
            break;
        case 'p':
            sink_text(&s, "0x");
            sink_number(&s, (uintptr_t)va_arg(ap, void *), 16);
            break;
        default:
            sink_put(&s, *format);
            break;
        }
    }
    *s.at = '\0';
    return (size_t)(s.at - buffer);
}

size_t check_format(char *buffer, size_t size, const char *format, ...)
{
    va_list ap;
    size_t n;

    va_start(ap, format);
    n = format_va(buffer, size, format, ap);
    va_end(ap);
    return n;
}

/* Where messages went when the program started; unknown before that. */
static struct {
    bool is_known;
    bool is_open;
    dev_t device;
    ino_t inode;
} at_start;

void check_remember_stderr(void)
{
    int saved = errno;
    struct stat st = {0};

    at_start.is_open = fstat(STDERR_FILENO, &st) == 0 || errno != EBADF;
    at_start.device = st.st_dev;
    at_start.inode = st.st_ino;
    at_start.is_known = true;
    errno = saved;
}

/*
 * Whether descriptor 2 is for messages: what it was at the start, or no regular file, or
 * one that is appended to, as logs are. Else it may be a file of the program's data.
 */
static bool has_stderr(void)
{
    struct stat st;
    int flags;

    if (!at_start.is_known) {
        return true;
    }
    if (fstat(STDERR_FILENO, &st) != 0) {
        return errno != EBADF; /* refused: not known to be another */
    }
    if ((at_start.is_open && st.st_dev == at_start.device
            && st.st_ino == at_start.inode)
        || !S_ISREG(st.st_mode)) {
        return true;
    }
    flags = fcntl(STDERR_FILENO, F_GETFL);
    return flags >= 0 && (flags & O_APPEND) != 0;
}

void check_write(const char *text, size_t bytes)
{
    int saved = errno;
    int cancel;
    ssize_t done;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* we may hold a lock */
    /* One call: lines of threads do not mix. */
    done = has_stderr() ? write(STDERR_FILENO, text, bytes) : 0;
    pthread_setcancelstate(cancel, NULL);
    (void)done;
    errno = saved;
}

static void say_va(const char *format, va_list ap)
{
    static const char head[] = "mpalloc: ";
    char line[MESSAGE_MAX];
    size_t n = sizeof(head) - 1;

    __builtin_memcpy(line, head, n);
    n += format_va(line + n, sizeof(line) - n - 1, format, ap);
    line[n++] = '\n';
    check_write(line, n);
}

void check_say(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    say_va(format, ap);
    va_end(ap);
}

enum { PATIENCE = 100 };

bool check_begin_death(void)
{
    static uintptr_t dying; /* atomic: who began to */
    const struct timespec pause = {0, 20000000};
    uintptr_t nobody = 0;

    if (cas_acquire(&dying, &nobody, thread_pointer())) {
        return true;
    }
    if (nobody == thread_pointer()) {
        return false; /* once more, in a handler of the program */
    }
    /* Unless a handler of the program prevents it, the process is gone before this ends. */
    for (unsigned i = 0; i < PATIENCE; i++) {
        nanosleep(&pause, NULL);
    }
    return false;
}

void check_end(void)
{
    check_explain();
    abort();
}

void check_die(const char *format, ...)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    bool is_first = check_begin_death();
    va_list ap;

    va_start(ap, format);
    say_va(format, ap);
    va_end(ap);
    if (is_first) {
        check_end();
    }
    sigaction(SIGABRT, &standard, NULL); /* that its handler does not come here again */
    abort();
}

void check_failed(const char *what, const char *file, int line)
{
    check_die("internal check failed: %s (%s:%d)", what, file, line);
}
