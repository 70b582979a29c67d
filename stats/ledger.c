/*
 * ledger - why resident memory is what it is, in parts that add up
 *
 * What the allocator counted (live, cached, dirty, tables) is measured there; what the
 * kernel has in memory is measured by it, mapping by mapping. Both meet in the private
 * memory that is mpalloc's: where more was counted than is resident, memory was handed
 * out and never touched; where less was, the rest is shown as unexplained. Samples say how
 * much of the live blocks was asked for.
 */
#include "image.h"
#include "proc.h"
#include "requested.h"

#include <string.h>
#include <time.h>

/* One, at the end of the heap, may be in use in part (alloc/thp.h). */
enum { HUGE_PAGE_BYTES = 2 << 20 };

enum { READ_TRIES = 4, STEADY_PART = 400 }; /* of resident memory: it stood still */

static int64_t to_signed(uint64_t bytes)
{
    return bytes < (uint64_t)INT64_MAX / 64 ? (int64_t)bytes : INT64_MAX / 64;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void add(struct mp_ledger *l, const char *name, const char *label, int64_t bytes,
    const char *source)
{
    l->part[l->count++] = (struct mp_ledger_part){
        .name = name, .label = label, .bytes = bytes, .source = source};
    l->total_bytes += bytes;
}

/* What of the sum of parts is more than the allocator ever touched: of free blocks. */
static int64_t cached_untouched(const struct mp_region_totals *t)
{
    int64_t counted = to_signed(t->live_bytes) + to_signed(t->cached_bytes)
                      + to_signed(t->dirty_bytes) + to_signed(t->metadata_span_bytes)
                      + to_signed(t->metadata_heap_bytes)
                      + to_signed(t->metadata_region_bytes);
    int64_t untouched = counted - to_signed(t->resident_bytes);

    return untouched < 0                            ? 0
           : untouched > to_signed(t->cached_bytes) ? to_signed(t->cached_bytes)
                                                    : untouched;
}

/* Together exactly the live bytes of the allocator. */
static void add_live(struct mp_ledger *l, const mp_image_t *image)
{
    int64_t live = to_signed(image->totals.live_bytes);
    double asked = requested_bytes(image);
    int64_t requested = asked < (double)live ? (int64_t)asked : live;

    if (asked < 0) {
        add(l, "live", "live blocks", live, "allocator");
    } else {
        add(l, "requested", "live blocks: what was asked for", requested, "samples");
        add(l, "slack", "live blocks: what was added to it", live - requested,
            "samples");
    }
}

/* What the allocator says it has touched at most, without the region. */
static void add_allocator(struct mp_ledger *l, const mp_image_t *image)
{
    const struct mp_region_totals *t = &image->totals;

    add_live(l, image);
    add(l, "cached", "free blocks in spans that hold live ones",
        to_signed(t->cached_bytes) - cached_untouched(t), "allocator");
    add(l, "dirty", "free spans, not yet given back (at most)",
        to_signed(t->dirty_bytes), "allocator");
    add(l, "metadata_span", "metadata: span table", to_signed(t->metadata_span_bytes),
        "allocator");
    add(l, "metadata_heap", "metadata: heaps, threads, components",
        to_signed(t->metadata_heap_bytes), "allocator");
}

static void add_rest(struct mp_ledger *l, const struct proc_mappings *m)
{
    add(l, "stack", "not mpalloc: stack of the main thread", to_signed(m->stack_bytes),
        "kernel");
    add(l, "brk", "not mpalloc: brk heap", to_signed(m->brk_bytes), "kernel");
    add(l, "file_data", "not mpalloc: written data of program and libraries",
        to_signed(m->file_data_bytes), "kernel");
    add(l, "files", "not mpalloc: code and files mapped", to_signed(m->files_bytes),
        "kernel");
    add(l, "shared", "not mpalloc: shared memory", to_signed(m->shared_bytes),
        "kernel");
    add(l, "special", "not mpalloc: vdso and such", to_signed(m->special_bytes),
        "kernel");
}

/*
 * Spans and their table stand where they can be told from everything else (mappings.c);
 * huge blocks and heaps are among the other private mappings, where at most what was
 * counted for them is ours. Without such a place, all of it is among the others.
 */
static void meet(struct mp_ledger *l, const struct mp_region_totals *t,
    uint64_t counted, const struct proc_mappings *m)
{
    uint64_t spans_bytes = m->spans_bytes;
    uint64_t anon_bytes = m->anon_bytes;
    uint64_t huge = t->huge_bytes + t->metadata_heap_bytes;
    uint64_t in_anon = m->are_spans_named ? 0
                       : spans_bytes == 0 ? less(anon_bytes, counted)
                                          : less(anon_bytes, huge);
    /* Not cut to to_signed's limit: counted is a sum of parts, and fits. */
    int64_t difference = to_signed(spans_bytes + in_anon) - (int64_t)counted;

    int64_t rest = difference > 0 ? (int64_t)less(
                       (uint64_t)difference, less(m->spans_huge_bytes, HUGE_PAGE_BYTES))
                                  : 0;

    add(l, "untouched", "of this never touched, or in swap",
        difference < 0 ? difference : 0, "difference");
    add(l, "unexplained", "in its spans, newer than the figures or of an earlier use",
        difference > 0 ? difference - rest : 0, "difference");
    add(l, "huge_page",
        "rest of a huge page at the end of the heap, not used yet (at most)", rest,
        "difference");
    add(l, "other_anon", "not mpalloc: other private memory (thread stacks, mmap)",
        to_signed(anon_bytes - in_anon), "kernel");
}

static void make_measured(
    struct mp_ledger *l, const mp_image_t *image, const struct proc_mappings *m)
{
    const struct mp_region_totals *t = &image->totals;
    uint64_t counted;

    add_allocator(l, image);
    counted = l->total_bytes > 0 ? (uint64_t)l->total_bytes : 0;
    add(l, "region", "the profiler's region", to_signed(m->region_bytes), "kernel");
    meet(l, t, counted, m);
    add_rest(l, m);
    l->resident_bytes = m->resident_bytes;
    l->is_measured = true;
}

/* Of /proc/PID/status only: three sums that the kernel has, instead of every mapping. */
static void make_coarse(
    struct mp_ledger *l, const mp_image_t *image, const struct mp_proc *p)
{
    const struct mp_region_totals *t = &image->totals;
    uint64_t region = less(t->metadata_region_bytes, p->resident_shmem_bytes);
    uint64_t counted;

    add_allocator(l, image);
    counted = l->total_bytes > 0 ? (uint64_t)l->total_bytes : 0;
    add(l, "region", "the profiler's region", to_signed(region), "allocator");
    meet(l, t, counted, &(struct proc_mappings){.anon_bytes = p->resident_anon_bytes});
    add(l, "files", "not mpalloc: code and files mapped",
        to_signed(p->resident_file_bytes), "kernel");
    add(l, "shared", "not mpalloc: shared memory",
        to_signed(p->resident_shmem_bytes - region), "kernel");
    l->resident_bytes = (uint64_t)l->total_bytes;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The mappings, one after the other, of a process that may go on: of some tries the steadiest. */
static int read_steady(
    const mp_image_t *image, struct mp_ledger *l, struct proc_mappings *ret)
{
    uint64_t pid = image->process.pid;
    uint64_t before = mp_proc_resident(pid);

    l->moved_bytes = MP_UNKNOWN;
    for (unsigned i = 0; i < READ_TRIES; i++) {
        struct proc_mappings m;
        uint64_t begin = now_ns();
        int error = proc_read_mappings(pid, image->device, image->inode, &m);
        uint64_t took = now_ns() - begin;
        uint64_t after = mp_proc_resident(pid);
        uint64_t moved = before == MP_UNKNOWN || after == MP_UNKNOWN ? MP_UNKNOWN
                         : after > before                            ? after - before
                                                                     : before - after;

        if (error != 0) {
            return i > 0 ? 0 : error; /* it ended meanwhile: the try before holds */
        }
        if (i == 0 || moved < l->moved_bytes) {
            *ret = m;
            l->moved_bytes = moved;
            l->read_ns = took;
        }
        if (moved == MP_UNKNOWN || moved <= m.resident_bytes / STEADY_PART) {
            break;
        }
        before = after;
    }
    return 0;
}

static bool has_split(const struct mp_proc *p)
{
    return p->resident_anon_bytes != MP_UNKNOWN && p->resident_file_bytes != MP_UNKNOWN
           && p->resident_shmem_bytes != MP_UNKNOWN;
}

void mp_ledger_make_quick(const mp_image_t *image, struct mp_ledger *ret)
{
    const struct mp_region_totals *t = &image->totals;
    struct mp_proc p;

    memset(ret, 0, sizeof(*ret));
    ret->resident_bytes = MP_UNKNOWN;
    ret->moved_bytes = MP_UNKNOWN;
    if (mp_image_life(image) == MP_LIFE_RUNNING
        && mp_proc_read_again(image->process.pid, NULL, &p) == 0 && has_split(&p)) {
        make_coarse(ret, image, &p);
        return;
    }
    add_allocator(ret, image);
    add(ret, "region", "the profiler's region", to_signed(t->metadata_region_bytes),
        "allocator");
}

void mp_ledger_make(const mp_image_t *image, struct mp_ledger *ret)
{
    struct proc_mappings m;

    memset(ret, 0, sizeof(*ret));
    ret->moved_bytes = MP_UNKNOWN;
    if (mp_image_life(image) != MP_LIFE_RUNNING || read_steady(image, ret, &m) != 0) {
        mp_ledger_make_quick(image, ret);
        return;
    }
    make_measured(ret, image, &m);
}
