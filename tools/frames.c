#include "frames.h"

#include "guest.h"
#include "must.h"
#include "said.h"
#include "site_names.h"
#include "symbols.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is known already ---- */

/* A place in the code, or a text (module UINT32_MAX), and the number of its first frame. */
struct known {
    const char *text;
    uint64_t offset;
    uint32_t module;
    uint32_t first;
    uint32_t count;
};

struct frames {
    struct profile *profile;
    struct symbols *symbols; /* NULL: names were given */
    struct site_names *names;
    bool *is_own; /* by number of module */
    size_t module_count;
    size_t room; /* of profile->frames */
    void *known; /* tsearch */
};

static int compare_known(const void *a, const void *b)
{
    const struct known *x = a;
    const struct known *y = b;

    if (x->module != y->module) {
        return x->module < y->module ? -1 : 1;
    }
    if (x->offset != y->offset) {
        return x->offset < y->offset ? -1 : 1;
    }
    if (x->text == NULL || y->text == NULL) {
        return (x->text != NULL) - (y->text != NULL);
    }
    return strcmp(x->text, y->text);
}

static bool is_own_library(const struct mp_region_module *m)
{
    const char *slash = strrchr(m->path, '/');
    const char *name = slash != NULL ? slash + 1 : m->path;

    return strncmp(name, "libmpalloc.so", strlen("libmpalloc.so")) == 0;
}

struct frames *frames_create(struct profile *p, struct site_names *names)
{
    struct frames *f = must(calloc(1, sizeof(*f)));

    f->profile = p;
    f->names = names;
    f->symbols = names == NULL ? symbols_create(p->image) : NULL;
    f->module_count = mp_image_module_count(p->image);
    f->is_own = must(calloc(f->module_count + 1, sizeof(*f->is_own)));
    for (size_t i = 0; i < f->module_count; i++) {
        f->is_own[i] = is_own_library(mp_image_module(p->image, i));
    }
    return f;
}

/* Why some frames have no names: a line for each module, of a few. */
static void tell_problems(const struct frames *f)
{
    enum { FEW = 5 };
    size_t count = symbols_problem_count(f->symbols);
    const char *rest;

    for (size_t i = 0; i < count && i < FEW; i++) {
        said_note("mpalloc", "%s", symbols_problem(f->symbols, i));
    }
    if (count > FEW) {
        said_note("mpalloc", "and %zu more modules are not named", count - FEW);
    }
    /* But a hint: for people. */
    rest =
        guest_get() != NULL || isatty(STDERR_FILENO) ? symbols_rest(f->symbols) : NULL;
    if (rest != NULL) {
        said_note("mpalloc", "%s", rest);
    }
}

void frames_destroy(struct frames *f)
{
    tdestroy(f->known, free);
    if (f->symbols != NULL) {
        tell_problems(f);
        symbols_destroy(f->symbols);
    }
    free(f->is_own);
    free(f);
}

/* ---- frames ---- */

static struct profile_frame *add_frame(struct frames *f, const char *function)
{
    struct profile *p = f->profile;

    p->frames = must_grow(p->frames, p->frame_count, &f->room, sizeof(*p->frames));
    p->frames[p->frame_count] = (struct profile_frame){
        .function = must(strdup(function)), .module = UINT32_MAX};
    return &p->frames[p->frame_count++];
}

static struct known *find_known(const struct frames *f, const struct known *wanted)
{
    struct known *const *found = tfind(wanted, &f->known, compare_known);

    return found != NULL ? *found : NULL;
}

static void add_known(struct frames *f, const struct known *what)
{
    struct known *k = must(malloc(sizeof(*k)));

    *k = *what;
    must(tsearch(k, &f->known, compare_known));
}

uint32_t frames_of_text(struct frames *f, const char *text)
{
    struct known wanted = {.text = text, .module = UINT32_MAX};
    const struct known *found = find_known(f, &wanted);

    if (found != NULL) {
        return found->first;
    }
    wanted.first = (uint32_t)f->profile->frame_count;
    wanted.count = 1;
    wanted.text = add_frame(f, text)->function;
    add_known(f, &wanted);
    return wanted.first;
}

