#include "export.h"

#include "stack_order.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A massif.out file: points of the timeline, the peak with the tree of what was live then, and
 * the last with that of what is live now. Trees go from the function that allocates to its
 * callers; without stacks, from components to classes, and without a peak. massif's "extra"
 * is the other memory of the heap: free blocks between live ones, and tables.
 */

enum {
    MOST = 100,      /* points; ms_print draws 72 columns */
    THRESHOLD = 100, /* what is less than this part of all is put together */
    DEEPEST = 1000,  /* what is below is not told apart */
};

struct point {
    uint64_t ms;
    uint64_t live;
    uint64_t extra;
};

static void put_point(
    FILE *out, unsigned number, const struct point *p, const char *tree)
{
    fprintf(out,
        "#-----------\nsnapshot=%u\n#-----------\ntime=%llu\nmem_heap_B=%llu\n"
        "mem_heap_extra_B=%llu\nmem_stacks_B=0\nheap_tree=%s\n",
        number, (unsigned long long)p->ms, (unsigned long long)p->live,
        (unsigned long long)p->extra, tree);
}

static uint64_t at_least_zero(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* ---- the trees ---- */

/* The samples of a profile, so that those below a node are neighbours. */
struct tree {
    const struct profile *profile;
    enum profile_value value;
    bool from_leaf;
    size_t *order;
    uint64_t least; /* what a node must hold for a line of its own */
    char text[EXPORT_FRAME_BYTES];
};

/* What is from `first` to `end` (not included) in the order has a frame in common. */
struct node {
    size_t first;
    size_t end;
    uint64_t total;
};

static int compare_nodes(const void *a, const void *b)
{
    const struct node *x = a;
    const struct node *y = b;

    if (x->total != y->total) {
        return x->total > y->total ? -1 : 1;
    }
    return x->first < y->first ? -1 : x->first > y->first;
}

static const struct profile_sample *sample_at(const struct tree *t, size_t at)
{
    return &t->profile->samples[t->order[at]];
}

/* The nodes below one at that depth, the largest first. NULL: no memory. */
static struct node *make_children(
    const struct tree *t, const struct node *n, size_t depth, size_t *ret_count)
{
    struct node *all = NULL;
    size_t room = 0;
    size_t count = 0;

    for (size_t i = n->first; i < n->end; i++) {
        const struct profile_sample *s = sample_at(t, i);
        bool is_new = count == 0;

        if (depth == DEEPEST || s->depth <= depth || s->value[t->value] == 0) {
            continue;
        }
        is_new = is_new
                 || stack_order_frame(s, depth, t->from_leaf)
                        != stack_order_frame(
                            sample_at(t, all[count - 1].first), depth, t->from_leaf);
        if (is_new && count == room) {
            struct node *more;

            room = room == 0 ? 16 : 2 * room;
            more = reallocarray(all, room, sizeof(*all));
            if (more == NULL) {
                free(all);
                return NULL;
            }
            all = more;
        }
        if (is_new) {
            all[count++] = (struct node){.first = i};
        }
        all[count - 1].end = i + 1;
        all[count - 1].total += s->value[t->value];
    }
    if (count == 0) {
        all = calloc(1, sizeof(*all));
    } else {
        qsort(all, count, sizeof(*all), compare_nodes);
    }
    *ret_count = count;
    return all;
}

/* The name may be in t->text, until there are nodes below. */
static int put_nodes(
    FILE *out, struct tree *t, const struct node *n, const char *name, size_t depth)
{
    size_t count;
    struct node *child = make_children(t, n, depth, &count);
    size_t large = 0;
    uint64_t rest = 0;
    int code = child != NULL ? 0 : -ENOMEM;

    if (child == NULL) {
        return code;
    }
    while (large < count && child[large].total >= t->least) {
        large++;
    }
    for (size_t i = large; i < count; i++) {
        rest += child[i].total;
    }
    fprintf(out, "%*sn%zu: %llu %s\n", (int)depth, "", large + (large < count),
        (unsigned long long)n->total, name);
    for (size_t i = 0; i < large && code == 0; i++) {
        uint32_t frame =
            stack_order_frame(sample_at(t, child[i].first), depth, t->from_leaf);

        code = put_nodes(out, t, &child[i],
            export_frame(t->profile, frame, t->text, sizeof(t->text)), depth + 1);
    }
    if (large < count) {
        fprintf(out,
            "%*sn0: %llu in %zu place%s, %sbelow massif's threshold (1.00%%)\n",
            (int)depth + 1, "", (unsigned long long)rest, count - large,
            count - large == 1 ? "" : "s", count - large == 1 ? "" : "all ");
    }
    free(child);
    return code;
}

static uint64_t sum_of(const struct profile *p, enum profile_value value)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < p->sample_count; i++) {
        sum += p->samples[i].value[value];
    }
    return sum;
}

