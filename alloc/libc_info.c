/*
 * libc_info - what glibc tells about its heap, told about ours: mallinfo, malloc_info,
 * malloc_stats, mallopt
 *
 * The one place of the library that writes to a FILE: malloc_info is given one.
 */
#include "check.h"
#include "libc.h"
#include "malloc.h"
#include "publish.h"
#include "report.h"

#include <errno.h>
#include <malloc.h>
#include <unistd.h>

static void totals(struct mp_snapshot *s)
{
    *s = (struct mp_snapshot){.size = sizeof(*s)};
    publish_snapshot(s); /* without profiling: zeros */
}

EXPORT struct mallinfo2 mallinfo2(void)
{
    struct mp_snapshot s;

    totals(&s);
    return (struct mallinfo2){
        .arena = s.active_bytes + s.dirty_bytes,
        .ordblks = 1,
        .uordblks = s.live_bytes,
        .fordblks = s.cached_bytes + s.dirty_bytes,
        .keepcost = s.dirty_bytes,
    };
}

static int clamp(size_t value)
{
    return value > INT32_MAX ? INT32_MAX : (int)value;
}

EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 m = mallinfo2();

    return (struct mallinfo){
        .arena = clamp(m.arena),
        .ordblks = clamp(m.ordblks),
        .uordblks = clamp(m.uordblks),
        .fordblks = clamp(m.fordblks),
        .keepcost = clamp(m.keepcost),
    };
}

static void put_sizes(FILE *out)
{
    char line[256];

    fputs("<sizes>\n", out);
    for (unsigned cls = 0; cls < CLASS_COUNT; cls++) {
        struct mp_class_stats c = {.size = sizeof(c)};

        if (mp_class_stats(MP_ALL_COMPONENTS, cls, &c) != 0 || c.live_blocks == 0) {
            continue;
        }
        check_format(line, sizeof(line),
            "  <size from=\"%lu\" to=\"%lu\" total=\"%lu\" count=\"%lu\"/>\n",
            cls > 1 ? sizeclass_bound(cls - 1) + 1 : cls, sizeclass_bound(cls),
            c.live_bytes, c.live_blocks);
        fputs(line, out);
    }
    fputs("</sizes>\n", out);
}

/* The shape of glibc's: one heap, sizes of live blocks, totals. */
EXPORT int malloc_info(int options, FILE *out)
{
    struct mp_snapshot s;
    char line[256];

    if (options != 0) {
        errno = EINVAL;
        return -1;
    }
    totals(&s);
    fputs("<malloc version=\"1\" allocator=\"mpalloc " MPALLOC_VERSION "\">\n"
          "<heap nr=\"0\">\n",
        out);
    put_sizes(out);
    fputs("</heap>\n", out);
    check_format(line, sizeof(line),
        "<total type=\"live\" count=\"%lu\" size=\"%lu\"/>\n", s.live_blocks,
        s.live_bytes);
    fputs(line, out);
    check_format(line, sizeof(line),
        "<total type=\"rest\" count=\"0\" size=\"%lu\"/>\n"
        "<system type=\"current\" size=\"%lu\"/>\n",
        s.cached_bytes + s.dirty_bytes, s.resident_bytes);
    fputs(line, out);
    check_format(line, sizeof(line),
        "<aspace type=\"total\" size=\"%lu\"/>\n"
        "<aspace type=\"mprotect\" size=\"%lu\"/>\n</malloc>\n",
        s.mapped_bytes, s.mapped_bytes);
    fputs(line, out);
    return 0;
}

EXPORT void malloc_stats(void)
{
    struct mp_snapshot s;

    totals(&s);
    report_write_fd(STDERR_FILENO, &s);
}

/* The parameters of glibc's heap mean nothing here: known ones are accepted. */
EXPORT int mallopt(int parameter, int value)
{
    (void)value;
    switch (parameter) {
    case M_MXFAST:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
        return 1;
    default:
        return 0;
    }
}
