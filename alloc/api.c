/*
 * api - the functions of mpalloc.h, from outside in
 */
#include "component.h"
#include "counters.h"
#include "leak_check.h"
#include "leak_roots.h"
#include "limit.h"
#include "malloc.h"
#include "modules.h"
#include "os.h"
#include "pressure.h"
#include "publish.h"
#include "region.h"
#include "sample_note.h"

#include <mpalloc.h>

#include <errno.h>
#include <string.h>

/* NULL is the untagged rest to callers; inside it has a component like all. */
static struct mp_component *inner(mp_component_t *c)
{
    return c != NULL ? c : component_by_row(COMPONENT_UNTAGGED);
}

MP_EXPORT mp_component_t *mp_component(const char *name)
{
    struct mp_component *c = component_intern(name);

    return component_is_root(c) ? NULL : c;
}

MP_EXPORT const char *mp_component_name(const mp_component_t *c)
{
    return c != NULL ? c->name : component_by_row(COMPONENT_UNTAGGED)->name;
}

MP_EXPORT mp_component_t *mp_enter(mp_component_t *c)
{
    return thread_enter(c);
}

MP_EXPORT void mp_leave(mp_component_t *previous)
{
    thread_enter(previous);
}

MP_EXPORT void *mp_malloc(mp_component_t *c, size_t size)
{
    return malloc_alloc(inner(c), size);
}

MP_EXPORT void *mp_calloc(mp_component_t *c, size_t count, size_t size)
{
    return malloc_zeroed(inner(c), count, size);
}

MP_EXPORT void *mp_realloc(mp_component_t *c, void *block, size_t size)
{
    return malloc_resize(inner(c), block, size);
}

