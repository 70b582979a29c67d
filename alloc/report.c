#include "report.h"

#include "check.h"
#include "component.h"
#include "counters.h"
#include "os.h"

#include <mpalloc.h>

#include <string.h>
#include <unistd.h>

enum { LINE = 160, ROWS_SHOWN = 16 };

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
    char line[LINE];

    check_format(line, sizeof(line),
        "mpalloc %s  pid %lu  %lu blocks live, %lu allocated\n", MPALLOC_VERSION,
        os_pid(), s->live_blocks, s->allocated_blocks_total);
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

void report_write(const char *target, const struct mp_snapshot *s)
{
    int fd = STDERR_FILENO;

    if (strcmp(target, "1") != 0) {
        fd = os_write_new_file(target);
        if (fd < 0) {
            check_say(
                "MPALLOC_REPORT: %s cannot be made (errno %d); is it there already?",
                target, -fd);
            return;
        }
    }
    report_write_fd(fd, s);
    if (fd != STDERR_FILENO) {
        os_close(fd);
    }
}
