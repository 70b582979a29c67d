#include "report.h"

#include "check.h"
#include "component.h"
#include "counters.h"
#include "options.h"
#include "os.h"

#include <mpalloc.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 256, ROWS_SHOWN = 16, REPORT_BYTES = 16 * 1024 };

static int error_fd = -1;

/* "12.3 MiB", right-aligned in 11 columns. */
static void format_bytes(char out[16], uint64_t bytes)
{
    static const char *const units[] = {"B  ", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    uint64_t tenths = bytes * 10;
    char text[32];
    size_t n;

    while (tenths >= 10240 && unit < 4) {
        tenths /= 1024;
        unit++;
    }
    n = unit == 0 ? check_format(text, sizeof(text), "%lu %s", bytes, units[0])
                  : check_format(text, sizeof(text), "%lu.%lu %s", tenths / 10,
                      tenths % 10, units[unit]);
    memset(out, ' ', 16);
    n = n > 11 ? 11 : n;
    memcpy(out + 11 - n, text, n);
    out[11] = '\0';
}

static void put_line(int fd, const char *line)
{
    ssize_t done = write(fd, line, strlen(line));

    (void)done;
}

static void put_figure(int fd, const char *name, uint64_t bytes)
{
    char line[LINE];
    char figure[16];

    format_bytes(figure, bytes);
    check_format(line, sizeof(line), "  %s  %s\n", figure, name);
    put_line(fd, line);
}

static void put_components(int fd)
{
    char line[LINE];
    char live[16];
    char peak[16];
    size_t count = component_count();
    size_t shown = 0;

    put_line(fd, "\n         live         peak  component\n");
    for (size_t i = 0; i < count; i++) {
        const struct counters_row *row;
        uint64_t live_bytes = 0;
        uint64_t peak_bytes = 0;

        lock_lock(&counters_lock);
        row = counters_row_locked(i);
        if (row != NULL) {
            live_bytes = row->sum.live_bytes;
            peak_bytes = row->sum.live_peak_bytes;
        }
        lock_unlock(&counters_lock);
        if (peak_bytes == 0) {
            continue;
        }
        if (++shown > ROWS_SHOWN) {
            put_line(fd, "  (more: mpalloc report)\n");
            break;
        }
        format_bytes(live, live_bytes);
        format_bytes(peak, peak_bytes);
        check_format(line, sizeof(line), "  %s  %s  %s\n", live, peak,
            component_by_row(i)->name);
        put_line(fd, line);
    }
}

void report_write_fd(int fd, const struct mp_snapshot *s)
{
    const char *slash = strrchr(os_called(), '/');
    const char *name = options.service[0] != '\0' ? options.service
                       : slash != NULL            ? slash + 1
                                                  : os_called();
    char line[LINE];

    check_format(line, sizeof(line),
        "mpalloc %s  %s  pid %lu  %lu blocks live, %lu allocated\n", MPALLOC_VERSION,
        name, os_pid(), s->live_blocks, s->allocated_blocks_total);
    put_line(fd, line);
    put_figure(fd, "live", s->live_bytes);
    put_figure(fd, "live at peak", s->live_peak_bytes);
    put_figure(fd, "free in slabs", s->cached_bytes);
    put_figure(fd, "dirty: free, not yet given back", s->dirty_bytes);
    put_figure(fd, "metadata", s->metadata_bytes);
    put_figure(fd, "resident at most", s->resident_bytes);
    put_figure(fd, "allocated since the start", s->allocated_bytes_total);
    put_components(fd);
}

void report_prepare(const char *target)
{
    if (strcmp(target, "1") == 0) {
        error_fd = os_duplicate(STDERR_FILENO);
    }
}

/* The target with each %p as the PID. */
static void expand(char *path, size_t size, const char *target)
{
    size_t at = 0;

    path[0] = '\0';
    for (; *target != '\0' && at + 1 < size; target++) {
        if (target[0] == '%' && target[1] == 'p') {
            at += check_format(path + at, size - at, "%lu", os_pid());
            target++;
        } else {
            path[at++] = *target;
            path[at] = '\0';
        }
    }
}

static int open_target(const char *target, bool is_forked)
{
    char path[OPTION_TEXT_MAX + 64];
    size_t n;
    int fd;

    expand(path, sizeof(path) - 32, target);
    fd = is_forked ? -EEXIST : os_write_new_file(path, REPORT_BYTES);
    if (fd == -EEXIST) { /* another process of the same program, or an earlier one */
        n = strlen(path);
        check_format(path + n, sizeof(path) - n, ".%lu", os_pid());
        fd = os_write_new_file(path, REPORT_BYTES);
    }
    if (fd < 0) {
        check_say("MPALLOC_REPORT: %s cannot be made (errno %d)", path, -fd);
    }
    return fd;
}

void report_write(const char *target, const struct mp_snapshot *s, bool is_forked)
{
    bool is_error = strcmp(target, "1") == 0;
    int fd = is_error            ? error_fd
             : os_is_sandboxed() ? -1
                                 : open_target(target, is_forked);

    if (fd >= 0) {
        report_write_fd(fd, s);
        os_close(fd);
    }
    if (is_error) {
        error_fd = -1;
    }
}
