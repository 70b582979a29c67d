#include "export.h"

#include "places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The two texts that are called heap profile: of gperftools, one line for each sample, and of
 * jemalloc, with a block of lines for each stack. Both have addresses, and the mappings that
 * say in which file to look them up; where no stack is of code, a section of names instead.
 *
 * Readers would scale what was sampled by the mean size of a line. What is here has been
 * scaled already, block by block, so it says that nothing is to be done: "heapprofile" in the
 * one, an interval of one byte in the other (every block was sampled, a factor of 1).
 */

struct counts {
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t blocks;
    uint64_t bytes;
};

/* Some readers refuse bytes without a block. */
static uint64_t count_of(uint64_t blocks, uint64_t bytes)
{
    return blocks == 0 && bytes != 0 ? 1 : blocks;
}

static void add(struct counts *c, const struct profile_sample *s)
{
    const uint64_t *v = s->value;

    c->live_blocks += count_of(v[PROFILE_LIVE_BLOCKS], v[PROFILE_LIVE_BYTES]);
    c->live_bytes += v[PROFILE_LIVE_BYTES];
    c->blocks += count_of(v[PROFILE_ALLOCATED_BLOCKS], v[PROFILE_ALLOCATED_BYTES]);
    c->bytes += v[PROFILE_ALLOCATED_BYTES];
}

static bool is_nothing(const struct profile_sample *s)
{
    struct counts c = {0};

    add(&c, s);
    return (c.live_blocks | c.live_bytes | c.blocks | c.bytes) == 0;
}

static void put_counts(FILE *out, const struct counts *c)
{
    fprintf(out, "%llu: %llu [%llu: %llu]", (unsigned long long)c->live_blocks,
        (unsigned long long)c->live_bytes, (unsigned long long)c->blocks,
        (unsigned long long)c->bytes);
}

/* ---- stacks ---- */

/*
 * Readers take 1 from the addresses of callers, which are those of returns, and some from the
 * first one too. That one is the last byte of the call here: one less is still in the call.
 * Names are looked up by the address as it stands.
 */
static void put_stack(FILE *out, const struct places *w, size_t sample)
{
    size_t depth = w->depth[sample];

    putc('@', out);
    for (size_t i = depth; i > 0; i--) {
        const struct place *place = &w->place[w->stack[sample][i - 1]];
        bool is_caller = i < depth && place->module != UINT32_MAX;

        fprintf(out, " 0x%llx", (unsigned long long)place->address + is_caller);
    }
}

static bool has_code(const struct places *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->place[i].module != UINT32_MAX) {
            return true;
        }
    }
    return false;
}

/* Without blanks, which end a path; "--" parts inlined functions in names. */
static void put_name(FILE *out, const char *name, bool is_path)
{
    for (const char *at = name; *at != '\0'; at++) {
        bool is_bad = is_path ? *at == ' ' || *at == '/' || *at == '\\'
                              : *at == '-' && at > name && at[-1] == '-';

        putc(is_bad ? '_' : *at, out);
    }
}

/*
 * What jeprof and google-pprof need instead of a program. They take 1 from some addresses all
 * the same.
 */
static void put_symbols(FILE *out, const struct profile *p, const struct places *w)
{
    char path[4 * sizeof(mp_image_process(p->image)->exe) + 1];

    mp_text_escape(path, sizeof(path), mp_image_process(p->image)->exe,
        sizeof(mp_image_process(p->image)->exe));
    fprintf(out, "--- symbol\nbinary=%s\n", path);
    for (size_t i = 0; i < 2 * w->count; i++) {
        fprintf(out, "0x%llx ", (unsigned long long)w->place[i / 2].address - i % 2);
        put_name(out, p->frames[w->place[i / 2].frames[0]].function, false);
        putc('\n', out);
    }
    fputs("---\n", out);
}

/* Names of no code are mappings of their own, of no file: go tool pprof shows those. */
static void put_maps(FILE *out, const struct profile *p, const struct places *w)
{
    fputs("\nMAPPED_LIBRARIES:\n", out);
    address_space_put_maps(&w->space, out);
    for (size_t i = 0; i < w->count; i++) {
        unsigned long long at = w->place[i].address;

        if (w->place[i].module == UINT32_MAX) {
            fprintf(out, "%llx-%llx r-xp 00000000 00:00 0 [", at - 8, at + 8);
            put_name(out, p->frames[w->place[i].frames[0]].function, true);
            fputs("]\n", out);
        }
    }
}

