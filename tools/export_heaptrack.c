#include "export.h"

#include "places.h"
#include "stack_order.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/*
 * The data file of heaptrack, version 2: a program's allocations and frees, one after the
 * other. A profile has no such history; one is made up that has the same sums:
 *
 *     1. what is neither live now nor was at the peak is allocated and freed, one by one,
 *     2. all that was live at the peak is allocated,
 *     3. of that, what has been freed since is,
 *     4. and what is live but was not at the peak is allocated.
 *
 * So calls, leaks, and the peak are the profile's for each stack; what came when is not, and
 * nothing is temporary (freed right after its allocation), for that is not known. Without
 * stacks the peak is not known either, and is what is live now.
 *
 * The format has no weights. Up to MOST allocations each is an event of its own; of more, as
 * many of one stack are put together as it takes, and the name of the command says how many:
 * bytes stay right, calls are fewer by that factor.
 */

enum { MOST = 2000000 /* events that are allocations */ };

/* Blocks of one stack that share their fate. */
struct part {
    uint64_t blocks;
    uint64_t bytes;
};

enum fate { BRIEF, KEPT, GONE, LATE, FATES };

enum { KINDS = 4 /* of events of one stack and fate: info_of */ };

struct writer {
    FILE *out;
    const struct profile *profile;
    struct places places;
    void *strings; /* tsearch: struct string */
    uint32_t strings_count;
    uint32_t *known; /* of each place: its number in the file, 0: none yet */
    uint32_t known_count;
    uint32_t traces;
    uint64_t together; /* blocks in an event */
    uint64_t largest;  /* bytes of an event of BRIEF, lest it be the peak */
    uint32_t *trace;   /* of each sample */
    uint32_t *info;    /* of each sample, fate and kind: its number, 0: none yet */
    uint32_t infos;
    size_t first; /* what number 0 is of: sample and fate, of these the first event */
    bool has_failed; /* no memory */
};

/* ---- strings, places, stacks ---- */

struct string {
    const char *text;
    uint32_t number;
};

static int compare_strings(const void *a, const void *b)
{
    return strcmp(((const struct string *)a)->text, ((const struct string *)b)->text);
}

/* Its number, from 1 on; 0 of none. The text lives as long as the writer, or is copied. */
static uint32_t string_of(struct writer *w, const char *text)
{
    struct string wanted = {text, 0};
    struct string **found;
    struct string *fresh;

    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    found = tfind(&wanted, &w->strings, compare_strings);
    if (found != NULL) {
        return (*found)->number;
    }
    fresh = malloc(sizeof(*fresh) + strlen(text) + 1);
    if (fresh == NULL) {
        w->has_failed = true;
        return 0;
    }
    *fresh = (struct string){strcpy((char *)(fresh + 1), text), ++w->strings_count};
    if (tsearch(fresh, &w->strings, compare_strings) == NULL) {
        free(fresh);
        w->has_failed = true;
        return 0;
    }
    fprintf(w->out, "s %s\n", text);
    return fresh->number;
}

static uint32_t module_string(struct writer *w, uint32_t module)
{
    const struct mp_region_module *m = mp_image_module(w->profile->image, module);
    char path[4 * sizeof(m->path) + 1];

    if (m == NULL) {
        return 0;
    }
    mp_text_escape(path, sizeof(path), m->path, sizeof(m->path));
    return string_of(w, path);
}

/* The innermost function first, then those that it is inlined into. */
static void put_place(struct writer *w, const struct place *place)
{
    uint32_t module = module_string(w, place->module);

    for (uint32_t i = place->count; i > 0; i--) {
        const struct profile_frame *f = &w->profile->frames[place->frames[i - 1]];

        string_of(w, f->function);
        string_of(w, f->file);
    }
    fprintf(w->out, "i %llx %x", (unsigned long long)place->address, module);
    for (uint32_t i = place->count; i > 0; i--) {
        const struct profile_frame *f = &w->profile->frames[place->frames[i - 1]];

        fprintf(w->out, " %x %x %x", string_of(w, f->function), string_of(w, f->file),
            f->line);
    }
    putc('\n', w->out);
}

static uint32_t place_of(struct writer *w, uint32_t number)
{
    if (w->known[number] == 0) {
        put_place(w, &w->places.place[number]);
        w->known[number] = ++w->known_count;
    }
    return w->known[number];
}

/*
 * The stack of a sample as traces, *trace[i] that of its first i + 1 places. What it shares
 * with the sample before is there already.
 */
