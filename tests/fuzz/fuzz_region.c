/*
 * fuzz_region - libFuzzer against the reader of regions
 *
 * The input is a region file. Whatever is in it, reading must end soon, in bounded
 * memory, and what comes out must keep the promises of mpstats.h and image.h. The mutator
 * knows where the table, the records and their fields are.
 */
#include "../stats/make_region.h"

#include <mpstats.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    SPARSE_MAX = 8 << 20, /* a file may be longer than what is written of it */
    SLEEPS_MAX = 1000,    /* of 50 us, in one reading */
    PID_SELF = 4000001,   /* stands for the process of the fuzzer, see adopt() */
};

#define EXPECT(what)                                                                   \
    do {                                                                               \
        if (!(what)) {                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);         \
            abort();                                                                   \
        }                                                                              \
    } while (0)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(
    uint8_t *data, size_t size, size_t max_size, unsigned seed);
int fuzz_sleep(const struct timespec *wanted, struct timespec *left);

static int memfd = -1;
static char *mapped; /* the first page of it: as a process has its region mapped */
static struct mp_region_process own;
static unsigned sleeps;

/* The reader is compiled to call this instead of nanosleep. */
int fuzz_sleep(const struct timespec *wanted, struct timespec *left)
{
    (void)wanted;
    (void)left;
    EXPECT(++sleeps < SLEEPS_MAX);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct made m;

    (void)argc;
    (void)argv;
    memfd = memfd_create("fuzz", MFD_CLOEXEC);
    EXPECT(memfd >= 0);
    mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, memfd, 0);
    EXPECT(mapped != MAP_FAILED);
    make_region(&m, &make_small);
    made_adopt(&m);
    own = *(struct mp_region_process *)made_record(&m, MP_SECTION_PROCESS, 0);
    make_region_free(&m);
    return 0;
}

/* ---- the input ---- */

static uint64_t read_word(const uint8_t *data, size_t size, uint64_t at)
{
    uint64_t value = 0;

    if (at <= size && size - at >= sizeof(value)) {
        memcpy(&value, data + at, sizeof(value));
    }
    return value;
}

/* A region of process PID_SELF becomes ours, so that the ledger of a live one is made. */
static void adopt(const uint8_t *data, size_t size)
{
    struct mp_region_section c;
    struct mp_region_process p;

    memcpy(&c, data + offsetof(struct mp_region_header, sections), sizeof(c));
    if (c.id != MP_SECTION_PROCESS || c.offset > size || size - c.offset < sizeof(p)
        || read_word(data, size, c.offset) != PID_SELF) {
        return;
    }
    memcpy(&p, data + c.offset, sizeof(p));
    p.pid = own.pid;
    p.start_ticks = own.start_ticks;
    p.pid_namespace = own.pid_namespace;
    memset(p.boot_id, 0, sizeof(p.boot_id));
    memcpy(p.exe, own.exe, sizeof(p.exe));
    EXPECT(pwrite(memfd, &p, sizeof(p), (off_t)c.offset) == sizeof(p));
}

static void write_input(const uint8_t *data, size_t size)
{
    uint64_t wanted =
        read_word(data, size, offsetof(struct mp_region_header, region_bytes));

    EXPECT(ftruncate(memfd, 0) == 0);
    EXPECT(pwrite(memfd, data, size, 0) == (ssize_t)size);
    if (wanted > size && wanted <= SPARSE_MAX) {
        EXPECT(ftruncate(memfd, (off_t)wanted) == 0);
    }
    if (size >= sizeof(struct mp_region_header)) {
        adopt(data, size);
    }
}

/* ---- what comes out ---- */

