#include "symbols.h"

#include "debuginfo.h"
#include "guest.h"
#include "must.h"
#include "names.h"
#include "servers.h"
#include "symcache.h"
#include "symtab.h"

#include <search.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { FEW = 10 /* one in so many places without a name is not worth a line */ };

struct module {
    const struct mp_region_module *region;
    uint64_t pid;
    struct symcache_entry *entries; /* all that is known, as a list */
    void *by_offset;                /* and as a tree: tsearch */
    bool is_cache_read;
    bool is_changed; /* there is something to write */
    bool is_opened;  /* or was tried */
    bool is_stripped;
    size_t unnamed; /* places, if it is */
    bool has_file;
    bool has_table;
    struct symfile file;
    struct debuginfo debug;
    struct symtab table;
};

struct symbols {
    struct module **modules;
    size_t count;
    size_t room;
    const char **problems;
    size_t problem_count;
    size_t problem_room;
    struct texts texts;
    struct symbols_stats stats;
    size_t asked; /* places */
    bool is_late; /* there is no time left: said once */
    struct symbol_line unknown;
};

/* ---- life ---- */

/* Each module that is read holds up to two files open. */
static void raise_file_limit(void)
{
    const rlim_t wanted = 2 * MP_REGION_MODULES_MAX + 256;
    struct rlimit limit;

    if (guest_get() == NULL && getrlimit(RLIMIT_NOFILE, &limit) == 0
        && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

struct symbols *symbols_create_empty(void)
{
    struct symbols *s = must(calloc(1, sizeof(*s)));

    raise_file_limit();
    s->unknown.function = "(unknown code)";
    return s;
}

void symbols_add_module(
    struct symbols *s, const struct mp_region_module *module, uint64_t pid)
{
    s->modules = must_grow(s->modules, s->count, &s->room, sizeof(*s->modules));
    s->modules[s->count] = must(calloc(1, sizeof(**s->modules)));
    s->modules[s->count]->region = module;
    s->modules[s->count++]->pid = pid;
}

struct symbols *symbols_create(const mp_image_t *image)
{
    struct symbols *s = symbols_create_empty();
    enum mp_life life = mp_image_life(image);
    uint64_t pid = life == MP_LIFE_RUNNING || life == MP_LIFE_COPY
                       ? mp_image_process(image)->pid
                       : 0;

    for (size_t i = 0; i < mp_image_module_count(image); i++) {
        symbols_add_module(s, mp_image_module(image, i), pid);
    }
    return s;
}

static void keep(void *entry)
{
    (void)entry;
}

static void destroy_module(struct module *m)
{
    if (m->is_changed) {
        symcache_write(m->region, m->entries);
    }
    if (m->has_table) {
        symtab_fini(&m->table);
    }
    if (m->has_file) {
        debuginfo_fini(&m->debug);
        symfile_close(&m->file);
    }
    tdestroy(m->by_offset, keep);
    while (m->entries != NULL) {
        struct symcache_entry *e = m->entries;

        m->entries = e->next;
        free(e);
    }
    free(m);
}

void symbols_destroy(struct symbols *s)
{
    for (size_t i = 0; i < s->count; i++) {
        destroy_module(s->modules[i]);
    }
    texts_fini(&s->texts);
    free(s->modules);
    free(s->problems);
    free(s);
}

/* ---- problems ---- */

size_t symbols_problem_count(const struct symbols *s)
{
    return s->problem_count;
}

const char *symbols_problem(const struct symbols *s, size_t number)
{
    return number < s->problem_count ? s->problems[number] : NULL;
}

static void add_problem(struct symbols *s, const char *text)
{
    s->problems = must_grow(
        s->problems, s->problem_count, &s->problem_room, sizeof(*s->problems));
    s->problems[s->problem_count++] = texts_keep(&s->texts, text);
}

const char *symbols_rest(struct symbols *s)
{
    const struct module *most = NULL;
    char path[sizeof(most->region->path) * 4 + 1];
    char text[SYMBOLS_TEXT_BYTES];
    size_t modules = 0;
    size_t places = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct module *m = s->modules[i];

        modules += m->unnamed > 0;
        places += m->unnamed;
        most =
            m->unnamed > 0 && (most == NULL || m->unnamed > most->unnamed) ? m : most;
    }
    if (most == NULL || places < s->asked / FEW) {
        return NULL;
    }
    mp_text_escape(path, sizeof(path), most->region->path, sizeof(most->region->path));
    snprintf(text, sizeof(text),
        "%zu of %zu places in the code have no names: %.600s %s stripped (install its "
        "debug information%s)",
        places, s->asked, path, modules == 1 ? "is" : "and others are",
        getenv("DEBUGINFOD_URLS") == NULL ? ", or set DEBUGINFOD_URLS" : "");
    return texts_keep(&s->texts, text);
}

/* ---- time ---- */

static _Thread_local bool is_bound;
static _Thread_local int64_t left_ns;

void symbols_bound(unsigned ms)
{
    is_bound = ms != 0;
    left_ns = (int64_t)ms * 1000000;
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t begin_work(void)
{
    return is_bound ? now_ns() : 0;
}

static void end_work(int64_t began)
{
    left_ns -= is_bound ? now_ns() - began : 0;
}

static bool is_late(struct symbols *s)
{
    const struct guest *g = guest_get();
    bool late = is_bound && left_ns <= 0;

    if (g != NULL && g->is_nameless) {
        return true;
    }
    if (late && !s->is_late) {
        s->is_late = true;
        add_problem(s, "names take long to find: the rest of them next time");
    }
    return late;
}

/* ---- finding ---- */

static bool is_program(const struct symbols *s, const struct module *m)
{
    return m == s->modules[0]; /* modules.c lists it first, as the loader does */
}

static void open_module(struct symbols *s, struct module *m)
{
    char problem[SYMFILE_PROBLEM_BYTES];
    const char *of_servers;

    if (m->is_opened) {
        return;
    }
    m->is_opened = true;
    m->has_file = symfile_open(&m->file, m->region, m->pid, is_program(s, m), problem);
    if (m->has_file) {
        debuginfo_init(&m->debug, &m->file, &s->texts);
        m->is_stripped =
            debuginfo_is_empty(&m->debug) && !symfile_has_symbols(&m->file);
    }
    of_servers = servers_problem();
    if (of_servers != NULL) {
        add_problem(s, of_servers);
    }
    if (problem[0] != '\0') {
        add_problem(s, problem);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = ((const struct symcache_entry *)a)->offset;
    uint64_t y = ((const struct symcache_entry *)b)->offset;

    return (x > y) - (x < y);
}

/* Takes it, unless there is one of that offset; returns the one that there is. */
static struct symcache_entry *add_entry(struct module *m, struct symcache_entry *e)
{
    struct symcache_entry **found = must(tsearch(e, &m->by_offset, compare));

    if (*found != e) {
        free(e);
        return *found;
    }
    e->next = m->entries;
    m->entries = e;
    return e;
}

/*
 * Names from a table of symbols are right, but debug information that was installed since
 * knows more: they are kept only when there still is none.
 */
static void read_cache(struct symbols *s, struct module *m)
{
    struct symcache_entry *e = symcache_read(m->region, &s->texts);

    m->is_cache_read = true;
    while (e != NULL) {
        struct symcache_entry *next = e->next;
        bool is_stale = false;

        if (!e->has_debug && !is_late(s)) {
            int64_t began = begin_work();

            open_module(s, m);
            end_work(began);
            is_stale = m->has_file && !debuginfo_is_empty(&m->debug);
        }
        if (is_stale) {
            free(e);
        } else {
            add_entry(m, e);
        }
        e = next;
    }
}

static const char *name_in_table(struct symbols *s, struct module *m, uint64_t address)
{
    char name[SYMBOLS_TEXT_BYTES];
    const char *found;

    if (!m->has_table) {
        symtab_init(&m->table, &m->file);
        m->has_table = true;
    }
    found = symtab_find(&m->table, address);
    if (found == NULL) {
        return NULL;
    }
    if (!names_demangle(found, name, sizeof(name))) {
        name[strcspn(name, "@")] = '\0'; /* "realpath@GLIBC_2.2.5" */
    }
    return texts_keep_escaped(&s->texts, name);
}

/* "libfoo.so.1+0x1234" */
static const char *name_of_nothing(
    struct symbols *s, const struct module *m, uint64_t offset)
{
    const char *path = m->region->path;
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    char text[sizeof(m->region->path) + 32];

    snprintf(text, sizeof(text), "%s+0x%llx", base[0] != '\0' ? base : "(no name)",
        (unsigned long long)offset);
    return texts_keep_escaped(&s->texts, text);
}

/* What the file says; 0: nothing. The lines have functions. */
static size_t find_in_file(struct symbols *s, struct module *m, uint64_t offset,
    struct symbol_line lines[SYMBOLS_LINES_MAX])
{
    uint64_t address = m->file.low + offset;
    size_t count = debuginfo_find(&m->debug, address, lines);

    if (count > 0 && lines[count - 1].function != NULL) {
        s->stats.debug++;
        return count;
    }
    if (count == 0) {
        memset(&lines[0], 0, sizeof(lines[0]));
        count = 1;
    }
    lines[count - 1].function = name_in_table(s, m, address);
    if (lines[count - 1].function == NULL) {
        return 0;
    }
    s->stats.table++;
    return count;
}

static struct symcache_entry *find(struct symbols *s, struct module *m, uint64_t offset)
{
    struct symbol_line lines[SYMBOLS_LINES_MAX];
    struct symcache_entry *e;
    int64_t began = begin_work();
    size_t count = 0;

    if (!is_late(s)) {
        open_module(s, m);
        if (m->has_file && offset < m->region->bytes) {
            count = find_in_file(s, m, offset, lines);
        }
    }
    end_work(began);
    e = symcache_new(offset, count > 0 ? (uint32_t)count : 1);
    e->is_named = count > 0;
    e->has_debug = m->has_file && !debuginfo_is_empty(&m->debug);
    if (count > 0) {
        memcpy(e->lines, lines, count * sizeof(lines[0]));
        m->is_changed = true;
    } else {
        e->lines[0].function = name_of_nothing(s, m, offset);
        s->stats.none++;
        m->unnamed += m->is_stripped;
    }
    return e;
}

size_t symbols_find(
    struct symbols *s, uint32_t module, uint64_t offset, const struct symbol_line **ret)
{
    struct symcache_entry wanted = {.offset = offset};
    struct symcache_entry **found;
    struct symcache_entry *e;
    struct module *m;

    if (module >= s->count) {
        *ret = &s->unknown;
        return 1;
    }
    m = s->modules[module];
    if (!m->is_cache_read) {
        read_cache(s, m);
    }
    found = tfind(&wanted, &m->by_offset, compare);
    if (found == NULL) {
        e = add_entry(m, find(s, m, offset));
    } else {
        e = *found;
        s->stats.memory += e->is_used;
        s->stats.disk += !e->is_used;
    }
    s->asked += !e->is_used;
    e->is_used = true;
    *ret = e->lines;
    return e->count;
}

void symbols_stats(const struct symbols *s, struct symbols_stats *ret)
{
    *ret = s->stats;
}
