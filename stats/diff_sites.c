/*
 * diff_sites - what changed by call stack: differences of estimates, and whether they are noise
 *
 * Owns: which sites of two images are one stack, which samples only one of them has, and the test.
 * README.md, "Differences".
 */
#include "diff.h"
#include "site_sums.h"
#include "trend.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BEFORE, AFTER, SIDES };

/* Sums of one row in one image. */
enum { FRAMES_MOST = 512 }; /* of a stack; a damaged region may have more */

struct sums {
    uint32_t site; /* that has most; NO_NUMBER: none */
    double most;
    struct tally live;
    struct tally kept; /* of live: samples that the other image has, too */
    struct tally allocated;
    struct tally peak;
    double value[MP_DIFF_FIGURES]; /* calibrated */
    double below[MP_DIFF_FIGURES]; /* how far off it may be */
    double above[MP_DIFF_FIGURES];
    double counted; /* live bytes of its components and classes: no row has more */
};

struct row {
    uint64_t key;
    uint32_t component; /* where it was first seen, and the class there */
    uint32_t class_number;
    struct sums of[SIDES];
};

/* A site that was sampled, or a group of them: of one row, component and class. */
struct member {
    uint64_t key;
    uint32_t cell;
    uint32_t site;
    uint32_t group;
};

struct side {
    size_t count;
    struct member *members; /* in order */
    size_t group_count;
    uint64_t *row_key; /* by site */
    uint32_t *group;   /* by site */
    mp_estimates_t *estimates;
};

struct work {
    struct mp_diff *d;
    struct side side[SIDES];
    size_t row_count;
    struct row *rows; /* by key */
};

/* ---- which stack a site is ---- */

/* FNV-1a. */
static uint64_t hash(uint64_t h, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < count; i++) {
        h = (h ^ at[i]) * 0x100000001b3u;
    }
    return h;
}

static const char *module_name(const struct mp_region_module *m)
{
    const char *slash = m != NULL ? strrchr(m->path, '/') : NULL;

    return m == NULL ? "" : slash != NULL ? slash + 1 : m->path;
}

/* Which way an allocation took inside of mpalloc depends on the interval, and on luck. */
/* Of a damaged region there may be none. */
static const char *component_name(const mp_image_t *image, size_t row)
{
    const struct mp_region_component *c = mp_image_component(image, row);

    return c != NULL ? c->name : "";
}

static uint32_t skip_own(const mp_image_t *image, uint32_t frame)
{
    for (unsigned i = 0; i < FRAMES_MOST && frame != 0; i++) {
        const struct mp_region_frame *f = mp_image_frame(image, frame);
        const char *name = module_name(mp_image_module(image, f->module));

        if (strncmp(name, "libmpalloc.so", 13) != 0) {
            break;
        }
        frame = f->parent;
    }
    return frame;
}

static uint64_t hash_frame(
    const mp_image_t *image, uint64_t h, const struct mp_region_frame *f)
{
    const struct mp_region_module *m = mp_image_module(image, f->module);

    if (m == NULL) {
        return hash(h, "?", 1); /* its address says nothing */
    }
    h = m->build_id_bytes > 0 ? hash(h, m->build_id, sizeof(m->build_id))
                              : hash(h, module_name(m), strlen(module_name(m)));
    return hash(h, &f->offset, sizeof(f->offset));
}

static uint64_t key_of(const struct mp_diff *d, unsigned side, size_t site)
{
    const mp_image_t *image = d->image[side];
    const struct mp_region_site *t = mp_image_site(image, site);
    const char *name = component_name(image, t->component);
    uint32_t frame = skip_own(image, t->frame);
    uint64_t h = hash(0xcbf29ce484222325u, name, strlen(name) + 1);

    if (d->options.key[side] != NULL) {
        return hash(h, &d->options.key[side][site], sizeof(uint64_t));
    }
    for (unsigned i = 0; i < FRAMES_MOST && frame != 0; i++) {
        h = hash_frame(image, h, mp_image_frame(image, frame));
        frame = mp_image_frame(image, frame)->parent;
    }
    return h;
}

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a;
    const struct member *y = b;

    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    if (x->cell != y->cell) {
        return x->cell < y->cell ? -1 : 1;
    }
    return x->site < y->site ? -1 : x->site > y->site;
}