static void walk_text(const char *text, size_t room)
{
    char to[512];
    size_t n;

    EXPECT(memchr(text, '\0', room) != NULL);
    n = mp_text_escape(to, sizeof(to), text, room);
    EXPECT(n < sizeof(to) && to[n] == '\0' && strlen(to) == n);
    for (size_t i = 0; i < n; i++) {
        EXPECT((unsigned char)to[i] >= 0x20 && to[i] != 0x7f);
    }
    n = mp_text_escape(to, 7, text, room);
    EXPECT(n < 7 && to[n] == '\0');
}

static void walk_components(const mp_image_t *image)
{
    size_t count = mp_image_component_count(image);

    for (size_t i = 0; i < count; i++) {
        const struct mp_region_component *c = mp_image_component(image, i);

        EXPECT(c->parent == 0 || c->parent < i);
        walk_text(c->name, sizeof(c->name));
        for (size_t n = 0; n < MP_REGION_CLASSES; n += 5) {
            const struct mp_region_cell *cell = mp_image_cell(image, i, n);
            volatile uint64_t last;

            if (cell != NULL) {
                last = cell->slab_bytes;
                (void)last;
            }
        }
        EXPECT(mp_image_cell(image, i, MP_REGION_CLASSES) == NULL);
    }
    EXPECT(mp_image_component(image, MP_REGION_UNTAGGED) != NULL); /* always */
    EXPECT(mp_image_component(image, count > 0 ? count : 1) == NULL);
    EXPECT(mp_image_cell(image, count, 0) == NULL);
    EXPECT(mp_image_cell(image, SIZE_MAX, SIZE_MAX) == NULL);
}

static void walk_others(const mp_image_t *image)
{
    struct mp_region_cell sum;

    EXPECT(mp_image_class_count(image) <= MP_REGION_CLASSES);
    for (size_t i = 0; i < mp_image_class_count(image); i++) {
        EXPECT(mp_image_class(image, i) != NULL);
        mp_image_class_sum(image, i, &sum);
        EXPECT(sum.live_peak_bytes == 0);
    }
    mp_image_class_sum(image, SIZE_MAX, &sum);
    for (size_t i = 0; i < mp_image_module_count(image); i++) {
        const struct mp_region_module *m = mp_image_module(image, i);

        EXPECT(m->segment_count <= MP_REGION_MODULE_SEGMENTS);
        EXPECT(m->build_id_bytes <= sizeof(m->build_id));
        walk_text(m->path, sizeof(m->path));
    }
    for (size_t i = 0; i < mp_image_option_count(image); i++) {
        const struct mp_region_option *o = mp_image_option(image, i);

        walk_text(o->name, sizeof(o->name));
        walk_text(o->value, sizeof(o->value));
    }
    for (unsigned tier = 0; tier <= MP_REGION_TIMELINE_TIERS; tier++) {
        size_t count = mp_image_moment_count(image, tier);

        for (size_t i = 0; i < count; i++) {
            EXPECT(mp_image_moment(image, tier, i)->time_ns != 0);
            EXPECT((mp_image_moment(image, tier, i)->seq & 1) == 0);
        }
        EXPECT(mp_image_moment(image, tier, count) == NULL);
    }
}

static void walk_sum(double allocated, double freed)
{
    EXPECT(isfinite(allocated) && freed >= 0 && freed <= allocated);
}

static void walk_leaks(const mp_image_t *image)
{
    const struct mp_region_leaks *l = mp_image_leaks(image);
    const struct mp_region_leak_site *t;

    EXPECT(l == NULL || l->blocks[MP_LEAK_LOST] <= l->blocks[MP_LEAK_DEFINITE]);
    for (size_t row = 0; row <= mp_image_component_count(image); row++) {
        for (size_t i = 0; i < MP_REGION_CLASSES; i++) {
            const struct mp_region_leak_cell *c = mp_image_leak_cell(image, row, i);

            EXPECT(c == NULL || c->bytes[MP_LEAK_LOST] <= c->bytes[MP_LEAK_DEFINITE]);
        }
    }
    for (size_t i = 0; (t = mp_image_leak_site(image, i)) != NULL; i++) {
        EXPECT(mp_image_site(image, i) != NULL);
        for (unsigned kind = 0; kind < MP_LEAK_KINDS; kind++) {
            EXPECT(t->blocks[kind] >= 0 && t->bytes[kind] <= 0x1p57);
        }
    }
}

