#include "view.h"

#include <stdlib.h>
#include <time.h>

uint64_t view_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

double view_age_seconds(const mp_image_t *image)
{
    const struct mp_region_process *p = mp_image_process(image);
    uint64_t end = p->ended_ns != 0 ? p->ended_ns : view_now_ns();
    uint64_t published = mp_image_totals(image)->published_ns;

    return seconds_between(published != 0 ? published : p->started_ns, end);
}

double view_ran_seconds(const mp_image_t *image)
{
    const struct mp_region_process *p = mp_image_process(image);
    enum mp_life life = mp_image_life(image);
    uint64_t end = life == MP_LIFE_RUNNING || life == MP_LIFE_ELSEWHERE ? view_now_ns()
                   : p->ended_ns != 0                                   ? p->ended_ns
                                      : mp_image_totals(image)->published_ns;

    return seconds_between(p->started_ns, end);
}

bool view_is_young(const mp_image_t *image)
{
    enum { YOUNG_S = 60, EPOCHS = 8 }; /* with fewer, verdict.c says nothing */

    return mp_image_totals(image)->allocated_blocks_total > 0
           && (view_ran_seconds(image) < YOUNG_S
               || mp_image_epochs(image)->current < EPOCHS);
}

bool view_is_stale(const mp_image_t *image)
{
    struct mp_since since;
    uint64_t live = mp_image_totals(image)->live_bytes;
    bool is_resting =
        mp_image_life(image) != MP_LIFE_RUNNING || view_age_seconds(image) > 1;

    mp_image_since(image, &since);
    return is_resting && since.allocated_samples + since.freed_samples > 0
           && since.allocated_bytes + since.freed_bytes >= live / 100;
}

const char *view_warning(const mp_image_t *image, unsigned number)
{
    static const struct {
        unsigned flag;
        const char *text;
    } by_flag[] = {
        {MP_IMAGE_TORN_TOTALS, "the totals were being written at every attempt to read "
                               "them: they may not fit together"},
        {MP_IMAGE_TORN_MOMENTS, "points of the timeline were torn and are left out"},
        {MP_IMAGE_MIXED, "totals and components are not of one instant"},
        {MP_IMAGE_BAD_PARENTS,
            "components with an impossible parent are shown as roots"},
        {MP_IMAGE_CUT_STRINGS, "strings without an end were cut"},
        {MP_IMAGE_BAD_FRAMES, "frames with an impossible caller begin their stacks"},
        {MP_IMAGE_TORN_SAMPLES,
            "what stacks hold was being written: some may be off by a sample"},
        {MP_IMAGE_TORN_POOLS, "figures of pools were being written: some may not fit"},
    };
    const struct mp_region_totals *t = mp_image_totals(image);
    enum { FLAGS = sizeof(by_flag) / sizeof(by_flag[0]) };

    if (number < FLAGS) {
        return (mp_image_flags(image) & by_flag[number].flag) != 0
                   ? by_flag[number].text
                   : "";
    }
    switch (number - FLAGS) {
    case 0:
        return t->components_refused_total != 0
                   ? "more than 4,096 components: the rest is in (overflow)"
                   : "";
    case 1:
        return t->counter_rows_missing != 0 ? "no room for the counters of all "
                                              "components: the region could not grow"
                                            : "";
    case 2:
        return t->invalid_frees_total != 0 ? "the program freed pointers that were not "
                                             "allocated"
                                           : "";
    case 3:
        return mp_image_memory_failures(image) != 0
                   ? "allocations failed for want of memory"
                   : "";
    case 4:
        return mp_image_life(image) == MP_LIFE_RUNNING && view_age_seconds(image) > 2
                   ? "it allocates too little to publish newer figures: these are of "
                     "its last allocations"
                   : "";
    case 5:
        return view_is_stale(image) ? "stacks are newer than the counters, and know of "
                                      "more: see Sampling"
                                    : "";
    default:
        return NULL;
    }
}

uint64_t view_limit(const mp_image_t *image, const char **ret_source)
{
    static const char *const names[] = {[MP_LIMIT_NONE] = "none",
        [MP_LIMIT_CGROUP] = "cgroup",
        [MP_LIMIT_AS] = "RLIMIT_AS",
        [MP_LIMIT_DATA] = "RLIMIT_DATA",
        [MP_LIMIT_MACHINE] = "the machine's memory"};
    enum mp_limit_source source;
    uint64_t limit = mp_process_limit(image, MP_UNKNOWN, &source);

    *ret_source = names[source];
    return limit;
}

bool view_is_ended(const mp_image_t *image)
{
    return mp_image_process(image)->state == MP_STATE_EXITED;
}

/* ---- by size ---- */

struct ranked {
    uint64_t bytes;
    uint64_t second;
    unsigned number;
};