static uint32_t trace_of(
    struct writer *w, size_t sample, size_t before, uint32_t *trace)
{
    const struct places *p = &w->places;
    size_t depth = p->depth[sample];
    size_t i = 0;

    while (before != SIZE_MAX && i < depth && i < p->depth[before]
           && p->stack[sample][i] == p->stack[before][i]) {
        i++;
    }
    for (; i < depth; i++) {
        uint32_t place = place_of(w, p->stack[sample][i]);

        fprintf(w->out, "t %x %x\n", place, i == 0 ? 0 : trace[i - 1]);
        trace[i] = ++w->traces;
    }
    return depth == 0 ? 0 : trace[depth - 1];
}

/* ---- what becomes of the blocks ---- */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void find_fates(const struct profile_sample *s, struct part ret[FATES])
{
    for (unsigned bytes = 0; bytes < 2; bytes++) {
        uint64_t all = s->value[PROFILE_ALLOCATED_BLOCKS + bytes];
        uint64_t live = s->value[PROFILE_LIVE_BLOCKS + bytes];
        uint64_t peak = s->value[PROFILE_PEAK_BLOCKS + bytes];
        uint64_t part[FATES];

        part[KEPT] = live < peak ? live : peak;
        part[GONE] = peak - part[KEPT];
        part[LATE] = live - part[KEPT];
        part[BRIEF] = less(all, peak + part[LATE]);
        for (unsigned i = 0; i < FATES; i++) {
            *(bytes ? &ret[i].bytes : &ret[i].blocks) = part[i];
        }
    }
}

static uint64_t count_events(
    const struct writer *w, const struct part *p, enum fate fate)
{
    uint64_t count = p->blocks / w->together + (p->blocks % w->together != 0);

    if (fate == BRIEF && p->bytes / w->largest >= count) {
        count = p->bytes / w->largest + 1;
        count = count < p->blocks ? count : p->blocks;
    }
    return count == 0 && p->bytes > 0 ? 1 : count;
}

/* All that events refer to, but for what says their size and stack. */
static void put_tables(struct writer *w, const size_t *order)
{
    size_t deepest = 1;
    size_t before = SIZE_MAX;
    uint32_t *trace;

    for (size_t i = 0; i < w->profile->sample_count; i++) {
        deepest = w->places.depth[i] > deepest ? w->places.depth[i] : deepest;
    }
    trace = calloc(deepest, sizeof(*trace));
    w->has_failed = w->has_failed || trace == NULL;
    for (size_t i = 0; i < w->profile->sample_count && !w->has_failed; i++) {
        w->trace[order[i]] = trace_of(w, order[i], before, trace);
        before = order[i];
    }
    free(trace);
}

/* ---- events ---- */

/*
 * The number of what says size and stack of an event, the n-th of `count`. heaptrack_gui
 * wants these to come in the order of their numbers, each before its first event; and readers
 * take 0 for none when they look for temporary allocations, so 0 is the very first event's
 * alone.
 *
 * Events of a part differ by a byte at most: (bytes % count) are of one more. Those of BRIEF
 * come in two kinds that take turns, so that none is freed right after its like came.
 */
static uint32_t info_of(struct writer *w, size_t sample, enum fate fate,
    const struct part *p, uint64_t count, uint64_t n)
{
    size_t part = sample * FATES + fate;
    bool is_longer = n < p->bytes % count;
    unsigned kind = 2 * (fate == BRIEF && n % 2 == 1) + is_longer;
    uint32_t *known = &w->info[part * KINDS + kind];
    uint32_t number = *known;

    if (w->infos == 0) {
        w->first = part;
    }
    if (n == 0 && part == w->first && w->infos > 0) {
        return 0;
    }
    if (number == 0) {
        fprintf(w->out, "a %llx %x\n",
            (unsigned long long)(p->bytes / count + is_longer), w->trace[sample]);
        number = *known = w->infos++;
    }
    return number;
}

/* What is in the air of BRIEF: each is freed when the next one was allocated. */
static void put_brief(const struct writer *w, uint32_t info, uint32_t *pending)
{
    fprintf(w->out, "+ %x\n", info);
    if (*pending != UINT32_MAX) {
        fprintf(w->out, "- %x\n", *pending);
    }
    *pending = info;
}