MP_EXPORT void *mp_aligned_alloc(mp_component_t *c, size_t alignment, size_t size)
{
    if (!bits_is_pow2(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return malloc_aligned(inner(c), alignment, size);
}

MP_EXPORT int mp_component_limit(mp_component_t *c, size_t soft, size_t hard)
{
    return limit_set(inner(c), soft, hard);
}

MP_EXPORT void mp_component_on_limit(mp_limit_function *fn, void *arg)
{
    limit_tell(fn, arg);
}

MP_EXPORT double mp_pressure(void)
{
    return publish_pressure();
}

MP_EXPORT int mp_pressure_subscribe(mp_pressure_function *fn, void *arg, double level)
{
    return CONFIG_PROFILE ? pressure_subscribe(fn, arg, level) : -ENOSYS;
}

MP_EXPORT int mp_pressure_unsubscribe(mp_pressure_function *fn, void *arg)
{
    return CONFIG_PROFILE ? pressure_unsubscribe(fn, arg) : -ENOSYS;
}

MP_EXPORT int mp_snapshot(struct mp_snapshot *s)
{
    return publish_snapshot(s);
}

/* Fill what both sides know of a structure that begins with its size. */
static int hand_out(void *to, const void *from, size_t from_size)
{
    size_t size;

    if (to == NULL) {
        return -EINVAL;
    }
    memcpy(&size, to, sizeof(size));
    if (size < 2 * sizeof(size)) {
        return -EINVAL;
    }
    memcpy((char *)to + sizeof(size), (const char *)from + sizeof(size),
        bits_min(size, from_size) - sizeof(size));
    return 0;
}

static void add_limit(struct mp_component_stats *full, const struct mp_component *c)
{
    const struct budget *b = load_acquire(&c->budget); /* pairs with put_in_tree */

    if (b != NULL && b->component == c) {
        full->limit_soft_bytes = b->soft;
        full->limit_hard_bytes = b->hard;
        full->limit_hits_total = b->hits;
        full->limit_refused_total = b->refused;
    }
}

MP_EXPORT int mp_component_stats(size_t index, struct mp_component_stats *s)
{
    const struct mp_component *c = component_by_row(index);
    struct mp_component_stats full = {.size = sizeof(full)};
    const struct counters_row *row;

    if (c == NULL) {
        return -ENOENT;
    }
    full.name = c->name;
    lock_lock(&counters_lock);
    row = counters_row_locked(index);
    if (row != NULL) {
        full.allocated_blocks_total = row->sum.allocated_blocks_total;
        full.freed_blocks_total = row->sum.freed_blocks_total;
        full.allocated_bytes_total = row->sum.allocated_bytes_total;
        full.freed_bytes_total = row->sum.freed_bytes_total;
        full.live_blocks = row->sum.live_blocks;
        full.live_bytes = row->sum.live_bytes;
        full.live_peak_bytes = row->sum.live_peak_bytes;
        full.tree_live_bytes = row->sum.tree_live_bytes;
        full.tree_live_peak_bytes = row->sum.tree_live_peak_bytes;
    }
    add_limit(&full, c);
    lock_unlock(&counters_lock);
    return hand_out(s, &full, sizeof(full));
}

static void add_cell(struct mp_class_stats *sum, size_t row_number, size_t cls)
{
    const struct counters_row *row = counters_row_locked(row_number);
    const struct mp_region_cell *cell;

    if (row != NULL) {
        cell = &row->cell[cls];
        sum->allocated_blocks_total += cell->allocated_blocks_total;
        sum->freed_blocks_total += cell->freed_blocks_total;
        sum->allocated_bytes_total += cell->allocated_bytes_total;
        sum->freed_bytes_total += cell->freed_bytes_total;
        sum->live_peak_bytes = cell->live_peak_bytes;
    }
}

MP_EXPORT int mp_class_stats(size_t component, size_t index, struct mp_class_stats *s)
{
    struct mp_class_stats full = {.size = sizeof(full)};

    if (index >= CLASS_COUNT
        || (component != MP_ALL_COMPONENTS && component_by_row(component) == NULL)) {
        return -ENOENT;
    }
    full.block_bytes = sizeclass_bound((unsigned)index);
    lock_lock(&counters_lock);
    if (component != MP_ALL_COMPONENTS) {
        add_cell(&full, component, index);
    } else {
        for (size_t i = 0; i < component_count(); i++) {
            add_cell(&full, i, index);
        }
        full.live_peak_bytes = 0;
    }
    lock_unlock(&counters_lock);
    full.live_blocks = full.allocated_blocks_total - full.freed_blocks_total;
    full.live_bytes = full.allocated_bytes_total - full.freed_bytes_total;
    return hand_out(s, &full, sizeof(full));
}

MP_EXPORT size_t mp_trim(void)
{
    return malloc_trim_all();
}

MP_EXPORT int mp_sample_set(uint64_t interval_bytes)
{
    return sample_set_interval(interval_bytes);
}

MP_EXPORT void mp_operation(const char *name)
{
    sample_set_operation(name);
}

MP_EXPORT void mp_mark(const char *name)
{
    if (CONFIG_PROFILE) {
        sample_mark(name != NULL ? name : "");
    }
}

MP_EXPORT int mp_leak_check(struct mp_leak_summary *s)
{
    struct unwind_context here;

    unwind_capture(&here);
    return leak_check(&here, s);
}

MP_EXPORT int mp_root_add(const void *start, size_t bytes)
{
    return leak_roots_add(start, bytes);
}

MP_EXPORT int mp_root_remove(const void *start)
{
    return leak_roots_remove(start);
}

MP_EXPORT int mp_dump(const char *path)
{
    int cancel;
    int fd;
    int result;

    if (!CONFIG_PROFILE || !region_is_open()) {
        return -ENODATA;
    }
    cancel = os_cancel_disable(); /* closing and writing are cancellation points */
    fd = os_write_new_file(path, region_bytes());
    if (fd < 0) {
        os_cancel_restore(cancel);
        return fd;
    }
    lock_lock(&counters_lock);
    publish_find_fork_locked();
    lock_unlock(&counters_lock);
    modules_see();
    lock_lock(&counters_lock);
    publish_now_locked();
    result = region_copy(fd);
    lock_unlock(&counters_lock);
    os_close(fd);
    os_cancel_restore(cancel);
    return result;
}