static int make_side(struct work *w, unsigned number)
{
    const mp_image_t *image = w->d->image[number];
    struct side *s = &w->side[number];
    size_t count = mp_image_site_count(image);

    s->members = calloc(count + 1, sizeof(*s->members));
    s->row_key = calloc(count + 1, sizeof(*s->row_key));
    s->group = calloc(count + 1, sizeof(*s->group));
    if (s->members == NULL || s->row_key == NULL || s->group == NULL) {
        return -ENOMEM;
    }
    /* Of (overflow), site 0, is known no stack: the rest has it. */
    for (uint32_t i = 1; i < count; i++) {
        const struct mp_region_site *t = mp_image_site(image, i);

        if (t->allocated_samples > 0) {
            s->row_key[i] = key_of(w->d, number, i);
            s->members[s->count++] = (struct member){s->row_key[i],
                t->component * MP_REGION_CLASSES + t->class_number, i, 0};
        }
    }
    qsort(s->members, s->count, sizeof(*s->members), compare_members);
    for (size_t i = 0; i < s->count; i++) {
        struct member *m = &s->members[i];

        if (i == 0 || m[-1].key != m->key || m[-1].cell != m->cell) {
            s->group_count++; /* 0 is (overflow) */
        }
        m->group = (uint32_t)s->group_count;
        s->group[m->site] = m->group;
    }
    s->group_count++;
    return mp_estimates_make(image, s->group, s->group_count, &s->estimates);
}

/* ---- rows ---- */

static int make_rows(struct work *w)
{
    const struct side *s = w->side;
    size_t at[SIDES] = {0, 0};

    w->rows = calloc(s[0].count + s[1].count + 1, sizeof(*w->rows));
    if (w->rows == NULL) {
        return -ENOMEM;
    }
    while (at[0] < s[0].count || at[1] < s[1].count) {
        struct row *r = &w->rows[w->row_count++];
        unsigned first = at[0] == s[0].count
                         || (at[1] < s[1].count
                             && s[1].members[at[1]].key < s[0].members[at[0]].key);
        const struct member *m = &s[first].members[at[first]];

        r->key = m->key;
        r->of[0].site = r->of[1].site = NO_NUMBER;
        for (unsigned i = 0; i < SIDES; i++) {
            while (at[i] < s[i].count && s[i].members[at[i]].key == r->key) {
                at[i]++;
            }
        }
    }
    return 0;
}

static int compare_row(const void *key, const void *row)
{
    uint64_t k = *(const uint64_t *)key;
    const struct row *r = row;

    return k < r->key ? -1 : k > r->key;
}

static struct row *find_row(const struct work *w, uint64_t key)
{
    return bsearch(&key, w->rows, w->row_count, sizeof(*w->rows), compare_row);
}

static void add_group(struct sums *s, const struct mp_figures *f)
{
    static const uint8_t figure[MP_DIFF_FIGURES] = {
        [MP_DIFF_LIVE_BYTES] = MP_LIVE_BYTES,
        [MP_DIFF_LIVE_BLOCKS] = MP_LIVE_BLOCKS,
        [MP_DIFF_ALLOCATED_BYTES] = MP_ALLOCATED_BYTES,
        [MP_DIFF_ALLOCATED_BLOCKS] = MP_ALLOCATED_BLOCKS,
        [MP_DIFF_PEAK_BYTES] = MP_PEAK_BYTES};

    for (unsigned i = 0; i < MP_DIFF_FIGURES; i++) {
        unsigned k = figure[i];

        s->value[i] += (double)f->value[k];
        s->below[i] = hypot(s->below[i], (double)(f->value[k] - f->low[k]));
        s->above[i] = hypot(s->above[i], (double)(f->high[k] - f->value[k]));
    }
}

static void add_site(
    struct sums *s, const struct mp_region_site *t, const mp_image_t *image)
{
    struct tally part[SITE_PARTS];

    site_sums_of(t, mp_image_sampling(image), UINT64_MAX, part);
    tally_merge(&s->live, &part[SITE_LIVE]);
    tally_merge(&s->allocated, &part[SITE_LIVE]);
    tally_merge(&s->allocated, &part[SITE_FREED]);
    tally_merge(&s->peak, &part[SITE_PEAK]);
}

/* What components and classes of a row had in the other image bounds what it had there. */
static void add_counted(struct work *w, unsigned side, struct row *r, uint32_t cell)
{
    const mp_image_t *from = w->d->image[side];
    const mp_image_t *other = w->d->image[!side];
    const char *name = component_name(from, cell / MP_REGION_CLASSES);

    for (size_t i = 0; i < mp_image_component_count(other); i++) {
        const struct mp_region_cell *c =
            mp_image_cell(other, i, cell % MP_REGION_CLASSES);

        if (strcmp(mp_image_component(other, i)->name, name) == 0) {
            r->of[!side].counted +=
                c == NULL ? INFINITY
                : c->allocated_bytes_total > c->freed_bytes_total
                    ? (double)(c->allocated_bytes_total - c->freed_bytes_total)
                    : 0;
            return;
        }
    }
}