static void put_comment(FILE *out, const struct profile *p)
{
    char text[100];

    fprintf(out, "# mpalloc " CONFIG_VERSION ": %s; all values are scaled already\n",
        profile_describe(p, text, sizeof(text)));
}

/* ---- gperftools ---- */

static void put_heap(FILE *out, const struct profile *p, const struct places *w)
{
    struct counts all = {0};

    for (size_t i = 0; i < p->sample_count; i++) {
        add(&all, &p->samples[i]);
    }
    fputs("heap profile: ", out);
    put_counts(out, &all);
    fputs(" @ heapprofile\n", out);
    put_comment(out, p);
    for (size_t i = 0; i < p->sample_count; i++) {
        struct counts c = {0};

        if (is_nothing(&p->samples[i]) || w->depth[i] == 0) {
            continue;
        }
        add(&c, &p->samples[i]);
        put_counts(out, &c);
        putc(' ', out);
        put_stack(out, w, i);
        putc('\n', out);
    }
}

int export_heap(FILE *out, const struct profile *p, enum profile_value value)
{
    struct places w;
    bool is_code;

    (void)value; /* readers choose */
    if (places_init(&w, p) != 0) {
        return -ENOMEM;
    }
    is_code = has_code(&w);
    if (!is_code) {
        put_symbols(out, p, &w);
    }
    put_heap(out, p, &w);
    if (is_code) {
        put_maps(out, p, &w);
    }
    places_fini(&w, p);
    return 0;
}

/* ---- jemalloc ---- */

/* Threads by name, numbered from 1; few, so they are looked for one by one. */
struct threads {
    const char **name;
    struct counts *sum;
    size_t count;
};

static size_t thread_of(struct threads *t, const char *name)
{
    size_t i = 0;

    while (i < t->count && strcmp(t->name[i], name) != 0) {
        i++;
    }
    if (i == t->count) {
        t->name[t->count++] = name;
    }
    return i;
}

static void put_jemalloc_head(
    FILE *out, const struct profile *p, struct threads *t, const struct counts *all)
{
    fputs("heap_v2/1\n  t*: ", out);
    put_counts(out, all);
    putc('\n', out);
    for (size_t i = 0; i < t->count; i++) {
        fprintf(out, "  t%zu: ", i + 1);
        put_counts(out, &t->sum[i]);
        fprintf(out, " %s\n", t->name[i]);
    }
    put_comment(out, p);
}

static void put_jemalloc(
    FILE *out, const struct profile *p, const struct places *w, struct threads *t)
{
    struct counts all = {0};

    for (size_t i = 0; i < p->sample_count; i++) {
        add(&all, &p->samples[i]);
        add(&t->sum[thread_of(t, p->samples[i].thread)], &p->samples[i]);
    }
    put_jemalloc_head(out, p, t, &all);
    for (size_t i = 0; i < p->sample_count; i++) {
        struct counts c = {0};

        if (is_nothing(&p->samples[i]) || w->depth[i] == 0) {
            continue;
        }
        add(&c, &p->samples[i]);
        put_stack(out, w, i);
        fputs("\n  t*: ", out);
        put_counts(out, &c);
        fprintf(out, "\n  t%zu: ", thread_of(t, p->samples[i].thread) + 1);
        put_counts(out, &c);
        putc('\n', out);
    }
}

int export_jeprof(FILE *out, const struct profile *p, enum profile_value value)
{
    struct threads t = {calloc(p->sample_count + 1, sizeof(*t.name)),
        calloc(p->sample_count + 1, sizeof(*t.sum)), 0};
    struct places w;
    int code = -ENOMEM;

    (void)value; /* readers choose */
    if (t.name != NULL && t.sum != NULL && places_init(&w, p) == 0) {
        bool is_code = has_code(&w);

        if (!is_code) {
            put_symbols(out, p, &w);
        }
        put_jemalloc(out, p, &w, &t);
        if (is_code) {
            put_maps(out, p, &w);
        }
        places_fini(&w, p);
        code = 0;
    }
    free(t.name);
    free(t.sum);
    return code;
}