static int put_tree(FILE *out, struct tree *t, enum profile_value value)
{
    struct node root = {0, t->profile->sample_count, sum_of(t->profile, value)};

    t->value = value;
    t->least = root.total / THRESHOLD;
    return put_nodes(out, t, &root,
        t->from_leaf ? "(heap allocation functions) malloc/new/new[], --alloc-fns, etc."
                     : "(heap allocation functions) by component",
        0);
}

/* ---- the timeline ---- */

/*
 * Points of the finest tier that reaches back to the start, thinned out: those at `from` or
 * later, until `until`. Returns the next number, and what was extra at the last of them.
 */
static unsigned put_timeline(FILE *out, const mp_image_t *image, unsigned number,
    uint64_t from_ms, uint64_t until_ms, uint64_t *ret_extra)
{
    const struct mp_region_process *process = mp_image_process(image);
    const struct mp_region_totals *t = mp_image_totals(image);
    unsigned tier = 0;
    size_t count;
    size_t step;

    while (tier + 1 < MP_REGION_TIMELINE_TIERS
           && t->timeline_total[tier] > mp_image_moment_count(image, tier)) {
        tier++;
    }
    count = mp_image_moment_count(image, tier);
    step = count / MOST + 1;
    for (size_t i = 0; i < count; i += step) {
        const struct mp_region_moment *m = mp_image_moment(image, tier, i);
        struct point p = {at_least_zero(m->time_ns, process->started_ns) / 1000000,
            m->live_bytes,
            at_least_zero(m->resident_bytes, m->dirty_bytes + m->live_bytes)};

        if (p.ms >= from_ms && p.ms <= until_ms) {
            put_point(out, number++, &p, "empty");
            *ret_extra = p.extra;
        }
    }
    return number;
}

int export_massif(FILE *out, const struct profile *p, enum profile_value value)
{
    const struct mp_region_process *process = mp_image_process(p->image);
    const struct mp_region_totals *t = mp_image_totals(p->image);
    struct tree tree = {.profile = p,
        .from_leaf = p->has_stacks,
        .order = stack_order_create(p, p->has_stacks)};
    uint64_t end_ms = at_least_zero(t->published_ns, process->started_ns) / 1000000;
    uint64_t peak_ms = at_least_zero(t->live_peak_ns, process->started_ns) / 1000000;
    struct point peak = {
        peak_ms < end_ms ? peak_ms : end_ms, sum_of(p, PROFILE_PEAK_BYTES), 0};
    struct point last = {end_ms, sum_of(p, PROFILE_LIVE_BYTES), 0};
    char command[4 * sizeof(process->command) + 1];
    char how[100];
    uint64_t extra;
    unsigned number = 0;
    int code = tree.order != NULL ? 0 : -ENOMEM;

    (void)value; /* massif knows live bytes only */
    last.extra = at_least_zero(t->resident_bytes, t->dirty_bytes + last.live);
    mp_text_escape(
        command, sizeof(command), process->command, sizeof(process->command));
    fprintf(out, "desc: mpalloc " CONFIG_VERSION ", %s\ncmd: %s\ntime_unit: ms\n",
        profile_describe(p, how, sizeof(how)), command);
    if (peak.live > 0 && code == 0) {
        number = put_timeline(out, p->image, number, 0, peak.ms, &peak.extra);
        put_point(out, number++, &peak, "peak");
        code = put_tree(out, &tree, PROFILE_PEAK_BYTES);
    }
    if (code == 0) {
        number = put_timeline(
            out, p->image, number, peak.live > 0 ? peak.ms + 1 : 0, end_ms, &extra);
        put_point(out, number, &last, "detailed");
        code = put_tree(out, &tree, PROFILE_LIVE_BYTES);
    }
    free(tree.order);
    return code;
}