static void add_side(struct work *w, unsigned number)
{
    const struct side *s = &w->side[number];
    const mp_image_t *image = w->d->image[number];

    for (size_t i = 0; i < s->count; i++) {
        const struct member *m = &s->members[i];
        const struct mp_region_site *t = mp_image_site(image, m->site);
        struct row *r = find_row(w, m->key);
        struct sums *sums = &r->of[number];

        if (i == 0 || m[-1].group != m->group) {
            add_group(sums, mp_estimates_group(s->estimates, m->group));
            add_counted(w, number, r, m->cell);
        }
        add_site(sums, t, image);
        if (sums->site == NO_NUMBER || t->allocated_bytes > sums->most) {
            sums->site = m->site;
            sums->most = t->allocated_bytes;
        }
    }
}

/* ---- samples that both have ---- */

struct sample {
    uint64_t key;
    uint64_t born_ns;
    uint64_t thread;
    uint64_t bytes;
    uint64_t requested;
    uint64_t interval;
};

static int compare_samples(const void *a, const void *b)
{
    const struct sample *x = a;
    const struct sample *y = b;
    const uint64_t *i = &x->key;
    const uint64_t *k = &y->key;

    for (unsigned n = 0; n < sizeof(*x) / sizeof(*i); n++) {
        if (i[n] != k[n]) {
            return i[n] < k[n] ? -1 : 1;
        }
    }
    return 0;
}

static struct sample *list_samples(const struct work *w, unsigned side, size_t *ret)
{
    const mp_image_t *image = w->d->image[side];
    size_t count = mp_image_sample_count(image);
    struct sample *all = calloc(count + 1, sizeof(*all));

    *ret = count;
    for (size_t i = 0; all != NULL && i < count; i++) {
        const struct mp_region_sample *s = mp_image_sample(image, i);

        all[i] = (struct sample){w->side[side].row_key[s->site], s->born_ns,
            s->thread_id, s->bytes, s->requested, s->interval};
    }
    if (all != NULL) {
        qsort(all, count, sizeof(*all), compare_samples);
    }
    return all;
}

static int match_samples(struct work *w)
{
    size_t count[SIDES];
    struct sample *a = list_samples(w, BEFORE, &count[BEFORE]);
    struct sample *b = list_samples(w, AFTER, &count[AFTER]);
    int code = a != NULL && b != NULL ? 0 : -ENOMEM;

    for (size_t i = 0, k = 0; code == 0 && i < count[BEFORE] && k < count[AFTER];) {
        int order = compare_samples(&a[i], &b[k]);

        if (order == 0) {
            struct row *r = find_row(w, a[i].key);

            for (unsigned n = 0; r != NULL && n < SIDES; n++) {
                tally_add(&r->of[n].kept, (double)a[i].bytes,
                    a[i].interval == MP_SAMPLING_EXACT ? 0 : (double)a[i].interval, 1);
            }
        }
        i += order <= 0;
        k += order >= 0;
    }
    free(a);
    free(b);
    return code;
}

/* ---- differences ---- */

static struct estimate_sum sum_less(struct estimate_sum a, struct estimate_sum b)
{
    return (struct estimate_sum){
        fmax(a.value - b.value, 0), fmax(a.variance - b.variance, 0), a.heaviest};
}

/* Rounding leaves a little of what is all gone. */
static struct tally less(const struct tally *a, const struct tally *b)
{
    if (a->samples <= b->samples) {
        return (struct tally){
            .bytes.heaviest = a->bytes.heaviest, .blocks.heaviest = a->blocks.heaviest};
    }
    return (struct tally){a->samples - b->samples, sum_less(a->bytes, b->bytes),
        sum_less(a->blocks, b->blocks)};
}

/* What only one image has, of what is judged. */
struct apart {
    struct tally gone;
    struct tally come;
};

static struct apart apart_of(
    const struct row *r, enum mp_diff_figure judged, bool is_same_run)
{
    const struct sums *a = &r->of[BEFORE];
    const struct sums *b = &r->of[AFTER];

    if (judged == MP_DIFF_PEAK_BYTES) {
        return (struct apart){a->peak, b->peak};
    }
    if (judged == MP_DIFF_ALLOCATED_BYTES || judged == MP_DIFF_ALLOCATED_BLOCKS) {
        return is_same_run ? (struct apart){less(&a->allocated, &b->allocated),
                   less(&b->allocated, &a->allocated)}
                           : (struct apart){a->allocated, b->allocated};
    }
    return (struct apart){less(&a->live, &a->kept), less(&b->live, &b->kept)};
}

/* Two estimates of two samples. */
static struct mp_change change_of_two(const struct row *r, unsigned f)
{
    const struct sums *a = &r->of[BEFORE];
    const struct sums *b = &r->of[AFTER];
    double change = b->value[f] - a->value[f];