static void add_code(struct frames *f, const struct known *k, const char *function,
    const char *file, uint32_t line, bool is_inlined)
{
    struct profile_frame *frame = add_frame(f, function);

    frame->file = file != NULL ? must(strdup(file)) : NULL;
    frame->line = line;
    frame->module = k->module;
    frame->offset = k->offset;
    frame->is_inlined = is_inlined;
}

/* Returns how many lines it has. */
static uint32_t add_lines(struct frames *f, uint32_t number, const struct known *k)
{
    const struct mp_line *kept;
    const struct symbol_line *line;
    size_t count;

    if (f->names != NULL) {
        count = site_names_lines(f->names, number, &kept);
        for (size_t i = 0; i < count; i++) {
            add_code(f, k, kept[i].function, kept[i].file, kept[i].line, i + 1 < count);
        }
        return (uint32_t)count;
    }
    count = symbols_find(f->symbols, k->module, k->offset, &line);
    for (size_t i = 0; i < count; i++) {
        add_code(f, k, line[i].function, line[i].file, line[i].line, i + 1 < count);
    }
    return (uint32_t)count;
}

size_t frames_of_code(struct frames *f, uint32_t number, uint32_t *ret_first)
{
    const struct mp_region_frame *code = mp_image_frame(f->profile->image, number);
    struct known wanted = {
        .module = code->module < f->module_count ? code->module : UINT32_MAX};
    const struct known *found;

    wanted.offset = wanted.module != UINT32_MAX ? code->offset : 0;
    found = find_known(f, &wanted);
    if (found != NULL) {
        *ret_first = found->first;
        return found->count;
    }
    wanted.first = (uint32_t)f->profile->frame_count;
    wanted.count = add_lines(f, number, &wanted);
    add_known(f, &wanted);
    *ret_first = wanted.first;
    return wanted.count;
}

/* ---- our own ---- */

bool frames_is_own_module(const struct frames *f, uint32_t module)
{
    return module < f->module_count && f->is_own[module];
}

/* What programs call; "operator new" begins several. */
static const char *const entries[] = {"malloc", "calloc", "realloc", "reallocarray",
    "memalign", "aligned_alloc", "posix_memalign", "valloc", "pvalloc", "mp_malloc",
    "mp_calloc", "mp_realloc", "mp_aligned_alloc", NULL};

/* What those call, where no file is known; a name may be the beginning of several. */
static const char *const inner[] = {"malloc_slow", "malloc_medium", "malloc_refill",
    "malloc_pop", "malloc_alloc", "malloc_zeroed", "malloc_calloc", "malloc_resize",
    "malloc_realloc", "malloc_aligned", "malloc_large", "medium_slow", "refill",
    "alloc_class", "new_slow", "resize_by_copy", "sample_", "sampler_", NULL};

/* Where they are. */
static const char *const files[] = {"api.c", "cxx.c", "heap.c", "heap_hard.c", "huge.c",
    "large.c", "libc.c", "malloc.c", "malloc.h", "malloc_hard.c", "malloc_large.c",
    "slab.c", "thread.c", "trace.c", "unwind.c", NULL};

static bool is_entry(const char *name)
{
    for (size_t i = 0; entries[i] != NULL; i++) {
        if (strcmp(name, entries[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "operator new", strlen("operator new")) == 0;
}

/* "refill.part.0" is refill; names that end in "_" are beginnings. */
static bool is_inner(const char *name)
{
    size_t length = strcspn(name, ".");

    for (size_t i = 0; inner[i] != NULL; i++) {
        size_t n = strlen(inner[i]);

        if (strncmp(name, inner[i], n) == 0
            && (n == length || inner[i][n - 1] == '_')) {
            return true;
        }
    }
    return false;
}

static bool is_own_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t before = (size_t)(name - path);

    if (before < strlen("alloc/") || strncmp(name - 6, "alloc/", 6) != 0
        || (before > 6 && name[-7] != '/')) {
        return false;
    }
    for (size_t i = 0; files[i] != NULL; i++) {
        if (strcmp(name, files[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "sample", strlen("sample")) == 0;
}

bool frames_is_own(const struct frames *f, uint32_t number, bool *entered)
{
    const struct profile_frame *frame = &f->profile->frames[number];

    if (frames_is_own_module(f, frame->module)) {
        return true;
    }
    if (is_entry(frame->function)) {
        *entered = true;
        return true;
    }
    return frame->file != NULL ? is_own_file(frame->file)
                               : !*entered && is_inner(frame->function);
}
