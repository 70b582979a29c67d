#include "groups.h"

#include "proc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    GROUP_BYTES = 512,
    PATH_BYTES = 2 * GROUP_BYTES,
    LIMIT_MS = 10000,  /* limits, and files that are not there, are asked so often */
    FORGET_MS = 60000, /* a place that nobody asked for meanwhile */
};

const struct pressure_read groups_nothing = {NAN, NAN, NAN, NAN, NAN, false};

/* Names of files of both versions. */
struct version {
    const char *under; /* of the mount */
    const char *limit[2];
    const char *used;
    const char *droppable; /* in memory.stat */
};

static const struct version versions[] = {
    {"", {"memory.max", "memory.high"}, "memory.current", "inactive_file"},
    {"/unified", {"memory.max", "memory.high"}, "memory.current", "inactive_file"},
    {"/memory", {"memory.limit_in_bytes", NULL}, "memory.usage_in_bytes",
        "total_inactive_file"},
};

enum { UNIFIED, HYBRID, FIRST };

/* A folder of a group, all groups of a process, or the machine: whose figures were read. */
struct groups_place {
    uint64_t key; /* of the name; not 0 */
    char *name;
    uint64_t asked_ms;
    uint64_t round; /* of the figures: that of a folder's use, else of all */
    uint64_t stall_round;
    uint64_t limit_ms; /* when the limit was read; 0: never */
    uint64_t mute_ms;  /* when there was no file of stalls; 0: there was */
    struct pressure_read figures;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void groups_init(struct mp_pressure_groups *g, const char *mount, const char *machine)
{
    *g = (struct mp_pressure_groups){
        .mount = mount, .machine = machine, .round = 1, .now_ms = now_ms()};
}

static void free_place(struct groups_place *p)
{
    free(p->name);
    free(p);
}

void groups_fini(struct mp_pressure_groups *g)
{
    for (size_t i = 0; i < g->count; i++) {
        free_place(g->at[i]);
    }
    free(g->at);
}

mp_pressure_groups_t *mp_pressure_groups_create(void)
{
    struct mp_pressure_groups *g = malloc(sizeof(*g));

    if (g != NULL) {
        groups_init(g, GROUPS_MOUNT, GROUPS_MACHINE);
    }
    return g;
}

void mp_pressure_groups_free(mp_pressure_groups_t *g)
{
    if (g != NULL) {
        groups_fini(g);
        free(g);
    }
}

void mp_pressure_groups_next(mp_pressure_groups_t *g)
{
    size_t kept = 0;

    g->round++;
    g->now_ms = now_ms() + g->past_ms;
    for (size_t i = 0; i < g->count; i++) {
        if (g->now_ms - g->at[i]->asked_ms > FORGET_MS) {
            free_place(g->at[i]);
        } else {
            g->at[kept++] = g->at[i];
        }
    }
    g->count = kept;
}

/* ---- places ---- */

/* Where the key is, or would be. */
static size_t position(const struct mp_pressure_groups *g, uint64_t key)
{
    size_t low = 0;
    size_t high = g->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (g->at[middle]->key < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* NULL: it is not known, or no more. */
static struct groups_place *find_key(struct mp_pressure_groups *g, uint64_t key)
{
    size_t at = position(g, key);

    if (at == g->count || g->at[at]->key != key) {
        return NULL;
    }
    g->at[at]->asked_ms = g->now_ms;
    return g->at[at];
}

static struct groups_place *insert(
    struct mp_pressure_groups *g, uint64_t key, const char *name)
{
    struct groups_place *p = calloc(1, sizeof(*p));
    size_t at = position(g, key);

    if (g->count == g->room) {
        size_t room = 2 * g->room + 16;
        struct groups_place **more =
            p != NULL ? realloc(g->at, room * sizeof(struct groups_place *)) : NULL;

        if (more == NULL) {
            free(p);
            return NULL;
        }
        g->at = more;
        g->room = room;
    }
    if (p == NULL || (p->name = strdup(name)) == NULL) {
        free(p);
        return NULL;
    }
    p->key = key;
    p->asked_ms = g->now_ms;
    p->figures = groups_nothing;
    memmove(
        g->at + at + 1, g->at + at, (g->count - at) * sizeof(struct groups_place *));
    g->at[at] = p;
    g->count++;
    return p;
}

/* NULL: no memory. */
static struct groups_place *get_place(struct mp_pressure_groups *g, const char *name)
{
    uint64_t key = 14695981039346656037u;
    struct groups_place *p;

    for (const char *c = name; *c != '\0'; c++) {
        key = (key ^ (unsigned char)*c) * 1099511628211u;
    }
    for (;; key++) { /* names are chosen by others: two may have one key */
        key += key == 0;
        p = find_key(g, key);
        if (p == NULL) {
            return insert(g, key, name);
        }
        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
}

/* ---- files ---- */

static char *read_in(struct mp_pressure_groups *g, const char *folder, const char *name)
{
    char path[PATH_BYTES];
    char *text = NULL;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path)) {
        return NULL;
    }
    g->reads++;
    return proc_read_path(path, &text) < 0 ? NULL : text;
}

/* NAN: no such file, or "max". */
static double number_in(
    struct mp_pressure_groups *g, const char *folder, const char *name)
{
    char *text = read_in(g, folder, name);
    double value =
        text != NULL && text[0] >= '0' && text[0] <= '9' ? strtod(text, NULL) : NAN;

    free(text);
    return value;
}

/* The number after a word at the begin of a line. */
static double field_in(struct mp_pressure_groups *g, const char *folder,
    const char *name, const char *word)
{
    char *text = read_in(g, folder, name);
    double value = NAN;
    size_t length = strlen(word);

    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, word, length) == 0 && at[length] == ' ') {
            value = strtod(at + length, NULL);
            break;
        }
    }
    free(text);
    return value;
}