    return (struct mp_change){(uint64_t)a->value[f], (uint64_t)b->value[f], change,
        change - hypot(b->below[f], a->above[f]),
        change + hypot(b->above[f], a->below[f])};
}

/* One sample less another: what both have is in neither. */
static struct mp_change change_in_run(
    const struct row *r, unsigned f, const struct apart *x)
{
    bool in_bytes = f == MP_DIFF_LIVE_BYTES || f == MP_DIFF_ALLOCATED_BYTES;
    static const struct estimate none;
    struct estimate gone = x->gone.samples == 0 ? none
                           : in_bytes           ? estimate_bytes(&x->gone, 0)
                                                : estimate_blocks(&x->gone);
    struct estimate come = x->come.samples == 0 ? none
                           : in_bytes           ? estimate_bytes(&x->come, 0)
                                                : estimate_blocks(&x->come);
    double before = r->of[BEFORE].value[f];
    double change = come.value - gone.value;

    return (struct mp_change){(uint64_t)before,
        (uint64_t)fmax(before + change + 0.5, 0), change,
        change - hypot(come.value - come.low, gone.high - gone.value),
        change + hypot(come.high - come.value, gone.value - gone.low)};
}

static bool is_of_estimates(unsigned flags, unsigned f)
{
    return (flags & MP_DIFF_SAME_RUN) == 0 || f == MP_DIFF_PEAK_BYTES;
}

/* Where a stack was not seen at all it may have had a little. */
static void bound_unseen(struct work *w, struct row *r)
{
    for (unsigned i = 0; i < SIDES; i++) {
        double most = -log(0.05) * diff_interval(w->d->image[i]);

        if (r->of[i].site == NO_NUMBER) {
            r->of[i].above[MP_DIFF_LIVE_BYTES] = fmin(most, r->of[i].counted);
            r->of[i].above[MP_DIFF_ALLOCATED_BYTES] =
                r->of[i].above[MP_DIFF_PEAK_BYTES] = most;
        }
    }
}

static int put_row(struct work *w, struct row *r)
{
    struct mp_diff *d = w->d;
    bool is_same_run = (d->flags & MP_DIFF_SAME_RUN) != 0;
    struct apart x = apart_of(r, d->options.judged, is_same_run);
    struct mp_difference *to = diff_add_row(&d->rows[MP_DIFF_SITE]);

    if (to == NULL) {
        return -ENOMEM;
    }
    bound_unseen(w, r);
    to->number[BEFORE] = r->of[BEFORE].site;
    to->number[AFTER] = r->of[AFTER].site;
    to->samples = x.gone.samples + x.come.samples;
    to->p = estimate_p(&x.gone, &x.come, diff_interval(d->image[BEFORE]),
        diff_interval(d->image[AFTER]));
    for (unsigned f = 0; f < MP_DIFF_FIGURES; f++) {
        struct apart y = apart_of(r, (enum mp_diff_figure)f, is_same_run);

        to->figure[f] = is_of_estimates(d->flags, f) ? change_of_two(r, f)
                                                     : change_in_run(r, f, &y);
    }
    if (x.gone.samples + x.come.samples == 0) {
        to->p = 1;
    }
    return 0;
}

/* ---- which of them are beyond noise ---- */

static int judge(struct mp_diff *d)
{
    struct diff_rows *rows = &d->rows[MP_DIFF_SITE];
    double *p = calloc(2 * rows->count + 1, sizeof(*p));
    double most;

    if (p == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < rows->count; i++) {
        p[i] = rows->row[i].p;
    }
    most = trend_threshold(p, rows->count, d->options.false_discovery, p + rows->count);
    for (size_t i = 0; i < rows->count; i++) {
        struct mp_difference *r = &rows->row[i];

        r->is_significant =
            r->p <= most && r->p < 1 && r->figure[d->options.judged].change != 0;
    }
    free(p);
    return 0;
}

int diff_sites_make(struct mp_diff *d)
{
    struct work w = {.d = d};
    int code = make_side(&w, BEFORE);

    if (code == 0) {
        code = make_side(&w, AFTER);
    }
    if (code == 0) {
        code = make_rows(&w);
    }
    if (code == 0) {
        add_side(&w, BEFORE);
        add_side(&w, AFTER);
        code = (d->flags & MP_DIFF_SAME_RUN) != 0 ? match_samples(&w) : 0;
    }
    for (size_t i = 0; code == 0 && i < w.row_count; i++) {
        code = put_row(&w, &w.rows[i]);
    }
    for (unsigned i = 0; i < SIDES; i++) {
        mp_estimates_free(w.side[i].estimates);
        free(w.side[i].members);
        free(w.side[i].row_key);
        free(w.side[i].group);
    }
    free(w.rows);
    return code == 0 ? judge(d) : code;
}