/* All events of one fate: sign is '+', '-', or for BRIEF both. */
static void put_events(struct writer *w, enum fate fate, char sign)
{
    uint32_t pending = UINT32_MAX;

    for (size_t i = 0; i < w->profile->sample_count; i++) {
        struct part part[FATES];
        uint64_t count;

        find_fates(&w->profile->samples[i], part);
        count = count_events(w, &part[fate], fate);
        for (uint64_t n = 0; n < count; n++) {
            uint32_t info = info_of(w, i, fate, &part[fate], count, n);

            if (fate == BRIEF) {
                put_brief(w, info, &pending);
            } else {
                fprintf(w->out, "%c %x\n", sign, info);
            }
        }
    }
    if (pending != UINT32_MAX) {
        fprintf(w->out, "- %x\n", pending);
    }
}

static uint64_t milliseconds(const struct profile *p, uint64_t at_ns)
{
    return less(at_ns, mp_image_process(p->image)->started_ns) / 1000000;
}

static uint64_t page_bytes(const struct profile *p)
{
    uint64_t bytes = mp_image_process(p->image)->page_bytes;

    return bytes > 0 ? bytes : 4096;
}

static void put_history(struct writer *w)
{
    const struct mp_region_totals *t = mp_image_totals(w->profile->image);
    uint64_t peak_ms = milliseconds(w->profile, t->live_peak_ns);
    uint64_t end_ms = milliseconds(w->profile, t->published_ns);

    fputs("c 0\n", w->out);
    put_events(w, BRIEF, '+');
    fprintf(
        w->out, "c %llx\n", (unsigned long long)(peak_ms < end_ms ? peak_ms : end_ms));
    put_events(w, GONE, '+');
    put_events(w, KEPT, '+');
    fprintf(w->out, "R %llx\n",
        (unsigned long long)(t->resident_peak_bytes / page_bytes(w->profile)));
    put_events(w, GONE, '-');
    put_events(w, LATE, '+');
    fprintf(w->out, "c %llx\n", (unsigned long long)end_ms);
}

/* ---- the file ---- */

static void plan(struct writer *w)
{
    struct part brief = {0, 0};
    uint64_t peak = 0;
    uint64_t all = 0;

    for (size_t i = 0; i < w->profile->sample_count; i++) {
        const struct profile_sample *s = &w->profile->samples[i];
        struct part part[FATES];

        find_fates(s, part);
        brief.bytes += part[BRIEF].bytes;
        peak += s->value[PROFILE_PEAK_BYTES] > s->value[PROFILE_LIVE_BYTES]
                    ? s->value[PROFILE_PEAK_BYTES]
                    : s->value[PROFILE_LIVE_BYTES];
        all += s->value[PROFILE_ALLOCATED_BLOCKS];
    }
    w->together = all / MOST + 1;
    w->largest = peak / 4 > brief.bytes / MOST ? peak / 4 : brief.bytes / MOST;
    w->largest = w->largest > 0 ? w->largest : 1;
}

static void put_head(const struct writer *w)
{
    const struct mp_region_process *process = mp_image_process(w->profile->image);
    uint64_t page = page_bytes(w->profile);
    char command[4 * sizeof(process->command) + 1];
    char how[100];

    mp_text_escape(
        command, sizeof(command), process->command, sizeof(process->command));
    profile_describe(w->profile, how, sizeof(how));
    fprintf(w->out,
        "v 10400 2\n# mpalloc " CONFIG_VERSION ": %s; the order of events is "
        "made up\nX %s (mpalloc: %s",
        how, command, how);
    if (w->together > 1) {
        fprintf(
            w->out, "; one call here is up to %llu", (unsigned long long)w->together);
    }
    fprintf(w->out, ")\nI %llx %llx\n", (unsigned long long)page,
        (unsigned long long)(process->physical_bytes / page));
}

int export_heaptrack(FILE *out, const struct profile *p, enum profile_value value)
{
    struct writer w = {.out = out, .profile = p};
    size_t *order = stack_order_create(p, false);
    bool has_places = places_init(&w.places, p) == 0;

    (void)value; /* the reader chooses */
    w.known = calloc(has_places ? w.places.count + 1 : 1, sizeof(*w.known));
    w.trace = calloc(p->sample_count + 1, sizeof(*w.trace));
    w.info = calloc(p->sample_count + 1, FATES * KINDS * sizeof(*w.info));
    w.has_failed = order == NULL || !has_places || w.known == NULL || w.trace == NULL
                   || w.info == NULL;
    if (!w.has_failed) {
        plan(&w);
        put_head(&w);
        put_tables(&w, order);
    }
    if (!w.has_failed) {
        put_history(&w);
    }
    tdestroy(w.strings, free);
    if (has_places) {
        places_fini(&w.places, p);
    }
    free(w.known);
    free(w.trace);
    free(w.info);
    free(order);
    return w.has_failed ? -ENOMEM : 0;
}