/* Of "some avg10=1.50 avg60=0.40 avg300=0.10 total=123", as a share. */
static double average(const char *text, const char *line, const char *name)
{
    const char *at = strstr(text, line);
    const char *end = at != NULL ? strchr(at, '\n') : NULL;
    double value;

    at = at != NULL ? strstr(at, name) : NULL;
    if (at == NULL || (end != NULL && at > end)) {
        return NAN;
    }
    value = strtod(at + strlen(name), NULL) / 100;
    return value >= 0 && value <= 1 ? value : NAN;
}

static void read_stall(const char *text, struct pressure_read *r)
{
    r->some_10 = average(text, "some ", "avg10=");
    r->some_60 = average(text, "some ", "avg60=");
    r->full_10 = average(text, "full ", "avg10=");
}

/* ---- figures of a place, once a round ---- */

static bool is_due(const struct mp_pressure_groups *g, uint64_t read_ms)
{
    return read_ms == 0 || g->now_ms - read_ms >= LIMIT_MS;
}

/* The file of stalls is `name` in `folder`. */
static void update_stalls(struct mp_pressure_groups *g, struct groups_place *p,
    const char *folder, const char *name)
{
    char *text;

    if (p->stall_round == g->round || (p->mute_ms != 0 && !is_due(g, p->mute_ms))) {
        return;
    }
    p->stall_round = g->round;
    p->figures.some_10 = p->figures.some_60 = p->figures.full_10 = NAN;
    text = read_in(g, folder, name);
    p->mute_ms = text == NULL ? g->now_ms : 0;
    if (text != NULL) {
        read_stall(text, &p->figures);
    }
    free(text);
}

static void update_use(struct mp_pressure_groups *g, struct groups_place *p,
    const char *folder, const struct version *v)
{
    double limit = INFINITY;
    double used;

    if (p->round == g->round) {
        return;
    }
    p->round = g->round;
    if (is_due(g, p->limit_ms)) {
        for (unsigned i = 0; i < 2 && v->limit[i] != NULL; i++) {
            limit =
                fmin(limit, number_in(g, folder, v->limit[i])); /* passes over NAN */
        }
        /* Version 1 says "none" with a huge number. */
        p->figures.limit_bytes = limit < 0x1p60 ? limit : NAN;
        p->limit_ms = g->now_ms;
    }
    p->figures.used_bytes = NAN;
    if (isnan(p->figures.limit_bytes)) {
        return;
    }
    used = number_in(g, folder, v->used);
    if (!isnan(used)) {
        double droppable = field_in(g, folder, "memory.stat", v->droppable);

        p->figures.used_bytes = fmax(used - (isnan(droppable) ? 0 : droppable), 0);
    }
}