static void walk_site(const mp_image_t *image, const struct mp_region_site *t)
{
    EXPECT(t->frame == 0 || t->frame < mp_image_frame_count(image));
    EXPECT(t->component == 0 || t->component < mp_image_component_count(image));
    EXPECT(t->class_number == 0 || t->class_number < mp_image_class_count(image));
    EXPECT(t->operation == 0 || mp_image_name(image, t->operation) != NULL);
    walk_text(mp_image_name(image, t->thread), sizeof(struct mp_region_name));
    EXPECT(t->freed_samples <= t->allocated_samples);
    walk_sum(t->allocated_blocks, t->freed_blocks);
    walk_sum(t->allocated_bytes, t->freed_bytes);
    walk_sum(t->allocated_requested, t->freed_requested);
    walk_sum(t->allocated_blocks_variance, t->freed_blocks_variance);
    walk_sum(t->allocated_bytes_variance, t->freed_bytes_variance);
    walk_sum(t->peak_bytes, 0);
    walk_sum(t->peak_blocks, 0);
    walk_sum(t->peak_bytes_variance, 0);
    walk_sum(t->peak_requested, 0);
    walk_sum(t->freed_lifetime_ns, 0);
    walk_sum(t->heaviest_bytes, 0);
    walk_sum(t->heaviest_blocks, 0);
}

static void walk_samples(const mp_image_t *image)
{
    size_t sites = mp_image_site_count(image);

    EXPECT(mp_image_sampling(image)->peak_bytes >= 0);
    for (size_t i = 0; i < mp_image_frame_count(image); i++) {
        const struct mp_region_frame *f = mp_image_frame(image, i);

        EXPECT(f->parent == 0 || f->parent < i);
        EXPECT(f->module == UINT32_MAX || f->module < mp_image_module_count(image));
    }
    for (size_t i = 0; i < sites; i++) {
        walk_site(image, mp_image_site(image, i));
    }
    for (size_t i = 0; i < mp_image_sample_count(image); i++) {
        const struct mp_region_sample *r = mp_image_sample(image, i);

        EXPECT(r->is_live != 0 && r->site < sites);
    }
    EXPECT(mp_image_frame(image, mp_image_frame_count(image)) == NULL);
    walk_leaks(image);
    EXPECT(mp_image_site(image, sites) == NULL);
    EXPECT(mp_image_sample(image, SIZE_MAX) == NULL);
    EXPECT(mp_image_name(image, SIZE_MAX)[0] == '\0');
}

static void walk_history(const mp_image_t *image)
{
    const struct mp_region_epochs *e = mp_image_epochs(image);

    EXPECT(e->current < MP_REGION_EPOCHS && e->doublings < 64);
    walk_sum(e->work_bytes, 0);
    walk_sum(e->epoch_bytes, 0);
    for (size_t i = 0; i < MP_REGION_EPOCHS; i++) {
        walk_sum(e->ends[i].live_bytes, 0);
        EXPECT(
            i == 0 || i >= e->current || e->ends[i].mono_ns >= e->ends[i - 1].mono_ns);
    }
    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        const struct mp_region_site_epochs *r = mp_image_site_epochs(image, i);

        walk_sum((double)mp_image_site(image, i)->floor_bytes, 0);
        EXPECT(r == NULL || (mp_image_has_history(image, i) && r->site == i));
        EXPECT(r == NULL
               || (r->current < MP_REGION_EPOCHS && r->doublings <= e->doublings));
        for (size_t k = 0; r != NULL && k < MP_REGION_EPOCHS; k++) {
            walk_sum((double)r->live_bytes[k] + (double)r->floor_bytes[k], 0);
        }
    }
    EXPECT(mp_image_mark_count(image) <= MP_REGION_MARKS);
    EXPECT(mp_image_mark(image, MP_REGION_MARKS) == NULL);
    EXPECT(mp_image_site_epochs(image, SIZE_MAX) == NULL);
}