static int compare(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;

    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? 1 : -1;
    }
    if (x->second != y->second) {
        return x->second < y->second ? 1 : -1;
    }
    return x->number < y->number ? -1 : 1;
}

/* A component and what is below it, the largest first, from a ranked list. */
static size_t put_tree(const mp_image_t *image, const struct ranked *all, size_t used,
    unsigned parent, uint16_t *ret_rows, size_t most, size_t at)
{
    for (size_t i = 0; i < used && at < most; i++) {
        unsigned row = all[i].number;

        if (mp_image_component(image, row)->parent == parent) {
            ret_rows[at++] = (uint16_t)row;
            if (row != 0) { /* rows have higher numbers than their parents: it ends */
                at = put_tree(image, all, used, row, ret_rows, most, at);
            }
        }
    }
    return at;
}

size_t view_components(const mp_image_t *image, uint16_t *ret_rows, size_t most)
{
    size_t count = mp_image_component_count(image);
    struct ranked *all = calloc(count + 1, sizeof(*all));
    size_t used = 0;

    for (size_t i = 0; all != NULL && i < count; i++) {
        const struct mp_region_component *c = mp_image_component(image, i);

        if (c->allocated_blocks_total != 0 || c->tree_live_peak_bytes != 0) {
            all[used++] = (struct ranked){
                view_is_ended(image) ? c->tree_live_peak_bytes : c->tree_live_bytes,
                c->allocated_bytes_total, (unsigned)i};
        }
    }
    if (used > 0) {
        qsort(all, used, sizeof(*all), compare);
    }
    used = put_tree(image, all, used, 0, ret_rows, most, 0);
    free(all);
    return used;
}

struct format view_limit_mark(const mp_image_t *image, size_t row)
{
    const struct mp_region_limit *l = mp_image_limit_of(image, row);
    struct format f = {""};

    if (l != NULL && mp_limit_is_exceeded(image, l)) {
        uint64_t live = mp_image_component(image, row)->tree_live_bytes;
        bool is_soft = l->soft_bytes != 0 && live > l->soft_bytes;
        uint64_t limit = is_soft ? l->soft_bytes : l->hard_bytes;

        snprintf(
            f.text, sizeof(f.text), ", over %.28s", format_bytes((double)limit).text);
    }
    return f;
}

size_t view_classes(const mp_image_t *image, uint8_t *ret_classes, size_t most)
{
    struct ranked all[MP_REGION_CLASSES];
    size_t used = 0;

    for (unsigned i = 0; i < mp_image_class_count(image); i++) {
        struct mp_region_cell sum;

        mp_image_class_sum(image, i, &sum);
        if (sum.allocated_blocks_total != 0) {
            all[used++] = (struct ranked){
                view_is_ended(image)
                    ? sum.allocated_bytes_total
                    : view_live(sum.allocated_bytes_total, sum.freed_bytes_total),
                sum.allocated_bytes_total, i};
        }
    }
    qsort(all, used, sizeof(*all), compare);
    for (size_t i = 0; i < used && i < most; i++) {
        ret_classes[i] = (uint8_t)all[i].number;
    }
    return used < most ? used : most;
}

unsigned view_pick_tier(const mp_image_t *image)
{
    uint64_t start = mp_image_process(image)->started_ns;
    unsigned best = 0;

    for (unsigned tier = 0; tier < MP_REGION_TIMELINE_TIERS; tier++) {
        const struct mp_region_moment *first = mp_image_moment(image, tier, 0);

        if (mp_image_moment_count(image, tier) >= 2) {
            best = tier;
            if (first->time_ns <= start + 120000000000u) {
                break;
            }
        }
    }
    return best;
}

uint64_t view_free_bytes(const mp_image_t *image, size_t row)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < MP_REGION_CLASSES; i++) {
        const struct mp_region_cell *c = mp_image_cell(image, row, i);

        sum += c != NULL ? mp_cell_free_bytes(c) : 0;
    }
    return sum;
}

const char *view_ledger_total(const struct mp_ledger *ledger, char *ret, size_t size)
{
    bool has_moved = ledger->moved_bytes != MP_UNKNOWN
                     && ledger->moved_bytes > ledger->resident_bytes / 200;

    if (ledger->resident_bytes == MP_UNKNOWN) {
        snprintf(ret, size, "resident at most, of mpalloc");
    } else if (has_moved) {
        snprintf(ret, size,
            "resident, the kernel's figure; it moved by %s in the %s of reading it",
            format_bytes((double)ledger->moved_bytes).text,
            format_seconds((double)ledger->read_ns / 1e9).text);
    } else {
        snprintf(ret, size, "resident, the kernel's figure");
    }
    return ret;
}