static void add_level(const struct pressure_read *level, struct pressure_read *r)
{
    if (!isnan(level->limit_bytes)
        && (isnan(r->limit_bytes) || isnan(r->used_bytes)
            || level->used_bytes / level->limit_bytes
                   > r->used_bytes / r->limit_bytes)) {
        r->limit_bytes = level->limit_bytes;
        r->used_bytes = level->used_bytes;
    }
}

/* A group of a process, and those above it. */
static void add_group(struct mp_pressure_groups *g, const char *group, unsigned version,
    struct pressure_read *r)
{
    const struct version *v = &versions[version];
    char name[PATH_BYTES]; /* the version, and its folder */
    char *folder = name + 1;
    size_t base = (size_t)snprintf(
        name, sizeof(name), "%c%s%s", version == FIRST ? '1' : '2', g->mount, v->under);
    bool is_own = true;
    char *slash;

    if (base + strlen(group) >= sizeof(name)) {
        return;
    }
    strcpy(name + base, group);
    do {
        struct groups_place *p = get_place(g, name);

        if (p == NULL) {
            return;
        }
        if (is_own && isnan(r->some_10)) {
            update_stalls(g, p, folder, "memory.pressure");
            r->some_10 = p->figures.some_10;
            r->some_60 = p->figures.some_60;
            r->full_10 = p->figures.full_10;
        }
        is_own = false;
        update_use(g, p, folder, v);
        add_level(&p->figures, r);
        slash = strrchr(name + base, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
    } while (slash != NULL);
}

static void add_machine(struct mp_pressure_groups *g, struct pressure_read *r)
{
    struct groups_place *p = get_place(g, "machine");
    const char *slash = strrchr(g->machine, '/');
    char folder[PATH_BYTES];

    if (p == NULL || slash == NULL || (size_t)(slash - g->machine) >= sizeof(folder)) {
        return;
    }
    memcpy(folder, g->machine, (size_t)(slash - g->machine));
    folder[slash - g->machine] = '\0';
    update_stalls(g, p, folder, slash + 1);
    if (p->mute_ms == 0) {
        r->some_10 = p->figures.some_10;
        r->some_60 = p->figures.some_60;
        r->full_10 = p->figures.full_10;
        r->is_machine = true;
    }
}

/* ---- all groups of a process ---- */

static void add_all(
    struct mp_pressure_groups *g, const char *text, struct pressure_read *ret)
{
    *ret = groups_nothing;
    for (const char *at = text; *at != '\0';) {
        const char *end = strchrnul(at, '\n');
        const char *controllers = memchr(at, ':', (size_t)(end - at));
        const char *group = controllers != NULL ? memchr(
                                controllers + 1, ':', (size_t)(end - controllers - 1))
                                                : NULL;
        char name[GROUP_BYTES];

        if (group != NULL && (size_t)(end - group) <= sizeof(name)) {
            size_t length = (size_t)(end - group - 1);

            memcpy(name, group + 1, length);
            name[length] = '\0';
            if (group == controllers + 1) {
                add_group(g, name, UNIFIED, ret);
                add_group(g, name, HYBRID, ret);
            } else if (strncmp(controllers, ":memory:", 8) == 0) {
                add_group(g, name, FIRST, ret);
            }
        }
        at = *end != '\0' ? end + 1 : end;
    }
    if (isnan(ret->some_10)) {
        add_machine(g, ret);
    }
}

static void update_all(struct mp_pressure_groups *g, struct groups_place *p)
{
    if (p->round != g->round) {
        add_all(g, p->name, &p->figures);
        p->round = g->round;
    }
}

uint64_t groups_read(
    struct mp_pressure_groups *g, const char *text, struct pressure_read *ret)
{
    struct groups_place *p = get_place(g, text);

    if (p == NULL) {
        add_all(g, text, ret);
        return 0;
    }
    update_all(g, p);
    *ret = p->figures;
    return p->key;
}

void groups_read_process(struct mp_pressure_groups *g, uint64_t pid, uint64_t *group,
    struct pressure_read *ret)
{
    struct groups_place *p = *group != 0 ? find_key(g, *group) : NULL;
    char *text = NULL;

    if (p != NULL) {
        update_all(g, p);
        *ret = p->figures;
        return;
    }
    g->reads++;
    if (proc_read_file(pid, "cgroup", &text) >= 0) {
        *group = groups_read(g, text, ret);
    } else {
        *group = 0;
        *ret = groups_nothing;
    }
    free(text);
}