static void walk_verdicts(const mp_image_t *image)
{
    mp_verdicts_t *verdicts = NULL;

    EXPECT(mp_verdicts_make(image, NULL, &verdicts) == 0);
    for (size_t i = 0; i < mp_verdicts_count(verdicts); i++) {
        const struct mp_verdict *v = mp_verdicts_at(verdicts, i);

        EXPECT(v->kind < MP_VERDICTS && v->advice < MP_ADVICES);
        EXPECT(v->frame == 0 || v->frame < mp_image_frame_count(image));
        EXPECT(v->p >= 0 && v->p <= 1 && !isnan(v->bytes_per_hour.value));
        EXPECT(v->line_count <= MP_VERDICT_LINES);
        EXPECT(v->live_bytes.low <= v->live_bytes.value);
    }
    mp_verdicts_free(verdicts);
}

static void walk_figures(const struct mp_figures *f)
{
    for (unsigned i = 0; i < MP_FIGURES; i++) {
        EXPECT(f->low[i] <= f->value[i] && f->value[i] <= f->high[i]);
    }
    EXPECT(isfinite(f->lifetime_s));
}

/*
 * Whether counters are not what stacks add up to: some site changed since they were published, or
 * all was recorded, and is believed.
 */
static bool is_beyond_counters(const mp_image_t *image)
{
    const struct mp_region_sampling *g = mp_image_sampling(image);
    uint64_t published = mp_image_totals(image)->published_total;
    bool is_beyond = g->interval_bytes == MP_SAMPLING_EXACT && g->changes_total == 0;

    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        is_beyond |= mp_image_site(image, i)->counted_number >= published;
    }
    return is_beyond;
}

#define MOST (UINT64_C(1) << 62)

/* Groups and rests add up to the counters, whatever samples say that these do know of. */
static void walk_estimates(const mp_image_t *image)
{
    mp_estimates_t *e = NULL;
    uint64_t sum = 0;
    uint64_t counted = 0;

    EXPECT(mp_estimates_make(image, NULL, 0, &e) == 0);
    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        const struct mp_region_site *t = mp_image_site(image, i);

        walk_figures(mp_estimates_group(e, i));
        if (mp_image_cell(image, t->component, t->class_number) != NULL) {
            sum += mp_estimates_group(e, i)->value[MP_ALLOCATED_BYTES];
        }
    }
    for (size_t i = 0; i < mp_image_component_count(image) * MP_REGION_CLASSES; i++) {
        size_t row = i / MP_REGION_CLASSES;
        size_t number = i % MP_REGION_CLASSES;
        const struct mp_region_cell *c = mp_image_cell(image, row, number);
        struct mp_figures rest;

        mp_estimates_rest(e, row, number, &rest);
        walk_figures(&rest);
        sum += rest.value[MP_ALLOCATED_BYTES];
        if (c != NULL) { /* of damaged ones no more than that counts */
            counted +=
                c->allocated_bytes_total < MOST ? c->allocated_bytes_total : MOST;
        }
    }
    EXPECT(sum == counted || is_beyond_counters(image)); /* also when both wrapped */
    EXPECT(mp_estimates_group(e, mp_image_site_count(image)) == NULL);
    mp_estimates_free(e);
}

