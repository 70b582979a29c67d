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
    uint64_t counted, uint64_t spans_bytes, uint64_t anon_bytes, bool are_all_named)
{
    uint64_t huge = t->huge_bytes + t->metadata_heap_bytes;
    uint64_t in_anon = are_all_named      ? 0
                       : spans_bytes == 0 ? less(anon_bytes, counted)
                                          : less(anon_bytes, huge);
    /* Not cut to to_signed's limit: counted is a sum of parts, and fits. */
    int64_t difference = to_signed(spans_bytes + in_anon) - (int64_t)counted;

    add(l, "untouched", "of this never touched, or in swap",
        difference < 0 ? difference : 0, "difference");
    add(l, "unexplained", "in its spans, newer than the figures or of an earlier use",
        difference > 0 ? difference : 0, "difference");
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
    meet(l, t, counted, m->spans_bytes, m->anon_bytes, m->are_spans_named);
    add_rest(l, m);
    l->resident_bytes = m->resident_bytes;
    l->is_measured = true;
}

/* Only /proc/PID/status may be read: three sums instead of every mapping. */
static void make_coarse(
    struct mp_ledger *l, const mp_image_t *image, const struct mp_proc *p)
{
    const struct mp_region_totals *t = &image->totals;
    uint64_t region = less(t->metadata_region_bytes, p->resident_shmem_bytes);
    uint64_t counted;

    add_allocator(l, image);
    counted = l->total_bytes > 0 ? (uint64_t)l->total_bytes : 0;
    add(l, "region", "the profiler's region", to_signed(region), "allocator");
    meet(l, t, counted, 0, p->resident_anon_bytes, false);
    add(l, "files", "not mpalloc: code and files mapped",
        to_signed(p->resident_file_bytes), "kernel");
    add(l, "shared", "not mpalloc: shared memory",
        to_signed(p->resident_shmem_bytes - region), "kernel");
    l->resident_bytes = (uint64_t)l->total_bytes;
}

static bool has_split(const struct mp_proc *p)
{
    return p->resident_anon_bytes != MP_UNKNOWN && p->resident_file_bytes != MP_UNKNOWN
           && p->resident_shmem_bytes != MP_UNKNOWN;
}

void mp_ledger_make(const mp_image_t *image, struct mp_ledger *ret)
{
    const struct mp_region_totals *t = &image->totals;
    struct proc_mappings m;
    struct mp_proc p;

    memset(ret, 0, sizeof(*ret));
    ret->resident_bytes = MP_UNKNOWN;
    if (mp_image_life(image) == MP_LIFE_RUNNING) {
        if (proc_read_mappings(image->process.pid, image->device, image->inode, &m)
            == 0) {
            make_measured(ret, image, &m);
            return;
        }
        if (mp_proc_read(image->process.pid, &p) == 0 && has_split(&p)) {
            make_coarse(ret, image, &p);
            return;
        }
    }
    add_allocator(ret, image);
    add(ret, "region", "the profiler's region", to_signed(t->metadata_region_bytes),
        "allocator");
}
