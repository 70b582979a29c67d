#include "export.h"

#include "profile_tree.h"
#include "view.h"

#include <errno.h>
#include <string.h>

/*
 * A massif.out file: points of the timeline, and the last with the tree of what is live.
 * massif's "extra" is the other memory of the heap: free blocks between live ones, and tables.
 */

enum {
    MOST = 100,      /* points; ms_print draws 72 columns */
    THRESHOLD = 100, /* what is less than this part of all is put together */
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

/* Those of the finest tier that reaches back to the start, thinned out; returns the next number. */
static unsigned put_timeline(FILE *out, const mp_image_t *image, uint64_t end_ms)
{
    const struct mp_region_process *process = mp_image_process(image);
    const struct mp_region_totals *t = mp_image_totals(image);
    unsigned tier = 0;
    unsigned number = 0;
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

        if (p.ms <= end_ms) {
            put_point(out, number++, &p, "empty");
        }
    }
    return number;
}

/* Children that are worth a line of their own come first. */
static size_t count_large(const struct profile_node *n, uint64_t least)
{
    size_t count = 0;

    for (const struct profile_node *c = n->child; c != NULL && c->total >= least;
         c = c->next) {
        count++;
    }
    return count;
}

static void put_node(FILE *out, const struct profile_node *n, const char *name,
    uint64_t least, int indent)
{
    size_t large = count_large(n, least);
    const struct profile_node *c = n->child;
    size_t places = 0;
    uint64_t rest = 0;

    for (size_t i = 0; i < large; i++) {
        c = c->next;
    }
    for (; c != NULL; c = c->next) {
        rest += c->total;
        places++;
    }
    fprintf(out, "%*sn%zu: %llu %s\n", indent, "", large + (places > 0),
        (unsigned long long)n->total, name);
    c = n->child;
    for (size_t i = 0; i < large; i++, c = c->next) {
        put_node(out, c, c->name, least, indent + 1);
    }
    if (places > 0) {
        fprintf(out,
            "%*sn0: %llu in %zu place%s, %sbelow massif's threshold (1.00%%)\n",
            indent + 1, "", (unsigned long long)rest, places, places == 1 ? "" : "s",
            places == 1 ? "" : "all ");
    }
}

int export_massif(FILE *out, const struct profile *p, enum profile_value value)
{
    const struct mp_region_process *process = mp_image_process(p->image);
    const struct mp_region_totals *t = mp_image_totals(p->image);
    struct profile_node *root = profile_tree_create(p, PROFILE_LIVE_BYTES);
    char command[4 * sizeof(process->command) + 1];
    struct point last;
    unsigned number;

    (void)value; /* massif knows live bytes only */
    if (root == NULL) {
        return -ENOMEM;
    }
    last = (struct point){at_least_zero(t->published_ns, process->started_ns) / 1000000,
        root->total, at_least_zero(t->resident_bytes, t->dirty_bytes + root->total)};
    mp_text_escape(
        command, sizeof(command), process->command, sizeof(process->command));
    fprintf(out,
        "desc: mpalloc " CONFIG_VERSION ", components and size classes, exact\n"
        "cmd: %s\ntime_unit: ms\n",
        command);
    number = put_timeline(out, p->image, last.ms);
    put_point(out, number, &last, "detailed");
    put_node(out, root, "(heap allocation functions) by component",
        root->total / THRESHOLD, 0);
    profile_tree_destroy(root);
    return 0;
}