/* Figures are made of whatever there is: they are finite, or have no limit. */
static void walk_advice(const mp_image_t *image)
{
    mp_findings_t *f = NULL;
    struct mp_efficiency e;
    struct mp_timeline t;
    struct mp_size_sums s;

    EXPECT(mp_findings_make(image, NULL, NULL, &f) == 0);
    for (size_t i = 0; i < mp_findings_count(f); i++) {
        const struct mp_finding *n = mp_findings_at(f, i);

        EXPECT(n->code < MP_FINDINGS && n->line_count <= MP_FINDING_LINES);
        EXPECT(!isnan(n->gain.value) && !isnan(n->share));
        EXPECT(n->component < mp_image_component_count(image) || !n->has_component
               || n->component == 0);
        EXPECT(n->frame < mp_image_frame_count(image) || n->frame == 0);
        EXPECT(
            mp_finding_name(n->code)[0] != '\0' && mp_finding_text(n->code)[0] != '\0');
    }
    EXPECT(mp_findings_at(f, mp_findings_count(f)) == NULL);
    mp_findings_free(f);
    EXPECT(mp_efficiency_make(image, &e) == 0);
    EXPECT(!isnan(e.ratio) && e.ratio >= 0);
    mp_timeline_make(image, 0, &t);
    EXPECT(!isnan(t.mean_live_bytes) && !isnan(t.bytes_per_hour.value));
    mp_size_sums_make(image, &s);
}

static void walk_process(const mp_image_t *image)
{
    const struct mp_region_process *p = mp_image_process(image);
    struct mp_ledger l;
    int64_t sum = 0;

    EXPECT(p->build_id_bytes <= sizeof(p->build_id));
    EXPECT(p->pid > 0 && p->pid <= INT32_MAX);
    walk_text(p->version, sizeof(p->version));
    walk_text(p->service, sizeof(p->service));
    walk_text(p->exe, sizeof(p->exe));
    walk_text(p->command, sizeof(p->command));
    EXPECT(strcmp(mp_life_name(mp_image_life(image)), "unknown") != 0);
    mp_ledger_make(image, &l);
    EXPECT(l.count > 0 && l.count <= MP_LEDGER_PARTS);
    for (size_t i = 0; i < l.count; i++) {
        sum += l.part[i].bytes;
    }
    EXPECT(sum == l.total_bytes);
    EXPECT(l.resident_bytes == MP_UNKNOWN || l.resident_bytes == (uint64_t)sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mp_error error = {{0}};
    mp_image_t *image = NULL;
    int code;

    write_input(data, size);
    sleeps = 0;
    code = mp_image_read(memfd, "fuzz\n", &image, &error);
    EXPECT(code <= 0);
    EXPECT((code == 0) == (image != NULL));
    EXPECT((code == 0) == (error.text[0] == '\0'));
    EXPECT(strchr(error.text, '\n') == NULL);
    if (image != NULL) {
        EXPECT(strcmp(mp_image_path(image), "fuzz\n") == 0);
        EXPECT(mp_image_flags(image) < 2 * MP_IMAGE_TORN_POOLS);
        walk_process(image);
        walk_components(image);
        walk_others(image);
        walk_samples(image);
        walk_history(image);
        walk_verdicts(image);
        walk_estimates(image);
        walk_advice(image);
        mp_image_free(image);
    }
    return 0;
}

/* ---- the mutator ---- */

static unsigned state;

static unsigned pick(unsigned below)
{
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

static uint64_t pick_value(uint64_t old)
{
    static const uint64_t values[] = {0, 1, 2, 3, 7, 8, 24, 25, 95, 96, 127, 128, 129,
        255, 4095, 4096, 4097, 8192, 65535, 65536, 65544, 1 << 20, 1 << 24,
        (1 << 24) + 1, INT32_MAX, 1ull << 31, UINT32_MAX, 1ull << 32, 1ull << 40,
        INT64_MAX / 64, INT64_MAX, 1ull << 63, UINT64_MAX - 4095, UINT64_MAX - 7,
        UINT64_MAX, PID_SELF};

    switch (pick(6)) {
    case 0:
        return old + 1;
    case 1:
        return old - 1;
    case 2:
        return old ^ 1ull << pick(64);
    case 3:
        return old + (pick(2) != 0 ? 4096 : 8);
    default:
        return values[pick(sizeof(values) / sizeof(values[0]))];
    }
}

static void mutate_word(uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    value = pick_value(value);
    memcpy(at, &value, sizeof(value));
}

/* A field of the header or of an entry of the table. */
static void mutate_table(uint8_t *data)
{
    struct mp_region_header h;
    unsigned used;

    memcpy(&h, data, sizeof(h));
    used = h.section_count < MP_REGION_SECTIONS_MAX ? h.section_count : 16;
    switch (pick(12)) {
    case 0:
        h.section_count = (uint32_t)pick_value(h.section_count);
        break;
    case 1:
        h.region_bytes = pick_value(h.region_bytes);
        break;
    case 2:
        h.header_bytes = (uint32_t)pick_value(h.header_bytes);
        break;
    case 3:
        h.sections[pick(used + 1)].id = pick(19);
        break;
    case 4:
        h.sections[pick(used + 1)] = h.sections[pick(used + 1)];
        break;
    case 5:
        h.sections[pick(used + 1)].offset = h.sections[pick(used + 1)].offset;
        break;
    default:
        mutate_word(data + offsetof(struct mp_region_header, sections)
                    + pick(used + 1) * sizeof(h.sections[0]) + pick(4) * 8);
        return;
    }
    memcpy(data, &h, sizeof(h));
}

/* Something in one of the first records of a section. */
static void mutate_record(uint8_t *data, size_t size)
{
    struct mp_region_header h;
    const struct mp_region_section *c;
    uint8_t window[64];
    size_t bytes;
    uint8_t *at;

    memcpy(&h, data, sizeof(h));
    c = &h.sections[pick(16)];
    if (c->offset >= size || c->stride == 0 || c->stride > 65536) {
        return;
    }
    bytes = c->stride * (1 + pick(8));
    bytes = bytes < size - c->offset ? bytes : size - c->offset;
    if (bytes < sizeof(window)) {
        return;
    }
    at = data + c->offset + pick((unsigned)(bytes / 8 - 7)) * 8;
    switch (pick(4)) {
    case 0:
        memcpy(window, at, sizeof(window));
        LLVMFuzzerMutate(window, sizeof(window), sizeof(window));
        memcpy(at, window, sizeof(window));
        break;
    case 1: /* a string that does not end here */
        memset(at, 'x' + (int)pick(136), sizeof(window));
        break;
    default:
        mutate_word(at);
    }
}

/* A field of the totals or of how sampling goes: they say how much is in use. */
static void mutate_totals(uint8_t *data, size_t size)
{
    bool of_sampling = pick(3) == 0;
    uint32_t id = of_sampling ? MP_SECTION_SAMPLING : MP_SECTION_TOTALS;
    unsigned bytes = of_sampling ? sizeof(struct mp_region_sampling)
                                 : sizeof(struct mp_region_totals);
    struct mp_region_header h;

    memcpy(&h, data, sizeof(h));
    for (unsigned i = 0; i < MP_REGION_SECTIONS_MAX; i++) {
        const struct mp_region_section *c = &h.sections[i];

        if (c->id == id && c->offset < size && size - c->offset >= bytes) {
            mutate_word(data + c->offset + pick(bytes / 8) * 8);
            return;
        }
    }
}

size_t LLVMFuzzerCustomMutator(
    uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    const struct {
        uint64_t magic;
        uint32_t version;
    } begin = {MP_REGION_MAGIC, MP_REGION_VERSION};

    state = seed;
    if (size < sizeof(struct mp_region_header) || pick(32) == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    for (unsigned i = 1 + pick(3); i > 0; i--) {
        switch (pick(3)) {
        case 0:
            mutate_table(data);
            break;
        case 1:
            mutate_totals(data, size);
            break;
        default:
            mutate_record(data, size);
        }
    }
    memcpy(data, &begin, offsetof(struct mp_region_header, header_bytes));
    return size;
}
